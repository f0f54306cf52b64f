//! The command `wasmend` as a user or a compiler driver runs it. Run by `cargo test --test cli`; `setups` needs compilers
//! and the feature `toolchain-tests`.

mod applied;
mod builds;
mod command;
mod inputs;
mod link;
mod outputs;
mod serving;
#[cfg(feature = "toolchain-tests")]
mod setups;
#[cfg(feature = "crash-tests")]
mod starved;
mod state;
mod surroundings;
mod watch_builds;
mod watch_links;
mod watching;

#[path = "../support/mod.rs"]
mod support;
