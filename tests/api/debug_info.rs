//! Debug information that a compiler gives as data follows every edit: LLVM's tools read in the patched file what they read in a
//! fresh build, and the source map says the same.
//!
//! Run: a program whose every line holds a number of its own, committed, edited and relinked; then `llvm-symbolizer-19` and
//! `llvm-dwarfdump-19` on the file, and a reader of source maps, for the place of each of these numbers in the code.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::programs::{self, I32};
use crate::support::toolchain;
use wasmend::inspect::{self, Map};
use wasmend::{
    Data, DebugInfo, DeclId, DeclKind, FunctionBuilder, Instruction as I, MemoryType, Module,
    ModuleOptions, Redirect, ValType,
};
use wasmparser::{Operator, Parser, Payload};

/// A function of the source: the file that it is in, where it is declared, and how many lines it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    file: &'static str,
    line: u32,
    lines: u32,
}

pub type Program = BTreeMap<&'static str, Source>;

/// The number that stands in a line, which tells it from all others.
fn number(source: &Source, line: u32) -> i32 {
    let file = i32::from(source.file.as_bytes()[0]);
    1_000_000 * file + line as i32
}

fn define(module: &mut Module, name: &str, source: &Source) {
    let id = match module.lookup(name) {
        Some(id) => id,
        None => module.declare(DeclKind::Function, name).expect("new"),
    };
    let mut body = FunctionBuilder::new(module.body_style(), I32, I32);
    let sum = body.locals(1, ValType::I32);
    let mut info = DebugInfo::new(name, source.file, source.line).in_folder("/home/project");
    info.local(0, "given", "int", ValType::I32);
    info.local(sum, "sum", "int", ValType::I32);
    if let Some(text) = module.lookup("text of 64 bits") {
        let pointer = body.locals(1, ValType::I64);
        info.local(pointer, "pointer", "address", ValType::I64);
        body.address_of_data64(text, 0).op(&I::LocalSet(pointer));
    }
    for line in source.line + 1..=source.line + source.lines {
        match line % 3 {
            // As if it came from another file.
            0 => info.row_in(body.position(), "macros.lang", line, 0),
            _ => info.row(body.position(), line, line % 7 + 1),
        };
        body.op(&I::I32Const(number(source, line)))
            .op(&I::LocalSet(sum));
    }
    body.op(&I::LocalGet(sum));
    let body = body.finish().expect("a body").with_debug_info(info);
    module.define_function(id, body).expect("a function");
}

/// Edits from one program to another.
pub fn edit(module: &mut Module, from: &Program, to: &Program) {
    for (name, source) in to {
        if from.get(name) != Some(source) {
            define(module, name, source);
        }
    }
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        let id: DeclId = module.lookup(name).expect("it was declared");
        module.remove(id).expect("it is there");
    }
}

/// Where the number of each line stands: function and line, and the offset in the file of the instruction.
pub struct Places {
    /// Where the contents of the code section begin.
    code: u64,
    pub all: BTreeMap<(String, i32), u64>,
}

/// Which function's body each index is, by what the module says. Code that was left behind when a function moved is none.
fn bodies(module: &Module, file: &[u8]) -> BTreeMap<u32, String> {
    let map = Map::read(file).expect("a module");
    let functions = module.iter().filter(|decl| decl.is_defined());
    let functions = functions.filter_map(|decl| Some((decl.index()?, decl.key()?.to_owned())));
    let body_of = |index: u32| {
        let entry = map.functions.iter().find(|entry| entry.index == index);
        entry.and_then(|entry| entry.target).unwrap_or(index)
    };
    functions
        .map(|(index, key)| (body_of(index), key))
        .collect()
}

pub fn places(module: &Module, file: &[u8]) -> Places {
    let names = bodies(module, file);
    let (mut code, mut index) = (0, 0);
    let mut all = BTreeMap::new();
    for payload in Parser::new(0).parse_all(file) {
        match payload.expect("a valid file") {
            Payload::ImportSection(section) => assert_eq!(section.count(), 0),
            Payload::CodeSectionStart {
                unchecked_range: range,
                ..
            } => code = range.start,
            Payload::CodeSectionEntry(body) => {
                let name = names.get(&index);
                index += 1;
                let operators = body.get_operators_reader().expect("valid");
                for operator in operators.into_iter_with_offsets() {
                    if let (Operator::I32Const { value }, offset) = operator.expect("valid")
                        && let Some(name) = name.filter(|_| value >= 1_000_000)
                    {
                        all.insert((name.clone(), value), offset);
                    }
                }
            }
            _ => {}
        }
    }
    Places { code, all }
}

