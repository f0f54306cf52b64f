//! The built-in interpreter: programs always end, say why, and always do the same.
//!
//! Run: `Engine::instantiate`, `Instance::call`, and `run_command` of `tests/support`, on modules of a few lines and on random
//! ones.

#[path = "../support/mod.rs"]
mod support;

use std::cell::Cell;

use arbitrary::Unstructured;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use wasmend::ErrorKind;
use wasmend::engine::{Engine, Imports, Trap, Value};

use support::wasi::run_command;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's own module")
}

/// The trap of calling `f` in a module with this body.
fn trap_of(body: &str) -> Trap {
    let module = format!(
        "(module (memory 1) (table 2 funcref) (type $t (func)) (elem (i32.const 1) func $f)
            (func $f (export \"f\") (result i32) {body}))"
    );
    let mut instance = Engine::with_fuel(100_000)
        .instantiate(&wat(&module), &Imports::new())
        .unwrap();
    instance.call("f", &[]).unwrap_err()
}

#[test]
fn every_trap_has_its_reason() {
    let cases = [
        ("unreachable", Trap::Unreachable),
        ("(i32.load (i32.const 65536))", Trap::MemoryOutOfBounds),
        (
            "(call_indirect (type $t) (i32.const 9)) (i32.const 0)",
            Trap::TableOutOfBounds,
        ),
        (
            "(call_indirect (type $t) (i32.const 0)) (i32.const 0)",
            Trap::NullEntry,
        ),
        (
            "(call_indirect (type $t) (i32.const 1)) (i32.const 0)",
            Trap::BadSignature,
        ),
        (
            "(i32.div_u (i32.const 1) (i32.const 0))",
            Trap::DivisionByZero,
        ),
        (
            "(i32.div_s (i32.const 0x80000000) (i32.const -1))",
            Trap::IntegerOverflow,
        ),
        ("(i32.trunc_f64_s (f64.const nan))", Trap::IntegerOverflow),
        ("(i32.add (call $f) (i32.const 1))", Trap::StackOverflow),
        ("(loop $l (br $l)) (i32.const 0)", Trap::OutOfFuel),
    ];
    for (body, trap) in cases {
        assert_eq!(trap_of(body), trap, "{body}");
    }
}

#[test]
fn fuel_is_fresh_for_every_call() {
    let module = wat("(module (func (export \"f\") (param $n i32)
        (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))");
    let mut instance = Engine::with_fuel(10_000)
        .instantiate(&module, &Imports::new())
        .unwrap();
    for _ in 0..20 {
        assert_eq!(instance.call("f", &[Value::I32(500)]), Ok(vec![]));
    }
    assert_eq!(instance.call("f", &[Value::I32(-1)]), Err(Trap::OutOfFuel));
    assert_eq!(instance.call("f", &[Value::I32(500)]), Ok(vec![]));
}

#[test]
fn a_start_function_that_does_not_end_is_an_error() {
    let module = wat("(module (start $s) (func $s (loop $l (br $l))))");
    let error = Engine::with_fuel(1_000)
        .instantiate(&module, &Imports::new())
        .unwrap_err();
    assert!(error.to_string().contains("out of fuel"), "{error}");
}

#[test]
fn wrong_calls_are_told_apart_from_traps() {
    let module = wat(
        "(module (func (export \"f\") (param i32) (result f32 externref)
        (f32.const nan:0x200001) (ref.null extern)))",
    );
    let mut instance = Engine::new().instantiate(&module, &Imports::new()).unwrap();
    assert!(matches!(instance.call("g", &[]), Err(Trap::Call(_))));
    assert!(matches!(instance.call("f", &[]), Err(Trap::Call(_))));
    assert!(matches!(
        instance.call("f", &[Value::I64(1)]),
        Err(Trap::Call(_))
    ));
    assert!(matches!(
        instance.call("f", &[Value::I32(1), Value::I32(1)]),
        Err(Trap::Call(_))
    ));
    let nan = Value::F32(f32::from_bits(0x7fa0_0001));
    assert_eq!(
        instance.call("f", &[Value::I32(1)]),
        Ok(vec![nan, Value::Null])
    );
}

