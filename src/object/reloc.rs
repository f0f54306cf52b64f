//! Relocations as objects have them: the table of the tool conventions' Linking.md.

use crate::error::{Error, Result};
use crate::object::ids::{SymbolIndex, TypeIndex};
use crate::object::symbol::SymbolKind;

/// How a relocated field is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Unsigned LEB128 of five bytes.
    Leb,
    /// Signed LEB128 of five bytes.
    Sleb,
    /// Unsigned LEB128 of ten bytes.
    Leb64,
    /// Signed LEB128 of ten bytes.
    Sleb64,
    /// Four bytes, little-endian.
    I32,
    /// Eight bytes, little-endian.
    I64,
}

impl FieldKind {
    /// Width of the field in bytes.
    pub const fn width(self) -> u32 {
        match self {
            FieldKind::Leb | FieldKind::Sleb => 5,
            FieldKind::Leb64 | FieldKind::Sleb64 => 10,
            FieldKind::I32 => 4,
            FieldKind::I64 => 8,
        }
    }
}

macro_rules! relocations {
    ($($(#[$doc:meta])* $number:literal $name:ident $field:ident $target:expr, $addend:literal;)*) => {
        /// The kind of a relocation; its number is the one of the file format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum RelocType {
            $($(#[$doc])* $name = $number,)*
        }

        impl RelocType {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [RelocType] = &[$(RelocType::$name,)*];

            const FACTS: [Facts; RelocType::ALL.len()] = [$(Facts {
                field: FieldKind::$field,
                width: FieldKind::$field.width() as u8,
                targets: $target,
                addend: $addend,
                kind: RelocType::$name,
            },)*];

            /// The name that the specification uses, without its prefix.
            pub fn name(self) -> &'static str {
                match self {
                    $(RelocType::$name => stringify!($name),)*
                }
            }
        }
    };
}

/// What a kind of relocation means for reading.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) kind: RelocType,
    field: FieldKind,
    pub(super) width: u8,
    /// A bit for each kind of symbol that may be the target; [`TYPE`] for a type.
    pub(super) targets: u8,
    pub(super) addend: bool,
}

const FUNCTION: u8 = 1 << SymbolKind::Function as u8;
const DATA: u8 = 1 << SymbolKind::Data as u8;
const GLOBAL: u8 = 1 << SymbolKind::Global as u8;
const SECTION: u8 = 1 << SymbolKind::Section as u8;
const TAG: u8 = 1 << SymbolKind::Tag as u8;
const TABLE: u8 = 1 << SymbolKind::Table as u8;
pub(super) const TYPE: u8 = 0;

relocations! {
    0 FunctionIndexLeb Leb FUNCTION, false;
    1 TableIndexSleb Sleb FUNCTION, false;
    2 TableIndexI32 I32 FUNCTION, false;
    3 MemoryAddrLeb Leb DATA, true;
    4 MemoryAddrSleb Sleb DATA, true;
    5 MemoryAddrI32 I32 DATA, true;
    /// The index is a type's, not a symbol's.
    6 TypeIndexLeb Leb TYPE, false;
    /// A symbol that is no global means the global that holds its address.
    7 GlobalIndexLeb Leb GLOBAL | FUNCTION | DATA, false;
    /// From the start of the code section's contents; without the body's size.
    8 FunctionOffsetI32 I32 FUNCTION, true;
    9 SectionOffsetI32 I32 SECTION, true;
    10 TagIndexLeb Leb TAG, false;
    11 MemoryAddrRelSleb Sleb DATA, true;
    12 TableIndexRelSleb Sleb FUNCTION, false;
    13 GlobalIndexI32 I32 GLOBAL | FUNCTION | DATA, false;
    14 MemoryAddrLeb64 Leb64 DATA, true;
    15 MemoryAddrSleb64 Sleb64 DATA, true;
    16 MemoryAddrI64 I64 DATA, true;
    17 MemoryAddrRelSleb64 Sleb64 DATA, true;
    18 TableIndexSleb64 Sleb64 FUNCTION, false;
    19 TableIndexI64 I64 FUNCTION, false;
    20 TableNumberLeb Leb TABLE, false;
    21 MemoryAddrTlsSleb Sleb DATA, true;
    22 FunctionOffsetI64 I64 FUNCTION, true;
    /// The target's address plus the addend, minus the field's own address.
    23 MemoryAddrLocrelI32 I32 DATA, true;
    24 TableIndexRelSleb64 Sleb64 FUNCTION, false;
    25 MemoryAddrTlsSleb64 Sleb64 DATA, true;
    26 FunctionIndexI32 I32 FUNCTION, false;
}

impl RelocType {
    pub(super) fn facts(number: u8) -> Option<&'static Facts> {
        RelocType::FACTS.get(number as usize)
    }

    /// How the field is encoded.
    pub const fn field(self) -> FieldKind {
        RelocType::FACTS[self as usize].field
    }

    /// Width of the field in bytes.
    pub const fn width(self) -> u32 {
        self.field().width()
    }

    /// Whether an addend goes with it.
    pub const fn has_addend(self) -> bool {
        RelocType::FACTS[self as usize].addend
    }

    /// Whether the target is a type; otherwise it is a symbol.
    pub const fn targets_type(self) -> bool {
        RelocType::FACTS[self as usize].targets == TYPE
    }

    /// Whether it asks for a function's place in the table.
    pub const fn is_table_index(self) -> bool {
        use RelocType::*;
        matches!(
            self,
            TableIndexSleb
                | TableIndexI32
                | TableIndexRelSleb
                | TableIndexSleb64
                | TableIndexI64
                | TableIndexRelSleb64
        )
    }
}

