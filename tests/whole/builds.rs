//! Whole modules: created from one build, patched to the next, equal to it each time.
//!
//! Run: `WholeModule::in_memory` with one build and `WholeModule::update` with the next, `inspect::verify`, `inspect::finish`, on the
//! modules of `tests/modules` in every mode and on random ones.

use wasmend::inspect::{finish, verify};
use wasmend::{Outcome, Redirect, RelinkReason, Types, Update, WholeModule, WholeOptions};

use crate::support::families::FAMILIES;
use crate::support::{self, smith};

const MODES: [(Redirect, Types); 4] = [
    (Redirect::TableThunks, Types::Interned),
    (Redirect::Direct, Types::Interned),
    (Redirect::TableThunks, Types::PerDeclaration),
    (Redirect::Direct, Types::PerDeclaration),
];

fn options((redirect, types): (Redirect, Types)) -> WholeOptions {
    WholeOptions {
        redirect,
        types,
        ..WholeOptions::default()
    }
}

/// Everything that must hold of an output that was brought to `build`.
fn check(whole: &WholeModule, mode: (Redirect, Types), build: &[u8]) -> Vec<u8> {
    let out = whole.bytes().expect("in memory");
    support::validate(&out).expect("the output is valid");
    let report = verify(&out, build).expect("both are valid");
    assert!(report.is_clean(), "{:#?}", report.differences);
    let dense = finish(&out).expect("the output is valid");
    support::validate(&dense).expect("the dense output is valid");
    let report = verify(&dense, build).expect("both are valid");
    assert!(report.is_clean(), "dense: {:#?}", report.differences);
    let (fresh, _) = WholeModule::in_memory(options(mode), build).expect("valid");
    let fresh = finish(&fresh.bytes().expect("in memory")).expect("valid");
    assert!(dense == fresh, "the dense output depends on the history");
    assert!(dense == finish(&dense).expect("valid"));
    out
}

#[derive(Default)]
struct Outcomes {
    patched: usize,
    relinked: std::collections::BTreeMap<String, usize>,
}

impl Outcomes {
    fn add(&mut self, update: &Update) {
        match update.patch.relink_reason() {
            None => self.patched += 1,
            Some(reason) => *self.relinked.entry(reason.to_string()).or_default() += 1,
        }
    }
}

#[test]
fn builds_of_real_compilers_are_patched_and_run_alike() {
    for family in FAMILIES {
        for mode in MODES {
            let versions = family.versions();
            let (mut whole, first) =
                WholeModule::in_memory(options(mode), &versions[0]).expect("valid");
            assert_eq!(first.patch.relink_reason(), Some(RelinkReason::First));
            check(&whole, mode, &versions[0]);
            let mut order: Vec<usize> = (0..versions.len()).collect();
            order.push(0);
            for (step, at) in order.into_iter().enumerate() {
                let update = whole.update(&versions[at]).expect("valid");
                let out = check(&whole, mode, &versions[at]);
                let unchanged = matches!(update.patch.outcome, Outcome::Unchanged);
                assert_eq!(unchanged, step == 0, "{}", family.name);
                println!(
                    "{} {mode:?} v{}: {} changed {} added {} removed, {} of {} bytes, {:?}",
                    family.name,
                    at + 1,
                    update.functions_changed,
                    update.functions_added,
                    update.functions_removed,
                    update.patch.bytes_written(),
                    update.patch.file_len,
                    update.patch.relink_reason()
                );
                #[cfg(feature = "engine")]
                if family.runs() {
                    assert_eq!(
                        support::observe::observe(family, &out),
                        support::observe::observe(family, &versions[at])
                    );
                    let dense = finish(&out).expect("valid");
                    assert_eq!(
                        support::observe::observe(family, &dense),
                        support::observe::observe(family, &versions[at])
                    );
                }
            }
        }
    }
}

