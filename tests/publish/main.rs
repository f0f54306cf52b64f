//! How versions of a file are published: `wasmend::output` on bytes that mean nothing. Run by `cargo test --test publish`.
//! What it does when it is killed or a system call fails is in `tests/crash`.

mod checks;
mod places;
mod promises;
mod readers;
