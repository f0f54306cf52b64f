//! The writer of dense outputs, which are not to be patched: every number is as short as it can be, nothing stands between
//! sections, equal strings of debug information are written once. What stands where in the index spaces and in memory
//! is the layout's; only here is it found out how many bytes that takes.
//!
//! Fields of a function's code are left at their fixed width if a custom section names offsets in it: these count from
//! where the object had its instructions.

use std::convert::Infallible;
use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layout::{ImageIndex, Occupant, Ordinal, Place, SectionKind};
use crate::patch::dense_strings::Merged;
use crate::patch::encode::{Encoder, SectionInputs};
use crate::program::short::{push_content, push_group};
use crate::program::{DeclId, Definition, DefinitionKind, RelocKind, RelocatableBytes, Relocation};
use crate::wire::filler::END;
use crate::wire::leb::{push_signed, push_unsigned, read_unsigned, unsigned_len};
use crate::wire::section::{push, push_string, push_vector};

/// A dense output, and where things stand in it.
pub(crate) struct Dense {
    pub(crate) bytes: Vec<u8>,
    /// The sections that are there, in file order.
    pub(crate) sections: Vec<(SectionKind, Range<u64>)>,
    /// Offset in the file of each function's code entry, in the order of the layout's ordinals, and behind them that of the
    /// end.
    pub(crate) code: Vec<u64>,
    /// What is written of each memory's data.
    pub(crate) data: Vec<Chunk>,
}

/// A run of data that has a segment to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Which of the layout's images it belongs to.
    pub(crate) image: ImageIndex,
    pub(crate) address: u64,
    /// Offset in the file.
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// Writes what was laid out densely. With `cuts`, long runs of zeros in data are left out, which takes more segments.
///
/// # Errors
/// If the code would exceed 4 GiB.
pub(crate) fn write_dense(
    encoder: Encoder<'_>,
    extra: &SectionInputs<'_>,
    cuts: bool,
) -> Result<Dense> {
    let layout = encoder.layout;
    let writer = Writer {
        encoder,
        described: described(encoder),
        cuts,
    };
    let mut out = Dense {
        bytes: b"\0asm\x01\0\0\0".to_vec(),
        sections: Vec::new(),
        code: Vec::new(),
        data: Vec::new(),
    };
    out.raw(SectionKind::CustomFront, extra.custom_front);
    out.vector(SectionKind::Type, writer.types()?);
    out.vector(
        SectionKind::Import,
        writer.list(&layout.imports, Writer::import),
    );
    out.vector(SectionKind::Function, writer.function_types());
    out.vector(
        SectionKind::Table,
        writer.list(&layout.tables, Writer::table),
    );
    out.vector(
        SectionKind::Memory,
        writer.list(&layout.memories, Writer::limits_only),
    );
    out.vector(SectionKind::Tag, writer.list(&layout.tags, Writer::decl));
    let globals = layout.globals.ordinals();
    let globals: Vec<DeclId> = globals
        .filter_map(|ordinal| layout.globals.slot(ordinal).owner)
        .collect();
    out.vector(SectionKind::Global, writer.list(&globals, Writer::global));
    out.vector(SectionKind::Export, writer.exports(extra));
    if let Some(start) = (*layout.start).and_then(|start| layout.function_index(start)) {
        out.number(SectionKind::Start, start);
    }
    out.vector(SectionKind::Element, writer.elements());
    let data = writer.data(extra);
    if !layout.data_segments.is_empty() {
        out.number(SectionKind::DataCount, data.0.0 as u32);
    }
    writer.code(&mut out)?;
    let ((count, bytes), chunks) = data;
    let header = out.vector(SectionKind::Data, (count, bytes));
    out.data = chunks;
    out.data.iter_mut().for_each(|chunk| chunk.offset += header);
    writer.customs(&mut out);
    let names = writer.names(extra);
    if !names.is_empty() {
        out.custom(SectionKind::Name, "name", &[names]);
    }
    out.raw(SectionKind::CustomTail, extra.custom_tail);
    Ok(out)
}

/// Entries of a vector: how many, and their bytes.
type Entries = (usize, Vec<u8>);

impl Dense {
    /// Appends bytes that are whole sections.
    fn raw(&mut self, kind: SectionKind, bytes: &[u8]) {
        let begin = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        if !bytes.is_empty() {
            self.sections.push((kind, begin..self.bytes.len() as u64));
        }
    }

