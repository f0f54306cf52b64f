//! `wasmend finish`: an output without all that patching needs.

use wasmend::inspect;

use crate::cli::args::Finish;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::text::{number, percent};

pub(crate) fn run(args: &Finish, reporter: Reporter) -> anyhow::Result<()> {
    let out = crate::cli::read(&args.out)?;
    crate::cli::expect_other_file(&args.output, &args.out)?;
    let finished = inspect::finish_whole(&out).map_err(|error| error.with_path(&args.out))?;
    let dense = finished.bytes;
    crate::cli::replace(&args.output, &dense, false)?;
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
