//! Deltas that are not for the instance that they are given to, and instances that have no room: nothing happens then.

use std::sync::Arc;

use wasm_encoder::Instruction;
use wasmend::engine::Value;
use wasmend::live::{Budget, Live, LiveOptions, Took};
use wasmend::{
    Data, DeclKind, Delta, LiveStep, Module, ModuleOptions, Patch, Redirect, WholeModule,
    WholeOptions,
};

use crate::hosts::{Host, in_each_engine};
use crate::program::{I32, Running, call, constant, memory, start};

in_each_engine!(
    a_memory_that_ends_before_new_data_leaves_the_program_as_it_was,
    a_fresh_store_frees_what_was_taken_in,
    a_program_whose_globals_hold_functions_stays_in_its_store,
    a_delta_that_was_sent_as_bytes_is_the_same_one,
    a_delta_twice_or_out_of_order_or_of_another_program_does_nothing,
    a_delta_refuses_by_itself_what_is_not_for_it,
    a_damaged_delta_is_told_from_a_whole_one,
    a_table_that_cannot_grow_leaves_the_program_as_it_was,
    a_function_that_runs_finishes_as_it_was_and_is_new_at_its_next_call,
    three_thousand_deltas_take_bounded_memory_and_keep_the_state,
);

fn delta(patch: &Patch) -> Arc<Delta> {
    match &patch.live {
        Some(LiveStep::Delta { delta, .. }) => delta.clone(),
        live => panic!("no delta: {live:?}"),
    }
}

/// A program whose `get` returns a number, and the deltas that make it return the next ones.
fn numbered<H: Host>(count: i32) -> (Running<H>, Vec<Arc<Delta>>) {
    let mut running = Running::<H>::new(Redirect::Table);
    let get = running.function("get", &[], |body| constant(body, 0));
    running.module.export("get", get).unwrap();
    running.commit();
    let deltas = (1..=count).map(|number| {
        running.function("get", &[], |body| constant(body, number));
        delta(&running.module.commit().unwrap())
    });
    let deltas = deltas.collect();
    (running, deltas)
}

fn a_delta_that_was_sent_as_bytes_is_the_same_one<H: Host>() {
    let (mut running, deltas) = numbered::<H>(3);
    for (delta, number) in deltas.iter().zip(1..) {
        let read = Delta::read(&delta.bytes).unwrap();
        assert_eq!((read.from, read.to), (delta.from, delta.to));
        assert_eq!((read.functions, read.data_bytes), (1, delta.data_bytes));
        assert_eq!(read.function_bytes, delta.function_bytes);
        running.live().apply(&read).unwrap();
        assert_eq!(running.call("get", &[]), number);
        let half = &delta.bytes[..delta.bytes.len() / 2];
        assert!(Delta::read(half).is_err() && Delta::read(b"").is_err());
    }
}

fn a_delta_twice_or_out_of_order_or_of_another_program_does_nothing<H: Host>() {
    let (mut running, deltas) = numbered::<H>(3);
    let error = running.live().apply(&deltas[1]).unwrap_err();
    assert!(error.message().contains("another version"), "{error}");
    assert!(error.hint().unwrap().contains("in their order"), "{error}");
    running.live().apply(&deltas[0]).unwrap();
    let error = running.live().apply(&deltas[0]).unwrap_err();
    assert!(error.message().contains("already"), "{error}");
    assert!(error.hint().unwrap().contains("nothing"), "{error}");
    assert_eq!(running.call("get", &[]), 1);

    // The same program with the same history would be the same; this one begins otherwise.
    let mut other = Running::<H>::new(Redirect::Table);
    other.function("get", &[], |body| constant(body, 500));
    other.commit();
    other.function("get", &[], |body| constant(body, 501));
    let stranger = delta(&other.module.commit().unwrap());
    assert!(running.live().apply(&stranger).is_err());
    assert_eq!(running.call("get", &[]), 1);
    running.live().apply(&deltas[1]).unwrap();
    running.live().apply(&deltas[2]).unwrap();
    assert_eq!(running.call("get", &[]), 3);
}

fn a_delta_refuses_by_itself_what_is_not_for_it<H: Host>() {
    // As a host does that looks at nothing: what the routines return.
    let (mut running, deltas) = numbered::<H>(2);
    let given = running.live().all_given().collect();
    let mut codes = Vec::new();
    for at in [1, 0, 0, 1] {
        let runtime = running.live().runtime();
        let made = runtime
            .instantiate(&deltas[at].bytes, "__wasmend", &given)
            .unwrap();
        for routine in ["prepare", "apply"] {
            codes.push(runtime.call(&made[routine], &[]).unwrap().unwrap());
        }
    }
    assert_eq!(codes, [2, 2, 0, 0, 1, 1, 0, 0]);
    assert_eq!(running.call("get", &[]), 2);
}

