//! A whole module that is kept, by a process that may go on with it: `wasmend patch`, which ends, and `wasmend watch --state`, which
//! does not. Both do the same.
//!
//! Nothing but the module is to stand in the arena, and everything of it: whoever works on it is there meanwhile ([`heap::work`]),
//! and nobody else is.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::heap;
use crate::kept::{
    After, Arena, Asked, Basis, Found, Held, KeptFile, KeptFiles, NO_LIST, NoState, Opened, Role,
    Stop, Store, caught,
};
use crate::output::{self, Sighting};
use crate::whole::session::{Update, WholeModule, WholeOptions};

/// An output that follows builds of a module, of which the state is kept by a process that goes on.
///
/// The first [`update`](KeptWhole::update) goes on where an earlier process ended, or makes the output anew;
/// [`save`](KeptWhole::save) writes what the next process needs, as often as is asked for. There is one of them in a process. What a
/// program must do for that stands in [`kept`](crate::kept).
pub struct KeptWhole {
    output: PathBuf,
    options: WholeOptions,
    /// Whether nothing is to be kept for another process.
    is_alone: bool,
    /// The process's arena, once there is one.
    arena: Option<Arena>,
    held: Option<Held<WholeModule>>,
    /// The build that was read last.
    files: KeptFiles,
}

/// A build as it was read.
#[derive(Clone)]
pub(super) struct ReadBuild {
    bytes: Vec<u8>,
    files: KeptFiles,
}

impl From<Error> for Stop<Error> {
    fn from(error: Error) -> Stop<Error> {
        Stop::Failed(error)
    }
}

impl KeptWhole {
    /// The output at `output` is to follow builds. Nothing is made yet.
    pub fn new(output: &Path, options: WholeOptions) -> KeptWhole {
        KeptWhole {
            output: output.to_path_buf(),
            options,
            is_alone: false,
            arena: None,
            held: None,
            files: KeptFiles::default(),
        }
    }

    /// The same, and nothing is kept for another process.
    #[must_use]
    pub fn alone(self) -> KeptWhole {
        KeptWhole {
            is_alone: true,
            ..self
        }
    }

    /// Makes the output equal to the build in a file, which `read` reads. If there is nothing to go on with, the output is made anew, for
    /// which it also returns the reason.
    ///
    /// # Errors
    /// If the build cannot be read or is not a valid module, another process is writing the output, or it cannot be written. The
    /// output is as it was then, and so is what is kept.
    pub fn update(
        &mut self,
        build: &Path,
        read: &dyn Fn(&Path) -> Result<Vec<u8>>,
    ) -> Result<(Update, Option<NoState>)> {
        let build = ReadBuild::read(build, read)?;
        let why = match &mut self.held {
            Some(Held::Unkept(module, _)) => return Ok((module.update(&build.bytes)?, None)),
            Some(Held::Kept(_, module)) => {
                let done = {
                    let _working = heap::work();
                    caught(|| module.update(&build.bytes))
                };
                match done {
                    Ok(done) => {
                        let update = done?;
                        self.files = build.files;
                        return Ok((update, None));
                    }
                    Err(why) => {
                        self.abandon();
                        NoState::Failed(why)
                    }
                }
            }
            None => match self.look() {
                Ok((store, found)) => match self.open(store, found, build.clone()) {
                    Ok(Opened::Updated(update)) => return Ok((*update, None)),
                    Ok(Opened::Unusable(why)) => NoState::Failed(why),
                    Err(Stop::No(reason)) => reason,
                    Err(Stop::Failed(error)) => return Err(error),
                },
                Err(reason) => reason,
            },
        };
        let update = self.create(build)?;
        Ok((update, Some(why)))
    }

    /// Makes the output anew from the build in a file, whatever an earlier process has left.
    ///
    /// # Errors
    /// As with [`KeptWhole::update`].
    pub fn create_from(
        &mut self,
        build: &Path,
        read: &dyn Fn(&Path) -> Result<Vec<u8>>,
    ) -> Result<Update> {
        self.forget();
        self.create(ReadBuild::read(build, read)?)
    }

    /// Looks for a state that fits. Only in a new process it can be opened.
    fn look(&self) -> std::result::Result<(Store<WholeModule>, Found), NoState> {
        if self.is_alone {
            return Err(NoState::None);
        }
        let store = Store::<WholeModule>::of(&self.output, &self.options)?;
        let found = store.find(&|| asked_of(&self.options))?;
        match &self.arena {
            None => Ok((store, found)),
            Some(_) => Err(NoState::Failed("the process has made it before".to_owned())),
        }
    }

