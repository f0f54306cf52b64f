//! What came of going on where another process ended.

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
