//! Real debug information: what clang-19 makes of C, in modules that are edited, read by LLVM's tools. After every
//! commit `llvm-dwarfdump --verify` finds nothing wrong, every address is on the line that it is on in a module made
//! afresh, and every unit of debug information says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::layout::{Place, SectionKind};
use crate::module::body::{Function, Signature};
use crate::module::handle::{DeclId, Relocation};
use crate::module::{
    ConstExpr, MemoryType, Module, ModuleOptions, Outcome, Piece, Redirect, ValType,
};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Input, Object, Reloc, RelocType};
use crate::program::{DeclKind, RelocKind};

/// A function of a source file: how many statements of each kind it has.
#[derive(Debug, Clone, PartialEq)]
struct Code {
    name: usize,
    statements: Vec<u8>,
    inner: bool,
}

/// A source file.
#[derive(Debug, Clone, PartialEq, Default)]
struct Source {
    functions: Vec<Code>,
    text: u32,
    /// Whether there is a type that nothing else needs.
    record: bool,
}

impl Source {
    fn text(&self, file: usize) -> String {
        let mut out = String::from("typedef struct node { struct node *next; int value; } node;\n");
        if self.record {
            out += &format!(
                "struct record{file} {{ double weight; char name[{}]; }};\n",
                self.text + 1
            );
            out += &format!("struct record{file} the_record{file};\n");
        }
        out += "static inline int twice(int by) { int all = by; all += by; return all; }\n";
        out += &format!("int counter{file} = 3;\n");
        for code in &self.functions {
            out += &format!("int f{file}_{}(int a, node *list);\n", code.name);
        }
        for (at, code) in self.functions.iter().enumerate() {
            out += &format!(
                "int f{file}_{}(int a, node *list) {{\n  int sum = a;\n",
                code.name
            );
            for (line, statement) in code.statements.iter().enumerate() {
                out += &match statement % 6 {
                    0 => format!("  sum += a * {line};\n"),
                    1 => format!(
                        "  for (int i{line} = 0; i{line} < a; i{line}++) {{\n    sum ^= i{line};\n  }}\n"
                    ),
                    2 => format!("  counter{file} += sum;\n"),
                    3 => "  if (list) { node *next = list->next; sum += next->value; }\n".into(),
                    4 => "  sum = twice(sum);\n".into(),
                    _ => {
                        let callee = self.functions[at.saturating_sub(1)].name;
                        format!(
                            "  if (a > {line}) sum -= f{file}_{callee}(a - {}, list);\n",
                            line + 1
                        )
                    }
                };
            }
            if code.inner {
                out += "  { int inner = sum; sum += inner * 3; }\n";
            }
            out += "  return sum;\n}\n";
        }
        out += &format!(
            "const char *text{file} = \"{}\";\n",
            "x".repeat(self.text as usize)
        );
        out
    }
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// An edit; with `still`, one that leaves data alone.
fn edit(source: &mut Source, still: bool, numbers: &mut Numbers) {
    let fresh = |numbers: &mut Numbers, name| Code {
        name,
        statements: (0..1 + numbers.below(8))
            .map(|_| numbers.below(6) as u8)
            .collect(),
        inner: numbers.below(2) == 0,
    };
    let at = numbers.below(source.functions.len().max(1));
    match numbers.below(9) {
        0..2 if source.functions.len() < 7 => {
            let taken: BTreeSet<usize> = source.functions.iter().map(|code| code.name).collect();
            let name = (0..).find(|name| !taken.contains(name)).unwrap_or(0);
            let code = fresh(numbers, name);
            source.functions.insert(at, code);
        }
        2 if source.functions.len() > 1 => drop(source.functions.remove(at)),
        3 if !still => source.text = numbers.below(40) as u32,
        4 if !still => source.record ^= true,
        5 => source.functions[at].inner ^= true,
        6 => {
            let count = numbers.below(30);
            source.functions[at].statements = (0..count).map(|_| numbers.below(6) as u8).collect();
        }
        _ => source.functions[at].statements.push(numbers.below(6) as u8),
    }
}

fn compile(folder: &Path, file: usize, source: &Source, flags: &[&str]) -> Object {
    let name = format!("file{file}.c");
    std::fs::write(folder.join(&name), source.text(file)).unwrap();
    let object = folder.join(format!("file{file}.o"));
    let status = Command::new("clang-19")
        .current_dir(folder)
        .args(["--target=wasm32-unknown-unknown", "-c", "-g", &name, "-o"])
        .arg(&object)
        .args(flags)
        .status()
        .expect("clang-19 can be run");
    assert!(status.success());
    let bytes = std::fs::read(&object).unwrap();
    Object::read(Input::from_bytes(object, bytes)).unwrap()
}

/// A module and what it was made from.
struct Program {
    module: Module,
    stack_pointer: DeclId,
    memory: DeclId,
    /// What each file has defined, by key.
    defined: BTreeMap<usize, BTreeSet<String>>,
}

impl Program {
    fn new(redirect: Redirect, wide: bool) -> Program {
        let mut module = Module::in_memory(ModuleOptions {
            redirect,
            fan_in: 1,
            ..ModuleOptions::default()
        })
        .unwrap();
        let memory = module.declare(DeclKind::Memory, "memory").unwrap();
        let ty = MemoryType {
            minimum: 2,
            maximum: None,
            shared: false,
            is_64: wide,
        };
        module.define_memory(memory, ty).unwrap();
        let stack_pointer = module.declare(DeclKind::Global, "__stack_pointer").unwrap();
        let (ty, init) = match wide {
            true => (ValType::I64, ConstExpr::I64(0x1_0000)),
            false => (ValType::I32, ConstExpr::I32(0x1_0000)),
        };
        module.define_global(stack_pointer, ty, true, init).unwrap();
        Program {
            module,
            stack_pointer,
            memory,
            defined: BTreeMap::new(),
        }
    }

