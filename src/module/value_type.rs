//! Value types as a compiler names them, and how they are encoded. Types of the module have ids, never indices.

use wasm_encoder::AbstractHeapType;

use crate::error::{Error, Result};
use crate::module::handle::{Relocation, TypeId};
use crate::program::RelocKind;
use crate::wire::leb;

/// A value type.
///
/// It is `wasm-encoder`'s in all but the references to types of the module, which are named by their [`TypeId`]s here and by
/// indices there; so each becomes the other with `try_into`, unless it is such a reference.
///
/// ```
/// use wasmend::{HeapType, ValType, wasm_encoder};
///
/// let ty = wasm_encoder::ValType::try_from(ValType::F64)?;
/// assert_eq!(ValType::try_from(ty)?, ValType::F64);
/// assert!(HeapType::try_from(wasm_encoder::HeapType::Concrete(3)).is_err());
/// # Ok::<(), wasmend::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValType {
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// `v128`.
    V128,
    /// A reference.
    Ref(RefType),
}

impl ValType {
    /// `funcref`.
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// `externref`.
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);

    /// Appends it as it is encoded.
    pub(super) fn push(self, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) {
        out.push(match self {
            ValType::I32 => 0x7f,
            ValType::I64 => 0x7e,
            ValType::F32 => 0x7d,
            ValType::F64 => 0x7c,
            ValType::V128 => 0x7b,
            ValType::Ref(ty) => return ty.push(out, relocs),
        });
    }
}

/// The type of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefType {
    /// Whether it can be null.
    pub nullable: bool,
    /// What it refers to.
    pub heap_type: HeapType,
}

impl RefType {
    /// `funcref`: `(ref null func)`.
    pub const FUNCREF: RefType = RefType::nullable(HeapType::FUNC);
    /// `externref`: `(ref null extern)`.
    pub const EXTERNREF: RefType = RefType::nullable(HeapType::EXTERN);

    /// A reference that can be null.
    pub const fn nullable(heap_type: HeapType) -> RefType {
        RefType {
            nullable: true,
            heap_type,
        }
    }

    /// A reference that cannot be null.
    pub const fn non_null(heap_type: HeapType) -> RefType {
        RefType {
            nullable: false,
            heap_type,
        }
    }

    pub(super) fn push(self, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) {
        match (self.nullable, self.heap_type) {
            (true, HeapType::Abstract { .. }) => {}
            (nullable, _) => out.push(if nullable { 0x63 } else { 0x64 }),
        }
        self.heap_type.push(out, relocs);
    }
}

/// What a reference can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeapType {
    /// Something that no module defines.
    Abstract {
        /// Whether several threads may have it.
        shared: bool,
        /// What it is.
        ty: AbstractHeapType,
    },
    /// A type of the module, or one of its subtypes.
    Concrete(TypeId),
    /// A type of the module, and none of its subtypes.
    Exact(TypeId),
    /// While types are defined together ([`Module::define_types`](crate::Module::define_types)): one of them, by its position.
    Sibling(u32),
}

impl HeapType {
    /// `func`.
    pub const FUNC: HeapType = HeapType::of(AbstractHeapType::Func);
    /// `extern`.
    pub const EXTERN: HeapType = HeapType::of(AbstractHeapType::Extern);
    /// `any`.
    pub const ANY: HeapType = HeapType::of(AbstractHeapType::Any);
    /// `eq`.
    pub const EQ: HeapType = HeapType::of(AbstractHeapType::Eq);
    /// `i31`.
    pub const I31: HeapType = HeapType::of(AbstractHeapType::I31);
    /// `struct`.
    pub const STRUCT: HeapType = HeapType::of(AbstractHeapType::Struct);
    /// `array`.
    pub const ARRAY: HeapType = HeapType::of(AbstractHeapType::Array);
    /// `exn`.
    pub const EXN: HeapType = HeapType::of(AbstractHeapType::Exn);
    /// `none`.
    pub const NONE: HeapType = HeapType::of(AbstractHeapType::None);

    const fn of(ty: AbstractHeapType) -> HeapType {
        HeapType::Abstract { shared: false, ty }
    }

    pub(super) fn push(self, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) {
        if let HeapType::Exact(_) = self {
            out.push(0x62);
        }
        let at = out.len() as u32;
        relocs.push(match self {
            HeapType::Abstract { shared, ty } => {
                let ty = wasm_encoder::HeapType::Abstract { shared, ty };
                return wasm_encoder::Encode::encode(&ty, out);
            }
            HeapType::Concrete(id) => Relocation::to_type_id(RelocKind::HeapType, at, id),
            HeapType::Exact(id) => Relocation::to_type_id(RelocKind::TypeIndex, at, id),
            HeapType::Sibling(of) => Relocation::to_sibling(RelocKind::HeapType, at, of),
        });
        out.resize(out.len() + leb::WIDE32, 0);
    }
}

#[cold]
fn names_a_type() -> Error {
    Error::bad_edit("a reference to a type of the module has no counterpart")
        .with_hint("types have ids here, and indices there")
}

impl TryFrom<HeapType> for wasm_encoder::HeapType {
    type Error = Error;

    fn try_from(ty: HeapType) -> Result<Self> {
        match ty {
            HeapType::Abstract { shared, ty } => {
                Ok(wasm_encoder::HeapType::Abstract { shared, ty })
            }
            _ => Err(names_a_type()),
        }
    }
}

impl TryFrom<wasm_encoder::HeapType> for HeapType {
    type Error = Error;

    fn try_from(ty: wasm_encoder::HeapType) -> Result<Self> {
        match ty {
            wasm_encoder::HeapType::Abstract { shared, ty } => {
                Ok(HeapType::Abstract { shared, ty })
            }
            _ => Err(names_a_type()),
        }
    }
}

impl TryFrom<RefType> for wasm_encoder::RefType {
    type Error = Error;

    fn try_from(ty: RefType) -> Result<Self> {
        Ok(wasm_encoder::RefType {
            nullable: ty.nullable,
            heap_type: ty.heap_type.try_into()?,
        })
    }
}

impl TryFrom<wasm_encoder::RefType> for RefType {
    type Error = Error;

    fn try_from(ty: wasm_encoder::RefType) -> Result<Self> {
        Ok(RefType {
            nullable: ty.nullable,
            heap_type: ty.heap_type.try_into()?,
        })
    }
}

impl TryFrom<ValType> for wasm_encoder::ValType {
    type Error = Error;

    fn try_from(ty: ValType) -> Result<Self> {
        Ok(match ty {
            ValType::I32 => wasm_encoder::ValType::I32,
            ValType::I64 => wasm_encoder::ValType::I64,
            ValType::F32 => wasm_encoder::ValType::F32,
            ValType::F64 => wasm_encoder::ValType::F64,
            ValType::V128 => wasm_encoder::ValType::V128,
            ValType::Ref(ty) => wasm_encoder::ValType::Ref(ty.try_into()?),
        })
    }
}

impl TryFrom<wasm_encoder::ValType> for ValType {
    type Error = Error;

    fn try_from(ty: wasm_encoder::ValType) -> Result<Self> {
        Ok(match ty {
            wasm_encoder::ValType::I32 => ValType::I32,
            wasm_encoder::ValType::I64 => ValType::I64,
            wasm_encoder::ValType::F32 => ValType::F32,
            wasm_encoder::ValType::F64 => ValType::F64,
            wasm_encoder::ValType::V128 => ValType::V128,
            wasm_encoder::ValType::Ref(ty) => ValType::Ref(ty.try_into()?),
        })
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        ValType::Ref(ty)
    }
}
