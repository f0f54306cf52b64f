//! Whether data that stands at other addresses in two files is the same data.
//!
//! Files do not say where data begins and ends, nor which numbers in code are addresses. Numbers that stand at the same place
//! of the same function, and differ, are taken for addresses of the same data ([`Anchor`]). From there on the bytes must
//! agree; where a word does not, both words must be addresses, or functions' slots, in their turn. In the end all of the
//! build's bytes must have been met on this way. What is not proved so is a [`Finding`]; this file knows no declarations but
//! to pass them on.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::HashMap;

/// A declaration: its index space and its index.
pub(super) type Node = (usize, u32);

/// The bytes that a module puts into its memory when it begins.
#[derive(Debug, Default)]
pub(super) struct Image<'a> {
    /// Start and bytes of each segment, in the order of addresses.
    pub(super) parts: Vec<(u64, &'a [u8])>,
    /// Bytes of an address.
    pub(super) word: u64,
    /// Bytes of the memory at the beginning.
    pub(super) memory: u64,
}

impl Image<'_> {
    pub(super) fn byte(&self, at: u64) -> u8 {
        let behind = self.parts.partition_point(|(start, _)| *start <= at);
        let Some((start, bytes)) = behind.checked_sub(1).map(|part| self.parts[part]) else {
            return 0;
        };
        bytes.get((at - start) as usize).copied().unwrap_or(0)
    }

    fn word(&self, at: u64) -> u64 {
        (0..self.word).fold(0, |word, byte| {
            word | u64::from(self.byte(at + byte)) << (8 * byte)
        })
    }

    /// The address behind the last byte.
    fn end(&self) -> u64 {
        let last = self.parts.last();
        last.map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }

    /// Whether a number can be the address of data, or of what is behind it.
    pub(super) fn is_address(&self, number: u64) -> bool {
        /// Below this linkers place nothing unless they are told to.
        const LOWEST: u64 = 1024;
        let lowest = self.parts.first().map_or(LOWEST, |(start, _)| *start);
        (lowest.min(LOWEST)..=self.memory).contains(&number)
    }
}

/// An address of each side, of the same data.
pub(super) type Anchor = (u64, u64);

/// Where an anchor was found, and how much speaks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// A declaration of the build that names it.
    pub(super) named_by: Node,
    /// How often it was found. An offset of a load or store counts more than a constant, which need be no address.
    pub(super) weight: u32,
}

/// Something that is not the same on both sides, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Bytes that differ, at these addresses.
    Bytes { at: Anchor, named_by: Node },
    /// Bytes of the build that are nowhere in the output.
    Missing { at: u64, len: u64 },
    /// Zeros, which may be the same or not.
    Unproved { at: Anchor, named_by: Node },
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// Slots of functions that must be the same, with who names them.
    pub(super) slots: BTreeMap<Anchor, Node>,
}

/// Two images.
pub(super) struct Images<'a> {
    pub(super) a: Image<'a>,
    pub(super) b: Image<'a>,
    /// Whether a zero behind a text may belong to it.
    pub(super) ends_texts: bool,
}

/// Bytes that agree from an anchor on.
struct Run {
    /// How many there are up to the first that differs, or to where other data begins.
    len: u64,
    /// Whether they are ended by bytes that differ.
    differs: bool,
    has_bytes: bool,
}

/// Where data is known to begin.
struct Cuts {
    a: BTreeSet<u64>,
    b: BTreeSet<u64>,
}

/// How far from data a number may point that belongs to it.
const AROUND: u64 = 64;

