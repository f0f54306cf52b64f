//! `wasmend completions` and `wasmend man`: made from the same table as the help.

use std::io::Write;

use clap::CommandFactory;

use crate::cli::args::{Cli, Completions, Man};

/// Prints a shell's completion script.
pub(crate) fn completions(args: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wasmend", &mut script);
    print(&script)
}

/// Prints the manual page of the whole command, or of one of its commands.
pub(crate) fn man(args: &Man) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    match &args.command {
        Some(name) => {
            let Some(found) = command.find_subcommand(name) else {
                let message = format!("there is no command `{name}`\n");
                Cli::command()
                    .error(clap::error::ErrorKind::InvalidSubcommand, message)
                    .exit();
            };
            clap_mangen::Man::new(found.clone())
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
