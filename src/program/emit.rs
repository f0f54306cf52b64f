//! Re-encodes types, constant expressions and code so that every index stands in a relocated field of fixed width.
//!
//! An instruction's immediates are found by reading them again, one by one, in the order that the decoder's own list
//! of instructions gives: a kind of immediate that is not known here does not compile, and one that is encoded in
//! another way than expected does not end where the instruction ends, which is an error. So no index is ever
//! overlooked. Knows no sections and no declarations.

use wasmparser::{
    AbstractHeapType, BinaryReader, BlockType, BrTable, Catch, FunctionBody, Handle, HeapType,
    Ieee32, Ieee64, MemArg, MemArgTarget, Operator, OperatorsReader, Ordering, RefType,
    ResumeTable, TryTable, UnpackedIndex, V128, ValType,
};

use crate::error::{Error, Result};
use crate::program::content::{RelocKind, Relocation};
use crate::program::ids::{DeclId, TypeId};
use crate::wire::{filler, leb};

/// How what is not an index is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// To be patched: code byte for byte as it came; constants of initialisers and limits of full width. What the first
    /// version of WebAssembly has no index for has none if tables keep their indices.
    Patchable { keeps_tables: bool },
    /// To be compared or released: every number as short as possible, code without filler at its end.
    Canonical,
}

/// What is encoded depends on the module that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) style: Style,
    /// The module's types by index.
    pub(crate) types: &'a [TypeId],
    /// Whether memory arguments must name their memory, because there are several.
    pub(crate) many_memories: bool,
}

/// A reference to another type of the group that is being encoded: offset, kind, and which of the group's types.
pub(crate) type OwnReference = (u32, RelocKind, u32);

