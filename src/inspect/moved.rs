//! Whether data that stands at other addresses in two files is the same data.
//!
//! Files do not say where data begins and ends. Numbers in fields at the same place of the same function are addresses of the
//! same data ([`Anchor`]). From there on the bytes must agree; where a word does not, both words must be addresses, or
//! functions' slots, in their turn. An address can stand before its data or behind it, so a word from which nothing follows
//! is believed only where what is around it agrees, and a number from which nothing follows where data moved as far. In the
//! end all of the build's bytes must have been met on this way. What is not proved so is a [`Finding`]; this file knows no
//! declarations but to pass them on.

use std::collections::BTreeMap;

use crate::hash::{HashMap, HashSet};
use crate::inspect::cuts::{Covered, Cuts, Zeros};
use crate::inspect::image::{Anchor, Image};
use crate::inspect::runs::{Images, Known, Meaning, Run, Slots, Words};

/// A declaration: its index space and its index.
pub(super) type Node = (usize, u32);

/// Where an anchor was found, and how much speaks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// A declaration of the build that names it.
    pub(super) named_by: Node,
    /// How often it was found, or two where it is known to be an address.
    pub(super) weight: u32,
}

/// Something that is not the same on both sides, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Slots of other functions.
    Slots { numbers: Anchor, named_by: Node },
    /// Bytes that differ, at these addresses.
    Bytes { at: Anchor, named_by: Node },
    /// Bytes of the build that are nowhere in the output.
    Missing { at: u64, len: u64 },
    /// Zeros, or data that something speaks for, which may be the same or not.
    Unproved { at: Anchor, named_by: Node },
    /// Bytes of the build that stand in the output too, but nothing shows that what named them there leads to those.
    Unmet { at: u64, len: u64 },
}

/// Whether a number from which nothing follows belongs to data that has moved as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    No,
    Maybe,
    Surely,
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// Slots of functions that must be the same, with who names them.
    pub(super) slots: BTreeMap<Anchor, Node>,
    /// Anchors of data that was not met otherwise, with who names it from afar.
    pub(super) beside: Vec<(Anchor, Node)>,
}

/// How far from data a number may point that belongs to it, if nothing else says that it does.
const AROUND: u64 = 64;
/// How far it may where the data has moved as far as the number.
const AFAR: u64 = 4096;

/// How far something has moved.
fn distance((a, b): Anchor) -> u64 {
    b.wrapping_sub(a)
}

/// How far what several anchors of one address of the build lead to agrees.
struct Lens {
    most: u64,
    least: u64,
    /// The one of which the least agrees.
    worst: (Anchor, Node),
}

/// What following anchors through both images has shown so far.
struct Verdict {
    of_a: Covered,
    of_b: Covered,
    /// How far what anchors lead to agrees, by the build's addresses: the most and the least.
    lens: BTreeMap<u64, Lens>,
    /// Where runs were ended by bytes that differ.
    stops: Vec<(Anchor, Node)>,
    /// How far what is before an anchor agrees.
    backs: Vec<(Anchor, Run)>,
    /// Where something was found to agree: by how far it has moved, the addresses of the build, in order, with who names it.
    agreeing: HashMap<u64, Vec<(u64, Node)>>,
    /// Where data is known to begin, since what follows agrees.
    begins: Cuts,
    /// Anchors from which nothing follows.
    loose: Vec<(Anchor, Node)>,
    /// Words in doubt.
    doubts: Vec<(Words, Node)>,
    findings: Vec<Finding>,
}

