//! Slots for functions whose address is taken, and the references to whatever moved.

use super::*;

impl Planner<'_> {
    /// Gives slots to functions whose address a new definition takes.
    pub(super) fn place_slots(&mut self, id: DeclId) {
        let Pending::Define(definition) = self.from.program.decl(id).pending() else {
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
        let program = self.from.program;
        let mut changes: BTreeMap<DeclId, i64> = BTreeMap::new();
        let mut count = |definition: Option<&Definition>, by: i64| {
            let definition = definition.filter(|it| it.section().is_none());
            let relocs = definition.into_iter().flat_map(|it| it.content.relocs());
            for target in relocs
                .filter(|it| it.kind.is_slot())
                .filter_map(|it| it.decl())
            {
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
            let Place::Function { entry, .. } = self.layout.place(id) else {
                self.layout.count_addresses(id, by);
                continue;
            };
            let is_thunk = self.layout.functions.slot(entry).occupant == Occupant::Thunk(id);
            if self.layout.count_addresses(id, by) && is_thunk {
                self.touch_code(entry);
            }
        }
    }

    /// Collects the references to everything that moved.
    pub(super) fn follow_moved(&mut self) {
        let program = self.from.program;
        let moved = std::mem::take(&mut self.moved);
        self.follow_orphans(&moved);
        for &id in &moved {
            let decl = program.decl(id);
            self.writes.exports.insert(id);
            if decl.name.is_some() && decl.kind != DeclKind::Function {
                self.writes.names_tail = Some(Vec::new());
            }
            for source in self.from.references.of(program, id) {
                let decl = program.decl(source);
                let (Some(definition), Pending::None) = (decl.current(), decl.pending()) else {
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

    /// References to what moved in the code that is orphaned in this commit.
    pub(super) fn follow_orphans(&mut self, moved: &BTreeSet<DeclId>) {
        self.writes.orphans.call_themselves(moved);
        for orphan in self.writes.orphans.new() {
            let Place::Function { body, .. } = self.layout.place(orphan.id) else {
                continue;
            };
            for (at, reloc) in orphan.definition.content.relocs().iter().enumerate() {
                let moved = reloc.decl().is_some_and(|id| moved.contains(&id));
                if moved && !reloc.kind.is_slot() {
                    self.writes.orphan_sites.push((body, orphan.id, at as u32));
                }
            }
        }
    }

    /// What comes with more slots than the `before` there were: new entries, the table's limits, segments behind.
    pub(super) fn grow_slots(&mut self, before: u32) {
        let now = self.layout.slots.len();
        if now > before {
            self.writes.slots.extend(before..now);
            self.writes.slots_grew = true;
            // They stand behind the slots.
            self.writes.elements.moved = vec![0..self.layout.elements.len()];
        }
    }
}
