//! `wasmend watch` with a linker's arguments, and `wasmend replay-ld`: a linked program that follows its objects.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::Watcher;
use wasmend::inspect;
use wasmend::link::command::options::InputArgument;
use wasmend::link::{Failed, LinkOptions, LinkReport, Linked, Target};
use wasmend::object::Access;
use wasmend::{Error, Redirect};

use crate::cli::args::ReplayLd;
use crate::cli::ld;
use crate::cli::report::{Counts, Event, Reporter, path};

/// How often files are looked at when nothing is heard of them: some file systems tell nothing.
const IDLE: Duration = Duration::from_secs(1);
/// How long files must have been left alone before they are read.
const SETTLE: Duration = Duration::from_millis(25);
/// How long a link that fails is given for more files to be written before it is said.
const GRACE: Duration = Duration::from_millis(300);

/// What wakes the loop up.
enum Wake {
    /// Something was done to this file.
    File(PathBuf),
    /// Events were lost.
    Lost,
    /// The process was asked to end.
    Stop,
}

/// The linker's arguments, if the process was called to watch a link: if one of them names an object, an archive, a
/// library or a response file. Otherwise what is watched is a whole module.
pub(crate) fn called_to_watch(arguments: &[String]) -> Option<&[String]> {
    let [_, command, rest @ ..] = arguments else {
        return None;
    };
    let is_linked = |argument: &String| {
        let ends = [".o", ".obj", ".a", ".rlib"];
        let is_file = !argument.starts_with('-') && ends.iter().any(|end| argument.ends_with(end));
        is_file || argument.starts_with("-l") || argument.starts_with('@')
    };
    (command == "watch" && rest.iter().any(is_linked)).then_some(rest)
}

/// Watches a link.
pub(crate) fn watch(arguments: &[String]) -> ExitCode {
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let arguments: Vec<String> = arguments
        .iter()
        .filter(|argument| *argument != "--json")
        .cloned()
        .collect();
    let options = match LinkOptions::parse(&arguments) {
        Ok(options) => options,
        Err(error) => return super::failed(&error.into(), Reporter::new(is_json, false)),
    };
    ld::choose_color(options.color);
    let reporter = Reporter::new(is_json, options.verbose);
    match watch_link(options, reporter) {
        Ok(code) => code,
        Err(error) => super::failed(&error, reporter),
    }
}

/// A linked program and what is said of it.
struct Follower {
    linked: Linked,
    output: PathBuf,
    reporter: Reporter,
    versions: u64,
}

impl Follower {
    /// The first link; the code that the process ends with if it fails.
    fn start(
        mut options: LinkOptions,
        reporter: Reporter,
    ) -> anyhow::Result<Result<Follower, ExitCode>> {
        for warning in &options.warnings {
            reporter.warning(warning)?;
        }
        // Calls through a table are what lets a function be replaced by changing one entry.
        options.redirect.get_or_insert(Redirect::TableThunks);
        options.incremental = Some(true);
        let output = options.output.clone();
        let limit = options.error_limit;
        let target = Target::File(ld::output_options(reporter));
        let start = Instant::now();
        let (linked, report) = match Linked::link(options, Access::Read, target) {
            Ok(linked) => linked,
            Err(failed) => return Ok(Err(ld::complain(&failed, limit, reporter)?)),
        };
        let mut follower = Follower {
            linked,
            output,
            reporter,
            versions: 0,
        };
        follower.say(None, &report, start.elapsed())?;
        // Not while somebody waits for an edit.
        follower.linked.prepare();
        Ok(Ok(follower))
    }

    fn update(&mut self, files: &[PathBuf]) -> anyhow::Result<Result<(), Failed>> {
        let start = Instant::now();
        match self.linked.update(files) {
            Ok(report) => {
                self.say(Some(files), &report, start.elapsed())?;
                self.linked.prepare();
                Ok(Ok(()))
            }
            Err(failed) => Ok(Err(failed)),
        }
    }

    fn say(
        &mut self,
        files: Option<&[PathBuf]>,
        report: &LinkReport,
        took: Duration,
    ) -> anyhow::Result<()> {
        self.versions += 1;
        for warning in &report.warnings {
            self.reporter.problem(warning, false)?;
        }
        let counts = Counts {
            changed: report.edits.changed.into(),
            added: report.edits.added.into(),
            removed: report.edits.removed.into(),
        };
        let name = match files {
            None => self.output.clone(),
            Some([one]) => one.clone(),
            Some(many) => PathBuf::from(format!("{} files", many.len())),
        };
        self.reporter
            .update(&self.output, &name, counts, &report.patch, took)?;
        if let Some(reason) = report.resolved_anew {
            self.reporter
                .note(&format!("all symbols were resolved anew: {reason}"));
        }
        ld::said(report, self.reporter);
        Ok(())
    }
}

