//! What single edits write: the ranges of their patches, to be read in review.
//!
//! Run: one edit and `Module::commit`, on a module in memory with three functions that call one another, a memory, data and a
//! global; once for each way of redirecting calls.
//!
//! Each case edits the same small program once and lists offset, length and reason of every range. A change of these
//! lists is a change of what patches cost.

use wasm_encoder::Instruction;
use wasmend::inspect::snapshot;
use wasmend::{
    ConstExpr, Data, DeclId, DeclKind, FunctionBuilder, ImportType, Module, Patch, Redirect,
    ValType,
};

use crate::support::listing::by_redirect;
use crate::support::programs::{self, I32, adds};
use crate::support::{snapshot, validate};

/// A program with one of everything, and three functions in a chain.
struct Program {
    module: Module,
    functions: Vec<DeclId>,
    memory: DeclId,
    text: DeclId,
    counter: DeclId,
}

impl Program {
    fn new(redirect: Redirect) -> Program {
        let mut module = programs::module(redirect);
        let functions: Vec<DeclId> = (0..3)
            .map(|at| {
                module
                    .declare(DeclKind::Function, &format!("f{at}"))
                    .expect("is new")
            })
            .collect();
        for (at, id) in functions.iter().enumerate() {
            let function = adds(&module, 10, (at > 0).then(|| functions[at - 1]));
            module
                .define_function(*id, function)
                .expect("is a function");
        }
        let memory = module.declare(DeclKind::Memory, "memory").expect("is new");
        let ty = programs::memory(2, None);
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
        let new = adds(&self.module, additions, callee);
        self.module
            .define_function(self.functions[function], new)
            .expect("is a function");
    }

    fn commit_and_list(&mut self) -> String {
        let before = self.module.bytes().expect("is there");
        let patch = self.commit();
        let after = self.module.bytes().expect("is there");
        let names = |kind: &str, _: u64| match kind {
            "data" => Some("text".to_owned()),
            "global" => Some("counter".to_owned()),
            _ => None,
        };
        snapshot::of_patch(&patch, &before, &after, &names).expect("both are modules")
    }

    fn commit(&mut self) -> Patch {
        let patch = self.module.commit().expect("is published");
        let bytes = self.module.bytes().expect("is there");
        validate(&bytes).expect("is valid");
        patch
    }
}

fn check(name: &str, edit: impl Fn(&mut Program)) {
    let redirects = [Redirect::Table, Redirect::TableThunks, Redirect::Direct];
    let out = by_redirect(&redirects, |redirect| {
        let mut program = Program::new(redirect);
        edit(&mut program);
        program.commit_and_list()
    });
    snapshot!(format!("patch-{name}"), out);
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
        let new = adds(&program.module, 5, None);
        program
            .module
            .define_function(id, new)
            .expect("is a function");
        let caller = adds(&program.module, 10, Some(id));
        program
            .module
            .define_function(program.functions[2], caller)
            .expect("is a function");
    });
}

#[test]
fn remove_a_function() {
    check("remove", |program| {
        let caller = adds(&program.module, 10, None);
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
