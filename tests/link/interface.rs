//! What a linked program asks of its host and of its threads: imports, memory that the host made, functions that run before
//! it starts, thread-local data; and references that fit no definition, of which no module may become invalid.
//! Run: `wasm-ld-19` and `wasmend ld`, patchable and dense, on objects of clang-19 and llvm-mc-19. Needs clang-19, llvm-19
//! and lld-19.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmend::engine::{Engine, Imports, Value};
use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmparser::{DataKind, KnownCustom, Name, Operator, Parser, Payload, TypeRef};

use crate::lab::Lab;
use crate::support::validate;

const HEAD: &str = "#define IMPORT(m, n) __attribute__((import_module(m), import_name(n)))\n";

/// Imported functions: module, name and type.
fn imports(bytes: &[u8]) -> Vec<String> {
    let (mut types, mut imports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::TypeSection(reader) => {
                let all = reader.into_iter_err_on_gc_types();
                types.extend(all.map(|ty| ty.unwrap().to_string()));
            }
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let import = import.unwrap();
                    if let TypeRef::Func(ty) = import.ty {
                        let ty = &types[ty as usize];
                        imports.push(format!("{} {} {ty}", import.module, import.name));
                    }
                }
            }
            _ => {}
        }
    }
    imports.sort();
    imports
}

#[test]
fn symbols_that_are_imported_by_one_name_and_type_are_one_import() {
    let source = format!(
        "{HEAD} IMPORT(\"m\", \"f\") int f1(int); IMPORT(\"m\", \"f\") int f2(int);
         IMPORT(\"m\", \"f\") long long f3(int); IMPORT(\"m\", \"g\") int f4(int); IMPORT(\"n\", \"f\") int f5(int);
         int run(int x) {{ return f1(x) + f2(x); }} int more(int x) {{ return f2(x) + (int)f3(x) + f4(x) + f5(x); }}"
    );
    let other = format!(
        "{HEAD} IMPORT(\"m\", \"f\") int again(int); int third(int x) {{ int (*volatile p)(int) = again; return p(x); }}"
    );
    let lab = Lab::new(&[("main.c", &source), ("other.c", &other)]);
    for (line, count) in [
        ("main.o --export=run", 1),
        ("main.o --export=more", 4),
        ("main.o other.o --export=run --export=third", 1),
        (
            "other.o main.o --export=run --export=third --export=more",
            4,
        ),
    ] {
        let [theirs, patchable, dense] = lab.all(line).map(|bytes| imports(&bytes));
        assert_eq!(theirs.len(), count, "{line}: {theirs:?}");
        assert_eq!(patchable, theirs, "{line}");
        assert_eq!(dense, theirs, "{line}");
    }
}

const RUN: &str =
    ".globl run\n.type run,@function\nrun:\n.functype run () -> (i32)\ni32.const 5\nend_function\n";

/// An object whose init functions are these.
fn inits(list: &[&str], more: &str) -> String {
    let functypes = list
        .iter()
        .map(|name| format!(".functype {name} () -> ()\n"));
    let entries = list
        .iter()
        .map(|name| format!(".section .init_array.42,\"\",@\n.p2align 2\n.int32 {name}\n"));
    functypes
        .chain([more.to_owned(), RUN.to_owned()])
        .chain(entries)
        .collect()
}

#[test]
fn imported_functions_among_init_functions_are_called() {
    const IMPORT: &str = ".import_module host, env\n.import_name host, host\n";
    let lab = Lab::new(&[
        ("imported.s", &inits(&["host"], IMPORT)),
        ("twice.s", &inits(&["host", "host"], IMPORT)),
    ]);
    for (line, expected) in [
        ("imported.o --export=run", 1),
        ("twice.o --export=run", 2),
        ("imported.o --export=run --no-gc-sections", 1),
    ] {
        for bytes in lab.all(line) {
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = calls.clone();
            let imports = Imports::new().function("env", "host", move |_, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(Vec::new())
            });
            let mut instance = Engine::new().instantiate(&bytes, &imports).unwrap();
            assert_eq!(instance.call("run", &[]).unwrap(), [Value::I32(5)]);
            assert_eq!(calls.load(Ordering::Relaxed), expected, "{line}");
        }
    }
}

