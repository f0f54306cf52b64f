//! Reading forward through a part of an input, with offsets of the whole input.

use crate::error::{Error, Result};
use crate::object::span::Span;

/// A position in an input, and the end of the part that may be read.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    /// The input up to the end of the part.
    data: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `span`, which lies within `input`.
    pub(super) fn new(input: &'a [u8], span: Span) -> Cursor<'a> {
        let end = span.end().min(input.len());
        Cursor {
            data: &input[..end],
            at: (span.start as usize).min(end),
        }
    }

    /// Offset in the input of what is read next.
    pub(super) fn offset(&self) -> u32 {
        self.at as u32
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.data.len()
    }

    pub(super) fn remaining(&self) -> usize {
        self.data.len() - self.at
    }

    /// A capacity for `count` entries that the rest can really hold, each of at least `least` bytes.
    pub(super) fn capacity(&self, count: u32, least: usize) -> usize {
        (count as usize).min(self.remaining() / least)
    }

    #[inline(always)]
    pub(super) fn byte(&mut self) -> Result<u8> {
        match self.data.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(self.ends()),
        }
    }

    #[inline(always)]
    pub(super) fn u32(&mut self) -> Result<u32> {
        let byte = self.byte()?;
        if byte < 0x80 {
            return Ok(u32::from(byte));
        }
        let second = self.byte()?;
        if second < 0x80 {
            return Ok(u32::from(byte & 0x7f) | u32::from(second) << 7);
        }
        self.at -= 2;
        match self.up_to_four() {
            Some((value, _)) => Ok(value),
            None => Ok(self.unsigned(32)? as u32),
        }
    }

    /// Two numbers of up to four bytes each, without a branch for each byte; `None` if one is longer, or it is nearly at the end.
    #[inline(always)]
    pub(super) fn two_of_up_to_four(&mut self) -> Option<(u32, u32)> {
        let at = self.at;
        let first = self.up_to_four();
        let second = self.up_to_four();
        match (first, second) {
            (Some((first, _)), Some((second, _))) => Some((first, second)),
            _ => {
                self.at = at;
                None
            }
        }
    }

    /// The bits of a number of up to four bytes, and how many there are, without a branch for each; `None` if it is longer, or
    /// nearly at the end.
    #[inline(always)]
    fn up_to_four(&mut self) -> Option<(u32, u32)> {
        let word = u32::from_le_bytes(*self.data.get(self.at..)?.first_chunk()?);
        let ends = !word & 0x8080_8080;
        if ends == 0 {
            return None;
        }
        // Up to the highest bit of its last byte, which is not set.
        let own = word & (ends ^ (ends - 1));
        let len = ends.trailing_zeros() / 8 + 1;
        self.at += len as usize;
        let value = (own & 0x7f)
            | (own & 0x7f << 8) >> 1
            | (own & 0x7f << 16) >> 2
            | (own & 0x7f << 24) >> 3;
        Some((value, 7 * len))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.unsigned(64)
    }

    #[inline(always)]
    pub(super) fn i64(&mut self) -> Result<i64> {
        let byte = self.byte()?;
        if byte < 0x80 {
            return Ok(i64::from(((byte << 1) as i8) >> 1));
        }
        self.at -= 1;
        match self.up_to_four() {
            Some((value, bits)) => Ok(i64::from(value) << (64 - bits) >> (64 - bits)),
            None => self.signed(),
        }
    }

    fn unsigned(&mut self, bits: u32) -> Result<u64> {
        let start = self.at;
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift + 7 > bits && part >> (bits - shift) != 0 {
                return Err(self.malformed(start, "a number is too large"));
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            if shift >= bits {
                return Err(self.malformed(start, "a number is too long"));
            }
        }
    }

    fn signed(&mut self) -> Result<i64> {
        let start = self.at;
        let mut value = 0i64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            value |= i64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if shift < 64 && byte & 0x40 != 0 {
                    value |= -1 << shift;
                }
                return Ok(value);
            }
            if shift >= 64 {
                return Err(self.malformed(start, "a number is too long"));
            }
        }
    }

    /// The next `len` bytes.
    #[inline]
    pub(super) fn span(&mut self, len: u32) -> Result<Span> {
        if len as usize > self.remaining() {
            return Err(self.ends());
        }
        let span = Span {
            start: self.at as u32,
            len,
        };
        self.at += len as usize;
        Ok(span)
    }

    /// Bytes preceded by their number.
    #[inline]
    pub(super) fn sized(&mut self) -> Result<Span> {
        let len = self.u32()?;
        self.span(len)
    }

    /// A string preceded by its length.
    #[inline]
    pub(super) fn name(&mut self) -> Result<Span> {
        let span = self.sized()?;
        let name = &self.data[span.range()];
        match name.is_ascii() || std::str::from_utf8(name).is_ok() {
            true => Ok(span),
            false => Err(self.malformed(span.start as usize, "a name is not UTF-8")),
        }
    }

    /// A cursor over the next `len` bytes, which this one skips.
    pub(super) fn part(&mut self, len: u32) -> Result<Cursor<'a>> {
        let span = self.span(len)?;
        Ok(Cursor::new(self.data, span))
    }

    pub(super) fn skip(&mut self, len: u32) -> Result<()> {
        self.span(len).map(|_| ())
    }

    /// Checks that everything has been read.
    pub(super) fn finish(&self, what: &'static str) -> Result<()> {
        match self.is_at_end() {
            true => Ok(()),
            false => Err(
                Error::bad_input(format!("{what} is longer than its entries"))
                    .with_offset(self.at as u64),
            ),
        }
    }

    #[cold]
    fn ends(&self) -> Error {
        self.malformed(self.data.len(), "it ends too early")
    }

    /// An error at an offset of the input.
    #[cold]
    pub(super) fn malformed(&self, at: usize, what: &str) -> Error {
        Error::bad_input(format!("malformed: {what}")).with_offset(at as u64)
    }

    /// An error where the cursor stands.
    #[cold]
    pub(super) fn error(&self, what: &str) -> Error {
        self.malformed(self.at, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Cursor<'_> {
        Cursor::new(
            bytes,
            Span {
                start: 0,
                len: bytes.len() as u32,
            },
        )
    }

    proptest! {
        /// Numbers are read, and refused, as wasmparser does.
        #[test]
        fn numbers_agree_with_wasmparser(bytes in prop::collection::vec(prop_oneof![Just(0xffu8), Just(0x80), Just(0), Just(0x7f), any::<u8>()], 0..12)) {
            let theirs = || wasmparser::BinaryReader::new(&bytes, 0);
            prop_assert_eq!(whole(&bytes).u32().ok(), theirs().read_var_u32().ok());
            prop_assert_eq!(whole(&bytes).u64().ok(), theirs().read_var_u64().ok());
            if let Ok(value) = theirs().read_var_i64() {
                prop_assert_eq!(whole(&bytes).i64().ok(), Some(value));
            }
        }
    }
}
