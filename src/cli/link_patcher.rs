//! A linked program that follows its objects: what `replay-ld` and `watch` have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmend::Patch;
use wasmend::inspect;
use wasmend::kept::NoState;
use wasmend::link::{Failed, KeptLink, LinkOptions, LinkReport};
use wasmend::output::OutputOptions;

use crate::cli::following::Following;
use crate::cli::record::Record;
use crate::cli::report::Reporter;
use crate::cli::{kept, ld_state, link_report};
use crate::stopwatch::Stopwatch;

/// A linked program, and where is said what becomes of it.
pub(crate) struct LinkPatcher {
    pub(crate) following: Following<KeptLink>,
    /// Whether state is kept if options or the environment ask for it.
    may_keep: bool,
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
    /// Nothing is linked yet. Each version is kept in the folder of `patches` too, if there is one.
    pub(crate) fn new(
        publishing: OutputOptions,
        patches: Option<&Path>,
        reporter: Reporter,
    ) -> LinkPatcher {
        LinkPatcher {
            following: Following::new(KeptLink::new(), publishing, patches, reporter),
            may_keep: false,
        }
    }

    /// Keeps what it knows for the next process, if options or the environment ask for it.
    pub(crate) fn keeping_state(self) -> Self {
        LinkPatcher {
            may_keep: true,
            ..self
        }
    }

    /// Links for the first time, or goes on where another process ended, and reports it.
    pub(crate) fn link(&mut self, mut options: LinkOptions) -> Result<Patch, LinkError> {
        let following = &mut self.following;
        for warning in &options.warnings {
            following.reporter.warning(warning)?;
        }
        options.incremental = Some(true);
        following.begin(&options.output);
        let mut stopwatch = Stopwatch::start();
        let publishing = following.publishing.clone();
        let (report, anew) = match self.may_keep && ld_state::is_kept(&options) {
            false => {
                let link = &mut following.kept;
                let report = link.link_unkept(&options, publishing, NoState::None)?;
                (report, None)
            }
            true => {
                let (options, copy) = ld_state::placed(options)?;
                let output = options.output.clone();
                let done = match kept::why_started_again() {
                    Some(reason) if following.versions() == 0 => {
                        let report = following.kept.link_anew(&options, publishing)?;
                        (report, Some(reason))
                    }
                    _ => following.kept.link(&options, &publishing)?,
                };
                following.keep_at(output, copy);
                done
            }
        };
        let name = following.output.clone();
        self.published(&name, report, anew, stopwatch.lap())
    }

    /// Brings the output up to date with files that may have changed, and reports it. `name` is what these are called.
    pub(crate) fn update(&mut self, files: &[PathBuf], name: &Path) -> Result<Patch, LinkError> {
        let mut stopwatch = Stopwatch::start();
        let Following {
            kept, publishing, ..
        } = &mut self.following;
        let (report, anew) = kept.update(publishing, files)?;
        self.published(name, report, anew, stopwatch.lap())
    }

    /// Says what was published, and does what is to be done behind that; `anew` is why all was linked, if it was instead of what
    /// was to be done.
    fn published(
        &mut self,
        name: &Path,
        mut report: LinkReport,
        anew: Option<NoState>,
        took: Duration,
    ) -> Result<Patch, LinkError> {
        let following = &mut self.following;
        let handed_out = following.published(&report.patch, anew.is_some());
        // A copy that cannot be written is as an output that cannot.
        let is_silent = handed_out.map_err(|error| match error.downcast::<wasmend::Error>() {
            Ok(error) => LinkError::Failed(error.into()),
            Err(error) => LinkError::Unsaid(error),
        })?;
        link_report::warn(&report, following.reporter)?;
        match is_silent {
            true => following.note_unchanged(name),
            false => {
                let (output, reporter) = (&following.output, following.reporter);
                link_report::say_updated(output, name, &report, took, reporter)?;
                link_report::print_stats(&report, reporter);
            }
        }
        // Only who runs the program waits for this.
        if let Some(step) = report.patch.live.take() {
            let step = following.kept.describe(step).map_err(anyhow::Error::from)?;
            report.patch.live = Some(step);
        }
        following.keep_patch(&report.patch)?;
        following.kept.prepare();
        if is_silent {
            return Ok(report.patch);
        }
        following.say(|| {
            let (output, patch, unsaved) = (&following.output, &report.patch, Ok(0));
            match &anew {
                None => Record::updated(output, patch, &unsaved, took)
                    .of_functions(link_report::counts(&report).sum())
                    .resolved_anew(report.resolved_anew),
                Some(why) => Record::linked(output, why, patch, &unsaved, took)
                    .of_functions(report.counts.functions as u64),
            }
        })?;
        Ok(report.patch)
    }

    /// Compares the output with the same files linked anew, and says in what they differ first. Both are taken in their dense
    /// form, in which everything stands where it must.
    pub(crate) fn verify(&self) -> Result<(), LinkError> {
        let Err(failed) = self.following.kept.verify() else {
            return Ok(());
        };
        if let Ok((output, anew)) = self.following.kept.both_finished() {
            let report = inspect::verify(&output, &anew).map_err(anyhow::Error::from)?;
            if let Some(difference) = report.differences.first() {
                self.following.reporter.line(&difference.to_string())?;
            }
        }
        Err(failed.into())
    }

    /// The files that the link was made of.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.following.kept.files()
    }
}
