//! `wasmend doctor` and `wasmend clean`, and the log that links keep: what they say, that the first changes nothing and the second
//! only what is wasmend's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

use crate::support::command::{events, text, wasmend};
use crate::watching::{answer, pick, program};

const LINE: [&str; 7] = [
    "ld", "--state", "main.o", "twice.o", "pick.o", "-o", "out.wasm",
];

fn run(folder: &Path, line: &[&str]) -> Output {
    let mut command = Command::new(wasmend());
    command.args(line).current_dir(folder);
    command
        .env_remove("WASMEND_STATE_UNUSABLE")
        .output()
        .unwrap()
}

fn link(folder: &Path) {
    let ran = run(folder, &LINE);
    assert!(ran.status.success(), "{ran:?}");
}

/// What the doctor says, which must leave everything as it was.
fn doctor(folder: &Path) -> (Option<i32>, Json) {
    let before = everything(folder);
    let ran = run(folder, &["--json", "doctor", "out.wasm"]);
    assert_eq!(everything(folder), before);
    let found = events(&ran).remove(0);
    assert_eq!(found["event"], "doctor");
    assert_eq!(found["healthy"], ran.status.success());
    // For people it comes to the same.
    let people = run(folder, &["doctor", "out.wasm"]);
    assert_eq!(people.status.code(), ran.status.code());
    assert_eq!(
        text(&people.stdout).contains("PROBLEM"),
        !ran.status.success()
    );
    (ran.status.code(), found)
}

/// Every file of a folder and of the state folder in it: its time and its contents.
fn everything(folder: &Path) -> BTreeMap<PathBuf, (std::time::SystemTime, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for name in ["", ".wasmend"] {
        for entry in fs::read_dir(folder.join(name)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let contents = fs::read(&path).unwrap_or_default();
            all.insert(path, (found.modified().unwrap(), contents));
        }
    }
    all
}

fn kept(folder: &Path, suffix: &str) -> PathBuf {
    folder.join(".wasmend").join(format!("out.wasm{suffix}"))
}

#[test]
fn the_doctor_says_what_the_next_link_will_do() {
    let folder = program(1);
    let folder = folder.path();
    let (code, found) = doctor(folder);
    assert_eq!((code, &found["code"]), (Some(0), &"S01".into()), "{found}");
    assert!(!folder.join(".wasmend").exists());
    link(folder);
    std::thread::sleep(std::time::Duration::from_millis(30));
    link(folder);
    let (code, found) = doctor(folder);
    assert_eq!(
        (code, &found["next"]),
        (Some(0), &"nothing".into()),
        "{found}"
    );
    assert_eq!(found["generation"], 1);
    fs::write(folder.join("pick.o"), pick(2)).unwrap();
    let (code, found) = doctor(folder);
    assert_eq!(
        (code, &found["next"]),
        (Some(0), &"update".into()),
        "{found}"
    );
    assert_eq!(found["changed"], Json::from(vec!["pick.o"]));
    link(folder);
    let (_, found) = doctor(folder);
    let links = found["links"].as_array().unwrap();
    let outcomes: Vec<&Json> = links.iter().map(|link| &link["outcome"]).collect();
    assert_eq!(outcomes, ["linked", "unchanged", "patched"], "{found}");
    assert_eq!(links[0]["code"], "S01");
    assert!(
        links
            .iter()
            .all(|link| link["time"].as_str().unwrap().ends_with('Z'))
    );
    // From another folder too: it is known where the link was run.
    let elsewhere = tempfile::tempdir().unwrap();
    let output = folder.join("out.wasm").display().to_string();
    let ran = run(elsewhere.path(), &["--json", "doctor", &output]);
    assert!(ran.status.success());
    assert_ne!(events(&ran)[0]["next"], "all");
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    type Case = (&'static str, fn(&Path), &'static str);
    let cases: [Case; 7] = [
        (
            "an output that somebody wrote",
            |folder| fs::write(folder.join("out.wasm"), b"\0asm\x01\0\0\0").unwrap(),
            "the output is not the one",
        ),
        (
            "an output that is no module",
            |folder| fs::write(folder.join("out.wasm"), b"text").unwrap(),
            "is no whole module",
        ),
        (
            "a damaged head",
            |folder| fs::write(kept(folder, ".state"), b"wasmend state 03").unwrap(),
            "its head is cut short or damaged",
        ),
        (
            "a damaged heap",
            |folder| {
                let mut bytes = fs::read(kept(folder, ".heap")).unwrap();
                bytes[0] ^= 1;
                fs::write(kept(folder, ".heap"), bytes).unwrap();
            },
            "its heap is not what was written",
        ),
        (
            "what a killed process left",
            |folder| fs::write(kept(folder, ".new"), b"half").unwrap(),
            "out.wasm.new is left of a link that was killed",
        ),
        (
            "a heap without a head",
            |folder| fs::remove_file(kept(folder, ".state")).unwrap(),
            "out.wasm.heap is left of a link that was killed",
        ),
        (
            "a link where a file should be",
            |folder| {
                fs::remove_file(kept(folder, ".heap")).unwrap();
                symlink("/nowhere", kept(folder, ".heap")).unwrap();
            },
            "out.wasm.heap is no regular file of this user",
        ),
    ];
    for (what, damage, expected) in cases {
        let folder = program(1);
        let folder = folder.path();
        link(folder);
        damage(folder);
        let (code, found) = doctor(folder);
        assert_eq!(code, Some(3), "{what}: {found}");
        let problems = found["problems"].as_array().unwrap();
        let mut problems = problems.iter().map(|problem| problem.as_str().unwrap());
        assert!(
            problems.any(|problem| problem.contains(expected)),
            "{what}: {found}"
        );
        // The next link mends it.
        fs::write(folder.join("pick.o"), pick(3)).unwrap();
        link(folder);
        let (code, found) = doctor(folder);
        assert_eq!(code, Some(0), "{what}: {found}");
        assert_eq!(answer(&folder.join("out.wasm")), 163, "{what}");
    }
}

