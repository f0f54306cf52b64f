//! What was asked of the link that is kept, in words: the options, the inputs and the working folder. The head has only a hash of
//! these; this says which of them is another one. It is a text for people: nothing is decided by it, and where it is missing or
//! damaged only less is said.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::link::command::options::{Color, InputArgument, LinkOptions};

/// The first line of the file.
const MAGIC: &[u8] = b"wasmend options 01\n";

/// So long a value is shown.
const MOST_SHOWN: usize = 60;

/// A hash over everything that must be the same.
pub(super) type Key = [u8; 32];

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) key: Key,
    /// The folder that paths are relative to.
    pub(super) folder: PathBuf,
    /// An option or an input each, in order.
    lines: Vec<String>,
}

impl Asked {
    /// Everything that shapes what is kept: the options as a whole, so that none can be forgotten, and the folder that paths are
    /// relative to. Left out is what decides only what is said and how fast; and what objects are called, since some compilers
    /// name them anew in each build.
    pub(super) fn of(options: &LinkOptions) -> Asked {
        let options = settled(options);
        let mut lines = Vec::new();
        // Fields of the options stand four columns from the edge; what they consist of stands further in.
        for line in format!("{options:#?}").lines() {
            let is_field = line.starts_with("    ") && !line[4..].starts_with([' ', ']', '}', ')']);
            match lines.last_mut() {
                _ if is_field => lines.push(line.trim().to_owned()),
                Some(last) => {
                    last.push(' ');
                    last.push_str(line.trim());
                }
                None => {}
            }
        }
        lines.retain(|line| !line.starts_with("inputs: "));
        let inputs = options.inputs.iter();
        lines.extend(inputs.map(|input| format!("input {input:?}")));
        Asked {
            key: key(&options),
            folder: std::env::current_dir().unwrap_or_default(),
            lines,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.key);
        out.extend_from_slice(self.folder.as_os_str().as_bytes());
        out.push(0);
        for line in &self.lines {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        out
    }

    /// Reads what was written. `None` if it is something else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Asked> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(&rest[end + 1..]).ok()?;
        Some(Asked {
            key: *key,
            folder: Path::new(OsStr::from_bytes(&rest[..end])).to_path_buf(),
            lines: text.lines().map(str::to_owned).collect(),
        })
    }

    /// The first thing that is another one now than it was `before`.
    pub(super) fn differs_from(&self, before: &Asked) -> Option<String> {
        if self.folder != before.folder {
            let (before, now) = (before.folder.display(), self.folder.display());
            return Some(format!("the working folder is {now}, and was {before}"));
        }
        let is_input = |line: &&String| line.starts_with("input ");
        let now = self.lines.iter().filter(|line| !is_input(line));
        let then = before.lines.iter().filter(|line| !is_input(line));
        for (now, then) in now.zip(then) {
            if now == then {
                continue;
            }
            let (name, now) = now.split_once(": ")?;
            let (_, then) = then.split_once(": ")?;
            let name = name.replace('_', "-");
            let (now, then) = (shown(now), shown(then));
            return Some(format!("the option `{name}` is {now}, and was {then}"));
        }
        let now: Vec<&String> = self.lines.iter().filter(is_input).collect();
        let then: Vec<&String> = before.lines.iter().filter(is_input).collect();
        let at = now.iter().zip(&then).take_while(|(now, then)| now == then);
        let at = at.count();
        let name = |line: &str| shown(line.trim_start_matches("input ")).to_owned();
        if now.len() != then.len() {
            let text = format!("the inputs are {}, and were {}", now.len(), then.len());
            return Some(match (now.get(at), then.get(at)) {
                (Some(first), _) if now.len() > then.len() => {
                    format!("{text}; the first that is new is {}", name(first))
                }
                (_, Some(first)) => format!("{text}; the first that is gone is {}", name(first)),
                _ => text,
            });
        }
        let (now, then) = (now.get(at)?, then.get(at)?);
        Some(format!(
            "input {} is {}, and was {}",
            at + 1,
            name(now),
            name(then)
        ))
    }
}

/// As much of a value as is shown.
fn shown(value: &str) -> String {
    let value = value.trim_end_matches(',');
    match value.char_indices().nth(MOST_SHOWN) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}...", &value[..end]),
    }
}

/// Options without what may be otherwise.
fn settled(options: &LinkOptions) -> LinkOptions {
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

/// The hash of what must be the same; see [`Asked::of`].
pub(super) fn key_of(options: &LinkOptions) -> Key {
    key(&settled(options))
}

fn key(settled: &LinkOptions) -> Key {
    let mut hasher = KeyHasher(blake3::Hasher::new());
    // What it says has no end that could be another's beginning: texts stand in quotes.
    let folder = std::env::current_dir().unwrap_or_default();
    let _ = fmt::Write::write_fmt(&mut hasher, format_args!("{settled:?}\n{folder:?}"));
    *hasher.0.finalize().as_bytes()
}

/// Hashes text without keeping it.
struct KeyHasher(blake3::Hasher);

impl fmt::Write for KeyHasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

fn is_named_as_object(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "o")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Asked {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Asked::of(&LinkOptions::parse(&arguments).unwrap())
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

    #[test]
    fn what_was_asked_is_read_again_as_it_was_written() {
        let asked = asked(&["a.o", "-o", "out\n.wasm", "--export=a\"b"]);
        let bytes = asked.encode();
        assert_eq!(Asked::decode(&bytes), Some(asked));
        for len in 0..60.min(bytes.len()) {
            assert!(Asked::decode(&bytes[..len]).is_none_or(|found| found.lines.is_empty()));
        }
    }
}
