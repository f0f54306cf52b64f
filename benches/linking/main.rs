//! Links beside other linkers and beside copying: whole processes, from their start to their end, and updates.
//!
//! `WASMEND_LINKS=FOLDER cargo bench --bench linking` measures each program in FOLDER: a folder with a response file
//! `link.rsp` (everything but `-o`), and if there is a folder `edited` in it, with objects to update to and back from
//! (`benches/linking/programs.sh FOLDER` makes some). `WASMEND_LINKERS` names the other linkers, by default wasm-ld-19 and
//! wild, which is measured where it is installed; wasmend is compared with the first. Runs take turns, so that what else
//! the machine does falls on all; medians. `WASMEND_RUNS` says how many.
//!
//! Before a program is measured it is linked by 1, 2, 4 and 16 threads, which must all make the same.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Updates: half of them to the edited objects, half back.
const UPDATES: usize = 40;
const THREADS: [usize; 4] = [1, 2, 4, 16];
/// What leaves debug information out.
const STRIP: &str = "--strip-debug";

/// What one process took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    processor: Duration,
    peak_bytes: u64,
}

/// What processes took in the middle.
#[derive(Clone, Copy, Default)]
struct Medians {
    wall_ms: f64,
    processor_ms: f64,
    peak_mb: f64,
    bytes: u64,
}

/// Something that makes a file of a program's objects.
struct Maker {
    name: String,
    kind: Kind,
}

enum Kind {
    /// A command.
    Linker(Vec<String>),
    /// wild, by its path: it links WebAssembly if it is called as wasm-ld, and drops debug information whatever is asked for.
    Wild(String),
    /// The inputs one after the other: what reading and writing alone take.
    Copy,
    /// It is not there.
    Missing,
}

fn main() {
    let Some(folder) = std::env::var_os("WASMEND_LINKS") else {
        println!("WASMEND_LINKS names no folder with programs: nothing is measured");
        return;
    };
    let runs = std::env::var("WASMEND_RUNS").ok();
    let runs = runs.and_then(|runs| runs.parse().ok()).unwrap_or(9);
    let makers = makers();
    let names: Vec<&str> = makers.iter().map(|maker| &*maker.name).collect();
    println!(
        "| program | {} | size | times faster | processor time | peak memory | dense: time | memory | size | times faster |\n|{}",
        names.join(" | "),
        "---|".repeat(names.len() + 9)
    );
    let programs = programs(Path::new(&folder));
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
            updates(program, full);
        }
    }
}

/// First wasmend, for patches and dense, then the others, and last copying.
fn makers() -> Vec<Maker> {
    let ours = env!("CARGO_BIN_EXE_wasmend").to_owned();
    let linker = |name: &str, command: &[&str]| Maker {
        name: name.to_owned(),
        kind: Kind::Linker(command.iter().map(|part| (*part).to_owned()).collect()),
    };
    let mut all = vec![
        linker("wasmend", &[&ours, "ld"]),
        linker("dense", &[&ours, "ld", "--no-incremental"]),
    ];
    let others = std::env::var("WASMEND_LINKERS");
    for other in others.as_deref().unwrap_or("wasm-ld-19,wild").split(',') {
        let name = Path::new(other).file_name();
        let name = name.map_or(other.into(), |name| name.to_string_lossy());
        // Some link for many systems.
        let command: &[&str] = match &*name {
            "rust-lld" => &[other, "-flavor", "wasm"],
            _ => &[other],
        };
        let found = Command::new(other)
            .args(&command[1..])
            .arg("--version")
            .output();
        all.push(match found {
            Ok(_) if name == "wild" => Maker {
                name: name.into_owned(),
                kind: Kind::Wild(other.to_owned()),
            },
            Ok(_) => linker(&name, command),
            Err(error) => {
                eprintln!("{other} is left out: {error}");
                Maker {
                    name: name.into_owned(),
                    kind: Kind::Missing,
                }
            }
        });
    }
    all.push(Maker {
        name: "cat".to_owned(),
        kind: Kind::Copy,
    });
    all
}

fn programs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("WASMEND_LINKS is a folder");
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.join("link.rsp").is_file());
    all.sort();
    all
}

/// A link of a program by wasmend or another one, without the output's name.
fn link_command(command: &[String], program: &Path) -> Command {
    let mut link = Command::new(&command[0]);
    link.args(&command[1..]).arg(response_file(program));
    link
}

