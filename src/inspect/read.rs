//! Reads a [`Map`]: splits a file into sections, decodes them, and finds what the module does without.

use std::ops::Range;

use wasmparser::{
    BinaryReader, CompositeInnerType, ElementItems, ElementKind, FunctionBody, Name,
    NameSectionReader, Operator, RecGroup, SectionLimited, StorageType, SubType, TypeRef,
};

use crate::error::{Error, Result};
use crate::inspect::map::{FileIdentity, FunctionEntry, FunctionRole, Map, Part, PartKind, Slots};
use crate::inspect::uses::Uses;
use crate::layout::FILLED_NUMBERS;
use crate::patch::BuildIdentity;
use crate::wire::dwarf::Filler;
use crate::wire::filler::{Role, role_of};
use crate::wire::section::{IDENTITY_NAME, PAD_NAME, is_own};
use crate::wire::{expect_module, leb};

/// Magic and version.
const MAGIC: &[u8; 8] = b"\0asm\x01\0\0\0";

impl Map {
    /// Reads the map of a module.
    ///
    /// # Errors
    /// If the bytes are not a module, or a section cannot be decoded.
    pub fn read(bytes: &[u8]) -> Result<Map> {
        let sections = split(bytes)?;
        let mut reader = Reader::new(bytes);
        for section in &sections {
            reader.section(section)?;
        }
        Ok(reader.finish(bytes.len() as u64, &sections))
    }
}

/// A section as it stands in the file.
pub(super) struct Section<'a> {
    pub(super) id: u8,
    /// A custom section's name.
    pub(super) name: &'a str,
    offset: u64,
    /// Bytes before the contents: identifier and size, and a custom section's name.
    header: u64,
    /// How many bytes the length of that name takes.
    name_len_width: usize,
    pub(super) contents: &'a [u8],
}

impl<'a> Section<'a> {
    pub(super) fn contents_offset(&self) -> u64 {
        self.offset + self.header
    }

    fn len(&self) -> u64 {
        self.header + self.contents.len() as u64
    }

    /// Where it stands in the file.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.offset as usize..(self.offset + self.len()) as usize
    }

    pub(super) fn reader(&self) -> BinaryReader<'a> {
        BinaryReader::new(self.contents, self.contents_offset())
    }
}

/// Splits a module into its sections.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<Section<'_>>> {
    expect_module(bytes)?;
    let mut sections = Vec::new();
    let mut at = MAGIC.len();
    while at < bytes.len() {
        let torn = |what: &str| Error::bad_input(what).with_offset(at as u64);
        let (size, size_len) = leb::read_unsigned(&bytes[at + 1..])
            .ok_or_else(|| torn("the size of a section cannot be read"))?;
        let start = at + 1 + size_len;
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| start.checked_add(size))
            .filter(|end| *end <= bytes.len())
            .ok_or_else(|| torn("a section ends behind the end of the file"))?;
        let mut contents = &bytes[start..end];
        let mut name = "";
        let mut name_len_width = 0;
        if bytes[at] == 0 {
            let mut reader = BinaryReader::new(contents, start as u64);
            name = reader.read_string()?;
            let named = reader.original_position() as usize - start;
            name_len_width = named - name.len();
            contents = &contents[named..];
        }
        let header = (end - at - contents.len()) as u64;
        let id = bytes[at];
        if id != 0
            && sections
                .iter()
                .any(|section: &Section<'_>| section.id == id)
        {
            return Err(torn("a section occurs twice"));
        }
        sections.push(Section {
            id,
            name,
            offset: at as u64,
            header,
            name_len_width,
            contents,
        });
        at = end;
    }
    Ok(sections)
}

fn section_name(section: &Section<'_>) -> String {
    let name = match section.id {
        0 if section.name.is_empty() => "(unnamed)",
        0 => section.name,
        1 => "type",
        2 => "import",
        3 => "function",
        4 => "table",
        5 => "memory",
        6 => "global",
        7 => "export",
        8 => "start",
        9 => "element",
        10 => "code",
        11 => "data",
        12 => "datacount",
        13 => "tag",
        id => return format!("section {id}"),
    };
    name.to_owned()
}

