//! What can be said of an output from the file alone: whether it is equal to a build, and what it is without all that
//! patching needs.

mod finish;
mod side;
mod verify;

pub use finish::finish;
pub use verify::{Difference, Report, verify};

#[cfg(test)]
mod tests;
