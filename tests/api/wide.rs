//! A memory of 64 bits, and a table of slots that is indexed with 64: addresses are `i64` wherever they stand, and stay right while
//! what they name moves.
//!
//! Run: a program in memory that calls through addresses from code, from a global and from data; after each edit it is validated,
//! run in the interpreter, and its addresses are compared with what the module says.

use wasmend::engine::{Engine, Imports, Value};
use wasmend::inspect::{FunctionRole, Map};
use wasmend::{
    ConstExpr, Data, DeclId, DeclKind, Function, FunctionBuilder, Instruction as I, MemArg,
    MemArgTarget, MemoryType, Module, ModuleOptions, Redirect, ValType,
};
use wasmparser::{Validator, WasmFeatures};

use crate::support::programs::I32;

const I64: &[ValType] = &[ValType::I64];

fn declare(module: &mut Module, kind: DeclKind, key: &str) -> DeclId {
    module.declare(kind, key).expect("the key is free")
}

fn body(
    module: &Module,
    (params, results): (&[ValType], &[ValType]),
    write: impl FnOnce(&mut FunctionBuilder),
) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), params, results);
    write(&mut body);
    body.finish().expect("a good body")
}

/// A body that returns a number after so many steps that do nothing.
fn says(module: &Module, number: i32, steps: i32) -> Function {
    body(module, (&[], I32), |body| {
        for step in 0..steps {
            body.op(&I::I32Const(1 << 20 | step)).op(&I::Drop);
        }
        body.op(&I::I32Const(number));
    })
}

fn load(offset: u64) -> MemArg {
    MemArg {
        offset,
        align: 3,
        target: MemArgTarget::Memory(0),
        ordering: None,
    }
}

struct Program {
    module: Module,
    callee: DeclId,
    pointers: DeclId,
    text: DeclId,
}

/// `callee` is called through its address out of code, out of a global and out of data, and by whatever the mode is.
fn program(redirect: Redirect) -> Program {
    let options = ModuleOptions {
        redirect,
        table64: true,
        ..ModuleOptions::default()
    };
    let mut module = Module::in_memory(options).expect("it is in memory");
    let memory = declare(&mut module, DeclKind::Memory, "memory");
    let ty = MemoryType {
        minimum: 2,
        is_64: true,
        ..MemoryType::default()
    };
    module.define_memory(memory, ty).expect("a memory");
    let callee = declare(&mut module, DeclKind::Function, "callee");
    let text = declare(&mut module, DeclKind::Data, "text");
    let text_bytes = Data::new(*b"eight by", 3);
    module.define_data(text, memory, text_bytes).expect("data");
    let pointers = declare(&mut module, DeclKind::Data, "pointers");
    let data = Data::new([0; 16], 3)
        .with_function64(0, callee)
        .with_address64(8, text, 0);
    module.define_data(pointers, memory, data).expect("data");
    let holder = declare(&mut module, DeclKind::Global, "holder");
    let address = ConstExpr::FunctionAddress64(callee);
    let defined = module.define_global(holder, ValType::I64, false, address);
    defined.expect("an i64");
    let text_at = declare(&mut module, DeclKind::Global, "text at");
    let address = ConstExpr::DataAddress64(text, 4);
    let defined = module.define_global(text_at, ValType::I64, false, address);
    defined.expect("an i64");
    let code = says(&module, 1, 3);
    module.define_function(callee, code).expect("a function");
    let function = |module: &mut Module, key: &str, code: Function| {
        let id = declare(module, DeclKind::Function, key);
        module.define_function(id, code).expect("a function");
        module.export(key, id).expect("it is there");
    };
    let code = body(&module, (&[], I32), |body| {
        body.address_of_function(callee).call_indirect(&[], I32);
    });
    function(&mut module, "by address", code);
    let code = body(&module, (&[], I32), |body| {
        body.global_get(holder).call_indirect(&[], I32);
    });
    function(&mut module, "by global", code);
    let code = body(&module, (&[], I32), |body| {
        body.address_of_data64(pointers, 0).op(&I::I64Load(load(0)));
        body.call_indirect(&[], I32);
    });
    function(&mut module, "by data", code);
    let code = body(&module, (&[], I32), |body| {
        body.call(callee, &[], I32);
    });
    function(&mut module, "by name", code);
    let code = body(&module, (&[], I32), |body| {
        body.function_ref(callee).op(&I::RefIsNull);
    });
    function(&mut module, "is null", code);
    let code = body(&module, (&[], I64), |body| {
        body.address_of_function(callee);
    });
    function(&mut module, "address", code);
    let code = body(&module, (&[], I64), |body| {
        body.address_of_data64(pointers, 8).op(&I::I64Load(load(0)));
        body.op(&I::I64Load(load(0)));
    });
    function(&mut module, "text by data", code);
    let code = body(&module, (&[], I64), |body| {
        body.global_get(text_at);
    });
    function(&mut module, "text at 4", code);
    module.commit().expect("it is good");
    Program {
        module,
        callee,
        pointers,
        text,
    }
}

