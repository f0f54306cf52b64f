//! Order: what stands where in the output, by wasm-ld's rules.

use hashbrown::{HashMap, HashSet};

use crate::link::live::{Live, init_target, is_exported};
use crate::link::options::LinkOptions;
use crate::link::resolve::{Resolution, is_thread_local};
use crate::link::symbols::{Definition, ObjectId, SymbolId, Synthetic, Trap};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Object, Reloc, SymbolKind};

/// Segments of the objects that become one segment of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSegment {
    /// Its name.
    pub name: String,
    /// What it is made of, in order.
    pub parts: Vec<(ObjectId, SegmentIndex)>,
    /// Whether each thread has its own copy.
    pub is_thread_local: bool,
    /// Whether it is all zeros, and takes no bytes of the output.
    pub is_zero: bool,
    /// Binary logarithm of the greatest alignment of its parts.
    pub align_log2: u8,
}

/// The name of the segment that a segment of an object becomes a part of.
pub fn output_name<'a>(object: &'a Object, segment: usize, options: &LinkOptions) -> &'a str {
    if is_thread_local(object, segment) {
        return ".tdata";
    }
    let name = object.str(object.segments[segment].name);
    if !options.merge_data_segments {
        return name;
    }
    let prefixes = [".text", ".data", ".bss", ".rodata"];
    let is_part_of = |prefix: &&str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    prefixes.into_iter().find(is_part_of).unwrap_or(name)
}

/// The output's segments: live segments of the objects by name, those of thread-local data first, then constants,
/// data, others, zeros.
pub fn segments(resolution: &Resolution, live: &Live, options: &LinkOptions) -> Vec<OutputSegment> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut segments: Vec<OutputSegment> = Vec::new();
    for (id, linked) in resolution.each_object() {
        for (index, is_live) in live.segments.of(id).iter().enumerate() {
            if !is_live {
                continue;
            }
            let name = output_name(&linked.object, index, options);
            let place = *places.entry(name).or_insert_with(|| {
                segments.push(OutputSegment {
                    name: name.to_owned(),
                    parts: Vec::new(),
                    is_thread_local: is_thread_local(&linked.object, index),
                    is_zero: name.starts_with(".bss"),
                    align_log2: 0,
                });
                segments.len() - 1
            });
            let segment = &mut segments[place];
            segment.parts.push((id, SegmentIndex(index as u32)));
            let align = linked.object.segments[index].align_log2;
            segment.align_log2 = segment.align_log2.max(align);
        }
    }
    segments.sort_by_key(|segment| {
        let prefixes = [(".tdata", 0), (".rodata", 1), (".data", 2), (".bss", 4)];
        let rank = prefixes
            .into_iter()
            .find(|(prefix, _)| segment.name.starts_with(prefix));
        rank.map_or(3, |(_, rank)| rank)
    });
    segments
}

/// Defines `__start_NAME` and `__stop_NAME` for the segments whose names are C identifiers, where that is asked for.
/// Returns the symbols, each with its segment.
pub fn define_bounds(
    resolution: &mut Resolution,
    live: &mut Live,
    segments: &[OutputSegment],
    options: &LinkOptions,
) -> Vec<(SymbolId, usize)> {
    let mut defined = Vec::new();
    for (place, segment) in segments.iter().enumerate() {
        if !is_c_identifier(&segment.name) {
            continue;
        }
        for (prefix, synthetic) in [
            ("__start_", Synthetic::SegmentStart),
            ("__stop_", Synthetic::SegmentStop),
        ] {
            let name = format!("{prefix}{}", segment.name);
            let mut exports = options.exports.iter().chain(&options.exports_if_defined);
            let is_exported = options.export_all || exports.any(|export| *export == name);
            let is_wanted = match resolution.find(&name) {
                Some(id) => !resolution.table.get(id).is_defined(),
                None => is_exported,
            };
            if is_wanted {
                let id = resolution.add_bound(&name, synthetic);
                live.symbols.resize(resolution.table.symbols().len(), false);
                live.symbols[id.index()] = true;
                resolution.table.get_mut(id).force_export |= is_exported && !options.export_all;
                defined.push((id, place));
            }
        }
    }
    defined
}

fn is_c_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

impl Resolution {
    fn add_bound(&mut self, name: &str, synthetic: Synthetic) -> SymbolId {
        let name = self.names.add_text(name);
        self.table.add_synthetic(
            name,
            SymbolKind::Data,
            crate::link::symbols::SymbolType::None,
            synthetic,
        )
    }
}

/// The imports, in order. The function table comes first: old objects rely on its being table 0.
pub fn imports(resolution: &Resolution, live: &Live, options: &LinkOptions) -> Vec<SymbolId> {
    let mut imports: Vec<SymbolId> = resolution
        .table
        .order()
        .iter()
        .copied()
        .filter(|id| resolution.is_imported(live, *id, options))
        .collect();
    imports.sort_by_key(|id| resolution.name(*id) != crate::link::resolve::FUNCTION_TABLE);
    imports
}

