//! Custom sections that consist of pieces: each piece has a region, and the gaps between them hold filler.
//!
//! Regions stand one behind the other and keep their places and lengths. A piece that outgrows its region takes those behind
//! it, if that is less to write, and otherwise goes to a free one that fits, or to the section's end; what it leaves is filled.
//! Besides, only the last region changes its length. Where a gap cannot be filled there is none: what stands behind it closes up; and in a section without filler it makes room.

use std::cmp::Ordering;
use std::ops::Range;

use crate::hash::HashSet;
use crate::program::{DeclId, SectionId};
use crate::transaction::{Log, Saved, Transaction};
use crate::wire::dwarf::{self, Filler};
use crate::wire::gap::{GapFiller, Gaps};
use crate::wire::leb;

/// How many free regions are looked at.
const SCAN: usize = 64;

/// Bytes of a piece that others make way for.
const WORTH_A_WAY: u32 = 4096;

/// The position of a custom section of pieces among all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CustomIndex(pub(crate) u16);

/// The position of a region in its section. It never changes while the region has an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RegionIndex(pub(crate) u32);

/// A range of a custom section's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    /// Offset from the beginning of the section's contents, behind its name.
    pub(crate) offset: u32,
    pub(crate) cap: u32,
    /// Without an owner it is a gap.
    pub(crate) owner: Option<DeclId>,
}

/// A custom section of the output.
#[derive(Debug, Clone)]
pub(crate) struct CustomSection {
    pub(crate) id: SectionId,
    pub(crate) name: Box<str>,
    pub(crate) filler: Gaps,
    /// What its owner has named for that.
    own: Option<GapFiller>,
    /// What stands for a place that does not exist.
    pub(crate) tombstone: Option<u64>,
    /// What stands at the beginning, for filler elsewhere to refer to.
    pub(crate) prefix: &'static [u8],
    regions: Log<Region>,
    /// Regions without an owner, and some that have one again or are gone: who takes one looks.
    free: Log<RegionIndex>,
    counts: Saved<Counts>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// Offset behind the last region.
    end: u32,
    /// Bytes in free regions.
    dead: u32,
    /// How many of them there are.
    free: u32,
}

/// The section would exceed 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CustomFull;

/// What is left where a piece was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: it was at the section's end.
    Nothing,
    /// A gap, to be filled.
    Gap,
    /// Nothing, since it could not be filled: the regions behind it stand earlier now, and count from one less.
    ClosedUp,
}

impl CustomSection {
    fn new(id: SectionId, name: &str, own: Option<&GapFiller>, dense: bool) -> Self {
        let prefix = if dense { &[] } else { Filler::prefix(name) };
        let mut counts = Saved::<Counts>::default();
        counts.end = prefix.len() as u32;
        CustomSection {
            id,
            name: name.into(),
            // Known when all sections are.
            filler: Gaps::Known(Filler::of(name, false).none()),
            own: own.cloned(),
            tombstone: dwarf::tombstone(name),
            prefix,
            regions: Log::default(),
            free: Log::default(),
            counts,
        }
    }

    /// Bytes from the section's beginning to its contents: identifier, size, name.
    pub(crate) fn header_len(&self) -> u64 {
        let name = self.name.len() as u64;
        6 + leb::unsigned_len(name) as u64 + name
    }

    /// Offset behind the last region, from the beginning of the contents.
    pub(crate) fn end(&self) -> u32 {
        self.counts.end
    }

    /// Bytes in regions that have no owner.
    pub(crate) fn dead(&self) -> u32 {
        self.counts.dead
    }

    /// All regions, in the order in which they stand.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }

    pub(crate) fn region(&self, region: RegionIndex) -> Region {
        self.regions[region.0 as usize]
    }

    fn is_last(&self, region: RegionIndex) -> bool {
        region.0 as usize + 1 == self.regions.len()
    }

    /// A new region at the end.
    pub(crate) fn append(&mut self, cap: u32, owner: DeclId) -> Result<RegionIndex, CustomFull> {
        let offset = self.counts.end;
        self.counts.end = offset.checked_add(cap).ok_or(CustomFull)?;
        self.regions.push(Region {
            offset,
            cap,
            owner: Some(owner),
        });
        Ok(RegionIndex(self.regions.len() as u32 - 1))
    }

