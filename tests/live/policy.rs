//! The decision table of `design/live-policy.md`, a test for each of its rows.

use std::sync::Arc;

use wasm_encoder::Instruction;
use wasmend::engine::Value;
use wasmend::live::{Live, LiveOptions, Took};
use wasmend::{
    ConstExpr, Data, DeclKind, FunctionBuilder, ImportType, LiveStep, MemoryType, Patch, Redirect,
    RefType, RefusalReason, TableType, ValType, WholeModule, WholeOptions,
};

use crate::hosts::{Host, Kind, in_each_engine};
use crate::program::{I32, Running, call, constant};

in_each_engine!(
    a_function_of_the_host_that_got_a_body_is_edited_as_others_are,
    functions_of_the_host_find_the_memory_of_whoever_calls_them,
    a_signature_changes_if_whoever_calls_it_changes_too,
    a_signature_changes_though_a_caller_has_left_code_behind,
    a_global_that_is_a_floating_point_number_gets_its_new_first_value_too,
    a_signature_does_not_change_while_somebody_may_hold_the_address,
    an_exported_function_keeps_its_signature,
    functions_come_and_go_and_change_places,
    a_new_import_is_the_hosts_to_give,
    constants_are_replaced_and_may_move,
    a_changed_first_value_is_applied_only_where_memory_still_has_the_old_one,
    data_that_the_program_may_have_changed_keeps_its_layout,
    new_statics_begin_with_their_values_and_keep_them,
    data_beyond_the_reserve_is_refused,
    a_memory_or_a_table_that_changes_is_refused,
    another_start_function_is_refused_and_another_body_of_it_is_not,
    globals_are_new_or_change_where_nobody_has_changed_them,
    the_values_of_a_tag_do_not_change,
    an_export_that_is_new_is_there_in_the_next_instance,
    what_is_asked_to_be_laid_out_anew_is_refused_if_it_moves,
    an_import_whose_address_is_taken_for_the_first_time_gets_its_slot_in_the_instance_too,
);

/// The reasons for which a commit was refused.
fn refused(patch: &Patch) -> Vec<RefusalReason> {
    match &patch.live {
        Some(LiveStep::Refused(refusals)) => refusals.iter().map(|it| it.reason).collect(),
        live => panic!("not refused: {live:?}"),
    }
}

#[test]
fn a_function_of_the_host_that_is_exported_does_not_become_another() {
    for (is_exported, gets_body) in [(true, true), (true, false), (false, true), (false, false)] {
        let options = wasmend::ModuleOptions {
            live: true,
            ..wasmend::ModuleOptions::default()
        };
        let mut module = wasmend::Module::in_memory(options).unwrap();
        let host = module.declare(DeclKind::Function, "host").unwrap();
        let ty = ImportType::Function(vec![], vec![I32]);
        module.define_import(host, "env", "host", &ty).unwrap();
        let f = module.declare(DeclKind::Function, "f").unwrap();
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[I32]);
        body.call_direct(host);
        module.define_function(f, body.finish().unwrap()).unwrap();
        if is_exported {
            module.export("host", host).unwrap();
        }
        module.commit().unwrap();
        match gets_body {
            true => {
                let mut body = FunctionBuilder::new(module.body_style(), &[], &[I32]);
                constant(&mut body, 5);
                let body = body.finish().unwrap();
                module.define_function(host, body).unwrap();
            }
            false => module.define_import(host, "env", "other", &ty).unwrap(),
        }
        let patch = module.commit().unwrap();
        match is_exported {
            true => assert_eq!(refused(&patch), [RefusalReason::Import]),
            false => assert!(matches!(patch.live, Some(LiveStep::Delta { .. }))),
        }
    }
}

