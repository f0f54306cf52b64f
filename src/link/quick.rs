//! Updates that need no new resolution: objects of which only contents changed, or symbols in ways that concern nobody
//! else. What they cost depends on the objects that changed and on what refers to them, not on the program.
//!
//! An update goes through the steps of a link for the changed objects alone: their symbols are looked up in the tables
//! that are there, what they reach is marked, new things are declared, contents are converted and defined. Where that is
//! not possible the answer is a [`Why`], nothing that outlives a link has changed, and the caller links from the
//! inputs again. What is reached no more is found by going from it to what refers to it until something is met that is
//! needed in any case: cycles are no exception.

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::error::Result;
use crate::link::build::{
    Assigned, Item, Names, Piece, Placed, Unit, converter, function_names, merge, other_items,
    own_meaning, segment_item, string_item, string_pieces, take_name,
};
use crate::link::build::{Meaning, StringKey};
use crate::link::diagnostics::{Diagnostics, shown};
use crate::link::inputs::InputFile;
use crate::link::live::is_exported;
use crate::link::order::output_name;
use crate::link::resolve::Resolution;
use crate::link::session::{Done, Edits, Linked};
use crate::link::signatures::SignatureId;
use crate::link::symbols::{Definition, ObjectId, SymbolId, SymbolType};
use crate::link::units::{LinkedObject, SymbolRef};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Object, Reloc, RelocType, SegmentFlags, Symbol, SymbolFlags, SymbolKind};
use crate::program::{DeclId, DeclKind, Pending, Shape};

/// Why a change needs a new resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Why(pub(super) &'static str);

/// Either of: an answer, or the reason why there is none.
type Quick<T> = Result<T, Stop>;

/// What ends a quick update.
pub(super) enum Stop {
    Why(Why),
    Error(crate::Error),
}

impl From<Why> for Stop {
    fn from(why: Why) -> Stop {
        Stop::Why(why)
    }
}

impl From<crate::Error> for Stop {
    fn from(error: crate::Error) -> Stop {
        Stop::Error(error)
    }
}

fn why<T>(text: &'static str) -> Quick<T> {
    Err(Stop::Why(Why(text)))
}

/// Whose a declaration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The linker's, or something that is never dropped.
    Linker,
    Function(ObjectId, u32),
    Segment(ObjectId, u32),
    String,
}

/// What is known of a link beside its tables, for quick updates.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By declaration.
    owners: Vec<Owner>,
    /// How many segments have a string among theirs.
    string_users: HashMap<DeclId, u32>,
    /// What is needed whether or not anything refers to it.
    roots: HashSet<DeclId>,
    /// The files of the command line by path.
    pub(super) files: HashMap<PathBuf, Vec<usize>>,
    /// The object that each file is; none for archives, and for files that were not needed.
    pub(super) objects: Vec<Option<ObjectId>>,
}

impl State {
    pub(super) fn of(linked: &Linked) -> State {
        let mut state = State::default();
        let Linked { plan, assigned, .. } = linked;
        for (at, unit) in assigned.known.units.iter().enumerate() {
            state.own(ObjectId(at as u32), unit);
            for placed in &unit.segments {
                state.count(placed, 1);
            }
        }
        let resolution = &plan.resolution;
        let numbers: HashMap<*const Object, ObjectId> = resolution
            .each_object()
            .map(|(id, linked)| (Arc::as_ptr(&linked.object), id))
            .collect();
        for (index, file) in linked.inputs.files.iter().enumerate() {
            state.objects.push(match file {
                InputFile::Object { object, .. } => numbers.get(&Arc::as_ptr(object)).copied(),
                _ => None,
            });
            let path = file.input().path().to_path_buf();
            state.files.entry(path).or_default().push(index);
        }
        let mut roots: Vec<SymbolId> = Vec::new();
        roots.extend(resolution.entry);
        roots.extend(resolution.call_dtors);
        for id in resolution.table.order() {
            let symbol = resolution.table.get(*id);
            if symbol.flags.has(SymbolFlags::NO_STRIP) || is_exported(symbol, &linked.options) {
                roots.push(*id);
            }
        }
        for root in roots {
            state
                .roots
                .extend(decl_of(assigned, assigned.meanings[root.index()]));
        }
        for (at, object) in resolution.objects.iter().enumerate() {
            for (index, segment) in object.object.segments.iter().enumerate() {
                if segment.flags.has(SegmentFlags::RETAIN)
                    && let Placed::Part(id, _) = &assigned.known.units[at].segments[index]
                {
                    state.roots.insert(*id);
                }
            }
        }
        state
    }

