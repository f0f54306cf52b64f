//! Parts with several owners, such as instantiations: one is there for as long as any of its owners is. Other than parts of
//! one owner they have types of their own. Nothing here knows where anything stands.

use crate::error::{Error, Result};
use crate::program::declaration::DeclKind;
use crate::program::ids::DeclId;
use crate::program::sharing::Said;
use crate::program::store::Program;

impl Program {
    /// Declares a part that several others can own. It has no owner yet.
    pub(crate) fn declare_shared(&mut self, kind: DeclKind, key: Option<&str>) -> Result<DeclId> {
        let id = self.declare(kind, key, None)?;
        self.sharing.begin(id);
        Ok(id)
    }

    /// Whether several others can own a declaration.
    pub(crate) fn is_shared(&self, id: DeclId) -> bool {
        self.sharing.owners(id).is_some()
    }

    /// The owners of a shared part.
    pub(crate) fn owners_of(&self, part: DeclId) -> &[DeclId] {
        self.sharing.owners(part).unwrap_or_default()
    }

    /// The shared parts of a declaration.
    pub(crate) fn shared_parts(&self, owner: DeclId) -> &[DeclId] {
        self.sharing.parts(owner)
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
        // Many ways may lead to one owner.
        let mut seen = vec![id];
        let mut at = 0;
        while let Some(&id) = seen.get(at) {
            at += 1;
            let owner = self.get(id).and_then(|decl| decl.owner);
            for owner in self.owners_of(id).iter().copied().chain(owner) {
                if owner == whole {
                    return true;
                }
                if !seen.contains(&owner) {
                    seen.push(owner);
                }
            }
        }
        false
    }
}
