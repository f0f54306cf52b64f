//! `wasmend ld --state`, whose inputs change in all the ways that inputs can: members of archives of any size and kind, lists of inputs,
//! response files, contents under old times. What comes of it is what a link from nothing makes, and what could be patched was.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use wasmend::inspect::verify;

use crate::watching::{answer, archive, object, pick, program, replace};

/// A link, in a process of its own, of what stands in a folder; returns what is said of it.
fn ld(folder: &Path, options: &[&str], arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
    command.args(["--verbose", "ld"]).args(options);
    command.args(arguments).current_dir(folder);
    command.env_remove("WASMEND_STATE_UNUSABLE");
    let done = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}");
    said
}

const STATE: [&str; 3] = ["--state", "-o", "out.wasm"];

/// Links with state, expects that this is said, and that the output is what a link from nothing makes.
fn link(folder: &Path, arguments: &[&str], expected: &str) {
    let said = ld(folder, &STATE, arguments);
    assert!(said.contains(expected), "expected {expected:?}: {said}");
    assert!(!said.contains("no state was kept"), "{said}");
    expect_as_from_nothing(folder, arguments);
}

fn expect_as_from_nothing(folder: &Path, arguments: &[&str]) {
    let is_other = |argument: &&&str| !argument.starts_with("--check");
    let arguments: Vec<&str> = arguments.iter().filter(is_other).copied().collect();
    ld(folder, &["--no-state", "-o", "fresh.wasm"], &arguments);
    let [output, fresh] =
        ["out.wasm", "fresh.wasm"].map(|name| fs::read(folder.join(name)).unwrap());
    let report = verify(&output, &fresh).unwrap();
    assert!(
        report.differences.is_empty(),
        "{arguments:?}: {:?}",
        report.differences
    );
}

/// Later than the step of any file system's clock.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(30));
}

/// Writes into a file as it stands, and gives it its old time; what changed of it can as well be its permissions.
fn write_unseen(file: &Path, bytes: &[u8]) {
    let opened = File::options().write(true).open(file).unwrap();
    let time = opened.metadata().unwrap().modified().unwrap();
    opened.write_all_at(bytes, 0).unwrap();
    opened
        .set_times(FileTimes::new().set_modified(time))
        .unwrap();
    let mode = opened.metadata().unwrap().permissions().mode();
    fs::set_permissions(file, fs::Permissions::from_mode(mode ^ 0o040)).unwrap();
}

#[test]
fn a_thin_archive_of_which_a_member_changes_is_followed() {
    let folder = program(100);
    let folder = folder.path();
    let arguments = ["main.o", "libpick.a", "twice.o"];
    fs::write(folder.join("libpick.a"), archive(true, &pick(100))).unwrap();
    tick();
    link(folder, &arguments, "all is linked: there is no state");
    link(folder, &arguments, "nothing has changed");
    for added in 1..6 {
        replace(&folder.join("pick.o"), pick(added));
        link(folder, &arguments, "patched 1 function");
        assert_eq!(answer(&folder.join("out.wasm")), 160 + i32::from(added));
    }
    // Written again, once with the archive, without a change.
    tick();
    replace(&folder.join("pick.o"), pick(5));
    link(folder, &arguments, "nothing has changed");
    replace(&folder.join("pick.o"), pick(7));
    fs::write(folder.join("libpick.a"), archive(true, &pick(7))).unwrap();
    tick();
    link(folder, &arguments, "patched 1 function");
    link(folder, &arguments, "nothing has changed");
    assert_eq!(answer(&folder.join("out.wasm")), 167);
}

/// An archive of `pick.o` and of a member that nobody reads, of so many bytes.
fn large_archive(added: u8, ballast: usize) -> Vec<u8> {
    let mut bytes = archive(false, &pick(added));
    let header = format!(
        "{:<16}{:<12}{:<6}{:<6}{:<8}{ballast:<10}`\n",
        "lib.rmeta/", 0, 0, 0, 644
    );
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + ballast, 7);
    bytes
}

