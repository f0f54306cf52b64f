//! A file as an output: opening it, writing it whole, and what both ways of patching share.
//!
//! Kept here: which file, by its stamp, this process last made visible. Nothing is ever exchanged with or patched into
//! any other, nor is anything replaced that is not a regular file.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{OFlags, Stat};

use super::home::Home;
use super::journal::Journal;
use super::lock;
use super::options::{Durability, LastCheck, OutputOptions, Publish};
use super::published::{How, Published};
use super::stamp::{FileStamp, Permissions, Sighting, is_regular};
use super::sys;
use super::writer::FileWriter;
use crate::error::{Error, ErrorKind, Result};
use crate::heap;
use crate::patch::RangeList;
use crate::stopwatch::Stopwatch;

/// The file under the shadow's name: what was visible one version ago.
#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) written: Sighting,
    /// The patch that it lacks.
    pub(super) behind: Arc<RangeList>,
}

/// An output file and the right to write it.
#[derive(Debug)]
pub struct FileOutput {
    pub(super) home: Home,
    pub(super) options: OutputOptions,
    /// The visible file as it was last published or, at first, found. `None` if there is none, or if what is
    /// visible may not be what was last asked for.
    pub(super) published: Option<Sighting>,
    /// The visible file, open for reading, with the mark that keeps other writers out. `None` if it could not be opened.
    held: Option<File>,
    /// The other copy, if there is one. Atomic publishing only.
    pub(super) shadow: Option<Shadow>,
    /// False once the file system or the platform turned out to lack what a shadow needs.
    pub(super) shadowing: bool,
    /// Undoes a torn write. In-place publishing only.
    pub(super) journal: Journal,
    /// Which process has left it, and may take its place again; 0 if none has.
    left_by: u64,
}

impl FileOutput {
    pub(super) fn open(path: &Path, options: OutputOptions) -> Result<FileOutput> {
        let home = Home::open(path, &options)?;
        let mut output = FileOutput {
            home,
            options,
            published: None,
            held: None,
            shadow: None,
            shadowing: true,
            journal: Journal::default(),
            left_by: 0,
        };
        output.expect_only_writer()?;
        output.clear_up()?;
        Ok(output)
    }

    /// Takes the place of the output of a process that has ended, whose memory this is, or of the one that this process has left.
    pub(super) fn resume(&mut self, options: OutputOptions, seen: Sighting) -> Result<()> {
        let path = self.home.path().to_path_buf();
        let mut output = FileOutput {
            home: Home::open(&path, &options)?,
            options,
            published: Some(seen),
            held: None,
            shadow: None,
            shadowing: true,
            journal: Journal::default(),
            left_by: 0,
        };
        output.expect_only_writer()?;
        // Of a process that was killed while it wrote in place; then the file is not the one that was seen.
        let failed = |error| io_error("cannot roll back a torn write", &path, &error);
        output.journal.recover(&output.home).map_err(failed)?;
        let visible = output
            .home
            .visible()
            .map_err(|error| output.io("cannot look at the output", &error))?;
        let found = visible.as_ref().map(Sighting::of_stat);
        if !found.is_some_and(|found| seen.is_still(&found)) {
            return Err(output.changed());
        }
        // What another one left that was killed before this one went on.
        let names = &output.home.names;
        for name in [&names.fresh, &names.journal] {
            let _ = output.home.remove(name);
        }
        output.shadow = self.shadow.take();
        let before = std::mem::replace(self, output);
        // Descriptors of another process may be anything in this one.
        if !before.is_left_by_this() {
            std::mem::forget(before);
        }
        Ok(())
    }

    /// Lets others write the output, until this process takes its place again.
    pub(super) fn rest(&mut self) {
        self.left_by = heap::process();
        self.held = None;
        self.home.leave();
    }

    fn is_left_by_this(&self) -> bool {
        self.left_by == heap::process()
    }

    /// Removes what only this process needs; the other copy stays, for the one that goes on. Says how the file looks that was
    /// published, unless there is something that only another open can mend.
    pub(super) fn leave(&mut self) -> Option<Sighting> {
        let is_clean = !self.journal.is_torn() && self.journal.discard(&self.home).is_ok();
        self.published.filter(|_| is_clean)
    }

