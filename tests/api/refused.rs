//! Edits that would make an invalid module although each of them alone is good: the commit refuses them, names who is
//! concerned, and the file stays as it is.
//!
//! Run: edits, `Module::commit`, which fails, the edits that make it right, and another commit, on a module in memory with one
//! of each kind of declaration.

use crate::support::programs;
use wasm_encoder::Instruction as I;
use wasmend::{
    ConstExpr, Data, DeclId, DeclKind, Error, ErrorKind, Function, FunctionBuilder, HeapType,
    ImportType, Module, ModuleOptions, Redirect, RefType, TableType, ValType,
};

/// A module with one of each.
struct Subject {
    module: Module,
    user: DeclId,
    plain: DeclId,
    global: DeclId,
    constant: DeclId,
    tag: DeclId,
    memory: DeclId,
    data: DeclId,
}

fn body(module: &Module, params: &[ValType], write: impl FnOnce(&mut FunctionBuilder)) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), params, &[]);
    write(&mut body);
    body.finish().expect("a good body")
}

fn subject(redirect: Redirect) -> wasmend::Result<Subject> {
    let mut module = programs::module(redirect);
    let mut declare = |kind, key: &str| module.declare(kind, key);
    let user = declare(DeclKind::Function, "user")?;
    let plain = declare(DeclKind::Function, "plain")?;
    let global = declare(DeclKind::Global, "global")?;
    let constant = declare(DeclKind::Global, "constant")?;
    let tag = declare(DeclKind::Tag, "tag")?;
    let at = declare(DeclKind::Memory, "memory")?;
    let data = declare(DeclKind::Data, "data")?;
    module.define_memory(at, programs::memory(1, None))?;
    module.define_data(data, at, Data::new(vec![7; 10], 2))?;
    module.define_global(global, ValType::I32, true, ConstExpr::I32(4))?;
    module.define_global(constant, ValType::I64, false, ConstExpr::I64(4))?;
    module.define_tag(tag, &[ValType::I32])?;
    let code = body(&module, &[], |_| {});
    module.define_function(plain, code)?;
    let code = body(&module, &[ValType::I32], |body| {
        body.global_get(global).global_set(global);
        body.global_get(constant).op(&I::Drop);
        body.op(&I::I32Const(1)).throw(tag);
    });
    module.define_function(user, code)?;
    module.export("user", user)?;
    module.commit()?;
    Ok(Subject {
        module,
        user,
        plain,
        global,
        constant,
        tag,
        memory: at,
        data,
    })
}

/// Runs an edit that must be refused, at once or at the commit, by an error that names `symbol`.
fn refused(symbol: &str, edit: impl Fn(&mut Subject) -> wasmend::Result<()>) {
    refused_after(|_| Ok(()), symbol, edit);
}

/// The same, after edits that are good.
fn refused_after(
    good: impl Fn(&mut Subject) -> wasmend::Result<()>,
    symbol: &str,
    edit: impl Fn(&mut Subject) -> wasmend::Result<()>,
) {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut subject = subject(redirect).expect("a good program");
        good(&mut subject)
            .and_then(|()| subject.module.commit().map(drop))
            .expect("good edits");
        let before = subject.module.bytes().expect("it is in memory");
        let result = edit(&mut subject).and_then(|()| subject.module.commit().map(drop));
        let after = subject.module.bytes().expect("it is in memory");
        let error: Error = match result {
            Ok(()) => {
                let features = wasmparser::WasmFeatures::all();
                let valid = wasmparser::Validator::new_with_features(features).validate_all(&after);
                panic!(
                    "{redirect:?}: nothing was said; the file: {:?}",
                    valid.err()
                );
            }
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::BadEdit, "{error}");
        assert_eq!(error.symbol(), Some(symbol), "{error}");
        assert!(before == after, "{error}, but the file has changed");
        subject.module.discard();
        let code = body(&subject.module, &[], |body| {
            body.op(&I::Nop);
        });
        subject
            .module
            .define_function(subject.plain, code)
            .expect("a good edit");
        subject.module.commit().expect("what was refused is gone");
    }
}

#[test]
fn a_start_function_with_parameters() {
    refused("user", |subject| {
        subject.module.set_start(Some(subject.user))
    });
}

#[test]
fn a_start_function_that_gets_parameters() {
    refused_after(
        |subject| subject.module.set_start(Some(subject.plain)),
        "plain",
        |subject| {
            let code = body(&subject.module, &[ValType::I32], |_| {});
            subject.module.define_function(subject.plain, code)
        },
    );
}

