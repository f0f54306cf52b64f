//! What debug information in deltas costs: SQLite, one object with all of it, is linked to be patched while it runs, and one
//! function of it is edited to and fro. `cargo bench --bench live_debug` prints the table of `design/figures.md`.

#[path = "../tests/support/toolchain.rs"]
#[expect(dead_code, reason = "it has what other programs need")]
mod toolchain;

use std::fs;
use std::time::{Duration, Instant};

use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmend::{Delta, LiveStep};

const EDITS: usize = 30;

struct Run {
    /// The whole update, and the commit in it with its two deltas, of which one takes back.
    update: Duration,
    commit: Duration,
    /// What it takes to describe these.
    describe: Duration,
    /// Bytes of the delta, before and after that, and of its code.
    bare: usize,
    described: usize,
    code: u64,
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The program before and after an edit, with debug information of this version.
fn versions(edits: &[(&str, &str)], flags: &[&str]) -> Vec<Vec<u8>> {
    let mut all = vec![toolchain::sqlite()];
    for (from, to) in edits {
        let mut edited = toolchain::sqlite();
        let text = edited.files.get_mut("sqlite3.c").expect("it is one file");
        assert!(text.contains(from));
        *text = text.replacen(from, to, 1);
        all.push(edited);
    }
    let objects = toolchain::compile_all(&all, flags);
    let object = |of: &std::collections::BTreeMap<_, _>| {
        fs::read(&of["sqlite3.c"] as &std::path::PathBuf).expect("it was compiled")
    };
    objects.iter().map(object).collect()
}

fn run(before: &[u8], after: &[u8]) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let object = folder.path().join("sqlite3.o");
    fs::write(&object, before).expect("there is room");
    let line = ["--no-entry", "--export-all", "--allow-undefined", "--live"];
    let mut line: Vec<String> = line.into_iter().map(str::to_owned).collect();
    line.push(object.display().to_string());
    line.push(format!("-o{}", folder.path().join("out.wasm").display()));
    let options = LinkOptions::parse(&line).expect("it is right");
    let linked = Linked::link(options, Access::Read, Target::Memory);
    let (mut linked, _) = linked.unwrap_or_else(|failed| panic!("{failed}"));
    let (mut updates, mut commits, mut describes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bare, mut described, mut code) = (0, 0, 0);
    for edit in 0..EDITS {
        fs::write(&object, if edit % 2 == 0 { after } else { before }).expect("there is room");
        let start = Instant::now();
        let report = linked.update(std::slice::from_ref(&object));
        let report = report.unwrap_or_else(|failed| panic!("{failed}"));
        updates.push(start.elapsed());
        commits.push(report.patch.phases.total());
        let step = report.patch.live.expect("it is asked for");
        (bare, code) = (delta(&step).bytes.len(), delta(&step).function_bytes);
        let start = Instant::now();
        let step = linked.describe(step).expect("it is of the last update");
        describes.push(start.elapsed());
        described = delta(&step).bytes.len();
    }
    Run {
        update: median(updates),
        commit: median(commits),
        describe: median(describes),
        bare,
        described,
        code,
    }
}

fn delta(step: &LiveStep) -> &Delta {
    match step {
        LiveStep::Delta { delta, .. } => delta,
        LiveStep::Refused(refusals) => panic!("{refusals:?}"),
    }
}

fn main() {
    let edits = [
        (
            "int sqlite3_threadsafe(void){ return SQLITE_THREADSAFE; }",
            "int sqlite3_threadsafe(void){ return SQLITE_THREADSAFE + 2; }",
        ),
        ("pOut->u.i = pOp->p1;", "pOut->u.i = pOp->p1 ^ 1;"),
    ];
    let names = ["sqlite3_threadsafe", "sqlite3VdbeExec"];
    println!(
        "| debug information | function | its code | delta without / with | commit | update | describing both deltas |"
    );
    println!("|---|---|---|---|---|---|---|");
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let flags = [
            "-O2",
            "-g",
            version,
            "-ffunction-sections",
            "-fdata-sections",
        ];
        let versions = versions(&edits, &flags);
        for (name, after) in names.iter().zip(&versions[1..]) {
            let run = run(&versions[0], after);
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            println!(
                "| {version} | {name} | {} | {} / {} bytes | {:.2} ms | {:.1} ms | {:.2} ms |",
                run.code,
                run.bare,
                run.described,
                ms(run.commit),
                ms(run.update),
                ms(run.describe),
            );
        }
    }
}
