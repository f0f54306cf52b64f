//! What LLVM's tools say of the code in deltas, against what they say of a fresh link of the same program by wasm-ld.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use wasmend::link::{Access, Linked, Target};
use wasmend::{Delta, LiveStep};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

use super::support::{objects, toolchain};

/// A program of several files, which is edited.
struct Program {
    folder: tempfile::TempDir,
    flags: Vec<String>,
    linked: Option<Linked>,
    sources: BTreeMap<String, String>,
}

impl Program {
    fn new(sources: &[(&str, &str)], flags: &[&str]) -> Program {
        let mut program = Program {
            folder: tempfile::tempdir().unwrap(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            linked: None,
            sources: BTreeMap::new(),
        };
        for (name, text) in sources {
            program
                .sources
                .insert((*name).to_owned(), (*text).to_owned());
        }
        program.compile(&program.units());
        let line = format!("--live {}", program.line());
        let options = objects::options(&line, &program.folder.path().join("out.wasm"));
        let linked = Linked::link(options, Access::Read, Target::Memory);
        let (linked, _) = linked.unwrap_or_else(|failed| panic!("{failed}"));
        program.linked = Some(linked);
        program
    }

    /// Files that are compiled, which headers are not.
    fn units(&self) -> Vec<String> {
        let names = self.sources.keys().cloned();
        names.filter(|name| !name.ends_with(".h")).collect()
    }

    fn object(&self, unit: &str) -> PathBuf {
        self.folder.path().join(format!("{unit}.o"))
    }

    /// What both linkers are given.
    fn line(&self) -> String {
        let objects = self.units();
        let objects = objects.iter().map(|unit| self.object(unit));
        let objects: Vec<String> = objects.map(|path| path.display().to_string()).collect();
        format!(
            "--no-entry --export-dynamic --no-gc-sections --allow-undefined {}",
            objects.join(" ")
        )
    }

    fn compile(&self, units: &[String]) {
        for (name, text) in &self.sources {
            fs::write(self.folder.path().join(name), text).unwrap();
        }
        for unit in units {
            let compiler = match unit.ends_with(".c") {
                true => "clang-19",
                false => "clang++-19",
            };
            toolchain::run(
                Command::new(compiler)
                    .current_dir(self.folder.path())
                    .args(["--target=wasm32", "-g", "-c", "-ffunction-sections"])
                    .args(["-fdata-sections", "-fvisibility=default", "-o"])
                    .arg(self.object(unit))
                    .args(&self.flags)
                    .arg(unit),
            );
        }
    }

    /// Replaces text in a file, compiles these units and returns what brings an instance to the new version.
    fn edit(&mut self, file: &str, from: &str, to: &str, units: &[&str]) -> Arc<Delta> {
        let text = self.sources.get_mut(file).unwrap();
        assert!(text.contains(from), "{text}");
        *text = text.replace(from, to);
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        self.compile(&units);
        let objects: Vec<PathBuf> = units.iter().map(|unit| self.object(unit)).collect();
        let linked = self.linked.as_mut().unwrap();
        let report = linked.update(&objects);
        let report = report.unwrap_or_else(|failed| panic!("{failed}"));
        match report.patch.live {
            Some(LiveStep::Delta { delta, .. }) => delta,
            other => panic!("{other:?}"),
        }
    }

    /// Holds what is said of a delta's code to what is said of a fresh link; returns the functions in the delta.
    fn expect_as_fresh(&self, delta: &Delta) -> Vec<String> {
        delta.check().unwrap();
        wasmparser::validate(&delta.bytes).unwrap();
        let fresh = self.folder.path().join("fresh.wasm");
        let arguments: Vec<String> = self.line().split(' ').map(str::to_owned).collect();
        fs::write(&fresh, toolchain::wasm_ld(&arguments)).unwrap();
        let other = self.folder.path().join("delta.wasm");
        fs::write(&other, &delta.bytes).unwrap();

        let (in_fresh, in_delta) = (functions(&fresh), functions(&other));
        assert_eq!(in_delta.len(), delta.functions as usize, "{in_delta:?}");
        for (name, code) in &in_delta {
            let of_fresh = &in_fresh[name];
            assert_eq!(code.places, of_fresh.places, "{name}");
            let all = |code: &Code| -> Vec<u64> {
                let places = code.places.iter();
                places.map(|place| code.start + place).collect()
            };
            let (expected, said) = (
                symbolize(&fresh, &all(of_fresh)),
                symbolize(&other, &all(code)),
            );
            for ((place, expected), said) in code.places.iter().zip(&expected).zip(&said) {
                assert_eq!(said, expected, "{name} + {place:#x}");
            }
            let knows = |answer: &String| !answer.contains("??");
            assert!(said.iter().any(knows), "nothing is known of {name}");
        }
        assert_eq!(
            toolchain::dwarf_errors(&other),
            None,
            "of a delta of {} bytes",
            delta.bytes.len()
        );
        in_delta.into_keys().collect()
    }
}

/// The code of a function.
#[derive(Debug)]
struct Code {
    /// Where it begins, from the beginning of the code section's contents.
    start: u64,
    /// Where its instructions stand in it, the first of them the local declarations.
    places: Vec<u64>,
}

/// The functions with bodies that a module names.
fn functions(file: &Path) -> BTreeMap<String, Code> {
    let bytes = fs::read(file).unwrap();
    let (mut imported, mut start) = (0, 0);
    let (mut bodies, mut names) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let ty = import.unwrap().ty;
                    imported += u32::from(matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::CodeSectionStart { range, .. } => start = range.start,
            Payload::CodeSectionEntry(body) => bodies.push(body),
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(reader) = custom.as_known() {
                    for name in reader {
                        if let Name::Function(map) = name.unwrap() {
                            names.extend(map.into_iter().map(Result::unwrap));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    for naming in names {
        let Some(at) = naming.index.checked_sub(imported) else {
            continue;
        };
        let body = &bodies[at as usize];
        let range: Range<usize> = body.range();
        let mut places = vec![0];
        let mut operators = body.get_operators_reader().unwrap();
        while !operators.eof() {
            places.push((operators.original_position() - range.start) as u64);
            operators.read().unwrap();
        }
        let code = Code {
            start: (range.start - start) as u64,
            places,
        };
        assert!(found.insert(naming.name.to_owned(), code).is_none());
    }
    found
}

/// All that is said of each of these places, but for where a function begins in the file.
fn symbolize(file: &Path, places: &[u64]) -> Vec<String> {
    let input: String = places.iter().map(|place| format!("{place:#x}\n")).collect();
    let mut child = Command::new("llvm-symbolizer-19")
        .arg(format!("--obj={}", file.display()))
        .args(["--verbose", "--functions=linkage"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("llvm-symbolizer-19 can be run");
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut answers: Vec<String> = text
        .split("\n\n")
        .map(|answer| {
            let lines = answer.lines();
            let lines = lines.filter(|line| !line.contains("start address"));
            lines.collect::<Vec<_>>().join("\n")
        })
        .collect();
    answers.retain(|answer| !answer.trim().is_empty());
    assert_eq!(answers.len(), places.len());
    answers
}

const MAIN: &str = r#"
    #include "shared.h"
    int total;
    static inline int twice(int by) {
        int all = by;
        for (int at = 0; at < by; at++) all += scaled(at);
        return all;
    }
    __attribute__((noinline)) static int step(int by) {
        if (by > 3) { int next = twice(by - 1); total += next; }
        return total + twice(by);
    }
    int other(int by);
    int run(int by) { return step(by) + other(by); }
    int count(void) { return ++total; }
"#;

const OTHER: &str = r#"
    #include "shared.h"
    extern int total;
    int other(int by) {
        int sum = 0;
        for (int at = 0; at < by; at++) sum += scaled(at) * total;
        return sum;
    }
"#;

const SHARED: &str = r#"
    static inline __attribute__((always_inline)) int scaled(int by) {
        return by * 3 + 1;
    }
"#;

const FILES: [(&str, &str); 3] = [("main.c", MAIN), ("other.c", OTHER), ("shared.h", SHARED)];

#[test]
fn a_changed_function_of_c_is_described_as_in_a_fresh_link() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        for level in ["-O0", "-O1", "-O2"] {
            let mut program = Program::new(&FILES, &[version, level]);
            let delta = program.edit("main.c", "total += next;", "total ^= next;", &["main.c"]);
            let functions = program.expect_as_fresh(&delta);
            assert!(functions.contains(&"step".to_owned()), "{functions:?}");
        }
    }
}
