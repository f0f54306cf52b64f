//! Contents of declarations and types with every field as short as it can be, as dense outputs have them. What a field
//! holds is the caller's to say; where it stands in a file is not known here.

use crate::error::Result;
use crate::program::{RelocKind, RelocatableBytes, Relocation, TypeGroup, TypeId};
use crate::wire::leb::{push_signed, push_unsigned};

/// Appends the value of a field as short as it can be; little-endian ones keep their width.
pub(crate) fn push_field(out: &mut Vec<u8>, kind: RelocKind, value: i64) {
    use RelocKind::*;
    match kind {
        HeapType | SlotSleb64 | AddressSleb64 => push_signed(out, value),
        SlotSleb | AddressSleb => push_signed(out, i64::from(value as i32)),
        AddressLeb64 => push_unsigned(out, value as u64),
        kind if kind.is_little_endian() => {
            out.extend_from_slice(&value.to_le_bytes()[..kind.width()]);
        }
        _ => push_unsigned(out, u64::from(value as u32)),
    }
}

/// Appends what a content has from `start` on.
///
/// # Errors
/// Those of `value`, which says what a field holds.
pub(crate) fn push_content<E>(
    out: &mut Vec<u8>,
    content: &RelocatableBytes,
    start: usize,
    mut value: impl FnMut(&Relocation) -> Result<i64, E>,
) -> Result<(), E> {
    let bytes = content.bytes();
    let mut at = start;
    for reloc in content.relocs() {
        let offset = reloc.offset as usize;
        if offset < start {
            continue;
        }
        out.extend_from_slice(&bytes[at..offset]);
        push_field(out, reloc.kind, value(reloc)?);
        at = offset + reloc.kind.width();
    }
    out.extend_from_slice(&bytes[at..]);
    Ok(())
}

/// Appends a group of types.
///
/// # Errors
/// Those of `index`, which says what index a type has.
pub(crate) fn push_group(
    out: &mut Vec<u8>,
    group: &TypeGroup,
    index: impl Fn(TypeId) -> Result<u32>,
) -> Result<()> {
    // References to types outside and inside of the group, in the order of their places.
    let others = group.content.relocs().iter();
    let mut fields: Vec<(u32, RelocKind, TypeId)> = others
        .filter_map(|reloc| Some((reloc.offset, reloc.kind, reloc.ty()?)))
        .collect();
    let own = group.own.iter();
    fields.extend(own.map(|&(at, kind, member)| (at, kind, TypeId(group.first.0 + member))));
    fields.sort_unstable();
    let bytes = group.content.bytes();
    let mut at = 0;
    for (offset, kind, ty) in fields {
        out.extend_from_slice(&bytes[at..offset as usize]);
        push_field(out, kind, index(ty)?.into());
        at = offset as usize + kind.width();
    }
    out.extend_from_slice(&bytes[at..]);
    Ok(())
}
