//! Defines what a link consists of: contents of objects, converted on all cores, and what the linker makes.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::link::command::options::LinkOptions;
use crate::link::declare::assign::{LinkDeclarations, MergedSegment};
use crate::link::declare::known::Item;
use crate::link::declare::placed::{DebugStrings, PlacedByObject};
use crate::link::declare::plan::Plan;
use crate::link::declare::relocate::{Converter, GotKey, ResolvedTarget, own_meaning};
use crate::link::declare::synthetic;
use crate::link::declare::table_import::define_table_import;
use crate::link::declare::threads::{self, Loaded};
use crate::link::order::{OutputSegment, is_zero};
use crate::link::resolve::Resolution;
use crate::link::symbols::signatures::SignatureId;
use crate::link::symbols::{Definition, ObjectId, SymbolId, SymbolType, Synthetic};
use crate::module::{ConstExpr, ImportType, MemoryType, Module, ValType};
use crate::object::ids::SegmentIndex;
use crate::object::{Check, GlobalType, Limits, Object, Relocs, Span, SymbolKind};
use crate::parallel::{join, region, task};
use crate::program::{
    Bytes, DeclId, DeclKind, Definition as Defined, DefinitionKind, ImportEntry, RelocKind,
    RelocatableBytes, Relocation, SectionId, value,
};
use crate::wire::leb;

/// Objects whose definitions are made before they are given to the program, at most.
const BATCH: usize = 256;
/// The bytes of such objects together: many enough for all threads, few enough for what stands between to be little.
const BATCH_BYTES: u64 = 4 << 20;

/// Makes pending whatever of a link differs from what is defined already. The relocations of the objects' code are
/// dropped on the way if they are given, one for each object.
pub(crate) fn define(
    plan: &Plan,
    declarations: &LinkDeclarations,
    options: &LinkOptions,
    module: &mut Module,
    debug_strings: DebugStrings,
    mut code_relocs: Vec<Relocs>,
) -> Result<()> {
    let DebugStrings { placed, pieces } = debug_strings;
    let cx = Definer {
        plan,
        declarations,
        options,
        converter: converter(plan, declarations, options, &placed),
    };
    let mut made = pieces;
    made.extend(cx.strings()?);
    made.extend(cx.merged()?);
    made.extend(cx.functions(module)?);
    made.extend(cx.globals()?);
    cx.imports(module)?;
    define_table_import(plan, options, module)?;
    cx.memory(module)?;
    module.program_mut().define_address(declarations.zero, 0)?;
    let program = module.program_mut();
    let mut ready: Vec<Vec<Item>> = Vec::new();
    // While one batch is made, the one before is defined.
    for range in batches(&plan.resolution) {
        let given = code_relocs.get_mut(range.clone());
        let before = std::mem::take(&mut ready);
        let define = || {
            let mut items = before.into_iter().flatten();
            items.try_for_each(|(id, kind, definition)| program.define(id, kind, definition))
        };
        let (defined, made) = join(define, || cx.objects(range, given));
        defined?;
        ready = made?;
    }
    for (id, kind, definition) in made {
        program.define(id, kind, definition)?;
    }
    let start = declarations.threads.and_then(|threads| threads.init_memory);
    let start = start.or(declarations.clear_memory);
    module.set_start(start.map(|start| module.handed_out(start)))
}

/// Says of symbols that are places in segments which declarations these are in, once for all relocations that name them. An update
/// needs to know the segments: it is for links that are not kept.
pub(crate) fn settle_places(declarations: &mut LinkDeclarations) {
    const RUN: usize = 4096;
    let units = &declarations.known.units;
    let settle = |meanings: &mut [ResolvedTarget]| {
        for meaning in meanings {
            if let ResolvedTarget::Segment(object, segment, value) = *meaning
                && let Some((decl, offset)) =
                    units[object.index()].segments[segment.index()].at(i64::from(value))
            {
                *meaning = ResolvedTarget::Data(decl, offset);
            }
        }
    };
    let runs = declarations.meanings.items_mut().par_chunks_mut(RUN);
    region(|| runs.for_each(|run| task(|| settle(run))));
}

