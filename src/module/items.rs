//! What else than functions can be defined, and how it is encoded: constants, globals, tables, memories, data, imports.

use crate::error::{Error, Result};
use crate::module::handle::{DeclId, Relocation};
use crate::module::value_type::{HeapType, RefType, ValType};
use crate::patch::MOST_ENTRIES;
use crate::program::RelocKind;
use crate::wire::filler::END;
use crate::wire::leb;

/// The longest name that engines take, in bytes.
const MOST_NAME: usize = 100_000;

/// Refuses a name that engines would not take; `what` says whose name it is.
pub(super) fn check_name(name: &str, what: &str) -> Result<()> {
    if name.len() <= MOST_NAME {
        return Ok(());
    }
    let start: String = name.chars().take(40).collect();
    let len = name.len();
    let text = format!("{what} has a name of {len} bytes; engines take {MOST_NAME}");
    Err(Error::limit(text).with_symbol(format!("{start}...")))
}

/// A global's initial value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConstExpr {
    /// `i32.const`.
    I32(i32),
    /// `i64.const`.
    I64(i64),
    /// `f32.const`, given by its bits.
    F32(u32),
    /// `f64.const`, given by its bits.
    F64(u64),
    /// A function's address: its slot, as an `i32`.
    FunctionAddress(DeclId),
    /// The address of data plus a constant, as an `i32`.
    DataAddress(DeclId, i32),
    /// A function's address as an `i64`, where the table of slots is indexed with 64 bits.
    FunctionAddress64(DeclId),
    /// The address of data plus a constant as an `i64`, for data of a 64-bit memory.
    DataAddress64(DeclId, i32),
    /// The value of an imported constant global.
    Global(DeclId),
    /// A null reference.
    Null(HeapType),
    /// A reference to a function.
    Function(DeclId),
}

impl ConstExpr {
    /// Whether it is a value of a type, as far as that can be said without knowing what it names.
    fn can_be(self, ty: ValType) -> bool {
        match self {
            ConstExpr::I64(_) | ConstExpr::FunctionAddress64(_) | ConstExpr::DataAddress64(..) => {
                ty == ValType::I64
            }
            ConstExpr::F32(_) => ty == ValType::F32,
            ConstExpr::F64(_) => ty == ValType::F64,
            ConstExpr::I32(_) | ConstExpr::FunctionAddress(_) | ConstExpr::DataAddress(..) => {
                ty == ValType::I32
            }
            ConstExpr::Null(of) => can_be_null(ty, of),
            ConstExpr::Function(_) => match ty {
                ValType::Ref(ty) => match ty.heap_type {
                    HeapType::Abstract { .. } => ty.heap_type == HeapType::FUNC,
                    _ => true,
                },
                _ => false,
            },
            ConstExpr::Global(_) => true,
        }
    }

    pub(super) fn push(self, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) {
        let wide = |out: &mut Vec<u8>, len: usize, value: i64| {
            let at = out.len();
            out.resize(at + len, 0);
            leb::write_signed(&mut out[at..], value);
        };
        let reloc = |out: &mut Vec<u8>, relocs: &mut Vec<_>, kind: RelocKind, target, addend| {
            relocs.push(Relocation::new(kind, out.len() as u32, target, addend));
            out.resize(out.len() + kind.width(), 0);
        };
        match self {
            ConstExpr::I32(value) => {
                out.push(0x41);
                wide(out, leb::WIDE32, value.into());
            }
            ConstExpr::I64(value) => {
                out.push(0x42);
                wide(out, leb::WIDE64, value);
            }
            ConstExpr::F32(bits) => {
                out.push(0x43);
                out.extend_from_slice(&bits.to_le_bytes());
            }
            ConstExpr::F64(bits) => {
                out.push(0x44);
                out.extend_from_slice(&bits.to_le_bytes());
            }
            ConstExpr::FunctionAddress(function) => {
                out.push(0x41);
                reloc(out, relocs, RelocKind::SlotSleb, function, 0);
            }
            ConstExpr::DataAddress(data, addend) => {
                out.push(0x41);
                reloc(out, relocs, RelocKind::AddressSleb, data, addend);
            }
            ConstExpr::FunctionAddress64(function) => {
                out.push(0x42);
                reloc(out, relocs, RelocKind::SlotSleb64, function, 0);
            }
            ConstExpr::DataAddress64(data, addend) => {
                out.push(0x42);
                reloc(out, relocs, RelocKind::AddressSleb64, data, addend);
            }
            ConstExpr::Global(global) => {
                out.push(0x23);
                reloc(out, relocs, RelocKind::GlobalIndex, global, 0);
            }
            ConstExpr::Null(ty) => {
                out.push(0xd0);
                ty.push(out, relocs);
            }
            ConstExpr::Function(function) => {
                out.push(0xd2);
                reloc(out, relocs, RelocKind::FunctionIndex, function, 0);
            }
        }
        out.push(END);
    }
}

