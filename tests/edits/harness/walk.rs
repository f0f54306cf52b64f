//! A walk over every byte of a module: sections and their items, without a gap between them, and what they say.
//!
//! Only wasmparser reads here; nothing of wasmend's code or layout is believed.

use std::collections::BTreeMap;
use std::fmt::Debug;

use wasmparser::{
    BinaryReader, CodeSectionReader, ConstExpr, DataKind, DataSectionReader, Element, ElementItems,
    ElementKind, ElementSectionReader, Export, ExportSectionReader, FromReader, FuncType,
    FunctionBody, FunctionSectionReader, Global, GlobalSectionReader, Import, ImportSectionReader,
    MemorySectionReader, MemoryType, Name, NameSectionReader, Operator, SectionLimited,
    TableSectionReader, TableType, TagSectionReader, TypeRef, TypeSectionReader,
};

/// Who owns a range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Magic,
    /// Identifier, size and count (or value) of the section with this identifier; of a custom section, its name too.
    Header(u8),
    /// An item of the section with this identifier, and which one.
    Item(u8, u32),
    /// What a custom section holds behind its name.
    Custom(Custom),
}

/// Custom sections by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custom {
    Pad,
    Names,
    Identity,
    Other,
}

/// A range of the file with its owner.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub begin: u64,
    pub end: u64,
    pub owner: Owner,
    /// Which section of the file it belongs to, from 1; 0 for the magic number.
    pub section: u32,
}

/// What a function of the index space is.
#[derive(Debug, Clone)]
pub enum Code<'a> {
    Import { module: &'a str, name: &'a str },
    Body(FunctionBody<'a>),
}

/// A function of the index space.
#[derive(Debug, Clone)]
pub struct Function<'a> {
    pub ty: u32,
    pub code: Code<'a>,
}

/// Another thing of an index space: imported under a name, or defined.
#[derive(Debug, Clone)]
pub struct Thing<'a, T> {
    pub import: Option<(&'a str, &'a str)>,
    pub ty: T,
}

/// A global's initial value, as far as the tests use it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    I32(i32),
    Other(u64),
    Global(u32),
}

