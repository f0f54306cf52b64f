//! The program: all declarations, their keys, the exports and the start function; what is committed and what is
//! pending. What takes an edit back is in `discard`.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::hash::{HashMap, HashSet, HashTable};
use crate::program::content::{RelocatableBytes, Relocation};
use crate::program::declaration::{DeclKind, Declaration, Definition, DefinitionKind, Pending};
use crate::program::exports::{ExportChanges, ExportTable};
use crate::program::ids::{DeclId, LibraryId, SectionId, TypeId};
use crate::program::orphans::OrphanChanges;
use crate::program::pending::{Discarded, PendingSet};
use crate::program::sharing::Sharing;
use crate::program::slab::Slab;
use crate::program::types::TypeTable;
use crate::wire::gap::GapFiller;

/// Where functions come from that are not expected to change.
#[derive(Debug, Clone)]
pub(super) struct Library {
    name: Box<str>,
    /// Whether none of them has changed since they were committed first.
    pub(super) is_frozen: bool,
}

/// So many declarations are made, or become current, on all cores.
const MANY: usize = 4096;

/// Something to be declared that has no key and no owner.
#[cfg(feature = "link")]
#[derive(Debug, Default)]
pub(crate) struct New {
    /// What the name section calls it.
    pub(crate) name: Option<Box<str>>,
    pub(crate) library: Option<LibraryId>,
}

/// What exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    pub(super) decls: Slab<Declaration>,
    /// What each declaration is, by id: so little that all of it stays at hand while references are checked.
    pub(super) kinds: Vec<Option<DeclKind>>,
    keys: HashTable<DeclId>,
    hasher: foldhash::fast::FixedState,
    pub(crate) types: TypeTable,
    /// The custom sections that pieces can stand in, by id.
    pub(super) sections: Vec<Box<str>>,
    /// What their owners have named to fill gaps in them.
    pub(super) fillers: Vec<Option<GapFiller>>,
    /// Where functions come from that are not expected to change, by id.
    pub(super) libraries: Vec<Library>,
    /// Declarations with something pending, each once, in the order of their first edit.
    pub(crate) dirty: Vec<DeclId>,
    /// As of the last commit.
    pub(crate) exports: ExportTable,
    /// Declarations for code that functions leave behind: in use, and not in use.
    orphans: Vec<DeclId>,
    pub(super) spare_orphans: Vec<DeclId>,
    /// As of the last commit.
    pub(crate) start: Option<DeclId>,
    /// Whether a piece of a custom section has ever named an offset of code.
    pub(crate) names_code_offsets: bool,
    /// Whether functions can have slots, and so addresses.
    pub(super) has_slots: bool,
    /// The table of slots, if instances that run take deltas: then what these need is exported.
    pub(super) live_slots: Option<DeclId>,
    /// How many declarations there have been.
    pub(super) declared: u32,
    /// The same, with those that were discarded.
    stamps: u32,
    /// The order in which imports stand, if the front end keeps one.
    pub(super) import_order: Option<Vec<DeclId>>,
    /// What else has been said since the last commit.
    pub(super) pending: PendingSet,
    pub(super) sharing: Sharing,
    /// What was declared for a first commit and discarded, the first at the end. Whoever defines it declares it again.
    pub(super) discarded: Vec<Discarded>,
}

/// Pieces of custom sections as they were before a commit that changed them; nothing for those that were not there.
pub(crate) type Displaced = HashMap<DeclId, Option<Definition>, foldhash::fast::FixedState>;

/// What became of declarations in a commit.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// What was defined, but for pieces that have the fields which they had, or nearly.
    pub(crate) defined: Vec<DeclId>,
    /// What these refer to that they may not have referred to before.
    pub(crate) more_targets: Vec<(DeclId, DeclId)>,
    pub(crate) removed: Vec<DeclId>,
    /// Only where instances that run take deltas.
    pub(crate) displaced: Displaced,
}

