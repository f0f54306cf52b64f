//! Whether somebody still has a file open for writing. A read lease tells: the kernel grants it only where nobody has.
//! The one file of the command line with `unsafe`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    let found = match looks::open(file) {
        Ok(file) if has_leases(&file) => probe(&file),
        _ => Writers::Unknown,
    };
    // A descriptor that this process was started with would be waited for in vain, and hides whether there are others.
    let own = PathBuf::from("/proc/self");
    match found {
        Writers::Some if has_open(&own, file) && name_one(file).is_none() => Writers::Unknown,
        found => found,
    }
}

/// Another process that has a file open for writing, as `7 (cc)`, if it can be found out.
pub(super) fn name_one(file: &Path) -> Option<String> {
    let own = std::process::id();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes.map(|entry| entry.path()).find_map(|process| {
        let id = process.file_name()?.to_str()?.parse::<u32>().ok()?;
        if id == own || !has_open(&process, file) {
            return None;
        }
        let name = std::fs::read_to_string(process.join("comm")).ok()?;
        Some(format!("{id} ({})", name.trim_end().escape_debug()))
    })
}

/// Whether the process of a folder in `/proc` has a file open for writing. Those of other users cannot be read.
fn has_open(process: &Path, file: &Path) -> bool {
    let wanted = std::fs::metadata(file);
    let open = std::fs::read_dir(process.join("fd"));
    let (Ok(wanted), Ok(open)) = (wanted, open) else {
        return false;
    };
    let mut open = open.flatten();
    open.any(|descriptor| {
        let found = std::fs::metadata(descriptor.path());
        let is_it =
            found.is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()));
        is_it && is_for_writing(process, &descriptor.file_name())
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
    use looks::file_system::{BTRFS, EXT, TMPFS, XFS};
    const LOCAL: [u32; 9] = [
        EXT,
        XFS,
        BTRFS,
        TMPFS,
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
    use std::process::{Command, Stdio};

    #[test]
    fn a_writer_is_noticed_until_it_closes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let open = File::create(&file).unwrap();
        if !has_leases(&open) {
            assert_eq!(of(&file), Writers::Unknown);
            return;
        }
        // Somebody else writes; this process does not count.
        let mut writer = Command::new("cat");
        let writer = writer.stdin(Stdio::piped()).stdout(open);
        let mut child = writer.spawn().unwrap();
        drop(std::mem::replace(writer, Command::new("cat")));
        assert_eq!(of(&file), Writers::Some);
        let name = name_one(&file).expect("it is a process");
        assert_eq!(name, format!("{} (cat)", child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(of(&file), Writers::None);
        let reader = File::open(&file).unwrap();
        assert_eq!((of(&file), name_one(&file)), (Writers::None, None));
        drop(reader);
        assert_eq!(of(folder.path()), Writers::Unknown);
    }

    #[test]
    fn a_file_that_this_process_has_open_itself_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let open = File::create(&file).unwrap();
        assert_eq!(of(&file), Writers::Unknown);
        drop(open);
    }
}