/// What a module says.
#[derive(Debug, Default)]
pub struct File<'a> {
    pub pieces: Vec<Piece>,
    pub types: Vec<FuncType>,
    pub functions: Vec<Function<'a>>,
    pub tables: Vec<Thing<'a, TableType>>,
    pub memories: Vec<MemoryType>,
    pub globals: Vec<Thing<'a, wasmparser::GlobalType>>,
    /// Initial values of the globals that are defined.
    pub values: BTreeMap<u32, Value>,
    pub tags: Vec<Thing<'a, u32>>,
    pub exports: Vec<Export<'a>>,
    pub start: Option<u32>,
    /// Entries of tables: by table and entry, the function.
    pub entries: BTreeMap<(u32, u32), u32>,
    /// Memory contents: address and bytes, in the order of the file.
    pub data: Vec<(u64, &'a [u8])>,
    pub function_names: Vec<(u32, &'a str)>,
    pub global_names: Vec<(u32, &'a str)>,
    pub table_names: Vec<(u32, &'a str)>,
    pub tag_names: Vec<(u32, &'a str)>,
    /// Custom sections that are neither pads nor wasmend's own: name and contents.
    pub customs: Vec<(&'a str, &'a [u8])>,
    /// Where the contents of the code section begin.
    pub code_start: u64,
}

/// Why a file is not what it should be.
pub type Walked<T> = Result<T, String>;

fn text(error: impl Debug) -> String {
    format!("{error:?}")
}

/// Walks a module.
pub fn walk(bytes: &[u8]) -> Walked<File<'_>> {
    let mut file = File::default();
    if bytes.get(..8) != Some(b"\0asm\x01\0\0\0") {
        return Err("no magic number".into());
    }
    file.pieces.push(Piece {
        begin: 0,
        end: 8,
        owner: Owner::Magic,
        section: 0,
    });
    let mut at = 8;
    let mut section = 0;
    while at < bytes.len() {
        section += 1;
        let id = bytes[at];
        let mut reader = BinaryReader::new(&bytes[at + 1..], at as u64 + 1);
        let size = reader.read_var_u32().map_err(text)? as usize;
        let content = reader.original_position() as usize;
        let end = content + size;
        if end > bytes.len() {
            return Err(format!("section {id} at {at:#x} ends behind the file"));
        }
        let reader = BinaryReader::new(&bytes[content..end], content as u64);
        let mut walker = Walker {
            file: &mut file,
            id,
            section,
            at: at as u64,
            end: end as u64,
        };
        walker.section(reader)?;
        let reached = walker.at;
        if reached != end as u64 {
            return Err(format!(
                "section {id} at {at:#x} owns nothing from {reached:#x} on"
            ));
        }
        at = end;
    }
    Ok(file)
}

struct Walker<'f, 'a> {
    file: &'f mut File<'a>,
    id: u8,
    section: u32,
    /// Where the next piece begins.
    at: u64,
    end: u64,
}

impl<'a> Walker<'_, 'a> {
    fn piece(&mut self, end: u64, owner: Owner) {
        if end > self.at {
            self.file.pieces.push(Piece {
                begin: self.at,
                end,
                owner,
                section: self.section,
            });
            self.at = end;
        }
    }

    /// Reads all items, of which each ends where the next one begins.
    fn items<T: FromReader<'a>>(&mut self, reader: SectionLimited<'a, T>) -> Walked<Vec<T>> {
        let mut items = Vec::with_capacity(reader.count() as usize);
        let mut iter = reader.into_iter_with_offsets();
        let mut number = 0;
        for item in iter.by_ref() {
            let (offset, item) = item.map_err(text)?;
            if number == 0 {
                self.piece(offset, Owner::Header(self.id));
            } else {
                self.piece(offset, Owner::Item(self.id, number - 1));
            }
            items.push(item);
            number += 1;
        }
        match number {
            0 => self.piece(self.end, Owner::Header(self.id)),
            _ => self.piece(self.end, Owner::Item(self.id, number - 1)),
        }
        Ok(items)
    }

    fn section(&mut self, reader: BinaryReader<'a>) -> Walked<()> {
        match self.id {
            0 => self.custom(reader)?,
            1 => {
                for group in self.items(TypeSectionReader::new(reader).map_err(text)?)? {
                    for ty in group.into_types() {
                        match ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => self.file.types.push(ty),
                            other => return Err(format!("{other:?} is no function type")),
                        }
                    }
                }
            }
            2 => {
                let imports = ImportSectionReader::new(reader).map_err(text)?;
                for imports in self.items(imports)? {
                    for import in imports {
                        self.import(import.map_err(text)?.1);
                    }
                }
            }
            3 => {
                for ty in self.items(FunctionSectionReader::new(reader).map_err(text)?)? {
                    let code = Code::Import {
                        module: "",
                        name: "",
                    };
                    self.file.functions.push(Function { ty, code });
                }
            }
            4 => {
                for table in self.items(TableSectionReader::new(reader).map_err(text)?)? {
                    self.file.tables.push(Thing {
                        import: None,
                        ty: table.ty,
                    });
                }
            }
            5 => {
                let memories = self.items(MemorySectionReader::new(reader).map_err(text)?)?;
                self.file.memories.extend(memories);
            }
            6 => {
                let globals = self.items(GlobalSectionReader::new(reader).map_err(text)?)?;
                globals
                    .into_iter()
                    .try_for_each(|global| self.global(global))?;
            }
            7 => self.file.exports = self.items(ExportSectionReader::new(reader).map_err(text)?)?,
            8 => {
                self.piece(self.end, Owner::Header(8));
                let mut reader = reader;
                self.file.start = Some(reader.read_var_u32().map_err(text)?);
            }
            9 => {
                for element in self.items(ElementSectionReader::new(reader).map_err(text)?)? {
                    self.element(element)?;
                }
            }
            10 => {
                self.file.code_start = reader.original_position();
                let bodies = self.items(CodeSectionReader::new(reader).map_err(text)?)?;
                let first = self.file.functions.len().checked_sub(bodies.len());
                let first = first.ok_or("more code than functions")?;
                for (function, body) in self.file.functions[first..].iter_mut().zip(bodies) {
                    function.code = Code::Body(body);
                }
            }
            11 => {
                for data in self.items(DataSectionReader::new(reader).map_err(text)?)? {
                    let DataKind::Active { offset_expr, .. } = &data.kind else {
                        return Err("a passive data segment".into());
                    };
                    match value(offset_expr)? {
                        Value::I32(at) => self.file.data.push((at as u32 as u64, data.data)),
                        other => return Err(format!("data at {other:?}")),
                    }
                }
            }
            12 => self.piece(self.end, Owner::Header(12)),
            13 => {
                for tag in self.items(TagSectionReader::new(reader).map_err(text)?)? {
                    self.file.tags.push(Thing {
                        import: None,
                        ty: tag.func_type_idx,
                    });
                }
            }
            id => return Err(format!("a section with identifier {id}")),
        }
        Ok(())
    }

    fn custom(&mut self, reader: BinaryReader<'a>) -> Walked<()> {
        let mut rest = reader.clone();
        let name = rest.read_string().map_err(text)?;
        let custom = match name {
            "" | "pad" => Custom::Pad,
            "name" => Custom::Names,
            "wasmend" => Custom::Identity,
            _ => Custom::Other,
        };
        self.piece(rest.original_position(), Owner::Header(0));
        if custom == Custom::Other {
            let contents = rest
                .clone()
                .read_bytes(rest.bytes_remaining())
                .map_err(text)?;
            self.file.customs.push((name, contents));
        }
        if custom == Custom::Names {
            let mut indices = Vec::new();
            let mut map = |names: wasmparser::NameMap<'a>| -> Walked<_> {
                let names = names.map(|naming| {
                    naming
                        .map(|naming| (naming.index, naming.name))
                        .map_err(text)
                });
                let names = names.collect::<Walked<Vec<_>>>()?;
                if !names.is_sorted_by(|a, b| a.0 < b.0) {
                    return Err("names are not sorted".into());
                }
                indices.push(names.len());
                Ok(names)
            };
            for names in NameSectionReader::new(rest) {
                match names.map_err(text)? {
                    Name::Function(names) => self.file.function_names = map(names)?,
                    Name::Global(names) => self.file.global_names = map(names)?,
                    Name::Table(names) => self.file.table_names = map(names)?,
                    Name::Tag(names) => self.file.tag_names = map(names)?,
                    _ => {}
                }
            }
        }
        self.piece(self.end, Owner::Custom(custom));
        Ok(())
    }

    fn import(&mut self, import: Import<'a>) {
        let Import { module, name, ty } = import;
        let from = Some((module, name));
        let file = &mut *self.file;
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => file.functions.push(Function {
                ty,
                code: Code::Import { module, name },
            }),
            TypeRef::Table(ty) => file.tables.push(Thing { import: from, ty }),
            TypeRef::Memory(ty) => file.memories.push(ty),
            TypeRef::Global(ty) => file.globals.push(Thing { import: from, ty }),
            TypeRef::Tag(ty) => file.tags.push(Thing {
                import: from,
                ty: ty.func_type_idx,
            }),
        }
    }

    fn global(&mut self, global: Global<'a>) -> Walked<()> {
        let value = value(&global.init_expr)?;
        let index = self.file.globals.len() as u32;
        self.file.values.insert(index, value);
        self.file.globals.push(Thing {
            import: None,
            ty: global.ty,
        });
        Ok(())
    }

    fn element(&mut self, element: Element<'a>) -> Walked<()> {
        let ElementKind::Active {
            table_index,
            offset_expr,
        } = element.kind
        else {
            return Err("an element segment that is not active".into());
        };
        let Value::I32(offset) = value(&offset_expr)? else {
            return Err("an element segment at no constant".into());
        };
        let ElementItems::Functions(functions) = element.items else {
            return Err("an element segment of expressions".into());
        };
        for (at, function) in functions.into_iter().enumerate() {
            let key = (table_index.unwrap_or(0), offset as u32 + at as u32);
            self.file.entries.insert(key, function.map_err(text)?);
        }
        Ok(())
    }
}

