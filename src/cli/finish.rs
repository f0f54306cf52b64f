//! `wasmend finish`: an output without all that patching needs.

use wasmend::inspect;

use crate::cli::args::Finish;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::text::{number, percent};

pub(crate) fn run(args: &Finish, reporter: Reporter) -> anyhow::Result<()> {
    let out = crate::cli::files::read(&args.out)?;
    crate::cli::files::expect_other_file(&args.output, &args.out)?;
    let dense = inspect::finish(&out).map_err(|error| error.with_path(&args.out))?;
    crate::cli::replace(&args.output, &dense, false)?;
    let parts = inspect::Map::read(&out)?.parts;
    if parts.iter().any(|part| part.name.starts_with(".debug_")) {
        reporter.warning("debug sections are left out: the code they name is shorter now")?;
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