/// Bytes of an object that are work for more than one thread.
const MANY_BYTES: u32 = 1 << 18;

/// All objects in batches, and an empty one behind them.
fn batches(resolution: &Resolution) -> Vec<Range<usize>> {
    let (mut batches, mut begun, mut bytes) = (Vec::new(), 0, 0);
    for (at, linked) in resolution.objects.iter().enumerate() {
        bytes += u64::from(linked.object.span().len);
        if bytes >= BATCH_BYTES || at + 1 - begun == BATCH {
            batches.push(begun..at + 1);
            (begun, bytes) = (at + 1, 0);
        }
    }
    let count = resolution.objects.len();
    batches.extend([begun..count, count..count]);
    batches
}

/// What converts relocations of a link; `strings` says where those of debug information stand that the fields of custom
/// sections name.
pub(crate) fn converter<'a>(
    plan: &'a Plan,
    declarations: &'a LinkDeclarations,
    options: &'a LinkOptions,
    strings: &'a PlacedByObject,
) -> Converter<'a> {
    let thread_data = declarations.thread_data;
    Converter {
        options,
        resolution: &plan.resolution,
        meanings: &declarations.meanings,
        units: &declarations.known.units,
        types: &declarations.types,
        zero: declarations.zero,
        got: &declarations.got,
        thread_data: thread_data
            .and_then(|at| declarations.merged[at].as_ref().map(|part| part.decl)),
        strings,
    }
}

struct Definer<'a> {
    plan: &'a Plan,
    declarations: &'a LinkDeclarations,
    options: &'a LinkOptions,
    converter: Converter<'a>,
}

