//! Segments that the program wrote itself, within a section: one behind the other, in order.

use std::ops::{Deref, Range};

use crate::program::DeclId;
use crate::transaction::{Log, Transaction};

/// A segment or entry that the program wrote itself, within a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawItem {
    pub(crate) decl: DeclId,
    /// Offset from the first raw item.
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// All of a section.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawItems(Log<RawItem>);

impl Deref for RawItems {
    type Target = [RawItem];

    fn deref(&self) -> &[RawItem] {
        &self.0
    }
}

impl RawItems {
    /// Bytes that they take in the section.
    pub(crate) fn byte_len(&self) -> u64 {
        self.last()
            .map_or(0, |item| u64::from(item.offset) + u64::from(item.len))
    }

    /// Adds one behind the others.
    pub(crate) fn push(&mut self, decl: DeclId, len: u32) {
        let offset = self.byte_len() as u32;
        self.0.push(RawItem { decl, offset, len });
    }

    /// Makes them these, each with its length, in one pass however many change. Returns which of them stand elsewhere than
    /// before, as runs of positions.
    pub(crate) fn become_items(
        &mut self,
        items: impl Iterator<Item = (DeclId, u32)>,
    ) -> Vec<Range<usize>> {
        let mut offset = 0;
        let mut after = Vec::new();
        for (decl, len) in items {
            after.push(RawItem { decl, offset, len });
            offset += len;
        }
        let mut moved: Vec<Range<usize>> = Vec::new();
        for at in self.0.become_items(&after) {
            match moved.last_mut() {
                Some(run) if run.end == at => run.end += 1,
                _ => moved.push(at..at + 1),
            }
        }
        moved
    }
}

impl Transaction for RawItems {
    fn begin(&mut self) {
        self.0.begin();
    }

    fn commit(&mut self) {
        self.0.commit();
    }

    fn rollback(&mut self) {
        self.0.rollback();
    }
}
