//! What a chain of edits writes that make a program grow: functions, tables of functions, data and strings that come, step by step.
//!
//! `WASMEND_LINKS=FOLDER cargo bench --bench growth` edits each program in FOLDER that `benches/linking/programs.sh FOLDER`
//! has made and that has a folder `sources`: one file for each source that may be edited, with the arguments of its compiler,
//! one a line, the source and the object last. `WASMEND_STEPS` says how many edits (200), `WASMEND_PROGRAM` names one program.
//! Compiled objects are kept in the program's folder `steps`, since compiling takes minutes; `WASMEND_EACH` prints each edit.
//!
//! An edit may write 8 times what it brought and 64 KiB, or a twentieth of the file. What an edit brought is counted in the
//! objects: of each section that differs, the bytes of the new one without the beginning and the end that both have.

#[path = "support/numbers.rs"]
mod numbers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use wasmend::Reason;
use wasmend::link::{Access, LinkOptions, Linked, Target};

use numbers::Numbers;

/// A source that is edited, and how it is compiled.
struct Source {
    text: Vec<String>,
    path: PathBuf,
    object: PathBuf,
    command: Vec<String>,
    /// The lines that end in the brace of a function's body, and have nothing before them that belongs to it.
    functions: Vec<usize>,
    /// What stands behind each of these lines, and before it.
    inside: BTreeMap<usize, String>,
    before: BTreeMap<usize, String>,
}

impl Source {
    fn open(list: &Path) -> Source {
        let text = fs::read_to_string(list).expect("a list of arguments");
        let command: Vec<String> = text.lines().map(str::to_owned).collect();
        let path = PathBuf::from(&command[command.len() - 3]);
        let object = PathBuf::from(&command[command.len() - 1]);
        let text = fs::read_to_string(&path).expect("a source");
        let text: Vec<String> = text.lines().map(str::to_owned).collect();
        let functions = (1..text.len()).filter(|at| {
            let (line, before) = (text[*at].trim_end(), text[at - 1].trim());
            let word = line.split(' ').next().unwrap_or_default();
            let is_other = [
                "struct",
                "enum",
                "namespace",
                "class",
                "typedef",
                "union",
                "switch",
            ];
            line.starts_with(|first: char| first.is_ascii_alphabetic())
                && line.ends_with('{')
                && line.contains(") {") | line.contains("){")
                && !line.contains("template")
                && !is_other.contains(&word)
                && (before.is_empty() || before.ends_with("*/") || before.starts_with("//"))
        });
        let functions = functions.collect();
        Source {
            text,
            path,
            object,
            command,
            functions,
            inside: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }

    /// Makes one edit; says what kind of edit it is.
    fn edit(&mut self, step: usize, numbers: &mut Numbers) -> &'static str {
        let line = self.functions[numbers.below(self.functions.len())];
        let (mut before, mut inside) = (String::new(), String::new());
        let name = format!("grown_{step}");
        let kind = match numbers.below(20) {
            0..8 => {
                for at in 0..1 + numbers.below(12) {
                    let _ = writeln!(
                        inside,
                        "{{ static volatile int {name}_{at}; {name}_{at} += {step} * {name}_{at}; }}"
                    );
                }
                "function grows"
            }
            8..13 => {
                for at in 0..1 + numbers.below(4) {
                    let _ = writeln!(
                        before,
                        "__attribute__((noinline)) static int {name}_{at}(int n) {{ volatile int sum = {step}; for (int i = 0; i < n; i++) sum += i ^ {at}; return sum; }}"
                    );
                    let _ = writeln!(
                        inside,
                        "{{ static volatile int {name}_{at}_n; {name}_{at}_n = {name}_{at}({name}_{at}_n); }}"
                    );
                }
                "functions come"
            }
            13..17 => {
                for at in 0..1 + numbers.below(20) {
                    let _ = writeln!(
                        inside,
                        "{{ static const char *volatile {name}_{at}; {name}_{at} = \"what step {step} says at {at}, and nobody has said before\"; }}"
                    );
                }
                "strings come"
            }
            17..19 => {
                let len = 512 << numbers.below(5);
                let values: Vec<String> = (0..len).map(|at| (at % 97).to_string()).collect();
                let values = values.join(", ");
                let _ = writeln!(
                    before,
                    "static const volatile char {name}_data[] = {{{values}}};"
                );
                let _ = writeln!(
                    inside,
                    "{{ static volatile int {name}_n; {name}_n = {name}_data[{name}_n]; }}"
                );
                "data comes"
            }
            _ => {
                let count = 50 + numbers.below(150);
                let mut table = String::new();
                for at in 0..count {
                    let _ = writeln!(
                        before,
                        "static int {name}_{at}(int n) {{ return n * {step} + {at}; }}"
                    );
                    let _ = write!(table, "{name}_{at}, ");
                }
                let _ = writeln!(
                    before,
                    "static int (*const volatile {name}_table[])(int) = {{{table}}};"
                );
                let _ = writeln!(
                    inside,
                    "{{ static volatile int {name}_n; {name}_n = {name}_table[{name}_n % {count}]({name}_n); }}"
                );
                "table of functions comes"
            }
        };
        self.before.entry(line).or_default().push_str(&before);
        self.inside.entry(line).or_default().push_str(&inside);
        kind
    }

