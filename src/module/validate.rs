//! Whether the bodies that a commit brings are valid code. They are looked at as they were defined: with each field that
//! names something holding what the program calls it, so that this costs the same with every redirection and nothing has
//! to be placed first. What wasmend adds itself, such as thunks, is right by construction. Nothing is changed here.

use std::cell::Cell;
use std::sync::{LazyLock, OnceLock};

use rayon::prelude::*;
use wasmparser::{
    BinaryReader, ElementItems, ElementSectionReader, FuncToValidate, FuncType,
    FuncValidatorAllocations, FunctionBody, GlobalType, HeapType, MemoryType, Operator, RefType,
    SubType, Table, TableType, UnpackedIndex, ValType, ValidatorResources, WasmFeatures,
    WasmModuleResources, types::CoreTypeId,
};

use crate::error::{Error, Result};
use crate::hash::{HashMap, HashSet};
use crate::module::type_space::TypeSpace;
use crate::parallel::{Spares, region, task};
use crate::program::{
    DeclId, DeclKind, Declaration, Definition, DefinitionKind, Pending, Program, References,
    RelocKind, Relocation, TypeId, TypeTable,
};
use crate::wire::leb;

/// What marks a number as one that a relocation has put there. Code that names something by a number of its own is found
/// out by it: that number would be wrong after the next patch.
const NAMED: u32 = 1 << 31;
/// The same of types: what a reference refers to is kept in twenty bits by the decoder.
const NAMED_TYPE: u32 = 1 << 19;
/// Fewer bodies than this are not worth a thread.
const RUN: usize = 256;
/// The most locals that engines take.
const MOST_LOCALS: u64 = 50_000;
/// Messages of the decoder that say that an index names nothing, and what can be done about it.
const UNKNOWN: [(&str, &str); 3] = [
    (
        "undeclared function reference",
        "let an element segment name the function: `Elements::declared`",
    ),
    ("unknown memory", "define a memory for it"),
    (
        "unknown ",
        "what stands outside the function is named by methods of the builder",
    ),
];

/// Looks at bodies, and keeps what can be used again from one commit to the next.
#[derive(Default)]
pub(super) struct BodyValidator {
    /// The memories in the order of the output, unless a commit may have changed them.
    memories: Option<Box<[DeclId]>>,
    worker: Worker,
}

impl BodyValidator {
    /// Looks at all bodies that the pending edits bring, and at those that may have become wrong by them.
    ///
    /// # Errors
    /// What is wrong with any of them, all at once.
    pub(super) fn validate(
        &mut self,
        program: &Program,
        references: &References,
        table64: bool,
    ) -> Result<()> {
        let found = bodies(program, references);
        let known = self.memories.take().filter(|_| !found.memories_change);
        let memories = known.unwrap_or_else(|| memories(program));
        let context = Context {
            program,
            references,
            memories: &memories,
            declared: &OnceLock::new(),
            table64,
        };
        let bodies = found.bodies;
        let mut errors = Vec::new();
        if bodies.len() < 2 * RUN {
            let worker = &mut self.worker;
            errors.extend(worker.run(context, &bodies));
        } else {
            let workers = Spares::<Worker>::default();
            let run = |ids: &[DeclId]| -> Vec<Error> {
                workers.with(|worker| worker.run(context, ids).collect())
            };
            errors.par_extend(bodies.par_chunks(RUN).flat_map_iter(run));
        }
        if !found.memories_change {
            self.memories = Some(memories);
        }
        let mut errors = errors.into_iter();
        match errors.next() {
            None => Ok(()),
            Some(first) => Err(first.with_others(errors.collect())),
        }
    }
}

/// The memories as the output numbers them after the commit: imports first, each in the order of declaration.
fn memories(program: &Program) -> Box<[DeclId]> {
    let next = |decl: &Declaration| decl.next().map(Definition::is_import);
    let all = program.iter();
    let all = all.filter(|(_, decl)| decl.kind == DeclKind::Memory);
    let mut all: Vec<_> = all
        .filter_map(|(id, decl)| Some((!next(decl)?, decl.serial, id)))
        .collect();
    all.sort_unstable();
    all.into_iter().map(|(_, _, id)| id).collect()
}

