//! `inspect::verify` of linked outputs that were edited, beside what wasm-ld-19 links of the same objects, where all data and
//! all slots stand elsewhere: the same program is the same, and of another one the first thing said is what was edited.
//! Needs clang-19 and lld-19.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmend::Redirect;
use wasmend::inspect::verify;
use wasmend::link::{Access, LinkOptions, Linked, Target};

use crate::support::toolchain::{run, wasm_ld};

const A: &str = r#"
extern int helper(int); extern int tab(int, int); extern int counter[50];
int g = 3; static const char *names[] = {"alpha", "beta", "gamma"}; static int zero[20];
typedef int (*F)(int);
static int fa(int x) { return x + g; }
static int fb(int x) { return x * g + zero[x & 15]++; }
F fs[] = {fa, fb, helper};
int run(int i) { counter[i & 31]++; return fs[i % 3](i) + names[i % 3][0] + tab(i, 2); }
"#;
const B: &str = r#"
int counter[50]; const char msg[] = "hello there"; double d[3] = {1.5, 2.5, 3.5};
__attribute__((noinline)) int helper(int x) { return msg[x % 11] + counter[3]; }
int tab(int x, int y) { return (int)(d[x % 3] * y) + counter[x & 7]; }
"#;

/// A version of the two sources: what is replaced in which of them by what; and what is to be said first of an output that is
/// of the version without that.
struct Version {
    edits: &'static [(usize, &'static str, &'static str)],
    said: &'static str,
}

const VERSIONS: [Version; 9] = [
    Version {
        edits: &[],
        said: "",
    },
    // Data that moves, since it is longer.
    Version {
        edits: &[(0, "alpha", "alphabetagamma")],
        said: "data",
    },
    // A signature.
    Version {
        edits: &[
            (0, "tab(int, int)", "tab(int, long long)"),
            (0, "tab(i, 2)", "tab(i, 2LL)"),
            (1, "tab(int x, int y)", "tab(int x, long long y)"),
        ],
        said: "function `run`",
    },
    // A function that goes.
    Version {
        edits: &[
            (0, "fb, helper}", "fb, fa}"),
            (
                1,
                "__attribute__((noinline)) int helper",
                "static inline int helper",
            ),
        ],
        said: "data named by function `run`: refers to function `helper`",
    },
    // Functions' addresses that change places.
    Version {
        edits: &[(0, "fa, fb, helper}", "fb, helper, fa}")],
        said: "slot",
    },
    // A function that comes.
    Version {
        edits: &[
            (
                0,
                "typedef",
                "__attribute__((noinline)) static int nw(int q) { return q * g * 7; }\ntypedef",
            ),
            (0, "return fs", "return nw(i) + fs"),
        ],
        said: "function `run`",
    },
    // Contents, at the beginning, in the middle and at the end.
    Version {
        edits: &[(1, "hello", "jello")],
        said: "data",
    },
    Version {
        edits: &[(1, "2.5", "-2.5")],
        said: "data",
    },
    Version {
        edits: &[(1, "there", "then")],
        said: "data",
    },
];

/// What a linker gives a program beside what it needs: a table that nobody uses, and more memory at first.
#[test]
fn what_linkers_choose_is_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = "static int z[30000]; int n = 7; int run(int i) { return z[i]++ + n; }";
    fs::write(at("a.c"), source).unwrap();
    for flags in [&[][..], &["-mbulk-memory"]] {
        let mut clang = Command::new("clang-19");
        clang.args(["--target=wasm32", "-O1", "-c"]).args(flags);
        run(clang.arg(at("a.c")).arg("-o").arg(at("a.o")));
        for option in ["--export-memory", "--import-memory"] {
            let fixed = ["--no-entry", "--export=run", option].map(str::to_owned);
            let object = at("a.o").display().to_string();
            let arguments: Vec<String> = fixed.into_iter().chain([object]).collect();
            let theirs = wasm_ld(&arguments);
            let named = [&arguments[..], &["-oout.wasm".to_owned()]].concat();
            let options = LinkOptions::parse(&named).unwrap();
            let (linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
            let report = verify(&linked.bytes().unwrap(), &theirs).unwrap();
            assert!(
                report.is_clean(),
                "{flags:?} {option}: {:?}",
                report.differences
            );
        }
    }
}

