//! Debug information for the generated program's functions: units of DWARF 4 that readers can read, whose entries name functions,
//! strings of their object's own and strings that all objects have.

use super::object::{Builder, Custom};

/// What one object has of it.
#[derive(Clone, Copy)]
pub struct Debug {
    /// So many bytes of entries, each with two relocations.
    pub entries: usize,
    /// So many bytes more that are one entry's constant, without relocations.
    pub block: usize,
}

/// Of the entries so many name one string.
const SHARE: usize = 4;
const ENTRY: usize = 13;

const COMPILE_UNIT: u8 = 0x11;
const LABEL: u8 = 0x0a;
const VARIABLE: u8 = 0x34;

/// Attributes with their forms.
const NAME: [u8; 2] = [0x03, 0x0e];
const LOW_PC: [u8; 2] = [0x11, 0x01];
const DECL_LINE: [u8; 2] = [0x3b, 0x06];
const CONST_VALUE: [u8; 2] = [0x1c, 0x04];

fn abbreviation(code: u8, tag: u8, children: bool, attributes: &[[u8; 2]]) -> Vec<u8> {
    let mut bytes = vec![code, tag, u8::from(children)];
    bytes.extend(attributes.concat());
    bytes.extend([0, 0]);
    bytes
}

/// Adds the debug information of an object with so many functions.
pub fn add(builder: &mut Builder, object: u32, functions: u32, debug: Debug) {
    let mut abbreviations = Custom::new(".debug_abbrev");
    abbreviations.bytes = [
        abbreviation(1, COMPILE_UNIT, true, &[NAME]),
        abbreviation(2, LABEL, false, &[NAME, LOW_PC, DECL_LINE]),
        abbreviation(3, VARIABLE, false, &[CONST_VALUE]),
        vec![0],
    ]
    .concat();
    let abbreviations = builder.custom(abbreviations);
    let count = debug.entries / ENTRY;
    let mut strings = Custom::new(".debug_str");
    let mut offsets = vec![0];
    strings
        .bytes
        .extend(format!("unit_{object:05}.c\0").bytes());
    for string in 0..count / SHARE {
        offsets.push(strings.bytes.len() as u32);
        let text = match string % 2 {
            0 => format!("a_type_that_everybody_has_{string}\0"),
            _ => format!("what_unit_{object:05}_calls_{string}\0"),
        };
        strings.bytes.extend(text.bytes());
    }
    let strings = builder.custom(strings);
    let mut info = Custom::new(".debug_info");
    let entries = 1 + 4 + count * ENTRY + usize::from(debug.block > 0) * 5 + debug.block + 1;
    // The version, where the abbreviations are, the width of an address.
    let unit = 2 + 4 + 1 + entries;
    info.bytes.extend((unit as u32).to_le_bytes());
    info.bytes.extend(4u16.to_le_bytes());
    info.section_offset(abbreviations, 0);
    info.bytes.push(4);
    info.bytes.push(1);
    info.section_offset(strings, 0);
    for entry in 0..count {
        info.bytes.push(2);
        info.section_offset(strings, offsets[entry / SHARE % offsets.len()]);
        info.function_offset(entry as u32 % functions);
        info.bytes.extend((entry as u32).to_le_bytes());
    }
    if debug.block > 0 {
        info.bytes.push(3);
        info.bytes.extend((debug.block as u32).to_le_bytes());
        info.bytes.resize(info.bytes.len() + debug.block, 0xa5);
    }
    info.bytes.push(0);
    builder.custom(info);
}
