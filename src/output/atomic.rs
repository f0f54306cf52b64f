//! Atomic publishing: the shadow is patched where nobody sees it, then the two names are exchanged.
//!
//! Kept here: a file that anybody may be reading is never written. Whoever opened the visible file still has it
//! when it has become the shadow; a write lease is granted only once all of them have closed and unmapped it,
//! and whoever looked the file up before the exchange but opens it only now waits until the lease ends, and then
//! sees the next version, whole. Where that cannot be proved, the shadow is made anew by copying.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;

use super::file::{FileOutput, Shadow};
use super::options::{Durability, LastCheck};
use super::published::{How, Published};
use super::stamp::{Permissions, Sighting, permissions};
use super::sys::{self, Lease};
use crate::error::Result;
use crate::patch::RangeList;
use crate::stopwatch::Stopwatch;

/// How long to wait for readers of the shadow before a copy is made. A reader that holds on for longer costs one
/// copy, not one for each commit: the copy takes the place of what it reads.
const PATIENCE: Duration = Duration::from_millis(2);

/// Time between two attempts at the lease.
const PAUSE: Duration = Duration::from_micros(100);

impl FileOutput {
    pub(super) fn commit_atomic(
        &mut self,
        patch: Arc<RangeList>,
        check: LastCheck<'_>,
    ) -> Result<Published> {
        let mut stopwatch = Stopwatch::start();
        let mut published = Published::new(How::Exchanged, patch.bytes());
        let visible = self.check(&patch)?;
        published.times.check = stopwatch.lap();

        // From here until the exchange the shadow is in between two versions, so it is not remembered: any
        // failure leads to a fresh one.
        if let Some(shadow) = self.shadow.take()
            && let Some(leased) = self.open_shadow(&shadow, &visible)
        {
            published.times.prepare = stopwatch.lap();
            let written = write_shadow(&leased.0, &shadow.behind, &patch);
            published.times.write = stopwatch.lap();
            let ready = written.and_then(|caught_up| {
                published.bytes_caught_up = caught_up;
                self.flush(&leased.0)?;
                Sighting::of_file(&leased.0)
            });
            // The lease ends before the name becomes visible, or readers would wait for it.
            drop(leased);
            published.times.sync = stopwatch.lap();
            let written = ready.map_err(|error| {
                let _ = self.home.remove(&self.home.names.shadow);
                self.io("cannot write the shadow of the output", &error)
            })?;
            check().inspect_err(|_| {
                let _ = self.home.remove(&self.home.names.shadow);
            })?;
            published.times.check += stopwatch.lap();
            self.make_visible(patch, &visible, written)?;
            published.times.publish = stopwatch.lap();
            return Ok(published);
        }
        self.commit_copy(patch, check, published, stopwatch)
    }

    /// Makes a shadow of the current version, if there is none.
    pub(super) fn make_shadow(&mut self) -> io::Result<()> {
        let (None, true, Some(published)) = (&self.shadow, self.shadowing, &self.published) else {
            return Ok(());
        };
        let current = self.home.open_visible(OFlags::RDONLY)?;
        let stat = rustix::fs::fstat(&current)?;
        if !published.is_still(&Sighting::of_stat(&stat)) {
            // The next patch finds out and says so.
            return Ok(());
        }
        let len = stat.st_size as u64;
        let names = &self.home.names;
        let copy = self
            .home
            .create(&names.shadow, Permissions::Given(permissions(&stat)))?;
        sys::copy(&current, copy.file(), len)?;
        let written = Sighting::of_file(copy.file())?;
        drop(copy.keep());
        let mut behind = RangeList::new(len);
        behind.finish(len);
        self.shadow = Some(Shadow {
            written,
            behind: Arc::new(behind),
        });
        Ok(())
    }

