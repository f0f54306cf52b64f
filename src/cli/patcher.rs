//! An output and the builds that come for it: what `replay` and `watch` have in common, and `patch` of each build.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use wasmend::inspect;
use wasmend::output::OutputOptions;
use wasmend::{KeptWhole, OneShot, Outcome, Patch, Update, WholeOptions};

use crate::cli::args::{BuildOptions, StateArgs};
use crate::cli::keeping::Keeping;
use crate::cli::kept;
use crate::cli::patch_folder::PatchFolder;
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
    output: PathBuf,
    publishing: OutputOptions,
    reporter: Reporter,
    /// Whether nothing is said of builds that change nothing.
    is_silent_if_unchanged: bool,
    /// Whether anything was said.
    has_begun: bool,
    module: KeptWhole,
    /// What goes with the state, if that is kept.
    keeping: Option<Keeping>,
    /// Where each version is kept as a patch.
    patches: Option<PatchFolder>,
    versions: u64,
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
        let folder = state.state_dir.as_deref();
        let (module, keeping) = match kept::is_wanted(state.wanted(), folder) {
            false => (KeptWhole::new(output, whole).alone(), None),
            true => {
                // The output that is patched stays with what is known of it; what is asked for is a copy.
                let (place, copy) = match kept::folder_of(folder) {
                    None => (output.to_path_buf(), None),
                    Some(folder) => {
                        let name = OneShot::new(output, &whole, build).state_name();
                        (kept::place_in(&folder, &name)?, Some(output.to_path_buf()))
                    }
                };
                let keeping = Keeping::new(place.clone(), copy, reporter);
                (KeptWhole::new(&place, whole), Some(keeping))
            }
        };
        Ok(Patcher {
            output: output.to_path_buf(),
            publishing,
            reporter,
            is_silent_if_unchanged: false,
            has_begun: false,
            module,
            keeping,
            patches: options.patches.patches.as_deref().map(PatchFolder::new),
            versions: 0,
        })
    }

    /// Says nothing of builds that change nothing.
    pub(crate) fn silent_if_unchanged(self) -> Self {
        Patcher {
            is_silent_if_unchanged: true,
            ..self
        }
    }

    /// Makes the output equal to the build in a file, which `read` reads, and reports it.
    pub(crate) fn update(
        &mut self,
        file: &Path,
        read: &dyn Fn(&Path) -> wasmend::Result<Vec<u8>>,
    ) -> anyhow::Result<Patch> {
        let mut stopwatch = Stopwatch::start();
        let is_output = Cell::new(false);
        let read = |file: &Path| {
            let bytes = read(file)?;
            let meant = meant_by(file, &bytes)?;
            is_output.set(meant.is_some());
            Ok(meant.unwrap_or(bytes))
        };
        let reason = kept::why_started_again().filter(|_| self.versions == 0);
        let update = match reason.filter(|_| self.keeping.is_some()) {
            None => self.module.update(file, &read),
            Some(reason) => {
                let update = self.module.create_from(file, &read);
                update.map(|update| (update, Some(reason)))
            }
        };
        let took = stopwatch.lap();
        if is_output.get() {
            warn_of_output(file, self.reporter)?;
        }
        // An error of the output names it already.
        let (update, anew) = update.map_err(|error| error.with_path(file))?;
        let is_unchanged = matches!(update.patch.outcome, Outcome::Unchanged);
        // That there was something to go on with is of interest.
        let is_silent = self.is_silent_if_unchanged && self.has_begun;
        self.has_begun = true;
        let anew = anew.filter(|_| self.keeping.is_some());
        if let Some(keeping) = &mut self.keeping {
            keeping.updated(is_unchanged && anew.is_none(), &self.publishing)?;
        }
        warn(file, &update, self.reporter)?;
        self.versions += u64::from(!is_unchanged);
        if is_unchanged && is_silent {
            let text = format!("{}: nothing has changed", file.display());
            self.reporter.note(&text);
            self.keep_patch(&update.patch)?;
            return Ok(update.patch);
        }
        self.reporter
            .update(&self.output, file, counts(&update), &update.patch, took)?;
        // Behind the report: the file is there already.
        self.keep_patch(&update.patch)?;
        self.module.prepare();
        if let Some(keeping) = &self.keeping {
            let (output, patch, unsaved) = (&self.output, &update.patch, Ok(0));
            let record = match anew {
                None => Record::updated(output, patch, &unsaved, took),
                Some(why) => Record::linked(output, &why, patch, &unsaved, took).created(),
            };
            keeping.say(record.of_functions(counts(&update).sum()))?;
        }
        Ok(update.patch)
    }

    /// Whether something is to be saved for the next process.
    pub(crate) fn has_news(&self) -> bool {
        self.keeping.as_ref().is_some_and(Keeping::has_news)
    }

    /// Saves what the next process needs, if this one keeps it.
    pub(crate) fn save(&mut self) -> anyhow::Result<()> {
        match &mut self.keeping {
            Some(keeping) if keeping.has_news() => keeping.saved(self.module.save()),
            _ => Ok(()),
        }
    }

    /// The same at the end of the process.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        match &mut self.keeping {
            Some(keeping) if self.module.is_made() => keeping.saved(self.module.end()),
            _ => Ok(()),
        }
    }

    fn keep_patch(&mut self, patch: &Patch) -> anyhow::Result<()> {
        let output = self.keeping.as_ref().map_or(&*self.output, Keeping::output);
        let kept = self.patches.as_mut().map(|it| it.keep(patch, output));
        match kept {
            Some(Err(error)) => self.reporter.problem(&error, false),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Fails if a version could not be written as a patch.
    pub(crate) fn expect_patches(&self) -> wasmend::Result<()> {
        self.patches
            .as_ref()
            .map_or(Ok(()), PatchFolder::expect_all)
    }

    /// Forgets the output: the next build writes it whole.
    pub(crate) fn forget(&mut self) {
        if !self.keeping.as_mut().is_some_and(Keeping::is_lost) {
            self.module.forget();
        }
    }

    /// How many versions were published.
    pub(crate) fn versions(&self) -> u64 {
        self.versions
    }
}