#[test]
fn modules_made_at_random() {
    let mut rng = smith::Rng::new(11);
    let mut outcomes = Outcomes::default();
    for case in 0..smith::cases(60) {
        let mode = MODES[rng.below(MODES.len())];
        let (mut build, config, mut dna) = smith::module(&mut rng);
        println!("case {case} {mode:?} {} bytes", build.len());
        let (mut whole, _) = WholeModule::in_memory(options(mode), &build).expect("valid");
        check(&whole, mode, &build);
        for _ in 0..3 {
            if rng.once_in(6) {
                build = smith::module(&mut rng).0;
            } else {
                for _ in 0..1 + rng.below(4) {
                    let at = rng.below(dna.len());
                    dna[at] = rng.next() as u8;
                }
                match smith::from(&config, &dna) {
                    Some(next) => build = next,
                    None => continue,
                }
            }
            let update = whole.update(&build).expect("valid");
            check(&whole, mode, &build);
            outcomes.add(&update);
        }
    }
    println!(
        "{} patched, relinked {:?}",
        outcomes.patched, outcomes.relinked
    );
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text")
}

/// Names of the custom sections, in order, with `code` where the code section stands.
fn customs(wasm: &[u8]) -> Vec<String> {
    let payloads = wasmparser::Parser::new(0).parse_all(wasm);
    let names = payloads.filter_map(|payload| match payload.expect("valid") {
        wasmparser::Payload::CustomSection(section) => Some(section.name().to_owned()),
        wasmparser::Payload::CodeSectionStart { .. } => Some("code".to_owned()),
        _ => None,
    });
    names
        .filter(|name| name != "pad" && !name.is_empty())
        .collect()
}

#[test]
fn custom_sections_are_kept_or_dropped_with_one_warning() {
    let build = |extra: &str| {
        wat(&format!(
            r#"(module $m
                (@custom "dylink.0" (before first) "\01\00")
                (@custom "producers" "\00")
                (@custom ".debug_info" "x")
                (@custom "sourceMappingURL" "\01a")
                (@custom "reloc.CODE" "\00\00")
                (@custom "metadata.code.branch_hint" "\00")
                (@custom "mine" "anything")
                {extra}
                (func $f (param $p i32) nop)
                (export "f" (func $f)))"#
        ))
    };
    let first = build("");
    let (mut whole, update) = WholeModule::in_memory(options(MODES[0]), &first).expect("valid");
    assert_eq!(
        update.warnings,
        [
            "dropped what would be wrong once code has moved: .debug_info, sourceMappingURL, \
             reloc.CODE, metadata.code.branch_hint, local names"
        ]
    );
    let out = check(&whole, MODES[0], &first);
    let kept = ["dylink.0", "code", "name", "producers", "mine", "wasmend"];
    assert_eq!(customs(&out), kept);
    let next = build(r#"(@custom ".debug_line" "y") (@custom "more" "z")"#);
    let update = whole.update(&next).expect("valid");
    assert_eq!(
        update.warnings,
        ["dropped what would be wrong once code has moved: .debug_line"]
    );
    assert!(matches!(update.patch.outcome, Outcome::Patched(_)));
    let out = check(&whole, MODES[0], &next);
    assert!(customs(&out).contains(&"more".to_owned()));
    assert!(whole.update(&first).expect("valid").warnings.is_empty());
}

#[test]
fn an_output_is_no_build_but_what_it_stands_for_is() {
    for family in FAMILIES {
        let versions = family.versions();
        for mode in MODES {
            let (mut whole, _) =
                WholeModule::in_memory(options(mode), &versions[0]).expect("valid");
            whole.update(&versions[1]).expect("valid");
            let out = whole.bytes().expect("in memory");
            let refused = WholeModule::in_memory(options(mode), &out).err();
            let refused = refused.expect("an output").to_string();
            assert!(refused.contains("an output of wasmend"), "{refused}");
            assert!(whole.update(&out).is_err());
            let meant = finish(&out).expect("valid");
            let (again, update) = WholeModule::in_memory(options(mode), &meant).expect("valid");
            assert!(update.warnings.is_empty(), "{:?}", update.warnings);
            let again = again.bytes().expect("in memory");
            let report = verify(&again, &out).expect("valid");
            assert!(report.is_clean(), "{:#?}", report.differences);
            // Two outputs of the same build mean the same.
            let (fresh, _) = WholeModule::in_memory(options(mode), &versions[1]).expect("valid");
            let fresh = fresh.bytes().expect("in memory");
            let report = verify(&out, &fresh).expect("valid");
            assert!(report.is_clean(), "{:#?}", report.differences);
            let report = verify(&out, &versions[0]).expect("valid");
            assert!(!report.is_clean());
        }
    }
}

