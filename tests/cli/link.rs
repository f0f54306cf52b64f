//! Linking from the command line: the names wasmend is called by, what it says, replaying objects.
//!
//! Run: `wasmend ld main.o twice.o pick.o -o OUT`, also by other names, and `wasmend replay-ld` with the same, on the objects of
//! `tests/objects`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::{run, text, wasmend};
use crate::support::objects;
use serde_json::Value as Json;
use wasmend::engine::{Engine, Imports, Value};

/// What the program of `main.o` answers.
fn answer(file: &Path) -> i32 {
    let bytes = fs::read(file).unwrap();
    let mut instance = Engine::new()
        .instantiate(&bytes, &Imports::new().stubs())
        .unwrap();
    match instance.call("answer", &[Value::I32(1)]).unwrap()[..] {
        [Value::I32(value)] => value,
        ref other => panic!("{other:?}"),
    }
}

/// `pick.o` adds 100; this one adds something else.
fn other_pick(added: u8) -> Vec<u8> {
    let mut bytes = fs::read(objects::path("pick.o")).unwrap();
    let constant = [0x41, 0xe4, 0x00];
    let at = bytes
        .windows(3)
        .position(|window| window == constant)
        .unwrap();
    bytes[at + 1] = 0x80 | added;
    bytes
}

#[test]
fn every_way_to_be_called() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let named = folder.path().join("wasm-ld");
    std::os::unix::fs::symlink(wasmend(), &named).unwrap();
    let files = [
        objects::word("main.o"),
        objects::word("twice.o"),
        objects::word("pick.o"),
    ];
    let [main, twice, pick] = files.each_ref().map(String::as_str);
    let output = out.to_str().unwrap();
    for (program, first) in [
        (wasmend(), &["ld"][..]),
        (wasmend(), &["-flavor", "wasm"]),
        (&named, &[]),
    ] {
        for more in [&[][..], &["--no-incremental"], &["--redirect=table"]] {
            let arguments = [first, &[main, twice, pick, "-o", output], more].concat();
            let done = run(program, &arguments);
            assert!(
                done.status.success(),
                "{arguments:?}: {}",
                text(&done.stderr)
            );
            assert_eq!(
                (text(&done.stdout), text(&done.stderr)),
                (String::new(), String::new())
            );
            assert_eq!(answer(&out), 260, "{arguments:?}");
            // Drivers and Cargo expect what a linker writes to be a program.
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&out).unwrap().permissions());
            assert_eq!(mode & 0o111, (mode & 0o444) >> 2, "{arguments:?}");
            fs::remove_file(&out).unwrap();
        }
    }
}

/// As with wasm-ld, nothing else is done, whatever else stands there.
#[test]
fn a_question_for_the_version_is_answered_and_nothing_is_linked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    for question in ["-v", "--version"] {
        let done = run(
            wasmend(),
            &["ld", "nothing.o", question, "-o", out.to_str().unwrap()],
        );
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert!(
            text(&done.stdout).contains("compatible with LLD"),
            "{question}"
        );
        assert!(!out.exists(), "{question}");
    }
}

/// Engines show it in backtraces.
#[test]
fn the_module_is_called_as_its_file_or_as_the_command_line_says() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("program.wasm");
    let files = ["main.o", "twice.o", "pick.o"].map(objects::word);
    let [main, twice, pick] = files.each_ref().map(String::as_str);
    for (more, expected) in [
        (&[][..], Some("program.wasm")),
        (&["--no-incremental"], Some("program.wasm")),
        (&["--soname=other"], Some("other")),
        (&["--strip-all"], None),
        (&["--strip-all", "--no-incremental"], None),
    ] {
        let arguments = [
            &["ld", main, twice, pick, "-o", out.to_str().unwrap()],
            more,
        ]
        .concat();
        let done = run(wasmend(), &arguments);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let bytes = fs::read(&out).unwrap();
        let mut found = None;
        for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
            if let wasmparser::Payload::CustomSection(section) = payload.unwrap()
                && let wasmparser::KnownCustom::Name(names) = section.as_known()
            {
                for name in names {
                    if let wasmparser::Name::Module { name, .. } = name.unwrap() {
                        found = Some(name);
                    }
                }
            }
        }
        assert_eq!(found, expected, "{more:?}");
    }
}

#[test]
fn what_is_asked_for_is_said() {
    let version = text(&run(wasmend(), &["ld", "--version"]).stdout);
    assert!(
        version.contains("wasmend") && version.contains("LLD"),
        "{version}"
    );
    let help = text(&run(wasmend(), &["ld", "--help"]).stdout);
    assert!(help.contains("--export-if-defined"), "{help}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let files = [
        objects::word("main.o"),
        objects::word("libgnu.a"),
        objects::word("twice.o"),
    ];
    let [main, library, twice] = files.each_ref().map(String::as_str);
    let why = folder.path().join("why");
    let why_option = format!("--why-extract={}", why.display());
    let arguments = [
        "ld",
        main,
        twice,
        library,
        "-u",
        "from_a",
        "-M",
        "-t",
        "--print-gc-sections",
        &why_option,
        "-o",
        out.to_str().unwrap(),
        "--unresolved-symbols=ignore-all",
    ];
    let done = run(wasmend(), &arguments);
    let said = text(&done.stdout);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(said.starts_with(&format!("{main}\n{twice}\n")), "{said}");
    assert!(said.contains("removing unused section"), "{said}");
    assert!(
        said.contains("main.o:(answer_of)") && said.contains("DATA"),
        "{said}"
    );
    let why = fs::read_to_string(why).unwrap();
    assert!(
        why.contains("--undefined\t") && why.contains("from_a"),
        "{why}"
    );
}

