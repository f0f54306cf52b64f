//! `Module::open`: compilers that end after each build, each of which finds the module of the one before. The compiler is the example
//! `once`, run as processes; that the test's own process cannot keep anything is tested too.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use wasmend::inspect::{finish, validate, verify};
use wasmend::kept::NoState;
use wasmend::{DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, ValType};

use crate::support::example;

/// A program of so many functions, whose second returns this number.
fn source(functions: u32, number: i32) -> String {
    let mut text = format!("main x = x second {functions} +\nsecond x = {number}\n");
    for at in 0..functions {
        text += &format!("f{at} x = x {at} * second x +\n");
    }
    text
}

/// Compiles, and returns what was said.
fn compile(folder: &Path, source: &str) -> String {
    fs::write(folder.join("program"), source).unwrap();
    let mut once = Command::new(example::program("once"));
    once.args(["program", "out.wasm"]).current_dir(folder);
    let done = once.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}");
    said
}

/// The dense form of what a compiler makes of the source that never saw another one.
fn fresh(source: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let said = compile(folder.path(), source);
    assert!(said.contains("there is no state from before"), "{said}");
    finish(&fs::read(folder.path().join("out.wasm")).unwrap()).unwrap()
}

fn expect_program(folder: &Path, source: &str, context: &str) {
    let output = fs::read(folder.join("out.wasm")).unwrap();
    validate(&output).unwrap();
    assert_eq!(differences(&output, &fresh(source)), [""; 0], "{context}");
}

/// What differs, but for the order of exports: those that come again stand where there is room, in one process as in many.
fn differences(output: &[u8], fresh: &[u8]) -> Vec<String> {
    let report = verify(output, fresh).unwrap();
    let differences = report.differences.iter();
    let others = differences.filter(|it| it.what != "exports" || !it.how.contains("another order"));
    others
        .map(|it| format!("{}: {}", it.what, it.how))
        .collect()
}

/// A module in memory that had so many functions, one number after the other.
fn in_one_process(history: &[u32]) -> Vec<u8> {
    let mut module = Module::in_memory(ModuleOptions::default()).unwrap();
    let mut before = 0;
    for &functions in history {
        for at in 0..functions {
            let name = format!("f{at}");
            let id = module.declare_or_get(DeclKind::Function, &name).unwrap();
            let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
            body.op(&Instruction::I32Const(at as i32));
            module.define_function(id, body.finish().unwrap()).unwrap();
            module.export(&name, id).unwrap();
        }
        for at in functions..before {
            let name = format!("f{at}");
            module.unexport(&name);
            module.remove(module.lookup(&name).unwrap()).unwrap();
        }
        module.commit().unwrap();
        before = functions;
    }
    module.bytes().unwrap()
}

#[test]
fn exports_that_come_again_stand_in_another_order_in_one_process_too() {
    let fresh = finish(&in_one_process(&[900])).unwrap();
    let output = in_one_process(&[900, 150, 151, 40, 900]);
    let report = verify(&output, &fresh).unwrap();
    assert_eq!(report.differences.len(), 1, "{report:?}");
    assert_eq!(differences(&output, &fresh), [""; 0]);
}

#[test]
fn a_compiler_finds_the_module_of_the_process_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = source(200, 1);
    let said = compile(folder, &first);
    assert!(
        said.contains("a new module: there is no state from before"),
        "{said}"
    );
    assert!(
        said.contains("202 functions, 202 changed, wrote all"),
        "{said}"
    );
    expect_program(folder, &first, "the first");
    // Nothing, one function, many more, some less, and all of it again.
    let said = compile(folder, &first);
    assert!(
        said.contains("202 functions, 0 changed, wrote nothing"),
        "{said}"
    );
    for number in 2..20 {
        let edited = source(200, number);
        let said = compile(folder, &edited);
        assert!(said.contains("202 functions, 1 changed, wrote"), "{said}");
        assert!(
            !said.contains("a new module") && !said.contains("wrote all"),
            "{said}"
        );
        if number % 6 == 0 {
            expect_program(folder, &edited, "one function");
        }
    }
    for (functions, number) in [(900, 3), (150, 3), (151, 9), (40, 9), (900, 1)] {
        let edited = source(functions, number);
        let said = compile(folder, &edited);
        // A program that has become four times as large takes more than twice the room.
        let has_grown = said.contains("a new module: the state has grown");
        assert!(!said.contains("a new module") || has_grown, "{said}");
        expect_program(folder, &edited, &format!("{functions} functions"));
    }
}

