//! Why an output had to be rebuilt as a whole: numbered, named reasons. A relink is an outcome, not an error.

use std::fmt;

/// Why a commit could not be a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum RelinkReason {
    /// Nothing has been published yet.
    First = 1,
    /// The user asked for it.
    Requested = 2,
    /// The output was replaced, changed or deleted by somebody else.
    OutputChanged = 3,
    /// The function index space has no room for another function.
    FunctionsFull = 4,
    /// A section before the code has used up all pads up to it, and the code cannot move.
    PadsUsedUp = 5,
    /// The address space reserved for data is used up.
    ReserveFull = 6,
    /// A table was imported, or an imported one removed, which shifts the indices of all tables.
    TableIndices = 7,
    /// A memory was imported, or an imported one removed, which shifts the indices of all memories.
    MemoryIndices = 8,
    /// A removed global's place cannot be filled with a valid unused global.
    GlobalFiller = 9,
    /// The type section has no room for another type.
    TypesFull = 10,
    /// An imported function or global went away and there is no dead entry to shift in.
    ImportRemoved = 11,
    /// The addresses that data may take were changed, or the memory that has them.
    DataArea = 12,
    /// Too much of the code section, or of a custom section of pieces, is dead.
    Fragmented = 13,
    /// A global's initialiser names a global that would stand behind it.
    GlobalOrder = 14,
    /// The code uses tail calls now, so that what passes calls on must too.
    TailCalls = 15,
    /// The code section begins at another of its entries now, which changes every offset of code in custom sections.
    CodeShifted = 18,
    /// A function of a library changes for the first time, so that all of them are called as others are from now on.
    LibraryEdited = 19,
}

impl RelinkReason {
    /// The reason's number, as listed in `design/relink-reasons.md`.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The reason's short name, used in listings and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            RelinkReason::First => "first-write",
            RelinkReason::Requested => "requested",
            RelinkReason::OutputChanged => "output-changed",
            RelinkReason::FunctionsFull => "functions-full",
            RelinkReason::PadsUsedUp => "pads-used-up",
            RelinkReason::ReserveFull => "data-reserve-full",
            RelinkReason::TableIndices => "table-indices-changed",
            RelinkReason::MemoryIndices => "memory-indices-changed",
            RelinkReason::GlobalFiller => "global-not-fillable",
            RelinkReason::TypesFull => "types-full",
            RelinkReason::ImportRemoved => "import-removed",
            RelinkReason::DataArea => "data-area-changed",
            RelinkReason::Fragmented => "fragmented",
            RelinkReason::GlobalOrder => "global-order",
            RelinkReason::TailCalls => "tail-calls",
            RelinkReason::CodeShifted => "code-shifted",
            RelinkReason::LibraryEdited => "library-edited",
        }
    }
}

impl fmt::Display for RelinkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{:02} {}", self.number(), self.word())
    }
}