#[test]
fn what_is_new_in_a_layout_that_was_asked_for_is_refused() {
    // It would stand where something else has stood, which the instance still has.
    let mut module = wasmend::Module::in_memory(wasmend::ModuleOptions {
        live: true,
        undo: true,
        ..wasmend::ModuleOptions::default()
    })
    .unwrap();
    let memory = module.declare(DeclKind::Memory, "memory").unwrap();
    let ty = MemoryType {
        minimum: 2,
        maximum: None,
        shared: false,
        is_64: false,
    };
    module.define_memory(memory, ty).unwrap();
    module.reserve_data(memory, 1024..32768).unwrap();
    let gone = module.declare(DeclKind::Data, "gone").unwrap();
    let data = Data::new([1; 8], 2);
    module.define_data(gone, memory, data).unwrap();
    module.commit().unwrap();
    module.remove(gone).unwrap();
    module.request_relink();
    let new = module.declare(DeclKind::Data, "new").unwrap();
    module.define_data(new, memory, Data::zero(8, 2)).unwrap();
    let patch = module.commit().unwrap();
    assert_eq!(refused(&patch), [RefusalReason::Moved]);
}

fn a_function_of_the_host_that_got_a_body_is_edited_as_others_are<H: Host>() {
    for redirect in [Redirect::Table, Redirect::TableThunks] {
        let mut running = Running::<H>::new(redirect);
        let f = running.id("f");
        let ty = ImportType::Function(vec![], vec![I32]);
        let module = &mut running.module;
        module.define_import(f, "env", "f", &ty).unwrap();
        module.export("f", f).unwrap();
        module.commit().unwrap();
        running.function("f", &[], |body| constant(body, 1));
        assert_eq!(refused(&running.commit().0), [RefusalReason::Import]);
        assert_eq!(running.call("f", &[]), 1);
        running.function("f", &[], |body| constant(body, 2));
        let (_, reloaded) = running.commit();
        assert_eq!(reloaded.unwrap().took, Took::Delta);
        assert_eq!(running.call("f", &[]), 2, "{redirect:?}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    for reason in RefusalReason::ALL {
        let symbol = "it".to_owned();
        let text = wasmend::Refusal { reason, symbol }.to_string();
        let begins = format!("L{:02} {}: `it` ", reason.number(), reason.name());
        assert!(text.starts_with(&begins), "{text}");
        assert!(text.contains("(restart it"), "{text}");
    }
}

#[test]
fn a_function_that_cannot_be_called_through_the_table_is_refused() {
    let build = |number: i32| {
        let text = format!(
            r#"(module (type $t (shared (func (result i32))))
                (func $f (type $t) i32.const {number})
                (func (export "f") (result i32) call $f))"#
        );
        wat::parse_str(text).unwrap()
    };
    let options = WholeOptions {
        live: true,
        ..WholeOptions::default()
    };
    let (mut module, _) = WholeModule::in_memory(options, &build(1)).unwrap();
    let patch = module.update(&build(2)).unwrap().patch;
    assert_eq!(refused(&patch), [RefusalReason::NoSlot]);
}

#[test]
fn changed_code_that_names_a_segment_of_the_program_is_refused() {
    let build = |number: i32| {
        let text = format!(
            r#"(module (memory 1) (data $d "text")
                (func (export "f") (result i32)
                    (memory.init $d (i32.const {number}) (i32.const 0) (i32.const 4)) i32.const 0))"#
        );
        wat::parse_str(text).unwrap()
    };
    let options = WholeOptions {
        live: true,
        ..WholeOptions::default()
    };
    let (mut module, _) = WholeModule::in_memory(options, &build(1)).unwrap();
    let patch = module.update(&build(2)).unwrap().patch;
    assert_eq!(refused(&patch), [RefusalReason::Segment]);
}

/// A running program with a function `get` that loads from `value`.
fn with_value<H: Host>(data: Data) -> Running<H> {
    let mut running = Running::<H>::new(Redirect::Table);
    define_value(&mut running, data);
    let value = running.module.lookup("value").unwrap();
    let get = running.function("get", &[], |body| {
        constant(body, 0);
        body.access_data(0x28, 2, value, 0);
    });
    running.module.export("get", get).unwrap();
    running.commit();
    running
}

fn define_value<H: Host>(running: &mut Running<H>, data: Data) {
    let memory = running.memory;
    let value = match running.module.lookup("value") {
        Some(value) => value,
        None => running.module.declare(DeclKind::Data, "value").unwrap(),
    };
    running.module.define_data(value, memory, data).unwrap();
}

