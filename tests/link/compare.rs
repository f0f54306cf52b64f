//! What wasmend links compared with what wasm-ld-19 links, declaration by declaration: functions by name with every index
//! and address mapped back to what it stands for, the data image, exports, the meaning of the table. Needs clang-19,
//! wasi-libc, libc++ and lld-19.
//!
//! Run: `wasm-ld-19 ARGS` and the same link by `Linked::link`, on small programs in C and C++, and on Lua and SQLite.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::beside;
use crate::support::toolchain::{self, Sources, arguments, runtime};
use crate::support::wasi::run_command;

/// Links with both and compares; runs both.
fn compare(name: &str, arguments: &[String], runs: bool) {
    let [ours, theirs] = beside::compare(name, arguments);
    if runs {
        let run = |bytes: &[u8]| {
            let output = run_command(bytes, &["program"], b"").unwrap();
            (String::from_utf8(output.stdout).unwrap(), output.exit_code)
        };
        assert_eq!(run(&ours), run(&theirs), "{name}");
    }
}

/// A program of one file.
fn of_one_file(name: &'static str, text: &str, flags: &[&str]) -> Vec<PathBuf> {
    let sources = Sources {
        name,
        files: BTreeMap::from([("program.c".to_owned(), text.to_owned())]),
        flags: Vec::new(),
        libraries: Vec::new(),
    };
    sources.compile(flags).into_values().collect()
}

const C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static const char *const words[] = {"one", "two", "three"};
static int (*const sorters[])(const void *, const void *) = {compare};
int weak_one(int) __attribute__((weak));
extern int weak_data __attribute__((weak));
__attribute__((constructor)) static void first(void) { puts("first"); }
__attribute__((constructor(200))) static void earlier(void) { puts("earlier"); }
__attribute__((export_name("peek"))) int peek(int at) { return words[at][0]; }
static int zeros[1000];
int main(int argc, char **argv) {
    int numbers[4] = {4, 2, 3, argc};
    qsort(numbers, 4, sizeof(int), sorters[0]);
    if (weak_one) zeros[1] = weak_one(1);
    if (&weak_data) zeros[2] = weak_data;
    char *copy = strdup(words[argc]);
    printf("%s %d %f %d\n", copy, numbers[0], atof("1.5"), zeros[numbers[1]]);
    free(copy);
    return 0;
}
"#;

#[test]
fn c_programs() {
    for flags in [
        &["-O0"][..],
        &["-O1"],
        &["-O2"],
        &["-O2", "-fno-data-sections"],
    ] {
        let objects = of_one_file("small", C, flags);
        for more in [
            &[][..],
            &["--stack-first"],
            &["--no-gc-sections"],
            &["--export-dynamic"],
            &["--no-merge-data-segments", "-O0"],
        ] {
            let name = format!("{flags:?} {more:?}");
            compare(&name, &arguments(&objects, more), true);
        }
    }
}

#[test]
fn a_reactor() {
    let objects = of_one_file("small", C, &["-O1"]);
    let mut arguments = vec!["--no-entry".to_owned(), format!("-L{}", toolchain::WASI)];
    arguments.push(objects[0].display().to_string());
    arguments.extend(["-lc".to_owned(), runtime()]);
    compare("reactor", &arguments, false);
}

/// A real program, compiled at each level.
fn real(sources: &Sources) {
    for flags in [&["-O0", "-g"][..], &["-O1"], &["-O2"]] {
        let objects: Vec<PathBuf> = sources.compile(flags).into_values().collect();
        let arguments = arguments(&objects, &sources.libraries);
        compare(&format!("{} {flags:?}", sources.name), &arguments, true);
    }
}

#[test]
fn cpp() {
    real(&toolchain::cpp());
}

#[test]
fn lua() {
    real(&toolchain::lua());
}

#[test]
fn sqlite() {
    real(&toolchain::sqlite());
}

/// Whatever links are named by `WASMEND_LINKS`: files of arguments, separated by colons.
#[test]
fn other_links() {
    let lists = std::env::var("WASMEND_LINKS").unwrap_or_default();
    for list in lists.split(':').filter(|list| !list.is_empty()) {
        compare(list, &[format!("@{list}")], false);
    }
}
