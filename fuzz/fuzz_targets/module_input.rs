//! Bytes as whole modules: what is not valid is refused, what is valid is published, and a second build becomes a patch;
//! each time the output must be valid and say what the build says.
//!
//! An input is a module, or a control byte and two builds: raw ones, ones that a generator makes of the bytes, or one
//! and the same with some bytes changed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmend::inspect::{Map, finish, verify};
use wasmend::{ErrorKind, Redirect, Types, WholeModule, WholeOptions};
use wasmparser::{Validator, WasmFeatures};

#[path = "../../tests/support/smith.rs"]
#[allow(dead_code)]
mod smith;

fn is_valid(bytes: &[u8]) -> bool {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    validator.validate_all(bytes).is_ok()
}

fn check(whole: &WholeModule, build: &[u8]) -> Vec<u8> {
    let out = whole.bytes().expect("it is in memory");
    assert!(is_valid(build), "a build that is not valid was taken");
    assert!(is_valid(&out), "the output is not valid");
    let report = verify(&out, build).expect("both are valid");
    assert!(report.is_clean(), "{:#?}", report.differences);
    let dense = finish(&out).expect("the output is valid");
    assert!(is_valid(&dense), "the dense output is not valid");
    Map::read(&out).expect("the output has a map");
    out
}

fn builds(options: WholeOptions, first: &[u8], second: &[u8]) {
    let (mut whole, _) = match WholeModule::in_memory(options, first) {
        Ok(created) => created,
        Err(error) => {
            let refused = !is_valid(first) || error.kind() == ErrorKind::Limit;
            assert!(refused, "a valid module was refused: {error}");
            return;
        }
    };
    let before = check(&whole, first);
    match whole.update(second) {
        Ok(_) => drop(check(&whole, second)),
        Err(error) => {
            let refused = !is_valid(second) || error.kind() == ErrorKind::Limit;
            assert!(refused, "a valid module was refused: {error}");
            assert!(whole.bytes().expect("it is in memory") == before, "a failed build left traces");
        }
    }
    whole.update(first).expect("it was taken before");
    check(&whole, first);
}

fn mutated(build: &[u8], how: &[u8]) -> Vec<u8> {
    let mut build = build.to_vec();
    for change in how.chunks_exact(4).take(16) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let len = build.len().max(1);
        match (change[2] % 3, build.get_mut(at % len)) {
            (0, Some(byte)) => *byte ^= change[3],
            (1, Some(byte)) => *byte = change[3],
            _ => build.insert(at % len, change[3]),
        }
    }
    build
}

fuzz_target!(|data: &[u8]| {
    // Whatever is given to them, the readers of published files must not fail but refuse.
    let _ = (Map::read(data), finish(data), verify(data, data));
    if data.starts_with(b"\0asm") {
        return builds(WholeOptions::default(), data, data);
    }
    let [control, rest @ ..] = data else { return };
    let mut options = WholeOptions::default();
    if control & 1 != 0 {
        options.redirect = Redirect::Direct;
    }
    if control & 2 != 0 {
        options.types = Types::PerDeclaration;
    }
    let (first, second) = rest.split_at(rest.len() / 2);
    match control >> 2 & 3 {
        0 => builds(options, first, second),
        // A build, and what the end of the input makes of it.
        1 => {
            let at = rest.len().saturating_sub(32);
            let (build, how) = rest.split_at(at);
            builds(options, build, &mutated(build, how));
        }
        kind => {
            let mut rng = smith::Rng::new(u64::from(control >> 4));
            let config = smith::config(&mut rng);
            let Some(one) = smith::from(&config, first) else {
                return;
            };
            let two = match kind {
                2 => smith::from(&config, second).unwrap_or_default(),
                _ => mutated(&one, second),
            };
            builds(options, &one, &two);
        }
    }
});
