//! Watching links: the objects, libraries and response files of a command line.
//!
//! Run: `wasmend watch main.o twice.o pick.o -o out.wasm` and the like, on copies of `tests/objects`.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::command::wasmend;
use crate::watching::{Watching, answer, archive, object, pick, program, replace};

const LINK: [&str; 5] = ["main.o", "twice.o", "pick.o", "-o", "out.wasm"];
const SHORT: Duration = Duration::from_millis(700);

/// A program that is watched, and has been linked.
fn linked() -> Watching {
    let mut watching = Watching::start(program(100), &LINK);
    watching.expect_update("created");
    watching.expect("watching");
    assert_eq!(answer(&watching.path("out.wasm")), 260);
    watching
}

#[test]
fn every_way_of_saving_an_object_is_followed() {
    let mut watching = linked();
    watching.write("pick.o", pick(101));
    watching.expect_update("patched");
    assert_eq!(answer(&watching.path("out.wasm")), 261);
    watching.replace("pick.o", pick(5));
    watching.expect_update("patched");
    assert_eq!(answer(&watching.path("out.wasm")), 165);
    let bytes = pick(100);
    let mut file = fs::File::create(watching.path("pick.o")).unwrap();
    file.write_all(&bytes[..100]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    file.write_all(&bytes[100..]).unwrap();
    drop(file);
    watching.expect_update("patched");
    assert_eq!(answer(&watching.path("out.wasm")), 260);
    // What cannot be linked is said, and mended by the next save.
    watching.write("pick.o", b"\0asm\x01\0\0\0");
    watching.expect("error");
    watching.expect("waiting");
    assert_eq!(answer(&watching.path("out.wasm")), 260);
    watching.write("pick.o", pick(9));
    watching.expect_update("patched");
    assert_eq!(answer(&watching.path("out.wasm")), 169);
    let stopped = watching.stop(Signal::TERM);
    assert_eq!(stopped["versions"], 5);
}

#[test]
fn objects_that_are_missing_at_the_start_are_waited_for_and_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&LINK[..], &["--patience", "300"]].concat();
    let mut watching = Watching::start(folder, &arguments);
    watching.expect("watching");
    watching.expect("error");
    for name in ["main.o", "pick.o", "twice.o"] {
        assert_eq!(watching.expect("waiting")["build"], name);
    }
    watching.write("main.o", object("main.o"));
    watching.write("twice.o", object("twice.o"));
    watching.expect_silence(SHORT);
    watching.write("pick.o", pick(7));
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 167);
    watching.stop(Signal::TERM);
}

#[test]
fn an_object_that_is_half_written_at_the_start_is_waited_for() {
    let folder = program(100);
    let bytes = pick(3);
    fs::write(folder.path().join("pick.o"), &bytes[..bytes.len() / 2]).unwrap();
    let mut watching = Watching::start(folder, &LINK);
    let error = watching.expect("error");
    assert_eq!(error["kind"], "bad-input");
    watching.expect("waiting");
    assert!(!watching.path("out.wasm").exists());
    watching.expect_silence(SHORT);
    watching.write("pick.o", &bytes);
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 163);
    watching.stop(Signal::TERM);
}

#[test]
fn a_clean_build_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let make = |root: &std::path::Path, added| {
        fs::create_dir(root.join("build")).unwrap();
        for name in ["main.o", "twice.o"] {
            fs::write(root.join("build").join(name), object(name)).unwrap();
        }
        fs::write(root.join("build/pick.o"), pick(added)).unwrap();
    };
    make(folder.path(), 1);
    let objects = ["build/main.o", "build/twice.o", "build/pick.o"];
    let arguments = [&objects[..], &["-o", "out.wasm"]].concat();
    let mut watching = Watching::start(folder, &arguments);
    watching.expect_update("created");
    for (round, added) in [2, 3, 4].into_iter().enumerate() {
        fs::remove_dir_all(watching.path("build")).unwrap();
        if round == 0 {
            // It may stay away for long.
            let waiting = watching.expect("waiting");
            assert_eq!(waiting["reason"], "there is no such file");
        }
        make(watching.folder.path(), added);
        watching.expect_update("patched");
        watching.expect_answer(160 + i32::from(added));
        // It is listened to anew, too: this is noticed without looking once a second.
        watching.write("build/pick.o", pick(50));
        watching.expect_update("patched");
    }
    watching.stop(Signal::TERM);
}