impl Images<'_> {
    /// Follows anchors through both images. `is_slot` says whether two words are slots of functions, one of each side.
    pub(super) fn compare(
        &self,
        known: &BTreeMap<Anchor, Evidence>,
        is_slot: &dyn Fn(Anchor) -> bool,
    ) -> Found {
        // Where data begins that only other data names shows on the way: what was found without it is found once more.
        let mut cuts = Cuts::of(known);
        self.reach(known, &mut cuts, is_slot);
        let (anchors, slots) = self.reach(known, &mut cuts, is_slot);
        let findings = self.judge(&anchors, &cuts, is_slot);
        Found { findings, slots }
    }

    /// All anchors that the known ones lead to. Where they are is added to the cuts.
    fn reach(
        &self,
        known: &BTreeMap<Anchor, Evidence>,
        cuts: &mut Cuts,
        is_slot: &dyn Fn(Anchor) -> bool,
    ) -> (BTreeMap<Anchor, Evidence>, BTreeMap<Anchor, Node>) {
        let (mut anchors, mut slots) = (known.clone(), BTreeMap::new());
        let mut met = BTreeSet::new();
        let known = known.iter();
        let mut open: Vec<(Anchor, Node)> = known.map(|(at, it)| (*at, it.named_by)).collect();
        while let Some((at, named_by)) = open.pop() {
            let mut found = Vec::new();
            self.run(at, cuts, is_slot, &mut |place, words| {
                found.push((place, words))
            });
            for (place, words) in found {
                // The same word can be met on several ways, and speaks for itself once.
                let is_new = met.insert((place, words));
                if is_slot(words) {
                    slots.entry(words).or_insert(named_by);
                    continue;
                }
                let evidence = anchors.entry(words).or_insert_with(|| {
                    open.push((words, named_by));
                    cuts.add(words);
                    Evidence {
                        named_by,
                        weight: 0,
                    }
                });
                evidence.weight += u32::from(is_new);
            }
        }
        (anchors, slots)
    }

    /// Compares what stands behind an anchor. `each` is told the words that differ and can be addresses, and where they stand.
    fn run(
        &self,
        (a, b): Anchor,
        cuts: &Cuts,
        is_slot: &dyn Fn(Anchor) -> bool,
        each: &mut dyn FnMut(u64, Anchor),
    ) -> Run {
        let end = (self.a.end().saturating_sub(a)).max(self.b.end().saturating_sub(b));
        let most = cuts.most(a, b).min(end);
        let (mut len, mut has_bytes) = (0, false);
        while len < most {
            let (byte_a, byte_b) = (self.a.byte(a + len), self.b.byte(b + len));
            if byte_a == byte_b {
                has_bytes |= byte_a != 0;
                len += 1;
                continue;
            }
            let words = self.words((a + len, b + len), is_slot);
            let Some((back, words)) = words.filter(|(back, _)| *back <= len) else {
                return Run {
                    len,
                    differs: true,
                    has_bytes,
                };
            };
            each(a + len - back, words);
            has_bytes = true;
            len += self.a.word - back;
        }
        Run {
            len: len.min(most),
            differs: false,
            has_bytes,
        }
    }

    /// The words around two bytes that differ, if they can be addresses or slots, and how far before the bytes they begin.
    fn words(&self, (a, b): Anchor, is_slot: &dyn Fn(Anchor) -> bool) -> Option<(u64, Anchor)> {
        let size = self.a.word;
        let back = a % size;
        if b % size != back {
            return None;
        }
        let words = (self.a.word(a - back), self.b.word(b - back));
        let are_addresses = self.a.is_address(words.0) && self.b.is_address(words.1);
        (is_slot(words) || are_addresses).then_some((back, words))
    }

    /// Says what the anchors do not account for.
    fn judge(
        &self,
        anchors: &BTreeMap<Anchor, Evidence>,
        cuts: &Cuts,
        is_slot: &dyn Fn(Anchor) -> bool,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (mut of_a, mut of_b) = (Covered::of(&self.a), Covered::of(&self.b));
        let (mut stops, mut backs) = (Vec::new(), Vec::new());
        let (mut zeros, mut open) = (Zeros::default(), Vec::new());
        // Of zeros nothing is known but which are named together. Data that stood together often moves together.
        let mut moves: HashMap<u64, u32> = HashMap::default();
        for at in anchors.keys() {
            *moves.entry(at.1.wrapping_sub(at.0)).or_default() += 1;
        }
        for (&at, evidence) in anchors {
            let named_by = evidence.named_by;
            let run = self.run(at, cuts, is_slot, &mut |_, _| {});
            let mut begin = at;
            let mut len = run.len;
            let mut has_bytes = run.has_bytes;
            let before = self.run_back(at, cuts, anchors, is_slot);
            if len == 0 && run.differs && at.0 != at.1 {
                // A number can point behind data, or before it.
                let found = self.run_near(at, cuts, is_slot);
                match found {
                    Some((skip, near)) => {
                        begin = (at.0 + skip, at.1 + skip);
                        (len, has_bytes) = (near.len, true);
                    }
                    None if before.has_bytes => has_bytes = true,
                    None => findings.push(Finding::Bytes { at, named_by }),
                }
            }
            of_a.add(begin.0, len);
            of_b.add(begin.1, len);
            backs.push((at, before.len));
            if run.differs {
                stops.push(((begin.0 + len, begin.1 + len), named_by));
            }
            if at.0 != at.1 && !has_bytes && !before.has_bytes {
                let is_alone = moves.get(&at.1.wrapping_sub(at.0)) == Some(&1);
                if evidence.weight < 2 && is_alone {
                    open.push((at, named_by));
                } else {
                    zeros.add(at);
                }
            }
        }

        open.retain(|(at, _)| !zeros.are_exchanged(*at));
        let open = open.into_iter();
        findings.extend(open.map(|(at, named_by)| Finding::Unproved { at, named_by }));
        self.stopped(&stops, &of_a, &of_b, &mut findings);
        // What a number points behind is known from there.
        for (at, len) in backs {
            of_a.add(at.0 - len, len);
            of_b.add(at.1 - len, len);
        }
        let is_met = |at: u64, len: u64| self.is_beyond_a_cut((at, len), anchors, is_slot);
        self.missing(&of_a, &of_b, &is_met, &mut findings);
        // What is certain comes first.
        findings.sort_by_key(|finding| matches!(finding, Finding::Unproved { .. }));
        findings
    }

    /// Compares what stands before an anchor, back to where other data begins.
    fn run_back(
        &self,
        (a, b): Anchor,
        cuts: &Cuts,
        anchors: &BTreeMap<Anchor, Evidence>,
        is_slot: &dyn Fn(Anchor) -> bool,
    ) -> Run {
        // Behind the data of both sides, and before it, there are zeros, however large memories are.
        let start = |image: &Image<'_>| image.parts.first().map_or(0, |(start, _)| *start);
        let data = a.saturating_sub(start(&self.a));
        let data = data.max(b.saturating_sub(start(&self.b)));
        let most = cuts.most_before(a, b).min(data);
        let behind = a.saturating_sub(self.a.end());
        let behind = behind.min(b.saturating_sub(self.b.end()));
        let (mut len, mut has_bytes) = (behind.min(most), false);
        while len < most {
            let at = (a - len - 1, b - len - 1);
            let (byte_a, byte_b) = (self.a.byte(at.0), self.b.byte(at.1));
            if byte_a == byte_b {
                has_bytes |= byte_a != 0;
                len += 1;
                continue;
            }
            let words = self.words(at, is_slot);
            match words.filter(|(_, words)| anchors.contains_key(words) || is_slot(*words)) {
                Some((back, _)) if len + back < most => len += 1 + back,
                _ => {
                    return Run {
                        len,
                        differs: true,
                        has_bytes,
                    };
                }
            }
            has_bytes = true;
        }
        Run {
            len,
            differs: false,
            has_bytes,
        }
    }

    /// The first place a little behind an anchor from which enough agrees.
    fn run_near(
        &self,
        (a, b): Anchor,
        cuts: &Cuts,
        is_slot: &dyn Fn(Anchor) -> bool,
    ) -> Option<(u64, Run)> {
        (1..AROUND).find_map(|skip| {
            let run = self.run((a + skip, b + skip), cuts, is_slot, &mut |_, _| {});
            (run.len >= self.a.word && run.has_bytes).then_some((skip, run))
        })
    }

    /// Where bytes of the output, which may be left from before, meet zeros of the build: are these between data?
    fn stopped(
        &self,
        stops: &[(Anchor, Node)],
        of_a: &Covered,
        of_b: &Covered,
        findings: &mut Vec<Finding>,
    ) {
        for &(at, named_by) in stops {
            let is_left = self.a.byte(at.0) != 0 && !of_a.has(at.0);
            if !is_left || self.b.byte(at.1) != 0 || of_b.has(at.1) {
                continue;
            }
            let mut next = at.1;
            while next < self.b.end() && self.b.byte(next) == 0 && !of_b.has(next) {
                next += 1;
            }
            // A text ends in a zero. Otherwise what follows is aligned to no more than its address is.
            let is_behind_text = !at.1.is_multiple_of(4) && self.b.byte(at.1 - 1) != 0;
            let ends_text = self.ends_texts && is_behind_text;
            let align = 1 << next.trailing_zeros().min(4);
            let can_be_gap = align >= 4 && next - at.1 < align && !ends_text;
            if next < self.b.end() && !can_be_gap {
                findings.push(Finding::Bytes { at, named_by });
            }
        }
    }

    /// Whether bytes of the build agree with the output's, seen from an anchor before them, if it does not matter that data
    /// seems to begin in between: a number that points far before its data can do so.
    fn is_beyond_a_cut(
        &self,
        (at, len): (u64, u64),
        anchors: &BTreeMap<Anchor, Evidence>,
        is_slot: &dyn Fn(Anchor) -> bool,
    ) -> bool {
        /// So many are tried, the nearest first.
        const MOST: usize = 8;
        let no_cuts = Cuts::of(&BTreeMap::new());
        let mut before: Vec<Anchor> = anchors.keys().copied().filter(|(_, b)| *b <= at).collect();
        before.sort_unstable_by_key(|(_, b)| at - b);
        before.truncate(MOST);
        before.into_iter().any(|(a, b)| {
            let run = self.run((a, b), &no_cuts, is_slot, &mut |_, _| {});
            run.len >= at + len - b
        })
    }

    /// Bytes of the build that no anchor leads to: they have to stand somewhere in what is left of the output.
    fn missing(
        &self,
        of_a: &Covered,
        of_b: &Covered,
        is_met: &dyn Fn(u64, u64) -> bool,
        findings: &mut Vec<Finding>,
    ) {
        /// So many are looked for. Whoever has more has not followed the data at all.
        const MOST: usize = 256;
        let left = of_a.rest(&self.a);
        for (at, bytes) in of_b.rest(&self.b).into_iter().take(MOST) {
            // A few bytes stand in other data by chance.
            let is_there = left.iter().any(|(_, left)| match bytes.len() {
                0..4 => *left == bytes,
                len => left.windows(len).any(|window| window == bytes),
            });
            let len = bytes.len() as u64;
            if !is_there && !is_met(at, len) {
                findings.push(Finding::Missing { at, len });
            }
        }
    }
}

