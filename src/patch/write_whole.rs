//! A file written whole, in parallel: the first one, and every relink. The encoders are those of patches.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::layout::{CustomIndex, Layout, Ordinal, RegionIndex, SectionKind};
use crate::parallel::{Spares, region, task};
use crate::patch::encode::{Encoder, SectionInputs, ranges};
use crate::patch::tail::{BuildIdentity, Shape};
use crate::wire::section;

/// A part of the file that one thread writes at a time.
enum Part {
    Bytes(Vec<u8>),
    Section(SectionKind),
    /// Code entries from the first ordinal to before the second.
    Code(Ordinal, Ordinal),
    /// Of a custom section that consists of pieces, the regions from the first to before the second.
    Pieces(CustomIndex, u32, u32),
    /// A range of a long piece, which is in this region.
    Range(CustomIndex, RegionIndex, Range<usize>),
    /// What is behind it in its region.
    Gap(CustomIndex, RegionIndex),
}

/// Functions whose code one thread writes at a time, at most.
const CHUNK: u32 = 1024;
/// Bytes of code or of a custom section that one thread writes at a time, or a few more.
const CHUNK_BYTES: u32 = 1 << 18;

/// The parts of the file, each with its place.
fn parts_of(encoder: &Encoder<'_>) -> Vec<(u64, Part)> {
    let layout = encoder.layout;
    let places = layout.sections.places();
    let mut parts = vec![(0, Part::Bytes(b"\0asm\x01\0\0\0".to_vec()))];
    for (begin, end) in places.pads() {
        let mut header = vec![0; section::pad_header_len(end - begin)];
        section::write_pad_header(&mut header, end - begin);
        parts.push((begin, Part::Bytes(header)));
    }
    for (kind, place) in places.present() {
        if kind == SectionKind::Code {
            let mut header = vec![0; layout.sections.header_len(kind) as usize];
            encoder.header(kind, place, &mut header);
            parts.push((place.begin, Part::Bytes(header)));
            let place = |at: Ordinal| place.anchor + u64::from(layout.functions.slot(at).offset);
            let chunks = code_chunks(layout).into_iter();
            parts.extend(chunks.map(|(start, end)| (place(start), Part::Code(start, end))));
        } else if let SectionKind::Custom(at) = kind {
            let custom = layout.customs.section(at);
            let mut header = vec![0; custom.header_len() as usize];
            encoder.header(kind, place, &mut header);
            header.extend_from_slice(custom.prefix);
            parts.push((place.begin, Part::Bytes(header)));
            let chunks = custom_chunks(encoder, at).into_iter();
            let place = |offset: u32| place.anchor + u64::from(offset);
            parts.extend(chunks.map(|(offset, part)| (place(offset), part)));
        } else if kind != SectionKind::Identity {
            parts.push((place.begin, Part::Section(kind)));
        }
    }
    parts
}

/// The code in chunks, each from its first ordinal to before the second.
fn code_chunks(layout: &Layout) -> Vec<(Ordinal, Ordinal)> {
    let (first, end) = (layout.functions.first().0, layout.functions.end().0);
    let (mut chunks, mut start, mut bytes) = (Vec::new(), first, 0);
    for at in first..end {
        bytes += layout.functions.slot(Ordinal(at)).cap;
        if bytes >= CHUNK_BYTES || at + 1 - start == CHUNK || at + 1 == end {
            chunks.push((Ordinal(start), Ordinal(at + 1)));
            (start, bytes) = (at + 1, 0);
        }
    }
    chunks
}

