//! Links and patches of builds that keep their state, killed at each system call and with each of them failing: the output is what it
//! was or what it has to be, the next one is right whatever was left, and nothing is left then. Also on a full disk that is in memory.
//!
//! Run: `wasmend ld --state main.o twice.o pick.o -o out.wasm`, and `wasmend patch out.wasm build.wasm`, under strace, and in a namespace
//! of its own (`unshare`), with the feature `crash-tests`.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmend::inspect::finish;

use crate::support::command::{text, unshared, wasmend};
use crate::support::objects::{I32, builder::Builder};
use crate::support::threads::for_all;
use crate::watching::{answer, pick, program};

const LINE: [&str; 7] = [
    "ld", "--state", "main.o", "twice.o", "pick.o", "-o", "out.wasm",
];

/// What is linked for a build.
const BUILD: [&str; 7] = [
    "ld",
    "--no-incremental",
    "main.o",
    "twice.o",
    "pick.o",
    "-o",
    "build.wasm",
];
const PATCH: [&str; 3] = ["patch", "out.wasm", "build.wasm"];

/// Calls that manage memory and threads: what they come to is no matter of files, and neither is how the program is loaded.
const OF_THE_PROCESS: &[&str] = &[
    "brk",
    "clone",
    "clone3",
    "close",
    "exit",
    "exit_group",
    "futex",
    "geteuid",
    "getpid",
    "getrandom",
    "gettid",
    "getuid",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "pipe2",
    "recvfrom",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "socketpair",
];

/// Calls after which something may be another way than before: a process that is killed at any other call is killed at the next one
/// of these, as far as anybody can tell.
const CHANGES: &[&str] = &[
    "copy_file_range",
    "fallocate",
    "fchmod",
    "fcntl",
    "flock",
    "ftruncate",
    "ioctl",
    "linkat",
    "mkdirat",
    "openat",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "write",
];

/// Which command makes the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Link,
    /// A link that has one do it that stays: either may be killed.
    Asks,
    Patch,
    /// The same in place.
    PatchInPlace,
}

/// A command, and what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Case {
    tool: Tool,
    scene: Scene,
}

/// What is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// Nothing is there.
    First,
    /// All is as it was.
    Nothing,
    /// An object has changed since the first link.
    Patch,
    /// An object has changed since a patch, so that there is a copy that takes the output's place.
    SecondPatch,
    /// As before, and a build system has removed the output.
    Removed,
    /// The options are others.
    OtherOptions,
}

impl Scene {
    const ALL: [Scene; 6] = [
        Scene::First,
        Scene::Nothing,
        Scene::Patch,
        Scene::SecondPatch,
        Scene::Removed,
        Scene::OtherOptions,
    ];
}

impl Case {
    fn link(scene: Scene) -> Case {
        Case {
            tool: Tool::Link,
            scene,
        }
    }

    /// What is asked of patches: the same is in the scenes that are left out.
    fn patches() -> [Case; 4] {
        let case = |tool, scene| Case { tool, scene };
        [
            case(Tool::Patch, Scene::First),
            case(Tool::Patch, Scene::SecondPatch),
            case(Tool::Patch, Scene::Removed),
            case(Tool::PatchInPlace, Scene::SecondPatch),
        ]
    }

    /// What is asked of links that ask.
    fn asking() -> [Case; 3] {
        [Scene::First, Scene::SecondPatch, Scene::Removed].map(|scene| Case {
            tool: Tool::Asks,
            scene,
        })
    }

    /// Writes what adds this number.
    fn write(self, folder: &Path, added: u8) {
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        if matches!(self.tool, Tool::Patch | Tool::PatchInPlace) {
            expect_done(&run(folder, &BUILD), "the build");
        }
    }

