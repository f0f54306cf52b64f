//! What a link derives from symbols and options follows edits: for each thing that it derives, objects without it, with it,
//! with another one, and back again, in every way of redirecting calls. After each edit the program is what a link from
//! nothing makes of the same files, and has the interface that wasm-ld-19 gives it.
//! Needs clang-19, llvm-19 and lld-19.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmend::Redirect;
use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};

use crate::support::toolchain::{run, wasm_ld};
use crate::support::validate;

const HEAD: &str = "#define IMPORT(m, n) __attribute__((import_module(m), import_name(n)))\n";
const MAIN: &str = "extern int other(int); int run(int x) { return other(x) + 1; }";
/// What stands in the archive beside the objects: members that are linked if they are needed.
const LIBRARY: [(&str, &str); 9] = [
    (
        "ctor",
        "int n; __attribute__((constructor)) static void init(void) { n = 3; } int ctor(int x) { return x + n; }",
    ),
    (
        "plain",
        "int plain(int x) { return x * 3; } int late(int x) { return x - 1; }",
    ),
    (
        "custom",
        "__asm__(\".section .custom_section.meta,\\\"\\\",@\\n.ascii \\\"library\\\"\\n\"); int custom(int x) { return x * 5; }",
    ),
    ("start", "void begin(void) {}"),
    (
        "imports",
        "IMPORT(\"m\", \"lib\") int host(int); int imports(int x) { return host(x); }",
    ),
    (
        "weak",
        "int __attribute__((weak)) none(int); int weak(int x) { return none(x); }",
    ),
    (
        "ctors",
        "void __wasm_call_ctors(void); int ctors(int x) { __wasm_call_ctors(); return x; }",
    ),
    (
        "exports",
        "__attribute__((export_name(\"shown\"))) int shown(int x) { return x; } int exports(int x) { return x + 2; }",
    ),
    (
        "leads",
        "int exports(int); int leads(int x) { return x; } int dead(int x) { return exports(x); }",
    ),
];

/// Something that a link derives: versions of an object with and without it, what they are compiled with, and the options of
/// the link.
struct Row<'a> {
    versions: &'a [&'a str],
    /// Flags for each version; the last ones hold for those that follow.
    flags: &'a [&'a [&'a str]],
    options: &'a [&'a str],
    /// Whether wasm-ld has what is asked for here, and gets it right.
    has_reference: bool,
}

const PLAIN: &str = "int other(int x) { return x; }";

impl<'a> Row<'a> {
    fn of(versions: &'a [&'a str]) -> Row<'a> {
        Row {
            versions,
            flags: &[&[]],
            options: &[],
            has_reference: true,
        }
    }

    fn with(self, options: &'a [&'a str]) -> Row<'a> {
        Row { options, ..self }
    }

    fn compiled(self, flags: &'a [&'a [&'a str]]) -> Row<'a> {
        Row { flags, ..self }
    }

    fn without_reference(self) -> Row<'a> {
        Row {
            has_reference: false,
            ..self
        }
    }

    /// Links each version after the other, forwards and backwards.
    fn follow(&self) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        compile(&at("a.o"), MAIN, &[]);
        let mut library = Command::new("llvm-ar-19");
        library.arg("rcs").arg(at("lib.a"));
        for (name, source) in LIBRARY {
            compile(&at(name), source, &[]);
            library.arg(at(name));
        }
        run(&mut library);
        let versions: Vec<PathBuf> = (0..self.versions.len())
            .map(|at_| at(&format!("b{at_}")))
            .collect();
        for (number, version) in versions.iter().enumerate() {
            let flags = self.flags.get(number).or(self.flags.last()).unwrap();
            compile(version, self.versions[number], flags);
        }
        for redirect in [Redirect::Direct, Redirect::TableThunks] {
            fs::copy(&versions[0], at("b.o")).unwrap();
            let inputs = ["a.o", "b.o", "lib.a"].map(|name| at(name).display().to_string());
            let fixed = ["--no-entry", "--export=run"].map(str::to_owned);
            let more = self.options.iter().map(|option| (*option).to_owned());
            let arguments: Vec<String> = fixed.into_iter().chain(more).chain(inputs).collect();
            let named = arguments.iter().cloned().chain(["-oout.wasm".to_owned()]);
            let mut options = LinkOptions::parse(&named.collect::<Vec<_>>()).unwrap();
            options.redirect = Some(redirect);
            let linked = Linked::link(options, Access::Read, Target::Memory);
            let what = format!("{redirect:?} {:?}", self.options);
            let (mut linked, _) = linked.unwrap_or_else(|failed| panic!("{what}: {failed}"));
            for (number, _) in versions
                .iter()
                .enumerate()
                .skip(1)
                .chain(versions.iter().enumerate().rev().skip(1))
            {
                let source = self.versions[number];
                let what = format!("{what} {source}");
                fs::copy(&versions[number], at("b.o")).unwrap();
                let updated = linked.update(&[at("b.o")]);
                updated.unwrap_or_else(|failed| panic!("{what}: {failed}"));
                let anew = linked.linked_anew().unwrap();
                let (ours, fresh) = (linked.finish().unwrap(), anew.finish().unwrap());
                assert!(ours == fresh, "{what}: differs from a fresh link");
                let (now, fresh) = (linked.bytes().unwrap(), anew.bytes().unwrap());
                validate(&now).unwrap_or_else(|error| panic!("{what}: {error}"));
                // Code that has moved leaves functions of its name behind.
                let [now, fresh] = [&now, &fresh].map(|bytes| {
                    let lines = interface(bytes).into_iter();
                    let lines = lines.filter(|line| !line.starts_with("function "));
                    lines.collect::<Vec<_>>()
                });
                assert_eq!(now, fresh, "{what}");
                if self.has_reference {
                    let theirs = wasm_ld(&arguments);
                    assert_eq!(interface(&ours), interface(&theirs), "{what}");
                    assert_eq!(order_of_exports(&ours), order_of_exports(&theirs), "{what}");
                }
            }
        }
    }
}

