//! The patch as a value: sorted, disjoint byte ranges with a reason each, and the bytes to put there.
//!
//! A patch can be printed, snapshot-tested, applied to a buffer or handed to `output`. It must not know of
//! declarations' contents nor of files.

use std::fmt;

/// Why a range of the output was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A section as a whole, on first write or on a relink.
    Section,
    /// A section's size, count or the header of the pad behind it.
    Header,
    /// The contents of a pad that moved.
    Pad,
    /// A declaration's block of types.
    Types,
    /// The import section, written whole.
    Imports,
    /// An entry of the function section.
    FunctionEntry,
    /// A function's body, redefined in its place.
    BodyInPlace,
    /// A function's body, in a place that was dead.
    BodyReused,
    /// A function's body, appended at the end of the code section.
    BodyAppended,
    /// An entry thunk, calling through its slot.
    Thunk,
    /// A forwarder, left where a function stood.
    Forwarder,
    /// Filler in a place that is dead now.
    Dead,
    /// An index or address rewritten in a declaration that did not change itself.
    Reference,
    /// The offset of a function's code, rewritten in a piece of a custom section that did not change itself.
    CodeOffset,
    /// The offset of a piece of a custom section, rewritten in another one that did not change itself.
    SectionOffset,
    /// A piece of a custom section.
    Piece,
    /// Filler between the pieces of a custom section.
    Gap,
    /// A slot of the function table.
    Slot,
    /// The tables, memories or tags, written whole.
    Entities,
    /// A global.
    Global,
    /// The export section, written whole.
    Exports,
    /// The start section.
    Start,
    /// A module's own element segments.
    Elements,
    /// The number of data segments.
    DataCount,
    /// A declaration's data.
    Data,
    /// An entry of the function name map.
    Name,
    /// A section moved to make room.
    MakeRoom,
    /// Generation and build id.
    Identity,
    /// Whatever it was, it was decided elsewhere: the patch came in an [`Envelope`](crate::Envelope).
    Received,
}

impl Reason {
    /// The word used in listings and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Section => "section",
            Reason::Header => "header",
            Reason::Pad => "pad",
            Reason::Types => "types",
            Reason::Imports => "imports",
            Reason::FunctionEntry => "function-entry",
            Reason::BodyInPlace => "body-in-place",
            Reason::BodyReused => "body-reused",
            Reason::BodyAppended => "body-appended",
            Reason::Thunk => "thunk",
            Reason::Forwarder => "forwarder",
            Reason::Dead => "dead",
            Reason::Reference => "reference",
            Reason::CodeOffset => "code-offset",
            Reason::SectionOffset => "section-offset",
            Reason::Piece => "piece",
            Reason::Gap => "gap",
            Reason::Slot => "slot",
            Reason::Entities => "entities",
            Reason::Global => "global",
            Reason::Exports => "exports",
            Reason::Start => "start",
            Reason::Elements => "elements",
            Reason::DataCount => "data-count",
            Reason::Data => "data",
            Reason::Name => "name",
            Reason::MakeRoom => "make-room",
            Reason::Identity => "identity",
            Reason::Received => "received",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One contiguous run of bytes that a commit writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Offset in the output file, in bytes.
    pub offset: u64,
    /// Length in bytes; never zero.
    pub len: u32,
    /// Where the bytes stand in the patch's arena.
    pub(crate) source: u32,
    /// Why.
    pub reason: Reason,
}

/// The byte ranges that one commit writes, sorted and disjoint, with their bytes.
#[derive(Debug, Clone, Default)]
pub struct RangeList {
    ranges: Vec<Range>,
    arena: Vec<u8>,
    /// Length of the whole file before and after.
    old_len: u64,
    new_len: u64,
}

impl RangeList {
    /// An empty list for a file of `old_len` bytes.
    pub fn new(old_len: u64) -> Self {
        RangeList {
            ranges: Vec::new(),
            arena: Vec::new(),
            old_len,
            new_len: old_len,
        }
    }

    /// Adds `bytes` at `offset`. Ranges may be added in any order; see [`RangeList::finish`].
    pub fn push(&mut self, offset: u64, bytes: &[u8], reason: Reason) {
        if bytes.is_empty() {
            return;
        }
        let source = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        self.ranges.push(Range {
            offset,
            len: bytes.len() as u32,
            source,
            reason,
        });
    }

    /// Puts the ranges in file order.
    pub(crate) fn sort(&mut self) {
        self.ranges.sort_unstable_by_key(|range| range.offset);
    }

    /// Sorts the ranges and sets the file's new length.
    ///
    /// # Panics
    /// If two ranges overlap or one ends behind `new_len`: a broken invariant of the planner.
    pub fn finish(&mut self, new_len: u64) {
        self.new_len = new_len;
        self.sort();
        let mut end = 0;
        for range in &self.ranges {
            assert!(
                range.offset >= end,
                "patch ranges overlap at {:#x} ({})",
                range.offset,
                range.reason
            );
            end = range.offset + u64::from(range.len);
        }
        assert!(end <= new_len, "a patch range ends behind the file");
    }

    /// The ranges in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Range, &[u8])> + DoubleEndedIterator {
        self.ranges.iter().map(|range| {
            let start = range.source as usize;
            (*range, &self.arena[start..start + range.len as usize])
        })
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many bytes are written.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.len)).sum()
    }

    /// Length of the file before the patch.
    pub fn old_len(&self) -> u64 {
        self.old_len
    }

    /// Length of the file after the patch.
    pub fn new_len(&self) -> u64 {
        self.new_len
    }

    /// Applies the patch to a buffer that holds the whole file.
    pub fn apply(&self, file: &mut Vec<u8>) {
        file.resize(self.new_len as usize, 0);
        for (range, bytes) in self.iter() {
            let start = range.offset as usize;
            file[start..start + bytes.len()].copy_from_slice(bytes);
        }
    }
}
