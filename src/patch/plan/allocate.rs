//! The last phase: every section gets the bytes it needs.

use crate::layout::SectionKind;
use crate::patch::plan::context::Planned;
use crate::patch::plan::measure::Measured;
use crate::patch::plan::writes::Writes;
use crate::patch::relink::RelinkReason;
use crate::patch::tail;
use crate::program::{DeclId, DeclKind};

/// Bytes of sections that any patch may move.
const MOST_MOVED: u64 = 62 << 10;

/// Bytes of pads that any file may have.
const MOST_PADS: u64 = 1 << 20;

impl Measured<'_> {
    /// Gives the sections their bytes: with that the plan is done. A section that has to move is written whole.
    pub(super) fn allocate(mut self) -> Planned<Writes> {
        let before = self.layout.sections.places().clone();
        let file_len = self.layout.sections.file_len();
        let moved = self.layout.make_room();
        let moved = moved.map_err(|_| RelinkReason::PadsUsedUp)?;
        if !moved.is_empty() && self.is_too_much(&moved, file_len) {
            return Err(RelinkReason::PadsUsedUp.into());
        }
        self.whole.extend(moved);
        let sections = &self.layout.sections;
        let is_new = |kind: &SectionKind| sections.get(*kind).present && !before.get(*kind).present;
        let new: Vec<_> = sections.places().kinds().filter(is_new).collect();
        self.whole.extend(new);
        let mut names_tail = self.names_tail;
        if names_tail.is_none() && self.whole.contains(&SectionKind::Name) {
            names_tail = Some(tail::names_tail(self.context.program, &self.layout));
        }
        Ok(Writes {
            places: self.writes,
            fields: self.fields,
            orphans: self.orphans,
            whole: self.whole,
            names_tail,
        })
    }

    /// Whether moving these sections writes more than a patch of what has changed may, in a file of this length: 8 times what
    /// is new and 64 KiB, or a twentieth of the file. A part of that is for what is written besides. Or whether what they
    /// leave would make the file much longer than it need be.
    fn is_too_much(&self, moved: &[SectionKind], file_len: u64) -> bool {
        let sections = &self.layout.sections;
        let len = |kind: SectionKind| {
            let place = sections.get(kind);
            place.end - place.begin
        };
        let written = moved.iter().map(|kind| len(*kind)).sum::<u64>() + self.pieces_elsewhere();
        let is_much = written > MOST_MOVED.max(file_len / 21);
        let pads = sections.places().pads().map(|(begin, end)| end - begin);
        let is_long = pads.sum::<u64>() > MOST_PADS.max(sections.file_len() / 5);
        is_much && (is_long || written > MOST_MOVED + 7 * self.brought())
    }

    /// Bytes of the pieces that go to other places in their sections.
    fn pieces_elsewhere(&self) -> u64 {
        let pieces = self.writes.pieces.iter();
        let moved = pieces.filter(|(_, in_place)| !**in_place);
        let len = |id: DeclId| {
            let next = self.context.program.decl(id).next();
            next.map_or(0, |next| next.content.len())
        };
        moved.map(|(id, _)| len(*id) as u64).sum()
    }

    /// Bytes of the definitions that are new, without the beginning and the end that they share with those before; a function's
    /// code is new as a whole.
    fn brought(&self) -> u64 {
        let program = self.context.program;
        let bytes = program.dirty.iter().map(|id| {
            let decl = program.decl(*id);
            let new = decl.next().map_or(&[][..], |next| next.content.bytes());
            let old = decl.current().and_then(|old| old.content.bytes_at_hand());
            let old = old.unwrap_or_default();
            if decl.kind == DeclKind::Function && old != new {
                return new.len();
            }
            let same = |(a, b): &(&u8, &u8)| a == b;
            let front = old.iter().zip(new).take_while(same).count();
            let behind = old.len().min(new.len()) - front;
            let back = old.iter().rev().zip(new.iter().rev());
            new.len() - front - back.take(behind).take_while(same).count()
        });
        bytes.sum::<usize>() as u64
    }
}