/// wasm-ld-19 crashes on these.
#[test]
fn an_init_function_that_nothing_defines_is_an_error_or_an_import_and_a_weak_one_is_not_missed() {
    let lab = Lab::new(&[
        ("open.s", &inits(&["host"], "")),
        ("weak.s", &inits(&["host"], ".weak host\n")),
    ]);
    for patchable in [true, false] {
        let refused = lab.wasmend("open.o --export=run", patchable);
        let errors = refused.map(|_| ()).unwrap_err();
        assert!(errors.contains("`host`: undefined symbol"), "{errors}");
        let allowed = lab.wasmend("open.o --export=run --allow-undefined", patchable);
        assert_eq!(imports(&allowed.unwrap().0), ["env host (func)"]);
        let (weak, _) = lab.wasmend("weak.o --export=run", patchable).unwrap();
        let mut instance = Engine::new().instantiate(&weak, &Imports::new()).unwrap();
        assert_eq!(instance.call("run", &[]).unwrap(), [Value::I32(5)]);
    }
}

/// The bytes that active segments put into memory, by address.
fn written(bytes: &[u8]) -> Vec<std::ops::Range<u64>> {
    let mut ranges = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::DataSection(data) = payload.unwrap() {
            for segment in data {
                let segment = segment.unwrap();
                let DataKind::Active { offset_expr, .. } = segment.kind else {
                    continue;
                };
                let address = match offset_expr.get_operators_reader().read().unwrap() {
                    Operator::I32Const { value } => u64::from(value as u32),
                    Operator::I64Const { value } => value as u64,
                    other => panic!("{other:?}"),
                };
                ranges.push(address..address + segment.data.len() as u64);
            }
        }
    }
    ranges
}

#[test]
fn memory_that_the_host_provides_is_cleared_where_zeros_stand() {
    let lab = Lab::new(&[
        (
            "zeros.c",
            "int zeros[300]; int run(int i) { return zeros[i]++; }",
        ),
        (
            "both.c",
            "int zeros[300]; int other = 4; int run(int i) { return zeros[i]++ + other; }",
        ),
    ]);
    for object in ["zeros.o", "both.o"] {
        for options in ["", "-O0", "--no-gc-sections", "--no-merge-data-segments"] {
            let line = format!("{object} {options} --import-memory --export=run --export=zeros");
            for bytes in lab.all(&line) {
                let instance = Engine::new().instantiate(&bytes, &Imports::new().stubs());
                let Some(Value::I32(start)) = instance.unwrap().global("zeros") else {
                    panic!("zeros is exported")
                };
                let zeros = start as u64..start as u64 + 1200;
                let is_within = |range: &std::ops::Range<u64>| {
                    range.start <= zeros.start && zeros.end <= range.end
                };
                assert!(written(&bytes).iter().any(is_within), "{line}");
            }
            // What is made with the module is all zeros, and takes no bytes.
            let line = line.replace("--import-memory", "");
            for bytes in lab.all(&line) {
                let len: u64 = written(&bytes)
                    .iter()
                    .map(|range| range.end - range.start)
                    .sum();
                assert!(len < 100 || !line.starts_with("zeros"), "{line}: {len}");
            }
        }
    }
}

/// What is written of an instruction, with globals by their names.
fn shown(operator: &Operator<'_>, name: impl Fn(u32) -> String) -> String {
    match operator {
        Operator::GlobalGet { global_index } => format!("get {}", name(*global_index)),
        Operator::GlobalSet { global_index } => format!("set {}", name(*global_index)),
        Operator::I32Const { value } => format!("const {value}"),
        other => format!("{other:?}"),
    }
}