fn a_damaged_delta_is_told_from_a_whole_one<H: Host>() {
    let (mut running, deltas) = numbered::<H>(1);
    let whole = &deltas[0];
    for len in 0..whole.bytes.len() {
        let mut cut = (**whole).clone();
        cut.bytes = Arc::from(&whole.bytes[..len]);
        let error = running.live().apply(&cut).unwrap_err();
        assert!(error.message().contains("damaged"), "{len} bytes: {error}");
        assert!(error.hint().unwrap().contains("once more"), "{error}");
    }
    for bit in 0..8 * whole.bytes.len() {
        let mut bytes = whole.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut flipped = (**whole).clone();
        flipped.bytes = Arc::from(bytes);
        let error = running.live().apply(&flipped).unwrap_err();
        assert!(error.message().contains("damaged"), "bit {bit}: {error}");
    }
    assert_eq!(running.call("get", &[]), 0);
    running.live().apply(whole).unwrap();
    assert_eq!(running.call("get", &[]), 1);
}

fn a_table_that_cannot_grow_leaves_the_program_as_it_was<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let get = running.function("get", &[], |body| constant(body, 0));
    running.module.export("get", get).unwrap();
    running.commit();
    let file = running.module.bytes().unwrap();
    let mut live = Live::load(H::limited(10, 1 << 20), &file, LiveOptions::default()).unwrap();
    let mut refused = None;
    for number in 1..30 {
        let key = format!("f{number}");
        let f = running.function(&key, &[], |body| constant(body, number));
        running.function("get", &[], |body| {
            body.call(f, &[], &[I32]);
        });
        let patch = running.module.commit().unwrap();
        if let Err(error) = live.apply(&delta(&patch)) {
            assert!(error.message().contains("table"), "{error}");
            assert!(error.hint().unwrap().contains("more elements"), "{error}");
            refused = Some(number);
            break;
        }
    }
    let refused = refused.expect("the table was full at some time");
    assert_eq!(call(&mut live, "get", &[]), i64::from(refused) - 1);
}

fn a_memory_that_ends_before_new_data_leaves_the_program_as_it_was<H: Host>() {
    let build = |number: i32, data: &str| {
        let text = format!(
            r#"(module (memory (export "memory") 1) {data}
                (func (export "get") (result i32) i32.const {number})
                (func (export "grow") (result i32) (memory.grow (i32.const 1))))"#
        );
        wat::parse_str(text).unwrap()
    };
    let options = WholeOptions {
        live: true,
        ..WholeOptions::default()
    };
    let (mut module, _) = WholeModule::in_memory(options, &build(0, "")).unwrap();
    let mut live = start::<H>(&module.bytes().unwrap());
    let update = module.update(&build(1, r#"(data (i32.const 70000) "far")"#));
    let delta = delta(&update.unwrap().patch);
    let error = live.apply(&delta).unwrap_err();
    assert!(error.message().contains("too small"), "{error}");
    assert!(error.hint().unwrap().contains("larger"), "{error}");
    assert_eq!(call(&mut live, "get", &[]), 0);
    assert_eq!(memory(&mut live).len(), 65536);
    assert_eq!(call(&mut live, "grow", &[]), 1);
    live.apply(&delta).unwrap();
    assert_eq!(call(&mut live, "get", &[]), 1);
    assert_eq!(&memory(&mut live)[70000..70003], b"far");
}

fn a_fresh_store_frees_what_was_taken_in<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let get = running.function("get", &[], |body| constant(body, 0));
    running.module.export("get", get).unwrap();
    running.module.commit().unwrap();
    let file = running.module.bytes().unwrap();
    // Each store holds it for as long as it lives.
    let held = Arc::new(());
    let holds = held.clone();
    let make = move || {
        let mut host = H::new();
        let holds = holds.clone();
        let call = move |_: &mut [u8], _: &[Value]| {
            let _ = &holds;
            Ok(Vec::new())
        };
        host.function(&[], &[], Arc::new(call));
        host
    };
    let options = LiveOptions {
        budget: Some(Budget {
            deltas: 10,
            bytes: 1 << 20,
        }),
        ..LiveOptions::default()
    };
    let mut live = Live::load(H::renewing(make), &file, options).unwrap();
    let first = Arc::strong_count(&held);
    let mut rebased = 0;
    for number in 1..100 {
        running.function("get", &[], |body| constant(body, number));
        let patch = running.module.commit().unwrap();
        let module = &running.module;
        let done = live.take(patch.live.as_ref(), || module.bytes()).unwrap();
        rebased += usize::from(done.took == Took::Rebased);
        assert_eq!(call(&mut live, "get", &[]), i64::from(number));
        assert_eq!(Arc::strong_count(&held), first, "there is one store");
    }
    assert_eq!(rebased, 9);
    live.restart(&running.module.bytes().unwrap()).unwrap();
    assert_eq!(Arc::strong_count(&held), first);
    assert_eq!(call(&mut live, "get", &[]), 99);
}

