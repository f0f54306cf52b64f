//! `wasmend completions` and `wasmend man`: made from the same table as the help.

use std::io::Write;

use clap::CommandFactory;

use crate::cli::args::{Cli, Completions, Man};

/// Prints a shell's completion script.
pub(crate) fn completions(args: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut command = with_linker_options(Cli::command());
    clap_complete::generate(args.shell, &mut command, "wasmend", &mut script);
    print(&script)
}

/// Makes the linker's options, which clap does not read, known to what is made from the table of arguments.
fn with_linker_options(command: clap::Command) -> clap::Command {
    let text = wasmend::link::help();
    let rows = text.lines().filter_map(|line| line.strip_prefix("  --"));
    let end = |char: char| !char.is_ascii_alphanumeric() && char != '-';
    let options = rows.map(|row| row.split_once(end).unwrap_or((row, "")).0);
    let is_clap = |name: &&str| !["verbose", "help", "json", "color", "version"].contains(name);
    let options: Vec<clap::Arg> = options
        .filter(is_clap)
        .map(|name| {
            let name: &'static str = String::leak(name.to_owned());
            clap::Arg::new(name).long(name).num_args(0..=1)
        })
        .collect();
    command.mut_subcommand("ld", |ld| ld.args(options))
}

/// Prints the manual page of the whole command, or of one of its commands.
pub(crate) fn man(args: &Man) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    match &args.command {
        Some(name) => {
            let found = command.find_subcommand(name).cloned();
            let mut found = found.unwrap_or_default();
            if name == "ld" {
                // Behind `ld`, `-v` and `--verbose` are the linker's.
                found = found.mut_arg("verbose", |arg| arg.hide(true));
                let example = found.get_after_help().map(ToString::to_string);
                let options = wasmend::link::help();
                let text = format!("{}\n\n{options}", example.unwrap_or_default());
                found = found.after_long_help(text);
            }
            clap_mangen::Man::new(found)
                .title(format!("wasmend-{name}"))
                .render(&mut page)?;
        }
        None => {
            clap_mangen::Man::new(command.clone()).render(&mut page)?;
        }
    }
    print(&page)
}

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}
