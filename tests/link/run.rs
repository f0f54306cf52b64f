//! Whole links of small objects that are checked in: what is written runs, however it is laid out.
//!
//! Run: `Linked::link` with the command line that each case begins with, on objects of `tests/objects`; then the program, in the
//! interpreter.

use std::path::Path;

use crate::support::objects::options;
use wasmend::engine::{Engine, Imports, Value};
use wasmend::link::Access;
use wasmend::link::{Failed, LinkReport, Linked, Target};
use wasmend::output::OutputOptions;

fn link(line: &str) -> Result<(Linked, LinkReport), Failed> {
    let options = options(line, Path::new("out.wasm"));
    Linked::link(options, Access::Map, Target::Memory)
}

/// What is linked without being kept is what is linked to be kept.
#[test]
fn a_link_of_which_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wasm");
    for line in [
        "main.o lib_a.o lib_b.o --export-all",
        "main.o lib_a.o lib_b.o --import-table --export=run",
        "main.o --start-lib lib_a.o lib_b.o --end-lib --export=run",
        "main.o --whole-archive libgnu.a --build-id --export-all",
        "debug.o --no-gc-sections --redirect=table",
    ] {
        let line = format!("{line} --no-entry --allow-undefined");
        let (linked, kept) = link(&line).unwrap_or_else(|failed| panic!("{line}: {:?}", failed.0));
        let target = Target::File(OutputOptions::default());
        let report = Linked::link_once(&options(&line, &path), Access::Map, target);
        let (_, report) = report.unwrap_or_else(|failed| panic!("{line}: {:?}", failed.0));
        assert_eq!(
            std::fs::read(&path).unwrap(),
            linked.bytes().unwrap(),
            "{line}"
        );
        assert_eq!(report.counts, kept.counts, "{line}");
        assert_eq!(report.edits, kept.edits, "{line}");
        assert_eq!(report.patch.identity, kept.patch.identity, "{line}");
    }
}

/// The outputs of a link: patchable, dense, and as short as can be.
fn outputs(line: &str) -> Vec<Vec<u8>> {
    let mut outputs = Vec::new();
    for redirect in ["direct", "table"] {
        let (linked, _) = link(&format!("{line} --redirect={redirect}"))
            .unwrap_or_else(|failed| panic!("{line}: {:?}", failed.0));
        let dense = linked.finish().unwrap();
        let short = wasmend::inspect::finish(&dense).unwrap();
        let bytes = linked.bytes().unwrap();
        assert!(short.len() <= dense.len() && dense.len() < bytes.len());
        outputs.extend([bytes, dense, short]);
    }
    for output in &outputs {
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
            .validate_all(output)
            .unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    outputs
}

/// Calls `function` with each argument in a fresh instance of every output.
fn check(line: &str, function: &str, expected: &[(&[Value], i32)]) {
    for output in outputs(line) {
        let imports = Imports::new().stubs();
        let mut instance = Engine::new().instantiate(&output, &imports).unwrap();
        for (arguments, result) in expected {
            let got = instance.call(function, arguments).unwrap();
            assert_eq!(
                got,
                [Value::I32(*result)],
                "{line}: {function}({arguments:?})"
            );
        }
    }
}

#[test]
fn a_program_of_several_objects() {
    let calls: [(&[Value], i32); 2] = [(&[Value::I32(1)], 260), (&[Value::I32(5)], 269)];
    for more in [
        "",
        "--stack-first",
        "--no-gc-sections",
        "--global-base=4096",
        "-O0",
        "--export-all",
        "--initial-memory=1048576 --max-memory=2097152",
        "--growable-table --export-table",
    ] {
        // Whoever exports everything must call the constructors itself: here nobody does.
        let calls: &[(&[Value], i32)] = match more {
            "--export-all" => &[(&[Value::I32(1)], 259)],
            _ => &calls,
        };
        check(&format!("main.o twice.o pick.o {more}"), "answer", calls);
    }
}

#[test]
fn data_that_says_how_far_away_other_data_is() {
    let arguments = [0, 1, 2].map(|at| [Value::I32(at)]);
    let calls: Vec<(&[Value], i32)> = arguments
        .iter()
        .map(|list| &list[..])
        .zip([42, 43, 5])
        .collect();
    for more in ["", "--global-base=4096", "--no-gc-sections -O0"] {
        check(
            &format!("--no-entry --export=through --export=padding relative.o {more}"),
            "through",
            &calls,
        );
    }
}

#[test]
fn thread_local_data_of_one_thread() {
    check(
        "--no-entry threads.o",
        "next",
        &[(&[], 4), (&[], 6), (&[], 8)],
    );
}

#[test]
fn the_map_of_memory_can_be_asked_for() {
    let (linked, report) = link("main.o twice.o --export=__heap_base --export=__data_end").unwrap();
    let bytes = linked.bytes().unwrap();
    let instance = Engine::new()
        .instantiate(&bytes, &Imports::new().stubs())
        .unwrap();
    let global = |name: &str| match instance.global(name) {
        Some(Value::I32(value)) => value as u32,
        other => panic!("{name}: {other:?}"),
    };
    let (data_end, heap_base) = (global("__data_end"), global("__heap_base"));
    assert!(1024 < data_end && data_end + 65536 <= heap_base);
    assert!(heap_base % 16 == 0 && heap_base as usize <= instance.memory("memory").unwrap().len());
    assert_eq!((report.counts.files, report.counts.objects), (2, 2));
}

#[test]
fn memory_of_64_bits() {
    let line = "-m wasm64 main64.o --unresolved-symbols=ignore-all";
    // Not every interpreter has such memories, and nothing is there to be called: that it is valid is what can be said.
    assert_eq!(outputs(line).len(), 6);
}

#[test]
fn exceptions() {
    let line = "--no-entry --export=caught throws.o --unresolved-symbols=ignore-all";
    assert_eq!(outputs(line).len(), 6);
}

#[test]
fn an_imported_table() {
    for output in outputs("main.o twice.o pick.o --import-table") {
        let mut tables = 0;
        for payload in wasmparser::Parser::new(0).parse_all(&output) {
            match payload.unwrap() {
                wasmparser::Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.unwrap();
                        if let wasmparser::TypeRef::Table(table) = import.ty {
                            assert_eq!(
                                (import.module, import.name),
                                ("env", "__indirect_function_table")
                            );
                            assert!(table.initial >= 4, "{}", table.initial);
                            tables += 1;
                        }
                    }
                }
                wasmparser::Payload::TableSection(_) => panic!("a table of its own"),
                _ => {}
            }
        }
        assert_eq!(tables, 1);
    }
}

#[test]
fn shared_memory_is_filled_once() {
    let line = "--no-entry --shared-memory --import-memory --max-memory=1048576 --export=__wasm_init_tls threads.o";
    // The interpreter has no threads; that the output is valid is what can be said here.
    assert_eq!(outputs(line).len(), 6);
}

#[test]
fn errors_name_what_is_wrong() {
    for (line, text) in [
        ("main.o", "undefined symbol"),
        (
            "main.o twice.o --initial-memory=65536",
            "--initial-memory: too small",
        ),
        ("main.o twice.o main64.o", "64-bit"),
        ("--no-entry --shared-memory twice.o", "--shared-memory"),
        ("--no-entry --page-size=1 twice.o", "--page-size"),
    ] {
        let Err(failed) = link(line) else {
            panic!("{line} was linked")
        };
        let messages: Vec<String> = failed.0.errors.iter().map(ToString::to_string).collect();
        assert!(
            messages.iter().any(|message| message.contains(text)),
            "{line}: {messages:?}"
        );
    }
}