    /// A folder in which it can begin, and what the output answers before it and when it is done.
    fn prepare(self) -> (tempfile::TempDir, i32, i32) {
        let folder = program(1);
        let write = |added| self.write(folder.path(), added);
        write(1);
        if self.scene == Scene::First {
            return (folder, 161, 161);
        }
        expect_done(&link(folder.path(), self), "the link before");
        if self.scene == Scene::Nothing {
            // Long enough ago that its times tell.
            std::thread::sleep(std::time::Duration::from_millis(30));
            expect_done(&link(folder.path(), self), "the link before");
            return (folder, 161, 161);
        }
        write(2);
        if self.scene != Scene::SecondPatch {
            if self.scene == Scene::Removed {
                fs::remove_file(folder.path().join("out.wasm")).unwrap();
            }
            return (folder, 161, 162);
        }
        expect_done(&link(folder.path(), self), "the patch before");
        write(3);
        (folder, 162, 163)
    }

    fn arguments(self, is_before: bool) -> Vec<&'static str> {
        let mut line = match self.tool {
            Tool::Link | Tool::Asks => LINE.to_vec(),
            Tool::Patch | Tool::PatchInPlace => PATCH.to_vec(),
        };
        if self.tool == Tool::PatchInPlace {
            line.extend(["--publish", "in-place"]);
        }
        if self.scene == Scene::OtherOptions && !is_before {
            line.push("--export=pick");
        }
        line
    }

    /// Whether there may be no output.
    fn may_be_missing(self) -> bool {
        matches!(self.scene, Scene::First | Scene::Removed)
    }
}

fn run(folder: &Path, line: &[&str]) -> Output {
    let mut command = Command::new(wasmend());
    command.arg("--verbose").args(line).current_dir(folder);
    command
        .env_remove("WASMEND_STATE_UNUSABLE")
        .output()
        .unwrap()
}

/// The links before the one that matters.
fn link(folder: &Path, case: Case) -> Output {
    run(folder, &case.arguments(true))
}

fn expect_done(ran: &Output, context: &str) {
    let said = text(&ran.stderr);
    assert!(
        ran.status.success() && !said.contains("panicked"),
        "{context}: {said}"
    );
}

/// The link that matters, under strace.
fn traced(folder: &Path, case: Case, inject: Option<&str>) -> Output {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "log"]).current_dir(folder);
    if let Some(inject) = inject {
        strace.args(["-e", &format!("inject={inject}")]);
    }
    strace.arg(wasmend()).args(case.arguments(false));
    if case.tool == Tool::Asks {
        // It stays for no longer than it takes, for strace waits for it.
        strace.env("WASMEND_DAEMON", "1");
        strace.env("WASMEND_DAEMON_IDLE", "0");
    }
    strace.env_remove("WASMEND_STATE_UNUSABLE");
    strace.output().expect("these tests need strace")
}

/// The calls of a link since it first looks at a file that matters: each with how many of its name the thread has made.
fn calls(case: Case) -> BTreeSet<(String, u32)> {
    let (folder, ..) = case.prepare();
    expect_done(&traced(folder.path(), case, None), "without faults");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let mut counts: HashMap<(&str, &str), u32> = HashMap::new();
    let mut has_begun = false;
    let mut found = BTreeSet::new();
    // How the program is loaded is not looked at: calls that are counted before, by whichever thread, are none of these.
    let mut before: HashMap<&str, u32> = HashMap::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, arguments)) = call.trim_start().split_once('(') else {
            continue;
        };
        let nth = counts.entry((thread, name)).or_default();
        *nth += 1;
        has_begun |= arguments.contains("out.wasm\"") && name != "execve";
        if !has_begun {
            before.insert(name, *nth);
        }
        if has_begun && !OF_THE_PROCESS.contains(&name) {
            found.insert((name.to_owned(), *nth));
        }
    }
    found.retain(|(name, nth)| before.get(&**name).is_none_or(|before| nth > before));
    assert!(found.len() > 40, "{case:?}: {found:?}");
    found
}

