//! Section garbage collection: what of the program can be reached, by wasm-ld's rules.
//!
//! A function or segment is reached as a whole. Debug information reaches nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::link::command::options::LinkOptions;
use crate::link::resolve::units::LinkedObject;
use crate::link::resolve::{FUNCTION_TABLE, Resolution};
use crate::link::symbols::{Definition, GlobalSymbol, ObjectId, SymbolId, Synthetic, Trap};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Object, Reloc, SegmentFlags, SymbolFlags, SymbolKind};
use crate::parallel::{region, task};

/// A flag for each entry of a table of each object.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// Where each object's entries begin.
    starts: Vec<u32>,
    flags: Vec<bool>,
}

impl Flags {
    fn new(counts: impl Iterator<Item = usize>, value: bool) -> Flags {
        let mut starts = vec![0];
        let mut total = 0;
        for count in counts {
            total += count as u32;
            starts.push(total);
        }
        Flags {
            starts,
            flags: vec![value; total as usize],
        }
    }

    /// The flag of an object's entry.
    #[inline]
    pub fn get(&self, object: ObjectId, index: usize) -> bool {
        self.flags[self.starts[object.index()] as usize + index]
    }

    fn put(&mut self, object: ObjectId, flags: &[bool]) {
        let start = self.starts[object.index()] as usize;
        self.flags[start..start + flags.len()].copy_from_slice(flags);
    }

    /// As many flags, none of them set.
    pub(super) fn unset(&self) -> Flags {
        Flags {
            starts: self.starts.clone(),
            flags: vec![false; self.flags.len()],
        }
    }

    /// Sets the flag of an object's entry; says whether it was unset.
    pub(super) fn set(&mut self, object: ObjectId, index: usize) -> bool {
        let flag = &mut self.flags[self.starts[object.index()] as usize + index];
        !std::mem::replace(flag, true)
    }

    /// The flags of an object's entries.
    pub fn of(&self, object: ObjectId) -> &[bool] {
        let start = self.starts[object.index()] as usize;
        &self.flags[start..self.starts[object.index() + 1] as usize]
    }

    /// How many are set.
    pub fn count(&self) -> usize {
        self.flags.iter().filter(|flag| **flag).count()
    }
}

/// What can be reached.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Defined functions.
    pub functions: Flags,
    /// Segments.
    pub segments: Flags,
    /// Defined globals.
    pub globals: Flags,
    /// Defined tags.
    pub tags: Flags,
    /// Defined tables.
    pub tables: Flags,
    /// Symbols that objects share: whether anything that can be reached refers to them.
    pub symbols: Vec<bool>,
    /// Objects of which anything can be reached, or that the command line names.
    pub objects: Vec<bool>,
}

impl Live {
    /// Whether what a symbol means can be reached.
    pub fn is_live(&self, resolution: &Resolution, id: SymbolId) -> bool {
        match resolution.table.get(id).place() {
            Some((object, symbol)) => self
                .is_entry_live(resolution, object, symbol)
                .unwrap_or(self.symbols[id.index()]),
            None => self.symbols[id.index()],
        }
    }

    /// Whether what an object's symbol stands for can be reached; `None` if it stands for nothing of its own.
    fn is_entry_live(
        &self,
        resolution: &Resolution,
        id: ObjectId,
        symbol: SymbolIndex,
    ) -> Option<bool> {
        let object = &resolution.object(id).object;
        Some(match entity(object, symbol)? {
            Entity::Function(function) => self.functions.get(id, function),
            Entity::Segment(segment) => self.segments.get(id, segment),
            Entity::Global(global) => self.globals.get(id, global),
            Entity::Tag(tag) => self.tags.get(id, tag),
            Entity::Table(table) => self.tables.get(id, table),
        })
    }
}

/// Whether a symbol is exported.
pub fn is_exported(symbol: &GlobalSymbol, options: &LinkOptions) -> bool {
    if !symbol.is_defined() || symbol.flags.has(SymbolFlags::LOCAL) {
        return false;
    }
    options.export_all
        || (options.export_dynamic && !symbol.flags.has(SymbolFlags::HIDDEN))
        || symbol.force_export
        || symbol.flags.has(SymbolFlags::EXPORTED)
}

