//! What has been said since the last commit, beside definitions and removals, which stand with each declaration. How it
//! is taken back is in `discard`.

use crate::hash::HashMap;
use crate::program::declaration::DeclKind;
use crate::program::exports::{Export, ExportEdit};
use crate::program::ids::{DeclId, LibraryId, TypeId};

/// A declaration that was taken back.
#[derive(Debug, Clone)]
pub(super) struct Discarded {
    pub(super) id: DeclId,
    pub(super) stamp: u32,
    pub(super) kind: DeclKind,
    pub(super) key: Option<Box<str>>,
    pub(super) owner: Option<DeclId>,
    /// Whether several others could own it.
    pub(super) is_shared: bool,
}

/// The edits of a program since the last commit, but for those that declarations keep themselves.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingSet {
    /// What was declared, in order.
    pub(super) declared: IdRuns,
    /// What was there before and may have another name now, once each: the name it had.
    pub(super) names: Vec<(DeclId, Option<Box<str>>)>,
    /// Functions that were there before and came to a library.
    pub(super) frozen: Vec<DeclId>,
    /// Libraries of which a function changes for the first time.
    pub(super) thawed: Vec<LibraryId>,
    /// By which types the bodies that are pending call others; those by whom it is not known are left out.
    pub(super) calls: Calls,
    /// In the order in which they were said.
    pub(super) exports: Vec<ExportEdit>,
    /// `Some` if all of them are set, in their order.
    pub(super) all_exports: Option<Vec<Export>>,
    /// `Some` if imports get another order.
    pub(super) import_order: Option<Vec<DeclId>>,
    /// `Some` if the start function is set or cleared.
    pub(super) start: Option<Option<DeclId>>,
    /// How much there was at the last commit of what only grows.
    pub(super) before: Lengths,
}

/// How much there is of what only grows between commits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths {
    pub(super) types: usize,
    pub(super) sections: usize,
    pub(super) spare_orphans: usize,
    /// The last serial number of a declaration.
    pub(super) declared: u32,
}

impl PendingSet {
    /// Whether what has this serial number was declared since the last commit.
    pub(super) fn is_new(&self, serial: u32) -> bool {
        serial > self.before.declared
    }
}

/// By which types bodies call others. There may be as many bodies as there are functions: what they call stands in one list.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    all: Vec<(DeclId, TypeId)>,
    /// Where those of a body begin, and how many there are.
    of: HashMap<DeclId, (u32, u32)>,
    /// How many of all are some body's.
    used: usize,
}

/// So many calls of bodies that were given once more are not worth to be cleared away.
const FEW_CALLS: usize = 1024;

impl Calls {
    pub(super) fn set(&mut self, id: DeclId, calls: impl Iterator<Item = (DeclId, TypeId)>) {
        self.remove(id);
        if self.all.len() > 2 * self.used + FEW_CALLS {
            self.clear_away();
        }
        let start = self.all.len();
        self.all.extend(calls);
        let count = self.all.len() - start;
        if count > 0 {
            self.of.insert(id, (start as u32, count as u32));
            self.used += count;
        }
    }

    pub(super) fn remove(&mut self, id: DeclId) {
        if let Some((_, count)) = self.of.remove(&id) {
            self.used -= count as usize;
        }
    }

    /// Whether it is known how a body calls others, and there are any.
    pub(super) fn has(&self, id: DeclId) -> bool {
        self.of.contains_key(&id)
    }

    /// Bodies with what they call.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DeclId, &[(DeclId, TypeId)])> {
        let calls = |(start, count): (u32, u32)| &self.all[start as usize..][..count as usize];
        self.of.iter().map(move |(id, place)| (*id, calls(*place)))
    }

    #[cold]
    fn clear_away(&mut self) {
        let mut all = Vec::with_capacity(self.used);
        for place in self.of.values_mut() {
            let start = all.len() as u32;
            all.extend_from_slice(&self.all[place.0 as usize..][..place.1 as usize]);
            place.0 = start;
        }
        self.all = all;
    }
}

/// Ids in an order; those that follow one another are kept as one run, however many they are.
#[derive(Debug, Clone, Default)]
pub(super) struct IdRuns(Vec<(u32, u32)>);

impl IdRuns {
    pub(super) fn push(&mut self, id: DeclId) {
        self.push_run(id, 1);
    }

    /// So many that follow one another.
    pub(super) fn push_run(&mut self, first: DeclId, count: u32) {
        match self.0.last_mut() {
            Some((_, end)) if *end == first.0 => *end += count,
            _ => self.0.push((first.0, first.0 + count)),
        }
    }

    /// The last first.
    pub(super) fn into_iter_reversed(self) -> impl Iterator<Item = DeclId> {
        let runs = self.0.into_iter().rev();
        runs.flat_map(|(start, end)| (start..end).rev().map(DeclId))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// The calls of each body are those that were said last, however often, and what is left of others is cleared away.
        #[test]
        fn calls_are_those_that_were_said_last(
            said in prop::collection::vec((0u32..20, prop::collection::vec((0u32..9, 0u32..9), 0..200)), 0..200),
        ) {
            let mut calls = Calls::default();
            let mut known: BTreeMap<DeclId, Vec<(DeclId, TypeId)>> = BTreeMap::new();
            for (body, called) in said {
                let body = DeclId(body);
                let called: Vec<_> = called.into_iter().map(|(id, ty)| (DeclId(id), TypeId(ty))).collect();
                calls.set(body, called.iter().copied());
                known.remove(&body);
                if !called.is_empty() {
                    known.insert(body, called);
                }
                let used: usize = known.values().map(Vec::len).sum();
                prop_assert!(calls.all.len() <= 2 * used + FEW_CALLS + 3 * 200);
            }
            let all: BTreeMap<_, _> = calls.iter().map(|(id, calls)| (id, calls.to_vec())).collect();
            prop_assert_eq!(all, known);
        }
    }
}