fn compile(object: &Path, source: &str, flags: &[&str]) {
    let file = object.with_extension("c");
    fs::write(&file, format!("{HEAD}{source}")).unwrap();
    let mut clang = Command::new("clang-19");
    clang.args(["--target=wasm32", "-O1", "-ffreestanding", "-c"]);
    run(clang.args(flags).arg(&file).arg("-o").arg(object));
}

/// The names of exports, in their order.
fn order_of_exports(bytes: &[u8]) -> Vec<String> {
    let sections = Parser::new(0)
        .parse_all(bytes)
        .map(|payload| payload.unwrap());
    let exports = sections.filter_map(|payload| match payload {
        Payload::ExportSection(exports) => Some(exports),
        _ => None,
    });
    exports
        .flatten()
        .map(|export| export.unwrap().name.to_owned())
        .collect()
}

/// Imports, exports, whether there is a start function, the names of functions, and custom sections.
fn interface(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.unwrap();
                    let kind = match import.ty {
                        TypeRef::Func(_) => "function".to_owned(),
                        TypeRef::Table(table) => format!("table of {}", table.element_type),
                        TypeRef::Global(global) => format!("global {:?}", global),
                        other => format!("{other:?}"),
                    };
                    // How much memory there is at first depends on slack.
                    let kind = if kind.starts_with("Memory") {
                        "memory".to_owned()
                    } else {
                        kind
                    };
                    lines.push(format!("import {} {} {kind}", import.module, import.name));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.unwrap();
                    let is_table = export.kind == ExternalKind::Table;
                    lines.push(format!(
                        "export {} {:?} {is_table}",
                        export.name, export.kind
                    ));
                }
            }
            Payload::StartSection { .. } => lines.push("start".to_owned()),
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(names) = custom.as_known() {
                    for name in names {
                        if let Name::Function(names) = name.unwrap() {
                            let names = names.into_iter().map(|name| name.unwrap().name.to_owned());
                            lines.extend(names.map(|name| format!("function {name}")));
                        }
                    }
                }
                if !["name", "producers", "pad", "wasmend", ""].contains(&custom.name()) {
                    lines.push(format!("custom {} {:?}", custom.name(), custom.data()));
                }
            }
            _ => {}
        }
    }
    // Names of imports, of forwarders and of what fills space are in one kind of output only.
    lines.retain(|line| {
        !line.starts_with("function ") || !line.contains('.') || line.ends_with("command_export")
    });
    lines.sort();
    lines
}