/// What pending edits make necessary.
#[derive(Default)]
struct Found {
    /// The bodies to look at: those that change, and those that use a table or a memory which does.
    bodies: Vec<DeclId>,
    /// Whether there are others than those that change: such may come up more than once.
    has_users: bool,
    /// Whether memories come, go or change.
    memories_change: bool,
    /// Whether all bodies that stay as they are have to be looked at.
    is_each: bool,
}

/// What the pending edits make necessary, found by all threads if they are many.
fn bodies(program: &Program, references: &References) -> Found {
    const MANY: usize = 4096;
    let find = |dirty: &[DeclId]| {
        let mut found = Found::default();
        let dirty = dirty.iter();
        dirty.for_each(|id| found.add(program, references, *id));
        found
    };
    let mut found = match program.dirty.len() <= MANY {
        true => find(&program.dirty),
        false => {
            let runs = program.dirty.par_chunks(MANY);
            let runs: Vec<Found> = region(|| runs.map(|run| task(|| find(run))).collect());
            runs.into_iter().fold(Found::default(), Found::and)
        }
    };
    if found.is_each {
        let current = program.iter().filter(|(_, decl)| is_current_body(decl));
        found.bodies.extend(current.map(|(id, _)| id));
    }
    if found.has_users || found.is_each {
        let mut seen: HashSet<_> = HashSet::default();
        found.bodies.retain(|id| seen.insert(*id));
    }
    found
}

impl Found {
    fn and(mut self, other: Found) -> Found {
        self.bodies.extend(other.bodies);
        self.has_users |= other.has_users;
        self.memories_change |= other.memories_change;
        self.is_each |= other.is_each;
        self
    }

    /// Adds what an edit of a declaration makes necessary.
    fn add(&mut self, program: &Program, references: &References, id: DeclId) {
        let decl = program.decl(id);
        let mut add_users = |id: DeclId| {
            self.has_users = true;
            self.bodies.extend(current_users(program, references, id));
        };
        match (decl.kind, decl.pending()) {
            (DeclKind::Function, Pending::Define(definition)) if definition.is_body() => {
                self.bodies.push(id);
            }
            (DeclKind::Table, Pending::Define(_)) if decl.current().is_some() => add_users(id),
            // What it named may be named by nothing now that lets code refer to it, or its elements be of another type.
            (DeclKind::ElementSegment | DeclKind::Global, Pending::Define(_) | Pending::Remove) => {
                if decl.kind == DeclKind::ElementSegment {
                    add_users(id);
                }
                let named = decl.current().into_iter().flat_map(functions_named);
                named
                    .collect::<HashSet<_>>()
                    .into_iter()
                    .for_each(add_users);
            }
            (DeclKind::Memory, _) => {
                self.memories_change = true;
                // Nobody says which bodies use the first memory.
                self.is_each |= changes_interface(decl);
            }
            _ => {}
        }
    }
}

/// The bodies that stay as they are and refer to a declaration.
fn current_users(
    program: &Program,
    references: &References,
    id: DeclId,
) -> impl Iterator<Item = DeclId> {
    let users = references.of(program, id).into_iter();
    users.filter(|user| is_current_body(program.decl(*user)))
}

/// The functions that a definition names by their indices.
fn functions_named(definition: &Definition) -> impl Iterator<Item = DeclId> + '_ {
    let relocs = definition.content.relocs().iter();
    let named = relocs.filter(|reloc| reloc.kind == RelocKind::FunctionIndex);
    named.filter_map(|reloc| reloc.decl())
}

/// Whether it is a function with a body that stays as it is.
fn is_current_body(decl: &Declaration) -> bool {
    let stays = matches!(decl.pending(), Pending::None) && !decl.is_orphan;
    stays && decl.current().is_some_and(Definition::is_body)
}

/// Whether a memory comes, goes or has addresses of another width.
fn changes_interface(memory: &Declaration) -> bool {
    let width = |definition| memory_type(definition).map(|ty| ty.memory64);
    memory.current().and_then(width) != memory.next().and_then(width)
}

