//! Data that has addresses: a segment for each memory, or more of them where long runs of zeros are left out.

use std::ops::Range;

use rayon::prelude::*;

use crate::layout::{ImageIndex, Place, SectionKind};
use crate::parallel::{region, task};
use crate::patch::dense::draft::{Draft, Part};
use crate::patch::dense::writer::Writer;
use crate::patch::encode::SectionInputs;
use crate::program::{DeclId, DefinitionKind};
use crate::wire::filler::END;
use crate::wire::leb::{push_signed, push_unsigned, unsigned_len};

/// Zeros between data that are left out. A segment's header is shorter.
const ZEROS: usize = 32;
/// Segments that data may be cut into for the zeros between.
const MOST_CHUNKS: usize = 1000;
/// Bytes that one thread writes at a time.
const RUN_BYTES: usize = 1 << 17;

/// A run of data that has a segment to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Which of the layout's images it belongs to.
    pub(crate) image: ImageIndex,
    pub(crate) address: u64,
    /// Offset in the file.
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// The data section, before the places of what stands before it are known.
pub(super) struct Data {
    /// By image: its bytes.
    pub(super) images: Vec<Vec<u8>>,
    /// What is written of them, with the header of each segment.
    chunks: Vec<(ImageIndex, Range<usize>, Vec<u8>)>,
    /// Segments that the program describes.
    own: Vec<u8>,
    pub(super) count: usize,
}

/// Data with where it stands in its image, and how long it is.
type Placed = (usize, usize, DeclId);

impl Writer<'_> {
    /// Makes the contents of memories.
    pub(super) fn data(&self, extra: &SectionInputs<'_>) -> Data {
        let layout = self.encoder.layout;
        let mut data = Data {
            images: Vec::new(),
            chunks: Vec::new(),
            own: Vec::new(),
            count: layout.data_segments.len(),
        };
        for at in layout.data.indices() {
            let image = layout.data.image(at);
            let bytes = self.image(at, extra.data);
            // Memory begins with zeros, unless it was somebody else's before; and segments that code loads are numbered
            // behind one for each memory.
            let is_fresh = !self.encoder.next(image.memory).is_import();
            let parts = match self.cuts && is_fresh && layout.data_segments.is_empty() {
                true => cut(&bytes),
                false => std::iter::once(0..bytes.len()).collect(),
            };
            let header = |part: Range<usize>| (at, part.clone(), self.segment_header(at, &part));
            data.count += parts.len();
            data.chunks.extend(parts.into_iter().map(header));
            data.images.push(bytes);
        }
        for item in layout.data_segments.iter() {
            self.data_segment(item.decl, &mut data.own);
        }
        data
    }

    fn segment_header(&self, at: ImageIndex, part: &Range<usize>) -> Vec<u8> {
        let layout = self.encoder.layout;
        let image = layout.data.image(at);
        let Place::Index(memory) = layout.place(image.memory) else {
            unreachable!("a memory has an index")
        };
        let mut out = vec![if memory == 0 { 0 } else { 2 }];
        if memory != 0 {
            push_unsigned(&mut out, memory.into());
        }
        let address = image.base + part.start as u64;
        if image.is_64 {
            out.push(0x42);
            push_signed(&mut out, address as i64);
        } else {
            out.push(0x41);
            push_signed(&mut out, i64::from(address as u32 as i32));
        }
        out.push(END);
        push_unsigned(&mut out, part.len() as u64);
        out
    }

    /// The bytes of a memory's image.
    fn image(&self, at: ImageIndex, data: &[DeclId]) -> Vec<u8> {
        let image = self.encoder.layout.data.image(at);
        let mut bytes = vec![0; image.cap as usize];
        let placed = |id: &DeclId| {
            let definition = self.encoder.next(*id);
            let (DefinitionKind::Data { size, .. }, Place::Data { address, .. }) =
                (definition.shape, self.encoder.layout.place(*id))
            else {
                return None;
            };
            let is_there = address < image.top && self.encoder.image_of(*id) == Some(at);
            is_there.then(|| ((address - image.base) as usize, size as usize, *id))
        };
        let mut placed: Vec<Placed> = data.iter().filter_map(placed).collect();
        placed.sort_unstable();
        let write = |(out, begin, run): (&mut [u8], usize, &[Placed])| {
            for (start, size, id) in run {
                self.encoder.data(*id, &mut out[start - begin..][..*size]);
            }
        };
        let runs = runs(&mut bytes, &placed).into_par_iter().with_max_len(1);
        region(|| runs.for_each(|run| task(|| write(run))));
        bytes
    }

    /// Appends the data section.
    pub(super) fn data_section(&self, data: &mut Data, draft: &mut Draft) -> Vec<Chunk> {
        let mut chunks = Vec::with_capacity(data.chunks.len());
        if data.count == 0 {
            return chunks;
        }
        let written = data.chunks.iter();
        let written = written.map(|(_, part, header)| (header.len() + part.len()) as u64);
        let count = data.count as u64;
        let len = unsigned_len(count) as u64 + written.sum::<u64>() + data.own.len() as u64;
        let begin = draft.begin(SectionKind::Data, len);
        draft.bytes(|out| push_unsigned(out, count));
        for (image, part, header) in std::mem::take(&mut data.chunks) {
            draft.bytes(|out| out.extend_from_slice(&header));
            let base = self.encoder.layout.data.image(image).base;
            chunks.push(Chunk {
                image,
                address: base + part.start as u64,
                offset: draft.len(),
                len: part.len() as u64,
            });
            for start in part.clone().step_by(RUN_BYTES) {
                let end = part.end.min(start + RUN_BYTES);
                draft.part((end - start) as u64, Part::Image(image, start..end));
            }
        }
        let own = std::mem::take(&mut data.own);
        draft.part(own.len() as u64, Part::Bytes(own));
        draft.end(SectionKind::Data, begin);
        chunks
    }
}

