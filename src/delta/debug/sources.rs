//! The program's own debug information, as it is to be read for a delta: the pieces that one piece of `.debug_info` leads to,
//! with fields that lead to where code stands in the delta.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use gimli::{EndianSlice, LittleEndian, Relocate, RelocateReader, SectionId};

use crate::hash::HashMap;
use crate::program::{DeclId, RelocKind, RelocatableBytes, Relocation};

use crate::wire::dwarf;

use super::pieces::Pieces;

/// Reads a section with the values of its fields.
pub(super) type Reader<'a> = RelocateReader<EndianSlice<'a, LittleEndian>, Fields<'a>>;

/// All sections, and a unit of theirs.
pub(super) type Dwarf<'a> = gimli::Dwarf<Reader<'a>>;
pub(super) type Unit<'a> = gimli::Unit<Reader<'a>>;
pub(super) type Read<T> = gimli::Result<T>;

/// Where the code of functions stands in the delta.
pub(super) struct Code<'a> {
    bodies: &'a [(DeclId, Range<u64>)],
    offsets: HashMap<DeclId, u64, foldhash::fast::FixedState>,
}

impl<'a> Code<'a> {
    /// Of bodies in the order in which they stand.
    pub(super) fn of(bodies: &'a [(DeclId, Range<u64>)]) -> Code<'a> {
        let offsets = bodies.iter().map(|(id, range)| (*id, range.start));
        let offsets = offsets.collect();
        Code { bodies, offsets }
    }

    /// Whether code stands here.
    pub(super) fn has(&self, address: u64) -> bool {
        let at = self
            .bodies
            .partition_point(|(_, range)| range.end <= address);
        let body = self.bodies.get(at);
        body.is_some_and(|(_, range)| range.contains(&address))
    }
}

/// A section that consists of the pieces that are read.
struct Section<'a> {
    id: SectionId,
    bytes: Cow<'a, [u8]>,
    /// The pieces, each with where it begins.
    parts: Vec<(usize, &'a RelocatableBytes)>,
}

/// All that one piece of `.debug_info` leads to.
pub(super) struct Sources<'a> {
    pub(super) code: &'a Code<'a>,
    sections: Vec<Section<'a>>,
    /// Where each piece begins in its section.
    starts: HashMap<DeclId, usize, foldhash::fast::FixedState>,
    /// Where in `.debug_info` there are addresses of functions in the delta, in order.
    places: Vec<usize>,
    /// The functions in the delta that it names.
    functions: Vec<DeclId>,
}