fn value(expr: &ConstExpr<'_>) -> Walked<Value> {
    let mut reader = expr.get_operators_reader();
    let value = match reader.read().map_err(text)? {
        Operator::I32Const { value } => Value::I32(value),
        Operator::I64Const { value } => Value::Other(value as u64),
        Operator::F32Const { value } => Value::Other(value.bits().into()),
        Operator::F64Const { value } => Value::Other(value.bits()),
        Operator::GlobalGet { global_index } => Value::Global(global_index),
        other => return Err(format!("{other:?} as an initial value")),
    };
    match reader.read().map_err(text)? {
        Operator::End => Ok(value),
        other => Err(format!("{other:?} behind an initial value")),
    }
}

impl<'a> File<'a> {
    /// The bytes of memory from `address` on, zero where no segment reaches.
    pub fn memory(&self, address: u64, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        for (begin, segment) in &self.data {
            for (at, byte) in bytes.iter_mut().enumerate() {
                let offset = (address + at as u64).checked_sub(*begin);
                let found = offset.and_then(|offset| segment.get(usize::try_from(offset).ok()?));
                if let Some(found) = found {
                    *byte = *found;
                }
            }
        }
        bytes
    }

    /// The contents of the custom section of this name.
    pub fn custom(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.customs.iter().find(|(other, _)| *other == name);
        found.map(|(_, contents)| *contents)
    }

    /// The signature of a function.
    pub fn signature(&self, function: u32) -> Walked<&FuncType> {
        let function = self.functions.get(function as usize);
        let ty = function.ok_or("a function index that is out of range")?.ty;
        self.ty(ty)
    }

    /// A type.
    pub fn ty(&self, ty: u32) -> Walked<&FuncType> {
        let ty = self.types.get(ty as usize);
        Ok(ty.ok_or("a type index that is out of range")?)
    }
}
