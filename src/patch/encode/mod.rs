//! From declarations and the layout to bytes: code, entries, segments and names are written straight into their place.
//! There is one set of encoders for first writes and for patches.

mod code;
mod encoder;
mod exports;
mod globals;
mod items;
mod pieces;
mod runs;
mod sections;

pub(crate) use code::SIZE;
pub(crate) use encoder::Encoder;
pub(crate) use globals::unused_global;
pub(crate) use items::{SLOT_TABLE_LEN, entity_len};
pub(crate) use pieces::{ranges, relocs_in};
pub(crate) use sections::SectionInputs;
