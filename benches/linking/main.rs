//! Links beside other linkers: wall time, processor time and peak memory of whole processes, sizes, and updates.
//!
//! `WASMEND_LINKS=FOLDER cargo bench --bench linking` measures each program in FOLDER: a folder with a response file
//! `link.rsp` (everything but `-o`), and if there is a folder `edited` in it, with objects to update to and back from
//! (`benches/linking/programs.sh FOLDER` makes some). `WASMEND_LINKERS` names the other linkers, by default wasm-ld-19 and
//! the toolchain's rust-lld. Runs take turns, so that what else the machine does falls on all; medians.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 9;
/// Updates: half of them to the edited objects, half back.
const UPDATES: usize = 40;

/// What one process took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    processor: Duration,
    peak_bytes: u64,
}

struct Linker {
    name: String,
    command: Vec<String>,
}

fn main() {
    let Some(folder) = std::env::var_os("WASMEND_LINKS") else {
        println!("WASMEND_LINKS names no folder with programs: nothing is measured");
        return;
    };
    let linkers = linkers();
    println!(
        "| program | linker | ms | processor ms | peak MB | MB out | wasmend is faster by | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let programs = programs(Path::new(&folder));
    let mut full = Vec::new();
    for program in &programs {
        full.push(links(program, &linkers));
    }
    println!(
        "\n| program | update, median µs | p99 µs | bytes | patches | wasm-ld's link / update |"
    );
    println!("|---|---|---|---|---|---|");
    for (program, full) in programs.iter().zip(full) {
        if program.join("edited").is_dir() {
            updates(program, full);
        }
    }
}

fn linkers() -> Vec<Linker> {
    let ours = env!("CARGO_BIN_EXE_wasmend").to_owned();
    let linker = |name: &str, command: &[&str]| Linker {
        name: name.to_owned(),
        command: command.iter().map(|part| (*part).to_owned()).collect(),
    };
    let mut all = vec![
        linker("wasmend", &[&ours, "ld"]),
        linker("wasmend, dense", &[&ours, "ld", "--no-incremental"]),
    ];
    let others = match std::env::var("WASMEND_LINKERS") {
        Ok(others) => others.split(',').map(str::to_owned).collect(),
        Err(_) => vec!["wasm-ld-19".to_owned(), rust_lld()],
    };
    for other in others {
        let flavor: &[&str] = match other.ends_with("rust-lld") {
            true => &["-flavor", "wasm"],
            false => &[],
        };
        let name = Path::new(&other)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let command: Vec<&str> = std::iter::once(&*other)
            .chain(flavor.iter().copied())
            .collect();
        match Command::new(&other).args(flavor).arg("--version").output() {
            Ok(_) => all.push(linker(&name.unwrap_or_default(), &command)),
            Err(error) => eprintln!("{other} is left out: {error}"),
        }
    }
    all
}

fn rust_lld() -> String {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir"])
        .output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let folder = PathBuf::from(folder.unwrap_or_default());
    let beside = folder.parent().unwrap_or(&folder).join("bin/rust-lld");
    beside.to_string_lossy().into_owned()
}

fn programs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("WASMEND_LINKS is a folder");
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.join("link.rsp").is_file());
    all.sort();
    all
}

/// Measures full links; returns the median time of the first other linker.
fn links(program: &Path, linkers: &[Linker]) -> Option<Duration> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut all: Vec<Vec<Took>> = linkers.iter().map(|_| Vec::new()).collect();
    let mut sizes = vec![0; linkers.len()];
    // The first round warms up.
    for run in 0..=RUNS {
        for (at, linker) in linkers.iter().enumerate() {
            let out = folder.path().join(format!("{at}.wasm"));
            let _ = fs::remove_file(&out);
            let mut command = Command::new(&linker.command[0]);
            command.args(&linker.command[1..]);
            command.arg(format!("@{}", program.join("link.rsp").display()));
            command.arg("-o").arg(&out);
            command.stderr(Stdio::null());
            let (status, took) = run_measured(&mut command);
            assert!(
                status.success(),
                "{} fails on {}",
                linker.name,
                program.display()
            );
            sizes[at] = fs::metadata(&out).map_or(0, |meta| meta.len());
            if run > 0 {
                all[at].push(took);
            }
        }
    }
    let of = |at: usize| {
        let median = |key: &dyn Fn(&Took) -> u128| {
            let mut values: Vec<u128> = all[at].iter().map(key).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        (
            median(&|took| took.wall.as_micros()) as f64,
            median(&|took| took.processor.as_micros()) as f64,
            median(&|took| u128::from(took.peak_bytes)) as f64,
        )
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let ours = of(0);
    for (at, linker) in linkers.iter().enumerate() {
        let (wall, processor, peak) = of(at);
        println!(
            "| {name} | {} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} |",
            linker.name,
            wall / 1e3,
            processor / 1e3,
            peak / 1e6,
            sizes[at] as f64 / 1e6,
            wall / ours.0,
            ours.2 / peak,
        );
    }
    (linkers.len() > 2).then(|| Duration::from_micros(of(2).0 as u64))
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
fn updates(program: &Path, full: Option<Duration>) {
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
    command
        .arg("--")
        .arg(format!("@{}", program.join("link.rsp").display()));
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
    let ratio = full.map_or(0.0, |full| full.as_secs_f64() * 1e6 / median);
    println!(
        "| {} | {median:.0} | {:.0} | {} | {patches} of {} | {ratio:.0} |",
        program.file_name().unwrap_or_default().to_string_lossy(),
        times[times.len() * 99 / 100],
        bytes[bytes.len() / 2],
        times.len(),
    );
}
