//! `wasmend demo`: a large module, edited and run, and what patching costs against rewriting.

mod program;
mod progress;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use wasmend::engine::{Engine, Value as Operand};
use wasmend::{Error, ErrorKind, Module, ModuleOptions, Patch};

use crate::cli::args::{Demo, RedirectArg};
use crate::cli::report::{Event, Reporter};
use crate::cli::signals::Scratch;
use crate::cli::text::{Table, count, number, time};
use crate::stopwatch::Stopwatch;
use program::{EditKind, Program};
use progress::Progress;

/// How often the interpreter loads the file and runs its exported functions, with each redirection.
const CHECKS: u32 = 40;
/// How many plain writes of the file are measured with each redirection.
const REWRITES: u32 = 40;

/// What was measured with one redirection.
struct Measured {
    redirect: RedirectArg,
    created: Duration,
    file_len: u64,
    bytes: Vec<u64>,
    times: Vec<Duration>,
    rewrites: Vec<Duration>,
    rebuilt: u32,
    results_checked: u64,
    /// The first edit of each kind.
    samples: Vec<Sample>,
}

struct Sample {
    edit: EditKind,
    function: usize,
    bytes: u64,
    ranges: usize,
    took: Duration,
    before: i32,
    after: i32,
}

pub(crate) fn run(args: &Demo, reporter: Reporter) -> anyhow::Result<()> {
    let redirects = match args.redirect {
        Some(redirect) => vec![redirect],
        None => vec![RedirectArg::Table, RedirectArg::Direct],
    };
    if let Some(output) = &args.output {
        crate::cli::files::claim_output(output, [] as [&Path; 0], Some(args.force))?;
    }
    let folder = Scratch::new()?;
    let total = redirects.len() as u64 * u64::from(args.edits);
    let mut progress = Progress::new(total, reporter.is_json());
    let mut measured = Vec::new();
    for redirect in redirects {
        let path = match &args.output {
            Some(path) if measured.is_empty() => path.clone(),
            _ => folder.path().join(format!("{}.wasm", redirect.word())),
        };
        measured.push(measure(
            args,
            redirect,
            &path,
            folder.path(),
            &mut progress,
            reporter,
        )?);
    }
    drop(progress);
    if reporter.is_json() {
        reporter.event(&Event::Demo(as_json(args, &measured)))
    } else {
        reporter.line(as_text(args, &measured).trim_end())
    }
}

fn measure(
    args: &Demo,
    redirect: RedirectArg,
    path: &Path,
    folder: &Path,
    progress: &mut Progress,
    reporter: Reporter,
) -> anyhow::Result<Measured> {
    progress.set_message(redirect.word());
    let mut module = Module::create(
        path,
        ModuleOptions {
            redirect: redirect.inline(),
            types: args.out.types().unwrap_or_default(),
            output: args.out.options(move |message| reporter.note(message)),
            ..ModuleOptions::default()
        },
    )?;
    let mut program = Program::build(&mut module, args.functions as usize, args.seed)?;
    let mut stopwatch = Stopwatch::start();
    module.commit()?;
    let mut measured = Measured {
        redirect,
        created: stopwatch.lap(),
        file_len: 0,
        bytes: Vec::new(),
        times: Vec::new(),
        rewrites: Vec::new(),
        rebuilt: 0,
        results_checked: check(path, &program)?,
        samples: Vec::new(),
    };
    for edit in 0..args.edits {
        let before = program
            .exports()
            .skip(1)
            .map(|(_, function)| (function, program.result(function, 1)))
            .collect::<Vec<_>>();
        let (kind, function) = program.edit(&mut module)?;
        stopwatch.lap();
        let patch = module.commit()?;
        let took = stopwatch.lap();
        measured.note(&patch, took);
        let first_of_kind = measured.samples.iter().all(|sample| sample.edit != kind);
        if first_of_kind
            && let (Some(ranges), Some((_, before))) =
                (patch.ranges(), before.iter().find(|at| at.0 == function))
        {
            measured.samples.push(Sample {
                edit: kind,
                function,
                bytes: ranges.bytes(),
                ranges: ranges.len(),
                took,
                before: *before,
                after: program.result(function, 1),
            });
        }
        // Checked now, so that what the samples claim is what the file does; then at regular distances and at the end.
        if first_of_kind || at_distance(edit, args.edits, CHECKS) {
            measured.results_checked += check(path, &program)?;
        }
        if at_distance(edit, args.edits, REWRITES) {
            let bytes =
                std::fs::read(path).map_err(|error| Error::io("cannot read", path, &error))?;
            let rival = folder.join("rewritten.wasm");
            stopwatch.lap();
            std::fs::write(&rival, &bytes)
                .map_err(|error| Error::io("cannot write", &rival, &error))?;
            measured.rewrites.push(stopwatch.lap());
        }
        progress.advance();
    }
    Ok(measured)
}

/// Whether the edit is one of `times` at equal distances, of which the last edit is one.
fn at_distance(edit: u32, edits: u32, times: u32) -> bool {
    let position = |edit: u32| u64::from(edit) * u64::from(times) / u64::from(edits);
    position(edit + 1) > position(edit)
}

