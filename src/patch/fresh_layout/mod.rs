//! A layout from nothing: every declaration is placed in bulk, in the order of declaration. The first write of an
//! output and every relink come this way; the bytes are then made by the same encoders as a patch's.

mod data;
mod functions;
mod items;
mod pieces;
mod request;
mod types;

pub(crate) use request::Request;

use crate::error::{Error, Result};
use crate::layout::{Layout, Place};
use crate::parallel::join;
use crate::patch::fresh_layout::items::Imported;
use crate::patch::lengths::{MOST_ENTRIES, MOST_INDICES, MOST_MEMORIES, MOST_TABLES};
use crate::patch::order;
use crate::patch::section_lens::SectionLens;
use crate::patch::tail;
use crate::program::{DeclId, Definition};

/// Places everything that is or becomes defined.
pub(crate) fn lay_out(request: &Request<'_>) -> Result<Layout> {
    let program = request.program;
    let mut layout = empty(request);
    let mut order = if layout.options.dense {
        let exported = request.exports.iter().map(|(_, export)| export.decl);
        order::canonical(program, exported, request.start, request.slot_table)
    } else {
        order::by_declaration(program)
    };
    if request.unused_table.is_some() {
        order.retain(|id| Some(*id) != request.unused_table);
    }
    // Types have their indices first, since what is placed names them.
    let mut uses = types::count_types(program, &order, &mut layout)?;
    let is_import = |id: &DeclId| program.decl(*id).next().is_some_and(Definition::is_import);
    let (imports, others) = order::partition(&std::mem::take(&mut uses.others), is_import);
    // Imports come before all else of their kinds, in the order that is kept for them.
    let imports = program.next_import_order().unwrap_or(&imports).iter();
    let imports = imports.filter(|id| Some(**id) != request.unused_table);
    let imported = items::place_imports(program, &mut layout, imports.copied());
    let front = tail::name_front(program, &layout, request.customs);
    layout.set_name_front(front);
    // Most of it, and gets its place behind all else.
    let is_data = |id: &DeclId| items::is_data(program, *id);
    let (data, others) = order::partition(&others, is_data);
    let pieces = items::place_items(request, &mut layout, imported, &others);
    // Whether there are pieces decides where the code begins.
    pieces::place_pieces(program, &mut layout, &pieces)?;
    // Code and data have nothing to do with each other.
    let mut images = std::mem::take(&mut layout.data);
    let (functions_placed, addresses) = join(
        || functions::place_functions(request, &uses, &mut layout),
        || data::place_data(request, &mut images, &data),
    );
    functions_placed?;
    for (id, address, cap) in addresses? {
        layout.set_place(id, Place::Data { address, cap });
    }
    layout.data = images;
    number_data_segments(&mut layout);
    for (id, export) in request.exports {
        layout.exports.append(*id, export.name.len() as u32);
    }
    // From here on everything has its place.
    check_limits(&layout, imported)?;
    if !layout.options.dense {
        lay_out_sections(request, &mut layout);
    }
    // How long the sections of a dense output are is known when they are written.
    Ok(layout)
}

/// A layout of nothing, in which only what never changes is set.
fn empty(request: &Request<'_>) -> Layout {
    let mut layout = Layout::new(request.options);
    layout.reserve_places(request.program.capacity());
    layout.slot_table = request.slot_table;
    *layout.start = request.start;
    if !layout.options.dense {
        layout.types.add_dead_type(request.dead_type);
    }
    layout
}

/// The program's own data segments are numbered behind one for each memory's image.
fn number_data_segments(layout: &mut Layout) {
    let images = layout.data.images().len() as u32;
    for at in 0..layout.data_segments.len() {
        let place = Place::Index(images + at as u32);
        layout.set_place(layout.data_segments[at].decl, place);
    }
}

/// Gives the sections their places, each with a pad behind it.
fn lay_out_sections(request: &Request<'_>, layout: &mut Layout) {
    let sections = SectionLens {
        program: request.program,
        customs: request.customs,
    };
    let mut lens = *layout.lens;
    for kind in SectionLens::KINDS {
        sections.measure(layout, kind, &mut lens);
    }
    lens.names_tail = tail::names_tail(request.program, layout).len() as u64;
    *layout.lens = lens;
    layout.lay_out_sections(request.growth);
}

fn check_limits(layout: &Layout, imported: Imported) -> Result<()> {
    let functions = u64::from(layout.functions.imported()) + u64::from(layout.functions.count());
    let globals = u64::from(layout.globals.imported()) + u64::from(layout.globals.count());
    let is_slot_table = usize::from(layout.slot_table.is_some());
    let own = |imported: u32, list: usize| u64::from(imported) + list as u64;
    let tables = own(imported.tables, layout.tables.len());
    let memories = own(imported.memories, layout.memories.len());
    let tags = own(imported.tags, layout.tags.len());
    let segments = (layout.data.images().len() + layout.data_segments.len()) as u64;
    let elements = (is_slot_table + layout.elements.len()) as u64;
    let checks = [
        ("functions", functions, MOST_INDICES),
        ("globals", globals, MOST_INDICES),
        ("types", layout.types.count().into(), MOST_INDICES),
        ("tags", tags, MOST_INDICES),
        ("imports", layout.imports.len() as u64, MOST_INDICES),
        ("tables", tables, MOST_TABLES),
        ("memories", memories, MOST_MEMORIES),
        ("data segments", segments, MOST_TABLES),
        ("element segments", elements, MOST_TABLES),
        (
            "function slots",
            layout.slots.table_len().into(),
            MOST_ENTRIES,
        ),
    ];
    for (what, count, most) in checks {
        if count > u64::from(most) {
            let error = Error::limit(format!(
                "the output would have {count} {what}; engines take {most}"
            ));
            return Err(if what == "types" {
                error.with_hint("use interned types")
            } else {
                error
            });
        }
    }
    Ok(())
}
