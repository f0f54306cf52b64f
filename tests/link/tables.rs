//! Tables and the places of functions in them: which index they have, how large and wide they are, where places begin.
//! Run: `wasm-ld-19` and `wasmend ld`, patchable and dense, on objects of clang-19 and llvm-mc-19, whose outputs are
//! compared by what stands in them and by what they compute. Needs clang-19, llvm-19 and lld-19.

use std::fs;

use wasmend::engine::{Engine, Imports, Value};
use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmparser::{Parser, Payload, TypeRef};

use crate::lab::Lab;

/// Two functions by their addresses.
const POINTERS: &str = "static int add(int x) { return x + 1; }
    static int sub(int x) { return x - 1; }
    int run(int x) { int (*volatile f)(int) = x > 2 ? add : sub; return f(x); }";

/// The address of a function, taken by what nobody calls.
const DROPPED: &str = "static int add(int x) { return x + 1; }
    int (*take(void))(int) { return add; }
    int run(int x) { return x; }";

/// Two tables of an object's own.
const TABLES: &str = ".tabletype own, externref, 5, 10\n.globl own\nown:
.tabletype other, funcref, 3\n.globl other\nother:
.globl size\n.type size,@function\nsize:\n.functype size () -> (i32)
table.size own\ntable.size other\ni32.add\nend_function\n";

/// A table that the host provides.
const IMPORTED: &str = ".tabletype far, externref\n.import_module far, env\n.import_name far, far
.globl size\n.type size,@function\nsize:\n.functype size () -> (i32)\ntable.size far\nend_function\n";

fn lab() -> Lab {
    Lab::new(&[
        ("mvp.c", POINTERS),
        ("refs.c", POINTERS),
        ("pic.c", POINTERS),
        ("wide.c", POINTERS),
        ("wide-none.c", "int run(int x) { return x; }"),
        (
            "wide-data.c",
            "int run(int x); int (*more[1])(int) = {run};",
        ),
        ("none.c", "int run(int x) { return x; }"),
        ("dropped.c", DROPPED),
        ("refs-own.s", TABLES),
        ("refs-far.s", IMPORTED),
        (
            "base.c",
            "extern char __table_base; int base(void) { return (int)&__table_base; }",
        ),
    ])
}

/// A table: whether it is imported, its element type, its bounds, whether it is for 64 bits.
type Table = (bool, String, u64, Option<u64>, bool);

fn tables(bytes: &[u8]) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut push = |imported: bool, ty: wasmparser::TableType| {
        let element = ty.element_type.to_string();
        tables.push((imported, element, ty.initial, ty.maximum, ty.table64));
    };
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if let TypeRef::Table(ty) = import.unwrap().ty {
                        push(true, ty);
                    }
                }
            }
            Payload::TableSection(reader) => {
                reader
                    .into_iter()
                    .for_each(|table| push(false, table.unwrap().ty));
            }
            _ => {}
        }
    }
    tables.sort();
    tables
}

fn call(bytes: &[u8], name: &str, arguments: &[Value]) -> Value {
    let imports = Imports::new().stubs();
    let mut instance = Engine::new().instantiate(bytes, &imports).unwrap();
    instance.call(name, arguments).unwrap()[0]
}

#[test]
fn an_object_that_names_no_table_calls_through_the_function_table() {
    let lab = lab();
    for line in [
        "refs-own.o mvp.o",
        "mvp.o refs-own.o",
        "refs-own.o refs.o",
        "refs-own.o mvp.o --export=own --export=other",
        "mvp.o refs-own.o --export-table",
        "mvp.o refs-own.o --no-gc-sections",
    ] {
        for bytes in lab.all(&format!("{line} --export=run --export=size")) {
            for (argument, answer) in [(1, 0), (3, 4)] {
                let found = call(&bytes, "run", &[Value::I32(argument)]);
                assert_eq!(found, Value::I32(answer), "{line}");
            }
            assert_eq!(call(&bytes, "size", &[]), Value::I32(8), "{line}");
        }
    }
}