impl Verdict {
    fn of(images: &Images<'_>) -> Verdict {
        Verdict {
            of_a: Covered::of(&images.a),
            of_b: Covered::of(&images.b),
            lens: BTreeMap::new(),
            stops: Vec::new(),
            backs: Vec::new(),
            agreeing: HashMap::default(),
            begins: Cuts::default(),
            loose: Vec::new(),
            doubts: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Notes that so many bytes before an anchor were met.
    fn cover_back(&mut self, at: Anchor, len: u64) {
        self.of_a.add(at.0 - len, len);
        self.of_b.add(at.1 - len, len);
    }

    /// Notes how far what an anchor leads to agrees.
    fn note_len(&mut self, at: Anchor, named_by: Node, len: u64) {
        let worst = (at, named_by);
        let lens = self.lens.entry(at.1).or_insert(Lens {
            most: len,
            least: len,
            worst,
        });
        lens.most = lens.most.max(len);
        if len < lens.least {
            (lens.least, lens.worst) = (len, worst);
        }
    }

    /// Says which anchors lead to less than others of the same address of the build: they can name what was there before.
    fn unlike_others(&mut self, b: &Image<'_>) {
        for (start, lens) in &self.lens {
            let rest = start + lens.least..start + lens.most;
            let (at, named_by) = lens.worst;
            if rest.clone().any(|at| b.byte(at) != 0) {
                self.findings.push(Finding::Unproved { at, named_by });
            }
        }
    }

    /// Whether something near to an anchor has moved as far as it, and it belongs to that: not if other data begins at both
    /// ends of it. What was left behind has often moved as far as all that was not, so more must speak for it: what
    /// names it names that too, and at both ends of it there is nothing of its own.
    fn belongs(&self, at: Anchor, named_by: Node, images: &Images<'_>) -> Belongs {
        let Some(agreeing) = self.agreeing.get(&distance(at)) else {
            return Belongs::No;
        };
        let from = agreeing.partition_point(|(b, _)| *b < at.1.saturating_sub(AFAR));
        let near = agreeing[from..].iter();
        let mut near = near.take_while(|(b, _)| *b <= at.1.saturating_add(AFAR));
        if self.begins.has(at) || near.clone().next().is_none() {
            return Belongs::No;
        }
        let is_elsewhere = |image: &Image<'_>, covered: &Covered, at: u64| {
            !image.is_address(at) || at < image.start() || covered.has(at)
        };
        let has_own = self.begins.has_one(at)
            || !is_elsewhere(&images.a, &self.of_a, at.0)
            || !is_elsewhere(&images.b, &self.of_b, at.1);
        match !has_own && near.any(|(_, by)| *by == named_by) {
            true => Belongs::Surely,
            false => Belongs::Maybe,
        }
    }
}

impl Images<'_> {
    /// Follows anchors through both images. `slots` says what two numbers are as slots.
    pub(super) fn compare(
        &self,
        known: &BTreeMap<Anchor, Evidence>,
        slots: &dyn Fn(Anchor) -> Slots,
    ) -> Found {
        // Where data begins that only other data names shows on the way: what was found without it is found once more. No data
        // begins where a number points before its data.
        let mut cuts = Cuts::of(known.keys().copied());
        let (anchors, _) = self.reach(known, &mut cuts, slots);
        let is_anchor = |at: Anchor| anchors.contains_key(&at);
        let so_far = Known {
            cuts: &cuts,
            slots,
            is_anchor: &is_anchor,
        };
        let begins = |at: &Anchor| self.are_addresses(*at) && self.begins(*at, &so_far);
        let mut cuts = Cuts::of(anchors.keys().copied().filter(begins));
        let (anchors, met_slots) = self.reach(known, &mut cuts, slots);
        let is_anchor = |at: Anchor| anchors.contains_key(&at);
        let known = Known {
            cuts: &cuts,
            slots,
            is_anchor: &is_anchor,
        };
        let (findings, beside) = self.judge(&anchors, &known);
        Found {
            findings,
            slots: met_slots,
            beside,
        }
    }

    /// All anchors that the known ones lead to. Where they are is added to the cuts.
    fn reach(
        &self,
        known: &BTreeMap<Anchor, Evidence>,
        cuts: &mut Cuts,
        slots: &dyn Fn(Anchor) -> Slots,
    ) -> (BTreeMap<Anchor, Evidence>, BTreeMap<Anchor, Node>) {
        let (mut anchors, mut met_slots) = (known.clone(), BTreeMap::new());
        let mut met: HashSet<(u64, Anchor)> = HashSet::default();
        let known = known.iter().filter(|(at, _)| self.are_addresses(**at));
        let mut open: Vec<(Anchor, Node)> = known.map(|(at, it)| (*at, it.named_by)).collect();
        let mut found = Vec::new();
        while let Some((at, named_by)) = open.pop() {
            let is_anchor = |at: Anchor| anchors.contains_key(&at);
            let known = Known {
                cuts,
                slots,
                is_anchor: &is_anchor,
            };
            self.run(at, &known, &mut |words| found.push(words));
            self.run_back(at, &known, &mut |words| found.push(words));
            for words in found.drain(..) {
                match words.meaning {
                    Meaning::Slot => {
                        met_slots.entry(words.numbers).or_insert(named_by);
                    }
                    Meaning::Address => {
                        let evidence = anchors.entry(words.numbers).or_insert_with(|| {
                            open.push((words.numbers, named_by));
                            cuts.add(words.numbers);
                            Evidence {
                                named_by,
                                weight: 0,
                            }
                        });
                        // The same word can be met on several ways, and speaks for itself once.
                        let is_new = met.insert((words.at.0, words.numbers));
                        evidence.weight += u32::from(is_new);
                    }
                    Meaning::Doubt => {}
                }
            }
        }
        (anchors, met_slots)
    }

