//! Looking at files that wasmend wrote, from the file alone: the layout map, whether an output is equal to a build, and
//! what it is without all that patching needs.
//!
//! Nothing here knows the state of a running [`Module`](crate::Module), and nothing here writes.

mod candidates;
mod debug;
mod finish;
mod map;
mod places;
mod read;
mod side;
mod uses;
mod verify;

pub use finish::{Finished, finish, finish_whole, is_output};
pub use map::{
    FileIdentity, FunctionEntry, FunctionRole, Map, Part, PartKind, RoleTotal, Slots, Totals,
};
pub use verify::{Difference, Report, verify};

#[cfg(test)]
mod tests;
