//! What is said of a program beside its declarations and definitions, and how all that was said since the last commit is
//! taken back or made lasting. A program that has discarded its edits hands out the same ids again: it cannot be told
//! from one that never had them.

use crate::program::declaration::Pending;
use crate::program::exports::{Export, ExportEdit};
use crate::program::ids::DeclId;
use crate::program::pending::{Discarded, Lengths};
use crate::program::store::Program;

impl Program {
    /// Whether the next commit changes anything of the program.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.exports.is_empty()
            || self.pending.all_exports.is_some()
            || self.pending.import_order.is_some()
            || self.pending.start.is_some()
            || self.renamed().next().is_some()
            || self.dirty.iter().any(|id| self.decl(*id).changes())
    }

    /// What is defined as of the last commit and has another name now.
    pub(crate) fn renamed(&self) -> impl Iterator<Item = DeclId> {
        let names = self.pending.names.iter();
        names.filter_map(|(id, before)| {
            let decl = self.decl(*id);
            (decl.current().is_some() && decl.name != *before).then_some(*id)
        })
    }

    /// Adds to what happens to the exports.
    pub(crate) fn edit_exports(&mut self, edits: impl IntoIterator<Item = ExportEdit>) {
        for edit in edits {
            // A compiler that exports what is exported already has edited nothing.
            let is_first = self.pending.exports.is_empty() && self.pending.all_exports.is_none();
            if !(is_first && self.is_exported_so(&edit)) {
                self.pending.exports.push(edit);
            }
        }
    }

    /// Whether an edit adds what there was at the last commit.
    fn is_exported_so(&self, edit: &ExportEdit) -> bool {
        let ExportEdit::Add(export) = edit else {
            return false;
        };
        let found = self.exports.find(&export.name);
        found.and_then(|id| self.exports.get(id)) == Some(export)
    }

    /// Makes these all exports, in this order. Each name must be there once.
    pub(crate) fn set_exports(&mut self, exports: &[(Box<str>, DeclId)]) {
        let exports = exports.iter().map(|(name, decl)| Export {
            name: name.clone(),
            decl: *decl,
        });
        let exports: Vec<Export> = exports.collect();
        self.pending.exports.clear();
        let is_ordered = self.exports.order().is_some() || exports.is_empty();
        let mut said = self.said_exports();
        let is_same = |export| said.next().is_some_and(|(_, other)| other == export);
        let stays = is_ordered && exports.iter().all(is_same) && said.next().is_none();
        drop(said);
        self.pending.all_exports = (!stays).then_some(exports);
    }

    /// All exports after the next commit, if they were set.
    pub(super) fn pending_exports(&self) -> Option<&[Export]> {
        self.pending.all_exports.as_deref()
    }

    /// Sets the order in which imports stand: all that there are after the next commit. It is part of the interface for those
    /// who give imports by position.
    pub(crate) fn set_import_order(&mut self, order: Vec<DeclId>) {
        let changes = self.import_order.as_ref() != Some(&order);
        self.pending.import_order = changes.then_some(order);
    }

    /// The order in which imports stand after the next commit, if somebody keeps one.
    pub(crate) fn next_import_order(&self) -> Option<&[DeclId]> {
        let pending = self.pending.import_order.as_deref();
        pending.or(self.import_order.as_deref())
    }

    /// Whether the next commit gives imports another order.
    pub(crate) fn import_order_changes(&self) -> bool {
        self.pending.import_order.is_some()
    }

    /// Lets another function, or none, run at instantiation.
    pub(crate) fn set_start(&mut self, start: Option<DeclId>) {
        self.pending.start = (start != self.start).then_some(start);
    }

    /// The start function after the next commit.
    pub(crate) fn next_start(&self) -> Option<DeclId> {
        self.pending.start.unwrap_or(self.start)
    }

    /// Keeps the name that a declaration has now, if it had it at the last commit.
    pub(super) fn keep_name(&mut self, id: DeclId) {
        let decl = &mut self.decls[id.index()];
        let is_new = self.pending.is_new(decl.serial);
        if !is_new && !std::mem::replace(&mut decl.renamed, true) {
            self.pending.names.push((id, decl.name.clone()));
        }
    }

    /// Forgets all edits since the last commit, with what was declared, and every type and section that came with them.
    ///
    /// A front end whose first commit failed has ids of all that it has declared, and nothing else: if there was no commit
    /// yet, these are declared again by whoever defines them.
    pub(crate) fn discard(&mut self, is_first: bool) {
        let mut lost_keys = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            let decl = &mut self.decls[id.index()];
            decl.dirty = false;
            let was_removed = matches!(decl.pending(), Pending::Remove);
            decl.drop_pending();
            if was_removed && !self.pending.is_new(decl.serial) {
                lost_keys.push(id);
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for (id, name) in pending.names {
            let decl = &mut self.decls[id.index()];
            decl.name = name;
            decl.renamed = false;
        }
        for id in pending.frozen {
            self.decls[id.index()].library = None;
        }
        for library in pending.thawed {
            self.libraries[library.index()].is_frozen = true;
        }
        self.sharing.take_back(|_| true);
        // In this order the ids are given out again as they were.
        self.discarded.clear();
        for id in pending.declared.into_iter_reversed() {
            let discarded = self.undeclare(id);
            self.discarded.extend(discarded.filter(|_| is_first));
        }
        for id in lost_keys {
            if let Some(key) = self.decls[id.index()].key.clone() {
                self.insert_key(&key, id);
            }
        }
        let before = pending.before;
        self.types.truncate(before.types);
        self.sections.truncate(before.sections);
        self.fillers.truncate(before.sections);
        self.spare_orphans.truncate(before.spare_orphans);
        self.declared = before.declared;
        self.pending.before = before;
    }

    fn undeclare(&mut self, id: DeclId) -> Option<Discarded> {
        self.remove_key(id);
        let is_shared = self.is_shared(id);
        self.sharing.forget(id);
        let decl = self.decls.remove(id.index());
        let kind = self.kinds[id.index()].take()?;
        if let Some(owner) = decl.owner.and_then(|id| self.decls.get_mut(id.index())) {
            owner.remove_member(id);
        }
        Some(Discarded {
            id,
            stamp: decl.stamp,
            kind,
            key: decl.key,
            owner: decl.owner,
            is_shared,
        })
    }

    /// Declares again what was discarded, up to this one, for as long as nothing has taken its place.
    pub(super) fn declare_again(&mut self, id: DeclId) {
        while self.discarded.iter().any(|discarded| discarded.id == id) {
            let Some(next) = self.discarded.pop() else {
                return;
            };
            let declared = match next.is_shared {
                false => self.declare(next.kind, next.key.as_deref(), next.owner),
                true => self.declare_shared(next.kind, next.key.as_deref()),
            };
            match declared {
                Ok(declared) if declared == next.id => {
                    self.decls[declared.index()].stamp = next.stamp;
                }
                _ => self.discarded.clear(),
            }
        }
    }

    /// Makes what was said lasting, behind a commit or before the first edit.
    pub(crate) fn settle_pending(&mut self) {
        self.discarded.clear();
        self.sharing.settle();
        let pending = std::mem::take(&mut self.pending);
        if let Some(order) = pending.import_order {
            self.import_order = Some(order);
        }
        for (id, _) in pending.names {
            if let Some(decl) = self.decls.get_mut(id.index()) {
                decl.renamed = false;
            }
        }
        self.pending.before = Lengths {
            types: self.types.len(),
            sections: self.sections.len(),
            spare_orphans: self.spare_orphans.len(),
            declared: self.declared,
        };
    }
}