    /// Says what the anchors do not account for, and finds anchors of what is named from afar.
    fn judge(
        &self,
        anchors: &BTreeMap<Anchor, Evidence>,
        known: &Known<'_>,
    ) -> (Vec<Finding>, Vec<(Anchor, Node)>) {
        let mut verdict = Verdict::of(self);
        let (mut zeros, mut open) = (Zeros::default(), Vec::new());
        // Of zeros nothing is known but which are named together. Data that stood together often moves together.
        let mut moves: HashMap<u64, u32> = HashMap::default();
        for at in anchors.keys() {
            *moves.entry(distance(*at)).or_default() += 1;
        }
        for (&at, evidence) in anchors {
            let named_by = evidence.named_by;
            if !self.are_addresses(at) {
                verdict.loose.push((at, named_by));
            } else if self.follow_one((at, evidence), known, &mut verdict) == Some(false) {
                if evidence.weight < 2 && moves.get(&distance(at)) == Some(&1) {
                    open.push((at, named_by));
                } else {
                    zeros.add(at);
                }
            }
        }
        open.retain(|(at, _)| !zeros.are_exchanged(*at));
        let open = open.into_iter();
        let unproved = open.map(|(at, named_by)| Finding::Unproved { at, named_by });
        verdict.findings.extend(unproved);
        let mut beside = self.decide(&mut verdict, known);
        verdict.unlike_others(&self.b);
        // Where bytes differ in the middle of what agrees from elsewhere, this can be what was there before.
        for &(at, named_by) in &verdict.stops {
            if verdict.of_b.has(at.1) {
                verdict.findings.push(Finding::Unproved { at, named_by });
            }
        }
        // What a number points behind is known from there, but zeros, of which some can belong to it.
        let backs = std::mem::take(&mut verdict.backs);
        for (at, run) in backs.iter().filter(|(_, run)| run.solid > 0) {
            verdict.cover_back(*at, run.len.min(run.solid + 2 * self.b.word));
        }
        self.stopped(&mut verdict);
        for (at, run) in backs {
            verdict.cover_back(at, run.len);
        }
        beside.extend(self.missing(&mut verdict, anchors, known));
        let mut findings = verdict.findings;
        // What is certain comes first.
        findings.sort_by_key(|finding| {
            matches!(finding, Finding::Unproved { .. } | Finding::Unmet { .. })
        });
        (findings, beside)
    }

    /// Compares what an anchor leads to. Says whether it leads to more than zeros, if it leads to anything.
    fn follow_one(
        &self,
        (at, evidence): (Anchor, &Evidence),
        known: &Known<'_>,
        verdict: &mut Verdict,
    ) -> Option<bool> {
        let named_by = evidence.named_by;
        let mut run = self.run(at, known, &mut |words| {
            if words.meaning == Meaning::Doubt {
                verdict.doubts.push((words, named_by));
            }
        });
        verdict.note_len(at, named_by, run.len);
        let before = self.run_back(at, known, &mut |_| {});
        let mut begin = at;
        if run.len == 0 && run.differs {
            // A number can point behind data, or before it.
            match self.run_near(at, known) {
                Some((skip, near)) => {
                    begin = (at.0 + skip, at.1 + skip);
                    run = near;
                }
                None if before.has_bytes => {}
                // Linkers have names for where all data begins.
                None if at == (self.a.start(), self.b.start()) => return None,
                None => {
                    verdict.loose.push((at, named_by));
                    return None;
                }
            }
        }
        run.cover(begin, self.a.word, &mut verdict.of_a, &mut verdict.of_b);
        if run.differs {
            let stop = (begin.0 + run.len, begin.1 + run.len);
            verdict.stops.push((stop, named_by));
        }
        let has_bytes = run.has_bytes || before.has_bytes;
        if run.len > 0 && (has_bytes || evidence.weight >= 2) {
            let agreeing = verdict.agreeing.entry(distance(at)).or_default();
            agreeing.push((at.1, named_by));
            if run.has_bytes {
                verdict.begins.add(at);
            }
        }
        verdict.backs.push((at, before));
        (at.0 != at.1).then_some(has_bytes)
    }