impl Definer<'_> {
    /// What objects define. The relocations of their code are dropped if they are given.
    fn objects(&self, range: Range<usize>, given: Option<&mut [Relocs]>) -> Result<Vec<Vec<Item>>> {
        let first = range.start;
        let id = |at: usize| ObjectId((first + at) as u32);
        let known = |at: usize| {
            let id = ObjectId(at as u32);
            let relocs = &self.plan.resolution.object(id).object.code_relocs;
            task(|| self.object(id, relocs))
        };
        region(|| match given {
            None => range.into_par_iter().map(known).collect(),
            Some(relocs) => {
                let relocs = relocs.par_iter_mut().enumerate();
                let define = |(at, relocs): (usize, &mut Relocs)| {
                    task(|| self.object(id(at), &std::mem::take(relocs)))
                };
                relocs.map(define).collect()
            }
        })
    }

    /// What an object defines, without segments that are merged and strings. Debug information, which is most of an object, and what is
    /// kept of the object, are for whoever has nothing to do. Before the output is published, its inputs are looked at again.
    fn object(&self, id: ObjectId, code_relocs: &Relocs) -> Result<Vec<Item>> {
        let contents = || self.contents(id, code_relocs);
        let customs = || custom_items(&self.converter, &self.declarations.sections, id);
        let object = &self.plan.resolution.object(id).object;
        let ((items, customs), kept) =
            join(|| join(contents, customs), || object.keep(Check::Later));
        kept?;
        let mut items = items?;
        items.extend(customs?);
        Ok(items)
    }

    /// What an object has of code and data.
    fn contents(&self, id: ObjectId, code_relocs: &Relocs) -> Result<Vec<Item>> {
        let linked = self.plan.resolution.object(id);
        let object = &linked.object;
        let unit = &self.declarations.known.units[id.index()];
        let mut items = Vec::with_capacity(unit.functions.len() + unit.segments.len());
        for (index, decl) in unit.functions.iter().enumerate() {
            if let Some(decl) = decl {
                let signature = linked.signatures[object.functions[index].ty.index()];
                let content = self.converter.function(id, index, code_relocs)?;
                items.push(self.function(*decl, signature, content));
            }
        }
        for (index, placed) in unit.segments.iter().enumerate() {
            if let crate::link::declare::known::SegmentPlacement::Part(decl, 0) = placed {
                let segment = SegmentIndex(index as u32);
                if !self.is_merged(*decl) {
                    let memory = self.declarations.memory;
                    items.push(segment_item(&self.converter, *decl, id, segment, memory)?);
                }
            }
        }
        items.extend(other_items(self.plan, self.declarations, id)?);
        Ok(items)
    }

    fn is_merged(&self, decl: DeclId) -> bool {
        let mut merged = self.declarations.merged.iter().flatten();
        merged.any(|segment| segment.decl == decl)
    }

    fn function(&self, id: DeclId, signature: SignatureId, content: RelocatableBytes) -> Item {
        let ty = self.declarations.types[signature.index()];
        let shape = DefinitionKind::Function { ty };
        (id, DeclKind::Function, Defined { content, shape })
    }

    fn strings(&self) -> Result<Vec<Item>> {
        let strings = self.declarations.strings.iter();
        strings
            .map(|&(id, align_log2, object, span)| {
                let object = &self.plan.resolution.object(object).object;
                string_item(id, align_log2, object, span, self.declarations.memory)
            })
            .collect()
    }

    /// Segments of the output that are one declaration each.
    fn merged(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for (segment, merged) in self.plan.segments.iter().zip(&self.declarations.merged) {
            let Some(merged) = merged else { continue };
            let content = self.merged_content(segment, merged)?;
            match merged.passive {
                None => {
                    let shape = DefinitionKind::Data {
                        align_log2: segment.align_log2,
                        size: merged.size,
                        memory: self.declarations.memory,
                        constant: is_constant(&segment.name),
                    };
                    items.push((merged.decl, DeclKind::Data, Defined { content, shape }));
                }
                Some((address, contents)) => {
                    let definition = Defined {
                        content: RelocatableBytes::new(Vec::new(), Vec::new())?,
                        shape: DefinitionKind::Address(address),
                    };
                    items.push((merged.decl, DeclKind::Data, definition));
                    if let Some(contents) = contents {
                        let shape = DefinitionKind::DataSegment;
                        items.push((contents, DeclKind::DataSegment, Defined { content, shape }));
                    }
                }
            }
        }
        Ok(items)
    }

    fn merged_content(
        &self,
        segment: &OutputSegment,
        merged: &MergedSegment,
    ) -> Result<RelocatableBytes> {
        if segment.is_zero {
            return RelocatableBytes::new(Vec::new(), Vec::new());
        }
        let mut bytes = Vec::with_capacity(merged.size as usize + 6);
        if merged.passive.is_some() {
            bytes.push(1);
            leb::push_wide32(&mut bytes, merged.size as u32);
        }
        let base = bytes.len();
        let mut relocs = Vec::new();
        for (&(object, index), start) in segment.parts.iter().zip(&merged.starts) {
            let part = &self.plan.resolution.object(object).object;
            bytes.resize(base + *start as usize, 0);
            let at = bytes.len() as u32;
            bytes.extend_from_slice(part.bytes(part.segments[index.index()].data));
            relocs.extend(self.converter.segment_relocs(object, index, at)?);
            let is_distance = |reloc: &Relocation| reloc.kind == RelocKind::DistanceI32;
            if merged.passive.is_some() && relocs.iter().any(is_distance) {
                let text = "relocation R_WASM_MEMORY_ADDR_LOCREL_I32 in a segment that code loads";
                return Err(Error::bad_input(text).with_path(part.display_name()));
            }
        }
        RelocatableBytes::new(bytes, relocs)
    }

    /// The functions that the linker makes.
    fn functions(&self, module: &mut Module) -> Result<Vec<Item>> {
        let declarations = self.declarations;
        let mut items = Vec::new();
        for &(id, signature) in &declarations.traps {
            items.push(self.function(id, signature, synthetic::trap()?));
        }
        let types = &mut module.program_mut().types;
        let nothing = types.function(&[], &[])?;
        let is_64 = self.plan.resolution.is_64;
        let pointer = if is_64 { value::I64 } else { value::I32 };
        let of_pointer = types.function(&[pointer], &[])?;
        let mut push = |id: DeclId, ty, content: RelocatableBytes| {
            let shape = DefinitionKind::Function { ty };
            items.push((id, DeclKind::Function, Defined { content, shape }));
        };
        if let Some(ctors) = declarations.ctors {
            push(ctors, nothing, synthetic::calls(&declarations.inits)?);
        }
        for wrapper in &declarations.wrappers {
            let signature = self.plan.resolution.signatures.get(wrapper.signature);
            let content = synthetic::wrapper(
                declarations.ctors,
                wrapper.target,
                signature.params.len(),
                declarations.dtors,
            )?;
            push(
                wrapper.id,
                declarations.types[wrapper.signature.index()],
                content,
            );
        }
        if let Some(clear_memory) = declarations.clear_memory {
            let segments = self.plan.segments.iter().zip(&declarations.merged);
            let zeros = segments.filter(|(segment, _)| segment.is_zero);
            let zeros = zeros.filter_map(|(_, merged)| merged.as_ref());
            let zeros = zeros.map(|merged| (merged.decl, merged.size));
            push(
                clear_memory,
                nothing,
                synthetic::clear_memory(zeros, is_64)?,
            );
        }
        if let Some(threads) = &declarations.threads {
            let loaded = self.loaded();
            if let Some(init_memory) = threads.init_memory {
                let code = threads::init_memory(threads, &loaded, is_64)?;
                push(init_memory, nothing, code);
            }
            if let Some(init_tls) = threads.init_tls {
                let segment = loaded.iter().find(|segment| segment.is_thread_local);
                push(init_tls, of_pointer, threads::init_tls(threads, segment)?);
            }
            if let (Some(set_globals), Some(base)) = (threads.set_tls_globals, threads.tls_base) {
                let code = threads::set_tls_globals(base, &declarations.thread_got, is_64)?;
                push(set_globals, nothing, code);
            }
            if let Some(set_addresses) = threads.set_tls_addresses {
                push(set_addresses, nothing, synthetic::calls(&[])?);
            }
        }
        Ok(items)
    }

    /// The segments that code loads.
    fn loaded(&self) -> Vec<Loaded> {
        let segments = self.plan.segments.iter().zip(&self.declarations.merged);
        segments
            .filter_map(|(segment, merged)| {
                let merged = merged.as_ref()?;
                let (address, contents) = merged.passive?;
                Some(Loaded {
                    address,
                    size: merged.size,
                    contents,
                    is_thread_local: segment.is_thread_local,
                })
            })
            .collect()
    }

    /// The globals that the linker makes.
    fn globals(&self) -> Result<Vec<Item>> {
        let resolution = &self.plan.resolution;
        let declarations = self.declarations;
        let mut items = Vec::new();
        for &id in &resolution.synthetic_globals {
            let symbol = resolution.table.get(id);
            let ResolvedTarget::Index(decl) = declarations.meanings[id.index()] else {
                continue;
            };
            let Definition::Synthetic(synthetic) = symbol.definition else {
                continue;
            };
            let mutable = match symbol.ty {
                SymbolType::Global(GlobalType { mutable, .. }) => mutable,
                _ => false,
            };
            items.push(self.global(decl, mutable, self.synthetic_init(synthetic))?);
        }
        for &(decl, id) in &declarations.data_exports {
            let init = self.address_init(declarations.meanings[id.index()]);
            let init = init.map_err(|error| error.with_symbol(resolution.name(id)))?;
            items.push(self.global(decl, false, init)?);
        }
        for (key, decl) in &declarations.got {
            // Those of thread-local data are set when a thread begins.
            if declarations.thread_got.iter().any(|(id, _)| id == decl) {
                items.push(self.global(*decl, true, Init::Number(0))?);
                continue;
            }
            let meaning = match *key {
                GotKey::Global(id) => declarations.meanings[id.index()],
                GotKey::Own(id, symbol) => {
                    let object = &resolution.object(id).object;
                    own_meaning(&declarations.known.units[id.index()], id, object, symbol)
                }
            };
            items.push(self.global(*decl, false, self.address_init(meaning)?)?);
        }
        Ok(items)
    }

    /// A global as wide as an address.
    fn global(&self, id: DeclId, mutable: bool, init: Init) -> Result<Item> {
        let is_64 = self.plan.resolution.is_64;
        let pointer = if is_64 { value::I64 } else { value::I32 };
        let content = match init {
            Init::Number(value) => {
                let (ty, init) = match is_64 {
                    true => (ValType::I64, ConstExpr::I64(value as i64)),
                    false => (ValType::I32, ConstExpr::I32(value as u32 as i32)),
                };
                let (bytes, _) = crate::module::global(ty, mutable, init)?;
                RelocatableBytes::new(bytes, Vec::new())?
            }
            Init::Reloc(kind, target, addend) => {
                let mut code = synthetic::Code::new();
                // A global's type stands where a function has its locals.
                code.bytes = vec![pointer, u8::from(mutable)];
                let constant = if is_64 { 0x42 } else { 0x41 };
                code.field(constant, kind, target, addend);
                code.finish()?
            }
        };
        let shape = DefinitionKind::Global;
        Ok((id, DeclKind::Global, Defined { content, shape }))
    }

    /// What one of the linker's own globals begins with.
    fn synthetic_init(&self, synthetic: Synthetic) -> Init {
        let declarations = self.declarations;
        let thread_data = declarations.thread_data;
        let merged = thread_data.and_then(|at| declarations.merged[at].as_ref());
        match synthetic {
            Synthetic::StackPointer => Init::Number(declarations.memory_plan.stack_high),
            Synthetic::TlsSize => Init::Number(merged.map_or(0, |merged| merged.size)),
            Synthetic::TlsAlign => {
                let segment = thread_data.map(|at| &self.plan.segments[at]);
                Init::Number(segment.map_or(0, |segment| 1 << segment.align_log2))
            }
            Synthetic::TlsBase => match merged {
                // With threads, each sets it for itself.
                Some(merged) if !self.options.shared_memory => {
                    let kind = address_kind(self.plan.resolution.is_64);
                    Init::Reloc(kind, merged.decl, 0)
                }
                _ => Init::Number(0),
            },
            _ => Init::Number(0),
        }
    }

    /// What a global begins with that holds an address.
    fn address_init(&self, meaning: ResolvedTarget) -> Result<Init> {
        let is_64 = self.plan.resolution.is_64;
        let (target, addend) = match meaning {
            ResolvedTarget::Function {
                id: Some(id),
                has_address: true,
            } => {
                let kind = match is_64 {
                    true => RelocKind::SlotSleb64,
                    false => RelocKind::SlotSleb,
                };
                return Ok(Init::Reloc(kind, id, 0));
            }
            ResolvedTarget::Function { .. } => (self.declarations.zero, 0),
            other => self.converter.address(other, 0).ok_or_else(|| {
                Error::bad_input("its address is asked for, but it is not linked")
            })?,
        };
        Ok(match i32::try_from(addend) {
            Ok(addend) => Init::Reloc(address_kind(is_64), target, addend),
            Err(_) => Init::Number(addend as u64),
        })
    }

    fn imports(&self, module: &mut Module) -> Result<()> {
        let resolution = &self.plan.resolution;
        for &id in &self.plan.imports {
            let symbol = resolution.table.get(id);
            let (from, name) = resolution.import_names(id);
            let (decl, ty) = match self.declarations.meanings[id.index()] {
                ResolvedTarget::Function { id: Some(decl), .. } => (
                    decl,
                    symbol
                        .ty
                        .signature()
                        .map(|ty| self.declarations.types[ty.index()]),
                ),
                // The table of functions' addresses is dealt with together with its size.
                ResolvedTarget::Index(decl) if Some(decl) == module.slots() => continue,
                ResolvedTarget::Index(decl) => (
                    decl,
                    symbol
                        .ty
                        .signature()
                        .map(|ty| self.declarations.types[ty.index()]),
                ),
                _ => continue,
            };
            let limits = || imported_limits(resolution, id);
            let content = import(from, name, symbol.ty, limits, ty, symbol.kind)?;
            let shape = DefinitionKind::Import { ty };
            let definition = Defined { content, shape };
            let kind = module.program().decl(decl).kind;
            module.program_mut().define(decl, kind, definition)?;
        }
        Ok(())
    }

    fn memory(&self, module: &mut Module) -> Result<()> {
        let declarations = self.declarations;
        let plan = &declarations.memory_plan;
        let memory = module.handed_out(declarations.memory);
        let ty = MemoryType {
            minimum: plan.pages,
            maximum: plan.maximum,
            shared: self.options.shared_memory,
            is_64: self.plan.resolution.is_64,
        };
        match &self.options.import_memory {
            Some((from, name)) => {
                module.define_import(memory, from, name, &ImportType::Memory(ty))?;
            }
            None => module.define_memory(memory, ty)?,
        }
        if !self.options.shared_memory && plan.data_end > plan.data_start {
            module.reserve_data(memory, plan.data_start..plan.data_end)?;
        }
        Ok(())
    }
}

