//! What links cost when there is more and more of one thing: objects, functions, data segments, members of archives, debug
//! information. The programs are the generator's. What one of these things costs stays the same where costs are
//! in proportion, so that whatever is not shows at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::measure::{Kind, Maker, Medians, edits, links, makers, medians, run_measured, updates};

/// What this program is asked for by itself: to be the generator, whose memory would otherwise be taken for that of linkers.
pub const GENERATE: &str = "generate";

/// A program of the table.
struct Scale {
    /// What there is more and more of.
    of: &'static str,
    /// How much of it.
    units: u64,
    /// What the generator is asked for.
    args: String,
}

/// Updates by processes that end.
const ENDING_UPDATES: usize = 7;
/// Longer than a step of the clock that files are marked by.
const TICK: Duration = Duration::from_millis(20);

fn scales() -> Vec<Scale> {
    let mut all = Vec::new();
    let mut add = |of, units: &[u64], args: &dyn Fn(u64) -> String| {
        all.extend(units.iter().map(|&units| Scale {
            of,
            units,
            args: args(units),
        }));
    };
    add("objects", &[100, 1_000, 3_000, 10_000], &|units| {
        format!("--objects {units} --functions 50")
    });
    add("MB of one object", &[1, 10, 100], &|units| {
        format!("--objects 1 --functions {}", units * 2_600)
    });
    let functions = [1_000, 10_000, 100_000, 900_000];
    add("functions in 10 objects", &functions, &|units| {
        format!("--objects 10 --functions {}", units / 10)
    });
    add("functions in objects of 50", &functions, &|units| {
        format!("--objects {} --functions 50", units / 50)
    });
    let segments = [10, 1_000, 100_000];
    add("segments in one object", &segments, &|units| {
        format!("--objects 1 --functions 10 --data {units}")
    });
    add("segments in 10 objects", &segments, &|units| {
        format!("--objects 10 --functions 10 --data {}", units / 10)
    });
    add("MB of debug information", &[1, 10, 100, 300], &|units| {
        format!("--objects 10 --functions 100 --debug {}", units * 100_000)
    });
    let members = [100, 1_000, 10_000];
    add("members of one archive", &members, &|units| {
        format!("--objects {units} --functions 5 --archives 1")
    });
    add("archives of 10 members", &[10, 100, 1_000], &|units| {
        format!("--objects {} --functions 5 --archives {units}", units * 10)
    });
    all
}

/// Has the generator write a program into a folder, with an edit of it.
fn generate(folder: &Path, args: &str) {
    let objects = folder.join("objects.rsp");
    for (to, more) in [
        (folder.to_owned(), &[][..]),
        (folder.join("edited"), &["--edit", "0.3=20"]),
    ] {
        let this = std::env::current_exe().expect("it runs");
        let mut command = Command::new(this);
        command.arg(GENERATE).arg(&to);
        command.args(args.split(' ')).args(more);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "the generator fails: {args}");
    }
    // What the edit did not change.
    for file in ["main.o", "objects.rsp"] {
        fs::remove_file(folder.join("edited").join(file)).expect("it was written");
    }
    let list = fs::read_to_string(objects).expect("it was written");
    let arguments = format!("--no-entry\n--export=run\n{list}");
    fs::write(folder.join("link.rsp"), arguments).expect("there is room");
}

/// Where programs are made: whoever names a folder keeps them.
enum Place {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn new() -> Place {
        match std::env::var_os("WASMEND_SCALE") {
            Some(folder) => Place::Kept(folder.into()),
            None => Place::Temporary(tempfile::tempdir().expect("a temporary folder")),
        }
    }

    /// The folder of a program, which is made unless it is there.
    fn program(&self, scale: &Scale) -> PathBuf {
        let name = format!("{} {}", scale.units, scale.of).replace(' ', "-");
        let folder = match self {
            Place::Kept(folder) => folder.join(name),
            Place::Temporary(folder) => folder.path().join(name),
        };
        if !folder.join("link.rsp").is_file() {
            generate(&folder, &scale.args);
        }
        folder
    }

    fn leave(&self, program: &Path) {
        if matches!(self, Place::Temporary(_)) {
            fs::remove_dir_all(program).expect("it was made here");
        }
    }
}

/// Prints the table.
pub fn print_table(runs: usize) {
    let makers: Vec<Maker> = makers()
        .into_iter()
        .filter(|maker| !matches!(maker.kind, Kind::Wild(_) | Kind::Missing))
        .collect();
    let rows = std::env::var("WASMEND_ROWS").unwrap_or_default();
    let is_asked =
        |scale: &Scale| rows.is_empty() || rows.split(',').any(|row| scale.of.contains(row.trim()));
    let theirs = &makers[2].name;
    println!(
        "Time is wall time in ms, of processors in brackets; a unit is one of what the row has many of, its time that of processors.\n\n\
         | units | MB | wasmend | a unit, us | KB | dense | a unit | {theirs} | a unit | KB | cat | a unit | memory, MB (of {theirs}'s) \
         | size of {theirs}'s | update, us | `ld --state`: first, ms | nothing | one function, ms (patches) |\n|{}",
        "---|".repeat(18)
    );
    let place = Place::new();
    for scale in scales().iter().filter(|scale| is_asked(scale)) {
        let program = place.program(scale);
        let runs = links(&program, &makers, &[], runs);
        print_row(scale, &program, &runs);
        place.leave(&program);
    }
}

