//! Types, interned: each distinct recursion group of types once. Knows no indices of the output.

use crate::error::Result;
use crate::hash::HashMap;
use crate::program::content::{RelocKind, RelocatableBytes, Relocation};
use crate::program::ids::TypeId;
use crate::wire::leb;

/// Value types of one byte, as they are encoded.
pub(crate) mod value {
    /// `i32`.
    pub(crate) const I32: u8 = 0x7f;
    /// `i64`.
    pub(crate) const I64: u8 = 0x7e;
    /// `funcref`.
    pub(crate) const FUNCREF: u8 = 0x70;
}

/// A recursion group: one type on its own, or several that may refer to one another.
#[derive(Debug, Clone)]
pub(crate) struct TypeGroup {
    /// The first of its types.
    pub(crate) first: TypeId,
    /// How many types it has.
    pub(crate) len: u32,
    /// The entry of the type section. References to other groups are relocations; references within the group are
    /// listed in `own`.
    pub(crate) content: RelocatableBytes,
    /// References within the group: offset, kind, and which of the group's types.
    pub(crate) own: Box<[(u32, RelocKind, u32)]>,
}

impl TypeGroup {
    /// A single function type with no reference to another type: it can stand anywhere and be padded.
    pub(crate) fn is_simple(&self) -> bool {
        self.len == 1
            && self.own.is_empty()
            && self.content.relocs().is_empty()
            && self.content.bytes()[0] == FUNCTION
    }
}

/// The byte that a function type begins with.
pub(crate) const FUNCTION: u8 = 0x60;

/// What is known of a function type, however it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    /// How many parameters it has.
    pub(crate) params: u32,
    /// How many results it has.
    pub(crate) results: u32,
    /// Whether its functions may be called by several threads at once. Calls of such functions cannot be passed on
    /// through a table that is not shared.
    pub(crate) shared: bool,
}

type GroupKey = (Box<[u8]>, Box<[Relocation]>, Box<[(u32, RelocKind, u32)]>);

/// All types of the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct TypeTable {
    groups: Vec<TypeGroup>,
    /// The group that each type belongs to.
    group_of: Vec<u32>,
    /// Of each type that is a function type.
    signatures: Vec<Option<Signature>>,
    /// How often types have been forgotten, and how often that had been when each came: what tells a type from others that
    /// ever had its number.
    forgotten: u32,
    stamps: Vec<u32>,
    simple: HashMap<Box<[u8]>, TypeId, foldhash::fast::FixedState>,
    complex: HashMap<GroupKey, TypeId, foldhash::fast::FixedState>,
}

impl TypeTable {
    /// The function type with these parameters and results, value types of one byte each.
    pub(crate) fn function(&mut self, params: &[u8], results: &[u8]) -> Result<TypeId> {
        let mut bytes = Vec::with_capacity(4 + params.len() + results.len());
        bytes.push(FUNCTION);
        for side in [params, results] {
            leb::push_unsigned(&mut bytes, side.len() as u64);
            bytes.extend_from_slice(side);
        }
        let signature = Signature {
            params: params.len() as u32,
            results: results.len() as u32,
            shared: false,
        };
        self.simple(&bytes, Some(signature))
    }

    /// A type given by its bytes, which refer to no other type.
    pub(crate) fn simple(&mut self, bytes: &[u8], signature: Option<Signature>) -> Result<TypeId> {
        if let Some(&id) = self.simple.get(bytes) {
            return Ok(id);
        }
        let content = RelocatableBytes::new(bytes.to_vec(), Vec::new())?;
        let id = self.add(content, Box::default(), vec![signature]);
        self.simple.insert(bytes.into(), id);
        Ok(id)
    }

    /// A recursion group of any kind; `signatures` has one entry for each of its types. Returns its first type; the
    /// others follow.
    pub(crate) fn group(
        &mut self,
        content: RelocatableBytes,
        own: Box<[(u32, RelocKind, u32)]>,
        signatures: Vec<Option<Signature>>,
    ) -> Result<TypeId> {
        if signatures.len() == 1 && own.is_empty() && content.relocs().is_empty() {
            return self.simple(content.bytes(), signatures[0]);
        }
        let mut masked = content.bytes().to_vec();
        let fields = content
            .relocs()
            .iter()
            .map(|reloc| (reloc.offset, reloc.kind));
        for (offset, kind) in fields.chain(own.iter().map(|&(offset, kind, _)| (offset, kind))) {
            masked[offset as usize..][..kind.width()].fill(0);
        }
        let key = (
            masked.into_boxed_slice(),
            content.relocs().into(),
            own.clone(),
        );
        if let Some(&id) = self.complex.get(&key) {
            return Ok(id);
        }
        let id = self.add(content, own, signatures);
        self.complex.insert(key, id);
        Ok(id)
    }