    /// A free region for `len` bytes that does not waste too much.
    pub(crate) fn reuse(&mut self, len: u32, owner: DeclId) -> Option<RegionIndex> {
        let most = u64::from(len) + u64::from(len) / 2 + 256;
        let found = self.free.iter().enumerate().rev().take(SCAN);
        let (at, region) = found
            .map(|(at, region)| (at, *region))
            .filter(|(_, region)| self.is_free(*region))
            .find(|(_, region)| {
                let cap = self.region(*region).cap;
                cap >= len && u64::from(cap) <= most && self.filler.fits(cap - len)
            })?;
        self.free.swap_remove(at);
        let old = self.region(region);
        self.counts.dead -= old.cap;
        self.counts.free -= 1;
        let owner = Some(owner);
        self.regions.set(region.0 as usize, Region { owner, ..old });
        Some(region)
    }

    fn is_free(&self, region: RegionIndex) -> bool {
        let region = self.regions.get(region.0 as usize);
        region.is_some_and(|region| region.owner.is_none() && region.cap > 0)
    }

    /// The regions behind one that would have to be given up so that it has `len` bytes, if they are few and short beside it.
    pub(crate) fn way(&self, region: RegionIndex, len: u32) -> Option<Range<u32>> {
        if len < WORTH_A_WAY {
            return None;
        }
        let mut cap = self.region(region).cap;
        let mut cost = 0;
        let first = region.0 + 1;
        for at in (first..self.regions.len() as u32).take(SCAN) {
            let next = self.regions[at as usize];
            cap = cap.checked_add(next.cap)?;
            cost += next.owner.map_or(0, |_| next.cap);
            if cost > len / 2 {
                return None;
            }
            if cap >= len && self.filler.fits(cap - len) {
                return Some(first..at + 1);
            }
        }
        None
    }

    /// Gives a region the bytes of those behind it, which keep their positions and have no owner and no bytes any more.
    pub(crate) fn take(&mut self, region: RegionIndex, way: Range<u32>) {
        let old = self.region(region);
        let mut end = old.offset + old.cap;
        for at in way.clone() {
            let next = self.regions[at as usize];
            end += next.cap;
            if next.owner.is_none() && next.cap > 0 {
                self.counts.dead -= next.cap;
                self.counts.free -= 1;
            }
        }
        for at in way {
            let none = Region {
                offset: end,
                cap: 0,
                owner: None,
            };
            self.regions.set(at as usize, none);
        }
        let cap = end - old.offset;
        self.regions.set(region.0 as usize, Region { cap, ..old });
    }

    /// Takes what is not free off the list of what is, once that is most of it.
    fn tidy(&mut self) {
        if self.free.len() <= 2 * self.counts.free as usize + SCAN {
            return;
        }
        let mut seen: HashSet<_> = HashSet::default();
        for at in (0..self.free.len()).rev() {
            let region = self.free[at];
            if !self.is_free(region) || !seen.insert(region) {
                self.free.swap_remove(at);
            }
        }
    }

    /// Whether `len` bytes can stand in a region that has an owner; the last one is made as long as that and `slack`.
    pub(crate) fn resize(&mut self, region: RegionIndex, len: u32, slack: u32) -> bool {
        let old = self.region(region);
        if len <= old.cap && self.filler.fits(old.cap - len) {
            return true;
        }
        let cap = len.checked_add(slack);
        let end = cap.and_then(|cap| old.offset.checked_add(cap));
        if let (true, Some(cap), Some(end)) = (self.is_last(region), cap, end) {
            self.counts.end = end;
            self.regions.set(region.0 as usize, Region { cap, ..old });
            return true;
        }
        false
    }

    /// Makes a region as long as its piece, where there is no filler; what stands behind it closes up or makes room.
    pub(crate) fn fit(&mut self, region: RegionIndex, len: u32) -> Result<(), CustomFull> {
        let old = self.region(region);
        let end = (self.counts.end - old.cap).checked_add(len);
        self.counts.end = end.ok_or(CustomFull)?;
        let fitting = Region { cap: len, ..old };
        self.regions.set(region.0 as usize, fitting);
        for at in region.0 as usize + 1..self.regions.len() {
            let behind = self.regions[at];
            let offset = behind.offset - old.cap + len;
            self.regions.set(at, Region { offset, ..behind });
        }
        Ok(())
    }

    /// Takes a region away that cannot be filled.
    fn close_up(&mut self, region: RegionIndex) {
        let gone = self.region(region);
        for at in region.0 as usize + 1..self.regions.len() {
            let behind = self.regions[at];
            let offset = behind.offset - gone.cap;
            self.regions.set(at - 1, Region { offset, ..behind });
        }
        self.regions.pop();
        self.counts.end -= gone.cap;
        for at in (0..self.free.len()).rev() {
            match self.free[at].cmp(&region) {
                Ordering::Less => {}
                Ordering::Equal => drop(self.free.swap_remove(at)),
                Ordering::Greater => self.free.set(at, RegionIndex(self.free[at].0 - 1)),
            }
        }
    }

