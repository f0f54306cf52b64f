//! Debug information that a compiler gives as pieces, and what deltas have of it.

use std::sync::Arc;

use gimli::{EndianSlice, LittleEndian};
use wasmend::{
    DeclId, DeclKind, Delta, FunctionBuilder, Instruction, LiveStep, Module, ModuleOptions, Piece,
};
use wasmparser::{Parser, Payload};

use super::program::{I32, constant};

const INFO: &str = ".debug_info";
const LINES: &str = ".debug_line";
const ABBREVIATIONS: &str = ".debug_abbrev";

/// A unit with two functions.
struct Unit {
    module: Module,
    functions: [DeclId; 2],
    lens: [u32; 2],
    /// Where the lines of each begin in the source.
    lines: [u8; 2],
}

fn piece(module: &mut Module, section: &str) -> DeclId {
    match module.lookup(section) {
        Some(id) => id,
        None => module.declare(DeclKind::Custom, section).unwrap(),
    }
}

fn define(module: &mut Module, section: &str, bytes: Piece) {
    let id = piece(module, section);
    let section = module.custom_section(section).unwrap();
    module.define_piece(id, section, bytes).unwrap();
}

impl Unit {
    fn new(options: ModuleOptions) -> Unit {
        let mut module = Module::in_memory(options).unwrap();
        let functions = ["f", "g"].map(|key| module.declare(DeclKind::Function, key).unwrap());
        let mut unit = Unit {
            module,
            functions,
            lens: [0; 2],
            lines: [10, 20],
        };
        unit.function(0, 1, 0);
        unit.function(1, 2, 0);
        unit.abbreviations();
        unit.info(|_| {});
        unit.line_table(|_| {});
        unit.module.commit().unwrap();
        unit
    }

    /// A body that returns a constant, after some more of them.
    fn function(&mut self, at: usize, value: i32, more: usize) {
        let mut body = FunctionBuilder::new(self.module.body_style(), &[], &[I32]);
        for _ in 0..more {
            constant(&mut body, 7);
            body.op(&Instruction::Drop);
        }
        constant(&mut body, value);
        let body = body.finish().unwrap();
        self.lens[at] = body.len() as u32;
        self.module
            .define_function(self.functions[at], body)
            .unwrap();
    }

    fn abbreviations(&mut self) {
        // A unit with a name, a folder, a line table and an address; a function with a name, a line, an address and a length.
        let unit = [
            1, 0x11, 1, 0x03, 0x08, 0x1b, 0x08, 0x10, 0x17, 0x11, 0x01, 0, 0,
        ];
        let function = [
            2, 0x2e, 0, 0x03, 0x08, 0x3a, 0x0b, 0x3b, 0x0b, 0x11, 0x01, 0x12, 0x06, 0, 0,
        ];
        let bytes = [&unit[..], &function, &[0]].concat();
        define(&mut self.module, ABBREVIATIONS, Piece::new(bytes));
    }

    /// Defines the entries, changed by `spoil`.
    fn info(&mut self, spoil: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = vec![0; 4];
        bytes.extend([4, 0, 0, 0, 0, 0, 4, 1]);
        bytes.extend(b"unit.x\0/folder\0");
        let lines = bytes.len() as u32;
        bytes.extend([0; 8]);
        let mut addresses = Vec::new();
        for at in 0..2 {
            bytes.push(2);
            bytes.extend([b"f\0", b"g\0"][at]);
            bytes.extend([1, self.lines[at]]);
            addresses.push(bytes.len() as u32);
            bytes.extend([0; 4]);
            bytes.extend(self.lens[at].to_le_bytes());
        }
        bytes.push(0);
        let len = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        spoil(&mut bytes);
        let abbreviations = piece(&mut self.module, ABBREVIATIONS);
        let table = piece(&mut self.module, LINES);
        let piece = Piece::new(bytes)
            .with_section_offset(6, abbreviations, 0)
            .with_section_offset(lines, table, 0)
            .with_function_offset(addresses[0], self.functions[0], 0)
            .with_function_offset(addresses[1], self.functions[1], 0);
        define(&mut self.module, INFO, piece);
    }

