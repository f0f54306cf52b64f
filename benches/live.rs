//! What it costs that instances which run can be patched: the file, the commit, the delta; and how long it takes from an edit
//! through the library until the new code has answered, in wasmi and, with the feature `wasmtime`, in wasmtime. `cargo bench
//! --bench live --features wasmtime` prints the tables of `design/figures.md`.
//!
//! `WASMEND_COUNT=table` (or `thunks`, `table-live`, `thunks-live`) makes one series of commits and nothing else, for a profiler
//! that counts what happens in `committed`.

use std::time::{Duration, Instant};

use wasm_encoder::Instruction;
#[cfg(feature = "wasmtime")]
use wasmend::live::WasmtimeRuntime;
use wasmend::live::{Live, LiveOptions, Runtime, WasmiRuntime};
use wasmend::{
    DeclId, DeclKind, FunctionBuilder, LiveStep, Module, ModuleOptions, Patch, Redirect, ValType,
};

const TYPE: [ValType; 1] = [ValType::I32];
const EDITS: usize = 1_000;
/// Operations of a body: about 260 bytes.
const WORK: usize = 40;

fn define(module: &mut Module, id: DeclId, callee: DeclId, seed: usize) -> usize {
    let mut body = FunctionBuilder::new(module.body_style(), &TYPE, &TYPE);
    body.op(&Instruction::LocalGet(0));
    for at in 0..WORK {
        let constant = (seed as i32).wrapping_mul(7919).wrapping_add(at as i32) & 0x07ff_ffff;
        body.op(&Instruction::I32Const(constant | 1 << 20));
        body.op(&Instruction::I32Add);
    }
    if module.options().redirect == Redirect::TableThunks {
        body.call_direct(callee);
    } else {
        body.call(callee, &TYPE, &TYPE);
    }
    let body = body.finish().expect("it names nothing by its index");
    let len = body.len();
    module.define_function(id, body).expect("it is a function");
    len
}

struct Run {
    file: usize,
    commit: Duration,
    /// The most that a delta has beyond its bodies.
    beyond: usize,
}

/// The times of the way of an edit into an instance, each with what lies before it: from the first call of the library on.
struct Way {
    committed: Vec<Duration>,
    answered: Vec<Duration>,
}

/// One commit, which a profiler finds by its name.
#[inline(never)]
fn committed(module: &mut Module) -> Patch {
    module.commit().expect("it is right")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn run(count: usize, redirect: Redirect, live: bool) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ModuleOptions {
        redirect,
        live,
        ..ModuleOptions::default()
    };
    let mut module = Module::create(folder.path().join("out.wasm"), options).expect("a module");
    let functions: Vec<DeclId> = (0..count)
        .map(|at| module.declare(DeclKind::Function, &format!("function_{at}")))
        .collect::<Result<_, _>>()
        .expect("keys are new");
    for (at, id) in functions.iter().enumerate() {
        define(&mut module, *id, functions[at * 7919 % count], at);
    }
    module.export("main", functions[0]).expect("it is there");
    module.commit().expect("a first version");
    module.prepare();
    let file = module.bytes().expect("it is there").len();
    let (mut commits, mut beyond) = (Vec::new(), 0);
    for edit in 0..EDITS {
        let at = edit * 104_729 % count;
        let len = define(
            &mut module,
            functions[at],
            functions[(at + edit) % count],
            edit,
        );
        let start = Instant::now();
        let patch = committed(&mut module);
        commits.push(start.elapsed());
        if let Some(LiveStep::Delta { delta, .. }) = &patch.live {
            beyond = beyond.max(delta.bytes.len() - len);
        }
    }
    Run {
        file,
        commit: median(commits),
        beyond,
    }
}

/// Edits a function of a thousand that an exported one calls, and asks that one at once, in an instance that takes in each edit.
fn way<R: Runtime>(runtime: R, count: usize) -> Way {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ModuleOptions {
        live: true,
        ..ModuleOptions::default()
    };
    let mut module = Module::create(folder.path().join("out.wasm"), options).expect("a module");
    let functions: Vec<DeclId> = (0..count)
        .map(|at| module.declare(DeclKind::Function, &format!("function_{at}")))
        .collect::<Result<_, _>>()
        .expect("keys are new");
    // Each calls the next one; the last one calls nobody, and the edited one is in between.
    let define = |module: &mut Module, at: usize, number: usize| {
        let mut body = FunctionBuilder::new(module.body_style(), &TYPE, &TYPE);
        body.op(&Instruction::LocalGet(0));
        for step in 0..WORK {
            body.op(&Instruction::I32Const((number + step) as i32 | 1 << 20));
            body.op(&Instruction::I32Add);
        }
        if at % 10 != 9 {
            body.call(functions[(at + 1) % count], &TYPE, &TYPE);
        }
        let body = body.finish().expect("it names nothing by its index");
        let id = functions[at];
        module.define_function(id, body).expect("it is a function");
    };
    for at in 0..count {
        define(&mut module, at, at);
    }
    module.export("main", functions[0]).expect("it is there");
    module.commit().expect("a first version");
    module.prepare();
    let bytes = module.bytes().expect("it is there");
    let mut live = Live::load(runtime, &bytes, LiveOptions::default()).expect("it runs");
    let main = live.export("main").expect("it is exported");
    let mut way = Way {
        committed: Vec::new(),
        answered: Vec::new(),
    };
    let mut before = live.runtime().call(&main, &[1]).expect("it runs");
    for edit in 0..EDITS {
        let start = Instant::now();
        define(&mut module, 1 + edit % 8, 1_000_000 + 7919 * edit);
        let patch = module.commit().expect("it is right");
        way.committed.push(start.elapsed());
        let Some(LiveStep::Delta { delta, .. }) = &patch.live else {
            panic!("{:?}", patch.live);
        };
        live.apply(delta).expect("it is taken in");
        let answer = live.runtime().call(&main, &[1]).expect("it runs");
        way.answered.push(start.elapsed());
        assert_ne!(answer, before, "it is the new code that answers");
        before = answer;
    }
    way
}

