//! What pieces of custom sections hold in edit scripts: a header that says which piece it is, fields, and bytes.

use super::model::{Ent, Name, d, f, g, p};

/// A field of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Where a function's code stands, and what is added.
    Code(u16, u8),
    /// A function's index.
    Index(u16),
    /// A function's address.
    Slot(u16),
    /// Where another piece stands, and what is added.
    Piece(u16, u8),
    /// The address of data, and what is added.
    Data(u16, u8),
    /// A global's index.
    Global(u16),
}

impl Field {
    /// What it names.
    pub fn name(self) -> Name {
        match self {
            Field::Code(key, _) | Field::Index(key) | Field::Slot(key) => f(key),
            Field::Piece(key, _) => p(key),
            Field::Data(key, _) => d(key),
            Field::Global(key) => g(key),
        }
    }

    /// What is added to the value.
    pub fn addend(self) -> u32 {
        match self {
            Field::Code(_, addend) | Field::Piece(_, addend) | Field::Data(_, addend) => {
                addend.into()
            }
            _ => 0,
        }
    }
}

/// A piece: which section it stands in, its fields, and bytes behind them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chunk {
    pub section: u8,
    pub fields: Vec<Field>,
    pub len: u16,
    pub fill: u8,
}

/// The custom sections that pieces stand in. The last two are none that wasmend knows; gaps in the last one are zeros.
pub const SECTIONS: [&str; 6] = [
    ".debug_info",
    ".debug_abbrev",
    ".debug_str",
    ".debug_ranges",
    "opaque",
    FILLED,
];

/// The section that is named with a filler.
pub const FILLED: &str = "filled";

/// Bytes of a unit's header in `.debug_info`, and the code of its first entry.
pub const UNIT: usize = 12;

impl Chunk {
    /// The section's name.
    pub fn section(&self) -> &'static str {
        SECTIONS[self.section as usize % SECTIONS.len()]
    }

    fn is_unit(&self) -> bool {
        self.section() == ".debug_info"
    }

    /// Offset of the first field.
    pub fn first_field(&self) -> usize {
        8 + if self.is_unit() { UNIT } else { 0 }
    }

    /// The bytes, with nothing in the fields.
    pub fn bytes(&self, ent: Ent) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.is_unit() {
            bytes.extend([0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 7]);
        }
        bytes.extend(magic(ent));
        bytes.resize(bytes.len() + 4 * self.fields.len(), 0);
        // Never a zero, which a gap may end with.
        bytes.resize(bytes.len() + usize::from(self.len), self.fill | 1);
        // What is nothing but strings would be merged with others in a dense output.
        if self.section() == ".debug_str" && bytes.last() == Some(&0) {
            bytes.push(0x55);
        }
        if self.section() == ".debug_ranges" {
            bytes.resize(bytes.len().next_multiple_of(8), 0x55);
        }
        if self.is_unit() {
            let len = bytes.len() as u32 - 4;
            bytes[..4].copy_from_slice(&len.to_le_bytes());
        }
        bytes
    }

    /// What stands in a field whose target is not there.
    pub fn tombstone(&self, field: Field) -> u32 {
        match self.section() {
            ".debug_ranges" => u32::MAX - 1,
            "opaque" | FILLED => field.addend(),
            _ => u32::MAX,
        }
    }
}

/// What tells a piece from all others.
pub fn magic(ent: Ent) -> [u8; 8] {
    let mut magic = *b"piec\0\0\0\0";
    magic[4..].copy_from_slice(&ent.to_le_bytes());
    magic
}
