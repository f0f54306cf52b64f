//! Taking back the edit of one declaration. What takes back all of them is in `discard`.

use crate::error::{Error, Result};
use crate::program::declaration::Pending;
use crate::program::ids::DeclId;
use crate::program::store::Program;

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
        self.pending.calls.remove(id);
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