/// Bytes of filler between the pieces of a custom section, as far as it can be told apart.
fn filler_in(section: &Section<'_>) -> u64 {
    let of = |wide| Filler::of(section.name, wide).filler_in(section.contents);
    of(false).max(of(true))
}

/// A type or recursion group.
struct TypeEntry {
    first: u32,
    count: u32,
    len: u64,
    /// Could be one that fills an unused index: a function type with `i32` parameters only and no result.
    plain: bool,
}

/// An item with its length, and whether it could be one that fills an unused place.
struct Item {
    len: u64,
    plain: bool,
}

/// A name of the function name map.
struct NameEntry<'a> {
    index: u32,
    len: u64,
    name: &'a str,
}

/// What is read from the sections, before it is known what is used.
#[derive(Default)]
struct Reader<'a> {
    identity: Option<FileIdentity>,
    uses: Uses,
    types: Vec<TypeEntry>,
    imported_functions: u32,
    imported_globals: u32,
    globals: Vec<Item>,
    function_entries: Vec<Item>,
    functions: Vec<FunctionEntry>,
    /// Which part of the functions that are named is named by each function's code.
    callees: Vec<Range<usize>>,
    /// The functions of element segments.
    elements: Vec<u32>,
    /// Offset of the section that the names are from.
    names_at: Option<u64>,
    names: Vec<NameEntry<'a>>,
    slots: Option<Slots>,
    /// The function that each slot names, and the bytes of that entry.
    slot_entries: Vec<(u32, u64)>,
}

/// Calls `each` with an item and its length, for each item of a section.
fn items<'a, T: wasmparser::FromReader<'a>>(
    items: SectionLimited<'a, T>,
    mut each: impl FnMut(T, u64) -> Result<()>,
) -> Result<()> {
    let mut iter = items.into_iter();
    loop {
        let start = iter.original_position();
        let Some(item) = iter.next() else {
            return Ok(());
        };
        let item = item?;
        each(item, iter.original_position() - start)?;
    }
}

impl<'a> Reader<'a> {
    fn new(bytes: &[u8]) -> Self {
        let identity = BuildIdentity::of_file(bytes);
        Reader {
            identity: identity.map(|(format, identity)| FileIdentity { format, identity }),
            ..Reader::default()
        }
    }

    fn ours(&self) -> bool {
        self.identity.is_some()
    }

