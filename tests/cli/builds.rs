//! The commands that follow builds of a module: `replay`, `watch`, `verify`, `finish`, with builds of real compilers.
//!
//! Run: `wasmend replay OUT V1 V2 V3`, `wasmend watch BUILD -o OUT`, `wasmend verify OUT BUILD`, `wasmend finish OUT -o DENSE`,
//! on the modules of `tests/modules`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::command::{arg, event, run_wasmend, text, wasmend};
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

/// `wasmend watch`, running.
struct Watching {
    child: Child,
    lines: Receiver<String>,
    folder: tempfile::TempDir,
}

impl Watching {
    fn start(first: Option<&[u8]>) -> Watching {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(first) = first {
            std::fs::write(folder.path().join("build.wasm"), first).expect("can be written");
        }
        let mut child = Command::new(wasmend())
            .args([
                "--json",
                "watch",
                "build.wasm",
                "-o",
                "out.wasm",
                "--settle",
                "30",
                "--patience",
                "400",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command runs");
        let stdout = BufReader::new(child.stdout.take().expect("is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut watching = Watching {
            child,
            lines,
            folder,
        };
        watching.expect("watching");
        watching
    }

    fn build(&self) -> PathBuf {
        self.folder.path().join("build.wasm")
    }

    /// The next event of this kind; others may come before it.
    fn expect(&mut self, kind: &str) -> Value {
        let end = Instant::now() + Duration::from_secs(20);
        let mut seen = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no event {kind}, only {seen:?}")
            };
            let event = event(&line);
            if event["event"] == kind {
                return event;
            }
            seen.push(event["event"].clone());
        }
    }

    /// Waits for the next update and compares the output with a build.
    fn expect_update(&mut self, outcome: &str, wanted: &Path) {
        let update = self.expect("update");
        assert_eq!(update["outcome"], outcome, "{update}");
        let out = self.folder.path().join("out.wasm");
        let output = run_wasmend(&["verify", arg(&out), arg(wanted)]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    }

    /// Asks it to end; it must do so by itself.
    fn stop(mut self) -> Value {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        let event = self.expect("stopped");
        let end = Instant::now() + Duration::from_secs(20);
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

#[test]
fn watch_follows_every_way_of_saving() {
    let versions = [1, 2, 3].map(|version| build(&format!("c-sort/v{version}.wasm")));
    let bytes = versions
        .clone()
        .map(|path| std::fs::read(path).expect("is there"));
    let mut watching = Watching::start(Some(&bytes[0]));
    watching.expect_update("created", &versions[0]);

    // Truncate and write, in pieces, slower than the file settles.
    let mut file = std::fs::File::create(watching.build()).expect("can be written");
    for piece in bytes[1].chunks(bytes[1].len() / 4) {
        file.write_all(piece).expect("can be written");
        std::thread::sleep(Duration::from_millis(60));
    }
    drop(file);
    watching.expect_update("patched", &versions[1]);

    // A file of another name, renamed.
    let fresh = watching.folder.path().join("build.wasm.tmp");
    std::fs::write(&fresh, &bytes[2]).expect("can be written");
    std::fs::rename(&fresh, watching.build()).expect("can be renamed");
    watching.expect_update("patched", &versions[2]);

    // Deleted, and written again after a while.
    std::fs::remove_file(watching.build()).expect("is there");
    let waiting = watching.expect("waiting");
    assert_eq!(waiting["reason"], "there is no such file");
    std::fs::write(watching.build(), &bytes[0]).expect("can be written");
    watching.expect_update("patched", &versions[0]);

    // Half a file that stays so is said, and mended by the next save.
    std::fs::write(watching.build(), &bytes[1][..bytes[1].len() / 2]).expect("can be written");
    let error = watching.expect("error");
    assert_eq!(error["kind"], "bad-input");
    std::fs::write(watching.build(), &bytes[1]).expect("can be written");
    watching.expect_update("patched", &versions[1]);

    // Saved without a change.
    std::fs::write(watching.build(), &bytes[1]).expect("can be written");
    watching.expect_update("unchanged", &versions[1]);
    let stopped = watching.stop();
    assert_eq!(stopped["versions"], 6);
}

#[test]
fn watch_waits_for_the_first_build() {
    let first = build("c-sort/v1.wasm");
    let mut watching = Watching::start(None);
    watching.expect("waiting");
    std::fs::copy(&first, watching.build()).expect("can be written");
    watching.expect_update("created", &first);
    watching.stop();
}

#[test]
fn two_watches_of_one_output_are_refused() {
    let first = std::fs::read(build("c-sort/v1.wasm")).expect("is there");
    let mut watching = Watching::start(Some(&first));
    watching.expect("update");
    let output = Command::new(wasmend())
        .args(["watch", "build.wasm", "-o", "out.wasm"])
        .current_dir(watching.folder.path())
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains(&watching.child.id().to_string()),
        "{}",
        text(&output.stderr)
    );
    watching.stop();
}
