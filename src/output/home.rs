//! The two folders of an output and the lock that makes this process its only writer.
//!
//! Folders are held by descriptor, so that every later step names files relative to them and none can land in
//! another folder because a path changed meaning. This file does not know what the files hold.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::options::OutputOptions;
use super::stamp::{FileStamp, Permissions, is_regular, permissions};
use crate::error::{Error, ErrorKind, Result};

/// The state folder's name.
const STATE_FOLDER: &CStr = c".wasmend";

/// The names of an output's files, each relative to the folder it stands in.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) visible: CString,
    pub(super) shadow: CString,
    pub(super) fresh: CString,
    pub(super) journal: CString,
    lock: CString,
}

/// Where an output lives. While this exists, no other writer can open the same output.
#[derive(Debug)]
pub(super) struct Home {
    /// The path as it was given, for messages.
    path: PathBuf,
    /// The folder's absolute path: the working directory may change.
    folder_path: PathBuf,
    /// The visible file's absolute path, so that a folder that was moved away is noticed.
    visible_path: CString,
    pub(super) names: Names,
    folder: File,
    state: File,
    /// `None` where the file system has no locks.
    lock: Option<File>,
}

impl Home {
    pub(super) fn open(path: &Path, options: &OutputOptions) -> Result<Home> {
        let io_error = |error: io::Error| Error::io("cannot open the output", path, &error);
        let resolved = resolve(path).map_err(io_error)?;
        let name = match resolved.file_name() {
            Some(name) => name,
            None => {
                return Err(
                    Error::new(ErrorKind::Io, "the output's path has no file name").with_path(path),
                );
            }
        };
        let suffixed =
            |suffix: &str| text(&[name.as_bytes(), suffix.as_bytes()].concat()).map_err(io_error);
        let names = Names {
            visible: suffixed("")?,
            shadow: suffixed(".shadow")?,
            fresh: suffixed(".new")?,
            journal: suffixed(".journal")?,
            lock: suffixed(".lock")?,
        };
        let visible_path = text(resolved.as_os_str().as_bytes()).map_err(io_error)?;
        let folder_path = resolved.parent().map(Path::to_path_buf).unwrap_or_default();
        let folder = open_folder(rustix::fs::CWD, &folder_path).map_err(|error| {
            Error::io("cannot open the folder", &folder_path, &error.into())
                .with_hint("it has to exist already")
        })?;
        let visible = stat_at(&folder, &names.visible).map_err(|error| io_error(error.into()))?;
        if visible.is_some_and(|stat| !is_regular(&stat)) {
            return Err(
                Error::new(ErrorKind::Io, "the output is not a regular file").with_path(path),
            );
        }
        let state = open_state(&folder).map_err(|error| {
            Error::io(
                "cannot create the state folder `.wasmend` beside the output",
                path,
                &error.into(),
            )
        })?;
        let lock = lock(&state, &names.lock, path, options)?;
        Ok(Home {
            path: path.to_path_buf(),
            folder_path,
            visible_path,
            names,
            folder,
            state,
            lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reopens the folders and the lock if somebody removed or replaced them. True if it had to.
    pub(super) fn refresh(&mut self, options: &OutputOptions) -> Result<bool> {
        let stands = self
            .stands()
            .map_err(|error| Error::io("cannot look at the output's folder", &self.path, &error))?;
        if stands {
            return Ok(false);
        }
        let path = self.path.clone();
        *self = Home::open(
            Path::new(OsStr::from_bytes(self.visible_path.to_bytes())),
            options,
        )?;
        self.path = path;
        Ok(true)
    }

    /// Whether the paths still lead to the folders and the lock that are held.
    fn stands(&self) -> io::Result<bool> {
        let same = |held: &File, found: Option<Stat>| {
            let held = FileStamp::of_file(held)?;
            io::Result::Ok(found.is_some_and(|found| held.same_file(&FileStamp::of_stat(&found))))
        };
        let folder = missing_is_none(rustix::fs::stat(&self.folder_path))?;
        Ok(same(&self.folder, folder)?
            && same(&self.state, stat_at(&self.folder, STATE_FOLDER)?)?
            && match &self.lock {
                Some(lock) => same(lock, stat_at(&self.state, &self.names.lock)?)?,
                None => true,
            })
    }

    /// The visible file's metadata, if there is one.
    pub(super) fn visible(&self) -> io::Result<Option<Stat>> {
        Ok(stat_at(rustix::fs::CWD, &self.visible_path)?)
    }

    pub(super) fn open_visible(&self, flags: OFlags) -> std::result::Result<File, Errno> {
        open_at(rustix::fs::CWD, &self.visible_path, flags, USUAL)
    }

    /// Opens a file in the state folder.
    pub(super) fn open_state_file(
        &self,
        name: &CStr,
        flags: OFlags,
    ) -> std::result::Result<File, Errno> {
        open_at(&self.state, name, flags, USUAL)
    }

    /// Creates a file in the state folder, in place of any that has the name. It goes away when dropped, unless it was published or kept.
    pub(super) fn create<'a>(
        &'a self,
        name: &'a CStr,
        wanted: Permissions,
    ) -> io::Result<NewFile<'a>> {
        self.remove(name)?;
        let (usual, wanted) = match wanted {
            Permissions::Usual => (USUAL, None),
            Permissions::Executable => (EXECUTABLE, None),
            Permissions::Given(mode) => (USUAL, Some(mode)),
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open_at(&self.state, name, flags, usual)?;
        let created = NewFile {
            home: self,
            name,
            file: Some(file),
        };
        if let Some(wanted) = wanted
            && permissions(&rustix::fs::fstat(created.file())?) != wanted
        {
            rustix::fs::fchmod(created.file(), wanted)?;
        }
        Ok(created)
    }

    /// Removes a file from the state folder; it is no error if there is none.
    pub(super) fn remove(&self, name: &CStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.state, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the shadow visible and the visible file the shadow.
    pub(super) fn exchange(&self) -> std::result::Result<(), Errno> {
        let names = &self.names;
        rustix::fs::renameat_with(
            &self.state,
            &names.shadow,
            &self.folder,
            &names.visible,
            RenameFlags::EXCHANGE,
        )
    }

    /// Gives the shadow the visible name, in place of the visible file.
    pub(super) fn replace_visible(&self) -> std::result::Result<(), Errno> {
        rustix::fs::renameat(
            &self.state,
            &self.names.shadow,
            &self.folder,
            &self.names.visible,
        )
    }

    /// Flushes the names in both folders.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.folder.sync_all()?;
        self.state.sync_all()
    }

    /// Flushes the names in the state folder.
    pub(super) fn sync_state(&self) -> io::Result<()> {
        self.state.sync_all()
    }
}

/// A file in the state folder that nobody else knows of yet.
pub(super) struct NewFile<'a> {
    home: &'a Home,
    name: &'a CStr,
    /// `None` once it has been given away.
    file: Option<File>,
}

impl NewFile<'_> {
    pub(super) fn file(&self) -> &File {
        self.file
            .as_ref()
            .expect("a new file is given away by value")
    }