    fn get(&mut self, kind: DeclKind, key: &str) -> DeclId {
        match self.module.lookup(key) {
            Some(id) => id,
            None => self.module.declare(kind, key).unwrap(),
        }
    }

    fn symbol(&mut self, object: &Object, file: usize, symbol: SymbolIndex) -> (DeclId, u32) {
        let it = object.symbols[symbol.index()];
        let name = object.str(it.name);
        let key = match it.is_local() {
            true => format!("{file}:{name}"),
            false => name.to_owned(),
        };
        if it.function().is_some() {
            return (self.get(DeclKind::Function, &key), 0);
        }
        if it.global().is_some() {
            return (self.stack_pointer, 0);
        }
        if let Some(section) = it.section() {
            let name = object.str(object.custom_section(section).unwrap().name);
            return (self.get(DeclKind::Custom, &format!("{file}:{name}")), 0);
        }
        match it.segment() {
            Some(segment) => {
                let name = object.str(object.segments[segment.index()].name);
                (
                    self.get(DeclKind::Data, &format!("{file}:{name}")),
                    it.value,
                )
            }
            None => panic!("{name} is not defined"),
        }
    }

    fn reloc(
        &mut self,
        object: &Object,
        file: usize,
        offset: u32,
        reloc: &Reloc,
        addend: i64,
    ) -> Relocation {
        use RelocType::*;
        let kind = match reloc.kind() {
            FunctionIndexLeb => RelocKind::Call,
            TypeIndexLeb => {
                let ty = 1 + reloc.ty().unwrap().0;
                return Relocation::to_type(RelocKind::TypeIndex, offset, ty);
            }
            GlobalIndexLeb => RelocKind::GlobalIndex,
            GlobalIndexI32 => RelocKind::GlobalIndexI32,
            MemoryAddrLeb => RelocKind::AddressLeb,
            MemoryAddrSleb => RelocKind::AddressSleb,
            MemoryAddrI32 => RelocKind::AddressI32,
            TableIndexSleb => RelocKind::SlotSleb,
            TableIndexI32 => RelocKind::SlotI32,
            MemoryAddrLeb64 => RelocKind::AddressLeb64,
            MemoryAddrSleb64 => RelocKind::AddressSleb64,
            MemoryAddrI64 => RelocKind::AddressI64,
            FunctionOffsetI32 => RelocKind::FunctionOffsetI32,
            FunctionOffsetI64 => RelocKind::FunctionOffsetI64,
            SectionOffsetI32 => RelocKind::SectionOffsetI32,
            other => panic!("{other:?} is not expected here"),
        };
        let (target, at) = self.symbol(object, file, reloc.symbol().unwrap());
        Relocation::new(kind, offset, target, (addend + i64::from(at)) as i32)
    }

