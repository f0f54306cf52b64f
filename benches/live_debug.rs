//! What debug information in deltas costs: SQLite, one object with all of it, is linked to be patched while it runs, and one
//! function of it is edited to and fro. `cargo bench --bench live_debug` prints the table of `design/figures.md`.

#[path = "../tests/support/toolchain.rs"]
#[expect(dead_code, reason = "it has what other programs need")]
mod toolchain;

use std::fs;
use std::time::Duration;

use wasmend::LiveStep;
use wasmend::link::{Access, LinkOptions, Linked, Target};

const EDITS: usize = 30;

struct Run {
    /// The whole update, the commit in it, and in that what makes the deltas, of which there are two: one takes back.
    update: Duration,
    commit: Duration,
    deltas: Duration,
    delta: usize,
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

fn run(before: &[u8], after: &[u8], has_debug: bool) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let object = folder.path().join("sqlite3.o");
    fs::write(&object, before).expect("there is room");
    let mut line = vec!["--no-entry", "--export-all", "--allow-undefined", "--live"];
    line.extend((!has_debug).then_some("--no-delta-debug"));
    let mut line: Vec<String> = line.into_iter().map(str::to_owned).collect();
    line.push(object.display().to_string());
    line.push(format!("-o{}", folder.path().join("out.wasm").display()));
    let options = LinkOptions::parse(&line).expect("it is right");
    let linked = Linked::link(options, Access::Read, Target::Memory);
    let (mut linked, _) = linked.unwrap_or_else(|failed| panic!("{failed}"));
    let (mut updates, mut commits, mut deltas) = (Vec::new(), Vec::new(), Vec::new());
    let (mut delta_len, mut code) = (0, 0);
    for edit in 0..EDITS {
        fs::write(&object, if edit % 2 == 0 { after } else { before }).expect("there is room");
        let start = std::time::Instant::now();
        let report = linked.update(std::slice::from_ref(&object));
        let report = report.unwrap_or_else(|failed| panic!("{failed}"));
        updates.push(start.elapsed());
        commits.push(report.patch.phases.total());
        deltas.push(report.patch.phases.delta);
        let Some(LiveStep::Delta { delta, .. }) = report.patch.live else {
            panic!("{:?}", report.patch.live);
        };
        (delta_len, code) = (delta.bytes.len(), delta.function_bytes);
    }
    Run {
        update: median(updates),
        commit: median(commits),
        deltas: median(deltas),
        delta: delta_len,
        code,
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
        "| debug information | function | its code | delta without / with | both deltas | commit | ratio | update | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
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
            let [without, with] = [false, true].map(|debug| run(&versions[0], after, debug));
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let ratio = |with: Duration, without: Duration| ms(with) / ms(without);
            println!(
                "| {version} | {name} | {} | {} / {} bytes | {:.2} / {:.2} ms | {:.2} / {:.2} ms | {:.2} | {:.1} / {:.1} ms | {:.2} |",
                with.code,
                without.delta,
                with.delta,
                ms(without.deltas),
                ms(with.deltas),
                ms(without.commit),
                ms(with.commit),
                ratio(with.commit, without.commit),
                ms(without.update),
                ms(with.update),
                ratio(with.update, without.update),
            );
        }
    }
}