/// The code of a function of this name, and whether each global is mutable, all by names.
fn code_of(bytes: &[u8], function: &str) -> (Vec<String>, Vec<(String, bool)>) {
    let (mut functions, mut globals) = (Vec::new(), Vec::new());
    let (mut mutable, mut bodies, mut imported) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(reader) => {
                let all = reader.into_imports();
                imported += all
                    .filter(|one| matches!(one.as_ref().unwrap().ty, TypeRef::Func(_)))
                    .count();
            }
            Payload::GlobalSection(reader) => {
                mutable.extend(reader.into_iter().map(|global| global.unwrap().ty.mutable));
            }
            Payload::CodeSectionEntry(body) => bodies.push(body),
            Payload::CustomSection(custom) => {
                let KnownCustom::Name(names) = custom.as_known() else {
                    continue;
                };
                for names in names {
                    let (list, names) = match names.unwrap() {
                        Name::Function(names) => (&mut functions, names),
                        Name::Global(names) => (&mut globals, names),
                        _ => continue,
                    };
                    let names = names.into_iter().map(Result::unwrap);
                    list.extend(names.map(|name| (name.index, name.name.to_owned())));
                }
            }
            _ => {}
        }
    }
    let found = functions.iter().find(|(_, name)| name == function);
    let (index, _) = found.unwrap_or_else(|| panic!("{function} is there"));
    let name = |index: u32| {
        let found = globals.iter().find(|(other, _)| *other == index);
        found.map_or_else(|| index.to_string(), |(_, name)| name.clone())
    };
    let mut reader = bodies[*index as usize - imported]
        .get_operators_reader()
        .unwrap();
    let mut code = Vec::new();
    while !reader.eof() {
        code.push(shown(&reader.read().unwrap(), name));
    }
    let globals = globals.iter().filter_map(|(index, name)| {
        let is_mutable = mutable.get(*index as usize)?;
        Some((name.clone(), *is_mutable))
    });
    (code, globals.collect())
}

const THREAD_LOCAL: &str =
    "__thread int before = 5; __thread int counter = 77; int *addr(void) { return &counter; }
    int get(void) { return counter; }";
const READER: &str = "extern __thread int counter; extern __thread int before;
    int *read(void) { return before ? &counter : &before; }";

#[test]
fn thread_local_data_in_the_global_offset_table_is_that_of_the_thread() {
    let lab = Lab::new(&[("threads.c", THREAD_LOCAL), ("pic.c", READER)]);
    let shared = "--shared-memory --max-memory=1048576 --import-memory --export=__wasm_init_tls";
    for objects in ["pic.o threads.o", "threads.o pic.o"] {
        let line = format!("{objects} {shared} --export=addr --export=read");
        let outputs = lab
            .all(&line)
            .map(|bytes| code_of(&bytes, "__wasm_apply_global_tls_relocs"));
        let (theirs, _) = &outputs[0];
        assert_eq!(
            theirs.iter().filter(|code| code.starts_with("set")).count(),
            2
        );
        for (code, globals) in &outputs[1..] {
            // Each global has its distance; which comes first does not matter.
            let pairs = |code: &[String]| {
                let mut pairs: Vec<_> = code.chunks(4).map(|chunk| chunk[1..].to_vec()).collect();
                pairs.sort();
                pairs
            };
            let names = |code: &[String]| {
                pairs(code)
                    .iter()
                    .flatten()
                    .filter(|one| one.starts_with("set"))
                    .count()
            };
            assert_eq!(names(code), names(theirs), "{line}: {code:?}");
            let is_tls = |name: &str| {
                ["GOT.data.internal.counter", "GOT.data.internal.before"].contains(&name)
            };
            let set: Vec<_> = globals.iter().filter(|(name, _)| is_tls(name)).collect();
            assert_eq!(set.len(), 2, "{globals:?}");
            assert!(set.iter().all(|(_, mutable)| *mutable), "{globals:?}");
            let distances: Vec<&String> =
                code.iter().filter(|one| one.starts_with("const")).collect();
            let mut distances: Vec<&str> = distances.into_iter().map(String::as_str).collect();
            distances.sort_unstable();
            assert_eq!(distances, ["const 0", "const 4"], "{code:?}");
        }
    }
    // Without threads there is one copy, and nothing to be set. (wasm-ld-19 reads another one.)
    let line = "pic.o threads.o --export=addr --export=read";
    for patchable in [true, false] {
        let (bytes, _) = lab.wasmend(line, patchable).unwrap();
        let mut instance = Engine::new().instantiate(&bytes, &Imports::new()).unwrap();
        assert_eq!(
            instance.call("addr", &[]).unwrap(),
            instance.call("read", &[]).unwrap()
        );
    }
}

