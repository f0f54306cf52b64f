//! A commit: check, plan, encode, publish, and only then make the edits current. Where a patch is not possible the
//! output is laid out anew, by the same writers.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{ErrorKind, Result};
use crate::layout::{Layout, LayoutOptions, SectionKind};
use crate::module::{Module, Redirect, RelinkReason, Types};
use crate::output::{FileWriter, LastCheck, Published, no_check};
use crate::patch::{
    BuildIdentity, Dense, Encoder, ExportList, ExportSites, PlanContext, PlanError, RangeList,
    Reason, Request, SectionInputs, Writes, export_sites, lay_out, names_tail, plan, write_dense,
    write_patch, write_whole,
};
use crate::program::{
    Checked, DeclId, DeclKind, OrphanChanges, Pending, Program, References, RelocKind, Users,
};
use crate::stopwatch::Stopwatch;
use crate::transaction::Transaction;

/// What a commit did.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The version that was published.
    pub identity: BuildIdentity,
    /// Patched, relinked, or nothing to do.
    pub outcome: Outcome,
    /// Declarations that were defined, redefined or removed.
    pub changed: u32,
    /// What went to another place.
    pub moved: Moved,
    /// Length of the file, in bytes.
    pub file_len: u64,
    /// How long each phase took.
    pub phases: Phases,
    /// By which way a patch was published.
    pub published: Option<Published>,
}

/// How a commit was published.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Nothing was pending.
    Unchanged,
    /// These ranges of the file were written.
    Patched(Arc<RangeList>),
    /// The whole file was written, for this reason.
    Relinked(RelinkReason),
}

/// What went to another place in a patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Functions whose code was replaced in its place.
    pub bodies_in_place: u32,
    /// Functions whose code went to another place.
    pub bodies_moved: u32,
    /// References rewritten in declarations that did not change.
    pub references: u32,
}

/// How long the phases of a commit took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Phases {
    /// Checking that the edits make sense together.
    pub check: Duration,
    /// Placing what is dirty and following references to what moved.
    pub plan: Duration,
    /// Encoding the bytes to be written.
    pub encode: Duration,
    /// Writing and publishing the file.
    pub publish: Duration,
    /// Making the edits current.
    pub finish: Duration,
}

impl Phases {
    /// All phases together.
    pub fn total(&self) -> Duration {
        self.check + self.plan + self.encode + self.publish + self.finish
    }
}

impl Patch {
    /// The ranges that were written, if the commit was a patch.
    pub fn ranges(&self) -> Option<&RangeList> {
        match &self.outcome {
            Outcome::Patched(ranges) => Some(ranges),
            _ => None,
        }
    }

    /// How many bytes were written: those of the ranges, or the whole file.
    pub fn bytes_written(&self) -> u64 {
        match &self.outcome {
            Outcome::Unchanged => 0,
            Outcome::Patched(ranges) => ranges.bytes(),
            Outcome::Relinked(_) => self.file_len,
        }
    }

