//! How long the sections are that are written whole.

use crate::layout::{Layout, Lens, SectionKind};
use crate::patch::encode::entity_len;
use crate::patch::tail::Customs;
use crate::program::{DeclId, Definition, Program};

/// What these lengths depend on besides the layout.
pub(crate) struct SectionLens<'a> {
    pub(crate) program: &'a Program,
    pub(crate) customs: &'a Customs,
}

impl SectionLens<'_> {
    /// The sections that are always written whole.
    pub(crate) const KINDS: [SectionKind; 6] = [
        SectionKind::CustomFront,
        SectionKind::Import,
        SectionKind::Table,
        SectionKind::Memory,
        SectionKind::Tag,
        SectionKind::CustomTail,
    ];

    /// Brings the length of one of these sections up to date. Others have theirs from what the layout has placed in them.
    pub(crate) fn measure(&self, layout: &Layout, kind: SectionKind, lens: &mut Lens) {
        match kind {
            SectionKind::CustomFront => lens.custom_front = self.customs.front.len() as u64,
            SectionKind::Import => {
                lens.imports = self.sum(&layout.imports, |next| next.content.len())
            }
            SectionKind::Table => lens.tables = self.sum(&layout.tables, entity_len),
            SectionKind::Memory => lens.memories = self.sum(&layout.memories, entity_len),
            SectionKind::Tag => lens.tags = self.sum(&layout.tags, entity_len),
            SectionKind::CustomTail => lens.custom_tail = self.customs.tail.len() as u64,
            _ => {}
        }
    }

    fn sum(&self, ids: &[DeclId], len: impl Fn(&Definition) -> usize) -> u64 {
        let next = |id: &DeclId| self.program.decl(*id).next();
        let definitions = ids
            .iter()
            .map(|id| next(id).expect("placed because it is defined"));
        definitions.map(|next| len(next) as u64).sum()
    }
}
