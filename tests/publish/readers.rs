//! Readers hammer the visible file while it is patched: none ever sees a torn version, by reading or by mapping.
//!
//! Run: `Output::publish_patch`, 500 times (10,000 with `crash-tests`), on a file that three threads read all the time.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmend::output::{How, Output, OutputOptions};

use versions::generation;

#[path = "../crash/versions.rs"]
mod versions;

const COMMITS: u64 = if cfg!(feature = "crash-tests") {
    10_000
} else {
    500
};
const LEN: usize = 40_000;
fn by_read(path: &Path, pause: Duration) -> Option<u64> {
    let mut file = File::open(path).unwrap();
    let mut contents = Vec::new();
    let mut chunk = [0; 3000];
    loop {
        let read = file.read(&mut chunk).unwrap();
        contents.extend_from_slice(&chunk[..read]);
        if read == 0 {
            return generation(&contents);
        }
        if contents.len() > LEN / 2 && !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}

fn by_mapping(path: &Path, pause: Duration) -> Option<u64> {
    // SAFETY: that nobody writes or truncates the mapped file is what this test is about.
    let map = unsafe { memmap2::Mmap::map(&File::open(path).unwrap()).unwrap() };
    let first = generation(&map);
    std::thread::sleep(pause);
    let second = generation(&map);
    assert_eq!(first, second, "a version changed under its reader");
    second
}

#[test]
fn no_reader_sees_a_torn_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wasm");
    let mut output = Output::file(&path, OutputOptions::default()).unwrap();
    let mut contents = versions::whole(LEN, 0);
    versions::publish_whole(&mut output, &contents).unwrap();

    let stop = AtomicBool::new(false);
    let mut ways = [0u64; 2];
    std::thread::scope(|scope| {
        let readers: Vec<_> = [
            (by_read as fn(&Path, Duration) -> Option<u64>, 0),
            (by_read, 30),
            (by_mapping, 0),
            (by_mapping, 200),
            (by_mapping, 3000),
        ]
        .map(|(look, pause)| {
            let (stop, path) = (&stop, &path);
            scope.spawn(move || {
                let (mut seen, mut last) = (0u64, 0);
                while !stop.load(Ordering::Relaxed) {
                    let found = look(path, Duration::from_micros(pause)).expect("a torn version");
                    assert!(found >= last, "version {found} after {last}");
                    last = found;
                    seen += 1;
                }
                seen
            })
        })
        .into();
        for generation in 1..=COMMITS {
            if readers.iter().any(|reader| reader.is_finished()) {
                break;
            }
            // Some versions grow or shrink the file.
            let len = if generation % 50 == 0 {
                LEN + (generation as usize * 37) % 9000
            } else {
                contents.len()
            };
            let published = output
                .publish_patch(versions::patch(&mut contents, generation, len))
                .unwrap();
            ways[usize::from(published.how == How::FreshCopy)] += 1;
        }
        stop.store(true, Ordering::Relaxed);
        let seen: Vec<u64> = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect();
        assert!(seen.iter().all(|seen| *seen > 3), "{seen:?}");
        println!(
            "{COMMITS} commits: {} exchanged, {} copied; versions read {seen:?}",
            ways[0], ways[1]
        );
    });
    assert!(
        ways[0] > 0 && ways[1] > 0,
        "both ways must have been taken: {ways:?}"
    );
    assert!(output.read().unwrap() == contents);
}
