//! `wasmend patch`: builds of a module, each patched by a process of its own that goes on where the one before ended. Whatever becomes
//! of what is kept, the output is the build.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmend::inspect::{Map, finish, verify};
use wasmend::{Redirect, WholeModule, WholeOptions};

use crate::support::command::{arg, events, run_wasmend, text, wasmend};
use crate::support::families::FAMILIES;

/// What stands for an output beside it.
const KEPT: [&str; 5] = [".state", ".heap", ".last", ".options", ".shadow"];

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(wasmend());
    command.args(["patch", "out.wasm", "build.wasm"]);
    command.args(arguments).current_dir(folder);
    command
        .env_remove("WASMEND_STATE_UNUSABLE")
        .env_remove("WASMEND_STATE_DIR");
    command
}

fn patch(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn kept(folder: &Path, suffix: &str) -> PathBuf {
    folder.join(".wasmend").join(format!("out.wasm{suffix}"))
}

/// Later than the step of any file system's clock.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(30));
}

/// A module of some functions, of which one returns this number.
fn build(number: i32) -> Vec<u8> {
    let mut functions = String::new();
    for at in 0..20 {
        functions += &format!(
            "(func $f{at} (export \"f{at}\") (param i32) (result i32)
                (i32.add (local.get 0) (call $number)) (i32.mul (i32.const {at})))"
        );
    }
    let text = format!(
        "(module (memory 1) (data (i32.const 16) \"some data\") {functions}
            (func $number (export \"number\") (result i32) (i32.const {number})))"
    );
    wat::parse_str(text).unwrap()
}

fn write(folder: &Path, number: i32) {
    fs::write(folder.join("build.wasm"), build(number)).unwrap();
}

fn is_the_build(folder: &Path) -> bool {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let report = verify(&read("out.wasm"), &read("build.wasm"));
    report.is_ok_and(|report| report.differences.is_empty())
}

/// Patches, and expects that it goes well, that this is said and that the output is the build.
fn expect(folder: &Path, arguments: &[&str], expected: &str, context: &str) {
    let done = patch(folder, arguments);
    let said = text(&done.stdout) + &text(&done.stderr);
    assert!(done.status.success(), "{context}: {said}");
    assert!(!said.contains("panicked"), "{context}: {said}");
    assert!(said.contains(expected), "{context}: {said}");
    assert!(!said.contains("no state was kept"), "{context}: {said}");
    assert_eq!(said.lines().count(), 1, "{context}: {said}");
    assert!(is_the_build(folder), "{context}: {said}");
}

/// A folder in which the build of this number was patched once.
fn patched(number: i32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), number);
    tick();
    expect(
        folder.path(),
        &[],
        "made anew: there is no state from before",
        "the first call",
    );
    folder
}

/// An output without what names its version.
fn unnamed(output: &[u8]) -> &[u8] {
    let map = Map::read(output).unwrap();
    let identity = map.identity.expect("it is an output").identity.hex();
    // The section of the version is the last one, and ends in the build id, which is unlike any other.
    assert_eq!(identity.len(), 32);
    &output[..output.len() - 16]
}

#[test]
fn processes_one_after_the_other_write_what_one_process_writes() {
    for (redirect, word) in [
        (Redirect::TableThunks, "table"),
        (Redirect::Direct, "direct"),
    ] {
        for family in FAMILIES {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let options = WholeOptions {
                redirect,
                ..WholeOptions::default()
            };
            let versions = family.versions();
            let back = versions.iter().rev().skip(1);
            let mut module: Option<WholeModule> = None;
            for (at, version) in versions.iter().chain(back).enumerate() {
                let context = format!("{}, {word}, step {at}", family.name);
                fs::write(folder.join("build.wasm"), version).unwrap();
                match &mut module {
                    None => {
                        let first = WholeModule::in_memory(options.clone(), version).unwrap();
                        module = Some(first.0);
                    }
                    Some(module) => drop(module.update(version).unwrap()),
                }
                let done = patch(folder, &["--redirect", word, "--json"]);
                assert!(done.status.success(), "{context}: {}", text(&done.stderr));
                let events = events(&done);
                let last = events.last().unwrap();
                let expected = match at {
                    0 => "created",
                    _ if versions.len() == 1 => "unchanged",
                    _ => last["outcome"].as_str().unwrap(),
                };
                assert_eq!(last["outcome"], expected, "{context}: {last}");
                if at > 0 {
                    // Whatever else it is: it was not made from nothing.
                    assert_ne!(last["outcome"], "created", "{context}: {last}");
                }
                let output = fs::read(folder.join("out.wasm")).unwrap();
                let in_one = module.as_ref().unwrap().bytes().unwrap();
                assert!(unnamed(&output) == unnamed(&in_one), "{context}: {last}");
                let report = verify(&output, version).unwrap();
                assert!(report.differences.is_empty(), "{context}");
                assert!(
                    finish(&output).unwrap() == finish(&in_one).unwrap(),
                    "{context}"
                );
            }
        }
    }
}

