//! Programs that are patched while they run, in wasmi. Run by `cargo test --features wasmi --test live`.

mod program;
mod slice;
mod random;

#[path = "../edits/harness/mod.rs"]
mod harness;