#[test]
fn names_follow_the_build() {
    let build = |name: &str| {
        wat(&format!(
            r#"(module (func ${name} (result i32) i32.const 7)
                (global ${name} (mut i32) (i32.const 1))
                (func $other (export "other") (result i32) call ${name} global.get ${name} i32.add))"#
        ))
    };
    for mode in MODES {
        let (mut whole, _) = WholeModule::in_memory(options(mode), &build("first")).expect("valid");
        for name in [
            "second",
            "x",
            "a_name_that_is_much_longer_than_the_others",
            "first",
        ] {
            let build = build(name);
            let update = whole.update(&build).expect("valid");
            assert!(matches!(update.patch.outcome, Outcome::Patched(_)));
            check(&whole, mode, &build);
        }
    }
}

#[test]
fn globals_stay_behind_those_that_they_name() {
    let builds = [
        r#"(module (global $a i32 (i32.const 1)) (export "a" (global $a)))"#,
        r#"(module (global $new i32 (i32.const 5)) (global $a i32 (global.get $new)) (export "a" (global $a)))"#,
        r#"(module (global $b i32 (i32.const 2)) (global $new i32 (global.get $b))
            (global $a i32 (global.get $new)) (export "a" (global $a)))"#,
        r#"(module (global $a i32 (i32.const 1)) (export "a" (global $a)))"#,
    ];
    for mode in MODES {
        let (mut whole, _) = WholeModule::in_memory(options(mode), &wat(builds[0])).expect("valid");
        for build in builds {
            whole.update(&wat(build)).expect("valid");
            check(&whole, mode, &wat(build));
        }
    }
}

