//! How long links take, in processes of their own, beside other linkers. Tables, which `WASMEND_TABLES` names:
//!
//! - `programs`: `WASMEND_LINKS=FOLDER cargo bench --bench linking` measures each program in FOLDER: a folder with a response file
//!   `link.rsp` (everything but `-o`), and if there is a folder `edited` in it, with objects to update to and back from
//!   (`benches/linking/programs.sh FOLDER` makes some). This is what is printed if nothing is named and FOLDER is.
//! - `scaling`: `WASMEND_TABLES=scaling cargo bench --bench linking` makes programs of its own that have more and more of one
//!   thing, in a temporary folder or in `WASMEND_SCALE=FOLDER`, and prints what one of these things costs. `WASMEND_ROWS`
//!   names the groups of rows that are wanted.
//! - `limits`: the same for more debug information than a module can have.
//!
//! `WASMEND_LINKERS` names the other linkers, by default wasm-ld-19 and wild, which is measured where it is installed;
//! wasmend is compared with the first. Runs take turns, so that what else the machine does falls on all; medians.
//! `WASMEND_RUNS` says how many.

mod measure;
#[path = "../generator/program.rs"]
mod program;
mod programs;
mod scaling;

use std::path::Path;

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(scaling::GENERATE) {
        return program::run(args);
    }
    let folder = std::env::var_os("WASMEND_LINKS");
    let asked = std::env::var("WASMEND_TABLES").unwrap_or_else(|_| "programs".into());
    let asked = |table: &str| asked.split(',').any(|one| one.trim() == table);
    let runs = std::env::var("WASMEND_RUNS").ok();
    let runs = runs.and_then(|runs| runs.parse().ok());
    if asked("programs") {
        match &folder {
            Some(folder) => programs::print_tables(Path::new(folder), runs.unwrap_or(9)),
            None => {
                println!("WASMEND_LINKS names no folder with programs: nothing is measured");
            }
        }
    }
    if asked("scaling") {
        scaling::print_table(runs.unwrap_or(3));
    }
    if asked("limits") {
        scaling::print_limits();
    }
}
