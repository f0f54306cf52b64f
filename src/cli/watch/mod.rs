//! `wasmend watch`: keeps an output up to date with files that somebody else writes.
//!
//! One loop for both kinds of subject, a build of a module (`build`) and a link (`link`). It decides by looking at the
//! files (`looks`), by a policy that knows neither files nor clocks (`settle`); events only wake it up (`wake`).

mod build;
mod link;
mod looks;
mod settle;
#[cfg(test)]
mod settle_tests;
mod subject;
mod wake;
mod writers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use wasmend::link::watched::CommandLine;
use wasmend::{Error, ErrorKind, Patch};

use crate::cli::args::{Waiting, Watch, WatchLink};
use crate::cli::report::{self, Event, Reporter, path};
use crate::cli::{keeping, kept, ld};
use build::Build;
use link::Link;
use settle::{FileLook, Look, Looks, Obstacle, Patience, Settle, Step, Trouble};
use wake::{Wake, Wakes};
use writers::Writers;

pub(crate) use settle::{FileName, Haste};
pub(crate) use subject::{Complaint, Followed, Refusal, Subject};

/// How long files must have stood still where it cannot be known whether they are complete.
const SETTLE: Duration = Duration::from_millis(25);

/// From so many files on it is worth a thread to look at them.
const MANY: usize = 256;

/// Who wants to know what becomes of the output, beside those who read what is said.
pub(crate) trait Listener {
    /// A version was published, or what was read changes nothing.
    fn published(&mut self, patch: &Patch);

    /// There is no new version, for as long as the files stay as they are.
    fn failed(&mut self, error: &Error);
}

/// Nobody.
pub(crate) struct Nobody;

impl Listener for Nobody {
    fn published(&mut self, _: &Patch) {}

    fn failed(&mut self, _: &Error) {}
}

/// Watches a build of a module.
pub(crate) fn run(
    args: &Watch,
    listener: &mut dyn Listener,
    reporter: Reporter,
) -> anyhow::Result<()> {
    crate::cli::files::claim_output(&args.output, [&args.file], Some(args.force))?;
    start_again_when_cut_short(reporter);
    let mut build = Build::new(args, reporter)?;
    run_subject(&mut build, args.waiting, listener, reporter)
}

/// Where something that is mapped cannot be read any more, which only state is, the process begins from the files.
fn start_again_when_cut_short(reporter: Reporter) {
    let _ = wasmend::link::when_cut_short(move |file| match file {
        None => ld::cut_short(None, reporter),
        Some(file) => {
            wasmend::heap::leave();
            let why = format!("{}: was cut short while it was read", file.display());
            let error = kept::start_again(&why);
            let _ = reporter.error(&error);
            std::process::exit(report::exit_code(error.kind()).into());
        }
    });
}

/// Watches a link, by a linker's arguments.
pub(crate) fn run_link(
    args: &WatchLink,
    arguments: &[String],
    keeps_state: bool,
    listener: &mut dyn Listener,
    reporter: Reporter,
) -> anyhow::Result<()> {
    start_again_when_cut_short(reporter);
    let mut link = Link::new(args, arguments, keeps_state, reporter)?;
    run_subject(&mut link, args.waiting, listener, reporter)
}

/// The output that a linker's arguments name.
pub(crate) fn output_of_link(arguments: &[String]) -> wasmend::Result<PathBuf> {
    Ok(CommandLine::read(arguments).options?.output)
}