/// Cuts an image into runs for one thread each: their bytes, where they begin, and what stands in them. `placed` is in the
/// order of addresses.
fn runs<'a>(
    mut bytes: &'a mut [u8],
    mut placed: &'a [Placed],
) -> Vec<(&'a mut [u8], usize, &'a [Placed])> {
    let (mut runs, mut begin) = (Vec::new(), 0);
    while !placed.is_empty() {
        let mut end = begin;
        let is_in = |(start, size, _): &&Placed| {
            let is_in = *start < begin + RUN_BYTES || *start < end;
            end = end.max(start + if is_in { *size } else { 0 });
            is_in
        };
        let count = placed.iter().take_while(is_in).count().max(1);
        let (run, rest) = placed.split_at(count);
        // What is a long way off begins a run of its own.
        let end = rest
            .first()
            .map_or(begin + bytes.len(), |(start, ..)| *start);
        let (its, behind) = bytes.split_at_mut(end - begin);
        runs.push((its, begin, run));
        (bytes, placed, begin) = (behind, rest, end);
    }
    runs
}

/// The runs of `bytes` that are to be written so that what is between and behind them, all zeros, need not be.
fn cut(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut parts = between_zeros(bytes);
    let mut zeros = ZEROS;
    while parts.len() > MOST_CHUNKS {
        zeros *= 2;
        parts.dedup_by(|part, before| {
            let is_near = part.start - before.end < zeros;
            if is_near {
                before.end = part.end;
            }
            is_near
        });
    }
    parts
}

/// Zeros as many as these, whose offset is a multiple of how many they are, are within all that are left out.
const BLOCK: usize = ZEROS / 2;

/// What is left if all zeros at the ends and runs of [`ZEROS`] and more are.
fn between_zeros(bytes: &[u8]) -> Vec<Range<usize>> {
    let is_some = |byte: &u8| *byte != 0;
    let Some(mut begin) = bytes.iter().position(is_some) else {
        return Vec::new();
    };
    let end = bytes.iter().rposition(is_some).map_or(0, |last| last + 1);
    let mut parts = Vec::new();
    let mut at = begin.next_multiple_of(BLOCK);
    while at + BLOCK <= end {
        let block = bytes[at..at + BLOCK].first_chunk::<BLOCK>();
        if block.is_none_or(|block| u128::from_ne_bytes(*block) != 0) {
            at += BLOCK;
            continue;
        }
        let before = bytes[begin..at].iter().rposition(is_some);
        let start = before.map_or(begin, |last| begin + last + 1);
        let behind = bytes[at..end].iter().position(is_some);
        let behind = behind.map_or(end, |first| at + first);
        if behind - start >= ZEROS {
            parts.push(begin..start);
            begin = behind;
        }
        at = behind.next_multiple_of(BLOCK);
    }
    parts.push(begin..end);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_cut_out_is_zero(runs in prop::collection::vec((0usize..100, 0usize..50), 0..20)) {
            let bytes: Vec<u8> = runs
                .iter()
                .flat_map(|(ones, zeros)| [vec![1; *ones], vec![0; *zeros]].concat())
                .collect();
            let mut again = vec![0; bytes.len()];
            let parts = cut(&bytes);
            for part in &parts {
                prop_assert!(bytes[part.start] != 0 && bytes[part.end - 1] != 0);
                again[part.clone()].copy_from_slice(&bytes[part.clone()]);
                let longest = bytes[part.clone()].split(|byte| *byte != 0).map(<[u8]>::len).max();
                prop_assert!(longest < Some(ZEROS), "zeros are left in {part:?}");
            }
            prop_assert!(parts.windows(2).all(|two| two[1].start - two[0].end >= ZEROS));
            prop_assert_eq!(again, bytes);
        }

        #[test]
        fn runs_have_what_stands_in_them(
            items in prop::collection::vec((0usize..300_000, 0usize..200_000), 0..12),
        ) {
            let (mut placed, mut at) = (Vec::new(), 0);
            for (number, (gap, size)) in items.iter().enumerate() {
                placed.push((at + gap, *size, DeclId(number as u32)));
                at += gap + size;
            }
            let mut bytes = vec![0; at];
            let mut seen = Vec::new();
            for (its, begin, run) in runs(&mut bytes, &placed) {
                for (start, size, id) in run {
                    prop_assert!(*start >= begin && start + size <= begin + its.len());
                    seen.push((*start, *size, *id));
                }
            }
            prop_assert_eq!(seen, placed);
        }
    }
}
