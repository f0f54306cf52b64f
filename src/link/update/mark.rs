//! What is reached of changed objects, and of others that was not before.

use super::*;

impl Update<'_> {
    /// Marks what is reached of the changed objects, and of others what was not before.
    pub(super) fn mark(&mut self) -> UpdateResult<()> {
        for at in 0..self.changes.len() {
            let id = self.changes[at].id;
            let object = self.changes[at].object.clone();
            self.marks.insert(
                id,
                Marks {
                    functions: vec![false; object.functions.len()],
                    segments: vec![false; object.segments.len()],
                },
            );
        }
        for at in 0..self.changes.len() {
            let id = self.changes[at].id;
            let object = self.changes[at].object.clone();
            let linked = self.resolution().object(id);
            let mut reached = Vec::new();
            for (index, symbol) in object.symbols.iter().enumerate() {
                let Some(global) = linked.refs[index].symbol() else {
                    continue;
                };
                let place = self.resolution().table.get(global).place();
                if symbol.is_undefined() || place != Some((id, SymbolIndex(index as u32))) {
                    continue;
                }
                if self.has_users(id, global) {
                    reached.push(SymbolIndex(index as u32));
                }
            }
            let unit = &self.linked.assigned.known.units[id.index()];
            let was_live = linked.is_live || unit.is_live();
            if was_live {
                reached.extend(object.init_functions.iter().map(|init| init.symbol));
                for (index, segment) in object.segments.iter().enumerate() {
                    if segment.flags.has(SegmentFlags::RETAIN) {
                        return why("data that is kept in any case changed");
                    }
                    let _ = index;
                }
            }
            for symbol in reached {
                self.reach_entry(id, symbol)?;
            }
        }
        while let Some((id, chunk)) = self.queue.pop() {
            let object = self.resolution().object(id).object.clone();
            match chunk {
                GcNode::Function(function) => {
                    let function = &object.functions[function as usize];
                    self.reach_all(id, object.function_relocs(function))?;
                }
                GcNode::Segment(segment) => {
                    self.reach_all(id, object.segment_relocs(SegmentIndex(segment)))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn reach_all(&mut self, id: ObjectId, relocs: &[Reloc]) -> UpdateResult<()> {
        for reloc in relocs {
            let Some(symbol) = reloc.symbol() else {
                continue;
            };
            let Some(global) = self.resolution().object(id).symbol_ref(symbol).symbol() else {
                self.reach_entry(id, symbol)?;
                continue;
            };
            let known = self.resolution().table.get(global);
            match known.definition {
                Definition::Object { object, symbol } => self.reach_entry(object, symbol)?,
                _ => {
                    use RelocType::*;
                    let takes_address = matches!(
                        reloc.kind(),
                        TableIndexSleb | TableIndexI32 | TableIndexSleb64 | TableIndexI64
                    );
                    let meaning = self.linked.assigned.meanings[global.index()];
                    let is_there = match meaning {
                        ResolvedTarget::Nothing => false,
                        ResolvedTarget::Function { id: None, .. } => {
                            takes_address && known.is_stub()
                        }
                        _ => true,
                    };
                    if !is_there {
                        return why("something is needed that was not linked");
                    }
                }
            }
        }
        Ok(())
    }

    /// What a symbol of an object stands for is needed.
    pub(super) fn reach_entry(&mut self, id: ObjectId, index: SymbolIndex) -> UpdateResult<()> {
        let resolution = &self.linked.plan.resolution;
        let linked = resolution.object(id);
        let object = &linked.object;
        let symbol = &object.symbols[index.index()];
        let unit = &self.linked.assigned.known.units[id.index()];
        let chunk = match symbol.kind {
            SymbolKind::Function => {
                let function = symbol.function().and_then(|id| object.defined_function(id));
                let Some(function) = function.filter(|at| !linked.is_function_discarded(*at))
                else {
                    return why("a function is needed that was discarded");
                };
                if let Some(marks) = self.marks.get_mut(&id) {
                    if !std::mem::replace(&mut marks.functions[function], true) {
                        self.queue.push((id, GcNode::Function(function as u32)));
                    }
                    return Ok(());
                }
                if unit.functions[function].is_some() {
                    return Ok(());
                }
                GcNode::Function(function as u32)
            }
            SymbolKind::Data => {
                let Some(segment) = symbol.segment() else {
                    return Ok(());
                };
                if linked.is_segment_discarded(segment.index()) {
                    return why("data is needed that was discarded");
                }
                if let Some(marks) = self.marks.get_mut(&id) {
                    if !std::mem::replace(&mut marks.segments[segment.index()], true) {
                        self.queue.push((id, GcNode::Segment(segment.0)));
                    }
                    return Ok(());
                }
                if unit.segments[segment.index()] != SegmentPlacement::Nowhere {
                    return Ok(());
                }
                GcNode::Segment(segment.0)
            }
            SymbolKind::Section => return Ok(()),
            kind => {
                let list = match kind {
                    SymbolKind::Global => &unit.globals,
                    SymbolKind::Tag => &unit.tags,
                    _ => &unit.tables,
                };
                let at = match kind {
                    SymbolKind::Global => symbol.global().and_then(|id| object.defined_global(id)),
                    SymbolKind::Tag => symbol.tag().and_then(|id| object.defined_tag(id)),
                    _ => symbol.table().and_then(|id| object.defined_table(id)),
                };
                return match at.and_then(|at| list.get(at).copied().flatten()) {
                    Some(_) => Ok(()),
                    None => why("a global, tag or table is needed that was not"),
                };
            }
        };
        let was_live = linked.is_live || unit.is_live();
        let retains = |object: &Object| {
            let mut segments = object.segments.iter();
            segments.any(|segment| segment.flags.has(SegmentFlags::RETAIN))
        };
        if !was_live && (!object.init_functions.is_empty() || retains(object)) {
            return why("an object with init functions is needed that was not");
        }
        if let GcNode::Segment(segment) = chunk {
            let at = segment as usize;
            let name = output_name(object, at, &self.linked.options);
            let mut merged = self
                .linked
                .plan
                .segments
                .iter()
                .zip(&self.linked.assigned.merged);
            if object.segments[at].flags.has(SegmentFlags::TLS)
                || merged.any(|(segment, merged)| merged.is_some() && segment.name == name)
            {
                return why("more data is needed that must be in one piece");
            }
        }
        if !self.added.contains(&(id, chunk)) {
            self.added.push((id, chunk));
            self.queue.push((id, chunk));
        }
        Ok(())
    }
}
