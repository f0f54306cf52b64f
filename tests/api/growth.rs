//! Sections that outgrow their room: what an edit writes then, how often everything is rebuilt, and that the file is right
//! whatever the order in which its sections stand.
//!
//! Run: hundreds of edits that make pieces of custom sections longer and functions more, each with `Module::commit`, on a module
//! in memory of some 700 KB.

use wasmend::{DeclId, DeclKind, Module, Piece, Redirect};

use crate::support::programs::{self, adds};
use crate::support::smith::Rng;

/// Sections whose pieces may be anything, and how long these are at first.
const SECTIONS: [(&str, usize); 4] = [
    (".debug_str", 5_000),
    (".debug_line_str", 2_500),
    (".debug_macinfo", 1_000),
    (".debug_abbrev", 100),
];
const PIECES: usize = 64;

/// A program that grows.
struct Program {
    module: Module,
    /// Pieces, each with its section and what it holds.
    pieces: Vec<(DeclId, &'static str, Vec<u8>)>,
    functions: Vec<(DeclId, i32)>,
}

impl Program {
    fn new() -> Program {
        let mut program = Program {
            module: programs::module(Redirect::Table),
            pieces: Vec::new(),
            functions: Vec::new(),
        };
        for (section, len) in SECTIONS {
            for at in 0..PIECES {
                let bytes = (0..len + 37 * at).map(|byte| (byte % 251) as u8 | 1);
                program.add_piece(section, at, bytes.collect());
            }
        }
        for _ in 0..300 {
            program.add_function(20);
        }
        program.module.commit().expect("is published");
        program
    }

    fn add_piece(&mut self, section: &'static str, at: usize, bytes: Vec<u8>) {
        let key = format!("{section} {at}");
        let id = self.module.declare(DeclKind::Custom, &key);
        self.pieces.push((id.expect("is new"), section, bytes));
        self.define_piece(self.pieces.len() - 1);
    }

    fn define_piece(&mut self, at: usize) {
        let (id, section, bytes) = &self.pieces[at];
        let section = self.module.custom_section(section).expect("can be");
        // Dense outputs merge strings, which end in zeros.
        let piece = Piece::new([&bytes[..], &[0]].concat());
        let defined = self.module.define_piece(*id, section, piece);
        defined.expect("is a piece");
    }

    fn add_function(&mut self, additions: i32) {
        let key = format!("a function with the number {}", self.functions.len());
        let id = self.module.declare(DeclKind::Function, &key);
        let id = id.expect("is new");
        let body = adds(&self.module, additions, None);
        let defined = self.module.define_function(id, body);
        defined.expect("is a function");
        self.functions.push((id, additions));
    }

    /// Makes the program longer; returns by how many bytes.
    fn grow(&mut self, numbers: &mut Rng) -> u64 {
        if numbers.below(4) == 0 {
            let additions = 1 + numbers.below(200) as i32;
            self.add_function(additions);
            return 4 * additions as u64;
        }
        let at = numbers.below(self.pieces.len());
        let by = 16 + numbers.below(2_000);
        let bytes = &mut self.pieces[at].2;
        bytes.resize(bytes.len() + by, 0x61);
        self.define_piece(at);
        by as u64
    }

    fn bytes(&self) -> Vec<u8> {
        self.module.bytes().expect("is in memory")
    }

    /// The same program, made at once.
    fn fresh(&self) -> Program {
        let mut fresh = Program {
            module: programs::module(Redirect::Table),
            pieces: Vec::new(),
            functions: Vec::new(),
        };
        for (at, (_, section, bytes)) in self.pieces.iter().enumerate() {
            fresh.add_piece(section, at % PIECES, bytes.clone());
        }
        for (_, additions) in &self.functions {
            fresh.add_function(*additions);
        }
        fresh.module.commit().expect("is published");
        fresh
    }
}

/// The names of the custom sections that are no pads, in file order.
fn customs(bytes: &[u8]) -> Vec<String> {
    let payloads = wasmparser::Parser::new(0).parse_all(bytes);
    let name = |payload| match payload {
        Ok(wasmparser::Payload::CustomSection(custom)) => Some(custom.name().to_owned()),
        _ => None,
    };
    let names = payloads.filter_map(name);
    names
        .filter(|name| !matches!(&**name, "" | "pad"))
        .collect()
}

/// Grows a program edit by edit, and checks what each edit writes; returns it with how often it was rebuilt.
fn grow(edits: usize) -> (Program, usize) {
    let mut program = Program::new();
    let mut numbers = Rng::new(3);
    let mut relinks = 0;
    let mut len = program.bytes().len() as u64;
    for edit in 0..edits {
        let brought = program.grow(&mut numbers);
        let patch = program.module.commit().expect("is published");
        let most = (8 * brought + (64 << 10)).max(len / 20);
        match patch.relink_reason() {
            Some(_) => relinks += 1,
            None => assert!(
                patch.bytes_written() <= most,
                "edit {edit} brought {brought} bytes and wrote {}",
                patch.bytes_written()
            ),
        }
        len = patch.file_len;
        if edit % 10 == 0 {
            wasmparser::validate(&program.bytes()).expect("is valid");
        }
    }
    (program, relinks)
}

#[test]
fn what_outgrows_its_room_goes_where_there_is_some_and_little_is_written() {
    let (program, relinks) = grow(600);
    assert!(relinks <= 24, "{relinks} relinks");
    let bytes = program.bytes();
    wasmparser::validate(&bytes).expect("is valid");
    let fresh = program.fresh();
    let dense = program.module.finish().expect("can be finished");
    assert!(
        dense == fresh.module.finish().expect("can be finished"),
        "the dense output depends on the history"
    );
    let at_once = fresh.bytes();
    assert!(
        bytes.len() < at_once.len() * 3 / 2,
        "{} bytes, and {} at once",
        bytes.len(),
        at_once.len()
    );
    let (mut grown, mut made) = (customs(&bytes), customs(&at_once));
    assert_eq!(grown.last().map(String::as_str), Some("wasmend"));
    grown.sort();
    made.sort();
    assert_eq!(grown, made, "the same sections are there");
}

#[test]
fn the_same_growth_makes_the_same_file() {
    let (one, other) = (grow(200), grow(200));
    assert!(one.0.bytes() == other.0.bytes());
    assert_eq!(one.1, other.1);
}