/// Whether a null of a heap type can be a value of a type, as far as that can be said without knowing the module's types.
fn can_be_null(ty: ValType, of: HeapType) -> bool {
    match ty {
        ValType::Ref(ty) => ty.nullable && (ty.heap_type == of || !is_top(of)),
        _ => false,
    }
}

/// Whether nothing is above it.
fn is_top(ty: HeapType) -> bool {
    [
        HeapType::FUNC,
        HeapType::EXTERN,
        HeapType::ANY,
        HeapType::EXN,
    ]
    .contains(&ty)
}

/// A global's entry, with its fields.
pub(crate) fn global(
    ty: ValType,
    mutable: bool,
    init: ConstExpr,
) -> Result<(Vec<u8>, Vec<Relocation>)> {
    if !init.can_be(ty) {
        return Err(Error::bad_edit(format!(
            "is of type {ty:?}, but is given {init:?} to begin with"
        )));
    }
    let (mut bytes, mut relocs) = (Vec::new(), Vec::new());
    ty.push(&mut bytes, &mut relocs);
    bytes.push(u8::from(mutable));
    init.push(&mut bytes, &mut relocs);
    Ok((bytes, relocs))
}

fn check_limits(minimum: u64, maximum: Option<u64>) -> Result<()> {
    match maximum.filter(|maximum| *maximum < minimum) {
        None => Ok(()),
        Some(maximum) => Err(Error::bad_edit(format!(
            "begins with {minimum}, but has at most {maximum}"
        ))),
    }
}

/// A table's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableType {
    /// What it holds, such as [`RefType::FUNCREF`].
    pub element: RefType,
    /// Entries to begin with.
    pub minimum: u32,
    /// Entries at most.
    pub maximum: Option<u32>,
    /// Whether it is indexed with 64 bits.
    pub is_64: bool,
}

impl TableType {
    /// The entry of a table of this type whose entries are null, or have an initial value.
    pub(super) fn push_table(
        self,
        init: Option<ConstExpr>,
        out: &mut Vec<u8>,
        relocs: &mut Vec<Relocation>,
    ) -> Result<()> {
        let Some(init) = init else {
            if !self.element.nullable {
                let error = Error::bad_edit("holds references that cannot be null");
                return Err(error.with_hint("say what its entries are to begin with"));
            }
            return self.push(out, relocs);
        };
        if !init.can_be(self.element.into()) {
            return Err(Error::bad_edit(format!(
                "holds {:?}, but is given {init:?} to begin with",
                self.element
            )));
        }
        out.extend_from_slice(&[0x40, 0x00]);
        self.push(out, relocs)?;
        init.push(out, relocs);
        Ok(())
    }

    pub(super) fn push(self, out: &mut Vec<u8>, relocs: &mut Vec<Relocation>) -> Result<()> {
        check_limits(self.minimum.into(), self.maximum.map(Into::into))?;
        if self.minimum > MOST_ENTRIES {
            let text = format!(
                "begins with {} entries; engines take {MOST_ENTRIES}",
                self.minimum
            );
            return Err(Error::limit(text));
        }
        self.element.push(out, relocs);
        out.push(u8::from(self.maximum.is_some()) | u8::from(self.is_64) << 2);
        leb::push_wide32(out, self.minimum);
        if let Some(maximum) = self.maximum {
            leb::push_wide32(out, maximum);
        }
        Ok(())
    }
}

