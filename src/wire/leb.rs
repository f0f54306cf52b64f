//! LEB128 integers, minimal and of fixed width.
//!
//! A fixed-width field can be rewritten without moving what follows: five bytes hold any 32-bit value (and any
//! signed 33-bit one), ten bytes any 64-bit value.

/// Bytes of a padded 32-bit field.
pub(crate) const WIDE32: usize = 5;
/// Bytes of a padded 64-bit field.
pub(crate) const WIDE64: usize = 10;

/// The lowest 35 bits of a value in a padded five-byte field: all bytes at once, since nearly all fields are such.
#[inline]
fn wide32(value: u64) -> [u8; WIDE32] {
    let low = (value & 0x7f)
        | (value & 0x7f << 7) << 1
        | (value & 0x7f << 14) << 2
        | (value & 0x7f << 21) << 3
        | 0x8080_8080;
    let [a, b, c, d] = (low as u32).to_le_bytes();
    [a, b, c, d, (value >> 28) as u8 & 0x7f]
}

/// Writes `value` as an unsigned LEB128 that fills all of `field`.
#[inline]
pub(crate) fn write_unsigned(field: &mut [u8], mut value: u64) {
    if let Ok(field) = <&mut [u8; WIDE32]>::try_from(&mut *field) {
        debug_assert!(value >> 35 == 0, "the value does not fit the field");
        *field = wide32(value);
        return;
    }
    let last = field.len() - 1;
    for byte in &mut field[..last] {
        *byte = (value as u8 & 0x7f) | 0x80;
        value >>= 7;
    }
    field[last] = value as u8 & 0x7f;
    debug_assert!(value < 0x80, "the value does not fit the field");
}

/// Writes `value` as a signed LEB128 that fills all of `field`.
#[inline]
pub(crate) fn write_signed(field: &mut [u8], mut value: i64) {
    if let Ok(field) = <&mut [u8; WIDE32]>::try_from(&mut *field) {
        debug_assert!(
            (-(1 << 34)..1 << 34).contains(&value),
            "the value does not fit the field"
        );
        *field = wide32(value as u64);
        return;
    }
    let last = field.len() - 1;
    for byte in &mut field[..last] {
        *byte = (value as u8 & 0x7f) | 0x80;
        value >>= 7;
    }
    field[last] = value as u8 & 0x7f;
    debug_assert!(
        (-64..64).contains(&value),
        "the value does not fit the field"
    );
}

/// Appends `value` in as few bytes as possible.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` as a signed LEB128 in as few bytes as possible.
pub(crate) fn push_signed(out: &mut Vec<u8>, mut value: i64) {
    while !(-64..64).contains(&value) {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 & 0x7f);
}

/// Appends `value` as a padded five-byte field.
pub(crate) fn push_wide32(out: &mut Vec<u8>, value: u32) {
    let start = out.len();
    out.resize(start + WIDE32, 0);
    write_unsigned(&mut out[start..], u64::from(value));
}

/// How many bytes [`push_unsigned`] takes for `value`.
pub(crate) fn unsigned_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Reads an unsigned LEB128 of at most ten bytes; returns the value and its length.
pub(crate) fn read_unsigned(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(WIDE64).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fixed_width_reads_back(unsigned: u32, signed: i32, wide: u64, wide_signed: i64) {
            let mut field = [0; WIDE32];
            write_unsigned(&mut field, u64::from(unsigned));
            prop_assert_eq!(read_unsigned(&field), Some((u64::from(unsigned), WIDE32)));
            write_signed(&mut field, i64::from(signed));
            prop_assert_eq!(wasmparser::BinaryReader::new(&field, 0).read_var_i32().unwrap(), signed);
            let mut field = [0; WIDE64];
            write_unsigned(&mut field, wide);
            prop_assert_eq!(read_unsigned(&field), Some((wide, WIDE64)));
            write_signed(&mut field, wide_signed);
            prop_assert_eq!(wasmparser::BinaryReader::new(&field, 0).read_var_i64().unwrap(), wide_signed);
        }

        #[test]
        fn minimal_signed_reads_back(value: i64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            push_signed(&mut out, value);
            prop_assert!(out.len() <= WIDE64);
            prop_assert_eq!(wasmparser::BinaryReader::new(&out, 0).read_var_i64().unwrap(), value);
        }

        #[test]
        fn minimal_reads_back(value: u64) {
            let mut out = Vec::new();
            push_unsigned(&mut out, value);
            prop_assert_eq!(out.len(), unsigned_len(value));
            prop_assert_eq!(read_unsigned(&out), Some((value, out.len())));
        }
    }
}
