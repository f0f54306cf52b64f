//! From a module's bytes to what it declares: every declaration with its bytes and relocations, its names, the
//! exports. The module is validated on the way, with every feature that the decoder knows.
//!
//! What comes out is complete or an error. Counts are never trusted: nothing is allocated for items that are not there.

use rayon::prelude::*;
use wasmparser::{
    CompositeInnerType, ConstExpr, Data, DataKind, Element, ElementItems, ElementKind,
    ExternalKind, FuncToValidate, FuncValidator, FuncValidatorAllocations, FunctionBody,
    GlobalType, MemoryType, Operator, OperatorsReader, Parser, Payload, Table, TableInit,
    TableType, TagType, TypeRef, ValidPayload, Validator, ValidatorResources, WasmFeatures,
    WasmModuleResources,
};

use crate::error::{Error, Result};
use crate::patch::{BuildIdentity, Customs, MOST_BODY};
use crate::program::emit::{Context, Emitter, Style};
use crate::program::{
    DeclKind, Definition, DefinitionKind, RelocKind, RelocatableBytes, TypeId, TypeTable,
};
use crate::whole::customs::CustomSections;
use crate::whole::spaces::{Item, Items, space};
use crate::whole::types;
use crate::wire::expect_module;
use crate::wire::filler::{Role, may_end_in_filler, role_of};

/// An export of the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExportItem {
    pub(crate) name: Box<str>,
    /// Position of its kind in [`SPACES`].
    pub(crate) space: usize,
    pub(crate) index: u32,
}

/// A module, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// The index spaces, in the order of [`SPACES`].
    pub(crate) spaces: [Items; 7],
    /// All imports in the order of the import section, each by its index space and index: who gives them by position counts
    /// through all spaces.
    pub(crate) imports: Vec<(usize, u32)>,
    pub(crate) exports: Vec<ExportItem>,
    pub(crate) start: Option<u32>,
    pub(crate) customs: Customs,
    /// Custom sections and kinds of names that were dropped, because they would be wrong after code has moved.
    pub(crate) dropped: Vec<String>,
    /// Set if the module is an output of wasmend.
    pub(crate) identity: Option<BuildIdentity>,
    /// Whether any code uses tail calls.
    pub(crate) tail_calls: bool,
    /// The ids of its types, by index.
    pub(crate) types: Vec<TypeId>,
    /// In an output of wasmend, the segments that it fills itself: with slots, or with data that it has placed.
    pub(crate) own_segments: Vec<(usize, u32)>,
}

/// Takes a module apart.
///
/// # Errors
/// If the bytes are not a valid module, with the offset of what is wrong.
pub(crate) fn decode(bytes: &[u8], style: Style, table: &mut TypeTable) -> Result<Decoded> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(Error::limit("the module has 4 GiB or more"));
    }
    expect_module(bytes)?;
    let identity = BuildIdentity::of_file(bytes).map(|(_, identity)| identity);
    let mut decoder = Decoder {
        bytes,
        style,
        table,
        types: Vec::new(),
        function_types: Vec::new(),
        bodies: Vec::new(),
        linking: false,
        customs: CustomSections::new(identity.is_some(), style != Style::Canonical),
        module: Decoded {
            identity,
            ..Decoded::default()
        },
    };
    let features = WasmFeatures::all();
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(bytes) {
        let payload = payload?;
        if let ValidPayload::Func(validation, body) = validator.payload(&payload)? {
            decoder.bodies.push((validation, body));
            continue;
        }
        decoder.payload(payload)?;
    }
    decoder.finish()
}

/// Takes apart some functions of a module that is otherwise like one that was decoded before: `types` and
/// `many_memories` are that one's, and `wanted` are positions in the code section, in order.
pub(crate) fn decode_bodies(
    bytes: &[u8],
    types: &[TypeId],
    many_memories: bool,
    wanted: &[u32],
) -> Result<Vec<Code>> {
    let context = Context {
        // Code is the same in both.
        style: Style::Patchable {
            keeps_tables: false,
        },
        types,
        many_memories,
    };
    let features = WasmFeatures::all();
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut bodies = Vec::with_capacity(wanted.len());
    let mut at = 0;
    for payload in parser.parse_all(bytes) {
        if let ValidPayload::Func(validation, body) = validator.payload(&payload?)? {
            if wanted.get(bodies.len()) == Some(&at) {
                bodies.push((validation, body));
            }
            at += 1;
        }
    }
    codes(context, bodies).into_iter().collect()
}

