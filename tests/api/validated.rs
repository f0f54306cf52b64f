//! What would make a module that no engine takes, though its edits fit each other: bodies that are not valid code, and more of
//! something than engines take. The commit refuses them and names who is concerned; the file stays as it is.
//!
//! Run: `Module::commit` of bodies that are right and wrong, as a first commit and as a patch, with each redirection.

use crate::support::programs::{self, I32};
use wasm_encoder::{Instruction as I, MemArg, MemArgTarget};
use wasmend::{
    BodyStyle, ConstExpr, Data, DeclId, DeclKind, Error, ErrorKind, Function, FunctionBuilder,
    ImportType, MemoryType, Module, ModuleOptions, Redirect, RefType, TableType, ValType,
};

const REDIRECTS: [Redirect; 3] = [Redirect::Table, Redirect::TableThunks, Redirect::Direct];

/// A function without parameters that returns an i32.
fn body(style: BodyStyle, write: impl FnOnce(&mut FunctionBuilder)) -> Function {
    let mut body = FunctionBuilder::new(style, &[], I32);
    write(&mut body);
    body.finish().expect("nothing is said before the commit")
}

fn function(module: &mut Module, key: &str, write: impl FnOnce(&mut FunctionBuilder)) -> DeclId {
    let id = match module.lookup(key) {
        Some(id) => id,
        None => module
            .declare(DeclKind::Function, key)
            .expect("the key is free"),
    };
    let code = body(module.body_style(), write);
    module
        .define_function(id, code)
        .expect("nothing is said before the commit");
    id
}

/// Commits what must be refused, twice, and looks that the file stays.
fn refused(module: &mut Module) -> Error {
    let before = module.bytes().unwrap_or_default();
    let error = module
        .commit()
        .map(drop)
        .expect_err("a commit that is refused");
    let again = module
        .commit()
        .map(drop)
        .expect_err("the edits stay pending");
    assert_eq!(error.to_string(), again.to_string());
    assert!(
        before == module.bytes().unwrap_or_default(),
        "the file has changed"
    );
    error
}

fn expect_valid(module: &Module) {
    let features = wasmparser::WasmFeatures::all();
    let bytes = module.bytes().expect("it is in memory");
    wasmparser::Validator::new_with_features(features)
        .validate_all(&bytes)
        .expect("a valid file");
}

