//! What patching costs, beside what it replaces: keeping everything in memory and rewriting the file.
//!
//! `cargo bench --bench patching` prints the tables of `design/figures.md`. Medians throughout; each comparison is made in
//! one run. `WASMEND_FUNCTIONS=1000,10000` chooses other sizes, `WASMEND_TABLES=patches,session,creation,sizes,exports,ops`
//! some of the tables, `WASMEND_EDITS=50000` a longer session; with `WASMEND_UNVALIDATED` set, no body is looked at before it is written.

#[path = "support/numbers.rs"]
mod numbers;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, FunctionSection, NameMap, NameSection, TypeSection,
};
use wasmend::{
    BlockType, BodyStyle, ConstExpr, Data, DeclId, DeclKind, Function, FunctionBuilder,
    Instruction, MemArg, MemArgTarget, MemoryType, Module, ModuleOptions, Reason, Redirect, Types,
    ValType,
};

use numbers::Numbers;

const EDITS: usize = 1_500;
const TYPE: [ValType; 1] = [ValType::I32];

/// A body that adds `work` constants (about seven bytes each) to its parameter and calls another function.
fn body(style: BodyStyle, seed: usize, work: usize, callee: DeclId) -> Function {
    let mut body = FunctionBuilder::new(style, &TYPE, &TYPE);
    body.op(&Instruction::LocalGet(0));
    for at in 0..work {
        let constant = (seed as i32).wrapping_mul(7919).wrapping_add(at as i32) | 1 << 20;
        body.op(&Instruction::I32Const(constant & 0x07ff_ffff))
            .op(&Instruction::I32Add);
    }
    body.call(callee, &TYPE, &TYPE);
    body.finish().expect("the body names nothing by index")
}

/// Mean work of a body: about 260 bytes with the rest.
const WORK: usize = 40;

struct Subject {
    module: Module,
    style: BodyStyle,
    functions: Vec<DeclId>,
}

impl Subject {
    fn declare(path: Option<&Path>, count: usize, redirect: Redirect, types: Types) -> Subject {
        let options = ModuleOptions {
            redirect,
            types,
            validate: std::env::var_os("WASMEND_UNVALIDATED").is_none(),
            ..ModuleOptions::default()
        };
        let mut module = match path {
            Some(path) => Module::create(path, options),
            None => Module::in_memory(options),
        }
        .expect("a fresh folder");
        let style = module.body_style();
        let declare = |at| module.declare(DeclKind::Function, &format!("function_{at}"));
        let functions: Vec<DeclId> = (0..count)
            .map(declare)
            .collect::<Result<_, _>>()
            .expect("keys are new");
        let mut numbers = Numbers(7);
        for (at, &id) in functions.iter().enumerate() {
            let callee = functions[at * 7919 % count];
            let work = WORK / 2 + numbers.below(WORK + 1);
            module
                .define_function(id, body(style, at, work, callee))
                .expect("a good body");
        }
        module
            .export("first", functions[0])
            .expect("it is declared");
        Subject {
            module,
            style,
            functions,
        }
    }

    /// Redefines a function; returns the time of the commit, the bytes written beyond the body, whether room was made.
    fn edit(&mut self, at: usize, seed: usize, work: usize) -> (Duration, i64, bool) {
        let count = self.functions.len();
        let new = body(self.style, seed, work, self.functions[at * 7919 % count]);
        let len = new.len() as i64;
        self.module
            .define_function(self.functions[at], new)
            .expect("a good body");
        let start = Instant::now();
        let patch = self.module.commit().expect("a good edit");
        let time = start.elapsed();
        let made_room = patch.ranges().is_none_or(|ranges| {
            ranges
                .iter()
                .any(|(range, _)| range.reason == Reason::MakeRoom)
        });
        (time, patch.bytes_written() as i64 - len, made_room)
    }
}

