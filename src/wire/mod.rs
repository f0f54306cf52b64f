//! Bytes only: LEB128 of fixed and minimal width, section headers, pads, filler. Knows no declarations and no files.

pub(crate) mod differences;
pub(crate) mod dwarf;
pub(crate) mod filler;
pub(crate) mod gap;
pub(crate) mod leb;
pub(crate) mod section;
pub(crate) mod source;
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
        _ => Err(match kind(bytes) {
            Some((what, hint)) => {
                Error::bad_input(format!("{what}, not a WebAssembly module")).with_hint(hint)
            }
            None => Error::bad_input("not a WebAssembly module").with_offset(0),
        }),
    }
}

/// What is taken for a module most often, and what to do with it.
fn kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const ARCHIVES: [&[u8]; 2] = [b"!<arch>\n", b"!<thin>\n"];
    const LINK: &str = "link it first, with wasmend ld, and give what comes of that";
    if ARCHIVES.iter().any(|magic| bytes.starts_with(magic)) {
        return Some(("an archive", LINK));
    }
    if bytes.starts_with(b"BC\xc0\xde") {
        return Some(("LLVM bitcode", "compile it to an object, and link that"));
    }
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"(module") || text.starts_with(b";;") {
        return Some(("the text format", "assemble it first, as with wat2wasm"));
    }
    bytes
        .starts_with(&[0x1f, 0x8b])
        .then_some(("compressed", "unpack it first, as with gunzip"))
}