#[test]
fn imports_are_given_stubbed_or_named_as_missing() {
    let module = wat(r#"(module
        (import "env" "double" (func $double (param i32) (result i32)))
        (import "env" "base" (global $base i32))
        (import "env" "memory" (memory 1 2))
        (import "env" "table" (table 3 funcref))
        (memory (export "memory") 1)
        (data (memory 1) (i32.const 0) "seen by the host")
        (global (export "base") i32 (global.get $base))
        (func (export "f") (result i32) (call $double (global.get $base))))"#);
    let error = Engine::new()
        .instantiate(&module, &Imports::new())
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.symbol()),
        (ErrorKind::BadInput, Some("env.double"))
    );

    let stubbed = Imports::new().stubs();
    let mut instance = Engine::new().instantiate(&module, &stubbed).unwrap();
    assert_eq!(instance.call("f", &[]), Ok(vec![Value::I32(0)]));

    let given = stubbed
        .clone()
        .global("env", "base", Value::I32(21))
        .function("env", "double", |memory, arguments| {
            assert_eq!(&memory[..4], b"seen");
            memory[0] = b'S';
            let [Value::I32(v)] = arguments else {
                return Err(Trap::Host("one number is due".into()));
            };
            Ok(vec![Value::I32(v * 2)])
        });
    let mut instance = Engine::new().instantiate(&module, &given).unwrap();
    assert_eq!(instance.call("f", &[]), Ok(vec![Value::I32(42)]));
    assert_eq!(instance.global("base"), Some(Value::I32(21)));
    assert_eq!(&instance.memory("memory").unwrap()[..4], b"Seen");

    for wrong in [vec![], vec![Value::I64(1)], vec![Value::I32(1); 2]] {
        let imports = stubbed
            .clone()
            .function("env", "double", move |_, _| Ok(wrong.clone()));
        let mut instance = Engine::new().instantiate(&module, &imports).unwrap();
        assert!(matches!(instance.call("f", &[]), Err(Trap::Host(_))));
    }
    let imports = stubbed
        .clone()
        .function("env", "double", |_, _| Err(Trap::Exit(3)));
    let mut instance = Engine::new().instantiate(&module, &imports).unwrap();
    assert_eq!(instance.call("f", &[]), Err(Trap::Exit(3)));
    let error = Engine::new()
        .instantiate(&module, &stubbed.global("env", "base", Value::I64(1)))
        .unwrap_err();
    assert_eq!(error.symbol(), Some("env.base"));
}

/// Echoes its input, then ends with status 7; with no input it traps.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\40\00\00\00")
    (func (export "_start")
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (if (i32.eqz (i32.load (i32.const 8))) (then unreachable))
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (drop (call $random (i32.const 16) (i32.const 8)))
        (i32.store (i32.const 4) (i32.const 8))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $exit (i32.const 7))
        unreachable))"#;

#[test]
fn a_command_has_its_streams_captured() {
    let output = run_command(&wat(ECHO), &["echo"], b"mend").unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.exit_code, &output.trap),
        (b"mend".as_slice(), 7, &None)
    );
    assert_eq!(output.stderr, [0, 1, 2, 3, 4, 5, 6, 7]);
    let output = run_command(&wat(ECHO), &[], b"").unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.exit_code, output.trap),
        (b"".as_slice(), 134, Some(Trap::Unreachable))
    );
}

#[test]
fn what_is_not_a_command_is_refused() {
    let error = run_command(&wat("(module (memory (export \"memory\") 1))"), &[], b"").unwrap_err();
    assert!(
        error.message().contains("_start") && error.hint().is_some(),
        "{error}"
    );
    let other = "(module (import \"env\" \"f\" (func)) (func (export \"_start\")))";
    assert_eq!(
        run_command(&wat(other), &[], b"").unwrap_err().kind(),
        ErrorKind::BadInput
    );
    let error = run_command(b"\0asm\x01\0\0\0\x01\xff", &[], b"").unwrap_err();
    assert_eq!(
        (error.kind(), error.offset().is_some()),
        (ErrorKind::BadInput, true),
        "{error}"
    );
}

