//! The output file: the only place that reads or writes it, and the home of nearly all `unsafe`.
//!
//! [`Output`] is one type with two forms: a buffer in memory and a file on disk. A whole file is written once
//! and put in place by a rename; after that, patches are applied to it ([`Publish`] says how). The invariant
//! kept here: at every instant, and after a kill or a full disk at any instant, the visible file is one complete
//! published version (for [`Publish::InPlace`]: after the next open, which rolls a torn write back).
//!
//! Where output goes is decided here for all who write any ([`Destination`]). Links are followed and stay. Only a regular
//! file is ever replaced, by a rename or an exchange, and its permissions stay; into anything else, and to standard
//! output for `-`, bytes are written, if they are written once ([`write_file`]). An output that is also an input
//! ([`expect_not_an_input`]), and one whose folder is missing, are refused before anything happens.
//!
//! Beside an output that can be patched stands a state folder, `.wasmend/`, which is private to its user and tells git
//! to ignore it. It has these files for an output called `NAME`:
//!
//! | file | what it is | outlives the writer |
//! |---|---|---|
//! | `NAME.lock` | locked by the one writer, holds its process id | yes (unlocked) |
//! | `NAME.shadow` | the other copy of the output, one generation behind | only with what is kept |
//! | `NAME.new` | a file being written whole | no |
//! | `NAME.heap`, `NAME.state`, `NAME.last`, `NAME.options` | what is kept for the next process (`kept`, which says when) | yes |
//! | `NAME.heap.new` | the first of these, while a link makes it | only if killed, until the next link |
//! | `NAME.fresh` | one of these, being written whole | only if killed, until the next link |
//! | `NAME.sock` | where the process is asked that keeps it in memory, if there is one (`ld --daemon`) | only if killed, until the next |
//! | `NAME.log`, `NAME.log.old` | a line for each link that keeps something | yes |
//! | `NAME.journal` | what an in-place commit overwrites | only if killed, until the next open |
//!
//! A file that is written once has no such folder: what is not finished stands beside it under a random name. Neither
//! that nor a shadow outlives a process that ends by a signal, if whoever handles it calls [`remove_temporaries`].
//!
//! The writer also marks the visible file, so that removing the state folder lets nobody else in.
//!
//! Nothing here knows what the bytes mean.

mod atomic;
mod clear;
mod file;
mod home;
mod in_place;
mod journal;
mod lock;
mod options;
mod place;
mod published;
mod stamp;
mod state;
pub(crate) mod suffix;
mod sys;
mod temporary;
mod whole_file;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::patch::RangeList;

pub use clear::{Cleared, clear_state};
pub use file::FileOutput;
pub use options::{Durability, LastCheck, NoticeHook, OutputOptions, Publish, no_check};
pub(crate) use place::expect_not_opened;
pub use place::{Destination, expect_not_an_input};
pub use published::{How, Published, Times};
pub use stamp::FileStamp;
pub(crate) use stamp::{Sighting, now};
pub(crate) use state::{StateEntry, StateFolder, Unfinished};
pub(crate) use sys::boot_id;
pub use temporary::{Removed, remove_temporaries};
pub use whole_file::{write_file, write_file_pieces};
pub use writer::FileWriter;

/// Where a module is published: in memory, or in a file.
#[derive(Debug)]
pub enum Output {
    /// The contents as they stand.
    Memory(Vec<u8>),
    /// A file, of which this process is the only writer.
    File(Box<FileOutput>),
}

impl Output {
    /// An empty output in memory.
    pub fn memory() -> Output {
        Output::Memory(Vec::new())
    }

    /// An output at `path`. Takes the writer's lock and clears up after a writer that was killed; a file that
    /// stands there already is left alone (but for the roll-back of a torn in-place write), and may be patched.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) if there is another writer, and
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the folder cannot be written or `path` leads to something that is not
    /// a regular file ([`Destination`]).
    pub fn file(path: impl AsRef<Path>, options: OutputOptions) -> Result<Output> {
        FileOutput::open(path.as_ref(), options).map(|file| Output::File(Box::new(file)))
    }

