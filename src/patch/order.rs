//! The order in which a fresh layout places declarations.

use std::cmp::{Ordering, Reverse};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use crate::parallel::{region, select, task};
use crate::program::{
    DeclId, DeclKind, Definition, DefinitionKind, Program, RelocKind, Relocation,
};
use crate::wire::dwarf;

/// Declarations that one thread goes through at a time.
pub(super) const RUN: usize = 4096;

/// All that will be defined, in the order of declaration.
pub(crate) fn by_declaration(program: &Program) -> Vec<DeclId> {
    declared(program, true)
}

/// All that will be defined, in the order of declaration; with `sort`, globals as a module must have them.
fn declared(program: &Program, sort: bool) -> Vec<DeclId> {
    let place = |at: usize| {
        let id = DeclId(at as u32);
        let decl = program.get(id)?;
        (!decl.is_orphan && decl.next().is_some()).then_some((decl.serial, id))
    };
    let all = program.capacity();
    let runs = (0..all.div_ceil(RUN)).into_par_iter();
    let run = |run: usize| {
        let ids = run * RUN..all.min((run + 1) * RUN);
        task(|| ids.filter_map(place).collect())
    };
    let runs: Vec<Vec<(u32, DeclId)>> = region(|| runs.map(run).collect());
    let mut order = runs.concat();
    // Ids are used again; segments must keep the order in which they are applied.
    if !order.is_sorted() {
        order.sort_unstable();
    }
    let mut order: Vec<DeclId> = order.into_iter().map(|(_, id)| id).collect();
    if sort {
        sort_globals(program, &mut order);
    }
    order
}

/// Those of which something holds, and the others, each in their order.
pub(crate) fn partition(
    ids: &[DeclId],
    holds: impl Fn(&DeclId) -> bool + Sync,
) -> (Vec<DeclId>, Vec<DeclId>) {
    let split = |run: &[DeclId]| task(|| run.iter().copied().partition(&holds));
    let runs = ids.par_chunks(RUN);
    let parts: Vec<(Vec<DeclId>, Vec<DeclId>)> = region(|| runs.map(split).collect());
    let (first, second): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    (first.concat(), second.concat())
}

/// Puts globals behind those that their initialisers name, as a module must have them.
fn sort_globals(program: &Program, order: &mut [DeclId]) {
    let named = |id: DeclId| {
        let relocs = program.decl(id).next().map(|next| next.content.relocs());
        let targets = relocs.into_iter().flatten().filter_map(Relocation::decl);
        targets.filter(|target| is_defined_global(program, *target))
    };
    let globals = select(order, |id| is_defined_global(program, id));
    if globals.iter().all(|id| named(*id).next().is_none()) {
        return;
    }
    let mut sorted = Vec::with_capacity(globals.len());
    let mut done = vec![false; program.capacity()];
    let mut open = Vec::new();
    for id in globals {
        open.push((id, false));
        while let Some((id, names_done)) = open.pop() {
            if names_done {
                sorted.push(id);
            } else if !std::mem::replace(&mut done[id.index()], true) {
                open.push((id, true));
                let first = open.len();
                open.extend(named(id).map(|target| (target, false)));
                open[first..].reverse();
            }
        }
    }
    let mut next = sorted.into_iter();
    for id in order.iter_mut() {
        if is_defined_global(program, *id)
            && let Some(global) = next.next()
        {
            *id = global;
        }
    }
}

fn is_defined_global(program: &Program, id: DeclId) -> bool {
    program.kind_of(id) == Some(DeclKind::Global)
        && program
            .decl(id)
            .next()
            .is_some_and(|next| !next.is_import())
}

