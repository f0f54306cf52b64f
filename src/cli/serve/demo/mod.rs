//! `wasmend serve --demo`: a page with sparks that fly by formulas, and the formulas to be edited while they do.
//!
//! It is a build like any other: a file of text that is watched, a compiler (`program`, `formula`) that follows it through the
//! library, pages that are brought up to date. The page's editor saves the file, as any other editor may.

mod formula;
mod program;

use std::path::{Path, PathBuf};

use wasmend::{Error, ErrorKind, Outcome, Patch};

use crate::cli::args::{Serving, Waiting};
use crate::cli::report::{Counts, Reporter};
use crate::cli::serve::server::Server;
use crate::cli::signals::Scratch;
use crate::cli::watch::{self, Complaint, FileName, Followed, Haste, Refusal, Subject};
use crate::stopwatch::Stopwatch;
use program::{Failed, Program};

/// Serves the demo until it is told to end.
pub(crate) fn run(serving: &Serving, waiting: Waiting, reporter: Reporter) -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let source = scratch.path().join("motion.txt");
    let output = scratch.path().join("motion.wasm");
    for (file, text) in [
        (&source, include_str!("motion.txt")),
        (
            &scratch.path().join("index.html"),
            include_str!("page.html"),
        ),
    ] {
        std::fs::write(file, text).map_err(|error| Error::io("cannot be written", file, &error))?;
    }
    let serving = Serving {
        root: Some(scratch.path().to_path_buf()),
        ..serving.clone()
    };
    let server = Server::start(&serving, &output, &output, Some(&source), reporter)?;
    let mut demo = Demo {
        source,
        output,
        program: None,
        versions: 0,
        reporter,
    };
    watch::run_subject(&mut demo, waiting, &mut &*server.site, reporter)
}

/// The demo's program, which follows a text.
struct Demo {
    source: PathBuf,
    output: PathBuf,
    program: Option<Program>,
    versions: u64,
    reporter: Reporter,
}

impl Subject for Demo {
    fn describe(&self) -> String {
        self.source.display().to_string()
    }

    fn build(&self) -> &Path {
        &self.source
    }

    fn output(&self) -> &Path {
        &self.output
    }

    fn files(&mut self, _: &[PathBuf]) -> Vec<Followed> {
        vec![Followed {
            name: FileName::new(&self.source),
            is_required: true,
        }]
    }

    fn update(&mut self, _: &[PathBuf]) -> Result<Patch, Refusal> {
        let stopwatch = Stopwatch::start();
        let text = std::fs::read_to_string(&self.source).map_err(|error| {
            let error = Error::io("cannot be read", &self.source, &error);
            Refusal::Later(Complaint::of(error))
        })?;
        let program = match &mut self.program {
            Some(program) => program,
            None => {
                let program = Program::create(&self.output);
                let program = program.map_err(|error| Refusal::Later(Complaint::of(error)))?;
                self.program.insert(program)
            }
        };
        match program.update(&text) {
            Ok(patch) => {
                self.report(stopwatch, &patch)?;
                Ok(patch)
            }
            Err(Failed::Text(fault)) => {
                let error = Error::new(ErrorKind::BadInput, fault.to_string());
                // Whoever types sees it in the page; a line for each key would be of no use here.
                let complaint = Complaint::new(error, |_| Ok(()));
                Err(Refusal::Useless(complaint, Haste::Now))
            }
            Err(Failed::Commit(error)) => Err(Refusal::Later(Complaint::of(error))),
        }
    }

    fn forget(&mut self) {
        self.program = None;
    }

    fn versions(&self) -> u64 {
        self.versions
    }
}

impl Demo {
    fn report(&mut self, mut stopwatch: Stopwatch, patch: &Patch) -> anyhow::Result<()> {
        if matches!(patch.outcome, Outcome::Unchanged) {
            return Ok(());
        }
        self.versions += 1;
        let counts = Counts {
            changed: patch.changed.into(),
            added: 0,
            removed: 0,
        };
        let took = stopwatch.lap();
        self.reporter
            .update(&self.output, &self.source, counts, patch, took)
    }
}
