//! Order: what stands where in the output, by wasm-ld's rules.

use rayon::prelude::*;

use crate::hash::HashMap;
use crate::link::command::options::LinkOptions;
use crate::link::gc::{InitTarget, Live, init_target, is_exported};
use crate::link::resolve::Resolution;
use crate::link::symbols::{Definition, GlobalSymbol, ObjectId, SymbolId, Synthetic, Trap};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Object, Reloc, SegmentFlags, SegmentPrefix, SymbolKind};
use crate::parallel::{region, task};

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
    let segment = &object.segments[segment];
    if segment.flags.has(SegmentFlags::TLS) {
        return ".tdata";
    }
    match segment.prefix {
        SegmentPrefix::Other => object.str(segment.name),
        prefix if options.merge_data_segments => prefix.text(),
        _ => object.str(segment.name),
    }
}

/// Whether a segment of an object takes no bytes of the output, because it is for zeros only: by its name, which says where
/// it stands, and by its contents. A memory that is imported need not be all zeros, unless code clears it.
pub fn is_zero(object: &Object, index: SegmentIndex, options: &LinkOptions) -> bool {
    let is_cleared = options.import_memory.is_none() || options.shared_memory;
    is_cleared && holds_zeros(object, index)
}

/// Whether a segment of an object is for zeros only. If its bytes are not at hand, it may be.
pub fn holds_zeros(object: &Object, index: SegmentIndex) -> bool {
    let segment = &object.segments[index.index()];
    segment.prefix == SegmentPrefix::Bss
        && (!object.has_bytes() || object.bytes(segment.data).iter().all(|byte| *byte == 0))
        && object.segment_relocs(index).is_empty()
}

/// The output's segments: live segments of the objects by name, those of thread-local data first, then constants,
/// data, others, zeros. With `clears_memory`, code of the linker clears those of zeros, so that they take no bytes.
pub fn segments(
    resolution: &Resolution,
    live: &Live,
    options: &LinkOptions,
    clears_memory: bool,
) -> Vec<OutputSegment> {
    let mut places: HashMap<&str, usize> = HashMap::default();
    let mut segments: Vec<OutputSegment> = Vec::new();
    // Neighbours mostly go to the same place.
    let mut last: Option<(&str, usize)> = None;
    for (id, linked) in resolution.each_object() {
        for (index, is_live) in live.segments.of(id).iter().enumerate() {
            if !is_live {
                continue;
            }
            let name = output_name(&linked.object, index, options);
            let segment = &linked.object.segments[index];
            let place = match last.filter(|(last, _)| *last == name) {
                Some((_, place)) => place,
                None => *places.entry(name).or_insert_with(|| {
                    segments.push(OutputSegment {
                        name: name.to_owned(),
                        parts: Vec::new(),
                        is_thread_local: segment.flags.has(SegmentFlags::TLS),
                        is_zero: true,
                        align_log2: 0,
                    });
                    segments.len() - 1
                }),
            };
            last = Some((name, place));
            let output = &mut segments[place];
            let index = SegmentIndex(index as u32);
            output.parts.push((id, index));
            let object = &linked.object;
            let is_cleared = clears_memory && holds_zeros(object, index);
            output.is_zero &= is_cleared || is_zero(object, index, options);
            output.align_log2 = output.align_log2.max(segment.align_log2);
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
            let id = define_if_wanted(resolution, live, &name, synthetic, options);
            defined.extend(id.map(|id| (id, place)));
        }
    }
    defined
}

/// Defines the symbol for the flag that says whether memory has been filled, where threads share it, there is something to
/// fill it with, and the flag is asked for.
pub fn define_flag(
    resolution: &mut Resolution,
    live: &mut Live,
    segments: &[OutputSegment],
    options: &LinkOptions,
) {
    if options.shared_memory && !segments.is_empty() {
        let (name, flag) = ("__wasm_init_memory_flag", Synthetic::InitMemoryFlag);
        define_if_wanted(resolution, live, name, flag, options);
    }
}

/// Defines a symbol of the linker's own for a place in memory, if something refers to it that nothing else defines, or if
/// it is to be exported.
fn define_if_wanted(
    resolution: &mut Resolution,
    live: &mut Live,
    name: &str,
    synthetic: Synthetic,
    options: &LinkOptions,
) -> Option<SymbolId> {
    let mut exports = options.exports.iter().chain(&options.exports_if_defined);
    let is_named = exports.any(|export| export == name);
    let is_wanted = match resolution.find(name) {
        Some(id) => !resolution.table.get(id).is_defined(),
        None => options.export_all || is_named,
    };
    if !is_wanted {
        return None;
    }
    let id = resolution.add_place(name, synthetic);
    live.symbols.resize(resolution.table.symbols().len(), false);
    live.symbols[id.index()] = true;
    resolution.table.get_mut(id).force_export |= is_named && !options.export_all;
    Some(id)
}

fn is_c_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

