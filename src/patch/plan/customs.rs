//! Pieces of custom sections: where they go, and the fields in them that name what got another place.
//!
//! What a piece refers to need not be there. So it is not told of moves by those that know its targets to live, but by
//! the layout itself, which notes every place that changes.

use super::*;
use crate::layout::NoFiller;
use crate::program::SectionId;
use crate::wire::dwarf::Filler;

impl From<NoFiller> for PlanError {
    fn from(_: NoFiller) -> Self {
        PlanError::Relink(RelinkReason::CustomGap)
    }
}

/// Unused bytes behind a piece that has changed: in proportion, within reason.
pub(crate) fn piece_slack(filler: Filler, len: u32) -> u32 {
    filler.at_least((len / 4).clamp(64, 1 << 14))
}

impl Planner<'_> {
    /// Where a custom section stands, which is added if it is not there.
    fn custom_section(&mut self, id: SectionId) -> u16 {
        if let Some(at) = self.layout.customs.find(id) {
            return at;
        }
        let name = &self.from.program.sections()[id.index()];
        let at = self.layout.customs.add(id, name);
        let header = self.layout.customs.section(at).header_len();
        self.layout.sections.add_custom(header);
        at
    }

    /// A region for a piece: a free one that fits, or a new one.
    pub(super) fn place_piece(&mut self, id: DeclId, section: SectionId) -> Planned<Place> {
        let decl = self.from.program.decl(id);
        let len = self.next(id).content.len() as u32;
        let at = self.custom_section(section);
        let custom = self.layout.customs.section_mut(at);
        let region = match custom.reuse(len, id) {
            Some(region) => region,
            None => {
                if custom.dead() > 1 << 16 && custom.dead() > custom.end() / 2 {
                    return Err(RelinkReason::Fragmented.into());
                }
                let slack = match decl.current() {
                    Some(_) => piece_slack(custom.filler, len),
                    None => 0,
                };
                custom.append(len.checked_add(slack).ok_or(NoFiller)?, id)?
            }
        };
        self.writes.pieces.insert(id, false);
        self.writes.gaps.insert((at, region));
        let section = at;
        Ok(Place::Custom { section, region })
    }

    pub(super) fn redefine_piece(
        &mut self,
        id: DeclId,
        old: &Definition,
        section: u16,
        region: u32,
    ) -> Planned {
        let new = self.next(id);
        let len = new.content.len() as u32;
        let custom = self.layout.customs.section_mut(section);
        let slack = piece_slack(custom.filler, len);
        if new.section() == Some(custom.id) && custom.resize(region, len, slack) {
            self.writes.pieces.insert(id, true);
            if old.content.len() != new.content.len() {
                self.writes.gaps.insert((section, region));
            }
            return Ok(());
        }
        self.free_piece(section, region)?;
        if let Some(section) = new.section() {
            let place = self.place_piece(id, section)?;
            self.layout.set_place(id, place);
        }
        Ok(())
    }

    pub(super) fn free_piece(&mut self, section: u16, region: u32) -> Planned {
        if self.layout.customs.section_mut(section).free(region)? {
            self.writes.gaps.insert((section, region));
        }
        Ok(())
    }

    /// Collects the fields of pieces that did not change which name what got another place.
    pub(super) fn follow_displaced(&mut self) {
        let program = self.from.program;
        for (id, before) in std::mem::take(&mut self.layout.displaced) {
            // The first of several places is the one that is in the file.
            if self.writes.displaced.contains(&id) || self.layout.place(id) == before {
                continue;
            }
            self.writes.displaced.insert(id);
            let after = self.layout.place(id);
            for source in self.from.references.weak(program, id) {
                let decl = program.decl(source);
                let (Some(definition), Pending::None) = (decl.current(), decl.pending()) else {
                    continue;
                };
                for (at, reloc) in definition.content.relocs().iter().enumerate() {
                    if reloc.decl() == Some(id) && differs(reloc.kind, before, after) {
                        self.writes.sites.insert((source, at as u32));
                    }
                }
            }
        }
    }

    /// All offsets of code are from the beginning of its section, which moves when an import takes an entry or gives it
    /// back.
    pub(super) fn check_code_front(&self, before: u64) -> Planned {
        if self.layout.keeps_code_front() && self.layout.code_front() != before {
            return Err(RelinkReason::CodeShifted.into());
        }
        Ok(())
    }
}

/// Whether a field of this kind says something else of the one place than of the other.
fn differs(kind: RelocKind, before: Place, after: Place) -> bool {
    let body = |place| match place {
        Place::Function { body, .. } => Some(body),
        _ => None,
    };
    let entry = |place| match place {
        Place::Function { entry, .. } => (Some(entry), None),
        Place::ImportedFunction { index, .. } => (None, Some(index)),
        _ => (None, None),
    };
    let address = |place| match place {
        Place::Data { address, .. } => Some(address),
        _ => None,
    };
    match kind {
        RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64 => body(before) != body(after),
        RelocKind::FunctionIndexI32 => entry(before) != entry(after),
        kind if kind.is_slot() => {
            before.slot() != after.slot() || (before == Place::None) != (after == Place::None)
        }
        kind if kind.is_address() => address(before) != address(after),
        _ => true,
    }
}
