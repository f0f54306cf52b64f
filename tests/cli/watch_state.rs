//! Watching with state: a watch goes on where an earlier process ended, `ld --state`, `patch`, `replay-ld`, `replay` or another
//! watch, and leaves what the next process goes on with, however it ends.
//!
//! Run: `wasmend watch --state main.o twice.o pick.o -o out.wasm` and the like, on copies of `tests/objects`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value as Json;
use wasmend::inspect::finish;

use crate::support::command::{text, wasmend};
use crate::support::smith::Rng;
use crate::watching::{Watching, answer, archive, object, pick, program};

const OBJECTS: [&str; 3] = ["main.o", "twice.o", "pick.o"];
const LINK: [&str; 6] = ["--state", "main.o", "twice.o", "pick.o", "-o", "out.wasm"];
/// Longer than a watch waits before it saves.
const REST: Duration = Duration::from_millis(900);

/// Later than the step of any file system's clock.
fn tick() {
    std::thread::sleep(Duration::from_millis(30));
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(wasmend());
    command.args(arguments).current_dir(folder);
    command.env_remove("WASMEND_STATE_UNUSABLE");
    command.output().expect("the command runs")
}

/// Runs a command that must go well, and say this.
fn expect(folder: &Path, arguments: &[&str], expected: &str) {
    let done = run(folder, arguments);
    let said = text(&done.stderr) + &text(&done.stdout);
    assert!(done.status.success(), "{arguments:?}: {said}");
    assert!(said.contains(expected), "expected {expected:?}: {said}");
    assert!(!said.contains("no state was kept"), "{said}");
}

/// Links by a process of its own.
fn ld(folder: &Path, expected: &str) {
    ld_with(folder, &[], expected);
}

/// The same with other options.
fn ld_with(folder: &Path, options: &[&str], expected: &str) {
    let line = ["--verbose", "ld", "--state", "-o", "out.wasm"];
    expect(folder, &[&line[..], options, &OBJECTS].concat(), expected);
}

/// Changes the program: its answer is now 160 and this.
fn change(folder: &Path, added: u8) {
    fs::write(folder.join("pick.o"), pick(added)).unwrap();
}

/// A link goes on with what was kept: it finds that nothing has changed, and patches what then does.
fn expect_kept(folder: &Path, added: u8, context: &str) {
    ld(folder, "nothing has changed");
    change(folder, added);
    ld(folder, "patched 1 function");
    assert_eq!(
        answer(&folder.join("out.wasm")),
        160 + i32::from(added),
        "{context}"
    );
    expect_fresh(folder, context);
}

/// The output is what a link of the same objects from nothing makes, in the dense form of both.
fn expect_fresh(folder: &Path, context: &str) {
    fs::create_dir_all(folder.join("fresh")).unwrap();
    let line = ["ld", "-o", "fresh/out.wasm", "--no-state"];
    let done = run(folder, &[&line[..], &OBJECTS].concat());
    assert!(done.status.success(), "{context}: {}", text(&done.stderr));
    let dense = |name: &str| finish(&fs::read(folder.join(name)).unwrap()).expect(context);
    assert!(dense("out.wasm") == dense("fresh/out.wasm"), "{context}");
}

/// Waits for the next update, which must come to this, and for what a watch does behind it.
fn update(watching: &mut Watching, outcome: &str) {
    watching.expect_update(outcome);
    watching.expect("state");
}

/// What the last link or patch did, by the log.
fn logged(folder: &Path) -> Json {
    let log = fs::read_to_string(folder.join(".wasmend/out.wasm.log")).unwrap();
    serde_json::from_str(log.lines().last().unwrap()).unwrap()
}

fn start(folder: tempfile::TempDir) -> Watching {
    Watching::start(folder, &LINK)
}

/// A watch of a program that it has linked, from nothing.
fn begun() -> Watching {
    let folder = program(100);
    tick();
    let mut watching = start(folder);
    update(&mut watching, "created");
    watching
}

/// Takes the folder of a watch that is to end.
fn take_folder(watching: &mut Watching) -> tempfile::TempDir {
    std::mem::replace(&mut watching.folder, tempfile::tempdir().unwrap())
}

