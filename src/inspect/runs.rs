//! How far two memories agree from an address of each on: bytes are equal, or words that differ name the same thing. This
//! knows neither what names the addresses nor what follows from it.

use smallvec::SmallVec;

use crate::inspect::cuts::{Covered, Cuts};
use crate::inspect::image::{Anchor, Image};

/// Two memories.
pub(super) struct Images<'a> {
    pub(super) a: Image<'a>,
    pub(super) b: Image<'a>,
    /// Whether a zero behind a text may belong to it.
    pub(super) ends_texts: bool,
}

/// What two numbers are as slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slots {
    /// No slots.
    None,
    /// Those of functions that can be the same.
    Same,
    /// Those of other functions.
    Others,
}

/// What is known while bytes are compared.
pub(super) struct Known<'a> {
    pub(super) cuts: &'a Cuts,
    /// What numbers are as slots.
    pub(super) slots: &'a dyn Fn(Anchor) -> Slots,
    /// Whether numbers are known to be addresses of the same data.
    pub(super) is_anchor: &'a dyn Fn(Anchor) -> bool,
}

/// What two words that differ are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Slot,
    Address,
    /// Both could be a slot or an address, but nothing says that they are of the same thing. What is around them agrees.
    Doubt,
}

/// Two words that differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// Where they stand.
    pub(super) at: Anchor,
    pub(super) numbers: Anchor,
    pub(super) meaning: Meaning,
}

/// Bytes that agree from an anchor on.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// How many there are up to the first that differs, or to where other data begins.
    pub(super) len: u64,
    /// Whether they are ended by bytes that differ.
    pub(super) differs: bool,
    pub(super) has_bytes: bool,
    /// Of a run back, how far the last word is that names something.
    pub(super) solid: u64,
    /// How far from the anchor there are words in doubt.
    doubts: SmallVec<[u64; 2]>,
}

impl Run {
    /// Notes that its bytes were met, from these addresses on, but for what is in doubt.
    pub(super) fn cover(&self, from: Anchor, word: u64, of_a: &mut Covered, of_b: &mut Covered) {
        let mut at = 0;
        for doubt in self.doubts.iter().copied().chain([self.len]) {
            of_a.add(from.0 + at, doubt - at);
            of_b.add(from.1 + at, doubt - at);
            at = (doubt + word).min(self.len);
        }
    }
}

/// How many words are followed to see whether two words can be addresses of the same data.
const MOST_LINKS: u32 = 4;

