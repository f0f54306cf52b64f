//! Updates in place: objects of which only contents changed, or symbols in ways that concern nobody else. What they cost
//! depends on the objects that changed and on what refers to them, not on the program.
//!
//! An update goes through the steps of a link for the changed objects alone: their symbols are looked up in the tables
//! that are there, what they reach is marked, new things are declared, contents are converted and defined. Where that is
//! not possible the answer is a [`FallbackReason`](fallback::FallbackReason), and the caller links from the inputs again.
//! What is reached no more is found by going from it to what refers to it until something is met that is needed in any
//! case: cycles are no exception.
//!
//! All of it stands within a transaction of the caller's: whatever ends an update, the caller takes it back.

mod collect;
mod customs;
mod define;
pub(super) mod fallback;
mod index;
mod mark;
mod members;
mod same_tables;
mod strings;
mod symbols;

use std::sync::Arc;

use crate::hash::{HashMap, HashSet};
use crate::link::command::options::BuildId;
use crate::link::declare::{ObjectDeclarations, SegmentPlacement};
use crate::link::pipeline::publish;
use crate::link::report::PublishedPatch;
use crate::link::resolve::Resolution;
use crate::link::resolve::units::SymbolRef;
use crate::link::state::LinkState;
use crate::link::symbols::names::NameId;
use crate::link::symbols::signatures::SignatureId;
use crate::link::symbols::{ObjectId, SymbolId};
use crate::object::ids::SegmentIndex;
use crate::object::{Input, Object};
use crate::program::DeclId;

use fallback::{FallbackReason, UpdateError, UpdateResult, fall_back};
pub(super) use index::UpdateIndex;

/// A symbol that a changed object defines, and where it stood.
type SymbolBefore = (ObjectId, SymbolId, Option<(DeclId, i64)>);

/// A changed object with what its symbols mean.
struct Change {
    id: ObjectId,
    object: Arc<Object>,
    signatures: Vec<SignatureId>,
    refs: Vec<SymbolRef>,
    /// What of its contents differs, if its tables are the same: then it is as if the object had not changed, but for these
    /// contents.
    contents: Option<Contents>,
}

/// What of an object's contents is to be looked at again: its functions and segments, and pieces of custom sections.
struct Contents {
    functions: Vec<usize>,
    segments: Vec<SegmentIndex>,
    customs: Vec<usize>,
}

struct Update<'a> {
    link: &'a mut LinkState,
    index: &'a mut UpdateIndex,
    changes: Vec<Change>,
    /// By object: what is reached of the changed ones.
    marks: HashMap<ObjectId, Marks>,
    queue: Vec<(ObjectId, GcNode)>,
    /// What is reached of others that was not before.
    added: Vec<(ObjectId, GcNode)>,
    /// Which declarations are referred to by what is defined anew.
    pending: HashMap<DeclId, Vec<DeclId>>,
    /// Objects whose symbols may mean other declarations now.
    touched: HashSet<ObjectId>,
    /// Objects of which something is left that may not name a string any more.
    loses_strings: HashSet<ObjectId>,
    /// Whether an object does not name any more what a library's member defines: that may have been all for which the
    /// member was loaded.
    forgets_member: bool,
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

/// Brings the output up to date with changed objects. The tables of the link and the index are in a transaction.
pub(super) fn run(
    link: &mut LinkState,
    index: &mut UpdateIndex,
    changed: &[(ObjectId, Arc<Object>)],
) -> Result<PublishedPatch, UpdateError> {
    let options = &link.options;
    if !options.gc_sections || options.shared_memory {
        return fall_back(FallbackReason::EverythingIsLinked);
    }
    let builds_id = options.build_id != BuildId::None;
    let mut update = Update {
        link,
        index,
        changes: Vec::new(),
        marks: HashMap::default(),
        queue: Vec::new(),
        added: Vec::new(),
        pending: HashMap::default(),
        touched: HashSet::default(),
        loses_strings: HashSet::default(),
        forgets_member: false,
    };

    // What objects say of themselves as a whole is as it was.
    for (id, object) in changed {
        update.compare(*id, object)?;
    }
    // Each symbol has its meaning, and none that others see means something else. No symbols after this.
    update.look_up()?;
    update.expect_interface_in_order()?;
    let meant = update.meant_before();
    let inits = update.inits();
    update.install();

    // What can be reached is known. Nothing becomes live after this.
    update.mark()?;
    // All that is linked has its declaration, and what others refer to stands where it did.
    update.declare_reached()?;
    update.renew_meanings();
    update.check_meanings(&meant)?;
    if update.inits() != inits {
        return fall_back(FallbackReason::InitFunctionMoved);
    }

    // What is linked and may have changed is pending; what is reached no more goes.
    let before = update.targets_before();
    let removed = update.define()?;
    update.collect(before, removed)?;
    update.define_customs()?;
    update.expect_same_members()?;
    update.move_contents();
    if builds_id {
        update.link.set_custom_sections();
    }

    // The output is written, and shows if the objects are still what was linked.
    let inputs: Vec<Arc<Input>> = changed
        .iter()
        .map(|(_, object)| object.input().clone())
        .collect();
    Ok(publish(&mut link.module, &inputs)?)
}

impl Update<'_> {
    /// Imports and exports stand in the order in which objects first name them.
    fn expect_interface_in_order(&self) -> UpdateResult<()> {
        // By name: a reference that does not fit means another symbol of the same name.
        let name = |id: SymbolId| self.resolution().table.get(id).name;
        let named = |refs: &'_ [SymbolRef]| -> Vec<NameId> {
            let symbols = refs.iter().filter_map(|one| one.symbol());
            symbols.map(name).collect()
        };
        // Those with the tables that they had name what they named.
        let others = self.changes.iter().filter(|it| it.contents.is_none());
        let sides = others.map(|change| {
            let before = &self.resolution().object(change.id).refs;
            (named(before), named(&change.refs))
        });
        let mut others = sides.filter(|(before, now)| before != now).peekable();
        // Most edits name the same symbols in the same order, whichever of them others see.
        if others.peek().is_none() {
            return Ok(());
        }
        let plan = &self.link.plan;
        let seen = plan.imports.iter().chain(&plan.exports).copied();
        let seen: HashSet<NameId> = seen.map(name).collect();
        let is_as_before = others.all(|(mut before, mut now)| {
            before.retain(|symbol| seen.contains(symbol));
            now.retain(|symbol| seen.contains(symbol));
            before == now
        });
        match is_as_before {
            true => Ok(()),
            false => fall_back(FallbackReason::InterfaceOrder),
        }
    }

    fn resolution(&self) -> &Resolution {
        &self.link.plan.resolution
    }

    /// The declarations of an object.
    fn unit(&self, id: ObjectId) -> &ObjectDeclarations {
        &self.link.declarations.known.units[id.index()]
    }

    /// The declarations of an object, to be changed.
    fn edit_unit(&mut self, id: ObjectId) -> &mut ObjectDeclarations {
        self.link.declarations.known.units.edit(id.index())
    }

    /// An object as it was before this update.
    fn object_before(&self, id: ObjectId) -> Option<Arc<Object>> {
        let objects = &self.link.declarations.known.objects;
        let changed = objects.before().find(|(at, _)| *at == id.index());
        let object = changed.map_or(&objects[id.index()], |(_, object)| object);
        object.clone()
    }

    /// The objects whose declarations this update has changed so far, as they were before it.
    fn units_before(&self) -> impl Iterator<Item = (ObjectId, &ObjectDeclarations)> {
        let units = self.link.declarations.known.units.before();
        units.map(|(at, unit)| (ObjectId(at as u32), unit))
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