fn a_signature_changes_if_whoever_calls_it_changes_too<H: Host>() {
    for redirect in [Redirect::Table, Redirect::TableThunks] {
        let mut running = Running::<H>::new(redirect);
        let inner = running.function("inner", &[], |body| constant(body, 3));
        let outer = running.function("outer", &[], |body| {
            body.call(inner, &[], &[I32]);
        });
        running.module.export("outer", outer).unwrap();
        running.commit();
        running.function("inner", &[I32], |body| {
            body.op(&Instruction::LocalGet(0));
        });
        running.function("outer", &[], |body| {
            constant(body, 8);
            body.call(inner, &[I32], &[I32]);
        });
        let (_, reloaded) = running.commit();
        assert_eq!(reloaded.unwrap().took, Took::Delta);
        assert_eq!(running.call("outer", &[]), 8);
    }
}

fn a_signature_changes_though_a_caller_has_left_code_behind<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let inner = running.function("inner", &[], |body| constant(body, 3));
    let outer = |running: &mut Running<H>, calls: usize, argument: Option<i32>| {
        running.function("outer", &[], |body| {
            constant(body, 0);
            for _ in 0..calls {
                argument.iter().for_each(|value| constant(body, *value));
                let params = vec![I32; argument.iter().count()];
                body.call(inner, &params, &[I32]).op(&Instruction::I32Add);
            }
        })
    };
    let id = outer(&mut running, 1, None);
    running.module.export("outer", id).unwrap();
    running.commit();
    // It grows out of its place.
    outer(&mut running, 40, None);
    let (patch, _) = running.commit();
    assert_eq!(patch.moved.bodies_moved, 1);
    assert_eq!(running.call("outer", &[]), 120);
    running.function("inner", &[I32], |body| {
        body.op(&Instruction::LocalGet(0));
    });
    outer(&mut running, 2, Some(8));
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().took, Took::Delta);
    assert_eq!(running.call("outer", &[]), 16);
}

fn a_signature_does_not_change_while_somebody_may_hold_the_address<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let inner = running.function("inner", &[], |body| constant(body, 3));
    let memory = running.memory;
    let pointer = running.module.declare(DeclKind::Data, "pointer").unwrap();
    let data = Data::new([0; 4], 2).with_function(0, inner);
    running.module.define_data(pointer, memory, data).unwrap();
    running.commit();
    running.function("inner", &[I32], |body| constant(body, 4));
    let (patch, _) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Signature]);
}

fn an_exported_function_keeps_its_signature<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let f = running.function("f", &[], |body| constant(body, 3));
    running.module.export("f", f).unwrap();
    running.commit();
    running.function("f", &[I32], |body| constant(body, 4));
    let (patch, reloaded) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Signature]);
    assert!(matches!(reloaded.unwrap().took, Took::Restarted(_)));
    assert_eq!(running.call("f", &[1]), 4);
}

fn functions_come_and_go_and_change_places<H: Host>() {
    let mut running = Running::<H>::new(Redirect::TableThunks);
    let one = running.function("one", &[], |body| constant(body, 1));
    let main = running.function("main", &[], |body| {
        body.call(one, &[], &[I32]);
    });
    running.module.export("main", main).unwrap();
    running.commit();
    let two = running.function("two", &[], |body| constant(body, 2));
    running.function("main", &[], |body| {
        body.call(two, &[], &[I32]);
    });
    running.module.remove(one).unwrap();
    let (patch, _) = running.commit();
    assert!(matches!(patch.live, Some(LiveStep::Delta { .. })));
    assert_eq!(running.call("main", &[]), 2);
    running.live().undo().unwrap();
    assert_eq!(running.call("main", &[]), 1);
}

