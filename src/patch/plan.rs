//! The plan of a commit: places what is dirty, follows references to what moved, and collects what must be written.
//!
//! The layout is changed inside a transaction that the caller opened; the caller rolls it back if the commit cannot
//! be a patch. Nothing is encoded here: see `write`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::error::Error;
use crate::layout::{
    Layout, Occupant, Ordinal, Place, RawItem, ReserveFull, SectionKind, Slot, UseDeltas,
};
use crate::patch::cold::{add_uses, new_image};
use crate::patch::encode::{ExportList, entity_len, unused_global};
use crate::patch::lengths::{
    DEAD_LEN, MOST_INDICES, body_slack, entry_len, forwarder_len, thunk_len, type_spare,
};
use crate::patch::relink::RelinkReason;
use crate::patch::tail::{self, Customs};
use crate::program::{
    Checked, DeclId, DeclKind, Definition, Pending, Program, References, RelocKind, Shape,
};

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The output must be rebuilt.
    Relink(RelinkReason),
    /// The edits make no sense.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(error)
    }
}

impl From<RelinkReason> for Stop {
    fn from(reason: RelinkReason) -> Self {
        Stop::Relink(reason)
    }
}

impl From<ReserveFull> for Stop {
    fn from(_: ReserveFull) -> Self {
        Stop::Relink(RelinkReason::ReserveFull)
    }
}

/// Code of up to this many bytes is not left behind but filled.
const SMALL_REMAINS: u32 = 160;
/// More unused bytes than this are not filled: the body goes to a place that fits it better.
const MOST_FILLER: u32 = 480;

/// The largest code left behind that is buried in a commit which moves nothing: a ninth of it is written.
const BURIED_QUIETLY: u32 = 1200;
/// The same in a commit that moves code.
const BURIED_WITH_MOVES: u32 = 240;
/// How many of the oldest remains are looked at.
const SCANNED_REMAINS: usize = 16;

type Planned<T = ()> = Result<T, Stop>;

/// What of a section's items must be written.
#[derive(Debug, Default)]
pub(crate) struct RawWrites {
    /// All of them, because they moved.
    pub(crate) all: bool,
    /// Those that changed in their place.
    pub(crate) items: BTreeSet<DeclId>,
}

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
    /// Exports of declarations that moved.
    pub(crate) exports: BTreeSet<DeclId>,
    pub(crate) elements: RawWrites,
    pub(crate) data_segments: RawWrites,
    /// Sections that are written whole.
    pub(crate) whole: BTreeSet<SectionKind>,
    /// Names other than functions', if they changed or moved.
    pub(crate) names_tail: Option<Vec<u8>>,
    /// Functions that leave their code behind, and what stands for that code from now on.
    pub(crate) left: Vec<(DeclId, DeclId)>,
    /// What stood for code that was left behind and is overwritten now.
    pub(crate) gone: Vec<DeclId>,
    /// References in code that is left behind in this commit, to what moved: the slot, and which of the relocations.
    pub(crate) left_sites: Vec<(Ordinal, DeclId, u32)>,
    /// Functions whose code went to another place.
    pub(crate) moved_bodies: u32,
    /// Functions whose code was replaced in its place.
    pub(crate) in_place: u32,
}

/// What a plan is made from besides the layout.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) program: &'a Program,
    pub(crate) references: &'a References,
    pub(crate) checked: &'a Checked,
    pub(crate) customs: &'a Customs,
    /// Whether the custom sections changed.
    pub(crate) customs_changed: bool,
    pub(crate) areas: &'a [(DeclId, Range<u64>)],
}

struct Planner<'a> {
    from: Sources<'a>,
    layout: &'a mut Layout,
    writes: Writes,
    /// Declarations whose index or address is another one now.
    moved: BTreeSet<DeclId>,
    /// Functions whose code will move and can stay behind as it is.
    leaving: BTreeSet<DeclId>,
    /// How many of the spare declarations for remains are taken.
    leaves: usize,
}

