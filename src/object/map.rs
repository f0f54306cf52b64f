//! Inputs: files that are mapped, or held in memory.
//!
//! A mapping shows what others do to the file. What is mapped must be checked with [`Input::check_unchanged`] when the
//! link is done; an input that is kept for longer, as when watching, is better read ([`Access::Read`]). A file that is
//! cut short while it is mapped ends the process: see [`cut_short`].

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags};

use crate::error::{Error, ErrorKind, Result};
use crate::heap::{self, expect_filled};
use crate::object::cut_short;
use crate::object::kept::{Digest, Kept, digest};
use crate::object::span::Span;
use crate::output::{self, FileStamp, Sighting};
use crate::wire::source::{Later, Source, anywhere};

/// How often this process has let go of all that it had mapped.
static LET_GO: AtomicU64 = AtomicU64::new(0);

/// A number that tells what this process has mapped, and has not let go of since, from everything else.
#[inline]
fn holder() -> u64 {
    heap::process().wrapping_add(LET_GO.load(Ordering::Relaxed))
}

/// How the bytes of an input are obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Mapped; pages are read when they are first used.
    Map,
    /// Copied into memory: it stays as it was, whatever becomes of the file.
    Read,
    /// For a link that another process goes on with: files are mapped, by each process that reads them, and of objects, also of those
    /// that are members of archives, what tells later versions apart is kept.
    Keep,
}

/// When the file of what is kept is looked at, which may have been written meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Now,
    /// Whoever has it kept does so before the output is published.
    Later,
}

#[derive(Debug)]
enum Contents {
    Mapped(Mapping),
    Part(Part),
    Owned(Box<[u8]>),
}

impl Contents {
    /// The bytes, if this process has them.
    #[inline]
    fn here(&self) -> Option<&[u8]> {
        match self {
            Contents::Mapped(mapping) => mapping.here(),
            Contents::Part(part) => part.here(),
            Contents::Owned(bytes) => Some(bytes),
        }
    }
}

/// A part of an input that is mapped, such as an archive's member. It may come to stand elsewhere.
#[derive(Debug)]
struct Part {
    /// The process that has its bytes.
    process: AtomicU64,
    start: AtomicPtr<u8>,
    len: usize,
    /// What it is a part of, and where it begins there.
    of: Mutex<(Arc<Input>, u32)>,
}

impl Part {
    fn here(&self) -> Option<&[u8]> {
        if self.process.load(Ordering::Acquire) != holder() {
            return None;
        }
        // SAFETY: what this is a part of has these bytes in this process, and stays until this is dropped: see `move_to`.
        #[allow(unsafe_code)]
        Some(unsafe { std::slice::from_raw_parts(self.start.load(Ordering::Relaxed), self.len) })
    }

    fn bytes(&self) -> &[u8] {
        if let Some(bytes) = self.here() {
            return bytes;
        }
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let start = of.1 as usize;
        let bytes = &of.0.bytes()[start..start + self.len];
        self.start
            .store(bytes.as_ptr().cast_mut(), Ordering::Relaxed);
        self.process.store(holder(), Ordering::Release);
        // SAFETY: as in `here`.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(bytes.as_ptr(), self.len)
        }
    }

    /// Whether another file's contents have taken the place of those that it is a part of.
    fn is_whole_gone(&self) -> bool {
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.0.is_gone()
    }

    fn move_to(&self, whole: &Arc<Input>, start: u32) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        self.process.store(0, Ordering::Release);
        let before = std::mem::replace(&mut *of, (whole.clone(), start));
        // Whoever has bytes of this has those of before.
        if before.0.contents.here().is_some() {
            std::mem::forget(before);
        }
    }
}

/// A mapped file. The mapping is of one process; another one that comes by the value makes its own.
#[derive(Debug)]
struct Mapping {
    /// Whose the mapping is.
    process: AtomicU64,
    start: AtomicPtr<u8>,
    len: usize,
}

