//! Which files a link's command line leads to, for whoever watches them: response files, inputs, the places where a
//! library would be found, members of thin archives, lists of symbols. Nothing here waits for a writer: only regular files
//! are opened.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::link::command::options::LinkOptions;
use crate::link::command::response_file;
use crate::link::inputs::{find_libraries, symbols_beside};
use crate::object::{Archive, FileKind, Input};

/// A command line, with the response files that it was read from.
#[derive(Debug, Clone)]
pub struct CommandLine {
    /// Each `@file`, also those that others name.
    pub response_files: Vec<PathBuf>,
    /// What it says; an error if a response file is missing, or something is not understood.
    pub options: Result<LinkOptions>,
}

impl CommandLine {
    /// Reads arguments, and the response files that they name.
    pub fn read(arguments: &[String]) -> CommandLine {
        let mut response_files = Vec::new();
        let found = response_file::quoting(arguments).and_then(|quoting| {
            let mut waiting = arguments.to_vec();
            while let Some(argument) = waiting.pop() {
                let Some(file) = argument.strip_prefix('@').map(PathBuf::from) else {
                    continue;
                };
                if response_files.contains(&file) {
                    continue;
                }
                response_files.push(file.clone());
                let text = read_regular(&file, u64::MAX)?;
                waiting.extend(response_file::tokens(
                    &String::from_utf8_lossy(&text),
                    quoting,
                ));
            }
            Ok(())
        });
        CommandLine {
            response_files,
            options: found.and_then(|()| LinkOptions::parse(arguments)),
        }
    }
}

/// The files that a link's options lead to, as they are found now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkFiles {
    /// Files that the command line names.
    pub inputs: Vec<PathBuf>,
    /// What each `-l` means, where there is such a library.
    pub libraries: Vec<PathBuf>,
    /// Where each of these would be found instead, if there were a file.
    pub places: Vec<PathBuf>,
    /// Members of thin archives, each with its archive.
    pub members: Vec<(PathBuf, PathBuf)>,
    /// Lists of symbols that may be undefined; some need not be there.
    pub lists: Vec<PathBuf>,
}

/// What is known of inputs and libraries from having looked into them, so that it is not done again for each of thousands.
#[derive(Debug, Clone, Default)]
pub struct KnownFiles {
    kinds: HashMap<PathBuf, Leads>,
}

/// What an input leads to beside itself.
#[derive(Debug, Clone)]
enum Leads {
    /// Nothing.
    Nowhere,
    /// A list of symbols, by that name; of a thin archive, also its members.
    List(PathBuf, BTreeSet<PathBuf>),
}

impl KnownFiles {
    /// Has these looked into again: they have changed.
    pub fn forget<'a>(&mut self, files: impl IntoIterator<Item = &'a PathBuf>) {
        for file in files {
            self.kinds.remove(file);
        }
    }

    /// What a file leads to. `None` if it cannot be read: whatever is wrong with it, the link says.
    fn look_into(&mut self, file: &Path) -> Option<&Leads> {
        if !self.kinds.contains_key(file) {
            let start = read_regular(file, MAGIC_LEN).ok()?;
            let leads = match FileKind::of(&start) {
                FileKind::Archive => Leads::List(symbols_beside(file), BTreeSet::new()),
                FileKind::ThinArchive => {
                    Leads::List(symbols_beside(file), thin_members(file).unwrap_or_default())
                }
                _ => Leads::Nowhere,
            };
            self.kinds.insert(file.to_path_buf(), leads);
        }
        self.kinds.get(file)
    }
}

impl LinkFiles {
    /// Finds the files. Those that are `known` are taken to be what they were.
    pub fn of(options: &LinkOptions, known: &mut KnownFiles) -> LinkFiles {
        let mut files = LinkFiles::default();
        files.inputs.extend(options.files().map(Path::to_path_buf));
        for library in find_libraries(options) {
            files.places.extend(library.absent);
            files.libraries.extend(library.found);
        }
        files.lists.extend(options.allow_undefined_file.clone());
        for file in files.inputs.iter().chain(&files.libraries) {
            if let Some(Leads::List(list, members)) = known.look_into(file) {
                files.lists.push(list.clone());
                let members = members.iter().map(|member| (member.clone(), file.clone()));
                files.members.extend(members);
            }
        }
        files
    }
}

/// How much of a file tells archives from others.
const MAGIC_LEN: u64 = 8;

fn thin_members(file: &Path) -> Result<BTreeSet<PathBuf>> {
    let bytes = read_regular(file, u64::MAX)?;
    let archive = Archive::open(Input::from_bytes(file, bytes))?;
    archive.member_files()
}

/// The first bytes of a file; opening it waits for nobody.
fn read_regular(file: &Path, limit: u64) -> Result<Vec<u8>> {
    use rustix::fs::{Mode, OFlags};
    let failed = |error: std::io::Error| Error::io("cannot open", file, &error);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // A device does not even like to be opened.
    let is_regular = |found: std::io::Result<std::fs::Metadata>| match found {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Error::new(ErrorKind::Io, "is not a regular file").with_path(file)),
        Err(error) => Err(failed(error)),
    };
    is_regular(std::fs::metadata(file))?;
    let open = rustix::fs::open(file, flags, Mode::empty());
    let open = std::fs::File::from(open.map_err(|error| failed(error.into()))?);
    is_regular(open.metadata())?;
    let mut bytes = Vec::new();
    open.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::command::options::InputArgument;
    use std::fs;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn response_files_are_found_also_where_others_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let at = |name: &str| format!("@{}", path(name).display());
        fs::write(path("outer"), format!("a.o {} -o out", at("inner"))).unwrap();
        let command = CommandLine::read(&words(&["--no-entry", &at("outer")]));
        assert_eq!(command.response_files, [path("outer"), path("inner")]);
        let error = command.options.unwrap_err();
        assert_eq!(error.path(), Some(&*path("inner")));
        fs::write(path("inner"), "b.o").unwrap();
        let command = CommandLine::read(&words(&[&at("outer")]));
        let inputs = command.options.unwrap().inputs;
        let expected = ["a.o", "b.o"].map(|file| InputArgument::File(file.into()));
        assert_eq!(inputs, expected);
        // Neither one that names itself nor one that is no file takes for ever.
        fs::write(path("inner"), at("outer")).unwrap();
        let command = CommandLine::read(&words(&[&at("outer")]));
        assert!(command.options.is_err());
        let command = CommandLine::read(&words(&[&at("")]));
        assert!(command.options.is_err());
    }

    #[test]
    fn places_before_the_one_where_a_library_is_found_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).join("libx.a");
        for name in ["1", "2", "3"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(place("2"), "!<arch>\n").unwrap();
        let search = |name: &str| format!("-L{}", folder.path().join(name).display());
        let arguments = [
            "a.o",
            "-o",
            "out",
            &search("1"),
            &search("2"),
            &search("3"),
            "-lx",
        ];
        let options = CommandLine::read(&words(&arguments)).options.unwrap();
        let files = LinkFiles::of(&options, &mut KnownFiles::default());
        assert_eq!(files.inputs, [Path::new("a.o")]);
        assert_eq!(files.libraries, [place("2")]);
        assert_eq!(files.places, [place("1")]);
        assert_eq!(files.lists, [place("2").with_extension("imports")]);
        fs::remove_file(place("2")).unwrap();
        let files = LinkFiles::of(&options, &mut KnownFiles::default());
        assert!(files.libraries.is_empty());
        assert_eq!(files.places, ["1", "2", "3"].map(place));
    }
}