    /// Marks the visible file, if there is one and nobody else has: the lock alone does not show a writer whose state
    /// folder was removed.
    fn expect_only_writer(&mut self) -> Result<()> {
        while let Ok(visible) = self.home.open_visible(OFlags::RDONLY) {
            lock::expect_unmarked(&visible, self.home.path())?;
            sys::mark(&visible);
            // Meanwhile the other writer may have exchanged it for the next version.
            let marked = FileStamp::of_file(&visible);
            self.held = Some(visible);
            match (marked, self.home.visible()) {
                (Ok(marked), Ok(Some(found))) if !marked.same_file(&FileStamp::of_stat(&found)) => {
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Notes that `written` is visible now, and takes hold of it. Returns the file that was held before.
    pub(super) fn hold(&mut self, written: Sighting) -> Option<File> {
        let visible = self.home.open_visible(OFlags::RDONLY).ok();
        let found = visible
            .as_ref()
            .and_then(|file| rustix::fs::fstat(file).ok());
        let is_same = found.is_some_and(|found| {
            let found = FileStamp::of_stat(&found);
            written.stamp.same_file(&found)
        });
        self.published = Some(written.renamed(found.as_ref()));
        let held = visible.filter(|_| is_same);
        if let Some(file) = &held {
            sys::mark(file);
        }
        std::mem::replace(&mut self.held, held)
    }

    /// Undoes what a killed writer left half done, removes what it left lying about, and sees what is there.
    fn clear_up(&mut self) -> Result<()> {
        let home = &self.home;
        if self
            .journal
            .recover(home)
            .map_err(|error| self.io("cannot roll back a torn write", &error))?
        {
            self.options
                .tell("a write that was cut short was rolled back");
        }
        for name in [&home.names.shadow, &home.names.fresh, &home.names.journal] {
            home.remove(name)
                .map_err(|error| self.io("cannot remove what a killed writer left", &error))?;
        }
        let visible = home
            .visible()
            .map_err(|error| self.io("cannot look at the output", &error))?;
        self.published = visible.as_ref().map(Sighting::of_stat);
        Ok(())
    }

    /// See [`Output::publish_pieces`](super::Output::publish_pieces).
    pub(super) fn publish_pieces<R>(
        &mut self,
        len: u64,
        write: impl FnOnce(&FileWriter<'_>) -> Result<R>,
        check: LastCheck<'_>,
    ) -> Result<R> {
        if self.home.refresh(&self.options)? {
            self.shadow = None;
            self.journal = Journal::default();
        }
        let visible = self
            .home
            .visible()
            .map_err(|error| self.io("cannot look at the output", &error))?;
        if visible.as_ref().is_some_and(|found| !is_regular(found)) {
            let message = "the output is not a regular file any more";
            return Err(Error::new(ErrorKind::Io, message).with_path(self.home.path()));
        }
        let failed = |error: std::io::Error| self.io("cannot write a new output", &error);

        // Space first: a full disk is known before any work is done. It also spares the rename from flushing
        // the file, which ext4 does when blocks are not allocated yet.
        let wanted = Permissions::of_new(visible.as_ref(), self.options.executable);
        let fresh = self
            .home
            .create(&self.home.names.fresh, wanted)
            .map_err(failed)?;
        sys::grow(fresh.file(), 0, len).map_err(failed)?;
        let result = write(&FileWriter::of_file(fresh.file(), len))
            .map_err(|error| error.with_path(self.home.path()))?;
        let power = self.options.durability == Durability::Power;
        if power {
            fresh.file().sync_data().map_err(failed)?;
        }
        let written = Sighting::of_file(fresh.file()).map_err(failed)?;
        check()?;
        self.home.publish(fresh).map_err(failed)?;
        self.hold(written);

        // The shadow is now more than one version behind, and a torn write is of no interest any more. What
        // cannot be removed is removed on the next open, and never trusted.
        self.shadow = None;
        let _ = self.home.remove(&self.home.names.shadow);
        let _ = self.journal.discard(&self.home);
        if power {
            self.sync_names()?;
        }
        Ok(result)
    }

    /// See [`Output::publish_patch`](super::Output::publish_patch).
    pub(super) fn publish_patch(
        &mut self,
        patch: Arc<RangeList>,
        check: LastCheck<'_>,
    ) -> Result<Published> {
        if self.journal.is_torn() {
            // An earlier commit could not be undone; nothing may be built on it.
            let undone = self.journal.recover(&self.home);
            let undone =
                undone.map_err(|error| self.io("cannot roll back a torn write", &error))?;
            let visible = self
                .home
                .visible()
                .map_err(|error| self.io("cannot look at the output", &error))?;
            self.published = visible.as_ref().map(Sighting::of_stat).filter(|_| undone);
        }
        if patch.is_empty() && patch.new_len() == patch.old_len() {
            let mut stopwatch = Stopwatch::start();
            let mut published = Published::new(How::Unchanged, 0);
            self.check(&patch)?;
            check()?;
            published.times.check = stopwatch.lap();
            return Ok(published);
        }
        match self.options.publish {
            Publish::Atomic => self.commit_atomic(patch, check),
            Publish::InPlace => self.commit_in_place(&patch, check),
        }
    }

    pub(super) fn prepare(&mut self) {
        if self.options.publish == Publish::Atomic {
            // Whoever has to be told is told by the patch.
            let _ = self.make_shadow();
        }
    }

    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| self.io("cannot read the output", &error);
        let mut file = self
            .home
            .open_visible(OFlags::RDONLY)
            .map_err(|error| failed(error.into()))?;
        let mut contents = Vec::new();
        file.read_to_end(&mut contents).map_err(failed)?;
        Ok(contents)
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// Which file is the current version, if there is one.
    pub fn identity(&self) -> Option<FileStamp> {
        self.published.map(|written| written.stamp)
    }

    /// The visible file's metadata, if it still is the published one, which `patch` is for.
    pub(super) fn check(&self, patch: &RangeList) -> Result<Stat> {
        match self.home.visible() {
            Ok(Some(stat)) => self.check_identity(patch, &stat).map(|()| stat),
            Ok(None) => Err(self.changed()),
            Err(error) => Err(self.io("cannot look at the output", &error)),
        }
    }

    pub(super) fn check_identity(&self, patch: &RangeList, found: &Stat) -> Result<()> {
        if !self
            .published
            .is_some_and(|published| published.is_still(&Sighting::of_stat(found)))
        {
            return Err(self.changed());
        }
        assert_eq!(
            patch.old_len(),
            FileStamp::of_stat(found).len,
            "a patch for another length of file"
        );
        Ok(())
    }

    /// Flushes the names, once a new version is visible.
    pub(super) fn sync_names(&mut self) -> Result<()> {
        self.home.sync().map_err(|error| {
            // The caller is told that the commit failed, yet its file is visible: patch neither of the two.
            self.published = None;
            self.io("cannot flush the output's folder", &error)
        })
    }

    #[cold]
    pub(super) fn io(&self, doing: &str, error: &std::io::Error) -> Error {
        io_error(doing, self.home.path(), error)
    }

    #[cold]
    pub(super) fn changed(&self) -> Error {
        Error::new(
            ErrorKind::OutputChanged,
            "the output was deleted, replaced or modified by somebody else",
        )
        .with_path(self.home.path())
        .with_hint("it has to be written whole again")
    }
}

/// A failed operation on an output.
#[cold]
pub(super) fn io_error(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    let described = Error::io(doing, path, error);
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            described.with_hint("make room on the disk; the previous output is intact")
        }
        _ => described,
    }
}

impl Drop for FileOutput {
    fn drop(&mut self) {
        if self.is_left_by_this() {
            return;
        }
        // What cannot be removed now is removed on the next open.
        if self.options.publish == Publish::Atomic {
            let _ = self.home.remove(&self.home.names.shadow);
        }
        if !self.journal.is_torn() {
            let _ = self.journal.discard(&self.home);
        }
    }
}
