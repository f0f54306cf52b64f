//! Where output goes, through the library: what is replaced, what is written into, and what is refused.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use wasmend::output::{
    Destination, Durability, Output, OutputOptions, Publish, expect_not_an_input, no_check,
    write_file,
};
use wasmend::{Error, ErrorKind, RangeList, Reason};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn write(path: &Path, bytes: &[u8]) -> wasmend::Result<()> {
    let options = OutputOptions {
        executable: true,
        ..OutputOptions::default()
    };
    write_file(path, &options, bytes, &no_check)
}

fn refused(path: &Path) -> Error {
    let error = write(path, b"new").unwrap_err();
    let other = Output::file(path, OutputOptions::default()).unwrap_err();
    assert_eq!((error.kind(), other.kind()), (ErrorKind::Io, ErrorKind::Io));
    assert_eq!(error.to_string(), other.to_string());
    error
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A character device in a temporary folder; `None`, said, where none can be made and used.
fn device(folder: &Path, minor: u32) -> Option<PathBuf> {
    let path = folder.join(format!("device{minor}"));
    let everybody = Mode::from_raw_mode(0o666);
    let made = mknodat(
        CWD,
        &path,
        FileType::CharacterDevice,
        everybody,
        makedev(1, minor),
    );
    let opened = made.is_ok() && fs::File::options().write(true).open(&path).is_ok();
    if !opened {
        assert!(!is_root() || made.is_ok(), "root can make devices");
        eprintln!("SKIPPED: a device needs root, and a file system that has them");
    }
    opened.then_some(path)
}

const NULL: u32 = 3;
const FULL: u32 = 7;

#[test]
fn bytes_are_written_into_a_device_which_stays_one() {
    let folder = folder();
    let Some(null) = device(folder.path(), NULL) else {
        return;
    };
    let link = folder.path().join("link");
    symlink(&null, &link).unwrap();
    for path in [&null, &link] {
        write(path, b"new").unwrap();
        assert_eq!(Destination::of(path).unwrap(), Destination::Special);
        assert_eq!(
            fs::metadata(path).unwrap().rdev(),
            makedev(1, NULL),
            "replaced"
        );
        let error = Output::file(path, OutputOptions::default()).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
    assert_eq!(names(folder.path()), ["device3", "link"]);
}

#[test]
fn a_device_that_takes_nothing_is_an_error() {
    let folder = folder();
    let Some(full) = device(folder.path(), FULL) else {
        return;
    };
    let error = write(&full, b"new").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28), "{error}");
    assert_eq!(fs::metadata(&full).unwrap().rdev(), makedev(1, FULL));
}

#[test]
fn bytes_are_written_into_a_pipe_which_stays_one() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    let bytes: Vec<u8> = (0..200_000).map(|at| at as u8).collect();
    write(&pipe, &bytes).unwrap();
    assert!(reader.join().unwrap() == bytes);
    let kind = FileType::from_raw_mode(fs::symlink_metadata(&pipe).unwrap().mode());
    assert_eq!(kind, FileType::Fifo);
    let error = Output::file(&pipe, OutputOptions::default()).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn bytes_are_written_into_a_socket_which_stays_one() {
    let folder = folder();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    });
    write(&socket, b"new").unwrap();
    assert_eq!(reader.join().unwrap(), b"new");
    let kind = FileType::from_raw_mode(fs::symlink_metadata(&socket).unwrap().mode());
    assert_eq!(kind, FileType::Socket);
}

