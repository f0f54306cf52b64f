//! Conventions of wasm-ld-19, each in a link of a few lines: what is an error, which custom sections are linked, which
//! members of archives are read. Needs clang-19, llvm-19 and lld-19.
//!
//! Run: `wasm-ld-19 --no-entry ARGS` and `wasmend ld --no-entry ARGS`, with and without `--no-incremental`; both link or
//! both refuse, with the same exports and custom sections.

use std::process::Command;

use crate::lab::{Lab, Output, returned};
use crate::support::toolchain::run;

/// An object that defines a function, and has other sections.
fn function(name: &str, more: &str) -> String {
    format!(
        ".section .text.{name},\"\",@\n.globl {name}\n{name}:\n.functype {name} () -> ()\nend_function\n{more}"
    )
}

/// A custom section.
fn custom(name: &str, bytes: &str) -> String {
    format!(".section .custom_section.{name},\"\",@\n.ascii \"{bytes}\"\n")
}

/// A section of target features.
fn features(list: &[&str]) -> String {
    let mut text = format!(
        ".section .custom_section.target_features,\"\",@\n.int8 {}\n",
        list.len()
    );
    for feature in list {
        let (prefix, name) = feature.split_at(1);
        let (prefix, len) = (prefix.as_bytes()[0], name.len());
        text += &format!(".int8 {prefix}\n.int8 {len}\n.ascii \"{name}\"\n");
    }
    text
}

const USES: &str = r#"
__attribute__((weak)) int weak_function(void);
extern int weak_data __attribute__((weak));
int undefined(void);
__attribute__((export_name("run"))) int run(void) { return weak_function() + (int)&weak_data; }
__attribute__((export_name("calls"))) int calls(void) { return undefined(); }
"#;

#[test]
fn what_is_to_be_exported_and_is_not_defined_is_an_error() {
    let lab = Lab::new(&[("f.s", &function("f", "")), ("uses.c", USES)]);
    lab.same(&[
        "f.o --export=f",
        "f.o --export=nothing",
        "f.o --export=nothing --allow-undefined",
        "f.o --export=nothing --import-undefined",
        "f.o --export=nothing --unresolved-symbols=ignore-all",
        "f.o --export=nothing --warn-unresolved-symbols",
        "f.o --export=nothing --export-if-defined=nothing",
        "f.o --export-if-defined=nothing",
        "f.o --export=__tls_base",
        "f.o --export=__heap_base --export=__memory_base --export=__wasm_call_ctors",
        "f.o --export=__stack_pointer",
        "f.o --export=__stack_pointer --no-check-features",
        "f.o --export=__stack_pointer --extra-features=mutable-globals",
        "f.o --export=__indirect_function_table",
        "f.o --export-if-defined=__indirect_function_table",
        "uses.o --export=weak_function --unresolved-symbols=ignore-all",
        "uses.o --export=weak_data --import-undefined",
        "uses.o --export=undefined --import-undefined",
        "uses.o --export=undefined --unresolved-symbols=ignore-all",
    ]);
    let errors = lab.errors("uses.o --export=nothing --export=nothing");
    assert_eq!(errors.matches("`nothing`").count(), 1, "{errors}");
    let warned = lab.wasmend("f.o --export=nothing --warn-unresolved-symbols", true);
    assert!(warned.unwrap().1.contains("`nothing`"));
}

#[test]
fn only_debug_information_and_what_the_linker_makes_is_stripped() {
    let more = [custom("meta", "m"), custom("debug", "d")].concat();
    let more = more + ".section .debug_info,\"\",@\n.ascii \"i\"\n" + &features(&["+atomics"]);
    let lab = Lab::new(&[("f.s", &function("f", &more)), ("uses.c", USES)]);
    let undefined = "--unresolved-symbols=ignore-all --build-id=0x1234";
    for strip in [
        "",
        "--strip-all",
        "-s",
        "--strip-debug",
        "-S",
        "--strip-all --strip-debug",
        "--strip-all --keep-section=name",
        "--strip-all --keep-section=producers --keep-section=target_features",
        "--strip-all --keep-section=meta",
        "--strip-debug --keep-section=name",
    ] {
        lab.same(&[&format!("f.o uses.o {undefined} {strip}")]);
    }
}

#[test]
fn every_loaded_member_has_its_custom_sections_and_says_its_features() {
    let more = custom("meta", "lib") + &features(&["+bulk-memory", "-atomics"]);
    let calls = ".functype lib () -> ()\n";
    let calls = calls.to_owned() + &function("uses", "").replace("end_", "call lib\nend_");
    let lab = Lab::new(&[
        ("lib.s", &function("lib", &more)),
        ("uses.s", &calls),
        ("f.s", &function("f", &custom("meta", "f"))),
        ("atomics.s", &function("g", &features(&["+atomics"]))),
    ]);
    lab.archive("lib.a", &["lib.o"]);
    lab.same(&[
        "f.o lib.a",
        "f.o lib.a --no-gc-sections",
        "f.o lib.a -u lib",
        "f.o lib.a -u lib --no-gc-sections",
        "f.o lib.a --export=lib",
        "f.o --whole-archive lib.a",
        "f.o --start-lib lib.o --end-lib",
        "f.o --start-lib lib.o --end-lib -u lib",
        "uses.o lib.a",
        "uses.o lib.a --no-gc-sections",
        "uses.o lib.a atomics.o",
        "uses.o lib.a atomics.o --no-check-features",
    ]);
}

