//! Deltas: what a commit changes, as a small module that an instance which runs takes in. A delta is made from the definitions
//! that changed and from where they stand, never from files; what may be taken in and what is refused is decided in `policy`.
//!
//! A delta is made from two views of a program, before and after; with their roles exchanged it is the one that takes it back.

mod artifact;
mod collect;
mod data;
#[cfg(feature = "debug")]
mod debug;
mod image;
mod imports;
mod module;
mod policy;
mod read;
mod routine;
mod step;
mod view;

pub use artifact::Delta;
pub(crate) use artifact::{
    CHANGED, DONE, EPOCH, HAS_IT, MODULE, NO_MEMORY, NO_SLOTS, OTHER_VERSION, is_delta,
};
pub use policy::{Refusal, RefusalReason};
pub use step::LiveStep;

#[cfg(feature = "debug")]
pub(crate) use debug::{Pieces, describe};
pub(crate) use step::{Before, Commit, OldPlaces, make};
