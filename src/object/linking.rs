//! Reading the sections for the linker: symbols, segment names, groups, and relocations.

use crate::error::{Error, Result};
use crate::hash::HashSet;
use crate::object::cursor::Cursor;
use crate::object::ids::{ComdatIndex, SectionIndex, SymbolIndex};
use crate::object::reloc::{self, Facts, RelocField, RelocType, Relocs};
use crate::object::span::Span;
use crate::object::symbol::{Symbol, SymbolFlags, SymbolKind};
use crate::object::tables::{
    Comdat, CustomSection, Function, InitFunction, Object, Segment, SegmentFlags, SegmentPrefix,
    hash_name,
};

/// One in so many entries of a custom section's relocations can be found without going through those before it.
pub(super) const MARKED: usize = 256;

/// A relocation section as it was found.
pub(super) struct RelocSection {
    /// The section that it is about.
    pub(super) target: SectionIndex,
    pub(super) count: u32,
    /// Its entries.
    pub(super) entries: Span,
}

/// What is put aside until all sections were seen.
#[derive(Default)]
pub(super) struct Aside {
    pub(super) linking: Option<Span>,
    pub(super) relocs: Vec<RelocSection>,
    pub(super) code: Option<SectionIndex>,
    pub(super) data: Option<SectionIndex>,
}

pub(super) fn read(object: &mut Object, input: &[u8], aside: &Aside) -> Result<()> {
    let Some(span) = aside.linking else {
        return Err(
            Error::bad_input("not a relocatable object: it has no `linking` section")
                .with_hint("pass objects as the compiler wrote them (-c), not finished modules"),
        );
    };
    let mut cursor = Cursor::new(input, span);
    let version = cursor.u32()?;
    if version != 2 {
        return Err(Error::bad_input(format!(
            "its linking information has version {version}, but only version 2 can be linked"
        ))
        .with_offset(u64::from(span.start)));
    }
    while !cursor.is_at_end() {
        let id = cursor.byte()?;
        let len = cursor.u32()?;
        let mut part = cursor.part(len)?;
        match id {
            5 => read_segment_info(object, input, &mut part)?,
            6 => read_init_functions(object, &mut part)?,
            7 => read_comdats(object, input, &mut part)?,
            8 => read_symbols(object, input, &mut part)?,
            _ => part.skip(part.remaining() as u32)?,
        }
        part.finish("a part of the linking information")?;
    }
    for init in &object.init_functions {
        match object.symbols.get(init.symbol.index()) {
            Some(symbol) if symbol.kind == SymbolKind::Function => {}
            _ => return Err(cursor.error("an init function is no function")),
        }
    }
    for section in &aside.relocs {
        read_reloc_section(object, input, aside, section)?;
    }
    Ok(())
}

fn read_segment_info(object: &mut Object, input: &[u8], part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()? as usize;
    let Some(segments) = object.segments.get_mut(..count) else {
        return Err(part.error("more segments are named than there are"));
    };
    for segment in segments {
        segment.name = part.name()?;
        let align = part.u32()?;
        if align > 31 {
            return Err(part.error("an alignment is too large"));
        }
        segment.align_log2 = align as u8;
        segment.flags = SegmentFlags(part.u32()?);
        let name = &input[segment.name.range()];
        segment.prefix = SegmentPrefix::of(name);
        if name.starts_with(b".tdata") || name.starts_with(b".tbss") {
            segment.flags.0 |= SegmentFlags::TLS.0;
        }
    }
    Ok(())
}

fn read_init_functions(object: &mut Object, part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    object.init_functions.reserve_exact(part.capacity(count, 2));
    for _ in 0..count {
        object.init_functions.push(InitFunction {
            priority: part.u32()?,
            symbol: SymbolIndex(part.u32()?),
        });
    }
    Ok(())
}