#[test]
fn clean_removes_what_is_kept_of_one_output_and_nothing_else() {
    let folder = program(1);
    let folder = folder.path();
    link(folder);
    let other = [
        "ld",
        "--state",
        "main.o",
        "twice.o",
        "pick.o",
        "-o",
        "other.wasm",
    ];
    assert!(run(folder, &other).status.success());
    let mine = folder.join(".wasmend/mine");
    fs::write(&mine, b"a user's").unwrap();
    fs::write(
        folder.join(".wasmend/.wasmend-0123456789abcdef.tmp"),
        b"left",
    )
    .unwrap();
    fs::write(folder.join(".wasmend-0123456789abcdef.tmp"), b"left").unwrap();
    fs::write(kept(folder, ".new"), b"left").unwrap();
    let output = fs::read(folder.join("out.wasm")).unwrap();
    let ran = run(folder, &["--json", "clean", "out.wasm"]);
    assert!(ran.status.success(), "{ran:?}");
    let event = &events(&ran)[0];
    assert_eq!(event["event"], "cleaned");
    assert!(event["bytes"].as_u64().unwrap() > 100_000, "{event}");
    assert_eq!(fs::read(folder.join("out.wasm")).unwrap(), output);
    let names = fs::read_dir(folder.join(".wasmend")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| !name.starts_with("other.wasm"))
        .collect();
    names.sort();
    assert_eq!(names, [".gitignore", "mine"]);
    assert!(!folder.join(".wasmend-0123456789abcdef.tmp").exists());
    // The other output is still patched, and when both are gone and the user's file too, so is the folder.
    fs::write(folder.join("pick.o"), pick(2)).unwrap();
    let ran = run(folder, &[&["-v"], &other[..]].concat());
    assert!(text(&ran.stderr).contains("patched 1 function"), "{ran:?}");
    fs::remove_file(mine).unwrap();
    assert!(run(folder, &["clean", "other.wasm"]).status.success());
    assert!(!folder.join(".wasmend").exists());
    let ran = run(folder, &["clean", "out.wasm"]);
    assert!(text(&ran.stdout).contains("nothing to remove"), "{ran:?}");
}

