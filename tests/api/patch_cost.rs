//! What a patch may cost: a changed function's body and 256 bytes, in every mode. A commit that uses up the pad behind the
//! code moves what stands behind it; that must be rare.

use wasm_encoder::Instruction;
use wasmend::{
    DeclId, DeclKind, Function, FunctionBuilder, Module, ModuleOptions, Reason, Redirect, ValType,
};

const FUNCTIONS: usize = 2_000;
const EDITS: usize = 3_000;
const MOST_BEYOND_BODY: i64 = 256;

/// A sequence of numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A body of about `size` bytes that calls one other function, sometimes the same one that everybody calls.
fn body(module: &Module, numbers: &mut Numbers, functions: &[DeclId], size: usize) -> Function {
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

fn size(numbers: &mut Numbers) -> usize {
    let class = [1000, 200, 200, 200, 40, 40, 40, 40, 40, 40][numbers.below(10)];
    class * (1 + numbers.below(3))
}

fn check(redirect: Redirect) {
    let options = ModuleOptions {
        redirect,
        ..ModuleOptions::default()
    };
    let mut module = Module::in_memory(options).unwrap();
    let mut numbers = Numbers(1);
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