/// Data for a segment that is a declaration of its own.
pub(crate) fn segment_item(
    converter: &Converter<'_>,
    decl: DeclId,
    id: ObjectId,
    index: SegmentIndex,
    memory: DeclId,
) -> Result<Item> {
    let object = &converter.resolution.object(id).object;
    let segment = &object.segments[index.index()];
    let content = match is_zero(object, index, converter.options) {
        true => RelocatableBytes::new(Vec::new(), Vec::new())?,
        false => converter.segment(id, index)?,
    };
    let shape = DefinitionKind::Data {
        align_log2: segment.align_log2,
        size: segment.data.len.into(),
        memory,
        constant: is_constant(object.str(segment.name)),
    };
    Ok((decl, DeclKind::Data, Defined { content, shape }))
}

/// Whether the program never writes to a segment of this name.
fn is_constant(name: &str) -> bool {
    name.starts_with(".rodata") || name.starts_with(".data.rel.ro")
}

/// Data for a string of an object.
pub(crate) fn string_item(
    decl: DeclId,
    align_log2: u8,
    object: &Object,
    span: Span,
    memory: DeclId,
) -> Result<Item> {
    let bytes = Bytes::Shared {
        input: object.input().clone(),
        start: span.start,
        len: span.len,
    };
    let definition = Defined {
        content: RelocatableBytes::new(bytes, Vec::new())?,
        shape: DefinitionKind::Data {
            align_log2,
            size: span.len.into(),
            memory,
            constant: true,
        },
    };
    Ok((decl, DeclKind::Data, definition))
}