/// What an object's symbol can stand for in the object: a place in one of its tables of what it defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entity {
    Function(usize),
    Segment(usize),
    Global(usize),
    Tag(usize),
    Table(usize),
}

/// What an object's symbol stands for in the object, if the object defines it.
#[inline]
pub(super) fn entity(object: &Object, symbol: SymbolIndex) -> Option<Entity> {
    let symbol = &object.symbols[symbol.index()];
    match symbol.kind {
        SymbolKind::Function => {
            let function = object.defined_function(symbol.function()?)?;
            Some(Entity::Function(function))
        }
        SymbolKind::Data => Some(Entity::Segment(symbol.segment()?.index())),
        SymbolKind::Global => Some(Entity::Global(object.defined_global(symbol.global()?)?)),
        SymbolKind::Tag => Some(Entity::Tag(object.defined_tag(symbol.tag()?)?)),
        SymbolKind::Table => Some(Entity::Table(object.defined_table(symbol.table()?)?)),
        SymbolKind::Section => None,
    }
}

/// Whether a symbol that objects share is needed whether or not anything refers to it.
fn is_root(symbol: &GlobalSymbol, options: &LinkOptions) -> bool {
    symbol.flags.has(SymbolFlags::NO_STRIP) || is_exported(symbol, options)
}

/// What is needed whether or not anything refers to it, of the symbols that objects share.
pub(super) fn roots<'a>(
    resolution: &'a Resolution,
    options: &'a LinkOptions,
) -> impl Iterator<Item = SymbolId> + 'a {
    let order = resolution.table.order().iter().copied();
    let kept = order.filter(|id| is_root(resolution.table.get(*id), options));
    called(resolution).chain(kept)
}

/// What is called from outside.
fn called(resolution: &Resolution) -> impl Iterator<Item = SymbolId> {
    resolution.entry.into_iter().chain(resolution.call_dtors)
}

/// What an object that is linked needs in any case, of its own symbols: its init functions.
pub(super) fn init_symbols(linked: &LinkedObject) -> impl Iterator<Item = SymbolIndex> + '_ {
    let inits = linked.object.init_functions.iter().map(|init| init.symbol);
    inits.filter(|init| !linked.is_discarded(&linked.object.symbols[init.index()]))
}

/// What an object that is linked needs in any case, of its own segments: those that it wants to be kept.
pub(super) fn retained_segments(linked: &LinkedObject) -> impl Iterator<Item = usize> + '_ {
    let segments = linked.object.segments.iter().enumerate();
    segments.filter_map(|(at, segment)| segment.flags.has(SegmentFlags::RETAIN).then_some(at))
}

/// What a relocation leads to.
pub(super) enum Edge {
    /// What a symbol of the object itself stands for.
    Own(SymbolIndex),
    /// What a symbol means that objects share, and whether only its address in the function table is asked for: that of a
    /// function which traps is zero, and takes no function.
    Shared(SymbolId, bool),
}

/// What relocations of an object lead to.
#[inline]
pub(super) fn edges<'a>(
    linked: &'a LinkedObject,
    relocs: &'a [Reloc],
) -> impl Iterator<Item = Edge> + 'a {
    relocs.iter().filter_map(|reloc| {
        let symbol = reloc.symbol()?;
        Some(match linked.refs[symbol.index()].symbol() {
            Some(global) => Edge::Shared(global, is_absolute_table_index(reloc)),
            None => Edge::Own(symbol),
        })
    })
}

/// Finds out what can be reached, and settles whether there is a function table.
pub fn mark(resolution: &mut Resolution, options: &LinkOptions) -> Live {
    let gc = options.gc_sections;
    let count = |f: fn(&Object) -> usize| {
        Flags::new(
            resolution.objects.iter().map(|linked| f(&linked.object)),
            !gc,
        )
    };
    let mut live = Live {
        functions: count(|object| object.functions.len()),
        segments: count(|object| object.segments.len()),
        globals: count(|object| object.globals.len()),
        tags: count(|object| object.tags.len()),
        tables: count(|object| object.tables.len()),
        symbols: vec![!gc; resolution.table.symbols().len()],
        objects: resolution
            .objects
            .iter()
            .map(|linked| linked.is_live)
            .collect(),
    };
    match gc {
        true => Marker::run(resolution, options, &mut live),
        false => drop_discarded(resolution, &mut live),
    }
    let needs_ctors = resolution.each_object().any(|(id, linked)| {
        let mut inits = linked.object.init_functions.iter();
        inits.any(|init| init_target(resolution, &live, id, init.symbol).is_some())
    });
    live.symbols[resolution.call_ctors.index()] |= needs_ctors;
    live.symbols[resolution.stack_pointer.index()] = true;
    settle_function_table(resolution, &mut live, options);
    live
}

