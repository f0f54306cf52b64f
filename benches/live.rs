//! What it costs that instances which run can be patched: the file, the commit, the delta; and how long a reload takes in
//! wasmi. `cargo bench --bench live` prints the table of `design/figures.md`.

use std::time::{Duration, Instant};

use wasm_encoder::Instruction;
use wasmend::live::{Live, LiveOptions, WasmiRuntime};
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
    /// Of the way of a delta into an instance.
    reload: Duration,
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
    let engine = wasmi::Engine::default();
    let mut instance = live.then(|| {
        let runtime =
            WasmiRuntime::new(wasmi::Store::new(&engine, ()), wasmi::Linker::new(&engine));
        let bytes = module.bytes().expect("it is there");
        Live::load(runtime, &bytes, LiveOptions::default()).expect("it runs")
    });
    let (mut commits, mut reloads, mut beyond) = (Vec::new(), Vec::new(), 0);
    for edit in 0..EDITS {
        let at = edit * 104_729 % count;
        let len = define(
            &mut module,
            functions[at],
            functions[(at + edit) % count],
            edit,
        );
        let start = Instant::now();
        let patch: Patch = module.commit().expect("it is right");
        commits.push(start.elapsed());
        if let (Some(instance), Some(LiveStep::Delta { delta, .. })) = (&mut instance, &patch.live)
        {
            beyond = beyond.max(delta.bytes.len() - len);
            let start = Instant::now();
            instance.apply(delta).expect("it is taken in");
            reloads.push(start.elapsed());
        }
    }
    Run {
        file,
        commit: median(commits),
        beyond,
        reload: median(reloads),
    }
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
    println!(
        "| functions | mode | file, live over not | commit, not live / live | ratio | delta beyond its body, at most | reload in wasmi |"
    );
    println!("|---|---|---|---|---|---|---|");
    for count in [1_000, 10_000] {
        for redirect in [Redirect::Table, Redirect::TableThunks] {
            let (without, with) = (run(count, redirect, false), run(count, redirect, true));
            println!(
                "| {count} | {redirect:?} | {:.3} | {:.1} / {:.1} us | {:.2} | {} bytes | {:.1} us |",
                with.file as f64 / without.file as f64,
                without.commit.as_secs_f64() * 1e6,
                with.commit.as_secs_f64() * 1e6,
                with.commit.as_secs_f64() / without.commit.as_secs_f64(),
                with.beyond,
                with.reload.as_secs_f64() * 1e6,
            );
        }
    }
}
