//! Telling whether a file is still the one that was published, or read, without reading it.

use std::fs::File;
use std::io;

use rustix::fs::{FileType, Stat};

/// How much may pass between two times that files have, at most: the slowest clock of a Linux kernel, twice.
const STEP_NANOS: i128 = 20_000_000;

/// The time, as files have it.
pub(crate) fn now() -> (i64, u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default();
    (now.as_secs() as i64, u64::from(now.subsec_nanos()))
}

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
    /// Time of the last change of contents, attributes or names, which nobody can set: a file that was written and then
    /// given its old time of change is found out by it.
    pub changed: (i64, u64),
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
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        }
    }

    pub(crate) fn of_file(file: &File) -> io::Result<FileStamp> {
        Ok(FileStamp::of_stat(&rustix::fs::fstat(file)?))
    }

    pub(crate) fn same_file(&self, other: &FileStamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// A file as it was once seen, to tell whether somebody wrote it since. That somebody gave it other permissions, another
/// owner or another name is no such thing, although it changes the file's `changed`: build systems link objects into other
/// folders at any time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) stamp: FileStamp,
    attributes: Attributes,
    /// False between a rename, which changes `changed` on most file systems, and the next look at the file.
    is_settled: bool,
}

/// What can change of a file without its contents: permissions, number of names, owner and group.
type Attributes = (u64, u64, u64, u64);

impl Sighting {
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    pub(crate) fn of_stat(stat: &Stat) -> Sighting {
        Sighting {
            stamp: FileStamp::of_stat(stat),
            attributes: (
                stat.st_mode as u64,
                stat.st_nlink as u64,
                stat.st_uid as u64,
                stat.st_gid as u64,
            ),
            is_settled: true,
        }
    }

    pub(crate) fn of_file(file: &File) -> io::Result<Sighting> {
        Ok(Sighting::of_stat(&rustix::fs::fstat(file)?))
    }

    /// It as plain numbers, to be kept in a file.
    pub(crate) fn to_words(self) -> [u64; 12] {
        let stamp = self.stamp;
        let (mode, names, owner, group) = self.attributes;
        [
            stamp.device,
            stamp.inode,
            stamp.len,
            stamp.modified.0 as u64,
            stamp.modified.1,
            stamp.changed.0 as u64,
            stamp.changed.1,
            mode,
            names,
            owner,
            group,
            u64::from(self.is_settled),
        ]
    }

    /// What [`to_words`](Sighting::to_words) made.
    pub(crate) fn of_words(words: [u64; 12]) -> Sighting {
        Sighting {
            stamp: FileStamp {
                device: words[0],
                inode: words[1],
                len: words[2],
                modified: (words[3] as i64, words[4]),
                changed: (words[5] as i64, words[6]),
            },
            attributes: (words[7], words[8], words[9], words[10]),
            is_settled: words[11] != 0,
        }
    }

    /// Whether it was written, or given another name, so shortly before `time` that its times do not tell whether that was done again:
    /// files' times have steps, and what is written within one step has the same time.
    pub(crate) fn is_recent(&self, time: (i64, u64)) -> bool {
        let nanos_of =
            |(seconds, nanos): (i64, u64)| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let last = nanos_of(self.stamp.modified).max(nanos_of(self.stamp.changed));
        last + STEP_NANOS > nanos_of(time)
    }

    /// The same file once it has another name; `found` is what was seen of it since, if anything was.
    pub(super) fn renamed(self, found: Option<&Stat>) -> Sighting {
        let unsettled = Sighting {
            is_settled: false,
            ..self
        };
        match found {
            Some(found) if unsettled.is_still(&Sighting::of_stat(found)) => {
                Sighting::of_stat(found)
            }
            _ => unsettled,
        }
    }

    /// Whether `found` is this file with the contents of then, as far as can be told once its names have changed.
    pub(crate) fn is_other_name_of(&self, found: &Sighting) -> bool {
        let same = FileStamp {
            changed: found.stamp.changed,
            ..self.stamp
        };
        same == found.stamp
    }

    /// What tells `found` from this file as it was, in words.
    pub(crate) fn difference(&self, found: &Sighting) -> String {
        let (then, now) = (&self.stamp, &found.stamp);
        if !then.same_file(now) {
            return "another file has taken its place".to_owned();
        }
        if then.len != now.len {
            return format!("it has {} bytes, and had {}", now.len, then.len);
        }
        "it was written since".to_owned()
    }

    /// Whether `found` is this file, and nobody wrote it since.
    pub(crate) fn is_still(&self, found: &Sighting) -> bool {
        let same = FileStamp {
            changed: found.stamp.changed,
            ..self.stamp
        };
        let is_explained = !self.is_settled
            || self.stamp.changed == found.stamp.changed
            || self.attributes != found.attributes;
        same == found.stamp && is_explained
    }
}

/// The permission bits of a file. Those that let it run as its owner are no part of them: a new file may have another one.
pub(super) fn permissions(stat: &Stat) -> rustix::fs::Mode {
    rustix::fs::Mode::from_raw_mode(stat.st_mode & 0o777)
}

/// Whether it is a socket.
pub(super) fn is_socket(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Socket
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

impl Permissions {
    /// Those of the file that is replaced, if there is one.
    pub(super) fn of_new(replaced: Option<&Stat>, executable: bool) -> Permissions {
        match (replaced, executable) {
            (Some(replaced), _) => Permissions::Given(permissions(replaced)),
            (None, true) => Permissions::Executable,
            (None, false) => Permissions::Usual,
        }
    }
}

/// Whether it is a regular file, rather than a folder, a device or a pipe.
pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, FileTimes, Permissions, hard_link};
    use std::os::unix::fs::{FileExt, PermissionsExt};

    fn tick() {
        // The clock of file times ticks every few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }

    #[test]
    fn a_write_is_noticed_though_the_time_was_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"before").unwrap();
        let stat = || rustix::fs::stat(&path).unwrap();
        let written = Sighting::of_stat(&stat());
        tick();
        assert!(written.is_still(&Sighting::of_stat(&stat())));
        let file = File::options().write(true).open(&path).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(b"after ", 0).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
        assert!(!written.is_still(&Sighting::of_stat(&stat())));
        assert_ne!(written.stamp, FileStamp::of_stat(&stat()));
    }

    #[test]
    fn other_permissions_and_names_are_no_change_of_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"before").unwrap();
        let stat = || rustix::fs::stat(&path).unwrap();
        let written = Sighting::of_stat(&stat());
        tick();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(written.is_still(&Sighting::of_stat(&stat())));
        hard_link(&path, folder.path().join("second")).unwrap();
        assert!(written.is_still(&Sighting::of_stat(&stat())));
    }
}
