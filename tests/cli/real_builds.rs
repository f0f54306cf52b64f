//! Build systems that start a linker for each build, twenty edits with each: CMake with static libraries, make with archives, a
//! workspace of Cargo's for each of Rust's targets, Zig. After each edit the program does what it has to, the output is equivalent to a link from nothing,
//! and it was patched, but for two builds in twenty. Needs what `setups` needs; Cargo also rustc-web (with its
//! wasm-component-ld), cargo-web and rust-web-src.
//!
//! Run: `cmake --build`, `make`, `cargo build` and `zig build-obj`, with `WASMEND_STATE=1` and wasmend for a linker. With
//! `--nocapture` it is said how much time of processors links took, and those of wasm-ld-19 with the same arguments; `WASMEND_PROGRAM`
//! names another build of wasmend.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    /// Whether the state is kept in a folder of its own, because the linker's output goes to a new folder each time.
    keeps_apart: bool,
    /// Whether a process stays that links for the others.
    stays: bool,
    /// What was said of each link behind the first.
    links: Vec<Json>,
    /// How much time of processors processes took, in milliseconds: the first link, those behind it, links of the same once more, and wasm-ld's.
    first: f64,
    ours: Vec<f64>,
    again: Vec<f64>,
    theirs: Vec<f64>,
}

/// The linker: wasmend with state, and behind it, since compilers remove what they had linked, the same once more, wasmend without
/// state and wasm-ld.
const SCRIPT: &str = r#"#!/bin/bash
[ "$1" = -flavor ] && shift 2
timed() {
    local name=$1 TIMEFORMAT='%3U %3S'
    shift
    { time "$@" 2>&3 || exit; } 3>&2 2> "@FOLDER@/$name.times"
}
timed ours '@PROGRAM@' ld "$@"
sleep 0.05
timed again '@PROGRAM@' ld "$@"
others=()
while [ $# -gt 0 ]; do
    case $1 in
    -o) shift; realpath "$1" > '@FOLDER@/linked'; cp "$1" '@FOLDER@/linked.wasm' || exit ;;
    *) others+=("$1") ;;
    esac
    shift
