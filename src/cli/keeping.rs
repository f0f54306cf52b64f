//! What an output has that is kept by a process that goes on, beside what is kept: where it stands, a copy that is asked for, the log, and
//! whether something is to be saved. What is kept, and how, is not known here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmend::output::OutputOptions;

use crate::cli::kept;
use crate::cli::record::Record;
use crate::cli::report::Reporter;

/// How long nothing must happen before the state is saved: nobody is to wait for it who goes on editing.
pub(crate) const REST: Duration = Duration::from_millis(300);

/// An output of which something is kept.
#[derive(Debug)]
pub(crate) struct Keeping {
    /// Where it stands.
    output: PathBuf,
    /// Where a copy of it goes, which is what was asked for then.
    copy: Option<PathBuf>,
    is_handed_out: bool,
    is_saved: bool,
    /// Why nothing could be kept, as it was said last.
    said: Option<String>,
    reporter: Reporter,
}

impl Keeping {
    pub(crate) fn new(output: PathBuf, copy: Option<PathBuf>, reporter: Reporter) -> Keeping {
        Keeping {
            output,
            copy,
            is_handed_out: false,
            is_saved: true,
            said: None,
            reporter,
        }
    }

    /// Where the output stands that is patched.
    pub(crate) fn output(&self) -> &Path {
        &self.output
    }

    /// The output was brought up to date: what was asked for is made of it, if that is a copy.
    pub(crate) fn updated(
        &mut self,
        is_unchanged: bool,
        publishing: &OutputOptions,
    ) -> anyhow::Result<()> {
        self.is_saved &= is_unchanged;
        if !(is_unchanged && self.is_handed_out) {
            self.is_handed_out = false;
            kept::hand_out(&self.output, self.copy.as_deref(), publishing)?;
            self.is_handed_out = true;
        }
        Ok(())
    }

    /// Says what was done, behind the report.
    pub(crate) fn say(&self, record: Record) -> anyhow::Result<()> {
        kept::has_done_something();
        self.reporter
            .note(&format!("{}: {}", record.output, record.line()));
        kept::log(record, &self.output, self.reporter)
    }

    /// Notes that the output is gone. Says whether it only need be handed out again.
    pub(crate) fn is_lost(&mut self) -> bool {
        self.is_handed_out = false;
        self.copy.is_some()
    }

    /// Whether something is to be saved.
    pub(crate) fn has_news(&self) -> bool {
        !self.is_saved
    }

    /// What was to be kept was saved, or why not; that is said once.
    pub(crate) fn saved(&mut self, saved: Result<u64, String>) -> anyhow::Result<()> {
        self.is_saved = true;
        match saved {
            Ok(bytes) => {
                self.said = None;
                let bytes = crate::cli::text::number(bytes);
                self.reporter
                    .note(&format!("{bytes} bytes of state written"));
                Ok(())
            }
            Err(why) if self.said.as_ref() == Some(&why) => Ok(()),
            Err(why) => {
                let text = format!("nothing is kept for the next process: {why}");
                self.said = Some(why);
                self.reporter.warning(&text)
            }
        }
    }
}
