//! What publishing promises, apart from kills and failing system calls: see `tests/crash` for those.
//!
//! Run: `Output::publish_whole`, `Output::publish_patch`, on a file in a folder of its own while somebody reads it, holds it,
//! replaces it, or takes its folder away.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use wasmend::output::{How, Output, OutputOptions, Publish, Published};
use wasmend::{Error, ErrorKind, RangeList, Reason};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("out.wasm")
    }

    fn open(&self, publish: Publish) -> Output {
        Output::file(self.path(), OutputOptions::new(publish)).unwrap()
    }

    /// What stands in the state folder, but for the lock and what keeps the folder out of version control.
    fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path().join(".wasmend")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name != "out.wasm.lock" && name != ".gitignore")
            .collect()
    }
}

fn write_whole(output: &mut Output, contents: &[u8]) {
    output
        .publish_whole(contents.len() as u64, |bytes| fill(bytes, contents))
        .unwrap();
}

fn fill(bytes: &mut [u8], contents: &[u8]) -> wasmend::Result<()> {
    assert!(bytes.iter().all(|byte| *byte == 0));
    bytes.copy_from_slice(contents);
    Ok(())
}

fn patch_of(old_len: usize, new_len: usize, ranges: &[(usize, &[u8])]) -> RangeList {
    let mut patch = RangeList::new(old_len as u64);
    for (offset, bytes) in ranges {
        patch.push(*offset as u64, bytes, Reason::Data);
    }
    patch.finish(new_len as u64);
    patch
}

/// Publishes one byte at `offset` and checks that it is visible.
fn poke(output: &mut Output, offset: usize, byte: u8) -> Published {
    let mut expected = output.read().unwrap();
    let patch = patch_of(expected.len(), expected.len(), &[(offset, &[byte])]);
    let published = output.publish_patch(patch).unwrap();
    expected[offset] = byte;
    assert_eq!(output.read().unwrap(), expected);
    published
}

fn changed(output: &mut Output, len: usize) -> Error {
    let error = output
        .publish_patch(patch_of(len, len, &[(0, b"!")]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputChanged, "{error}");
    error
}

/// A patch as lengths and seeds, made to fit whatever length the file has by then.
#[derive(Debug, Clone)]
struct Step {
    new_len: usize,
    ranges: Vec<(usize, usize)>,
    /// Whether a reader keeps what is visible before this step open until the end.
    reader: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let lengths = prop_oneof![4 => 1usize..60, 2 => 1usize..3000, 1 => 10_000usize..40_000];
    let ranges = prop::collection::vec((0usize..60_000, lengths), 0..6);
    let new_len = prop_oneof![3 => Just(usize::MAX), 1 => 0usize..60_000];
    (new_len, ranges, prop::bool::weighted(0.1)).prop_map(|(new_len, ranges, reader)| Step {
        new_len,
        ranges,
        reader,
    })
}

fn patch_from(step: &Step, old_len: usize, seed: usize) -> RangeList {
    let new_len = if step.new_len == usize::MAX {
        old_len
    } else {
        step.new_len
    };
    let mut wanted = step.ranges.clone();
    wanted.sort_unstable();
    let mut patch = RangeList::new(old_len as u64);
    let mut end = 0;
    for (at, (offset, len)) in wanted.into_iter().enumerate() {
        let start = offset.max(end);
        let stop = (start + len).min(new_len);
        if start < stop {
            let bytes: Vec<u8> = (start..stop)
                .map(|place| (place * 7 + seed * 31 + at) as u8)
                .collect();
            patch.push(start as u64, &bytes, Reason::Data);
            end = stop;
        }
    }
    patch.finish(new_len as u64);
    patch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A file that is patched holds what a buffer that is patched holds, and readers keep what they opened.
    #[test]
    fn files_are_patched_like_buffers(
        len in 0usize..50_000,
        steps in prop::collection::vec(step(), 1..10),
        in_place in any::<bool>(),
    ) {
        let publish = if in_place { Publish::InPlace } else { Publish::Atomic };
        let folder = Folder::new();
        let mut output = folder.open(publish);
        let mut memory = Output::memory();
        let contents: Vec<u8> = (0..len).map(|place| (place % 251) as u8).collect();
        write_whole(&mut output, &contents);
        write_whole(&mut memory, &contents);
        let mut readers = Vec::new();
        for (seed, step) in steps.iter().enumerate() {
            if step.reader && !in_place {
                readers.push((fs::File::open(folder.path()).unwrap(), memory.read().unwrap()));
            }
            let patch = Arc::new(patch_from(step, memory.read().unwrap().len(), seed));
            let published = output.publish_patch(patch.clone()).unwrap();
            prop_assert_eq!(published.bytes_written, patch.bytes());
            memory.publish_patch(patch).unwrap();
            prop_assert!(output.read().unwrap() == memory.read().unwrap(), "after step {}", seed);
            prop_assert!(fs::read(folder.path()).unwrap() == memory.read().unwrap());
        }
        for (file, expected) in readers {
            let mut found = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut found, 0).unwrap();
            prop_assert!(found == expected, "a reader's version was written");
        }
        drop(output);
        prop_assert_eq!(folder.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn a_shadow_can_be_made_ahead() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::Atomic);
    write_whole(&mut output, &[1; 5000]);
    output.prepare();
    let first = poke(&mut output, 10, 2);
    assert_eq!((first.how, first.bytes_caught_up), (How::Exchanged, 0));
    // There is one already, which lacks the last patch.
    output.prepare();
    let second = poke(&mut output, 20, 3);
    assert_eq!((second.how, second.bytes_caught_up), (How::Exchanged, 1));
    // Somebody else's file is not copied.
    fs::write(folder.path(), [9; 5000]).unwrap();
    output.prepare();
    let patch = patch_of(5000, 5000, &[(0, b"x")]);
    let refused = output.publish_patch(patch).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::OutputChanged);
}