    /// Decides about words in doubt and anchors from which nothing follows, and finds anchors of what is named from afar.
    fn decide(&self, verdict: &mut Verdict, known: &Known<'_>) -> Vec<(Anchor, Node)> {
        for (words, named_by) in std::mem::take(&mut verdict.doubts) {
            let numbers = words.numbers;
            let word = words.at.1..words.at.1 + self.b.word;
            let is_met = word.clone().all(|at| verdict.of_b.has(at));
            let are_addresses = self.are_addresses(numbers);
            let belongs = are_addresses
                && !verdict.begins.has_one(numbers)
                && verdict.belongs(numbers, named_by, self) != Belongs::No;
            let at = numbers;
            verdict.findings.push(match are_addresses {
                _ if is_met || belongs => Finding::Unproved { at, named_by },
                true => Finding::Bytes { at, named_by },
                false => Finding::Slots { numbers, named_by },
            });
            verdict.of_a.add(words.at.0, self.a.word);
            verdict.of_b.add(word.start, self.b.word);
        }
        let mut loose = std::mem::take(&mut verdict.loose);
        loose.retain(|&(at, named_by)| {
            let belongs = verdict.belongs(at, named_by, self);
            if belongs == Belongs::Maybe {
                verdict.findings.push(Finding::Unproved { at, named_by });
            }
            belongs == Belongs::No
        });
        let mut beside = BTreeMap::new();
        let rest = match loose.is_empty() {
            true => Vec::new(),
            false => verdict.of_b.rest(&self.b),
        };
        let mut found: HashSet<u64> = HashSet::default();
        for (at, named_by) in loose {
            let near = at.1.saturating_sub(AFAR)..=at.1.saturating_add(AFAR);
            let from = rest.partition_point(|(start, _)| start < near.start());
            let mut near = rest[from..].iter().take_while(|(b, _)| near.contains(b));
            let is_found = found.contains(&distance(at))
                || near.any(|(b, bytes)| {
                    let begin = self.begin_of(distance(at), *b, bytes, known);
                    begin.is_some_and(|anchor| beside.insert(anchor, named_by).is_none())
                });
            verdict.findings.push(match is_found {
                true => Finding::Unproved { at, named_by },
                false => Finding::Bytes { at, named_by },
            });
            if is_found {
                found.insert(distance(at));
            }
        }
        beside.into_iter().collect()
    }

    /// Where bytes of the build that were not met begin to agree with those that have moved so far.
    fn begin_of(&self, distance: u64, at: u64, bytes: &[u8], known: &Known<'_>) -> Option<Anchor> {
        let least = 2 * self.b.word as usize;
        let anchors = (at..).map(|at| (at.wrapping_sub(distance), at));
        let mut begins = anchors
            .zip(0..bytes.len())
            .filter(|(_, from)| bytes[*from] != 0);
        let begin = begins.find(|(anchor, from)| {
            let wanted = &bytes[*from..bytes.len().min(*from + least)];
            let is_text = wanted.len() >= 4 && self.a.bytes(anchor.0).starts_with(wanted);
            is_text || self.begin_alike(*anchor, known)
        })?;
        Some(begin.0)
    }

    /// The first place a little behind an anchor from which enough agrees.
    fn run_near(&self, (a, b): Anchor, known: &Known<'_>) -> Option<(u64, Run)> {
        (1..AROUND).find_map(|skip| {
            let run = self.run((a + skip, b + skip), known, &mut |_| {});
            (run.len >= self.a.word && run.has_bytes).then_some((skip, run))
        })
    }

