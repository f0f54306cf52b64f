//! Builds that are patched by a process each, which goes on where the one before it ended: for toolchains that run once for a build.
//!
//! A [`WholeModule`] is kept in an arena (`kept`). If the build is what it was, by its times, there is nothing to do; otherwise the arena
//! is mapped and the module in it updated as in one process, which finds out whether anything differs. Whatever is not as
//! expected, the output is made anew.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::heap;
use crate::kept::{
    Asked, Basis, Changes, Compare, Found, KeptFile, KeptFiles, NO_LIST, NoState, Resumed, Role,
    Stop, Store, caught, key_of, name_of,
};
use crate::output::{self, Sighting};
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

/// A build as it was read.
struct ReadBuild {
    bytes: Vec<u8>,
    files: KeptFiles,
}

impl From<Error> for Stop<Error> {
    fn from(error: Error) -> Stop<Error> {
        Stop::Failed(error)
    }
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
    /// From here on the process may allocate in the arena of that one: it is to be called once, and the process should end
    /// soon after.
    ///
    /// # Errors
    /// If the build cannot be read or is not a valid module, another process is writing the output, or it cannot be written. The
    /// output is as it was then, and so is what is kept.
    pub fn resume(&self) -> Result<Resumed<Update>> {
        Stop::ended(self.try_resume())
    }

    fn try_resume(&self) -> std::result::Result<Resumed<Update>, Stop<Error>> {
        let store = Store::<WholeModule>::of(self.output, self.options)?;
        let asked = || self.asked();
        let mut found = store.find(&asked)?;
        let named = [Some(self.build)];
        let is_changed = |found: &Found| {
            let changes = Changes::of(&found.head, &named, Path::new(""), Compare::Times)?;
            Ok::<bool, NoState>(!changes.files.is_empty())
        };
        if !is_changed(&found)? {
            store.restore(&found)?;
            return Ok(Resumed::Unchanged);
        }
        let build = self.read()?;
        // From here on no other process writes the arena's file. One may have, up to here.
        let locked = store.lock()?;
        if let Some(other) = store.find_other(&found, &asked)? {
            found = other;
        }
        let (image, module, seen) = store.open(locked, &found)?;
        let done = caught(|| {
            module.resume_output(self.options.output.clone(), seen)?;
            module.update(&build.bytes)
        });
        let update = match done {
            Ok(Ok(update)) => update,
            Ok(Err(error)) if error.kind() == ErrorKind::OutputChanged => {
                return Ok(Resumed::Unusable(error.to_string()));
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(why) => return Ok(Resumed::Unusable(why)),
        };
        // What only the head needs is not to be kept.
        let _paused = heap::pause();
        let basis = Basis {
            first_len: found.head.first_len,
            files: Some(build.files),
            absent: Vec::new(),
            list: NO_LIST,
        };
        let saved = store.save(&image, module.leave_output(), basis);
        Ok(Resumed::Updated {
            report: Box::new(update),
            saved,
        })
    }

    /// Makes the output anew, and keeps what the next process needs. Also returns how many bytes were kept, or why nothing
    /// could be. From here on the process allocates in an arena.
    ///
    /// # Errors
    /// If the build cannot be read or is not a valid module, another process is writing the output, or it cannot be written.
    pub fn create(&self) -> Result<(Update, std::result::Result<u64, String>)> {
        let build = self.read()?;
        let store = Store::<WholeModule>::of(self.output, self.options);
        let begun = store.and_then(|store| Ok((store.begin()?, store)));
        let (begun, store) = match begun {
            Ok(begun) => begun,
            Err(reason) => {
                // If this process has an arena, that is of no use to anybody.
                heap::leave();
                let options = self.options.clone();
                let (_, update) = WholeModule::create(self.output, options, &build.bytes)?;
                return Ok((update, Err(reason.to_string())));
            }
        };
        // What is kept must stand in the arena.
        let options = self.options.clone();
        let (module, update) = WholeModule::create(self.output, options, &build.bytes)?;
        let module = store.keep(module);
        // What only the head needs is not to be kept.
        let _paused = heap::pause();
        let basis = Basis {
            first_len: 0,
            files: Some(build.files),
            absent: Vec::new(),
            list: NO_LIST,
        };
        let published = module.leave_output();
        let saved = store.save_new(begun, published, basis, &self.asked());
        Ok((update, saved))
    }

    /// A name for what is kept somewhere else than beside the output: the same for the same output and options.
    pub fn state_name(&self) -> String {
        name_of(&key_of::<WholeModule>(&(self.output, self.options)))
    }

    fn asked(&self) -> Asked {
        Asked::of::<WholeModule>(self.options)
    }

    /// Reads the build, which must stay as it is meanwhile.
    fn read(&self) -> Result<ReadBuild> {
        output::expect_not_an_input(self.output, [self.build])?;
        let look = || -> Result<Sighting> {
            let found = rustix::fs::stat(self.build);
            let found =
                found.map_err(|error| Error::io("cannot read", self.build, &error.into()))?;
            Ok(Sighting::of_stat(&found))
        };
        let began = output::now();
        let seen = look()?;
        let bytes = (self.read)(self.build)?;
        if !seen.is_still(&look()?) {
            let error = Error::new(ErrorKind::Io, "was changed while it was read");
            let error = error.with_path(self.build);
            return Err(error.with_hint("wait for what writes it to finish, and patch again"));
        }
        let mut files = KeptFiles::default();
        files.push(KeptFile {
            path: self.build,
            role: Role::Followed,
            position: Some(0),
            seen,
            // What it holds is compared by the update.
            is_recent: seen.is_recent(began),
            hash: None,
        });
        Ok(ReadBuild { bytes, files })
    }
}
