//! Strings one behind the other, each of which ends in a zero: where they begin. And strings that end in the same way, which
//! can stand in one place: which string each of many can be found in.

use std::ops::Range;

use rayon::prelude::*;

/// Bytes whose zeros stand in one word.
const BLOCK: usize = 64;

/// Where each of many strings begins, and which one a byte is of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Starts {
    starts: Box<[u32]>,
    /// By block: which of its bytes are zeros, and how many zeros stand before it.
    zeros: Box<[(u64, u32)]>,
    len: u32,
}

impl Starts {
    /// Of the strings of these bytes, of which the last must be a zero if there are any.
    pub(crate) fn of(bytes: &[u8]) -> Starts {
        debug_assert!(bytes.last().is_none_or(|last| *last == 0));
        let mut zeros = Vec::with_capacity(bytes.len().div_ceil(BLOCK));
        let mut before = 0;
        let mut push = |mask: u64| {
            zeros.push((mask, before));
            before += mask.count_ones();
        };
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        blocks.iter().for_each(|block| push(zeros_of(block)));
        if !rest.is_empty() {
            let mut block = [1; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            push(zeros_of(&block));
        }
        let mut starts = Vec::with_capacity(before as usize);
        let mut start = 0;
        for (at, (mask, _)) in zeros.iter().enumerate() {
            let mut mask = *mask;
            while mask != 0 {
                starts.push(start);
                start = (at * BLOCK) as u32 + mask.trailing_zeros() + 1;
                mask &= mask - 1;
            }
        }
        Starts {
            starts: starts.into(),
            zeros: zeros.into(),
            len: bytes.len() as u32,
        }
    }

    /// How many strings there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The bytes of them all.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Where a string begins.
    pub(crate) fn start(&self, string: usize) -> u32 {
        self.starts[string]
    }

    /// The bytes of a string, with the zero that ends it.
    pub(crate) fn range(&self, string: usize) -> Range<usize> {
        let end = self.starts.get(string + 1).copied().unwrap_or(self.len);
        self.starts[string] as usize..end as usize
    }

    /// The ranges of all strings, in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.count()).map(|string| self.range(string))
    }

    /// Which string a byte is of; it must be one of theirs.
    pub(crate) fn containing(&self, offset: u32) -> usize {
        let (mask, before) = self.zeros[offset as usize / BLOCK];
        let earlier = mask & ((1 << (offset as usize % BLOCK)) - 1);
        (before + earlier.count_ones()) as usize
    }
}

/// Which bytes of a block are zeros.
fn zeros_of(block: &[u8; BLOCK]) -> u64 {
    let is_zero = block.map(|byte| u8::from(byte == 0));
    let (words, _) = is_zero.as_chunks::<8>();
    // Multiplied by this, the lowest bits of eight bytes stand in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let words = words.iter().enumerate();
    words.fold(0, |mask, (at, word)| {
        let bits = u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56;
        mask | bits << (8 * at)
    })
}

/// For each of `strings`, one of them that ends with it and that nothing longer ends with, and where in that it begins. Of
/// equal strings the first stands for all. Depends on the strings and their order only.
pub(crate) fn hosts(strings: &[&[u8]]) -> Vec<(u32, u32)> {
    let mut order: Vec<u32> = (0..strings.len() as u32).collect();
    // Backwards and downwards: behind each string come those that it ends with.
    order.par_sort_unstable_by(|a, b| {
        let (left, right) = (strings[*a as usize], strings[*b as usize]);
        right.iter().rev().cmp(left.iter().rev()).then(a.cmp(b))
    });
    let mut hosts = vec![(0, 0); strings.len()];
    let mut host = None;
    for at in order {
        let string = strings[at as usize];
        let found = host.filter(|host| strings[*host as usize].ends_with(string));
        let found = *host.insert(found.unwrap_or(at));
        let start = strings[found as usize].len() - string.len();
        hosts[at as usize] = (found, start as u32);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_is_of_the_string_that_it_stands_in(
            strings in prop::collection::vec(prop::collection::vec(1u8.., 0..150), 0..40),
        ) {
            let bytes: Vec<u8> = strings.iter().flat_map(|string| [string, &[0][..]].concat()).collect();
            let starts = Starts::of(&bytes);
            prop_assert_eq!(starts.count(), strings.len());
            prop_assert_eq!(starts.len() as usize, bytes.len());
            for (at, (string, range)) in strings.iter().zip(starts.ranges()).enumerate() {
                prop_assert_eq!(starts.start(at) as usize, range.start);
                prop_assert_eq!(&bytes[range.start..range.end - 1], &string[..]);
                prop_assert!(range.into_iter().all(|byte| starts.containing(byte as u32) == at));
            }
        }

        #[test]
        fn every_string_is_in_its_host(strings in prop::collection::vec("[ab]{0,4}", 0..40)) {
            let strings: Vec<&[u8]> = strings.iter().map(|string| string.as_bytes()).collect();
            let hosts = hosts(&strings);
            for (string, (host, start)) in strings.iter().zip(&hosts) {
                prop_assert_eq!(&strings[*host as usize][*start as usize..], *string);
                // A host is its own, and no other is needed where one would do.
                prop_assert_eq!(hosts[*host as usize], (*host, 0));
            }
            for (at, a) in strings.iter().enumerate().filter(|(at, _)| hosts[*at] == (*at as u32, 0)) {
                let others = strings.iter().enumerate().filter(|(other, _)| *other != at);
                for (other, b) in others.filter(|(other, _)| hosts[*other] == (*other as u32, 0)) {
                    prop_assert!(!b.ends_with(a), "{at} is in {other}");
                }
            }
        }
    }
}
