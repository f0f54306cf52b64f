//! Where pieces of custom sections go.

use crate::layout::{CustomFull, CustomIndex, Left, Place, RegionIndex};
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
        let program = self.context.program;
        let (name, own) = (&program.sections()[id.index()], program.filler(id));
        let at = self.layout.customs.add(id, name, own);
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
                    Some(_) => piece_slack(&custom.filler, len),
                    None => 0,
                };
                custom.append(len.checked_add(slack).ok_or(CustomFull)?, id)?
            }
        };
        self.writes.pieces.insert(id, false);
        self.writes.gaps.insert((at, region));
        // A region may count as one did that stood elsewhere.
        self.layout.note_shifted(id);
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
        let is_here = new.section() == Some(custom.id);
        if is_here && custom.filler.is_none() && old.content.len() as u32 != len {
            custom.fit(region, len)?;
            self.writes.pieces.entry(id).or_insert(true);
            self.note_shifted(section, region.0 + 1);
            return Ok(());
        }
        let slack = piece_slack(&custom.filler, len);
        if is_here && custom.resize(region, len, slack) {
            // What was moved in this commit already is written whole.
            self.writes.pieces.entry(id).or_insert(true);
            if old.content.len() != new.content.len() {
                self.writes.gaps.insert((section, region));
            }
            return Ok(());
        }
        if is_here && self.make_way(section, region, len.saturating_add(slack))? {
            self.writes.pieces.entry(id).or_insert(true);
            self.writes.gaps.insert((section, region));
            return Ok(());
        }
        self.free_piece(section, region);
        if let Some(section) = new.section() {
            let place = self.place_piece(id, section)?;
            self.layout.set_place(id, place);
        }
        Ok(())
    }

    /// Lets the pieces behind a region go elsewhere, if that is less to write than to move the piece that has outgrown it.
    fn make_way(&mut self, section: CustomIndex, region: RegionIndex, len: u32) -> Planned<bool> {
        let custom = self.layout.customs.section(section);
        let Some(way) = custom.way(region, len) else {
            return Ok(false);
        };
        let regions = &custom.regions()[way.start as usize..way.end as usize];
        let owners: Vec<DeclId> = regions.iter().filter_map(|region| region.owner).collect();
        // What goes in this commit has no place that it could go to.
        let next = |id: &DeclId| self.context.program.decl(*id).next();
        let of_section = |id: &DeclId| next(id).and_then(Definition::section) == Some(custom.id);
        if !owners.iter().all(of_section) {
            return Ok(false);
        }
        self.layout.customs.section_mut(section).take(region, way);
        for id in owners {
            let place = self.place_piece(id, self.layout.customs.section(section).id)?;
            self.layout.set_place(id, place);
        }
        Ok(true)
    }

    pub(super) fn free_piece(&mut self, section: CustomIndex, region: RegionIndex) {
        match self.layout.customs.section_mut(section).free(region) {
            Left::Nothing => {}
            Left::Gap => {
                self.writes.gaps.insert((section, region));
            }
            Left::ClosedUp => self.follow_closed_up(section, region),
        }
    }

    /// The regions behind one that is no more count from one less now, and stand elsewhere.
    fn follow_closed_up(&mut self, section: CustomIndex, gone: RegionIndex) {
        let gaps = std::mem::take(&mut self.writes.gaps);
        let before = |(of, at): (CustomIndex, RegionIndex)| match of == section {
            true if at == gone => None,
            true if at > gone => Some((of, RegionIndex(at.0 - 1))),
            _ => Some((of, at)),
        };
        self.writes.gaps = gaps.into_iter().filter_map(before).collect();
        let count = self.layout.customs.section(section).regions().len() as u32;
        for region in (gone.0..count).map(RegionIndex) {
            let owner = self.layout.customs.section(section).region(region).owner;
            if let Some(id) = owner {
                self.layout.set_place(id, Place::Custom { section, region });
            }
        }
        self.note_shifted(section, gone.0);
    }

    /// Notes that the regions of a section from one on stand elsewhere: all of them are written.
    fn note_shifted(&mut self, section: CustomIndex, from: u32) {
        let count = self.layout.customs.section(section).regions().len() as u32;
        for region in (from..count).map(RegionIndex) {
            self.writes.gaps.insert((section, region));
            let owner = self.layout.customs.section(section).region(region).owner;
            if let Some(id) = owner {
                self.writes.pieces.insert(id, false);
                self.layout.note_shifted(id);
            }
        }
    }
}
