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
    MemoryAddrLeb = 3,
    TypeIndexLeb = 6,
    GlobalIndexLeb = 7,
    TableNumberLeb = 20,
}

/// A place in a body.
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
    /// Where the index in the function table of an own function stands.
    slots: Vec<(u32, u32)>,
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
    symbols: Vec<u8>,
    symbol_count: u32,
    undefined: HashMap<String, u32>,
    /// Own functions that are referred to before they are defined, and their symbols.
    own: HashMap<u32, u32>,
    /// Symbols to be written once all imports are known: name, flags, own function.
    late: Vec<(u32, String, u32)>,
    code: Code,
}

/// The kind of a table index in data.
const TABLE_INDEX_I32: u8 = 2;
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
        self.bodies.iter().map(|code| code.fields.len()).sum()
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
        let symbol = self.symbol(0, UNDEFINED, self.imported_functions, None);
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
            slots: slots.to_vec(),
        });
        self.symbol_count += 1;
        self.symbol_count - 1
    }

    pub fn begin_function(&mut self, name: &str, ty: u32, exported: bool) -> &mut Code {
        self.functions.function(ty);
        let flags = if exported { EXPORTED } else { HIDDEN };
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
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        for (flags, name, function) in std::mem::take(&mut self.late) {
            let index = self.imported_functions + function;
            let symbol = self.symbol(0, flags, index, Some(&name));
            self.own.insert(function, symbol);
        }
        let mut module = Module::new();
        module.section(&self.types);
        module.section(&self.imports);
        module.section(&self.functions);
        let mut code = CodeSection::new();
        let mut relocs = Vec::new();
        let mut at = leb_len(self.bodies.len() as u32);
        let mut count = 0u32;
        for body in &self.bodies {
            code.raw(&body.bytes);
            at += leb_len(body.bytes.len() as u32);
            for field in &body.fields {
                relocs.push(field.kind as u8);
                ((at + field.offset) as u32).encode(&mut relocs);
                self.resolve(field.target).encode(&mut relocs);
                if let Some(addend) = field.addend {
                    (addend as i32).encode(&mut relocs);
                }
                count += 1;
            }
            at += body.bytes.len();
        }
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
        let linking = self.linking();
        module.section(&CustomSection {
            name: "linking".into(),
            data: linking.into(),
        });
        let mut contents = Vec::new();
        // The code section stands behind types, imports and functions.
        3u32.encode(&mut contents);
        count.encode(&mut contents);
        contents.extend(relocs);
        module.section(&CustomSection {
            name: "reloc.CODE".into(),
            data: contents.into(),
        });
        let (fields, count) = self.data_fields();
        if count > 0 {
            let mut contents = Vec::new();
            // And the data section behind the code.
            4u32.encode(&mut contents);
            count.encode(&mut contents);
            contents.extend(fields);
            module.section(&CustomSection {
                name: "reloc.DATA".into(),
                data: contents.into(),
            });
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

    /// The relocations of the data, and how many there are.
    fn data_fields(&self) -> (Vec<u8>, u32) {
        let (mut relocs, mut count) = (Vec::new(), 0);
        let mut at = leb_len(self.data.len() as u32);
        let mut address = 0;
        for data in &self.data {
            // Flags, `i32.const` of the address, `end`, the length.
            let mut header = vec![0, 0x41];
            i32::encode(&address, &mut header);
            header.push(0x0b);
            (data.bytes.len() as u32).encode(&mut header);
            at += header.len();
            for &(offset, function) in &data.slots {
                relocs.push(TABLE_INDEX_I32);
                (at as u32 + offset).encode(&mut relocs);
                self.own[&function].encode(&mut relocs);
                count += 1;
            }
            at += data.bytes.len();
            address += data.bytes.len() as i32;
        }
        (relocs, count)
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

fn leb_len(value: u32) -> usize {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes.len()
}