/// As standard output is by the name `/dev/stdout`, once what it was redirected to has been removed.
#[test]
fn an_open_file_without_a_name_is_written_into() {
    let folder = folder();
    let path = folder.path().join("gone");
    fs::write(&path, b"old contents").unwrap();
    let mut file = fs::File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    use std::os::fd::AsRawFd;
    let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    assert_eq!(
        Destination::of(&by_descriptor).unwrap(),
        Destination::Special
    );
    write(&by_descriptor, b"new").unwrap();
    let mut found = Vec::new();
    file.read_to_end(&mut found).unwrap();
    assert_eq!(found, b"new");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn links_are_followed_to_their_end_and_stay() {
    for patchable in [false, true] {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/there.wasm"), b"old").unwrap();
        symlink("real/there.wasm", at("one")).unwrap();
        symlink(at("one"), at("two")).unwrap();
        // Its end does not exist yet.
        symlink("real/new.wasm", at("dangling")).unwrap();
        symlink("real", at("folder")).unwrap();
        for (link, target) in [
            ("one", "real/there.wasm"),
            ("two", "real/there.wasm"),
            ("dangling", "real/new.wasm"),
            ("folder/third.wasm", "real/third.wasm"),
        ] {
            let bytes = format!("through {link}");
            match patchable {
                false => write(&at(link), bytes.as_bytes()).unwrap(),
                true => Output::file(at(link), OutputOptions::default())
                    .unwrap()
                    .publish_whole(bytes.len() as u64, |to| {
                        to.copy_from_slice(bytes.as_bytes());
                        Ok(())
                    })
                    .unwrap(),
            }
            assert_eq!(fs::read(at(target)).unwrap(), bytes.as_bytes());
            assert!(fs::symlink_metadata(at(target)).unwrap().is_file());
        }
        for link in ["one", "two", "dangling", "folder"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
        }
        let beside = match patchable {
            true => &[".wasmend", "new.wasm", "there.wasm", "third.wasm"][..],
            false => &["new.wasm", "there.wasm", "third.wasm"],
        };
        assert_eq!(names(&at("real")), beside);
    }
}

#[test]
fn links_that_lead_nowhere_are_refused() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    symlink("missing/out.wasm", at("dangling")).unwrap();
    let error = refused(&at("dangling"));
    assert!(error.to_string().contains("it has to exist"), "{error}");
    symlink("circle", at("circle")).unwrap();
    refused(&at("circle"));
    assert_eq!(names(folder.path()), ["circle", "dangling"]);
}

#[test]
fn folders_are_refused_and_missing_ones_not_made() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let error = refused(folder.path());
    assert!(error.to_string().contains("is a folder"), "{error}");
    let error = refused(&at("missing/out.wasm"));
    assert!(error.to_string().contains("it has to exist"), "{error}");
    let error = refused(&at("out.wasm/"));
    assert!(error.to_string().contains("names a folder"), "{error}");
    fs::write(at("file"), b"old").unwrap();
    refused(&at("file/out.wasm"));
    refused(&at("file/"));
    assert_eq!(names(folder.path()), ["file"]);
    assert_eq!(fs::read(at("file")).unwrap(), b"old");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if is_root() {
        eprintln!("SKIPPED: root can write anywhere");
        return;
    }
    let error = refused(&folder.path().join("out.wasm"));
    assert!(error.to_string().contains("cannot write in"), "{error}");
}

#[test]
fn a_file_that_is_written_once_keeps_permissions_and_leaves_nothing() {
    let folder = folder();
    let path = folder.path().join("out.wasm");
    fs::write(folder.path().join("plain"), []).unwrap();
    let usual = mode(&folder.path().join("plain"));
    fs::remove_file(folder.path().join("plain")).unwrap();
    write(&path, b"first").unwrap();
    assert_eq!(mode(&path), usual | (usual & 0o444) >> 2);
    for wanted in [0o600, 0o644, 0o444, 0o755] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wanted)).unwrap();
        write(&path, b"next").unwrap();
        assert_eq!(mode(&path), wanted);
    }
    // What lets a program run as its owner is for the file that was given it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
    write(&path, b"next").unwrap();
    assert_eq!(mode(&path), 0o755);
    let second = folder.path().join("second.wasm");
    fs::hard_link(&path, &second).unwrap();
    write(&path, b"last").unwrap();
    assert_eq!(fs::read(&second).unwrap(), b"next");
    let durable = OutputOptions {
        durability: Durability::Power,
        ..OutputOptions::default()
    };
    write_file(&path, &durable, b"durable", &no_check).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"durable");
    assert_eq!(names(folder.path()), ["out.wasm", "second.wasm"]);
}

#[test]
fn a_check_that_fails_keeps_the_file_that_is_written_once() {
    let folder = folder();
    let path = folder.path().join("out.wasm");
    let refuse = || Err(Error::bad_input("an input changed"));
    for before in [None, Some(b"before".to_vec())] {
        let error = write_file(&path, &OutputOptions::default(), b"new", &refuse).unwrap_err();
        assert_eq!(error.message(), "an input changed");
        assert_eq!(fs::read(&path).ok(), before);
        assert_eq!(names(folder.path()).len(), usize::from(before.is_some()));
        fs::write(&path, b"before").unwrap();
    }
}

