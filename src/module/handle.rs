//! Ids as they are handed out: which declaration of which module, and of all that ever stood under its number. Inside, a
//! declaration is its number.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::program::{self, Program, RelocKind};

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

/// A type of a module, from [`Module::define_types`](crate::Module::define_types): valid in that module, until the edit that
/// defined it is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId {
    number: u32,
    stamp: u32,
    module: u32,
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.number)
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
    /// Those modules, the newest last.
    before: Vec<Ancestor>,
    /// What became of ids that were reserved: the declaration, and its stamp.
    reserved: IdMap<DeclId, (program::DeclId, u32)>,
    /// The other way round: which id a declaration was reserved by.
    reserved_as: IdMap<program::DeclId, DeclId>,
    /// How many of them there may be before those that are stale are looked for.
    prune_at: usize,
}

/// A module that this one is a clone of, or of whose clone.
#[derive(Debug, Clone, Copy)]
struct Ancestor {
    module: u32,
    /// The first stamp of a declaration that is not of it.
    end: u32,
    /// How many types there were, and how often some had been discarded: what is of both is of it.
    types: u32,
    discards: u32,
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

    /// What no other module of this process has.
    pub(super) fn number(&self) -> u32 {
        self.own
    }

    /// That of a clone as it is made: so far all ids are the same.
    pub(super) fn of_clone(&self, program: &Program) -> Tag {
        let mut clone = self.clone();
        clone.own = unique();
        clone.since = program.next_stamp();
        clone.before.push(Ancestor {
            module: self.own,
            end: clone.since,
            types: program.types.len() as u32,
            discards: program.types.discards(),
        });
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
        let declared = self.before.iter().find(|before| stamp < before.end);
        declared.map_or(self.own, |before| before.module)
    }

    /// The module that a type with this number and stamp was defined in.
    fn module_of_type(&self, number: u32, stamp: u32) -> u32 {
        let is_of = |before: &&Ancestor| number < before.types && stamp <= before.discards;
        let defined = self.before.iter().find(is_of);
        defined.map_or(self.own, |before| before.module)
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

    /// The id to hand out for a type that is there.
    pub(super) fn id_of_type(&self, program: &Program, ty: program::TypeId) -> TypeId {
        let stamp = program.types.stamp_of(ty).unwrap_or_default();
        TypeId {
            number: ty.0,
            stamp,
            module: self.module_of_type(ty.0, stamp),
        }
    }

    /// The type that an id was handed out for.
    ///
    /// # Errors
    /// If it is of another module, or was discarded.
    pub(super) fn find_type(&self, program: &Program, id: TypeId) -> Result<program::TypeId> {
        let found = program::TypeId(id.number);
        if id.module != self.module_of_type(id.number, id.stamp) {
            let text = format!("{id} is a type of another module");
            return Err(Error::bad_edit(text).with_hint("each module has ids of its own"));
        }
        match program.types.stamp_of(found) == Some(id.stamp) {
            true => Ok(found),
            false => Err(Error::bad_edit(format!(
                "{id} is not defined any more: the edit that defined it was discarded"
            ))
            .with_hint("define it again; the new id is another one")),
        }
    }

    /// Fields as the program has them, in their order. `types` are those that fields name by position.
    pub(super) fn resolve(
        &self,
        program: &Program,
        fields: &[Relocation],
        types: &[program::TypeId],
    ) -> Result<Vec<program::Relocation>> {
        let resolve = |field: &Relocation| {
            let Relocation {
                kind,
                offset,
                target,
                addend,
            } = *field;
            let to_type = |ty| program::Relocation::to_type(kind, offset, ty);
            let at = |error: Error| error.with_offset(offset.into());
            Ok(match target {
                Target::Declaration(id) => {
                    let id = self.find(program, id).map_err(at)?;
                    program::Relocation::new(kind, offset, id, addend)
                }
                Target::Type(index) => match types.get(index as usize) {
                    Some(ty) => to_type(*ty),
                    None => return Err(Error::bad_edit("names a type that it does not have")),
                },
                Target::TypeId(id) => to_type(self.find_type(program, id).map_err(at)?),
                Target::Sibling(_) => {
                    let error = Error::bad_edit("names a sibling, as only types can");
                    return Err(at(
                        error.with_hint("`HeapType::Concrete` names a type by its id")
                    ));
                }
                Target::Nothing => program::Relocation::to_nothing(kind, offset, addend),
            })
        };
        let mut resolved = fields.iter().map(resolve).collect::<Result<Vec<_>>>()?;
        resolved.sort_unstable();
        Ok(resolved)
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
    TypeId(TypeId),
    /// A type of the group that is being defined, by its position.
    Sibling(u32),
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

    pub(super) fn to_type(kind: RelocKind, offset: u32, index: u32) -> Self {
        Relocation::to(kind, offset, Target::Type(index))
    }

    pub(super) fn to_type_id(kind: RelocKind, offset: u32, id: TypeId) -> Self {
        Relocation::to(kind, offset, Target::TypeId(id))
    }

    pub(super) fn to_sibling(kind: RelocKind, offset: u32, at: u32) -> Self {
        Relocation::to(kind, offset, Target::Sibling(at))
    }

    fn to(kind: RelocKind, offset: u32, target: Target) -> Self {
        Relocation {
            kind,
            offset,
            target,
            addend: 0,
        }
    }
}

#[cfg(test)]
impl DeclId {
    /// The declaration, as the program has it.
    pub(super) fn bare(self) -> program::DeclId {
        program::DeclId(self.number)
    }
}