/// All that will be defined, in an order that depends on the program alone and not on how it came about: what the exports,
/// the start function and the segments reach, in the order in which it is reached, then the rest by name and contents.
pub(crate) fn canonical(
    program: &Program,
    exported: impl Iterator<Item = DeclId>,
    start: Option<DeclId>,
    slot_table: Option<DeclId>,
) -> Vec<DeclId> {
    let is_piece = |id: &DeclId| program.decl(*id).kind == DeclKind::Custom;
    let (mut pieces, all) = partition(&declared(program, false), is_piece);
    let mut walk = Walk::through(program, &all);
    // Code of the first version of WebAssembly calls through table 0 without naming it.
    let first = slot_table.into_iter();
    walk.follow(first.chain(exported).chain(start));
    let is_segment = |id: DeclId| {
        use crate::program::DeclKind::{DataSegment, ElementSegment};
        matches!(program.decl(id).kind, ElementSegment | DataSegment)
    };
    let segments = select(&all, is_segment);
    // Segments keep their order: it is the order in which they are applied.
    for segment in &segments {
        walk.follow([*segment]);
    }
    // Of what nothing has led to by now, each that stands before others may lead to these.
    let mut rest = select(&all, |id| !walk.seen[id.index()]);
    pieces.sort_by(|a, b| compare_pieces(program, *a, *b, &[]).then_with(|| a.cmp(b)));
    sort_by_contents(program, &mut rest, &pieces);
    for seed in rest {
        walk.follow([seed]);
    }
    let mut order = walk.order;
    // What was reached from elsewhere must not come before an earlier segment.
    if !segments.is_empty() {
        let places = order.iter_mut().filter(|id| is_segment(**id));
        places
            .zip(segments)
            .for_each(|(place, segment)| *place = segment);
    }
    sort_globals(program, &mut order);
    often_named_first(program, &mut order);
    // Nothing is there because a piece of a custom section names it. Of those that say the same, what they name decides.
    let mut places = vec![usize::MAX; program.capacity()];
    for (at, id) in order.iter().enumerate() {
        places[id.index()] = at;
    }
    pieces.sort_by(|a, b| compare_pieces(program, *a, *b, &places).then_with(|| a.cmp(b)));
    order.extend(pieces);
    order
}

/// The order of pieces of custom sections: by name, section and contents, and by the places of what they name, as far as
/// these are known.
fn compare_pieces(program: &Program, a: DeclId, b: DeclId, places: &[usize]) -> Ordering {
    let name = |id: DeclId| program.decl(id).given_name();
    let section = |id: DeclId| {
        let section = program.decl(id).next().and_then(Definition::section);
        section.map(|section| &*program.sections()[section.index()])
    };
    let bytes = |id: DeclId| program.decl(id).next().into_iter().flat_map(meaningful);
    let named = |id: DeclId| {
        let next = program.decl(id).next();
        let relocs = next.into_iter().flat_map(|next| next.content.relocs());
        relocs.map(|reloc| {
            // Of strings it says nothing where they stand, and in which piece.
            if let Some(text) = named_string(program, reloc) {
                return (reloc.offset, 0, None, text);
            }
            let place = reloc.decl().and_then(|target| places.get(target.index()));
            (reloc.offset, reloc.addend, place.copied(), &[][..])
        })
    };
    name(a)
        .cmp(&name(b))
        .then_with(|| section(a).cmp(&section(b)))
        .then_with(|| bytes(a).cmp(bytes(b)))
        .then_with(|| named(a).cmp(named(b)))
}

/// The string of debug information that a field names.
fn named_string<'a>(program: &'a Program, reloc: &Relocation) -> Option<&'a [u8]> {
    if reloc.kind != RelocKind::SectionOffsetI32 {
        return None;
    }
    let definition = program.get(reloc.decl()?)?.next()?;
    let section = definition.section()?;
    if !dwarf::is_of_strings(&program.sections()[section.index()]) {
        return None;
    }
    let start = usize::try_from(reloc.addend).ok()?;
    let rest = definition.content.bytes().get(start..)?;
    rest.split(|byte| *byte == 0).next()
}

/// Goes along references, and notes in which order it gets to what: what is nearest first, and what is named by those that
/// came first.
struct Walk<'a> {
    program: &'a Program,
    /// What has been reached, or is not gone through.
    seen: Vec<bool>,
    order: Vec<DeclId>,
}