impl Cuts {
    fn of(anchors: &BTreeMap<Anchor, Evidence>) -> Cuts {
        let mut cuts = Cuts {
            a: BTreeSet::new(),
            b: BTreeSet::new(),
        };
        for at in anchors.keys() {
            cuts.add(*at);
        }
        cuts
    }

    /// Numbers that are equal need be no addresses, so nothing begins there.
    fn add(&mut self, (a, b): Anchor) {
        if a != b {
            self.a.insert(a);
            self.b.insert(b);
        }
    }

    /// How far it is from an anchor to where other data begins.
    fn most(&self, a: u64, b: u64) -> u64 {
        let next = |cuts: &BTreeSet<u64>, at: u64| {
            cuts.range(at + 1..)
                .next()
                .map_or(u64::MAX, |next| next - at)
        };
        next(&self.a, a).min(next(&self.b, b))
    }

    fn most_before(&self, a: u64, b: u64) -> u64 {
        let last = |cuts: &BTreeSet<u64>, at: u64| {
            cuts.range(..at).next_back().map_or(at, |last| at - last)
        };
        last(&self.a, a).min(last(&self.b, b))
    }
}

/// Where zeros are that are known to be named by addresses.
#[derive(Debug, Default)]
struct Zeros {
    a: BTreeSet<u64>,
    b: BTreeSet<u64>,
}