/// What bodies are looked at against.
#[derive(Clone, Copy)]
struct Context<'a> {
    program: &'a Program,
    references: &'a References,
    memories: &'a [DeclId],
    /// Functions that segments and globals name which the commit defines, once that is asked for.
    declared: &'a OnceLock<HashSet<DeclId>>,
    /// Whether the table of slots is indexed with 64 bits.
    table64: bool,
}

/// What one thread needs to look at bodies.
#[derive(Default)]
struct Worker {
    allocations: FuncValidatorAllocations,
    /// A body, with its fields filled in.
    bytes: Vec<u8>,
    types: Types,
    /// Types that references refer to, once a body has such references: those that any of the bodies may come across.
    space: Option<TypeSpace>,
}

/// Function types as the decoder knows them. They are kept for one commit: ids may be given out again after it.
type Types = HashMap<TypeId, SubType, foldhash::fast::FixedState>;

impl Worker {
    fn run<'a>(
        &'a mut self,
        context: Context<'a>,
        bodies: &'a [DeclId],
    ) -> impl Iterator<Item = Error> + 'a {
        self.types.clear();
        self.space = None;
        let ids = bodies.iter();
        ids.filter_map(move |id| self.validate(context, *id, bodies).err())
    }

    fn validate(&mut self, context: Context<'_>, id: DeclId, all: &[DeclId]) -> Result<()> {
        let decl = context.program.decl(id);
        let Some(definition) = decl.next() else {
            return Ok(());
        };
        let Some(ty) = definition.ty() else {
            return Ok(());
        };
        self.load(context, definition)?;
        let wants = Wants::default();
        // The decoder asks for the function's own type at once.
        wants.space.set(!self.types.contains_key(&ty));
        let mut result = Ok(());
        if !wants.space.get() || self.space.is_some() {
            result = self.look(context, id, ty, &wants);
        }
        if wants.space.get() && self.space.is_none() {
            let types = &context.program.types;
            let space = TypeSpace::of(types, types_met(context.program, all));
            self.space = Some(space.map_err(|error| error.with_symbol(decl.label()))?);
            result = self.look(context, id, ty, &wants);
        }
        let result = result.map_err(|error| refusal(error, &self.bytes));
        let result = match wants.data.get() {
            true => result.and_then(|()| expect_named_data(&self.bytes)),
            false => result,
        };
        result.map_err(|error| error.with_symbol(decl.label()))
    }

    fn look(
        &mut self,
        context: Context<'_>,
        id: DeclId,
        ty: TypeId,
        wants: &Wants,
    ) -> wasmparser::Result<()> {
        let scope = Scope {
            context,
            types: &self.types,
            space: self.space.as_ref(),
            wants,
        };
        let function = FuncToValidate {
            resources: scope,
            index: NAMED | id.0,
            ty: marked(ty),
            features: WasmFeatures::all(),
        };
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        let body = FunctionBody::new(BinaryReader::new(&self.bytes, 0));
        let result = validator.validate(&body);
        self.allocations = validator.into_allocations();
        result
    }

    /// Fills in the body's fields, and learns the types that it relies on.
    fn load(&mut self, context: Context<'_>, definition: &Definition) -> Result<()> {
        let program = context.program;
        let relocs = definition.content.relocs();
        let own = definition.ty().into_iter();
        for ty in own.chain(relocs.iter().filter_map(|reloc| type_of(program, reloc))) {
            if program.types.group_of(ty).is_simple()
                && let crate::hash::Entry::Vacant(vacant) = self.types.entry(ty)
            {
                vacant.insert(function_type(program, ty)?);
            }
        }
        fill(definition, context.memories, &mut self.bytes);
        Ok(())
    }
}

/// What came up while a body was looked at.
#[derive(Default)]
struct Wants {
    /// References to types of the module.
    space: Cell<bool>,
    /// Data segments.
    data: Cell<bool>,
}

/// A definition's bytes, with its fields filled in.
fn fill(definition: &Definition, memories: &[DeclId], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(definition.content.bytes());
    for reloc in definition.content.relocs() {
        let field = &mut out[reloc.offset as usize..][..reloc.kind.width()];
        write_field(field, reloc, memories);
    }
}

