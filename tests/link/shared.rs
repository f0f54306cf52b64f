//! Memory that threads share, beside what wasm-ld-19 makes of it, and what weak references become in programs that can be
//! moved. Run: `wasmend ld` as a library on objects that llvm-mc-19 makes. Needs llvm-19.

use std::fs;

use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmparser::{KnownCustom, Name, Operator, Parser, Payload};

use crate::lab::Lab;

const FEATURES: &str = "\
.section .custom_section.target_features,\"\",@
.int8 2
.int8 43
.int8 7
.ascii \"atomics\"
.int8 43
.int8 11
.ascii \"bulk-memory\"
";

/// The constants of each function that has a name, in order; and whether there is a start function.
fn constants(bytes: &[u8]) -> (Vec<(String, Vec<i32>)>, bool) {
    let (mut bodies, mut names) = (Vec::new(), Vec::new());
    let (mut imported, mut has_start) = (0, false);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                let functions = imports.into_imports().filter(|import| {
                    matches!(import.as_ref().unwrap().ty, wasmparser::TypeRef::Func(_))
                });
                imported = functions.count();
            }
            Payload::StartSection { .. } => has_start = true,
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().unwrap().into_iter();
                let constants = operators.filter_map(|operator| match operator.unwrap() {
                    Operator::I32Const { value } => Some(value),
                    _ => None,
                });
                bodies.push(constants.collect());
            }
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(reader) = custom.as_known() {
                    for name in reader {
                        if let Name::Function(map) = name.unwrap() {
                            names.extend(map.into_iter().map(|naming| naming.unwrap()));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let named = names.into_iter().filter_map(|naming| {
        let at = (naming.index as usize).checked_sub(imported)?;
        Some((naming.name.to_owned(), Vec::clone(&bodies[at])))
    });
    (named.collect(), has_start)
}

#[test]
fn an_address_of_thread_local_data_is_a_distance_however_it_is_asked_for() {
    let source = format!(
        ".globaltype __tls_base, i32
.globl run
.type run,@function
run:
  .functype run () -> (i32)
  global.get __tls_base
  i32.const second@TLSREL
  i32.add
  i32.const second
  i32.add
  end_function
.section .tdata.first,\"T\",@
.globl first
first:
  .int32 1
  .int32 2
  .size first, 8
.section .tdata.second,\"T\",@
.globl second
second:
  .int32 3
  .size second, 4
{FEATURES}"
    );
    let lab = Lab::new(&[("t.s", &source)]);
    for patchable in [true, false] {
        let line = "--no-gc-sections --shared-memory --max-memory=1048576 --export=run t.o";
        let (bytes, _) = lab.wasmend(line, patchable).unwrap();
        let (functions, has_start) = constants(&bytes);
        let run = functions.iter().find(|(name, _)| name == "run").unwrap();
        assert_eq!(run.1, [8, 8]);
        assert!(has_start);
    }
}

#[test]
fn memory_that_threads_share_needs_nothing_to_fill_it_if_there_is_no_data() {
    let source = format!(
        ".globl run\n.type run,@function\nrun:\n  .functype run () -> ()\n  end_function\n{FEATURES}"
    );
    let lab = Lab::new(&[("t.s", &source)]);
    for more in ["", "--import-memory"] {
        for patchable in [true, false] {
            let line = format!("--shared-memory --max-memory=1048576 --export=run {more} t.o");
            let (bytes, _) = lab.wasmend(&line, patchable).unwrap();
            let (functions, has_start) = constants(&bytes);
            assert!(!has_start, "{line}");
            assert!(
                functions
                    .iter()
                    .all(|(name, _)| name != "__wasm_init_memory")
            );
        }
    }
}

#[test]
fn segments_that_edits_bring_stand_where_a_fresh_link_has_them() {
    let sections = |names: &[&str]| {
        let sections = names.iter().map(|name| {
            format!(
                ".section .{name},\"\",@\n.globl {name}\n{name}:\n  .int32 7\n  .size {name}, 4\n"
            )
        });
        sections.collect::<String>() + FEATURES
    };
    let lab = Lab::new(&[
        ("one.s", &sections(&["data"])),
        ("two.s", &sections(&["rodata", "data"])),
        ("three.s", &sections(&["rodata", "data", "more"])),
        ("other.s", &sections(&["more"])),
    ]);
    let object = lab.path("changes.o");
    fs::copy(lab.path("one.o"), &object).unwrap();
    let line = "--no-entry --shared-memory --max-memory=1048576 --no-gc-sections -oout.wasm";
    let mut arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
    arguments.push(object.display().to_string());
    let options = LinkOptions::parse(&arguments).unwrap();
    let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
    for version in ["two.o", "other.o", "three.o", "one.o", "three.o"] {
        fs::copy(lab.path(version), &object).unwrap();
        linked.update(&[&object]).unwrap();
        linked.verify().unwrap();
        let anew = linked.linked_anew().unwrap().finish().unwrap();
        assert!(linked.finish().unwrap() == anew, "{version}");
    }
}

#[test]
fn the_global_for_the_address_of_a_weak_function_that_is_not_there_says_so() {
    let source = "\
.globl run
.type run,@function
run:
  .functype run () -> (i32)
  global.get absent@GOT
  end_function
.weak absent
.functype absent () -> ()
";
    let lab = Lab::new(&[("t.s", source)]);
    for patchable in [true, false] {
        let (bytes, _) = lab.wasmend("--export=run t.o", patchable).unwrap();
        let name = b"GOT.func.internal.undefined_weak:absent";
        assert!(bytes.windows(name.len()).any(|at| at == name));
    }
}

/// The value of each global that is exported, and the first constant of the function that fills memory.
fn flag(bytes: &[u8]) -> (Option<i32>, i32) {
    let (mut imported, mut values, mut flag) = (0, Vec::new(), None);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                let globals = imports.into_imports().filter(|import| {
                    matches!(import.as_ref().unwrap().ty, wasmparser::TypeRef::Global(_))
                });
                imported = globals.count();
            }
            Payload::GlobalSection(globals) => {
                values.extend(globals.into_iter().map(|global| {
                    match global.unwrap().init_expr.get_operators_reader().read() {
                        Ok(Operator::I32Const { value }) => value,
                        other => panic!("{other:?}"),
                    }
                }));
            }
            Payload::ExportSection(exports) => {
                let mut exports = exports.into_iter().map(Result::unwrap);
                let export = exports.find(|export| export.name == "__wasm_init_memory_flag");
                flag = export.map(|export| values[export.index as usize - imported]);
            }
            _ => {}
        }
    }
    let (functions, _) = constants(bytes);
    let mut functions = functions.into_iter();
    let fills = functions.find(|(name, _)| name == "__wasm_init_memory");
    (flag, fills.unwrap().1[0])
}

