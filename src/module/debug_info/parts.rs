//! The pieces of custom sections in which the debug information of a function stands. They are parts of the function, and come and
//! go with it.

use gimli::SectionId;

use crate::error::{Error, Result};
use crate::module::Module;
use crate::module::debug_info::DebugInfo;
use crate::module::debug_info::dwarf::{self, SECTIONS, Target};
use crate::program::{
    DeclId, DeclKind, Definition, DefinitionKind, RelocKind, RelocatableBytes, Relocation,
};

impl Module {
    /// Says for debuggers of a function what came with its body, or nothing if nothing did.
    pub(in crate::module) fn set_debug_info(
        &mut self,
        function: DeclId,
        info: Option<&DebugInfo>,
        (head, len): (u32, u32),
    ) -> Result<()> {
        let Some(info) = info else {
            return self.remove_debug_info(function);
        };
        let pieces = dwarf::encode(info, head, len).map_err(|error| {
            let text = format!("has debug information that cannot be written: {error}");
            Error::bad_edit(text).with_symbol(self.label(function))
        })?;
        let mut ids = Vec::with_capacity(SECTIONS.len());
        for id in SECTIONS {
            ids.push(self.debug_part(function, id)?);
        }
        for ((piece, id), section) in pieces.into_iter().zip(&ids).zip(SECTIONS) {
            let mut fields = Vec::with_capacity(piece.fields.len());
            for (offset, target, addend) in piece.fields {
                fields.push(match target {
                    Target::Function => {
                        let kind = RelocKind::FunctionOffsetI32;
                        Relocation::new(kind, offset, function, addend)
                    }
                    Target::Piece(of) => {
                        let at = SECTIONS.iter().position(|id| *id == of);
                        let target = at.map(|at| ids[at]).ok_or_else(|| {
                            let text = format!("there is no piece of {}", of.name());
                            Error::bad_edit(text)
                        })?;
                        Relocation::new(RelocKind::SectionOffsetI32, offset, target, addend)
                    }
                });
            }
            fields.sort_unstable();
            let section = self.program.section(section.name());
            let definition = Definition {
                content: RelocatableBytes::new(piece.bytes, fields)?,
                shape: DefinitionKind::Custom { section },
            };
            self.program.define(*id, DeclKind::Custom, definition)?;
        }
        Ok(())
    }

    /// The piece of a section that is about a function. What is itself a part can have none: its piece is one of what it is of.
    fn debug_part(&mut self, function: DeclId, section: SectionId) -> Result<DeclId> {
        let key = self.debug_key(function, section);
        match self.program.lookup(&key) {
            Some(id) => Ok(id),
            None => {
                let owner = self.program.root(function);
                self.program
                    .declare(DeclKind::Custom, Some(&key), Some(owner))
            }
        }
    }

    /// The key of such a piece, by which it is found again.
    fn debug_key(&self, function: DeclId, section: SectionId) -> String {
        let stamp = self.program.stamp_of(function);
        format!("{} of {function}.{stamp}", section.name())
    }

    /// Says nothing of a function any more.
    pub(in crate::module) fn remove_debug_info(&mut self, function: DeclId) -> Result<()> {
        let mut known = self.program.sections().iter();
        if !known.any(|known| SECTIONS.iter().any(|section| **known == *section.name())) {
            return Ok(());
        }
        for section in SECTIONS {
            let key = self.debug_key(function, section);
            if let Some(id) = self.program.lookup(&key) {
                self.program.remove(id)?;
            }
        }
        Ok(())
    }
}
