//! What is kept of a link, damaged in every way that a disk, a user or another program can: all is linked, with a sentence that says
//! why, or the patch is right; nothing outside of the folder is touched, and the link after that patches again.
//!
//! Run: `wasmend ld --state main.o twice.o pick.o -o out.wasm`; some of it as another user, where the tests are run by root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::support::command::{text, wasmend};
use crate::watching::{answer, pick, program};

const OBJECTS: [&str; 3] = ["main.o", "twice.o", "pick.o"];
/// What stands for an output beside it.
const KEPT: [&str; 5] = [".state", ".heap", ".last", ".options", ".log"];
/// Nobody.
const OTHER_USER: u32 = 65534;

fn command(program: &Path, folder: &Path, output: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--verbose", "ld", "--state", "-o", output])
        .args(OBJECTS);
    command
        .current_dir(folder)
        .env_remove("WASMEND_STATE_UNUSABLE");
    command
}

fn ld(folder: &Path) -> Output {
    command(wasmend(), folder, "out.wasm").output().unwrap()
}

fn kept(folder: &Path, suffix: &str) -> PathBuf {
    folder.join(".wasmend").join(format!("out.wasm{suffix}"))
}

/// Links, expects that it goes well and that the output answers this, and says what was said.
fn expect_link(folder: &Path, added: u8, context: &str) -> String {
    fs::write(folder.join("pick.o"), pick(added)).unwrap();
    let ran = ld(folder);
    let said = text(&ran.stderr);
    assert!(
        ran.status.success() && !said.contains("panicked"),
        "{context}: {said}"
    );
    assert_eq!(
        answer(&folder.join("out.wasm")),
        160 + i32::from(added),
        "{context}: {said}"
    );
    said
}

/// A folder where a link has kept its state.
fn linked() -> tempfile::TempDir {
    let folder = program(1);
    expect_link(folder.path(), 1, "the first link");
    folder
}

/// Gives a head that was changed the hash that it has to have.
fn seal(bytes: &mut [u8]) {
    let (rest, hash) = bytes.split_last_chunk_mut::<32>().unwrap();
    *hash = *blake3::hash(rest).as_bytes();
}

/// What a boot id takes with its length.
const BOOT_ID: usize = 1 + 37;

/// What was done to the state, how it is done, and what the next link says of it.
type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: &[Damage] = &[
    (
        "an empty head",
        |folder| fs::write(kept(folder, ".state"), b"").unwrap(),
        "its head is cut short",
    ),
    (
        "an empty heap",
        |folder| fs::write(kept(folder, ".heap"), b"").unwrap(),
        "its heap",
    ),
    (
        "no head",
        |folder| fs::remove_file(kept(folder, ".state")).unwrap(),
        "there is no state from before",
    ),
    (
        "no heap",
        |folder| fs::remove_file(kept(folder, ".heap")).unwrap(),
        "its heap cannot be opened",
    ),
    (
        "an older head",
        |folder| change_head(folder, |bytes| bytes[15] = b'0'),
        "another version of the program has written the state",
    ),
    (
        "a head of a machine with the other order of bytes",
        |folder| change_head(folder, |bytes| bytes[16..20].reverse()),
        "its head is cut short or damaged",
    ),
    (
        "a head of another program",
        |folder| change_head(folder, |bytes| bytes[52 + BOOT_ID] ^= 1),
        "another version of the program has written the state",
    ),
    (
        "a head from before the system was started",
        |folder| change_head(folder, |bytes| bytes[60] ^= 1),
        "the system was started anew since the state was written",
    ),
    (
        "a heap with more behind it",
        |folder| {
            let grown = fs::metadata(kept(folder, ".heap")).unwrap().len() + (64 << 20);
            fs::File::options()
                .write(true)
                .open(kept(folder, ".heap"))
                .unwrap()
                .set_len(grown)
                .unwrap();
        },
        "its heap is not what was written",
    ),
    (
        "the state of another output",
        |folder| {
            for output in ["out.wasm", "other.wasm"] {
                assert!(
                    command(wasmend(), folder, output)
                        .output()
                        .unwrap()
                        .status
                        .success()
                );
            }
            for suffix in KEPT {
                let other = folder.join(".wasmend").join(format!("other.wasm{suffix}"));
                let _ = fs::remove_file(kept(folder, suffix));
                fs::rename(other, kept(folder, suffix)).unwrap();
            }
        },
        "the option `output` is \"out.wasm\", and was \"other.wasm\"",
    ),
    (
        "words of another state",
        |folder| {
            fs::write(kept(folder, ".options"), b"wasmend options 01\nno key").unwrap();
            change_head(folder, |bytes| bytes[20] ^= 1);
        },
        "the options or the list of inputs are others;",
    ),
    (
        "an output that somebody wrote",
        |folder| {
            let output = folder.join("out.wasm");
            let bytes = fs::read(&output).unwrap();
            fs::write(&output, &bytes).unwrap();
        },
        "out.wasm: it was written since",
    ),
    (
        "an output that is longer",
        |folder| {
            let output = folder.join("out.wasm");
            let bytes = fs::read(&output).unwrap();
            fs::write(&output, [bytes, vec![0, 1, 0]].concat()).unwrap();
        },
        "bytes, and had",
    ),
    (
        "another file in the output's place",
        |folder| {
            fs::copy(folder.join("out.wasm"), folder.join("copy")).unwrap();
            fs::rename(folder.join("copy"), folder.join("out.wasm")).unwrap();
        },
        "another file has taken its place",
    ),
    (
        "no output, and no second name of it",
        |folder| {
            fs::remove_file(folder.join("out.wasm")).unwrap();
            fs::remove_file(kept(folder, ".last")).unwrap();
        },
        "out.wasm: it is gone",
    ),
    (
        "files of another user",
        |folder| {
            for suffix in KEPT {
                // Only root can, and for anybody else nothing is different then.
                let _ = chown(kept(folder, suffix), Some(OTHER_USER), Some(OTHER_USER));
            }
        },
        "",
    ),
    (
        "no log",
        |folder| fs::remove_file(kept(folder, ".log")).unwrap(),
        "patched 1 function",
    ),
    (
        "clocks that were put back",
        |folder| {
            let past = SystemTime::now() - Duration::from_secs(1 << 26);
            for name in ["main.o", "twice.o"] {
                let file = fs::File::options()
                    .write(true)
                    .open(folder.join(name))
                    .unwrap();
                file.set_modified(past).unwrap();
            }
        },
        "patched 1 function",
    ),
];

