//! Edits of a real program, replayed: what each one became, and proof that the program is right behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wasmend::link::Access;
use wasmend::link::{LinkOptions, LinkReport, Linked, Target};
use wasmend::{Outcome, Redirect};
use wasmparser::{KnownCustom, Name, Parser, Payload};

use crate::support::toolchain::{self, Sources, keep, symbolize};
use crate::support::wasi::run_command;

const MODES: [(&str, Redirect); 2] = [
    ("direct", Redirect::Direct),
    ("table", Redirect::TableThunks),
];

/// A change of a program's sources.
#[derive(Debug, Clone)]
pub struct Edit {
    pub what: &'static str,
    /// File, old text, new text. `*` stands for the whole file, and nothing for the new text puts back what was there
    /// before all edits.
    pub changes: Vec<(&'static str, &'static str, &'static str)>,
}

/// An edit of one file.
pub fn edit(what: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Edit {
    edits(what, &[(file, from, to)])
}

/// An edit of several places at once.
pub fn edits(what: &'static str, changes: &[(&'static str, &'static str, &'static str)]) -> Edit {
    Edit {
        what,
        changes: changes.to_vec(),
    }
}

impl Edit {
    /// With another change.
    pub fn also(mut self, file: &'static str, from: &'static str, to: &'static str) -> Edit {
        self.changes.push((file, from, to));
        self
    }

    fn apply(&self, to: &Sources, first: &Sources) -> Sources {
        let mut sources = to.clone();
        for (file, from, to) in &self.changes {
            let text = sources.files.get_mut(*file).unwrap();
            *text = match *from {
                "*" => first.files[*file].clone(),
                from => {
                    assert!(text.contains(from), "{}: {file} has no {from}", self.what);
                    text.replace(from, to)
                }
            };
        }
        sources
    }
}

/// What an edit became, in one mode.
#[derive(Debug, Clone)]
pub struct Row {
    pub program: String,
    pub what: &'static str,
    pub mode: &'static str,
    /// The reason of a relink.
    pub relink: Option<String>,
    /// Why all symbols were resolved anew, if they were.
    pub anew: Option<String>,
    pub changed: u32,
    pub added: u32,
    pub removed: u32,
    pub bytes: u64,
    pub time: Duration,
}

impl Row {
    pub fn line(&self) -> String {
        let outcome = match (&self.relink, &self.anew) {
            (Some(reason), _) => format!("relink: {reason}"),
            (None, Some(why)) => format!("patch, resolved anew: {why}"),
            (None, None) => "patch".to_owned(),
        };
        let functions = format!("{}/{}/{}", self.changed, self.added, self.removed);
        format!(
            "{:<14} {:<6} {:<52} {functions:>10} {:>9} B {:>8.2} ms  {outcome}",
            self.program,
            self.mode,
            self.what,
            self.bytes,
            self.time.as_secs_f64() * 1000.0,
        )
    }
}

/// Links a program, makes the edits one after another, and checks each; what they became.
pub fn replay(sources: &Sources, flags: &[&str], script: &[Edit]) -> Vec<Row> {
    let program = format!("{} {}", sources.name, flags.join(" "));
    let mut versions = vec![sources.clone()];
    for edit in script {
        versions.push(edit.apply(versions.last().unwrap(), sources));
    }
    let versions = toolchain::compile_all(&versions, flags);
    let folder = tempfile::tempdir().unwrap();
    let place = |unit: &str| folder.path().join(unit).with_extension("o");
    for (unit, object) in &versions[0] {
        fs::copy(object, place(unit)).unwrap();
    }
    let objects: Vec<PathBuf> = versions[0].keys().map(|unit| place(unit)).collect();
    let arguments = toolchain::arguments(&objects, &sources.libraries);
    let mut replay = Replay::new(program, arguments, flags.contains(&"-g"));
    for (at, edit) in script.iter().enumerate() {
        let (before, now) = (&versions[at], &versions[at + 1]);
        let mut changed = Vec::new();
        for (unit, object) in now
            .iter()
            .filter(|(unit, object)| before[*unit] != **object)
        {
            // As compilers write it: another file under the same name.
            let _ = fs::remove_file(place(unit));
            fs::copy(object, place(unit)).unwrap();
            changed.push(place(unit));
        }
        assert!(!changed.is_empty(), "{} changes nothing", edit.what);
        replay.update(edit.what, &changed);
        replay.check(edit.what, at % 4 == 0 || at + 1 == script.len());
    }
    replay.rows
}

