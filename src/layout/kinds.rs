//! The kinds of sections that a patchable file has, and how much room each has on a first write.
//!
//! Knows nothing of where they stand.

use crate::layout::customs::CustomIndex;

/// A section of the patchable file. All up to the data stand in this order; those behind it in any, and the identity last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SectionKind {
    /// Custom sections that must come first, kept as they are.
    CustomFront,
    Type,
    Import,
    Function,
    Table,
    Memory,
    Tag,
    Global,
    Export,
    Start,
    Element,
    DataCount,
    Code,
    Data,
    /// A custom section that consists of pieces; its position among these.
    Custom(CustomIndex),
    Name,
    /// Other custom sections, kept as they are.
    CustomTail,
    /// Format version, generation and build id.
    Identity,
}

impl SectionKind {
    pub(super) const COUNT: usize = 17;
    /// All but custom sections of pieces.
    pub(super) const FIXED: [SectionKind; Self::COUNT] = {
        use SectionKind::*;
        [
            CustomFront,
            Type,
            Import,
            Function,
            Table,
            Memory,
            Tag,
            Global,
            Export,
            Start,
            Element,
            DataCount,
            Code,
            Data,
            Name,
            CustomTail,
            Identity,
        ]
    };

    /// Position among [`SectionKind::FIXED`], if it is one of these.
    pub(super) fn fixed(self) -> Result<usize, usize> {
        use SectionKind::*;
        Ok(match self {
            CustomFront => 0,
            Type => 1,
            Import => 2,
            Function => 3,
            Table => 4,
            Memory => 5,
            Tag => 6,
            Global => 7,
            Export => 8,
            Start => 9,
            Element => 10,
            DataCount => 11,
            Code => 12,
            Data => 13,
            Name => 14,
            CustomTail => 15,
            Identity => 16,
            Custom(at) => return Err(at.0.into()),
        })
    }

    /// The identifier in the file.
    pub(crate) fn id(self) -> u8 {
        use SectionKind::*;
        match self {
            CustomFront | Custom(_) | Name | CustomTail | Identity => 0,
            Type => 1,
            Import => 2,
            Function => 3,
            Table => 4,
            Memory => 5,
            Tag => 13,
            Global => 6,
            Export => 7,
            Start => 8,
            Element => 9,
            DataCount => 12,
            Code => 10,
            Data => 11,
        }
    }

    /// How much unused space is left behind the section when `len` bytes of it are written.
    pub(super) fn pad(self, len: u64) -> u64 {
        use SectionKind::*;
        match self {
            // A pad here is what stands between an edit and a relink: it lasts for dozens of functions at least. What stands
            // behind the exports is as long as there are functions: it should seldom have to move.
            Type | Function | Export | Element => 256 + len / 8,
            Global | Import => 64 + len / 16,
            Code => 1024 + len / 24,
            Data => 64 + len / 64,
            Name => 256 + len / 16,
            Custom(_) => 256 + len / 32,
            // One of the last three stands before the code, which grows to the front when an import goes away.
            Table | Memory | Tag => 16,
            Start | DataCount => 96,
            CustomFront | CustomTail | Identity => 0,
        }
    }
}