/// Watches what a subject follows, until the process is told to end.
pub(crate) fn run_subject(
    subject: &mut dyn Subject,
    waiting: Waiting,
    listener: &mut dyn Listener,
    reporter: Reporter,
) -> anyhow::Result<()> {
    let patience = Patience {
        settle: waiting.settle.unwrap_or(SETTLE),
        trusts_proofs: waiting.settle.is_none(),
        complain: waiting.patience,
    };
    let mut wakes = Wakes::new(reporter)?;
    let mut watch = Watching {
        subject,
        listener,
        reporter,
        start: Instant::now(),
        settle: Settle::new(patience),
        files: Vec::new(),
        complaint: None,
        said: Vec::new(),
        is_announced: false,
    };
    watch.follow(&mut wakes, &[]);
    loop {
        wakes.refresh();
        let looks = watch.look();
        let mut is_idle = false;
        let mut step = watch.settle.look(watch.now(), looks);
        if let Step::Prove(changed) = step {
            watch.prove(&changed)?;
            // What is written behind the look is seen by the next one.
            step = watch.settle.step(watch.now());
        }
        let wait = match step {
            Step::Read(changed) => {
                if !watch.follow(&mut wakes, &changed) {
                    watch.read(&changed)?;
                }
                Some(Duration::ZERO)
            }
            Step::Complain(trouble) => {
                watch.complain(&trouble)?;
                Some(Duration::ZERO)
            }
            // Something is in the way, for now or for longer than files take to settle.
            Step::Again(wait) if wait > patience.settle => {
                watch.announce()?;
                Some(wait)
            }
            Step::Again(wait) => Some(wait),
            Step::Prove(_) => Some(Duration::ZERO),
            Step::Idle => {
                watch.announce()?;
                is_idle = true;
                let kept = watch.subject.kept();
                kept.is_some_and(|kept| kept.has_news())
                    .then_some(keeping::REST)
            }
        };
        match wakes.wait(wait) {
            Wake::Stop => break,
            Wake::Event => watch.settle.woken(watch.now()),
            Wake::Time if is_idle => {
                if let Some(kept) = watch.subject.kept() {
                    kept.save()?;
                }
            }
            Wake::Time => {}
        }
    }
    if let Some(kept) = watch.subject.kept() {
        kept.end()?;
    }
    // Whoever asked for the end may have closed the terminal.
    let _ = watch.stopped();
    Ok(())
}

/// The loop's state.
struct Watching<'a> {
    subject: &'a mut dyn Subject,
    listener: &'a mut dyn Listener,
    reporter: Reporter,
    start: Instant,
    settle: Settle,
    files: Vec<Followed>,
    /// What the last attempt came to.
    complaint: Option<Complaint>,
    /// The lasting trouble that was said since all was last well.
    said: Vec<String>,
    is_announced: bool,
}