/// What is visited: a function's or a segment's relocations.
#[derive(Clone, Copy)]
enum GcNode {
    Function(u32),
    Segment(u32),
}

/// What was reached of one object.
struct Marks {
    functions: Vec<bool>,
    segments: Vec<bool>,
    globals: Vec<bool>,
    tags: Vec<bool>,
    tables: Vec<bool>,
    is_live: bool,
    /// Symbols of the object that were reached from others.
    inbox: Vec<SymbolIndex>,
}

/// Marks in rounds: in each, every object goes through what was reached of it, and what that reaches within the
/// object; what it reaches in others waits for the next round. So the objects can be gone through on all cores, and each
/// one's tables are near while they are needed.
struct Marker<'a> {
    resolution: &'a Resolution,
    /// Symbols that were reached.
    symbols: Vec<AtomicBool>,
}

/// One object in one round.
struct Visit<'a> {
    marker: &'a Marker<'a>,
    id: ObjectId,
    linked: &'a LinkedObject,
    marks: &'a mut Marks,
    stack: Vec<GcNode>,
    /// What was reached in other objects.
    outbox: Vec<(ObjectId, SymbolIndex)>,
}

impl Marker<'_> {
    fn run(resolution: &Resolution, options: &LinkOptions, live: &mut Live) {
        let marker = Marker {
            resolution,
            symbols: live
                .symbols
                .iter()
                .map(|live| AtomicBool::new(*live))
                .collect(),
        };
        let mut marks: Vec<Marks> = resolution
            .objects
            .iter()
            .map(|linked| Marks {
                functions: vec![false; linked.object.functions.len()],
                segments: vec![false; linked.object.segments.len()],
                globals: vec![false; linked.object.globals.len()],
                tags: vec![false; linked.object.tags.len()],
                tables: vec![false; linked.object.tables.len()],
                is_live: false,
                inbox: Vec::new(),
            })
            .collect();
        let kept = |_: SymbolId, symbol: &GlobalSymbol| is_root(symbol, options);
        for root in called(resolution).chain(resolution.table.select(kept)) {
            if let Some((object, symbol)) = marker.reach(root) {
                marks[object.index()].inbox.push(symbol);
            }
        }
        let mut is_first = true;
        loop {
            let visit = |(index, marks): (usize, &mut Marks)| {
                let is_root = is_first && resolution.objects[index].is_live;
                match marks.inbox.is_empty() && !is_root {
                    true => Vec::new(),
                    false => task(|| marker.visit(ObjectId(index as u32), marks, is_root)),
                }
            };
            let marks_of = marks.par_iter_mut().enumerate();
            let reached: Vec<Vec<(ObjectId, SymbolIndex)>> =
                region(|| marks_of.map(visit).collect());
            is_first = false;
            let mut any = false;
            for (object, symbol) in reached.into_iter().flatten() {
                marks[object.index()].inbox.push(symbol);
                any = true;
            }
            if !any {
                break;
            }
        }
        for (index, marks) in marks.into_iter().enumerate() {
            let id = ObjectId(index as u32);
            live.functions.put(id, &marks.functions);
            live.segments.put(id, &marks.segments);
            live.globals.put(id, &marks.globals);
            live.tags.put(id, &marks.tags);
            live.tables.put(id, &marks.tables);
            live.objects[index] |= marks.is_live;
        }
        live.symbols = marker
            .symbols
            .into_iter()
            .map(AtomicBool::into_inner)
            .collect();
    }

    /// Notes that a symbol was reached; if that is news, returns what it means in an object.
    #[inline]
    fn reach(&self, id: SymbolId) -> Option<(ObjectId, SymbolIndex)> {
        // Nearly all references are to what has been reached before.
        let flag = &self.symbols[id.index()];
        if flag.load(Ordering::Relaxed) || flag.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.resolution.table.get(id).place()
    }

    fn visit(
        &self,
        id: ObjectId,
        marks: &mut Marks,
        is_root: bool,
    ) -> Vec<(ObjectId, SymbolIndex)> {
        let inbox = std::mem::take(&mut marks.inbox);
        let mut visit = Visit {
            marker: self,
            id,
            linked: self.resolution.object(id),
            marks,
            stack: Vec::new(),
            outbox: Vec::new(),
        };
        if is_root {
            visit.be_live();
        }
        for symbol in inbox {
            visit.entry(symbol);
        }
        visit.work();
        visit.outbox
    }
}

