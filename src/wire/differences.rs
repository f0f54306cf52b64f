//! Where two versions of some bytes differ, at the price of comparing them where they do not.

/// The places at which two runs of bytes differ, as far as both go.
pub(crate) struct Differences<'a> {
    old: &'a [u8],
    new: &'a [u8],
    at: usize,
}

impl<'a> Differences<'a> {
    pub(crate) fn new(old: &'a [u8], new: &'a [u8]) -> Differences<'a> {
        let common = old.len().min(new.len());
        Differences {
            old: &old[..common],
            new: &new[..common],
            at: 0,
        }
    }

    /// Goes on from a place.
    pub(crate) fn skip_to(&mut self, at: usize) {
        self.at = at.min(self.old.len());
    }

    /// The first place from here on; the next one is looked for behind it.
    pub(crate) fn next(&mut self) -> Option<usize> {
        const BLOCK: usize = 64;
        let (old, new) = (&self.old[self.at..], &self.new[self.at..]);
        let blocks = old
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .zip(new.as_chunks::<BLOCK>().0);
        let same = blocks.take_while(|(old, new)| old == new).count() * BLOCK;
        let rest = old[same..].iter().zip(&new[same..]);
        let within = rest.take(BLOCK).position(|(old, new)| old != new);
        let found = within.map(|within| self.at + same + within);
        self.at = found.map_or(self.old.len(), |found| found + 1);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_differences_are_found(
            old in prop::collection::vec(0..2u8, 0..300),
            changes in prop::collection::vec((0..300usize, 0..2u8), 0..6),
            longer in 0..9usize,
            skips in prop::collection::vec(0..100usize, 0..4),
        ) {
            let mut new = old.clone();
            new.resize(old.len() + longer, 7);
            for (at, by) in changes.iter().filter(|(at, _)| *at < old.len()) {
                new[*at] ^= by;
            }
            let mut differences = Differences::new(&old, &new);
            let mut skips = skips.into_iter();
            let mut from = 0;
            loop {
                let expected = (from.min(old.len())..old.len()).find(|at| old[*at] != new[*at]);
                let found = differences.next();
                prop_assert_eq!(found, expected);
                let Some(found) = found else { break };
                from = found + 1;
                if let Some(skip) = skips.next() {
                    from += skip;
                    differences.skip_to(from);
                }
            }
        }
    }
}
