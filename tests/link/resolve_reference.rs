//! Real programs, resolved as wasm-ld-19 resolves them: the same members, dropped sections, functions, imports,
//! exports, table entries and segments, in the same order. Needs clang-19, wasi-libc and lld-19.
//!
//! Run: `wasm-ld-19 ARGS --trace --print-gc-sections` and the same by `resolve` and `gc::mark`, on programs of a few lines, on Lua and SQLite,
//! and on the objects of `tests/objects`.

use std::path::PathBuf;
use std::process::Command;

use crate::reference::{self, Link};
use crate::support::objects;
use crate::support::toolchain::{self, arguments};
use wasmend::internals::link::symbols::Definition;
use wasmend::internals::link::symbols::Synthetic;

/// Links with both and compares everything.
fn compare(name: &str, arguments: &[String]) -> Link {
    let folder = tempfile::tempdir().unwrap();
    let mut theirs = reference::wasm_ld(arguments, &folder.path().join("out.wasm"));
    let mut arguments = arguments.to_vec();
    arguments.extend(["--no-demangle".to_owned(), "-oout".to_owned()]);
    let (resolution, live, ours) = reference::wasmend(&arguments);
    assert!(
        resolution.diagnostics.errors.is_empty(),
        "{:?}",
        resolution.diagnostics.errors
    );
    assert_eq!(ours.trace, theirs.trace, "{name}: files");
    assert_eq!(ours.imports, theirs.imports, "{name}: imports");
    assert_eq!(ours.entries, theirs.entries, "{name}: table entries");
    // What the linker makes stands before the objects' functions; wrappers of exports stand behind them.
    let is_made = |name: &String| {
        name.starts_with("undefined_weak:")
            || name.starts_with("signature_mismatch:")
            || name.ends_with(".command_export")
            || [
                "undefined_stub",
                "__wasm_call_ctors",
                "__wasm_init_memory",
                "__wasm_init_tls",
            ]
            .contains(&name.as_str())
    };
    let made: Vec<String> = theirs
        .functions
        .extract_if(.., |name| is_made(name))
        .collect();
    assert_eq!(ours.functions, theirs.functions, "{name}: functions");
    let our_traps: Vec<String> = resolution
        .synthetic_functions
        .iter()
        .filter(|id| live.is_live(&resolution, **id))
        .map(|id| resolution.debug_name(*id, false))
        .collect();
    let theirs_first: Vec<String> = made
        .iter()
        .filter(|name| !name.ends_with(".command_export") && *name != "__wasm_init_memory")
        .cloned()
        .collect();
    assert_eq!(our_traps, theirs_first, "{name}: made functions");
    theirs.exports.retain(|name| name != "memory");
    let wrappers = made
        .iter()
        .filter(|name| name.ends_with(".command_export"))
        .count();
    if wrappers == 0 {
        let mut ours = ours.exports.clone();
        for (ours, theirs) in ours.iter_mut().zip(&theirs.exports) {
            // `export_name` is another name than the symbol's.
            if ours != theirs {
                let id = resolution.find(ours).unwrap();
                let (object, symbol) = resolution.table.get(id).place().unwrap();
                let object = &resolution.object(object).object;
                let function = object.symbols[symbol.index()].function().unwrap();
                let exported = object
                    .exported_functions
                    .iter()
                    .find(|(id, _)| *id == function);
                *ours = object.str(exported.unwrap().1).to_owned();
            }
        }
        assert_eq!(ours, theirs.exports, "{name}: exports");
    }
    assert_eq!(ours.segments, theirs.segments, "{name}: segments");
    if arguments
        .iter()
        .any(|argument| argument == "--no-gc-sections")
    {
        return ours;
    }
    let (mut our_dropped, mut their_dropped) = (ours.dropped.clone(), theirs.dropped.clone());
    their_dropped.retain(|line| !line.ends_with(":(__stack_pointer)"));
    our_dropped.sort();
    their_dropped.sort();
    assert_eq!(our_dropped, their_dropped, "{name}: dropped sections");
    let stack = resolution.table.get(resolution.stack_pointer);
    assert_eq!(
        stack.definition,
        Definition::Synthetic(Synthetic::StackPointer)
    );
    ours
}

fn compile(source: &str, file: &str, flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, source).unwrap();
    let object = path.with_extension("o");
    let compiler = if file.ends_with(".c") {
        "clang-19"
    } else {
        "clang++-19"
    };
    let status = Command::new(compiler)
        .args(["--target=wasm32-wasi", "-c"])
        .args(flags)
        .arg(&path)
        .arg("-o")
        .arg(&object)
        .status()
        .expect("clang-19 can be run");
    assert!(status.success());
    (folder, object)
}

const HELLO: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(int argc, char **argv) {
    int numbers[4] = {4, 2, 3, argc};
    qsort(numbers, 4, sizeof(int), compare);
    char *copy = strdup(argv[0]);
    printf("%s %d %f\n", copy, numbers[0], atof("1.5"));
    free(copy);
    return 0;
}
"#;

#[test]
fn hello() {
    for flags in [&["-O0", "-g"][..], &["-O2"]] {
        let (_folder, object) = compile(HELLO, "hello.c", flags);
        let link = compare("hello", &arguments(std::slice::from_ref(&object), &[]));
        assert!(link.functions.len() > 50, "{}", link.functions.len());
        for more in [
            &["--no-gc-sections"][..],
            &["--export-all"],
            &["--export-dynamic"],
            &["--export-table", "--growable-table"],
            &["--import-table"],
            &[
                "--export=malloc",
                "--export-if-defined=nothing_of_that_name",
                "-u",
                "strtok",
            ],
            &["--stack-first", "--no-merge-data-segments"],
            &["--export=__heap_base", "--export=__data_end"],
        ] {
            compare(
                &more.join(" "),
                &arguments(std::slice::from_ref(&object), more),
            );
        }
    }
}

