//! Whole modules: any valid module becomes declarations, successive builds of it become edits. Knows nothing of other
//! front ends.

mod customs;
pub(crate) mod decode;
pub(crate) mod dense;
mod matching;
mod print;
mod session;
pub(crate) mod spaces;
mod types;

pub use session::{Update, WholeModule, WholeOptions};

#[cfg(test)]
mod tests;
