//! Entries of the export section.

use crate::layout::{ExportEntry, Place};
use crate::patch::encode::encoder::Encoder;
use crate::program::{DeclId, Export, Exports};
use crate::wire::leb;

impl Encoder<'_> {
    /// Writes all entries, which stand one behind the other.
    pub(crate) fn exports(&self, exports: Exports<'_>, out: &mut [u8]) {
        let space = &self.layout.exports;
        for id in space.ids() {
            if let (Some(entry), Some(export)) = (space.entry(id), exports.get(id)) {
                let out = &mut out[entry.offset as usize..][..entry.len() as usize];
                self.export(entry, export, out);
            }
        }
    }

    /// Writes an entry: the length of the name, the name, the kind, the index.
    pub(crate) fn export(&self, entry: ExportEntry, export: &Export, out: &mut [u8]) {
        let name = export.name.as_bytes();
        let (width, rest) = out.split_at_mut(entry.name_width());
        leb::write_unsigned(width, name.len() as u64);
        let (at_name, rest) = rest.split_at_mut(name.len());
        at_name.copy_from_slice(name);
        rest[0] = self.program.decl(export.decl).kind.external();
        leb::write_unsigned(&mut rest[1..], self.export_index(export.decl).into());
    }

    /// The index that an export of a declaration names.
    pub(crate) fn export_index(&self, id: DeclId) -> u32 {
        match self.layout.place(id) {
            Place::Function { entry, .. } => self.layout.functions.index(entry),
            Place::ImportedFunction { index, .. } | Place::Index(index) => index,
            Place::Global(ordinal) => self.layout.globals.index(ordinal),
            place => unreachable!("an export of {place:?}"),
        }
    }
}