/// One relocation. What its index means depends on its kind; see [`target`](Reloc::target). There can be millions of
/// them: they are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloc {
    /// Offset of the field from the beginning of its section's contents.
    pub offset: u32,
    /// The addend, or its place in the table of those that do not fit.
    addend: i32,
    /// From the lowest bit: the kind, whether the addend is in the table, and the index.
    packed: u32,
}

const KIND_BITS: u32 = 5;
const WIDE: u32 = 1 << KIND_BITS;
const INDEX_SHIFT: u32 = KIND_BITS + 1;
/// Objects have at most as many symbols and types as this.
pub(super) const INDEX_LIMIT: u32 = 1 << (32 - INDEX_SHIFT);

/// What a relocation refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An entry of the symbol table.
    Symbol(SymbolIndex),
    /// An entry of the type section.
    Type(TypeIndex),
}

impl Reloc {
    /// What kind of relocation it is.
    #[inline]
    pub fn kind(&self) -> RelocType {
        RelocType::ALL[(self.packed & (WIDE - 1)) as usize]
    }

    #[inline]
    fn index(&self) -> u32 {
        self.packed >> INDEX_SHIFT
    }

    /// What it refers to.
    #[inline]
    pub fn target(&self) -> Target {
        match self.kind().targets_type() {
            true => Target::Type(TypeIndex(self.index())),
            false => Target::Symbol(SymbolIndex(self.index())),
        }
    }

    /// The symbol that it refers to, unless it refers to a type.
    #[inline]
    pub fn symbol(&self) -> Option<SymbolIndex> {
        let is_symbol = self.packed & (WIDE - 1) != RelocType::TypeIndexLeb as u32;
        is_symbol.then_some(SymbolIndex(self.index()))
    }

    /// The type that it refers to, if it does not refer to a symbol.
    #[inline]
    pub fn ty(&self) -> Option<TypeIndex> {
        self.symbol().is_none().then_some(TypeIndex(self.index()))
    }
}

/// A relocation with its addend, for who looks at one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RelocField {
    pub(crate) kind: RelocType,
    /// Offset of the field from the beginning of its section's contents.
    pub(crate) offset: u32,
    pub(super) index: u32,
    pub(crate) addend: i64,
}

impl RelocField {
    /// The symbol that it refers to, unless it refers to a type.
    #[inline]
    pub(crate) fn symbol(&self) -> Option<SymbolIndex> {
        (!self.kind.targets_type()).then_some(SymbolIndex(self.index))
    }
}

/// The relocations of one section, sorted by offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relocs {
    pub(super) entries: Vec<Reloc>,
    pub(super) wide: Vec<i64>,
    table_indices: Vec<u32>,
}

