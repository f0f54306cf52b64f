//! Entries of functions that are called through their slots, but are named by their index too: by an export, or by code
//! that calls them directly. An instance that runs cannot be told of another index, so what is named is a thunk.

use crate::layout::Place;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::program::{DeclId, Definition, Pending};

impl Placing<'_> {
    /// Gives thunks to functions that are named by their index from this commit on.
    pub(super) fn place_entries(&mut self) -> Planned {
        let options = self.layout.options;
        if !options.live || options.thunks {
            return Ok(());
        }
        let program = self.context.program;
        for &id in &program.dirty {
            let decl = program.decl(id);
            let Pending::Define(definition) = decl.pending() else {
                continue;
            };
            // What named it by its index named the host's function until now, and need not be in this commit.
            if decl.current().is_some_and(Definition::is_import) {
                self.place_entry(id)?;
            }
            if definition.section().is_some() {
                continue;
            }
            for reloc in definition.content.relocs() {
                if let Some(target) = reloc.decl().filter(|_| reloc.kind.is_function_index()) {
                    self.place_entry(target)?;
                }
            }
        }
        let changes = self.context.exports.changes();
        let exports = changes.iter().flat_map(|changes| changes.slots());
        for export in exports.filter_map(|(_, export)| export.as_ref()) {
            self.place_entry(export.decl)?;
        }
        Ok(())
    }

    /// Gives a function a thunk for its entry, if it has none and can have one.
    fn place_entry(&mut self, id: DeclId) -> Planned {
        let Place::Function { entry, body, slot } = self.layout.place(id) else {
            return Ok(());
        };
        let ty = self.context.next(id).ty().expect("a function has a type");
        if entry != body || !self.context.program.types.can_pass_on(ty) {
            return Ok(());
        }
        let entry = self.place_thunk(id)?;
        self.layout
            .set_place(id, Place::Function { entry, body, slot });
        self.moved.insert(id);
        Ok(())
    }
}