impl<'a> Walk<'a> {
    fn through(program: &'a Program, all: &[DeclId]) -> Walk<'a> {
        let mut seen = vec![true; program.capacity()];
        all.iter().for_each(|id| seen[id.index()] = false);
        Walk {
            program,
            seen,
            order: Vec::with_capacity(all.len()),
        }
    }

    fn reach(&mut self, id: DeclId) {
        if !std::mem::replace(&mut self.seen[id.index()], true) {
            self.order.push(id);
        }
    }

    /// All that these lead to, what is nearest first.
    fn follow(&mut self, seeds: impl IntoIterator<Item = DeclId>) {
        let mut done = self.order.len();
        seeds.into_iter().for_each(|id| self.reach(id));
        while done < self.order.len() {
            // What is as far away as this one.
            let end = self.order.len();
            if end - done < FEW {
                for at in done..end {
                    let targets = targets(self.program, self.order[at]);
                    targets.for_each(|target| self.reach(target));
                }
            } else {
                for target in self.found(done..end).into_iter().flatten() {
                    self.reach(target);
                }
            }
            done = end;
        }
    }

    /// What a part of the order names that was not reached before, in parts; some of it more than once.
    fn found(&self, part: Range<usize>) -> Vec<Vec<DeclId>> {
        let (program, seen) = (self.program, &self.seen);
        let look = |run: &[DeclId]| {
            let mut found = Vec::new();
            for target in run.iter().flat_map(|id| targets(program, *id)) {
                // The same is often named several times by one.
                if !seen[target.index()] && found.last() != Some(&target) {
                    found.push(target);
                }
            }
            found
        };
        let runs = self.order[part].par_chunks(FEW);
        region(|| runs.map(|run| task(|| look(run))).collect())
    }
}

/// Declarations that one thread goes on from alone.
const FEW: usize = 256;

/// What a declaration names.
fn targets(program: &Program, id: DeclId) -> impl Iterator<Item = DeclId> + use<'_> {
    let relocs = program.decl(id).next().map(|next| next.content.relocs());
    relocs.into_iter().flatten().filter_map(Relocation::decl)
}

/// Sorts what nothing refers to: by name, and where that does not tell them apart, as with data, which has none, by
/// contents, and by those of what it refers to. What is the same in all of that comes in the order in which `pieces` name
/// it: debug information tells apart what the program does not. The rest is interchangeable, as far as one looks.
fn sort_by_contents(program: &Program, rest: &mut [DeclId], pieces: &[DeclId]) {
    let compare = |a: &DeclId, b: &DeclId| same_contents_last(program, *a, *b, MOST_DEPTH);
    rest.sort_by(|a, b| compare(a, b).then_with(|| a.cmp(b)));
    let mut same = rest
        .chunk_by_mut(|a, b| compare(a, b).is_eq())
        .filter(|same| same.len() > 1)
        .peekable();
    if same.peek().is_none() || pieces.is_empty() {
        return;
    }
    let mut first_named = vec![usize::MAX; program.capacity()];
    let relocs = pieces.iter().flat_map(|piece| {
        let next = program.decl(*piece).next();
        next.into_iter().flat_map(|next| next.content.relocs())
    });
    for (at, target) in relocs.filter_map(Relocation::decl).enumerate() {
        let first = &mut first_named[target.index()];
        *first = at.min(*first);
    }
    for same in same {
        same.sort_by_key(|id| (first_named[id.index()], *id));
    }
}

/// How far contents are compared along references.
const MOST_DEPTH: usize = 3;

fn same_contents_last(program: &Program, a: DeclId, b: DeclId, depth: usize) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    // What has a name comes first: it may lead to what has none.
    let name = |id: DeclId| {
        let name = program.decl(id).given_name();
        (name.is_none(), name)
    };
    let extent = |id: DeclId| match program.decl(id).next().map(|next| &next.shape) {
        Some(DefinitionKind::Data {
            align_log2, size, ..
        }) => (*size, *align_log2),
        _ => (0, 0),
    };
    let order = name(a)
        .cmp(&name(b))
        .then_with(|| extent(a).cmp(&extent(b)));
    let (Some(a), Some(b)) = (program.decl(a).next(), program.decl(b).next()) else {
        return order;
    };
    let order = order.then_with(|| meaningful(a).cmp(meaningful(b)));
    let relocs = a.content.relocs().iter().zip(b.content.relocs());
    relocs.fold(order, |order, (a, b)| {
        let place = |reloc: &Relocation| (reloc.offset, reloc.kind, reloc.addend);
        order
            .then_with(|| place(a).cmp(&place(b)))
            .then_with(|| match (a.decl(), b.decl()) {
                (Some(a), Some(b)) if depth > 0 => same_contents_last(program, a, b, depth - 1),
                _ => Ordering::Equal,
            })
    })
}

