//! Programs that are patched while they run, in wasmi. Run by `cargo test --features wasmi --test live`.

mod program;
mod random;
mod slice;

#[path = "../edits/harness/mod.rs"]
mod harness;