#[test]
fn what_is_no_file_is_said_and_never_opened() {
    let folder = program(100);
    let object = folder.path().join("pick.o");
    fs::remove_file(&object).unwrap();
    make_pipe(&object);
    let mut watching = Watching::start(folder, &LINK);
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["build"], "pick.o");
    assert_eq!(waiting["reason"], "is a named pipe, not a file");
    watching.expect_silence(SHORT);
    fs::remove_file(&object).unwrap();
    fs::write(&object, pick(7)).unwrap();
    watching.expect_update("created");
    // So it is later, too.
    fs::remove_file(&object).unwrap();
    fs::create_dir(&object).unwrap();
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["reason"], "is a directory, not a file");
    fs::remove_dir(&object).unwrap();
    make_pipe(&object);
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["reason"], "is a named pipe, not a file");
    replace(&object, pick(8));
    watching.expect_update("patched");
    assert_eq!(answer(&watching.path("out.wasm")), 168);
    watching.stop(Signal::TERM);
}

fn make_pipe(path: &std::path::Path) {
    use rustix::fs::{CWD, FileType, Mode};
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

#[test]
fn a_member_of_a_thin_archive_is_watched() {
    let folder = program(100);
    fs::write(folder.path().join("libpick.a"), archive(true, &pick(100))).unwrap();
    let arguments = ["main.o", "libpick.a", "twice.o", "-o", "out.wasm"];
    let mut watching = Watching::start(folder, &arguments);
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 260);
    watching.write("pick.o", pick(2));
    let update = watching.expect_update("patched");
    assert_eq!(update["functions"]["changed"], 1);
    assert_eq!(answer(&watching.path("out.wasm")), 162);
    // Saved again without a change, it is nothing new.
    watching.replace("pick.o", pick(2));
    watching.expect_silence(SHORT);
    watching.stop(Signal::TERM);
}

#[test]
fn a_response_file_that_changes_is_read_again() {
    let folder = program(100);
    fs::write(folder.path().join("inner.rsp"), "twice.o -o out.wasm").unwrap();
    fs::write(folder.path().join("link.rsp"), "main.o @inner.rsp").unwrap();
    let mut watching = Watching::start(folder, &["@link.rsp", "--patience", "300"]);
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 159);
    watching.write("link.rsp", "main.o pick.o @inner.rsp");
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 260);
    watching.write("inner.rsp", "twice.o -o out.wasm --export=twice");
    watching.expect_update("created");
    let out = fs::read(watching.path("out.wasm")).unwrap();
    assert!(out.windows(6).any(|window| window == b"\x05twice"));
    // What it named before is watched, and what it does not name any more is not.
    watching.write("pick.o", pick(1));
    watching.expect_update("patched");
    watching.write("link.rsp", "main.o @inner.rsp ");
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 159);
    watching.write("pick.o", pick(2));
    watching.write("link.rsp", "main.o @inner.rsp   ");
    watching.expect_silence(SHORT);
    // One that is wrong, or gone, is waited for.
    watching.write("link.rsp", "main.o @inner.rsp --exprot=x");
    watching.expect("error");
    watching.expect("waiting");
    fs::remove_file(watching.path("link.rsp")).unwrap();
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["build"], "link.rsp");
    watching.write("link.rsp", "main.o pick.o @inner.rsp");
    watching.expect_update("created");
    watching.stop(Signal::TERM);
}

