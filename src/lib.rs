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
//! # In a compiler
//!
//! [`guide`] has a page for each question: watch mode, memory, options, errors.
//!
//! A compiler in watch mode keeps a [`Module`]. It declares what the program has once, under keys that stay the same from build
//! to build (a mangled name, say), and on each change of a source file defines what it compiled anew. [`FunctionBuilder`]s can be
//! used on many threads: they need the module's [`BodyStyle`] and [`DeclId`]s, nothing else. A commit that fails has changed
//! nothing, in memory or on disk; its edits stay pending, to be mended or dropped ([`Module::discard`]). What debuggers
//! are to know of a function goes along with it as [`DebugInfo`], and becomes DWARF and source maps; whoever writes debug information
//! himself gives it as [`Piece`]s of custom sections, whose fields follow the code they name.
//!
//! # Behind any compiler
//!
//! [`WholeModule`] takes each build of a whole module, finds out which functions and data differ, and patches its output.
//!
//! # As a linker
//!
//! [`link::Linked`] takes wasm-ld's command line, and recompiled objects from then on. [`link`] has an example.
//!
//! # In a language server, or a server for development
//!
//! [`Module::in_memory`] and [`link::Target::Memory`] publish in memory: [`Module::bytes`] is what to send to a page. The
//! [`Patch`] of each commit says which bytes of that have changed, and why, so that a listener can be sent these alone. The
//! example `brook` (`examples/brook`) is a small language with a language server that shows values while one types: each
//! edit is a commit in memory, which a program that runs takes in as it is said below.
//!
//! What is being typed can be tried on a [clone](Module::try_clone), and the edit of one declaration taken back
//! ([`Module::revert`]). Threads that compile at once find ids for the strings and closures that they come across with
//! [`Module::reservations`].
//!
//! # Elsewhere
//!
//! An [`Envelope`] is a commit as bytes, with the version that it is for: a build server or an editor sends it to wherever there is a copy
//! of the output, and a [`Replica`] that takes in all of them stays equal, byte by byte. Deltas for what runs travel along.
//!
//! # Patching what runs
//!
//! With [`ModuleOptions::live`] each commit also gives a [`Delta`], a small module that brings an instance which runs to the
//! new version and keeps its state, or says why that cannot be ([`RefusalReason`]). [`live`] takes them in, in engines for
//! Rust; hosts in other languages are told how in `design/live.md`. [`Module::describe`] gives it debug information.
//!
//! # Looking at files
//!
//! [`inspect`] shows what every byte of a patchable file is for, compares it with a build, and makes it dense for release.
//! [`output`] is how and where files are published.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `cli`, on by default | the command `wasmend`, with `link`, `whole` and `engine` |
//! | `link` | the linker, with `debug` |
//! | `whole` | [`WholeModule`]; [`inspect::verify`] and [`inspect::finish`] |
//! | `debug` | debug information: [`DebugInfo`], [`inspect::source_map`], that of deltas ([`Module::describe`]) |
//! | `engine` | an interpreter for modules |
//! | `wasmi`, on by default, and `wasmtime` | hosts for programs that are patched while they run |
//! | `server` | a host hears what a `wasmend serve` publishes |
//!
//! A compiler needs none of them but `debug`, if it is to be debugged, and then the library is small:
//!
//! ```toml
//! wasmend = { version = "0.1", default-features = false }
//! ```
//!
//! [`Instruction`] and what stands in instructions are [`wasm_encoder`]'s, whose version is therefore a part of this interface.

#![deny(missing_docs)]
#![deny(unsafe_code)]
// Without all of these, some of what they share is used by nobody.
#![cfg_attr(
    not(all(feature = "link", feature = "whole", feature = "debug")),
    allow(dead_code, unused_imports)
)]

mod delta;
#[cfg(feature = "engine")]
pub mod engine;
mod envelope;
mod error;
#[cfg(any(doc, doctest))]
pub mod guide;
mod halves;
mod hash;
pub mod heap;
pub mod inspect;
#[cfg(feature = "link")]
#[doc(hidden)]
pub mod internals;
pub mod kept;
mod layout;
#[cfg(feature = "link")]
pub mod link;
pub mod live;
pub mod module;
#[cfg(feature = "link")]
mod object;
#[allow(unsafe_code)]
pub mod output;
mod parallel;
mod patch;
mod program;
mod stopwatch;
mod transaction;
#[cfg(feature = "whole")]
mod whole;
mod wire;

pub use delta::{Delta, LiveStep, Refusal, RefusalReason};
pub use envelope::{Envelope, Replica};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "debug")]
pub use module::DebugInfo;
pub use module::{
    BodyStyle, Catch, ConstExpr, Data, DeclId, Declaration, Elements, FieldType, Function,
    FunctionBuilder, HeapType, ImportType, KeptModule, MemoryType, Module, ModuleOptions, Moved,
    Name, Outcome, Patch, PendingEdit, Phases, Piece, Position, Redirect, RefType, Relocation,
    Reservations, StorageType, TableType, TypeDef, TypeId, Types, ValType,
};
pub use patch::{BuildIdentity, Range, RangeList, Reason, RelinkReason};
pub use program::{Bytes, DeclKind, RelocKind, SectionId};
pub use wasm_encoder;
pub use wasm_encoder::{
    AbstractHeapType, BlockType, Handle, Ieee32, Ieee64, Instruction, MemArg, MemArgTarget,
    Ordering,
};
#[cfg(feature = "whole")]
pub use whole::{KeptWhole, OneShot, Update, WholeModule, WholeOptions};
pub use wire::gap::GapFiller;
pub use wire::source::Source;

/// The examples of the README, compiled and run with the tests.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;
