//! `wasmend finish`: an output without all that patching needs.

use wasmend::output::{self, Destination, OutputOptions};
use wasmend::{Error, inspect};

use crate::cli::args::Finish;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::text::{number, percent};

pub(crate) fn run(args: &Finish, reporter: Reporter) -> anyhow::Result<()> {
    let destination = Destination::of(&args.output)?;
    output::expect_not_an_input(&args.output, [&args.out])?;
    crate::cli::files::expect_replaceable(&args.output, Some(args.force))?;
    if destination == Destination::StandardOutput && reporter.is_json() {
        let message = "--json: standard output cannot have events if it has the module";
        return Err(Error::bad_input(message).into());
    }
    let out = crate::cli::files::read(&args.out)?;
    let finished = inspect::finish_whole(&out).map_err(|error| error.with_path(&args.out))?;
    let dense = finished.bytes;
    let options = OutputOptions::default();
    output::write_file(&args.output, &options, &dense, &output::no_check)?;
    let is_debug = |name: &String| name.starts_with(".debug_");
    let (debug, others): (Vec<String>, Vec<String>) =
        finished.left_out.into_iter().partition(is_debug);
    if !debug.is_empty() {
        reporter.warning("debug sections are left out: the code they name is shorter now")?;
    }
    if !others.is_empty() {
        let others = others.join(", ");
        reporter.warning(&format!(
            "left out, because it would be wrong in shorter code: {others}"
        ))?;
    }
    if destination == Destination::StandardOutput {
        return Ok(());
    }
    let (bytes, dense_bytes) = (out.len() as u64, dense.len() as u64);
    let event = Event::Finished {
        output: path(&args.out),
        dense: path(&args.output),
        bytes,
        dense_bytes,
    };
    reporter.both(&event, || {
        format!(
            "{}: {} bytes, {} of the {} bytes of {}",
            args.output.display(),
            number(dense_bytes),
            percent(dense_bytes * 1000 / bytes.max(1)),
            number(bytes),
            args.out.display(),
        )
    })
}
