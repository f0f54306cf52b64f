//! Gives everything that a link consists of a declaration, in the order of the output.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hash::Entry;
use crate::hash::{HashMap, HashSet};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::link::command::options::LinkOptions;
use crate::link::declare::customs::is_linked;
use crate::link::declare::known::{
    DeclarationReuse, Match, ObjectDeclarations, PreviousDeclarations, UnitKey, function_names,
};
use crate::link::declare::memory::MemoryPlan;
use crate::link::declare::placed::{DebugStrings, Shared, shares_strings};
use crate::link::declare::plan::Plan;
use crate::link::declare::relocate::{GotKey, ResolvedTarget, own_meaning};
use crate::link::diagnostics::shown;
use crate::link::gc::InitTarget;
use crate::link::order::is_zero;
use crate::link::resolve::units::LinkedObject;
use crate::link::symbols::signatures::{Signature, SignatureId};
use crate::link::symbols::{
    Definition, GlobalSymbol, ObjectId, SymbolId, SymbolType, Synthetic, Trap,
};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Object, RelocType, SegmentFlags, Span, SymbolFlags, SymbolKind};
use crate::parallel::{region, task};
use crate::program::{DeclId, DeclKind, New, Program, SectionId, TypeId};
use crate::transaction::{Log, LogMap, Transaction};

/// A segment of the output that is one declaration.
#[derive(Debug)]
pub(crate) struct MergedSegment {
    pub(crate) decl: DeclId,
    /// Where each part begins.
    pub(crate) starts: Vec<u32>,
    pub(crate) size: u64,
    /// Its address, if it is loaded by code, and the segment to load.
    pub(crate) passive: Option<(u64, Option<DeclId>)>,
}

/// A function around an exported one.
#[derive(Debug)]
pub(crate) struct Wrapper {
    pub(crate) id: DeclId,
    pub(crate) target: DeclId,
    pub(crate) signature: SignatureId,
}

/// Globals that hold the addresses of exported data.
type DataExports = Vec<(DeclId, SymbolId)>;

/// Functions and data that threads need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threads {
    /// The function that fills memory, if there is anything to fill it with.
    pub(crate) init_memory: Option<DeclId>,
    pub(crate) init_tls: Option<DeclId>,
    /// The function that sets the globals of thread-local data, if there are any.
    pub(crate) set_tls_globals: Option<DeclId>,
    /// The function that sets addresses in thread-local data, if somebody may look for it.
    pub(crate) set_tls_addresses: Option<DeclId>,
    pub(crate) tls_base: Option<DeclId>,
    /// Where the flag stands that says whether memory has been initialised.
    pub(crate) flag_address: u64,
}

/// The declarations of a link.
pub(crate) struct LinkDeclarations {
    pub(crate) known: PreviousDeclarations,
    pub(crate) meanings: Log<ResolvedTarget>,
    pub(crate) types: Log<TypeId>,
    pub(crate) zero: DeclId,
    pub(crate) memory: DeclId,
    pub(crate) memory_plan: MemoryPlan,
    /// By output segment; `None` for those whose parts are declarations of their own.
    pub(crate) merged: Vec<Option<MergedSegment>>,
    /// The output segment of thread-local data.
    pub(crate) thread_data: Option<usize>,
    /// Strings that are new, with the object and the bytes they come from.
    pub(crate) strings: Vec<(DeclId, u8, ObjectId, Span)>,
    pub(crate) got: HashMap<GotKey, DeclId>,
    /// Of these globals, those of thread-local data that each thread sets for itself, with the distance of the data from
    /// where the thread's own begins.
    pub(crate) thread_got: Vec<(DeclId, i64)>,
    /// The functions that `__wasm_call_ctors` calls, with the number of results of each.
    pub(crate) inits: Vec<(DeclId, usize)>,
    pub(crate) ctors: Option<DeclId>,
    pub(crate) dtors: Option<DeclId>,
    /// Functions that trap.
    pub(crate) traps: Vec<(DeclId, SignatureId)>,
    pub(crate) wrappers: Vec<Wrapper>,
    /// Globals that hold the address of exported data.
    pub(crate) data_exports: DataExports,
    pub(crate) threads: Option<Threads>,
    /// The function that clears imported memory where zeros stand.
    pub(crate) clear_memory: Option<DeclId>,
    /// What was known and is gone.
    pub(crate) gone: Vec<DeclId>,
    /// The custom sections that consist of pieces, by name.
    pub(crate) sections: LogMap<Box<str>, SectionId>,
    /// What is to be defined of the strings of debug information, until it is.
    pub(crate) debug_strings: DebugStrings,
}

/// An update in place changes what symbols mean, and what there is of objects, types and custom sections.
impl Transaction for LinkDeclarations {
    fn begin(&mut self) {
        self.known.begin();
        self.meanings.begin();
        self.types.begin();
        self.sections.begin();
    }

