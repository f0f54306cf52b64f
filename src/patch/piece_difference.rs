//! What is written of a piece of a custom section that stands where it did: what differs, and no more of it is encoded. Pieces
//! are as long as all debug information of an object, and an edit changes a few of their bytes.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::patch::decl_filter::DeclFilter;
use crate::program::{DeclId, RelocatableBytes, Relocation, skip_to_field};
use crate::wire::differences::Differences;

/// A gap that costs less to write again than to make another range.
pub(super) const GAP: usize = 8;

fn field(reloc: &Relocation) -> Range<usize> {
    let start = reloc.offset as usize;
    start..start + reloc.kind.width()
}

/// Calls `put` with each run of bytes that differs between two contents of a piece, and its offset. Under a relocation only
/// the relocation counts, and one that stayed the same still differs if its target is among `displaced`. `relocate` writes a
/// field of the new one.
pub(super) fn piece_difference(
    (old, new): (&RelocatableBytes, &RelocatableBytes),
    displaced: &BTreeSet<DeclId>,
    relocate: impl Fn(&Relocation, &mut [u8]),
    mut put: impl FnMut(usize, &[u8]),
) {
    let common = old.len().min(new.len());
    let mut differing = differing_fields(old, new, displaced);
    differing.retain_mut(|range| {
        range.end = range.end.min(common);
        range.start < range.end
    });
    add_differing_bytes(old, new, &mut differing);
    differing.sort_unstable_by_key(|range| range.start);
    let mut run = 0..0;
    let mut emit = |run: Range<usize>| {
        if !run.is_empty() {
            encode((old, new), run, &relocate, &mut put);
        }
    };
    for range in differing {
        match run.is_empty() || range.start > run.end + GAP {
            true => emit(std::mem::replace(&mut run, range)),
            false => run.end = run.end.max(range.end),
        }
    }
    emit(run);
    emit(common..new.len());
}

/// The fields of both that are not the same, or name something else than before.
fn differing_fields(
    old: &RelocatableBytes,
    new: &RelocatableBytes,
    displaced: &BTreeSet<DeclId>,
) -> Vec<Range<usize>> {
    let filter = DeclFilter::of(displaced.iter().copied());
    let is_displaced = |reloc: &Relocation| {
        let target = reloc.decl().filter(|id| filter.may_have(*id));
        target.is_some_and(|id| displaced.contains(&id))
    };
    let mut fields = Vec::new();
    if let Some((relocs, changes)) = new.changes_of(old) {
        fields.extend(changes.iter().map(|(_, reloc)| field(reloc)));
        if !displaced.is_empty() {
            let moved = relocs.iter().filter(|reloc| is_displaced(reloc));
            fields.extend(moved.map(field));
        }
        return fields;
    }
    // Both are sorted by offset, and no two have the same.
    let mut rest = old.relocs().iter().peekable();
    for reloc in new.relocs() {
        while let Some(gone) = rest.next_if(|old| old.offset < reloc.offset) {
            fields.push(field(gone));
        }
        let before = rest.next_if(|old| old.offset == reloc.offset);
        if before != Some(reloc) || is_displaced(reloc) {
            fields.extend(before.map(field));
            fields.push(field(reloc));
        }
    }
    fields.extend(rest.map(field));
    fields
}

/// Adds the bytes that differ and are under no field of `new`.
fn add_differing_bytes(
    old: &RelocatableBytes,
    new: &RelocatableBytes,
    differing: &mut Vec<Range<usize>>,
) {
    let Some(before) = old.bytes_at_hand() else {
        differing.extend(old.differences_unseen(new));
        return;
    };
    let mut differences = Differences::new(before, new.bytes());
    let (mut fields, _) = new.changes_of(old).unwrap_or_else(|| (new.relocs(), &[]));
    let mut run = 0..0;
    while let Some(at) = differences.next() {
        match skip_to_field(&mut fields, at) {
            Some(end) => differences.skip_to(end),
            None if run.end == at => run.end = at + 1,
            None => {
                let before = std::mem::replace(&mut run, at..at + 1);
                differing.extend((!before.is_empty()).then_some(before));
            }
        }
    }
    differing.extend((!run.is_empty()).then_some(run));
}

