//! Random edits of a program that runs: whatever it took in, it behaves like a fresh instance of the patched file with the
//! same memory and globals, and what was taken in can be taken back to the byte.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wasmend::engine::Value;
use wasmend::live::{Live, LiveOptions, Took};
use wasmend::{Delta, LiveStep, Redirect, Types};

use crate::harness::check::{Checked, Config, Session};
use crate::harness::generate::{self, Choices, Shape};
use crate::harness::model::{Ent, Kind, Program, signature};
use crate::harness::run;
use crate::harness::script::Edit;
use crate::hosts::{self, Call, Host, ImportOf, in_each_engine};
use crate::program::{give_state, memory};
use crate::record::{Called, Record};
use crate::support::threads::{cores, for_all};

in_each_engine!(after_any_edits_a_program_that_runs_is_like_a_fresh_one_with_its_state);

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    deltas: usize,
    undone: usize,
    compared: usize,
    /// Relinks that instances could take in.
    relinked: usize,
    kept: usize,
    refused: BTreeMap<String, usize>,
}

/// Lets a host have all that a module imports of it. What it has is kept if it is of the right type.
fn add_imports<H: Host>(host: &mut H, wasm: &[u8]) -> Checked {
    for (module, name, of) in host.imports(wasm)? {
        if module != "env" {
            continue;
        }
        let number: i64 = name.bytes().map(i64::from).sum();
        let has = host.has(&module, &name);
        let item = match of {
            ImportOf::Function(params, results) => {
                let mixes = mixes(number, results.clone());
                host.function(&params, &results, mixes)
            }
            ImportOf::Global(kind, mutable) => {
                let has = has.and_then(|has| host.value_of(&has));
                if has.is_some_and(|(_, is_mutable, of)| (is_mutable, of) == (mutable, Some(kind)))
                {
                    continue;
                }
                host.global(kind, mutable, kind.of(number))
            }
            ImportOf::Table(_) if has.is_some() => continue,
            ImportOf::Table(make) => make(host)?,
            ImportOf::Other(what) => return Err(format!("imports {what}")),
        };
        host.give(&module, &name, item);
    }
    Ok(())
}

/// A function that mixes its arguments.
fn mixes(number: i64, results: Vec<hosts::Kind>) -> Call {
    Arc::new(move |_, params| {
        let mixed = params.iter().fold(number, |mixed, param| {
            let param = match *param {
                Value::I32(value) => value.into(),
                Value::I64(value) => value,
                Value::F32(value) => value as i64,
                Value::F64(value) => value as i64,
                _ => 0,
            };
            mixed.wrapping_mul(17).wrapping_add(param)
        });
        Ok(results.iter().map(|kind| kind.of(mixed)).collect())
    })
}

fn load<H: Host>(wasm: &[u8]) -> Result<Live<H>, String> {
    let mut host = H::new();
    add_imports(&mut host, wasm)?;
    Live::load(host, wasm, LiveOptions::default()).map_err(|error| error.to_string())
}

/// The globals of an instance that are numbers, by name.
fn globals<H: Host>(live: &mut Live<H>) -> Vec<(String, Value)> {
    let given: Vec<(String, H::Extern)> = live.all_given().collect();
    let globals = given.into_iter().filter_map(|(name, item)| {
        let (value, ..) = live.runtime().value_of(&item)?;
        Some((name, value))
    });
    globals.collect()
}

/// Calls all exported functions of these that the program has, and says what came of it.
fn run_all<H: Host>(
    live: &mut Live<H>,
    program: &Program,
    exports: &BTreeSet<(String, Ent)>,
) -> Vec<Called> {
    let mut called = Vec::new();
    for (name, ent) in exports {
        let Some(def) = program.def(*ent).filter(|def| def.kind() == Kind::Function) else {
            continue;
        };
        let Some(function) = live.export(name) else {
            continue;
        };
        let (params, _) = signature(def.sig().expect("it is a function"));
        let params = params.iter().zip(0..);
        let params: Vec<Value> = params
            .map(|(ty, at)| run::argument(*ty, 5 * at - 3))
            .collect();
        let reset = live.export("reset");
        let host = live.runtime();
        host.refuel(50);
        let _ = reset.map(|reset| host.call_with(&reset, &[]));
        if let Some(result) = host.call_with(&function, &params) {
            called.push((name.clone(), params, result));
        }
    }
    called
}

