//! What the tests share. Each folder of tests is one program, and takes this in with `#[path = "../support/mod.rs"]`.
//!
//! | file | what it has |
//! |---|---|
//! | `families.rs`, `observe.rs` | the modules in `tests/modules`, and what can be observed of them when they run |
//! | `objects.rs` | the objects in `tests/objects`, objects that are put together, command lines of links |
//! | `programs.rs` | parts of small programs that are made through the library |
//! | `listing.rs` | patches as text, for snapshots |
//! | `smith.rs` | numbers and modules that look random and are the same each time |
//! | `example.rs` | the programs of examples |
//! | `threads.rs` | work of one test that threads share |
//! | `command.rs` | the command `wasmend` and what it says |
//! | `wasi.rs` | a host for programs that expect WASI |
//! | `toolchain.rs` | clang, wasm-ld, wasi-libc, sources of real programs |

// Each program takes from here what it needs.
#![allow(dead_code)]

#[cfg(feature = "cli")]
pub mod command;
pub mod example;
pub mod families;
pub mod listing;
pub mod objects;
#[cfg(feature = "engine")]
pub mod observe;
pub mod programs;
pub mod smith;
pub mod threads;
#[cfg(feature = "toolchain-tests")]
pub mod toolchain;
#[cfg(feature = "engine")]
pub mod wasi;

/// Validates a module with every feature on.
pub fn validate(wasm: &[u8]) -> Result<(), String> {
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    validator
        .validate_all(wasm)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Runs an assertion of insta's with snapshots in the folder `snapshots`, under the names that they are given.
pub fn with_snapshots(assertion: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(assertion);
}

/// Compares a text with the file of this name in the folder `snapshots`.
#[allow(unused_macros)]
macro_rules! snapshot {
    ($name:expr, $text:expr) => {
        $crate::support::with_snapshots(|| insta::assert_snapshot!($name, $text))
    };
}

#[allow(unused_imports)]
pub(crate) use snapshot;
