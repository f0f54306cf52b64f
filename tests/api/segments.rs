//! Tables, element segments and data segments of one's own, references to functions, and tail calls: a program that uses all of
//! them runs right in every version.
//!
//! Run: `Module::commit` of such a program and of edits that move its functions, then the program, in the interpreter.

use crate::support::programs::{self, I32};
use wasmend::engine::{Engine, Imports, Value};
use wasmend::{
    ConstExpr, DeclId, DeclKind, Elements, FunctionBuilder, Instruction as I, MemArg, MemArgTarget,
    Module, Outcome, Redirect, RefType, TableType, ValType, inspect,
};

struct Program {
    module: Module,
    twice: DeclId,
    thrice: DeclId,
    elements: DeclId,
    data: DeclId,
    table: DeclId,
    memory: DeclId,
}

fn body(
    module: &mut Module,
    id: DeclId,
    (params, results): (&[ValType], &[ValType]),
    write: impl FnOnce(&mut FunctionBuilder),
) {
    let mut body = FunctionBuilder::new(module.body_style(), params, results);
    write(&mut body);
    let body = body.finish().expect("a body");
    module.define_function(id, body).expect("a function");
}

impl Program {
    fn new(redirect: Redirect) -> Program {
        let mut module = programs::module(redirect);
        let mut declare = |kind, key: &str| module.declare(kind, key).expect("new");
        let twice = declare(DeclKind::Function, "twice");
        let thrice = declare(DeclKind::Function, "thrice");
        let elements = declare(DeclKind::ElementSegment, "both");
        let data = declare(DeclKind::DataSegment, "bytes");
        let table = declare(DeclKind::Table, "own");
        let memory = declare(DeclKind::Memory, "memory");
        let mut program = Program {
            module,
            twice,
            thrice,
            elements,
            data,
            table,
            memory,
        };
        program.define();
        program
    }

    fn define(&mut self) {
        let Program {
            twice,
            thrice,
            elements,
            data,
            table,
            memory,
            ..
        } = *self;
        self.times(twice, 2, 0);
        self.times(thrice, 3, 0);
        let module = &mut self.module;
        let ty = TableType {
            element: RefType::FUNCREF,
            minimum: 4,
            maximum: Some(8),
            is_64: false,
        };
        module.define_table(table, ty).expect("a table");
        let pages = programs::memory(1, None);
        module.define_memory(memory, pages).expect("a memory");
        let both = Elements::functions([twice, thrice]);
        module.define_elements(elements, &both).expect("elements");
        module
            .define_data_segment(data, b"\x07\x08\x09")
            .expect("data");
        let last = module
            .declare(DeclKind::ElementSegment, "last")
            .expect("new");
        let active = Elements::functions([thrice]).active(table, ConstExpr::I32(3));
        module.define_elements(last, &active).expect("elements");
        for key in ["copied", "called", "passed on", "grown", "counted"] {
            let id = module.declare(DeclKind::Function, key).expect("new");
            module.export(key, id).expect("a function");
        }
        let find = |module: &Module, key: &str| module.lookup(key).expect("declared");
        // Copies both functions to the entries 1 and 2 of the table, and calls one of them.
        let id = find(module, "called");
        body(module, id, (&[ValType::I32, ValType::I32], I32), |body| {
            for number in [1, 0, 2] {
                body.op(&I::I32Const(number));
            }
            body.table_init(elements, table)
                .op(&I::LocalGet(0))
                .op(&I::LocalGet(1))
                .call_indirect_in(table, I32, I32);
        });
        let id = find(module, "copied");
        let byte = MemArg {
            offset: 0,
            align: 0,
            target: MemArgTarget::Memory(0),
            ordering: None,
        };
        body(module, id, (I32, I32), |body| {
            for number in [64, 0, 3] {
                body.op(&I::I32Const(number));
            }
            body.memory_init(data, memory)
                .op(&I::LocalGet(0))
                .op(&I::I32Load8U(byte));
        });
        let id = find(module, "passed on");
        body(module, id, (I32, I32), |body| {
            body.op(&I::LocalGet(0)).return_call(twice, I32, I32);
        });
        let id = find(module, "grown");
        body(module, id, (I32, I32), |body| {
            body.ref_func(twice)
                .op(&I::LocalGet(0))
                .table_grow(table)
                .op(&I::Drop)
                .op(&I::I32Const(21))
                .table_size(table)
                .op(&I::I32Const(1))
                .op(&I::I32Sub)
                .return_call_indirect_in(table, I32, I32);
        });
        // A loop that would overflow the stack if its calls were none that end the function.
        let id = find(module, "counted");
        body(module, id, (I32, I32), |body| {
            body.op(&I::LocalGet(0)).op(&I::I32Eqz).if_(&[], I32);
            body.op(&I::I32Const(5)).op(&I::Else);
            body.op(&I::LocalGet(0)).op(&I::I32Const(1)).op(&I::I32Sub);
            body.return_call(id, I32, I32).op(&I::End);
        });
    }

