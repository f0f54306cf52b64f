//! Parts with several owners, such as instantiations: one is there for as long as any of its owners is. Other than parts of
//! one owner they have types of their own.
//!
//! Who owns what is an edit like any other: it can be taken back until it is published.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::program::declaration::{DeclKind, Pending};
use crate::program::ids::DeclId;
use crate::program::store::Program;

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
struct Said {
    part: DeclId,
    owner: DeclId,
    owns: bool,
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

    fn say(&mut self, said: Said) {
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

impl Program {
    /// Declares a part that several others can own. It has no owner yet.
    pub(crate) fn declare_shared(&mut self, kind: DeclKind, key: Option<&str>) -> Result<DeclId> {
        let id = self.declare(kind, key, None)?;
        self.sharing.owners.insert(id, SmallVec::new());
        Ok(id)
    }

    /// Whether several others can own a declaration.
    pub(crate) fn is_shared(&self, id: DeclId) -> bool {
        self.sharing.owners.contains_key(&id)
    }

    /// The owners of a shared part.
    pub(crate) fn owners_of(&self, part: DeclId) -> &[DeclId] {
        self.sharing.owners.get(&part).map_or(&[], |owners| owners)
    }

    /// The shared parts of a declaration.
    pub(crate) fn shared_parts(&self, owner: DeclId) -> &[DeclId] {
        self.sharing.parts.get(&owner).map_or(&[], |parts| parts)
    }

    /// Gives a shared part another owner.
    pub(crate) fn add_owner(&mut self, part: DeclId, owner: DeclId) -> Result<()> {
        self.expect_shared(part)?;
        self.expect(owner)?;
        if self.owners_of(part).contains(&owner) {
            return Ok(());
        }
        if part == owner || self.is_part_of(owner, part) {
            let text = "cannot be owned by what is a part of it";
            return Err(Error::bad_edit(text).with_symbol(self.decl(part).label()));
        }
        let owns = true;
        self.sharing.say(Said { part, owner, owns });
        Ok(())
    }

    /// Takes an owner away; with the last one the part goes.
    pub(crate) fn remove_owner(&mut self, part: DeclId, owner: DeclId) -> Result<()> {
        self.expect_shared(part)?;
        if !self.owners_of(part).contains(&owner) {
            let text = "is not owned by that declaration";
            return Err(Error::bad_edit(text).with_symbol(self.decl(part).label()));
        }
        let owns = false;
        self.sharing.say(Said { part, owner, owns });
        match self.has_owner(part) {
            true => Ok(()),
            false => self.remove(part),
        }
    }

    /// Removes the shared parts of a declaration that is going, unless others own them too.
    pub(super) fn remove_shared_parts(&mut self, owner: DeclId) -> Result<()> {
        for part in self.shared_parts(owner).to_vec() {
            if self.expect(part).is_ok() && !self.has_owner(part) {
                self.remove(part)?;
            }
        }
        Ok(())
    }

    /// Whether any owner of a shared part stays.
    pub(super) fn has_owner(&self, part: DeclId) -> bool {
        let mut owners = self.owners_of(part).iter();
        owners.any(|owner| self.expect(*owner).is_ok())
    }

    fn expect_shared(&self, part: DeclId) -> Result<()> {
        let decl = self.expect(part)?;
        match self.is_shared(part) {
            true => Ok(()),
            false => Err(Error::bad_edit("cannot have several owners")
                .with_symbol(decl.label())
                .with_hint("declare it as shared")),
        }
    }

    /// Whether one declaration is a part of another, of one of its parts, and so on.
    fn is_part_of(&self, id: DeclId, whole: DeclId) -> bool {
        let owner = self.get(id).and_then(|decl| decl.owner);
        let mut owners = self.owners_of(id).iter().copied().chain(owner);
        owners.any(|owner| owner == whole || self.is_part_of(owner, whole))
    }
}

impl Program {
    /// Takes back what was said of one declaration since the last commit: its definition or removal, its name, its owners and
    /// shared parts. What has been declared since then goes.
    pub(crate) fn revert(&mut self, id: DeclId) -> Result<()> {
        let gone = || Error::bad_edit(format!("{id} is not declared"));
        let decl = self.get(id).ok_or_else(gone)?;
        let is_removed = matches!(decl.pending(), Pending::Remove);
        if self.pending.is_new(decl.serial) {
            return match is_removed {
                true => Ok(()),
                false => self.remove(id),
            };
        }
        let mut back = vec![id];
        if is_removed {
            self.expect_owner(id)?;
            self.add_removed_parts(&mut back);
            for &id in &back {
                let decl = self.decl(id);
                let other = decl.key.as_deref().and_then(|key| self.lookup(key));
                if other.is_some() {
                    let text = "was removed, and something else has its key now";
                    return Err(Error::bad_edit(text).with_symbol(decl.label()));
                }
            }
        }
        self.dirty.retain(|dirty| !back.contains(dirty));
        for id in back {
            self.decls[id.index()].drop_pending();
            self.decls[id.index()].dirty = false;
            if let Some(key) = self.decl(id).key.clone().filter(|_| is_removed) {
                self.insert_key(&key, id);
            }
        }
        self.pending.calls.remove(&id);
        let named = self.pending.names.iter().find(|(named, _)| *named == id);
        if let Some((_, name)) = named {
            self.decls[id.index()].name.clone_from(name);
        }
        self.sharing.take_back(|said| said == id);
        Ok(())
    }

    /// Something that owns it must stay, if anything does own it.
    fn expect_owner(&self, id: DeclId) -> Result<()> {
        let decl = self.decl(id);
        let has_one = match decl.owner {
            Some(owner) => self.expect(owner).is_ok(),
            None => self.owners_of(id).is_empty() || self.has_owner(id),
        };
        match has_one {
            true => Ok(()),
            false => Err(Error::bad_edit("is part of what is removed")
                .with_symbol(decl.label())
                .with_hint("revert its owner")),
        }
    }

    /// Adds what went with these because it is part of them.
    fn add_removed_parts(&self, all: &mut Vec<DeclId>) {
        let mut at = 0;
        while let Some(&id) = all.get(at) {
            let members = self.decl(id).members().iter();
            for &part in members.chain(self.shared_parts(id)) {
                let decl = self.decl(part);
                let is_removed = matches!(decl.pending(), Pending::Remove);
                if is_removed && !self.pending.is_new(decl.serial) && !all.contains(&part) {
                    all.push(part);
                }
            }
            at += 1;
        }
    }
}