#[test]
fn an_import_of_another_type_than_preview_1_defines_is_refused() {
    for (name, ty) in [
        ("fd_write", "(param i32 i32 i32 i64) (result i32)"),
        ("fd_close", "(param i32)"),
        ("fd_sing", "(param i32) (result i32)"),
    ] {
        let module = format!(
            "(module (import \"wasi_snapshot_preview1\" \"{name}\" (func {ty})) (func (export \"_start\")))"
        );
        let error = run_command(&wat(&module), &[], b"").unwrap_err();
        assert!(error.symbol().unwrap().ends_with(name), "{error}");
    }
}

#[test]
fn memory_beyond_the_limit_cannot_be_had() {
    let huge = wat("(module (memory 65536))");
    assert!(Engine::new().instantiate(&huge, &Imports::new()).is_err());
    let grows = wat(
        "(module (memory 1) (func (export \"f\") (result i32) (memory.grow (i32.const 60000))))",
    );
    let mut instance = Engine::new().instantiate(&grows, &Imports::new()).unwrap();
    assert_eq!(instance.call("f", &[]), Ok(vec![Value::I32(-1)]));
}

/// A called function and what came of it.
type Called = (String, Result<Vec<Value>, Trap>);

/// Everything that can be seen of a module whose imports are stubs.
fn observe(wasm: &[u8]) -> Result<Vec<Called>, String> {
    let imports = Imports::new().stubs();
    let engine = Engine::with_fuel(50_000);
    let mut instance = engine
        .instantiate(wasm, &imports)
        .map_err(|error| error.to_string())?;
    let names = instance.functions();
    let call = |name: String| {
        let arguments = instance.arguments(&name).expect("it is exported");
        let result = instance.call(&name, &arguments);
        (name, result)
    };
    Ok(names.into_iter().map(call).collect())
}

/// Random modules end, neither panic nor loop, and do the same when run again.
#[test]
fn random_modules_end_and_repeat_themselves() {
    let config = wasm_smith::Config {
        gc_enabled: false,
        exceptions_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        compact_imports_enabled: false,
        export_everything: true,
        min_types: 2,
        min_funcs: 3,
        max_memories: 2,
        max_memory32_bytes: 1 << 20,
        max_memory64_bytes: 1 << 20,
        ..wasm_smith::Config::default()
    };
    // How many modules had a call that returned: a property of modules that all fail to start would say nothing.
    let returned = Cell::new(0);
    let seeds = prop::collection::vec(any::<u8>(), 1024..16384);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 200,
        ..ProptestConfig::default()
    });
    let result = runner.run(&seeds, |seed| {
        let module = wasm_smith::Module::new(config.clone(), &mut Unstructured::new(&seed));
        let Ok(module) = module else { return Ok(()) };
        let wasm = module.to_bytes();
        let seen = observe(&wasm);
        prop_assert_eq!(&seen, &observe(&wasm));
        if seen.is_ok_and(|called| called.iter().any(|(_, result)| result.is_ok())) {
            returned.set(returned.get() + 1);
        }
        Ok(())
    });
    result.unwrap();
    assert!(
        returned.get() >= 20,
        "only {} of 200 modules had a call that returned",
        returned.get()
    );
}

/// The interpreter names its own handles, which are others each time.
#[test]
fn messages_say_the_same_each_time() {
    for text in [
        "(module (table 0 funcref) (func $f) (elem (i32.const 7) func $f))",
        "(module (memory 0) (data (i32.const 7) \"seven\"))",
    ] {
        let wasm = wat::parse_str(text).expect("valid text");
        let errors =
            [observe(&wasm), observe(&wasm)].map(|seen| seen.expect_err("it cannot start"));
        assert_eq!(errors[0], errors[1]);
        assert!(!errors[0].contains("Stor"), "{}", errors[0]);
    }
}
