//! A linked program whose output follows its inputs.
//!
//! An update is a transaction: what it changes of the link is taken back if it fails, for whatever reason, and the next
//! one starts from where this one did.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::delta::LiveStep;
use crate::error::{Error, ErrorKind};
use crate::hash::HashSet;
use crate::link::command::options::LinkOptions;
use crate::link::declare::PreviousDeclarations;
use crate::link::inputs::build_id::BuildIds;
use crate::link::inputs::{InputFile, Inputs};
use crate::link::pipeline::{self, Destination, LinkRequest, Target, Written, read_beside};
use crate::link::release;
use crate::link::report::{Counts, Failed, LinkReport, PhaseTimes, PublishedPatch, relocations_of};
use crate::link::state::LinkState;
use crate::link::threads;
use crate::link::update::fallback::{FallbackReason, UpdateError};
use crate::link::update::{self, UpdateIndex};
use crate::module::{DenseStyle, Module};
use crate::object::{Access, Check, Input, Object, WORTH_SHARING};
use crate::output::{OutputOptions, Sighting};
use crate::parallel::{region, task};
use crate::transaction::Transaction;

/// A linked program whose output can be brought up to date.
pub struct Linked {
    pub(super) state: LinkState,
    /// What updates in place look things up in; made when the first one comes.
    index: Option<UpdateIndex>,
}

