//! Edits of programs of two small objects, each for one thing that went wrong once. Needs clang-19.
//!
//! Run: `Linked::link` with an object that the compiler makes, and `Linked::update` with others in its place.

use std::fs;

use wasmend::link::{Access, LinkOptions, Linked, Target};

use crate::lab::Lab;

/// A program linked in memory, of which one object, `changes.o`, is to change.
pub struct Subject<'a> {
    lab: &'a Lab,
    pub linked: Linked,
}

impl Subject<'_> {
    /// Links by a line of arguments; `changes.o` is a copy of `first`.
    pub fn new<'a>(lab: &'a Lab, line: &str, first: &str) -> Subject<'a> {
        fs::copy(lab.path(first), lab.path("changes.o")).unwrap();
        let words = line
            .split_whitespace()
            .map(|word| match word.ends_with(".o") {
                true => lab.path(word).display().to_string(),
                false => word.to_owned(),
            });
        let always = ["--no-entry", "--export=run", "-oout.wasm"].map(str::to_owned);
        let arguments: Vec<String> = always.into_iter().chain(words).collect();
        let options = LinkOptions::parse(&arguments).unwrap();
        let (linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
        Subject { lab, linked }
    }

    /// Puts another version in the place of the object that changes.
    pub fn update(&mut self, version: &str) -> Result<(), String> {
        let object = self.lab.path("changes.o");
        fs::copy(self.lab.path(version), &object).unwrap();
        let updated = self.linked.update(&[&object]);
        updated.map(|_| ()).map_err(|failed| failed.to_string())
    }

    pub fn expect_same_as_anew(&self, what: &str) {
        self.linked.verify().unwrap();
        let anew = self.linked.linked_anew().unwrap().finish().unwrap();
        assert!(self.linked.finish().unwrap() == anew, "{what}");
    }
}

#[test]
fn data_that_nothing_defines_is_missed_once_an_edit_reaches_who_needs_it() {
    let lab = Lab::new(&[
        (
            "threads-needs.c",
            "extern __thread int t; int dead(void) { return t; }",
        ),
        ("needs.c", "extern int t; int dead(void) { return t; }"),
        (
            "threads-before.c",
            "int dead(void); int run(void) { return 1; }",
        ),
        (
            "threads-after.c",
            "int dead(void); int run(void) { return dead(); }",
        ),
    ]);
    for (line, is_refused) in [
        ("changes.o threads-needs.o", true),
        ("changes.o threads-needs.o --allow-undefined", true),
        ("changes.o needs.o", true),
        ("changes.o needs.o --allow-undefined", false),
        ("changes.o needs.o --unresolved-symbols=ignore-all", false),
    ] {
        let mut subject = Subject::new(&lab, line, "threads-before.o");
        let before = subject.linked.bytes().unwrap().to_vec();
        match subject.update("threads-after.o") {
            Ok(()) => assert!(!is_refused, "{line}"),
            Err(said) => {
                assert!(is_refused && said.contains("`t`"), "{line}: {said}");
                assert!(subject.linked.bytes().unwrap() == before, "{line}");
            }
        }
        subject.update("threads-before.o").unwrap();
        subject.expect_same_as_anew(line);
    }
}

#[test]
fn data_that_debug_information_alone_tells_apart_has_one_order_in_dense_outputs() {
    let lab = Lab::new(&[
        ("debug-other.c", "__attribute__((weak, used)) int d[2];"),
        (
            "debug-one.c",
            "__attribute__((used)) int d[2] = {1, 2}; int run(void) { return 1; }",
        ),
        (
            "debug-two.c",
            "__attribute__((used)) int d[2]; int run(void) { return 1; }",
        ),
    ]);
    for line in ["changes.o debug-other.o", "debug-other.o changes.o"] {
        let line = format!("{line} --no-gc-sections");
        let mut subject = Subject::new(&lab, &line, "debug-one.o");
        for version in ["debug-two.o", "debug-one.o", "debug-two.o"] {
            subject.update(version).unwrap();
            subject.expect_same_as_anew(&format!("{line}: {version}"));
        }
    }
}

#[test]
fn an_edit_keeps_what_an_object_wants_kept_of_a_symbol_that_is_wrapped() {
    let source = |constant: i32| {
        format!(
            "int __real_f(int); __attribute__((used)) int f(int x) {{ return x + {constant}; }}
             int __wrap_f(int x) {{ return __real_f(x) * 2; }}"
        )
    };
    let lab = Lab::new(&[
        ("one.c", &source(1000)),
        ("two.c", &source(2000)),
        ("calls.c", "int f(int); int run(void) { return f(3); }"),
        ("quiet.c", "int run(void) { return 3; }"),
    ]);
    for other in ["calls.o", "quiet.o"] {
        let line = format!("changes.o {other} --wrap=f --undefined=f");
        let mut subject = Subject::new(&lab, &line, "one.o");
        for version in ["two.o", "one.o"] {
            subject.update(version).unwrap();
            subject.expect_same_as_anew(&format!("{line}: {version}"));
        }
    }
}

#[test]
fn an_edit_does_not_link_an_init_function_that_another_object_defines_instead() {
    let lab = Lab::new(&[
        (
            "one.c",
            "volatile int early; __attribute__((weak, constructor)) void f(void) { early++; }
             int d[2] = {1, 2}; int run(void) { return d[1]; }",
        ),
        (
            "two.c",
            "volatile int early; __attribute__((weak, constructor)) void f(void) { early++; }
             int d[2] = {1, 3}; int run(void) { return d[1]; }",
        ),
        (
            "other.c",
            "volatile int calls; __attribute__((constructor)) void f(void) { calls++; }",
        ),
    ]);
    for line in ["changes.o other.o", "other.o changes.o"] {
        let mut subject = Subject::new(&lab, line, "one.o");
        for version in ["two.o", "one.o"] {
            subject.update(version).unwrap();
            subject.expect_same_as_anew(&format!("{line}: {version}"));
        }
    }
}
