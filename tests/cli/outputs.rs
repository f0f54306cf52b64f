//! Where the commands put their output: what they replace, write into or refuse, and what a signal leaves behind.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::command::wasmend;
use crate::support::{families, objects};

fn object(name: &str) -> String {
    objects::word(name)
}

fn build(version: u32) -> String {
    let path = families::modules().join(format!("c-sort/v{version}.wasm"));
    path.display().to_string()
}

/// A fresh folder in which commands are run.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// A folder with `main.o`, `twice.o`, `pick.o`, `libgnu.a` and the output `x.wasm`.
    fn with_objects() -> Place {
        let place = Place::new();
        for name in ["main.o", "twice.o", "pick.o", "libgnu.a"] {
            fs::copy(object(name), place.at(name)).unwrap();
        }
        place.works(&["ld", "main.o", "twice.o", "pick.o", "-o", "x.wasm"]);
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // A signal that the tests themselves ignore, as behind `nohup`, would be ignored by the command too.
        let mut command = Command::new("env");
        command
            .arg("--default-signal=HUP,INT,QUIT,TERM")
            .arg(wasmend());
        command.args(arguments).current_dir(self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn works(&self, arguments: &[&str]) -> Output {
        let done = self.run(arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {said}");
        done
    }

    /// Runs a command that must be refused, with this in its message.
    fn refused(&self, arguments: &[&str], why: &str) {
        let done = self.run(arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        names(self.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The ways to write a whole file: where the output goes is added.
const WRITERS: [&[&str]; 4] = [
    &["ld", "main.o", "twice.o", "pick.o", "-o"],
    &[
        "ld",
        "--no-incremental",
        "main.o",
        "twice.o",
        "pick.o",
        "-o",
    ],
    &[
        "ld",
        "--compress-relocations",
        "--strip-debug",
        "main.o",
        "twice.o",
        "pick.o",
        "-o",
    ],
    &["finish", "x.wasm", "-o"],
];

fn with<'a>(writer: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [writer, more].concat()
}

const MAGIC: &[u8] = b"\0asm\x01\0\0\0";

#[test]
fn a_dash_is_standard_output_and_gets_the_dense_bytes() {
    let place = Place::with_objects();
    let before = place.names();
    let written: Vec<Vec<u8>> = WRITERS
        .iter()
        .map(|writer| place.works(&with(writer, &["-"])).stdout)
        .collect();
    assert_eq!(place.names(), before);
    for (writer, bytes) in WRITERS.iter().zip(&written) {
        assert!(bytes.starts_with(MAGIC), "{writer:?}");
        wasmparser::validate(bytes).unwrap();
    }
    // A linked module is called as its file is.
    place.works(&with(WRITERS[1], &["dense.wasm", "--soname=-"]));
    assert_eq!(written[0], place.read("dense.wasm"));
    assert_eq!(written[1], place.read("dense.wasm"));
    place.works(&with(WRITERS[3], &["finished.wasm"]));
    assert_eq!(written[3], place.read("finished.wasm"));
    // A file can still have this name.
    place.works(&with(WRITERS[1], &["./-"]));
    assert_eq!(place.read("-"), place.read("dense.wasm"));
}

#[test]
fn lists_do_not_get_into_a_module_on_standard_output() {
    let place = Place::with_objects();
    let lists = [
        "-t",
        "-M",
        "--print-gc-sections",
        "--why-extract=-",
        "--stats",
    ];
    let done = place.works(&with(&with(WRITERS[0], &["-"]), &lists));
    wasmparser::validate(&done.stdout).unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("main.o") && said.contains("CODE"), "{said}");
    place.refused(&["--json", "finish", "x.wasm", "-o", "-"], "--json");
}

#[test]
fn standard_output_that_is_full_is_an_error() {
    let place = Place::with_objects();
    let full = place.at("full");
    // A device that takes nothing.
    let made = mknodat(
        CWD,
        &full,
        FileType::CharacterDevice,
        Mode::RUSR | Mode::WUSR,
        makedev(1, 7),
    );
    let open = || fs::File::options().write(true).open(&full);
    if made.is_err() || open().is_err() {
        eprintln!("SKIPPED: a device needs root, and a file system that has them");
        return;
    }
    for writer in WRITERS {
        let mut command = place.command(&with(writer, &["-"]));
        let done = command.stdout(open().unwrap()).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{writer:?}");
    }
}

#[test]
fn devices_and_pipes_are_written_into_by_every_command() {
    let place = Place::with_objects();
    let everybody = Mode::from_raw_mode(0o666);
    let null = place.at("null");
    let made = mknodat(
        CWD,
        &null,
        FileType::CharacterDevice,
        everybody,
        makedev(1, 3),
    );
    let has_device = made.is_ok() && fs::File::options().write(true).open(&null).is_ok();
    if !has_device {
        eprintln!("SKIPPED in part: a device needs root, and a file system that has them");
        let _ = fs::remove_file(&null);
    }
    let pipe = place.at("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, everybody, 0).unwrap();
    let before = place.names();
    for writer in WRITERS {
        if has_device {
            place.works(&with(writer, &["null"]));
            assert_eq!(fs::metadata(&null).unwrap().rdev(), makedev(1, 3));
        }
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        place.works(&with(writer, &["pipe"]));
        wasmparser::validate(&reader.join().unwrap()).unwrap();
        let kind = fs::symlink_metadata(&pipe).unwrap().mode();
        assert_eq!(FileType::from_raw_mode(kind), FileType::Fifo);
    }
    assert_eq!(place.names(), before);
}

#[test]
fn what_follows_builds_refuses_what_cannot_be_patched() {
    let place = Place::with_objects();
    let pipe = place.at("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::create_dir(place.at("step")).unwrap();
    fs::copy(object("pick.o"), place.at("step/pick.o")).unwrap();
    let build = build(1);
    for output in ["-", "pipe"] {
        for arguments in [
            &["watch", &build, "-o", output][..],
            &["watch", "main.o", "twice.o", "pick.o", "-o", output],
            &["replay", "-o", output, &build],
            &["replay", output, &build],
            &["demo", "--functions", "100", "--edits", "1", "-o", output],
            &[
                "replay-ld",
                "--step",
                "step",
                "--",
                "main.o",
                "twice.o",
                "pick.o",
                "-o",
                output,
            ],
        ] {
            place.refused(arguments, "not a regular file");
        }
    }
    let kind = fs::symlink_metadata(&pipe).unwrap().mode();
    assert_eq!(FileType::from_raw_mode(kind), FileType::Fifo);
    assert!(!place.at("-").exists());
}

#[test]
fn links_stay_and_modes_are_kept_by_every_command() {
    let place = Place::with_objects();
    for writer in WRITERS {
        for (mode, exists) in [(0o600, true), (0o755, true), (0, false)] {
            let target = place.at("target.wasm");
            let _ = fs::remove_file(&target);
            let _ = fs::remove_file(place.at("link.wasm"));
            symlink("target.wasm", place.at("link.wasm")).unwrap();
            if exists {
                fs::write(&target, b"old").unwrap();
                fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
            }
            place.works(&with(writer, &["link.wasm"]));
            assert!(
                fs::symlink_metadata(place.at("link.wasm"))
                    .unwrap()
                    .is_symlink()
            );
            let found = fs::symlink_metadata(&target).unwrap();
            assert!(found.is_file() && place.read("target.wasm").starts_with(MAGIC));
            assert!(
                !exists || found.mode() & 0o7777 == mode,
                "{writer:?}: {mode:o}"
            );
        }
    }
}

#[test]
fn inputs_are_never_the_output_by_any_name() {
    let place = Place::with_objects();
    symlink("main.o", place.at("soft.o")).unwrap();
    fs::hard_link(place.at("main.o"), place.at("hard.o")).unwrap();
    fs::create_dir(place.at("sub")).unwrap();
    let inputs = ["main.o", "twice.o", "pick.o", "libgnu.a"];
    let before = inputs.map(|name| place.read(name));
    let why = "both what is read";
    for more in [&[][..], &["--no-incremental"]] {
        for output in [
            "main.o",
            "./main.o",
            "sub/../main.o",
            "soft.o",
            "hard.o",
            "libgnu.a",
        ] {
            let link = ["ld", "main.o", "twice.o", "--whole-archive", "libgnu.a"];
            place.refused(&[&link[..], more, &["-o", output]].concat(), why);
            let lists = [format!("-Map={output}"), format!("--why-extract={output}")];
            for list in &lists {
                place.refused(&[&link[..], more, &["-o", "out.wasm", list]].concat(), why);
            }
        }
        assert!(!place.at("out.wasm").exists());
    }
    let by_name = ["--no-incremental", "-L.", "--whole-archive", "-lgnu"];
    place.refused(
        &[
            &["ld", "main.o", "twice.o"],
            &by_name[..],
            &["-o", "libgnu.a"],
        ]
        .concat(),
        why,
    );
    place.refused(
        &["watch", "main.o", "twice.o", "pick.o", "-o", "hard.o"],
        why,
    );
    fs::create_dir(place.at("step")).unwrap();
    fs::copy(object("pick.o"), place.at("step/pick.o")).unwrap();
    let steps = [
        "replay-ld",
        "--step",
        "step",
        "--",
        "main.o",
        "twice.o",
        "pick.o",
        "-o",
    ];
    place.refused(&with(&steps, &["step/pick.o"]), why);
    place.refused(&with(&steps, &["hard.o"]), why);
    place.works(&with(&steps, &["step/out.wasm"]));
    place.works(&with(&steps, &["step/out.wasm"]));
    fs::hard_link(place.at("x.wasm"), place.at("y.wasm")).unwrap();
    for output in ["x.wasm", "sub/../x.wasm", "y.wasm"] {
        place.refused(&["finish", "x.wasm", "-o", output], why);
    }
    assert_eq!(inputs.map(|name| place.read(name)), before);
}

#[test]
fn a_missing_folder_is_said_before_anything_is_done_or_made_for_what_follows_builds() {
    let place = Place::with_objects();
    let before = place.names();
    for writer in WRITERS {
        place.refused(&with(writer, &["missing/out.wasm"]), "it has to exist");
        // Nothing was read either.
        if writer[0] == "ld" {
            let nothing = with(&writer[..1], &["nothing.o", "-o", "missing/out.wasm"]);
            place.refused(&nothing, "it has to exist");
        }
    }
    assert_eq!(place.names(), before);
    place.works(&["replay", "-o", "made/by/replay.wasm", &build(1), &build(2)]);
    place.works(&["verify", "made/by/replay.wasm", &build(2)]);
}

#[test]
fn the_first_of_many_files_is_replaced_only_if_it_was_made_to_be() {
    let place = Place::new();
    let builds = [1, 2].map(build);
    let [one, two] = builds.each_ref().map(String::as_str);
    for (version, name) in [(1, "v1.wasm"), (2, "v2.wasm")] {
        fs::copy(build(version), place.at(name)).unwrap();
    }
    let before = place.read("v1.wasm");
    for name in ["v1.wasm", "./v1.wasm"] {
        place.refused(&["replay", name, "v2.wasm"], "name the output with -o");
        assert_eq!(place.read("v1.wasm"), before);
    }
    fs::write(place.at("notes.txt"), b"precious").unwrap();
    place.refused(&["replay", "notes.txt", one, two], "-o");
    place.refused(&["replay", "-o", "notes.txt", one, two], "--force");
    assert_eq!(place.read("notes.txt"), b"precious");
    place.refused(&["replay", "out.wasm"], "no build");
    assert!(!place.at("out.wasm").exists());
    // By `-o`; by a first file that is not there; by one that is an output; and when told to.
    place.works(&["replay", "v1.wasm", "v2.wasm", "-o", "named.wasm"]);
    place.works(&["replay", "first.wasm", one, two]);
    place.works(&["replay", "first.wasm", one, two]);
    for output in ["named.wasm", "first.wasm"] {
        place.works(&["verify", output, two]);
    }
    place.works(&["replay", "--force", "v1.wasm", two]);
    place.works(&["replay", "--force", "-o", "notes.txt", two]);
    for output in ["v1.wasm", "notes.txt"] {
        place.works(&["verify", output, two]);
    }
}

#[test]
fn what_is_no_module_is_replaced_only_when_told() {
    let place = Place::with_objects();
    fs::write(place.at("main.c"), b"int main;").unwrap();
    let one = build(1);
    for arguments in [
        &["finish", "x.wasm", "-o", "main.c"][..],
        &["watch", &one, "-o", "main.c"],
        &["watch", "main.o", "twice.o", "pick.o", "-o", "main.c"],
        &["demo", "--functions", "100", "--edits", "1", "-o", "main.c"],
    ] {
        place.refused(arguments, "no WebAssembly module");
        assert_eq!(place.read("main.c"), b"int main;");
    }
    place.works(&["finish", "--force", "x.wasm", "-o", "main.c"]);
    // Modules, empty files, and what is called a module.
    for old in [&place.read("main.c")[..], b""] {
        fs::write(place.at("main.c"), old).unwrap();
        place.works(&["finish", "x.wasm", "-o", "main.c"]);
    }
    fs::write(place.at("old.wasm"), b"torn").unwrap();
    place.works(&["finish", "x.wasm", "-o", "old.wasm"]);
    // A linker writes what it is told to.
    fs::write(place.at("main.c"), b"int main;").unwrap();
    place.works(&with(WRITERS[1], &["main.c"]));
}

#[test]
fn what_is_written_once_leaves_no_folder_and_no_file_beside() {
    let place = Place::with_objects();
    fs::remove_dir_all(place.at(".wasmend")).unwrap();
    let mut before = place.names();
    for writer in &WRITERS[1..] {
        place.works(&with(writer, &["out.wasm"]));
        place.works(&with(writer, &["out.wasm"]));
    }
    before.push("out.wasm".to_owned());
    before.sort();
    assert_eq!(place.names(), before);
}

#[test]
fn a_name_without_room_for_the_names_beside_it_is_refused_and_a_dense_output_needs_none() {
    let place = Place::with_objects();
    let name = format!("{}.wasm", "n".repeat(250));
    place.refused(
        &with(WRITERS[0], &[&name]),
        "one that is patched can have 247",
    );
    assert!(!place.at(&name).exists());
    place.works(&with(&with(WRITERS[0], &[&name]), &["--no-incremental"]));
    place.works(&with(WRITERS[0], &[&name[8..]]));
}

#[test]
fn a_missing_folder_is_called_what_the_user_calls_it() {
    let place = Place::with_objects();
    for writer in WRITERS {
        let done = place.run(&with(writer, &["missing/out.wasm"]));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(
            said.starts_with("error: missing: cannot open"),
            "{writer:?}: {said}"
        );
    }
}

#[test]
fn what_is_often_taken_for_a_module_is_called_by_its_name() {
    let place = Place::with_objects();
    fs::write(place.at("a.wat"), "(module)").unwrap();
    fs::write(place.at("a.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    for (name, what, hint) in [
        (
            "libgnu.a",
            "an archive, not a WebAssembly module",
            "wasmend ld",
        ),
        (
            "a.wat",
            "the text format, not a WebAssembly module",
            "wat2wasm",
        ),
        ("a.gz", "compressed, not a WebAssembly module", "gunzip"),
        ("main.o", "a relocatable object, not a module", "wasmend ld"),
    ] {
        for command in [&["verify", "x.wasm"][..], &["verify", name]] {
            let done = place.run(&with(command, &[name]));
            let said = String::from_utf8_lossy(&done.stderr);
            let right = format!("error: {name}: {what}\n");
            assert!(said.starts_with(&right) && said.contains(hint), "{said}");
        }
    }
}

#[test]
fn no_link_leaves_a_copy_behind() {
    let place = Place::with_objects();
    for more in [
        &[][..],
        &["--import-table"],
        &["--growable-table", "--export-table"],
    ] {
        place.works(&with(&with(WRITERS[0], &["out.wasm"]), more));
        let state = names(&place.at(".wasmend"));
        assert_eq!(
            state,
            [".gitignore", "out.wasm.lock", "x.wasm.lock"],
            "{more:?}"
        );
    }
    assert_eq!(place.read(".wasmend/.gitignore"), b"*\n");
}

/// Whoever knows a process's id could have put these there; the shell becomes the command, so its id is the command's.
#[test]
fn links_under_names_with_the_process_id_are_not_followed() {
    let place = Place::with_objects();
    fs::create_dir(place.at("step")).unwrap();
    fs::copy(object("pick.o"), place.at("step/pick.o")).unwrap();
    fs::create_dir(place.at("tmp")).unwrap();
    fs::write(place.at("victim"), b"precious").unwrap();
    let plant = r#"
        for folder in tmp/wasmend-replay-$$ tmp/wasmend-$$ tmp/.wasmend-$$; do
            mkdir -p $folder
            for file in 0-pick.new 0-pick.o 0-pick.o.new pick.o pick.new; do ln -s "$PWD/victim" $folder/$file; done
        done
        for file in out.wasm.$$.new .out.wasm.$$.new out.wasm.$$ out.wasm.new out.wasm.tmp; do ln -s "$PWD/victim" $file; done
        exec "$0" "$@""#;
    let steps = [
        "replay-ld",
        "--step",
        "step",
        "--",
        "main.o",
        "twice.o",
        "pick.o",
        "-o",
    ];
    for writer in WRITERS.iter().copied().chain([&steps[..]]) {
        let done = Command::new("sh")
            .args(["-c", plant])
            .arg(wasmend())
            .args(with(writer, &["out.wasm"]))
            .env("TMPDIR", place.at("tmp"))
            .current_dir(place.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{writer:?}: {said}");
        assert_eq!(place.read("victim"), b"precious", "{writer:?}");
        assert!(
            fs::symlink_metadata(place.at("out.wasm"))
                .unwrap()
                .is_file()
        );
        fs::remove_dir_all(place.at("tmp")).unwrap();
        fs::create_dir(place.at("tmp")).unwrap();
        for file in place.names() {
            let is_planted = file.contains("out.wasm");
            if is_planted {
                fs::remove_file(place.at(&file)).unwrap();
            }
        }
    }
}

/// A command that runs until it is told to end; it is killed when the test fails.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// What it said, once it has ended.
    fn ended(&mut self) -> (std::process::ExitStatus, String) {
        let status = self.0.wait().unwrap();
        let mut said = String::new();
        if let Some(out) = &mut self.0.stdout {
            out.read_to_string(&mut said).unwrap();
        }
        (status, said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_there(folder: &Path, name: &str) -> bool {
    folder.is_dir() && names(folder).iter().any(|found| found.ends_with(name))
}

#[test]
fn a_watch_that_is_ended_by_any_signal_leaves_no_copy() {
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        for of_objects in [false, true] {
            let place = Place::with_objects();
            fs::copy(build(1), place.at("build.wasm")).unwrap();
            let watched = match of_objects {
                false => &["watch", "build.wasm", "-o", "made/out.wasm"][..],
                true => &[
                    "watch",
                    "main.o",
                    "twice.o",
                    "pick.o",
                    "-o",
                    "made/out.wasm",
                ],
            };
            let mut watch = Running::start(&mut place.command(watched));
            let state = place.at("made/.wasmend");
            wait_for("a copy", || is_there(&state, ".shadow"));
            watch.signal(signal);
            let (status, said) = watch.ended();
            assert!(
                status.success() && said.contains("stopped"),
                "{signal:?}: {said}"
            );
            assert_eq!(names(&state), [".gitignore", "out.wasm.lock"], "{signal:?}");
            assert_eq!(names(&place.at("made")), [".wasmend", "out.wasm"]);
        }
    }
}

#[test]
fn a_watch_without_a_terminal_goes_on_when_the_terminal_is_closed() {
    let place = Place::new();
    fs::copy(build(1), place.at("build.wasm")).unwrap();
    let script = r#"trap "" HUP; exec "$0" watch build.wasm -o out.wasm"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(wasmend());
    let mut watch = Running::start(command.current_dir(place.path()));
    wait_for("a copy", || is_there(&place.at(".wasmend"), ".shadow"));
    watch.signal(Signal::HUP);
    let before = place.read("out.wasm");
    fs::copy(build(2), place.at("build.wasm")).unwrap();
    wait_for("a patch", || place.read("out.wasm") != before);
    watch.signal(Signal::TERM);
    assert!(watch.ended().0.success());
}

/// Each command waits for a pipe that nobody writes, with its temporary files there.
#[test]
fn a_command_that_is_ended_by_a_signal_leaves_nothing_temporary() {
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        let place = Place::with_objects();
        let pipe = place.at("pipe.o");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        fs::create_dir(place.at("tmp")).unwrap();
        fs::create_dir(place.at("step")).unwrap();
        fs::copy(object("pick.o"), place.at("step/pick.o")).unwrap();
        let (one, two, three) = (build(1), build(2), build(3));
        let replay = ["replay", "-o", "out.wasm", &one, &two, &three, "pipe.o"];
        let steps = [
            "replay-ld",
            "--step",
            "step",
            "--",
            "main.o",
            "twice.o",
            "pick.o",
            "pipe.o",
            "-o",
            "linked.wasm",
        ];
        let demo = ["demo", "--functions", "2000", "--edits", "400000"];
        for arguments in [&replay[..], &steps, &demo] {
            let mut command = place.command(arguments);
            let mut running = Running::start(command.env("TMPDIR", place.at("tmp")));
            match arguments[0] {
                "replay" => wait_for("a copy", || is_there(&place.at(".wasmend"), ".shadow")),
                "replay-ld" => wait_for("an object", || {
                    names(&place.at("tmp"))
                        .first()
                        .is_some_and(|folder| is_there(&place.at("tmp").join(folder), "pick.o"))
                }),
                _ => wait_for("a module", || {
                    names(&place.at("tmp"))
                        .first()
                        .is_some_and(|folder| is_there(&place.at("tmp").join(folder), ".wasm"))
                }),
            }
            if let Some(folder) = names(&place.at("tmp")).first() {
                let mode = fs::metadata(place.at("tmp").join(folder)).unwrap().mode();
                assert_eq!(mode & 0o7777, 0o700);
            }
            running.signal(signal);
            let (status, _) = running.ended();
            assert_eq!(status.signal(), Some(signal.as_raw()), "{arguments:?}");
            assert_eq!(names(&place.at("tmp")), [""; 0], "{arguments:?}");
            let state = names(&place.at(".wasmend"));
            assert!(
                !state.iter().any(|name| name.ends_with(".shadow")),
                "{state:?}"
            );
            assert!(
                !state.iter().any(|name| name.ends_with(".new")),
                "{state:?}"
            );
        }
    }
}

#[test]
fn removing_the_state_folder_of_a_watch_lets_nobody_else_write() {
    let place = Place::with_objects();
    fs::copy(build(1), place.at("build.wasm")).unwrap();
    let mut watch = Running::start(&mut place.command(&["watch", "build.wasm", "-o", "out.wasm"]));
    wait_for("a copy", || is_there(&place.at(".wasmend"), ".shadow"));
    fs::remove_dir_all(place.at(".wasmend")).unwrap();
    let before = place.read("out.wasm");
    let one = build(1);
    let replay = ["replay", "-o"];
    let writers = WRITERS.iter().map(|writer| with(writer, &["out.wasm"]));
    for arguments in writers.chain([with(&replay, &["out.wasm", &one])]) {
        let done = place.run(&arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(4), "{arguments:?}: {said}");
        assert_eq!(place.read("out.wasm"), before);
    }
    // The watch goes on.
    fs::copy(build(2), place.at("build.wasm")).unwrap();
    wait_for("a patch", || {
        place.read("out.wasm") != before
            && place
                .run(&["verify", "out.wasm", &build(2)])
                .status
                .success()
    });
    watch.signal(Signal::TERM);
    assert!(watch.ended().0.success());
    assert!(!is_there(&place.at(".wasmend"), ".shadow"));
    place.works(&with(WRITERS[1], &["out.wasm"]));
}