    /// Begins a section of `len` bytes. Returns its offset, for [`Dense::end`].
    fn begin(&mut self, kind: SectionKind, len: usize) -> u64 {
        let begin = self.bytes.len() as u64;
        self.bytes.reserve(len + 6);
        self.bytes.push(kind.id());
        push_unsigned(&mut self.bytes, len as u64);
        begin
    }

    fn end(&mut self, kind: SectionKind, begin: u64) {
        self.sections.push((kind, begin..self.bytes.len() as u64));
    }

    /// Appends a section that is a vector, unless it is empty. Returns where its first entry begins.
    fn vector(&mut self, kind: SectionKind, (count, entries): Entries) -> u64 {
        if count == 0 {
            return self.bytes.len() as u64;
        }
        let begin = self.begin(kind, unsigned_len(count as u64) + entries.len());
        push_unsigned(&mut self.bytes, count as u64);
        let first = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&entries);
        self.end(kind, begin);
        first
    }

    /// Appends a section that is a number.
    fn number(&mut self, kind: SectionKind, value: u32) {
        let begin = self.begin(kind, unsigned_len(value.into()));
        push_unsigned(&mut self.bytes, value.into());
        self.end(kind, begin);
    }

    /// Appends a custom section.
    fn custom(&mut self, kind: SectionKind, name: &str, contents: &[Vec<u8>]) {
        let header = unsigned_len(name.len() as u64) + name.len();
        let len: usize = contents.iter().map(Vec::len).sum();
        let begin = self.begin(kind, header + len);
        push_string(&mut self.bytes, name);
        contents
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        self.end(kind, begin);
    }
}

/// By id: whether custom sections say where something stands in the declaration's code.
fn described(encoder: Encoder<'_>) -> Vec<bool> {
    let mut described = vec![false; encoder.program.capacity()];
    for at in encoder.layout.customs.indices() {
        let relocs = encoder.pieces(at).flat_map(|(_, content)| content.relocs());
        for target in relocs
            .filter(|reloc| is_code_offset(reloc))
            .filter_map(Relocation::decl)
        {
            described[target.index()] = true;
        }
    }
    described
}

fn is_code_offset(reloc: &Relocation) -> bool {
    use RelocKind::{FunctionOffsetI32, FunctionOffsetI64};
    matches!(reloc.kind, FunctionOffsetI32 | FunctionOffsetI64)
}

/// Functions whose code one thread writes at a time.
const CHUNK: usize = 1024;
/// Zeros between data that are left out. A segment's header is shorter.
const ZEROS: usize = 32;
/// Segments that data may be cut into for the zeros between.
const MOST_CHUNKS: usize = 1000;

struct Writer<'a> {
    encoder: Encoder<'a>,
    /// By id: the functions whose fields keep their width.
    described: Vec<bool>,
    cuts: bool,
}

impl<'a> Writer<'a> {
    fn list(&self, ids: &[DeclId], write: impl Fn(&Self, DeclId, &mut Vec<u8>)) -> Entries {
        let mut out = Vec::new();
        ids.iter().for_each(|id| write(self, *id, &mut out));
        (ids.len(), out)
    }

    fn types(&self) -> Result<Entries> {
        let (types, table) = (&self.encoder.layout.types, &self.encoder.program.types);
        let mut out = Vec::new();
        let mut count = 0;
        for first in types.groups() {
            push_group(&mut out, table.group_of(first), |ty| {
                let index = types.shared_index(ty);
                index.ok_or_else(|| Error::bad_edit("names a type that is not there"))
            })?;
            count += 1;
        }
        Ok((count, out))
    }

    /// Writes a declaration's bytes with short fields.
    fn decl(&self, id: DeclId, out: &mut Vec<u8>) {
        self.content(id, &self.encoder.next(id).content, 0, out);
    }

    /// Writes a declaration's bytes from `start` on, with short fields.
    fn content(&self, id: DeclId, content: &RelocatableBytes, start: usize, out: &mut Vec<u8>) {
        let root = self.encoder.root(id);
        let value = |reloc: &Relocation| Ok::<_, Infallible>(self.encoder.value(root, reloc));
        let Ok(()) = push_content(out, content, start, value);
    }

