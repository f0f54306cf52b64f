//! A layout from nothing: every declaration is placed in bulk, in the order of declaration. The first write of an
//! output and every relink come this way; the bytes are then made by the same writers as a patch's.

use std::borrow::Cow;
use std::cmp::Ordering;

use hashbrown::HashMap;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layout::{
    CustomSpace, DataSpace, Layout, LayoutOptions, Occupant, Ordinal, Place, RawItem, SectionKind,
    Slot, UseDeltas, add_uses,
};
use crate::patch::encode::{Encoder, SectionInputs};
use crate::patch::images::new_image;
use crate::patch::lengths::{
    DEAD_LEN, FUNCTION_RESERVE, GLOBAL_RESERVE, MOST_INDICES, body_slack, entry_len, piece_slack,
    thunk_len, type_spare,
};
use crate::patch::order::{self, RUN};
use crate::patch::section_lens::SectionLens;
use crate::patch::tail::{self, BuildIdentity, Customs, Shape};
use crate::program::{
    DeclId, DeclKind, Definition, DefinitionKind, Export, Program, RelocKind, Relocation,
    SectionId, TypeId,
};
use crate::wire::{leb, section};

/// What a fresh layout is made for.
pub(crate) struct Request<'a> {
    pub(crate) program: &'a Program,
    pub(crate) options: LayoutOptions,
    pub(crate) dead_type: TypeId,
    pub(crate) slot_table: Option<DeclId>,
    pub(crate) exports: &'a [Export],
    pub(crate) start: Option<DeclId>,
    pub(crate) customs: &'a Customs,
    /// First address and the address behind the last one, where the user has set them.
    pub(crate) data_ranges: &'a [(DeclId, std::ops::Range<u64>)],
}

/// Places everything that is or becomes defined.
pub(crate) fn lay_out(request: &Request<'_>) -> Result<Layout> {
    let program = request.program;
    let mut layout = Layout::new(request.options);
    layout.reserve_places(program.capacity());
    layout.slot_table = request.slot_table;
    *layout.start = request.start;
    if !layout.options.dense {
        layout.types.add_dead_type(request.dead_type);
    }
    let order = if layout.options.dense {
        order::canonical(program, request.exports, request.start)
    } else {
        order::by_declaration(program)
    };
    let Uses {
        functions,
        others,
        address_taken,
    } = count_types(program, &order, &mut layout)?;
    let defined = |id: DeclId| {
        let decl = program.decl(id);
        let definition = decl.next().expect("only what is defined is laid out");
        (id, decl, definition)
    };
    let is_import = |id: &DeclId| defined(*id).2.is_import();
    let others = others.into_par_iter().with_min_len(RUN);
    let (imports, others): (Vec<DeclId>, Vec<DeclId>) = others.partition(is_import);
    let imports = match program.next_import_order() {
        None => imports,
        Some(order) => order.to_vec(),
    };
    let kinds = [
        DeclKind::Function,
        DeclKind::Global,
        DeclKind::Table,
        DeclKind::Memory,
        DeclKind::Tag,
    ];
    let mut imported = [0u32; 5];
    for (id, decl, _) in imports.into_iter().map(defined) {
        let kind = kinds
            .iter()
            .position(|kind| *kind == decl.kind)
            .expect("data is not imported");
        let index = imported[kind];
        imported[kind] += 1;
        layout.imports.push(id);
        let place = match decl.kind {
            DeclKind::Function => Place::ImportedFunction { index, slot: None },
            _ => Place::Index(index),
        };
        layout.set_place(id, place);
    }
    layout.functions.set_imported(imported[0]);
    let front = tail::name_front(program, &layout, request.customs);
    layout.set_name_front(front);
    let mut next_index = [imported[2], imported[3], imported[4]];
    let [mut raw_elements, mut raw_data] = [0u32; 2];
    let first_segment = u32::from(layout.slot_table.is_some());
    let reserve = if layout.options.dense {
        0
    } else {
        2 * GLOBAL_RESERVE
    };
    for at in 0..reserve {
        layout.globals.append(9, None);
        if at >= GLOBAL_RESERVE {
            layout.globals.give_up_first();
        }
    }
    layout.globals.set_imported(imported[1]);
    let mut data = Vec::new();
    let mut pieces = Vec::new();
    for (id, decl, definition) in others.into_iter().map(defined) {
        if definition.shape == DefinitionKind::SlotTable && request.slot_table.is_none() {
            continue;
        }
        let mut index = |at: usize| {
            next_index[at] += 1;
            Place::Index(next_index[at] - 1)
        };
        let len = definition.content.len() as u32;
        let place = match decl.kind {
            DeclKind::Function => unreachable!("functions with a body are not among the others"),
            DeclKind::Data => {
                if let DefinitionKind::Address(address) = definition.shape {
                    layout.set_place(id, Place::Data { address, cap: 0 });
                } else {
                    data.push(id);
                }
                continue;
            }
            DeclKind::Custom => {
                pieces.push(id);
                continue;
            }
            DeclKind::Global => Place::Global(layout.globals.append(len, Some(id))),
            DeclKind::Table => {
                layout.tables.push(id);
                index(0)
            }
            DeclKind::Memory => {
                layout.memories.push(id);
                index(1)
            }
            DeclKind::Tag => {
                layout.tags.push(id);
                index(2)
            }
            DeclKind::ElementSegment => {
                layout.elements.push(RawItem {
                    decl: id,
                    offset: raw_elements,
                    len,
                });
                raw_elements += len;
                Place::Index(first_segment + layout.elements.len() as u32 - 1)
            }
            DeclKind::DataSegment => {
                layout.data_segments.push(RawItem {
                    decl: id,
                    offset: raw_data,
                    len,
                });
                raw_data += len;
                Place::Index(layout.data_segments.len() as u32 - 1)
            }
        };
        layout.set_place(id, place);
    }
    place_pieces(program, &mut layout, &pieces)?;
    let mut images = std::mem::take(&mut layout.data);
    let (functions_placed, addresses) = rayon::join(
        || place_functions(request, &functions, &mut layout, &address_taken),
        || place_data(request, &mut images, &data),
    );
    functions_placed?;
    for (id, address, cap) in addresses? {
        layout.set_place(id, Place::Data { address, cap });
    }
    layout.data = images;
    let images = layout.data.images().len() as u32;
    for at in 0..layout.data_segments.len() {
        layout.set_place(
            layout.data_segments[at].decl,
            Place::Index(images + at as u32),
        );
    }

    check_limits(&layout)?;
    if layout.options.dense {
        // How long its sections are is known when they are written.
        return Ok(layout);
    }
    let sections = SectionLens {
        program,
        exports: request.exports,
        customs: request.customs,
    };
    let mut lens = *layout.lens;
    for kind in SectionLens::KINDS {
        sections.measure(&layout, kind, &mut lens);
    }
    lens.names_tail = tail::names_tail(program, &layout).len() as u64;
    *layout.lens = lens;
    layout.lay_out_sections();
    Ok(layout)
}

