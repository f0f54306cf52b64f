//! What a command does about where it runs: where no threads can be started, and on terminals.
//!
//! Run: `prlimit --nproc=1 wasmend ld main.o twice.o pick.o -o OUT`, as another user than root, whom no limit holds; and
//! `script -c 'wasmend ...'`, which is a terminal, with names that have escape sequences.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::support::command::{text, wasmend};
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
