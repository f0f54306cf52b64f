//! `wasmend serve`: watches a build or a link, and serves pages in which the module is brought up to date while it runs.
//!
//! The watching is that of `watch`; what it publishes is told to the `site`, which the `server` answers from (`http`). A command
//! that makes the builds is run by `run`.

mod demo;
mod http;
mod run;
mod server;
mod site;

use crate::cli::args::{BuildOptions, Serve, ServeLink, StateArgs, Watch};
use crate::cli::report::Reporter;
use crate::cli::signals::Scratch;
use crate::cli::watch;
use server::Server;

/// Serves a build of a module, or the demo.
pub(crate) fn run(args: &Serve, reporter: Reporter) -> anyhow::Result<()> {
    let Some(file) = &args.file else {
        return demo::run(&args.serving, args.waiting, reporter);
    };
    let scratch = match args.output {
        Some(_) => None,
        None => Some(Scratch::new()?),
    };
    let name = file.file_name().unwrap_or_default();
    let output = match (&args.output, &scratch) {
        (Some(output), _) => output.clone(),
        (None, Some(scratch)) => scratch.path().join(name),
        (None, None) => file.clone(),
    };
    // Pages ask for the build by its own name, if the output has none that is theirs.
    let named = args.output.as_ref().unwrap_or(file);
    let server = Server::start(&args.serving, named, &output, None, reporter)?;
    let watched = Watch {
        file: file.clone(),
        output,
        force: args.force,
        waiting: args.waiting,
        build: BuildOptions {
            live: true,
            ..args.build.clone()
        },
        state: StateArgs::none(),
    };
    watch::run(&watched, &mut &*server.site, reporter)
}

/// Serves a link, by a linker's arguments.
pub(crate) fn run_link(
    args: &ServeLink,
    arguments: &[String],
    reporter: Reporter,
) -> anyhow::Result<()> {
    let output = watch::output_of_link(arguments)?;
    let server = Server::start(&args.serving, &output, &output, None, reporter)?;
    let arguments = [&["--live".to_owned()], arguments].concat();
    watch::run_link(&args.watch, &arguments, false, &mut &*server.site, reporter)
}