fn a_program_whose_globals_hold_functions_stays_in_its_store<H: Host>() {
    let text = r#"(module (type $t (func (result i32))) (table $t 1 funcref) (global $g (mut funcref) (ref.null func))
        (elem declare func $f)
        (func $f (result i32) i32.const 7)
        (func (export "set") (result i32) (global.set $g (ref.func $f)) i32.const 0)
        (func (export "get") (result i32)
            (table.set $t (i32.const 0) (global.get $g)) (call_indirect $t (type $t) (i32.const 0))))"#;
    let options = WholeOptions {
        live: true,
        ..WholeOptions::default()
    };
    let (module, _) = WholeModule::in_memory(options, &wat::parse_str(text).unwrap()).unwrap();
    let file = module.bytes().unwrap();
    let mut live = Live::load(H::renewing(H::new), &file, LiveOptions::default()).unwrap();
    call(&mut live, "set", &[]);
    assert_eq!(call(&mut live, "get", &[]), 7);
    assert_eq!(live.rebase(&file).unwrap().took, Took::Rebased);
    assert_eq!(call(&mut live, "get", &[]), 7);
}

fn a_function_that_runs_finishes_as_it_was_and_is_new_at_its_next_call<H: Host>() {
    let mut module = Module::in_memory(ModuleOptions {
        live: true,
        ..ModuleOptions::default()
    })
    .unwrap();
    let host = module.declare(DeclKind::Function, "host").unwrap();
    let ty = wasmend::ImportType::Function(vec![], vec![]);
    module.define_import(host, "env", "host", &ty).unwrap();
    let f = module.declare(DeclKind::Function, "f").unwrap();
    let define = |module: &mut Module, number: i32| {
        let mut body = wasmend::FunctionBuilder::new(module.body_style(), &[], &[I32]);
        body.call_direct(host);
        constant(&mut body, number);
        module.define_function(f, body.finish().unwrap()).unwrap();
    };
    define(&mut module, 1);
    module.export("f", f).unwrap();
    module.commit().unwrap();
    let file = module.bytes().unwrap();
    define(&mut module, 2);
    let delta = delta(&module.commit().unwrap());

    // The host takes in the delta while `f` is being called.
    assert_eq!(H::apply_within(&file, &delta), [1, 2].map(Value::I32));
}

fn three_thousand_deltas_take_bounded_memory_and_keep_the_state<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let memory = running.memory;
    let counter = running.module.declare(DeclKind::Data, "counter").unwrap();
    let data = Data::new([0; 4], 2);
    running.module.define_data(counter, memory, data).unwrap();
    let define = |running: &mut Running<H>, step: i32| {
        running.function("count", &[], |body| {
            constant(body, 0);
            constant(body, 0);
            body.access_data(0x28, 2, counter, 0);
            constant(body, step);
            body.op(&Instruction::I32Add);
            body.access_data(0x36, 2, counter, 0);
            constant(body, 0);
            body.access_data(0x28, 2, counter, 0);
        })
    };
    let count = define(&mut running, 1);
    running.module.export("count", count).unwrap();
    running.module.commit().unwrap();
    let file = running.module.bytes().unwrap();
    let options = LiveOptions {
        budget: Some(Budget {
            deltas: 500,
            bytes: 1 << 20,
        }),
        ..LiveOptions::default()
    };
    let mut live = Live::load(H::renewing(H::new), &file, options).unwrap();
    let (mut sum, mut rebased, mut largest) = (0, 0, 0);
    let first_len = file.len();
    for step in 2..3002 {
        define(&mut running, step);
        let patch = running.module.commit().unwrap();
        largest = largest.max(delta(&patch).bytes.len());
        let module = &running.module;
        let done = live.take(patch.live.as_ref(), || module.bytes()).unwrap();
        rebased += u32::from(done.took == Took::Rebased);
        sum += i64::from(step);
        assert_eq!(call(&mut live, "count", &[]), sum);
    }
    assert!(rebased >= 5, "{rebased}");
    assert!(largest < 650, "{largest} bytes");
    let len = running.module.bytes().unwrap().len();
    assert!(len < 2 * first_len, "{first_len} bytes became {len}");
}
