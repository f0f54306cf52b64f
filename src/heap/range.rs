//! Where the arena is, and a lock for those who may not allocate. What stands there is not known here.

use std::sync::atomic::{AtomicBool, Ordering};

/// Where the arena begins: far from where systems put programs, their heaps, stacks and mappings.
pub(super) const BASE: usize = 0x1000_0000_0000;
/// How much there can be of it.
pub(super) const MOST: usize = 64 << 30;
/// The pages of its file. Systems with larger pages have no arena.
pub(super) const PAGE: usize = 4096;

/// Held while lists change.
pub(super) struct Guard<'a>(&'a AtomicBool);

impl<'a> Guard<'a> {
    #[inline]
    pub(super) fn of(lock: &'a AtomicBool) -> Guard<'a> {
        if lock
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            wait_for(lock);
        }
        Guard(lock)
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cold]
fn wait_for(lock: &AtomicBool) {
    let mut tries = 0u32;
    while lock.swap(true, Ordering::Acquire) {
        tries += 1;
        match tries < 64 {
            true => std::hint::spin_loop(),
            false => std::thread::yield_now(),
        }
    }
}
