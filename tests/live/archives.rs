//! Programs that are linked with archives, and run: what an archive brings is called directly, and patched only once it has
//! changed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wasmend::inspect::{FunctionRole, Map};
use wasmend::link::{Access, LinkReport, Linked, Target};
use wasmend::live::{Live, Took};
use wasmend::{LiveStep, RefusalReason, RelinkReason};

use crate::hosts::{Host, in_each_engine};
use crate::program::{call, start};
use crate::support::objects;

in_each_engine!(
    an_archive_is_frozen_until_it_changes,
    an_edit_that_replaces_what_an_archive_calls_is_a_change_of_the_archive,
);

/// A program with an archive of two members.
struct Program<H: Host> {
    folder: tempfile::TempDir,
    linked: Linked,
    live: Live<H>,
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn main_source(more: &str) -> String {
    format!(
        "int outer(int); int other(int); static int calls;
        __attribute__((visibility(\"default\"))) int run(int x) {{ calls++; return outer(x) + calls {more}; }}"
    )
}

fn inner_source(factor: u32) -> String {
    format!("__attribute__((weak, noinline)) int inner(int x) {{ return x * {factor}; }}")
}

const OUTER: &str = "int inner(int); int outer(int x) { return inner(x) + 1000; }";
const OTHER: &str = "int inner(int); int other(int x) { return inner(x) * 100000; }";

impl<H: Host> Program<H> {
    fn new() -> Program<H> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        compile(path("main"), &main_source(""));
        archive(&folder, &[("inner", &inner_source(3)), ("outer", OUTER)]);
        let line = format!(
            "--no-entry --export-dynamic --live {} {}",
            path("main.o").display(),
            path("lib.a").display()
        );
        let options = objects::options(&line, &path("out.wasm"));
        let linked = Linked::link(options, Access::Read, Target::Memory);
        let (linked, _) = linked.unwrap_or_else(|failed| panic!("{failed}"));
        let live = start(&linked.bytes().unwrap());
        Program {
            folder,
            linked,
            live,
        }
    }

    fn update(&mut self, name: &str) -> (LinkReport, Took) {
        let file = self.folder.path().join(name);
        let report = self.linked.update(&[file]);
        let report = report.unwrap_or_else(|failed| panic!("{failed}"));
        let linked = &self.linked;
        let step = report.patch.live.as_ref();
        let done = self.live.take(step, || linked.bytes());
        let took = done.unwrap_or_else(|error| panic!("{error}")).took;
        (report, took)
    }

    fn edit(&mut self, source: &str) -> (LinkReport, Took) {
        compile(self.folder.path().join("main"), source);
        self.update("main.o")
    }

    fn edit_library(&mut self, factor: u32, others: &[(&str, &str)]) -> (LinkReport, Took) {
        let members = [("inner", &*inner_source(factor)), ("outer", OUTER)];
        archive(&self.folder, &[&members, others].concat());
        self.update("lib.a")
    }

    fn run(&mut self, x: i64) -> i64 {
        call(&mut self.live, "run", &[x])
    }

    /// The functions that are called through the table.
    fn thunks(&self) -> Vec<String> {
        let map = Map::read(&self.linked.bytes().unwrap()).unwrap();
        let name = |index: u32| map.functions[index as usize].name.clone();
        let functions = map.functions.iter();
        let thunks = functions.filter(|function| function.role == FunctionRole::Thunk);
        let targets = thunks.filter_map(|function| name(function.target?));
        let mut names: Vec<String> = targets.collect();
        names.sort();
        names
    }
}

fn compile(path: PathBuf, source: &str) {
    let (text, object) = (path.with_extension("c"), path.with_extension("o"));
    fs::write(&text, source).unwrap();
    run(Command::new("clang-19")
        .args(["--target=wasm32", "-O1", "-c"])
        .arg(&text)
        .arg("-o")
        .arg(&object));
}

fn archive(folder: &tempfile::TempDir, members: &[(&str, &str)]) {
    let path = |name: &str| folder.path().join(name);
    let mut ar = Command::new("llvm-ar-19");
    ar.arg("rcs").arg(path("new.a"));
    for (name, source) in members {
        compile(path(name), source);
        ar.arg(path(&format!("{name}.o")));
    }
    run(&mut ar);
    fs::rename(path("new.a"), path("lib.a")).unwrap();
}

fn an_archive_is_frozen_until_it_changes<H: Host>() {
    let mut program = Program::<H>::new();
    assert_eq!(program.run(2), 1007);
    assert_eq!(program.thunks(), ["run"]);
    // Who calls it is patched as ever, and calls what is in the instance.
    let (report, took) = program.edit(&main_source("+ 10"));
    assert_eq!(took, Took::Delta, "{:?}", report.patch.live);
    assert_eq!(program.run(2), 1018);

    // Its first change is one restart, and the file has it at once.
    let (report, took) = program.edit_library(4, &[]);
    assert_eq!(
        report.patch.relink_reason(),
        Some(RelinkReason::LibraryEdited)
    );
    let Some(LiveStep::Refused(refusals)) = &report.patch.live else {
        panic!("{:?}", report.patch.live);
    };
    let said: Vec<_> = refusals.iter().map(|it| (it.reason, &*it.symbol)).collect();
    assert_eq!(said, [(RefusalReason::Library, "inner")]);
    assert!(refusals[0].to_string().contains("restart it; from then on"));
    assert_eq!(took, Took::Restarted(refusals.clone()));
    assert_eq!(program.run(2), 1019);
    assert_eq!(program.thunks(), ["inner", "outer", "run"]);

    // From then on it is patched as all else, and state is kept.
    let (report, took) = program.edit_library(5, &[]);
    assert_eq!(took, Took::Delta, "{:?}", report.patch.live);
    assert_eq!(report.patch.relink_reason(), None);
    assert_eq!(program.run(2), 1022);
    // So is what comes of it later.
    let (report, _) = program.edit_library(5, &[("other", OTHER)]);
    assert!(report.patch.live.is_none(), "{:?}", report.patch.live);
    let (report, took) = program.edit(&main_source("+ other(1)"));
    assert_eq!(took, Took::Delta, "{:?}", report.patch.live);
    assert_eq!(program.run(2), 501_013);
    let (report, took) = program.edit_library(6, &[("other", OTHER)]);
    assert_eq!(took, Took::Delta, "{:?}", report.patch.live);
    assert_eq!(program.run(2), 601_016);
}

fn an_edit_that_replaces_what_an_archive_calls_is_a_change_of_the_archive<H: Host>() {
    let mut program = Program::<H>::new();
    program.run(2);
    // The archive's own function is weak, and is not linked any more.
    let own = main_source("") + "int inner(int x) { return x * 50; }";
    let (report, took) = program.edit(&own);
    assert!(
        matches!(took, Took::Restarted(_)),
        "{:?}",
        report.patch.live
    );
    assert_eq!(program.run(2), 1101);
    let (report, took) = program.edit(&own.replace("50", "60"));
    assert_eq!(took, Took::Delta, "{:?}", report.patch.live);
    assert_eq!(program.run(2), 1122);
}