    fn owner(&self, id: DeclId) -> Owner {
        self.owners
            .get(id.index())
            .copied()
            .unwrap_or(Owner::Linker)
    }

    fn set_owner(&mut self, id: DeclId, owner: Owner) {
        if self.owners.len() <= id.index() {
            self.owners.resize(id.index() + 1, Owner::Linker);
        }
        self.owners[id.index()] = owner;
    }

    fn own(&mut self, object: ObjectId, unit: &Unit) {
        for (index, id) in unit.functions.iter().enumerate() {
            if let Some(id) = id {
                self.set_owner(*id, Owner::Function(object, index as u32));
            }
        }
        for (index, placed) in unit.segments.iter().enumerate() {
            match placed {
                Placed::Part(id, 0) => self.set_owner(*id, Owner::Segment(object, index as u32)),
                Placed::Strings(pieces) => pieces
                    .iter()
                    .for_each(|piece| self.set_owner(piece.decl, Owner::String)),
                _ => {}
            }
        }
    }

    fn count(&mut self, placed: &Placed, by: i32) {
        if let Placed::Strings(pieces) = placed {
            for piece in &**pieces {
                let users = self.string_users.entry(piece.decl).or_insert(0);
                *users = users.saturating_add_signed(by);
            }
        }
    }
}

/// The declaration that a meaning is about.
fn decl_of(assigned: &Assigned, meaning: Meaning) -> Option<DeclId> {
    match meaning {
        Meaning::Function { id, .. } => id,
        Meaning::Index(id) | Meaning::Data(id, _) => Some(id),
        Meaning::Segment(object, segment, value) => {
            let unit = &assigned.known.units[object.index()];
            let placed = &unit.segments[segment.index()];
            placed.at(value.into()).map(|(id, _)| id)
        }
        _ => None,
    }
}

/// A changed object with what its symbols mean.
struct Change {
    id: ObjectId,
    object: Arc<Object>,
    signatures: Vec<SignatureId>,
    refs: Vec<SymbolRef>,
}

/// What an object says of a symbol that others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    is_defined: bool,
    kind: SymbolKind,
    flags: SymbolFlags,
    ty: SymbolType,
    called_directly: bool,
}

/// What changes may be taken back of.
#[derive(Default)]
struct Undo {
    units: Vec<(ObjectId, Unit)>,
    strings: Vec<StringKey>,
    dropped_strings: Vec<(StringKey, DeclId)>,
}

struct Update<'a> {
    linked: &'a mut Linked,
    state: &'a mut State,
    changes: Vec<Change>,
    /// By object: what is reached of the changed ones.
    marks: HashMap<ObjectId, Marks>,
    queue: Vec<(ObjectId, Chunk)>,
    /// What is reached of others that was not before.
    added: Vec<(ObjectId, Chunk)>,
    fresh: &'a mut Vec<DeclId>,
    undo: Undo,
    /// Which declarations are referred to by what is defined anew.
    pending: HashMap<DeclId, Vec<DeclId>>,
    /// Objects whose symbols may mean other declarations now.
    touched: HashSet<ObjectId>,
}

#[derive(Default)]
struct Marks {
    functions: Vec<bool>,
    segments: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Chunk {
    Function(u32),
    Segment(u32),
}

/// Brings the output up to date with changed objects. If that fails, whatever a new link starts from is as it was, but
/// edits may be pending and `fresh` declared.
pub(super) fn update(
    linked: &mut Linked,
    state: &mut State,
    changed: &[(ObjectId, Arc<Object>)],
    fresh: &mut Vec<DeclId>,
) -> Result<Done, Stop> {
    let mut update = Update {
        linked,
        state,
        changes: Vec::new(),
        marks: HashMap::new(),
        queue: Vec::new(),
        added: Vec::new(),
        fresh,
        undo: Undo::default(),
        pending: HashMap::new(),
        touched: HashSet::new(),
    };
    let done = update.run(changed);
    if done.is_err() {
        update.take_back();
    }
    done
}

impl Update<'_> {
    fn run(&mut self, changed: &[(ObjectId, Arc<Object>)]) -> Quick<Done> {
        let options = &self.linked.options;
        if !options.gc_sections || options.shared_memory {
            return why("everything is linked, or memory is shared");
        }
        for (id, object) in changed {
            self.compare(*id, object)?;
        }
        self.look_up()?;
        let meant = self.meant_before();
        self.install();
        self.mark()?;
        self.assign()?;
        self.renew_meanings();
        self.check_meanings(&meant)?;
        let before = self.targets_before();
        let removed = self.define()?;
        self.collect(before, removed)?;
        self.merge_customs()?;
        for (_, object) in changed {
            object.input().check_unchanged()?;
        }
        let edits = Edits::pending(&self.linked.module);
        Ok((self.linked.module.commit()?, edits))
    }

