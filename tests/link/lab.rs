//! A folder of small objects, linked by a line of arguments with wasm-ld-19 and with wasmend, to be compared. Needs clang-19,
//! llvm-19 and lld-19.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use wasmend::engine::{Engine, Imports, Value};
use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmparser::{Parser, Payload};

use crate::support::toolchain::run;
use crate::support::validate;

/// What both linkers' outputs have: exports, and custom sections that are not the linker's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub exports: Vec<String>,
    pub customs: BTreeMap<String, Vec<u8>>,
}

impl Output {
    pub fn of(bytes: &[u8]) -> Output {
        let (mut exports, mut customs) = (Vec::new(), BTreeMap::new());
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.unwrap() {
                Payload::ExportSection(reader) => {
                    exports.extend(reader.into_iter().map(|one| one.unwrap().name.to_owned()));
                }
                Payload::CustomSection(custom) if !["pad", "wasmend"].contains(&custom.name()) => {
                    let bytes: &mut Vec<u8> = customs.entry(custom.name().to_owned()).or_default();
                    // Names of what the linkers make differ, and so does what they call themselves.
                    if !["name", "producers"].contains(&custom.name()) {
                        bytes.extend(custom.data());
                    }
                }
                _ => {}
            }
        }
        exports.sort();
        Output { exports, customs }
    }
}

/// A folder with objects.
pub struct Lab(tempfile::TempDir);

impl Lab {
    /// With objects, each of its assembly; `.c` is C.
    pub fn new(sources: &[(&str, &str)]) -> Lab {
        let lab = Lab(tempfile::tempdir().unwrap());
        for (name, text) in sources {
            lab.compile_again(name, text);
        }
        lab
    }

    /// Makes an object of a source, whether or not there is one.
    pub fn compile_again(&self, name: &str, text: &str) {
        let (source, object) = (self.path(name), self.path(name).with_extension("o"));
        fs::write(&source, text).unwrap();
        let mut command = match name.ends_with(".c") {
            true => Command::new("clang-19"),
            false => Command::new("llvm-mc-19"),
        };
        match name.ends_with(".c") {
            true => command
                .args(["--target=wasm32", "-O1", "-c"])
                .args(flags(name)),
            false => command.args(["-triple=wasm32", "-filetype=obj"]).args(
                name.starts_with("refs")
                    .then_some("-mattr=+reference-types"),
            ),
        };
        run(command.arg(&source).arg("-o").arg(&object));
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub fn archive(&self, name: &str, members: &[&str]) {
        let members = members.iter().map(|member| self.path(member));
        let mut command = Command::new("llvm-ar-19");
        run(command.arg("rcs").arg(self.path(name)).args(members));
    }

    /// The arguments of a line, in which files of the folder are named by their names there.
    fn arguments(&self, line: &str) -> Vec<String> {
        let words = line.split_whitespace().map(|word| {
            let path: &Path = &self.path(word);
            match path.exists() {
                true => path.display().to_string(),
                false => word.to_owned(),
            }
        });
        let output = format!("-o{}", self.path("out.wasm").display());
        let fixed = ["--no-entry".to_owned(), output];
        fixed.into_iter().chain(words).collect()
    }

    pub fn wasm_ld(&self, line: &str) -> Result<Output, String> {
        self.wasm_ld_bytes(line).map(|bytes| Output::of(&bytes))
    }

    /// What wasm-ld makes of a line; or the errors.
    pub fn wasm_ld_bytes(&self, line: &str) -> Result<Vec<u8>, String> {
        let mut command = Command::new("wasm-ld-19");
        let done = command.args(self.arguments(line)).output().unwrap();
        match done.status.success() {
            true => Ok(fs::read(self.path("out.wasm")).unwrap()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    /// What each linker makes of a line: wasm-ld, wasmend patchable, wasmend dense.
    pub fn all(&self, line: &str) -> [Vec<u8>; 3] {
        let theirs = self.wasm_ld_bytes(line);
        let theirs = theirs.unwrap_or_else(|errors| panic!("{line}: {errors}"));
        let [patchable, dense] = [true, false].map(|patchable| {
            let ours = self.wasmend(line, patchable);
            let (bytes, _) = ours.unwrap_or_else(|errors| panic!("{line}: {errors}"));
            validate(&bytes).unwrap_or_else(|error| panic!("{line}: {error}"));
            bytes
        });
        [theirs, patchable, dense]
    }

    /// What wasmend makes of a line, with what it warns of; or the errors.
    pub fn wasmend(&self, line: &str, patchable: bool) -> Result<(Vec<u8>, String), String> {
        let mut options = LinkOptions::parse(&self.arguments(line)).unwrap();
        options.incremental = Some(patchable);
        let text = |errors: &[wasmend::Error]| {
            let lines = errors.iter().map(|error| format!("{error}\n"));
            lines.collect::<String>()
        };
        match Linked::link(options, Access::Read, Target::Memory) {
            Ok((linked, report)) => {
                let bytes = match patchable {
                    true => linked.bytes().unwrap().to_vec(),
                    false => linked.release(false).unwrap().0,
                };
                Ok((bytes, text(&report.warnings)))
            }
            Err(failed) => Err(text(&failed.0.errors)),
        }
    }

    /// Links each line with both linkers, and compares.
    pub fn same(&self, lines: &[&str]) {
        for line in lines {
            let theirs = self.wasm_ld(line);
            for patchable in [true, false] {
                match (&theirs, self.wasmend(line, patchable)) {
                    (Ok(theirs), Ok((ours, _))) => assert_eq!(Output::of(&ours), *theirs, "{line}"),
                    (Err(_), Err(_)) => {}
                    (Ok(_), Err(ours)) => panic!("{line}: refused: {ours}"),
                    (Err(theirs), Ok(_)) => panic!("{line}: linked; wasm-ld: {theirs}"),
                }
            }
        }
    }

    /// The errors of a line, which wasm-ld refuses too.
    pub fn errors(&self, line: &str) -> String {
        self.wasm_ld(line).expect_err(line);
        self.wasmend(line, true).map(|_| ()).expect_err(line)
    }
}

/// What a source is compiled with, by its name.
fn flags(name: &str) -> &'static [&'static str] {
    match name {
        name if name.starts_with("bitcode") => &["-flto"],
        name if name.starts_with("mvp") => &["-mcpu=mvp"],
        name if name.starts_with("refs") => &["-mreference-types"],
        name if name.starts_with("wide") => &["--target=wasm64"],
        name if name.starts_with("debug") => &["-g"],
        name if name.starts_with("threads") => &["-matomics", "-mbulk-memory"],
        name if name.starts_with("pic") => &[
            "--target=wasm32-unknown-emscripten",
            "-fPIC",
            "-matomics",
            "-mbulk-memory",
        ],
        name if name.starts_with("native") => &["--target=x86_64-linux-gnu"],
        _ => &[],
    }
}

/// What the exported function `run` returns.
pub fn returned(bytes: &[u8]) -> i32 {
    let mut instance = Engine::new()
        .instantiate(bytes, &Imports::new().stubs())
        .unwrap();
    match instance.call("run", &[]).unwrap()[..] {
        [Value::I32(value)] => value,
        ref other => panic!("{other:?}"),
    }
}