/// The exports, in order, without memory.
pub fn exports(resolution: &Resolution, live: &Live, options: &LinkOptions) -> Vec<SymbolId> {
    let is_own_mutable = |id: SymbolId| {
        let symbol = resolution.table.get(id);
        let is_mutable = match symbol.ty {
            crate::link::symbols::SymbolType::Global(ty) => ty.mutable,
            _ => false,
        };
        is_mutable && symbol.object.is_none() && !symbol.force_export
    };
    resolution
        .table
        .order()
        .iter()
        .copied()
        .filter(|id| {
            is_exported(resolution.table.get(*id), options)
                && live.is_live(resolution, *id)
                && !is_own_mutable(*id)
        })
        .collect()
}

/// The defined functions of the objects, in order: those that the linker makes come before them.
pub fn functions(resolution: &Resolution, live: &Live) -> Vec<(ObjectId, usize)> {
    let mut functions = Vec::with_capacity(live.functions.count());
    for (id, _) in resolution.each_object() {
        let flags = live.functions.of(id).iter().enumerate();
        functions.extend(
            flags
                .filter(|(_, live)| **live)
                .map(|(index, _)| (id, index)),
        );
    }
    functions
}

/// A function whose address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// An object's function.
    Defined(ObjectId, usize),
    /// One that is imported, or that the linker makes.
    Symbol(SymbolId),
}

/// The entries of the function table, in order: that of the relocations which take addresses. Functions that trap
/// have none, with an exception: one that nothing defines has an entry if the first reference to it takes its address.
/// (That is how wasm-ld goes about it: what is undefined turns up as relocations are gone through.)
pub fn table_entries(resolution: &Resolution, live: &Live) -> Vec<Entry> {
    let mut collector = Collector {
        resolution,
        entries: Vec::new(),
        seen: HashSet::new(),
        called: HashSet::new(),
        any_undefined: resolution
            .table
            .symbols()
            .iter()
            .any(|symbol| symbol.definition == Definition::Trap(Trap::Undefined)),
    };
    for (id, linked) in resolution.each_object() {
        let object = &linked.object;
        for (function, is_live) in object.functions.iter().zip(live.functions.of(id)) {
            if *is_live {
                collector.visit(id, object.function_relocs(function));
            }
        }
        for (index, is_live) in live.segments.of(id).iter().enumerate() {
            if *is_live {
                collector.visit(id, object.segment_relocs(SegmentIndex(index as u32)));
            }
        }
    }
    collector.entries
}

struct Collector<'a> {
    resolution: &'a Resolution,
    entries: Vec<Entry>,
    seen: HashSet<Entry>,
    /// Undefined functions that were referred to without taking their address.
    called: HashSet<SymbolId>,
    any_undefined: bool,
}

impl Collector<'_> {
    fn visit(&mut self, id: ObjectId, relocs: &[Reloc]) {
        for reloc in relocs {
            let takes_address = reloc.kind().is_table_index();
            if (takes_address || self.any_undefined)
                && let Some(symbol) = reloc.symbol()
            {
                self.add(id, symbol, takes_address);
            }
        }
    }

    fn add(&mut self, id: ObjectId, symbol: SymbolIndex, takes_address: bool) {
        let linked = self.resolution.object(id);
        let entry = match linked.symbol_ref(symbol).symbol() {
            Some(global) => {
                let symbol = self.resolution.table.get(global);
                match symbol.definition {
                    Definition::Trap(Trap::Undefined) if !takes_address => {
                        self.called.insert(global);
                        return;
                    }
                    Definition::Trap(Trap::Undefined) if !self.called.contains(&global) => {
                        Some(Entry::Symbol(global))
                    }
                    Definition::Trap(_) => None,
                    Definition::Object { object, symbol } => {
                        defined_entry(&self.resolution.object(object).object, object, symbol)
                    }
                    // A weak function that nothing defines and nobody calls.
                    Definition::Undefined if symbol.is_weak() => None,
                    _ => Some(Entry::Symbol(global)),
                }
            }
            None => defined_entry(&linked.object, id, symbol),
        };
        if let Some(entry) = entry.filter(|_| takes_address)
            && self.seen.insert(entry)
        {
            self.entries.push(entry);
        }
    }
}

fn defined_entry(object: &Object, id: ObjectId, symbol: SymbolIndex) -> Option<Entry> {
    let function = object.symbols[symbol.index()].function()?;
    Some(Entry::Defined(id, object.defined_function(function)?))
}

/// The init functions, in the order in which they run: an object and its symbol each.
pub fn init_functions(resolution: &Resolution, live: &Live) -> Vec<(ObjectId, SymbolIndex)> {
    let mut inits = Vec::new();
    for (id, linked) in resolution.each_object() {
        for init in &linked.object.init_functions {
            if let Some(target) = init_target(resolution, live, id, init.symbol) {
                inits.push((init.priority, target));
            }
        }
    }
    inits.sort_by_key(|(priority, _)| *priority);
    inits.into_iter().map(|(_, target)| target).collect()
}
