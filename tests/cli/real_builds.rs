//! Build systems that start a linker for each build, twenty edits with each: CMake with static libraries, make with archives, a
//! workspace of Cargo's, Zig. After each edit the program does what it has to, the output is equivalent to a link from nothing,
//! and it was patched, but for two builds in twenty. Needs what `setups` needs; Cargo also rustc-web, cargo-web and rust-web-src.
//!
//! Run: `cmake --build`, `make`, `cargo build` and `zig build-obj`, with `WASMEND_STATE=1` and wasmend for a linker. With
//! `--nocapture` it is said how long the links took by wasmend's log, and processes of wasm-ld-19 with the same arguments; `WASMEND_PROGRAM`
//! names another build of wasmend.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;
use wasmend::engine::{Engine, Imports, Value};
use wasmend::inspect::verify;

use crate::setups::TOOLCHAIN;
use crate::support::command::program as tool;
use crate::support::toolchain::run;
use crate::support::wasi::run_command;

const EDITS: usize = 20;
/// So many of them may be linked from nothing, or written anew.
const MOST_RELINKS: usize = 2;

/// A project in a folder, and a linker in it that notes its arguments.
struct Project {
    folder: tempfile::TempDir,
    linker: PathBuf,
    /// What was said of each link behind the first.
    links: Vec<Json>,
    theirs: Vec<Duration>,
}

/// The linker: wasmend with state, and behind it, since compilers remove what they had linked, wasmend without and wasm-ld.
const SCRIPT: &str = r#"#!/bin/bash
[ "$1" = -flavor ] && shift 2
'@PROGRAM@' ld "$@" || exit
others=()
while [ $# -gt 0 ]; do
    case $1 in
    -o) shift; realpath "$1" > '@FOLDER@/linked' ;;
    *) others+=("$1") ;;
    esac
    shift
done
rm -f '@FOLDER@/fresh.wasm'
'@PROGRAM@' ld --no-state "${others[@]}" -o '@FOLDER@/fresh.wasm' || exit
began=${EPOCHREALTIME/./}
wasm-ld-19 "${others[@]}" -o '@FOLDER@/theirs.wasm' || exit
echo $((${EPOCHREALTIME/./} - began)) > '@FOLDER@/theirs.micros'
"#;

