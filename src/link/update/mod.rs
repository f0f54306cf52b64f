//! Updates that need no new resolution: objects of which only contents changed, or symbols in ways that concern nobody
//! else. What they cost depends on the objects that changed and on what refers to them, not on the program.
//!
//! An update goes through the steps of a link for the changed objects alone: their symbols are looked up in the tables
//! that are there, what they reach is marked, new things are declared, contents are converted and defined. Where that is
//! not possible the answer is a [`FallbackReason`], nothing that outlives a link has changed, and the caller links from the
//! inputs again. What is reached no more is found by going from it to what refers to it until something is met that is
//! needed in any case: cycles are no exception.

mod collect;
mod define;
mod mark;
mod symbols;

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::error::Result;
use crate::link::command::options::BuildId;
use crate::link::declare::{
    Item, LinkDeclarations, MergedString, Names, ObjectDeclarations, SegmentPlacement, converter,
    custom_items, function_names, kept_customs, merge, other_items, own_meaning, segment_item,
    string_item, string_pieces, take_name,
};
use crate::link::declare::{ResolvedTarget, StringKey};
use crate::link::diagnostics::{Diagnostics, shown};
use crate::link::gc::is_exported;
use crate::link::inputs::InputFile;
use crate::link::order::output_name;
use crate::link::resolve::Resolution;
use crate::link::resolve::units::{LinkedObject, SymbolRef};
use crate::link::session::{Done, Edits, Linked, TableImport, fit_table_import};
use crate::link::symbols::signatures::SignatureId;
use crate::link::symbols::{Definition, ObjectId, SymbolId, SymbolType};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Object, Reloc, RelocType, SegmentFlags, Symbol, SymbolFlags, SymbolKind};
use crate::program::{DeclId, DeclKind, DefinitionKind, Pending};

/// FallbackReason a change needs a new resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FallbackReason(pub(super) &'static str);

/// Either of: an answer, or the reason why there is none.
type UpdateResult<T> = Result<T, UpdateError>;

/// What ends a quick update.
pub(super) enum UpdateError {
    Fallback(FallbackReason),
    Error(crate::Error),
}

impl From<FallbackReason> for UpdateError {
    fn from(why: FallbackReason) -> UpdateError {
        UpdateError::Fallback(why)
    }
}

impl From<crate::Error> for UpdateError {
    fn from(error: crate::Error) -> UpdateError {
        UpdateError::Error(error)
    }
}