/// An object's globals, tags and tables.
pub(crate) fn other_items(
    plan: &Plan,
    declarations: &LinkDeclarations,
    id: ObjectId,
) -> Result<Vec<Item>> {
    let linked = plan.resolution.object(id);
    let object = &linked.object;
    let unit = &declarations.known.units[id.index()];
    let mut items = Vec::new();
    for (index, decl) in unit.globals.iter().enumerate() {
        if let Some(decl) = decl {
            let global = &object.globals[index];
            let mut bytes = vec![global.ty.value, u8::from(global.ty.mutable)];
            bytes.extend_from_slice(object.bytes(global.init));
            let definition = Defined {
                content: RelocatableBytes::new(bytes, Vec::new())?,
                shape: DefinitionKind::Global,
            };
            items.push((*decl, DeclKind::Global, definition));
        }
    }
    for (index, decl) in unit.tags.iter().enumerate() {
        if let Some(decl) = decl {
            let signature = linked.signatures[object.tags[index].index()];
            let ty = declarations.types[signature.index()];
            let reloc = Relocation::to_type(RelocKind::TypeIndex, 1, ty);
            let definition = Defined {
                content: RelocatableBytes::new(vec![0; 1 + leb::WIDE32], vec![reloc])?,
                shape: DefinitionKind::Tag { ty },
            };
            items.push((*decl, DeclKind::Tag, definition));
        }
    }
    for (index, decl) in unit.tables.iter().enumerate() {
        if let Some(decl) = decl {
            let definition = Defined {
                content: table_content(&object.tables[index])?,
                shape: DefinitionKind::Table,
            };
            items.push((*decl, DeclKind::Table, definition));
        }
    }
    Ok(items)
}

