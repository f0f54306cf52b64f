//! What one link that keeps its state did: the line that says so, the event, and the line of the log, which is the event with the
//! time. It does not know who linked.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wasmend::Outcome;
use wasmend::kept::NoState;
use wasmend::link::{Failed, FallbackReason, LinkReport};

use crate::cli::text::{count, number, time, utc};

/// What a link did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkRecord {
    pub(crate) output: String,
    /// `unchanged`, `patched`, `rebuilt` (written anew from what was kept), `linked` (from the inputs) or `failed`.
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

impl LinkRecord {
    fn new(output: &Path, outcome: &str, took: Duration) -> LinkRecord {
        LinkRecord {
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

    /// A link that found nothing to do.
    pub(crate) fn unchanged(output: &Path, took: Duration) -> LinkRecord {
        LinkRecord::new(output, "unchanged", took)
    }

    /// A link that failed.
    pub(crate) fn failed(output: &Path, failed: &Failed, took: Duration) -> LinkRecord {
        LinkRecord {
            reason: failed.errors().first().map(ToString::to_string),
            ..LinkRecord::new(output, "failed", took)
        }
    }

    /// A link that went on with what was kept.
    pub(crate) fn updated(
        output: &Path,
        report: &LinkReport,
        saved: &Result<u64, String>,
        took: Duration,
    ) -> LinkRecord {
        let relink = report.patch.relink_reason();
        let outcome = match &report.patch.outcome {
            Outcome::Unchanged => "unchanged",
            Outcome::Patched(_) => "patched",
            Outcome::Relinked(_) => "rebuilt",
        };
        let edits = &report.edits;
        LinkRecord {
            reason: relink.map(|reason| reason.to_string()),
            code: relink.map(|reason| format!("R{:02}", reason.number())),
            resolved_anew: report
                .resolved_anew
                .map(|reason: FallbackReason| reason.to_string()),
            functions: u64::from(edits.changed) + u64::from(edits.added) + u64::from(edits.removed),
            ..LinkRecord::new(output, outcome, took).with_files(report, saved)
        }
    }

    /// A link from the inputs.
    pub(crate) fn linked(
        output: &Path,
        why: &NoState,
        report: &LinkReport,
        saved: &Result<u64, String>,
        took: Duration,
    ) -> LinkRecord {
        LinkRecord {
            reason: Some(why.to_string()),
            code: Some(LinkRecord::code_of(why)),
            functions: report.counts.functions as u64,
            ..LinkRecord::new(output, "linked", took).with_files(report, saved)
        }
    }

    /// What a reason is called by `wasmend explain`.
    pub(crate) fn code_of(reason: &NoState) -> String {
        format!("S{:02}", reason.number())
    }

    fn with_files(self, report: &LinkReport, saved: &Result<u64, String>) -> LinkRecord {
        LinkRecord {
            bytes_written: report.patch.bytes_written(),
            file_bytes: report.patch.file_len,
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
    pub(crate) link: LinkRecord,
}

impl Logged {
    /// What a link has just done.
    pub(crate) fn now(link: LinkRecord) -> Logged {
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
