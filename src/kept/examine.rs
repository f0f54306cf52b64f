//! What can be said of an output whose links keep their state, without linking: whether the state is whole, whether the next link
//! can go on with it, what has changed since, and what lies about. Nothing is changed.

use std::path::{Path, PathBuf};

use super::changes::{Changes, Compare};
use super::head::Head;
use super::process::Process;
use super::reason::NoState;
use super::store::{
    decode_head, expect_image, expect_not_grown, expect_output, no_heap, read_asked, read_head,
};
use crate::output::{Sighting, StateEntry, StateFolder, suffix};

/// What the next link with the same options would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextLink {
    /// Nothing: all is as it was.
    Nothing,
    /// Bring the output up to date with these files.
    Update {
        /// Those that have changed.
        changed: Vec<PathBuf>,
        /// Those that were written so shortly before they were read that they are compared.
        recent: Vec<PathBuf>,
    },
    /// Link everything.
    All(NoState),
}

/// A file of the state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateFile {
    /// What it is called.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// How much of the disk it takes.
    pub allocated: u64,
    /// Whether it was left by a process that was killed, and is of no use to anybody.
    pub is_leftover: bool,
    /// Whether it is not what its name says: no file, or another user's.
    pub is_foreign: bool,
}

/// What is known of an output; see [`examine`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// What the next link with the same options would do.
    pub next: NextLink,
    /// Whether a state is kept, of whatever use.
    pub has_state: bool,
    /// The folder that the link before ran in, if that is known.
    pub linked_in: Option<PathBuf>,
    /// How many files the link before has read.
    pub inputs: usize,
    /// What stands in the state folder for this output.
    pub files: Vec<StateFile>,
    /// Whether somebody is writing the output; the process's id, if it is known.
    pub writer: Option<Option<u32>>,
    /// Why the state folder cannot be used, if there is one and it cannot.
    pub folder_problem: Option<String>,
}

/// Looks at an output and at what is kept of its links. Nothing is changed, made or locked.
pub fn examine(output: &Path) -> Examination {
    let mut found = Examination {
        next: NextLink::All(NoState::None),
        has_state: false,
        linked_in: None,
        inputs: 0,
        files: Vec::new(),
        writer: None,
        folder_problem: None,
    };
    let folder = match StateFolder::existing(output) {
        Ok(folder) => folder,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return found,
        Err(error) => {
            let reason = NoState::Unsupported(format!("the folder `.wasmend`: {error}"));
            found.next = NextLink::All(reason);
            found.folder_problem = Some(error.to_string());
            return found;
        }
    };
    found.writer = folder.writer();
    let entries = folder.entries().unwrap_or_default();
    found.has_state = entries
        .iter()
        .any(|entry| entry.suffix == Some(suffix::STATE));
    found.files = entries
        .iter()
        .map(|entry| state_file(entry, found.has_state, found.writer.is_some()))
        .collect();
    let asked = read_asked(&folder);
    let head = read_head(&folder).and_then(|bytes| decode_head(&bytes));
    found.next = match head {
        Err(reason) => NextLink::All(reason),
        Ok(head) => {
            let asked = asked.filter(|asked| asked.key == head.key);
            found.linked_in = asked.map(|asked| asked.folder);
            found.inputs = head.files.len();
            let base = found.linked_in.as_deref().unwrap_or(Path::new(""));
            next(&head, &folder, output, base).unwrap_or_else(NextLink::All)
        }
    };
    found
}

fn state_file(entry: &StateEntry, has_state: bool, is_written: bool) -> StateFile {
    let is_unfinished = match entry.suffix {
        None | Some(suffix::NEW | suffix::HEAP_NEW | suffix::JOURNAL | suffix::UNFINISHED) => true,
        Some(suffix::SHADOW | suffix::HEAP | suffix::LAST) => !has_state,
        Some(_) => false,
    };
    StateFile {
        name: entry.name.clone(),
        bytes: entry.bytes,
        allocated: entry.allocated,
        is_leftover: is_unfinished && !is_written,
        is_foreign: !entry.is_of_kind || !entry.is_own,
    }
}

/// What a link with the options of before would do, in the order in which it looks.
fn next(
    head: &Head,
    folder: &StateFolder,
    output: &Path,
    base: &Path,
) -> Result<NextLink, NoState> {
    Process::this()?.expect(&head.process)?;
    expect_output(head, folder, output)?;
    let changes = Changes::of(head, &[], base, Compare::Times)?;
    if !changes.files.is_empty() {
        expect_not_grown(head)?;
    }
    // Whether it is needed or not: somebody wants to know.
    expect_image(head, &folder.open_to_read(suffix::HEAP).map_err(no_heap)?)?;
    if changes.files.is_empty() {
        return Ok(NextLink::Nothing);
    }
    let (recent, changed) = changes.files.into_iter().partition(|path| {
        let mut files = head.files.places().into_iter();
        let file = files.find_map(|at| head.files.get(at).filter(|file| file.path == *path));
        let found = rustix::fs::stat(base.join(path)).map(|stat| Sighting::of_stat(&stat));
        file.is_some_and(|file| found.is_ok_and(|found| file.seen.is_still(&found)))
    });
    Ok(NextLink::Update { changed, recent })
}
