//! What a link says of itself: what was published, how much was linked, how long each phase took, why it failed.

use std::fmt;
use std::time::Duration;

use rayon::prelude::*;

use crate::error::Error;
use crate::link::declare::Plan;
use crate::link::diagnostics::Diagnostics;
use crate::link::update::fallback::FallbackReason;
use crate::module::{Module, Patch};
use crate::object::Object;
use crate::parallel::{self, SharedWork, region, task};
use crate::program::{DeclId, DeclKind, Pending};
use crate::stopwatch::Stopwatch;

/// Why a link failed: errors, of which there is at least one, and warnings.
#[derive(Debug)]
pub struct Failed(pub Box<Diagnostics>);

impl Failed {
    /// What went wrong, at least one.
    pub fn errors(&self) -> &[Error] {
        &self.0.errors
    }

    /// What the user should know besides.
    pub fn warnings(&self) -> &[Error] {
        &self.0.warnings
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.errors.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failed {}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::from(vec![error])
    }
}

impl From<Vec<Error>> for Failed {
    fn from(errors: Vec<Error>) -> Failed {
        Failed::from(Diagnostics {
            errors,
            warnings: Vec::new(),
        })
    }
}

impl From<Diagnostics> for Failed {
    fn from(diagnostics: Diagnostics) -> Failed {
        Failed(Box::new(diagnostics))
    }
}

/// What came of a link.
#[derive(Debug)]
#[non_exhaustive]
pub struct LinkReport {
    /// What was published.
    pub patch: Patch,
    /// What the user should know.
    pub warnings: Vec<Error>,
    /// How much was linked.
    pub counts: Counts,
    /// Why all symbols had to be resolved anew, if they had; an update can mostly do without.
    pub resolved_anew: Option<FallbackReason>,
    /// Which functions differ from the version before.
    pub edits: Edits,
    /// How long each phase took, in order.
    pub phases: Vec<Phase>,
}

/// How long a phase of a link took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Phase {
    /// What it does.
    pub name: &'static str,
    /// From its beginning to its end.
    pub wall: Duration,
    /// What all threads of the process had of the processors.
    pub processor: Duration,
    /// What there was to share.
    work: SharedWork,
}

impl Phase {
    /// For how much of its time there was work for all threads, from 0 to 1; for the rest there was for one only.
    pub fn shared(&self) -> f64 {
        let (part, all) = match self.work.of_one() {
            Some(work) => (work, self.processor),
            None => (self.work.elapsed, self.wall),
        };
        part.as_secs_f64() / all.max(part).as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// How long so many cores would take at most, by what processors gave one thread that did all ([`use_threads`]); `None` if
    /// there were more. That memory and files are not faster for many cores than for one is not counted.
    ///
    /// [`use_threads`]: crate::link::use_threads
    pub fn on_cores(&self, cores: u32) -> Option<Duration> {
        let saved = self.work.saved_by(cores)?;
        Some(self.processor.saturating_sub(saved))
    }
}

/// How much was linked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Files that were opened.
    pub files: usize,
    /// Objects, members of archives among them.
    pub objects: usize,
    /// Symbols that objects share.
    pub symbols: usize,
    /// Relocations of the objects.
    pub relocations: usize,
    /// Functions of the objects that were linked.
    pub functions: usize,
}

impl Counts {
    /// What a plan consists of.
    pub(super) fn of(plan: &Plan) -> Counts {
        let objects = plan.resolution.objects().iter();
        let relocations = objects.map(|linked| relocations_of(&linked.object));
        Counts::with_relocations(plan, relocations.sum())
    }

    /// The same for an update, which is not to look at every object for it: so many relocations there are.
    pub(super) fn with_relocations(plan: &Plan, relocations: usize) -> Counts {
        let resolution = &plan.resolution;
        Counts {
            files: resolution.inputs.len(),
            objects: resolution.objects().len(),
            symbols: resolution.table.order().len(),
            relocations,
            functions: plan.live.functions.count(),
        }
    }
}

/// How many relocations an object has of code and data.
pub(super) fn relocations_of(object: &Object) -> usize {
    object.code_relocs.all().len() + object.data_relocs.all().len()
}

/// How many functions a version has that are not as they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edits {
    /// Those that were there before and are different now.
    pub changed: u32,
    /// Those that are new.
    pub added: u32,
    /// Those that are gone.
    pub removed: u32,
}

impl Edits {
    /// Counts what the next commit will do.
    pub(super) fn pending(module: &Module) -> Edits {
        let program = module.program();
        let edit = |id: &DeclId| {
            let mut edits = Edits::default();
            let decl = program.decl(*id);
            if decl.kind == DeclKind::Function && !decl.is_orphan {
                match (decl.pending(), decl.current().is_some()) {
                    (Pending::Define(_), true) => edits.changed = 1,
                    (Pending::Define(_), false) => edits.added = 1,
                    (Pending::Remove, true) => edits.removed = 1,
                    _ => {}
                }
            }
            edits
        };
        let sum = |a: Edits, b: Edits| Edits {
            changed: a.changed + b.changed,
            added: a.added + b.added,
            removed: a.removed + b.removed,
        };
        let count = |run: &[DeclId]| task(|| run.iter().map(edit).fold(Edits::default(), sum));
        let runs = program.dirty.par_chunks(4096);
        region(|| runs.map(count).reduce(Edits::default, sum))
    }
}

/// What a commit published, and which functions differ.
pub(super) struct PublishedPatch {
    pub(super) patch: Patch,
    pub(super) edits: Edits,
}

/// How long each phase took, in order.
pub(super) struct PhaseTimes {
    stopwatch: Stopwatch,
    processor: Duration,
    pub(super) phases: Vec<Phase>,
}

impl PhaseTimes {
    pub(super) fn start() -> PhaseTimes {
        // Whatever this thread did before is no part of it.
        parallel::take();
        PhaseTimes {
            stopwatch: Stopwatch::start(),
            processor: parallel::processor_time(),
            phases: Vec::new(),
        }
    }

    /// Ends a phase; the next one begins.
    pub(super) fn lap(&mut self, name: &'static str) {
        let processor = parallel::processor_time();
        let work = parallel::take();
        self.phases.push(Phase {
            name,
            wall: self.stopwatch.lap(),
            processor: processor.saturating_sub(self.processor),
            work,
        });
        self.processor = processor;
    }
}
