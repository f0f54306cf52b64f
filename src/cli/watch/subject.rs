//! What a watch drives: a build of a module, or a link. Both follow files, and know nothing of when.

use std::path::{Path, PathBuf};

use wasmend::{Error, Patch};

use crate::cli::following::{Following, Kept};
use crate::cli::report::Reporter;
use crate::cli::watch::settle::{FileName, Haste};

/// A file to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Followed {
    pub(crate) name: FileName,
    /// Whether nothing can be done while it is missing.
    pub(crate) is_required: bool,
}

/// Something with an output that follows files.
pub(crate) trait Subject {
    /// What is watched, in words.
    fn describe(&self) -> String;

    /// The file that events name.
    fn build(&self) -> &Path;

    /// The output.
    fn output(&self) -> &Path;

    /// The files to look at, as far as they can be told now; what they say may lead to others. Those that have not changed
    /// since they were last looked into are not looked into again.
    fn files(&mut self, changed: &[PathBuf]) -> Vec<Followed>;

    /// Brings the output up to date with files that look other than before, and reports it.
    fn update(&mut self, changed: &[PathBuf]) -> Result<Patch, Refusal>;

    /// Forgets what is kept of the output: the next update writes it whole.
    fn forget(&mut self);

    /// How many versions were published.
    fn versions(&self) -> u64;

    /// The output as it is kept for the next process, if it is.
    fn kept(&mut self) -> Option<&mut Following<dyn Kept>> {
        None
    }
}

/// Why the output was not brought up to date.
pub(crate) enum Refusal {
    /// What was read is of no use, until a file changes.
    Useless(Complaint, Haste),
    /// It may work later, though no file changes: the trouble is with the output, or with the system.
    Later(Complaint),
    /// A file changed while it was read.
    Overtaken,
    /// There is no going on.
    End(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Refusal {
        Refusal::End(error)
    }
}

/// What is to be said of a refusal, if it lasts.
pub(crate) struct Complaint {
    /// The first error, if there are several.
    pub(crate) error: Error,
    say: Box<dyn Fn(Reporter) -> anyhow::Result<()>>,
}

impl Complaint {
    /// One error.
    pub(crate) fn of(error: Error) -> Complaint {
        let said = error.clone();
        Complaint::new(error, move |reporter| reporter.error(&said))
    }

    /// What is said by other means; `error` is the first of it.
    pub(crate) fn new(
        error: Error,
        say: impl Fn(Reporter) -> anyhow::Result<()> + 'static,
    ) -> Complaint {
        let say = Box::new(say);
        Complaint { error, say }
    }

    pub(crate) fn say(&self, reporter: Reporter) -> anyhow::Result<()> {
        (self.say)(reporter)
    }
}
