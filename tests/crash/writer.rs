//! The process that the crash tests kill, and whose system calls they make fail.
//!
//! `crash_writer PATH SCRIPT` runs a script and goes on after a failure of its last operation; it ends with 0
//! if nothing failed and with 10 if there was a clean failure and all was well afterwards.
//! `crash_writer PATH endless atomic|in-place` patches until it is killed.
//! `crash_writer PATH full-disk` expects PATH on a file system of 1 MiB and fills it up.

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;

use versions::{Op, Script, generation, patch, publish_whole, run};
use wasmend::output::{Durability, Output, OutputOptions, Publish};
use wasmend::{ErrorKind, Result};

#[path = "versions.rs"]
mod versions;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let path = Path::new(&arguments[1]);
    match arguments[2].as_str() {
        "endless" => endless(path, &arguments[3]),
        "full-disk" => full_disk(path),
        "open" => {
            mark("begin");
            drop(Output::file(path, OutputOptions::default()).unwrap());
            mark("end");
            ExitCode::SUCCESS
        }
        name => follow(
            path,
            versions::SCRIPTS
                .iter()
                .find(|script| script.name == name)
                .expect("a script's name"),
        ),
    }
}

/// A system call that shows in the log.
fn mark(what: &str) {
    let _ = fs::metadata(format!("/crash-writer-{what}"));
}

fn publish(output: &mut Output, op: Op, contents: &mut Vec<u8>, generation: u64) -> Result<()> {
    match run(op, contents, generation) {
        Some(patch) => output.publish_patch(patch).map(drop),
        None => publish_whole(output, contents),
    }
}

fn follow(path: &Path, script: &Script) -> ExitCode {
    let notice: wasmend::output::NoticeHook = std::sync::Arc::new(|text: &str| eprintln!("{text}"));
    let options = OutputOptions {
        publish: script.publish,
        durability: script.durability,
        notice: Some(notice),
        ..OutputOptions::default()
    };
    let mut output = Output::file(path, options).unwrap();
    let mut contents = Vec::new();
    let mut reader = None;
    let last = script.ops.len() - 1;
    for (generation, op) in script.ops[..last].iter().enumerate() {
        publish(&mut output, *op, &mut contents, generation as u64).unwrap();
        if script.reader && generation + 3 == script.ops.len() {
            reader = Some((File::open(path).unwrap(), contents.clone()));
        }
    }
    let before = contents.clone();
    mark("begin");
    let result = publish(&mut output, script.ops[last], &mut contents, last as u64);
    mark("end");
    if let Some((file, expected)) = reader {
        let mut found = vec![0; expected.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut found, 0).unwrap();
        assert!(found == expected, "a reader's version was written");
    }

    if let Err(error) = &result {
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        let visible = fs::read(path).ok();
        let old = (last > 0).then_some(&before);
        // A folder that cannot be flushed is the one failure that comes after the new version is visible.
        let late = script.durability == Durability::Power && visible.as_ref() == Some(&contents);
        assert!(
            visible.as_ref() == old || late,
            "neither the old version nor the new after: {error}"
        );
        contents = before;
        let again = publish(&mut output, script.ops[last], &mut contents, last as u64);
        match again {
            Err(error) if error.kind() == ErrorKind::OutputChanged => {
                publish_whole(&mut output, &contents).unwrap()
            }
            again => again.unwrap(),
        }
    }
    assert!(
        output.read().unwrap() == contents,
        "the version published is not the one visible"
    );
    for more in 0..2 {
        let patch = patch(&mut contents, (last + 1 + more) as u64, 45_000);
        match output.publish_patch(patch) {
            Err(error) if error.kind() == ErrorKind::OutputChanged && result.is_err() => {
                publish_whole(&mut output, &contents).unwrap();
            }
            other => drop(other.unwrap()),
        }
        assert!(
            fs::read(path).unwrap() == contents,
            "the next version is not the one visible"
        );
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(10)
        }
    }
}

fn endless(path: &Path, how: &str) -> ExitCode {
    let publish = if how == "atomic" {
        Publish::Atomic
    } else {
        Publish::InPlace
    };
    let mut output = Output::file(path, OutputOptions::new(publish)).unwrap();
    let mut contents = output.read().unwrap();
    let mut next = generation(&contents).expect("a whole version to start from");
    loop {
        next += 1;
        let len = if next.is_multiple_of(7) {
            30_000 + next as usize * 997 % 40_000
        } else {
            contents.len()
        };
        if next.is_multiple_of(31) {
            contents = versions::whole(len, next);
            publish_whole(&mut output, &contents).unwrap();
        } else {
            output
                .publish_patch(patch(&mut contents, next, len))
                .unwrap();
        }
    }
}

/// Publishes with less and less space, in both ways, until nothing works any more.
fn full_disk(path: &Path) -> ExitCode {
    let ballast = path.with_extension("ballast");
    let mut failures = 0;
    for publish in [Publish::Atomic, Publish::InPlace] {
        for free_pages in 0..60 {
            let _ = fs::remove_file(&ballast);
            let mut output = Output::file(path, OutputOptions::new(publish)).unwrap();
            let mut contents = versions::whole(100_000, 0);
            publish_whole(&mut output, &contents).unwrap();
            output
                .publish_patch(patch(&mut contents, 1, 100_000))
                .unwrap();
            fill_up(&ballast, free_pages);
            for (generation, len) in [(2, 100_000), (3, 140_000), (4, 150_000)] {
                let before = contents.clone();
                let (result, is_whole) = if generation == 4 {
                    contents = versions::whole(len, generation);
                    (publish_whole(&mut output, &contents), true)
                } else {
                    (
                        output
                            .publish_patch(patch(&mut contents, generation, len))
                            .map(drop),
                        false,
                    )
                };
                if let Err(error) = result {
                    assert_eq!(error.raw_os_error(), Some(28), "{error}");
                    assert!(
                        error.hint().is_some_and(|hint| hint.contains("make room")),
                        "{error}"
                    );
                    assert!(
                        fs::read(path).unwrap() == before,
                        "whole: {is_whole}, pages: {free_pages}"
                    );
                    contents = before;
                    failures += 1;
                }
                assert!(
                    fs::read(path).unwrap() == contents,
                    "whole: {is_whole}, pages: {free_pages}"
                );
            }
            fs::remove_file(&ballast).unwrap();
            let len = contents.len();
            output.publish_patch(patch(&mut contents, 5, len)).unwrap();
            assert!(fs::read(path).unwrap() == contents);
        }
    }
    assert!(failures > 60, "the disk was hardly ever full: {failures}");
    ExitCode::SUCCESS
}

/// Fills the file system up but for some pages.
fn fill_up(ballast: &Path, free_pages: usize) {
    use std::io::Write;
    let mut file = File::create(ballast).unwrap();
    let mut written = 0u64;
    while file.write_all(&[1; 4096]).is_ok() {
        written += 4096;
    }
    file.set_len(written.saturating_sub(free_pages as u64 * 4096))
        .unwrap();
}
