//! Whole modules of any compiler that run while they are rebuilt.

use wasmend::live::{Live, LiveOptions, Took};
use wasmend::{LiveStep, RefusalReason, WholeModule, WholeOptions};

use crate::hosts::{Host, in_each_engine};
use crate::program::{call, start};

in_each_engine!(
    code_and_unchanged_data_of_a_whole_module_are_taken_in,
    data_that_the_program_has_changed_is_not_overwritten,
    hooks_are_called_and_a_restart_keeps_what_the_program_saves,
);

fn build(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn options() -> WholeOptions {
    WholeOptions {
        live: true,
        ..WholeOptions::default()
    }
}

/// A module with a greeting at address 16, a counter at 64, and code that adds `step` to it.
fn program(greeting: &str, step: i32) -> Vec<u8> {
    build(&format!(
        r#"(module (memory (export "memory") 1)
            (data (i32.const 16) "{greeting}")
            (data (i32.const 64) "\05\00\00\00")
            (func $bump (param i32) i32.const 64 (i32.add (i32.load (i32.const 64)) (local.get 0)) i32.store)
            (func (export "count") (result i32) i32.const {step} call $bump (i32.load (i32.const 64)))
            (func (export "greeting") (result i32) (i32.load8_u (i32.const 16)))
            (func (export "spoil") (result i32) (i32.store8 (i32.const 16) (i32.const 1)) i32.const 0))"#
    ))
}

fn code_and_unchanged_data_of_a_whole_module_are_taken_in<H: Host>() {
    let (mut module, _) = WholeModule::in_memory(options(), &program("hello", 1)).unwrap();
    let mut live = start::<H>(&module.bytes().unwrap());
    assert_eq!(call(&mut live, "count", &[]), 6);
    let mut take = |module: &WholeModule, step: Option<&LiveStep>| {
        let took = live.take(step, || module.bytes()).map(|it| it.took);
        (
            took,
            call(&mut live, "count", &[]),
            call(&mut live, "greeting", &[]),
        )
    };
    let update = module.update(&program("hello", 10)).unwrap();
    let (took, count, _) = take(&module, update.patch.live.as_ref());
    assert_eq!((took.unwrap(), count), (Took::Delta, 16));
    let update = module.update(&program("jello", 100)).unwrap();
    let (took, count, greeting) = take(&module, update.patch.live.as_ref());
    assert_eq!(
        (took.unwrap(), count, greeting),
        (Took::Delta, 116, i64::from(b'j'))
    );
}

fn data_that_the_program_has_changed_is_not_overwritten<H: Host>() {
    let (mut module, _) = WholeModule::in_memory(options(), &program("hello", 1)).unwrap();
    let mut live = start::<H>(&module.bytes().unwrap());
    call(&mut live, "spoil", &[]);
    let update = module.update(&program("jello", 10)).unwrap();
    let step = update.patch.live.as_ref();
    let error = live.take(step, || module.bytes()).unwrap_err();
    assert!(error.message().contains("has changed data"), "{error}");
    assert_eq!(call(&mut live, "count", &[]), 6, "it goes on as it was");
    assert_eq!(
        live.restart(&module.bytes().unwrap()).unwrap().took,
        Took::Restarted(vec![])
    );
    assert_eq!(call(&mut live, "count", &[]), 15);
}

#[test]
fn an_element_segment_that_changes_is_refused() {
    let build = |which: &str| {
        build(&format!(
            r#"(module (table 2 funcref) (elem (i32.const 0) ${which} $a)
                (func $a (result i32) i32.const 1) (func $b (result i32) i32.const 2)
                (func (export "f") (result i32) i32.const 0 call_indirect (result i32))
                (func (export "g") (result i32) call $b))"#
        ))
    };
    let (mut module, _) = WholeModule::in_memory(options(), &build("a")).unwrap();
    let update = module.update(&build("b")).unwrap();
    let Some(LiveStep::Refused(refusals)) = update.patch.live else {
        panic!("{:?}", update.patch.live);
    };
    assert_eq!(refusals[0].reason, RefusalReason::Segment);
    assert!(refusals[0].to_string().starts_with("L09 segment: "));
}

fn hooks_are_called_and_a_restart_keeps_what_the_program_saves<H: Host>() {
    let build = |number: i32, table: &str| {
        build(&format!(
            r#"(module (memory (export "memory") 1) {table}
                (func (export "__wasmend_before_reload") (i32.store (i32.const 0) (i32.const 7)))
                (func (export "__wasmend_after_reload")
                    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const {number}))))
                (func (export "__wasmend_save") (result i64) i64.const 0x400000000)
                (func (export "__wasmend_restore") (param i32 i32) (result i32)
                    (if (local.get 1) (then
                        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 32)) (i32.const 1000)))))
                    i32.const 32)
                (func (export "get") (result i32) (i32.load (i32.const 0))))"#
        ))
    };
    let (mut module, _) = WholeModule::in_memory(options(), &build(1, "")).unwrap();
    let file = module.bytes().unwrap();
    let mut live = Live::load(H::new(), &file, LiveOptions::default()).unwrap();
    let update = module.update(&build(20, "")).unwrap();
    live.take(update.patch.live.as_ref(), || module.bytes())
        .unwrap();
    // What is called afterwards is new already.
    assert_eq!(call(&mut live, "get", &[]), 27);
    let update = module.update(&build(20, "(table 3 funcref)")).unwrap();
    let done = live
        .take(update.patch.live.as_ref(), || module.bytes())
        .unwrap();
    assert!(matches!(done.took, Took::Restarted(_)), "{done:?}");
    assert_eq!(call(&mut live, "get", &[]), 1027);
}