impl Project {
    fn new(files: &[(&str, String)]) -> Project {
        let folder = tempfile::tempdir().unwrap();
        let linker = folder.path().join("wasm-ld");
        let script = SCRIPT
            .replace("@FOLDER@", &folder.path().display().to_string())
            .replace("@PROGRAM@", &tool().display().to_string());
        fs::write(&linker, script).unwrap();
        fs::set_permissions(&linker, fs::Permissions::from_mode(0o755)).unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Project {
            folder,
            linker,
            links: Vec::new(),
            theirs: Vec::new(),
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("WASMEND_STATE", "1");
        command.env_remove("WASMEND_STATE_UNUSABLE");
        command
    }

    /// Checks the output of a build: it is what a link from nothing makes of the arguments that the linker got. Notes what the log
    /// says of it, and how long wasm-ld takes.
    fn check(&mut self, output: &Path, is_first: bool, context: &str) {
        let differences = self.compare(output, is_first);
        assert!(differences.is_empty(), "{context}: {differences:?}");
    }

    /// As [`check`](Project::check), but that the differences are returned.
    fn compare(&mut self, output: &Path, is_first: bool) -> Vec<String> {
        let fresh = fs::read(self.place("fresh.wasm")).unwrap();
        let report = verify(&fs::read(output).unwrap(), &fresh).unwrap();
        let differences: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        let took = fs::read_to_string(self.place("theirs.micros")).unwrap();
        let took = Duration::from_micros(took.trim().parse().unwrap());
        let linked = fs::read_to_string(self.place("linked")).unwrap();
        let linked = Path::new(linked.trim());
        let name = linked.file_name().unwrap().to_str().unwrap();
        let log = format!(".wasmend/{name}.log");
        let log = fs::read_to_string(linked.parent().unwrap().join(log)).unwrap();
        if !is_first {
            self.links
                .push(serde_json::from_str(log.lines().last().unwrap()).unwrap());
            self.theirs.push(took);
        }
        differences
    }

    /// How the links behind the first went.
    fn conclude(&self, name: &str) {
        assert_eq!(self.links.len(), EDITS, "{name}");
        let outcome = |link: &&Json| link["outcome"].as_str().unwrap().to_owned();
        let relinks: Vec<&Json> = self
            .links
            .iter()
            .filter(|link| ["linked", "rebuilt"].contains(&&*outcome(link)))
            .collect();
        let patched: Vec<&Json> = self
            .links
            .iter()
            .filter(|link| outcome(link) == "patched")
            .collect();
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let micros = |link: &&Json| link["micros"].as_f64().unwrap();
        let ours = median(patched.iter().map(micros).collect());
        let theirs = median(
            self.theirs
                .iter()
                .map(|took| took.as_secs_f64() * 1e6)
                .collect(),
        );
        let written = median(
            patched
                .iter()
                .map(|link| link["bytes_written"].as_f64().unwrap())
                .collect(),
        );
        let whole = self.links[0]["file_bytes"].as_u64().unwrap();
        println!(
            "{name}: {} of {EDITS} patched in {:.1} ms, {written} of {whole} bytes; wasm-ld {:.1} ms; relinks {:?}",
            patched.len(),
            ours / 1e3,
            theirs / 1e3,
            relinks
                .iter()
                .map(|link| &link["reason"])
                .collect::<Vec<_>>()
        );
        assert!(relinks.len() <= MOST_RELINKS, "{name}: {relinks:#?}");
        assert!(
            patched.len() >= EDITS - MOST_RELINKS - 2,
            "{name}: {:#?}",
            self.links
        );
    }
}

fn said(program: &Path) -> String {
    let output = run_command(&fs::read(program).unwrap(), &["program"], b"").unwrap();
    assert_eq!(output.exit_code, 0);
    String::from_utf8(output.stdout).unwrap()
}

/// A part of each program: what its function computes is known without running it.
#[derive(Debug, Clone)]
struct Part {
    name: &'static str,
    factor: i32,
    text: String,
    /// How many functions it has besides.
    more: i32,
}

impl Part {
    fn all() -> [Part; 3] {
        [("alpha", 3), ("beta", 5), ("delta", 7)].map(|(name, factor)| Part {
            name,
            factor,
            text: format!("{name} says"),
            more: 1,
        })
    }

    fn value(&self, x: i32) -> i32 {
        let own = (0..3).map(|at| (x + at) * self.factor + 1).sum::<i32>();
        let more = (0..self.more).map(|at| x + at).sum::<i32>();
        own + more + self.text.len() as i32
    }

    /// A text for each of the functions that it has besides.
    fn for_more(&self, text: impl Fn(i32) -> String) -> String {
        (0..self.more).map(text).collect()
    }

    fn c(&self) -> String {
        let Part {
            name, factor, text, ..
        } = self;
        let functions = self.for_more(|at| {
            format!("__attribute__((noinline)) static int more{at}(int x) {{ return x + {at}; }}\n")
        });
        let calls = self.for_more(|at| format!(" sum += more{at}(x);"));
        format!(
            "#include <string.h>\nconst char *text_{name} = \"{text}\";\n\
             __attribute__((noinline)) static int own(int x) {{ return x * {factor} + 1; }}\n{functions}\
             int {name}(int x) {{ int sum = 0; for (int i = 0; i < 3; i++) sum += own(x + i);\n\
             {calls} return sum + (int)strlen(text_{name}); }}\n"
        )
    }

    fn rust(&self) -> String {
        let Part {
            name, factor, text, ..
        } = self;
        let functions = self
            .for_more(|at| format!("#[inline(never)] fn more{at}(x: i32) -> i32 {{ x + {at} }}\n"));
        let calls = self.for_more(|at| format!(" sum += more{at}(x);"));
        format!(
            "#[inline(never)] fn own(x: i32) -> i32 {{ x * {factor} + 1 }}\n{functions}\
             pub fn {name}(x: i32) -> i32 {{ let mut sum: i32 = (0..3).map(|at| own(x + at)).sum();\n\
             {calls} sum + format!(\"{{}}\", \"{text}\").len() as i32 }}\n"
        )
    }

