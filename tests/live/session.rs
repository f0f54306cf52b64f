//! Programs in C, C++ and Rust that run, and whose functions are edited while they do, at random: after each edit the program goes on
//! with what it has, and must say what it says when nobody edits it.
//!
//! An edit puts code at the beginning of functions that leaves a number behind. So what was edited and runs is known to be the
//! new code, and what was not is known to be left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use wasmend::engine::Value;
use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmend::live::{Budget, Live, LiveOptions, Took};
use wasmend::{LiveStep, Outcome};

use crate::hosts::{Host, Kind};
use crate::program::{call, give_state, memory};
use crate::support::smith::Rng;
use crate::support::toolchain::{self, Sources};
use crate::support::wasi::{self, World};

/// How many functions can leave a number: the length of `mended` in each program.
pub const MARKS: usize = 4096;

/// A program that takes steps, and what its edits are.
pub struct Session {
    pub sources: Sources,
    pub flags: &'static [&'static str],
    /// How a line ends that begins a function.
    pub begins: &'static str,
    /// How many versions there are of each file, beside the first.
    pub versions: usize,
    /// How many functions at most are edited in each.
    pub functions: usize,
}

/// A version of one file.
struct Version {
    object: PathBuf,
    /// The numbers of the functions that are edited in it, and what they leave there.
    marks: BTreeMap<usize, u32>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub edits: usize,
    pub functions: u32,
    pub relinked: usize,
    pub rebased: usize,
    pub undone: usize,
    /// How many times an edited function was seen to have run.
    pub ran: usize,
    pub largest: usize,
    /// The most that a delta of one function had beside its code and data.
    pub beyond: usize,
}

/// A program in an engine, with what it has said.
struct Running<H: Host> {
    live: Live<H>,
    world: Arc<Mutex<World>>,
}

impl<H: Host> Running<H> {
    fn load(file: &[u8], budget: Option<Budget>) -> Running<H> {
        let world = Arc::new(Mutex::new(World::new(&["program"], b"")));
        let world_of = world.clone();
        let host = H::renewing(move || with_wasi(world_of.clone()));
        let options = LiveOptions {
            budget,
            ..LiveOptions::default()
        };
        let live = Live::load(host, file, options).unwrap_or_else(|error| panic!("{error}"));
        Running { live, world }
    }

    /// Takes a step; what the program says and returns.
    fn step(&mut self, number: usize) -> (String, i64) {
        let returned = call(&mut self.live, "take_step", &[number as i64]);
        let output = self.world.lock().unwrap().take_output();
        (String::from_utf8_lossy(&output).into_owned(), returned)
    }

    /// Begins, once.
    fn begin(&mut self) {
        let initialize = self.live.export("_initialize").unwrap();
        self.live.runtime().call(&initialize, &[]).unwrap();
        assert_eq!(call(&mut self.live, "begin", &[]), 0);
    }

    /// What functions have left; and nothing is left then.
    fn take_marks(&mut self) -> Vec<u32> {
        let address = call(&mut self.live, "marks", &[]) as usize;
        let bytes = memory(&mut self.live);
        let of = self.live.memory().unwrap();
        let zeros = [0; 4 * MARKS];
        let runtime = self.live.runtime();
        runtime.write_memory(&of, address as u64, &zeros).unwrap();
        let (marks, _) = bytes[address..][..4 * MARKS].as_chunks::<4>();
        let marks = marks.iter().map(|bytes| u32::from_le_bytes(*bytes));
        marks.collect()
    }
}

/// A host for programs that expect WASI.
fn with_wasi<H: Host>(world: Arc<Mutex<World>>) -> H {
    let mut host = H::new();
    for (name, wide, returns) in wasi::functions() {
        let kinds = wide.iter().map(|wide| match wide {
            true => Kind::I64,
            false => Kind::I32,
        });
        let kinds: Vec<Kind> = kinds.collect();
        let results: &[Kind] = if returns { &[Kind::I32] } else { &[] };
        let world = world.clone();
        let function = host.function(
            &kinds,
            results,
            Arc::new(move |memory, arguments: &[Value]| {
                let mut world = world.lock().unwrap();
                let called = world.call(name, memory, arguments);
                called.map_err(|trap| format!("{trap:?}"))
            }),
        );
        host.give(wasi::MODULE, name, function);
    }
    host
}

impl Session {
    /// The places behind which a function's code begins, by file.
    fn places(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut places = BTreeMap::new();
        for unit in self.sources.units() {
            let text = &self.sources.files[unit];
            let mut at = 0;
            let mut found = Vec::new();
            for line in text.split_inclusive('\n') {
                at += line.len();
                let is_word = line.starts_with(|first: char| first.is_ascii_alphabetic());
                let begins = line.trim_end().ends_with(self.begins) && line.contains('(');
                if is_word && begins && !line.contains(['#', ';', '=']) {
                    found.push(at);
                }
            }
            if !found.is_empty() {
                places.insert(&**unit, found);
            }
        }
        places
    }

