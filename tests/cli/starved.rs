//! Watching where the system gives less than one would like: no events, no room on the disk.
//!
//! Run: `wasmend watch main.o twice.o pick.o -o out.wasm` in a namespace of its own (`unshare`), with the feature `crash-tests`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::command::{unshared, wasmend};
use crate::watching::{Watching, answer, pick, program, replace};

const LINK: [&str; 5] = ["main.o", "twice.o", "pick.o", "-o", "out.wasm"];

/// A command that watches after a script that may change what holds for it.
fn watch_after(prepare: &str, arguments: &[&str]) -> Command {
    let mut command = unshared(&format!("{prepare} && exec \"$0\" \"$@\""));
    command
        .arg(wasmend())
        .args(["--json", "-v", "watch"])
        .args(arguments);
    command
}

#[test]
fn a_watch_without_events_looks_by_itself() {
    for limit in ["watches", "instances"] {
        let prepare = format!("echo 0 > /proc/sys/user/max_inotify_{limit}");
        let mut watching = Watching::spawn(program(100), watch_after(&prepare, &LINK));
        watching.expect_update("created");
        watching.expect("watching");
        for added in [1, 2] {
            watching.replace("pick.o", pick(added));
            watching.expect_update("patched");
            assert_eq!(answer(&watching.path("out.wasm")), 160 + i32::from(added));
        }
        fs::remove_file(watching.path("out.wasm")).unwrap();
        watching.expect_update("created");
        let notes = watching.errors();
        let said = notes
            .iter()
            .filter(|note| note.contains("files are looked at every"));
        assert_eq!(said.count(), 1, "{notes:?}");
        watching.stop(Signal::TERM);
    }
}

#[test]
fn a_full_disk_is_said_once_and_published_when_there_is_room() {
    let folder = program(100);
    fs::create_dir(folder.path().join("disk")).unwrap();
    // Whoever has the process's id can look into the file system that it alone sees.
    let prepare = "mount -t tmpfs -o size=1m tmpfs disk";
    let arguments = [&LINK[..4], &["disk/out.wasm"]].concat();
    let mut watching = Watching::spawn(folder, watch_after(prepare, &arguments));
    watching.expect_update("created");
    watching.expect("watching");
    let disk = format!("/proc/{}/cwd/disk", watching.id());
    let disk = std::path::Path::new(&disk);
    // The next version needs a file of its own, which has no room.
    watching.signal(Signal::STOP);
    fs::remove_dir_all(disk.join(".wasmend")).unwrap();
    fs::remove_file(disk.join("out.wasm")).unwrap();
    let filled = fs::write(disk.join("filler"), vec![1; 2 << 20]);
    assert!(filled.is_err());
    watching.signal(Signal::CONT);
    let error = watching.expect("error");
    assert_eq!(error["kind"], "io", "{error}");
    watching.expect("waiting");
    replace(&watching.path("pick.o"), pick(1));
    watching.expect_silence(Duration::from_millis(2500));
    fs::remove_file(disk.join("filler")).unwrap();
    watching.expect_update("created");
    assert_eq!(answer(&disk.join("out.wasm")), 161);
    watching.stop(Signal::TERM);
}