/// An object's pieces of custom sections, made on all cores if it is large.
pub(crate) fn custom_items(
    converter: &Converter<'_>,
    sections: &HashMap<Box<str>, SectionId>,
    id: ObjectId,
) -> Result<Vec<Item>> {
    let object = &converter.resolution.object(id).object;
    let unit = &converter.units[id.index()];
    let pieces = unit.customs.iter().enumerate().filter_map(|(index, decl)| {
        let name = object.str(object.custom_sections[index].name);
        Some((index, (*decl)?, *sections.get(name)?))
    });
    let pieces: Vec<(usize, DeclId, SectionId)> = pieces.collect();
    let make = |(index, decl, section)| {
        let definition = Defined {
            content: converter.custom(id, index)?,
            shape: DefinitionKind::Custom { section },
        };
        Ok((decl, DeclKind::Custom, definition))
    };
    // To wake other threads takes longer than to do little.
    match object.span().len < MANY_BYTES {
        true => pieces.into_iter().map(make).collect(),
        false => region(|| {
            pieces
                .into_par_iter()
                .map(|piece| task(|| make(piece)))
                .collect()
        }),
    }
}

/// What a global begins with.
enum Init {
    /// A number as wide as an address.
    Number(u64),
    Reloc(RelocKind, DeclId, i32),
}

