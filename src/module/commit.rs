//! A commit: check, plan, encode, publish, and only then make the edits current. Where a patch is not possible the
//! output is laid out anew, by the same writers.

use std::sync::Arc;

use crate::delta::{self, Before, LiveStep, OldPlaces};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Growth, Layout, LayoutOptions};
use crate::module::report::{Moved, Outcome, Patch, PhaseClock};
use crate::module::version::Version;
use crate::module::{Module, Redirect, RelinkReason, Types};
use crate::output::{FileWriter, LastCheck, Output, OutputOptions, Published, Sighting, no_check};
use crate::patch::{
    BuildIdentity, PlanContext, PlanError, RangeList, Reason, Writes, expect_readable, plan,
    write_patch, write_whole,
};
use crate::program::{
    Checked, DeclId, DeclKind, Finished, OrphanChanges, Program, References, Users,
};
use crate::transaction::Transaction;

/// A version that others can see. The module knows nothing of it yet.
struct PublishedVersion {
    identity: BuildIdentity,
    outcome: Outcome,
    moved: Moved,
    /// By which way a patch was published.
    way: Option<Published>,
    code: PublishedCode,
}

/// What became of the code in a version that was published.
enum PublishedCode {
    /// Of a patch: what it changed of the code that nobody calls.
    Patched(OrphanChanges),
    /// Everything stands where this layout says.
    LaidOutAnew(Box<Layout>),
}

/// What came of the attempt to publish the edits as a patch.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one in a commit, which is taken apart at once"
)]
enum PatchAttempt {
    Published(PublishedVersion),
    /// It has changed nothing: the edits can be published by a relink only.
    NeedsRelink(RelinkReason),
}

impl Module {
    /// Publishes all edits since the last commit.
    ///
    /// # Errors
    /// If the edits contradict one another, a body is not valid code (unless [that is not looked
    /// at](crate::ModuleOptions::validate)), a limit of engines is exceeded, or the file cannot be written. The error names
    /// the declaration, and the offset within its bytes; [all](Error::others) that contradict
    /// one another are named at once, and where none do, all bodies that are not valid. Nothing is changed then, in memory or on
    /// disk: the edits stay pending, to be mended or [discarded](Module::discard).
    pub fn commit(&mut self) -> Result<Patch> {
        self.commit_as(Users::MayBeStale, &no_check)
    }

    /// As [`Module::commit`], with a last check: it runs when everything has been written and nothing of it is visible
    /// yet, also where there turns out to be nothing to publish. A linker proves here that its inputs are unchanged, so
    /// that a mixture of two versions is never published. It may run more than once.
    ///
    /// # Errors
    /// As [`Module::commit`], and what `check` returns: then nothing is changed either.
    pub fn commit_checked(&mut self, check: LastCheck<'_>) -> Result<Patch> {
        self.commit_as(Users::MayBeStale, check)
    }

    /// The same for edits that make the program equal to one that has been validated as a whole.
    pub(crate) fn commit_validated(&mut self, check: LastCheck<'_>) -> Result<Patch> {
        self.commit_as(Users::AreValid, check)
    }

    fn commit_as(&mut self, users: Users, last_check: LastCheck<'_>) -> Result<Patch> {
        let mut clock = PhaseClock::start();
        if self.is_published() {
            Error::all_of(self.program.check_calls())?;
            last_check()?;
            self.program.finish_commit(None);
            return Ok(self.report_unchanged());
        }

        // The edits make sense together. Nothing is refused after this for what it says.
        let checked = self.check(users)?;
        clock.ends(|phases| &mut phases.check);

        let before = self.before();
        if before.is_some() {
            // What runs has to take in the next change of the library.
            self.program.thaw_changed();
        }

        // The file is what the edits say, and nothing in memory is. Until here every failure leaves both as they were.
        let attempt = match self.must_relink() {
            None => self.publish_patch(&checked, last_check, &mut clock)?,
            Some(reason) => PatchAttempt::NeedsRelink(reason),
        };
        let version = match attempt {
            PatchAttempt::Published(version) => version,
            PatchAttempt::NeedsRelink(reason) => {
                self.publish_relinked(reason, &checked, last_check, &mut clock)?
            }
        };

        // What instances that run need is made from what was and what will be.
        let live = before.and_then(|before| self.live_step(&before, &checked, &version));
        clock.ends(|phases| &mut phases.delta);

        // What was pending is current.
        let mut patch = self.make_current(checked, version);
        patch.live = live;
        clock.ends(|phases| &mut phases.finish);
        patch.phases = clock.phases;
        Ok(patch)
    }