    fn zig(&self) -> String {
        let Part {
            name, factor, text, ..
        } = self;
        let functions = self
            .for_more(|at| format!("noinline fn more{at}(x: i32) i32 {{ return x +% {at}; }}\n"));
        let calls = self.for_more(|at| format!(" sum +%= more{at}(x);"));
        format!(
            "var text: []const u8 = \"{text}\";\nnoinline fn own(x: i32) i32 {{ return x *% {factor} +% 1; }}\n{functions}\
             pub fn {name}(x: i32) i32 {{ var sum: i32 = 0; var i: i32 = 0;\n\
             while (i < 3) : (i += 1) sum +%= own(x +% i);\n{calls} return sum +% @as(i32, @intCast(text.len)); }}\n"
        )
    }

    /// One of the things that people do to a part: a number, a text, a function more, one less.
    fn edit(&mut self, at: usize) {
        match at % 5 {
            0 | 3 => self.factor += 2 + at as i32,
            1 => self.text += " and says more",
            2 => self.more += 1,
            _ => self.more -= 1,
        }
    }
}

/// What the programs that return a number return.
fn answer_of(parts: &[Part; 3], x: i32) -> i32 {
    let [alpha, beta, delta] = parts;
    alpha.value(x) + 31 * beta.value(x + 1) + 961 * delta.value(x + 2)
}

/// Which part is edited in a step; the one behind the last is the program itself.
fn edited(at: usize) -> usize {
    [0, 0, 1, 3, 2, 1, 2, 0, 3, 1, 2, 2, 0, 1, 3, 0, 1, 2, 2, 0][at]
}

fn c_main(start: &str) -> String {
    format!(
        "#include <stdio.h>\nint alpha(int); int beta(int); int delta(int);\n\
         int main(void) {{ printf(\"%s %d %d %d\\n\", \"{start}\", alpha(1), beta(2), delta(3)); }}\n"
    )
}

/// Edits a program in C step by step, and builds it by a command.
fn edit_c(project: &mut Project, name: &str, build: impl Fn(&Project), output: &str) {
    let mut parts = Part::all();
    let mut start = "start".to_owned();
    let output = project.place(output);
    for step in 0..=EDITS {
        if let Some(at) = step.checked_sub(1) {
            match parts.get_mut(edited(at)) {
                Some(part) => {
                    part.edit(at);
                    let file = format!("{}.c", part.name);
                    fs::write(project.place(&file), part.c()).unwrap();
                }
                None => {
                    start += " again";
                    fs::write(project.place("main.c"), c_main(&start)).unwrap();
                }
            }
        }
        build(project);
        let [alpha, beta, delta] = &parts;
        let numbers = format!("{} {} {}", alpha.value(1), beta.value(2), delta.value(3));
        assert_eq!(
            said(&output),
            format!("{start} {numbers}\n"),
            "{name} {step}"
        );
        project.check(&output, step == 0, &format!("{name} {step}"));
    }
    project.conclude(name);
}

fn c_files() -> Vec<(&'static str, String)> {
    let [alpha, beta, delta] = Part::all();
    vec![
        ("main.c", c_main("start")),
        ("alpha.c", alpha.c()),
        ("beta.c", beta.c()),
        ("delta.c", delta.c()),
    ]
}

const PROJECT: &str = r#"
cmake_minimum_required(VERSION 3.20)
project(app C CXX)
set(CMAKE_BUILD_TYPE Debug)
add_library(alpha STATIC alpha.c)
add_library(beta STATIC beta.c)
add_library(delta STATIC delta.c)
add_executable(app main.c)
set_target_properties(app PROPERTIES SUFFIX .wasm)
target_link_libraries(app alpha beta delta)
"#;

#[test]
fn cmake_with_static_libraries_gets_patches() {
    let mut project = Project::new(&c_files());
    let toolchain = TOOLCHAIN.replace("@LINKER@", &project.linker.display().to_string());
    fs::write(project.place("toolchain.cmake"), toolchain).unwrap();
    fs::write(project.place("CMakeLists.txt"), PROJECT).unwrap();
    let file = format!(
        "-DCMAKE_TOOLCHAIN_FILE={}",
        project.place("toolchain.cmake").display()
    );
    run(project
        .command("cmake")
        .args(["-S", ".", "-B", "build", &file]));
    let build = |project: &Project| {
        run(project.command("cmake").args(["--build", "build"]));
    };
    edit_c(&mut project, "CMake", build, "build/app.wasm");
}

const MAKEFILE: &str = "
CC = clang-19 --target=wasm32-wasi
app.wasm: main.o libparts.a
\t$(CC) -fuse-ld=$(LINKER) main.o -L. -lparts -o app.wasm
libparts.a: alpha.o beta.o delta.o
\trm -f $@; llvm-ar-19 rcs $@ $^
%.o: %.c
\t$(CC) -O1 -g -c $< -o $@
";

#[test]
fn make_with_an_archive_gets_patches() {
    let mut project = Project::new(&c_files());
    fs::write(project.place("Makefile"), MAKEFILE).unwrap();
    let build = |project: &Project| {
        let linker = format!("LINKER={}", project.linker.display());
        run(project.command("make").args(["-s", &linker]));
    };
    edit_c(&mut project, "make", build, "app.wasm");
}

const WORKSPACE: &str =
    "[workspace]\nmembers = [\"alpha\", \"beta\", \"delta\", \"app\"]\nresolver = \"3\"\n";

const CONFIG: &str = r#"
[target.wasm32-unknown-unknown]
linker = "@LINKER@"

[source.crates-io]
replace-with = "library"

[source.library]
directory = "/usr/lib/rustlib/src/rust/library/vendor"
"#;

fn rust_main(at: usize) -> String {
    format!(
        "#[unsafe(no_mangle)] pub extern \"C\" fn answer(x: i32) -> i32 {{\n\
         let [a, b, d] = [alpha::alpha(x), beta::beta(x + 1), delta::delta(x + 2)];\n\
         std::hint::black_box({at}); a + 31 * b + 961 * d }}\n"
    )
}

fn number(program: &Path, x: i32) -> i32 {
    let bytes = fs::read(program).unwrap();
    let imports = Imports::new().stubs();
    let mut instance = Engine::new().instantiate(&bytes, &imports).unwrap();
    match instance.call("answer", &[Value::I32(x)]).unwrap()[..] {
        [Value::I32(value)] => value,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_workspace_of_cargo_gets_patches() {
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
    };
    let app = "[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nalpha = { path = \"../alpha\" }\n\
               beta = { path = \"../beta\" }\ndelta = { path = \"../delta\" }\n";
    let mut parts = Part::all();
    let mut project = Project::new(&[
        ("Cargo.toml", WORKSPACE.to_owned()),
        ("app/Cargo.toml", manifest("app", app)),
        ("app/src/lib.rs", rust_main(0)),
    ]);
    for part in &parts {
        for (file, text) in [
            ("Cargo.toml", manifest(part.name, "")),
            ("src/lib.rs", part.rust()),
        ] {
            let path = project.place(part.name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    // Cargo takes it for a linker that is many.
    let linker = project.place("wasmend");
    let script = fs::read_to_string(&project.linker).unwrap();
    fs::write(&linker, script).unwrap();
    fs::set_permissions(&linker, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(project.place(".cargo")).unwrap();
    let config = CONFIG.replace("@LINKER@", &linker.display().to_string());
    fs::write(project.place(".cargo/config.toml"), config).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workspace");
    let output = target.join("wasm32-unknown-unknown/debug/app.wasm");
    let name = "Cargo";
    for step in 0..=EDITS {
        if let Some(at) = step.checked_sub(1) {
            match parts.get_mut(edited(at)) {
                Some(part) => {
                    part.edit(at);
                    let file = format!("{}/src/lib.rs", part.name);
                    fs::write(project.place(&file), part.rust()).unwrap();
                }
                None => fs::write(project.place("app/src/lib.rs"), rust_main(at)).unwrap(),
            }
        }
        let mut cargo = project.command("/usr/bin/cargo");
        cargo.args(["build", "--offline", "-Zbuild-std=std,panic_abort"]);
        cargo
            .args(["--target", "wasm32-unknown-unknown"])
            .env_clear();
        cargo
            .env("HOME", project.folder.path())
            .env("PATH", "/usr/bin:/bin");
        cargo
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTC", "/usr/bin/rustc");
        // The library can only be built by compilers that allow what is not stable.
        cargo
            .env("RUSTC_BOOTSTRAP", "1")
            .env("WASMEND_STATE", "1")
            .env("CARGO_INCREMENTAL", "1");
        run(&mut cargo);
        assert_eq!(number(&output, 5), answer_of(&parts, 5), "{name} {step}");
        project.check(&output, step == 0, &format!("{name} {step}"));
    }
    project.conclude(name);
}

fn zig_main(at: usize) -> String {
    format!(
        "const alpha = @import(\"alpha.zig\");\nconst beta = @import(\"beta.zig\");\nconst delta = @import(\"delta.zig\");\n\
         var seen: i32 = {at};\nexport fn answer(x: i32) i32 {{ seen +%= {at};\n\
         return seen +% alpha.alpha(x) +% 31 *% beta.beta(x +% 1) +% 961 *% delta.delta(x +% 2); }}\n"
    )
}

#[test]
fn zig_objects_get_patches() {
    let mut parts = Part::all();
    let mut project = Project::new(&[("main.zig", zig_main(0))]);
    let write = |project: &Project, part: &Part| {
        fs::write(project.place(&format!("{}.zig", part.name)), part.zig()).unwrap();
    };
    parts.iter().for_each(|part| write(&project, part));
    // What the program keeps in a variable, and adds to it when it is called.
    let mut seen = 0;
    let output = project.place("app.wasm");
    for step in 0..=EDITS {
        if let Some(at) = step.checked_sub(1) {
            match parts.get_mut(edited(at)) {
                Some(part) => {
                    part.edit(at);
                    let part = part.clone();
                    write(&project, &part);
                }
                None => {
                    fs::write(project.place("main.zig"), zig_main(at)).unwrap();
                    seen = at as i32;
                }
            }
        }
        let mut zig = project.command("zig");
        zig.args([
            "build-obj",
            "-target",
            "wasm32-freestanding",
            "-ODebug",
            "main.zig",
        ]);
        zig.arg("-femit-bin=main.o");
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zig");
        zig.env("ZIG_GLOBAL_CACHE_DIR", cache)
            .env("ZIG_LOCAL_CACHE_DIR", project.place("cache"));
        run(&mut zig);
        let mut link = Command::new(&project.linker);
        link.args([
            "--no-entry",
            "--export=answer",
            "--allow-undefined",
            "main.o",
            "-o",
            "app.wasm",
        ]);
        run(link
            .current_dir(project.folder.path())
            .env("WASMEND_STATE", "1"));
        let expected = answer_of(&parts, 5) + 2 * seen;
        assert_eq!(number(&output, 5), expected, "Zig {step}");
        // Zig's data has no names in the file, and from addresses alone nobody can tell where one piece ends: what is said of
        // data that a function names may be the piece behind it. What it comes to when it runs is compared, and all code is.
        let differences = project.compare(&output, step == 0);
        let of_data = |difference: &&String| difference.starts_with("data named by function");
        let of_code: Vec<&String> = differences.iter().filter(|one| !of_data(one)).collect();
        assert!(of_code.is_empty(), "Zig {step}: {of_code:?}");
        assert_eq!(
            number(&project.place("fresh.wasm"), 5),
            expected,
            "Zig {step}"
        );
    }
    project.conclude("Zig");
}
