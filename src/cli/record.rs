//! What one process that keeps its state did, a link or a patch: the line that says so, the event, and the line of the log, which
//! is the event with the time. It does not know who it was.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wasmend::kept::NoState;
use wasmend::link::FallbackReason;
use wasmend::{Error, Outcome, Patch};

use crate::cli::text::{count, number, time, utc};

/// What a process did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) output: String,
    /// `unchanged`, `patched`, `rebuilt` (written anew from what was kept), `linked` (from the inputs), `created` (from the build) or
    /// `failed`.
    pub(crate) outcome: String,
    /// Why it was not a patch; of a failure, the first error.
    pub(crate) reason: Option<String>,
    /// The number of that reason, for `wasmend explain`.
    pub(crate) code: Option<String>,
    /// Why all symbols were resolved anew, if they were.
    pub(crate) resolved_anew: Option<String>,
    /// How many functions changed, came or went.
    pub(crate) functions: u64,
    pub(crate) bytes_written: u64,
    pub(crate) file_bytes: u64,
    /// How much of the state was written for the next link.
    pub(crate) state_bytes: u64,
    /// Why no state is kept, if none is.
    pub(crate) state_problem: Option<String>,
    pub(crate) micros: f64,
}

impl Record {
    fn new(output: &Path, outcome: &str, took: Duration) -> Record {
        Record {
            output: output.display().to_string(),
            outcome: outcome.to_owned(),
            reason: None,
            code: None,
            resolved_anew: None,
            functions: 0,
            bytes_written: 0,
            file_bytes: 0,
            state_bytes: 0,
            state_problem: None,
            micros: took.as_nanos() as f64 / 1e3,
        }
    }

    /// It found nothing to do.
    pub(crate) fn unchanged(output: &Path, took: Duration) -> Record {
        Record::new(output, "unchanged", took)
    }

    /// It failed; with which error first.
    pub(crate) fn failed(output: &Path, error: Option<&Error>, took: Duration) -> Record {
        Record {
            reason: error.map(ToString::to_string),
            ..Record::new(output, "failed", took)
        }
    }

    /// It went on with what was kept.
    pub(crate) fn updated(
        output: &Path,
        patch: &Patch,
        saved: &Result<u64, String>,
        took: Duration,
    ) -> Record {
        let relink = patch.relink_reason();
        let outcome = match &patch.outcome {
            Outcome::Unchanged => "unchanged",
            Outcome::Patched(_) => "patched",
            Outcome::Relinked(_) => "rebuilt",
        };
        Record {
            reason: relink.map(|reason| reason.to_string()),
            code: relink.map(|reason| format!("R{:02}", reason.number())),
            ..Record::new(output, outcome, took).with_files(patch, saved)
        }
    }

    /// All was linked, from the inputs.
    pub(crate) fn linked(
        output: &Path,
        why: &NoState,
        patch: &Patch,
        saved: &Result<u64, String>,
        took: Duration,
    ) -> Record {
        Record {
            reason: Some(why.to_string()),
            code: Some(Record::code_of(why)),
            ..Record::new(output, "linked", took).with_files(patch, saved)
        }
    }

    /// The output was made anew, from the build.
    pub(crate) fn created(self) -> Record {
        Record {
            outcome: "created".to_owned(),
            ..self
        }
    }

    /// How many functions changed, came or went.
    pub(crate) fn of_functions(self, functions: u64) -> Record {
        Record { functions, ..self }
    }

    /// Why all symbols were resolved anew, if they were.
    pub(crate) fn resolved_anew(self, reason: Option<FallbackReason>) -> Record {
        Record {
            resolved_anew: reason.map(|reason| reason.to_string()),
            ..self
        }
    }

    /// What a reason is called by `wasmend explain`.
    pub(crate) fn code_of(reason: &NoState) -> String {
        format!("S{:02}", reason.number())
    }

    fn with_files(self, patch: &Patch, saved: &Result<u64, String>) -> Record {
        Record {
            bytes_written: patch.bytes_written(),
            file_bytes: patch.file_len,
            state_bytes: saved.as_ref().copied().unwrap_or(0),
            state_problem: saved.as_ref().err().cloned(),
            ..self
        }
    }

    /// What was done, in one line.
    pub(crate) fn line(&self) -> String {
        let took = time(Duration::from_nanos((self.micros * 1e3) as u64));
        let functions = count(self.functions, "function");
        let written = match self.bytes_written == self.file_bytes {
            true => count(self.bytes_written, "byte"),
            false => format!(
                "{} of {} bytes",
                number(self.bytes_written),
                number(self.file_bytes)
            ),
        };
        let reason = self.reason.as_deref().unwrap_or("for no known reason");
        let mut line = match self.outcome.as_str() {
            "unchanged" => format!("nothing has changed, {took}"),
            "patched" => format!("patched {functions}, {written}, {took}"),
            "rebuilt" => format!("rebuilt: {reason}; {functions}, {written}, {took}"),
            "created" => format!("made anew: {reason}; {functions}, {written}, {took}"),
            "linked" => format!("all is linked: {reason}; {functions}, {written}, {took}"),
            _ => format!("failed: {reason}; {took}"),
        };
        if let Some(reason) = &self.resolved_anew {
            line += &format!("; all symbols were resolved anew: {reason}");
        }
        match &self.state_problem {
            Some(problem) => line += &format!("; no state was kept: {problem}"),
            None if self.state_bytes > 0 => {
                line += &format!("; {} bytes of state written", number(self.state_bytes));
            }
            None => {}
        }
        line
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Logged {
    pub(crate) time: String,
    #[serde(flatten)]
    pub(crate) link: Record,
}

impl Logged {
    /// What has just been done.
    pub(crate) fn now(link: Record) -> Logged {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Logged {
            time: utc(now.unwrap_or_default().as_secs()),
            link,
        }
    }

    /// The log of an output, oldest first. What is no line of a log is left out.
    pub(crate) fn all(kept: &Path) -> Vec<Logged> {
        let lines = wasmend::kept::read_log(kept);
        let lines = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.collect()
    }
}
