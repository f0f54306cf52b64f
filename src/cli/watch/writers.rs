//! Whether somebody still has a file open for writing. A read lease tells: the kernel grants it only where nobody has.
//! The one file of the command line with `unsafe`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::cli::watch::looks;

/// What is known of the writers of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    /// Nobody has it open for writing.
    None,
    /// Somebody has.
    Some,
    /// This file system, platform or user cannot have leases.
    Unknown,
}

/// Who writes a file. One that cannot be opened has no writer that matters here: reading it fails too.
pub(super) fn of(file: &Path) -> Writers {
    match looks::open(file) {
        Ok(file) if has_leases(&file) => probe(&file),
        _ => Writers::Unknown,
    }
}

/// Whether a refused lease means that there is a writer. Network file systems also refuse what their server has not
/// promised them.
fn has_leases(file: &File) -> bool {
    const LOCAL: [u32; 9] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x794c_7630, // overlay
        0xf2f5_2010, // f2fs
        0x2fc1_2fc1, // zfs
        0xca45_1a4e, // bcachefs
    ];
    rustix::fs::fstatfs(file).is_ok_and(|found| LOCAL.contains(&(found.f_type as u32)))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn probe(file: &File) -> Writers {
    // Not bound by the libc crate; linux/include/uapi/asm-generic/fcntl.h.
    const F_SETSIG: libc::c_int = 10;
    // Whoever opens the file for writing while the lease lasts has it broken by a signal. SIGIO, which it would be, ends
    // a process that does not expect it; SIGURG is ignored.
    if control(file, F_SETSIG, libc::SIGURG).is_err() {
        return Writers::Unknown;
    }
    match control(file, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => {
            // If this fails, closing the file ends the lease.
            let _ = control(file, libc::F_SETLEASE, libc::F_UNLCK);
            Writers::None
        }
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Writers::Some,
        Err(_) => Writers::Unknown,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> std::io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the commands used here take an int and no
    // pointer, so that no memory of this process is read or written.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn probe(_: &File) -> Writers {
    Writers::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_noticed_until_it_closes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let writer = File::create(&file).unwrap();
        if of(&file) == Writers::Unknown {
            assert!(!has_leases(&writer), "this file system has leases");
            return;
        }
        assert_eq!(of(&file), Writers::Some);
        drop(writer);
        let reader = File::open(&file).unwrap();
        assert_eq!(of(&file), Writers::None);
        drop(reader);
        let appender = File::options().append(true).open(&file).unwrap();
        assert_eq!(of(&file), Writers::Some);
        drop(appender);
        assert_eq!(of(&file), Writers::None);
        assert_eq!(of(folder.path()), Writers::Unknown);
    }
}
