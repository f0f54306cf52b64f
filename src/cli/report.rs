//! Everything that a command says: lines for people, or one JSON object a line.
//!
//! Results go to standard output, what went wrong to standard error. With `--json` standard output has events only,
//! an error's among them. [`EVENT_VERSION`] changes when an event changes its meaning or loses a field.

use std::borrow::Cow;
use std::io::ErrorKind::BrokenPipe;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use wasmend::{Error, ErrorKind, LiveStep, Outcome, Patch};

use crate::cli::args::Color;
use crate::cli::record::{Logged, Record};
use crate::cli::text;

/// Version of the events, in each of them.
pub(crate) const EVENT_VERSION: u32 = 1;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// What happened, for programs.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    Update(UpdateEvent),
    Linked(LinkedEvent),
    State(Record),
    Doctor(DoctorEvent),
    Cleaned {
        output: String,
        removed: Vec<String>,
        bytes: u64,
        left: Vec<String>,
    },
    Listing {
        text: String,
    },
    Warning {
        message: String,
    },
    Error(ErrorEvent),
    Watching {
        build: String,
        output: String,
    },
    Serving {
        url: String,
        root: String,
    },
    Waiting {
        build: String,
        reason: String,
    },
    Stopped {
        versions: u64,
    },
    Map(serde_json::Value),
    Snapshot {
        text: String,
    },
    Reason {
        code: String,
        name: String,
        when: String,
        what_to_do: String,
    },
    Verified {
        output: String,
        build: String,
        equivalent: bool,
        equal: u32,
        left_out: u32,
        differences: Vec<String>,
    },
    Applied {
        output: String,
        patch: String,
        generation: u64,
        build_id: String,
        whole: bool,
        bytes_written: u64,
        file_bytes: u64,
    },
    Finished {
        output: String,
        dense: String,
        bytes: u64,
        dense_bytes: u64,
    },
    Demo(serde_json::Value),
}

/// What came of a build.
#[derive(Debug, Serialize)]
pub(crate) struct UpdateEvent {
    pub(crate) output: String,
    pub(crate) build: String,
    /// `created`, `patched`, `rebuilt` or `unchanged`.
    pub(crate) outcome: &'static str,
    pub(crate) generation: u64,
    pub(crate) build_id: String,
    pub(crate) functions: Counts,
    pub(crate) bytes_written: u64,
    pub(crate) file_bytes: u64,
    pub(crate) ranges: Vec<RangeEvent>,
    pub(crate) relink: Option<RelinkEvent>,
    /// Only with `--live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<LiveEvent>,
    pub(crate) micros: f64,
    pub(crate) phases: Vec<PhaseEvent>,
}

/// What a version means for instances that run.
#[derive(Debug, Serialize)]
pub(crate) struct LiveEvent {
    /// Bytes of the delta; `null` if it was refused.
    pub(crate) delta_bytes: Option<u64>,
    pub(crate) refused: Vec<RefusedEvent>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RefusedEvent {
    pub(crate) number: u32,
    pub(crate) reason: &'static str,
    pub(crate) symbol: String,
}

impl LiveEvent {
    fn of(step: &LiveStep) -> LiveEvent {
        match step {
            LiveStep::Delta { delta, .. } => LiveEvent {
                delta_bytes: Some(delta.bytes.len() as u64),
                refused: Vec::new(),
            },
            LiveStep::Refused(refusals) => LiveEvent {
                delta_bytes: None,
                refused: refusals
                    .iter()
                    .map(|refusal| RefusedEvent {
                        number: refusal.reason.number(),
                        reason: refusal.reason.name(),
                        symbol: refusal.symbol.clone(),
                    })
                    .collect(),
            },
        }
    }
}

/// How many functions a version changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) changed: u64,
    pub(crate) added: u64,
    pub(crate) removed: u64,
}

