//! The files that a link has read, as a head names them, and those that it would have. Nothing here looks whether they changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::hash::{HashMap, HashSet};
use crate::kept::{Compare, KeptFile, KeptFiles, Role, content_hash};
use crate::link::inputs::{InputFile, find_libraries, symbols_beside};
use crate::link::session::Linked;
use crate::object::Input;
use crate::output::Sighting;

/// When the link began that read the files, and how the next one is to tell them from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) began: (i64, u64),
    pub(super) compare: Compare,
}

/// Every file that the link has read. `None` if one of them cannot be told from others.
pub(super) fn all_files(linked: &Linked, reading: Reading) -> Option<KeptFiles> {
    let inputs = &linked.state.inputs;
    let mut known: HashSet<_> = HashSet::default();
    let mut files = KeptFiles::default();
    for (at, file) in inputs.files().iter().enumerate() {
        let role = match file {
            InputFile::Object { .. } | InputFile::Archive(_) => Role::Followed,
            _ => Role::Other,
        };
        // A file that is named twice is one; it is looked for by its path.
        if known.insert(Arc::as_ptr(file.input())) {
            files.push(kept_file(file.input(), role, Some(at as u32), reading)?);
        }
    }
    for (at, file) in inputs.files().iter().enumerate() {
        for member in members_of(file) {
            if known.insert(Arc::as_ptr(&member)) {
                files.push(kept_file(&member, Role::Member, Some(at as u32), reading)?);
            }
        }
    }
    let options = &linked.state.options;
    let lists = inputs.lists().chain(options.allow_undefined_file.clone());
    for path in lists {
        let stat = rustix::fs::stat(&path).ok()?;
        let seen = Sighting::of_stat(&stat);
        // What was read of it is not at hand any more.
        if seen.is_recent(reading.began) {
            return None;
        }
        let hash = match reading.compare {
            Compare::Times => None,
            Compare::Contents => Some(content_hash(&path)?),
        };
        files.push(KeptFile {
            path: &path,
            role: Role::Other,
            position: None,
            seen,
            is_recent: false,
            hash,
        });
    }
    Some(files)
}

/// The files of a thin archive's members that were read.
fn members_of(file: &InputFile) -> Vec<Arc<Input>> {
    match file {
        InputFile::Archive(archive) => archive.member_inputs(),
        _ => Vec::new(),
    }
}

/// An input as it was read.
fn kept_file(
    input: &Input,
    role: Role,
    position: Option<u32>,
    reading: Reading,
) -> Option<KeptFile<'_>> {
    let seen = input.seen()?;
    let is_recent = seen.is_recent(reading.began);
    // What is followed is compared by its contents.
    let is_hashed = reading.compare == Compare::Contents || is_recent && role != Role::Followed;
    // Another process may have mapped it.
    let hash = match (is_hashed, input.is_mapped()) {
        (false, _) => None,
        (true, false) => Some(*blake3::hash(input.bytes()).as_bytes()),
        (true, true) => Some(content_hash(input.path())?),
    };
    Some(KeptFile {
        path: input.path(),
        role,
        position,
        seen,
        is_recent,
        hash,
    })
}

/// The files that were read once those at these places of the command line were read again.
pub(super) fn files_after(
    files: &KeptFiles,
    linked: &Linked,
    places: &HashSet<u32>,
    reading: Reading,
) -> Option<KeptFiles> {
    let inputs = linked.state.inputs.files();
    files.renewed(
        |file| file.position.is_some_and(|place| places.contains(&place)),
        |file| {
            let owner = inputs.get(file.position? as usize)?;
            if file.role != Role::Member {
                return kept_file(owner.input(), file.role, file.position, reading);
            }
            let members = members_of(owner);
            let member = members.iter().find(|member| member.path() == file.path)?;
            let now = kept_file(member, file.role, file.position, reading)?;
            Some(KeptFile {
                seen: now.seen,
                is_recent: now.is_recent,
                hash: now.hash,
                ..file
            })
        },
    )
}

/// Those files, of which some were read long before the others: what was too new then to be told by its times still is. `None` if one
/// of them cannot be told from others.
pub(super) fn still_recent(files: KeptFiles, before: Option<&KeptFiles>) -> Option<KeptFiles> {
    let Some(before) = before else {
        return Some(files);
    };
    let places = before.places();
    let recent = places.iter().filter_map(|at| before.get(*at));
    let recent = recent.filter(|file| file.is_recent);
    let recent: HashMap<&Path, KeptFile<'_>> = recent.map(|file| (file.path, file)).collect();
    if recent.is_empty() {
        return Some(files);
    }
    files.renewed(
        |file| recent.contains_key(file.path) && !file.is_recent,
        |file| {
            let before = recent.get(file.path)?;
            let is_same = before.seen.is_still(&file.seen);
            Some(KeptFile {
                is_recent: is_same,
                hash: file.hash.or(before.hash.filter(|_| is_same)),
                ..file
            })
        },
    )
}

/// Where a link of the same options would read files that are not there now.
pub(super) fn absent_files(linked: &Linked) -> Vec<PathBuf> {
    let libraries = find_libraries(&linked.state.options);
    let mut absent: Vec<PathBuf> = libraries.flat_map(|library| library.absent).collect();
    for file in linked.state.inputs.files() {
        if let InputFile::Archive(archive) = file
            && archive.allowed_undefined.is_none()
        {
            absent.push(symbols_beside(archive.archive.input().path()));
        }
    }
    absent
}