    fn resolution(&self) -> &Resolution {
        &self.linked.plan.resolution
    }

    /// Compares what does not concern single symbols.
    fn compare(&mut self, id: ObjectId, new: &Arc<Object>) -> Quick<()> {
        let signatures = self.linked.plan.resolution.signatures.add_object(new);
        let types = &mut self.linked.assigned.types;
        if types.len() < self.linked.plan.resolution.signatures.len() {
            let program = self.linked.module.program_mut();
            *types = crate::link::build::types(&self.linked.plan.resolution.signatures, program)?;
        }
        let linked = self.resolution().object(id);
        let old = &linked.object;
        let comdats = |object: &Object| -> Vec<String> {
            let names = object.comdats.iter();
            names
                .map(|comdat| object.str(comdat.name).to_owned())
                .collect()
        };
        let inits = |object: &Object| -> Vec<(u32, String)> {
            let inits = object.init_functions.iter();
            inits
                .map(|init| (init.priority, object.symbol_name(init.symbol).to_owned()))
                .collect()
        };
        let exports = |object: &Object| -> Vec<(Option<String>, String)> {
            let exports = object.exported_functions.iter();
            exports
                .map(|(function, name)| {
                    let function = object.defined_function(*function);
                    let function = function.and_then(|at| object.function_name(at));
                    (function.map(str::to_owned), object.str(*name).to_owned())
                })
                .collect()
        };
        let has_got = |object: &Object| {
            let mut imports = object.imported_globals.iter();
            imports.any(|import| object.str(import.module).starts_with("GOT."))
        };
        if old.is_64() != new.is_64()
            || old.features_bytes() != new.features_bytes()
            || old.producers_bytes() != new.producers_bytes()
        {
            return why("the target, features or producers changed");
        }
        if comdats(old) != comdats(new) {
            return why("COMDAT groups changed");
        }
        if inits(old) != inits(new) {
            return why("init functions changed");
        }
        if exports(old) != exports(new) {
            return why("exported names changed");
        }
        if old.globals.len() != new.globals.len()
            || old.tags.len() != new.tags.len()
            || old.tables.len() != new.tables.len()
            || lacks_table_symbol(new)
            || has_got(new)
        {
            return why("globals, tags or tables changed");
        }
        let options = &self.linked.options;
        let plan = &self.linked.plan;
        let merged: Vec<&str> = plan
            .segments
            .iter()
            .zip(&self.linked.assigned.merged)
            .filter(|(_, merged)| merged.is_some())
            .map(|(segment, _)| segment.name.as_str())
            .collect();
        for object in [old, new] {
            for (index, segment) in object.segments.iter().enumerate() {
                let name = output_name(object, index, options);
                if segment.flags.has(SegmentFlags::TLS) || merged.contains(&name) {
                    return why("data that must be in one piece changed");
                }
            }
        }
        self.changes.push(Change {
            id,
            object: new.clone(),
            signatures,
            refs: Vec::new(),
        });
        Ok(())
    }

    /// Finds out what the symbols of the changed objects mean.
    fn look_up(&mut self) -> Quick<()> {
        let mut changes = std::mem::take(&mut self.changes);
        let mut new_symbols = Vec::new();
        for (at, change) in changes.iter_mut().enumerate() {
            self.look_up_known(at, change, &mut new_symbols)?;
        }
        for (at, index) in new_symbols {
            let change = &mut changes[at];
            let symbol = &change.object.symbols[index.index()];
            let name = change.object.str(symbol.name);
            let ty = type_of(&change.object, &change.signatures, symbol);
            let resolution = &mut self.linked.plan.resolution;
            let known = resolution.find(name);
            let id = if symbol.is_undefined() {
                let Some(id) = known else {
                    return why("a symbol is needed that no object has");
                };
                let known = resolution.table.get(id);
                if known.kind != symbol.kind || (symbol.kind != SymbolKind::Data && known.ty != ty)
                {
                    return why("a symbol is needed as something else");
                }
                let is_made = matches!(known.definition, Definition::Synthetic(_))
                    && self.linked.assigned.meanings[id.index()] != Meaning::Nothing;
                if known.place().is_none() && !is_made {
                    return why("a symbol is needed that no object defines");
                }
                id
            } else {
                if known.is_some() {
                    return why("a symbol is defined that is known already");
                }
                let options = &self.linked.options;
                let kept = SymbolFlags::EXPORTED.with(SymbolFlags::NO_STRIP);
                if options.export_all
                    || options.export_dynamic
                    || symbol.flags.0 & kept.0 != 0
                    || symbol.kind != SymbolKind::Function && symbol.kind != SymbolKind::Data
                {
                    return why("a new symbol is exported or kept");
                }
                let name = resolution.names.add_text(name);
                let (id, _) = resolution.table.insert(name);
                let new = resolution.table.get_mut(id);
                new.kind = symbol.kind;
                new.flags = symbol.flags;
                new.ty = ty;
                new.object = Some(change.id);
                new.used_in_object = true;
                new.definition = Definition::Object {
                    object: change.id,
                    symbol: index,
                };
                self.linked.assigned.meanings.push(Meaning::Nothing);
                id
            };
            change.refs[index.index()] = SymbolRef::global(id);
        }
        self.changes = changes;
        Ok(())
    }