/// The dense form of what a link from nothing makes of the folder's objects.
fn fresh(folder: &Path, case: Case) -> Vec<u8> {
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["main.o", "twice.o", "pick.o", "build.wasm"] {
        let _ = fs::copy(folder.join(name), elsewhere.path().join(name));
    }
    let line = case.arguments(false);
    let line: Vec<&str> = line.into_iter().filter(|word| *word != "--state").collect();
    expect_done(&run(elsewhere.path(), &line), "a link without state");
    finish(&fs::read(elsewhere.path().join("out.wasm")).unwrap()).unwrap()
}

/// The output is one that was or one that has to be.
fn check_output(folder: &Path, case: Case, allowed: &[i32], context: &str) {
    let output = folder.join("out.wasm");
    match output.exists() {
        true => assert!(allowed.contains(&answer(&output)), "{context}"),
        false => assert!(case.may_be_missing(), "{context}: the output is gone"),
    }
}

/// The next link is right, on whatever was left, and leaves nothing; the one after it too.
fn check_next(folder: &Path, case: Case, after: i32, context: &str) {
    let output = folder.join("out.wasm");
    let line = case.arguments(false);
    expect_done(&run(folder, &line), context);
    assert_eq!(answer(&output), after, "{context}");
    let dense = finish(&fs::read(&output).unwrap()).unwrap();
    assert!(
        dense == fresh(folder, case),
        "{context}: not the fresh link"
    );
    let doctor = run(folder, &["doctor", "out.wasm"]);
    assert!(
        doctor.status.success(),
        "{context}: {}",
        text(&doctor.stdout)
    );
    case.write(folder, 50);
    let ran = run(folder, &line);
    expect_done(&ran, context);
    let said = text(&ran.stderr) + &text(&ran.stdout);
    assert!(said.contains("patched 1 function"), "{context}: {said}");
    assert_eq!(answer(&output), 210, "{context}");
}

/// A call, and what becomes of it.
struct Point {
    case: Case,
    name: String,
    nth: u32,
    fault: &'static str,
}

/// A link in which a call failed, or ended it.
struct Struck {
    folder: tempfile::TempDir,
    /// What the program answered before, and what it has to afterwards.
    before: i32,
    after: i32,
    ran: Output,
    context: String,
}

impl Point {
    /// Links, and lets the fault strike.
    fn strike(&self) -> Struck {
        let Point {
            case,
            name,
            nth,
            fault,
        } = self;
        let (folder, before, after) = case.prepare();
        let what = format!("{name}:{fault}:when={nth}");
        Struck {
            ran: traced(folder.path(), *case, Some(&what)),
            context: format!("{case:?} with {fault} from call {nth} of {name}"),
            folder,
            before,
            after,
        }
    }
}

/// Points are tried a few at a time: most of the time is the system's.
const AT_ONCE: usize = 4;

#[test]
fn a_link_that_is_killed_at_any_call_leaves_the_old_output_or_the_new_and_the_next_one_is_right() {
    let mut points = Vec::new();
    let links = Scene::ALL.map(Case::link);
    let others = Case::patches().into_iter().chain(Case::asking());
    for case in links.into_iter().chain(others) {
        let calls = calls(case).into_iter();
        for (name, nth) in calls.filter(|(name, _)| CHANGES.contains(&&**name)) {
            let fault = "signal=KILL";
            points.push(Point {
                case,
                name,
                nth,
                fault,
            });
        }
    }
    for_all(&points, AT_ONCE, |point| {
        let struck = point.strike();
        let (folder, context, after) = (struck.folder.path(), &struck.context, struck.after);
        // Calls that depend on the time may not be made again.
        let status = struck.ran.status;
        let is_killed = status.signal() == Some(9);
        assert!(is_killed || status.success(), "{context}: {:?}", struck.ran);
        check_output(folder, point.case, &[struck.before, after], context);
        check_next(folder, point.case, after, context);
    });
    println!("killed at {} calls", points.len());
}

