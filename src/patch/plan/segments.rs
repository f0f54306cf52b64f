//! The program's own element and data segments: each stands behind the one before it, so one that comes, goes or gets
//! another length moves all that follow. What changed is collected first; the lists are put right once, in one pass.

use std::ops::Range;

use super::*;
use crate::transaction::Log;

/// What of a section's segments must be written.
#[derive(Debug, Default)]
pub(crate) struct SegmentWrites {
    /// Runs of them that stand elsewhere than before or have another length, by position.
    pub(crate) moved: Vec<Range<usize>>,
    /// Those that changed in their place.
    pub(crate) items: BTreeSet<DeclId>,
}

impl SegmentWrites {
    /// Whether the segment at a position is written because it moved.
    pub(crate) fn has_moved(&self, at: usize) -> bool {
        let run = self.moved.partition_point(|run| run.end <= at);
        self.moved.get(run).is_some_and(|run| run.contains(&at))
    }
}

/// What a commit does to the segments of one section.
#[derive(Debug, Default)]
pub(super) struct SegmentEdits {
    /// Those that go.
    gone: HashSet<DeclId>,
    /// Those that come, in order.
    new: Vec<DeclId>,
    /// Whether any of the others gets another length.
    resized: bool,
}

impl SegmentEdits {
    pub(super) fn remove(&mut self, id: DeclId) {
        self.gone.insert(id);
    }

    pub(super) fn add(&mut self, id: DeclId) {
        self.new.push(id);
    }

    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty() && !self.resized
    }
}

impl Planner<'_> {
    /// Notes that a segment has another definition.
    pub(super) fn redefine_segment(&mut self, id: DeclId, kind: DeclKind, old: &Definition) {
        let resized = self.next(id).content.len() != old.content.len();
        let (edits, writes) = match kind {
            DeclKind::ElementSegment => (&mut self.elements, &mut self.writes.elements),
            _ => (&mut self.data_segments, &mut self.writes.data_segments),
        };
        edits.resized |= resized;
        writes.items.insert(id);
    }

    /// Gives all segments their offsets and indices, once everything else is placed.
    pub(super) fn place_segments(&mut self) {
        let program = self.from.program;
        let layout = &mut *self.layout;
        if !self.elements.is_empty() {
            let moved = arrange(program, &self.elements, &mut layout.elements);
            self.writes.elements.moved = moved;
            let ids: Vec<DeclId> = layout.elements.iter().map(|item| item.decl).collect();
            self.renumber(&ids, self.layout.first_element());
        }
        let layout = &mut *self.layout;
        if !self.data_segments.is_empty() {
            let moved = arrange(program, &self.data_segments, &mut layout.data_segments);
            self.writes.data_segments.moved = moved;
            let ids: Vec<DeclId> = layout.data_segments.iter().map(|item| item.decl).collect();
            self.renumber(&ids, self.layout.first_data_segment());
        }
    }
}

/// Brings a list of segments up to date. Returns which of them stand elsewhere than before.
fn arrange(program: &Program, edits: &SegmentEdits, items: &mut Log<RawItem>) -> Vec<Range<usize>> {
    let stay = items.iter().map(|item| item.decl);
    let stay = stay.filter(|id| !edits.gone.contains(id));
    let ids: Vec<DeclId> = stay.chain(edits.new.iter().copied()).collect();
    let mut moved: Vec<Range<usize>> = Vec::new();
    let mut offset = 0;
    for (at, &decl) in ids.iter().enumerate() {
        let next = program.decl(decl).next();
        let len = next.map_or(0, |next| next.content.len() as u32);
        let item = RawItem { decl, offset, len };
        offset += len;
        match items.get(at) {
            Some(before) if *before == item => continue,
            Some(_) => items.set(at, item),
            None => items.push(item),
        }
        match moved.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => moved.push(at..at + 1),
        }
    }
    while items.len() > ids.len() {
        items.pop();
    }
    moved
}
