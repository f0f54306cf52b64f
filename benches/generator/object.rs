//! Putting a relocatable object together: the few things that the generated program needs.

use std::collections::HashMap;

use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataSection, DataSegment, DataSegmentMode, Encode,
    EntityType, FunctionSection, GlobalType, ImportSection, MemoryType, Module, RefType, TableType,
    TypeSection, ValType,
};

/// The kinds of relocations used.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Reloc {
    FunctionIndexLeb = 0,
    TableIndexSleb = 1,
    TableIndexI32 = 2,
    MemoryAddrLeb = 3,
    MemoryAddrI32 = 5,
    TypeIndexLeb = 6,
    GlobalIndexLeb = 7,
    FunctionOffsetI32 = 8,
    SectionOffsetI32 = 9,
    TableNumberLeb = 20,
}

/// A place in a body, in data or in a custom section.
struct Field {
    offset: usize,
    kind: Reloc,
    target: Target,
    addend: Option<u32>,
}

#[derive(Clone, Copy)]
enum Target {
    Symbol(u32),
    Type(u32),
    /// The object's own function of this number, whose symbol may not exist yet.
    Own(u32),
    /// The object's custom section of this number, whose symbol comes last.
    Custom(u32),
}

/// A body being written.
#[derive(Default)]
pub struct Code {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

impl Code {
    pub fn op(&mut self, byte: u8) -> &mut Self {
        self.bytes.push(byte);
        self
    }

    pub fn local_get(&mut self, local: u8) -> &mut Self {
        self.op(0x20).op(local)
    }

    pub fn local_set(&mut self, local: u8) -> &mut Self {
        self.op(0x21).op(local)
    }

    pub fn i32_const(&mut self, value: i32) -> &mut Self {
        self.op(0x41);
        value.encode(&mut self.bytes);
        self
    }

    pub fn reloc_const(&mut self, kind: Reloc, symbol: u32) -> &mut Self {
        self.op(0x41).field(kind, Target::Symbol(symbol), None)
    }

    pub fn load(&mut self, symbol: u32, addend: u32) -> &mut Self {
        self.op(0x28).op(2);
        self.field(Reloc::MemoryAddrLeb, Target::Symbol(symbol), Some(addend))
    }

    pub fn call(&mut self, symbol: u32) -> &mut Self {
        self.op(0x10)
            .field(Reloc::FunctionIndexLeb, Target::Symbol(symbol), None)
    }

    pub fn call_own(&mut self, function: u32) -> &mut Self {
        self.op(0x10)
            .field(Reloc::FunctionIndexLeb, Target::Own(function), None)
    }

    pub fn call_indirect(&mut self, ty: u32, table: u32) -> &mut Self {
        self.op(0x11)
            .field(Reloc::TypeIndexLeb, Target::Type(ty), None)
            .field(Reloc::TableNumberLeb, Target::Symbol(table), None)
    }

    pub fn global_get(&mut self, symbol: u32) -> &mut Self {
        self.op(0x23)
            .field(Reloc::GlobalIndexLeb, Target::Symbol(symbol), None)
    }

