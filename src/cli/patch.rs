//! `wasmend patch`: an output follows builds of a module, by a process for each, which goes on where the one before it ended. It
//! knows neither what is kept nor how: that is `wasmend::OneShot`'s.

use std::cell::Cell;
use std::path::Path;
use std::process::ExitCode;

use wasmend::kept::{NoState, Resumed};
use wasmend::{OneShot, Outcome, Update};

use crate::cli::args::Patch;
use crate::cli::files;
use crate::cli::ld::cut_short;
use crate::cli::ld_state::{
    UNUSABLE, folder_of_environment, hand_out, link_again, log, make_folder,
};
use crate::cli::link_record::LinkRecord;
use crate::cli::patch_folder::PatchFolder;
use crate::cli::patcher::{counts, meant_by, warn, warn_of_output, whole_options};
use crate::cli::report::{Counts, Reporter};
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
    let folder = args.state_dir.clone().or_else(folder_of_environment);
    let kept = match &folder {
        None => out.to_path_buf(),
        Some(folder) => {
            let name = OneShot::new(out, &options, build).state_name();
            make_folder(folder)?.join(name).with_extension("wasm")
        }
    };
    let copy = folder.is_some().then_some(out);
    let once = OneShot::new(&kept, &options, build).read_by(&read);
    let before = std::env::var(UNUSABLE).ok();
    let resumed = match before {
        Some(why) => Ok(Resumed::No(NoState::Failed(why))),
        None => once.resume(),
    };
    let done = match resumed {
        Ok(Resumed::Unchanged) => {
            hand_out(&kept, copy, &options.output)?;
            return say(LinkRecord::unchanged(out, stopwatch.lap()), &kept, reporter);
        }
        Ok(Resumed::Unusable(why)) => return Err(link_again(&why).into()),
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
            let record = LinkRecord::failed(out, Some(&error), stopwatch.lap());
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
        None => LinkRecord::updated(out, &update.patch, &saved, took),
        Some(why) => LinkRecord::linked(out, &why, &update.patch, &saved, took).created(),
    };
    say(record.of_functions(sum(counts)), &kept, reporter)?;
    keep_patch(args, &update, &kept, reporter)
}

/// What is not needed where nothing has changed.
fn begin(reporter: Reporter) {
    signals::clean_up_when_ended();
    // It can be set once; there is nothing before this that would have.
    let _ = wasmend::link::use_threads(None);
    let _ = wasmend::link::when_cut_short(move |file| cut_short(file, reporter));
}

fn sum(counts: Counts) -> u64 {
    counts.changed + counts.added + counts.removed
}

/// Says what was done, in one line, and adds it to the log of the output that is kept.
fn say(record: LinkRecord, kept: &Path, reporter: Reporter) -> anyhow::Result<ExitCode> {
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
