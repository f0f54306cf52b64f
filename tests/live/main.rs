//! Programs that are patched while they run, in wasmi. Run by `cargo test --features wasmi --test live`.

#[cfg(feature = "toolchain-tests")]
mod archives;
mod faults;
mod hosts;
#[cfg(feature = "toolchain-tests")]
mod links;
mod policy;
mod program;
mod random;
#[cfg(feature = "toolchain-tests")]
mod real;
#[cfg(feature = "toolchain-tests")]
mod session;
mod slice;
mod whole;

#[path = "../edits/harness/mod.rs"]
mod harness;

#[cfg(feature = "toolchain-tests")]
#[path = "../support/mod.rs"]
mod support;
