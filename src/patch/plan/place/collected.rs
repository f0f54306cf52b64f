//! What is collected while things are placed one by one, because all of it together costs less than each by itself. Nothing
//! here knows a layout.

use std::cell::RefCell;

use crate::hash::{Entry, HashMap, HashSet};
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

/// What has more fields than this is gone through twice at most, not once for each function that it names.
pub(super) const MANY_FIELDS: usize = 256;

/// How often declarations with many fields name each function, as far as that has been asked.
#[derive(Debug, Default)]
pub(super) struct CallCounts(RefCell<HashMap<DeclId, Counts>>);

/// What is known of one declaration.
#[derive(Debug)]
enum Counts {
    /// It was asked for one function only, as where one is edited: a table of all of them would cost more than looking.
    Asked,
    Of(HashMap<DeclId, usize>),
}

impl CallCounts {
    pub(super) fn of(&self, source: DeclId, definition: &Definition, function: DeclId) -> usize {
        let relocs = definition.content.relocs().iter();
        let calls = relocs.filter(|reloc| reloc.kind.is_function_index());
        let targets = calls.filter_map(Relocation::decl);
        match self.0.borrow_mut().entry(source) {
            Entry::Vacant(entry) => {
                entry.insert(Counts::Asked);
                targets.filter(|target| *target == function).count()
            }
            Entry::Occupied(mut entry) => {
                if matches!(entry.get(), Counts::Asked) {
                    let mut counts = HashMap::default();
                    targets.for_each(|target| *counts.entry(target).or_insert(0) += 1);
                    entry.insert(Counts::Of(counts));
                }
                match entry.get() {
                    Counts::Asked => 0,
                    Counts::Of(counts) => counts.get(&function).copied().unwrap_or(0),
                }
            }
        }
    }
}
