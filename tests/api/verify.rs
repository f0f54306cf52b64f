//! What a compiler made through the API can be finished and verified from the file alone as well.
//!
//! Run: `inspect::finish` and `inspect::verify`, on what `Module::commit` published of twenty functions, before and after edits.

use crate::support::{self, programs};
use wasm_encoder::Instruction as I;
use wasmend::inspect::{finish, verify};
use wasmend::{
    Data, DeclKind, Function, FunctionBuilder, Module, ModuleOptions, Redirect, Types, ValType,
};

fn body(module: &Module, lines: i32, callee: wasmend::DeclId) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), &[ValType::I32], &[ValType::I32]);
    body.op(&I::LocalGet(0));
    for line in 0..lines {
        body.op(&I::I32Const(100_000 + line)).op(&I::I32Add);
    }
    body.call(callee, &[ValType::I32], &[ValType::I32]);
    body.finish().expect("only plain instructions")
}

#[test]
fn outputs_of_the_api_are_finished_and_verified() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        for types in [Types::PerDeclaration, Types::Interned] {
            let mut module = Module::in_memory(ModuleOptions {
                redirect,
                types,
                ..ModuleOptions::default()
            })
            .expect("in memory");
            let functions: Vec<_> = (0..20)
                .map(|at| {
                    module
                        .declare(DeclKind::Function, &format!("f{at}"))
                        .expect("new")
                })
                .collect();
            let memory = module.declare(DeclKind::Memory, "memory").expect("new");
            let memory_type = programs::memory(1, None);
            module.define_memory(memory, memory_type).expect("a memory");
            let data = module.declare(DeclKind::Data, "text").expect("new");
            module
                .define_data(
                    data,
                    memory,
                    Data::new(*b"some text", 2).with_function(4, functions[3]),
                )
                .expect("data");
            for (at, id) in functions.iter().enumerate() {
                module.export(&format!("f{at}"), *id).expect("a function");
            }
            module.export("memory", memory).expect("a memory");
            for (at, id) in functions.iter().enumerate() {
                let body = body(&module, 5, functions[at.saturating_sub(1)]);
                module.define_function(*id, body).expect("a function");
            }
            module.commit().expect("in memory");
            let mut before = Vec::new();
            for step in 0..40 {
                let out = module.bytes().expect("in memory");
                let dense = finish(&out).expect("valid");
                support::validate(&dense).expect("valid");
                assert!(dense.len() < out.len());
                let report = verify(&out, &dense).expect("valid");
                assert!(report.is_clean(), "{redirect:?}: {:#?}", report.differences);
                let report = verify(&dense, &dense).expect("valid");
                assert!(report.is_clean(), "{redirect:?}: {:#?}", report.differences);
                if step > 0 {
                    let report = verify(&out, &before).expect("valid");
                    assert!(!report.is_clean(), "{redirect:?}: the edit is not missed");
                }
                before = dense;
                let at = step * 7 % 20;
                let callee = functions[(at + step) % 20];
                let body = body(&module, 3 + step as i32 * 11 % 90, callee);
                module
                    .define_function(functions[at], body)
                    .expect("a function");
                module.commit().expect("in memory");
            }
        }
    }
}
