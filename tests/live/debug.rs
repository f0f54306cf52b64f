//! What LLVM's tools say of the code in deltas, against what they say of a fresh link of the same program by wasm-ld.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use wasmend::link::{Access, Linked, Target};
use wasmend::{Delta, LiveStep};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

use super::support::{objects, toolchain};

/// A program of several objects, which is edited.
struct Program {
    folder: tempfile::TempDir,
    flags: Vec<String>,
    sources: BTreeMap<String, String>,
    objects: Vec<PathBuf>,
    linked: Option<Linked>,
    /// What takes the last edit back.
    undo: Option<Arc<Delta>>,
    /// How much debug information the last delta has.
    debug_len: usize,
}

impl Program {
    fn empty(flags: &[&str]) -> Program {
        Program {
            folder: tempfile::tempdir().unwrap(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            sources: BTreeMap::new(),
            objects: Vec::new(),
            linked: None,
            undo: None,
            debug_len: 0,
        }
    }

    fn new(sources: &[(&str, &str)], flags: &[&str]) -> Program {
        let mut program = Program::empty(flags);
        program.add(sources);
        program
    }

    fn write(&mut self, sources: &[(&str, &str)]) {
        for (name, text) in sources {
            let (name, text) = ((*name).to_owned(), (*text).to_owned());
            self.sources.insert(name, text);
        }
    }

    /// Compiles files and links them; headers are only written.
    fn add(&mut self, sources: &[(&str, &str)]) {
        self.write(sources);
        let units = self.sources.keys().filter(|name| !name.ends_with(".h"));
        let units: Vec<String> = units.cloned().collect();
        self.objects = units.iter().map(|unit| self.object(unit)).collect();
        self.compile(&units);
        self.link();
    }

    fn link(&mut self) {
        let line = format!("--live {}", self.line());
        let options = objects::options(&line, &self.folder.path().join("out.wasm"));
        let linked = Linked::link(options, Access::Read, Target::Memory);
        let (linked, _) = linked.unwrap_or_else(|failed| panic!("{failed}"));
        self.linked = Some(linked);
    }

    fn object(&self, unit: &str) -> PathBuf {
        self.folder.path().join(format!("{unit}.o"))
    }

    /// What both linkers are given.
    fn line(&self) -> String {
        let objects = self.objects.iter().map(|path| path.display().to_string());
        let objects = objects.collect::<Vec<_>>().join(" ");
        format!("--no-entry --export-dynamic --no-demangle --allow-undefined {objects}")
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

    fn replace(&mut self, file: &str, from: &str, to: &str) {
        let text = self.sources.get_mut(file).unwrap();
        assert!(text.contains(from), "{text}");
        *text = text.replace(from, to);
    }

    /// Replaces text in a file, compiles these units and returns what brings an instance to the new version.
    fn edit(&mut self, file: &str, from: &str, to: &str, units: &[&str]) -> Arc<Delta> {
        self.replace(file, from, to);
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        self.compile(&units);
        let objects: Vec<PathBuf> = units.iter().map(|unit| self.object(unit)).collect();
        self.update(&objects)
    }

    fn update(&mut self, objects: &[PathBuf]) -> Arc<Delta> {
        let report = self.linked.as_mut().unwrap().update(objects);
        let report = report.unwrap_or_else(|failed| panic!("{failed}"));
        let step = report.patch.live.unwrap();
        let bare = match &step {
            LiveStep::Delta { delta, .. } => delta.bytes.len(),
            LiveStep::Refused(refusals) => panic!("{refusals:?}"),
        };
        match self.linked.as_mut().unwrap().describe(step).unwrap() {
            LiveStep::Delta { delta, undo } => {
                self.undo = undo;
                self.debug_len = delta.bytes.len() - bare;
                delta
            }
            LiveStep::Refused(refusals) => panic!("{refusals:?}"),
        }
    }

    /// What wasm-ld makes of the program as it is.
    fn fresh(&self) -> Vec<u8> {
        let arguments: Vec<String> = self.line().split(' ').map(str::to_owned).collect();
        toolchain::wasm_ld(&arguments)
    }

    /// Holds what is said of a delta's code to what is said of a fresh link; returns the functions in the delta.
    fn expect_as_fresh(&self, delta: &Delta) -> Vec<String> {
        self.expect_as(&self.fresh(), delta)
    }

    fn expect_as(&self, linked: &[u8], delta: &Delta) -> Vec<String> {
        delta.check().unwrap();
        wasmparser::validate(&delta.bytes).unwrap();
        let [fresh, other] = ["fresh.wasm", "delta.wasm"].map(|it| self.folder.path().join(it));
        fs::write(&fresh, linked).unwrap();
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
            let expected = symbolize(&fresh, "short", &all(of_fresh));
            let said = symbolize(&other, "short", &all(code));
            let knows = |answer: &String| !answer.contains("??");
            assert!(said.iter().any(knows), "nothing is known of {name}");
            for ((place, expected), said) in code.places.iter().zip(&expected).zip(&said) {
                assert_eq!(said, expected, "{name} + {place:#x}");
            }
            // The whole name of what nothing is inlined into is that of the nearest symbol, which for both files is mostly
            // that of another function.
            let inlined = |answers: Vec<String>| -> Vec<Vec<String>> {
                let frames = answers.into_iter().map(|answer| {
                    let names = answer.lines().filter(|line| !line.starts_with(' '));
                    let mut names: Vec<String> = names.map(str::to_owned).collect();
                    names.pop();
                    names
                });
                frames.collect()
            };
            let expected = inlined(symbolize(&fresh, "linkage", &all(of_fresh)));
            let said = inlined(symbolize(&other, "linkage", &all(code)));
            assert_eq!(said, expected, "{name}");
            if name.starts_with("_Z") || name.starts_with("_R") {
                let all = toolchain::run(Command::new("llvm-dwarfdump-19").arg(&other));
                let expected = format!("DW_AT_linkage_name\t(\"{name}\")");
                assert!(all.contains(&expected), "{name}: {all}");
            }
        }
        let len = delta.bytes.len();
        let (errors, known) = (
            toolchain::dwarf_errors(&other),
            toolchain::dwarf_errors(&fresh),
        );
        assert!(
            errors.is_none() || known.is_some(),
            "{len} bytes: {errors:?}"
        );
        in_delta.into_keys().collect()
    }
}

/// The code of a function.
#[derive(Debug)]
struct Code {
    /// Where it begins, from the beginning of the code section's contents.
    start: u64,
    /// Where its instructions stand in it.
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
            Payload::CodeSectionStart {
                unchecked_range, ..
            } => start = unchecked_range.start,
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
        let range = body.range();
        let mut places = Vec::new();
        let mut operators = body.get_operators_reader().unwrap();
        while !operators.eof() {
            places.push(operators.original_position() - range.start);
            operators.read().unwrap();
        }
        let code = Code {
            start: range.start - start,
            places,
        };
        let before = found.insert(naming.name.to_owned(), code);
        assert!(before.is_none(), "{} is there twice", naming.name);
    }
    found
}

