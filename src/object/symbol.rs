//! Entries of an object's symbol table.

use crate::object::ids::{
    FunctionIndex, GlobalIndex, SectionIndex, SegmentIndex, TableIndex, TagIndex,
};
use crate::object::span::Span;

/// What a symbol stands for; the numbers are those of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SymbolKind {
    /// A function.
    Function = 0,
    /// A place in a data segment.
    Data = 1,
    /// A global.
    Global = 2,
    /// A custom section.
    Section = 3,
    /// A tag.
    Tag = 4,
    /// A table.
    Table = 5,
}

impl SymbolKind {
    /// The word used in messages.
    pub fn word(self) -> &'static str {
        match self {
            SymbolKind::Function => "function",
            SymbolKind::Data => "data",
            SymbolKind::Global => "global",
            SymbolKind::Section => "section",
            SymbolKind::Tag => "tag",
            SymbolKind::Table => "table",
        }
    }
}

/// A set of a symbol's flags; the bits are those of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SymbolFlags(pub u16);

impl SymbolFlags {
    /// Another definition may take its place.
    pub const WEAK: SymbolFlags = SymbolFlags(0x1);
    /// It is not seen by other objects.
    pub const LOCAL: SymbolFlags = SymbolFlags(0x2);
    /// It is not seen outside of the program.
    pub const HIDDEN: SymbolFlags = SymbolFlags(0x4);
    /// The object does not define it.
    pub const UNDEFINED: SymbolFlags = SymbolFlags(0x10);
    /// It is exported from the program.
    pub const EXPORTED: SymbolFlags = SymbolFlags(0x20);
    /// An undefined symbol's name is not its import's.
    pub const EXPLICIT_NAME: SymbolFlags = SymbolFlags(0x40);
    /// It is kept even if nothing refers to it.
    pub const NO_STRIP: SymbolFlags = SymbolFlags(0x80);
    /// Its address is relative to the thread's storage.
    pub const TLS: SymbolFlags = SymbolFlags(0x100);
    /// Its value is an address, not an offset into a segment.
    pub const ABSOLUTE: SymbolFlags = SymbolFlags(0x200);

    /// Whether it has all of `flags`.
    #[inline]
    pub const fn has(self, flags: SymbolFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether the symbol is in the output even if nothing refers to it.
    #[inline]
    pub const fn is_kept(self) -> bool {
        self.has(SymbolFlags::EXPORTED) || self.has(SymbolFlags::NO_STRIP)
    }

    /// With `flags` as well.
    #[must_use]
    pub const fn with(self, flags: SymbolFlags) -> SymbolFlags {
        SymbolFlags(self.0 | flags.0)
    }

    /// Without `flags`.
    #[must_use]
    pub const fn without(self, flags: SymbolFlags) -> SymbolFlags {
        SymbolFlags(self.0 & !flags.0)
    }
}

/// An entry of the symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// Its name; empty for sections.
    pub name: Span,
    pub(super) index: u32,
    /// Data: the offset in its segment, or the address if it is absolute.
    pub value: u32,
    /// Data: its size in bytes.
    pub size: u32,
    /// Its flags.
    pub flags: SymbolFlags,
    /// What it stands for.
    pub kind: SymbolKind,
    /// Whether code of the object calls it by its index. Otherwise only its address is taken, and another signature
    /// than the definition's does no harm.
    pub called_directly: bool,
}

impl Symbol {
    /// Whether other objects do not see it.
    #[inline]
    pub fn is_local(&self) -> bool {
        self.flags.has(SymbolFlags::LOCAL)
    }

    /// Whether another definition may take its place, or none be needed.
    #[inline]
    pub fn is_weak(&self) -> bool {
        self.flags.has(SymbolFlags::WEAK)
    }

    /// Whether the object does not define it.
    #[inline]
    pub fn is_undefined(&self) -> bool {
        self.flags.has(SymbolFlags::UNDEFINED)
    }

    /// The function that it stands for.
    #[inline]
    pub fn function(&self) -> Option<FunctionIndex> {
        (self.kind == SymbolKind::Function).then_some(FunctionIndex(self.index))
    }

    /// The global that it stands for.
    pub fn global(&self) -> Option<GlobalIndex> {
        (self.kind == SymbolKind::Global).then_some(GlobalIndex(self.index))
    }

    /// The tag that it stands for.
    pub fn tag(&self) -> Option<TagIndex> {
        (self.kind == SymbolKind::Tag).then_some(TagIndex(self.index))
    }

    /// The table that it stands for.
    pub fn table(&self) -> Option<TableIndex> {
        (self.kind == SymbolKind::Table).then_some(TableIndex(self.index))
    }

    /// The section that it stands for.
    pub fn section(&self) -> Option<SectionIndex> {
        (self.kind == SymbolKind::Section).then_some(SectionIndex(self.index))
    }

    /// The segment that it is a place in; none if it is undefined or absolute.
    #[inline]
    pub fn segment(&self) -> Option<SegmentIndex> {
        let placed = self.kind == SymbolKind::Data
            && self.flags.0 & (SymbolFlags::UNDEFINED.0 | SymbolFlags::ABSOLUTE.0) == 0;
        placed.then_some(SegmentIndex(self.index))
    }
}
