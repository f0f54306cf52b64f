//! Arbitrary bytes choose edits of a program; after each commit all that `tests/edits` checks must hold.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmend::{Redirect, Types};

#[path = "../../tests/edits/harness/mod.rs"]
mod harness;

use harness::check::{Config, random};
use harness::generate::{Choices, Shape};

/// More edits than this in one run teach the fuzzer little.
const MOST_EDITS: usize = 200;

fuzz_target!(|data: &[u8]| {
    let [mode, shape, choices @ ..] = data else {
        return;
    };
    let redirect = match mode % 3 {
        0 => Redirect::Table,
        1 => Redirect::TableThunks,
        _ => Redirect::Direct,
    };
    let types = match mode / 3 % 2 {
        0 => Types::PerDeclaration,
        _ => Types::Interned,
    };
    let wide = shape & 1 != 0;
    let shape = Shape {
        functions: 3 + u16::from(shape >> 4),
        others: 3,
        edits_per_commit: 1 + usize::from(shape >> 1 & 3),
        tags: shape & 8 != 0,
        mostly_bodies: false,
        wide,
        failures: true,
        pieces: true,
    };
    let config = Config {
        names: mode & 64 == 0,
        fan_in: if mode & 128 == 0 { 24 } else { 1 },
        measure: !wide && mode & 128 == 0,
        run_every: 4,
        ..Config::new(redirect, types)
    };
    let mut choices = Choices::Bytes(choices.to_vec(), 0);
    if let Err((error, script)) = random(&config, shape, &mut choices, MOST_EDITS) {
        let lines: Vec<String> = script.iter().map(|edit| format!("    {edit:?},")).collect();
        panic!("{error}\n{config:?}\n{}", lines.join("\n"));
    }
});