    fn import(&self, id: DeclId, out: &mut Vec<u8>) {
        let content = &self.encoder.next(id).content;
        let bytes = content.bytes();
        let limits = match content.relocs().is_empty() {
            true => limits_of_import(bytes),
            false => None,
        };
        match limits.and_then(|at| Some((at, short_limits(&bytes[at..])?))) {
            Some((at, short)) => {
                out.extend_from_slice(&bytes[..at]);
                out.extend_from_slice(&short);
            }
            None => self.decl(id, out),
        }
    }

    fn table(&self, id: DeclId, out: &mut Vec<u8>) {
        let Definition { content, shape } = self.encoder.next(id);
        if *shape == DefinitionKind::SlotTable {
            let options = &self.encoder.layout.options;
            let entries = u64::from(self.encoder.layout.slots.table_len());
            out.extend([
                0x70,
                u8::from(!options.growable_table) | u8::from(options.table64) << 2,
            ]);
            push_unsigned(out, entries);
            if !options.growable_table {
                push_unsigned(out, entries);
            }
            return;
        }
        let bytes = content.bytes();
        // A type of one byte, without an initialiser.
        let is_plain = content.relocs().is_empty() && matches!(bytes[0], 0x68..=0x74);
        match is_plain.then(|| short_limits(&bytes[1..])).flatten() {
            Some(limits) => {
                out.push(bytes[0]);
                out.extend_from_slice(&limits);
            }
            None => self.decl(id, out),
        }
    }

    fn limits_only(&self, id: DeclId, out: &mut Vec<u8>) {
        match short_limits(self.encoder.next(id).content.bytes()) {
            Some(limits) => out.extend_from_slice(&limits),
            None => self.decl(id, out),
        }
    }

    fn global(&self, id: DeclId, out: &mut Vec<u8>) {
        let content = &self.encoder.next(id).content;
        let bytes = content.bytes();
        let constant = match content.relocs().is_empty() {
            true => bytes.get(2..).and_then(short_constant),
            false => None,
        };
        match constant {
            Some(constant) => {
                out.extend_from_slice(&bytes[..2]);
                out.extend_from_slice(&constant);
            }
            None => self.decl(id, out),
        }
    }

    fn ordinals(&self) -> Vec<Ordinal> {
        self.encoder.layout.functions.ordinals().collect()
    }

    fn function_types(&self) -> Entries {
        let ordinals = self.ordinals();
        let mut out = Vec::with_capacity(ordinals.len());
        for ordinal in &ordinals {
            push_unsigned(&mut out, self.encoder.entry_type(*ordinal).into());
        }
        (ordinals.len(), out)
    }

    fn exports(&self, extra: &SectionInputs<'_>) -> Entries {
        let exports = &self.encoder.layout.exports;
        let mut out = Vec::new();
        for export in exports.ids().filter_map(|id| extra.exports.get(id)) {
            push_string(&mut out, &export.name);
            out.push(self.encoder.program.decl(export.decl).kind.external());
            push_unsigned(&mut out, self.encoder.export_index(export.decl).into());
        }
        (exports.count() as usize, out)
    }

    fn elements(&self) -> Entries {
        let layout = self.encoder.layout;
        let mut out = Vec::new();
        let mut count = layout.elements.len();
        // The program's own segments are numbered behind that of the slots.
        if layout.slot_table.is_some() && (layout.slots.len() > 0 || count > 0) {
            count += 1;
            let table = self.encoder.slot_table_index();
            out.push(if table == 0 { 0 } else { 2 });
            if table != 0 {
                push_unsigned(&mut out, table.into());
            }
            out.push(self.encoder.slot_constant());
            push_signed(&mut out, layout.slots.base().into());
            out.push(END);
            if table != 0 {
                out.push(0);
            }
            push_unsigned(&mut out, layout.slots.len().into());
            for owner in layout.slots.owners() {
                push_unsigned(&mut out, self.encoder.slot_value(*owner).into());
            }
        }
        for item in layout.elements.iter() {
            self.decl(item.decl, &mut out);
        }
        (count, out)
    }

