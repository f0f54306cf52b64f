//! A link that is kept, by a process that may go on with it: `wasmend ld --state`, which ends, and `wasmend watch --state`, which
//! does not. Both do the same: what they link stands in the arena, and after each link it is as if another process had it.
//!
//! Nothing but the link is to stand in the arena, and everything of it: whoever works on it is there meanwhile ([`heap::work`]), and
//! nobody else is.

use std::path::{Path, PathBuf};

use super::asked::{asked_of, list_of, settled};
use super::changes::{ListChanges, is_of_output};
use super::files::{Reading, absent_files, all_files, files_after, still_recent};
use crate::delta::LiveStep;
use crate::error::Error;
use crate::hash::HashSet;
use crate::heap;
use crate::kept::{
    After, Arena, Basis, Found, Held, KeptFiles, Locked, NoState, Opened, Resumed, Stop, Store,
    caught,
};
use crate::link::command::options::LinkOptions;
use crate::link::pipeline::Target;
use crate::link::report::{Failed, LinkReport};
use crate::link::session::Linked;
use crate::object::{Access, Input};
use crate::output::{self, OutputOptions, Sighting};

/// A linked program of which the state is kept, by a process that goes on.
///
/// [`link`](KeptLink::link) goes on where an earlier process ended, or links all; [`update`](KeptLink::update) follows what changes, and
/// [`save`](KeptLink::save) writes what the next process needs, as often as is asked for. There is one of them in a process. What a
/// program must do for that stands in [`kept`](crate::kept).
#[derive(Default)]
pub struct KeptLink {
    /// The process's arena, once there is one, with the output that it is kept for.
    arena: Option<(PathBuf, Arena)>,
    current: Option<Current>,
}

/// What is linked.
struct Current {
    held: Held<Linked>,
    options: LinkOptions,
    /// The files that were read; `None` if one cannot be told from others.
    files: Option<KeptFiles>,
    absent: Vec<PathBuf>,
    /// What the last update read, if that is not settled yet.
    read: Option<Read>,
    /// Why nobody knows any more what was linked, if that is so.
    lost: Option<String>,
}

/// What a link or an update has read.
struct Read {
    reading: Reading,
    what: What,
}

/// Which files were read.
enum What {
    /// It may be any.
    Any,
    /// Those at these places of the command line.
    Places(HashSet<u32>),
    /// Those of these names.
    Named(Vec<PathBuf>),
}

impl What {
    fn places(self, linked: &Linked) -> Option<HashSet<u32>> {
        match self {
            What::Any => None,
            What::Places(places) => Some(places),
            What::Named(paths) => {
                let paths: HashSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
                let files = linked.state.inputs.files().iter().enumerate();
                let read = files.filter(|(_, file)| paths.contains(file.input().path()));
                Some(read.map(|(place, _)| place as u32).collect())
            }
        }
    }
}

impl Current {
    /// Makes of what was read what another process would find.
    fn settle(&mut self) -> crate::Result<()> {
        let (Held::Kept(_, linked), Some(read)) = (&mut self.held, self.read.take()) else {
            return Ok(());
        };
        let places = read.what.places(linked);
        let kept = {
            let _working = heap::work();
            // What was looked at once is not looked at again, for that would be most of what a process touches that ends soon.
            linked.keep_objects(places.as_ref())
        };
        Input::forget_mapped_again();
        if let Err(error) = kept {
            self.files = None;
            self.lost = Some(error.to_string());
            return Err(error);
        }
        self.files = match (&self.files, &places) {
            (Some(files), Some(places)) => files_after(files, linked, places, read.reading),
            (before, _) => {
                self.absent = absent_files(linked);
                let files = all_files(linked, read.reading);
                files.and_then(|files| still_recent(files, before.as_ref()))
            }
        };
        Ok(())
    }

    /// The same in a process that goes on: what becomes of the files is of no matter then.
    fn settle_to_go_on(&mut self) -> Result<(), String> {
        let settled = self.settle();
        if let Held::Kept(_, linked) = &mut self.held {
            linked.let_go_of_inputs();
            // Whatever was read since, to verify the link for instance, is not what the next update reads.
            Input::forget_mapped_again();
        }
        match &self.lost {
            Some(why) => Err(why.clone()),
            None => settled.map_err(|error| error.to_string()),
        }
    }

