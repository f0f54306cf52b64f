//! What is kept of an object whose bytes are not: what its tables name, and hashes that tell whether contents of a later version
//! are what they were. So an object that another process has linked is compared with what has come in its place, though its file
//! is gone. Nothing here knows what an object is: see `keep`.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use rayon::iter::Either;
use smallvec::SmallVec;

use crate::object::span::Span;
use crate::wire::source::Later;

/// A hash of contents. Nobody chooses them to be equal: what tells two versions of a function apart need be no secret.
pub(super) type Digest = [u64; 2];

/// So many bytes of a custom section have a hash.
pub(super) const BLOCK: usize = 512;

/// The hash of some bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    [0x243f_6a88, 0x85a3_08d3].map(|seed| {
        let mut hasher = foldhash::quality::FixedState::with_seed(seed).build_hasher();
        hasher.write(bytes);
        hasher.finish()
    })
}

/// The hash of bytes in which fields mean nothing.
pub(super) fn digest_without(bytes: &[u8], fields: impl Iterator<Item = Range<usize>>) -> Digest {
    let mut copy: Option<SmallVec<[u8; 2048]>> = None;
    for field in fields {
        copy.get_or_insert_with(|| SmallVec::from_slice(bytes))[field].fill(0);
    }
    digest(copy.as_deref().unwrap_or(bytes))
}

/// The hashes of bytes in which fields mean nothing, block by block. Fields are in order.
pub(super) fn digest_blocks(
    bytes: &[u8],
    fields: impl Iterator<Item = Range<usize>>,
) -> impl Iterator<Item = Digest> {
    let mut fields = fields.peekable();
    bytes.chunks(BLOCK).enumerate().map(move |(number, block)| {
        let start = number * BLOCK;
        let mut copy = [0; BLOCK];
        let copy = &mut copy[..block.len()];
        copy.copy_from_slice(block);
        while let Some(field) = fields.peek() {
            let from = field.start.max(start) - start;
            let to = field.end.min(start + block.len());
            if from >= block.len() {
                break;
            }
            copy[from..(to - start).max(from)].fill(0);
            // The rest of it is in the next block.
            if field.end > start + block.len() {
                break;
            }
            fields.next();
        }
        digest(copy)
    })
}

/// A section as it stood in its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) id: u8,
    /// The name of a custom section.
    pub(super) name: Span,
    /// What is behind the name, if it has one.
    pub(super) contents: Span,
}

/// Contents that have hashes of their own, part by part.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Where they stood.
    pub(super) start: u32,
    pub(super) len: u32,
    /// How many fields of them mean nothing.
    pub(super) fields: u32,
    /// Of each part; of relocations of code and data there is one.
    pub(super) digests: Box<[Digest]>,
}

/// What is kept of an object.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The hash of all bytes of the input, and how many there were.
    pub(super) whole: Digest,
    pub(super) whole_len: u32,
    pub(super) sections: Box<[Section]>,
    /// What is kept as it is: where it stood, where it stands in `text`, in order.
    pub(super) parts: Box<[(Span, u32)]>,
    pub(super) text: Box<[u8]>,
    /// Where functions and segments of which no byte is kept stood, in order.
    pub(super) starts: Box<[u32]>,
    /// Their hashes, without fields that are relocated.
    pub(super) digests: Box<[Digest]>,
    /// Custom sections, and relocations of code and data.
    pub(super) blocks: Box<[Blocks]>,
}

impl Kept {
    /// A part that is kept as it is.
    pub(super) fn part(&self, span: Span) -> Option<&[u8]> {
        let next = self
            .parts
            .partition_point(|(part, _)| part.start <= span.start);
        let (part, at) = self.parts[..next].last()?;
        let start = (*at + (span.start - part.start)) as usize;
        (span.end() <= part.end()).then(|| &self.text[start..start + span.len as usize])
    }

    /// The hashes of contents that stood somewhere.
    pub(super) fn blocks(&self, start: u32) -> Option<&Blocks> {
        let place = self
            .blocks
            .binary_search_by_key(&start, |blocks| blocks.start);
        place.ok().map(|at| &self.blocks[at])
    }

    /// Whether what stood somewhere was these bytes, but for fields of them.
    pub(super) fn had(&self, start: u32, later: &mut Later<'_>) -> bool {
        if let Some(blocks) = self.blocks(start) {
            return blocks.is_of(later);
        }
        match (self.hash(start), later.hashes) {
            (None, _) => false,
            (Some(was), Some(now)) => was == now,
            (Some(was), None) => was == [digest_without(later.bytes, &mut *later.fields)],
        }
    }

    /// The hash of a function or segment of which no byte is kept, which stood somewhere.
    pub(super) fn hash(&self, start: u32) -> Option<&[Digest]> {
        let place = self.starts.binary_search(&start).ok()?;
        Some(&self.digests[place..=place])
    }
}

impl Blocks {
    /// Whether these are the bytes, but for fields of them.
    fn is_of(&self, later: &mut Later<'_>) -> bool {
        later.bytes.len() == self.len as usize && self.changed(later).next().is_none()
    }

    /// Parts that are not what they were but for fields of them, as far as both go.
    pub(super) fn changed(&self, later: &mut Later<'_>) -> impl Iterator<Item = Range<usize>> {
        let common = later.bytes.len().min(self.len as usize);
        let now = match later.hashes {
            Some(known) => Either::Left(known.iter().copied()),
            None => Either::Right(digest_blocks(later.bytes, &mut *later.fields)),
        };
        let both = now.zip(&self.digests).enumerate();
        both.filter(|(_, (now, was))| now != *was)
            .map(move |(at, _)| at * BLOCK..((at + 1) * BLOCK).min(common))
            .filter(|range| !range.is_empty())
    }
}
