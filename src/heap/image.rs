//! The arena as a file: its pages at the same offsets, holes where nothing stands.
//!
//! A process that maps the file changes a copy of it, page by page, which is the kernel's doing; the kernel also knows which
//! pages are copies (`/proc/self/pagemap`), and those are what [`Image::save`] writes. The file is written where it is: while
//! it is, nobody may trust it, which whoever keeps it sees to.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use rustix::mm::{MapFlags, ProtFlags};

use crate::halves::in_halves;

use super::arena::{BASE, Control, MOST, PAGE, begin, control, expect_installed, pause, reserve};
use super::fresh;

/// The arena's file, open.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
}

/// Why an image cannot be used.
#[derive(Debug)]
pub(crate) enum ImageError {
    /// The system says no.
    Io(io::Error),
    /// It is not what it was.
    Damaged,
}

impl From<io::Error> for ImageError {
    fn from(error: io::Error) -> Self {
        ImageError::Io(error)
    }
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saved {
    /// Length of the arena.
    pub(crate) len: usize,
    /// How many pages were written.
    pub(crate) pages: usize,
}

/// Checksums of pages; zero for those that were never written.
pub(crate) type Sums = Vec<u64>;

/// So many pages are written or checked at once.
const AT_ONCE: usize = 256;
/// How many times. The threads of the pool are not asked: they may have blocks in the arena.
const WORTH_A_THREAD: usize = 8;

impl Image {
    pub(crate) fn new(file: File) -> Image {
        Image { file }
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Maps what was saved, and lets everything be allocated there from now on. Nothing may be in the arena.
    ///
    /// # Errors
    /// If the addresses are not to be had.
    #[allow(unsafe_code)]
    pub(crate) fn open(&self, len: usize) -> io::Result<()> {
        if len < size_of::<Control>() || len > MOST || self.file.metadata()?.len() < len as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        reserve()?;
        // SAFETY: the range was just reserved, and nothing else stands in it; the mapping is private.
        unsafe {
            rustix::mm::mmap(
                BASE as *mut _,
                len.next_multiple_of(PAGE),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::FIXED,
                &self.file,
                0,
            )?;
        }
        fresh::begin();
        begin();
        expect_installed()
    }

    /// Writes the pages that changed since the arena was entered or opened, and notes their checksums. No other thread may
    /// use the arena meanwhile.
    ///
    /// # Errors
    /// If the file cannot be written, or the system does not say what changed. The file is not to be trusted then.
    pub(crate) fn save(&self, sums: &mut Sums) -> io::Result<Saved> {
        let _paused = pause();
        if sums.is_empty() {
            release_free();
        }
        let len = control().top.load(Ordering::SeqCst);
        let runs = changed_pages(len.div_ceil(PAGE))?;
        self.file.set_len(len.next_multiple_of(PAGE) as u64)?;
        let pieces: Vec<(usize, usize)> = runs
            .iter()
            .flat_map(|&(start, end)| {
                (start..end)
                    .step_by(AT_ONCE)
                    .map(move |at| (at, (at + AT_ONCE).min(end)))
            })
            .collect();
        let write = |&(start, end): &(usize, usize)| -> io::Result<Vec<u64>> {
            let bytes = pages(start, end);
            self.file.write_all_at(bytes, (start * PAGE) as u64)?;
            Ok(bytes.chunks(PAGE).map(sum).collect())
        };
        let written = in_halves(&pieces, WORTH_A_THREAD, write).into_iter();
        let written = written.collect::<io::Result<Vec<Vec<u64>>>>()?;
        sums.resize(len.div_ceil(PAGE), 0);
        let mut count = 0;
        for ((start, _), new) in pieces.iter().zip(written) {
            count += new.len();
            sums[*start..][..new.len()].copy_from_slice(&new);
        }
        Ok(Saved { len, pages: count })
    }

    /// Reads the file, and compares its pages with their checksums.
    ///
    /// # Errors
    /// If one is not what it was, or the file cannot be read.
    pub(crate) fn check(&self, sums: &Sums) -> Result<(), ImageError> {
        let places: Vec<usize> = (0..sums.len()).step_by(AT_ONCE).collect();
        let is_same = |&at: &usize| -> io::Result<bool> {
            let sums = &sums[at..(at + AT_ONCE).min(sums.len())];
            let mut buffer = vec![0; sums.len() * PAGE];
            self.file.read_exact_at(&mut buffer, (at * PAGE) as u64)?;
            let mut pages = buffer.chunks(PAGE).zip(sums);
            Ok(pages.all(|(page, known)| *known == 0 || sum(page) == *known))
        };
        let looked = in_halves(&places, WORTH_A_THREAD, is_same).into_iter();
        match looked.collect::<io::Result<Vec<bool>>>()?.contains(&false) {
            false => Ok(()),
            true => Err(ImageError::Damaged),
        }
    }
}

/// The checksum of a page; never zero.
fn sum(page: &[u8]) -> u64 {
    let mut hasher = foldhash::quality::FixedState::with_seed(0xa8e4_a55e).build_hasher();
    hasher.write(page);
    hasher.finish().max(1)
}

#[allow(unsafe_code)]
fn pages(start: usize, end: usize) -> &'static [u8] {
    // SAFETY: the pages are mapped for as long as the process lives. That others change them meanwhile is excluded by
    // whoever saves: a page that is read while it changes has the wrong contents in the file, and nothing else happens.
    unsafe { std::slice::from_raw_parts((BASE + start * PAGE) as *const u8, (end - start) * PAGE) }
}

/// Gives the contents of free pages back to the system, but for what the lists need.
#[allow(unsafe_code)]
fn release_free() {
    control().each_free(|block, pages| {
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
    });
}

/// Runs of pages that are this process's own: written since the arena was entered or mapped.
fn changed_pages(pages: usize) -> io::Result<Vec<(usize, usize)>> {
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const OF_FILE: u64 = 1 << 61;
    let map = File::open("/proc/self/pagemap")?;
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < pages {
        let count = (pages - at).min(buffer.len() / 8);
        let wanted = &mut buffer[..count * 8];
        map.read_exact_at(wanted, ((BASE / PAGE + at) * 8) as u64)?;
        for (index, entry) in wanted.chunks_exact(8).enumerate() {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(entry);
            let entry = u64::from_le_bytes(bytes);
            let is_own = entry & (PRESENT | SWAPPED) != 0 && entry & OF_FILE == 0;
            if is_own {
                let page = at + index;
                match runs.last_mut() {
                    Some((_, end)) if *end == page => *end += 1,
                    _ => runs.push((page, page + 1)),
                }
            }
        }
        at += count;
    }
    Ok(runs)
}
