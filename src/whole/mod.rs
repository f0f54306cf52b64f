//! Whole modules: any valid module becomes declarations, successive builds of it become edits. Knows nothing of other
//! front ends.

pub(crate) mod customs;
pub(crate) mod decode;
pub(crate) mod dense;
pub(crate) mod emit;
pub(crate) mod types;
#[cfg(test)]
mod tests;
