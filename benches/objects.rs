//! How long the front half of a link takes, and reading the generated program's objects alone: `cargo bench --bench objects [-- [--phases] FOLDER]`, where FOLDER
//! is what the `generator` example wrote. `WASMEND_LINKS` can name further links, as for the tests. The least of several
//! runs is printed. With `--phases`, reading alone is left out; `ROUNDS`
//! says how often a link is repeated (once, to see its peak of memory).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use wasmend::internals::link::{Inputs, gc, order, resolve};
use wasmend::internals::object::{Access, Input, Object};
use wasmend::link::LinkOptions;

fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|arg| !arg.starts_with('-'))
        .map_or_else(|| std::env::temp_dir().join("gen"), PathBuf::from);
    let Ok(list) = std::fs::read_to_string(folder.join("objects.rsp")) else {
        println!("{}: nothing generated there", folder.display());
        return;
    };
    let files: Vec<PathBuf> = list.lines().map(PathBuf::from).collect();
    let mut arguments = vec!["--no-entry".to_owned()];
    arguments.extend(list.lines().map(str::to_owned));
    phases(&arguments);
    for list in std::env::var("WASMEND_LINKS")
        .unwrap_or_default()
        .split(':')
    {
        if let Ok(text) = std::fs::read_to_string(list) {
            let arguments: Vec<String> = text.lines().map(str::to_owned).collect();
            phases(&arguments);
        }
    }
    if std::env::args().any(|arg| arg == "--phases") {
        return;
    }
    for (name, access) in [("mapped", Access::Map), ("read", Access::Read)] {
        let mut open = Vec::new();
        let mut all = Vec::new();
        let mut warm = Vec::new();
        let mut check = Vec::new();
        for _ in 0..21 {
            let start = Instant::now();
            let inputs: Vec<_> = files
                .par_iter()
                .map(|file| Input::open(file, access).unwrap())
                .collect();
            open.push(start.elapsed());
            let objects: Vec<_> = inputs
                .par_iter()
                .map(|input| Object::read(input.clone()).unwrap())
                .collect();
            all.push(start.elapsed());
            let bytes: usize = inputs.iter().map(|input| input.bytes().len()).sum();
            let relocs: usize = objects
                .iter()
                .map(|object| object.code_relocs.all().len())
                .sum();
            let symbols: usize = objects.iter().map(|object| object.symbols.len()).sum();
            if all.len() == 1 {
                println!("{bytes} bytes, {relocs} relocations, {symbols} symbols");
            }
            let start = Instant::now();
            let again: Vec<_> = inputs
                .iter()
                .map(|input| Object::read(input.clone()).unwrap())
                .collect();
            warm.push(start.elapsed());
            drop(again);
            let start = Instant::now();
            inputs
                .par_iter()
                .for_each(|input| input.check_unchanged().unwrap());
            check.push(start.elapsed());
        }
        println!(
            "{name}: open {:?}, open and parse {:?}; parse again on one core {:?}; check {:?}",
            least(open),
            least(all),
            least(warm),
            least(check)
        );
    }
}

/// Time that all threads of this process have run for: it hardly depends on what else the machine does.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let time = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(time.sum())
}

/// The phases of a link up to where its declarations are known.
fn phases(arguments: &[String]) {
    let mut arguments = arguments.to_vec();
    arguments.push("-oout".to_owned());
    let options = LinkOptions::parse(&arguments).unwrap();
    let mut times: [Vec<Duration>; 5] = Default::default();
    let mut cpus: [Vec<Duration>; 5] = Default::default();
    let rounds = std::env::var("ROUNDS").map_or(15, |rounds| rounds.parse().unwrap_or(15));
    for round in 0..rounds {
        let (start, before) = (Instant::now(), cpu());
        let inputs = Inputs::open(&options, Access::Map).unwrap();
        times[0].push(start.elapsed());
        cpus[0].push(cpu() - before);
        let (start, before) = (Instant::now(), cpu());
        let mut resolution = resolve(inputs, &options);
        times[1].push(start.elapsed());
        cpus[1].push(cpu() - before);
        let (start, before) = (Instant::now(), cpu());
        let live = gc::mark(&mut resolution, &options);
        times[2].push(start.elapsed());
        cpus[2].push(cpu() - before);
        let (start, before) = (Instant::now(), cpu());
        let segments = order::segments(&resolution, &live, &options, false);
        let entries = order::table_entries(&resolution, &live);
        let exports = order::exports(&resolution, &live, &options);
        let imports = order::imports(&resolution, &live, &options);
        times[3].push(start.elapsed());
        cpus[3].push(cpu() - before);
        if round == 0 {
            println!(
                "{} objects, {} symbols, {} functions, {} segments, {} entries, {} exports, {} imports; {:?}",
                resolution.objects().len(),
                resolution.table.symbols().len(),
                live.functions.count(),
                segments.len(),
                entries.len(),
                exports.len(),
                imports.len(),
                resolution.diagnostics.errors.first()
            );
        }
        let (start, before) = (Instant::now(), cpu());
        drop((resolution, live));
        times[4].push(start.elapsed());
        cpus[4].push(cpu() - before);
    }
    let [open, resolve, mark, order, free] = times.map(least);
    println!(
        "open and parse {open:?}, resolve {resolve:?}, mark {mark:?}, order {order:?}; free {free:?}"
    );
    let [open, resolve, mark, order, free] = cpus.map(least);
    println!(
        "  on all cores: open and parse {open:?}, resolve {resolve:?}, mark {mark:?}, order {order:?}; free {free:?}"
    );
}

fn least(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[0]
}