    /// Compares symbols that other objects see with those of the object before. What is new is listed, definitions
    /// first.
    fn look_up_known(
        &mut self,
        at: usize,
        change: &mut Change,
        new_symbols: &mut Vec<(usize, SymbolIndex)>,
    ) -> Quick<()> {
        let resolution = &self.linked.plan.resolution;
        let old = resolution.object(change.id);
        let mut known: HashMap<&str, (Said, SymbolRef)> = HashMap::new();
        for (index, symbol) in old.object.symbols.iter().enumerate() {
            if symbol.is_local() {
                if symbol.is_undefined() {
                    return why("a local symbol is undefined");
                }
                continue;
            }
            let said = said(&old.object, &old.signatures, old, symbol);
            let name = old.object.str(symbol.name);
            if known.insert(name, (said, old.refs[index])).is_some() {
                return why("an object has two symbols of one name");
            }
        }
        // Whether a definition counts depends on the groups, which are the same.
        let probe = LinkedObject {
            object: change.object.clone(),
            refs: Vec::new(),
            signatures: Vec::new(),
            kept_comdats: old.kept_comdats.clone(),
            is_live: old.is_live,
            names: Vec::new(),
        };
        let object = &change.object;
        change.refs.reserve_exact(object.symbols.len());
        for (index, symbol) in object.symbols.iter().enumerate() {
            let index = SymbolIndex(index as u32);
            if symbol.is_local() || symbol.kind == SymbolKind::Section {
                if symbol.is_undefined() {
                    return why("a local symbol is undefined");
                }
                change.refs.push(SymbolRef::OWN);
                continue;
            }
            let new = said(object, &change.signatures, &probe, symbol);
            match known.remove(object.str(symbol.name)) {
                Some((old, reference)) => {
                    let called = |said: Said| Said {
                        called_directly: false,
                        ..said
                    };
                    let is_settled = reference.symbol().is_some_and(|id| {
                        let symbol = resolution.table.get(id);
                        symbol.place().is_some() && symbol.ty == new.ty
                    });
                    // Tables are not dropped: it does not matter whether they are to be kept.
                    let is_table = new.kind == SymbolKind::Table
                        && old.kind == SymbolKind::Table
                        && reference.symbol().is_some_and(|id| {
                            self.linked.assigned.meanings[id.index()] != Meaning::Nothing
                        });
                    let is_same =
                        old == new || is_table || (is_settled && called(old) == called(new));
                    if !is_same {
                        return why("a symbol changed");
                    }
                    change.refs.push(reference);
                }
                None => {
                    if !new.is_defined && !symbol.is_undefined() {
                        return why("a discarded symbol is new");
                    }
                    change.refs.push(SymbolRef::OWN);
                    let place = match symbol.is_undefined() {
                        true => new_symbols.len(),
                        false => 0,
                    };
                    new_symbols.insert(place, (at, index));
                }
            }
        }
        let mut gone = Vec::new();
        for (said, reference) in known.into_values() {
            let Some(id) = reference.symbol() else {
                continue;
            };
            let symbol = resolution.table.get(id);
            if !said.is_defined {
                let stays = symbol.place().is_some()
                    || matches!(symbol.definition, Definition::Synthetic(_));
                if !stays {
                    return why("something undefined is not needed any more");
                }
                continue;
            }
            if symbol.place().is_none_or(|(object, _)| object != change.id) {
                continue;
            }
            let kept = SymbolFlags::EXPORTED.with(SymbolFlags::NO_STRIP);
            let is_wanted = symbol.force_export
                || symbol.flags.0 & kept.0 != 0
                || self.linked.options.export_all
                || self.linked.options.export_dynamic
                || resolution.entry == Some(id)
                || resolution.call_dtors == Some(id);
            if is_wanted || self.has_users(change.id, id) {
                return why("a symbol is gone that is needed");
            }
            gone.push(id);
        }
        for id in gone {
            // Other objects' dead code may still name it. Whoever reaches that code finds out.
            let symbol = self.linked.plan.resolution.table.get_mut(id);
            symbol.definition = Definition::Undefined;
            symbol.flags = SymbolFlags::UNDEFINED;
            self.linked.assigned.meanings[id.index()] = Meaning::Nothing;
        }
        Ok(())
    }

