//! Watching builds of a module.
//!
//! Run: `wasmend watch build.wasm -o out.wasm`, with the versions of `tests/modules/c-sort` saved in every way.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::command::wasmend;
use crate::watching::{Watching, build};

fn versions() -> ([PathBuf; 3], [Vec<u8>; 3]) {
    let versions = [1, 2, 3].map(|version| build(&format!("c-sort/v{version}.wasm")));
    let bytes = versions
        .clone()
        .map(|path| fs::read(path).expect("is there"));
    (versions, bytes)
}

fn start(first: Option<&[u8]>, patience: &str) -> Watching {
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(first) = first {
        fs::write(folder.path().join("build.wasm"), first).expect("can be written");
    }
    let arguments = ["build.wasm", "-o", "out.wasm"];
    let waiting = ["--settle", "30", "--patience", patience];
    Watching::start(folder, &[&arguments[..], &waiting].concat())
}

#[test]
fn every_way_of_saving_is_followed() {
    let (versions, bytes) = versions();
    let mut watching = start(Some(&bytes[0]), "400");
    watching.expect_build("created", &versions[0]);

    // Truncate and write, in pieces, slower than the file settles.
    let mut file = fs::File::create(watching.path("build.wasm")).expect("can be written");
    for piece in bytes[1].chunks(bytes[1].len() / 4) {
        file.write_all(piece).expect("can be written");
        std::thread::sleep(Duration::from_millis(60));
    }
    drop(file);
    watching.expect_build("patched", &versions[1]);

    watching.replace("build.wasm", &bytes[2]);
    watching.expect_build("patched", &versions[2]);

    // Deleted, and written again after a while.
    fs::remove_file(watching.path("build.wasm")).expect("is there");
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["reason"], "there is no such file");
    watching.write("build.wasm", &bytes[0]);
    watching.expect_build("patched", &versions[0]);

    // Half a file that stays so is said, and mended by the next save.
    watching.write("build.wasm", &bytes[1][..bytes[1].len() / 2]);
    let error = watching.expect("error");
    assert_eq!(error["kind"], "bad-input");
    watching.write("build.wasm", &bytes[1]);
    watching.expect_build("patched", &versions[1]);
    let stopped = watching.stop(Signal::TERM);
    assert_eq!(stopped["versions"], 5);
}

/// What is half written is no error yet; what is one is said once, however much is to be said.
#[test]
fn what_is_wrong_is_said_once_also_to_who_asks_for_more() {
    let (_, bytes) = versions();
    for (name, text, wanted) in [
        ("half", &bytes[0][..bytes[0].len() / 2], "unexpected"),
        (
            "script",
            &b"import x from 'y'"[..],
            "not a WebAssembly module",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("build.wasm"), text).expect("can be written");
        let arguments = ["build.wasm", "-o", "out.wasm", "-v"];
        let waiting = ["--settle", "30", "--patience", "400"];
        let mut watching = Watching::start(folder, &[&arguments[..], &waiting].concat());
        watching.expect("error");
        watching.expect("waiting");
        watching.expect_silence(Duration::from_millis(500));
        let said = watching.errors();
        let times = said.iter().filter(|line| line.contains(wanted)).count();
        assert_eq!(times, 1, "{name}: {said:?}");
        watching.stop(Signal::TERM);
    }
}

#[test]
fn the_first_build_is_waited_for() {
    let (versions, bytes) = versions();
    let mut watching = start(None, "400");
    watching.expect("watching");
    watching.expect("waiting");
    watching.write("build.wasm", &bytes[0]);
    watching.expect_build("created", &versions[0]);
    watching.stop(Signal::TERM);
}

#[test]
fn the_same_build_again_is_no_version() {
    let (versions, bytes) = versions();
    let mut watching = start(Some(&bytes[0]), "400");
    watching.expect_build("created", &versions[0]);
    watching.expect("watching");
    let before = fs::metadata(watching.path("out.wasm")).expect("was written");
    for _ in 0..3 {
        watching.replace("build.wasm", &bytes[0]);
        watching.expect_silence(Duration::from_millis(400));
    }
    let after = fs::metadata(watching.path("out.wasm")).expect("is there");
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    let stopped = watching.stop(Signal::TERM);
    assert_eq!(stopped["versions"], 1);
}

#[test]
fn what_can_never_be_a_module_is_said_at_once() {
    let (versions, bytes) = versions();
    for (other, said) in [
        (&b"import init from './app.js';\n"[..], "not"),
        (b"\0asm\x0d\0\x01\0", "component"),
    ] {
        let mut watching = start(Some(other), "60000");
        let started = Instant::now();
        let error = watching.expect("error");
        assert!(started.elapsed() < Duration::from_secs(20));
        let message = error["message"].as_str().expect("text");
        assert!(message.contains(said), "{message}");
        watching.write("build.wasm", &bytes[0]);
        watching.expect_build("created", &versions[0]);
        watching.stop(Signal::TERM);
    }
}

#[test]
fn two_watches_of_one_output_are_refused() {
    let (_, bytes) = versions();
    let mut watching = start(Some(&bytes[0]), "400");
    watching.expect("update");
    let output = Command::new(wasmend())
        .args(["watch", "build.wasm", "-o", "out.wasm"])
        .current_dir(watching.folder.path())
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&watching.id().to_string()), "{said}");
    watching.stop(Signal::TERM);
}

#[test]
fn a_build_whose_writer_pauses_is_not_read() {
    let (versions, bytes) = versions();
    let mut watching = start(Some(&bytes[0]), "400");
    watching.expect_build("created", &versions[0]);
    watching.expect("watching");
    // What stands there is a whole module all the while: only the writer knows that it is not the last one.
    let mut file = fs::File::create(watching.path("build.wasm")).expect("can be written");
    file.write_all(&bytes[1]).expect("can be written");
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["reason"], "is still open for writing");
    watching.expect_silence(Duration::from_millis(700));
    drop(file);
    watching.expect_build("patched", &versions[1]);
    watching.stop(Signal::TERM);
}
