//! The dense output: the program without all that patching needs.

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::layout::{Layout, LayoutOptions};
use crate::module::Module;
use crate::module::version::Version;
use crate::parallel::{region, task};
use crate::patch::Dense;
use crate::program::{DeclId, DeclKind, Definition, Export, ExportId, RelocKind};
use rayon::prelude::*;

/// What a dense output is like, beside the program.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DenseStyle<'a> {
    /// Whether long runs of zeros in data are left out.
    pub(crate) cuts: bool,
    /// Whether there is a function table also if nothing names it: code of the first version of WebAssembly does not.
    pub(crate) keeps_slot_table: bool,
    /// The exports in the front end's order, if it has one: that which they have otherwise is that of the edits.
    pub(crate) exports: Option<&'a [(Box<str>, DeclId)]>,
}

impl Module {
    /// The program as of the last commit without slack, pads, thunks, forwarders and dead code: for release, not to be
    /// patched. It depends on the declarations and their order only, not on the history of edits.
    ///
    /// # Errors
    /// If edits are pending, or a limit of engines would be exceeded.
    pub fn finish(&self) -> Result<Vec<u8>> {
        self.finish_with(DenseStyle::default(), |_, dense| Ok(dense.to_vec()))
    }

    /// What `use_it` makes of the dense output and the layout behind it.
    ///
    /// # Errors
    /// As with [`Module::finish`], and those of `use_it`.
    pub(crate) fn finish_with<R>(
        &self,
        style: DenseStyle<'_>,
        use_it: impl FnOnce(&Layout, &Dense<'_>) -> Result<R>,
    ) -> Result<R> {
        if self.has_edits() {
            let error = Error::bad_edit("edits are pending");
            return Err(error.with_hint("commit or discard them first"));
        }
        let version = Version::current(&self.program, &self.settings);
        self.dense(version, style, use_it)
    }

    /// The same of a program that has never been committed, as its first commit would make it.
    ///
    /// # Errors
    /// If edits contradict one another, and as with [`Module::finish_with`].
    #[cfg(feature = "link")]
    pub(crate) fn finish_uncommitted<R>(
        &self,
        style: DenseStyle<'_>,
        use_it: impl FnOnce(&Layout, &Dense<'_>) -> Result<R>,
    ) -> Result<R> {
        debug_assert!(self.layout.is_none(), "there is a version to be current");
        let nothing = crate::program::References::default();
        let checked = self
            .program
            .check(&nothing, crate::program::Users::AreValid)?;
        let version = Version::next(&self.program, &self.settings, &self.pending, &checked);
        self.dense(version, style, use_it)
    }

    fn dense<R>(
        &self,
        version: Version<'_>,
        style: DenseStyle<'_>,
        use_it: impl FnOnce(&Layout, &Dense<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut exports = version.exports.all();
        exports.retain(|(_, export)| self.program.is_said(export));
        let has_slots = style.keeps_slot_table || self.uses_slots(&exports);
        if let Some(order) = style.exports {
            let ranks = order.iter().enumerate();
            let ranks: HashMap<&str, usize> = ranks.map(|(at, (name, _))| (&**name, at)).collect();
            let rank = |export: &Export| ranks.get(&*export.name).copied().unwrap_or(usize::MAX);
            exports.sort_by_key(|(_, export)| rank(export));
        } else if self.program.next_import_order().is_none() {
            // Otherwise their order is that of the edits. Memory comes first, as linkers have it.
            let is_other =
                |export: &Export| self.program.decl(export.decl).kind != DeclKind::Memory;
            exports.sort_by_key(|(_, export)| (is_other(export), &export.name));
        }
        let options = LayoutOptions {
            thunks: false,
            dense: true,
            live: false,
            growable_table: self.options.growable_table,
            interned_types: true,
            ..self.layout_options()
        };
        let slot_table = self.slot_table.filter(|_| has_slots);
        let unused_table = self.slot_table.filter(|_| !has_slots);
        let tables = (slot_table, unused_table);
        let layout = version.lay_out(&exports, options, self.dead_type, tables, None, None)?;
        let content = version.whole(&layout);
        let dense = Dense::lay_out(content.encoder(), &content.sections(), style.cuts)?;
        use_it(&layout, &dense)
    }

    /// Whether anything names a slot or the table of slots. With thunks, slots are for redirection; but where an address is
    /// taken, it is a slot.
    fn uses_slots(&self, exports: &[(ExportId, &Export)]) -> bool {
        let Some(table) = self.slot_table else {
            return false;
        };
        let names_slots = |definition: &Definition| {
            definition.content.relocs().iter().any(|reloc| {
                let is_table = matches!(reloc.kind, RelocKind::TableIndex | RelocKind::TableByte);
                reloc.kind.is_slot() || (is_table && reloc.decl() == Some(table))
            })
        };
        let names = |at: usize| {
            let decl = self.program.get(DeclId(at as u32));
            let decl = decl.filter(|decl| !decl.is_orphan && decl.kind != DeclKind::Custom);
            decl.and_then(|decl| decl.next()).is_some_and(names_slots)
        };
        let is_exported = exports.iter().any(|(_, export)| export.decl == table);
        let all = self.program.capacity();
        let run = |run: usize| task(|| (run * RUN..all.min((run + 1) * RUN)).any(names));
        let runs = (0..all.div_ceil(RUN)).into_par_iter();
        is_exported || region(|| runs.any(run))
    }
}

/// Declarations that one thread looks at at a time.
const RUN: usize = 1024;
