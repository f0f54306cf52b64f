//! `wasmend ld --daemon`: links by a process that stays, for processes that are started for each build. Whatever becomes of it, each
//! of these ends as if it had linked itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::command::{text, wasmend};
use crate::support::smith::Rng;
use crate::watching::{answer, pick, program};

const OBJECTS: [&str; 3] = ["main.o", "twice.o", "pick.o"];
/// Longer than it takes to do nothing.
const LONG: Duration = Duration::from_secs(20);

/// Ends what still stays for this folder.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(added: u8) -> Folder {
        Folder(program(added))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn output(&self) -> PathBuf {
        self.path().join("out.wasm")
    }

    fn pick(&self, added: u8) {
        fs::write(self.path().join("pick.o"), pick(added)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for pid in staying(self.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The processes that stay for outputs in a folder.
fn staying(folder: &Path) -> Vec<Pid> {
    let folder = fs::canonicalize(folder).unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.nth(1) == Some(b"ld-daemon")
            && words
                .next()
                .is_some_and(|output| output.starts_with(folder.as_os_str().as_encoded_bytes()))
    })
    .filter_map(Pid::from_raw)
    .collect()
}

/// Waits until as many processes stay.
fn expect_staying(folder: &Path, count: usize) {
    let began = Instant::now();
    while staying(folder).len() != count {
        assert!(began.elapsed() < LONG, "{:?} stay", staying(folder));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn command(program: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["--verbose", "ld", "-o", "out.wasm"]);
    command.args(arguments).current_dir(folder);
    for name in [
        "STATE_UNUSABLE",
        "STATE",
        "STATE_DIR",
        "DAEMON",
        "DAEMON_IDLE",
        "DAEMON_MEMORY",
    ] {
        command.env_remove(format!("WASMEND_{name}"));
    }
    command
}

/// A link that asks the process that stays.
fn asking(program: &Path, folder: &Path) -> Command {
    command(program, folder, &[&["--daemon"], &OBJECTS[..]].concat())
}

fn ld(folder: &Path, arguments: &[&str]) -> Output {
    command(wasmend(), folder, &[&["--daemon"], arguments].concat())
        .output()
        .unwrap()
}

/// Runs another command, which goes well, and returns what it said.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(wasmend());
    said(
        &command
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap(),
    )
}

/// What a link that went well said, but for times.
fn said(done: &Output) -> String {
    let said = text(&done.stderr) + &text(&done.stdout);
    assert!(done.status.success(), "{said}");
    for wrong in ["no state was kept", "panicked", "no other process links"] {
        assert!(!said.contains(wrong), "{said}");
    }
    said
}

/// Links, and expects that this is said.
fn link(folder: &Path, expected: &str) {
    let said = said(&ld(folder, &OBJECTS));
    assert!(said.contains(expected), "expected {expected:?}: {said}");
}

/// Later than the step of any file system's clock.
fn tick() {
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn one_process_stays_and_patches() {
    let folder = Folder::new(100);
    tick();
    link(
        folder.path(),
        "all is linked: there is no state from before",
    );
    let stays = staying(folder.path());
    assert_eq!(stays.len(), 1);
    for added in 1..10 {
        folder.pick(added);
        link(folder.path(), "patched 1 function");
        assert_eq!(answer(&folder.output()), 160 + i32::from(added));
        link(folder.path(), "nothing has changed");
    }
    // As build systems do that make an output anew.
    for added in 11..14 {
        folder.pick(added);
        fs::remove_file(folder.output()).unwrap();
        link(folder.path(), "patched 1 function");
        assert_eq!(answer(&folder.output()), 160 + i32::from(added));
        fs::remove_file(folder.output()).unwrap();
        link(folder.path(), "nothing has changed");
        assert_eq!(answer(&folder.output()), 160 + i32::from(added));
        // As Cargo does with what it has made.
        let _ = fs::remove_file(folder.path().join("second.wasm"));
        fs::hard_link(folder.output(), folder.path().join("second.wasm")).unwrap();
    }
    assert_eq!(staying(folder.path()), stays);
    // It has nothing open that it had not at first: not what was lent, nor what is opened for each link.
    let open = |pid: Pid| {
        let listed = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap();
        listed.count()
    };
    saved(folder.path());
    // It closes what it was asked by when the one that asked may have ended already.
    tick();
    let before = open(stays[0]);
    for added in 20..30 {
        folder.pick(added);
        link(folder.path(), "patched 1 function");
    }
    saved(folder.path());
    let began = Instant::now();
    while open(stays[0]) != before {
        assert!(began.elapsed() < LONG, "{before} descriptors before");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What stands before how long it took.
fn without_time(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let is_unit = |word: &&str| ["us", "ms", "s"].contains(&word.trim_end_matches(';'));
    let end = words.iter().position(is_unit);
    words[..end.map_or(words.len(), |at| at - 1)].join(" ")
}

/// Waits until the process that stays has saved what it knows: before that it does nothing else. What was too new to be told by its times
/// it looks at once more, and saves that.
fn saved(folder: &Path) {
    tick();
    link(folder, "nothing has changed");
    link(folder, "nothing has changed");
}

/// Does the same in two folders, with a process that stays in one of them.
fn compared(seed: u64) {
    let (folder, other) = (Folder::new(0), Folder::new(0));
    let mut rng = Rng::new(seed);
    let mut objects = OBJECTS.to_vec();
    for step in 0..40 {
        let added = rng.below(100) as u8;
        let what = rng.below(9);
        for path in [folder.path(), other.path()] {
            let object = path.join("pick.o");
            match what {
                0..4 => fs::write(&object, pick(added)).unwrap(),
                4 => fs::write(&object, b"\0asm this is none").unwrap(),
                5 => drop(fs::remove_file(&object)),
                6 => drop(fs::remove_file(path.join("out.wasm"))),
                _ => {}
            }
        }
        match what {
            7 => objects = vec!["main.o", "pick.o", "twice.o"],
            8 => objects = OBJECTS.to_vec(),
            _ => {}
        }
        let other_option = ["--export=pick"];
        let options = if rng.below(8) == 0 {
            &other_option[..]
        } else {
            &[]
        };
        let line = [&objects[..], options].concat();
        let ours = ld(folder.path(), &line);
        let line = [&["--state"], &line[..]].concat();
        let theirs = command(wasmend(), other.path(), &line).output().unwrap();
        let context = format!("seed {seed}, step {step}: {}", text(&ours.stderr));
        assert_eq!(ours.status.code(), theirs.status.code(), "{context}");
        let outcome = |done: &Output| -> Vec<String> {
            let said = text(&done.stderr);
            let lines = said
                .lines()
                .filter(|line| !line.starts_with("note: ") || line.contains("out.wasm: "));
            lines.map(without_time).collect()
        };
        let (one, two) = (outcome(&ours), outcome(&theirs));
        assert_eq!(one, two, "{context}");
        let bytes = |folder: &Folder| fs::read(folder.output()).ok();
        assert!(bytes(&folder) == bytes(&other), "{context}");
    }
}

#[test]
fn what_is_done_and_said_is_what_a_process_does_and_says_that_links_itself() {
    for seed in 1..4 {
        compared(seed);
    }
}

#[test]
fn other_processes_may_go_on_from_there_at_any_time() {
    let folder = Folder::new(1);
    tick();
    link(folder.path(), "all is linked");
    let mut expected = 1;
    for added in 2..8 {
        // Whether it has saved already or not.
        if added % 2 == 0 {
            saved(folder.path());
        }
        folder.pick(added);
        let line = [&["--state"], &OBJECTS[..]].concat();
        let alone = command(wasmend(), folder.path(), &line).output().unwrap();
        assert!(
            said(&alone).contains("patched 1 function"),
            "{}",
            said(&alone)
        );
        expected += 1;
        assert_eq!(answer(&folder.output()), 160 + expected);
        // What was kept in memory is of no use any more, and is not used.
        folder.pick(added + 50);
        link(folder.path(), "patched 1 function");
        assert_eq!(answer(&folder.output()), 210 + expected);
        expect_staying(folder.path(), 1);
    }
}

#[test]
fn it_may_be_killed_at_any_time() {
    let folder = Folder::new(1);
    let mut rng = Rng::new(7);
    let mut was_alone = 0;
    // Where it takes long until anybody is asked, later too.
    for round in 0..600 {
        if round >= 58 && was_alone > 0 {
            break;
        }
        let added = 2 + (round % 58) as u8;
        folder.pick(added);
        let mut linking = asking(wasmend(), folder.path());
        linking.stdout(Stdio::null()).stderr(Stdio::piped());
        let linking = linking.spawn().unwrap();
        std::thread::sleep(Duration::from_micros(
            rng.below(12_000 + 20 * round * round / 58) as u64,
        ));
        for pid in staying(folder.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let done = linking.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        was_alone += u32::from(text(&done.stderr).contains("no other process links"));
        assert_eq!(answer(&folder.output()), 160 + i32::from(added));
    }
    assert!(
        was_alone > 0,
        "none was killed while somebody waited for it"
    );
}

#[test]
fn one_that_hangs_is_waited_for_no_longer_than_some_seconds() {
    let folder = Folder::new(1);
    tick();
    link(folder.path(), "all is linked");
    saved(folder.path());
    kill_process(staying(folder.path())[0], Signal::STOP).unwrap();
    folder.pick(2);
    let done = ld(folder.path(), &OBJECTS);
    assert!(done.status.success() && text(&done.stderr).contains("no other process links"));
    assert_eq!(answer(&folder.output()), 162);
}

#[test]
fn it_ends_when_nobody_asks_or_it_takes_much_memory() {
    let folder = Folder::new(1);
    let ld = |name: &str, value: &str| {
        let mut ld = command(wasmend(), folder.path(), &OBJECTS);
        said(
            &ld.env(name, value)
                .env("WASMEND_DAEMON", "1")
                .output()
                .unwrap(),
        )
    };
    tick();
    ld("WASMEND_DAEMON_IDLE", "1");
    expect_staying(folder.path(), 1);
    expect_staying(folder.path(), 0);
    let socket = folder.path().join(".wasmend/out.wasm.sock");
    assert!(!socket.exists());
    folder.pick(2);
    assert!(ld("WASMEND_DAEMON_MEMORY", "1").contains("patched 1 function"));
    expect_staying(folder.path(), 0);
    assert!(!socket.exists());
    assert_eq!(answer(&folder.output()), 162);
}

#[test]
fn it_ends_once_the_program_the_environment_or_its_place_is_another() {
    let folder = Folder::new(1);
    tick();
    link(folder.path(), "all is linked");
    let first = staying(folder.path());
    // Set for wasmend, if for nothing that it knows.
    let mut ld = asking(wasmend(), folder.path());
    folder.pick(2);
    assert!(said(&ld.env("WASMEND_OTHER", "1").output().unwrap()).contains("patched 1 function"));
    expect_staying(folder.path(), 1);
    let second = staying(folder.path());
    assert_ne!(first, second);
    let copy = folder.path().join("another-wasmend");
    fs::copy(wasmend(), &copy).unwrap();
    let mut ld = asking(&copy, folder.path());
    assert!(said(&ld.output().unwrap()).contains("another version of the program"));
    expect_staying(folder.path(), 1);
    let third = staying(folder.path());
    assert_ne!(second, third);
    // Where nobody finds it, it is of no use.
    assert!(said(&ld.output().unwrap()).contains("nothing has changed"));
    fs::remove_dir_all(folder.path().join(".wasmend")).unwrap();
    expect_staying(folder.path(), 0);
}

#[test]
fn clean_ends_it() {
    let folder = Folder::new(1);
    tick();
    link(folder.path(), "all is linked");
    expect_staying(folder.path(), 1);
    run(folder.path(), &["clean", "out.wasm"]);
    expect_staying(folder.path(), 0);
    assert!(!folder.path().join(".wasmend").exists());
    link(
        folder.path(),
        "all is linked: there is no state from before",
    );
    // One that has left its socket behind is no matter.
    kill_process(staying(folder.path())[0], Signal::KILL).unwrap();
    expect_staying(folder.path(), 0);
    run(folder.path(), &["clean", "out.wasm"]);
    assert!(!folder.path().join(".wasmend").exists());
}

#[test]
fn files_are_those_of_the_process_that_asks() {
    let folder = Folder::new(1);
    tick();
    link(folder.path(), "all is linked");
    let mode = || fs::metadata(folder.output()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode() & 0o700, 0o700);
    // Another folder, in which files of the same names are others: another program, and so another key.
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    for name in OBJECTS {
        fs::copy(folder.path().join(name), inner.join(name)).unwrap();
    }
    fs::write(inner.join("pick.o"), pick(7)).unwrap();
    let mut ld = Command::new(wasmend());
    ld.args(["--verbose", "ld", "--daemon", "-o", "../out.wasm"]);
    let done = ld.args(OBJECTS).current_dir(&inner).output().unwrap();
    said(&done);
    assert_eq!(answer(&folder.output()), 167);
    link(folder.path(), "");
    assert_eq!(answer(&folder.output()), 161);
    // Whoever lets nobody read new files gets such ones.
    let made = folder.path().join("kept");
    let mut ld = Command::new("sh");
    let script = "umask 077; exec \"$0\" \"$@\"";
    ld.args(["-c", script])
        .arg(wasmend())
        .args(["ld", "--daemon", "--state-dir"])
        .arg(&made);
    let done = ld
        .args(["-o", "private.wasm"])
        .args(OBJECTS)
        .current_dir(folder.path())
        .output();
    said(&done.unwrap());
    let private = folder.path().join("private.wasm");
    assert_eq!(
        fs::metadata(&private).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(answer(&private), 161);
}

#[test]
fn many_at_once_are_served_one_after_the_other() {
    let folder = Folder::new(1);
    for added in 2..6 {
        folder.pick(added);
        let linking: Vec<_> = (0..6)
            .map(|_| {
                let mut ld = asking(wasmend(), folder.path());
                ld.stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for linking in linking {
            let done = linking.wait_with_output().unwrap();
            let said = text(&done.stderr);
            // As two that link for themselves tell each other.
            let is_told = said.contains("is writing this output");
            assert!(done.status.success() || is_told, "{said}");
        }
        assert_eq!(answer(&folder.output()), 160 + i32::from(added));
    }
    // Of those that were started at once, one is found.
    expect_staying(folder.path(), 1);
}

#[test]
fn nobody_is_asked_who_is_not_to_be() {
    let folder = Folder::new(1);
    for arguments in [
        &["--no-daemon"][..],
        &["--daemon", "--no-state"],
        &["--daemon", "--no-incremental"],
        &["--daemon", "--no-daemon"],
    ] {
        let line = [arguments, &OBJECTS].concat();
        let mut ld = command(wasmend(), folder.path(), &line);
        let done = ld
            .env(
                "WASMEND_DAEMON",
                if arguments.len() == 1 { "1" } else { "0" },
            )
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert!(staying(folder.path()).is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_is_no_request_does_no_harm() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    let folder = Folder::new(1);
    tick();
    let socket = folder.path().join(".wasmend/out.wasm.sock");
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x04\0\0\0true", b"\x10\0\0\0{}"] {
        link(folder.path(), "");
        expect_staying(folder.path(), 1);
        // It must have come to the socket before.
        let began = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(began.elapsed() < LONG, "{error}"),
            }
        };
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(bytes).unwrap();
        drop(stream);
        folder.pick(2);
        link(folder.path(), "");
        assert_eq!(answer(&folder.output()), 162);
        folder.pick(1);
    }
    expect_staying(folder.path(), 1);
}

#[test]
fn doctor_says_that_it_stays_and_changes_nothing() {
    let folder = Folder::new(1);
    tick();
    link(folder.path(), "all is linked");
    saved(folder.path());
    let stays = staying(folder.path());
    for _ in 0..3 {
        let said = run(folder.path(), &["doctor", "out.wasm"]);
        let process = stays[0].as_raw_nonzero();
        assert!(
            said.contains(&format!("process {process} keeps it in memory")),
            "{said}"
        );
    }
    link(folder.path(), "nothing has changed");
    assert_eq!(staying(folder.path()), stays);
}
