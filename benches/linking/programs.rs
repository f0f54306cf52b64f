//! Programs that `benches/linking/programs.sh FOLDER` makes, or others like them: links beside other linkers', and updates. Before
//! a program is measured it is linked by 1, 2, 4 and 16 threads, which must all make the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::{Medians, link_command, links, makers, updates};

const THREADS: [usize; 4] = [1, 2, 4, 16];
/// What leaves debug information out.
const STRIP: &str = "--strip-debug";

/// Prints the tables of the programs in a folder.
pub fn print_tables(folder: &Path, runs: usize) {
    let makers = makers();
    let names: Vec<&str> = makers.iter().map(|maker| &*maker.name).collect();
    println!(
        "| program | {} | size | times faster | processor time | peak memory | dense: time | memory | size | times faster |\n|{}",
        names.join(" | "),
        "---|".repeat(names.len() + 9)
    );
    let programs = programs(folder);
    let mut full = Vec::new();
    for program in &programs {
        expect_the_same_of_all_threads(program);
        let medians = links(program, &makers, &[], runs);
        print_row(program, "", &medians);
        full.push(medians[2].wall_ms);
        let stripped = links(program, &makers, &[STRIP], runs);
        // A program without debug information has been measured.
        if stripped[2].bytes < medians[2].bytes {
            print_row(program, ", -S", &stripped);
        }
    }
    println!(
        "\nMilliseconds. The size is wasmend's over {0}'s, like processor time and memory; times faster than {0}. Of dense links time and \
         memory are over those of patchable ones, the size over {0}'s.",
        names[2]
    );
    println!(
        "\n| program | update, median µs | p99 µs | bytes | patches | {}'s link / update |",
        names[2]
    );
    println!("|---|---|---|---|---|---|");
    for (program, full) in programs.iter().zip(full) {
        if program.join("edited").is_dir() {
            print_updates(program, full);
        }
    }
}

fn programs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("WASMEND_LINKS is a folder");
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.join("link.rsp").is_file());
    all.sort();
    all
}

fn expect_the_same_of_all_threads(program: &Path) {
    for kind in ["--incremental", "--no-incremental"] {
        expect_the_same(program, kind);
    }
}

fn expect_the_same(program: &Path, kind: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outputs = THREADS.map(|threads| {
        // A module is called as its file is.
        let out = folder.path().join(threads.to_string()).join("out.wasm");
        fs::create_dir(out.parent().expect("it is in a folder")).expect("it is fresh");
        let ours = [env!("CARGO_BIN_EXE_wasmend"), "ld"].map(str::to_owned);
        let mut link = link_command(&ours, program);
        link.args([kind, &format!("--threads={threads}")]);
        link.arg("-o").arg(&out);
        let status = link.stderr(Stdio::null()).status().expect("it runs");
        assert!(status.success(), "wasmend fails on {}", program.display());
        out
    });
    for (threads, output) in THREADS.iter().zip(&outputs) {
        // Not read by this process, whose memory would be taken for that of those it starts.
        let compared = Command::new("cmp").arg(&outputs[0]).arg(output).status();
        let is_same = compared.expect("cmp runs").success();
        assert!(is_same, "{}: {threads} threads, {kind}", program.display());
    }
}

fn print_row(program: &Path, more: &str, medians: &[Medians]) {
    let cells = medians.iter().map(|median| match median.wall_ms {
        0.0 => "-".to_owned(),
        wall => format!("{wall:.1}"),
    });
    let cells: Vec<String> = cells.collect();
    let (ours, dense, theirs) = (medians[0], medians[1], medians[2]);
    println!(
        "| {}{more} | {} | {:.2} | {:.2} | {:.2} ({:.0} ms) | {:.2} ({:.0} MB) | {:.2} | {:.2} ({:.0} MB) | {:.3} | {:.2} |",
        program.file_name().unwrap_or_default().to_string_lossy(),
        cells.join(" | "),
        ours.bytes as f64 / theirs.bytes as f64,
        theirs.wall_ms / ours.wall_ms,
        ours.processor_ms / theirs.processor_ms,
        ours.processor_ms,
        ours.peak_mb / theirs.peak_mb,
        ours.peak_mb,
        dense.wall_ms / ours.wall_ms,
        dense.peak_mb / ours.peak_mb,
        dense.peak_mb,
        dense.bytes as f64 / theirs.bytes as f64,
        theirs.wall_ms / dense.wall_ms,
    );
}

fn print_updates(program: &Path, full_ms: f64) {
    let updates = updates(program);
    let ratio = full_ms * 1e3 / updates.median_us;
    println!(
        "| {} | {:.0} | {:.0} | {} | {} of {} | {ratio:.0} |",
        program.file_name().unwrap_or_default().to_string_lossy(),
        updates.median_us,
        updates.p99_us,
        updates.bytes,
        updates.patches,
        updates.count,
    );
}
