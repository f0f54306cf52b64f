//! What a link reads: only regular files, and pipes for as long as somebody writes; never what it writes; and with how many
//! threads it works.
//!
//! Run: `wasmend ld FILE... -o out.wasm` with files that are none, and with outputs that the link finds to be inputs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::support::objects;

/// A link must end within this time whatever it is given to read.
const BOUND: Duration = Duration::from_secs(20);

/// A folder with `main.o`, `twice.o` and `libpick.a`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in [
        ("main.o", "main.o"),
        ("twice.o", "twice.o"),
        ("pick.o", "pick.o"),
    ] {
        fs::copy(objects::path(file), folder.path().join(name)).unwrap();
    }
    fs::copy(objects::path("libgnu.a"), folder.path().join("libgnu.a")).unwrap();
    folder
}

fn ld(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
    let start = Instant::now();
    let done = command
        .arg("ld")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        start.elapsed() < BOUND,
        "{arguments:?}: {:?}",
        start.elapsed()
    );
    done
}

fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// Links with a file that is none, wherever a file can be named, and expects this in the message.
fn refused_everywhere(folder: &Path, node: &str, why: &str) {
    let response = format!("@{node}");
    let list = format!("--allow-undefined-file={node}");
    let library = format!("-l:{node}");
    for arguments in [
        &["main.o", "twice.o", "pick.o", node][..],
        &[
            "main.o",
            "twice.o",
            "pick.o",
            "--start-lib",
            node,
            "--end-lib",
        ],
        &["main.o", "twice.o", "pick.o", "--whole-archive", node],
        &["main.o", "twice.o", "pick.o", "-L.", &library],
        &["main.o", "twice.o", "pick.o", &list],
        &[&response],
    ] {
        for more in [
            &["-o", "out.wasm"][..],
            &["-o", "out.wasm", "--no-incremental"],
        ] {
            let arguments = [arguments, more].concat();
            let done = ld(folder, &arguments);
            assert_eq!(
                done.status.code(),
                Some(1),
                "{arguments:?}: {}",
                said(&done)
            );
            assert!(said(&done).contains(why), "{arguments:?}: {}", said(&done));
            assert!(said(&done).contains(node), "{arguments:?}: {}", said(&done));
            assert!(!folder.join("out.wasm").exists(), "{arguments:?}");
        }
    }
}

#[test]
fn a_folder_is_refused_wherever_a_file_is_named() {
    let folder = folder();
    fs::create_dir(folder.path().join("node")).unwrap();
    refused_everywhere(folder.path(), "node", "is a directory");
}

#[test]
fn a_device_is_refused_and_not_opened() {
    let folder = folder();
    let everybody = Mode::from_raw_mode(0o666);
    // The one that never ends.
    let made = mknodat(
        CWD,
        folder.path().join("node"),
        FileType::CharacterDevice,
        everybody,
        makedev(1, 5),
    );
    if let Err(error) = made {
        eprintln!("SKIPPED: a device needs root: {error}");
        return;
    }
    refused_everywhere(folder.path(), "node", "is not a regular file");
}

#[test]
fn a_socket_is_refused() {
    let folder = folder();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("node")).unwrap();
    refused_everywhere(folder.path(), "node", "is not a regular file");
}

fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn a_pipe_that_nobody_writes_into_is_waited_for_in_vain_but_not_for_ever() {
    let folder = folder();
    let pipe = folder.path().join("node");
    make_pipe(&pipe);
    let done = ld(
        folder.path(),
        &["main.o", "twice.o", "node", "-o", "out.wasm"],
    );
    assert!(
        said(&done).contains("node: is a pipe into which nothing is written"),
        "{}",
        said(&done)
    );
    // Nor is one whose writer does not end.
    let mut open = fs::File::options()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    open.write_all(b"\0asm").unwrap();
    let done = ld(
        folder.path(),
        &["main.o", "twice.o", "@node", "-o", "out.wasm"],
    );
    assert!(
        said(&done).contains("node: is a pipe into which nothing is written"),
        "{}",
        said(&done)
    );
}