fn read_comdats(object: &mut Object, input: &[u8], part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    object.comdats.reserve_exact(part.capacity(count, 3));
    let mut names: HashSet<_> = HashSet::default();
    for index in 0..count {
        let comdat = ComdatIndex(index);
        let name = part.name()?;
        if !names.insert(&input[name.range()]) {
            return Err(part.error("a COMDAT group occurs twice"));
        }
        object.comdats.push(Comdat {
            name,
            hash: hash_name(&input[name.range()]),
        });
        if part.u32()? != 0 {
            return Err(part.error("unknown flags of a COMDAT group"));
        }
        for _ in 0..part.u32()? {
            let kind = part.u32()?;
            let index = part.u32()?;
            let place = match kind {
                0 => object
                    .segments
                    .get_mut(index as usize)
                    .map(|segment| &mut segment.comdat),
                1 => (index as usize)
                    .checked_sub(object.imported_functions.len())
                    .and_then(|index| object.functions.get_mut(index))
                    .map(|function| &mut function.comdat),
                5 => object
                    .custom_sections
                    .binary_search_by_key(&SectionIndex(index), |custom| custom.section)
                    .ok()
                    .map(|index| &mut object.custom_sections[index].comdat),
                _ => return Err(part.error("an unknown kind of COMDAT entry")),
            };
            match place {
                Some(place @ None) => *place = Some(comdat),
                Some(Some(_)) => return Err(part.error("something is in two COMDAT groups")),
                None => return Err(part.error("a COMDAT entry is out of range")),
            }
        }
    }
    Ok(())
}

fn read_symbols(object: &mut Object, input: &[u8], part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    if !object.symbols.is_empty() {
        return Err(part.error("there are two symbol tables"));
    }
    if count >= reloc::INDEX_LIMIT {
        return Err(part.error("too many symbols"));
    }
    let capacity = part.capacity(count, 3);
    object.symbols.reserve_exact(capacity);
    object.hashes.reserve_exact(capacity);
    for _ in 0..count {
        let symbol = read_symbol(object, part)?;
        let hash = match symbol.is_local() {
            true => 0,
            false => hash_name(&input[symbol.name.range()]),
        };
        object.symbols.push(symbol);
        object.hashes.push(hash);
    }
    Ok(())
}

fn read_symbol(object: &Object, part: &mut Cursor<'_>) -> Result<Symbol> {
    let number = part.byte()?;
    let kind = match number {
        0 => SymbolKind::Function,
        1 => SymbolKind::Data,
        2 => SymbolKind::Global,
        3 => SymbolKind::Section,
        4 => SymbolKind::Tag,
        5 => SymbolKind::Table,
        _ => return Err(part.error("an unknown kind of symbol")),
    };
    let mut symbol = Symbol {
        name: Span::default(),
        index: 0,
        value: 0,
        size: 0,
        // Flags beyond these are hints that may be ignored.
        flags: SymbolFlags(part.u32()? as u16),
        kind,
        called_directly: false,
    };
    if symbol.flags.has(SymbolFlags::WEAK) && symbol.flags.has(SymbolFlags::LOCAL) {
        return Err(part.error("a symbol is both weak and local"));
    }
    match kind {
        SymbolKind::Data => read_data_symbol(object, part, &mut symbol)?,
        SymbolKind::Section => {
            symbol.index = part.u32()?;
            if !symbol.is_local() {
                return Err(part.error("a section's symbol is not local"));
            }
            if object.custom_section(SectionIndex(symbol.index)).is_none() {
                return Err(part.error("a symbol names a section that is not a custom section"));
            }
        }
        _ => read_indexed_symbol(object, part, &mut symbol)?,
    }
    Ok(symbol)
}

