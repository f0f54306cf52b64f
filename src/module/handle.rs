//! Ids as they are handed out: which declaration of which module, and of all that ever stood under its number. Inside, a
//! declaration is its number.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};
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
        write!(f, "d{}", self.number)
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

/// What tells the ids of one module from those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u32);

impl Tag {
    /// One that no other module of this process has.
    pub(super) fn new() -> Tag {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Tag(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The id to hand out for a declaration that is there.
    pub(super) fn id_of(self, program: &Program, id: program::DeclId) -> DeclId {
        DeclId {
            number: id.0,
            stamp: program.stamp_of(id),
            module: self.0,
        }
    }

    /// The id to hand out for a type that is there.
    pub(super) fn id_of_type(self, program: &Program, ty: program::TypeId) -> TypeId {
        TypeId {
            number: ty.0,
            stamp: program.types.stamp_of(ty).unwrap_or_default(),
            module: self.0,
        }
    }

    /// The type that an id was handed out for.
    ///
    /// # Errors
    /// If it is of another module, or was discarded.
    pub(super) fn find_type(self, program: &Program, id: TypeId) -> Result<program::TypeId> {
        let found = program::TypeId(id.number);
        if id.module != self.0 {
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
        self,
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
    pub(super) fn find(self, program: &Program, id: DeclId) -> Result<program::DeclId> {
        if id.module != self.0 {
            let text = format!("{id} is a declaration of another module");
            return Err(Error::bad_edit(text).with_hint("each module has ids of its own"));
        }
        let found = program::DeclId(id.number);
        match program.is_stamped(found, id.stamp) {
            true => Ok(found),
            false => Err(Error::bad_edit(format!(
                "{id} is not declared any more: it was removed, or the edit that declared it discarded"
            ))
            .with_hint("declare it again; the new id is another one")),
        }
    }
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
