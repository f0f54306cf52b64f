//! Tags and the program's own segments: whatever has its index by its position in a list.

use smallvec::SmallVec;

use crate::layout::Place;
use crate::patch::plan::place::Placing;
use crate::program::{DeclId, DeclKind};

impl Placing<'_> {
    /// Gives imported and defined tags their indices.
    pub(super) fn renumber_tags(&mut self) {
        let program = self.context.program;
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
