//! Data that is linked though nothing refers to it (`WASM_SEG_FLAG_RETAIN`, C's `__attribute__((retain))`), and what only
//! it refers to: `wasmend ld --no-entry --export=run main.o kept.o`, updated with other versions of `kept.o`.

use wasmend::output::Publish;

use crate::support::objects::RETAIN;
use crate::support::objects::builder::Builder;
use crate::updated::{Program, add_function, adds};

/// `kept.o`: a function that is called, and one that only data names, if there is any.
fn kept(constant: i32, data: Option<&[u8]>, callees: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new();
    add_function(&mut builder, "called", constant, 1, callees);
    add_function(&mut builder, "named_by_data", 1000, 3, &[]);
    if let Some(text) = data {
        let bytes = [&[0; 4], text].concat();
        builder.data(".data.kept", RETAIN, "kept", bytes, &[(0, 1)]);
    }
    builder.finish()
}

fn program(redirect: &str, first: Vec<u8>) -> Program {
    let line = format!("--no-entry --export=run FOLDER/main.o FOLDER/kept.o --redirect={redirect}");
    let main = adds("run", 1, 1, &["called"]);
    Program::new(
        &line,
        Publish::Atomic,
        &[("main.o", main), ("kept.o", first)],
    )
}

/// Whether the program has a text in its data, and the function that only data names.
fn has(program: &Program, text: &[u8]) -> [bool; 2] {
    let dense = program.linked.finish().unwrap();
    let is_there = |wanted: &[u8]| dense.windows(wanted.len()).any(|window| window == wanted);
    [is_there(text), is_there(b"named_by_data")]
}

const BOTH: [&str; 2] = ["direct", "table"];

#[test]
fn retained_data_comes_and_goes() {
    for redirect in BOTH {
        let mut program = program(redirect, kept(2, None, &[]));
        assert_eq!(has(&program, b"RETAINED"), [false; 2]);
        for round in 0..3 {
            program.write("kept.o", kept(2, Some(b"RETAINED"), &[]));
            program.update("it comes", &["kept.o"]);
            assert_eq!(has(&program, b"RETAINED"), [true; 2], "{redirect} {round}");
            assert_eq!(program.answer(5), 5 + 1 + 5 + 2);

            program.write("kept.o", kept(3 + round, Some(b"RETAINED"), &[]));
            program.update("another function changes", &["kept.o"]);
            assert_eq!(has(&program, b"RETAINED"), [true; 2], "{redirect} {round}");
            assert_eq!(program.answer(5), 5 + 1 + 5 + 3 + round);

            program.write("kept.o", kept(2, None, &[]));
            program.update("it goes", &["kept.o"]);
            assert_eq!(has(&program, b"RETAINED"), [false; 2], "{redirect} {round}");
            assert_eq!(program.answer(5), 5 + 1 + 5 + 2);
        }
    }
}

#[test]
fn retained_data_changes_and_grows() {
    for redirect in BOTH {
        let mut program = program(redirect, kept(2, Some(b"first version"), &[]));
        for text in [&b"other version"[..], b"a version that is longer", b"short"] {
            program.write("kept.o", kept(2, Some(text), &[]));
            program.update("retained data changes", &["kept.o"]);
            assert_eq!(has(&program, text), [true; 2], "{redirect}");
            assert_eq!(has(&program, b"first version"), [false, true], "{redirect}");
        }
    }
}

#[test]
fn retained_data_that_comes_or_goes_with_a_mistake_is_as_it_was_until_that_is_mended() {
    for redirect in BOTH {
        let (without, with) = (kept(2, None, &[]), kept(2, Some(b"RETAINED"), &[]));
        let mut program = program(redirect, without.clone());
        program.write("kept.o", kept(2, Some(b"RETAINED"), &["missing"]));
        program.fail("it comes", &["kept.o"], "`missing`: undefined symbol");
        assert_eq!(has(&program, b"RETAINED"), [false; 2], "{redirect}");
        program.write("kept.o", &with);
        program.update("mended", &["kept.o"]);
        assert_eq!(has(&program, b"RETAINED"), [true; 2], "{redirect}");

        program.write("kept.o", kept(2, None, &["missing"]));
        program.fail("it goes", &["kept.o"], "`missing`: undefined symbol");
        assert_eq!(has(&program, b"RETAINED"), [true; 2], "{redirect}");
        program.write("kept.o", &without);
        program.update("mended", &["kept.o"]);
        assert_eq!(has(&program, b"RETAINED"), [false; 2], "{redirect}");
        assert_eq!(program.answer(5), 5 + 1 + 5 + 2);
    }
}
