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
    pub phases: Vec<(&'static str, Duration)>,
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
        let dirty = program.dirty.par_iter().with_min_len(4096);
        dirty.map(edit).reduce(Edits::default, sum)
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
    pub(super) phases: Vec<(&'static str, Duration)>,
}

impl PhaseTimes {
    pub(super) fn start() -> PhaseTimes {
        PhaseTimes {
            stopwatch: Stopwatch::start(),
            phases: Vec::new(),
        }
    }

    /// Ends a phase; the next one begins.
    pub(super) fn lap(&mut self, name: &'static str) {
        self.phases.push((name, self.stopwatch.lap()));
    }
}
