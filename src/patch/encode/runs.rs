//! Items that stand one behind the other, written by all threads.

use rayon::prelude::*;

use crate::parallel::{region, task};

/// Items that one thread writes at a time.
const RUN: usize = 2048;

/// Has each item written to the bytes from where it begins, `start`, to where the next one does: the items are in that order.
pub(super) fn write_in_runs<T: Sync>(
    items: &[T],
    out: &mut [u8],
    start: impl Fn(&T) -> usize + Sync,
    write: impl Fn(&T, &mut [u8]) + Sync,
) {
    let mut parts = Vec::with_capacity(items.len().div_ceil(RUN));
    let (mut rest, mut at) = (out, 0);
    for run in items.chunks(RUN) {
        let begin = start(&run[0]);
        let (before, behind) = std::mem::take(&mut rest).split_at_mut(begin - at);
        // What stands before the first of a run belongs to the last of the run before.
        if let Some((_, _, part)) = parts.last_mut() {
            *part = before;
        }
        parts.push((run, begin, &mut [][..]));
        (rest, at) = (behind, begin);
    }
    if let Some((_, _, part)) = parts.last_mut() {
        *part = rest;
    }
    let write_run = |(run, begin, mut part): (&[T], usize, &mut [u8])| {
        let mut at = begin;
        for (number, item) in run.iter().enumerate() {
            let end = run.get(number + 1).map_or(at + part.len(), &start);
            let (own, behind) = std::mem::take(&mut part).split_at_mut(end - at);
            write(item, own);
            (part, at) = (behind, end);
        }
    };
    // A patch of few bytes starts no threads.
    if parts.len() <= 1 {
        return parts.into_iter().for_each(write_run);
    }
    let parts = parts.into_par_iter();
    region(|| parts.for_each(|part| task(|| write_run(part))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_gets_its_bytes() {
        for count in [0, 1, RUN - 1, RUN, RUN + 1, 3 * RUN + 7] {
            let lens: Vec<usize> = (0..count).map(|at| at % 5).collect();
            let mut starts = Vec::new();
            let mut at = 3;
            for len in &lens {
                starts.push((at, *len));
                at += len;
            }
            let mut out = vec![0; at + 2];
            write_in_runs(
                &starts,
                &mut out,
                |(at, _)| *at,
                |(at, len), own| {
                    own[..*len].fill(1 + (*at % 200) as u8);
                },
            );
            let mut expected = vec![0; at + 2];
            for (at, len) in starts {
                expected[at..at + len].fill(1 + (at % 200) as u8);
            }
            assert_eq!(out, expected);
        }
    }
}
