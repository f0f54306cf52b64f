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
mod signals;
mod text;
mod verify;
mod watch;

use std::io::ErrorKind::BrokenPipe;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use wasmend::Error;
use wasmend::output::{self, Destination};

use args::{Cli, Color, Command};
use report::Reporter;

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    signals::clean_up_when_ended();
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
fn read(path: &Path) -> wasmend::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io("cannot read", path, &error))
}

/// What has to hold of an output that is going to be patched, before anything is done: it is none of `inputs`, it is a
/// file that may be replaced, and its folder is there, which is made if need be.
fn claim_output(
    output: &Path,
    inputs: impl IntoIterator<Item = impl AsRef<Path>>,
    force: Option<bool>,
) -> wasmend::Result<()> {
    output::expect_not_an_input(output, inputs)?;
    if let Some(folder) = output.parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::io("cannot create the folder", folder, &error))?;
    }
    Destination::expect_file(output)?;
    expect_replaceable(output, force)
}

/// Refuses to replace what is neither a module nor empty nor called one, unless told to: whoever names a source or a
/// text has most likely named the wrong file. What is no regular file is not replaced anyway. `force` is `None` where one
/// cannot be told to.
fn expect_replaceable(file: &Path, force: Option<bool>) -> wasmend::Result<()> {
    use std::io::Read;
    const MAGIC: &[u8] = b"\0asm";
    let is_called_module = file
        .extension()
        .is_some_and(|extension| extension == "wasm");
    if force == Some(true) || is_called_module || !file.is_file() {
        return Ok(());
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(file)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start));
    let refused = match read {
        Ok(_) if start.is_empty() || start == MAGIC => return Ok(()),
        Ok(_) => Error::bad_input("is there already, and is no WebAssembly module").with_path(file),
        Err(error) => Error::io("cannot see whether this may be replaced", file, &error),
    };
    Err(refused.with_hint(match force {
        Some(_) => "give the output another name, or replace the file with --force",
        None => "give the output another name, or remove the file",
    }))
}