/// A custom section that consists of pieces in parts, each with its place in it.
fn custom_chunks(encoder: &Encoder<'_>, at: CustomIndex) -> Vec<(u32, Part)> {
    let custom = encoder.layout.customs.section(at);
    let regions = custom.regions();
    let (mut parts, mut start) = (Vec::new(), 0);
    let short = |start: usize, end: usize| {
        let part = Part::Pieces(at, start as u32, end as u32);
        (regions[start].offset, part)
    };
    for (index, region) in regions.iter().enumerate() {
        let content = region.owner.map(|id| &encoder.next(id).content);
        if let Some(content) = content.filter(|content| content.len() >= 2 * CHUNK_BYTES as usize) {
            if start < index {
                parts.push(short(start, index));
            }
            start = index + 1;
            let index = RegionIndex(index as u32);
            let ranges = ranges(content, CHUNK_BYTES as usize).into_iter();
            parts.extend(ranges.map(|range| {
                let place = region.offset + range.start as u32;
                (place, Part::Range(at, index, range))
            }));
            let len = content.len() as u32;
            if region.cap > len {
                parts.push((region.offset + len, Part::Gap(at, index)));
            }
            continue;
        }
        let behind = regions
            .get(index + 1)
            .map_or(custom.end(), |region| region.offset);
        let is_long = behind - regions[start].offset >= CHUNK_BYTES;
        if is_long || index + 1 == regions.len() {
            parts.push(short(start, index + 1));
            start = index + 1;
        }
    }
    parts
}

/// Hands out a whole file to `put`, in parallel; returns the identity that follows from `identity` and the
/// contents, whatever the order in which they were written.
pub(crate) fn write_whole(
    encoder: Encoder<'_>,
    extra: &SectionInputs<'_>,
    identity: BuildIdentity,
    put: impl Fn(u64, &[u8]) -> Result<()> + Sync,
) -> Result<BuildIdentity> {
    let layout = encoder.layout;
    let places = layout.sections.places();
    let parts = parts_of(&encoder);
    let write_part = |buffer: &mut Vec<u8>, (offset, part): &(u64, Part)| -> Result<_> {
        buffer.clear();
        match part {
            Part::Bytes(bytes) => buffer.extend_from_slice(bytes),
            Part::Section(kind) => {
                let place = places.get(*kind);
                buffer.resize((place.end - place.begin) as usize, 0);
                encoder.section(*kind, place, extra, buffer);
            }
            Part::Pieces(at, start, end) => {
                let custom = layout.customs.section(*at);
                let last = custom.region(RegionIndex(end - 1));
                let len = last.offset + last.cap - custom.region(RegionIndex(*start)).offset;
                buffer.resize(len as usize, 0);
                encoder.custom_range(*at, *start..*end, buffer);
            }
            Part::Range(at, region, range) => {
                let custom = layout.customs.section(*at);
                buffer.resize(range.len(), 0);
                if let Some(owner) = custom.region(*region).owner {
                    let content = &encoder.next(owner).content;
                    encoder.piece_range(custom.tombstone, content, range.clone(), buffer);
                }
            }
            Part::Gap(at, index) => {
                let region = layout.customs.section(*at).region(*index);
                let owner = region.owner.map_or(0, |id| encoder.next(id).content.len());
                let start = region.offset + owner as u32;
                buffer.resize(region.cap as usize - owner, 0);
                encoder.gap(*at, *index, |place, bytes| {
                    buffer[(place - start) as usize..][..bytes.len()].copy_from_slice(bytes);
                });
            }
            Part::Code(start, end) => {
                let last = layout.functions.slot(Ordinal(end.0 - 1));
                let len = last.offset + last.cap - layout.functions.slot(*start).offset;
                buffer.resize(len as usize, 0);
                encoder.code_range(*start, *end, buffer);
            }
        }
        put(*offset, buffer)?;
        Ok((*offset, blake3::hash(buffer)))
    };
    // A section that is written in one takes longest: whoever came to it last would leave the others with nothing to do.
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| !matches!(parts[*at].1, Part::Section(_)));
    let buffers = Spares::default();
    let write = |at: &usize| -> Result<_> {
        let hash = task(|| buffers.with(|buffer| write_part(buffer, &parts[*at])))?;
        Ok((*at, hash))
    };
    let order = order.par_iter().with_max_len(1);
    let mut hashes = region(|| order.map(write).collect::<Result<Vec<_>>>())?;
    hashes.sort_unstable_by_key(|(at, _)| *at);
    let next = identity.next(
        hashes
            .iter()
            .map(|(_, (offset, hash))| (*offset, &hash.as_bytes()[..])),
    );
    let place = places.get(SectionKind::Identity);
    if place.present {
        let mut bytes = vec![0; (place.end - place.begin) as usize];
        next.write(Shape::of(places), &mut bytes);
        put(place.begin, &bytes)?;
    }
    Ok(next)
}
