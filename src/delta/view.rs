//! One side of a commit: what was defined and where it stood, or what is defined now and where it stands.

use crate::hash::HashMap;
use crate::layout::{Layout, Place};
use crate::program::{DeclId, Definition, Program, RelocKind, Relocation};

/// Places of single declarations.
pub(super) type Places = HashMap<DeclId, Place, foldhash::fast::FixedState>;

/// A program at one side of a commit.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) program: &'a Program,
    pub(super) layout: &'a Layout,
    /// Places that are others than the layout's.
    pub(super) places: Option<&'a Places>,
    /// Whether this is the side before the commit.
    pub(super) is_before: bool,
}

impl<'a> View<'a> {
    /// The definition that a declaration has here.
    pub(super) fn definition(&self, id: DeclId) -> Option<&'a Definition> {
        let decl = self.program.get(id)?;
        match self.is_before {
            true => decl.current(),
            false => decl.next(),
        }
    }

    /// Where a declaration stands here.
    pub(super) fn place(&self, id: DeclId) -> Place {
        let other = self.places.and_then(|places| places.get(&id).copied());
        other.unwrap_or_else(|| self.layout.place(id))
    }

    /// The value of a field whose value does not depend on the module that it stands in: a slot or an address.
    pub(super) fn value(&self, reloc: &Relocation) -> Option<i64> {
        match self.place(reloc.decl()?) {
            place if reloc.kind.is_slot() => Some(place.slot()?.0.into()),
            Place::Data { address, .. } if reloc.kind.is_address() => {
                Some((address as i64).wrapping_add(reloc.addend.into()))
            }
            _ => None,
        }
    }

    /// Data as it is here: its bytes, the zeros that belong to it, addresses and slots.
    pub(super) fn data(&self, id: DeclId, size: u64) -> Option<Vec<u8>> {
        let content = &self.definition(id)?.content;
        let mut bytes = content.bytes().to_vec();
        bytes.resize(size as usize, 0);
        for reloc in content.relocs() {
            let mut value = self.value(reloc)?;
            if let (RelocKind::DistanceI32, Place::Data { address, .. }) =
                (reloc.kind, self.place(id))
            {
                value = value.wrapping_sub(address as i64);
            }
            let field = bytes.get_mut(reloc.offset as usize..)?;
            reloc
                .kind
                .write(value, field.get_mut(..reloc.kind.width())?);
        }
        Some(bytes)
    }
}
