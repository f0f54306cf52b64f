//! Looking at files without opening them: a named pipe that is opened waits for its writer, and some devices do more than
//! that.

use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::cli::watch::settle::{Look, Stamp};

/// What `statfs` calls file systems.
pub(super) mod file_system {
    /// ext2, ext3 and ext4.
    pub(in crate::cli::watch) const EXT: u32 = 0xef53;
    pub(in crate::cli::watch) const XFS: u32 = 0x5846_5342;
    pub(in crate::cli::watch) const BTRFS: u32 = 0x9123_683e;
    pub(in crate::cli::watch) const TMPFS: u32 = 0x0102_1994;
}

/// Looks at a file, following links.
pub(super) fn look(file: &Path) -> Look {
    match std::fs::metadata(file) {
        Ok(found) if found.is_file() => Look::Present(Stamp {
            device: found.dev(),
            inode: found.ino(),
            len: found.len(),
            modified: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed: nanoseconds(found.ctime(), found.ctime_nsec()),
        }),
        Ok(found) => Look::Refused(format!("is {}, not a file", kind(found.file_type()))),
        Err(error) if is_missing(&error) => Look::Missing,
        Err(error) => Look::Refused(format!("cannot be looked at: {error}")),
    }
}

/// How long until a change that is made to a file after `found` is sure to show in its times, if not already.
pub(super) fn until_changes_show(file: &Path, found: &Stamp) -> Duration {
    let Some(clock) = clock::of_files() else {
        return Duration::ZERO;
    };
    let wait = match clock.until_changes_show(found.changed) {
        0 => 0,
        _ if clock::is_exact_once_looked_at(file) => 0,
        wait => wait,
    };
    Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
}

/// The clock that files are marked by, which goes on in steps of some milliseconds. File systems of newer kernels take the
/// exact time instead for a file that somebody has looked at since it was last marked.
#[derive(Debug, Clone, Copy)]
struct FileClock {
    /// What files are marked with in this step.
    step: i128,
    /// How long a step is.
    length: i128,
    exact: i128,
}

