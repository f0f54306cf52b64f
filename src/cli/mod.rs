//! The command line: a file for each command, one table of arguments, one place for what is said and one for exit codes.
//!
//! It uses the library's public interface only, and decides nothing about modules.

mod args;
mod completions;
mod demo;
mod finish;
mod inspect;
mod ld;
mod link_loop;
mod patcher;
mod replay;
mod report;
mod text;
mod verify;
mod watch;

use std::io::ErrorKind::BrokenPipe;
use std::process::ExitCode;

use clap::Parser;
use wasmend::Error;

use args::{Cli, Color, Command};
use report::Reporter;

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    // A linker's command line is read by the linker's rules: drivers put anything anywhere.
    let arguments: Option<Vec<String>> = std::env::args_os()
        .map(|argument| argument.into_string().ok())
        .collect();
    let arguments = arguments.as_deref();
    if let Some(arguments) = arguments.and_then(ld::called_to_link) {
        return ld::run(arguments);
    }
    if let Some(arguments) = arguments.and_then(link_loop::called_to_watch) {
        return link_loop::watch(arguments);
    }
    // Clap prints help and usage errors itself; its exit codes are 0 and 2.
    let cli = Cli::parse();
    match cli.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let reporter = Reporter::new(cli.json, cli.verbose);
    let result = match cli.command {
        Command::Ld(args) => return ld::run(&args.arguments),
        Command::ReplayLd(args) => {
            return link_loop::replay(&args, reporter)
                .unwrap_or_else(|error| failed(&error, reporter));
        }
        Command::Replay(args) => replay::run(&args, reporter),
        Command::Watch(args) => watch::run(&args, reporter),
        Command::Inspect(args) => inspect::run(&args, reporter),
        Command::Verify(args) => verify::run(&args, reporter),
        Command::Finish(args) => finish::run(&args, reporter),
        Command::Demo(args) => demo::run(&args, reporter),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, reporter),
    }
}

/// Reports what ended a command, and decides the exit code.
fn failed(error: &anyhow::Error, reporter: Reporter) -> ExitCode {
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == BrokenPipe)
    {
        // The reader of standard output has seen enough.
        return ExitCode::SUCCESS;
    }
    let error = match error.downcast_ref::<Error>() {
        Some(error) => error.clone(),
        None => Error::new(wasmend::ErrorKind::Io, format!("{error:#}")),
    };
    // If this cannot be said either, the exit code still tells.
    let _ = reporter.error(&error);
    ExitCode::from(report::exit_code(error.kind()))
}

/// Reads a whole file.
fn read(path: &std::path::Path) -> wasmend::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io("cannot read", path, &error))
}

/// Refuses an output that is also what is read: it would be gone.
fn expect_other_file(output: &std::path::Path, input: &std::path::Path) -> wasmend::Result<()> {
    let same = match (output.canonicalize(), input.canonicalize()) {
        (Ok(output), Ok(input)) => output == input,
        // One of them does not exist yet.
        _ => std::path::absolute(output).ok() == std::path::absolute(input).ok(),
    };
    if same {
        let error = Error::bad_edit("is both what is read and what is to be written");
        return Err(error
            .with_path(output)
            .with_hint("give the output another name"));
    }
    Ok(())
}

/// Writes a file beside the one that is to be replaced, and renames it. With `executable`, whoever may read it may execute
/// it, as linkers have it.
fn replace(file: &std::path::Path, bytes: &[u8], executable: bool) -> wasmend::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = file.with_file_name(name);
    let mut create = std::fs::OpenOptions::new();
    create.write(true).create(true).truncate(true);
    if executable {
        use std::os::unix::fs::OpenOptionsExt;
        create.mode(0o777);
    }
    let written = create
        .open(&fresh)
        .and_then(|mut new| std::io::Write::write_all(&mut new, bytes))
        .and_then(|()| std::fs::rename(&fresh, file));
    written.map_err(|error| {
        // What was written of it is of no use; if it cannot be removed either, the first error says more.
        let _ = std::fs::remove_file(&fresh);
        Error::io("cannot write", file, &error)
    })
}
