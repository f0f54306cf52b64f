//! Outputs do not depend on how many threads make them, nor on who of them comes first: programs in C and C++ with debug
//! information, of whose templates most stand in each object. Needs clang-19, wasi-libc and libc++.
//!
//! Run: `wasmend ld --threads=N ARGS -o OUT` with several counts of threads, for each kind of output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::support::toolchain::{self, Sources, arguments, run};

const KINDS: [&[&str]; 4] = [
    &[],
    &["--live"],
    &["--no-incremental"],
    &["--strip-debug", "--redirect", "table"],
];

fn check(name: &str, objects: &[PathBuf], libraries: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = arguments(objects, libraries);
    for kind in KINDS {
        let link = |threads: usize| {
            // A module is called as its file is.
            let out = folder.path().join("out.wasm");
            run(Command::new(env!("CARGO_BIN_EXE_wasmend"))
                .args(["ld", &format!("--threads={threads}")])
                .args(kind)
                .args(&arguments)
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