impl Counts {
    pub(crate) fn sum(self) -> u64 {
        self.changed + self.added + self.removed
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct RangeEvent {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct RelinkEvent {
    pub(crate) number: u8,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct PhaseEvent {
    pub(crate) phase: &'static str,
    pub(crate) micros: f64,
}

/// A phase of a link: what all threads took of the processors, and for how much of it there was work for all of them; with
/// one thread also how long more cores would take.
#[derive(Debug, Serialize)]
pub(crate) struct LinkPhaseEvent {
    pub(crate) phase: &'static str,
    pub(crate) micros: f64,
    pub(crate) processor_micros: f64,
    pub(crate) shared: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cores: Vec<CoresEvent>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CoresEvent {
    pub(crate) cores: u32,
    pub(crate) micros: f64,
}

/// What a link made.
#[derive(Debug, Serialize)]
pub(crate) struct LinkedEvent {
    pub(crate) output: String,
    pub(crate) patchable: bool,
    pub(crate) file_bytes: u64,
    pub(crate) files: usize,
    pub(crate) objects: usize,
    pub(crate) symbols: usize,
    pub(crate) relocations: usize,
    pub(crate) functions: usize,
    pub(crate) micros: f64,
    pub(crate) phases: Vec<LinkPhaseEvent>,
}

/// What the doctor found.
#[derive(Debug, Serialize)]
pub(crate) struct DoctorEvent {
    pub(crate) output: String,
    pub(crate) healthy: bool,
    /// What is wrong, a sentence each.
    pub(crate) problems: Vec<String>,
    pub(crate) generation: Option<u64>,
    pub(crate) build_id: Option<String>,
    pub(crate) state: bool,
    /// The process that keeps it in memory.
    pub(crate) daemon: Option<u32>,
    /// `nothing`, `update` or `all`.
    pub(crate) next: &'static str,
    /// Why all is going to be linked.
    pub(crate) reason: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) files: Vec<StateFileEvent>,
    pub(crate) links: Vec<Logged>,
}

/// A file of a state folder.
#[derive(Debug, Serialize)]
pub(crate) struct StateFileEvent {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) allocated: u64,
    pub(crate) leftover: bool,
}

/// An error, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorEvent {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) path: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) offset: Option<u64>,
    pub(crate) hint: Option<String>,
    pub(crate) exit_code: u8,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    event: &'a Event,
}

/// Where a command says what it did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter {
    json: bool,
    verbose: bool,
}

impl Reporter {
    pub(crate) fn new(json: bool, verbose: bool) -> Self {
        Reporter { json, verbose }
    }

    /// Whether a program reads what is said.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether more is to be said than usual.
    pub(crate) fn is_verbose(self) -> bool {
        self.verbose
    }

    /// Tells a program, with `--json`.
    pub(crate) fn event(self, event: &Event) -> anyhow::Result<()> {
        if self.json {
            let line = serde_json::to_string(&Line {
                version: EVENT_VERSION,
                event,
            })?;
            let mut out = std::io::stdout().lock();
            writeln!(out, "{line}")?;
            out.flush()?;
        }
        Ok(())
    }

    /// Tells a person, without `--json`.
    pub(crate) fn line(self, line: &str) -> anyhow::Result<()> {
        self.styled(&for_people(line, &stdout()))
    }

    /// As [`line`](Reporter::line), of a line with styles, in which only they are control characters.
    fn styled(self, line: &str) -> anyhow::Result<()> {
        if !self.json {
            let mut out = anstream::stdout().lock();
            writeln!(out, "{line}")?;
            out.flush()?;
        }
        Ok(())
    }

    /// Tells either.
    pub(crate) fn both(self, event: &Event, line: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json {
            self.event(event)
        } else {
            self.line(&line())
        }
    }

    /// Something that a person should know although it is no error.
    pub(crate) fn warning(self, message: &str) -> anyhow::Result<()> {
        self.event(&Event::Warning {
            message: message.to_owned(),
        })?;
        // Standard error may be closed; there is nobody to tell then.
        let message = for_people(message, &stderr());
        let _ = writeln!(anstream::stderr(), "{WARNING}warning{WARNING:#}: {message}");
        Ok(())
    }

    /// A warning that is about something, the way compilers print theirs; or an error, if warnings are.
    pub(crate) fn problem(self, warning: &Error, is_error: bool) -> anyhow::Result<()> {
        if is_error {
            return self.error(warning);
        }
        let text = error_text(warning);
        let text = text.strip_prefix(&format!("{ERROR}error{ERROR:#}"));
        match text {
            Some(rest) => {
                self.event(&Event::Warning {
                    message: warning.to_string(),
                })?;
                let _ = write!(anstream::stderr(), "{WARNING}warning{WARNING:#}{rest}");
                Ok(())
            }
            None => self.warning(&warning.to_string()),
        }
    }

