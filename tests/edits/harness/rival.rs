//! The rival: keeps the program in memory and encodes the whole module anew, with wasm-encoder and without any of
//! wasmend's code. It is what a patched file must be equivalent to, and what patching is measured against.

use std::collections::HashMap;

use wasm_encoder as we;

use super::body::{self, Emit};
use super::chunk::{Field, SECTIONS};
use super::model::{Blob, Def, Ent, Init, Kind, Name, Program, Sig, Ty, field, signature};
use super::walk::{Code, walk};

/// The first address of data, as in a wasmend module.
const FIRST_ADDRESS: u32 = 1024;

/// Where the encoder put things.
#[derive(Debug, Default)]
pub struct Indices {
    pub functions: HashMap<Ent, u32>,
    pub globals: HashMap<Ent, u32>,
    pub tables: HashMap<Ent, u32>,
    pub tags: HashMap<Ent, u32>,
    slots: HashMap<Ent, u32>,
    types: HashMap<Sig, u32>,
    /// The table of slots.
    pub slot_table: u32,
    /// Address of each data.
    pub data: HashMap<Ent, u32>,
}

/// How calls are written: with a function's index, or through its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    Direct,
    Slot,
}

/// Encodes a program densely.
pub fn encode(program: &Program, calls: Calls) -> (Vec<u8>, Indices) {
    let at = place(program);
    let mut module = we::Module::new();

    let mut types = we::TypeSection::new();
    let mut sigs: Vec<(Sig, u32)> = at.types.iter().map(|(sig, at)| (*sig, *at)).collect();
    sigs.sort_unstable_by_key(|(_, at)| *at);
    for (sig, _) in sigs {
        let (params, results) = signature(sig);
        types.ty().function(
            params.iter().map(|ty| val_type(*ty)),
            results.iter().map(|ty| val_type(*ty)),
        );
    }
    module.section(&types);

    let mut imports = we::ImportSection::new();
    for (ent, thing, bound) in program.defined() {
        let ty = match *bound.def {
            Def::ImportFunction(sig) => we::EntityType::Function(at.types[&sig]),
            Def::ImportGlobal { ty, mutable } => we::EntityType::Global(global_type(ty, mutable)),
            Def::ImportTable { minimum } => we::EntityType::Table(table_type(minimum, None)),
            Def::ImportTag(sig) => we::EntityType::Tag(tag_type(at.types[&sig])),
            _ => continue,
        };
        imports.import("env", &field(thing.name, ent), ty);
    }
    module.section(&imports);

    let mut functions = we::FunctionSection::new();
    let mut tables = we::TableSection::new();
    let mut memories = we::MemorySection::new();
    let mut tags = we::TagSection::new();
    let mut globals = we::GlobalSection::new();
    let mut code = we::CodeSection::new();
    let mut names = Names::default();
    let slots = at.slots.len() as u64 + 1;
    tables.table(we::TableType {
        maximum: Some(slots),
        ..table_type(slots as u32, None)
    });
    for (ent, thing, bound) in program.defined() {
        // wasmend does not name imported functions: their name is in the import.
        if thing.named && !matches!(*bound.def, Def::ImportFunction(_)) {
            names.add(thing.name, ent, &at);
        }
        match &*bound.def {
            Def::Function(sig, _) => {
                functions.function(at.types[sig]);
                let mut out = Dense {
                    at: &at,
                    calls,
                    locals: Vec::new(),
                    code: Vec::new(),
                };
                body::emit(bound, &mut out);
                out.op(we::Instruction::End);
                let mut function = we::Function::new(out.locals);
                function.raw(out.code);
                code.function(&function);
            }
            Def::Global { mutable, init } => {
                globals.global(
                    global_type(init_type(*init), *mutable),
                    &initialiser(*init, &bound.refs, &at),
                );
            }
            Def::Table { minimum, maximum } => {
                tables.table(table_type(*minimum, *maximum));
            }
            Def::Tag(sig) => {
                tags.tag(tag_type(at.types[sig]));
            }
            Def::Memory { pages } => {
                memories.memory(we::MemoryType {
                    minimum: u64::from(*pages),
                    maximum: None,
                    memory64: false,
                    shared: false,
                    page_size_log2: None,
                });
            }
            _ => {}
        }
    }
    module.section(&functions);
    module.section(&tables);
    module.section(&memories);
    if !tags.is_empty() {
        module.section(&tags);
    }
    module.section(&globals);

    let mut exports = we::ExportSection::new();
    for (name, ent) in &program.exports {
        let kind = program.things[ent].name.0;
        let (kind, index) = match kind {
            Kind::Function => (we::ExportKind::Func, at.functions[ent]),
            Kind::Global => (we::ExportKind::Global, at.globals[ent]),
            Kind::Table => (we::ExportKind::Table, at.tables[ent]),
            Kind::Tag => (we::ExportKind::Tag, at.tags[ent]),
            Kind::Memory => (we::ExportKind::Memory, 0),
            Kind::Data | Kind::Piece => panic!("data is not exported"),
        };
        exports.export(name, kind, index);
    }
    module.section(&exports);
    if let Some(start) = program.start {
        module.section(&we::StartSection {
            function_index: at.functions[&start],
        });
    }

    let mut elements = we::ElementSection::new();
    let mut entries: Vec<(u32, u32)> = at
        .slots
        .iter()
        .map(|(ent, slot)| (*slot, at.functions[ent]))
        .collect();
    entries.sort_unstable();
    let entries: Vec<u32> = entries.into_iter().map(|(_, function)| function).collect();
    elements.active(
        Some(at.slot_table),
        &we::ConstExpr::i32_const(1),
        we::Elements::Functions(entries.into()),
    );
    module.section(&elements);
    module.section(&code);

    let mut data = we::DataSection::new();
    for (ent, _, bound) in program.defined() {
        if let Def::Data(blob) = &*bound.def
            && let Some(bytes) = blob_bytes(blob, &bound.refs, &at)
        {
            data.active(0, &we::ConstExpr::i32_const(at.data[&ent] as i32), bytes);
        }
    }
    module.section(&data);
    module.section(&names.finish());
    let mut bytes = module.finish();
    customs(program, &at, &mut bytes);
    (bytes, at)
}

