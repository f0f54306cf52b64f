//! Building a function's body. Builders share nothing, so bodies can be built on many threads at once.

use wasm_encoder::{Encode, Instruction};

use crate::error::{Error, Result};
use crate::module::handle::{DeclId, Relocation};
use crate::module::options::Redirect;
use crate::program::{RelocKind, ValType};
use crate::wire::filler::END;
use crate::wire::leb;

/// What a body builder needs to know of its module.
#[derive(Debug, Clone, Copy)]
pub struct BodyStyle {
    redirect: Redirect,
    slot_table: Option<DeclId>,
}

impl BodyStyle {
    pub(crate) fn new(redirect: Redirect, slot_table: Option<DeclId>) -> Self {
        BodyStyle {
            redirect,
            slot_table,
        }
    }
}

/// Parameters and results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) params: Box<[ValType]>,
    pub(crate) results: Box<[ValType]>,
}

/// A function's signature, locals and code, ready to be given to [`Module::define_function`](crate::Module).
#[derive(Debug, Clone)]
pub struct Function {
    /// The signature comes first.
    pub(crate) signatures: Vec<Signature>,
    pub(crate) bytes: Vec<u8>,
    /// Types are named by their indices among `signatures`.
    pub(crate) relocs: Vec<Relocation>,
    /// What it calls, each with the index of the signature by which it does.
    pub(crate) calls: Vec<(DeclId, u32)>,
}