    /// Why the output was rebuilt, if it was.
    pub fn relink_reason(&self) -> Option<RelinkReason> {
        match self.outcome {
            Outcome::Relinked(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A patch that has been published.
struct Done {
    ranges: Arc<RangeList>,
    moved: Moved,
    identity: BuildIdentity,
    published: Published,
    orphans: OrphanChanges,
}

impl Module {
    /// Publishes all edits since the last commit.
    ///
    /// # Errors
    /// If the edits contradict one another or the file cannot be written. Nothing is changed then, in memory or on disk:
    /// the edits stay pending.
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

    fn commit_as(&mut self, users: Users, check: LastCheck<'_>) -> Result<Patch> {
        let mut stopwatch = Stopwatch::start();
        if self.layout.is_some() && !self.pending.relink && !self.has_edits() {
            check()?;
            self.program.finish_commit(None);
            return Ok(self.report(Outcome::Unchanged, 0, Moved::default(), Phases::default()));
        }
        if self.layout.is_some() {
            self.index();
        }
        let nothing = References::default();
        let references = self.references.as_ref().unwrap_or(&nothing);
        let checked = self.program.check(references, users)?;
        let mut phases = Phases {
            check: stopwatch.lap(),
            ..Phases::default()
        };
        let layout = self.layout.as_ref();
        let relink = layout.and_then(|it| self.pending.relink_reason(&self.settings, it));
        let reason = match (relink, &self.layout) {
            (_, None) => RelinkReason::First,
            (Some(reason), _) => reason,
            (None, Some(_)) => match self.patch(&checked, check, &mut stopwatch, &mut phases)? {
                Ok(done) => {
                    self.identity = done.identity;
                    let orphans = self.program.keep_orphans(done.orphans);
                    let changed = self.make_current(checked, false);
                    self.index_orphans(&orphans);
                    phases.finish = stopwatch.lap();
                    let mut patch =
                        self.report(Outcome::Patched(done.ranges), changed, done.moved, phases);
                    patch.published = Some(done.published);
                    return Ok(patch);
                }
                Err(reason) => reason,
            },
        };
        self.rebuild(&checked, check, &mut stopwatch, &mut phases)?;
        self.program.forget_all_orphans();
        let changed = self.make_current(checked, true);
        phases.finish = stopwatch.lap();
        Ok(self.report(Outcome::Relinked(reason), changed, Moved::default(), phases))
    }

    /// Does what the first patch would otherwise do before anything else: builds the index of references and copies the file.
    /// To be called when nobody waits; who publishes once, and does not stay to patch, needs none of it.
    pub fn prepare(&mut self) {
        self.index();
        self.output.prepare();
    }

    /// Builds the index of references, if there is none.
    pub(crate) fn index(&mut self) {
        self.references
            .get_or_insert_with(|| References::of_current(&self.program));
    }

    fn report(&self, outcome: Outcome, changed: u32, moved: Moved, phases: Phases) -> Patch {
        let file_len = self
            .layout
            .as_ref()
            .map_or(0, |layout| layout.sections.file_len());
        Patch {
            identity: self.identity,
            outcome,
            changed,
            moved,
            file_len,
            phases,
            published: None,
        }
    }

    fn layout_options(&self) -> LayoutOptions {
        LayoutOptions {
            thunks: self.options.redirect == Redirect::TableThunks,
            interned_types: self.options.types == Types::Interned,
            names: self.options.names,
            tail_calls: self.settings.tail_calls | self.pending.tail_calls,
            fan_in: self.options.fan_in,
            first_slot: self.options.first_slot,
            growable_table: self.options.growable_table,
            table64: self.options.table64,
            dense: false,
        }
    }

    /// Plans, encodes and publishes a patch. The inner result says why there is none.
    fn patch(
        &mut self,
        checked: &Checked,
        check: LastCheck<'_>,
        stopwatch: &mut Stopwatch,
        phases: &mut Phases,
    ) -> Result<Result<Done, RelinkReason>> {
        self.program.reserve_orphans(self.program.dirty.len())?;
        let (Some(layout), Some(references)) = (&mut self.layout, &self.references) else {
            return Ok(Err(RelinkReason::First));
        };
        let mut from = PlanContext {
            program: &self.program,
            references,
            checked,
            customs: self.pending.customs(&self.settings),
            customs_changed: self.pending.customs.is_some(),
            data_ranges: self.pending.data_ranges(&self.settings),
            minimal: false,
        };
        let (sites, identity) = (&self.export_sites, self.identity);
        let mut make = |from, layout: &mut Layout| {
            prepare(
                from,
                layout,
                sites,
                identity,
                (&mut *stopwatch, &mut *phases),
            )
        };
        let mut prepared = make(from, layout);
        if let Ok(made) = &prepared
            && costs_too_much(&self.program, made)
        {
            layout.rollback();
            from.minimal = true;
            prepared = make(from, layout);
        }
        let Prepared {
            writes,
            ranges,
            identity,
        } = match prepared {
            Ok(prepared) => prepared,
            Err(stop) => {
                layout.rollback();
                return match stop {
                    PlanError::Relink(reason) => Ok(Err(reason)),
                    PlanError::Error(error) => Err(error),
                };
            }
        };
        let moved = Moved {
            bodies_in_place: writes.places.in_place,
            bodies_moved: writes.places.moved_bodies,
            references: writes.fields.sites.len() as u32,
        };
        let ranges = Arc::new(ranges);
        match self
            .output
            .publish_patch_checked(Arc::clone(&ranges), check)
        {
            Ok(published) => {
                layout.commit();
                phases.publish = stopwatch.lap();
                Ok(Ok(Done {
                    ranges,
                    moved,
                    identity,
                    published,
                    orphans: writes.orphans,
                }))
            }
            Err(error) => {
                layout.rollback();
                match error.kind() {
                    ErrorKind::OutputChanged => Ok(Err(RelinkReason::OutputChanged)),
                    _ => Err(error),
                }
            }
        }
    }

    /// Lays everything out anew and publishes the whole file.
    fn rebuild(
        &mut self,
        checked: &Checked,
        check: LastCheck<'_>,
        stopwatch: &mut Stopwatch,
        phases: &mut Phases,
    ) -> Result<()> {
        let exports = checked.exports.as_deref().unwrap_or(&self.program.exports);
        let request = Request {
            program: &self.program,
            options: self.layout_options(),
            dead_type: self.dead_type,
            slot_table: self.slot_table,
            exports,
            start: checked.start,
            customs: self.pending.customs(&self.settings),
            data_ranges: self.pending.data_ranges(&self.settings),
        };
        let layout = lay_out(&request)?;
        phases.plan += stopwatch.lap();
        let placed = !layout.data.images().is_empty();
        let data = if placed {
            all_data(&self.program)
        } else {
            Vec::new()
        };
        let names_tail = names_tail(&self.program, &layout);
        let sites = Default::default();
        let customs = self.pending.customs(&self.settings);
        let extra = SectionInputs {
            custom_front: &customs.front,
            custom_tail: &customs.tail,
            names_tail: &names_tail,
            exports: ExportList(exports),
            export_sites: &sites,
            data: &data,
        };
        let encoder = Encoder {
            program: &self.program,
            layout: &layout,
            orphans: None,
        };
        let identity = self.identity;
        let len = layout.sections.file_len();
        let write = |pieces: &FileWriter<'_>| {
            write_whole(encoder, &extra, identity, |at, bytes| {
                pieces.write_at(at, bytes)
            })
        };
        let next = self.output.publish_pieces_checked(len, write, check)?;
        phases.publish = stopwatch.lap();
        self.identity = next;
        self.layout = Some(layout);
        Ok(())
    }

    /// The program as of the last commit without slack, pads, thunks, forwarders and dead code: for release, not to be
    /// patched. It depends on the declarations and their order only, not on the history of edits.
    ///
    /// # Errors
    /// If edits are pending, or a limit of engines would be exceeded.
    pub fn finish(&self) -> Result<Vec<u8>> {
        Ok(self.finish_layout(false)?.1.bytes)
    }

    /// The dense output, and the layout behind it. With `cuts`, long runs of zeros in data are left out.
    pub(crate) fn finish_layout(&self, cuts: bool) -> Result<(Layout, Dense)> {
        if self.has_edits() {
            return Err(crate::Error::bad_edit("edits are pending")
                .with_hint("commit or discard them first"));
        }
        // With thunks, slots are for redirection; but where an address is taken, it is a slot.
        let thunks = self.options.redirect == Redirect::TableThunks;
        let slots = !thunks || self.uses_slots();
        let mut exports = self.program.exports.clone();
        // Otherwise their order is that of the edits.
        if self.program.next_import_order().is_none() {
            exports.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let layout = lay_out(&Request {
            program: &self.program,
            options: LayoutOptions {
                thunks: false,
                dense: true,
                interned_types: true,
                ..self.layout_options()
            },
            dead_type: self.dead_type,
            slot_table: self.slot_table.filter(|_| slots),
            exports: &exports,
            start: self.program.start,
            customs: &self.settings.customs,
            data_ranges: &self.settings.data_ranges,
        })?;
        let placed = !layout.data.images().is_empty();
        let data = if placed {
            all_data(&self.program)
        } else {
            Vec::new()
        };
        let names_tail = names_tail(&self.program, &layout);
        let sites = Default::default();
        let extra = SectionInputs {
            custom_front: &self.settings.customs.front,
            custom_tail: &self.settings.customs.tail,
            names_tail: &names_tail,
            exports: ExportList(&exports),
            export_sites: &sites,
            data: &data,
        };
        let encoder = Encoder {
            program: &self.program,
            layout: &layout,
            orphans: None,
        };
        let dense = write_dense(encoder, &extra, cuts)?;
        Ok((layout, dense))
    }

    /// Notes what newly orphaned code refers to.
    fn index_orphans(&mut self, orphans: &[DeclId]) {
        if let Some(references) = &mut self.references {
            for orphan in orphans {
                references.add(&self.program, *orphan);
            }
        }
    }

    /// Whether anything names a slot or the table of slots.
    fn uses_slots(&self) -> bool {
        let current = self
            .program
            .iter()
            .filter(|(_, decl)| !decl.is_orphan && decl.kind != DeclKind::Custom)
            .filter_map(|(_, decl)| decl.current());
        let exported = |export: &crate::program::Export| Some(export.decl) == self.slot_table;
        let named = current
            .flat_map(|definition| definition.content.relocs())
            .any(|reloc| {
                reloc.kind.is_slot()
                    || (matches!(reloc.kind, RelocKind::TableIndex | RelocKind::TableByte)
                        && reloc.decl() == self.slot_table)
            });
        named || self.program.exports.iter().any(exported)
    }

    /// Makes pending edits current after they were published; returns how many declarations changed.
    fn make_current(&mut self, checked: Checked, rebuilt: bool) -> u32 {
        let new_exports = checked.exports.is_some();
        let changed = self.program.dirty.len() as u32;
        let (defined, removed) = self.program.finish_commit(checked.exports);
        if rebuilt {
            self.references = None;
        } else if let Some(references) = &mut self.references {
            for source in defined {
                references.add(&self.program, source);
            }
        }
        if !removed.is_empty() && !self.program.sections().is_empty() {
            self.index();
        }
        for id in removed {
            let Some(references) = &mut self.references else {
                break;
            };
            // The id may be used again, for something that the pieces do not mean.
            let pieces = references.weak(&self.program, id);
            self.program.forget_target(&pieces, id);
            references.forget(id);
        }
        if new_exports || rebuilt {
            self.export_sites = export_sites(&self.program.exports);
        }
        let pending = std::mem::take(&mut self.pending);
        self.settings.settle(pending, &self.program);
        changed
    }
}

/// A patch that is ready to be published.
struct Prepared {
    writes: Writes,
    ranges: RangeList,
    identity: BuildIdentity,
}

/// What a patch of one declaration may write beyond its bytes, if that can be helped.
const MOST_BEYOND: u64 = 256;

/// Whether a patch of one declaration writes more than it should.
fn costs_too_much(program: &Program, prepared: &Prepared) -> bool {
    let [id] = program.dirty[..] else {
        return false;
    };
    let decl = program.decl(id);
    if decl.kind == DeclKind::Custom {
        return false;
    }
    let len = decl.next().map_or(0, |next| next.content.len());
    // The fields of debug information that follow a function's code are as many as they are.
    let follow = |reason| matches!(reason, Reason::CodeOffset | Reason::SectionOffset);
    let follows = prepared.ranges.iter().map(|(range, _)| range);
    let follows = follows.filter(|range| follow(range.reason));
    let inherent = len as u64 + follows.map(|range| u64::from(range.len)).sum::<u64>();
    // Where a section has to move, a few bytes more do not matter.
    prepared.writes.whole.is_empty() && prepared.ranges.bytes() > inherent + MOST_BEYOND
}

/// Plans and encodes a patch, in a transaction of the layout that stays open.
fn prepare(
    from: PlanContext<'_>,
    layout: &mut Layout,
    export_sites: &ExportSites,
    identity: BuildIdentity,
    (stopwatch, phases): (&mut Stopwatch, &mut Phases),
) -> Result<Prepared, PlanError> {
    let before = layout.sections.places().clone();
    let old_len = layout.sections.file_len();
    layout.begin();
    let writes = plan(from, layout)?;
    phases.plan += stopwatch.lap();
    let data = if writes.whole.contains(&SectionKind::Data) {
        all_data(from.program)
    } else {
        Vec::new()
    };
    let exports = from.checked.exports.as_deref();
    let extra = SectionInputs {
        custom_front: &from.customs.front,
        custom_tail: &from.customs.tail,
        names_tail: writes.names_tail.as_deref().unwrap_or_default(),
        exports: ExportList(exports.unwrap_or(&from.program.exports)),
        export_sites,
        data: &data,
    };
    let encoder = Encoder {
        program: from.program,
        layout,
        orphans: Some(&writes.orphans),
    };
    let (ranges, identity) = write_patch(encoder, &before, &writes, &extra, old_len, identity);
    phases.encode += stopwatch.lap();
    Ok(Prepared {
        writes,
        ranges,
        identity,
    })
}

fn all_data(program: &Program) -> Vec<DeclId> {
    let data = program
        .iter()
        .filter(|(_, decl)| decl.kind == DeclKind::Data && decl.next().is_some());
    data.filter(|(_, decl)| !matches!(decl.pending(), Pending::Remove))
        .map(|(id, _)| id)
        .collect()
}
