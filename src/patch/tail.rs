//! What stands at the end of the file: names other than functions', custom sections that are kept, the identity.

use std::fmt;

use crate::layout::{IDENTITY_LEN, Layout, NameFront, Place, Places, SectionKind};
use crate::program::{DeclId, Program};
use crate::wire::leb;
use crate::wire::section::{self, IDENTITY_NAME};

/// Version of the patchable file's format.
pub(crate) const FORMAT_VERSION: u32 = 2;

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
    /// The build id as hexadecimal digits.
    pub fn hex(&self) -> String {
        let bytes = self.build_id.iter();
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The identity of the version that follows, made by writing `bytes`. Those of a patch come in the order of their
    /// offsets: whoever has the patch can make it again.
    pub(crate) fn next<'a>(
        &self,
        bytes: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> BuildIdentity {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.build_id);
        hasher.update(&self.generation.to_le_bytes());
        for (offset, bytes) in bytes {
            hasher.update(&offset.to_le_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        let mut build_id = [0; 16];
        hasher.finalize_xof().fill(&mut build_id);
        BuildIdentity {
            generation: self.generation + 1,
            build_id,
        }
    }

    /// Writes the whole identity section; `shape` is the file's.
    pub(crate) fn write(&self, shape: Shape, out: &mut [u8]) {
        debug_assert_eq!(out.len() as u64, IDENTITY_LEN);
        let (header, _) = out.split_first_chunk_mut().expect("as long as it is");
        BuildIdentity::write_header(header);
        out[14..18].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[18..26].copy_from_slice(&shape.0);
        self.write_varying(out);
    }

    /// Writes what changes with each version.
    pub(crate) fn write_varying(&self, out: &mut [u8]) {
        out[26..50].copy_from_slice(&self.to_bytes());
    }

    /// Bytes of the whole section, with which a file ends.
    pub(crate) const SECTION_LEN: u64 = IDENTITY_LEN;
    /// Offset of the file's shape, within the section.
    pub(crate) const SHAPE_AT: u64 = 18;
    /// Offset of what changes with each version, within the section.
    pub(crate) const VARIES_AT: u64 = 26;

    /// The same in 24 bytes, as it stands in files.
    pub(crate) fn to_bytes(self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.generation.to_le_bytes());
        out[8..].copy_from_slice(&self.build_id);
        out
    }

    /// What [`BuildIdentity::to_bytes`] made of it.
    pub(crate) fn from_bytes(bytes: [u8; 24]) -> BuildIdentity {
        let (generation, build_id) = bytes.split_first_chunk::<8>().expect("24 bytes");
        BuildIdentity {
            generation: u64::from_le_bytes(*generation),
            build_id: build_id.try_into().expect("16 bytes"),
        }
    }

    /// Reads the identity of a patchable file, with the version of its format. `None` for any other module: also for one
    /// that was made from such a file by a tool that keeps custom sections which it does not know.
    pub fn of_file(file: &[u8]) -> Option<(u32, BuildIdentity)> {
        let split = file.len().checked_sub(IDENTITY_LEN as usize)?;
        let (before, last) = file.split_at(split);
        let mut header = [0; 14];
        BuildIdentity::write_header(&mut header);
        let rest = last.strip_prefix(&header)?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (shape, rest) = rest.split_first_chunk::<8>()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (build_id, _) = rest.split_first_chunk::<16>()?;
        let version = u32::from_le_bytes(*version);
        if version != FORMAT_VERSION || Shape::of_file(before)?.0 != *shape {
            return None;
        }
        let identity = BuildIdentity {
            generation: u64::from_le_bytes(*generation),
            build_id: *build_id,
        };
        Some((version, identity))
    }

    fn write_header(out: &mut [u8; 14]) {
        out[0] = 0;
        leb::write_unsigned(&mut out[1..6], IDENTITY_LEN - 6);
        out[6] = IDENTITY_NAME.len() as u8;
        out[7..14].copy_from_slice(IDENTITY_NAME.as_bytes());
    }
}

impl fmt::Display for BuildIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.generation == 0 {
            return f.write_str("no version");
        }
        write!(f, "version {} (build {})", self.generation, self.hex())
    }
}

/// A hash of where the sections of a file stand, which ties an identity to the file that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape([u8; 8]);

impl Shape {
    /// Of a file laid out so.
    pub(crate) fn of(places: &Places) -> Shape {
        let sections = places.present().filter(|(kind, _)| kind.id() != 0);
        let sections = sections.map(|(kind, place)| (kind.id(), place.begin + 6, place.end));
        let identity = places.get(SectionKind::Identity).begin;
        Shape::hash(sections, identity)
    }

    /// Of a file up to its identity. `None` if its sections cannot be told apart.
    fn of_file(before: &[u8]) -> Option<Shape> {
        let mut sections = Vec::new();
        let mut at = 8;
        while at < before.len() {
            let (size, width) = leb::read_unsigned(&before[at + 1..])?;
            let start = at + 1 + width;
            let end = usize::try_from(size)
                .ok()
                .and_then(|size| start.checked_add(size))?;
            if before[at] != 0 {
                sections.push((before[at], start as u64, end as u64));
            }
            at = end;
        }
        (at == before.len()).then(|| Shape::hash(sections, at as u64))
    }

    /// Each section with what it is, and where its contents begin and end. Every patch makes this hash, of a few dozen
    /// numbers that nobody has reason to forge: a cryptographic one was a tenth of a commit's instructions.
    fn hash(sections: impl IntoIterator<Item = (u8, u64, u64)>, identity: u64) -> Shape {
        let mut hash = 0;
        for (id, start, end) in sections {
            hash = mix(hash, u64::from(id));
            hash = mix(hash, start);
            hash = mix(hash, end);
        }
        Shape(mix(hash, identity).to_le_bytes())
    }
}

/// One step of splitmix64, in which each bit of both numbers can change each bit of what comes out.
fn mix(hash: u64, number: u64) -> u64 {
    let mut bits = (hash ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// What stands in the name section before the names of defined functions: the module's name, those of imported functions.
pub(crate) fn name_front(program: &Program, layout: &Layout, customs: &Customs) -> NameFront {
    let mut front = NameFront::default();
    if !layout.options.names {
        return front;
    }
    front.module_name = customs.module_name.clone();
    let imported = layout
        .imports
        .iter()
        .filter_map(|id| match layout.place(*id) {
            Place::ImportedFunction { index, .. } => Some((index, program.decl(*id).given_name()?)),
            _ => None,
        });
    let mut names: Vec<(u32, &str)> = imported.collect();
    names.sort_unstable();
    front.imported = names.len() as u32;
    for (index, name) in names {
        leb::push_unsigned(&mut front.imports, index.into());
        section::push_string(&mut front.imports, name);
    }
    front
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
