//! What is reached of changed objects, and of others that was not before: the walk of `gc`, from what others refer to.

use crate::link::declare::{ResolvedTarget, SegmentPlacement};
use crate::link::gc::{Edge, Entity, edges, entity, init_symbols, retained_segments};
use crate::link::order::{holds_zeros, output_name};
use crate::link::symbols::{Definition, ObjectId, SymbolId};
use crate::link::update::fallback::{FallbackReason, UpdateResult, fall_back};
use crate::link::update::{GcNode, Marks, Update};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{SegmentFlags, SymbolKind};

impl Update<'_> {
    /// Marks what is reached of the changed objects, and of others what was not before.
    pub(super) fn mark(&mut self) -> UpdateResult<()> {
        for change in self.changes.iter().filter(|it| it.contents.is_none()) {
            let marks = Marks {
                functions: vec![false; change.object.functions.len()],
                segments: vec![false; change.object.segments.len()],
            };
            self.marks.insert(change.id, marks);
        }
        for at in 0..self.changes.len() {
            let id = self.changes[at].id;
            self.expect_nothing_retained(id)?;
            if self.changes[at].contents.is_some() {
                self.queue_changed_contents(at);
                continue;
            }
            for symbol in self.needed_symbols(id) {
                self.reach_entry(id, symbol)?;
            }
            self.reach_init_functions(id)?;
        }
        while let Some((id, node)) = self.queue.pop() {
            self.reach_all(id, node)?;
        }
        Ok(())
    }

    /// The symbols of a changed object whose meanings are needed whatever other changed objects refer to.
    fn needed_symbols(&self, id: ObjectId) -> Vec<SymbolIndex> {
        let linked = self.resolution().object(id);
        let mut needed = Vec::new();
        for (index, symbol) in linked.object.symbols.iter().enumerate() {
            let index = SymbolIndex(index as u32);
            let Some(global) = linked.symbol_ref(index).symbol() else {
                continue;
            };
            let place = self.resolution().table.get(global).place();
            let is_own = !symbol.is_undefined() && place == Some((id, index));
            if is_own && self.has_users(id, global) {
                needed.push(index);
            }
        }
        needed
    }

    /// Nothing of an object is linked for its own sake.
    fn expect_nothing_retained(&self, id: ObjectId) -> UpdateResult<()> {
        let linked = self.resolution().object(id);
        let is_linked = linked.is_live || self.unit(id).is_live();
        match is_linked && retained_segments(linked).next().is_some() {
            true => fall_back(FallbackReason::RetainedData),
            false => Ok(()),
        }
    }

    /// The functions that an object wants to be called first. Those of a name that it shares may be other objects'.
    fn reach_init_functions(&mut self, id: ObjectId) -> UpdateResult<()> {
        let linked = self.resolution().object(id);
        if !linked.is_live && !self.unit(id).is_live() {
            return Ok(());
        }
        let inits = init_symbols(linked).map(|symbol| (symbol, linked.symbol_ref(symbol).symbol()));
        for (symbol, shared) in inits.collect::<Vec<_>>() {
            match shared {
                Some(global) => self.reach_shared(global, false)?,
                None => self.reach_entry(id, symbol)?,
            }
        }
        Ok(())
    }

    fn reach_all(&mut self, id: ObjectId, node: GcNode) -> UpdateResult<()> {
        let linked = self.resolution().object(id);
        let object = &linked.object;
        let relocs = match node {
            GcNode::Function(at) => object.function_relocs(&object.functions[at as usize]),
            GcNode::Segment(at) => object.segment_relocs(SegmentIndex(at)),
        };
        let edges: Vec<Edge> = edges(linked, relocs).collect();
        for edge in edges {
            match edge {
                Edge::Own(symbol) => self.reach_entry(id, symbol)?,
                Edge::Shared(global, takes_address) => self.reach_shared(global, takes_address)?,
            }
        }
        Ok(())
    }

    fn reach_shared(&mut self, global: SymbolId, takes_address: bool) -> UpdateResult<()> {
        let known = self.resolution().table.get(global);
        if let Definition::Object { object, symbol } = known.definition {
            return self.reach_entry(object, symbol);
        }
        let is_there = match self.link.declarations.meanings[global.index()] {
            ResolvedTarget::Nothing => false,
            ResolvedTarget::Function { id: None, .. } => takes_address && known.is_stub(),
            // Data that nothing defines is missed as soon as something reaches it.
            ResolvedTarget::Null => known.is_weak() || self.was_reached(global),
            _ => true,
        };
        match is_there {
            true => Ok(()),
            false => fall_back(FallbackReason::NotLinked),
        }
    }

    /// Whether anything referred to a symbol when all of them were resolved: then it was settled what becomes of it.
    fn was_reached(&self, id: SymbolId) -> bool {
        let live = self.link.plan.live.symbols.get(id.index());
        live.is_some_and(|live| *live)
    }

    /// What a symbol of an object stands for is needed.
    fn reach_entry(&mut self, id: ObjectId, index: SymbolIndex) -> UpdateResult<()> {
        let linked = self.link.plan.resolution.object(id);
        let unit = &self.link.declarations.known.units[id.index()];
        let is_there = |list: &[Option<_>], at: usize| list.get(at).copied().flatten().is_some();
        match entity(&linked.object, index) {
            Some(Entity::Function(at)) if linked.is_function_discarded(at) => {
                fall_back(FallbackReason::DiscardedFunctionIsNeeded)
            }
            Some(Entity::Segment(at)) if linked.is_segment_discarded(at) => {
                fall_back(FallbackReason::DiscardedDataIsNeeded)
            }
            Some(Entity::Function(at)) => match self.marks.get_mut(&id) {
                Some(marks) => {
                    if !std::mem::replace(&mut marks.functions[at], true) {
                        self.queue.push((id, GcNode::Function(at as u32)));
                    }
                    Ok(())
                }
                None if unit.functions[at].is_some() => Ok(()),
                None => self.add(id, GcNode::Function(at as u32)),
            },
            Some(Entity::Segment(at)) => match self.marks.get_mut(&id) {
                Some(marks) => {
                    if !std::mem::replace(&mut marks.segments[at], true) {
                        self.queue.push((id, GcNode::Segment(at as u32)));
                    }
                    Ok(())
                }
                None if unit.segments[at] != SegmentPlacement::Nowhere => Ok(()),
                None => self.add(id, GcNode::Segment(at as u32)),
            },
            Some(Entity::Global(at)) if is_there(&unit.globals, at) => Ok(()),
            Some(Entity::Tag(at)) if is_there(&unit.tags, at) => Ok(()),
            Some(Entity::Table(at)) if is_there(&unit.tables, at) => Ok(()),
            Some(Entity::Global(_) | Entity::Tag(_) | Entity::Table(_)) => {
                fall_back(FallbackReason::OtherIsNeeded)
            }
            None => match linked.object.symbols[index.index()].kind {
                // An address, or a section that debug information names.
                SymbolKind::Data | SymbolKind::Section => Ok(()),
                SymbolKind::Function => fall_back(FallbackReason::DiscardedFunctionIsNeeded),
                _ => fall_back(FallbackReason::OtherIsNeeded),
            },
        }
    }

    /// Something is needed of an object that did not change, and was not before.
    fn add(&mut self, id: ObjectId, node: GcNode) -> UpdateResult<()> {
        let linked = self.link.plan.resolution.object(id);
        let object = &linked.object;
        let was_live = linked.is_live || self.unit(id).is_live();
        let needs_more =
            !object.init_functions.is_empty() || retained_segments(linked).next().is_some();
        if !was_live && needs_more {
            return fall_back(FallbackReason::InitFunctionsAreNeeded);
        }
        if let GcNode::Segment(at) = node {
            let at = at as usize;
            let name = output_name(object, at, &self.link.options);
            let segments = self.link.plan.segments.iter();
            let mut merged = segments.zip(&self.link.declarations.merged);
            if object.segments[at].flags.has(SegmentFlags::TLS)
                || (self.link.plan.clears_memory && holds_zeros(object, SegmentIndex(at as u32)))
                || merged.any(|(segment, merged)| merged.is_some() && segment.name == name)
            {
                return fall_back(FallbackReason::MoreMergedData);
            }
        }
        if !self.added.contains(&(id, node)) {
            self.added.push((id, node));
            self.queue.push((id, node));
        }
        Ok(())
    }
}
