//! `wasmend ld --state`: links by processes of their own, each of which goes on where the one before ended. Whatever becomes of
//! what is kept, the output is what a link from nothing makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::watching::{Watching, answer, pick, program};

const OBJECTS: [&str; 3] = ["main.o", "twice.o", "pick.o"];

fn ld(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
    command.args(["--verbose", "ld", "--state", "-o", "out.wasm"]);
    command.args(arguments).current_dir(folder);
    // A link is not to be tried again by a build that tests itself.
    command.env_remove("WASMEND_STATE_UNUSABLE");
    command.output().unwrap()
}

/// Links, and expects that this is said.
fn link(folder: &Path, arguments: &[&str], expected: &str) {
    let done = ld(folder, arguments);
    let said =
        String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}");
    assert!(said.contains(expected), "expected {expected:?}: {said}");
    assert!(!said.contains("no state was kept"), "{said}");
}

fn kept(folder: &Path, suffix: &str) -> PathBuf {
    folder.join(".wasmend").join(format!("out.wasm{suffix}"))
}

/// Later than the step of any file system's clock.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(30));
}

/// A program that has been linked once, and its output.
fn linked_program() -> (tempfile::TempDir, PathBuf) {
    let folder = program(100);
    tick();
    link(folder.path(), &OBJECTS, "all is linked");
    let output = folder.path().join("out.wasm");
    (folder, output)
}

#[test]
fn a_process_goes_on_where_the_one_before_ended() {
    let folder = program(100);
    let folder = folder.path();
    let output = folder.join("out.wasm");
    tick();
    link(
        folder,
        &OBJECTS,
        "all is linked: there is no state from before",
    );
    assert_eq!(answer(&output), 260);
    let before = fs::read(&output).unwrap();
    link(folder, &OBJECTS, "nothing has changed");
    assert_eq!(fs::read(&output).unwrap(), before);
    for added in 1..20 {
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        link(folder, &OBJECTS, "patched 1 function");
        assert_eq!(answer(&output), 160 + i32::from(added));
    }
    tick();
    // What is written again with the same contents is no edit.
    fs::write(folder.join("pick.o"), pick(19)).unwrap();
    tick();
    link(folder, &OBJECTS, "nothing has changed");
    link(folder, &OBJECTS, "nothing has changed");
}

#[test]
fn a_watch_in_between_leaves_an_output_that_the_next_link_makes_anew() {
    let folder = program(100);
    let path = folder.path().to_path_buf();
    link(&path, &OBJECTS, "all is linked: there is no state");
    let line = [&OBJECTS[..], &["-o", "out.wasm"]].concat();
    let mut watching = Watching::start(folder, &line);
    watching.expect("watching");
    for added in 1..4 {
        watching.write("pick.o", pick(added));
        watching.expect_update("patched");
    }
    watching.signal(Signal::TERM);
    watching.expect("stopped");
    while watching.is_running() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(answer(&path.join("out.wasm")), 163);
    fs::write(path.join("pick.o"), pick(9)).unwrap();
    link(&path, &OBJECTS, "all is linked: the output is not the one");
    assert_eq!(answer(&path.join("out.wasm")), 169);
    fs::write(path.join("pick.o"), pick(10)).unwrap();
    link(&path, &OBJECTS, "patched 1 function");
    assert_eq!(answer(&path.join("out.wasm")), 170);
}

/// An object as `pick` makes it, and large: it brings a custom section of its own, in which the number stands somewhere.
fn large_pick(added: u8) -> (Vec<u8>, Vec<u8>) {
    let mut ballast: Vec<u8> = (0..2_000_000u32).map(|at| (at / 3) as u8).collect();
    ballast[1_234_567..1_234_570].fill(added);
    let mut object = pick(added);
    let name = b"\x07ballast";
    let mut len = name.len() + ballast.len();
    object.push(0);
    while len >= 0x80 {
        object.push(len as u8 | 0x80);
        len >>= 7;
    }
    object.push(len as u8);
    object.extend_from_slice(name);
    object.extend_from_slice(&ballast);
    (object, ballast)
}

#[test]
fn a_large_object_is_followed_by_what_differs_in_it() {
    let folder = program(100);
    let folder = folder.path();
    for added in 0..8 {
        let (object, ballast) = large_pick(added);
        fs::write(folder.join("pick.o"), object).unwrap();
        tick();
        let expected = match added {
            0 => "all is linked",
            _ => "patched 1 function",
        };
        link(folder, &OBJECTS, expected);
        let output = folder.join("out.wasm");
        assert_eq!(answer(&output), 160 + i32::from(added));
        let output = fs::read(output).unwrap();
        let found = output.windows(64).position(|bytes| *bytes == ballast[..64]);
        let found = found.expect("the section is there");
        assert!(output[found..].starts_with(&ballast), "version {added}");
    }
}

