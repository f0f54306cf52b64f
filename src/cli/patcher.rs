//! An output and the builds that come for it: what `replay` and `watch` have in common, and `patch` of each build.

use std::cell::Cell;
use std::path::Path;

use wasmend::inspect;
use wasmend::{KeptWhole, OneShot, Patch, Update, WholeOptions};

use crate::cli::args::{BuildOptions, StateArgs};
use crate::cli::following::Following;
use crate::cli::kept;
use crate::cli::record::Record;
use crate::cli::report::{Counts, Reporter};
use crate::stopwatch::Stopwatch;

/// How an output is made of builds, as the options have it.
pub(crate) fn whole_options(build: &BuildOptions, reporter: Reporter) -> WholeOptions {
    let defaults = WholeOptions::default();
    WholeOptions {
        redirect: build.redirect.ready_made(),
        live: build.live,
        types: build.output.types().unwrap_or(defaults.types),
        output: build.output.options(move |message| reporter.note(message)),
    }
}

/// The module that the output in `bytes`, which is from `file`, stands for; `None` if it is no output.
pub(crate) fn meant_by(file: &Path, bytes: &[u8]) -> wasmend::Result<Option<Vec<u8>>> {
    let meant = inspect::is_output(bytes).then(|| inspect::finish(bytes));
    meant.transpose().map_err(|error| error.with_path(file))
}

/// Says that a build is an output.
pub(crate) fn warn_of_output(file: &Path, reporter: Reporter) -> anyhow::Result<()> {
    reporter.warning(&format!(
        "{}: is an output of wasmend itself: the module that it stands for is taken",
        file.display()
    ))
}

/// Passes on what the user should know of a build.
pub(crate) fn warn(file: &Path, update: &Update, reporter: Reporter) -> anyhow::Result<()> {
    let mut warnings = update.warnings.iter();
    warnings.try_for_each(|warning| reporter.warning(&format!("{}: {warning}", file.display())))
}

/// How many functions a build changed.
pub(crate) fn counts(update: &Update) -> Counts {
    Counts {
        changed: update.functions_changed.into(),
        added: update.functions_added.into(),
        removed: update.functions_removed.into(),
    }
}

/// An output that follows builds of a module.
pub(crate) struct Patcher {
    pub(crate) following: Following<KeptWhole>,
    /// Whether what is made is kept for the next process.
    keeps_state: bool,
}

impl Patcher {
    /// An output at `output`, which is created by the first build, or goes on from where `build`, by another process, left it.
    pub(crate) fn new(
        output: &Path,
        build: &Path,
        options: &BuildOptions,
        state: &StateArgs,
        reporter: Reporter,
    ) -> anyhow::Result<Self> {
        let whole = whole_options(options, reporter);
        let publishing = whole.output.clone();
        let patches = options.patches.patches.as_deref();
        let folder = state.state_dir.as_deref();
        let keeps_state = kept::is_wanted(state.wanted(), folder);
        let following = match keeps_state {
            false => {
                let module = KeptWhole::new(output, whole).alone();
                let mut following = Following::new(module, publishing, patches, reporter);
                following.begin(output);
                following
            }
            true => {
                // The output that is patched stays with what is known of it; what is asked for is a copy.
                let (place, copy) = match kept::folder_of(folder) {
                    None => (output.to_path_buf(), None),
                    Some(folder) => {
                        let name = OneShot::new(output, &whole, build).state_name();
                        (kept::place_in(&folder, &name)?, Some(output.to_path_buf()))
                    }
                };
                let module = KeptWhole::new(&place, whole);
                let mut following = Following::new(module, publishing, patches, reporter);
                following.begin(output);
                following.keep_at(place, copy);
                following
            }
        };
        Ok(Patcher {
            following,
            keeps_state,
        })
    }

    /// Makes the output equal to the build in a file, which `read` reads, and reports it.
    pub(crate) fn update(
        &mut self,
        file: &Path,
        read: &dyn Fn(&Path) -> wasmend::Result<Vec<u8>>,
    ) -> anyhow::Result<Patch> {
        let following = &mut self.following;
        let reporter = following.reporter;
        let mut stopwatch = Stopwatch::start();
        let is_output = Cell::new(false);
        let read = |file: &Path| {
            let bytes = read(file)?;
            let meant = meant_by(file, &bytes)?;
            is_output.set(meant.is_some());
            Ok(meant.unwrap_or(bytes))
        };
        let reason = kept::why_started_again().filter(|_| following.versions() == 0);
        let update = match reason.filter(|_| self.keeps_state) {
            None => following.kept.update(file, &read),
            Some(reason) => {
                let update = following.kept.create_from(file, &read);
                update.map(|update| (update, Some(reason)))
            }
        };
        let took = stopwatch.lap();
        if is_output.get() {
            warn_of_output(file, reporter)?;
        }
        // An error of the output names it already.
        let (update, anew) = update.map_err(|error| error.with_path(file))?;
        let is_silent = following.published(&update.patch, anew.is_some())?;
        warn(file, &update, reporter)?;
        if is_silent {
            following.note_unchanged(file);
            following.keep_patch(&update.patch)?;
            return Ok(update.patch);
        }
        reporter.update(
            &following.output,
            file,
            counts(&update),
            &update.patch,
            took,
        )?;
        following.keep_patch(&update.patch)?;
        following.kept.prepare();
        following.say(|| {
            let (output, patch, unsaved) = (&following.output, &update.patch, Ok(0));
            let record = match anew {
                None => Record::updated(output, patch, &unsaved, took),
                Some(why) => Record::linked(output, &why, patch, &unsaved, took).created(),
            };
            record.of_functions(counts(&update).sum())
        })?;
        Ok(update.patch)
    }
}
