//! The specification's own tests, run over what wasmend makes of their modules:
//!
//! ```sh
//! git clone https://github.com/WebAssembly/testsuite
//! cargo test --test testsuite -- testsuite
//! ```
//!
//! Each module of a file becomes an output with calls through a table and one with direct calls, each of these a dense file,
//! and a patch of the module before it in the file. What each assertion says must be the same for all of them. Modules that
//! the built-in interpreter cannot run are only proved equal. Without a folder there is nothing to do.

mod outputs;
mod session;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective, WastExecute};

use outputs::{Outputs, VARIANTS};
use session::Session;

/// What was counted.
#[derive(Default)]
struct Counts {
    files: usize,
    unread: Vec<String>,
    modules: usize,
    refused: Vec<String>,
    unequal: Vec<String>,
    /// Assertions of modules that ran, for one kind of output.
    assertions: usize,
    /// Assertions about modules that the interpreter cannot run.
    not_run: usize,
    differing: Vec<String>,
    /// Updates of an output to the next module of its file, and how many of them were patches.
    updates: usize,
    patches: usize,
}

fn main() -> ExitCode {
    // A test runner may add options.
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let Some(folder) = folder else {
        println!("no folder given: the specification's tests are not run");
        return ExitCode::SUCCESS;
    };
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files);
    files.sort();
    let mut counts = Counts::default();
    for file in &files {
        run_file(file, &mut counts);
    }
    println!(
        "{} files, {} of them not read; {} modules, {} refused; {} updates, {} of them patches",
        counts.files,
        counts.unread.len(),
        counts.modules,
        counts.refused.len(),
        counts.updates,
        counts.patches
    );
    println!(
        "{} outputs of each module: {} not proved equal; {} assertions run over each, {} not run; {} differ",
        VARIANTS.len(),
        counts.unequal.len(),
        counts.assertions,
        counts.not_run,
        counts.differing.len()
    );
    for (what, list) in [
        ("not read", &counts.unread),
        ("refused", &counts.refused),
        ("not equal", &counts.unequal),
        ("differs", &counts.differing),
    ] {
        list.iter()
            .take(40)
            .for_each(|line| println!("{what}: {line}"));
    }
    let bad =
        !(counts.refused.is_empty() && counts.unequal.is_empty() && counts.differing.is_empty());
    ExitCode::from(u8::from(bad || counts.files == 0))
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

fn run_file(file: &Path, counts: &mut Counts) {
    counts.files += 1;
    let Ok(text) = std::fs::read_to_string(file) else {
        return counts.unread.push(format!("{}", file.display()));
    };
    let mut lexer = wast::lexer::Lexer::new(&text);
    // The names of some tests are meant to confuse readers.
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer);
    let buffer = match &buffer {
        Ok(buffer) => buffer,
        Err(error) => return counts.unread.push(format!("{}: {error}", file.display())),
    };
    match parser::parse::<Wast<'_>>(buffer) {
        Ok(wast) => Run::new(file, &text, counts).all(wast.directives),
        Err(error) => counts.unread.push(format!("{}: {error}", file.display())),
    }
}

/// A file's directives, each done with the modules as they are and with every kind of output, side by side.
struct Run<'a> {
    file: &'a Path,
    text: &'a str,
    counts: &'a mut Counts,
    outputs: Outputs,
    original: Session,
    variants: Vec<Session>,
}

impl<'a> Run<'a> {
    fn new(file: &'a Path, text: &'a str, counts: &'a mut Counts) -> Self {
        Run {
            file,
            text,
            counts,
            outputs: Outputs::default(),
            original: Session::new(),
            variants: VARIANTS.iter().map(|_| Session::new()).collect(),
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
                        session.define(name.clone(), bytes);
                        "defined".to_owned()
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
        match self.outputs.of(&bytes) {
            Ok(outputs) => {
                for (output, variant) in outputs.iter().zip(VARIANTS) {
                    if let Some(difference) = outputs::difference(output, &bytes) {
                        self.counts
                            .unequal
                            .push(format!("{place}, {variant}: {difference}"));
                    }
                }
                let mut all = vec![bytes];
                all.extend(outputs);
                Some(all)
            }
            Err(error) => {
                self.counts.refused.push(format!("{place}: {error}"));
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
        for (at, session) in self.variants.iter_mut().enumerate() {
            let got = act(session, module(at + 1));
            if got != expected {
                let differing = format!("{place}, {}: {got}, not {expected}", VARIANTS[at]);
                self.counts.differing.push(differing);
            }
        }
    }
}
