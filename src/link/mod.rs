//! Linking: objects and archives in, declarations out, by the rules of wasm-ld.
//!
//! In the order in which a link goes through them: [`command`] (the command line), [`inputs`] (finding and opening
//! files), [`mod@resolve`] (which definition each symbol means, and which archive members that takes), [`gc`] (what can
//! be reached), [`mod@order`] (where things stand). Each is a function from plain tables to plain tables.
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
//! - equal strings are shared, but with the ends of longer ones only in an output that is not to be patched.
//!
//! A [`Linked`] program keeps what the link knows, and follows its inputs ([`Linked::update`]). A link of which nothing is
//! to be kept takes less memory ([`Linked::link_once`]).

pub mod command;
mod declare;
pub mod diagnostics;
pub mod gc;
pub mod inputs;
mod listing;
pub mod order;
mod pipeline;
mod report;
pub mod resolve;
mod session;
mod state;
pub mod symbols;
mod update;

pub use command::options::LinkOptions;
pub use diagnostics::Diagnostics;
pub use gc::Live;
pub use inputs::Inputs;
pub use pipeline::Target;
pub use report::{Counts, Edits, Failed, LinkReport};
pub use resolve::units::{LinkedObject, SymbolRef};
pub use resolve::{Resolution, resolve};
pub use session::{Linked, use_threads};
pub use update::fallback::FallbackReason;