    fn new(held: Held<Linked>, options: &LinkOptions, read: Option<Read>) -> Current {
        Current {
            held,
            options: options.clone(),
            files: None,
            absent: Vec::new(),
            read,
            lost: None,
        }
    }
}

impl KeptLink {
    /// Nothing is linked yet.
    pub fn new() -> KeptLink {
        KeptLink::default()
    }

    /// Links all, and keeps nothing for another process.
    ///
    /// # Errors
    /// All that went wrong.
    pub fn link_unkept(
        &mut self,
        options: &LinkOptions,
        publishing: OutputOptions,
        reason: NoState,
    ) -> Result<LinkReport, Failed> {
        self.forget();
        let target = Target::File(publishing);
        let (linked, report) = Linked::link(options.clone(), Access::Read, target)?;
        let held = Held::Unkept(Box::new(linked), reason);
        self.current = Some(Current::new(held, options, None));
        Ok(report)
    }

    /// Goes on with the link that an earlier process did for these options, if there is one; otherwise links all, for which it also
    /// returns the reason.
    ///
    /// # Errors
    /// All that went wrong. The output is as it was then, and so is what is kept.
    pub fn link(
        &mut self,
        options: &LinkOptions,
        publishing: &OutputOptions,
    ) -> Result<(LinkReport, Option<NoState>), Failed> {
        let is_first = self.arena.is_none();
        self.forget();
        let reason = match self.look(options, is_first) {
            Ok((store, found, changes)) => {
                let opened = self.open(store, found, changes, options, publishing.clone());
                match opened {
                    Ok(Opened::Updated(report)) => return Ok((*report, None)),
                    Ok(Opened::Unusable(why)) => NoState::Failed(why),
                    Err(Stop::No(reason)) => reason,
                    Err(Stop::Failed(failed)) => return Err(failed),
                }
            }
            Err(reason) => reason,
        };
        let report = self.link_anew(options, publishing.clone())?;
        Ok((report, Some(reason)))
    }

    /// Goes on with what this process linked for these options before it [rested](KeptLink::rest), if nobody has gone on with that since,
    /// or with what an earlier process did. `begin` is called before anything is written or shared out to threads, if there is
    /// anything to do. Nothing is saved yet.
    ///
    /// # Errors
    /// What the link says of its inputs; the output is as it was then, and so is what is kept.
    pub fn resume(
        &mut self,
        options: &LinkOptions,
        publishing: OutputOptions,
        begin: impl FnOnce(),
    ) -> Result<Resumed<LinkReport>, Failed> {
        Stop::ended(self.try_resume(options, publishing, begin))
    }

    fn try_resume(
        &mut self,
        options: &LinkOptions,
        publishing: OutputOptions,
        begin: impl FnOnce(),
    ) -> Result<Resumed<LinkReport>, Stop<Failed>> {
        let store = Store::<Linked>::of(&options.output, &settled(options))?;
        let found = match self.is_new() {
            true => store.find_saved(&|| asked_of(options))?,
            false => store.find(&|| asked_of(options))?,
        };
        if let Some((_, arena)) = &self.arena
            && !(self.current.is_some() && arena.has_left(&found))
        {
            let text = "another process has gone on with it since";
            return Err(NoState::Failed(text.to_owned()).into());
        }
        let changes = ListChanges::of(&found, options)?;
        if changes.are_none() {
            let left = self.arena.as_mut().map(|(_, arena)| arena);
            store.restore_unchanged(found, left)?;
            let flushed = store.flush(publishing.durability);
            flushed.map_err(|error| cannot_flush(&options.output, &error))?;
            return Ok(Resumed::Unchanged);
        }
        begin();
        match self.open(store, found, changes, options, publishing)? {
            Opened::Unusable(why) => Ok(Resumed::Unusable(why)),
            Opened::Updated(report) => Ok(Resumed::Updated {
                report,
                saved: Ok(0),
            }),
        }
    }