fn why<T>(text: &'static str) -> UpdateResult<T> {
    Err(UpdateError::Fallback(FallbackReason(text)))
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
pub(super) struct UpdateIndex {
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

impl UpdateIndex {
    pub(super) fn of(linked: &Linked) -> UpdateIndex {
        let mut state = UpdateIndex::default();
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
                    && let SegmentPlacement::Part(id, _) = &assigned.known.units[at].segments[index]
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

    fn own(&mut self, object: ObjectId, unit: &ObjectDeclarations) {
        for (index, id) in unit.functions.iter().enumerate() {
            if let Some(id) = id {
                self.set_owner(*id, Owner::Function(object, index as u32));
            }
        }
        for (index, placed) in unit.segments.iter().enumerate() {
            match placed {
                SegmentPlacement::Part(id, 0) => {
                    self.set_owner(*id, Owner::Segment(object, index as u32))
                }
                SegmentPlacement::Strings(pieces) => pieces
                    .iter()
                    .for_each(|piece| self.set_owner(piece.decl, Owner::String)),
                _ => {}
            }
        }
    }

    fn count(&mut self, placed: &SegmentPlacement, by: i32) {
        if let SegmentPlacement::Strings(pieces) = placed {
            for piece in &**pieces {
                let users = self.string_users.entry(piece.decl).or_insert(0);
                *users = users.saturating_add_signed(by);
            }
        }
    }
}

/// The declaration that a meaning is about.
fn decl_of(assigned: &LinkDeclarations, meaning: ResolvedTarget) -> Option<DeclId> {
    match meaning {
        ResolvedTarget::Function { id, .. } => id,
        ResolvedTarget::Index(id) | ResolvedTarget::Data(id, _) => Some(id),
        ResolvedTarget::Segment(object, segment, value) => {
            let unit = &assigned.known.units[object.index()];
            let placed = &unit.segments[segment.index()];
            placed.at(value.into()).map(|(id, _)| id)
        }
        _ => None,
    }
}

/// A symbol that a changed object defines, and where it stood.
type SymbolBefore = (ObjectId, SymbolId, Option<(DeclId, i64)>);

/// A changed object with what its symbols mean.
struct Change {
    id: ObjectId,
    object: Arc<Object>,
    signatures: Vec<SignatureId>,
    refs: Vec<SymbolRef>,
}

/// What an object says of a symbol that others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SymbolFacts {
    is_defined: bool,
    kind: SymbolKind,
    flags: SymbolFlags,
    ty: SymbolType,
    called_directly: bool,
}

/// What changes may be taken back of.
#[derive(Default)]
struct Undo {
    units: Vec<(ObjectId, ObjectDeclarations)>,
    strings: Vec<StringKey>,
    dropped_strings: Vec<(StringKey, DeclId)>,
}

struct Update<'a> {
    linked: &'a mut Linked,
    state: &'a mut UpdateIndex,
    changes: Vec<Change>,
    /// By object: what is reached of the changed ones.
    marks: HashMap<ObjectId, Marks>,
    queue: Vec<(ObjectId, GcNode)>,
    /// What is reached of others that was not before.
    added: Vec<(ObjectId, GcNode)>,
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
enum GcNode {
    Function(u32),
    Segment(u32),
}

/// Brings the output up to date with changed objects. If that fails, whatever a new link starts from is as it was, but
/// edits may be pending and `fresh` declared.
pub(super) fn update(
    linked: &mut Linked,
    state: &mut UpdateIndex,
    changed: &[(ObjectId, Arc<Object>)],
    fresh: &mut Vec<DeclId>,
) -> Result<Done, UpdateError> {
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
    fn run(&mut self, changed: &[(ObjectId, Arc<Object>)]) -> UpdateResult<Done> {
        let options = &self.linked.options;
        if !options.gc_sections || options.shared_memory {
            return why("everything is linked, or memory is shared");
        }
        for (id, object) in changed {
            self.compare(*id, object)?;
        }
        self.look_up()?;
        let meant = self.meant_before();
        let inits = self.inits();
        self.install();
        self.mark()?;
        self.assign()?;
        self.renew_meanings();
        self.check_meanings(&meant)?;
        if self.inits() != inits {
            return why("an init function is another function");
        }
        let before = self.targets_before();
        let removed = self.define()?;
        self.collect(before, removed)?;
        self.define_customs()?;
        self.merge_customs()?;
        if self.linked.options.build_id != BuildId::None {
            self.linked.set_customs();
        }
        for (_, object) in changed {
            object.input().check_unchanged()?;
        }
        let linked = &mut *self.linked;
        let edits = Edits::pending(&linked.module);
        let mut patch = linked.module.commit_validated()?;
        let import = TableImport::of(&linked.plan, &linked.options);
        let again = fit_table_import(import.as_ref(), &mut linked.module)?;
        if let Some(again) = again {
            patch.identity = again.identity;
        }
        Ok((patch, edits))
    }

    fn resolution(&self) -> &Resolution {
        &self.linked.plan.resolution
    }

    /// Where an object came to be linked or is not any more: what do those that are linked say of themselves?
    fn merge_customs(&mut self) -> UpdateResult<()> {
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
fn decls_of(unit: &ObjectDeclarations) -> impl Iterator<Item = DeclId> {
    let segments = unit.segments.iter().filter_map(|placed| match placed {
        SegmentPlacement::Part(id, 0) => Some(*id),
        _ => None,
    });
    unit.functions.iter().flatten().copied().chain(segments)
}