#[test]
fn an_output_that_is_an_input_is_refused_by_any_name() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    for name in ["a.o", "b.o", "libc.a"] {
        fs::write(at(name), b"input").unwrap();
    }
    symlink("a.o", at("soft.o")).unwrap();
    fs::hard_link(at("a.o"), at("hard.o")).unwrap();
    symlink(".", at("around")).unwrap();
    let inputs = [at("b.o"), at("a.o"), at("libc.a")];
    for output in [
        "a.o",
        "./a.o",
        "sub/../a.o",
        "soft.o",
        "hard.o",
        "around/a.o",
        "libc.a",
    ] {
        let error = expect_not_an_input(&at(output), &inputs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert_eq!(error.path(), Some(at(output).as_path()));
    }
    fs::write(at("other.o"), b"input").unwrap();
    symlink("new.o", at("dangling.o")).unwrap();
    for output in ["other.o", "new.o", "dangling.o", "sub/new.o"] {
        expect_not_an_input(&at(output), &inputs).unwrap();
    }
    expect_not_an_input(Path::new("-"), [Path::new("-")]).unwrap();
    // A build that is waited for.
    for (output, input) in [
        ("sub/build.wasm", "around/sub/build.wasm"),
        ("dangling.o", "new.o"),
        ("around/new.o", "dangling.o"),
    ] {
        expect_not_an_input(&at(output), [at(input)]).unwrap_err();
    }
    expect_not_an_input(&at("build.wasm"), [at("sub/build.wasm")]).unwrap();
}

#[test]
fn a_pipe_may_be_read_from_and_written_to() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    expect_not_an_input(&pipe, [&pipe]).unwrap();
}

fn whole(output: &mut Output, contents: &[u8]) -> wasmend::Result<()> {
    output.publish_whole(contents.len() as u64, |bytes| {
        bytes.copy_from_slice(contents);
        Ok(())
    })
}

fn poke(output: &mut Output, byte: u8) -> wasmend::Result<()> {
    let mut patch = RangeList::new(100);
    patch.push(3, &[byte], Reason::Data);
    patch.finish(100);
    output.publish_patch(patch).map(drop)
}

/// While the output is open something else takes its place.
#[test]
fn what_is_no_regular_file_any_more_is_not_replaced() {
    type Put = fn(&Path);
    let put: [Put; 3] = [
        |path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        |path| symlink("elsewhere", path).unwrap(),
        |path| fs::create_dir(path).unwrap(),
    ];
    for publish in [Publish::Atomic, Publish::InPlace] {
        for put in put {
            let folder = folder();
            let path = folder.path().join("out.wasm");
            let mut output = Output::file(&path, OutputOptions::new(publish)).unwrap();
            whole(&mut output, &[1; 100]).unwrap();
            poke(&mut output, 2).unwrap();
            fs::remove_file(&path).unwrap();
            put(&path);
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            assert_eq!(
                poke(&mut output, 3).unwrap_err().kind(),
                ErrorKind::OutputChanged
            );
            let error = whole(&mut output, &[4; 100]).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
            assert_eq!(fs::symlink_metadata(&path).unwrap().file_type(), kind);
        }
    }
}

#[test]
fn removing_the_state_folder_lets_no_second_writer_in() {
    for publish in [Publish::Atomic, Publish::InPlace] {
        let folder = folder();
        let path = folder.path().join("out.wasm");
        let state = folder.path().join(".wasmend");
        let expect_locked = |context: &str| {
            let error = Output::file(&path, OutputOptions::new(publish)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Locked, "{context}");
            let error = write(&path, b"new").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Locked, "{context}");
        };
        let mut output = Output::file(&path, OutputOptions::new(publish)).unwrap();
        whole(&mut output, &[1; 100]).unwrap();
        expect_locked("with all in place");
        fs::remove_dir_all(&state).unwrap();
        expect_locked("after a whole version");
        for byte in 0..4 {
            fs::remove_dir_all(&state).unwrap();
            poke(&mut output, byte).unwrap();
            fs::remove_dir_all(&state).unwrap();
            expect_locked("after a patch");
        }
        fs::remove_file(state.join("out.wasm.lock")).unwrap();
        expect_locked("after the lock alone was removed");
        poke(&mut output, 9).unwrap();
        poke(&mut output, 10).unwrap();
        drop(output);
        // An output that was there before is held from the start.
        let output = Output::file(&path, OutputOptions::new(publish)).unwrap();
        fs::remove_dir_all(&state).unwrap();
        expect_locked("right after it was opened");
        drop(output);
        write(&path, b"new").unwrap();
    }
}

/// A lock that a reader, or a script, has on the output for reasons of its own is not a writer's.
#[test]
fn locks_of_others_on_the_output_keep_nobody_out() {
    let folder = folder();
    let path = folder.path().join("out.wasm");
    fs::write(&path, [1; 100]).unwrap();
    let held = fs::File::open(&path).unwrap();
    held.try_lock().unwrap();
    let mut output = Output::file(&path, OutputOptions::default()).unwrap();
    poke(&mut output, 2).unwrap();
    drop(output);
    write(&path, b"new").unwrap();
}