impl FileClock {
    fn until_changes_show(self, changed: i128) -> i128 {
        match changed {
            _ if changed < self.step => 0,
            // No step has this time: the file was marked exactly, and has been looked at since.
            _ if changed > self.step && changed <= self.exact => 0,
            // One that is from a later time waits for that, or until the file has stood still.
            _ => {
                let left = (self.step + self.length - self.exact).clamp(0, self.length);
                changed - self.step + left + 20_000
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod clock {
    use std::path::Path;
    use std::sync::LazyLock;

    use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

    /// Reads the clock that files are marked by.
    pub(super) fn of_files() -> Option<super::FileClock> {
        let read = |found: Timespec| super::nanoseconds(found.tv_sec, found.tv_nsec);
        // A step that has begun by the time that the exact clock is read could not be told from an exact time.
        Some(super::FileClock {
            exact: read(clock_gettime(ClockId::Realtime)),
            step: read(clock_gettime(ClockId::RealtimeCoarse)),
            length: read(clock_getres(ClockId::RealtimeCoarse)),
        })
    }

    /// Whether a file whose times were read is marked exactly when it changes next, by its file system and the kernel. What
    /// older kernels do with what is read is not known here, nor what a network's servers do.
    pub(super) fn is_exact_once_looked_at(file: &Path) -> bool {
        use super::file_system::{BTRFS, EXT, TMPFS, XFS};
        const EXACT: [u32; 4] = [EXT, XFS, BTRFS, TMPFS];
        static KERNEL: LazyLock<bool> = LazyLock::new(|| {
            let name = rustix::system::uname();
            is_since_6_13(&name.release().to_string_lossy())
        });
        *KERNEL
            && rustix::fs::statfs(file).is_ok_and(|found| EXACT.contains(&(found.f_type as u32)))
    }

    pub(super) fn is_since_6_13(release: &str) -> bool {
        let mut numbers = release.split('.').map(|number| {
            let digits = number.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse::<u32>().ok())
        });
        let version = (numbers.next().flatten(), numbers.next().flatten());
        matches!(version, (Some(major), Some(minor)) if (major, minor) >= (6, 13))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod clock {
    /// Files are marked by a clock that is fine enough.
    pub(super) fn of_files() -> Option<super::FileClock> {
        None
    }

    pub(super) fn is_exact_once_looked_at(_: &std::path::Path) -> bool {
        true
    }
}

/// Looks at an output: it cannot be written where its folder is gone.
pub(super) fn look_at_output(file: &Path) -> Look {
    match look(file) {
        Look::Missing if !folder(file).is_dir() => Look::Refused("its folder is gone".to_owned()),
        found => found,
    }
}

/// The folder that a file is in.
pub(super) fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Reads a regular file; opening it does not wait for anybody, whatever it has become meanwhile.
pub(super) fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut open = open(file)?;
    let mut bytes = Vec::new();
    open.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file for reading.
pub(super) fn open(file: &Path) -> io::Result<std::fs::File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits() as i32);
    let open = options.open(file)?;
    match open.metadata()?.is_file() {
        true => Ok(open),
        false => Err(io::Error::other("is not a regular file")),
    }
}

fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn kind(found: std::fs::FileType) -> &'static str {
    match found {
        _ if found.is_dir() => "a directory",
        _ if found.is_fifo() => "a named pipe",
        _ if found.is_socket() => "a socket",
        _ => "a device",
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_in_the_next_step_of_the_clock_or_at_once_in_a_file_that_was_marked_exactly() {
        let clock = FileClock {
            step: 8_000_000,
            length: 4_000_000,
            exact: 9_500_000,
        };
        assert_eq!(clock.until_changes_show(7_999_999), 0);
        // Marked in this step: so will be what is changed during the rest of it.
        assert_eq!(clock.until_changes_show(8_000_000), 2_520_000);
        assert_eq!(clock.until_changes_show(8_000_001), 0);
        assert_eq!(clock.until_changes_show(9_500_000), 0);
        // From a later time, by a clock that was set back: its next mark may be any.
        assert_eq!(clock.until_changes_show(9_500_001), 4_020_001);
        // A step that began after the exact clock was read.
        let clock = FileClock {
            exact: 7_999_990,
            ..clock
        };
        assert_eq!(clock.until_changes_show(8_000_000), 4_020_000);
        assert_eq!(clock.until_changes_show(8_000_001), 4_020_001);
    }

    #[test]
    fn kernels_that_mark_files_exactly_are_known_by_their_version() {
        for release in ["6.13.0", "6.13-rc1", "6.18.44-fc", "7.0", "10.1.2-generic"] {
            assert!(clock::is_since_6_13(release), "{release}");
        }
        for release in ["6.12.9", "6.1.0-13-amd64", "5.15", "6", "", "six.thirteen"] {
            assert!(!clock::is_since_6_13(release), "{release}");
        }
    }

    #[test]
    fn a_file_that_needs_no_waiting_shows_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for text in ["a", "b"].repeat(200) {
            std::fs::write(&file, text).unwrap();
            let Look::Present(found) = look(&file) else {
                panic!("it was written");
            };
            if until_changes_show(&file, &found).is_zero() {
                std::fs::write(&file, text).unwrap();
                assert_ne!(look(&file), Look::Present(found));
            }
        }
    }

    #[test]
    fn what_is_no_file_is_named_and_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(look(&path("missing")), Look::Missing);
        std::fs::write(path("file"), "text").unwrap();
        assert!(matches!(look(&path("file")), Look::Present(stamp) if stamp.len == 4));
        assert_eq!(look(&path("file/inside")), Look::Missing);
        let pipe = path("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let refused = |text: &str| Look::Refused(text.to_owned());
        assert_eq!(look(&pipe), refused("is a named pipe, not a file"));
        assert_eq!(look(folder.path()), refused("is a directory, not a file"));
        // Nobody writes into it; this would wait for ever.
        assert!(read(&pipe).is_err());
        assert_eq!(look_at_output(&path("out")), Look::Missing);
        assert_eq!(
            look_at_output(&path("gone/out")),
            refused("its folder is gone")
        );
    }
}