    /// Defines what a file defines, and removes what it did and does no more.
    fn load(&mut self, file: usize, object: &Object) {
        let mut defined = BTreeSet::new();
        let value = |byte: &u8| match byte {
            0x7f => ValType::I32,
            0x7e => ValType::I64,
            0x7d => ValType::F32,
            _ => ValType::F64,
        };
        let signature = |ty: usize| {
            let values = |range| object.bytes(range).iter().map(value).collect();
            Signature::Of(
                values(object.types[ty].params),
                values(object.types[ty].results),
            )
        };
        for (at, function) in object.functions.iter().enumerate() {
            let symbol = object.symbols.iter().position(|symbol| {
                let index = object.imported_functions.len() + at;
                symbol
                    .function()
                    .is_some_and(|function| function.index() == index)
            });
            let symbol = SymbolIndex(symbol.unwrap() as u32);
            let (id, _) = self.symbol(object, file, symbol);
            let relocs = object.function_relocs(function).iter().map(|reloc| {
                let offset = object.offset_in_body(function, reloc);
                self.reloc(
                    object,
                    file,
                    offset,
                    reloc,
                    object.code_relocs.addend(reloc),
                )
            });
            let relocs = relocs.collect();
            let mut signatures = vec![signature(function.ty.index())];
            signatures.extend((0..object.types.len()).map(signature));
            let bytes = object.bytes(function.body).to_vec();
            let function = Function {
                signatures,
                bytes,
                relocs,
                calls: Vec::new(),
                tail_calls: false,
                head: 0,
                debug_info: None,
            };
            self.module.define_function(id, function).unwrap();
            defined.insert(self.module.program().decl(id.bare()).label().to_owned());
        }
        for (at, segment) in object.segments.iter().enumerate() {
            let key = format!("{file}:{}", object.str(segment.name));
            let id = self.get(DeclKind::Data, &key);
            let index = SegmentIndex(at as u32);
            let bytes = object.bytes(segment.data).to_vec();
            let mut data = match bytes.iter().all(|byte| *byte == 0) {
                true => crate::module::Data::zero(bytes.len() as u64, segment.align_log2),
                false => crate::module::Data::new(bytes, segment.align_log2),
            };
            for reloc in object.segment_relocs(index) {
                let offset = object.offset_in_segment(index, reloc);
                let addend = object.data_relocs.addend(reloc);
                data.relocs
                    .push(self.reloc(object, file, offset, reloc, addend));
            }
            self.module.define_data(id, self.memory, data).unwrap();
            defined.insert(key);
        }
        for custom in &object.custom_sections {
            let name = object.str(custom.name);
            if !name.starts_with(".debug_") {
                continue;
            }
            let key = format!("{file}:{name}");
            let id = self.get(DeclKind::Custom, &key);
            let section = self.module.custom_section(name).unwrap();
            let relocs = object.custom_relocs(custom.section).unwrap();
            let fields: Vec<Relocation> = relocs
                .all()
                .iter()
                .map(|reloc| self.reloc(object, file, reloc.offset, reloc, relocs.addend(reloc)))
                .collect();
            let piece = Piece::new(object.bytes(custom.contents).to_vec()).with_fields(fields);
            self.module.define_piece(id, section, piece).unwrap();
            defined.insert(key);
        }
        let before = self
            .defined
            .insert(file, defined.clone())
            .unwrap_or_default();
        for key in before.difference(&defined) {
            let id = self.module.lookup(key).unwrap();
            self.module.remove(id).unwrap();
        }
    }

    /// A function that nothing but debug information names, with its file.
    fn uncalled(&mut self) -> Option<(usize, String)> {
        self.module.prepare();
        let all = self.defined.iter();
        let mut all = all.flat_map(|(file, keys)| keys.iter().map(move |key| (*file, key)));
        let found = all.find(|(_, key)| {
            let id = self.module.lookup(key).unwrap();
            let program = self.module.program();
            let is_function = program.decl(id.bare()).kind == DeclKind::Function;
            is_function && self.module.sources_of(id.bare()).is_empty()
        });
        found.map(|(file, key)| (file, key.clone()))
    }