    fn section(&mut self, section: &Section<'a>) -> Result<()> {
        let input = section.reader();
        match section.id {
            0 if section.name == "name" && self.names_at.is_none() => {
                self.names_at = Some(section.offset);
                self.read_names(input);
            }
            1 => items(SectionLimited::<RecGroup>::new(input)?, |group, len| {
                self.read_group(&group, len);
                Ok(())
            })?,
            2 => {
                for import in SectionLimited::<wasmparser::Imports<'_>>::new(input)?.into_imports()
                {
                    match import?.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            self.imported_functions += 1;
                            self.uses.ty(ty);
                        }
                        TypeRef::Global(global) => {
                            self.imported_globals += 1;
                            self.uses.globals.push(0);
                            self.uses.val_type(global.content_type);
                        }
                        TypeRef::Tag(tag) => self.uses.ty(tag.func_type_idx),
                        TypeRef::Table(table) => self.uses.val_type(table.element_type.into()),
                        TypeRef::Memory(_) => {}
                    }
                }
            }
            3 => items(SectionLimited::<u32>::new(input)?, |ty, len| {
                self.uses.ty(ty);
                self.function_entries.push(Item { len, plain: true });
                Ok(())
            })?,
            4 => items(
                SectionLimited::<wasmparser::Table<'_>>::new(input)?,
                |table, _| {
                    self.uses.val_type(table.ty.element_type.into());
                    if let wasmparser::TableInit::Expr(init) = table.init {
                        self.uses.expression(init.get_operators_reader())?;
                    }
                    Ok(())
                },
            )?,
            6 => items(
                SectionLimited::<wasmparser::Global<'_>>::new(input)?,
                |global, len| {
                    self.uses.val_type(global.ty.content_type);
                    self.uses.globals.push(0);
                    let mut operators = global.init_expr.get_operators_reader();
                    let zero = match operators.read()? {
                        Operator::I32Const { value: 0 } | Operator::I64Const { value: 0 } => true,
                        Operator::V128Const { value } => *value.bytes() == [0; 16],
                        _ => false,
                    };
                    self.uses
                        .expression(global.init_expr.get_operators_reader())?;
                    self.globals.push(Item {
                        len,
                        plain: zero && !global.ty.mutable,
                    });
                    Ok(())
                },
            )?,
            7 => items(
                SectionLimited::<wasmparser::Export<'_>>::new(input)?,
                |export, _| {
                    match export.kind {
                        wasmparser::ExternalKind::Func | wasmparser::ExternalKind::FuncExact => {
                            self.uses.functions.push(export.index);
                        }
                        wasmparser::ExternalKind::Global => self.uses.global(export.index),
                        _ => {}
                    }
                    Ok(())
                },
            )?,
            8 => {
                let start = section.reader().read_var_u32()?;
                self.uses.functions.push(start);
            }
            9 => {
                let mut first = true;
                items(
                    SectionLimited::<wasmparser::Element<'_>>::new(input)?,
                    |element, _| self.read_element(element, std::mem::take(&mut first)),
                )?;
            }
            10 => {
                let mut index = self.imported_functions;
                let mut offset = section.contents_offset();
                let bodies = SectionLimited::<FunctionBody<'_>>::new(input)?;
                offset += bodies.original_position() - offset;
                items(bodies, |body, len| {
                    self.read_body(&body, index, offset, len)?;
                    index += 1;
                    offset += len;
                    Ok(())
                })?;
            }
            11 => items(
                SectionLimited::<wasmparser::Data<'_>>::new(input)?,
                |data, _| {
                    if let wasmparser::DataKind::Active { offset_expr, .. } = data.kind {
                        self.uses.expression(offset_expr.get_operators_reader())?;
                    }
                    Ok(())
                },
            )?,
            13 => items(
                SectionLimited::<wasmparser::TagType>::new(input)?,
                |tag, _| {
                    self.uses.ty(tag.func_type_idx);
                    Ok(())
                },
            )?,
            _ => {}
        }
        Ok(())
    }

    fn read_group(&mut self, group: &RecGroup, len: u64) {
        let first = self.uses.types.len() as u32;
        let count = group.types().len() as u32;
        self.uses.types.resize((first + count) as usize, 0);
        self.types.push(TypeEntry {
            first,
            count,
            len,
            plain: count == 1 && group.types().all(is_plain),
        });
        for ty in group.types() {
            for index in ty
                .supertype_idxs
                .iter()
                .filter_map(|index| index.as_module_index())
            {
                self.uses.ty(index);
            }
            let mut field = |ty: StorageType| {
                if let StorageType::Val(ty) = ty {
                    self.uses.val_type(ty);
                }
            };
            match &ty.composite_type.inner {
                CompositeInnerType::Func(ty) => {
                    ty.params()
                        .iter()
                        .chain(ty.results())
                        .for_each(|ty| self.uses.val_type(*ty));
                }
                CompositeInnerType::Array(ty) => field(ty.0.element_type),
                CompositeInnerType::Struct(ty) => {
                    ty.fields.iter().for_each(|ty| field(ty.element_type))
                }
                CompositeInnerType::Cont(ty) => {
                    if let Some(index) = ty.0.as_module_index() {
                        self.uses.ty(index);
                    }
                }
            }
        }
    }

    fn read_element(&mut self, element: wasmparser::Element<'a>, first: bool) -> Result<()> {
        let mut start = None;
        if let ElementKind::Active {
            table_index,
            offset_expr,
        } = &element.kind
        {
            let mut operators = offset_expr.get_operators_reader();
            if let Operator::I32Const { value: 1 } | Operator::I64Const { value: 1 } =
                operators.read()?
            {
                start = *table_index;
            }
            self.uses.expression(offset_expr.get_operators_reader())?;
        }
        match element.items {
            // The slots are the first segment, from slot 1 on, and name their table.
            ElementItems::Functions(functions) if first && self.ours() && start.is_some() => {
                let count = functions.count();
                self.slots = start.map(|table| Slots {
                    table,
                    first: 1,
                    count,
                    used: 0,
                });
                items(functions, |function, len| {
                    self.slot_entries.push((function, len));
                    self.elements.push(function);
                    Ok(())
                })
            }
            // A declared segment fills nothing.
            ElementItems::Functions(_) if matches!(element.kind, ElementKind::Declared) => Ok(()),
            ElementItems::Functions(functions) => items(functions, |function, _| {
                self.elements.push(function);
                Ok(())
            }),
            ElementItems::Expressions(ty, expressions) => {
                self.uses.val_type(ty.into());
                items(expressions, |expression, _| {
                    Ok(self.uses.expression(expression.get_operators_reader())?)
                })
            }
        }
    }

    fn read_body(
        &mut self,
        body: &FunctionBody<'a>,
        index: u32,
        offset: u64,
        len: u64,
    ) -> Result<()> {
        let role = match role_of(body.as_bytes()).filter(|_| self.ours()) {
            None => FunctionRole::Body,
            Some(Role::Thunk | Role::AddressThunk) => FunctionRole::Thunk,
            Some(Role::Forwarder) => FunctionRole::Forwarder,
            Some(Role::Dead) => FunctionRole::Dead,
        };
        let mut function = FunctionEntry {
            index,
            offset,
            len,
            filler: 0,
            role,
            name: None,
            callers: 0,
            slot: None,
            target: None,
        };
        let callees = self.uses.functions.len();
        if role == FunctionRole::Dead {
            function.filler = len;
            self.functions.push(function);
            self.callees.push(callees..callees);
            return Ok(());
        }
        for local in body.get_locals_reader()? {
            self.uses.val_type(local?.1);
        }
        let mut operators = body.get_operators_reader()?;
        let mut tail = Tail::default();
        let mut depth = 0u32;
        while !operators.eof() {
            let at = operators.original_position();
            let operator = operators.read()?;
            self.uses.operator(&operator);
            match operator {
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. } => {
                    depth += 1;
                }
                Operator::Try { .. } => depth += 1,
                Operator::End | Operator::Delegate { .. } if depth > 0 => depth -= 1,
                Operator::I32Const { value } if role == FunctionRole::Thunk => {
                    function.slot = Some(value as u32)
                }
                // Where the table is indexed with 64 bits.
                Operator::I64Const { value } if role == FunctionRole::Thunk => {
                    function.slot = u32::try_from(value).ok();
                }
                Operator::Call { function_index } | Operator::ReturnCall { function_index }
                    if role == FunctionRole::Forwarder =>
                {
                    function.target = Some(function_index);
                }
                _ => {}
            }
            tail.add(&operator, at, depth);
        }
        if self.ours() {
            function.filler = tail.filler;
        }
        self.functions.push(function);
        self.callees.push(callees..self.uses.functions.len());
        Ok(())
    }

    /// Finds the bodies that nothing reaches from exports, the start function, tables and globals.
    fn find_unreached(&mut self) {
        let first = self.imported_functions;
        let code = match (self.callees.first(), self.callees.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => return,
        };
        let (before, after) = (
            &self.uses.functions[..code.start],
            &self.uses.functions[code.end..],
        );
        let mut reached = vec![false; self.functions.len()];
        let mut open: Vec<u32> = before
            .iter()
            .chain(after)
            .chain(&self.elements)
            .copied()
            .collect();
        while let Some(index) = open.pop() {
            let Some(at) = index.checked_sub(first).map(|at| at as usize) else {
                continue;
            };
            if at < reached.len() && !std::mem::replace(&mut reached[at], true) {
                open.extend(&self.uses.functions[self.callees[at].clone()]);
            }
        }
        for (function, reached) in self.functions.iter_mut().zip(reached) {
            if !reached && function.role == FunctionRole::Body {
                function.role = FunctionRole::Unreached;
            }
        }
    }

    /// Reads the function names; a name section that makes no sense has none.
    fn read_names(&mut self, input: BinaryReader<'a>) {
        for subsection in NameSectionReader::new(input) {
            let Ok(Name::Function(names)) = subsection else {
                continue;
            };
            let mut names = names.names;
            loop {
                let start = names.original_position();
                let Some(Ok(naming)) = names.next() else {
                    break;
                };
                let len = names.original_position() - start;
                self.names.push(NameEntry {
                    index: naming.index,
                    len,
                    name: naming.name,
                });
            }
        }
    }

    fn finish(mut self, file_len: u64, sections: &[Section<'_>]) -> Map {
        let first = self.imported_functions;
        for index in &self.uses.functions {
            if let Some(function) = index
                .checked_sub(first)
                .and_then(|at| self.functions.get_mut(at as usize))
            {
                function.callers += 1;
            }
        }
        if self.ours() {
            self.find_unreached();
        }
        let role = |functions: &[FunctionEntry], index: u32| {
            index
                .checked_sub(first)
                .and_then(|at| functions.get(at as usize))
                .map(|function| function.role)
        };
        for at in 0..self.functions.len() {
            if let Some(slot) = self.functions[at].slot {
                let entry = slot
                    .checked_sub(1)
                    .and_then(|at| self.slot_entries.get(at as usize));
                self.functions[at].target = entry.map(|entry| entry.0);
            }
        }
        let mut name_slack = 0;
        for entry in &self.names {
            let filled = entry.len as usize - entry.name.len() == FILLED_NUMBERS;
            let name = if self.identity.is_some() && filled {
                entry.name.trim_end_matches(' ')
            } else {
                entry.name
            };
            let function = entry
                .index
                .checked_sub(first)
                .and_then(|at| self.functions.get_mut(at as usize));
            match function {
                Some(function) if function.role == FunctionRole::Dead => name_slack += entry.len,
                Some(function) => {
                    // Code that was left behind can have lost its name.
                    function.name =
                        Some(name.to_owned()).filter(|name| !matches!(&**name, "" | " "));
                    name_slack += (entry.name.len() - name.len()) as u64;
                }
                None => name_slack += (entry.name.len() - name.len()) as u64,
            }
        }
        let dead_slot =
            |entry: &&(u32, u64)| role(&self.functions, entry.0) == Some(FunctionRole::Dead);
        let slot_slack = self
            .slot_entries
            .iter()
            .filter(dead_slot)
            .map(|entry| entry.1)
            .sum::<u64>();
        let dead_slots = self.slot_entries.iter().filter(dead_slot).count() as u32;
        if let Some(slots) = &mut self.slots {
            slots.used = slots.count - dead_slots;
        }
        let mut parts = vec![Part {
            header: 8,
            ..part(
                PartKind::Magic,
                "magic".to_owned(),
                0,
                MAGIC.len() as u64,
                None,
            )
        }];
        for section in sections {
            let slack = if !self.ours() {
                0
            } else {
                match section.id {
                    0 if self.names_at == Some(section.offset) => name_slack,
                    0 => filler_in(section),
                    1 => self.unused_types(),
                    3 => self.dead_entries(),
                    6 => self.unused_globals(),
                    9 => slot_slack,
                    10 => self.functions.iter().map(|function| function.filler).sum(),
                    _ => 0,
                }
            };
            parts.push(self.part(section, slack));
        }
        Map {
            file_len,
            identity: self.identity,
            parts,
            imported_functions: self.imported_functions,
            functions: self.functions,
            slots: self.slots,
        }
    }

    fn part(&self, section: &Section<'_>, slack: u64) -> Part {
        let own = section.id == 0 && is_own(section.name, section.name_len_width);
        if own && section.name != IDENTITY_NAME && self.ours() {
            let mut part = part(
                PartKind::Pad,
                PAD_NAME.to_owned(),
                section.offset,
                section.len(),
                None,
            );
            part.slack = part.len;
            return part;
        }
        let mut part = part(
            PartKind::Section,
            section_name(section),
            section.offset,
            section.len(),
            None,
        );
        part.header = section.header;
        if matches!(section.id, 1..=7 | 9..=11 | 13)
            && let Some((count, len)) = leb::read_unsigned(section.contents)
        {
            part.header += len as u64;
            part.count = Some(count as u32);
        }
        part.slack = slack;
        if section.id == 10 {
            let unreached = self
                .functions
                .iter()
                .filter(|function| function.role == FunctionRole::Unreached);
            part.unreached = unreached
                .map(|function| function.len - function.filler)
                .sum();
        }
        part.used = part.len - part.header - part.unreached - slack;
        part
    }

    fn unused_types(&self) -> u64 {
        // The first type is that of the functions that nobody calls: it is always needed.
        let unused = |entry: &&TypeEntry| {
            entry.plain
                && entry.first > 0
                && (0..entry.count).all(|at| self.uses.types[(entry.first + at) as usize] == 0)
        };
        self.types
            .iter()
            .filter(unused)
            .map(|entry| entry.len)
            .sum()
    }

    fn dead_entries(&self) -> u64 {
        let functions = self.functions.iter().zip(&self.function_entries);
        functions
            .filter(|(function, _)| function.role == FunctionRole::Dead)
            .map(|(_, entry)| entry.len)
            .sum()
    }

    fn unused_globals(&self) -> u64 {
        let uses = self
            .uses
            .globals
            .iter()
            .skip(self.imported_globals as usize);
        let globals = self.globals.iter().zip(uses);
        globals
            .filter(|(global, uses)| global.plain && **uses == 0)
            .map(|(global, _)| global.len)
            .sum()
    }
}