/// Runs the file that was published, and the dense one; both must be so.
fn check(program: &Program, number: i32) {
    let module = &program.module;
    let declaration = |id| module.declaration(id).expect("it is there");
    let slot = declaration(program.callee)
        .slot()
        .expect("its address is taken");
    let text = declaration(program.text).addresses().expect("it is data");
    assert!(declaration(program.pointers).addresses().is_some());
    let published = module.bytes().expect("it is in memory");
    let map = Map::read(&published).expect("a module");
    let index = declaration(program.callee).index().expect("it has one");
    let entry = map.functions.iter().find(|entry| entry.index == index);
    let entry = entry.expect("the file has it");
    if entry.role == FunctionRole::Thunk {
        assert_eq!(entry.slot, Some(slot));
        assert!(entry.target.is_some(), "a thunk leads somewhere");
    }
    let dense = module.finish().expect("nothing is pending");
    for (file, is_dense) in [(published, false), (dense, true)] {
        let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(&file);
        valid.expect("a valid module");
        let engine = Engine::with_fuel(1_000_000);
        let mut instance = engine
            .instantiate(&file, &Imports::new())
            .expect("it can run");
        let mut call = |name: &str| {
            let results = instance.call(name, &[]).expect("it runs");
            let [result] = &results[..] else {
                panic!("one result")
            };
            *result
        };
        for way in ["by address", "by global", "by data", "by name"] {
            assert_eq!(call(way), Value::I32(number), "{way}");
        }
        assert_eq!(call("is null"), Value::I32(0));
        assert_eq!(
            call("text by data"),
            Value::I64(i64::from_le_bytes(*b"eight by"))
        );
        if !is_dense {
            assert_eq!(call("address"), Value::I64(slot.into()));
            assert_eq!(call("text at 4"), Value::I64(text.start as i64 + 4));
        }
    }
}

#[test]
fn addresses_of_functions_and_data_are_right_in_every_version() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut program = program(redirect);
        check(&program, 1);
        let address = program
            .module
            .declaration(program.callee)
            .expect("is there")
            .slot();
        for (number, steps) in [(2, 3), (3, 90), (4, 400), (5, 0)] {
            let code = says(&program.module, number, steps);
            let defined = program.module.define_function(program.callee, code);
            defined.expect("a function");
            let patch = program.module.commit().expect("it is good");
            assert_eq!(patch.relink_reason(), None, "{redirect:?}");
            check(&program, number);
            let slot = program
                .module
                .declaration(program.callee)
                .expect("is there")
                .slot();
            assert_eq!(slot, address, "an address stays what it is");
        }
        program.module.request_relink();
        program.module.commit().expect("it is good");
        check(&program, 5);
    }
}

#[test]
fn an_address_of_64_bits_is_no_value_of_32() {
    let mut program = program(Redirect::Table);
    let module = &mut program.module;
    let wrong = declare(module, DeclKind::Global, "wrong");
    let addresses = [
        ConstExpr::FunctionAddress64(program.callee),
        ConstExpr::DataAddress64(program.text, 0),
    ];
    for address in addresses {
        let refused = module.define_global(wrong, ValType::I32, true, address);
        assert_eq!(refused.expect_err("it is an i64").symbol(), Some("wrong"));
    }
    let code = body(module, (&[], I32), |body| {
        body.address_of_function(program.callee);
    });
    module
        .define_function(program.callee, code)
        .expect("a function");
    let error = module.commit().expect_err("it leaves an i64");
    assert_eq!(error.symbol(), Some("callee"), "{error}");
}
