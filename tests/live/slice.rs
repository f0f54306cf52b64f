//! The least there can be: one body changes, and the program that runs has it and its state.

use wasm_encoder::Instruction;
use wasmend::live::Took;
use wasmend::{Data, DeclKind, LiveStep, Redirect};

use crate::hosts::{Host, in_each_engine};
use crate::program::{I32, Running, constant};

in_each_engine!(a_body_changes_while_the_program_runs_and_its_state_stays,);

fn a_body_changes_while_the_program_runs_and_its_state_stays<H: Host>() {
    for redirect in [Redirect::Table, Redirect::TableThunks] {
        let mut running = Running::<H>::new(redirect);
        let memory = running.memory;
        let counter = running.module.declare(DeclKind::Data, "counter").unwrap();
        let zero = Data::new(vec![10, 0, 0, 0], 2);
        running.module.define_data(counter, memory, zero).unwrap();
        let step = running.function("step", &[], |body| constant(body, 1));
        let count = running.function("count", &[], |body| {
            constant(body, 0);
            constant(body, 0);
            body.access_data(0x28, 2, counter, 0);
            body.call(step, &[], &[I32]);
            body.op(&Instruction::I32Add);
            body.access_data(0x36, 2, counter, 0);
            constant(body, 0);
            body.access_data(0x28, 2, counter, 0);
        });
        running.module.export("count", count).unwrap();
        running.commit();
        assert_eq!(running.call("count", &[]), 11);

        running.function("step", &[], |body| constant(body, 100));
        let (patch, reloaded) = running.commit();
        let Some(LiveStep::Delta { delta, .. }) = &patch.live else {
            panic!("{:?}", patch.live);
        };
        wasmparser::validate(&delta.bytes).unwrap();
        assert!(delta.bytes.len() < 600, "{}", delta.bytes.len());
        assert_eq!(reloaded.unwrap().took, Took::Delta);
        assert_eq!(running.call("count", &[]), 111, "{redirect:?}");

        running.live().undo().unwrap();
        assert_eq!(running.call("count", &[]), 112, "{redirect:?}");
    }
}
