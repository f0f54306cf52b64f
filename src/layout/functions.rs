//! Function entries and code slots: one ordinal names both. The order of code entries is the function index order,
//! so a body that outgrows its slot goes to the end, or into a dead slot that fits.
//!
//! Imports come before all defined functions. A new import takes the index of the first ordinal, which is given
//! up: every other function keeps its index. A few ordinals at the front are reserved for that.

use crate::program::DeclId;
use crate::transaction::{Log, LogLists, Saved, Transaction};

/// The position of a defined function among all that were ever laid out; never reused for another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ordinal(pub(crate) u32);

impl Ordinal {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who stands in a code slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Occupant {
    /// Nobody; at the front, to be given up for imports.
    Reserve,
    /// Nobody; on a free list.
    Dead,
    /// The function that every unused slot of the table points at.
    Trap,
    /// The function's own code.
    Body(DeclId),
    /// Code that calls the function through its slot.
    Thunk(DeclId),
    /// Code that calls the function at its new place.
    Forwarder(DeclId),
}

/// A place in the code section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodeRegion {
    /// Offset of the entry (its size field) from the section's anchor.
    pub(crate) offset: u32,
    /// Bytes of the entry, the five of the size field included.
    pub(crate) cap: u32,
    pub(crate) occupant: Occupant,
}

/// How many size classes the free lists distinguish.
const CLASSES: usize = 4 * 24;
/// How many slots of a class are looked at.
const SCAN: usize = 16;

/// All function entries and code slots.
#[derive(Debug, Clone)]
pub(crate) struct FunctionSpace {
    slots: Log<CodeRegion>,
    counts: Saved<Counts>,
    /// Dead slots of bodies by size class.
    free: LogLists<Ordinal>,
    /// Dead slots of thunks, which have no name entry.
    free_thunks: Log<Ordinal>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// Imported functions.
    imported: u32,
    /// The first ordinal that has not been given up.
    first: u32,
    /// Bytes from the anchor to the end of the last slot.
    end: u32,
    /// Bytes in dead slots.
    dead_bytes: u64,
}

impl FunctionSpace {
    pub(crate) fn new() -> Self {
        FunctionSpace {
            slots: Log::default(),
            counts: Saved::default(),
            free: LogLists::new(CLASSES),
            free_thunks: Log::default(),
        }
    }

    /// Sets how many functions are imported, in a fresh layout.
    pub(crate) fn set_imported(&mut self, imported: u32) {
        self.counts.imported = imported;
    }

    pub(crate) fn reserve(&mut self, additional: usize) {
        self.slots.reserve(additional);
    }

    pub(crate) fn slot(&self, ordinal: Ordinal) -> CodeRegion {
        self.slots[ordinal.index()]
    }

    /// The function index of an ordinal.
    pub(crate) fn index(&self, ordinal: Ordinal) -> u32 {
        self.indices().of(ordinal)
    }

    /// The rule from ordinals to function indices, which outlives changes of slots.
    pub(crate) fn indices(&self) -> Indices {
        Indices {
            imported: self.counts.imported,
            first: self.counts.first,
        }
    }

    pub(crate) fn imported(&self) -> u32 {
        self.counts.imported
    }

    pub(crate) fn first(&self) -> Ordinal {
        Ordinal(self.counts.first)
    }

    /// One more than the last ordinal.
    pub(crate) fn end(&self) -> Ordinal {
        Ordinal(self.slots.len() as u32)
    }

    /// How many functions are defined in the output, dead ones included.
    pub(crate) fn count(&self) -> u32 {
        self.end().0 - self.counts.first
    }

    /// Offset behind the last code slot, from the anchor.
    pub(crate) fn end_offset(&self) -> u32 {
        self.counts.end
    }

    /// Bytes in slots that nobody uses.
    pub(crate) fn dead_bytes(&self) -> u64 {
        self.counts.dead_bytes
    }

    pub(crate) fn ordinals(&self) -> impl Iterator<Item = Ordinal> + use<> {
        (self.counts.first..self.slots.len() as u32).map(Ordinal)
    }

    /// All slots from `start` on.
    pub(crate) fn slots_from(&self, start: Ordinal) -> &[CodeRegion] {
        &self.slots[start.index()..]
    }

