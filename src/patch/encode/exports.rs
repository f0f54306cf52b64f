//! Exports, and where in the section the indices of exported declarations stand.

use crate::layout::Place;
use crate::patch::encode::encoder::Encoder;
use crate::program::{DeclId, Export};
use crate::wire::leb;

/// Where the index of each exported declaration stands, from the export section's anchor.
pub(crate) type ExportSites =
    hashbrown::HashMap<DeclId, smallvec::SmallVec<[u32; 1]>, foldhash::fast::FixedState>;

/// The exports as they will be.
#[derive(Clone, Copy)]
pub(crate) struct ExportList<'a>(pub(crate) &'a [Export]);

impl ExportList<'_> {
    /// Bytes of the entries.
    pub(crate) fn len(self) -> u64 {
        self.0.iter().map(|export| export_len(&export.name)).sum()
    }

    /// Writes the entries.
    pub(crate) fn write(self, encoder: &Encoder<'_>, out: &mut [u8]) {
        let mut at = 0;
        for export in self.0 {
            let out = &mut out[at..][..export_len(&export.name) as usize];
            let name = export.name.as_bytes();
            leb::write_unsigned(&mut out[..5], name.len() as u64);
            out[5..5 + name.len()].copy_from_slice(name);
            out[5 + name.len()] = encoder.program.decl(export.decl).kind.external();
            let field = &mut out[6 + name.len()..];
            leb::write_unsigned(field, encoder.export_index(export.decl).into());
            at += 11 + name.len();
        }
    }
}

impl Encoder<'_> {
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

/// Bytes of an export's entry: the length of the name, the name, the kind, the index.
fn export_len(name: &str) -> u64 {
    5 + name.len() as u64 + 1 + 5
}

/// Finds where the index of each exported declaration stands, from the export section's anchor.
pub(crate) fn export_sites(exports: &[Export]) -> ExportSites {
    let mut sites = ExportSites::default();
    let mut at = 0;
    for export in exports {
        let len = export_len(&export.name) as u32;
        sites.entry(export.decl).or_default().push(at + len - 5);
        at += len;
    }
    sites
}
