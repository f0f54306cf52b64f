//! `wasmend ld --state`: a link that goes on where the process before it ended, and keeps what it knows for the next one. It
//! knows neither what is kept nor how: that is `wasmend::link::resume`'s.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use wasmend::kept::{NoState, Resumed};
use wasmend::link::{Failed, LinkOptions, Linked};
use wasmend::output::{self, OutputOptions, no_check};
use wasmend::{Error, ErrorKind};

use crate::cli::link_record::{LinkRecord, Logged};
use crate::cli::link_report::{linked_event, print_stats, report_errors, say_updated, warn};
use crate::cli::report::{Event, Reporter};
use crate::stopwatch::Stopwatch;

/// What is set where every link is to keep its state, by whatever build system it is started.
const STATE: &str = "WASMEND_STATE";
/// The same, and where it is kept.
const STATE_FOLDER: &str = "WASMEND_STATE_DIR";
/// Says to the process that takes another one's place why that one could not go on.
pub(crate) const UNUSABLE: &str = "WASMEND_STATE_UNUSABLE";

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where every link is to keep its state, if that was said.
pub(crate) fn folder_of_environment() -> Option<PathBuf> {
    variable(STATE_FOLDER).map(PathBuf::from)
}

fn folder_of(options: &LinkOptions) -> Option<PathBuf> {
    options.state_dir.clone().or_else(folder_of_environment)
}

/// Whether what a link knows is kept for the next one.
pub(crate) fn is_kept(options: &LinkOptions) -> bool {
    let wanted = || variable(STATE).is_some_and(|value| value != "0");
    let is_wanted = options.state.unwrap_or_else(wanted);
    is_wanted || (options.state.is_none() && folder_of(options).is_some())
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
    let Some(folder) = folder_of(&options) else {
        return link_here(&options, publishing, None, reporter, tells, begin);
    };
    // The output that is patched stays with what is known of it; what is asked for is a copy.
    let kept = make_folder(&folder)?.join(wasmend::link::state_name(&options));
    let output = options.output.clone();
    output::expect_not_an_input(&output, options.files())?;
    let name = output
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let mut options = options;
    options.output = kept.with_extension("wasm");
    options.module_name = options.module_name.take().or(name);
    // What is asked for is written in any case.
    begin();
    link_here(&options, publishing, Some(&output), reporter, tells, || {})
}

/// A folder that nobody else can write in.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<&Path> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Error::io("cannot be made", folder, &error))?;
    Ok(folder)
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
            LinkRecord::failed(path, failed.errors().first(), stopwatch.lap()),
            kept,
            reporter,
        )?;
        report_errors(failed, limit, reporter)
    };
    let before = std::env::var(UNUSABLE).ok();
    let resumed = match before {
        Some(why) => Ok(Resumed::No(NoState::Failed(why))),
        None => wasmend::link::resume(options, publishing.clone(), &mut begin),
    };
    let why = match resumed {
        Ok(Resumed::Unchanged) => {
            hand_out(kept, copy, publishing)?;
            say(LinkRecord::unchanged(path, stopwatch.lap()), kept, reporter)?;
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
            let edits = &report.edits;
            let functions =
                u64::from(edits.changed) + u64::from(edits.added) + u64::from(edits.removed);
            let record = LinkRecord::updated(path, &report.patch, &saved, took)
                .of_functions(functions)
                .resolved_anew(report.resolved_anew);
            say(record, kept, reporter)?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Resumed::Unusable(why)) => return Err(link_again(&why).into()),
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
            let record = LinkRecord::linked(path, &why, &report.patch, &saved, took)
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
fn say(record: LinkRecord, kept: &Path, reporter: Reporter) -> anyhow::Result<()> {
    reporter.note(&format!("{}: {}", record.output, record.line()));
    log(record, kept, reporter)
}

/// Adds what was done to the log of the output that is kept, and tells programs.
pub(crate) fn log(record: LinkRecord, kept: &Path, reporter: Reporter) -> anyhow::Result<()> {
    let logged = Logged::now(record);
    let text = serde_json::to_string(&logged)?;
    if let Err(error) = wasmend::kept::append_log(kept, &text) {
        reporter.note(&error.to_string());
    }
    reporter.event(&Event::State(logged.link))
}

/// Writes the output where it was asked for, if that is not where it is kept.
pub(crate) fn hand_out(
    kept: &Path,
    copy: Option<&Path>,
    publishing: &OutputOptions,
) -> anyhow::Result<()> {
    let Some(copy) = copy else { return Ok(()) };
    let bytes = std::fs::read(kept).map_err(|error| Error::io("cannot read", kept, &error))?;
    output::write_file(copy, publishing, &bytes, &no_check)?;
    Ok(())
}

/// Starts this program again in this process's place, to go on from nothing: what this one holds open and has mapped is
/// of no use any more.
pub(crate) fn link_again(why: &str) -> Error {
    if variable(UNUSABLE).is_some() {
        return Error::new(ErrorKind::Io, why);
    }
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let mut again = Command::new("/proc/self/exe");
    let error = again.arg0(called).args(arguments).env(UNUSABLE, why).exec();
    let text = format!("{why}; and the program could not be started again: {error}");
    Error::new(ErrorKind::Io, text)
}