impl Resolution {
    fn add_place(&mut self, name: &str, synthetic: Synthetic) -> SymbolId {
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
    let is_imported = |id, _: &GlobalSymbol| resolution.is_imported(live, id, options);
    let mut imports = resolution.table.select(is_imported);
    imports.sort_by_key(|id| resolution.name(*id) != crate::link::resolve::FUNCTION_TABLE);
    imports
}

/// The exports, in order, without memory.
pub fn exports(resolution: &Resolution, live: &Live, options: &LinkOptions) -> Vec<SymbolId> {
    let is_own_mutable = |symbol: &GlobalSymbol| {
        let is_mutable = match symbol.ty {
            crate::link::symbols::SymbolType::Global(ty) => ty.mutable,
            _ => false,
        };
        is_mutable && symbol.object.is_none() && !symbol.force_export
    };
    resolution.table.select(|id, symbol| {
        is_exported(symbol, options) && live.is_live(resolution, id) && !is_own_mutable(symbol)
    })
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
    let undefined = Definition::Trap(Trap::Undefined);
    let symbols = resolution.table.symbols();
    let any_undefined = symbols.iter().any(|symbol| symbol.definition == undefined);
    let collect = |index: usize| {
        let mut collector = Collector {
            resolution,
            id: ObjectId(index as u32),
            any_undefined,
            references: Vec::new(),
        };
        collector.visit_object(live);
        collector.references
    };
    let objects = (0..resolution.objects.len()).into_par_iter();
    let references: Vec<Vec<Reference>> =
        region(|| objects.map(|index| task(|| collect(index))).collect());
    let mut entries = Vec::new();
    let mut seen_functions = live.functions.unset();
    let mut seen_symbols = vec![false; symbols.len()];
    for reference in references.into_iter().flatten() {
        let seen = match reference {
            Reference::Address(Entry::Defined(object, function)) => {
                !seen_functions.set(object, function)
            }
            Reference::Address(Entry::Symbol(id)) | Reference::Call(id) => {
                std::mem::replace(&mut seen_symbols[id.index()], true)
            }
        };
        match reference {
            Reference::Address(entry) if !seen => entries.push(entry),
            _ => {}
        }
    }
    entries
}

/// What counts for the function table.
enum Reference {
    /// A function's address is taken.
    Address(Entry),
    /// An undefined function is referred to in another way.
    Call(SymbolId),
}

struct Collector<'a> {
    resolution: &'a Resolution,
    id: ObjectId,
    any_undefined: bool,
    references: Vec<Reference>,
}

impl Collector<'_> {
    fn visit_object(&mut self, live: &Live) {
        let object = &self.resolution.object(self.id).object;
        let functions = live.functions.of(self.id);
        let segments = live.segments.of(self.id);
        if !self.any_undefined {
            // Only addresses count.
            let code = object.code_table_relocs();
            let code = code.filter(|(function, _)| functions[*function]);
            let data = object.data_table_relocs();
            let data = data.filter(|(segment, _)| segments[*segment]);
            for (_, reloc) in code.chain(data) {
                self.visit(reloc);
            }
            return;
        }
        for (function, is_live) in object.functions.iter().zip(functions) {
            if *is_live {
                object
                    .function_relocs(function)
                    .iter()
                    .for_each(|reloc| self.visit(reloc));
            }
        }
        for (index, is_live) in segments.iter().enumerate() {
            if *is_live {
                let relocs = object.segment_relocs(SegmentIndex(index as u32));
                relocs.iter().for_each(|reloc| self.visit(reloc));
            }
        }
    }

    fn visit(&mut self, reloc: &Reloc) {
        if let Some(symbol) = reloc.symbol() {
            self.add(symbol, reloc.kind().is_table_index());
        }
    }

    fn add(&mut self, symbol: SymbolIndex, takes_address: bool) {
        let linked = self.resolution.object(self.id);
        let entry = match linked.symbol_ref(symbol).symbol() {
            Some(global) => {
                let symbol = self.resolution.table.get(global);
                match symbol.definition {
                    Definition::Trap(Trap::Undefined) if !takes_address => {
                        self.references.push(Reference::Call(global));
                        return;
                    }
                    Definition::Trap(Trap::Undefined) => Some(Entry::Symbol(global)),
                    Definition::Trap(_) => None,
                    Definition::Object { object, symbol } => {
                        defined_entry(&self.resolution.object(object).object, object, symbol)
                    }
                    // A weak function that nothing defines and nobody calls.
                    Definition::Undefined if symbol.is_weak() => None,
                    _ => Some(Entry::Symbol(global)),
                }
            }
            None => defined_entry(&linked.object, self.id, symbol),
        };
        if takes_address && let Some(entry) = entry {
            self.references.push(Reference::Address(entry));
        }
    }
}

fn defined_entry(object: &Object, id: ObjectId, symbol: SymbolIndex) -> Option<Entry> {
    let function = object.symbols[symbol.index()].function()?;
    Some(Entry::Defined(id, object.defined_function(function)?))
}

/// The init functions, in the order in which they run.
pub fn init_functions(resolution: &Resolution, live: &Live) -> Vec<InitTarget> {
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
