//! Code that functions leave behind when they move: still valid, called by nobody. To fill it with something that refers
//! to nothing costs a ninth of its size, which is put off until a patch can afford it or the place is reused.

use crate::layout::{Occupant, Ordinal, Place, UseDeltas, add_uses};
use crate::patch::lengths::entry_len;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, DeclKind, Definition, Pending, RelocKind};

/// Code of up to this many bytes is not orphaned but filled.
const SMALL_ORPHAN: u32 = 160;
/// The same where no more than must be is written.
const SMALL_ORPHAN_MINIMAL: u32 = 32;
/// More unused bytes than this are not filled: the body goes to a place that fits it better.
const MOST_FILLER: u32 = 480;

/// The largest orphan that is buried in a commit which moves nothing: a ninth of it is written.
pub(super) const BURIED_QUIETLY: u32 = 600;
/// The same in a commit that moves code, and may change types and exports too: of small ones more than half can be written.
const BURIED_WITH_MOVES: u32 = 200;

/// How many of the oldest orphans are looked at.
const SCANNED_ORPHANS: usize = 16;

impl Placing<'_> {
    /// Finds the functions that will move and whose old code can stay as it is. To fill it with something that refers to
    /// nothing would cost a ninth of its size.
    pub(super) fn expect_orphans(&mut self) {
        for &id in &self.context.program.dirty {
            if self.will_orphan(id) {
                self.expected_orphans.insert(id);
            }
        }
    }

    /// Whether a function moves in this commit and its code can stay as it is.
    fn will_orphan(&self, id: DeclId) -> bool {
        let program = self.context.program;
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
        let small = if self.context.minimal {
            SMALL_ORPHAN_MINIMAL
        } else {
            SMALL_ORPHAN
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
    fn changes_interface(&self, id: DeclId) -> bool {
        let decl = self.context.program.decl(id);
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

    /// Buries older orphans: those that must be, and one more if a patch can afford it.
    pub(super) fn bury_orphans(&mut self) -> Planned {
        self.bury_dependent_orphans()?;
        match self.context.minimal {
            true => Ok(()),
            false => self.bury_one_orphan(),
        }
    }

    /// Buries older orphans that refer to something which they could not be valid with.
    fn bury_dependent_orphans(&mut self) -> Planned {
        let program = self.context.program;
        for &id in &program.dirty {
            if !self.changes_interface(id) {
                continue;
            }
            for source in self.context.references.of(program, id) {
                if program.decl(source).is_orphan {
                    self.bury(source)?;
                }
            }
        }
        Ok(())
    }

    /// Buries an older orphan, as far as a patch may cost: engines compile it faster then.
    fn bury_one_orphan(&mut self) -> Planned {
        let program = self.context.program;
        // A body that makes way is not in place: what it leaves is filled, and one place in a patch is enough.
        let in_place = |id: &DeclId| {
            let decl = program.decl(*id);
            let Pending::Define(new) = decl.pending() else {
                return false;
            };
            let len = entry_len(new.content.len());
            match self.layout.place(*id) {
                Place::Function { body, .. } => {
                    len <= self.layout.functions.slot(body).cap && !self.makes_way(*id, len)
                }
                _ => false,
            }
        };
        let quiet = self.expected_orphans.is_empty() && program.dirty.iter().all(in_place);
        let most = if quiet {
            BURIED_QUIETLY
        } else {
            BURIED_WITH_MOVES
        };
        let fits = |id: &&DeclId| match self.layout.place(**id) {
            Place::Function { body, .. } => self.layout.functions.slot(body).cap <= most,
            _ => false,
        };
        match program.orphans().iter().take(SCANNED_ORPHANS).find(fits) {
            Some(&id) => self.bury(id),
            None => Ok(()),
        }
    }

    fn bury(&mut self, orphan: DeclId) -> Planned {
        if let Place::Function { body, .. } = self.layout.place(orphan) {
            self.touch_code(body);
            self.layout.functions.replace(body, Occupant::Dead);
            self.forget_orphan(orphan)?;
        }
        Ok(())
    }

    /// Takes back what an orphan stood for whose code is overwritten.
    pub(super) fn forget_orphan(&mut self, orphan: DeclId) -> Planned {
        self.layout.set_place(orphan, Place::None);
        let program = self.context.program;
        match self.orphans.overwrite(orphan) {
            Some(unborn) => self.release_types(&unborn.definition, unborn.root),
            None => match program.decl(orphan).current() {
                Some(code) => self.release_types(code, program.root(orphan)),
                None => Ok(()),
            },
        }
    }

    /// Takes back the uses of types by code that is gone.
    fn release_types(&mut self, code: &Definition, root: DeclId) -> Planned {
        let mut uses = UseDeltas::new();
        add_uses(&mut uses, code, -1);
        self.layout
            .types
            .count_uses(&self.context.program.types, root, &uses, 0)
            .ok_or(RelinkReason::TypesFull)?;
        Ok(())
    }

    /// Takes back the expectation that a function orphans its code, if there was one: its place must be empty.
    pub(super) fn expect_no_orphan(&mut self, id: DeclId) -> Planned {
        let program = self.context.program;
        if self.expected_orphans.remove(&id)
            && let Some(code) = program.decl(id).current()
        {
            self.release_types(code, program.root(id))?;
        }
        Ok(())
    }

    /// The same for all that were expected to orphan their code and did not.
    pub(super) fn expect_no_more_orphans(&mut self) -> Planned {
        while let Some(&id) = self.expected_orphans.first() {
            self.expect_no_orphan(id)?;
        }
        Ok(())
    }

    /// Gives up the place of a body: as it is if that can be, otherwise filled.
    pub(super) fn vacate_body(&mut self, id: DeclId, body: Ordinal) {
        let program = self.context.program;
        let orphan = match program.decl(id).current() {
            Some(code) if self.expected_orphans.contains(&id) => {
                let origin = (id, program.root(id));
                let spare = program.spare_orphans();
                self.orphans.add(spare, origin, code)
            }
            _ => None,
        };
        let Some(orphan) = orphan else {
            self.free_code(body);
            return;
        };
        self.expected_orphans.remove(&id);
        self.layout.functions.orphan(body, orphan);
        self.layout.set_place(
            orphan,
            Place::Function {
                entry: body,
                body,
                slot: None,
            },
        );
    }
}