impl Visit<'_> {
    /// What an object's being linked reaches: its init functions and what it wants to be kept.
    fn be_live(&mut self) {
        if std::mem::replace(&mut self.marks.is_live, true) {
            return;
        }
        let linked = self.linked;
        for init in init_symbols(linked) {
            match linked.symbol_ref(init).symbol() {
                Some(global) => self.global(global),
                None => self.entry(init),
            }
        }
        for segment in retained_segments(linked) {
            self.segment(segment);
        }
    }

    #[inline]
    fn global(&mut self, id: SymbolId) {
        if let Some((object, symbol)) = self.marker.reach(id) {
            match object == self.id {
                true => self.entry(symbol),
                false => self.outbox.push((object, symbol)),
            }
        }
    }

    /// What a symbol of the object stands for in the object.
    fn entry(&mut self, symbol: SymbolIndex) {
        let linked = self.linked;
        let flag = match entity(&linked.object, symbol) {
            Some(Entity::Function(function)) => {
                if !self.marks.functions[function] && !linked.is_function_discarded(function) {
                    self.marks.functions[function] = true;
                    self.stack.push(GcNode::Function(function as u32));
                    self.be_live();
                }
                return;
            }
            Some(Entity::Segment(segment)) => {
                self.segment(segment);
                return;
            }
            Some(Entity::Global(global)) => Some(&mut self.marks.globals[global]),
            Some(Entity::Tag(tag)) => Some(&mut self.marks.tags[tag]),
            Some(Entity::Table(table)) => Some(&mut self.marks.tables[table]),
            None => None,
        };
        if let Some(flag) = flag
            && !std::mem::replace(flag, true)
        {
            self.be_live();
        }
    }

    fn segment(&mut self, segment: usize) {
        if !self.marks.segments[segment] && !self.linked.is_segment_discarded(segment) {
            self.marks.segments[segment] = true;
            self.stack.push(GcNode::Segment(segment as u32));
            self.be_live();
        }
    }

    fn work(&mut self) {
        let object = &self.linked.object;
        while let Some(chunk) = self.stack.pop() {
            match chunk {
                GcNode::Function(function) => {
                    self.relocs(object.function_relocs(&object.functions[function as usize]));
                }
                GcNode::Segment(segment) => {
                    self.relocs(object.segment_relocs(SegmentIndex(segment)))
                }
            }
        }
    }

    fn relocs(&mut self, relocs: &[Reloc]) {
        let linked = self.linked;
        for edge in edges(linked, relocs) {
            match edge {
                Edge::Own(symbol) => self.entry(symbol),
                Edge::Shared(global, takes_address) => {
                    let takes_no_function = takes_address
                        && !self.marker.symbols[global.index()].load(Ordering::Relaxed)
                        && self.marker.resolution.table.get(global).is_stub();
                    if !takes_no_function {
                        self.global(global);
                    }
                }
            }
        }
    }
}

/// Without collection everything is live but what other objects provide.
fn drop_discarded(resolution: &Resolution, live: &mut Live) {
    for (id, linked) in resolution.each_object() {
        if linked.kept_comdats.iter().all(|kept| *kept) {
            continue;
        }
        let object = &linked.object;
        let functions =
            (0..object.functions.len()).map(|index| !linked.is_function_discarded(index));
        live.functions.put(id, &functions.collect::<Vec<bool>>());
        let segments = (0..object.segments.len()).map(|index| !linked.is_segment_discarded(index));
        live.segments.put(id, &segments.collect::<Vec<bool>>());
    }
}