/// All types that these bodies name, and that what they name has.
fn types_met(program: &Program, bodies: &[DeclId]) -> HashSet<TypeId> {
    let mut types: HashSet<_> = HashSet::default();
    for definition in bodies.iter().filter_map(|id| program.decl(*id).next()) {
        types.extend(definition.types());
        let named = definition.content.relocs().iter();
        let named = named.filter_map(|reloc| program.get(reloc.decl()?)?.next());
        types.extend(
            named
                .filter(|next| !next.is_body())
                .flat_map(Definition::types),
        );
        let called = definition.content.relocs().iter();
        types.extend(called.filter_map(|reloc| type_of(program, reloc)));
    }
    types
}

/// That data segments are named by fields: the decoder does not ask which they are.
fn expect_named_data(body: &[u8]) -> Result<()> {
    let body = FunctionBody::new(BinaryReader::new(body, 0));
    for operator in body.get_operators_reader()?.into_iter_with_offsets() {
        let (operator, offset) = operator?;
        let index = match operator {
            Operator::MemoryInit { data_index, .. } | Operator::DataDrop { data_index } => {
                data_index
            }
            Operator::ArrayNewData {
                array_data_index, ..
            }
            | Operator::ArrayInitData {
                array_data_index, ..
            } => array_data_index,
            _ => continue,
        };
        if index & NAMED == 0 {
            let (_, hint) = UNKNOWN[UNKNOWN.len() - 1];
            let text = format!("is not valid code: unknown data segment {index}");
            return Err(Error::bad_input(text).with_offset(offset).with_hint(hint));
        }
    }
    Ok(())
}

/// The type that a relocation's target has, or is.
fn type_of(program: &Program, reloc: &Relocation) -> Option<TypeId> {
    match reloc.kind {
        RelocKind::TypeIndex | RelocKind::HeapType => reloc.ty(),
        RelocKind::Call | RelocKind::FunctionIndex | RelocKind::TagIndex => {
            program.get(reloc.decl()?)?.next()?.ty()
        }
        _ => None,
    }
}

fn function_type(program: &Program, ty: TypeId) -> Result<SubType> {
    let bytes = program.types.group_of(ty).content.bytes();
    let bytes = bytes.get(1..).unwrap_or_default();
    let ty = BinaryReader::new(bytes, 0).read::<FuncType>()?;
    Ok(SubType::func(ty, false))
}

/// Writes what the program calls the target. Addresses are whatever they are: none is invalid.
fn write_field(field: &mut [u8], reloc: &Relocation, memories: &[DeclId]) {
    use RelocKind::*;
    let named = NAMED | reloc.target;
    match reloc.kind {
        HeapType => leb::write_signed(field, marked(TypeId(reloc.target)).into()),
        TypeIndex => leb::write_unsigned(field, marked(TypeId(reloc.target)).into()),
        MemoryIndex => {
            let at = memories.iter().position(|id| reloc.decl() == Some(*id));
            field[0] = at.unwrap_or(memories.len()) as u8;
        }
        Call | FunctionIndex | GlobalIndex | TableIndex | TagIndex | ElementIndex | DataIndex => {
            leb::write_unsigned(field, named.into())
        }
        AddressLeb | AddressLeb64 | TableLen => leb::write_unsigned(field, 0),
        SlotSleb | SlotSleb64 | AddressSleb | AddressSleb64 => leb::write_signed(field, 0),
        _ => field.fill(0),
    }
}

/// What the decoder has against a body, in words for whoever made it.
#[cold]
fn refusal(error: wasmparser::Error, body: &[u8]) -> Error {
    let message = error.message();
    if message.starts_with("too many locals") {
        let count = count_locals(body).unwrap_or(u64::MAX);
        let text = format!("has {count} locals; engines take {MOST_LOCALS}");
        return Error::limit(text).with_offset(error.offset());
    }
    let refused = Error::bad_input(format!("is not valid code: {message}"));
    let refused = refused.with_offset(error.offset());
    let hint = UNKNOWN.iter().find(|(what, _)| message.starts_with(what));
    match hint {
        Some((_, hint)) => refused.with_hint(*hint),
        None => refused,
    }
}

