//! Debug information of a function as DWARF: a unit of its own, with its abbreviations and its line table. It knows no module: where
//! the function and the other pieces stand is left open.

use std::collections::HashMap;

use gimli::write::{
    Address, AttributeValue as Value, DwarfUnit, EndianVec, Error, Expression, FileId, LineProgram,
    LineString, RelocateWriter, Relocation, RelocationTarget, Sections, UnitEntryId,
};
use gimli::{Encoding, Format, LineEncoding, LittleEndian, SectionId, constants};

use crate::module::debug_info::{DebugInfo, Local};
use crate::module::value_type::ValType;

/// All readers know it, and its units need no tables beside them.
const VERSION: u16 = 4;
/// Bytes of an address: an offset in the code section, which has 4 GiB at most.
const ADDRESS: u8 = 4;
/// The function, as addresses name it.
const FUNCTION: Address = Address::Symbol {
    symbol: 0,
    addend: 0,
};

/// What a piece refers to in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Where the function's body stands.
    Function,
    /// Where the piece of another section stands.
    Piece(SectionId),
}

/// A piece of a section.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Four bytes each: where, of what, and how much behind it.
    pub(super) fields: Vec<(u32, Target, i32)>,
}

/// The sections that a function has pieces of, each behind those that its own piece refers to.
pub(super) const SECTIONS: [SectionId; 3] = [
    SectionId::DebugAbbrev,
    SectionId::DebugLine,
    SectionId::DebugInfo,
];

/// What is said of a function whose body has `len` bytes, `head` of them before its code: a piece for each of [`SECTIONS`].
pub(super) fn encode(info: &DebugInfo, head: u32, len: u32) -> Result<[Encoded; 3], Error> {
    let encoding = Encoding {
        format: Format::Dwarf32,
        version: VERSION,
        address_size: ADDRESS,
    };
    let mut dwarf = DwarfUnit::new(encoding);
    let files = add_lines(&mut dwarf, info, head, len);
    add_entries(&mut dwarf, info, files[0], len);
    let mut sections = Sections::new(Recorder::default());
    dwarf.write(&mut sections)?;
    Ok(SECTIONS.map(|id| match sections.get_mut(id) {
        Some(section) => std::mem::take(section).into_encoded(),
        None => Recorder::default().into_encoded(),
    }))
}

/// Writes the line table; returns the number of each file.
fn add_lines(dwarf: &mut DwarfUnit, info: &DebugInfo, head: u32, len: u32) -> Vec<FileId> {
    let text = |text: &str| LineString::String(text.as_bytes().to_vec());
    let mut program = LineProgram::new(
        dwarf.unit.encoding(),
        LineEncoding::default(),
        text(&info.folder),
        None,
        text(&info.files[0]),
        None,
    );
    let folder = program.default_directory();
    let files = info.files.iter();
    let files: Vec<FileId> = files
        .map(|file| program.add_file(text(file), folder, None))
        .collect();
    let mut rows = info.rows.clone();
    rows.sort_by_key(|row| row.position);
    program.begin_sequence(Some(FUNCTION));
    // What stands before the code is of the line that declares it.
    let begins = program.row();
    begins.file = files[0];
    begins.line = info.line.into();
    program.generate_row();
    for row in rows {
        let at = u64::from(head) + u64::from(row.position.0);
        if at >= len.into() {
            break;
        }
        let to = program.row();
        to.address_offset = at;
        to.file = files[row.file as usize];
        to.line = row.line.into();
        to.column = row.column.into();
        program.generate_row();
    }
    program.end_sequence(len.into());
    dwarf.unit.line_program = program;
    files
}