/// What is right of a line: file, line and column.
pub fn right(source: &Source, line: u32) -> (String, u32, u32) {
    let (file, column) = match line % 3 {
        0 => ("macros.lang", 0),
        _ => (source.file, line % 7 + 1),
    };
    (format!("/home/project/{file}"), line, column)
}

/// Looks at a file with LLVM's tools: each place must be of the right function, file, line and column.
fn check_with_llvm(path: &Path, program: &Program, places: &Places) {
    assert_eq!(toolchain::dwarf_errors(path), None);
    let offsets = places.all.values().map(|offset| offset - places.code);
    let answers = toolchain::symbolize(path, &["--functions=short"], offsets);
    assert_eq!(answers.len(), places.all.len(), "{answers:?}");
    for (((name, value), _), answer) in places.all.iter().zip(answers) {
        let source = &program[&name[..]];
        let (file, line, column) = right(source, (value % 1_000_000) as u32);
        assert_eq!(answer.trim(), format!("{name}\n{file}:{line}:{column}"));
    }
}

/// The mappings of a source map: offset in the file to source, line and column, all from 0; none where no line is known.
fn read_source_map(json: &str) -> BTreeMap<u64, Option<(String, i64, i64)>> {
    let map: serde_json::Value = serde_json::from_str(json).expect("valid JSON");
    assert_eq!(map["version"], 3);
    let digit = |c: char| match c {
        'A'..='Z' => c as i64 - 'A' as i64,
        'a'..='z' => c as i64 - 'a' as i64 + 26,
        '0'..='9' => c as i64 - '0' as i64 + 52,
        '+' => 62,
        _ => 63,
    };
    let text = map["mappings"].as_str().expect("text");
    assert!(!text.contains(';'), "there is one line");
    let (mut at, mut state) = (0, [0i64; 3]);
    let mut found = BTreeMap::new();
    for segment in text.split(',').filter(|segment| !segment.is_empty()) {
        let (mut numbers, mut value, mut shift) = (Vec::new(), 0, 0);
        for c in segment.chars() {
            let bits = digit(c);
            value += (bits & 31) << shift;
            shift += 5;
            if bits & 32 == 0 {
                numbers.push(if value & 1 == 1 {
                    -(value >> 1)
                } else {
                    value >> 1
                });
                (value, shift) = (0, 0);
            }
        }
        at += numbers[0];
        let origin = match numbers[1..] {
            [] => None,
            [source, line, column] => {
                for (state, by) in state.iter_mut().zip([source, line, column]) {
                    *state += by;
                }
                let source = map["sources"][state[0] as usize]
                    .as_str()
                    .expect("a source");
                Some((source.to_owned(), state[1], state[2]))
            }
            _ => panic!("{segment}"),
        };
        assert!(found.insert(at as u64, origin).is_none(), "{at} twice");
    }
    found
}

fn check_source_map(file: &[u8], program: &Program, places: &Places) {
    let map = inspect::source_map(file).expect("a source map");
    let map = read_source_map(&map);
    for ((name, value), offset) in &places.all {
        let (file, line, column) = right(&program[&name[..]], (value % 1_000_000) as u32);
        let origin = map
            .range(..=offset)
            .next_back()
            .and_then(|(_, it)| it.clone());
        let column = i64::from(column).saturating_sub(1).max(0);
        assert_eq!(origin, Some((file, i64::from(line) - 1, column)), "{name}");
        // A row begins there, not somewhere before.
        assert!(map.contains_key(offset), "{name} {line}");
    }
}

fn check(module: &Module, program: &Program) {
    let bytes = module.bytes().expect("in memory");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wasm");
    std::fs::write(&path, &bytes).expect("it can be written");
    let found = places(module, &bytes);
    let lines: u32 = program.values().map(|source| source.lines).sum();
    assert_eq!(found.all.len(), lines as usize);
    check_with_llvm(&path, program, &found);
    check_source_map(&bytes, program, &found);
}

/// A module that code is compiled for with addresses of 64 bits: [`define`] sees it.
fn wide(redirect: Redirect) -> Module {
    let options = ModuleOptions {
        redirect,
        table64: true,
        ..ModuleOptions::default()
    };
    let mut module = Module::in_memory(options).expect("in memory");
    let memory = module.declare(DeclKind::Memory, "memory").expect("new");
    let ty = MemoryType {
        minimum: 1,
        is_64: true,
        ..MemoryType::default()
    };
    module.define_memory(memory, ty).expect("a memory");
    let text = module.declare(DeclKind::Data, "text of 64 bits");
    let text = text.expect("new");
    let defined = module.define_data(text, memory, Data::new(*b"text", 0));
    defined.expect("data");
    module
}

