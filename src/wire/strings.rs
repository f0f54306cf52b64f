//! Strings one behind the other, each of which ends in a zero: where they begin. And strings that end in the same way, which
//! can stand in one place: which string each of many can be found in.

use std::cmp::Ordering;
use std::ffi::CStr;
use std::ops::Range;

use rayon::prelude::*;

use crate::parallel::{region, sorting, task};

/// Bytes of which it is known in which string they begin.
const BLOCK: usize = 32;

/// Where each of many strings begins, and which one a byte is of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Starts {
    /// And behind them the end of the last one.
    starts: Box<[u32]>,
    /// By block: the string of its first byte.
    blocks: Box<[u32]>,
}

impl Starts {
    /// Of the strings of these bytes, of which the last must be a zero if there are any.
    pub(crate) fn of(bytes: &[u8]) -> Starts {
        let mut starts = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            starts.push(at as u32);
            at += len_of_first(&bytes[at..]);
        }
        Starts::new(starts, bytes.len() as u32)
    }

    /// Of strings of so many bytes that begin here, the first of them at 0.
    pub(crate) fn new(mut starts: Vec<u32>, len: u32) -> Starts {
        starts.push(len);
        let mut blocks = Vec::with_capacity((len as usize).div_ceil(BLOCK));
        for (string, end) in starts.iter().skip(1).enumerate() {
            while blocks.len() * BLOCK < *end as usize {
                blocks.push(string as u32);
            }
        }
        Starts {
            starts: starts.into(),
            blocks: blocks.into(),
        }
    }

    /// How many strings there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The bytes of them all.
    pub(crate) fn len(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Where a string begins.
    pub(crate) fn start(&self, string: usize) -> u32 {
        self.starts[string]
    }

    /// The bytes of a string, with the zero that ends it.
    pub(crate) fn range(&self, string: usize) -> Range<usize> {
        self.starts[string] as usize..self.starts[string + 1] as usize
    }

    /// The ranges of all strings, in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.count()).map(|string| self.range(string))
    }

    /// Which string a byte is of; it must be one of theirs.
    #[inline]
    pub(crate) fn containing(&self, offset: u32) -> usize {
        let first = self.blocks[offset as usize / BLOCK] as usize;
        let behind = self.starts[first + 1..].iter();
        first + behind.take_while(|start| **start <= offset).count()
    }
}

/// How many bytes the first string takes with the zero that ends it; all, if nothing does.
pub(crate) fn len_of_first(bytes: &[u8]) -> usize {
    let first = CStr::from_bytes_until_nul(bytes);
    first.map_or(bytes.len(), |first| first.count_bytes() + 1)
}

/// The last bytes of a string, the very last first, with zeros behind them if there are fewer.
fn last_bytes(string: &[u8]) -> u64 {
    match string.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => {
            let mut last = [0; 8];
            last[8 - string.len()..].copy_from_slice(string);
            u64::from_le_bytes(last)
        }
    }
}

/// Compares strings backwards.
fn compare_ends(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while let (Some((front, last)), Some((other, theirs))) =
        (left.split_last_chunk::<8>(), right.split_last_chunk::<8>())
    {
        if last != theirs {
            return u64::from_le_bytes(*last).cmp(&u64::from_le_bytes(*theirs));
        }
        (left, right) = (front, other);
    }
    left.iter().rev().cmp(right.iter().rev())
}

/// For each of `strings`, one of them that ends with it and that nothing longer ends with, and where in that it begins. Of
/// equal strings the first stands for all. Depends on the strings and their order only.
pub(crate) fn hosts(strings: &[&[u8]]) -> Vec<(u32, u32)> {
    // Of all strings of a section the last byte is the same. The bytes before it tell most of them apart.
    let known = |string: &[u8]| last_bytes(&string[..string.len().saturating_sub(1)]);
    let mut order: Vec<(u64, u32)> = (0..strings.len() as u32).map(|at| (0, at)).collect();
    let note = |run: &mut [(u64, u32)]| {
        for (last, number) in run {
            *last = known(strings[*number as usize]);
        }
    };
    region(|| order.par_chunks_mut(RUN).for_each(|run| task(|| note(run))));
    // Backwards and downwards: behind each string come those that it ends with.
    let compare = |a: &(u64, u32), b: &(u64, u32)| {
        let whole = || compare_ends(strings[b.1 as usize], strings[a.1 as usize]);
        b.0.cmp(&a.0).then_with(whole).then(a.1.cmp(&b.1))
    };
    let all_end_alike = strings.iter().all(|string| string.last() == Some(&0));
    sorting(strings.len(), || match all_end_alike {
        true => order.par_sort_unstable_by(compare),
        false => order.par_sort_unstable_by(|a, b| compare(&(0, a.1), &(0, b.1))),
    });
    let mut hosts = vec![(0, 0); strings.len()];
    let mut host = None;
    for (_, at) in order {
        let string = strings[at as usize];
        let found = host.filter(|host| strings[*host as usize].ends_with(string));
        let found = *host.insert(found.unwrap_or(at));
        let start = strings[found as usize].len() - string.len();
        hosts[at as usize] = (found, start as u32);
    }
    hosts
}

/// Strings that one thread looks at at a time.
const RUN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ends_are_compared_as_reversed_strings_are(
            left in prop::collection::vec(0u8..3, 0..20),
            right in prop::collection::vec(0u8..3, 0..20),
            end in prop::collection::vec(0u8..3, 0..20),
        ) {
            for end in [&end[..], &[]] {
                let (left, right) = ([&left, end].concat(), [&right, end].concat());
                let expected = left.iter().rev().cmp(right.iter().rev());
                prop_assert_eq!(compare_ends(&left, &right), expected);
                let known = last_bytes(&left).cmp(&last_bytes(&right));
                prop_assert!(known.is_eq() || known == expected);
            }
        }

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
        fn every_string_is_in_its_host(
            strings in prop::collection::vec("[ab]{0,4}|[ab]{7,18}", 0..40),
            end in prop::option::of(Just(0)),
        ) {
            let bytes = |string: &String| [string.as_bytes(), end.as_slice()].concat();
            let strings: Vec<Vec<u8>> = strings.iter().map(bytes).collect();
            let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
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