fn is_absolute_table_index(reloc: &Reloc) -> bool {
    use crate::object::RelocType::*;
    matches!(
        reloc.kind(),
        TableIndexSleb | TableIndexSleb64 | TableIndexI32 | TableIndexI64
    )
}

/// A function that runs before the program starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitTarget {
    /// One that an object defines, by the object's symbol.
    Defined(ObjectId, SymbolIndex),
    /// One that no object defines: an import, or a function that traps because it may be undefined.
    Undefined(SymbolId),
}

/// The function that an object's init function is, if it is linked. Nobody misses a weak one that nothing defines.
pub fn init_target(
    resolution: &Resolution,
    live: &Live,
    id: ObjectId,
    symbol: SymbolIndex,
) -> Option<InitTarget> {
    let linked = resolution.object(id);
    let (id, symbol) = match linked.symbol_ref(symbol).symbol() {
        Some(global) => {
            let known = resolution.table.get(global);
            let is_open = match known.definition {
                Definition::Undefined => !known.is_weak(),
                Definition::Trap(trap) => trap == Trap::Undefined,
                _ => false,
            };
            if is_open && live.objects[id.index()] {
                return Some(InitTarget::Undefined(global));
            }
            known.place()?
        }
        None => (id, symbol),
    };
    let is_live = live.is_entry_live(resolution, id, symbol)?;
    is_live.then_some(InitTarget::Defined(id, symbol))
}

/// The function table is imported, or made if something that is live refers to it or it is to be exported.
fn settle_function_table(resolution: &mut Resolution, live: &mut Live, options: &LinkOptions) {
    let existing = resolution.find(FUNCTION_TABLE);
    if let Some(id) = existing {
        let symbol = resolution.table.get(id);
        let text = match symbol.kind {
            SymbolKind::Table if !symbol.is_defined() => None,
            SymbolKind::Table => Some("is reserved: no object may define it"),
            _ => Some("is reserved for a table"),
        };
        if let Some(text) = text {
            let error = crate::Error::bad_input(text).with_symbol(FUNCTION_TABLE);
            resolution.diagnostics.error(error);
            return;
        }
    }
    if options.import_table {
        if let Some(id) = existing {
            let env = resolution.names.add_text("env");
            let name = resolution.table.get(id).name;
            let symbol = resolution.table.get_mut(id);
            symbol.import_module = env;
            symbol.import_name = name;
        }
        return;
    }
    let is_needed = existing.is_some_and(|id| live.symbols[id.index()] || resolution.legacy_table);
    let mut exports = options.exports.iter().chain(&options.exports_if_defined);
    let is_named = exports.any(|name| name == FUNCTION_TABLE);
    let is_exported = options.export_table || (existing.is_some() && is_named);
    if is_needed || is_exported {
        let id = resolution.add_function_table();
        live.symbols.resize(resolution.table.symbols().len(), true);
        live.symbols[id.index()] = true;
        let symbol = resolution.table.get_mut(id);
        symbol.force_export = is_exported;
        if is_exported {
            symbol.flags = symbol.flags.without(SymbolFlags::HIDDEN);
        }
    }
}

impl Resolution {
    /// Makes the function table a symbol of the linker.
    pub fn add_function_table(&mut self) -> SymbolId {
        let name = self.names.add_text(FUNCTION_TABLE);
        self.table.add_synthetic(
            name,
            SymbolKind::Table,
            crate::link::symbols::SymbolType::Table(0x70),
            Synthetic::FunctionTable,
        )
    }
}

/// What `--print-gc-sections` lists: the name of each function and segment that was dropped, with its object.
pub fn dropped(resolution: &Resolution, live: &Live) -> Vec<(ObjectId, String)> {
    let mut dropped = Vec::new();
    for (id, linked) in resolution.each_object() {
        let object = &linked.object;
        for (index, is_live) in live.functions.of(id).iter().enumerate() {
            if !is_live {
                let name = object.function_name(index).unwrap_or("(unnamed)");
                dropped.push((id, name.to_owned()));
            }
        }
        for (index, is_live) in live.segments.of(id).iter().enumerate() {
            if !is_live {
                dropped.push((id, object.str(object.segments[index].name).to_owned()));
            }
        }
    }
    dropped
}
