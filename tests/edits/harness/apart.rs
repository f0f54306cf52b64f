//! Edits of who owns what, reverts, clones and ids that are stale: how a session makes them, and what it asks of the module.

use std::collections::BTreeSet;

use wasmend as w;
use wasmend::{ErrorKind, Patch, PendingEdit};

use super::check::{Checked, Session, words};
use super::drive::Owner;
use super::model::{Def, Ent, Name, Program};
use super::script::Edit;

impl Session {
    /// Applies one of these edits.
    pub(super) fn apart(&mut self, edit: &Edit) -> Checked {
        match edit {
            Edit::Shared(owner, name, def) => self.share(*owner, *name, def),
            Edit::Disown(owner, name) => self.disown(*owner, *name),
            Edit::Revert(name, was_removed) => self.revert(*name, *was_removed),
            _ => self.clone_module(),
        }
    }

    fn share(&mut self, owner: Name, name: Name, def: &Def) -> Checked {
        let owner = self.declare(owner, Owner::Nothing, true)?;
        let known = self.model.lookup(name);
        let ent = self.declare(name, Owner::Shared(owner), true)?;
        if known.is_some() && self.model.can_own(owner, ent) {
            self.model.pending.shares.insert((ent, owner));
            let owned = self
                .driver
                .edit(|module, ids| module.add_owner(ids.of(ent), ids.of(owner)));
            owned.map_err(words("own"))?;
        }
        self.define(ent, def.clone())
    }

    fn disown(&mut self, owner: Name, name: Name) -> Checked {
        let (Some(owner), Some(ent)) = (self.model.lookup(owner), self.model.lookup(name)) else {
            return Ok(());
        };
        if !self.model.pending.shares.contains(&(ent, owner)) {
            return Ok(());
        }
        self.model.disown(owner, ent);
        let done = self
            .driver
            .edit(|module, ids| module.remove_owner(ids.of(ent), ids.of(owner)));
        done.map_err(words("disown"))
    }

    fn revert(&mut self, name: Name, was_removed: bool) -> Checked {
        let model = &self.model;
        let removed = |(ent, _): &(&Ent, _)| !model.pending.things.contains_key(*ent);
        let ent = match was_removed {
            false => model.lookup(name),
            true => {
                let things = model.committed.things.iter();
                let mut things = things.filter(|(_, thing)| thing.name == name);
                things.find(removed).map(|(ent, _)| *ent)
            }
        };
        let Some(ent) = ent else { return Ok(()) };
        let back = match was_removed {
            false => Some(Vec::new()),
            true => model.comes_back_with(ent),
        };
        if back.is_none() && !self.is_refused_for_sure(ent) {
            return Ok(());
        }
        let done = self.driver.edit(|module, ids| module.revert(ids.of(ent)));
        match (back, done) {
            (Some(back), done) => {
                done.map_err(words("revert"))?;
                self.model.revert(ent, &back);
                Ok(())
            }
            (None, Err(error)) if error.kind() == ErrorKind::BadEdit => Ok(()),
            (None, other) => Err(format!("{name} comes back although it cannot: {other:?}")),
        }
    }

    /// Whether what keeps a thing from coming back is not just the name that the model gives to parts without a key.
    fn is_refused_for_sure(&self, ent: Ent) -> bool {
        let all = [&self.model.committed.things, &self.model.pending.things];
        let mut all = all.into_iter().flat_map(|things| things.values());
        let _ = ent;
        all.all(|thing| thing.has_key())
    }

    fn clone_module(&mut self) -> Checked {
        let old = self.driver.fork().map_err(words("clone"))?;
        if let Some(mut old) = old {
            old.stray();
            if self.seen.commits > 0 && self.published()? != self.mirror {
                return Err("edits of a clone have changed the file".into());
            }
        }
        Ok(())
    }

    /// A clone that was given the same edits must be the same.
    pub(super) fn commit_twin(&mut self, patch: &Patch, published: &[u8]) -> Checked {
        let Some(twin) = &mut self.driver.twin else {
            return Ok(());
        };
        let same = twin.module.commit();
        let same = same.map_err(words("commit of the clone"))?;
        if same.identity != patch.identity {
            return Err(format!(
                "the clone is {}, not {}",
                same.identity, patch.identity
            ));
        }
        match twin.module.bytes().map_err(words("read the clone"))? == published {
            true => Ok(()),
            false => Err("the clone differs".into()),
        }
    }

    /// Notes that what was in one program and is not in the other is gone.
    pub(super) fn forget(&mut self, before: &Program, after: &Program) {
        if self.seen.commits == 0 {
            return;
        }
        let gone = before.things.keys();
        let gone = gone.filter(|ent| !after.things.contains_key(ent));
        self.stale.extend(gone.map(|ent| self.driver.id(*ent)));
        let many = self.stale.len().saturating_sub(64);
        self.stale.drain(..many);
    }

    /// Asks the module what it has, behind a commit.
    pub(super) fn questions(&mut self) -> Checked {
        let module = &mut self.driver.module;
        for id in &self.stale {
            let function = w::FunctionBuilder::new(module.body_style(), &[], &[]);
            let function = function.finish().map_err(words("an empty body"))?;
            if module.declaration(*id).is_ok()
                || module.remove(*id).is_ok()
                || module.revert(*id).is_ok()
                || module.define_function(*id, function).is_ok()
            {
                return Err(format!("{id} is stale, and names something"));
            }
        }
        let (module, model) = (&self.driver.module, &self.model.committed);
        for (ent, thing) in &model.things {
            let id = self.driver.id(*ent);
            let decl = module.declaration(id).map_err(words("ask"))?;
            let shared = model.shares.iter().filter(|(part, _)| part == ent);
            let owners = shared.map(|(_, owner)| *owner).chain(thing.owner);
            let owners: BTreeSet<w::DeclId> = owners.map(|ent| self.driver.id(ent)).collect();
            let shared = model.shares.iter().filter(|(_, owner)| owner == ent);
            let own = model.things.iter().filter(|(_, it)| it.owner == Some(*ent));
            let parts = shared
                .map(|(part, _)| part)
                .chain(own.map(|(part, _)| part));
            let parts: BTreeSet<w::DeclId> = parts.map(|ent| self.driver.id(*ent)).collect();
            let key = thing.has_key().then(|| thing.name.to_string());
            if decl.id() != id
                || decl.pending() != PendingEdit::None
                || decl.is_defined() != thing.bound.is_some()
                || decl.key() != key.as_deref()
                || decl.owners().collect::<BTreeSet<_>>() != owners
                || decl.parts().collect::<BTreeSet<_>>() != parts
                || key.is_some_and(|key| module.lookup(&key) != Some(id))
            {
                return Err(format!("{} is {decl:?}", thing.name));
            }
        }
        // The table of slots is the module's own.
        match module.declarations() - module.slot_table().iter().count() == model.things.len() {
            true => Ok(()),
            false => Err(format!("there are {}", module.declarations())),
        }
    }
}