/// All that is said of each of these places, but for where a function begins in the file.
fn symbolize(file: &Path, names: &str, places: &[u64]) -> Vec<String> {
    let names = format!("--functions={names}");
    let options = ["--verbose", "--no-demangle", &names];
    let answers = toolchain::symbolize(file, &options, places.iter().copied());
    assert_eq!(answers.len(), places.len());
    let without_start = |answer: String| {
        let lines = answer.lines();
        let lines = lines.filter(|line| !line.contains("start address"));
        lines.collect::<Vec<_>>().join("\n")
    };
    answers.into_iter().map(without_start).collect()
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
        for level in ["-O0", "-O2"] {
            let mut program = Program::new(&FILES, &[version, level]);
            let delta = program.edit("main.c", "total += next;", "total ^= next;", &["main.c"]);
            let functions = program.expect_as_fresh(&delta);
            assert!(functions.contains(&"step".to_owned()), "{functions:?}");
        }
    }
}

#[test]
fn edits_in_a_row_are_each_described_as_in_a_fresh_link() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let mut program = Program::new(&FILES, &[version, "-O2"]);
        // Lines before, so that all that follows is elsewhere in the file.
        let delta = program.edit(
            "main.c",
            "int total;",
            "int total;\n\nint more(int by) { return total -= by; }\n",
            &["main.c"],
        );
        assert!(program.expect_as_fresh(&delta).contains(&"more".to_owned()));
        let delta = program.edit("other.c", "* total", "* (total + at)", &["other.c"]);
        assert_eq!(program.expect_as_fresh(&delta), ["other"]);
        let (from, to) = ("return ++total;", "total *= 3;\n return step(total);");
        let delta = program.edit("main.c", from, to, &["main.c"]);
        assert!(
            program
                .expect_as_fresh(&delta)
                .contains(&"count".to_owned())
        );
        // What is inlined everywhere.
        let all = ["main.c", "other.c"];
        let delta = program.edit("shared.h", "by * 3 + 1", "by * by\n + 1", &all);
        let functions = program.expect_as_fresh(&delta);
        assert!(functions.contains(&"step".to_owned()) && functions.contains(&"other".to_owned()));
    }
}

