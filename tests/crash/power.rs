//! Losses of power, at every system call of what asks to survive them (`Durability::Power`): whatever of what was not flushed has not
//! reached the disk, the output is a version, the old one or the new one, and the new one once it was said to be there. What is kept
//! for the next process is not made to survive, and is not trusted once the system was started anew.
//!
//! Run: `crash_writer`, and `wasmend ld --state --durability power`, `wasmend patch` and `wasmend watch` with the same, under strace; what
//! is left is made up from what they have asked of the system (`disk`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Finished, Stdio};

use wasmend::output::{Durability, Output, OutputOptions, Publish};

use crate::disk::{Disk, calls, strace};
use crate::rng::Rng;
use crate::threads::{cores, for_all};
use crate::versions::{SCRIPTS, Script, generation};
use crate::{WRITER, temporary};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Puts what is left into another folder.
fn restore(files: &Files, from: &Path, to: &Path) {
    for (path, bytes) in files {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A journal that is whole names the output, which is another file where it was restored.
fn rename_in_journal(journal: &Path, visible: &fs::Metadata) {
    use std::os::unix::fs::MetadataExt;
    /// Where its checksum stands, what that is of, and device and inode.
    const SUM: usize = 8;
    const SUMMED: usize = 40;
    const NAMES: usize = 48;
    let Ok(mut bytes) = fs::read(journal) else {
        return;
    };
    let Some(len) = bytes.get(SUMMED..NAMES) else {
        return;
    };
    let end = NAMES + u64::from_le_bytes(len.try_into().unwrap()) as usize;
    let sum = |bytes: &[u8]| *blake3::hash(&bytes[SUMMED..end]).as_bytes();
    if bytes.len() < end || sum(&bytes) != bytes[SUM..SUMMED] {
        return;
    }
    bytes[NAMES..NAMES + 8].copy_from_slice(&visible.dev().to_le_bytes());
    bytes[NAMES + 8..NAMES + 16].copy_from_slice(&visible.ino().to_le_bytes());
    let sum = sum(&bytes);
    bytes[SUM..SUMMED].copy_from_slice(&sum);
    fs::write(journal, bytes).unwrap();
}

/// The version that is there after the next open, which may have to roll a torn write back; `None` if there is none.
fn recovered(files: &Files, from: &Path, publish: Publish, context: &str) -> Option<u64> {
    let folder = tempfile::tempdir().unwrap();
    restore(files, from, folder.path());
    let path = folder.path().join("out.wasm");
    if let Ok(visible) = fs::metadata(&path) {
        rename_in_journal(&folder.path().join(".wasmend/out.wasm.journal"), &visible);
    }
    drop(Output::file(&path, OutputOptions::new(publish)).expect(context));
    let found = fs::read(path).ok()?;
    Some(generation(&found).unwrap_or_else(|| panic!("torn: {context}")))
}

#[test]
fn what_a_writer_publishes_for_good_survives_whatever_has_not_reached_the_disk() {
    let scripts = SCRIPTS
        .iter()
        .filter(|it| it.durability == Durability::Power);
    let scripts: Vec<&Script> = scripts.collect();
    let seen = for_all(&scripts, cores(), |script| {
        let mut rng = Rng::new(1);
        let (mut points, mut images) = (0, 0);
        let folder = temporary();
        let log = folder.path().join("log");
        let path = folder.path().join("out.wasm");
        let mut disk = Disk::of_folder(folder.path());
        let mut strace = strace(&log);
        let ran = strace.arg(WRITER).arg(&path).arg(script.name).output();
        assert!(ran.expect("this test needs strace").status.success());
        // The last operation of the script is between two marks, and two more patches come behind it.
        let last = script.ops.len() as u64 - 1;
        let mut allowed = 0..=last.saturating_sub(1);
        let mut must_be_there = false;
        for call in calls(&log) {
            let mark = call.text(1);
            if call.name == "statx" && mark.ends_with(b"crash-writer-begin") {
                must_be_there = last > 0;
                allowed = last.saturating_sub(1)..=last;
            } else if call.name == "statx" && mark.ends_with(b"crash-writer-end") {
                must_be_there = true;
                allowed = last..=last + 2;
            }
            if !disk.follow(&call) {
                continue;
            }
            points += 1;
            let context = format!("{} after {call:?}", script.name);
            let context = &context[..context.len().min(600)];
            let check = |found: Option<u64>| match found {
                Some(found) => assert!(allowed.contains(&found), "{found}: {context}"),
                None => assert!(!must_be_there, "it is gone: {context}"),
            };
            match script.publish {
                Publish::Atomic => disk.left(&[&path]).each(&mut rng, |files| {
                    images += 1;
                    check(files.get(&path).map(|found| {
                        generation(found).unwrap_or_else(|| panic!("torn: {context}"))
                    }));
                }),
                // What undoes a torn write stands in another file.
                Publish::InPlace => disk.left(&[]).each(&mut rng, |files| {
                    images += 1;
                    check(recovered(files, folder.path(), script.publish, context));
                }),
            }
        }
        (points, images)
    });
    let points: usize = seen.iter().map(|(points, _)| points).sum();
    let images: usize = seen.iter().map(|(_, images)| images).sum();
    println!("{images} images after {points} calls");
    assert!(points > 100 && images > 2_000, "{points} {images}");
}

/// A program of three objects, or a module, that is brought up to date step by step.
struct Chain {
    folder: tempfile::TempDir,
    disk: Disk,
    rng: Rng,
    /// The version that must be there.
    before: Option<Vec<u8>>,
    /// What is left that must not be: torn, or gone.
    wrong: Vec<String>,
    points: u32,
    images: u32,
    next_runs: u32,
}

const LINE: [&str; 5] = ["main.o", "twice.o", "pick.o", "-o", "out.wasm"];

fn object(name: &str) -> Vec<u8> {
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    fs::read(objects.join(name)).unwrap()
}

/// `pick.o` adds 100; this one adds something else.
fn pick(added: u8) -> Vec<u8> {
    let mut bytes = object("pick.o");
    let mut windows = bytes.windows(3);
    let at = windows.position(|window| window == [0x41, 0xe4, 0]);
    bytes[at.unwrap() + 1] = 0x80 | added;
    bytes
}

fn module(number: u8) -> Vec<u8> {
    wat::parse_str(format!(
        "(module (func (export \"one\") (result i32) i32.const 1)
            (func (export \"f\") (result i32) i32.const {number}))"
    ))
    .unwrap()
}

impl Chain {
    fn new() -> Chain {
        let folder = temporary();
        for name in ["main.o", "twice.o"] {
            fs::write(folder.path().join(name), object(name)).unwrap();
        }
        Chain {
            disk: Disk::of_folder(folder.path()),
            folder,
            rng: Rng::new(5),
            before: None,
            wrong: Vec::new(),
            points: 0,
            images: 0,
            next_runs: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes what is read next. It is the user's own, and on the disk for certain.
    fn write(&self, number: u8) {
        fs::write(self.path("pick.o"), pick(number)).unwrap();
        fs::write(self.path("build.wasm"), module(number)).unwrap();
    }

    fn strace(&self) -> (Command, PathBuf) {
        let log = self.path("log");
        let mut strace = strace(&log);
        strace.arg(env!("CARGO_BIN_EXE_wasmend"));
        strace.current_dir(self.folder.path());
        strace.env_remove("WASMEND_STATE_UNUSABLE");
        (strace, log)
    }

    /// Runs a process to its end, which has published one version by then, or found that there is nothing to do.
    fn run(&mut self, arguments: &[&str], next: &[&str]) {
        let (mut strace, log) = self.strace();
        let ran = strace.args(arguments).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let after = fs::read(self.path("out.wasm")).unwrap();
        let versions = [self.before.take(), Some(after.clone())];
        self.follow(&log, &versions, next);
        self.before = Some(after);
        self.expect_certain(arguments);
    }

    /// Looks at what may be left after each call; one of `versions` must be there, `None` being that there is none.
    fn follow(&mut self, log: &Path, versions: &[Option<Vec<u8>>], next: &[&str]) {
        let path = self.path("out.wasm");
        self.disk.begin_process();
        for call in calls(log) {
            if !self.disk.follow(&call) {
                continue;
            }
            self.points += 1;
            let (images, wrong) = (&mut self.images, &mut self.wrong);
            self.disk.left(&[&path]).each(&mut self.rng, |files| {
                *images += 1;
                let found = files.get(&path).cloned();
                if !versions.contains(&found) {
                    wrong.push(format!("torn or gone after {call:?}"));
                }
            });
            if self.rng.once_in(8) {
                self.expect_next_run(next);
            }
        }
        let shown = self.disk.shown(&path);
        assert_eq!(
            shown,
            fs::read(&path).ok().as_deref(),
            "the disk is another one"
        );
    }

    /// What a process has said to be there, is.
    fn expect_certain(&mut self, arguments: &[&str]) {
        let path = self.path("out.wasm");
        let (before, wrong) = (self.before.clone(), &mut self.wrong);
        self.disk.left(&[&path]).each(&mut self.rng, |files| {
            if files.get(&path) != before.as_ref() {
                wrong.push(format!("lost after {arguments:?}"));
            }
        });
    }

    /// After a loss of power the system is started anew, and the next process finds what is left, all of it or some.
    fn expect_next_run(&mut self, next: &[&str]) {
        let mut files = self.disk.left(&[]).one(&mut self.rng);
        for name in ["main.o", "twice.o", "pick.o", "build.wasm"] {
            files.insert(self.path(name), fs::read(self.path(name)).unwrap());
        }
        let folder = temporary();
        restore(&files, self.folder.path(), folder.path());
        // Only the linker's user may write there.
        let state = folder.path().join(".wasmend");
        if state.exists() {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let ran = after_another_start(folder.path(), self.folder.path(), next);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{said}");
        let log = fs::read_to_string(folder.path().join(".wasmend/out.wasm.log")).unwrap();
        let last = log.lines().last().unwrap();
        let reasons = ["S01", "S02", "S13"];
        let is_anew = reasons
            .iter()
            .any(|reason| last.contains(&format!("\"code\":\"{reason}\"")));
        assert!(is_anew, "the state was trusted: {last}");
        self.next_runs += 1;
    }
}

/// Runs wasmend as after another start of the system, which finds in a folder what is in this one.
fn after_another_start(image: &Path, folder: &Path, arguments: &[&str]) -> Finished {
    let boot = image.join("boot_id");
    fs::write(&boot, "00000000-0000-4000-8000-000000000000\n").unwrap();
    let script = r#"mount --bind . "$1" && cd "$1" && shift &&
        mount --bind boot_id /proc/sys/kernel/random/boot_id && exec "$0" "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command.arg(env!("CARGO_BIN_EXE_wasmend")).arg(folder);
    command.args(arguments).current_dir(image);
    command.env_remove("WASMEND_STATE_UNUSABLE");
    command.output().expect("this test needs unshare")
}

#[test]
fn links_that_keep_their_state_or_do_not_survive_whatever_has_not_reached_the_disk() {
    for state in ["--state", "--no-state"] {
        let mut chain = Chain::new();
        let line = [
            &["ld", "--durability", "power", "--threads=1", state],
            &LINE[..],
        ]
        .concat();
        let next = [&["ld", "--state"], &LINE[..]].concat();
        for number in [1, 2, 3, 4, 5] {
            chain.write(number);
            chain.run(&line, &next);
        }
        // Nothing to do; and nothing but to give the output its name again.
        chain.run(&line, &next);
        fs::remove_file(chain.path("out.wasm")).unwrap();
        chain.disk.remove(&chain.path("out.wasm"));
        let before = chain.before.take();
        chain.run(&line, &next);
        if state == "--state" {
            assert!(chain.before == before, "it was linked anew");
        }
        assert!(chain.wrong.is_empty(), "{:?}", chain.wrong[0]);
        let Chain {
            points,
            images,
            next_runs,
            ..
        } = chain;
        println!("{state}: {images} images after {points} calls, {next_runs} of them linked");
        assert!(
            points > 60 && images > points && next_runs > 5,
            "{points} {images} {next_runs}"
        );
    }
}

#[test]
fn patches_of_builds_survive_whatever_has_not_reached_the_disk() {
    let mut chain = Chain::new();
    let line = ["patch", "--durability", "power", "out.wasm", "build.wasm"];
    for number in [1, 2, 3, 4] {
        chain.write(number);
        chain.run(&line, &line);
    }
    println!("{} images after {} calls", chain.images, chain.points);
    assert!(chain.wrong.is_empty(), "{:?}", chain.wrong[0]);
    assert!(chain.points > 60 && chain.images > chain.points);
}

/// What is not asked to survive a loss of power does not, as is seen here: otherwise nothing would be proved.
#[test]
fn what_asks_for_nothing_is_lost() {
    let mut chain = Chain::new();
    let line = [&["ld", "--threads=1", "--state"], &LINE[..]].concat();
    for number in [1, 2, 3] {
        chain.write(number);
        chain.run(&line, &line);
    }
    let torn = chain.wrong.iter().filter(|it| it.starts_with("torn"));
    let (torn, all) = (torn.count(), chain.wrong.len());
    println!(
        "{torn} torn or gone, {} lost, of {} images",
        all - torn,
        chain.images
    );
    assert!(torn > 100 && all > torn, "{torn} {all}");
}

/// Each version of a watch is there for good before it is said; what it saves while it rests spoils nothing.
#[test]
fn a_watch_survives_whatever_has_not_reached_the_disk() {
    use std::io::{BufRead, BufReader};
    let mut chain = Chain::new();
    chain.write(1);
    let (mut strace, log) = chain.strace();
    strace.args([
        "--json",
        "watch",
        "--state",
        "--durability",
        "power",
        "--threads=1",
    ]);
    let mut child = strace.args(LINE).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut versions = vec![None];
    for number in 2..7 {
        // An update is said, and what is done behind it.
        for kind in ["\"update\"", "\"state\""] {
            let mut events = lines.by_ref().map(Result::unwrap);
            assert!(events.any(|line| line.contains(&format!("\"event\":{kind}"))));
        }
        versions.push(fs::read(chain.path("out.wasm")).ok());
        if number % 2 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(900));
        }
        if number < 6 {
            chain.write(number);
        }
    }
    // strace passes it on.
    let id = fs::read_to_string(chain.path(".wasmend/out.wasm.lock")).unwrap();
    let id = rustix::process::Pid::from_raw(id.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let path = chain.path("out.wasm");
    let (mut said, mut images) = (0, 0);
    for call in calls(&log) {
        // What is told to somebody is there.
        let is_told = call.name == "write"
            && call
                .text(1)
                .windows(16)
                .any(|it| it == b"\"event\":\"update\"");
        said += usize::from(is_told);
        if !is_told && !chain.disk.follow(&call) {
            continue;
        }
        let allowed = &versions[said..(said + 2).min(versions.len())];
        chain.disk.left(&[&path]).each(&mut chain.rng, |files| {
            images += 1;
            let found = files.get(&path).cloned();
            assert!(
                allowed.contains(&found),
                "torn or lost after {said} versions, {call:?}"
            );
        });
        if chain.rng.once_in(20) {
            chain.expect_next_run(&[
                "ld", "--state", "main.o", "twice.o", "pick.o", "-o", "out.wasm",
            ]);
        }
    }
    assert_eq!(said + 1, versions.len());
    println!("{images} images, {} of them linked", chain.next_runs);
    assert!(images > 100 && chain.next_runs > 2);
}
