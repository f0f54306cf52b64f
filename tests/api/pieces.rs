//! Pieces of custom sections: what single edits of them write, what they may refer to, and what is refused.
//!
//! Run: one edit and `Module::commit`, on a module in memory with two functions, each with a unit of `.debug_info`, a string
//! and abbreviations; once through thunks and once directly.

use std::collections::BTreeSet;
use std::fmt::Write;

use wasmend::inspect::snapshot;
use wasmend::inspect::{Map, PartKind};
use wasmend::{
    DeclId, DeclKind, ErrorKind, GapFiller, ImportType, Module, Patch, Piece, Reason, Redirect,
    RelinkReason, RelocKind, Relocation, SectionId,
};

use crate::support::listing::by_redirect;
use crate::support::programs::{self, I32, adds};
use crate::support::snapshot;

/// A unit of `.debug_info` with a field for the abbreviations, one for a function and one for a string, and `more` bytes.
fn unit(more: usize) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend([4, 0, 0, 0, 0, 0, 4, 1]);
    bytes.resize(bytes.len() + 8, 0);
    bytes.resize(bytes.len() + more, 0x2a);
    let len = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes
}

const ABBREVIATIONS: u32 = 6;
const FUNCTION: u32 = 12;
const STRING: u32 = 16;

/// Two functions, each with a unit of debug information, abbreviations and a string.
struct Program {
    module: Module,
    functions: Vec<DeclId>,
    units: Vec<DeclId>,
    strings: Vec<DeclId>,
    abbreviations: Vec<DeclId>,
}

fn declare(module: &mut Module, kind: DeclKind, what: &str) -> Vec<DeclId> {
    let declare = |at| {
        module
            .declare(kind, &format!("{what}{at}"))
            .expect("is new")
    };
    (0..2).map(declare).collect()
}

impl Program {
    fn new(redirect: Redirect) -> Program {
        let mut module = programs::module(redirect);
        let functions = declare(&mut module, DeclKind::Function, "f");
        for id in &functions {
            let function = adds(&module, 10, None);
            module
                .define_function(*id, function)
                .expect("is a function");
        }
        let mut program = Program {
            units: declare(&mut module, DeclKind::Custom, "unit"),
            strings: declare(&mut module, DeclKind::Custom, "string"),
            abbreviations: declare(&mut module, DeclKind::Custom, "abbreviations"),
            functions,
            module,
        };
        for at in 0..2 {
            program.define_unit(at, 30);
            let bytes = [1, 0x11, 0, 0, 0, 0].to_vec();
            program.define(
                program.abbreviations[at],
                ".debug_abbrev",
                Piece::new(bytes),
            );
            let text = format!("the string of {at}\0").into_bytes();
            program.define(program.strings[at], ".debug_str", Piece::new(text));
        }
        program.commit();
        program
    }

    fn define(&mut self, id: DeclId, section: &str, piece: Piece) {
        let section = self.module.custom_section(section).expect("can be");
        self.module
            .define_piece(id, section, piece)
            .expect("is a piece");
    }

    fn define_unit(&mut self, at: usize, more: usize) {
        let piece = Piece::new(unit(more))
            .with_section_offset(ABBREVIATIONS, self.abbreviations[at], 0)
            .with_function_offset(FUNCTION, self.functions[at], 2)
            .with_section_offset(STRING, self.strings[at], 4);
        self.define(self.units[at], ".debug_info", piece);
    }

    fn resize(&mut self, function: usize, additions: i32) {
        let new = adds(&self.module, additions, None);
        let defined = self.module.define_function(self.functions[function], new);
        defined.expect("is a function");
    }

    fn commit(&mut self) -> Patch {
        let patch = self.module.commit().expect("is published");
        wasmparser::validate(&self.bytes()).expect("is valid");
        patch
    }

    fn commit_and_list(&mut self) -> String {
        let before = self.bytes();
        let patch = self.commit();
        let names = |section: &str, at: u64| self.name_of(section, at as usize);
        snapshot::of_patch(&patch, &before, &self.bytes(), &names).expect("both are modules")
    }