#[test]
fn an_imported_table_has_the_first_index_and_is_refused_where_the_function_table_needs_it() {
    let lab = lab();
    let both = "--export=run --export=size";
    for line in ["mvp.o refs-far.o", "refs-far.o mvp.o"] {
        let errors = lab.errors(&format!("{line} {both}"));
        assert!(
            errors.contains("`far`") && errors.contains("refs-far.o"),
            "{errors}"
        );
    }
    lab.same(&[
        &format!("refs.o refs-far.o {both}"),
        &format!("mvp.o refs-far.o {both} --import-table"),
        "mvp.o refs-far.o --export=run",
    ]);
}

#[test]
fn a_dense_output_has_the_tables_that_wasm_ld_has() {
    let lab = lab();
    for objects in [
        "mvp.o",
        "refs.o",
        "none.o",
        "mvp.o refs-own.o",
        "refs.o refs-far.o",
        "pic.o",
    ] {
        for options in [
            "",
            "--export-table",
            "--import-table",
            "--growable-table",
            "--table-base=7",
            "--import-table --growable-table",
            "--export=__indirect_function_table",
        ] {
            let line = format!("{objects} {options} --export=run --export-if-defined=size");
            let is_refused = objects == "none.o" && options.contains("--export=");
            if is_refused {
                lab.same(&[&line]);
                continue;
            }
            let [theirs, patchable, dense] = lab.all(&line);
            assert_eq!(tables(&dense), tables(&theirs), "{line}");
            // One that can be patched has room for more, and may have a table that nobody uses yet.
            for table in tables(&theirs) {
                let mut all = tables(&patchable).into_iter();
                let is_it = |other: &Table| other.1 == table.1 && other.0 == table.0;
                assert!(
                    all.any(|other| is_it(&other) && other.2 >= table.2),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn a_dense_output_imports_the_table_where_only_what_is_dropped_needs_it_also_after_edits() {
    let lab = lab();
    for options in ["--import-table", "--import-table --no-gc-sections"] {
        let line = |object: &str| format!("{object} {options} --export=run");
        let object = lab.path("changes.o");
        fs::copy(lab.path("none.o"), &object).unwrap();
        let mut arguments = vec!["--no-entry".to_owned(), "-oout.wasm".to_owned()];
        arguments.push(object.display().to_string());
        arguments.extend(line("").split_whitespace().map(str::to_owned));
        let parsed = LinkOptions::parse(&arguments).unwrap();
        let (mut linked, _) = Linked::link(parsed, Access::Read, Target::Memory).unwrap();
        for version in ["dropped.o", "none.o", "mvp.o", "dropped.o", "none.o"] {
            let [theirs, _, dense] = lab.all(&line(version));
            assert_eq!(tables(&dense), tables(&theirs), "{options} {version}");
            assert_eq!(tables(&theirs).is_empty(), version == "none.o", "{version}");
            fs::copy(lab.path(version), &object).unwrap();
            linked.update(&[&object]).unwrap();
            let finished = linked.finish().unwrap();
            assert_eq!(tables(&finished), tables(&theirs), "{options} {version}");
        }
    }
}

#[test]
fn functions_of_objects_that_move_are_found_from_the_table_base() {
    let lab = lab();
    for base in [1, 2, 7, 100] {
        let line = format!("base.o --export=base --table-base={base}");
        for bytes in lab.all(&line) {
            assert_eq!(call(&bytes, "base", &[]), Value::I32(base));
        }
        let line =
            format!("pic.o --export=run --export-if-defined=__table_base --table-base={base}");
        for bytes in lab.all(&line) {
            let mut instance = Engine::new().instantiate(&bytes, &Imports::new()).unwrap();
            assert_eq!(
                instance.call("run", &[Value::I32(3)]).unwrap(),
                [Value::I32(4)]
            );
            assert_eq!(instance.global("__table_base"), Some(Value::I32(base)));
        }
    }
}

#[test]
fn the_function_table_of_a_program_for_64_bits_is_for_64_bits_also_where_an_edit_brings_it() {
    let lab = lab();
    for objects in [
        "wide.o",
        "wide-none.o",
        "wide-none.o wide-data.o --export=more",
        "wide.o wide-data.o --export=more",
    ] {
        for options in ["", "--export-table", "--import-table", "--growable-table"] {
            let line = format!("-mwasm64 {objects} {options} --export=run");
            let [theirs, patchable, dense] = lab.all(&line);
            assert_eq!(tables(&dense), tables(&theirs), "{line}");
            assert!(tables(&patchable).iter().all(|table| table.4), "{line}");
        }
    }
    for others in ["", "wide-data.o"] {
        let object = lab.path("edited.o");
        fs::copy(lab.path("wide-none.o"), &object).unwrap();
        let arguments = ["-mwasm64", "--no-entry", "--export=run", "-oout.wasm"];
        let mut arguments = arguments.map(str::to_owned).to_vec();
        arguments.push(object.display().to_string());
        let others = others.split_whitespace();
        arguments.extend(others.map(|name| lab.path(name).display().to_string()));
        let options = LinkOptions::parse(&arguments).unwrap();
        let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
        fs::copy(lab.path("wide.o"), &object).unwrap();
        linked.update(&[&object]).unwrap();
        linked.verify().unwrap();
        let theirs = lab.wasm_ld_bytes("-mwasm64 wide.o --export=run").unwrap();
        assert_eq!(tables(&linked.finish().unwrap()), tables(&theirs));
        let before = linked.bytes().unwrap().to_vec();
        for bytes in [before.clone(), linked.finish().unwrap()] {
            assert_eq!(call(&bytes, "run", &[Value::I32(3)]), Value::I32(4));
        }
        // As compilers before LLVM 19 say it.
        let narrowed = narrowed(fs::read(&object).unwrap());
        fs::write(&object, narrowed).unwrap();
        let said = linked.update(&[&object]).unwrap_err().to_string();
        assert!(said.contains("32 bits"), "{said}");
        assert!(linked.bytes().unwrap() == before);
    }
}

/// An object for 64 bits whose function table is for 32.
fn narrowed(mut object: Vec<u8>) -> Vec<u8> {
    const TABLE: &[u8] = b"__indirect_function_table\x01\x70\x04";
    let mut windows = object.windows(TABLE.len());
    let at = windows.position(|bytes| bytes == TABLE).unwrap();
    object[at + TABLE.len() - 1] = 0;
    object
}

#[test]
fn a_dense_output_exports_memory_first() {
    let lab = lab();
    for line in ["refs.o --export=run", "refs.o --export=run --export-table"] {
        for bytes in lab.all(line) {
            let payloads = Parser::new(0).parse_all(&bytes);
            let exports = payloads.filter_map(|payload| match payload.unwrap() {
                Payload::ExportSection(exports) => Some(exports),
                _ => None,
            });
            let first = exports.flatten().next().unwrap().unwrap();
            assert_eq!(first.name, "memory", "{line}");
        }
    }
}

#[test]
fn addresses_that_the_linker_defines_are_those_of_wasm_ld_where_nothing_is_saved() {
    let ends = "extern char __data_end, __heap_base, __stack_low, __stack_high, __global_base, __heap_end;
        void *ends(int i) { char *all[] = {&__data_end, &__heap_base, &__stack_low, &__stack_high, &__global_base, &__heap_end};
            char *end = 0; for (int j = 0; j <= i; j++) end = all[j]; return end; }";
    let lab = Lab::new(&[
        ("ends.c", ends),
        ("one.c", "int x = 5; int *run(void) { return &x; }"),
        (
            "zeros.c",
            "static char b[10]; char *run(void) { return b; }",
        ),
        ("nothing.c", "int run(void) { return 1; }"),
    ]);
    for object in ["one.o", "zeros.o", "nothing.o"] {
        for options in [
            "",
            "--stack-first",
            "--global-base=4096",
            "-zstack-size=131072",
            "--initial-memory=1048576",
        ] {
            let line = format!("ends.o {object} {options} --export=run --export=ends");
            let [theirs, _, dense] = lab.all(&line);
            for which in 0..6 {
                let [theirs, dense] =
                    [&theirs, &dense].map(|bytes| call(bytes, "ends", &[Value::I32(which)]));
                assert_eq!(dense, theirs, "{line}: {which}");
            }
        }
    }
}