#[test]
fn a_build_that_is_what_it_was_costs_nothing_however_that_is_found_out() {
    let folder = patched(1);
    let folder = folder.path();
    let before = fs::metadata(folder.join("out.wasm")).unwrap();
    let heap = || {
        fs::metadata(kept(folder, ".heap"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let written = heap();
    tick();
    expect(folder, &[], "nothing has changed", "by its times");
    assert_eq!(heap(), written, "the heap was written");
    write(folder, 1);
    tick();
    expect(folder, &[], "nothing has changed", "by its contents");
    let written = heap();
    expect(folder, &[], "nothing has changed", "by its new times");
    assert_eq!(heap(), written, "the heap was written");
    let after = fs::metadata(folder.join("out.wasm")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    // Written again at once, so that only the contents tell.
    for number in 2..30 {
        write(folder, number);
        expect(folder, &[], "patched 1 function", "without a tick");
    }
}

#[test]
fn a_build_may_be_called_otherwise_each_time() {
    let folder = patched(1);
    let folder = folder.path();
    for number in 2..6 {
        let name = format!("build-{number}.wasm");
        fs::write(folder.join(&name), build(number)).unwrap();
        write(folder, number);
        let mut line = Command::new(wasmend());
        line.args(["patch", "out.wasm", &name]).current_dir(folder);
        let done = line.output().unwrap();
        let said = text(&done.stdout);
        assert!(said.contains("patched 1 function"), "{said}");
        assert!(is_the_build(folder), "{said}");
    }
}

#[test]
fn other_options_make_the_output_anew_and_are_named() {
    let folder = patched(1);
    let folder = folder.path();
    for (options, reason) in [
        (
            vec!["--redirect", "direct"],
            "the option `redirect` is Direct, and was TableThunks",
        ),
        (
            vec!["--types", "per-declaration"],
            "the option `redirect` is TableThunks, and was Direct",
        ),
        (
            vec!["--live"],
            "the option `types` is Interned, and was PerDeclaration",
        ),
        (
            vec!["--publish", "in-place"],
            "the option `live` is false, and was true",
        ),
        (
            vec!["--durability", "power"],
            "the option `output` is OutputOptions",
        ),
    ] {
        let context = format!("{options:?}");
        expect(folder, &options, reason, &context);
        for number in 2..5 {
            write(folder, number);
            expect(folder, &options, "patched 1 function", &context);
        }
        write(folder, 1);
        expect(folder, &options, "patched 1 function", &context);
        assert!(!kept(folder, ".journal").exists(), "{context}");
    }
}

#[test]
fn a_bad_build_is_an_error_with_its_offset_and_the_next_one_goes_on_from_the_last_good_one() {
    let folder = patched(1);
    let folder = folder.path();
    let before = fs::read(folder.join("out.wasm")).unwrap();
    let mut bad = build(2);
    // The body of the last function begins with what is no instruction.
    let body = bad.windows(3).position(|bytes| bytes == [0x41, 2, 0x0b]);
    bad[body.unwrap()] = 0xff;
    fs::write(folder.join("build.wasm"), &bad).unwrap();
    let done = patch(folder, &[]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(
        said.contains("build.wasm") && said.contains("at offset 0x"),
        "{said}"
    );
    assert!(fs::read(folder.join("out.wasm")).unwrap() == before);
    fs::remove_file(folder.join("build.wasm")).unwrap();
    let said = text(&patch(folder, &[]).stderr);
    assert!(said.contains("build.wasm: cannot read"), "{said}");
    write(folder, 3);
    expect(folder, &[], "patched 1 function", "after errors");
    let doctor = run_wasmend(&["doctor", arg(&folder.join("out.wasm"))]);
    assert!(text(&doctor.stdout).contains("failed: build.wasm"));
}

/// What somebody does to an output, in words and in deed.
type Way<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn what_somebody_does_to_the_output_makes_it_anew() {
    let stripped = |output: &Path| {
        let bytes = fs::read(output).unwrap();
        fs::write(output, finish(&bytes).unwrap()).unwrap();
    };
    let in_its_place = |output: &Path| {
        let other = output.with_extension("other");
        fs::copy(output, &other).unwrap();
        fs::rename(other, output).unwrap();
    };
    let bit = |output: &Path| {
        let file = fs::File::options().write(true).open(output).unwrap();
        file.write_all_at(&[0xff], 40).unwrap();
    };
    let short = |output: &Path| {
        let file = fs::File::options().write(true).open(output).unwrap();
        file.set_len(100).unwrap();
    };
    let ways: [Way<'_>; 5] = [
        ("stripped", &stripped),
        ("replaced by a copy", &in_its_place),
        ("a bit changed", &bit),
        ("truncated", &short),
        ("empty", &|output| fs::write(output, b"").unwrap()),
    ];
    for (context, change) in ways {
        for number in [1, 2] {
            let folder = patched(1);
            let folder = folder.path();
            tick();
            change(&folder.join("out.wasm"));
            // Whether the build has changed or not.
            write(folder, number);
            expect(
                folder,
                &[],
                "made anew: the output is not the one that was written before",
                context,
            );
            write(folder, 3);
            expect(folder, &[], "patched 1 function", context);
        }
    }
    // What a build system takes away comes back, or the next version does.
    let folder = patched(1);
    let folder = folder.path();
    tick();
    fs::remove_file(folder.join("out.wasm")).unwrap();
    expect(folder, &[], "nothing has changed", "removed");
    fs::remove_file(folder.join("out.wasm")).unwrap();
    write(folder, 2);
    expect(folder, &[], "patched 1 function", "removed, and edited");
}

#[test]
fn whatever_becomes_of_what_is_kept_the_output_is_the_build() {
    let folder = patched(1);
    let folder = folder.path();
    let mut number = 1;
    let mut damaged = |context: &str, damage: &dyn Fn()| {
        damage();
        number += 1;
        write(folder, number);
        let done = patch(folder, &[]);
        let said = text(&done.stdout) + &text(&done.stderr);
        assert!(done.status.success(), "{context}: {said}");
        assert!(!said.contains("panicked"), "{context}: {said}");
        assert!(is_the_build(folder), "{context}: {said}");
        number += 1;
        write(folder, number);
        expect(folder, &[], "patched 1 function", context);
    };
    for suffix in KEPT {
        let path = kept(folder, suffix);
        damaged(&format!("{suffix} is gone"), &|| {
            let _ = fs::remove_file(&path);
        });
        damaged(&format!("{suffix} is empty"), &|| {
            fs::write(&path, b"").unwrap();
        });
        damaged(&format!("{suffix} is something else"), &|| {
            fs::write(&path, b"something else").unwrap();
        });
        let len = fs::metadata(&path).map_or(0, |found| found.len());
        for part in 0..12 {
            damaged(&format!("a bit of {suffix}, in part {part}"), &|| {
                let Ok(file) = fs::File::options().read(true).write(true).open(&path) else {
                    return;
                };
                let mut byte = [0];
                let at = len * part / 12;
                if file.read_exact_at(&mut byte, at).is_ok() {
                    file.write_all_at(&[byte[0] ^ 1 << (part % 8)], at).unwrap();
                }
            });
        }
    }
    let head = kept(folder, ".state");
    for len in (0..fs::metadata(&head).unwrap().len()).step_by(9) {
        damaged(&format!("{len} bytes of the head"), &|| {
            let file = fs::File::options().write(true).open(&head).unwrap();
            file.set_len(len).unwrap();
        });
    }
}

#[test]
fn the_state_of_a_link_is_none_of_a_patch_and_the_other_way_round() {
    let folder = patched(1);
    let folder = folder.path();
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    for name in ["main.o", "twice.o", "pick.o"] {
        fs::copy(objects.join(name), folder.join(name)).unwrap();
    }
    let mut link = Command::new(wasmend());
    link.args(["-v", "ld", "--state", "main.o", "twice.o", "pick.o"]);
    let link = link.args(["-o", "out.wasm"]).current_dir(folder).output();
    let said = text(&link.unwrap().stderr);
    assert!(said.contains("all is linked: the options"), "{said}");
    expect(folder, &[], "made anew: the options", "after a link");
    write(folder, 2);
    expect(folder, &[], "patched 1 function", "after that");
}

#[test]
fn other_commands_may_write_the_output_in_between() {
    let folder = patched(1);
    let folder = folder.path();
    let out = folder.join("out.wasm");
    write(folder, 2);
    let replayed = run_wasmend(&["replay", "-o", arg(&out), arg(&folder.join("build.wasm"))]);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    assert!(is_the_build(folder));
    expect(
        folder,
        &[],
        "made anew: the output is not the one",
        "unchanged since",
    );
    write(folder, 3);
    expect(folder, &[], "patched 1 function", "after that");
    let replayed = run_wasmend(&["replay", "-o", arg(&out), arg(&folder.join("build.wasm"))]);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    write(folder, 4);
    expect(
        folder,
        &[],
        "made anew: the output is not the one",
        "changed since",
    );
}

#[test]
fn two_at_once_do_not_disturb_one_another() {
    let folder = patched(1);
    let folder = folder.path();
    for number in 2..12 {
        write(folder, number);
        let start = || {
            let mut command = command(folder, &[]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
        let done = both.iter().filter(|done| done.status.success()).count();
        // One of them may find that the other is writing.
        for done in both.iter().filter(|done| !done.status.success()) {
            assert_eq!(done.status.code(), Some(4), "{}", text(&done.stderr));
        }
        assert!(done > 0 && is_the_build(folder), "build {number}: {both:?}");
    }
    write(folder, 20);
    let said = text(&patch(folder, &[]).stdout);
    assert!(is_the_build(folder), "{said}");
    write(folder, 21);
    expect(folder, &[], "patched 1 function", "after all");
}

#[test]
fn a_state_folder_elsewhere_keeps_the_output_that_is_patched() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for number in 1..5 {
        write(folder, number);
        let expected = match number {
            1 => "made anew",
            _ => "patched 1 function",
        };
        expect(
            folder,
            &["--state-dir", "kept"],
            expected,
            "a folder of its own",
        );
        assert!(!folder.join(".wasmend").exists());
        // The copy may go as it likes.
        fs::write(folder.join("out.wasm"), b"").unwrap();
        expect(folder, &["--state-dir", "kept"], "", "the copy comes back");
        fs::remove_file(folder.join("out.wasm")).unwrap();
    }
    expect(
        folder,
        &["--state-dir", "kept"],
        "nothing has changed",
        "for the doctor",
    );
    let (out, kept) = (folder.join("out.wasm"), folder.join("kept"));
    let line = ["doctor", arg(&out), "--state-dir", arg(&kept)];
    let doctor = run_wasmend(&line);
    assert!(doctor.status.success(), "{}", text(&doctor.stdout));
    assert!(text(&doctor.stdout).contains("patched 1 function"));
}

#[test]
fn each_version_is_kept_as_a_patch_from_process_to_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let taken = AtomicUsize::new(0);
    let copy_follows = || {
        let mut patches: Vec<PathBuf> = fs::read_dir(folder.join("sent"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        patches.sort();
        let copy = folder.join("copy.wasm");
        let mut line = vec!["apply"];
        let new = &patches[taken.load(Ordering::SeqCst)..];
        line.extend(new.iter().map(|path| arg(path)));
        line.push(arg(&copy));
        let done = run_wasmend(&line);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert!(fs::read(&copy).unwrap() == fs::read(folder.join("out.wasm")).unwrap());
        taken.store(patches.len(), Ordering::SeqCst);
    };
    for number in 1..5 {
        write(folder, number);
        expect(folder, &["--patches", "sent"], "", "a version");
        copy_follows();
    }
    // A version that was published without, so that copies lack it: the next one is sent whole.
    write(folder, 5);
    expect(folder, &[], "patched 1 function", "without patches");
    write(folder, 6);
    expect(
        folder,
        &["--patches", "sent"],
        "patched 1 function",
        "again with",
    );
    copy_follows();
}
