//! The allocator: small blocks by size from chunks of their own, each thread from its own lists; large ones in pages.
//!
//! All that it must know stands in the arena itself, at its beginning ([`Control`]), so that it goes on where another process
//! ended. A new arena can stand in its file from the beginning (`backing`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags};

use super::backing;
use super::range::{BASE, Guard, MOST, PAGE};

/// Blocks above this size have pages of their own.
const LARGE: usize = PAGE;
/// Sizes of small blocks: eight up to 128 bytes, then four for each doubling.
const CLASSES: usize = 8 + 4 * 5;
/// Lists of free small blocks. A thread has one of them, which it shares if there are more threads.
const CACHES: usize = 64;
/// Lists of free large blocks, by the power of two that they have in pages at least.
const BINS: usize = 26;
/// Free blocks of so many pages are worth being given back to the system.
const WORTH_RELEASING: usize = 256;
/// So many lists are looked at, from the one where a block belongs.
const REACH: usize = 5;
/// So many blocks of a list are looked at for one that is large enough.
const TRIES: usize = 16;

/// Whether there is an arena.
static IS_THERE: AtomicBool = AtomicBool::new(false);
/// Whether blocks come from the arena.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);
/// Whether the arena stays as it is, so that it can be written: nothing is handed out meanwhile, and what is given back is lost.
static IS_FROZEN: AtomicBool = AtomicBool::new(false);
/// Whether what others have made is copied before it is kept ([`is_foreign`]).
static ADOPTS: AtomicBool = AtomicBool::new(false);
/// Whether blocks were the system's for a while, so that what is in the arena may need some that will be gone.
static WAS_LEFT: AtomicBool = AtomicBool::new(false);
/// Whether free pages go back to the system.
static RELEASES: AtomicBool = AtomicBool::new(false);
/// How many threads have asked for blocks.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// A number that no other process has; zero until somebody asks.
static PROCESS: AtomicU64 = AtomicU64::new(0);

/// In the offset of the first byte that was never handed out: no more bytes are.
const FROZEN: usize = 1 << (usize::BITS - 1);

thread_local! {
    static CACHE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// What stands at the beginning of the arena.
#[repr(C)]
pub(crate) struct Control {
    /// Offset of the first byte that was never handed out.
    pub(super) top: AtomicUsize,
    /// What the program keeps; zero if nothing.
    root: AtomicUsize,
    large_lock: AtomicBool,
    /// Addresses of the first free block of each list.
    bins: [Cell<usize>; BINS],
    caches: [Cache; CACHES],
}

/// Where the arena says what the program keeps.
pub(super) const ROOT: usize = std::mem::offset_of!(Control, root);

#[repr(C)]
struct Cache {
    lock: AtomicBool,
    /// By class: the address of the first free block, the next byte of its chunk, and the end of that.
    classes: [Cell<(usize, usize, usize)>; CLASSES],
}

/// What stands in a free large block.
#[repr(C)]
struct FreePages {
    next: usize,
    pages: usize,
}

/// An allocator whose blocks can outlive the process; see the [module](crate::heap).
#[derive(Debug, Default)]
pub struct Heap(());

impl Heap {
    /// The allocator, for a `static`.
    pub const fn new() -> Heap {
        Heap(())
    }
}

/// The class of a small block, and the size of its blocks.
#[inline]
fn class_of(size: usize) -> (usize, usize) {
    if size <= 128 {
        let class = size.saturating_sub(1) / 16;
        return (class, (class + 1) * 16);
    }
    // Four steps between powers of two: the two bits behind the first one.
    let shift = (size - 1).ilog2() - 2;
    let step = (size - 1) >> shift;
    let class = 8 + (shift as usize - 5) * 4 + (step - 4);
    (class, (step + 1) << shift)
}

/// What a layout takes: a size whose blocks are as aligned as they must be.
#[inline]
fn size_of(layout: Layout) -> usize {
    let size = layout.size().max(1);
    match layout.align() <= 16 {
        true => size,
        // Blocks of a power of two stand at multiples of it.
        false => size.max(layout.align()).next_power_of_two(),
    }
}

fn pages_of(size: usize) -> usize {
    size.div_ceil(PAGE)
}

#[allow(unsafe_code)]
pub(super) fn control() -> &'static Control {
    // SAFETY: only called once the arena is mapped, which it then is until the process ends; all zeros is a valid
    // `Control`, and all of its fields can be changed through a shared reference. Cells are only used under their lock.
    unsafe { &*(BASE as *const Control) }
}