impl<'a> Sources<'a> {
    /// What `info` leads to; nothing if it names none of the functions in the delta.
    pub(super) fn collect(
        pieces: Pieces<'a>,
        info: DeclId,
        code: &'a Code<'a>,
    ) -> Option<Sources<'a>> {
        let mut sources = Sources {
            code,
            sections: Vec::new(),
            starts: HashMap::default(),
            places: Vec::new(),
            functions: Vec::new(),
        };
        let mut open = vec![info];
        while let Some(id) = open.pop() {
            let Some((section, content)) = pieces.get(id) else {
                continue;
            };
            let Some(start) = sources.add(id, section, content) else {
                continue;
            };
            use SectionId::*;
            if matches!(section, DebugInfo | DebugLine | DebugStrOffsets | DebugAddr) {
                sources.follow(section, start, content, &mut open);
            }
        }
        sources.places.sort_unstable();
        sources.functions.sort_unstable();
        sources.functions.dedup();
        (!sources.functions.is_empty()).then_some(sources)
    }

    /// Notes what a piece names: pieces that are to be read as well, and functions in the delta.
    fn follow(
        &mut self,
        section: SectionId,
        start: usize,
        content: &RelocatableBytes,
        open: &mut Vec<DeclId>,
    ) {
        // There are very many, and mostly the same few after each other.
        let mut last = None;
        for reloc in content.relocs() {
            let Some(target) = reloc.decl() else { continue };
            match reloc.kind {
                RelocKind::SectionOffsetI32 => {
                    let is_new = last.replace(target) != Some(target);
                    if is_new && !self.starts.contains_key(&target) && !open.contains(&target) {
                        open.push(target);
                    }
                }
                RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64
                    if section != SectionId::DebugLine
                        && self.code.offsets.contains_key(&target) =>
                {
                    self.functions.push(target);
                    if section == SectionId::DebugInfo {
                        self.places.push(start + reloc.offset as usize);
                    }
                }
                _ => {}
            }
        }
    }

    /// How many of the functions in the delta it names.
    pub(super) fn functions(&self) -> usize {
        self.functions.len()
    }

    /// Where in `.debug_info` there are addresses of functions in the delta, in order.
    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }

    /// Adds a piece, if it is not there; returns where it begins.
    fn add(
        &mut self,
        id: DeclId,
        section: SectionId,
        content: &'a RelocatableBytes,
    ) -> Option<usize> {
        if self.starts.contains_key(&id) {
            return None;
        }
        let known = self.sections.iter().position(|known| known.id == section);
        let at = known.unwrap_or_else(|| {
            self.sections.push(Section {
                id: section,
                bytes: Cow::Borrowed(&[]),
                parts: Vec::new(),
            });
            self.sections.len() - 1
        });
        let section = &mut self.sections[at];
        let start = section.bytes.len();
        match start {
            0 => section.bytes = Cow::Borrowed(content.bytes()),
            _ => section.bytes.to_mut().extend_from_slice(content.bytes()),
        }
        section.parts.push((start, content));
        self.starts.insert(id, start);
        Some(start)
    }

    /// A section as it stands in the pieces, without the values of its fields.
    pub(super) fn plain(&self, id: SectionId) -> &[u8] {
        let section = self.sections.iter().find(|section| section.id == id);
        section.map_or(&[], |section| &section.bytes)
    }

    pub(super) fn reader(&'a self, id: SectionId) -> Reader<'a> {
        let fields = Fields { sources: self, id };
        RelocateReader::new(EndianSlice::new(self.plain(id), LittleEndian), fields)
    }

    /// The fields within a range of a section, in order, each with where it stands in the section.
    pub(super) fn fields(
        &self,
        id: SectionId,
        range: Range<usize>,
    ) -> impl Iterator<Item = (usize, &Relocation)> {
        let section = self.sections.iter().find(|section| section.id == id);
        let parts = section.map_or(&[][..], |section| &section.parts);
        let behind = parts.partition_point(|(start, _)| *start <= range.start);
        let parts = &parts[behind.saturating_sub(1)..];
        parts.iter().flat_map(move |(start, content)| {
            let from = range.start.saturating_sub(*start);
            let to = range.end.saturating_sub(*start);
            let relocs = content.relocs();
            let first = relocs.partition_point(|reloc| (reloc.offset as usize) < from);
            let inside = relocs[first..].iter();
            let inside = inside.take_while(move |reloc| (reloc.offset as usize) < to);
            inside.map(move |reloc| (start + reloc.offset as usize, reloc))
        })
    }

    /// The value of a field: of code, where it stands in the delta; of a place in a section, where that stands in what is read.
    pub(super) fn value(&self, id: SectionId, reloc: &Relocation) -> u64 {
        let target = reloc.decl();
        let start = target.and_then(|target| match reloc.kind {
            RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64 => {
                self.code.offsets.get(&target).copied()
            }
            RelocKind::SectionOffsetI32 => self.starts.get(&target).map(|start| *start as u64),
            _ => None,
        });
        match start {
            Some(start) => start.wrapping_add_signed(reloc.addend.into()),
            None => {
                let bits = 8 * reloc.kind.width().min(8) as u32;
                dwarf::tombstone(id.name()).unwrap_or_default() & (u64::MAX >> (64 - bits))
            }
        }
    }
}

/// The fields of a section.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    sources: &'a Sources<'a>,
    id: SectionId,
}

impl Fields<'_> {
    /// The value of the field at an offset, or what stands there if there is none.
    fn at(&self, offset: usize, value: u64) -> u64 {
        let mut fields = self.sources.fields(self.id, offset..offset + 1);
        match fields.next() {
            Some((at, reloc)) if at == offset => self.sources.value(self.id, reloc),
            _ => value,
        }
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({})", self.id.name())
    }
}

impl Relocate for Fields<'_> {
    fn relocate_address(&self, offset: usize, value: u64) -> gimli::Result<u64> {
        Ok(self.at(offset, value))
    }

    fn relocate_offset(&self, offset: usize, value: usize) -> gimli::Result<usize> {
        Ok(self.at(offset, value as u64) as usize)
    }
}
