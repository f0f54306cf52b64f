//! Where in a memory data may stand.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::layout::Image;
use crate::program::{DeclId, Definition, DefinitionKind, Program};
use crate::wire::leb;

/// The image of a memory: where the user said, or from address 1024 to the end of what the memory begins with.
pub(crate) fn new_image(
    program: &Program,
    data_ranges: &[(DeclId, Range<u64>)],
    memory: DeclId,
) -> Result<Image> {
    let decl = program.decl(memory);
    let area = data_ranges
        .iter()
        .find(|(id, _)| *id == memory)
        .map(|(_, area)| area.clone());
    let is_64 = decl.next().is_some_and(has_wide_addresses);
    let bytes = match decl.next().map(|definition| definition.shape) {
        Some(DefinitionKind::Memory { minimum_bytes, .. }) => Some(minimum_bytes),
        _ => None,
    };
    let area = area
        .or(bytes.map(|bytes| 1024.min(bytes)..bytes))
        .ok_or_else(|| {
            Error::bad_edit("is imported: say which of its addresses data may take")
                .with_symbol(decl.label())
        })?;
    if let Some(bytes) = bytes.filter(|bytes| area.end > *bytes) {
        return Err(Error::bad_edit(format!(
            "data may take addresses up to {:#x}, but the memory begins with {bytes:#x} bytes",
            area.end
        ))
        .with_symbol(decl.label()));
    }
    Ok(Image {
        memory,
        is_64,
        base: area.start,
        top: area.start,
        zero: area.end,
        limit: area.end,
        cap: 0,
    })
}

/// Whether this is a memory, imported or not, whose addresses have eight bytes.
pub(crate) fn has_wide_addresses(definition: &Definition) -> bool {
    match definition.shape {
        DefinitionKind::Memory { is_64, .. } => is_64,
        DefinitionKind::Import { ty: None } => {
            // Two names, the kind, and the flags of the limits.
            let skip = |bytes: &[u8], at: usize| {
                let (len, width) = leb::read_unsigned(bytes.get(at..)?)?;
                Some(at + width + usize::try_from(len).ok()?)
            };
            let bytes = definition.content.bytes();
            let kind = skip(bytes, 0).and_then(|at| skip(bytes, at));
            let flags = kind.and_then(|at| bytes.get(at..at + 2));
            flags.is_some_and(|kind| kind[0] == 2 && kind[1] & 4 != 0)
        }
        _ => false,
    }
}
