//! An output that follows files, version by version: what `Patcher` and `LinkPatcher` do alike. Each version is handed out, counted and kept
//! as a patch, and what the next process needs is saved. What is patched, and what of it is said, is not known here.

use std::path::{Path, PathBuf};

use wasmend::link::KeptLink;
use wasmend::output::OutputOptions;
use wasmend::{KeptWhole, Outcome, Patch};

use crate::cli::keeping::Keeping;
use crate::cli::patch_folder::PatchFolder;
use crate::cli::record::Record;
use crate::cli::report::Reporter;

/// What is patched, and may be kept for the next process.
pub(crate) trait Kept {
    /// Whether there is anything yet.
    fn is_there(&self) -> bool;

    /// Saves it, in a process that goes on. Returns how many bytes were written, or why nothing is kept.
    fn save(&mut self) -> Result<u64, String>;

    /// The same in a process that ends.
    fn end(&mut self) -> Result<u64, String>;

    /// Forgets it.
    fn forget(&mut self);
}

impl Kept for KeptLink {
    fn is_there(&self) -> bool {
        self.is_linked()
    }

    fn save(&mut self) -> Result<u64, String> {
        self.save()
    }

    fn end(&mut self) -> Result<u64, String> {
        self.end()
    }

    fn forget(&mut self) {
        self.forget();
    }
}

impl Kept for KeptWhole {
    fn is_there(&self) -> bool {
        self.is_made()
    }

    fn save(&mut self) -> Result<u64, String> {
        self.save()
    }

    fn end(&mut self) -> Result<u64, String> {
        self.end()
    }

    fn forget(&mut self) {
        self.forget();
    }
}

/// An output and what goes with each of its versions.
pub(crate) struct Following<K: ?Sized> {
    /// What was asked for; it may be a copy of what is patched.
    pub(crate) output: PathBuf,
    pub(crate) publishing: OutputOptions,
    pub(crate) reporter: Reporter,
    is_silent_if_unchanged: bool,
    /// Whether anything was said of this output.
    has_begun: bool,
    /// What goes with the state, if that is kept.
    keeping: Option<Keeping>,
    /// The folder in which each version is kept as a patch.
    folder: Option<PathBuf>,
    patches: Option<PatchFolder>,
    versions: u64,
    /// What is patched.
    pub(crate) kept: K,
}

impl<K: Kept> Following<K> {
    /// There is no output yet. Each version is kept in the folder of `patches` too, if there is one.
    pub(crate) fn new(
        kept: K,
        publishing: OutputOptions,
        patches: Option<&Path>,
        reporter: Reporter,
    ) -> Following<K> {
        Following {
            output: PathBuf::new(),
            publishing,
            reporter,
            is_silent_if_unchanged: false,
            has_begun: false,
            keeping: None,
            folder: patches.map(Path::to_path_buf),
            patches: None,
            versions: 0,
            kept,
        }
    }
}

impl<K: Kept + ?Sized> Following<K> {
    /// From now on nothing is said of what changes nothing, but that there was something to go on with.
    pub(crate) fn silence_unchanged(&mut self) {
        self.is_silent_if_unchanged = true;
    }

    /// The next version is the first one of this output.
    pub(crate) fn begin(&mut self, output: &Path) {
        self.output = output.to_path_buf();
        self.patches = self.folder.as_deref().map(PatchFolder::new);
        self.keeping = None;
        self.has_begun = false;
    }

    /// What is patched stands at `place`, and is kept for the next process. If that is not the output, the output is a copy.
    pub(crate) fn keep_at(&mut self, place: PathBuf, copy: Option<PathBuf>) {
        self.keeping = Some(Keeping::new(place, copy, self.reporter));
    }

    /// Where that is which is patched, if it is kept.
    pub(crate) fn place(&self) -> Option<&Path> {
        self.keeping.as_ref().map(Keeping::output)
    }

    /// A version was published, which is handed out and counted, or nothing has changed. `is_anew` if it was not made from what was
    /// kept. Returns whether nothing is to be said of it.
    pub(crate) fn published(&mut self, patch: &Patch, is_anew: bool) -> anyhow::Result<bool> {
        let is_unchanged = matches!(patch.outcome, Outcome::Unchanged);
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        if let Some(keeping) = &mut self.keeping {
            keeping.updated(is_unchanged && !is_anew, &self.publishing)?;
        }
        self.versions += u64::from(!is_unchanged);
        Ok(is_unchanged && self.is_silent_if_unchanged && has_begun)
    }

    /// Notes instead that nothing has changed; `name` is what that is called which is followed.
    pub(crate) fn note_unchanged(&self, name: &Path) {
        self.reporter
            .note(&format!("{}: nothing has changed", name.display()));
    }

    /// Keeps a version as a patch. This and all that is below is done behind the report: the file is there already.
    pub(crate) fn keep_patch(&mut self, patch: &Patch) -> anyhow::Result<()> {
        let output = self.keeping.as_ref().map_or(&*self.output, Keeping::output);
        let kept = self.patches.as_mut().map(|it| it.keep(patch, output));
        match kept {
            Some(Err(error)) => self.reporter.problem(&error, false),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Says, in the log too, what was done with what is kept, if that is kept.
    pub(crate) fn say(&self, record: impl FnOnce() -> Record) -> anyhow::Result<()> {
        let keeping = self.keeping.as_ref();
        keeping.map_or(Ok(()), |keeping| keeping.say(record()))
    }

    /// Whether something is to be saved for the next process.
    pub(crate) fn has_news(&self) -> bool {
        self.keeping.as_ref().is_some_and(Keeping::has_news)
    }

    /// Saves what the next process needs, if this one keeps it.
    pub(crate) fn save(&mut self) -> anyhow::Result<()> {
        match &mut self.keeping {
            Some(keeping) if keeping.has_news() => keeping.saved(self.kept.save()),
            _ => Ok(()),
        }
    }

    /// The same at the end of the process.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        match &mut self.keeping {
            Some(keeping) if self.kept.is_there() => keeping.saved(self.kept.end()),
            _ => Ok(()),
        }
    }

    /// Forgets what is known of the output, which is gone: the next version is written whole. Says whether that is so; a copy need
    /// only be handed out again.
    pub(crate) fn forget(&mut self) -> bool {
        if self.keeping.as_mut().is_some_and(Keeping::is_lost) {
            return false;
        }
        self.kept.forget();
        true
    }

    /// Fails if a version could not be written as a patch.
    pub(crate) fn expect_patches(&self) -> wasmend::Result<()> {
        self.patches
            .as_ref()
            .map_or(Ok(()), PatchFolder::expect_all)
    }

    /// How many versions were published.
    pub(crate) fn versions(&self) -> u64 {
        self.versions
    }
}
