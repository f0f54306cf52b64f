//! A body on its way: bytes, fields, locals and the signatures that it names. It knows how a field is written, not which
//! instructions there are.

use wasm_encoder::{Encode, Instruction};

use crate::error::{Error, Result};
use crate::module::body::position::Position;
use crate::module::body::scan::names_something;
#[cfg(feature = "debug")]
use crate::module::debug_info::DebugInfo;
use crate::module::handle::{DeclId, Relocation, TypeId};
use crate::module::options::Redirect;
use crate::module::value_type::ValType;
use crate::program::RelocKind;
use crate::wire::filler::END;
use crate::wire::leb;

/// What a body builder needs to know of its module.
#[derive(Debug, Clone, Copy)]
pub struct BodyStyle {
    pub(super) redirect: Redirect,
    pub(super) slot_table: Option<DeclId>,
    /// Whether the table of slots is indexed with 64 bits.
    pub(super) table64: bool,
}

impl BodyStyle {
    pub(crate) fn new(redirect: Redirect, slot_table: Option<DeclId>, table64: bool) -> Self {
        BodyStyle {
            redirect,
            slot_table,
            table64,
        }
    }
}

/// A function type that a body names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signature {
    /// By its parameters and results.
    Of(Box<[ValType]>, Box<[ValType]>),
    /// By its id.
    Type(TypeId),
}

/// A function's signature, locals and code, ready to be given to [`Module::define_function`](crate::Module).
#[derive(Debug, Clone)]
pub struct Function {
    /// The signature comes first.
    pub(crate) signatures: Vec<Signature>,
    pub(crate) bytes: Vec<u8>,
    /// Types are named by their indices among `signatures`, or by their ids.
    pub(crate) relocs: Vec<Relocation>,
    /// What it calls, each with the index of the signature by which it does.
    pub(crate) calls: Vec<(DeclId, u32)>,
    /// Whether any of its calls is a tail call.
    pub(crate) tail_calls: bool,
    /// Bytes of the body before its code: the declarations of its locals.
    pub(crate) head: u32,
    #[cfg(feature = "debug")]
    pub(crate) debug_info: Option<Box<DebugInfo>>,
}

impl Function {
    /// Where in the body a position is: its distance from the beginning of the declarations of locals.
    pub fn offset_of(&self, position: Position) -> u32 {
        self.head + position.0
    }

    /// The same function, with debug information. Without any, defining it takes away what was said of it before.
    #[cfg(feature = "debug")]
    #[must_use]
    pub fn with_debug_info(mut self, info: DebugInfo) -> Function {
        self.debug_info = Some(Box::new(info));
        self
    }

    /// Bytes of the body: local declarations and code.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the body has no bytes; a finished one has some.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Writes a function's locals and code, with every index and address in a field of fixed width.
///
/// Instructions that name nothing outside the function are given to [`op`](Self::op). Those that do have methods of their own;
/// and whatever has none, such as a load of another memory than the first, is given to [`naming`](Self::naming) with the names
/// of what it names.
///
/// ```
/// use wasmend::{DeclKind, FunctionBuilder, Instruction, MemArg, MemArgTarget, MemoryType, Module, ModuleOptions, ValType};
///
/// # fn main() -> wasmend::Result<()> {
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let pages = MemoryType { minimum: 1, maximum: None, shared: false, is_64: false };
/// for key in ["main", "scratch"] {
///     let memory = module.declare(DeclKind::Memory, key)?;
///     module.define_memory(memory, pages)?;
/// }
/// let scratch = module.lookup("scratch").expect("it was declared");
/// let function = module.declare(DeclKind::Function, "f")?;
/// let mut body = FunctionBuilder::new(module.body_style(), &[ValType::I32], &[ValType::I32]);
/// body.op(&Instruction::LocalGet(0)).if_(&[], &[ValType::I32]);
/// // The memory that a load names is the first of the names.
/// let word = MemArg { offset: 16, align: 2, target: MemArgTarget::Memory(0), ordering: None };
/// body.op(&Instruction::LocalGet(0)).naming(&[scratch.into()], &Instruction::I32Load(word));
/// body.op(&Instruction::Else).memory_size(scratch).op(&Instruction::End);
/// module.define_function(function, body.finish()?)?;
/// module.commit()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FunctionBuilder {
    pub(super) style: BodyStyle,
    pub(super) function: Function,
    locals: Vec<(u32, ValType)>,
    next_local: u32,
    error: Option<Error>,
}

impl FunctionBuilder {
    /// A function with these parameters and results, and no locals.
    pub fn new(style: BodyStyle, params: &[ValType], results: &[ValType]) -> Self {
        let signature = Signature::Of(params.into(), results.into());
        FunctionBuilder::with(style, signature, params.len() as u32)
    }

    /// A function of a type that the module has defined ([`Module::define_types`](crate::Module::define_types)), with so many
    /// parameters, and no locals.
    pub fn of_type(style: BodyStyle, ty: TypeId, params: u32) -> Self {
        FunctionBuilder::with(style, Signature::Type(ty), params)
    }

