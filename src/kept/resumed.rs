//! What came of going on where another process ended, and what keeps one from it.

use super::reason::NoState;

/// What came of going on where another process ended; `R` is the report of an update.
#[derive(Debug)]
pub enum Resumed<R> {
    /// Nothing has changed: the output is what it has to be.
    Unchanged,
    /// The output was brought up to date.
    Updated {
        /// What was published.
        report: Box<R>,
        /// How many bytes of the state were written for the next process; if it could not be, why.
        saved: Result<u64, String>,
    },
    /// All has to be made anew.
    No(NoState),
    /// All has to be made anew, at best by another process: this one has found out too late.
    Unusable(String),
}

/// What ends an attempt to go on: there is nothing to go on with, or it failed as it would have from nothing.
pub(crate) enum Stop<E> {
    No(NoState),
    Failed(E),
}

impl<E> Stop<E> {
    /// What came of an attempt that may have been ended.
    pub(crate) fn ended<R>(tried: Result<Resumed<R>, Stop<E>>) -> Result<Resumed<R>, E> {
        match tried {
            Ok(resumed) => Ok(resumed),
            Err(Stop::No(reason)) => Ok(Resumed::No(reason)),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

impl<E> From<NoState> for Stop<E> {
    fn from(reason: NoState) -> Stop<E> {
        Stop::No(reason)
    }
}