    fn commit(&mut self) {
        self.known.commit();
        self.meanings.commit();
        self.types.commit();
        self.sections.commit();
    }

    fn rollback(&mut self) {
        self.known.rollback();
        self.meanings.rollback();
        self.types.rollback();
        self.sections.rollback();
    }
}

/// What the assignment depends on beside the plan.
pub(crate) struct AssignContext<'a> {
    pub(crate) options: &'a LinkOptions,
    pub(crate) slot_table: Option<DeclId>,
    /// Whether there is to be room for more data.
    pub(crate) has_slack: bool,
    /// Where things stood in memory in the last link.
    pub(crate) memory_before: Option<MemoryPlan>,
}

/// Gives everything of `plan` its declaration.
pub(crate) fn assign(
    plan: &Plan,
    setting: &AssignContext<'_>,
    program: &mut Program,
    old: &PreviousDeclarations,
) -> Result<LinkDeclarations> {
    let signatures = &plan.resolution.signatures;
    let types = (0..signatures.len()).map(|at| engine_type(signatures.at(at), program));
    let types: Vec<TypeId> = types.collect::<Result<_>>()?;
    if old.units.is_empty() {
        let objects = plan.resolution.objects().iter();
        let pieces: usize = objects
            .map(|linked| linked.object.custom_sections.len())
            .sum();
        // And some for what the linker makes.
        let defined = plan.live.functions.count() + plan.live.segments.count();
        program.reserve(defined + pieces + 256);
    }
    let mut assigner = DeclarationReuse::new(program, old);
    let zero = assigner.synthetic(DeclKind::Data, "zero")?;
    let memory = assigner.synthetic(DeclKind::Memory, "memory")?;
    let mut work = DeclarationAssigner {
        plan,
        setting,
        assigner,
        meanings: vec![ResolvedTarget::Nothing; plan.resolution.table.symbols().len()],
        strings: Vec::new(),
        traps: Vec::new(),
    };
    work.imports()?;
    work.own_functions()?;
    let mut matches = work.units();
    work.functions(&mut matches)?;
    work.others(&matches)?;
    work.own_globals()?;
    let mut segments = work.segments(&mut matches)?;
    let (memory_plan, flag_address) = work.memory(&mut segments)?;
    let merged = segments.merged;
    work.symbols(&merged, &memory_plan, flag_address)?;
    let (sections, debug_strings) = work.customs(&mut matches)?;
    let thread_data = plan
        .segments
        .iter()
        .position(|segment| segment.is_thread_local);
    let got = work.got()?;
    let thread_got = match thread_data.and_then(|at| merged[at].as_ref()) {
        Some(data) if setting.options.shared_memory => work.thread_got(&got, data.decl),
        _ => Vec::new(),
    };
    let got: HashMap<GotKey, DeclId> = got.into_iter().collect();
    let (ctors, dtors) = (
        work.function_of(plan.resolution.call_ctors),
        plan.resolution
            .call_dtors
            .and_then(|id| work.function_of(id)),
    );
    let inits = work.inits()?;
    let (wrappers, data_exports) = work.exports(memory)?;
    let threads = work.threads(flag_address, !thread_got.is_empty())?;
    let has_zeros = plan.segments.iter().any(|segment| segment.is_zero);
    let clear_memory = match plan.clears_memory && has_zeros {
        true => Some(work.thread_function("__wasm_init_memory")?),
        false => None,
    };
    let DeclarationAssigner {
        assigner,
        meanings,
        strings,
        traps,
        ..
    } = work;
    let gone = assigner.gone();
    Ok(LinkDeclarations {
        known: assigner.new,
        meanings: meanings.into(),
        types: types.into(),
        zero,
        memory,
        memory_plan,
        merged,
        thread_data,
        strings,
        got,
        thread_got,
        inits,
        ctors,
        dtors,
        traps,
        wrappers,
        data_exports,
        threads,
        clear_memory,
        gone,
        sections,
        debug_strings,
    })
}

/// The engine's number for a type of the program.
pub(crate) fn engine_type(signature: &Signature, program: &mut Program) -> Result<TypeId> {
    let mut bytes = vec![0x60];
    for side in [&signature.params, &signature.results] {
        crate::wire::leb::push_unsigned(&mut bytes, side.len() as u64);
        bytes.extend_from_slice(side);
    }
    let known = crate::program::Signature {
        params: signature.params.len() as u32,
        results: signature.results.len() as u32,
        shared: false,
    };
    program.types.simple(&bytes, Some(known))
}

/// Names that one thread makes at a time.
const NAMES: usize = 64;
/// Symbols that one thread looks at at a time.
const SYMBOLS: usize = 1024;

