//! What makes a process an output's only writer: a lock file in the state folder, and a mark on the output itself.
//!
//! The lock decides. The mark is there for the case that somebody removes the state folder, and the lock with it, while
//! a writer runs: the next one would find nothing in its way. This file does not know what a writer does.

use std::ffi::CStr;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::options::OutputOptions;
use super::stamp::FileStamp;
use super::sys::{self, open_at, stat_at};
use crate::error::{Error, ErrorKind, Result};

/// For nobody else.
pub(super) const PRIVATE: Mode = Mode::from_bits_retain(0o600);

/// The lock of an output's only writer, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct WriterLock(File);

impl WriterLock {
    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Closing would end it too, but not while a child process that was just forked has the descriptor.
        let _ = self.0.unlock();
    }
}

/// Takes the writer's lock and writes this process's id into it. `None` where the file system has no locks.
pub(super) fn take(
    state: &File,
    name: &CStr,
    path: &Path,
    options: &OutputOptions,
) -> Result<Option<WriterLock>> {
    let io_error = |error: io::Error| Error::io("cannot lock the output", path, &error);
    loop {
        let file = open_at(state, name, OFlags::RDWR | OFlags::CREATE, PRIVATE)
            .map_err(|error| io_error(error.into()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(Some(&file), path)),
            Err(TryLockError::Error(error)) => {
                match Errno::from_io_error(&error) {
                    Some(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK | Errno::INVAL) => {
                        options.tell("this file system has no file locks: a second writer would not be noticed");
                        return Ok(None);
                    }
                    _ => return Err(io_error(error)),
                }
            }
        }
        // Somebody may have removed the file between opening and locking: then it guards nothing.
        let held = FileStamp::of_file(&file).map_err(io_error)?;
        let found = stat_at(state, name).map_err(|error| io_error(error.into()))?;
        if !found.is_some_and(|found| held.same_file(&FileStamp::of_stat(&found))) {
            continue;
        }
        // The id only serves a message: on a full disk the lock must hold without it. It takes the same room each time, since
        // cutting a file short takes longer than all else here.
        let id = format!("{:<10}\n", std::process::id());
        let _ = file.write_all_at(id.as_bytes(), 0);
        return Ok(Some(WriterLock(file)));
    }
}

/// Takes the writer's lock if there is a lock file: for those who write once and leave nothing behind.
pub(super) fn take_if_there(state: &File, name: &CStr, path: &Path) -> Result<Option<WriterLock>> {
    let Ok(file) = open_at(state, name, OFlags::RDWR, PRIVATE) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(WriterLock(file))),
        Err(TryLockError::WouldBlock) => Err(locked(Some(&file), path)),
        // There are no locks here, so nobody has one.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Refuses an output that carries the mark of another writer. `file` is the output, open for reading.
pub(super) fn expect_unmarked(file: &File, path: &Path) -> Result<()> {
    match sys::is_marked(file) {
        true => Err(locked(None, path)),
        false => Ok(()),
    }
}

#[cold]
fn locked(lock: Option<&File>, path: &Path) -> Error {
    let mut id = [0; 16];
    let read = lock.map_or(0, |lock| lock.read_at(&mut id, 0).unwrap_or(0));
    let id = std::str::from_utf8(&id[..read])
        .ok()
        .and_then(|id| id.trim_end().parse::<u32>().ok());
    // The holder writes its id right after locking, so there can be none for a moment.
    let holder = id.map_or("another process".to_string(), |id| format!("process {id}"));
    Error::new(
        ErrorKind::Locked,
        format!("{holder} is writing this output"),
    )
    .with_path(path)
    .with_hint("wait for it to end, or stop it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_though_a_child_that_was_just_forked_has_its_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let state = File::open(folder.path()).unwrap();
        let take = || {
            take(
                &state,
                c"out.lock",
                folder.path(),
                &OutputOptions::default(),
            )
        };
        let lock = take().unwrap().unwrap();
        // As after a fork, until the child starts another program.
        let _of_child = lock.file().try_clone().unwrap();
        assert_eq!(take().unwrap_err().kind(), ErrorKind::Locked);
        drop(lock);
        assert!(take().unwrap().is_some());
    }
}
