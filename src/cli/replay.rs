//! `wasmend replay`: builds one after the other, each a patch of the one before.

use crate::cli::args::Replay;
use crate::cli::patcher::Patcher;
use crate::cli::report::Reporter;

pub(crate) fn run(args: &Replay, reporter: Reporter) -> anyhow::Result<()> {
    for file in &args.versions {
        crate::cli::files::expect_other_file(&args.out, file)?;
    }
    let mut patcher = Patcher::new(&args.out, &args.build, reporter);
    for file in &args.versions {
        let bytes = crate::cli::files::read(file)?;
        patcher.update(file, &bytes)?;
    }
    Ok(())
}
