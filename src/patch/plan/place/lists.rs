//! Tags and the program's own segments: whatever has its index by its position in a list. A segment stands behind the one
//! before it, so one that comes, goes or gets another length moves all that follow. What changes is collected first; the
//! lists are put right once, in one pass.

use std::ops::Range;

use crate::layout::{Place, RawItems, SectionKind};
use crate::patch::plan::place::Placing;
use crate::patch::plan::place::collected::ListEdits;
use crate::program::{DeclId, DeclKind, Definition, Program};

impl Placing<'_> {
    /// Notes that a segment has another definition.
    pub(super) fn redefine_segment(&mut self, id: DeclId, old: &Definition) {
        let resized = self.context.next(id).content.len() != old.content.len();
        let (edits, writes) = match self.context.program.decl(id).kind {
            DeclKind::ElementSegment => (&mut self.elements, &mut self.writes.elements),
            _ => (&mut self.data_segments, &mut self.writes.data_segments),
        };
        edits.resized |= resized;
        writes.items.insert(id);
    }

    /// Gives all segments their offsets and indices.
    pub(super) fn place_segments(&mut self) {
        let program = self.context.program;
        if !self.elements.is_empty() {
            let moved = arrange(program, &self.elements, &mut self.layout.elements);
            self.writes.elements.moved = moved;
            let ids = self.layout.elements.iter().map(|item| item.decl);
            let ids: Vec<DeclId> = ids.collect();
            self.renumber(&ids, self.layout.first_element());
        }
        if !self.data_segments.is_empty() {
            let moved = arrange(program, &self.data_segments, &mut self.layout.data_segments);
            self.writes.data_segments.moved = moved;
            let ids = self.layout.data_segments.iter().map(|item| item.decl);
            let ids: Vec<DeclId> = ids.collect();
            self.renumber(&ids, self.layout.first_data_segment());
        }
    }

    /// Gives imported and defined tags their indices.
    pub(super) fn place_tags(&mut self) {
        let program = self.context.program;
        if !self.tags.is_empty() {
            let tags = self.tags.apply(self.layout.tags.iter().copied());
            self.layout.tags.become_items(&tags);
            self.whole.insert(SectionKind::Tag);
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

/// Brings a list of segments up to date. Returns which of them stand elsewhere than before.
fn arrange(program: &Program, edits: &ListEdits, items: &mut RawItems) -> Vec<Range<usize>> {
    let len = |id: DeclId| program.decl(id).next().map_or(0, |next| next.content.len());
    let ids = edits.apply(items.iter().map(|item| item.decl));
    items.become_items(ids.into_iter().map(|id| (id, len(id) as u32)))
}