#[test]
fn whatever_does_not_fit_is_a_new_module_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kept = |suffix: &str| folder.join(".wasmend").join(format!("out.wasm{suffix}"));
    compile(folder, &source(20, 1));
    let mut number = 1;
    let mut damaged = |damage: &dyn Fn(), expected: &str| {
        damage();
        number += 1;
        let edited = source(20, number);
        let said = compile(folder, &edited);
        let expected = format!("a new module: {expected}");
        assert!(said.contains(&expected), "{expected}: {said}");
        expect_program(folder, &edited, &expected);
        number += 1;
        let said = compile(folder, &source(20, number));
        assert!(
            said.contains("22 functions, 1 changed"),
            "{expected}: {said}"
        );
    };
    let flip = |suffix: &str, at: u64| {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(kept(suffix));
        let file = file.unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
    };
    damaged(
        &|| fs::remove_file(kept(".state")).unwrap(),
        "there is no state",
    );
    damaged(
        &|| flip(".state", 100),
        "the state from before is not whole",
    );
    damaged(
        &|| flip(".heap", 5000),
        "the state from before is not whole",
    );
    damaged(
        &|| fs::remove_file(kept(".heap")).unwrap(),
        "the state from before is not whole",
    );
    let output = folder.join("out.wasm");
    damaged(
        &|| fs::write(&output, finish(&fs::read(&output).unwrap()).unwrap()).unwrap(),
        "the output is not the one",
    );
    // Another program: a copy of it is one.
    let copy = folder.join("once");
    fs::copy(example::program("once"), &copy).unwrap();
    let mut other = Command::new(copy);
    let said = other
        .args(["program", "out.wasm"])
        .current_dir(folder)
        .output();
    let said = String::from_utf8_lossy(&said.unwrap().stdout).into_owned();
    assert!(
        said.contains("a new module: another version of the program"),
        "{said}"
    );
}

#[test]
fn two_compilers_at_once_do_not_disturb_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    compile(folder, &source(50, 1));
    for number in 2..8 {
        let edited = source(50, number);
        fs::write(folder.join("program"), &edited).unwrap();
        let start = || {
            let mut once = Command::new(example::program("once"));
            once.args(["program", "out.wasm"]).current_dir(folder);
            once.stdout(Stdio::piped()).stderr(Stdio::piped());
            once.spawn().unwrap()
        };
        let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
        assert!(both.iter().any(|done| done.status.success()), "{both:?}");
        for done in &both {
            let said = String::from_utf8_lossy(&done.stderr);
            let is_told = said.contains("Locked") || said.contains("another process");
            assert!(done.status.success() || is_told, "{said}");
        }
        expect_program(folder, &edited, &format!("version {number}"));
    }
}

#[test]
fn where_nothing_can_be_kept_there_is_a_module_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wasm");
    for _ in 0..2 {
        let mut module = Module::open(&path, ModuleOptions::default()).unwrap();
        // Tests have another allocator, and stand anywhere.
        let reason = module.reason().cloned();
        assert!(
            matches!(reason, Some(NoState::Unsupported(_))),
            "{reason:?}"
        );
        let answer = module.declare(DeclKind::Function, "answer").unwrap();
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
        body.op(&Instruction::I32Const(42));
        let body = body.finish().unwrap();
        module.define_function(answer, body).unwrap();
        module.commit().unwrap();
        assert!(module.close().is_err());
        assert!(path.exists());
    }
}