/// The way of 2020: everything is kept in memory, an edit replaces a body, and the whole file is encoded and written anew.
struct Rival {
    bodies: Vec<Vec<u8>>,
}

impl Rival {
    fn new(count: usize) -> Rival {
        let mut numbers = Numbers(7);
        let bodies = (0..count)
            .map(|at| {
                let work = WORK / 2 + numbers.below(WORK + 1);
                Rival::body(at, work, at * 7919 % count)
            })
            .collect();
        Rival { bodies }
    }

    fn body(seed: usize, work: usize, callee: usize) -> Vec<u8> {
        let mut body = wasm_encoder::Function::new([]);
        body.instruction(&Instruction::LocalGet(0));
        for at in 0..work {
            let constant = (seed as i32).wrapping_mul(7919).wrapping_add(at as i32) | 1 << 20;
            body.instruction(&Instruction::I32Const(constant & 0x07ff_ffff))
                .instruction(&Instruction::I32Add);
        }
        body.instruction(&Instruction::Call(callee as u32))
            .instruction(&Instruction::End);
        body.into_raw_body()
    }

    /// Encodes the whole module as a compiler back end without a patcher does.
    fn encode(&self) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        let mut types = TypeSection::new();
        types
            .ty()
            .function([wasm_encoder::ValType::I32], [wasm_encoder::ValType::I32]);
        module.section(&types);
        let mut functions = FunctionSection::new();
        self.bodies.iter().for_each(|_| {
            functions.function(0);
        });
        module.section(&functions);
        let mut exports = ExportSection::new();
        exports.export("first", ExportKind::Func, 0);
        module.section(&exports);
        let mut code = CodeSection::new();
        self.bodies.iter().for_each(|body| {
            code.raw(body);
        });
        module.section(&code);
        let mut names = NameSection::new();
        let mut map = NameMap::new();
        (0..self.bodies.len()).for_each(|at| map.append(at as u32, &format!("function_{at}")));
        names.functions(&map);
        module.section(&names);
        module.finish()
    }

    /// Encodes and publishes: a new file that takes the old one's name.
    fn rewrite(&self, folder: &Path) -> Duration {
        let start = Instant::now();
        let bytes = self.encode();
        let fresh = folder.join("rival.new");
        fs::write(&fresh, bytes).expect("there is room");
        fs::rename(&fresh, folder.join("rival.wasm")).expect("the same folder");
        start.elapsed()
    }
}

