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
    let dense = inspect::finish(&out).map_err(|error| error.with_path(&args.out))?;
    let options = OutputOptions::default();
    output::write_file(&args.output, &options, &dense, &output::no_check)?;
    let parts = inspect::Map::read(&out)?.parts;
    if parts.iter().any(|part| part.name.starts_with(".debug_")) {
        reporter.warning("debug sections are left out: the code they name is shorter now")?;
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