    /// Whether a commit has nothing to publish.
    fn is_published(&self) -> bool {
        self.layout.is_some() && !self.pending.relink && !self.has_edits()
    }

    fn check(&mut self, users: Users) -> Result<Checked> {
        if self.layout.is_some() {
            self.index();
        }
        let nothing = References::default();
        let references = self.references.as_ref().unwrap_or(&nothing);
        let checked = self.program.check(references, users)?;
        if self.options.validate && users == Users::MayBeStale {
            let table64 = self.options.table64;
            self.validator
                .validate(&self.program, references, table64)?;
        }
        Ok(checked)
    }

    /// Why there cannot be a patch, as far as that is known beforehand.
    pub(super) fn must_relink(&self) -> Option<RelinkReason> {
        match &self.layout {
            None => Some(RelinkReason::First),
            Some(layout) => {
                let reason = self.pending.relink_reason(&self.settings, layout);
                let thaws = self.program.thaws();
                reason.or(thaws.then_some(RelinkReason::LibraryEdited))
            }
        }
    }

    /// Does what the first patch would otherwise do before anything else: builds the index of references and copies the file.
    /// To be called when nobody waits; who publishes once, and does not stay to patch, needs none of it.
    pub fn prepare(&mut self) {
        self.index();
        self.output.prepare();
    }

    /// Goes on with the output of a process that has ended, whose memory this is, or that this process has [left](Module::rest_output).
    pub(crate) fn resume_output(&mut self, options: OutputOptions, seen: Sighting) -> Result<()> {
        // Its ids were handed out in another process; in this one another module may have the same.
        self.renew_ids();
        // What it told notices is not this process's, if it is anything.
        std::mem::forget(std::mem::replace(&mut self.options.output, options.clone()));
        // What it keeps to be used again comes from a library, whose tables may be of one process.
        std::mem::forget(std::mem::take(&mut self.validator));
        self.output.resume(options, seen)
    }

    /// Removes what only this process needs, and says how the output looks that was published: another process will go on.
    pub(crate) fn leave_output(&mut self) -> Option<Sighting> {
        self.output.leave()
    }

    /// Lets other processes go on with the output that was [left](Module::leave_output), until this one does so itself
    /// ([`Module::resume_output`]).
    pub(crate) fn rest_output(&mut self) {
        self.options.output = OutputOptions::default();
        self.validator = Default::default();
        self.output.rest();
    }

    /// Gives the output up, which another module of this process is to write.
    pub(crate) fn abandon_output(&mut self) {
        self.output = Output::memory();
    }

    /// Builds the index of references, if there is none.
    pub(crate) fn index(&mut self) {
        self.references
            .get_or_insert_with(|| References::of_current(&self.program));
    }

    pub(super) fn layout_options(&self) -> LayoutOptions {
        LayoutOptions {
            // Instances that run know of no other index, so that what they call passes on what it is called with from the start.
            thunks: self.options.redirect == Redirect::TableThunks && self.options.live,
            interned_types: self.options.types == Types::Interned,
            names: self.options.names,
            tail_calls: self.settings.tail_calls | self.pending.tail_calls,
            fan_in: self.options.fan_in,
            first_slot: self.options.first_slot,
            growable_table: self.options.growable_table || self.options.live,
            table64: self.options.table64,
            live: self.options.live,
            code_offsets: self.program.names_code_offsets,
            dense: false,
        }
    }

    /// Plans, encodes and publishes a patch, if the edits can be one.
    fn publish_patch(
        &mut self,
        checked: &Checked,
        last_check: LastCheck<'_>,
        clock: &mut PhaseClock,
    ) -> Result<PatchAttempt> {
        self.program.reserve_orphans()?;
        let (Some(layout), Some(references)) = (&mut self.layout, &self.references) else {
            return Ok(PatchAttempt::NeedsRelink(RelinkReason::First));
        };
        let version = Version::next(&self.program, &self.settings, &self.pending, checked);
        let context = version.plan_context(references, checked, &self.pending);
        layout.options.code_offsets |= self.program.names_code_offsets;
        let identity = self.identity;
        layout.begin();
        let published = encode_patch(version, context, layout, identity, clock).and_then(|patch| {
            expect_readable(layout.sections.file_len()).map_err(PlanError::Error)?;
            let ranges = Arc::new(patch.ranges);
            let published = self
                .output
                .publish_patch_checked(Arc::clone(&ranges), last_check);
            let way = published.map_err(|error| match error.kind() {
                ErrorKind::OutputChanged => PlanError::Relink(RelinkReason::OutputChanged),
                _ => PlanError::Error(error),
            })?;
            Ok(PublishedVersion {
                identity: patch.identity,
                outcome: Outcome::Patched(ranges),
                moved: Moved::of(&patch.writes),
                way: Some(way),
                code: PublishedCode::Patched(patch.writes.orphans),
            })
        });
        match published {
            Ok(version) => {
                layout.commit();
                clock.ends(|phases| &mut phases.publish);
                Ok(PatchAttempt::Published(version))
            }
            Err(stop) => {
                layout.rollback();
                match stop {
                    PlanError::Relink(reason) => Ok(PatchAttempt::NeedsRelink(reason)),
                    PlanError::Error(error) => Err(error),
                }
            }
        }
    }