/// Of an object that is another one by now no byte is read as if it were the one before, however it has come there.
#[test]
fn an_object_that_takes_the_place_of_another_is_followed_whatever_its_file_looks_like() {
    let folder = program(100);
    let folder = folder.path();
    let path = folder.join("pick.o");
    let output = folder.join("out.wasm");
    let put_back = |time: std::time::SystemTime| {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    };
    tick();
    link(folder, &OBJECTS, "all is linked");
    let state = fs::metadata(kept(folder, ".heap")).unwrap().len();
    assert!(state > 0);
    for added in 1..12u8 {
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        match added % 3 {
            // Written over, with the same time.
            0 => fs::write(&path, pick(added)).unwrap(),
            // Another file, of the same length and with the same time.
            1 => {
                fs::write(folder.join("new.o"), pick(added)).unwrap();
                fs::rename(folder.join("new.o"), &path).unwrap();
            }
            // Longer, in the same place.
            _ => fs::write(&path, large_pick(added).0).unwrap(),
        }
        put_back(time);
        tick();
        let expected = match added % 3 {
            // A section of its own has come or gone.
            0 | 2 => "out.wasm: ",
            _ => "patched 1 function",
        };
        link(folder, &OBJECTS, expected);
        assert_eq!(answer(&output), 160 + i32::from(added));
    }
}

#[test]
fn an_object_that_is_cut_short_is_refused_and_followed_once_it_is_whole() {
    let (folder, output) = linked_program();
    let folder = folder.path();
    for added in 1..4u8 {
        for name in ["pick.o", "twice.o"] {
            let path = folder.join(name);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            tick();
            let before = fs::read(&output).unwrap();
            assert!(!ld(folder, &OBJECTS).status.success());
            assert_eq!(fs::read(&output).unwrap(), before);
            fs::write(&path, &whole).unwrap();
            tick();
            link(folder, &OBJECTS, "nothing has changed");
        }
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        tick();
        link(folder, &OBJECTS, "patched 1 function");
        assert_eq!(answer(&output), 160 + i32::from(added));
    }
}

#[test]
fn an_object_that_is_gone_is_missed_and_found_again() {
    let (folder, output) = linked_program();
    let folder = folder.path();
    for added in 1..4u8 {
        for name in OBJECTS {
            fs::rename(folder.join(name), folder.join("elsewhere")).unwrap();
            assert!(!ld(folder, &OBJECTS).status.success());
            fs::rename(folder.join("elsewhere"), folder.join(name)).unwrap();
            link(folder, &OBJECTS, "nothing has changed");
        }
        // The same edit again, and back: what was kept of the versions between is of no use any more.
        for version in [added, 0, added] {
            fs::write(folder.join("pick.o"), pick(version)).unwrap();
            tick();
            link(folder, &OBJECTS, "patched 1 function");
            assert_eq!(answer(&output), 160 + i32::from(version));
        }
        fs::write(folder.join("pick.o"), pick(100)).unwrap();
        tick();
        link(folder, &OBJECTS, "patched 1 function");
    }
}

#[test]
fn objects_that_are_called_otherwise_in_each_build_are_found_again() {
    let folder = program(100);
    let folder = folder.path();
    let mut objects: Vec<String> = OBJECTS.iter().map(|name| (*name).to_owned()).collect();
    for build in 0..6u8 {
        for (at, name) in OBJECTS.iter().enumerate() {
            let new = format!("{build}.{name}");
            fs::rename(folder.join(&objects[at]), folder.join(&new)).unwrap();
            objects[at] = new;
        }
        fs::write(folder.join(&objects[2]), pick(build)).unwrap();
        let names: Vec<&str> = objects.iter().map(String::as_str).collect();
        let expected = match build {
            0 => "all is linked",
            _ => "patched 1 function",
        };
        tick();
        link(folder, &names, expected);
        assert_eq!(answer(&folder.join("out.wasm")), 160 + i32::from(build));
    }
}

#[test]
fn what_is_kept_is_of_no_use_to_other_options_or_another_output() {
    let (folder, output) = linked_program();
    let folder = folder.path();
    let other = [&OBJECTS[..], &["--export-all"]].concat();
    link(
        folder,
        &other,
        "the options or the list of inputs are others",
    );
    link(
        folder,
        &OBJECTS,
        "the options or the list of inputs are others",
    );
    // What only says how much is told, or how fast it goes, is no other option.
    tick();
    let quick = [&OBJECTS[..], &["--threads=1", "--stats"]].concat();
    link(folder, &quick, "nothing has changed");
    let mut bytes = fs::read(&output).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&output, &bytes).unwrap();
    link(folder, &OBJECTS, "the output is not the one");
    assert_eq!(answer(&output), 260);
}