fn median<T: Copy + Ord>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn at_percent<T: Copy>(sorted: &[T], percent: usize) -> T {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn patches(folder: &Path, count: usize, redirect: Redirect) -> Duration {
    let path = folder.join("out.wasm");
    let types = if count > 300_000 {
        Types::Interned
    } else {
        Types::PerDeclaration
    };
    let mut subject = Subject::declare(Some(&path), count, redirect, types);
    let created = subject.module.commit().expect("a good program");
    let mut numbers = Numbers(3);
    // The first patch copies the file to make the shadow; it belongs to the start, not to an edit.
    for at in 0..3 {
        subject.edit(at, at + 1_000_000, WORK);
    }
    let mut typical = Duration::ZERO;
    for (kind, spread) in [("constant", 0), ("grow", 1), ("mixed", WORK)] {
        let mut times = Vec::new();
        let mut beyond = Vec::new();
        let mut rooms = 0;
        for edit in 0..EDITS {
            let at = numbers.below(count);
            let work = match spread {
                0 => WORK / 2,
                1 => WORK + WORK / 2 + 1 + edit % 5,
                _ => WORK / 2 + numbers.below(WORK + 1),
            };
            let (time, bytes, made_room) = subject.edit(at, edit + 2_000_000, work);
            times.push(time);
            if made_room {
                rooms += 1;
            } else {
                beyond.push(bytes);
            }
        }
        let middle = median(&mut times);
        beyond.sort_unstable();
        println!(
            "| {count:>7} | {:>6.1} | {redirect:?} | {kind} | {:.1} | {:.1} | {} | {} | {rooms} |",
            created.file_len as f64 / 1e6,
            micros(middle),
            micros(at_percent(&times, 99)),
            beyond.last().copied().unwrap_or_default(),
            at_percent(&beyond, 50),
        );
        if kind == "constant" {
            typical = middle;
        }
    }
    typical
}

fn rival(folder: &Path, count: usize) -> Duration {
    let mut rival = Rival::new(count);
    let runs = if count > 300_000 { 3 } else { 9 };
    let mut times: Vec<Duration> = (0..runs)
        .map(|run| {
            let at = run * 101 % count;
            rival.bodies[at] = Rival::body(run + 5, WORK, at);
            rival.rewrite(folder)
        })
        .collect();
    median(&mut times)
}

fn creation(folder: &Path) {
    const COUNT: usize = 100_000;
    println!("\n## Creation of {COUNT} functions\n");
    println!("| redirection | MB | commit ms | one write ms | ratio |\n|---|---|---|---|---|");
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut commits = Vec::new();
        let mut writes = Vec::new();
        let mut len = 0;
        for run in 0..7 {
            let path = folder.join(format!("created{run}.wasm"));
            let mut subject = Subject::declare(Some(&path), COUNT, redirect, Types::PerDeclaration);
            let start = Instant::now();
            let patch = subject.module.commit().expect("a good program");
            commits.push(start.elapsed());
            len = patch.file_len;
            if std::env::var_os("PHASES").is_some() {
                println!("{:?}", patch.phases);
            }
            let bytes = subject.module.bytes().expect("it was just written");
            let plain = folder.join(format!("plain{run}"));
            let start = Instant::now();
            let mut file = fs::File::create(&plain).expect("a fresh name");
            file.write_all(&bytes).expect("there is room");
            drop(file);
            writes.push(start.elapsed());
            fs::remove_file(plain).expect("it was just written");
            drop(subject);
            fs::remove_file(path).expect("it was just written");
        }
        let (commit, write) = (median(&mut commits), median(&mut writes));
        println!(
            "| {redirect:?} | {:.1} | {:.1} | {:.1} | {:.2} |",
            len as f64 / 1e6,
            micros(commit) / 1e3,
            micros(write) / 1e3,
            commit.as_secs_f64() / write.as_secs_f64()
        );
    }
}

/// Sizes, and with a folder in `WASMEND_KEEP` the files themselves, to be loaded by engines.
fn sizes() {
    const COUNT: usize = 10_000;
    println!("\n## Size over dense, {COUNT} functions, {COUNT} random edits\n");
    println!(
        "| redirection | types | first | after | bytes per patch | relinks |\n|---|---|---|---|---|---|"
    );
    let keep = std::env::var_os("WASMEND_KEEP");
    let modes = [Redirect::Table, Redirect::TableThunks, Redirect::Direct];
    let modes = modes.into_iter().flat_map(|redirect| {
        [Types::PerDeclaration, Types::Interned].map(|types| (redirect, types))
    });
    for (redirect, types) in modes {
        let mut subject = Subject::declare(None, COUNT, redirect, types);
        subject.module.commit().expect("a good program");
        let ratio = |subject: &Subject, name: &str| {
            let file = subject.module.bytes().expect("it is in memory");
            let dense = subject.module.finish().expect("nothing is pending");
            if let Some(folder) = &keep {
                let base = Path::new(folder).join(format!("{redirect:?}-{types:?}-{name}"));
                fs::write(base.with_extension("wasm"), &file).expect("a folder");
                fs::write(base.with_extension("dense.wasm"), &dense).expect("a folder");
            }
            file.len() as f64 / dense.len() as f64
        };
        let first = ratio(&subject, "first");
        let mut numbers = Numbers(11);
        let mut bytes = 0;
        let mut relinks = 0;
        for edit in 0..COUNT {
            let at = numbers.below(COUNT);
            let work = WORK / 4 + numbers.below(WORK + WORK / 2);
            let new = body(
                subject.style,
                edit,
                work,
                subject.functions[at * 7919 % COUNT],
            );
            let id = subject.functions[at];
            subject
                .module
                .define_function(id, new)
                .expect("a good body");
            let patch = subject.module.commit().expect("a good edit");
            bytes += patch.bytes_written();
            relinks += u32::from(patch.relink_reason().is_some());
        }
        let after = ratio(&subject, "after");
        println!(
            "| {redirect:?} | {types:?} | {first:.3} | {after:.3} | {} | {relinks} |",
            bytes / COUNT as u64
        );
    }
}

