//! How long it takes from an object that is complete on disk until the new code has answered in wasmtime, in a process that
//! hears what `wasmend serve` publishes:
//!
//!     cargo build --release --bin wasmend --example generator
//!     cargo bench --bench live_server --features server,wasmtime
//!
//! The program is of 20,000 functions in 400 objects. Each edit writes one object anew with a constant changed; it is complete
//! when it is renamed into its place.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wasmend::live::{Live, LiveOptions, News, Runtime, Server, WasmtimeRuntime};

const EDITS: usize = 100;
const SIZE: [&str; 4] = ["--objects", "400", "--functions", "50"];

fn generate(folder: &Path, more: &[&str]) {
    let beside = Path::new(env!("CARGO_BIN_EXE_wasmend")).parent();
    let generator = beside.map_or_else(PathBuf::new, |beside| beside.join("examples/generator"));
    let mut command = Command::new(generator);
    let output = command.arg(folder).args(SIZE).args(more).output();
    let output = output.expect("the generator was built, by: cargo build --release --examples");
    assert!(output.status.success(), "{output:?}");
}

struct Edit {
    heard: Duration,
    applied: Duration,
    answered: Duration,
}

fn measure(level: wasmtime::OptLevel) -> Vec<Edit> {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("program");
    generate(&program, &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
    command.args(["--json", "serve", "--port", "0", "--root"]);
    command.arg(folder.path());
    command.arg(format!("@{}", program.join("objects.rsp").display()));
    command.args(["--no-entry", "--export=run", "-o"]);
    command.arg(folder.path().join("app.wasm"));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let url = lines.find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.ok()?).ok()?;
        let url = line["url"].as_str().map(str::to_owned);
        url.filter(|_| line["event"] == "serving")
    });
    let reader = std::thread::spawn(move || lines.for_each(drop));
    let server = Server::at(&url.expect("it serves")).expect("it answers");
    let mut config = wasmtime::Config::new();
    let engine = wasmtime::Engine::new(config.cranelift_opt_level(level)).expect("a compiler");
    let store = wasmtime::Store::new(&engine, ());
    let runtime = WasmtimeRuntime::new(store, wasmtime::Linker::new(&engine));
    let file = server.file().expect("it was published");
    let mut live = Live::load(runtime, &file, LiveOptions::default()).expect("it runs");
    let mut listener = server.listen(live.identity()).expect("it answers");
    let run = live.export("run").expect("it is exported");
    let mut before = live.runtime().call(&run, &[]).expect("it runs");
    let mut edits = Vec::new();
    for edit in 0..EDITS {
        let (object, function) = (edit % 400, edit % 50);
        let staged = folder.path().join("staged");
        generate(&staged, &["--edit", &format!("{object}.{function}")]);
        let name = format!("o{object:05}.o");
        let (new, place) = (program.join("new"), program.join(&name));
        fs::copy(staged.join(&name), &new).expect("it is written");
        std::thread::sleep(Duration::from_millis(60 + 7 * (edit as u64 % 10)));
        let start = Instant::now();
        fs::rename(&new, &place).expect("it is there");
        let delta = loop {
            match listener.next(live.identity()).expect("it answers") {
                News::Delta { delta, .. } => break delta,
                News::Current | News::Building => {}
                other => panic!("{other:?}"),
            }
        };
        let heard = start.elapsed();
        live.apply(&delta).expect("it is taken in");
        let applied = start.elapsed();
        let answer = live.runtime().call(&run, &[]).expect("it runs");
        let answered = start.elapsed();
        assert_ne!(answer, before, "it is the new code that answers");
        before = answer;
        edits.push(Edit {
            heard,
            applied,
            answered,
        });
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    reader.join().expect("it ends with the process");
    edits
}

fn main() {
    println!("| wasmtime | heard | taken in | answered, median (goal 10 ms) | 9 of 10 |");
    println!("|---|---|---|---|---|");
    for (name, level) in [
        ("optimising", wasmtime::OptLevel::Speed),
        ("not optimising", wasmtime::OptLevel::None),
    ] {
        let edits = measure(level);
        let of_hundred = |of: fn(&Edit) -> Duration, at: usize| {
            let mut times: Vec<Duration> = edits.iter().map(of).collect();
            times.sort_unstable();
            times[times.len() * at / 100].as_secs_f64() * 1e3
        };
        println!(
            "| {name} | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms |",
            of_hundred(|edit| edit.heard, 50),
            of_hundred(|edit| edit.applied, 50),
            of_hundred(|edit| edit.answered, 50),
            of_hundred(|edit| edit.answered, 90),
        );
    }
}