/// Adds the custom sections that consist of pieces, which name places in what has been encoded.
fn customs(program: &Program, at: &Indices, bytes: &mut Vec<u8>) {
    let mut places: HashMap<Ent, u32> = HashMap::new();
    let mut ends = [0; SECTIONS.len()];
    let mut chunks = Vec::new();
    for (ent, _, bound) in program.defined() {
        if let Def::Piece(chunk) = &*bound.def {
            let end = &mut ends[chunk.section as usize % SECTIONS.len()];
            places.insert(ent, *end);
            *end += chunk.bytes(ent).len() as u32;
            chunks.push((ent, chunk, &bound.refs));
        }
    }
    if chunks.is_empty() {
        return;
    }
    let encoded = bytes.clone();
    let file = walk(&encoded).expect("the rival's module can be read");
    let code = |target: &Ent| match &file.functions[at.functions[target] as usize].code {
        Code::Body(body) => Some((body.range().start - file.code_start) as u32),
        Code::Import { .. } => None,
    };
    for (number, name) in SECTIONS.iter().enumerate() {
        let mut contents = Vec::new();
        for (ent, chunk, refs) in &chunks {
            if chunk.section as usize % SECTIONS.len() != number {
                continue;
            }
            let mut piece = chunk.bytes(*ent);
            for (field_at, (field, target)) in chunk.fields.iter().zip(&***refs).enumerate() {
                let there = program.bound(*target).is_some();
                let value = match field {
                    _ if !there => None,
                    Field::Code(..) => code(target),
                    Field::Index(_) => Some(at.functions[target]),
                    Field::Slot(_) => Some(at.slots[target]),
                    Field::Piece(..) => Some(places[target]),
                    Field::Data(..) => Some(at.data[target]),
                    Field::Global(_) => Some(at.globals[target]),
                };
                let value = value.map(|value| value + field.addend());
                let value = value.unwrap_or_else(|| chunk.tombstone(*field));
                let start = chunk.first_field() + 4 * field_at;
                piece[start..start + 4].copy_from_slice(&value.to_le_bytes());
            }
            contents.extend(piece);
        }
        if !contents.is_empty() {
            bytes.push(0);
            let section = we::CustomSection {
                name: (*name).into(),
                data: contents.into(),
            };
            we::Encode::encode(&section, bytes);
        }
    }
}

