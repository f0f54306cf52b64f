//! What is asked of the system: opening without following links, and the few things that neither the standard library
//! nor rustix offers as needed: leases, marks, and writing so that later small writes stay cheap. Every `unsafe` of the
//! output is in this file.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::unix::fs::FileExt;

use memmap2::MmapMut;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, Stat, fallocate};
use rustix::io::{Errno, retry_on_intr};

/// Bytes per write of a whole file. The kernel keeps a file's pages in blocks as large as the writes that made
/// them, up to 2 MiB, and ext4 walks a whole block for every later write into it, however small: 12 us each in
/// a file of 250 MB that was written at once, 1.4 us if it was written in pieces of this size. Smaller pieces
/// make whole files slower by a third, larger ones make small writes dearer the longer the file is.
const PIECE: usize = 8 << 10;

/// From this length on, the buffer for a whole file asks for huge pages; below, clearing one costs more.
const HUGE: usize = 4 << 20;

/// Opens a file, which must not be a link.
pub(super) fn open_at(
    folder: impl AsFd,
    name: &CStr,
    flags: OFlags,
    mode: Mode,
) -> Result<File, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(folder, name, flags, mode).map(File::from)
}

/// Opens a folder.
pub(super) fn open_folder(at: impl AsFd, path: impl rustix::path::Arg) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty()).map(File::from)
}

/// What stands under a name, be it a link, if anything does.
pub(super) fn stat_at(folder: impl AsFd, name: &CStr) -> Result<Option<Stat>, Errno> {
    missing_is_none(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))
}

