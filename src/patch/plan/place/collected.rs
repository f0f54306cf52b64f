//! What is collected while things are placed one by one, because all of it together costs less than each by itself. Nothing
//! here knows a layout.

use std::cell::RefCell;

use crate::hash::{HashMap, HashSet};
use crate::program::{DeclId, Definition, Relocation};

/// What a commit does to a list.
#[derive(Debug, Default)]
pub(super) struct ListEdits {
    /// What goes.
    pub(super) gone: HashSet<DeclId>,
    /// What comes, in order.
    pub(super) new: Vec<DeclId>,
    /// Whether any of the others gets another length.
    pub(super) resized: bool,
}

impl ListEdits {
    pub(super) fn remove(&mut self, id: DeclId) {
        self.gone.insert(id);
    }

    pub(super) fn add(&mut self, id: DeclId) {
        self.new.push(id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty() && !self.resized
    }

    /// What a list becomes.
    pub(super) fn apply(&self, before: impl Iterator<Item = DeclId>) -> Vec<DeclId> {
        let stay = before.filter(|id| !self.gone.contains(id));
        stay.chain(self.new.iter().copied()).collect()
    }
}

/// What has more fields than this is gone through once, not once for each function that it names.
pub(super) const MANY_FIELDS: usize = 256;

/// How often declarations with many fields name each function, as far as that has been asked.
#[derive(Debug, Default)]
pub(super) struct CallCounts(RefCell<HashMap<DeclId, HashMap<DeclId, usize>>>);

impl CallCounts {
    pub(super) fn of(&self, source: DeclId, definition: &Definition, function: DeclId) -> usize {
        let mut counts = self.0.borrow_mut();
        let counts = counts.entry(source).or_insert_with(|| {
            let mut counts: HashMap<_, _> = HashMap::default();
            let relocs = definition.content.relocs().iter();
            let calls = relocs.filter(|reloc| reloc.kind.is_function_index());
            for target in calls.filter_map(Relocation::decl) {
                *counts.entry(target).or_insert(0) += 1;
            }
            counts
        });
        counts.get(&function).copied().unwrap_or(0)
    }
}
