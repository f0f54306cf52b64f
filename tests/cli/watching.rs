//! `wasmend watch`, running in a folder of its own, and the programs that it is given: for the tests of watching.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value as Json;
use wasmend::engine::{Engine, Imports, Value};

use crate::support::command::{event, wasmend};
use crate::support::{families, objects};

/// How long something may take that has to happen.
const LONG: Duration = Duration::from_secs(30);

/// A folder and what is watched in it.
pub(crate) struct Watching {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    pub(crate) folder: tempfile::TempDir,
}

impl Watching {
    /// Watches in a folder, with events.
    pub(crate) fn start(folder: tempfile::TempDir, arguments: &[&str]) -> Watching {
        let mut command = Command::new(wasmend());
        command.args(["--json", "watch"]).args(arguments);
        Watching::spawn(folder, command)
    }

    /// Runs a command that watches, with events.
    pub(crate) fn spawn(folder: tempfile::TempDir, mut command: Command) -> Watching {
        let mut child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let lines = lines_of(child.stdout.take().expect("is piped"));
        let errors = lines_of(child.stderr.take().expect("is piped"));
        Watching {
            child,
            lines,
            errors,
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("can be written");
    }

    /// Puts a new file in the place of one.
    pub(crate) fn replace(&self, name: &str, bytes: impl AsRef<[u8]>) {
        replace(&self.path(name), bytes);
    }

    /// The next event, if one comes in time.
    pub(crate) fn next_within(&mut self, time: Duration) -> Option<Json> {
        let line = self.lines.recv_timeout(time).ok()?;
        Some(event(&line))
    }

    /// The next event of this kind; others may come before it.
    pub(crate) fn expect(&mut self, kind: &str) -> Json {
        let end = Instant::now() + LONG;
        let mut seen = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(event) = self.next_within(left) else {
                panic!("no event {kind}, only {seen:?}, and {:?}", self.errors())
            };
            if event["event"] == kind {
                return event;
            }
            seen.push(event);
        }
    }

    /// The next update, which must come to this.
    pub(crate) fn expect_update(&mut self, outcome: &str) -> Json {
        let update = self.expect("update");
        assert_eq!(update["outcome"], outcome, "{update}");
        update
    }

    /// Waits for the next update, and compares the output with a build.
    pub(crate) fn expect_build(&mut self, outcome: &str, wanted: &Path) {
        self.expect_update(outcome);
        let verify = Command::new(wasmend())
            .arg("verify")
            .arg(self.path("out.wasm"))
            .arg(wanted)
            .output()
            .expect("the command runs");
        assert_eq!(verify.status.code(), Some(0), "{verify:?}");
    }

    /// Checks that nothing is said for a while.
    pub(crate) fn expect_silence(&mut self, time: Duration) {
        if let Some(event) = self.next_within(time) {
            panic!("{event} was not to be said");
        }
    }

    /// Waits until the output answers this; see [`answer`].
    pub(crate) fn expect_answer(&mut self, wanted: i32) {
        let end = Instant::now() + LONG;
        let out = self.path("out.wasm");
        while !out.exists() || answer(&out) != wanted {
            assert!(Instant::now() < end, "no {wanted}: {:?}", self.errors());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What was said to people so far.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.try_iter().collect()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Asks it to end; it must do so by itself.
    pub(crate) fn stop(mut self, signal: Signal) -> Json {
        self.signal(signal);
        let event = self.expect("stopped");
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                assert_eq!(status.code(), Some(0));
                return event;
            }
            assert!(Instant::now() < end, "still running");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

pub(crate) fn replace(file: &Path, bytes: impl AsRef<[u8]>) {
    let fresh = file.with_extension("fresh");
    fs::write(&fresh, bytes).expect("can be written");
    fs::rename(&fresh, file).expect("can be renamed");
}

/// A version of a checked-in module.
pub(crate) fn build(name: &str) -> PathBuf {
    families::modules().join(name)
}

pub(crate) fn object(name: &str) -> Vec<u8> {
    fs::read(objects::path(name)).expect("is there")
}

/// `pick.o` adds 100; this one adds something else.
pub(crate) fn pick(added: u8) -> Vec<u8> {
    let mut bytes = object("pick.o");
    let constant = [0x41, 0xe4, 0x00];
    let mut windows = bytes.windows(3);
    let at = windows.position(|window| window == constant);
    bytes[at.expect("a constant") + 1] = 0x80 | added;
    bytes
}

/// A folder with the objects of a program, which answers 160 and what `pick.o` adds.
pub(crate) fn program(added: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["main.o", "twice.o"] {
        fs::write(folder.path().join(name), object(name)).expect("can be written");
    }
    fs::write(folder.path().join("pick.o"), pick(added)).expect("can be written");
    folder
}

/// What the program answers.
pub(crate) fn answer(file: &Path) -> i32 {
    let bytes = fs::read(file).expect("is there");
    let engine = Engine::new();
    let instance = engine.instantiate(&bytes, &Imports::new().stubs());
    let results = instance
        .expect("is a program")
        .call("answer", &[Value::I32(1)]);
    match results.expect("it answers")[..] {
        [Value::I32(value)] => value,
        ref other => panic!("{other:?}"),
    }
}

/// An archive with an index, of one member that defines `pick`.
pub(crate) fn archive(is_thin: bool, contents: &[u8]) -> Vec<u8> {
    let header = |name: &str, len: usize| {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644).into_bytes()
    };
    let names = b"pick.o/\n";
    let mut bytes = match is_thin {
        true => b"!<thin>\n".to_vec(),
        false => b"!<arch>\n".to_vec(),
    };
    let index_len = 4 + 4 + b"pick\0".len() + 1;
    let member_at = bytes.len() + 60 + index_len + 60 + names.len();
    bytes.extend(header("/", index_len));
    bytes.extend(1u32.to_be_bytes());
    bytes.extend((member_at as u32).to_be_bytes());
    bytes.extend(b"pick\0\0");
    bytes.extend(header("//", names.len()));
    bytes.extend(names);
    assert_eq!(bytes.len(), member_at);
    bytes.extend(header("/0", contents.len()));
    if !is_thin {
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}
