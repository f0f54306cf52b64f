//! What callers expect of functions: a commit knows both sides, and refuses what does not fit, in every mode of redirection.

use wasmend::{
    DeclId, DeclKind, Error, ErrorKind, Function, FunctionBuilder, ImportType, Instruction, Module,
    ModuleOptions, Redirect, ValType,
};

use crate::support::validate;

const MODES: [Redirect; 3] = [Redirect::Table, Redirect::TableThunks, Redirect::Direct];
const I32: &[ValType] = &[ValType::I32];
const I64: &[ValType] = &[ValType::I64];

fn module(redirect: Redirect) -> Module {
    let options = ModuleOptions {
        redirect,
        ..ModuleOptions::default()
    };
    Module::in_memory(options).expect("has room")
}

fn declare(module: &mut Module, name: &str) -> DeclId {
    module.declare(DeclKind::Function, name).expect("is new")
}

fn constant(module: &Module, results: &[ValType]) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), &[], results);
    body.op(match results {
        [ValType::I64] => &Instruction::I64Const(1),
        _ => &Instruction::I32Const(1),
    });
    body.finish().expect("names nothing")
}

/// Calls a function without parameters and drops what it returns.
fn caller(module: &Module, callee: DeclId, results: &[ValType]) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
    body.call(callee, &[], results);
    results.iter().for_each(|_| {
        body.op(&Instruction::Drop);
    });
    body.finish().expect("names nothing")
}

/// `callee` and who calls it, committed.
fn pair(redirect: Redirect) -> (Module, DeclId, DeclId) {
    let mut module = module(redirect);
    let (callee, user) = (declare(&mut module, "callee"), declare(&mut module, "user"));
    let body = constant(&module, I32);
    module.define_function(callee, body).expect("is a function");
    let body = caller(&module, callee, I32);
    module.define_function(user, body).expect("is a function");
    module.commit().expect("fits");
    (module, callee, user)
}

fn refused(module: &mut Module) -> Error {
    let error = module.commit().expect_err("it does not fit");
    assert_eq!(error.kind(), ErrorKind::BadEdit);
    error
}

#[test]
fn a_signature_does_not_change_without_its_callers() {
    for redirect in MODES {
        let (mut module, callee, user) = pair(redirect);
        let body = constant(&module, I64);
        module.define_function(callee, body).expect("is a function");
        let error = refused(&mut module);
        assert_eq!(error.symbol(), Some("callee"), "{redirect:?}");
        assert!(
            error.message().contains("`user` still relies on"),
            "{error}"
        );
        // With its caller it does.
        let body = caller(&module, callee, I64);
        module.define_function(user, body).expect("is a function");
        module.commit().expect("fits");
        validate(&module.bytes().expect("is there")).expect("is valid");
    }
}

#[test]
fn a_call_by_a_signature_that_was_never_there_is_refused_by_name() {
    for redirect in MODES {
        let (mut module, callee, user) = pair(redirect);
        let body = caller(&module, callee, I64);
        module.define_function(user, body).expect("is a function");
        let error = refused(&mut module);
        assert_eq!(error.symbol(), Some("user"), "{redirect:?}");
        let expected = "calls `callee` as () -> (i64), but it is () -> (i32)";
        assert_eq!(error.message(), expected);
        // What was said of a body goes with it.
        let body = caller(&module, callee, I32);
        module.define_function(user, body).expect("is a function");
        module.commit().expect("fits");
    }
}

#[test]
fn all_that_does_not_fit_is_said_at_once() {
    for redirect in MODES {
        let (mut module, callee, user) = pair(redirect);
        let other = declare(&mut module, "other");
        for id in [user, other] {
            let body = caller(&module, callee, &[ValType::I32, ValType::F64]);
            module.define_function(id, body).expect("is a function");
        }
        let error = refused(&mut module);
        let all = std::iter::once(&error).chain(error.others());
        let mut symbols: Vec<_> = all.filter_map(|error| error.symbol()).collect();
        symbols.sort_unstable();
        assert_eq!(symbols, ["other", "user"], "{redirect:?}");
        module.discard();
        module.commit().expect("nothing is wrong any more");
    }
}

/// Only the first of those who had not been compiled anew was named, and nothing of exports.
#[test]
fn all_callers_that_stay_are_named_and_so_are_exports() {
    for redirect in MODES {
        let (mut module, callee, _) = pair(redirect);
        let body = caller(&module, callee, I32);
        let other = declare(&mut module, "other");
        module.define_function(other, body).expect("is a function");
        module.commit().expect("fits");
        let body = constant(&module, I64);
        module.define_function(callee, body).expect("is a function");
        let undefined = declare(&mut module, "undefined");
        module.export("undefined", undefined).expect("is declared");
        module.unexport("no such export");
        let error = refused(&mut module);
        let all = std::iter::once(&error).chain(error.others());
        let text: Vec<String> = all
            .map(|error| format!("{:?}: {}", error.symbol(), error.message()))
            .collect();
        let expected = [
            "`user` still",
            "`other` still",
            "Some(\"undefined\")",
            "no such export",
        ];
        for what in expected {
            let count = text.iter().filter(|text| text.contains(what)).count();
            assert_eq!(count, 1, "{redirect:?}: {what} in {text:?}");
        }
        assert_eq!(text.len(), expected.len(), "{text:?}");
    }
}

#[test]
fn a_function_that_becomes_an_import_keeps_its_signature_too() {
    for redirect in MODES {
        let (mut module, callee, _) = pair(redirect);
        let ty = ImportType::Function(Vec::new(), I64.to_vec());
        module
            .define_import(callee, "env", "callee", &ty)
            .expect("is a function");
        assert_eq!(
            refused(&mut module).symbol(),
            Some("callee"),
            "{redirect:?}"
        );
    }
}