#[test]
fn thread_local_data_needs_the_features_that_wasm_ld_asks_for() {
    const TLS: &str = ".globaltype __tls_base, i32\n.globl run\n.type run,@function\nrun:\n.functype run () -> (i32)
global.get __tls_base\ni32.const x@TLSREL\ni32.add\ni32.load 0\nend_function
.section .tdata.x,\"T\",@\n.globl x\nx:\n.int32 42\n.size x, 4\n";
    let lab = Lab::new(&[("tls.s", TLS)]);
    for features in ["", "bulk-memory", "atomics", "atomics,bulk-memory"] {
        for option in ["features", "extra-features"] {
            let option = match features {
                "" => String::new(),
                list => format!("--{option}={list}"),
            };
            lab.same(&[
                &format!("tls.o --export=run {option}"),
                &format!("tls.o --export=run {option} --no-check-features"),
                &format!("tls.o --export=run {option} --shared-memory --max-memory=131072"),
                &format!("tls.o {option}"),
            ]);
        }
    }
}

#[test]
fn a_call_that_fits_no_definition_traps_in_any_order_of_files() {
    let lab = Lab::new(&[
        ("calls.c", "int g(int); int run(int x) { return g(x); }"),
        ("defines.c", "long long g(int a, int b) { return a + b; }"),
        (
            "third.c",
            "int g(long long); int again(int x) { return g(x); }",
        ),
        (
            "points.c",
            "int g(int); int (*p)(int); int run(int x) { p = g; return p(x); }",
        ),
        (
            "weak.c",
            "__attribute__((weak)) int g(int); int run(int x) { return g ? g(x) : -1; }",
        ),
        ("data.c", "extern int g; int run(int x) { return g; }"),
    ]);
    lab.archive("defines.a", &["defines.o"]);
    for line in [
        "calls.o defines.o",
        "defines.o calls.o",
        "calls.o defines.a",
        "defines.a calls.o",
        "--start-lib defines.o --end-lib calls.o",
        "calls.o --start-lib defines.o --end-lib",
        "defines.a calls.o third.o --export=again",
        "defines.a third.o calls.o --export=again",
        "calls.o third.o defines.o --export=again",
        "points.o defines.o",
        "defines.a points.o",
        "defines.a points.o third.o --export=again",
        "defines.a weak.o third.o --export=again",
        "weak.o defines.a third.o --export=again",
        "weak.o defines.a -u g",
        "defines.a weak.o -u g",
        "calls.o defines.o --no-gc-sections",
        "defines.a calls.o --wrap=h",
    ] {
        for patchable in [true, false] {
            let linked = lab.wasmend(&format!("{line} --export=run"), patchable);
            let (bytes, warned) = linked.unwrap_or_else(|errors| panic!("{line}: {errors}"));
            assert!(
                warned.contains("function signature mismatch"),
                "{line}: {warned}"
            );
            validate(&bytes).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut instance = Engine::new().instantiate(&bytes, &Imports::new()).unwrap();
            match line.contains("weak.o") {
                // A function that traps has no address.
                true => drop(instance.call("run", &[Value::I32(3)])),
                false => drop(instance.call("run", &[Value::I32(3)]).unwrap_err()),
            }
        }
    }
    // What is no function at all is refused.
    for line in [
        "data.o defines.o",
        "defines.o data.o",
        "data.o defines.a",
        "defines.a data.o",
    ] {
        let refused = lab.wasmend(&format!("{line} --export=run"), true);
        let errors = refused.map(|_| ()).unwrap_err();
        assert!(errors.contains("symbol type mismatch"), "{line}: {errors}");
    }
}

