//! Which of the files that were read are not what they were. What they are for is not known here.

use std::path::{Path, PathBuf};

use super::head::{Head, KeptFile, Role};
use super::reason::NoState;
use crate::halves::in_halves;
use crate::hash::HashSet;
use crate::output::Sighting;

/// So many files are looked at before a second thread is worth starting.
const WORTH_A_THREAD: usize = 256;
/// The same where all that is in them is read.
const WORTH_A_THREAD_TO_READ: usize = 2;

/// What is not as it was.
pub(crate) struct Changes {
    /// The files to look at again that can be followed.
    pub(crate) files: Vec<PathBuf>,
    /// Those of them that are called otherwise, by their places among the files of the command line.
    pub(crate) renamed: Vec<(usize, PathBuf)>,
    /// The places of all of them.
    pub(crate) places: HashSet<u32>,
}

/// How files are told from what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compare {
    /// By their times and whatever else a file system says of them; by their contents where these do not tell.
    #[default]
    Times,
    /// By their contents too.
    Contents,
}

/// What a look at a file comes to.
enum Look {
    Same,
    /// It may be another one: that is found out by whoever follows it.
    Changed,
    /// Its contents are others, although it looks as it did.
    ChangedUnseen,
    /// Nobody knows what its contents were.
    NoHash,
}

impl Changes {
    /// Looks at all files, whose paths are relative to a folder, `named` being what those on the command line are called now.
    pub(crate) fn of(
        head: &Head,
        named: &[Option<&Path>],
        folder: &Path,
        compare: Compare,
    ) -> Result<Changes, NoState> {
        let is_there = |path: &&PathBuf| folder.join(path).exists();
        if let Some(path) = head.absent.iter().find(is_there) {
            return Err(NoState::FileAppeared(path.clone()));
        }
        let no_file = || NoState::Damaged("its head names no files".to_owned());
        let places = head.files.places();
        let least = match compare {
            Compare::Times => WORTH_A_THREAD,
            Compare::Contents => WORTH_A_THREAD_TO_READ,
        };
        let looked = in_halves(&places, least, |at| {
            Some(look(&head.files.get(*at)?, named, folder, compare))
        });
        let mut changes = Changes {
            files: Vec::new(),
            renamed: Vec::new(),
            places: HashSet::default(),
        };
        for (at, look) in places.into_iter().zip(looked) {
            let look = look.ok_or_else(no_file)?;
            if let Look::Same = look {
                continue;
            }
            let file = head.files.get(at).ok_or_else(no_file)?;
            let is_gone = || !folder.join(file.path).exists();
            match (look, file.role, file.position) {
                (Look::NoHash, ..) => return Err(NoState::NoHash(file.path.to_path_buf())),
                (_, Role::Followed, Some(at)) => changes.add(&file, at, named),
                (Look::Changed, Role::Member, Some(at)) => changes.add_owner(head, at, named),
                _ if is_gone() => return Err(NoState::FileGone(file.path.to_path_buf())),
                _ => return Err(NoState::FileChanged(file.path.to_path_buf())),
            }
        }
        Ok(changes)
    }

    fn add(&mut self, file: &KeptFile<'_>, position: u32, named: &[Option<&Path>]) {
        if !self.places.insert(position) {
            return;
        }
        let path = called(file, named).to_path_buf();
        if path != file.path {
            self.renamed.push((position as usize, path.clone()));
        }
        self.files.push(path);
    }

    /// Adds the file that a member belongs to.
    fn add_owner(&mut self, head: &Head, position: u32, named: &[Option<&Path>]) {
        let mut files = head.files.places().into_iter();
        let is_owner =
            |file: &KeptFile<'_>| file.role == Role::Followed && file.position == Some(position);
        if let Some(owner) = files.find_map(|at| head.files.get(at).filter(is_owner)) {
            self.add(&owner, position, named);
        }
    }
}

/// What a file is called now: by its place, if it is one of the command line.
fn called<'a>(file: &KeptFile<'a>, named: &[Option<&'a Path>]) -> &'a Path {
    let position = file.position.filter(|_| file.role == Role::Followed);
    let named = position.and_then(|at| *named.get(at as usize)?);
    named.unwrap_or(file.path)
}

fn look(file: &KeptFile<'_>, named: &[Option<&Path>], folder: &Path, compare: Compare) -> Look {
    if called(file, named) != file.path {
        return Look::Changed;
    }
    let path = folder.join(file.path);
    let found = rustix::fs::stat(&path).map(|stat| Sighting::of_stat(&stat));
    if !found.is_ok_and(|found| file.seen.is_still(&found)) {
        return Look::Changed;
    }
    if !file.is_recent && compare == Compare::Times {
        return Look::Same;
    }
    match (file.hash, file.role) {
        (Some(hash), _) if content_hash(&path) == Some(hash) => Look::Same,
        // Whoever follows it compares its contents.
        (_, Role::Followed) => Look::Changed,
        (Some(_), _) => Look::ChangedUnseen,
        (None, _) => Look::NoHash,
    }
}

/// The hash of all that is in a file, if it can be read.
pub(crate) fn content_hash(path: &Path) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path).ok()?).ok()?;
    Some(*hasher.finalize().as_bytes())
}
