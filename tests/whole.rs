//! Whole modules: created from one build, patched to the next, equal to it each time.

use wasmend::inspect::{finish, verify};
use wasmend::{Outcome, Redirect, RelinkReason, Types, Update, WholeModule, WholeOptions};

#[path = "support/smith.rs"]
mod smith;
mod support;

use support::FAMILIES;

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
    if !report.is_clean() && std::env::var("DUMP").is_ok() {
        std::fs::write("/tmp/dense.wasm", &dense).unwrap();
        std::fs::write("/tmp/build.wasm", build).unwrap();
        std::fs::write("/tmp/out.wasm", &out).unwrap();
    }
    assert!(report.is_clean(), "dense: {:#?}", report.differences);
    let (fresh, _) = WholeModule::in_memory(options(mode), build).expect("valid");
    let fresh = finish(&fresh.bytes().expect("in memory")).expect("valid");
    if dense != fresh && std::env::var("DUMP").is_ok() {
        std::fs::write("/tmp/dense.wasm", &dense).unwrap();
        std::fs::write("/tmp/fresh.wasm", &fresh).unwrap();
        std::fs::write("/tmp/build.wasm", build).unwrap();
    }
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
                        support::run::observe(family, &out),
                        support::run::observe(family, &versions[at])
                    );
                    let dense = finish(&out).expect("valid");
                    assert_eq!(
                        support::run::observe(family, &dense),
                        support::run::observe(family, &versions[at])
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