    fn add(
        &mut self,
        content: RelocatableBytes,
        own: Box<[(u32, RelocKind, u32)]>,
        signatures: Vec<Option<Signature>>,
    ) -> TypeId {
        let first = TypeId(self.group_of.len() as u32);
        let group = self.groups.len() as u32;
        self.group_of.extend(signatures.iter().map(|_| group));
        let len = signatures.len() as u32;
        self.stamps.resize(self.group_of.len(), self.forgotten);
        self.signatures.extend(signatures);
        self.groups.push(TypeGroup {
            first,
            len,
            content,
            own,
        });
        first
    }

    /// The group of a type.
    pub(crate) fn group_of(&self, ty: TypeId) -> &TypeGroup {
        &self.groups[self.group_of[ty.index()] as usize]
    }

    /// What is known of a type if it is a function type.
    pub(crate) fn signature(&self, ty: TypeId) -> Option<Signature> {
        self.signatures.get(ty.index()).copied().flatten()
    }

    /// Whether a function of this type can have a thunk or forwarder.
    pub(crate) fn can_pass_on(&self, ty: TypeId) -> bool {
        self.signature(ty)
            .is_some_and(|signature| !signature.shared)
    }

    /// A function type in words, as `(i32, f64) -> i32`.
    pub(crate) fn describe(&self, ty: TypeId) -> String {
        let content = &self.group_of(ty).content;
        let bytes = content.bytes();
        let is_field = |at: usize| content.relocs().iter().any(|it| it.offset as usize == at);
        let value = |at: &mut usize| -> Option<&str> {
            let byte = *bytes.get(*at)?;
            *at += 1;
            Some(match byte {
                0x7f => "i32",
                0x7e => "i64",
                0x7d => "f32",
                0x7c => "f64",
                0x7b => "v128",
                0x70 => "funcref",
                0x6f => "externref",
                0x63 | 0x64 => {
                    *at += usize::from(matches!(bytes.get(*at)?, 0x62 | 0x65));
                    *at += if is_field(*at) { leb::WIDE32 } else { 1 };
                    "a reference"
                }
                _ => "a reference",
            })
        };
        let side = |at: &mut usize| -> Option<String> {
            let (count, width) = leb::read_unsigned(bytes.get(*at..)?)?;
            *at += width;
            let names = (0..count).map(|_| value(at));
            Some(names.collect::<Option<Vec<_>>>()?.join(", "))
        };
        let mut at = 1;
        match (bytes.first(), side(&mut at), side(&mut at)) {
            (Some(&FUNCTION), Some(params), Some(results)) => format!("({params}) -> ({results})"),
            _ => "another type".to_owned(),
        }
    }

    /// Whether `ty` names a type.
    pub(crate) fn contains(&self, ty: TypeId) -> bool {
        ty.index() < self.group_of.len()
    }

    /// What tells a type from all others that ever had its number.
    pub(crate) fn stamp_of(&self, ty: TypeId) -> Option<u32> {
        self.stamps.get(ty.index()).copied()
    }

    /// How often types were forgotten.
    pub(crate) fn discards(&self) -> u32 {
        self.forgotten
    }

    /// How many types there are.
    pub(crate) fn len(&self) -> usize {
        self.group_of.len()
    }

    /// Forgets all types but the first so many, which must be whole groups.
    pub(crate) fn truncate(&mut self, len: usize) {
        if self.len() <= len {
            return;
        }
        self.forgotten = self.forgotten.wrapping_add(1);
        self.stamps.truncate(len);
        self.groups.truncate(self.group_of[len] as usize);
        self.group_of.truncate(len);
        self.signatures.truncate(len);
        self.simple.retain(|_, ty| ty.index() < len);
        self.complex.retain(|_, ty| ty.index() < len);
    }
}
