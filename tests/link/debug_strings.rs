//! Strings of debug information that several objects have stand once in an output that is patched, whoever of them has them
//! after an edit, and readers find the same as in a fresh link. Needs llvm-19.
//!
//! `wasmend ld --no-entry --export=run main.o helper.o other.o`, updated with other versions of the objects.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use wasmend::Outcome;
use wasmend::link::{Access, FallbackReason, Linked, Target};
use wasmend::output::Publish;
use wasmparser::{Parser, Payload};

use crate::program::{self, Expect};
use crate::support::objects;
use crate::support::toolchain::run;
use crate::updated::{Program, written};

/// What stands in a unit behind its header, for it to be told from filler.
const MARK: u8 = 0x77;

/// An object with a function that calls others, and a unit of debug information that names strings: each a string of the
/// object and the distance in it.
#[derive(Clone, Copy, Default)]
struct Source<'a> {
    function: &'a str,
    calls: &'a [&'a str],
    names: &'a [(&'a str, u32)],
    /// More of its strings, which nothing names, and what stands behind all of them.
    more: &'a [&'a str],
    tail: &'a str,
    /// The section of the strings.
    section: &'a str,
}

impl Source<'_> {
    fn assemble(&self) -> Vec<u8> {
        let mut text = String::new();
        for callee in self.calls {
            writeln!(text, ".functype {callee} (i32) -> (i32)").unwrap();
        }
        let function = self.function;
        writeln!(
            text,
            ".globl {function}\n.type {function},@function\n{function}:\n\
             .functype {function} (i32) -> (i32)\nlocal.get 0"
        )
        .unwrap();
        for callee in self.calls {
            writeln!(text, "call {callee}").unwrap();
        }
        text += "end_function\n.section .debug_info,\"\",@\n\
             .int32 .Lend-.Lbegin\n.Lbegin:\n.int16 4\n.int32 0\n.int8 4\n";
        writeln!(text, ".int8 {MARK}").unwrap();
        for (at, (_, distance)) in self.names.iter().enumerate() {
            writeln!(text, ".int32 .Lstring{at}+{distance}").unwrap();
        }
        let section = match self.section {
            "" => ".debug_str",
            name => name,
        };
        writeln!(text, ".Lend:\n.section {section},\"S\",@").unwrap();
        let mut known: Vec<&str> = Vec::new();
        for (name, _) in self.names {
            if !known.contains(name) {
                known.push(name);
                for (at, _) in self
                    .names
                    .iter()
                    .enumerate()
                    .filter(|(_, one)| one.0 == *name)
                {
                    writeln!(text, ".Lstring{at}:").unwrap();
                }
                writeln!(text, ".asciz \"{name}\"").unwrap();
            }
        }
        for name in self.more {
            writeln!(text, ".asciz \"{name}\"").unwrap();
        }
        if !self.tail.is_empty() {
            writeln!(text, ".ascii \"{}\"", self.tail).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let (source, object) = (folder.path().join("a.s"), folder.path().join("a.o"));
        fs::write(&source, text).unwrap();
        let mut command = Command::new("llvm-mc-19");
        command.args(["-triple=wasm32", "-filetype=obj"]);
        run(command.arg(&source).arg("-o").arg(&object));
        fs::read(&object).unwrap()
    }
}

/// The contents of a custom section.
fn custom(bytes: &[u8], name: &str) -> Vec<u8> {
    let payloads = Parser::new(0).parse_all(bytes);
    let found = payloads.filter_map(|payload| match payload.unwrap() {
        Payload::CustomSection(section) if section.name() == name => Some(section.data().to_vec()),
        _ => None,
    });
    found.last().unwrap_or_default()
}

