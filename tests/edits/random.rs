//! Random edit sequences in every mode: after each commit the file validates, every byte of it has one owner, it is
//! equivalent to a dense build of the same program by other code, and it does the same.
//!
//! `WASMEND_EDITS` says how many edits are made in all (default: a few thousand), `WASMEND_SEED` where to begin.

use crate::harness::check::{Config, MOST_OVERHEAD, Seen, random, shrink};
use crate::harness::generate::{Choices, Shape};
use crate::threads::{cores, for_all};
use wasmend::output::Publish;

const EVERYDAY: usize = 6_000;
/// Edits of one program, before the next one is begun.
const PER_PROGRAM: usize = 400;

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given
        .and_then(|text| text.replace('_', "").parse().ok())
        .unwrap_or(default)
}

fn shapes() -> Vec<Shape> {
    let shape = Shape {
        functions: 25,
        others: 9,
        edits_per_commit: 4,
        tags: false,
        mostly_bodies: false,
        wide: false,
        failures: true,
        pieces: true,
    };
    vec![
        shape,
        Shape {
            edits_per_commit: 1,
            mostly_bodies: true,
            functions: 40,
            pieces: false,
            ..shape
        },
        Shape {
            tags: true,
            edits_per_commit: 2,
            wide: true,
            pieces: false,
            ..shape
        },
        Shape {
            edits_per_commit: 12,
            wide: true,
            functions: 60,
            others: 20,
            ..shape
        },
        Shape {
            edits_per_commit: 1,
            failures: false,
            functions: 6,
            others: 3,
            ..shape
        },
        Shape {
            edits_per_commit: 1,
            mostly_bodies: true,
            ..shape
        },
    ]
}

fn configs() -> Vec<Config> {
    let mut all = Vec::new();
    for (at, config) in Config::all().into_iter().enumerate() {
        let publish = match at % 3 {
            0 => Publish::Atomic,
            _ => Publish::InPlace,
        };
        all.push(config.clone());
        // Forwarders everywhere, and a file. What a forwarder leaves of a large body must be filled, which is what the
        // threshold is for; so the overhead is not looked at.
        all.push(Config {
            fan_in: 1,
            measure: false,
            publish: Some(publish),
            ..config.clone()
        });
        if at % 3 == 0 {
            all.push(Config {
                names: false,
                ..config
            });
        }
    }
    all
}

/// The work: which configuration, shape and seed, and how many edits.
fn programs(edits: usize, seed: u64) -> Vec<(Config, Shape, u64, usize)> {
    let (configs, shapes) = (configs(), shapes());
    let count = edits.div_ceil(PER_PROGRAM).max(1);
    (0..count)
        .map(|at| {
            let mut config = configs[at % configs.len()].clone();
            // Five shapes and fourteen configurations: all pairs come.
            let shape = shapes[at % shapes.len()];
            config.measure &= !shape.wide;
            config.run_every = if edits > 100_000 { 16 } else { 4 };
            (config, shape, seed + at as u64, edits.div_ceil(count))
        })
        .collect()
}

#[test]
fn random_edits() {
    let edits = number("WASMEND_EDITS", EVERYDAY as u64) as usize;
    let seed = number("WASMEND_SEED", 1);
    let programs = programs(edits, seed);
    let all = for_all(&programs, cores(), |(config, shape, seed, edits)| {
        let done = random(config, *shape, &mut Choices::Seed(*seed), *edits);
        done.unwrap_or_else(|(error, script)| {
            let long = script.len();
            let (short_error, script) = shrink(config, script, 600);
            let lines: Vec<String> = script.iter().map(|edit| format!("    {edit:?},")).collect();
            panic!(
                "seed {seed} ({long} edits, {shape:?}): {error}\n{config:?}\n\
                 shrunk: {short_error}\n{}",
                lines.join("\n")
            );
        })
    });
    let mut seen = Seen::default();
    for one in all {
        seen.add(one);
    }
    println!(
        "{} edits in {} commits: {} patches, {} refused, relinks {:?}\n\
         bytes beyond a body: p50 {}, p99 {}, most {} of {}; where a section moved: most {:?} of {}",
        seen.edits,
        seen.commits,
        seen.patches,
        seen.failures,
        seen.relinks,
        seen.overhead(500),
        seen.overhead(990),
        seen.overhead(1000),
        seen.overheads.len(),
        seen.with_room.iter().max(),
        seen.with_room.len(),
    );
    println!(
        "{:?}; {} stale calls, {} stale ids, {} fresh builds",
        seen.kinds, seen.stale_calls, seen.stale_ids, seen.fresh_builds
    );
    for kind in [
        "reserve",
        "share",
        "disown",
        "revert",
        "bring back",
        "clone",
        "discard",
    ] {
        assert!(seen.kinds.contains_key(kind), "no edit is a {kind}");
    }
    assert!(seen.stale_calls > 0 && seen.stale_ids > 0 && seen.fresh_builds > 0);
    assert!(seen.overhead(1000) <= MOST_OVERHEAD);
    assert!(seen.edits >= edits && seen.patches > 0 && seen.failures > 0);
}
