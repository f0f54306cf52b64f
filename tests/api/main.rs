//! Programs made and edited through the library (`wasmend::Module`): what an edit writes, what it may cost, what is
//! refused, and what can be known of the file. Run by `cargo test --test api`.

#[cfg(feature = "engine")]
mod distances;
mod exports;
mod ids;
mod map;
mod nothing;
mod owners;
mod patch_cost;
mod patches;
mod pieces;
mod reading;
mod refused;
mod reserved;
mod signatures;
mod speculative;
mod travel;
mod validated;
mod verify;

#[path = "../support/mod.rs"]
mod support;
