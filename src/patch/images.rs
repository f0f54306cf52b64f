//! Where in a memory data may stand.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::layout::Image;
use crate::program::{DeclId, DefinitionKind, Program};

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
    let (bytes, is_64) = match decl.next().map(|definition| definition.shape) {
        Some(DefinitionKind::Memory {
            minimum_bytes,
            is_64,
        }) => (Some(minimum_bytes), is_64),
        _ => (None, false),
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
