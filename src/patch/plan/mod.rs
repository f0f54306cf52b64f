//! The plan of a commit: places what is dirty, follows references to what moved, and collects what must be written.
//!
//! The layout is changed inside a transaction that the caller opened; the caller rolls it back if the commit cannot
//! be a patch. Nothing is encoded here: see `write`.

mod customs;
mod functions;
mod imports;
mod items;
mod orphans;
mod references;
mod segments;

pub(crate) use customs::piece_slack;
use imports::ImportEdits;
use segments::SegmentEdits;
pub(crate) use segments::SegmentWrites;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use hashbrown::{HashMap, HashSet};

use crate::error::Error;
use crate::layout::{
    Layout, Occupant, Ordinal, Place, RawItem, ReserveFull, SectionKind, Slot, UseDeltas,
};
use crate::patch::encode::{ExportList, entity_len, unused_global};
use crate::patch::fresh_layout::{add_uses, new_image};
use crate::patch::lengths::{
    DEAD_LEN, MOST_INDICES, body_slack, entry_len, forwarder_len, thunk_len, type_spare,
};
use crate::patch::relink::RelinkReason;
use crate::patch::tail::{self, Customs};
use crate::program::{
    Checked, DeclId, DeclKind, Definition, DefinitionKind, OrphanChanges, Pending, Program,
    References, RelocKind,
};

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum PlanError {
    /// The output must be rebuilt.
    Relink(RelinkReason),
    /// The edits make no sense.
    Error(Error),
}

impl From<Error> for PlanError {
    fn from(error: Error) -> Self {
        PlanError::Error(error)
    }
}

impl From<RelinkReason> for PlanError {
    fn from(reason: RelinkReason) -> Self {
        PlanError::Relink(reason)
    }
}

impl From<ReserveFull> for PlanError {
    fn from(_: ReserveFull) -> Self {
        PlanError::Relink(RelinkReason::ReserveFull)
    }
}

/// So many dead bytes of code are never too many.
const MOST_DEAD: u64 = 1 << 16;

/// Beyond that, when more than one byte in so many is dead and none of the dead places fits, everything is laid out anew.
/// It takes edits of about a tenth of all code to get there, so each has paid for ten times its own bytes at most.
const DEAD_SHARE: u64 = 10;

type Planned<T = ()> = Result<T, PlanError>;

/// Everything that a commit writes, by what it is.
#[derive(Debug, Default)]
pub(crate) struct Writes {
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
    pub(crate) data_gaps: Vec<(usize, Range<u64>)>,
    /// Images whose size changed.
    pub(crate) images: BTreeSet<usize>,
    pub(crate) names: BTreeSet<Ordinal>,
    /// Declarations whose index or address is another one now.
    pub(crate) moved: BTreeSet<DeclId>,
    /// References in declarations that did not change: the declaration and which of its relocations.
    pub(crate) sites: BTreeSet<(DeclId, u32)>,
    /// Pieces of custom sections, and whether they stand where they did.
    pub(crate) pieces: BTreeMap<DeclId, bool>,
    /// Regions of custom sections whose unused bytes are filled: the section, and which of its regions.
    pub(crate) gaps: BTreeSet<(u16, u32)>,
    /// Declarations that stand at another place than before, or not at all, as far as pieces of custom sections may name
    /// them.
    pub(crate) displaced: BTreeSet<DeclId>,
    /// Exports of declarations that moved.
    pub(crate) exports: BTreeSet<DeclId>,
    pub(crate) elements: SegmentWrites,
    pub(crate) data_segments: SegmentWrites,
    /// Sections that are written whole.
    pub(crate) whole: BTreeSet<SectionKind>,
    /// Names other than functions', if they changed or moved.
    pub(crate) names_tail: Option<Vec<u8>>,
    /// Whether what stands before the names of defined functions is another.
    pub(crate) name_front: bool,
    /// Code that is orphaned in this commit, and older orphans that are overwritten.
    pub(crate) orphans: OrphanChanges,
    /// References in code that is orphaned in this commit, to what moved: where it stands, which one, and which
    /// of its relocations.
    pub(crate) orphan_sites: Vec<(Ordinal, DeclId, u32)>,
    /// Functions whose code went to another place.
    pub(crate) moved_bodies: u32,
    /// Functions whose code was replaced in its place.
    pub(crate) in_place: u32,
}