const HEADER: &str = r#"
    namespace net {
        struct Mesh {
            int knots;
            __attribute__((noinline)) int mend(int by) {
                auto tie = [&](int at) { return knots += at * by; };
                int sum = 0;
                for (int at = 0; at < by; at++) sum += tie(at);
                return sum;
            }
        };
        template <typename T> __attribute__((noinline)) T most(T a, T b) {
            if (a > b) return a;
            return b;
        }
    }
"#;

const ONE: &str = r#"
    #include "mesh.h"
    static net::Mesh mesh;
    int two(int by);
    int one(int by) { return net::most(mesh.mend(by), two(by)); }
"#;

const TWO: &str = r#"
    #include "mesh.h"
    static net::Mesh mesh;
    int two(int by) { return net::most(mesh.mend(by + 1), 7) + (int)net::most(1.5, (double)by); }
"#;

#[test]
fn a_function_that_several_objects_have_is_described_as_in_a_fresh_link() {
    let files = [("one.cpp", ONE), ("two.cpp", TWO), ("mesh.h", HEADER)];
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        for level in ["-O0", "-O2"] {
            let mut program = Program::new(&files, &[version, level, "-fno-exceptions"]);
            let all = ["one.cpp", "two.cpp"];
            let delta = program.edit("mesh.h", "at * by", "at + by * 3", &all);
            let functions = program.expect_as_fresh(&delta);
            let mends = functions.iter().any(|name| name.contains("mend"));
            assert!(mends, "{functions:?}");
            let delta = program.edit("mesh.h", "return a;", "return a + 1;", &all);
            let functions = program.expect_as_fresh(&delta);
            let most = functions.iter().filter(|name| name.contains("most"));
            assert_eq!(most.count(), 2, "{functions:?}");
        }
    }
}

#[test]
fn what_takes_a_change_back_is_described_as_well() {
    let mut program = Program::new(&FILES, &["-O2"]);
    let before = program.fresh();
    let to = "\n\n return --total;";
    program.edit("main.c", "return ++total;", to, &["main.c"]);
    let undo = program.undo.take().unwrap();
    let functions = program.expect_as(&before, &undo);
    assert!(functions.contains(&"count".to_owned()), "{functions:?}");
}

#[test]
fn lines_without_entries_are_enough() {
    let mut program = Program::new(&FILES, &["-O2", "-gline-tables-only"]);
    let delta = program.edit("main.c", "total += next;", "total ^= next;", &["main.c"]);
    program.expect_as_fresh(&delta);
}

#[test]
fn a_changed_function_of_rust_is_described_as_in_a_fresh_link() {
    let of = |name: &str| objects::folder().join("rust").join(name);
    let mut program = Program::empty(&[]);
    let object = program.object("rust");
    fs::copy(of("before.o"), &object).unwrap();
    program.objects.push(object.clone());
    program.link();
    fs::copy(of("after.o"), &object).unwrap();
    let delta = program.update(&[object]);
    let functions = program.expect_as_fresh(&delta);
    assert_eq!(functions.len(), 1, "{functions:?}");
}

#[test]
fn an_object_of_several_units_is_described_as_in_a_fresh_link() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let mut program = Program::empty(&["-O2", version]);
        program.write(&FILES);
        let units = ["main.c".to_owned(), "other.c".to_owned()];
        let both = program.object("both");
        let join = |program: &Program| {
            program.compile(&units);
            let parts = units.iter().map(|unit| program.object(unit));
            let mut linker = Command::new("wasm-ld-19");
            toolchain::run(linker.arg("-r").args(parts).arg("-o").arg(&both));
        };
        join(&program);
        program.objects.push(both.clone());
        program.link();
        for (file, from, to, name) in [
            ("other.c", "* total", "* (total + at)", "other"),
            ("main.c", "return ++total;", "\n return --total;", "count"),
        ] {
            program.replace(file, from, to);
            join(&program);
            let delta = program.update(std::slice::from_ref(&both));
            let functions = program.expect_as_fresh(&delta);
            assert!(functions.contains(&name.to_owned()), "{functions:?}");
        }
    }
}

#[test]
fn debug_information_of_a_delta_is_that_of_its_functions() {
    let mut program = Program::new(&FILES, &["-O2"]);
    let delta = program.edit("other.c", "* total", "* (total + at)", &["other.c"]);
    assert_eq!(delta.functions, 1);
    let len = program.debug_len;
    assert!((200..800).contains(&len), "{len}");
}
