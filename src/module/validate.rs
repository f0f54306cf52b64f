//! Whether the bodies that a commit brings are valid code. They are looked at as they were defined: with each field that
//! names something holding what the program calls it, so that this costs the same with every redirection and nothing has
//! to be placed first. What wasmend adds itself, such as thunks, is right by construction. Nothing is changed here.

use std::sync::LazyLock;

use hashbrown::HashMap;
use rayon::prelude::*;
use wasmparser::{
    BinaryReader, FuncToValidate, FuncType, FuncValidatorAllocations, FunctionBody, GlobalType,
    HeapType, MemoryType, Parser, RefType, SubType, TableType, ValType, ValidPayload, Validator,
    ValidatorResources, WasmFeatures, WasmModuleResources, types::CoreTypeId,
};

use crate::error::{Error, Result};
use crate::program::{
    DeclId, DeclKind, Declaration, Definition, DefinitionKind, Pending, Program, References,
    RelocKind, Relocation, TypeId,
};
use crate::wire::leb;

/// What marks a number as one that a relocation has put there. Code that names something by a number of its own is found
/// out by it: that number would be wrong after the next patch.
const NAMED: u32 = 1 << 31;
/// Fewer bodies than this are not worth a thread.
const RUN: usize = 256;
/// The most locals that engines take.
const MOST_LOCALS: u64 = 50_000;
/// Messages of the decoder that say that an index names nothing, and what can be done about it.
const UNKNOWN: [(&str, &str); 2] = [
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
        let changes_memories = |id: &DeclId| program.kind_of(*id) == Some(DeclKind::Memory);
        if program.dirty.iter().any(changes_memories) {
            self.memories = None;
        }
        let known = self.memories.take();
        let memories = known.unwrap_or_else(|| memories(program));
        let context = Context {
            program,
            memories: &memories,
            table64,
        };
        let bodies = bodies(program, references);
        let mut errors = Vec::new();
        if bodies.len() < 2 * RUN {
            let worker = &mut self.worker;
            errors.extend(worker.run(context, &bodies));
        } else {
            let run = |ids: &[DeclId]| {
                let mut worker = Worker::default();
                worker.run(context, ids).collect::<Vec<_>>()
            };
            errors.par_extend(bodies.par_chunks(RUN).flat_map_iter(run));
        }
        if !program.dirty.iter().any(changes_memories) {
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

/// The bodies to look at: those that change, and those that use a table or a memory which does.
fn bodies(program: &Program, references: &References) -> Vec<DeclId> {
    let mut ids = Vec::with_capacity(program.dirty.len());
    let mut is_each = false;
    for &id in &program.dirty {
        let decl = program.decl(id);
        match (decl.kind, decl.pending()) {
            (DeclKind::Function, Pending::Define(definition)) if definition.is_body() => {
                ids.push(id);
            }
            (DeclKind::Table, Pending::Define(_)) if decl.current().is_some() => {
                let users = references.of(program, id).into_iter();
                ids.extend(users.filter(|user| is_current_body(program.decl(*user))));
            }
            // Nobody says which bodies use the first memory.
            (DeclKind::Memory, _) if changes_interface(decl) => is_each = true,
            _ => {}
        }
    }
    if is_each {
        let current = program.iter().filter(|(_, decl)| is_current_body(decl));
        ids.extend(current.map(|(id, _)| id));
    }
    ids
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
    memories: &'a [DeclId],
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
        let bodies = bodies.iter();
        bodies.filter_map(move |id| self.validate(context, *id).err())
    }

    fn validate(&mut self, context: Context<'_>, id: DeclId) -> Result<()> {
        let decl = context.program.decl(id);
        let Some(definition) = decl.next() else {
            return Ok(());
        };
        let Some(ty) = definition.ty() else {
            return Ok(());
        };
        self.load(context, definition)?;
        let scope = Scope {
            context,
            types: &self.types,
        };
        let function = FuncToValidate {
            resources: scope,
            index: NAMED | id.0,
            ty: NAMED | ty.0,
            features: WasmFeatures::all(),
        };
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        let body = FunctionBody::new(BinaryReader::new(&self.bytes, 0));
        let result = validator.validate(&body);
        self.allocations = validator.into_allocations();
        result.map_err(|error| refusal(error, &self.bytes).with_symbol(decl.label()))
    }

    /// Fills in the body's fields, and learns the types that it relies on.
    fn load(&mut self, context: Context<'_>, definition: &Definition) -> Result<()> {
        let program = context.program;
        let relocs = definition.content.relocs();
        self.bytes.clear();
        self.bytes.extend_from_slice(definition.content.bytes());
        let own = definition.ty().into_iter();
        for ty in own.chain(relocs.iter().filter_map(|reloc| type_of(program, reloc))) {
            if let hashbrown::hash_map::Entry::Vacant(vacant) = self.types.entry(ty) {
                vacant.insert(function_type(program, ty)?);
            }
        }
        for reloc in relocs {
            let field = &mut self.bytes[reloc.offset as usize..][..reloc.kind.width()];
            write_field(field, reloc, context.memories);
        }
        Ok(())
    }
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
        HeapType => leb::write_signed(field, named.into()),
        MemoryIndex => {
            let at = memories.iter().position(|id| reloc.decl() == Some(*id));
            field[0] = at.unwrap_or(memories.len()) as u8;
        }
        Call | FunctionIndex | TypeIndex | GlobalIndex | TableIndex | TagIndex | ElementIndex
        | DataIndex => leb::write_unsigned(field, named.into()),
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

/// What a body can name. Numbers are those of the program, so that nothing has to be looked up.
struct Scope<'a> {
    context: Context<'a>,
    types: &'a Types,
}

impl Scope<'_> {
    /// The definition of what a number in a body names.
    fn named(&self, number: u32) -> Option<&Definition> {
        let id = DeclId(number.checked_sub(NAMED)?);
        self.context.program.get(id)?.next()
    }

    fn type_at(&self, definition: &Definition) -> Option<&SubType> {
        self.types.get(&definition.ty()?)
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
        own_type(definition)?.read().ok()
    }

    fn memory_at(&self, at: u32) -> Option<MemoryType> {
        let id = self.context.memories.get(at as usize)?;
        memory_type(self.context.program.get(*id)?.next()?)
    }

    fn tag_at(&self, at: u32) -> Option<&FuncType> {
        let definition = self.named(at)?;
        Some(self.type_at(definition)?.unwrap_func())
    }

    fn global_at(&self, at: u32) -> Option<GlobalType> {
        own_type(self.named(at)?)?.read().ok()
    }

    fn sub_type_at(&self, at: u32) -> Option<&SubType> {
        self.types.get(&TypeId(at.checked_sub(NAMED)?))
    }

    fn type_index_of_function(&self, at: u32) -> Option<u32> {
        Some(NAMED | self.named(at)?.ty()?.0)
    }

    // What is defined here names no types of its own, so that no value is of such a type.

    fn sub_type_at_id(&self, id: CoreTypeId) -> &SubType {
        ABSTRACT.sub_type_at_id(id)
    }

    fn type_id_of_function(&self, _: u32) -> Option<CoreTypeId> {
        None
    }

    fn is_subtype(&self, a: ValType, b: ValType) -> bool {
        a == b || ABSTRACT.is_subtype(a, b)
    }

    fn is_shared(&self, ty: RefType) -> bool {
        ABSTRACT.is_shared(ty)
    }

    fn check_heap_type(&self, heap: &mut HeapType, at: u64) -> Result<(), wasmparser::Error> {
        ABSTRACT.check_heap_type(heap, at)
    }

    fn top_type(&self, heap: &HeapType) -> HeapType {
        ABSTRACT.top_type(heap)
    }

    // Segments are handed in with whole modules, which have been validated.

    fn element_type_at(&self, _: u32) -> Option<RefType> {
        None
    }

    fn element_count(&self) -> u32 {
        0
    }

    fn data_count(&self) -> Option<u32> {
        None
    }

    fn is_function_referenced(&self, _: u32) -> bool {
        true
    }

    fn has_function_exact_type(&self, _: u32) -> bool {
        true
    }
}

/// What the decoder knows of types that no module defines.
static ABSTRACT: LazyLock<ValidatorResources> = LazyLock::new(|| {
    // A module with one function that does nothing.
    const MODULE: &[u8] =
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let payloads = Parser::new(0).parse_all(MODULE);
    let mut functions = payloads.filter_map(|payload| match validator.payload(&payload.ok()?) {
        Ok(ValidPayload::Func(function, _)) => Some(function.resources),
        _ => None,
    });
    functions.next().expect("the module has a function")
});
