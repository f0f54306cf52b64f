//! One pass over all declarations, in parallel: which types are used how often, and whose address is taken.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::layout::{Layout, UseDeltas, add_uses};
use crate::parallel::{region, task};
use crate::patch::order::{RUN, partition};
use crate::program::{DeclId, Definition, Program, RelocKind, TypeId};

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

/// Counts all uses of types. All of them are shared in a new layout.
pub(super) fn count_types(
    program: &Program,
    order: &[DeclId],
    layout: &mut Layout,
) -> Result<Uses> {
    let is_function = |id: &DeclId| program.decl(*id).next().is_some_and(Definition::is_body);
    let (functions, others) = partition(order, is_function);
    let live = layout.options.live;
    let runs = order.par_chunks(RUN);
    let runs = runs.map(|run| task(|| run_uses(program, run, live)));
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
        layout
            .types
            .count_shared_uses(&program.types, &run.uses)
            .ok_or_else(types_full)?;
    }
    Ok(Uses {
        functions,
        others,
        address_taken,
        named,
    })
}

/// What a run of declarations uses.
#[derive(Default)]
struct RunUses {
    uses: Vec<(TypeId, i32)>,
    address_taken: Vec<DeclId>,
    /// Functions that code or a segment names by their index; known only if it is asked for.
    named: Vec<DeclId>,
    /// Whether code names data segments.
    names_data: bool,
}

fn run_uses(program: &Program, run: &[DeclId], live: bool) -> RunUses {
    let mut found = RunUses::default();
    let mut uses = UseDeltas::new();
    let mut all: HashMap<TypeId, usize, foldhash::fast::FixedState> = HashMap::default();
    for &id in run {
        // What a piece of a custom section names is not in use because of that.
        let Some(definition) = program
            .decl(id)
            .next()
            .filter(|next| next.section().is_none())
        else {
            continue;
        };
        add_uses(&mut uses, definition, 1);
        for reloc in definition.content.relocs() {
            match reloc.kind {
                RelocKind::DataIndex => found.names_data = true,
                kind if kind.is_slot() => found.address_taken.extend(reloc.decl()),
                kind if live && kind.is_function_index() => found.named.extend(reloc.decl()),
                _ => {}
            }
        }
        for (ty, count) in uses.drain(..) {
            let at = *all.entry(ty).or_insert_with(|| {
                found.uses.push((ty, 0));
                found.uses.len() - 1
            });
            found.uses[at].1 += count;
        }
    }
    found
}

#[cold]
fn types_full() -> Error {
    Error::limit("the type section would exceed 4 GiB")
}