/// What a pass over all declarations finds out.
struct Uses {
    /// Functions with a body.
    functions: Vec<DeclId>,
    /// Everything else that is defined.
    others: Vec<DeclId>,
    /// Which functions have their address taken, by id.
    address_taken: Vec<bool>,
}

/// Counts all uses of types, by the declaration that owns them.
fn count_types(program: &Program, order: &[DeclId], layout: &mut Layout) -> Result<Uses> {
    let is_function = |id: &DeclId| program.decl(*id).next().is_some_and(Definition::is_body);
    let ids = order.par_iter().with_min_len(RUN).copied();
    let (functions, others) = ids.partition(is_function);
    let interned = layout.options.interned_types;
    let roots = if interned {
        Cow::Borrowed(order)
    } else {
        Cow::Owned(roots(program, order))
    };
    let runs = roots.par_chunks(RUN);
    let runs: Vec<RunUses> = runs.map(|run| run_uses(program, run, interned)).collect();
    let mut address_taken = vec![false; program.capacity()];
    for run in runs {
        *layout.data_count |= run.names_data;
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
    })
}

/// The declarations that own others or belong to none, each once. An owner counts for its parts too, even where it has
/// no definition of its own.
fn roots(program: &Program, order: &[DeclId]) -> Vec<DeclId> {
    let root = |id: &DeclId| program.decl(*id).owner.unwrap_or(*id);
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
    names_data: bool,
}