#[test]
fn a_tag_that_changes_without_those_who_throw_it() {
    refused("tag", |subject| {
        subject.module.define_tag(subject.tag, &[ValType::I64])
    });
    refused("tag", |subject| {
        let import = ImportType::Tag(vec![]);
        subject
            .module
            .define_import(subject.tag, "env", "tag", &import)
    });
}

#[test]
fn a_global_that_changes_its_type_without_its_users() {
    refused("constant", |subject| {
        let module = &mut subject.module;
        module.define_global(subject.constant, ValType::F64, false, ConstExpr::F64(0))
    });
    refused("constant", |subject| {
        let import = ImportType::Global(ValType::I32, false);
        let module = &mut subject.module;
        module.define_import(subject.constant, "env", "constant", &import)
    });
}

#[test]
fn a_global_that_can_no_longer_be_set_without_its_users() {
    refused("global", |subject| {
        let module = &mut subject.module;
        module.define_global(subject.global, ValType::I32, false, ConstExpr::I32(4))
    });
}

#[test]
fn a_memory_that_goes_without_its_data() {
    refused("memory", |subject| subject.module.remove(subject.memory));
}

/// It was found by nobody where the user had said which addresses data may take.
#[test]
fn a_memory_that_goes_without_its_data_although_its_addresses_are_given() {
    refused_after(
        |subject| subject.module.reserve_data(subject.memory, 2048..8192),
        "memory",
        |subject| subject.module.remove(subject.memory),
    );
}

#[test]
fn the_table_of_slots() {
    refused("(unnamed)", |subject| {
        let table = subject.module.slot_table().expect("there is one");
        subject.module.remove(table)
    });
    refused("(unnamed)", |subject| {
        let table = subject.module.slot_table().expect("there is one");
        let ty = TableType {
            element: RefType::FUNCREF,
            minimum: 1,
            maximum: None,
            is_64: false,
        };
        subject.module.define_table(table, ty)
    });
}

/// The encoder looked for the table in vain.
#[test]
fn an_address_of_a_function_where_there_is_no_table_of_slots() {
    let options = ModuleOptions {
        redirect: Redirect::Direct,
        slot_table: false,
        ..ModuleOptions::default()
    };
    let mut module = Module::in_memory(options).expect("it is in memory");
    let function = module.declare(DeclKind::Function, "function");
    let function = function.expect("the key is free");
    let code = body(&module, &[], |body| {
        body.address_of_function(function).op(&I::Drop);
    });
    let refused = module.define_function(function, code);
    let error = refused.expect_err("it has no address");
    assert_eq!(error.kind(), ErrorKind::BadEdit, "{error}");
    assert_eq!(error.symbol(), Some("function"), "{error}");
}

#[test]
fn limits_the_wrong_way_round() {
    refused("memory", |subject| {
        subject
            .module
            .define_memory(subject.memory, programs::memory(2, Some(1)))
    });
    refused("table", |subject| {
        let table = subject.module.declare(DeclKind::Table, "table")?;
        let ty = TableType {
            element: RefType::FUNCREF,
            minimum: 3,
            maximum: Some(2),
            is_64: false,
        };
        subject.module.define_table(table, ty)
    });
    refused("table", |subject| {
        let table = subject.module.declare(DeclKind::Table, "table")?;
        let ty = TableType {
            element: RefType::non_null(HeapType::FUNC),
            minimum: 3,
            maximum: None,
            is_64: false,
        };
        subject.module.define_table(table, ty)
    });
}

#[test]
fn an_initial_value_of_another_type() {
    for value in [
        ConstExpr::I64(3),
        ConstExpr::F32(3),
        ConstExpr::Null(HeapType::FUNC),
    ] {
        refused("global", |subject| {
            let module = &mut subject.module;
            module.define_global(subject.global, ValType::I32, true, value)
        });
    }
}

#[test]
fn an_initial_value_that_is_not_constant() {
    refused("constant", |subject| {
        let value = ConstExpr::Global(subject.global);
        let module = &mut subject.module;
        module.define_global(subject.constant, ValType::I64, false, value)
    });
}

#[test]
fn data_that_does_not_fit_its_memory() {
    refused("data", |subject| {
        let data = Data::new(vec![1; 70_000], 0);
        subject
            .module
            .define_data(subject.data, subject.memory, data)
    });
}