    /// A new slot of `cap` bytes at the end.
    pub(crate) fn append(&mut self, cap: u32, occupant: Occupant) -> Option<Ordinal> {
        let ordinal = self.end();
        let offset = self.counts.end;
        self.counts.end = offset.checked_add(cap)?;
        if matches!(occupant, Occupant::Reserve | Occupant::Dead) {
            self.counts.dead_bytes += u64::from(cap);
        }
        self.slots.push(CodeRegion {
            offset,
            cap,
            occupant,
        });
        Some(ordinal)
    }

    /// A dead slot of at least `len` bytes that does not waste too much and that `fits` the name.
    pub(crate) fn reuse(
        &mut self,
        len: u32,
        occupant: Occupant,
        fits: impl Fn(Ordinal) -> bool,
    ) -> Option<(Ordinal, Occupant)> {
        let limit = len + len / 8 + 24;
        for class in class_of(len)..=class_of(limit) {
            let list = &self.free[class];
            let found = list
                .iter()
                .enumerate()
                .rev()
                .take(SCAN)
                .find(|(_, ordinal)| {
                    let cap = self.slots[ordinal.index()].cap;
                    cap >= len && cap <= limit && fits(**ordinal)
                });
            if let Some((at, &ordinal)) = found {
                self.free.swap_remove(class, at);
                let prior = self.slots[ordinal.index()].occupant;
                self.occupy(ordinal, occupant);
                return Some((ordinal, prior));
            }
        }
        None
    }

    /// A dead thunk's slot of at least `len` bytes.
    pub(crate) fn reuse_thunk(&mut self, len: u32, occupant: Occupant) -> Option<Ordinal> {
        let found = self.free_thunks.iter().enumerate().rev().take(SCAN);
        let (at, ordinal) = found
            .map(|(at, ordinal)| (at, *ordinal))
            .find(|(_, ordinal)| self.slots[ordinal.index()].cap >= len)?;
        self.free_thunks.swap_remove(at);
        self.occupy(ordinal, occupant);
        Some(ordinal)
    }

    fn occupy(&mut self, ordinal: Ordinal, occupant: Occupant) {
        let slot = self.slots[ordinal.index()];
        self.counts.dead_bytes -= u64::from(slot.cap);
        self.slots
            .set(ordinal.index(), CodeRegion { occupant, ..slot });
    }

    /// Changes who stands in a slot that stays in use.
    pub(crate) fn replace(&mut self, ordinal: Ordinal, occupant: Occupant) {
        let slot = self.slots[ordinal.index()];
        self.slots
            .set(ordinal.index(), CodeRegion { occupant, ..slot });
    }

    /// Gives a slot up; it can be reused.
    pub(crate) fn free(&mut self, ordinal: Ordinal) {
        let slot = self.slots[ordinal.index()];
        debug_assert!(!matches!(slot.occupant, Occupant::Dead | Occupant::Reserve));
        self.counts.dead_bytes += u64::from(slot.cap);
        self.slots.set(
            ordinal.index(),
            CodeRegion {
                occupant: Occupant::Dead,
                ..slot
            },
        );
        if matches!(slot.occupant, Occupant::Thunk(_)) {
            self.free_thunks.push(ordinal);
        } else {
            self.free.push(class_of(slot.cap), ordinal);
        }
    }

    /// Gives a slot up but keeps the code in it, now known as `orphan`, until the slot is reused.
    pub(crate) fn orphan(&mut self, ordinal: Ordinal, orphan: DeclId) {
        let slot = self.slots[ordinal.index()];
        self.counts.dead_bytes += u64::from(slot.cap);
        let occupant = Occupant::Body(orphan);
        self.slots
            .set(ordinal.index(), CodeRegion { occupant, ..slot });
        self.free.push(class_of(slot.cap), ordinal);
    }

    /// Gives up the first ordinal for a new import. It must be vacant.
    pub(crate) fn give_up_first(&mut self) {
        let first = self.first();
        let slot = self.slots[first.index()];
        debug_assert!(matches!(slot.occupant, Occupant::Dead | Occupant::Reserve));
        self.unlist(first);
        self.counts.dead_bytes -= u64::from(slot.cap);
        self.slots.set(
            first.index(),
            CodeRegion {
                occupant: Occupant::Reserve,
                ..slot
            },
        );
        self.counts.first += 1;
        self.counts.imported += 1;
    }