type Body<'a> = (FuncToValidate<ValidatorResources>, FunctionBody<'a>);

/// Validates and re-encodes code.
fn codes(context: Context<'_>, bodies: Vec<Body<'_>>) -> Vec<Result<Code>> {
    let validate = |allocations: &mut FuncValidatorAllocations, (validation, body): Body<'_>| {
        let mut validator = validation.into_validator(std::mem::take(allocations));
        let returns = if context.style == Style::Canonical && may_end_in_filler(body.as_bytes()) {
            idle_returns(&mut validator, &body)?
        } else {
            validator.validate(&body)?;
            Vec::new()
        };
        *allocations = validator.into_allocations();
        code(context, &body, &returns)
    };
    bodies
        .into_par_iter()
        .map_init(FuncValidatorAllocations::default, validate)
        .collect()
}

/// Validates a body; returns which of its instructions are `return`s in whose place the body could end.
fn idle_returns(
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> Result<Vec<u32>> {
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    let mut operators = OperatorsReader::new(reader);
    let mut returns = Vec::new();
    let mut results = None;
    let mut at = 0;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        if matches!(operator, Operator::Return) && validator.control_stack_height() == 1 {
            let results = *results.get_or_insert_with(|| result_count(validator));
            // More values than that would be dropped by the `return`, and must not stand at the end.
            if validator.operand_stack_height() <= results {
                returns.push(at);
            }
        }
        validator.op(offset, &operator)?;
        at += 1;
    }
    operators.finish()?;
    Ok(returns)
}

/// How many results the function has that is being validated.
fn result_count(validator: &FuncValidator<ValidatorResources>) -> u32 {
    let resources = validator.resources();
    let ty = resources.type_index_of_function(validator.index());
    let ty = ty.and_then(|ty| resources.sub_type_at(ty));
    match ty.map(|ty| &ty.composite_type.inner) {
        Some(CompositeInnerType::Func(ty)) => ty.results().len() as u32,
        _ => 0,
    }
}

struct Decoder<'a, 't> {
    bytes: &'a [u8],
    style: Style,
    table: &'t mut TypeTable,
    types: Vec<TypeId>,
    /// Types of the functions that are defined, by their position in the code section.
    function_types: Vec<TypeId>,
    bodies: Vec<Body<'a>>,
    /// Whether there is a section that linkers read.
    linking: bool,
    customs: CustomSections,
    module: Decoded,
}

