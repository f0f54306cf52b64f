//! What wasmend links compared with what wasm-ld-19 links, declaration by declaration: functions by name with every index
//! and address mapped back to what it stands for, the data image, exports, the meaning of the table. Needs clang-19,
//! wasi-libc, libc++ and lld-19.
#![cfg(all(feature = "toolchain-tests", feature = "engine"))]

#[path = "link/meaning.rs"]
mod meaning;

use std::path::{Path, PathBuf};
use std::process::Command;

use wasmend::engine::Engine;
use wasmend::link::{LinkOptions, Linked, Target};
use wasmend::object::Access;

const WASI: &str = "/usr/lib/wasm32-wasi";
/// Symbols that are told apart by exporting them.
const ADDRESSES: [&str; 5] = [
    "__heap_base",
    "__heap_end",
    "__data_end",
    "__stack_low",
    "__stack_high",
];

fn runtime() -> String {
    let output = Command::new("clang-19")
        .args(["--target=wasm32-wasi", "-print-resource-dir"])
        .output()
        .expect("clang-19 can be run");
    let folder = String::from_utf8(output.stdout).unwrap();
    format!("{}/lib/wasi/libclang_rt.builtins-wasm32.a", folder.trim())
}

fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, source).unwrap();
    let object = path.with_extension("o");
    let compiler = if name.ends_with(".c") {
        "clang-19"
    } else {
        "clang++-19"
    };
    let status = Command::new(compiler)
        .args(["--target=wasm32-wasi", "-w", "-c"])
        .args(flags)
        .arg(&path)
        .arg("-o")
        .arg(&object)
        .status()
        .expect("clang-19 can be run");
    assert!(status.success());
    object
}

/// Links with both and compares; runs both.
fn compare(name: &str, inputs: &[String], runs: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (out, map) = (
        folder.path().join("out.wasm"),
        folder.path().join("out.map"),
    );
    let mut arguments = inputs.to_vec();
    arguments.push("--no-demangle".to_owned());
    arguments.extend(ADDRESSES.map(|address| format!("--export={address}")));
    arguments.extend(["-o".to_owned(), out.display().to_string()]);
    let theirs = Command::new("wasm-ld-19")
        .args(&arguments)
        .arg(format!("--Map={}", map.display()))
        .output()
        .expect("wasm-ld-19 can be run");
    assert!(
        theirs.status.success(),
        "{}",
        String::from_utf8_lossy(&theirs.stderr)
    );
    let theirs = std::fs::read(&out).unwrap();
    let their_map = std::fs::read_to_string(&map).unwrap();
    let options = LinkOptions::parse(&arguments).unwrap();
    let linked = Linked::link(options, Access::Map, Target::Memory);
    let (linked, _) = linked.unwrap_or_else(|failed| panic!("{name}: {:?}", failed.0));
    let ours = linked.bytes().unwrap();
    let differences = meaning::compare(&ours, &linked.map(), &theirs, &their_map, &ADDRESSES);
    assert!(
        differences.is_empty(),
        "{name}:\n{}",
        differences.join("\n")
    );
    if runs {
        let run = |bytes: &[u8]| Engine::new().run_wasi(bytes, &["program"], b"").unwrap();
        let (ours, theirs) = (run(&ours), run(&theirs));
        assert_eq!(
            String::from_utf8_lossy(&ours.stdout),
            String::from_utf8_lossy(&theirs.stdout),
            "{name}"
        );
        assert_eq!(ours.exit_code, theirs.exit_code, "{name}");
    }
}

fn program(objects: &[PathBuf], more: &[&str]) -> Vec<String> {
    let mut arguments = vec![format!("-L{WASI}"), format!("{WASI}/crt1-command.o")];
    arguments.extend(objects.iter().map(|object| object.display().to_string()));
    arguments.extend(more.iter().map(|more| (*more).to_owned()));
    arguments.extend(["-lc".to_owned(), runtime()]);
    arguments
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

const CPP: &str = r#"
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <algorithm>
struct Shape { virtual double area() const = 0; virtual ~Shape() {} };
struct Square : Shape { double a; Square(double a) : a(a) {} double area() const override { return a * a; } };
struct Circle : Shape { double r; Circle(double r) : r(r) {} double area() const override { return 3 * r * r; } };
static std::vector<int> numbers = {5, 3, 9, 1};
struct Init { Init() { std::cout << "begin\n"; } ~Init() { std::cout << "end\n"; } } init;
int main() {
  std::map<std::string, int> counts;
  for (auto word : {"a", "b", "a"}) counts[word]++;
  for (auto &[k, v] : counts) std::cout << k << v << "\n";
  std::sort(numbers.begin(), numbers.end());
  for (int n : numbers) std::cout << n << ",";
  std::vector<std::unique_ptr<Shape>> shapes;
  shapes.emplace_back(new Square(2)); shapes.emplace_back(new Circle(1));
  for (auto &s : shapes) std::cout << s->area() << "\n";
}
"#;

#[test]
fn c_programs() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [
        &["-O0"][..],
        &["-O1"],
        &["-O2"],
        &["-O2", "-fno-data-sections"],
    ] {
        let object = compile(folder.path(), "program.c", C, flags);
        for more in [
            &[][..],
            &["--stack-first"],
            &["--no-gc-sections"],
            &["--export-dynamic"],
            &["--no-merge-data-segments", "-O0"],
        ] {
            let name = format!("{flags:?} {more:?}");
            compare(&name, &program(std::slice::from_ref(&object), more), true);
        }
    }
}

#[test]
fn a_reactor() {
    let folder = tempfile::tempdir().unwrap();
    let object = compile(folder.path(), "program.c", C, &["-O1"]);
    let mut arguments = vec!["--no-entry".to_owned(), format!("-L{WASI}")];
    arguments.push(object.display().to_string());
    arguments.extend(["-lc".to_owned(), runtime()]);
    compare("reactor", &arguments, false);
}

#[test]
fn cpp_programs() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [&["-O0", "-fno-exceptions"][..], &["-O2", "-fno-exceptions"]] {
        let object = compile(folder.path(), "program.cpp", CPP, flags);
        let libraries = ["-lc++", "-lc++abi"];
        compare(&format!("{flags:?}"), &program(&[object], &libraries), true);
    }
}

/// Whatever links are named by `WASMEND_LINKS`: files of arguments, separated by colons.
#[test]
fn other_links() {
    let lists = std::env::var("WASMEND_LINKS").unwrap_or_default();
    for list in lists.split(':').filter(|list| !list.is_empty()) {
        compare(list, &[format!("@{list}")], false);
    }
}