/// What verify finds different of what wasmend links and what wasm-ld does.
fn differences(arguments: &[String], theirs: &[u8]) -> Vec<String> {
    let named = [arguments, &["-oout.wasm".to_owned()]].concat();
    let options = LinkOptions::parse(&named).unwrap();
    let (linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
    let report = verify(&linked.bytes().unwrap(), theirs).unwrap();
    report.differences.iter().map(ToString::to_string).collect()
}

/// Sources by name, compiled in a folder of their own.
fn compile(folder: &Path, sources: &[(&str, &str)], flags: &[&str]) {
    for (name, source) in sources {
        let file = folder.join(name).with_extension("c");
        fs::write(&file, source).unwrap();
        let mut clang = Command::new("clang-19");
        clang.args(["--target=wasm32", "-c"]).args(flags);
        run(clang.arg(&file).arg("-o").arg(file.with_extension("o")));
    }
}

/// A table of functions, data of all kinds, a constructor, and an import.
const SEVERAL: &str = r#"
typedef int (*F)(int);
__attribute__((import_module("env"), import_name("imp"))) int imp(int);
int data = 5; static int bss[100]; const char *msg = "hello";
__attribute__((weak)) int weak(int);
static int f1(int x) { return x + data; }
static int f2(int x) { return x * bss[x & 63]; }
F tab[] = {f1, f2, imp};
__attribute__((constructor)) static void init(void) { bss[3] = 7; }
int run(int i) { return tab[i % 3](i) + msg[i % 5] + (weak ? weak(i) : 0); }
"#;

#[test]
fn a_program_is_the_same_whatever_options_it_is_linked_with() {
    let folder = tempfile::tempdir().unwrap();
    compile(folder.path(), &[("several", SEVERAL)], &["-O1"]);
    let object = folder.path().join("several.o").display().to_string();
    let shared = "--shared-memory --max-memory=1048576 --extra-features=atomics,bulk-memory";
    for options in [
        "--export=data --export=__heap_base",
        "--export-all",
        "--import-table",
        "--table-base=5 --import-table",
        "--export-table --growable-table",
        "--strip-all",
        "--build-id",
        "--build-id=sha1 --strip-all",
        "--import-memory",
        shared,
    ] {
        let fixed = ["--no-entry", "--export=run", &object];
        let all = fixed.into_iter().chain(options.split(' '));
        let arguments: Vec<String> = all.map(str::to_owned).collect();
        let found = differences(&arguments, &wasm_ld(&arguments));
        assert!(found.is_empty(), "{options}: {found:?}");
    }
}

/// A buffer that only data names, as the C library has them: beside others, all of which move.
fn buffered(number: u32, skipped: u32) -> String {
    format!(
        "static char buffer[1032]; static int before[40], behind[9];
         struct file {{ int flags; char *start; int size; }} file = {{ 1, buffer + {skipped}, {number} }};
         int run(int i) {{ file.start[i & 7]++; before[i & 31]++; return before[i & 15] + behind[i & 7]++ + file.size; }}"
    )
}

#[test]
fn zeros_that_only_data_names_are_the_same_and_numbers_that_change_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let programs = [(41_000, 8), (41_008, 8), (2_000, 8), (41_000, 16)];
    for optimization in ["-O0", "-O1"] {
        let linked = programs.map(|(number, skipped)| {
            let source = buffered(number, skipped);
            compile(folder.path(), &[("file", &source)], &[optimization]);
            let object = folder.path().join("file.o");
            let kept = folder.path().join(format!("{number}-{skipped}.o"));
            fs::rename(object, &kept).unwrap();
            let fixed = ["--no-entry".to_owned(), "--export=run".to_owned()];
            let object = kept.display().to_string();
            let arguments: Vec<String> = fixed.into_iter().chain([object]).collect();
            let theirs = wasm_ld(&arguments);
            (arguments, theirs)
        });
        for (at, (arguments, _)) in linked.iter().enumerate() {
            for (other, (_, theirs)) in linked.iter().enumerate() {
                let found = differences(arguments, theirs);
                let what = (optimization, programs[at], programs[other]);
                assert_eq!(found.is_empty(), at == other, "{what:?}: {found:?}");
            }
        }
    }
}

