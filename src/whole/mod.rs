//! Whole modules: any valid module becomes declarations, successive builds of it become edits, in one process or in many.
//! Knows nothing of other front ends.

mod customs;
pub(crate) mod decode;
pub(crate) mod dense;
mod going;
mod kept;
mod matching;
mod print;
mod session;
pub(crate) mod spaces;
mod types;

pub use going::KeptWhole;
pub use kept::OneShot;
pub use session::{Update, WholeModule, WholeOptions};

#[cfg(test)]
mod tests;
