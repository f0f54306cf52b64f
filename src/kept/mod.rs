//! State of a process that ends, for the next process of the same program: what a compiler or a linker that is started for each
//! build needs to patch.
//!
//! All that it knows stands in an arena (`heap`), whose pages are in a file beside the output, `NAME.heap`; a second one,
//! `NAME.state`, is its head and says what must be so for it to be of use: what was asked for, the program itself, the output,
//! every file that was read. Whoever keeps something goes by these steps, all of them the [`Store`]'s: it looks for a state that
//! fits; if a file has changed, maps the arena and brings what stands in it up to date; then the pages that this changed are
//! written back. In any other case, and whenever something is not as expected, the answer is a [`NoState`], and all is made anew: slower,
//! never different.
//!
//! The head is removed before the arena's file is written and comes back when it is; it names the output by its times and
//! its identity. So a process that is killed at any point leaves a state that fits its output, or none that is used.
//!
//! What stands in the arena is not known here.

mod asked;
mod changes;
mod examine;
mod head;
mod log;
mod process;
mod reason;
mod resumed;
mod store;

pub(crate) use asked::{Asked, Key, key_of};
pub(crate) use changes::{Changes, content_hash, is_recent, now};
pub(crate) use head::{Head, KeptFile, KeptFiles, NO_LIST, Role};
pub(crate) use store::{Basis, Found, Store, caught};

pub use changes::Compare;
pub use examine::{Examination, NextLink, StateFile, examine};
pub use log::{append_log, read_log};
pub use reason::NoState;
pub use resumed::Resumed;