/// What the units of an output name, each unit's names in order, the units in that of their names.
fn names_in(bytes: &[u8], section: &str) -> Vec<Vec<String>> {
    let (info, strings) = (custom(bytes, ".debug_info"), custom(bytes, section));
    let word = |at: usize| u32::from_le_bytes(info[at..at + 4].try_into().unwrap()) as usize;
    let mut units = Vec::new();
    let mut at = 0;
    while at < info.len() {
        let end = at + 4 + word(at);
        if info.get(at + 11) == Some(&MARK) {
            let fields = (at + 12..end).step_by(4);
            let name = |field: usize| {
                let rest = &strings[word(field)..];
                let len = rest.iter().position(|byte| *byte == 0).unwrap();
                String::from_utf8(rest[..len].to_vec()).unwrap()
            };
            units.push(fields.map(name).collect());
        }
        at = end;
    }
    units.sort();
    units
}

fn names(bytes: &[u8]) -> Vec<Vec<String>> {
    names_in(bytes, ".debug_str")
}

/// How often these characters stand in the strings of an output.
fn count(bytes: &[u8], text: &str) -> usize {
    let strings = custom(bytes, ".debug_str");
    strings
        .windows(text.len())
        .filter(|part| *part == text.as_bytes())
        .count()
}

const RUN: Source<'_> = Source {
    function: "run",
    calls: &["helper", "other"],
    names: &[("main.c", 0), ("unsigned int", 0), ("shared by all", 0)],
    more: &[],
    tail: "",
    section: "",
};
const HELPER: Source<'_> = Source {
    function: "helper",
    calls: &[],
    names: &[
        ("helper.c", 0),
        ("shared by all", 0),
        ("shared by two", 0),
        ("unsigned int", 0),
    ],
    ..RUN
};
const OTHER: Source<'_> = Source {
    function: "other",
    calls: &[],
    names: &[("other.c", 0), ("shared by two", 0), ("unsigned int", 0)],
    ..RUN
};