/// A function's name in its object, and what the output calls it if it is new.
type Named<'a> = (&'a str, Option<Box<str>>);

pub(super) struct DeclarationAssigner<'a> {
    pub(super) plan: &'a Plan,
    pub(super) setting: &'a AssignContext<'a>,
    pub(super) assigner: DeclarationReuse<'a>,
    meanings: Vec<ResolvedTarget>,
    pub(super) strings: Vec<(DeclId, u8, ObjectId, Span)>,
    traps: Vec<(DeclId, SignatureId)>,
}

fn kind_of(kind: SymbolKind) -> DeclKind {
    match kind {
        SymbolKind::Function => DeclKind::Function,
        SymbolKind::Global => DeclKind::Global,
        SymbolKind::Tag => DeclKind::Tag,
        SymbolKind::Table => DeclKind::Table,
        SymbolKind::Data | SymbolKind::Section => DeclKind::Data,
    }
}

impl<'a> DeclarationAssigner<'a> {
    fn is_live(&self, id: SymbolId) -> bool {
        self.plan.live.is_live(&self.plan.resolution, id)
    }

    fn set_name(&mut self, id: DeclId, name: &str) -> Result<()> {
        self.assigner.program.set_name(id, Some(name))
    }

    fn imports(&mut self) -> Result<()> {
        let resolution = &self.plan.resolution;
        // Symbols that are imported by one name and as one type are one import.
        let mut known: HashMap<_, _> = HashMap::default();
        for &id in &self.plan.imports {
            let symbol = resolution.table.get(id);
            let is_slots = symbol.kind == SymbolKind::Table
                && symbol.ty == SymbolType::Table(0x70)
                && resolution.name(id) == crate::link::resolve::FUNCTION_TABLE;
            if is_slots && let Some(table) = self.setting.slot_table {
                self.meanings[id.index()] = ResolvedTarget::Index(table);
                continue;
            }
            let (module, name) = resolution.import_names(id);
            let decl = match known.entry((symbol.kind, module, name, symbol.ty)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(vacant) => {
                    let key = format!("import {} {module} {name}", symbol.kind.word());
                    let decl = self.assigner.synthetic(kind_of(symbol.kind), &key)?;
                    let shown = resolution.debug_name(id, self.setting.options.demangle);
                    self.set_name(decl, &shown)?;
                    *vacant.insert(decl)
                }
            };
            self.meanings[id.index()] = match symbol.kind {
                SymbolKind::Function => ResolvedTarget::Function {
                    id: Some(decl),
                    has_address: true,
                },
                _ => ResolvedTarget::Index(decl),
            };
        }
        Ok(())
    }

