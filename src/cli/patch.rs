//! `wasmend patch`: an output follows builds of a module, by a process for each, which goes on where the one before it ended. It
//! knows neither what is kept nor how: that is `wasmend::OneShot`'s.

use std::cell::Cell;
use std::path::Path;
use std::process::ExitCode;

use wasmend::kept::Resumed;
use wasmend::{OneShot, Outcome, Update};

use crate::cli::args::Patch;
use crate::cli::files;
use crate::cli::kept::{folder_of, hand_out, log, place_in, start_again, why_started_again};
use crate::cli::ld::cut_short;
use crate::cli::patch_folder::PatchFolder;
use crate::cli::patcher::{counts, meant_by, warn, warn_of_output, whole_options};
use crate::cli::record::Record;
use crate::cli::report::Reporter;
use crate::cli::signals;
use crate::stopwatch::Stopwatch;

pub(crate) fn run(args: &Patch, reporter: Reporter) -> anyhow::Result<ExitCode> {
    let mut stopwatch = Stopwatch::start();
    let (out, build) = (&*args.out, &*args.build);
    files::claim_output(out, [build], Some(args.force))?;
    let options = whole_options(&args.options, reporter);
    let is_output = Cell::new(false);
    let read = |file: &Path| {
        begin(reporter);
        let bytes = files::read(file)?;
        let meant = meant_by(file, &bytes)?;
        is_output.set(meant.is_some());
        Ok(meant.unwrap_or(bytes))
    };
    // The output that is patched stays with what is known of it; what is asked for is a copy.
    let folder = folder_of(args.state_dir.as_deref());
    let kept = match &folder {
        None => out.to_path_buf(),
        Some(folder) => place_in(folder, &OneShot::new(out, &options, build).state_name())?,
    };
    let copy = folder.is_some().then_some(out);
    let once = OneShot::new(&kept, &options, build).read_by(&read);
    let resumed = match why_started_again() {
        Some(reason) => Ok(Resumed::No(reason)),
        None => once.resume(),
    };
    let done = match resumed {
        Ok(Resumed::Unchanged) => {
            hand_out(&kept, copy, &options.output)?;
            return say(Record::unchanged(out, stopwatch.lap()), &kept, reporter);
        }
        Ok(Resumed::Unusable(why)) => return Err(start_again(&why).into()),
        Ok(Resumed::Updated { report, saved }) => Ok((None, *report, saved)),
        Ok(Resumed::No(reason)) => once
            .create()
            .map(|(update, saved)| (Some(reason), update, saved)),
        Err(error) => Err(error),
    };
    if is_output.get() {
        warn_of_output(build, reporter)?;
    }
    let (anew, update, saved) = match done {
        Ok(done) => done,
        Err(error) => {
            // An error of the output names it already.
            let error = error.with_path(build);
            let record = Record::failed(out, Some(&error), stopwatch.lap());
            log(record, &kept, reporter)?;
            return Err(error.into());
        }
    };
    hand_out(&kept, copy, &options.output)?;
    let took = stopwatch.lap();
    warn(build, &update, reporter)?;
    let counts = counts(&update);
    if reporter.is_json() {
        reporter.update(out, build, counts, &update.patch, took)?;
    }
    let record = match anew {
        None => Record::updated(out, &update.patch, &saved, took),
        Some(why) => Record::linked(out, &why, &update.patch, &saved, took).created(),
    };
    say(record.of_functions(counts.sum()), &kept, reporter)?;
    keep_patch(args, &update, &kept, reporter)
}

/// What is not needed where nothing has changed.
fn begin(reporter: Reporter) {
    signals::clean_up_when_ended();
    // It can be set once; there is nothing before this that would have.
    let _ = wasmend::link::use_threads(None);
    let _ = wasmend::link::when_cut_short(move |file| cut_short(file, reporter));
}

/// Says what was done, in one line, and adds it to the log of the output that is kept.
fn say(record: Record, kept: &Path, reporter: Reporter) -> anyhow::Result<ExitCode> {
    reporter.line(&format!("{}: {}", record.output, record.line()))?;
    log(record, kept, reporter)?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps the version as a patch, behind the report: the file is there already.
fn keep_patch(
    args: &Patch,
    update: &Update,
    kept: &Path,
    reporter: Reporter,
) -> anyhow::Result<ExitCode> {
    let folder = args.options.patches.patches.as_deref();
    if let Some(folder) = folder
        && !matches!(update.patch.outcome, Outcome::Unchanged)
    {
        let mut folder = PatchFolder::new(folder);
        if let Err(error) = folder.keep(&update.patch, kept) {
            reporter.problem(&error, false)?;
        }
        folder.expect_all()?;
    }
    Ok(ExitCode::SUCCESS)
}
