//! How long reading the generated program's objects takes: `cargo bench --bench objects [-- FOLDER]`, where FOLDER
//! is what the `generator` example wrote.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use wasmend::object::{Access, Input, Object};

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
            median(open),
            median(all),
            median(warm),
            median(check)
        );
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[0]
}
