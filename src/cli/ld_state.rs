//! `wasmend ld --state`: a link that goes on where the process before it ended, and keeps what it knows for the next one. It
//! knows neither what is kept nor how: that is `wasmend::link::resume`'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasmend::kept::Resumed;
use wasmend::link::{Failed, LinkOptions, Linked};
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
    kept::is_wanted(options.state, options.state_dir.as_deref())
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

/// Goes on with the link of an earlier process, or links and keeps what it knows. `begin` is called before anything is written
/// or shared out to threads: most of what a process costs that finds nothing to do would be its preparations.
pub(crate) fn link(
    options: LinkOptions,
    publishing: &OutputOptions,
    reporter: Reporter,
    tells: Reporter,
    begin: impl FnOnce(),
) -> anyhow::Result<ExitCode> {
    let (options, copy) = placed(options)?;
    let Some(output) = copy else {
        return link_here(&options, publishing, None, reporter, tells, begin);
    };
    // What is asked for is written in any case.
    begin();
    link_here(&options, publishing, Some(&output), reporter, tells, || {})
}

fn link_here(
    options: &LinkOptions,
    publishing: &OutputOptions,
    copy: Option<&Path>,
    reporter: Reporter,
    tells: Reporter,
    begin: impl FnOnce(),
) -> anyhow::Result<ExitCode> {
    let mut begin = Some(begin);
    let mut begin = || begin.take().map_or((), |begin| begin());
    let mut stopwatch = Stopwatch::start();
    let path = copy.unwrap_or(&options.output);
    let kept = &options.output;
    let limit = options.error_limit;
    let failed = |failed: &Failed, stopwatch: &mut Stopwatch| {
        say(
            Record::failed(path, failed.errors().first(), stopwatch.lap()),
            kept,
            reporter,
        )?;
        report_errors(failed, limit, reporter)
    };
    let resumed = match why_started_again() {
        Some(reason) => Ok(Resumed::No(reason)),
        None => wasmend::link::resume(options, publishing.clone(), &mut begin),
    };
    let why = match resumed {
        Ok(Resumed::Unchanged) => {
            hand_out(kept, copy, publishing)?;
            say(Record::unchanged(path, stopwatch.lap()), kept, reporter)?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Resumed::Updated { report, saved }) => {
            hand_out(kept, copy, publishing)?;
            warn(&report, reporter)?;
            let took = stopwatch.lap();
            if reporter.is_json() {
                say_updated(path, path, &report, took, reporter)?;
            }
            print_stats(&report, tells);
            let record = Record::updated(path, &report.patch, &saved, took)
                .of_functions(counts(&report).sum())
                .resolved_anew(report.resolved_anew);
            say(record, kept, reporter)?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Resumed::Unusable(why)) => return Err(start_again(&why).into()),
        Ok(Resumed::No(reason)) => reason,
        Err(error) => return failed(&error, &mut stopwatch),
    };
    begin();
    match Linked::link_kept(options, publishing.clone()) {
        Ok((report, saved)) => {
            hand_out(kept, copy, publishing)?;
            warn(&report, reporter)?;
            print_stats(&report, tells);
            let took = stopwatch.lap();
            reporter.event(&linked_event(&report, path, took, true))?;
            let record = Record::linked(path, &why, &report.patch, &saved, took)
                .of_functions(report.counts.functions as u64);
            say(record, kept, reporter)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            reporter.note(&format!("all was to be linked: {why}"));
            failed(&error, &mut stopwatch)
        }
    }
}

/// Says what a link did, and adds it to the log of the output that is kept.
fn say(record: Record, kept: &Path, reporter: Reporter) -> anyhow::Result<()> {
    reporter.note(&format!("{}: {}", record.output, record.line()));
    log(record, kept, reporter)
}