/// A function, global, tag or table: defined ones carry a name, undefined ones have their import's unless they say so.
fn read_indexed_symbol(object: &Object, part: &mut Cursor<'_>, symbol: &mut Symbol) -> Result<()> {
    symbol.index = part.u32()?;
    let index = symbol.index as usize;
    fn imported<T>(imports: &[crate::object::Import<T>], index: usize) -> Option<Span> {
        imports.get(index).map(|import| import.name)
    }
    let (import, imports, defined) = match symbol.kind {
        SymbolKind::Function => (
            imported(&object.imported_functions, index),
            object.imported_functions.len(),
            object.functions.len(),
        ),
        SymbolKind::Global => (
            imported(&object.imported_globals, index),
            object.imported_globals.len(),
            object.globals.len(),
        ),
        SymbolKind::Tag => (
            imported(&object.imported_tags, index),
            object.imported_tags.len(),
            object.tags.len(),
        ),
        _ => (
            imported(&object.imported_tables, index),
            object.imported_tables.len(),
            object.tables.len(),
        ),
    };
    if index >= imports + defined {
        return Err(part.error("a symbol's index is out of range"));
    }
    symbol.name = match (import, symbol.is_undefined()) {
        (None, false) => part.name()?,
        (Some(_), true) if symbol.flags.has(SymbolFlags::EXPLICIT_NAME) => part.name()?,
        (Some(name), true) => name,
        (None, true) => return Err(part.error("an undefined symbol is not imported")),
        (Some(_), false) => return Err(part.error("a defined symbol is imported")),
    };
    Ok(())
}

fn read_data_symbol(object: &Object, part: &mut Cursor<'_>, symbol: &mut Symbol) -> Result<()> {
    symbol.name = part.name()?;
    if symbol.is_undefined() {
        return Ok(());
    }
    symbol.index = part.u32()?;
    let offset = part.u64()?;
    let size = part.u64()?;
    if !symbol.flags.has(SymbolFlags::ABSOLUTE) {
        match object.segments.get(symbol.index as usize) {
            Some(segment) if offset <= u64::from(segment.data.len) => {}
            Some(_) => return Err(part.error("a data symbol is outside of its segment")),
            None => return Err(part.error("a data symbol's segment is out of range")),
        }
    }
    match (u32::try_from(offset), u32::try_from(size)) {
        (Ok(offset), Ok(size)) => {
            symbol.value = offset;
            symbol.size = size;
            Ok(())
        }
        _ => Err(part.error("a data symbol is beyond 4 GiB")),
    }
}

/// What has bytes in a section, and relocations in them.
trait Chunk {
    fn bytes(&self) -> Span;
    fn set_relocs(&mut self, start: u32, end: u32);
}

impl Chunk for Function {
    fn bytes(&self) -> Span {
        self.body
    }

    fn set_relocs(&mut self, start: u32, end: u32) {
        self.relocs = start..end;
    }
}

impl Chunk for Segment {
    fn bytes(&self) -> Span {
        self.data
    }

    fn set_relocs(&mut self, start: u32, end: u32) {
        self.relocs = start..end;
    }
}

pub(super) fn read_reloc_section(
    object: &mut Object,
    input: &[u8],
    aside: &Aside,
    section: &RelocSection,
) -> Result<()> {
    let mut cursor = Cursor::new(input, section.entries);
    let types = object.types.len();
    if aside.code == Some(section.target) {
        let (functions, symbols) = (&mut object.functions, &mut object.symbols);
        let relocs = read_relocs(&mut cursor, section.count, symbols, types, |mut cutter| {
            cutter.cut(object.code, functions)
        })?;
        return put(&mut object.code_relocs, relocs, &cursor);
    }
    if aside.data == Some(section.target) {
        let (segments, symbols) = (&mut object.segments, &mut object.symbols);
        let relocs = read_relocs(&mut cursor, section.count, symbols, types, |mut cutter| {
            cutter.cut(object.data, segments)
        })?;
        return put(&mut object.data_relocs, relocs, &cursor);
    }
    let custom = object
        .custom_sections
        .binary_search_by_key(&section.target, |custom| custom.section);
    match custom.map(|index| &mut object.custom_sections[index]) {
        Ok(custom) if custom.relocs.is_empty() => {
            custom.relocs = section.entries;
            custom.reloc_count = section.count;
            Ok(())
        }
        Ok(_) => Err(cursor.error("a section has two relocation sections")),
        Err(_) => Err(cursor.error("relocations for a section that cannot have them")),
    }
}

