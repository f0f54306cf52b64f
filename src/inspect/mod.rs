//! Looking at files that wasmend wrote, from the file alone: the layout map.
//!
//! Nothing here knows the state of a running [`Module`](crate::Module), and nothing here writes.

mod map;
mod read;
mod uses;

pub use map::{FileIdentity, FunctionEntry, FunctionRole, Map, Part, PartKind, RoleTotal, Slots, Totals};