impl Zeros {
    fn add(&mut self, (a, b): Anchor) {
        self.a.insert(a);
        self.b.insert(b);
    }

    /// Whether each of two numbers is among the zeros of its own side and not among those of the other: a number that says
    /// something else would have been changed from just one to just the other.
    fn are_exchanged(&self, (a, b): Anchor) -> bool {
        let are_near = |zeros: &BTreeSet<u64>, at: u64| {
            const NEAR: u64 = 4096;
            let mut near = zeros.range(at.saturating_sub(NEAR)..=at + NEAR);
            near.next().is_some()
        };
        // What is large enough to be pointed into stands at multiples of sixteen, in whatever order.
        a % 16 == b % 16
            && are_near(&self.a, a)
            && are_near(&self.b, b)
            && !are_near(&self.a, b)
            && !are_near(&self.b, a)
    }
}

/// Which bytes of an image were met.
struct Covered {
    start: u64,
    bytes: Vec<bool>,
}

impl Covered {
    fn of(image: &Image<'_>) -> Covered {
        let start = image.parts.first().map_or(0, |(start, _)| *start);
        let len = image.end().saturating_sub(start) as usize;
        Covered {
            start,
            bytes: vec![false; len],
        }
    }

    fn add(&mut self, at: u64, len: u64) {
        let position = |at: u64| (at.saturating_sub(self.start) as usize).min(self.bytes.len());
        let (from, to) = (position(at), position(at + len));
        self.bytes[from..to].fill(true);
    }

    fn has(&self, at: u64) -> bool {
        let position = at.checked_sub(self.start);
        position.is_some_and(|at| self.bytes.get(at as usize) == Some(&true))
    }

    /// What was not met, run by run, with its addresses. Runs begin and end with what is not zero, and have few zeros in
    /// between.
    fn rest<'a>(&self, image: &Image<'a>) -> Vec<(u64, &'a [u8])> {
        const ZEROS: usize = 8;
        let mut rest = Vec::new();
        for (start, bytes) in &image.parts {
            let is_open = |at: &usize| !self.has(start + *at as u64) && bytes[*at] != 0;
            let mut open = (0..bytes.len()).filter(is_open).peekable();
            while let Some(from) = open.next() {
                let mut to = from + 1;
                let is_near = |to: usize, next: usize| {
                    let mut between = to..next;
                    next - to <= ZEROS && between.all(|at| !self.has(start + at as u64))
                };
                while let Some(next) = open.next_if(|next| is_near(to, *next)) {
                    to = next + 1;
                }
                rest.push((start + from as u64, &bytes[from..to]));
            }
        }
        rest
    }
}
