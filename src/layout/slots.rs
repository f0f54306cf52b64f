//! Slots of the function table. A slot belongs to one function for as long as anything refers to it; free slots point
//! at the trap.

use crate::program::DeclId;
use crate::transaction::{Log, Transaction};

/// An index into the function table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub(crate) u32);

/// All slots that the element segment fills.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotSpace {
    /// The first slot.
    base: u32,
    owners: Log<Option<DeclId>>,
    free: Log<Slot>,
    /// Whether a slot that was given back is never given to another function: somebody may still call through it.
    keeps: bool,
}

impl SlotSpace {
    /// Slots from `base` on; with `keeps`, each is for one function only.
    pub(crate) fn new(base: u32, keeps: bool) -> Self {
        SlotSpace {
            base,
            keeps,
            ..SlotSpace::default()
        }
    }

    /// The same slots for a layout from nothing; those whose owner is gone belong to nobody.
    pub(crate) fn kept(&self, is_there: impl Fn(DeclId) -> bool) -> SlotSpace {
        let owners = self.owners.iter();
        let owners: Vec<Option<DeclId>> = owners
            .map(|owner| owner.filter(|id| is_there(*id)))
            .collect();
        SlotSpace {
            base: self.base,
            owners: Log::from(owners),
            free: Log::from(self.free.to_vec()),
            keeps: self.keeps,
        }
    }

    /// The first slot of the element segment.
    pub(crate) fn base(&self) -> u32 {
        self.base
    }

    /// How many entries the element segment has.
    pub(crate) fn len(&self) -> u32 {
        self.owners.len() as u32
    }

    /// Entries the table needs.
    pub(crate) fn table_len(&self) -> u32 {
        self.base + self.len()
    }

    /// Position of a slot's entry in the element segment.
    pub(crate) fn entry(&self, slot: Slot) -> u32 {
        slot.0 - self.base
    }

    /// Whom the entry at a position belongs to.
    pub(crate) fn owner(&self, entry: u32) -> Option<DeclId> {
        self.owners[entry as usize]
    }

    /// Whom each entry belongs to.
    pub(crate) fn owners(&self) -> &[Option<DeclId>] {
        &self.owners
    }

    /// Adds unused entries.
    pub(crate) fn grow(&mut self, by: u32) {
        let start = self.table_len();
        (0..by).for_each(|_| self.owners.push(None));
        (start..start + by)
            .rev()
            .for_each(|slot| self.free.push(Slot(slot)));
    }

    /// Adds an entry that is in use, without looking for a free one: for bulk layout.
    pub(crate) fn append(&mut self, owner: DeclId) -> Slot {
        let slot = Slot(self.table_len());
        self.owners.push(Some(owner));
        slot
    }

    /// A slot for `owner`; grows the segment if there is none.
    pub(crate) fn take(&mut self, owner: DeclId) -> Slot {
        if self.free.is_empty() {
            // A few at a time: each is written, and counts for the patch that needs the first of them.
            self.grow(4);
        }
        let slot = self.free.pop().expect("grown just now");
        self.owners.set((slot.0 - self.base) as usize, Some(owner));
        slot
    }

    /// Gives a slot back.
    pub(crate) fn free(&mut self, slot: Slot) {
        self.owners.set((slot.0 - self.base) as usize, None);
        if !self.keeps {
            self.free.push(slot);
        }
    }
}

impl Transaction for SlotSpace {
    fn begin(&mut self) {
        self.owners.begin();
        self.free.begin();
    }

    fn commit(&mut self) {
        self.owners.commit();
        self.free.commit();
    }

    fn rollback(&mut self) {
        self.owners.rollback();
        self.free.rollback();
    }
}
