//! Updates that fail, in every way in which one can, and the good update after each: it gives what a link from nothing
//! gives, and writes the very bytes that it writes where nothing has failed before it.
//!
//! `wasmend ld --no-entry --export=run main.o helper.o other.o`, updated with versions of `helper.o`.

use std::fs;

use wasmend::link::LinkReport;
use wasmend::output::Publish;

use crate::support::objects::{self, builder::Builder};
use crate::updated::{ADD, END, Program, add_function, adds, written};

/// `helper.o`, called by `main.o`.
fn helper(constant: i32, times: usize, callees: &[&str]) -> Vec<u8> {
    adds("helper", constant, times, callees)
}

/// `helper.o` with a function of its own that it calls.
fn helper_and(name: &str) -> Vec<u8> {
    let mut builder = Builder::new();
    let ty = builder.function_type(&[objects::I32], &[objects::I32]);
    let code = builder.begin_function("helper", ty, false);
    code.local_get(0).i32_const(7).op(ADD);
    code.local_get(0).call_own(1).op(ADD).op(END);
    builder.end_function();
    add_function(&mut builder, name, 3, 1, &[]);
    builder.finish()
}

fn program(redirect: &str, publish: Publish) -> Program {
    let line = format!(
        "--no-entry --export=run FOLDER/main.o FOLDER/helper.o FOLDER/other.o --redirect={redirect}"
    );
    let files = [
        ("main.o", adds("run", 1, 1, &["helper"])),
        ("helper.o", helper(2, 1, &[])),
        ("other.o", adds("other", 4, 1, &[])),
    ];
    Program::new(&line, publish, &files)
}

/// A way to fail. It is given a good next version of `helper.o` to spoil.
#[derive(Debug, Clone, Copy)]
enum Failure {
    IsGone,
    IsNoObject,
    IsCutShort,
    UndefinedSymbol,
    DuplicateSymbol,
    OutputFolder,
}

const FAILURES: [Failure; 6] = [
    Failure::IsGone,
    Failure::IsNoObject,
    Failure::IsCutShort,
    Failure::UndefinedSymbol,
    Failure::DuplicateSymbol,
    Failure::OutputFolder,
];

impl Failure {
    fn happens(self, program: &mut Program, good: &[u8]) {
        let what = format!("{self:?}");
        match self {
            Failure::IsGone => {
                fs::remove_file(program.path("helper.o")).unwrap();
                program.fail(&what, &["helper.o"], "helper.o");
            }
            Failure::IsNoObject => {
                program.write("helper.o", "no object");
                program.fail(&what, &["helper.o"], "helper.o");
            }
            Failure::IsCutShort => {
                program.write("helper.o", &good[..good.len() / 2]);
                program.fail(&what, &["helper.o"], "helper.o");
            }
            Failure::UndefinedSymbol => {
                program.write("helper.o", helper(9, 4, &["missing"]));
                program.fail(&what, &["helper.o"], "`missing`: undefined symbol");
            }
            Failure::DuplicateSymbol => {
                program.write("helper.o", helper_and("other"));
                program.fail(&what, &["helper.o"], "`other`: duplicate symbol");
            }
            Failure::OutputFolder => {
                program.write("helper.o", good);
                program.fail_for_want_of_a_folder(&what, &["helper.o"]);
            }
        }
    }
}

/// The good updates, one after another: `helper.o`, and what `run` answers to 10 with it.
fn good_updates() -> Vec<(&'static str, Vec<u8>, i32)> {
    vec![
        ("a constant", helper(3, 1, &[]), 24),
        ("a longer body", helper(3, 60, &[]), 201),
        ("a call of another object", helper(3, 60, &["other"]), 215),
        ("a new function", helper_and("newcomer"), 41),
        ("the first version", helper(2, 1, &[]), 23),
    ]
}

fn update(program: &mut Program, what: &str, good: &[u8], answer: i32) -> LinkReport {
    program.write("helper.o", good);
    let report = program.update(what, &["helper.o"]);
    assert_eq!(program.answer(10), answer, "{what}");
    report
}