/// A program that is edited, and an instance of it.
struct Following<H: Host> {
    session: Session,
    instance: Option<Live<H>>,
    /// What the instance exports that is still exported: anything else is there in the next instance only.
    exports: BTreeSet<(String, Ent)>,
    generation: u64,
    seen: Seen,
    record: Option<Record>,
}

impl<H: Host> Following<H> {
    fn new(config: Config) -> Checked<Following<H>> {
        Ok(Following {
            session: Session::new(config)?,
            instance: None,
            exports: BTreeSet::new(),
            generation: 0,
            seen: Seen::default(),
            record: None,
        })
    }

    fn apply(&mut self, edit: &Edit) -> Checked {
        self.session.apply(edit)?;
        let identity = self.session.driver.module.identity();
        match identity.generation == self.generation {
            true => Ok(()),
            false => {
                self.generation = identity.generation;
                self.follow()
            }
        }
    }

    /// Lets the instance follow a commit.
    fn follow(&mut self) -> Checked {
        let patch = self.session.last.clone().expect("there was a commit");
        let program = self.session.model.committed.clone();
        let file = self
            .session
            .driver
            .module
            .bytes()
            .map_err(|error| error.to_string())?;
        let exports = program.exports.iter().cloned().collect();
        let Some(instance) = &mut self.instance else {
            self.begin(&file, exports);
            return Ok(());
        };
        match patch
            .live
            .as_ref()
            .ok_or("nothing is said of running instances")?
        {
            LiveStep::Refused(refusals) => {
                for refusal in refusals {
                    let reason = refusal.reason.to_string();
                    *self.seen.refused.entry(reason).or_default() += 1;
                }
                self.begin(&file, exports);
                Ok(())
            }
            LiveStep::Delta { delta, undo } => {
                self.seen.relinked += usize::from(patch.relink_reason().is_some());
                let kept = self.seen.kept;
                take(instance, delta, undo.as_deref(), &mut self.seen)?;
                if let (Some(record), Some(undo)) = (&mut self.record, undo) {
                    record.take(&delta.bytes, &undo.bytes, self.seen.kept > kept);
                }
                self.exports.retain(|export| exports.contains(export));
                self.compare(&file, &program)
            }
        }
    }

    /// Begins with a file, if it can be instantiated.
    fn begin(&mut self, file: &[u8], exports: BTreeSet<(String, Ent)>) {
        self.instance = load(file).ok();
        self.exports = exports;
        if let (Some(record), Some(_)) = (&mut self.record, &self.instance) {
            record.load(file);
        }
    }

    fn compare(&mut self, file: &[u8], program: &Program) -> Checked {
        let Some(instance) = &mut self.instance else {
            return Ok(());
        };
        // A start function may trap, or spend its time on a program that has changed much.
        let Ok(mut fresh) = load::<H>(file) else {
            return Ok(());
        };
        give_state(instance, &mut fresh)?;
        let ours = run_all(instance, program, &self.exports);
        let theirs = run_all(&mut fresh, program, &self.exports);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            if ours != theirs {
                let globals = [globals(instance), globals(&mut fresh)];
                return Err(format!(
                    "gave {ours:?}, a fresh instance {theirs:?}; {globals:?}"
                ));
            }
        }
        let called = ours;
        let (ours, theirs) = (memory(instance), memory(&mut fresh));
        if ours != theirs {
            let at = ours
                .iter()
                .zip(&theirs)
                .position(|(ours, theirs)| ours != theirs);
            return Err(format!(
                "memory differs from that of a fresh instance at {at:?}"
            ));
        }
        if let Some(record) = &mut self.record {
            record.calls(&called, &ours);
        }
        self.seen.compared += 1;
        Ok(())
    }
}

