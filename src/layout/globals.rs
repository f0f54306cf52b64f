//! Globals: fixed-width entries, reused for a global whose entry is as long. Imports take the index of the first
//! ordinal, as with functions.

use crate::layout::functions::Ordinal;
use crate::program::DeclId;
use crate::transaction::{Log, Saved, Transaction};

/// Bytes of an unused global: `i32`, constant, zero, with a five-byte initialiser.
pub(crate) const UNUSED: [u8; 9] = [0x7f, 0x00, 0x41, 0x80, 0x80, 0x80, 0x80, 0x00, 0x0b];
/// How many freed globals are looked at.
const SCAN: usize = 64;

/// A place in the global section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GlobalSlot {
    /// Offset from the section's anchor.
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) owner: Option<DeclId>,
}

/// All globals.
#[derive(Debug, Clone, Default)]
pub(crate) struct GlobalSpace {
    slots: Log<GlobalSlot>,
    free: Log<Ordinal>,
    counts: Saved<Counts>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    imported: u32,
    first: u32,
    end: u32,
}

impl GlobalSpace {
    /// Sets how many globals are imported, in a fresh layout.
    pub(crate) fn set_imported(&mut self, imported: u32) {
        self.counts.imported = imported;
    }

    pub(crate) fn slot(&self, ordinal: Ordinal) -> GlobalSlot {
        self.slots[ordinal.index()]
    }

    pub(crate) fn index(&self, ordinal: Ordinal) -> u32 {
        self.counts.imported + ordinal.0 - self.counts.first
    }

    pub(crate) fn first(&self) -> Ordinal {
        Ordinal(self.counts.first)
    }

    pub(crate) fn end(&self) -> Ordinal {
        Ordinal(self.slots.len() as u32)
    }

    pub(crate) fn count(&self) -> u32 {
        self.slots.len() as u32 - self.counts.first
    }

    pub(crate) fn end_offset(&self) -> u32 {
        self.counts.end
    }

    pub(crate) fn imported(&self) -> u32 {
        self.counts.imported
    }

    pub(crate) fn ordinals(&self) -> impl Iterator<Item = Ordinal> + use<> {
        (self.counts.first..self.slots.len() as u32).map(Ordinal)
    }

    /// A new global at the end; without an owner it is an unused one.
    pub(crate) fn append(&mut self, len: u32, owner: Option<DeclId>) -> Ordinal {
        let ordinal = self.end();
        let offset = self.counts.end;
        self.counts.end += len;
        self.slots.push(GlobalSlot { offset, len, owner });
        ordinal
    }

    /// A place for an entry of `len` bytes: a freed one of that length, or a new one.
    pub(crate) fn place(&mut self, len: u32, owner: DeclId) -> Ordinal {
        let found = self.free.iter().enumerate().rev().take(SCAN);
        let found = found
            .map(|(at, ordinal)| (at, *ordinal))
            .find(|(_, ordinal)| self.slot(*ordinal).len == len);
        let Some((at, ordinal)) = found else {
            return self.append(len, Some(owner));
        };
        self.free.swap_remove(at);
        let slot = self.slot(ordinal);
        self.slots.set(
            ordinal.index(),
            GlobalSlot {
                owner: Some(owner),
                ..slot
            },
        );
        ordinal
    }

    /// Gives a global up. What it holds stays valid, unless it refers to something: see the planner.
    pub(crate) fn free(&mut self, ordinal: Ordinal) {
        let slot = self.slot(ordinal);
        self.slots.set(
            ordinal.index(),
            GlobalSlot {
                owner: None,
                ..slot
            },
        );
        self.free.push(ordinal);
    }

    /// Gives up the first ordinal for a new import. It must be vacant.
    pub(crate) fn give_up_first(&mut self) {
        let first = self.first();
        if let Some(at) = self.free.iter().position(|other| *other == first) {
            self.free.swap_remove(at);
        }
        self.counts.first += 1;
        self.counts.imported += 1;
    }

    /// Takes back the ordinal before the first, because an import went away. `None` if there never was one.
    pub(crate) fn take_back_first(&mut self) -> Option<Ordinal> {
        self.counts.first = self.counts.first.checked_sub(1)?;
        self.counts.imported -= 1;
        let first = self.first();
        self.free.push(first);
        Some(first)
    }
}

impl Transaction for GlobalSpace {
    fn begin(&mut self) {
        self.slots.begin();
        self.free.begin();
        self.counts.begin();
    }

    fn commit(&mut self) {
        self.slots.commit();
        self.free.commit();
        self.counts.commit();
    }

    fn rollback(&mut self) {
        self.slots.rollback();
        self.free.rollback();
        self.counts.rollback();
    }
}