    /// Takes back the ordinal before the first, because an import went away. `None` if there never was one.
    pub(crate) fn take_back_first(&mut self) -> Option<Ordinal> {
        self.counts.first = self.counts.first.checked_sub(1)?;
        self.counts.imported -= 1;
        let first = self.first();
        self.counts.dead_bytes += u64::from(self.slots[first.index()].cap);
        Some(first)
    }

    /// The same as [`FunctionSpace::give_up_first`], but the first code that is left begins where it did: what comes next
    /// takes the bytes. Returns that; `None` if code stands there, and then the front moves.
    pub(crate) fn give_up_first_in_place(&mut self) -> Option<Ordinal> {
        let given = self.first();
        let bytes = self.slot(given).cap;
        self.give_up_first();
        let next = self.first();
        let is_dead = self.is_filler(next)?;
        self.resize_filler(next, self.slot(given).offset, self.slot(next).cap + bytes);
        let given_up = CodeRegion {
            cap: 0,
            ..self.slot(given)
        };
        self.slots.set(given.index(), given_up);
        self.counts.dead_bytes += if is_dead { u64::from(bytes) } else { 0 };
        Some(next)
    }

    /// The same as [`FunctionSpace::take_back_first`], but the first code begins where it did: the ordinal that comes back
    /// gets `len` bytes of the one behind it, which is returned. `None` if that has not as many to give.
    pub(crate) fn take_back_first_in_place(&mut self, len: u32) -> Option<(Ordinal, Ordinal)> {
        let next = self.first();
        let is_dead = self.is_filler(next)?;
        let CodeRegion { offset, cap, .. } = self.slot(next);
        let rest = cap.checked_sub(len).filter(|rest| *rest >= len)?;
        let first = Ordinal(next.0.checked_sub(1)?);
        self.slots.set(
            first.index(),
            CodeRegion {
                offset,
                cap: len,
                occupant: Occupant::Reserve,
            },
        );
        self.resize_filler(next, offset + len, rest);
        self.counts.first -= 1;
        self.counts.imported -= 1;
        self.counts.dead_bytes += if is_dead { 0 } else { u64::from(len) };
        Some((first, next))
    }

    /// Whether an ordinal's code does nothing, and if so, whether it is dead.
    fn is_filler(&self, ordinal: Ordinal) -> Option<bool> {
        match self.slots.get(ordinal.index())?.occupant {
            Occupant::Reserve | Occupant::Dead => Some(true),
            Occupant::Trap => Some(false),
            _ => None,
        }
    }

    /// Gives code that does nothing another place and length.
    fn resize_filler(&mut self, ordinal: Ordinal, offset: u32, cap: u32) {
        let listed = self.unlist(ordinal);
        let slot = self.slot(ordinal);
        self.slots.set(
            ordinal.index(),
            CodeRegion {
                offset,
                cap,
                ..slot
            },
        );
        if listed {
            self.free.push(class_of(cap), ordinal);
        }
    }

    /// Takes an ordinal off the free lists; returns whether it was on that of bodies.
    fn unlist(&mut self, ordinal: Ordinal) -> bool {
        let class = class_of(self.slots[ordinal.index()].cap);
        let position = |list: &[Ordinal]| list.iter().position(|other| *other == ordinal);
        if let Some(at) = position(&self.free[class]) {
            self.free.swap_remove(class, at);
            return true;
        }
        if let Some(at) = position(&self.free_thunks) {
            self.free_thunks.swap_remove(at);
        }
        false
    }

    fn each(&mut self, mut f: impl FnMut(&mut dyn Transaction)) {
        f(&mut self.slots);
        f(&mut self.counts);
        f(&mut self.free);
        f(&mut self.free_thunks);
    }
}

impl Transaction for FunctionSpace {
    fn begin(&mut self) {
        self.each(|part| part.begin());
    }

    fn commit(&mut self) {
        self.each(|part| part.commit());
    }

    fn rollback(&mut self) {
        self.each(|part| part.rollback());
    }
}

/// The rule from ordinals to function indices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Indices {
    imported: u32,
    first: u32,
}

impl Indices {
    pub(crate) fn of(self, ordinal: Ordinal) -> u32 {
        self.imported + ordinal.0 - self.first
    }
}

/// Four classes for each doubling of the size.
fn class_of(len: u32) -> usize {
    let len = len.max(8);
    let log = 31 - len.leading_zeros();
    let quarter = (len >> (log - 2)) & 3;
    (((log - 3) * 4 + quarter) as usize).min(CLASSES - 1)
}