#[test]
fn the_state_folder_is_private_and_ignores_itself() {
    let folder = folder();
    let path = folder.path().join("out.wasm");
    let state = folder.path().join(".wasmend");
    // As older versions made it, where the user's mask is wide.
    fs::create_dir(&state).unwrap();
    for wide in [0o777, 0o755, 0o700] {
        fs::set_permissions(&state, fs::Permissions::from_mode(wide)).unwrap();
        let mut output = Output::file(&path, OutputOptions::default()).unwrap();
        whole(&mut output, &[1; 100]).unwrap();
        assert_eq!(mode(&state), 0o700);
        poke(&mut output, 2).unwrap();
        drop(output);
        assert_eq!(names(&state), [".gitignore", "out.wasm.lock"]);
        assert_eq!(fs::read(state.join(".gitignore")).unwrap(), b"*\n");
        // It is no wish to have it back.
        fs::write(state.join(".gitignore"), b"*\n").unwrap();
    }
    fs::remove_dir_all(&state).unwrap();
    drop(Output::file(&path, OutputOptions::default()).unwrap());
    assert_eq!(mode(&state), 0o700);
}

#[test]
fn links_in_the_place_of_working_files_are_not_followed() {
    let folder = folder();
    let path = folder.path().join("out.wasm");
    let victim = folder.path().join("victim");
    fs::write(&victim, b"precious").unwrap();
    let state = folder.path().join(".wasmend");
    fs::create_dir(&state).unwrap();
    for publish in [Publish::Atomic, Publish::InPlace] {
        for name in ["new", "shadow", "journal"] {
            let planted = state.join(format!("out.wasm.{name}"));
            let _ = fs::remove_file(&planted);
            symlink(&victim, &planted).unwrap();
        }
        let opened = Output::file(&path, OutputOptions::new(publish));
        // A link in the place of the journal may be an error, but nothing more.
        if let Ok(mut output) = opened {
            whole(&mut output, &[1; 100]).unwrap();
            poke(&mut output, 2).unwrap();
            poke(&mut output, 3).unwrap();
        }
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        fs::remove_dir_all(&state).unwrap();
        fs::create_dir(&state).unwrap();
        symlink(&victim, state.join("out.wasm.lock")).unwrap();
        Output::file(&path, OutputOptions::new(publish)).unwrap_err();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        fs::remove_file(state.join("out.wasm.lock")).unwrap();
    }
    // The folder itself is no link either.
    fs::remove_dir_all(&state).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &state).unwrap();
    Output::file(&path, OutputOptions::default()).unwrap_err();
    write(&path, b"new").unwrap();
    assert_eq!(names(&elsewhere), [""; 0]);
}

#[test]
fn a_state_folder_of_another_user_is_not_trusted() {
    if !is_root() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    let folder = folder();
    let path = folder.path().join("out.wasm");
    let state = folder.path().join(".wasmend");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(65534), Some(65534)).unwrap();
    // One's own stands beside it.
    let mut output = Output::file(&path, OutputOptions::default()).unwrap();
    whole(&mut output, &[1; 100]).unwrap();
    poke(&mut output, 2).unwrap();
    assert!(folder.path().join(".wasmend-0/out.wasm.lock").exists());
    assert_eq!(names(&state), [""; 0]);
    drop(output);
    // Whose folder it all is can do anything anyway.
    std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
    drop(Output::file(&path, OutputOptions::default()).unwrap());
}

/// Contents were changed, and then the file was given the time that it had.
#[test]
fn a_change_whose_time_was_put_back_is_noticed() {
    use std::os::unix::fs::FileExt;
    for publish in [Publish::Atomic, Publish::InPlace] {
        let folder = folder();
        let path = folder.path().join("out.wasm");
        let mut output = Output::file(&path, OutputOptions::new(publish)).unwrap();
        whole(&mut output, &[1; 100]).unwrap();
        for byte in 2..5 {
            poke(&mut output, byte).unwrap();
            // The clock of file times ticks every few milliseconds.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let file = fs::File::options().write(true).open(&path).unwrap();
            let time = file.metadata().unwrap().modified().unwrap();
            file.write_all_at(b"mine", 50).unwrap();
            file.set_modified(time).unwrap();
            drop(file);
            assert_eq!(
                poke(&mut output, 9).unwrap_err().kind(),
                ErrorKind::OutputChanged
            );
            whole(&mut output, &[1; 100]).unwrap();
        }
    }
}
