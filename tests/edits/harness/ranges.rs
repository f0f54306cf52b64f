//! Whether a patch's ranges lie where the walk over the new file finds what they claim to write, and whether they
//! alone make the new file of the old one.

use wasmend::{RangeList, Reason};

use super::walk::{Custom, File, Owner, Piece};

/// Checks the ranges of a patch against the file that it made.
pub fn check(file: &File<'_>, list: &RangeList) -> Result<(), String> {
    let mut end = 0;
    for (range, bytes) in list.iter() {
        let place = format!("{} at {:#x}+{}", range.reason, range.offset, range.len);
        if bytes.len() != range.len as usize || range.len == 0 {
            return Err(format!("{place} has {} bytes", bytes.len()));
        }
        if range.offset < end {
            return Err(format!("{place} overlaps the range before"));
        }
        end = range.offset + u64::from(range.len);
        let pieces = overlapped(&file.pieces, range.offset, end);
        if !fits(file, range.reason, range.offset, end, pieces) {
            let owners: Vec<Owner> = pieces.iter().map(|piece| piece.owner).collect();
            let shown = &owners[..owners.len().min(4)];
            return Err(format!(
                "{place} lies in {shown:?} ({} pieces)",
                owners.len()
            ));
        }
    }
    Ok(())
}

fn overlapped(pieces: &[Piece], begin: u64, end: u64) -> &[Piece] {
    let first = pieces.partition_point(|piece| piece.end <= begin);
    let last = pieces.partition_point(|piece| piece.begin < end);
    &pieces[first..last]
}

fn fits(file: &File<'_>, reason: Reason, begin: u64, end: u64, pieces: &[Piece]) -> bool {
    let items_of = |ids: &[u8]| {
        pieces.iter().all(|piece| match piece.owner {
            Owner::Item(id, _) => ids.contains(&id),
            _ => false,
        })
    };
    let exact = pieces.first().is_some_and(|piece| piece.begin == begin)
        && pieces.last().is_some_and(|piece| piece.end == end);
    let [first, ..] = pieces else { return false };
    let one = pieces.len() == 1;
    let section = first.section;
    let same_section = pieces.iter().all(|piece| piece.section == section);
    let all: Vec<&Piece> = file
        .pieces
        .iter()
        .filter(|piece| piece.section == section)
        .collect();
    let whole = same_section && exact && all.len() == pieces.len();
    let within_section = |ids: &[u8]| {
        same_section
            && pieces.iter().all(|piece| match piece.owner {
                Owner::Item(id, _) | Owner::Header(id) => ids.contains(&id),
                _ => false,
            })
    };
    let in_custom = first.owner == Owner::Custom(Custom::Other);
    match reason {
        Reason::Section | Reason::MakeRoom => whole,
        // A custom section's header includes its name; of the names' section also that of the first subsection.
        Reason::Header => {
            let header = matches!(first.owner, Owner::Header(_)) && first.begin == begin;
            let names = pieces.len() == 2 && pieces[1].owner == Owner::Custom(Custom::Names);
            header && same_section && ((one && end == first.end) || names)
        }
        Reason::Pad => {
            let in_pad = all
                .iter()
                .all(|piece| matches!(piece.owner, Owner::Header(0) | Owner::Custom(Custom::Pad)));
            same_section && in_pad && first.begin == begin
        }
        Reason::Types => same_section && exact && items_of(&[1]),
        Reason::Imports => whole && within_section(&[2]),
        Reason::FunctionEntry => one && exact && items_of(&[3]) && end - begin == 5,
        Reason::BodyInPlace
        | Reason::BodyReused
        | Reason::BodyAppended
        | Reason::Thunk
        | Reason::Forwarder
        | Reason::Dead => one && items_of(&[10]),
        Reason::Reference => {
            one && (items_of(&[6, 9, 10, 11]) || in_custom)
                && matches!(end - begin, 1 | 3 | 4 | 5 | 8 | 10)
        }
        Reason::CodeOffset | Reason::SectionOffset => one && in_custom && end - begin == 4,
        Reason::Gap => one && in_custom,
        Reason::Piece => (one && in_custom) || whole,
        // Entries, or the limits of the table.
        Reason::Slot => one && items_of(&[4, 9]) && (end - begin).is_multiple_of(5),
        Reason::Entities => whole && within_section(&[4, 5, 13]),
        Reason::Global => one && exact && items_of(&[6]),
        Reason::Exports => {
            // Entries, of the first of which it may be the kind and the index only.
            let entries = items_of(&[7]) && pieces.last().is_some_and(|last| last.end == end);
            let begins = first.begin == begin || (3..=6).contains(&(first.end - begin));
            (entries && begins) || (whole && within_section(&[7]))
        }
        Reason::Start => whole && within_section(&[8]),
        Reason::Elements => within_section(&[9]),
        Reason::DataCount => whole && within_section(&[12]),
        Reason::Data => within_section(&[11]),
        Reason::Name => {
            let names = Owner::Custom(Custom::Names);
            same_section && all.iter().any(|piece| piece.owner == names)
        }
        Reason::Identity => {
            let identity = Owner::Custom(Custom::Identity);
            same_section && all.iter().any(|piece| piece.owner == identity)
        }
        _ => false,
    }
}

/// Checks that the ranges alone make `new` of `old`, and that a commit changed nothing else.
pub fn mirror(old: &[u8], list: &RangeList, new: &[u8]) -> Result<(), String> {
    if list.old_len() != old.len() as u64 || list.new_len() != new.len() as u64 {
        let lens = (list.old_len(), list.new_len());
        return Err(format!(
            "lengths {lens:?} for {} and {}",
            old.len(),
            new.len()
        ));
    }
    let mut made = old.to_vec();
    made.resize(new.len(), 0);
    for (range, bytes) in list.iter() {
        made[range.offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    match made.iter().zip(new).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => Err(format!("byte {at:#x} is not what the ranges make of it")),
    }
}
