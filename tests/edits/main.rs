//! Edit scripts, by hand and at random, with everything checked after each commit. Run by `cargo test --test edits`;
//! `cargo test --test edits random` with `WASMEND_EDITS=10000` makes more of the random ones.

mod cases;
mod harness;
mod random;

#[path = "../support/threads.rs"]
mod threads;
