//! Names that changed without anything else.

use crate::layout::Place;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::program::DeclKind;

impl Placing<'_> {
    /// Puts new names where the old ones stand; a function whose new name does not fit there goes to another place.
    pub(super) fn rename(&mut self) -> Planned {
        let program = self.context.program;
        for id in program.renamed() {
            let decl = program.decl(id);
            if decl.next().is_none() {
                continue;
            }
            if decl.kind != DeclKind::Function {
                self.names_tail_is_stale = true;
                continue;
            }
            let Place::Function { body, .. } = self.layout.place(id) else {
                // An imported one.
                self.writes.name_front = true;
                continue;
            };
            if !self.layout.options.names {
                continue;
            }
            let (names, index) = (&self.layout.names, self.layout.functions.index(body));
            if names.fits(body, index, decl.given_name()) {
                self.writes.names.insert(body);
            } else {
                self.move_body(id, false)?;
            }
        }
        Ok(())
    }
}
