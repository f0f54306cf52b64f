//! All exports as of the last commit, and what a commit makes of them. Each has a number for as long as it is there, so that
//! nothing has to be done for the others when one comes or goes. Where they stand is no concern of this file.

use std::hash::BuildHasher;

use smallvec::SmallVec;

use crate::hash::{HashMap, HashTable};
use crate::program::ids::DeclId;

/// An export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) name: Box<str>,
    pub(crate) decl: DeclId,
}

/// A pending change of the exports.
#[derive(Debug, Clone)]
pub(crate) enum ExportEdit {
    Add(Export),
    Remove(Box<str>),
}

/// The number of an export. It is given again when the export is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ExportId(pub(crate) u32);

impl ExportId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a commit makes of the exports.
#[derive(Debug)]
pub(crate) struct ExportChanges {
    /// What becomes of those that change, in the order of their numbers; nothing of those that go.
    slots: Vec<(ExportId, Option<Export>)>,
    /// The order in which they stand from now on, if one is kept and it is another.
    order: Option<Vec<ExportId>>,
}

impl ExportChanges {
    pub(super) fn new(
        mut slots: Vec<(ExportId, Option<Export>)>,
        order: Option<Vec<ExportId>>,
    ) -> Self {
        slots.sort_unstable_by_key(|(id, _)| *id);
        ExportChanges { slots, order }
    }

    /// What becomes of those that change, in the order of their numbers; nothing of those that go.
    pub(crate) fn slots(&self) -> &[(ExportId, Option<Export>)] {
        &self.slots
    }

    /// The order in which they stand from now on, if one is kept and it is another.
    pub(crate) fn order(&self) -> Option<&[ExportId]> {
        self.order.as_deref()
    }

    /// What becomes of an export, if it changes.
    pub(crate) fn of(&self, id: ExportId) -> Option<Option<&Export>> {
        let at = self.slots.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.slots[at].1.as_ref())
    }
}

/// All exports as of the last commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportTable {
    /// By number.
    slots: Vec<Option<Export>>,
    /// Numbers that are not in use; the last is given first.
    vacant: Vec<ExportId>,
    names: HashTable<ExportId>,
    of: HashMap<DeclId, SmallVec<[ExportId; 1]>, foldhash::fast::FixedState>,
    hasher: foldhash::fast::FixedState,
    /// The order in which they stand, if the front end keeps one.
    order: Option<Vec<ExportId>>,
}

impl ExportTable {
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    pub(crate) fn get(&self, id: ExportId) -> Option<&Export> {
        self.slots.get(id.index())?.as_ref()
    }

    /// The export of this name.
    pub(crate) fn find(&self, name: &str) -> Option<ExportId> {
        let is_it = |id: &ExportId| self.get(*id).is_some_and(|export| *export.name == *name);
        self.names.find(self.hasher.hash_one(name), is_it).copied()
    }

    /// The exports of a declaration.
    pub(crate) fn of(&self, decl: DeclId) -> &[ExportId] {
        self.of.get(&decl).map_or(&[], |ids| ids)
    }

    /// All of them: in the order that is kept, or by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ExportId, &Export)> {
        let unordered = match self.order {
            Some(_) => 0,
            None => self.slots.len() as u32,
        };
        let ids = self.order.iter().flatten().copied();
        let ids = ids.chain((0..unordered).map(ExportId));
        ids.filter_map(|id| Some((id, self.get(id)?)))
    }

    /// The order in which they stand, if the front end keeps one.
    pub(super) fn order(&self) -> Option<&[ExportId]> {
        self.order.as_deref()
    }

    /// Numbers for exports that are new, each once: first these, which are in use no more, then others.
    pub(super) fn spare<'a>(&'a self, gone: &'a [ExportId]) -> impl Iterator<Item = ExportId> + 'a {
        let behind = (self.slots.len() as u32..).map(ExportId);
        let vacant = self.vacant.iter().rev().copied();
        gone.iter().copied().chain(vacant).chain(behind)
    }

    /// Makes changes that have been published. New ones have numbers of [`ExportTable::spare`].
    pub(super) fn apply(&mut self, changes: ExportChanges) {
        let was_vacant = |id: ExportId| self.slots.get(id.index()).is_some_and(Option::is_none);
        let slots = changes.slots.iter();
        let reused = slots.filter(|(id, export)| export.is_some() && was_vacant(*id));
        let left = self.vacant.len() - reused.count();
        self.vacant.truncate(left);
        for (id, _) in &changes.slots {
            self.take(*id);
        }
        for (id, export) in changes.slots {
            match export {
                Some(export) => self.put(id, export),
                None => self.vacant.push(id),
            }
        }
        if changes.order.is_some() {
            self.order = changes.order;
        }
    }

    fn take(&mut self, id: ExportId) {
        let Some(old) = self.slots.get_mut(id.index()).and_then(Option::take) else {
            return;
        };
        let hash = self.hasher.hash_one(&*old.name);
        if let Ok(entry) = self.names.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        if let Some(ids) = self.of.get_mut(&old.decl) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.of.remove(&old.decl);
            }
        }
    }

    fn put(&mut self, id: ExportId, export: Export) {
        if self.slots.len() <= id.index() {
            self.slots.resize(id.index() + 1, None);
        }
        self.of.entry(export.decl).or_default().push(id);
        let hash = self.hasher.hash_one(&*export.name);
        self.slots[id.index()] = Some(export);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.names.insert_unique(hash, id, |id| {
            let export = slots[id.index()].as_ref();
            hasher.hash_one(export.map_or("", |export| &export.name))
        });
    }
}

/// The exports of a version: those of the last commit, with what is pending of them or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exports<'a> {
    table: &'a ExportTable,
    changes: Option<&'a ExportChanges>,
}

impl<'a> Exports<'a> {
    pub(crate) fn new(table: &'a ExportTable, changes: Option<&'a ExportChanges>) -> Self {
        Exports { table, changes }
    }

    /// What changes of them.
    pub(crate) fn changes(self) -> Option<&'a ExportChanges> {
        self.changes
    }

    pub(crate) fn get(self, id: ExportId) -> Option<&'a Export> {
        let changed = self.changes.and_then(|changes| changes.of(id));
        changed.unwrap_or_else(|| self.table.get(id))
    }

    /// An export as of the last commit.
    pub(crate) fn before(self, id: ExportId) -> Option<&'a Export> {
        self.table.get(id)
    }

    /// The exports of a declaration that do not change.
    pub(crate) fn unchanged_of(self, decl: DeclId) -> impl Iterator<Item = ExportId> + 'a {
        let is_unchanged = move |id: &ExportId| {
            let changed = self.changes.and_then(|changes| changes.of(*id));
            changed.is_none()
        };
        self.table.of(decl).iter().copied().filter(is_unchanged)
    }

    /// The order in which they stand, if the front end keeps one.
    pub(crate) fn order(self) -> Option<&'a [ExportId]> {
        let next = self.changes.and_then(|changes| changes.order.as_deref());
        next.or(self.table.order())
    }

    /// All of them: in the order that is kept, or by number.
    pub(crate) fn all(self) -> Vec<(ExportId, &'a Export)> {
        let with_export = |id| Some((id, self.get(id)?));
        if let Some(order) = self.order() {
            return order.iter().copied().filter_map(with_export).collect();
        }
        let new = self.changes.and_then(|changes| changes.slots.last());
        let new = new.map_or(0, |(last, _)| last.index() + 1);
        let ids = (0..self.table.slots.len().max(new) as u32).map(ExportId);
        ids.filter_map(with_export).collect()
    }
}
