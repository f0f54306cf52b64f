//! Which of the files that were read are not what they were. What they are for is not known here.

use std::path::{Path, PathBuf};

use super::head::{Head, KeptFile, Role};
use super::reason::NoState;
use crate::halves::in_halves;
use crate::hash::HashSet;
use crate::output::Sighting;

/// How much may pass between two times that files have, at most: the slowest clock of a Linux kernel, twice.
const STEP_NANOS: i128 = 20_000_000;

/// So many files are looked at before a second thread is worth starting.
const WORTH_A_THREAD: usize = 256;

/// The time, as files have it.
pub(crate) fn now() -> (i64, u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default();
    (now.as_secs() as i64, u64::from(now.subsec_nanos()))
}

/// Whether a file that was seen so was written so shortly before `began` that its times do not tell whether it was written again.
pub(crate) fn is_recent(seen: &Sighting, began: (i64, u64)) -> bool {
    seen.is_within(STEP_NANOS, began)
}

/// What is not as it was.
pub(crate) struct Changes {
    /// The files to look at again that can be followed.
    pub(crate) files: Vec<PathBuf>,
    /// Those of them that are called otherwise, by their places among the files of the command line.
    pub(crate) renamed: Vec<(usize, PathBuf)>,
    /// The places of all of them.
    pub(crate) places: HashSet<u32>,
}

impl Changes {
    /// Looks at all files, whose paths are relative to a folder, `named` being what those on the command line are called now.
    pub(crate) fn of(
        head: &Head,
        named: &[Option<&Path>],
        folder: &Path,
    ) -> Result<Changes, NoState> {
        let is_there = |path: &&PathBuf| folder.join(path).exists();
        if let Some(path) = head.absent.iter().find(is_there) {
            return Err(NoState::FileAppeared(path.clone()));
        }
        let now_called = |file: &KeptFile<'_>| -> PathBuf {
            let named = file.position.and_then(|at| *named.get(at as usize)?);
            named.unwrap_or(file.path).to_path_buf()
        };
        let is_changed = |at: &u32| -> Option<bool> {
            let file = head.files.get(*at)?;
            let named = file.position.and_then(|at| *named.get(at as usize)?);
            if named.is_some_and(|named| named != file.path) {
                return Some(true);
            }
            let found = rustix::fs::stat(folder.join(file.path));
            let found = found.map(|stat| Sighting::of_stat(&stat));
            if !found.is_ok_and(|found| file.seen.is_still(&found)) {
                return Some(true);
            }
            Some(match (&file.recent, file.role) {
                (None, _) => false,
                // What an object holds is compared by the update.
                (Some(_), Role::Followed) => true,
                (Some(hash), Role::Other) => {
                    content_hash(&folder.join(file.path)).as_ref() != Some(hash)
                }
            })
        };
        let no_file = || NoState::Damaged("its head names no files".to_owned());
        let places = head.files.places();
        let looked = in_halves(&places, WORTH_A_THREAD, is_changed);
        let mut changes = Changes {
            files: Vec::new(),
            renamed: Vec::new(),
            places: HashSet::default(),
        };
        for (at, is_changed) in places.into_iter().zip(looked) {
            if !is_changed.ok_or_else(no_file)? {
                continue;
            }
            let file = head.files.get(at).ok_or_else(no_file)?;
            let path = now_called(&file);
            match (file.role, file.position) {
                (Role::Followed, Some(at)) => {
                    if path != file.path {
                        changes.renamed.push((at as usize, path.clone()));
                    }
                    changes.files.push(path);
                    changes.places.insert(at);
                }
                _ if !folder.join(file.path).exists() => {
                    return Err(NoState::FileGone(file.path.to_path_buf()));
                }
                _ => return Err(NoState::FileChanged(file.path.to_path_buf())),
            }
        }
        Ok(changes)
    }
}

fn content_hash(path: &Path) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path).ok()?).ok()?;
    Some(*hasher.finalize().as_bytes())
}
