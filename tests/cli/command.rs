//! The command as a user runs it: help, exit codes, events, and what is printed.
//!
//! Run: `wasmend COMMAND --help`, `wasmend inspect`, `wasmend demo`, `wasmend completions`, `wasmend man`, on a module with one
//! function and on files that are none.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::command::{arg, events, run_wasmend, text, wasmend};
use crate::support::snapshot;
use serde_json::Value;
use wasm_encoder::Instruction;
use wasmend::{DeclKind, FunctionBuilder, Module, ModuleOptions, ValType};

/// What can be asked of the command.
const COMMANDS: [&str; 10] = [
    "patch",
    "replay",
    "watch",
    "inspect",
    "verify",
    "apply",
    "finish",
    "demo",
    "completions",
    "man",
];

/// A file of a small module, made by the library.
fn module(folder: &Path) -> PathBuf {
    let path = folder.join("module.wasm");
    let mut module = Module::create(&path, ModuleOptions::default()).expect("can be created");
    let id = module.declare(DeclKind::Function, "f").expect("is new");
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
    body.op(&Instruction::I32Const(7));
    module
        .define_function(id, body.finish().expect("a body"))
        .expect("is a function");
    module.export("f", id).expect("is declared");
    module.commit().expect("is published");
    path
}

#[test]
fn help() {
    for name in [""].into_iter().chain(COMMANDS) {
        let args: Vec<&str> = [name, "--help"]
            .into_iter()
            .filter(|arg| !arg.is_empty())
            .collect();
        let output = run_wasmend(&args);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), "");
        let name = if name.is_empty() {
            "cli-help".to_owned()
        } else {
            format!("cli-help-{name}")
        };
        snapshot!(name, text(&output.stdout));
    }
}

#[test]
fn help_is_a_command_too() {
    for name in [""].into_iter().chain(COMMANDS) {
        let name = (!name.is_empty()).then_some(name);
        let asked: Vec<&str> = ["help"].into_iter().chain(name).collect();
        let given: Vec<&str> = name.into_iter().chain(["--help"]).collect();
        let (asked, given) = (run_wasmend(&asked), run_wasmend(&given));
        assert_eq!(asked.status.code(), Some(0));
        assert_eq!(text(&asked.stdout), text(&given.stdout));
    }
    let output = run_wasmend(&["man", "wach"]);
    assert!(
        text(&output.stderr).contains("'watch'"),
        "{}",
        text(&output.stderr)
    );
}

/// Programs get an event, people the usual text.
#[test]
fn wrong_usage_is_an_event_for_programs() {
    let output = run_wasmend(&["--json", "inspekt", "x.wasm"]);
    assert_eq!(output.status.code(), Some(2));
    let [error] = &events(&output)[..] else {
        panic!("one event: {}", text(&output.stdout))
    };
    assert_eq!(
        (&error["event"], &error["kind"]),
        (&"error".into(), &"usage".into())
    );
    assert_eq!(error["exit_code"], 2);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("inspekt")),
        "{error}"
    );
    assert!(
        text(&output.stderr).contains("Usage"),
        "{}",
        text(&output.stderr)
    );
}

/// What is printed on a terminal of 80 columns is not broken in the middle of a line.
#[test]
fn lines_fit_80_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    module(folder.path());
    for args in [
        &["inspect", "module.wasm"][..],
        &["demo", "--functions", "2000", "--edits", "60"],
        &["ld", "--help"],
    ] {
        let output = Command::new(wasmend())
            .args(args)
            .current_dir(folder.path())
            .output()
            .expect("the command runs");
        assert_eq!(output.status.code(), Some(0));
        for line in text(&output.stdout).lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
    }
}

