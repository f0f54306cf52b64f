//! How long wasmtime takes to compile patchable files, against their dense forms: `cargo run --release FOLDER`.
//!
//! FOLDER holds pairs `X.wasm` and `X.dense.wasm`, as `WASMEND_KEEP=FOLDER cargo bench --bench patching` leaves them. The
//! two files of a pair are compiled in turns, and processor time is counted, so that what else the machine does falls on
//! neither. Nothing is cached. A run takes seconds for each file: `WASMEND_RUNS` says how many there are.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cpu_time::ProcessTime;
use wasmtime::{Config, Engine, Module};

const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: wasmend-load FOLDER")?;
    let runs = match std::env::var("WASMEND_RUNS") {
        Ok(runs) => runs.parse::<usize>()?.max(1),
        Err(_) => RUNS,
    };
    let pairs = pairs(Path::new(&folder))?;
    println!("wasmtime 48 with Cranelift, one thread, {runs} runs each\n");
    println!("| file | MB | dense MB | ms | dense ms | ratio |\n|---|---|---|---|---|---|");
    let mut config = Config::new();
    config.parallel_compilation(false);
    let engine = Engine::new(&config)?;
    for (name, files) in &pairs {
        let files = [fs::read(&files[0])?, fs::read(&files[1])?];
        let mut times = [Vec::new(), Vec::new()];
        for run in 0..runs {
            // Who goes first changes: the second may find a warmer machine.
            for turn in 0..2 {
                let which = (run + turn) % 2;
                let start = ProcessTime::try_now()?;
                let module = Module::new(&engine, &files[which])?;
                times[which].push(start.try_elapsed()?);
                drop(module);
            }
        }
        let [ours, dense] = times.map(median);
        println!(
            "| {name} | {:.2} | {:.2} | {:.1} | {:.1} | {:.3} |",
            files[0].len() as f64 / 1e6,
            files[1].len() as f64 / 1e6,
            ours.as_secs_f64() * 1e3,
            dense.as_secs_f64() * 1e3,
            ours.as_secs_f64() / dense.as_secs_f64()
        );
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
