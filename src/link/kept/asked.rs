//! What of a link's options has to be the same for what is kept to be of use. What is left out decides only what is said and how
//! fast; and what objects are called, since some compilers name them anew in each build.

use std::path::{Path, PathBuf};

use crate::kept::{Asked, key_of};
use crate::link::command::options::{Color, InputArgument, LinkOptions};
use crate::link::session::Linked;

/// What was asked of a link, in words.
pub(super) fn asked_of(options: &LinkOptions) -> Asked {
    let settled = settled(options);
    let inputs = settled.inputs.iter().map(|input| format!("{input:?}"));
    Asked::of::<Linked>(&settled, inputs)
}

/// A name for what is kept of a link somewhere else than beside its output: the same for the same options and inputs, wherever
/// an output of that name goes.
pub fn state_name(options: &LinkOptions) -> String {
    let output = options.output.file_name().map(PathBuf::from);
    let options = LinkOptions {
        output: output.unwrap_or_default(),
        ..options.clone()
    };
    let key = key_of::<Linked>(&settled(&options));
    key[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Options without what may be otherwise.
pub(super) fn settled(options: &LinkOptions) -> LinkOptions {
    let mut options = LinkOptions {
        response_files: Vec::new(),
        verbose: false,
        stats: false,
        threads: None,
        color: Color::Auto,
        error_limit: 0,
        state: None,
        state_dir: None,
        ..options.clone()
    };
    for input in &mut options.inputs {
        if let InputArgument::File(path) = input
            && is_named_as_object(path)
        {
            *path = PathBuf::from(".o");
        }
    }
    options
}

fn is_named_as_object(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "o")
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
            (
                vec!["liby.a"],
                "the inputs are 3, and were 2; the first that is new is File(\"liby.a\")",
            ),
        ] {
            let now = [&before[..], &more].concat();
            assert_eq!(difference(&now).as_deref(), Some(expected));
        }
        assert_eq!(
            difference(&["a.o", "liby.a", "-o", "out.wasm"]).as_deref(),
            Some("input 2 is File(\"liby.a\"), and was File(\"libx.a\")")
        );
        assert_eq!(
            difference(&["a.o", "-o", "out.wasm"]).as_deref(),
            Some("the inputs are 1, and were 2; the first that is gone is File(\"libx.a\")")
        );
    }
}
