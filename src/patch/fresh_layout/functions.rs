//! Where functions' code and names go: entries that are kept for imports, thunks, and then all bodies in order.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::layout::{Layout, LayoutOptions, Occupant, Place, Slot, name_len};
use crate::parallel::{region, task};
use crate::patch::fresh_layout::request::Request;
use crate::patch::fresh_layout::types::Uses;
use crate::patch::lengths::{DEAD_LEN, FUNCTION_RESERVE, body_slack, entry_len, thunk_len};
use crate::patch::order::RUN;
use crate::program::{DeclId, Declaration, Definition, Program};

/// A function with a body.
type Function<'a> = (DeclId, &'a Declaration, &'a Definition);

/// Places all functions that have a body.
pub(super) fn place_functions(
    request: &Request<'_>,
    uses: &Uses,
    layout: &mut Layout,
) -> Result<()> {
    let program = request.program;
    let (ids, address_taken) = (&uses.functions, &*uses.address_taken);
    let functions = || {
        ids.iter().map(|&id| {
            let decl = program.decl(id);
            let definition = decl.next().expect("only what is defined is laid out");
            (id, decl, definition)
        })
    };
    let thunks = layout.options.thunks;
    layout
        .functions
        .reserve(ids.len() * (1 + usize::from(thunks)) + FUNCTION_RESERVE as usize + 1);
    reserve_front(layout);
    if let Some(kept) = request.kept {
        let is_there = |id: DeclId| program.get(id).is_some_and(|decl| decl.next().is_some());
        layout.slots = kept.slots.kept(is_there);
    }
    let slots = SlotGiver(request.kept);
    if thunks {
        place_thunks(program, functions, layout, (slots, address_taken))?;
    } else if layout.options.live {
        let named = named(request, uses);
        let named = || functions().filter(|(id, ..)| named[id.index()]);
        place_thunks(program, named, layout, (slots, address_taken))?;
    }
    place_bodies(program, ids, layout, (slots, address_taken))?;
    for at in 0..layout.imports.len() {
        let id = layout.imports[at];
        if let Place::ImportedFunction { index, .. } = layout.place(id) {
            let slot = slots.give_if_needed(layout, address_taken, id);
            layout.set_place(id, Place::ImportedFunction { index, slot });
        }
    }
    if layout.slot_table.is_some() && !layout.options.dense && request.kept.is_none() {
        layout.slots.grow((layout.slots.len() / 16).max(8));
    }
    Ok(())
}

/// Entries at the front that do nothing: to be given up for imports, or taken back when one goes; and the trap.
fn reserve_front(layout: &mut Layout) {
    let imported = layout.functions.imported();
    let reserve = if layout.options.dense {
        0
    } else {
        2 * FUNCTION_RESERVE
    };
    // Ordinals that are given up from the start are taken back when an import goes away.
    for at in 0..reserve {
        // Where the first entry must keep its place, it holds the bytes of those that are given up from the start.
        let cap = match (layout.keeps_code_front(), at.cmp(&FUNCTION_RESERVE)) {
            (true, Ordering::Less) => 0,
            (true, Ordering::Equal) => DEAD_LEN * (1 + FUNCTION_RESERVE),
            _ => DEAD_LEN,
        };
        layout.functions.append(cap, Occupant::Reserve);
        layout.names.append(0, None);
        if at >= FUNCTION_RESERVE {
            layout.functions.give_up_first();
        }
    }
    layout.functions.set_imported(imported);
    if layout.slot_table.is_some() && !layout.options.dense {
        *layout.trap = layout.functions.append(DEAD_LEN, Occupant::Trap);
        layout.names.append(0, None);
    }
}