fn place(program: &Program) -> Indices {
    let mut at = Indices::default();
    // Imports come first in each index space; the table of slots is the first defined one.
    let imported = program
        .defined()
        .filter(|(.., bound)| bound.def.is_import());
    let defined = program
        .defined()
        .filter(|(.., bound)| !bound.def.is_import());
    let mut address = FIRST_ADDRESS;
    let mut number = |ent: Ent, kind: Kind, def: &Def, at: &mut Indices| {
        let next = |map: &mut HashMap<Ent, u32>, more: u32| {
            let index = map.len() as u32 + more;
            map.insert(ent, index);
        };
        match kind {
            Kind::Function => {
                next(&mut at.functions, 0);
                next(&mut at.slots, 1);
            }
            Kind::Global => next(&mut at.globals, 0),
            Kind::Table => next(&mut at.tables, u32::from(!def.is_import())),
            Kind::Tag => next(&mut at.tags, 0),
            Kind::Data => {
                if let Def::Data(blob) = def {
                    address = address.next_multiple_of(1 << blob.align_log2);
                    at.data.insert(ent, address);
                    address += blob.size();
                }
            }
            Kind::Memory | Kind::Piece => {}
        }
    };
    for (ent, thing, bound) in imported {
        number(ent, thing.name.0, &bound.def, &mut at);
    }
    at.slot_table = at.tables.len() as u32;
    for (ent, thing, bound) in defined {
        number(ent, thing.name.0, &bound.def, &mut at);
    }
    for (.., bound) in program.defined() {
        use super::model::Op::*;
        let mut sigs: Vec<Sig> = bound.def.sig().into_iter().collect();
        if let Def::Function(_, ops) = &*bound.def {
            sigs.extend(ops.iter().filter_map(|op| match *op {
                Call(_, sig) | CallAddress(_, sig) | CallGlobal(_, sig) => Some(sig),
                CallData(_, sig) | Block(sig) | Loop(sig) => Some(sig),
                _ => None,
            }));
        }
        for sig in sigs {
            let next = at.types.len() as u32;
            at.types.entry(sig).or_insert(next);
        }
    }
    at
}

fn blob_bytes(blob: &Blob, refs: &[Ent], at: &Indices) -> Option<Vec<u8>> {
    let mut bytes = blob.bytes()?;
    let mut refs = refs.iter();
    if blob.function.is_some() {
        let slot = at.slots[refs.next()?];
        bytes[4..8].copy_from_slice(&slot.to_le_bytes());
    }
    if let Some((_, addend)) = blob.address {
        let address = at.data[refs.next()?] + u32::from(addend);
        bytes[8..12].copy_from_slice(&address.to_le_bytes());
    }
    Some(bytes)
}

/// The type of what an initialiser gives.
pub fn init_type(init: Init) -> Ty {
    match init {
        Init::Value(ty, _) | Init::Global(_, ty) => ty,
        Init::FunctionAddress(_) | Init::DataAddress(..) => Ty::I32,
    }
}

fn initialiser(init: Init, refs: &[Ent], at: &Indices) -> we::ConstExpr {
    match init {
        Init::Value(Ty::I32, value) => we::ConstExpr::i32_const(value as i32),
        Init::Value(Ty::I64, value) => we::ConstExpr::i64_const(value),
        Init::Value(Ty::F32, value) => we::ConstExpr::f32_const((value as f32).into()),
        Init::Value(Ty::F64, value) => we::ConstExpr::f64_const((value as f64).into()),
        Init::FunctionAddress(_) => we::ConstExpr::i32_const(at.slots[&refs[0]] as i32),
        Init::DataAddress(_, addend) => {
            we::ConstExpr::i32_const(at.data[&refs[0]] as i32 + i32::from(addend))
        }
        Init::Global(..) => we::ConstExpr::global_get(at.globals[&refs[0]]),
    }
}

fn val_type(ty: Ty) -> we::ValType {
    match ty {
        Ty::I32 => we::ValType::I32,
        Ty::I64 => we::ValType::I64,
        Ty::F32 => we::ValType::F32,
        Ty::F64 => we::ValType::F64,
    }
}

fn global_type(ty: Ty, mutable: bool) -> we::GlobalType {
    we::GlobalType {
        val_type: val_type(ty),
        mutable,
        shared: false,
    }
}

fn table_type(minimum: u32, maximum: Option<u32>) -> we::TableType {
    we::TableType {
        element_type: we::RefType::FUNCREF,
        table64: false,
        minimum: minimum.into(),
        maximum: maximum.map(Into::into),
        shared: false,
    }
}

fn tag_type(ty: u32) -> we::TagType {
    we::TagType {
        kind: we::TagKind::Exception,
        func_type_idx: ty,
    }
}

