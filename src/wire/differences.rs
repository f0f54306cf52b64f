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
        let blocks = self.old[self.at..]
            .chunks(BLOCK)
            .zip(self.new[self.at..].chunks(BLOCK));
        let same = blocks.take_while(|(old, new)| old == new).count();
        let start = (self.at + same * BLOCK).min(self.old.len());
        let rest = self.old[start..].iter().zip(&self.new[start..]);
        let within = rest.take(BLOCK).position(|(old, new)| old != new);
        self.at = match within {
            Some(within) => start + within + 1,
            None => self.old.len(),
        };
        within.map(|within| start + within)
    }
}
