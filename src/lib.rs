//! wasmend rewrites WebAssembly modules in place: only the bytes that an edit touches.
//!
//! A [`Module`] is bound to a file. Declare what the program has, under stable keys; define functions, data, globals and the
//! rest; [`commit`](Module::commit) publishes all edits since the last one as a [`Patch`] of the file. Bodies are written
//! with a [`FunctionBuilder`], which needs no access to the module and names declarations instead of indices.
//!
//! ```
//! use wasmend::{DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, Outcome, ValType};
//!
//! # fn main() -> wasmend::Result<()> {
//! let mut module = Module::in_memory(ModuleOptions::default())?;
//! let answer = module.declare(DeclKind::Function, "answer")?;
//! for number in [41, 42] {
//!     let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
//!     body.op(&Instruction::I32Const(number));
//!     module.define_function(answer, body.finish()?)?;
//!     if number == 41 {
//!         module.export("answer", answer)?;
//!     }
//!     let patch = module.commit()?;
//!     match patch.outcome {
//!         Outcome::Patched(ranges) => {
//!             for (range, bytes) in ranges.iter() {
//!                 println!("{:#x}: {} bytes, {}", range.offset, bytes.len(), range.reason);
//!             }
//!         }
//!         Outcome::Relinked(reason) => println!("the whole file, {} bytes: {reason}", patch.file_len),
//!         Outcome::Unchanged => println!("nothing"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`module`] is the compiler API, [`whole`] turns builds of whole modules into patches, [`inspect`] shows what is in a file, [`output`] publishes it. The feature `cli` (on by
//! default) adds the `wasmend` command, and `engine` an interpreter for modules; without them the library is small.

#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(feature = "engine")]
pub mod engine;
pub mod error;
pub mod inspect;
mod layout;
pub mod link;
pub mod module;
pub mod object;
#[allow(unsafe_code)]
pub mod output;
pub mod patch;
pub mod program;
mod stopwatch;
mod transaction;
pub mod whole;
mod wire;

pub use error::{Error, ErrorKind, Result};
pub use module::{
    BodyStyle, ConstExpr, Data, Function, FunctionBuilder, ImportType, MemoryType, Module,
    ModuleOptions, Moved, Outcome, Patch, Phases, Piece, Redirect, TableType, Types,
};
pub use patch::{BuildIdentity, Range, RangeList, Reason, RelinkReason};
pub use program::{Bytes, DeclId, DeclKind, RelocKind, Relocation, SectionId, TypeId, ValType};
pub use wasm_encoder::Instruction;
pub use whole::{Update, WholeModule, WholeOptions};

/// The examples of the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
