//! `wasmend apply`: a copy of an output that takes in patches which were made elsewhere.

use wasmend::{Envelope, Error, Replica};

use crate::cli::args::Apply;
use crate::cli::files;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::text::{count, number};

pub(crate) fn run(args: &Apply, reporter: Reporter) -> anyhow::Result<()> {
    files::claim_output(&args.file, &args.patches, Some(args.force))?;
    // All of them are looked at before the first is taken in.
    let read = |file| -> wasmend::Result<Envelope> {
        Envelope::from_bytes(&files::read(file)?).map_err(|error: Error| error.with_path(file))
    };
    let envelopes = args.patches.iter().map(|file| read(file));
    let envelopes: Vec<Envelope> = envelopes.collect::<wasmend::Result<_>>()?;
    let options = args
        .publishing
        .options(move |message| reporter.note(message));
    let mut copy = Replica::open(&args.file, options)?;
    for (file, envelope) in args.patches.iter().zip(&envelopes) {
        copy.apply(envelope)?;
        let file_bytes = envelope.file_len();
        let ranges = envelope.ranges();
        let bytes_written = ranges.map_or(file_bytes, |ranges| ranges.bytes());
        let identity = envelope.identity();
        let event = Event::Applied {
            output: path(&args.file),
            patch: path(file),
            generation: identity.generation,
            build_id: identity.hex(),
            whole: ranges.is_none(),
            bytes_written,
            file_bytes,
        };
        reporter.both(&event, || {
            let (name, version) = (args.file.display(), identity.generation);
            let (written, size) = (number(bytes_written), number(file_bytes));
            match ranges {
                None => format!("{name}: version {version}, whole, {size} bytes"),
                Some(ranges) => format!(
                    "{name}: version {version}, {written} of {size} bytes in {}",
                    count(ranges.len() as u64, "range")
                ),
            }
        })?;
    }
    Ok(())
}
