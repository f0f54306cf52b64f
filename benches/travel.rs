//! What clones of a module cost, and patches that travel.
//!
//! `cargo bench --bench travel` prints the tables of `design/figures.md`: medians of 300. `WASMEND_FUNCTIONS` chooses other sizes.

use std::time::{Duration, Instant};

use wasmend::output::OutputOptions;
use wasmend::{
    DeclId, DeclKind, Envelope, FunctionBuilder, Instruction, Module, ModuleOptions, Replica,
    ValType,
};

const EDITS: usize = 300;
const TYPE: [ValType; 1] = [ValType::I32];
/// Constants in a body, of about seven bytes each.
const WORK: usize = 40;

struct Subject {
    module: Module,
    functions: Vec<DeclId>,
}

impl Subject {
    fn define(&mut self, at: usize, seed: usize) {
        let mut body = FunctionBuilder::new(self.module.body_style(), &TYPE, &TYPE);
        body.op(&Instruction::LocalGet(0));
        for work in 0..WORK {
            let constant = (seed * 7919 + work) as i32 & 0x07ff_ffff | 1 << 20;
            body.op(&Instruction::I32Const(constant))
                .op(&Instruction::I32Add);
        }
        let callee = self.functions[at * 7919 % self.functions.len()];
        body.call(callee, &TYPE, &TYPE);
        let function = body.finish().expect("the body names nothing by index");
        let defined = self.module.define_function(self.functions[at], function);
        defined.expect("is a function");
    }

    fn new(mut module: Module, count: usize) -> Subject {
        let declare = |at| module.declare(DeclKind::Function, &format!("function_{at}"));
        let functions = (0..count).map(declare).collect::<Result<_, _>>();
        let mut subject = Subject {
            functions: functions.expect("keys are new"),
            module,
        };
        (0..count).for_each(|at| subject.define(at, at));
        subject.module.commit().expect("is published");
        subject
    }
}

/// Times of one thing, and their median.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn of<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.push(start.elapsed());
        done
    }

    fn median(&mut self) -> String {
        self.0.sort_unstable();
        format!("{:.1} us", self.0[self.0.len() / 2].as_secs_f64() * 1e6)
    }
}

fn clones(count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ModuleOptions::default;
    let in_file = Module::create(folder.path().join("out.wasm"), options());
    let modules = [("memory", Module::in_memory(options())), ("file", in_file)];
    for (place, module) in modules {
        let subject = Subject::new(module.expect("a fresh folder"), count);
        let (mut made, mut first, mut dropped) = <(Times, Times, Times)>::default();
        for at in 0..EDITS / 3 {
            let clone = made.of(|| subject.module.try_clone()).expect("can be read");
            let functions = subject.functions.clone();
            let mut clone = Subject {
                module: clone,
                functions,
            };
            clone.define(at % count, count + at);
            first.of(|| clone.module.commit()).expect("is published");
            dropped.of(|| drop(clone));
        }
        println!(
            "{count} functions in {place}: clone {}, first commit of it {}, dropping it {}",
            made.median(),
            first.median(),
            dropped.median()
        );
    }
}

fn envelopes(count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.wasm");
    let module = Module::create(&out, ModuleOptions::default()).expect("a fresh folder");
    let mut subject = Subject::new(module, count);
    let whole = Envelope::whole(subject.module.bytes().expect("is there")).expect("an output");
    let mut copy = Vec::new();
    whole.apply(&mut copy).expect("is for all");
    let path = folder.path().join("copy.wasm");
    let mut file = Replica::open(&path, OutputOptions::default()).expect("a fresh folder");
    file.apply(&whole).expect("is for all");
    let mut all: [Times; 7] = Default::default();
    let [commit, made, read, applied, in_file, sealed, checked] = &mut all;
    let mut bytes = 0;
    for at in 0..EDITS {
        subject.define(at * 31 % count, count + at);
        let patch = commit.of(|| subject.module.commit()).expect("is published");
        let before = copy.clone();
        let sent = made.of(|| {
            let envelope = Envelope::of(&patch, || subject.module.bytes());
            envelope.map(|it| it.map(|it| it.to_bytes()))
        });
        let sent = sent.expect("is made").expect("something changed");
        bytes += sent.len();
        let received = read.of(|| Envelope::from_bytes(&sent)).expect("is whole");
        applied.of(|| received.apply(&mut copy)).expect("is for it");
        in_file.of(|| file.apply(&received)).expect("is for it");
        let with_sum = sealed.of(|| {
            let file = subject.module.bytes()?;
            received.clone().with_checksum_of(&file)
        });
        let with_sum = with_sum.expect("is the result");
        let mut other = before;
        checked
            .of(|| with_sum.apply(&mut other))
            .expect("is for it");
        assert!(other == copy);
    }
    assert!(copy == subject.module.bytes().expect("is there"));
    println!(
        "{count} functions, {} bytes: commit {}; {} bytes sent: made {}, read {}, applied in memory {}, to a file {}; \
         with a checksum: made {} more, applied in memory {}",
        copy.len(),
        all[0].median(),
        bytes / EDITS,
        all[1].median(),
        all[2].median(),
        all[3].median(),
        all[4].median(),
        all[5].median(),
        all[6].median()
    );
}

fn main() {
    let sizes = std::env::var("WASMEND_FUNCTIONS").unwrap_or("5000,50000".into());
    for size in sizes.split(',').filter_map(|size| size.parse().ok()) {
        clones(size);
        envelopes(size);
    }
}