fn put(place: &mut Relocs, relocs: Relocs, cursor: &Cursor<'_>) -> Result<()> {
    if !place.entries.is_empty() {
        return Err(cursor.error("a section has two relocation sections"));
    }
    *place = relocs;
    Ok(())
}

/// Decodes the entries while `cut` consumes them. Kept apart so that the hot loop is compiled once per kind of chunk.
fn read_relocs<'a, 'b>(
    cursor: &'b mut Cursor<'a>,
    count: u32,
    symbols: &'b mut [Symbol],
    types: usize,
    cut: impl FnOnce(Cutter<'a, 'b>) -> Result<Relocs>,
) -> Result<Relocs> {
    cut(Cutter {
        cursor,
        count,
        symbols,
        types,
    })
}

struct Cutter<'a, 'b> {
    cursor: &'b mut Cursor<'a>,
    count: u32,
    symbols: &'b mut [Symbol],
    types: usize,
}

impl Cutter<'_, '_> {
    /// Reads all relocations and hands each chunk its own. They must be sorted, apart, and within a chunk.
    fn cut<C: Chunk>(&mut self, contents: Span, chunks: &mut [C]) -> Result<Relocs> {
        let mut relocs = Relocs::default();
        relocs
            .entries
            .reserve_exact(self.cursor.capacity(self.count, 3));
        let mut chunks = chunks.iter_mut();
        let mut chunk: Option<&mut C> = None;
        let (mut chunk_start, mut chunk_end) = (0, 0u64);
        let mut first = 0;
        let mut done = 0u64;
        let cursor = &mut *self.cursor;
        for _ in 0..self.count {
            let at = cursor.offset();
            let (facts, offset, index, addend) =
                next_reloc(cursor, self.symbols, self.types, false)?;
            if facts.kind == RelocType::FunctionIndexLeb {
                self.symbols[index].called_directly = true;
            }
            let start = offset;
            if start < done {
                return Err(cursor.malformed(at as usize, "relocations overlap or are not sorted"));
            }
            done = start + u64::from(facts.width);
            while done > chunk_end {
                let here = relocs.entries.len() as u32;
                if let Some(chunk) = chunk.take() {
                    chunk.set_relocs(first, here);
                }
                first = here;
                let Some(next) = chunks.next() else {
                    return Err(
                        cursor.malformed(at as usize, "a relocation is outside of its section")
                    );
                };
                let bytes = next.bytes();
                chunk_start = u64::from(bytes.start - contents.start);
                chunk_end = chunk_start + u64::from(bytes.len);
                chunk = Some(next);
            }
            if start < chunk_start {
                return Err(cursor.malformed(
                    at as usize,
                    "a relocation is not within one function or segment",
                ));
            }
            relocs.push(offset, facts.kind, index, addend);
        }
        cursor.finish("a relocation section")?;
        let all = relocs.entries.len() as u32;
        if let Some(chunk) = chunk {
            chunk.set_relocs(first, all);
        }
        for chunk in chunks {
            chunk.set_relocs(all, all);
        }
        Ok(relocs)
    }
}

/// Reads one entry, and checks that its target exists and is of the right kind. Returns its parts: put together here,
/// or of 32 bits each, they
/// would make a detour through memory that takes longer than all the rest.
#[inline(always)]
fn next_reloc(
    cursor: &mut Cursor<'_>,
    symbols: &[Symbol],
    types: usize,
    is_long: bool,
) -> Result<(&'static Facts, u64, usize, i64)> {
    let at = cursor.offset();
    let number = cursor.byte()?;
    let Some(facts) = RelocType::facts(number) else {
        return Err(reloc::unknown_type(number, at));
    };
    // Offsets of debug information are longer, as a rule, than two bytes: there a branch for each costs more.
    let both = if is_long {
        cursor.two_of_up_to_four()
    } else {
        None
    };
    let (offset, index) = match both {
        Some(both) => both,
        None => (cursor.u32()?, cursor.u32()?),
    };
    let (offset, index) = (u64::from(offset), index as usize);
    let addend = match facts.addend {
        true => cursor.i64()?,
        false => 0,
    };
    let is_valid = match symbols.get(index) {
        Some(symbol) if facts.targets != reloc::TYPE => {
            facts.targets & (1 << symbol.kind as u8) != 0
        }
        _ => facts.targets == reloc::TYPE && index < types,
    };
    if !is_valid {
        return reloc::bad_target(facts.kind, index as u32, at);
    }
    Ok((facts, offset, index, addend))
}

