//! Types that a compiler defines itself: structures, arrays, functions, and groups of them that refer to one another.

use crate::error::{Error, Result};
use crate::module::Module;
use crate::module::handle::{Relocation, Target, TypeId};
use crate::module::type_space::TypeSpace;
use crate::module::value_type::{HeapType, ValType};
use crate::program::{self, FUNCTION, RelocKind, RelocatableBytes, Signature};
use crate::wire::leb;

/// What several types that refer to one another are begun with.
const GROUP: u8 = 0x4e;
/// The most parameters, and results, that engines take.
const MOST_VALUES: usize = 1000;

/// A field of a structure, or the elements of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldType {
    /// What it holds.
    pub storage: StorageType,
    /// Whether it can be set.
    pub mutable: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StorageType {
    /// Eight bits, which become an `i32` when they are read.
    I8,
    /// Sixteen bits, which become an `i32` when they are read.
    I16,
    /// A value.
    Val(ValType),
}

impl FieldType {
    fn push(self, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) {
        match self.storage {
            StorageType::I8 => out.push(0x78),
            StorageType::I16 => out.push(0x77),
            StorageType::Val(ty) => ty.push(out, relocs),
        }
        out.push(u8::from(self.mutable));
    }
}

/// A type to be defined: final and without a supertype, unless it is told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeDef {
    shape: Shape,
    is_open: bool,
    is_shared: bool,
    supertype: Option<HeapType>,
    describes: Option<HeapType>,
    descriptor: Option<HeapType>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Shape {
    Function(Box<[ValType]>, Box<[ValType]>),
    Structure(Box<[FieldType]>),
    Array(FieldType),
    Continuation(HeapType),
}

impl TypeDef {
    fn new(shape: Shape) -> TypeDef {
        TypeDef {
            shape,
            is_open: false,
            is_shared: false,
            supertype: None,
            describes: None,
            descriptor: None,
        }
    }

    /// Functions with these parameters and results.
    pub fn function(params: &[ValType], results: &[ValType]) -> TypeDef {
        TypeDef::new(Shape::Function(params.into(), results.into()))
    }

    /// Structures with these fields.
    pub fn structure(fields: impl Into<Box<[FieldType]>>) -> TypeDef {
        TypeDef::new(Shape::Structure(fields.into()))
    }

    /// Arrays of such elements.
    pub fn array(element: FieldType) -> TypeDef {
        TypeDef::new(Shape::Array(element))
    }

    /// Continuations of functions of a type (stack switching).
    pub fn continuation(function: HeapType) -> TypeDef {
        TypeDef::new(Shape::Continuation(function))
    }

    /// Lets it have subtypes.
    #[must_use]
    pub fn open(mut self) -> TypeDef {
        self.is_open = true;
        self
    }

    /// Makes it a subtype of another type, which must be open.
    #[must_use]
    pub fn extends(mut self, supertype: HeapType) -> TypeDef {
        self.supertype = Some(supertype);
        self
    }

    /// Makes its values the descriptors of those of another type of the same group (custom descriptors).
    #[must_use]
    pub fn describes(mut self, ty: HeapType) -> TypeDef {
        self.describes = Some(ty);
        self
    }

    /// The same the other way round: of which type its values' descriptors are.
    #[must_use]
    pub fn described_by(mut self, ty: HeapType) -> TypeDef {
        self.descriptor = Some(ty);
        self
    }

    /// Lets several threads have its values.
    #[must_use]
    pub fn shared(mut self) -> TypeDef {
        self.is_shared = true;
        self
    }

    /// What is known of it if it is a function type.
    fn signature(&self) -> Option<Signature> {
        match &self.shape {
            Shape::Function(params, results) => Some(Signature {
                params: params.len() as u32,
                results: results.len() as u32,
                shared: self.is_shared,
            }),
            _ => None,
        }
    }

    fn push(&self, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) -> Result<()> {
        if self.is_open || self.supertype.is_some() {
            out.push(if self.is_open { 0x50 } else { 0x4f });
            out.push(u8::from(self.supertype.is_some()));
        }
        if let Some(supertype) = self.supertype {
            push_index(supertype, out, relocs)?;
        }
        if self.is_shared {
            out.push(0x65);
        }
        for (code, ty) in [(0x4c, self.describes), (0x4d, self.descriptor)] {
            if let Some(ty) = ty {
                out.push(code);
                push_index(ty, out, relocs)?;
            }
        }
        match &self.shape {
            Shape::Function(params, results) => push_function(params, results, out, relocs)?,
            Shape::Structure(fields) => {
                out.push(0x5f);
                leb::push_unsigned(out, fields.len() as u64);
                fields.iter().for_each(|field| field.push(out, relocs));
            }
            Shape::Array(element) => {
                out.push(0x5e);
                element.push(out, relocs);
            }
            Shape::Continuation(function) => {
                out.push(0x5d);
                function.push(out, relocs);
            }
        }
        Ok(())
    }
}