    /// Publishes a whole new version of `len` bytes, which `write` hands out piece by piece, from several threads if
    /// it likes. What it returns is passed on. If it fails, nothing changes.
    ///
    /// # Errors
    /// What `write` returns, and [`ErrorKind::Io`](crate::ErrorKind::Io); the previous version is intact then.
    /// The one exception: with [`Durability::Power`], a failure to flush the rename is reported although the
    /// new version is visible; the next patch then answers
    /// [`ErrorKind::OutputChanged`](crate::ErrorKind::OutputChanged).
    pub fn publish_pieces<R>(
        &mut self,
        len: u64,
        write: impl FnOnce(&FileWriter<'_>) -> Result<R>,
    ) -> Result<R> {
        self.publish_pieces_checked(len, write, &no_check)
    }

    /// As [`Output::publish_pieces`], with a last check.
    ///
    /// # Errors
    /// As with [`Output::publish_pieces`], and what `check` returns.
    pub fn publish_pieces_checked<R>(
        &mut self,
        len: u64,
        write: impl FnOnce(&FileWriter<'_>) -> Result<R>,
        check: LastCheck<'_>,
    ) -> Result<R> {
        match self {
            Output::Memory(contents) => {
                let len = usize::try_from(len).map_err(|_| {
                    Error::limit(format!("an output of {len} bytes does not fit in memory"))
                })?;
                let mut fresh = vec![0; len];
                let result = write(&FileWriter::of_buffer(&mut fresh))?;
                check()?;
                *contents = fresh;
                Ok(result)
            }
            Output::File(file) => file.publish_pieces(len, write, check),
        }
    }

    /// Publishes a whole new version of `len` bytes at once: `fill` gets a buffer of that length, all zero. If it
    /// fails, nothing changes.
    ///
    /// # Errors
    /// As with [`Output::publish_pieces`].
    pub fn publish_whole<R>(
        &mut self,
        len: u64,
        fill: impl FnOnce(&mut [u8]) -> Result<R>,
    ) -> Result<R> {
        self.publish_pieces(len, |pieces| {
            let in_memory = usize::try_from(len).map_err(|_| {
                Error::limit(format!("an output of {len} bytes does not fit in memory"))
            })?;
            let mut buffer = sys::zeroed(in_memory.max(1))
                .map_err(|error| Error::bad_input(format!("no memory for the output: {error}")))?;
            let buffer = &mut buffer[..in_memory];
            let result = fill(buffer)?;
            pieces.write_at(0, buffer)?;
            Ok(result)
        })
    }

    /// Publishes the version that `patch` makes of the current one. The patch is kept until the shadow has
    /// caught up with it.
    ///
    /// # Errors
    /// [`ErrorKind::OutputChanged`](crate::ErrorKind::OutputChanged) if the visible file is not the one that was
    /// published, so that [`Output::publish_whole`] is called for; [`ErrorKind::Io`](crate::ErrorKind::Io)
    /// as with [`Output::publish_whole`].
    ///
    /// # Panics
    /// If the patch is not for a file of the current length.
    pub fn publish_patch(&mut self, patch: impl Into<Arc<RangeList>>) -> Result<Published> {
        self.publish_patch_checked(patch, &no_check)
    }

    /// As [`Output::publish_patch`], with a last check. In place, where nothing is written beforehand, it runs before
    /// the first byte of the journal and of the file.
    ///
    /// # Errors
    /// As with [`Output::publish_patch`], and what `check` returns.
    ///
    /// # Panics
    /// As with [`Output::publish_patch`].
    pub fn publish_patch_checked(
        &mut self,
        patch: impl Into<Arc<RangeList>>,
        check: LastCheck<'_>,
    ) -> Result<Published> {
        let patch = patch.into();
        match self {
            Output::Memory(contents) => {
                let start = Instant::now();
                assert_eq!(
                    patch.old_len(),
                    contents.len() as u64,
                    "a patch for another length of file"
                );
                check()?;
                patch.apply(contents);
                let mut published = Published::new(How::Memory, patch.bytes());
                published.times.write = start.elapsed();
                Ok(published)
            }
            Output::File(file) => file.publish_patch(patch, check),
        }
    }

    /// Goes on with an output of a process that has ended, as it left it: what it held open is not closed, for it is not
    /// this process's. `seen` is how the file looks that was published.
    ///
    /// # Errors
    /// As with [`Output::file`]; [`ErrorKind::OutputChanged`](crate::ErrorKind::OutputChanged) if the file is not the one that was published.
    pub(crate) fn resume(&mut self, options: OutputOptions, seen: Sighting) -> Result<()> {
        match self {
            Output::Memory(_) => Ok(()),
            Output::File(file) => file.resume(options, seen),
        }
    }

    /// Removes what only this process needs, and says how the file looks that was published: another process will go on with it
    /// ([`Output::resume`]). Nothing if there is none, or none that another one could go on with.
    pub(crate) fn leave(&mut self) -> Option<Sighting> {
        match self {
            Output::Memory(_) => None,
            Output::File(file) => file.leave(),
        }
    }

    /// Lets others write the file while this process does nothing with it, after [`Output::leave`] and until [`Output::resume`].
    pub(crate) fn rest(&mut self) {
        if let Output::File(file) = self {
            file.rest();
        }
    }

    /// Does what the next patch would have to do first: makes the shadow, which is a copy of the file. If that fails the patch
    /// tries again, and says why.
    pub fn prepare(&mut self) {
        if let Output::File(file) = self {
            file.prepare();
        }
    }

    /// The whole current contents.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if there is no file yet, or it cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Output::Memory(contents) => Ok(contents.clone()),
            Output::File(file) => file.read(),
        }
    }

    /// The path of the file, as it was given; `None` in memory.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Output::Memory(_) => None,
            Output::File(file) => Some(file.path()),
        }
    }
}
