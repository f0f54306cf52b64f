//! Programs made and edited through the library (`wasmend::Module`): what an edit writes, what it may cost, what is
//! refused, and what can be known of the file. Run by `cargo test --test api`.

#[cfg(all(feature = "toolchain-tests", feature = "debug"))]
mod browser;
#[cfg(all(feature = "toolchain-tests", feature = "debug"))]
mod debug_info;
#[cfg(feature = "engine")]
mod distances;
mod exports;
mod growth;
mod ids;
mod instructions;
mod kept;
mod map;
mod nothing;
mod owners;
mod patch_cost;
mod patches;
mod pieces;
mod reading;
mod refused;
mod reserved;
#[cfg(feature = "engine")]
mod segments;
mod signatures;
mod speculative;
mod travel;
mod types;
mod validated;
mod verify;
#[cfg(feature = "engine")]
mod wide;

#[path = "../support/mod.rs"]
mod support;