fn response_file(program: &Path) -> String {
    format!("@{}", program.join("link.rsp").display())
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

/// The files that a program's command line names.
fn inputs(program: &Path) -> Vec<String> {
    let text = fs::read_to_string(program.join("link.rsp")).expect("it was there");
    let words = text.lines().map(str::trim);
    words
        .filter(|word| !word.starts_with('-') && Path::new(word).is_file())
        .map(str::to_owned)
        .collect()
}

/// What each of `makers` takes for a program.
fn links(program: &Path, makers: &[Maker], more: &[&str], runs: usize) -> Vec<Medians> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inputs = inputs(program);
    let mut all: Vec<Vec<Took>> = makers.iter().map(|_| Vec::new()).collect();
    let mut bytes = vec![0; makers.len()];
    // The first round warms up.
    for run in 0..=runs {
        for (at, maker) in makers.iter().enumerate() {
            let out = folder.path().join(format!("{at}.wasm"));
            let _ = fs::remove_file(&out);
            let mut command = match &maker.kind {
                Kind::Wild(_) if more.is_empty() => continue,
                Kind::Wild(path) => {
                    let mut link = Command::new(path);
                    // Otherwise another process would link, and nobody would see what it takes.
                    link.arg0("wasm-ld").arg("--no-fork");
                    link.arg(response_file(program)).arg("-o").arg(&out);
                    link
                }
                Kind::Linker(command) => {
                    let mut link = link_command(command, program);
                    link.args(more).arg("-o").arg(&out);
                    link
                }
                Kind::Copy => {
                    let mut copy = Command::new("cat");
                    let file = fs::File::create(&out).expect("it can be made");
                    copy.args(&inputs).stdout(file);
                    copy
                }
                Kind::Missing => continue,
            };
            let (status, took) = run_measured(command.stderr(Stdio::null()));
            if !status.success() && at > 1 {
                continue;
            }
            assert!(status.success(), "{}: {}", maker.name, program.display());
            bytes[at] = fs::metadata(&out).map_or(0, |meta| meta.len());
            if run > 0 {
                all[at].push(took);
            }
        }
    }
    let all = all.iter().zip(bytes);
    all.map(|(took, bytes)| medians(took, bytes)).collect()
}

fn medians(all: &[Took], bytes: u64) -> Medians {
    let median = |key: &dyn Fn(&Took) -> u128| {
        let mut values: Vec<u128> = all.iter().map(key).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0) as f64
    };
    Medians {
        wall_ms: median(&|took| took.wall.as_micros()) / 1e3,
        processor_ms: median(&|took| took.processor.as_micros()) / 1e3,
        peak_mb: median(&|took| u128::from(took.peak_bytes)) / 1e6,
        bytes,
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

/// Runs a command to its end.
#[expect(
    clippy::zombie_processes,
    reason = "`wait4` waits, and says what the process took"
)]
fn run_measured(command: &mut Command) -> (ExitStatus, Took) {
    let start = Instant::now();
    let child = command.spawn().expect("the linker was there before");
    let mut status = 0;
    // SAFETY: all bytes zero are a valid `rusage`, and both pointers are to live values. The child is not waited for elsewhere.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let pid = libc::wait4(
            child.id() as libc::pid_t,
            &raw mut status,
            0,
            &raw mut usage,
        );
        assert_eq!(pid, child.id() as libc::pid_t, "the child is ours");
        usage
    };
    let wall = start.elapsed();
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    let took = Took {
        wall,
        processor: time(usage.ru_utime) + time(usage.ru_stime),
        // Linux counts in KiB.
        peak_bytes: usage.ru_maxrss as u64 * 1024,
    };
    (ExitStatus::from_raw(status), took)
}

/// Measures updates between two sets of objects, by the command line: from the changed files on disk to the published output.
fn updates(program: &Path, full_ms: f64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let base = folder.path().join("base");
    fs::create_dir(&base).expect("it is fresh");
    let edited = program.join("edited");
    let text = fs::read_to_string(program.join("link.rsp")).expect("it was there");
    for entry in fs::read_dir(&edited).expect("it is a folder").flatten() {
        let name = entry.file_name();
        let original = text.lines().map(|line| Path::new(line.trim()));
        let mut original = original.filter(|path| path.file_name() == Some(&name));
        let original = original
            .next_back()
            .expect("an edited object stands in link.rsp");
        fs::copy(original, base.join(&name)).expect("it can be read");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
    command.args(["replay-ld", "--json"]);
    for step in 0..=UPDATES {
        let from = if step % 2 == 0 { &base } else { &edited };
        command.arg("--step").arg(from);
    }
    command.arg("--").arg(response_file(program));
    command.arg("-o").arg(folder.path().join("out.wasm"));
    let output = command.stderr(Stdio::inherit()).output().expect("it runs");
    assert!(
        output.status.success(),
        "replay-ld fails on {}",
        program.display()
    );
    let (mut times, mut bytes, mut patches) = (Vec::new(), Vec::new(), 0);
    for line in String::from_utf8_lossy(&output.stdout).lines().skip(1) {
        let event: serde_json::Value = serde_json::from_str(line).expect("an event");
        times.push(event["micros"].as_f64().expect("a time"));
        bytes.push(event["bytes_written"].as_u64().expect("a number"));
        patches += usize::from(event["outcome"] == "patched");
    }
    times.sort_by(f64::total_cmp);
    bytes.sort_unstable();
    let median = times[times.len() / 2];
    let ratio = full_ms * 1e3 / median;
    println!(
        "| {} | {median:.0} | {:.0} | {} | {patches} of {} | {ratio:.0} |",
        program.file_name().unwrap_or_default().to_string_lossy(),
        times[times.len() * 99 / 100],
        bytes[bytes.len() / 2],
        times.len(),
    );
}
