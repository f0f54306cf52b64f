//! Patches that travel, from the command line.
//!
//! Run: `wasmend replay --patches DIR`, `wasmend apply PATCH FILE`, on three builds of a program of
//! `tests/modules`, and `wasmend watch --patches` on objects.

use std::path::{Path, PathBuf};

use crate::support::command::{arg, events, run_wasmend, text};
use crate::support::families;
use crate::watching::{Watching, pick, program};
use rustix::process::Signal;

fn builds(count: usize) -> Vec<PathBuf> {
    let build = |version| families::modules().join(format!("c-calc/v{version}.wasm"));
    (1..=count).map(build).collect()
}

/// Replays builds, and keeps their versions as patches.
fn replay(folder: &Path, builds: &[PathBuf]) -> PathBuf {
    let (out, sent) = (folder.join("out.wasm"), folder.join("sent"));
    let mut args = vec!["replay", "--patches", arg(&sent), "-o", arg(&out)];
    args.extend(builds.iter().map(|build| arg(build)));
    let output = run_wasmend(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    out
}

fn patches(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("sent")).expect("was made");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("is there").path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn a_copy_that_takes_all_patches_is_the_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = replay(folder.path(), &builds(3));
    let patches = patches(folder.path());
    let names: Vec<_> = patches.iter().filter_map(|path| path.file_name()).collect();
    assert_eq!(
        names,
        [
            "00000001.wasmpatch",
            "00000002.wasmpatch",
            "00000003.wasmpatch"
        ]
    );
    for publish in ["atomic", "in-place"] {
        let copy = folder.path().join(publish).with_extension("wasm");
        let mut args = vec!["apply", "--publish", publish, "--json"];
        args.extend(patches.iter().map(|patch| arg(patch)));
        args.push(arg(&copy));
        let output = run_wasmend(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let events = events(&output);
        assert_eq!(events.len(), 3);
        for (at, event) in events.iter().enumerate() {
            assert_eq!(event["event"], "applied");
            assert_eq!(event["generation"], at + 1);
            assert_eq!(event["whole"], at == 0);
        }
        let read = |path| std::fs::read(path).expect("is there");
        assert!(read(&copy) == read(&out));
    }
    assert!(!folder.path().join("sent/.wasmend").exists());
}

#[test]
fn a_patch_for_another_version_is_refused_and_both_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    replay(folder.path(), &builds(3));
    let patches = patches(folder.path());
    let copy = folder.path().join("copy.wasm");
    let apply = |patch: &Path| run_wasmend(&["apply", arg(patch), arg(&copy)]);
    assert_eq!(apply(&patches[0]).status.code(), Some(0));
    let before = std::fs::read(&copy).expect("is there");
    let output = apply(&patches[2]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("version 1 ") && said.contains("version 2 "),
        "{said}"
    );
    // Neither is half of one taken in.
    let bytes = std::fs::read(&patches[1]).expect("is there");
    let torn = folder.path().join("torn.wasmpatch");
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).expect("can be written");
    let output = apply(&torn);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("is damaged"),
        "{}",
        text(&output.stderr)
    );
    let output = run_wasmend(&["apply", arg(&patches[1]), arg(&torn), arg(&copy)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(std::fs::read(&copy).expect("is there") == before);
    // What is no module is not replaced by one.
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "text").expect("can be written");
    let output = run_wasmend(&["apply", arg(&patches[0]), arg(&text)]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&text).expect("is there"), b"text");
}

#[test]
fn a_watched_link_sends_each_version() {
    let arguments = [
        "main.o",
        "twice.o",
        "pick.o",
        "-o",
        "out.wasm",
        "--patches",
        "sent",
    ];
    let mut watching = Watching::start(program(100), &arguments);
    watching.expect_update("created");
    watching.expect("watching");
    for added in [101, 5, 17] {
        watching.write("pick.o", pick(added));
        watching.expect_update("patched");
    }
    let (out, sent) = (watching.path("out.wasm"), watching.path("sent"));
    // The last one is written behind the line that says so.
    let last = sent.join("00000004.wasmpatch");
    while !last.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let copy = watching.path("copy.wasm");
    let mut args = vec!["apply".to_owned()];
    args.extend((1..5).map(|at| arg(&sent.join(format!("{at:08}.wasmpatch"))).to_owned()));
    args.push(arg(&copy).to_owned());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = run_wasmend(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let read = |path: &Path| std::fs::read(path).expect("is there");
    assert!(read(&copy) == read(&out));
    watching.stop(Signal::TERM);
}

#[test]
fn a_new_run_removes_the_patches_of_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    replay(folder.path(), &builds(3));
    let kept = folder.path().join("sent/notes.wasmpatch");
    std::fs::write(&kept, "mine").expect("can be written");
    replay(folder.path(), &builds(2));
    let names: Vec<PathBuf> = patches(folder.path());
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(kept.exists());
}