/// What a plan is made from besides the layout.
#[derive(Clone, Copy)]
pub(crate) struct PlanContext<'a> {
    pub(crate) program: &'a Program,
    pub(crate) references: &'a References,
    pub(crate) checked: &'a Checked,
    pub(crate) customs: &'a Customs,
    /// Whether the custom sections changed.
    pub(crate) customs_changed: bool,
    pub(crate) data_ranges: &'a [(DeclId, Range<u64>)],
    /// Whether to write no more than must be: no slack, nothing buried, code orphaned however small it is.
    pub(crate) minimal: bool,
}

struct Planner<'a> {
    from: PlanContext<'a>,
    layout: &'a mut Layout,
    writes: Writes,
    /// Declarations whose index or address is another one now.
    moved: BTreeSet<DeclId>,
    /// Functions whose code will move and can be orphaned.
    expected_orphans: BTreeSet<DeclId>,
    imports: ImportEdits,
    elements: SegmentEdits,
    data_segments: SegmentEdits,
}

/// Plans the pending edits as a patch.
pub(crate) fn plan(from: PlanContext<'_>, layout: &mut Layout) -> Planned<Writes> {
    let mut planner = Planner {
        from,
        layout,
        writes: Writes::default(),
        moved: BTreeSet::new(),
        expected_orphans: BTreeSet::new(),
        imports: ImportEdits::default(),
        elements: SegmentEdits::default(),
        data_segments: SegmentEdits::default(),
    };
    let slots = planner.layout.slots.len();
    let code_front = planner.layout.code_front();
    planner.expect_orphans();
    planner.count_types()?;
    planner.bury_dependent_orphans()?;
    if !from.minimal {
        planner.bury_one_orphan()?;
    }
    let dirty = &from.program.dirty;
    for &id in dirty {
        if matches!(from.program.decl(id).pending(), Pending::Remove) {
            planner.remove(id)?;
        }
    }
    for &id in dirty {
        if matches!(from.program.decl(id).pending(), Pending::Define(_)) {
            planner.define(id)?;
        }
    }
    planner.place_imports()?;
    planner.place_segments();
    for &id in dirty {
        planner.place_slots(id);
    }
    planner.count_addresses();
    planner.rename()?;
    planner.check_global_order()?;
    planner.release_unorphaned()?;
    planner.follow_moved();
    planner.check_code_front(code_front)?;
    planner.follow_displaced();
    planner.grow_slots(slots);
    planner.measure();
    planner.settle()?;
    Ok(planner.writes)
}

