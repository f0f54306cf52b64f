//! The layout map: whom each byte of a module belongs to, read from the file alone.
//!
//! Invariant: the parts of a [`Map`] follow one another without a gap from the first byte of the file to the last, and
//! in each part header, used bytes, unreached
//! code and slack add up to its length. The map does not validate code; it reads any
//! module whose sections can be decoded, and tells roles and slack apart only in files that wasmend wrote, where
//! markers announce them. Reserved bytes inside the flat image of data cannot be told from data that is zero.

use crate::patch::BuildIdentity;

/// The identity that a patchable file carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// Version of the file format.
    pub format: u32,
    /// Generation and build id.
    pub identity: BuildIdentity,
}

/// What a part of the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// Magic and version.
    Magic,
    /// A section.
    Section,
    /// A section that holds nothing but room for the section before it.
    Pad,
}

/// A run of bytes of the file: the magic, a section or a pad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// `magic`, the section's name, or `pad`. A custom section has the name that it gives itself.
    pub name: String,
    /// Offset of the first byte, that of the section's identifier, in bytes.
    pub offset: u64,
    /// Length in bytes, header included.
    pub len: u64,
    /// Bytes of the header: identifier, size, and count or name.
    pub header: u64,
    /// Bytes that something in the module needs.
    pub used: u64,
    /// Bytes of code that nothing in the module reaches; see [`FunctionRole::Unreached`].
    pub unreached: u64,
    /// Bytes that nothing needs, to be used again. For a pad, all of it.
    pub slack: u64,
    /// How many items the section has, if it is a vector.
    pub count: Option<u32>,
}

/// What a function of the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionRole {
    /// The code of a function.
    Body,
    /// Calls a function through its slot.
    Thunk,
    /// Calls a function at its new place.
    Forwarder,
    /// Code that nothing in the module reaches: what a function left behind when it moved, or a function that is never
    /// called.
    Unreached,
    /// Filler: room for another function, or where unused slots point.
    Dead,
}

impl FunctionRole {
    /// All roles.
    pub const ALL: [FunctionRole; 5] = [
        FunctionRole::Body,
        FunctionRole::Thunk,
        FunctionRole::Forwarder,
        FunctionRole::Unreached,
        FunctionRole::Dead,
    ];

    /// The word used in listings and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            FunctionRole::Body => "body",
            FunctionRole::Thunk => "thunk",
            FunctionRole::Forwarder => "forwarder",
            FunctionRole::Unreached => "unreached",
            FunctionRole::Dead => "dead",
        }
    }
}

/// An entry of the code section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionEntry {
    /// The function's index.
    pub index: u32,
    /// Offset of the entry, that of its size field, in bytes.
    pub offset: u64,
    /// Length of the entry in bytes, size field included.
    pub len: u64,
    /// Bytes at its end that only fill the place; for a dead function, the whole entry.
    pub filler: u64,
    /// What it is for.
    pub role: FunctionRole,
    /// What the name section calls it. A dead function has none, whatever the section still holds; unreached code still has
    /// the name that it had.
    pub name: Option<String>,
    /// How many call sites, exports and start functions name the index.
    pub callers: u32,
    /// For a thunk, the slot that it calls.
    pub slot: Option<u32>,
    /// For a thunk or a forwarder, the function that it calls at last.
    pub target: Option<u32>,
}

/// The slots of the function table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// The table's index.
    pub table: u32,
    /// The first slot.
    pub first: u32,
    /// How many there are.
    pub count: u32,
    /// How many belong to a function.
    pub used: u32,
}

/// Bytes of the file by what they are for. All of them add up to the file's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Magic, identifiers, sizes, counts and names of sections.
    pub header: u64,
    /// What something in the module needs.
    pub used: u64,
    /// Code that nothing in the module reaches.
    pub unreached: u64,
    /// Room inside sections.
    pub slack: u64,
    /// Room between sections.
    pub pad: u64,
}

/// Functions of one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleTotal {
    /// The role.
    pub role: FunctionRole,
    /// How many functions have it.
    pub count: u32,
    /// Bytes of their entries.
    pub bytes: u64,
    /// Bytes among these that only fill the place.
    pub filler: u64,
}

/// The layout of a module file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Length of the file in bytes.
    pub file_len: u64,
    /// The identity of a file that wasmend can patch; `None` for any other module.
    pub identity: Option<FileIdentity>,
    /// All bytes of the file, in order.
    pub parts: Vec<Part>,
    /// How many functions are imported.
    pub imported_functions: u32,
    /// The entries of the code section, in order.
    pub functions: Vec<FunctionEntry>,
    /// The slots of the function table, if wasmend keeps any.
    pub slots: Option<Slots>,
}

impl Map {
    /// Bytes by what they are for.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for part in &self.parts {
            if part.kind == PartKind::Pad {
                totals.pad += part.len;
            } else {
                totals.header += part.header;
                totals.used += part.used;
                totals.unreached += part.unreached;
                totals.slack += part.slack;
            }
        }
        totals
    }

    /// The functions of each role, those that there are none of included.
    pub fn roles(&self) -> [RoleTotal; 5] {
        FunctionRole::ALL.map(|role| {
            let mut total = RoleTotal {
                role,
                count: 0,
                bytes: 0,
                filler: 0,
            };
            for function in self
                .functions
                .iter()
                .filter(|function| function.role == role)
            {
                total.count += 1;
                total.bytes += function.len;
                total.filler += function.filler;
            }
            total
        })
    }
}