#[test]
fn an_archive_of_any_size_is_followed_by_its_members() {
    const LARGE: usize = 20 << 20;
    let folder = program(100);
    let folder = folder.path();
    let arguments = ["main.o", "libpick.a", "twice.o"];
    let file = folder.join("libpick.a");
    fs::write(&file, large_archive(100, LARGE)).unwrap();
    tick();
    link(folder, &arguments, "all is linked: there is no state");
    let heap = folder.join(".wasmend/out.wasm.heap");
    let len = || fs::metadata(&heap).unwrap().len();
    // What nobody reads of it is not kept.
    assert!(len() < 16 << 20, "{}", len());
    link(folder, &arguments, "nothing has changed");
    for added in 1..4 {
        replace(&file, large_archive(added, LARGE));
        link(folder, &arguments, "patched 1 function");
        assert_eq!(answer(&folder.join("out.wasm")), 160 + i32::from(added));
    }
    // In its place, and with another length of what nobody reads.
    for added in 4..7 {
        fs::write(&file, large_archive(added, LARGE + usize::from(added))).unwrap();
        link(folder, &arguments, "patched 1 function");
        assert_eq!(answer(&folder.join("out.wasm")), 160 + i32::from(added));
    }
    tick();
    fs::write(&file, large_archive(6, 100 << 10)).unwrap();
    link(folder, &arguments, "nothing has changed");
    // An edit of another file reads nothing of it.
    replace(&folder.join("main.o"), object("main.o"));
    link(folder, &arguments, "nothing has changed");
    assert!(len() < 16 << 20, "{}", len());
}

#[test]
fn an_archive_that_is_called_otherwise_is_followed_by_what_it_defines() {
    let folder = program(100);
    let folder = folder.path();
    let mut before = "libpick-0.rlib".to_owned();
    fs::write(folder.join(&before), large_archive(100, 64 << 10)).unwrap();
    tick();
    link(folder, &["main.o", &before, "twice.o"], "all is linked");
    for added in 1..4 {
        let now = format!("libpick-{added}.rlib");
        fs::remove_file(folder.join(&before)).unwrap();
        fs::write(folder.join(&now), large_archive(added, 64 << 10)).unwrap();
        let arguments = ["main.o", &now, "twice.o"];
        link(folder, &arguments, "patched 1 function");
        tick();
        link(folder, &arguments, "nothing has changed");
        // A list of symbols beside it is one beside the file of that name.
        fs::write(folder.join(&before).with_extension("imports"), "").unwrap();
        link(folder, &arguments, "nothing has changed");
        before = now;
    }
    fs::write(folder.join(&before).with_extension("imports"), "").unwrap();
    tick();
    let arguments = ["main.o", &before, "twice.o"];
    link(folder, &arguments, "is there now");
}

#[test]
fn inputs_that_come_go_or_change_places_are_patches() {
    let folder = program(100);
    let folder = folder.path();
    for name in ["lib_a.o", "lib_b.o", "lib_c.o", "libgnu.a"] {
        fs::write(folder.join(name), object(name)).unwrap();
    }
    for (name, added) in [("libone.a", 3), ("libtwo.a", 5)] {
        fs::write(folder.join(name), archive(false, &pick(added))).unwrap();
    }
    tick();
    link(
        folder,
        &["main.o", "twice.o", "pick.o"],
        "all is linked: there is no state",
    );
    let lists: [&[&str]; 12] = [
        // `maybe_there` is there now.
        &["main.o", "twice.o", "pick.o", "lib_b.o"],
        &["lib_b.o", "main.o", "twice.o", "pick.o"],
        &["lib_b.o", "lib_a.o", "main.o", "pick.o", "twice.o"],
        &["main.o", "pick.o", "twice.o"],
        // The weak `pick` of twice.o counts.
        &["main.o", "twice.o"],
        // What defines it first.
        &["main.o", "libone.a", "libtwo.a", "twice.o"],
        &["main.o", "libtwo.a", "libone.a", "twice.o"],
        &[
            "main.o",
            "--whole-archive",
            "libgnu.a",
            "--no-whole-archive",
            "libtwo.a",
            "twice.o",
        ],
        &["main.o", "-L.", "-ltwo", "twice.o"],
        &["main.o", "-L.", "-lone", "twice.o"],
        &["main.o", "--start-lib", "pick.o", "--end-lib", "twice.o"],
        &["main.o", "twice.o", "pick.o"],
    ];
    for (at, list) in lists.into_iter().enumerate() {
        // Search paths are options; those that have some are all of one kind.
        let has_paths = list.contains(&"-L.");
        let said = ld(folder, &STATE, list);
        let is_first_of_its_kind = has_paths != (at > 0 && lists[at - 1].contains(&"-L."));
        let expected = "the option `search-paths` is";
        assert_eq!(
            said.contains(expected),
            is_first_of_its_kind,
            "{list:?}: {said}"
        );
        assert_eq!(
            said.contains("all is linked"),
            is_first_of_its_kind,
            "{list:?}: {said}"
        );
        expect_as_from_nothing(folder, list);
        link(folder, list, "nothing has changed");
        if list.contains(&"pick.o") {
            let added = at as u8 + 1;
            replace(&folder.join("pick.o"), pick(added));
            link(folder, list, "patched 1 function");
            replace(&folder.join("pick.o"), pick(100));
            tick();
            link(folder, list, "patched 1 function");
        }
    }
    assert_eq!(answer(&folder.join("out.wasm")), 260);
}

