//! Code that functions leave behind when they move: still valid, called by nobody. To fill it with something that refers
//! to nothing costs a ninth of its size, which is put off until a patch can afford it or the place is reused.

use super::*;

impl Planner<'_> {
    /// Finds the functions that will move and whose old code can stay as it is. To fill it with something that refers to
    /// nothing would cost a ninth of its size.
    pub(super) fn find_leaving(&mut self) {
        for &id in &self.from.program.dirty {
            if self.will_leave(id) {
                self.leaving.insert(id);
            }
        }
    }

    pub(super) fn will_leave(&self, id: DeclId) -> bool {
        let program = self.from.program;
        let decl = program.decl(id);
        let Some(old) = decl.current() else {
            return false;
        };
        let Place::Function { entry, body, .. } = self.layout.place(id) else {
            return false;
        };
        let cap = self.layout.functions.slot(body).cap;
        let moves = match decl.pending() {
            Pending::None => false,
            Pending::Remove => true,
            Pending::Define(new) => {
                let len = entry_len(new.content.len());
                // The forwarder will stand there.
                let stays = entry == body && self.has_many_callers(id);
                new.is_body() && !stays && (len > cap || cap - len > MOST_FILLER)
            }
        };
        let small = if self.from.minimal {
            SMALL_REMAINS_MINIMAL
        } else {
            SMALL_REMAINS
        };
        if !moves || cap <= small {
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
    pub(super) fn changes_interface(&self, id: DeclId) -> bool {
        let decl = self.from.program.decl(id);
        match (decl.pending(), decl.current()) {
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
    pub(super) fn bury_dependent_remains(&mut self) -> Planned {
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
    pub(super) fn bury_some_remains(&mut self) -> Planned {
        let program = self.from.program;
        let in_place = |id: &DeclId| {
            let decl = program.decl(*id);
            let Pending::Define(new) = decl.pending() else {
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

    pub(super) fn bury(&mut self, remains: DeclId) -> Planned {
        if let Place::Function { body, .. } = self.layout.place(remains) {
            self.touch_code(body);
            self.layout.functions.replace(body, Occupant::Dead);
            self.forget_remains(remains)?;
        }
        Ok(())
    }

    /// Takes back what a declaration stood for whose code is overwritten.
    pub(super) fn forget_remains(&mut self, remains: DeclId) -> Planned {
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
    pub(super) fn release_types(&mut self, id: DeclId, root: DeclId) -> Planned {
        let program = self.from.program;
        let mut uses = UseDeltas::new();
        if let Some(old) = program.decl(id).current() {
            add_uses(&mut uses, old, -1);
        }
        self.layout
            .types
            .count_uses(&program.types, root, &uses, 0)
            .ok_or(RelinkReason::TypesFull)?;
        Ok(())
    }

    /// Functions that did not leave their code behind after all.
    pub(super) fn release_unused_leaving(&mut self) -> Planned {
        for id in std::mem::take(&mut self.leaving) {
            self.release_types(id, self.from.program.root(id))?;
        }
        Ok(())
    }

    /// Gives up the place of a body: as it is if that can be, otherwise filled.
    pub(super) fn leave_code(&mut self, id: DeclId, body: Ordinal) {
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
}
