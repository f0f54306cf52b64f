//! A file written whole, in parallel: the first one, and every relink. The encoders are those of patches.

use rayon::prelude::*;

use crate::error::Result;
use crate::layout::{CustomIndex, Ordinal, RegionIndex, SectionKind};
use crate::parallel::{Spares, region, task};
use crate::patch::encode::{Encoder, SectionInputs};
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
}

/// Functions whose code one thread writes at a time.
const CHUNK: u32 = 1024;
/// Bytes of a custom section that one thread writes at a time, or one piece.
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
            let (first, end) = (layout.functions.first().0, layout.functions.end().0);
            for start in (first..end).step_by(CHUNK as usize) {
                let start = Ordinal(start);
                let offset = place.anchor + u64::from(layout.functions.slot(start).offset);
                parts.push((
                    offset,
                    Part::Code(start, Ordinal((start.0 + CHUNK).min(end))),
                ));
            }
        } else if let SectionKind::Custom(at) = kind {
            let custom = layout.customs.section(at);
            let mut header = vec![0; custom.header_len() as usize];
            encoder.header(kind, place, &mut header);
            header.extend_from_slice(custom.prefix);
            parts.push((place.begin, Part::Bytes(header)));
            let regions = custom.regions();
            let mut start = 0;
            for end in 1..=regions.len() {
                let first = regions[start].offset;
                let behind = regions
                    .get(end)
                    .map_or(custom.end(), |region| region.offset);
                if behind - first >= CHUNK_BYTES || end == regions.len() {
                    let part = Part::Pieces(at, start as u32, end as u32);
                    parts.push((place.anchor + u64::from(first), part));
                    start = end;
                }
            }
        } else if kind != SectionKind::Identity {
            parts.push((place.begin, Part::Section(kind)));
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