/// A program that is kept linked in each mode.
pub struct Replay {
    program: String,
    arguments: Vec<String>,
    links: Vec<Linked>,
    has_debug: bool,
    folder: tempfile::TempDir,
    pub rows: Vec<Row>,
}

impl Replay {
    /// Links with these arguments, which name no output, and checks that.
    pub fn new(program: String, arguments: Vec<String>, has_debug: bool) -> Replay {
        let mut replay = Replay {
            program,
            arguments,
            links: Vec::new(),
            has_debug,
            folder: tempfile::tempdir().unwrap(),
            rows: Vec::new(),
        };
        let mut arguments = replay.arguments.clone();
        arguments.push("-oout.wasm".to_owned());
        for (_, redirect) in MODES {
            let mut options = LinkOptions::parse(&arguments).unwrap();
            options.redirect = Some(redirect);
            let linked = Linked::link(options, Access::Read, Target::Memory);
            let (mut linked, _) =
                linked.unwrap_or_else(|failed| panic!("{}: {:?}", replay.program, failed.0));
            // As watching does while nobody waits.
            linked.prepare();
            replay.links.push(linked);
        }
        replay.check("first link", true);
        replay
    }

    /// Brings it up to date with objects that changed.
    pub fn update(&mut self, what: &'static str, changed: &[PathBuf]) {
        for ((mode, _), linked) in MODES.iter().zip(&mut self.links) {
            let began = Instant::now();
            let report = linked.update(changed);
            let time = began.elapsed();
            let report = report
                .unwrap_or_else(|failed| panic!("{} {mode} {what}: {:?}", self.program, failed.0));
            linked.prepare();
            let len = linked.bytes().unwrap().len() as u64;
            let row = row(&self.program, mode, what, &report, len, time);
            // Shown by the test where it fails.
            println!("{}", row.line());
            self.rows.push(row);
        }
    }

    /// That it does what wasm-ld's link of the same objects does, and is what a fresh link is.
    pub fn check(&self, what: &str, is_thorough: bool) {
        let program = &self.program;
        let theirs = toolchain::wasm_ld(&self.arguments);
        let expected = run(&theirs);
        for ((mode, _), linked) in MODES.iter().zip(&self.links) {
            let what = format!("{program} {mode}, {what}");
            let bytes = linked.bytes().unwrap();
            wasmparser::Validator::new()
                .validate_all(&bytes)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(run(&bytes), expected, "{what}");
            if let Err(failed) = linked.verify() {
                let anew = linked.linked_anew().unwrap();
                keep("patched.wasm", &linked.finish().unwrap());
                keep("fresh.wasm", &anew.finish().unwrap());
                panic!("{what}: {:?}", failed.0);
            }
            if self.has_debug && is_thorough {
                let anew = linked.linked_anew().unwrap();
                self.check_debug_information(&what, &bytes, &anew.bytes().unwrap());
            }
        }
    }

