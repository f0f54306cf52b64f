//! Programs that are patched while they run, in wasmi. Run by `cargo test --features wasmi --test live`.

#[cfg(feature = "toolchain-tests")]
mod debug;
mod faults;
#[cfg(feature = "toolchain-tests")]
mod links;
mod pieces;
mod policy;
mod program;
mod random;
mod slice;
mod whole;

#[path = "../edits/harness/mod.rs"]
mod harness;

#[cfg(feature = "toolchain-tests")]
#[path = "../support/mod.rs"]
mod support;
