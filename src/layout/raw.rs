//! Segments that the program wrote itself, within a section: one behind the other, in order.

use std::ops::Deref;

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
#[derive(Debug, Default)]
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

    /// Takes one out; those behind it move.
    pub(crate) fn remove(&mut self, decl: DeclId) {
        let at = self.position(decl);
        self.0.remove(at);
        self.recompute();
    }

    /// Sets the length of one; those behind it move. Returns whether it has changed.
    pub(crate) fn resize(&mut self, decl: DeclId, len: u32) -> bool {
        let at = self.position(decl);
        let item = self.0[at];
        if item.len == len {
            return false;
        }
        self.0.set(at, RawItem { len, ..item });
        self.recompute();
        true
    }

    fn position(&self, decl: DeclId) -> usize {
        let at = self.iter().position(|item| item.decl == decl);
        at.expect("placed segments are listed")
    }

    /// Brings the offsets up to date.
    fn recompute(&mut self) {
        let mut offset = 0;
        for at in 0..self.0.len() {
            let item = self.0[at];
            if item.offset != offset {
                self.0.set(at, RawItem { offset, ..item });
            }
            offset += item.len;
        }
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
