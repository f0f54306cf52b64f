//! Reads a command line by the table of options, and writes the help text from it.
//!
//! Nothing here opens files, but for response files, and nothing knows what an option means.

use crate::error::{Error, Result};
use crate::link::command::option_table::{Dashes, OPTIONS, Spec, Takes};
use crate::link::command::options::{InputArgument, Later, LinkOptions};
use crate::link::command::response_file;
use crate::link::command::spelling;

impl LinkOptions {
    /// Reads a command line, without the program's name. `-flavor wasm` in front is accepted.
    ///
    /// # Errors
    /// If an option is unknown (with a suggestion), is not supported (by name), lacks its value or has a bad one, or
    /// contradicts another.
    pub fn parse(arguments: &[String]) -> Result<LinkOptions> {
        let expanded = response_file::expand(arguments)?;
        let mut options = LinkOptions {
            response_files: expanded.files,
            ..LinkOptions::default()
        };
        let mut later = Later::default();
        let mut arguments = expanded.arguments.iter();
        while let Some(argument) = arguments.next() {
            let is_option = argument.len() > 1 && argument.starts_with('-');
            if !is_option {
                options.inputs.push(InputArgument::File(argument.into()));
                continue;
            }
            let Some((spec, attached)) = find(argument) else {
                return Err(unknown(argument));
            };
            let value = match (spec.takes, attached) {
                (Takes::Nothing | Takes::Equals | Takes::Perhaps, attached) => attached,
                (_, Some(value)) => Some(value),
                (_, None) => Some(arguments.next().map(String::as_str).ok_or_else(|| {
                    Error::bad_input(format!("{argument}: its value is missing"))
                })?),
            };
            (spec.set)(&mut options, &mut later, value.unwrap_or(""))
                .map_err(|error| error.with_symbol(argument.as_str()))?;
            if std::mem::take(&mut later.is_idle) {
                let warning = format!("{argument} has an effect on bitcode only");
                options.warnings.push(warning);
            }
        }
        options.settle(&later)?;
        Ok(options)
    }
}

/// The option that an argument names, and the value written together with it.
fn find(argument: &str) -> Option<(&'static Spec, Option<&str>)> {
    let two = argument.strip_prefix("--");
    let one = argument.strip_prefix('-')?;
    let mut best: Option<(usize, &Spec, Option<&str>)> = None;
    for spec in OPTIONS {
        for name in spec.names {
            let text = match (spec.dashes, two) {
                (Dashes::One, None) => one,
                (Dashes::Two | Dashes::Any, Some(two)) => two,
                (Dashes::Any, None) => one,
                _ => continue,
            };
            let Some(rest) = text.strip_prefix(name) else {
                continue;
            };
            let value = match (spec.takes, rest) {
                (Takes::Equals, rest) => rest.strip_prefix('='),
                (_, "") => None,
                (Takes::Nothing, _) => continue,
                (Takes::Attached, rest) => Some(rest),
                (Takes::Value | Takes::Perhaps, rest) => rest.strip_prefix('='),
            };
            let matches = value.is_some() || (rest.is_empty() && spec.takes != Takes::Equals);
            if matches && best.is_none_or(|(len, ..)| name.len() > len) {
                best = Some((name.len(), spec, value));
            }
        }
    }
    best.map(|(_, spec, value)| (spec, value))
}

#[cold]
fn unknown(argument: &str) -> Error {
    let name = argument.trim_start_matches('-');
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    let names = OPTIONS.iter().flat_map(|spec| spec.names.iter().copied());
    let error = Error::bad_input(format!("unknown option {argument}"));
    match spelling::nearest(name, names.filter(|name| name.len() > 1)) {
        Some(near) => error.with_hint(format!("did you mean --{near}?")),
        None => error.with_hint("see --help"),
    }
}

/// The help text: every option with what it does.
pub fn help() -> String {
    let mut text = String::from(
        "Links WebAssembly objects and archives, as wasm-ld does, into a program that can\n\
         be patched in its place.\n\n\
         Usage: wasmend ld [OPTIONS] FILE...\n       wasm-ld [OPTIONS] FILE...    (wasmend under that name)\n\n\
         @FILE stands for the arguments in FILE. Most long options may have one dash, and\n\
         their value behind `=` or as the next argument.\n\n",
    );
    for spec in OPTIONS {
        if spec.help.is_empty() {
            continue;
        }
        let dashes = match spec.dashes {
            Dashes::One => "-",
            Dashes::Two | Dashes::Any => "--",
        };
        let value = match spec.takes {
            Takes::Nothing => String::new(),
            Takes::Attached => format!(" {}", spec.value),
            Takes::Value | Takes::Equals => format!("={}", spec.value),
            Takes::Perhaps => format!("[={}]", spec.value),
        };
        let left = format!("  {dashes}{}{value}", spec.names[0]);
        push_row(&mut text, &left, spec.help);
    }
    text
}

/// How wide the help's lines are at most, and its first column.
const WIDTH: usize = 80;
const FIRST: usize = 32;

/// Adds an option with what it does, in as many lines as that takes.
fn push_row(text: &mut String, left: &str, help: &str) {
    let mut line = format!("{left:<FIRST$}");
    if left.len() >= FIRST {
        text.push_str(left);
        text.push('\n');
        line = " ".repeat(FIRST);
    }
    for word in help.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(FIRST);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
