//! `wasmend watch`: patches an output each time a build has been saved.
//!
//! Events of the file system only wake the loop up; what to do is decided by looking at the file, in `settle`. So an
//! event too many does nothing, and one that got lost is made up for by the next look.

mod settle;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::Watcher;
use wasmend::{Error, ErrorKind};

use crate::cli::args::Watch;
use crate::cli::patcher::Patcher;
use crate::cli::report::{Event, Reporter, path};
use settle::{Look, Patience, Settle, Stamp, Step};

/// How often the file is looked at when nothing is heard of it: some file systems tell nothing.
const IDLE: Duration = Duration::from_secs(1);

/// What wakes the loop up.
enum Wake {
    /// Something happened in the build's folder.
    Folder,
    /// The process was asked to end.
    Stop,
}

pub(crate) fn run(args: &Watch, reporter: Reporter) -> anyhow::Result<()> {
    crate::cli::claim_output(&args.output, [&args.file], Some(args.force))?;
    let mut patcher = Patcher::new(&args.output, &args.build, reporter);
    let (sender, wakes) = mpsc::channel();
    stop_on_signals(sender.clone())?;
    let _watcher = watch_folder(&args.file, sender, reporter);
    reporter.both(
        &Event::Watching {
            build: path(&args.file),
            output: path(&args.output),
        },
        || format!("watching {}, Ctrl-C ends", args.file.display()),
    )?;

    let start = Instant::now();
    let patience = Patience {
        settle: args.settle,
        complain: args.patience,
    };
    let mut settle = Settle::new(patience, Duration::ZERO);
    loop {
        let wait = match settle.look(start.elapsed(), look(&args.file)) {
            Step::Idle => IDLE,
            Step::Again(wait) => wait.min(IDLE),
            Step::Read(stamp) => {
                attempt(&args.file, stamp, &mut settle, &mut patcher, reporter)?;
                continue;
            }
            Step::Complain(reason) => {
                let error = Error::bad_input(reason)
                    .with_path(&args.file)
                    .with_hint("watching goes on");
                reporter.error(&error)?;
                reporter.event(&Event::Waiting {
                    build: path(&args.file),
                    reason: error.message().to_owned(),
                })?;
                continue;
            }
        };
        match wakes.recv_timeout(wait) {
            Ok(Wake::Stop) => break,
            Ok(Wake::Folder) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
        // A compiler's save is many events: one look answers all that have come in.
        while let Ok(wake) = wakes.try_recv() {
            if matches!(wake, Wake::Stop) {
                return stopped(&patcher, reporter);
            }
        }
    }
    stopped(&patcher, reporter)
}

fn stopped(patcher: &Patcher, reporter: Reporter) -> anyhow::Result<()> {
    let versions = patcher.versions();
    reporter.both(&Event::Stopped { versions }, || {
        format!(
            "stopped after {}",
            crate::cli::text::count(versions, "version")
        )
    })
}

/// Reads the build and patches the output, if it is whole and stands still.
fn attempt(
    file: &Path,
    stamp: Stamp,
    settle: &mut Settle,
    patcher: &mut Patcher,
    reporter: Reporter,
) -> anyhow::Result<()> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            settle.torn(format!("cannot be read: {error}"));
            return Ok(());
        }
    };
    // The next look will notice a change, and this version is not the one that was found.
    if look(file) != Look::Present(stamp) || bytes.len() as u64 != stamp.len {
        return Ok(());
    }
    match patcher.update(file, &bytes) {
        Ok(()) => settle.done(),
        Err(error) => match error.downcast_ref::<Error>() {
            // Half a module, or one that is not valid: both may be mended by the next save.
            Some(error) if matches!(error.kind(), ErrorKind::BadInput | ErrorKind::Limit) => {
                let place = error
                    .offset()
                    .map(|offset| format!(" (at offset {offset:#x})"))
                    .unwrap_or_default();
                reporter.note(&format!("{}: {}{place}", file.display(), error.message()));
                settle.torn(format!("{}{place}", error.message()));
            }
            // Trouble with the output, not with the build: said now, tried again with the next build.
            Some(error) if error.kind() == ErrorKind::Io => {
                reporter.error(error)?;
                settle.done();
            }
            _ => return Err(error),
        },
    }
    Ok(())
}

/// Looks at the file, following links.
fn look(file: &Path) -> Look {
    match std::fs::metadata(file) {
        Ok(found) if !found.is_file() => Look::Refused("is not a regular file".to_owned()),
        Ok(found) => Look::Present(Stamp {
            device: found.dev(),
            inode: found.ino(),
            len: found.len(),
            modified: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed: nanoseconds(found.ctime(), found.ctime_nsec()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Look::Missing,
        Err(error) => Look::Refused(error.to_string()),
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

/// Wakes the loop up whenever something happens in the build's folder: a file that is replaced is another file, so
/// watching the file itself would end with the first rename. Without this the loop still looks every now and then.
fn watch_folder(
    file: &Path,
    sender: Sender<Wake>,
    reporter: Reporter,
) -> Option<notify::RecommendedWatcher> {
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let name = file.file_name().map(|name| name.to_owned());
    let wake = move |event: notify::Result<notify::Event>| {
        let concerned = match &event {
            // Reading the build ourselves is an event too, and none of interest.
            Ok(event) if event.need_rescan() || event.paths.is_empty() => true,
            Ok(event) => {
                !is_reading(event)
                    && event
                        .paths
                        .iter()
                        .any(|path| path.file_name() == name.as_deref())
            }
            Err(_) => true,
        };
        if concerned {
            // The loop may have ended already.
            let _ = sender.send(Wake::Folder);
        }
    };
    let watcher = notify::recommended_watcher(wake).and_then(|mut watcher| {
        watcher.watch(&folder, notify::RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            reporter.note(&format!(
                "{}: {error}; looking once a second instead",
                folder.display()
            ));
            None
        }
    }
}

/// Whether a file was opened, read or closed without having been written.
pub(crate) fn is_reading(event: &notify::Event) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// Turns SIGINT, SIGTERM and SIGHUP into a request to end.
fn stop_on_signals(sender: Sender<Wake>) -> anyhow::Result<()> {
    let mut signals = crate::cli::signals::take_over()?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(Wake::Stop).is_err() {
                break;
            }
        }
    });
    Ok(())
}
