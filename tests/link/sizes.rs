//! Dense outputs are no larger than what wasm-ld-19 makes of the same command line, with and without debug information,
//! which stays right. Needs clang-19, wasi-libc, libc++, lld-19 and llvm-19.
//!
//! Run: `wasmend ld --no-incremental ARGS -o OUT` and `wasm-ld-19 ARGS -o OUT`, on programs in C and C++, with each of the options
//! that decide about sizes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::toolchain::{Sources, arguments, dwarf_errors, run};
use crate::support::wasi::run_command;

const C: [&str; 2] = [
    r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern int work(const char *const *words, int count);
static const char *const words[] = {"a string", "string", "another string", "other"};
static int zeros[1000], ones[1000] = {[0] = 1, [999] = 1};
int main(int argc, char **argv) {
    zeros[argc] = ones[argc] + ones[999];
    printf("%d %d %s\n", work(words, 4), zeros[1], "string");
    return 0;
}
"#,
    r#"
#include <string.h>
#include <stdio.h>
static int twice(int value) { return value * 2; }
static int thrice(int value) { return value * 3; }
static int (*const functions[])(int) = {twice, thrice};
int work(const char *const *words, int count) {
    int sum = 0;
    for (int at = 0; at < count; at++) {
        sum += functions[at & 1]((int)strlen(words[at]));
        puts("a string");
    }
    return sum;
}
"#,
];

const CXX: &str = r#"
#include <algorithm>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>
struct Shape {
    virtual ~Shape() {}
    virtual int area() const = 0;
};
template <int N> struct Square : Shape {
    int area() const override { return N * N; }
};
static std::map<std::string, int> table;
struct Init {
    Init() { table["static"] = 1; }
} init;
int main() {
    std::vector<Shape *> shapes{new Square<1>, new Square<2>, new Square<3>};
    std::ostringstream text;
    for (auto *shape : shapes) text << shape->area() << ' ' << table["static"] << ' ';
    std::cout << text.str() << std::endl;
}
"#;

fn sources(
    name: &'static str,
    files: &[(&str, &str)],
    flags: &[&str],
    libraries: &[&'static str],
) -> Sources {
    let files = files.iter();
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    Sources {
        name,
        files: BTreeMap::from_iter(files.map(owned)),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        libraries: libraries.to_vec(),
    }
}

/// Links with both linkers, in the ways that decide about sizes.
fn check(sources: &Sources, flags: &str) {
    let what = format!("{} {flags}", sources.name);
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let objects: Vec<PathBuf> = sources.compile(&flags).into_values().collect();
    let inputs = arguments(&objects, &sources.libraries);
    let wasmend = env!("CARGO_BIN_EXE_wasmend");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let out = |name: &str| -> PathBuf { folder.join(name) };
    // A module is called as its file is.
    let (ours, again, theirs) = (out("ours.wasm"), out("again/ours.wasm"), out("theirs.wasm"));
    std::fs::create_dir(out("again")).unwrap();
    for more in [
        "",
        "-O2",
        "--strip-debug",
        "--strip-all",
        "--strip-all --compress-relocations",
        "--strip-debug --compress-relocations -O2",
    ] {
        let link = |program: &str, before: &str, out: &Path| {
            let mut command = Command::new(program);
            command.args(before.split_whitespace()).args(&inputs);
            run(command.args(more.split_whitespace()).arg("-o").arg(out));
            std::fs::read(out).unwrap()
        };
        let dense = link(wasmend, "ld --no-incremental", &ours);
        let reference = link("wasm-ld-19", "", &theirs);
        assert!(
            dense.len() <= reference.len(),
            "{what} {more}: {} bytes, wasm-ld has {}",
            dense.len(),
            reference.len()
        );
        let one = link(wasmend, "ld --no-incremental --threads=1", &again);
        assert!(one == dense, "{what} {more}: another output of one thread");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&theirs), "{what} {more}");
        let output = |bytes: &[u8]| run_command(bytes, &["program"], b"").unwrap();
        assert_eq!(
            output(&dense).stdout,
            output(&reference).stdout,
            "{what} {more}"
        );
        if !more.contains("strip") && what.contains("-g") {
            // Of offsets of strings that are the end of others the verifier does not approve, as wasm-ld makes them too.
            let wrong = dwarf_errors(&ours).filter(|_| dwarf_errors(&theirs).is_none());
            assert!(wrong.is_none(), "{what} {more}: {wrong:?}");
            let described = rows(&ours);
            assert!(
                !described.is_empty() && described == rows(&theirs),
                "{what} {more}"
            );
        }
        // What can be patched is an executable file as well.
        link(wasmend, "ld", &again);
        assert_eq!(mode(&again), mode(&theirs), "{what} {more}");
    }
}

/// For each function that the program's own objects define, where it was declared, as the symbolizer has it.
fn rows(path: &Path) -> Vec<String> {
    let output = Command::new("llvm-dwarfdump-19")
        .args([
            "--name=main",
            "--name=work",
            "--name=area",
            "--show-children",
        ])
        .arg(path)
        .output()
        .expect("llvm-dwarfdump-19 can be run");
    let text = String::from_utf8(output.stdout).unwrap();
    let told = |line: &&str| line.contains("DW_AT_name") || line.contains("DW_AT_decl_");
    let mut rows: Vec<String> = text
        .lines()
        .filter(told)
        .map(|line| line.trim().to_owned())
        .collect();
    rows.sort();
    rows
}

#[test]
fn programs_in_c() {
    let files = [("main.c", C[0]), ("work.c", C[1])];
    for flags in ["-O0 -g", "-O2 -g", "-O2", "-Os -gdwarf-5"] {
        check(&sources("small-c", &files, &[], &[]), flags);
    }
}

#[test]
fn programs_in_cxx() {
    let libraries = ["-lc++", "-lc++abi"];
    for flags in ["-O0 -g", "-O2 -g"] {
        let files = [("main.cpp", CXX)];
        let program = sources("small-cxx", &files, &["-fno-exceptions"], &libraries);
        check(&program, flags);
    }
}