#[test]
fn dense_outputs_have_maps() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let files = [objects::word("main.o"), objects::word("twice.o")];
    let [main, twice] = files.each_ref().map(String::as_str);
    let arguments = [
        "ld",
        "--no-incremental",
        main,
        twice,
        "-M",
        "--stats",
        "-o",
        out.to_str().unwrap(),
        "--unresolved-symbols=ignore-all",
    ];
    let done = run(wasmend(), &arguments);
    let (said, stats) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{stats}");
    assert!(
        stats.contains("2 objects") && stats.contains("lay out"),
        "{stats}"
    );
    let bytes = fs::read(&out).unwrap();
    // Offset and size of the line that ends with a name.
    let place = |name: &str| -> (usize, usize) {
        let line = said.lines().find(|line| line.ends_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} in {said}"));
        let mut numbers = line.split_whitespace().skip(1);
        let mut number = || usize::from_str_radix(numbers.next().unwrap(), 16).unwrap();
        (number(), number())
    };
    let (code, code_len) = place(" CODE");
    assert_eq!(bytes[code], 10);
    let (function, len) = place("main.o:(answer_of)");
    assert!(function > code && function + len <= code + code_len);
    // An entry is its size and as many bytes.
    let mut entry = wasmparser::BinaryReader::new(&bytes[function..function + len], 0);
    let size = entry.read_var_u32().unwrap();
    assert_eq!(size as usize, entry.bytes_remaining());
    let (names, names_len) = place("CUSTOM(name)");
    let mut section = wasmparser::BinaryReader::new(&bytes[names..names + names_len], 0);
    assert_eq!(section.read_u8().unwrap(), 0);
    let size = section.read_var_u32().unwrap();
    assert_eq!(size as usize, section.bytes_remaining());
    assert_eq!(section.read_string().unwrap(), "name");
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
}

#[test]
fn mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let output = out.to_str().unwrap();
    let main = objects::word("main.o");
    for (arguments, said) in [
        (&["ld", &main, "-o", output][..], "undefined symbol"),
        (
            &["ld", &main, "--exprot-all", "-o", output],
            "did you mean --export-all?",
        ),
        (&["ld", &main], "no output file"),
        (&["ld", "nothing.o", "-o", output], "nothing.o"),
        (&["ld", &main, "-lnothing", "-o", output], "-lnothing"),
        (&["ld", &main, "-shared", "-o", output], "-shared"),
    ] {
        let done = run(wasmend(), arguments);
        assert_eq!(done.status.code(), Some(1), "{arguments:?}");
        let error = text(&done.stderr);
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert!(!out.exists());
    }
}

/// The events of a run. Each is of the known version.
fn event(line: &str) -> Json {
    let event: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(event["version"], 1, "{line}");
    event
}

#[test]
fn steps_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let steps: Vec<PathBuf> = [100, 101, 100, 7]
        .iter()
        .enumerate()
        .map(|(at, added)| {
            let step = folder.path().join(format!("step{at}"));
            fs::create_dir(&step).unwrap();
            fs::write(step.join("pick.o"), other_pick(*added)).unwrap();
            step
        })
        .collect();
    let files = [objects::word("main.o"), objects::word("twice.o")];
    let mut arguments = vec!["--json", "replay-ld", "--verify"];
    for step in &steps {
        arguments.extend(["--step", step.to_str().unwrap()]);
    }
    arguments.extend([
        "--",
        &files[0],
        &files[1],
        "pick.o",
        "-o",
        out.to_str().unwrap(),
    ]);
    let done = run(wasmend(), &arguments);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    let outcomes: Vec<Json> = said
        .lines()
        .map(|line| event(line)["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["created", "patched", "patched", "patched"]);
    assert_eq!(answer(&out), 260 - 100 + 7);
}

#[test]
fn a_link_tells_programs_what_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let files = [
        objects::word("main.o"),
        objects::word("twice.o"),
        objects::word("pick.o"),
    ];
    let [main, twice, pick] = files.each_ref().map(String::as_str);
    let link = [main, twice, pick, "-o", out.to_str().unwrap()];
    for (before, after, is_patchable) in [
        (&["--json", "ld"][..], &[][..], true),
        (&["ld"], &["--json", "--no-incremental"], false),
        (&["--color", "never", "--json", "ld"], &["-t"], true),
    ] {
        let done = run(wasmend(), &[before, &link, after].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        let said = text(&done.stdout);
        let mut events: Vec<Json> = said.lines().map(event).collect();
        let linked = events.pop().unwrap();
        assert_eq!(linked["event"], "linked", "{said}");
        assert_eq!(linked["objects"], 3);
        assert_eq!(linked["patchable"], is_patchable);
        assert_eq!(linked["file_bytes"], fs::metadata(&out).unwrap().len());
        match after {
            ["-t"] => {
                assert_eq!(events.len(), 1);
                assert_eq!(events[0]["event"], "listing");
                assert_eq!(events[0]["text"], format!("{main}\n{twice}\n{pick}\n"));
            }
            _ => assert!(events.is_empty(), "{said}"),
        }
    }
    let done = run(
        wasmend(),
        &["--json", "ld", main, "-o", out.to_str().unwrap()],
    );
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stdout);
    assert!(said.lines().count() >= 1);
    assert!(
        said.lines().all(|line| event(line)["event"] == "error"),
        "{said}"
    );
}

