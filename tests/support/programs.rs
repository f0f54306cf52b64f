//! Parts of small programs that are made through the library.

use wasm_encoder::Instruction;
use wasmend::{
    DeclId, Function, FunctionBuilder, MemoryType, Module, ModuleOptions, Redirect, ValType,
};

pub const I32: &[ValType] = &[ValType::I32];

/// A module in memory, with calls as they are asked for.
pub fn module(redirect: Redirect) -> Module {
    let options = ModuleOptions {
        redirect,
        ..ModuleOptions::default()
    };
    Module::in_memory(options).expect("can be created")
}

/// A body from i32 to i32 that adds constants to its argument, then calls a function with the sum. Each addition takes
/// four bytes or so.
pub fn adds(module: &Module, additions: i32, callee: Option<DeclId>) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), I32, I32);
    body.op(&Instruction::LocalGet(0));
    for at in 0..additions {
        body.op(&Instruction::I32Const(1000 + at))
            .op(&Instruction::I32Add);
    }
    if let Some(callee) = callee {
        body.call(callee, I32, I32);
    }
    body.finish().expect("a body")
}

/// A memory of 32 bits that is not shared.
pub fn memory(minimum: u64, maximum: Option<u64>) -> MemoryType {
    MemoryType {
        minimum,
        maximum,
        shared: false,
        is_64: false,
    }
}
