//! Imports. One takes the index of the first defined function or global, which makes way; when one goes, the last of its
//! kind takes its place.

use crate::layout::{Occupant, Place, SectionKind, Slot};
use crate::patch::encode::unused_global;
use crate::patch::lengths::DEAD_LEN;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, DeclKind};

impl Placing<'_> {
    pub(super) fn imported(&self, kind: DeclKind) -> u32 {
        self.layout
            .imports
            .iter()
            .filter(|id| self.context.program.decl(**id).kind == kind)
            .count() as u32
    }

    pub(super) fn add_import(&mut self, id: DeclId, slot: Option<Slot>) -> Planned {
        let place = match self.context.program.decl(id).kind {
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
        self.whole.insert(SectionKind::Import);
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
            Occupant::Body(id) if self.context.program.decl(id).is_orphan => {
                self.layout.functions.replace(first, Occupant::Dead);
                self.forget_orphan(id)?;
            }
            Occupant::Body(id) => {
                self.expect_no_orphan(id)?;
                self.move_body(id, true)?;
            }
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
        let program = self.context.program;
        let kind = program.decl(id).kind;
        let keeps_front = self.layout.keeps_code_front();
        let at = self
            .layout
            .imports
            .iter()
            .position(|import| *import == id)
            .expect("placed imports are listed");
        self.whole.insert(SectionKind::Import);
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
}
