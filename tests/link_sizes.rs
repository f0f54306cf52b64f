//! Dense outputs are no larger than what wasm-ld-19 makes of the same command line, with and without debug information,
//! which stays right. Needs clang-19, wasi-libc, libc++, lld-19 and llvm-19.
#![cfg(all(feature = "toolchain-tests", feature = "engine", feature = "cli"))]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmend::engine::Engine;

const WASI: &str = "/usr/lib/wasm32-wasi";

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

/// A file that the driver or the linker writes, made by a command.
fn run(program: &str, arguments: &[String]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {text}");
}

fn compile(folder: &Path, name: &str, source: &str, flags: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, source).unwrap();
    let object = path.with_extension("o").display().to_string();
    let compiler = match name.ends_with(".c") {
        true => "clang-19",
        false => "clang++-19",
    };
    let mut arguments: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
    arguments.extend(
        [
            "--target=wasm32-wasi",
            "-w",
            "-fno-exceptions",
            "-c",
            "-o",
            &object,
        ]
        .map(str::to_owned),
    );
    arguments.push(path.display().to_string());
    run(compiler, &arguments);
    object
}

fn runtime() -> String {
    let output = Command::new("clang-19")
        .args(["--target=wasm32-wasi", "-print-resource-dir"])
        .output()
        .expect("clang-19 can be run");
    let folder = String::from_utf8(output.stdout).unwrap();
    format!("{}/lib/wasi/libclang_rt.builtins-wasm32.a", folder.trim())
}

/// Links with both linkers, in the ways that decide about sizes.
fn check(what: &str, folder: &Path, objects: &[String], libraries: &[&str]) {
    let wasmend = env!("CARGO_BIN_EXE_wasmend");
    let mut inputs = vec![format!("-L{WASI}"), format!("{WASI}/crt1-command.o")];
    inputs.extend_from_slice(objects);
    inputs.extend(libraries.iter().map(|library| (*library).to_owned()));
    inputs.push(runtime());
    let out = |name: &str| -> PathBuf { folder.join(name) };
    let (ours, again, theirs) = (out("ours.wasm"), out("again.wasm"), out("theirs.wasm"));
    for more in [
        "",
        "-O2",
        "--strip-debug",
        "--strip-all",
        "--strip-all --compress-relocations",
        "--strip-debug --compress-relocations -O2",
    ] {
        let link = |program: &str, before: &str, out: &Path| {
            let mut arguments: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
            arguments.extend_from_slice(&inputs);
            arguments.extend(more.split_whitespace().map(str::to_owned));
            arguments.extend(["-o".to_owned(), out.display().to_string()]);
            run(program, &arguments);
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
        let output = |bytes: &[u8]| Engine::new().run_wasi(bytes, &["program"], b"").unwrap();
        assert_eq!(
            output(&dense).stdout,
            output(&reference).stdout,
            "{what} {more}"
        );
        if !more.contains("strip") && what.contains("-g") {
            // Of offsets of strings that are the end of others the verifier does not approve, as wasm-ld makes them too.
            assert!(is_verified(&ours) || !is_verified(&theirs), "{what} {more}");
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

fn is_verified(path: &Path) -> bool {
    let verify = Command::new("llvm-dwarfdump-19")
        .args(["--verify", "--quiet"])
        .arg(path)
        .status();
    verify.expect("llvm-dwarfdump-19 can be run").success()
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
    for flags in ["-O0 -g", "-O2 -g", "-O2", "-Os -gdwarf-5"] {
        let folder = tempfile::tempdir().unwrap();
        let sources = ["main.c", "work.c"].iter().zip(C);
        let objects: Vec<String> = sources
            .map(|(name, source)| compile(folder.path(), name, source, flags))
            .collect();
        check(flags, folder.path(), &objects, &["-lc"]);
    }
}

#[test]
fn programs_in_cxx() {
    for flags in ["-O0 -g", "-O2 -g"] {
        let folder = tempfile::tempdir().unwrap();
        let object = compile(folder.path(), "main.cpp", CXX, flags);
        let libraries = ["-lc++", "-lc++abi", "-lc"];
        check(flags, folder.path(), &[object], &libraries);
    }
}