/// Encodes a part of a piece.
fn encode(
    (old, new): (&RelocatableBytes, &RelocatableBytes),
    part: Range<usize>,
    relocate: &impl Fn(&Relocation, &mut [u8]),
    put: &mut impl FnMut(usize, &[u8]),
) {
    let (relocs, changes) = new.changes_of(old).unwrap_or_else(|| (new.relocs(), &[]));
    let first = relocs.partition_point(|reloc| field(reloc).end <= part.start);
    let end = relocs.partition_point(|reloc| (reloc.offset as usize) < part.end);
    let fields = relocs.get(first..end).unwrap_or_default();
    // Fields are encoded whole.
    let start = fields
        .first()
        .map_or(part.start, |reloc| part.start.min(field(reloc).start));
    let end = fields
        .last()
        .map_or(part.end, |reloc| part.end.max(field(reloc).end));
    let mut bytes = new.bytes()[start..end].to_vec();
    for (number, reloc) in (first as u32..).zip(fields) {
        let changed = changes.binary_search_by_key(&number, |(number, _)| *number);
        let reloc = changed.map_or(reloc, |at| &changes[at].1);
        let field = field(reloc);
        relocate(reloc, &mut bytes[field.start - start..field.end - start]);
    }
    put(part.start, &bytes[part.start - start..part.end - start]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::RelocKind;
    use proptest::prelude::*;

    /// Fields with what is between them: for each the bytes before it, whether it is wide, its target and its addend.
    type Plan = Vec<(Vec<u8>, bool, u32, i32)>;

    fn content(plan: &Plan, rest: &[u8]) -> RelocatableBytes {
        let (mut bytes, mut relocs) = (Vec::new(), Vec::new());
        for (gap, is_wide, target, addend) in plan {
            bytes.extend_from_slice(gap);
            let kind = match is_wide {
                true => RelocKind::FunctionOffsetI64,
                false => RelocKind::FunctionOffsetI32,
            };
            let at = bytes.len() as u32;
            relocs.push(Relocation::new(kind, at, DeclId(*target), *addend));
            // What stands under a field means nothing.
            bytes.resize(bytes.len() + kind.width(), *addend as u8);
        }
        bytes.extend_from_slice(rest);
        RelocatableBytes::new(bytes, relocs).unwrap()
    }

    fn relocate(places: &[u32], reloc: &Relocation, field: &mut [u8]) {
        let target = reloc.decl().map_or(0, |id| places[id.index()]);
        let value = i64::from(target) + i64::from(reloc.addend);
        let len = field.len();
        field.copy_from_slice(&value.to_le_bytes()[..len]);
    }

    fn encoded(content: &RelocatableBytes, places: &[u32]) -> Vec<u8> {
        let mut bytes = content.bytes().to_vec();
        for reloc in content.relocs() {
            relocate(places, reloc, &mut bytes[field(reloc)]);
        }
        bytes
    }

    fn plan() -> impl Strategy<Value = Plan> {
        let gap = prop::collection::vec(0..3u8, 0..12);
        prop::collection::vec((gap, any::<bool>(), 0..4u32, 0..3i32), 0..30)
    }

    proptest! {
        #[test]
        fn what_is_put_makes_the_old_piece_the_new_one(
            old in plan(),
            other in plan(),
            from in 0..30usize,
            to in 0..30usize,
            rests in (prop::collection::vec(0..2u8, 0..40), prop::collection::vec(0..2u8, 0..40)),
            shares: bool,
            changes in prop::collection::btree_map(0..30usize, (0..4u32, 0..3i32), 0..3),
            places in prop::collection::vec(0..50u32, 4),
            moved in prop::collection::vec(prop_oneof![3 => Just(0u32), 1 => 1..9u32], 4),
        ) {
            // Most is what it was.
            let mut new = old.clone();
            let (from, to) = (from.min(new.len()), to.min(new.len()));
            new.splice(from.min(to)..from.max(to), other.into_iter().take(3));
            let (mut old, mut new) = (content(&old, &rests.0), content(&new, &rests.1));
            if shares {
                let mut bytes = old.bytes().to_vec();
                bytes.iter_mut().zip(&rests.1).for_each(|(byte, other)| *byte ^= other);
                let fields = old.share_fields();
                let changes = changes.iter().filter(|(at, _)| **at < fields.len());
                let changes = changes.map(|(at, (target, addend))| {
                    let Relocation { kind, offset, .. } = fields[*at];
                    (*at as u32, Relocation::new(kind, offset, DeclId(*target), *addend))
                });
                let changes = changes.collect();
                let bytes = bytes.into();
                new = RelocatableBytes::with_changed_fields(bytes, fields, changes).unwrap();
            }
            let now: Vec<u32> = places.iter().zip(&moved).map(|(place, by)| place + by).collect();
            let displaced = (0..4).filter(|id| moved[*id as usize] != 0).map(DeclId).collect();
            let mut file = encoded(&old, &places);
            file.resize(new.len().max(old.len()), 7);
            let mut end = 0;
            let mut in_order = true;
            let relocate = |reloc: &Relocation, field: &mut [u8]| relocate(&now, reloc, field);
            piece_difference((&old, &new), &displaced, relocate, |at, bytes| {
                in_order &= at >= end;
                end = at + bytes.len();
                file[at..end].copy_from_slice(bytes);
            });
            prop_assert!(in_order);
            prop_assert_eq!(&file[..new.len()], encoded(&new, &now));
        }
    }
}
