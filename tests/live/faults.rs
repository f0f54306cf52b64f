//! Deltas that are not for the instance that they are given to, and instances that have no room: nothing happens then.

use std::sync::Arc;

use wasm_encoder::Instruction;
use wasmend::engine::Value;
use wasmend::live::{Budget, Live, LiveOptions, Took};
use wasmend::{Data, DeclKind, Delta, LiveStep, Module, ModuleOptions, Patch, Redirect};

use crate::hosts::{Host, in_each_engine};
use crate::program::{I32, Running, call, constant};

in_each_engine!(
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

fn a_delta_twice_or_out_of_order_or_of_another_program_does_nothing<H: Host>() {
    let (mut running, deltas) = numbered::<H>(3);
    let error = running.live().apply(&deltas[1]).unwrap_err();
    assert!(error.message().contains("another version"), "{error}");
    running.live().apply(&deltas[0]).unwrap();
    let error = running.live().apply(&deltas[0]).unwrap_err();
    assert!(error.message().contains("already"), "{error}");
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
        assert!(running.live().apply(&cut).is_err(), "{len} bytes");
    }
    for bit in 0..8 * whole.bytes.len() {
        let mut bytes = whole.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut flipped = (**whole).clone();
        flipped.bytes = Arc::from(bytes);
        assert!(running.live().apply(&flipped).is_err(), "bit {bit}");
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
            refused = Some(number);
            break;
        }
    }
    let refused = refused.expect("the table was full at some time");
    assert_eq!(call(&mut live, "get", &[]), i64::from(refused) - 1);
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
    let mut live = Live::load(H::new(), &file, options).unwrap();
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