fn a_new_import_is_the_hosts_to_give<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let main = running.function("main", &[], |body| constant(body, 1));
    running.module.export("main", main).unwrap();
    running.commit();
    let host = running.module.declare(DeclKind::Function, "host").unwrap();
    let ty = ImportType::Function(vec![], vec![I32]);
    running
        .module
        .define_import(host, "env", "host", &ty)
        .unwrap();
    running.function("main", &[], |body| {
        body.call_direct(host);
    });
    let patch = running.module.commit().unwrap();
    let take = |running: &mut Running<H>| {
        let live = patch.live.clone();
        running
            .live()
            .take(live.as_ref(), || unreachable!("it is a delta"))
    };
    let error = take(&mut running).unwrap_err();
    assert!(error.to_string().contains("host"), "{error}");
    assert_eq!(running.call("main", &[]), 1, "it goes on as it was");
    let runtime = running.live().runtime();
    let host = runtime.function(&[], &[Kind::I32], Arc::new(|_, _| Ok(vec![Value::I32(77)])));
    runtime.give("env", "host", host);
    take(&mut running).unwrap();
    assert_eq!(running.call("main", &[]), 77);
}

fn constants_are_replaced_and_may_move<H: Host>() {
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0], 2).constant());
    define_value(&mut running, Data::new([2, 0, 0, 0], 2).constant());
    running.commit();
    assert_eq!(running.call("get", &[]), 2);
    // It outgrows its place, so that code which names it changes too.
    let mut long = vec![0; 500];
    long[0] = 3;
    define_value(&mut running, Data::new(long, 2).constant());
    let (patch, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().took, Took::Delta, "{:?}", patch.live);
    assert_eq!(running.call("get", &[]), 3);
    running.live().undo().unwrap();
    assert_eq!(running.call("get", &[]), 2);
}

fn a_changed_first_value_is_applied_only_where_memory_still_has_the_old_one<H: Host>() {
    // Two values of four bytes; the program changes the first.
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0, 5, 0, 0, 0], 2));
    let value = running.module.lookup("value").unwrap();
    let set = running.function("set", &[], |body| {
        constant(body, 0);
        constant(body, 9);
        body.access_data(0x36, 2, value, 0);
        constant(body, 0);
        body.access_data(0x28, 2, value, 4);
    });
    running.module.export("set", set).unwrap();
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().took, Took::Delta);
    // The export is there in a fresh instance only.
    let file = running.module.bytes().unwrap();
    running.live().rebase(&file).unwrap();
    assert_eq!(running.call("set", &[]), 5);

    define_value(&mut running, Data::new([1, 0, 0, 0, 6, 0, 0, 0], 2));
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().kept, [""; 0]);
    assert_eq!(running.call("get", &[]), 9);
    assert_eq!(running.call("set", &[]), 6);

    define_value(&mut running, Data::new([2, 0, 0, 0, 6, 0, 0, 0], 2));
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().kept, ["value"]);
    assert_eq!(running.call("get", &[]), 9);
}

fn data_that_the_program_may_have_changed_keeps_its_layout<H: Host>() {
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0], 2));
    define_value(&mut running, Data::new([1, 0, 0, 0, 0, 0, 0, 0], 2));
    let (patch, reloaded) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::DataLayout]);
    assert!(matches!(reloaded.unwrap().took, Took::Restarted(_)));
}

fn new_statics_begin_with_their_values_and_keep_them<H: Host>() {
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0], 2));
    let memory = running.memory;
    let more = running.module.declare(DeclKind::Data, "more").unwrap();
    let data = Data::new([40, 0, 0, 0], 2);
    running.module.define_data(more, memory, data).unwrap();
    let zero = running.module.declare(DeclKind::Data, "zero").unwrap();
    let data = Data::zero(4, 2);
    running.module.define_data(zero, memory, data).unwrap();
    let count = |body: &mut FunctionBuilder, step: i32| {
        for data in [more, zero] {
            constant(body, 0);
            constant(body, 0);
            body.access_data(0x28, 2, data, 0);
            constant(body, step);
            body.op(&Instruction::I32Add);
            body.access_data(0x36, 2, data, 0);
        }
        constant(body, 0);
        body.access_data(0x28, 2, more, 0);
        constant(body, 0);
        body.access_data(0x28, 2, zero, 0);
        body.op(&Instruction::I32Add);
    };
    running.function("get", &[], |body| count(body, 1));
    running.commit();
    assert_eq!(running.call("get", &[]), 42);
    running.function("get", &[], |body| count(body, 10));
    running.commit();
    assert_eq!(running.call("get", &[]), 62);
}