    /// Gives a region up; says what is left there.
    pub(crate) fn free(&mut self, region: RegionIndex) -> Left {
        let old = self.region(region);
        if !self.is_last(region) && !self.filler.fits(old.cap) {
            self.close_up(region);
            return Left::ClosedUp;
        }
        let free = Region { owner: None, ..old };
        self.regions.set(region.0 as usize, free);
        if old.cap > 0 {
            self.free.push(region);
            self.counts.dead += old.cap;
            self.counts.free += 1;
        }
        if !self.is_last(region) {
            return Left::Gap;
        }
        while let Some(last) = self
            .regions
            .last()
            .filter(|last| last.owner.is_none())
            .copied()
        {
            self.regions.pop();
            self.counts.end = last.offset;
            self.counts.dead -= last.cap;
            self.counts.free -= u32::from(last.cap > 0);
        }
        self.tidy();
        Left::Nothing
    }

    /// Writes the header of the section, which ends `end` bytes behind its beginning.
    pub(crate) fn write_header(&self, end: u64, out: &mut [u8]) {
        out[0] = 0;
        leb::write_unsigned(&mut out[1..6], end - 6);
        let name = self.name.as_bytes();
        let at = 6 + leb::unsigned_len(name.len() as u64);
        leb::write_unsigned(&mut out[6..at], name.len() as u64);
        out[at..][..name.len()].copy_from_slice(name);
    }

    fn each(&mut self, mut f: impl FnMut(&mut dyn Transaction)) {
        f(&mut self.regions);
        f(&mut self.free);
        f(&mut self.counts);
    }
}

/// All custom sections that consist of pieces, in the order in which they stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct CustomSpace {
    sections: Vec<CustomSection>,
    /// Addresses are of eight bytes.
    wide: bool,
    dense: bool,
    /// How many sections there were when the transaction began.
    before: usize,
}

impl CustomSpace {
    /// No sections yet, for a module with `wide` addresses.
    pub(crate) fn new(wide: bool, dense: bool) -> Self {
        CustomSpace {
            wide,
            dense,
            ..CustomSpace::default()
        }
    }

    pub(crate) fn sections(&self) -> &[CustomSection] {
        &self.sections
    }

    /// The positions of all sections.
    pub(crate) fn indices(&self) -> impl Iterator<Item = CustomIndex> + use<> {
        (0..self.sections.len() as u16).map(CustomIndex)
    }

    pub(crate) fn section(&self, at: CustomIndex) -> &CustomSection {
        &self.sections[at.0 as usize]
    }

    pub(crate) fn section_mut(&mut self, at: CustomIndex) -> &mut CustomSection {
        &mut self.sections[at.0 as usize]
    }

    /// Where a section stands among the others, if it is there.
    pub(crate) fn find(&self, id: SectionId) -> Option<CustomIndex> {
        let found = self.sections.iter().position(|section| section.id == id);
        found.map(|at| CustomIndex(at as u16))
    }

    /// Adds a section behind the others, with what its owner has named to fill gaps.
    pub(crate) fn add(
        &mut self,
        id: SectionId,
        name: &str,
        own: Option<&GapFiller>,
    ) -> CustomIndex {
        let section = CustomSection::new(id, name, own, self.dense);
        self.sections.push(section);
        self.find_fillers();
        CustomIndex(self.sections.len() as u16 - 1)
    }

    /// Filler that refers to another section cannot be used without that one.
    fn find_fillers(&mut self) {
        for at in 0..self.sections.len() {
            let filler = Filler::of(&self.sections[at].name, self.wide);
            let mut others = self.sections.iter();
            let has = filler
                .needs()
                .is_none_or(|needs| others.any(|section| *section.name == *needs));
            let known = if has { filler } else { filler.none() };
            let own = self.sections[at].own.clone();
            self.sections[at].filler = own.map_or(Gaps::Known(known), Gaps::Own);
        }
    }
}

impl Transaction for CustomSpace {
    fn begin(&mut self) {
        self.before = self.sections.len();
        let sections = self.sections.iter_mut();
        sections.for_each(|section| section.each(|part| part.begin()));
    }

    fn commit(&mut self) {
        let sections = self.sections.iter_mut();
        sections.for_each(|section| section.each(|part| part.commit()));
    }

    fn rollback(&mut self) {
        if self.sections.len() > self.before {
            self.sections.truncate(self.before);
            self.find_fillers();
        }
        let sections = self.sections.iter_mut();
        sections.for_each(|section| section.each(|part| part.rollback()));
    }
}
