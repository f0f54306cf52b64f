//! The linker as a library. Run by `cargo test --test link`; with the feature `toolchain-tests`, which needs compilers,
//! also beside wasm-ld, with edits of real programs (`real::`) and of Rust programs (`rust::`), which take long.

#[cfg(feature = "engine")]
mod after_failure;
#[cfg(feature = "engine")]
mod allow_list;
#[cfg(feature = "engine")]
mod histories;
#[cfg(feature = "engine")]
mod import_table;
mod large;
mod malformed;
mod options;
mod resolve;
#[cfg(feature = "engine")]
mod retained;
#[cfg(feature = "engine")]
mod run;

#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod compare;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod conventions;
#[cfg(all(feature = "toolchain-tests", feature = "cli"))]
mod debug_strings;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod derived;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod edits;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod interface;
#[cfg(all(feature = "toolchain-tests", feature = "cli"))]
mod lld_suite;
#[cfg(all(feature = "toolchain-tests", feature = "cli"))]
mod random;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod real;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod renamed;
#[cfg(feature = "toolchain-tests")]
mod resolve_reference;
#[cfg(all(feature = "toolchain-tests", feature = "cli"))]
mod rust;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod same_tables;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod shared;
#[cfg(all(feature = "toolchain-tests", feature = "cli"))]
mod sizes;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod small_edits;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod tables;
#[cfg(all(feature = "toolchain-tests", feature = "cli"))]
mod threads;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod verified;

// What these have in common.
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod beside;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod lab;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod meaning;
mod mentions;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod program;
#[cfg(feature = "toolchain-tests")]
mod reference;
#[cfg(all(feature = "toolchain-tests", feature = "engine"))]
mod script;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "engine")]
mod updated;
