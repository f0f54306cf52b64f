//! What goes into a program and comes out of it: values, and the traps that end it.
//!
//! Both are wasmend's own types, so that they can be compared, printed in snapshots and outlive the interpreter.

use std::fmt;

use wasmi::{Nullable, Val, ValType};

use crate::Error;

/// A value that goes into or comes out of a program. Floats are equal when their bits are.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
    /// A 128-bit vector, lane 0 in the lowest bits.
    V128(u128),
    /// A null reference of any type.
    Null,
    /// A reference that is not null. It can be looked at but not handed back.
    Ref,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Value::I32(a), Value::I32(b)) => a == b,
            (Value::I64(a), Value::I64(b)) => a == b,
            (Value::F32(a), Value::F32(b)) => a.to_bits() == b.to_bits(),
            (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (Value::V128(a), Value::V128(b)) => a == b,
            (Value::Null, Value::Null) | (Value::Ref, Value::Ref) => true,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Value {
    pub(super) fn from_engine(value: &Val) -> Self {
        match value {
            Val::I32(v) => Value::I32(*v),
            Val::I64(v) => Value::I64(*v),
            Val::F32(v) => Value::F32(v.to_float()),
            Val::F64(v) => Value::F64(v.to_float()),
            Val::V128(v) => Value::V128(v.as_u128()),
            Val::FuncRef(Nullable::Null) | Val::ExternRef(Nullable::Null) => Value::Null,
            Val::FuncRef(_) | Val::ExternRef(_) => Value::Ref,
        }
    }

    /// This value as one of type `ty`, or nothing where it is not of that type.
    pub(super) fn to_engine(self, ty: ValType) -> Option<Val> {
        match (self, ty) {
            (Value::I32(v), ValType::I32) => Some(Val::I32(v)),
            (Value::I64(v), ValType::I64) => Some(Val::I64(v)),
            (Value::F32(v), ValType::F32) => Some(Val::from(v)),
            (Value::F64(v), ValType::F64) => Some(Val::from(v)),
            (Value::V128(v), ValType::V128) => Some(Val::V128(v.into())),
            (Value::Null, ValType::FuncRef | ValType::ExternRef) => Some(Val::default_for_ty(ty)),
            _ => None,
        }
    }
}

/// Why a program stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trap {
    /// An `unreachable` was reached.
    Unreachable,
    /// A memory access out of bounds.
    MemoryOutOfBounds,
    /// A table access out of bounds.
    TableOutOfBounds,
    /// An indirect call through a null entry.
    NullEntry,
    /// An indirect call to a function of another type.
    BadSignature,
    /// An integer division by zero.
    DivisionByZero,
    /// An integer overflow, or a float that no integer can hold.
    IntegerOverflow,
    /// The call stack is used up.
    StackOverflow,
    /// The fuel is used up: the program may not end.
    OutOfFuel,
    /// The program ended itself with this status, by a host function that says so.
    Exit(i32),
    /// A host function, or the engine, gave up; in words.
    Host(String),
    /// The call itself was wrong: no such exported function, or arguments of other types.
    Call(String),
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trap::Unreachable => "unreachable executed",
            Trap::MemoryOutOfBounds => "memory access out of bounds",
            Trap::TableOutOfBounds => "table access out of bounds",
            Trap::NullEntry => "indirect call to a null entry",
            Trap::BadSignature => "indirect call to a function of another type",
            Trap::DivisionByZero => "integer division by zero",
            Trap::IntegerOverflow => "integer overflow",
            Trap::StackOverflow => "call stack exhausted",
            Trap::OutOfFuel => "out of fuel",
            Trap::Exit(status) => return write!(f, "exit status {status}"),
            Trap::Host(message) | Trap::Call(message) => message,
        })
    }
}

impl std::error::Error for Trap {}

// Carries a host function's trap through the interpreter unchanged.
impl wasmi::errors::HostError for Trap {}

impl From<Trap> for Error {
    #[cold]
    fn from(trap: Trap) -> Self {
        Error::bad_input(format!("the program stopped: {trap}"))
    }
}

impl From<wasmi::Error> for Trap {
    #[cold]
    fn from(error: wasmi::Error) -> Self {
        use wasmi::TrapCode as Code;
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return trap.clone();
        }
        match error.as_trap_code() {
            Some(Code::UnreachableCodeReached) => Trap::Unreachable,
            Some(Code::MemoryOutOfBounds) => Trap::MemoryOutOfBounds,
            Some(Code::TableOutOfBounds) => Trap::TableOutOfBounds,
            Some(Code::IndirectCallToNull) => Trap::NullEntry,
            Some(Code::BadSignature) => Trap::BadSignature,
            Some(Code::IntegerDivisionByZero) => Trap::DivisionByZero,
            Some(Code::IntegerOverflow | Code::BadConversionToInteger) => Trap::IntegerOverflow,
            Some(Code::StackOverflow) => Trap::StackOverflow,
            Some(Code::OutOfFuel) => Trap::OutOfFuel,
            _ => Trap::Host(said(&error)),
        }
    }
}

/// What the interpreter says, without the handles that it writes into some of its messages: they tell nobody anything, and
/// are others each time.
pub(super) fn said(error: &wasmi::Error) -> String {
    let mut text = error.to_string();
    while let Some(start) = text
        .find(": Table(Stored {")
        .or_else(|| text.find(": Memory(Stored {"))
    {
        let Some(len) = text[start..].find("})") else {
            break;
        };
        text.replace_range(start..start + len + 2, ":");
    }
    text
}