    fn field(&mut self, kind: Reloc, target: Target, addend: Option<u32>) -> &mut Self {
        self.fields.push(Field {
            offset: self.bytes.len(),
            kind,
            target,
            addend,
        });
        self.bytes.extend([0x80, 0x80, 0x80, 0x80, 0]);
        self
    }
}

/// A data segment.
struct Data {
    name: String,
    flags: u32,
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// A custom section being written.
pub struct Custom {
    name: &'static str,
    pub bytes: Vec<u8>,
    fields: Vec<Field>,
}

impl Custom {
    pub fn new(name: &'static str) -> Custom {
        Custom {
            name,
            bytes: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Where an own function's code stands.
    pub fn function_offset(&mut self, function: u32) {
        self.field(Reloc::FunctionOffsetI32, Target::Own(function), 0);
    }

    /// A place in the custom section of that number.
    pub fn section_offset(&mut self, section: u32, offset: u32) {
        self.field(Reloc::SectionOffsetI32, Target::Custom(section), offset);
    }

    fn field(&mut self, kind: Reloc, target: Target, addend: u32) {
        self.fields.push(Field {
            offset: self.bytes.len(),
            kind,
            target,
            addend: Some(addend),
        });
        self.bytes.extend([0; 4]);
    }
}

/// An object being put together.
#[derive(Default)]
pub struct Builder {
    types: TypeSection,
    type_count: u32,
    imports: ImportSection,
    imported_functions: u32,
    functions: FunctionSection,
    bodies: Vec<Code>,
    data: Vec<Data>,
    customs: Vec<Custom>,
    symbols: Vec<u8>,
    symbol_count: u32,
    undefined: HashMap<String, u32>,
    /// Own functions that are referred to before they are defined, and their symbols.
    own: HashMap<u32, u32>,
    /// Symbols to be written once all imports are known: name, flags, own function.
    late: Vec<(u32, String, u32)>,
    /// The first of the custom sections' symbols, once it is known.
    first_custom: u32,
    code: Code,
    /// Flags that function symbols have from now on, beside those that they have in any case.
    pub flags: u32,
}

const LOCAL: u32 = 0x2;
const UNDEFINED: u32 = 0x10;
const EXPORTED: u32 = 0x20;
const HIDDEN: u32 = 0x4;

impl Builder {
    pub fn new() -> Builder {
        let mut builder = Builder::default();
        builder.imports.import(
            "env",
            "__linear_memory",
            EntityType::Memory(MemoryType {
                minimum: 1,
                maximum: None,
                memory64: false,
                shared: false,
                page_size_log2: None,
            }),
        );
        builder
    }

    pub fn relocs(&self) -> usize {
        let code = self.bodies.iter().map(|code| code.fields.len());
        let data = self.data.iter().map(|data| data.fields.len());
        let customs = self.customs.iter().map(|custom| custom.fields.len());
        code.chain(data).chain(customs).sum()
    }

    /// The byte of a value type is `0x7f` for i32, and nothing else is needed.
    pub fn function_type(&mut self, params: &[u8], results: &[u8]) -> u32 {
        self.types.ty().function(
            params.iter().map(|_| ValType::I32),
            results.iter().map(|_| ValType::I32),
        );
        self.type_count += 1;
        self.type_count - 1
    }

    fn symbol(&mut self, kind: u8, flags: u32, index: u32, name: Option<&str>) -> u32 {
        self.symbols.push(kind);
        flags.encode(&mut self.symbols);
        index.encode(&mut self.symbols);
        if let Some(name) = name {
            name.encode(&mut self.symbols);
        }
        self.symbol_count += 1;
        self.symbol_count - 1
    }

    pub fn undefined_function(&mut self, name: &str, ty: u32) -> u32 {
        if let Some(symbol) = self.undefined.get(name) {
            return *symbol;
        }
        self.imports.import("env", name, EntityType::Function(ty));
        let symbol = self.symbol(0, UNDEFINED | self.flags, self.imported_functions, None);
        self.imported_functions += 1;
        self.undefined.insert(name.to_owned(), symbol);
        symbol
    }

    /// The symbol of an own function that is defined later, as a symbol that stands for another object's would be.
    pub fn defined_function(&mut self, function: u32) -> u32 {
        // Marked by the highest bit until symbols are numbered.
        1 << 31 | function
    }

    pub fn undefined_global(&mut self, name: &str) -> u32 {
        let ty = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        self.imports.import("env", name, EntityType::Global(ty));
        self.symbol(2, UNDEFINED, 0, None)
    }

    pub fn indirect_table(&mut self) -> u32 {
        let ty = TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 0,
            maximum: None,
            shared: false,
        };
        self.imports
            .import("env", "__indirect_function_table", EntityType::Table(ty));
        self.symbol(5, UNDEFINED | 0x80, 0, None)
    }

    /// A segment with a symbol for all of it. `slots` says at which offsets which own function's table index stands.
    pub fn data(
        &mut self,
        segment: &str,
        flags: u32,
        name: &str,
        bytes: Vec<u8>,
        slots: &[(u32, u32)],
    ) -> u32 {
        let slots = slots.iter().map(|&(offset, function)| Field {
            offset: offset as usize,
            kind: Reloc::TableIndexI32,
            target: Target::Own(function),
            addend: None,
        });
        let fields = slots.collect();
        self.segment(segment, flags, name, bytes, fields)
    }

    /// A segment of the addresses of data, with a symbol for all of it.
    pub fn addresses(&mut self, segment: &str, name: &str, of: &[u32]) -> u32 {
        let fields = of.iter().enumerate().map(|(at, symbol)| Field {
            offset: 4 * at,
            kind: Reloc::MemoryAddrI32,
            target: Target::Symbol(*symbol),
            addend: Some(0),
        });
        let fields = fields.collect();
        self.segment(segment, 0, name, vec![0; 4 * of.len()], fields)
    }

    fn segment(
        &mut self,
        segment: &str,
        flags: u32,
        name: &str,
        bytes: Vec<u8>,
        fields: Vec<Field>,
    ) -> u32 {
        self.symbols.push(1);
        HIDDEN.encode(&mut self.symbols);
        name.encode(&mut self.symbols);
        (self.data.len() as u32).encode(&mut self.symbols);
        0u32.encode(&mut self.symbols);
        (bytes.len() as u32).encode(&mut self.symbols);
        self.data.push(Data {
            name: segment.to_owned(),
            flags,
            bytes,
            fields,
        });
        self.symbol_count += 1;
        self.symbol_count - 1
    }

    /// Adds a custom section, and returns its number.
    pub fn custom(&mut self, section: Custom) -> u32 {
        self.customs.push(section);
        self.customs.len() as u32 - 1
    }

    /// The names of the functions that are defined so far.
    pub fn function_names(&self) -> Vec<String> {
        self.late.iter().map(|(_, name, _)| name.clone()).collect()
    }

    pub fn begin_function(&mut self, name: &str, ty: u32, exported: bool) -> &mut Code {
        self.functions.function(ty);
        let flags = self.flags | if exported { EXPORTED } else { HIDDEN };
        self.late
            .push((flags, name.to_owned(), self.bodies.len() as u32));
        // One local next to the parameters.
        self.code.bytes.extend([1, 1, 0x7f]);
        &mut self.code
    }

    pub fn end_function(&mut self) {
        self.bodies.push(std::mem::take(&mut self.code));
    }

    fn resolve(&self, target: Target) -> u32 {
        match target {
            Target::Type(index) => index,
            Target::Symbol(symbol) if symbol & 1 << 31 == 0 => symbol,
            Target::Symbol(symbol) => self.own[&(symbol & !(1 << 31))],
            Target::Own(function) => self.own[&function],
            Target::Custom(section) => self.first_custom + section,
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        for (flags, name, function) in std::mem::take(&mut self.late) {
            let index = self.imported_functions + function;
            let symbol = self.symbol(0, flags, index, Some(&name));
            self.own.insert(function, symbol);
        }
        // Types, imports, functions, code, and data if there is some.
        let before_customs = if self.data.is_empty() { 4 } else { 5 };
        self.first_custom = self.symbol_count;
        for section in 0..self.customs.len() as u32 {
            self.symbol(3, LOCAL, before_customs + section, None);
        }
        let mut module = Module::new();
        module.section(&self.types);
        module.section(&self.imports);
        module.section(&self.functions);
        let mut code = CodeSection::new();
        self.bodies.iter().for_each(|body| {
            code.raw(&body.bytes);
        });
        module.section(&code);
        if !self.data.is_empty() {
            let mut data = DataSection::new();
            let mut address = 0;
            for Data { bytes, .. } in &self.data {
                data.segment(DataSegment {
                    mode: DataSegmentMode::Active {
                        memory_index: 0,
                        offset: &ConstExpr::i32_const(address),
                    },
                    data: bytes.iter().copied(),
                });
                address += bytes.len() as i32;
            }
            module.section(&data);
        }
        for custom in &self.customs {
            module.section(&CustomSection {
                name: custom.name.into(),
                data: (&custom.bytes).into(),
            });
        }
        let linking = self.linking();
        module.section(&CustomSection {
            name: "linking".into(),
            data: linking.into(),
        });
        let relocs = [
            ("CODE", 3, self.code_relocs()),
            ("DATA", 4, self.data_relocs()),
        ];
        let customs = self.customs.iter().zip(before_customs..);
        let customs = customs.map(|(custom, index)| {
            let mut relocs = Relocs::default();
            self.relocs_of(&custom.fields, 0, &mut relocs);
            (custom.name, index, relocs)
        });
        for (name, section, relocs) in relocs.into_iter().chain(customs) {
            if relocs.count > 0 {
                module.section(&CustomSection {
                    name: format!("reloc.{name}").into(),
                    data: relocs.finish(section).into(),
                });
            }
        }
        let features = ["mutable-globals", "reference-types"];
        let mut contents = Vec::new();
        (features.len() as u32).encode(&mut contents);
        for feature in features {
            contents.push(b'+');
            feature.encode(&mut contents);
        }
        module.section(&CustomSection {
            name: "target_features".into(),
            data: contents.into(),
        });
        module.finish()
    }

    /// Adds the relocations of `fields`, which stand from `at` on in their section.
    fn relocs_of(&self, fields: &[Field], at: usize, relocs: &mut Relocs) {
        for field in fields {
            relocs.bytes.push(field.kind as u8);
            ((at + field.offset) as u32).encode(&mut relocs.bytes);
            self.resolve(field.target).encode(&mut relocs.bytes);
            if let Some(addend) = field.addend {
                (addend as i32).encode(&mut relocs.bytes);
            }
        }
        relocs.count += fields.len() as u32;
    }

    fn code_relocs(&self) -> Relocs {
        let mut relocs = Relocs::default();
        let mut at = leb_len(self.bodies.len() as u32);
        for body in &self.bodies {
            at += leb_len(body.bytes.len() as u32);
            self.relocs_of(&body.fields, at, &mut relocs);
            at += body.bytes.len();
        }
        relocs
    }

    fn data_relocs(&self) -> Relocs {
        let mut relocs = Relocs::default();
        let mut at = leb_len(self.data.len() as u32);
        let mut address = 0;
        for data in &self.data {
            // Flags, `i32.const` of the address, `end`, the length.
            let mut header = vec![0, 0x41];
            i32::encode(&address, &mut header);
            header.push(0x0b);
            (data.bytes.len() as u32).encode(&mut header);
            at += header.len();
            self.relocs_of(&data.fields, at, &mut relocs);
            at += data.bytes.len();
            address += data.bytes.len() as i32;
        }
        relocs
    }

    fn linking(&self) -> Vec<u8> {
        let mut linking = vec![2];
        let mut part = |id: u8, contents: &[u8]| {
            linking.push(id);
            (contents.len() as u32).encode(&mut linking);
            linking.extend(contents);
        };
        let mut symbols = Vec::new();
        self.symbol_count.encode(&mut symbols);
        symbols.extend(&self.symbols);
        part(8, &symbols);
        if !self.data.is_empty() {
            let mut segments = Vec::new();
            (self.data.len() as u32).encode(&mut segments);
            for Data { name, flags, .. } in &self.data {
                name.as_str().encode(&mut segments);
                // Aligned to four bytes.
                segments.push(2);
                flags.encode(&mut segments);
            }
            part(5, &segments);
        }
        linking
    }
}

/// The relocations of a section.
#[derive(Default)]
struct Relocs {
    bytes: Vec<u8>,
    count: u32,
}

impl Relocs {
    /// What the section says that holds them.
    fn finish(self, section: u32) -> Vec<u8> {
        let mut contents = Vec::new();
        section.encode(&mut contents);
        self.count.encode(&mut contents);
        contents.extend(self.bytes);
        contents
    }
}

fn leb_len(value: u32) -> usize {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes.len()
}
