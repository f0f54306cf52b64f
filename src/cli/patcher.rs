//! An output and the builds that come for it: what `replay` and `watch` have in common, and `patch` of each build.

use std::path::{Path, PathBuf};

use wasmend::inspect;
use wasmend::{Outcome, Patch, Update, WholeModule, WholeOptions};

use crate::cli::args::BuildOptions;
use crate::cli::patch_folder::PatchFolder;
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
    options: WholeOptions,
    reporter: Reporter,
    /// Whether nothing is said of builds that change nothing.
    is_silent_if_unchanged: bool,
    /// `None` until the first build.
    module: Option<WholeModule>,
    /// Where each version is kept as a patch.
    patches: Option<PatchFolder>,
    versions: u64,
}

impl Patcher {
    /// An output at `output`, which is created by the first build.
    pub(crate) fn new(output: &Path, build: &BuildOptions, reporter: Reporter) -> Self {
        Patcher {
            output: output.to_path_buf(),
            options: whole_options(build, reporter),
            reporter,
            is_silent_if_unchanged: false,
            module: None,
            patches: build.patches.patches.as_deref().map(PatchFolder::new),
            versions: 0,
        }
    }

    /// Says nothing of builds that change nothing.
    pub(crate) fn silent_if_unchanged(self) -> Self {
        Patcher {
            is_silent_if_unchanged: true,
            ..self
        }
    }

    /// Makes the output equal to the build in `bytes`, which is from `file`, and reports it.
    pub(crate) fn update(&mut self, file: &Path, bytes: &[u8]) -> anyhow::Result<Patch> {
        let mut stopwatch = Stopwatch::start();
        let meant = meant_by(file, bytes)?;
        if meant.is_some() {
            warn_of_output(file, self.reporter)?;
        }
        let bytes = meant.as_deref().unwrap_or(bytes);
        let update = match &mut self.module {
            Some(module) => module.update(bytes),
            None => WholeModule::create(&self.output, self.options.clone(), bytes).map(
                |(module, update)| {
                    self.module = Some(module);
                    update
                },
            ),
        };
        let took = stopwatch.lap();
        // An error of the output names it already.
        let update = update.map_err(|error| error.with_path(file))?;
        warn(file, &update, self.reporter)?;
        let is_unchanged = matches!(update.patch.outcome, Outcome::Unchanged);
        self.versions += u64::from(!is_unchanged);
        if is_unchanged && self.is_silent_if_unchanged {
            let text = format!("{}: nothing has changed", file.display());
            self.reporter.note(&text);
            self.keep_patch(&update.patch)?;
            return Ok(update.patch);
        }
        self.reporter
            .update(&self.output, file, counts(&update), &update.patch, took)?;
        // Behind the report: the file is there already.
        self.keep_patch(&update.patch)?;
        if let Some(module) = &mut self.module {
            module.prepare();
        }
        Ok(update.patch)
    }

    fn keep_patch(&mut self, patch: &Patch) -> anyhow::Result<()> {
        let kept = self.patches.as_mut().map(|it| it.keep(patch, &self.output));
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
        self.module = None;
    }

    /// How many versions were published.
    pub(crate) fn versions(&self) -> u64 {
        self.versions
    }
}
