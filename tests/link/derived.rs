//! What a link derives from symbols and options follows edits, and objects for programs that move can be linked where
//! nothing does. Run: `wasmend ld` as a library on objects that clang-19 makes of C, beside a fresh link of the same.
//! Needs clang-19.

use std::fs;
use std::path::Path;
use std::process::Command;

use wasmend::Redirect;
use wasmend::engine::{Engine, Imports, Value};
use wasmend::link::{Access, LinkOptions, Linked, Target};

use crate::support::toolchain::run;

const HEAD: &str = "#define IMPORT(m, n) __attribute__((import_module(m), import_name(n)))\n";

fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) {
    let file = folder.join(name).with_extension("c");
    fs::write(&file, format!("{HEAD}{source}")).unwrap();
    let mut clang = Command::new("clang-19");
    clang.args(["--target=wasm32", "-O1", "-ffreestanding", "-c"]);
    run(clang
        .args(flags)
        .arg(&file)
        .arg("-o")
        .arg(folder.join(name)));
}

/// Links `a.o` and `b.o`, edits `b.o` from each version to the next, and compares with a fresh link each time.
fn follow(versions: &[&str], arguments: &[&str]) {
    const MAIN: &str = "extern int other(int); int run(int x) { return other(x) + 1; }";
    for redirect in [Redirect::Direct, Redirect::TableThunks] {
        let folder = tempfile::tempdir().unwrap();
        compile(folder.path(), "a.o", MAIN, &[]);
        compile(folder.path(), "b.o", versions[0], &[]);
        let objects = ["a.o", "b.o"].map(|name| folder.path().join(name));
        let paths = objects.iter().map(|path| path.display().to_string());
        let options = [
            "--no-entry",
            "--export=run",
            "--allow-undefined",
            "-oout.wasm",
        ];
        let all = options.iter().chain(arguments).map(|it| (*it).to_owned());
        let mut options = LinkOptions::parse(&all.chain(paths).collect::<Vec<_>>()).unwrap();
        options.redirect = Some(redirect);
        let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
        // There and back again.
        for source in versions[1..].iter().chain(versions.iter().rev().skip(1)) {
            compile(folder.path(), "b.o", source, &[]);
            linked.update(&objects[1..]).unwrap();
            let anew = linked.linked_anew().unwrap();
            assert_eq!(linked.finish().unwrap(), anew.finish().unwrap(), "{source}");
            let parsed = |bytes: &[u8]| interface(bytes);
            let (now, fresh) = (linked.bytes().unwrap(), anew.bytes().unwrap());
            assert_eq!(parsed(&now), parsed(&fresh), "{redirect:?} {source}");
        }
    }
}

/// Imports and exports.
fn interface(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            wasmparser::Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.unwrap();
                    lines.push(format!("import {} {}", import.module, import.name));
                }
            }
            wasmparser::Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.unwrap();
                    lines.push(format!("export {} {:?}", export.name, export.kind));
                }
            }
            _ => {}
        }
    }
    lines.sort();
    lines
}

#[test]
fn an_import_follows_its_module_and_name() {
    let call = |module: &str, name: &str| {
        format!(
            "IMPORT(\"{module}\", \"{name}\") int far(int); int other(int x) {{ return far(x); }}"
        )
    };
    let versions = [call("m", "n"), call("m", "n2"), call("m2", "n2")];
    follow(&versions.each_ref().map(String::as_str), &[]);
}

#[test]
fn an_export_comes_and_goes_with_what_an_option_names() {
    let versions = [
        "int other(int x) { return x; }",
        "int other(int x) { return x; } int late(int x) { return x * 2; }",
    ];
    follow(&versions, &["--export-if-defined=late"]);
    follow(&versions, &["--undefined=late"]);
    follow(&versions, &["--export-dynamic"]);
}

#[test]
fn constructors_and_addresses_come_and_go() {
    let versions = [
        "int other(int x) { return x; }",
        "static int n; __attribute__((constructor)) static void init(void) { n = 5; } int other(int x) { return x + n; }",
        "static int f(int x) { return x + 1; } static int g(int x) { return x - 1; }
         int (*volatile p)(int); int other(int x) { p = x > 2 ? f : g; return p(x); }",
        "int __attribute__((weak)) absent(int); int other(int x) { return absent ? absent(x) : x; }",
    ];
    follow(&versions, &[]);
}

#[test]
fn objects_for_programs_that_move_are_linked_where_nothing_does() {
    const SOURCE: &str = "static int st[2] = {6, 7};
        static int add(int x) { return x + 1; }
        static int sub(int x) { return x - 1; }
        int run(int x) { int (*volatile f)(int) = x > 2 ? add : sub; st[x & 1]++; return f(st[0] * 10 + st[1]); }";
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--target=wasm32-unknown-emscripten", "-fPIC"];
    compile(folder.path(), "p.o", SOURCE, &flags);
    let object = folder.path().join("p.o").display().to_string();
    let arguments = ["--no-entry", "--export=run", "-oout.wasm", &object].map(str::to_owned);
    let options = LinkOptions::parse(&arguments).unwrap();
    let (linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
    for bytes in [linked.bytes().unwrap(), linked.finish().unwrap()] {
        let mut instance = Engine::new().instantiate(&bytes, &Imports::new()).unwrap();
        for (argument, expected) in [(0, 76), (3, 79)] {
            let results = instance.call("run", &[Value::I32(argument)]).unwrap();
            assert_eq!(results, [Value::I32(expected)]);
        }
    }
}
