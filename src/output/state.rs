//! The state folder for those who keep something about an output beside it, under names that begin with the output's.
//!
//! Nobody else can put anything there: that is `home`'s doing. This does not know what is kept.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};

use super::home::{find_state, open_state};
use super::lock::PRIVATE;
use super::place::{Destination, resolve};
use super::stamp::{Permissions, is_regular, is_socket};
use super::suffix;
use super::sys::{self, open_at, open_folder, stat_at};
use super::temporary::{self, NewFile, Temporary};

/// A file of the folder.
#[derive(Debug, Clone)]
pub(crate) struct StateEntry {
    pub(crate) name: String,
    /// What stands behind the output's name; `None` for what is written under a random name.
    pub(crate) suffix: Option<&'static str>,
    pub(crate) bytes: u64,
    /// How much of the disk it takes: there are holes in a heap.
    pub(crate) allocated: u64,
    /// Whether it is of the kind that its name says.
    pub(crate) is_of_kind: bool,
    pub(crate) is_own: bool,
}

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

    /// The folder beside an output, if there is one. Nothing is made or changed.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if there is none; others if it cannot be looked into, or is not this user's.
    pub(crate) fn existing(output: &Path) -> io::Result<StateFolder> {
        let resolved = resolve(output)?;
        let around = resolved.parent().unwrap_or(Path::new("/"));
        let folder = open_folder(CWD, around)?;
        Ok(StateFolder {
            folder: Arc::new(find_state(&folder)?),
            name: resolved.file_name().unwrap_or_default().as_bytes().to_vec(),
            output: resolved,
        })
    }

    fn name(&self, suffix: &str) -> io::Result<CString> {
        Ok(CString::new([&self.name[..], suffix.as_bytes()].concat())?)
    }

    /// The folder itself.
    pub(super) fn file(&self) -> &File {
        &self.folder
    }

    /// A path to what has a name here, for system calls that take no folder. It is one for as long as this exists.
    pub(crate) fn path(&self, suffix: &str) -> io::Result<PathBuf> {
        let folder = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        let name = self.name(suffix)?;
        Ok(Path::new(&folder).join(OsStr::from_bytes(name.to_bytes())))
    }

    /// What the file is called that the writer of the output locks.
    pub(super) fn lock_name(&self) -> io::Result<CString> {
        self.name(suffix::LOCK)
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

    /// Flushes the output and its name.
    pub(crate) fn sync_output(&self) -> io::Result<()> {
        File::open(&self.output)?.sync_all()?;
        let around = self.output.parent().unwrap_or(Path::new("/"));
        open_folder(CWD, around)?.sync_all()
    }

    /// All of a file that is there, if it is no longer than `most`.
    pub(crate) fn read(&self, suffix: &str, most: u64) -> io::Result<Vec<u8>> {
        let mut file = self.open_to_read(suffix)?;
        let found = file.metadata()?;
        let len = found.len();
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"));
        }
        if len > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
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
        let new = format!("{suffix}{}", suffix::NEW);
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

    /// Writes a file as a whole: it is there with all its bytes, or not at all. What a process leaves that is killed meanwhile is
    /// removed by the next one that writes here.
    pub(crate) fn write(&self, suffix: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.name(suffix::UNFINISHED)?;
        temporary::remove(&self.folder, &unfinished)?;
        let _temporary = Temporary::enter(&self.folder, [unfinished.as_c_str()]);
        let wanted = Permissions::Given(PRIVATE);
        let fresh = NewFile::named(&self.folder, &unfinished, wanted)?;
        fresh.file().write_all(bytes)?;
        fresh.publish(&self.folder, &self.name(suffix)?)
    }

    /// Adds to the end of a file, which is made if there is none. Once it has more than `most` bytes it takes the place of the
    /// one called `old`, and a new one begins.
    pub(crate) fn append(
        &self,
        suffix: &str,
        old: &str,
        most: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
        let name = self.name(suffix)?;
        let open = || open_at(&*self.folder, &name, flags, PRIVATE);
        let mut file = open()?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"));
        }
        if found.len() > most {
            let (from, to) = (&*self.folder, &*self.folder);
            rustix::fs::renameat(from, &name, to, self.name(old)?)?;
            file = open()?;
        }
        // At once, so that lines of two processes do not mix.
        file.write_all(bytes)
    }

    /// What stands in the folder for this output, and what nobody can tell the output of.
    pub(crate) fn entries(&self) -> io::Result<Vec<StateEntry>> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let suffix = name.to_bytes().strip_prefix(&self.name[..]);
            let suffix = suffix.and_then(|rest| std::str::from_utf8(rest).ok());
            let known = suffix::ALL.iter().find(|known| Some(**known) == suffix);
            let is_unfinished = temporary::is_random_name(name);
            if known.is_none() && !is_unfinished {
                continue;
            }
            if let Some(stat) = stat_at(&*self.folder, name)? {
                entries.push(StateEntry {
                    name: name.to_string_lossy().into_owned(),
                    suffix: known.copied(),
                    bytes: stat.st_size as u64,
                    allocated: stat.st_blocks as u64 * 512,
                    is_of_kind: match known {
                        Some(&suffix::SOCKET) => is_socket(&stat),
                        _ => is_regular(&stat),
                    },
                    is_own: stat.st_uid == rustix::process::geteuid().as_raw(),
                });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Who is writing the output, if somebody is: a process's id if it is known.
    pub(crate) fn writer(&self) -> Option<Option<u32>> {
        let file = File::open(&self.output).ok()?;
        let is_marked = sys::is_marked(&file);
        is_marked.then(|| {
            let id = self.read(suffix::LOCK, 64).ok()?;
            std::str::from_utf8(&id).ok()?.trim().parse().ok()
        })
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, suffix: &str) -> io::Result<()> {
        temporary::remove(&self.folder, &self.name(suffix)?)
    }
}