    /// The layout whose slots and addresses a relink for this reason keeps, since instances that run rely on them.
    fn kept(&self, reason: RelinkReason) -> Option<&Layout> {
        use RelinkReason::{DataArea, First, Requested, ReserveFull};
        let moves = matches!(reason, First | Requested | ReserveFull | DataArea);
        self.layout.as_ref().filter(|_| self.options.live && !moves)
    }

    /// Lays everything out anew and publishes the whole file.
    fn publish_relinked(
        &mut self,
        reason: RelinkReason,
        checked: &Checked,
        last_check: LastCheck<'_>,
        clock: &mut PhaseClock,
    ) -> Result<PublishedVersion> {
        let version = Version::next(&self.program, &self.settings, &self.pending, checked);
        let exports = version.exports.all();
        let growth = self.layout.as_ref().map(|before| Growth {
            before,
            is_reason: reason == RelinkReason::PadsUsedUp,
        });
        let lay_out = |kept: Option<&Layout>| {
            let tables = (self.slot_table, None);
            version.lay_out(
                &exports,
                self.layout_options(),
                self.dead_type,
                tables,
                kept,
                growth,
            )
        };
        // If there is no room for what is new, nothing keeps its place.
        let layout = match self.kept(reason) {
            Some(kept) => lay_out(Some(kept)).or_else(|_| lay_out(None))?,
            None => lay_out(None)?,
        };
        expect_readable(layout.sections.file_len())?;
        clock.ends(|phases| &mut phases.plan);
        let content = version.whole(&layout);
        let (encoder, sections, identity) = (content.encoder(), content.sections(), self.identity);
        let write = |file: &FileWriter<'_>| {
            let put = |at, bytes: &[u8]| file.write_at(at, bytes);
            write_whole(encoder, &sections, identity, put)
        };
        let len = layout.sections.file_len();
        let identity = self.output.publish_pieces_checked(len, write, last_check)?;
        clock.ends(|phases| &mut phases.publish);
        Ok(PublishedVersion {
            identity,
            outcome: Outcome::Relinked(reason),
            moved: Moved::default(),
            way: None,
            code: PublishedCode::LaidOutAnew(Box::new(layout)),
        })
    }

    /// Where what is edited stands, if that has to be known afterwards.
    fn before(&self) -> Option<Before> {
        let layout = self.layout.as_ref().filter(|_| self.options.live)?;
        Some(Before::of(&self.program, layout))
    }

    /// What a version that has been published means for instances that run.
    fn live_step(
        &self,
        before: &Before,
        checked: &Checked,
        version: &PublishedVersion,
    ) -> Option<LiveStep> {
        let (current, references) = (self.layout.as_ref()?, self.references.as_ref()?);
        let (layout, before) = match &version.code {
            PublishedCode::Patched(_) => (current, OldPlaces::But(before)),
            PublishedCode::LaidOutAnew(layout) => (&**layout, OldPlaces::Other(current)),
        };
        Some(delta::make(&delta::Commit {
            program: &self.program,
            references,
            from: self.identity,
            to: version.identity,
            layout,
            before,
            relink: version.outcome.relink_reason(),
            starts: [self.program.start, checked.start],
            undo: self.options.undo,
        }))
    }

    /// Makes what was pending current, now that it is published.
    fn make_current(&mut self, checked: Checked, version: PublishedVersion) -> Patch {
        let changed = self.program.dirty.len() as u32;
        let orphans = match version.code {
            PublishedCode::Patched(orphans) => self.program.keep_orphans(orphans),
            PublishedCode::LaidOutAnew(layout) => {
                self.layout = Some(*layout);
                self.references = None;
                self.program.forget_all_orphans();
                Vec::new()
            }
        };
        let Finished {
            defined,
            more_targets,
            removed,
            displaced,
        } = self.program.finish_commit(checked.exports);
        self.displaced = displaced;
        let pending = std::mem::take(&mut self.pending);
        self.settings.settle(pending, &self.program);
        if let Some(references) = &mut self.references {
            references.add_targets(&more_targets);
        }
        self.renew_references(&defined, &orphans, &removed);
        let base = std::mem::replace(&mut self.identity, version.identity);
        Patch {
            base,
            outcome: version.outcome,
            changed,
            moved: version.moved,
            published: version.way,
            ..self.report_unchanged()
        }
    }

    /// Brings the index of references up to date, if there is one.
    fn renew_references(&mut self, defined: &[DeclId], orphans: &[DeclId], removed: &[DeclId]) {
        if let Some(references) = &mut self.references {
            for source in defined {
                references.add(&self.program, *source);
            }
        }
        if !removed.is_empty() && !self.program.sections().is_empty() {
            self.index();
        }
        let Some(references) = &mut self.references else {
            return;
        };
        for &id in removed {
            // The id may be used again, for something that the pieces do not mean.
            let pieces = references.weak(&self.program, id);
            self.program.forget_target(&pieces, id);
            references.forget(id);
        }
        for orphan in orphans {
            references.add(&self.program, *orphan);
        }
    }

    /// The report of a commit that had nothing to publish.
    pub(crate) fn report_unchanged(&self) -> Patch {
        let layout = self.layout.as_ref();
        Patch {
            identity: self.identity,
            base: self.identity,
            outcome: Outcome::Unchanged,
            changed: 0,
            moved: Moved::default(),
            live: None,
            file_len: layout.map_or(0, |layout| layout.sections.file_len()),
            phases: Default::default(),
            published: None,
        }
    }
}