#[test]
fn all_that_is_exported_includes_what_fills_memory_and_its_flag() {
    let lab = Lab::new(&[
        ("threads-data.c", "int n = 3; int run(void) { return n++; }"),
        ("threads-zero.c", "int z; int run(void) { return z++; }"),
        ("threads-none.c", "int run(void) { return 4; }"),
        (
            "threads-local.c",
            "int n = 3; __thread int *p = &n; __thread int q; int run(void) { return *p + q; }",
        ),
        (
            "pic-local.c",
            "extern __thread int *p; int more(void) { return *p; }",
        ),
        (
            "threads-asks.c",
            "extern int __wasm_init_memory_flag; int n = 3;
             int run(void) { return __wasm_init_memory_flag + n; }",
        ),
        (
            "threads-bounds.c",
            "__attribute__((section(\"list\"), used)) static int item = 4;
             extern int __stop_list[]; int run(void) { return *__stop_list; }",
        ),
    ]);
    for objects in [
        "threads-data.o",
        "threads-zero.o",
        "threads-none.o",
        "threads-local.o",
        "threads-local.o pic-local.o",
        "threads-asks.o",
        "threads-bounds.o",
    ] {
        for more in [
            "--export-all",
            "--export-all --import-memory",
            "--export-all --no-gc-sections",
            "--export-dynamic --export=run",
            "--export=run --export=__wasm_init_memory_flag",
            "--export=run --export=__wasm_init_memory",
            "--export-if-defined=__wasm_init_memory_flag --export=run",
        ] {
            let line = format!("--shared-memory --max-memory=1048576 {objects} {more}");
            lab.same(&[&line]);
            if more.contains("__wasm_init_memory") || objects == "threads-none.o" {
                continue;
            }
            for patchable in [true, false] {
                let (bytes, _) = lab.wasmend(&line, patchable).unwrap();
                let (flag, used) = flag(&bytes);
                assert_eq!(flag.is_some(), more.contains("--export-all"), "{line}");
                assert!(flag.is_none_or(|flag| flag == used), "{line}");
            }
        }
    }
}

#[test]
fn thread_local_data_is_defined_also_where_other_symbols_need_not_be() {
    const OTHERS: &str = "int run(void) { return 1; }";
    let lab = Lab::new(&[
        (
            "threads-asks.c",
            "extern __thread int t; int other(void) { return t; } int run(void) { return other(); }",
        ),
        (
            "threads-weak.c",
            "extern __thread int t __attribute__((weak)); int other(void) { return t; } int run(void) { return other(); }",
        ),
        ("threads-none.c", OTHERS),
        ("threads-has.c", "__thread int t = 5;"),
        ("threads-plain.c", "int t = 5;"),
    ]);
    for asks in ["threads-asks.o", "threads-weak.o"] {
        for more in [
            "",
            "--allow-undefined",
            "--unresolved-symbols=ignore-all",
            "--import-undefined",
            "--shared-memory --max-memory=1048576",
            "--shared-memory --max-memory=1048576 --unresolved-symbols=ignore-all",
        ] {
            let line = format!("{asks} {more} --export=run");
            let errors = lab.errors(&line);
            assert!(errors.contains("`t`"), "{line}: {errors}");
            lab.same(&[&format!("{line} threads-has.o")]);
        }
    }
    lab.same(&["threads-asks.o threads-plain.o --shared-memory --max-memory=1048576 --export=run"]);
    // An edit that asks for it is refused as well, and one that asks no more is not.
    for more in ["", "--shared-memory --max-memory=1048576"] {
        for asks in ["threads-asks.o", "threads-weak.o"] {
            let object = lab.path("changes.o");
            fs::copy(lab.path("threads-none.o"), &object).unwrap();
            let line = format!("--no-entry --export=run --allow-undefined -oout.wasm {more}");
            let mut arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            arguments.push(object.display().to_string());
            let options = LinkOptions::parse(&arguments).unwrap();
            let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
            let before = linked.bytes().unwrap().to_vec();
            fs::copy(lab.path(asks), &object).unwrap();
            let refused = linked.update(&[&object]).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains("`t`, which nothing defines"), "{said}");
            assert!(said.contains("must be defined"), "{said}");
            assert!(linked.bytes().unwrap() == before);
            fs::copy(lab.path("threads-none.o"), &object).unwrap();
            linked.update(&[&object]).unwrap();
            linked.verify().unwrap();
        }
    }
}
