//! `wasmend replay-ld`: a linked program, and one set of its objects after the other.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasmend::Error;
use wasmend::link::InputArgument;
use wasmend::link::LinkOptions;

use crate::cli::args::ReplayLd;
use crate::cli::files::claim_output;
use crate::cli::ld;
use crate::cli::link_patcher::{LinkError, LinkPatcher};
use crate::cli::report::Reporter;
use crate::cli::signals::Scratch;

/// Links once for each step: the files of a step take the place of the arguments' files of the same names.
pub(crate) fn run(args: &ReplayLd, reporter: Reporter) -> anyhow::Result<ExitCode> {
    let mut options = LinkOptions::parse(&args.arguments)?;
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
    let in_step = |step: &PathBuf| files.iter().map(|(name, _)| step.join(name)).collect();
    let in_steps: Vec<Vec<PathBuf>> = args.steps.iter().map(in_step).collect();
    wasmend::output::expect_not_an_input(&options.output, in_steps.iter().flatten())?;
    claim_output(&options.output, ld::input_files(&options), None)?;
    let mut linked: Option<LinkPatcher> = None;
    for step in &args.steps {
        let mut changed = Vec::new();
        for (name, copy) in &files {
            let from = step.join(name);
            if from.is_file() {
                copy_file(&from, copy)?;
                changed.push(copy.clone());
            }
        }
        let done = match &mut linked {
            None => {
                let publishing = ld::output_options(reporter);
                LinkPatcher::link(options.clone(), publishing, reporter).map(|(first, _)| {
                    linked = Some(first);
                })
            }
            Some(linked) => linked.update(&changed).map(drop),
        };
        let done = done.and_then(|()| match &linked {
            Some(linked) if args.verify => linked.verify(),
            _ => Ok(()),
        });
        match done {
            Ok(()) => {}
            Err(LinkError::Failed(failed)) => return ld::report_errors(&failed, limit, reporter),
            Err(LinkError::Unsaid(error)) => return Err(error),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn copy_file(from: &Path, to: &Path) -> wasmend::Result<()> {
    // A new file each time: no two versions share an identity.
    let fresh = to.with_extension("new");
    let copied = std::fs::copy(from, &fresh).and_then(|_| std::fs::rename(&fresh, to));
    copied.map_err(|error| Error::io("cannot copy", from, &error))
}