fn part(kind: PartKind, name: String, offset: u64, len: u64, count: Option<u32>) -> Part {
    Part {
        kind,
        name,
        offset,
        len,
        header: 0,
        used: 0,
        unreached: 0,
        slack: 0,
        count,
    }
}

/// Whether a type could be one that fills an unused index.
fn is_plain(ty: &SubType) -> bool {
    match &ty.composite_type.inner {
        CompositeInnerType::Func(ty) => {
            ty.results().is_empty() && ty.params().iter().all(|ty| *ty == wasmparser::ValType::I32)
        }
        _ => false,
    }
}

/// Finds the filler at the end of a body: `nop`s, or a `return` with constants behind it up to an `unreachable`.
#[derive(Default)]
struct Tail {
    state: TailState,
    start: u64,
    filler: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum TailState {
    #[default]
    None,
    Nops,
    Return,
    ReturnNops(u64),
    Constants,
    Closed,
}

impl Tail {
    /// Adds the operator at `at`; `depth` is how many blocks are open behind it.
    fn add(&mut self, operator: &Operator<'_>, at: u64, depth: u32) {
        use TailState::*;
        if depth > 0 {
            self.state = None;
            return;
        }
        self.state = match (operator, self.state) {
            (Operator::Return, _) => {
                self.start = at;
                Return
            }
            (Operator::Nop, Return) => ReturnNops(at),
            (Operator::Nop, state @ (ReturnNops(_) | Nops)) => state,
            (Operator::Nop, _) => {
                self.start = at;
                Nops
            }
            (Operator::F64Const { .. }, Return | ReturnNops(_) | Constants) => Constants,
            (Operator::Unreachable, Constants) => Closed,
            (Operator::End, Nops | Closed) => {
                self.filler = at - self.start;
                None
            }
            (Operator::End, ReturnNops(nops)) => {
                self.filler = at - nops;
                None
            }
            _ => None,
        };
    }
}
