//! One program that runs and is edited: takes in deltas, takes them back, begins anew where they cannot be taken in or have
//! become too many. Everything happens between calls: whoever owns the program calls nothing meanwhile.

use std::sync::Arc;
use std::time::Duration;

use crate::delta::{
    CHANGED, DONE, Delta, EPOCH, HAS_IT, LiveStep, MODULE, NO_MEMORY, NO_SLOTS, OTHER_VERSION,
    Refusal,
};
use crate::error::{Error, ErrorKind, Result};
use crate::live::runtime::{Exports, Runtime};
use crate::patch::BuildIdentity;
use crate::stopwatch::Stopwatch;

/// What the names of exports for deltas begin with.
const PREFIX: &str = "__wasmend_";

const BEFORE_RELOAD: &str = "__wasmend_before_reload";
const AFTER_RELOAD: &str = "__wasmend_after_reload";
const SAVE: &str = "__wasmend_save";
const RESTORE: &str = "__wasmend_restore";

/// How much may be taken in before an instance is replaced by a fresh one with the same state: code that has been replaced
/// stays in memory until then, and calls between instances are not inlined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Deltas at most.
    pub deltas: u32,
    /// Bytes of deltas at most.
    pub bytes: u64,
}

/// Whether to restart, for what was refused.
pub type Ask = Box<dyn FnMut(&[Refusal]) -> bool + Send>;

/// What to do about a commit that an instance cannot take in.
#[derive(Default)]
pub enum OnRefused {
    /// Begin anew with the new file; `__wasmend_save` and `__wasmend_restore` carry over what the program wants to keep.
    #[default]
    Restart,
    /// Go on with the old program, until somebody restarts it.
    Keep,
    /// Ask: whether to restart.
    Callback(Ask),
}

/// Options of a [`Live`].
#[derive(Default)]
pub struct LiveOptions {
    /// When to go over to a fresh instance. Default: never.
    pub budget: Option<Budget>,
    /// What to do about a commit that cannot be taken in. Default: restart.
    pub on_refused: OnRefused,
}

/// How long the phases of a reload took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadPhases {
    /// The program's hook before.
    pub before: Duration,
    /// Compiling and instantiating.
    pub instantiate: Duration,
    /// Looking whether it can be taken in.
    pub prepare: Duration,
    /// Writing data and slots, or carrying over state.
    pub apply: Duration,
    /// The program's hook after.
    pub after: Duration,
}

/// What a reload did.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// How.
    pub took: Took,
    /// Data and globals that the program had changed, and that therefore kept their values though what they begin with is
    /// another value now.
    pub kept: Vec<String>,
    /// How long it took.
    pub phases: ReloadPhases,
}

/// How a program came to a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Took {
    /// Nothing was to be done.
    Nothing,
    /// It took in a delta.
    Delta,
    /// It went over to a fresh instance, with all of its state.
    Rebased,
    /// It began anew.
    Restarted(Vec<Refusal>),
    /// It runs on as it was.
    Kept(Vec<Refusal>),
}

/// A program that runs.
pub struct Live<R: Runtime> {
    runtime: R,
    options: LiveOptions,
    /// What the instance exports.
    exports: Exports<R>,
    /// What deltas import: of the instance, of earlier deltas, and the version.
    given: Exports<R>,
    identity: BuildIdentity,
    /// What has been taken in since the instance was made.
    deltas: u32,
    bytes: u64,
    /// What takes back the last delta.
    undo: Option<Arc<Delta>>,
}

impl<R: Runtime> Live<R> {
    /// Instantiates a file that was written with [`ModuleOptions::live`](crate::ModuleOptions::live).
    ///
    /// # Errors
    /// If the file is no output of wasmend, or cannot be instantiated.
    pub fn load(mut runtime: R, file: &[u8], options: LiveOptions) -> Result<Live<R>> {
        let (exports, given, identity) = load(&mut runtime, file)?;
        Ok(Live {
            runtime,
            options,
            exports,
            given,
            identity,
            deltas: 0,
            bytes: 0,
            undo: None,
        })
    }

    /// The runtime, with the store in which the program lives.
    pub fn runtime(&mut self) -> &mut R {
        &mut self.runtime
    }