fn watch_link(options: LinkOptions, reporter: Reporter) -> anyhow::Result<ExitCode> {
    let limit = options.error_limit;
    let mut follower = match Follower::start(options, reporter)? {
        Ok(follower) => follower,
        Err(code) => return Ok(code),
    };
    let (sender, wakes) = mpsc::channel();
    stop_on_signals(sender.clone())?;
    let _watcher = watch_folders(&follower.linked, sender, reporter);
    reporter.both(
        &Event::Watching {
            build: path(&follower.output),
            output: path(&follower.output),
        },
        || {
            let files = follower.linked.files().count();
            format!("watching {files} files, Ctrl-C ends")
        },
    )?;
    // What may have changed since it was last linked; when that was noticed; whether it has been tried and said.
    let mut changed: BTreeSet<PathBuf> = BTreeSet::new();
    let (mut since, mut tried, mut said) = (Instant::now(), false, false);
    loop {
        let wait = match (changed.is_empty(), tried, said) {
            (true, ..) | (_, true, true) => IDLE,
            (_, false, _) => SETTLE.saturating_sub(since.elapsed()),
            (_, true, false) => GRACE.saturating_sub(since.elapsed()),
        };
        let wake = match wait {
            Duration::ZERO => Err(RecvTimeoutError::Timeout),
            wait => wakes.recv_timeout(wait),
        };
        match wake {
            Ok(Wake::Stop) => break,
            Ok(Wake::File(file)) => {
                (since, tried, said) = (Instant::now(), false, false);
                changed.insert(file);
                continue;
            }
            Ok(Wake::Lost) => {
                changed.extend(follower.linked.changed_files());
                (since, tried, said) = (Instant::now(), false, false);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if changed.is_empty() {
            let found = follower.linked.changed_files();
            if !found.is_empty() {
                changed.extend(found);
                (since, tried, said) = (Instant::now(), false, false);
            }
            continue;
        }
        if tried && said {
            continue;
        }
        let files: Vec<PathBuf> = changed.iter().cloned().collect();
        match follower.update(&files)? {
            Ok(()) => changed.clear(),
            Err(failed) if tried => {
                ld::complain(&failed, limit, reporter)?;
                said = true;
            }
            Err(_) => tried = true,
        }
    }
    let versions = follower.versions;
    reporter.both(&Event::Stopped { versions }, || {
        let versions = crate::cli::text::count(versions, "version");
        format!("stopped after {versions}")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Wakes the loop up whenever something is written in a folder of an input.
fn watch_folders(
    linked: &Linked,
    sender: Sender<Wake>,
    reporter: Reporter,
) -> Option<notify::RecommendedWatcher> {
    let files: std::collections::HashMap<PathBuf, PathBuf> = linked
        .files()
        .filter_map(|file| Some((std::path::absolute(file).ok()?, file.to_path_buf())))
        .collect();
    let folders: BTreeSet<PathBuf> = files
        .keys()
        .filter_map(|file| file.parent().map(Path::to_path_buf))
        .collect();
    let wake = move |event: notify::Result<notify::Event>| {
        // The loop may have ended already: then nobody listens.
        match event {
            Ok(event) if event.need_rescan() => {
                let _ = sender.send(Wake::Lost);
            }
            Ok(event) if !super::watch::is_reading(&event) => {
                for path in event.paths {
                    if let Some(file) = files.get(&path) {
                        let _ = sender.send(Wake::File(file.clone()));
                    }
                }
            }
            Ok(_) => {}
            Err(_) => {
                let _ = sender.send(Wake::Lost);
            }
        }
    };
    let watcher = notify::recommended_watcher(wake).and_then(|mut watcher| {
        for folder in &folders {
            watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            reporter.note(&format!("{error}; looking once a second instead"));
            None
        }
    }
}

fn stop_on_signals(sender: Sender<Wake>) -> anyhow::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(Wake::Stop).is_err() {
                break;
            }
        }
    });
    Ok(())
}

/// Links once for each step: the files of a step take the place of the arguments' files of the same names.
pub(crate) fn replay(args: &ReplayLd, reporter: Reporter) -> anyhow::Result<ExitCode> {
    let mut options = LinkOptions::parse(&args.arguments)?;
    let limit = options.error_limit;
    let scratch = Scratch::new()?;
    let mut files: Vec<(PathBuf, PathBuf)> = Vec::new();
    for input in &mut options.inputs {
        let InputArgument::File(file) = input else {
            continue;
        };
        let Some(name) = file.file_name() else {
            continue;
        };
        if args.steps.iter().any(|step| step.join(name).is_file()) {
            let copy = scratch
                .0
                .join(format!("{}-{}", files.len(), name.display()));
            if file.is_file() {
                copy_file(file, &copy)?;
            }
            files.push((PathBuf::from(name), copy.clone()));
            *file = copy;
        }
    }
    let mut follower: Option<Follower> = None;
    for step in &args.steps {
        let mut changed = Vec::new();
        for (name, copy) in &files {
            let from = step.join(name);
            if from.is_file() {
                copy_file(&from, copy)?;
                changed.push(copy.clone());
            }
        }
        match &mut follower {
            None => match Follower::start(options.clone(), reporter)? {
                Ok(started) => follower = Some(started),
                Err(code) => return Ok(code),
            },
            Some(follower) => {
                if let Err(failed) = follower.update(&changed)? {
                    return ld::complain(&failed, limit, reporter);
                }
            }
        }
        if let (true, Some(follower)) = (args.verify, &follower) {
            if let Err(failed) = follower.linked.verify() {
                let code = ld::complain(&failed, limit, reporter)?;
                return say_first_difference(&follower.linked, reporter).map(|()| code);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// In what an output differs from a link of the same files from nothing. Both are taken in their dense form, in which
/// everything stands where it must.
fn say_first_difference(linked: &Linked, reporter: Reporter) -> anyhow::Result<()> {
    let Ok(anew) = linked.linked_anew() else {
        return Ok(());
    };
    let report = inspect::verify(&linked.finish()?, &anew.finish()?)?;
    match report.differences.first() {
        Some(difference) => reporter.line(&difference.to_string()),
        None => Ok(()),
    }
}

fn copy_file(from: &Path, to: &Path) -> wasmend::Result<()> {
    // A new file each time: no two versions share an identity.
    let fresh = to.with_extension("new");
    let copied = std::fs::copy(from, &fresh).and_then(|_| std::fs::rename(&fresh, to));
    copied.map_err(|error| Error::io("cannot copy", from, &error))
}

/// A folder that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> wasmend::Result<Scratch> {
        let folder = std::env::temp_dir().join(format!("wasmend-replay-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|error| Error::io("cannot create", &folder, &error))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on its being gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