/// Lets an instance take in a delta, take it back, and take it in again.
fn take<H: Host>(
    instance: &mut Live<H>,
    delta: &Delta,
    undo: Option<&Delta>,
    seen: &mut Seen,
) -> Checked {
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&delta.bytes)
        .map_err(|error| format!("the delta is invalid: {error}"))?;
    let before = memory(instance);
    let mut apply = |delta: &Delta| {
        add_imports(instance.runtime(), &delta.bytes)?;
        let applied = instance.apply(delta);
        let applied = applied.map_err(|error| format!("cannot be taken in: {error}"))?;
        match applied.took {
            Took::Delta => Ok((applied, memory(instance))),
            took => Err(format!("{took:?}")),
        }
    };
    let (applied, after) = apply(delta)?;
    seen.deltas += 1;
    seen.kept += usize::from(!applied.kept.is_empty());
    let undo = undo.ok_or("there is no way back")?;
    let (_, back) = apply(undo)?;
    if applied.kept.is_empty() && back != before {
        let at = back.iter().zip(&before).position(|(a, b)| a != b);
        return Err(format!("what was taken back is not as it was, at {at:?}"));
    }
    let (_, again) = apply(delta)?;
    if applied.kept.is_empty() && again != after {
        return Err("what was taken in again is not as it was".into());
    }
    seen.undone += 1;
    Ok(())
}

fn run<H: Host>(config: Config, shape: Shape, seed: u64, edits: usize) -> Result<Seen, String> {
    let mut choices = Choices::Seed(seed);
    let mut script = Vec::new();
    let mut following = Following::<H>::new(config.clone())?;
    following.record = Record::of(&seed.to_string());
    let mut result = Ok(());
    'all: while following.session.seen.edits < edits {
        let next = match script.is_empty() {
            true => [generate::prelude(), vec![Edit::Commit]].concat(),
            false => generate::next(&following.session.model, shape, &mut choices),
        };
        for edit in next {
            script.push(edit.clone());
            if let Err(error) = following.apply(&edit) {
                result = Err(error);
                break 'all;
            }
        }
    }
    let Err(error) = result else {
        return Ok(following.seen);
    };
    // Leave out what it happens without.
    let fails = |script: &[Edit]| {
        let mut following = Following::<H>::new(config.clone()).ok()?;
        script.iter().find_map(|edit| following.apply(edit).err())
    };
    let mut at = 0;
    let mut tries = 100;
    while at < script.len() && tries > 0 {
        let mut shorter = script.clone();
        shorter.remove(at);
        tries -= 1;
        match fails(&shorter)
            .is_some_and(|other| other[..20.min(other.len())] == error[..20.min(error.len())])
        {
            true => script = shorter,
            false => at += 1,
        }
    }
    let lines: Vec<String> = script.iter().map(|edit| format!("    {edit:?},")).collect();
    Err(format!(
        "seed {seed}: {error}\n{config:?}\nshrunk: {:?}\n{}",
        fails(&script),
        lines.join("\n")
    ))
}

fn after_any_edits_a_program_that_runs_is_like_a_fresh_one_with_its_state<H: Host>() {
    let number = |name: &str, default: usize| {
        let given = std::env::var(name).ok();
        given.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (edits, first) = (number("WASMEND_EDITS", 400), number("WASMEND_SEED", 1));
    let shape = Shape {
        functions: 20,
        others: 8,
        edits_per_commit: 2,
        tags: false,
        mostly_bodies: false,
        wide: false,
        failures: true,
        pieces: false,
    };
    let shapes = [
        shape,
        Shape {
            mostly_bodies: true,
            edits_per_commit: 1,
            functions: 40,
            ..shape
        },
        Shape {
            edits_per_commit: 5,
            pieces: true,
            ..shape
        },
    ];
    let programs = edits.div_ceil(200);
    let seeds: Vec<usize> = (first..first + programs).collect();
    let seen = for_all(&seeds, cores(), |&seed| {
        let redirect = [Redirect::Table, Redirect::TableThunks][seed % 2];
        let types = [Types::PerDeclaration, Types::Interned][seed / 2 % 2];
        let config = Config {
            live: true,
            measure: false,
            run_every: 8,
            ..Config::new(redirect, types)
        };
        let seen = run::<H>(config, shapes[seed % 3], seed as u64, 200);
        seen.unwrap_or_else(|error| panic!("{error}"))
    });
    let mut all = Seen::default();
    for seen in seen {
        all.deltas += seen.deltas;
        all.undone += seen.undone;
        all.compared += seen.compared;
        all.relinked += seen.relinked;
        all.kept += seen.kept;
        for (reason, count) in seen.refused {
            *all.refused.entry(reason).or_default() += count;
        }
    }
    println!("{all:?}");
    assert!(all.deltas > programs && all.undone == all.deltas && all.compared > programs);
}
