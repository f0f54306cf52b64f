//! Response files: `@file` stands for the arguments in that file.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::object::read_at_most;

/// How arguments are quoted in response files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Quotes of both kinds, and backslashes before any byte.
    Posix,
    /// Double quotes; backslashes count only before them.
    Windows,
}

/// Response files may name others, but hardly this deep.
const DEPTH: usize = 20;

/// Arguments, and the response files that they were read from.
#[derive(Debug, Default)]
pub struct Expanded {
    /// The arguments.
    pub arguments: Vec<String>,
    /// The files, as often as they are named.
    pub files: Vec<PathBuf>,
}

/// Replaces each `@file` by what the file says. Names in response files count from the working directory.
///
/// # Errors
/// If a file cannot be read, is not UTF-8, or names itself.
pub fn expand(arguments: &[String]) -> Result<Expanded> {
    let quoting = quoting(arguments)?;
    let mut expanded = Expanded::default();
    for argument in arguments {
        expand_into(argument, quoting, 0, &mut expanded)?;
    }
    Ok(expanded)
}

/// How the arguments say that response files are quoted.
///
/// # Errors
/// If there is no such style.
pub(in crate::link) fn quoting(arguments: &[String]) -> Result<Quoting> {
    let mut quoting = match cfg!(windows) {
        true => Quoting::Windows,
        false => Quoting::Posix,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.trim_start_matches('-');
        let value = match name.strip_prefix("rsp-quoting=") {
            Some(value) if argument.starts_with('-') => value,
            _ if name == "rsp-quoting" && argument.starts_with('-') => {
                arguments.next().map_or("", String::as_str)
            }
            _ => continue,
        };
        quoting = match value {
            "posix" => Quoting::Posix,
            "windows" => Quoting::Windows,
            _ => {
                return Err(
                    Error::bad_input(format!("--rsp-quoting: `{value}` is no style"))
                        .with_hint("`posix` and `windows` are"),
                );
            }
        };
    }
    Ok(quoting)
}

fn expand_into(
    argument: &str,
    quoting: Quoting,
    depth: usize,
    expanded: &mut Expanded,
) -> Result<()> {
    let Some(file) = argument.strip_prefix('@') else {
        expanded.arguments.push(argument.to_owned());
        return Ok(());
    };
    let path = Path::new(file);
    if depth == DEPTH {
        return Err(
            Error::new(ErrorKind::Io, "response files name one another too deeply").with_path(path),
        );
    }
    let text = read_list(path)?;
    expanded.files.push(path.to_owned());
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::bad_input("a response file is not UTF-8").with_path(path))?;
    for argument in tokens(text, quoting) {
        expand_into(&argument, quoting, depth + 1, expanded)?;
    }
    Ok(())
}

/// More than this is no list of anything: a pipe may never end.
const MOST_OF_LIST: u64 = 64 << 20;

/// Reads a file that lists something.
pub(super) fn read_list(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, MOST_OF_LIST)
}

/// Splits the text of a response file.
pub fn tokens(text: &str, quoting: Quoting) -> Vec<String> {
    match quoting {
        Quoting::Posix => posix(text),
        Quoting::Windows => windows(text),
    }
}

fn posix(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token: Option<String> = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => token.get_or_insert_default().extend(chars.next()),
            '\'' | '"' => {
                let token = token.get_or_insert_default();
                while let Some(inner) = chars.next() {
                    match inner {
                        _ if inner == char => break,
                        '\\' => token.extend(chars.next()),
                        _ => token.push(inner),
                    }
                }
            }
            _ if char.is_ascii_whitespace() => tokens.extend(token.take()),
            _ => token.get_or_insert_default().push(char),
        }
    }
    tokens.extend(token);
    tokens
}

fn windows(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token: Option<String> = None;
    let mut quoted = false;
    let mut backslashes = 0;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\\' {
            backslashes += 1;
            token.get_or_insert_default();
            if chars.peek().is_some() {
                continue;
            }
        }
        let pending = std::mem::take(&mut backslashes);
        if char == '"' {
            let token = token.get_or_insert_default();
            token.extend(std::iter::repeat_n('\\', pending / 2));
            if pending % 2 == 1 {
                token.push('"');
            } else if quoted && chars.peek() == Some(&'"') {
                chars.next();
                token.push('"');
            } else {
                quoted = !quoted;
            }
            continue;
        }
        if pending > 0 {
            let token = token.get_or_insert_default();
            token.extend(std::iter::repeat_n('\\', pending));
        }
        match char {
            '\\' => {}
            _ if char.is_ascii_whitespace() && !quoted => tokens.extend(token.take()),
            _ => token.get_or_insert_default().push(char),
        }
    }
    tokens.extend(token);
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posix_quoting() {
        let text = "a.o 'b c.o' \"d \\\" e\"\nf\\ g.o ''\t--export=x 'it'\\''s'";
        let expected = ["a.o", "b c.o", "d \" e", "f g.o", "", "--export=x", "it's"];
        assert_eq!(tokens(text, Quoting::Posix), expected);
    }

    #[test]
    fn windows_quoting() {
        let text = r#"c:\a\b.o "c:\d e\\" \"f\" "g""h" \\server\x\"#;
        let expected = [r"c:\a\b.o", r"c:\d e\", "\"f\"", "g\"h", r"\\server\x\"];
        assert_eq!(tokens(text, Quoting::Windows), expected);
    }

    #[test]
    fn files_are_expanded_and_cycles_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("inner"), "b.o -lc").unwrap();
        std::fs::write(path("outer"), format!("a.o @{} d.o", path("inner"))).unwrap();
        let expanded = expand(&["-x".into(), format!("@{}", path("outer"))]).unwrap();
        assert_eq!(expanded.arguments, ["-x", "a.o", "b.o", "-lc", "d.o"]);
        assert_eq!(
            expanded.files,
            ["outer", "inner"].map(|name| PathBuf::from(path(name)))
        );
        std::fs::write(path("self"), format!("@{}", path("self"))).unwrap();
        let error = expand(&[format!("@{}", path("self"))]).unwrap_err();
        assert!(error.to_string().contains("too deeply"), "{error}");
        let error = expand(&["@/nonexistent".into()]).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }
}