    /// Links all, as a process that was just started does for which there is nothing to go on with: if nothing can be kept, for the reason
    /// that is returned, what was linked is left where it is.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link_first(
        &mut self,
        options: &LinkOptions,
        publishing: OutputOptions,
    ) -> Result<(LinkReport, Option<NoState>), Failed> {
        match self.begin(options) {
            Ok(store) => Ok((self.link_kept(store, options, publishing)?, None)),
            Err(reason) => {
                let target = Target::File(publishing);
                let (module, report) = Linked::link_once(options, Access::Map, target)?;
                std::mem::forget(module);
                Ok((report, Some(reason)))
            }
        }
    }

    /// Looks for a state that fits, and for what has changed since. Only in a new process it can be opened.
    fn look(
        &self,
        options: &LinkOptions,
        is_first: bool,
    ) -> Result<(Store<Linked>, Found, ListChanges), NoState> {
        let store = Store::<Linked>::of(&options.output, &settled(options))?;
        let found = store.find(&|| asked_of(options))?;
        if !is_first {
            return Err(NoState::Failed("the process has linked before".to_owned()));
        }
        let changes = ListChanges::of(&found, options)?;
        Ok((store, found, changes))
    }

    /// Goes on with what was found, and brings the output up to date. `changes` is what has changed since; the files are looked at
    /// once more only where another process has been here meanwhile.
    fn open(
        &mut self,
        store: Store<Linked>,
        mut found: Found,
        mut changes: ListChanges,
        options: &LinkOptions,
        publishing: OutputOptions,
    ) -> Result<Opened<LinkReport>, Stop<Failed>> {
        // From here on no other process writes the arena's file. One may have, up to here.
        let locked = store.lock()?;
        if let Some(other) = store.find_other(&found, &|| asked_of(options))? {
            changes = ListChanges::of(&other, options)?;
            found = other;
        }
        changes.expect_no_output(options).map_err(Failed::from)?;
        let (linked, seen) = self.take(&store, locked, &found, options)?;
        let began = output::now();
        let mut is_resumed = false;
        let done = {
            let _working = heap::work();
            caught(|| {
                linked.resume_output(publishing, seen)?;
                is_resumed = true;
                if changes.is_other_list {
                    return linked.update_list(options, &changes.files.files);
                }
                linked.rename_inputs(options, &changes.files.renamed);
                linked.update(&changes.files.files)
            })
        };
        let unusable = match done {
            Ok(Ok(report)) => {
                // A link from the inputs may have read other members, and libraries may be looked for elsewhere.
                let is_as_before = report.resolved_anew.is_none() && !changes.moves_libraries();
                let compare = options.compare;
                let what = match is_as_before {
                    true => What::Places(changes.files.places),
                    false => What::Any,
                };
                let reading = Reading { began, compare };
                self.current = Some(Current {
                    files: Some(found.head.files),
                    absent: found.head.absent,
                    ..Current::new(
                        Held::Kept(Box::new(store), linked),
                        options,
                        Some(Read { reading, what }),
                    )
                });
                return Ok(Opened::Updated(Box::new(report)));
            }
            Ok(Err(failed)) if failed.0.errors.iter().all(is_of_output) => failed.to_string(),
            Ok(Err(failed)) => {
                self.abandon(linked, is_resumed);
                return Err(Stop::Failed(failed));
            }
            Err(why) => why,
        };
        self.abandon(linked, is_resumed);
        Ok(Opened::Unusable(unusable))
    }

    /// Takes what is kept: what this process has left, or what is in the arena's file.
    fn take(
        &mut self,
        store: &Store<Linked>,
        locked: Locked,
        found: &Found,
        options: &LinkOptions,
    ) -> Result<(&'static mut Linked, Sighting), NoState> {
        if let Some((_, arena)) = &mut self.arena {
            let is_its = arena.has_left(found);
            let held = self.current.take().map(|current| current.held);
            let Some(Held::Kept(_, linked)) = held.filter(|_| is_its) else {
                let text = "another process is going on with it";
                return Err(NoState::Failed(text.to_owned()));
            };
            return Ok((linked, store.wake(arena, locked, found)?));
        }
        let (arena, linked, seen) = store.open(locked, found)?;
        heap::rest();
        self.arena = Some((options.output.clone(), arena));
        Ok((linked, seen))
    }

    /// Gives up a link that may be in between, but for its output, if that is this process's.
    fn abandon(&mut self, linked: &'static mut Linked, is_resumed: bool) {
        if is_resumed {
            linked.state.module.abandon_output();
        }
        if let Some((_, arena)) = &mut self.arena {
            arena.renew();
        }
    }

    /// Links all, whatever an earlier process has left, and keeps it if that can be.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link_anew(
        &mut self,
        options: &LinkOptions,
        publishing: OutputOptions,
    ) -> Result<LinkReport, Failed> {
        self.forget();
        match self.begin(options) {
            Ok(store) => self.link_kept(store, options, publishing),
            Err(reason) => self.link_unkept(options, publishing, reason),
        }
    }

    /// Makes sure that there is an arena for what is to be linked.
    fn begin(&mut self, options: &LinkOptions) -> Result<Store<Linked>, NoState> {
        let store = Store::<Linked>::of(&options.output, &settled(options))?;
        match &self.arena {
            Some((output, _)) if *output == options.output => {}
            Some(_) => {
                let text = "the process keeps the state of another output".to_owned();
                return Err(NoState::Unsupported(text));
            }
            None => {
                let arena = store.begin()?;
                heap::rest();
                self.arena = Some((options.output.clone(), arena));
            }
        }
        Ok(store)
    }

    /// Links all, in the arena.
    fn link_kept(
        &mut self,
        store: Store<Linked>,
        options: &LinkOptions,
        publishing: OutputOptions,
    ) -> Result<LinkReport, Failed> {
        let reading = Reading {
            began: output::now(),
            compare: options.compare,
        };
        let (linked, report) = {
            let _working = heap::work();
            // What is kept must stand in the arena: the options that were made before do not.
            let target = Target::File(publishing);
            let (linked, report) = Linked::link(options.clone(), Access::Keep, target)?;
            (store.keep(linked), report)
        };
        let what = What::Any;
        let read = Some(Read { reading, what });
        self.current = Some(Current::new(
            Held::Kept(Box::new(store), linked),
            options,
            read,
        ));
        Ok(report)
    }

    /// Brings the output up to date with these files, which may have changed. If what was linked before is of no use for that, all is
    /// linked anew, for which it also returns the reason.
    ///
    /// # Errors
    /// All that went wrong. The output stays as it was.
    pub fn update(
        &mut self,
        publishing: &OutputOptions,
        changed: &[PathBuf],
    ) -> Result<(LinkReport, Option<NoState>), Failed> {
        let Some(current) = &mut self.current else {
            return Err(Error::bad_input("nothing is linked yet").into());
        };
        let began = output::now();
        let settled = current.settle_to_go_on();
        let done = settled.and_then(|()| match &mut current.held {
            Held::Kept(_, linked) => {
                let _working = heap::work();
                caught(|| linked.update(changed))
            }
            Held::Unkept(linked, _) => Ok(linked.update(changed)),
        });
        let why = match done {
            Ok(Ok(report)) => {
                let compare = current.options.compare;
                let what = match report.resolved_anew {
                    None => What::Named(changed.to_vec()),
                    Some(_) => What::Any,
                };
                let reading = Reading { began, compare };
                current.read = Some(Read { reading, what });
                return Ok((report, None));
            }
            Ok(Err(failed)) => return Err(failed),
            Err(why) => why,
        };
        let options = current.options.clone();
        if let Some(current) = self.current.take()
            && let Held::Kept(_, linked) = current.held
        {
            self.abandon(linked, true);
        }
        let report = self.link_anew(&options, publishing.clone())?;
        Ok((report, Some(NoState::Failed(why))))
    }

    /// Does what the next update would otherwise do before anything else; to be called when nobody waits.
    pub fn prepare(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        if current.settle_to_go_on().is_err() {
            // The next update finds out, and links all.
            return;
        }
        current.held.work(Linked::prepare);
        if let Some((_, arena)) = &mut self.arena {
            arena.let_others_look();
        }
    }

    /// Writes what the next process needs to go on from here, while this one goes on. Returns how many bytes were written.
    ///
    /// # Errors
    /// Why nothing is kept, in words; what was published stays.
    pub fn save(&mut self) -> Result<u64, String> {
        if let Some(current) = &mut self.current {
            current.settle_to_go_on()?;
        }
        self.save_for(After::GoOn)
    }

    /// The same for a process that ends.
    ///
    /// # Errors
    /// As with [`KeptLink::save`].
    pub fn end(&mut self) -> Result<u64, String> {
        self.save_for(After::End)
    }

    /// Makes sure that others may do what they like with the output and with all that was read before this process [rests](KeptLink::rest):
    /// they know no better than that it is done.
    pub fn secure(&mut self) {
        if let Some(current) = &mut self.current {
            // If that fails, nothing can be kept, which whoever saves finds out.
            let _ = current.settle();
            if let Held::Kept(store, _) = &current.held {
                store.keep_output();
            }
        }
    }

    /// Does what the next update would otherwise do before anything else, saves, and lets any process go on from there while this one
    /// does nothing: until it [resumes](KeptLink::resume), it is as if it had ended.
    ///
    /// # Errors
    /// As with [`KeptLink::save`]. There is nothing to go on with then.
    pub fn rest(&mut self) -> Result<u64, String> {
        if let Some(current) = &mut self.current {
            current.settle_to_go_on()?;
            current.held.work(Linked::prepare);
        }
        let saved = self.save_for(After::Rest)?;
        if let Some(current) = &mut self.current {
            current.held.work(Linked::rest_output);
        }
        Ok(saved)
    }

    /// Whether it has linked nothing yet: it may go on where another process ended, or begin.
    pub fn is_new(&self) -> bool {
        self.arena.is_none() && self.current.is_none()
    }

    /// Whether anything is linked.
    pub fn is_linked(&self) -> bool {
        self.current.is_some()
    }

    fn save_for(&mut self, after: After) -> Result<u64, String> {
        let nothing = || "nothing is linked".to_owned();
        let current = self.current.as_mut().ok_or_else(nothing)?;
        // If that fails, the files are not known.
        let _ = current.settle();
        let (store, linked) = match &mut current.held {
            Held::Kept(store, linked) => (store, linked),
            Held::Unkept(_, why) => return Err(why.to_string()),
        };
        let (_, arena) = self.arena.as_mut().ok_or_else(nothing)?;
        let basis = Basis {
            files: current.files.clone(),
            absent: current.absent.clone(),
            list: list_of(&current.options),
        };
        let published = linked.state.module.leave_output();
        let asked = || asked_of(&current.options);
        store.save(arena, published, basis, &asked, after)
    }

    /// Forgets what is linked: the next link begins from the inputs.
    pub fn forget(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        if let Held::Kept(store, linked) = current.held {
            let _working = heap::work();
            store.discard(linked);
        }
        if let Some((_, arena)) = &mut self.arena {
            arena.renew();
        }
    }

    /// The files that the link was made of.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let current = self.current.iter();
        current.flat_map(|current| current.held.value().files())
    }

    /// The same step, with debug information in its deltas; see [`Linked::describe`].
    ///
    /// # Errors
    /// If the step is not of the last update.
    pub fn describe(&mut self, step: LiveStep) -> crate::Result<LiveStep> {
        match &mut self.current {
            None => Ok(step),
            Some(current) => current.held.work(|linked| linked.describe(step)),
        }
    }

    /// Compares the output with the same files linked anew; see [`Linked::verify`].
    ///
    /// # Errors
    /// If they differ; also what else goes wrong.
    pub fn verify(&self) -> Result<(), Failed> {
        let linked = self.current.as_ref().map(|current| current.held.value());
        linked.map_or(Ok(()), Linked::verify)
    }

    /// The dense forms of the output and of the same files linked anew.
    ///
    /// # Errors
    /// All that goes wrong.
    pub fn both_finished(&self) -> Result<(Vec<u8>, Vec<u8>), Failed> {
        let Some(current) = &self.current else {
            return Ok((Vec::new(), Vec::new()));
        };
        let linked = current.held.value();
        Ok((linked.finish()?, linked.linked_anew()?.finish()?))
    }
}

fn cannot_flush(output: &Path, error: &std::io::Error) -> Failed {
    Failed::from(Error::io("cannot flush", output, error))
}
