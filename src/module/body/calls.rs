//! Calls, references to functions, and addresses: what depends on how the module redirects calls.

use crate::error::Error;
use crate::module::body::builder::FunctionBuilder;
use crate::module::handle::{DeclId, TypeId};
use crate::module::options::Redirect;
use crate::module::value_type::ValType;
use crate::program::RelocKind;

/// A call, and the same as a tail call.
type Codes = [u8; 2];
const CALL: Codes = [0x10, 0x12];
const CALL_INDIRECT: Codes = [0x11, 0x13];
const CALL_REF: Codes = [0x14, 0x15];

impl FunctionBuilder {
    /// Calls a function with this signature, the way the module redirects calls. A commit refuses it if the function has
    /// another one.
    pub fn call(&mut self, callee: DeclId, params: &[ValType], results: &[ValType]) -> &mut Self {
        let signature = self.signature(params, results);
        self.call_by(callee, signature, false)
    }

    /// Calls a function of a type that the module has defined, as [`call`](Self::call) does.
    pub fn call_as(&mut self, callee: DeclId, ty: TypeId) -> &mut Self {
        let signature = self.signature_of(ty);
        self.call_by(callee, signature, false)
    }

    /// The same as [`call`](Self::call), as a tail call.
    pub fn return_call(
        &mut self,
        callee: DeclId,
        params: &[ValType],
        results: &[ValType],
    ) -> &mut Self {
        let signature = self.signature(params, results);
        self.call_by(callee, signature, true)
    }

    /// The same as [`call_as`](Self::call_as), as a tail call.
    pub fn return_call_as(&mut self, callee: DeclId, ty: TypeId) -> &mut Self {
        let signature = self.signature_of(ty);
        self.call_by(callee, signature, true)
    }

    fn call_by(&mut self, callee: DeclId, signature: u32, is_tail: bool) -> &mut Self {
        if self.function.calls.last() != Some(&(callee, signature)) {
            self.function.calls.push((callee, signature));
        }
        match (self.style.redirect, self.style.slot_table) {
            (Redirect::Table, Some(table)) => {
                self.slot_of(callee).call_slot(table, signature, is_tail)
            }
            _ => self
                .call_code(CALL, is_tail)
                .field(RelocKind::Call, callee, 0),
        }
    }

    /// The first byte of a call.
    fn call_code(&mut self, codes: Codes, is_tail: bool) -> &mut Self {
        self.function.tail_calls |= is_tail;
        self.raw(&[codes[usize::from(is_tail)]])
    }

    fn call_slot(&mut self, table: DeclId, signature: u32, is_tail: bool) -> &mut Self {
        self.call_code(CALL_INDIRECT, is_tail)
            .signature_field(RelocKind::TypeIndex, signature)
            .field(RelocKind::TableIndex, table, 0)
    }

    /// Calls a function by its index, whatever the module's redirection: the cheapest call at run time, rewritten when the
    /// function moves. Right for imports.
    pub fn call_direct(&mut self, callee: DeclId) -> &mut Self {
        self.call_code(CALL, false)
            .field(RelocKind::Call, callee, 0)
    }

    /// Calls the function whose address is on the stack. Straight behind [`address_of_function`](Self::address_of_function) it
    /// is a call of that function, whose signature cannot change then without this body.
    pub fn call_indirect(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        match self.slot_table() {
            Some(table) => self.call_indirect_in(table, params, results),
            None => self,
        }
    }

    /// Calls the function in an entry of any table.
    pub fn call_indirect_in(
        &mut self,
        table: DeclId,
        params: &[ValType],
        results: &[ValType],
    ) -> &mut Self {
        let signature = self.signature(params, results);
        self.call_slot(table, signature, false)
    }

    /// The same as [`call_indirect`](Self::call_indirect), as a tail call.
    pub fn return_call_indirect(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        match self.slot_table() {
            Some(table) => self.return_call_indirect_in(table, params, results),
            None => self,
        }
    }

    /// The same as [`call_indirect_in`](Self::call_indirect_in), as a tail call.
    pub fn return_call_indirect_in(
        &mut self,
        table: DeclId,
        params: &[ValType],
        results: &[ValType],
    ) -> &mut Self {
        let signature = self.signature(params, results);
        self.call_slot(table, signature, true)
    }

    /// Calls the function to which a reference of this type is on the stack.
    pub fn call_ref(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        let signature = self.signature(params, results);
        self.call_code(CALL_REF, false)
            .signature_field(RelocKind::TypeIndex, signature)
    }

    /// The same, as a tail call.
    pub fn return_call_ref(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        let signature = self.signature(params, results);
        self.call_code(CALL_REF, true)
            .signature_field(RelocKind::TypeIndex, signature)
    }

    /// The table of slots, if there is one.
    fn slot_table(&mut self) -> Option<DeclId> {
        if self.style.slot_table.is_none() {
            let error = Error::bad_edit("takes a function's address");
            self.fail(error.with_hint("give the module a table of slots"));
        }
        self.style.slot_table
    }

    fn slot_of(&mut self, function: DeclId) -> &mut Self {
        match self.style.table64 {
            true => self.raw(&[0x42]).field(RelocKind::SlotSleb64, function, 0),
            false => self.raw(&[0x41]).field(RelocKind::SlotSleb, function, 0),
        }
    }

    /// Pushes a function's address, its slot in the module's table: as an `i32`, or as an `i64` where that table is indexed with
    /// 64 bits.
    pub fn address_of_function(&mut self, function: DeclId) -> &mut Self {
        self.slot_of(function)
    }

    /// Pushes a reference to a function as it is at this moment, out of the table of slots.
    pub fn function_ref(&mut self, function: DeclId) -> &mut Self {
        match self.slot_table() {
            Some(table) => self.slot_of(function).table_get(table),
            None => self,
        }
    }

    /// `ref.func`: pushes a reference to a function that leads to whatever code it has, in later versions too as far as the
    /// module's redirection goes. Engines want such functions to be exported, or named by an element segment
    /// ([`Elements::declared`](crate::Elements)) or a global.
    pub fn ref_func(&mut self, function: DeclId) -> &mut Self {
        self.raw(&[0xd2])
            .field(RelocKind::FunctionIndex, function, 0)
    }

    /// Pushes the address of data plus `addend`, as an `i32`.
    pub fn address_of_data(&mut self, data: DeclId, addend: i32) -> &mut Self {
        self.raw(&[0x41])
            .field(RelocKind::AddressSleb, data, addend)
    }

    /// Pushes the address of data plus `addend`, as an `i64`, for data of a 64-bit memory.
    pub fn address_of_data64(&mut self, data: DeclId, addend: i32) -> &mut Self {
        self.raw(&[0x42])
            .field(RelocKind::AddressSleb64, data, addend)
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
        self.raw(&[opcode, align_log2])
            .field(RelocKind::AddressLeb, data, addend)
    }
}