fn program_of(line: &str, sources: [Source<'_>; 3]) -> Program {
    let names = ["main.o", "helper.o", "other.o"];
    let files = [0, 1, 2].map(|at| (names[at], sources[at].assemble()));
    let line =
        format!("--no-entry --export=run FOLDER/main.o FOLDER/helper.o FOLDER/other.o {line}");
    Program::new(&line, Publish::Atomic, &files)
}

/// Updates one object; the units of the output must name these strings then, and do in a dense one.
fn update(
    program: &mut Program,
    name: &str,
    source: Source<'_>,
    expected: &[Source<'_>],
) -> Option<FallbackReason> {
    let what = format!("{name} with {:?}", source.names);
    program.write(name, source.assemble());
    let report = program.update(&what, &[name]);
    assert!(
        report.patch.ranges().is_some() || matches!(report.patch.outcome, Outcome::Unchanged),
        "{what}"
    );
    expect_names(program, &what, expected);
    report.resolved_anew
}

fn expect_names(program: &Program, what: &str, expected: &[Source<'_>]) {
    let mut all: Vec<Vec<String>> = expected
        .iter()
        .map(|source| {
            let names = source.names.iter();
            names
                .map(|(name, at)| name[*at as usize..].to_owned())
                .collect()
        })
        .collect();
    all.sort();
    assert_eq!(names(&program.published()), all, "{what}");
    assert_eq!(
        names(&program.linked.finish().unwrap()),
        all,
        "{what}: dense"
    );
}

#[test]
fn equal_strings_of_several_objects_stand_once() {
    let program = program_of("", [RUN, HELPER, OTHER]);
    expect_names(&program, "first link", &[RUN, HELPER, OTHER]);
    let bytes = program.published();
    for text in [
        "unsigned int\0",
        "shared by all\0",
        "shared by two\0",
        "helper.c\0",
    ] {
        assert_eq!(count(&bytes, text), 1, "{text}");
    }
    assert!(
        custom(&program.linked.finish().unwrap(), ".debug_str").len()
            <= custom(&bytes, ".debug_str").len()
    );
}

#[test]
fn an_edit_that_brings_a_name_is_a_small_patch_and_touches_no_other_object() {
    let mut program = program_of("", [RUN, HELPER, OTHER]);
    let new = Source {
        names: &[
            ("helper.c", 0),
            ("shared by all", 0),
            ("shared by two", 0),
            ("a new name", 0),
        ],
        ..HELPER
    };
    program.write("helper.o", new.assemble());
    let report = program.update("a name", &["helper.o"]);
    assert_eq!(report.resolved_anew, None);
    let bytes: usize = written(&report)
        .iter()
        .map(|(_, _, bytes)| bytes.len())
        .sum();
    assert!(bytes < 100, "{bytes}: {:?}", written(&report));
    expect_names(&program, "a name", &[RUN, new, OTHER]);
    // And the name is there for others, who bring nothing but a field then.
    let also = Source {
        names: &[("other.c", 0), ("a new name", 0), ("unsigned int", 0)],
        ..OTHER
    };
    assert_eq!(
        update(&mut program, "other.o", also, &[RUN, new, also]),
        None
    );
    assert_eq!(count(&program.published(), "a new name\0"), 1);
    // Back, and there again.
    assert_eq!(
        update(&mut program, "helper.o", HELPER, &[RUN, HELPER, also]),
        None
    );
    assert_eq!(
        update(&mut program, "helper.o", new, &[RUN, new, also]),
        None
    );
    assert_eq!(count(&program.published(), "a new name\0"), 1);
}

#[test]
fn a_string_that_its_object_drops_stays_for_others_and_is_in_no_dense_output_behind_the_last() {
    let mut program = program_of("", [RUN, HELPER, OTHER]);
    let without = Source {
        names: &[("main.c", 0), ("unsigned int", 0)],
        ..RUN
    };
    assert_eq!(
        update(&mut program, "main.o", without, &[without, HELPER, OTHER]),
        None
    );
    assert_eq!(count(&program.linked.finish().unwrap(), "shared by all"), 1);
    let helper = Source {
        names: &[("helper.c", 0), ("shared by two", 0)],
        ..HELPER
    };
    assert_eq!(
        update(&mut program, "helper.o", helper, &[without, helper, OTHER]),
        None
    );
    assert_eq!(count(&program.linked.finish().unwrap(), "shared by all"), 0);
    // What is left behind is found again.
    assert_eq!(
        update(&mut program, "main.o", RUN, &[RUN, helper, OTHER]),
        None
    );
    assert_eq!(count(&program.published(), "shared by all\0"), 1);
}

#[test]
fn an_object_that_is_not_reached_any_more_leaves_its_strings_to_others_and_then_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("helper.o"), HELPER.assemble()).unwrap();
    let mut command = Command::new("llvm-ar-19");
    command.args(["rcsD", "helper.a", "helper.o"]);
    run(command.current_dir(folder.path()));
    let files = [
        ("main.o", RUN.assemble()),
        (
            "helper.a",
            fs::read(folder.path().join("helper.a")).unwrap(),
        ),
        ("other.o", OTHER.assemble()),
    ];
    let line = "--no-entry --export=run FOLDER/main.o FOLDER/helper.a FOLDER/other.o";
    let mut program = Program::new(line, Publish::Atomic, &files);
    expect_names(&program, "first link", &[RUN, HELPER, OTHER]);
    let alone = Source {
        calls: &["other"],
        ..RUN
    };
    assert_eq!(update(&mut program, "main.o", alone, &[alone, OTHER]), None);
    assert_eq!(count(&program.published(), "shared by two\0"), 1);
    let other = Source {
        names: &[("other.c", 0)],
        ..OTHER
    };
    assert_eq!(
        update(&mut program, "other.o", other, &[alone, other]),
        None
    );
    // Nothing of the object is left.
    assert_eq!(count(&program.published(), "helper.c"), 0);
    assert_eq!(count(&program.published(), "shared by two"), 0);
    update(&mut program, "main.o", RUN, &[RUN, HELPER, other]);
    update(&mut program, "other.o", OTHER, &[RUN, HELPER, OTHER]);
    assert_eq!(count(&program.published(), "shared by two\0"), 1);
    update(&mut program, "main.o", alone, &[alone, OTHER]);
    assert_eq!(count(&program.published(), "shared by two\0"), 1);
}

#[test]
fn a_field_names_the_middle_of_a_string_wherever_that_stands() {
    let helper = Source {
        names: &[
            ("shared by all", 7),
            ("shared by all", 0),
            ("unsigned int", 12),
            ("shared by two", 10),
        ],
        ..HELPER
    };
    let mut program = program_of("", [RUN, helper, OTHER]);
    expect_names(&program, "first link", &[RUN, helper, OTHER]);
    let run = Source {
        names: &[("main.c", 2), ("new of main", 4), ("shared by all", 10)],
        ..RUN
    };
    assert_eq!(
        update(&mut program, "main.o", run, &[run, helper, OTHER]),
        None
    );
    assert_eq!(
        update(&mut program, "helper.o", HELPER, &[run, HELPER, OTHER]),
        None
    );
}

#[test]
fn strings_of_which_the_last_does_not_end_are_left_as_they_are() {
    let helper = Source {
        tail: "no end",
        ..HELPER
    };
    let mut program = program_of("", [RUN, helper, OTHER]);
    expect_names(&program, "first link", &[RUN, helper, OTHER]);
    assert_eq!(count(&program.published(), "no end"), 1);
    assert_eq!(count(&program.linked.finish().unwrap(), "no end"), 1);
    assert_eq!(
        update(&mut program, "helper.o", HELPER, &[RUN, HELPER, OTHER]),
        None
    );
    assert_eq!(count(&program.published(), "no end"), 0);
    assert_eq!(
        update(
            &mut program,
            "main.o",
            Source { tail: "x", ..RUN },
            &[RUN, HELPER, OTHER]
        ),
        None
    );
    assert_eq!(
        update(&mut program, "helper.o", helper, &[RUN, helper, OTHER]),
        None
    );
    assert_eq!(
        update(&mut program, "main.o", RUN, &[RUN, helper, OTHER]),
        None
    );
}

#[test]
fn strings_that_nothing_names_stay_if_that_is_true_of_all() {
    let plain = |source: Source<'static>| Source {
        names: &[],
        more: &["not", "named"],
        ..source
    };
    let mut program = program_of("", [plain(RUN), plain(HELPER), plain(OTHER)]);
    assert_eq!(count(&program.linked.finish().unwrap(), "not\0named\0"), 1);
    // Where others are named, readers have no way to these.
    assert_eq!(
        update(
            &mut program,
            "main.o",
            RUN,
            &[RUN, plain(HELPER), plain(OTHER)]
        ),
        None
    );
    assert_eq!(count(&program.linked.finish().unwrap(), "not\0named\0"), 0);
    assert_eq!(
        update(
            &mut program,
            "main.o",
            plain(RUN),
            &[plain(RUN), plain(HELPER), plain(OTHER)]
        ),
        None
    );
    assert_eq!(count(&program.linked.finish().unwrap(), "not\0named\0"), 1);
}

