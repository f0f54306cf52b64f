//! `wasmend finish`: an output without all that patching needs.

use std::path::Path;

use wasmend::{Error, inspect};

use crate::cli::args::Finish;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::text::{number, percent};

pub(crate) fn run(args: &Finish, reporter: Reporter) -> anyhow::Result<()> {
    let out = crate::cli::read_module(&args.out)?;
    crate::cli::expect_other_file(&args.output, &args.out)?;
    let dense = inspect::finish(&out).map_err(|error| error.with_path(&args.out))?;
    replace(&args.output, &dense)?;
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

/// Writes a file beside the one that is to be replaced, and renames it.
fn replace(file: &Path, bytes: &[u8]) -> wasmend::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = file.with_file_name(name);
    let written = std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, file));
    written.map_err(|error| {
        // What was written of it is of no use; if it cannot be removed either, the first error says more.
        let _ = std::fs::remove_file(&fresh);
        Error::io("cannot write", file, &error)
    })
}
