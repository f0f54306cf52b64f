//! Edits of who owns what, and taking back what was said of one declaration.

use crate::error::Result;
use crate::module::Module;
use crate::module::handle::DeclId;
use crate::program::DeclKind;

impl Module {
    /// Declares a part that several others can own, such as an instantiation or a constant that more than one function uses:
    /// it is there for as long as any of its owners is, and goes with the last. Until it has an owner it is there like
    /// any other declaration. Other than a [part of one](Module::declare_part) it has types of its own.
    ///
    /// # Errors
    /// If the key is taken or too long.
    pub fn declare_shared(&mut self, kind: DeclKind, key: Option<&str>) -> Result<DeclId> {
        self.check_own_name(key)?;
        let id = self.program.declare_shared(kind, key)?;
        Ok(self.handed_out(id))
    }

    /// Gives a shared part another owner; one that it has already is no error.
    ///
    /// # Errors
    /// If the part was not [declared as shared](Module::declare_shared), or the owner is a part of it.
    pub fn add_owner(&mut self, part: DeclId, owner: DeclId) -> Result<()> {
        let (part, owner) = (self.find(part)?, self.find(owner)?);
        self.program.add_owner(part, owner)
    }

    /// Takes an owner of a shared part away. If no other owner stays, the part is removed.
    ///
    /// # Errors
    /// If the part does not have this owner.
    pub fn remove_owner(&mut self, part: DeclId, owner: DeclId) -> Result<()> {
        let (part, owner) = (self.find(part)?, self.find(owner)?);
        self.program.remove_owner(part, owner)
    }

    /// Takes back the edit of one declaration since the last commit: its definition or removal, its name, what owns it and which
    /// shared parts it owns, and for a memory which addresses data may take. With what was removed come back its parts. What has been declared since the last
    /// commit is removed, with its parts; so whatever still refers to it is an error at the commit.
    ///
    /// Exports and the start function are the module's: they stay as they have been said.
    ///
    /// # Errors
    /// If something else has its key now, or what it is a part of is removed. Nothing is changed then.
    pub fn revert(&mut self, id: DeclId) -> Result<()> {
        let found = self.find(id)?;
        self.program.revert(found)?;
        self.pending.revert_data_range(&self.settings, found);
        Ok(())
    }
}
