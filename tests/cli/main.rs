//! The command `wasmend` as a user or a compiler driver runs it. Run by `cargo test --test cli`; `setups` needs compilers
//! and the feature `toolchain-tests`.

mod builds;
mod command;
mod link;
#[cfg(feature = "toolchain-tests")]
mod setups;

#[path = "../support/mod.rs"]
mod support;
