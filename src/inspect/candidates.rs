//! Which declarations of a file may be the one that is looked for, the likeliest first: those that say the same, of these
//! those that are used alike, of these those of the same name. Each question costs what it finds, however many are taken.

use crate::hash::HashMap;
use smallvec::SmallVec;

/// How many declarations are tried for one.
const MOST_TRIES: usize = 32;

/// What is known of a declaration: its index space, what it says, how it is used, its name.
pub(super) type Known<'a> = (usize, u64, u64, Option<&'a str>);

/// Declarations that have something in common, in their order. Those that are taken are stepped over in leaps.
#[derive(Default)]
struct List {
    of: Vec<u32>,
    /// For each, the first one from there on that was not taken when it was looked at.
    next: Vec<u32>,
}

impl List {
    fn add(&mut self, declaration: u32) {
        self.next.push(self.of.len() as u32);
        self.of.push(declaration);
    }

    /// The first position from `at` on that is free.
    fn free_from(&mut self, at: usize, is_free: impl Fn(u32) -> bool) -> Option<usize> {
        let mut to = at;
        while to < self.of.len() {
            let next = self.next[to] as usize;
            if next == to {
                if is_free(self.of[to]) {
                    break;
                }
                self.next[to] += 1;
                to += 1;
            } else {
                to = next;
            }
        }
        // Whoever comes this way next leaps.
        let mut passed = at;
        while passed < to.min(self.of.len()) {
            passed = std::mem::replace(&mut self.next[passed], to as u32) as usize;
        }
        (to < self.of.len()).then_some(to)
    }

    fn begin_anew(&mut self) {
        for (at, next) in self.next.iter_mut().enumerate() {
            *next = at as u32;
        }
    }
}

/// All declarations of one side that are not paired with one of the other yet, by what is known of them.
#[derive(Default)]
pub(super) struct Candidates<'a> {
    used_alike_of_name: HashMap<Known<'a>, List>,
    used_alike: HashMap<(usize, u64, u64), List>,
    of_name: HashMap<(usize, u64, Option<&'a str>), List>,
    same: HashMap<(usize, u64), List>,
    /// By name alone.
    named: HashMap<(usize, &'a str), List>,
}

impl<'a> Candidates<'a> {
    /// Adds a declaration: its index space and index, and what is known of it.
    pub(super) fn add(
        &mut self,
        space: usize,
        at: u32,
        colour: u64,
        users: u64,
        name: Option<&'a str>,
    ) {
        let all = self.used_alike_of_name.entry((space, colour, users, name));
        all.or_default().add(at);
        self.used_alike
            .entry((space, colour, users))
            .or_default()
            .add(at);
        self.of_name
            .entry((space, colour, name))
            .or_default()
            .add(at);
        self.same.entry((space, colour)).or_default().add(at);
        if let Some(name) = name {
            self.named.entry((space, name)).or_default().add(at);
        }
    }

    /// The likeliest of those that say the same and are free.
    pub(super) fn best(
        &mut self,
        (space, colour, users, name): Known<'a>,
        is_free: impl Fn(u32) -> bool,
    ) -> SmallVec<[u32; 4]> {
        let mut best: SmallVec<[u32; 4]> = SmallVec::new();
        let lists = [
            self.used_alike_of_name
                .get_mut(&(space, colour, users, name)),
            self.used_alike.get_mut(&(space, colour, users)),
            self.of_name.get_mut(&(space, colour, name)),
            self.same.get_mut(&(space, colour)),
        ];
        for list in lists.into_iter().flatten() {
            let mut from = 0;
            while best.len() < MOST_TRIES
                && let Some(at) = list.free_from(from, &is_free)
            {
                if !best.contains(&list.of[at]) {
                    best.push(list.of[at]);
                }
                from = at + 1;
            }
        }
        best
    }

    /// The first free one of a name, whatever it says.
    pub(super) fn named(
        &mut self,
        space: usize,
        name: Option<&'a str>,
        is_free: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let list = self.named.get_mut(&(space, name?))?;
        let at = list.free_from(0, is_free)?;
        Some(list.of[at])
    }

    /// Notes that those which were taken may be free again.
    pub(super) fn begin_anew(&mut self) {
        self.used_alike_of_name
            .values_mut()
            .for_each(List::begin_anew);
        self.used_alike.values_mut().for_each(List::begin_anew);
        self.of_name.values_mut().for_each(List::begin_anew);
        self.same.values_mut().for_each(List::begin_anew);
        self.named.values_mut().for_each(List::begin_anew);
    }
}
