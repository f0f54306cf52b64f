//! What of data is written into a memory that a program uses: all of it, or what differs between two versions, as whole
//! values, so that none is ever half old and half new.

use std::ops::Range;

use crate::program::DeclId;

/// Bytes for a running memory.
#[derive(Debug, Clone)]
pub(super) struct DataWrite {
    pub(super) memory: DeclId,
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
    /// So many zeros behind them.
    pub(super) zeros: u64,
    pub(super) condition: Condition,
    /// What the data is called.
    pub(super) symbol: String,
}

/// On what a write depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// On nothing.
    Always,
    /// It is done where memory has this hash, and else what is there stays.
    Where(u64),
    /// Memory must have this hash, or nothing of the delta is done.
    Requires(u64),
}

/// The ranges in which two versions of some data differ, widened to whole values. No value is wider than the data is aligned.
pub(super) fn differences(old: &[u8], new: &[u8], align_log2: u8) -> Vec<Range<usize>> {
    let width = 1usize << align_log2.min(3);
    let len = old.len().min(new.len());
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < len {
        let end = (at + width).min(len);
        if old[at..end] != new[at..end] {
            match ranges.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => ranges.push(at..end),
            }
        }
        at = end;
    }
    ranges
}

/// The first and the last byte that differ, as a range; both are of one length.
pub(super) fn difference(old: &[u8], new: &[u8]) -> Option<Range<usize>> {
    let differs = |(old, new): (&u8, &u8)| old != new;
    let first = old.iter().zip(new).position(differs)?;
    let last = old.iter().zip(new).rposition(differs)?;
    Some(first..last + 1)
}

/// The hash that a delta makes of memory: FNV-1a with 64 bits.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(HASH_START, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(HASH_FACTOR)
    })
}

/// What the hash begins with.
pub(super) const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
/// What it is multiplied with for each byte.
pub(super) const HASH_FACTOR: u64 = 0x0100_0000_01b3;
