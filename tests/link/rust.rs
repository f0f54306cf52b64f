//! Rust programs with the standard library, linked and edited: Cargo calls wasmend as the README says, what comes of it
//! does what wasm-ld's link of the same objects does, and is the same declaration by declaration. Needs a Rust
//! toolchain with the library's sources in /usr (rustc-web, cargo-web, rust-web-src), lld-19, llvm-19 and wasi-libc.
//!
//! Run: `cargo rustc` with wasmend for a linker, `Linked::update` and `wasm-ld-19` with the objects that come of it, on a crate
//! of three files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::beside;
use crate::script::Replay;
use crate::support::toolchain;
use crate::support::wasi::run_command;
use wasmend::engine::{Engine, Imports, Value};

const MANIFEST: &str = r#"
[package]
name = "mended"
version = "0.1.0"
edition = "2024"

[lib]
name = "answers"
crate-type = ["cdylib"]

[workspace]
"#;

/// As in the README; and that nothing is downloaded.
const CONFIG: &str = r#"
[target.wasm32-unknown-unknown]
linker = "wasmend"

[target.wasm32-wasip1]
linker = "wasmend"
rustflags = [
    "-Clink-self-contained=no",
    "-Clink-arg=-L/usr/lib/wasm32-wasi",
    "-Clink-arg=/usr/lib/wasm32-wasi/crt1-command.o",
]

[source.crates-io]
replace-with = "library"

[source.library]
directory = "/usr/lib/rustlib/src/rust/library/vendor"
"#;

const MAIN: &str = r#"
mod shapes;
mod words;

fn main() {
    println!("{}", words::report("mend the net and mend the sail"));
    println!("{}", shapes::report(4));
    let arguments: Vec<String> = std::env::args().collect();
    println!("{arguments:?} {:?}", std::env::var("NOTHING_OF_THAT_NAME"));
    if let Err(error) = "4x".parse::<i32>() {
        println!("{error}");
    }
}
"#;

const LIB: &str = r#"
mod shapes;
mod words;

/// A number that depends on all that is computed.
#[unsafe(no_mangle)]
pub extern "C" fn answer(seed: u32) -> u32 {
    let text = words::report("mend the net and mend the sail") + &shapes::report(seed as usize);
    text.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}
"#;

const SHAPES: &str = r#"
use std::fmt;

pub trait Shape: fmt::Debug {
    fn area(&self) -> f64;
    fn name(&self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

#[derive(Debug, Clone)]
struct Square(f64);

#[derive(Debug, Clone)]
struct Circle {
    radius: f64,
}

impl Shape for Square {
    fn area(&self) -> f64 {
        self.0 * self.0
    }
}

impl Shape for Circle {
    fn area(&self) -> f64 {
        3.0 * self.radius * self.radius
    }
}

static NAMES: [&str; 2] = ["first", "second"];

pub fn report(count: usize) -> String {
    let mut shapes: Vec<Box<dyn Shape>> = Vec::new();
    for size in 0..count {
        match size % 2 {
            0 => shapes.push(Box::new(Square(size as f64 + 0.5))),
            _ => shapes.push(Box::new(Circle { radius: size as f64 })),
        }
    }
    shapes.sort_by(|a, b| b.area().total_cmp(&a.area()));
    let lines = shapes.iter().zip(NAMES.iter().cycle());
    let lines: Vec<String> = lines.map(|(shape, which)| format!("{which} {} {:.3}", shape.name(), shape.area())).collect();
    lines.join("\n")
}
"#;

const WORDS: &str = r#"
use std::collections::{BTreeMap, HashMap};

pub fn report(text: &str) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::with_hasher(Default::default());
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let mut lengths: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (word, _) in &counts {
        lengths.entry(word.len()).or_default().push(word);
    }
    for words in lengths.values_mut() {
        words.sort_unstable();
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    format!("{lengths:?} {most}")
}
"#;

const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", MANIFEST),
    (".cargo/config.toml", CONFIG),
    ("src/main.rs", MAIN),
    ("src/lib.rs", LIB),
    ("src/shapes.rs", SHAPES),
    ("src/words.rs", WORDS),
];

/// A package in a folder that is kept, and with it the standard library that is built for it.
struct Package {
    folder: PathBuf,
    target: &'static str,
    /// What is built: `--bin` or `--lib`.
    what: &'static [&'static str],
    /// The profile's folder.
    profile: &'static str,
}

