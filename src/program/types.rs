//! Types, interned: each distinct recursion group of types once. Knows no indices of the output.

use hashbrown::HashMap;

use crate::error::{Error, Result};
use crate::program::content::{RelocKind, RelocatableBytes, Relocation};
use crate::program::ids::TypeId;
use crate::wire::leb;

/// A value type. Reference types to concrete types are written by whole-module input only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ValType {
    /// `i32`.
    I32 = 0x7f,
    /// `i64`.
    I64 = 0x7e,
    /// `f32`.
    F32 = 0x7d,
    /// `f64`.
    F64 = 0x7c,
    /// `v128`.
    V128 = 0x7b,
    /// `funcref`.
    FuncRef = 0x70,
    /// `externref`.
    ExternRef = 0x6f,
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
            && self.content.bytes()[0] == 0x60
    }
}

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
    simple: HashMap<Box<[u8]>, TypeId, foldhash::fast::FixedState>,
    complex: HashMap<GroupKey, TypeId, foldhash::fast::FixedState>,
}

impl TypeTable {
    /// The function type with these parameters and results.
    pub(crate) fn function(&mut self, params: &[ValType], results: &[ValType]) -> Result<TypeId> {
        if params.len() > 1000 || results.len() > 1000 {
            return Err(Error::limit(
                "engines allow at most 1,000 parameters and 1,000 results",
            ));
        }
        let mut bytes = Vec::with_capacity(4 + params.len() + results.len());
        bytes.push(0x60);
        for side in [params, results] {
            leb::push_unsigned(&mut bytes, side.len() as u64);
            bytes.extend(side.iter().map(|ty| *ty as u8));
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
        let bytes = self.group_of(ty).content.bytes();
        let side = |at: &mut usize| -> Option<String> {
            let (count, width) = leb::read_unsigned(bytes.get(*at..)?)?;
            let first = *at + width;
            *at = first + count as usize;
            let names = bytes.get(first..*at)?.iter().map(|byte| match byte {
                0x7f => "i32",
                0x7e => "i64",
                0x7d => "f32",
                0x7c => "f64",
                0x7b => "v128",
                0x70 => "funcref",
                0x6f => "externref",
                _ => "a reference",
            });
            Some(names.collect::<Vec<_>>().join(", "))
        };
        let mut at = 1;
        match (side(&mut at), side(&mut at)) {
            (Some(params), Some(results)) => format!("({params}) -> ({results})"),
            _ => "another type".to_owned(),
        }
    }

    /// Whether `ty` names a type.
    pub(crate) fn contains(&self, ty: TypeId) -> bool {
        ty.index() < self.group_of.len()
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
        self.groups.truncate(self.group_of[len] as usize);
        self.group_of.truncate(len);
        self.signatures.truncate(len);
        self.simple.retain(|_, ty| ty.index() < len);
        self.complex.retain(|_, ty| ty.index() < len);
    }
}