/// What one export more, less, or other costs in a module that has many.
fn exports(folder: &Path) {
    const COUNT: usize = 5_000;
    const TIMES: usize = 400;
    println!("\n## One export of {COUNT}\n");
    println!(
        "| edit | p50 us | p99 us | bytes p50 | bytes most | made room |\n|---|---|---|---|---|---|"
    );
    let path = folder.join("exports.wasm");
    let mut subject = Subject::declare(Some(&path), COUNT, Redirect::Table, Types::Interned);
    let mut numbers = Numbers(5);
    // Names of 8 to 40 bytes, as they come from a compiler.
    let mut fresh = 0;
    let mut name = |numbers: &mut Numbers| {
        fresh += 1;
        let width = 8 + numbers.below(33);
        format!("{fresh:_>width$}")
    };
    let mut names: Vec<String> = (0..COUNT).map(|_| name(&mut numbers)).collect();
    let module = &mut subject.module;
    for (name, id) in names.iter().zip(&subject.functions) {
        module.export(name, *id).expect("a function");
    }
    module.commit().expect("a good program");
    module.prepare();
    for edit in ["none", "add", "remove", "rename", "redirect"] {
        let (mut times, mut bytes, mut rooms) = (Vec::new(), Vec::new(), 0);
        for _ in 0..TIMES {
            let id = subject.functions[numbers.below(COUNT)];
            let at = numbers.below(names.len());
            match edit {
                "add" => {
                    names.push(name(&mut numbers));
                    module.export(&names[names.len() - 1], id).expect("is new");
                }
                "remove" => module.unexport(&names.swap_remove(at)),
                "rename" => {
                    module.unexport(&names[at]);
                    names[at] = name(&mut numbers);
                    module.export(&names[at], id).expect("is new");
                }
                "redirect" => {
                    module.unexport(&names[at]);
                    module.export(&names[at], id).expect("it was removed");
                }
                _ => {
                    let constant = numbers.below(1 << 20);
                    let new = body(subject.style, constant, WORK, subject.functions[0]);
                    module.define_function(id, new).expect("a good body");
                }
            }
            let start = Instant::now();
            let patch = module.commit().expect("a good edit");
            times.push(start.elapsed());
            let ranges = patch.ranges().expect("a patch");
            let mut reasons = ranges.iter().map(|(range, _)| range.reason);
            match reasons.any(|reason| reason == Reason::MakeRoom) {
                true => rooms += 1,
                false => bytes.push(patch.bytes_written()),
            }
        }
        let middle = median(&mut times);
        bytes.sort_unstable();
        println!(
            "| {edit} | {:.1} | {:.1} | {} | {} | {rooms} |",
            micros(middle),
            micros(at_percent(&times, 99)),
            at_percent(&bytes, 50),
            bytes.last().copied().unwrap_or_default(),
        );
    }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split(':').nth(1))
        .unwrap_or(" unknown")
        .trim();
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!(
        "Machine: {}; files in {}\n",
        machine(),
        folder.path().display()
    );
    let asked = std::env::var("WASMEND_TABLES")
        .unwrap_or_else(|_| "patches,session,creation,sizes,exports,ops".into());
    let asked = |table: &str| asked.split(',').any(|one| one.trim() == table);
    if asked("patches") {
        all_patches(folder.path());
    }
    if asked("session") {
        session(folder.path());
    }
    if asked("creation") {
        creation(folder.path());
    }
    if asked("sizes") {
        sizes();
    }
    if asked("exports") {
        exports(folder.path());
    }
    if asked("ops") {
        ops();
    }
}