    fn with(style: BodyStyle, signature: Signature, params: u32) -> Self {
        FunctionBuilder {
            style,
            function: Function {
                signatures: vec![signature],
                bytes: Vec::new(),
                relocs: Vec::new(),
                calls: Vec::new(),
                tail_calls: false,
                head: 0,
                #[cfg(feature = "debug")]
                debug_info: None,
            },
            locals: Vec::new(),
            next_local: params,
            error: None,
        }
    }

    /// Adds `count` locals and returns the index of the first.
    pub fn locals(&mut self, count: u32, ty: ValType) -> u32 {
        let first = self.next_local;
        self.next_local = first.saturating_add(count);
        match self.locals.last_mut() {
            Some((before, last)) if *last == ty => *before = before.saturating_add(count),
            _ => self.locals.push((count, ty)),
        }
        first
    }

    /// Where the code ends that has been written so far: before what comes next.
    pub fn position(&self) -> Position {
        Position(self.function.bytes.len() as u32)
    }

    /// Adds an instruction that names no function, type, global, table, tag, segment or address.
    ///
    /// One that does is refused when the body is finished, because its index would be wrong after the next patch. Memory
    /// arguments may name memory 0 only, which is the first that was declared, imports before others.
    #[inline]
    pub fn op(&mut self, instruction: &Instruction<'_>) -> &mut Self {
        let start = self.function.bytes.len();
        instruction.encode(&mut self.function.bytes);
        if names_something(&self.function.bytes[start..]) {
            self.refuse_op(instruction, start);
        }
        self
    }

    #[cold]
    fn refuse_op(&mut self, instruction: &Instruction<'_>, start: usize) {
        let text = format!("{instruction:?} names something outside the function");
        let error = Error::bad_edit(text).with_offset(start as u64);
        self.fail(error.with_hint("use the builder's method for it, or `naming`"));
    }

    /// Adds encoded instructions that name nothing outside the function. A commit refuses those that do, unless
    /// [`ModuleOptions::validate`](crate::ModuleOptions) is off.
    pub fn raw(&mut self, code: &[u8]) -> &mut Self {
        self.function.bytes.extend_from_slice(code);
        self
    }

    /// Keeps the first error, for [`finish`](Self::finish).
    #[cold]
    pub(super) fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// Adds a field.
    pub(super) fn field(&mut self, kind: RelocKind, target: DeclId, addend: i32) -> &mut Self {
        let offset = self.grow(kind);
        let reloc = Relocation::new(kind, offset, target, addend);
        self.function.relocs.push(reloc);
        self
    }

    /// Adds a field for one of the function's signatures.
    pub(super) fn signature_field(&mut self, kind: RelocKind, signature: u32) -> &mut Self {
        let offset = self.grow(kind);
        let reloc = Relocation::to_type(kind, offset, signature);
        self.function.relocs.push(reloc);
        self
    }

    /// Adds a field for a type of the module.
    pub(super) fn type_field(&mut self, kind: RelocKind, ty: TypeId) -> &mut Self {
        let offset = self.grow(kind);
        let reloc = Relocation::to_type_id(kind, offset, ty);
        self.function.relocs.push(reloc);
        self
    }

    /// Room for a field, which begins where the code ended.
    fn grow(&mut self, kind: RelocKind) -> u32 {
        let offset = self.function.bytes.len();
        self.function.bytes.resize(offset + kind.width(), 0);
        offset as u32
    }

    /// The index of a signature among those that the function names.
    pub(super) fn signature(&mut self, params: &[ValType], results: &[ValType]) -> u32 {
        let same = |signature: &Signature| match signature {
            Signature::Of(its_params, its_results) => {
                **its_params == *params && **its_results == *results
            }
            Signature::Type(_) => false,
        };
        let known = self.function.signatures.iter().position(same);
        match known {
            Some(at) => at as u32,
            None => self.add_signature(Signature::Of(params.into(), results.into())),
        }
    }

    /// The same of a type of the module.
    pub(super) fn signature_of(&mut self, ty: TypeId) -> u32 {
        let mut known = self.function.signatures.iter();
        match known.position(|signature| *signature == Signature::Type(ty)) {
            Some(at) => at as u32,
            None => self.add_signature(Signature::Type(ty)),
        }
    }

    fn add_signature(&mut self, signature: Signature) -> u32 {
        self.function.signatures.push(signature);
        self.function.signatures.len() as u32 - 1
    }

    /// Ends the body; the final `end` is added here.
    ///
    /// # Errors
    /// If an instruction was given that needs a method of its own.
    pub fn finish(mut self) -> Result<Function> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut head = Vec::with_capacity(1 + 2 * self.locals.len());
        let mut relocs = Vec::new();
        leb::push_unsigned(&mut head, self.locals.len() as u64);
        for (count, ty) in self.locals {
            leb::push_unsigned(&mut head, count.into());
            ty.push(&mut head, &mut relocs);
        }
        let function = &mut self.function;
        function.bytes.push(END);
        let shift = head.len() as u32;
        function.head = shift;
        head.append(&mut function.bytes);
        function.bytes = head;
        let code = function.relocs.iter_mut();
        code.for_each(|reloc| reloc.offset += shift);
        if !relocs.is_empty() {
            relocs.append(&mut function.relocs);
            function.relocs = relocs;
        }
        Ok(self.function)
    }
}
