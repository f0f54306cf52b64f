//! Ids for what is found while bodies are built on many threads, such as strings and closures.
//!
//! What one run of threads reserves is declared together, in the order of its keys: whatever the threads' order was, the
//! module becomes the same.

use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::module::Module;
use crate::module::handle::DeclId;
use crate::program::{self, DeclKind};

/// So many locks keep threads from waiting for one another.
const SHARDS: usize = 32;

/// Hands out ids to many threads at once, and declares what they have reserved when it is dropped. It can be asked whatever a
/// [`Module`] can.
///
/// ```
/// use wasmend::{DeclKind, Module, ModuleOptions};
///
/// # fn main() -> wasmend::Result<()> {
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let reservations = module.reservations();
/// let ids: Vec<_> = std::thread::scope(|scope| {
///     let reserve = || reservations.reserve(DeclKind::Data, "\"hello\"");
///     let threads: Vec<_> = (0..4).map(|_| scope.spawn(reserve)).collect();
///     threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
/// });
/// drop(reservations);
/// for id in ids {
///     assert_eq!(module.lookup("\"hello\""), Some(id?));
/// }
/// # Ok(())
/// # }
/// ```
pub struct Reservations<'a> {
    module: &'a mut Module,
    /// What tells ids of this run from all others.
    run: u32,
    next: AtomicU32,
    shards: [Mutex<Shard>; SHARDS],
    /// Owners for shared parts that were there before.
    joined: Mutex<Vec<(DeclId, DeclId)>>,
    hasher: foldhash::fast::FixedState,
}

type Shard = HashMap<Box<str>, Reserved>;

/// What was reserved under a key.
struct Reserved {
    kind: DeclKind,
    id: DeclId,
    owners: Owners,
}

/// What something that is reserved is a part of.
#[derive(Debug, PartialEq, Eq)]
enum Owners {
    Nothing,
    One(DeclId),
    /// In the order of threads.
    Shared(Vec<DeclId>),
}

impl Module {
    /// Ids for many threads at once: see [`Reservations`].
    pub fn reservations(&mut self) -> Reservations<'_> {
        Reservations {
            run: self.tag.next_run(),
            module: self,
            next: AtomicU32::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            joined: Mutex::default(),
            hasher: foldhash::fast::FixedState::default(),
        }
    }
}

impl Reservations<'_> {
    /// The declaration with this key, or an id for one: every thread that asks for a key gets the same. It can be named in bodies
    /// at once, and defined once this is dropped. Like any other declaration it lasts from the next commit on.
    ///
    /// # Errors
    /// If the key is that of something of another kind, or too long.
    pub fn reserve(&self, kind: DeclKind, key: &str) -> Result<DeclId> {
        self.reserve_as(kind, key, Owners::Nothing)
    }

    /// The same for a part of another declaration, as with [`Module::declare_part`]. That one may be reserved itself.
    ///
    /// # Errors
    /// If the key is that of something of another kind or owner, or too long.
    pub fn reserve_part(&self, owner: DeclId, kind: DeclKind, key: &str) -> Result<DeclId> {
        self.expect_owner(owner)?;
        self.reserve_as(kind, key, Owners::One(owner))
    }

    /// The same for a part that several others can own, as with [`Module::declare_shared`]. Whoever asks for it adds an owner.
    ///
    /// # Errors
    /// If the key is that of something of another kind, that is not shared or that the owner is a part of, or too long.
    pub fn reserve_shared(&self, owner: DeclId, kind: DeclKind, key: &str) -> Result<DeclId> {
        self.expect_owner(owner)?;
        self.reserve_as(kind, key, Owners::Shared(vec![owner]))
    }

    fn reserve_as(&self, kind: DeclKind, key: &str, owners: Owners) -> Result<DeclId> {
        if let Some(id) = self.module.program.lookup(key) {
            return self.known(id, kind, owners);
        }
        self.module.check_own_name(Some(key))?;
        let hash = self.hasher.hash_one(key) as usize;
        let mut shard = lock(&self.shards[hash % SHARDS]);
        if let Some(reserved) = shard.get_mut(key) {
            let is_same = match (&mut reserved.owners, owners) {
                (Owners::Shared(all), Owners::Shared(more)) => {
                    all.extend(more);
                    true
                }
                (old, new) => *old == new,
            };
            return match is_same && reserved.kind == kind {
                true => Ok(reserved.id),
                false => Err(taken(reserved.kind, "reserved").with_symbol(key)),
            };
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = DeclId::reserved(self.run, number);
        shard.insert(key.into(), Reserved { kind, id, owners });
        Ok(id)
    }

    /// What was there before.
    fn known(&self, id: program::DeclId, kind: DeclKind, owners: Owners) -> Result<DeclId> {
        let program = &self.module.program;
        let decl = program.decl(id);
        let found = self.module.handed_out(id);
        let is_same = match &owners {
            Owners::Nothing => true,
            Owners::One(owner) => decl.owner.map(|id| self.module.handed_out(id)) == Some(*owner),
            Owners::Shared(_) => program.is_shared(id),
        };
        if decl.kind != kind || !is_same {
            return Err(taken(decl.kind, "declared").with_symbol(decl.label()));
        }
        if let Owners::Shared(owners) = owners {
            let owners = owners.into_iter().map(|owner| (found, owner));
            lock(&self.joined).extend(owners);
        }
        Ok(found)
    }

    /// An owner is declared, or reserved here.
    fn expect_owner(&self, owner: DeclId) -> Result<()> {
        if owner.is_reserved_in(self.run, self.next.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let found = self.module.find(owner)?;
        self.module.program.expect(found).map(|_| ())
    }
}

impl Deref for Reservations<'_> {
    type Target = Module;

    fn deref(&self) -> &Module {
        self.module
    }
}