#[test]
fn clean_leaves_what_is_used_or_somebody_elses() {
    let folder = program(1);
    let folder = folder.path();
    link(folder);
    // As a process holds it that goes on with the state.
    let heap = fs::File::open(kept(folder, ".heap")).unwrap();
    heap.lock().unwrap();
    let before = everything(folder);
    let ran = run(folder, &["clean", "out.wasm"]);
    assert_eq!(ran.status.code(), Some(4), "{ran:?}");
    assert_eq!(everything(folder), before);
    drop(heap);
    // As the writer of the output holds it.
    let lock = fs::File::open(kept(folder, ".lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(run(folder, &["clean", "out.wasm"]).status.code(), Some(4));
    assert_eq!(everything(folder), before);
    drop(lock);
    // Links, and what they lead to, are not wasmend's.
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, b"somebody's").unwrap();
    fs::remove_file(kept(folder, ".options")).unwrap();
    symlink(&victim, kept(folder, ".options")).unwrap();
    let ran = run(folder, &["--json", "clean", "out.wasm"]);
    assert!(ran.status.success(), "{ran:?}");
    let said = events(&ran);
    let cleaned = said
        .iter()
        .find(|event| event["event"] == "cleaned")
        .unwrap();
    assert_eq!(cleaned["left"], Json::from(vec!["out.wasm.options"]));
    assert!(fs::symlink_metadata(kept(folder, ".options")).is_ok());
    assert_eq!(fs::read(&victim).unwrap(), b"somebody's");
    // A folder that is a link is not gone into.
    fs::remove_dir_all(folder.join(".wasmend")).unwrap();
    symlink(elsewhere.path(), folder.join(".wasmend")).unwrap();
    assert_eq!(run(folder, &["clean", "out.wasm"]).status.code(), Some(1));
    assert!(victim.exists());
}

#[test]
fn what_is_kept_in_another_folder_is_found_by_the_version_of_the_output() {
    let folder = program(1);
    let folder = folder.path();
    let line = [&LINE[..], &["--state-dir", "states"]].concat();
    assert!(run(folder, &line).status.success());
    let ran = run(
        folder,
        &["--json", "doctor", "--state-dir", "states", "out.wasm"],
    );
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(events(&ran)[0]["state"], true);
    let ran = run(folder, &["clean", "--state-dir", "states", "out.wasm"]);
    assert!(ran.status.success(), "{ran:?}");
    assert!(!folder.join("states/.wasmend").exists());
    fs::write(folder.join("other.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let ran = run(folder, &["doctor", "--state-dir", "states", "other.wasm"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
}

#[test]
fn the_log_has_a_line_for_each_link_and_stays_short() {
    let folder = program(1);
    let folder = folder.path();
    link(folder);
    fs::write(folder.join("pick.o"), b"no object").unwrap();
    assert_eq!(run(folder, &LINE).status.code(), Some(1));
    let log = fs::read_to_string(kept(folder, ".log")).unwrap();
    let lines: Vec<Json> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["outcome"], "failed");
    assert!(
        lines[1]["reason"].as_str().unwrap().contains("pick.o"),
        "{log}"
    );
    fs::write(folder.join("pick.o"), pick(2)).unwrap();
    let filler = "not a line of a log\n".repeat(20_000);
    for _ in 0..3 {
        let mut bytes = fs::read(kept(folder, ".log")).unwrap();
        bytes.extend(filler.bytes());
        fs::write(kept(folder, ".log"), bytes).unwrap();
        link(folder);
        let lens = [".log", ".log.old"].map(|name| fs::metadata(kept(folder, name)).unwrap().len());
        assert!(lens[0] < 1000, "{lens:?}");
    }
    let (code, found) = doctor(folder);
    assert_eq!(code, Some(0));
    assert!(!found["links"].as_array().unwrap().is_empty());
}

#[test]
fn each_link_with_state_is_an_event() {
    let folder = program(1);
    let folder = folder.path();
    let line = [&["--json"], &LINE[..]].concat();
    let last = |expected: &str| {
        let ran = run(folder, &line);
        let state = events(&ran)
            .into_iter()
            .find(|event| event["event"] == "state");
        let state = state.expect("an event for the link");
        assert_eq!(state["outcome"], expected, "{state}");
        state
    };
    let first = last("linked");
    assert_eq!(first["code"], "S01");
    assert!(first["state_bytes"].as_u64().unwrap() > 100_000);
    fs::write(folder.join("pick.o"), pick(2)).unwrap();
    let patch = last("patched");
    assert_eq!(
        (&patch["functions"], &patch["reason"]),
        (&1.into(), &Json::Null)
    );
    assert!(patch["bytes_written"].as_u64().unwrap() < 100);
    fs::write(folder.join("pick.o"), b"no object").unwrap();
    assert!(
        last("failed")["reason"]
            .as_str()
            .unwrap()
            .contains("pick.o")
    );
}