/// Each a body that is not valid, where in it that is found, and what is said.
type Wrong = (fn(&mut FunctionBuilder), u64, &'static str);

const WRONG: [Wrong; 5] = [
    (
        |body| {
            body.op(&I::F64Const(1.0.into()));
        },
        0xa,
        "expected i32, found f64",
    ),
    (|_| {}, 1, "expected i32"),
    (
        |body| {
            body.op(&I::I32Const(1)).op(&I::LocalGet(7));
        },
        3,
        "unknown local 7",
    ),
    (
        |body| {
            body.op(&I::I32Const(1)).op(&I::Br(3));
        },
        3,
        "unknown label",
    ),
    (
        |body| {
            body.raw(&[0x41, 1, 0xff]);
        },
        3,
        "illegal opcode",
    ),
];

#[test]
fn a_body_that_is_not_valid_is_refused_by_its_key_and_the_offset_in_it() {
    for redirect in REDIRECTS {
        for (write, offset, message) in WRONG {
            let mut module = programs::module(redirect);
            let good = function(&mut module, "good", |body| {
                body.op(&I::I32Const(1));
            });
            for is_first in [true, false] {
                function(&mut module, "wrong", write);
                let error = refused(&mut module);
                assert_eq!(error.symbol(), Some("wrong"), "{error}");
                assert_eq!(error.offset(), Some(offset), "{error}");
                assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
                assert!(error.message().contains(message), "{error}");
                // It calls another function, so that there are fields before what is wrong.
                function(&mut module, "wrong", |body| {
                    body.call(good, &[], I32).op(&I::F32Const(2.0.into()));
                });
                let error = refused(&mut module);
                assert!(error.offset() > Some(6), "{error}");
                function(&mut module, "wrong", |body| {
                    body.call(good, &[], I32);
                    body.op(&I::I32Const(is_first.into())).op(&I::I32Add);
                });
                let patch = module.commit().expect("it is mended");
                assert_eq!(patch.ranges().is_none(), is_first);
                expect_valid(&module);
            }
        }
    }
}

#[test]
fn all_bodies_of_a_commit_that_are_not_valid_are_named_at_once() {
    // Few are looked at one after the other, many on all threads.
    for count in [3, 2000] {
        let mut module = programs::module(Redirect::Direct);
        for at in 0..count {
            function(&mut module, &format!("good{at}"), |body| {
                body.op(&I::I32Const(at));
            });
            function(&mut module, &format!("wrong{at}"), |body| {
                body.op(&I::I64Const(at.into()));
            });
        }
        let error = refused(&mut module);
        let all = std::iter::once(&error).chain(error.others());
        let named: Vec<_> = all.filter_map(|error| error.symbol()).collect();
        let wrong: Vec<_> = (0..count).map(|at| format!("wrong{at}")).collect();
        assert_eq!(named, wrong);
        let text = error.to_string();
        assert!(text.lines().count() <= 10, "{text}");
        assert_eq!(text.contains("and 1991 more"), count == 2000, "{text}");
        module.discard();
        module.commit().expect("nothing is wrong any more");
    }
}

/// Its numbers would be right by chance, until something else moves.
#[test]
fn code_that_names_something_by_a_number_is_refused() {
    let codes: [&[u8]; 5] = [
        &[0x10, 0],
        &[0x23, 0],
        &[0x41, 0, 0x25, 0, 0x1a, 0x41, 0],
        &[0x02, 0, 0x0b],
        &[0x41, 0, 0x11, 0, 0],
    ];
    for code in codes {
        let mut module = programs::module(Redirect::Direct);
        let global = module.declare(DeclKind::Global, "global").expect("free");
        module
            .define_global(global, ValType::I32, true, ConstExpr::I32(4))
            .expect("a global");
        function(&mut module, "good", |body| {
            body.op(&I::I32Const(1));
        });
        function(&mut module, "wrong", |body| {
            body.raw(code);
        });
        let error = refused(&mut module);
        assert_eq!(error.symbol(), Some("wrong"), "{error}");
        let hint = error.hint().expect("what to do");
        assert!(hint.contains("methods of the builder"), "{error}");
    }
}

/// What a table of slots, a global, a tag, other functions and blocks of several values look like from a body.
#[test]
fn bodies_that_name_all_there_is_are_valid() {
    for redirect in REDIRECTS {
        let mut module = programs::module(redirect);
        let mut declare = |kind, key: &str| module.declare(kind, key).expect("free");
        let global = declare(DeclKind::Global, "global");
        let imported = declare(DeclKind::Global, "imported");
        let tag = declare(DeclKind::Tag, "tag");
        let table = declare(DeclKind::Table, "table");
        let memory = declare(DeclKind::Memory, "memory");
        let data = declare(DeclKind::Data, "data");
        let import = declare(DeclKind::Function, "import");
        let edit = |module: &mut Module, value: i32| -> wasmend::Result<()> {
            module.define_global(global, ValType::I64, true, ConstExpr::I64(value.into()))?;
            let constant = ImportType::Global(ValType::F32, false);
            module.define_import(imported, "env", "constant", &constant)?;
            module.define_tag(tag, &[ValType::I32])?;
            let ty = TableType {
                element: RefType::EXTERNREF,
                minimum: 4,
                maximum: None,
                is_64: false,
            };
            module.define_table(table, ty)?;
            module.define_memory(memory, programs::memory(1, None))?;
            module.define_data(data, memory, Data::new(vec![1; 8], 2))?;
            let ty = ImportType::Function(vec![ValType::EXTERNREF], vec![ValType::I32]);
            module.define_import(import, "env", "import", &ty)
        };
        edit(&mut module, 1).expect("good definitions");
        for value in 0..3 {
            function(&mut module, "user", |body| {
                let local = body.locals(1, ValType::I64);
                body.global_get(global).op(&I::LocalSet(local));
                body.global_get(imported).op(&I::Drop);
                body.op(&I::I32Const(0)).table_get(table);
                body.call_direct(import).op(&I::Drop);
                body.block(&[], &[ValType::I32, ValType::I64]);
                body.address_of_data(data, 4).op(&I::I64Const(3));
                body.op(&I::End).op(&I::Drop).op(&I::Drop);
                body.op(&I::I32Const(value)).access_data(0x28, 2, data, 0);
                body.op(&I::If(wasm_encoder::BlockType::Empty));
                body.op(&I::I32Const(1)).throw(tag).op(&I::End);
                body.function_ref(import).op(&I::RefIsNull).op(&I::Drop);
                body.address_of_function(import);
            });
            module.commit().expect("a valid body");
            expect_valid(&module);
        }
    }
}

#[test]
fn a_memory_or_table_that_changes_does_not_leave_code_wrong_that_stays() {
    let load = I::I32Load(MemArg {
        offset: 0,
        align: 2,
        target: MemArgTarget::Memory(0),
        ordering: None,
    });
    let mut module = programs::module(Redirect::Direct);
    let memory = module.declare(DeclKind::Memory, "memory").expect("free");
    let table = module.declare(DeclKind::Table, "table").expect("free");
    let refs = |element| TableType {
        element,
        minimum: 1,
        maximum: None,
        is_64: false,
    };
    module
        .define_memory(memory, programs::memory(1, None))
        .expect("a memory");
    module
        .define_table(table, refs(RefType::FUNCREF))
        .expect("a table");
    function(&mut module, "loads", |body| {
        body.op(&I::I32Const(8)).op(&load);
    });
    function(&mut module, "copies", |body| {
        body.op(&I::I32Const(0)).op(&I::I32Const(0));
        body.table_get(table).table_set(table).op(&I::I32Const(0));
    });
    module.commit().expect("a valid program");
    let wide = MemoryType {
        is_64: true,
        ..programs::memory(1, None)
    };
    module.define_memory(memory, wide).expect("a memory");
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("loads"), "{error}");
    module.discard();
    module.remove(memory).expect("it is there");
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("loads"), "{error}");
    assert!(error.to_string().contains("define a memory"), "{error}");
    module.discard();
    // A copy within a table of other references is right, a call through it would not be.
    module
        .define_table(table, refs(RefType::EXTERNREF))
        .expect("a table");
    module.commit().expect("its user can do with both");
    expect_valid(&module);
    function(&mut module, "copies", |body| {
        body.op(&I::I32Const(0))
            .op(&I::RefNull(wasm_encoder::HeapType::EXTERN));
        body.table_set(table).op(&I::I32Const(0));
    });
    module.commit().expect("its user knows of it");
    module
        .define_table(table, refs(RefType::FUNCREF))
        .expect("a table");
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("copies"), "{error}");
    module.discard();
    expect_valid(&module);
}