impl<'a> Decoder<'a, '_> {
    fn context(&self) -> Context<'_> {
        Context {
            style: self.style,
            types: &self.types,
            many_memories: self.module.spaces[3].len() > 1,
        }
    }

    fn emitter(&self) -> Emitter<'_> {
        Emitter::new(self.context())
    }

    fn ty(&self, index: u32) -> Result<TypeId> {
        let ty = self.types.get(index as usize).copied();
        ty.ok_or_else(|| Error::bad_input(format!("unknown type {index}")))
    }

    fn push(&mut self, space: usize, content: RelocatableBytes, shape: DefinitionKind) {
        self.module.spaces[space].push(Item {
            definition: Definition { content, shape },
            name: None,
            import: None,
            role: None,
        });
    }

    fn payload(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                types::intern(section, self.style, self.table, &mut self.types)?;
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.import(import.module, import.name, import.ty)?;
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    let ty = self.ty(ty?)?;
                    self.function_types.push(ty);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let content = self.table(&table?)?;
                    self.push(2, content, DefinitionKind::Table);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    let mut emitter = self.emitter();
                    memory_type(&mut emitter, &memory);
                    let content = RelocatableBytes::new(emitter.out, emitter.relocs)?;
                    self.push(3, content, memory_shape(&memory));
                }
            }
            Payload::TagSection(section) => {
                for tag in section {
                    let tag = tag?;
                    let mut emitter = self.emitter();
                    tag_type(&mut emitter, &tag)?;
                    let content = RelocatableBytes::new(emitter.out, emitter.relocs)?;
                    let ty = self.ty(tag.func_type_idx)?;
                    self.push(4, content, DefinitionKind::Tag { ty });
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    let mut emitter = self.emitter();
                    global_type(&mut emitter, &global.ty)?;
                    constant(&mut emitter, &global.init_expr)?;
                    let content = RelocatableBytes::new(emitter.out, emitter.relocs)?;
                    self.push(1, content, DefinitionKind::Global);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let kind = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => DeclKind::Function,
                        ExternalKind::Table => DeclKind::Table,
                        ExternalKind::Memory => DeclKind::Memory,
                        ExternalKind::Global => DeclKind::Global,
                        ExternalKind::Tag => DeclKind::Tag,
                    };
                    self.module.exports.push(ExportItem {
                        name: export.name.into(),
                        space: space(kind).unwrap_or_default(),
                        index: export.index,
                    });
                }
            }
            Payload::StartSection { func, .. } => self.module.start = Some(func),
            Payload::ElementSection(section) => {
                for element in section {
                    let element = element?;
                    self.note_own(5, element.range.start);
                    let content = self.element(element)?;
                    self.push(5, content, DefinitionKind::ElementSegment);
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    self.note_own(6, data.range.start);
                    let content = self.data(&data)?;
                    self.push(6, content, DefinitionKind::DataSegment);
                }
            }
            Payload::CustomSection(section) => {
                self.linking |= section.name() == "linking";
                self.customs.add(&section);
            }
            Payload::Version { .. }
            | Payload::DataCountSection { .. }
            | Payload::CodeSectionStart { .. }
            | Payload::End(_) => {}
            other => {
                let error = Error::bad_input("holds something that wasmend does not know");
                return Err(match other.as_section() {
                    Some((id, range)) => error
                        .with_symbol(format!("section {id}"))
                        .with_offset(range.start),
                    None => error,
                });
            }
        }
        Ok(())
    }

    fn import(&mut self, module: &str, field: &str, ty: TypeRef) -> Result<()> {
        let mut emitter = self.emitter();
        emitter.string(module);
        emitter.string(field);
        let (kind, function) = match ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                let exact = matches!(ty, TypeRef::FuncExact(_));
                emitter.byte(if exact { 0x20 } else { 0 });
                emitter.type_index(RelocKind::TypeIndex, index)?;
                (0, Some(index))
            }
            TypeRef::Table(ty) => {
                emitter.byte(1);
                table_type(&mut emitter, &ty)?;
                (2, None)
            }
            TypeRef::Memory(ty) => {
                emitter.byte(2);
                memory_type(&mut emitter, &ty);
                (3, None)
            }
            TypeRef::Global(ty) => {
                emitter.byte(3);
                global_type(&mut emitter, &ty)?;
                (1, None)
            }
            TypeRef::Tag(ty) => {
                emitter.byte(4);
                tag_type(&mut emitter, &ty)?;
                (4, Some(ty.func_type_idx))
            }
        };
        let content = RelocatableBytes::new(emitter.out, emitter.relocs)?;
        let ty = function.map(|index| self.ty(index)).transpose()?;
        let index = self.module.spaces[kind].len() as u32;
        self.module.imports.push((kind, index));
        self.module.spaces[kind].push(Item {
            definition: Definition {
                content,
                shape: DefinitionKind::Import { ty },
            },
            name: None,
            import: Some(Box::new((module.into(), field.into()))),
            role: None,
        });
        Ok(())
    }

    /// Notes a segment that wasmend fills itself: what it takes from builds has shorter headers.
    fn note_own(&mut self, space: usize, start: u64) {
        let header = self.bytes.get(start as usize..).unwrap_or_default();
        let is_own = match space {
            5 => matches!(header, [2, 0x80..=0xff, ..]),
            _ => matches!(header, [2, 0, ..]),
        };
        if is_own && self.module.identity.is_some() {
            let index = self.module.spaces[space].len() as u32;
            self.module.own_segments.push((space, index));
        }
    }

    fn table(&self, table: &Table<'_>) -> Result<RelocatableBytes> {
        let mut emitter = self.emitter();
        match &table.init {
            TableInit::RefNull => table_type(&mut emitter, &table.ty)?,
            TableInit::Expr(init) => {
                emitter.bytes(&[0x40, 0x00]);
                table_type(&mut emitter, &table.ty)?;
                constant(&mut emitter, init)?;
            }
        }
        RelocatableBytes::new(emitter.out, emitter.relocs)
    }

    /// An element segment, in the form that names everything, so that nothing depends on what has index 0; but in the
    /// form that every engine knows where tables keep their indices anyway.
    fn element(&self, element: Element<'_>) -> Result<RelocatableBytes> {
        let mut emitter = self.emitter();
        let flags = match &element.kind {
            ElementKind::Passive => 1,
            ElementKind::Active { .. } => 2,
            ElementKind::Declared => 3,
        };
        let expressions = matches!(element.items, ElementItems::Expressions(..));
        let keeps_tables = self.style == Style::Patchable { keeps_tables: true };
        let mut names_kind = true;
        match &element.kind {
            ElementKind::Active {
                table_index,
                offset_expr,
            } => {
                let table = table_index.unwrap_or(0);
                names_kind = !(keeps_tables && table == 0 && !expressions);
                if names_kind {
                    emitter.byte(flags | u8::from(expressions) << 2);
                    emitter.index(RelocKind::TableByte, table);
                } else {
                    emitter.byte(0);
                }
                constant(&mut emitter, offset_expr)?;
            }
            _ => emitter.byte(flags | u8::from(expressions) << 2),
        }
        match element.items {
            ElementItems::Functions(functions) => {
                if names_kind {
                    emitter.byte(0);
                }
                emitter.unsigned(functions.count().into());
                for function in functions {
                    emitter.index(RelocKind::FunctionIndex, function?);
                }
            }
            ElementItems::Expressions(ty, items) => {
                emitter.ref_type(ty)?;
                emitter.unsigned(items.count().into());
                for item in items {
                    emitter.expression(&item?.get_binary_reader(), false)?;
                }
            }
        }
        RelocatableBytes::new(emitter.out, emitter.relocs)
    }

    fn data(&self, data: &Data<'_>) -> Result<RelocatableBytes> {
        let mut emitter = self.emitter();
        match &data.kind {
            DataKind::Passive => emitter.byte(1),
            DataKind::Active {
                memory_index,
                offset_expr,
            } => {
                // Memories keep their indices.
                if *memory_index == 0 && self.style != Style::Canonical {
                    emitter.byte(0);
                } else {
                    emitter.byte(2);
                    emitter.index(RelocKind::MemoryIndex, *memory_index);
                }
                constant(&mut emitter, offset_expr)?;
            }
        }
        emitter.unsigned(data.data.len() as u64);
        emitter.bytes(data.data);
        RelocatableBytes::new(emitter.out, emitter.relocs)
    }

    /// Refuses what a compiler hands to a linker. What was linked so that it can be linked again looks like it, but has a
    /// memory, or imports one that is not the linker's to give.
    fn refuse_object(&self) -> Result<()> {
        let mut memories = self.module.spaces[3].iter();
        let is_linkers = |memory: &Item| {
            let import = memory.import.as_deref();
            import.is_some_and(|(_, field)| &**field == "__linear_memory")
        };
        if self.linking && memories.all(is_linkers) {
            return Err(Error::bad_input("a relocatable object, not a module")
                .with_hint("link it first, with wasmend ld, and give what comes of that"));
        }
        Ok(())
    }

    /// Validates and re-encodes the code, and puts everything together.
    fn finish(mut self) -> Result<Decoded> {
        self.refuse_object()?;
        let bodies = std::mem::take(&mut self.bodies);
        let types = std::mem::take(&mut self.function_types);
        if bodies.len() != types.len() {
            // The validator has checked this; the two lists are zipped below.
            return Err(Error::bad_input(
                "the function and code sections differ in length",
            ));
        }
        let done = codes(self.context(), bodies);
        self.module.spaces[0].reserve(done.len());
        for (ty, body) in types.into_iter().zip(done) {
            let body = body?;
            self.module.tail_calls |= body.tail_calls;
            self.module.spaces[0].push(Item {
                definition: Definition {
                    content: body.content,
                    shape: DefinitionKind::Function { ty },
                },
                name: None,
                import: None,
                role: body.role,
            });
        }
        self.customs.name(&mut self.module.spaces);
        Ok(Decoded {
            customs: self.customs.kept,
            dropped: self.customs.dropped,
            types: self.types,
            ..self.module
        })
    }
}

