//! What a commit writes, as a list of things and not of bytes. Each phase adds a part of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::layout::{CustomIndex, ImageIndex, Occupant, Ordinal, RegionIndex, SectionKind};
use crate::program::{DeclId, DeclKind, ExportId, OrphanChanges};

/// Everything that a commit writes.
#[derive(Debug)]
pub(crate) struct Writes {
    /// What got a place or changed in its place.
    pub(crate) places: PlaceWrites,
    /// Fields of what did not change.
    pub(crate) fields: FieldWrites,
    /// Code that is orphaned in this commit, and older orphans that are overwritten.
    pub(crate) orphans: OrphanChanges,
    /// Sections that are written whole.
    pub(crate) whole: BTreeSet<SectionKind>,
    /// Names other than functions', if they changed or moved.
    pub(crate) names_tail: Option<Vec<u8>>,
}

/// What is written because it got a place, or because it changed in its place: decided while placing.
#[derive(Debug, Default)]
pub(crate) struct PlaceWrites {
    /// Code slots, with who stood there before; `None` if the slot is new.
    pub(crate) code: BTreeMap<Ordinal, Option<Occupant>>,
    /// Entries of the function section.
    pub(crate) entries: BTreeSet<Ordinal>,
    /// Forwarders whose target moved.
    pub(crate) forwarders: BTreeSet<Ordinal>,
    /// Entries of the slots' element segment.
    pub(crate) slots: BTreeSet<u32>,
    /// Whether the slots' element segment has more entries now.
    pub(crate) slots_grew: bool,
    pub(crate) globals: BTreeSet<Ordinal>,
    pub(crate) data: BTreeSet<DeclId>,
    /// Gaps between data that the image has grown over, by image.
    pub(crate) data_gaps: Vec<(ImageIndex, Range<u64>)>,
    /// Images whose size changed.
    pub(crate) images: BTreeSet<ImageIndex>,
    pub(crate) names: BTreeSet<Ordinal>,
    /// Entries of the export section, and whether anything but the kind and the index in it is another.
    pub(crate) exports: BTreeMap<ExportId, bool>,
    /// Pieces of custom sections, and whether they stand where they did.
    pub(crate) pieces: BTreeMap<DeclId, bool>,
    /// Regions of custom sections whose unused bytes are filled: the section, and which of its regions.
    pub(crate) gaps: BTreeSet<(CustomIndex, RegionIndex)>,
    /// Whether what stands before the names of defined functions is another.
    pub(crate) name_front: bool,
    pub(crate) elements: WrittenItems,
    pub(crate) data_segments: WrittenItems,
    /// Functions whose code went to another place.
    pub(crate) moved_bodies: u32,
    /// Functions whose code was replaced in its place.
    pub(crate) in_place: u32,
}

/// What of a section's items must be written.
#[derive(Debug, Default)]
pub(crate) struct WrittenItems {
    /// Runs of them that stand elsewhere than before or have another length, by position.
    pub(crate) moved: Vec<Range<usize>>,
    /// Those that changed, in their place or not.
    pub(crate) items: BTreeSet<DeclId>,
}

impl WrittenItems {
    /// Whether the item at a position is written because it moved.
    pub(crate) fn has_moved(&self, at: usize) -> bool {
        let run = self.moved.partition_point(|run| run.end <= at);
        self.moved.get(run).is_some_and(|run| run.contains(&at))
    }
}

/// What is written because it names something that moved: found while following references.
#[derive(Debug, Default)]
pub(crate) struct FieldWrites {
    /// Declarations whose index or address is another one now.
    pub(crate) moved: BTreeSet<DeclId>,
    /// Declarations that stand at another place than before, or not at all, as far as pieces of custom sections may name
    /// them.
    pub(crate) displaced: BTreeSet<DeclId>,
    /// Fields in declarations that did not change.
    pub(crate) sites: BTreeSet<Site>,
    /// Fields in code that is orphaned in this commit.
    pub(crate) orphan_sites: Vec<OrphanSite>,
    /// Exports of declarations that moved.
    pub(crate) exports: BTreeSet<DeclId>,
}

/// A field of a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) source: DeclId,
    /// Which of the source's relocations.
    pub(crate) reloc: u32,
}

/// A field of orphaned code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrphanSite {
    /// Where the code stands.
    pub(crate) body: Ordinal,
    pub(crate) orphan: DeclId,
    /// Which of the code's relocations.
    pub(crate) reloc: u32,
}

/// The section in which declarations of a kind stand that is always written whole.
pub(super) fn entity_section(kind: DeclKind) -> SectionKind {
    match kind {
        DeclKind::Table => SectionKind::Table,
        DeclKind::Memory => SectionKind::Memory,
        _ => SectionKind::Tag,
    }
}