/// Goes through all good updates, each behind failures in one program and behind none in another.
fn check(failures: &[Failure]) {
    for redirect in ["direct", "table"] {
        for publish in [Publish::Atomic, Publish::InPlace] {
            let mut program = program(redirect, publish);
            let mut calm = self::program(redirect, publish);
            for (what, good, answer) in good_updates() {
                let what = format!("{what} after {failures:?}, {redirect}, {publish:?}");
                for failure in failures {
                    failure.happens(&mut program, &good);
                }
                let ours = update(&mut program, &what, &good, answer);
                let theirs = update(&mut calm, &what, &good, answer);
                assert_eq!(ours.resolved_anew, theirs.resolved_anew, "{what}");
                assert_eq!(written(&ours), written(&theirs), "{what}");
                assert_eq!(program.published().len(), calm.published().len(), "{what}");
            }
        }
    }
}

#[test]
fn an_update_after_an_object_was_gone_costs_what_it_changes() {
    check(&[Failure::IsGone]);
}

#[test]
fn an_update_after_an_object_could_not_be_read_costs_what_it_changes() {
    check(&[Failure::IsNoObject]);
    check(&[Failure::IsCutShort]);
}

#[test]
fn an_update_after_an_undefined_symbol_costs_what_it_changes() {
    check(&[Failure::UndefinedSymbol]);
}

#[test]
fn an_update_after_a_duplicate_symbol_costs_what_it_changes() {
    check(&[Failure::DuplicateSymbol]);
}

#[test]
fn an_update_after_the_output_could_not_be_written_costs_what_it_changes() {
    check(&[Failure::OutputFolder]);
}

#[test]
fn an_update_after_all_of_these_costs_what_it_changes() {
    check(&FAILURES);
}

/// What fails may be one of several files; those that are good are not forgotten for it.
#[test]
fn a_good_object_that_came_with_a_bad_one_is_linked_with_the_next_good_update() {
    for redirect in ["direct", "table"] {
        let mut program = program(redirect, Publish::Atomic);
        program.write("other.o", adds("other", 5, 2, &[]));
        program.write("helper.o", helper(3, 1, &["missing"]));
        let both = ["helper.o", "other.o"];
        program.fail("one is bad", &both, "`missing`: undefined symbol");
        program.write("helper.o", helper(3, 1, &["other"]));
        program.update("both are good", &both);
        assert_eq!(program.answer(10), 10 + 1 + 10 + 3 + 10 + 10);
    }
}

/// An object that says this of a feature: `+` it uses it, `-` nobody may, `=` everybody must.
fn claiming(mut object: Vec<u8>, claim: &str) -> Vec<u8> {
    let (prefix, feature) = claim.split_at(1);
    let name = "target_features";
    let mut contents = vec![name.len() as u8];
    contents.extend(name.bytes());
    contents.push(1);
    contents.extend(prefix.bytes());
    contents.push(feature.len() as u8);
    contents.extend(feature.bytes());
    object.extend([0, contents.len() as u8]);
    object.extend(contents);
    object
}

#[test]
fn a_feature_that_is_not_allowed_is_refused_in_an_edit_as_in_a_link_from_nothing() {
    const CLAIMS: [(&str, &str); 3] = [
        (
            "+simd128",
            "helper.o: uses the feature simd128, which --features does not allow",
        ),
        ("-sign-ext", "other.o: uses the feature sign-ext, which "),
        (
            "=sign-ext",
            "main.o: does not use the feature sign-ext, which ",
        ),
    ];
    for redirect in ["direct", "table"] {
        for publish in [Publish::Atomic, Publish::InPlace] {
            let line = format!(
                "--no-entry --export=run --features=sign-ext,mutable-globals,reference-types FOLDER/main.o FOLDER/helper.o \
                 FOLDER/other.o --redirect={redirect}"
            );
            let files = [
                ("main.o", adds("run", 1, 1, &["helper"])),
                ("helper.o", helper(2, 1, &[])),
                ("other.o", claiming(adds("other", 4, 1, &[]), "+sign-ext")),
            ];
            let mut program = Program::new(&line, publish, &files);
            for (claim, message) in CLAIMS {
                program.write("helper.o", claiming(helper(3, 1, &["other"]), claim));
                program.fail_as_fresh(claim, &["helper.o"], message);
                // Taken back, also with another edit, and brought by one again.
                update(&mut program, "taken back", &helper(3, 1, &["other"]), 38);
                program.write("helper.o", claiming(helper(4, 60, &[]), claim));
                program.fail_as_fresh(claim, &["helper.o"], message);
                let allowed = claiming(helper(2, 1, &[]), "+sign-ext");
                update(&mut program, "allowed", &allowed, 23);
            }
        }
    }
}