/// Collects bytes and relocations. Targets other than types are indices of the input.
pub(crate) struct Emitter<'a> {
    context: Context<'a>,
    pub(crate) out: Vec<u8>,
    pub(crate) relocs: Vec<Relocation>,
    /// Indices of the group of types that is being encoded, and the references within it.
    own: std::ops::Range<u32>,
    pub(crate) own_references: Vec<OwnReference>,
    /// Where in `out` each instruction begins.
    starts: Vec<u32>,
    /// Whether any instruction was a tail call.
    pub(crate) tail_calls: bool,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(context: Context<'a>) -> Self {
        Emitter {
            context,
            out: Vec::new(),
            relocs: Vec::new(),
            own: 0..0,
            own_references: Vec::new(),
            starts: Vec::new(),
            tail_calls: false,
        }
    }

    /// For a group of types that has these indices: they may refer to one another.
    pub(crate) fn for_group(context: Context<'a>, own: std::ops::Range<u32>) -> Self {
        Emitter {
            own,
            ..Emitter::new(context)
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.context.style
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        leb::push_unsigned(&mut self.out, value);
    }

    /// A number that may change from build to build without anything else changing.
    pub(crate) fn wide(&mut self, value: u64, is_64: bool) {
        match self.context.style {
            Style::Canonical => self.unsigned(value),
            Style::Patchable { .. } => {
                let at = self.grow(if is_64 { leb::WIDE64 } else { leb::WIDE32 });
                leb::write_unsigned(&mut self.out[at..], value);
            }
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.unsigned(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn grow(&mut self, by: usize) -> usize {
        let at = self.out.len();
        self.out.resize(at + by, 0);
        at
    }

    /// Room for an index. It holds a zero of full width, so that what was encoded can be read as code.
    fn field(&mut self, kind: RelocKind) -> u32 {
        let at = self.grow(kind.width());
        leb::write_unsigned(&mut self.out[at..], 0);
        at as u32
    }

    /// A field for an index of a declaration.
    pub(crate) fn index(&mut self, kind: RelocKind, index: u32) {
        let at = self.field(kind);
        self.relocs
            .push(Relocation::new(kind, at, DeclId(index), 0));
    }

    /// A field for an index of a type.
    pub(crate) fn type_index(&mut self, kind: RelocKind, index: u32) -> Result<()> {
        let at = self.field(kind);
        if self.own.contains(&index) {
            self.own_references.push((at, kind, index - self.own.start));
        } else {
            let ty = self.context.types.get(index as usize);
            let ty = ty.ok_or_else(|| Error::bad_input(format!("unknown type {index}")))?;
            self.relocs.push(Relocation::to_type(kind, at, *ty));
        }
        Ok(())
    }

    pub(crate) fn val_type(&mut self, ty: ValType) -> Result<()> {
        let code = match ty {
            ValType::I32 => 0x7f,
            ValType::I64 => 0x7e,
            ValType::F32 => 0x7d,
            ValType::F64 => 0x7c,
            ValType::V128 => 0x7b,
            ValType::Ref(ty) => return self.ref_type(ty),
        };
        self.byte(code);
        Ok(())
    }

    pub(crate) fn ref_type(&mut self, ty: RefType) -> Result<()> {
        let heap = ty.heap_type();
        match (ty.is_nullable(), heap) {
            (true, HeapType::Abstract { .. }) => {}
            (nullable, _) => self.byte(if nullable { 0x63 } else { 0x64 }),
        }
        self.heap_type(heap)
    }

    pub(crate) fn heap_type(&mut self, ty: HeapType) -> Result<()> {
        match ty {
            HeapType::Abstract { shared, ty } => {
                if shared {
                    self.byte(0x65);
                }
                self.byte(abstract_code(ty));
                Ok(())
            }
            HeapType::Concrete(index) => self.type_index(RelocKind::HeapType, module_index(index)?),
            HeapType::Exact(index) => {
                self.byte(0x62);
                self.type_index(RelocKind::TypeIndex, module_index(index)?)
            }
        }
    }

    /// A function's locals and code. `returns` are the instructions in whose place the body could end.
    pub(crate) fn body(&mut self, body: &FunctionBody<'_>, returns: &[u32]) -> Result<()> {
        let mut groups = 0;
        let mut locals = body.get_locals_reader()?.into_iter();
        // Groups without locals mean nothing; they are left out, since they mark what wasmend makes itself.
        let mut counted = Vec::new();
        for group in locals.by_ref() {
            let (count, ty) = group?;
            if count > 0 {
                groups += 1;
                counted.push((count, ty));
            }
        }
        self.unsigned(groups);
        for (count, ty) in counted {
            self.unsigned(count.into());
            self.val_type(ty)?;
        }
        self.expression(&locals.into_binary_reader_for_operators(), false)?;
        if self.context.style == Style::Canonical {
            self.strip_filler(returns);
        }
        Ok(())
    }

    /// Instructions up to the final `end`. With `wide`, integer constants get fields of full width.
    pub(crate) fn expression(&mut self, reader: &BinaryReader<'_>, wide: bool) -> Result<()> {
        let mut source = reader.clone();
        let base = source.original_position();
        let bytes = source.read_bytes(source.bytes_remaining())?;
        let mut operators = OperatorsReader::new(reader.clone());
        self.starts.clear();
        while !operators.eof() {
            self.starts.push(self.out.len() as u32);
            self.next(&mut operators, bytes, base, wide)?;
        }
        operators.finish()?;
        Ok(())
    }

    /// A single instruction, wherever it may stand.
    pub(crate) fn instruction(&mut self, code: &[u8]) -> Result<()> {
        // Some stand within a `try` only.
        const TRY: [u8; 2] = [0x06, 0x40];
        let source = [&TRY, code].concat();
        let mut operators = OperatorsReader::new(BinaryReader::new(&source, 0));
        operators.read()?;
        self.next(&mut operators, &source, 0, false)?;
        match operators.eof() {
            true => Ok(()),
            false => Err(Error::bad_input("is more than one instruction")),
        }
    }

    /// The next of the instructions in `source`, whose first byte has the offset `base`.
    fn next(
        &mut self,
        operators: &mut OperatorsReader<'_>,
        source: &[u8],
        base: u64,
        wide: bool,
    ) -> Result<()> {
        let cursor = operators.get_binary_reader();
        let start = operators.original_position();
        let operator = operators.read()?;
        let mut fields = Fields {
            emitter: self,
            cursor,
            source,
            base,
            copied: start,
            wide,
            call: false,
        };
        fields.operator(&operator)?;
        fields.finish(&operator, start, operators.original_position())
    }

    /// Takes away what `wire::filler` puts behind a body, and whatever looks like it: it does nothing.
    fn strip_filler(&mut self, returns: &[u32]) {
        let first = |emitter: &Self, at: usize| emitter.out[emitter.starts[at] as usize];
        let mut count = self.starts.len().saturating_sub(1);
        let all = count;
        loop {
            let last = count.checked_sub(1).map(|last| first(self, last));
            match last {
                Some(filler::NOP) => count -= 1,
                Some(filler::UNREACHABLE) => {
                    let mut at = count - 1;
                    while at > 0 && first(self, at - 1) == filler::F64_CONST {
                        at -= 1;
                    }
                    while at > 0 && first(self, at - 1) == filler::NOP {
                        at -= 1;
                    }
                    if at == 0 || !returns.contains(&(at as u32 - 1)) {
                        break;
                    }
                    count = at - 1;
                }
                _ => break,
            }
        }
        if count < all {
            self.out.truncate(self.starts[count] as usize);
            self.out.push(filler::END);
        }
    }
}

fn module_index(index: UnpackedIndex) -> Result<u32> {
    index
        .as_module_index()
        .ok_or_else(|| Error::bad_input("a type is named in a way that a module cannot"))
}

fn abstract_code(ty: AbstractHeapType) -> u8 {
    use AbstractHeapType::*;
    match ty {
        Func => 0x70,
        Extern => 0x6f,
        Any => 0x6e,
        None => 0x71,
        NoExtern => 0x72,
        NoFunc => 0x73,
        Eq => 0x6d,
        Struct => 0x6b,
        Array => 0x6a,
        I31 => 0x6c,
        Exn => 0x69,
        NoExn => 0x74,
        Cont => 0x68,
        NoCont => 0x75,
    }
}

/// The immediates of one instruction: a cursor that reads them again, and how much of the source has been copied.
struct Fields<'e, 'a, 's> {
    emitter: &'e mut Emitter<'a>,
    cursor: BinaryReader<'s>,
    source: &'s [u8],
    /// File offset of the source's first byte.
    base: u64,
    /// File offset up to which the source has been copied or replaced.
    copied: u64,
    wide: bool,
    /// Whether a function index is that of a call.
    call: bool,
}

/// A constant's immediate.
trait Constant: PartialEq + Sized {
    /// Reads it.
    fn read(cursor: &mut BinaryReader<'_>) -> wasmparser::Result<Self>;
    /// Its value and the width of a full field, if it is an integer.
    fn integer(&self) -> Option<(i64, usize)> {
        None
    }
}

impl Constant for i32 {
    fn read(cursor: &mut BinaryReader<'_>) -> wasmparser::Result<Self> {
        cursor.read_var_i32()
    }

    fn integer(&self) -> Option<(i64, usize)> {
        Some(((*self).into(), leb::WIDE32))
    }
}

impl Constant for i64 {
    fn read(cursor: &mut BinaryReader<'_>) -> wasmparser::Result<Self> {
        cursor.read_var_i64()
    }

    fn integer(&self) -> Option<(i64, usize)> {
        Some((*self, leb::WIDE64))
    }
}

impl Constant for Ieee32 {
    fn read(cursor: &mut BinaryReader<'_>) -> wasmparser::Result<Self> {
        cursor.read_f32()
    }
}

impl Constant for Ieee64 {
    fn read(cursor: &mut BinaryReader<'_>) -> wasmparser::Result<Self> {
        cursor.read_f64()
    }
}

impl Constant for V128 {
    fn read(cursor: &mut BinaryReader<'_>) -> wasmparser::Result<Self> {
        let bytes = cursor.read_bytes(16)?;
        let bytes = bytes.first_chunk::<16>().copied().unwrap_or_default();
        Ok(V128::from(u128::from_le_bytes(bytes)))
    }
}

/// One method for each name that an immediate has in the decoder's list of instructions.
macro_rules! immediates {
    ($fields:ident, $operator:ident;
     $(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        match $operator {
            $(Operator::$op $({ $($arg),* })? => { $($($fields.$arg($arg)?;)*)? })*
            _ => return Err($fields.unknown($operator)),
        }
    };
}

impl Fields<'_, '_, '_> {
    fn operator(&mut self, operator: &Operator<'_>) -> Result<()> {
        let prefix = self.cursor.read_u8()?;
        if matches!(prefix, 0xfb..=0xfe) {
            let from = self.cursor.original_position();
            let code = self.cursor.read_var_u32()?;
            self.shorten(from, code.into());
        }
        match operator {
            Operator::Call { .. } => self.call = true,
            Operator::ReturnCall { .. } => (self.call, self.emitter.tail_calls) = (true, true),
            Operator::ReturnCallIndirect { .. } | Operator::ReturnCallRef { .. } => {
                self.emitter.tail_calls = true;
            }
            // The flags say whether the two types are nullable; they stand before the label.
            Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::BrOnCastDescEq { .. }
            | Operator::BrOnCastDescEqFail { .. } => {
                self.cursor.read_u8()?;
            }
            _ => {}
        }
        macro_rules! dispatch {
            ($($list:tt)*) => { immediates!(self, operator; $($list)*) };
        }
        wasmparser::for_each_operator!(dispatch);
        Ok(())
    }

    /// Checks that all immediates have been read, and copies what is left.
    fn finish(mut self, operator: &Operator<'_>, start: u64, end: u64) -> Result<()> {
        if self.cursor.original_position() != end {
            return Err(self.unknown(operator).with_offset(start));
        }
        self.copy_to(end);
        Ok(())
    }

    #[cold]
    fn unknown(&self, operator: &Operator<'_>) -> Error {
        Error::bad_input(format!(
            "the instruction {operator:?} is encoded in a way that wasmend does not know"
        ))
        .with_offset(self.cursor.original_position())
    }

    #[cold]
    fn differs(&self, from: u64) -> Error {
        Error::bad_input("an instruction's immediate reads differently than it was decoded")
            .with_offset(from)
    }

    fn same(&self, from: u64, same: bool) -> Result<()> {
        if same {
            Ok(())
        } else {
            Err(self.differs(from))
        }
    }

    fn copy_to(&mut self, to: u64) {
        let range = (self.copied - self.base) as usize..(to - self.base) as usize;
        self.emitter.out.extend_from_slice(&self.source[range]);
        self.copied = to;
    }

    /// Copies the source up to `from`; what has been read behind it is written by the caller.
    fn replace_from(&mut self, from: u64) -> &mut Self {
        self.copy_to(from);
        self.copied = self.cursor.original_position();
        self
    }

    /// A number that stands behind `from`: as it is, or as short as possible.
    fn shorten(&mut self, from: u64, value: u64) {
        if self.emitter.context.style == Style::Canonical {
            self.replace_from(from).emitter.unsigned(value);
        }
    }

    fn number(&mut self, expected: u32) -> Result<()> {
        let from = self.cursor.original_position();
        let value = self.cursor.read_var_u32()?;
        self.same(from, value == expected)?;
        self.shorten(from, value.into());
        Ok(())
    }

    fn decl(&mut self, kind: RelocKind, expected: u32) -> Result<()> {
        let from = self.cursor.original_position();
        let index = self.cursor.read_var_u32()?;
        self.same(from, index == expected)?;
        self.replace_from(from).emitter.index(kind, index);
        Ok(())
    }

    fn type_of(&mut self, expected: u32) -> Result<()> {
        let from = self.cursor.original_position();
        let index = self.cursor.read_var_u32()?;
        self.same(from, index == expected)?;
        self.replace_from(from)
            .emitter
            .type_index(RelocKind::TypeIndex, index)
    }

    fn heap(&mut self, expected: HeapType) -> Result<()> {
        let from = self.cursor.original_position();
        let ty: HeapType = self.cursor.read()?;
        self.same(from, ty == expected)?;
        match ty {
            HeapType::Abstract { .. } => Ok(()),
            _ => self.replace_from(from).emitter.heap_type(ty),
        }
    }

    fn val(&mut self, expected: ValType) -> Result<()> {
        let from = self.cursor.original_position();
        let ty: ValType = self.cursor.read()?;
        self.same(from, ty == expected)?;
        match ty {
            ValType::Ref(_) => self.replace_from(from).emitter.val_type(ty),
            _ => Ok(()),
        }
    }

    fn one_byte(&mut self) -> Result<()> {
        self.cursor.read_u8()?;
        Ok(())
    }

    // The names below are those of the decoder's list.

    fn blockty(&mut self, expected: &BlockType) -> Result<()> {
        match *expected {
            BlockType::Empty => self.one_byte(),
            BlockType::Type(ty) => self.val(ty),
            BlockType::FuncType(index) => {
                let from = self.cursor.original_position();
                let read = self.cursor.read_var_s33()?;
                self.same(from, read == i64::from(index))?;
                self.replace_from(from)
                    .emitter
                    .type_index(RelocKind::HeapType, index)
            }
        }
    }

    fn relative_depth(&mut self, expected: &u32) -> Result<()> {
        self.number(*expected)
    }

    fn targets(&mut self, expected: &BrTable<'_>) -> Result<()> {
        self.number(expected.len())?;
        for target in expected.targets() {
            self.number(target?)?;
        }
        self.number(expected.default())
    }

    fn function_index(&mut self, expected: &u32) -> Result<()> {
        let kind = if self.call {
            RelocKind::Call
        } else {
            RelocKind::FunctionIndex
        };
        self.decl(kind, *expected)
    }

    fn type_index(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn struct_type_index(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn array_type_index(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn array_type_index_dst(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn array_type_index_src(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn cont_type_index(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn argument_index(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn result_index(&mut self, expected: &u32) -> Result<()> {
        self.type_of(*expected)
    }

    fn field_index(&mut self, expected: &u32) -> Result<()> {
        self.number(*expected)
    }

    fn array_size(&mut self, expected: &u32) -> Result<()> {
        self.number(*expected)
    }

    fn array_data_index(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::DataIndex, *expected)
    }

    fn array_elem_index(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::ElementIndex, *expected)
    }

    fn data_index(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::DataIndex, *expected)
    }

    fn elem_index(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::ElementIndex, *expected)
    }

    fn table_index(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::TableByte, *expected)
    }

    fn table(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::TableByte, *expected)
    }

    fn dst_table(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::TableByte, *expected)
    }

    fn src_table(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::TableByte, *expected)
    }

    fn mem(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::MemoryIndex, *expected)
    }

    fn dst_mem(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::MemoryIndex, *expected)
    }

    fn src_mem(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::MemoryIndex, *expected)
    }

    fn global_index(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::GlobalIndex, *expected)
    }

    fn tag_index(&mut self, expected: &u32) -> Result<()> {
        self.decl(RelocKind::TagIndex, *expected)
    }

    fn local_index(&mut self, expected: &u32) -> Result<()> {
        self.number(*expected)
    }

    fn memarg(&mut self, expected: &MemArg) -> Result<()> {
        const NAMES_MEMORY: u32 = 1 << 6;
        let from = self.cursor.original_position();
        let flags = self.cursor.read_var_u32()?;
        match expected.target {
            MemArgTarget::Memory(memory) => {
                let named = flags & NAMES_MEMORY != 0;
                let read = if named {
                    self.cursor.read_var_u32()?
                } else {
                    0
                };
                self.same(from, read == memory)?;
                let plain = flags & !NAMES_MEMORY;
                if self.emitter.context.many_memories {
                    let emitter = &mut *self.replace_from(from).emitter;
                    emitter.unsigned((plain | NAMES_MEMORY).into());
                    emitter.index(RelocKind::MemoryIndex, memory);
                } else if named || self.emitter.context.style == Style::Canonical {
                    self.replace_from(from).emitter.unsigned(plain.into());
                }
            }
            MemArgTarget::Array(ty) => {
                let read = self.cursor.read_var_u32()?;
                self.same(from, read == ty)?;
                let emitter = &mut *self.replace_from(from).emitter;
                emitter.unsigned(flags.into());
                emitter.type_index(RelocKind::TypeIndex, ty)?;
            }
        }
        if expected.ordering.is_some() {
            self.one_byte()?;
        }
        let from = self.cursor.original_position();
        let offset = self.cursor.read_var_u64()?;
        self.same(from, offset == expected.offset)?;
        self.shorten(from, offset);
        Ok(())
    }

    fn value<T: Constant>(&mut self, expected: &T) -> Result<()> {
        let from = self.cursor.original_position();
        let value = T::read(&mut self.cursor)?;
        self.same(from, value == *expected)?;
        let Some((value, width)) = value.integer() else {
            return Ok(());
        };
        if self.emitter.context.style == Style::Canonical {
            leb::push_signed(&mut self.replace_from(from).emitter.out, value);
        } else if self.wide {
            let emitter = &mut *self.replace_from(from).emitter;
            let at = emitter.grow(width);
            leb::write_signed(&mut emitter.out[at..], value);
        }
        Ok(())
    }

    fn lane(&mut self, _: &u8) -> Result<()> {
        self.one_byte()
    }

    fn lanes(&mut self, expected: &[u8; 16]) -> Result<()> {
        let from = self.cursor.original_position();
        let lanes = self.cursor.read_bytes(16)?;
        self.same(from, lanes == expected)
    }

    fn ordering(&mut self, _: &Ordering) -> Result<()> {
        self.one_byte()
    }

    fn ty(&mut self, expected: &ValType) -> Result<()> {
        self.number(1)?;
        self.val(*expected)
    }

    fn tys(&mut self, expected: &[ValType]) -> Result<()> {
        self.number(expected.len() as u32)?;
        expected.iter().try_for_each(|ty| self.val(*ty))
    }

    fn hty(&mut self, expected: &HeapType) -> Result<()> {
        self.heap(*expected)
    }

    #[expect(clippy::wrong_self_convention, reason = "named by the decoder")]
    fn from_ref_type(&mut self, expected: &RefType) -> Result<()> {
        self.heap(expected.heap_type())
    }

    #[expect(clippy::wrong_self_convention, reason = "named by the decoder")]
    fn to_ref_type(&mut self, expected: &RefType) -> Result<()> {
        self.heap(expected.heap_type())
    }

    fn try_table(&mut self, expected: &TryTable) -> Result<()> {
        self.blockty(&expected.ty)?;
        self.number(expected.catches.len() as u32)?;
        for catch in &expected.catches {
            self.one_byte()?;
            match *catch {
                Catch::One { tag, label } | Catch::OneRef { tag, label } => {
                    self.tag_index(&tag)?;
                    self.number(label)?;
                }
                Catch::All { label } | Catch::AllRef { label } => self.number(label)?,
            }
        }
        Ok(())
    }

    fn resume_table(&mut self, expected: &ResumeTable) -> Result<()> {
        self.number(expected.len() as u32)?;
        for handler in &expected.handlers {
            self.one_byte()?;
            match *handler {
                Handle::OnLabel { tag, label } => {
                    self.tag_index(&tag)?;
                    self.number(label)?;
                }
                Handle::OnSwitch { tag } => self.tag_index(&tag)?,
            }
        }
        Ok(())
    }
}