    /// Whose the byte at an offset of a custom section is, going by what stands in the units and strings themselves.
    fn name_of(&self, section: &str, at: usize) -> Option<String> {
        let (info, strings) = (self.contents(".debug_info"), self.contents(".debug_str"));
        let mut start = 0;
        while start + 20 <= info.len() {
            let end = start + 4 + word(&info, start) as usize;
            // It names the fifth character of its string.
            let string = (word(&info, start + STRING as usize) as usize).wrapping_sub(4);
            let text = strings.get(string..).unwrap_or_default();
            let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
            let number = text.strip_prefix(b"the string of ");
            if let Some(number) = number.and_then(|text| text.first()) {
                let number = char::from(*number);
                let abbreviations = word(&info, start + ABBREVIATIONS as usize) as usize;
                let (kind, range) = match section {
                    ".debug_info" => ("unit", start..end),
                    ".debug_str" => ("string", string..string + text.len() + 1),
                    ".debug_abbrev" => ("abbreviations", abbreviations..abbreviations + 6),
                    _ => return None,
                };
                if range.contains(&at) {
                    return Some(format!("{kind}{number}"));
                }
            }
            start = end;
        }
        None
    }

    fn bytes(&self) -> Vec<u8> {
        self.module.bytes().expect("is there")
    }

