//! Files that nobody else knows of yet: created exclusively, never through links, and gone if they are not published.
//!
//! Kept here: the names of all that must not outlive the process, so that whoever ends it on a signal can have them
//! removed first.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::stamp::{Permissions, permissions};
use super::sys::open_at;

/// The permissions of a new file, before the user's mask takes its share.
const USUAL: Mode = Mode::from_bits_retain(0o666);
const EXECUTABLE: Mode = Mode::from_bits_retain(0o777);

/// How often a random name is tried that somebody has already.
const ATTEMPTS: u32 = 100;

/// What random names begin and end with.
const RANDOM_START: &str = ".wasmend-";
const RANDOM_END: &str = ".tmp";

static REGISTER: Mutex<Register> = Mutex::new(Register {
    next: 0,
    entries: Vec::new(),
});

#[derive(Debug)]
struct Register {
    next: u64,
    /// Names in folders, each under the number of whoever entered it.
    entries: Vec<(u64, Arc<File>, CString)>,
}

fn register() -> MutexGuard<'static, Register> {
    REGISTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all temporary files of this process: copies of outputs, and files that are not finished. To be called right
/// before the process ends in a way that skips destructors, as on a signal. Outputs stay as they are; whoever goes on
/// writing one finds out that its copy is gone. While the result is held nothing new can be created.
pub fn remove_temporaries() -> Removed {
    let register = register();
    for (_, folder, name) in &register.entries {
        // What cannot be removed now is removed by the next writer.
        let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
    }
    Removed(register)
}

/// There are no temporary files of this process, as long as this is held.
#[derive(Debug)]
#[must_use]
pub struct Removed(#[allow(dead_code)] MutexGuard<'static, Register>);

/// Names of files that must not outlive the process. They are forgotten when this is dropped.
#[derive(Debug)]
pub(super) struct Temporary(u64);

impl Temporary {
    /// No names.
    pub(super) fn none() -> Temporary {
        Temporary(0)
    }

    pub(super) fn enter<'a>(
        folder: &Arc<File>,
        names: impl IntoIterator<Item = &'a CStr>,
    ) -> Temporary {
        let mut register = register();
        register.next += 1;
        let number = register.next;
        let entry = |name: &CStr| (number, folder.clone(), name.to_owned());
        register.entries.extend(names.into_iter().map(entry));
        Temporary(number)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let number = self.0;
        register().entries.retain(|entry| entry.0 != number);
    }
}

/// A file that nobody else knows of yet. It goes away when dropped, unless it was published or kept.
#[derive(Debug)]
pub(super) struct NewFile {
    folder: Arc<File>,
    name: CString,
    /// `None` once it has been given away.
    file: Option<File>,
    /// `None` where the name was entered by somebody else.
    _temporary: Option<Temporary>,
}

impl NewFile {
    /// Creates a file of this name, which nobody else may use, in a folder that nobody else may write.
    pub(super) fn named(
        folder: &Arc<File>,
        name: &CStr,
        wanted: Permissions,
    ) -> io::Result<NewFile> {
        let mut created = NewFile {
            folder: folder.clone(),
            name: name.to_owned(),
            file: None,
            _temporary: None,
        };
        created.create(wanted)?;
        Ok(created)
    }

    /// Creates a file of a random name.
    pub(super) fn random(folder: &Arc<File>, wanted: Permissions) -> io::Result<NewFile> {
        for _ in 0..ATTEMPTS {
            // Each such state has keys of its own, the first of which are the system's random numbers.
            let number = std::hash::RandomState::new().build_hasher().finish();
            let name = CString::new(format!("{RANDOM_START}{number:016x}{RANDOM_END}"))?;
            let mut created = NewFile {
                _temporary: Some(Temporary::enter(folder, [name.as_c_str()])),
                folder: folder.clone(),
                name,
                file: None,
            };
            match created.create(wanted) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done.map(|()| created),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "no free name for a temporary file",
        ))
    }

    fn create(&mut self, wanted: Permissions) -> io::Result<()> {
        let (usual, wanted) = match wanted {
            Permissions::Usual => (USUAL, None),
            Permissions::Executable => (EXECUTABLE, None),
            // Nobody else reads it before it is known who may.
            Permissions::Given(mode) => (mode & (Mode::RUSR | Mode::WUSR), Some(mode)),
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        // While the register is held, nobody believes that all temporary files are gone.
        let register = register();
        let file = open_at(&*self.folder, &self.name, flags, usual)?;
        drop(register);
        let file = self.file.insert(file);
        if let Some(wanted) = wanted
            && permissions(&rustix::fs::fstat(&*file)?) != wanted
        {
            rustix::fs::fchmod(&*file, wanted)?;
        }
        Ok(())
    }

    pub(super) fn file(&self) -> &File {
        self.file
            .as_ref()
            .expect("a new file is given away by value")
    }

    /// Gives it a visible name, in place of whatever has it.
    pub(super) fn publish(mut self, folder: &File, name: &CStr) -> io::Result<()> {
        rustix::fs::renameat(&*self.folder, &self.name, folder, name)?;
        self.file = None;
        Ok(())
    }

    /// Lets it stay under its name.
    pub(super) fn keep(mut self) -> File {
        self.file.take().expect("a new file is given away by value")
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed now is removed by the next writer.
            let _ = remove(&self.folder, &self.name);
        }
    }
}

/// Whether a file of this name is one that was created under a random one.
pub(super) fn is_random_name(name: &CStr) -> bool {
    let digits = name.to_bytes().strip_prefix(RANDOM_START.as_bytes());
    let digits = digits.and_then(|rest| rest.strip_suffix(RANDOM_END.as_bytes()));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Removes a file; it is no error if there is none.
pub(super) fn remove(folder: &File, name: &CStr) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
