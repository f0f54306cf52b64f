//! Which command line it is: wasmend's, or that of a linker, which drivers write in any order. The latter is not for clap,
//! but for wasmend's own options, which may stand anywhere in it.

use std::path::Path;

use clap::{CommandFactory, Parser};

use crate::cli::args::{LinkGeneral, ServeLink, WatchLink};

/// What the process was called for.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// A link, by the linker's arguments.
    Link(LinkGeneral, Vec<String>),
    /// To watch a link.
    WatchLink(WatchLink, Vec<String>),
    /// To serve a link.
    ServeLink(Box<ServeLink>, Vec<String>),
    /// Something else, which clap knows.
    Other,
}

impl Invocation {
    /// Takes arguments apart, the program's name first.
    ///
    /// # Errors
    /// If an option of wasmend's own is wrong.
    pub(crate) fn of(arguments: &[String]) -> Result<Invocation, clap::Error> {
        let Some((program, rest)) = arguments.split_first() else {
            return Ok(Invocation::Other);
        };
        if is_linker(program) {
            return link(Vec::new(), rest);
        }
        let (leading, rest) = leading(rest);
        match rest {
            [first, rest @ ..] if first == "ld" => link(leading, rest),
            [first, second, ..] if first == "-flavor" && second == "wasm" => link(leading, rest),
            [first, ..] if first == "-flavor=wasm" => link(leading, rest),
            [first, rest @ ..] if first == "watch" && names_objects(rest) => {
                let (own, others) = split(&WatchLink::command(), rest);
                let options = parse([leading, own].concat())?;
                Ok(Invocation::WatchLink(options, others))
            }
            [first, rest @ ..] if first == "serve" && names_objects(rest) => {
                let (own, others) = split(&ServeLink::command(), rest);
                let options = parse([leading, own].concat())?;
                Ok(Invocation::ServeLink(Box::new(options), others))
            }
            _ => Ok(Invocation::Other),
        }
    }
}

/// Whether a program of this name is a linker: `wasm-ld`, `wasm-ld-19`, `wasm32-wasi-wasm-ld`. (`rust-lld` is told which
/// linker it is to be.)
fn is_linker(program: &str) -> bool {
    let name = Path::new(program)
        .file_stem()
        .and_then(|name| name.to_str());
    name.is_some_and(|name| {
        name == "wasm-ld" || name.starts_with("wasm-ld-") || name.ends_with("-wasm-ld")
    })
}

/// Whether there is an object, an archive, a library or a response file among the arguments, and nobody asks for help.
fn names_objects(arguments: &[String]) -> bool {
    let asks_for_help = |argument: &String| argument == "--help" || argument == "-h";
    let is_linked = |argument: &String| {
        let ends = [".o", ".obj", ".a", ".rlib"];
        let is_file = !argument.starts_with('-') && ends.iter().any(|end| argument.ends_with(end));
        is_file || argument.starts_with("-l") || argument.starts_with('@')
    };
    arguments.iter().any(is_linked) && !arguments.iter().any(asks_for_help)
}

fn link(leading: Vec<String>, rest: &[String]) -> Result<Invocation, clap::Error> {
    // Behind `ld` they are the linker's: `--verbose`, and `-v`, which asks for its version.
    let command = LinkGeneral::command().mut_arg("verbose", |arg| arg.long(None).short(None));
    let (own, others) = split(&command, rest);
    Ok(Invocation::Link(parse([leading, own].concat())?, others))
}

/// The general options in front of a command, and the rest.
fn leading(arguments: &[String]) -> (Vec<String>, &[String]) {
    let command = LinkGeneral::command();
    let mut at = 0;
    while let Some(taken) = own_option(&command, &arguments[at..]) {
        at += taken;
    }
    (arguments[..at].to_vec(), &arguments[at..])
}

/// Takes apart which arguments are options of a command, and which are not.
fn split(command: &clap::Command, arguments: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < arguments.len() {
        match own_option(command, &arguments[at..]) {
            Some(taken) => {
                own.extend_from_slice(&arguments[at..at + taken]);
                at += taken;
            }
            None => {
                others.push(arguments[at].clone());
                at += 1;
            }
        }
    }
    (own, others)
}

/// How many arguments an option of the command takes with its value, if that is what stands first.
fn own_option(command: &clap::Command, arguments: &[String]) -> Option<usize> {
    let first = arguments.first()?;
    let (name, value) = match first.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (first.as_str(), None),
    };
    let option = command.get_arguments().find(|option| {
        let long = option
            .get_long()
            .is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = option.get_short().map(|short| format!("-{short}"));
        long || short.is_some_and(|short| name == short)
    })?;
    let wants_value = option.get_action().takes_values() && value.is_none();
    Some((1 + usize::from(wants_value)).min(arguments.len()))
}

fn parse<T: Parser>(own: Vec<String>) -> Result<T, clap::Error> {
    let arguments = std::iter::once("wasmend".to_owned()).chain(own);
    T::from_arg_matches(&T::command().try_get_matches_from(arguments)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Invocation {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Invocation::of(&arguments).unwrap()
    }

    #[test]
    fn general_options_stand_anywhere() {
        for line in [
            "wasmend --json ld a.o -o out",
            "wasmend ld a.o --json -o out",
            "wasm-ld a.o -o out --json",
            "wasmend --color never --json -flavor wasm a.o -o out",
        ] {
            let Invocation::Link(general, arguments) = of(line) else {
                panic!("{line}")
            };
            assert!(general.general.json, "{line}");
            let files = arguments.iter().filter(|argument| *argument == "a.o");
            assert_eq!(files.count(), 1, "{line}");
            assert!(!arguments.contains(&"--json".to_owned()), "{line}");
        }
        for line in [
            "wasmend --json -v --color never watch --no-entry a.o -o out",
            "wasmend watch -v a.o --no-entry --json --color=never -o out",
            "wasmend --json watch --verbose --color never --no-entry a.o -o out --settle 25",
        ] {
            let Invocation::WatchLink(options, arguments) = of(line) else {
                panic!("{line}")
            };
            let general = options.general;
            assert!(general.json && general.verbose, "{line}");
            let mut arguments = arguments;
            arguments.sort();
            assert_eq!(arguments, ["--no-entry", "-o", "a.o", "out"], "{line}");
        }
    }

    #[test]
    fn behind_ld_the_linker_has_its_own_words() {
        let Invocation::Link(general, arguments) = of("wasmend -v ld -v --verbose a.o") else {
            panic!()
        };
        assert!(general.general.verbose);
        assert_eq!(arguments, ["-v", "--verbose", "a.o"]);
        let Invocation::Link(general, _) = of("wasmend ld -v a.o") else {
            panic!()
        };
        assert!(!general.general.verbose);
    }

    #[test]
    fn whole_modules_are_for_clap() {
        for line in [
            "wasmend",
            "wasmend watch a.wasm -o out",
            "wasmend watch --help a.o",
            "wasmend --json inspect a.wasm",
            "wasmend --color",
        ] {
            assert!(matches!(of(line), Invocation::Other), "{line}");
        }
        let wrong = ["wasmend", "watch", "a.o", "--settle", "soon"].map(str::to_owned);
        assert!(Invocation::of(&wrong).is_err());
    }
}
