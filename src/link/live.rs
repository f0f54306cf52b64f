//! Section garbage collection: what of the program can be reached, by wasm-ld's rules.
//!
//! A function or segment is reached as a whole. Debug information reaches nothing.

use crate::link::options::LinkOptions;
use crate::link::resolve::{FUNCTION_TABLE, Resolution};
use crate::link::symbols::{Definition, GlobalSymbol, ObjectId, SymbolId, Synthetic};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Reloc, SegmentFlags, SymbolFlags, SymbolKind};

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

    /// Sets the flag of an object's entry; says whether it was unset.
    #[inline]
    fn set(&mut self, object: ObjectId, index: usize) -> bool {
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
        let symbol = &object.symbols[symbol.index()];
        match symbol.kind {
            SymbolKind::Function => {
                let function = object.defined_function(symbol.function()?)?;
                Some(self.functions.get(id, function))
            }
            SymbolKind::Data => Some(self.segments.get(id, symbol.segment()?.index())),
            SymbolKind::Global => {
                let global = object.defined_global(symbol.global()?)?;
                Some(self.globals.get(id, global))
            }
            SymbolKind::Tag => Some(self.tags.get(id, object.defined_tag(symbol.tag()?)?)),
            SymbolKind::Table => Some(self.tables.get(id, object.defined_table(symbol.table()?)?)),
            SymbolKind::Section => None,
        }
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

/// Finds out what can be reached, and settles whether there is a function table.
pub fn mark(resolution: &mut Resolution, options: &LinkOptions) -> Live {
    let gc = options.gc_sections;
    let count = |f: fn(&crate::object::Object) -> usize| {
        Flags::new(
            resolution.objects.iter().map(|linked| f(&linked.object)),
            !gc,
        )
    };
    let live = Live {
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
    let mut marker = Marker {
        resolution,
        live,
        queue: Vec::new(),
    };
    match gc {
        true => marker.run(options),
        false => marker.drop_discarded(),
    }
    let ctors_needed = marker.needs_call_ctors();
    let mut live = marker.live;
    let ctors = resolution.call_ctors;
    live.symbols[ctors.index()] |= ctors_needed;
    live.symbols[resolution.stack_pointer.index()] = true;
    settle_function_table(resolution, &mut live, options);
    live
}

/// What is visited: a function's or a segment's relocations.
#[derive(Clone, Copy)]
enum Chunk {
    Function(ObjectId, u32),
    Segment(ObjectId, u32),
}

struct Marker<'a> {
    resolution: &'a Resolution,
    live: Live,
    queue: Vec<Chunk>,
}

impl Marker<'_> {
    fn run(&mut self, options: &LinkOptions) {
        let resolution = self.resolution;
        if let Some(entry) = resolution.entry {
            self.symbol(entry);
        }
        for id in resolution.table.order() {
            let symbol = resolution.table.get(*id);
            if symbol.flags.has(SymbolFlags::NO_STRIP) || is_exported(symbol, options) {
                self.symbol(*id);
            }
        }
        if let Some(dtors) = resolution.call_dtors {
            self.symbol(dtors);
        }
        for (id, linked) in resolution.each_object() {
            if linked.is_live {
                self.implicit(id);
            }
        }
        self.work();
    }

    /// What an object's being linked reaches: its init functions and what it wants to be kept.
    fn implicit(&mut self, id: ObjectId) {
        let linked = self.resolution.object(id);
        for init in &linked.object.init_functions {
            if !linked.is_discarded(&linked.object.symbols[init.symbol.index()]) {
                self.object_symbol(id, init.symbol);
            }
        }
        for (index, segment) in linked.object.segments.iter().enumerate() {
            if segment.flags.has(SegmentFlags::RETAIN) && !linked.is_segment_discarded(index) {
                self.segment(id, index as u32);
            }
        }
    }

    fn symbol(&mut self, id: SymbolId) {
        let symbol = self.resolution.table.get(id);
        let was_live = std::mem::replace(&mut self.live.symbols[id.index()], true);
        if let Definition::Object { object, symbol } = symbol.definition {
            self.entry(object, symbol);
        } else if !was_live && let Some(object) = symbol.object.filter(|_| symbol.is_defined()) {
            // Another name, from the command line, for what the object defines.
            self.object(object);
        }
    }

    fn object(&mut self, id: ObjectId) {
        if !std::mem::replace(&mut self.live.objects[id.index()], true) {
            self.implicit(id);
        }
    }

    /// What a symbol of an object means.
    #[inline]
    fn object_symbol(&mut self, id: ObjectId, symbol: SymbolIndex) {
        match self.resolution.object(id).symbol_ref(symbol).symbol() {
            Some(global) => self.symbol(global),
            None => self.entry(id, symbol),
        }
    }

    /// What a symbol of an object stands for in that object.
    fn entry(&mut self, id: ObjectId, symbol: SymbolIndex) {
        let linked = self.resolution.object(id);
        let object = &linked.object;
        let symbol = &object.symbols[symbol.index()];
        match symbol.kind {
            SymbolKind::Function => {
                let function = symbol.function().and_then(|id| object.defined_function(id));
                if let Some(function) = function
                    && !linked.is_function_discarded(function)
                    && self.live.functions.set(id, function)
                {
                    self.queue.push(Chunk::Function(id, function as u32));
                    self.object(id);
                }
            }
            SymbolKind::Data => {
                if let Some(segment) = symbol.segment()
                    && !linked.is_segment_discarded(segment.index())
                {
                    self.segment(id, segment.0);
                }
            }
            SymbolKind::Global => {
                let global = symbol.global().and_then(|id| object.defined_global(id));
                if global.is_some_and(|global| self.live.globals.set(id, global)) {
                    self.object(id);
                }
            }
            SymbolKind::Tag => {
                let tag = symbol.tag().and_then(|id| object.defined_tag(id));
                if tag.is_some_and(|tag| self.live.tags.set(id, tag)) {
                    self.object(id);
                }
            }
            SymbolKind::Table => {
                let table = symbol.table().and_then(|id| object.defined_table(id));
                if table.is_some_and(|table| self.live.tables.set(id, table)) {
                    self.object(id);
                }
            }
            SymbolKind::Section => {}
        }
    }

    fn segment(&mut self, id: ObjectId, segment: u32) {
        if self.live.segments.set(id, segment as usize) {
            self.queue.push(Chunk::Segment(id, segment));
            self.object(id);
        }
    }

    fn work(&mut self) {
        let resolution = self.resolution;
        while let Some(chunk) = self.queue.pop() {
            match chunk {
                Chunk::Function(id, function) => {
                    let object = &resolution.object(id).object;
                    let function = &object.functions[function as usize];
                    self.relocs(id, object.function_relocs(function));
                }
                Chunk::Segment(id, segment) => {
                    let object = &resolution.object(id).object;
                    self.relocs(id, object.segment_relocs(SegmentIndex(segment)));
                }
            }
        }
    }

    fn relocs(&mut self, id: ObjectId, relocs: &[Reloc]) {
        for reloc in relocs {
            let Some(symbol) = reloc.symbol() else {
                continue;
            };
            // The address of a function that traps is zero: that takes no function.
            if is_absolute_table_index(reloc)
                && let Some(global) = self.resolution.object(id).symbol_ref(symbol).symbol()
                && self.resolution.table.get(global).is_stub()
            {
                continue;
            }
            self.object_symbol(id, symbol);
        }
    }

    /// Without collection everything is live but what other objects provide.
    fn drop_discarded(&mut self) {
        for (id, linked) in self.resolution.each_object() {
            if linked.kept_comdats.iter().all(|kept| *kept) {
                continue;
            }
            let object = &linked.object;
            let start = self.live.functions.starts[id.index()] as usize;
            for index in 0..object.functions.len() {
                self.live.functions.flags[start + index] = !linked.is_function_discarded(index);
            }
            let start = self.live.segments.starts[id.index()] as usize;
            for index in 0..object.segments.len() {
                self.live.segments.flags[start + index] = !linked.is_segment_discarded(index);
            }
        }
    }

    fn needs_call_ctors(&self) -> bool {
        self.resolution.each_object().any(|(id, linked)| {
            linked
                .object
                .init_functions
                .iter()
                .any(|init| self.is_init_live(id, init.symbol))
        })
    }

    fn is_init_live(&self, id: ObjectId, symbol: SymbolIndex) -> bool {
        init_target(self.resolution, &self.live, id, symbol).is_some()
    }
}

fn is_absolute_table_index(reloc: &Reloc) -> bool {
    use crate::object::RelocType::*;
    matches!(
        reloc.kind(),
        TableIndexSleb | TableIndexSleb64 | TableIndexI32 | TableIndexI64
    )
}

/// The function that an object's init function is, if it is linked: an object, and its symbol.
pub fn init_target(
    resolution: &Resolution,
    live: &Live,
    id: ObjectId,
    symbol: SymbolIndex,
) -> Option<(ObjectId, SymbolIndex)> {
    let linked = resolution.object(id);
    let (id, symbol) = match linked.symbol_ref(symbol).symbol() {
        Some(global) => resolution.table.get(global).place()?,
        None => (id, symbol),
    };
    let is_live = live.is_entry_live(resolution, id, symbol)?;
    is_live.then_some((id, symbol))
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
    if is_needed || options.export_table {
        let id = resolution.add_function_table();
        live.symbols.resize(resolution.table.symbols().len(), true);
        live.symbols[id.index()] = true;
        let symbol = resolution.table.get_mut(id);
        symbol.force_export = options.export_table;
        if options.export_table {
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
