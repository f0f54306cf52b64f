//! Telling whether a file is still the one that was published, without reading it.

use std::fs::File;
use std::io;

use rustix::fs::{FileType, Stat};

/// Which file stands under a name and, as far as its metadata tell, whether it was written since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
    /// Length in bytes.
    pub len: u64,
    /// Time of the last change of contents: seconds and nanoseconds since 1970.
    pub modified: (i64, u64),
}

impl FileStamp {
    // The widths of these fields differ between platforms.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    pub(crate) fn of_stat(stat: &Stat) -> FileStamp {
        FileStamp {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            len: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        }
    }

    pub(crate) fn of_file(file: &File) -> io::Result<FileStamp> {
        Ok(FileStamp::of_stat(&rustix::fs::fstat(file)?))
    }

    pub(super) fn same_file(&self, other: &FileStamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// The permission bits of a file.
pub(super) fn permissions(stat: &Stat) -> rustix::fs::Mode {
    rustix::fs::Mode::from_raw_mode(stat.st_mode)
}

/// What a new file's permissions are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permissions {
    /// To be read and written, as far as the user's mask allows.
    Usual,
    /// To be executed as well.
    Executable,
    /// These and no others.
    Given(rustix::fs::Mode),
}

/// The permissions that also let those execute a file who can read it.
pub(super) fn with_execution(mode: rustix::fs::Mode) -> rustix::fs::Mode {
    let bits = mode.as_raw_mode();
    rustix::fs::Mode::from_raw_mode(bits | (bits & 0o444) >> 2)
}

/// Whether it is a regular file, rather than a folder, a device or a pipe.
pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}