#[derive(Default)]
struct Names {
    functions: Vec<(u32, String)>,
    tables: Vec<(u32, String)>,
    globals: Vec<(u32, String)>,
    tags: Vec<(u32, String)>,
}

impl Names {
    fn add(&mut self, name: Name, ent: Ent, at: &Indices) {
        let (list, map) = match name.0 {
            Kind::Function => (&mut self.functions, &at.functions),
            Kind::Table => (&mut self.tables, &at.tables),
            Kind::Global => (&mut self.globals, &at.globals),
            Kind::Tag => (&mut self.tags, &at.tags),
            Kind::Data | Kind::Memory | Kind::Piece => return,
        };
        list.push((map[&ent], name.to_string()));
    }

    fn finish(self) -> we::NameSection {
        let map = |mut list: Vec<(u32, String)>| {
            list.sort_unstable();
            let mut map = we::NameMap::new();
            list.iter()
                .for_each(|(index, name)| map.append(*index, name));
            map
        };
        let mut names = we::NameSection::new();
        names.functions(&map(self.functions));
        names.tables(&map(self.tables));
        names.globals(&map(self.globals));
        names.tags(&map(self.tags));
        names
    }
}

struct Dense<'a> {
    at: &'a Indices,
    calls: Calls,
    locals: Vec<(u32, we::ValType)>,
    code: Vec<u8>,
}

impl Dense<'_> {
    /// A block's type in the shortest form.
    fn block_type(&self, sig: Sig) -> we::BlockType {
        match signature(sig) {
            ([], []) => we::BlockType::Empty,
            ([], [result]) => we::BlockType::Result(val_type(*result)),
            _ => we::BlockType::FunctionType(self.at.types[&sig]),
        }
    }
}

impl Emit for Dense<'_> {
    fn locals(&mut self, count: u32, ty: Ty) {
        self.locals.push((count, val_type(ty)));
    }
    fn op(&mut self, instruction: we::Instruction<'_>) {
        we::Encode::encode(&instruction, &mut self.code);
    }
    fn call(&mut self, function: Ent, sig: Sig) {
        match self.calls {
            Calls::Direct => self.call_direct(function),
            Calls::Slot => {
                self.address_of_function(function);
                self.call_indirect(sig);
            }
        }
    }
    fn call_direct(&mut self, function: Ent) {
        self.op(we::Instruction::Call(self.at.functions[&function]));
    }
    fn call_indirect(&mut self, sig: Sig) {
        self.op(we::Instruction::CallIndirect {
            type_index: self.at.types[&sig],
            table_index: self.at.slot_table,
        });
    }
    fn address_of_function(&mut self, function: Ent) {
        self.op(we::Instruction::I32Const(self.at.slots[&function] as i32));
    }
    fn function_ref(&mut self, function: Ent) {
        self.address_of_function(function);
        self.op(we::Instruction::TableGet(self.at.slot_table));
    }
    fn address_of_data(&mut self, data: Ent, addend: i32) {
        self.op(we::Instruction::I32Const(
            self.at.data[&data] as i32 + addend,
        ));
    }
    fn load_offset(&mut self, data: Ent) {
        self.op(we::Instruction::I64Load8U(we::MemArg {
            offset: self.at.data[&data].into(),
            align: 0,
            target: we::MemArgTarget::Memory(0),
            ordering: None,
        }));
    }
    fn global_get(&mut self, global: Ent) {
        self.op(we::Instruction::GlobalGet(self.at.globals[&global]));
    }
    fn global_set(&mut self, global: Ent) {
        self.op(we::Instruction::GlobalSet(self.at.globals[&global]));
    }
    fn table_get(&mut self, table: Ent) {
        self.op(we::Instruction::TableGet(self.at.tables[&table]));
    }
    fn table_set(&mut self, table: Ent) {
        self.op(we::Instruction::TableSet(self.at.tables[&table]));
    }
    fn table_size(&mut self, table: Ent) {
        self.op(we::Instruction::TableSize(self.at.tables[&table]));
    }
    fn throw(&mut self, tag: Ent) {
        self.op(we::Instruction::Throw(self.at.tags[&tag]));
    }
    fn block(&mut self, sig: Sig) {
        let ty = self.block_type(sig);
        self.op(we::Instruction::Block(ty));
    }
    fn loop_(&mut self, sig: Sig) {
        let ty = self.block_type(sig);
        self.op(we::Instruction::Loop(ty));
    }
}