/// A type's index where nothing but a type can be named.
fn push_index(ty: HeapType, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) -> Result<()> {
    let at = out.len() as u32;
    relocs.push(match ty {
        HeapType::Concrete(id) => Relocation::to_type_id(RelocKind::TypeIndex, at, id),
        HeapType::Sibling(of) => Relocation::to_sibling(RelocKind::TypeIndex, at, of),
        _ => return Err(Error::bad_edit("names what is no type of the module")),
    });
    out.resize(out.len() + leb::WIDE32, 0);
    Ok(())
}

fn push_function(
    params: &[ValType],
    results: &[ValType],
    out: &mut Vec<u8>,
    relocs: &mut Vec<Relocation>,
) -> Result<()> {
    if params.len() > MOST_VALUES || results.len() > MOST_VALUES {
        return Err(Error::limit(
            "engines allow at most 1,000 parameters and 1,000 results",
        ));
    }
    out.push(FUNCTION);
    for side in [params, results] {
        leb::push_unsigned(out, side.len() as u64);
        side.iter().for_each(|ty| ty.push(out, relocs));
    }
    Ok(())
}

impl Module {
    /// Defines types of the module, which may refer to one another ([`HeapType::Sibling`]) and to those defined before. Equal
    /// groups have the same ids. A type is written for as long as something names it.
    ///
    /// ```
    /// use wasmend::{FieldType, HeapType, Module, ModuleOptions, RefType, StorageType, TypeDef, ValType};
    ///
    /// # fn main() -> wasmend::Result<()> {
    /// let mut module = Module::in_memory(ModuleOptions::default())?;
    /// let field = |ty| FieldType { storage: StorageType::Val(ty), mutable: true };
    /// let next = RefType::nullable(HeapType::Sibling(0));
    /// let list = module.define_types(&[TypeDef::structure([field(ValType::I32), field(next.into())])])?[0];
    /// let first = ValType::Ref(RefType::nullable(HeapType::Concrete(list)));
    /// # let _ = first;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a type is named that is not of this module, there is none of that position, or one is not what a type can be, such
    /// as a subtype of a final one.
    pub fn define_types(&mut self, types: &[TypeDef]) -> Result<Vec<TypeId>> {
        let (mut bytes, mut relocs) = (Vec::new(), Vec::new());
        if types.len() != 1 {
            bytes.push(GROUP);
            leb::push_unsigned(&mut bytes, types.len() as u64);
        }
        for ty in types {
            ty.push(&mut bytes, &mut relocs)?;
        }
        let mut own = Vec::new();
        let mut others = Vec::with_capacity(relocs.len());
        for reloc in relocs {
            match reloc.target {
                Target::Sibling(at) if (at as usize) < types.len() => {
                    own.push((reloc.offset, reloc.kind, at));
                }
                Target::Sibling(at) => {
                    let text = format!("there is no type {at} among those that are defined");
                    return Err(Error::bad_edit(text));
                }
                _ => others.push(reloc),
            }
        }
        let others = self.tag.resolve(&self.program, &others, &[])?;
        let content = RelocatableBytes::new(bytes, others)?;
        let signatures: Vec<_> = types.iter().map(TypeDef::signature).collect();
        if signatures.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.program.types.group(content, own.into(), signatures)?;
        TypeSpace::of(&self.program.types, [first])?;
        let ids = (0..types.len() as u32).map(|at| program::TypeId(first.0 + at));
        let ids = ids.map(|id| self.tag.id_of_type(&self.program, id));
        Ok(ids.collect())
    }

    /// The type of functions with these parameters and results.
    pub(super) fn function_type(
        &mut self,
        params: &[ValType],
        results: &[ValType],
    ) -> Result<program::TypeId> {
        let mut bytes = Vec::with_capacity(4 + params.len() + results.len());
        let mut relocs = Vec::new();
        push_function(params, results, &mut bytes, &mut relocs)?;
        let signature = Some(Signature {
            params: params.len() as u32,
            results: results.len() as u32,
            shared: false,
        });
        if relocs.is_empty() {
            return self.program.types.simple(&bytes, signature);
        }
        let relocs = self.tag.resolve(&self.program, &relocs, &[])?;
        let content = RelocatableBytes::new(bytes, relocs)?;
        let types = &mut self.program.types;
        types.group(content, Box::default(), vec![signature])
    }
}
