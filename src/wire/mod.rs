//! Bytes only: LEB128 of fixed and minimal width, section headers, pads, filler. Knows no declarations and no files.

pub(crate) mod dwarf;
pub(crate) mod filler;
pub(crate) mod gap;
pub(crate) mod leb;
pub(crate) mod section;
pub(crate) mod strings;

use crate::error::{Error, Result};

/// Refuses what cannot be a module, in plain words.
///
/// # Errors
/// If the bytes do not begin as a core module does.
pub(crate) fn expect_module(bytes: &[u8]) -> Result<()> {
    match bytes {
        [] => Err(Error::bad_input("the file is empty").with_offset(0)),
        [0, b'a', b's', b'm', _, _, 1, _, ..] => Err(Error::bad_input(
            "a component, not a core WebAssembly module",
        )
        .with_offset(4)
        .with_hint("give the core module inside it")),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', ..] => {
            Err(Error::bad_input("not a core WebAssembly module of version 1").with_offset(4))
        }
        _ => Err(Error::bad_input("not a WebAssembly module").with_offset(0)),
    }
}