#[test]
fn an_update_that_fails_leaves_the_strings_as_they_were() {
    let new = Source {
        names: &[("helper.c", 0), ("a new name", 0), ("another new name", 0)],
        ..HELPER
    };
    let spoilt = Source {
        calls: &["missing"],
        names: &[("helper.c", 0), ("of a failure", 0)],
        ..HELPER
    };
    let mut patches = Vec::new();
    for fails in [false, true] {
        let mut program = program_of("", [RUN, HELPER, OTHER]);
        if fails {
            program.write("helper.o", spoilt.assemble());
            program.fail("undefined", &["helper.o"], "missing");
            program.write("helper.o", new.assemble());
            program.fail_for_want_of_a_folder("folder", &["helper.o"]);
        }
        program.write("helper.o", new.assemble());
        let report = program.update("good", &["helper.o"]);
        patches.push(written(&report));
        expect_names(&program, "good", &[RUN, new, OTHER]);
        assert_eq!(count(&program.published(), "of a failure"), 0);
    }
    assert_eq!(patches[0], patches[1]);
}

#[test]
fn what_many_edits_leave_behind_does_not_become_most_of_what_stands_there() {
    let mut program = program_of("", [RUN, HELPER, OTHER]);
    let mut reasons = Vec::new();
    let mut most = 0;
    for round in 0..40 {
        let names: Vec<String> = (0..60)
            .map(|at| format!("a long name of round {round}, number {at}"))
            .collect();
        let names: Vec<(&str, u32)> = names.iter().map(|name| (&**name, 0)).collect();
        let source = Source {
            names: &names,
            ..HELPER
        };
        reasons.push(update(
            &mut program,
            "helper.o",
            source,
            &[RUN, source, OTHER],
        ));
        most = most.max(custom(&program.published(), ".debug_str").len());
    }
    assert!(most < 48 << 10, "{most}");
    let given_up = Some(FallbackReason::StringsLeftBehind);
    let often = reasons.iter().filter(|reason| **reason == given_up).count();
    assert!((1..=4).contains(&often), "{reasons:?}");
    assert!(
        reasons
            .iter()
            .all(|reason| reason.is_none() || *reason == given_up),
        "{reasons:?}"
    );
}