#[test]
fn the_shadow_is_made_by_the_first_patch_and_exchanged_by_the_next() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::Atomic);
    write_whole(&mut output, &[1; 5000]);
    assert_eq!(folder.leftovers(), Vec::<String>::new());
    let first = poke(&mut output, 10, 2);
    assert_eq!((first.how, first.bytes_caught_up), (How::FreshCopy, 5000));
    assert_eq!(folder.leftovers(), ["out.wasm.shadow"]);
    let second = poke(&mut output, 4000, 3);
    assert_eq!((second.how, second.bytes_caught_up), (How::Exchanged, 1));
    // The same place again: what the shadow lacks is overwritten anyway.
    let third = poke(&mut output, 4000, 4);
    assert_eq!((third.how, third.bytes_caught_up), (How::Exchanged, 0));
    write_whole(&mut output, &[5; 300]);
    assert_eq!(folder.leftovers(), Vec::<String>::new());
    assert_eq!(poke(&mut output, 10, 6).how, How::FreshCopy);
}

/// A lease that a reader of the visible file holds up costs one copy, and never a write under that reader.
#[test]
fn a_reader_keeps_its_version_and_costs_one_copy() {
    type Hold = fn(&Path) -> Box<dyn Fn() -> Vec<u8>>;
    let by_descriptor: Hold = |path| {
        let file = fs::File::open(path).unwrap();
        Box::new(move || {
            let mut found = vec![0; 5000];
            file.read_exact_at(&mut found, 0).unwrap();
            found
        })
    };
    let by_mapping: Hold = |path| {
        // SAFETY: that nobody writes the mapped file is what this test is about.
        let map = unsafe { memmap2::Mmap::map(&fs::File::open(path).unwrap()).unwrap() };
        Box::new(move || map.to_vec())
    };
    for hold in [by_descriptor, by_mapping] {
        let folder = Folder::new();
        let mut output = folder.open(Publish::Atomic);
        write_whole(&mut output, &[1; 5000]);
        poke(&mut output, 1, 2);
        assert_eq!(poke(&mut output, 2, 3).how, How::Exchanged);
        let reader = hold(&folder.path());
        let kept = output.read().unwrap();
        assert_eq!(poke(&mut output, 3, 4).how, How::Exchanged);
        assert_eq!(poke(&mut output, 4, 5).how, How::FreshCopy);
        assert_eq!(poke(&mut output, 5, 6).how, How::Exchanged);
        assert_eq!(poke(&mut output, 6, 7).how, How::Exchanged);
        assert_eq!(reader(), kept);
    }
}