    /// Copies the current version, patches the copy and makes it visible.
    fn commit_copy(
        &mut self,
        patch: Arc<RangeList>,
        check: LastCheck<'_>,
        mut published: Published,
        mut stopwatch: Stopwatch,
    ) -> Result<Published> {
        published.how = How::FreshCopy;
        // This is the slow way already: see also whether somebody removed the state folder.
        self.home.refresh(&self.options)?;
        let failed = |error: io::Error| self.io("cannot copy the output", &error);
        let names = &self.home.names;
        let name = if self.shadowing {
            &names.shadow
        } else {
            &names.fresh
        };

        let visible = self.check(&patch)?;
        let current = self
            .home
            .open_visible(OFlags::RDONLY)
            .map_err(|error| failed(error.into()))?;
        let copy = self
            .home
            .create(name, Permissions::Given(permissions(&visible)))
            .map_err(failed)?;
        sys::copy(&current, copy.file(), patch.old_len()).map_err(failed)?;
        published.bytes_caught_up = patch.old_len();
        drop(current);
        published.times.prepare += stopwatch.lap();

        write_patch(copy.file(), &patch).map_err(failed)?;
        published.times.write = stopwatch.lap();
        self.flush(copy.file()).map_err(failed)?;
        let written = Sighting::of_file(copy.file()).map_err(failed)?;
        published.times.sync = stopwatch.lap();

        // Copying takes long enough for somebody to come in between.
        let visible = self.check(&patch)?;
        check()?;
        published.times.check += stopwatch.lap();
        if self.shadowing {
            drop(copy.keep());
            self.make_visible(patch, &visible, written)?;
        } else {
            self.home.publish(copy).map_err(failed)?;
            self.hold(written);
            if self.options.durability == Durability::Power {
                self.sync_names()?;
            }
        }
        published.times.publish = stopwatch.lap();
        Ok(published)
    }

    /// The shadow, ready to be written, if it is what it should be and nobody reads it.
    fn open_shadow(&mut self, shadow: &Shadow, visible: &Stat) -> Option<Leased> {
        let file = self
            .home
            .open_state_file(&self.home.names.shadow, OFlags::RDWR)
            .ok()?;
        let start = Instant::now();
        loop {
            match sys::take_lease(&file) {
                Lease::Granted => break,
                Lease::Busy if start.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Lease::Busy => return None,
                Lease::Unsupported => {
                    self.stop_shadowing("there are no file leases here");
                    let _ = self.home.remove(&self.home.names.shadow);
                    return None;
                }
            }
        }
        let leased = Leased(file);
        let stat = rustix::fs::fstat(&leased.0).ok()?;
        // Another name for the file would show a version that is being written.
        if !shadow.written.is_still(&Sighting::of_stat(&stat)) || stat.st_nlink != 1 {
            return None;
        }
        if permissions(&stat) != permissions(visible) {
            rustix::fs::fchmod(&leased.0, permissions(visible)).ok()?;
        }
        Some(leased)
    }

    /// Exchanges the names. The file that was visible becomes the shadow.
    fn make_visible(
        &mut self,
        patch: Arc<RangeList>,
        visible: &Stat,
        written: Sighting,
    ) -> Result<()> {
        match self.home.exchange() {
            Ok(()) => {
                // The file that was held is the shadow now, which nobody may have open when it is written.
                let before = self.hold(written);
                let before = before.and_then(|file| rustix::fs::fstat(&file).ok());
                if visible.st_nlink == 1 {
                    self.shadow = Some(Shadow {
                        written: Sighting::of_stat(visible).renamed(before.as_ref()),
                        behind: patch,
                    });
                } else {
                    // Somebody sees this file under another name: it must not be written again.
                    let _ = self.home.remove(&self.home.names.shadow);
                }
            }
            Err(error) if sys::exchange_unsupported(error) => {
                self.stop_shadowing("two names cannot be exchanged here");
                self.home
                    .replace_visible()
                    .map_err(|error| self.abandon("cannot rename the new output", error))?;
                self.hold(written);
            }
            Err(error) => {
                return Err(self.abandon("cannot exchange the output with its shadow", error));
            }
        }
        if self.options.durability == Durability::Power {
            self.sync_names()?;
        }
        Ok(())
    }

