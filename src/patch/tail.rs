//! What stands at the end of the file: names other than functions', custom sections that are kept, the identity.

use crate::layout::{IDENTITY_LEN, Layout, Place};
use crate::program::{DeclId, Program};
use crate::wire::section::IDENTITY_NAME;
use crate::wire::{leb, section};

/// Version of the patchable file's format.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Custom sections that are kept as they are, headers included, and the module's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Customs {
    /// Those that must come first.
    pub(crate) front: Vec<u8>,
    /// Those that come last.
    pub(crate) tail: Vec<u8>,
    pub(crate) module_name: Option<Box<str>>,
}

/// Which version of which output a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuildIdentity {
    /// Counts published versions, from 1.
    pub generation: u64,
    /// Changes with every published version; the same after the same history.
    pub build_id: [u8; 16],
}

impl BuildIdentity {
    /// The identity of the version that follows, made by writing `bytes`.
    pub(crate) fn next<'a>(
        &self,
        bytes: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> BuildIdentity {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.build_id);
        hasher.update(&self.generation.to_le_bytes());
        for (offset, bytes) in bytes {
            hasher.update(&offset.to_le_bytes());
            hasher.update(bytes);
        }
        let mut build_id = [0; 16];
        hasher.finalize_xof().fill(&mut build_id);
        BuildIdentity {
            generation: self.generation + 1,
            build_id,
        }
    }

    /// Writes the whole identity section.
    pub(crate) fn write(&self, out: &mut [u8]) {
        debug_assert_eq!(out.len() as u64, IDENTITY_LEN);
        out[0] = 0;
        leb::write_unsigned(&mut out[1..6], IDENTITY_LEN - 6);
        out[6] = IDENTITY_NAME.len() as u8;
        out[7..14].copy_from_slice(IDENTITY_NAME.as_bytes());
        out[14..18].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[18..26].copy_from_slice(&self.generation.to_le_bytes());
        out[26..42].copy_from_slice(&self.build_id);
    }

    /// Offset of what changes with each version, within the section.
    pub(crate) const VARIES_AT: u64 = 18;

    /// Reads the contents of an identity section, behind its name.
    pub fn read(data: &[u8]) -> Option<(u32, BuildIdentity)> {
        let (version, rest) = data.split_first_chunk::<4>()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (build_id, _) = rest.split_first_chunk::<16>()?;
        let identity = BuildIdentity {
            generation: u64::from_le_bytes(*generation),
            build_id: *build_id,
        };
        Some((u32::from_le_bytes(*version), identity))
    }
}

/// The names of imported functions, by index, for dense outputs: elsewhere they have no place of their own.
pub(crate) fn import_names<'a>(program: &'a Program, layout: &Layout) -> Vec<(u32, &'a str)> {
    let mut names = Vec::new();
    if !layout.options.names {
        return names;
    }
    for &id in layout.imports.iter() {
        if let Place::ImportedFunction { index, .. } = layout.place(id)
            && let Some(name) = program.decl(id).given_name()
        {
            names.push((index, name));
        }
    }
    names.sort_unstable();
    names
}

/// The name subsections behind the functions': tables, memories, globals, element and data segments, tags.
pub(crate) fn names_tail(program: &Program, layout: &Layout) -> Vec<u8> {
    let mut out = Vec::new();
    if !layout.options.names {
        return out;
    }
    let indexed = |ids: &[DeclId]| -> Vec<(u32, DeclId)> {
        let mut indexed: Vec<_> = ids
            .iter()
            .filter_map(|id| match layout.place(*id) {
                Place::Index(index) => Some((index, *id)),
                _ => None,
            })
            .collect();
        indexed.sort_unstable();
        indexed
    };
    let with_imports = |defined: &[DeclId], kind| {
        let imports = layout
            .imports
            .iter()
            .filter(|id| program.decl(**id).kind == kind);
        indexed(&imports.chain(defined).copied().collect::<Vec<_>>())
    };
    use crate::program::DeclKind::*;
    subsection(&mut out, program, 5, &with_imports(&layout.tables, Table));
    subsection(
        &mut out,
        program,
        6,
        &with_imports(&layout.memories, Memory),
    );
    let mut globals = with_imports(&[], Global);
    globals.extend(layout.globals.ordinals().filter_map(|ordinal| {
        Some((
            layout.globals.index(ordinal),
            layout.globals.slot(ordinal).owner?,
        ))
    }));
    subsection(&mut out, program, 7, &globals);
    let raw =
        |items: &[crate::layout::RawItem]| items.iter().map(|item| item.decl).collect::<Vec<_>>();
    subsection(&mut out, program, 8, &indexed(&raw(&layout.elements)));
    subsection(&mut out, program, 9, &indexed(&raw(&layout.data_segments)));
    subsection(&mut out, program, 11, &with_imports(&layout.tags, Tag));
    out
}

fn subsection(out: &mut Vec<u8>, program: &Program, id: u8, entries: &[(u32, DeclId)]) {
    let named = |id: DeclId| program.decl(id).name.as_deref();
    let count = entries
        .iter()
        .filter(|(_, decl)| named(*decl).is_some())
        .count();
    let mut body = Vec::new();
    for &(index, decl) in entries {
        if let Some(name) = named(decl) {
            leb::push_unsigned(&mut body, index.into());
            section::push_string(&mut body, name);
        }
    }
    section::push_vector(out, id, count, &body);
}
