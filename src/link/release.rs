//! The dense output of a link, which is not to be patched. Where nothing else is asked for (`--no-incremental`) the
//! patchable file is not even laid out.

use std::path::Path;

use crate::error::Result;
use crate::layout::Layout;
use crate::link::command::options::LinkOptions;
use crate::link::declare::{Plan, keeps_table_import};
use crate::module::{DenseStyle, Module};
use crate::output::{LastCheck, OutputOptions, write_file_pieces};
use crate::patch::Dense;
use crate::program::DeclId;

/// What the dense output of a link is like. The exports stand in this order. With `cuts` long runs of zeros in data are left out; they are
/// not where the output is to be compared with a patchable one.
pub(super) fn style<'a>(
    plan: &Plan,
    options: &LinkOptions,
    exports: &'a [(Box<str>, DeclId)],
    cuts: bool,
) -> DenseStyle<'a> {
    DenseStyle {
        cuts,
        keeps_slot_table: plan.resolution.legacy_table || keeps_table_import(plan, options),
        exports: Some(exports),
    }
}

/// What `use_it` makes of the dense output of a link, whose module has been committed or is yet to be, and of the layout
/// behind it.
///
/// # Errors
/// If a limit of engines would be exceeded, and those of `use_it`.
pub(super) fn with_dense<R>(
    style: DenseStyle<'_>,
    module: &Module,
    use_it: impl FnOnce(&Layout, &Dense<'_>) -> Result<R>,
) -> Result<R> {
    match module.layout() {
        Some(_) => module.finish_with(style, use_it),
        None => module.finish_uncommitted(style, use_it),
    }
}

/// Writes a dense output where `path` leads to. Returns its length.
///
/// # Errors
/// As with [`write_file_pieces`].
pub(super) fn write(
    dense: &Dense<'_>,
    path: &Path,
    publishing: &OutputOptions,
    check: LastCheck<'_>,
) -> Result<u64> {
    let pieces = |file: &crate::output::FileWriter<'_>| {
        dense.write(|offset, bytes| file.write_at(offset, bytes))
    };
    write_file_pieces(path, publishing, dense.len(), pieces, check)?;
    Ok(dense.len())
}
