//! `wasmend ld`, which is also what wasmend does when it is called `wasm-ld`: a link by wasm-ld's command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasmend::ErrorKind;
use wasmend::link::command::options::Color;
use wasmend::link::command::parse;
use wasmend::link::{Counts, Failed, LinkOptions, LinkReport, Linked, Target};
use wasmend::object::Access;
use wasmend::output::OutputOptions;

use crate::cli::report::Reporter;
use crate::cli::text::{count, number, time};

/// The linker's arguments, if the process was called to link: under the name of a linker, or with `ld` or
/// `-flavor wasm` first.
pub(crate) fn called_to_link(arguments: &[String]) -> Option<&[String]> {
    let (program, rest) = arguments.split_first()?;
    let name = Path::new(program).file_stem()?.to_str()?;
    // `wasm-ld`, `wasm-ld-19`, `wasm32-wasi-wasm-ld`; `rust-lld` says which linker it is to be.
    if name == "wasm-ld" || name.starts_with("wasm-ld-") || name.ends_with("-wasm-ld") {
        return Some(rest);
    }
    match rest {
        [first, rest @ ..] if first == "ld" => Some(rest),
        [first, second, ..] if first == "-flavor" && second == "wasm" => Some(rest),
        [first, ..] if first == "-flavor=wasm" => Some(rest),
        _ => None,
    }
}

/// Links what the arguments say.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let plain = Reporter::new(false, false);
    let options = match LinkOptions::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            let _ = plain.error(&error);
            return ExitCode::from(super::report::exit_code(error.kind()));
        }
    };
    choose_color(options.color);
    let reporter = Reporter::new(false, options.verbose);
    match link(options, reporter) {
        Ok(code) => code,
        Err(error) => super::failed(&error, reporter),
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

fn link(options: LinkOptions, reporter: Reporter) -> anyhow::Result<ExitCode> {
    if options.help {
        write!(std::io::stdout(), "{}", parse::help())?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.version {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(std::io::stdout(), "wasmend {version} (compatible with LLD)")?;
        if options.inputs.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    for warning in &options.warnings {
        reporter.warning(warning)?;
    }
    if let Some(threads) = options.threads {
        // It can be set once; there is nothing before this that would have.
        let _ = wasmend::link::use_threads(threads);
    }
    let output = output_options(reporter);
    let tells = Reporter::new(false, options.verbose || options.stats);
    let limit = options.error_limit;
    // What is not to be patched is written when it is finished.
    let is_dense = options.incremental == Some(false) || options.compress_relocations;
    let dense = is_dense.then(|| options.output.clone());
    let asked = Asked::of(&options);
    if !is_dense && asked.is_nothing() {
        return match Linked::link_once(&options, Access::Map, Target::File(output)) {
            Ok((module, report)) => {
                warn(&report, reporter)?;
                said(&report, tells);
                // Taking everything apart is of no use at the end of the process.
                std::mem::forget(module);
                Ok(ExitCode::SUCCESS)
            }
            Err(failed) => Ok(complain(&failed, limit, reporter)?),
        };
    }
    let target = match dense {
        Some(_) => Target::Memory,
        None => Target::File(output),
    };
    match Linked::link(options, Access::Map, target) {
        Ok((linked, mut report)) => {
            asked.answer(&linked)?;
            let start = std::time::Instant::now();
            let map = match dense {
                None => asked.map.is_some().then(|| linked.map()),
                Some(path) => {
                    let (bytes, map) = linked.release(asked.map.is_some())?;
                    super::replace(&path, &bytes, true)?;
                    map
                }
            };
            if is_dense {
                report.phases.push(("finish", start.elapsed()));
            }
            if let (Some(path), Some(map)) = (&asked.map, &map) {
                write_text(path, map)?;
            }
            warn(&report, reporter)?;
            said(&report, tells);
            // Taking everything apart is of no use at the end of the process.
            std::mem::forget(linked);
            Ok(ExitCode::SUCCESS)
        }
        Err(failed) => Ok(complain(&failed, limit, reporter)?),
    }
}

fn warn(report: &LinkReport, reporter: Reporter) -> anyhow::Result<()> {
    let mut warnings = report.warnings.iter();
    warnings.try_for_each(|warning| reporter.problem(warning, false))
}

/// How outputs of links are published.
pub(crate) fn output_options(reporter: Reporter) -> OutputOptions {
    let notice = move |message: &str| reporter.note(message);
    OutputOptions {
        notice: Some(std::sync::Arc::new(notice)),
        executable: true,
        ..OutputOptions::default()
    }
}

/// What is to be listed.
struct Asked {
    map: Option<PathBuf>,
    why_extract: Option<PathBuf>,
    trace: bool,
    traces_symbols: bool,
    dropped: bool,
}

impl Asked {
    fn of(options: &LinkOptions) -> Asked {
        Asked {
            map: options.map.clone(),
            why_extract: options.why_extract.clone(),
            trace: options.trace,
            traces_symbols: !options.trace_symbols.is_empty(),
            dropped: options.print_gc_sections,
        }
    }

    fn is_nothing(&self) -> bool {
        let lists = self.trace || self.traces_symbols || self.dropped;
        !lists && self.map.is_none() && self.why_extract.is_none()
    }

    fn answer(&self, linked: &Linked) -> anyhow::Result<()> {
        let mut lines = String::new();
        if self.trace {
            lines.extend(linked.traced_files().flat_map(|file| [file, "\n"]));
        }
        for line in linked.traced_symbols() {
            lines += line;
            lines.push('\n');
        }
        if self.dropped {
            for section in linked.dropped_sections() {
                lines += &format!("removing unused section {section}\n");
            }
        }
        std::io::stdout().write_all(lines.as_bytes())?;
        if let Some(path) = &self.why_extract {
            write_text(path, &linked.extractions())?;
        }
        Ok(())
    }
}

/// Writes to a file, or for `-` to standard output.
fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    match path.to_str() {
        Some("-") => std::io::stdout().write_all(text.as_bytes())?,
        _ => std::fs::write(path, text)
            .map_err(|error| wasmend::Error::io("cannot write", path, &error))?,
    }
    Ok(())
}

/// Says why a link failed, and with which code the process ends.
pub(crate) fn complain(
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
    let code = super::report::exit_code(kind.unwrap_or(ErrorKind::BadInput));
    Ok(ExitCode::from(code))
}

/// How much was linked, and how long it took, for those who want to know.
pub(crate) fn said(report: &LinkReport, reporter: Reporter) {
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
        format_args!("{} functions linked", number(counts.functions as u64)),
    )
}
