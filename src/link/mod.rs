//! Linking: objects and archives in, declarations out, by the rules of wasm-ld.
//!
//! [`LinkOptions::parse`] reads a command line, [`Linked::link`] links what it says, [`Linked::update`] brings the output up to
//! date with files that have changed.
//!
//! ```
//! use wasmend::link::{Access, LinkOptions, Linked, Target};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let objects = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
//! # let names = ["main.o", "twice.o", "pick.o"].map(|name| folder.path().join(name));
//! # for name in &names {
//! #     std::fs::copy(objects.join(name.file_name().unwrap()), name)?;
//! # }
//! # let [main, twice, pick] = names.map(|name| name.display().to_string());
//! let arguments = [main, twice, pick.clone(), "-oout.wasm".to_owned()];
//! let options = LinkOptions::parse(&arguments)?;
//! // What is to be followed is read rather than mapped. `Target::File` publishes in the file that the options name.
//! let (mut linked, report) = Linked::link(options, Access::Read, Target::Memory)?;
//! println!("{} objects", report.counts.objects);
//!
//! // After each recompilation:
//! let report = linked.update(&[pick])?;
//! println!("{} bytes", report.patch.bytes_written());
//! # Ok(())
//! # }
//! ```
//!
//! What differs from wasm-ld, on purpose:
//! - an archive is opened by its index; wasm-ld reads the symbols of every member,
//! - undefined symbols are reported once each, with what refers to them,
//! - all mismatched signatures are reported, not only the first,
//! - debug information of objects of which nothing is linked is left out, and so is that of code which another object's
//!   copy was taken for,
//! - without shared memory, thread-local data is where it is looked for (wasm-ld 19 adds its address twice),
//! - there is room for more data behind the data, unless the output is not to be patched: the stack and the heap begin
//!   later, and an imported table asks for more entries and sets no maximum,
//! - a table that is to be imported is, whether anything needs it or not,
//! - equal strings are shared, but with the ends of longer ones only in an output that is not to be patched.
//!
//! A [`Linked`] program keeps what the link knows, and follows its inputs ([`Linked::update`]). A link of which nothing is
//! to be kept takes less memory ([`Linked::link_once`]).

pub(crate) mod command;
mod declare;
pub(crate) mod demangle;
pub(crate) mod diagnostics;
pub(crate) mod gc;
pub(crate) mod inputs;
mod kept;
mod listing;
pub(crate) mod order;
mod pipeline;
mod release;
mod report;
pub(crate) mod resolve;
mod session;
mod state;
pub(crate) mod symbols;
mod threads;
mod update;
pub mod watched;

pub use crate::object::Access;
pub use crate::object::cut_short::when_cut_short;
pub use command::options::{
    BuildId, Color, DefinedSymbol, DefinedValue, Entry, InputArgument, LinkOptions, Unresolved,
};
pub use command::parse::help;
pub use diagnostics::Diagnostics;
pub use kept::{KeptLink, state_name};
pub use pipeline::Target;
pub use report::{Counts, Edits, Failed, LinkReport, Phase};
pub use session::Linked;
pub use threads::{use_threads, use_threads_when_needed};
pub use update::fallback::FallbackReason;
