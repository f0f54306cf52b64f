//! A C program in a folder that is edited, compiled, and kept linked.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wasmend::link::Access;
use wasmend::link::{LinkOptions, LinkReport, Linked, Target};
use wasmend::{Outcome, Redirect};

use crate::support::toolchain::{self, keep};
use crate::support::wasi::run_command;

/// How an edit is expected to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// As a patch, without looking at other files.
    Quick,
    /// As a patch; whether all symbols are resolved anew depends on what the compiler makes of it.
    Patch,
    /// As a whole.
    Relink,
    /// Either way: so much comes with it that the room for it may be used up.
    Any,
}

pub struct Program {
    folder: tempfile::TempDir,
    flags: &'static [&'static str],
    links: Vec<Linked>,
    log: Vec<String>,
    wrong: Vec<String>,
}

impl Program {
    pub fn new(flags: &'static [&'static str], files: &[(&str, &str)]) -> Program {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut program = Program {
            folder,
            flags,
            links: Vec::new(),
            log: Vec::new(),
            wrong: Vec::new(),
        };
        let mut objects = Vec::new();
        let is_source = |name: &str| name.ends_with(".c") || name.ends_with(".cpp");
        for (name, _) in files.iter().filter(|(name, _)| is_source(name)) {
            objects.push(program.compile(name));
        }
        for redirect in [Redirect::Direct, Redirect::TableThunks] {
            let options = program.options(&objects, redirect);
            let linked = Linked::link(options, Access::Read, Target::Memory);
            let (linked, _) = linked.unwrap_or_else(|failed| panic!("{:?}", failed.0));
            program.links.push(linked);
        }
        program.check("first link");
        program
    }

    fn options(&self, objects: &[PathBuf], redirect: Redirect) -> LinkOptions {
        let mut arguments = toolchain::arguments(objects, &["-lc++", "-lc++abi"]);
        arguments.push("-oout.wasm".to_owned());
        let mut options = LinkOptions::parse(&arguments).unwrap();
        options.redirect = Some(redirect);
        options
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn compile(&self, name: &str) -> PathBuf {
        let object = self.path(name).with_extension("o");
        let compiler = match name.ends_with(".c") {
            true => "clang-19",
            false => "clang++-19",
        };
        let status = Command::new(compiler)
            .args(["--target=wasm32-wasi", "-w", "-c"])
            .args(self.flags)
            .arg(self.path(name))
            .arg("-o")
            .arg(&object)
            .status()
            .expect("clang-19 can be run");
        assert!(status.success());
        object
    }

    fn change(&self, file: &str, from: &str, to: &str) -> PathBuf {
        let path = self.path(file);
        let text = fs::read_to_string(&path).unwrap();
        let new = match from {
            "*" => to.to_owned(),
            from => {
                assert!(text.contains(from), "{file}: {from}\n{text}");
                text.replace(from, to)
            }
        };
        fs::write(&path, new).unwrap();
        self.compile(file)
    }

    /// Makes one edit.
    pub fn edit(&mut self, what: &str, file: &str, from: &str, to: &str, expect: Expect) {
        self.edit_all(what, &[(file, from, to)], expect);
    }

    /// Makes edits of several files at once.
    pub fn edit_all(&mut self, what: &str, edits: &[(&str, &str, &str)], expect: Expect) {
        let objects: Vec<PathBuf> = edits
            .iter()
            .map(|(file, from, to)| self.change(file, from, to))
            .collect();
        for at in 0..self.links.len() {
            let report = self.links[at].update(&objects);
            let report = report.unwrap_or_else(|failed| panic!("{what}: {:?}", failed.0));
            self.note(what, expect, &report);
        }
        self.check(what);
    }

    fn note(&mut self, what: &str, expect: Expect, report: &LinkReport) {
        let outcome = match &report.patch.outcome {
            Outcome::Unchanged => "nothing".to_owned(),
            Outcome::Patched(ranges) => format!("patch of {} bytes", ranges.bytes()),
            Outcome::Relinked(reason) => format!("relink: {reason}"),
        };
        let anew = report
            .resolved_anew
            .map_or("in place".to_owned(), |reason| reason.to_string());
        self.log.push(format!("{what}: {outcome}, {anew}"));
        let is_relink = matches!(report.patch.outcome, Outcome::Relinked(_));
        let as_expected = match expect {
            Expect::Quick => report.resolved_anew.is_none() && !is_relink,
            Expect::Patch => !is_relink,
            Expect::Relink => is_relink,
            Expect::Any => true,
        };
        if !as_expected {
            let flags = self.flags;
            self.wrong.push(format!(
                "{flags:?} {what}: {outcome}, {anew}; expected {expect:?}"
            ));
        }
    }

    /// Makes an edit that cannot be linked.
    pub fn broken(&mut self, what: &str, file: &str, from: &str, to: &str) {
        let object = self.change(file, from, to);
        for linked in &mut self.links {
            let before = linked.bytes().unwrap();
            assert!(linked.update(&[&object]).is_err(), "{what}");
            assert_eq!(linked.bytes().unwrap(), before, "{what}");
        }
    }

    /// Compares with a fresh link: what it does, and what it is.
    fn check(&self, what: &str) {
        let run = |bytes: &[u8]| {
            wasmparser::Validator::new()
                .validate_all(bytes)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let output = run_command(bytes, &["program"], b"").unwrap();
            (String::from_utf8(output.stdout).unwrap(), output.exit_code)
        };
        let mut expected = None;
        for linked in &self.links {
            let anew = linked.linked_anew();
            let anew = anew.unwrap_or_else(|failed| panic!("{what}: {:?}", failed.0));
            let expected = expected.get_or_insert_with(|| run(&anew.bytes().unwrap()));
            assert_eq!(
                &run(&linked.bytes().unwrap()),
                expected,
                "{what}\n{}",
                self.log.join("\n")
            );
            if self.flags.contains(&"-g") {
                self.check_debug_information(what, &linked.bytes().unwrap());
            }
            let (dense, other) = (linked.finish().unwrap(), anew.finish().unwrap());
            if dense != other {
                keep("patched.wasm", &dense);
                keep("fresh.wasm", &other);
                panic!("{what}: not what a fresh link is\n{}", self.log.join("\n"));
            }
        }
    }

    /// That readers of debug information find nothing wrong with it.
    fn check_debug_information(&self, what: &str, bytes: &[u8]) {
        let path = self.path("out.wasm");
        fs::write(&path, bytes).unwrap();
        if let Some(said) = toolchain::dwarf_errors(&path) {
            panic!("{what}: {said}\n{}", self.log.join("\n"));
        }
    }

    /// Says whether all went as expected.
    pub fn finish(self) {
        println!("{:?}\n{}", self.flags, self.log.join("\n"));
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}