#[test]
fn in_place_keeps_the_file() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::InPlace);
    write_whole(&mut output, &[1; 5000]);
    let held = fs::File::open(folder.path()).unwrap();
    let patch = patch_of(5000, 6000, &[(4990, &[2; 100])]);
    assert_eq!(output.publish_patch(patch).unwrap().how, How::InPlace);
    let mut found = [0; 20];
    held.read_exact_at(&mut found, 4985).unwrap();
    assert_eq!(
        found,
        [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    );
    assert_eq!(
        held.metadata().unwrap().ino(),
        fs::metadata(folder.path()).unwrap().ino()
    );
    assert_eq!(held.metadata().unwrap().len(), 6000);
}

#[test]
fn a_file_of_somebody_else_is_never_patched() {
    let meddle: [fn(&Path); 5] = [
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::write(path, [1; 5000]).unwrap();
        },
        |path| {
            fs::write(path.with_extension("other"), [9; 5000]).unwrap();
            fs::rename(path.with_extension("other"), path).unwrap();
        },
        |path| {
            // The clock of file times ticks every few milliseconds.
            std::thread::sleep(std::time::Duration::from_millis(20));
            fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .write_all_at(b"mine", 7)
                .unwrap();
        },
        |path| {
            fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(17)
                .unwrap()
        },
    ];
    for publish in [Publish::Atomic, Publish::InPlace] {
        for meddle in meddle {
            let folder = Folder::new();
            let mut output = folder.open(publish);
            write_whole(&mut output, &[1; 5000]);
            poke(&mut output, 1, 2);
            poke(&mut output, 2, 3);
            meddle(&folder.path());
            let before = fs::read(folder.path()).ok();
            changed(&mut output, 5000);
            changed(&mut output, 5000);
            assert_eq!(fs::read(folder.path()).ok(), before);
            write_whole(&mut output, &[4; 4000]);
            poke(&mut output, 1, 5);
            poke(&mut output, 2, 6);
        }
    }
}

/// A shadow that somebody else wrote is not published.
#[test]
fn a_meddled_shadow_is_made_anew() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::Atomic);
    write_whole(&mut output, &[1; 5000]);
    poke(&mut output, 1, 2);
    let shadow = folder.0.path().join(".wasmend/out.wasm.shadow");
    fs::remove_file(&shadow).unwrap();
    fs::write(&shadow, [9; 5000]).unwrap();
    assert_eq!(poke(&mut output, 2, 3).how, How::FreshCopy);
    fs::remove_file(&shadow).unwrap();
    assert_eq!(poke(&mut output, 2, 4).how, How::FreshCopy);
    fs::hard_link(&shadow, folder.0.path().join("second name")).unwrap();
    assert_eq!(poke(&mut output, 2, 5).how, How::FreshCopy);
}

#[test]
fn the_second_writer_is_told_who_the_first_is() {
    let folder = Folder::new();
    let first = folder.open(Publish::Atomic);
    let error = Output::file(folder.path(), OutputOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    // Another output of the same folder is free.
    Output::file(folder.0.path().join("other.wasm"), OutputOptions::default()).unwrap();
    drop(first);
    folder.open(Publish::Atomic);
}

#[test]
fn permissions_are_kept() {
    let folder = Folder::new();
    let permissions = || fs::metadata(folder.path()).unwrap().permissions().mode() & 0o7777;
    let mut output = folder.open(Publish::Atomic);
    write_whole(&mut output, &[1; 50]);
    fs::write(folder.0.path().join("plain"), []).unwrap();
    let usual = fs::metadata(folder.0.path().join("plain"))
        .unwrap()
        .permissions()
        .mode()
        & 0o7777;
    assert_eq!(permissions(), usual);
    for mode in [0o755, 0o600] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        for byte in 0..3 {
            poke(&mut output, 1, byte);
            assert_eq!(permissions(), mode);
        }
        write_whole(&mut output, &[1; 70]);
        assert_eq!(permissions(), mode);
    }
}