fn data_beyond_the_reserve_is_refused<H: Host>() {
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0], 2));
    let memory = running.memory;
    // What is there could be packed better, or there is room for it nowhere.
    for (key, size) in [("one", 16_000), ("two", 15_000)] {
        let data = running.module.declare(DeclKind::Data, key).unwrap();
        let bytes = Data::new(vec![1; size], 0).constant();
        running.module.define_data(data, memory, bytes).unwrap();
        running.commit();
    }
    let one = running.module.lookup("one").unwrap();
    let bytes = Data::new(vec![1; 16_500], 0).constant();
    running.module.define_data(one, memory, bytes).unwrap();
    let (patch, _) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Reserve]);
    assert_eq!(running.call("get", &[]), 1);
}

fn a_memory_or_a_table_that_changes_is_refused<H: Host>() {
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0], 2));
    let ty = MemoryType {
        minimum: 3,
        maximum: None,
        shared: false,
        is_64: false,
    };
    running.module.define_memory(running.memory, ty).unwrap();
    let (patch, _) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Memory]);
    let table = running.module.declare(DeclKind::Table, "table").unwrap();
    let ty = TableType {
        element: RefType::FUNCREF,
        minimum: 3,
        maximum: None,
        is_64: false,
    };
    running.module.define_table(table, ty).unwrap();
    let (patch, _) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Table]);
}

fn another_start_function_is_refused_and_another_body_of_it_is_not<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let start = running.module.declare(DeclKind::Function, "start").unwrap();
    let define = |running: &mut Running<H>, count: usize| {
        let mut body = FunctionBuilder::new(running.module.body_style(), &[], &[]);
        for _ in 0..count {
            body.op(&Instruction::Nop);
        }
        let body = body.finish().unwrap();
        running.module.define_function(start, body).unwrap();
    };
    define(&mut running, 1);
    running.commit();
    running.module.set_start(Some(start)).unwrap();
    let (patch, _) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Start]);
    define(&mut running, 2);
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().took, Took::Delta);
}

fn a_global_that_is_a_floating_point_number_gets_its_new_first_value_too<H: Host>() {
    let whole = |ty, bits: u64| match ty {
        ValType::F32 => ConstExpr::F32(bits as u32),
        _ => ConstExpr::F64(bits),
    };
    for (ty, to_bits, nan) in [
        (ValType::F32, Instruction::I32ReinterpretF32, 0x7fc0_0001),
        (
            ValType::F64,
            Instruction::I64ReinterpretF64,
            0x7ff8_0000_0000_0001,
        ),
    ] {
        let mut running = Running::<H>::new(Redirect::Table);
        let value = running.module.declare(DeclKind::Global, "value").unwrap();
        let define = |running: &mut Running<H>, bits| {
            let module = &mut running.module;
            module
                .define_global(value, ty, true, whole(ty, bits))
                .unwrap();
        };
        define(&mut running, nan);
        let get = running.function("get", &[], |body| {
            body.global_get(value).op(&to_bits);
            if ty == ValType::F64 {
                body.op(&Instruction::I32WrapI64);
            }
        });
        running.function("set", &[], |body| {
            constant(body, 7);
            body.op(&match ty {
                ValType::F32 => Instruction::F32ReinterpretI32,
                _ => Instruction::F64ConvertI32S,
            });
            body.global_set(value);
            constant(body, 0);
        });
        let set = running.id("set");
        running.module.export("get", get).unwrap();
        running.module.export("set", set).unwrap();
        running.commit();
        // No number equals itself less than this one; it is as it was all the same.
        define(&mut running, 5);
        let (_, reloaded) = running.commit();
        assert_eq!(reloaded.unwrap().kept, [""; 0], "{ty:?}");
        assert_eq!(running.call("get", &[]), 5, "{ty:?}");
        running.call("set", &[]);
        let set_to = running.call("get", &[]);
        define(&mut running, 6);
        let (_, reloaded) = running.commit();
        assert_eq!(reloaded.unwrap().kept, ["value"], "{ty:?}");
        assert_eq!(running.call("get", &[]), set_to, "{ty:?}");
    }
}