fn change_head(folder: &Path, change: fn(&mut [u8])) {
    let mut bytes = fs::read(kept(folder, ".state")).unwrap();
    change(&mut bytes);
    seal(&mut bytes);
    fs::write(kept(folder, ".state"), &bytes).unwrap();
}

#[test]
fn whatever_becomes_of_the_state_the_next_link_is_right_and_says_why_it_was_no_patch() {
    for (at, (what, damage, expected)) in DAMAGES.iter().enumerate() {
        let folder = linked();
        let folder = folder.path();
        damage(folder);
        let added = 2 + at as u8;
        let said = expect_link(folder, added, what);
        assert!(
            said.contains(expected),
            "{what}: expected {expected:?}: {said}"
        );
        let said = expect_link(folder, added + 1, what);
        assert!(said.contains("patched 1 function"), "{what}: {said}");
    }
}

#[test]
fn a_folder_in_the_place_of_a_file_of_the_state_is_left_alone() {
    for suffix in KEPT {
        let folder = linked();
        let folder = folder.path();
        let path = kept(folder, suffix);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("kept"), b"somebody's").unwrap();
        expect_link(folder, 2, suffix);
        expect_link(folder, 3, suffix);
        assert_eq!(fs::read(path.join("kept")).unwrap(), b"somebody's");
    }
}

#[test]
fn links_in_the_place_of_the_state_lead_nowhere() {
    for suffix in [
        ".state", ".heap", ".last", ".options", ".log", ".lock", ".fresh", ".shadow",
    ] {
        let folder = linked();
        let folder = folder.path();
        let elsewhere = tempfile::tempdir().unwrap();
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, b"somebody's").unwrap();
        let path = kept(folder, suffix);
        let _ = fs::remove_file(&path);
        symlink(&victim, &path).unwrap();
        fs::write(folder.join("pick.o"), pick(2)).unwrap();
        let ran = ld(folder);
        // A lock that is a link is not taken: nobody could be kept out.
        assert_eq!(ran.status.success(), suffix != ".lock", "{suffix}: {ran:?}");
        if ran.status.success() {
            assert_eq!(answer(&folder.join("out.wasm")), 162, "{suffix}");
        }
        assert_eq!(fs::read(&victim).unwrap(), b"somebody's", "{suffix}");
    }
    // The folder itself.
    let folder = program(1);
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), folder.path().join(".wasmend")).unwrap();
    let ran = ld(folder.path());
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