#[test]
fn an_output_that_a_build_system_removes_first_is_patched_all_the_same() {
    let (folder, output) = linked_program();
    let folder = folder.path();
    fs::remove_file(&output).unwrap();
    link(folder, &OBJECTS, "nothing has changed");
    assert_eq!(answer(&output), 260);
    for added in 1..8 {
        fs::remove_file(&output).unwrap();
        // As Cargo does, with what its user looks at.
        let second = folder.join("second.wasm");
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        link(folder, &OBJECTS, "patched 1 function");
        assert_eq!(answer(&output), 160 + i32::from(added));
        let _ = fs::remove_file(&second);
        fs::hard_link(&output, &second).unwrap();
        tick();
    }
    // Another file in its place is not taken for it.
    fs::copy(&output, folder.join("copy")).unwrap();
    fs::rename(folder.join("copy"), &output).unwrap();
    link(folder, &OBJECTS, "the output is not the one");
}

#[test]
fn an_output_that_was_removed_and_has_its_name_again_is_known_as_what_it_was() {
    let (folder, output) = linked_program();
    for added in 1..6 {
        fs::write(folder.path().join("pick.o"), pick(added)).unwrap();
        link(folder.path(), &OBJECTS, "patched 1 function");
        for _ in 0..3 {
            fs::remove_file(&output).unwrap();
            tick();
            link(folder.path(), &OBJECTS, "nothing has changed");
            link(folder.path(), &OBJECTS, "nothing has changed");
        }
        assert_eq!(answer(&output), 160 + i32::from(added));
    }
}

#[test]
fn a_link_that_fails_leaves_everything_to_the_next_one() {
    let folder = program(100);
    let folder = folder.path();
    let output = folder.join("out.wasm");
    link(folder, &OBJECTS, "all is linked");
    let before = fs::read(&output).unwrap();
    fs::write(folder.join("pick.o"), b"no object").unwrap();
    assert_eq!(ld(folder, &OBJECTS).status.code(), Some(1));
    assert_eq!(fs::read(&output).unwrap(), before);
    fs::write(folder.join("pick.o"), pick(7)).unwrap();
    link(folder, &OBJECTS, "patched 1 function");
    assert_eq!(answer(&output), 167);
}

#[test]
fn a_damaged_state_is_not_used_and_does_no_harm() {
    let folder = program(100);
    let folder = folder.path();
    let output = folder.join("out.wasm");
    link(folder, &OBJECTS, "all is linked");
    let (head, heap) = (kept(folder, ".state"), kept(folder, ".heap"));
    let whole = fs::read(&head).unwrap();
    let mut added = 0;
    let mut expect_whole = |what: &str| {
        added = (added + 1) % 60;
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        let done = ld(folder, &OBJECTS);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{what}: {said}");
        assert!(said.contains("all is linked"), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert_eq!(answer(&output), 160 + i32::from(added), "{what}");
    };
    for len in (0..whole.len()).step_by(whole.len() / 12) {
        let bytes = fs::read(&head).unwrap();
        fs::write(&head, &bytes[..len.min(bytes.len() - 1)]).unwrap();
        expect_whole(&format!("a head of {len} bytes"));
    }
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = fs::read(&head).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1 << (at % 8);
        fs::write(&head, &bytes).unwrap();
        expect_whole(&format!("a bit of byte {at} of the head"));
    }
    for part in 0..12 {
        let mut bytes = fs::read(&heap).unwrap();
        // A byte of a page that was written: holes are not looked at, nor used.
        let start = bytes.len() / 12 * part;
        let at = (start..bytes.len())
            .find(|at| bytes[*at] != 0)
            .unwrap_or(70_000);
        bytes[at] ^= 1;
        fs::write(&heap, &bytes).unwrap();
        expect_whole(&format!("a bit of byte {at} of the heap"));
    }
    for len in [0, 1, 4096, 100_000] {
        let bytes = fs::read(&heap).unwrap();
        fs::write(&heap, &bytes[..len]).unwrap();
        expect_whole(&format!("a heap of {len} bytes"));
    }
    fs::remove_file(&heap).unwrap();
    expect_whole("no heap");
    fs::remove_file(&heap).unwrap();
    fs::create_dir(&heap).unwrap();
    fs::write(folder.join("pick.o"), pick(61)).unwrap();
    assert!(ld(folder, &OBJECTS).status.success(), "a folder for a heap");
    assert_eq!(answer(&output), 221);
}