#[test]
fn a_link_from_the_inputs_keeps_strings_where_they_are() {
    let mut program = program_of("--export-dynamic", [RUN, HELPER, OTHER]);
    let before = custom(&program.published(), ".debug_str");
    // A function that is exported comes, for which all symbols are resolved anew.
    let newcomer = Source {
        function: "newcomer",
        names: &[
            ("helper.c", 0),
            ("shared by two", 0),
            ("of the newcomer", 0),
        ],
        ..HELPER
    };
    let run = Source {
        calls: &["other"],
        names: &[("unsigned int", 0), ("shared by all", 0), ("more", 0)],
        ..RUN
    };
    program.write("main.o", run.assemble());
    program.write("helper.o", newcomer.assemble());
    let report = program.update("anew", &["main.o", "helper.o"]);
    assert!(report.resolved_anew.is_some());
    let after = custom(&program.published(), ".debug_str");
    assert!(report.patch.ranges().is_some() && after.starts_with(&before));
    assert_eq!(count(&program.published(), "shared by two\0"), 1);
    expect_names(&program, "anew", &[run, newcomer, OTHER]);
}

#[test]
fn a_string_of_two_sections_is_one_of_each() {
    let helper = Source {
        section: ".debug_line_str",
        ..HELPER
    };
    let other = Source {
        section: ".debug_line_str",
        ..OTHER
    };
    let mut program = program_of("", [RUN, helper, other]);
    for round in 0..3 {
        let bytes = program.published();
        assert_eq!(count(&bytes, "unsigned int\0"), 1, "{round}");
        let strings = custom(&bytes, ".debug_line_str");
        let text = b"unsigned int\0";
        assert_eq!(
            strings
                .windows(text.len())
                .filter(|part| part == text)
                .count(),
            1,
            "{round}"
        );
        assert!(names_in(&bytes, ".debug_line_str").contains(&vec![
            "other.c".into(),
            "shared by two".into(),
            "unsigned int".into()
        ]));
        let lens = (strings.len(), custom(&bytes, ".debug_str").len());
        let more = Source {
            calls: if round % 2 == 0 { &["other"] } else { &[] },
            ..helper
        };
        program.write("helper.o", more.assemble());
        assert_eq!(
            program.update("code alone", &["helper.o"]).resolved_anew,
            None
        );
        let bytes = program.published();
        assert_eq!(
            (
                custom(&bytes, ".debug_line_str").len(),
                custom(&bytes, ".debug_str").len()
            ),
            lens
        );
    }
}

#[test]
fn there_are_no_strings_of_debug_information_without_it() {
    for option in ["-S", "-s"] {
        let mut program = program_of(option, [RUN, HELPER, OTHER]);
        program.write(
            "helper.o",
            Source {
                names: &[("new", 0)],
                ..HELPER
            }
            .assemble(),
        );
        program.update(option, &["helper.o"]);
        assert!(custom(&program.published(), ".debug_str").is_empty());
    }
}