impl Program {
    /// Makes room for so many more declarations.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.decls.reserve(count);
        self.kinds.reserve(count);
        self.dirty.reserve(count);
    }

    /// Declares something; it has no definition yet.
    pub(crate) fn declare(
        &mut self,
        kind: DeclKind,
        key: Option<&str>,
        owner: Option<DeclId>,
    ) -> Result<DeclId> {
        if let Some(key) = key
            && let Some(other) = self.lookup(key)
        {
            return Err(Error::bad_edit(format!(
                "is declared already, as a {}",
                self.decls[other.index()].kind
            ))
            .with_symbol(key));
        }
        if let Some(owner) = owner {
            self.expect(owner)?;
        }
        let id = DeclId(self.decls.vacant_key() as u32);
        self.discarded.pop_if(|discarded| discarded.id == id);
        self.pending.declared.push(id);
        self.declared += 1;
        if self.kinds.len() <= id.index() {
            self.kinds.resize(id.index() + 1, None);
        }
        self.kinds[id.index()] = Some(kind);
        let mut decl = Declaration::new(kind, key, self.declared, owner);
        decl.stamp = self.stamps;
        self.stamps = self.stamps.wrapping_add(1);
        self.decls.insert(decl);
        if let Some(owner) = owner {
            self.decls[owner.index()].add_member(id);
        }
        if let Some(key) = key {
            self.insert_key(key, id);
        }
        Ok(id)
    }

    /// Declares several things of one kind, in their order: as one after the other, on all cores if they are many and no number
    /// is used again.
    #[cfg(feature = "link")]
    pub(crate) fn declare_all(&mut self, kind: DeclKind, new: Vec<New>) -> Result<Vec<DeclId>> {
        let count = new.len() as u32;
        if new.len() < MANY || !self.decls.is_dense() || !self.discarded.is_empty() {
            let declare = |new: New| {
                let id = self.declare(kind, None, None)?;
                self.decls[id.index()].name = new.name;
                self.decls[id.index()].library = new.library;
                Ok(id)
            };
            return new.into_iter().map(declare).collect();
        }
        let first = self.decls.vacant_key() as u32;
        let (serial, stamp) = (self.declared, self.stamps);
        self.decls.extend(new, |at, new| {
            let mut decl = Declaration::new(kind, None, serial + 1 + at as u32, None);
            decl.stamp = stamp.wrapping_add(at as u32);
            decl.name = new.name;
            decl.library = new.library;
            decl
        });
        self.pending.declared.push_run(DeclId(first), count);
        self.declared += count;
        self.stamps = stamp.wrapping_add(count);
        self.kinds.resize(first as usize, None);
        self.kinds.resize(self.decls.vacant_key(), Some(kind));
        Ok((first..first + count).map(DeclId).collect())
    }

    pub(super) fn insert_key(&mut self, key: &str, id: DeclId) {
        let hash = self.hasher.hash_one(key);
        let (decls, hasher) = (&self.decls, self.hasher.clone());
        self.keys.insert_unique(hash, id, |id| {
            hasher.hash_one(
                decls
                    .get(id.index())
                    .and_then(|decl| decl.key.as_deref())
                    .unwrap_or_default(),
            )
        });
    }

    pub(super) fn remove_key(&mut self, id: DeclId) {
        if let Some(key) = self.decls[id.index()].key.as_deref() {
            let hash = self.hasher.hash_one(key);
            if let Ok(entry) = self.keys.find_entry(hash, |other| *other == id) {
                entry.remove();
            }
        }
    }

    /// The living declaration with this key.
    pub(crate) fn lookup(&self, key: &str) -> Option<DeclId> {
        let hash = self.hasher.hash_one(key);
        self.keys
            .find(hash, |id| {
                self.decls
                    .get(id.index())
                    .and_then(|decl| decl.key.as_deref())
                    == Some(key)
            })
            .copied()
    }

    /// What a declaration is, unless it is gone.
    pub(crate) fn kind_of(&self, id: DeclId) -> Option<DeclKind> {
        self.kinds.get(id.index()).copied().flatten()
    }

    /// A declaration that may be gone.
    pub(crate) fn get(&self, id: DeclId) -> Option<&Declaration> {
        self.decls.get(id.index())
    }

    /// A declaration that the engine knows to exist.
    pub(crate) fn decl(&self, id: DeclId) -> &Declaration {
        &self.decls[id.index()]
    }

    /// A declaration named by the user.
    pub(crate) fn expect(&self, id: DeclId) -> Result<&Declaration> {
        self.get(id)
            .filter(|decl| !matches!(decl.pending(), Pending::Remove))
            .ok_or_else(|| Error::bad_edit(format!("{id} is not declared, or has been removed")))
    }

    /// The declaration whose types `id` shares: what it is a part of, however far within.
    pub(crate) fn root(&self, id: DeclId) -> DeclId {
        let mut root = id;
        let mut decl = &self.decls[id.index()];
        while let Some(owner) = decl.owner {
            root = owner;
            // An orphan has its root itself, which may be gone: its number may be a part of something else by now.
            match self.decls.get(owner.index()).filter(|_| !decl.is_orphan) {
                Some(next) => decl = next,
                None => break,
            }
        }
        root
    }

    /// All declarations, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (DeclId, &Declaration)> {
        self.decls
            .iter()
            .map(|(index, decl)| (DeclId(index as u32), decl))
    }

    /// One more than the greatest id.
    pub(crate) fn capacity(&self) -> usize {
        self.decls.capacity()
    }

    /// How many declarations there are.
    pub(crate) fn len(&self) -> usize {
        self.decls.len() - self.orphans.len() - self.spare_orphans.len()
    }

    /// The names of the custom sections that pieces can stand in, by id.
    pub(crate) fn sections(&self) -> &[Box<str>] {
        &self.sections
    }

    /// The custom section of this name.
    pub(crate) fn section(&mut self, name: &str) -> SectionId {
        let known = self.find_section(name);
        known.unwrap_or_else(|| self.add_section(name, None))
    }

    /// The custom section of this name, if it has been named.
    pub(crate) fn find_section(&self, name: &str) -> Option<SectionId> {
        let at = self.sections.iter().position(|other| **other == *name);
        at.map(|at| SectionId(at as u32))
    }

    /// Adds a custom section, with what its owner has named to fill gaps.
    pub(crate) fn add_section(&mut self, name: &str, filler: Option<GapFiller>) -> SectionId {
        self.sections.push(name.into());
        self.fillers.push(filler.map(GapFiller::adopted));
        SectionId(self.sections.len() as u32 - 1)
    }

    /// What the owner of a custom section has named to fill gaps in it.
    pub(crate) fn filler(&self, section: SectionId) -> Option<&GapFiller> {
        self.fillers.get(section.index())?.as_ref()
    }

    /// Makes what pieces of custom sections refer to as `target`, which is gone, refer to nothing. `pieces` are those
    /// that may do so.
    pub(crate) fn forget_target(&mut self, pieces: &[DeclId], target: DeclId) {
        for id in pieces {
            let decl = self.decls.get_mut(id.index());
            let Some(definition) = decl.and_then(Declaration::current_mut) else {
                continue;
            };
            for reloc in definition.content.relocs_mut() {
                if reloc.decl() == Some(target) {
                    reloc.forget_target();
                }
            }
        }
    }

    /// Sets the name for the name section; without one it is the key.
    pub(crate) fn set_name(&mut self, id: DeclId, name: Option<&str>) -> Result<()> {
        self.give_name(id, name.map(Into::into))
    }

    /// The same with a name that is made already.
    pub(crate) fn give_name(&mut self, id: DeclId, name: Option<Box<str>>) -> Result<()> {
        let decl = self.expect(id)?;
        if decl.name == name || (name.is_some() && decl.given_name() == name.as_deref()) {
            return Ok(());
        }
        self.keep_name(id);
        self.decls[id.index()].name = name;
        Ok(())
    }

    /// A library, by what tells it from others.
    pub(crate) fn library(&mut self, name: &str) -> LibraryId {
        let mut libraries = self.libraries.iter();
        let at = libraries.position(|library| &*library.name == name);
        let at = at.unwrap_or_else(|| {
            self.libraries.push(Library {
                name: name.into(),
                is_frozen: true,
            });
            self.libraries.len() - 1
        });
        LibraryId(at as u32)
    }

    /// Lets a function of a library be called directly, since it is not expected to change. To be said before it is committed
    /// first.
    pub(crate) fn freeze(&mut self, id: DeclId, library: LibraryId) {
        if let Some(decl) = self.decls.get_mut(id.index())
            && decl.library.replace(library).is_none()
            && !self.pending.is_new(decl.serial)
        {
            self.pending.frozen.push(id);
        }
    }

    /// Whether a function is one that is called directly.
    pub(crate) fn is_frozen(&self, decl: &Declaration) -> bool {
        let library = decl.library.and_then(|id| self.libraries.get(id.index()));
        library.is_some_and(|library| library.is_frozen)
    }

    /// Lets all functions of a library be redirected as others are, if one of them is about to change.
    pub(crate) fn thaw_changed(&mut self) {
        for at in 0..self.dirty.len() {
            let decl = self.decl(self.dirty[at]);
            let changes = decl.current().is_some() && matches!(decl.pending(), Pending::Define(_));
            if let Some(library) = decl.library.filter(|_| changes && self.is_frozen(decl)) {
                self.libraries[library.index()].is_frozen = false;
                self.pending.thawed.push(library);
            }
        }
    }

    /// Whether the next commit is the first that changes a function of some library.
    pub(crate) fn thaws(&self) -> bool {
        !self.pending.thawed.is_empty()
    }

    /// Declares and defines something that is there from the beginning: no edit, so that nothing takes it back.
    pub(crate) fn establish(&mut self, kind: DeclKind, definition: Definition) -> Result<DeclId> {
        let id = self.declare(kind, None, None)?;
        self.has_slots |= definition.shape == DefinitionKind::SlotTable;
        self.decls[id.index()].set_current(Some(definition));
        Ok(id)
    }

    /// Gives a declaration of data a fixed address, to be committed: it takes no space.
    pub(crate) fn define_address(&mut self, id: DeclId, address: u64) -> Result<()> {
        let definition = Definition {
            content: RelocatableBytes::new(Vec::new(), Vec::new())?,
            shape: DefinitionKind::Address(address),
        };
        self.define(id, DeclKind::Data, definition)
    }

    /// What tells a declaration from all others that ever had its number.
    pub(crate) fn stamp_of(&self, id: DeclId) -> u32 {
        self.decls.get(id.index()).map_or(0, |decl| decl.stamp)
    }

    /// The stamp that the next declaration gets.
    pub(crate) fn next_stamp(&self) -> u32 {
        self.stamps
    }

    /// Whether a number stands for the declaration that has this stamp, or will once it is defined: it was discarded before a
    /// first commit.
    pub(crate) fn is_stamped(&self, id: DeclId, stamp: u32) -> bool {
        match self.decls.get(id.index()) {
            Some(decl) => decl.stamp == stamp,
            None => {
                let mut discarded = self.discarded.iter();
                discarded.any(|discarded| discarded.id == id && discarded.stamp == stamp)
            }
        }
    }

    /// Gives a declaration a definition, to be committed.
    pub(crate) fn define(
        &mut self,
        id: DeclId,
        kind: DeclKind,
        definition: Definition,
    ) -> Result<()> {
        let definition = Definition {
            content: definition.content.adopted(),
            ..definition
        };
        if !self.decls.contains(id.index()) {
            self.declare_again(id);
        }
        let decl = self.expect(id)?;
        if decl.kind != kind {
            return Err(Error::bad_edit(format!("is a {}, not a {kind}", decl.kind))
                .with_symbol(decl.label()));
        }
        let current = self.decl(id).current();
        let changes = current.and_then(|it| definition.content.changes_of(&it.content));
        // Fields that it has already were looked at.
        let changed: Vec<Relocation>;
        let fields = match changes {
            Some((_, changes)) => {
                changed = changes.iter().map(|(_, reloc)| *reloc).collect();
                &changed
            }
            None => definition.content.relocs(),
        };
        self.check_relocs(&definition, fields)
            .map_err(|error| error.with_symbol(self.decl(id).label()))?;
        let is_piece = definition.section().is_some();
        let names_code = is_piece && fields.iter().any(|field| field.kind.is_code_offset());
        let unchanged = current.is_some_and(|current| current.same_as(&definition));
        self.names_code_offsets |= names_code;
        let decl = &mut self.decls[id.index()];
        if unchanged {
            decl.drop_pending();
            // The input that it came from may be one that nobody looks after any more.
            if let Some(current) = decl.current_mut() {
                current.content.stand_in(definition.content.into_bytes());
            }
            return Ok(());
        }
        decl.define(definition);
        self.mark_dirty(id);
        Ok(())
    }

    /// The bytes of what is defined are to be had from somewhere else, if they are not at hand where they were: no edit.
    #[cfg(feature = "link")]
    pub(crate) fn move_bytes(&mut self, id: DeclId, bytes: impl FnOnce() -> crate::program::Bytes) {
        let decl = self.decls.get(id.index()).and_then(Declaration::current);
        if decl.is_some_and(|current| !current.content.is_at_hand())
            && let Some(current) = self.decls[id.index()].current_mut()
        {
            current.content.move_to(bytes());
        }
    }

    /// The custom section that a piece stands in, and its relocations, for another definition to share them.
    #[cfg(feature = "link")]
    pub(crate) fn share_fields(
        &mut self,
        id: DeclId,
    ) -> Option<(SectionId, crate::program::content::SharedFields)> {
        let definition = self.decls.get_mut(id.index())?.current_mut()?;
        Some((definition.section()?, definition.content.share_fields()))
    }

    /// Takes a declaration away, with all that it owns, at the next commit.
    pub(crate) fn remove(&mut self, id: DeclId) -> Result<()> {
        self.expect(id)?;
        for member in self.decls[id.index()].members().to_vec() {
            if self.expect(member).is_ok() && !self.decl(member).is_orphan {
                self.remove(member)?;
            }
        }
        self.remove_key(id);
        self.decls[id.index()].remove();
        self.mark_dirty(id);
        self.remove_shared_parts(id)
    }

    fn mark_dirty(&mut self, id: DeclId) {
        let decl = &mut self.decls[id.index()];
        if !std::mem::replace(&mut decl.dirty, true) {
            self.dirty.push(id);
        }
    }

    /// Makes sure that there are declarations for all code that functions can leave behind in the next commit.
    pub(crate) fn reserve_orphans(&mut self) -> Result<()> {
        let kinds = self.dirty.iter().map(|id| self.kind_of(*id));
        let count = kinds
            .filter(|kind| *kind == Some(DeclKind::Function))
            .count();
        while self.spare_orphans.len() < count {
            let id = self.declare(DeclKind::Function, None, None)?;
            self.decls[id.index()].is_orphan = true;
            self.spare_orphans.push(id);
        }
        Ok(())
    }

    /// Declarations that are free to stand for code that functions leave behind.
    pub(crate) fn spare_orphans(&self) -> &[DeclId] {
        &self.spare_orphans
    }

    /// What stands for orphaned code, the oldest first.
    pub(crate) fn orphans(&self) -> &[DeclId] {
        &self.orphans
    }

    /// Makes the changes of orphaned code that a commit has published, before pending definitions become current. Returns
    /// what is new.
    pub(crate) fn keep_orphans(&mut self, changes: OrphanChanges) -> Vec<DeclId> {
        let (new, overwritten) = changes.into_parts();
        let mut kept = Vec::with_capacity(new.len());
        for orphan in new {
            let decl = &mut self.decls[orphan.id.index()];
            decl.set_current(Some(orphan.definition));
            decl.owner = Some(orphan.root);
            self.orphans.push(orphan.id);
            self.decls[orphan.root.index()].add_member(orphan.id);
            kept.push(orphan.id);
        }
        let taken: HashSet<DeclId> = kept.iter().copied().collect();
        self.spare_orphans.retain(|id| !taken.contains(id));
        let gone: HashSet<DeclId> = overwritten.iter().copied().collect();
        self.orphans.retain(|id| !gone.contains(id));
        for id in overwritten {
            self.forget_orphan(id);
        }
        kept
    }

    /// Forgets all orphaned code, because the output was laid out anew.
    pub(crate) fn forget_all_orphans(&mut self) {
        for id in std::mem::take(&mut self.orphans) {
            self.forget_orphan(id);
        }
    }

    fn forget_orphan(&mut self, id: DeclId) {
        let Some(decl) = self.decls.get_mut(id.index()) else {
            return;
        };
        decl.set_current(None);
        if let Some(owner) = decl.owner.take()
            && let Some(owner) = self.decls.get_mut(owner.index())
        {
            owner.remove_member(id);
        }
        self.spare_orphans.push(id);
    }

    /// Makes pending definitions current, after they have been published.
    pub(crate) fn finish_commit(&mut self, exports: Option<ExportChanges>) -> Finished {
        let mut finished = Finished::default();
        let dirty = std::mem::take(&mut self.dirty);
        finished.defined.reserve(dirty.len());
        // Who takes back a change may ask for what was there.
        let keeps = self.live_slots.is_some();
        let mut rest = &dirty[..];
        if dirty.len() > MANY && self.settle_new(keeps) == dirty.len() {
            finished.defined.extend_from_slice(&dirty);
            rest = &[];
        }
        for &id in rest {
            let decl = &mut self.decls[id.index()];
            if !std::mem::take(&mut decl.dirty) {
                finished.defined.push(id);
                continue;
            }
            let is_kept = keeps && decl.kind == DeclKind::Custom;
            let before = match decl.pending() {
                Pending::None => continue,
                Pending::Define(next) => {
                    let changes = decl
                        .current()
                        .and_then(|before| next.content.changes_of(&before.content));
                    match changes {
                        None => finished.defined.push(id),
                        Some((_, changes)) => {
                            let targets = changes.iter().filter_map(|(_, reloc)| reloc.decl());
                            let pairs = targets.map(|target| (id, target));
                            finished.more_targets.extend(pairs);
                        }
                    }
                    decl.settle()
                }
                Pending::Remove => {
                    self.sharing.forget(id);
                    let gone = self.decls.remove(id.index());
                    self.kinds[id.index()] = None;
                    let owner = gone.owner;
                    if let Some(owner) = owner.and_then(|owner| self.decls.get_mut(owner.index())) {
                        owner.remove_member(id);
                    }
                    finished.removed.push(id);
                    gone.into_definition()
                }
            };
            if is_kept {
                finished.displaced.insert(id, before);
            } else {
                drop(before);
            }
            if let Some(decl) = self.decls.get_mut(id.index()) {
                decl.settle_fields();
            }
        }
        if let Some(changes) = exports {
            self.exports.apply(changes);
        }
        self.start = self.next_start();
        self.settle_pending();
        finished
    }

    /// Makes current, on all cores, what is defined for the first time. Returns how many declarations that was.
    fn settle_new(&mut self, keeps: bool) -> usize {
        let settled = AtomicUsize::new(0);
        self.decls.for_each_mut(|run| {
            let mut count = 0;
            for decl in run {
                let is_new = decl.dirty
                    && matches!(decl.pending(), Pending::Define(_))
                    && decl.current().is_none()
                    && !(keeps && decl.kind == DeclKind::Custom);
                if is_new {
                    decl.dirty = false;
                    decl.settle();
                    decl.settle_fields();
                    count += 1;
                }
            }
            settled.fetch_add(count, Ordering::Relaxed);
        });
        settled.into_inner()
    }

    /// Whether a type is known.
    pub(crate) fn expect_type(&self, ty: TypeId) -> Result<()> {
        if self.types.contains(ty) {
            Ok(())
        } else {
            Err(Error::bad_edit("the type is not one of this module"))
        }
    }
}