impl<'a> Planner<'a> {
    fn next(&self, id: DeclId) -> &'a Definition {
        self.from
            .program
            .decl(id)
            .next()
            .expect("what is placed is defined")
    }

    /// Counts the uses of types that come and go.
    fn count_types(&mut self) -> Planned {
        let program = self.from.program;
        let mut roots: Vec<(DeclId, UseDeltas)> = Vec::new();
        let mut known: HashMap<DeclId, usize> = HashMap::new();
        for &id in &program.dirty {
            let decl = program.decl(id);
            if matches!(decl.pending(), Pending::None) {
                continue;
            }
            let root = program.root(id);
            let at = *known.entry(root).or_insert_with(|| {
                roots.push((root, UseDeltas::new()));
                roots.len() - 1
            });
            if let Some(old) = decl
                .current()
                .filter(|_| !self.expected_orphans.contains(&id))
            {
                add_uses(&mut roots[at].1, old, -1);
            }
            if let Some(new) = decl.next() {
                add_uses(&mut roots[at].1, new, 1);
                let mut relocs = new.content.relocs().iter();
                *self.layout.data_count |= relocs.any(|reloc| reloc.kind == RelocKind::DataIndex);
            }
        }
        for (root, uses) in &roots {
            let spare = type_spare(program.decl(*root).edited, uses.len());
            self.layout
                .types
                .count_uses(&program.types, *root, uses, spare)
                .ok_or(RelinkReason::TypesFull)?;
        }
        if self.layout.types.count() > MOST_INDICES {
            Err(RelinkReason::TypesFull.into())
        } else {
            Ok(())
        }
    }

    fn remove(&mut self, id: DeclId) -> Planned {
        let decl = self.from.program.decl(id);
        let Some(old) = decl.current() else {
            return Ok(());
        };
        if let Some(slot) = self.layout.place(id).slot() {
            self.layout.slots.free(slot);
            self.writes.slots.insert(self.layout.slots.entry(slot));
        }
        if decl.name.is_some() && decl.kind != DeclKind::Function {
            self.writes.names_tail = Some(Vec::new());
        }
        if old.is_import() {
            self.remove_import(id)?
        } else {
            self.unplace(id, old)?
        }
        self.layout.set_place(id, Place::None);
        Ok(())
    }

    /// Gives up the place of something that was defined; its slot stays.
    fn unplace(&mut self, id: DeclId, old: &Definition) -> Planned {
        match self.layout.place(id) {
            Place::Function { entry, body, .. } => {
                self.vacate_body(id, body);
                if entry != body {
                    self.free_code(entry);
                }
            }
            Place::Global(ordinal) => self.free_global(ordinal)?,
            Place::Custom { section, region } => self.free_piece(section, region)?,
            Place::Data { address, cap } => {
                if let DefinitionKind::Data { memory, .. } = old.shape
                    && let Some(image) = self.layout.data.image_of(memory)
                {
                    self.layout.data.free(image, address, cap);
                }
            }
            Place::Index(_) => match self.from.program.decl(id).kind {
                DeclKind::Table => return Err(RelinkReason::TableIndices.into()),
                DeclKind::Memory => return Err(RelinkReason::MemoryIndices.into()),
                DeclKind::Tag => {
                    self.imports.gone_tags.insert(id);
                    self.imports.tags = true;
                }
                DeclKind::ElementSegment => self.elements.remove(id),
                _ => self.data_segments.remove(id),
            },
            Place::None | Place::ImportedFunction { .. } => {}
        }
        Ok(())
    }

    fn define(&mut self, id: DeclId) -> Planned {
        let decl = self.from.program.decl(id);
        let new = self.next(id);
        if decl.name.is_some() && decl.kind != DeclKind::Function && decl.current().is_none() {
            self.writes.names_tail = Some(Vec::new());
        }
        match (decl.current(), new.is_import()) {
            (None, true) => self.add_import(id, None),
            (None, false) => self.place_new(id, None),
            (Some(old), true) if old.is_import() => {
                self.writes.whole.insert(SectionKind::Import);
                Ok(())
            }
            (Some(old), false) if !old.is_import() => self.redefine(id, old),
            (Some(old), to_import) => {
                let slot = self.layout.place(id).slot();
                self.moved.insert(id);
                if to_import {
                    self.unplace(id, old)?;
                    self.add_import(id, slot)?;
                } else {
                    self.remove_import(id)?;
                    self.place_new(id, slot)?;
                }
                self.write_slot(slot);
                Ok(())
            }
        }
    }

    fn write_slot(&mut self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.writes.slots.insert(self.layout.slots.entry(slot));
        }
    }

    fn place_new(&mut self, id: DeclId, slot: Option<Slot>) -> Planned {
        let new = self.next(id);
        let len = new.content.len() as u32;
        let place = match new.shape {
            DefinitionKind::Function { ty } => {
                let body = self.place_body(id, entry_len(new.content.len()))?;
                let thunk = self.layout.options.thunks
                    && !self.from.program.decl(id).frozen
                    && self.from.program.types.can_pass_on(ty);
                let (entry, slot) = if thunk {
                    let entry = self.place_thunk(id)?;
                    let slot = slot.unwrap_or_else(|| self.layout.slots.take(id));
                    self.write_slot(Some(slot));
                    (entry, Some(slot))
                } else {
                    (body, slot)
                };
                Place::Function { entry, body, slot }
            }
            DefinitionKind::Global => Place::Global(self.place_global(id, len)),
            DefinitionKind::Data { .. } => self.place_data(id)?,
            DefinitionKind::Address(address) => Place::Data { address, cap: 0 },
            DefinitionKind::Custom { section } => self.place_piece(id, section)?,
            DefinitionKind::Table | DefinitionKind::SlotTable => {
                self.layout.tables.push(id);
                self.writes.whole.insert(SectionKind::Table);
                Place::Index(self.imported(DeclKind::Table) + self.layout.tables.len() as u32 - 1)
            }
            DefinitionKind::Memory { .. } => {
                self.layout.memories.push(id);
                self.writes.whole.insert(SectionKind::Memory);
                Place::Index(
                    self.imported(DeclKind::Memory) + self.layout.memories.len() as u32 - 1,
                )
            }
            DefinitionKind::Tag { .. } => {
                self.layout.tags.push(id);
                self.writes.whole.insert(SectionKind::Tag);
                self.imports.tags = true;
                return Ok(());
            }
            DefinitionKind::ElementSegment => {
                self.elements.add(id);
                return Ok(());
            }
            DefinitionKind::DataSegment => {
                self.data_segments.add(id);
                return Ok(());
            }
            DefinitionKind::Import { .. } => unreachable!("imports are placed with the imports"),
        };
        self.layout.set_place(id, place);
        Ok(())
    }

    fn redefine(&mut self, id: DeclId, old: &Definition) -> Planned {
        let new = self.next(id);
        let len = new.content.len() as u32;
        match self.layout.place(id) {
            Place::Function { .. } => self.redefine_function(id, old.ty() != new.ty()),
            Place::Global(ordinal) => {
                if self.layout.globals.slot(ordinal).len == len {
                    self.writes.globals.insert(ordinal);
                } else {
                    self.free_global(ordinal)?;
                    let place = Place::Global(self.place_global(id, len));
                    self.layout.set_place(id, place);
                    self.moved.insert(id);
                }
                Ok(())
            }
            Place::Data { address, cap } => self.redefine_data(id, old, address, cap),
            Place::Custom { section, region } => self.redefine_piece(id, old, section, region),
            Place::Index(_) => {
                match self.from.program.decl(id).kind {
                    kind @ (DeclKind::ElementSegment | DeclKind::DataSegment) => {
                        self.redefine_segment(id, kind, old);
                    }
                    kind => {
                        self.writes.whole.insert(entity_section(kind));
                    }
                }
                Ok(())
            }
            place => unreachable!("a definition at {place:?}"),
        }
    }

    /// Brings the lengths of what is written whole up to date.
    fn measure(&mut self) {
        let program = self.from.program;
        let definition = |id: &DeclId| {
            program
                .decl(*id)
                .next()
                .expect("placed because it is defined")
        };
        let layout = &mut *self.layout;
        let mut lens = *layout.lens;
        let entities = |ids: &[DeclId]| {
            ids.iter()
                .map(|id| entity_len(definition(id)) as u64)
                .sum::<u64>()
        };
        for kind in &self.writes.whole {
            match kind {
                SectionKind::Import => {
                    lens.imports = layout
                        .imports
                        .iter()
                        .map(|id| definition(id).content.len() as u64)
                        .sum();
                }
                SectionKind::Table => lens.tables = entities(&layout.tables),
                SectionKind::Memory => lens.memories = entities(&layout.memories),
                SectionKind::Tag => lens.tags = entities(&layout.tags),
                _ => {}
            }
        }
        if !layout.tags.is_empty() || lens.tags > 0 {
            let tags = entities(&layout.tags);
            if tags != lens.tags {
                lens.tags = tags;
                self.writes.whole.insert(SectionKind::Tag);
            }
        }
        if let Some(exports) = &self.from.checked.exports {
            lens.exports = ExportList(exports).len();
            lens.export_count = exports.len() as u32;
            self.writes.whole.insert(SectionKind::Export);
        }
        *layout.start = self.from.checked.start;
        if self.writes.name_front || self.from.customs_changed {
            let front = tail::name_front(program, layout, self.from.customs);
            self.writes.name_front = front != *layout.name_front();
            layout.set_name_front(front);
        }
        if self.from.customs_changed {
            lens.custom_front = self.from.customs.front.len() as u64;
            lens.custom_tail = self.from.customs.tail.len() as u64;
            self.writes
                .whole
                .extend([SectionKind::CustomFront, SectionKind::CustomTail]);
        }
        let renamed = self.writes.names_tail.is_some() && layout.options.names;
        if renamed || (lens.names_tail > 0 && !self.writes.names.is_empty()) {
            let names = tail::names_tail(program, layout);
            lens.names_tail = names.len() as u64;
            self.writes.names_tail = Some(names);
        } else {
            self.writes.names_tail = None;
        }
        *layout.lens = lens;
    }

    /// Gives the sections the bytes they need.
    fn settle(&mut self) -> Planned {
        let mut sections = std::mem::take(&mut self.layout.sections);
        let before = sections.places().clone();
        let moved = sections.settle(|kind| self.layout.span(kind));
        self.layout.sections = sections;
        for kind in moved.map_err(|_| RelinkReason::PadsUsedUp)? {
            self.writes.whole.insert(kind);
        }
        for kind in self.layout.sections.places().kinds() {
            if self.layout.sections.get(kind).present && !before.get(kind).present {
                self.writes.whole.insert(kind);
            }
        }
        Ok(())
    }
}

fn entity_section(kind: DeclKind) -> SectionKind {
    match kind {
        DeclKind::Table => SectionKind::Table,
        DeclKind::Memory => SectionKind::Memory,
        _ => SectionKind::Tag,
    }
}
