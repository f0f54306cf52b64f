//! `wasmend snapshot`: a file, or what changed in it, as text for tests. What the text says is the library's.

use wasmend::inspect::snapshot;

use crate::cli::args::Snapshot;
use crate::cli::files::read;
use crate::cli::report::{Event, Reporter};

pub(crate) fn run(args: &Snapshot, reporter: Reporter) -> anyhow::Result<()> {
    let bytes = read(&args.file)?;
    let text = match &args.before {
        Some(before) => snapshot::of_change(&read(before)?, &bytes, snapshot::NO_NAMES),
        None if snapshot::is_delta(&bytes) => snapshot::of_delta(&bytes),
        None => snapshot::of_layout(&bytes),
    };
    let text = text.map_err(|error| error.with_path(&args.file))?;
    match reporter.is_json() {
        true => reporter.event(&Event::Snapshot { text }),
        false => reporter.line(text.trim_end()),
    }
}
