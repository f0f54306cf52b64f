//! Bad input: whatever is done to a module, the answer is a module or a clear error, and the output stays as it was.
//!
//! Run: `WholeModule::in_memory`, `WholeModule::update`, `inspect::verify` and `inspect::finish`, on modules of `tests/modules` that
//! are cut at every length, have bits flipped, or claim huge counts.

use wasmend::inspect::{finish, verify};
use wasmend::{ErrorKind, WholeModule, WholeOptions};

use crate::support::families::Family;
use crate::support::{self, smith};

/// A module with a bit of everything.
fn samples() -> Vec<Vec<u8>> {
    ["wat-gc", "wat-tables", "wat-memory", "wat-threads"]
        .iter()
        .map(|name| Family::get(name).wasm("a.wat"))
        .collect()
}

/// Tries a build; says whether it was taken. An error must say where it is.
fn try_build(build: &[u8]) -> bool {
    match WholeModule::in_memory(WholeOptions::default(), build) {
        Ok((whole, _)) => {
            let out = whole.bytes().expect("in memory");
            support::validate(&out).expect("what was taken gives a valid output");
            true
        }
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::BadInput | ErrorKind::Limit),
                "{error}"
            );
            let place = error.offset();
            assert!(place.is_some_and(|at| at <= build.len() as u64), "{error}");
            assert!(!error.message().is_empty());
            false
        }
    }
}

#[test]
fn truncated_at_every_length() {
    for sample in samples() {
        assert!(try_build(&sample));
        // A cut between sections leaves a shorter module; elsewhere it is an error.
        let taken = (0..sample.len())
            .filter(|len| try_build(&sample[..*len]))
            .count();
        assert!(taken < 20, "{taken}");
        for len in 0..sample.len() {
            let _ = finish(&sample[..len]);
            let _ = verify(&sample[..len], &sample);
        }
    }
}

#[test]
fn bits_flipped_in_every_byte() {
    // All of them in a longer run.
    let bits = smith::cases(1).min(8) as usize;
    let mut rng = smith::Rng::new(6);
    for sample in samples() {
        for at in 0..sample.len() {
            let first = rng.below(8);
            for bit in (first..first + bits).map(|bit| bit % 8) {
                let mut flipped = sample.clone();
                flipped[at] ^= 1 << bit;
                try_build(&flipped);
            }
        }
    }
}

#[test]
fn patchable_files_damaged_at_random() {
    let mut rng = smith::Rng::new(5);
    for sample in samples() {
        let (whole, _) = WholeModule::in_memory(WholeOptions::default(), &sample).expect("valid");
        let out = whole.bytes().expect("in memory");
        for _ in 0..smith::cases(400) {
            let mut damaged = out.clone();
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(damaged.len());
                damaged[at] = rng.next() as u8;
            }
            try_build(&damaged);
            let _ = finish(&damaged);
            let _ = verify(&damaged, &sample);
            let _ = verify(&sample, &damaged);
        }
    }
}

#[test]
fn hostile_counts_and_sizes() {
    // A count of 2^32 - 1 and 1 GiB, in every section that has one, with nothing behind it.
    for count in [
        &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
        &[0x80, 0x80, 0x80, 0x80, 0x04],
    ] {
        for id in 1..=13 {
            let mut wasm = b"\0asm\x01\0\0\0".to_vec();
            wasm.push(id);
            wasm.push(count.len() as u8);
            wasm.extend_from_slice(count);
            assert!(!try_build(&wasm), "section {id}");
            // The size itself.
            let mut wasm = b"\0asm\x01\0\0\0".to_vec();
            wasm.push(id);
            wasm.extend_from_slice(count);
            assert!(!try_build(&wasm), "section {id}");
        }
        // Locals, a branch table, a rec group, a data segment.
        for body in [
            [&[1][..], count, &[0x7f, 0x0b]].concat(),
            [&[0, 0x41, 0, 0x0e], count, &[0, 0x0b]].concat(),
        ] {
            let mut wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
            wasm.push(body.len() as u8 + 2);
            wasm.push(1);
            wasm.push(body.len() as u8);
            wasm.extend_from_slice(&body);
            assert!(!try_build(&wasm));
        }
    }
    assert!(!try_build(b"\0asm\x0d\0\x01\0"), "a component");
    assert!(!try_build(b""));
    assert!(!try_build(b"#!/bin/sh"));
}

#[test]
fn a_bad_build_changes_nothing() {
    let versions = Family::get("c-calc").versions();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wasm");
    let (mut whole, _) =
        WholeModule::create(&path, WholeOptions::default(), &versions[0]).expect("valid");
    let before = std::fs::read(&path).expect("published");
    for at in [0, 9, 100, versions[1].len() / 2, versions[1].len() - 1] {
        let error = whole.update(&versions[1][..at]).expect_err("half a module");
        assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
        assert_eq!(std::fs::read(&path).expect("still there"), before);
    }
    let update = whole.update(&versions[1]).expect("valid");
    assert_eq!(update.patch.relink_reason(), None);
    let out = std::fs::read(&path).expect("published");
    assert!(verify(&out, &versions[1]).expect("valid").is_clean());
}
