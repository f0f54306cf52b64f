//! `wasmend replay-ld`: a linked program, and one set of its objects after the other.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasmend::Error;
use wasmend::link::{InputArgument, LinkOptions};
use wasmend::output;

use crate::cli::args::ReplayLd;
use crate::cli::files::claim_output;
use crate::cli::ld;
use crate::cli::link_patcher::{LinkError, LinkPatcher};
use crate::cli::link_report;
use crate::cli::report::Reporter;
use crate::cli::signals::Scratch;

/// Links once for each step: the files of a step take the place of the arguments' files of the same names.
pub(crate) fn run(args: &ReplayLd, reporter: Reporter) -> anyhow::Result<ExitCode> {
    let mut options = LinkOptions::parse(&args.arguments)?;
    ld::use_options(&options);
    let limit = options.error_limit;
    let scratch = Scratch::new()?;
    let mut files: Vec<(PathBuf, PathBuf)> = Vec::new();
    for input in &mut options.inputs {
        let InputArgument::File(file) = input else {
            continue;
        };
        let Some(name) = file.file_name() else {
            continue;
        };
        if args.steps.iter().any(|step| step.join(name).is_file()) {
            let copy = scratch
                .path()
                .join(format!("{}-{}", files.len(), name.display()));
            if file.is_file() {
                copy_file(file, &copy)?;
            }
            files.push((PathBuf::from(name), copy.clone()));
            *file = copy;
        }
    }
    let steps: Vec<Vec<(PathBuf, &Path)>> = args
        .steps
        .iter()
        .map(|step| files_of(step, &files))
        .collect::<wasmend::Result<_>>()?;
    let read = steps.iter().flatten().map(|(from, _)| from);
    output::expect_not_an_input(&options.output, read)?;
    claim_output(&options.output, options.files(), None)?;
    let publishing = ld::output_options(reporter);
    let mut linked = LinkPatcher::new(publishing, None, reporter).keeping_state();
    for (number, (step, files)) in args.steps.iter().zip(&steps).enumerate() {
        for (from, copy) in files {
            copy_file(from, copy)?;
        }
        let done = match number {
            0 => linked.link(options.clone()),
            _ => {
                let changed: Vec<PathBuf> = files.iter().map(|(_, copy)| copy.into()).collect();
                // Nobody knows the copies.
                let name = match &files[..] {
                    [(from, _)] => from,
                    _ => step,
                };
                linked.update(&changed, name)
            }
        };
        let done = done.and_then(|_| match args.verify {
            true => linked.verify(),
            false => Ok(()),
        });
        match done {
            Ok(()) => {}
            Err(LinkError::Failed(failed)) => {
                let code = link_report::report_errors(&failed, limit, reporter)?;
                return Ok(ExitCode::from(code));
            }
            Err(LinkError::Unsaid(error)) => return Err(error),
        }
    }
    linked.following.end()?;
    Ok(ExitCode::SUCCESS)
}

/// The files of a step, each with the copy that is linked.
fn files_of<'a>(
    step: &Path,
    linked: &'a [(PathBuf, PathBuf)],
) -> wasmend::Result<Vec<(PathBuf, &'a Path)>> {
    if let Err(error) = std::fs::read_dir(step) {
        return Err(Error::io("cannot read the folder of a step", step, &error));
    }
    let files = linked.iter().map(|(name, copy)| (step.join(name), &**copy));
    let files: Vec<_> = files.filter(|(from, _)| from.is_file()).collect();
    match files.is_empty() {
        true => Err(Error::bad_input("has none of the files that are linked").with_path(step)),
        false => Ok(files),
    }
}

fn copy_file(from: &Path, to: &Path) -> wasmend::Result<()> {
    // A new file each time: no two versions share an identity.
    let fresh = to.with_extension("new");
    let copied = std::fs::copy(from, &fresh).and_then(|_| std::fs::rename(&fresh, to));
    copied.map_err(|error| Error::io("cannot copy", from, &error))
}
