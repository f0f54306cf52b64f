//! `wasmend ld`, which is also what wasmend does when it is called `wasm-ld`: a link by wasm-ld's command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use wasmend::link::Access;
use wasmend::link::Color;
use wasmend::link::{LinkOptions, LinkReport, Linked, Target};
use wasmend::output::{self, Destination, Durability, OutputOptions};
use wasmend::{Error, ErrorKind};

use crate::cli::args::{self, General};
use crate::cli::ld_state::Job;
use crate::cli::link_report::{linked_event, print_stats, report_errors, warn};
use crate::cli::report::{self, Event, Reporter, for_people};
use crate::cli::signals;
use crate::cli::{daemon, kept, ld_state};
use crate::stopwatch::Stopwatch;

/// Links what the arguments say.
pub(crate) fn run(arguments: &[String], general: General, durability: Durability) -> ExitCode {
    let plain = Reporter::new(general.json, general.verbose);
    report::choose_color(general.color);
    let options = match LinkOptions::parse(arguments) {
        Ok(options) => options,
        Err(error) => return report::failed(&error.into(), plain),
    };
    use_colors(&options);
    if general.color != args::Color::Auto {
        report::choose_color(general.color);
    }
    let reporter = Reporter::new(general.json, general.verbose || options.verbose);
    let threads = options.threads;
    let begin = move || {
        signals::clean_up_when_ended();
        wasmend::link::use_threads_when_needed(threads);
        let _ = wasmend::link::when_cut_short(move |file| cut_short(file, plain));
    };
    let asked = daemon::Asked {
        arguments,
        general,
        durability,
    };
    ExitCode::from(
        link(options, asked, reporter, begin)
            .unwrap_or_else(|error| report::failed_with(&error, reporter)),
    )
}

/// Ends the process because an input cannot be read any more. Without a thread for it the system does, and says less.
pub(crate) fn cut_short(file: Option<&Path>, reporter: Reporter) {
    // The thread that waits for the end may be amidst anything: nothing is done that could wait for it. What is left the next
    // link removes.
    if file.is_none() && wasmend::heap::leave() {
        let error = kept::start_again("its heap cannot be read, or the disk has no room for it");
        let _ = reporter.error(&error);
        std::process::exit(report::exit_code(error.kind()).into());
    }
    // Until the process has ended, nothing new is made.
    let _removed = output::remove_temporaries();
    let Some(file) = file else {
        std::process::abort();
    };
    let error = Error::new(ErrorKind::Io, "was cut short while it was being linked")
        .with_path(file)
        .with_hint("wait for what writes it to finish, and link again");
    let _ = reporter.error(&error);
    std::process::exit(report::exit_code(error.kind()).into());
}

/// Does what options say that is not about the link: when messages have colours, and how many threads there are.
pub(crate) fn use_options(options: &LinkOptions) {
    use_colors(options);
    // It can be set once; there is nothing before this that would have.
    let _ = wasmend::link::use_threads(options.threads);
}

fn use_colors(options: &LinkOptions) {
    match options.color {
        Color::Auto => {}
        Color::Always => report::choose_color(args::Color::Always),
        Color::Never => report::choose_color(args::Color::Never),
    }
}

/// What help says of the options that every command has.
const GENERAL_HELP: &str = "\
  --json                         Print one JSON object a line on standard output,
                                 for programs
  --color=WHEN                   When to use colour: auto, always or never
  --durability=WHAT              What the output survives: kill, the end of the
                                 process at any point, or power, a power cut too
";

/// Links; `begin` is called before anything is written.
fn link(
    mut options: LinkOptions,
    asked: daemon::Asked<'_>,
    reporter: Reporter,
    begin: impl FnOnce(),
) -> anyhow::Result<u8> {
    if options.help {
        write!(std::io::stdout(), "{}{GENERAL_HELP}", wasmend::link::help())?;
        return Ok(0);
    }
    if options.version {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(std::io::stdout(), "wasmend {version} (compatible with LLD)")?;
        return Ok(0);
    }
    // A process that is asked says them itself.
    let asks = daemon::is_wanted(&options);
    let warnings = options.warnings.clone();
    let warn_of_options = || warnings.iter().try_for_each(|text| reporter.warning(text));
    if !asks {
        warn_of_options()?;
    }
    let destination = Destination::of(&options.output)?;
    if destination == Destination::StandardOutput && reporter.is_json() {
        let message = "--json: standard output cannot have events if it has the module";
        return Err(Error::bad_input(message).into());
    }
    let publishing = publishing_of(asked.durability, reporter);
    let tells = teller_of(&options, reporter);
    let limit = options.error_limit;
    // What is not to be patched is written when it is finished, and so is what cannot be.
    let is_file = matches!(destination, Destination::File(_));
    let wants_dense = options.incremental == Some(false) || options.compress_relocations;
    let is_dense = wants_dense || !is_file;
    if !is_file {
        options.incremental = Some(false);
    }
    let path = options.output.clone();
    let mut stopwatch = Stopwatch::start();
    let mut listing = ListingRequest::of(&options);
    listing.spares_output = destination == Destination::StandardOutput;
    let keeps_state = !is_dense && listing.is_nothing() && ld_state::is_kept(&options);
    // Thousands of inputs need not be looked at once more where they are known.
    if keeps_state {
        let job = Job::new(options, publishing, reporter, tells)?;
        if asks {
            if let Some(code) = daemon::ask(job.kept(), &asked, reporter) {
                return Ok(code);
            }
            warn_of_options()?;
        }
        return job.link(begin);
    }
    if asks {
        warn_of_options()?;
    }
    begin();
    // Without it the system's allocator does.
    let _ = wasmend::heap::use_memory();
    if listing.is_nothing() {
        let linked = match is_dense {
            true => Linked::release_once(&options, Access::Map, &publishing),
            false => Linked::link_once(&options, Access::Map, Target::File(publishing)),
        };
        return match linked {
            Ok((module, report)) => {
                let took = stopwatch.lap();
                say_linked(&report, &path, took, is_dense, (reporter, tells))?;
                leave(module);
                Ok(0)
            }
            Err(failed) => Ok(report_errors(&failed, limit, reporter)?),
        };
    }
    expect_writable(&options)?;
    let linked = match is_dense {
        true => Linked::link_unpublished(options, Access::Map),
        false => Linked::link(options, Access::Map, Target::File(publishing.clone())),
    };
    match linked {
        Ok((linked, mut report)) => {
            let lists = [&listing.map, &listing.why_extract];
            for list in lists.into_iter().flatten() {
                output::expect_not_an_input(list, linked.files())?;
            }
            listing.answer(&linked, reporter)?;
            let map = match is_dense {
                false => listing.map.is_some().then(|| linked.map()),
                true => {
                    let check = || {
                        // By now it is known which libraries and members of thin archives were read.
                        output::expect_not_an_input(&path, linked.files())?;
                        expect_unchanged(&linked)
                    };
                    let wants_map = listing.map.is_some();
                    linked.release_to(&publishing, wants_map, &check, &mut report)?
                }
            };
            if let (Some(path), Some(map)) = (&listing.map, &map) {
                listing.write_text(path, map, reporter)?;
            }
            let took = stopwatch.lap();
            say_linked(&report, &path, took, is_dense, (reporter, tells))?;
            leave(linked);
            Ok(0)
        }
        Err(failed) => Ok(report_errors(&failed, limit, reporter)?),
    }
}

