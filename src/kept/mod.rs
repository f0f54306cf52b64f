//! State of a process that ends, for the next process of the same program: what a compiler or a linker that is started for each
//! build needs to patch.
//!
//! What it knows of the program stands in an arena (`heap`), whose pages are in a file beside the output, `NAME.heap`; a second one,
//! `NAME.state`, is its head and says what must be so for it to be of use: what was asked for, the program itself, the output,
//! every file that was read. Whoever keeps something goes by these steps, all of them the `Store`'s: it looks for a state that
//! fits; if a file has changed, maps the arena and brings what stands in it up to date; then the pages that this changed are
//! written back, which a process that goes on does as often as it likes. In any other case, and whenever something is not as
//! expected, the answer is a [`NoState`], and all is made anew: slower, never different.
//!
//! The head is removed before the arena's file is written and comes back when it is; it names the output by its times and
//! its identity. So a process that is killed at any point leaves a state that fits its output, or none that is used.
//!
//! # What a program must do
//!
//! `wasmend` does all of this by itself. A program of one's own that uses [`OneShot`](crate::OneShot), [`Module::open`](crate::Module::open) or
//! [`KeptLink::resume`](crate::link::KeptLink::resume), or that goes on and uses [`KeptWhole`](crate::KeptWhole) or
//! [`KeptLink`](crate::link::KeptLink),
//!
//! - has [`heap::Heap`](crate::heap::Heap) as its global allocator,
//! - is linked to stand at fixed addresses: `cargo:rustc-link-arg-bins=-no-pie` in its `build.rs`. What is kept points to its
//!   constants and functions; another build of it finds nothing that it could use (S03),
//! - keeps one output in a process, of which the first two are told once: there is one arena. What the process allocates while a call
//!   works on what is kept stands in the arena, whichever thread it is, and is in the state's file afterwards, needed or not;
//!   between calls allocations are the system's. Only with `Module::open` they are the arena's until the module is closed: what is
//!   large, and nothing of the module's, is best allocated before.
//!
//! Where one of these is not so, or the system lacks something (S11), all is made anew in each process, and the reason says
//! so. What is kept is private to the user, and is not to be copied elsewhere: it is of use beside its output only.
//!
//! What stands in the arena is not known here.

mod asked;
mod changes;
mod examine;
mod head;
#[cfg(any(feature = "link", feature = "whole"))]
mod held;
mod log;
mod process;
mod reason;
mod resumed;
mod socket;
mod store;

pub(crate) use asked::{Asked, Key, key_of, name_of};
pub(crate) use changes::{Changes, content_hash};
pub(crate) use head::{Head, KeptFile, KeptFiles, NO_LIST, Role};
#[cfg(any(feature = "link", feature = "whole"))]
pub(crate) use held::{Held, Opened};
#[cfg(feature = "link")]
pub(crate) use store::Locked;
pub(crate) use store::{After, Arena, Basis, Found, Store, caught};

pub use changes::Compare;
pub use examine::{Examination, NextLink, StateFile, examine};
pub use log::{append_log, read_log};
pub use reason::NoState;
pub use resumed::Resumed;
pub(crate) use resumed::Stop;
pub use socket::Socket;