    fn code(&self, out: &mut Dense) -> Result<()> {
        let ordinals = self.ordinals();
        if ordinals.is_empty() {
            return Ok(());
        }
        let parts: Vec<(Vec<u8>, Vec<u32>)> = ordinals
            .par_chunks(CHUNK)
            .map(|chunk| {
                let (mut bytes, mut starts) = (Vec::new(), Vec::with_capacity(chunk.len()));
                let mut body = Vec::new();
                for ordinal in chunk {
                    starts.push(bytes.len() as u32);
                    body.clear();
                    self.body(*ordinal, &mut body);
                    push_unsigned(&mut bytes, body.len() as u64);
                    bytes.extend_from_slice(&body);
                }
                (bytes, starts)
            })
            .collect();
        let len: usize = parts.iter().map(|(bytes, _)| bytes.len()).sum();
        let len = unsigned_len(ordinals.len() as u64) + len;
        if u32::try_from(len).is_err() {
            return Err(Error::limit("the code section would exceed 4 GiB"));
        }
        let begin = out.begin(SectionKind::Code, len);
        push_unsigned(&mut out.bytes, ordinals.len() as u64);
        for (bytes, starts) in parts {
            let base = out.bytes.len() as u64;
            out.code
                .extend(starts.iter().map(|start| base + u64::from(*start)));
            out.bytes.extend_from_slice(&bytes);
        }
        out.code.push(out.bytes.len() as u64);
        out.end(SectionKind::Code, begin);
        Ok(())
    }

    /// A function's code, without its size.
    fn body(&self, ordinal: Ordinal, out: &mut Vec<u8>) {
        let Occupant::Body(id) = self.encoder.layout.functions.slot(ordinal).occupant else {
            unreachable!("a dense output has nothing but functions' own code")
        };
        let content = &self.encoder.next(id).content;
        if self.described[id.index()] {
            out.resize(content.len(), 0);
            self.encoder.content(self.encoder.root(id), content, out);
        } else {
            self.content(id, content, 0, out);
        }
    }

    /// Data segments, and what is written of the data that has addresses: offsets count from the first segment.
    fn data(&self, extra: &SectionInputs<'_>) -> (Entries, Vec<Chunk>) {
        let layout = self.encoder.layout;
        let mut out = Vec::new();
        let mut chunks = Vec::new();
        for at in layout.data.indices() {
            let image = layout.data.image(at);
            let mut bytes = vec![0; image.cap as usize];
            self.encoder.image(at, extra.data, &mut bytes);
            // Memory begins with zeros, unless it was somebody else's before; and segments that code loads are numbered
            // behind one for each memory.
            let is_fresh = !self.encoder.next(image.memory).is_import();
            let parts = match self.cuts && is_fresh && layout.data_segments.is_empty() {
                true => cut(&bytes),
                false => std::iter::once(0..bytes.len()).collect(),
            };
            let Place::Index(memory) = layout.place(image.memory) else {
                unreachable!("a memory has an index")
            };
            for part in parts {
                out.push(if memory == 0 { 0 } else { 2 });
                if memory != 0 {
                    push_unsigned(&mut out, memory.into());
                }
                let address = image.base + part.start as u64;
                if image.is_64 {
                    out.push(0x42);
                    push_signed(&mut out, address as i64);
                } else {
                    out.push(0x41);
                    push_signed(&mut out, i64::from(address as u32 as i32));
                }
                out.push(END);
                push_unsigned(&mut out, part.len() as u64);
                chunks.push(Chunk {
                    image: at,
                    address,
                    offset: out.len() as u64,
                    len: part.len() as u64,
                });
                out.extend_from_slice(&bytes[part]);
            }
        }
        for item in layout.data_segments.iter() {
            self.data_segment(item.decl, &mut out);
        }
        ((chunks.len() + layout.data_segments.len(), out), chunks)
    }

    /// A segment that the program describes: with a short size if it is loaded by code, in the short form if it is for
    /// memory 0.
    fn data_segment(&self, id: DeclId, out: &mut Vec<u8>) {
        let content = &self.encoder.next(id).content;
        let bytes = content.bytes();
        let root = self.encoder.root(id);
        let size = bytes.get(1..).and_then(read_unsigned);
        match (bytes.first(), content.relocs().first(), size) {
            (Some(1), _, Some((size, len))) => {
                out.push(1);
                push_unsigned(out, size);
                self.content(id, content, 1 + len, out);
            }
            (Some(2), Some(memory), _)
                if memory.kind == RelocKind::MemoryIndex
                    && memory.offset == 1
                    && self.encoder.value(root, memory) == 0 =>
            {
                out.push(0);
                self.content(id, content, 2, out);
            }
            _ => self.decl(id, out),
        }
    }

