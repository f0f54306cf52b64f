//! The checked-in modules of `tests/modules`, by family, and how they are run.
//!
//! `tests/modules/README.md` says how the modules are made and what changes from one version to the next. Nothing here
//! knows what wasmend does to a module: a test hands bytes in and compares what it observes.

use std::path::PathBuf;

/// How a family's modules are run.
pub enum Kind {
    /// A WASI command, with its arguments and the file beside the modules that is its standard input.
    Command {
        args: &'static [&'static str],
        stdin: Option<&'static str>,
    },
    /// A module whose exported functions are called, in order, with these arguments. A version that lacks one, or has
    /// it with another signature, says so in its observation.
    Calls(&'static [Call]),
    /// Uses what the built-in interpreter does not support: it can only be validated.
    Unrunnable,
}

/// An exported function and its arguments.
pub type Call = (&'static str, &'static [Argument]);

/// An argument of a [`Call`].
#[derive(Clone, Copy)]
pub enum Argument {
    I32(i32),
    I64(i64),
    F64(f64),
    Null,
}

use Argument::{F64, I32, I64, Null};

/// Successive versions of one module.
pub struct Family {
    /// The folder in `tests/modules`.
    pub name: &'static str,
    /// File names, oldest first; `.wat` sources are assembled.
    pub files: &'static [&'static str],
    /// How to run them.
    pub kind: Kind,
}

const COMPILED: &[&str] = &["v1.wasm", "v2.wasm", "v3.wasm"];
const WRITTEN: &[&str] = &["a.wat", "b.wat"];

/// Every family in `tests/modules`.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "c-calc",
        files: COMPILED,
        kind: Kind::Command {
            args: &["calc", "Ada"],
            stdin: Some("c-calc/stdin.txt"),
        },
    },
    Family {
        name: "c-calc-bare",
        files: COMPILED,
        kind: Kind::Command {
            args: &["calc", "Ada"],
            stdin: Some("c-calc/stdin.txt"),
        },
    },
    Family {
        name: "c-json",
        files: COMPILED,
        kind: Kind::Command {
            args: &["json"],
            stdin: None,
        },
    },
    Family {
        name: "c-sort",
        files: COMPILED,
        kind: Kind::Command {
            args: &["sort"],
            stdin: None,
        },
    },
    Family {
        name: "rust-shapes",
        files: COMPILED,
        kind: Kind::Command {
            args: &["shapes", "cm2"],
            stdin: None,
        },
    },
    Family {
        name: "rust-words",
        files: COMPILED,
        kind: Kind::Command {
            args: &["words"],
            stdin: Some("rust-words/stdin.txt"),
        },
    },
    Family {
        name: "as-matrix",
        files: COMPILED,
        kind: Kind::Calls(&[
            ("trace", &[I32(3), I32(1)]),
            ("trace", &[I32(3), I32(1), F64(0.5)]),
            ("power", &[I32(4), I32(5)]),
            ("weigh", &[I32(5)]),
            ("weigh", &[I32(-3)]),
            ("count", &[]),
        ]),
    },
    Family {
        name: "as-text",
        files: COMPILED,
        kind: Kind::Calls(&[
            ("distinct", &[]),
            ("longest", &[]),
            ("greet", &[I32(1)]),
            ("greet", &[I32(5)]),
            ("greet", &[I32(-1)]),
            ("sorted", &[I32(50)]),
            ("average", &[I32(10)]),
            ("called", &[]),
        ]),
    },
    Family {
        name: "wat-memory",
        files: WRITTEN,
        kind: Kind::Calls(&[
            ("stamp", &[I32(2)]),
            ("stamp", &[I32(1)]),
            ("vector", &[]),
            ("across", &[]),
            ("wide", &[I64(1000)]),
            ("shuffle", &[I64(0x8877_6655_4433_2211_u64.cast_signed())]),
            ("limit", &[]),
            ("forget", &[]),
            ("stamp", &[I32(1)]),
        ]),
    },
    Family {
        name: "wat-tables",
        files: WRITTEN,
        kind: Kind::Calls(&[
            ("apply", &[I32(0), I32(21)]),
            ("apply", &[I32(1), I32(5)]),
            ("apply", &[I32(2), I32(5)]),
            ("apply", &[I32(5), I32(5)]),
            ("apply", &[I32(99), I32(5)]),
            ("is_even", &[I32(10_001)]),
            ("sum", &[I32(50_000)]),
            ("grow", &[I32(3)]),
            ("apply", &[I32(5), I32(5)]),
            ("copy", &[]),
            ("keep", &[Null]),
            ("divide", &[I32(-37)]),
            ("report", &[I32(3)]),
            ("reset", &[]),
            ("started", &[]),
        ]),
    },
    Family {
        name: "wat-gc",
        files: WRITTEN,
        kind: Kind::Unrunnable,
    },
    Family {
        name: "wat-threads",
        files: WRITTEN,
        kind: Kind::Unrunnable,
    },
];

impl Family {
    /// The family called `name`.
    pub fn get(name: &str) -> &'static Family {
        FAMILIES
            .iter()
            .find(|family| family.name == name)
            .expect("a family of tests/modules")
    }

    /// Whether the built-in interpreter can run it.
    pub fn runs(&self) -> bool {
        !matches!(self.kind, Kind::Unrunnable)
    }

    /// The module of one version, as binary.
    pub fn wasm(&self, file: &str) -> Vec<u8> {
        let path = modules().join(self.name).join(file);
        wat::parse_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> Vec<Vec<u8>> {
        self.files.iter().map(|file| self.wasm(file)).collect()
    }
}

/// The folder of the checked-in modules.
pub fn modules() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/modules"))
}
