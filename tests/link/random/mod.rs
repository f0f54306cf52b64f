//! Random C programs, edited step by step: after each step, what wasmend has patched or linked means what wasm-ld makes of
//! the same objects. Needs clang-19 and lld-19.
//!
//! `WASMEND_PROGRAMS` says how many programs (default: 100), `WASMEND_SEED` which is the first: a failure names its own, and
//! where its sources are.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmend::link::{Access, Failed, LinkOptions, Linked, Target};
use wasmend::{Outcome, Redirect};

use crate::support::validate;
use build::Steps;
use generate::Generator;

mod build;
mod edit;
mod generate;
pub mod observe;
mod one_shot;
mod program;

/// Programs whose units are compiled together.
const BATCH: u64 = 8;
/// Edits of a program.
const STEPS: usize = 6;
/// Failures to tell of.
const MOST_FAILURES: usize = 25;

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given
        .and_then(|text| text.replace('_', "").parse().ok())
        .unwrap_or(default)
}

/// What was seen in all.
#[derive(Debug, Default)]
struct Seen {
    programs: usize,
    steps: usize,
    refused: usize,
    calls: usize,
    endless: usize,
    patched: usize,
    relinked: usize,
    anew: usize,
    their_faults: usize,
    resumed: usize,
}

#[test]
fn what_follows_edits_means_what_wasm_ld_makes_of_them() {
    let (first, count) = (number("WASMEND_SEED", 1), number("WASMEND_PROGRAMS", 100));
    let next = AtomicU64::new(first);
    let (seen, failures) = (Mutex::new(Seen::default()), Mutex::new(Vec::new()));
    let work = || {
        // Links of a few objects are not worth more than one thread each.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        let pool = pool.build().unwrap();
        loop {
            let begin = next.fetch_add(BATCH, Ordering::Relaxed);
            let seeds = begin..(begin + BATCH).min(first + count);
            if seeds.is_empty() || failures.lock().unwrap().len() >= MOST_FAILURES {
                return;
            }
            for (seed, steps) in prepare(seeds) {
                let mut own = Seen::default();
                let result = catch_unwind(AssertUnwindSafe(|| {
                    pool.install(|| follow(seed, &steps, &mut own))
                }));
                let result = result.unwrap_or_else(|_| Err("panicked".to_owned()));
                match result {
                    Ok(()) => fs::remove_dir_all(&steps.folder).unwrap(),
                    Err(said) => {
                        let folder = steps.folder.display();
                        let text = format!("seed {seed}: {said}\n  (sources: {folder})");
                        println!("{text}");
                        failures.lock().unwrap().push(text);
                    }
                }
                seen.lock().unwrap().add(&own);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let (seen, failures) = (seen.into_inner().unwrap(), failures.into_inner().unwrap());
    println!("{seen:?}");
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(
        count < 100 || (seen.patched > 0 && seen.refused > 0 && seen.calls > 0),
        "{seen:?}"
    );
}

impl Seen {
    fn add(&mut self, other: &Seen) {
        self.programs += 1;
        self.steps += other.steps;
        self.refused += other.refused;
        self.calls += other.calls;
        self.endless += other.endless;
        self.patched += other.patched;
        self.relinked += other.relinked;
        self.anew += other.anew;
        self.their_faults += other.their_faults;
        self.resumed += other.resumed;
    }
}

/// Makes programs with all of their steps, and compiles them.
fn prepare(seeds: std::ops::Range<u64>) -> Vec<(u64, Steps)> {
    let mut work = BTreeMap::new();
    let mut all = Vec::new();
    for seed in seeds {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("random-{seed}"));
        let _ = fs::remove_dir_all(&folder);
        let mut made = Generator::new(seed);
        let mut steps = Steps::new(folder, &made.program);
        steps.add("first".to_owned(), &made.program, &mut work);
        for _ in 0..STEPS {
            let what = made.edit();
            steps.add(what, &made.program, &mut work);
        }
        all.push((seed, steps));
    }
    build::compile(&work);
    all
}

/// One of the ways in which wasmend links.
struct Way {
    redirect: Redirect,
    linked: Option<Linked>,
    /// What has changed since it was last up to date.
    stale: Vec<PathBuf>,
}

impl Way {
    /// Links anew, or brings up to date.
    fn follow(
        &mut self,
        arguments: &[String],
        changed: &[PathBuf],
        seen: &mut Seen,
    ) -> Result<(), Failed> {
        let Some(linked) = &mut self.linked else {
            let mut options = LinkOptions::parse(arguments)?;
            options.redirect = Some(self.redirect);
            self.linked = Some(Linked::link(options, Access::Read, Target::Memory)?.0);
            return Ok(());
        };
        self.stale.extend(changed.iter().cloned());
        let report = linked.update(&self.stale)?;
        self.stale.clear();
        match report.patch.outcome {
            Outcome::Relinked(_) => seen.relinked += 1,
            _ => seen.patched += 1,
        }
        seen.anew += usize::from(report.resolved_anew.is_some());
        Ok(())
    }
}

/// Follows a program through its steps.
fn follow(seed: u64, steps: &Steps, seen: &mut Seen) -> Result<(), String> {
    let folder = steps.folder.join("link");
    fs::create_dir(&folder).unwrap();
    let mut arguments = steps.arguments(&folder);
    arguments.push("--no-demangle".to_owned());
    fs::write(folder.join("arguments"), arguments.join("\n")).unwrap();
    let own = [&arguments[..], &["-oout.wasm".to_owned()]].concat();
    let mut ways = [Redirect::Direct, Redirect::TableThunks].map(|redirect| Way {
        redirect,
        linked: None,
        stale: Vec::new(),
    });
    let mut one_shot = one_shot::OneShot::new(&arguments, &folder, seed % 2 == 1);
    for (step, (what, _)) in steps.all.iter().enumerate() {
        let changed = steps.install(step, &folder);
        let theirs = build::wasm_ld(&arguments, &folder.join("theirs.wasm"));
        // What it crashes on, or makes an invalid module of, is not looked at any further.
        let is_fit = |theirs: &Result<Vec<u8>, String>| match theirs {
            Ok(bytes) => validate(bytes).is_ok(),
            Err(_) => true,
        };
        let Some(theirs) = theirs.filter(is_fit) else {
            seen.their_faults += 1;
            return Ok(());
        };
        seen.steps += 1;
        seen.refused += usize::from(theirs.is_err());
        for way in &mut ways {
            let before = way.linked.as_ref().map(|linked| linked.bytes().unwrap());
            let ours = way.follow(&own, &changed, seen);
            compare(way, before, ours, &theirs, &folder, seen)
                .map_err(|said| format!("step {step} ({what}), {:?}: {said}", way.redirect))?;
        }
        one_shot
            .follow(&changed, &theirs, &folder, seen)
            .map_err(|said| format!("step {step} ({what}), a process of its own: {said}"))?;
        dense(&own, &theirs, &folder, seen)
            .map_err(|said| format!("step {step} ({what}), dense: {said}"))?;
    }
    Ok(())
}

fn compare(
    way: &Way,
    before: Option<Vec<u8>>,
    ours: Result<(), Failed>,
    theirs: &Result<Vec<u8>, String>,
    folder: &Path,
    seen: &mut Seen,
) -> Result<(), String> {
    match (ours, theirs) {
        (Err(_), Err(_)) => match (&way.linked, before) {
            (Some(linked), Some(before)) if linked.bytes().unwrap() != before => {
                Err("an update that failed has changed the output".to_owned())
            }
            _ => Ok(()),
        },
        (Err(ours), Ok(_)) => Err(format!("only wasmend refuses it: {ours}")),
        (Ok(()), Err(theirs)) => Err(format!("only wasm-ld refuses it: {theirs}")),
        (Ok(()), Ok(theirs)) => {
            let linked = way.linked.as_ref().expect("it was linked");
            same(&linked.bytes().unwrap(), theirs, true, folder, seen)?;
            let finished = linked.finish().unwrap();
            let anew = linked
                .linked_anew()
                .map_err(|failed| format!("not linked anew: {failed}"))?;
            if finished != anew.finish().unwrap() {
                fs::write(folder.join("ours.wasm"), &finished).unwrap();
                fs::write(folder.join("anew.wasm"), anew.finish().unwrap()).unwrap();
                return Err("not what a fresh link by wasmend is".to_owned());
            }
            Ok(())
        }
    }
}

/// Links for release, from nothing.
fn dense(
    arguments: &[String],
    theirs: &Result<Vec<u8>, String>,
    folder: &Path,
    seen: &mut Seen,
) -> Result<(), String> {
    let linked = LinkOptions::parse(arguments).map_err(Failed::from);
    let linked = linked.and_then(|mut options| {
        options.incremental = Some(false);
        Linked::link(options, Access::Read, Target::Memory)
    });
    match (linked, theirs) {
        (Err(_), Err(_)) => Ok(()),
        (Err(ours), Ok(_)) => Err(format!("only wasmend refuses it: {ours}")),
        (Ok(_), Err(theirs)) => Err(format!("only wasm-ld refuses it: {theirs}")),
        (Ok((linked, _)), Ok(theirs)) => same(
            &linked.release(false).unwrap().0,
            theirs,
            false,
            folder,
            seen,
        ),
    }
}

/// Whether two modules mean the same.
fn same(
    ours: &[u8],
    theirs: &[u8],
    is_patchable: bool,
    folder: &Path,
    seen: &mut Seen,
) -> Result<(), String> {
    let result = same_meaning(ours, theirs, is_patchable, seen);
    if result.is_err() {
        fs::write(folder.join("ours.wasm"), ours).unwrap();
    }
    result
}

fn same_meaning(
    ours: &[u8],
    theirs: &[u8],
    is_patchable: bool,
    seen: &mut Seen,
) -> Result<(), String> {
    validate(ours).map_err(|error| format!("invalid: {error}"))?;
    let (mut our_interface, their_interface) =
        (observe::interface(ours), observe::interface(theirs));
    // Where edits may need it, a table that is to be imported is, whether anything needs it yet or not.
    let wanted = |import: &String| {
        let is_table = is_patchable && import.starts_with("env.__indirect_function_table:");
        !is_table || their_interface.imports.contains(import)
    };
    our_interface.imports.retain(wanted);
    differ("imports", &our_interface.imports, &their_interface.imports)?;
    differ("exports", &our_interface.exports, &their_interface.exports)?;
    match (
        observe::run(ours, &our_interface),
        observe::run(theirs, &their_interface),
    ) {
        (Some(ours), Some(theirs)) => {
            let (ours, theirs): (Vec<&str>, Vec<&str>) =
                (ours.lines().collect(), theirs.lines().collect());
            seen.calls += theirs.len();
            match ours.iter().zip(&theirs).find(|(a, b)| a != b) {
                Some((ours, theirs)) => Err(format!("ours {ours}, theirs {theirs}")),
                None if ours.len() != theirs.len() => {
                    Err("one does more than the other".to_owned())
                }
                None => Ok(()),
            }
        }
        (None, None) => {
            seen.endless += 1;
            Ok(())
        }
        (Some(_), None) => Err("only wasm-ld's does not end".to_owned()),
        (None, Some(_)) => Err("only ours does not end".to_owned()),
    }
}

fn differ(what: &str, ours: &[String], theirs: &[String]) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).cloned().collect()
    };
    Err(format!(
        "{what}: only ours {:?}, only theirs {:?}",
        only(ours, theirs),
        only(theirs, ours)
    ))
}
