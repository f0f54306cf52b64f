//! What a commit reports about its own publishing: a plain value.

use std::time::Duration;

/// By which way a patch was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// The shadow was brought up to date and took the visible file's place.
    Exchanged,
    /// There was no shadow, or a reader still had it open: the current version was copied first.
    FreshCopy,
    /// The visible file itself was written.
    InPlace,
    /// The output is a buffer in memory.
    Memory,
    /// The patch was empty: nothing was done.
    Unchanged,
}

/// A published patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Bytes of the patch.
    pub bytes_written: u64,
    /// Bytes written besides, to bring the shadow up to the version before: those of the previous patch, or
    /// of the whole file for [`How::FreshCopy`].
    pub bytes_caught_up: u64,
    /// By which way.
    pub how: How,
    /// Where the time went.
    pub times: Times,
}

/// Where a commit's time went. A phase that did not occur took no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// Looking whether the visible file is still the published one.
    pub check: Duration,
    /// Getting at a shadow that nobody reads: opening and leasing it, waiting, copying; in place, the journal.
    pub prepare: Duration,
    /// Writing the ranges.
    pub write: Duration,
    /// Flushing, for [`Durability::Power`](super::Durability::Power).
    pub sync: Duration,
    /// Making it visible: exchanging the names; in place, ending the journal.
    pub publish: Duration,
}

impl Times {
    /// All phases together.
    pub fn total(&self) -> Duration {
        self.check + self.prepare + self.write + self.sync + self.publish
    }
}

impl Published {
    pub(super) fn new(how: How, bytes_written: u64) -> Self {
        Published {
            bytes_written,
            bytes_caught_up: 0,
            how,
            times: Times::default(),
        }
    }
}
