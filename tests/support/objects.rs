//! Objects: those that are checked in, in `tests/objects`, and those that a test puts together with a [`Builder`](builder::Builder).
//!
//! `tests/objects/build.sh` makes the first of the sources in `tests/objects/src`.

use std::path::{Path, PathBuf};

use wasmend::link::LinkOptions;

#[path = "../../benches/generator/object.rs"]
pub mod builder;

/// The flag of a data segment that is linked whether anything refers to it or not.
pub const RETAIN: u32 = 4;
/// The byte of the type i32.
pub const I32: u8 = 0x7f;

/// The folder of the objects.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects")
}

/// One of the files in it.
pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// The files in it with one of these extensions, by name.
pub fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extensions.iter().any(|wanted| *wanted == extension))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The objects in it that can be read.
pub fn all() -> impl Iterator<Item = PathBuf> {
    files(&["o"])
        .into_iter()
        .filter(|path| !path.ends_with("bitcode.o"))
}

/// A word of a link's command line: with its folder if it is the name of a file, but for files that have one.
pub fn word(word: &str) -> String {
    let is_file = [".o", ".a", ".rlib"].iter().any(|end| word.ends_with(end));
    match is_file && !word.starts_with(['-', '/']) {
        true => path(word).display().to_string(),
        false => word.to_owned(),
    }
}

/// The options of a command line, words between blanks, for this output. Files without a folder are those checked in.
pub fn options(line: &str, output: &Path) -> LinkOptions {
    let mut arguments: Vec<String> = line.split_whitespace().map(word).collect();
    arguments.push(format!("-o{}", output.display()));
    LinkOptions::parse(&arguments).unwrap_or_else(|error| panic!("{line}: {error}"))
}
