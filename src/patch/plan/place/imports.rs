//! Imports. One takes the index of the first defined function or global, which makes way. They stand in the order that the
//! front end keeps; where none is kept and one goes, the last of its kind takes its place.

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

    /// Makes room for an import, which is given its place among the others later.
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

    /// Takes back what an import that goes has taken; the others close up later.
    pub(super) fn remove_import(&mut self, id: DeclId) -> Planned {
        match self.context.program.decl(id).kind {
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
        let program = self.context.program;
        let order = program.next_import_order();
        let in_order = program.import_order_changes();
        if !in_order && self.imports.gone.is_empty() && self.imports.new.is_empty() {
            if !self.tags.is_empty() {
                self.place_tags();
            }
            return Ok(());
        }
        let imports = match order {
            None => self.closed_up(),
            Some(order) => order.to_vec(),
        };
        self.layout.imports.become_items(&imports);
        self.whole.insert(SectionKind::Import);
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
        self.place_tags();
        Ok(())
    }

    /// The imports where no order is kept: the last one of a kind takes the place of one that goes, so that only its
    /// references change; new ones come last.
    fn closed_up(&self) -> Vec<DeclId> {
        let kind = |id: DeclId| self.context.program.decl(id).kind;
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
}
