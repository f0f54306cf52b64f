//! C programs by clang that are linked, run, and edited while they do.

use std::fs;
use std::path::Path;
use std::process::Command;

use wasmend::link::{Access, LinkReport, Linked, Target};
use wasmend::live::{Live, Took};
use wasmend::{LiveStep, RefusalReason};

use crate::hosts::{Host, in_each_engine};
use crate::program::{call, start};
use crate::support::objects;

in_each_engine!(
    a_c_program_is_edited_while_it_runs,
    a_static_that_grows_is_refused_and_the_program_begins_anew,
);

/// A program of one file, which runs.
struct Program<H: Host> {
    folder: tempfile::TempDir,
    linked: Linked,
    live: Live<H>,
}

fn compile(folder: &Path, source: &str) {
    let path = folder.join("main.c");
    fs::write(&path, source).unwrap();
    let mut clang = Command::new("clang-19");
    clang.args([
        "--target=wasm32",
        "-O1",
        "-g",
        "-c",
        "-ffunction-sections",
        "-fdata-sections",
    ]);
    let object = folder.join("main.o");
    let output = clang.arg(&path).arg("-o").arg(&object).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl<H: Host> Program<H> {
    fn new(source: &str) -> Program<H> {
        let folder = tempfile::tempdir().unwrap();
        compile(folder.path(), source);
        let object = folder.path().join("main.o");
        let line = format!("--no-entry --export-dynamic --live {}", object.display());
        let options = objects::options(&line, &folder.path().join("out.wasm"));
        let linked = Linked::link(options, Access::Read, Target::Memory);
        let (linked, _) = linked.unwrap_or_else(|failed| panic!("{failed}"));
        let live = start(&linked.bytes().unwrap());
        Program {
            folder,
            linked,
            live,
        }
    }

    fn edit(&mut self, source: &str) -> (LinkReport, Took) {
        compile(self.folder.path(), source);
        let object = self.folder.path().join("main.o");
        let report = self.linked.update(&[object]);
        let report = report.unwrap_or_else(|failed| panic!("{failed}"));
        let linked = &self.linked;
        let done = self
            .live
            .take(report.patch.live.as_ref(), || linked.bytes());
        let took = done.unwrap_or_else(|error| panic!("{error}")).took;
        (report, took)
    }

    fn call(&mut self, name: &str) -> i64 {
        call(&mut self.live, name, &[])
    }
}

const SOURCE: &str = r#"
    #define EXPORT __attribute__((visibility("default")))
    static int counter = 10;
    static const char *const words[] = {"one", "two"};
    __attribute__((noinline)) static int step(int by) { return counter += by; }
    static int (*volatile pointer)(int) = step;
    EXPORT int count(void) { return pointer(1); }
    EXPORT int word(void) { const char *word = words[counter & 1]; return word[0] << 8 | word[1]; }
"#;

fn a_c_program_is_edited_while_it_runs<H: Host>() {
    let mut program = Program::<H>::new(SOURCE);
    assert_eq!(program.call("count"), 11);
    assert_eq!(program.call("word"), i64::from(b't') << 8 | i64::from(b'w'));

    // A body, which is called through a pointer that the program holds.
    let edited = SOURCE.replace("counter += by", "counter += by * 100");
    let (report, took) = program.edit(&edited);
    assert_eq!(took, Took::Delta, "{:?}", report.patch.live);
    assert_eq!(program.call("count"), 111);

    // Strings, constants that name them, a new function and new statics.
    let edited = edited.replace(
        "\"one\", \"two\"",
        "\"one\", \"a much longer string than there was before\"",
    );
    let edited = edited
        + r#"
        static int calls; static int first = 1000;
        EXPORT int unused(void) { return ++calls + first; }
    "#;
    let edited = edited.replace(
        "int word(void) {",
        "int unused(void); EXPORT int word(void) { unused();",
    );
    let (report, took) = program.edit(&edited);
    assert_eq!(took, Took::Delta, "{:?}", report.patch.live);
    assert_eq!(program.call("word"), i64::from(b'a') << 8 | i64::from(b' '));
    assert_eq!(program.call("count"), 211);

    program.live.undo().unwrap();
    assert_eq!(program.call("word"), i64::from(b't') << 8 | i64::from(b'w'));
}

fn a_static_that_grows_is_refused_and_the_program_begins_anew<H: Host>() {
    let mut program = Program::<H>::new(SOURCE);
    program.call("count");
    let edited = SOURCE.replace("static int counter = 10", "static long long counter = 10");
    let (report, took) = program.edit(&edited);
    assert!(
        matches!(took, Took::Restarted(_)),
        "{:?}",
        report.patch.live
    );
    let Some(LiveStep::Refused(refusals)) = report.patch.live else {
        panic!("it was refused");
    };
    let layout = refusals
        .iter()
        .find(|it| it.reason == RefusalReason::DataLayout);
    assert!(
        layout.is_some_and(|it| it.symbol.starts_with("what `")),
        "{refusals:?}"
    );
    assert_eq!(program.call("count"), 11);
}
