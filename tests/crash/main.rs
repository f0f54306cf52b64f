//! Kills and failing system calls, at every system call of a commit, a full disk, and losses of power (`power`).
//!
//! `strace` runs a writer (`writer.rs`) once to see which calls its last operation makes, then once for
//! each of them: killing it there, and failing the call with each of several errors. Without strace these
//! tests fail; they are behind the feature `crash-tests`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output as Finished};
use std::time::Duration;

use versions::{SCRIPTS, Script, generation, patch, publish_whole};
use wasmend::output::{Output, OutputOptions, Publish};

#[cfg(feature = "cli")]
mod disk;
#[cfg(feature = "cli")]
mod power;
#[cfg(feature = "cli")]
#[path = "../support/smith.rs"]
mod rng;
#[cfg(feature = "cli")]
#[path = "../support/threads.rs"]
mod threads;
mod versions;

const WRITER: &str = env!("CARGO_BIN_EXE_crash_writer");

/// Calls that manage memory: they are points to die at, but they are not input or output.
const MEMORY: &[&str] = &[
    "mmap",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "mprotect",
    "futex",
    "getrandom",
    "clock_nanosleep",
];

/// One call that a writer made.
#[derive(Debug, Clone)]
struct Call {
    name: String,
    /// How many calls of this name the process had made, with this one.
    nth: u32,
    line: String,
}

/// Runs the writer under strace with what it is to inject.
fn traced(folder: &Path, log: &Path, what: &str, inject: Option<String>) -> Finished {
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(log).args(["-s", "200"]);
    if let Some(inject) = inject {
        strace.arg("-e").arg(format!("inject={inject}"));
    }
    strace.arg(WRITER).arg(folder.join("out.wasm")).arg(what);
    strace.output().expect("these tests need strace")
}

/// The calls between the two marks.
fn calls(log: &Path) -> Vec<Call> {
    let mut counts = HashMap::<String, u32>::new();
    let mut window = Vec::new();
    let mut inside = false;
    for line in fs::read_to_string(log).unwrap().lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        let nth = counts.entry(name.to_string()).or_default();
        *nth += 1;
        if line.contains("/crash-writer-") {
            inside = line.contains("/crash-writer-begin");
        } else if inside {
            window.push(Call {
                name: name.to_string(),
                nth: *nth,
                line: line.to_string(),
            });
        }
    }
    window
}

/// A folder on the file system that the tests were built on: temporary folders are often in memory.
fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join(".wasmend")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name != "out.wasm.lock" && name != ".gitignore")
        .collect()
}

/// The next run works: on whatever a killed writer left.
fn check_next_run(folder: &Path, publish: Publish, allowed: &[Option<&Vec<u8>>], context: &str) {
    let path = folder.join("out.wasm");
    let mut output = Output::file(&path, OutputOptions::new(publish)).expect(context);
    assert_eq!(leftovers(folder), Vec::<String>::new(), "{context}");
    let found = fs::read(&path).ok();
    assert!(
        allowed.contains(&found.as_ref()),
        "neither the old version nor the new: {context}"
    );
    let mut contents = found.unwrap_or_else(|| {
        let contents = versions::whole(40_000, 50);
        publish_whole(&mut output, &contents).expect(context);
        contents
    });
    for more in 100..103 {
        output
            .publish_patch(patch(&mut contents, more, 42_000))
            .expect(context);
        assert!(output.read().expect(context) == contents, "{context}");
    }
    drop(output);
    assert!(fs::read(&path).unwrap() == contents, "{context}");
    assert_eq!(leftovers(folder), Vec::<String>::new(), "{context}");
}

fn check_killed(script: &Script, call: &Call) {
    let folder = temporary();
    let log = folder.path().join("log");
    let (before, after) = script.before_and_after();
    let allowed = [before.as_ref(), Some(&after)];
    let run = traced(
        folder.path(),
        &log,
        script.name,
        Some(format!("{}:signal=KILL:when={}", call.name, call.nth)),
    );
    let context = format!("{} killed at {}", script.name, call.line);
    let found = fs::read(folder.path().join("out.wasm")).ok();
    // How often a lease is asked for again depends on the time, so the kill can be late.
    let in_time = !fs::read_to_string(&log)
        .unwrap()
        .contains("/crash-writer-end");
    if script.reader && !in_time {
        assert!(
            generation(&found.unwrap()).is_some(),
            "a torn version is visible: {context}"
        );
        return;
    }
    assert!(
        in_time && run.status.signal() == Some(9),
        "{context}: not killed: {run:?}"
    );
    if script.publish == Publish::Atomic {
        assert!(
            allowed.contains(&found.as_ref()),
            "a torn version is visible: {context}"
        );
    }
    check_next_run(folder.path(), script.publish, &allowed, &context);
}