impl Mapping {
    fn new(file: &File, len: usize, path: &Path) -> Result<Mapping> {
        Ok(Mapping {
            process: AtomicU64::new(holder()),
            start: AtomicPtr::new(map(file, len, path)?),
            len,
        })
    }

    /// The bytes, if this process has mapped them.
    #[inline]
    fn here(&self) -> Option<&[u8]> {
        if self.process.load(Ordering::Acquire) != holder() {
            return None;
        }
        // SAFETY: this process has mapped so many bytes, privately and only to be read, and `Drop` is all that ends it.
        // That others may write the file meanwhile is what `check_unchanged` is for: until then the bytes are treated as
        // untrusted input, whose every offset is checked when it is used.
        #[allow(unsafe_code)]
        Some(unsafe { std::slice::from_raw_parts(self.start.load(Ordering::Relaxed), self.len) })
    }

    /// Ends the mapping.
    ///
    /// # Safety
    /// Nobody may have its bytes.
    #[allow(unsafe_code)]
    unsafe fn unmap(&self) {
        if self.process.swap(0, Ordering::AcqRel) == holder() {
            let start = self.start.load(Ordering::Relaxed);
            cut_short::forget(start.addr());
            // SAFETY: the mapping is this process's and this value's, which has just let go of it.
            let _ = unsafe { rustix::mm::munmap(start.cast(), self.len) };
        }
    }

    #[inline]
    fn bytes(&self, of: &Input) -> &[u8] {
        match self.here() {
            Some(bytes) => bytes,
            None => self.map_again(of),
        }
    }

    #[cold]
    fn map_again(&self, of: &Input) -> &[u8] {
        let mut mapped = MAPPED_AGAIN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = self.here() {
            return bytes;
        }
        let mut open = || -> Result<*mut u8> {
            let (file, found) = open_readable(of.path())?;
            let is_still = |seen: &Sighting| found.is_some_and(|found| seen.is_still(&found));
            let seen = of.seen().filter(is_still);
            match seen.filter(|_| !of.is_gone()) {
                Some(seen) => {
                    mapped.push((of.path().to_path_buf(), seen));
                    map(&file, self.len, of.path())
                }
                None => Err(changed(of.path())),
            }
        };
        match open() {
            Ok(start) => {
                self.start.store(start, Ordering::Relaxed);
                self.process.store(holder(), Ordering::Release);
                // SAFETY: so many bytes have just been mapped; see `here`.
                #[allow(unsafe_code)]
                unsafe {
                    std::slice::from_raw_parts(start, self.len)
                }
            }
            Err(error) => start_anew(error),
        }
    }
}

/// What this process has mapped again of inputs that another one has read, as it was found.
static MAPPED_AGAIN: Mutex<Vec<(PathBuf, Sighting)>> = Mutex::new(Vec::new());

/// Whoever went on with another process's link starts from nothing.
#[cold]
fn start_anew(error: Error) -> ! {
    std::panic::resume_unwind(Box::new(error))
}

/// Maps a file for as long as the process does not say otherwise.
fn map(file: &File, len: usize, path: &Path) -> Result<*mut u8> {
    // SAFETY: a new mapping, private and only to be read.
    #[allow(unsafe_code)]
    let mapped = unsafe {
        let (read, private) = (ProtFlags::READ, MapFlags::PRIVATE);
        rustix::mm::mmap(std::ptr::null_mut(), len, read, private, file, 0)
    };
    let start = mapped.map_err(|error| Error::io("cannot map", path, &error.into()))?;
    cut_short::remember(start.addr(), len, path);
    Ok(start.cast())
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nobody can have bytes of what is dropped.
        #[allow(unsafe_code)]
        unsafe {
            self.unmap();
        }
    }
}

