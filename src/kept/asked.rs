//! What was asked for, in words: the options and the working folder. The head has only a hash of these; this
//! says which of them is another one. It is a text for people: nothing is decided by it, and where it is missing or
//! damaged only less is said.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The first line of the file.
const MAGIC: &[u8] = b"wasmend options 01\n";

/// So long a value is shown.
const MOST_SHOWN: usize = 60;

/// A hash over everything that must be the same.
pub(crate) type Key = [u8; 32];

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) key: Key,
    /// The folder that paths are relative to.
    pub(crate) folder: PathBuf,
    /// An option each, in order.
    lines: Vec<String>,
}

impl Asked {
    /// Everything that shapes what is kept of a `T`: the options as a whole, so that none can be forgotten, and the folder that paths
    /// are relative to.
    pub(crate) fn of<T: 'static>(options: &dyn Debug) -> Asked {
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
        Asked {
            key: key_of::<T>(options),
            folder: std::env::current_dir().unwrap_or_default(),
            lines,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
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
    pub(crate) fn decode(bytes: &[u8]) -> Option<Asked> {
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
    pub(crate) fn differs_from(&self, before: &Asked) -> Option<String> {
        if self.folder != before.folder {
            let (before, now) = (before.folder.display(), self.folder.display());
            return Some(format!("the working folder is {now}, and was {before}"));
        }
        for (now, then) in self.lines.iter().zip(&before.lines) {
            if now == then {
                continue;
            }
            let (name, now) = now.split_once(": ")?;
            let (_, then) = then.split_once(": ")?;
            let name = name.replace('_', "-");
            let (now, then) = (shown(now), shown(then));
            return Some(format!("the option `{name}` is {now}, and was {then}"));
        }
        None
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

/// A name for what is kept under a key.
pub(crate) fn name_of(key: &Key) -> String {
    key[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of what must be the same; see [`Asked::of`].
pub(crate) fn key_of<T: 'static>(options: &dyn Debug) -> Key {
    let kept = std::any::type_name::<T>();
    // What it says has no end that could be another's beginning: texts stand in quotes.
    let folder = std::env::current_dir().unwrap_or_default();
    *blake3::hash(format!("{kept:?}\n{options:?}\n{folder:?}").as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_read_again_as_it_was_written() {
        let asked = Asked::of::<()>(&("File(\"a.o\")", "b\n.o"));
        let bytes = asked.encode();
        assert_eq!(Asked::decode(&bytes), Some(asked));
        for len in 0..60.min(bytes.len()) {
            assert!(Asked::decode(&bytes[..len]).is_none_or(|found| found.lines.is_empty()));
        }
    }

    #[test]
    fn what_is_kept_of_two_types_has_two_keys() {
        assert_ne!(key_of::<u8>(&"options"), key_of::<i8>(&"options"));
        assert_ne!(key_of::<u8>(&"options"), key_of::<u8>(&"others"));
    }
}
