//! `--run`: a command that makes the build, run whenever a source changes. It knows what a command says, and nothing of what it
//! makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use wasmend::{Error, ErrorKind};

use crate::cli::report::Reporter;
use crate::cli::serve::site::Site;

/// Editors write a file in several steps: so long nothing may happen before the command is run.
const QUIET: Duration = Duration::from_millis(30);
/// More of what a command says than this is not shown on a page.
const MOST_TEXT: usize = 16 << 10;

/// A command that is run again and again, until this is dropped.
pub(super) struct Running {
    _watcher: notify::RecommendedWatcher,
}

impl Running {
    /// Runs the command now, and whenever something in the folders of sources changes but the output.
    pub(super) fn start(
        command: &str,
        sources: Vec<PathBuf>,
        output: &Path,
        site: Arc<Site>,
        reporter: Reporter,
    ) -> anyhow::Result<Running> {
        let (sender, changes) = channel();
        let output = std::path::absolute(output)?;
        let folders = sources.iter().map(|folder| {
            let found = folder.canonicalize();
            found.map_err(|error| Error::io("cannot be watched", folder, &error))
        });
        let folders: Vec<PathBuf> = folders.collect::<Result<_, _>>()?;
        let known = folders.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let Ok(event) = event else { return };
                let is_change = matches!(
                    event.kind,
                    EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)
                );
                let is_ours = |path: &PathBuf| {
                    let mut within = known
                        .iter()
                        .filter_map(|folder| path.strip_prefix(folder).ok());
                    *path != output && within.any(is_source)
                };
                for path in event
                    .paths
                    .into_iter()
                    .filter(is_ours)
                    .filter(|_| is_change)
                {
                    // Nobody listens any more when the process ends.
                    let _ = sender.send(path);
                }
            })?;
        for folder in &folders {
            watcher.watch(folder, RecursiveMode::Recursive)?;
        }
        let command = command.to_owned();
        std::thread::Builder::new()
            .name("run".to_owned())
            .spawn(move || run_for_each(&command, &changes, &site, reporter))?;
        Ok(Running { _watcher: watcher })
    }
}

/// Whether a file in a folder of sources can be one: not what tools keep for themselves, nor what compilers make.
fn is_source(path: &Path) -> bool {
    let made = ["o", "a", "wasm", "rlib", "rmeta", "d", "swp", "tmp"];
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_made = ending.is_some_and(|ending| made.contains(&ending));
    let hidden = path.iter().filter_map(|part| part.to_str());
    let mut hidden = hidden.filter(|part| {
        part.starts_with('.') && part.len() > 2
            || matches!(*part, "target" | "node_modules" | "zig-out")
    });
    let is_backup = path.to_string_lossy().ends_with('~');
    !is_made && !is_backup && hidden.next().is_none()
}

fn run_for_each(command: &str, changes: &Receiver<PathBuf>, site: &Site, reporter: Reporter) {
    loop {
        site.building(true);
        match run(command, reporter) {
            Ok(()) => site.building(false),
            Err(error) => {
                // What cannot be said here can still be seen on the page.
                let _ = reporter.error(&error);
                site.fail(error.message().to_owned());
            }
        }
        if changes.recv().is_err() {
            return;
        }
        loop {
            match changes.recv_timeout(QUIET) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Runs a command once. What it says goes to the terminal, and, if it fails, into the error.
fn run(command: &str, reporter: Reporter) -> wasmend::Result<()> {
    let failed = |text: String| Error::new(ErrorKind::BadInput, text).with_path(command);
    let done = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let said: String = [&done.stderr, &done.stdout]
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    if done.status.success() {
        said.lines().for_each(|line| reporter.note(line));
        return Ok(());
    }
    let said = said.trim();
    let mut end = said.len().min(MOST_TEXT);
    while !said.is_char_boundary(end) {
        end -= 1;
    }
    Err(failed(match said {
        "" => format!("ended with {}", done.status),
        _ => said[..end].to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_make_is_no_source() {
        for source in ["main.c", "src/lib.rs", "Makefile", "index.html"] {
            assert!(is_source(Path::new(source)), "{source}");
        }
        for other in [
            "main.o",
            "target/debug/x.rs",
            ".git/index",
            "main.c~",
            ".main.c.swp",
            "app.wasm",
        ] {
            assert!(!is_source(Path::new(other)), "{other}");
        }
    }
}