fn count_locals(body: &[u8]) -> Option<u64> {
    let mut reader = BinaryReader::new(body, 0);
    let mut count = 0;
    for _ in 0..reader.read_var_u32().ok()? {
        count += u64::from(reader.read_var_u32().ok()?);
        reader.read::<ValType>().ok()?;
    }
    Some(count)
}

/// What follows the names and the kind in an import's entry.
fn imported_type(entry: &[u8]) -> Option<BinaryReader<'_>> {
    let mut reader = BinaryReader::new(entry, 0);
    reader.read_unlimited_string().ok()?;
    reader.read_unlimited_string().ok()?;
    reader.read_u8().ok()?;
    Some(reader)
}

/// Where a definition's own type begins, be it imported or not.
fn own_type(definition: &Definition) -> Option<BinaryReader<'_>> {
    let bytes = definition.content.bytes();
    match definition.is_import() {
        true => imported_type(bytes),
        false => Some(BinaryReader::new(bytes, 0)),
    }
}

fn memory_type(definition: &Definition) -> Option<MemoryType> {
    own_type(definition)?.read().ok()
}

/// The number by which a type is named.
fn marked(ty: TypeId) -> u32 {
    NAMED_TYPE + ty.0
}

/// The type that such a number names.
fn named_type(number: u32) -> Option<TypeId> {
    number.checked_sub(NAMED_TYPE).map(TypeId)
}

/// What a body can name. Numbers are those of the program, so that nothing has to be looked up.
struct Scope<'a> {
    context: Context<'a>,
    types: &'a Types,
    space: Option<&'a TypeSpace>,
    wants: &'a Wants,
}

impl Scope<'_> {
    /// The definition of what a number in a body names.
    fn named(&self, number: u32) -> Option<&Definition> {
        let id = DeclId(number.checked_sub(NAMED)?);
        self.context.program.get(id)?.next()
    }

    /// A function type that refers to no other, or whatever type the space has.
    fn sub_type(&self, ty: TypeId) -> Option<&SubType> {
        match self.types.get(&ty) {
            Some(ty) => Some(ty),
            None => self.space()?.sub_type(ty),
        }
    }

    /// Types that references refer to. If they are not at hand, the body is looked at once more.
    fn space(&self) -> Option<&TypeSpace> {
        if self.space.is_none() {
            self.wants.space.set(true);
        }
        self.space
    }

    /// What the decoder knows of all types.
    fn known(&self) -> &ValidatorResources {
        self.space.map_or(&*ABSTRACT, TypeSpace::resources)
    }

    /// What a definition says of its own type. References in it are to be [checked](WasmModuleResources::check_ref_type).
    fn read_type<T>(
        &self,
        definition: &Definition,
        read: impl FnOnce(BinaryReader<'_>) -> wasmparser::Result<T>,
    ) -> Option<T> {
        if definition.content.relocs().is_empty() {
            return read(own_type(definition)?).ok();
        }
        let mut bytes = Vec::new();
        fill(definition, self.context.memories, &mut bytes);
        let reader = match definition.is_import() {
            true => imported_type(&bytes)?,
            false => BinaryReader::new(&bytes, 0),
        };
        read(reader).ok()
    }

    /// Whether something but code names a function, so that code may refer to it: an element segment, or a global.
    fn is_declared(&self, id: DeclId) -> bool {
        let program = self.context.program;
        let declares = |source: &DeclId| {
            let decl = program.decl(*source);
            let may = matches!(decl.kind, DeclKind::ElementSegment | DeclKind::Global);
            decl.next().filter(|_| may)
        };
        let pending = self.context.declared.get_or_init(|| {
            let sources = program.dirty.iter().filter_map(declares);
            sources.flat_map(functions_named).collect()
        });
        let current = self.context.references.of(program, id);
        let mut current = current.iter().filter_map(declares);
        pending.contains(&id) || current.any(|next| functions_named(next).any(|named| named == id))
    }
}