#[test]
fn what_is_written_into_a_pipe_is_linked() {
    let folder = folder();
    let pipe = folder.path().join("pipe.o");
    make_pipe(&pipe);
    let contents = fs::read(objects::path("pick.o")).unwrap();
    let writer = std::thread::spawn(move || {
        let mut file = fs::File::options().write(true).open(pipe).unwrap();
        for part in contents.chunks(100) {
            file.write_all(part).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let done = ld(
        folder.path(),
        &["main.o", "twice.o", "pipe.o", "-o", "out.wasm"],
    );
    assert!(done.status.success(), "{}", said(&done));
    writer.join().unwrap();
}

/// An output that a link finds out to be an input is refused, and stays as it was.
#[test]
fn an_output_that_the_link_reads_is_refused_whatever_leads_to_it() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("list"), "something\n").unwrap();
    fs::write(at("arguments"), "main.o twice.o pick.o").unwrap();
    fs::write(at("libgnu.imports"), "something\n").unwrap();
    fs::create_dir(at("libraries")).unwrap();
    fs::copy(at("libgnu.a"), at("libraries/libfound.a")).unwrap();
    thin_archive(&at("thin.a"), "member.o", &fs::read(at("pick.o")).unwrap());
    fs::copy(at("pick.o"), at("member.o")).unwrap();
    let objects = ["main.o", "twice.o", "pick.o"];
    for (output, leading) in [
        ("list", &["--allow-undefined-file=list"][..]),
        ("arguments", &["@arguments"]),
        ("libgnu.imports", &["libgnu.a"]),
        ("libraries/libfound.a", &["-Llibraries", "-lfound"]),
        ("libgnu.a", &["--start-lib", "libgnu.a", "--end-lib"]),
        ("member.o", &["--whole-archive", "thin.a"]),
    ] {
        let is_whole = leading[0].starts_with('@');
        let named: &[&str] = match output {
            "arguments" => &[],
            "member.o" => &objects[..2],
            _ => &objects,
        };
        assert!(is_whole || !named.is_empty());
        let before = fs::read(at(output)).unwrap();
        let absolute = at(output);
        for output in [output, absolute.to_str().unwrap()] {
            for more in [&[][..], &["--no-incremental"]] {
                let arguments = [named, leading, more, &["-o", output]].concat();
                let done = ld(folder.path(), &arguments);
                assert_eq!(
                    done.status.code(),
                    Some(1),
                    "{arguments:?}: {}",
                    said(&done)
                );
                let why = "is both what is read and what is to be written";
                assert!(said(&done).contains(why), "{arguments:?}: {}", said(&done));
                assert_eq!(fs::read(&absolute).unwrap(), before, "{arguments:?}");
            }
        }
    }
    // Lists that are written are outputs too.
    let before = fs::read(at("libraries/libfound.a")).unwrap();
    for option in ["--Map", "--why-extract"] {
        let list = format!("{option}=libraries/libfound.a");
        let arguments = [
            &objects[..],
            &["-Llibraries", "-lfound", &list, "-o", "out.wasm"],
        ]
        .concat();
        let done = ld(folder.path(), &arguments);
        assert_eq!(
            done.status.code(),
            Some(1),
            "{arguments:?}: {}",
            said(&done)
        );
        assert_eq!(fs::read(at("libraries/libfound.a")).unwrap(), before);
    }
}

/// A thin archive without an index, of one member.
fn thin_archive(path: &PathBuf, member: &str, contents: &[u8]) {
    let name = format!("{member}/\n");
    let entry = |name: &str, len: usize| {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644)
    };
    let mut bytes = format!("!<thin>\n{}{name}", entry("//", name.len())).into_bytes();
    if bytes.len() % 2 == 1 {
        bytes.push(b'\n');
    }
    bytes.extend(entry("/0", contents.len()).into_bytes());
    fs::write(path, bytes).unwrap();
}

/// The threads of a replay while it waits for a step that is a pipe.
#[test]
fn a_replay_has_as_many_threads_as_its_link_is_told() {
    let folder = folder();
    fs::create_dir(folder.path().join("step")).unwrap();
    fs::copy(
        folder.path().join("pick.o"),
        folder.path().join("step/pick.o"),
    )
    .unwrap();
    make_pipe(&folder.path().join("slow.o"));
    for threads in [1, 3] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
        let option = format!("--threads={threads}");
        command.args([
            "replay-ld",
            "--step",
            "step",
            "--",
            &option,
            "main.o",
            "twice.o",
            "pick.o",
        ]);
        command
            .args(["slow.o", "-o", "out.wasm"])
            .current_dir(folder.path());
        let mut child = command
            .env_remove("RAYON_NUM_THREADS")
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // It waits for the pipe for seconds; one thread more starts it all, and one removes what a signal leaves.
        let tasks = format!("/proc/{}/task", child.id());
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            let names = fs::read_dir(&tasks).map_or(0, |tasks| tasks.count());
            most = most.max(names);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            (threads + 1..=threads + 2).contains(&most),
            "{most} for {threads}"
        );
    }
}
