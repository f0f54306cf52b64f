//! What is known of two memories: where data begins, where there are zeros that are named, and which bytes were met.

use std::collections::BTreeSet;

use crate::inspect::image::{Anchor, Image};

/// Where data is known to begin.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    a: BTreeSet<u64>,
    b: BTreeSet<u64>,
}

impl Cuts {
    pub(super) fn of(anchors: impl Iterator<Item = Anchor>) -> Cuts {
        let (a, b) = anchors.unzip();
        Cuts { a, b }
    }

    pub(super) fn add(&mut self, (a, b): Anchor) {
        self.a.insert(a);
        self.b.insert(b);
    }

    /// Whether other data begins at an anchor, on both sides.
    pub(super) fn has(&self, (a, b): Anchor) -> bool {
        self.a.contains(&a) && self.b.contains(&b)
    }

    /// Whether other data begins at an anchor on one side.
    pub(super) fn has_one(&self, (a, b): Anchor) -> bool {
        self.a.contains(&a) || self.b.contains(&b)
    }

    /// How far it is from an anchor to where other data begins.
    pub(super) fn most(&self, a: u64, b: u64) -> u64 {
        let next = |cuts: &BTreeSet<u64>, at: u64| {
            cuts.range(at + 1..)
                .next()
                .map_or(u64::MAX, |next| next - at)
        };
        next(&self.a, a).min(next(&self.b, b))
    }

    pub(super) fn most_before(&self, a: u64, b: u64) -> u64 {
        let last = |cuts: &BTreeSet<u64>, at: u64| {
            cuts.range(..at).next_back().map_or(at, |last| at - last)
        };
        last(&self.a, a).min(last(&self.b, b))
    }
}

/// Where zeros are that are known to be named by addresses.
#[derive(Debug, Default)]
pub(super) struct Zeros {
    a: BTreeSet<u64>,
    b: BTreeSet<u64>,
}

impl Zeros {
    pub(super) fn add(&mut self, (a, b): Anchor) {
        self.a.insert(a);
        self.b.insert(b);
    }

    /// Whether each of two numbers is among the zeros of its own side and not among those of the other: a number that says
    /// something else would have been changed from just one to just the other.
    pub(super) fn are_exchanged(&self, (a, b): Anchor) -> bool {
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
pub(super) struct Covered {
    start: u64,
    bytes: Vec<bool>,
}

impl Covered {
    pub(super) fn of(image: &Image<'_>) -> Covered {
        let start = image.start();
        let len = image.end().saturating_sub(start) as usize;
        Covered {
            start,
            bytes: vec![false; len],
        }
    }

    pub(super) fn add(&mut self, at: u64, len: u64) {
        let position = |at: u64| (at.saturating_sub(self.start) as usize).min(self.bytes.len());
        let (from, to) = (position(at), position(at + len));
        self.bytes[from..to].fill(true);
    }

    pub(super) fn has(&self, at: u64) -> bool {
        let position = at.checked_sub(self.start);
        position.is_some_and(|at| self.bytes.get(at as usize) == Some(&true))
    }

    /// What was not met, run by run, with its addresses. Runs begin and end with what is not zero, and have few zeros in
    /// between.
    pub(super) fn rest<'a>(&self, image: &Image<'a>) -> Vec<(u64, &'a [u8])> {
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
