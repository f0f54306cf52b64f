//! Who owns the parts that several others can own. It is an edit like any other: it can be taken back until it is published.
//!
//! Nothing here knows what a declaration is: what follows from who owns what is in `owners`.

use smallvec::SmallVec;

use crate::hash::HashMap;
use crate::program::ids::DeclId;

/// Who owns which shared parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Sharing {
    /// Of each shared part, also where it has none.
    owners: HashMap<DeclId, SmallVec<[DeclId; 2]>>,
    /// The other way round.
    parts: HashMap<DeclId, Vec<DeclId>>,
    /// What was said since the last commit, in order.
    said: Vec<Said>,
}

/// That a part has an owner, or has it no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) part: DeclId,
    pub(super) owner: DeclId,
    pub(super) owns: bool,
}

impl Sharing {
    fn set(&mut self, said: Said) {
        let Said { part, owner, owns } = said;
        let owners = self.owners.entry(part).or_default();
        let parts = self.parts.entry(owner).or_default();
        match owns {
            true => {
                owners.push(owner);
                parts.push(part);
            }
            false => {
                owners.retain(|other| *other != owner);
                parts.retain(|other| *other != part);
            }
        }
        if parts.is_empty() {
            self.parts.remove(&owner);
        }
    }

    /// Lets several others own a part. It has no owner yet.
    pub(super) fn begin(&mut self, part: DeclId) {
        self.owners.insert(part, SmallVec::new());
    }

    /// The owners of a part, if several can own it.
    pub(super) fn owners(&self, part: DeclId) -> Option<&[DeclId]> {
        self.owners.get(&part).map(|owners| &**owners)
    }

    /// The parts of an owner.
    pub(super) fn parts(&self, owner: DeclId) -> &[DeclId] {
        self.parts.get(&owner).map_or(&[], |parts| parts)
    }

    /// Gives a part an owner, or takes one away, until that is taken back.
    pub(super) fn say(&mut self, said: Said) {
        self.set(said);
        self.said.push(said);
    }

    /// Takes back what was said since the last commit, as far as it is about a declaration that `is_meant`.
    pub(super) fn take_back(&mut self, is_meant: impl Fn(DeclId) -> bool) {
        let all = std::mem::take(&mut self.said);
        let is_meant = |said: &Said| is_meant(said.part) || is_meant(said.owner);
        for said in all.iter().rev().filter(|said| is_meant(said)) {
            self.set(Said {
                owns: !said.owns,
                ..*said
            });
        }
        self.said = all.into_iter().filter(|said| !is_meant(said)).collect();
    }

    /// Makes what was said lasting.
    pub(super) fn settle(&mut self) {
        self.said.clear();
    }

    /// Forgets a declaration that is gone.
    pub(super) fn forget(&mut self, id: DeclId) {
        for part in self.parts.remove(&id).unwrap_or_default() {
            if let Some(owners) = self.owners.get_mut(&part) {
                owners.retain(|owner| *owner != id);
            }
        }
        for owner in self.owners.remove(&id).unwrap_or_default() {
            if let Some(parts) = self.parts.get_mut(&owner) {
                parts.retain(|part| *part != id);
            }
        }
    }
}