/// The bytes of a definition but those under its relocations.
fn meaningful(definition: &Definition) -> impl Iterator<Item = &[u8]> {
    let bytes = definition.content.bytes();
    let relocs = definition.content.relocs().iter();
    let fields = relocs.map(|reloc| (reloc.offset as usize, reloc.kind.width()));
    let mut at = 0;
    fields.chain([(bytes.len(), 0)]).map(move |(start, width)| {
        let part = &bytes[at..start];
        at = start + width;
        part
    })
}

/// Indices below these take one and two bytes.
const SHORT: [usize; 2] = [1 << 7, 1 << 14];

/// Gives the functions that are named most often the indices that are the shortest; those of one length keep their order.
fn often_named_first(program: &Program, order: &mut [DeclId]) {
    let definition = |id: DeclId| program.decl(id).next();
    let is_import = |id: DeclId, next: &Definition| {
        program.decl(id).kind == DeclKind::Function && next.is_import()
    };
    // Where functions with a body stand, and how many others there are.
    let look = |(run, ids): (usize, &[DeclId])| {
        let (mut places, mut imported) = (Vec::new(), 0);
        for (place, id) in (run * RUN..).zip(ids) {
            match definition(*id) {
                Some(next) if next.is_body() => places.push(place),
                Some(next) if is_import(*id, next) => imported += 1,
                _ => {}
            }
        }
        (places, imported)
    };
    let runs = order.par_chunks(RUN).enumerate();
    let looked: Vec<(Vec<usize>, usize)> = region(|| runs.map(|run| task(|| look(run))).collect());
    let imported: usize = looked.iter().map(|(_, imported)| imported).sum();
    let places: Vec<usize> = looked.into_iter().flat_map(|(places, _)| places).collect();
    let functions: Vec<DeclId> = places.iter().map(|place| order[*place]).collect();
    if imported + functions.len() <= SHORT[0] {
        return;
    }
    let uses: Vec<AtomicU32> = std::iter::repeat_with(AtomicU32::default)
        .take(program.capacity())
        .collect();
    let count = |run: &[DeclId]| {
        let relocs = run.iter().filter_map(|id| definition(*id));
        for reloc in relocs.flat_map(|next| next.content.relocs()) {
            if let Some(target) = reloc.decl().filter(|_| reloc.kind.is_function_index()) {
                uses[target.index()].fetch_add(1, Relaxed);
            }
        }
    };
    region(|| order.par_chunks(FEW).for_each(|run| task(|| count(run))));
    let used = |id: &DeclId| Reverse(uses[id.index()].load(Relaxed));
    let mut by_use: Vec<(Reverse<u32>, usize)> = functions.iter().map(used).zip(0..).collect();
    // How many bytes each one's index takes: two, and then one, for those that are named most often.
    let mut widths = vec![SHORT.len() + 1; functions.len()];
    for width in (1..=SHORT.len()).rev() {
        let bound = SHORT[width - 1].saturating_sub(imported);
        if bound < by_use.len() {
            by_use.select_nth_unstable(bound);
            by_use.truncate(bound);
        }
        by_use.iter().for_each(|(_, at)| widths[*at] = width);
    }
    let of_width = |width| {
        let functions = functions.iter().zip(&widths);
        let those = functions.filter(move |(_, its)| **its == width);
        those.map(|(function, _)| *function)
    };
    let sorted = (1..=SHORT.len() + 1).flat_map(of_width);
    for (place, function) in places.into_iter().zip(sorted) {
        order[place] = function;
    }
}