fn globals_are_new_or_change_where_nobody_has_changed_them<H: Host>() {
    let mut running = Running::<H>::new(Redirect::TableThunks);
    let counter = running.module.declare(DeclKind::Global, "counter").unwrap();
    let value = ConstExpr::I32(5);
    running
        .module
        .define_global(counter, I32, true, value)
        .unwrap();
    let fixed = running.module.declare(DeclKind::Global, "fixed").unwrap();
    let value = ConstExpr::I32(100);
    running
        .module
        .define_global(fixed, I32, false, value)
        .unwrap();
    let sum = running.function("sum", &[], |body| {
        body.global_get(counter).global_get(fixed);
        body.op(&Instruction::I32Add);
    });
    let set = running.function("set", &[], |body| {
        constant(body, 7);
        body.global_set(counter).global_get(counter);
    });
    running.module.export("sum", sum).unwrap();
    running.module.export("set", set).unwrap();
    running.commit();
    // A constant is baked into what uses it, which is therefore made anew.
    let value = ConstExpr::I32(200);
    running
        .module
        .define_global(fixed, I32, false, value)
        .unwrap();
    let value = ConstExpr::I32(6);
    running
        .module
        .define_global(counter, I32, true, value)
        .unwrap();
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().kept, [""; 0]);
    assert_eq!(running.call("sum", &[]), 206);
    running.call("set", &[]);
    let value = ConstExpr::I32(8);
    running
        .module
        .define_global(counter, I32, true, value)
        .unwrap();
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().kept, ["counter"]);
    assert_eq!(running.call("sum", &[]), 207);
    // One that is new is there for later deltas too.
    let new = running.module.declare(DeclKind::Global, "new").unwrap();
    let value = ConstExpr::I32(1000);
    running.module.define_global(new, I32, true, value).unwrap();
    running.function("sum", &[], |body| {
        body.global_get(new);
    });
    running.commit();
    running.function("set", &[], |body| {
        constant(body, 2000);
        body.global_set(new).global_get(new);
    });
    running.commit();
    running.call("set", &[]);
    assert_eq!(running.call("sum", &[]), 2000);
    // Its type does not change.
    let value = ConstExpr::I64(1);
    running
        .module
        .define_global(new, ValType::I64, true, value)
        .unwrap();
    for name in ["sum", "set"] {
        running.function(name, &[], |body| constant(body, 1));
    }
    let (patch, _) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Global]);
}

fn the_values_of_a_tag_do_not_change<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let tag = running.module.declare(DeclKind::Tag, "tag").unwrap();
    running.module.define_tag(tag, &[I32]).unwrap();
    let first = running.module.commit().unwrap();
    assert!(first.live.is_none());
    running.module.define_tag(tag, &[I32, I32]).unwrap();
    let patch = running.module.commit().unwrap();
    assert_eq!(refused(&patch), [RefusalReason::Tag]);
    let other = running.module.declare(DeclKind::Tag, "other").unwrap();
    running.module.define_tag(other, &[I32]).unwrap();
    let patch = running.module.commit().unwrap();
    let Some(LiveStep::Delta { delta, .. }) = patch.live else {
        panic!("{:?}", patch.live);
    };
    wasmparser::validate(&delta.bytes).unwrap();
}

fn an_export_that_is_new_is_there_in_the_next_instance<H: Host>() {
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0], 2));
    let more = running.function("more", &[], |body| constant(body, 5));
    running.module.export("more", more).unwrap();
    let (_, reloaded) = running.commit();
    assert_eq!(reloaded.unwrap().took, Took::Delta);
    assert!(running.live().export("more").is_none());
    let file = running.module.bytes().unwrap();
    assert_eq!(running.live().rebase(&file).unwrap().took, Took::Rebased);
    assert_eq!(running.call("more", &[]), 5);
}

fn what_is_asked_to_be_laid_out_anew_is_refused_if_it_moves<H: Host>() {
    let mut running = with_value::<H>(Data::new([1, 0, 0, 0], 2).constant());
    let memory = running.memory;
    let gone = running.module.declare(DeclKind::Data, "gone").unwrap();
    let data = Data::new([1; 64], 2).constant();
    running.module.define_data(gone, memory, data).unwrap();
    running.commit();
    let last = running.module.declare(DeclKind::Data, "last").unwrap();
    let data = Data::new([1; 64], 2).constant();
    running.module.define_data(last, memory, data).unwrap();
    running.module.remove(gone).unwrap();
    running.commit();
    running.module.request_relink();
    let (patch, reloaded) = running.commit();
    assert_eq!(refused(&patch), [RefusalReason::Moved]);
    assert!(matches!(reloaded.unwrap().took, Took::Restarted(_)));
}