    /// Where bytes of the output, which may be left from before, meet zeros of the build: are these between data?
    fn stopped(&self, verdict: &mut Verdict) {
        let Verdict {
            of_a, of_b, stops, ..
        } = verdict;
        for &(at, named_by) in &*stops {
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
                verdict.findings.push(Finding::Bytes { at, named_by });
            }
        }
    }

    /// Bytes of the build that no anchor leads to: they have to agree with the output's, seen from an anchor before them,
    /// if it does not matter that data seems to begin in between: a number that points far before its data can do so. Then
    /// there is an anchor of them. If they only stand somewhere in what is left of the output, what should name them can name
    /// what was there before.
    fn missing(
        &self,
        verdict: &mut Verdict,
        anchors: &BTreeMap<Anchor, Evidence>,
        known: &Known<'_>,
    ) -> Vec<(Anchor, Node)> {
        /// So many are looked for. Whoever has more has not followed the data at all.
        const MOST: usize = 256;
        /// So many anchors are tried, the nearest first.
        const MOST_ANCHORS: usize = 8;
        let (left, mut open) = (verdict.of_a.rest(&self.a), verdict.of_b.rest(&self.b));
        let mut beside = Vec::new();
        open.truncate(MOST);
        if open.is_empty() {
            return beside;
        }
        let no_cuts = Cuts::default();
        let known = Known {
            cuts: &no_cuts,
            ..*known
        };
        let addresses = anchors.keys().filter(|at| self.are_addresses(**at));
        let mut by_build: Vec<Anchor> = addresses.copied().collect();
        by_build.sort_unstable_by_key(|(a, b)| (*b, *a));
        let left = Left::of(&left, &open);
        for (at, bytes) in open {
            let len = bytes.len() as u64;
            let end = at + len;
            let mut met = at;
            // Several pieces of data can stand there.
            while met < end {
                let rest = &bytes[(met - at) as usize..];
                let before = &by_build[..by_build.partition_point(|(_, b)| *b <= met)];
                let before = before.iter().rev().take(MOST_ANCHORS);
                let ends = before.map(|at| (at.1 + self.run(*at, &known, &mut |_| {}).len, *at));
                match ends.max().filter(|(end, _)| *end > met) {
                    Some((end, at)) => {
                        let distance = distance(at);
                        beside.push(((met.wrapping_sub(distance), met), anchors[&at].named_by));
                        met = end;
                    }
                    // Where nothing names data, nothing can lead to what was there before.
                    None if anchors.is_empty() && left.has(rest) => break,
                    None => {
                        let (at, len) = (met, end - met);
                        verdict.findings.push(match left.has(rest) {
                            true => Finding::Unmet { at, len },
                            false => Finding::Missing { at, len },
                        });
                        break;
                    }
                }
            }
        }
        beside
    }
}

/// Bytes of the output that were not met, by what they begin with.
struct Left<'a> {
    runs: HashSet<&'a [u8]>,
    /// What stands behind each occurrence of four bytes that something looked for begins with.
    behind: HashMap<[u8; 4], Vec<&'a [u8]>>,
}

impl<'a> Left<'a> {
    /// All that is needed to look for these.
    fn of(left: &[(u64, &'a [u8])], wanted: &[(u64, &[u8])]) -> Left<'a> {
        let begins = wanted.iter().filter_map(|(_, bytes)| bytes.first_chunk());
        let mut behind: HashMap<[u8; 4], Vec<&'a [u8]>> =
            begins.map(|begin| (*begin, Vec::new())).collect();
        for (_, run) in left {
            for at in 0..run.len() {
                let rest = &run[at..];
                let places = rest.first_chunk().and_then(|begin| behind.get_mut(begin));
                if let Some(places) = places {
                    places.push(rest);
                }
            }
        }
        Left {
            runs: left.iter().map(|(_, run)| *run).collect(),
            behind,
        }
    }

    /// Whether these bytes are there; a few stand in other data by chance, and must stand alone.
    fn has(&self, bytes: &[u8]) -> bool {
        match bytes.first_chunk() {
            None => self.runs.contains(bytes),
            Some(begin) => {
                let places = self.behind.get(begin).into_iter().flatten();
                places.into_iter().any(|rest| rest.starts_with(bytes))
            }
        }
    }
}
