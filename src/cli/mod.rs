//! The command line: a file for each command, one table of arguments, one place for what is said and one for exit codes.
//!
//! It uses the library's public interface only, and decides nothing about modules.

mod apply;
mod args;
mod clean;
mod completions;
mod daemon;
mod demo;
mod doctor;
mod explain;
mod files;
mod finish;
mod following;
mod inspect;
mod invocation;
mod keeping;
mod kept;
mod ld;
mod ld_state;
mod link_patcher;
mod link_report;
mod patch;
mod patch_folder;
mod patcher;
mod record;
mod replay;
mod replay_ld;
mod report;
mod serve;
mod signals;
mod snapshot;
mod text;
mod verify;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, General};
use invocation::Invocation;
use report::Reporter;

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    // A linker's command line is read by the linker's rules: drivers put anything anywhere.
    let given = without_help_command(std::env::args_os().collect());
    let texts = given.iter().map(|argument| argument.to_string_lossy());
    let texts: Vec<String> = texts.map(Into::into).collect();
    let invocation = Invocation::of(&texts);
    let not_text = given.iter().find(|argument| argument.to_str().is_none());
    if let (Ok(of), Some(argument)) = (&invocation, not_text)
        && !matches!(of, Invocation::Other)
    {
        let error = wasmend::Error::bad_input("is not UTF-8, as a linker's arguments have to be");
        let reporter = Reporter::new(texts.iter().any(|text| text == "--json"), false);
        return report::failed(&error.with_path(argument).into(), reporter);
    }
    match invocation {
        // A link says itself when it has something to clean up.
        Ok(Invocation::Link(options, arguments)) => {
            return ld::run(&arguments, options.general, options.durability.durability());
        }
        Ok(Invocation::WatchLink(options, arguments)) => {
            signals::clean_up_when_ended();
            let reporter = report_as(options.general);
            return ended(
                watch::run_link(&options, &arguments, true, &mut watch::Nobody, reporter),
                reporter,
            );
        }
        Ok(Invocation::ServeLink(options, arguments)) => {
            signals::clean_up_when_ended();
            let reporter = report_as(options.watch.general);
            return ended(serve::run_link(&options, &arguments, reporter), reporter);
        }
        Ok(Invocation::Other) => {}
        Err(error) => return say_usage(&error),
    }
    // Clap prints help and usage errors itself; its exit codes are 0 and 2.
    let cli = match Cli::try_parse_from(&given) {
        Ok(cli) => cli,
        Err(error) => return say_usage(&error),
    };
    let reporter = report_as(cli.general);
    // So does a patch, which may have nothing to do.
    if let Command::Patch(args) = &cli.command {
        return patch::run(args, reporter).unwrap_or_else(|error| report::failed(&error, reporter));
    }
    // What this process was started with is to be closed before it opens anything.
    if let Command::LdDaemon(args) = &cli.command {
        return ended(daemon::serve(&args.output), reporter);
    }
    signals::clean_up_when_ended();
    if !matches!(cli.command, Command::Ld(_) | Command::ReplayLd(_)) {
        // A link says itself how many threads it wants.
        let _ = wasmend::link::use_threads(None);
    }
    let result = match cli.command {
        Command::Ld(args) => {
            return ld::run(
                &args.arguments,
                cli.general,
                wasmend::output::Durability::default(),
            );
        }
        Command::LdDaemon(_) | Command::Patch(_) => Ok(()),
        Command::ReplayLd(args) => {
            return replay_ld::run(&args, reporter)
                .unwrap_or_else(|error| report::failed(&error, reporter));
        }
        Command::Replay(args) => replay::run(&args, reporter),
        Command::Watch(args) => watch::run(&args, &mut watch::Nobody, reporter),
        Command::Serve(args) => serve::run(&args, reporter),
        Command::Inspect(args) => inspect::run(&args, reporter),
        Command::Snapshot(args) => snapshot::run(&args, reporter),
        Command::Verify(args) => verify::run(&args, reporter),
        Command::Apply(args) => apply::run(&args, reporter),
        Command::Finish(args) => finish::run(&args, reporter),
        Command::Doctor(args) => doctor::run(&args, reporter),
        Command::Clean(args) => clean::run(&args, reporter),
        Command::Explain(args) => explain::run(&args, reporter),
        Command::Demo(args) => demo::run(&args, reporter),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
    };
    ended(result, reporter)
}

/// `help` and `help COMMAND` are other words for `--help` and `COMMAND --help`.
fn without_help_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.truncate(2);
        arguments.push("--help".into());
    }
    arguments
}

/// Who says what happens, as the general options have it.
fn report_as(general: General) -> Reporter {
    report::choose_color(general.color);
    Reporter::new(general.json, general.verbose)
}

/// Prints help, or what is wrong with the arguments, which are shown as a terminal may have them.
fn say_usage(error: &clap::Error) -> ExitCode {
    let arguments: String = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let _ = report::usage_event(error, code);
    }
    // With its colours, if no argument has any of its own. Whoever does not want to read it needs not.
    let _ = match text::printable(&arguments) == arguments {
        true => error.print(),
        false => {
            let text = error.render().to_string();
            let shown = report::for_people(&text, &std::io::stderr());
            write!(std::io::stderr(), "{shown}")
        }
    };
    ExitCode::from(code)
}

/// How the process ends.
fn ended(result: anyhow::Result<()>, reporter: Reporter) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, reporter),
    }
}
