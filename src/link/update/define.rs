//! Declarations for what is new, and definitions for what may have changed.

use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;
use crate::hash::HashSet;
use crate::link::declare::{
    Item, MergedString, Names, ObjectDeclarations, PlacedByObject, SegmentPlacement, StringKey,
    custom_items, function_names, kept_customs, other_items, own_meaning, segment_item,
    shares_strings, string_item, string_pieces, take_name,
};
use crate::link::diagnostics::shown;
use crate::link::state::LinkState;
use crate::link::symbols::ObjectId;
use crate::link::update::fallback::{FallbackReason, UpdateResult, fall_back};
use crate::link::update::index::decl_of;
use crate::link::update::{Change, GcNode, SymbolBefore, Update, decls_of};
use crate::object::Object;
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::program::{DeclId, DeclKind, DefinitionKind};

impl Update<'_> {
    pub(super) fn declare(&mut self, kind: DeclKind) -> Result<DeclId> {
        self.link.module.program_mut().declare(kind, None, None)
    }

    /// Gives what is new a declaration.
    pub(super) fn declare_reached(&mut self) -> UpdateResult<()> {
        for at in 0..self.changes.len() {
            let id = self.changes[at].id;
            let object = self.changes[at].object.clone();
            let known = &mut self.link.declarations.known;
            let before = known.objects[id.index()].clone();
            known.objects.set(id.index(), Some(object.clone()));
            if self.changes[at].contents.is_some() {
                self.place_changed_segments(at)?;
                continue;
            }
            let old = self.unit(id).clone();
            let mut names = Names::of(&old, before.as_deref());
            let mut unit = ObjectDeclarations::new(&object);
            unit.globals.clone_from(&old.globals);
            unit.tags.clone_from(&old.tags);
            unit.tables.clone_from(&old.tables);
            // Those of the object before, until it is known what is linked.
            unit.customs.clear();
            unit.strings.clone_from(&old.strings);
            let marks = self.marks.remove(&id).unwrap_or_default();
            let function_names = function_names(&object);
            for (index, _) in marks.functions.iter().enumerate().filter(|(_, on)| **on) {
                let name = function_names[index];
                let decl = match take_name(&mut names.functions, name) {
                    Some(decl) => decl,
                    None => self.declare_function(name)?,
                };
                unit.functions[index] = Some(decl);
            }
            for (index, _) in marks.segments.iter().enumerate().filter(|(_, on)| **on) {
                let name = object.str(object.segments[index].name);
                let known = take_name(&mut names.segments, name);
                unit.segments[index] = self.place_segment(&object, index, known)?;
            }
            *self.edit_unit(id) = unit;
        }
        for (id, chunk) in self.added.clone() {
            let object = self.resolution().object(id).object.clone();
            match chunk {
                GcNode::Function(function) => {
                    let name = object
                        .function_name(function as usize)
                        .unwrap_or("(unnamed)");
                    let decl = self.declare_function(name)?;
                    if let Some(library) = object.library() {
                        let program = self.link.module.program_mut();
                        let library = program.library(library);
                        program.freeze(decl, library);
                    }
                    let unit = self.edit_unit(id);
                    unit.functions[function as usize] = Some(decl);
                }
                GcNode::Segment(segment) => {
                    let placed = self.place_segment(&object, segment as usize, None)?;
                    let unit = self.edit_unit(id);
                    unit.segments[segment as usize] = placed;
                }
            }
            self.touched.insert(id);
        }
        Ok(())
    }

    pub(super) fn declare_function(&mut self, name: &str) -> Result<DeclId> {
        let decl = self.declare(DeclKind::Function)?;
        let name = shown(name, self.link.options.demangle);
        self.link.module.program_mut().set_name(decl, Some(&name))?;
        Ok(decl)
    }

    pub(super) fn place_segment(
        &mut self,
        object: &Arc<Object>,
        index: usize,
        known: Option<DeclId>,
    ) -> Result<SegmentPlacement> {
        let segment = SegmentIndex(index as u32);
        let align_log2 = object.segments[index].align_log2;
        let Some(spans) = string_pieces(object, segment, &self.link.options) else {
            let decl = match known {
                Some(decl) => decl,
                None => self.declare(DeclKind::Data)?,
            };
            return Ok(SegmentPlacement::Part(decl, 0));
        };
        let mut pieces = Vec::with_capacity(spans.len());
        for span in spans {
            let key: StringKey = (align_log2, object.bytes(span).into());
            let decl = match self.link.declarations.known.strings.get(&key) {
                Some(decl) => *decl,
                None => {
                    let decl = self.declare(DeclKind::Data)?;
                    let memory = self.link.declarations.memory;
                    let item = string_item(decl, align_log2, object, span, memory)?;
                    let (id, kind, item) = owned(item);
                    self.link.module.program_mut().define(id, kind, item)?;
                    self.link.declarations.known.strings.insert(key, decl);
                    decl
                }
            };
            let start = span.start - object.segments[index].data.start;
            pieces.push(MergedString {
                start,
                decl,
                offset: 0,
            });
        }
        Ok(SegmentPlacement::Strings(pieces.into()))
    }

    /// Brings the meanings of symbols up to date that objects define whose declarations changed.
    pub(super) fn renew_meanings(&mut self) {
        let declarations = &mut self.link.declarations;
        for id in &self.touched {
            let linked = self.link.plan.resolution.object(*id);
            let unit = &declarations.known.units[id.index()];
            for (index, symbol) in linked.object.symbols.iter().enumerate() {
                let Some(global) = linked.refs[index].symbol() else {
                    continue;
                };
                let index = SymbolIndex(index as u32);
                let place = self.link.plan.resolution.table.get(global).place();
                if !symbol.is_undefined() && place == Some((*id, index)) {
                    let meaning = own_meaning(unit, *id, &linked.object, index);
                    if declarations.meanings[global.index()] != meaning {
                        declarations.meanings.set(global.index(), meaning);
                    }
                }
            }
        }
    }

    /// What others refer to must be where it was: they are not looked at.
    pub(super) fn check_meanings(&self, meant: &[SymbolBefore]) -> UpdateResult<()> {
        for (object, id, before) in meant {
            let Some((decl, _)) = before else { continue };
            if self.place_of(*id) != *before && self.is_used_outside(*object, *decl) {
                return fall_back(FallbackReason::SymbolMoved);
            }
        }
        Ok(())
    }

    /// Pieces of custom sections of objects that changed, or of which other contents are linked than before.
    pub(super) fn define_customs(&mut self) -> UpdateResult<()> {
        let mut ids: Vec<ObjectId> = self.units_before().map(|(id, _)| id).collect();
        let changes = std::mem::take(&mut self.changes);
        for change in &changes {
            if !ids.contains(&change.id) && !self.define_changed_customs(change)? {
                ids.push(change.id);
            }
        }
        self.changes = changes;
        ids.sort_unstable();
        let mut placed = PlacedByObject::default();
        for id in ids {
            let linked = self.link.plan.resolution.object(id);
            let was = self.units_before().find(|(saved, _)| *saved == id);
            let was = was.map_or(self.unit(id), |(_, unit)| unit).clone();
            let unit = self.unit(id);
            let is_live = linked.is_live || unit.is_live();
            let before = self.object_before(id);
            let mut names = Names::of(&was, before.as_deref());
            let kept: Vec<(usize, String)> = kept_customs(linked, is_live, &self.link.options)
                .map(|(index, name)| (index, name.to_owned()))
                .collect();
            let object = linked.object.clone();
            let mut customs = vec![None; object.custom_sections.len()];
            for (index, name) in kept {
                let section = self.link.module.program_mut().section(&name);
                let sections = &mut self.link.declarations.sections;
                sections.insert(name.as_str().into(), section);
                if shares_strings(&object, index, &self.link.options) {
                    let strings = self.place_strings(id, &object, index, section)?;
                    placed.insert((id, index), strings);
                    continue;
                }
                customs[index] = Some(match take_name(&mut names.customs, &name) {
                    Some(decl) => decl,
                    None => {
                        let decl = self.declare(DeclKind::Custom)?;
                        let program = self.link.module.program_mut();
                        program.set_name(decl, Some(object.display_name()))?;
                        decl
                    }
                });
            }
            self.edit_unit(id).customs = customs;
            for gone in names.customs.into_values().flatten() {
                self.link.module.program_mut().remove(gone)?;
            }
            let converter = self.link.converter(&placed);
            let sections = &self.link.declarations.sections;
            let items = custom_items(&converter, sections, id)?;
            let program = self.link.module.program_mut();
            for (id, kind, definition) in items {
                program.define(id, kind, definition)?;
            }
        }
        self.tidy_strings(&placed)
    }

    /// The init functions of the changed objects, as they are installed.
    pub(super) fn inits(&self) -> Vec<Option<DeclId>> {
        let declarations = &self.link.declarations;
        let changed = self.changes.iter().map(|change| change.id);
        changed
            .flat_map(|id| {
                let linked = self.link.plan.resolution.object(id);
                let unit = &declarations.known.units[id.index()];
                linked.object.init_functions.iter().map(move |init| {
                    let meaning = match linked.symbol_ref(init.symbol).symbol() {
                        Some(global) => declarations.meanings[global.index()],
                        None => own_meaning(unit, id, &linked.object, init.symbol),
                    };
                    decl_of(declarations, meaning)
                })
            })
            .collect()
    }

    /// What the changed objects referred to.
    pub(super) fn targets_before(&self) -> HashSet<DeclId> {
        let mut targets: HashSet<_> = HashSet::default();
        let before = |change: &Change| -> Vec<DeclId> {
            // Those of an object with the tables that it had are where they were.
            if change.contents.is_some() {
                return self.changed_decls(change);
            }
            let mut units = self.units_before();
            let unit = units.find(|(id, _)| *id == change.id);
            unit.map_or(Vec::new(), |(_, unit)| decls_of(unit).collect())
        };
        for change in &self.changes {
            for decl in before(change) {
                let current = &self.link.module.program().decl(decl).current();
                if let Some(current) = current {
                    let relocs = current.content.relocs().iter();
                    targets.extend(relocs.filter_map(|reloc| reloc.decl()));
                }
            }
        }
        targets
    }

    /// Defines what is new or may have changed. Returns what changed objects do not have any more.
    pub(super) fn define(&mut self) -> UpdateResult<Vec<DeclId>> {
        let mut items = Vec::new();
        {
            let LinkState {
                plan, declarations, ..
            } = &*self.link;
            // They are for custom sections.
            let strings = PlacedByObject::default();
            let converter = self.link.converter(&strings);
            let memory = declarations.memory;
            let function = |id: ObjectId, index: usize| -> Result<Option<Item>> {
                let Some(decl) = declarations.known.units[id.index()].functions[index] else {
                    return Ok(None);
                };
                let linked = plan.resolution.object(id);
                let signature = linked.signatures[linked.object.functions[index].ty.index()];
                let ty = declarations.types[signature.index()];
                let content = converter.function(id, index, &linked.object.code_relocs)?;
                let shape = DefinitionKind::Function { ty };
                let definition = crate::program::Definition { content, shape };
                Ok(Some((decl, DeclKind::Function, definition)))
            };
            for change in &self.changes {
                if let Some(contents) = &change.contents {
                    for index in &contents.functions {
                        items.extend(function(change.id, *index)?.map(owned));
                    }
                    let unit = &declarations.known.units[change.id.index()];
                    for index in &contents.segments {
                        if let SegmentPlacement::Part(decl, 0) = unit.segments[index.index()] {
                            let (id, index) = (change.id, *index);
                            items.push(owned(segment_item(&converter, decl, id, index, memory)?));
                        }
                    }
                    continue;
                }
                let count = change.object.functions.len();
                let functions: Vec<Option<Item>> = match count > 200 {
                    true => (0..count)
                        .into_par_iter()
                        .map(|index| function(change.id, index))
                        .collect::<Result<_>>()?,
                    false => (0..count)
                        .map(|index| function(change.id, index))
                        .collect::<Result<_>>()?,
                };
                items.extend(functions.into_iter().flatten());
                let unit = &declarations.known.units[change.id.index()];
                for (index, placed) in unit.segments.iter().enumerate() {
                    if let SegmentPlacement::Part(decl, 0) = placed {
                        let segment = SegmentIndex(index as u32);
                        items.push(segment_item(&converter, *decl, change.id, segment, memory)?);
                    }
                }
                items.extend(other_items(plan, declarations, change.id)?);
            }
            for (id, chunk) in &self.added {
                match chunk {
                    GcNode::Function(index) => items.extend(function(*id, *index as usize)?),
                    GcNode::Segment(index) => {
                        let unit = &declarations.known.units[id.index()];
                        if let SegmentPlacement::Part(decl, 0) = unit.segments[*index as usize] {
                            let segment = SegmentIndex(*index);
                            items.push(segment_item(&converter, decl, *id, segment, memory)?);
                        }
                    }
                }
            }
        }
        let program = self.link.module.program_mut();
        for (id, kind, definition) in items {
            program.define(id, kind, definition)?;
        }
        let mut removed = Vec::new();
        for (id, unit) in self.units_before() {
            let now: HashSet<DeclId> = decls_of(self.unit(id)).collect();
            removed.extend(decls_of(unit).filter(|decl| !now.contains(decl)));
        }
        Ok(removed)
    }
}

/// What is defined, with bytes of its own if they are few: others would keep all of the object that they are in, for as long as
/// they are not changed again, or could not be compared with what comes after them.
fn owned((id, kind, definition): Item) -> Item {
    const FEW: usize = 64 << 10;
    let content = match definition.content.len() <= FEW {
        true => definition.content.into_owned(),
        false => definition.content,
    };
    let shape = definition.shape;
    (id, kind, crate::program::Definition { content, shape })
}