/// Patches of modules of all sizes, in every mode, and what they replace.
fn all_patches(folder: &Path) {
    let sizes_asked =
        std::env::var("WASMEND_FUNCTIONS").unwrap_or_else(|_| "1000,10000,100000,900000".into());
    let counts: Vec<usize> = sizes_asked
        .split(',')
        .filter_map(|count| count.trim().parse().ok())
        .collect();
    println!("## One-function patches\n");
    println!(
        "| functions | MB | redirection | edit | median µs | p99 µs | most bytes beyond body | median | room made |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut typical = Vec::new();
    for &count in &counts {
        typical.push((count, patches(folder, count, Redirect::Table)));
        if count <= 100_000 {
            patches(folder, count, Redirect::TableThunks);
            patches(folder, count, Redirect::Direct);
        }
    }
    println!("\n## Against rewriting the file from memory\n");
    println!("| functions | patch µs | rewrite µs | rewrite / patch |\n|---|---|---|---|");
    for &(count, patch) in &typical {
        let rewrite = rival(folder, count);
        println!(
            "| {count} | {:.1} | {:.0} | {:.0} |",
            micros(patch),
            micros(rewrite),
            rewrite.as_secs_f64() / patch.as_secs_f64()
        );
    }
    for count in [1, 3, 10, 30, 100, 300] {
        let patch = quick_patch(folder, count);
        let rewrite = rival(folder, count);
        println!(
            "| {count} | {:.1} | {:.1} | {:.2} |",
            micros(patch),
            micros(rewrite),
            rewrite.as_secs_f64() / patch.as_secs_f64()
        );
    }
}

/// Memory that is this process's own and no file's, in megabytes.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1e3
}

/// What a compiler has beside the functions of the program.
struct Compiled {
    subject: Subject,
    memory: DeclId,
    texts: Vec<DeclId>,
    globals: Vec<DeclId>,
    /// Functions that nobody calls, so that they can go: each reads a text and a global.
    leaves: Vec<DeclId>,
    numbers: Numbers,
    declared: usize,
}

impl Compiled {
    fn new(path: &Path, count: usize, redirect: Redirect) -> wasmend::Result<Compiled> {
        let mut subject = Subject::declare(Some(path), count, redirect, Types::PerDeclaration);
        let module = &mut subject.module;
        let memory = module.declare(DeclKind::Memory, "memory")?;
        let pages = MemoryType {
            minimum: 16,
            ..MemoryType::default()
        };
        module.define_memory(memory, pages)?;
        let mut compiled = Compiled {
            subject,
            memory,
            texts: Vec::new(),
            globals: Vec::new(),
            leaves: Vec::new(),
            numbers: Numbers(17),
            declared: 0,
        };
        for _ in 0..count / 10 {
            let text = compiled.declare(DeclKind::Data)?;
            compiled.texts.push(text);
            compiled.define_text(text)?;
            let global = compiled.declare(DeclKind::Global)?;
            compiled.globals.push(global);
            compiled.define_global(global)?;
        }
        for _ in 0..count / 10 {
            compiled.add_leaf()?;
        }
        Ok(compiled)
    }

    fn declare(&mut self, kind: DeclKind) -> wasmend::Result<DeclId> {
        self.declared += 1;
        let key = format!("{kind} {}", self.declared);
        self.subject.module.declare(kind, &key)
    }

    fn define_text(&mut self, text: DeclId) -> wasmend::Result<()> {
        let len = 4 + self.numbers.below(60);
        let bytes: Vec<u8> = (0..len).map(|_| self.numbers.below(256) as u8).collect();
        let data = Data::new(bytes, 2);
        self.subject.module.define_data(text, self.memory, data)
    }