/// A function's body, re-encoded.
pub(crate) struct Code {
    pub(crate) content: RelocatableBytes,
    pub(crate) tail_calls: bool,
    role: Option<Role>,
}

fn code(context: Context<'_>, body: &FunctionBody<'_>, returns: &[u32]) -> Result<Code> {
    let mut emitter = Emitter::new(context);
    emitter.out.reserve(body.as_bytes().len() * 5 / 4);
    let start = body.range().start;
    emitter
        .body(body, returns)
        .map_err(|error| error.with_offset(start))?;
    if emitter.out.len() > MOST_BODY {
        return Err(Error::limit(format!(
            "with indices of fixed width the body has {} bytes; engines take {MOST_BODY}",
            emitter.out.len()
        ))
        .with_offset(start));
    }
    emitter.out.shrink_to_fit();
    Ok(Code {
        content: RelocatableBytes::new(emitter.out, emitter.relocs)?,
        tail_calls: emitter.tail_calls,
        role: role_of(body.as_bytes()),
    })
}

/// An initialiser or offset.
fn constant(emitter: &mut Emitter<'_>, expression: &ConstExpr<'_>) -> Result<()> {
    let wide = emitter.style() != Style::Canonical;
    emitter.expression(&expression.get_binary_reader(), wide)
}