#[test]
fn bodies_are_not_looked_at_if_the_options_say_so() {
    let options = ModuleOptions {
        validate: false,
        ..ModuleOptions::default()
    };
    let mut module = Module::in_memory(options).expect("it is in memory");
    function(&mut module, "wrong", |body| {
        body.op(&I::F64Const(1.0.into()));
    });
    module.commit().expect("nobody looks");
    let bytes = module.bytes().expect("it is in memory");
    let read = wasmparser::validate(&bytes).map(drop);
    read.expect_err("the body is wrong");
}

#[test]
fn a_memory_that_shrinks_below_its_data_is_refused() {
    let mut module = programs::module(Redirect::Direct);
    let memory = module.declare(DeclKind::Memory, "memory").expect("free");
    let data = module.declare(DeclKind::Data, "data").expect("free");
    let zeros = module.declare(DeclKind::Data, "zeros").expect("free");
    module
        .define_memory(memory, programs::memory(4, None))
        .expect("a memory");
    module
        .define_data(data, memory, Data::new(vec![7; 70_000], 2))
        .expect("data");
    module
        .define_data(zeros, memory, Data::zero(70_000, 2))
        .expect("data");
    module.commit().expect("there is room");
    for pages in [1, 2, 0] {
        module
            .define_memory(memory, programs::memory(pages, None))
            .expect("a memory");
        let error = refused(&mut module);
        assert!(matches!(error.symbol(), Some("data" | "zeros")), "{error}");
        module.discard();
    }
    module
        .define_memory(memory, programs::memory(3, None))
        .expect("a memory");
    module.commit().expect("there is still room");
    expect_valid(&module);
}

