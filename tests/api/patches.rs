//! What single edits write: the ranges of their patches, to be read in review.
//!
//! Each case edits the same small program once and lists offset, length and reason of every range. A change of these
//! lists is a change of what patches cost.

use std::fmt::Write;

use wasm_encoder::Instruction;
use wasmend::{
    ConstExpr, Data, DeclId, DeclKind, Function, FunctionBuilder, ImportType, MemoryType, Module,
    ModuleOptions, Patch, Redirect, ValType,
};

const I32: &[ValType] = &[ValType::I32];

/// A program with one of everything, and three functions in a chain.
struct Program {
    module: Module,
    functions: Vec<DeclId>,
    memory: DeclId,
    text: DeclId,
    counter: DeclId,
}

fn body(module: &Module, additions: i32, callee: Option<DeclId>) -> Function {
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

impl Program {
    fn new(redirect: Redirect) -> Program {
        let options = ModuleOptions {
            redirect,
            ..ModuleOptions::default()
        };
        let mut module = Module::in_memory(options).expect("can be created");
        let functions: Vec<DeclId> = (0..3)
            .map(|at| {
                module
                    .declare(DeclKind::Function, &format!("f{at}"))
                    .expect("is new")
            })
            .collect();
        for (at, id) in functions.iter().enumerate() {
            let function = body(&module, 10, (at > 0).then(|| functions[at - 1]));
            module
                .define_function(*id, function)
                .expect("is a function");
        }
        let memory = module.declare(DeclKind::Memory, "memory").expect("is new");
        let ty = MemoryType {
            minimum: 2,
            maximum: None,
            shared: false,
            is_64: false,
        };
        module.define_memory(memory, ty).expect("is a memory");
        let text = module.declare(DeclKind::Data, "text").expect("is new");
        module
            .define_data(text, memory, Data::new(*b"hello", 0))
            .expect("is data");
        let counter = module.declare(DeclKind::Global, "counter").expect("is new");
        module
            .define_global(counter, ValType::I32, true, ConstExpr::I32(0))
            .expect("is a global");
        module.export("last", functions[2]).expect("is declared");
        module.commit().expect("is published");
        Program {
            module,
            functions,
            memory,
            text,
            counter,
        }
    }

    fn resize(&mut self, function: usize, additions: i32) {
        let callee = function.checked_sub(1).map(|at| self.functions[at]);
        let new = body(&self.module, additions, callee);
        self.module
            .define_function(self.functions[function], new)
            .expect("is a function");
    }

    fn commit(&mut self) -> Patch {
        let patch = self.module.commit().expect("is published");
        let bytes = self.module.bytes().expect("is there");
        wasmparser::Validator::new()
            .validate_all(&bytes)
            .expect("is valid");
        patch
    }
}

fn list(patch: &Patch) -> String {
    let mut out = String::new();
    match patch.ranges() {
        Some(ranges) => {
            let _ = writeln!(
                out,
                "{} bytes, file {} -> {}",
                ranges.bytes(),
                ranges.old_len(),
                ranges.new_len()
            );
            for (range, _) in ranges.iter() {
                let _ = writeln!(
                    out,
                    "{:#06x} +{:<4} {}",
                    range.offset, range.len, range.reason
                );
            }
        }
        None => {
            let _ = writeln!(out, "{:?}", patch.outcome);
        }
    }
    out
}

fn check(name: &str, edit: impl Fn(&mut Program)) {
    let mut out = String::new();
    for (word, redirect) in [
        ("table", Redirect::Table),
        ("thunks", Redirect::TableThunks),
        ("direct", Redirect::Direct),
    ] {
        let mut program = Program::new(redirect);
        edit(&mut program);
        let _ = writeln!(out, "{word}: {}", list(&program.commit()));
    }
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("patch-{name}"), out);
    });
}

#[test]
fn change_a_constant() {
    check("constant", |program| {
        let mut body = FunctionBuilder::new(program.module.body_style(), I32, I32);
        body.op(&Instruction::LocalGet(0));
        for at in 0..10 {
            body.op(&Instruction::I32Const(if at == 5 {
                2000
            } else {
                1000 + at
            }))
            .op(&Instruction::I32Add);
        }
        program
            .module
            .define_function(program.functions[0], body.finish().expect("a body"))
            .expect("is a function");
    });
}

#[test]
fn grow_a_function() {
    check("grow", |program| program.resize(0, 40));
}

#[test]
fn grow_a_function_again() {
    check("grow-again", |program| {
        program.resize(0, 40);
        program.commit();
        program.resize(0, 42);
    });
}

#[test]
fn shrink_a_function() {
    check("shrink", |program| program.resize(1, 4));
}

#[test]
fn add_a_function_and_call_it() {
    check("add", |program| {
        let id = program
            .module
            .declare(DeclKind::Function, "f3")
            .expect("is new");
        let new = body(&program.module, 5, None);
        program
            .module
            .define_function(id, new)
            .expect("is a function");
        let caller = body(&program.module, 10, Some(id));
        program
            .module
            .define_function(program.functions[2], caller)
            .expect("is a function");
    });
}

#[test]
fn remove_a_function() {
    check("remove", |program| {
        let caller = body(&program.module, 10, None);
        program
            .module
            .define_function(program.functions[2], caller)
            .expect("is a function");
        program
            .module
            .remove(program.functions[1])
            .expect("is declared");
    });
}

#[test]
fn change_a_signature() {
    check("signature", |program| {
        let mut callee = FunctionBuilder::new(program.module.body_style(), &[], I32);
        callee.op(&Instruction::I32Const(1));
        program
            .module
            .define_function(program.functions[0], callee.finish().expect("a body"))
            .expect("is a function");
        let mut caller = FunctionBuilder::new(program.module.body_style(), I32, I32);
        caller.call(program.functions[0], &[], I32);
        program
            .module
            .define_function(program.functions[1], caller.finish().expect("a body"))
            .expect("is a function");
    });
}

#[test]
fn import_a_function() {
    check("import", |program| {
        let id = program
            .module
            .declare(DeclKind::Function, "log")
            .expect("is new");
        let ty = ImportType::Function(I32.to_vec(), Vec::new());
        program
            .module
            .define_import(id, "env", "log", &ty)
            .expect("is a function");
    });
}

#[test]
fn export_another_function() {
    check("export", |program| {
        program
            .module
            .export("first", program.functions[0])
            .expect("is declared")
    });
}

#[test]
fn change_data_in_its_place() {
    check("data", |program| {
        program
            .module
            .define_data(program.text, program.memory, Data::new(*b"HELLO", 0))
            .expect("is data");
    });
}

#[test]
fn grow_data() {
    check("data-grow", |program| {
        program
            .module
            .define_data(program.text, program.memory, Data::new(*b"hello, world", 0))
            .expect("is data");
    });
}

#[test]
fn change_a_global() {
    check("global", |program| {
        program
            .module
            .define_global(program.counter, ValType::I32, true, ConstExpr::I32(5))
            .expect("is a global");
    });
}