/// wasm-ld keeps the unit of an object that was loaded and of which nothing is linked.
#[test]
fn debug_information_of_what_was_left_out_is_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let sources = [
        (
            "main",
            "int lost(int); int dead(int i) { return lost(i); } int n = 5; int run(int i) { return i * 3 + n; }",
        ),
        ("lost", "int lost(int i) { return i + 1; }"),
    ];
    compile(folder.path(), &sources, &["-O1", "-g"]);
    let fixed = ["--no-entry", "--export=run"].map(str::to_owned);
    let objects = ["main.o", "lost.o"].map(|name| folder.path().join(name).display().to_string());
    let arguments: Vec<String> = fixed.into_iter().chain(objects).collect();
    let found = differences(&arguments, &wasm_ld(&arguments));
    assert!(found.is_empty(), "{found:?}");
    // Of what is there, it is one.
    let changed = [("main", "int n = 5; int run(int i)\n{ return i * 3 + n; }")];
    let theirs = wasm_ld(&arguments);
    compile(folder.path(), &changed, &["-O1", "-g"]);
    let found = differences(&arguments, &theirs);
    assert!(
        found.iter().any(|what| what.contains("debug information")),
        "{found:?}"
    );
}

/// Where position-independent code finds its data is said by way of a global that a program which does not move lacks.
#[test]
fn an_output_whose_debug_information_names_globals_that_are_not_there_is_itself() {
    let folder = tempfile::tempdir().unwrap();
    let source = "static int kept[8]; int run(int i) { return kept[i & 7]++; }";
    compile(folder.path(), &[("main", source)], &["-O0", "-g", "-fPIC"]);
    let object = folder.path().join("main.o").display().to_string();
    let arguments = ["--no-entry", "--export=run", &object, "-oout.wasm"].map(str::to_owned);
    let options = LinkOptions::parse(&arguments).unwrap();
    let (linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
    let linked = linked.bytes().unwrap();
    let output = folder.path().join("out.wasm");
    fs::write(&output, &linked).unwrap();
    let dump = run(Command::new("llvm-dwarfdump-19").arg(output));
    assert!(
        dump.contains("DW_OP_WASM_location 0x3 0xffffffff"),
        "{dump}"
    );
    let report = verify(&linked, &linked).unwrap();
    assert!(report.differences.is_empty(), "{report:?}");
}

#[test]
fn an_edited_output_is_what_wasm_ld_links_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for optimization in ["-O1", "-O0"] {
        let mut objects: Vec<[PathBuf; 2]> = Vec::new();
        for (number, version) in VERSIONS.iter().enumerate() {
            let mut sources = [A, B].map(str::to_owned);
            for (source, from, to) in version.edits {
                assert!(sources[*source].contains(from), "{from}");
                sources[*source] = sources[*source].replace(from, to);
            }
            let both = [0, 1].map(|source| {
                let file = at(&format!("{number}-{source}.c"));
                fs::write(&file, &sources[source]).unwrap();
                let object = file.with_extension("o");
                let mut clang = Command::new("clang-19");
                clang.args(["--target=wasm32", optimization, "-c"]);
                run(clang.arg(&file).arg("-o").arg(&object));
                object
            });
            objects.push(both);
        }
        let arguments = |objects: &[PathBuf; 2]| -> Vec<String> {
            let fixed = ["--no-entry", "--export=run"].map(str::to_owned);
            let objects = objects.iter().map(|path| path.display().to_string());
            fixed.into_iter().chain(objects).collect()
        };
        let theirs: Vec<Vec<u8>> = objects
            .iter()
            .map(|both| wasm_ld(&arguments(both)))
            .collect();
        for redirect in [Redirect::Direct, Redirect::TableThunks] {
            for (number, version) in objects.iter().enumerate() {
                let both = [at("a.o"), at("b.o")];
                for (from, to) in objects[0].iter().zip(&both) {
                    fs::copy(from, to).unwrap();
                }
                let output = ["-oout.wasm".to_owned()];
                let mut options =
                    LinkOptions::parse(&[&arguments(&both)[..], &output].concat()).unwrap();
                options.redirect = Some(redirect);
                let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
                let before = linked.bytes().unwrap();
                for (from, to) in version.iter().zip(&both) {
                    fs::copy(from, to).unwrap();
                }
                linked.update(&both).unwrap();
                let ours = linked.bytes().unwrap();
                let what = |other: usize| format!("{redirect:?} {optimization} {number} {other}");
                for (other, theirs) in theirs.iter().enumerate() {
                    let report = verify(&ours, theirs).unwrap();
                    let differences = &report.differences;
                    assert_eq!(
                        report.is_clean(),
                        number == other,
                        "{}: {differences:?}",
                        what(other)
                    );
                }
                let report = verify(&before, &theirs[number]).unwrap();
                if let Some(first) = report.differences.first() {
                    let said = VERSIONS[number].said;
                    assert!(
                        first.to_string().contains(said),
                        "{}: {first}",
                        what(number)
                    );
                }
            }
        }
    }
}