/// Ends a watch, and takes its folder over.
fn stop(mut watching: Watching) -> tempfile::TempDir {
    let folder = take_folder(&mut watching);
    watching.stop(Signal::TERM);
    folder
}

/// Kills a watch, and takes its folder over once it is gone.
fn kill(mut watching: Watching) -> tempfile::TempDir {
    watching.signal(Signal::KILL);
    take_folder(&mut watching)
}

#[test]
fn a_watch_goes_on_from_a_link_and_a_link_from_a_watch() {
    let folder = program(100);
    tick();
    ld(
        folder.path(),
        "all is linked: there is no state from before",
    );
    tick();
    // Nothing has changed: nothing is linked.
    let mut watching = start(folder);
    watching.expect_update("unchanged");
    assert_eq!(watching.expect("state")["outcome"], "unchanged");
    watching.expect("watching");
    for added in 1..4 {
        watching.write("pick.o", pick(added));
        watching.expect_update("patched");
        assert_eq!(watching.expect("state")["outcome"], "patched");
        assert_eq!(answer(&watching.path("out.wasm")), 160 + i32::from(added));
    }
    let folder = stop(watching);
    expect_kept(folder.path(), 9, "after the link");
    // What changed while nobody watched is a patch.
    change(folder.path(), 10);
    let mut watching = start(folder);
    update(&mut watching, "patched");
    assert_eq!(answer(&watching.path("out.wasm")), 170);
    let folder = stop(watching);
    let mut watching = start(folder);
    update(&mut watching, "unchanged");
    let folder = stop(watching);
    expect_fresh(folder.path(), "after the watch");
    assert_eq!(logged(folder.path())["outcome"], "unchanged");
}

#[test]
fn a_watch_that_begins_from_nothing_leaves_a_state() {
    let mut watching = start(program(100));
    watching.expect_update("created");
    let linked = watching.expect("state");
    assert_eq!(
        (&linked["outcome"], &linked["code"]),
        (&"linked".into(), &"S01".into())
    );
    watching.write("pick.o", pick(7));
    update(&mut watching, "patched");
    let folder = stop(watching);
    expect_kept(folder.path(), 8, "after a watch from nothing");
}

#[test]
fn processes_of_all_kinds_in_any_order_are_equal_to_a_fresh_link_at_each_step() {
    let mut rng = Rng::new(7);
    let mut folder = program(0);
    let mut kinds = [0; 4];
    for step in 0..24 {
        let path = folder.path().to_path_buf();
        let kind = rng.below(4);
        kinds[kind] += 1;
        let mut added = 1 + rng.below(60) as u8;
        change(&path, added);
        match kind {
            0 => ld(&path, ""),
            1 => ld_with(&path, &["--export=twice"], "all is linked"),
            2 => {
                for number in 0..2u8 {
                    let name = path.join(format!("step{number}"));
                    fs::create_dir_all(&name).unwrap();
                    fs::write(name.join("pick.o"), pick(added + number)).unwrap();
                }
                let line = [
                    "replay-ld",
                    "--verify",
                    "--step",
                    "step0",
                    "--step",
                    "step1",
                ];
                let arguments = ["--", "--state", "-o", "out.wasm"];
                expect(&path, &[&line[..], &arguments, &OBJECTS].concat(), "");
                added += 1;
                change(&path, added);
            }
            _ => {
                let mut watching = start(folder);
                watching.expect("state");
                for _ in 0..2 {
                    added = (added + 1 + rng.below(9) as u8) % 100;
                    watching.write("pick.o", pick(added));
                    update(&mut watching, "patched");
                }
                folder = stop(watching);
            }
        }
        let context = format!("step {step}, kind {kind}, {:?}", logged(&path));
        assert_eq!(
            answer(&path.join("out.wasm")),
            160 + i32::from(added),
            "{context}"
        );
        if kind != 1 {
            expect_fresh(&path, &context);
        }
    }
    assert!(kinds.iter().all(|kind| *kind > 1), "{kinds:?}");
}