    /// Defines the line table: of each function its first line, and one line on after two bytes.
    fn line_table(&mut self, spoil: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = vec![0; 4];
        bytes.extend([4, 0]);
        bytes.extend([0; 4]);
        bytes.extend([1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]);
        bytes.extend(b"\0unit.x\0\0\0\0\0");
        let header = bytes.len() as u32 - 10;
        bytes[6..10].copy_from_slice(&header.to_le_bytes());
        let mut addresses = Vec::new();
        for at in 0..2 {
            // A column, before anything else is said.
            bytes.extend([5, 3]);
            bytes.extend([0, 5, 2]);
            addresses.push(bytes.len() as u32);
            bytes.extend([0; 4]);
            bytes.extend([3, self.lines[at] - 1, 1]);
            bytes.extend([2, 2, 3, 1, 1]);
            bytes.extend([2, self.lens[at] as u8 - 2, 0, 1, 1]);
        }
        let len = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        spoil(&mut bytes);
        let piece = Piece::new(bytes)
            .with_function_offset(addresses[0], self.functions[0], 0)
            .with_function_offset(addresses[1], self.functions[1], 0);
        define(&mut self.module, LINES, piece);
    }

    fn commit(&mut self) -> Arc<Delta> {
        self.commit_both().0
    }

    /// What a commit means for instances, and what takes it back.
    fn commit_both(&mut self) -> (Arc<Delta>, Option<Arc<Delta>>) {
        let step = self.module.commit().unwrap().live.unwrap();
        match self.module.describe(step).unwrap() {
            LiveStep::Delta { delta, undo } => {
                for delta in [Some(&delta), undo.as_ref()].into_iter().flatten() {
                    delta.check().unwrap();
                    wasmparser::validate(&delta.bytes).unwrap();
                }
                (delta, undo)
            }
            LiveStep::Refused(refusals) => panic!("{refusals:?}"),
        }
    }
}

fn options() -> ModuleOptions {
    ModuleOptions {
        live: true,
        ..ModuleOptions::default()
    }
}

/// What debug information says of a function: name, line, where it begins and ends, and its rows: address, file, line, column.
type Said = (String, u64, u64, u64, Vec<(u64, String, u64, u64)>);

/// The sections of debug information of a delta.
fn sections(delta: &Delta) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(&delta.bytes) {
        if let Payload::CustomSection(custom) = payload.unwrap()
            && custom.name().starts_with(".debug_")
        {
            found.push((custom.name().to_owned(), custom.data().to_vec()));
        }
    }
    found
}

/// Where the last bodies of a delta begin, which are those of the program.
fn last_bodies(delta: &Delta, count: usize) -> Vec<u64> {
    let (mut start, mut bodies) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(&delta.bytes) {
        match payload.unwrap() {
            Payload::CodeSectionStart {
                unchecked_range, ..
            } => start = unchecked_range.start,
            Payload::CodeSectionEntry(body) => bodies.push(body.range().start - start),
            _ => {}
        }
    }
    bodies.split_off(bodies.len() - count)
}

fn said(delta: &Delta) -> Vec<Said> {
    let sections = sections(delta);
    let dwarf = gimli::Dwarf::load(|id| {
        let section = sections.iter().find(|(name, _)| name == id.name());
        let bytes = section.map_or(&[][..], |(_, bytes)| bytes);
        Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
    })
    .unwrap();
    let mut all = Vec::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        assert_eq!(unit.name.unwrap().slice(), b"unit.x");
        assert_eq!(unit.comp_dir.unwrap().slice(), b"/folder");
        let mut rows = Vec::new();
        let mut table = unit.line_program.clone().unwrap().rows();
        while let Some((header, row)) = table.next_row().unwrap() {
            let file = row.file(header).unwrap().path_name();
            let file = dwarf.attr_string(&unit, file).unwrap().to_string().unwrap();
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            };
            if !row.end_sequence() {
                let line = row.line().unwrap().get();
                rows.push((row.address(), file.to_owned(), line, column));
            }
        }
        let mut entries = unit.entries();
        while let Some((_, entry)) = entries.next_dfs().unwrap() {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let value = |name| entry.attr_value(name).unwrap().unwrap();
            let name = dwarf.attr_string(&unit, value(gimli::DW_AT_name)).unwrap();
            let line = value(gimli::DW_AT_decl_line).udata_value().unwrap();
            let range = dwarf.die_ranges(&unit, entry).unwrap().next().unwrap();
            let range = range.unwrap();
            let own = rows
                .iter()
                .filter(|row| (range.begin..range.end).contains(&row.0));
            let name = name.to_string().unwrap().to_owned();
            all.push((name, line, range.begin, range.end, own.cloned().collect()));
        }
    }
    all
}

/// What is to be said of a function of these lines at this place.
fn expected(name: &str, line: u64, start: u64, len: u32) -> Said {
    let row = |at: u64| (start + at, "unit.x".to_owned(), line + at / 2, 3);
    let end = start + u64::from(len);
    (name.to_owned(), line, start, end, vec![row(0), row(2)])
}

