//! Programs of small objects, put together by hand, that are kept linked in a file. What must hold of every update is
//! checked after each: what was published is valid, is what a link of the same files from nothing is, and differs from
//! the version before by what the report says and nothing else; and an update that fails leaves everything as it was.

use std::fs;
use std::path::PathBuf;

use wasmend::engine::{Engine, Imports, Value};
use wasmend::link::Access;
use wasmend::link::{LinkReport, Linked, Target};
use wasmend::output::{OutputOptions, Publish};
use wasmend::{Outcome, Range, Reason};

use crate::support::objects::builder::Builder;
use crate::support::{objects, validate};

/// A program, its files in one folder and its output in another.
pub struct Program {
    folder: tempfile::TempDir,
    line: String,
    pub linked: Linked,
}

impl Program {
    /// Links files with these contents. The command line names them with `FOLDER/` before each.
    pub fn new(line: &str, publish: Publish, files: &[(&str, Vec<u8>)]) -> Program {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        for (name, contents) in files {
            fs::write(folder.path().join(name), contents).unwrap();
        }
        let line = line.replace("FOLDER", folder.path().to_str().unwrap());
        let output = folder.path().join("out/out.wasm");
        let target = Target::File(OutputOptions::new(publish));
        let linked = Linked::link(objects::options(&line, &output), Access::Read, target);
        let (linked, _) = linked.unwrap_or_else(|failed| panic!("{line}: {failed}"));
        Program {
            folder,
            line,
            linked,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// The published file.
    pub fn published(&self) -> Vec<u8> {
        fs::read(self.path("out/out.wasm")).unwrap()
    }

    fn paths(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| self.path(name)).collect()
    }

    /// Brings the output up to date with these files, which have changed, and checks all that must hold.
    pub fn update(&mut self, what: &str, names: &[&str]) -> LinkReport {
        let (before, generation) = (self.published(), self.generation());
        let report = self.linked.update(&self.paths(names));
        let report = report.unwrap_or_else(|failed| panic!("{what}: {failed}"));
        let after = self.published();
        validate(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
        let published = match &report.patch.outcome {
            Outcome::Unchanged => {
                assert_eq!(before, after, "{what}");
                0
            }
            Outcome::Patched(ranges) => {
                let mut made = before;
                ranges.apply(&mut made);
                assert!(made == after, "{what}: the report does not say all");
                1
            }
            Outcome::Relinked(_) => 1,
        };
        assert_eq!(
            self.generation(),
            generation + published,
            "{what}: not published once"
        );
        self.linked
            .verify()
            .unwrap_or_else(|failed| panic!("{what}: {failed}"));
        report
    }

    /// Tries an update with these files, which must fail with such a message and leave the output as it was.
    pub fn fail(&mut self, what: &str, names: &[&str], message: &str) {
        let before = (self.linked.bytes().ok(), self.generation());
        match self.linked.update(&self.paths(names)) {
            Ok(_) => panic!("{what}: it was linked"),
            Err(failed) => {
                let said = failed.to_string();
                assert!(said.contains(message), "{what}: {said}");
            }
        }
        let after = (self.linked.bytes().ok(), self.generation());
        assert!(before == after, "{what}: the output has changed");
    }

    /// Tries an update with these files, which is refused with the words of a link from nothing.
    pub fn fail_as_fresh(&mut self, what: &str, names: &[&str], message: &str) {
        let options = objects::options(&self.line, &self.path("out/out.wasm"));
        match Linked::link(options, Access::Read, Target::Memory) {
            Ok(_) => panic!("{what}: it was linked from nothing"),
            Err(failed) => {
                let said = failed.to_string();
                assert!(said.contains(message), "{what}: {said}");
                self.fail(what, names, &said);
            }
        }
    }

    /// Tries an update with these files while a file stands where the output's folder should be.
    pub fn fail_for_want_of_a_folder(&mut self, what: &str, names: &[&str]) {
        let before = (self.published(), self.generation());
        let (out, away) = (self.path("out"), self.path("away"));
        fs::rename(&out, &away).unwrap();
        fs::write(&out, "not a folder").unwrap();
        let result = self.linked.update(&self.paths(names));
        fs::remove_file(&out).unwrap();
        fs::rename(&away, &out).unwrap();
        match result {
            Ok(_) => panic!("{what}: it was linked"),
            Err(failed) => {
                let said = failed.to_string();
                assert!(said.contains("out"), "{what}: {said}");
            }
        }
        let after = (self.published(), self.generation());
        assert!(before == after, "{what}: the output has changed");
    }

    fn generation(&self) -> u64 {
        self.linked.module().identity().generation
    }

    /// A link of the files as they are now, from nothing.
    pub fn fresh(&self) -> Linked {
        let options = objects::options(&self.line, &self.path("out/out.wasm"));
        let linked = Linked::link(options, Access::Read, Target::Memory);
        linked.unwrap_or_else(|failed| panic!("{failed}")).0
    }

    /// What the program's function `run` answers, which must be what it answers after a link from nothing.
    pub fn answer(&self, argument: i32) -> i32 {
        let answer = |bytes: &[u8]| {
            let imports = Imports::new().stubs();
            let mut instance = Engine::new().instantiate(bytes, &imports).unwrap();
            match instance.call("run", &[Value::I32(argument)]).unwrap()[..] {
                [Value::I32(value)] => value,
                ref other => panic!("{other:?}"),
            }
        };
        let ours = answer(&self.published());
        assert_eq!(ours, answer(&self.fresh().bytes().unwrap()));
        ours
    }
}

/// What a patch wrote, without the identity, which differs from version to version anyway.
pub fn written(report: &LinkReport) -> Vec<(u64, Reason, Vec<u8>)> {
    let ranges = report.patch.ranges().expect("is a patch");
    let is_ours = |(range, _): &(Range, &[u8])| range.reason != Reason::Identity;
    ranges
        .iter()
        .filter(is_ours)
        .map(|(range, bytes)| (range.offset, range.reason, bytes.to_vec()))
        .collect()
}

/// An object with one function from i32 to i32, which adds up: its argument, a constant as often as is said, and what
/// other objects' functions make of its argument.
pub fn adds(name: &str, constant: i32, times: usize, callees: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new();
    add_function(&mut builder, name, constant, times, callees);
    builder.finish()
}

/// Adds such a function to an object.
pub fn add_function(
    builder: &mut Builder,
    name: &str,
    constant: i32,
    times: usize,
    callees: &[&str],
) {
    let ty = builder.function_type(&[objects::I32], &[objects::I32]);
    let callees: Vec<u32> = callees
        .iter()
        .map(|name| builder.undefined_function(name, ty))
        .collect();
    let code = builder.begin_function(name, ty, false);
    code.local_get(0);
    for _ in 0..times {
        code.i32_const(constant).op(ADD);
    }
    for callee in callees {
        code.local_get(0).call(callee).op(ADD);
    }
    code.op(END);
    builder.end_function();
}

/// Instructions.
pub const ADD: u8 = 0x6a;
pub const END: u8 = 0x0b;
