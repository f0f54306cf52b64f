//! Whether the pending edits make sense together: every reference has a living, defined target of the right kind.
//! Nothing is changed here.

use rayon::prelude::*;
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::parallel::{region, task};
use crate::program::content::{RelocKind, Relocation};
use crate::program::declaration::{DeclKind, Declaration, Definition, DefinitionKind, Pending};
use crate::program::exports::ExportChanges;
use crate::program::ids::{DeclId, SectionId};
use crate::program::references::References;
use crate::program::store::Program;

/// More dirty declarations than this are checked in bulk.
pub(super) const BULK: usize = 4096;
/// What is known of those who use what the edits change, and are not edited themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    /// They may rely on what is there no more, such as a function's signature before.
    MayBeStale,
    /// They are right: the edits make the program equal to one that has been validated as a whole.
    AreValid,
}

/// What a check found out, for the planner.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What the commit makes of the exports, if they change.
    pub(crate) exports: Option<ExportChanges>,
    /// The start function after the commit.
    pub(crate) start: Option<DeclId>,
}

impl Program {
    /// Whether relocations of a definition have targets of the right kinds.
    pub(crate) fn check_relocs(
        &self,
        definition: &Definition,
        relocs: &[Relocation],
    ) -> Result<()> {
        let is_piece = definition.section().is_some();
        for reloc in relocs {
            let fail = |message: String| {
                Err(Error::bad_edit(message).with_offset(u64::from(reloc.offset)))
            };
            if let Some(ty) = reloc.ty() {
                if !self.types.contains(ty) {
                    return fail("refers to a type that is not one of this module".into());
                }
                continue;
            }
            if is_piece && !reloc.kind.is_little_endian() {
                return fail(format!(
                    "is a piece of a custom section, which cannot have a field of kind {:?}",
                    reloc.kind
                ));
            }
            if !is_piece && reloc.kind.is_of_customs() {
                return fail(format!(
                    "has a field of kind {:?}, which only custom sections have",
                    reloc.kind
                ));
            }
            if reloc.kind.is_slot() && !is_piece && !self.has_slots {
                return fail("takes a function's address, but there is no table of slots".into());
            }
            let is_data = matches!(definition.shape, DefinitionKind::Data { .. });
            if reloc.kind == RelocKind::DistanceI32 && !is_data {
                return fail("has a distance to data, which only data can have".into());
            }
            let Some(target) = reloc.decl() else {
                if is_piece {
                    continue;
                }
                return fail("refers to nothing, which only custom sections can".into());
            };
            let expected = target_kind(reloc.kind);
            if self.kind_of(target) == Some(expected) {
                continue;
            }
            let Some(decl) = self.get(target) else {
                return fail(format!("refers to {target}, which is not declared"));
            };
            return fail(format!(
                "refers to `{}`, a {}, as a {expected}",
                decl.label(),
                decl.kind
            ));
        }
        if let Some(ty) = definition.ty() {
            self.expect_type(ty)?;
        }
        let section = definition.section().map(SectionId::index);
        if section.is_some_and(|section| section >= self.sections().len()) {
            let text = "is a piece of a custom section that is not one of this module";
            return Err(Error::bad_edit(text));
        }
        Ok(())
    }

    /// Checks all pending edits together.
    pub(crate) fn check(&self, references: &References, users: Users) -> Result<Checked> {
        // In bulk a table of what lives is smaller than what would have to be looked at instead.
        let bulk = self.dirty.len() > BULK;
        let table: Vec<bool> = if bulk { self.liveness() } else { Vec::new() };
        let lives = |id: DeclId| match table.get(id.index()) {
            Some(lives) => *lives,
            None => self.get(id).and_then(|decl| decl.next()).is_some(),
        };
        let check = |&id: &DeclId| -> Vec<Error> {
            let mut wrong = Vec::new();
            match self.decl(id).pending() {
                Pending::None => {}
                Pending::Define(definition) => {
                    self.check_live(id, definition, lives, &mut wrong);
                    if users == Users::MayBeStale {
                        self.check_users(references, id, definition, &mut wrong);
                    }
                }
                Pending::Remove => self.check_unreferenced(references, id, &mut wrong),
            }
            wrong
        };
        let mut wrong = self.check_calls();
        if bulk {
            let run = |run: &[DeclId]| task(|| run.iter().flat_map(check).collect::<Vec<Error>>());
            region(|| wrong.par_extend(self.dirty.par_chunks(BULK).flat_map_iter(run)));
        } else {
            wrong.extend(self.dirty.iter().flat_map(check));
        }
        let start = self.next_start();
        if let Some(start) = start {
            let is_there = self.live(start);
            let is_there =
                is_there.map_err(|error| error.with_hint("the start function must be defined"));
            let fits = is_there.and_then(|()| self.check_start(start));
            wrong.extend(fits.err());
        }
        let exports = self.next_exports(&mut wrong);
        Error::all_of(wrong)?;
        Ok(Checked { exports, start })
    }

    /// Whether each declaration is defined once the commit is done, by id.
    fn liveness(&self) -> Vec<bool> {
        let is_alive = |index| {
            let decl = self.get(DeclId(index as u32));
            decl.is_some_and(|decl| decl.next().is_some())
        };
        let mut all = vec![false; self.capacity()];
        let fill = |(run, all): (usize, &mut [bool])| {
            for (index, alive) in (run * BULK..).zip(all) {
                *alive = is_alive(index);
            }
        };
        let runs = all.par_chunks_mut(BULK).enumerate();
        region(|| runs.for_each(|run| task(|| fill(run))));
        all
    }