    /// Something for those who want to know more, with `--verbose`.
    pub(crate) fn note(self, message: &str) {
        if self.verbose {
            let message = for_people(message, &stderr());
            let _ = writeln!(anstream::stderr(), "{FAINT}note: {message}{FAINT:#}");
        }
    }

    /// An error, the way compilers print theirs.
    pub(crate) fn error(self, error: &Error) -> anyhow::Result<()> {
        self.event(&Event::Error(error_event(error)))?;
        let _ = anstream::stderr().write_all(error_text(error).as_bytes());
        Ok(())
    }

    /// What came of a build: one line, and its phases with `--verbose`.
    pub(crate) fn update(
        self,
        output: &Path,
        build: &Path,
        counts: Counts,
        patch: &Patch,
        took: Duration,
    ) -> anyhow::Result<()> {
        match self.json {
            true => self.event(&Event::Update(update_event(
                output, build, counts, patch, took,
            )))?,
            false => self.styled(&update_line(build, counts, patch, took))?,
        }
        if let Some(LiveStep::Refused(refusals)) = &patch.live {
            for refusal in refusals {
                self.note(&format!("what runs cannot be patched: {refusal}"));
            }
        }
        if self.verbose {
            self.note(
                &phases(patch)
                    .map(|(name, time)| format!("{name} {}", text::time(time)))
                    .join(", "),
            );
        }
        Ok(())
    }
}

/// A text without styles as it is written to a stream: terminals get no control characters from names, files have names as
/// they are.
pub(crate) fn for_people<'a>(text: &'a str, stream: &impl IsTerminal) -> Cow<'a, str> {
    match stream.is_terminal() {
        true => text::printable(text),
        false => Cow::Borrowed(text),
    }
}

/// Tells a program that the arguments are wrong.
pub(crate) fn usage_event(error: &clap::Error, exit_code: u8) -> anyhow::Result<()> {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    Reporter::new(true, false).event(&Event::Error(ErrorEvent {
        kind: "usage",
        message: message.to_owned(),
        path: None,
        symbol: None,
        offset: None,
        hint: None,
        exit_code,
    }))
}

