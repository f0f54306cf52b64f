//! The two folders of an output and the lock that makes this process its only writer.
//!
//! Folders are held by descriptor, so that every later step names files relative to them and none can land in
//! another folder because a path changed meaning. The state folder is private: nobody else can put anything where
//! files are about to be created. This file does not know what the files hold.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::lock::{self, WriterLock};
use super::options::OutputOptions;
use super::place::Destination;
use super::stamp::{FileStamp, Permissions};
use super::suffix;
use super::sys::{missing_is_none, open_at, open_folder, stat_at};
use super::temporary::{self, NewFile, Temporary};
use crate::error::{Error, ErrorKind, Result};

/// The state folder's name.
pub(super) const STATE_FOLDER: &CStr = c".wasmend";

/// What keeps the state folder out of version control.
const IGNORE_FILE: &CStr = c".gitignore";
const IGNORE_ALL: &[u8] = b"*\n";

/// The name of the file that is locked by the writer of the output of this name.
pub(super) fn lock_name(output: &OsStr) -> io::Result<CString> {
    text(&[output.as_bytes(), suffix::LOCK.as_bytes()].concat())
}

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
    state: Arc<File>,
    state_name: CString,
    /// `None` where the file system has no locks.
    lock: Option<WriterLock>,
    /// The files in the state folder that must not outlive the process.
    temporary: Temporary,
}

/// Refuses a name that leaves no room for the names of what stands beside the output.
fn expect_short(path: &Path, name: &[u8]) -> Result<()> {
    const MOST: usize = 255 - suffix::JOURNAL.len();
    if name.len() <= MOST {
        return Ok(());
    }
    let text = format!(
        "the output's name has {} bytes; one that is patched can have {MOST}",
        name.len()
    );
    let error = Error::new(ErrorKind::Io, text).with_path(path);
    Err(error.with_hint("give it a shorter name, or make a dense output"))
}

