//! Files that are written once and not patched: dense outputs. They go where outputs that can be patched go, by the same
//! rules, and wherever else bytes can be written; no state folder is made for them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::file::io_error;
use super::home::{lock_name, open_private_state};
use super::lock;
use super::options::{Durability, LastCheck, OutputOptions};
use super::place::Destination;
use super::stamp::{Permissions, is_regular};
use super::sys::{self, open_at, open_folder, stat_at};
use super::temporary::NewFile;
use super::writer::FileWriter;
use crate::error::{Error, ErrorKind, Result};

/// Writes a file that is not going to be patched, whole: into what `path` leads to if that is no regular file, otherwise
/// into a new file that takes its place, with its permissions, once `check` has succeeded. [`OutputOptions::publish`] is
/// of no interest.
///
/// # Errors
/// As with [`Destination::of`]; [`ErrorKind::Locked`] if the file is an output that somebody is patching;
/// [`ErrorKind::Io`] if it cannot be written, and what `check` returns: nothing is changed then, unless `path` leads to
/// something that is no file.
pub fn write_file(
    path: &Path,
    options: &OutputOptions,
    bytes: &[u8],
    check: LastCheck<'_>,
) -> Result<()> {
    let write = |file: &FileWriter<'_>| file.write_at(0, bytes);
    match Destination::of(path)? {
        Destination::File(resolved) => {
            replace(path, &resolved, options, (bytes.len() as u64, write), check)
        }
        other => write_elsewhere(path, &other, bytes, check),
    }
}

/// As [`write_file`], for `len` bytes that `write` hands out piece by piece, from several threads if it likes. What no
/// piece covers is zero.
///
/// # Errors
/// As with [`write_file`], and what `write` returns.
pub fn write_file_pieces(
    path: &Path,
    options: &OutputOptions,
    len: u64,
    write: impl FnOnce(&FileWriter<'_>) -> Result<()>,
    check: LastCheck<'_>,
) -> Result<()> {
    match Destination::of(path)? {
        Destination::File(resolved) => replace(path, &resolved, options, (len, write), check),
        other => {
            let in_memory = usize::try_from(len).map_err(|_| {
                Error::limit(format!("an output of {len} bytes does not fit in memory"))
            })?;
            let mut bytes = vec![0; in_memory];
            write(&FileWriter::of_buffer(&mut bytes))?;
            write_elsewhere(path, &other, &bytes, check)
        }
    }
}

/// Writes into what is no regular file.
fn write_elsewhere(
    path: &Path,
    destination: &Destination,
    bytes: &[u8],
    check: LastCheck<'_>,
) -> Result<()> {
    check()?;
    if *destination == Destination::StandardOutput {
        let mut out = io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        return written.map_err(|error| io_error("cannot write", path, &error));
    }
    // Room on a disk is not what a device lacks.
    write_into(path, bytes).map_err(|error| Error::io("cannot write", path, &error))
}

/// Writes into something that is not replaced: it is opened as it is, and neither made nor cut short.
fn write_into(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let found = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(found.st_mode) == FileType::Socket {
        return UnixStream::connect(path)?.write_all(bytes);
    }
    // A terminal must not become the one that controls this process. What has no name any more is a file all the same.
    let shortens = match is_regular(&found) {
        true => OFlags::TRUNC,
        false => OFlags::empty(),
    };
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC | shortens;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    File::from(file).write_all(bytes)
}

fn replace(
    path: &Path,
    resolved: &Path,
    options: &OutputOptions,
    (len, write): (u64, impl FnOnce(&FileWriter<'_>) -> Result<()>),
    check: LastCheck<'_>,
) -> Result<()> {
    let failed = |error: io::Error| io_error("cannot write", path, &error);
    let name = resolved.file_name().unwrap_or_default();
    let visible_name = std::ffi::CString::new(name.as_bytes())
        .map_err(|_| Error::new(ErrorKind::Io, "the path holds a NUL").with_path(path))?;
    let folder = resolved.parent().unwrap_or(Path::new("/"));
    let folder = Arc::new(open_folder(CWD, folder).map_err(|error| failed(error.into()))?);

    // Somebody who patches this file must not lose it. What guards it is held until the new one is in its place.
    let state = open_private_state(&folder).ok();
    let lock = match &state {
        Some(state) => lock::take_if_there(state, &lock_name(name).map_err(&failed)?, path)?,
        None => None,
    };
    if let Ok(visible) = open_at(
        &*folder,
        &visible_name,
        OFlags::RDONLY | OFlags::NONBLOCK,
        Mode::empty(),
    ) {
        lock::expect_unmarked(&visible, path)?;
    }
    let visible = stat_at(&*folder, &visible_name).map_err(|error| failed(error.into()))?;
    if visible.as_ref().is_some_and(|found| !is_regular(found)) {
        let message = "the output is not a regular file any more";
        return Err(Error::new(ErrorKind::Io, message).with_path(path));
    }

    let wanted = Permissions::of_new(visible.as_ref(), options.executable);
    let fresh = NewFile::random(&folder, wanted).map_err(&failed)?;
    let power = options.durability == Durability::Power;
    sys::grow(fresh.file(), 0, len).map_err(&failed)?;
    write(&FileWriter::of_lasting_file(fresh.file(), len))
        .map_err(|error| error.with_path(path))?;
    if power {
        fresh.file().sync_data().map_err(&failed)?;
    }
    check()?;
    fresh.publish(&folder, &visible_name).map_err(&failed)?;
    drop(lock);
    match power {
        true => folder.sync_all().map_err(failed),
        false => Ok(()),
    }
}