#[test]
fn numbers_of_reasons_are_never_given_twice() {
    let numbers = RefusalReason::ALL.map(RefusalReason::number);
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    let page = include_str!("../../design/live-policy.md");
    for reason in RefusalReason::ALL {
        let row = format!("| L{:02} | `{}` |", reason.number(), reason.name());
        assert!(page.contains(&row), "{row}");
    }
}

fn functions_of_the_host_find_the_memory_of_whoever_calls_them<H: Host>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let host = running.module.declare(DeclKind::Function, "host").unwrap();
    let ty = ImportType::Function(vec![I32], vec![I32]);
    let module = &mut running.module;
    module.define_import(host, "env", "host", &ty).unwrap();
    let data = running.module.declare(DeclKind::Data, "data").unwrap();
    let bytes = Data::new([11, 22, 33, 44], 2);
    let memory = running.memory;
    running.module.define_data(data, memory, bytes).unwrap();
    let define = |running: &mut Running<H>, offset: i32| {
        running.function("f", &[], |body| {
            body.address_of_data(data, offset).call_direct(host);
        })
    };
    let f = define(&mut running, 0);
    running.module.export("f", f).unwrap();
    running.module.commit().unwrap();
    let file = running.module.bytes().unwrap();
    let mut runtime = H::new();
    let look = |memory: &mut [u8], arguments: &[Value]| match *arguments {
        [Value::I32(at)] => match memory.get(at as usize) {
            Some(byte) => Ok(vec![Value::I32((*byte).into())]),
            None => Err("there is no such memory".to_owned()),
        },
        _ => Err("it takes a number".to_owned()),
    };
    let given = runtime.function(&[Kind::I32], &[Kind::I32], Arc::new(look));
    runtime.give("env", "host", given);
    let mut live = Live::load(runtime, &file, LiveOptions::default()).unwrap();
    assert_eq!(call(&mut live, "f", &[]), 11);
    define(&mut running, 2);
    let patch = running.module.commit().unwrap();
    live.take(patch.live.as_ref(), || unreachable!()).unwrap();
    assert_eq!(call(&mut live, "f", &[]), 33);
}

#[test]
fn direct_calls_cannot_be_patched_while_they_run() {
    let options = wasmend::ModuleOptions {
        redirect: Redirect::Direct,
        live: true,
        ..wasmend::ModuleOptions::default()
    };
    let error = wasmend::Module::in_memory(options).err().unwrap();
    assert!(error.hint().unwrap().contains("TableThunks"), "{error}");
}

fn an_import_whose_address_is_taken_for_the_first_time_gets_its_slot_in_the_instance_too<
    H: Host,
>() {
    let mut running = Running::<H>::new(Redirect::Table);
    let host = running.module.declare(DeclKind::Function, "host").unwrap();
    let ty = ImportType::Function(vec![], vec![I32]);
    let module = &mut running.module;
    module.define_import(host, "env", "host", &ty).unwrap();
    let f = running.function("f", &[], |body| {
        body.call_direct(host);
    });
    running.module.export("f", f).unwrap();
    running.module.commit().unwrap();
    let file = running.module.bytes().unwrap();
    let mut runtime = H::new();
    let given = runtime.function(&[], &[Kind::I32], Arc::new(|_, _| Ok(vec![Value::I32(31)])));
    runtime.give("env", "host", given);
    let mut live = Live::load(runtime, &file, LiveOptions::default()).unwrap();
    running.function("f", &[], |body| {
        body.address_of_function(host).call_indirect(&[], &[I32]);
    });
    let patch = running.module.commit().unwrap();
    live.take(patch.live.as_ref(), || unreachable!()).unwrap();
    assert_eq!(call(&mut live, "f", &[]), 31);
}
