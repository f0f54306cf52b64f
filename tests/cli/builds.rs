//! The commands that follow builds of a module: `replay`, `verify`, `finish`, with builds of real compilers. (`watch` has
//! tests of its own.)
//!
//! Run: `wasmend replay OUT V1 V2 V3`, `wasmend verify OUT BUILD`, `wasmend finish OUT -o DENSE`, on the modules of
//! `tests/modules`.

use std::path::{Path, PathBuf};

use crate::support::command::{arg, event, run_wasmend, text};
use crate::support::families;
use serde_json::Value;

fn build(name: &str) -> PathBuf {
    families::modules().join(name)
}

#[test]
fn replay_verify_and_finish() {
    let folder = tempfile::tempdir().expect("a folder");
    for (program, redirect) in [
        ("c-calc", "table"),
        ("rust-shapes", "direct"),
        ("c-json", "table"),
    ] {
        let out = folder.path().join(format!("{program}.wasm"));
        let builds = [1, 2, 3].map(|version| build(&format!("{program}/v{version}.wasm")));
        let mut args = vec!["replay", "--redirect", redirect, arg(&out)];
        args.extend(builds.iter().map(|build| arg(build)));
        let output = run_wasmend(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let printed = text(&output.stdout);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 3, "{printed}");
        assert!(
            lines[0].contains(": created, ") && lines[0].contains(" functions, "),
            "{printed}"
        );
        for line in &lines[1..] {
            assert!(
                line.contains(": patched, ") && line.contains(" bytes in "),
                "{printed}"
            );
        }

        let output = run_wasmend(&["verify", arg(&out), arg(&builds[2])]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        assert!(text(&output.stdout).contains(" is equivalent to "));

        let dense = folder.path().join("dense.wasm");
        let output = run_wasmend(&["finish", arg(&out), "-o", arg(&dense)]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let len = |path: &Path| std::fs::metadata(path).expect("was written").len();
        assert!(len(&dense) < len(&out));
        let output = run_wasmend(&["verify", arg(&dense), arg(&builds[2])]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    }
}

#[test]
fn what_differs_is_3_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.wasm");
    let (old, new) = (build("c-calc/v1.wasm"), build("c-calc/v2.wasm"));
    assert_eq!(
        run_wasmend(&["replay", arg(&out), arg(&old)]).status.code(),
        Some(0)
    );
    let output = run_wasmend(&["verify", arg(&out), arg(&new)]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stdout).contains("function `"),
        "{}",
        text(&output.stdout)
    );
    assert!(text(&output.stderr).starts_with(&format!("error: {}: differs from", out.display())));

    let output = run_wasmend(&["verify", "--json", arg(&out), arg(&new)]);
    assert_eq!(output.status.code(), Some(3));
    let printed = text(&output.stdout);
    let events: Vec<Value> = printed.lines().map(event).collect();
    assert_eq!(events[0]["event"], "verified");
    assert_eq!(events[0]["equivalent"], false);
    assert!(
        events[0]["differences"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    );
    assert_eq!(events[1]["event"], "error");
    assert_eq!(events[1]["exit_code"], 3);
}

#[test]
fn replay_tells_programs_what_it_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.wasm");
    let (old, new) = (build("rust-words/v1.wasm"), build("rust-words/v2.wasm"));
    let output = run_wasmend(&[
        "replay",
        "--json",
        arg(&out),
        arg(&old),
        arg(&new),
        arg(&new),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let events: Vec<Value> = printed
        .lines()
        .map(event)
        .filter(|event| event["event"] == "update")
        .collect();
    let outcomes: Vec<&Value> = events.iter().map(|event| &event["outcome"]).collect();
    assert_eq!(outcomes, ["created", "patched", "unchanged"]);
    assert_eq!(events[0]["relink"]["number"], 1);
    let ranges = events[1]["ranges"].as_array().expect("a list");
    let written: u64 = ranges
        .iter()
        .filter_map(|range| range["len"].as_u64())
        .sum();
    assert_eq!(events[1]["bytes_written"], written);
    assert_eq!(
        events[1]["file_bytes"],
        std::fs::metadata(&out).expect("was written").len()
    );
    assert!(events[1]["functions"]["changed"].as_u64() > Some(0));
    assert!(
        events[1]["phases"]
            .as_array()
            .is_some_and(|phases| phases.len() == 5)
    );
}

#[test]
fn a_build_that_is_not_valid_leaves_the_output_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.wasm");
    let bad = folder.path().join("bad.wasm");
    let good = build("c-sort/v1.wasm");
    let whole = std::fs::read(&good).expect("is there");
    std::fs::write(&bad, &whole[..whole.len() / 2]).expect("can be written");
    let output = run_wasmend(&["replay", arg(&out), arg(&good), arg(&bad)]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains(&format!("error: {}: unexpected end", bad.display())),
        "{message}"
    );
    assert!(message.contains("(at offset 0x"), "{message}");
    assert_eq!(
        run_wasmend(&["verify", arg(&out), arg(&good)])
            .status
            .code(),
        Some(0)
    );

    std::fs::write(&bad, b"").expect("can be written");
    let output = run_wasmend(&["replay", arg(&folder.path().join("other.wasm")), arg(&bad)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the file is empty"));
    assert!(!folder.path().join("other.wasm").exists());
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.wasm");
    assert_eq!(
        run_wasmend(&["replay", arg(&out), arg(&build("c-sort/v1.wasm"))])
            .status
            .code(),
        Some(0)
    );
    let before = std::fs::read(&out).expect("was written");
    let roundabout = folder.path().join("./out.wasm");
    for args in [
        &["finish", arg(&out), "-o", arg(&roundabout)][..],
        &["replay", arg(&out), arg(&roundabout)],
        &["watch", arg(&out), "-o", arg(&roundabout)],
    ] {
        let output = run_wasmend(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let message = text(&output.stderr);
        assert!(
            message.contains("both what is read") && message.contains("hint: "),
            "{message}"
        );
        assert_eq!(std::fs::read(&out).expect("is there"), before);
    }
}
