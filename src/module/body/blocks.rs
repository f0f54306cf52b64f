//! Instructions that begin a block, and those that have a value type or a heap type in them.

use crate::module::body::builder::FunctionBuilder;
use crate::module::handle::DeclId;
use crate::module::value_type::{HeapType, RefType, ValType};
use crate::program::RelocKind;
use crate::wire::leb;

/// What a `try_table` catches, and where it goes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catch {
    /// Exceptions with a tag; the label gets their values.
    One {
        /// The tag.
        tag: DeclId,
        /// Where to go, counted from outside the `try_table`.
        label: u32,
    },
    /// Exceptions with a tag; the label gets their values and the exception itself.
    OneRef {
        /// The tag.
        tag: DeclId,
        /// Where to go.
        label: u32,
    },
    /// All exceptions.
    All {
        /// Where to go.
        label: u32,
    },
    /// All exceptions; the label gets the exception.
    AllRef {
        /// Where to go.
        label: u32,
    },
}

impl FunctionBuilder {
    /// Begins a `block` with these parameters and results, in the shortest form that says so.
    pub fn block(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        self.begin(0x02, params, results)
    }

    /// Begins a `loop`, whose label takes the parameters.
    pub fn loop_(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        self.begin(0x03, params, results)
    }

    /// Begins an `if`.
    pub fn if_(&mut self, params: &[ValType], results: &[ValType]) -> &mut Self {
        self.begin(0x04, params, results)
    }

    /// Begins a `try_table`, which is a block that catches exceptions.
    pub fn try_table(
        &mut self,
        params: &[ValType],
        results: &[ValType],
        catches: &[Catch],
    ) -> &mut Self {
        self.begin(0x1f, params, results)
            .number(catches.len() as u32);
        for catch in catches {
            let (code, tag, label) = match *catch {
                Catch::One { tag, label } => (0, Some(tag), label),
                Catch::OneRef { tag, label } => (1, Some(tag), label),
                Catch::All { label } => (2, None, label),
                Catch::AllRef { label } => (3, None, label),
            };
            self.raw(&[code]);
            if let Some(tag) = tag {
                self.field(RelocKind::TagIndex, tag, 0);
            }
            self.number(label);
        }
        self
    }

    fn begin(&mut self, code: u8, params: &[ValType], results: &[ValType]) -> &mut Self {
        self.raw(&[code]);
        match (params, results) {
            ([], []) => self.raw(&[0x40]),
            ([], [result]) => self.value_type(*result),
            _ => {
                let signature = self.signature(params, results);
                self.signature_field(RelocKind::HeapType, signature)
            }
        }
    }

    /// `select` of values of a type, which references need.
    pub fn select(&mut self, ty: ValType) -> &mut Self {
        self.raw(&[0x1c, 1]).value_type(ty)
    }

    /// `ref.null`.
    pub fn ref_null(&mut self, ty: HeapType) -> &mut Self {
        self.raw(&[0xd0]).heap_type(ty)
    }

    /// `ref.test`.
    pub fn ref_test(&mut self, ty: RefType) -> &mut Self {
        self.raw(&[0xfb, 20 + u8::from(ty.nullable)])
            .heap_type(ty.heap_type)
    }

    /// `ref.cast`.
    pub fn ref_cast(&mut self, ty: RefType) -> &mut Self {
        self.raw(&[0xfb, 22 + u8::from(ty.nullable)])
            .heap_type(ty.heap_type)
    }

    /// `br_on_cast`.
    pub fn br_on_cast(&mut self, label: u32, from: RefType, to: RefType) -> &mut Self {
        self.branch_on_cast(24, label, from, to)
    }

    /// `br_on_cast_fail`.
    pub fn br_on_cast_fail(&mut self, label: u32, from: RefType, to: RefType) -> &mut Self {
        self.branch_on_cast(25, label, from, to)
    }

    fn branch_on_cast(&mut self, code: u8, label: u32, from: RefType, to: RefType) -> &mut Self {
        let flags = u8::from(from.nullable) | u8::from(to.nullable) << 1;
        self.raw(&[0xfb, code, flags])
            .number(label)
            .heap_type(from.heap_type)
            .heap_type(to.heap_type)
    }

    fn value_type(&mut self, ty: ValType) -> &mut Self {
        ty.push(&mut self.function.bytes, &mut self.function.relocs);
        self
    }

    fn heap_type(&mut self, ty: HeapType) -> &mut Self {
        ty.push(&mut self.function.bytes, &mut self.function.relocs);
        self
    }

    /// A number that means the same in every version: a label, a field, a length.
    pub(super) fn number(&mut self, value: u32) -> &mut Self {
        leb::push_unsigned(&mut self.function.bytes, value.into());
        self
    }
}
