//! How long wasmtime takes to compile patchable files, against their dense forms: `cargo run --release FOLDER`.
//!
//! FOLDER holds pairs `X.wasm` and `X.dense.wasm`, as `WASMEND_KEEP=FOLDER cargo bench --bench patching` leaves them. The
//! two files of a pair are compiled in turns, so that what else the machine does falls on both. Nothing is cached.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmtime::{Config, Engine, Module};

const RUNS: usize = 21;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: wasmend-load FOLDER")?;
    let runs = match std::env::var("WASMEND_RUNS") {
        Ok(runs) => runs.parse::<usize>()?.max(1),
        Err(_) => RUNS,
    };
    let pairs = pairs(Path::new(&folder))?;
    println!("wasmtime 48 with Cranelift, {runs} runs each\n");
    println!(
        "| file | threads | MB | dense MB | ms | dense ms | ratio | of the fastest |\n|---|---|---|---|---|---|---|---|"
    );
    for (threads, parallel) in [("one", false), ("all", true)] {
        let mut config = Config::new();
        config.parallel_compilation(parallel);
        let engine = Engine::new(&config)?;
        for (name, files) in &pairs {
            let files = [fs::read(&files[0])?, fs::read(&files[1])?];
            let mut times = [Vec::new(), Vec::new()];
            // The first round warms up.
            for run in 0..=runs {
                // Who goes first changes: the second may find a warmer or a busier machine.
                for turn in 0..2 {
                    let which = (run + turn) % 2;
                    let start = Instant::now();
                    let module = Module::new(&engine, &files[which])?;
                    let took = start.elapsed();
                    drop(module);
                    if run > 0 {
                        times[which].push(took);
                    }
                }
            }
            // Busy machines only ever slow a run down: where the two ratios are far apart, neither says much.
            let [least, dense_least] = [0, 1].map(|which| times[which].iter().min().copied());
            let fastest = least.unwrap_or_default().as_secs_f64()
                / dense_least.unwrap_or_default().as_secs_f64();
            let [ours, dense] = times.map(median);
            println!(
                "| {name} | {threads} | {:.2} | {:.2} | {:.1} | {:.1} | {:.3} | {fastest:.3} |",
                files[0].len() as f64 / 1e6,
                files[1].len() as f64 / 1e6,
                ours.as_secs_f64() * 1e3,
                dense.as_secs_f64() * 1e3,
                ours.as_secs_f64() / dense.as_secs_f64()
            );
        }
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Names, each with its patchable and its dense file.
fn pairs(folder: &Path) -> Result<Vec<(String, [PathBuf; 2])>, Box<dyn Error>> {
    let mut pairs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".wasm") else {
            continue;
        };
        if !name.ends_with(".dense") {
            let files = ["wasm", "dense.wasm"].map(|end| folder.join(format!("{name}.{end}")));
            pairs.push((name.to_string(), files));
        }
    }
    if pairs.is_empty() {
        return Err(format!("there is no X.wasm in {}", folder.display()).into());
    }
    pairs.sort();
    Ok(pairs)
}
