//! What links take: processes of wasmend, of other linkers and of `cat` in turns, and updates. A program is a folder with a
//! response file `link.rsp`, everything but `-o`. What is printed of it is the tables' affair.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Updates: half of them to the edited objects, half back.
const UPDATES: usize = 40;

/// What one process took.
#[derive(Clone, Copy)]
pub struct Took {
    pub wall: Duration,
    pub processor: Duration,
    pub peak_bytes: u64,
}

/// What processes took in the middle.
#[derive(Clone, Copy, Default)]
pub struct Medians {
    pub wall_ms: f64,
    pub processor_ms: f64,
    pub peak_mb: f64,
    pub bytes: u64,
}

/// Something that makes a file of a program's objects.
pub struct Maker {
    pub name: String,
    pub kind: Kind,
}

pub enum Kind {
    /// A command.
    Linker(Vec<String>),
    /// wild, by its path: it links WebAssembly if it is called as wasm-ld, and drops debug information whatever is asked for.
    Wild(String),
    /// The inputs one after the other: what reading and writing alone take.
    Copy,
    /// It is not there.
    Missing,
}

/// First wasmend, for patches and dense, then the others, and last copying.
pub fn makers() -> Vec<Maker> {
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

/// A link of a program by wasmend or another one, without the output's name.
pub fn link_command(command: &[String], program: &Path) -> Command {
    let mut link = Command::new(&command[0]);
    link.args(&command[1..]).arg(response_file(program));
    link
}

fn response_file(program: &Path) -> String {
    format!("@{}", program.join("link.rsp").display())
}

/// The files that a program's command line names.
pub fn inputs(program: &Path) -> Vec<String> {
    let text = fs::read_to_string(program.join("link.rsp")).expect("it was there");
    let words = text.lines().map(str::trim);
    words
        .filter(|word| !word.starts_with('-') && Path::new(word).is_file())
        .map(str::to_owned)
        .collect()
}

/// What each of `makers` takes for a program.
pub fn links(program: &Path, makers: &[Maker], more: &[&str], runs: usize) -> Vec<Medians> {
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

pub fn medians(all: &[Took], bytes: u64) -> Medians {
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

/// Runs a command to its end.
#[expect(
    clippy::zombie_processes,
    reason = "`wait4` waits, and says what the process took"
)]
pub fn run_measured(command: &mut Command) -> (ExitStatus, Took) {
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

/// What updates between two sets of objects took.
pub struct Updates {
    pub median_us: f64,
    pub p99_us: f64,
    pub bytes: u64,
    pub patches: usize,
    pub count: usize,
}

/// The inputs that the folder `edited` has other versions of, each with that version.
pub fn edits(program: &Path) -> Vec<(PathBuf, PathBuf)> {
    let inputs = inputs(program);
    let entries = fs::read_dir(program.join("edited")).expect("it is a folder");
    let edits = entries.flatten().map(|entry| {
        let name = entry.file_name();
        let original = inputs.iter().map(Path::new);
        let mut original = original.filter(|path| path.file_name() == Some(&name));
        let original = original
            .next_back()
            .expect("an edited object stands in link.rsp");
        (original.to_owned(), entry.path())
    });
    edits.collect()
}

/// Measures updates between two sets of objects, by the command line: from the changed files on disk to the published output.
pub fn updates(program: &Path) -> Updates {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let base = folder.path().join("base");
    fs::create_dir(&base).expect("it is fresh");
    let edited = program.join("edited");
    for (original, other) in edits(program) {
        let name = other.file_name().expect("it is a file");
        fs::copy(original, base.join(name)).expect("it can be read");
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
    Updates {
        median_us: times[times.len() / 2],
        p99_us: times[times.len() * 99 / 100],
        bytes: bytes[bytes.len() / 2],
        patches,
        count: times.len(),
    }
}
