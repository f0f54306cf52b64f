//! The function table as an import: `wasmend ld --import-table --no-entry --export=run main.o`, updated with versions of
//! `main.o` that take the addresses of more or fewer functions. An engine gives the module a table of the size that it
//! asks for, so that must be what its elements need in every version that can be seen.

use std::sync::atomic::{AtomicBool, Ordering};

use wasmend::output::Publish;
use wasmparser::{ElementItems, ElementKind, Operator, Parser, Payload, TypeRef};

use crate::support::objects::I32;
use crate::support::objects::builder::{Builder, Reloc};
use crate::updated::{ADD, END, Program};

/// `main.o`: `run` calls so many functions through the table; each adds its number to the argument.
fn main_of(functions: i32) -> Vec<u8> {
    let mut builder = Builder::new();
    let ty = builder.function_type(&[I32], &[I32]);
    let table = builder.indirect_table();
    let symbols: Vec<u32> = (0..functions)
        .map(|at| builder.defined_function(1 + at as u32))
        .collect();
    let code = builder.begin_function("run", ty, true);
    code.i32_const(0);
    for symbol in symbols {
        code.local_get(0)
            .reloc_const(Reloc::TableIndexSleb, symbol)
            .call_indirect(ty, table)
            .op(ADD);
    }
    code.op(END);
    builder.end_function();
    for at in 0..functions {
        let code = builder.begin_function(&format!("f{at}"), ty, false);
        code.local_get(0).i32_const(at).op(ADD).op(END);
        builder.end_function();
    }
    builder.finish()
}

fn expected(functions: i32, argument: i32) -> i32 {
    (0..functions).map(|at| argument + at).sum()
}

/// How many entries a module's table import asks for, and how many its elements need.
fn entries(module: &[u8]) -> (u64, u64) {
    let (mut asked, mut needed) = (None, 0);
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if let TypeRef::Table(table) = import.unwrap().ty {
                        assert!(asked.replace(table.initial).is_none());
                    }
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    let element = element.unwrap();
                    let ElementKind::Active { offset_expr, .. } = element.kind else {
                        continue;
                    };
                    let ElementItems::Functions(functions) = element.items else {
                        continue;
                    };
                    let Operator::I32Const { value } =
                        offset_expr.get_operators_reader().read().unwrap()
                    else {
                        panic!("no constant")
                    };
                    needed = needed.max(value as u64 + u64::from(functions.count()));
                }
            }
            _ => {}
        }
    }
    (asked.expect("the table is imported"), needed)
}

fn program(publish: Publish, more: &str, functions: i32) -> Program {
    let line = format!("--import-table --no-entry --export=run FOLDER/main.o {more}");
    Program::new(&line, publish, &[("main.o", main_of(functions))])
}

/// How many functions `run` calls, from version to version.
const VERSIONS: [i32; 12] = [2, 5, 40, 41, 300, 20, 3000, 3001, 3, 0, 1, 700];

#[test]
fn a_table_import_asks_for_what_the_elements_need_in_every_version() {
    for more in ["--redirect=direct", "--redirect=table"] {
        for publish in [Publish::Atomic, Publish::InPlace] {
            let mut program = program(publish, more, 1);
            for functions in VERSIONS {
                program.write("main.o", main_of(functions));
                program.update(&format!("{more}: {functions} functions"), &["main.o"]);
                let (asked, needed) = entries(&program.published());
                assert_eq!(asked, needed, "{more} {functions}");
                assert!(needed > functions as u64, "{more} {functions}");
                assert_eq!(program.answer(7), expected(functions, 7), "{more}");
            }
        }
    }
}

#[test]
fn no_reader_sees_a_table_import_that_is_too_small() {
    let mut program = program(Publish::Atomic, "", 1);
    let (path, stop) = (program.path("out/out.wasm"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                let (asked, needed) = entries(&std::fs::read(&path).unwrap());
                assert!(asked >= needed, "{asked} of {needed} entries");
                seen += 1;
            }
            seen
        });
        // The reader is stopped whatever comes of this.
        let _stops = Stops(&stop);
        for _ in 0..4 {
            for functions in VERSIONS {
                program.write("main.o", main_of(functions));
                program.update("while it is read", &["main.o"]);
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}

/// Sets a flag when it goes.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_table_import_is_as_it_was_after_an_update_that_failed() {
    let mut program = program(Publish::Atomic, "", 3);
    for functions in [400, 3, 900] {
        program.write("main.o", main_of(functions));
        program.fail_for_want_of_a_folder("no folder", &["main.o"]);
        program.update("the folder is back", &["main.o"]);
        let (asked, needed) = entries(&program.published());
        assert_eq!(asked, needed);
        assert_eq!(program.answer(7), expected(functions, 7));
    }
}
