//! What a commit reports: what was published, what moved, how long each phase took.

use std::sync::Arc;
use std::time::Duration;

use crate::delta::LiveStep;
use crate::output::Published;
use crate::patch::{BuildIdentity, RangeList, RelinkReason};
use crate::stopwatch::Stopwatch;

/// What a commit did.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The version that was published.
    pub identity: BuildIdentity,
    /// The version before it, which it was made from; the same if nothing was published.
    pub base: BuildIdentity,
    /// Patched, relinked, or nothing to do.
    pub outcome: Outcome,
    /// Declarations that were defined, redefined or removed.
    pub changed: u32,
    /// What went to another place.
    pub moved: Moved,
    /// What it means for instances that run, if [`ModuleOptions::live`](crate::ModuleOptions::live) asks for that. Nothing for
    /// a first version, or if there was nothing to publish.
    pub live: Option<LiveStep>,
    /// Length of the file, in bytes.
    pub file_len: u64,
    /// How long each phase took.
    pub phases: Phases,
    /// By which way a patch was published.
    pub published: Option<Published>,
}

/// How a commit was published.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Nothing was pending.
    Unchanged,
    /// These ranges of the file were written.
    Patched(Arc<RangeList>),
    /// The whole file was written, for this reason.
    Relinked(RelinkReason),
}

impl Outcome {
    /// Why the output was rebuilt, if it was.
    pub(super) fn relink_reason(&self) -> Option<RelinkReason> {
        match self {
            Outcome::Relinked(reason) => Some(*reason),
            _ => None,
        }
    }
}

/// What went to another place in a patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Functions whose code was replaced in its place.
    pub bodies_in_place: u32,
    /// Functions whose code went to another place.
    pub bodies_moved: u32,
    /// References rewritten in declarations that did not change.
    pub references: u32,
}

/// How long the phases of a commit took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Phases {
    /// Checking that the edits make sense together.
    pub check: Duration,
    /// Placing what is dirty and following references to what moved.
    pub plan: Duration,
    /// Encoding the bytes to be written.
    pub encode: Duration,
    /// Writing and publishing the file.
    pub publish: Duration,
    /// Making what instances that run take in.
    pub delta: Duration,
    /// Making the edits current.
    pub finish: Duration,
}

impl Phases {
    /// All phases together.
    pub fn total(&self) -> Duration {
        self.check + self.plan + self.encode + self.publish + self.delta + self.finish
    }
}

impl Patch {
    /// The ranges that were written, if the commit was a patch.
    pub fn ranges(&self) -> Option<&RangeList> {
        match &self.outcome {
            Outcome::Patched(ranges) => Some(ranges),
            _ => None,
        }
    }

    /// How many bytes were written: those of the ranges, or the whole file.
    pub fn bytes_written(&self) -> u64 {
        match &self.outcome {
            Outcome::Unchanged => 0,
            Outcome::Patched(ranges) => ranges.bytes(),
            Outcome::Relinked(_) => self.file_len,
        }
    }

    /// Why the output was rebuilt, if it was.
    pub fn relink_reason(&self) -> Option<RelinkReason> {
        self.outcome.relink_reason()
    }
}

/// Measures the phases of a commit, one after the other.
pub(super) struct PhaseClock {
    stopwatch: Stopwatch,
    pub(super) phases: Phases,
}

impl PhaseClock {
    pub(super) fn start() -> PhaseClock {
        PhaseClock {
            stopwatch: Stopwatch::start(),
            phases: Phases::default(),
        }
    }

    /// Adds the time since the phase before to one.
    pub(super) fn ends(&mut self, phase: impl FnOnce(&mut Phases) -> &mut Duration) {
        *phase(&mut self.phases) += self.stopwatch.lap();
    }
}