impl Object {
    /// Reads one entry of the relocations of a custom section, which begins at an offset of them; returns where it ends. `None`
    /// if there is anything wrong with it.
    pub(super) fn read_custom_reloc(
        &self,
        custom: &CustomSection,
        at: usize,
        relocs: &mut Relocs,
    ) -> Option<usize> {
        let entries = Span {
            start: custom.relocs.start + at as u32,
            len: custom.relocs.len - at as u32,
        };
        let mut cursor = Cursor::new(self.input().bytes(), entries);
        let (facts, offset, index, addend) =
            next_reloc(&mut cursor, &self.symbols, self.types.len(), true).ok()?;
        relocs.push(offset, facts.kind, index, addend);
        Some((cursor.offset() - custom.relocs.start) as usize)
    }

    /// How many relocations a custom section has.
    pub fn custom_reloc_count(&self, section: SectionIndex) -> u32 {
        self.custom_section(section)
            .map_or(0, |custom| custom.reloc_count)
    }

    /// Reads the relocations of a custom section. Debug information has many, and a link that drops it needs none:
    /// that is why they are not among the tables.
    ///
    /// # Errors
    /// If they are malformed, not sorted, or outside of the section.
    pub fn custom_relocs(&self, section: SectionIndex) -> Result<Relocs> {
        let mut relocs = Relocs::default();
        let Some(custom) = self.custom_section(section) else {
            return Ok(relocs);
        };
        relocs
            .entries
            .reserve_exact(self.custom_reloc_capacity(custom));
        self.each_custom_reloc(custom, |field| {
            let index = field.index as usize;
            relocs.push(u64::from(field.offset), field.kind, index, field.addend);
            Ok(())
        })?;
        Ok(relocs)
    }

    /// Room for as many relocations as a custom section can have.
    pub(crate) fn custom_reloc_capacity(&self, custom: &CustomSection) -> usize {
        let cursor = Cursor::new(self.input().bytes(), custom.relocs);
        cursor.capacity(custom.reloc_count, 3)
    }

    /// Reads the relocations of a custom section one after the other. There are millions, so that who needs each once is better
    /// off without a table.
    ///
    /// # Errors
    /// As [`custom_relocs`](Object::custom_relocs), and those of `visit`.
    #[inline]
    pub(crate) fn each_custom_reloc(
        &self,
        custom: &CustomSection,
        mut visit: impl FnMut(RelocField) -> Result<()>,
    ) -> Result<()> {
        let mut read = || {
            let mut cursor = Cursor::new(self.input().bytes(), custom.relocs);
            let contents = u64::from(custom.contents.len);
            let mut last = 0;
            let mut marks = Vec::with_capacity(cursor.capacity(custom.reloc_count, 3) / MARKED + 1);
            for number in 0..custom.reloc_count as usize {
                let at = cursor.offset() as usize;
                if number % MARKED == 0 {
                    marks.push(at as u32 - custom.relocs.start);
                }
                let (facts, offset, index, addend) =
                    next_reloc(&mut cursor, &self.symbols, self.types.len(), true)?;
                if offset < last {
                    return Err(cursor.malformed(at, "relocations are not sorted"));
                }
                last = offset;
                if offset + u64::from(facts.width) > contents {
                    return Err(cursor.malformed(at, "a relocation is outside of its section"));
                }
                visit(RelocField {
                    kind: facts.kind,
                    offset: offset as u32,
                    index: index as u32,
                    addend,
                })?;
            }
            cursor.finish("a relocation section")?;
            let _ = custom.reloc_marks.set(marks.into());
            Ok(())
        };
        read().map_err(|error: Error| error.with_path(self.display_name()))
    }
}