fn limits(
    emitter: &mut Emitter<'_>,
    flags: u8,
    is_64: bool,
    shared: bool,
    initial: u64,
    maximum: Option<u64>,
) {
    emitter
        .byte(flags | u8::from(maximum.is_some()) | u8::from(shared) << 1 | u8::from(is_64) << 2);
    emitter.wide(initial, is_64);
    if let Some(maximum) = maximum {
        emitter.wide(maximum, is_64);
    }
}

fn table_type(emitter: &mut Emitter<'_>, ty: &TableType) -> Result<()> {
    emitter.ref_type(ty.element_type)?;
    limits(emitter, 0, ty.table64, ty.shared, ty.initial, ty.maximum);
    Ok(())
}

fn memory_type(emitter: &mut Emitter<'_>, ty: &MemoryType) {
    let flags = u8::from(ty.page_size_log2.is_some()) << 3;
    limits(
        emitter,
        flags,
        ty.memory64,
        ty.shared,
        ty.initial,
        ty.maximum,
    );
    if let Some(log2) = ty.page_size_log2 {
        emitter.unsigned(log2.into());
    }
}

fn memory_shape(ty: &MemoryType) -> DefinitionKind {
    DefinitionKind::Memory {
        minimum_bytes: ty.initial.saturating_mul(ty.page_size().into()),
        is_64: ty.memory64,
    }
}

fn global_type(emitter: &mut Emitter<'_>, ty: &GlobalType) -> Result<()> {
    emitter.val_type(ty.content_type)?;
    emitter.byte(u8::from(ty.mutable) | u8::from(ty.shared) << 1);
    Ok(())
}

fn tag_type(emitter: &mut Emitter<'_>, ty: &TagType) -> Result<()> {
    emitter.byte(0);
    emitter.type_index(RelocKind::TypeIndex, ty.func_type_idx)
}