    /// All that will be defined of one kind, by id.
    pub(crate) fn defined_of(&self, kind: DeclKind) -> Vec<DeclId> {
        let is_defined = |id: &DeclId| {
            self.kind_of(*id) == Some(kind)
                && self.get(*id).is_some_and(|decl| decl.next().is_some())
        };
        let all = self.capacity();
        if all <= BULK {
            let ids = (0..all).map(|index| DeclId(index as u32));
            return ids.filter(is_defined).collect();
        }
        let run = |run: usize| {
            let ids = (run * BULK..all.min((run + 1) * BULK)).map(|index| DeclId(index as u32));
            task(|| ids.filter(is_defined).collect())
        };
        let runs = (0..all.div_ceil(BULK)).into_par_iter();
        let runs: Vec<Vec<DeclId>> = region(|| runs.map(run).collect());
        runs.concat()
    }

    /// Every target of a new definition must be defined once the commit is done; but not those of a piece of a custom
    /// section.
    fn check_live(
        &self,
        id: DeclId,
        definition: &Definition,
        lives: impl Fn(DeclId) -> bool,
        wrong: &mut Vec<Error>,
    ) {
        if definition.section().is_some() {
            return;
        }
        let mut last = None;
        let mut gone: SmallVec<[DeclId; 4]> = SmallVec::new();
        for reloc in definition.content.relocs() {
            let Some(target) = reloc.decl().filter(|target| last != Some(*target)) else {
                continue;
            };
            last = Some(target);
            if !lives(target) && !gone.contains(&target) {
                gone.push(target);
                wrong.push(self.dangling(id, reloc, target));
            }
        }
        if let DefinitionKind::Data { memory, .. } = definition.shape {
            let is_there = self.live(memory);
            let is_there =
                is_there.map_err(|error| error.with_hint("data needs a memory to stand in"));
            wrong.extend(is_there.err());
        }
    }

    #[cold]
    fn dangling(&self, id: DeclId, reloc: &Relocation, target: DeclId) -> Error {
        let message = match self.get(target) {
            Some(decl) if matches!(decl.pending(), Pending::Remove) => {
                format!("refers to `{}`, which is removed", decl.label())
            }
            Some(decl) => format!(
                "refers to `{}`, which is declared but not defined",
                decl.label()
            ),
            None => format!("refers to {target}, which does not exist"),
        };
        Error::bad_edit(message)
            .with_symbol(self.decl(id).label())
            .with_offset(u64::from(reloc.offset))
    }

    pub(super) fn live(&self, id: DeclId) -> Result<()> {
        match self.get(id) {
            Some(decl) if decl.next().is_some() => Ok(()),
            Some(decl) => Err(Error::bad_edit("is not defined").with_symbol(decl.label())),
            None => Err(Error::bad_edit(format!("{id} is not declared"))),
        }
    }

    /// Nothing may refer to a declaration that goes away. Sources that change in this commit are checked with their
    /// new definitions.
    fn check_unreferenced(&self, references: &References, id: DeclId, wrong: &mut Vec<Error>) {
        for source in references.of(self, id) {
            let decl = self.decl(source);
            if matches!(decl.pending(), Pending::None) && !decl.is_orphan {
                wrong.push(self.still_used(id, decl, "refers to"));
            }
        }
        if self.kind_of(id) != Some(DeclKind::Memory) {
            return;
        }
        let stands_in_it = |decl: &&Declaration| {
            let shape = decl.next().map(|next| next.shape);
            matches!(shape, Some(DefinitionKind::Data { memory, .. }) if memory == id)
        };
        // Who removes a memory knows that all of its data goes: one of it is enough.
        let data = self.iter().map(|(_, decl)| decl).find(stands_in_it);
        wrong.extend(data.map(|data| self.still_used(id, data, "stands in")));
    }

    #[cold]
    fn still_used(&self, id: DeclId, user: &Declaration, how: &str) -> Error {
        let message = format!("cannot be removed: `{}` still {how} it", user.label());
        Error::bad_edit(message)
            .with_symbol(self.decl(id).label())
            .with_hint("redefine or remove what uses it in the same commit")
    }
}

/// The kind of declaration that a relocation refers to.
fn target_kind(kind: RelocKind) -> DeclKind {
    use RelocKind::*;
    match kind {
        Call | FunctionIndex | SlotSleb | SlotI32 | SlotSleb64 | SlotI64 | FunctionIndexI32
        | FunctionOffsetI32 | FunctionOffsetI64 => DeclKind::Function,
        GlobalIndex | GlobalIndexI32 => DeclKind::Global,
        SectionOffsetI32 => DeclKind::Custom,
        TableIndex | TableByte | TableLen => DeclKind::Table,
        MemoryIndex => DeclKind::Memory,
        TagIndex => DeclKind::Tag,
        ElementIndex => DeclKind::ElementSegment,
        DataIndex => DeclKind::DataSegment,
        AddressLeb | AddressSleb | AddressI32 | AddressLeb64 | AddressSleb64 | AddressI64
        | DistanceI32 => DeclKind::Data,
        TypeIndex | HeapType => unreachable!("types are not declarations"),
    }
}
