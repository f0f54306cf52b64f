//! Drops what nothing leads to any more: from what lost a reference, backwards along references until something is met
//! that is needed in any case.

use super::*;

impl Update<'_> {
    /// Notes what pending definitions refer to.
    pub(super) fn index_pending(&mut self) {
        let program = self.linked.module.program();
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
        let saved: Vec<ObjectId> = self.undo.units.iter().map(|(id, _)| *id).collect();
        for id in &saved {
            let unit = self.linked.assigned.known.units[id.index()].clone();
            self.state.own(*id, &unit);
        }
        self.index_pending();
        let mut candidates = before;
        let program = self.linked.module.program();
        for change in &self.changes {
            for decl in decls_of(&self.linked.assigned.known.units[change.id.index()]) {
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
        let mut alive: HashSet<DeclId> = HashSet::new();
        while let Some(candidate) = candidates.pop() {
            let can_go = matches!(
                self.state.owner(candidate),
                Owner::Function(..) | Owner::Segment(..)
            );
            if !can_go || alive.contains(&candidate) || self.is_removed(candidate) {
                continue;
            }
            let mut seen: HashSet<DeclId> = HashSet::new();
            seen.insert(candidate);
            let mut open = vec![candidate];
            let mut is_alive = false;
            while let Some(id) = open.pop() {
                if self.state.roots.contains(&id)
                    || alive.contains(&id)
                    || self.state.owner(id) == Owner::Linker
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
        self.recount(&saved)
    }

    pub(super) fn is_removed(&self, id: DeclId) -> bool {
        let decl = self.linked.module.program().get(id);
        decl.is_none_or(|decl| matches!(decl.pending(), Pending::Remove))
    }

    /// What refers to a declaration once the edits are made.
    pub(super) fn sources(&self, id: DeclId) -> Vec<DeclId> {
        let module = &self.linked.module;
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
        let program = self.linked.module.program_mut();
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
        let (object, chunk) = match self.state.owner(id) {
            Owner::Function(object, index) => (object, GcNode::Function(index)),
            Owner::Segment(object, index) => (object, GcNode::Segment(index)),
            _ => return Ok(()),
        };
        self.save(object);
        let linked = self.resolution().object(object);
        if !linked.is_live && !linked.object.init_functions.is_empty() {
            return why("less is needed of an object with init functions");
        }
        let unit = &mut self.linked.assigned.known.units[object.index()];
        match chunk {
            GcNode::Function(index) => unit.functions[index as usize] = None,
            GcNode::Segment(index) => unit.segments[index as usize] = SegmentPlacement::Nowhere,
        }
        self.touched.insert(object);
        Ok(())
    }

    /// Counts the users of strings anew where objects changed, and drops strings that have none.
    pub(super) fn recount(&mut self, own: &[ObjectId]) -> UpdateResult<()> {
        let ids: Vec<ObjectId> = self.undo.units.iter().map(|(id, _)| *id).collect();
        for id in ids.iter().filter(|id| !own.contains(id)) {
            // Something of it was dropped: which of its strings are left?
            let object = self.resolution().object(*id).object.clone();
            let unit = &self.linked.assigned.known.units[id.index()];
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
            let unit = &mut self.linked.assigned.known.units[id.index()];
            for (placed, needed) in unit.segments.iter_mut().zip(needed) {
                if matches!(placed, SegmentPlacement::Strings(_)) && !needed {
                    *placed = SegmentPlacement::Nowhere;
                }
            }
        }
        let mut lost = Vec::new();
        for (id, old) in &self.undo.units {
            let new = &self.linked.assigned.known.units[id.index()];
            new.segments
                .iter()
                .for_each(|placed| self.state.count(placed, 1));
            for placed in &old.segments {
                self.state.count(placed, -1);
                if let SegmentPlacement::Strings(pieces) = placed {
                    lost.extend(pieces.iter().map(|piece| piece.decl));
                }
            }
        }
        for decl in lost {
            if self.state.string_users.get(&decl) != Some(&0) {
                continue;
            }
            self.state.string_users.remove(&decl);
            let program = self.linked.module.program_mut();
            let definition = program.decl(decl).next();
            if let Some((DefinitionKind::Data { align_log2, .. }, bytes)) =
                definition.map(|definition| (definition.shape, definition.content.bytes()))
            {
                let key: StringKey = (align_log2, bytes.into());
                self.linked.assigned.known.strings.remove(&key);
                self.undo.dropped_strings.push((key, decl));
            }
            program.remove(decl)?;
        }
        Ok(())
    }
}
