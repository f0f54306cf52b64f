//! Where pieces of custom sections go.

use crate::layout::{CustomIndex, NoFiller, Place, RegionIndex};
use crate::patch::lengths::piece_slack;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, Definition, SectionId};

impl Placing<'_> {
    /// Where a custom section stands, which is added if it is not there.
    fn custom_section(&mut self, id: SectionId) -> CustomIndex {
        if let Some(at) = self.layout.customs.find(id) {
            return at;
        }
        let name = &self.context.program.sections()[id.index()];
        let at = self.layout.customs.add(id, name);
        let header = self.layout.customs.section(at).header_len();
        self.layout.sections.add_custom(header);
        at
    }

    /// A region for a piece: a free one that fits, or a new one.
    pub(super) fn place_piece(&mut self, id: DeclId, section: SectionId) -> Planned<Place> {
        let decl = self.context.program.decl(id);
        let len = self.context.next(id).content.len() as u32;
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
        section: CustomIndex,
        region: RegionIndex,
    ) -> Planned {
        let new = self.context.next(id);
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

    pub(super) fn free_piece(&mut self, section: CustomIndex, region: RegionIndex) -> Planned {
        if self.layout.customs.section_mut(section).free(region)? {
            self.writes.gaps.insert((section, region));
        }
        Ok(())
    }
}