#[test]
fn a_library_is_watched_and_one_that_appears_in_an_earlier_folder_is_taken() {
    let folder = program(100);
    let place = |name: &str| folder.path().join(name).join("libpick.a");
    let (early, late) = (place("early"), place("late"));
    for file in [&early, &late] {
        fs::create_dir(file.parent().unwrap()).unwrap();
    }
    fs::write(&late, archive(false, &pick(1))).unwrap();
    let search = ["-Lmissing", "-Learly", "-Llate", "-lpick"];
    let arguments = [&["main.o"], &search[..], &["twice.o", "-o", "out.wasm"]].concat();
    let mut watching = Watching::start(folder, &arguments);
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 161);
    replace(&late, archive(false, &pick(2)));
    watching.expect_update("patched");
    assert_eq!(answer(&watching.path("out.wasm")), 162);
    fs::write(&early, archive(false, &pick(3))).unwrap();
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 163);
    // The later one is of no interest now, but for when the other goes.
    replace(&late, archive(false, &pick(4)));
    watching.expect_silence(SHORT);
    fs::remove_file(&early).unwrap();
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 164);
    fs::remove_file(&late).unwrap();
    let error = watching.expect("error");
    assert!(error.to_string().contains("-lpick"), "{error}");
    fs::create_dir(watching.path("missing")).unwrap();
    fs::write(watching.path("missing/libpick.a"), archive(false, &pick(5))).unwrap();
    watching.expect_update("created");
    assert_eq!(answer(&watching.path("out.wasm")), 165);
    watching.stop(Signal::TERM);
}

#[test]
fn the_same_object_again_is_no_version_and_is_looked_at_once() {
    let folder = program(100);
    let mut command = Command::new(wasmend());
    command.args(["--json", "watch", "-v"]).args(LINK);
    let mut watching = Watching::spawn(folder, command);
    watching.expect_update("created");
    watching.expect("watching");
    let before = fs::metadata(watching.path("out.wasm")).unwrap();
    watching.replace("pick.o", pick(100));
    watching.expect_silence(Duration::from_millis(2500));
    let notes = watching.errors();
    let looked = notes
        .iter()
        .filter(|note| note.contains("nothing has changed"));
    assert_eq!(looked.count(), 1, "{notes:?}");
    let after = fs::metadata(watching.path("out.wasm")).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    // It can be linked with the next change of another.
    watching.replace("pick.o", pick(7));
    watching.expect_update("patched");
    let stopped = watching.stop(Signal::TERM);
    assert_eq!(stopped["versions"], 2);
}