    #[cold]
    fn abandon(&self, doing: &str, error: Errno) -> crate::Error {
        let _ = self.home.remove(&self.home.names.shadow);
        if error == Errno::NOENT {
            self.changed()
        } else {
            self.io(doing, &error.into())
        }
    }

    #[cold]
    fn stop_shadowing(&mut self, why: &str) {
        self.shadowing = false;
        self.options.tell(&format!(
            "{why}: every patch copies the output and renames the copy"
        ));
    }

    fn flush(&self, file: &File) -> io::Result<()> {
        match self.options.durability {
            Durability::ProcessKill => Ok(()),
            Durability::Power => file.sync_data(),
        }
    }
}

/// A file with a write lease, which ends when this is dropped.
#[derive(Debug)]
struct Leased(File);

impl Drop for Leased {
    fn drop(&mut self) {
        // Closing would end it too, but not while a child process that was just forked has the descriptor.
        sys::end_lease(&self.0);
    }
}

/// Brings a shadow up to date. Returns how many bytes were not of `patch`.
fn write_shadow(file: &File, behind: &RangeList, patch: &RangeList) -> io::Result<u64> {
    sys::resize(file, behind.old_len(), behind.new_len())?;
    let mut caught_up = 0;
    let mut newer = patch
        .iter()
        .map(|(range, _)| (range.offset, range.offset + u64::from(range.len)))
        .peekable();
    // A declaration that is edited again and again is written once for each commit, not twice.
    let mut is_covered = |start: u64, end: u64| {
        while newer
            .next_if(|&(_, newer_end)| newer_end <= start)
            .is_some()
        {}
        newer
            .peek()
            .is_some_and(|&(newer_start, newer_end)| newer_start <= start && end <= newer_end)
    };
    let behind = behind.iter().filter_map(|(range, bytes)| {
        let end = range.offset + bytes.len() as u64;
        if is_covered(range.offset, end) {
            return None;
        }
        caught_up += bytes.len() as u64;
        Some((range.offset, bytes))
    });
    sys::write_ranges(file, behind)?;
    write_patch(file, patch)?;
    Ok(caught_up)
}

/// Applies a patch to a file that nobody sees.
fn write_patch(file: &File, patch: &RangeList) -> io::Result<()> {
    sys::resize(file, patch.old_len(), patch.new_len())?;
    sys::write_ranges(
        file,
        patch.iter().map(|(range, bytes)| (range.offset, bytes)),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::output::{How, Output, OutputOptions};
    use crate::patch::{RangeList, Reason};

    /// What a file system without leases or exchange comes down to.
    #[test]
    fn without_a_shadow_a_patch_is_a_copy_and_a_rename() {
        let folder = tempfile::tempdir().unwrap();
        let mut output =
            Output::file(folder.path().join("out.wasm"), OutputOptions::default()).unwrap();
        let hello = |bytes: &mut [u8]| {
            bytes.copy_from_slice(b"hello");
            Ok(())
        };
        output.publish_whole(5, hello).unwrap();
        let Output::File(file) = &mut output else {
            unreachable!()
        };
        file.shadowing = false;
        for round in 0..3u8 {
            let mut patch = RangeList::new(5);
            patch.push(4, &[round], Reason::Data);
            patch.finish(5);
            assert_eq!(output.publish_patch(patch).unwrap().how, How::FreshCopy);
            assert_eq!(output.read().unwrap(), [b'h', b'e', b'l', b'l', round]);
        }
        drop(output);
        assert_eq!(
            std::fs::read_dir(folder.path().join(".wasmend"))
                .unwrap()
                .count(),
            2,
            "the lock and `.gitignore`"
        );
    }
}
