//! The tables of one object. They are plain: entries of fixed size that hold indices and offsets into the input.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::object::ids::{
    ComdatIndex, FunctionIndex, GlobalIndex, SectionIndex, SegmentIndex, SymbolIndex, TableIndex,
    TagIndex, TypeIndex,
};
use crate::object::map::Input;
use crate::object::reloc::{Reloc, Relocs};
use crate::object::span::Span;
use crate::object::symbol::{Symbol, SymbolKind};

/// A function type: one byte for each parameter and result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionType {
    /// The parameters' value types.
    pub params: Span,
    /// The results' value types.
    pub results: Span,
}

/// The bounds of a table or memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// The least size.
    pub minimum: u64,
    /// The greatest size, if there is one.
    pub maximum: Option<u64>,
    /// Whether threads share it.
    pub shared: bool,
    /// Whether it is indexed with 64 bits.
    pub is_64: bool,
}

/// A global's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GlobalType {
    /// The value type's byte.
    pub value: u8,
    /// Whether it can be changed.
    pub mutable: bool,
}

/// A table's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableType {
    /// The element type's byte.
    pub element: u8,
    /// Its bounds.
    pub limits: Limits,
}

/// An import and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Import<T> {
    /// The module's name.
    pub module: Span,
    /// The name in that module.
    pub name: Span,
    /// Its type.
    pub ty: T,
    /// Whether the module is `env`, as it is unless the source says otherwise.
    pub is_from_env: bool,
}

/// A defined function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its type.
    pub ty: TypeIndex,
    /// Local declarations and code, without the size in front.
    pub body: Span,
    pub(super) relocs: Range<u32>,
    /// The group that it is kept or dropped with.
    pub comdat: Option<ComdatIndex>,
}

impl Function {
    /// Its relocations among all those of the object's code. Their offsets count from the code section's contents.
    #[inline]
    pub(crate) fn relocs_of<'a>(&self, code_relocs: &'a Relocs) -> &'a [Reloc] {
        code_relocs.range(self.relocs.clone())
    }
}

/// A defined global.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Global {
    /// Its type.
    pub ty: GlobalType,
    /// The initialiser, with the `end` behind it.
    pub init: Span,
}

/// A set of a segment's flags; the bits are those of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentFlags(pub u32);

impl SegmentFlags {
    /// It holds strings that end in zero; equal ones may be merged.
    pub const STRINGS: SegmentFlags = SegmentFlags(1);
    /// Each thread has its own copy. Also set where old compilers say so by the name alone.
    pub const TLS: SegmentFlags = SegmentFlags(2);
    /// It is kept even if nothing refers to it.
    pub const RETAIN: SegmentFlags = SegmentFlags(4);

    /// Whether it has all of `flags`.
    pub const fn has(self, flags: SegmentFlags) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// Beginnings of segments' names that mean something to linkers, each up to its end or a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentPrefix {
    /// `.text`.
    Text,
    /// `.data`.
    Data,
    /// `.bss`.
    Bss,
    /// `.rodata`.
    Rodata,
    /// Another one.
    Other,
}

impl SegmentPrefix {
    /// The prefix that a name begins with.
    pub(super) fn of(name: &[u8]) -> SegmentPrefix {
        let prefixes = [
            SegmentPrefix::Rodata,
            SegmentPrefix::Data,
            SegmentPrefix::Bss,
            SegmentPrefix::Text,
        ];
        let is_prefix = |prefix: &SegmentPrefix| {
            let rest = name.strip_prefix(prefix.text().as_bytes());
            rest.is_some_and(|rest| matches!(rest, [] | [b'.', ..]))
        };
        let found = prefixes.into_iter().find(is_prefix);
        found.unwrap_or(SegmentPrefix::Other)
    }

    /// The prefix itself; empty for [`Other`](SegmentPrefix::Other).
    pub fn text(self) -> &'static str {
        match self {
            SegmentPrefix::Text => ".text",
            SegmentPrefix::Data => ".data",
            SegmentPrefix::Bss => ".bss",
            SegmentPrefix::Rodata => ".rodata",
            SegmentPrefix::Other => "",
        }
    }
}