impl Linked {
    /// Links what the options say, and publishes it.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link(
        options: LinkOptions,
        access: Access,
        target: Target,
    ) -> Result<(Linked, LinkReport), Failed> {
        let (inputs, times) = opened(&options, access)?;
        Linked::link_opened(inputs, options, target, Written::Patchable, times)
    }

    /// Links what the options say, and publishes nothing: to list what is asked for before [`Linked::release_to`] writes the
    /// output. There is no file that updates could patch.
    ///
    /// # Errors
    /// All that went wrong.
    pub fn link_unpublished(
        options: LinkOptions,
        access: Access,
    ) -> Result<(Linked, LinkReport), Failed> {
        let (inputs, times) = opened(&options, access)?;
        Linked::link_opened(inputs, options, Target::Memory, Written::Nothing, times)
    }

    fn link_opened(
        inputs: Inputs,
        options: LinkOptions,
        target: Target,
        written: Written<'_>,
        mut times: PhaseTimes,
    ) -> Result<(Linked, LinkReport), Failed> {
        let mut build_ids = BuildIds::default();
        let request = LinkRequest {
            options: &options,
            previous: &PreviousDeclarations::default(),
            memory_before: None,
            build_id: &build_ids.bytes(&inputs, &options),
            keeps: true,
            written,
        };
        let destination = Destination::New(target);
        let finished = pipeline::run(&request, inputs.clone(), destination, &mut times)?;
        let (Some(module), Some((plan, declarations))) = (finished.module, finished.kept) else {
            unreachable!("a new module was asked for, and that all is kept")
        };
        let state = LinkState {
            options,
            module,
            plan,
            declarations,
            inputs,
            build_ids,
            relocations: finished.counts.relocations,
        };
        let linked = Linked { state, index: None };
        let report = report(
            finished.published,
            finished.counts,
            finished.warnings,
            times,
        );
        Ok((linked, report))
    }

    /// Links what never was a file, with what else the options say.
    pub(crate) fn of_inputs(
        inputs: Inputs,
        options: LinkOptions,
        target: Target,
    ) -> Result<(Linked, LinkReport), Failed> {
        let times = PhaseTimes::start();
        Linked::link_opened(inputs, options, target, Written::Patchable, times)
    }

    /// Links what the options say, publishes it, and keeps nothing for an update: as [`Linked::link`], but in less memory.
    /// Also returns what was published; whoever is about to end the process can forget it, which is quicker than to have it
    /// taken apart.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link_once(
        options: &LinkOptions,
        access: Access,
        target: Target,
    ) -> Result<(Module, LinkReport), Failed> {
        Linked::once(options, access, target, Written::Patchable)
    }

    /// The same for what is to be released and not to be patched: writes what [`Linked::release`] returns. The module that is
    /// returned has never been published.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn release_once(
        options: &LinkOptions,
        access: Access,
        publishing: &OutputOptions,
    ) -> Result<(Module, LinkReport), Failed> {
        Linked::once(options, access, Target::Memory, Written::Dense(publishing))
    }

    fn once(
        options: &LinkOptions,
        access: Access,
        target: Target,
        written: Written<'_>,
    ) -> Result<(Module, LinkReport), Failed> {
        let (inputs, mut times) = opened(options, access)?;
        let request = LinkRequest {
            options,
            previous: &PreviousDeclarations::default(),
            memory_before: None,
            build_id: &BuildIds::default().bytes(&inputs, options),
            keeps: false,
            written,
        };
        let destination = Destination::New(target);
        let finished = pipeline::run(&request, inputs, destination, &mut times)?;
        let Some(module) = finished.module else {
            unreachable!("a new module was asked for")
        };
        let report = report(
            finished.published,
            finished.counts,
            finished.warnings,
            times,
        );
        Ok((module, report))
    }

    /// The files that the link was made of: inputs in the order of the command line, libraries where they were found, members
    /// of thin archives, lists of symbols, response files.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let inputs = self.state.plan.resolution.inputs.iter();
        let inputs = inputs.map(|input| input.path().to_path_buf());
        inputs.chain(read_beside(&self.state.inputs, &self.state.options))
    }

    /// The files that are not what they were when they were read.
    pub fn changed_files(&self) -> Vec<PathBuf> {
        let inputs = self.state.inputs.inputs();
        let changed = inputs.filter(|input| input.check_unchanged().is_err());
        changed.map(|input| input.path().to_path_buf()).collect()
    }

    /// Does what the next update would otherwise do before anything else; to be called when nobody waits.
    pub fn prepare(&mut self) {
        self.prepare_index();
        self.state.module.prepare();
    }

    /// Makes what updates look things up in, if there is none; no file is touched.
    pub(super) fn prepare_index(&mut self) {
        self.state.module.index();
        if self.index.is_none() {
            self.index = Some(UpdateIndex::of(&self.state));
        }
    }

    /// Goes on with the output of a process that has ended, whose memory this is.
    pub(super) fn resume_output(
        &mut self,
        publishing: OutputOptions,
        seen: Sighting,
    ) -> Result<(), Failed> {
        Ok(self.state.module.resume_output(publishing, seen)?)
    }

    /// Lets other processes go on with the output, until this one resumes it.
    pub(super) fn rest_output(&mut self) {
        self.state.module.rest_output();
    }

    /// Keeps what tells objects apart from what comes in their place while no process has their files mapped: of those that are given
    /// by their places, or of all.
    ///
    /// # Errors
    /// If one of them has changed already.
    pub(super) fn keep_objects(&self, places: Option<&HashSet<u32>>) -> crate::Result<()> {
        let files = self.state.inputs.files();
        let mut places = places.map(|places| places.iter().map(|place| *place as usize));
        match &mut places {
            Some(places) => objects_of(&mut places.filter_map(|place| files.get(place))),
            None => objects_of(&mut files.iter()),
        }
        .iter()
        .try_for_each(|object| object.keep(Check::Now))
    }

    /// Lets go of the files that this process has mapped, so that what is done to them is of no matter: as for another process, what
    /// is kept of them tells what comes in their place. To be called for a link whose inputs are nobody else's.
    pub(super) fn let_go_of_inputs(&mut self) {
        for input in self.state.inputs.inputs() {
            #[allow(unsafe_code)]
            // SAFETY: bytes of inputs are only lent by those who have the inputs, which are this link, and it is not lent.
            unsafe {
                input.unmap();
            }
        }
        // What is left of earlier versions may be parts of these.
        Input::let_go_of_all();
    }

    /// Lets files of the command line be called as the options now say; those are given by their places.
    pub(super) fn rename_inputs(&mut self, options: &LinkOptions, renamed: &[(usize, PathBuf)]) {
        let Linked { state, index } = self;
        for (file, path) in renamed {
            let input = state.inputs.files()[*file].input().clone();
            if let Some(index) = index {
                index.rename(*file, input.path(), path);
            }
            input.rename(path.clone());
        }
        if !renamed.is_empty() {
            state.options.inputs.clone_from(&options.inputs);
            state
                .options
                .response_files
                .clone_from(&options.response_files);
        }
    }

    /// Brings the output up to date with these files, which may have changed. What has not costs next to nothing.
    ///
    /// # Errors
    /// All that went wrong. The output stays as it was, and so does what is known of the link: the next update starts from
    /// there, and costs what it changes.
    pub fn update<P: AsRef<Path>>(&mut self, changed: &[P]) -> Result<LinkReport, Failed> {
        let mut times = PhaseTimes::start();
        self.prepare();
        self.state.inputs.begin();
        let updated = self.reopen(changed).and_then(|changed| {
            times.lap("open");
            let files = self.state.inputs.files();
            let objects = objects_of(&mut changed.files.iter().map(|file| &files[*file]));
            let len = |object: &Arc<Object>| u64::from(object.span().len);
            if objects.iter().map(len).sum::<u64>() >= WORTH_SHARING.into() {
                threads::are_needed();
                // What could not be kept is not, and whoever keeps the link says so. What is kept tells how an object differs from
                // the one before, if that is not at hand.
                let objects = objects.par_iter();
                let keep = |object: &Arc<Object>| task(|| object.keep(Check::Now));
                let _ = region(|| objects.try_for_each(keep));
                times.lap("hash");
            }
            self.follow(&changed, &mut times)
        });
        match updated {
            Ok(_) => self.state.inputs.commit(),
            Err(_) => self.state.inputs.rollback(),
        }
        let (published, counts, reason, warnings) = updated?;
        let mut report = report(published, counts, warnings, times);
        report.resolved_anew = reason;
        Ok(report)
    }

    /// Brings the output up to date with another list of inputs, and with those of these files that may have changed.
    ///
    /// # Errors
    /// All that went wrong. The output stays as it was.
    pub(super) fn update_list(
        &mut self,
        options: &LinkOptions,
        changed: &[PathBuf],
    ) -> Result<LinkReport, Failed> {
        let mut times = PhaseTimes::start();
        self.state.module.prepare();
        let inputs = self.state.inputs.relisted(options, changed)?;
        let options = LinkOptions {
            inputs: options.inputs.clone(),
            response_files: options.response_files.clone(),
            ..self.state.options.clone()
        };
        times.lap("open");
        let before = std::mem::replace(&mut self.state.inputs, inputs);
        let before = (before, std::mem::replace(&mut self.state.options, options));
        match self.resolve_anew(FallbackReason::InputList, &mut times) {
            Ok((published, counts, reason, warnings)) => {
                let mut report = report(published, counts, warnings, times);
                report.resolved_anew = reason;
                Ok(report)
            }
            Err(failed) => {
                (self.state.inputs, self.state.options) = before;
                Err(failed)
            }
        }
    }

    /// Opens files again that may have changed.
    fn reopen<P: AsRef<Path>>(&mut self, changed: &[P]) -> Result<Changed, Failed> {
        let Linked { state, index } = self;
        let mut files = Vec::new();
        let mut allows_others = false;
        let mut errors = Vec::new();
        for path in changed {
            let path = path.as_ref();
            if state.options.allow_undefined_file.as_deref() == Some(path) {
                match state.inputs.reread_allow_list(path) {
                    Ok(is_changed) => allows_others |= is_changed,
                    Err(error) => errors.push(error),
                }
            }
            let known = index.as_ref().and_then(|index| index.files.get(path));
            for &file in known.into_iter().flatten() {
                match state.inputs.reopen(file) {
                    Ok(false) => {}
                    Ok(true) => files.push(file),
                    Err(error) => errors.push(error),
                }
            }
        }
        match errors.is_empty() {
            true => Ok(Changed {
                files,
                allows_others,
            }),
            false => Err(errors.into()),
        }
    }

    /// Brings the output up to date with files that were opened again: in place if that can be, otherwise by a link of
    /// everything.
    fn follow(&mut self, changed: &Changed, times: &mut PhaseTimes) -> Result<Updated, Failed> {
        let reason = match self.update_in_place(changed) {
            Ok(published) => {
                times.lap("update");
                let counts = Counts::with_relocations(&self.state.plan, self.state.relocations);
                return Ok((published, counts, None, Vec::new()));
            }
            Err(UpdateError::Fallback(reason)) => reason,
            Err(UpdateError::Error(error)) if error.kind() == ErrorKind::Io => {
                return Err(error.into());
            }
            // Whatever it is, it will be said in the words of a link.
            Err(UpdateError::Error(_)) => FallbackReason::EditRefused,
        };
        times.lap("compare");
        self.resolve_anew(reason, times)
    }

    /// Brings the output up to date by a link of everything, from the inputs in memory.
    fn resolve_anew(
        &mut self,
        reason: FallbackReason,
        times: &mut PhaseTimes,
    ) -> Result<Updated, Failed> {
        let LinkState {
            options,
            module,
            declarations,
            inputs,
            build_ids,
            ..
        } = &mut self.state;
        let request = LinkRequest {
            options,
            previous: &declarations.known,
            memory_before: Some(declarations.memory_plan),
            build_id: &build_ids.bytes(inputs, options),
            keeps: true,
            written: Written::Patchable,
        };
        let destination = Destination::Existing(module);
        let finished = pipeline::run(&request, inputs.clone(), destination, times)?;
        let Some((plan, declarations)) = finished.kept else {
            unreachable!("it was asked for that all is kept")
        };
        self.state.plan = plan;
        self.state.declarations = declarations;
        self.state.relocations = finished.counts.relocations;
        // It is made anew when the next update comes.
        self.index = None;
        Ok((
            finished.published,
            finished.counts,
            Some(reason),
            finished.warnings,
        ))
    }

    /// An update in place: all of it, or nothing.
    fn update_in_place(&mut self, changed: &Changed) -> Result<PublishedPatch, UpdateError> {
        let Linked { state, index } = self;
        let index = index.get_or_insert_with(|| UpdateIndex::of(state));
        if changed.allows_others {
            return Err(FallbackReason::AllowList.into());
        }
        let objects =
            index.changed_objects(&state.inputs, &state.plan.resolution, &changed.files)?;
        let count = |state: &LinkState| -> usize {
            let objects = objects
                .iter()
                .map(|(id, _)| state.plan.resolution.object(*id));
            objects.map(|linked| relocations_of(&linked.object)).sum()
        };
        let before = count(state);
        state.begin();
        index.begin();
        let published = update::run(state, index, &objects);
        match published {
            Ok(_) => {
                state.commit();
                index.commit();
                state.relocations = state.relocations - before + count(state);
            }
            Err(_) => {
                state.rollback();
                index.rollback();
            }
        }
        published
    }

    /// Compares the program with the same files linked anew.
    ///
    /// # Errors
    /// If they are not equivalent, or the files cannot be linked.
    pub fn verify(&self) -> Result<(), Failed> {
        let anew = self.linked_anew()?;
        match self.finish()? == anew.finish()? {
            true => Ok(()),
            false => {
                let text = "is not equivalent to a link of the same files from nothing";
                let error = Error::new(ErrorKind::Verification, text);
                Err(error.with_path(&self.state.options.output).into())
            }
        }
    }

    /// The same files linked anew, in memory: what this output should be equivalent to. Where the stack and the heap
    /// begin is as it is here.
    ///
    /// # Errors
    /// All that went wrong.
    pub fn linked_anew(&self) -> Result<Linked, Failed> {
        let LinkState {
            options,
            declarations,
            inputs,
            ..
        } = &self.state;
        let mut build_ids = BuildIds::default();
        let request = LinkRequest {
            options,
            previous: &PreviousDeclarations::default(),
            memory_before: Some(declarations.memory_plan),
            build_id: &build_ids.bytes(inputs, options),
            keeps: true,
            written: Written::Patchable,
        };
        let destination = Destination::New(Target::Memory);
        let mut times = PhaseTimes::start();
        let finished = pipeline::run(&request, inputs.clone(), destination, &mut times)?;
        let (Some(module), Some((plan, declarations))) = (finished.module, finished.kept) else {
            unreachable!("a new module was asked for, and that all is kept")
        };
        let state = LinkState {
            options: options.clone(),
            module,
            plan,
            declarations,
            inputs: inputs.clone(),
            build_ids,
            relocations: finished.counts.relocations,
        };
        Ok(Linked { state, index: None })
    }

    /// The same step, with debug information in its deltas, if the objects have any; see
    /// [`Module::describe`](crate::Module::describe).
    ///
    /// # Errors
    /// If the step is not of the last update.
    pub fn describe(&mut self, step: LiveStep) -> crate::Result<LiveStep> {
        self.state.module.describe(step)
    }

    /// The published file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn bytes(&self) -> crate::Result<Vec<u8>> {
        self.state.module.bytes()
    }

    /// The program without all that patching needs: what is to be released.
    ///
    /// # Errors
    /// If a limit of engines would be exceeded.
    pub fn finish(&self) -> crate::Result<Vec<u8>> {
        let style = self.dense_style(false);
        release::with_dense(style, &self.state.module, |_, dense| Ok(dense.to_vec()))
    }

    /// What dense outputs of the program are like.
    pub(super) fn dense_style(&self, cuts: bool) -> DenseStyle<'_> {
        let LinkState {
            plan,
            options,
            declarations,
            ..
        } = &self.state;
        release::style(plan, options, &declarations.known.exports, cuts)
    }

    /// The module that is published: what is in it, and how it is laid out.
    pub fn module(&self) -> &Module {
        &self.state.module
    }
}

