//! The readers of objects and archives. Run by `cargo test --test object`. (`malformed.rs` is a program of its own,
//! `--test object_malformed`, since it counts what the whole process allocates.)

mod readers;
mod tables;

#[path = "../support/mod.rs"]
mod support;
