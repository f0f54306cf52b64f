//! Drops what nothing leads to any more: from what lost a reference, backwards along references until something is met
//! that is needed in any case.

use crate::hash::HashSet;
use crate::link::declare::{ResolvedTarget, SegmentPlacement, StringKey};
use crate::link::symbols::ObjectId;
use crate::link::update::fallback::{FallbackReason, UpdateResult, fall_back};
use crate::link::update::index::{Owner, decl_of};
use crate::link::update::{GcNode, Update};
use crate::object::Reloc;
use crate::object::ids::SegmentIndex;
use crate::program::{DeclId, DeclKind, DefinitionKind, Pending};

impl Update<'_> {
    /// Notes what pending definitions refer to.
    pub(super) fn index_pending(&mut self) {
        let program = self.link.module.program();
        for &source in &program.dirty {
            if let Pending::Define(definition) = program.decl(source).pending() {
                let mut last = None;
                for target in definition
                    .content
                    .relocs()
                    .iter()
                    .filter_map(|reloc| reloc.decl())
                {
                    if last != Some(target) {
                        self.pending.entry(target).or_default().push(source);
                        last = Some(target);
                    }
                }
            }
        }
    }

    /// Drops what is not reached any more.
    pub(super) fn collect(
        &mut self,
        before: HashSet<DeclId>,
        removed: Vec<DeclId>,
    ) -> UpdateResult<()> {
        let saved: Vec<ObjectId> = self.units_before().map(|(id, _)| id).collect();
        for id in &saved {
            let unit = &self.link.declarations.known.units[id.index()];
            self.index.own(*id, unit);
        }
        self.index_pending();
        let mut candidates = before;
        let program = self.link.module.program();
        for change in &self.changes {
            for decl in self.changed_decls(change) {
                let next = program.decl(decl).next();
                let relocs = next.map(|next| next.content.relocs());
                for target in relocs
                    .into_iter()
                    .flatten()
                    .filter_map(|reloc| reloc.decl())
                {
                    candidates.remove(&target);
                }
            }
        }
        let mut candidates: Vec<DeclId> = candidates.into_iter().collect();
        candidates.sort_unstable();
        for id in removed {
            candidates.extend(self.remove(id)?);
        }
        let mut alive: HashSet<DeclId> = HashSet::default();
        while let Some(candidate) = candidates.pop() {
            let can_go = matches!(
                self.index.owner(candidate),
                Owner::Function(..) | Owner::Segment(..)
            );
            if alive.contains(&candidate) || self.is_removed(candidate) {
                continue;
            }
            if !can_go {
                self.expect_needed(candidate)?;
                continue;
            }
            let mut seen: HashSet<DeclId> = HashSet::default();
            seen.insert(candidate);
            let mut open = vec![candidate];
            let mut is_alive = false;
            while let Some(id) = open.pop() {
                if self.index.roots.contains(&id)
                    || alive.contains(&id)
                    || self.index.owner(id) == Owner::Linker
                {
                    is_alive = true;
                    break;
                }
                for source in self.sources(id) {
                    if seen.insert(source) {
                        open.push(source);
                    }
                }
            }
            if is_alive {
                alive.insert(candidate);
                continue;
            }
            for id in seen {
                self.drop_from_unit(id)?;
                candidates.extend(self.remove(id)?);
            }
        }
        self.renew_meanings();
        self.recount()
    }

    /// What is not an object's function or data is never dropped: if nothing refers to it any more, a link from the inputs
    /// would do without it. Imports are of this kind, functions that stand in for what is undefined, globals for addresses.
    fn expect_needed(&self, id: DeclId) -> UpdateResult<()> {
        let module = &self.link.module;
        let is_kept = self.index.roots.contains(&id)
            || module.slots() == Some(id)
            || decl_of(&self.link.declarations, self.stack_pointer()) == Some(id);
        let kind = module.program().decl(id).kind;
        let is_droppable = matches!(
            kind,
            DeclKind::Function | DeclKind::Global | DeclKind::Table | DeclKind::Tag
        );
        match is_droppable && !is_kept && self.sources(id).is_empty() {
            true => fall_back(FallbackReason::UndefinedIsNotNeeded),
            false => Ok(()),
        }
    }

    /// What the stack pointer means, which is there whether or not anybody uses it.
    fn stack_pointer(&self) -> ResolvedTarget {
        self.link.declarations.meanings[self.resolution().stack_pointer.index()]
    }

    pub(super) fn is_removed(&self, id: DeclId) -> bool {
        let decl = self.link.module.program().get(id);
        decl.is_none_or(|decl| matches!(decl.pending(), Pending::Remove))
    }

    /// What refers to a declaration once the edits are made.
    pub(super) fn sources(&self, id: DeclId) -> Vec<DeclId> {
        let module = &self.link.module;
        let program = module.program();
        let current = module.sources_of(id);
        let mut sources: Vec<DeclId> = current
            .into_iter()
            .filter(|source| {
                let decl = program.decl(*source);
                matches!(decl.pending(), Pending::None) && !decl.is_orphan
            })
            .collect();
        if let Some(pending) = self.pending.get(&id) {
            let stays = |source: &&DeclId| !self.is_removed(**source);
            sources.extend(pending.iter().filter(stays));
        }
        sources
    }

    /// Takes a declaration away; returns what it referred to.
    pub(super) fn remove(&mut self, id: DeclId) -> UpdateResult<Vec<DeclId>> {
        if self.is_removed(id) {
            return Ok(Vec::new());
        }
        let program = self.link.module.program_mut();
        let definition = program.decl(id).next();
        let relocs = definition.map(|definition| definition.content.relocs());
        let targets = relocs
            .into_iter()
            .flatten()
            .filter_map(|reloc| reloc.decl())
            .collect();
        program.remove(id)?;
        Ok(targets)
    }

    pub(super) fn drop_from_unit(&mut self, id: DeclId) -> UpdateResult<()> {
        let (object, chunk) = match self.index.owner(id) {
            Owner::Function(object, index) => (object, GcNode::Function(index)),
            Owner::Segment(object, index) => (object, GcNode::Segment(index)),
            _ => return Ok(()),
        };
        let linked = self.resolution().object(object);
        if !linked.is_live && !linked.object.init_functions.is_empty() {
            return fall_back(FallbackReason::InitFunctionsAreNotNeeded);
        }
        let unit = self.edit_unit(object);
        match chunk {
            GcNode::Function(index) => unit.functions[index as usize] = None,
            GcNode::Segment(index) => unit.segments[index as usize] = SegmentPlacement::Nowhere,
        }
        self.touched.insert(object);
        self.loses_strings.insert(object);
        Ok(())
    }

    /// Counts the users of strings anew where objects changed, and drops strings that have none.
    pub(super) fn recount(&mut self) -> UpdateResult<()> {
        let mut ids: Vec<ObjectId> = self.loses_strings.iter().copied().collect();
        ids.sort_unstable();
        for id in ids {
            // Which of its strings are left?
            let object = self.resolution().object(id).object.clone();
            let unit = self.unit(id);
            let mut needed = vec![false; object.segments.len()];
            let mut visit = |relocs: &[Reloc]| {
                for symbol in relocs.iter().filter_map(Reloc::symbol) {
                    if let Some(segment) = object.symbols[symbol.index()].segment() {
                        needed[segment.index()] = true;
                    }
                }
            };
            for (index, decl) in unit.functions.iter().enumerate() {
                if decl.is_some() {
                    visit(object.function_relocs(&object.functions[index]));
                }
            }
            for (index, placed) in unit.segments.iter().enumerate() {
                if matches!(placed, SegmentPlacement::Part(..)) {
                    visit(object.segment_relocs(SegmentIndex(index as u32)));
                }
            }
            let is_lost = |(placed, needed): (&SegmentPlacement, &bool)| {
                matches!(placed, SegmentPlacement::Strings(_)) && !*needed
            };
            if !unit.segments.iter().zip(&needed).any(is_lost) {
                continue;
            }
            let unit = self.edit_unit(id);
            for (placed, needed) in unit.segments.iter_mut().zip(&needed) {
                if is_lost((placed, needed)) {
                    *placed = SegmentPlacement::Nowhere;
                }
            }
        }
        let mut lost = Vec::new();
        let units = &self.link.declarations.known.units;
        for (at, old) in units.before() {
            let new = units[at].segments.iter();
            new.for_each(|placed| self.index.count(placed, 1));
            for placed in &old.segments {
                self.index.count(placed, -1);
                if let SegmentPlacement::Strings(pieces) = placed {
                    lost.extend(pieces.iter().map(|piece| piece.decl));
                }
            }
        }
        for decl in lost {
            if self.index.string_users.get(&decl) != Some(&0) {
                continue;
            }
            self.index.string_users.remove(&decl);
            let program = self.link.module.program_mut();
            let definition = program.decl(decl).next();
            if let Some((DefinitionKind::Data { align_log2, .. }, bytes)) =
                definition.map(|definition| (definition.shape, definition.content.bytes()))
            {
                let key: StringKey = (align_log2, bytes.into());
                self.link.declarations.known.strings.remove(&key);
            }
            program.remove(decl)?;
        }
        Ok(())
    }
}
