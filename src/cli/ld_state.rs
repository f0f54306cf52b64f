//! `wasmend ld --state`: a link that goes on where the process before it ended, and keeps what it knows for the next one. It
//! knows neither what is kept nor how: that is `KeptLink`'s.

use std::path::{Path, PathBuf};

use wasmend::kept::Resumed;
use wasmend::link::{Failed, KeptLink, LinkOptions};
use wasmend::output::{self, OutputOptions};

use crate::cli::kept::{self, hand_out, log, place_in, start_again, why_started_again};
use crate::cli::link_report::{
    counts, linked_event, print_stats, report_errors, say_updated, warn,
};
use crate::cli::record::Record;
use crate::cli::report::Reporter;
use crate::stopwatch::Stopwatch;

/// Whether what a link knows is kept for the next one.
pub(crate) fn is_kept(options: &LinkOptions) -> bool {
    let wanted = options.state.or(options.daemon.filter(|wanted| *wanted));
    kept::is_wanted(wanted, options.state_dir.as_deref())
}

/// The options of the output that is patched, and where a copy of that goes, if what is asked for is a copy.
pub(crate) fn placed(mut options: LinkOptions) -> anyhow::Result<(LinkOptions, Option<PathBuf>)> {
    let Some(folder) = kept::folder_of(options.state_dir.as_deref()) else {
        return Ok((options, None));
    };
    // The output that is patched stays with what is known of it; what is asked for is a copy.
    let kept = place_in(&folder, &wasmend::link::state_name(&options))?;
    output::expect_not_an_input(&options.output, options.files())?;
    let output = std::mem::replace(&mut options.output, kept);
    let name = output
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    options.module_name = options.module_name.take().or(name);
    Ok((options, Some(output)))
}

/// A link that is asked for, and how it is to be published and said.
pub(crate) struct Job {
    options: LinkOptions,
    /// Where a copy of the output goes, which is what was asked for then.
    copy: Option<PathBuf>,
    publishing: OutputOptions,
    reporter: Reporter,
    tells: Reporter,
}

/// What a link leaves for the next one of the same process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// What was there: nothing has changed.
    AsItWas,
    /// Something to be saved.
    News,
    /// Nothing of use.
    Nothing,
}

/// How a link ended.
pub(crate) enum Ended {
    /// With this exit code.
    With(u8, Leaves),
    /// For this reason it has to be done by another process, which starts anew.
    Elsewhere(String),
}

impl Job {
    /// What is to be said goes to the first of the reporters, statistics to the second.
    pub(crate) fn new(
        options: LinkOptions,
        publishing: OutputOptions,
        reporter: Reporter,
        tells: Reporter,
    ) -> anyhow::Result<Job> {
        let (options, copy) = placed(options)?;
        Ok(Job {
            options,
            copy,
            publishing,
            reporter,
            tells,
        })
    }

    /// The output that is patched.
    pub(crate) fn kept(&self) -> &Path {
        &self.options.output
    }

    /// Goes on with the link of an earlier process, or links and keeps what it knows, in a process that ends. `begin` is called before
    /// anything is written or shared out to threads: most of what a process costs that finds nothing to do would be its preparations.
    pub(crate) fn link(&self, begin: impl FnOnce()) -> anyhow::Result<u8> {
        let mut begin = Some(begin);
        let mut begin = || begin.take().map_or((), |begin| begin());
        // What is asked for is written in any case.
        if self.copy.is_some() {
            begin();
        }
        match self.link_by(&mut KeptLink::new(), true, begin)? {
            Ended::With(code, _) => Ok(code),
            Ended::Elsewhere(why) => Err(start_again(&why).into()),
        }
    }

    /// The same, by a process that may go on with it, and saves what it knows when nobody waits, unless it ends.
    pub(crate) fn link_by(
        &self,
        link: &mut KeptLink,
        ends: bool,
        mut begin: impl FnMut(),
    ) -> anyhow::Result<Ended> {
        let (options, reporter) = (&self.options, self.reporter);
        let publishing = || self.publishing.clone();
        let mut stopwatch = Stopwatch::start();
        let path = self.path();
        let saved = |link: &mut KeptLink| match ends {
            true => link.end(),
            false => {
                link.secure();
                Ok(0)
            }
        };
        let is_new = link.is_new();
        let resumed = match why_started_again() {
            Some(reason) => Ok(Resumed::No(reason)),
            None => link.resume(options, publishing(), &mut begin),
        };
        let why = match resumed {
            Ok(Resumed::Unchanged) => {
                self.hand_out()?;
                self.say(Record::unchanged(path, stopwatch.lap()))?;
                return Ok(Ended::With(0, Leaves::AsItWas));
            }
            Ok(Resumed::Updated { report, .. }) => {
                let saved = saved(link);
                self.hand_out()?;
                warn(&report, reporter)?;
                let took = stopwatch.lap();
                if reporter.is_json() {
                    say_updated(path, path, &report, took, reporter)?;
                }
                print_stats(&report, self.tells);
                let record = Record::updated(path, &report.patch, &saved, took)
                    .of_functions(counts(&report).sum())
                    .resolved_anew(report.resolved_anew);
                self.say(record)?;
                return Ok(Ended::With(0, Leaves::News));
            }
            Ok(Resumed::Unusable(why)) => return Ok(Ended::Elsewhere(why)),
            Ok(Resumed::No(reason)) if is_new => reason,
            Ok(Resumed::No(reason)) => return Ok(Ended::Elsewhere(reason.to_string())),
            Err(error) => return self.failed(&error, &mut stopwatch),
        };
        begin();
        match link.link_first(options, publishing()) {
            Ok((report, unkept)) => {
                let (saved, leaves) = match unkept {
                    Some(reason) => (Err(reason.to_string()), Leaves::Nothing),
                    None => (saved(link), Leaves::News),
                };
                self.hand_out()?;
                warn(&report, reporter)?;
                print_stats(&report, self.tells);
                let took = stopwatch.lap();
                reporter.event(&linked_event(&report, path, took, true))?;
                let record = Record::linked(path, &why, &report.patch, &saved, took)
                    .of_functions(report.counts.functions as u64);
                self.say(record)?;
                Ok(Ended::With(0, leaves))
            }
            Err(error) => {
                reporter.note(&format!("all was to be linked: {why}"));
                self.failed(&error, &mut stopwatch)
            }
        }
    }

    /// Where the output is asked for.
    fn path(&self) -> &Path {
        self.copy.as_deref().unwrap_or(&self.options.output)
    }

    fn hand_out(&self) -> anyhow::Result<()> {
        hand_out(self.kept(), self.copy.as_deref(), &self.publishing)
    }

    fn failed(&self, failed: &Failed, stopwatch: &mut Stopwatch) -> anyhow::Result<Ended> {
        let first = failed.errors().first();
        self.say(Record::failed(self.path(), first, stopwatch.lap()))?;
        let code = report_errors(failed, self.options.error_limit, self.reporter)?;
        Ok(Ended::With(code, Leaves::Nothing))
    }

    /// Says what a link did, and adds it to the log of the output that is kept.
    fn say(&self, record: Record) -> anyhow::Result<()> {
        self.reporter
            .note(&format!("{}: {}", record.output, record.line()));
        log(record, self.kept(), self.reporter)
    }
}