#[test]
fn a_link_is_followed_and_not_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.0.path().join("elsewhere")).unwrap();
    let target = folder.0.path().join("elsewhere/real.wasm");
    fs::write(&target, [1; 100]).unwrap();
    symlink("elsewhere/real.wasm", folder.path()).unwrap();
    let mut output = folder.open(Publish::Atomic);
    poke(&mut output, 1, 2);
    write_whole(&mut output, &[3; 100]);
    poke(&mut output, 1, 4);
    assert!(fs::symlink_metadata(folder.path()).unwrap().is_symlink());
    assert_eq!(fs::read(&target).unwrap(), output.read().unwrap());
    assert_eq!(output.path(), Some(folder.path().as_path()));
    let error = Output::file(&target, OutputOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
}

/// Cargo gives its final artefact a second name; that name keeps its version.
#[test]
fn another_name_of_the_file_keeps_its_version() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::Atomic);
    write_whole(&mut output, &[1; 100]);
    let second = folder.0.path().join("second.wasm");
    fs::hard_link(folder.path(), &second).unwrap();
    for byte in 2..6 {
        poke(&mut output, 1, byte);
        assert_eq!(fs::read(&second).unwrap(), [1; 100]);
    }
}

#[test]
fn a_failed_or_panicking_fill_changes_nothing() {
    for publish in [Publish::Atomic, Publish::InPlace] {
        let folder = Folder::new();
        let mut output = folder.open(publish);
        let fail = |bytes: &mut [u8]| {
            bytes.fill(9);
            Err::<(), _>(Error::bad_input("no"))
        };
        assert_eq!(
            output.publish_whole(10_000, fail).unwrap_err().message(),
            "no"
        );
        assert!(!folder.path().exists());
        write_whole(&mut output, &[1; 100]);
        poke(&mut output, 0, 2);
        let before = output.read().unwrap();
        let leftovers = folder.leftovers();
        assert_eq!(
            output.publish_whole(10_000, fail).unwrap_err().message(),
            "no"
        );
        let panics = |_: &mut [u8]| -> wasmend::Result<()> { panic!("in fill") };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            output.publish_whole(10, panics)
        }));
        assert!(caught.is_err());
        assert_eq!(
            (output.read().unwrap(), folder.leftovers()),
            (before, leftovers)
        );
        poke(&mut output, 0, 3);
    }
}

#[test]
fn fill_may_use_threads() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::Atomic);
    let fill = |bytes: &mut [u8]| {
        let (left, right) = bytes.split_at_mut(3_000_000);
        rayon::join(|| left.fill(1), || right.fill(2));
        Ok("passed on")
    };
    assert_eq!(output.publish_whole(6_000_000, fill).unwrap(), "passed on");
    assert_eq!(
        output.read().unwrap(),
        [[1; 3_000_000], [2; 3_000_000]].concat()
    );
}

#[test]
fn what_a_killed_writer_left_is_removed() {
    let folder = Folder::new();
    drop(folder.open(Publish::Atomic));
    for name in ["out.wasm.shadow", "out.wasm.new", "out.wasm.journal"] {
        fs::write(folder.0.path().join(".wasmend").join(name), b"half a file").unwrap();
    }
    fs::write(folder.path(), [1; 100]).unwrap();
    let mut output = folder.open(Publish::Atomic);
    assert_eq!(folder.leftovers(), Vec::<String>::new());
    assert_eq!(output.read().unwrap(), [1; 100]);
    poke(&mut output, 1, 2);
}