impl Home {
    pub(super) fn open(path: &Path, options: &OutputOptions) -> Result<Home> {
        let io_error = |error: io::Error| Error::io("cannot open the output", path, &error);
        let resolved = Destination::expect_file(path)?;
        let name = resolved.file_name().unwrap_or_default();
        expect_short(path, name.as_bytes())?;
        let suffixed =
            |suffix: &str| text(&[name.as_bytes(), suffix.as_bytes()].concat()).map_err(io_error);
        let names = Names {
            visible: suffixed("")?,
            shadow: suffixed(suffix::SHADOW)?,
            fresh: suffixed(suffix::NEW)?,
            journal: suffixed(suffix::JOURNAL)?,
            lock: lock_name(name).map_err(io_error)?,
        };
        let visible_path = text(resolved.as_os_str().as_bytes()).map_err(io_error)?;
        let folder_path = resolved.parent().map(Path::to_path_buf).unwrap_or_default();
        let folder = open_folder(rustix::fs::CWD, &folder_path).map_err(|error| {
            Error::io("cannot open the folder", &folder_path, &error.into())
                .with_hint("it has to exist already")
        })?;
        let (state, state_name) = open_state(&folder).map_err(|error| {
            let doing = "cannot use the state folder `.wasmend` beside the output";
            Error::io(doing, path, &error)
        })?;
        let lock = lock::take(&state, &names.lock, path, options)?;
        let state = Arc::new(state);
        let temporary = Temporary::enter(&state, [names.shadow.as_c_str(), &names.fresh]);
        Ok(Home {
            path: path.to_path_buf(),
            folder_path,
            visible_path,
            names,
            folder,
            state,
            state_name,
            lock,
            temporary,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets another writer open the output, whose files this process does not remove then when it ends.
    pub(super) fn leave(&mut self) {
        self.temporary = Temporary::none();
        self.lock = None;
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
            && same(&self.state, stat_at(&self.folder, &self.state_name)?)?
            && match &self.lock {
                Some(lock) => same(lock.file(), stat_at(&*self.state, &self.names.lock)?)?,
                None => true,
            })
    }

    /// The visible file's metadata, if there is one.
    pub(super) fn visible(&self) -> io::Result<Option<Stat>> {
        Ok(stat_at(rustix::fs::CWD, &self.visible_path)?)
    }

    /// Opens the visible file, without waiting for anybody if a pipe has taken its place.
    pub(super) fn open_visible(&self, flags: OFlags) -> std::result::Result<File, Errno> {
        let flags = flags | OFlags::NONBLOCK;
        open_at(rustix::fs::CWD, &self.visible_path, flags, Mode::empty())
    }

    /// Opens a file in the state folder.
    pub(super) fn open_state_file(
        &self,
        name: &CStr,
        flags: OFlags,
    ) -> std::result::Result<File, Errno> {
        open_at(&*self.state, name, flags, Mode::empty())
    }

    /// Creates a file in the state folder, in place of any that has the name.
    pub(super) fn create(&self, name: &CStr, wanted: Permissions) -> io::Result<NewFile> {
        self.remove(name)?;
        NewFile::named(&self.state, name, wanted)
    }

    /// Removes a file from the state folder; it is no error if there is none.
    pub(super) fn remove(&self, name: &CStr) -> io::Result<()> {
        temporary::remove(&self.state, name)
    }

    /// Gives a new file the visible name, in place of the visible file.
    pub(super) fn publish(&self, fresh: NewFile) -> io::Result<()> {
        fresh.publish(&self.folder, &self.names.visible)
    }

    /// Makes the shadow visible and the visible file the shadow.
    pub(super) fn exchange(&self) -> std::result::Result<(), Errno> {
        let names = &self.names;
        rustix::fs::renameat_with(
            &*self.state,
            &names.shadow,
            &self.folder,
            &names.visible,
            RenameFlags::EXCHANGE,
        )
    }

    /// Gives the shadow the visible name, in place of the visible file.
    pub(super) fn replace_visible(&self) -> std::result::Result<(), Errno> {
        rustix::fs::renameat(
            &*self.state,
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

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path holds a NUL"))
}

/// Where another user has a state folder, which is nobody else's, one's own stands beside it.
pub(super) fn own_state_name() -> io::Result<CString> {
    let me = rustix::process::geteuid().as_raw();
    text(&[STATE_FOLDER.to_bytes(), format!("-{me}").as_bytes()].concat())
}

/// Opens the state folder, which is made if there is none, and says what it is called.
pub(super) fn open_state(folder: &File) -> io::Result<(File, CString)> {
    let make = |name: &CStr| match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open_private(folder, name),
        Err(error) => Err(error.into()),
    };
    let (state, name) = match make(STATE_FOLDER) {
        Ok(state) => (state, STATE_FOLDER.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let own = own_state_name()?;
            (make(&own)?, own)
        }
        Err(error) => return Err(error),
    };
    // It need not be there for anything else, and cannot be on a full disk.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    if let Ok(mut file) = open_at(&state, IGNORE_FILE, flags, Mode::RUSR | Mode::WUSR) {
        let _ = file.write_all(IGNORE_ALL);
    }
    Ok((state, name))
}

/// Opens the state folder of this user, if there is one.
pub(super) fn open_private_state(folder: &File) -> io::Result<File> {
    match open_private(folder, STATE_FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_private(folder, &own_state_name()?)
        }
        opened => opened,
    }
}

/// The same, for those who only look: nothing of it is changed.
pub(super) fn find_state(folder: &File) -> io::Result<File> {
    match open_trusted(folder, STATE_FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_trusted(folder, &own_state_name()?).map_err(|_| error)
        }
        opened => opened,
    }
}

/// Opens a state folder as [`open_trusted`] does, and sees to it that nobody else can write in it.
fn open_private(folder: &File, name: &CStr) -> io::Result<File> {
    let state = open_trusted(folder, name)?;
    if rustix::fs::fstat(&state)?.st_mode & 0o077 != 0 {
        // Older versions made it for everybody. Some file systems have no permissions.
        let _ = rustix::fs::fchmod(&state, Mode::RWXU);
    }
    Ok(state)
}

/// Opens a state folder, if it is one that nobody else could have put there: whoever may write in it can put links or other
/// files in the place of those that are written.
fn open_trusted(folder: &File, name: &CStr) -> io::Result<File> {
    // A link that stands there is not followed.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let state = open_at(folder, name, flags, Mode::empty())?;
    let (found, around) = (rustix::fs::fstat(&state)?, rustix::fs::fstat(folder)?);
    let me = rustix::process::geteuid().as_raw();
    // Whoever owns the folder around it can replace the output itself.
    if ![me, 0, around.st_uid].contains(&found.st_uid) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it belongs to another user",
        ));
    }
    Ok(state)
}