pub fn source(file: &'static str, line: u32, lines: u32) -> Source {
    Source { file, line, lines }
}

#[test]
fn lines_and_functions_are_right_in_every_version_as_in_a_fresh_build() {
    let first = Program::from([
        ("alpha", source("a.lang", 1, 5)),
        ("beta", source("a.lang", 10, 20)),
        ("gamma", source("sub/b.lang", 3, 1)),
        ("delta", source("sub/b.lang", 40, 9)),
    ]);
    let mut versions = vec![first.clone()];
    let mut next = |change: &dyn Fn(&mut Program)| {
        let mut program = versions.last().expect("there is one").clone();
        change(&mut program);
        versions.push(program);
    };
    // A function grows and moves, all lines below it move, one comes, one goes, one shrinks.
    next(&|program| program.get_mut("gamma").expect("there").lines = 60);
    next(&|program| {
        program.get_mut("alpha").expect("there").lines = 7;
        program.get_mut("beta").expect("there").line = 12;
    });
    next(&|program| {
        program.insert("epsilon", source("c.lang", 1, 30));
    });
    next(&|program| {
        program.remove("beta");
    });
    next(&|program| program.get_mut("gamma").expect("there").lines = 2);
    next(&|program| {
        program.insert("beta", source("a.lang", 100, 3));
    });
    let modes = [Redirect::Table, Redirect::TableThunks, Redirect::Direct];
    let makers: [fn(Redirect) -> Module; 2] = [programs::module, wide];
    for (redirect, make) in modes
        .into_iter()
        .flat_map(|mode| makers.map(|make| (mode, make)))
    {
        let mut module = make(redirect);
        let mut before = Program::new();
        for program in &versions {
            edit(&mut module, &before, program);
            module.commit().expect("a commit");
            check(&module, program);
            before = program.clone();
        }
        let last = &versions[versions.len() - 1];
        module.request_relink();
        module.commit().expect("a commit");
        check(&module, last);
        let mut fresh = make(redirect);
        edit(&mut fresh, &Program::new(), last);
        fresh.commit().expect("a commit");
        check(&fresh, last);
    }
}

#[test]
fn an_edit_of_one_function_rewrites_its_own_debug_information_and_no_other() {
    let mut module = programs::module(Redirect::Table);
    let names: Vec<String> = (0..400).map(|at| format!("function {at}")).collect();
    for (at, name) in names.iter().enumerate() {
        define(&mut module, name, &source("a.lang", 10 * at as u32, 6));
    }
    module.commit().expect("a commit");
    // The same code, two lines further down.
    define(&mut module, &names[7], &source("a.lang", 72, 6));
    let patch = module.commit().expect("a commit");
    assert_eq!(patch.relink_reason(), None);
    assert!(patch.bytes_written() < 1500, "{}", patch.bytes_written());
    // More code: it moves, and its lines with it.
    define(&mut module, &names[9], &source("a.lang", 90, 60));
    let patch = module.commit().expect("a commit");
    assert_eq!(patch.relink_reason(), None);
    assert!(patch.bytes_written() < 4000, "{}", patch.bytes_written());
}

#[test]
fn a_function_that_is_given_without_debug_information_has_none_any_more() {
    let mut module = programs::module(Redirect::Direct);
    for name in ["first", "second"] {
        define(&mut module, name, &source("a.lang", 10, 3));
    }
    module.commit().expect("a commit");
    let parts = |module: &Module, key: &str| {
        let id = module.lookup(key).expect("declared");
        module.declaration(id).expect("there").parts().count()
    };
    assert_eq!(parts(&module, "first"), 3);
    let first = module.lookup("first").expect("declared");
    module
        .define_function(first, programs::adds(&module, 3, None))
        .expect("a function");
    // It is taken back with the edit that took it away.
    module.discard();
    assert_eq!(parts(&module, "first"), 3);
    module
        .define_function(first, programs::adds(&module, 3, None))
        .expect("a function");
    module.commit().expect("a commit");
    assert_eq!(parts(&module, "first"), 0);
    let map = inspect::source_map(&module.bytes().expect("in memory")).expect("a source map");
    let known = read_source_map(&map).into_values().flatten().count();
    assert!(known > 0);
    let second = module.lookup("second").expect("declared");
    module.remove(second).expect("it is there");
    module.commit().expect("a commit");
    let map = inspect::source_map(&module.bytes().expect("in memory")).expect("a source map");
    assert_eq!(read_source_map(&map).into_values().flatten().count(), 0);
}
