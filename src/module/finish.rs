//! The dense output: the program without all that patching needs.

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::layout::{Layout, LayoutOptions};
use crate::module::Module;
use crate::module::version::Version;
use crate::patch::{Dense, write_dense};
use crate::program::{DeclId, DeclKind, Export, RelocKind};

/// What a dense output is like, beside the program.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DenseStyle<'a> {
    /// Whether long runs of zeros in data are left out.
    pub(crate) cuts: bool,
    /// Whether there is a function table also if nothing names it: code of the first version of WebAssembly does not.
    pub(crate) keeps_slot_table: bool,
    /// The exports in the front end's order, if it has one: that which they have otherwise is that of the edits.
    pub(crate) exports: Option<&'a [(Box<str>, DeclId)]>,
}

impl Module {
    /// The program as of the last commit without slack, pads, thunks, forwarders and dead code: for release, not to be
    /// patched. It depends on the declarations and their order only, not on the history of edits.
    ///
    /// # Errors
    /// If edits are pending, or a limit of engines would be exceeded.
    pub fn finish(&self) -> Result<Vec<u8>> {
        Ok(self.finish_layout(DenseStyle::default())?.1.bytes)
    }

    /// The dense output, and the layout behind it.
    pub(crate) fn finish_layout(&self, style: DenseStyle<'_>) -> Result<(Layout, Dense)> {
        if self.has_edits() {
            let error = Error::bad_edit("edits are pending");
            return Err(error.with_hint("commit or discard them first"));
        }
        let has_slots = style.keeps_slot_table || self.uses_slots();
        let mut exports: Vec<_> = self.program.said_exports().collect();
        if let Some(order) = style.exports {
            let ranks = order.iter().enumerate();
            let ranks: HashMap<&str, usize> = ranks.map(|(at, (name, _))| (&**name, at)).collect();
            let rank = |export: &Export| ranks.get(&*export.name).copied().unwrap_or(usize::MAX);
            exports.sort_by_key(|(_, export)| rank(export));
        } else if self.program.next_import_order().is_none() {
            // Otherwise their order is that of the edits. Memory comes first, as linkers have it.
            let is_other =
                |export: &Export| self.program.decl(export.decl).kind != DeclKind::Memory;
            exports.sort_by_key(|(_, export)| (is_other(export), &export.name));
        }
        let version = Version::current(&self.program, &self.settings);
        let options = LayoutOptions {
            thunks: false,
            keeps_entries: false,
            dense: true,
            live: false,
            growable_table: self.options.growable_table,
            interned_types: true,
            ..self.layout_options()
        };
        let slot_table = self.slot_table.filter(|_| has_slots);
        let unused_table = self.slot_table.filter(|_| !has_slots);
        let tables = (slot_table, unused_table);
        let layout = version.lay_out(&exports, options, self.dead_type, tables, None, None)?;
        let content = version.whole(&layout);
        let dense = write_dense(content.encoder(), &content.sections(), style.cuts)?;
        Ok((layout, dense))
    }

    /// Whether anything names a slot or the table of slots. With thunks, slots are for redirection; but where an address is
    /// taken, it is a slot.
    fn uses_slots(&self) -> bool {
        let current = self
            .program
            .iter()
            .filter(|(_, decl)| !decl.is_orphan && decl.kind != DeclKind::Custom)
            .filter_map(|(_, decl)| decl.current());
        let exports_of = |table| self.program.said_exports_of(table);
        let is_exported = self
            .slot_table
            .is_some_and(|table| exports_of(table).count() > 0);
        let named = current
            .flat_map(|definition| definition.content.relocs())
            .any(|reloc| {
                reloc.kind.is_slot()
                    || (matches!(reloc.kind, RelocKind::TableIndex | RelocKind::TableByte)
                        && reloc.decl() == self.slot_table)
            });
        named || is_exported
    }
}