#[test]
fn a_delta_has_the_debug_information_of_its_functions_from_pieces_that_did_not_change() {
    let mut unit = Unit::new(options());
    unit.function(1, 3, 0);
    let delta = unit.commit();
    let start = last_bodies(&delta, 1)[0];
    assert_eq!(said(&delta), [expected("g", 20, start, unit.lens[1])]);
}

#[test]
fn a_delta_has_the_debug_information_of_its_functions_from_pieces_that_changed() {
    let mut unit = Unit::new(options());
    unit.function(0, 3, 40);
    unit.lines = [10, 60];
    unit.info(|_| {});
    unit.line_table(|_| {});
    let delta = unit.commit();
    let start = last_bodies(&delta, 1)[0];
    assert_eq!(said(&delta), [expected("f", 10, start, unit.lens[0])]);

    unit.function(0, 4, 0);
    unit.function(1, 4, 30);
    unit.info(|_| {});
    unit.line_table(|_| {});
    let delta = unit.commit();
    let [first, second] = last_bodies(&delta, 2)[..] else {
        panic!("there are two");
    };
    let mut said = said(&delta);
    said.sort();
    let [f, g] = unit.lens;
    assert_eq!(
        said,
        [expected("f", 10, first, f), expected("g", 60, second, g)]
    );
}

#[test]
fn what_takes_a_change_back_has_the_debug_information_of_before() {
    let mut unit = Unit::new(ModuleOptions {
        undo: true,
        ..options()
    });
    let before = unit.lens;
    unit.function(0, 3, 40);
    unit.lines = [30, 60];
    unit.info(|_| {});
    unit.line_table(|_| {});
    let (_, undo) = unit.commit_both();
    let undo = undo.unwrap();
    let start = last_bodies(&undo, 1)[0];
    assert_eq!(said(&undo), [expected("f", 10, start, before[0])]);

    // Pieces go, and with them what is said; where that is taken back, it is there.
    let len = unit.lens[0];
    for section in [INFO, LINES] {
        let id = piece(&mut unit.module, section);
        unit.module.remove(id).unwrap();
    }
    unit.function(0, 4, 0);
    let (delta, undo) = unit.commit_both();
    assert_eq!(sections(&delta), []);
    let undo = undo.unwrap();
    let start = last_bodies(&undo, 1)[0];
    assert_eq!(said(&undo), [expected("f", 30, start, len)]);
    // And where they come, they were not there before.
    unit.function(0, 5, 0);
    unit.info(|_| {});
    unit.line_table(|_| {});
    let (delta, undo) = unit.commit_both();
    let start = last_bodies(&delta, 1)[0];
    assert_eq!(said(&delta), [expected("f", 30, start, unit.lens[0])]);
    assert_eq!(sections(&undo.unwrap()), []);
}

#[test]
fn a_delta_has_no_debug_information_until_it_is_asked_for_and_not_after_the_next_commit() {
    let mut unit = Unit::new(options());
    unit.function(0, 3, 0);
    let first = unit.module.commit().unwrap().live.unwrap();
    let LiveStep::Delta { delta, .. } = &first else {
        panic!("{first:?}");
    };
    assert_eq!(sections(delta), []);
    // A commit of nothing is none.
    unit.module.commit().unwrap();
    let described = unit.module.describe(first.clone()).unwrap();
    let LiveStep::Delta { delta, .. } = &described else {
        panic!("{described:?}");
    };
    assert_eq!(said(delta).len(), 1);
    // Once is enough.
    let twice = unit.module.describe(described.clone()).unwrap();
    assert!(matches!(&twice, LiveStep::Delta { delta: twice, .. } if twice == delta));
    unit.function(0, 4, 0);
    unit.module.commit().unwrap();
    let error = unit.module.describe(first).unwrap_err();
    assert!(error.to_string().contains("last commit"), "{error}");
}

#[test]
fn whatever_debug_information_says_commits_go_on() {
    let mut unit = Unit::new(options());
    let mut value = 10;
    let mut described = 0;
    for spoils_lines in [false, true] {
        for at in 0..120 {
            for spoiled in [0x00, 0x01, 0x7f, 0xff] {
                let spoil = |bytes: &mut Vec<u8>| {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = spoiled;
                    }
                };
                match spoils_lines {
                    true => unit.line_table(spoil),
                    false => unit.info(spoil),
                }
                value += 1;
                unit.function(0, value, 0);
                let delta = unit.commit();
                described += u32::from(!sections(&delta).is_empty());
            }
        }
        unit.info(|_| {});
        unit.line_table(|_| {});
    }
    assert!((300..960).contains(&described), "{described}");
}