fn print_row(scale: &Scale, program: &Path, medians: &[Medians]) {
    let units = scale.units as f64;
    let took = |of: &Medians| {
        format!(
            "{:.1} ({:.1}) | {:.2}",
            of.wall_ms,
            of.processor_ms,
            of.processor_ms * 1e3 / units
        )
    };
    let memory = |of: &Medians| format!("{:.1}", of.peak_mb * 1e3 / units);
    let (ours, dense, theirs, cat) = (&medians[0], &medians[1], &medians[2], &medians[3]);
    let updates = updates(program);
    let ending = ending(program);
    println!(
        "| {} {} | {:.1} | {} | {} | {} | {} | {} | {} | {:.1} ({:.2}) | {:.3} | {:.0} ({} of {}) | {:.1} | {:.1} | {:.1} ({} of {}) |",
        scale.units,
        scale.of,
        cat.bytes as f64 / 1e6,
        took(ours),
        memory(ours),
        took(dense),
        took(theirs),
        memory(theirs),
        took(cat),
        ours.peak_mb,
        ours.peak_mb / theirs.peak_mb,
        ours.bytes as f64 / theirs.bytes as f64,
        updates.median_us,
        updates.patches,
        updates.count,
        ending.first_ms,
        ending.nothing_ms,
        ending.edited_ms,
        ending.patches,
        ENDING_UPDATES + 1,
    );
}

/// What processes take that go on where another ended, by the clock.
struct Ending {
    first_ms: f64,
    nothing_ms: f64,
    edited_ms: f64,
    patches: usize,
}

fn ending(program: &Path) -> Ending {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.wasm");
    // Copied by the system: what this process reads would be taken for memory of those it starts.
    let edits: Vec<(PathBuf, PathBuf, PathBuf)> = edits(program)
        .into_iter()
        .map(|(original, edited)| {
            let name = original.file_name().expect("it is a file");
            let base = folder.path().join(name);
            fs::copy(&original, &base).expect("there is room");
            (original, base, edited)
        })
        .collect();
    // A file takes another's place, as compilers write them.
    let place = |from: &Path, path: &Path| {
        let fresh = path.with_extension("new");
        fs::copy(from, &fresh).expect("there is room");
        fs::rename(fresh, path).expect("the same folder");
    };
    let mut patches = 0;
    let mut link = || {
        sleep(TICK);
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
        command.args(["ld", "--state", "--verbose"]);
        command.arg(format!("@{}", program.join("link.rsp").display()));
        let said = folder.path().join("said");
        let file = fs::File::create(&said).expect("there is room");
        command
            .arg("-o")
            .arg(&out)
            .stderr(file)
            .stdout(Stdio::null());
        let (status, took) = run_measured(&mut command);
        assert!(status.success(), "wasmend fails on {}", program.display());
        let said = fs::read_to_string(said).expect("it was written");
        patches += usize::from(said.contains("patched"));
        took
    };
    let first = link();
    let nothing = [link(), link(), link()];
    let mut edited = Vec::new();
    for edit in 0..=ENDING_UPDATES {
        for (original, base, edited) in &edits {
            let from = if edit % 2 == 0 { edited } else { base };
            place(from, original);
        }
        let took = link();
        // The first patch copies the output.
        if edit > 0 {
            edited.push(took);
        }
    }
    for (original, base, _) in &edits {
        place(base, original);
    }
    Ending {
        first_ms: medians(&[first], 0).wall_ms,
        nothing_ms: medians(&nothing, 0).wall_ms,
        edited_ms: medians(&edited, 0).wall_ms,
        patches,
    }
}

/// Prints what becomes of debug information that has as many bytes as a module can have, and more.
pub fn print_limits() {
    let ours = env!("CARGO_BIN_EXE_wasmend");
    println!(
        "\n| MB of debug information in 5 objects | linker | ms | memory, MB | size, MB | it says |\n|---|---|---|---|---|---|"
    );
    let place = Place::new();
    for megabytes in [1_000, 1_100, 2_140, 2_150, 4_290, 4_300] {
        let scale = Scale {
            of: "MB in blocks",
            units: megabytes,
            args: format!("--objects 5 --functions 10 --block {}", megabytes * 200_000),
        };
        let program = place.program(&scale);
        for command in [
            &[ours, "ld"][..],
            &[ours, "ld", "--no-incremental"],
            &[ours, "ld", "--strip-debug"],
            &["wasm-ld-19"],
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let (out, said) = (folder.path().join("out.wasm"), folder.path().join("said"));
            let file = fs::File::create(&said).expect("there is room");
            let mut link = Command::new(command[0]);
            link.args(&command[1..]);
            link.arg(format!("@{}", program.join("link.rsp").display()));
            let (_, took) = run_measured(link.arg("-o").arg(&out).stderr(file));
            let took = medians(&[took], 0);
            let said = fs::read_to_string(said).unwrap_or_default();
            let name = Path::new(command[0]).file_name().unwrap_or_default();
            println!(
                "| {megabytes} | {} {} | {:.0} | {:.0} | {:.1} | {} |",
                name.to_string_lossy(),
                command[1..].join(" "),
                took.wall_ms,
                took.peak_mb,
                fs::metadata(&out).map_or(0, |meta| meta.len()) as f64 / 1e6,
                said.lines().next().unwrap_or_default(),
            );
        }
        place.leave(&program);
    }
}