/// Whole folders are copied as links of their files, by `cp -al` and by programs that keep builds.
#[test]
fn two_folders_whose_files_are_the_same_ones_do_each_other_no_harm() {
    let folder = linked();
    let first = folder.path();
    expect_link(first, 2, "so that there is a copy");
    let elsewhere = tempfile::tempdir_in(first.parent().unwrap()).unwrap();
    let second = elsewhere.path();
    fs::create_dir(second.join(".wasmend")).unwrap();
    fs::set_permissions(second.join(".wasmend"), fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["", ".wasmend"] {
        for entry in fs::read_dir(first.join(name)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::hard_link(entry.path(), second.join(name).join(entry.file_name())).unwrap();
            }
        }
    }
    for name in OBJECTS {
        // These are compiled anew in each, as objects are: in place of the old ones.
        for folder in [first, second] {
            let bytes = fs::read(folder.join(name)).unwrap();
            fs::remove_file(folder.join(name)).unwrap();
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    for added in 3..12 {
        let (one, other) = match added % 2 {
            0 => (first, second),
            _ => (second, first),
        };
        let before = answer(&other.join("out.wasm"));
        expect_link(one, added, "one of two folders");
        assert_eq!(answer(&other.join("out.wasm")), before, "the other one");
    }
}

#[test]
fn two_outputs_of_the_same_inputs_have_a_state_each() {
    let folder = program(1);
    let folder = folder.path();
    for added in 1..6 {
        fs::write(folder.join("pick.o"), pick(added)).unwrap();
        for output in ["out.wasm", "other.wasm"] {
            let ran = command(wasmend(), folder, output).output().unwrap();
            let said = text(&ran.stderr);
            let expected = match added {
                1 => "there is no state from before",
                _ => "patched 1 function",
            };
            assert!(ran.status.success() && said.contains(expected), "{said}");
            assert_eq!(answer(&folder.join(output)), 160 + i32::from(added));
        }
    }
}

#[test]
fn whoever_has_an_output_mapped_sees_one_version_of_it_for_as_long_as_he_likes() {
    let folder = linked();
    let folder = folder.path();
    let mut mapped = Vec::new();
    for added in 2..12 {
        let file = fs::File::open(folder.join("out.wasm")).unwrap();
        #[allow(unsafe_code)]
        // SAFETY: that nobody writes the file while it is mapped is what this test is about.
        let map = unsafe { memmap2::Mmap::map(&file).unwrap() };
        let seen = map.to_vec();
        mapped.push((map, seen));
        let said = expect_link(folder, added, "while it is mapped");
        assert!(said.contains("patched 1 function"), "{said}");
        for (map, seen) in &mapped {
            assert!(map[..] == seen[..]);
        }
    }
}

/// What an object holds is looked at if its times cannot tell, and if somebody put them back.
#[test]
fn an_object_that_was_written_within_a_tick_or_has_its_old_time_is_not_missed() {
    let folder = linked();
    let folder = folder.path();
    std::thread::sleep(Duration::from_millis(30));
    expect_link(folder, 1, "long enough ago");
    for added in 2..8 {
        let path = folder.join("pick.o");
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, pick(added)).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
        let ran = ld(folder);
        assert!(ran.status.success(), "{ran:?}");
        assert_eq!(answer(&folder.join("out.wasm")), 160 + i32::from(added));
        // And at once another one of the same length.
        fs::write(&path, pick(added + 20)).unwrap();
        assert!(ld(folder).status.success());
        assert_eq!(answer(&folder.join("out.wasm")), 180 + i32::from(added));
    }
}

/// A folder and a program that another user can use, if this one can become another one.
fn of_another_user() -> Option<(tempfile::TempDir, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let folder = program(1);
    let tool = folder.path().join("wasmend");
    fs::copy(wasmend(), &tool).unwrap();
    for name in ["", "main.o", "twice.o", "pick.o", "wasmend"] {
        let path = folder.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        chown(path, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
    Some((folder, tool))
}

#[test]
fn a_state_that_may_not_be_read_or_written_is_not_used() {
    let Some((folder, tool)) = of_another_user() else {
        return;
    };
    let folder = folder.path();
    let run = || {
        let mut command = command(&tool, folder, "out.wasm");
        let ran = command.uid(OTHER_USER).gid(OTHER_USER).output().unwrap();
        (ran.status.code(), text(&ran.stderr))
    };
    assert_eq!(run().0, Some(0));
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (suffix, expected) in [
        (".state", "its head cannot be read: Permission denied"),
        (".heap", "its heap cannot be opened: Permission denied"),
        (".options", "patched 1 function"),
        (".log", "patched 1 function"),
    ] {
        allow(&kept(folder, suffix), 0);
        fs::write(folder.join("pick.o"), pick(suffix.len() as u8)).unwrap();
        let (code, said) = run();
        assert!(
            code == Some(0) && said.contains(expected),
            "{suffix}: {said}"
        );
        let now = 160 + suffix.len() as i32;
        assert_eq!(answer(&folder.join("out.wasm")), now, "{suffix}");
        // What was made anew is as it was made: another look at it would change its times.
        let path = kept(folder, suffix);
        if fs::metadata(&path).unwrap().permissions().mode() & 0o777 == 0 {
            allow(&path, 0o600);
        }
    }
    // A folder that is only to be read: nothing can be written, and nothing is.
    fs::write(folder.join("pick.o"), pick(40)).unwrap();
    let before = fs::read(folder.join("out.wasm")).unwrap();
    allow(folder, 0o555);
    let (code, said) = run();
    assert_eq!(code, Some(1), "{said}");
    let mut doctor = Command::new(&tool);
    doctor.args(["doctor", "out.wasm"]).current_dir(folder);
    let doctor = doctor.uid(OTHER_USER).gid(OTHER_USER).output().unwrap();
    assert!(doctor.status.success(), "{doctor:?}");
    assert!(
        text(&doctor.stdout).contains("pick.o has changed"),
        "{doctor:?}"
    );
    allow(folder, 0o755);
    assert_eq!(fs::read(folder.join("out.wasm")).unwrap(), before);
    let (code, said) = run();
    assert!(
        code == Some(0) && said.contains("patched 1 function"),
        "{said}"
    );
    assert_eq!(answer(&folder.join("out.wasm")), 200);
}
