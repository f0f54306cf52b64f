//! `wasmend verify`: whether an output is equivalent to a build.

use wasmend::inspect::verify;
use wasmend::{Error, ErrorKind};

use crate::cli::args::Verify;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::text::{count, number};

/// How many differences are listed without `--verbose`.
const LISTED: usize = 20;

pub(crate) fn run(args: &Verify, reporter: Reporter) -> anyhow::Result<()> {
    let out = crate::cli::files::read(&args.out)?;
    let build = crate::cli::files::read(&args.build)?;
    let report = verify(&out, &build).map_err(|error| {
        let file = if error.symbol() == Some("build") {
            &args.build
        } else {
            &args.out
        };
        // Which of the two it is the path says better.
        error.without_symbol().with_path(file)
    })?;
    reporter.event(&Event::Verified {
        output: path(&args.out),
        build: path(&args.build),
        equivalent: report.is_clean(),
        equal: report.equal,
        left_out: report.left_out,
        differences: report.differences.iter().map(ToString::to_string).collect(),
    })?;
    if report.is_clean() {
        let mut line = format!(
            "{} is equivalent to {}: {} {} the same",
            args.out.display(),
            args.build.display(),
            count(report.equal.into(), "declaration"),
            if report.equal == 1 { "is" } else { "are" },
        );
        if report.left_out > 0 {
            line += &format!(
                ", {} that nothing reaches {} left out",
                number(report.left_out.into()),
                if report.left_out == 1 { "is" } else { "are" },
            );
        }
        if report.debug_units > 0 {
            let units = count(report.debug_units.into(), "unit");
            line += &format!(", and {units} of debug information");
        }
        return reporter.line(&line);
    }
    let found = report.differences.len();
    let listed = if reporter.is_verbose() {
        found
    } else {
        LISTED.min(found)
    };
    for difference in &report.differences[..listed] {
        reporter.line(&difference.to_string())?;
    }
    if listed < found {
        reporter.line(&format!(
            "and {} more; --verbose lists them",
            number((found - listed) as u64)
        ))?;
    }
    let message = format!(
        "differs from {} in {}",
        args.build.display(),
        count(found as u64, "place")
    );
    Err(Error::new(ErrorKind::Verification, message)
        .with_path(&args.out)
        .into())
}