#[test]
fn what_only_its_wrapper_refers_to_is_undefined_and_may_be_asked_for() {
    // wasm-ld 19 links no member for it either, and has it call whichever function is the first.
    let lab = Lab::new(&[
        (
            "wrapper.c",
            "int __real_g(int); int __wrap_g(int x) { return __real_g(x) + 1; } int run(void) { return 5; }",
        ),
        (
            "weak.c",
            "__attribute__((weak)) int __real_g(int);
             int __wrap_g(int x) { return __real_g ? __real_g(x) + 1 : -1; }",
        ),
        ("calls.c", "int g(int); int more(int x) { return g(x); }"),
        ("g.c", "int g(int x) { return x * 10; }"),
    ]);
    lab.archive("g.a", &["g.o"]);
    for patchable in [true, false] {
        let link = |line: &str| lab.wasmend(line, patchable);
        for line in ["wrapper.o g.a", "g.a wrapper.o"] {
            let refused = link(&format!("{line} --wrap=g --export=__wrap_g")).unwrap_err();
            let told = [
                "undefined symbol",
                "`__wrap_g`",
                "wrapper.o",
                "--undefined=g",
            ];
            assert!(told.iter().all(|part| refused.contains(part)), "{refused}");
        }
        let dropped = link("wrapper.o g.a --wrap=g --export=run").unwrap().0;
        let mut instance = Engine::new()
            .instantiate(&dropped, &Imports::new())
            .unwrap();
        assert_eq!(instance.call("run", &[]).unwrap(), [Value::I32(5)]);
        let allowed = link("wrapper.o g.a --wrap=g --export=__wrap_g --allow-undefined");
        assert_eq!(
            imports(&allowed.unwrap().0),
            ["env g (func (param i32) (result i32))"]
        );
        for (line, expected) in [
            ("wrapper.o g.a --wrap=g --undefined=g", 31),
            ("wrapper.o g.o --wrap=g", 31),
            ("calls.o g.a wrapper.o --wrap=g --export=more", 31),
            ("weak.o g.a --wrap=g", -1),
            ("weak.o calls.o g.a --wrap=g --export=more", 31),
        ] {
            let (bytes, _) = link(&format!("{line} --export=__wrap_g")).unwrap();
            validate(&bytes).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut instance = Engine::new().instantiate(&bytes, &Imports::new()).unwrap();
            let returned = instance.call("__wrap_g", &[Value::I32(3)]).unwrap();
            assert_eq!(returned, [Value::I32(expected)], "{line}");
        }
    }
}

#[test]
fn data_in_an_imported_memory_for_64_bits_has_addresses_of_64_bits() {
    let lab = Lab::new(&[
        ("wide.c", "int x = 5; int run(void) { return x++; }"),
        (
            "wide-more.c",
            "int y[9] = {1}; int more(void) { return y[3]++; }",
        ),
    ]);
    // Each of them is validated.
    lab.all("-mwasm64 --import-memory wide.o --export=run");
    let object = lab.path("changes.o");
    std::fs::copy(lab.path("wide.o"), &object).unwrap();
    let line = "-mwasm64 --import-memory --no-entry --export-all -oout.wasm";
    let mut arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
    arguments.push(object.display().to_string());
    let options = LinkOptions::parse(&arguments).unwrap();
    let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
    for version in ["wide-more.o", "wide.o"] {
        std::fs::copy(lab.path(version), &object).unwrap();
        linked.update(&[&object]).unwrap();
        validate(&linked.bytes().unwrap()).unwrap();
        validate(&linked.finish().unwrap()).unwrap();
    }
}

#[test]
fn bounds_of_a_segment_that_are_to_be_exported_are_defined_by_then() {
    let lab = Lab::new(&[(
        "bounds.c",
        "__attribute__((section(\"list\"), used)) static int item = 4; int run(void) { return item; }",
    )]);
    lab.same(&[
        "bounds.o --export=run --export=__start_list",
        "bounds.o --export=run --export=__start_list --export=__stop_list --export=__start_lists",
        "bounds.o --export=run --export=__stop_lists --unresolved-symbols=ignore-all",
    ]);
}
