//! A new arena in its file from the beginning: pages that are shared with the file need not be written when it is saved, and
//! are to be had for less than fresh memory is.
//!
//! The file always has room for all that was handed out, since memory for which a disk has no room ends the process. Where
//! there is none left, the rest of the arena stands in memory, and nothing is saved.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use super::range::{BASE, Guard, MOST, PAGE};

/// How much the file is made longer at once.
const STEP: usize = 64 << 20;
/// Free blocks of so many pages are worth a hole in the file, which takes as long as copying a megabyte.
const WORTH_A_HOLE: usize = 256;

/// How much of the arena stands in the file; all of it where it stands in memory.
static BACKED: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The file's descriptor; none, or none any more, if negative.
static FILE: AtomicI32 = AtomicI32::new(-1);
/// Whether a part of the arena has no room in the file.
static IS_CUT: AtomicBool = AtomicBool::new(false);
/// Held while the file becomes longer.
static GROWING: AtomicBool = AtomicBool::new(false);

/// Whether the arena is shared with a file.
pub(super) fn is_shared() -> bool {
    FILE.load(Ordering::SeqCst) >= 0
}

/// Puts an arena that is reserved, and empty, into a file.
#[allow(unsafe_code)]
pub(super) fn begin(file: File) -> io::Result<()> {
    grow(&file, 0, STEP)?;
    // SAFETY: the range was reserved for the arena, and nothing else stands in it. Pages behind the file's end are not
    // used before it has them.
    let mapped = unsafe {
        mmap(
            BASE as *mut _,
            MOST,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED,
            &file,
            0,
        )
    };
    mapped?;
    BACKED.store(STEP, Ordering::SeqCst);
    FILE.store(file.into_raw_fd(), Ordering::SeqCst);
    Ok(())
}

/// Makes sure that there is room up to this offset.
#[inline]
pub(super) fn expect(end: usize) {
    if end > BACKED.load(Ordering::Acquire) {
        extend(end);
    }
}

#[allow(unsafe_code)]
#[cold]
fn extend(end: usize) {
    let _guard = Guard::of(&GROWING);
    let backed = BACKED.load(Ordering::Acquire);
    if end <= backed {
        return;
    }
    // SAFETY: nobody closes it.
    let file = unsafe { BorrowedFd::borrow_raw(FILE.load(Ordering::SeqCst)) };
    let wanted = end.next_multiple_of(STEP).max(backed + backed / 2);
    let wanted = wanted.next_multiple_of(PAGE).min(MOST);
    let longer = match grow(file, backed, wanted) {
        Ok(()) => wanted,
        Err(_) => {
            IS_CUT.store(true, Ordering::SeqCst);
            // SAFETY: nothing stands behind what was backed, which is a whole number of pages. If it cannot be mapped there
            // is no memory left, and whoever uses it ends as without memory.
            let _ = unsafe { anonymous(backed) };
            usize::MAX
        }
    };
    BACKED.store(longer, Ordering::Release);
}

/// Makes a file longer, if that leaves as much room on its disk as it takes.
fn grow(file: impl rustix::fd::AsFd, from: usize, to: usize) -> io::Result<()> {
    let free = fstatvfs(&file)?;
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    if free < 2 * (to - from) as u64 + from as u64 {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let len = (to - from) as u64;
    Ok(rustix::io::retry_on_intr(|| {
        fallocate(&file, FallocateFlags::empty(), from as u64, len)
    })?)
}

/// Fresh memory in place of all that stands behind an offset.
#[allow(unsafe_code)]
unsafe fn anonymous(from: usize) -> rustix::io::Result<()> {
    // SAFETY: the caller knows that nobody uses the range.
    let mapped = unsafe {
        mmap_anonymous(
            (BASE + from) as *mut _,
            MOST - from,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED,
        )
    };
    mapped.map(|_| ())
}

/// Parts the arena from its file: from now on, what is written stays with this process. `top` is where it ends, and `free` says which
/// pages nobody uses, but for the first of each block. Says how many bytes of the file there are. The arena is frozen.
///
/// # Errors
/// If the file does not have all of the arena; it is of no use then.
#[allow(unsafe_code)]
pub(super) fn seal(file: &File, top: usize, free: &[(usize, usize)]) -> io::Result<u64> {
    if IS_CUT.load(Ordering::SeqCst) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let len = top.next_multiple_of(PAGE);
    {
        // Another thread may be about to make it longer, for a block that it has just been given.
        let _guard = Guard::of(&GROWING);
        file.set_len(len as u64)?;
        FILE.store(-1, Ordering::SeqCst);
        BACKED.store(usize::MAX, Ordering::SeqCst);
    }
    // What is free takes no room on the disk.
    for &(block, pages) in free.iter().filter(|(_, pages)| *pages > WORTH_A_HOLE) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let start = (block - BASE + PAGE) as u64;
        let _ = fallocate(file, flags, start, ((pages - 1) * PAGE) as u64);
    }
    // SAFETY: the same bytes stand at the same addresses; behind them nothing stands that anybody uses.
    unsafe {
        mmap(
            BASE as *mut _,
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::FIXED,
            file,
            0,
        )?;
        anonymous(len)?;
    }
    Ok(rustix::fs::fstat(file)?.st_blocks.cast_unsigned() * 512)
}
