//! The pieces of debug information that a version of a program has, and which of them are about which functions.

use std::ops::Range;

use gimli::SectionId;

use crate::program::{DeclId, Displaced, Program, References, RelocatableBytes};

/// The sections that are read. What is said of variables is not.
const SECTIONS: [SectionId; 9] = [
    SectionId::DebugInfo,
    SectionId::DebugAbbrev,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugAddr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
];

/// The pieces of the last version, or of the one before it.
#[derive(Clone, Copy)]
pub(crate) struct Pieces<'a> {
    pub(crate) program: &'a Program,
    /// Who refers to whom in the last version.
    pub(crate) references: &'a References,
    /// What the last commit took the place of, if the version before it is meant.
    pub(crate) displaced: Option<&'a Displaced>,
}

impl<'a> Pieces<'a> {
    /// A piece of a section that is read, and which section that is.
    pub(super) fn get(self, id: DeclId) -> Option<(SectionId, &'a RelocatableBytes)> {
        let displaced = self.displaced.and_then(|displaced| displaced.get(&id));
        let definition = match displaced {
            Some(before) => before.as_ref(),
            None => self.program.get(id)?.current(),
        }?;
        let name = self.program.sections().get(definition.section()?.index())?;
        let section = SECTIONS.into_iter().find(|id| id.name() == &**name)?;
        Some((section, &definition.content))
    }

    fn is_unit(self, id: DeclId) -> bool {
        matches!(self.get(id), Some((SectionId::DebugInfo, _)))
    }

    /// The pieces of `.debug_info` that may say something of these functions, in the order in which they were declared.
    pub(super) fn units_of(self, bodies: &[(DeclId, Range<u64>)]) -> Vec<DeclId> {
        let (program, references) = (self.program, self.references);
        // What pieces were before is not in the references.
        let displaced = self.displaced.into_iter().flatten();
        let mut direct: Vec<DeclId> = displaced.map(|(id, _)| *id).collect();
        for (id, _) in bodies {
            direct.extend(references.weak(program, *id));
        }
        direct.sort_unstable();
        direct.dedup();
        let mut units = Vec::new();
        for id in direct {
            // Lists of addresses and line tables are named by the units that they belong to.
            use SectionId::*;
            match self.get(id) {
                Some((DebugInfo, _)) => units.push(id),
                Some((DebugAddr | DebugLine | DebugRanges, _)) => {
                    let users = references.weak(program, id).into_iter();
                    units.extend(users.filter(|id| self.is_unit(*id)));
                }
                _ => {}
            }
        }
        let serial = |id: &DeclId| program.get(*id).map_or(u32::MAX, |decl| decl.serial);
        units.sort_unstable_by_key(|id| (serial(id), *id));
        units.dedup();
        units
    }
}
