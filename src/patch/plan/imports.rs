//! Imports, tags and the program's own segments: whatever has its index by its position in a list. An import takes the
//! index of the first defined function or global, which makes way.

use super::*;

/// What a commit does to the imports, and to what has its index behind them.
#[derive(Debug, Default)]
pub(super) struct ImportEdits {
    gone: HashSet<DeclId>,
    /// In the order in which they come.
    new: Vec<DeclId>,
    /// Defined tags that go.
    pub(super) gone_tags: HashSet<DeclId>,
    /// Whether defined tags come or go.
    pub(super) tags: bool,
}

impl Planner<'_> {
    pub(super) fn imported(&self, kind: DeclKind) -> u32 {
        self.layout
            .imports
            .iter()
            .filter(|id| self.from.program.decl(**id).kind == kind)
            .count() as u32
    }

    /// Makes room for an import, which is given its place among the others later.
    pub(super) fn add_import(&mut self, id: DeclId, slot: Option<Slot>) -> Planned {
        let place = match self.from.program.decl(id).kind {
            DeclKind::Function => {
                self.vacate_first_function()?;
                let index = self.layout.functions.imported();
                let first = self.layout.functions.first();
                if self.layout.keeps_code_front() {
                    let next = self.layout.functions.give_up_first_in_place();
                    // Without a prior occupant the length is written too.
                    self.writes.code.extend(next.map(|next| (next, None)));
                } else {
                    self.layout.functions.give_up_first();
                }
                self.layout.names.give_up_first(first);
                Place::ImportedFunction { index, slot }
            }
            DeclKind::Global => {
                self.vacate_first_global();
                self.layout.globals.give_up_first();
                Place::None
            }
            DeclKind::Table => return Err(RelinkReason::TableIndices.into()),
            DeclKind::Memory => return Err(RelinkReason::MemoryIndices.into()),
            _ => Place::None,
        };
        self.layout.set_place(id, place);
        self.imports.new.push(id);
        Ok(())
    }

    /// Makes the first ordinal a dead one.
    pub(super) fn vacate_first_function(&mut self) -> Planned {
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
            Occupant::Body(id) if self.from.program.decl(id).is_orphan => {
                self.layout.functions.replace(first, Occupant::Dead);
                self.forget_orphan(id)?;
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

    pub(super) fn vacate_first_global(&mut self) {
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

    /// Takes back what an import that goes has taken; the others close up later.
    pub(super) fn remove_import(&mut self, id: DeclId) -> Planned {
        match self.from.program.decl(id).kind {
            DeclKind::Table => return Err(RelinkReason::TableIndices.into()),
            DeclKind::Memory => return Err(RelinkReason::MemoryIndices.into()),
            DeclKind::Function => {
                let keeps_front = self.layout.keeps_code_front();
                let functions = &mut self.layout.functions;
                let first = match keeps_front {
                    false => functions
                        .take_back_first()
                        .ok_or(RelinkReason::ImportRemoved)?,
                    true => {
                        let (first, next) = functions
                            .take_back_first_in_place(DEAD_LEN)
                            .ok_or(RelinkReason::CodeShifted)?;
                        self.writes.code.insert(next, None);
                        first
                    }
                };
                self.writes.code.insert(first, None);
                self.writes.entries.insert(first);
            }
            DeclKind::Global => {
                let first = self
                    .layout
                    .globals
                    .take_back_first()
                    .ok_or(RelinkReason::ImportRemoved)?;
                let len = self.layout.globals.slot(first).len as usize;
                unused_global(&mut vec![0; len]).ok_or(RelinkReason::GlobalFiller)?;
                self.writes.globals.insert(first);
            }
            _ => {}
        }
        self.imports.gone.insert(id);
        Ok(())
    }

    /// Gives all imports and tags their indices, once it is known which there are.
    pub(super) fn place_imports(&mut self) -> Planned {
        let program = self.from.program;
        let order = program.next_import_order();
        let in_order = program.import_order_changes();
        if !in_order && self.imports.gone.is_empty() && self.imports.new.is_empty() {
            if std::mem::take(&mut self.imports.tags) {
                self.number_tags();
            }
            return Ok(());
        }
        let imports = match order {
            None => self.closed_up(),
            Some(order) => order.to_vec(),
        };
        for (at, &id) in imports.iter().enumerate() {
            match self.layout.imports.get(at) {
                Some(before) if *before == id => {}
                Some(_) => self.layout.imports.set(at, id),
                None => self.layout.imports.push(id),
            }
        }
        while self.layout.imports.len() > imports.len() {
            self.layout.imports.pop();
        }
        self.writes.whole.insert(SectionKind::Import);
        self.writes.name_front = true;
        let of_kind = |kind| {
            let imports = imports.iter().copied();
            imports.filter(move |id| program.decl(*id).kind == kind)
        };
        for (kind, reason) in [
            (DeclKind::Table, RelinkReason::TableIndices),
            (DeclKind::Memory, RelinkReason::MemoryIndices),
        ] {
            let mut places = of_kind(kind).map(|id| self.layout.place(id)).zip(0..);
            if places.any(|(place, index)| place != Place::Index(index)) {
                return Err(reason.into());
            }
        }
        let globals: Vec<DeclId> = of_kind(DeclKind::Global).collect();
        self.renumber(&globals, 0);
        for (index, id) in of_kind(DeclKind::Function).enumerate() {
            self.number_function(id, index as u32);
        }
        self.number_tags();
        Ok(())
    }

    /// The imports where no order is kept: the last one of a kind takes the place of one that goes, so that only its
    /// references change; new ones come last.
    fn closed_up(&self) -> Vec<DeclId> {
        let kind = |id: DeclId| self.from.program.decl(id).kind;
        let gone = |id: DeclId| self.imports.gone.contains(&id);
        let mut imports: Vec<Option<DeclId>> =
            self.layout.imports.iter().copied().map(Some).collect();
        for of in [DeclKind::Function, DeclKind::Global] {
            let here = |at: &usize| self.layout.imports[*at];
            let mut last = (0..imports.len()).rev().filter(|at| kind(here(at)) == of);
            let holes = (0..imports.len()).filter(|at| kind(here(at)) == of && gone(here(at)));
            let holes: Vec<usize> = holes.collect();
            for hole in holes {
                let mover = last.find(|at| !gone(here(at)));
                let Some(mover) = mover.filter(|at| *at > hole) else {
                    break;
                };
                imports[hole] = imports[mover].take();
            }
        }
        let stay = imports.into_iter().flatten();
        // Those that went and were not replaced.
        let stay = stay.filter(|id| !gone(*id));
        stay.chain(self.imports.new.iter().copied()).collect()
    }

    fn number_function(&mut self, id: DeclId, index: u32) {
        let Place::ImportedFunction {
            index: before,
            slot,
        } = self.layout.place(id)
        else {
            unreachable!("an imported function's place")
        };
        if before == index {
            return;
        }
        self.layout
            .set_place(id, Place::ImportedFunction { index, slot });
        self.write_slot(slot);
        self.moved.insert(id);
    }

    /// Gives imported and defined tags their indices.
    fn number_tags(&mut self) {
        let program = self.from.program;
        let gone = std::mem::take(&mut self.imports.gone_tags);
        if !gone.is_empty() {
            let stay: Vec<DeclId> = self.layout.tags.iter().copied().collect();
            let stay = stay.into_iter().filter(|id| !gone.contains(id));
            let mut left = 0;
            for id in stay {
                if self.layout.tags[left] != id {
                    self.layout.tags.set(left, id);
                }
                left += 1;
            }
            while self.layout.tags.len() > left {
                self.layout.tags.pop();
            }
        }
        let imported = self.layout.imports.iter();
        let imported = imported.filter(|id| program.decl(**id).kind == DeclKind::Tag);
        let tags: Vec<DeclId> = imported.chain(self.layout.tags.iter()).copied().collect();
        self.renumber(&tags, 0);
    }

    /// Gives declarations consecutive indices.
    pub(super) fn renumber(&mut self, ids: &[DeclId], first: u32) {
        for (at, &id) in ids.iter().enumerate() {
            let (before, place) = (self.layout.place(id), Place::Index(first + at as u32));
            if before == place {
                continue;
            }
            self.layout.set_place(id, place);
            // Nothing that stays as it is refers to what is new.
            if before != Place::None {
                self.moved.insert(id);
            }
        }
    }
}