#[test]
fn imports() {
    let call = |module: &str, name: &str| {
        format!(
            "IMPORT(\"{module}\", \"{name}\") int far(int); int other(int x) {{ return far(x); }}"
        )
    };
    let renamed = [call("m", "n"), call("m", "n2"), call("m2", "n2")];
    let renamed = renamed.each_ref().map(String::as_str);
    Row::of(&[PLAIN, renamed[0], renamed[1], renamed[2]]).follow();
    const BOTH: &str = "IMPORT(\"m\", \"n\") int far(int); IMPORT(\"m\", \"n\") int same(int); int other(int x) { return far(x) + same(x); }";
    const ANOTHER_TYPE: &str = "IMPORT(\"m\", \"n\") int far(int); IMPORT(\"m\", \"n\") void same(void); int other(int x) { same(); return far(x); }";
    Row::of(&[renamed[0], BOTH, ANOTHER_TYPE]).follow();
    const ADDRESS: &str = "IMPORT(\"m\", \"n\") int far(int); int other(int x) { int (*volatile p)(int) = far; return p(x); }";
    Row::of(&[PLAIN, ADDRESS, renamed[0]]).follow();
}

#[test]
fn what_nothing_defines() {
    const USES: &str = "int absent(int); int other(int x) { return absent(x); }";
    const TWO: &str =
        "int absent(int); int gone(int); int other(int x) { return absent(x) + gone(x); }";
    const ADDRESS: &str =
        "int absent(int); int other(int x) { int (*volatile p)(int) = absent; return p ? 1 : x; }";
    const DATA: &str = "extern int nowhere; int other(int x) { return &nowhere ? x : 2; }";
    Row::of(&[PLAIN, USES, TWO, ADDRESS])
        .with(&["--allow-undefined"])
        .follow();
    Row::of(&[PLAIN, USES, TWO, ADDRESS])
        .with(&["--import-undefined"])
        .follow();
    let ignored = ["--unresolved-symbols=ignore-all"];
    Row::of(&[PLAIN, USES, TWO, ADDRESS, DATA])
        .with(&ignored)
        .follow();
    const WEAK: &str = "int __attribute__((weak)) absent(int); int other(int x) { return absent ? absent(x) : x; }";
    const WEAK_CALL: &str =
        "int __attribute__((weak)) absent(int); int other(int x) { return absent(x); }";
    const WEAK_DATA: &str = "extern int __attribute__((weak)) nowhere; int other(int x) { return &nowhere ? nowhere : x; }";
    Row::of(&[PLAIN, WEAK, WEAK_CALL, WEAK_DATA]).follow();
    // The same in a library, of which the object needs nothing any more.
    for member in ["imports", "weak", "ctors"] {
        let calls = format!("int {member}(int); int other(int x) {{ return {member}(x); }}");
        let dead = format!("{calls} int dead(int x) {{ return {member}(x); }}").replace(
            "other(int x) { return",
            "other(int x) { return x; } int unused(int x) { return",
        );
        Row::of(&[PLAIN, &calls, &dead, PLAIN]).follow();
    }
    // What fits no definition traps.
    const MISMATCH: &str = "long long plain(void); int other(int x) { return x + (int)plain(); }";
    const FITS: &str = "int plain(int); int other(int x) { return plain(x); }";
    Row::of(&[PLAIN, MISMATCH, FITS]).follow();
}

#[test]
fn exports() {
    const LATE: &str = "int other(int x) { return x; } int late(int x) { return x * 2; }";
    const DATA: &str = "int other(int x) { return x; } int late = 7;";
    const HIDDEN: &str = "int other(int x) { return x; } __attribute__((visibility(\"hidden\"))) int late(int x) { return x; }";
    for option in [
        "--export-if-defined=late",
        "--undefined=late",
        "--export-dynamic",
        "--export-all",
        "--no-gc-sections",
        "--export-table",
        "--wrap=plain",
    ] {
        Row::of(&[PLAIN, LATE, DATA, HIDDEN])
            .with(&[option])
            .follow();
    }
    const NAMED: &str = "int other(int x) { return x; } __attribute__((export_name(\"n1\"))) int late(int x) { return x; }";
    const RENAMED: &str = "int other(int x) { return x; } __attribute__((export_name(\"n2\"))) int late(int x) { return x; }";
    const USED: &str =
        "int other(int x) { return x; } __attribute__((used)) int late(int x) { return x; }";
    const STATIC: &str =
        "int other(int x) { return x; } __attribute__((used)) static int late(int x) { return x; }";
    Row::of(&[PLAIN, NAMED, RENAMED, USED, STATIC]).follow();
}