/// As Cargo does: all objects are called otherwise, and there is one more.
#[test]
fn objects_that_are_called_otherwise_are_found_again_in_another_list() {
    let folder = program(100);
    let folder = folder.path();
    fs::write(folder.join("lib_b.o"), object("lib_b.o")).unwrap();
    let mut names = ["main.o", "twice.o", "pick.o"].map(str::to_owned).to_vec();
    tick();
    let arguments: Vec<&str> = names.iter().map(String::as_str).collect();
    link(folder, &arguments, "all is linked");
    for build in 0..4u8 {
        if build % 2 == 0 {
            names.insert(1, "lib_b.o".to_owned());
        } else {
            names.remove(1);
        }
        for name in &mut names {
            let now = format!(
                "{build}.{}",
                name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            );
            fs::rename(folder.join(&name), folder.join(&now)).unwrap_or_else(|_| {
                fs::write(folder.join(&now), object("lib_b.o")).unwrap();
            });
            *name = now;
        }
        replace(&folder.join(names.last().unwrap()), pick(build + 1));
        tick();
        let arguments: Vec<&str> = names.iter().map(String::as_str).collect();
        link(folder, &arguments, "patched");
        // The program asks whether it is there, and what it calls then is not `pick`.
        let expected = if build % 2 == 0 {
            173
        } else {
            161 + i32::from(build)
        };
        assert_eq!(answer(&folder.join("out.wasm")), expected);
        link(folder, &arguments, "nothing has changed");
    }
}

#[test]
fn a_list_of_other_inputs_is_another_program() {
    let folder = program(100);
    let folder = folder.path();
    for (at, name) in ["main.o", "twice.o", "pick.o"].iter().enumerate() {
        fs::copy(folder.join(name), folder.join(format!("{at}.bin"))).unwrap();
    }
    tick();
    link(folder, &["main.o", "twice.o", "pick.o"], "all is linked");
    link(
        folder,
        &["0.bin", "--start-lib", "1.bin", "2.bin", "--end-lib"],
        "3 of 3 files of the command line are new",
    );
}