    /// Something that the program exports. What is called by this is always the current version; but after a
    /// [rebase](Live::rebase) or a restart it is another thing.
    pub fn export(&self, name: &str) -> Option<R::Extern> {
        self.exports.get(name).cloned()
    }

    /// What deltas are given under this name: something of the instance's, or of a delta that it took in.
    pub fn given(&self, name: &str) -> Option<R::Extern> {
        self.given.get(name).cloned()
    }

    /// All that deltas are given, by name.
    pub fn all_given(&self) -> impl Iterator<Item = (String, R::Extern)> {
        let given = self.given.iter();
        given.map(|(name, given)| (name.clone(), given.clone()))
    }

    /// The names of all that it exports.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exports.keys().map(String::as_str)
    }

    /// Which version runs.
    pub fn identity(&self) -> BuildIdentity {
        self.identity
    }

    /// Brings the program to the version that a commit has published: `step` is what the commit says of it, `file` reads
    /// what was published. To be called for each commit, in order, between calls of the program.
    ///
    /// # Errors
    /// If the delta is not for this version, damaged, or not to be taken in by this instance; then nothing has happened. If
    /// the program traps in one of its hooks, or the new file cannot be instantiated.
    pub fn take(
        &mut self,
        step: Option<&LiveStep>,
        file: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Reloaded> {
        match step {
            None => Ok(reloaded(Took::Nothing)),
            Some(LiveStep::Delta { delta, undo }) => {
                let mut done = self.apply(delta)?;
                self.undo.clone_from(undo);
                let is_full =
                    |budget: Budget| self.deltas > budget.deltas || self.bytes > budget.bytes;
                if self.options.budget.is_some_and(is_full) {
                    let phases = self.rebase(&file()?)?.phases;
                    done.took = Took::Rebased;
                    done.phases.instantiate += phases.instantiate;
                    done.phases.apply += phases.apply;
                }
                Ok(done)
            }
            Some(LiveStep::Refused(refusals)) => {
                let restarts = match &mut self.options.on_refused {
                    OnRefused::Restart => true,
                    OnRefused::Keep => false,
                    OnRefused::Callback(ask) => ask(refusals),
                };
                match restarts {
                    false => Ok(reloaded(Took::Kept(refusals.clone()))),
                    true => {
                        let mut done = self.restart(&file()?)?;
                        done.took = Took::Restarted(refusals.clone());
                        Ok(done)
                    }
                }
            }
        }
    }

    /// Takes back the last delta, if there is one that does it.
    ///
    /// # Errors
    /// As [`Live::take`].
    pub fn undo(&mut self) -> Result<Reloaded> {
        match self.undo.take() {
            None => Ok(reloaded(Took::Nothing)),
            Some(undo) => self.apply(&undo),
        }
    }

    /// Takes in a delta.
    ///
    /// # Errors
    /// As [`Live::take`].
    pub fn apply(&mut self, delta: &Delta) -> Result<Reloaded> {
        let mut watch = Stopwatch::start();
        let mut phases = ReloadPhases::default();
        if delta.from != self.identity {
            let code = match delta.to == self.identity {
                true => HAS_IT,
                false => OTHER_VERSION,
            };
            expect_done(Some(code.into()))?;
        }
        delta.check()?;
        let made = self.runtime.instantiate(&delta.bytes, MODULE, &self.given);
        let made = made.map_err(|error| {
            error.with_hint(
                "nothing has happened: give the host what is missing, and take it in again",
            )
        })?;
        phases.instantiate = watch.lap();
        let routine = |name: &str| {
            made.get(name)
                .cloned()
                .ok_or_else(|| refused(&format!("the delta has no `{name}`")))
        };
        let (prepare, apply) = (routine("prepare")?, routine("apply")?);
        expect_done(self.runtime.call(&prepare, &[])?)?;
        phases.prepare = watch.lap();
        // The program is told only of what will happen.
        self.hook(BEFORE_RELOAD)?;
        phases.before = watch.lap();
        expect_done(self.runtime.call(&apply, &[])?)?;
        phases.apply = watch.lap();
        self.identity = delta.to;
        self.deltas += 1;
        self.bytes += delta.bytes.len() as u64;
        self.undo = None;
        let kept = match made.get("kept") {
            Some(kept) => self.runtime.global_i64(kept).unwrap_or(0),
            None => 0,
        };
        let own = made
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX));
        self.given.extend(own);
        self.hook(AFTER_RELOAD)?;
        phases.after = watch.lap();
        let names = delta.conditional.iter().enumerate();
        let names = names.filter(|(at, _)| kept >> (*at).min(63) & 1 != 0);
        Ok(Reloaded {
            took: Took::Delta,
            kept: names.map(|(_, name)| name.clone()).collect(),
            phases,
        })
    }

    /// Goes over to a fresh instance of the file, which is of the version that runs, with memories and globals as they are.
    /// Slots of the table are as the file says. A start function runs again. What the old instance took is freed if the
    /// runtime can make [another store](Runtime::renewed); until then [`Live::runtime`] is the old one.
    ///
    /// # Errors
    /// If the file is of another version, or cannot be instantiated, or a memory is one that cannot be copied. The program
    /// goes on as it was then.
    pub fn rebase(&mut self, file: &[u8]) -> Result<Reloaded> {
        let mut watch = Stopwatch::start();
        let mut phases = ReloadPhases::default();
        if BuildIdentity::of_file(file).map(|(_, identity)| identity) != Some(self.identity) {
            return Err(refused("the file is of another version than the program"));
        }
        // Memories may be the host's: whatever instantiating does to them is undone.
        let (mut memories, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (name, given) in &self.given {
            if name.starts_with("__wasmend_m") {
                let bytes = self.runtime.memory(given);
                memories.push((name.clone(), bytes.ok_or_else(cannot_copy)?));
            } else if name.starts_with("__wasmend_g")
                && let Some(value) = self.runtime.value(given)
            {
                names.push(name.clone());
                values.push(value);
            }
        }
        let mut renewed = self.runtime.renewed(&values)?;
        let runtime = renewed.as_mut().unwrap_or(&mut self.runtime);
        let (exports, given, identity) = load(runtime, file)?;
        phases.instantiate = watch.lap();
        for (name, bytes) in memories {
            if let Some(memory) = given.get(&name) {
                runtime.write_memory(memory, 0, &bytes)?;
            }
        }
        for (name, value) in names.into_iter().zip(values) {
            if let Some(global) = given.get(&name) {
                runtime.set_value(global, value)?;
            }
        }
        phases.apply = watch.lap();
        if let Some(renewed) = renewed {
            self.runtime = renewed;
        }
        (self.exports, self.given, self.identity) = (exports, given, identity);
        (self.deltas, self.bytes) = (0, 0);
        Ok(Reloaded {
            took: Took::Rebased,
            kept: Vec::new(),
            phases,
        })
    }

    /// Begins anew with a file of any version. If the program has `__wasmend_save` and the new one `__wasmend_restore`, what
    /// the one returns is given to the other.
    ///
    /// # Errors
    /// If the file cannot be instantiated, or a hook traps.
    pub fn restart(&mut self, file: &[u8]) -> Result<Reloaded> {
        let mut watch = Stopwatch::start();
        let mut phases = ReloadPhases::default();
        let saved = self.save()?;
        phases.before = watch.lap();
        let mut renewed = self.runtime.renewed(&[])?;
        let runtime = renewed.as_mut().unwrap_or(&mut self.runtime);
        let (exports, given, identity) = load(runtime, file)?;
        phases.instantiate = watch.lap();
        if let Some(renewed) = renewed {
            self.runtime = renewed;
        }
        (self.exports, self.given, self.identity) = (exports, given, identity);
        (self.deltas, self.bytes, self.undo) = (0, 0, None);
        if let Some(saved) = saved {
            self.restore(&saved)?;
        }
        phases.after = watch.lap();
        Ok(Reloaded {
            took: Took::Restarted(Vec::new()),
            kept: Vec::new(),
            phases,
        })
    }

    /// Calls a hook of the program's, if it has it.
    fn hook(&mut self, name: &str) -> Result<()> {
        if let Some(hook) = self.export(name) {
            self.runtime.call(&hook, &[])?;
        }
        Ok(())
    }

    /// What the program wants to keep: the upper half of what it returns is a length, the lower half an address.
    fn save(&mut self) -> Result<Option<Vec<u8>>> {
        let (Some(save), Some(memory)) = (self.export(SAVE), self.memory()) else {
            return Ok(None);
        };
        let place = self.runtime.call(&save, &[])?.unwrap_or(0) as u64;
        let (start, len) = (place as u32 as usize, (place >> 32) as usize);
        let bytes = self.runtime.memory(&memory).unwrap_or_default();
        let saved = bytes.get(start..start + len);
        let saved = saved.ok_or_else(|| refused("what the program saves is not in its memory"))?;
        Ok(Some(saved.to_vec()))
    }

    /// Gives the program what it has kept: called with a length and zero, it returns where the bytes are to be put; then it
    /// is called with that length and one.
    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let (Some(restore), Some(memory)) = (self.export(RESTORE), self.memory()) else {
            return Ok(());
        };
        let len = saved.len() as i64;
        let address = self.runtime.call(&restore, &[len, 0])?.unwrap_or(0);
        let address = u64::from(address as u32);
        let size = self.runtime.memory(&memory).map_or(0, |bytes| bytes.len());
        if address + saved.len() as u64 > size as u64 {
            return Err(refused("the program restores to where it has no memory"));
        }
        self.runtime.write_memory(&memory, address, saved)?;
        self.runtime.call(&restore, &[len, 1])?;
        Ok(())
    }

    /// The program's memory: of several, the one that was declared first.
    pub fn memory(&self) -> Option<R::Extern> {
        let memories = self.given.iter().filter_map(|(name, given)| {
            let serial = name.strip_prefix("__wasmend_m")?;
            Some((serial.parse::<u32>().ok()?, given))
        });
        let first = memories.min_by_key(|(serial, _)| *serial);
        first.map(|(_, memory)| memory.clone())
    }
}