    /// Where each function's code stands, and how long it is.
    fn code(&self) -> BTreeMap<String, (u64, u64)> {
        let layout = self.module.layout.as_ref().unwrap();
        let functions = self
            .module
            .program()
            .iter()
            .filter(|(_, decl)| !decl.is_orphan);
        let places = functions.filter_map(|(id, decl)| match layout.place(id) {
            Place::Function { body, .. } => {
                let len = decl.next()?.content.len() as u64;
                Some((decl.label().to_owned(), (layout.code_offset(body), len)))
            }
            _ => None,
        });
        places.collect()
    }
}

/// Runs a tool with an input; its output.
fn run(tool: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool} cannot be run: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// What the tools say of each address of each function, by name and offset.
fn lines(path: &str, code: &BTreeMap<String, (u64, u64)>) -> BTreeMap<(String, u64), String> {
    let places = || {
        code.iter().flat_map(|(name, (start, len))| {
            (0..*len)
                .step_by(3)
                .map(move |at| (name.clone(), at, start + at))
        })
    };
    let input: String = places()
        .map(|(.., address)| format!("{address:#x}\n"))
        .collect();
    let arguments = ["--obj", path, "--inlines", "--functions=short"];
    let arguments = [
        &format!("{}={path}", arguments[0]),
        arguments[2],
        arguments[3],
    ];
    let (_, text) = run("llvm-symbolizer-19", &arguments, &input);
    let answers: Vec<&str> = text
        .split("\n\n")
        .filter(|answer| !answer.trim().is_empty())
        .collect();
    assert_eq!(answers.len(), places().count(), "{text}");
    let known = answers
        .iter()
        .filter(|answer| answer.contains("file"))
        .count();
    assert!(
        known * 10 > answers.len() * 8,
        "few addresses are known: {text}"
    );
    places()
        .zip(answers)
        .map(|((name, at, _), answer)| ((name, at), answer.to_owned()))
        .collect()
}

/// The units of debug information, without what depends on where things stand.
fn units(path: &str, code: &BTreeMap<String, (u64, u64)>) -> Vec<String> {
    let (_, text) = run("llvm-dwarfdump-19", &["--debug-info", path], "");
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or(u64::MAX);
    let meaning = |address: u64| {
        let mut all = code.iter();
        let found = all.find(|(_, (start, len))| (*start..=start + len).contains(&address));
        found.map_or(format!("{address:#x}"), |(name, (start, _))| {
            format!("{name}+{:#x}", address - start)
        })
    };
    let mut units = vec![String::new()];
    let (mut is_dead, mut is_in_dead) = (false, false);
    for line in text.lines().skip(1) {
        if line.contains("Unit: length") {
            units.push(String::new());
            is_in_dead = false;
            continue;
        }
        // The end of code that is not there is its length behind nothing.
        is_dead = match line.contains("DW_AT_high_pc") {
            true => is_dead,
            false => line.contains("(dead code)") || line.contains("[0xffffff"),
        };
        let means_code =
            line.contains("low_pc") || line.contains("high_pc") || line.contains("[0x");
        // Locations in a function that is not there count from nowhere, too.
        is_in_dead &= !line.contains("DW_TAG_subprogram");
        is_in_dead |= is_dead;
        let means_code = means_code && !is_dead && !(is_in_dead && line.contains("[0x"));
        let mut parts = line.split("0x");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(part.len());
            if means_code {
                out += &meaning(number(&part[..end]));
            }
            out += &part[end..];
        }
        let unit = units.last_mut().unwrap();
        unit.push_str(&out);
        unit.push('\n');
    }
    // Filler is a unit without a name.
    units.retain(|unit| unit.contains("DW_AT_name"));
    units.sort();
    units
}