impl Images<'_> {
    /// Whether two numbers can be addresses.
    pub(super) fn are_addresses(&self, (a, b): Anchor) -> bool {
        self.a.is_address(a) && self.b.is_address(b)
    }

    /// Compares what stands behind an anchor. `each` is told the words that differ and can be taken for something.
    pub(super) fn run(
        &self,
        (a, b): Anchor,
        known: &Known<'_>,
        each: &mut dyn FnMut(Words),
    ) -> Run {
        let end = (self.a.end().saturating_sub(a)).max(self.b.end().saturating_sub(b));
        let most = known.cuts.most(a, b).min(end);
        let mut run = Run::default();
        while run.len < most {
            let at = (a + run.len, b + run.len);
            let equal = self.equal(at, most - run.len);
            if let Some((len, has_bytes)) = equal {
                run.has_bytes |= has_bytes;
                run.len += len;
                continue;
            }
            let Some((back, numbers)) = self.words(at).filter(|(back, _)| *back <= run.len) else {
                run.differs = true;
                return run;
            };
            let at = (at.0 - back, at.1 - back);
            let Some(meaning) = self.meaning(at, numbers, run.len - back, known, run.has_bytes)
            else {
                run.differs = true;
                return run;
            };
            each(Words {
                at,
                numbers,
                meaning,
            });
            if meaning == Meaning::Doubt {
                run.doubts.push(run.len - back);
            }
            run.has_bytes = true;
            run.len += self.a.word - back;
        }
        run.len = run.len.min(most);
        run.doubts.retain(|doubt| *doubt < run.len);
        run
    }

    /// How many bytes are equal from here on, and whether some are not zero; `None` if the first two differ.
    fn equal(&self, (a, b): Anchor, most: u64) -> Option<(u64, bool)> {
        let (of_a, of_b) = (self.a.bytes(a), self.b.bytes(b));
        if of_a.is_empty() || of_b.is_empty() {
            let (byte_a, byte_b) = (self.a.byte(a), self.b.byte(b));
            return (byte_a == byte_b).then_some((1, byte_a != 0));
        }
        let pairs = of_a.iter().zip(of_b).take(most as usize);
        let len = pairs.take_while(|(a, b)| a == b).count();
        (len > 0).then(|| (len as u64, of_a[..len].iter().any(|byte| *byte != 0)))
    }

    /// The words around two bytes that differ, and how far before the bytes they begin.
    fn words(&self, (a, b): Anchor) -> Option<(u64, Anchor)> {
        let back = a % self.a.word;
        let words = || (self.a.word(a - back), self.b.word(b - back));
        (b % self.a.word == back).then(|| (back, words()))
    }

    /// What two words that differ are taken for, behind so many bytes that agree.
    fn meaning(
        &self,
        at: Anchor,
        numbers: Anchor,
        behind: u64,
        known: &Known<'_>,
        has_bytes: bool,
    ) -> Option<Meaning> {
        let (slots, are_addresses) = ((known.slots)(numbers), self.are_addresses(numbers));
        if slots == Slots::Same {
            return Some(Meaning::Slot);
        }
        if are_addresses
            && ((known.is_anchor)(numbers) || self.agree(numbers, known, 1, MOST_LINKS))
        {
            return Some(Meaning::Address);
        }
        if !are_addresses && slots == Slots::None {
            return None;
        }
        let word = self.a.word;
        let is_behind = has_bytes && behind >= word;
        let goes_on = || self.goes_on((at.0 + word, at.1 + word), known);
        // An address of slots is the address of a table of them.
        let is_table = behind == 0 && !are_addresses;
        (is_behind || is_table || goes_on()).then_some(Meaning::Doubt)
    }

    /// Whether data begins at two addresses, and not only zeros before something else are the same.
    pub(super) fn begins(&self, at: Anchor, known: &Known<'_>) -> bool {
        match self.equal(at, self.a.word) {
            Some((len, has_bytes)) if len == self.a.word || has_bytes => true,
            Some(_) => self.leads_on(at, known, 1, MOST_LINKS),
            None => self.agree(at, known, 1, MOST_LINKS),
        }
    }

    /// Whether something at two addresses is the same: what begins there, of which `least` bytes must be equal, or what is
    /// before.
    fn agree(&self, at: Anchor, known: &Known<'_>, least: u64, links: u32) -> bool {
        let equal = self.equal(at, least);
        if equal.is_some_and(|(len, has_bytes)| len == least && (has_bytes || least == 1)) {
            return true;
        }
        self.leads_on(at, known, least, links) || {
            let word = self.a.word;
            let before = (at.0.wrapping_sub(word), at.1.wrapping_sub(word));
            let equal = self.equal(before, word);
            equal.is_some_and(|(len, has_bytes)| len == word && has_bytes)
        }
    }

    /// Whether two words that differ stand at two addresses and name something that is the same.
    fn leads_on(&self, at: Anchor, known: &Known<'_>, least: u64, links: u32) -> bool {
        self.words(at).is_some_and(|(back, numbers)| {
            let is_known = || links == 0 || (known.is_anchor)(numbers);
            back == 0
                && numbers.0 != numbers.1
                && ((known.slots)(numbers) == Slots::Same
                    || self.are_addresses(numbers)
                        && (is_known() || self.agree(numbers, known, least, links - 1)))
        })
    }

    /// Whether what stands behind two words agrees.
    fn goes_on(&self, at: Anchor, known: &Known<'_>) -> bool {
        if known.cuts.has(at) {
            return true;
        }
        match self.equal(at, self.a.word) {
            Some((len, has_bytes)) => len == self.a.word && has_bytes,
            None => self.words(at).is_some_and(|(_, numbers)| {
                (known.slots)(numbers) == Slots::Same
                    || self.are_addresses(numbers) && self.agree(numbers, known, 1, MOST_LINKS)
            }),
        }
    }

    /// Whether two words at an anchor are equal, or what they name is.
    pub(super) fn begin_alike(&self, (a, b): Anchor, known: &Known<'_>) -> bool {
        let word = self.a.word;
        let mut both = [(a, b), (a + word, b + word)].into_iter();
        both.all(|at| match self.equal(at, word) {
            Some((len, has_bytes)) if len == word => has_bytes,
            _ => self.words(at).is_some_and(|(back, numbers)| {
                back == 0 && self.meaning_before(numbers, known).is_some()
            }),
        })
    }

    /// Compares what stands before an anchor, back to where other data begins. `each` is told the words that differ and can be
    /// taken for something.
    pub(super) fn run_back(
        &self,
        (a, b): Anchor,
        known: &Known<'_>,
        each: &mut dyn FnMut(Words),
    ) -> Run {
        // Behind the data of both sides, and before it, there are zeros, however large memories are.
        let data = a.saturating_sub(self.a.start());
        let data = data.max(b.saturating_sub(self.b.start()));
        let most = known.cuts.most_before(a, b).min(data);
        let behind = a.saturating_sub(self.a.end());
        let behind = behind.min(b.saturating_sub(self.b.end()));
        let mut run = Run {
            len: behind.min(most),
            ..Run::default()
        };
        while run.len < most {
            let at = (a - run.len - 1, b - run.len - 1);
            let (byte_a, byte_b) = (self.a.byte(at.0), self.b.byte(at.1));
            if byte_a == byte_b {
                run.has_bytes |= byte_a != 0;
                run.len += 1;
                continue;
            }
            let words = self.words(at).filter(|(back, _)| run.len + back < most);
            let found = words.and_then(|(back, numbers)| {
                Some((back, numbers, self.meaning_before(numbers, known)?))
            });
            let Some((back, numbers, meaning)) = found else {
                run.differs = true;
                return run;
            };
            each(Words {
                at: (at.0 - back, at.1 - back),
                numbers,
                meaning,
            });
            run.len += 1 + back;
            (run.has_bytes, run.solid) = (true, run.len);
        }
        run
    }

    /// What two words before an anchor are taken for: other data can stand there, so more must speak for it.
    fn meaning_before(&self, numbers: Anchor, known: &Known<'_>) -> Option<Meaning> {
        if (known.slots)(numbers) == Slots::Same {
            return Some(Meaning::Slot);
        }
        let is_address = self.are_addresses(numbers)
            && ((known.is_anchor)(numbers) || self.agree(numbers, known, self.a.word, MOST_LINKS));
        is_address.then_some(Meaning::Address)
    }
}