    /// Gives it the visible name, in place of whatever has it.
    pub(super) fn publish(mut self) -> io::Result<File> {
        let home = self.home;
        rustix::fs::renameat(&home.state, self.name, &home.folder, &home.names.visible)?;
        Ok(self.file.take().expect("a new file is given away by value"))
    }

    /// Lets it stay under its name.
    pub(super) fn keep(mut self) -> File {
        self.file.take().expect("a new file is given away by value")
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed now is removed on the next open.
            let _ = self.home.remove(self.name);
        }
    }
}

/// Follows a symbolic link, so that the file it leads to is replaced and not the link.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => std::fs::canonicalize(path),
        _ => std::path::absolute(path),
    }
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path holds a NUL"))
}

fn open_folder(at: impl AsFd, path: impl rustix::path::Arg) -> std::result::Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty()).map(File::from)
}

fn open_state(folder: &File) -> std::result::Result<File, Errno> {
    match rustix::fs::mkdirat(folder, STATE_FOLDER, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => open_folder(folder, STATE_FOLDER),
        Err(error) => Err(error),
    }
}

/// The permissions of a new file, before the user's mask takes its share.
const USUAL: Mode = Mode::from_bits_retain(0o666);
const EXECUTABLE: Mode = Mode::from_bits_retain(0o777);

fn open_at(
    folder: impl AsFd,
    name: &CStr,
    flags: OFlags,
    mode: Mode,
) -> std::result::Result<File, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(folder, name, flags, mode).map(File::from)
}

fn stat_at(folder: impl AsFd, name: &CStr) -> std::result::Result<Option<Stat>, Errno> {
    missing_is_none(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))
}

fn missing_is_none(
    found: std::result::Result<Stat, Errno>,
) -> std::result::Result<Option<Stat>, Errno> {
    match found {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the writer's lock and writes this process's id into it.
fn lock(state: &File, name: &CStr, path: &Path, options: &OutputOptions) -> Result<Option<File>> {
    let io_error = |error: io::Error| Error::io("cannot lock the output", path, &error);
    loop {
        let file = open_at(state, name, OFlags::RDWR | OFlags::CREATE, USUAL)
            .map_err(|error| io_error(error.into()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(&file, path)),
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
        // The id only serves a message: on a full disk the lock must hold without it.
        let id = format!("{}\n", std::process::id());
        if file.set_len(0).is_ok() {
            let _ = file.write_all_at(id.as_bytes(), 0);
        }
        return Ok(Some(file));
    }
}

#[cold]
fn locked(lock: &File, path: &Path) -> Error {
    let mut id = [0; 16];
    let read = lock.read_at(&mut id, 0).unwrap_or(0);
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
