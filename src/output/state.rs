//! The state folder for those who keep something about an output beside it, under names that begin with the output's.
//!
//! Nobody else can put anything there: that is `home`'s doing. This does not know what is kept.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};

use super::home::open_state;
use super::lock::PRIVATE;
use super::place::Destination;
use super::stamp::Permissions;
use super::sys::{open_at, open_folder};
use super::temporary::{self, NewFile, Temporary};

/// Where something about one output is kept.
#[derive(Debug)]
pub(crate) struct StateFolder {
    folder: Arc<File>,
    /// The file name of the output.
    name: Vec<u8>,
    /// Where the output is.
    output: PathBuf,
}

/// A file that is not finished: it is gone if it never is.
#[derive(Debug)]
pub(crate) struct Unfinished {
    file: NewFile,
    name: CString,
    folder: Arc<File>,
    _temporary: Temporary,
}

impl Unfinished {
    pub(crate) fn file(&self) -> &File {
        self.file.file()
    }

    /// Gives it its name, in place of any that has it.
    pub(crate) fn publish(self) -> io::Result<()> {
        self.file.publish(&self.folder, &self.name)
    }
}

impl StateFolder {
    /// The folder beside an output, which is made if there is none.
    ///
    /// # Errors
    /// If the output is not a regular file, or the folder cannot be used.
    pub(crate) fn beside(output: &Path) -> io::Result<StateFolder> {
        let resolved = Destination::expect_file(output).map_err(io::Error::other)?;
        let around = resolved.parent().unwrap_or(Path::new("/"));
        let folder = open_folder(CWD, around)?;
        let (state, _) = open_state(&folder)?;
        Ok(StateFolder {
            folder: Arc::new(state),
            name: resolved.file_name().unwrap_or_default().as_bytes().to_vec(),
            output: resolved.clone(),
        })
    }

    fn name(&self, suffix: &str) -> io::Result<CString> {
        Ok(CString::new([&self.name[..], suffix.as_bytes()].concat())?)
    }

    /// Opens a file that is there, to be read and written.
    pub(crate) fn open(&self, suffix: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK;
        let file = open_at(&*self.folder, &self.name(suffix)?, flags, Mode::empty())?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Opens a file that is there, only to be read.
    pub(crate) fn open_to_read(&self, suffix: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        Ok(open_at(
            &*self.folder,
            &self.name(suffix)?,
            flags,
            Mode::empty(),
        )?)
    }

    /// Gives the output a second name here, so that it stays if somebody takes the first away.
    pub(crate) fn keep_output(&self, suffix: &str) -> io::Result<()> {
        self.remove(suffix)?;
        let (from, to) = (CWD, &*self.folder);
        Ok(linkat(
            from,
            &self.output,
            to,
            self.name(suffix)?,
            AtFlags::empty(),
        )?)
    }

    /// Gives an output that was kept its first name again, if nothing has that.
    pub(crate) fn restore_output(&self, suffix: &str) -> io::Result<()> {
        let (from, to) = (&*self.folder, CWD);
        Ok(linkat(
            from,
            self.name(suffix)?,
            to,
            &self.output,
            AtFlags::empty(),
        )?)
    }

    /// All of a file that is there, if it is no longer than `most`.
    pub(crate) fn read(&self, suffix: &str, most: u64) -> io::Result<Vec<u8>> {
        let mut file = self.open(suffix)?;
        let len = file.metadata()?.len();
        if len > most {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Vec::with_capacity(len as usize);
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Begins an empty file, which is locked and gets its name when it is finished.
    ///
    /// # Errors
    /// If another process is at it.
    pub(crate) fn begin(&self, suffix: &str) -> io::Result<Unfinished> {
        let new = format!("{suffix}.new");
        // What a process left behind that was killed is nobody's.
        if let Ok(left) = self.open(&new) {
            left.try_lock()?;
            self.remove(&new)?;
        }
        let (name, new) = (self.name(suffix)?, self.name(&new)?);
        let temporary = Temporary::enter(&self.folder, [new.as_c_str()]);
        let file = NewFile::named(&self.folder, &new, Permissions::Given(PRIVATE))?;
        file.file().try_lock()?;
        Ok(Unfinished {
            file,
            name,
            folder: self.folder.clone(),
            _temporary: temporary,
        })
    }

    /// Writes a file as a whole: it is there with all its bytes, or not at all.
    pub(crate) fn write(&self, suffix: &str, bytes: &[u8]) -> io::Result<()> {
        let fresh = NewFile::random(&self.folder, Permissions::Given(PRIVATE))?;
        fresh.file().write_all(bytes)?;
        fresh.publish(&self.folder, &self.name(suffix)?)
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, suffix: &str) -> io::Result<()> {
        temporary::remove(&self.folder, &self.name(suffix)?)
    }
}
