//! What is said of a link: what it made, its warnings, how long it took, or why it failed. It does not know who linked, or why.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use wasmend::ErrorKind;
use wasmend::link::{Counts, Failed, LinkReport};

use crate::cli::report::{self, Event, LinkedEvent, PhaseEvent, Reporter, micros};
use crate::cli::text::{count, time};

/// What a link made, for programs.
pub(crate) fn linked_event(
    report: &LinkReport,
    output: &Path,
    took: Duration,
    patchable: bool,
) -> Event {
    let counts = &report.counts;
    let phases = report.phases.iter().map(|(phase, took)| PhaseEvent {
        phase,
        micros: micros(*took),
    });
    Event::Linked(LinkedEvent {
        output: report::path(output),
        patchable,
        file_bytes: report.patch.file_len,
        files: counts.files,
        objects: counts.objects,
        symbols: counts.symbols,
        relocations: counts.relocations,
        functions: counts.functions,
        micros: micros(took),
        phases: phases.collect(),
    })
}

/// Passes on what the user should know.
pub(crate) fn warn(report: &LinkReport, reporter: Reporter) -> anyhow::Result<()> {
    let mut warnings = report.warnings.iter();
    warnings.try_for_each(|warning| reporter.problem(warning, false))
}

/// Says what an update of an output made; `name` is what is called that it was made from.
pub(crate) fn say_updated(
    output: &Path,
    name: &Path,
    report: &LinkReport,
    took: Duration,
    reporter: Reporter,
) -> anyhow::Result<()> {
    let counts = report::Counts {
        changed: report.edits.changed.into(),
        added: report.edits.added.into(),
        removed: report.edits.removed.into(),
    };
    reporter.update(output, name, counts, &report.patch, took)?;
    if let Some(reason) = report.resolved_anew {
        reporter.note(&format!("all symbols were resolved anew: {reason}"));
    }
    Ok(())
}

/// Says why a link failed, and with which code the process ends.
pub(crate) fn report_errors(
    failed: &Failed,
    limit: usize,
    reporter: Reporter,
) -> anyhow::Result<ExitCode> {
    let diagnostics = &failed.0;
    for warning in &diagnostics.warnings {
        reporter.problem(warning, false)?;
    }
    let shown = match limit {
        0 => diagnostics.errors.len(),
        limit => limit.min(diagnostics.errors.len()),
    };
    for error in &diagnostics.errors[..shown] {
        reporter.error(error)?;
    }
    if shown < diagnostics.errors.len() {
        let more = diagnostics.errors.len() - shown;
        let text = format!(
            "and {}; --error-limit=0 shows all",
            count(more as u64, "more error")
        );
        let _ = writeln!(anstream::stderr(), "{text}");
    }
    let kind = diagnostics.errors.first().map(wasmend::Error::kind);
    let code = report::exit_code(kind.unwrap_or(ErrorKind::BadInput));
    Ok(ExitCode::from(code))
}

/// How much was linked, and how long it took, for those who want to know.
pub(crate) fn print_stats(report: &LinkReport, reporter: Reporter) {
    reporter.note(&stats(&report.counts));
    let phases: Vec<String> = report
        .phases
        .iter()
        .map(|(name, took)| format!("{name} {}", time(*took)))
        .collect();
    reporter.note(&phases.join(", "));
}

fn stats(counts: &Counts) -> String {
    format!(
        "{}, {}, {}, {}, {}",
        count(counts.files as u64, "file"),
        count(counts.objects as u64, "object"),
        count(counts.symbols as u64, "symbol"),
        count(counts.relocations as u64, "relocation"),
        format_args!("{} linked", count(counts.functions as u64, "function")),
    )
}
