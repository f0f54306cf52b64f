//! Large blocks that are about to be filled. In an arena that is a private mapping of a file each page is copied from the file when
//! it is first written, and what is copied is overwritten at once: most of the time that it takes to read an input.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{MapFlags, ProtFlags};

use super::range::{BASE, MOST, PAGE};

/// Whether the arena is a private mapping of a file.
static IS_OF_FILE: AtomicBool = AtomicBool::new(false);

/// Smaller blocks are not worth a mapping of their own.
const WORTH_IT: usize = 256 << 10;

/// From now on blocks stand in a private mapping of a file.
pub(super) fn begin() {
    IS_OF_FILE.store(true, Ordering::SeqCst);
}

/// Puts fresh pages where a block stands of which nothing has been written yet, if that spares copies.
#[allow(unsafe_code)]
pub(crate) fn expect_filled(block: &mut [MaybeUninit<u8>]) {
    let start = block.as_mut_ptr().addr().next_multiple_of(PAGE);
    let end = (block.as_mut_ptr().addr() + block.len()) / PAGE * PAGE;
    let is_in_arena = start >= BASE && end <= BASE + MOST;
    if !IS_OF_FILE.load(Ordering::Relaxed) || !is_in_arena || end < start + WORTH_IT {
        return;
    }
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    let flags = flags | MapFlags::FIXED | MapFlags::POPULATE;
    // SAFETY: these pages are within a block that is the caller's alone, and nothing in it means anything.
    let mapped = unsafe { rustix::mm::mmap_anonymous(start as *mut _, end - start, access, flags) };
    if mapped.is_err() {
        // What was there may be there no more.
        std::process::abort();
    }
}