    /// The functions that the linker makes.
    fn own_functions(&mut self) -> Result<()> {
        let resolution = &self.plan.resolution;
        let options = self.setting.options;
        let mut undefined: HashMap<SignatureId, DeclId> = HashMap::default();
        for &id in &resolution.synthetic_functions {
            let symbol = resolution.table.get(id);
            if !self.is_live(id) {
                continue;
            }
            let signature = symbol.ty.signature();
            let signature = signature.ok_or_else(|| {
                Error::bad_input("has no signature").with_symbol(resolution.name(id))
            })?;
            let key = format!(
                "{} {}",
                resolution.debug_name(id, false),
                resolution.signatures.text(signature)
            );
            let decl = self.assigner.synthetic(DeclKind::Function, &key)?;
            let name = resolution.debug_name(id, options.demangle);
            self.set_name(decl, &name)?;
            match symbol.definition {
                Definition::Trap(trap) => {
                    self.traps.push((decl, signature));
                    if trap == Trap::Undefined {
                        undefined.insert(signature, decl);
                    }
                }
                _ => {
                    self.meanings[id.index()] = ResolvedTarget::Function {
                        id: Some(decl),
                        has_address: true,
                    };
                    continue;
                }
            }
            self.meanings[id.index()] = ResolvedTarget::Function {
                id: Some(decl),
                has_address: false,
            };
        }
        let open = resolution.table.select_all(|_, symbol| {
            let is_open = matches!(
                symbol.definition,
                Definition::Trap(_) | Definition::Undefined
            );
            is_open && symbol.kind == SymbolKind::Function
        });
        for id in open {
            let (index, symbol) = (id.index(), resolution.table.get(id));
            match symbol.definition {
                Definition::Trap(Trap::Undefined) => {
                    let signature = symbol.ty.signature();
                    self.meanings[index] = ResolvedTarget::Function {
                        id: signature.and_then(|signature| undefined.get(&signature).copied()),
                        has_address: self.plan.undefined_with_address.contains(&id),
                    };
                }
                // Weak, not imported, and called by nobody: only its address is asked for.
                _ if self.meanings[index] == ResolvedTarget::Nothing => {
                    self.meanings[index] = ResolvedTarget::Function {
                        id: None,
                        has_address: false,
                    };
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins the units of all objects, and finds out what was known of them.
    fn units(&mut self) -> Vec<Match<'a>> {
        let resolution = &self.plan.resolution;
        let mut counts: HashMap<&str, u32> = HashMap::default();
        let mut matches = Vec::with_capacity(resolution.objects.len());
        let objects = resolution.objects.iter();
        let keyed: Vec<(UnitKey, &Arc<Object>)> = objects
            .map(|linked| {
                let name = linked.object.display_name();
                let count = counts.entry(name).or_insert(0);
                let key: UnitKey = (name.into(), *count);
                *count += 1;
                (key, &linked.object)
            })
            .collect();
        let renamed = self.assigner.renamed(&keyed);
        for (at, (key, object)) in keyed.into_iter().enumerate() {
            let before = renamed.get(&key).copied();
            matches.push(self.assigner.unit(&key, before, object));
            let new = &mut self.assigner.new;
            new.units.push(ObjectDeclarations::new(object));
            new.objects.push(Some(object.clone()));
            self.assigner.new.keys.insert(key, at);
        }
        matches
    }

    fn functions(&mut self, matches: &mut [Match<'_>]) -> Result<()> {
        let Plan {
            resolution, live, ..
        } = self.plan;
        let demangle = self.setting.options.demangle;
        // Names of what is new, made on all cores.
        let name_all = |(at, (linked, known)): (usize, (&'a LinkedObject, &Match<'_>))| {
            let is_same = matches!(known, Match::Same(_));
            let names = match is_same {
                true => vec![""; linked.object.functions.len()],
                false => function_names(&linked.object),
            };
            let live = live.functions.of(ObjectId(at as u32));
            let name = |(index, (name, live)): (usize, (&'a str, &bool))| {
                let shown = (*live && !is_same).then(|| {
                    let name = match name {
                        "" => linked.object.function_name(index).unwrap_or("(unnamed)"),
                        name => name,
                    };
                    shown(name, demangle).into_boxed_str()
                });
                (name, shown)
            };
            // Some objects have more functions than all others.
            let runs = names
                .par_chunks(NAMES)
                .zip(live.par_chunks(NAMES))
                .enumerate();
            let run = |(run, (names, live)): (usize, (&[&'a str], &[bool]))| {
                let named = names.iter().copied().zip(live);
                let numbered = (run * NAMES..).zip(named);
                task(|| numbered.map(name).collect::<Vec<_>>())
            };
            region(|| runs.flat_map_iter(run).collect())
        };
        let objects = resolution.objects.par_iter().zip(&*matches).enumerate();
        let names: Vec<Vec<Named<'_>>> =
            region(|| objects.map(|object| task(|| name_all(object))).collect());
        let mut new = Vec::with_capacity(live.functions.count());
        for (at, (known, names)) in matches.iter_mut().zip(names).enumerate() {
            let id = ObjectId(at as u32);
            let object = &resolution.objects[at].object;
            let library = object.library();
            let library = library.map(|name| self.assigner.program.library(name));
            let mut functions = vec![None; object.functions.len()];
            for (index, (name, shown)) in names.into_iter().enumerate() {
                let was_there =
                    matches!(&*known, Match::Same(old) if old.functions[index].is_some());
                if !live.functions.get(id, index) {
                    continue;
                }
                let decl = self.assigner.known_function(known, index, name);
                functions[index] = decl;
                if was_there {
                    continue;
                }
                let shown = shown.unwrap_or_else(|| {
                    let name = resolution.objects[at].object.function_name(index);
                    crate::link::diagnostics::shown(name.unwrap_or("(unnamed)"), demangle)
                        .into_boxed_str()
                });
                let name = Some(shown);
                match decl {
                    None => new.push(New { name, library }),
                    Some(decl) => {
                        let program = &mut self.assigner.program;
                        program.give_name(decl, name)?;
                        if let Some(library) = library {
                            program.freeze(decl, library);
                        }
                    }
                }
            }
            self.assigner.new.units.edit(at).functions = functions;
        }
        let program = &mut self.assigner.program;
        let mut decls = program.declare_all(DeclKind::Function, new)?.into_iter();
        for at in 0..matches.len() {
            let functions = &mut self.assigner.new.units.edit(at).functions;
            let live = live.functions.of(ObjectId(at as u32));
            for (function, _) in functions.iter_mut().zip(live).filter(|(_, live)| **live) {
                *function = function.or_else(|| decls.next());
            }
        }
        Ok(())
    }

    /// Globals, tags and tables of the objects.
    fn others(&mut self, matches: &[Match<'_>]) -> Result<()> {
        let live = &self.plan.live;
        for (at, known) in matches.iter().enumerate() {
            let id = ObjectId(at as u32);
            let object = self.plan.resolution.objects[at].object.clone();
            for (kind, flags) in [
                (DeclKind::Global, live.globals.of(id)),
                (DeclKind::Tag, live.tags.of(id)),
                (DeclKind::Table, live.tables.of(id)),
            ] {
                for (index, _) in flags.iter().enumerate().filter(|(_, live)| **live) {
                    let decl = self.assigner.other(known, kind, index)?;
                    if let Some(name) = other_name(&object, kind, index) {
                        self.set_name(decl, name)?;
                    }
                    let unit = self.assigner.new.units.edit(at);
                    match kind {
                        DeclKind::Global => unit.globals[index] = Some(decl),
                        DeclKind::Tag => unit.tags[index] = Some(decl),
                        _ => unit.tables[index] = Some(decl),
                    }
                }
            }
        }
        Ok(())
    }

    fn own_globals(&mut self) -> Result<()> {
        let resolution = &self.plan.resolution;
        for &id in &resolution.synthetic_globals {
            let symbol = resolution.table.get(id);
            let needed = matches!(
                symbol.definition,
                Definition::Synthetic(
                    Synthetic::TlsBase | Synthetic::TlsSize | Synthetic::TlsAlign
                )
            ) && self.setting.options.shared_memory;
            if self.is_live(id) || needed {
                let name = resolution.name(id);
                let decl = self.assigner.synthetic(DeclKind::Global, name)?;
                self.set_name(decl, name)?;
                self.meanings[id.index()] = ResolvedTarget::Index(decl);
            }
        }
        Ok(())
    }

    /// What the symbols of the program mean.
    fn symbols(
        &mut self,
        merged: &[Option<MergedSegment>],
        memory: &MemoryPlan,
        flag_address: u64,
    ) -> Result<()> {
        let plan = self.plan;
        let resolution = &plan.resolution;
        let units = &self.assigner.new.units;
        let symbols = resolution.table.symbols();
        let find = |(meanings, symbols): (&mut [ResolvedTarget], &[GlobalSymbol])| {
            for (meaning, symbol) in meanings.iter_mut().zip(symbols) {
                if let (ResolvedTarget::Nothing, Some((object, symbol))) =
                    (&*meaning, symbol.place())
                {
                    let linked = resolution.object(object);
                    *meaning = own_meaning(&units[object.index()], object, &linked.object, symbol);
                }
            }
        };
        let runs = self.meanings.par_chunks_mut(SYMBOLS);
        let runs = runs.zip(symbols.par_chunks(SYMBOLS));
        region(|| runs.for_each(|run| task(|| find(run))));
        for (index, symbol) in symbols.iter().enumerate() {
            if self.meanings[index] != ResolvedTarget::Nothing {
                continue;
            }
            let id = SymbolId(index as u32);
            self.meanings[index] = match symbol.definition {
                Definition::Object { .. } => ResolvedTarget::Nothing,
                Definition::Address(address) => ResolvedTarget::Absolute(address as i64),
                Definition::Synthetic(Synthetic::FunctionTable) => {
                    let table = self.setting.slot_table;
                    table.map_or(ResolvedTarget::Nothing, ResolvedTarget::Index)
                }
                Definition::Synthetic(synthetic) if symbol.kind == SymbolKind::Data => {
                    let address = self.address(synthetic, memory, flag_address);
                    match plan.bounds.iter().find(|(bound, _)| *bound == id) {
                        Some((_, segment)) => {
                            let segment = merged[*segment].as_ref().ok_or_else(|| {
                                Error::bad_input("its segment is not in one piece")
                                    .with_symbol(resolution.name(id))
                            })?;
                            let is_stop = synthetic == Synthetic::SegmentStop;
                            let offset = if is_stop { segment.size as i64 } else { 0 };
                            ResolvedTarget::Data(segment.decl, offset)
                        }
                        None if self.is_live(id) => {
                            let key = format!("address {}", resolution.name(id));
                            let decl = self.assigner.synthetic(DeclKind::Data, &key)?;
                            self.assigner.program.define_address(decl, address)?;
                            ResolvedTarget::Data(decl, 0)
                        }
                        None => ResolvedTarget::Absolute(address as i64),
                    }
                }
                _ if symbol.kind == SymbolKind::Data => ResolvedTarget::Null,
                _ => ResolvedTarget::Nothing,
            };
        }
        Ok(())
    }

    /// The address that a symbol of the linker's stands for.
    fn address(&self, synthetic: Synthetic, memory: &MemoryPlan, flag_address: u64) -> u64 {
        match synthetic {
            Synthetic::DataEnd => memory.data_end,
            Synthetic::StackLow => memory.stack_low,
            Synthetic::StackHigh => memory.stack_high,
            Synthetic::GlobalBase | Synthetic::DsoHandle => memory.data_start,
            Synthetic::HeapBase => memory.heap_base,
            Synthetic::HeapEnd => memory.heap_end,
            Synthetic::InitMemoryFlag => flag_address,
            Synthetic::FirstPageEnd => self.setting.options.page_size,
            Synthetic::TableBase => self.setting.options.first_slot().into(),
            // A program that does not move begins at 0.
            _ => 0,
        }
    }

    /// Of the globals that hold addresses, those of thread-local data, which is a part of `data`; with the distances from its
    /// beginning.
    fn thread_got(&self, got: &[(GotKey, DeclId)], data: DeclId) -> Vec<(DeclId, i64)> {
        let units = &self.assigner.new.units;
        let places = got.iter().filter_map(|&(key, decl)| {
            let meaning = match key {
                GotKey::Global(id) => self.meanings[id.index()],
                GotKey::Own(id, symbol) => {
                    let object = &self.plan.resolution.object(id).object;
                    own_meaning(&units[id.index()], id, object, symbol)
                }
            };
            let ResolvedTarget::Segment(object, segment, value) = meaning else {
                return None;
            };
            let placed = &units[object.index()].segments[segment.index()];
            let (part, offset) = placed.at(value.into())?;
            (part == data).then_some((decl, offset))
        });
        places.collect()
    }

    /// Globals for what objects want to find the address of in one, in the order in which they ask.
    fn got(&mut self) -> Result<Vec<(GotKey, DeclId)>> {
        let mut got = Vec::new();
        let mut known: HashSet<_> = HashSet::default();
        for (id, linked) in self.plan.resolution.each_object() {
            let object = &linked.object;
            if !has_addresses_in_globals(object) {
                continue;
            }
            for (index, function) in object.functions.iter().enumerate() {
                if !self.plan.live.functions.get(id, index) {
                    continue;
                }
                for reloc in object.function_relocs(function) {
                    let Some(symbol) = reloc.symbol() else {
                        continue;
                    };
                    let shared = linked.symbol_ref(symbol).symbol();
                    let kind = match shared {
                        Some(global) => self.plan.resolution.table.get(global).kind,
                        None => object.symbols[symbol.index()].kind,
                    };
                    if reloc.kind() != RelocType::GlobalIndexLeb || kind == SymbolKind::Global {
                        continue;
                    }
                    let (key, text) = match shared {
                        Some(global) => (
                            GotKey::Global(global),
                            format!("GOT {}", self.plan.resolution.name(global)),
                        ),
                        None => (
                            GotKey::Own(id, symbol),
                            format!(
                                "GOT {} {}",
                                object.display_name(),
                                object.symbol_name(symbol)
                            ),
                        ),
                    };
                    if known.insert(key) {
                        let decl = self.assigner.synthetic(DeclKind::Global, &text)?;
                        let name = match shared {
                            Some(global) => self.plan.resolution.debug_name(global, false),
                            None => object.symbol_name(symbol).to_owned(),
                        };
                        let kind = match object.symbols[symbol.index()].kind {
                            SymbolKind::Function => "func",
                            _ => "data",
                        };
                        self.set_name(decl, &format!("GOT.{kind}.internal.{name}"))?;
                        got.push((key, decl));
                    }
                }
            }
        }
        Ok(got)
    }

    /// The pieces that objects add to custom sections.
    fn customs(
        &mut self,
        matches: &mut [Match<'_>],
    ) -> Result<(LogMap<Box<str>, SectionId>, DebugStrings)> {
        let plan = self.plan;
        let mut sections: LogMap<Box<str>, SectionId> = LogMap::default();
        let mut shared: BTreeMap<SectionId, Vec<Shared>> = BTreeMap::new();
        for (id, linked) in plan.resolution.each_object() {
            let is_live = plan.live.objects[id.index()];
            for (index, name) in kept_customs(linked, is_live, self.setting.options) {
                if !sections.contains_key(name) {
                    sections.insert(name.into(), self.assigner.program.section(name));
                }
                if shares_strings(&linked.object, index, self.setting.options) {
                    shared.entry(sections[name]).or_default().push((id, index));
                    continue;
                }
                let known = &mut matches[id.index()];
                // An object that was loaded before may have had nothing that was linked.
                let was_there = matches!(known, Match::Same(old) if old.customs[index].is_some());
                let decl = self.assigner.custom(known, index, name)?;
                if !was_there {
                    // In a dense output what has no other order stands in that of names.
                    self.set_name(decl, linked.object.display_name())?;
                }
                self.assigner.new.units.edit(id.index()).customs[index] = Some(decl);
            }
        }
        let mut strings = DebugStrings::default();
        for (section, shared) in shared {
            self.share_strings(section, &shared, matches, &mut strings)?;
        }
        Ok((sections, strings))
    }

    fn function_of(&self, id: SymbolId) -> Option<DeclId> {
        match self.meanings[id.index()] {
            ResolvedTarget::Function { id, .. } => id,
            _ => None,
        }
    }

    fn inits(&self) -> Result<Vec<(DeclId, usize)>> {
        let resolution = &self.plan.resolution;
        let inits = self.plan.inits.iter();
        inits
            .map(|target| {
                let (id, symbol) = match *target {
                    InitTarget::Defined(id, symbol) => (id, symbol),
                    InitTarget::Undefined(id) => {
                        let decl = self.function_of(id).ok_or_else(|| {
                            Error::bad_input("an init function that is not linked")
                                .with_symbol(resolution.name(id))
                        })?;
                        let signature = resolution.table.get(id).ty.signature();
                        let results =
                            signature.map(|signature| resolution.signatures.get(signature));
                        return Ok((decl, results.map_or(0, |signature| signature.results.len())));
                    }
                };
                let object = &resolution.object(id).object;
                let meaning = own_meaning(&self.assigner.new.units[id.index()], id, object, symbol);
                let ResolvedTarget::Function { id: Some(decl), .. } = meaning else {
                    return Err(Error::bad_input("an init function that is not linked")
                        .with_path(object.display_name())
                        .with_symbol(object.symbol_name(symbol)));
                };
                let function = object.symbols[symbol.index()].function();
                let signature = function.map(|function| {
                    resolution.object(id).signatures[object.function_type(function).index()]
                });
                let results = signature.map(|signature| resolution.signatures.get(signature));
                Ok((decl, results.map_or(0, |signature| signature.results.len())))
            })
            .collect()
    }

    fn exports(&mut self, memory: DeclId) -> Result<(Vec<Wrapper>, DataExports)> {
        let plan = self.plan;
        let resolution = &plan.resolution;
        let (mut wrappers, mut data) = (Vec::new(), Vec::new());
        if let Some(name) = self.setting.options.exported_memory() {
            self.assigner.new.exports.push((name.into(), memory));
        }
        for &id in &plan.exports {
            let symbol = resolution.table.get(id);
            let name = export_name(plan, id);
            let decl = match self.meanings[id.index()] {
                ResolvedTarget::Function { id: Some(decl), .. } => match symbol.ty.signature() {
                    Some(signature) if plan.wraps_exports => {
                        let shown = resolution.debug_name(id, false);
                        let key = format!("{shown}.command_export");
                        let wrapper = self.assigner.synthetic(DeclKind::Function, &key)?;
                        self.set_name(wrapper, &key)?;
                        wrappers.push(Wrapper {
                            id: wrapper,
                            target: decl,
                            signature,
                        });
                        wrapper
                    }
                    _ => decl,
                },
                ResolvedTarget::Index(decl) => decl,
                ResolvedTarget::Segment(..)
                | ResolvedTarget::Data(..)
                | ResolvedTarget::Absolute(_)
                | ResolvedTarget::Null => {
                    let key = format!("export {}", resolution.name(id));
                    // It has no other name than that which it is exported by.
                    let decl = self.assigner.synthetic(DeclKind::Global, &key)?;
                    data.push((decl, id));
                    decl
                }
                _ => continue,
            };
            self.assigner.new.exports.push((name.into(), decl));
        }
        Ok((wrappers, data))
    }

    /// A function of the linker's own that nothing names. It is exported where everything is, behind all else.
    fn thread_function(&mut self, name: &str) -> Result<DeclId> {
        let decl = self.assigner.synthetic(DeclKind::Function, name)?;
        self.set_name(decl, name)?;
        let exports = &mut self.assigner.new.exports;
        if self.setting.options.export_all && exports.iter().all(|(other, _)| **other != *name) {
            exports.push((name.into(), decl));
        }
        Ok(decl)
    }

    /// Whether a thread's own data holds addresses.
    fn has_addresses_in_thread_data(&self) -> bool {
        let segments = self.plan.segments.iter();
        let own = segments.filter(|segment| segment.is_thread_local);
        let mut parts = own.flat_map(|segment| &segment.parts);
        parts.any(|(object, index)| {
            let object = &self.plan.resolution.object(*object).object;
            !object.segment_relocs(*index).is_empty()
        })
    }

    fn threads(&mut self, flag_address: u64, has_globals: bool) -> Result<Option<Threads>> {
        if !self.setting.options.shared_memory {
            return Ok(None);
        }
        let resolution = &self.plan.resolution;
        let named = |name: &str| resolution.find(name);
        let init_tls = named("__wasm_init_tls").and_then(|id| self.function_of(id));
        let tls_base = named("__tls_base").map(|id| self.meanings[id.index()]);
        let init_memory = match self.plan.segments.is_empty() {
            true => None,
            false => Some(self.thread_function("__wasm_init_memory")?),
        };
        let set_tls_globals = match has_globals {
            true => Some(self.thread_function("__wasm_apply_global_tls_relocs")?),
            false => None,
        };
        // It has nothing to do in a program that does not move, and is there for those who look for it.
        let set_tls_addresses = match self.setting.options.export_all {
            true if self.has_addresses_in_thread_data() => {
                Some(self.thread_function("__wasm_apply_tls_relocs")?)
            }
            _ => None,
        };
        Ok(Some(Threads {
            init_memory,
            init_tls,
            set_tls_globals,
            set_tls_addresses,
            tls_base: match tls_base {
                Some(ResolvedTarget::Index(id)) => Some(id),
                _ => None,
            },
            flag_address,
        }))
    }
}

/// Whether an object finds addresses in globals: it was compiled to be put anywhere.
fn has_addresses_in_globals(object: &Object) -> bool {
    object.imported_globals.iter().any(|import| {
        object.bytes(import.module).starts_with(b"GOT.")
            || matches!(
                object.bytes(import.name),
                b"__memory_base" | b"__table_base"
            )
    })
}

/// Whether code of an object finds addresses in globals: of an object whose code may stand anywhere, most only names where it begins.
pub(crate) fn finds_addresses_in_globals(object: &Object) -> bool {
    let of_global = |symbol: SymbolIndex| object.symbols[symbol.index()].kind == SymbolKind::Global;
    has_addresses_in_globals(object)
        && object.functions.iter().any(|function| {
            let relocs = object.function_relocs(function).iter();
            let mut in_globals = relocs.filter(|reloc| reloc.kind() == RelocType::GlobalIndexLeb);
            in_globals.any(|reloc| reloc.symbol().is_some_and(|symbol| !of_global(symbol)))
        })
}

/// The custom sections of an object that are linked, with their names; `is_live` says whether anything of it is reached.
pub(crate) fn kept_customs<'a>(
    linked: &'a LinkedObject,
    is_live: bool,
    options: &'a LinkOptions,
) -> impl Iterator<Item = (usize, &'a str)> {
    let object = &linked.object;
    let customs = object.custom_sections.iter().enumerate();
    customs.filter_map(move |(index, custom)| {
        let name = object.str(custom.name);
        let comdat = custom.comdat;
        let is_discarded = comdat.is_some_and(|comdat| !linked.kept_comdats[comdat.index()]);
        (is_linked(name, is_live, options) && !is_discarded).then_some((index, name))
    })
}

/// The name that a symbol is exported by.
fn export_name(plan: &Plan, id: SymbolId) -> &str {
    let resolution = &plan.resolution;
    let given = resolution
        .table
        .get(id)
        .place()
        .and_then(|(object, symbol)| {
            let object = &resolution.object(object).object;
            let function = object.symbols[symbol.index()].function()?;
            let mut exported = object.exported_functions.iter();
            let (_, name) = exported.find(|(other, _)| *other == function)?;
            Some(object.str(*name))
        });
    given.unwrap_or_else(|| resolution.name(id))
}

/// The name of an object's global, tag or table.
fn other_name(object: &Object, kind: DeclKind, index: usize) -> Option<&str> {
    let at = object.symbols.iter().position(|symbol| {
        let place = match kind {
            DeclKind::Global => symbol.global().and_then(|id| object.defined_global(id)),
            DeclKind::Tag => symbol.tag().and_then(|id| object.defined_tag(id)),
            _ => symbol.table().and_then(|id| object.defined_table(id)),
        };
        place == Some(index) && !symbol.flags.has(SymbolFlags::UNDEFINED)
    })?;
    Some(object.symbol_name(SymbolIndex(at as u32)))
}

/// The strings of a segment whose strings may be merged with others.
pub(crate) fn string_pieces(
    object: &Object,
    index: SegmentIndex,
    options: &LinkOptions,
) -> Option<Vec<Span>> {
    let segment = &object.segments[index.index()];
    let bytes = object.bytes(segment.data);
    // Strings of wider characters are aligned, and end in more than one zero.
    let merges = segment.flags.has(SegmentFlags::STRINGS)
        && segment.align_log2 == 0
        && options.optimize > 0
        && bytes.last() == Some(&0)
        && object.segment_relocs(index).is_empty()
        && !is_zero(object, index, options);
    if !merges {
        return None;
    }
    let mut pieces = Vec::new();
    let mut start = segment.data.start;
    for piece in bytes.split_inclusive(|byte| *byte == 0) {
        let len = piece.len() as u32;
        pieces.push(Span { start, len });
        start += len;
    }
    Some(pieces)
}
