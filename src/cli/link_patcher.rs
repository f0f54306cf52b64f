//! A linked program that follows its objects: what `replay-ld` and `watch` have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmend::inspect;
use wasmend::link::Access;
use wasmend::link::{Failed, LinkOptions, LinkReport, Linked, Target};
use wasmend::output::OutputOptions;
use wasmend::{Outcome, Patch};

use crate::cli::link_report;
use crate::cli::patch_folder::PatchFolder;
use crate::cli::report::Reporter;
use crate::stopwatch::Stopwatch;

/// A linked program, and where is said what becomes of it.
pub(crate) struct LinkPatcher {
    linked: Linked,
    output: PathBuf,
    reporter: Reporter,
    is_silent_if_unchanged: bool,
    /// Where each version is kept as a patch.
    patches: Option<PatchFolder>,
    versions: u64,
}

/// A link failed; or what was to be said of one that did not could not be said.
pub(crate) enum LinkError {
    Failed(Failed),
    Unsaid(anyhow::Error),
}

impl From<Failed> for LinkError {
    fn from(failed: Failed) -> LinkError {
        LinkError::Failed(failed)
    }
}

impl From<anyhow::Error> for LinkError {
    fn from(error: anyhow::Error) -> LinkError {
        LinkError::Unsaid(error)
    }
}

impl LinkPatcher {
    /// Links for the first time, and reports it. Each version is kept in the folder of `patches` too, if there is one.
    pub(crate) fn link(
        mut options: LinkOptions,
        publishing: OutputOptions,
        patches: Option<&Path>,
        reporter: Reporter,
    ) -> Result<(LinkPatcher, Patch), LinkError> {
        for warning in &options.warnings {
            reporter.warning(warning)?;
        }
        options.incremental = Some(true);
        let output = options.output.clone();
        let mut stopwatch = Stopwatch::start();
        let (linked, report) = Linked::link(options, Access::Read, Target::File(publishing))?;
        let mut patcher = LinkPatcher {
            linked,
            output,
            reporter,
            is_silent_if_unchanged: false,
            patches: patches.map(PatchFolder::new),
            versions: 0,
        };
        let name = patcher.output.clone();
        patcher.report(&name, &report, stopwatch.lap())?;
        patcher.keep_patch(&report.patch)?;
        // Not while somebody waits for an edit.
        patcher.linked.prepare();
        Ok((patcher, report.patch))
    }

    /// Says nothing of updates that change nothing.
    pub(crate) fn silent_if_unchanged(self) -> Self {
        LinkPatcher {
            is_silent_if_unchanged: true,
            ..self
        }
    }

    /// Brings the output up to date with files that may have changed, and reports it. `name` is what these are called.
    pub(crate) fn update(&mut self, files: &[PathBuf], name: &Path) -> Result<Patch, LinkError> {
        let mut stopwatch = Stopwatch::start();
        let mut report = self.linked.update(files)?;
        self.report(name, &report, stopwatch.lap())?;
        // Behind the report: the file is there, and only who runs the program waits for this.
        if let Some(step) = report.patch.live.take() {
            let step = self.linked.describe(step).map_err(anyhow::Error::from)?;
            report.patch.live = Some(step);
        }
        self.keep_patch(&report.patch)?;
        self.linked.prepare();
        Ok(report.patch)
    }

    fn keep_patch(&mut self, patch: &Patch) -> anyhow::Result<()> {
        let kept = self.patches.as_mut().map(|it| it.keep(patch, &self.output));
        match kept {
            Some(Err(error)) => self.reporter.problem(&error, false),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn report(&mut self, name: &Path, report: &LinkReport, took: Duration) -> anyhow::Result<()> {
        link_report::warn(report, self.reporter)?;
        let is_unchanged = matches!(report.patch.outcome, Outcome::Unchanged);
        self.versions += u64::from(!is_unchanged);
        if is_unchanged && self.is_silent_if_unchanged {
            let text = format!("{}: nothing has changed", name.display());
            self.reporter.note(&text);
            return Ok(());
        }
        link_report::say_updated(&self.output, name, report, took, self.reporter)?;
        link_report::print_stats(report, self.reporter);
        Ok(())
    }

    /// Compares the output with the same files linked anew, and says in what they differ first. Both are taken in their dense
    /// form, in which everything stands where it must.
    pub(crate) fn verify(&self) -> Result<(), LinkError> {
        let Err(failed) = self.linked.verify() else {
            return Ok(());
        };
        if let Ok(anew) = self.linked.linked_anew() {
            let (output, anew) = (self.linked.finish(), anew.finish());
            let report = inspect::verify(
                &output.map_err(anyhow::Error::from)?,
                &anew.map_err(anyhow::Error::from)?,
            );
            let report = report.map_err(anyhow::Error::from)?;
            if let Some(difference) = report.differences.first() {
                self.reporter.line(&difference.to_string())?;
            }
        }
        Err(failed.into())
    }

    /// The files that the link was made of.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.linked.files()
    }

    /// How many versions were published.
    pub(crate) fn versions(&self) -> u64 {
        self.versions
    }
}
