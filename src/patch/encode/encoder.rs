//! From a declaration and the layout to bytes: resolves relocations.

use crate::layout::{Layout, Place};
use crate::program::{
    DeclId, Definition, Orphan, OrphanChanges, Program, RelocKind, RelocatableBytes, Relocation,
};

/// The state of the program and the layout that a commit brings about.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a> {
    pub(crate) program: &'a Program,
    pub(crate) layout: &'a Layout,
    /// Code that is orphaned in this commit.
    pub(crate) orphans: Option<&'a OrphanChanges>,
}

impl<'a> Encoder<'a> {
    /// The definition of something that has a place, as it will be.
    pub(crate) fn next(&self, id: DeclId) -> &'a Definition {
        let orphaned = || self.orphan(id).map(|orphan| &orphan.definition);
        let next = self.program.decl(id).next();
        next.or_else(orphaned).expect("what is placed is defined")
    }

    fn orphan(&self, id: DeclId) -> Option<&'a Orphan> {
        let is_orphan = self.program.decl(id).is_orphan;
        self.orphans.filter(|_| is_orphan)?.get(id)
    }

    /// The declaration whose types `id` shares.
    pub(crate) fn root(&self, id: DeclId) -> DeclId {
        match self.orphan(id) {
            Some(orphan) => orphan.root,
            None => self.program.root(id),
        }
    }

    /// The value of a relocation's field; negative values only for addends.
    #[inline]
    pub(crate) fn value(&self, root: DeclId, reloc: &Relocation) -> i64 {
        if let Some(ty) = reloc.ty() {
            return self
                .layout
                .types
                .index(root, ty)
                .expect("the type was counted")
                .into();
        }
        let place = self.layout.place(DeclId(reloc.target));
        match (reloc.kind, place) {
            (RelocKind::Call | RelocKind::FunctionIndex, Place::Function { entry, .. }) => {
                self.layout.functions.index(entry).into()
            }
            (RelocKind::Call | RelocKind::FunctionIndex, Place::ImportedFunction { index, .. }) => {
                index.into()
            }
            (kind, place) if kind.is_slot() => {
                let slot = place.slot().expect("slots were placed");
                i64::from(slot.0) + i64::from(reloc.addend)
            }
            (kind, Place::Data { address, .. }) if kind.is_address() => {
                (address as i64).wrapping_add(reloc.addend.into())
            }
            (RelocKind::TableLen, _) => self.layout.slots.table_len().into(),
            (_, Place::Global(ordinal)) => self.layout.globals.index(ordinal).into(),
            (_, Place::Index(index)) => index.into(),
            (kind, place) => unreachable!("a {kind:?} relocation against {place:?}"),
        }
    }

    /// Writes the field of a relocation.
    #[inline]
    pub(crate) fn relocate(&self, root: DeclId, reloc: &Relocation, field: &mut [u8]) {
        reloc.kind.write(self.value(root, reloc), field);
    }

    /// Writes bytes with their relocations resolved.
    pub(crate) fn content(&self, root: DeclId, content: &RelocatableBytes, out: &mut [u8]) {
        out.copy_from_slice(content.bytes());
        for reloc in content.relocs() {
            self.relocate(
                root,
                reloc,
                &mut out[reloc.offset as usize..][..reloc.kind.width()],
            );
        }
    }

    /// Writes a declaration's bytes with their relocations resolved.
    pub(crate) fn decl(&self, id: DeclId, out: &mut [u8]) {
        self.content(self.root(id), &self.next(id).content, out);
    }
}
