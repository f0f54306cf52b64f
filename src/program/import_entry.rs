//! The bytes of an import's entry, for all who declare imports. It knows neither where the entry will stand nor what
//! the types of tables and memories look like.

use crate::error::Result;
use crate::program::{DeclId, RelocKind, RelocatableBytes, Relocation, TypeId};
use crate::wire::{leb, section};

/// An entry of the import section on its way.
pub(crate) struct ImportEntry {
    bytes: Vec<u8>,
    relocs: Vec<Relocation>,
}

impl ImportEntry {
    fn new(module: &str, field: &str, kind: u8) -> ImportEntry {
        let mut bytes = Vec::with_capacity(module.len() + field.len() + 16);
        for name in [module, field] {
            section::push_string(&mut bytes, name);
        }
        bytes.push(kind);
        ImportEntry {
            bytes,
            relocs: Vec::new(),
        }
    }

    /// A function of a type.
    pub(crate) fn function(module: &str, field: &str, ty: TypeId) -> ImportEntry {
        ImportEntry::new(module, field, 0).with_type(ty)
    }

    /// A table; its type follows.
    pub(crate) fn table(module: &str, field: &str) -> ImportEntry {
        ImportEntry::new(module, field, 1)
    }

    /// A memory; its type follows.
    pub(crate) fn memory(module: &str, field: &str) -> ImportEntry {
        ImportEntry::new(module, field, 2)
    }

    /// A global of a value type, as it is encoded.
    pub(crate) fn global(module: &str, field: &str, value: u8, mutable: bool) -> ImportEntry {
        ImportEntry::new(module, field, 3).with(&[value, u8::from(mutable)])
    }

    /// A global; its type follows.
    pub(crate) fn global_of(module: &str, field: &str) -> ImportEntry {
        ImportEntry::new(module, field, 3)
    }

    /// A tag of a type.
    pub(crate) fn tag(module: &str, field: &str, ty: TypeId) -> ImportEntry {
        ImportEntry::new(module, field, 4).with(&[0]).with_type(ty)
    }

    /// The entry with these bytes behind what it has.
    pub(crate) fn with(mut self, bytes: &[u8]) -> ImportEntry {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The entry with these bytes behind what it has, which have such fields.
    pub(crate) fn with_fields(mut self, bytes: &[u8], fields: &[Relocation]) -> ImportEntry {
        let start = self.bytes.len() as u32;
        let moved = fields.iter().map(|field| Relocation {
            offset: start + field.offset,
            ..*field
        });
        self.relocs.extend(moved);
        self.with(bytes)
    }

    /// The entry with the length of the table of functions' addresses behind what it has.
    pub(crate) fn with_table_len(mut self, table: DeclId) -> ImportEntry {
        let at = self.bytes.len() as u32;
        let len = Relocation::new(RelocKind::TableLen, at, table, 0);
        self.relocs.push(len);
        self.bytes.resize(self.bytes.len() + leb::WIDE32, 0);
        self
    }

    fn with_type(mut self, ty: TypeId) -> ImportEntry {
        let at = self.bytes.len() as u32;
        self.relocs
            .push(Relocation::to_type(RelocKind::TypeIndex, at, ty));
        self.bytes.resize(self.bytes.len() + leb::WIDE32, 0);
        self
    }

    /// The bytes, with their relocations.
    pub(crate) fn finish(self) -> Result<RelocatableBytes> {
        RelocatableBytes::new(self.bytes, self.relocs)
    }
}

/// The names of an import, module and field, and where in its entry the kind stands.
pub(crate) fn import_names(entry: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let name = |at: usize| {
        let (len, width) = leb::read_unsigned(entry.get(at..)?)?;
        let start = at + width;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        Some((entry.get(start..end)?, end))
    };
    let (module, at) = name(0)?;
    let (field, at) = name(at)?;
    Some((module, field, at))
}