    fn customs(&self, out: &mut Dense) {
        let merged = Merged::of(self.encoder);
        let code = CodePlaces::of(out);
        for at in self.encoder.layout.customs.indices() {
            let section = self.encoder.layout.customs.section(at);
            let pieces: Vec<_> = self.encoder.pieces(at).collect();
            let write = |(id, content): &(DeclId, &RelocatableBytes)| {
                if merged.holds(*id) {
                    return Vec::new();
                }
                let mut bytes = content.bytes().to_vec();
                for reloc in content.relocs() {
                    let field = &mut bytes[reloc.offset as usize..][..reloc.kind.width()];
                    match merged
                        .place(reloc)
                        .or_else(|| self.code_offset(reloc, &code))
                    {
                        Some(place) => {
                            let len = field.len();
                            field.copy_from_slice(&place.to_le_bytes()[..len]);
                        }
                        None => self.encoder.relocate_piece(section.tombstone, reloc, field),
                    }
                }
                bytes
            };
            let mut parts: Vec<Vec<u8>> = pieces.par_iter().map(write).collect();
            parts.insert(0, merged.section(at).to_vec());
            if parts.iter().any(|part| !part.is_empty()) {
                out.custom(SectionKind::Custom(at), &section.name, &parts);
            }
        }
    }

    /// What a field holds that says where something stands in a function's code.
    fn code_offset(&self, reloc: &Relocation, code: &CodePlaces) -> Option<u64> {
        if !is_code_offset(reloc) {
            return None;
        }
        let Place::Function { body, .. } = self.encoder.layout.place(reloc.decl()?) else {
            return None;
        };
        let first = self.encoder.layout.functions.first();
        let start = code.starts.get((body.0 - first.0) as usize)?;
        Some(start.wrapping_add_signed(reloc.addend.into()))
    }

    /// The contents of the name section.
    fn names(&self, extra: &SectionInputs<'_>) -> Vec<u8> {
        let layout = self.encoder.layout;
        let mut out = Vec::new();
        if !layout.options.names {
            return out;
        }
        if let Some(name) = &layout.name_front().module_name {
            let mut body = Vec::new();
            push_string(&mut body, name);
            push(&mut out, 0, &body);
        }
        let (mut names, mut count) = (Vec::new(), 0);
        let mut push_name = |index: u32, name: &str| {
            push_unsigned(&mut names, index.into());
            push_string(&mut names, name);
            count += 1;
        };
        for ordinal in layout.functions.ordinals() {
            if let Occupant::Body(id) = layout.functions.slot(ordinal).occupant
                && let Some(name) = self.encoder.program.decl(id).given_name()
            {
                push_name(layout.functions.index(ordinal), name);
            }
        }
        let front = layout.name_front();
        names.splice(0..0, front.imports.iter().copied());
        push_vector(&mut out, 1, count + front.imported as usize, &names);
        out.extend_from_slice(extra.names_tail);
        out
    }
}

/// Where functions' code was written.
struct CodePlaces {
    /// By ordinal, from the first: where the body begins, from the beginning of the code section's contents.
    starts: Vec<u64>,
}

impl CodePlaces {
    fn of(out: &Dense) -> CodePlaces {
        let begin = out
            .sections
            .iter()
            .find(|(kind, _)| *kind == SectionKind::Code);
        let contents = begin.and_then(|(_, range)| {
            let size = out.bytes.get(range.start as usize + 1..)?;
            Some(range.start + 1 + read_unsigned(size)?.1 as u64)
        });
        let contents = contents.unwrap_or(0);
        let entries = out.code.iter().take(out.code.len().saturating_sub(1));
        let starts = entries.map(|entry| {
            let size = out.bytes.get(*entry as usize..).and_then(read_unsigned);
            entry + size.map_or(0, |(_, len)| len as u64) - contents
        });
        CodePlaces {
            starts: starts.collect(),
        }
    }
}