/// A data segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its name, such as `.rodata.str`; empty if it has none.
    pub name: Span,
    /// Its bytes.
    pub data: Span,
    pub(super) relocs: Range<u32>,
    /// Binary logarithm of its alignment.
    pub align_log2: u8,
    /// Its flags.
    pub flags: SegmentFlags,
    /// What its name begins with.
    pub prefix: SegmentPrefix,
    /// The group that it is kept or dropped with.
    pub comdat: Option<ComdatIndex>,
}

/// A custom section that is not there for the linker alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomSection {
    /// Its name.
    pub name: Span,
    /// Its bytes behind the name.
    pub contents: Span,
    /// Which section it is.
    pub section: SectionIndex,
    /// The entries of its relocation section; see [`Object::custom_relocs`].
    pub(super) relocs: Span,
    pub(super) reloc_count: u32,
    /// Where among these bytes every 256th entry begins, once they were read.
    pub(super) reloc_marks: OnceLock<Arc<[u32]>>,
    /// The group that it is kept or dropped with.
    pub comdat: Option<ComdatIndex>,
}

impl CustomSection {
    /// How many relocations it has.
    pub(crate) fn reloc_count(&self) -> usize {
        self.reloc_count as usize
    }

    /// Whether fields of it refer to anything.
    pub fn has_relocs(&self) -> bool {
        self.reloc_count > 0
    }
}

/// A function that runs before the program starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitFunction {
    /// Lower ones run first.
    pub priority: u32,
    /// The function's symbol.
    pub symbol: SymbolIndex,
}

/// A group of definitions, of which a program keeps the first object's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comdat {
    /// The name that makes groups of several objects the same.
    pub name: Span,
    /// The name's hash, as [`hash_name`] computes it.
    pub hash: u64,
}

/// A relocatable object, read into tables.
#[derive(Debug)]
pub struct Object {
    pub(super) input: Arc<Input>,
    pub(super) span: Span,
    pub(super) member: Option<Box<str>>,
    pub(super) display_name: Box<str>,
    /// The type section. All types are function types.
    pub types: Vec<FunctionType>,
    /// Imported functions.
    pub imported_functions: Vec<Import<TypeIndex>>,
    /// Imported globals.
    pub imported_globals: Vec<Import<GlobalType>>,
    /// Imported tables.
    pub imported_tables: Vec<Import<TableType>>,
    /// Imported tags.
    pub imported_tags: Vec<Import<TypeIndex>>,
    /// Imported memories.
    pub imported_memories: Vec<Import<Limits>>,
    /// Defined functions.
    pub functions: Vec<Function>,
    /// Defined globals.
    pub globals: Vec<Global>,
    /// Defined tables.
    pub tables: Vec<TableType>,
    /// Defined tags.
    pub tags: Vec<TypeIndex>,
    /// Defined memories.
    pub memories: Vec<Limits>,
    /// Names under which functions are to be exported (`export_name`).
    pub exported_functions: Vec<(FunctionIndex, Span)>,
    /// Data segments.
    pub segments: Vec<Segment>,
    /// The symbol table.
    pub symbols: Vec<Symbol>,
    /// For each symbol that other objects see, its name's hash, as [`hash_name`] computes it; otherwise 0.
    pub hashes: Vec<u64>,
    /// Functions that run before the program starts.
    pub init_functions: Vec<InitFunction>,
    /// COMDAT groups.
    pub comdats: Vec<Comdat>,
    /// Custom sections, without those for the linker, `name`, `producers` and `target_features`.
    pub custom_sections: Vec<CustomSection>,
    pub(super) producers: Span,
    pub(super) features: Span,
    /// The contents of the code section, which its relocations' offsets count from.
    pub code: Span,
    /// The contents of the data section, which its relocations' offsets count from.
    pub data: Span,
    /// Relocations of the code section.
    pub code_relocs: Relocs,
    /// Relocations of the data section.
    pub data_relocs: Relocs,
    /// What versions of an object share that have the same tables.
    pub(super) lineage: Arc<()>,
}