impl WasmModuleResources for Scope<'_> {
    fn table_at(&self, at: u32) -> Option<TableType> {
        let definition = self.named(at)?;
        if definition.shape == DefinitionKind::SlotTable {
            return Some(TableType {
                element_type: RefType::FUNCREF,
                table64: self.context.table64,
                initial: 0,
                maximum: None,
                shared: false,
            });
        }
        let mut ty = self.read_type(definition, |mut reader| match definition.is_import() {
            true => reader.read::<TableType>(),
            false => Ok(reader.read::<Table<'_>>()?.ty),
        })?;
        self.check_ref_type(&mut ty.element_type, 0).ok()?;
        Some(ty)
    }

    fn memory_at(&self, at: u32) -> Option<MemoryType> {
        let id = self.context.memories.get(at as usize)?;
        memory_type(self.context.program.get(*id)?.next()?)
    }

    fn tag_at(&self, at: u32) -> Option<&FuncType> {
        let ty = self.sub_type(self.named(at)?.ty()?)?;
        Some(ty.unwrap_func())
    }

    fn global_at(&self, at: u32) -> Option<GlobalType> {
        let definition = self.named(at)?;
        let mut ty = self.read_type(definition, |mut reader| reader.read::<GlobalType>())?;
        if let ValType::Ref(ty) = &mut ty.content_type {
            self.check_ref_type(ty, 0).ok()?;
        }
        Some(ty)
    }

    fn sub_type_at(&self, at: u32) -> Option<&SubType> {
        self.sub_type(named_type(at)?)
    }

    fn type_index_of_function(&self, at: u32) -> Option<u32> {
        Some(marked(self.named(at)?.ty()?))
    }

    fn sub_type_at_id(&self, id: CoreTypeId) -> &SubType {
        self.known().sub_type_at_id(id)
    }

    fn type_id_of_function(&self, at: u32) -> Option<CoreTypeId> {
        let ty = self.named(at)?.ty()?;
        let index = UnpackedIndex::Module(marked(ty));
        let mut heap = HeapType::Concrete(index);
        self.check_heap_type(&mut heap, 0).ok()?;
        match heap {
            HeapType::Concrete(UnpackedIndex::Id(id)) => Some(id),
            _ => None,
        }
    }

    fn is_subtype(&self, a: ValType, b: ValType) -> bool {
        a == b || self.known().is_subtype(a, b)
    }

    fn is_shared(&self, ty: RefType) -> bool {
        self.known().is_shared(ty)
    }

    fn check_heap_type(&self, heap: &mut HeapType, at: u64) -> Result<(), wasmparser::Error> {
        let (HeapType::Concrete(index) | HeapType::Exact(index)) = heap else {
            return Ok(());
        };
        let UnpackedIndex::Module(number) = *index else {
            return Ok(());
        };
        let ty = named_type(number);
        let known = ty.and_then(|ty| self.space()?.index(ty));
        // What nobody named is refused as a type that is not there.
        *index = UnpackedIndex::Module(known.unwrap_or(u32::MAX));
        self.known().check_heap_type(heap, at)
    }

    fn top_type(&self, heap: &HeapType) -> HeapType {
        self.known().top_type(heap)
    }

    fn element_type_at(&self, at: u32) -> Option<RefType> {
        let mut entry = Vec::new();
        fill(self.named(at)?, self.context.memories, &mut entry);
        entry.insert(0, 1);
        let entries = ElementSectionReader::new(BinaryReader::new(&entry, 0)).ok()?;
        let element = entries.into_iter().next()?.ok()?;
        match element.items {
            ElementItems::Functions(_) => Some(RefType::FUNC),
            ElementItems::Expressions(mut ty, _) => {
                self.check_ref_type(&mut ty, 0).ok()?;
                Some(ty)
            }
        }
    }

    fn element_count(&self) -> u32 {
        u32::MAX
    }

    fn data_count(&self) -> Option<u32> {
        self.wants.data.set(true);
        Some(u32::MAX)
    }

    fn is_function_referenced(&self, at: u32) -> bool {
        at.checked_sub(NAMED)
            .is_some_and(|id| self.is_declared(DeclId(id)))
    }

    fn has_function_exact_type(&self, _: u32) -> bool {
        true
    }
}

/// What the decoder knows of types that no module defines.
static ABSTRACT: LazyLock<ValidatorResources> = LazyLock::new(|| {
    let space = TypeSpace::of(&TypeTable::default(), []);
    space
        .expect("a module without types of its own is valid")
        .resources()
        .clone()
});