/// Says what a link made; statistics are told to the second of the reporters.
fn say_linked(
    report: &LinkReport,
    path: &Path,
    took: Duration,
    is_dense: bool,
    (reporter, tells): (Reporter, Reporter),
) -> anyhow::Result<()> {
    warn(report, reporter)?;
    print_stats(report, tells);
    reporter.event(&linked_event(report, path, took, !is_dense))
}

/// Finds out before anything is done whether there can be an output: where it goes, and that it is no input.
fn expect_writable(options: &LinkOptions) -> wasmend::Result<()> {
    let lists = [&options.map, &options.why_extract];
    let written = lists.into_iter().flatten().chain([&options.output]);
    for path in written {
        output::expect_not_an_input(path, options.files())?;
    }
    Ok(())
}

/// The last check of a dense output, whose bytes may come from files that are mapped.
fn expect_unchanged(linked: &Linked) -> wasmend::Result<()> {
    match linked.changed_files().first() {
        None => Ok(()),
        Some(file) => Err(
            Error::new(ErrorKind::Io, "was changed while it was being linked")
                .with_path(file)
                .with_hint("wait for what writes it to finish, and link again"),
        ),
    }
}

/// Ends with `link` as it is: taking everything apart is of no use at the end of the process, but for its files.
fn leave<T>(link: T) {
    std::mem::forget(link);
    drop(output::remove_temporaries());
}

/// How the output of a link is published that is to survive this.
pub(crate) fn publishing_of(durability: Durability, reporter: Reporter) -> OutputOptions {
    OutputOptions {
        durability,
        ..output_options(reporter)
    }
}

/// Who tells statistics.
pub(crate) fn teller_of(options: &LinkOptions, reporter: Reporter) -> Reporter {
    Reporter::new(false, reporter.is_verbose() || options.stats)
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
struct ListingRequest {
    map: Option<PathBuf>,
    why_extract: Option<PathBuf>,
    trace: bool,
    traces_symbols: bool,
    dropped: bool,
    /// Whether standard output has the module, so that lists have to go elsewhere.
    spares_output: bool,
}

impl ListingRequest {
    fn of(options: &LinkOptions) -> ListingRequest {
        ListingRequest {
            map: options.map.clone(),
            why_extract: options.why_extract.clone(),
            trace: options.trace,
            traces_symbols: !options.trace_symbols.is_empty(),
            dropped: options.print_gc_sections,
            spares_output: false,
        }
    }

    fn is_nothing(&self) -> bool {
        let lists = self.trace || self.traces_symbols || self.dropped;
        !lists && self.map.is_none() && self.why_extract.is_none()
    }

    fn answer(&self, linked: &Linked, reporter: Reporter) -> anyhow::Result<()> {
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
        self.list(&lines, reporter)?;
        if let Some(path) = &self.why_extract {
            self.write_text(path, &linked.extractions(), reporter)?;
        }
        Ok(())
    }

    /// Writes to a file, or for `-` to where lists go.
    fn write_text(&self, path: &Path, text: &str, reporter: Reporter) -> anyhow::Result<()> {
        match path.to_str() {
            Some("-") => self.list(text, reporter),
            _ => Ok(std::fs::write(path, text)
                .map_err(|error| Error::io("cannot write", path, &error))?),
        }
    }

    /// Prints what was asked for: for programs, which expect events only, as one of these.
    fn list(&self, text: &str, reporter: Reporter) -> anyhow::Result<()> {
        match (reporter.is_json(), self.spares_output) {
            _ if text.is_empty() => {}
            (true, _) => reporter.event(&Event::Listing {
                text: text.to_owned(),
            })?,
            (false, true) => {
                let mut err = std::io::stderr();
                err.write_all(for_people(text, &err).as_bytes())?;
            }
            (false, false) => {
                let mut out = std::io::stdout();
                out.write_all(for_people(text, &out).as_bytes())?;
            }
        }
        Ok(())
    }
}
