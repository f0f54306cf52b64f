//! Looking at files without opening them: a named pipe that is opened waits for its writer, and some devices do more than
//! that.

use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::cli::watch::settle::{Look, Stamp};

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

/// How long until a change that is made to a file after `found` is sure to show in its times, if not already: these are of a
/// clock that goes on in steps of some milliseconds.
pub(super) fn until_changes_show(found: &Stamp) -> Duration {
    let wait = clock::now_of_files().map(|(now, step)| match found.changed < now {
        true => 0,
        // One that is from a later time waits for that, or until the file has stood still.
        false => found.changed - now + step,
    });
    Duration::from_nanos(u64::try_from(wait.unwrap_or_default()).unwrap_or(u64::MAX))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod clock {
    use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

    /// What files that change now are marked with, and for how long that stays so.
    pub(super) fn now_of_files() -> Option<(i128, i128)> {
        let read = |found: Timespec| super::nanoseconds(found.tv_sec, found.tv_nsec);
        let coarse = read(clock_gettime(ClockId::RealtimeCoarse));
        let exact = read(clock_gettime(ClockId::Realtime));
        let step = read(clock_getres(ClockId::RealtimeCoarse));
        Some((coarse, (coarse + step - exact).clamp(0, step) + 20_000))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod clock {
    /// Files are marked by a clock that is fine enough.
    pub(super) fn now_of_files() -> Option<(i128, i128)> {
        None
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