/// What one watch writes is what links one after the other write, byte by byte, but for what the version is called.
#[test]
fn a_watch_writes_what_processes_one_after_the_other_write() {
    let one = program(50);
    let other = program(50);
    tick();
    ld(one.path(), "all is linked");
    let mut watching = start(other);
    update(&mut watching, "created");
    for added in 1..6 {
        change(one.path(), added);
        ld(one.path(), "patched 1 function");
        watching.write("pick.o", pick(added));
        update(&mut watching, "patched");
        let read = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            let unnamed = bytes.len() - 16;
            bytes[..unnamed].to_vec()
        };
        let (one, other) = (
            read(&one.path().join("out.wasm")),
            read(&watching.path("out.wasm")),
        );
        assert!(one == other, "after {added}");
    }
    stop(watching);
}

#[test]
fn a_watch_that_is_killed_at_any_time_leaves_what_the_next_link_can_use_or_nothing() {
    let mut rng = Rng::new(3);
    let mut folder = program(1);
    let mut used = 0;
    for round in 0..12 {
        let mut watching = start(folder);
        watching.expect("update");
        for _ in 0..rng.below(4) {
            watching.write("pick.o", pick(1 + rng.below(60) as u8));
            std::thread::sleep(Duration::from_millis(rng.below(450) as u64));
        }
        // Also while it saves, and in the midst of a patch.
        std::thread::sleep(Duration::from_micros(rng.below(30_000) as u64));
        folder = kill(watching);
        let path = folder.path().to_path_buf();
        // What is there is whole, whatever version it is.
        let found = answer(&path.join("out.wasm"));
        assert!((160..260).contains(&found), "round {round}: {found}");
        if rng.once_in(2) {
            change(&path, 1 + rng.below(60) as u8);
        }
        ld(&path, "");
        used += u32::from(logged(&path)["outcome"] != "linked");
        expect_fresh(&path, &format!("round {round}: {:?}", logged(&path)));
    }
    assert!(used > 2, "{used} of the links went on from a watch");
}

#[test]
fn a_watch_that_rested_and_is_killed_leaves_a_state() {
    let mut watching = begun();
    watching.write("pick.o", pick(5));
    update(&mut watching, "patched");
    std::thread::sleep(REST);
    let folder = kill(watching);
    expect_kept(folder.path(), 6, "after the kill");
}

#[test]
fn a_watch_follows_what_is_written_in_place_though_it_has_let_go_of_the_files() {
    let mut watching = begun();
    for added in [5u8, 6, 5, 5, 9] {
        // As long as before, in the same file.
        let bytes = pick(added);
        let before = answer(&watching.path("out.wasm"));
        fs::write(watching.path("pick.o"), &bytes).unwrap();
        if before == 160 + i32::from(added) {
            std::thread::sleep(Duration::from_millis(200));
        } else {
            update(&mut watching, "patched");
        }
        assert_eq!(answer(&watching.path("out.wasm")), 160 + i32::from(added));
    }
    // What cannot be linked changes nothing, also if it is cut short.
    watching.write("pick.o", b"\0asm\x01\0\0\0");
    watching.expect("error");
    watching.write("pick.o", pick(9));
    std::thread::sleep(Duration::from_millis(300));
    watching.write("pick.o", pick(11));
    update(&mut watching, "patched");
    let folder = stop(watching);
    expect_fresh(folder.path(), "after what could not be linked");
    ld(folder.path(), "nothing has changed");
}

#[test]
fn what_cannot_be_patched_is_linked_anew_in_the_same_process_and_kept() {
    let folder = program(100);
    fs::write(folder.path().join("link.rsp"), "main.o twice.o pick.o").unwrap();
    tick();
    let mut watching = Watching::start(folder, &["--state", "@link.rsp", "-o", "out.wasm"]);
    update(&mut watching, "created");
    // Other options.
    watching.write("link.rsp", "main.o twice.o pick.o --export=twice");
    watching.expect("update");
    let linked = watching.expect("state");
    assert_eq!(linked["outcome"], "linked", "{linked}");
    watching.write("pick.o", pick(3));
    update(&mut watching, "patched");
    // The output is taken away.
    for _ in 0..3 {
        fs::remove_file(watching.path("out.wasm")).unwrap();
        watching.expect("update");
        watching.expect("state");
        watching.expect_answer(163);
    }
    watching.write("pick.o", pick(4));
    update(&mut watching, "patched");
    assert_eq!(answer(&watching.path("out.wasm")), 164);
    let folder = stop(watching);
    ld_with(folder.path(), &["--export=twice"], "nothing has changed");
    change(folder.path(), 5);
    ld_with(folder.path(), &["--export=twice"], "patched 1 function");
    assert_eq!(answer(&folder.path().join("out.wasm")), 165);
}