fn check(program: &Program, folder: &Path, objects: &[Object], dead: Option<&str>, what: &str) {
    let mut fresh = Program::new(Redirect::Direct, objects[0].is_64());
    for (file, object) in objects.iter().enumerate() {
        fresh.load(file, object);
    }
    if let Some(dead) = dead {
        let id = fresh.module.lookup(dead).unwrap();
        fresh.module.remove(id).unwrap();
    }
    fresh.module.commit().unwrap();
    let modules = [
        ("patched", program.module.bytes().unwrap(), program.code()),
        ("fresh", fresh.module.bytes().unwrap(), fresh.code()),
    ];
    let mut told = Vec::new();
    for (name, bytes, code) in modules {
        wasmparser::validate(&bytes).unwrap();
        let path = folder.join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let (good, text) = run("llvm-dwarfdump-19", &["--verify", path], "");
        // Of a unit that fills a gap no index of names speaks.
        let is_expected = |line: &&str| line.contains("not covered by any Name Index");
        let warnings = text.lines().filter(|line| line.contains("warning:"));
        let unexpected = warnings.filter(|line| !is_expected(line)).count();
        assert!(
            good && !text.contains("error:") && unexpected == 0,
            "{what}, {name}: {text}"
        );
        // Readers that walk whole sections stay in step in all of them.
        let (good, text) = run("llvm-dwarfdump-19", &["-a", path], "");
        let complains = |line: &&str| line.starts_with("error:") || line.starts_with("warning:");
        let complaint = text.lines().find(complains);
        assert!(good && complaint.is_none(), "{what}, {name}: {complaint:?}");
        told.push((lines(path, &code), units(path, &code)));
    }
    // Sets of address ranges name data too, whose addresses are also some of code: LLVM then finds either.
    let mixes = |line: &str| what.contains("aranges") && line.contains("??");
    let differing: Vec<_> = told[0]
        .0
        .iter()
        .map(|(place, line)| (place, line, told[1].0.get(place)))
        .filter(|(_, line, fresh)| Some(*line) != *fresh)
        .filter(|(_, line, fresh)| !mixes(line) && !fresh.is_some_and(|fresh| mixes(fresh)))
        .collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
    assert_eq!(told[0].0.len(), told[1].0.len(), "{what}: functions");
    assert_eq!(told[0].1.len(), objects.len());
    for (ours, theirs) in told[0].1.iter().zip(&told[1].1) {
        let mut both = ours.lines().zip(theirs.lines());
        let differing = both.find(|(ours, theirs)| ours != theirs);
        assert!(differing.is_none(), "{what}: {differing:?}");
        assert_eq!(ours.len(), theirs.len(), "{what}: units");
    }
    let finished = folder.join("finished.wasm");
    std::fs::write(&finished, program.module.finish().unwrap()).unwrap();
    let (good, text) = run(
        "llvm-dwarfdump-19",
        &["--verify", finished.to_str().unwrap()],
        "",
    );
    assert!(good && !text.contains("error:"), "{what}, finished: {text}");
}

/// Verification from the files alone finds the same, and finds each field that says something else.
fn verify_tells(
    program: &Program,
    redirect: Redirect,
    objects: &[Object],
    dead: Option<&str>,
    what: &str,
) {
    let mut fresh = Program::new(redirect, objects[0].is_64());
    for (file, object) in objects.iter().enumerate() {
        fresh.load(file, object);
    }
    if let Some(dead) = dead {
        let id = fresh.module.lookup(dead).unwrap();
        fresh.module.remove(id).unwrap();
    }
    fresh.module.commit().unwrap();
    let patched = program.module.bytes().unwrap();
    let fresh = fresh.module.finish().unwrap();
    let of_debug = |out: &[u8]| {
        let report = crate::inspect::verify(out, &fresh).unwrap();
        (report.debug_units, report.differences)
    };
    let (equal, differences) = of_debug(&patched);
    assert!(differences.is_empty(), "{what}: {differences:?}");
    assert_eq!(equal as usize, FILES, "{what}");
    let layout = program.module.layout.as_ref().unwrap();
    let decls = program.module.program().iter();
    let fields = decls.filter_map(|(id, decl)| {
        let Place::Custom { section, region } = layout.place(id) else {
            return None;
        };
        let custom = layout.customs.section(section);
        // A function that is only named in the line table has no debug information to be wrong.
        if !matches!(&*custom.name, ".debug_info" | ".debug_addr" | ".debug_line") {
            return None;
        }
        let start = layout.sections.get(SectionKind::Custom(section)).anchor
            + u64::from(custom.region(region).offset);
        let relocs = decl.next()?.content.relocs().iter();
        let mut codes = relocs.filter(|reloc| {
            let target = reloc.decl().map(|id| layout.place(id));
            reloc.kind == RelocKind::FunctionOffsetI32
                && matches!(target, Some(Place::Function { .. }))
        });
        Some(start + u64::from(codes.next()?.offset))
    });
    for field in fields {
        let mut wrong = patched.clone();
        wrong[field as usize] ^= 2;
        let (_, differences) = of_debug(&wrong);
        assert!(
            !differences.is_empty(),
            "{what}: {field:#x} can say anything"
        );
    }
}

