//! Edits of who owns what, reservations, reverts, clones and ids that are stale: how a session makes them, and what it asks of
//! the module.

use std::collections::BTreeSet;

use wasmend as w;
use wasmend::{ErrorKind, Patch, PendingEdit};

use super::answers;
use super::check::{Checked, Session, words};
use super::drive::{Owner, Reserved};
use super::model::{Def, Ent, Kind, Name, Program, RESET};
use super::script::Edit;

impl Session {
    /// Applies one of these edits.
    pub(super) fn apart(&mut self, edit: &Edit) -> Checked {
        match edit {
            Edit::Shared(owner, name, def) => self.share(*owner, *name, def),
            Edit::Disown(owner, name) => self.disown(*owner, *name),
            Edit::Revert(name, was_removed) => self.revert(*name, *was_removed),
            Edit::Reserve(all) => self.reserve(all),
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

    fn reserve(&mut self, all: &[(Name, Def, bool)]) -> Checked {
        let mut new: Vec<(Name, Def, bool)> = Vec::new();
        for (name, def, is_part) in all {
            let is_known = self.model.lookup(*name).is_some();
            if is_known || new.iter().any(|(other, ..)| other == name) {
                continue;
            }
            // The owner is a function, as everywhere else.
            let first = new.first();
            let is_part = *is_part
                && name.0 == Kind::Function
                && first.is_some_and(|(first, ..)| first.0 == Kind::Function);
            new.push((*name, def.clone(), is_part));
        }
        let Some(&(first, ..)) = new.first() else {
            return Ok(());
        };
        let is_new = |name: &Name| new.iter().any(|(other, ..)| other == name);
        let named = new.iter().flat_map(|(_, def, _)| def.names());
        let others: Vec<Name> = named.filter(|name| !is_new(name)).collect();
        for name in others {
            self.declare(name, Owner::Nothing, true)?;
        }
        // Whatever the threads do, they are declared in this order.
        new.sort_by_key(|(name, _, is_part)| (*is_part, name.to_string()));
        let mut ents = Vec::new();
        for (name, _, is_part) in &new {
            let owner = self.model.lookup(first).filter(|_| *is_part);
            ents.push((self.model.declare(*name, owner, true).0, owner));
        }
        let mut reserved = Vec::new();
        for ((name, def, _), (ent, owner)) in new.into_iter().zip(ents) {
            let bound = self.model.bound(def);
            self.model.bind(ent, bound.clone());
            reserved.push(Reserved {
                ent,
                name,
                owner: owner.map_or(Owner::Nothing, Owner::One),
                bound,
            });
        }
        let done = self.driver.reserve_all(&reserved);
        done.map_err(words("reserve"))
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
                let id = self.driver.id(ent);
                let pending = self.driver.module.declaration(id);
                let pending = pending.map_or(PendingEdit::None, |decl| decl.pending());
                match pending == PendingEdit::None || !self.model.pending.things.contains_key(&ent)
                {
                    true => Ok(()),
                    false => Err(format!("{name} is reverted, but pending: {pending:?}")),
                }
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
            self.stale.extend(old.stray());
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

    /// A clone must say the same of what both have; and what was declared in one of them is nothing in the other.
    fn ask_twin(&self) -> Checked {
        let Some(twin) = &self.driver.twin else {
            return Ok(());
        };
        let program = &self.model.committed;
        let ours = answers::in_words(&self.driver, program, true);
        answers::same(
            "the clone says",
            &ours,
            &answers::in_words(twin, program, true),
        )?;
        for (ent, thing) in &program.things {
            let (ours, theirs) = (self.driver.id(*ent), twin.id(*ent));
            let is_foreign = self.driver.module.declaration(theirs).is_err()
                && twin.module.declaration(ours).is_err();
            if ours != theirs && !is_foreign {
                return Err(format!("{} has the id of another module", thing.name));
            }
        }
        Ok(())
    }

    /// Notes that what was in one program and is not in the other is gone.
    pub(super) fn forget(&mut self, before: &Program, after: &Program) {
        if self.seen.commits == 0 {
            return;
        }
        let gone = before.things.keys();
        let gone = gone.filter(|ent| !after.things.contains_key(ent));
        self.stale.extend(gone.map(|ent| self.driver.id(*ent)));
        let many = self.stale.len().saturating_sub(32);
        self.stale.drain(..many);
    }

    /// Asks the module what it has, behind a commit.
    pub(super) fn questions(&mut self) -> Checked {
        self.ask_twin()?;
        let other = self.model.lookup(RESET).map(|ent| self.driver.id(ent));
        let memory = self.driver.memory();
        for id in &self.stale {
            let module = &mut self.driver.module;
            self.seen.stale_ids += 1;
            if let Some(what) = accepts(module, *id, memory, other).map_err(words("a stale id"))? {
                return Err(format!("{id} is stale, and {what} takes it"));
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

/// What takes an id that names nothing, if anything does. `function` is one that is there.
fn accepts(
    module: &mut w::Module,
    id: w::DeclId,
    memory: w::DeclId,
    function: Option<w::DeclId>,
) -> w::Result<Option<&'static str>> {
    let style = module.body_style();
    let empty = || w::FunctionBuilder::new(style, &[], &[]).finish();
    let import = w::ImportType::Function(Vec::new(), Vec::new());
    let data = || w::Data::new([0; 8], 0);
    let table = w::TableType {
        element: w::RefType::FUNCREF,
        minimum: 1,
        maximum: None,
        is_64: false,
    };
    let mut taken = vec![
        ("declaration", module.declaration(id).is_ok()),
        ("remove", module.remove(id).is_ok()),
        ("revert", module.revert(id).is_ok()),
        (
            "define_function",
            module.define_function(id, empty()?).is_ok(),
        ),
        (
            "define_data",
            module.define_data(id, memory, data()).is_ok(),
        ),
        ("define_global", {
            let value = w::ConstExpr::I32(0);
            module
                .define_global(id, w::ValType::I32, true, value)
                .is_ok()
        }),
        ("define_table", module.define_table(id, table).is_ok()),
        ("define_tag", module.define_tag(id, &[]).is_ok()),
        (
            "define_import",
            module.define_import(id, "env", "f", &import).is_ok(),
        ),
        ("set_name", module.set_name(id, "stale").is_ok()),
        ("export", module.export("stale", id).is_ok()),
        ("set_start", module.set_start(Some(id)).is_ok()),
        ("declare_part", {
            let part = module.declare_part(id, w::DeclKind::Function, None);
            part.is_ok()
        }),
    ];
    let reservations = module.reservations();
    let kind = w::DeclKind::Function;
    taken.push((
        "reserve_part",
        reservations.reserve_part(id, kind, "stale").is_ok(),
    ));
    taken.push((
        "reserve_shared",
        reservations.reserve_shared(id, kind, "stale").is_ok(),
    ));
    drop(reservations);
    if let Some(function) = function {
        let mut names_it = [(); 3].map(|()| w::FunctionBuilder::new(style, &[], &[]));
        names_it[0].call(id, &[], &[]);
        names_it[1].global_get(id).op(&w::Instruction::Drop);
        names_it[2].address_of_data(id, 0).op(&w::Instruction::Drop);
        for body in names_it {
            let done = module.define_function(function, body.finish()?);
            taken.push(("a body", done.is_ok()));
        }
        taken.push(("add_owner", module.add_owner(id, function).is_ok()));
        taken.push(("add_owner", module.add_owner(function, id).is_ok()));
        taken.push(("remove_owner", module.remove_owner(function, id).is_ok()));
    }
    Ok(taken
        .iter()
        .find(|(_, taken)| *taken)
        .map(|(what, _)| *what))
}
