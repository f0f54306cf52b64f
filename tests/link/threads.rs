//! Outputs do not depend on how many threads make them, nor on who of them comes first: programs in C and C++ with debug
//! information, of whose templates most stand in each object. Needs clang-19, wasi-libc and libc++.
//!
//! Run: `wasmend ld --threads=N ARGS -o OUT` with several counts of threads, for each kind of output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::support::toolchain::{self, Sources, arguments, run};

const KINDS: [&[&str]; 5] = [
    &[],
    &["--live"],
    &["--no-incremental"],
    &["--no-incremental", "--strip-debug"],
    &["--strip-debug", "--redirect", "table"],
];

fn check(name: &str, objects: &[PathBuf], libraries: &[&str]) {
    check_arguments(name, &arguments(objects, libraries));
}

fn check_arguments(name: &str, arguments: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let link = |threads: usize| {
            // A module is called as its file is.
            let out = folder.path().join("out.wasm");
            run(Command::new(env!("CARGO_BIN_EXE_wasmend"))
                .args(["ld", &format!("--threads={threads}")])
                .args(kind)
                .args(arguments)
                .arg("-o")
                .arg(&out));
            std::fs::read(out).unwrap()
        };
        let one = link(1);
        for threads in [2, 4, 16] {
            for _ in 0..2 {
                assert!(
                    link(threads) == one,
                    "{name}: {threads} threads make another output with {kind:?}"
                );
            }
        }
    }
}

/// Objects that define the same templates, with some of their own.
fn templates() -> Sources {
    let unit = |number: usize| {
        format!(
            r#"
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
namespace {{ struct Own {{ int value = {number}; bool operator<(const Own &other) const {{ return value < other.value; }} }}; }}
template <int N> struct Step {{ static int of(int x) {{ return x + N; }} }};
inline std::map<std::string, std::vector<int>> &shared() {{ static std::map<std::string, std::vector<int>> all; return all; }}
int unit_{number}(int x) {{
    std::map<Own, std::unique_ptr<int>> own;
    own[Own()] = std::make_unique<int>(Step<{number}>::of(x));
    std::function<int(int)> function = [&](int y) {{ return *own.begin()->second + y; }};
    shared()["unit {number}"].push_back(function({number}));
    return (int)shared().size() + shared()["unit {number}"][0];
}}
"#
        )
    };
    let mut files: BTreeMap<String, String> = (0..8)
        .map(|number| (format!("unit_{number}.cpp"), unit(number)))
        .collect();
    let declared: String = (0..8).map(|at| format!("int unit_{at}(int);\n")).collect();
    let called: String = (0..8).map(|at| format!(" + unit_{at}(argc)")).collect();
    let main = format!("{declared}int main(int argc, char **) {{ return 0{called}; }}\n");
    files.insert("main.cpp".to_owned(), main);
    Sources {
        name: "templates",
        files,
        flags: vec!["-fno-exceptions".to_owned()],
        libraries: vec!["-lc++", "-lc++abi"],
    }
}

#[test]
fn outputs_of_cxx_do_not_depend_on_the_number_of_threads() {
    for sources in [templates(), toolchain::cpp()] {
        let objects: Vec<PathBuf> = sources.compile(&["-O0", "-g"]).into_values().collect();
        check(sources.name, &objects, &sources.libraries);
    }
}

#[test]
fn outputs_of_c_do_not_depend_on_the_number_of_threads() {
    let sources = toolchain::lua();
    let objects: Vec<PathBuf> = sources.compile(&["-O2", "-g"]).into_values().collect();
    check(sources.name, &objects, &sources.libraries);
}

/// Links of all objects but the first from an archive: of those that are needed, and of all.
#[test]
fn outputs_from_archives_do_not_depend_on_the_number_of_threads() {
    let sources = templates();
    let objects = sources.compile(&["-O0", "-g"]);
    let (main, others): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|(name, _)| name.starts_with("main"));
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("libunits.a");
    run(Command::new("llvm-ar-19")
        .arg("rcs")
        .arg(&archive)
        .args(others.into_iter().map(|(_, object)| object)));
    let main: Vec<PathBuf> = main.into_iter().map(|(_, object)| object).collect();
    let archive = archive.display().to_string();
    let mut needed: Vec<&str> = sources.libraries.clone();
    needed.insert(0, &archive);
    check("an archive", &main, &needed);
    let mut whole = arguments(&main, &sources.libraries);
    whole.extend(["--whole-archive", &archive, "--no-whole-archive"].map(str::to_owned));
    check_arguments("a whole archive", &whole);
}

/// More functions, names, strings and data than one thread takes at a time, wherever work is shared out.
fn many() -> Sources {
    let unit = |number: usize| {
        let mut text = format!("extern int next_{}_0(int);\n", (number + 1) % UNITS);
        for at in (0..FUNCTIONS).rev() {
            let callee = match at + 1 {
                FUNCTIONS => format!("next_{}_0", (number + 1) % UNITS),
                next => format!("next_{number}_{next}"),
            };
            text += &format!(
                "static const char name_{number}_{at}[] = \"function {at} of {number}\";\n\
                 static int table_{number}_{at}[64] = {{ {at}, 0, {number} }};\n\
                 __attribute__((noinline)) int next_{number}_{at}(int x) {{\n\
                 return x <= 0 ? name_{number}_{at}[-x] : {callee}(x - table_{number}_{at}[x & 63] - 1); }}\n"
            );
        }
        text
    };
    let files = (0..UNITS).map(|number| (format!("unit_{number}.c"), unit(number)));
    let mut files: BTreeMap<String, String> = files.collect();
    let main = "int next_0_0(int); int main(int argc, char **argv) { return next_0_0(argc); }\n";
    files.insert("main.c".to_owned(), main.to_owned());
    Sources {
        name: "many-functions",
        files,
        flags: Vec::new(),
        libraries: Vec::new(),
    }
}

const UNITS: usize = 24;
const FUNCTIONS: usize = 400;

#[test]
fn outputs_of_many_functions_do_not_depend_on_the_number_of_threads() {
    let sources = many();
    let objects: Vec<PathBuf> = sources.compile(&["-O1", "-g"]).into_values().collect();
    check(sources.name, &objects, &sources.libraries);
}
