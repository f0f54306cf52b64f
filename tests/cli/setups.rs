//! The set-ups of the README: clang, CMake and Zig with wasmend for a linker. (Cargo's is tested with the Rust programs.)
//! Needs clang-19, lld-19, wasi-libc, cmake, and a `zig` that can be found.
//!
//! Run: `clang -fuse-ld=WASMEND main.c`, `cmake --build`, `zig build-obj` and `wasmend ld`, on programs of a few lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::command::wasmend;
use crate::support::toolchain::{self, run};
use crate::support::wasi::run_command;
use wasmend::engine::{Engine, Imports, Value};

/// A folder with wasmend under the name that drivers look for.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let linker = folder.path().join("wasm-ld");
    std::os::unix::fs::symlink(wasmend(), &linker).unwrap();
    (folder, linker)
}

fn said(program: &Path) -> String {
    let bytes = fs::read(program).unwrap();
    let output = run_command(&bytes, &["program"], b"").unwrap();
    assert_eq!(output.exit_code, 0);
    String::from_utf8(output.stdout).unwrap()
}

/// Whether it has the section that says which version of what patchable output it is.
fn is_ours(program: &Path) -> bool {
    let bytes = fs::read(program).unwrap();
    bytes.windows(8).any(|window| window == b"\x07wasmend")
}

const HELLO: &str = r#"
#include <stdio.h>
int twice(int);
int main(void) { printf("%s %d\n", "hello", twice(21)); }
"#;

#[test]
fn clang() {
    let (folder, linker) = folder();
    let (main, util) = (folder.path().join("main.c"), folder.path().join("util.c"));
    fs::write(&main, HELLO).unwrap();
    fs::write(&util, "int twice(int x) { return 2 * x; }\n").unwrap();
    let program = folder.path().join("app.wasm");
    for (compiling, linking) in [("-g", "-g"), ("-O2", "-s"), ("-O1", "-Wl,--no-incremental")] {
        // The command that links is not told to optimise: it would run wasm-opt behind the linker.
        let objects = [&main, &util].map(|source| {
            let object = source.with_extension("o");
            run(Command::new("clang-19")
                .args(["--target=wasm32-wasi", compiling, "-c"])
                .arg(source)
                .arg("-o")
                .arg(&object));
            object
        });
        run(Command::new("clang-19")
            .args(["--target=wasm32-wasi", linking])
            .arg(format!("-fuse-ld={}", linker.display()))
            .args(&objects)
            .arg("-o")
            .arg(&program));
        assert_eq!(said(&program), "hello 42\n", "{linking}");
        assert_eq!(
            is_ours(&program),
            linking != "-Wl,--no-incremental",
            "{linking}"
        );
    }
}

pub(crate) const TOOLCHAIN: &str = r#"
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_C_COMPILER_TARGET wasm32-wasi)
set(CMAKE_CXX_COMPILER_TARGET wasm32-wasi)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-fuse-ld=@LINKER@")
set(CMAKE_C_LINK_EXECUTABLE "<CMAKE_C_COMPILER> <LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES>")
set(CMAKE_CXX_LINK_EXECUTABLE "<CMAKE_CXX_COMPILER> <LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES>")
"#;

