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

/// Huge pages are worth asking for from two of them on.
#[cfg(target_os = "linux")]
const HUGE: usize = 4 << 20;

/// From now on blocks stand in a private mapping of a file.
pub(super) fn begin() {
    IS_OF_FILE.store(true, Ordering::SeqCst);
}

/// Gets the pages for a block of which nothing has been written yet and all will be: fresh ones where that spares copies of a
/// file's, and otherwise huge ones, if there are some and it is large.
#[allow(unsafe_code)]
pub(crate) fn expect_filled(block: &mut [MaybeUninit<u8>]) {
    let start = block.as_mut_ptr().addr().next_multiple_of(PAGE);
    let end = (block.as_mut_ptr().addr() + block.len()) / PAGE * PAGE;
    let is_in_arena = start >= BASE && end <= BASE + MOST;
    #[cfg(target_os = "linux")]
    if !is_in_arena && end >= start + HUGE {
        // SAFETY: nothing but how the system gets the memory depends on it.
        let _ = unsafe {
            rustix::mm::madvise(
                start as *mut _,
                end - start,
                rustix::mm::Advice::LinuxHugepage,
            )
        };
    }
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