fn address_kind(is_64: bool) -> RelocKind {
    match is_64 {
        true => RelocKind::AddressSleb64,
        false => RelocKind::AddressSleb,
    }
}

fn table_content(table: &crate::object::TableType) -> Result<RelocatableBytes> {
    let mut bytes = vec![table.element];
    push_limits(&mut bytes, &table.limits);
    RelocatableBytes::new(bytes, Vec::new())
}

fn push_limits(bytes: &mut Vec<u8>, limits: &Limits) {
    bytes.push(u8::from(limits.maximum.is_some()) | u8::from(limits.is_64) << 2);
    for number in [Some(limits.minimum), limits.maximum].into_iter().flatten() {
        match limits.is_64 {
            true => leb::push_unsigned(bytes, number),
            false => leb::push_wide32(bytes, number as u32),
        }
    }
}

/// The bounds that an object imports a table with: those of the first one that refers to it.
fn imported_limits(resolution: &Resolution, id: SymbolId) -> Limits {
    let symbol = resolution.table.get(id);
    let object = symbol.object.map(|object| resolution.object(object));
    let found = object.and_then(|linked| {
        let refs = linked
            .refs
            .iter()
            .position(|symbol| symbol.symbol() == Some(id))?;
        let table = linked.object.symbols[refs].table()?;
        Some(linked.object.table_type(table).limits)
    });
    found.unwrap_or_default()
}

fn import(
    module: &str,
    name: &str,
    symbol: SymbolType,
    limits: impl FnOnce() -> Limits,
    ty: Option<crate::program::TypeId>,
    kind: SymbolKind,
) -> Result<RelocatableBytes> {
    let entry = match (kind, symbol, ty) {
        (SymbolKind::Function, _, Some(ty)) => ImportEntry::function(module, name, ty),
        (SymbolKind::Tag, _, Some(ty)) => ImportEntry::tag(module, name, ty),
        (SymbolKind::Table, SymbolType::Table(element), _) => {
            let mut table = vec![element];
            push_limits(&mut table, &limits());
            ImportEntry::table(module, name).with(&table)
        }
        (_, SymbolType::Global(global), _) => {
            ImportEntry::global(module, name, global.value, global.mutable)
        }
        _ => return Err(Error::bad_input("an import without a type").with_symbol(name)),
    };
    entry.finish()
}