fn print_way(engine: &str, count: usize, way: Way) {
    let of_hundred = |mut times: Vec<Duration>, at: usize| {
        times.sort_unstable();
        times[times.len() * at / 100].as_secs_f64() * 1e6
    };
    println!(
        "| {engine} | {count} | {:.0} us | {:.0} us | {:.0} us | {:.0} us |",
        of_hundred(way.committed, 50),
        of_hundred(way.answered.clone(), 10),
        of_hundred(way.answered.clone(), 50),
        of_hundred(way.answered, 99),
    );
}

/// Leaves a program and deltas of its exported function for `benches/live.mjs`.
fn keep(folder: &std::path::Path) {
    let options = ModuleOptions {
        live: true,
        ..ModuleOptions::default()
    };
    let mut module = Module::in_memory(options).expect("a module");
    let define = |module: &mut Module, key: &str, seed: usize| {
        let id = module.lookup(key);
        let id = id.unwrap_or_else(|| module.declare(DeclKind::Function, key).expect("a new key"));
        let mut body = FunctionBuilder::new(module.body_style(), &TYPE, &TYPE);
        body.op(&Instruction::I32Const(seed as i32));
        let body = body.finish().expect("it names nothing");
        module.define_function(id, body).expect("it is a function");
        id
    };
    let main = define(&mut module, "main", 0);
    module.export("main", main).expect("it is there");
    module.commit().expect("a first version");
    let bytes = module.bytes().expect("it is there");
    std::fs::write(folder.join("base.wasm"), bytes).expect("a folder");
    for edit in 0..200 {
        define(&mut module, "main", edit + 1);
        let patch = module.commit().expect("it is right");
        let Some(LiveStep::Delta { delta, .. }) = patch.live else {
            panic!("{:?}", patch.live);
        };
        let name = format!("{edit}.delta.wasm");
        std::fs::write(folder.join(name), &delta.bytes).expect("a folder");
    }
}

fn main() {
    if let Some(folder) = std::env::var_os("WASMEND_KEEP") {
        return keep(folder.as_ref());
    }
    if let Some(which) = std::env::var_os("WASMEND_COUNT") {
        let which = which.to_string_lossy();
        let redirect = match which.starts_with("thunks") {
            true => Redirect::TableThunks,
            false => Redirect::Table,
        };
        run(1_000, redirect, which.ends_with("-live"));
        return;
    }
    println!(
        "| engine | functions | committed | answered, p10 | median | p99 |\n|---|---|---|---|---|---|"
    );
    for count in [1_000, 10_000] {
        let engine = wasmi::Engine::default();
        let (store, linker) = (wasmi::Store::new(&engine, ()), wasmi::Linker::new(&engine));
        print_way("wasmi", count, way(WasmiRuntime::new(store, linker), count));
        #[cfg(feature = "wasmtime")]
        {
            let mut config = wasmtime::Config::new();
            for (name, level) in [
                ("wasmtime", wasmtime::OptLevel::Speed),
                ("wasmtime, not optimising", wasmtime::OptLevel::None),
            ] {
                let engine = wasmtime::Engine::new(config.cranelift_opt_level(level));
                let engine = engine.expect("a compiler");
                let store = wasmtime::Store::new(&engine, ());
                let runtime = WasmtimeRuntime::new(store, wasmtime::Linker::new(&engine));
                print_way(name, count, way(runtime, count));
            }
        }
    }
    println!(
        "\n| functions | mode | file, live over not | commit, not live / live | ratio | delta beyond its body, at most |"
    );
    println!("|---|---|---|---|---|---|");
    for count in [1_000, 10_000] {
        for redirect in [Redirect::Table, Redirect::TableThunks] {
            let (without, with) = (run(count, redirect, false), run(count, redirect, true));
            println!(
                "| {count} | {redirect:?} | {:.3} | {:.1} / {:.1} us | {:.2} | {} bytes |",
                with.file as f64 / without.file as f64,
                without.commit.as_secs_f64() * 1e6,
                with.commit.as_secs_f64() * 1e6,
                with.commit.as_secs_f64() / without.commit.as_secs_f64(),
                with.beyond,
            );
        }
    }
}