impl Moved {
    fn of(writes: &Writes) -> Moved {
        Moved {
            bodies_in_place: writes.places.in_place,
            bodies_moved: writes.places.moved_bodies,
            references: writes.fields.sites.len() as u32,
        }
    }
}

/// A patch that is ready to be published.
struct EncodedPatch {
    writes: Writes,
    ranges: RangeList,
    identity: BuildIdentity,
}

/// Plans and encodes a patch, in a transaction of the layout that stays open. If it turns out to write more than it should,
/// another one is made that writes no more than must be.
fn encode_patch(
    version: Version<'_>,
    mut context: PlanContext<'_>,
    layout: &mut Layout,
    identity: BuildIdentity,
    clock: &mut PhaseClock,
) -> Result<EncodedPatch, PlanError> {
    loop {
        let before = layout.sections.places().clone();
        let old_len = layout.sections.file_len();
        let writes = plan(context, layout)?;
        clock.ends(|phases| &mut phases.plan);
        let content = version.patched(layout, &writes);
        let (encoder, sections) = (content.encoder(), content.sections());
        let (ranges, identity) =
            write_patch(encoder, &before, &writes, &sections, old_len, identity);
        clock.ends(|phases| &mut phases.encode);
        drop(content);
        let patch = EncodedPatch {
            writes,
            ranges,
            identity,
        };
        if context.minimal || !costs_too_much(version.program, &patch) {
            return Ok(patch);
        }
        context.minimal = true;
        layout.rollback();
        layout.begin();
    }
}

/// What a patch of one declaration may write beyond its bytes, if that can be helped.
const MOST_BEYOND: u64 = 256;

/// Whether a patch of one declaration writes more than it should.
fn costs_too_much(program: &Program, patch: &EncodedPatch) -> bool {
    let [id] = program.dirty[..] else {
        return false;
    };
    let decl = program.decl(id);
    if decl.kind == DeclKind::Custom {
        return false;
    }
    let len = decl.next().map_or(0, |next| next.content.len());
    // The fields of debug information that follow a function's code are as many as they are, and so are exports.
    let follow = |reason| {
        use Reason::{CodeOffset, Exports, SectionOffset};
        matches!(reason, CodeOffset | SectionOffset | Exports)
    };
    let follows = patch.ranges.iter().map(|(range, _)| range);
    let follows = follows.filter(|range| follow(range.reason));
    let inherent = len as u64 + follows.map(|range| u64::from(range.len)).sum::<u64>();
    // Where a section has to move, a few bytes more do not matter.
    patch.writes.whole.is_empty() && patch.ranges.bytes() > inherent + MOST_BEYOND
}