impl Relocs {
    #[inline(always)]
    pub(super) fn push(&mut self, offset: u64, kind: RelocType, index: usize, addend: i64) {
        let mut reloc = Reloc {
            offset: offset as u32,
            addend: addend as i32,
            packed: (index as u32) << INDEX_SHIFT | kind as u32,
        };
        if i64::from(reloc.addend) != addend {
            reloc.addend = self.put_aside(addend);
            reloc.packed |= WIDE;
        }
        self.entries.push(reloc);
        if kind.is_table_index() {
            self.table_indices.push(self.entries.len() as u32 - 1);
        }
    }

    /// An addend that does not fit; returns its place.
    #[cold]
    fn put_aside(&mut self, addend: i64) -> i32 {
        self.wide.push(addend);
        self.wide.len() as i32 - 1
    }

    /// The relocations that ask for a function's place in the table, by their places in [`all`](Relocs::all).
    pub fn table_indices(&self) -> &[u32] {
        &self.table_indices
    }

    /// Those with these numbers.
    #[inline]
    pub(super) fn range(&self, numbers: std::ops::Range<u32>) -> &[Reloc] {
        &self.entries[numbers.start as usize..numbers.end as usize]
    }

    /// All of them.
    pub fn all(&self) -> &[Reloc] {
        &self.entries
    }

    /// Whether a relocation of these and one of `others` are of one kind, and name the same in the same way.
    #[inline]
    pub(super) fn names_the_same(&self, own: &Reloc, others: &Relocs, other: &Reloc) -> bool {
        own.packed == other.packed
            && (own.addend == other.addend && own.packed & WIDE == 0
                || self.addend(own) == others.addend(other))
    }

    /// One of them with its addend.
    pub(crate) fn field(&self, reloc: &Reloc) -> RelocField {
        RelocField {
            kind: reloc.kind(),
            offset: reloc.offset,
            index: reloc.index(),
            addend: self.addend(reloc),
        }
    }

    /// The addend of one of them; 0 if its kind has none.
    pub fn addend(&self, reloc: &Reloc) -> i64 {
        match reloc.packed & WIDE != 0 {
            true => self.wide[reloc.addend as usize],
            false => i64::from(reloc.addend),
        }
    }
}

#[cold]
pub(super) fn unknown_type(number: u8, at: u32) -> Error {
    Error::bad_input(format!("unknown relocation type {number}"))
        .with_offset(u64::from(at))
        .with_hint("the object may be of a newer compiler than this linker")
}

#[cold]
pub(super) fn bad_target<T>(kind: RelocType, index: u32, at: u32) -> Result<T> {
    Err(Error::bad_input(format!(
        "malformed: relocation {} refers to {index}, which is no such symbol or type",
        kind.name()
    ))
    .with_offset(u64::from(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_loses_nothing(
            offset: u32,
            number in 0..RelocType::ALL.len(),
            index in 0..INDEX_LIMIT,
            addends in prop::collection::vec(prop_oneof![any::<i64>(), any::<i32>().prop_map(i64::from)], 1..9),
        ) {
            let mut relocs = Relocs::default();
            let kind = RelocType::ALL[number];
            for addend in &addends {
                relocs.push(u64::from(offset), kind, index as usize, *addend);
            }
            for (reloc, addend) in relocs.all().iter().zip(addends) {
                prop_assert_eq!((reloc.offset, reloc.kind()), (offset, kind));
                prop_assert_eq!(relocs.addend(reloc), addend);
                let target = match kind.targets_type() {
                    true => Target::Type(TypeIndex(index)),
                    false => Target::Symbol(SymbolIndex(index)),
                };
                prop_assert_eq!(reloc.target(), target);
                prop_assert_eq!(reloc.symbol().is_some(), !kind.targets_type());
                prop_assert_eq!(reloc.ty().is_some(), kind.targets_type());
            }
        }
    }

    #[test]
    fn numbers_are_their_places() {
        for (number, kind) in RelocType::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, number);
            assert_eq!(RelocType::facts(number as u8).unwrap().kind, *kind);
        }
        assert!(RelocType::facts(27).is_none());
        assert_eq!(size_of::<Reloc>(), 12);
        assert!(RelocType::ALL.len() <= WIDE as usize);
        for kind in RelocType::ALL {
            assert_eq!(kind.targets_type(), *kind == RelocType::TypeIndexLeb);
        }
    }
}