#[test]
fn an_output_that_goes_somewhere_else_each_time_is_patched_where_it_is_kept() {
    let folder = program(100);
    let folder = folder.path();
    let run = |output: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
        command
            .args(["--verbose", "ld"])
            .args(OBJECTS)
            .current_dir(folder);
        command
            .args(["-o", output])
            .env("WASMEND_STATE_DIR", "kept");
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned()
            + &String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{said}");
        said
    };
    for (build, expected) in ["all is linked", "patched 1 function", "patched 1 function"]
        .iter()
        .enumerate()
    {
        let added = build as u8 + 1;
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        fs::create_dir(folder.join(build.to_string())).unwrap();
        let output = format!("{build}/out.wasm");
        let said = run(&output);
        assert!(said.contains(expected), "{said}");
        assert_eq!(answer(&folder.join(&output)), 160 + i32::from(added));
        fs::remove_dir_all(folder.join(build.to_string())).unwrap();
    }
}

#[test]
fn two_at_once_leave_one_whole_output() {
    let folder = program(100);
    let folder = folder.path();
    let output = folder.join("out.wasm");
    link(folder, &OBJECTS, "all is linked");
    for added in 1..10 {
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let done = ld(folder, &OBJECTS);
                    let said = String::from_utf8_lossy(&done.stderr).into_owned();
                    let is_told = said.contains("is writing this output");
                    assert!(done.status.success() || is_told, "{said}");
                });
            }
        });
        assert_eq!(answer(&output), 160 + i32::from(added));
    }
}

#[test]
fn a_library_of_which_one_member_has_changed_is_followed() {
    let folder = program(100);
    let folder = folder.path();
    let output = folder.join("out.wasm");
    let objects = ["main.o", "libpick.a"];
    let write = |added: u8| {
        // What it says of `pick` counts, since something else of it is needed first.
        let mut twice = fs::read(folder.join("twice.o")).unwrap();
        let constant = [0x41, 0x7f, 0x6a];
        let at = twice.windows(3).position(|window| window == constant);
        twice[at.unwrap() + 1] = added;
        let members = [("twice.o/", twice), ("pick.o/", pick(99))];
        fs::write(folder.join("libpick.a"), archive(&members)).unwrap();
    };
    write(0);
    tick();
    link(folder, &objects, "all is linked");
    for added in 1..6 {
        write(added);
        link(folder, &objects, "patched 1 function");
        assert_eq!(answer(&output), 160 + i32::from(added));
    }
}

#[test]
fn a_process_that_is_killed_leaves_what_the_next_one_can_use_or_does_not() {
    let folder = program(100);
    let folder = folder.path();
    let output = folder.join("out.wasm");
    link(folder, &OBJECTS, "all is linked");
    let mut resumed = 0;
    for round in 0..80u64 {
        let added = (round % 60) as u8;
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        let before = answer(&output);
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasmend"))
            .args(["ld", "--state", "-o", "out.wasm"])
            .args(OBJECTS)
            .current_dir(folder)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // A whole link takes a few milliseconds.
        std::thread::sleep(std::time::Duration::from_micros(round * 7919 % 6000));
        let _ = child.kill();
        child.wait().unwrap();
        let found = answer(&output);
        let now = 160 + i32::from(added);
        assert!(found == before || found == now, "round {round}: {found}");
        let done = ld(folder, &OBJECTS);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            done.status.success() && !said.contains("panicked"),
            "round {round}: {said}"
        );
        assert_eq!(answer(&output), now, "round {round}: {said}");
        resumed += u32::from(!said.contains("all is linked"));
    }
    assert!(resumed > 0);
}

/// An archive of two members, with an index that says of each what these two define.
fn archive(members: &[(&str, Vec<u8>); 2]) -> Vec<u8> {
    let header = |name: &str, len: usize| {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644)
    };
    let names = b"shared_counter\0pick\0";
    let index_len = 4 + 8 + names.len();
    let first = 8 + 60 + index_len.next_multiple_of(2);
    let second = first + 60 + members[0].1.len().next_multiple_of(2);
    let mut bytes = b"!<arch>\n".to_vec();
    bytes.extend(header("/", index_len).bytes());
    for number in [2, first, second] {
        bytes.extend((number as u32).to_be_bytes());
    }
    bytes.extend(names);
    for (name, contents) in members {
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        bytes.extend(header(name, contents.len()).bytes());
        bytes.extend(contents);
    }
    bytes
}