impl Function {
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
/// Instructions that name nothing outside the function are given as
/// [`wasm_encoder::Instruction`]s; those that do have methods of their own.
#[derive(Debug)]
pub struct FunctionBuilder {
    style: BodyStyle,
    function: Function,
    locals: Vec<(u32, ValType)>,
    next_local: u32,
    error: Option<Error>,
}

impl FunctionBuilder {
    /// A function with these parameters and results, and no locals.
    pub fn new(style: BodyStyle, params: &[ValType], results: &[ValType]) -> Self {
        let signature = Signature {
            params: params.into(),
            results: results.into(),
        };
        FunctionBuilder {
            style,
            function: Function {
                signatures: vec![signature],
                bytes: Vec::new(),
                relocs: Vec::new(),
                calls: Vec::new(),
            },
            locals: Vec::new(),
            next_local: params.len() as u32,
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

    /// Adds an instruction that names no function, type, global, table, tag, segment or address.
    ///
    /// One that does is refused when the body is finished, because its index would be wrong after the next patch.
    /// Memory arguments may name memory 0 only.
    pub fn op(&mut self, instruction: &Instruction<'_>) -> &mut Self {
        let start = self.function.bytes.len();
        instruction.encode(&mut self.function.bytes);
        if names_something(&self.function.bytes[start..]) {
            self.error.get_or_insert_with(|| {
                Error::bad_edit(format!(
                    "{instruction:?} names something outside the function"
                ))
                .with_offset(start as u64)
                .with_hint("use the builder's method for it")
            });
        }
        self
    }

    /// Adds encoded instructions that name nothing outside the function. A commit refuses those that do, unless
    /// [`ModuleOptions::validate`](crate::ModuleOptions) is off.
    pub fn raw(&mut self, code: &[u8]) -> &mut Self {
        self.function.bytes.extend_from_slice(code);
        self
    }

    /// Calls a function with this signature, the way the module redirects calls. A commit refuses it if the function has
    /// another one.
    pub fn call(&mut self, callee: DeclId, params: &[ValType], results: &[ValType]) -> &mut Self {
        let signature = self.signature(params, results);
        if self.function.calls.last() != Some(&(callee, signature)) {
            self.function.calls.push((callee, signature));
        }
        match (self.style.redirect, self.style.slot_table) {
            (Redirect::Table, Some(_)) => self
                .address_of_function(callee)
                .call_indirect(params, results),
            _ => self.call_direct(callee),
        }
    }

    /// Calls a function by its index, whatever the module's redirection: the cheapest call at run time, rewritten when the
    /// function moves. Right for imports.
    pub fn call_direct(&mut self, callee: DeclId) -> &mut Self {
        self.function.bytes.push(0x10);
        self.reloc(RelocKind::Call, callee, 0)
    }

    /// Calls the function whose address is on the stack. Straight behind [`address_of_function`](Self::address_of_function) it
    /// is a call of that function, whose signature cannot change then without this body.
    pub fn call_indirect(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        self.function.bytes.push(0x11);
        self.type_reloc(RelocKind::TypeIndex, params, results);
        self.slot_table()
    }

    fn slot_table(&mut self) -> &mut Self {
        match self.style.slot_table {
            Some(table) => self.reloc(RelocKind::TableIndex, table, 0),
            None => {
                self.error.get_or_insert_with(|| {
                    Error::bad_edit("takes a function's address")
                        .with_hint("give the module a table of slots")
                });
                self
            }
        }
    }

    /// Pushes a function's address: its slot in the module's table, as an `i32`.
    pub fn address_of_function(&mut self, function: DeclId) -> &mut Self {
        self.function.bytes.push(0x41);
        self.reloc(RelocKind::SlotSleb, function, 0)
    }

    /// Pushes a reference to a function as it is at this moment.
    pub fn function_ref(&mut self, function: DeclId) -> &mut Self {
        self.address_of_function(function);
        self.function.bytes.push(0x25);
        self.slot_table()
    }

    /// Pushes the address of data plus `addend`, as an `i32`.
    pub fn address_of_data(&mut self, data: DeclId, addend: i32) -> &mut Self {
        self.function.bytes.push(0x41);
        self.reloc(RelocKind::AddressSleb, data, addend)
    }

    /// Pushes the address of data plus `addend`, as an `i64`, for data of a 64-bit memory.
    pub fn address_of_data64(&mut self, data: DeclId, addend: i32) -> &mut Self {
        self.function.bytes.push(0x42);
        self.reloc(RelocKind::AddressSleb64, data, addend)
    }

    /// Adds a load or store whose constant offset is the address of data plus `addend`: `opcode` is the instruction's
    /// byte, `align_log2` its alignment.
    pub fn access_data(
        &mut self,
        opcode: u8,
        align_log2: u8,
        data: DeclId,
        addend: i32,
    ) -> &mut Self {
        self.function.bytes.extend_from_slice(&[opcode, align_log2]);
        self.reloc(RelocKind::AddressLeb, data, addend)
    }

    /// `global.get`.
    pub fn global_get(&mut self, global: DeclId) -> &mut Self {
        self.function.bytes.push(0x23);
        self.reloc(RelocKind::GlobalIndex, global, 0)
    }

    /// `global.set`.
    pub fn global_set(&mut self, global: DeclId) -> &mut Self {
        self.function.bytes.push(0x24);
        self.reloc(RelocKind::GlobalIndex, global, 0)
    }

    /// `table.get`.
    pub fn table_get(&mut self, table: DeclId) -> &mut Self {
        self.function.bytes.push(0x25);
        self.reloc(RelocKind::TableIndex, table, 0)
    }

    /// `table.set`.
    pub fn table_set(&mut self, table: DeclId) -> &mut Self {
        self.function.bytes.push(0x26);
        self.reloc(RelocKind::TableIndex, table, 0)
    }

    /// `table.size`.
    pub fn table_size(&mut self, table: DeclId) -> &mut Self {
        self.function.bytes.extend_from_slice(&[0xfc, 16]);
        self.reloc(RelocKind::TableIndex, table, 0)
    }

    /// `throw`.
    pub fn throw(&mut self, tag: DeclId) -> &mut Self {
        self.function.bytes.push(0x08);
        self.reloc(RelocKind::TagIndex, tag, 0)
    }

    /// Begins a `block` with parameters or several results.
    pub fn block(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        self.function.bytes.push(0x02);
        self.type_reloc(RelocKind::HeapType, params, results)
    }

    /// Begins a `loop` with parameters or several results.
    pub fn loop_(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        self.function.bytes.push(0x03);
        self.type_reloc(RelocKind::HeapType, params, results)
    }

    fn reloc(&mut self, kind: RelocKind, target: DeclId, addend: i32) -> &mut Self {
        let offset = self.function.bytes.len();
        self.function.bytes.resize(offset + kind.width(), 0);
        self.function
            .relocs
            .push(Relocation::new(kind, offset as u32, target, addend));
        self
    }

    fn type_reloc(
        &mut self,
        kind: RelocKind,
        params: &[ValType],
        results: &[ValType],
    ) -> &mut Self {
        let at = self.signature(params, results);
        let offset = self.function.bytes.len();
        self.function.bytes.resize(offset + kind.width(), 0);
        self.function
            .relocs
            .push(Relocation::to_type(kind, offset as u32, at as usize));
        self
    }

    /// The index of a signature among those that the function names.
    fn signature(&mut self, params: &[ValType], results: &[ValType]) -> u32 {
        let signatures = &mut self.function.signatures;
        let same =
            |signature: &Signature| *signature.params == *params && *signature.results == *results;
        let at = signatures.iter().position(same).unwrap_or_else(|| {
            signatures.push(Signature {
                params: params.into(),
                results: results.into(),
            });
            signatures.len() - 1
        });
        at as u32
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
        leb::push_unsigned(&mut head, self.locals.len() as u64);
        for (count, ty) in self.locals {
            leb::push_unsigned(&mut head, count.into());
            head.push(ty as u8);
        }
        let function = &mut self.function;
        function.bytes.push(END);
        let shift = head.len();
        head.append(&mut function.bytes);
        function.bytes = head;
        function
            .relocs
            .iter_mut()
            .for_each(|reloc| reloc.offset += shift as u32);
        Ok(self.function)
    }
}

/// Whether an instruction holds an index or address that wasmend would have to know of. What instructions are and name is a
/// list that grows: so it is those that are known to name nothing which are told from all others.
fn names_something(bytes: &[u8]) -> bool {
    let Some(&first) = bytes.first() else {
        return false;
    };
    let simple = match first {
        // Control, parametric, variable and constant instructions without indices, numeric instructions.
        0x00..=0x01 | 0x05 | 0x0b..=0x0f | 0x1a..=0x1c | 0x20..=0x22 | 0x41..=0xc4 | 0xd1 => {
            return false;
        }
        // Loads and stores, `memory.size` and `memory.grow`, of memory 0.
        0x28..=0x3e => return bytes.get(1).is_none_or(|flags| flags & 0x40 != 0),
        0x3f | 0x40 => return bytes[1..] != [0],
        // Blocks with a value type or none.
        0x02..=0x04 => return bytes.len() != 2 || bytes[1] < 0x40,
        0xd0 => return bytes.len() != 2 || bytes[1] < 0x40,
        _ => &bytes[1..],
    };
    let Some((code, len)) = leb::read_unsigned(simple) else {
        return true;
    };
    let rest = &simple[len..];
    match (first, code) {
        // Saturating conversions; `memory.copy` and `memory.fill` of memory 0.
        (0xfc, 0..=7) => false,
        (0xfc, 10) => rest != [0, 0],
        (0xfc, 11) => rest != [0],
        // Vector instructions, atomics: those with a memory argument must name memory 0.
        (0xfd, 0..=11 | 84..=93) | (0xfe, 0..=2 | 16..=78) => {
            rest.first().is_none_or(|flags| flags & 0x40 != 0)
        }
        (0xfd, _) | (0xfe, 3) => false,
        _ => true,
    }
}
