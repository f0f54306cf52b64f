//! Builds that are patched by a process each, which goes on where the one before it ended: for toolchains that run once for a build.
//!
//! A [`WholeModule`] is kept in an arena (`kept`). If the build is what it was, by its times, there is nothing to do; otherwise the arena
//! is mapped and the module in it updated as in one process, which finds out whether anything differs. Whatever is not as
//! expected, the output is made anew.

use std::path::Path;

use crate::error::{Error, Result};
use crate::kept::{After, Changes, Compare, Opened, Resumed, Stop, Store, key_of, name_of};
use crate::output;
use crate::whole::going::{KeptWhole, ReadBuild, asked_of};
use crate::whole::session::{Update, WholeModule, WholeOptions};

/// One build in a file, and the output that a process brings up to date with it before it ends.
///
/// The next process goes on where this one has ended, if it is one of the same program: [`resume`](OneShot::resume). If there is
/// nothing to go on with, [`create`](OneShot::create) makes the output anew and keeps what the next process needs, in the
/// folder `.wasmend` beside it. What a program must do for that stands in [`kept`](crate::kept).
///
/// ```no_run
/// use std::path::Path;
/// use wasmend::kept::Resumed;
/// use wasmend::{OneShot, WholeOptions};
///
/// #[global_allocator]
/// static HEAP: wasmend::heap::Heap = wasmend::heap::Heap::new();
///
/// fn main() -> wasmend::Result<()> {
///     let options = WholeOptions::default();
///     let once = OneShot::new(Path::new("out.wasm"), &options, Path::new("build.wasm"));
///     match once.resume()? {
///         Resumed::Unchanged => println!("nothing has changed"),
///         Resumed::Updated { report, .. } => println!("{} bytes", report.patch.bytes_written()),
///         Resumed::No(reason) => {
///             let (update, _) = once.create()?;
///             println!("{reason}: {} bytes", update.patch.bytes_written());
///         }
///         Resumed::Unusable(why) => {
///             // No state is kept by this process any more; the next one will.
///             once.create()?;
///             println!("{why}");
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct OneShot<'a> {
    output: &'a Path,
    options: &'a WholeOptions,
    build: &'a Path,
    read: &'a dyn Fn(&Path) -> Result<Vec<u8>>,
}

impl<'a> OneShot<'a> {
    /// The output at `output` is to follow the build in the file `build`.
    pub fn new(output: &'a Path, options: &'a WholeOptions, build: &'a Path) -> OneShot<'a> {
        OneShot {
            output,
            options,
            build,
            read: &|path| {
                std::fs::read(path).map_err(|error| Error::io("cannot read", path, &error))
            },
        }
    }

    /// Reads the build by another way. It is asked once, and only if something may have to be done.
    #[must_use]
    pub fn read_by(self, read: &'a dyn Fn(&Path) -> Result<Vec<u8>>) -> OneShot<'a> {
        OneShot { read, ..self }
    }

    /// Goes on where an earlier process ended, if there is something to go on with.
    ///
    /// The process works in the arena of that one, and has no other: it is to be called once, and the process should end soon after.
    ///
    /// # Errors
    /// If the build cannot be read or is not a valid module, another process is writing the output, or it cannot be written. The
    /// output is as it was then, and so is what is kept.
    pub fn resume(&self) -> Result<Resumed<Update>> {
        Stop::ended(self.try_resume())
    }

    fn try_resume(&self) -> std::result::Result<Resumed<Update>, Stop<Error>> {
        let store = Store::<WholeModule>::of(self.output, self.options)?;
        let found = store.find_saved(&|| asked_of(self.options))?;
        let named = [Some(self.build)];
        let changes = Changes::of(&found.head, &named, Path::new(""), Compare::Times)?;
        if changes.files.is_empty() {
            store.restore_unchanged(found, None)?;
            let flushed = store.flush(self.options.output.durability);
            flushed.map_err(|error| Error::io("cannot flush", self.output, &error))?;
            return Ok(Resumed::Unchanged);
        }
        let build = self.read()?;
        let mut kept = self.kept();
        match kept.open(store, found, build)? {
            Opened::Unusable(why) => Ok(Resumed::Unusable(why)),
            Opened::Updated(update) => Ok(Resumed::Updated {
                report: update,
                saved: kept.save_for(After::End),
            }),
        }
    }

    /// Makes the output anew, and keeps what the next process needs. Also returns how many bytes were kept, or why nothing
    /// could be.
    ///
    /// # Errors
    /// If the build cannot be read or is not a valid module, another process is writing the output, or it cannot be written.
    pub fn create(&self) -> Result<(Update, std::result::Result<u64, String>)> {
        let build = self.read()?;
        let mut kept = self.kept();
        let update = kept.create(build)?;
        Ok((update, kept.save_for(After::End)))
    }

    /// A name for what is kept somewhere else than beside the output: the same for the same output and options.
    pub fn state_name(&self) -> String {
        name_of(&key_of::<WholeModule>(&(self.output, self.options)))
    }

    fn kept(&self) -> KeptWhole {
        KeptWhole::new(self.output, self.options.clone())
    }

    /// Reads the build, which must stay as it is meanwhile.
    fn read(&self) -> Result<ReadBuild> {
        output::expect_not_an_input(self.output, [self.build])?;
        ReadBuild::read(self.build, self.read)
    }
}