    /// Compiles versions of all files; those of a file begin with the first one.
    fn versions(&self, numbers: &mut Rng) -> BTreeMap<String, Vec<Version>> {
        let mut all = vec![self.sources.clone()];
        let mut marks = Vec::new();
        let mut mark = 0;
        for (unit, places) in self.places() {
            for _ in 0..self.versions {
                let count = 1 + numbers.below(self.functions);
                let mut chosen: Vec<usize> =
                    (0..count).map(|_| numbers.below(places.len())).collect();
                chosen.sort_unstable();
                chosen.dedup();
                let mut sources = self.sources.clone();
                let mut of = BTreeMap::new();
                // From the last one on, so that places stay.
                for at in chosen.into_iter().rev() {
                    let number = numbers.below(1 << 30) as u32 | 1;
                    let text = sources.files.get_mut(unit).unwrap();
                    let code = code(
                        unit.ends_with(".rs"),
                        mark % MARKS,
                        number,
                        numbers.below(5),
                    );
                    text.insert_str(places[at], &code);
                    of.insert(mark % MARKS, number);
                    mark += 1;
                }
                if !unit.ends_with(".rs") {
                    let text = sources.files.get_mut(unit).unwrap();
                    text.insert_str(0, "extern volatile unsigned mended[];\n");
                }
                all.push(sources);
                marks.push((unit.to_owned(), of));
            }
        }
        assert!(mark <= MARKS, "{mark} functions are edited");
        let objects = toolchain::compile_all(&all, self.flags);
        let first = objects[0].iter().map(|(unit, object)| {
            let version = Version {
                object: object.clone(),
                marks: BTreeMap::new(),
            };
            (unit.clone(), vec![version])
        });
        let mut versions: BTreeMap<String, Vec<Version>> = first.collect();
        for (objects, (unit, marks)) in objects[1..].iter().zip(marks) {
            let object = objects[&unit].clone();
            let of = versions.get_mut(&unit).unwrap();
            of.push(Version { object, marks });
        }
        versions
    }

    /// Runs the program and makes so many edits meanwhile.
    pub fn run<H: Host>(&self, edits: usize, seed: u64) -> Seen {
        let mut numbers = Rng::new(seed);
        let versions = self.versions(&mut numbers);
        let folder = tempfile::tempdir().unwrap();
        let place = |unit: &str| folder.path().join(unit).with_extension("o");
        for (unit, versions) in &versions {
            fs::copy(&versions[0].object, place(unit)).unwrap();
        }
        let objects: Vec<PathBuf> = versions.keys().map(|unit| place(unit)).collect();
        let mut linked = link(&objects, &self.sources.libraries);
        let file = linked.bytes().unwrap();
        let budget = Budget {
            deltas: 40,
            bytes: 64 << 20,
        };
        let mut program = Running::<H>::load(&file, Some(budget));
        let mut reference = Running::<H>::load(&file, None);
        for program in [&mut program, &mut reference] {
            program.begin();
        }
        let (mut current, mut seen) = (BTreeMap::new(), Seen::default());
        let units: Vec<&String> = versions
            .iter()
            .filter(|it| it.1.len() > 1)
            .map(|it| it.0)
            .collect();
        let mut step = 0;
        while seen.edits < edits {
            let unit = units[numbers.below(units.len())];
            let to = numbers.below(versions[unit].len());
            if current.insert(unit, to) == Some(to) {
                continue;
            }
            let what = format!(
                "{}, seed {seed}, edit {}, {unit} {to}",
                self.sources.name, seen.edits
            );
            let _ = fs::remove_file(place(unit));
            fs::copy(&versions[unit][to].object, place(unit)).unwrap();
            update(&mut linked, place(unit), &mut program, &mut seen, &what);
            let marks = current
                .iter()
                .flat_map(|(unit, at)| &versions[*unit][*at].marks);
            let marks: BTreeMap<usize, u32> =
                marks.map(|(mark, number)| (*mark, *number)).collect();
            go_on(&mut program, &mut reference, step, &marks, &mut seen, &what);
            step += 1;
            if seen.edits.is_multiple_of(25) {
                compare(&linked, &mut program, &mut reference, step, &what);
                step += 1;
            }
        }
        seen
    }
}

