//! Imports, tags and the program's own segments: whatever has its index by its position in a list. An import takes the
//! index of the first defined function or global, which makes way.

use super::*;

impl Planner<'_> {
    pub(super) fn imported(&self, kind: DeclKind) -> u32 {
        self.layout
            .imports
            .iter()
            .filter(|id| self.from.program.decl(**id).kind == kind)
            .count() as u32
    }

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

    pub(super) fn remove_import(&mut self, id: DeclId) -> Planned {
        let program = self.from.program;
        let kind = program.decl(id).kind;
        let keeps_front = self.layout.keeps_code_front();
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
    pub(super) fn renumber_tags(&mut self) {
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

    pub(super) fn renumber_segments(&mut self) {
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
    pub(super) fn renumber(&mut self, ids: &[DeclId], first: u32) -> bool {
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

    pub(super) fn first_element(&self) -> u32 {
        u32::from(self.layout.slot_table.is_some())
    }
}
