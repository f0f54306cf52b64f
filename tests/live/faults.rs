//! Deltas that are not for the instance that they are given to, and instances that have no room: nothing happens then.

use std::sync::Arc;

use wasm_encoder::Instruction;
use wasmend::live::{Budget, Live, LiveOptions, Runtime, Took, WasmiRuntime};
use wasmend::{
    ConstExpr, Data, DeclKind, Delta, LiveStep, Module, ModuleOptions, Patch, Redirect, ValType,
};
use wasmi::{Caller, Engine, Extern, Linker, Store, StoreLimits, StoreLimitsBuilder};

use super::program::{I32, Running, constant};

fn delta(patch: &Patch) -> Arc<Delta> {
    match &patch.live {
        Some(LiveStep::Delta { delta, .. }) => delta.clone(),
        live => panic!("no delta: {live:?}"),
    }
}

/// A program whose `get` returns a number, and the deltas that make it return the next ones.
fn numbered(count: i32) -> (Running, Vec<Arc<Delta>>) {
    let mut running = Running::new(Redirect::Table);
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

#[test]
fn a_delta_twice_or_out_of_order_or_of_another_program_does_nothing() {
    let (mut running, deltas) = numbered(3);
    let error = running.live().apply(&deltas[1]).unwrap_err();
    assert!(error.message().contains("another version"), "{error}");
    running.live().apply(&deltas[0]).unwrap();
    let error = running.live().apply(&deltas[0]).unwrap_err();
    assert!(error.message().contains("already"), "{error}");
    assert_eq!(running.call("get", &[]), 1);

    // The same program with the same history would be the same; this one begins otherwise.
    let mut other = Running::new(Redirect::Table);
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

#[test]
fn a_delta_refuses_by_itself_what_is_not_for_it() {
    // As a host does that looks at nothing: what the routines return.
    let (mut running, deltas) = numbered(2);
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

#[test]
fn a_damaged_delta_is_told_from_a_whole_one() {
    let (mut running, deltas) = numbered(1);
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

/// A program in a store with limits.
fn limited(file: &[u8], tables: usize, memory: usize) -> Live<WasmiRuntime<StoreLimits>> {
    let engine = Engine::default();
    let limits = StoreLimitsBuilder::new();
    let limits = limits.table_elements(tables).memory_size(memory).build();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits| limits);
    let linker = Linker::new(&engine);
    let runtime = WasmiRuntime::new(store, linker);
    Live::load(runtime, file, LiveOptions::default()).unwrap()
}

#[test]
fn a_table_that_cannot_grow_leaves_the_program_as_it_was() {
    let mut running = Running::new(Redirect::Table);
    let get = running.function("get", &[], |body| constant(body, 0));
    running.module.export("get", get).unwrap();
    running.commit();
    let file = running.module.bytes().unwrap();
    let mut live = limited(&file, 10, 1 << 20);
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
    let get = live.export("get").unwrap();
    let got = live.runtime().call(&get, &[]).unwrap();
    assert_eq!(got, Some(i64::from(refused) - 1));
}

#[test]
fn a_function_that_runs_finishes_as_it_was_and_is_new_at_its_next_call() {
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
    let engine = Engine::default();
    let mut store = Store::new(&engine, false);
    let mut linker = Linker::<bool>::new(&engine);
    let bytes = delta.bytes.clone();
    let epoch = Delta::epoch(&delta.from);
    let reload = move |mut caller: Caller<'_, bool>| {
        if std::mem::replace(caller.data_mut(), true) {
            return;
        }
        let table = caller.get_export("__wasmend_table").unwrap();
        let epoch = wasmi::Global::new(&mut caller, wasmi::Val::I64(epoch), wasmi::Mutability::Var);
        let module = wasmi::Module::new(caller.engine(), &*bytes).unwrap();
        let host = wasmi::Func::wrap(&mut caller, || ());
        let given: Vec<Extern> = module
            .imports()
            .map(|import| match import.name() {
                "__wasmend_table" => table,
                "epoch" => epoch.into(),
                "host" => host.into(),
                name => panic!("{name}"),
            })
            .collect();
        let made = wasmi::Instance::new(&mut caller, &module, &given).unwrap();
        let apply = made.get_typed_func::<(), i32>(&caller, "apply").unwrap();
        assert_eq!(apply.call(&mut caller, ()).unwrap(), 0);
    };
    linker.func_wrap("env", "host", reload).unwrap();
    let module = wasmi::Module::new(&engine, &*file).unwrap();
    let instance = linker.instantiate_and_start(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), i32>(&store, "f").unwrap();
    assert_eq!(f.call(&mut store, ()).unwrap(), 1);
    assert_eq!(f.call(&mut store, ()).unwrap(), 2);
}

#[test]
fn three_thousand_deltas_take_bounded_memory_and_keep_the_state() {
    let mut running = Running::new(Redirect::Table);
    let memory = running.memory;
    let counter = running.module.declare(DeclKind::Data, "counter").unwrap();
    let data = Data::new([0; 4], 2);
    running.module.define_data(counter, memory, data).unwrap();
    let define = |running: &mut Running, step: i32| {
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
    let engine = Engine::default();
    let runtime = WasmiRuntime::new(Store::new(&engine, ()), Linker::new(&engine));
    let options = LiveOptions {
        budget: Some(Budget {
            deltas: 500,
            bytes: 1 << 20,
        }),
        ..LiveOptions::default()
    };
    let mut live = Live::load(runtime, &file, options).unwrap();
    let (mut sum, mut rebased, mut largest) = (0, 0, 0);
    let first_len = file.len();
    for step in 2..3002 {
        define(&mut running, step);
        let patch = running.module.commit().unwrap();
        largest = largest.max(delta(&patch).bytes.len());
        let module = &running.module;
        let done = live.take(patch.live.as_ref(), || module.bytes()).unwrap();
        rebased += u32::from(done.took == Took::Rebased);
        let count = live.export("count").unwrap();
        sum += i64::from(step);
        assert_eq!(live.runtime().call(&count, &[]).unwrap(), Some(sum));
    }
    assert!(rebased >= 5, "{rebased}");
    assert!(largest < 650, "{largest} bytes");
    let len = running.module.bytes().unwrap().len();
    assert!(len < 2 * first_len, "{first_len} bytes became {len}");
}

#[test]
fn a_fresh_instance_has_a_store_of_its_own_if_stores_are_renewed() {
    // Each store holds one, so that those which live can be counted.
    let data = Arc::new(());
    let mut running = Running::new(Redirect::Table);
    let memory = running.memory;
    let counter = running.module.declare(DeclKind::Data, "counter").unwrap();
    let zero = Data::new([0; 4], 2);
    running.module.define_data(counter, memory, zero).unwrap();
    let total = running.module.declare(DeclKind::Global, "total").unwrap();
    running
        .module
        .define_global(total, ValType::F64, true, ConstExpr::F64(0))
        .unwrap();
    let define = |running: &mut Running, step: i32| {
        running.function("count", &[], |body| {
            body.global_get(total)
                .op(&Instruction::F64Const(1.0.into()));
            body.op(&Instruction::F64Add).global_set(total);
            constant(body, 0);
            constant(body, 0);
            body.access_data(0x28, 2, counter, 0);
            constant(body, step);
            body.op(&Instruction::I32Add);
            body.access_data(0x36, 2, counter, 0);
            constant(body, 0);
            body.access_data(0x28, 2, counter, 0);
            body.global_get(total).op(&Instruction::I32TruncF64S);
            body.op(&Instruction::I32Add);
        })
    };
    let count = define(&mut running, 1);
    running.module.export("count", count).unwrap();
    running.module.commit().unwrap();
    let make = |data: &mut Arc<()>| {
        let engine = Engine::default();
        (Store::new(&engine, data.clone()), Linker::new(&engine))
    };
    let runtime = WasmiRuntime::renewed(Arc::new(make), &mut data.clone());
    let budget = Budget {
        deltas: 10,
        bytes: 1 << 20,
    };
    let options = LiveOptions {
        budget: Some(budget),
        ..LiveOptions::default()
    };
    let mut live = Live::load(runtime, &running.module.bytes().unwrap(), options).unwrap();
    let (mut sum, mut calls) = (0, 0);
    for step in 2..100 {
        define(&mut running, step);
        let patch = running.module.commit().unwrap();
        let module = &running.module;
        live.take(patch.live.as_ref(), || module.bytes()).unwrap();
        assert_eq!(Arc::strong_count(&data), 2, "one store lives");
        let count = live.export("count").unwrap();
        (sum, calls) = (sum + i64::from(step), calls + 1);
        assert_eq!(live.runtime().call(&count, &[]).unwrap(), Some(sum + calls));
    }
    // A file that cannot be loaded changes nothing.
    assert!(live.restart(b"no module").is_err());
    let count = live.export("count").unwrap();
    assert_eq!(
        live.runtime().call(&count, &[]).unwrap(),
        Some(sum + 99 + calls + 1)
    );
    let file = running.module.bytes().unwrap();
    live.restart(&file).unwrap();
    assert_eq!(Arc::strong_count(&data), 2);
    let count = live.export("count").unwrap();
    assert_eq!(live.runtime().call(&count, &[]).unwrap(), Some(99 + 1));
}