/// The runs of `bytes` that are to be written so that what is between and behind them, all zeros, need not be.
fn cut(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut zeros = ZEROS;
    loop {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while let Some(start) = bytes[at..].iter().position(|byte| *byte != 0) {
            let start = at + start;
            let len = bytes[start..].iter().position(|byte| *byte == 0);
            at = len.map_or(bytes.len(), |len| start + len);
            match parts.last_mut().filter(|last| start - last.end < zeros) {
                Some(last) => last.end = at,
                None => parts.push(start..at),
            }
        }
        if parts.len() <= MOST_CHUNKS {
            return parts;
        }
        zeros *= 2;
    }
}

/// Where an import's limits begin, if it has any and a type of one byte.
fn limits_of_import(bytes: &[u8]) -> Option<usize> {
    let skip = |at: usize| {
        let (len, width) = read_unsigned(bytes.get(at..)?)?;
        Some(at + width + usize::try_from(len).ok()?)
    };
    let kind = skip(skip(0)?)?;
    match bytes.get(kind..kind + 2)? {
        [1, 0x68..=0x74] => Some(kind + 2),
        [2, _] => Some(kind + 1),
        _ => None,
    }
}

/// Limits with short numbers; `None` if there is something behind them.
fn short_limits(bytes: &[u8]) -> Option<Vec<u8>> {
    let flags = *bytes.first()?;
    // A maximum, and the size of pages.
    let numbers = 1 + (flags & 1) + (flags >> 3 & 1);
    let mut out = vec![flags];
    let mut at = 1;
    for _ in 0..numbers {
        let (value, len) = read_unsigned(bytes.get(at..)?)?;
        push_unsigned(&mut out, value);
        at += len;
    }
    (at == bytes.len()).then_some(out)
}

/// A constant expression of one integer, made short.
fn short_constant(bytes: &[u8]) -> Option<Vec<u8>> {
    let (code, digits) = match bytes {
        [code @ (0x41 | 0x42), digits @ .., END] => (*code, digits),
        _ => return None,
    };
    let (last, rest) = digits.split_last()?;
    if last & 0x80 != 0 || rest.iter().any(|byte| byte & 0x80 == 0) || digits.len() > 10 {
        return None;
    }
    let mut value = 0i64;
    let mut shift = 0;
    for byte in digits {
        value |= i64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    if shift < 64 && last & 0x40 != 0 {
        value |= -1 << shift;
    }
    let mut out = vec![code];
    push_signed(&mut out, value);
    out.push(END);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_cut_out_is_zero(runs in prop::collection::vec((0usize..100, 0usize..50), 0..20)) {
            let bytes: Vec<u8> = runs
                .iter()
                .flat_map(|(ones, zeros)| [vec![1; *ones], vec![0; *zeros]].concat())
                .collect();
            let mut again = vec![0; bytes.len()];
            let parts = cut(&bytes);
            for part in &parts {
                prop_assert!(bytes[part.start] != 0 && bytes[part.end - 1] != 0);
                again[part.clone()].copy_from_slice(&bytes[part.clone()]);
            }
            prop_assert!(parts.windows(2).all(|two| two[1].start - two[0].end >= ZEROS));
            prop_assert_eq!(again, bytes);
        }

        #[test]
        fn constants_keep_their_value(value: i64, shift in 0u32..64, is_wide: bool) {
            let value = value >> shift;
            let width = if is_wide { 10 } else { 5 };
            prop_assume!(is_wide || i32::try_from(value).is_ok());
            let mut bytes = vec![if is_wide { 0x42 } else { 0x41 }];
            bytes.resize(1 + width, 0);
            crate::wire::leb::write_signed(&mut bytes[1..], value);
            bytes.push(END);
            let short = short_constant(&bytes).unwrap();
            let mut expected = vec![bytes[0]];
            push_signed(&mut expected, value);
            expected.push(END);
            prop_assert_eq!(short, expected);
        }

        #[test]
        fn limits_keep_their_values(minimum: u32, maximum: Option<u32>) {
            let mut bytes = vec![u8::from(maximum.is_some())];
            let mut expected = bytes.clone();
            for value in [Some(minimum), maximum].into_iter().flatten() {
                crate::wire::leb::push_wide32(&mut bytes, value);
                push_unsigned(&mut expected, value.into());
            }
            prop_assert_eq!(short_limits(&bytes), Some(expected));
            bytes.push(0);
            prop_assert_eq!(short_limits(&bytes), None);
        }
    }
}
