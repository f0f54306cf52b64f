//! What a command does about where it runs: where no threads can be started, on terminals, with files that never end or are
//! cut short.
//!
//! Run: `prlimit --nproc=1 wasmend ld main.o twice.o pick.o -o OUT`, as another user than root, whom no limit holds; and
//! `script -c 'wasmend ...'`, which is a terminal, with names that have escape sequences.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};

use crate::support::command::{run, text, wasmend};
use crate::support::objects;

/// Runs a copy of `wasmend` in a folder that anybody may write to, where no more threads may be started.
fn without_threads(folder: &std::path::Path, arguments: &[&str]) -> Output {
    let is_root = text(&Command::new("id").arg("-u").output().unwrap().stdout).trim() == "0";
    let user = [
        "setpriv",
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
    ];
    let user = if is_root { &user[..] } else { &[] };
    let limit = ["prlimit", "--nproc=1", "./program"];
    let words = [user, &limit, arguments].concat();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn a_link_goes_on_where_no_more_threads_may_be_started() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["main.o", "twice.o", "pick.o"] {
        let copy = folder.path().join(name);
        fs::copy(objects::path(name), &copy).unwrap();
        fs::set_permissions(copy, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let program = folder.path().join("program");
    fs::copy(wasmend(), &program).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    let link = ["ld", "main.o", "twice.o", "pick.o", "-o", "out.wasm"];
    for threads in [
        &[][..],
        &["--threads=4"],
        &["--threads=20000"],
        &["--no-incremental"],
    ] {
        let done = without_threads(folder.path(), &[&link[..], threads].concat());
        assert!(done.status.success(), "{threads:?}: {}", text(&done.stderr));
    }
    let done = without_threads(folder.path(), &["verify", "out.wasm", "out.wasm"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
}

const ESCAPES: &str = "\x1b]0;TITLE\x07\x1b[2J";

/// What a terminal gets of a command.
fn on_a_terminal(arguments: &[&str]) -> String {
    let words = [wasmend().to_str().unwrap()];
    let words = words.iter().chain(arguments);
    let words: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    let done = Command::new("script")
        .args(["-qec", &words.join(" "), "/dev/null"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn names_reach_a_terminal_without_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    // A name of the same length as one that is there.
    let name: String = ESCAPES
        .chars()
        .chain("x".chars().cycle())
        .take(20)
        .collect();
    let wat = format!(
        r#"(module (func $f (export "{}")) (@custom "{}" "x"))"#,
        "A".repeat(20),
        "B".repeat(20)
    );
    let module = wat::parse_str(wat).unwrap();
    let mut hostile = module.clone();
    for letter in [b'A', b'B'] {
        let same = |window: &[u8]| window.iter().all(|byte| *byte == letter);
        let at = hostile.windows(20).position(same).unwrap();
        hostile[at..at + 20].copy_from_slice(name.as_bytes());
    }
    let (plain, bad) = (
        folder.path().join("plain.wasm"),
        folder.path().join("bad.wasm"),
    );
    fs::write(&plain, module).unwrap();
    fs::write(&bad, hostile).unwrap();
    let [plain, bad] = [&plain, &bad].map(|path| path.to_str().unwrap());
    let nowhere = format!("{}/{ESCAPES}", folder.path().display());
    let (option, symbol) = (format!("--{ESCAPES}"), format!("--entry={ESCAPES}"));
    let object = objects::word("main.o");
    for arguments in [
        &["inspect", bad][..],
        &["inspect", "--functions", bad],
        &["verify", plain, bad],
        &["inspect", &nowhere],
        &["replay", &option],
        &["ld", &option],
        &["ld", &nowhere, "-o", plain],
        &["ld", &object, &symbol, "-o", plain],
    ] {
        let said = on_a_terminal(arguments);
        assert!(
            said.contains("TITLE") || said.contains("unexpected argument"),
            "{said:?}"
        );
        for raw in ["\x1b]", "\x1b[2J", "\x07"] {
            assert!(!said.contains(raw), "{arguments:?}: {said:?}");
        }
    }
}

/// A pipe that gives one byte again and again, as devices do, until nobody reads it any more.
struct Endless(Option<std::thread::JoinHandle<u64>>);

impl Endless {
    fn new(path: &Path, byte: u8) -> Endless {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let path = path.to_path_buf();
        let write = move || {
            let mut pipe = fs::OpenOptions::new().write(true).open(path).unwrap();
            let bytes = [byte; 1 << 16];
            let mut written = 0;
            while pipe.write_all(&bytes).is_ok() {
                written += bytes.len() as u64;
            }
            written
        };
        Endless(Some(std::thread::spawn(write)))
    }

    /// How much was written.
    fn written(&mut self) -> u64 {
        self.0.take().unwrap().join().unwrap()
    }
}

#[test]
fn files_that_never_end_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let object = objects::word("main.o");
    let out = path("out.wasm");
    let at_most = |mb: u64| (mb << 20) + (1 << 20);
    for (name, arguments, most) in [
        (
            "list",
            vec!["ld".to_owned(), format!("@{}", path("list"))],
            at_most(64),
        ),
        (
            "symbols",
            vec![
                "ld".into(),
                format!("--allow-undefined-file={}", path("symbols")),
                object.clone(),
                format!("-o{out}"),
            ],
            at_most(64),
        ),
        (
            "object",
            vec![
                "ld".into(),
                path("object"),
                object.clone(),
                format!("-o{out}"),
            ],
            at_most(256),
        ),
        ("module", vec!["inspect".into(), path("module")], at_most(0)),
    ] {
        let mut endless = Endless::new(Path::new(&path(name)), b' ');
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = run(wasmend(), &arguments);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(&path(name)), "{said}");
        assert!(endless.written() <= most, "{name}");
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn an_object_that_is_cut_short_while_it_is_linked_ends_in_a_message() {
    for json in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // So large that it is mapped: with a custom section that nobody reads before the output is written.
        let mut large = fs::read(objects::path("main.o")).unwrap();
        let padding = vec![b'x'; 1 << 20];
        large.extend([0, 0x85, 0x80, 0xc0, 0, 4]);
        large.extend(*b"long");
        large.extend(&padding);
        fs::write(at("large.o"), &large).unwrap();
        rustix::fs::mknodat(CWD, at("twice.o"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::copy(objects::path("pick.o"), at("pick.o")).unwrap();
        let mut command = Command::new(wasmend());
        command.args(["ld", "large.o", "twice.o", "pick.o", "-o", "out.wasm"]);
        command.args(json.then_some("--json"));
        let child = command
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It waits for the pipe, with the first object mapped.
        let mut pipe = fs::OpenOptions::new()
            .write(true)
            .open(at("twice.o"))
            .unwrap();
        let maps = format!("/proc/{}/maps", child.id());
        let start = Instant::now();
        while !fs::read_to_string(&maps).unwrap().contains("large.o") {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "it is not mapped"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
        let file = fs::OpenOptions::new()
            .write(true)
            .open(at("large.o"))
            .unwrap();
        file.set_len(0).unwrap();
        pipe.write_all(&fs::read(objects::path("twice.o")).unwrap())
            .unwrap();
        drop(pipe);
        let done = child.wait_with_output().unwrap();
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(
            said.contains("large.o") && said.contains("cut short"),
            "{said}"
        );
        if json {
            let out = text(&done.stdout);
            let event: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(event["event"], "error", "{out}");
            assert_eq!(event["path"], "large.o", "{out}");
        }
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        let left = left
            .iter()
            .map(|entry| entry.file_name().into_string().unwrap());
        let mut left: Vec<String> = left.filter(|name| name != ".wasmend").collect();
        left.sort();
        assert_eq!(left, ["large.o", "pick.o", "twice.o"]);
    }
}

#[test]
fn a_linkers_argument_that_is_no_text_is_named_and_ends_as_all_its_errors() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff.o");
    let as_linker = folder.path().join("wasm-ld");
    std::os::unix::fs::symlink(wasmend(), &as_linker).unwrap();
    for (program, first) in [
        (Path::new(wasmend()).to_path_buf(), &["ld"][..]),
        (as_linker, &[]),
    ] {
        let mut command = Command::new(&program);
        let done = command.args(first).arg(odd).args(["-o", "out.wasm"]);
        let done = done.current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(
            said.contains("odd") && said.contains("is not UTF-8"),
            "{said}"
        );
    }
}

#[test]
fn what_is_no_object_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("empty.o"), "").unwrap();
    // An archive of an archive.
    let inner = b"!<arch>\n";
    let mut outer = inner.to_vec();
    let header = format!(
        "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
        "inner.a/",
        0,
        0,
        0,
        644,
        inner.len()
    );
    outer.extend(header.bytes());
    outer.extend(inner);
    fs::write(at("outer.a"), outer).unwrap();
    for (arguments, right) in [
        (&["empty.o"][..], "error: empty.o: the file is empty"),
        (
            &["--whole-archive", "outer.a"],
            "outer.a(inner.a): an archive within an archive",
        ),
    ] {
        let mut command = Command::new(wasmend());
        let command = command
            .arg("ld")
            .args(arguments)
            .args(["-o", "out.wasm", "--no-entry"]);
        let done = command.current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.contains(right), "{said}");
    }
}
