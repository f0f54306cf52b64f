//! The last phase: every section gets the bytes it needs.

use crate::layout::SectionKind;
use crate::patch::plan::context::Planned;
use crate::patch::plan::measure::Measured;
use crate::patch::plan::writes::Writes;
use crate::patch::relink::RelinkReason;
use crate::patch::tail;

impl Measured<'_> {
    /// Gives the sections their bytes: with that the plan is done. A section that has to move is written whole.
    pub(super) fn allocate(mut self) -> Planned<Writes> {
        let before = self.layout.sections.places().clone();
        let moved = self.layout.make_room();
        self.whole
            .extend(moved.map_err(|_| RelinkReason::PadsUsedUp)?);
        let sections = &self.layout.sections;
        let is_new = |kind: &SectionKind| sections.get(*kind).present && !before.get(*kind).present;
        self.whole.extend(sections.places().kinds().filter(is_new));
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
}