#[test]
fn a_weak_reference_to_what_a_lazy_file_defines_is_null_in_any_order() {
    let lab = Lab::new(&[
        ("data.c", "int d = 33;"),
        ("function.c", "int d(void) { return 44; }"),
        (
            "weak.c",
            "__attribute__((weak)) extern int d; int run(void) { return &d ? d : -2; }",
        ),
        (
            "call.c",
            "__attribute__((weak)) int d(void); int run(void) { return d ? d() : -3; }",
        ),
        ("strong.c", "extern int d; int get(void) { return d; }"),
    ]);
    lab.archive("data.a", &["data.o"]);
    lab.archive("function.a", &["function.o"]);
    for (line, answer) in [
        ("data.a weak.o", -2),
        ("weak.o data.a", -2),
        ("--start-lib data.o --end-lib weak.o", -2),
        ("weak.o --start-lib data.o --end-lib", -2),
        ("data.a data.a weak.o", -2),
        ("function.a weak.o", -2),
        ("weak.o function.a", -2),
        ("function.a call.o", -3),
        ("call.o function.a", -3),
        ("data.a call.o", -3),
        ("data.a weak.o --export-all", -2),
        ("data.a weak.o --no-gc-sections", -2),
        ("data.a weak.o strong.o", 33),
        ("data.a strong.o weak.o", 33),
        ("weak.o data.a strong.o", 33),
        ("data.a weak.o -u d", 33),
    ] {
        for patchable in [true, false] {
            let linked = lab.wasmend(&format!("{line} --export=run"), patchable);
            let (bytes, _) = linked.unwrap_or_else(|errors| panic!("{line}: {errors}"));
            assert_eq!(returned(&bytes), answer, "{line}");
        }
        lab.same(&[&format!("{line} --export=run")]);
    }
}

#[test]
fn members_that_are_not_linked_do_not_matter() {
    let lab = Lab::new(&[
        ("main.c", "int run(void) { return 1; }"),
        ("needs.c", "int h(void); int run(void) { return h(); }"),
        ("defines.c", "int h(void) { return 5; }"),
        ("bitcode.c", "int h(void) { return 6; }"),
        ("native.c", "int h(void) { return 7; }"),
    ]);
    for name in ["bitcode", "native"] {
        lab.archive(&format!("{name}.a"), &[&format!("{name}.o")]);
        let mut command = Command::new("llvm-ar-19");
        let archive = lab.path(&format!("{name}-plain.a"));
        run(command
            .arg("rcS")
            .arg(archive)
            .arg(lab.path(&format!("{name}.o"))));
    }
    lab.same(&[
        "main.o bitcode.a --export=run",
        "bitcode.a main.o --export=run",
        "main.o --start-lib bitcode.o --end-lib --export=run",
        "main.o bitcode-plain.a --export=run",
        "main.o native.a --export=run",
        "main.o native-plain.a --export=run",
        "native.a needs.o defines.o --export=run",
        "needs.o native.a defines.o --export=run",
        "native-plain.a needs.o defines.o --export=run",
        "native.a needs.o --export=run",
        "main.o --whole-archive native.a",
    ]);
    let (_, warned) = lab.wasmend("main.o native.a", true).unwrap();
    assert!(warned.contains("native.o"), "{warned}");
    let (_, warned) = lab
        .wasmend("main.o --start-lib bitcode.o --end-lib", true)
        .unwrap();
    assert!(warned.contains("bitcode"), "{warned}");
    // Bitcode that is needed cannot be linked, and is not passed over.
    let needed = lab.wasmend("bitcode.a needs.o --export=run", true);
    assert!(needed.map(|_| ()).unwrap_err().contains("bitcode"));
}

#[test]
fn build_ids_are_as_long_as_those_of_wasm_ld() {
    let lab = Lab::new(&[("f.s", &function("f", ""))]);
    for style in ["", "=fast", "=sha1", "=tree", "=uuid"] {
        let line = format!("f.o --build-id{style}");
        let theirs = lab.wasm_ld(&line).unwrap().customs["build_id"].len();
        for patchable in [true, false] {
            let (bytes, _) = lab.wasmend(&line, patchable).unwrap();
            let ours = Output::of(&bytes).customs["build_id"].len();
            assert_eq!(ours, theirs, "{line}");
        }
    }
    lab.same(&[
        "f.o",
        "f.o --build-id=none",
        "f.o --build-id=0x1234abcd",
        "f.o --build-id=0xabc",
    ]);
}

#[test]
fn features_are_compared_as_wasm_ld_compares_them() {
    let with = |name: &str, list: &[&str]| function(name, &features(list));
    let lab = Lab::new(&[
        ("nothing.s", &function("nothing", "")),
        ("atomics.s", &with("atomics", &["+atomics", "+bulk-memory"])),
        ("bulk.s", &with("bulk", &["+bulk-memory"])),
        ("globals.s", &with("globals", &["+mutable-globals"])),
        ("unshared.s", &with("unshared", &["-shared-mem"])),
        ("never.s", &with("never", &["-atomics"])),
        ("must.s", &with("must", &["=atomics"])),
    ]);
    for options in [
        "",
        "--features=atomics,bulk-memory",
        "--features=bulk-memory",
        "--extra-features=atomics,bulk-memory",
        "--extra-features=mutable-globals",
        "--no-check-features",
        "--features=atomics,bulk-memory --no-check-features",
    ] {
        for objects in [
            "nothing.o",
            "globals.o nothing.o",
            "atomics.o nothing.o",
            "atomics.o bulk.o",
            "unshared.o nothing.o",
            "unshared.o atomics.o",
            "never.o",
            "never.o atomics.o",
            "must.o",
            "must.o nothing.o",
            "must.o atomics.o",
            "never.o must.o",
        ] {
            lab.same(&[
                &format!("{objects} {options}"),
                &format!("--shared-memory --max-memory=131072 {objects} {options}"),
            ]);
        }
    }
}