fn phases(patch: &Patch) -> [(&'static str, Duration); 5] {
    let phases = &patch.phases;
    [
        ("check", phases.check),
        ("plan", phases.plan),
        ("encode", phases.encode),
        ("publish", phases.publish),
        ("finish", phases.finish),
    ]
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// The path as text; what is not Unicode is replaced.
pub(crate) fn path(path: &Path) -> String {
    path.display().to_string()
}

fn update_event(
    output: &Path,
    build: &Path,
    counts: Counts,
    patch: &Patch,
    took: Duration,
) -> UpdateEvent {
    let ranges = patch.ranges().into_iter().flat_map(|ranges| ranges.iter());
    UpdateEvent {
        output: path(output),
        build: path(build),
        outcome: match &patch.outcome {
            Outcome::Unchanged => "unchanged",
            Outcome::Patched(_) => "patched",
            Outcome::Relinked(wasmend::RelinkReason::First) => "created",
            Outcome::Relinked(_) => "rebuilt",
        },
        generation: patch.identity.generation,
        build_id: patch.identity.hex(),
        functions: counts,
        bytes_written: patch.bytes_written(),
        file_bytes: patch.file_len,
        ranges: ranges
            .map(|(range, _)| RangeEvent {
                offset: range.offset,
                len: range.len,
                reason: range.reason.word(),
            })
            .collect(),
        live: patch.live.as_ref().map(LiveEvent::of),
        relink: patch.relink_reason().map(|reason| RelinkEvent {
            number: reason.number(),
            reason: reason.word(),
        }),
        micros: micros(took),
        phases: phases(patch)
            .map(|(phase, time)| PhaseEvent {
                phase,
                micros: micros(time),
            })
            .into(),
    }
}

/// What a version changed, for a person: `1 function changed, 2 added`.
fn counts_text(counts: Counts) -> String {
    let mut parts = Vec::new();
    for (count, word) in [
        (counts.changed, "changed"),
        (counts.added, "added"),
        (counts.removed, "removed"),
    ] {
        match (count, parts.is_empty()) {
            (0, _) => {}
            (_, true) => parts.push(format!("{} {word}", text::count(count, "function"))),
            (_, false) => parts.push(format!("{} {word}", text::number(count))),
        }
    }
    if parts.is_empty() {
        "no function changed".to_owned()
    } else {
        parts.join(", ")
    }
}

fn update_line(build: &Path, counts: Counts, patch: &Patch, took: Duration) -> String {
    let build = path(build);
    let build = for_people(&build, &stdout());
    let time = text::time(took);
    let size = text::number(patch.file_len);
    let written = text::number(patch.bytes_written());
    match &patch.outcome {
        Outcome::Unchanged => format!("{build}: {STRONG}unchanged{STRONG:#}, {time}"),
        Outcome::Patched(ranges) => format!(
            "{build}: {STRONG}patched{STRONG:#}, {}, {written} of {size} bytes in {}, {time}",
            counts_text(counts),
            text::count(ranges.len() as u64, "range"),
        ),
        Outcome::Relinked(wasmend::RelinkReason::First) => {
            format!(
                "{build}: {STRONG}created{STRONG:#}, {}, {size} bytes, {time}",
                text::count(counts.added, "function")
            )
        }
        Outcome::Relinked(reason) => format!(
            "{build}: {STRONG}rebuilt{STRONG:#} ({reason}), {}, {written} of {size} bytes, {time}",
            counts_text(counts),
        ),
    }
}

/// Sets when messages have colours.
pub(crate) fn choose_color(color: Color) {
    match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Reports what ended a command, and decides how the process ends.
pub(crate) fn failed(error: &anyhow::Error, reporter: Reporter) -> ExitCode {
    ExitCode::from(failed_with(error, reporter))
}

/// Reports what ended a command, and decides the exit code.
pub(crate) fn failed_with(error: &anyhow::Error, reporter: Reporter) -> u8 {
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == BrokenPipe)
    {
        // The reader of standard output has seen enough.
        return 0;
    }
    let error = match error.downcast_ref::<Error>() {
        Some(error) => error.clone(),
        None => Error::new(ErrorKind::Io, format!("{error:#}")),
    };
    // If this cannot be said either, the exit code still tells.
    let _ = reporter.error(&error);
    exit_code(error.kind())
}

/// The exit code of an error: the one place that decides it.
pub(crate) fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Verification => 3,
        ErrorKind::Locked => 4,
        _ => 1,
    }
}

fn error_event(error: &Error) -> ErrorEvent {
    ErrorEvent {
        kind: match error.kind() {
            ErrorKind::BadInput => "bad-input",
            ErrorKind::BadEdit => "bad-edit",
            ErrorKind::Io => "io",
            ErrorKind::OutputChanged => "output-changed",
            ErrorKind::Locked => "locked",
            ErrorKind::Verification => "verification",
            ErrorKind::Limit => "limit",
            _ => "other",
        },
        message: error.message().to_owned(),
        path: error.path().map(path),
        symbol: error.symbol().map(str::to_owned),
        offset: error.offset(),
        hint: error.hint().map(str::to_owned),
        exit_code: exit_code(error.kind()),
    }
}

/// `error: path: message (at offset ..)` and a line with what to do.
fn error_text(error: &Error) -> String {
    let mut text = format!("{ERROR}error{ERROR:#}: ");
    if let Some(path) = error.path() {
        let path = self::path(path);
        text += &format!("{STRONG}{}{STRONG:#}: ", for_people(&path, &stderr()));
    }
    if let Some(symbol) = error.symbol() {
        text += &format!("`{}`: ", for_people(symbol, &stderr()));
    }
    // Some messages have lines of their own; here one line is one error.
    let message: Vec<&str> = error.message().split_whitespace().collect();
    text += &for_people(&message.join(" "), &stderr());
    if let Some(offset) = error.offset() {
        text += &format!(" (at offset {offset:#x})");
    }
    text.push('\n');
    if let Some(hint) = error.hint() {
        text += &format!("{HINT}hint{HINT:#}: {}\n", for_people(hint, &stderr()));
    }
    text
}
