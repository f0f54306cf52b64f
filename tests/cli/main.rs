//! The command `wasmend` as a user or a compiler driver runs it. Run by `cargo test --test cli`; `setups` needs compilers
//! and the feature `toolchain-tests`.

mod applied;
mod builds;
mod command;
mod daemon;
mod doctor;
mod inputs;
#[cfg(feature = "crash-tests")]
mod killed;
mod link;
mod one_shots;
mod outputs;
#[cfg(feature = "toolchain-tests")]
mod real_builds;
mod serving;
#[cfg(feature = "toolchain-tests")]
mod setups;
mod soak;
#[cfg(feature = "crash-tests")]
mod starved;
mod state;
mod state_damage;
mod state_inputs;
mod surroundings;
mod watch_builds;
mod watch_links;
mod watch_state;
mod watching;

#[path = "../support/mod.rs"]
mod support;