const FILES: usize = 3;

fn session(seed: u64, redirect: Redirect, still: bool, flags: &[&str], steps: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = Numbers(seed);
    let mut sources = vec![Source::default(); FILES];
    for source in &mut sources {
        let statements = vec![0, 1, 2];
        source.functions.push(Code {
            name: 0,
            statements,
            inner: true,
        });
        (0..6).for_each(|_| edit(source, still, &mut numbers));
    }
    let mut program = Program::new(redirect, flags.contains(&WIDE));
    let mut objects: Vec<Object> = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        objects.push(compile(folder.path(), file, source, flags));
        program.load(file, &objects[file]);
    }
    program.module.commit().unwrap();
    check(&program, folder.path(), &objects, None, "at first");
    let mut relinks = BTreeMap::new();
    let mut patches = 0;
    for step in 0..steps {
        let file = numbers.below(FILES);
        edit(&mut sources[file], still, &mut numbers);
        objects[file] = compile(folder.path(), file, &sources[file], flags);
        program.load(file, &objects[file]);
        let patch = program.module.commit().unwrap();
        match patch.outcome {
            Outcome::Patched(_) => patches += 1,
            Outcome::Relinked(reason) => *relinks.entry(reason.word()).or_insert(0) += 1,
            Outcome::Unchanged => {}
        }
        let what = format!("{redirect:?} {flags:?} step {step}");
        if still {
            verify_tells(&program, redirect, &objects, None, &what);
        }
        check(&program, folder.path(), &objects, None, &what);
        // What collects dead code takes functions away of which the debug information goes on to speak.
        if let Some((file, dead)) = program.uncalled().filter(|_| step % 3 == 0) {
            let id = program.module.lookup(&dead).unwrap();
            program.module.remove(id).unwrap();
            program.module.commit().unwrap();
            program.defined.get_mut(&file).unwrap().remove(&dead);
            check(
                &program,
                folder.path(),
                &objects,
                Some(&dead),
                &format!("{what} without {dead}"),
            );
            if still {
                verify_tells(&program, redirect, &objects, Some(&dead), &what);
            }
            program.load(file, &objects[file]);
            program.module.commit().unwrap();
            check(
                &program,
                folder.path(),
                &objects,
                None,
                &format!("{what} with {dead}"),
            );
        }
    }
    println!("{redirect:?} {flags:?}: {patches} patches, relinks {relinks:?}");
    // For names wasmend knows no filler.
    assert!(patches * 10 >= steps * 9 || flags.contains(&"-gpubnames"));
}

const STEPS: usize = 12;
const WIDE: &str = "--target=wasm64-unknown-unknown";

#[test]
fn debug_information_of_version_4_stays_right() {
    session(1, Redirect::Direct, false, &["-O0", "-gdwarf-4"], STEPS);
    session(2, Redirect::TableThunks, true, &["-O1", "-gdwarf-4"], STEPS);
    let aranges = ["-O2", "-gdwarf-4", "-gdwarf-aranges", "-ggnu-pubnames"];
    session(3, Redirect::Direct, false, &aranges, STEPS);
}

#[test]
fn debug_information_with_wide_addresses_stays_right() {
    let flags = ["-O1", "-gdwarf-4", WIDE];
    session(7, Redirect::TableThunks, true, &flags, STEPS);
    let flags = ["-O2", "-gdwarf-5", WIDE];
    session(8, Redirect::Direct, false, &flags, STEPS);
}

#[test]
fn debug_information_of_version_5_stays_right() {
    session(4, Redirect::Direct, false, &["-O0", "-gdwarf-5"], STEPS);
    session(5, Redirect::TableThunks, true, &["-O1", "-gdwarf-5"], STEPS);
    session(
        6,
        Redirect::Table,
        false,
        &["-O2", "-gdwarf-5", "-gpubnames"],
        STEPS,
    );
}