/// What an instance exports, what it gives to deltas, and which version it is.
type Loaded<R> = (Exports<R>, Exports<R>, BuildIdentity);

fn load<R: Runtime>(runtime: &mut R, file: &[u8]) -> Result<Loaded<R>> {
    let Some((_, identity)) = BuildIdentity::of_file(file) else {
        return Err(Error::bad_input(
            "is no output of wasmend, so nobody knows which version it is",
        ));
    };
    let exports = runtime.instantiate(file, MODULE, &Exports::<R>::new())?;
    let own = exports.iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut given: Exports<R> = own
        .map(|(name, given)| (name.clone(), given.clone()))
        .collect();
    if !given.contains_key("__wasmend_table") {
        let error = Error::bad_input("was not written to be patched while it runs");
        return Err(error.with_hint("ask for that in the options: `live`"));
    }
    let epoch = runtime.new_global(Delta::epoch(&identity))?;
    given.insert(EPOCH.to_owned(), epoch);
    Ok((exports, given, identity))
}

fn reloaded(took: Took) -> Reloaded {
    Reloaded {
        took,
        kept: Vec::new(),
        phases: ReloadPhases::default(),
    }
}

#[cold]
fn refused(text: &str) -> Error {
    Error::new(ErrorKind::BadInput, text)
}

#[cold]
fn cannot_copy() -> Error {
    refused("a memory of the program cannot be copied").with_hint("restart it with the file")
}

/// Whether a routine of a delta did what it should.
fn expect_done(code: Option<i64>) -> Result<()> {
    let code = code.and_then(|code| i32::try_from(code).ok());
    let (text, hint) = match code {
        Some(DONE) => return Ok(()),
        Some(HAS_IT) => (
            "the program has this delta already",
            "nothing is to be done",
        ),
        Some(OTHER_VERSION) => (
            "the delta is for another version of the program",
            "take in the deltas of all commits in their order, or restart with the file",
        ),
        Some(NO_SLOTS) => (
            "the table of slots cannot grow",
            "let tables of the store have more elements, or restart with the file",
        ),
        Some(NO_MEMORY) => (
            "the memory is too small for the data",
            "make it larger and take the delta in again, or restart with the file",
        ),
        Some(CHANGED) => (
            "the program has changed data that must be as it was",
            "restart with the file",
        ),
        _ => (
            "the delta says something that is not known",
            "restart with the file",
        ),
    };
    Err(refused(text).with_hint(hint))
}
