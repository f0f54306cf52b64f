//! Slots for functions whose address is taken.

use std::collections::BTreeMap;

use crate::layout::{Occupant, Place, Slot};
use crate::patch::plan::place::Placing;
use crate::program::{DeclId, Definition, Pending, Relocation};

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

    /// Counts the fields that hold functions' addresses, and marks the thunks of those whose address is taken now or no more.
    pub(super) fn count_addresses(&mut self) {
        if !self.layout.options.thunks {
            return;
        }
        let program = self.context.program;
        let mut changes: BTreeMap<DeclId, i64> = BTreeMap::new();
        let mut count = |definition: Option<&Definition>, by: i64| {
            let definition = definition.filter(|it| it.section().is_none());
            let relocs = definition.into_iter().flat_map(|it| it.content.relocs());
            let slots = relocs.filter(|it| it.kind.is_slot());
            for target in slots.filter_map(Relocation::decl) {
                *changes.entry(target).or_default() += by;
            }
        };
        for decl in program.dirty.iter().map(|id| program.decl(*id)) {
            if !matches!(decl.pending(), Pending::None) {
                count(decl.current(), -1);
                count(decl.next(), 1);
            }
        }
        for (id, by) in changes {
            let is_other = self.layout.count_addresses(id, by);
            if let (true, Place::Function { entry, .. }) = (is_other, self.layout.place(id))
                && self.layout.functions.slot(entry).occupant == Occupant::Thunk(id)
            {
                self.touch_code(entry);
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
            // They stand behind the slots.
            let all = 0..self.layout.elements.len();
            self.writes.elements.moved = Vec::from([all]);
        }
    }
}
