//! `wasmend replay`: builds one after the other, each a patch of the one before.

use std::path::{Path, PathBuf};

use wasmend::Error;
use wasmend::inspect::Map;
use wasmend::output::Destination;

use crate::cli::args::Replay;
use crate::cli::patcher::Patcher;
use crate::cli::report::Reporter;

pub(crate) fn run(args: &Replay, reporter: Reporter) -> anyhow::Result<()> {
    let (out, builds) = files(args)?;
    crate::cli::files::claim_output(out, builds, Some(args.force))?;
    let first = builds.first().map_or(out, PathBuf::as_path);
    let mut patcher = Patcher::new(out, first, &args.build, &args.state, reporter)?;
    for file in builds {
        patcher.update(file, &crate::cli::files::read)?;
    }
    patcher.following.end()?;
    Ok(patcher.following.expect_patches()?)
}

/// The output and the builds. Without `-o` the first file is the output, if it cannot be meant for a build: it is not
/// there yet, or it is an output.
fn files(args: &Replay) -> wasmend::Result<(&Path, &[PathBuf])> {
    match (&args.output, &args.files[..]) {
        (Some(output), builds) => Ok((output, builds)),
        (None, [output, builds @ ..]) if !builds.is_empty() => {
            if args.force || !output.exists() {
                return Ok((output, builds));
            }
            Destination::expect_file(output)?;
            if is_output(output)? {
                return Ok((output, builds));
            }
            let message = "is there already, and is no output that can be patched";
            Err(Error::bad_input(message)
                .with_path(output)
                .with_hint("name the output with -o, or replace this file with --force"))
        }
        _ => Err(Error::bad_input("there is no build to replay")
            .with_hint("name the output and at least one build")),
    }
}

fn is_output(file: &Path) -> wasmend::Result<bool> {
    let found = Map::read(&crate::cli::files::read(file)?);
    Ok(found.is_ok_and(|map| map.identity.is_some()))
}