done
rm -f '@FOLDER@/fresh.wasm'
'@PROGRAM@' ld --no-state "${others[@]}" -o '@FOLDER@/fresh.wasm' || exit
timed theirs wasm-ld-19 "${others[@]}" -o '@FOLDER@/theirs.wasm'
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
            keeps_apart: false,
            stays: false,
            links: Vec::new(),
            first: 0.0,
            ours: Vec::new(),
            again: Vec::new(),
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
        if self.stays {
            command
                .env("WASMEND_DAEMON", "1")
                .env("WASMEND_DAEMON_IDLE", "20");
        }
        command
    }

    /// A command of Cargo's, which sees nothing of what else is set, for its output may depend on it.
    fn cargo(&self, target: &str, built: &Path) -> Command {
        let mut cargo = self.command("/usr/bin/cargo");
        cargo.args(["build", "--offline", "-Zbuild-std=std,panic_abort"]);
        cargo.args(["--target", target]).env_clear();
        cargo
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin");
        cargo
            .env("CARGO_TARGET_DIR", built)
            .env("RUSTC", "/usr/bin/rustc");
        // The library can only be built by compilers that allow what is not stable.
        cargo
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_INCREMENTAL", "1");
        match self.keeps_apart {
            true => cargo.env("WASMEND_STATE_DIR", self.place("states")),
            false => cargo.env("WASMEND_STATE", "1"),
        };
        cargo
    }

    /// Where the links that were asked for are told of.
    fn log(&self) -> PathBuf {
        if self.keeps_apart {
            let entries = fs::read_dir(self.place("states/.wasmend")).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            let is_log = |path: &PathBuf| path.extension().is_some_and(|it| it == "log");
            let logs: Vec<PathBuf> = paths.filter(is_log).collect();
            // Another one would be of a link that has not found what is kept of those before.
            assert_eq!(logs.len(), 1, "{logs:?}");
            return logs[0].clone();
        }
        let linked = fs::read_to_string(self.place("linked")).unwrap();
        let linked = Path::new(linked.trim());
        let name = linked.file_name().unwrap().to_str().unwrap();
        linked
            .parent()
            .unwrap()
            .join(format!(".wasmend/{name}.log"))
    }

    /// Checks the output of a build: it is what a link from nothing makes of the arguments that the linker got. Notes what the log
    /// says of it, and how long wasm-ld takes.
    fn check(&mut self, output: &Path, is_first: bool, context: &str) {
        let differences = self.compare(output, is_first);
        assert!(differences.is_empty(), "{context}: {differences:?}");
    }

    /// As [`check`](Project::check), but for data that a function names: the data of some compilers has no names in the file, and from
    /// addresses alone nobody can tell where one piece ends, so that it may be the piece behind it that differs. What the program comes to
    /// when it runs is compared, and all code is.
    fn check_code(&mut self, output: &Path, is_first: bool, context: &str) {
        let differences = self.compare(output, is_first);
        let of_data = |difference: &&String| difference.starts_with("data named by function");
        let of_code: Vec<&String> = differences.iter().filter(|one| !of_data(one)).collect();
        assert!(of_code.is_empty(), "{context}: {of_code:?}");
    }

    /// As [`check`](Project::check), but that the differences are returned.
    fn compare(&mut self, output: &Path, is_first: bool) -> Vec<String> {
        let fresh = fs::read(self.place("fresh.wasm")).unwrap();
        let report = verify(&fs::read(output).unwrap(), &fresh).unwrap();
        let differences: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        let took = |name: &str| {
            let took = fs::read_to_string(self.place(&format!("{name}.times"))).unwrap();
            let seconds = took
                .split_whitespace()
                .map(|part| part.parse::<f64>().unwrap());
            seconds.sum::<f64>() * 1e3
        };
        let [ours, again, theirs] = ["ours", "again", "theirs"].map(took);
        self.again.push(again);
        self.theirs.push(theirs);
        match is_first {
            true => self.first = ours,
            false => self.ours.push(ours),
        }
        // Behind each link there was another one, of the same.
        let log = fs::read_to_string(self.log()).unwrap();
        let mut lines = log
            .lines()
            .rev()
            .map(|line| serde_json::from_str(line).unwrap());
        let [same, link]: [Json; 2] = [lines.next().unwrap(), lines.next().unwrap()];
        // A state that has grown too much is made anew by the next link that has to look into it: then that is the edit's.
        let has_grown = same["code"] == "S09";
        assert!(has_grown || same["outcome"] == "unchanged", "{same}");
        if !is_first {
            self.links.push(if has_grown { same } else { link });
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
        let written = median(
            patched
                .iter()
                .map(|link| link["bytes_written"].as_f64().unwrap())
                .collect(),
        );
        let whole = self.links[0]["file_bytes"].as_u64().unwrap();
        println!(
            "{name}: first link {:.1} ms, nothing changed {:.1} ms; {} of {EDITS} patched, {:.1} ms, {written} of {whole} bytes; \
             wasm-ld {:.1} ms; relinks {:?}",
            self.first,
            median(self.again.clone()),
            patched.len(),
            median(self.ours.clone()),
            median(self.theirs.clone()),
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

#[test]
fn make_with_an_archive_gets_patches_from_a_process_that_stays() {
    let mut project = Project::new(&c_files());
    project.stays = true;
    fs::write(project.place("Makefile"), MAKEFILE).unwrap();
    let build = |project: &Project| {
        let linker = format!("LINKER={}", project.linker.display());
        run(project.command("make").args(["-s", &linker]));
    };
    edit_c(&mut project, "make, one stays", build, "app.wasm");
    // They were made by one, which nobody waits for who starts it.
    let listens = std::os::unix::net::UnixStream::connect(project.place(".wasmend/app.wasm.sock"));
    assert!(listens.is_ok(), "none has stayed");
}

const WORKSPACE: &str =
    "[workspace]\nmembers = [\"alpha\", \"beta\", \"delta\", \"app\"]\nresolver = \"3\"\n";

/// Cargo's configuration; of the targets' options each takes its own.
const CONFIG: &str = r#"
[target.wasm32-unknown-unknown]
linker = "@LINKER@"

[target.wasm32-wasip1]
linker = "@LINKER@"
rustflags = [
    "-Clink-self-contained=no",
    "-Clink-arg=-L/usr/lib/wasm32-wasi",
    "-Clink-arg=/usr/lib/wasm32-wasi/crt1-command.o",
]

[target.wasm32-wasip2]
linker = "/usr/lib/rustlib/x86_64-unknown-linux-gnu/bin/wasm-component-ld"
rustflags = [
    "-Clink-self-contained=no",
    "-Clink-arg=-L/usr/lib/wasm32-wasi",
    "-Clink-arg=/usr/lib/wasm32-wasi/crt1-command.o",
    "-Clink-arg=--wasm-ld-path=@LINKER@",
]

[source.crates-io]
replace-with = "library"

[source.library]
directory = "@VENDOR@"
"#;

const VENDOR: &str = "/usr/lib/rustlib/src/rust/library/vendor";

fn rust_library(at: usize) -> String {
    format!(
        "#[unsafe(no_mangle)] pub extern \"C\" fn answer(x: i32) -> i32 {{\n\
         let [a, b, d] = [alpha::alpha(x), beta::beta(x + 1), delta::delta(x + 2)];\n\
         std::hint::black_box({at}); a + 31 * b + 961 * d }}\n"
    )
}

fn rust_program(at: usize) -> String {
    format!(
        "fn main() {{\n\
         let [a, b, d] = [alpha::alpha(1), beta::beta(2), delta::delta(3)];\n\
         println!(\"{{}} {{a}} {{b}} {{d}}\", std::hint::black_box({at})); }}\n"
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

/// Three libraries and what uses them.
fn make_workspace(project: &Project, parts: &[Part; 3], app: (&str, String), vendor: &str) {
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
    };
    let kind = match app.0 {
        "lib.rs" => "[lib]\ncrate-type = [\"cdylib\"]\n",
        _ => "",
    };
    let uses = parts
        .iter()
        .map(|part| format!("{0} = {{ path = \"../{0}\" }}\n", part.name));
    let app_manifest = format!("{kind}[dependencies]\n{}", uses.collect::<String>());
    // Cargo takes it for a linker that is many.
    let linker = project.place("wasmend");
    fs::copy(&project.linker, &linker).unwrap();
    let config = CONFIG
        .replace("@LINKER@", &linker.display().to_string())
        .replace("@VENDOR@", vendor);
    let mut files = vec![
        ("Cargo.toml".to_owned(), WORKSPACE.to_owned()),
        (".cargo/config.toml".to_owned(), config),
        ("app/Cargo.toml".to_owned(), manifest("app", &app_manifest)),
        (format!("app/src/{}", app.0), app.1),
    ];
    for part in parts {
        let name = part.name;
        files.push((format!("{name}/Cargo.toml"), manifest(name, "")));
        files.push((format!("{name}/src/lib.rs"), part.rust()));
    }
    for (name, text) in files {
        let path = project.place(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Edits a workspace step by step, and builds it. `check` looks at what came of it.
fn edit_workspace(
    project: &mut Project,
    target: &str,
    (file, main): (&str, fn(usize) -> String),
    vendor: &str,
    mut check: impl FnMut(&mut Project, &Path, &[Part; 3], usize, usize),
) {
    let mut parts = Part::all();
    make_workspace(project, &parts, (file, main(0)), vendor);
    // Each has a folder of its own: the library's sources are not the same for all, and Cargo would build it again and again.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("workspace-{target}"));
    let output = built.join(target).join("debug/app.wasm");
    let mut version = 0;
    for step in 0..=EDITS {
        if let Some(at) = step.checked_sub(1) {
            match parts.get_mut(edited(at)) {
                Some(part) => {
                    part.edit(at);
                    let file = format!("{}/src/lib.rs", part.name);
                    fs::write(project.place(&file), part.rust()).unwrap();
                }
                None => {
                    version = at;
                    let path = project.place("app/src").join(file);
                    fs::write(path, main(at)).unwrap();
                }
            }
        }
        run(&mut project.cargo(target, &built));
        check(project, &output, &parts, version, step);
    }
    project.conclude(target);
}

#[test]
fn a_workspace_of_cargo_gets_patches() {
    let mut project = Project::new(&[]);
    let target = "wasm32-unknown-unknown";
    edit_workspace(
        &mut project,
        target,
        ("lib.rs", rust_library),
        VENDOR,
        |project, output, parts, _, step| {
            assert_eq!(number(output, 5), answer_of(parts, 5), "{target} {step}");
            project.check(output, step == 0, &format!("{target} {step}"));
        },
    );
}

/// What the program says.
fn expected_of(parts: &[Part; 3], version: usize) -> String {
    let [alpha, beta, delta] = parts;
    let numbers = [alpha.value(1), beta.value(2), delta.value(3)];
    format!("{version} {} {} {}\n", numbers[0], numbers[1], numbers[2])
}

#[test]
fn a_workspace_of_cargo_gets_patches_for_wasi() {
    let mut project = Project::new(&[]);
    let target = "wasm32-wasip1";
    edit_workspace(
        &mut project,
        target,
        ("main.rs", rust_program),
        VENDOR,
        |project, output, parts, version, step| {
            let expected = expected_of(parts, version);
            assert_eq!(said(output), expected, "{target} {step}");
            project.check_code(output, step == 0, &format!("{target} {step}"));
            assert_eq!(
                said(&project.place("fresh.wasm")),
                expected,
                "{target} {step}"
            );
        },
    );
}

/// The sources of crates that the standard library is built from. That of wit-bindgen lacks an archive that the library does not
/// use, and wants to copy it.
fn vendor_with_archive(folder: &Path) {
    const LACKING: &str = "wit-bindgen-0.45.1";
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(VENDOR).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != LACKING {
            std::os::unix::fs::symlink(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    let (from, to) = (Path::new(VENDOR).join(LACKING), folder.join(LACKING));
    run(Command::new("cp").arg("-rL").arg(from).arg(&to));
    fs::write(to.join("src/rt/libwit_bindgen_cabi.a"), "!<arch>\n").unwrap();
}

/// The first module in a component: that which was made a component of.
fn module_of(component: &[u8]) -> &[u8] {
    assert!(component.starts_with(b"\0asm\x0d\0\x01\0"), "no component");
    let mut rest = &component[8..];
    while let [id, after @ ..] = rest {
        let digits = after.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let len = after[..digits].iter().rev();
        let len = len.fold(0, |len, byte| len << 7 | usize::from(byte & 0x7f));
        let (contents, behind) = after[digits..].split_at(len);
        if *id == 1 {
            return contents;
        }
        rest = behind;
    }
    panic!("there is no module in it");
}

/// There the linker is started by another one, which wants the output in a new folder each time, and removes it.
#[test]
fn a_workspace_of_cargo_gets_patches_for_components() {
    let mut project = Project::new(&[]);
    project.keeps_apart = true;
    let target = "wasm32-wasip2";
    let vendor = project.place("vendor");
    vendor_with_archive(&vendor);
    let mut folders = Vec::new();
    edit_workspace(
        &mut project,
        target,
        ("main.rs", rust_program),
        vendor.to_str().unwrap(),
        |project, output, parts, version, step| {
            let expected = expected_of(parts, version);
            let component = fs::read(output).unwrap();
            fs::write(project.place("module.wasm"), module_of(&component)).unwrap();
            assert_eq!(said(&project.place("module.wasm")), expected, "{step}");
            let linked = project.place("linked.wasm");
            assert_eq!(said(&linked), expected, "{target} {step}");
            project.check_code(&linked, step == 0, &format!("{target} {step}"));
            assert_eq!(
                said(&project.place("fresh.wasm")),
                expected,
                "{target} {step}"
            );
            folders.push(fs::read_to_string(project.place("linked")).unwrap());
        },
    );
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), EDITS + 1, "{folders:?}");
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
        project.check_code(&output, step == 0, &format!("Zig {step}"));
        assert_eq!(
            number(&project.place("fresh.wasm"), 5),
            expected,
            "Zig {step}"
        );
    }
    project.conclude("Zig");
}
