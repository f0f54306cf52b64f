//! Section headers of fixed width and the pads between sections.

use super::leb;

/// Identifier, five-byte size and a five-byte value: a vector's count, or the whole content of `start` and
/// `data count`. Every section that can be patched begins like this.
pub(crate) const HEADER: usize = 1 + leb::WIDE32 + leb::WIDE32;

/// The name of the custom sections that hold unused space. A pad too small for it has an empty name.
pub(crate) const PAD_NAME: &str = "pad";

/// Writes the header of a section whose end is `end` bytes behind the beginning of `out`.
pub(crate) fn write_header(out: &mut [u8], id: u8, end: u64, value: u32) {
    out[0] = id;
    leb::write_unsigned(&mut out[1..6], end - 6);
    leb::write_unsigned(&mut out[6..HEADER], u64::from(value));
}

/// Whether `len` bytes between two sections can be made valid: nothing at all, or a whole custom section.
pub(crate) fn is_valid_pad(len: u64) -> bool {
    len == 0 || len >= 3
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
    debug_assert!(is_valid_pad(len));
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