    fn define_global(&mut self, global: DeclId) -> wasmend::Result<()> {
        let value = ConstExpr::I32(self.numbers.below(1 << 30) as i32);
        let module = &mut self.subject.module;
        module.define_global(global, ValType::I32, true, value)
    }

    fn add_leaf(&mut self) -> wasmend::Result<()> {
        let id = self.declare(DeclKind::Function)?;
        let text = self.texts[self.numbers.below(self.texts.len())];
        let global = self.globals[self.numbers.below(self.globals.len())];
        let callee = self.subject.functions[self.numbers.below(self.subject.functions.len())];
        let mut body = FunctionBuilder::new(self.subject.style, &TYPE, &TYPE);
        body.address_of_data(text, 0).global_get(global);
        body.op(&Instruction::I32Add);
        for _ in 0..self.numbers.below(WORK) {
            let constant = 1 << 20 | self.numbers.below(1 << 20) as i32;
            body.op(&Instruction::I32Const(constant))
                .op(&Instruction::I32Add);
        }
        body.call(callee, &TYPE, &TYPE);
        let module = &mut self.subject.module;
        module.define_function(id, body.finish()?)?;
        module.export(&format!("leaf {}", self.declared), id)?;
        self.leaves.push(id);
        Ok(())
    }

    fn remove_leaf(&mut self) -> wasmend::Result<()> {
        let leaf = self
            .leaves
            .swap_remove(self.numbers.below(self.leaves.len()));
        let module = &mut self.subject.module;
        let names = module.declaration(leaf)?.exports().map(str::to_owned);
        for name in names.collect::<Vec<_>>() {
            module.unexport(&name);
        }
        module.remove(leaf)
    }

    /// One edit, as somebody who works on a program makes them: most are of bodies.
    fn edit(&mut self, number: usize) -> wasmend::Result<()> {
        match self.numbers.below(20) {
            0 => self.add_leaf(),
            1 => self.remove_leaf(),
            2..4 => {
                let text = self.texts[self.numbers.below(self.texts.len())];
                self.define_text(text)
            }
            4 => {
                let global = self.globals[self.numbers.below(self.globals.len())];
                self.define_global(global)
            }
            _ => {
                let functions = &self.subject.functions;
                let at = self.numbers.below(functions.len());
                let callee = functions[at * 7919 % functions.len()];
                let work = WORK / 4 + self.numbers.below(WORK + WORK / 2);
                let new = body(self.subject.style, number, work, callee);
                self.subject.module.define_function(functions[at], new)
            }
        }
    }
}

