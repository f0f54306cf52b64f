//! Orphaned code: what functions leave behind when they move. It is still valid and called by nobody, and stays until its
//! place is used again.
//!
//! Each orphan is a declaration without a key, so that whoever changes what it refers to finds it like any other source.
//! It has the code as its definition from the moment that the planner decides to leave it, but only a published commit
//! makes that current. Nothing here knows where orphans stand.

use std::collections::BTreeSet;

use crate::hash::HashMap;
use crate::program::declaration::Definition;
use crate::program::ids::DeclId;

/// Code that a function leaves behind in a commit.
#[derive(Debug)]
pub(crate) struct Orphan {
    /// What stands for the code from this commit on.
    pub(crate) id: DeclId,
    /// The function that left it.
    pub(crate) origin: DeclId,
    /// The declaration whose types it shares.
    pub(crate) root: DeclId,
    /// The code as it stands in the file.
    pub(crate) definition: Definition,
}

/// What one commit changes of the orphaned code.
#[derive(Debug, Default)]
pub(crate) struct OrphanChanges {
    /// In the order in which they were left; `None` where one was overwritten again.
    added: Vec<Option<Orphan>>,
    /// Where each stands in that list.
    places: HashMap<DeclId, usize>,
    overwritten: Vec<DeclId>,
    /// How many of the program's spare declarations stand for something, or did.
    taken: usize,
}

impl OrphanChanges {
    /// Orphans the code of `origin`, which shares its types with `root`. One of the program's `spare` declarations stands
    /// for it, which is returned; `None` if all of them do for something.
    pub(crate) fn add(
        &mut self,
        spare: &[DeclId],
        (origin, root): (DeclId, DeclId),
        code: &Definition,
    ) -> Option<DeclId> {
        let id = *spare.get(self.taken)?;
        self.taken += 1;
        self.places.insert(id, self.added.len());
        self.added.push(Some(Orphan {
            id,
            origin,
            root,
            definition: code.clone(),
        }));
        Some(id)
    }

    /// Notes that an orphan's place is used again. If it was orphaned in this very commit, it never was one: that is
    /// returned.
    pub(crate) fn overwrite(&mut self, id: DeclId) -> Option<Orphan> {
        match self.places.remove(&id) {
            Some(at) => self.added[at].take(),
            None => {
                self.overwritten.push(id);
                None
            }
        }
    }

    /// Where the entry of a function moved too, its old code goes on calling itself: nothing in it must be rewritten for
    /// that, now or later. `moved` are the declarations whose index is another one.
    pub(crate) fn call_themselves(&mut self, moved: &BTreeSet<DeclId>) {
        let added = self.added.iter_mut().flatten();
        for orphan in added.filter(|it| moved.contains(&it.origin)) {
            for reloc in orphan.definition.content.relocs_mut() {
                reloc.follow(orphan.origin, orphan.id);
            }
        }
    }

    /// Code that is orphaned in this commit.
    pub(crate) fn added(&self) -> impl Iterator<Item = &Orphan> {
        self.added.iter().flatten()
    }

    /// The code that a declaration stands for which is orphaned in this commit.
    pub(crate) fn get(&self, id: DeclId) -> Option<&Orphan> {
        self.added[*self.places.get(&id)?].as_ref()
    }

    /// Both lists: code that is orphaned in this commit, and older orphans that are overwritten in it.
    pub(super) fn into_parts(self) -> (Vec<Orphan>, Vec<DeclId>) {
        (self.added.into_iter().flatten().collect(), self.overwritten)
    }
}