#[test]
fn functions_around_the_program() {
    const CTOR: &str = "static int n; __attribute__((constructor)) static void init(void) { n = 5; } int other(int x) { return x + n; }";
    const TWO: &str = "static int n; __attribute__((constructor(200))) static void init(void) { n = 5; }
        __attribute__((constructor(100))) static void first(void) { n = 4; } int other(int x) { return x + n; }";
    const DTORS: &str = "int other(int x) { return x; } void __wasm_call_dtors(void) {}";
    const CALLS: &str =
        "void __wasm_call_ctors(void); int other(int x) { __wasm_call_ctors(); return x; }";
    const MEMBER: &str = "int ctor(int); int other(int x) { return ctor(x); }";
    Row::of(&[PLAIN, CTOR, TWO, MEMBER]).follow();
    Row::of(&[PLAIN, DTORS, CTOR, CALLS]).follow();
    Row::of(&[PLAIN, CTOR, DTORS])
        .with(&["--export=__wasm_call_ctors"])
        .follow();
    // The entry comes from the library, from the object, from another place in it.
    const ENTRY: &str = "int other(int x) { return x; } void begin(void) {}";
    const MOVED: &str =
        "void before(void) {} void begin(void) { before(); } int other(int x) { return x; }";
    Row::of(&[PLAIN, ENTRY, MOVED])
        .with(&["--entry=begin"])
        .follow();
    const MAIN: &str = "int other(int x) { return x; } __attribute__((weak)) void begin(void) {}";
    Row::of(&[MAIN, PLAIN, ENTRY])
        .with(&["--entry=begin", "--export-dynamic"])
        .follow();
}

#[test]
fn addresses_and_tables() {
    const POINTERS: &str =
        "static int f(int x) { return x + 1; } static int g(int x) { return x - 1; }
        int (*volatile p)(int); int other(int x) { p = x > 2 ? f : g; return p(x); }";
    const ONE: &str = "static int f(int x) { return x + 1; } int (*volatile p)(int); int other(int x) { p = f; return p(x); }";
    const CALLED: &str = "int (*volatile p)(int); int other(int x) { return p(x); }";
    for options in [
        &[][..],
        &["--export-table"],
        &["--import-table"],
        &["--growable-table", "--export-table"],
        &["--table-base=9"],
    ] {
        Row::of(&[PLAIN, ONE, POINTERS, CALLED])
            .with(options)
            .follow();
        Row::of(&[POINTERS, PLAIN])
            .with(options)
            .compiled(&[&["-mcpu=mvp"], &[]])
            .follow();
        Row::of(&[PLAIN, POINTERS])
            .with(options)
            .compiled(&[&[], &["-mreference-types"]])
            .follow();
    }
    const BASE: &str = "extern char __table_base, __memory_base; int other(int x) { return (int)&__table_base + (int)&__memory_base; }";
    const ENDS: &str = "extern char __heap_base, __data_end, __dso_handle; int other(int x) { return &__heap_base - &__data_end + (int)&__dso_handle; }";
    Row::of(&[PLAIN, BASE, ENDS]).follow();
    const BOUNDS: &str = "__attribute__((section(\"list\"), used)) static int item = 4; extern int __start_list[], __stop_list[];
        int other(int x) { return __stop_list - __start_list; }";
    Row::of(&[PLAIN, BOUNDS]).follow();
    Row::of(&[
        PLAIN,
        "int z[100000]; int other(int x) { return z[x]; }",
        "int z[100000] = {1}; int other(int x) { return z[x]; }",
    ])
    .with(&["--import-memory"])
    .follow();
    const ZEROS: &str = "static int z[100000]; int other(int x) { return z[x]++; }";
    const MORE: &str =
        "static int z[100000], y[500]; int n = 3; int other(int x) { return z[x]++ + y[x]++ + n; }";
    let bulk: &[&str] = &["-mbulk-memory"];
    for flags in [&[bulk][..], &[&[], bulk], &[bulk, &[], bulk, &[]]] {
        Row::of(&[PLAIN, ZEROS, MORE, PLAIN])
            .compiled(flags)
            .with(&["--import-memory"])
            .follow();
    }
    // An object for programs that move.
    let pic: &[&str] = &["--target=wasm32-unknown-emscripten", "-fPIC"];
    Row::of(&[PLAIN, POINTERS, PLAIN])
        .compiled(&[&[], pic])
        .follow();
}

