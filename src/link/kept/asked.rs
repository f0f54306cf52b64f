//! What of a link's options has to be the same for what is kept to be of use. What is left out decides only what is said and how
//! fast; and the inputs, of which another list is one more thing that may have changed.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::kept::{Asked, Compare, Head, Key, NoState, Role, key_of, name_of};
use crate::link::command::options::{Color, InputArgument, LinkOptions};
use crate::link::session::Linked;

/// What was asked of a link, in words.
pub(super) fn asked_of(options: &LinkOptions) -> Asked {
    Asked::of::<Linked>(&settled(options))
}

/// A name for what is kept of a link somewhere else than beside its output: the same for the same options, wherever an output of
/// that name goes, and from whatever inputs.
pub fn state_name(options: &LinkOptions) -> String {
    let output = options.output.file_name().map(PathBuf::from);
    let options = LinkOptions {
        output: output.unwrap_or_default(),
        ..options.clone()
    };
    name_of(&key_of::<Linked>(&settled(&options)))
}

/// Options without what may be otherwise.
pub(super) fn settled(options: &LinkOptions) -> LinkOptions {
    LinkOptions {
        response_files: Vec::new(),
        inputs: Vec::new(),
        verbose: false,
        stats: false,
        threads: None,
        color: Color::Auto,
        error_limit: 0,
        state: None,
        state_dir: None,
        daemon: None,
        compare: Compare::Times,
        // What is kept can be patched.
        incremental: None,
        ..options.clone()
    }
}

/// What tells a list of inputs from another one whose files are not those at the same places of this one. Files may be called
/// otherwise: compilers name objects, and what they put them in, anew in each build.
pub(super) fn list_of(options: &LinkOptions) -> Key {
    key_of::<Linked>(&Inputs(&options.inputs))
}

/// Inputs, of which files count by the ends of their names only.
struct Inputs<'a>(&'a [InputArgument]);

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for input in self.0 {
            match input {
                // Nearly all are of this kind, and of few ends.
                InputArgument::File(path) => {
                    let end = path.extension().unwrap_or_default();
                    let plain = |end: &&str| end.bytes().all(|byte| byte.is_ascii_alphanumeric());
                    match end.to_str().filter(plain) {
                        Some(end) => writeln!(f, "file {end}")?,
                        None => writeln!(f, "file {end:?}")?,
                    }
                }
                other => writeln!(f, "{other:?}")?,
            }
        }
        Ok(())
    }
}

/// Refuses a list of inputs most of which are others than before: what is kept is of another program.
pub(super) fn expect_alike(head: &Head, options: &LinkOptions) -> Result<(), NoState> {
    let places = head.files.places();
    let kept = places.iter().filter_map(|at| head.files.get(*at));
    let kept = kept.filter(|file| file.role == Role::Followed);
    let mut then: Vec<&Path> = kept.map(|file| file.path).collect();
    then.sort_unstable();
    let (known, new): (Vec<&Path>, Vec<&Path>) = options
        .files()
        .partition(|path| then.binary_search(path).is_ok());
    // Objects may be those of before under other names.
    let new_objects = new.iter().filter(|path| is_named_as_object(path)).count();
    let mut now = known.clone();
    now.sort_unstable();
    let is_gone = |path: &&&Path| is_named_as_object(path) && now.binary_search(path).is_err();
    let gone_objects = then.iter().filter(is_gone).count();
    let alike = known.len() + new_objects.min(gone_objects);
    let all = known.len() + new.len();
    match 2 * alike < all {
        true => {
            let text = format!("{} of {all} files of the command line are new", all - alike);
            Err(NoState::OtherOptions(Some(text)))
        }
        false => Ok(()),
    }
}

/// Whether a file is called as objects are.
pub(super) fn is_named_as_object(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "o" || extension == "obj")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Asked {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        asked_of(&LinkOptions::parse(&arguments).unwrap())
    }

    #[test]
    fn what_is_different_is_named() {
        let before = ["a.o", "libx.a", "-o", "out.wasm"];
        let difference = |now: &[&str]| asked(now).differs_from(&asked(&before));
        assert_eq!(difference(&before), None);
        assert_eq!(
            difference(&["b.o", "libx.a", "-o", "out.wasm", "--verbose"]),
            None
        );
        for (more, expected) in [
            (
                vec!["--export-all"],
                "the option `export-all` is true, and was false",
            ),
            (
                vec!["--export=answer"],
                "the option `exports` is [ \"answer\", ], and was []",
            ),
        ] {
            let now = [&before[..], &more].concat();
            assert_eq!(difference(&now).as_deref(), Some(expected));
        }
        assert_eq!(
            difference(&["a.o", "liby.a", "b.o", "-o", "out.wasm"]),
            None
        );
    }

    #[test]
    fn lists_of_inputs_differ_by_what_stands_where_and_not_by_names() {
        let list = |text: &str| {
            let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
            list_of(&LinkOptions::parse(&arguments).unwrap())
        };
        let before = list("a.o libx.a -lc -o out");
        assert_eq!(list("b.o liby.a -lc -o out --export-all"), before);
        for other in [
            "a.o libx.a -lm -o out",
            "a.o libx.a b.o -lc -o out",
            "libx.a a.o -lc -o out",
            "a.o libx.a -o out",
            "a.o --whole-archive libx.a -lc -o out",
            "--start-lib a.o --end-lib libx.a -lc -o out",
        ] {
            assert_ne!(list(other), before, "{other}");
        }
    }
}