impl Drop for Reservations<'_> {
    fn drop(&mut self) {
        let shards = self.shards.iter_mut();
        let shards = shards.map(|shard| std::mem::take(&mut *lock(shard)));
        let all: Vec<(Box<str>, Reserved)> = shards.flatten().collect();
        let joined = std::mem::take(&mut *lock(&self.joined));
        self.module.take_in(all, joined);
    }
}

impl Module {
    /// Declares what was reserved: by keys, but owners before their parts. Nothing of it can be wrong but that two threads have
    /// made a circle of owners, of which the last link is left out.
    fn take_in(&mut self, all: Vec<(Box<str>, Reserved)>, joined: Vec<(DeclId, DeclId)>) {
        self.tag.forget_stale(&self.program);
        let mut shared = joined;
        for (key, Reserved { kind, id, owners }) in sorted(all) {
            let key = Some(&*key);
            let declared = match owners {
                Owners::Nothing => self.program.declare(kind, key, None),
                Owners::One(owner) => self
                    .find(owner)
                    .and_then(|owner| self.program.declare(kind, key, Some(owner))),
                Owners::Shared(owners) => {
                    shared.extend(owners.into_iter().map(|owner| (id, owner)));
                    self.program.declare_shared(kind, key)
                }
            };
            if let Ok(declared) = declared {
                self.tag.bind(&self.program, id, declared);
            }
        }
        let find = |(part, owner)| Some((self.find(part).ok()?, self.find(owner).ok()?));
        let mut shared: Vec<_> = shared.into_iter().filter_map(find).collect();
        // By now these follow from the keys alone.
        shared.sort_unstable();
        for (part, owner) in shared {
            let _ = self.program.add_owner(part, owner);
        }
    }
}

/// What was reserved, in the order in which it is declared.
fn sorted(all: Vec<(Box<str>, Reserved)>) -> Vec<(Box<str>, Reserved)> {
    let owner_of = |reserved: &Reserved| match reserved.owners {
        Owners::One(owner) => Some(owner),
        Owners::Nothing | Owners::Shared(_) => None,
    };
    let parts = all.iter();
    let parts = parts.filter_map(|(_, part)| Some((part.id, owner_of(part)?)));
    let owners: HashMap<DeclId, DeclId> = parts.collect();
    // An id is there before a part of it is asked for, so this ends.
    let depth = |id: DeclId| std::iter::successors(owners.get(&id), |id| owners.get(*id)).count();
    let mut all: Vec<_> = all
        .into_iter()
        .map(|(key, reserved)| (depth(reserved.id), key, reserved))
        .collect();
    all.sort_unstable_by(|(a, key, _), (b, other, _)| (a, key).cmp(&(b, other)));
    all.into_iter()
        .map(|(_, key, reserved)| (key, reserved))
        .collect()
}

/// What a lock guards, also if a thread panicked with it: nothing is ever half done under it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
fn taken(kind: DeclKind, how: &str) -> Error {
    let text = format!("is {how} already, as a {kind} or with other owners");
    Error::bad_edit(text)
}