#[test]
fn lua() {
    let sources = toolchain::lua();
    let objects: Vec<PathBuf> = sources.compile(&["-O0", "-g"]).into_values().collect();
    let link = compare("lua", &arguments(&objects, &sources.libraries));
    assert!(link.functions.len() > 500, "{}", link.functions.len());
}

#[test]
fn sqlite() {
    let sources = toolchain::sqlite();
    let objects: Vec<PathBuf> = sources.compile(&["-O0", "-g"]).into_values().collect();
    let link = compare("sqlite", &arguments(&objects, &sources.libraries));
    assert!(link.functions.len() > 1000, "{}", link.functions.len());
}

#[test]
fn wrapped_functions() {
    let source = r#"
#include <stdlib.h>
void *__real_malloc(size_t);
void *__wrap_malloc(size_t size) { return __real_malloc(size + 8); }
int main() { return malloc(3) == 0; }
"#;
    let (_folder, object) = compile(source, "wrap.c", &["-O1"]);
    compare(
        "wrap",
        &arguments(&[object], &["--wrap=malloc", "--wrap=nobody_calls_this"]),
    );
}

#[test]
fn cpp() {
    let sources = toolchain::cpp();
    for flags in [&["-O0", "-g"][..], &["-O2"]] {
        let objects: Vec<PathBuf> = sources.compile(flags).into_values().collect();
        let link = compare("c++", &arguments(&objects, &sources.libraries));
        assert!(link.functions.len() > 70, "{}", link.functions.len());
    }
}

fn checked_in(names: &[&str]) -> Vec<String> {
    names.iter().copied().map(objects::word).collect()
}

#[test]
fn small_objects() {
    for arguments in [
        &["main.o", "twice.o"][..],
        &["main.o", "twice.o", "pick.o"],
        &["main.o", "pick.o", "twice.o", "lib_b.o"],
        &["main.o", "twice.o", "libgnu.a"],
        &["libgnu.a", "uses_lib.o", "--no-entry"],
        &["uses_lib.o", "libgnu.a", "--no-entry"],
        &["uses_lib.o", "libbsd.a", "--no-entry"],
        &["uses_lib.o", "libthin.a", "--no-entry"],
        &["uses_lib.o", "libnoindex.a", "--no-entry"],
        &[
            "uses_lib.o",
            "--whole-archive",
            "libgnu.a",
            "--no-whole-archive",
            "--no-entry",
        ],
        &[
            "uses_lib.o",
            "--start-lib",
            "lib_c.o",
            "lib_a.o",
            "lib_b.o",
            "--end-lib",
            "--no-entry",
        ],
        &[
            "--start-lib",
            "lib_c.o",
            "lib_a.o",
            "lib_b.o",
            "--end-lib",
            "uses_lib.o",
            "--no-entry",
        ],
        &["uses_lib.o", "libgnu.a", "-u", "unused_c", "--no-entry"],
        &[
            "inline_a.o",
            "inline_b.o",
            "--no-entry",
            "--allow-undefined",
        ],
        &[
            "inline_b.o",
            "inline_a.o",
            "--no-entry",
            "--allow-undefined",
        ],
        &[
            "inline_b.o",
            "inline_a.o",
            "--no-entry",
            "--allow-undefined",
            "--no-gc-sections",
        ],
        &["mismatch.o", "twice.o", "--no-entry"],
        &["twice.o", "mismatch.o", "--no-entry"],
        &[
            "mismatch.o",
            "--start-lib",
            "twice.o",
            "--end-lib",
            "--no-entry",
        ],
        &["missing.o", "--allow-undefined", "--no-entry"],
        &["missing.o", "--unresolved-symbols=ignore-all", "--no-entry"],
        &["missing.o", "--warn-unresolved-symbols", "--no-entry"],
        &[
            "missing.o",
            "--import-undefined",
            "--warn-unresolved-symbols",
            "--no-entry",
        ],
        &["threads.o", "--no-entry"],
        &[
            "threads.o",
            "--no-entry",
            "--shared-memory",
            "--max-memory=131072",
            "--export=__wasm_init_tls",
        ],
        &[
            "threads.o",
            "--no-entry",
            "--shared-memory",
            "--max-memory=131072",
            "--import-memory",
        ],
        &["mvp.o", "twice.o"],
        &["main64.o", "-mwasm64", "--unresolved-symbols=ignore-all"],
        &[
            "sections.o",
            "--no-entry",
            "--export=exported_from_assembly",
        ],
        &[
            "sections.o",
            "--no-entry",
            "--export=value",
            "--export-if-defined=other",
        ],
        &["main.o", "twice.o", "--export-dynamic"],
        &["main.o", "twice.o", "--export=doubled", "--export=twice"],
        &["debug.o", "twice.o", "--no-gc-sections"],
    ] {
        compare(&arguments.join(" "), &checked_in(arguments));
    }
}

/// Whatever else is there: `WASMEND_LINKS` names files, separated by colons, with the arguments of a wasm-ld command
/// line each, one on a line, without `-o` and the output.
#[test]
fn given_links() {
    let lists = std::env::var("WASMEND_LINKS").unwrap_or_default();
    for list in lists.split(':').filter(|list| !list.is_empty()) {
        let text = std::fs::read_to_string(list).unwrap();
        let arguments: Vec<String> = text.lines().map(str::to_owned).collect();
        compare(list, &arguments);
    }
}