/// A file that a link reads, with what identified it when it was opened.
#[derive(Debug)]
pub struct Input {
    path: PathBuf,
    /// What it was called since, one after the other.
    renamed: OnceLock<Box<Renamed>>,
    contents: Contents,
    /// `None` for contents that never were a file, and for pipes. Another one when a file with the same contents has taken
    /// its place.
    seen: Mutex<Option<Sighting>>,
    /// What is kept of an object for processes in which its file may have changed.
    kept: OnceLock<Kept>,
    /// Whether another file's contents have taken the place of these: they cannot be mapped any more.
    is_gone: AtomicBool,
    /// Whether something is to be kept of it.
    keeps: bool,
    /// The hash of all bytes, if the file was so new that it may be written again without having another time.
    at_first: Option<Digest>,
}

/// Another path of an input, and the one after that.
#[derive(Debug)]
struct Renamed {
    path: PathBuf,
    next: OnceLock<Box<Renamed>>,
}

/// Files below this size are read: a mapping of its own costs more than copying a few pages.
const SMALL: u64 = 16 << 10;

/// So much is read of a pipe, which may never end.
const MOST_OF_A_PIPE: u64 = 256 << 20;

impl Input {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be opened or read, is neither a file nor a pipe, or has more than 4 GiB.
    pub fn open(path: impl Into<PathBuf>, access: Access) -> Result<Arc<Input>> {
        let path = path.into();
        let (mut file, seen) = open_readable(&path)?;
        let is_file = seen.is_some();
        let len = seen.map_or(0, |seen| seen.stamp.len);
        if len > u64::from(u32::MAX) {
            return Err(Error::limit("inputs are limited to 4 GiB").with_path(&path));
        }
        let is_mapped = is_file
            && match access {
                Access::Map => len >= SMALL,
                Access::Read => false,
                Access::Keep => len > 0,
            };
        let contents = if is_mapped {
            Contents::Mapped(Mapping::new(&file, len as usize, &path)?)
        } else {
            let bytes = match is_file {
                true => read_file(&mut file, len, &path),
                false => read_pipe(&mut file, &path, MOST_OF_A_PIPE),
            };
            let bytes = match bytes {
                Err(error) if is_file && error.kind() == ErrorKind::Limit => {
                    return Err(changed(&path));
                }
                read => read?,
            };
            if is_file && bytes.len() as u64 != len {
                return Err(changed(&path));
            }
            Contents::Owned(bytes.into())
        };
        let mut input = Input::new(path, contents, seen);
        input.keeps = access == Access::Keep && is_mapped;
        let is_new = || seen.is_some_and(|seen| seen.is_recent(output::now()));
        if input.keeps && is_new() {
            input.at_first = Some(digest(input.bytes()));
        }
        Ok(Arc::new(input))
    }

    fn new(path: PathBuf, contents: Contents, seen: Option<Sighting>) -> Input {
        Input {
            path,
            renamed: OnceLock::new(),
            contents,
            seen: Mutex::new(seen),
            kept: OnceLock::new(),
            is_gone: AtomicBool::new(false),
            keeps: false,
            at_first: None,
        }
    }