/// A path can be as long as it likes: it has a line of its own.
#[test]
fn inspecting_a_long_path_fits_80_columns_but_for_the_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = module(folder.path());
    let long = folder.path().join(format!("{}.wasm", "long".repeat(30)));
    std::fs::rename(path, &long).expect("can be renamed");
    let output = run_wasmend(&["inspect", arg(&long)]);
    let printed = text(&output.stdout);
    let mut lines = printed.lines();
    assert_eq!(lines.next(), long.to_str());
    for line in lines {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn wrong_usage_is_2() {
    for args in [
        &["frobnicate"][..],
        &["inspect"],
        &["demo", "--edits", "none"],
        &["man", "frobnicate"],
        &[],
    ] {
        let output = run_wasmend(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn bad_input_is_1_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.wasm");
    let output = run_wasmend(&["inspect", arg(&missing)]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.starts_with(&format!("error: {}: cannot read", missing.display())),
        "{message}"
    );

    let torn = folder.path().join("torn.wasm");
    let whole = std::fs::read(module(folder.path())).expect("was written");
    std::fs::write(&torn, &whole[..whole.len() - 10]).expect("can be written");
    let output = run_wasmend(&["inspect", arg(&torn)]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let message = text(&output.stderr);
    assert!(
        message.contains("a section ends behind the end of the file (at offset 0x"),
        "{message}"
    );

    let output = run_wasmend(&["--json", "inspect", arg(&torn)]);
    assert_eq!(output.status.code(), Some(1));
    let events = events(&output);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event"], "error");
    assert_eq!(events[0]["kind"], "bad-input");
    assert_eq!(events[0]["exit_code"], 1);
    assert_eq!(events[0]["path"], arg(&torn));
    assert!(
        events[0]["offset"]
            .as_u64()
            .is_some_and(|offset| offset < whole.len() as u64)
    );
}

#[test]
fn a_component_gets_a_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("component.wasm");
    std::fs::write(&path, b"\0asm\x0d\0\x01\0").expect("can be written");
    let output = run_wasmend(&["inspect", arg(&path)]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains(
            "a component, not a core WebAssembly module (at offset 0x4)\nhint: give the core module"
        ),
        "{message}"
    );
}

#[test]
fn another_writer_is_4_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("held.wasm");
    let _holder = Module::create(&path, ModuleOptions::default()).expect("can be created");
    let output = run_wasmend(&[
        "demo",
        "--functions",
        "100",
        "--edits",
        "1",
        "-o",
        arg(&path),
    ]);
    assert_eq!(output.status.code(), Some(4));
    let message = text(&output.stderr);
    assert!(
        message.contains(&std::process::id().to_string()),
        "{message}"
    );
}

#[test]
fn inspect_prints_a_map() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = module(folder.path());
    let output = Command::new(wasmend())
        .args(["inspect", "--functions", "module.wasm"])
        .current_dir(folder.path())
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(0));
    let bytes = std::fs::read(&path).expect("was written");
    let id = bytes[bytes.len() - 16..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let printed = text(&output.stdout);
    assert!(printed.contains(&id), "{printed}");
    snapshot!("cli-inspect", printed.replace(&id, "(build id)"));
}

#[test]
fn snapshots_say_the_same_of_the_same_builds() {
    let snapshots: [Vec<String>; 2] = std::array::from_fn(|_| {
        let folder = tempfile::tempdir().expect("a folder");
        let build = |name: &str, number: u32| {
            let text = format!(
                r#"(module (func $answer (export "answer") (result i32) i32.const {number})
                    (func $other (export "other") (result i32) call $answer))"#
            );
            let path = folder.path().join(name);
            std::fs::write(&path, wat::parse_str(text).expect("valid text")).expect("written");
            path
        };
        let builds = [build("1.wasm", 41), build("2.wasm", 42)];
        let out = folder.path().join("out.wasm");
        let before = folder.path().join("before.wasm");
        run_wasmend(&["replay", "-o", arg(&before), arg(&builds[0])]);
        run_wasmend(&["replay", "-o", arg(&out), arg(&builds[0]), arg(&builds[1])]);
        let said = |arguments: &[&str]| {
            let output = run_wasmend(arguments);
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
            text(&output.stdout).to_owned()
        };
        vec![
            said(&["snapshot", arg(&out)]),
            said(&["snapshot", arg(&out), arg(&before)]),
        ]
    });
    assert_eq!(snapshots[0], snapshots[1]);
    snapshot!("cli-snapshot", snapshots[0].join("\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let damaged = folder.path().join("damaged.wasm");
    std::fs::write(&damaged, "\0asm\x01\0\0\0\x01\x05").expect("written");
    let output = run_wasmend(&["snapshot", arg(&damaged)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("damaged.wasm"));
}

#[test]
fn inspect_events_account_for_every_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = module(folder.path());
    let output = run_wasmend(&["inspect", "--json", "--functions", arg(&path)]);
    let [map] = &events(&output)[..] else {
        panic!("one event")
    };
    assert_eq!(map["event"], "map");
    let len = std::fs::metadata(&path).expect("was written").len();
    assert_eq!(map["bytes"], len);
    let parts = map["parts"].as_array().expect("a list");
    assert_eq!(
        parts
            .iter()
            .filter_map(|part| part["bytes"].as_u64())
            .sum::<u64>(),
        len
    );
    let totals = map["totals"].as_object().expect("an object");
    assert_eq!(totals.values().filter_map(Value::as_u64).sum::<u64>(), len);
    assert_eq!(map["identity"]["generation"], 1);
    assert!(
        map["functions"]
            .as_array()
            .is_some_and(|functions| !functions.is_empty())
    );
}

#[test]
fn inspect_reads_modules_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.wasm");
    let module =
        wat::parse_str("(module (func (export \"f\") (result i32) i32.const 1 return nop))")
            .expect("is valid");
    std::fs::write(&path, module).expect("can be written");
    let output = run_wasmend(&["inspect", arg(&path)]);
    assert_eq!(output.status.code(), Some(0));
    let printed = text(&output.stdout);
    assert!(printed.contains("not written by wasmend"), "{printed}");
}

#[test]
fn a_small_demo_checks_its_results() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo.wasm");
    let output = run_wasmend(&[
        "demo",
        "--json",
        "--functions",
        "500",
        "--edits",
        "50",
        "-o",
        arg(&path),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let [demo] = &events(&output)[..] else {
        panic!("one event")
    };
    assert_eq!(demo["event"], "demo");
    let runs = demo["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert!(run["results_checked"].as_u64() >= Some(1000), "{run}");
        assert_eq!(run["rebuilt"], 0, "{run}");
        let median = run["patch"]["bytes_median"].as_u64().expect("a number");
        assert!(
            median * 20 < run["file_bytes"].as_u64().expect("a number"),
            "{run}"
        );
    }
    wasmparser::Validator::new()
        .validate_all(&std::fs::read(&path).expect("is kept"))
        .expect("is valid");

    let output = run_wasmend(&[
        "demo",
        "--functions",
        "500",
        "--edits",
        "20",
        "--redirect",
        "direct",
        "--publish",
        "in-place",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(
        printed.contains("patch, direct") && printed.contains("all right"),
        "{printed}"
    );
    // No terminal, so neither colour nor progress.
    assert!(
        !printed.contains('\u{1b}') && output.stderr.is_empty(),
        "{printed}{}",
        text(&output.stderr)
    );
}

#[test]
fn demos_leave_no_folder_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(wasmend())
        .args(["demo", "--functions", "100", "--edits", "2"])
        .env("TMPDIR", folder.path())
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        std::fs::read_dir(folder.path())
            .expect("still there")
            .count(),
        0
    );
}

#[test]
fn colour_is_for_terminals_or_when_asked_for() {
    let plain = run_wasmend(&["inspect", "/nonexistent"]);
    assert!(!plain.stderr.contains(&0x1b));
    let coloured = run_wasmend(&["--color", "always", "inspect", "/nonexistent"]);
    assert!(coloured.stderr.contains(&0x1b));
}

#[test]
fn completions_and_pages_name_every_command() {
    for args in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
    ] {
        let output = run_wasmend(args);
        assert_eq!(output.status.code(), Some(0));
        let printed = text(&output.stdout);
        for command in COMMANDS {
            assert!(printed.contains(command), "{args:?} lacks {command}");
        }
    }
    let page = text(&run_wasmend(&["man", "watch"]).stdout);
    assert!(page.contains("settle"), "{page}");
    let page = text(&run_wasmend(&["man", "ld"]).stdout);
    assert!(page.contains("export\\-if\\-defined"), "{page}");
    assert!(
        page.contains("fuse") && !page.contains("ld\\-path"),
        "{page}"
    );
    let script = text(&run_wasmend(&["completions", "bash"]).stdout);
    assert!(script.contains("--export-if-defined"), "{script}");
}

#[test]
fn every_command_that_help_lists_has_a_manual_page() {
    let help = text(&run_wasmend(&["--help"]).stdout);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed: Vec<&str> = listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty())
        .collect();
    assert!(listed.contains(&"serve"), "{listed:?}");
    for name in listed {
        let output = run_wasmend(&["man", name]);
        assert_eq!(output.status.code(), Some(0), "{name}");
        let page = text(&output.stdout);
        assert!(page.contains("SYNOPSIS"), "{name}: {page}");
    }
}