/// Opens the files that the options name.
fn opened(options: &LinkOptions, access: Access) -> Result<(Inputs, PhaseTimes), Failed> {
    let mut times = PhaseTimes::start();
    threads::are_needed();
    let inputs = Inputs::open(options, access)?;
    times.lap("open");
    Ok((inputs, times))
}

/// What has changed since the last update.
struct Changed {
    /// Files of the command line, by their places in it.
    files: Vec<usize>,
    /// Whether the list of symbols that may be undefined is another one.
    allows_others: bool,
}

/// What came of an update: what was published, how much is linked, why everything was resolved anew, what is to be said.
type Updated = (PublishedPatch, Counts, Option<FallbackReason>, Vec<Error>);

fn report(
    published: PublishedPatch,
    counts: Counts,
    warnings: Vec<Error>,
    times: PhaseTimes,
) -> LinkReport {
    LinkReport {
        patch: published.patch,
        edits: published.edits,
        counts,
        warnings,
        resolved_anew: None,
        phases: times.phases,
    }
}

/// The objects that files are, or that were read of them.
fn objects_of(files: &mut dyn Iterator<Item = &InputFile>) -> Vec<Arc<Object>> {
    let objects = |file: &InputFile| match file {
        InputFile::Object { object, .. } => vec![object.clone()],
        InputFile::Archive(archive) => archive.objects(),
        _ => Vec::new(),
    };
    files.flat_map(objects).collect()
}