    /// An input that is not a file; `path` is what messages call it.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: impl Into<Box<[u8]>>) -> Arc<Input> {
        let contents = Contents::Owned(bytes.into());
        Arc::new(Input::new(path.into(), contents, None))
    }

    /// A part of an input that is mapped, as one of its own: what is kept of it stays when the other's file has changed, and it may
    /// come to stand elsewhere.
    pub(super) fn of_part(whole: &Arc<Input>, span: Span) -> Arc<Input> {
        let bytes = &whole.bytes()[span.range()];
        let contents = Contents::Part(Part {
            process: AtomicU64::new(holder()),
            start: AtomicPtr::new(bytes.as_ptr().cast_mut()),
            len: bytes.len(),
            of: Mutex::new((whole.clone(), span.start)),
        });
        let path = whole.path().to_path_buf();
        let mut input = Input::new(path, contents, whole.seen());
        input.keeps = true;
        Arc::new(input)
    }

    /// Whether these are all its bytes, if it is a part of another input, whose file may have changed since. `None` if it is none.
    pub(super) fn is_part_with(&self, bytes: &[u8]) -> Option<bool> {
        match &self.contents {
            Contents::Part(part) => Some(match self.kept() {
                Some(kept) => part.len == bytes.len() && kept.whole == digest(bytes),
                None => part.bytes() == bytes,
            }),
            _ => None,
        }
    }

    /// If it is a part of another input, it is one of this from now on, with the bytes that it has.
    pub(super) fn move_to(&self, whole: &Arc<Input>, start: u32) {
        if let Contents::Part(part) = &self.contents {
            part.move_to(whole, start);
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = whole.seen();
            if self.path() != whole.path() {
                self.rename(whole.path().to_path_buf());
            }
        }
    }

    /// Keeps its first bytes for processes in which the file has changed, if it is mapped.
    ///
    /// # Errors
    /// If it has changed already.
    pub(super) fn keep_front(&self, len: usize) -> Result<()> {
        if !self.is_mapped() {
            return Ok(());
        }
        let text: Box<[u8]> = self.bytes()[..len.min(self.bytes().len())].into();
        let (start, len) = (0, text.len() as u32);
        let _ = self.kept.set(Kept {
            parts: [(Span { start, len }, 0)].into(),
            text,
            ..Kept::default()
        });
        self.check_unchanged()
    }

    /// Where the input was opened, or is to be found since then.
    pub fn path(&self) -> &Path {
        let (mut path, mut next) = (&self.path, &self.renamed);
        while let Some(renamed) = next.get() {
            (path, next) = (&renamed.path, &renamed.next);
        }
        path
    }

    /// The file is to be found under another name: a compiler that names its objects anew in each build has written it again.
    pub(crate) fn rename(&self, path: PathBuf) {
        let mut renamed = Box::new(Renamed {
            path,
            next: OnceLock::new(),
        });
        let mut last = &self.renamed;
        // Whoever is there first keeps its place.
        while let Err(again) = last.set(renamed) {
            renamed = again;
            match last.get() {
                Some(known) => last = &known.next,
                None => return,
            }
        }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.contents {
            Contents::Mapped(mapping) => mapping.bytes(self),
            Contents::Part(part) => part.bytes(),
            Contents::Owned(bytes) => bytes,
        }
    }

    /// A part of its bytes. Parts that tables name are to be had even if the file has changed since, in another process.
    #[inline]
    pub fn part(&self, span: Span) -> &[u8] {
        match self.contents.here() {
            Some(bytes) => &bytes[span.range()],
            None => self.part_elsewhere(span),
        }
    }

    #[cold]
    fn part_elsewhere(&self, span: Span) -> &[u8] {
        let kept = self.kept().and_then(|kept| kept.part(span));
        kept.unwrap_or_else(|| &self.bytes()[span.range()])
    }

    /// Whether its bytes are to be had without opening a file, or were not given up.
    pub(crate) fn is_at_hand(&self) -> bool {
        self.contents.here().is_some() || self.kept().is_none()
    }

    /// What is kept of it, if that is all there is.
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.get()
    }

    /// Its bytes, if this process has mapped them.
    pub(super) fn mapped_here(&self) -> Option<&[u8]> {
        match &self.contents {
            Contents::Owned(_) => None,
            contents => contents.here(),
        }
    }

    /// Whether something is to be kept of it that is not yet.
    pub(super) fn is_to_be_kept(&self) -> bool {
        self.keeps && self.kept().is_none()
    }

    /// Keeps what later processes need of it, which `make` finds out, if the file is not seen to have changed.
    ///
    /// # Errors
    /// If it has: what was linked may be something else.
    pub(super) fn keep(&self, check: Check, make: impl FnOnce() -> Kept) -> Result<()> {
        let kept = make();
        if self.at_first.is_some_and(|first| kept.whole != first) {
            return Err(changed(self.path()));
        }
        if check == Check::Now {
            self.check_unchanged()?;
        }
        // Another thread may have been here before.
        let _ = self.kept.set(kept);
        Ok(())
    }

    /// Whether another file's contents have taken the place of these.
    fn is_gone(&self) -> bool {
        let is_part_gone = || match &self.contents {
            Contents::Part(part) => part.is_whole_gone(),
            _ => false,
        };
        self.is_gone.load(Ordering::Acquire) || self.kept().is_some() && is_part_gone()
    }

    /// Notes that the file is another one: of what was kept only that is known.
    pub(crate) fn give_up(&self) {
        if self.kept().is_some() {
            self.is_gone.store(true, Ordering::Release);
            match &self.contents {
                Contents::Mapped(mapping) => mapping.process.store(0, Ordering::Release),
                Contents::Part(part) => part.process.store(0, Ordering::Release),
                Contents::Owned(_) => {}
            }
        }
    }

    /// Lets go of what this process has mapped of it, if what is kept of it is enough to tell it from what comes in its place: from
    /// now on it is an input of another process, and what is done to its file is of no matter.
    ///
    /// # Safety
    /// Nobody may have bytes of it.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn unmap(&self) {
        match &self.contents {
            // SAFETY: the caller says so.
            Contents::Mapped(mapping) if self.kept().is_some() => unsafe { mapping.unmap() },
            Contents::Mapped(_) | Contents::Part(_) | Contents::Owned(_) => {}
        }
    }

    /// Nothing that this process has mapped so far is to be looked at again: of whatever is a part of it, wherever that is kept, the
    /// bytes are those of another process from now on.
    pub(crate) fn let_go_of_all() {
        LET_GO.fetch_add(1, Ordering::AcqRel);
    }

    /// Checks that what this process has mapped of inputs that others have read is what they have read.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn check_mapped_again() -> Result<()> {
        let mapped = MAPPED_AGAIN.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, seen) in &*mapped {
            let found = rustix::fs::stat(path).map(|stat| Sighting::of_stat(&stat));
            if !found.is_ok_and(|found| seen.is_still(&found)) {
                return Err(changed(path));
            }
        }
        Ok(())
    }

    /// Forgets that, once nothing is read any more: what is of one process is not to be kept.
    pub(crate) fn forget_mapped_again() {
        let mut mapped = MAPPED_AGAIN.lock().unwrap_or_else(PoisonError::into_inner);
        *mapped = Vec::new();
    }

    /// What identified the file when it was opened, if it is a file.
    pub fn stamp(&self) -> Option<FileStamp> {
        self.seen().map(|seen| seen.stamp)
    }

    /// How the file looked when it was opened, or when it was last found to have the same contents.
    pub(crate) fn seen(&self) -> Option<Sighting> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is mapped here shows what was written into the same file since: then nobody knows what it was.
    pub fn has_become(&self, again: &Input) -> bool {
        match (self.seen(), again.seen()) {
            (Some(seen), Some(again)) if self.is_mapped() && self.kept().is_none() => {
                seen.stamp.same_file(&again.stamp) && !seen.is_still(&again)
            }
            _ => false,
        }
    }

    /// Takes note that the file has been written again, with the contents that it has here: from now on it is unchanged
    /// for as long as it is as `again` found it. Says whether the contents are the same.
    pub fn is_written_again(&self, again: &Input) -> bool {
        let is_same = match self.kept() {
            Some(kept) if !self.is_at_hand() => {
                let len = again.bytes().len();
                kept.whole_len as usize == len && kept.whole == digest(again.bytes())
            }
            _ => self.bytes() == again.bytes(),
        };
        if is_same {
            self.is_gone.store(false, Ordering::Release);
            let seen = again.seen();
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        }
        is_same
    }

    /// Whether another file's writer can change the bytes.
    pub fn is_mapped(&self) -> bool {
        !matches!(self.contents, Contents::Owned(_))
    }

    /// Checks that the path still names the file that was opened, with the size and times that it had then.
    ///
    /// # Errors
    /// If it does not: what was read may be a mixture of the old and the new contents.
    pub fn check_unchanged(&self) -> Result<()> {
        let Some(opened) = self.seen() else {
            return Ok(());
        };
        match rustix::fs::stat(self.path()) {
            Ok(stat) if opened.is_still(&Sighting::of_stat(&stat)) => Ok(()),
            Ok(_) => Err(changed(self.path())),
            Err(errno) => Err(Error::io(
                "cannot be found again",
                self.path(),
                &std::io::Error::from(errno),
            )),
        }
    }
}