pub(super) fn missing_is_none(found: Result<Stat, Errno>) -> Result<Option<Stat>, Errno> {
    match found {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What asking for a lease came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// Nobody else has the file open or mapped, and whoever opens it now waits until the lease ends.
    Granted,
    /// Somebody has it open or mapped, or it could not be found out.
    Busy,
    /// This file system, platform or user cannot have leases.
    Unsupported,
}

/// Asks for a write lease on `file`, which must be the only descriptor of it in this process.
pub(super) fn take_lease(file: &File) -> Lease {
    match lease::take(file) {
        Ok(()) => Lease::Granted,
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => {
            Lease::Unsupported
        }
        Err(_) => Lease::Busy,
    }
}

/// Ends the lease; whoever waits to open the file goes on.
pub(super) fn end_lease(file: &File) {
    lease::end(file);
}

/// Marks `file`, which is open for reading, as an output that is being written, until it is closed. Readers do not
/// notice, nor does anybody who locks the file for reasons of his own.
pub(super) fn mark(file: &File) {
    // Where there are no such locks, only the lock file keeps others out.
    let _ = mark::set(file);
}

/// Whether somebody else has marked the file.
pub(super) fn is_marked(file: &File) -> bool {
    mark::is_set(file)
}

/// The mark: a lock on a byte that no output has, which belongs to the open file and not to the process.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod mark {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    /// `wasm`, so that nobody else's lock looks like it.
    const BYTE: libc::off_t = 0x7761_736d;

    pub(super) fn set(file: &File) -> io::Result<()> {
        // A lock for writing would need a file that is open for writing; many may have one for reading.
        control(file, libc::F_OFD_SETLK, libc::F_RDLCK).map(drop)
    }

    pub(super) fn is_set(file: &File) -> bool {
        let in_the_way = control(file, libc::F_OFD_GETLK, libc::F_WRLCK);
        in_the_way.is_ok_and(|lock| {
            lock.l_type == libc::F_RDLCK as libc::c_short && lock.l_start == BYTE && lock.l_len == 1
        })
    }

    fn control(file: &File, command: libc::c_int, kind: libc::c_int) -> io::Result<libc::flock> {
        let mut lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: BYTE,
            l_len: 1,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and the two commands used here read and
        // write one `flock`, which `lock` is and which outlives the call.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
        match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(lock),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod mark {
    use std::fs::File;
    use std::io;

    pub(super) fn set(_: &File) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn is_set(_: &File) -> bool {
        false
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod lease {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    use rustix::io::Errno;

    // Not bound by the libc crate; linux/include/uapi/asm-generic/fcntl.h.
    const F_SETSIG: libc::c_int = 10;

    pub(super) fn take(file: &File) -> Result<(), Errno> {
        // A process that opens the file breaks the lease, and the holder is told by a signal. The default
        // signal, SIGIO, ends a process that does not expect it; SIGURG is ignored by default.
        control(file, F_SETSIG, libc::SIGURG)?;
        control(file, libc::F_SETLEASE, libc::F_WRLCK)
    }

    pub(super) fn end(file: &File) {
        // If it fails there was no lease, or it was broken already.
        let _ = control(file, libc::F_SETLEASE, libc::F_UNLCK);
    }

    fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> Result<(), Errno> {
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and the two commands used here
        // take an int and no pointer, so that no memory of this process is read or written.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
        if result == -1 {
            return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
        }
        Ok(())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod lease {
    use std::fs::File;

    use rustix::io::Errno;

    pub(super) fn take(_: &File) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    pub(super) fn end(_: &File) {}
}

/// What tells one start of the system from all others.
pub(crate) fn boot_id() -> io::Result<Vec<u8>> {
    std::fs::read("/proc/sys/kernel/random/boot_id")
}

/// Whether `renameat2` says that it cannot exchange, rather than that it failed.
pub(super) fn exchange_unsupported(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM
    )
}

/// Makes `file` longer, from `old` to `new` bytes, with the space for them allocated where the file system can.
pub(super) fn grow(file: &File, old: u64, new: u64) -> io::Result<()> {
    if new <= old {
        return Ok(());
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), old, new - old)) {
        Ok(()) => Ok(()),
        // Without preallocation a full disk is found out by the writes: later, but as cleanly.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(new),
        Err(error) => Err(error.into()),
    }
}

/// Makes `file`, of `old` bytes, `new` bytes long; new bytes are zero.
pub(super) fn resize(file: &File, old: u64, new: u64) -> io::Result<()> {
    if new < old {
        file.set_len(new)
    } else {
        grow(file, old, new)
    }
}

/// Writes `bytes` at `offset` such that later small writes into them are cheap.
pub(super) fn write_pieces(file: &File, bytes: &[u8], mut offset: u64) -> io::Result<()> {
    // Pieces end where the file's own do, wherever `bytes` begins.
    let first = PIECE - (offset % PIECE as u64) as usize;
    let (head, rest) = bytes.split_at(first.min(bytes.len()));
    for piece in std::iter::once(head).chain(rest.chunks(PIECE)) {
        file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

/// Ranges that follow one another this closely are written as one window.
const NEAR: u64 = 64;
/// Fewer ranges than this are written one by one.
const FEW: usize = 4;

/// Writes the ranges of a patch. Where many small ones stand close together, as in filler, what is between them is
/// read and written back with them: two calls instead of dozens.
pub(super) fn write_ranges<'a>(
    file: &File,
    ranges: impl Iterator<Item = (u64, &'a [u8])>,
) -> io::Result<()> {
    let mut ranges = ranges.peekable();
    let mut window: Vec<(u64, &[u8])> = Vec::new();
    let mut buffer = Vec::new();
    while let Some(range) = ranges.next() {
        window.push(range);
        let end = range.0 + range.1.len() as u64;
        if ranges.peek().is_some_and(|next| next.0 - end <= NEAR) {
            continue;
        }
        let start = window[0].0;
        if window.len() < FEW {
            for (offset, bytes) in window.drain(..) {
                write_pieces(file, bytes, offset)?;
            }
            continue;
        }
        buffer.clear();
        buffer.resize((end - start) as usize, 0);
        file.read_exact_at(&mut buffer, start)?;
        for (offset, bytes) in window.drain(..) {
            buffer[(offset - start) as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        write_pieces(file, &buffer, start)?;
    }
    Ok(())
}

/// Copies the first `len` bytes of `from` into `to`, an empty file; shares the blocks where the file system can.
pub(super) fn copy(from: &File, to: &File, len: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return to.set_len(len);
    }
    grow(to, 0, len)?;
    let mut buffer = vec![0; 4 * PIECE];
    let mut offset = 0;
    while offset < len {
        let wanted = buffer
            .len()
            .min(usize::try_from(len - offset).unwrap_or(usize::MAX));
        from.read_exact_at(&mut buffer[..wanted], offset)?;
        write_pieces(to, &buffer[..wanted], offset)?;
        offset += wanted as u64;
    }
    Ok(())
}

/// A buffer of zeros for a whole file. It is not a mapping of the file: filling memory and then writing it
/// was measured faster than faulting in a mapped file page by page, and nobody can truncate it.
pub(super) fn zeroed(len: usize) -> io::Result<MmapMut> {
    let buffer = MmapMut::map_anon(len)?;
    #[cfg(target_os = "linux")]
    if len >= HUGE {
        // Only a wish: without huge pages it is slower, not wrong.
        let _ = buffer.advise(memmap2::Advice::HugePage);
    }
    Ok(buffer)
}
