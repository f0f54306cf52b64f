//! Linking from the command line: the names wasmend is called by, what it says, watching and replaying objects.
//!
//! Run: `wasmend ld main.o twice.o pick.o -o OUT`, also by other names, `wasmend watch` and `wasmend replay-ld` with the same, on
//! the objects of `tests/objects`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
        stats.contains("2 objects") && stats.contains("finish"),
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
fn objects_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let (out, pick) = (folder.path().join("out.wasm"), folder.path().join("pick.o"));
    fs::write(&pick, other_pick(100)).unwrap();
    let mut child = Command::new(wasmend())
        .args([
            "watch",
            "--json",
            &objects::word("main.o"),
            &objects::word("twice.o"),
        ])
        .args([pick.to_str().unwrap(), "-o", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || event(&lines.next().unwrap().unwrap());
    assert_eq!(next()["outcome"], "created");
    assert_eq!(next()["event"], "watching");
    for (round, added) in [101, 5, 100].into_iter().enumerate() {
        let bytes = other_pick(added);
        // Written over, replaced by a rename, and written in two parts.
        match round {
            0 => fs::write(&pick, &bytes).unwrap(),
            1 => {
                let fresh = folder.path().join("fresh");
                fs::write(&fresh, &bytes).unwrap();
                fs::rename(&fresh, &pick).unwrap();
            }
            _ => {
                let mut file = fs::File::create(&pick).unwrap();
                file.write_all(&bytes[..100]).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(100));
                file.write_all(&bytes[100..]).unwrap();
            }
        }
        let patched = next();
        assert_eq!(patched["outcome"], "patched", "{patched}");
        assert_eq!(answer(&out), 160 + i32::from(added));
    }
    // What cannot be linked is said, and mended by the next save.
    fs::write(&pick, b"\0asm\x01\0\0\0").unwrap();
    let error = next();
    assert_eq!(error["event"], "error", "{error}");
    assert_eq!(answer(&out), 260);
    fs::write(&pick, other_pick(9)).unwrap();
    assert_eq!(next()["outcome"], "patched");
    assert_eq!(answer(&out), 169);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(next()["event"], "stopped");
    assert!(child.wait().unwrap().success());
}