impl Source for Input {
    fn part(&self, start: u32, len: u32) -> Option<&[u8]> {
        let span = Span { start, len };
        self.has(start, len).then(|| Input::part(self, span))
    }

    fn has(&self, start: u32, len: u32) -> bool {
        let span = Span { start, len };
        !self.is_gone() || self.kept().is_some_and(|kept| kept.part(span).is_some())
    }

    fn refuse(&self) -> ! {
        start_anew(changed(self.path()))
    }

    fn hashes(&self, start: u32, len: u32, fields: usize) -> Option<&[Digest]> {
        let blocks = self.kept()?.blocks(start)?;
        let is_it = blocks.len == len && blocks.fields as usize == fields;
        is_it.then_some(&*blocks.digests)
    }

    fn had(&self, start: u32, later: &mut Later<'_>) -> bool {
        self.kept().is_some_and(|kept| kept.had(start, later))
    }

    fn differences(&self, (start, len): (u32, u32), later: &mut Later<'_>) -> Vec<Range<usize>> {
        match self.kept().and_then(|kept| kept.blocks(start)) {
            Some(blocks) => blocks.changed(later).collect(),
            None => anywhere(later.bytes, len),
        }
    }
}

/// How long a pipe may be silent.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens a file to be read, and says what a regular one is seen as; if it is none, it is a pipe. Opening waits for nobody, and
/// devices, which may be read for ever, are not opened at all.
fn open_readable(path: &Path) -> Result<(File, Option<Sighting>)> {
    use rustix::fs::{CWD, FileType, Mode, OFlags};
    let failed = |error: rustix::io::Errno| Error::io("cannot open", path, &error.into());
    let look = |stat: rustix::fs::Stat| match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Some(Sighting::of_stat(&stat))),
        FileType::Fifo => Ok(None),
        FileType::Directory => Err(Error::new(ErrorKind::Io, "is a directory").with_path(path)),
        _ => Err(Error::new(ErrorKind::Io, "is not a regular file").with_path(path)),
    };
    look(rustix::fs::statat(CWD, path, rustix::fs::AtFlags::empty()).map_err(failed)?)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?);
    let seen = look(rustix::fs::fstat(&file).map_err(failed)?)?;
    Ok((file, seen))
}