/// A limit that is passed is named with its number, by what passes it.
#[test]
fn more_than_engines_take_is_refused_by_name_and_number() {
    let mut module = programs::module(Redirect::Direct);
    function(&mut module, "greedy", |body| {
        body.locals(50_000, ValType::I32);
        body.op(&I::I32Const(1));
    });
    module.commit().expect("as many as engines take");
    function(&mut module, "greedy", |body| {
        body.locals(50_000, ValType::I32);
        body.locals(1, ValType::I64);
        body.op(&I::I32Const(1));
    });
    let error = refused(&mut module);
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert_eq!(error.symbol(), Some("greedy"), "{error}");
    assert!(
        error.message().contains("50001 locals; engines take 50000"),
        "{error}"
    );
    let code = body(module.body_style(), |body| {
        body.locals(u32::MAX, ValType::I32);
        body.locals(u32::MAX, ValType::I32);
        body.op(&I::I32Const(1));
    });
    let greedy = module.lookup("greedy").expect("it is there");
    module
        .define_function(greedy, code)
        .expect("it is counted later");
    assert_eq!(refused(&mut module).kind(), ErrorKind::Limit);

    let long = "x".repeat(100_001);
    let good = "x".repeat(100_000);
    module.discard();
    let ty = ImportType::Function(vec![], vec![]);
    let mut module = programs::module(Redirect::Direct);
    let id = module.declare(DeclKind::Function, &good).expect("free");
    for result in [
        module.declare(DeclKind::Function, &long).map(drop),
        module
            .declare_part(id, DeclKind::Data, Some(&long))
            .map(drop),
        module.set_name(id, &long),
        module.define_import(id, &long, "field", &ty),
        module.define_import(id, "module", &long, &ty),
        module.export(&long, id),
    ] {
        let error = result.expect_err("the name is too long");
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        assert!(
            error
                .message()
                .contains("100001 bytes; engines take 100000"),
            "{error}"
        );
        assert!(error.to_string().len() < 300, "{error}");
    }
    module
        .define_import(id, &good, &good, &ty)
        .expect("just so");
    module.export(&good, id).expect("just so");
    module.commit().expect("as long as engines take");
    expect_valid(&module);
}

#[test]
fn more_memories_tables_or_entries_than_engines_take_are_refused() {
    let mut module = programs::module(Redirect::Direct);
    for at in 0..101 {
        let key = format!("memory{at}");
        let id = module.declare(DeclKind::Memory, &key).expect("free");
        module
            .define_memory(id, programs::memory(0, None))
            .expect("a memory");
    }
    let error = refused(&mut module);
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(
        error.message().contains("101 memories; engines take 100"),
        "{error}"
    );
    module
        .remove(module.lookup("memory0").expect("it is there"))
        .expect("it is");
    module.commit().expect("as many as engines take");

    let mut module = programs::module(Redirect::Direct);
    let ty = |minimum| TableType {
        element: RefType::FUNCREF,
        minimum,
        maximum: None,
        is_64: false,
    };
    let id = module.declare(DeclKind::Table, "table").expect("free");
    let error = module
        .define_table(id, ty(10_000_001))
        .expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert_eq!(error.symbol(), Some("table"), "{error}");
    // With the table of slots it is one too many.
    for at in 0..100_000 {
        let key = format!("table{at}");
        let id = module.declare(DeclKind::Table, &key).expect("free");
        module.define_table(id, ty(0)).expect("a table");
    }
    let error = refused(&mut module);
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(
        error.message().contains("tables; engines take 100000"),
        "{error}"
    );

    let options = ModuleOptions {
        first_slot: u32::MAX,
        ..ModuleOptions::default()
    };
    let error = Module::in_memory(options)
        .map(drop)
        .expect_err("no such table");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

/// After it nothing is declared any more. Who knows the ids of what was declared for the first commit can define it again, and
/// who does not can declare it again; but not both.
#[test]
fn after_discarding_all_there_was_a_module_begins_anew() {
    for by_id in [true, false] {
        let mut module = programs::module(Redirect::Table);
        module.discard();
        let constant = |module: &mut Module, number| {
            body(module.body_style(), |body| {
                body.op(&I::I32Const(number));
            })
        };
        let declare = |module: &mut Module, key: &str| {
            let id = module.declare(DeclKind::Function, key);
            id.expect("a new key")
        };
        let (old, other) = (declare(&mut module, "f"), declare(&mut module, "g"));
        let code = constant(&mut module, 1);
        module.define_function(old, code).expect("a body");
        module.export("twice", old).expect("an export");
        module.export("twice", other).expect("an export");
        refused(&mut module);
        module.discard();
        assert_eq!(module.lookup("f"), None);
        let code = constant(&mut module, 2);
        let again = if by_id {
            // Also if it was not the first one.
            module
                .define_function(other, code.clone())
                .expect("declared again");
            old
        } else {
            let again = declare(&mut module, "new");
            assert_eq!(module.lookup("f"), None);
            again
        };
        module.define_function(again, code).expect("declared");
        assert_eq!(module.lookup("f"), by_id.then_some(old));
        module.export("once", again).expect("an export");
        module.commit().expect("a first commit");
        expect_valid(&module);
        // From then on what was discarded is gone.
        let late = declare(&mut module, "late");
        module.discard();
        let code = constant(&mut module, 3);
        let error = module
            .define_function(late, code)
            .expect_err("not declared");
        assert_eq!(error.kind(), ErrorKind::BadEdit, "{error}");
    }
}
