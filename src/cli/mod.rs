//! The command line: a file for each command, one table of arguments, one place for what is said and one for exit codes.
//!
//! It uses the library's public interface only, and decides nothing about modules.

mod args;
mod completions;
mod demo;
mod files;
mod finish;
mod inspect;
mod invocation;
mod ld;
mod link_patcher;
mod patcher;
mod replay;
mod replay_ld;
mod report;
mod signals;
mod text;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, General};
use invocation::Invocation;
use report::Reporter;

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    signals::clean_up_when_ended();
    // A linker's command line is read by the linker's rules: drivers put anything anywhere.
    let arguments: Option<Vec<String>> = std::env::args_os()
        .map(|argument| argument.into_string().ok())
        .collect();
    match Invocation::of(&arguments.unwrap_or_default()) {
        Ok(Invocation::Link(options, arguments)) => return ld::run(&arguments, options.general),
        Ok(Invocation::WatchLink(options, arguments)) => {
            let reporter = report_as(options.general);
            return ended(watch::run_link(&options, &arguments, reporter), reporter);
        }
        Ok(Invocation::Other) => {}
        Err(error) => error.exit(),
    }
    // Clap prints help and usage errors itself; its exit codes are 0 and 2.
    let cli = Cli::parse();
    let reporter = report_as(cli.general);
    let result = match cli.command {
        Command::Ld(args) => return ld::run(&args.arguments, cli.general),
        Command::ReplayLd(args) => {
            return replay_ld::run(&args, reporter)
                .unwrap_or_else(|error| report::failed(&error, reporter));
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
    ended(result, reporter)
}

/// Who says what happens, as the general options have it.
fn report_as(general: General) -> Reporter {
    report::choose_color(general.color);
    Reporter::new(general.json, general.verbose)
}

/// How the process ends.
fn ended(result: anyhow::Result<()>, reporter: Reporter) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, reporter),
    }
}
