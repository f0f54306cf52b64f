//! Data of whole modules, whose segments say nothing of what stands in them: what differs between two builds is found by
//! comparing what the segments of each make of memory.

use std::ops::Range;

use crate::delta::view::View;
use crate::hash::HashSet;
use crate::program::{DeclId, DeclKind};
use crate::wire::leb;

/// What active segments write into one memory, in the order in which they do.
struct Image {
    memory: DeclId,
    parts: Vec<Part>,
}

/// A range of memory that has other bytes.
pub(super) struct Difference {
    pub(super) memory: DeclId,
    pub(super) address: u64,
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
}

/// Whole values are compared: of eight bytes each, since nothing is known of them.
const WIDTH: u64 = 8;

/// Where active segments make something else of memory. `None` if that cannot be known.
pub(super) fn differences(before: View<'_>, after: View<'_>) -> Option<Vec<Difference>> {
    let (old, new) = (images(before)?, images(after)?);
    let mut memories: Vec<DeclId> = old.iter().chain(&new).map(|image| image.memory).collect();
    memories.sort_unstable();
    memories.dedup();
    let mut found = Vec::new();
    for memory in memories {
        compare(memory, parts(&old, memory), parts(&new, memory), &mut found)?;
    }
    Some(found)
}

/// A segment: where it writes, and what.
type Part = (u64, Vec<u8>);

fn parts(images: &[Image], memory: DeclId) -> &[Part] {
    let image = images.iter().find(|image| image.memory == memory);
    image.map_or(&[], |image| &image.parts)
}

/// Adds what differs. It costs time in proportion to the parts, however many there are.
fn compare(memory: DeclId, old: &[Part], new: &[Part], found: &mut Vec<Difference>) -> Option<()> {
    // A part that both sides have with the same bytes, and nothing over it, need not be looked at.
    let (of_old, of_new): (HashSet<&Part>, HashSet<&Part>) =
        (old.iter().collect(), new.iter().collect());
    let changed = of_old.symmetric_difference(&of_new);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (start, bytes) in changed {
        let end = start.checked_add(bytes.len() as u64)?;
        ranges.push(start / WIDTH * WIDTH..end.checked_next_multiple_of(WIDTH)?);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    let (a, b) = (bytes_at(old, &merged)?, bytes_at(new, &merged)?);
    for (range, (a, b)) in merged.iter().zip(a.iter().zip(&b)) {
        for inner in crate::delta::data::differences(a, b, 3) {
            found.push(Difference {
                memory,
                address: range.start + inner.start as u64,
                old: a[inner.clone()].to_vec(),
                new: b[inner].to_vec(),
            });
        }
    }
    Some(())
}

/// What stands in each of some ranges, which are in order and apart: zeros where nothing was written.
fn bytes_at(parts: &[Part], ranges: &[Range<u64>]) -> Option<Vec<Vec<u8>>> {
    let zeros = |range: &Range<u64>| Some(vec![0; usize::try_from(range.end - range.start).ok()?]);
    let mut out = ranges.iter().map(zeros).collect::<Option<Vec<_>>>()?;
    for (start, bytes) in parts {
        let end = start.checked_add(bytes.len() as u64)?;
        let first = ranges.partition_point(|range| range.end <= *start);
        let touched = ranges[first..].iter().take_while(|range| range.start < end);
        for (range, out) in touched.zip(&mut out[first..]) {
            let (from, to) = ((*start).max(range.start), end.min(range.end));
            if from < to {
                out[(from - range.start) as usize..(to - range.start) as usize]
                    .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
            }
        }
    }
    Some(out)
}

/// What all active segments write.
fn images(view: View<'_>) -> Option<Vec<Image>> {
    let segments = view
        .program
        .iter()
        .filter(|(_, decl)| decl.kind == DeclKind::DataSegment);
    let mut segments: Vec<(u32, DeclId)> = segments.map(|(id, decl)| (decl.serial, id)).collect();
    segments.sort_unstable();
    let mut images: Vec<Image> = Vec::new();
    for (_, id) in segments {
        let Some(definition) = view.definition(id) else {
            continue;
        };
        let content = &definition.content;
        let mut bytes = content.bytes().to_vec();
        let mut memory = None;
        for reloc in content.relocs() {
            if let Some(value) = view.value(reloc) {
                let field = bytes.get_mut(reloc.offset as usize..)?;
                reloc
                    .kind
                    .write(value, field.get_mut(..reloc.kind.width())?);
            } else if reloc.offset == 1 {
                memory = reloc.decl();
            } else {
                return None;
            }
        }
        let mut at = match bytes.first()? {
            0 => 1,
            // A passive segment writes nothing of itself.
            1 => continue,
            _ => 2,
        };
        let memory = match memory {
            Some(memory) => memory,
            None => first_memory(view)?,
        };
        let address = match bytes.get(at)? {
            0x41 | 0x42 => {
                let mut reader = wasmparser::BinaryReader::new(bytes.get(at + 1..)?, 0);
                let value = match bytes[at] {
                    0x41 => u64::from(reader.read_var_i32().ok()? as u32),
                    _ => reader.read_var_i64().ok()? as u64,
                };
                at += 1 + reader.original_position() as usize;
                value
            }
            _ => return None,
        };
        if bytes.get(at) != Some(&crate::wire::filler::END) {
            return None;
        }
        at += 1;
        let (len, width) = leb::read_unsigned(bytes.get(at..)?)?;
        let contents = bytes.get(at + width..)?.get(..usize::try_from(len).ok()?)?;
        let image = match images.iter_mut().find(|image| image.memory == memory) {
            Some(image) => image,
            None => {
                images.push(Image {
                    memory,
                    parts: Vec::new(),
                });
                images.last_mut()?
            }
        };
        image.parts.push((address, contents.to_vec()));
    }
    Some(images)
}

/// The memory that is meant where none is named.
fn first_memory(view: View<'_>) -> Option<DeclId> {
    let layout = view.layout;
    let all = layout.imports.iter().chain(layout.memories.iter()).copied();
    let mut memories = all.filter(|id| view.program.kind_of(*id) == Some(DeclKind::Memory));
    memories.next()
}