/// Edits after which data is longer than before, and so stands elsewhere, with what it was left where it was.
const LONGER: [(usize, &str, &str); 5] = [
    (0, "alpha", "alphabetagamma"),
    (0, "alpha", "xlphabetagamma"),
    (0, "fa, fb, helper}", "fa, fb, helper, fa, fb}"),
    (1, "hello there", "hello there and more"),
    (1, "d[3] = {1.5", "d[4] = {1.25, 1.5"),
];

/// Where the contents of code, data and elements stand in a module.
fn contents(module: &[u8]) -> Vec<std::ops::Range<usize>> {
    use wasmparser::Payload::*;
    let payloads = wasmparser::Parser::new(0).parse_all(module);
    let ranges = payloads.filter_map(|payload| match payload.unwrap() {
        CodeSectionEntry(body) => Some(body.range()),
        DataSection(reader) => Some(reader.range()),
        ElementSection(reader) => Some(reader.range()),
        _ => None,
    });
    ranges
        .map(|range| range.start as usize..range.end as usize)
        .collect()
}

/// The bytes that an edit changed, run by run, where programs keep what they mean.
fn changed(before: &[u8], after: &[u8]) -> Vec<std::ops::Range<usize>> {
    const NEAR: usize = 3;
    let contents = contents(after);
    let all = (0..before.len().min(after.len())).filter(|at| before[*at] != after[*at]);
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for at in all.filter(|at| contents.iter().any(|range| range.contains(at))) {
        match runs.last_mut() {
            Some(last) if at - last.end < NEAR => last.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// One reference that still leads to what was there before is enough, also where others lead to what there is now.
#[test]
fn an_output_in_which_something_was_left_as_it_was_is_not_equal() {
    let folder = tempfile::tempdir().unwrap();
    let twice = [
        "int again(int i) { return fs[i & 1](i) + names[i & 1][1]; }\n",
        "int other(int x) { return msg[x % 5] * 3 + (int)d[x & 1]; }\n",
    ];
    let sources = [A, B];
    let with = |edit: Option<(usize, &str, &str)>, optimization: &str| {
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            let mut source = format!("{}{}", sources[at], twice[at]);
            if let Some((_, from, to)) = edit.filter(|edit| edit.0 == at) {
                assert!(source.contains(from), "{from}");
                source = source.replace(from, to);
            }
            compile(folder.path(), &[(name, &source)], &[optimization]);
        }
    };
    let arguments = arguments(folder.path(), &["a", "b"], &["run", "again", "other"]);
    let objects = ["a.o", "b.o"].map(|name| folder.path().join(name));
    let named = [&arguments[..], &["-oout.wasm".to_owned()]].concat();
    let mut met = 0;
    for optimization in ["-O1", "-O0"] {
        for edit in LONGER {
            with(None, optimization);
            let options = LinkOptions::parse(&named).unwrap();
            let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
            let before = linked.bytes().unwrap();
            with(Some(edit), optimization);
            linked.update(&objects).unwrap();
            let after = linked.bytes().unwrap();
            let theirs = wasm_ld(&arguments);
            let report = verify(&after, &theirs).unwrap();
            assert!(report.is_clean(), "{optimization} {edit:?}: {report:?}");
            for run in changed(&before, &after) {
                let mut stale = after.clone();
                stale[run.clone()].copy_from_slice(&before[run.clone()]);
                // Some are no module then.
                let Ok(report) = verify(&stale, &theirs) else {
                    continue;
                };
                met += 1;
                assert!(!report.is_clean(), "{optimization} {edit:?}: {run:x?}");
            }
        }
    }
    assert!(met > 10, "{met}");
}

/// The arguments of a link of these sources' objects, the first one first.
fn arguments(folder: &Path, objects: &[&str], exports: &[&str]) -> Vec<String> {
    let exports = exports.iter().map(|export| format!("--export={export}"));
    let objects = objects
        .iter()
        .map(|name| folder.join(name).with_extension("o"));
    let objects = objects.map(|object| object.display().to_string());
    let fixed = ["--no-entry".to_owned()];
    fixed.into_iter().chain(exports).chain(objects).collect()
}

/// Functions that all have a slot, so that most addresses and many plain numbers are in the range of slots. One of them is
/// called by way of its slot.
fn with_many_slots(called: u32) -> String {
    const COUNT: u32 = 1500;
    let functions = (0..COUNT).map(|at| {
        let number = 1024 + at;
        format!(
            "static int f{at}(int x) {{ return x * {} + {number}; }}\n",
            at + 7
        )
    });
    let functions: String = functions.collect();
    let slots: Vec<String> = (0..COUNT).rev().map(|at| format!("f{at}")).collect();
    let words: Vec<String> = (0..2000).map(|at| (1_000_000 + at).to_string()).collect();
    format!(
        "typedef int (*F)(int); {functions}
         int words[2000] = {{ {} }}; F fs[] = {{ {} }};
         int call(F f, int i);
         int run(int i) {{ return call(f{called}, i) + fs[i](words[5]) + words[i & 1] + words[77]; }}",
        words.join(", "),
        slots.join(", ")
    )
}

#[test]
fn numbers_and_addresses_in_the_range_of_a_large_table_are_no_slots_and_wrong_slots_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let call = "typedef int (*F)(int); int other[3] = {1, 2, 3};
        __attribute__((noinline)) int call(F f, int i) { return f(i) + other[i]; }";
    let (one, two) = (with_many_slots(3), with_many_slots(4));
    let sources = [("one", &*one), ("two", &*two), ("call", call)];
    compile(folder.path(), &sources, &["-O2"]);
    for ours in ["one", "two"] {
        let of_ours = arguments(folder.path(), &[ours, "call"], &["run"]);
        for theirs in ["one", "two"] {
            let of_theirs = arguments(folder.path(), &["call", theirs], &["run"]);
            let found = differences(&of_ours, &wasm_ld(&of_theirs));
            let said: &[&str] = match (ours, theirs) {
                ("one", "two") => &[
                    "function `run`: refers to function `f3` where the build refers to function `f4`",
                ],
                ("two", "one") => &[
                    "function `run`: refers to function `f4` where the build refers to function `f3`",
                ],
                _ => &[],
            };
            assert_eq!(found, said, "{ours} and {theirs}");
        }
    }
}

/// Tables that code names by addresses far before them, as it does where an index does not begin with zero.
fn named_from_afar(name: &str, number: u32) -> String {
    format!(
        "static const char *const names[] = {{ \"alpha\", \"{name}\", \"gamma\", \"delta\" }};
         static const short numbers[] = {{ 1201, 1302, {number}, 1504, 1605 }};
         static const char *const others[] = {{ \"one\", \"two\", \"three\", \"four\", \"five\" }};
         const char *name(int i) {{ return names[i - 300]; }}
         int number(int i) {{ return numbers[i - 700]; }}
         const char *other(int i) {{ return others[i & 3]; }}"
    )
}

#[test]
fn data_that_is_named_from_afar_is_the_same_and_what_changes_in_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let programs = [("beta", 1403), ("bets", 1403), ("beta", 1404)];
    let names = ["first", "second", "third"];
    for (file, (name, number)) in names.into_iter().zip(programs) {
        let source = named_from_afar(name, number);
        compile(folder.path(), &[(file, &source)], &["-O2"]);
    }
    let exports = ["name", "number", "other"];
    for ours in names {
        let of_ours = arguments(folder.path(), &[ours], &exports);
        for theirs in names {
            let of_theirs = arguments(folder.path(), &[theirs], &exports);
            let found = differences(&of_ours, &wasm_ld(&of_theirs));
            assert_eq!(
                found.is_empty(),
                ours == theirs,
                "{ours} and {theirs}: {found:?}"
            );
        }
    }
}
