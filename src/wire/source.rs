//! What contents of declarations are parts of: inputs, most of which are files. What one holds may not be at hand any more; it may
//! still be known then whether other bytes are the same.

use std::ops::Range;

/// Something that parts of are contents of declarations. Whatever is bytes is one.
pub trait Source: Send + Sync {
    /// A part of it; `None` if it is not at hand any more, because the file has changed since.
    fn part(&self, start: u32, len: u32) -> Option<&[u8]>;

    /// Whether a part of it can be had.
    fn has(&self, start: u32, len: u32) -> bool {
        let _ = (start, len);
        true
    }

    /// Ends whatever needs a part that is not at hand.
    #[cold]
    fn refuse(&self) -> ! {
        panic!("contents that are needed are not at hand");
    }

    /// The hashes of a part, block by block, without so many fields of it that mean nothing; if they are known.
    fn hashes(&self, start: u32, len: u32, fields: usize) -> Option<&[[u64; 2]]> {
        let _ = (start, len, fields);
        None
    }

    /// Whether these bytes are those of a part that is not at hand, but for fields of them. If that is not known, they are not.
    fn had(&self, start: u32, later: &mut Later<'_>) -> bool {
        let _ = (start, later);
        false
    }

    /// Where a part that is not at hand may differ from these bytes but for fields of them, as far as both go.
    fn differences(&self, (start, len): (u32, u32), later: &mut Later<'_>) -> Vec<Range<usize>> {
        let _ = start;
        anywhere(later.bytes, len)
    }
}

/// Bytes that a part is compared with which is not at hand.
pub struct Later<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// The fields of them that mean nothing, in order.
    pub fields: &'a mut dyn Iterator<Item = Range<usize>>,
    /// Their hashes without these fields, as the part has them that they are compared with, if somebody has made them.
    pub hashes: Option<&'a [[u64; 2]]>,
}

impl<T: AsRef<[u8]> + Send + Sync + ?Sized> Source for T {
    fn part(&self, start: u32, len: u32) -> Option<&[u8]> {
        Some(&self.as_ref()[start as usize..][..len as usize])
    }
}

/// The differences of a part of which nothing is known: they may be anywhere.
pub(crate) fn anywhere(bytes: &[u8], len: u32) -> Vec<Range<usize>> {
    std::iter::once(0..bytes.len().min(len as usize)).collect()
}