    /// Compiles what the source is now to `object`.
    fn compile(&self, object: &Path) {
        let mut text = String::new();
        for (at, line) in self.text.iter().enumerate() {
            text.push_str(self.before.get(&at).map_or("", |it| it));
            text.push_str(line);
            text.push('\n');
            text.push_str(self.inside.get(&at).map_or("", |it| it));
        }
        fs::write(&self.path, text).expect("it was there");
        let (_, arguments) = self.command.split_last().expect("the object comes last");
        let status = Command::new(&arguments[0])
            .args(&arguments[1..])
            .arg(object)
            .status();
        let original = self.text.join("\n") + "\n";
        fs::write(&self.path, original).expect("it was there");
        assert!(status.expect("it runs").success(), "{}", object.display());
    }
}

/// One version of one of the sources.
struct Step {
    kind: &'static str,
    /// The object that is replaced, and by what.
    object: PathBuf,
    version: PathBuf,
}

/// The versions of a program, compiled where they are not there yet.
fn steps(program: &Path, count: usize) -> Vec<Step> {
    let mut lists: Vec<PathBuf> = fs::read_dir(program.join("sources"))
        .expect("a folder of lists")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    lists.sort();
    let mut sources: Vec<Source> = lists.iter().map(|list| Source::open(list)).collect();
    let folder = program.join("steps");
    fs::create_dir_all(&folder).expect("a folder for steps");
    let mut numbers = Numbers(20);
    let steps = (0..count).map(|step| {
        let at = numbers.below(sources.len());
        let source = &mut sources[at];
        let kind = source.edit(step, &mut numbers);
        let version = folder.join(format!("{step:04}.o"));
        if !version.is_file() {
            let unfinished = folder.join("unfinished.o");
            source.compile(&unfinished);
            fs::rename(&unfinished, &version).expect("it was made");
        }
        Step {
            kind,
            object: source.object.clone(),
            version,
        }
    });
    steps.collect()
}

