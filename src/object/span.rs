//! A range of an input: what all tables hold instead of bytes.

use std::ops::Range;

/// A range of an input's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Offset of the first byte in the file (in the archive, for a member).
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// Offset behind the last byte.
    #[inline]
    pub fn end(self) -> usize {
        self.start as usize + self.len as usize
    }

    /// As a range for slicing.
    #[inline]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end()
    }

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}