/// Types and declarations of a build that was refused used to stay.
#[test]
fn a_build_that_is_refused_leaves_nothing_behind() {
    let first = wat("(module (func (export \"f\") (param i32) (result i32) local.get 0))");
    let next = wat(
        "(module (func (export \"f\") (param i32) (result i32) i32.const 7)
            (func (export \"g\") (param i64 i64)))",
    );
    for mode in MODES {
        let made = || {
            WholeModule::in_memory(options(mode), &first)
                .expect("valid")
                .0
        };
        let (mut whole, mut other) = (made(), made());
        for params in 1..100 {
            let params = "f64 ".repeat(params);
            let bad = format!(
                "(module (func (export \"f\") (param i32) (result i32) local.get 0)
                    (func (export \"h\") (param {params}) (result f32) i32.const 1))"
            );
            whole.update(&wat(&bad)).expect_err("it is not valid");
        }
        let declarations = |whole: &WholeModule| whole.module().declarations();
        assert_eq!(declarations(&whole), declarations(&other));
        whole.update(&next).expect("valid");
        other.update(&next).expect("valid");
        assert_eq!(declarations(&whole), declarations(&other));
        assert!(whole.bytes().expect("in memory") == other.bytes().expect("in memory"));
        check(&whole, mode, &next);
    }
}

#[test]
fn segments_keep_their_order_when_ids_are_used_again() {
    // Later segments overwrite earlier ones, so their order is part of what the module means.
    let build = |functions: usize, segments: usize| {
        let mut text = String::from("(module (memory (export \"m\") 1)");
        for at in 0..functions {
            text.push_str(&format!(
                "(func $f{at} (export \"f{at}\") (result i32) i32.const {at})"
            ));
        }
        for at in 0..segments {
            text.push_str(&format!("(data (i32.const 0) \"segment {at}\")"));
        }
        text.push(')');
        wat(&text)
    };
    let mode = MODES[0];
    let (mut whole, _) = WholeModule::in_memory(options(mode), &build(3, 1)).expect("valid");
    for (functions, segments) in [(1, 1), (1, 3), (0, 3), (0, 5), (4, 5), (4, 2), (4, 4)] {
        let build = build(functions, segments);
        whole.update(&build).expect("valid");
        check(&whole, mode, &build);
    }
    // Another table makes everything be laid out anew.
    let last = wat(
        r#"(module (memory (export "m") 1) (table 1 funcref) (table 1 funcref)
            (data (i32.const 0) "segment 0") (data (i32.const 0) "segment 1")
            (data (i32.const 0) "segment 2") (data (i32.const 0) "segment 3"))"#,
    );
    whole.update(&last).expect("valid");
    check(&whole, mode, &last);
}

#[test]
fn a_signature_changes_under_callers_that_stay_the_same() {
    // The caller throws the result away, so its code is the same for either signature.
    let build = |ty: &str| {
        wat(&format!(
            r#"(module (func $f (export "f") (result {ty}) ({ty}.const 3))
                (func $g (export "g") call $f drop))"#
        ))
    };
    for mode in MODES {
        let (mut whole, _) = WholeModule::in_memory(options(mode), &build("i32")).expect("valid");
        for ty in ["i64", "f32", "i32"] {
            let update = whole.update(&build(ty)).expect("valid");
            assert!(matches!(update.patch.outcome, Outcome::Patched(_)));
            assert_eq!(update.functions_changed, 1);
            check(&whole, mode, &build(ty));
        }
    }
}

#[test]
fn shared_functions_have_no_thunks() {
    let build = |value: i64| {
        wat(&format!(
            r#"(module
                (type $shared (shared (func (result i32))))
                (func $f (type $shared) i32.const {value})
                (func $g (type $shared) call $f)
                (func (export "plain") (result i32) i32.const {value})
                (export "g" (func $g)))"#
        ))
    };
    for mode in MODES {
        let (mut whole, _) = WholeModule::in_memory(options(mode), &build(1)).expect("valid");
        check(&whole, mode, &build(1));
        for value in [2, 300, 70_000] {
            whole.update(&build(value)).expect("valid");
            check(&whole, mode, &build(value));
        }
    }
}

#[test]
fn a_shared_function_can_start() {
    let build = |value: i64| {
        wat(&format!(
            r#"(module
                (type $shared (shared (func)))
                (global $g (export "g") (shared mut i64) i64.const 0)
                (func $f (type $shared) (global.set $g (i64.const {value})))
                (start $f))"#
        ))
    };
    for mode in MODES {
        let (mut whole, _) = WholeModule::in_memory(options(mode), &build(1)).expect("valid");
        check(&whole, mode, &build(1));
        whole.update(&build(2)).expect("valid");
        check(&whole, mode, &build(2));
    }
}

#[test]
fn code_moves_away_and_callers_follow() {
    let build = |lines: usize| {
        let body = "local.get 0 i32.const 3 i32.mul local.set 0 ".repeat(lines);
        wat(&format!(
            r#"(module
                (func $hot (param i32) (result i32) {body} local.get 0)
                (func (export "run") (param i32) (result i32) local.get 0 call $hot)
                (table (export "t") funcref (elem $hot)))"#
        ))
    };
    for mode in MODES {
        let (mut whole, _) = WholeModule::in_memory(options(mode), &build(1)).expect("valid");
        for lines in [10, 100, 5, 300, 1] {
            let build = build(lines);
            let update = whole.update(&build).expect("valid");
            assert_eq!(
                (
                    update.functions_changed,
                    update.functions_added,
                    update.functions_removed
                ),
                (1, 0, 0)
            );
            check(&whole, mode, &build);
        }
    }
}

/// `return` throws away what else is on the stack; what looks like filler behind it must not take it along.
#[test]
fn a_return_that_throws_values_away_is_no_filler() {
    let build = |more: &str| {
        wat(&format!(
            "(module (func (export \"f\") (result i32)
                {more} i32.const 1 i32.const 2 return nop f64.const 3 unreachable)
              (func (export \"g\") (result i32) {more} i32.const 2 return nop unreachable)
              (func (export \"h\") {more} unreachable i32.const 1 return unreachable nop))"
        ))
    };
    for mode in MODES {
        let long = "nop i32.const 40 drop ".repeat(20);
        let (mut whole, _) = WholeModule::in_memory(options(mode), &build(&long)).expect("valid");
        for more in [&long, "i32.const 7 drop", "", &long] {
            whole.update(&build(more)).expect("valid");
            check(&whole, mode, &build(more));
        }
    }
}