    /// A function that multiplies, with code that does nothing before.
    fn times(&mut self, id: DeclId, by: i32, idle: i32) {
        body(&mut self.module, id, (I32, I32), |body| {
            for number in 0..idle {
                body.op(&I::I32Const(number)).op(&I::Drop);
            }
            body.op(&I::LocalGet(0)).op(&I::I32Const(by)).op(&I::I32Mul);
        });
    }

    fn check(&mut self, by: [i32; 2], bytes: [u8; 3]) -> Outcome {
        let patch = self.module.commit().expect("a commit");
        let file = self.module.bytes().expect("in memory");
        runs_right(&file, by, bytes);
        patch.outcome
    }
}

/// What the two functions multiply by, and the bytes of the segment.
fn runs_right(file: &[u8], by: [i32; 2], bytes: [u8; 3]) {
    let engine = Engine::default();
    let mut instance = engine
        .instantiate(file, &Imports::new())
        .expect("a valid module");
    let mut call = |name: &str, arguments: &[i32]| {
        let arguments: Vec<Value> = arguments.iter().copied().map(Value::I32).collect();
        match &instance.call(name, &arguments).expect("no trap")[..] {
            [Value::I32(value)] => *value,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(call("called", &[10, 1]), 10 * by[0]);
    assert_eq!(call("called", &[10, 2]), 10 * by[1]);
    assert_eq!(call("called", &[10, 3]), 10 * by[1]);
    assert_eq!(call("passed on", &[7]), 7 * by[0]);
    assert_eq!(call("grown", &[2]), 21 * by[0]);
    assert_eq!(call("counted", &[200_000]), 5);
    for (at, byte) in bytes.into_iter().enumerate() {
        assert_eq!(call("copied", &[64 + at as i32]), i32::from(byte));
    }
}

#[test]
fn a_program_with_segments_and_tables_of_its_own_runs_right_in_every_version() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut program = Program::new(redirect);
        program.check([2, 3], [7, 8, 9]);
        // It moves: it needs more room than it has.
        let twice = program.twice;
        program.times(twice, 4, 60);
        let outcome = program.check([4, 3], [7, 8, 9]);
        assert!(matches!(outcome, Outcome::Patched(_)), "{outcome:?}");
        let data = program.data;
        program
            .module
            .define_data_segment(data, &[1, 2, 3])
            .expect("data");
        let thrice = program.thrice;
        program.times(thrice, 5, 90);
        let outcome = program.check([4, 5], [1, 2, 3]);
        assert!(matches!(outcome, Outcome::Patched(_)), "{outcome:?}");
        // The other way round.
        let elements = Elements::functions([thrice, twice]);
        let id = program.elements;
        program
            .module
            .define_elements(id, &elements)
            .expect("elements");
        let last = program.module.lookup("last").expect("declared");
        let active = Elements::functions([twice]).active(program.table, ConstExpr::I32(3));
        program
            .module
            .define_elements(last, &active)
            .expect("elements");
        program.times(twice, 5, 10);
        program.times(thrice, 4, 10);
        let mut only = |name: &str| {
            let id = program.module.lookup(name).expect("declared");
            body(&mut program.module, id, (I32, I32), |body| {
                body.op(&I::LocalGet(0)).return_call(thrice, I32, I32);
            });
        };
        only("passed on");
        let id = program.module.lookup("grown").expect("declared");
        let table = program.table;
        body(&mut program.module, id, (I32, I32), |body| {
            body.ref_func(thrice)
                .op(&I::LocalGet(0))
                .table_grow(table)
                .op(&I::Drop)
                .op(&I::I32Const(21))
                .op(&I::I32Const(5))
                .return_call_indirect_in(table, I32, I32);
        });
        let outcome = program.check([4, 5], [1, 2, 3]);
        assert!(matches!(outcome, Outcome::Patched(_)), "{outcome:?}");
        let file = program.module.bytes().expect("in memory");
        inspect::Map::read(&file).expect("every byte is for something");
        let dense = program.module.finish().expect("a dense module");
        let from_file = inspect::finish(&file).expect("a patchable file");
        for dense in [dense, from_file] {
            runs_right(&dense, [4, 5], [1, 2, 3]);
        }
    }
}
