//! A linked program that follows its objects: what `replay-ld` and `watch` have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmend::inspect;
use wasmend::kept::NoState;
use wasmend::link::{Failed, KeptLink, LinkOptions, LinkReport};
use wasmend::output::OutputOptions;
use wasmend::{Outcome, Patch};

use crate::cli::keeping::Keeping;
use crate::cli::patch_folder::PatchFolder;
use crate::cli::record::Record;
use crate::cli::report::Reporter;
use crate::cli::{kept, ld_state, link_report};
use crate::stopwatch::Stopwatch;

/// A linked program, and where is said what becomes of it.
pub(crate) struct LinkPatcher {
    link: KeptLink,
    publishing: OutputOptions,
    output: PathBuf,
    reporter: Reporter,
    is_silent_if_unchanged: bool,
    /// Whether state is kept if options or the environment ask for it, and what goes with it if so.
    may_keep: bool,
    keeping: Option<Keeping>,
    /// The folder in which each version is kept as a patch.
    folder: Option<PathBuf>,
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
    /// Nothing is linked yet. Each version is kept in the folder of `patches` too, if there is one.
    pub(crate) fn new(
        publishing: OutputOptions,
        patches: Option<&Path>,
        reporter: Reporter,
    ) -> LinkPatcher {
        LinkPatcher {
            link: KeptLink::new(),
            publishing,
            output: PathBuf::new(),
            reporter,
            is_silent_if_unchanged: false,
            may_keep: false,
            keeping: None,
            folder: patches.map(Path::to_path_buf),
            patches: None,
            versions: 0,
        }
    }

    /// Says nothing of updates that change nothing.
    pub(crate) fn silent_if_unchanged(self) -> Self {
        LinkPatcher {
            is_silent_if_unchanged: true,
            ..self
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
        for warning in &options.warnings {
            self.reporter.warning(warning)?;
        }
        options.incremental = Some(true);
        self.output.clone_from(&options.output);
        self.patches = self.folder.as_deref().map(PatchFolder::new);
        self.keeping = None;
        let mut stopwatch = Stopwatch::start();
        let (report, anew) = match self.may_keep && ld_state::is_kept(&options) {
            false => {
                let publishing = self.publishing.clone();
                let report = self.link.link_unkept(&options, publishing, NoState::None)?;
                (report, None)
            }
            true => {
                let (options, copy) = ld_state::placed(options)?;
                let output = options.output.clone();
                let done = match kept::why_started_again() {
                    Some(reason) if self.versions == 0 => {
                        let report = self.link.link_anew(&options, self.publishing.clone())?;
                        (report, Some(reason))
                    }
                    _ => self.link.link(&options, &self.publishing)?,
                };
                self.keeping = Some(Keeping::new(output, copy, self.reporter));
                done
            }
        };
        let name = self.output.clone();
        // That there was something to go on with is of interest.
        let is_silent = std::mem::take(&mut self.is_silent_if_unchanged);
        let patch = self.published(&name, report, anew, stopwatch.lap());
        self.is_silent_if_unchanged = is_silent;
        patch
    }

    /// Brings the output up to date with files that may have changed, and reports it. `name` is what these are called.
    pub(crate) fn update(&mut self, files: &[PathBuf], name: &Path) -> Result<Patch, LinkError> {
        let mut stopwatch = Stopwatch::start();
        let (report, anew) = self.link.update(&self.publishing, files)?;
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
        let is_unchanged = matches!(report.patch.outcome, Outcome::Unchanged);
        if let Some(keeping) = &mut self.keeping {
            let handed_out = keeping.updated(is_unchanged && anew.is_none(), &self.publishing);
            // A copy that cannot be written is as an output that cannot.
            handed_out.map_err(|error| match error.downcast::<wasmend::Error>() {
                Ok(error) => LinkError::Failed(error.into()),
                Err(error) => LinkError::Unsaid(error),
            })?;
        }
        self.report(name, &report, took)?;
        // Behind the report: the file is there, and only who runs the program waits for this.
        if let Some(step) = report.patch.live.take() {
            let step = self.link.describe(step).map_err(anyhow::Error::from)?;
            report.patch.live = Some(step);
        }
        self.keep_patch(&report.patch)?;
        self.link.prepare();
        if let Some(keeping) = &self.keeping
            && !(is_unchanged && self.is_silent_if_unchanged)
        {
            let unsaved = Ok(0);
            let (output, patch) = (&self.output, &report.patch);
            let record = match &anew {
                None => Record::updated(output, patch, &unsaved, took)
                    .of_functions(link_report::counts(&report).sum())
                    .resolved_anew(report.resolved_anew),
                Some(why) => Record::linked(output, why, patch, &unsaved, took)
                    .of_functions(report.counts.functions as u64),
            };
            keeping.say(record)?;
        }
        Ok(report.patch)
    }

    /// Whether something is to be saved for the next process.
    pub(crate) fn has_news(&self) -> bool {
        self.keeping.as_ref().is_some_and(Keeping::has_news)
    }

    /// Saves what the next process needs, if this one keeps it.
    pub(crate) fn save(&mut self) -> anyhow::Result<()> {
        match &mut self.keeping {
            Some(keeping) if keeping.has_news() => keeping.saved(self.link.save()),
            _ => Ok(()),
        }
    }

    /// The same at the end of the process.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        match &mut self.keeping {
            Some(keeping) if self.link.is_linked() => keeping.saved(self.link.end()),
            _ => Ok(()),
        }
    }

    /// Forgets what is kept of the output, which is gone. Says whether all has to be linked anew.
    pub(crate) fn forget(&mut self) -> bool {
        if self.keeping.as_mut().is_some_and(Keeping::is_lost) {
            return false;
        }
        self.link.forget();
        true
    }

    /// Where the output stands that is patched, if what was asked for is a copy.
    pub(crate) fn kept(&self) -> Option<&Path> {
        self.keeping.as_ref().map(Keeping::output)
    }

    fn keep_patch(&mut self, patch: &Patch) -> anyhow::Result<()> {
        let output = self.keeping.as_ref().map_or(&*self.output, Keeping::output);
        let kept = self.patches.as_mut().map(|it| it.keep(patch, output));
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
        let Err(failed) = self.link.verify() else {
            return Ok(());
        };
        if let Ok((output, anew)) = self.link.both_finished() {
            let report = inspect::verify(&output, &anew).map_err(anyhow::Error::from)?;
            if let Some(difference) = report.differences.first() {
                self.reporter.line(&difference.to_string())?;
            }
        }
        Err(failed.into())
    }

    /// The files that the link was made of.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.link.files()
    }

    /// How many versions were published.
    pub(crate) fn versions(&self) -> u64 {
        self.versions
    }
}