/// All tests build in one folder, so that the standard library is built once: one goes on while it holds this.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Package {
    fn new(
        name: &str,
        target: &'static str,
        what: &'static [&'static str],
        profile: &'static str,
    ) -> Package {
        let folder = home().join(name);
        for (file, text) in FILES {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Package {
            folder,
            target,
            what,
            profile,
        }
    }

    fn outputs(&self) -> PathBuf {
        home().join("target").join(self.target).join(self.profile)
    }

    /// Builds, with more options for the compiler. Returns the output and the arguments that the linker got for it,
    /// without the output's name.
    fn build(&self, more: &[&str]) -> (PathBuf, Vec<String>) {
        let tools = home().join("bin");
        fs::create_dir_all(&tools).unwrap();
        let _ = fs::remove_file(tools.join("wasmend"));
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wasmend"), tools.join("wasmend")).unwrap();
        // What earlier builds were linked from.
        for entry in fs::read_dir(self.outputs().join("deps"))
            .into_iter()
            .flatten()
        {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains(".rcgu.") {
                fs::remove_file(path).unwrap();
            }
        }
        let mut command = Command::new("/usr/bin/cargo");
        command
            .arg("rustc")
            .args([
                "--offline",
                "-Zbuild-std=std,panic_abort",
                "--target",
                self.target,
            ])
            .args(self.what)
            .args((self.profile == "release").then_some("--release"))
            .args(["--", "-Csave-temps", "--print=link-args"])
            .args(more)
            .current_dir(&self.folder)
            .env_clear()
            .env("HOME", home())
            .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
            .env("CARGO_HOME", home().join("cargo"))
            .env("CARGO_TARGET_DIR", home().join("target"))
            .env("CARGO_INCREMENTAL", if more.is_empty() { "1" } else { "0" })
            .env("RUSTC", "/usr/bin/rustc")
            // The library can only be built by compilers that allow what is not stable.
            .env("RUSTC_BOOTSTRAP", "1");
        let said = toolchain::run(&mut command);
        let line = said.lines().find(|line| line.contains("\"wasmend\""));
        let line = line.unwrap_or_else(|| panic!("the linker was not called: {said}"));
        let words = line.split('"').skip(1).step_by(2).map(str::to_owned);
        let mut arguments: Vec<String> =
            words.skip_while(|word| word != "-flavor").skip(2).collect();
        let at = arguments.iter().position(|word| word == "-o").unwrap();
        let output = arguments.drain(at..at + 2).nth(1).unwrap();
        (output.into(), arguments)
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust")
}

fn run_program(bytes: &[u8]) -> String {
    let output = run_command(bytes, &["program", "argument"], b"").unwrap();
    assert_eq!(output.exit_code, 0);
    String::from_utf8(output.stdout).unwrap()
}

fn run_library(bytes: &[u8]) -> String {
    let imports = Imports::new().stubs();
    let mut instance = Engine::new().instantiate(bytes, &imports).unwrap();
    let answers = [1, 7].map(|seed| instance.call("answer", &[Value::I32(seed)]).unwrap());
    format!("{answers:?}")
}

/// Has Cargo link it, and compares with what wasm-ld makes of the same.
fn check(package: &Package, run: fn(&[u8]) -> String) {
    let name = format!("{} {}", package.target, package.profile);
    let (output, arguments) = package.build(&[]);
    let said = run(&fs::read(output).unwrap());
    assert!(said.len() > 20, "{name}: {said}");
    let [ours, theirs] = beside::compare(&name, &arguments);
    assert_eq!([said.clone(), said], [run(&ours), run(&theirs)], "{name}");
}

#[test]
fn cargo_links_with_it() {
    let _alone = alone();
    for profile in ["debug", "release"] {
        let bin = ["--bin", "mended"].as_slice();
        check(
            &Package::new("programs", "wasm32-wasip1", bin, profile),
            run_program,
        );
        let lib = ["--lib"].as_slice();
        check(
            &Package::new("programs", "wasm32-unknown-unknown", lib, profile),
            run_library,
        );
    }
}

/// The name of an object without the part that is another one in each build.
fn stable_name(path: &str) -> Option<String> {
    let name = Path::new(path).file_name()?.to_str()?;
    let name = name.strip_suffix(".rcgu.o")?;
    let (unit, build) = name.rsplit_once('.')?;
    // Where the parts are numbered there is nothing else.
    let is_number = build.bytes().all(|byte| byte.is_ascii_digit());
    Some(format!("{}.o", if is_number { name } else { unit }))
}

/// Puts a build's objects where the linker finds them each time; the arguments, and which of the files changed.
fn stage(arguments: &[String], folder: &Path) -> (Vec<String>, Vec<PathBuf>) {
    let (mut staged, mut changed) = (Vec::new(), Vec::new());
    for argument in arguments {
        let Some(name) = stable_name(argument) else {
            staged.push(argument.clone());
            continue;
        };
        let (bytes, place) = (fs::read(argument).unwrap(), folder.join(name));
        if fs::read(&place).ok().as_ref() != Some(&bytes) {
            let _ = fs::remove_file(&place);
            fs::write(&place, bytes).unwrap();
            changed.push(place.clone());
        }
        staged.push(place.display().to_string());
    }
    (staged, changed)
}

/// What, file, old text, new text.
type Edit = (&'static str, &'static str, &'static str, &'static str);

const SHAPES_FILE: &str = "src/shapes.rs";

const EDITS: [Edit; 9] = [
    (
        "a constant",
        SHAPES_FILE,
        "3.0 * self.radius",
        "3.14 * self.radius",
    ),
    (
        "a string",
        "src/main.rs",
        "mend the sail",
        "mend the other sail",
    ),
    (
        "a function's code",
        SHAPES_FILE,
        "match size % 2 {",
        "match (size + 1) % 2 {",
    ),
    (
        "grow a function",
        "src/words.rs",
        "    format!(\"{lengths:?} {most}\")",
        "    let mut text = format!(\"{lengths:?} {most}\");
    for (at, byte) in text.clone().bytes().enumerate().take(3) {
        text.push_str(&format!(\" {at}:{byte:02x}\"));
    }
    text",
    ),
    (
        "add a function",
        SHAPES_FILE,
        "static NAMES",
        "fn rounded(area: f64) -> i64 {\n    area.round() as i64\n}\n\nstatic NAMES",
    ),
    (
        "call it",
        SHAPES_FILE,
        "shape.area()))",
        "rounded(shape.area()) as f64))",
    ),
    (
        "change its signature",
        SHAPES_FILE,
        "fn rounded(area: f64) -> i64 {\n    area.round() as i64",
        "fn rounded(area: f64) -> i32 {\n    area.floor() as i32",
    ),
    (
        "override a method",
        SHAPES_FILE,
        "        self.0 * self.0\n    }",
        "        self.0 * self.0\n    }\n    fn name(&self) -> String {\n        String::from(\"box\")\n    }",
    ),
    (
        "grow a static array",
        SHAPES_FILE,
        "[&str; 2] = [\"first\", \"second\"]",
        "[&str; 3] = [\"first\", \"second\", \"third\"]",
    ),
];

/// Makes the edits, and checks each. Returns the names of those that were patches.
fn edits(name: &str, more: &[&str]) -> Vec<&'static str> {
    let bin = ["--bin", "mended"].as_slice();
    let package = Package::new(name, "wasm32-wasip1", bin, "debug");
    let folder = tempfile::tempdir().unwrap();
    let (_, arguments) = package.build(more);
    let (mut before, _) = stage(&arguments, folder.path());
    let start =
        |arguments: &[String]| Replay::new(format!("rust {name}"), arguments.to_vec(), true);
    let mut replay = start(&before);
    let mut patches = Vec::new();
    for (what, file, from, to) in EDITS {
        package.change(file, from, to);
        let (_, arguments) = package.build(more);
        let (arguments, changed) = stage(&arguments, folder.path());
        if arguments != before {
            println!("{what}: the compiler makes other objects");
            replay = start(&arguments);
            before = arguments;
            continue;
        }
        assert!(!changed.is_empty(), "{what}: nothing changes");
        replay.update(what, &changed);
        replay.check(what, what == "grow a static array");
        let reason = replay.rows.iter().rfind(|row| row.relink.is_some());
        match reason.filter(|row| row.what == what) {
            None => patches.push(what),
            Some(row) => assert_eq!(row.relink.as_deref(), Some("fragmented"), "{}", row.line()),
        }
    }
    patches
}

/// In a few large objects: from one build to the next, the compiler moves much of the code from one to another.
#[test]
fn edits_of_a_program() {
    let _alone = alone();
    let patches = edits("units", &["-Ccodegen-units=16"]);
    assert!(patches.len() >= 6, "{patches:?}");
}

/// As Cargo builds by default: in many small objects, of which few are compiled anew. An edit for which the compiler
/// makes another one is a link with other arguments.
#[test]
fn edits_of_an_incremental_build() {
    let _alone = alone();
    let patches = edits("incremental", &[]);
    assert!(patches.len() >= 6, "{patches:?}");
}