    /// Whether anything outside of an object, and of the others that changed, refers to what a symbol means.
    fn has_users(&self, object: ObjectId, id: SymbolId) -> bool {
        let assigned = &self.linked.assigned;
        let decl = decl_of(assigned, assigned.meanings[id.index()]);
        decl.is_some_and(|decl| self.is_used_outside(object, decl))
    }

    fn is_used_outside(&self, object: ObjectId, decl: DeclId) -> bool {
        if self.state.roots.contains(&decl) {
            return true;
        }
        let module = &self.linked.module;
        let sources = module.references().of(module.program(), decl);
        sources
            .iter()
            .any(|source| match self.state.owner(*source) {
                Owner::Function(other, _) | Owner::Segment(other, _) => other != object,
                Owner::Linker => true,
                Owner::String => false,
            })
    }

    /// Where the symbols that changed objects define stood.
    fn meant_before(&self) -> Vec<(ObjectId, SymbolId, Option<(DeclId, i64)>)> {
        let mut meant = Vec::new();
        for change in &self.changes {
            let linked = self.resolution().object(change.id);
            for (index, reference) in linked.refs.iter().enumerate() {
                let symbol = &linked.object.symbols[index];
                if let Some(id) = reference.symbol()
                    && !symbol.is_undefined()
                {
                    meant.push((change.id, id, self.place_of(id)));
                }
            }
        }
        meant
    }

    fn place_of(&self, id: SymbolId) -> Option<(DeclId, i64)> {
        let assigned = &self.linked.assigned;
        match assigned.meanings[id.index()] {
            Meaning::Segment(object, segment, value) => {
                let unit = &assigned.known.units[object.index()];
                unit.segments[segment.index()].at(value.into())
            }
            other => decl_of(assigned, other).map(|id| (id, 0)),
        }
    }

    /// Puts the changed objects in the place of those before.
    fn install(&mut self) {
        for change in &mut self.changes {
            let resolution = &mut self.linked.plan.resolution;
            let linked = &mut resolution.objects[change.id.index()];
            linked.object = change.object.clone();
            linked.signatures = std::mem::take(&mut change.signatures);
            linked.refs = std::mem::take(&mut change.refs);
            for (index, symbol) in linked.object.symbols.iter().enumerate() {
                let Some(id) = linked.refs[index].symbol() else {
                    continue;
                };
                if symbol.is_undefined() || linked.is_discarded(symbol) {
                    continue;
                }
                let global = resolution.table.get_mut(id);
                if let Definition::Object { object, symbol } = &mut global.definition
                    && *object == change.id
                {
                    *symbol = SymbolIndex(index as u32);
                }
            }
            self.touched.insert(change.id);
        }
    }