#[test]
fn threads_and_features() {
    const LOCAL: &str = "static __thread int n = 4; int other(int x) { return n += x; }";
    const SHARED: &str =
        "__thread int n = 4; __thread int m; int other(int x) { m++; return n += x + m; }";
    let threads: &[&str] = &["-matomics", "-mbulk-memory"];
    let allowed = "--features=atomics,bulk-memory,mutable-globals,sign-ext,simd128,reference-types,multivalue";
    Row::of(&[PLAIN, LOCAL, SHARED])
        .compiled(&[threads])
        .with(&[allowed])
        .follow();
    Row::of(&[PLAIN, LOCAL, SHARED])
        .compiled(&[threads])
        .with(&[
            allowed,
            "--shared-memory",
            "--max-memory=1048576",
            "--export=__wasm_init_tls",
        ])
        .follow();
    Row::of(&[PLAIN, PLAIN, PLAIN, PLAIN])
        .compiled(&[
            &[],
            &["-msimd128"],
            &["-mtail-call", "-mbulk-memory"],
            &["-mcpu=mvp"],
        ])
        .follow();
    Row::of(&[PLAIN, PLAIN])
        .compiled(&[&[], &["-msimd128"]])
        .with(&[allowed])
        .follow();
    Row::of(&[PLAIN, PLAIN])
        .compiled(&[&[], &["-msimd128"]])
        .with(&[
            "--extra-features=tail-call",
            "--strip-all",
            "--keep-section=target_features",
        ])
        .follow();
}

/// What needs a feature comes by an edit, with the feature.
#[test]
fn features_that_an_edit_brings() {
    const TAIL: &str = "__attribute__((noinline)) static int callee(int x) { return x * x; }
        int other(int x) { __attribute__((musttail)) return callee(x + 1); }";
    const VECTOR: &str = "typedef int v4 __attribute__((vector_size(16)));
        int other(int x) { v4 v = {x, x + 1, x, x}; v = v * v; return v[0] + v[3]; }";
    const ATOMIC: &str =
        "static int n; int other(int x) { return __atomic_fetch_add(&n, x, 5) + n; }";
    const SEVERAL: &str = "struct two { int a, b; };
        __attribute__((noinline)) struct two both(int x) { return (struct two){x, x + 1}; }
        int other(int x) { struct two two = both(x); return two.a * two.b; }";
    let several: &[&str] = &[
        "-mmultivalue",
        "-Xclang",
        "-target-abi",
        "-Xclang",
        "experimental-mv",
    ];
    for (source, flags) in [
        (TAIL, &["-mtail-call"][..]),
        (VECTOR, &["-msimd128"]),
        (ATOMIC, &["-matomics", "-mbulk-memory"]),
        (SEVERAL, several),
    ] {
        for options in [&[][..], &["--no-gc-sections"], &["--export-all"]] {
            Row::of(&[PLAIN, source, PLAIN, source])
                .compiled(&[&[], flags])
                .with(options)
                .follow();
        }
        // All at once, and one behind the other.
        Row::of(&[TAIL, source, VECTOR])
            .compiled(&[&["-mtail-call"], flags, &["-msimd128", "-mtail-call"]])
            .follow();
    }
}

#[test]
fn custom_sections_and_members() {
    const CUSTOM: &str = "__asm__(\".section .custom_section.meta,\\\"\\\",@\\n.ascii \\\"object\\\"\\n\"); int other(int x) { return x; }";
    const ANOTHER: &str = "__asm__(\".section .custom_section.meta,\\\"\\\",@\\n.ascii \\\"longer than before\\\"\\n\"); int other(int x) { return x; }";
    const MEMBER: &str = "int custom(int); int other(int x) { return custom(x); }";
    const DEAD: &str =
        "int custom(int); int dead(int x) { return custom(x); } int other(int x) { return x; }";
    const LIBRARY: &str = "int plain(int); int other(int x) { return plain(x); }";
    Row::of(&[PLAIN, CUSTOM, ANOTHER]).follow();
    // Dead code that names a member has it loaded, and what belongs to it, for as long as it does.
    Row::of(&[PLAIN, DEAD, MEMBER, DEAD, LIBRARY]).follow();
    Row::of(&[DEAD, PLAIN]).follow();
    // So is what a member exports, whoever had it loaded.
    const EXPORTS: &str = "int exports(int); int other(int x) { return exports(x); }";
    const LEADS: &str = "int leads(int); int other(int x) { return leads(x); }";
    const BOTH: &str =
        "int leads(int); int exports(int); int other(int x) { return leads(exports(x)); }";
    Row::of(&[PLAIN, EXPORTS, BOTH, LEADS, PLAIN]).follow();
    Row::of(&[BOTH, EXPORTS, LEADS, BOTH, PLAIN]).follow();
    const RETAINED: &str =
        "__attribute__((retain, used)) static int kept = 3; int other(int x) { return x; }";
    Row::of(&[PLAIN, RETAINED]).follow();
}

