//! One pass over all declarations, in parallel: which types are used how often, and whose address is taken.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::layout::{Layout, UseDeltas, add_uses};
use crate::parallel::{region, task};
use crate::patch::lengths::type_spare;
use crate::patch::order::RUN;
use crate::program::{DeclId, Definition, Program, RelocKind, Relocation, TypeId};

/// What a pass over all declarations finds out.
pub(super) struct Uses {
    /// Functions with a body.
    pub(super) functions: Vec<DeclId>,
    /// Everything else that is defined.
    pub(super) others: Vec<DeclId>,
    /// Which functions have their address taken, by id.
    pub(super) address_taken: Vec<bool>,
    /// Which functions are named by their index, by id. Known only where instances take patches.
    pub(super) named: Vec<bool>,
}

/// Counts all uses of types, by the declaration that owns them.
pub(super) fn count_types(
    program: &Program,
    order: &[DeclId],
    layout: &mut Layout,
) -> Result<Uses> {
    let is_function = |id: &DeclId| program.decl(*id).next().is_some_and(Definition::is_body);
    let (functions, others) = partition(order, is_function);
    let interned = layout.options.interned_types;
    let roots = if interned {
        Cow::Borrowed(order)
    } else {
        Cow::Owned(roots(program, order))
    };
    let runs = roots.par_chunks(RUN);
    let live = layout.options.live;
    let runs = runs.map(|run| task(|| run_uses(program, run, interned, live)));
    let runs: Vec<RunUses> = region(|| runs.collect());
    let mut address_taken = vec![false; program.capacity()];
    let mut named = vec![false; if live { program.capacity() } else { 0 }];
    for run in runs {
        *layout.data_count |= run.names_data;
        for id in run.named.into_iter().filter(|_| live) {
            named[id.index()] = true;
        }
        for id in run.address_taken {
            address_taken[id.index()] = true;
            if layout.options.thunks {
                layout.count_addresses(id, 1);
            }
        }
        let mut start = 0;
        for (root, retyped, end) in run.roots {
            let uses = &run.uses[start..end];
            start = end;
            let spare = if layout.options.dense {
                0
            } else {
                type_spare(retyped, uses.len())
            };
            layout
                .types
                .count_uses(&program.types, root, uses, spare)
                .ok_or_else(types_full)?;
        }
    }
    Ok(Uses {
        functions,
        others,
        address_taken,
        named,
    })
}

/// Those of which something holds, and the others, each in their order.
pub(super) fn partition(
    ids: &[DeclId],
    holds: impl Fn(&DeclId) -> bool + Sync,
) -> (Vec<DeclId>, Vec<DeclId>) {
    let split = |run: &[DeclId]| task(|| run.iter().copied().partition(&holds));
    let runs = ids.par_chunks(RUN);
    let parts: Vec<(Vec<DeclId>, Vec<DeclId>)> = region(|| runs.map(split).collect());
    let (first, second): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    (first.concat(), second.concat())
}

/// The declarations that own others or belong to none, each once. An owner counts for its parts too, even where it has
/// no definition of its own.
fn roots(program: &Program, order: &[DeclId]) -> Vec<DeclId> {
    let root = |id: &DeclId| program.root(*id);
    let mut roots: Vec<DeclId> = order.par_iter().with_min_len(RUN).map(root).collect();
    let mut seen = vec![false; program.capacity()];
    roots.retain(|root| !std::mem::replace(&mut seen[root.index()], true));
    roots
}

/// What a run of declarations uses.
#[derive(Default)]
struct RunUses {
    /// Each of them, whether its types have changed, and where in `uses` its own end. If types belong to nobody, only the
    /// first, which stands for all.
    roots: Vec<(DeclId, bool, usize)>,
    uses: Vec<(TypeId, i32)>,
    address_taken: Vec<DeclId>,
    /// Functions that code or a segment names by their index; known only if it is asked for.
    named: Vec<DeclId>,
    /// Whether code names data segments.
    names_data: bool,
}

fn run_uses(program: &Program, run: &[DeclId], interned: bool, live: bool) -> RunUses {
    let mut found = RunUses::default();
    let mut uses = UseDeltas::new();
    let mut all: HashMap<TypeId, usize, foldhash::fast::FixedState> = HashMap::default();
    for &root in run {
        let decl = program.decl(root);
        uses.clear();
        let mut retyped = decl.retyped;
        let mut add = |definition: Option<&Definition>| {
            // What a piece of a custom section names is not in use because of that.
            let Some(definition) = definition.filter(|next| next.section().is_none()) else {
                return;
            };
            add_uses(&mut uses, definition, 1);
            let mut relocs = definition.content.relocs().iter();
            found.names_data |= relocs.any(|reloc| reloc.kind == RelocKind::DataIndex);
            let slots = definition.content.relocs().iter();
            let slots = slots.filter(|reloc| reloc.kind.is_slot());
            found
                .address_taken
                .extend(slots.filter_map(Relocation::decl));
            let indices = definition.content.relocs().iter().filter(|_| live);
            let indices = indices.filter(|reloc| reloc.kind.is_function_index());
            found.named.extend(indices.filter_map(Relocation::decl));
        };
        add(decl.next());
        if !interned {
            let mut parts = decl.members().to_vec();
            let mut at = 0;
            while let Some(&part) = parts.get(at) {
                at += 1;
                let part = program.decl(part);
                parts.extend_from_slice(part.members());
                if !part.is_orphan {
                    retyped |= part.retyped;
                    add(part.next());
                }
            }
            found.uses.extend_from_slice(&uses);
            found.roots.push((root, retyped, found.uses.len()));
            continue;
        }
        for (ty, count) in uses.drain(..) {
            let at = *all.entry(ty).or_insert_with(|| {
                found.uses.push((ty, 0));
                found.uses.len() - 1
            });
            found.uses[at].1 += count;
        }
    }
    if let (true, Some(first)) = (interned, run.first()) {
        found.roots.push((*first, false, found.uses.len()));
    }
    found
}

#[cold]
fn types_full() -> Error {
    Error::limit("the type section would exceed 4 GiB")
}