/// A memory's type, in pages of 64 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryType {
    /// Pages to begin with.
    pub minimum: u64,
    /// Pages at most.
    pub maximum: Option<u64>,
    /// Shared between threads; needs a maximum.
    pub shared: bool,
    /// Addresses are 64 bits wide.
    pub is_64: bool,
}

impl MemoryType {
    pub(crate) fn push(self, out: &mut Vec<u8>) -> Result<()> {
        check_limits(self.minimum, self.maximum)?;
        let most = if self.is_64 { 1 << 48 } else { 1 << 16 };
        if self.maximum.unwrap_or(self.minimum) > most {
            return Err(Error::bad_edit(format!(
                "is of more than {most} pages, which is all there can be"
            )));
        }
        if self.shared && self.maximum.is_none() {
            return Err(Error::bad_edit("is shared, but has no maximum"));
        }
        out.push(
            u8::from(self.maximum.is_some())
                | u8::from(self.shared) << 1
                | u8::from(self.is_64) << 2,
        );
        let width = if self.is_64 { leb::WIDE64 } else { leb::WIDE32 };
        for limit in [Some(self.minimum), self.maximum].into_iter().flatten() {
            let at = out.len();
            out.resize(at + width, 0);
            leb::write_unsigned(&mut out[at..], limit);
        }
        Ok(())
    }
}

/// Data to be placed in a memory's address space.
#[derive(Debug, Clone)]
pub struct Data {
    pub(crate) bytes: Vec<u8>,
    pub(crate) relocs: Vec<Relocation>,
    pub(crate) size: u64,
    pub(crate) align_log2: u8,
    pub(crate) constant: bool,
}

impl Data {
    /// Bytes with an alignment of `1 << align_log2`.
    pub fn new(bytes: impl Into<Vec<u8>>, align_log2: u8) -> Self {
        let bytes = bytes.into();
        Data {
            size: bytes.len() as u64,
            bytes,
            relocs: Vec::new(),
            align_log2,
            constant: false,
        }
    }

    /// Zero bytes, which take no space in the file.
    pub fn zero(size: u64, align_log2: u8) -> Self {
        Data {
            bytes: Vec::new(),
            relocs: Vec::new(),
            size,
            align_log2,
            constant: false,
        }
    }

    /// Says that the program never writes to it. Where instances that run are patched such data may be replaced and may move;
    /// other data keeps its address and, once the program has changed it, its value.
    #[must_use]
    pub fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// Puts a function's address (its slot, four bytes) at `offset`.
    #[must_use]
    pub fn with_function(mut self, offset: u32, function: DeclId) -> Self {
        self.relocs
            .push(Relocation::new(RelocKind::SlotI32, offset, function, 0));
        self
    }

    /// The same in eight bytes.
    #[must_use]
    pub fn with_function64(mut self, offset: u32, function: DeclId) -> Self {
        self.relocs
            .push(Relocation::new(RelocKind::SlotI64, offset, function, 0));
        self
    }

    /// Puts the address of other data plus `addend` (four bytes) at `offset`.
    #[must_use]
    pub fn with_address(mut self, offset: u32, data: DeclId, addend: i32) -> Self {
        self.relocs
            .push(Relocation::new(RelocKind::AddressI32, offset, data, addend));
        self
    }

    /// Puts the distance of other data plus `addend` from the beginning of this data (four bytes) at `offset`.
    #[must_use]
    pub fn with_distance(mut self, offset: u32, data: DeclId, addend: i32) -> Self {
        self.relocs.push(Relocation::new(
            RelocKind::DistanceI32,
            offset,
            data,
            addend,
        ));
        self
    }

    /// Puts the address of other data plus `addend` (eight bytes, for a 64-bit memory) at `offset`.
    #[must_use]
    pub fn with_address64(mut self, offset: u32, data: DeclId, addend: i32) -> Self {
        self.relocs
            .push(Relocation::new(RelocKind::AddressI64, offset, data, addend));
        self
    }
}

/// What is imported.
#[derive(Debug, Clone, PartialEq)]
pub enum ImportType {
    /// A function with these parameters and results.
    Function(Vec<ValType>, Vec<ValType>),
    /// A global of this type; mutable or not.
    Global(ValType, bool),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A tag of exceptions with these values.
    Tag(Vec<ValType>),
}
