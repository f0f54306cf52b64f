//! Changed objects whose tables are the same: one that is compiled again after most edits differs in the contents of a few
//! functions, of data, and of debug information, while its symbols, their numbers and its types are what they were.
//!
//! Such an object counts as one that has not changed but for those contents: what is not among them has the relocations
//! that it had, against symbols that mean what they meant. So its cost is that of what differs, beside reading and comparing.
//! The one thing that makes equal contents mean something else is a segment of strings that changed, since each string is
//! a declaration: whatever refers to the segment counts as changed.

use std::sync::Arc;

use crate::error::Result;
use crate::hash::HashSet;
use crate::link::declare::{SegmentPlacement, finds_addresses_in_globals};
use crate::link::resolve::units::{LinkedObject, SymbolRef};
use crate::link::symbols::ObjectId;
use crate::link::update::fallback::{FallbackReason, UpdateResult, fall_back};
use crate::link::update::symbols::{defines_wrapped, facts, lacks_table_symbol};
use crate::link::update::{Change, Contents, GcNode, SymbolBefore, Update};
use crate::object::ids::SegmentIndex;
use crate::object::reloc::{RelocType, Target};
use crate::object::tables::SegmentFlags;
use crate::object::{Difference, Object, Reloc, Span};
use crate::program::{Bytes, DeclId};

