//! Programs that are patched while they run, in wasmi and, with the feature `wasmtime`, in wasmtime. Run by `cargo test --test
//! live`; with the feature `toolchain-tests`, which needs compilers, also real programs in C and C++.

#[cfg(feature = "toolchain-tests")]
mod archives;
#[cfg(feature = "toolchain-tests")]
mod debug;
mod faults;
mod hosts;
#[cfg(feature = "toolchain-tests")]
mod links;
mod pieces;
mod policy;
mod program;
mod random;
#[cfg(feature = "toolchain-tests")]
mod real;
mod record;
#[cfg(all(feature = "server", feature = "cli"))]
mod server;
#[cfg(feature = "toolchain-tests")]
mod session;
mod slice;
mod whole;

#[path = "../edits/harness/mod.rs"]
mod harness;

#[path = "../support/mod.rs"]
mod support;