const PROJECT: &str = r#"
cmake_minimum_required(VERSION 3.20)
project(app C CXX)
add_library(util STATIC util.c)
add_executable(app main.c more.cpp)
target_compile_options(app PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
set_target_properties(app PROPERTIES SUFFIX .wasm)
target_link_libraries(app util)
"#;

const MORE: &str = r#"
#include <cstdio>
#include <string>
extern "C" void more(void) { std::string text = "more"; std::puts((text + "!").c_str()); }
"#;

/// A build, and another one behind an edit; the objects of the program are in both, under the same names.
#[test]
fn cmake() {
    let (folder, linker) = folder();
    let place = |name: &str| folder.path().join(name);
    let toolchain = TOOLCHAIN.replace("@LINKER@", &linker.display().to_string());
    let main = HELLO.replace(
        "int main(void) {",
        "void more(void);\nint main(void) { more();",
    );
    fs::write(place("toolchain.cmake"), toolchain).unwrap();
    fs::write(place("CMakeLists.txt"), PROJECT).unwrap();
    fs::write(place("main.c"), &main).unwrap();
    fs::write(place("more.cpp"), MORE).unwrap();
    fs::write(place("util.c"), "int twice(int x) { return 2 * x; }\n").unwrap();
    let build = place("build");
    run(Command::new("cmake")
        .arg("-S")
        .arg(folder.path())
        .arg("-B")
        .arg(&build)
        .arg(format!(
            "-DCMAKE_TOOLCHAIN_FILE={}",
            place("toolchain.cmake").display()
        )));
    let make = || run(Command::new("cmake").arg("--build").arg(&build));
    make();
    let program = build.join("app.wasm");
    assert_eq!(said(&program), "more!\nhello 42\n");
    assert!(is_ours(&program));
    let objects = build.join("CMakeFiles/app.dir");
    let mut steps = Vec::new();
    for (at, edit) in ["hello", "good morning"].into_iter().enumerate() {
        fs::write(place("main.c"), main.replace("hello", edit)).unwrap();
        make();
        let step = place(&format!("step{at}"));
        fs::create_dir(&step).unwrap();
        for object in ["main.c.obj", "more.cpp.obj"] {
            fs::copy(objects.join(object), step.join(object)).unwrap();
        }
        steps.extend(["--step".to_owned(), step.display().to_string()]);
    }
    assert_eq!(said(&program), "more!\ngood morning 42\n");
    let patched = place("patched.wasm");
    let objects = [PathBuf::from("main.c.obj"), PathBuf::from("more.cpp.obj")];
    let library = build.join("libutil.a").display().to_string();
    let arguments = toolchain::arguments(&objects, &[&library, "-lc++", "-lc++abi"]);
    let events = run(Command::new(wasmend())
        .args(["--json", "replay-ld", "--verify"])
        .args(steps)
        .arg("--")
        .args(arguments)
        .arg("-o")
        .arg(&patched));
    assert!(events.contains(r#""outcome":"patched""#), "{events}");
    assert_eq!(said(&patched), said(&program));
}

const ZIG: &str = r#"
const std = @import("std");
extern fn note(value: u32) void;
var buffer: [4096]u8 = undefined;
export fn answer(seed: u32) u32 {
    var sum: u32 = seed;
    const text = std.fmt.bufPrint(&buffer, "{d} and {x}", .{ seed, seed *% 31 }) catch return 0;
    for (text) |byte| sum = sum *% 31 +% byte;
    note(sum);
    return sum;
}
"#;

/// Zig links by itself; its objects can be linked, and patched, by wasmend.
#[test]
fn zig() {
    let (folder, _) = folder();
    let place = |name: &str| folder.path().join(name);
    let zig = |arguments: &[&str]| {
        run(Command::new("zig")
            .args(arguments)
            .current_dir(folder.path())
            .env(
                "ZIG_GLOBAL_CACHE_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("zig"),
            )
            .env("ZIG_LOCAL_CACHE_DIR", place("cache")))
    };
    for mode in ["-ODebug", "-OReleaseSmall"] {
        let mut steps = Vec::new();
        for (at, factor) in ["31", "37"].into_iter().enumerate() {
            fs::write(place("answer.zig"), ZIG.replace("31", factor)).unwrap();
            let step = place(&format!("step{at}{mode}"));
            fs::create_dir(&step).unwrap();
            let object = format!("-femit-bin={}", step.join("answer.o").display());
            zig(&[
                "build-obj",
                "-target",
                "wasm32-freestanding",
                mode,
                "answer.zig",
                &object,
            ]);
            steps.push(step);
        }
        let line = ["--no-entry", "--export=answer", "--allow-undefined"];
        let output = place("answer.wasm");
        let events = run(Command::new(wasmend())
            .args(["--json", "replay-ld", "--verify", "--step"])
            .arg(&steps[0])
            .arg("--step")
            .arg(&steps[1])
            .arg("--")
            .args(line)
            .args(["answer.o", "-o"])
            .arg(&output));
        assert!(events.contains(r#""outcome":"patched""#), "{events}");
        let mut arguments = line.map(str::to_owned).to_vec();
        arguments.push(steps[1].join("answer.o").display().to_string());
        let call = |bytes: &[u8]| {
            let imports = Imports::new().stubs();
            let mut instance = Engine::new().instantiate(bytes, &imports).unwrap();
            instance.call("answer", &[Value::I32(5)]).unwrap()
        };
        let ours = call(&fs::read(&output).unwrap());
        assert_eq!(ours, call(&toolchain::wasm_ld(&arguments)));
    }
    // C, with the libraries of wasi-libc.
    fs::write(place("main.c"), HELLO).unwrap();
    fs::write(place("util.c"), "int twice(int x) { return 2 * x; }\n").unwrap();
    for name in ["main", "util"] {
        let (source, object) = (format!("{name}.c"), format!("{name}.o"));
        // In a debug build it checks for what is undefined, with functions of a library of its own.
        zig(&[
            "cc",
            "-target",
            "wasm32-wasi",
            "-O2",
            "-c",
            &source,
            "-o",
            &object,
        ]);
    }
    let objects = [place("main.o"), place("util.o")];
    let program = place("app.wasm");
    run(Command::new(wasmend())
        .arg("ld")
        .args(toolchain::arguments(&objects, &[]))
        .arg("-o")
        .arg(&program));
    assert_eq!(said(&program), "hello 42\n");
}