    /// The contents of a custom section.
    fn contents(&self, name: &str) -> Vec<u8> {
        let bytes = self.bytes();
        let sections = wasmparser::Parser::new(0).parse_all(&bytes);
        let found = sections.filter_map(|payload| match payload.expect("can be read") {
            wasmparser::Payload::CustomSection(section) if section.name() == name => {
                Some(section.data().to_vec())
            }
            _ => None,
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{name}");
        found.into_iter().next().unwrap_or_default()
    }

    /// The field of a unit that names its function.
    fn function_field(&self, at: usize) -> u32 {
        let info = self.contents(".debug_info");
        let mut start = 0;
        for _ in 0..at {
            start += 4 + word(&info, start) as usize;
        }
        word(&info, start + FUNCTION as usize)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn check(name: &str, edit: impl Fn(&mut Program)) {
    let redirects = [Redirect::TableThunks, Redirect::Direct];
    let out = by_redirect(&redirects, |redirect| {
        let mut program = Program::new(redirect);
        edit(&mut program);
        program.commit_and_list()
    });
    snapshot!(format!("pieces-{name}"), out);
}

#[test]
fn a_function_that_moves_takes_its_fields_along() {
    check("move-code", |program| program.resize(0, 40));
}

#[test]
fn a_function_that_goes_leaves_what_says_so() {
    check("remove-code", |program| {
        program
            .module
            .remove(program.functions[1])
            .expect("is declared");
    });
}

#[test]
fn a_piece_that_grows_goes_to_the_end() {
    check("grow", |program| program.define_unit(0, 60));
}

#[test]
fn the_last_piece_grows_in_its_place() {
    check("grow-last", |program| program.define_unit(1, 60));
}

/// As a program has one whose sources are one file: what the piece would leave would be most of the section.
#[test]
fn the_largest_piece_of_a_section_can_always_grow() {
    let mut program = Program::new(Redirect::Direct);
    program.module.request_relink();
    program.define_unit(0, 200_000);
    assert_eq!(
        program.commit().relink_reason(),
        Some(RelinkReason::Requested)
    );
    for grown in 1..20 {
        program.define_unit(0, 200_000 + grown * 10_000);
        let patch = program.commit();
        assert!(patch.ranges().is_some(), "{:?}", patch.relink_reason());
    }
    let len = program.contents(".debug_info").len();
    assert!(len < 420_000, "{len}");
}

#[test]
fn a_piece_that_has_moved_changes_in_its_place() {
    check("grow-again", |program| {
        program.define_unit(0, 60);
        program.commit();
        program.define_unit(0, 66);
    });
}

#[test]
fn what_names_a_piece_that_moves_is_rewritten() {
    check("move-string", |program| {
        let text = b"the string of 0, longer\0".to_vec();
        program.define(program.strings[0], ".debug_str", Piece::new(text));
    });
}

#[test]
fn an_import_does_not_move_the_code() {
    check("import", |program| {
        let id = program.module.declare(DeclKind::Function, "log");
        let ty = ImportType::Function(I32.to_vec(), Vec::new());
        let id = id.expect("is new");
        let defined = program.module.define_import(id, "env", "log", &ty);
        defined.expect("is a function");
    });
}

#[test]
fn the_map_shows_custom_sections_and_their_filler() {
    let mut program = Program::new(Redirect::Direct);
    program.define_unit(0, 60);
    program.commit();
    let map = Map::read(&program.bytes()).expect("is a module");
    let mut out = String::new();
    for part in &map.parts {
        assert_eq!(
            part.header + part.used + part.unreached + part.slack,
            part.len
        );
        if part.name.starts_with(".debug") || part.kind == PartKind::Pad {
            let (name, header, used, slack) = (&part.name, part.header, part.used, part.slack);
            let _ = writeln!(out, "{name}: header {header}, used {used}, slack {slack}");
        }
    }
    snapshot!("pieces-map", out);
}

#[test]
fn a_target_that_went_away_is_not_what_gets_its_name_later() {
    let mut program = Program::new(Redirect::Direct);
    let before = program.function_field(1);
    assert!(before > 2 && before < 1 << 16);
    program
        .module
        .remove(program.functions[1])
        .expect("is declared");
    assert!(program.commit().ranges().is_some());
    assert_eq!(program.function_field(1), u32::MAX);
    let again = program
        .module
        .declare(DeclKind::Function, "f1")
        .expect("is free");
    let function = adds(&program.module, 10, None);
    program
        .module
        .define_function(again, function)
        .expect("is a function");
    program.commit();
    assert_eq!(program.function_field(1), u32::MAX);
    // Defined anew, the piece names the new function.
    program.functions[1] = again;
    program.define_unit(1, 30);
    program.commit();
    assert!(program.function_field(1) < 1 << 16);
}

#[test]
fn the_last_declarations_can_go_in_a_relink() {
    let mut program = Program::new(Redirect::Direct);
    let fields = |program: &Program| {
        let info = program.contents(".debug_info");
        let field = ABBREVIATIONS as usize;
        [word(&info, field), word(&info, info.len() / 2 + field)]
    };
    assert!(fields(&program).iter().all(|field| *field < 100));
    let gone = program.abbreviations.clone();
    for id in &gone {
        program.module.remove(*id).expect("is declared");
    }
    program.module.request_relink();
    assert!(program.commit().relink_reason().is_some());
    assert_eq!(fields(&program), [u32::MAX; 2]);
    // Their numbers go to something else, which the units do not mean.
    let ids = declare(&mut program.module, DeclKind::Custom, "other");
    let numbers =
        |ids: &[DeclId]| -> BTreeSet<String> { ids.iter().map(DeclId::to_string).collect() };
    assert_eq!(numbers(&ids), numbers(&gone));
    for id in ids {
        program.define(id, ".debug_abbrev", Piece::new(vec![0; 3]));
    }
    program.module.request_relink();
    program.commit();
    assert_eq!(fields(&program), [u32::MAX; 2]);
}

#[test]
fn a_target_can_be_defined_later() {
    let mut program = Program::new(Redirect::TableThunks);
    let later = program
        .module
        .declare(DeclKind::Function, "later")
        .expect("is new");
    program.functions[0] = later;
    program.define_unit(0, 30);
    program.commit();
    assert_eq!(program.function_field(0), u32::MAX);
    let function = adds(&program.module, 3, None);
    program
        .module
        .define_function(later, function)
        .expect("is a function");
    let patch = program.commit();
    let ranges = patch.ranges().expect("is a patch");
    assert!(
        ranges
            .iter()
            .any(|(range, _)| range.reason.word() == "code-offset")
    );
    assert!(program.function_field(0) < 1 << 16);
}

#[test]
fn fields_of_every_kind_can_name_nothing() {
    let mut program = Program::new(Redirect::Direct);
    let kinds = [
        (RelocKind::FunctionOffsetI32, 0),
        (RelocKind::FunctionOffsetI64, 4),
        (RelocKind::SectionOffsetI32, 12),
        (RelocKind::FunctionIndexI32, 16),
        (RelocKind::GlobalIndexI32, 20),
        (RelocKind::SlotI32, 24),
        (RelocKind::AddressI64, 28),
    ];
    for (section, expected) in [(".debug_str", [0xff; 36]), ("other", [0; 36])] {
        let fields = kinds.map(|(kind, at)| Relocation::to_nothing(kind, at, 0));
        let id = program
            .module
            .declare(DeclKind::Custom, section)
            .expect("is new");
        program.define(id, section, Piece::new(vec![0x11; 36]).with_fields(fields));
        program.commit();
        assert!(program.contents(section).ends_with(&expected), "{section}");
    }
}

#[test]
fn pieces_of_a_section_without_gaps_close_up_and_make_room_in_their_order() {
    let mut program = Program::new(Redirect::Direct);
    let ids = declare(&mut program.module, DeclKind::Custom, "note");
    let more = declare(&mut program.module, DeclKind::Custom, "more");
    let [first, second, third, last] = [ids[0], ids[1], more[0], more[1]];
    program.define(first, "notes", Piece::new(b"first".to_vec()));
    program.define(second, "notes", Piece::new(b"second".to_vec()));
    // It says where two others stand, and is itself in another section.
    let pointers = Piece::new(vec![0; 8])
        .with_section_offset(0, second, 0)
        .with_section_offset(4, last, 100);
    program.define(third, "pointers", pointers);
    program.define(last, "notes", Piece::new(b"last".to_vec()));
    program.commit();
    let expect = |program: &mut Program, text: &[u8], pointers: [u32; 2]| {
        assert!(program.commit().ranges().is_some());
        assert_eq!(program.contents("notes"), text);
        let said = program.contents("pointers");
        assert_eq!([word(&said, 0), word(&said, 4)], pointers);
    };
    program.define(first, "notes", Piece::new(b"longer".to_vec()));
    expect(&mut program, b"longersecondlast", [6, 112]);
    program.define(second, "notes", Piece::new(b"2".to_vec()));
    expect(&mut program, b"longer2last", [6, 107]);
    program.module.remove(first).expect("is declared");
    expect(&mut program, b"2last", [0, 101]);
    program.define(second, "notes", Piece::new(b"two".to_vec()));
    program.define(last, "notes", Piece::new(b"the last".to_vec()));
    expect(&mut program, b"twothe last", [0, 103]);
    program.module.remove(second).expect("is declared");
    // A field without a target holds its addend.
    expect(&mut program, b"the last", [0, 100]);
}

/// A module with ten notes in a section of its own, each of `len` bytes.
fn notes(filler: &GapFiller, len: usize) -> (Module, SectionId, Vec<DeclId>) {
    let mut module = programs::module(Redirect::Table);
    let section = module.custom_section_filled("notes", filler.clone());
    let section = section.expect("is new");
    let note = |at| {
        let id = module.declare(DeclKind::Custom, &format!("note{at}"))?;
        module.define_piece(id, section, Piece::new(vec![b'a' + at; len]))?;
        Ok(id)
    };
    let notes: Result<Vec<DeclId>, wasmend::Error> = (0..10).map(note).collect();
    let notes = notes.expect("are pieces");
    module.commit().expect("is published");
    (module, section, notes)
}

fn notes_of(module: &Module) -> Vec<u8> {
    let bytes = module.bytes().expect("is there");
    let sections = wasmparser::Parser::new(0).parse_all(&bytes);
    let mut found = sections.filter_map(|payload| match payload.expect("can be read") {
        wasmparser::Payload::CustomSection(section) if section.name() == "notes" => {
            Some(section.data().to_vec())
        }
        _ => None,
    });
    found.next().expect("is there")
}

#[test]
fn gaps_hold_the_bytes_that_the_owner_of_the_section_named() {
    let (mut module, section, notes) = notes(&GapFiller::repeat([0]), 5);
    module.remove(notes[3]).expect("is declared");
    let longer = Piece::new(b"much longer".to_vec());
    module
        .define_piece(notes[0], section, longer)
        .expect("is one");
    let shorter = Piece::new(b"s".to_vec());
    module
        .define_piece(notes[8], section, shorter)
        .expect("is one");
    let patch = module.commit().expect("is published");
    let pieces = patch.ranges().expect("is a patch").iter();
    let pieces = pieces.filter(|(range, _)| matches!(range.reason, Reason::Piece | Reason::Gap));
    let written: u32 = pieces.map(|(range, _)| range.len).sum();
    // The two pieces, the gaps of the one that went and the one that moved, and room behind that one.
    assert!(written < 11 + 1 + 5 + 5 + 4 + 70, "{written}");
    let mut expected =
        b"\0\0\0\0\0bbbbbccccc\0\0\0\0\0eeeeefffffggggghhhhhs\0\0\0\0jjjjjmuch longer".to_vec();
    expected.resize(expected.len() + 64, 0);
    assert_eq!(notes_of(&module), expected);
}

#[test]
fn gaps_are_records_that_readers_skip() {
    let filler = GapFiller::record([0xee]);
    let (mut module, section, notes) = notes(&filler, 8);
    module.remove(notes[1]).expect("is declared");
    module.commit().expect("is published");
    assert_eq!(notes_of(&module)[8..16], *b"\xee\x03\0\0\0bbb");
    // A gap that is shorter than a record cannot be: the piece goes elsewhere, to one that fits if there is one.
    let piece = Piece::new(b"short".to_vec());
    module
        .define_piece(notes[2], section, piece)
        .expect("is one");
    let patch = module.commit().expect("is published");
    assert!(patch.ranges().is_some());
    let said = notes_of(&module);
    assert_eq!(said[16..24], *b"\xee\x03\0\0\0ccc");
    assert_eq!(
        said[80..],
        [b"short\xee\x3b\0\0\0".to_vec(), vec![0; 59]].concat()
    );

    let (mut module, _, notes) = self::notes(&GapFiller::leb_record([7]), 8);
    module.remove(notes[1]).expect("is declared");
    module.commit().expect("is published");
    assert_eq!(notes_of(&module)[8..16], *b"\x07\x82\x80\x80\x80\0bb");
}

#[test]
fn what_no_filler_fits_closes_up() {
    let (mut module, _, notes) = notes(&GapFiller::record(*b"skip"), 6);
    module.remove(notes[0]).expect("is declared");
    module.remove(notes[5]).expect("is declared");
    assert!(module.commit().expect("is published").ranges().is_some());
    let expected = b"bbbbbbccccccddddddeeeeeegggggghhhhhhiiiiiijjjjjj";
    assert_eq!(notes_of(&module), expected);
}

#[test]
fn a_filler_is_named_with_its_section_and_not_for_debug_information() {
    let (mut module, section, _) = notes(&GapFiller::repeat([0]), 4);
    let again = module.custom_section_filled("notes", GapFiller::repeat([0]));
    assert_eq!(again.expect("is the same"), section);
    assert_eq!(module.custom_section("notes").expect("is there"), section);
    for (name, why) in [("notes", "another filler"), (".debug_str", "expect it")] {
        let refused = module.custom_section_filled(name, GapFiller::repeat([1]));
        let error = refused.expect_err("cannot be");
        assert!(error.message().contains(why), "{error}");
    }
    // What is discarded was never named.
    module.custom_section("more").expect("can be");
    module.discard();
    let filled = module.custom_section_filled("more", GapFiller::repeat([0]));
    filled.expect("is new");
}

#[test]
fn a_piece_can_go_to_another_section() {
    let mut program = Program::new(Redirect::Direct);
    let text = b"elsewhere\0".to_vec();
    program.define(program.strings[0], ".debug_line_str", Piece::new(text));
    assert!(program.commit().ranges().is_some());
    let there = program.contents(".debug_line_str");
    assert!(there.starts_with(b"elsewhere\0"));
    assert!(there[10..].iter().all(|byte| *byte == 0));
    let info = program.contents(".debug_info");
    assert_eq!(word(&info, STRING as usize), 4);
}

#[test]
fn a_dense_output_has_neither_gaps_nor_history() {
    let mut program = Program::new(Redirect::Direct);
    program.define_unit(0, 500);
    program.resize(1, 90);
    program.commit();
    program.define_unit(0, 30);
    program.resize(1, 10);
    program.commit();
    let fresh = Program::new(Redirect::Direct);
    let finish = |program: &Program| program.module.finish().expect("can be finished");
    assert_eq!(finish(&program), finish(&fresh));
}

/// Members of archives can have one name, and so can their pieces: what they say and what they name puts them in order.
#[test]
fn pieces_of_one_name_stand_in_the_same_order_after_any_history() {
    let made_in = |order: [usize; 6]| {
        let mut module = programs::module(Redirect::Direct);
        let functions = declare(&mut module, DeclKind::Function, "f");
        for (at, id) in functions.iter().enumerate() {
            let function = adds(&module, 10 + at as i32, None);
            module
                .define_function(*id, function)
                .expect("is a function");
            module.export(&format!("f{at}"), *id).expect("is declared");
        }
        for at in order {
            let piece = module.declare(DeclKind::Custom, &format!("piece{at}"));
            let piece = piece.expect("is new");
            module
                .set_name(piece, "lib.a(same.o)")
                .expect("is declared");
            let section = ["notes", ".debug_info"][at % 2];
            let section = module.custom_section(section).expect("can be");
            let content = Piece::new(vec![0; 4 * (1 + at / 4)]);
            let content = content.with_function_offset(0, functions[at / 2 % 2], 0);
            module
                .define_piece(piece, section, content)
                .expect("is a piece");
            module.commit().expect("is published");
        }
        module.finish().expect("can be finished")
    };
    let one = made_in([0, 1, 2, 3, 4, 5]);
    assert!(one == made_in([5, 4, 3, 2, 1, 0]));
    assert!(one == made_in([2, 5, 0, 3, 4, 1]));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut program = Program::new(Redirect::Direct);
    for name in ["", "name", "pad", "wasmend", "dylink.0"] {
        let refused = program.module.custom_section(name);
        assert_eq!(
            refused.expect_err("is refused").kind(),
            ErrorKind::BadEdit,
            "{name}"
        );
    }
    let section = program.module.custom_section("other").expect("can be");
    let (function, unit) = (program.functions[0], program.units[0]);
    let piece = || Piece::new(vec![0; 8]);
    let refused = [
        (
            unit,
            piece().with_function_offset(5, function, 0),
            "ends behind",
        ),
        (
            unit,
            piece().with_function_offset(0, unit, 0),
            "as a function",
        ),
        (
            unit,
            piece().with_section_offset(0, function, 0),
            "as a piece",
        ),
        (function, piece(), "is a function"),
        (
            unit,
            piece()
                .with_function_index(0, function)
                .with_function_index(2, function),
            "overlap",
        ),
        (
            unit,
            piece().with_fields([Relocation::new(RelocKind::Call, 0, function, 0)]),
            "kind Call",
        ),
    ];
    for (id, piece, why) in refused {
        let error = program
            .module
            .define_piece(id, section, piece)
            .expect_err(why);
        assert!(error.to_string().contains(why), "{error} for {why}");
    }
    let error = program
        .module
        .export("unit", unit)
        .expect_err("cannot be exported");
    assert_eq!(error.kind(), ErrorKind::BadEdit);
}