    /// Goes on with what was found.
    pub(super) fn open(
        &mut self,
        store: Store<WholeModule>,
        mut found: Found,
        build: ReadBuild,
    ) -> std::result::Result<Opened<Update>, Stop<Error>> {
        // From here on no other process writes the arena's file. One may have, up to here.
        let locked = store.lock()?;
        if let Some(other) = store.find_other(&found, &|| asked_of(&self.options))? {
            found = other;
        }
        let (arena, module, seen) = store.open(locked, &found)?;
        heap::rest();
        self.arena = Some(arena);
        let mut is_resumed = false;
        let done = {
            let _working = heap::work();
            caught(|| {
                module.resume_output(self.options.output.clone(), seen)?;
                is_resumed = true;
                module.update(&build.bytes)
            })
        };
        let stop = match done {
            Ok(Ok(update)) => {
                self.held = Some(Held::Kept(Box::new(store), module));
                self.files = build.files;
                return Ok(Opened::Updated(Box::new(update)));
            }
            Ok(Err(error)) if error.kind() == ErrorKind::OutputChanged => {
                Ok(Opened::Unusable(error.to_string()))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(why) => Ok(Opened::Unusable(why)),
        };
        if is_resumed {
            module.abandon_output();
        }
        self.renew();
        stop
    }

    /// Makes the output anew, and keeps it if that can be.
    pub(super) fn create(&mut self, build: ReadBuild) -> Result<Update> {
        let store = self.begin();
        let (output, bytes) = (&self.output, &build.bytes);
        let (held, update) = match store {
            Ok(store) => {
                let (module, update) = {
                    let _working = heap::work();
                    // What is kept must stand in the arena.
                    let options = self.options.clone();
                    let (module, update) = WholeModule::create(output, options, bytes)?;
                    (store.keep(module.for_another_process()), update)
                };
                (Held::Kept(Box::new(store), module), update)
            }
            Err(reason) => {
                let options = self.options.clone();
                let (module, update) = WholeModule::create(output, options, bytes)?;
                (Held::Unkept(Box::new(module), reason), update)
            }
        };
        self.held = Some(held);
        self.files = build.files;
        Ok(update)
    }

    /// Makes sure that there is an arena.
    fn begin(&mut self) -> std::result::Result<Store<WholeModule>, NoState> {
        if self.is_alone {
            return Err(NoState::None);
        }
        let store = Store::<WholeModule>::of(&self.output, &self.options)?;
        if self.arena.is_none() {
            let arena = store.begin()?;
            heap::rest();
            self.arena = Some(arena);
        }
        Ok(store)
    }

    fn renew(&mut self) {
        if let Some(arena) = &mut self.arena {
            arena.renew();
        }
    }

    /// Gives up a module that may be in between, but for its output.
    fn abandon(&mut self) {
        if let Some(Held::Kept(_, module)) = self.held.take() {
            module.abandon_output();
        }
        self.renew();
    }

    /// Does what the next update would otherwise do before anything else; to be called when nobody waits.
    pub fn prepare(&mut self) {
        if let Some(held) = &mut self.held {
            held.work(WholeModule::prepare);
        }
        if let Some(arena) = &mut self.arena {
            arena.let_others_look();
        }
    }

    /// Writes what the next process needs to go on from here, while this one goes on. Returns how many bytes were written.
    ///
    /// # Errors
    /// Why nothing is kept, in words; what was published stays.
    pub fn save(&mut self) -> std::result::Result<u64, String> {
        self.save_for(After::GoOn)
    }

    /// The same for a process that ends.
    ///
    /// # Errors
    /// As with [`KeptWhole::save`].
    pub fn end(&mut self) -> std::result::Result<u64, String> {
        self.save_for(After::End)
    }

    /// Whether the output was made, or found.
    pub fn is_made(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn save_for(&mut self, after: After) -> std::result::Result<u64, String> {
        let (store, module, arena) = match (&mut self.held, &mut self.arena) {
            (Some(Held::Kept(store, module)), Some(arena)) => (store, module, arena),
            (Some(Held::Unkept(_, why)), _) => return Err(why.to_string()),
            _ => return Err("nothing is made yet".to_owned()),
        };
        let basis = Basis {
            files: Some(self.files.clone()),
            absent: Vec::new(),
            list: NO_LIST,
        };
        let published = module.leave_output();
        let asked = || asked_of(&self.options);
        store.save(arena, published, basis, &asked, after)
    }

    /// Forgets the output: the next update makes it anew.
    pub fn forget(&mut self) {
        if let Some(Held::Kept(store, module)) = self.held.take() {
            let _working = heap::work();
            store.discard(module);
        }
        self.renew();
    }
}

/// What was asked of a whole module, in words.
pub(super) fn asked_of(options: &WholeOptions) -> Asked {
    Asked::of::<WholeModule>(options)
}

impl ReadBuild {
    pub(super) fn read(build: &Path, read: &dyn Fn(&Path) -> Result<Vec<u8>>) -> Result<ReadBuild> {
        let look = || -> Result<Sighting> {
            let found = rustix::fs::stat(build);
            let found = found.map_err(|error| Error::io("cannot read", build, &error.into()))?;
            Ok(Sighting::of_stat(&found))
        };
        let began = output::now();
        let seen = look()?;
        let bytes = read(build)?;
        if !seen.is_still(&look()?) {
            let error = Error::new(ErrorKind::Io, "was changed while it was read");
            let error = error.with_path(build);
            return Err(error.with_hint("wait for what writes it to finish, and patch again"));
        }
        let mut files = KeptFiles::default();
        files.push(KeptFile {
            path: build,
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