/// Writes the unit: the function, its locals, and their types.
fn add_entries(dwarf: &mut DwarfUnit, info: &DebugInfo, file: FileId, len: u32) {
    let text = |text: &str| Value::String(text.bytes().filter(|byte| *byte != 0).collect());
    let unit = &mut dwarf.unit;
    let root = unit.root();
    let entry = unit.get_mut(root);
    entry.set(constants::DW_AT_name, text(&info.files[0]));
    entry.set(constants::DW_AT_comp_dir, text(&info.folder));
    entry.set(constants::DW_AT_low_pc, Value::Address(FUNCTION));
    entry.set(constants::DW_AT_high_pc, Value::Udata(len.into()));
    entry.set(constants::DW_AT_stmt_list, Value::LineProgramRef);
    let function = unit.add(root, constants::DW_TAG_subprogram);
    let entry = unit.get_mut(function);
    entry.set(constants::DW_AT_name, text(&info.name));
    entry.set(constants::DW_AT_decl_file, Value::FileIndex(Some(file)));
    entry.set(constants::DW_AT_decl_line, Value::Udata(info.line.into()));
    entry.set(constants::DW_AT_external, Value::Flag(true));
    entry.set(constants::DW_AT_low_pc, Value::Address(FUNCTION));
    entry.set(constants::DW_AT_high_pc, Value::Udata(len.into()));
    let mut types: HashMap<(&str, ValType), UnitEntryId> = HashMap::new();
    for local in &info.locals {
        let ty = base_type(local).map(|(encoding, bytes)| {
            let key = (&*local.type_name, local.ty);
            *types.entry(key).or_insert_with(|| {
                let ty = unit.add(root, constants::DW_TAG_base_type);
                let entry = unit.get_mut(ty);
                entry.set(constants::DW_AT_name, text(&local.type_name));
                entry.set(constants::DW_AT_encoding, Value::Encoding(encoding));
                entry.set(constants::DW_AT_byte_size, Value::Udata(bytes));
                ty
            })
        });
        let variable = unit.add(function, constants::DW_TAG_variable);
        let entry = unit.get_mut(variable);
        entry.set(constants::DW_AT_name, text(&local.name));
        let place = Value::Exprloc(Expression::raw(place_of(local.index)));
        entry.set(constants::DW_AT_location, place);
        if let Some(ty) = ty {
            entry.set(constants::DW_AT_type, Value::UnitRef(ty));
        }
    }
}

/// How values of a local are to be read, and how many bytes they have.
fn base_type(local: &Local) -> Option<(constants::DwAte, u64)> {
    match local.ty {
        ValType::I32 => Some((constants::DW_ATE_signed, 4)),
        ValType::I64 => Some((constants::DW_ATE_signed, 8)),
        ValType::F32 => Some((constants::DW_ATE_float, 4)),
        ValType::F64 => Some((constants::DW_ATE_float, 8)),
        ValType::V128 | ValType::Ref(_) => None,
    }
}

/// A local, as the value that it has.
fn place_of(local: u32) -> Vec<u8> {
    const LOCAL: u8 = 0;
    let mut place = vec![constants::DW_OP_WASM_location.0, LOCAL];
    crate::wire::leb::push_unsigned(&mut place, local.into());
    place.push(constants::DW_OP_stack_value.0);
    place
}

/// A section that is written, with what it refers to.
#[derive(Clone)]
struct Recorder {
    bytes: EndianVec<LittleEndian>,
    relocs: Vec<Relocation>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder {
            bytes: EndianVec::new(LittleEndian),
            relocs: Vec::new(),
        }
    }
}

impl Recorder {
    fn into_encoded(self) -> Encoded {
        let fields = self.relocs.iter().map(|reloc| {
            debug_assert_eq!(reloc.size, ADDRESS, "a field of the 32-bit format");
            let target = match reloc.target {
                RelocationTarget::Symbol(_) => Target::Function,
                RelocationTarget::Section(id) => Target::Piece(id),
            };
            (reloc.offset as u32, target, reloc.addend as i32)
        });
        Encoded {
            fields: fields.collect(),
            bytes: self.bytes.into_vec(),
        }
    }
}

impl RelocateWriter for Recorder {
    type Writer = EndianVec<LittleEndian>;

    fn writer(&self) -> &Self::Writer {
        &self.bytes
    }

    fn writer_mut(&mut self) -> &mut Self::Writer {
        &mut self.bytes
    }

    fn relocate(&mut self, relocation: Relocation) {
        self.relocs.push(relocation);
    }
}