/// Loads the file that was published and compares what its functions return with the model.
fn check(path: &Path, program: &Program) -> anyhow::Result<u64> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("cannot read", path, &error))?;
    let mut instance = Engine::new()
        .instantiate(&bytes, &wasmend::engine::Imports::new())
        .map_err(|error| error.with_path(path))?;
    let mut checked = 0;
    for (name, function) in program.exports() {
        for argument in [1, -77_777] {
            let expected = program.result(function, argument);
            let found = instance.call(&name, &[Operand::I32(argument)]);
            if found != Ok(vec![Operand::I32(expected)]) {
                let message = format!("returned {found:?} for {argument}, not {expected}");
                return Err(Error::new(ErrorKind::Verification, message)
                    .with_path(path)
                    .with_symbol(name)
                    .into());
            }
            checked += 1;
        }
    }
    Ok(checked)
}

impl Measured {
    fn note(&mut self, patch: &Patch, took: Duration) {
        self.bytes.push(patch.bytes_written());
        self.times.push(took);
        self.file_len = patch.file_len;
        self.rebuilt += u32::from(patch.relink_reason().is_some());
    }
}

/// The value that `percent` of all are not above.
fn percentile<T: Copy + Ord>(values: &[T], percent: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn both<T: Copy + Ord + Default>(values: &[T]) -> (T, T) {
    (
        percentile(values, 50).unwrap_or_default(),
        percentile(values, 99).unwrap_or_default(),
    )
}

fn ratio(larger: f64, smaller: f64) -> String {
    let ratio = larger / smaller.max(f64::MIN_POSITIVE);
    if ratio < 9.95 {
        format!("{ratio:.1} x")
    } else {
        format!("{} x", number(ratio.round() as u64))
    }
}

fn as_text(args: &Demo, measured: &[Measured]) -> String {
    let mut out = String::new();
    for run in measured {
        out += &format!(
            "{}: {} in {} bytes, created in {}\n  {}, {} checked in the interpreter, all right\n",
            run.redirect.word(),
            count(args.functions.into(), "function"),
            number(run.file_len),
            time(run.created),
            count(args.edits.into(), "edit"),
            count(run.results_checked, "result"),
        );
        if run.rebuilt > 0 {
            out += &format!(
                "  {} of the edits rebuilt the whole file\n",
                number(run.rebuilt.into())
            );
        }
        let mut table = Table::new(
            &[
                "  first of its kind",
                "bytes",
                "ranges",
                "time",
                "result",
                "then",
            ],
            &[0],
        );
        let mut samples: Vec<_> = run.samples.iter().collect();
        samples.sort_by_key(|sample| sample.edit);
        for sample in samples {
            table.row([
                format!("  f{} {}", sample.function, sample.edit.describe()),
                number(sample.bytes),
                sample.ranges.to_string(),
                time(sample.took),
                sample.before.to_string(),
                sample.after.to_string(),
            ]);
        }
        out += &table.render();
        out.push('\n');
    }
    let head = [
        "one edit",
        "bytes",
        "p99",
        "time",
        "p99",
        "against rewriting",
    ];
    let mut table = Table::new(&head, &[0, 5]);
    for run in measured {
        let (bytes, bytes_p99) = both(&run.bytes);
        let (took, took_p99) = both(&run.times);
        let (rewrite, rewrite_p99) = both(&run.rewrites);
        let word = run.redirect.word();
        table.row([
            format!("patch, {word}"),
            number(bytes),
            number(bytes_p99),
            time(took),
            time(took_p99),
            format!(
                "{} less, {} faster",
                ratio(run.file_len as f64, bytes as f64),
                ratio(rewrite.as_secs_f64(), took.as_secs_f64())
            ),
        ]);
        table.row([
            format!("rewrite, {word}"),
            number(run.file_len),
            String::new(),
            time(rewrite),
            time(rewrite_p99),
        ]);
    }
    out += &table.render();
    out += "\nBytes and time are medians. A result is what the function returns for 1. A\n\
            patch is timed from the call of commit to the published file; a rewrite is one\n\
            plain write of the finished bytes, without the time to make them.\n\n\
            `wasmend serve --demo --open` shows a program that is edited while it runs.\n";
    out
}

fn as_json(args: &Demo, measured: &[Measured]) -> Value {
    let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
    let runs = measured.iter().map(|run| {
        let (bytes, bytes_p99) = both(&run.bytes);
        let (took, took_p99) = both(&run.times);
        let (rewrite, rewrite_p99) = both(&run.rewrites);
        json!({
            "redirect": run.redirect.word(),
            "file_bytes": run.file_len,
            "created_micros": micros(run.created),
            "results_checked": run.results_checked,
            "rebuilt": run.rebuilt,
            "patch": {
                "bytes_median": bytes, "bytes_p99": bytes_p99,
                "micros_median": micros(took), "micros_p99": micros(took_p99),
            },
            "rewrite": {
                "bytes": run.file_len,
                "micros_median": micros(rewrite), "micros_p99": micros(rewrite_p99),
            },
        })
    });
    json!({"functions": args.functions, "edits": args.edits, "seed": args.seed, "runs": runs.collect::<Vec<_>>()})
}