#[test]
fn removed_folders_come_back() {
    for publish in [Publish::Atomic, Publish::InPlace] {
        let folder = Folder::new();
        let base = folder.0.path().join("target");
        fs::create_dir(&base).unwrap();
        let path = base.join("out.wasm");
        let mut output = Output::file(&path, OutputOptions::new(publish)).unwrap();
        write_whole(&mut output, &[1; 100]);
        poke(&mut output, 1, 2);
        poke(&mut output, 1, 3);

        fs::remove_dir_all(base.join(".wasmend")).unwrap();
        poke(&mut output, 1, 4);
        poke(&mut output, 1, 5);
        assert!(base.join(".wasmend/out.wasm.lock").exists());
        assert_eq!(
            Output::file(&path, OutputOptions::default())
                .unwrap_err()
                .kind(),
            ErrorKind::Locked
        );

        fs::rename(&base, folder.0.path().join("moved")).unwrap();
        changed(&mut output, 100);
        let error = output.publish_whole(10, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        fs::create_dir(&base).unwrap();
        changed(&mut output, 100);
        write_whole(&mut output, &[6; 100]);
        poke(&mut output, 1, 7);
        poke(&mut output, 1, 8);
        assert_eq!(fs::read(&path).unwrap(), output.read().unwrap());
        assert_eq!(output.path(), Some(path.as_path()));
    }
}

/// Opening the shadow breaks the lease; the signal for that must not end the process, nor the commit fail.
#[test]
fn a_file_indexer_that_opens_everything_does_no_harm() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::Atomic);
    write_whole(&mut output, &[1; 200_000]);
    let stop = Arc::new(AtomicBool::new(false));
    let indexer = std::thread::spawn({
        let (stop, shadow) = (
            stop.clone(),
            folder.0.path().join(".wasmend/out.wasm.shadow"),
        );
        move || {
            let mut seen = 0u32;
            while !stop.load(Ordering::Relaxed) {
                seen += u32::from(fs::read(&shadow).is_ok());
            }
            seen
        }
    });
    for round in 0..300usize {
        poke(&mut output, round * 600, 7);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(indexer.join().unwrap() > 0);
}

#[test]
fn an_empty_patch_publishes_nothing() {
    let folder = Folder::new();
    let mut output = folder.open(Publish::Atomic);
    write_whole(&mut output, &[1; 100]);
    let before = fs::metadata(folder.path()).unwrap().ino();
    assert_eq!(
        output.publish_patch(patch_of(100, 100, &[])).unwrap().how,
        How::Unchanged
    );
    assert_eq!(fs::metadata(folder.path()).unwrap().ino(), before);
    fs::remove_file(folder.path()).unwrap();
    let error = output.publish_patch(patch_of(100, 100, &[])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputChanged);
}

#[test]
fn paths_that_cannot_be_an_output_are_refused() {
    let folder = Folder::new();
    let refused = |path: &Path| {
        let error = Output::file(path, OutputOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        error.to_string()
    };
    assert!(refused(folder.0.path()).contains("not a regular file"));
    assert!(refused(&folder.0.path().join("missing/out.wasm")).contains("it has to exist"));
    assert!(refused(Path::new("/")).contains("no file name"));
    refused(Path::new("a\0b"));
    refused(Path::new(""));
}

#[test]
fn notices_are_given_through_the_hook() {
    let folder = Folder::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let notice: wasmend::output::NoticeHook =
        Arc::new(move |text: &str| hook.lock().unwrap().push(text.to_string()));
    let options = OutputOptions {
        notice: Some(notice),
        ..OutputOptions::default()
    };
    let mut output = Output::file(folder.path(), options).unwrap();
    write_whole(&mut output, &[1; 100]);
    for byte in 0..5 {
        poke(&mut output, 1, byte);
    }
    assert_eq!(*told.lock().unwrap(), Vec::<String>::new());
}