    fn check_debug_information(&self, what: &str, patched: &[u8], fresh: &[u8]) {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("patched.wasm"), patched).unwrap();
        fs::write(path("fresh.wasm"), fresh).unwrap();
        let wrong = toolchain::dwarf_errors(&path("patched.wasm"));
        assert!(wrong.is_none(), "{what}: {}", wrong.unwrap_or_default());
        let (ours, theirs) = (functions(patched), functions(fresh));
        // Instructions stand at the same distance from a function's start in every link; in the patched file, filler may
        // stand behind the last one.
        let mut places = Vec::new();
        for (name, fresh) in &theirs {
            if let Some(patched) = ours.get(name) {
                let len = (fresh.end - fresh.start).min(patched.end - patched.start);
                let steps = (0..len.saturating_sub(5)).step_by((len as usize / 6).max(5));
                places.extend(steps.map(|at| (name, patched.start + at, fresh.start + at)));
            }
        }
        let both = theirs.keys().filter(|name| ours.contains_key(*name));
        assert!(both.count() * 10 > theirs.len() * 9, "{what}: few names");
        let short = ["--functions=short"];
        let ours = symbolize(
            &path("patched.wasm"),
            &short,
            places.iter().map(|place| place.1),
        );
        let theirs = symbolize(
            &path("fresh.wasm"),
            &short,
            places.iter().map(|place| place.2),
        );
        assert_eq!((ours.len(), theirs.len()), (places.len(), places.len()));
        let known = theirs.iter().filter(|answer| !answer.contains("??:0"));
        assert!(known.count() * 2 > theirs.len(), "{what}: few are known");
        for ((name, ..), (ours, theirs)) in places.iter().zip(ours.iter().zip(&theirs)) {
            if ours != theirs {
                keep("patched.wasm", patched);
                keep("fresh.wasm", fresh);
            }
            assert_eq!(ours, theirs, "{what}: {name}");
        }
    }
}

fn row(
    program: &str,
    mode: &'static str,
    what: &'static str,
    report: &LinkReport,
    len: u64,
    time: Duration,
) -> Row {
    let (relink, bytes) = match &report.patch.outcome {
        Outcome::Unchanged => (None, 0),
        Outcome::Patched(ranges) => (None, ranges.bytes()),
        Outcome::Relinked(reason) => (Some(reason.word().to_owned()), len),
    };
    Row {
        program: program.to_owned(),
        what,
        mode,
        relink,
        anew: report.resolved_anew.map(|reason| reason.to_string()),
        changed: report.edits.changed,
        added: report.edits.added,
        removed: report.edits.removed,
        bytes,
        time,
    }
}

/// What a program says, and how it ends.
fn run(bytes: &[u8]) -> (String, i32) {
    let output = run_command(bytes, &["program"], b"").unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.exit_code)
}

/// Where the code of each function stands whose name nobody else has, from the start of the code section's contents.
fn functions(bytes: &[u8]) -> BTreeMap<String, Range<u64>> {
    let (mut imported, mut start) = (0, 0);
    let mut bodies = Vec::new();
    let mut names: HashMap<u32, String> = HashMap::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                let imports = imports.into_imports().map(|import| import.unwrap());
                imported += imports
                    .filter(|import| matches!(import.ty, wasmparser::TypeRef::Func(_)))
                    .count();
            }
            Payload::CodeSectionStart {
                unchecked_range, ..
            } => start = unchecked_range.start,
            Payload::CodeSectionEntry(body) => bodies.push(body.range()),
            Payload::CustomSection(custom) => {
                let KnownCustom::Name(reader) = custom.as_known() else {
                    continue;
                };
                for name in reader {
                    if let Name::Function(map) = name.unwrap() {
                        let map = map.into_iter().map(|naming| naming.unwrap());
                        // Names of functions that moved may have spaces behind them.
                        let name = |name: &str| name.trim_end().to_owned();
                        names.extend(map.map(|naming| (naming.index, name(naming.name))));
                    }
                }
            }
            _ => {}
        }
    }
    let mut functions = BTreeMap::new();
    let mut several = BTreeSet::new();
    for (at, range) in bodies.iter().enumerate() {
        let Some(name) = names.get(&((at + imported) as u32)) else {
            continue;
        };
        let place = range.start - start..range.end - start;
        if functions.insert(name.clone(), place).is_some() {
            several.insert(name.clone());
        }
    }
    functions.retain(|name, _: &mut Range<u64>| !several.contains(name));
    functions
}
