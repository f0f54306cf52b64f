//! The arena as a file: its pages at the same offsets, holes where nothing stands.
//!
//! A process that maps the file changes a copy of it, page by page, which is the kernel's doing; the kernel also knows which
//! pages are copies (`/proc/self/pagemap`), and those are what [`Image::save`] writes. The file is written where it is: while
//! it is, nobody may trust it, which whoever keeps it sees to.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::mm::{MapFlags, ProtFlags};

use crate::halves::in_halves;

use super::arena::{
    Control, ROOT, begin, control, expect_installed, freeze, is_complete, release, reserve,
    unfreeze,
};
use super::backing;
use super::fresh;
use super::range::{BASE, MOST, PAGE};

/// The arena's file, open.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
    /// Whether pages that are this process's own may be in the file already.
    was_saved: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saved {
    /// Length of the arena.
    pub(crate) len: usize,
    /// How many bytes of its file were written.
    pub(crate) written: u64,
}

/// So many pages are written at once.
const AT_ONCE: usize = 256;
/// How many times. The threads of the pool are not asked: they may have blocks in the arena.
const WORTH_A_THREAD: usize = 8;
/// So many pages are worth a look at what is free of them, for which all lists are gone through.
const WORTH_A_LOOK: usize = 256;

impl Image {
    pub(crate) fn new(file: File) -> Image {
        Image {
            file,
            was_saved: false,
        }
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// It was opened once more.
    pub(crate) fn reopened(&mut self, file: File) {
        self.file = file;
    }

    /// Whether what the program keeps begins with these bytes, and has so many of them in the file at least.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn begins_root(&self, beginning: &[u8], len: usize) -> io::Result<bool> {
        let mut address = [0; size_of::<usize>()];
        self.file.read_exact_at(&mut address, ROOT as u64)?;
        let address = usize::from_ne_bytes(address);
        let end = address.checked_sub(BASE).and_then(|at| at.checked_add(len));
        let is_inside = end
            .is_some_and(|end| end as u64 <= self.file.metadata().map_or(0, |found| found.len()));
        if !is_inside || !address.is_multiple_of(16) {
            return Ok(false);
        }
        let mut found = vec![0; beginning.len()];
        self.file
            .read_exact_at(&mut found, (address - BASE) as u64)?;
        Ok(found == beginning)
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
        control().thaw();
        fresh::begin();
        begin();
        expect_installed()
    }

    /// Writes the pages that changed since the arena was entered or opened. From then on nothing is allocated in it any more, unless
    /// the process [goes on](Image::go_on); no other thread may change what is kept meanwhile.
    ///
    /// # Errors
    /// If the file cannot be written, or the system does not say what changed. The file is not to be trusted then.
    pub(crate) fn save(&mut self, is_new: bool) -> io::Result<Saved> {
        let was_saved = std::mem::replace(&mut self.was_saved, true);
        let len = freeze();
        if !is_complete() {
            return Err(io::Error::other("the heap was left before it was saved"));
        }
        if backing::is_shared() {
            let mut free = Vec::new();
            control().each_free(|block, pages| free.push((block, pages)));
            let written = backing::seal(&self.file, len, &free)?;
            return Ok(Saved { len, written });
        }
        if is_new {
            control().each_free(release);
        }
        let mut runs = changed_pages(len.div_ceil(PAGE))?;
        let changed: usize = runs.iter().map(|(start, end)| end - start).sum();
        if !is_new && changed >= WORTH_A_LOOK {
            leave_out_free(&mut runs);
        }
        self.file.set_len(len.next_multiple_of(PAGE) as u64)?;
        let pieces: Vec<(usize, usize)> = runs
            .iter()
            .flat_map(|&(start, end)| {
                (start..end)
                    .step_by(AT_ONCE)
                    .map(move |at| (at, (at + AT_ONCE).min(end)))
            })
            .collect();
        let write = |&piece: &(usize, usize)| match was_saved {
            true => self.write_changed(piece),
            false => self.write(piece),
        };
        let written = in_halves(&pieces, WORTH_A_THREAD, write).into_iter();
        let pages = written.sum::<io::Result<usize>>()?;
        let written = (pages * PAGE) as u64;
        Ok(Saved { len, written })
    }

    /// Lets the arena change again, in a process that goes on and will save it again.
    pub(crate) fn go_on(&self) {
        fresh::begin();
        unfreeze();
    }

    fn write(&self, (start, end): (usize, usize)) -> io::Result<usize> {
        self.file
            .write_all_at(pages(start, end), (start * PAGE) as u64)?;
        Ok(end - start)
    }

    /// Writes those pages that are not in the file already: what this process has changed once is its own from then on, and what
    /// is written again need not be read from the disk, but would be written to it.
    fn write_changed(&self, (start, end): (usize, usize)) -> io::Result<usize> {
        let mut there = vec![0; (end - start) * PAGE];
        self.file.read_exact_at(&mut there, (start * PAGE) as u64)?;
        let mut written = 0;
        let is_other = |page: &usize| {
            let at = (page - start) * PAGE;
            there[at..at + PAGE] != *pages(*page, page + 1)
        };
        let mut at = start;
        while let Some(first) = (at..end).find(is_other) {
            at = (first..end).find(|page| !is_other(page)).unwrap_or(end);
            written += self.write((first, at))?;
        }
        Ok(written)
    }
}

/// What is free need not be written but for the first page of each block, which says what follows it.
fn leave_out_free(runs: &mut Vec<(usize, usize)>) {
    let mut free = Vec::new();
    control().each_free(|block, pages| {
        let first = (block - BASE) / PAGE;
        free.push((first + 1, first + pages));
    });
    free.sort_unstable();
    let mut kept = Vec::with_capacity(runs.len());
    let mut free = free.into_iter().peekable();
    for &(mut start, end) in &*runs {
        while free.next_if(|(_, free_end)| *free_end <= start).is_some() {}
        while let Some((free_start, free_end)) = free.peek().copied().filter(|(at, _)| *at < end) {
            if start < free_start {
                kept.push((start, free_start));
            }
            start = free_end.min(end).max(start);
            if free_end > end {
                break;
            }
            free.next();
        }
        if start < end {
            kept.push((start, end));
        }
    }
    *runs = kept;
}

#[allow(unsafe_code)]
fn pages(start: usize, end: usize) -> &'static [u8] {
    // SAFETY: the pages are mapped for as long as the process lives. That others change them meanwhile is excluded by
    // whoever saves: a page that is read while it changes has the wrong contents in the file, and nothing else happens.
    unsafe { std::slice::from_raw_parts((BASE + start * PAGE) as *const u8, (end - start) * PAGE) }
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