/// The page lists each reason of the library, with its number and name, and no other.
#[test]
fn every_relink_reason_has_its_row() {
    let source = include_str!("../../src/patch/relink.rs");
    let page = include_str!("../../design/relink-reasons.md");
    let between = |line: &str, from: &str, to: &str| {
        Some(line.split_once(from)?.1.split_once(to)?.0.to_owned())
    };
    let mut rows = Vec::new();
    for line in source
        .lines()
        .filter(|line| line.trim_start().starts_with("RelinkReason::"))
    {
        let (Some(variant), Some(word)) = (
            between(line, "RelinkReason::", " =>"),
            between(line, "\"", "\""),
        ) else {
            continue;
        };
        let declared = source
            .lines()
            .find_map(|line| between(line, &format!("    {variant} = "), ","));
        let number: u8 = declared
            .expect("has a number")
            .parse()
            .expect("is a number");
        rows.push(format!("| R{number:02} | `{word}` |"));
    }
    assert!(rows.len() >= 13);
    for row in &rows {
        assert!(
            page.contains(row.as_str()),
            "design/relink-reasons.md lacks {row}"
        );
    }
    let listed = page.lines().filter(|line| line.starts_with("| R")).count();
    assert_eq!(
        listed,
        rows.len(),
        "design/relink-reasons.md has a row too many"
    );
}
