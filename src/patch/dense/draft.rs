//! A file whose length and places are known, before it is written.

use std::ops::Range;

use crate::layout::{CustomIndex, ImageIndex, Ordinal, SectionKind};
use crate::wire::leb::{push_unsigned, unsigned_len};
use crate::wire::section::push_string;

/// A part of the file that one thread writes at a time.
pub(super) enum Part {
    /// What is at hand.
    Bytes(Vec<u8>),
    /// A range of a memory's image.
    Image(ImageIndex, Range<usize>),
    /// As many functions from this one on; all of them keep the width of their fields.
    Code(Ordinal, usize),
    /// Strings of a section of strings.
    Strings(CustomIndex, Range<usize>),
    /// Whole pieces of a custom section.
    Pieces(CustomIndex, Range<usize>),
    /// Bytes of a long piece.
    Piece(CustomIndex, usize, Range<usize>),
    /// Names of as many functions from this one on.
    Names(Ordinal, usize),
}

/// Bytes up to this many go to one part with those before.
const FEW: usize = 4096;

/// The parts of a file, one behind the other without a gap.
pub(super) struct Draft {
    /// Each with how long it is.
    pub(super) parts: Vec<(u64, Part)>,
    len: u64,
    /// The sections that are there, in file order.
    pub(super) sections: Vec<(SectionKind, Range<u64>)>,
}

impl Draft {
    pub(super) fn new() -> Draft {
        let mut draft = Draft {
            parts: Vec::new(),
            len: 0,
            sections: Vec::new(),
        };
        draft.bytes(|out| out.extend_from_slice(b"\0asm\x01\0\0\0"));
        draft
    }

    /// How long the file is so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn part(&mut self, len: u64, part: Part) {
        if len > 0 {
            self.parts.push((len, part));
            self.len += len;
        }
    }

    /// Appends a few bytes.
    pub(super) fn bytes(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.parts.last(), Some((_, Part::Bytes(bytes))) if bytes.len() < FEW) {
            self.parts.push((0, Part::Bytes(Vec::new())));
        }
        if let Some((len, Part::Bytes(bytes))) = self.parts.last_mut() {
            push(bytes);
            self.len += bytes.len() as u64 - *len;
            *len = bytes.len() as u64;
        }
    }

    /// Appends bytes that are whole sections.
    pub(super) fn raw(&mut self, kind: SectionKind, bytes: &[u8]) {
        let begin = self.len;
        if !bytes.is_empty() {
            self.part(bytes.len() as u64, Part::Bytes(bytes.to_vec()));
            self.end(kind, begin);
        }
    }

    /// Begins a section of `len` bytes. Returns its offset, for [`Draft::end`].
    pub(super) fn begin(&mut self, kind: SectionKind, len: u64) -> u64 {
        let begin = self.len;
        self.bytes(|out| {
            out.push(kind.id());
            push_unsigned(out, len);
        });
        begin
    }

    pub(super) fn end(&mut self, kind: SectionKind, begin: u64) {
        self.sections.push((kind, begin..self.len));
    }

    /// Appends a section that is a vector, unless it is empty.
    pub(super) fn vector(&mut self, kind: SectionKind, (count, entries): (usize, Vec<u8>)) {
        if count == 0 {
            return;
        }
        let len = unsigned_len(count as u64) + entries.len();
        let begin = self.begin(kind, len as u64);
        self.bytes(|out| push_unsigned(out, count as u64));
        match entries.len() < FEW {
            true => self.bytes(|out| out.extend_from_slice(&entries)),
            false => self.part(entries.len() as u64, Part::Bytes(entries)),
        }
        self.end(kind, begin);
    }

    /// Appends a section that is a number.
    pub(super) fn number(&mut self, kind: SectionKind, value: u32) {
        let begin = self.begin(kind, unsigned_len(value.into()) as u64);
        self.bytes(|out| push_unsigned(out, value.into()));
        self.end(kind, begin);
    }

    /// Begins a custom section with so many bytes behind its name. Returns its offset, for [`Draft::end`].
    pub(super) fn begin_custom(&mut self, kind: SectionKind, name: &str, len: u64) -> u64 {
        let header = unsigned_len(name.len() as u64) + name.len();
        let begin = self.begin(kind, header as u64 + len);
        self.bytes(|out| push_string(out, name));
        begin
    }
}
