//! Removing what is kept beside an output: its state, its log, and what killed processes left. The output itself stays.
//!
//! Kept here: it is done as the output's one writer, so nobody is using what goes; links are not followed; and what is not a
//! regular file of this user is left alone.

use std::ffi::{CStr, CString};
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::file::FileOutput;
use super::home::{STATE_FOLDER, own_state_name};
use super::options::OutputOptions;
use super::place::Destination;
use super::stamp::{FileStamp, is_regular};
use super::state::{StateEntry, StateFolder};
use super::suffix;
use super::sys::{self, Lease, open_at, open_folder, stat_at};
use super::temporary;
use crate::error::{Error, ErrorKind, Result};

/// What was removed, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Names of files, and how much of the disk each has taken.
    pub removed: Vec<(String, u64)>,
    /// Names of what stays, and why.
    pub left: Vec<(String, String)>,
}

/// Removes everything that is kept beside an output that can be patched, and what killed processes left there. The output stays as
/// it is, but for the roll-back of a write that was cut short.
///
/// # Errors
/// [`ErrorKind::Locked`] if somebody is writing the output or using its state; [`ErrorKind::Io`] if the state folder is another
/// user's, or cannot be changed.
pub fn clear_state(output: &Path, options: &OutputOptions) -> Result<Cleared> {
    let failed = |error: io::Error| Error::io("cannot remove what is kept of", output, &error);
    let resolved = Destination::expect_file(output)?;
    let around = resolved.parent().unwrap_or(Path::new("/"));
    let around = open_folder(CWD, around).map_err(|error| failed(error.into()))?;
    let mut cleared = Cleared::default();
    match StateFolder::existing(output) {
        Ok(folder) => clear_folder(output, options, &folder, &around, &mut cleared)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // What was to be written once, and was not finished, stands beside the output.
    clear_unfinished(&around, &mut cleared).map_err(failed)?;
    Ok(cleared)
}

fn clear_folder(
    output: &Path,
    options: &OutputOptions,
    folder: &StateFolder,
    around: &File,
    cleared: &mut Cleared,
) -> Result<()> {
    let failed = |error: io::Error| Error::io("cannot remove what is kept of", output, &error);
    let before = folder.entries().map_err(failed)?;
    // A process that goes on with the state holds this before it opens the output.
    let heap = folder.open(suffix::HEAP).ok();
    if let Some(heap) = &heap
        && let Err(TryLockError::WouldBlock) = heap.try_lock()
    {
        let error = Error::new(ErrorKind::Locked, "another process is using the state");
        return Err(error.with_path(output).with_hint("wait for it to end"));
    }
    let writer = FileOutput::open(output, options.clone())?;
    // The lock last: until then nobody else can come.
    let (lock, others): (Vec<&StateEntry>, Vec<&StateEntry>) = before
        .iter()
        .partition(|entry| entry.suffix == Some(suffix::LOCK));
    for entry in others.into_iter().chain(lock) {
        clear_entry(folder.file(), entry, cleared).map_err(failed)?;
    }
    temporary::remove(folder.file(), &folder.lock_name().map_err(failed)?).map_err(failed)?;
    drop((writer, heap));
    // Nobody else's output is kept here if nothing is left but what tells git to ignore it.
    const IGNORE: &CStr = c".gitignore";
    let others = rustix::fs::Dir::read_from(folder.file()).map_err(|error| failed(error.into()))?;
    let others = others.flatten().filter(|entry| {
        let name = entry.file_name();
        ![c".", c"..", IGNORE].contains(&name)
    });
    if others.count() == 0 {
        let _ = temporary::remove(folder.file(), IGNORE);
        remove_folder(around, folder.file());
    }
    Ok(())
}

fn clear_entry(folder: &File, entry: &StateEntry, cleared: &mut Cleared) -> io::Result<()> {
    let name = CString::new(entry.name.as_bytes())?;
    let why = if !entry.is_of_kind {
        "it is not a regular file"
    } else if !entry.is_own {
        "it belongs to another user"
    } else if entry.suffix.is_none() && is_in_use(folder, &name) {
        "a process has it open"
    } else {
        // Of some of it the writer has disposed already.
        temporary::remove(folder, &name)?;
        cleared.removed.push((entry.name.clone(), entry.allocated));
        return Ok(());
    };
    cleared.left.push((entry.name.clone(), why.to_owned()));
    Ok(())
}

/// Whether a process has the file open, as far as that can be told: where it cannot, it may be.
fn is_in_use(folder: &File, name: &CStr) -> bool {
    let flags = OFlags::RDWR | OFlags::NONBLOCK;
    let Ok(file) = open_at(folder, name, flags, Mode::empty()) else {
        return true;
    };
    let lease = sys::take_lease(&file);
    sys::end_lease(&file);
    lease != Lease::Granted
}

/// Removes files of random names that nobody has open.
fn clear_unfinished(around: &File, cleared: &mut Cleared) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(around)? {
        let entry = entry?;
        let name = entry.file_name();
        if !temporary::is_random_name(name) {
            continue;
        }
        let Some(stat) = stat_at(around, name)? else {
            continue;
        };
        let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
        if is_regular(&stat) && is_own && !is_in_use(around, name) {
            temporary::remove(around, name)?;
            let allocated = stat.st_blocks as u64 * 512;
            let name = name.to_string_lossy().into_owned();
            cleared.removed.push((name, allocated));
        }
    }
    Ok(())
}

/// Removes a state folder that is empty, under whichever name it has.
fn remove_folder(around: &File, state: &File) {
    let own = own_state_name();
    let names = std::iter::once(STATE_FOLDER).chain(own.as_deref().ok());
    for name in names {
        let held = FileStamp::of_file(state).ok();
        let found = stat_at(around, name).ok().flatten();
        let found = found.map(|found| FileStamp::of_stat(&found));
        if let (Some(held), Some(found)) = (held, found)
            && held.same_file(&found)
        {
            // Somebody may have put something there meanwhile: then it stays.
            let _ = rustix::fs::unlinkat(around, name, AtFlags::REMOVEDIR);
        }
    }
}