impl Update<'_> {
    /// Compares what does not concern single symbols, for an object with the tables that it had.
    pub(super) fn compare_contents(
        &mut self,
        id: ObjectId,
        new: &Arc<Object>,
        difference: Difference,
    ) -> UpdateResult<()> {
        let old = self.resolution().object(id);
        let (before, signatures) = (old.object.clone(), old.signatures.clone());
        if lacks_table_symbol(new)
            || ([&before, new]
                .into_iter()
                .any(|object| finds_addresses_in_globals(object))
                && !names_the_same(&before, new, &difference))
        {
            return fall_back(FallbackReason::Globals);
        }
        if before.features_bytes() != new.features_bytes()
            || before.producers_bytes() != new.producers_bytes()
        {
            return fall_back(FallbackReason::Target);
        }
        if defines_wrapped(new, &self.link.options) {
            return fall_back(FallbackReason::Wrapped);
        }
        self.expect_no_merged_data([&before, new])?;
        let refs = self.same_refs(id, new, &difference)?;
        if self.loses_strings(id, &before, new, &difference) {
            self.loses_strings.insert(id);
        }
        self.changes.push(Change {
            id,
            object: new.clone(),
            signatures,
            refs,
            contents: Some(Contents {
                functions: difference.functions,
                segments: difference.segments,
                customs: difference.customs,
            }),
        });
        Ok(())
    }

    /// What the symbols of an object with the tables that it had mean: what they meant. Whether they are called is all that an
    /// object can say otherwise of them.
    fn same_refs(
        &self,
        id: ObjectId,
        new: &Arc<Object>,
        difference: &Difference,
    ) -> UpdateResult<Vec<SymbolRef>> {
        let old = self.resolution().object(id);
        let called = difference.called.iter().copied();
        let shared: Vec<_> = called
            .filter(|at| old.symbol_ref(*at).symbol().is_some())
            .collect();
        if !shared.is_empty() {
            let probe = LinkedObject {
                object: new.clone(),
                ..old.clone()
            };
            for index in shared {
                let before = facts(&old.object, &old.signatures, old, index);
                let now = facts(new, &old.signatures, &probe, index);
                if !self.means_the_same(&before, &now, old.symbol_ref(index)) {
                    return fall_back(FallbackReason::SymbolChanged);
                }
            }
        }
        Ok(old.refs.clone())
    }

    /// Lets the walk begin with the changed contents that are linked.
    pub(super) fn queue_changed_contents(&mut self, at: usize) {
        let change = &self.changes[at];
        let (Some(contents), unit) = (&change.contents, self.unit(change.id)) else {
            return;
        };
        let functions = contents.functions.iter().copied();
        let functions = functions.filter(|at| unit.functions[*at].is_some());
        let functions = functions.map(|at| GcNode::Function(at as u32));
        let segments = contents.segments.iter().copied();
        let segments = segments.filter(|at| unit.segments[at.index()] != SegmentPlacement::Nowhere);
        let nodes = functions.chain(segments.map(|at| GcNode::Segment(at.0)));
        let nodes: Vec<GcNode> = nodes.collect();
        let id = change.id;
        self.queue.extend(nodes.into_iter().map(|node| (id, node)));
    }

    /// Places changed segments whose strings are declarations, or are not any more. What refers to them counts as changed.
    pub(super) fn place_changed_segments(&mut self, at: usize) -> Result<()> {
        let change = &self.changes[at];
        let (id, object) = (change.id, change.object.clone());
        let Some(contents) = &change.contents else {
            return Ok(());
        };
        let mut replaced: HashSet<SegmentIndex> = HashSet::default();
        for index in contents.segments.clone() {
            let known = match &self.unit(id).segments[index.index()] {
                SegmentPlacement::Nowhere => continue,
                SegmentPlacement::Part(decl, 0) => Some(*decl),
                _ => None,
            };
            let placed = self.place_segment(&object, index.index(), known)?;
            if self.unit(id).segments[index.index()] != placed {
                self.edit_unit(id).segments[index.index()] = placed;
                replaced.insert(index);
            }
        }
        if replaced.is_empty() {
            return Ok(());
        }
        self.touched.insert(id);
        let names = |relocs: &[Reloc]| {
            let symbols = relocs.iter().filter_map(Reloc::symbol);
            let mut segments =
                symbols.filter_map(|symbol| object.symbols[symbol.index()].segment());
            segments.any(|segment| replaced.contains(&segment))
        };
        let functions = object.functions.iter().enumerate();
        let functions = functions.filter(|(_, function)| names(object.function_relocs(function)));
        let segments = (0..object.segments.len() as u32).map(SegmentIndex);
        let segments = segments.filter(|index| names(object.segment_relocs(*index)));
        if let Some(contents) = &mut self.changes[at].contents {
            contents.functions.extend(functions.map(|(index, _)| index));
            contents.functions.sort_unstable();
            contents.functions.dedup();
            contents.segments.extend(segments);
            contents.segments.sort_unstable();
            contents.segments.dedup();
        }
        Ok(())
    }

    /// Where the symbols stood that an object with the tables that it had defines in segments which changed: the others stand
    /// where they did.
    pub(super) fn meant_in_contents(
        &self,
        change: &Change,
        contents: &Contents,
    ) -> Vec<SymbolBefore> {
        let linked = self.resolution().object(change.id);
        let symbols = linked.object.symbols.iter().zip(&linked.refs);
        let shared = symbols.filter_map(|(symbol, reference)| {
            let segment = symbol.segment()?;
            let is_in = contents.segments.binary_search(&segment).is_ok();
            reference.symbol().filter(|_| is_in)
        });
        shared
            .map(|id| (change.id, id, self.place_of(id)))
            .collect()
    }

    /// Whether contents that changed named strings before which they do not name now.
    fn loses_strings(
        &self,
        id: ObjectId,
        before: &Object,
        now: &Object,
        what: &Difference,
    ) -> bool {
        let unit = self.unit(id);
        let strings = |object: &Object, relocs: &[Reloc]| -> HashSet<SegmentIndex> {
            let symbols = relocs.iter().filter_map(Reloc::symbol);
            let segments = symbols.filter_map(|symbol| object.symbols[symbol.index()].segment());
            let is_strings = |at: &SegmentIndex| {
                matches!(unit.segments[at.index()], SegmentPlacement::Strings(_))
            };
            segments.filter(is_strings).collect()
        };
        let functions = what.functions.iter().map(|at| {
            let relocs =
                |object: &Object| strings(object, object.function_relocs(&object.functions[*at]));
            (relocs(before), relocs(now))
        });
        let segments = what.segments.iter().map(|at| {
            let relocs = |object: &Object| strings(object, object.segment_relocs(*at));
            (relocs(before), relocs(now))
        });
        functions
            .chain(segments)
            .any(|(before, now)| !before.is_subset(&now))
    }

    /// What has not changed of objects with the tables that they had is to be had from where they stand now, if it cannot be had from
    /// where they stood.
    pub(super) fn move_contents(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        for change in &changes {
            let before = self.object_before(change.id);
            if let (Some(contents), Some(before)) = (&change.contents, before)
                && !before.has_bytes()
            {
                self.move_unchanged(change, contents);
            }
        }
        self.changes = changes;
    }

    fn move_unchanged(&mut self, change: &Change, contents: &Contents) {
        let object = &change.object;
        let unit = &self.link.declarations.known.units[change.id.index()];
        let program = self.link.module.program_mut();
        let mut place = |decl: DeclId, span: Span| {
            program.move_bytes(decl, || Bytes::Shared {
                input: object.input().clone(),
                start: span.start,
                len: span.len,
            });
        };
        let functions = unit.functions.iter().zip(&object.functions).enumerate();
        for (index, (decl, function)) in functions {
            if let Some(decl) = decl.filter(|_| contents.functions.binary_search(&index).is_err()) {
                place(decl, function.body);
            }
        }
        for (placed, index) in unit.segments.iter().zip((0..).map(SegmentIndex)) {
            if let SegmentPlacement::Part(decl, 0) = placed
                && contents.segments.binary_search(&index).is_err()
            {
                place(*decl, object.segments[index.index()].data);
            }
        }
        for (index, (decl, custom)) in unit.customs.iter().zip(&object.custom_sections).enumerate()
        {
            if let Some(decl) = decl.filter(|_| !contents.customs.contains(&index)) {
                place(decl, custom.contents);
            }
        }
    }

    /// The declarations of an object's changed contents, or all of its functions and data.
    pub(super) fn changed_decls(&self, change: &Change) -> Vec<DeclId> {
        let unit = self.unit(change.id);
        let Some(contents) = &change.contents else {
            return super::decls_of(unit).collect();
        };
        let functions = contents.functions.iter();
        let functions = functions.filter_map(|index| unit.functions[*index]);
        let segments =
            contents
                .segments
                .iter()
                .filter_map(|index| match unit.segments[index.index()] {
                    SegmentPlacement::Part(decl, 0) => Some(decl),
                    _ => None,
                });
        functions.chain(segments).collect()
    }
}

/// Whether contents that differ name what they named, and no strings do. Then as much is reached as was, and the globals in which
/// code finds addresses are the same: there is one for each that is asked for, in the order in which they are.
fn names_the_same(before: &Object, new: &Object, difference: &Difference) -> bool {
    let of_function = |object: &Object, at: usize| -> Vec<(RelocType, Target)> {
        let relocs = object.function_relocs(&object.functions[at]).iter();
        relocs.map(|reloc| (reloc.kind(), reloc.target())).collect()
    };
    let of_segment = |object: &Object, at: SegmentIndex| -> Vec<(RelocType, Target)> {
        let relocs = object.segment_relocs(at).iter();
        relocs.map(|reloc| (reloc.kind(), reloc.target())).collect()
    };
    let is_text = |at: &SegmentIndex| new.segments[at.index()].flags.has(SegmentFlags::STRINGS);
    let mut functions = difference.functions.iter();
    let mut segments = difference.segments.iter();
    functions.all(|at| of_function(before, *at) == of_function(new, *at))
        && segments.all(|at| !is_text(at) && of_segment(before, *at) == of_segment(new, *at))
}