/// A day of edits of one program, each of which is committed: what they cost, how much they write, and what memory they keep.
fn session(folder: &Path) {
    const COUNT: usize = 5_000;
    let edits = std::env::var("WASMEND_EDITS").ok();
    let edits = edits.and_then(|edits| edits.parse().ok());
    let edits: usize = edits.unwrap_or(5_000);
    println!("\n## {edits} edits of {COUNT} functions\n");
    println!(
        "| redirection | p50 us | p99 us | most us | bytes p50 | p99 | most | made room: times, most bytes | relinks | MB of \
         memory at first, after each fifth |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let path = folder.join(format!("session-{redirect:?}.wasm"));
        let mut compiled = Compiled::new(&path, COUNT, redirect).expect("a good program");
        compiled.subject.module.commit().expect("a good program");
        // The first patch copies the file, which belongs to the start.
        compiled.edit(edits).expect("a good edit");
        compiled.subject.module.commit().expect("a good edit");
        // What is noted here must not count as memory that the module keeps.
        let mut times = vec![Duration::MAX; edits];
        let (mut bytes, mut rooms) = (vec![u64::MAX; edits], Vec::new());
        times.clear();
        bytes.clear();
        let (mut relinks, mut kept) = (0, vec![memory()]);
        for number in 0..edits {
            compiled.edit(number).expect("a good edit");
            let start = Instant::now();
            let patch = compiled.subject.module.commit().expect("a good edit");
            times.push(start.elapsed());
            match patch.ranges() {
                None => relinks += 1,
                Some(ranges) => {
                    let mut reasons = ranges.iter().map(|(range, _)| range.reason);
                    match reasons.any(|reason| reason == Reason::MakeRoom) {
                        true => rooms.push(patch.bytes_written()),
                        false => bytes.push(patch.bytes_written()),
                    }
                }
            }
            if (number + 1).is_multiple_of((edits / 5).max(1)) {
                kept.push(memory());
            }
        }
        let middle = median(&mut times);
        bytes.sort_unstable();
        let kept: Vec<String> = kept
            .iter()
            .map(|megabytes| format!("{megabytes:.1}"))
            .collect();
        println!(
            "| {redirect:?} | {:.1} | {:.1} | {:.0} | {} | {} | {} | {}, {} | {relinks} | {} |",
            micros(middle),
            micros(at_percent(&times, 99)),
            micros(at_percent(&times, 100)),
            at_percent(&bytes, 50),
            at_percent(&bytes, 99),
            at_percent(&bytes, 100),
            rooms.len(),
            rooms.iter().max().copied().unwrap_or_default(),
            kept.join(", "),
        );
    }
}

/// The median patch of a small module.
fn quick_patch(folder: &Path, count: usize) -> Duration {
    let path = folder.join("small.wasm");
    let mut subject = Subject::declare(Some(&path), count, Redirect::Table, Types::PerDeclaration);
    subject.module.commit().expect("a good program");
    let mut times: Vec<Duration> = (0..EDITS)
        .map(|edit| subject.edit(edit % count, edit + 9, WORK / 2).0)
        .collect();
    median(&mut times)
}

/// What an instruction costs in the builder and in the encoder that is beneath it.
fn ops() {
    const COUNT: usize = 100_000;
    const ROUNDS: usize = 101;
    let load = MemArg {
        offset: 16,
        align: 2,
        target: MemArgTarget::Memory(0),
        ordering: None,
    };
    let mixed = [
        Instruction::LocalGet(3),
        Instruction::I32Const(70_000),
        Instruction::I32Add,
        Instruction::I32Load(load),
        Instruction::LocalTee(200),
        Instruction::F64Const(1.5.into()),
        Instruction::F64Mul,
        Instruction::Block(BlockType::Empty),
        Instruction::BrIf(0),
        Instruction::End,
    ];
    println!("\n## An instruction, ns\n");
    println!(
        "| instructions | wasm-encoder | builder | builder / wasm-encoder |\n|---|---|---|---|"
    );
    for (what, instructions) in [
        ("mixed", &mixed[..]),
        ("local.get", &mixed[..1]),
        ("i32.const", &mixed[1..2]),
        ("i32.load", &mixed[3..4]),
    ] {
        let all = || instructions.iter().cycle().take(COUNT);
        let (mut encoder, mut builder) = (Vec::new(), Vec::new());
        let module = Module::in_memory(ModuleOptions::default()).expect("in memory");
        // Both in turns, so that both have the same of what else the machine does.
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let mut function = wasm_encoder::Function::new([]);
            for instruction in all() {
                function.instruction(std::hint::black_box(instruction));
            }
            std::hint::black_box(&function);
            encoder.push(start.elapsed());
            let start = Instant::now();
            let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
            for instruction in all() {
                body.op(std::hint::black_box(instruction));
            }
            std::hint::black_box(&body);
            builder.push(start.elapsed());
        }
        let per = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[ROUNDS / 2].as_secs_f64() * 1e9 / COUNT as f64
        };
        let (encoder, builder) = (per(encoder), per(builder));
        println!(
            "| {what} | {encoder:.1} | {builder:.1} | {:.2} |",
            builder / encoder
        );
    }
}
