//! Where globals go, and that they still stand in an order that a module may have.

use crate::layout::{Ordinal, Place};
use crate::patch::encode::unused_global;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, DeclKind};

impl Placing<'_> {
    pub(super) fn place_global(&mut self, id: DeclId, len: u32) -> Ordinal {
        let ordinal = self.layout.globals.place(len, id);
        self.writes.globals.insert(ordinal);
        ordinal
    }

    pub(super) fn free_global(&mut self, ordinal: Ordinal) -> Planned {
        let len = self.layout.globals.slot(ordinal).len as usize;
        unused_global(&mut vec![0; len]).ok_or(RelinkReason::GlobalFiller)?;
        self.layout.globals.free(ordinal);
        self.writes.globals.insert(ordinal);
        Ok(())
    }

    /// Globals may name earlier ones only: those that are new here or went to another place must still stand in order.
    pub(super) fn check_global_order(&self) -> Planned {
        let program = self.context.program;
        let in_order = |id: DeclId| {
            let Place::Global(ordinal) = self.layout.place(id) else {
                return true;
            };
            let relocs = program.decl(id).next().map(|next| next.content.relocs());
            relocs
                .into_iter()
                .flatten()
                .filter_map(|reloc| reloc.decl())
                .all(|target| match self.layout.place(target) {
                    Place::Global(target) => target < ordinal,
                    _ => true,
                })
        };
        let touched = program.dirty.iter().chain(&self.moved).copied();
        for id in touched.filter(|id| program.decl(*id).kind == DeclKind::Global) {
            let sources = self.context.references.of(program, id);
            let globals = sources
                .into_iter()
                .filter(|source| program.decl(*source).kind == DeclKind::Global);
            if !std::iter::once(id).chain(globals).all(in_order) {
                return Err(RelinkReason::GlobalOrder.into());
            }
        }
        Ok(())
    }
}