/// What is put into a function: it leaves a number, by ways of several lengths.
fn code(is_rust: bool, mark: usize, number: u32, length: usize) -> String {
    let turns = (0..length).map(|at| 0x1234_5678 + at as u32);
    let first = turns.clone().fold(number, |number, turn| number ^ turn);
    let write = |turn: u32| match is_rust {
        true => format!("mend!({mark} ^ {turn}u32); "),
        false => format!("mended[{mark}] ^= {turn}u; "),
    };
    let mut code = match is_rust {
        true => format!("mend!({mark} = {first}u32); "),
        false => format!("mended[{mark}] = {first}u; "),
    };
    turns.for_each(|turn| code += &write(turn));
    format!("{{ {code} }}\n")
}

fn link(objects: &[PathBuf], libraries: &[&str]) -> Linked {
    let mut arguments = toolchain::arguments(objects, libraries);
    for argument in &mut arguments {
        *argument = argument.replace("crt1-command.o", "crt1-reactor.o");
    }
    let more = ["--entry=_initialize", "--live", "-oout.wasm"];
    arguments.extend(more.map(str::to_owned));
    // Rust's attribute names a symbol, and no export.
    let exports = ["marks", "begin", "take_step"].map(|name| format!("--export={name}"));
    arguments.extend(exports);
    let options = LinkOptions::parse(&arguments).unwrap();
    let linked = Linked::link(options, Access::Read, Target::Memory);
    linked.unwrap_or_else(|failed| panic!("{:?}", failed.0)).0
}

/// Links what was edited, and lets the program take it in; takes it back and in again now and then.
fn update<H: Host>(
    linked: &mut Linked,
    object: PathBuf,
    program: &mut Running<H>,
    seen: &mut Seen,
    what: &str,
) {
    let report = linked.update(&[object]);
    let patch = report
        .unwrap_or_else(|failed| panic!("{what}: {:?}", failed.0))
        .patch;
    linked.prepare();
    if matches!(patch.outcome, Outcome::Unchanged) {
        return;
    }
    seen.edits += 1;
    seen.relinked += usize::from(patch.relink_reason().is_some());
    let Some(LiveStep::Delta { delta, .. }) = &patch.live else {
        panic!("{what}: {:?}", patch.live);
    };
    seen.functions += delta.functions;
    seen.largest = seen.largest.max(delta.bytes.len());
    if delta.functions == 1 {
        let contents = (delta.function_bytes + delta.data_bytes) as usize;
        seen.beyond = seen.beyond.max(delta.bytes.len() - contents);
    }
    let take = |program: &mut Running<H>| {
        let done = program.live.take(patch.live.as_ref(), || linked.bytes());
        done.unwrap_or_else(|error| panic!("{what}: {error}")).took
    };
    let before = seen
        .edits
        .is_multiple_of(10)
        .then(|| memory(&mut program.live));
    let took = take(program);
    seen.rebased += usize::from(took == Took::Rebased);
    if let (Some(before), Took::Delta) = (before, &took) {
        let after = memory(&mut program.live);
        program
            .live
            .undo()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(memory(&mut program.live) == before, "{what}: not as it was");
        take(program);
        assert!(
            memory(&mut program.live) == after,
            "{what}: not the same again"
        );
        seen.undone += 1;
    }
}

/// Takes a step, as it was before all edits too.
fn go_on<H: Host>(
    program: &mut Running<H>,
    reference: &mut Running<H>,
    step: usize,
    marks: &BTreeMap<usize, u32>,
    seen: &mut Seen,
    what: &str,
) {
    program.take_marks();
    let (said, expected) = (program.step(step), reference.step(step));
    assert!(!expected.0.is_empty(), "{what}: nothing was said");
    assert_eq!(said, expected, "{what}");
    for (mark, left) in program.take_marks().into_iter().enumerate() {
        match marks.get(&mark) {
            Some(number) if *number == left => seen.ran += 1,
            // It has not run.
            _ => assert_eq!(left, 0, "{what}: code that was replaced has run"),
        }
    }
}

/// A fresh instance of the patched file, given the program's state, goes on as the program does, to the byte.
fn compare<H: Host>(
    linked: &Linked,
    program: &mut Running<H>,
    reference: &mut Running<H>,
    step: usize,
    what: &str,
) {
    let mut fresh = Running::<H>::load(&linked.bytes().unwrap(), None);
    give_state(&mut program.live, &mut fresh.live).unwrap();
    let expected = reference.step(step);
    for program in [&mut *program, &mut fresh] {
        assert_eq!(program.step(step), expected, "{what}");
    }
    let [ours, theirs] = [memory(&mut program.live), memory(&mut fresh.live)];
    let differs = ours
        .iter()
        .zip(&theirs)
        .position(|(ours, theirs)| ours != theirs);
    assert_eq!(
        (differs, ours.len()),
        (None, theirs.len()),
        "{what}: memory"
    );
}