    /// Marks what is reached of the changed objects, and of others what was not before.
    fn mark(&mut self) -> Quick<()> {
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
                Chunk::Function(function) => {
                    let function = &object.functions[function as usize];
                    self.reach_all(id, object.function_relocs(function))?;
                }
                Chunk::Segment(segment) => {
                    self.reach_all(id, object.segment_relocs(SegmentIndex(segment)))?;
                }
            }
        }
        Ok(())
    }

    fn reach_all(&mut self, id: ObjectId, relocs: &[Reloc]) -> Quick<()> {
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
                        Meaning::Nothing => false,
                        Meaning::Function { id: None, .. } => takes_address && known.is_stub(),
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
    fn reach_entry(&mut self, id: ObjectId, index: SymbolIndex) -> Quick<()> {
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
                        self.queue.push((id, Chunk::Function(function as u32)));
                    }
                    return Ok(());
                }
                if unit.functions[function].is_some() {
                    return Ok(());
                }
                Chunk::Function(function as u32)
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
                        self.queue.push((id, Chunk::Segment(segment.0)));
                    }
                    return Ok(());
                }
                if unit.segments[segment.index()] != Placed::Nowhere {
                    return Ok(());
                }
                Chunk::Segment(segment.0)
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
        if let Chunk::Segment(segment) = chunk {
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

    fn declare(&mut self, kind: DeclKind) -> Result<DeclId> {
        let id = self.linked.module.program_mut().declare(kind, None, None)?;
        self.fresh.push(id);
        Ok(id)
    }

    fn save(&mut self, id: ObjectId) {
        if !self.undo.units.iter().any(|(saved, _)| *saved == id) {
            let unit = self.linked.assigned.known.units[id.index()].clone();
            self.undo.units.push((id, unit));
        }
    }

    /// Gives what is new a declaration.
    fn assign(&mut self) -> Quick<()> {
        for at in 0..self.changes.len() {
            let id = self.changes[at].id;
            let object = self.changes[at].object.clone();
            self.save(id);
            let old = self.linked.assigned.known.units[id.index()].clone();
            let mut names = Names::of(&old);
            let mut unit = Unit::new(&object);
            unit.globals.clone_from(&old.globals);
            unit.tags.clone_from(&old.tags);
            unit.tables.clone_from(&old.tables);
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
            self.linked.assigned.known.units[id.index()] = unit;
        }
        for (id, chunk) in self.added.clone() {
            self.save(id);
            let object = self.resolution().object(id).object.clone();
            match chunk {
                Chunk::Function(function) => {
                    let name = object
                        .function_name(function as usize)
                        .unwrap_or("(unnamed)");
                    let decl = self.declare_function(name)?;
                    let unit = &mut self.linked.assigned.known.units[id.index()];
                    unit.functions[function as usize] = Some(decl);
                }
                Chunk::Segment(segment) => {
                    let placed = self.place_segment(&object, segment as usize, None)?;
                    let unit = &mut self.linked.assigned.known.units[id.index()];
                    unit.segments[segment as usize] = placed;
                }
            }
            self.touched.insert(id);
        }
        Ok(())
    }

    fn declare_function(&mut self, name: &str) -> Result<DeclId> {
        let decl = self.declare(DeclKind::Function)?;
        let name = shown(name, self.linked.options.demangle);
        self.linked
            .module
            .program_mut()
            .set_name(decl, Some(&name))?;
        Ok(decl)
    }

    fn place_segment(
        &mut self,
        object: &Arc<Object>,
        index: usize,
        known: Option<DeclId>,
    ) -> Result<Placed> {
        let segment = SegmentIndex(index as u32);
        let is_zero = output_name(object, index, &self.linked.options).starts_with(".bss");
        let align_log2 = object.segments[index].align_log2;
        let Some(spans) = string_pieces(object, segment, &self.linked.options, is_zero) else {
            let decl = match known {
                Some(decl) => decl,
                None => self.declare(DeclKind::Data)?,
            };
            return Ok(Placed::Part(decl, 0));
        };
        let mut pieces = Vec::with_capacity(spans.len());
        for span in spans {
            let key: StringKey = (align_log2, object.bytes(span).into());
            let decl = match self.linked.assigned.known.strings.get(&key) {
                Some(decl) => *decl,
                None => {
                    let decl = self.declare(DeclKind::Data)?;
                    let memory = self.linked.assigned.memory;
                    let (id, kind, item) = string_item(decl, align_log2, object, span, memory)?;
                    self.linked.module.program_mut().define(id, kind, item)?;
                    self.undo.strings.push(key.clone());
                    self.linked.assigned.known.strings.insert(key, decl);
                    decl
                }
            };
            let start = span.start - object.segments[index].data.start;
            pieces.push(Piece { start, decl });
        }
        Ok(Placed::Strings(pieces.into()))
    }

    /// Brings the meanings of symbols up to date that objects define whose declarations changed.
    fn renew_meanings(&mut self) {
        let assigned = &mut self.linked.assigned;
        for id in &self.touched {
            let linked = self.linked.plan.resolution.object(*id);
            let unit = &assigned.known.units[id.index()];
            for (index, symbol) in linked.object.symbols.iter().enumerate() {
                let Some(global) = linked.refs[index].symbol() else {
                    continue;
                };
                let index = SymbolIndex(index as u32);
                let place = self.linked.plan.resolution.table.get(global).place();
                if !symbol.is_undefined() && place == Some((*id, index)) {
                    assigned.meanings[global.index()] =
                        own_meaning(unit, *id, &linked.object, index);
                }
            }
        }
    }

    /// What others refer to must be where it was: they are not looked at.
    fn check_meanings(&self, meant: &[(ObjectId, SymbolId, Option<(DeclId, i64)>)]) -> Quick<()> {
        for (object, id, before) in meant {
            let Some((decl, _)) = before else { continue };
            if self.place_of(*id) != *before && self.is_used_outside(*object, *decl) {
                return why("a symbol stands for another declaration");
            }
        }
        Ok(())
    }

    /// What the changed objects referred to.
    fn targets_before(&self) -> HashSet<DeclId> {
        let mut targets = HashSet::new();
        for (id, unit) in &self.undo.units {
            if !self.changes.iter().any(|change| change.id == *id) {
                continue;
            }
            for decl in decls_of(unit) {
                let current = &self.linked.module.program().decl(decl).current;
                if let Some(current) = current {
                    let relocs = current.content.relocs().iter();
                    targets.extend(relocs.filter_map(|reloc| reloc.decl()));
                }
            }
        }
        targets
    }

    /// Defines what is new or may have changed. Returns what changed objects do not have any more.
    fn define(&mut self) -> Quick<Vec<DeclId>> {
        let mut items = Vec::new();
        {
            let Linked { plan, assigned, .. } = &*self.linked;
            let converter = converter(plan, assigned);
            let memory = assigned.memory;
            let function = |id: ObjectId, index: usize| -> Result<Option<Item>> {
                let Some(decl) = assigned.known.units[id.index()].functions[index] else {
                    return Ok(None);
                };
                let linked = plan.resolution.object(id);
                let signature = linked.signatures[linked.object.functions[index].ty.index()];
                let ty = assigned.types[signature.index()];
                let content = converter.function(id, index)?;
                let shape = Shape::Function { ty };
                let definition = crate::program::Definition { content, shape };
                Ok(Some((decl, DeclKind::Function, definition)))
            };
            for change in &self.changes {
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
                let unit = &assigned.known.units[change.id.index()];
                for (index, placed) in unit.segments.iter().enumerate() {
                    if let Placed::Part(decl, 0) = placed {
                        let segment = SegmentIndex(index as u32);
                        items.push(segment_item(&converter, *decl, change.id, segment, memory)?);
                    }
                }
                items.extend(other_items(plan, assigned, change.id)?);
            }
            for (id, chunk) in &self.added {
                match chunk {
                    Chunk::Function(index) => items.extend(function(*id, *index as usize)?),
                    Chunk::Segment(index) => {
                        let unit = &assigned.known.units[id.index()];
                        if let Placed::Part(decl, 0) = unit.segments[*index as usize] {
                            let segment = SegmentIndex(*index);
                            items.push(segment_item(&converter, decl, *id, segment, memory)?);
                        }
                    }
                }
            }
        }
        let program = self.linked.module.program_mut();
        for (id, kind, definition) in items {
            program.define(id, kind, definition)?;
        }
        let mut removed = Vec::new();
        for (id, unit) in &self.undo.units {
            let now: HashSet<DeclId> =
                decls_of(&self.linked.assigned.known.units[id.index()]).collect();
            removed.extend(decls_of(unit).filter(|decl| !now.contains(decl)));
        }
        Ok(removed)
    }

    /// Notes what pending definitions refer to.
    fn index_pending(&mut self) {
        let program = self.linked.module.program();
        for &source in &program.dirty {
            if let Pending::Define(definition) = &program.decl(source).pending {
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
    fn collect(&mut self, before: HashSet<DeclId>, removed: Vec<DeclId>) -> Quick<()> {
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

    fn is_removed(&self, id: DeclId) -> bool {
        let decl = self.linked.module.program().get(id);
        decl.is_none_or(|decl| matches!(decl.pending, Pending::Remove))
    }

    /// What refers to a declaration once the edits are made.
    fn sources(&self, id: DeclId) -> Vec<DeclId> {
        let module = &self.linked.module;
        let program = module.program();
        let current = module.references().of(program, id);
        let mut sources: Vec<DeclId> = current
            .into_iter()
            .filter(|source| {
                let decl = program.decl(*source);
                matches!(decl.pending, Pending::None) && !decl.remains
            })
            .collect();
        if let Some(pending) = self.pending.get(&id) {
            let stays = |source: &&DeclId| !self.is_removed(**source);
            sources.extend(pending.iter().filter(stays));
        }
        sources
    }

    /// Takes a declaration away; returns what it referred to.
    fn remove(&mut self, id: DeclId) -> Quick<Vec<DeclId>> {
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

    fn drop_from_unit(&mut self, id: DeclId) -> Quick<()> {
        let (object, chunk) = match self.state.owner(id) {
            Owner::Function(object, index) => (object, Chunk::Function(index)),
            Owner::Segment(object, index) => (object, Chunk::Segment(index)),
            _ => return Ok(()),
        };
        self.save(object);
        let linked = self.resolution().object(object);
        if !linked.is_live && !linked.object.init_functions.is_empty() {
            return why("less is needed of an object with init functions");
        }
        let unit = &mut self.linked.assigned.known.units[object.index()];
        match chunk {
            Chunk::Function(index) => unit.functions[index as usize] = None,
            Chunk::Segment(index) => unit.segments[index as usize] = Placed::Nowhere,
        }
        self.touched.insert(object);
        Ok(())
    }

    /// Counts the users of strings anew where objects changed, and drops strings that have none.
    fn recount(&mut self, own: &[ObjectId]) -> Quick<()> {
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
                if matches!(placed, Placed::Part(..)) {
                    visit(object.segment_relocs(SegmentIndex(index as u32)));
                }
            }
            let unit = &mut self.linked.assigned.known.units[id.index()];
            for (placed, needed) in unit.segments.iter_mut().zip(needed) {
                if matches!(placed, Placed::Strings(_)) && !needed {
                    *placed = Placed::Nowhere;
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
                if let Placed::Strings(pieces) = placed {
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
            if let Some((Shape::Data { align_log2, .. }, bytes)) =
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

    /// Where an object came to be linked or is not any more: what do those that are linked say of themselves?
    fn merge_customs(&mut self) -> Quick<()> {
        let units = &self.linked.assigned.known.units;
        let mut saved = self.undo.units.iter();
        let resolution = &self.linked.plan.resolution;
        let is_live = |id: ObjectId| resolution.object(id).is_live || units[id.index()].is_live();
        if saved.all(|(id, old)| (resolution.object(*id).is_live || old.is_live()) == is_live(*id))
        {
            return Ok(());
        }
        let mut diagnostics = Diagnostics::default();
        let merged = merge(resolution, is_live, &self.linked.options, &mut diagnostics);
        if !diagnostics.errors.is_empty() {
            return why("features do not go together");
        }
        self.linked.plan.merged = merged;
        self.linked.set_customs();
        Ok(())
    }

    /// Undoes what a link from the inputs would not do anew.
    fn take_back(&mut self) {
        let known = &mut self.linked.assigned.known;
        for key in self.undo.strings.drain(..) {
            known.strings.remove(&key);
        }
        for (key, decl) in self.undo.dropped_strings.drain(..) {
            known.strings.insert(key, decl);
        }
        for (id, unit) in self.undo.units.drain(..) {
            known.units[id.index()] = unit;
        }
    }
}

/// A unit's own functions and data.
fn decls_of(unit: &Unit) -> impl Iterator<Item = DeclId> {
    let segments = unit.segments.iter().filter_map(|placed| match placed {
        Placed::Part(id, 0) => Some(*id),
        _ => None,
    });
    unit.functions.iter().flatten().copied().chain(segments)
}

/// Whether an object uses a table without saying where, as old ones do.
fn lacks_table_symbol(object: &Object) -> bool {
    let symbols = object.symbols.iter();
    let symbols = symbols.filter(|symbol| symbol.kind == SymbolKind::Table);
    symbols.count() != object.imported_tables.len() + object.tables.len()
}

fn type_of(object: &Object, signatures: &[SignatureId], symbol: &Symbol) -> SymbolType {
    match symbol.kind {
        SymbolKind::Function => symbol.function().map_or(SymbolType::None, |id| {
            SymbolType::Signature(signatures[object.function_type(id).index()])
        }),
        SymbolKind::Global => symbol.global().map_or(SymbolType::None, |id| {
            SymbolType::Global(object.global_type(id))
        }),
        SymbolKind::Table => symbol.table().map_or(SymbolType::None, |id| {
            SymbolType::Table(object.table_type(id).element)
        }),
        SymbolKind::Tag => symbol.tag().map_or(SymbolType::None, |id| {
            SymbolType::Signature(signatures[object.tag_type(id).index()])
        }),
        SymbolKind::Data | SymbolKind::Section => SymbolType::None,
    }
}

fn said(
    object: &Object,
    signatures: &[SignatureId],
    linked: &LinkedObject,
    symbol: &Symbol,
) -> Said {
    Said {
        is_defined: !symbol.is_undefined() && !linked.is_discarded(symbol),
        kind: symbol.kind,
        flags: symbol.flags,
        ty: type_of(object, signatures, symbol),
        called_directly: symbol.called_directly,
    }
}