#[test]
fn a_link_by_one_thread_says_what_more_cores_would_take() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let files = ["main.o", "twice.o", "pick.o"].map(objects::word);
    let [main, twice, pick] = files.each_ref().map(String::as_str);
    let link = [
        "--json",
        "ld",
        main,
        twice,
        pick,
        "-o",
        out.to_str().unwrap(),
    ];
    for (kind, threads, counts) in [
        ("--incremental", "--threads=1", &[1, 2, 4, 16][..]),
        ("--no-incremental", "--threads=1", &[1, 2, 4, 16]),
        ("--no-incremental", "--threads=2", &[]),
    ] {
        let done = run(wasmend(), &[&link[..], &[kind, threads]].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        let linked = event(text(&done.stdout).lines().last().unwrap());
        let phases = linked["phases"].as_array().unwrap();
        let names: Vec<&str> = phases
            .iter()
            .map(|phase| phase["phase"].as_str().unwrap())
            .collect();
        assert_eq!(names[..2], ["open", "resolve"]);
        assert_eq!(names.contains(&"lay out"), kind == "--no-incremental");
        for phase in phases {
            let shared = phase["shared"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&shared), "{phase}");
            let cores = phase["cores"].as_array().map_or(&[][..], Vec::as_slice);
            let said: Vec<u64> = cores
                .iter()
                .map(|on| on["cores"].as_u64().unwrap())
                .collect();
            assert_eq!(said, counts, "{phase}");
            let took: Vec<f64> = cores
                .iter()
                .map(|on| on["micros"].as_f64().unwrap())
                .collect();
            assert!(took.is_sorted_by(|fewer, more| fewer >= more), "{phase}");
            if let Some(one) = took.first() {
                assert_eq!(Some(*one), phase["processor_micros"].as_f64());
            }
        }
    }
}

#[test]
fn a_step_is_a_folder_with_files_that_are_linked_and_what_is_said_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let step = |name: &str| folder.path().join(name);
    for (name, added) in [("one", 1), ("two", 2)] {
        fs::create_dir(step(name)).unwrap();
        fs::write(step(name).join("pick.o"), other_pick(added)).unwrap();
    }
    fs::create_dir(step("empty")).unwrap();
    let files = [objects::word("main.o"), objects::word("twice.o")];
    let replay = |second: &str| {
        let steps = [step("one"), step(second)].map(|step| step.display().to_string());
        let [one, two] = steps.each_ref().map(String::as_str);
        let link = [&files[0], &files[1], "pick.o", "-o", out.to_str().unwrap()];
        let steps = ["replay-ld", "--step", one, "--step", two, "--"];
        run(wasmend(), &[&steps[..], &link].concat())
    };
    for (wrong, said) in [("nope", "cannot read the folder"), ("empty", "has none of")] {
        let done = replay(wrong);
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        let message = text(&done.stderr);
        assert!(
            message.contains(said) && message.contains(wrong),
            "{message}"
        );
        assert!(!out.exists());
    }
    let done = replay("two");
    assert!(done.status.success(), "{done:?}");
    let name = step("two").join("pick.o").display().to_string();
    let said = text(&done.stdout);
    assert!(said.contains(&format!("{name}: patched")), "{said}");
}

/// `missing.o` with other names.
fn renamed(names: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = fs::read(objects::path("missing.o")).unwrap();
    for (from, to) in names {
        assert_eq!(from.len(), to.len());
        let same = |window: &[u8]| window == from.as_bytes();
        while let Some(at) = bytes.windows(from.len()).position(same) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

#[test]
fn no_hint_names_a_symbol_that_is_undefined_itself() {
    let folder = tempfile::tempdir().unwrap();
    let names = [("twicee", "twicef"), ("lost", "losu")];
    for (file, names) in [("a.o", &[][..]), ("b.o", &names)] {
        fs::write(folder.path().join(file), renamed(names)).unwrap();
    }
    for more in [&[][..], &["--warn-unresolved-symbols"]] {
        let done = std::process::Command::new(wasmend())
            .args(["ld", "--no-entry", "a.o", "b.o", "-o", "out.wasm"])
            .args(more)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = text(&done.stderr);
        assert!(
            said.contains("`twicee`") && said.contains("`twicef`"),
            "{said}"
        );
        assert!(!said.contains("did you mean"), "{said}");
    }
}
