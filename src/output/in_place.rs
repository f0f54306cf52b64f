//! In-place publishing: the visible file itself is written, under an undo journal.
//!
//! Kept here: the order of steps. Journal, then file, then end of journal; with
//! [`Durability::Power`] each is flushed before the next begins.

use std::fs::File;
use std::io;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::file::FileOutput;
use super::options::{Durability, LastCheck};
use super::published::{How, Published};
use super::stamp::{FileStamp, Sighting};
use super::sys;
use crate::error::{Error, Result};
use crate::patch::RangeList;
use crate::stopwatch::Stopwatch;

impl FileOutput {
    pub(super) fn commit_in_place(
        &mut self,
        patch: &RangeList,
        check: LastCheck<'_>,
    ) -> Result<Published> {
        let mut stopwatch = Stopwatch::start();
        let mut published = Published::new(How::InPlace, patch.bytes());
        let power = self.options.durability == Durability::Power;
        let visible = match self.home.open_visible(OFlags::RDWR) {
            Ok(file) => file,
            // What took the file's place: a link is refused as a loop, a socket as a device that is not there.
            Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
                return Err(self.changed());
            }
            Err(error) => return Err(self.io("cannot open the output", &error.into())),
        };
        let found = rustix::fs::fstat(&visible)
            .map_err(|error| self.io("cannot look at the output", &error.into()))?;
        self.check_identity(patch, &found)?;
        check()?;
        published.times.check = stopwatch.lap();

        self.begin_journal(&visible, &FileStamp::of_stat(&found), patch, power)?;
        published.times.prepare = stopwatch.lap();

        let done = write_patch(&visible, patch).and_then(|()| {
            published.times.write = stopwatch.lap();
            if power {
                visible.sync_data()?;
            }
            published.times.sync = stopwatch.lap();
            self.journal.end()?;
            if power {
                self.journal.sync()?;
            }
            Sighting::of_file(&visible)
        });
        match done {
            Ok(written) => {
                self.published = Some(written);
                published.times.publish = stopwatch.lap();
                Ok(published)
            }
            Err(error) => Err(self.undo(&visible, &error)),
        }
    }

    /// Whatever fails here leaves the visible file as it was.
    fn begin_journal(
        &mut self,
        visible: &File,
        identity: &FileStamp,
        patch: &RangeList,
        power: bool,
    ) -> Result<()> {
        let failed =
            |error: io::Error| Error::io("cannot write the undo journal", self.home.path(), &error);
        if self.journal.is_missing().map_err(failed)? {
            self.home.refresh(&self.options)?;
        }
        let begun = self
            .journal
            .begin(&self.home, visible, identity, patch)
            .and_then(|is_new| {
                if power {
                    self.journal.sync()?;
                    if is_new {
                        self.home.sync_state()?;
                    }
                }
                Ok(())
            });
        begun.map_err(|error| {
            // If it goes on to count, it puts back what is there already.
            let _ = self.journal.end();
            self.io("cannot write the undo journal", &error)
        })
    }

    #[cold]
    fn undo(&mut self, visible: &File, error: &io::Error) -> Error {
        match self
            .journal
            .undo(visible)
            .and_then(|()| Sighting::of_file(visible))
        {
            Ok(written) => {
                self.published = Some(written);
                self.io("cannot write the output", error)
            }
            Err(_) => Error::io(
                "cannot write the output, nor put its old contents back",
                self.home.path(),
                error,
            )
            .with_hint("opening it again puts them back"),
        }
    }
}

/// Grows first and shrinks last, so that every write is inside the file.
fn write_patch(visible: &File, patch: &RangeList) -> io::Result<()> {
    sys::grow(visible, patch.old_len(), patch.new_len())?;
    sys::write_ranges(
        visible,
        patch.iter().map(|(range, bytes)| (range.offset, bytes)),
    )?;
    if patch.new_len() < patch.old_len() {
        visible.set_len(patch.new_len())
    } else {
        Ok(())
    }
}