#[test]
fn a_list_that_names_the_output_is_refused() {
    let folder = program(100);
    let folder = folder.path();
    let arguments = ["main.o", "twice.o", "pick.o"];
    tick();
    link(folder, &arguments, "all is linked");
    let before = fs::read(folder.join("out.wasm")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
    command
        .arg("ld")
        .args(STATE)
        .args(arguments)
        .arg("out.wasm");
    let done = command.current_dir(folder).output().unwrap();
    assert!(!done.status.success());
    assert_eq!(fs::read(folder.join("out.wasm")).unwrap(), before);
    link(folder, &arguments, "nothing has changed");
}

#[test]
fn a_response_file_that_is_written_again_or_moved_is_no_change() {
    let folder = program(100);
    let folder = folder.path();
    fs::write(folder.join("link.rsp"), "main.o twice.o\npick.o").unwrap();
    tick();
    link(folder, &["@link.rsp"], "all is linked");
    link(folder, &["@link.rsp"], "nothing has changed");
    tick();
    fs::write(folder.join("link.rsp"), "main.o twice.o\npick.o").unwrap();
    link(folder, &["@link.rsp"], "nothing has changed");
    // As those who make one in a temporary folder.
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/4711.rsp"), "main.o 'twice.o' pick.o").unwrap();
    link(folder, &["@other/4711.rsp"], "nothing has changed");
    replace(&folder.join("pick.o"), pick(1));
    link(folder, &["@link.rsp"], "patched 1 function");
    link(
        folder,
        &["main.o", "twice.o", "pick.o"],
        "nothing has changed",
    );
}

#[test]
fn contents_that_changed_under_the_old_times_are_found_where_contents_are_compared() {
    let folder = program(100);
    let folder = folder.path();
    let file = folder.join("pick.o");
    let by_times = ["main.o", "twice.o", "pick.o"];
    let by_contents = [&by_times[..], &["--check=content"]].concat();
    tick();
    // Of a link that was not told to compare contents no hash is known: an object's contents are.
    link(folder, &by_times, "all is linked");
    write_unseen(&file, &pick(1));
    ld(folder, &STATE, &by_times);
    assert_eq!(
        answer(&folder.join("out.wasm")),
        260,
        "times were told to be enough"
    );
    link(folder, &by_contents, "patched 1 function");
    link(folder, &by_contents, "nothing has changed");
    for added in 2..6 {
        write_unseen(&file, &pick(added));
        link(folder, &by_contents, "patched 1 function");
        assert_eq!(answer(&folder.join("out.wasm")), 160 + i32::from(added));
        link(folder, &by_contents, "nothing has changed");
    }
    // Of members as well.
    let archives: [(&str, bool, &str); 2] = [
        ("libbig.a", false, "patched 1 function"),
        ("libthin.a", true, "all is linked"),
    ];
    for (name, is_thin, expected) in archives {
        let bytes = |added: u8| match is_thin {
            true => archive(true, &pick(added)),
            false => large_archive(added, 64 << 10),
        };
        fs::write(folder.join(name), bytes(5)).unwrap();
        let arguments = ["main.o", name, "twice.o", "--check=content"];
        tick();
        link(folder, &arguments, "");
        link(folder, &arguments, "nothing has changed");
        match is_thin {
            true => write_unseen(&file, &pick(77)),
            false => write_unseen(&folder.join(name), &bytes(77)),
        }
        link(folder, &arguments, expected);
        assert_eq!(answer(&folder.join("out.wasm")), 237);
        link(folder, &arguments, "nothing has changed");
    }
}

#[test]
fn a_state_without_the_hash_of_a_list_is_not_used_where_contents_are_compared() {
    let folder = program(100);
    let folder = folder.path();
    fs::write(folder.join("allowed"), "host_log\n").unwrap();
    let by_times = [
        "main.o",
        "twice.o",
        "pick.o",
        "--allow-undefined-file=allowed",
    ];
    let by_contents = [&by_times[..], &["--check=content"]].concat();
    tick();
    link(folder, &by_times, "all is linked");
    link(
        folder,
        &by_contents,
        "all is linked: it is not known what was in allowed",
    );
    link(folder, &by_contents, "nothing has changed");
    write_unseen(&folder.join("allowed"), b"host_lug\n");
    // A list whose times are as new as the link is not followed at all.
    tick();
    link(folder, &by_contents, "all is linked: allowed has changed");
    link(folder, &by_contents, "nothing has changed");
}

#[test]
fn a_driver_that_links_in_temporary_folders_gets_patches() {
    let folder = program(100);
    let folder = folder.path();
    fs::write(folder.join("lib_b.o"), object("lib_b.o")).unwrap();
    for build in 0..6u8 {
        let temporary = tempfile::tempdir().unwrap();
        let place = |name: &str| temporary.path().join(name).display().to_string();
        for name in ["main.o", "twice.o"] {
            fs::copy(folder.join(name), place(&format!("{build}{name}"))).unwrap();
        }
        fs::write(place("pick.a"), archive(false, &pick(build + 1))).unwrap();
        let mut text = format!("{} {}", place(&format!("{build}main.o")), place("pick.a"));
        // Now and then there is one more.
        if build > 2 {
            text += " lib_b.o";
        }
        text += &format!(" {}", place(&format!("{build}twice.o")));
        fs::write(place("arguments"), text).unwrap();
        tick();
        let options = [
            "--state-dir=kept".to_owned(),
            "-o".to_owned(),
            place("out.wasm"),
        ];
        let options = options.each_ref().map(|option| &**option);
        let said = ld(folder, &options, &[&format!("@{}", place("arguments"))]);
        let expected = match build {
            0 => "all is linked",
            _ => "patched",
        };
        assert!(said.contains(expected), "{build}: {said}");
        // The program asks whether it is there, and what it calls then is not `pick`.
        let expected = if build > 2 {
            173
        } else {
            161 + i32::from(build)
        };
        assert_eq!(answer(Path::new(&place("out.wasm"))), expected);
    }
}
