//! Where an output's path leads, before anything is opened: what stands there decides whether it is replaced, written
//! into or refused. And whether an output is one of the files that it is made from.
//!
//! Kept here: links are followed, and nothing that is not a regular file is ever replaced.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, FileType, Stat};
use rustix::io::Errno;

use super::stamp::{FileStamp, is_regular};
use crate::error::{Error, ErrorKind, Result};

/// How many links are followed, as the kernel has it.
const MAX_LINKS: usize = 40;

/// What an output's path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output: the path is `-`.
    StandardOutput,
    /// A device, a pipe or a socket, or an open file that has no name any more: bytes are written into it. It can be
    /// neither replaced nor patched.
    Special,
    /// A regular file, or a name that no file has yet, with links followed: a new version takes its place there.
    File(PathBuf),
}

impl Destination {
    /// Looks where `path` leads and whether a file can be made there; nothing is changed.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the path names a folder or leads nowhere, or if the file's folder is missing or cannot be
    /// written.
    pub fn of(path: &Path) -> Result<Destination> {
        if is_standard_output(path) {
            return Ok(Destination::StandardOutput);
        }
        let io_error = |error: io::Error| Error::io("cannot open the output", path, &error);
        let refused = |message: &str| Error::new(ErrorKind::Io, message).with_path(path);
        let resolved = resolve(path).map_err(io_error)?;
        let names_folder = path.as_os_str().as_bytes().ends_with(b"/");
        if resolved.file_name().is_none() {
            return Err(refused("the output's path has no file name"));
        }
        // What leads somewhere that has no name, or none that may be looked at, is not replaced; what could not be looked at for
        // any other reason is not taken for it, since it would be written into.
        let at_the_end = || match stat(&resolved) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(io_error(error)),
            found => Ok(found),
        };
        if let Some(found) = stat(path).map_err(io_error)? {
            if is_folder(&found) {
                return Err(refused("the output is a folder, not a regular file"));
            }
            if !is_regular(&found) || !is_same(&found, at_the_end()?) {
                return Ok(Destination::Special);
            }
        }
        if names_folder {
            return Err(refused("the output's path names a folder"));
        }
        let folder = resolved.parent().unwrap_or(Path::new("/"));
        let missing = |error: Errno| {
            // As it was written, unless a link leads elsewhere.
            let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
            let written = path
                .parent()
                .filter(|written| !is_link && !written.as_os_str().is_empty());
            Error::io(
                "cannot open the folder",
                written.unwrap_or(folder),
                &error.into(),
            )
            .with_hint("it has to exist already")
        };
        if !is_folder(&rustix::fs::stat(folder).map_err(missing)?) {
            return Err(missing(Errno::NOTDIR));
        }
        rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| Error::io("cannot write in the folder", folder, &error.into()))?;
        Ok(Destination::File(resolved))
    }

    /// As [`Destination::of`], for an output that is going to be patched.
    ///
    /// # Errors
    /// As with [`Destination::of`], and if the path leads to anything but a file.
    pub fn expect_file(path: &Path) -> Result<PathBuf> {
        let what = match Destination::of(path)? {
            Destination::File(resolved) => return Ok(resolved),
            Destination::StandardOutput => "the output is standard output, not a regular file",
            Destination::Special => "the output is not a regular file",
        };
        Err(Error::new(ErrorKind::Io, what)
            .with_path(path)
            .with_hint("only files can be patched"))
    }
}

/// Refuses an output that is one of the files it is made from, by whatever name: it would be gone. To be called before
/// anything is written, with all that is read: objects, archives and their members, lists.
///
/// # Errors
/// [`ErrorKind::BadInput`] with the output's path.
pub fn expect_not_an_input<P: AsRef<Path>>(
    output: &Path,
    inputs: impl IntoIterator<Item = P>,
) -> Result<()> {
    let Some(written) = could_be_read(output) else {
        return Ok(());
    };
    let mut spelled = None;
    for input in inputs {
        let input = input.as_ref();
        let same = match (&written, stat(input)) {
            (Some(written), found) => is_same(written, found),
            // Neither is there yet: a watch waits for its build. What they will be is a matter of spelling.
            (None, Ok(None)) => {
                let spelled = spelled.get_or_insert_with(|| spelling(output));
                spelled.is_some() && *spelled == spelling(input)
            }
            (None, _) => false,
        };
        if same {
            return Err(is_read(output));
        }
    }
    Ok(())
}

/// As [`expect_not_an_input`], for files that have been opened: they need not be looked at again.
///
/// # Errors
/// As with that.
pub(crate) fn expect_not_opened(
    output: &Path,
    mut opened: impl Iterator<Item = FileStamp>,
) -> Result<()> {
    let written = could_be_read(output).flatten();
    let written = written.map(|written| FileStamp::of_stat(&written));
    match written.is_some_and(|written| opened.any(|input| written.same_file(&input))) {
        true => Err(is_read(output)),
        false => Ok(()),
    }
}

/// What stands where an output goes, if anything, and if it may be something that is read.
fn could_be_read(output: &Path) -> Option<Option<Stat>> {
    if is_standard_output(output) {
        return None;
    }
    // What cannot be looked at cannot be opened either, and is refused with a reason where that is tried.
    let written = stat(output).ok()?;
    let is_other = written.as_ref().is_some_and(|found| !is_regular(found));
    (!is_other).then_some(written)
}

#[cold]
fn is_read(output: &Path) -> Error {
    Error::bad_input("is both what is read and what is to be written")
        .with_path(output)
        .with_hint("give the output another name")
}

/// An absolute path to what `path` leads to if it is a link, and to `path` itself if not. The end of the links need not
/// exist. Links among the folders are left in it, since they may come to mean another folder.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut resolved = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        match fs::read_link(&resolved) {
            Ok(target) => {
                let folder = resolved.parent().unwrap_or(Path::new("/"));
                resolved = folder.join(target);
            }
            // There is nothing, or it is no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(resolved),
            Err(error) if is_missing(&error) => return Ok(resolved),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::LOOP.into())
}

fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == OsStr::new("-")
}

/// The path of a file that does not exist, the same however it is spelled.
fn spelling(path: &Path) -> Option<PathBuf> {
    let resolved = resolve(path).ok()?;
    let folder = resolved.parent()?.canonicalize().ok()?;
    Some(folder.join(resolved.file_name()?))
}

fn stat(path: &Path) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(CWD, path, rustix::fs::AtFlags::empty()) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn is_same(one: &Stat, other: io::Result<Option<Stat>>) -> bool {
    let one = FileStamp::of_stat(one);
    matches!(other, Ok(Some(other)) if one.same_file(&FileStamp::of_stat(&other)))
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
