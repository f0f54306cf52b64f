//! The section allocator: where everything stands. Pure arithmetic over regions; no files, no wasm parsing.
//!
//! Offsets within a section are relative to its anchor, so that moving a section changes one number. All state is
//! kept in logged containers: a commit that fails rolls back to what was published.

mod customs;
mod data;
mod exports;
mod functions;
mod globals;
mod kinds;
mod names;
mod raw;
mod room;
mod sections;
mod slots;
mod state;
mod types;

pub(crate) use customs::{CustomFull, CustomIndex, CustomSpace, Left, RegionIndex};
pub(crate) use data::{
    DataItem, DataSpace, Image, ImageIndex, ReserveFull, packed_end, sort_for_packing,
};
pub(crate) use exports::ExportEntry;
pub(crate) use functions::{Occupant, Ordinal};
pub(crate) use globals::UNUSED as UNUSED_GLOBAL;
pub(crate) use kinds::SectionKind;
pub(crate) use names::{FILLED_NUMBERS, NameEntry, encode_name, name_len};
pub(crate) use raw::{RawItem, RawItems};
pub(crate) use sections::{CodeMustMove, IDENTITY_LEN, NAME_SECTION_HEADER, Places, SectionPlace};
pub(crate) use slots::Slot;
pub(crate) use state::{
    Growth, Layout, LayoutOptions, Lens, NameFront, Place, SLOT_SEGMENT_HEADER,
};
pub(crate) use types::{UseDeltas, add_uses};
