//! Sections: headers of fixed width and the pads between sections of patchable files, and sections as short as they can
//! be.

use super::leb;

/// Identifier, five-byte size and a five-byte value: a vector's count, or the whole content of `start` and
/// `data count`. Every section that can be patched begins like this.
pub(crate) const HEADER: usize = 1 + leb::WIDE32 + leb::WIDE32;

/// The name of the custom sections that hold unused space. A pad too small for it has an empty name.
pub(crate) const PAD_NAME: &str = "pad";
/// Name of the custom section that identifies a patchable file.
pub(crate) const IDENTITY_NAME: &str = "wasmend";

/// Whether custom sections of this name are not for others to define: they are wasmend's own, or say what would be wrong
/// in a file that it lays out.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "" | "name" | "dylink" | "dylink.0" | PAD_NAME | IDENTITY_NAME
    )
}

/// Writes the header of a section whose end is `end` bytes behind the beginning of `out`.
pub(crate) fn write_header(out: &mut [u8], id: u8, end: u64, value: u32) {
    out[0] = id;
    leb::write_unsigned(&mut out[1..6], end - 6);
    leb::write_unsigned(&mut out[6..HEADER], u64::from(value));
}

/// Whether a custom section of a patchable file is one that wasmend makes for itself, from its name and from how many bytes
/// the length of its name takes.
pub(crate) fn is_own(name: &str, name_len_width: usize) -> bool {
    is_called_as_own(name) && name_len_width == 1
}

/// Names of sections that wasmend makes for itself. One of a build that is called so has a longer length of its name.
fn is_called_as_own(name: &str) -> bool {
    matches!(name, "" | PAD_NAME | IDENTITY_NAME)
}

/// Bytes of the shortest pad: a custom section that has no name and holds nothing.
pub(crate) const SMALLEST_PAD: u64 = 3;

/// Whether `len` bytes between two sections can be made valid: nothing at all, or a whole custom section.
pub(crate) fn is_valid_pad(len: u64) -> bool {
    len == 0 || len >= SMALLEST_PAD
}

/// How many bytes at the beginning of a pad of `len` bytes its header takes.
pub(crate) fn pad_header_len(len: u64) -> usize {
    match len {
        0 => 0,
        3..10 => 3,
        _ => 6 + 1 + PAD_NAME.len(),
    }
}

/// Writes the header of a pad of `len` bytes in all; what follows the header can be anything.
pub(crate) fn write_pad_header(out: &mut [u8], len: u64) {
    assert!(is_valid_pad(len), "{len} bytes cannot be a pad");
    match pad_header_len(len) {
        0 => {}
        3 => out[..3].copy_from_slice(&[0, len as u8 - 2, 0]),
        _ => {
            out[0] = 0;
            leb::write_unsigned(&mut out[1..6], len - 6);
            out[6] = PAD_NAME.len() as u8;
            out[7..10].copy_from_slice(PAD_NAME.as_bytes());
        }
    }
}

/// Appends text with its length before it.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    leb::push_unsigned(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a section, or a subsection of one.
pub(crate) fn push(out: &mut Vec<u8>, id: u8, contents: &[u8]) {
    out.push(id);
    leb::push_unsigned(out, contents.len() as u64);
    out.extend_from_slice(contents);
}

/// Appends a section or subsection that is a vector of `count` entries, unless it is empty.
pub(crate) fn push_vector(out: &mut Vec<u8>, id: u8, count: usize, entries: &[u8]) {
    if count == 0 {
        return;
    }
    out.push(id);
    let len = leb::unsigned_len(count as u64) + entries.len();
    leb::push_unsigned(out, len as u64);
    leb::push_unsigned(out, count as u64);
    out.extend_from_slice(entries);
}

/// Appends a custom section of the program's to what a patchable file keeps: never taken for one of wasmend's own.
pub(crate) fn push_kept(out: &mut Vec<u8>, name: &str, contents: &[u8]) {
    if !is_called_as_own(name) {
        return push_custom(out, name, contents);
    }
    out.push(0);
    leb::push_unsigned(out, (2 + name.len() + contents.len()) as u64);
    out.extend_from_slice(&[name.len() as u8 | 0x80, 0]);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(contents);
}

/// Appends a custom section.
pub(crate) fn push_custom(out: &mut Vec<u8>, name: &str, contents: &[u8]) {
    let header = leb::unsigned_len(name.len() as u64) + name.len();
    out.push(0);
    leb::push_unsigned(out, (header + contents.len()) as u64);
    push_string(out, name);
    out.extend_from_slice(contents);
}
