//! What a patch may cost: a changed function's body and 256 bytes, in every mode. A commit that uses up the pad behind the
//! code moves what stands behind it; that must be rare.
//!
//! Run: 3,000 times `define_function` and `Module::commit`, on a module of 2,000 functions in memory.

use crate::support::programs;
use crate::support::smith::Rng;
use wasm_encoder::Instruction;
use wasmend::{DeclId, DeclKind, Function, FunctionBuilder, Module, Reason, Redirect, ValType};

const FUNCTIONS: usize = 2_000;
const EDITS: usize = 3_000;
const MOST_BEYOND_BODY: i64 = 256;

/// A body of about `size` bytes that calls one other function, sometimes the same one that everybody calls.
fn body(module: &Module, numbers: &mut Rng, functions: &[DeclId], size: usize) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), &[ValType::I32], &[ValType::I32]);
    body.op(&Instruction::LocalGet(0));
    for _ in 0..size / 3 {
        body.op(&Instruction::I32Const(numbers.below(50) as i32))
            .op(&Instruction::I32Add);
    }
    let callee = match numbers.below(3) {
        0 => functions[0],
        _ => functions[numbers.below(functions.len())],
    };
    body.call(callee, &[ValType::I32], &[ValType::I32]);
    body.finish().unwrap()
}

fn size(numbers: &mut Rng) -> usize {
    let class = [1000, 200, 200, 200, 40, 40, 40, 40, 40, 40][numbers.below(10)];
    class * (1 + numbers.below(3))
}

fn check(redirect: Redirect) {
    let mut module = programs::module(redirect);
    let mut numbers = Rng::new(1);
    let functions: Vec<DeclId> = (0..FUNCTIONS)
        .map(|at| {
            let key = format!("function_number_{at}");
            module.declare(DeclKind::Function, &key).unwrap()
        })
        .collect();
    for &id in &functions {
        let size = size(&mut numbers);
        let body = body(&module, &mut numbers, &functions, size);
        module.define_function(id, body).unwrap();
    }
    module.commit().unwrap();
    let (mut worst, mut rooms, mut relinks) = (0, 0, 0);
    for _ in 0..EDITS {
        let size = size(&mut numbers);
        let body = body(&module, &mut numbers, &functions, size);
        let body_len = body.len() as i64;
        let id = functions[numbers.below(FUNCTIONS)];
        module.define_function(id, body).unwrap();
        let patch = module.commit().unwrap();
        let Some(ranges) = patch.ranges() else {
            relinks += u32::from(patch.relink_reason().is_some());
            continue;
        };
        let makes_room = |reason| reason == Reason::MakeRoom;
        if ranges.iter().any(|(range, _)| makes_room(range.reason)) {
            rooms += 1;
            continue;
        }
        worst = worst.max(ranges.bytes() as i64 - body_len);
    }
    assert!(
        worst <= MOST_BEYOND_BODY,
        "{redirect:?}: a patch of {worst} bytes beyond its body"
    );
    assert!(rooms <= EDITS / 50, "{redirect:?}: room made {rooms} times");
    assert!(relinks <= 4, "{redirect:?}: {relinks} relinks");
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&module.bytes().unwrap())
        .unwrap();
}

#[test]
fn through_the_table() {
    check(Redirect::Table);
}

#[test]
fn through_thunks() {
    check(Redirect::TableThunks);
}

#[test]
fn directly() {
    check(Redirect::Direct);
}
