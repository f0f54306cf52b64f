//! Bytes only: LEB128 of fixed and minimal width, section headers, pads, filler. Knows no declarations and no files.

pub(crate) mod dwarf;
pub(crate) mod filler;
pub(crate) mod leb;
pub(crate) mod section;
pub(crate) mod strings;