fn read_file(file: &mut File, most: u64, path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::io("cannot read", path, &error);
    let expected = file.metadata().map_or(0, |metadata| metadata.len());
    // One more shows that there is more.
    let mut bytes: Vec<u8> = Vec::with_capacity(expected.min(most) as usize + 1);
    expect_filled(bytes.spare_capacity_mut());
    let limited = file.take(most.saturating_add(1));
    { limited }.read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > most {
        false => Ok(bytes),
        true => Err(too_much(most, path)),
    }
}

#[cold]
fn too_much(most: u64, path: &Path) -> Error {
    Error::limit(format!("has more than {most} bytes")).with_path(path)
}

/// Reads what is written into a pipe, until its writers have closed it. Nobody need come, or write anything, or end.
fn read_pipe(file: &mut File, path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    let mut heard = Instant::now();
    loop {
        match file.read(&mut chunk) {
            Ok(0) if !bytes.is_empty() => return Ok(bytes),
            // Nobody has opened it to write.
            Ok(0) => {}
            Ok(len) => {
                bytes.extend_from_slice(&chunk[..len]);
                heard = Instant::now();
                if bytes.len() as u64 > most {
                    return Err(too_much(most, path));
                }
                continue;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("cannot read", path, &error)),
        }
        if heard.elapsed() > PATIENCE {
            let text = "is a pipe into which nothing is written";
            return Err(Error::new(ErrorKind::Io, text).with_path(path));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The bytes of a file that a link reads beside its inputs, if it is no more than `most`.
///
/// # Errors
/// As with [`Input::open`], and if it is more.
pub(crate) fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (mut file, seen) = open_readable(path)?;
    match seen.is_some() {
        true => read_file(&mut file, most, path),
        false => read_pipe(&mut file, path, most),
    }
}

#[cold]
fn changed(path: &Path) -> Error {
    Error::new(ErrorKind::Io, "was changed while it was being linked")
        .with_path(path)
        .with_hint("wait for what writes it to finish, and link again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o");
        for access in [Access::Map, Access::Read] {
            for len in [10, 100_000] {
                fs::write(&path, vec![7; len]).unwrap();
                let input = Input::open(&path, access).unwrap();
                assert_eq!(input.bytes(), vec![7; len]);
                input.check_unchanged().unwrap();
                // The clock of file times ticks every few milliseconds.
                let tick = || std::thread::sleep(std::time::Duration::from_millis(20));
                tick();
                fs::hard_link(&path, folder.path().join("second name")).unwrap();
                input.check_unchanged().unwrap();
                fs::remove_file(folder.path().join("second name")).unwrap();
                let input = Input::open(&path, access).unwrap();
                tick();
                let time = fs::metadata(&path).unwrap().modified().unwrap();
                fs::write(&path, vec![8; len]).unwrap();
                let file = File::options().write(true).open(&path).unwrap();
                file.set_modified(time).unwrap();
                assert!(
                    input.check_unchanged().is_err(),
                    "written, and the time put back"
                );
                let input = Input::open(&path, access).unwrap();
                let replacement = folder.path().join("b.o");
                fs::write(&replacement, vec![7; len]).unwrap();
                fs::rename(&replacement, &path).unwrap();
                assert!(input.check_unchanged().is_err(), "replaced");
                let input = Input::open(&path, access).unwrap();
                fs::write(&path, vec![7; len + 1]).unwrap();
                assert!(input.check_unchanged().is_err(), "grown");
                fs::remove_file(&path).unwrap();
                assert!(input.check_unchanged().is_err(), "gone");
            }
        }
    }

    #[test]
    fn what_is_written_again_with_the_same_contents_is_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o");
        fs::write(&path, vec![7; 100]).unwrap();
        let input = Input::open(&path, Access::Read).unwrap();
        let replace = |bytes: &[u8]| {
            let replacement = folder.path().join("b.o");
            fs::write(&replacement, bytes).unwrap();
            fs::rename(&replacement, &path).unwrap();
            Input::open(&path, Access::Read).unwrap()
        };
        assert!(input.is_written_again(&replace(&[7; 100])));
        input.check_unchanged().unwrap();
        assert!(!input.is_written_again(&replace(&[8; 100])));
        assert!(input.check_unchanged().is_err());
    }

    #[test]
    fn what_is_written_in_its_place_is_not_known_any_more_if_it_is_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o");
        for access in [Access::Map, Access::Read] {
            fs::write(&path, vec![7; 100_000]).unwrap();
            let input = Input::open(&path, access).unwrap();
            fs::write(&path, vec![8; 100_001]).unwrap();
            let again = Input::open(&path, access).unwrap();
            assert_eq!(input.has_become(&again), access == Access::Map);
        }
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let error = Input::open("/nonexistent/a.o", Access::Map).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/a.o"), "{error}");
        let error = Input::open("/", Access::Map).unwrap_err();
        assert!(error.to_string().contains("directory"), "{error}");
    }
}
