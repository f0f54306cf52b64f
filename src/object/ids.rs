//! The index spaces of an object, each with a type of its own. All count from zero within one object.

use std::fmt;

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The index as an offset into a table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

index! {
    /// An entry of the type section.
    TypeIndex
    /// A function: the imported ones first, then the defined ones.
    FunctionIndex
    /// A global: the imported ones first, then the defined ones.
    GlobalIndex
    /// A table: the imported ones first, then the defined ones.
    TableIndex
    /// A tag: the imported ones first, then the defined ones.
    TagIndex
    /// A data segment.
    SegmentIndex
    /// A section, custom ones included, in the order of the file.
    SectionIndex
    /// An entry of the symbol table.
    SymbolIndex
    /// A group of which one definition is kept in a program.
    ComdatIndex
}