fn run_uses(program: &Program, run: &[DeclId], interned: bool) -> RunUses {
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
        };
        add(decl.next());
        if !interned {
            for member in decl.members() {
                let member = program.decl(*member);
                if !member.is_orphan {
                    retyped |= member.retyped;
                    add(member.next());
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

fn place_functions(
    request: &Request<'_>,
    ids: &[DeclId],
    layout: &mut Layout,
    address_taken: &[bool],
) -> Result<()> {
    let program = request.program;
    let thunks = layout.options.thunks;
    layout
        .functions
        .reserve(ids.len() * (1 + usize::from(thunks)) + FUNCTION_RESERVE as usize + 1);
    // Ordinals that are given up from the start are taken back when an import goes away.
    let imported = layout.functions.imported();
    let reserve = if layout.options.dense {
        0
    } else {
        2 * FUNCTION_RESERVE
    };
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
    let functions = || {
        ids.iter().map(|&id| {
            let decl = program.decl(id);
            (
                id,
                decl,
                decl.next().expect("only what is defined is laid out"),
            )
        })
    };
    if thunks {
        let thunked = || {
            functions().filter(|(_, decl, definition)| {
                let ty = definition.ty().expect("a function has a type");
                !decl.frozen && program.types.can_pass_on(ty)
            })
        };
        // Slots that are addresses come first: a dense output has no others.
        let mut slots = HashMap::new();
        for (id, ..) in thunked().filter(|(id, ..)| address_taken[id.index()]) {
            slots.insert(id, layout.slots.append(id));
        }
        for (id, _, definition) in thunked() {
            let ty = definition.ty().expect("a function has a type");
            let entry = layout
                .functions
                .append(thunk_len(program, ty), Occupant::Thunk(id))
                .ok_or_else(code_full)?;
            layout.names.append(0, None);
            let slot = slots.get(&id).copied();
            let slot = Some(slot.unwrap_or_else(|| layout.slots.append(id)));
            layout.set_place(
                id,
                Place::Function {
                    entry,
                    body: entry,
                    slot,
                },
            );
        }
    }
    let first = layout.functions.index(layout.functions.end());
    let mut names = std::mem::take(&mut layout.names);
    let wants_names = layout.options.names;
    let place_names = || {
        let mut names_fit = true;
        for (index, (_, decl, _)) in (first..).zip(functions()) {
            let name = decl.given_name().filter(|_| wants_names);
            names_fit &= names.append(index, name).is_some();
        }
        names_fit
    };
    let place_bodies = || -> Result<()> {
        for (id, decl, definition) in functions() {
            let len = entry_len(definition.content.len());
            let cap = if layout.options.dense {
                len
            } else {
                len + body_slack(decl, len, false)
            };
            let body = layout
                .functions
                .append(cap, Occupant::Body(id))
                .ok_or_else(code_full)?;
            let place = match layout.place(id) {
                Place::Function { entry, slot, .. } => Place::Function { entry, body, slot },
                _ => Place::Function {
                    entry: body,
                    body,
                    slot: take_slot(layout, address_taken, id),
                },
            };
            layout.set_place(id, place);
        }
        Ok(())
    };
    // Two passes over the same functions, for two cores.
    let (names_fit, placed) = rayon::join(place_names, place_bodies);
    placed?;
    if !names_fit {
        return Err(code_full());
    }
    layout.names = names;
    for at in 0..layout.imports.len() {
        let id = layout.imports[at];
        if let Place::ImportedFunction { index, .. } = layout.place(id) {
            let slot = take_slot(layout, address_taken, id);
            layout.set_place(id, Place::ImportedFunction { index, slot });
        }
    }
    if layout.slot_table.is_some() && !layout.options.dense {
        layout.slots.grow((layout.slots.len() / 16).max(8));
    }
    Ok(())
}

fn take_slot(layout: &mut Layout, address_taken: &[bool], id: DeclId) -> Option<Slot> {
    address_taken[id.index()].then(|| layout.slots.append(id))
}

/// Gives data its addresses; returns these, and the bytes that stand there.
fn place_data(
    request: &Request<'_>,
    images: &mut DataSpace,
    data: &[DeclId],
) -> Result<Vec<(DeclId, u64, u64)>> {
    let mut addresses = Vec::with_capacity(data.len());
    for &id in data {
        let decl = request.program.decl(id);
        let Some(Definition {
            content,
            shape:
                DefinitionKind::Data {
                    align_log2,
                    size,
                    memory,
                },
        }) = decl.next()
        else {
            continue;
        };
        let image = match images.image_of(*memory) {
            Some(image) => image,
            None => images.add_image(new_image(request.program, request.data_ranges, *memory)?),
        };
        let zero = content.is_empty();
        let address = images.place(image, *size, *align_log2, zero).map_err(|_| {
            let image = &images.images()[image];
            Error::bad_edit(format!(
                "does not fit the addresses {:#x}..{:#x} that data may take",
                image.base, image.limit
            ))
            .with_symbol(decl.label())
            .with_hint("reserve more of the memory for data")
        })?;
        addresses.push((id, address, *size));
    }
    for image in 0..images.images().len() {
        let cap = images.images()[image].top - images.images()[image].base;
        images.set_cap(image, cap);
    }
    Ok(addresses)
}

/// Places pieces of custom sections: the sections in the order of their ids, or by name in a dense output.
fn place_pieces(program: &Program, layout: &mut Layout, pieces: &[DeclId]) -> Result<()> {
    if pieces.is_empty() {
        return Ok(());
    }
    let next = |id: DeclId| program.decl(id).next();
    let wide = program
        .iter()
        .any(|(_, decl)| decl.next().is_some_and(has_wide_addresses));
    layout.customs = CustomSpace::new(wide, layout.options.dense);
    let section_of = |id: &DeclId| next(*id).and_then(Definition::section);
    let mut sections: Vec<SectionId> = pieces.iter().filter_map(section_of).collect();
    sections.sort_unstable();
    sections.dedup();
    let name = |id: SectionId| &*program.sections()[id.index()];
    if layout.options.dense {
        sections.sort_by_key(|id| name(*id));
    }
    for id in sections {
        let at = layout.customs.add(id, name(id));
        layout
            .sections
            .add_custom(layout.customs.section(at).header_len());
    }
    // The last piece of a section can grow where it stands. What the largest leaves when it moves would be most of a
    // section, so that is the one; but not where readers may care for the order.
    let mut largest: Vec<(u32, Option<DeclId>)> = vec![(0, None); program.sections().len()];
    for &id in pieces.iter().filter(|_| !layout.options.dense) {
        if let Some(definition) = next(id)
            && let Some(section) = definition.section()
            && name(section).starts_with(".debug_")
        {
            let len = definition.content.len() as u32;
            let most = &mut largest[section.index()];
            *most = (*most).max((len, Some(id)));
        }
    }
    let last: Vec<DeclId> = largest.into_iter().filter_map(|(_, id)| id).collect();
    let others = pieces.iter().filter(|id| !last.contains(id));
    for &id in others.chain(&last) {
        let decl = program.decl(id);
        let Some(definition) = decl.next() else {
            continue;
        };
        let section = definition.section().and_then(|id| layout.customs.find(id));
        let Some(section) = section else { continue };
        let custom = layout.customs.section_mut(section);
        let len = definition.content.len() as u32;
        let slack = match decl.edited && !layout.options.dense {
            true => piece_slack(custom.filler, len),
            false => 0,
        };
        let full = || {
            Error::limit("a custom section would exceed 4 GiB").with_symbol(decl.label().to_owned())
        };
        let cap = len.checked_add(slack).ok_or_else(full)?;
        let region = custom.append(cap, id).map_err(|_| full())?;
        layout.set_place(id, Place::Custom { section, region });
    }
    Ok(())
}

/// Whether this is a memory whose addresses have eight bytes.
fn has_wide_addresses(definition: &Definition) -> bool {
    match definition.shape {
        DefinitionKind::Memory { is_64, .. } => is_64,
        DefinitionKind::Import { ty: None } => {
            // Two names, the kind, and the flags of the limits.
            let skip = |bytes: &[u8], at: usize| {
                let (len, width) = leb::read_unsigned(bytes.get(at..)?)?;
                Some(at + width + usize::try_from(len).ok()?)
            };
            let bytes = definition.content.bytes();
            let kind = skip(bytes, 0).and_then(|at| skip(bytes, at));
            let flags = kind.and_then(|at| bytes.get(at..at + 2));
            flags.is_some_and(|kind| kind[0] == 2 && kind[1] & 4 != 0)
        }
        _ => false,
    }
}

fn check_limits(layout: &Layout) -> Result<()> {
    let functions = u64::from(layout.functions.imported()) + u64::from(layout.functions.count());
    let globals = u64::from(layout.globals.imported()) + u64::from(layout.globals.count());
    let checks = [
        ("functions", functions),
        ("globals", globals),
        ("types", layout.types.count().into()),
    ];
    for (what, count) in checks {
        if count > u64::from(MOST_INDICES) {
            let error = Error::limit(format!(
                "the output would have {count} {what}; engines take 1,000,000"
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

#[cold]
fn code_full() -> Error {
    Error::limit("the code section would exceed 4 GiB")
}

#[cold]
fn types_full() -> Error {
    Error::limit("the type section would exceed 4 GiB")
}

/// A part of the file that one thread writes at a time.
enum Part {
    Bytes(Vec<u8>),
    Section(SectionKind),
    /// Code entries from the first ordinal to before the second.
    Code(Ordinal, Ordinal),
    /// Of a custom section that consists of pieces, the regions from the first to before the second.
    Pieces(u16, u32, u32),
}

/// Functions whose code one thread writes at a time.
const CHUNK: u32 = 1024;
/// Bytes of a custom section that one thread writes at a time, or one piece.
const CHUNK_BYTES: u32 = 1 << 18;

/// Hands out a whole file to `put`, in parallel; returns the identity that follows from `identity` and the
/// contents, whatever the order in which they were written.
pub(crate) fn write(
    encoder: Encoder<'_>,
    extra: &SectionInputs<'_>,
    identity: BuildIdentity,
    put: impl Fn(u64, &[u8]) -> Result<()> + Sync,
) -> Result<BuildIdentity> {
    let layout = encoder.layout;
    let places = layout.sections.places();
    let mut parts = vec![(0, Part::Bytes(b"\0asm\x01\0\0\0".to_vec()))];
    for (begin, end) in places.pads() {
        let mut header = vec![0; section::pad_header_len(end - begin)];
        section::write_pad_header(&mut header, end - begin);
        parts.push((begin, Part::Bytes(header)));
    }
    for (kind, place) in places.present() {
        if kind == SectionKind::Code {
            let mut header = vec![0; layout.sections.header_len(kind) as usize];
            encoder.header(kind, place, &mut header);
            parts.push((place.begin, Part::Bytes(header)));
            let (first, end) = (layout.functions.first().0, layout.functions.end().0);
            for start in (first..end).step_by(CHUNK as usize) {
                let start = Ordinal(start);
                let offset = place.anchor + u64::from(layout.functions.slot(start).offset);
                parts.push((
                    offset,
                    Part::Code(start, Ordinal((start.0 + CHUNK).min(end))),
                ));
            }
        } else if let SectionKind::Custom(at) = kind {
            let custom = layout.customs.section(at);
            let mut header = vec![0; custom.header_len() as usize];
            encoder.header(kind, place, &mut header);
            header.extend_from_slice(custom.prefix);
            parts.push((place.begin, Part::Bytes(header)));
            let regions = custom.regions();
            let mut start = 0;
            for end in 1..=regions.len() {
                let first = regions[start].offset;
                let behind = regions
                    .get(end)
                    .map_or(custom.end(), |region| region.offset);
                if behind - first >= CHUNK_BYTES || end == regions.len() {
                    let part = Part::Pieces(at, start as u32, end as u32);
                    parts.push((place.anchor + u64::from(first), part));
                    start = end;
                }
            }
        } else if kind != SectionKind::Identity {
            parts.push((place.begin, Part::Section(kind)));
        }
    }
    let write_part = |buffer: &mut Vec<u8>, (offset, part): &(u64, Part)| {
        buffer.clear();
        match part {
            Part::Bytes(bytes) => buffer.extend_from_slice(bytes),
            Part::Section(kind) => {
                let place = places.get(*kind);
                buffer.resize((place.end - place.begin) as usize, 0);
                encoder.section(*kind, place, extra, buffer);
            }
            Part::Pieces(at, start, end) => {
                let custom = layout.customs.section(*at);
                let last = custom.region(end - 1);
                let len = last.offset + last.cap - custom.region(*start).offset;
                buffer.resize(len as usize, 0);
                encoder.custom_range(*at, *start..*end, buffer);
            }
            Part::Code(start, end) => {
                let last = layout.functions.slot(Ordinal(end.0 - 1));
                let len = last.offset + last.cap - layout.functions.slot(*start).offset;
                buffer.resize(len as usize, 0);
                encoder.code_range(*start, *end, buffer);
            }
        }
        put(*offset, buffer)?;
        Ok((*offset, blake3::hash(buffer)))
    };
    let hashes = parts
        .par_iter()
        .with_max_len(1)
        .map_init(Vec::new, write_part)
        .collect::<Result<Vec<_>>>()?;
    let next = identity.next(
        hashes
            .iter()
            .map(|(offset, hash)| (*offset, &hash.as_bytes()[..])),
    );
    let place = places.get(SectionKind::Identity);
    if place.present {
        let mut bytes = vec![0; (place.end - place.begin) as usize];
        next.write(Shape::of(places), &mut bytes);
        put(place.begin, &bytes)?;
    }
    Ok(next)
}