#[test]
fn an_object_that_is_linked_if_it_is_needed_leaves_nothing_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let compile = |name: &str, source: &str| {
        let file = folder.path().join(name).with_extension("c");
        fs::write(&file, source).unwrap();
        let object = file.with_extension("o");
        let mut clang = Command::new("clang-19");
        clang
            .args(["--target=wasm32", "-O1", "-g", "-c"])
            .arg(&file);
        run(clang.arg("-o").arg(&object));
        object
    };
    const NEEDS: &str = "int helper(int); int run(int x) { return helper(x); }";
    const NEEDS_NOT: &str = "int run(int x) { return x; }";
    let helper = compile(
        "helper",
        "__attribute__((export_name(\"shown\"))) int shown(int x) { return x; } int helper(int x) { return x + 1; }",
    );
    let main = compile("main", NEEDS);
    let paths = [&main, &helper].map(|path| path.display().to_string());
    let [main_path, helper] = &paths;
    let arguments = [
        "--no-entry",
        "--export=run",
        main_path,
        "--start-lib",
        helper,
        "--end-lib",
        "-oout.wasm",
    ];
    let options = LinkOptions::parse(&arguments.map(str::to_owned)).unwrap();
    let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
    for source in [NEEDS_NOT, NEEDS, NEEDS_NOT] {
        compile("main", source);
        linked.update(&[&main]).unwrap();
        let fresh = linked.linked_anew().unwrap().finish().unwrap();
        assert!(linked.finish().unwrap() == fresh, "{source}");
    }
}

#[test]
fn functions_that_are_taken_for_others() {
    // Without a definition, a weak reference that fits none traps for another reason.
    const FITS_NONE: &str =
        "int weak(int); int none(long long x) { return 7; } int other(int x) { return weak(x); }";
    const NO_OTHER: &str = "int weak(int); int other(int x) { return weak(x); }";
    Row::of(&[NO_OTHER, FITS_NONE, NO_OTHER]).follow();
    Row::of(&[FITS_NONE, NO_OTHER]).follow();
    // What is exported stands in the order in which it is first named, rightly or not.
    const FIRST: &str = "long long plain(long long); int first(int x) { return (int)plain(x); }
        int second(int x) { return x; } int other(int x) { return first(x) + second(x); }";
    const LAST: &str = "long long plain(long long); int second(int x) { return x; }
        int other(int x) { return (int)plain(x) + second(x); }";
    Row::of(&[FIRST, LAST, FIRST])
        .with(&["--export=plain", "--export=second"])
        .follow();
}

#[test]
fn symbols_that_options_define() {
    const LATE: &str = "int late(int x) { return x; } int other(int x) { return late(x); }";
    const ALIAS: &str =
        "int late(int x) { return x + 1; } int alias(int); int other(int x) { return alias(x); }";
    Row::of(&[LATE, ALIAS])
        .with(&["--defsym=alias=late"])
        .without_reference()
        .follow();
    const WRAPPED: &str = "int plain(int); int other(int x) { return plain(x); } int __wrap_plain(int x) { return 4; }";
    const REAL: &str = "int plain(int); int __real_plain(int); int other(int x) { return plain(x); } int __wrap_plain(int x) { return __real_plain(x); }";
    Row::of(&[WRAPPED, REAL]).with(&["--wrap=plain"]).follow();
    Row::of(&[PLAIN, WRAPPED, REAL])
        .with(&["--wrap=plain"])
        .follow();
}
