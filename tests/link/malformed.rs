//! Objects with bytes changed, linked beside good ones, and as a new version of one that is linked: an error or a whole
//! file, never a panic, and after an error the output is as it was.
//!
//! Run: `Linked::link` and `Linked::update`, on objects of `tests/objects` with up to three bytes changed beside `twice.o`.
//! `ROUNDS` says how often for each object (default: 100).

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::support::objects;
use crate::support::smith::Rng;
use wasmend::link::Access;
use wasmend::link::{LinkOptions, Linked, Target};

fn changed(bytes: &[u8], numbers: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + numbers.below(3) {
        let at = numbers.below(bytes.len());
        bytes[at] = match numbers.below(4) {
            0 => bytes[at] ^ 1 << numbers.below(8),
            1 => bytes[at].wrapping_add(1),
            2 => [0, 0x7f, 0x80, 0xff][numbers.below(4)],
            _ => numbers.below(256) as u8,
        };
    }
    bytes
}

#[test]
fn changed_objects() {
    let scratch = tempfile::tempdir().unwrap();
    let mut numbers = Rng::new(0x9e37_79b9_7f4a_7c15);
    let rounds = std::env::var("ROUNDS").map_or(100, |rounds| rounds.parse().unwrap());
    let mut outcomes = [0; 4];
    for name in [
        "main.o",
        "debug.o",
        "threads.o",
        "throws.o",
        "sections.o",
        "inline_a.o",
        "mvp.o",
    ] {
        let original = fs::read(objects::path(name)).unwrap();
        let path = scratch.path().join(name);
        let line = format!(
            "{} {} -o out.wasm --no-entry --import-undefined --export-dynamic --no-check-features --unresolved-symbols=ignore-all",
            path.display(),
            objects::path("twice.o").display()
        );
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let options = LinkOptions::parse(&arguments).unwrap();
        for round in 0..rounds {
            let bytes = changed(&original, &mut numbers);
            let run = || {
                fs::write(&path, &bytes).unwrap();
                let link = |options| Linked::link(options, Access::Read, Target::Memory);
                let mut outcome = 0;
                if let Ok((linked, _)) = link(options.clone()) {
                    outcome += 1;
                    linked.finish().unwrap();
                    linked.map();
                }
                fs::write(&path, &original).unwrap();
                let (mut linked, _) =
                    link(options.clone()).unwrap_or_else(|failed| panic!("{:?}", failed.0));
                let before = linked.bytes().unwrap();
                fs::write(&path, &bytes).unwrap();
                match linked.update(&[&path]) {
                    Ok(_) => outcome += 2,
                    Err(_) => assert_eq!(linked.bytes().unwrap(), before),
                }
                fs::write(&path, &original).unwrap();
                linked
                    .update(&[&path])
                    .unwrap_or_else(|failed| panic!("{:?}", failed.0));
                linked
                    .verify()
                    .unwrap_or_else(|failed| panic!("{:?}", failed.0));
                outcome
            };
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(outcome) => outcomes[outcome] += 1,
                Err(_) => {
                    let kept =
                        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bad-{round}-{name}"));
                    fs::write(&kept, &bytes).unwrap();
                    panic!("round {round}: see {}", kept.display());
                }
            }
        }
    }
    // All four happen, or the changes are not what they should be.
    println!("{outcomes:?}");
    assert!(outcomes[0] > 100 && outcomes[3] > 100, "{outcomes:?}");
}
