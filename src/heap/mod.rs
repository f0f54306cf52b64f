//! A heap that outlives its process: what stands in it can be written to a file, and be mapped again, at the same addresses,
//! by the next process of the same program. So nothing of a program's tables is parsed or rebuilt, and what is not used
//! is not even read.
//!
//! [`Heap`] is an allocator for a whole program (`#[global_allocator]`). Until `enter` is called it is the system's. From
//! then on everything that is allocated, by any thread, stands in one range of addresses, the arena, which begins at the
//! same address in every process. After `rest` only what is allocated while somebody works in it (`work`) does: a process
//! that goes on has much that is not to be kept. `Image` writes the arena's pages to a file, or those that have changed since, and
//! maps them. Where nothing is to outlive the process, an arena in memory ([`use_memory`]) still is quicker than most allocators for work
//! that allocates much and ends soon.
//!
//! What an arena holds may point to itself and to the program's own constants and functions, whose addresses are fixed
//! where the program is linked to be (`build.rs`); not to what the system's allocator handed out before, not to other
//! mappings, and not to descriptors. Whoever keeps something over the end of a process sees to that; a value which is
//! of one process only notes which (`process`).
//!
//! This must not know what stands in the heap, nor where the file is and whether it can be trusted: see `kept`.

mod arena;
mod backing;
mod fresh;
mod image;
mod range;

pub use arena::{Heap, leave, use_memory};
pub(crate) use arena::{
    adopt, adopts, enter, is_foreign, pause, process, program_address, rest, root, set_root, work,
};
pub(crate) use fresh::expect_filled;
pub(crate) use image::Image;