/// LLVM's verifier says where `.debug_str_offsets` names something else than a whole string.
#[test]
fn offsets_of_strings_in_dwarf_5_name_whole_strings_after_every_edit() {
    let header = "struct pair { int first, second; };\nint sum(struct pair *pair);\n";
    let main =
        "#include \"pair.h\"\nint main(void) { struct pair one = {1, 2}; return sum(&one); }\n";
    let sum =
        "#include \"pair.h\"\nint sum(struct pair *pair) { return pair->first + pair->second; }\n";
    let flags = &["-O0", "-g", "-gdwarf-5"];
    let mut program = program::Program::new(
        flags,
        &[("pair.h", header), ("main.c", main), ("sum.c", sum)],
    );
    let edits = [
        (
            "a local variable",
            "sum.c",
            "return pair->first",
            "int of_this_edit = 3; return of_this_edit + pair->first",
        ),
        ("its name", "sum.c", "of_this_edit", "of_that_edit"),
        (
            "a type",
            "main.c",
            "int main",
            "typedef struct pair alias_of_pair; alias_of_pair global_pair; int main",
        ),
        (
            "a name that is there",
            "main.c",
            "global_pair",
            "of_that_edit",
        ),
        (
            "no type any more",
            "main.c",
            "typedef struct pair alias_of_pair; alias_of_pair of_that_edit; ",
            "",
        ),
        (
            "no variable any more",
            "sum.c",
            "int of_that_edit = 3; return of_that_edit + ",
            "return ",
        ),
    ];
    for (what, file, from, to) in edits {
        program.edit(what, file, from, to, Expect::Patch);
    }
    program.finish();
}

#[test]
fn processes_that_go_on_with_a_link_find_its_strings() {
    let folder = tempfile::tempdir().unwrap();
    let ld = |expected: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
        command.args(["--verbose", "ld", "--state", "--no-entry", "--export=run"]);
        command.args(["main.o", "helper.o", "other.o", "-o", "out.wasm"]);
        let done = command.current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&[done.stderr, done.stdout].concat()).into_owned();
        assert!(said.contains(expected), "{said}");
        fs::read(folder.path().join("out.wasm")).unwrap()
    };
    let write = |name: &str, source: Source<'_>| {
        // Later than the step of any file system's clock.
        std::thread::sleep(std::time::Duration::from_millis(30));
        fs::write(folder.path().join(name), source.assemble()).unwrap();
    };
    write("main.o", RUN);
    write("helper.o", HELPER);
    write("other.o", OTHER);
    ld("all is linked");
    for text in ["a new name", "another new name", "a new name"] {
        let helper = Source {
            names: &[("helper.c", 0), ("shared by two", 0), (text, 0)],
            ..HELPER
        };
        write("helper.o", helper);
        let bytes = ld("patched");
        for name in [text, "shared by two", "unsigned int"] {
            assert_eq!(count(&bytes, &format!("{name}\0")), 1, "{name}");
        }
        let unit = ["helper.c", "shared by two", text].map(str::to_owned);
        assert!(names(&bytes).contains(&unit.to_vec()));
    }
}

#[test]
fn strings_in_a_link_of_many_objects_do_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut line = String::from("--no-entry --export=run");
    let names: Vec<Vec<String>> = (0..40u32)
        .map(|object| {
            (0..200u32)
                .map(|at| format!("name {}", (at * (object % 7 + 1)) % 331))
                .collect()
        })
        .collect();
    for (object, names) in names.iter().enumerate() {
        let names: Vec<(&str, u32)> = names.iter().map(|name| (&**name, 0)).collect();
        let function = format!("function_{object}");
        let next = format!("function_{}", object + 1);
        let calls = [&*next];
        let source = Source {
            function: if object == 0 { "run" } else { &function },
            calls: if object == 39 { &[] } else { &calls },
            names: &names,
            ..Source::default()
        };
        let path = folder.path().join(format!("{object}.o"));
        fs::write(&path, source.assemble()).unwrap();
        write!(line, " {}", path.display()).unwrap();
    }
    let mut outputs = Vec::new();
    for threads in [1, 2, 3, 16] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let options = objects::options(&line, &folder.path().join("out.wasm"));
        let (linked, _) = pool
            .install(|| Linked::link(options, Access::Read, Target::Memory))
            .unwrap_or_else(|failed| panic!("{failed}"));
        outputs.push(linked.bytes().unwrap());
    }
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    assert_eq!(names_in(&outputs[0], ".debug_str").len(), 40);
}