/// A thunk, with a slot, for each function that is to be called through one. Bodies get their places after that.
fn place_thunks<'a, I: Iterator<Item = Function<'a>>>(
    program: &Program,
    functions: impl Fn() -> I,
    layout: &mut Layout,
    (giver, address_taken): (SlotGiver<'_>, &[bool]),
) -> Result<()> {
    let thunked = || {
        functions().filter(|(_, decl, definition)| {
            let ty = definition.ty().expect("a function has a type");
            !program.is_frozen(decl) && program.types.can_pass_on(ty)
        })
    };
    // Slots that are addresses come first: a dense output has no others.
    let mut slots: HashMap<_, _> = HashMap::default();
    for (id, ..) in thunked().filter(|(id, ..)| address_taken[id.index()]) {
        slots.insert(id, giver.give(layout, id));
    }
    for (id, _, definition) in thunked() {
        let ty = definition.ty().expect("a function has a type");
        let entry = layout
            .functions
            .append(thunk_len(program, ty), Occupant::Thunk(id))
            .ok_or_else(code_full)?;
        layout.names.append(0, None);
        let slot = slots.get(&id).copied();
        let slot = Some(slot.unwrap_or_else(|| giver.give(layout, id)));
        layout.set_place(
            id,
            Place::Function {
                entry,
                body: entry,
                slot,
            },
        );
    }
    Ok(())
}

/// What a function takes: of the code section, and of the names.
struct Size {
    code: u32,
    name: u32,
}

/// How much room functions take, of which the first has this index: found out by all threads.
fn sizes(program: &Program, ids: &[DeclId], options: LayoutOptions, first: u32) -> Vec<Size> {
    let size = |index: u32, id: DeclId| {
        let decl = program.decl(id);
        let definition = decl.next().expect("only what is defined is laid out");
        let len = entry_len(definition.content.len());
        let name = decl.given_name().filter(|_| options.names);
        Size {
            code: match options.dense {
                true => len,
                false => len + body_slack(decl, len, false),
            },
            name: name.map_or(0, |name| name_len(index, name)),
        }
    };
    let run = |(run, ids): (usize, &[DeclId])| {
        let numbered = (first + (run * RUN) as u32..).zip(ids);
        task(|| numbered.map(|(index, id)| size(index, *id)).collect())
    };
    let runs = ids.par_chunks(RUN).enumerate();
    let runs: Vec<Vec<Size>> = region(|| runs.map(run).collect());
    runs.into_iter().flatten().collect()
}

/// Places all bodies and their names.
fn place_bodies(
    program: &Program,
    ids: &[DeclId],
    layout: &mut Layout,
    (giver, address_taken): (SlotGiver<'_>, &[bool]),
) -> Result<()> {
    let first = layout.functions.index(layout.functions.end());
    let sizes = sizes(program, ids, layout.options, first);
    for (id, size) in ids.iter().zip(sizes) {
        layout.names.append_len(size.name).ok_or_else(code_full)?;
        let body = layout
            .functions
            .append(size.code, Occupant::Body(*id))
            .ok_or_else(code_full)?;
        let place = match layout.place(*id) {
            Place::Function { entry, slot, .. } => Place::Function { entry, body, slot },
            _ => Place::Function {
                entry: body,
                body,
                slot: giver.give_if_needed(layout, address_taken, *id),
            },
        };
        layout.set_place(*id, place);
    }
    Ok(())
}

/// Gives functions their slots: those that they have in a layout which is kept, or new ones.
#[derive(Clone, Copy)]
struct SlotGiver<'a>(Option<&'a Layout>);

impl SlotGiver<'_> {
    /// The slot that a function has already.
    fn known(self, id: DeclId) -> Option<Slot> {
        self.0.and_then(|kept| kept.place(id).slot())
    }

    fn give(self, layout: &mut Layout, id: DeclId) -> Slot {
        match (self.known(id), self.0) {
            (Some(slot), _) => slot,
            (None, Some(_)) => layout.slots.take(id),
            (None, None) => layout.slots.append(id),
        }
    }

    /// A slot for a function, if it needs one.
    fn give_if_needed(
        self,
        layout: &mut Layout,
        address_taken: &[bool],
        id: DeclId,
    ) -> Option<Slot> {
        let is_import = matches!(layout.place(id), Place::ImportedFunction { .. });
        let needs_one = address_taken[id.index()]
            || (layout.options.live && !is_import)
            || self.known(id).is_some();
        needs_one.then(|| self.give(layout, id))
    }
}

/// Which functions are named by their index, exports included: what names them so is out of reach of a patch of an instance
/// that runs, so it names a thunk.
fn named(request: &Request<'_>, uses: &Uses) -> Vec<bool> {
    let mut named = uses.named.clone();
    for (_, export) in request.exports {
        named[export.decl.index()] = true;
    }
    named
}

#[cold]
fn code_full() -> Error {
    Error::limit("the code section would exceed 4 GiB")
}