#[test]
fn constant_saves_are_published_about_every_second() {
    let mut watching = linked();
    let file = watching.path("pick.o");
    let start = Instant::now();
    let saver = std::thread::spawn(move || {
        let mut added = 0u32;
        while start.elapsed() < Duration::from_secs(5) {
            replace(&file, pick((added % 100) as u8));
            added += 1;
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    let mut updates = 0;
    while start.elapsed() < Duration::from_secs(5) {
        updates += u32::from(watching.next_within(Duration::from_millis(100)).is_some());
    }
    saver.join().unwrap();
    // With time to spare: this machine may have a lot to do.
    assert!(updates >= 2, "{updates}");
    watching.write("pick.o", pick(42));
    watching.expect_answer(202);
    watching.stop(Signal::TERM);
}

#[test]
fn an_output_that_is_gone_is_published_again() {
    let folder = program(100);
    fs::create_dir(folder.path().join("dist")).unwrap();
    let arguments = [&LINK[..4], &["dist/out.wasm", "--patience", "300"]].concat();
    let mut watching = Watching::start(folder, &arguments);
    watching.expect_update("created");
    let out = watching.path("dist/out.wasm");
    fs::remove_file(&out).unwrap();
    watching.expect_update("created");
    assert_eq!(answer(&out), 260);
    watching.expect_silence(SHORT);
    // Its folder, too, may go and come back.
    fs::remove_dir_all(watching.path("dist")).unwrap();
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["reason"], "its folder is gone");
    watching.expect_silence(SHORT);
    assert!(!watching.path("dist").exists());
    fs::create_dir(watching.path("dist")).unwrap();
    watching.expect_update("created");
    assert_eq!(answer(&out), 260);
    // Moved away and back, it is what it was.
    watching.expect_silence(SHORT);
    fs::rename(watching.path("dist"), watching.path("aside")).unwrap();
    watching.expect("waiting");
    fs::rename(watching.path("aside"), watching.path("dist")).unwrap();
    watching.expect_silence(SHORT);
    watching.stop(Signal::TERM);
}

#[test]
fn an_object_whose_writer_pauses_is_not_linked() {
    let mut watching = linked();
    // What stands there is a whole object all the while: only the writer knows that it is not the last one.
    let mut file = fs::File::create(watching.path("pick.o")).unwrap();
    file.write_all(&pick(1)).unwrap();
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["reason"], "is still open for writing");
    assert_eq!(waiting["build"], "pick.o");
    watching.expect_silence(SHORT);
    assert_eq!(answer(&watching.path("out.wasm")), 260);
    drop(file);
    watching.expect_update("patched");
    assert_eq!(answer(&watching.path("out.wasm")), 161);
    watching.stop(Signal::TERM);
}

#[test]
fn objects_that_are_saved_while_they_are_linked_first_are_linked_again() {
    for pause in [5, 20, 30, 40, 60, 100] {
        let mut watching = Watching::start(program(100), &LINK);
        std::thread::sleep(Duration::from_millis(pause));
        watching.replace("pick.o", pick(1));
        watching.expect_answer(161);
        assert!(watching.is_running());
        watching.stop(Signal::TERM);
    }
}

#[test]
fn every_signal_that_asks_for_it_ends_a_watch_cleanly() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let watching = linked();
        let out = watching.path("out.wasm");
        let folder = watching.folder.path().to_path_buf();
        let kept = fs::read_dir(folder.join(".wasmend")).unwrap().count();
        assert!(kept >= 1, "{kept}");
        assert!(out.exists());
        let stopped = watching.stop(signal);
        assert_eq!(stopped["versions"], 1);
    }
    // One that is to outlive its terminal does.
    let mut command = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(wasmend());
    command.args(["--json", "watch"]).args(LINK);
    let mut watching = Watching::spawn(program(100), command);
    watching.expect_update("created");
    watching.signal(Signal::HUP);
    watching.replace("pick.o", pick(1));
    watching.expect_update("patched");
    watching.stop(Signal::INT);
}

#[test]
fn options_of_watch_and_of_the_linker_go_together() {
    let folder = program(100);
    let mut command = Command::new(wasmend());
    command.args(["--color", "never", "-v", "--json", "watch", "--no-entry"]);
    command.args(LINK);
    command.args(["--publish", "in-place", "--settle=40", "--export=twice"]);
    let mut watching = Watching::spawn(folder, command);
    watching.expect_update("created");
    let before = fs::File::open(watching.path("out.wasm")).unwrap();
    watching.replace("pick.o", pick(1));
    watching.expect_update("patched");
    // It is the same file still.
    use std::os::unix::fs::MetadataExt;
    let after = fs::metadata(watching.path("out.wasm")).unwrap();
    assert_eq!(after.ino(), before.metadata().unwrap().ino());
    let notes = watching.errors();
    assert!(
        notes.iter().any(|note| note.contains("relocations")),
        "{notes:?}"
    );
    watching.stop(Signal::TERM);
}

#[test]
fn usage_errors_end_a_watch_at_once() {
    for (arguments, code, said) in [
        (&["main.o"][..], 1, "no output file"),
        (&["main.o", "-o", "./main.o"], 1, "both what is read"),
        (&["main.o", "-o", "out.wasm", "--exprot=x"], 1, "--export"),
        (
            &["main.o", "-o", "out.wasm", "--settle", "soon"],
            2,
            "milliseconds",
        ),
    ] {
        let output = Command::new(wasmend())
            .arg("watch")
            .args(arguments)
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(said), "{message}");
    }
}
