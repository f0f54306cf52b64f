//! Slots for functions whose address is taken.

use crate::layout::{Place, Slot};
use crate::patch::plan::place::Placing;
use crate::program::{DeclId, Pending};

impl Placing<'_> {
    /// Gives slots to functions whose address a new definition takes.
    pub(super) fn place_slots(&mut self) {
        let program = self.context.program;
        for &id in &program.dirty {
            self.place_slots_of(id);
        }
    }

    fn place_slots_of(&mut self, id: DeclId) {
        let Pending::Define(definition) = self.context.program.decl(id).pending() else {
            return;
        };
        if definition.section().is_some() {
            return;
        }
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

    /// Notes that a slot names something else now.
    pub(super) fn write_slot(&mut self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.writes.slots.insert(self.layout.slots.entry(slot));
        }
    }

    /// What comes with more slots than there were: new entries, the table's limits, segments behind.
    pub(super) fn note_new_slots(&mut self) {
        let (before, now) = (self.before.slots, self.layout.slots.len());
        if now > before {
            self.writes.slots.extend(before..now);
            self.writes.slots_grew = true;
            self.writes.elements.all = true;
        }
    }
}