#[test]
fn a_link_of_which_any_call_fails_is_right_or_says_so_and_the_next_one_is_right() {
    let mut points = Vec::new();
    let links = [
        Scene::First,
        Scene::Patch,
        Scene::SecondPatch,
        Scene::Removed,
    ]
    .map(Case::link);
    for case in links.into_iter().chain(Case::patches()) {
        for (name, nth) in calls(case) {
            // A disk is full for those who write; what cannot be read cannot be for any reason.
            let faults: &[&str] = match CHANGES.contains(&&*name) {
                true => &["error=ENOSPC", "error=EIO"],
                false => &["error=EIO"],
            };
            let name = &name;
            points.extend(faults.iter().map(|fault| Point {
                case,
                name: name.clone(),
                nth,
                fault,
            }));
        }
    }
    let failures = AtomicUsize::new(0);
    for_all(&points, AT_ONCE, |point| {
        let struck = point.strike();
        let (folder, context, after) = (struck.folder.path(), &struck.context, struck.after);
        let said = text(&struck.ran.stderr);
        assert!(
            matches!(struck.ran.status.code(), Some(0 | 1)),
            "{context}: {:?}",
            struck.ran
        );
        assert!(!said.contains("panicked"), "{context}: {said}");
        match struck.ran.status.success() {
            true => assert_eq!(answer(&folder.join("out.wasm")), after, "{context}"),
            false => {
                check_output(folder, point.case, &[struck.before, after], context);
                failures.fetch_add(1, Ordering::SeqCst);
            }
        }
        check_next(folder, point.case, after, context);
    });
    let failures = failures.load(Ordering::SeqCst);
    println!(
        "{} failing calls, {failures} links that failed",
        points.len()
    );
    assert!(failures > 0);
}

/// An object with so many functions, and one that calls all of them.
fn wide(functions: i32, added: i32) -> Vec<u8> {
    const ADD: u8 = 0x6a;
    const END: u8 = 0x0b;
    let mut builder = Builder::new();
    let ty = builder.function_type(&[I32], &[I32]);
    for at in 0..functions {
        let code = builder.begin_function(&format!("part{at}"), ty, false);
        code.local_get(0).i32_const(at + added).op(ADD).op(END);
        builder.end_function();
    }
    let code = builder.begin_function("answer", ty, true);
    code.i32_const(0);
    for at in 0..functions as u32 {
        code.local_get(0).call_own(at).op(ADD);
    }
    code.op(END);
    builder.end_function();
    builder.finish()
}

/// What is mapped from a file in memory needs room for each page that is touched, even if it is only read: a process that finds
/// none is ended by the system, unless it starts anew.
#[test]
fn a_full_disk_in_memory_ends_no_link_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir(place("disk")).unwrap();
    fs::write(place("before.o"), wide(20, 1)).unwrap();
    fs::write(place("after.o"), wide(3000, 2)).unwrap();
    // With what is left to it, each of these links fails with a message, or does its work with or without state.
    let script = r#"
        mount -t tmpfs -o size=24m tmpfs disk && cd disk || exit 99
        link() { "$1" --verbose ld --state --no-entry --export=answer ../wide.o -o out.wasm; }
        for free in 0 20 60 120 200 400 900 2000; do
            rm -rf * .wasmend
            cp ../before.o ../wide.o && link "$1" && cp ../after.o ../wide.o || exit 98
            left=$(df -k . | tail -n 1 | awk '{print $4}')
            head -c $(((left - free) * 1024)) /dev/zero > filler
            link "$1"
            code=$?
            echo "code $code with $free KiB"
            [ $code = 0 ] || [ $code = 1 ] || exit 97
            "$1" inspect out.wasm > /dev/null || exit 96
            rm filler
            link "$1" || exit 95
            "$1" doctor out.wasm || exit 94
        done
    "#;
    let ran = unshared(script)
        .arg("sh")
        .arg(wasmend())
        .current_dir(folder.path())
        .output()
        .expect("this test needs unshare");
    let said = text(&ran.stdout) + &text(&ran.stderr);
    assert!(
        ran.status.success() && !said.contains("panicked"),
        "{:?}: {said}",
        ran.status
    );
    assert!(said.contains("code 1 with 0 KiB"), "{said}");
    assert!(
        said.contains("its heap cannot be read, or the disk has no room for it"),
        "{said}"
    );
}
