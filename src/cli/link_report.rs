//! What is said of a link: what it made, its warnings, how long it took, or why it failed. It does not know who linked, or why.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use wasmend::ErrorKind;
use wasmend::link::{Counts, Failed, LinkReport, Phase};

use crate::cli::report::{self, CoresEvent, Event, LinkPhaseEvent, LinkedEvent, Reporter, micros};
use crate::cli::text::{count, time};

/// What a link made, for programs.
pub(crate) fn linked_event(
    report: &LinkReport,
    output: &Path,
    took: Duration,
    patchable: bool,
) -> Event {
    let counts = &report.counts;
    let phases = report.phases.iter().map(|phase| LinkPhaseEvent {
        phase: phase.name,
        micros: micros(phase.wall),
        processor_micros: micros(phase.processor),
        shared: phase.shared(),
        cores: on_cores(phase)
            .map(|(cores, took)| CoresEvent {
                cores,
                micros: micros(took),
            })
            .collect(),
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

/// How many functions an update changed.
pub(crate) fn counts(report: &LinkReport) -> report::Counts {
    report::Counts {
        changed: report.edits.changed.into(),
        added: report.edits.added.into(),
        removed: report.edits.removed.into(),
    }
}

/// Says what an update of an output made; `name` is what is called that it was made from.
pub(crate) fn say_updated(
    output: &Path,
    name: &Path,
    report: &LinkReport,
    took: Duration,
    reporter: Reporter,
) -> anyhow::Result<()> {
    reporter.update(output, name, counts(report), &report.patch, took)?;
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
) -> anyhow::Result<u8> {
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
    Ok(report::exit_code(kind.unwrap_or(ErrorKind::BadInput)))
}

/// How much was linked, and how long it took, for those who want to know.
pub(crate) fn print_stats(report: &LinkReport, reporter: Reporter) {
    reporter.note(&stats(&report.counts));
    let row = |name: &str, wall: Duration, processor: Duration, shared: f64| {
        let (wall, processor, share) = (time(wall), time(processor), 100.0 * shared);
        reporter.note(&format!(
            "{name:<14} {wall:>9}, of all processors {processor:>9}, shared out {share:3.0} %"
        ));
    };
    for phase in &report.phases {
        row(phase.name, phase.wall, phase.processor, phase.shared());
    }
    let phases = || report.phases.iter();
    let wall: Duration = phases().map(|phase| phase.wall).sum();
    let processor = phases().map(|phase| phase.processor).sum();
    let shared = phases().map(|phase| phase.shared() * phase.wall.as_secs_f64());
    let shared = shared.sum::<f64>() / wall.as_secs_f64().max(f64::MIN_POSITIVE);
    row("together", wall, processor, shared);
    let mut together = vec![Duration::ZERO; CORES.len()];
    for phase in &report.phases {
        let on: Vec<(u32, Duration)> = on_cores(phase).collect();
        if on.is_empty() {
            return;
        }
        for (sum, (_, took)) in together.iter_mut().zip(&on) {
            *sum += *took;
        }
        reporter.note(&cores_row(phase.name, on));
    }
    reporter.note(&cores_row("together", CORES.into_iter().zip(together)));
}

/// How many cores are said to take how long, if a link had one thread only.
const CORES: [u32; 4] = [1, 2, 4, 16];

/// How long a phase would take at most on more cores than the one that it had.
fn on_cores(phase: &Phase) -> impl Iterator<Item = (u32, Duration)> {
    let took = |cores| Some((cores, phase.on_cores(cores)?));
    CORES.into_iter().filter_map(took)
}

fn cores_row(name: &str, on: impl IntoIterator<Item = (u32, Duration)>) -> String {
    let cells = on
        .into_iter()
        .map(|(cores, took)| format!("{cores} {:>9}", time(took)));
    let cells: Vec<String> = cells.collect();
    format!("{name:<14} by cores: {}", cells.join(", "))
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