/// The sections of an object that a link looks at, by what they are called.
fn sections(object: &[u8]) -> BTreeMap<(u8, Vec<u8>), &[u8]> {
    let number = |at: &mut usize| {
        let (mut value, mut shift) = (0usize, 0);
        loop {
            let byte = object[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    let mut all = BTreeMap::new();
    let mut at = 8;
    while at < object.len() {
        let id = object[at];
        at += 1;
        let len = number(&mut at);
        let end = at + len;
        let mut name = Vec::new();
        if id == 0 {
            let len = number(&mut at);
            name = object[at..at + len].to_vec();
            at += len;
        }
        if !name.starts_with(b"reloc.") && name != b"linking" {
            all.insert((id, name), &object[at..end]);
        }
        at = end;
    }
    all
}

/// How many bytes the one object has that the other does not.
fn brought(before: &[u8], after: &[u8]) -> u64 {
    let (before, after) = (sections(before), sections(after));
    let bytes = after.iter().map(|(name, new)| {
        let old = before.get(name).copied().unwrap_or_default();
        let shorter = old.len().min(new.len());
        let same = |(a, b): &(&u8, &u8)| a == b;
        let front = old.iter().zip(*new).take_while(same).count();
        let back = old.iter().rev().zip(new.iter().rev());
        let back = back.take(shorter - front).take_while(same).count();
        new.len() - front - back
    });
    bytes.sum::<usize>() as u64
}

/// What one edit wrote.
struct Written {
    bytes: u64,
    most: u64,
    made_room: u64,
    micros: u128,
    relink: Option<String>,
}

/// A link whose edited objects stand in a folder of its own.
struct Chain {
    folder: tempfile::TempDir,
    linked: Linked,
    /// Bytes of the file.
    len: u64,
}

impl Chain {
    fn link(program: &Path, steps: &[Step]) -> Chain {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = fs::read_to_string(program.join("link.rsp")).expect("a response file");
        let is_edited = |line: &str| steps.iter().any(|step| step.object == Path::new(line));
        let of_chain = |line: &str| {
            let ours = folder.path().join(Path::new(line).file_name()?);
            fs::copy(line, &ours).ok()?;
            Some(ours.display().to_string())
        };
        let mut arguments: Vec<String> = text
            .lines()
            .map(|line| match is_edited(line) {
                true => of_chain(line).expect("an object"),
                false => line.to_owned(),
            })
            .collect();
        // As what is watched is linked.
        arguments.push("--redirect=table".to_owned());
        arguments.push("-o".to_owned());
        arguments.push(folder.path().join("out.wasm").display().to_string());
        let options = LinkOptions::parse(&arguments).expect("a command line");
        let target = Target::File(wasmend::output::OutputOptions::default());
        let linked = Linked::link(options, Access::Read, target);
        let (linked, report) = linked.expect("it links");
        Chain {
            folder,
            linked,
            len: report.patch.file_len,
        }
    }

    /// Brings the output up to date with one more version of an object.
    fn follow(&mut self, at: usize, step: &Step) -> Written {
        self.linked.prepare();
        let name = step.object.file_name().expect("an object");
        let object = self.folder.path().join(name);
        let old = fs::read(&object).expect("it was there");
        let new = fs::read(&step.version).expect("it was compiled");
        let brought = brought(&old, &new);
        // Written beside and renamed: what the link has read stays what it was.
        let beside = object.with_extension("new");
        fs::write(&beside, &new).expect("a copy");
        fs::rename(&beside, &object).expect("a copy");
        let start = Instant::now();
        let report = self.linked.update(&[&object]).expect("it links");
        let micros = start.elapsed().as_micros();
        let patch = &report.patch;
        let mut reasons: BTreeMap<Reason, u64> = BTreeMap::new();
        for (range, _) in patch.ranges().into_iter().flat_map(|ranges| ranges.iter()) {
            *reasons.entry(range.reason).or_default() += u64::from(range.len);
        }
        let written = Written {
            bytes: patch.bytes_written(),
            most: (8 * brought + (64 << 10)).max(self.len / 20),
            made_room: reasons.get(&Reason::MakeRoom).copied().unwrap_or(0),
            micros,
            relink: patch.relink_reason().map(|reason| reason.to_string()),
        };
        self.len = patch.file_len;
        if std::env::var_os("WASMEND_EACH").is_some() {
            let mut reasons: Vec<_> = reasons.into_iter().collect();
            reasons.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
            let reasons = reasons.iter().take(4);
            let reasons = reasons.map(|(reason, bytes)| format!("{reason} {bytes}"));
            println!(
                "{at:4} {:24} brought {brought:8} wrote {:9} of {:9}, {micros:7} us, {} bytes; {} {}",
                step.kind,
                written.bytes,
                written.most,
                self.len,
                reasons.collect::<Vec<_>>().join(", "),
                written.relink.as_deref().unwrap_or_default(),
            );
        }
        written
    }
}

fn chain(program: &Path, count: usize) {
    let steps = steps(program, count);
    let mut chain = Chain::link(program, &steps);
    let first = chain.len;
    let all = steps.iter().enumerate();
    let all: Vec<Written> = all.map(|(at, step)| chain.follow(at, step)).collect();
    chain.linked.verify().expect("equivalent to a fresh link");
    let fresh = chain.linked.linked_anew().expect("it links");
    let fresh = fresh.bytes().expect("it is in memory").len() as u64;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    print_row(&name, &all, [first, chain.len, fresh]);
}

fn print_row(name: &str, all: &[Written], [first, last, fresh]: [u64; 3]) {
    let patched: Vec<&Written> = all.iter().filter(|it| it.relink.is_none()).collect();
    let mut bytes: Vec<u64> = patched.iter().map(|it| it.bytes).collect();
    bytes.sort_unstable();
    let over = patched.iter().filter(|it| it.bytes > it.most).count();
    let mut micros: Vec<u128> = all.iter().map(|it| it.micros).collect();
    micros.sort_unstable();
    let share = patched.iter().map(|it| it.bytes as f64 / it.most as f64);
    let at = |percent: usize| bytes[(bytes.len() * percent / 100).min(bytes.len() - 1)];
    let made_room = patched.iter().map(|it| it.made_room);
    let relinks: Vec<&str> = all.iter().filter_map(|it| it.relink.as_deref()).collect();
    println!(
        "| {name} | {} | {} / {} / {} | {:.2} | {over} | {}, {} | {} {} | {:.1} / {:.1} ms | {first} | {last} | {:.3} |",
        all.len(),
        at(50),
        at(99),
        at(100),
        share.fold(0.0, f64::max),
        made_room.clone().filter(|bytes| *bytes > 0).count(),
        made_room.max().unwrap_or(0),
        relinks.len(),
        relinks.join(", "),
        micros[micros.len() / 2] as f64 / 1e3,
        micros[micros.len() - 1] as f64 / 1e3,
        last as f64 / fresh as f64,
    );
}

fn main() {
    let Some(folder) = std::env::var_os("WASMEND_LINKS") else {
        println!("WASMEND_LINKS names no folder with programs: nothing is measured");
        return;
    };
    let only = std::env::var("WASMEND_PROGRAM").ok();
    let count = std::env::var("WASMEND_STEPS").ok();
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(200);
    println!(
        "| program | edits | bytes of a patch: p50 / p99 / most | most of what it may | more than it may | made room: times, most bytes | relinks | time: p50 / most | first | last | over a fresh one |"
    );
    println!("|{}", "---|".repeat(11));
    let entries = fs::read_dir(folder).expect("WASMEND_LINKS is a folder");
    let mut programs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    programs.sort();
    for program in programs {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        if program.join("sources").is_dir() && only.as_ref().is_none_or(|only| *only == *name) {
            chain(&program, count);
        }
    }
}
