//! Whole modules of other compilers: patched from build to build, bad ones, and the checked-in ones that all this is
//! tried on. Run by `cargo test --test whole`.

mod bad;
mod builds;
mod interface;
#[cfg(feature = "engine")]
mod modules;
mod sections;

#[path = "../support/mod.rs"]
mod support;