/// Plans the pending edits as a patch.
pub(crate) fn plan(from: Sources<'_>, layout: &mut Layout) -> Planned<Writes> {
    let mut planner = Planner {
        from,
        layout,
        writes: Writes::default(),
        moved: BTreeSet::new(),
        leaving: BTreeSet::new(),
        leaves: 0,
    };
    let slots = planner.layout.slots.len();
    planner.find_leaving();
    planner.count_types()?;
    planner.bury_dependent_remains()?;
    planner.bury_some_remains()?;
    let dirty = &from.program.dirty;
    for &id in dirty {
        if matches!(from.program.decl(id).pending, Pending::Remove) {
            planner.remove(id)?;
        }
    }
    for &id in dirty {
        if matches!(from.program.decl(id).pending, Pending::Define(_)) {
            planner.define(id)?;
        }
    }
    for &id in dirty {
        planner.place_slots(id);
    }
    planner.release_unused_leaving()?;
    planner.follow_moved();
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
            if matches!(decl.pending, Pending::None) {
                continue;
            }
            let root = program.root(id);
            let at = *known.entry(root).or_insert_with(|| {
                roots.push((root, UseDeltas::new()));
                roots.len() - 1
            });
            if let Some(old) = decl
                .current
                .as_ref()
                .filter(|_| !self.leaving.contains(&id))
            {
                add_uses(&mut roots[at].1, old, -1);
            }
            if let Some(new) = decl.next() {
                add_uses(&mut roots[at].1, new, 1);
            }
        }
        for (root, uses) in &roots {
            let spare = type_spare(program.decl(*root).edits, uses.len());
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

    // Code that is left behind

    /// Finds the functions that will move and whose old code can stay as it is. To fill it with something that refers to
    /// nothing would cost a ninth of its size.
    fn find_leaving(&mut self) {
        for &id in &self.from.program.dirty {
            if self.will_leave(id) {
                self.leaving.insert(id);
            }
        }
    }

    fn will_leave(&self, id: DeclId) -> bool {
        let program = self.from.program;
        let decl = program.decl(id);
        let Some(old) = &decl.current else {
            return false;
        };
        let Place::Function { entry, body, .. } = self.layout.place(id) else {
            return false;
        };
        let cap = self.layout.functions.slot(body).cap;
        let moves = match &decl.pending {
            Pending::None => false,
            Pending::Remove => true,
            Pending::Define(new) => {
                let len = entry_len(new.content.len());
                // The forwarder will stand there.
                let stays = entry == body && self.has_many_callers(id);
                new.is_body() && !stays && (len > cap || cap - len > MOST_FILLER)
            }
        };
        if !moves || cap <= SMALL_REMAINS {
            return false;
        }
        old.content.relocs().iter().all(|reloc| {
            reloc.kind != RelocKind::FunctionIndex
                && reloc
                    .decl()
                    .is_none_or(|target| !self.changes_interface(target))
        })
    }

    /// Whether code that refers to `id` may not be valid any more once the commit is done.
    fn changes_interface(&self, id: DeclId) -> bool {
        let decl = self.from.program.decl(id);
        match (&decl.pending, &decl.current) {
            (Pending::None, _) => false,
            (Pending::Remove, _) => true,
            (Pending::Define(new), Some(old)) => match decl.kind {
                DeclKind::Function => old.ty() != new.ty(),
                DeclKind::Data => false,
                _ => true,
            },
            (Pending::Define(_), None) => false,
        }
    }

    /// Buries code left behind by earlier commits that refers to something which it could not be valid with.
    fn bury_dependent_remains(&mut self) -> Planned {
        let program = self.from.program;
        for &id in &program.dirty {
            if !self.changes_interface(id) {
                continue;
            }
            for source in self.from.references.of(program, id) {
                if program.decl(source).remains {
                    self.bury(source)?;
                }
            }
        }
        Ok(())
    }

    /// Buries some code that was left behind, as far as a patch may cost: engines compile it faster then.
    fn bury_some_remains(&mut self) -> Planned {
        let program = self.from.program;
        let in_place = |id: &DeclId| {
            let decl = program.decl(*id);
            let Pending::Define(new) = &decl.pending else {
                return false;
            };
            match self.layout.place(*id) {
                Place::Function { body, .. } => {
                    entry_len(new.content.len()) <= self.layout.functions.slot(body).cap
                }
                _ => false,
            }
        };
        let quiet = self.leaving.is_empty() && program.dirty.iter().all(in_place);
        let most = if quiet {
            BURIED_QUIETLY
        } else {
            BURIED_WITH_MOVES
        };
        let fits = |id: &&DeclId| match self.layout.place(**id) {
            Place::Function { body, .. } => self.layout.functions.slot(body).cap <= most,
            _ => false,
        };
        match program.remains().iter().take(SCANNED_REMAINS).find(fits) {
            Some(&id) => self.bury(id),
            None => Ok(()),
        }
    }

    fn bury(&mut self, remains: DeclId) -> Planned {
        if let Place::Function { body, .. } = self.layout.place(remains) {
            self.touch_code(body);
            self.layout.functions.replace(body, Occupant::Dead);
            self.forget_remains(remains)?;
        }
        Ok(())
    }

    /// Takes back what a declaration stood for whose code is overwritten.
    fn forget_remains(&mut self, remains: DeclId) -> Planned {
        self.layout.set_place(remains, Place::None);
        let program = self.from.program;
        if let Some(at) = self
            .writes
            .left
            .iter()
            .position(|(_, other)| *other == remains)
        {
            let (origin, _) = self.writes.left.remove(at);
            return self.release_types(origin, program.root(origin));
        }
        self.writes.gone.push(remains);
        self.release_types(remains, program.root(remains))
    }

    /// Takes back the uses of types by a declaration's current definition.
    fn release_types(&mut self, id: DeclId, root: DeclId) -> Planned {
        let program = self.from.program;
        let mut uses = UseDeltas::new();
        if let Some(old) = &program.decl(id).current {
            add_uses(&mut uses, old, -1);
        }
        self.layout
            .types
            .count_uses(&program.types, root, &uses, 0)
            .ok_or(RelinkReason::TypesFull)?;
        Ok(())
    }

    /// Functions that did not leave their code behind after all.
    fn release_unused_leaving(&mut self) -> Planned {
        for id in std::mem::take(&mut self.leaving) {
            self.release_types(id, self.from.program.root(id))?;
        }
        Ok(())
    }

    /// Gives up the place of a body: as it is if that can be, otherwise filled.
    fn leave_code(&mut self, id: DeclId, body: Ordinal) {
        let spare = self.from.program.spare_remains();
        if let Some(&remains) = spare.get(self.leaves)
            && self.leaving.remove(&id)
        {
            self.leaves += 1;
            self.layout.functions.leave(body, remains);
            self.layout.set_place(
                remains,
                Place::Function {
                    entry: body,
                    body,
                    slot: None,
                },
            );
            self.writes.left.push((id, remains));
        } else {
            self.free_code(body);
        }
    }

    fn remove(&mut self, id: DeclId) -> Planned {
        let decl = self.from.program.decl(id);
        let Some(old) = &decl.current else {
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
                self.leave_code(id, body);
                if entry != body {
                    self.free_code(entry);
                }
            }
            Place::Global(ordinal) => self.free_global(ordinal)?,
            Place::Data { address, cap } => {
                if let Shape::Data { memory, .. } = old.shape
                    && let Some(image) = self.layout.data.image_of(memory)
                {
                    self.layout.data.free(image, address, cap);
                }
            }
            Place::Index(_) => match self.from.program.decl(id).kind {
                DeclKind::Table => return Err(RelinkReason::TableIndices.into()),
                DeclKind::Memory => return Err(RelinkReason::MemoryIndices.into()),
                DeclKind::Tag => {
                    let at = self
                        .layout
                        .tags
                        .iter()
                        .position(|tag| *tag == id)
                        .expect("placed tags are listed");
                    self.layout.tags.remove(at);
                    self.renumber_tags();
                }
                DeclKind::ElementSegment => remove_raw(&mut self.layout.elements, id),
                _ => remove_raw(&mut self.layout.data_segments, id),
            },
            Place::None | Place::ImportedFunction { .. } => {}
        }
        self.renumber_segments();
        Ok(())
    }

    fn define(&mut self, id: DeclId) -> Planned {
        let decl = self.from.program.decl(id);
        let new = self.next(id);
        if decl.name.is_some() && decl.kind != DeclKind::Function && decl.current.is_none() {
            self.writes.names_tail = Some(Vec::new());
        }
        match (&decl.current, new.is_import()) {
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

    // Functions

    /// Notes that the code of an ordinal is written, before the occupant changes.
    fn touch_code(&mut self, ordinal: Ordinal) {
        let prior = self.layout.functions.slot(ordinal).occupant;
        self.writes.code.entry(ordinal).or_insert(Some(prior));
    }

    fn free_code(&mut self, ordinal: Ordinal) {
        self.touch_code(ordinal);
        self.layout.functions.free(ordinal);
    }

    fn append_code(
        &mut self,
        cap: u32,
        occupant: Occupant,
        name: Option<&str>,
    ) -> Planned<Ordinal> {
        let functions = &mut self.layout.functions;
        let full = RelinkReason::FunctionsFull;
        if functions.dead_bytes() > 1 << 16
            && functions.dead_bytes() * 2 > u64::from(functions.end_offset())
        {
            return Err(RelinkReason::Fragmented.into());
        }
        let ordinal = functions.append(cap, occupant).ok_or(full)?;
        let index = functions.index(ordinal);
        if index >= MOST_INDICES {
            return Err(full.into());
        }
        self.layout.names.append(index, name).ok_or(full)?;
        self.writes.code.insert(ordinal, None);
        self.writes.entries.insert(ordinal);
        if name.is_some() {
            self.writes.names.insert(ordinal);
        }
        Ok(ordinal)
    }

    /// A place for a body of `len` bytes: a dead one that fits, or a new one.
    fn place_body(&mut self, id: DeclId, len: u32) -> Planned<Ordinal> {
        let decl = self.from.program.decl(id);
        let name = decl.given_name().filter(|_| self.layout.options.names);
        let (names, functions) = (&self.layout.names, &self.layout.functions);
        let indices = functions.indices();
        let fits = |ordinal| names.fits(ordinal, indices.of(ordinal), name);
        let reused = self.layout.functions.reuse(len, Occupant::Body(id), fits);
        if let Some((ordinal, prior)) = reused {
            self.writes.code.entry(ordinal).or_insert(Some(prior));
            self.writes.entries.insert(ordinal);
            if name.is_some() {
                self.writes.names.insert(ordinal);
            }
            if let Occupant::Body(remains) = prior {
                self.forget_remains(remains)?;
            }
            return Ok(ordinal);
        }
        self.append_code(len + body_slack(decl, len, true), Occupant::Body(id), name)
    }

    fn place_thunk(&mut self, id: DeclId) -> Planned<Ordinal> {
        let ty = self.next(id).ty().expect("a function has a type");
        let len = thunk_len(self.from.program, ty);
        if let Some(ordinal) = self.layout.functions.reuse_thunk(len, Occupant::Thunk(id)) {
            self.writes
                .code
                .entry(ordinal)
                .or_insert(Some(Occupant::Dead));
            self.writes.entries.insert(ordinal);
            return Ok(ordinal);
        }
        self.append_code(len, Occupant::Thunk(id), None)
    }

    fn place_new(&mut self, id: DeclId, slot: Option<Slot>) -> Planned {
        let new = self.next(id);
        let len = new.content.len() as u32;
        let place = match new.shape {
            Shape::Function { .. } => {
                let body = self.place_body(id, entry_len(new.content.len()))?;
                let (entry, slot) = if self.layout.options.thunks {
                    let entry = self.place_thunk(id)?;
                    let slot = slot.unwrap_or_else(|| self.layout.slots.take(id));
                    self.write_slot(Some(slot));
                    (entry, Some(slot))
                } else {
                    (body, slot)
                };
                Place::Function { entry, body, slot }
            }
            Shape::Global => Place::Global(self.place_global(id, len)),
            Shape::Data { .. } => self.place_data(id)?,
            Shape::Table | Shape::SlotTable => {
                self.layout.tables.push(id);
                self.writes.whole.insert(SectionKind::Table);
                Place::Index(self.imported(DeclKind::Table) + self.layout.tables.len() as u32 - 1)
            }
            Shape::Memory { .. } => {
                self.layout.memories.push(id);
                self.writes.whole.insert(SectionKind::Memory);
                Place::Index(
                    self.imported(DeclKind::Memory) + self.layout.memories.len() as u32 - 1,
                )
            }
            Shape::Tag { .. } => {
                self.layout.tags.push(id);
                self.writes.whole.insert(SectionKind::Tag);
                Place::Index(self.imported(DeclKind::Tag) + self.layout.tags.len() as u32 - 1)
            }
            Shape::ElementSegment => {
                push_raw(&mut self.layout.elements, id, len);
                self.writes.elements.all = true;
                Place::Index(self.first_element() + self.layout.elements.len() as u32 - 1)
            }
            Shape::DataSegment => {
                push_raw(&mut self.layout.data_segments, id, len);
                self.writes.data_segments.all = true;
                Place::Index(
                    (self.layout.data.images().len() + self.layout.data_segments.len()) as u32 - 1,
                )
            }
            Shape::Import { .. } => unreachable!("imports are placed with the imports"),
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
            Place::Index(_) => {
                let (items, writes) = match self.from.program.decl(id).kind {
                    DeclKind::ElementSegment => {
                        (&mut self.layout.elements, &mut self.writes.elements)
                    }
                    DeclKind::DataSegment => (
                        &mut self.layout.data_segments,
                        &mut self.writes.data_segments,
                    ),
                    kind => {
                        self.writes.whole.insert(entity_section(kind));
                        return Ok(());
                    }
                };
                let at = items
                    .iter()
                    .position(|item| item.decl == id)
                    .expect("placed segments are listed");
                if items[at].len == len {
                    writes.items.insert(id);
                } else {
                    let item = items[at];
                    items.set(at, RawItem { len, ..item });
                    recompute_raw(items);
                    writes.all = true;
                }
                Ok(())
            }
            place => unreachable!("a definition at {place:?}"),
        }
    }

    fn redefine_function(&mut self, id: DeclId, new_type: bool) -> Planned {
        let Place::Function { entry, body, slot } = self.layout.place(id) else {
            unreachable!("a function's place")
        };
        let new = self.next(id);
        if new_type {
            self.writes.entries.extend([entry, body]);
            if entry != body {
                self.redefine_entry(id, entry, body, slot)?;
            }
        }
        let len = entry_len(new.content.len());
        if len <= self.layout.functions.slot(body).cap && !self.leaving.contains(&id) {
            self.touch_code(body);
            self.writes.in_place += 1;
            return Ok(());
        }
        self.move_body(id, false)
    }

    /// A thunk or forwarder of a function that has another signature now.
    fn redefine_entry(
        &mut self,
        id: DeclId,
        entry: Ordinal,
        body: Ordinal,
        slot: Option<Slot>,
    ) -> Planned {
        let ty = self.next(id).ty().expect("a function has a type");
        let at = self.layout.functions.slot(entry);
        let thunk = matches!(at.occupant, Occupant::Thunk(_));
        let needed = if thunk {
            thunk_len(self.from.program, ty)
        } else {
            forwarder_len(self.from.program, ty)
        };
        if needed <= at.cap {
            self.touch_code(entry);
            return Ok(());
        }
        self.move_entry(id, entry, body, slot)
    }

    /// Gives a function another entry: a new thunk, or instead of a forwarder the body itself.
    fn move_entry(
        &mut self,
        id: DeclId,
        entry: Ordinal,
        body: Ordinal,
        slot: Option<Slot>,
    ) -> Planned {
        let thunk = matches!(
            self.layout.functions.slot(entry).occupant,
            Occupant::Thunk(_)
        );
        let new = if thunk { self.place_thunk(id)? } else { body };
        self.free_code(entry);
        self.layout.set_place(
            id,
            Place::Function {
                entry: new,
                body,
                slot,
            },
        );
        self.moved.insert(id);
        Ok(())
    }

    /// Moves a function's code to a place that fits it; with `vacate`, nothing may stay at the old place.
    fn move_body(&mut self, id: DeclId, vacate: bool) -> Planned {
        let Place::Function { entry, body, slot } = self.layout.place(id) else {
            unreachable!("a function's place")
        };
        let new = self.next(id);
        let to = self.place_body(id, entry_len(new.content.len()))?;
        self.writes.moved_bodies += 1;
        let mut next_entry = entry;
        let ty = new.ty().expect("a function has a type");
        let fits = forwarder_len(self.from.program, ty) <= self.layout.functions.slot(body).cap;
        if entry != body {
            self.leave_code(id, body);
            if matches!(
                self.layout.functions.slot(entry).occupant,
                Occupant::Forwarder(_)
            ) {
                self.writes.forwarders.insert(entry);
            }
        } else if !vacate && fits && self.has_many_callers(id) {
            self.touch_code(body);
            self.layout.functions.replace(body, Occupant::Forwarder(id));
        } else {
            if vacate {
                self.free_code(body);
            } else {
                self.leave_code(id, body);
            }
            next_entry = to;
            self.moved.insert(id);
        }
        self.layout.set_place(
            id,
            Place::Function {
                entry: next_entry,
                body: to,
                slot,
            },
        );
        self.write_slot(slot);
        Ok(())
    }

    /// Whether rewriting all references to a function costs more than a forwarder.
    fn has_many_callers(&self, id: DeclId) -> bool {
        let limit = self.layout.options.fan_in;
        let mut sites = 0;
        for source in self.from.references.of(self.from.program, id) {
            let decl = self.from.program.decl(source);
            if let (Some(definition), Pending::None) = (&decl.current, &decl.pending) {
                let relocs = definition.content.relocs().iter();
                sites += relocs
                    .filter(|reloc| reloc.kind.is_function_index() && reloc.decl() == Some(id))
                    .count();
                if sites > limit {
                    return true;
                }
            }
        }
        false
    }

    // Globals and data

    fn place_global(&mut self, id: DeclId, len: u32) -> Ordinal {
        let ordinal = self.layout.globals.place(len, id);
        self.writes.globals.insert(ordinal);
        ordinal
    }

    fn free_global(&mut self, ordinal: Ordinal) -> Planned {
        let len = self.layout.globals.slot(ordinal).len as usize;
        unused_global(&mut vec![0; len]).ok_or(RelinkReason::GlobalFiller)?;
        self.layout.globals.free(ordinal);
        self.writes.globals.insert(ordinal);
        Ok(())
    }

    fn place_data(&mut self, id: DeclId) -> Planned<Place> {
        let new = self.next(id);
        let Shape::Data {
            align_log2,
            size,
            memory,
        } = new.shape
        else {
            unreachable!("data has the shape of data")
        };
        let image = match self.layout.data.image_of(memory) {
            Some(image) => image,
            None => {
                if !self.layout.data_segments.is_empty() {
                    return Err(RelinkReason::DataArea.into());
                }
                self.writes.whole.insert(SectionKind::Data);
                self.layout
                    .data
                    .add_image(new_image(self.from.program, self.from.areas, memory)?)
            }
        };
        let zero = new.content.is_empty();
        let hot = self.from.program.decl(id).current.is_some();
        let cap = if hot { size + size / 4 } else { size };
        let address = self.layout.data.place(image, cap, align_log2, zero)?;
        let at = &self.layout.data.images()[image];
        let (held, base) = (at.base + at.cap, at.base);
        let end = address + cap;
        if !zero && end > held {
            let last = image + 1 == self.layout.data.images().len()
                && self.layout.data_segments.is_empty();
            if !last {
                self.writes.whole.insert(SectionKind::Data);
            }
            self.layout.data.set_cap(image, end - base);
            self.writes.images.insert(image);
            if held < address {
                self.writes.data_gaps.push((image, held..address));
            }
            if address + size < end {
                self.writes.data_gaps.push((image, address + size..end));
            }
        }
        if !zero {
            self.writes.data.insert(id);
        }
        Ok(Place::Data { address, cap })
    }

    fn redefine_data(&mut self, id: DeclId, old: &Definition, address: u64, cap: u64) -> Planned {
        let new = self.next(id);
        let (
            Shape::Data { memory: before, .. },
            Shape::Data {
                align_log2,
                size,
                memory,
            },
        ) = (old.shape, new.shape)
        else {
            unreachable!("data has the shape of data")
        };
        let aligned = address.is_multiple_of(1 << align_log2);
        let same_area = before == memory && old.content.is_empty() == new.content.is_empty();
        if size <= cap && aligned && same_area {
            if !new.content.is_empty() {
                self.writes.data.insert(id);
            }
            return Ok(());
        }
        if let Some(image) = self.layout.data.image_of(before) {
            self.layout.data.free(image, address, cap);
        }
        self.writes.data.remove(&id);
        let place = self.place_data(id)?;
        self.layout.set_place(id, place);
        self.moved.insert(id);
        Ok(())
    }

    // Imports, tags, segments

    fn imported(&self, kind: DeclKind) -> u32 {
        self.layout
            .imports
            .iter()
            .filter(|id| self.from.program.decl(**id).kind == kind)
            .count() as u32
    }

    fn add_import(&mut self, id: DeclId, slot: Option<Slot>) -> Planned {
        let place = match self.from.program.decl(id).kind {
            DeclKind::Function => {
                self.vacate_first_function()?;
                let index = self.layout.functions.imported();
                let first = self.layout.functions.first();
                self.layout.functions.give_up_first();
                self.layout.names.give_up_first(first);
                Place::ImportedFunction { index, slot }
            }
            DeclKind::Global => {
                self.vacate_first_global();
                let index = self.layout.globals.imported();
                self.layout.globals.give_up_first();
                Place::Index(index)
            }
            DeclKind::Table => return Err(RelinkReason::TableIndices.into()),
            DeclKind::Memory => return Err(RelinkReason::MemoryIndices.into()),
            _ => Place::Index(self.imported(DeclKind::Tag)),
        };
        self.layout.imports.push(id);
        self.layout.set_place(id, place);
        self.writes.whole.insert(SectionKind::Import);
        self.renumber_tags();
        Ok(())
    }

    /// Makes the first ordinal a dead one.
    fn vacate_first_function(&mut self) -> Planned {
        let first = self.layout.functions.first();
        if self.layout.functions.count() == 0 {
            let ordinal = self.append_code(DEAD_LEN, Occupant::Reserve, None)?;
            debug_assert_eq!(ordinal, first);
            return Ok(());
        }
        match self.layout.functions.slot(first).occupant {
            Occupant::Reserve | Occupant::Dead => {}
            Occupant::Trap => {
                let trap = self.append_code(DEAD_LEN, Occupant::Trap, None)?;
                *self.layout.trap = Some(trap);
                self.free_code(first);
                let unused = self
                    .layout
                    .slots
                    .owners()
                    .iter()
                    .enumerate()
                    .filter(|(_, owner)| owner.is_none());
                self.writes
                    .slots
                    .extend(unused.map(|(entry, _)| entry as u32));
            }
            Occupant::Body(id) if self.from.program.decl(id).remains => {
                self.layout.functions.replace(first, Occupant::Dead);
                self.forget_remains(id)?;
            }
            Occupant::Body(id) => self.move_body(id, true)?,
            Occupant::Thunk(id) | Occupant::Forwarder(id) => {
                let Place::Function { entry, body, slot } = self.layout.place(id) else {
                    unreachable!("a function's place")
                };
                self.move_entry(id, entry, body, slot)?;
            }
        }
        Ok(())
    }

    fn vacate_first_global(&mut self) {
        if self.layout.globals.count() == 0 {
            self.layout.globals.append(9, None);
        }
        let first = self.layout.globals.first();
        let slot = self.layout.globals.slot(first);
        if let Some(id) = slot.owner {
            let place = Place::Global(self.place_global(id, slot.len));
            self.layout.set_place(id, place);
            self.layout.globals.free(first);
            self.moved.insert(id);
        }
    }

    fn remove_import(&mut self, id: DeclId) -> Planned {
        let program = self.from.program;
        let kind = program.decl(id).kind;
        let at = self
            .layout
            .imports
            .iter()
            .position(|import| *import == id)
            .expect("placed imports are listed");
        self.writes.whole.insert(SectionKind::Import);
        match kind {
            DeclKind::Table => return Err(RelinkReason::TableIndices.into()),
            DeclKind::Memory => return Err(RelinkReason::MemoryIndices.into()),
            DeclKind::Function | DeclKind::Global => {
                // The last import of the kind takes the place, so that only its references change.
                let last = self
                    .layout
                    .imports
                    .iter()
                    .rposition(|import| program.decl(*import).kind == kind);
                let last = last.expect("there is one at least");
                if last != at {
                    let other = self.layout.imports[last];
                    let place = match (self.layout.place(id), self.layout.place(other)) {
                        (
                            Place::ImportedFunction { index, .. },
                            Place::ImportedFunction { slot, .. },
                        ) => {
                            self.write_slot(slot);
                            Place::ImportedFunction { index, slot }
                        }
                        (place, _) => place,
                    };
                    self.layout.set_place(other, place);
                    self.moved.insert(other);
                    self.layout.imports.set(at, other);
                }
                self.layout.imports.remove(last);
                if kind == DeclKind::Function {
                    let first = self
                        .layout
                        .functions
                        .take_back_first()
                        .ok_or(RelinkReason::ImportRemoved)?;
                    self.writes.code.insert(first, None);
                    self.writes.entries.insert(first);
                } else {
                    let first = self
                        .layout
                        .globals
                        .take_back_first()
                        .ok_or(RelinkReason::ImportRemoved)?;
                    let len = self.layout.globals.slot(first).len as usize;
                    unused_global(&mut vec![0; len]).ok_or(RelinkReason::GlobalFiller)?;
                    self.writes.globals.insert(first);
                }
            }
            _ => {
                self.layout.imports.remove(at);
                self.renumber_tags();
            }
        }
        Ok(())
    }

    /// Gives imported and defined tags their indices.
    fn renumber_tags(&mut self) {
        let program = self.from.program;
        let imported = self
            .layout
            .imports
            .iter()
            .filter(|id| program.decl(**id).kind == DeclKind::Tag);
        let tags: SmallVec<[DeclId; 8]> =
            imported.chain(self.layout.tags.iter()).copied().collect();
        self.renumber(&tags, 0);
    }

    fn renumber_segments(&mut self) {
        let elements: Vec<DeclId> = self.layout.elements.iter().map(|item| item.decl).collect();
        let data: Vec<DeclId> = self
            .layout
            .data_segments
            .iter()
            .map(|item| item.decl)
            .collect();
        self.writes.elements.all |= self.renumber(&elements, self.first_element());
        self.writes.data_segments.all |=
            self.renumber(&data, self.layout.data.images().len() as u32);
    }

    /// Gives declarations consecutive indices; returns whether any changed.
    fn renumber(&mut self, ids: &[DeclId], first: u32) -> bool {
        let mut changed = false;
        for (at, &id) in ids.iter().enumerate() {
            let place = Place::Index(first + at as u32);
            if self.layout.place(id) != place {
                self.layout.set_place(id, place);
                self.moved.insert(id);
                changed = true;
            }
        }
        changed
    }

    fn first_element(&self) -> u32 {
        u32::from(self.layout.slot_table.is_some())
    }

    // References

    /// Gives slots to functions whose address a new definition takes.
    fn place_slots(&mut self, id: DeclId) {
        let Pending::Define(definition) = &self.from.program.decl(id).pending else {
            return;
        };
        for reloc in definition
            .content
            .relocs()
            .iter()
            .filter(|reloc| reloc.kind.is_slot())
        {
            let target = DeclId(reloc.target);
            let place = self.layout.place(target);
            if place.slot().is_none() {
                let slot = Some(self.layout.slots.take(target));
                let place = match place {
                    Place::Function { entry, body, .. } => Place::Function { entry, body, slot },
                    Place::ImportedFunction { index, .. } => {
                        Place::ImportedFunction { index, slot }
                    }
                    place => unreachable!("a function at {place:?}"),
                };
                self.layout.set_place(target, place);
                self.write_slot(slot);
            }
        }
    }

    /// Collects the references to everything that moved.
    fn follow_moved(&mut self) {
        let program = self.from.program;
        let moved = std::mem::take(&mut self.moved);
        self.follow_left(&moved);
        for &id in &moved {
            let decl = program.decl(id);
            self.writes.exports.insert(id);
            if decl.name.is_some() && decl.kind != DeclKind::Function {
                self.writes.names_tail = Some(Vec::new());
            }
            for source in self.from.references.of(program, id) {
                let decl = program.decl(source);
                let (Some(definition), Pending::None) = (&decl.current, &decl.pending) else {
                    continue;
                };
                match decl.kind {
                    DeclKind::Table | DeclKind::Memory | DeclKind::Tag => {
                        self.writes.whole.insert(entity_section(decl.kind));
                        continue;
                    }
                    _ => {}
                }
                for (at, reloc) in definition.content.relocs().iter().enumerate() {
                    if reloc.decl() == Some(id) && !reloc.kind.is_slot() {
                        self.writes.sites.insert((source, at as u32));
                    }
                }
            }
        }
        self.writes.moved = moved;
    }

    /// References to what moved in the code that is left behind in this commit.
    fn follow_left(&mut self, moved: &BTreeSet<DeclId>) {
        let program = self.from.program;
        for &(origin, remains) in &self.writes.left {
            let Place::Function { body, .. } = self.layout.place(remains) else {
                continue;
            };
            let Some(old) = &program.decl(origin).current else {
                continue;
            };
            for (at, reloc) in old.content.relocs().iter().enumerate() {
                if !reloc.kind.is_slot() && reloc.decl().is_some_and(|id| moved.contains(&id)) {
                    self.writes.left_sites.push((body, origin, at as u32));
                }
            }
        }
    }

    /// What comes with more slots than the `before` there were: new entries, the table's limits, segments behind.
    fn grow_slots(&mut self, before: u32) {
        let now = self.layout.slots.len();
        if now > before {
            self.writes.slots.extend(before..now);
            self.writes.slots_grew = true;
            self.writes.elements.all = true;
        }
    }

    // Sections

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
        let before = *sections.places();
        let moved = sections.settle(|kind| self.layout.span(kind));
        self.layout.sections = sections;
        for kind in moved.map_err(|_| RelinkReason::PadsUsedUp)? {
            self.writes.whole.insert(kind);
        }
        for kind in SectionKind::ALL {
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

fn push_raw(items: &mut crate::layout::Log<RawItem>, decl: DeclId, len: u32) {
    let offset = Layout::raw_len(items) as u32;
    items.push(RawItem { decl, offset, len });
}

fn remove_raw(items: &mut crate::layout::Log<RawItem>, decl: DeclId) {
    let at = items
        .iter()
        .position(|item| item.decl == decl)
        .expect("placed segments are listed");
    items.remove(at);
    recompute_raw(items);
}

fn recompute_raw(items: &mut crate::layout::Log<RawItem>) {
    let mut offset = 0;
    for at in 0..items.len() {
        let item = items[at];
        if item.offset != offset {
            items.set(at, RawItem { offset, ..item });
        }
        offset += item.len;
    }
}