impl Object {
    /// The input that the object is in; all spans are ranges of its bytes.
    pub fn input(&self) -> &Arc<Input> {
        &self.input
    }

    /// The part of the input that is the object.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The archive member's name, if the input is an archive.
    pub fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }

    /// What messages call the archive that it is a member of.
    pub fn library(&self) -> Option<&str> {
        let member = self.member()?;
        let archive = self.display_name.strip_suffix(')')?.strip_suffix(member)?;
        archive.strip_suffix('(')
    }

    /// What messages call it: `foo.o`, or `libfoo.a(bar.o)`.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// The bytes of a span.
    #[inline]
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.input.part(span)
    }

    /// A name. Names were checked to be UTF-8 when the object was read.
    pub fn str(&self, span: Span) -> &str {
        std::str::from_utf8(self.bytes(span)).unwrap_or("(changed while it was linked)")
    }

    /// The name of a symbol.
    pub fn symbol_name(&self, symbol: SymbolIndex) -> &str {
        self.str(self.symbols[symbol.index()].name)
    }

    /// The type of a function, imported or defined.
    #[inline]
    pub fn function_type(&self, function: FunctionIndex) -> TypeIndex {
        match self.imported_functions.get(function.index()) {
            Some(import) => import.ty,
            None => self.functions[function.index() - self.imported_functions.len()].ty,
        }
    }

    /// Where in [`functions`](Object::functions) a function stands; `None` if it is imported.
    #[inline]
    pub fn defined_function(&self, function: FunctionIndex) -> Option<usize> {
        function.index().checked_sub(self.imported_functions.len())
    }

    /// The type of a global, imported or defined.
    pub fn global_type(&self, global: GlobalIndex) -> GlobalType {
        match self.imported_globals.get(global.index()) {
            Some(import) => import.ty,
            None => self.globals[global.index() - self.imported_globals.len()].ty,
        }
    }

    /// Where in [`globals`](Object::globals) a global stands; `None` if it is imported.
    pub fn defined_global(&self, global: GlobalIndex) -> Option<usize> {
        global.index().checked_sub(self.imported_globals.len())
    }

    /// The type of a table, imported or defined.
    pub fn table_type(&self, table: TableIndex) -> TableType {
        match self.imported_tables.get(table.index()) {
            Some(import) => import.ty,
            None => self.tables[table.index() - self.imported_tables.len()],
        }
    }

    /// Where in [`tables`](Object::tables) a table stands; `None` if it is imported.
    pub fn defined_table(&self, table: TableIndex) -> Option<usize> {
        table.index().checked_sub(self.imported_tables.len())
    }

    /// The type of a tag, imported or defined.
    pub fn tag_type(&self, tag: TagIndex) -> TypeIndex {
        match self.imported_tags.get(tag.index()) {
            Some(import) => import.ty,
            None => self.tags[tag.index() - self.imported_tags.len()],
        }
    }

    /// Where in [`tags`](Object::tags) a tag stands; `None` if it is imported.
    pub fn defined_tag(&self, tag: TagIndex) -> Option<usize> {
        tag.index().checked_sub(self.imported_tags.len())
    }

    /// How an undefined symbol is imported; `None` for data, and for what is defined.
    pub fn import_of(&self, symbol: SymbolIndex) -> Option<Import<()>> {
        fn names<T>(imports: &[Import<T>], index: usize) -> Option<Import<()>> {
            imports.get(index).map(|import| Import {
                module: import.module,
                name: import.name,
                ty: (),
                is_from_env: import.is_from_env,
            })
        }
        let symbol = &self.symbols[symbol.index()];
        match symbol.kind {
            SymbolKind::Function => names(&self.imported_functions, symbol.function()?.index()),
            SymbolKind::Global => names(&self.imported_globals, symbol.global()?.index()),
            SymbolKind::Table => names(&self.imported_tables, symbol.table()?.index()),
            SymbolKind::Tag => names(&self.imported_tags, symbol.tag()?.index()),
            SymbolKind::Data | SymbolKind::Section => None,
        }
    }

    /// Whether it is for memories indexed with 64 bits.
    pub fn is_64(&self) -> bool {
        self.imported_memories.iter().any(|memory| memory.ty.is_64)
            || self.memories.iter().any(|memory| memory.is_64)
    }

    /// The relocations of a defined function. Their offsets count from the code section's contents.
    #[inline]
    pub fn function_relocs(&self, function: &Function) -> &[Reloc] {
        function.relocs_of(&self.code_relocs)
    }

    /// The relocations of code that ask for a function's place in the table, with the defined function each is in.
    pub fn code_table_relocs(&self) -> impl Iterator<Item = (usize, &Reloc)> {
        let ends = self.functions.iter().map(|function| function.relocs.end);
        in_order(&self.code_relocs, ends)
    }

    /// The relocations of data that ask for a function's place in the table, with the segment each is in.
    pub fn data_table_relocs(&self) -> impl Iterator<Item = (usize, &Reloc)> {
        let ends = self.segments.iter().map(|segment| segment.relocs.end);
        in_order(&self.data_relocs, ends)
    }

    /// The relocations of a segment. Their offsets count from the data section's contents.
    #[inline]
    pub fn segment_relocs(&self, segment: SegmentIndex) -> &[Reloc] {
        let relocs = &self.segments[segment.index()].relocs;
        self.data_relocs.range(relocs.clone())
    }

    /// Where in its body a function's relocation stands.
    #[inline]
    pub fn offset_in_body(&self, function: &Function, reloc: &Reloc) -> u32 {
        self.code.start + reloc.offset - function.body.start
    }

    /// Where in its data a segment's relocation stands.
    #[inline]
    pub fn offset_in_segment(&self, segment: SegmentIndex, reloc: &Reloc) -> u32 {
        self.data.start + reloc.offset - self.segments[segment.index()].data.start
    }

    /// The function whose body is at `offset` of the code section's contents.
    pub fn function_at(&self, offset: u32) -> Option<usize> {
        let at = self.code.start.checked_add(offset)?;
        let next = self
            .functions
            .partition_point(|function| function.body.start <= at);
        let index = next.checked_sub(1)?;
        ((at as usize) < self.functions[index].body.end()).then_some(index)
    }

    /// The symbol table's name for a defined function: the first of them if it has aliases.
    pub fn function_name(&self, function: usize) -> Option<&str> {
        let index = FunctionIndex((self.imported_functions.len() + function) as u32);
        let symbol = self.symbols.iter().find(|symbol| {
            symbol.function() == Some(index) && !symbol.is_undefined() && !symbol.name.is_empty()
        })?;
        Some(self.str(symbol.name))
    }

    /// The custom section that is the object's section `section`.
    pub fn custom_section(&self, section: SectionIndex) -> Option<&CustomSection> {
        let place = self
            .custom_sections
            .binary_search_by_key(&section, |custom| custom.section);
        place.ok().map(|index| &self.custom_sections[index])
    }
}

/// Relocations for the table with the numbers of the chunks they are in; `ends` says where each chunk's ones end.
fn in_order(
    relocs: &Relocs,
    ends: impl Iterator<Item = u32>,
) -> impl Iterator<Item = (usize, &Reloc)> {
    let mut chunks = ends.enumerate().peekable();
    relocs.table_indices().iter().filter_map(move |place| {
        while chunks.next_if(|(_, end)| end <= place).is_some() {}
        let (chunk, _) = chunks.peek()?;
        Some((*chunk, &relocs.entries[*place as usize]))
    })
}

/// The hash by which names are found. The same in every process of one build of wasmend, and nothing else.
#[inline]
pub fn hash_name(name: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0x5eed).build_hasher();
    hasher.write(name);
    hasher.finish()
}