impl Watching<'_> {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Finds out which files there are to look at. True if they are others than before: these have to be looked at first.
    fn follow(&mut self, wakes: &mut Wakes, changed: &[PathBuf]) -> bool {
        let files = self.subject.files(changed);
        if files == self.files {
            return false;
        }
        self.files = files;
        let files = self.files.iter().map(|file| file.name.path());
        wakes.listen_for(files.chain([self.subject.output()]));
        true
    }

    fn look(&self) -> Looks {
        let files = self.files.par_iter().with_min_len(MANY).map(|file| {
            let look = looks::look(file.name.path());
            let is_required = file.is_required;
            (file.name.clone(), FileLook { look, is_required })
        });
        Looks {
            files: files.collect(),
            output: looks::look_at_output(self.subject.output()),
        }
    }

    /// Finds out whether files are complete: that nobody has them open for writing, and that they cannot be written again
    /// without that being seen.
    fn prove(&mut self, changed: &[PathBuf]) -> anyhow::Result<()> {
        let (mut is_known, mut wait) = (true, Duration::ZERO);
        for file in changed {
            match writers::of(file) {
                Writers::None => {}
                Writers::Unknown => is_known = false,
                Writers::Some => {
                    self.settle.busy(self.now(), file.clone());
                    return self.announce();
                }
            }
            if let Some(Look::Present(found)) = self.settle.seen(file) {
                wait = wait.max(looks::until_changes_show(file, found));
            }
        }
        let now = self.now();
        match is_known {
            true if wait.is_zero() => self.settle.complete(),
            true => self.settle.incomplete(now, Some(now + wait)),
            false => self.settle.incomplete(now, None),
        }
        Ok(())
    }

    /// Brings the output up to date.
    fn read(&mut self, changed: &[PathBuf]) -> anyhow::Result<()> {
        if self.settle.is_lost() {
            self.subject.forget();
        }
        let start = self.now();
        match self.subject.update(changed) {
            // What was read is not what is there now, which is what matters.
            Err(Refusal::Useless(..) | Refusal::Later(_))
                if !self.settle.has_seen(&self.look()) =>
            {
                self.settle.overtaken(self.now());
            }
            Ok(patch) => {
                self.listener.published(&patch);
                self.said.clear();
                self.settle
                    .done(looks::look_at_output(self.subject.output()));
            }
            Err(Refusal::Useless(complaint, haste)) => {
                if haste == Haste::Patient {
                    // What is wrong is said when patience is at its end, or not at all.
                    let build = path(self.subject.build());
                    self.reporter
                        .note(&format!("{build}: may be half written, waiting"));
                }
                self.complaint = Some(complaint);
                self.settle.refused(self.now(), haste);
            }
            Err(Refusal::Later(complaint)) => {
                let text = complaint.error.to_string();
                let is_new = !self.said.contains(&text);
                if is_new {
                    self.said.push(text);
                }
                self.complaint = Some(complaint);
                self.settle.failed(start, self.now(), is_new);
            }
            Err(Refusal::Overtaken) => self.settle.overtaken(self.now()),
            Err(Refusal::End(error)) => return Err(error),
        }
        self.announce()
    }

    fn complain(&mut self, trouble: &Trouble) -> anyhow::Result<()> {
        self.announce()?;
        match trouble {
            Trouble::Attempt => {
                if let Some(complaint) = &self.complaint {
                    self.listener.failed(&complaint.error);
                    complaint.say(self.reporter)?;
                    let reason = complaint.error.message();
                    self.waiting(path(self.subject.build()), reason)?;
                }
                Ok(())
            }
            Trouble::Files(files) => {
                let name = |file: &PathBuf| match file.as_os_str().is_empty() {
                    true => path(self.subject.output()),
                    false => path(file),
                };
                if let [(file, obstacle), others @ ..] = &files[..] {
                    let mut text = obstacle.to_string();
                    if !others.is_empty() {
                        let others = crate::cli::text::count(others.len() as u64, "other file");
                        text += &format!("; {others} cannot be read either");
                    }
                    let writer = match obstacle {
                        Obstacle::Busy => writers::name_one(file),
                        Obstacle::Missing | Obstacle::Refused(_) => None,
                    };
                    let hint = match writer {
                        Some(writer) => format!("process {writer} has it open; watching goes on"),
                        None => "watching goes on".to_owned(),
                    };
                    let error = Error::new(ErrorKind::BadInput, text)
                        .with_path(name(file))
                        .with_hint(hint);
                    self.reporter.error(&error)?;
                }
                for (file, obstacle) in files {
                    self.waiting(name(file), &obstacle.to_string())?;
                }
                Ok(())
            }
        }
    }

    fn waiting(&self, build: String, reason: &str) -> anyhow::Result<()> {
        let reason = reason.to_owned();
        self.reporter.event(&Event::Waiting { build, reason })
    }

    /// Says once that there is somebody who watches.
    fn announce(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.is_announced, true) {
            return Ok(());
        }
        let event = Event::Watching {
            build: path(self.subject.build()),
            output: path(self.subject.output()),
        };
        let describe = || format!("watching {}, Ctrl-C ends", self.subject.describe());
        self.reporter.both(&event, describe)
    }

    fn stopped(&self) -> anyhow::Result<()> {
        let versions = self.subject.versions();
        self.reporter.both(&Event::Stopped { versions }, || {
            let versions = crate::cli::text::count(versions, "version");
            format!("stopped after {versions}")
        })
    }
}