#[test]
fn a_link_that_fails_at_first_is_kept_when_it_does_not() {
    let folder = program(100);
    fs::remove_file(folder.path().join("pick.o")).unwrap();
    fs::write(folder.path().join("pick.o"), object("twice.o")).unwrap();
    let arguments = [&LINK[..], &["--patience", "300"]].concat();
    let mut watching = Watching::start(folder, &arguments);
    watching.expect("error");
    watching.write("pick.o", pick(7));
    update(&mut watching, "created");
    let folder = stop(watching);
    expect_kept(folder.path(), 8, "after a failure");
}

#[test]
fn a_link_beside_a_watch_says_who_writes_the_output_and_spoils_nothing() {
    let mut watching = begun();
    watching.expect("watching");
    std::thread::sleep(REST);
    // What is up to date needs nobody's lock.
    ld(watching.folder.path(), "nothing has changed");
    let refused = |watching: &Watching, options: &[&str]| {
        let line = ["ld", "--state", "-o", "out.wasm"];
        let began = Instant::now();
        let done = run(
            watching.folder.path(),
            &[&line[..], options, &OBJECTS].concat(),
        );
        let said = text(&done.stderr);
        assert!(!done.status.success(), "{said}");
        assert!(said.contains("is writing this output"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{said}");
    };
    refused(&watching, &["--export=twice"]);
    // What is to be done is done by the watch, when it goes on.
    watching.signal(Signal::STOP);
    watching.write("pick.o", pick(5));
    refused(&watching, &[]);
    refused(&watching, &[]);
    watching.signal(Signal::CONT);
    update(&mut watching, "patched");
    let folder = stop(watching);
    ld(folder.path(), "nothing has changed");
    expect_fresh(folder.path(), "after two processes");
}

#[test]
fn two_watches_that_want_the_same_output_do_not_disturb_one_another() {
    let folder = program(100);
    tick();
    ld(folder.path(), "all is linked");
    let mut watching = start(folder);
    update(&mut watching, "unchanged");
    let second = [&["watch"], &LINK[..]].concat();
    let done = run(watching.folder.path(), &second);
    assert!(!done.status.success());
    assert!(
        text(&done.stderr).contains("is writing this output"),
        "{done:?}"
    );
    watching.write("pick.o", pick(5));
    update(&mut watching, "patched");
    let folder = stop(watching);
    ld(folder.path(), "nothing has changed");
    expect_fresh(folder.path(), "after two watches");
}

#[test]
fn whatever_becomes_of_what_is_kept_a_watch_goes_on() {
    let mut watching = begun();
    watching.expect("watching");
    std::thread::sleep(REST);
    fs::remove_dir_all(watching.path(".wasmend")).unwrap();
    for added in 1..4 {
        watching.write("pick.o", pick(added));
        watching.expect("update");
        watching.expect_answer(160 + i32::from(added));
        std::thread::sleep(REST);
    }
    let folder = stop(watching);
    ld(folder.path(), "");
    expect_fresh(folder.path(), "without the folder");
}

#[test]
fn members_of_archives_are_followed_and_kept() {
    for is_thin in [false, true] {
        let folder = program(100);
        let write = |folder: &Path, added: u8| {
            fs::write(folder.join("pick.o"), pick(added)).unwrap();
            fs::write(folder.join("libpick.a"), archive(is_thin, &pick(added))).unwrap();
        };
        write(folder.path(), 1);
        tick();
        let line = [
            "--state",
            "main.o",
            "libpick.a",
            "twice.o",
            "-o",
            "out.wasm",
        ];
        let mut watching = Watching::start(folder, &line);
        update(&mut watching, "created");
        for added in 2..5 {
            write(watching.folder.path(), added);
            watching.expect_answer(160 + i32::from(added));
        }
        let folder = stop(watching);
        let again = [&["--verbose", "ld"], &line[..]].concat();
        expect(folder.path(), &again, "nothing has changed");
        write(folder.path(), 9);
        expect(folder.path(), &again, "patched 1 function");
        assert_eq!(answer(&folder.path().join("out.wasm")), 169);
        let mut watching = Watching::start(folder, &line);
        update(&mut watching, "unchanged");
        write(watching.folder.path(), 10);
        update(&mut watching, "patched");
        watching.expect_answer(170);
        stop(watching);
    }
}

#[test]
fn state_that_is_kept_elsewhere_is_used_by_both() {
    let folder = program(100);
    tick();
    let line = [
        "--state-dir",
        "kept",
        "main.o",
        "twice.o",
        "pick.o",
        "-o",
        "out.wasm",
    ];
    let linked = [&["--verbose", "ld"], &line[..]].concat();
    expect(folder.path(), &linked, "all is linked");
    let mut watching = Watching::start(folder, &line);
    update(&mut watching, "unchanged");
    watching.write("pick.o", pick(5));
    update(&mut watching, "patched");
    watching.expect_answer(165);
    // A copy that is taken away is made again, and nothing is linked for it.
    fs::remove_file(watching.path("out.wasm")).unwrap();
    watching.expect_answer(165);
    watching.write("pick.o", pick(6));
    update(&mut watching, "patched");
    watching.expect_answer(166);
    let folder = stop(watching);
    expect(folder.path(), &linked, "nothing has changed");
    change(folder.path(), 7);
    expect(folder.path(), &linked, "patched 1 function");
    assert_eq!(answer(&folder.path().join("out.wasm")), 167);
}

fn whole(number: i32) -> Vec<u8> {
    let text = format!(
        "(module (memory 1) (func (export \"one\") (result i32) (i32.const 1))
            (func (export \"number\") (result i32) (i32.const {number})))"
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn builds_of_a_module_are_patched_watched_and_replayed_in_turns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    let write = |number: i32| fs::write(path.join("build.wasm"), whole(number)).unwrap();
    let verify = |context: &str| {
        let done = run(&path, &["verify", "out.wasm", "build.wasm"]);
        assert!(done.status.success(), "{context}: {}", text(&done.stderr));
    };
    let patch = ["patch", "out.wasm", "build.wasm"];
    let watch = ["--state", "build.wasm", "-o", "out.wasm"];
    write(1);
    tick();
    expect(&path, &patch, "made anew");
    let mut watching = Watching::start(folder, &watch);
    watching.expect("state");
    for number in 2..5 {
        write(number);
        update(&mut watching, "patched");
        verify("while it is watched");
    }
    let folder = stop(watching);
    expect(&path, &patch, "nothing has changed");
    write(9);
    expect(&path, &patch, "patched 1 function");
    for number in 0..2 {
        fs::write(path.join(format!("build{number}.wasm")), whole(20 + number)).unwrap();
    }
    let replay = [
        "replay",
        "--state",
        "-o",
        "out.wasm",
        "build0.wasm",
        "build1.wasm",
    ];
    expect(&path, &replay, "");
    assert_eq!(logged(&path)["outcome"], "patched");
    write(21);
    expect(&path, &patch, "nothing has changed");
    write(22);
    expect(&path, &patch, "patched 1 function");
    verify("after a replay");
    // Killed when it has rested, and when it has not.
    let mut watching = Watching::start(folder, &watch);
    watching.expect("watching");
    write(30);
    update(&mut watching, "patched");
    std::thread::sleep(REST);
    let folder = kill(watching);
    expect(&path, &patch, "nothing has changed");
    let mut watching = Watching::start(folder, &watch);
    watching.expect("watching");
    write(31);
    update(&mut watching, "patched");
    let folder = kill(watching);
    expect(&path, &patch, "");
    verify("after a kill");
    // The output is taken away.
    let mut watching = Watching::start(folder, &watch);
    watching.expect("watching");
    fs::remove_file(path.join("out.wasm")).unwrap();
    watching.expect("update");
    write(40);
    update(&mut watching, "patched");
    let _folder = stop(watching);
    verify("after the output was gone");
    expect(&path, &patch, "nothing has changed");
}