/// Returns whether the failure reached the caller.
fn check_failed(script: &Script, call: &Call, error: &str) -> bool {
    let folder = temporary();
    let log = folder.path().join("log");
    let run = traced(
        folder.path(),
        &log,
        script.name,
        Some(format!("{}:error={error}:when={}", call.name, call.nth)),
    );
    let context = format!("{}: {error} from {}", script.name, call.line);
    let code = run.status.code();
    assert!(
        matches!(code, Some(0 | 10)),
        "{context}: {code:?}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let found = fs::read(folder.path().join("out.wasm")).unwrap();
    assert_eq!(
        generation(&found),
        Some(script.ops.len() as u64 + 1),
        "{context}"
    );
    assert_eq!(leftovers(folder.path()), Vec::<String>::new(), "{context}");
    code == Some(10)
}

fn window(script: &Script) -> Vec<Call> {
    let folder = temporary();
    let log = folder.path().join("log");
    let run = traced(folder.path(), &log, script.name, None);
    assert!(run.status.success(), "{}: {run:?}", script.name);
    let calls = calls(&log);
    assert!(
        calls.iter().any(|call| call.name == "pwrite64"),
        "{}: {calls:#?}",
        script.name
    );
    calls
}

#[test]
fn a_writer_killed_at_any_call_leaves_the_old_version_or_the_new() {
    let mut points = 0;
    for script in SCRIPTS {
        for call in window(script) {
            check_killed(script, &call);
            points += 1;
        }
    }
    println!("killed at {points} calls");
}

#[test]
fn any_call_that_fails_is_a_clean_error_or_none() {
    let (mut points, mut reported) = (0, 0);
    for script in SCRIPTS {
        for call in window(script)
            .iter()
            .filter(|call| !MEMORY.contains(&call.name.as_str()))
        {
            for error in ["ENOSPC", "EIO", "EINTR", "EINVAL"] {
                let failed = check_failed(script, call, error);
                let must_fail = matches!(call.name.as_str(), "pwrite64" | "fsync" | "fdatasync");
                assert!(
                    failed || !must_fail || error == "EINTR",
                    "{}: {error} from {}",
                    script.name,
                    call.line
                );
                points += 1;
                reported += usize::from(failed);
            }
        }
    }
    println!("{points} failures, {reported} of them reported");
}

/// Where something is missing, every call of that kind fails. That every patch is a copy then is said once.
#[test]
fn a_file_system_that_lacks_something_works() {
    let lacks = [
        (
            "renameat2:error=EINVAL",
            "two names cannot be exchanged here",
        ),
        ("fcntl:error=EINVAL", "there are no file leases here"),
        ("fallocate:error=EOPNOTSUPP", ""),
        ("ioctl:error=ENOTTY", ""),
        ("flock:error=ENOLCK", "a second writer would not be noticed"),
    ];
    for script in SCRIPTS
        .iter()
        .filter(|script| script.publish == Publish::Atomic)
    {
        for (inject, notice) in lacks {
            let folder = temporary();
            let log = folder.path().join("log");
            let run = traced(folder.path(), &log, script.name, Some(inject.to_string()));
            let context = format!("{} with {inject}: {run:?}", script.name);
            assert!(run.status.success(), "{context}");
            let told = String::from_utf8_lossy(&run.stderr);
            assert_eq!(
                told.lines().count(),
                usize::from(!notice.is_empty()),
                "{context}"
            );
            assert!(told.contains(notice), "{context}");
            assert_eq!(leftovers(folder.path()), Vec::<String>::new(), "{context}");
        }
    }
}

/// The next open, which rolls a torn write back, can itself be killed anywhere.
#[test]
fn a_roll_back_can_be_killed() {
    let script = SCRIPTS
        .iter()
        .find(|script| script.name == "in-place-grow")
        .unwrap();
    let (before, after) = script.before_and_after();
    let before = before.unwrap();
    let window = window(script);
    // Late enough that the file is torn: after some of the writes.
    let torn_at = window
        .iter()
        .filter(|call| call.name == "pwrite64")
        .nth(3)
        .unwrap();
    let tear = |folder: &Path| {
        let inject = format!("pwrite64:signal=KILL:when={}", torn_at.nth);
        traced(folder, &folder.join("log"), script.name, Some(inject));
        let torn = fs::read(folder.join("out.wasm")).unwrap();
        assert!(torn != before && torn != after, "it should be torn");
    };
    let folder = temporary();
    tear(folder.path());
    let log = folder.path().join("log");
    assert!(traced(folder.path(), &log, "open", None).status.success());
    assert!(fs::read(folder.path().join("out.wasm")).unwrap() == before);
    let opening = calls(&log);
    assert!(opening.iter().any(|call| call.name == "pwrite64"));
    for call in opening {
        let folder = temporary();
        tear(folder.path());
        let inject = format!("{}:signal=KILL:when={}", call.name, call.nth);
        let run = traced(folder.path(), &log, "open", Some(inject));
        assert_eq!(run.status.signal(), Some(9), "{}", call.line);
        check_next_run(
            folder.path(),
            Publish::InPlace,
            &[Some(&before)],
            &call.line,
        );
    }
}

/// Kills in the middle of a call.
#[test]
fn a_writer_killed_at_any_time_leaves_a_whole_version() {
    for how in ["atomic", "in-place"] {
        let publish = if how == "atomic" {
            Publish::Atomic
        } else {
            Publish::InPlace
        };
        let folder = temporary();
        let path = folder.path().join("out.wasm");
        fs::write(&path, versions::whole(40_000, 0)).unwrap();
        let mut last = 0;
        for round in 0..150u64 {
            let mut child = Command::new(WRITER)
                .arg(&path)
                .args(["endless", how])
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_micros(3000 + round * 7919 % 9000));
            child.kill().unwrap();
            child.wait().unwrap();
            let seen = fs::read(&path).unwrap();
            assert!(
                publish == Publish::InPlace || generation(&seen).is_some(),
                "round {round}: torn"
            );
            drop(Output::file(&path, OutputOptions::new(publish)).unwrap());
            let now = generation(&fs::read(&path).unwrap()).expect("torn after the next open");
            assert!(now >= last, "{now} after {last}");
            last = now;
            assert_eq!(leftovers(folder.path()), Vec::<String>::new());
        }
        assert!(last > 1000, "hardly anything was published: {last}");
    }
}

/// A file system of 1 MiB, mounted where nobody else sees it.
#[test]
fn a_full_disk_is_a_clean_error() {
    let folder = temporary();
    let script = r#"mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" "$1/out.wasm" full-disk"#;
    let run = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(folder.path())
        .arg(WRITER)
        .output()
        .expect("this test needs unshare");
    assert!(run.status.success(), "{run:?}");
}
