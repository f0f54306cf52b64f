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
    pub(super) calls: HashMap<DeclId, Box<[(DeclId, TypeId)]>>,
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