#[inline]
fn is_in_arena(address: usize) -> bool {
    address.wrapping_sub(BASE) < MOST
}

impl Control {
    /// Takes so many bytes from the end of the arena.
    fn extend(&self, len: usize, align: usize) -> usize {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            if top & FROZEN != 0 {
                return 0;
            }
            let start = top.next_multiple_of(align);
            let end = start + len;
            if end > MOST {
                return 0;
            }
            match self
                .top
                .compare_exchange_weak(top, end, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    backing::expect(end);
                    return BASE + start;
                }
                Err(now) => top = now,
            }
        }
    }

    fn cache(&self) -> &Cache {
        let index = CACHE.with(|index| {
            if index.get() == usize::MAX {
                index.set(THREADS.fetch_add(1, Ordering::Relaxed) % CACHES);
            }
            index.get()
        });
        &self.caches[index]
    }

    #[allow(unsafe_code)]
    #[inline]
    fn small(&self, size: usize) -> *mut u8 {
        let (class, size) = class_of(size);
        let cache = self.cache();
        let _guard = Guard::of(&cache.lock);
        if IS_FROZEN.load(Ordering::Relaxed) {
            return null_mut();
        }
        let (free, next, end) = cache.classes[class].get();
        if free != 0 {
            // SAFETY: a free block of a list begins with the address of the next one.
            let following = unsafe { *(free as *const usize) };
            cache.classes[class].set((following, next, end));
            return free as *mut u8;
        }
        if end - next >= size {
            cache.classes[class].set((0, next + size, end));
            return next as *mut u8;
        }
        // What is left of the chunk before is lost; it is less than one of many blocks.
        let len = (size * 32)
            .next_multiple_of(PAGE)
            .clamp(2 * PAGE, 16 * PAGE);
        let chunk = self.large(len / PAGE, PAGE).0 as usize;
        if chunk == 0 {
            return null_mut();
        }
        cache.classes[class].set((0, chunk + size, chunk + len));
        chunk as *mut u8
    }

    #[allow(unsafe_code)]
    #[inline]
    fn free_small(&self, block: *mut u8, size: usize) {
        let (class, _) = class_of(size);
        let cache = self.cache();
        let _guard = Guard::of(&cache.lock);
        if IS_FROZEN.load(Ordering::Relaxed) {
            return;
        }
        let (free, next, end) = cache.classes[class].get();
        // SAFETY: the block is the caller's to give up, and has at least 16 bytes, aligned to as many.
        unsafe { *block.cast::<usize>() = free };
        cache.classes[class].set((block as usize, next, end));
    }

    /// A block of pages, and whether all of it is known to be zero.
    #[allow(unsafe_code)]
    fn large(&self, pages: usize, align: usize) -> (*mut u8, bool) {
        if align <= PAGE {
            let _guard = Guard::of(&self.large_lock);
            if IS_FROZEN.load(Ordering::Relaxed) {
                return (null_mut(), false);
            }
            let first = pages.ilog2() as usize;
            // What a large input leaves is for the next one, and not to be taken to pieces.
            for bin in first..BINS.min(first + REACH) {
                let mut link = &self.bins[bin];
                for _ in 0..TRIES {
                    let block = link.get();
                    if block == 0 {
                        break;
                    }
                    // SAFETY: what is in a list is free and begins with this.
                    let free = unsafe { &*(block as *const FreePages) };
                    if free.pages >= pages {
                        link.set(free.next);
                        let rest = free.pages - pages;
                        if rest > 0 {
                            self.insert(block + pages * PAGE, rest);
                        }
                        return (block as *mut u8, false);
                    }
                    // SAFETY: as above; the list is only used under the lock.
                    link = unsafe { &*(&raw const free.next).cast::<Cell<usize>>() };
                }
            }
        }
        let start = self.extend(pages * PAGE, align.max(PAGE));
        (start as *mut u8, start != 0)
    }

    /// Puts pages into the list where they belong. The lock is held.
    #[allow(unsafe_code)]
    fn insert(&self, block: usize, pages: usize) {
        let bin = &self.bins[(pages.ilog2() as usize).min(BINS - 1)];
        let free = FreePages {
            next: bin.get(),
            pages,
        };
        // SAFETY: the pages are free, and nobody's.
        unsafe { *(block as *mut FreePages) = free };
        bin.set(block);
    }

    fn free_large(&self, block: usize, pages: usize) {
        if pages >= WORTH_RELEASING && RELEASES.load(Ordering::Relaxed) {
            release(block, pages);
        }
        let _guard = Guard::of(&self.large_lock);
        if !IS_FROZEN.load(Ordering::Relaxed) {
            self.insert(block, pages);
        }
    }

    /// Makes a block of pages longer where it stands, if it is the last one.
    fn grow_last(&self, block: usize, pages: usize, wanted: usize) -> bool {
        let end = block + pages * PAGE - BASE;
        let new_end = block + wanted * PAGE - BASE;
        let is_last = new_end <= MOST
            && self
                .top
                .compare_exchange(end, new_end, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if is_last {
            backing::expect(new_end);
        }
        is_last
    }

    /// Waits until nobody is changing lists, and lets nobody change them any more. Returns how long the arena is.
    fn freeze(&self) -> usize {
        let top = self.top.fetch_or(FROZEN, Ordering::SeqCst) & !FROZEN;
        // Whoever held a lock may not have known of it.
        for cache in &self.caches {
            drop(Guard::of(&cache.lock));
        }
        drop(Guard::of(&self.large_lock));
        top
    }

    /// Undoes that in the next process, which is alone with it; see [`unfreeze`] for one that goes on.
    pub(super) fn thaw(&self) {
        self.top.fetch_and(!FROZEN, Ordering::SeqCst);
        let locks = self.caches.iter().map(|cache| &cache.lock);
        for lock in locks.chain([&self.large_lock]) {
            // What is not written need not be copied.
            if lock.load(Ordering::SeqCst) {
                lock.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Free blocks of pages: where each begins, and how many pages there are.
    #[allow(unsafe_code)]
    pub(super) fn each_free(&self, mut visit: impl FnMut(usize, usize)) {
        let _guard = Guard::of(&self.large_lock);
        for bin in &self.bins {
            let mut block = bin.get();
            while block != 0 {
                // SAFETY: what is in a list is free and begins with this.
                let free = unsafe { &*(block as *const FreePages) };
                let (next, pages) = (free.next, free.pages);
                visit(block, pages);
                block = next;
            }
        }
    }
}

// SAFETY: blocks of the arena come from `Control`, which hands out each byte once until it is given back, aligned as asked
// for: chunks of small blocks begin at a page, so that blocks of a power of two, which are no longer than that, stand at
// multiples of it; pages at multiples of a page or of what was asked. All else is the system's, which blocks go back to
// by their address. Nothing here allocates or unwinds.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !IS_ENTERED.load(Ordering::Relaxed) {
            // SAFETY: the caller's contract is the same.
            return unsafe { System.alloc(layout) };
        }
        let size = size_of(layout);
        let block = match size <= LARGE {
            true => control().small(size),
            false => control().large(pages_of(size), layout.align()).0,
        };
        match block.is_null() {
            false => block,
            true => without_arena(layout),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_in_arena(block as usize) {
            // SAFETY: the caller's contract is the same, and what is not in the arena is the system's.
            return unsafe { System.dealloc(block, layout) };
        }
        let size = size_of(layout);
        match size <= LARGE {
            true => control().free_small(block, size),
            false => control().free_large(block as usize, pages_of(size)),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !IS_ENTERED.load(Ordering::Relaxed) {
            // SAFETY: the caller's contract is the same.
            return unsafe { System.alloc_zeroed(layout) };
        }
        let size = size_of(layout);
        let (block, is_zero) = match size <= LARGE {
            true => (control().small(size), false),
            false => control().large(pages_of(size), layout.align()),
        };
        let block = match block.is_null() {
            false => block,
            true => without_arena(layout),
        };
        if !block.is_null() && !is_zero {
            // SAFETY: the block has that many bytes, and is the caller's.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !is_in_arena(block as usize) && !IS_ENTERED.load(Ordering::Relaxed) {
            // SAFETY: the caller's contract is the same.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: the caller's contract says that this is a layout.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let (old_len, new_len) = (size_of(layout), size_of(new));
        if is_in_arena(block as usize) {
            match (old_len <= LARGE, new_len <= LARGE) {
                (true, true) if class_of(old_len) == class_of(new_len) => return block,
                (false, false) => {
                    let (pages, wanted) = (pages_of(old_len), pages_of(new_len));
                    if wanted == pages {
                        return block;
                    }
                    if wanted < pages {
                        let rest = block as usize + wanted * PAGE;
                        control().free_large(rest, pages - wanted);
                        return block;
                    }
                    if control().grow_last(block as usize, pages, wanted) {
                        return block;
                    }
                }
                _ => {}
            }
        }
        // SAFETY: the new block is another one, and both have as many bytes as are copied; the old one is given up as it
        // was handed out.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// A block for whoever finds the arena frozen; none if it is full.
#[allow(unsafe_code)]
#[cold]
fn without_arena(layout: Layout) -> *mut u8 {
    match IS_FROZEN.load(Ordering::SeqCst) {
        // SAFETY: the caller's contract is the same.
        true => unsafe { System.alloc(layout) },
        false => null_mut(),
    }
}

/// Something that has an address in the program.
static ANCHOR: u8 = 1;

/// Where the program stands, if that is where it was linked to be, which is at the lower end of all addresses; `None` where
/// systems choose the place.
pub(crate) fn program_address() -> Option<usize> {
    let address = (&raw const ANCHOR).addr();
    (address < 1 << 32).then_some(address)
}

/// From now on everything is allocated in the arena, which is mapped, until somebody [rests](rest).
pub(super) fn begin() {
    IS_THERE.store(true, Ordering::SeqCst);
    IS_ENTERED.store(true, Ordering::SeqCst);
}

/// Lets all blocks be the system's from now on, because the arena's file cannot be read or has no room. Says whether there is
/// an arena. What stands in it is not saved any more; the process should end.
pub fn leave() -> bool {
    // Before anybody can get a block of the system's.
    WAS_LEFT.store(true, Ordering::SeqCst);
    IS_ENTERED.store(false, Ordering::SeqCst);
    IS_THERE.load(Ordering::SeqCst)
}

/// Whether all that was to stand in the arena since it was entered does: nobody has [left](leave) it for good.
pub(super) fn is_complete() -> bool {
    !WAS_LEFT.load(Ordering::SeqCst)
}

/// While this is held, what is allocated is the system's again, so that the arena stays as it is.
#[derive(Debug)]
pub(crate) struct Paused {
    was_entered: bool,
}

/// Leaves the arena for a while.
pub(crate) fn pause() -> Paused {
    Paused {
        was_entered: IS_ENTERED.swap(false, Ordering::SeqCst),
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let is_frozen = IS_FROZEN.load(Ordering::SeqCst);
        IS_ENTERED.store(self.was_entered && !is_frozen, Ordering::SeqCst);
    }
}

/// Lets the arena be as it is, whatever other threads do, but for the contents of their blocks: until it may change again
/// ([`unfreeze`]), what is allocated is the system's. Returns how long the arena is.
pub(super) fn freeze() -> usize {
    IS_FROZEN.store(true, Ordering::SeqCst);
    IS_ENTERED.store(false, Ordering::SeqCst);
    control().freeze()
}

/// Lets the arena change again once it was written, in a process that goes on. What is allocated is the system's until somebody
/// [works](work) in it.
pub(super) fn unfreeze() {
    // Locks are left as they are: other threads may hold them.
    control().top.fetch_and(!FROZEN, Ordering::SeqCst);
    IS_FROZEN.store(false, Ordering::SeqCst);
}

/// What is allocated is the system's from now on, but where somebody [works](work) in the arena: for a process that goes on, and has
/// much that is not to be kept.
pub(crate) fn rest() {
    IS_ENTERED.store(false, Ordering::SeqCst);
}

/// While this is held, what is allocated stands in the arena.
#[derive(Debug)]
pub(crate) struct Working(());

/// Goes into the arena for a while, after [`rest`].
pub(crate) fn work() -> Working {
    IS_ENTERED.store(is_complete(), Ordering::SeqCst);
    Working(())
}

impl Drop for Working {
    fn drop(&mut self) {
        rest();
    }
}

/// From now on, what others have made is to be copied before it is kept.
pub(crate) fn adopt() {
    ADOPTS.store(true, Ordering::SeqCst);
}

/// Whether what is kept has to be copied, wherever it stands, because others have made it.
#[inline]
pub(crate) fn adopts() -> bool {
    ADOPTS.load(Ordering::Relaxed)
}

/// Whether a block has to be copied before it is kept: it stands elsewhere than in the arena.
#[inline]
pub(crate) fn is_foreign(block: usize) -> bool {
    adopts() && !is_in_arena(block)
}

/// Reserves the arena's addresses.
#[allow(unsafe_code)]
pub(super) fn reserve() -> std::io::Result<()> {
    // SAFETY: a new mapping, which is made only where there is none.
    let mapped = unsafe {
        rustix::mm::mmap_anonymous(
            BASE as *mut _,
            MOST,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE,
        )?
    };
    match mapped as usize == BASE {
        true => Ok(()),
        // Systems that do not know the flag take the address for a hint.
        false => Err(std::io::ErrorKind::Unsupported.into()),
    }
}

/// Maps an empty arena, in an empty file if that can have it, and lets everything be allocated there from now on.
///
/// # Errors
/// If the addresses are not to be had, or another allocator is used.
pub(crate) fn enter(file: std::fs::File) -> std::io::Result<()> {
    reserve()?;
    // Otherwise it stands in memory, and is written when it is saved.
    let _ = backing::begin(file);
    begin_empty()
}

/// Maps an empty arena in memory, and lets everything be allocated there from now on: for a process that allocates much and
/// ends soon.
///
/// # Errors
/// If the addresses are not to be had, or another allocator is used.
pub fn use_memory() -> std::io::Result<()> {
    reserve()?;
    RELEASES.store(true, Ordering::SeqCst);
    begin_empty()
}

fn begin_empty() -> std::io::Result<()> {
    let first = std::mem::size_of::<Control>().next_multiple_of(PAGE);
    control().top.store(first, Ordering::SeqCst);
    begin();
    expect_installed()
}

/// Gives the contents of free pages back to the system, but for what the lists need.
#[allow(unsafe_code)]
pub(super) fn release(block: usize, pages: usize) {
    if pages > 1 {
        // SAFETY: nobody uses these pages; those that take them next expect nothing in them.
        let _ = unsafe {
            rustix::mm::madvise(
                (block + PAGE) as *mut _,
                (pages - 1) * PAGE,
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
    }
}

/// Finds out whether blocks do come from the arena now.
pub(super) fn expect_installed() -> std::io::Result<()> {
    let probe = std::hint::black_box(Box::new(0u64));
    match is_in_arena((&raw const *probe).addr()) {
        true => Ok(()),
        false => Err(std::io::ErrorKind::Unsupported.into()),
    }
}

/// A number that tells this process from those before it: what is of one process only, such as a mapping, notes it.
#[inline]
pub(crate) fn process() -> u64 {
    match PROCESS.load(Ordering::Relaxed) {
        0 => number_process(),
        number => number,
    }
}

#[cold]
fn number_process() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as u64);
    let id = u64::from(std::process::id());
    let number = (now << 20 ^ id).max(1);
    // Another thread may have been first.
    match PROCESS.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => number,
        Err(known) => known,
    }
}

/// What the program keeps in the arena.
pub(crate) fn root() -> usize {
    control().root.load(Ordering::SeqCst)
}

/// Keeps something in the arena: the address of what the next process will ask for.
pub(crate) fn set_root(address: usize) {
    control().root.store(address, Ordering::SeqCst);
}
