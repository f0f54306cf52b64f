//! Numbers of entries as short as they can be, where a front end has made them wide.

use crate::wire::filler::END;
use crate::wire::leb::{push_signed, push_unsigned, read_unsigned};

/// Where an import's limits begin, if it has any and a type of one byte.
pub(super) fn limits_of_import(bytes: &[u8]) -> Option<usize> {
    let skip = |at: usize| {
        let (len, width) = read_unsigned(bytes.get(at..)?)?;
        Some(at + width + usize::try_from(len).ok()?)
    };
    let kind = skip(skip(0)?)?;
    match bytes.get(kind..kind + 2)? {
        [1, 0x68..=0x74] => Some(kind + 2),
        [2, _] => Some(kind + 1),
        _ => None,
    }
}

/// Limits with short numbers; `None` if there is something behind them.
pub(super) fn short_limits(bytes: &[u8]) -> Option<Vec<u8>> {
    let flags = *bytes.first()?;
    // A maximum, and the size of pages.
    let numbers = 1 + (flags & 1) + (flags >> 3 & 1);
    let mut out = vec![flags];
    let mut at = 1;
    for _ in 0..numbers {
        let (value, len) = read_unsigned(bytes.get(at..)?)?;
        push_unsigned(&mut out, value);
        at += len;
    }
    (at == bytes.len()).then_some(out)
}

/// A constant expression of one integer, made short.
pub(super) fn short_constant(bytes: &[u8]) -> Option<Vec<u8>> {
    let (code, digits) = match bytes {
        [code @ (0x41 | 0x42), digits @ .., END] => (*code, digits),
        _ => return None,
    };
    let (last, rest) = digits.split_last()?;
    if last & 0x80 != 0 || rest.iter().any(|byte| byte & 0x80 == 0) || digits.len() > 10 {
        return None;
    }
    let mut value = 0i64;
    let mut shift = 0;
    for byte in digits {
        value |= i64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    if shift < 64 && last & 0x40 != 0 {
        value |= -1 << shift;
    }
    let mut out = vec![code];
    push_signed(&mut out, value);
    out.push(END);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn constants_keep_their_value(value: i64, shift in 0u32..64, is_wide: bool) {
            let value = value >> shift;
            let width = if is_wide { 10 } else { 5 };
            prop_assume!(is_wide || i32::try_from(value).is_ok());
            let mut bytes = vec![if is_wide { 0x42 } else { 0x41 }];
            bytes.resize(1 + width, 0);
            crate::wire::leb::write_signed(&mut bytes[1..], value);
            bytes.push(END);
            let short = short_constant(&bytes).unwrap();
            let mut expected = vec![bytes[0]];
            push_signed(&mut expected, value);
            expected.push(END);
            prop_assert_eq!(short, expected);
        }

        #[test]
        fn limits_keep_their_values(minimum: u32, maximum: Option<u32>) {
            let mut bytes = vec![u8::from(maximum.is_some())];
            let mut expected = bytes.clone();
            for value in [Some(minimum), maximum].into_iter().flatten() {
                crate::wire::leb::push_wide32(&mut bytes, value);
                push_unsigned(&mut expected, value.into());
            }
            prop_assert_eq!(short_limits(&bytes), Some(expected));
            bytes.push(0);
            prop_assert_eq!(short_limits(&bytes), None);
        }
    }
}
