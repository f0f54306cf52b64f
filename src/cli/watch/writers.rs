//! Whether somebody still has a file open for writing. A read lease tells: the kernel grants it only where nobody has.
//! The one file of the command line with `unsafe`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
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

/// The process that has a file open for writing, as `7 (cc)`, if it can be found out.
pub(super) fn name_one(file: &Path) -> Option<String> {
    let wanted = std::fs::metadata(file).ok()?;
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes.map(|entry| entry.path()).find_map(|process| {
        let id = process.file_name()?.to_str()?.parse::<u32>().ok()?;
        // Those of others cannot be read.
        let mut open = std::fs::read_dir(process.join("fd")).ok()?.flatten();
        open.find(|descriptor| {
            let found = std::fs::metadata(descriptor.path());
            let is_it =
                found.is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()));
            is_it && is_for_writing(&process, &descriptor.file_name())
        })?;
        let name = std::fs::read_to_string(process.join("comm")).ok()?;
        Some(format!("{id} ({})", name.trim_end().escape_debug()))
    })
}

fn is_for_writing(process: &Path, descriptor: &std::ffi::OsStr) -> bool {
    let info = std::fs::read_to_string(process.join("fdinfo").join(descriptor));
    let info = info.unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|digits| i32::from_str_radix(digits.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
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
        let name = name_one(&file).expect("it is this process");
        assert!(name.starts_with(&std::process::id().to_string()), "{name}");
        drop(writer);
        let reader = File::open(&file).unwrap();
        assert_eq!(of(&file), Writers::None);
        assert_eq!(name_one(&file), None);
        drop(reader);
        let appender = File::options().append(true).open(&file).unwrap();
        assert_eq!(of(&file), Writers::Some);
        drop(appender);
        assert_eq!(of(&file), Writers::None);
        assert_eq!(of(folder.path()), Writers::Unknown);
    }
}
