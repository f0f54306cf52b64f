//! Ids as they are handed out: which declaration of which module, and of all that ever stood under its number. Inside, a
//! declaration is its number.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;

use crate::error::{Error, Result};
use crate::program::{self, Program, RelocKind, TypeId};

/// A declaration: what a compiler can change on its own. Stable from `declare` until the declaration is removed and that
/// removal is committed, or the `declare` itself is discarded; from then on it names nothing, whatever is declared later. It
/// names nothing in other modules either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclId {
    number: u32,
    stamp: u32,
    module: u32,
}

impl fmt::Display for DeclId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module {
            RESERVED => write!(f, "r{}.{}", self.stamp, self.number),
            _ => write!(f, "d{}", self.number),
        }
    }
}

/// Stands for a module in ids that were reserved: their numbers are those of a run of reservations.
const RESERVED: u32 = u32::MAX;

impl DeclId {
    /// The id that was reserved as this one of a run.
    pub(super) fn reserved(run: u32, number: u32) -> DeclId {
        DeclId {
            number,
            stamp: run,
            module: RESERVED,
        }
    }

    /// Whether it is one of the first `count` ids that a run has reserved.
    pub(super) fn is_reserved_in(self, run: u32, count: u32) -> bool {
        self.module == RESERVED && self.stamp == run && self.number < count
    }
}

/// Which ids are a module's: what tells them from those of another.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    own: u32,
    /// The first stamp of what was declared here. What is older was declared in the modules that this is a clone of.
    since: u32,
    /// The tags of those modules, the newest last, each with the first stamp that is not of it.
    before: Vec<(u32, u32)>,
    /// What became of ids that were reserved: the declaration, and its stamp.
    reserved: IdMap<DeclId, (program::DeclId, u32)>,
    /// The other way round: which id a declaration was reserved by.
    reserved_as: IdMap<program::DeclId, DeclId>,
    /// How many of them there may be before those that are stale are looked for.
    prune_at: usize,
}

type IdMap<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// A number that nothing else in this process has.
fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Tag {
    /// One that no other module of this process has.
    pub(super) fn new() -> Tag {
        Tag {
            own: unique(),
            since: 0,
            before: Vec::new(),
            reserved: IdMap::default(),
            reserved_as: IdMap::default(),
            prune_at: 1024,
        }
    }

    /// That of a clone as it is made: so far all ids are the same.
    pub(super) fn of_clone(&self, program: &Program) -> Tag {
        let mut clone = self.clone();
        clone.own = unique();
        clone.since = program.next_stamp();
        clone.before.push((self.own, clone.since));
        clone
    }

    /// What the next run of reservations is called.
    pub(super) fn next_run(&self) -> u32 {
        unique()
    }

    /// The module that something with this stamp was declared in.
    fn module_of(&self, stamp: u32) -> u32 {
        if stamp >= self.since {
            return self.own;
        }
        let declared = self.before.iter().find(|(_, end)| stamp < *end);
        declared.map_or(self.own, |(module, _)| *module)
    }

    /// Notes what an id stands for that was reserved.
    pub(super) fn bind(&mut self, program: &Program, reserved: DeclId, id: program::DeclId) {
        self.reserved.insert(reserved, (id, program.stamp_of(id)));
        self.reserved_as.insert(id, reserved);
    }

    /// Forgets ids of what is there no more, once they may be more than the others.
    pub(super) fn forget_stale(&mut self, program: &Program) {
        if self.reserved.len() < self.prune_at {
            return;
        }
        self.reserved
            .retain(|_, (id, stamp)| program.is_stamped(*id, *stamp));
        let kept = &self.reserved;
        self.reserved_as.retain(|_, id| kept.contains_key(id));
        self.prune_at = (2 * kept.len()).max(1024);
    }

    /// The id to hand out for a declaration that is there.
    pub(super) fn id_of(&self, program: &Program, id: program::DeclId) -> DeclId {
        let stamp = program.stamp_of(id);
        if !self.reserved_as.is_empty()
            && let Some(reserved) = self.reserved_as.get(&id)
            && self.reserved.get(reserved) == Some(&(id, stamp))
        {
            return *reserved;
        }
        DeclId {
            number: id.0,
            stamp,
            module: self.module_of(stamp),
        }
    }

    /// The declaration that an id was handed out for.
    ///
    /// # Errors
    /// If it is of another module, or of something that is not there any more.
    pub(super) fn find(&self, program: &Program, id: DeclId) -> Result<program::DeclId> {
        let (found, stamp) = match id.module == RESERVED {
            false if id.module != self.module_of(id.stamp) => return Err(foreign(id)),
            false => (program::DeclId(id.number), id.stamp),
            true => *self.reserved.get(&id).ok_or_else(|| foreign(id))?,
        };
        match program.is_stamped(found, stamp) {
            true => Ok(found),
            false => Err(Error::bad_edit(format!(
                "{id} is not declared any more: it was removed, or the edit that declared it discarded"
            ))
            .with_hint("declare it again; the new id is another one")),
        }
    }
}

#[cold]
fn foreign(id: DeclId) -> Error {
    let text = format!("{id} is a declaration of another module");
    Error::bad_edit(text).with_hint("each module has ids of its own")
}

/// A field of bytes: at which offset a value of which kind stands, and of what. Its bytes are filled in whenever the value
/// changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    pub(super) kind: RelocKind,
    pub(super) offset: u32,
    pub(super) target: Target,
    pub(super) addend: i32,
}

/// What a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Declaration(DeclId),
    /// A type, by its index among those that whoever has the field names.
    Type(u32),
    Nothing,
}

impl Relocation {
    /// A field that refers to a declaration.
    pub fn new(kind: RelocKind, offset: u32, target: DeclId, addend: i32) -> Self {
        Relocation {
            kind,
            offset,
            target: Target::Declaration(target),
            addend,
        }
    }

    /// A field of a custom section whose target does not exist: it gets what says so.
    pub fn to_nothing(kind: RelocKind, offset: u32, addend: i32) -> Self {
        Relocation {
            kind,
            offset,
            target: Target::Nothing,
            addend,
        }
    }

    pub(super) fn to_type(kind: RelocKind, offset: u32, index: usize) -> Self {
        Relocation {
            kind,
            offset,
            target: Target::Type(index as u32),
            addend: 0,
        }
    }
}

/// Fields as the program has them, in their order.
pub(super) fn resolve(
    fields: &[Relocation],
    types: &[TypeId],
    find: impl Fn(DeclId) -> Result<program::DeclId>,
) -> Result<Vec<program::Relocation>> {
    let resolve = |field: &Relocation| {
        let Relocation {
            kind,
            offset,
            target,
            addend,
        } = *field;
        Ok(match target {
            Target::Declaration(id) => {
                let id = find(id).map_err(|error| error.with_offset(offset.into()))?;
                program::Relocation::new(kind, offset, id, addend)
            }
            Target::Type(index) => match types.get(index as usize) {
                Some(ty) => program::Relocation::to_type(kind, offset, *ty),
                None => return Err(Error::bad_edit("names a type that it does not have")),
            },
            Target::Nothing => program::Relocation::to_nothing(kind, offset, addend),
        })
    };
    let mut resolved = fields.iter().map(resolve).collect::<Result<Vec<_>>>()?;
    resolved.sort_unstable();
    Ok(resolved)
}

#[cfg(test)]
impl DeclId {
    /// The declaration, as the program has it.
    pub(super) fn bare(self) -> program::DeclId {
        program::DeclId(self.number)
    }
}
