//! The files that a link has read, as a head names them, and those that it would have. Nothing here looks whether they changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::hash::{HashMap, HashSet};
use crate::kept::{KeptFile, KeptFiles, Role, is_recent};
use crate::link::inputs::{InputFile, find_libraries, symbols_beside};
use crate::link::session::Linked;
use crate::object::Input;
use crate::output::Sighting;

/// Every file that the link has read. `None` if one of them cannot be told from others.
pub(super) fn all_files(linked: &Linked, began: (i64, u64)) -> Option<KeptFiles> {
    let inputs = &linked.state.inputs;
    let mut places: HashMap<_, (Role, u32)> = HashMap::default();
    for (at, file) in inputs.files().iter().enumerate() {
        let role = match file {
            InputFile::Object { .. } => Role::Followed,
            InputFile::Archive(file) if !file.archive.input().is_mapped() => Role::Followed,
            _ => Role::Other,
        };
        places.insert(Arc::as_ptr(file.input()), (role, at as u32));
    }
    // Members of archives are in the archives, but for those of thin ones; what was read of an archive that another one has taken
    // the place of is not read any more.
    let paths: HashSet<&Path> = inputs.inputs().map(|input| input.path()).collect();
    let linked_objects = linked.state.plan.resolution.objects().iter();
    let members = linked_objects.map(|linked| linked.object.input());
    let members = members.filter(|input| !paths.contains(input.path()));
    let mut known: HashSet<_> = HashSet::default();
    let mut files = KeptFiles::default();
    for input in inputs.inputs().chain(members) {
        let at = Arc::as_ptr(input);
        if !known.insert(at) {
            continue;
        }
        let place = places.get(&at);
        let role = place.map_or(Role::Other, |(role, _)| *role);
        files.push(kept_file(input, role, place.map(|(_, at)| *at), began)?);
    }
    let options = &linked.state.options;
    let lists = inputs.lists().chain(options.allow_undefined_file.clone());
    for path in lists {
        let stat = rustix::fs::stat(&path).ok()?;
        let seen = Sighting::of_stat(&stat);
        // What was read of it is not at hand any more.
        if is_recent(&seen, began) {
            return None;
        }
        files.push(KeptFile {
            path: &path,
            role: Role::Other,
            position: None,
            seen,
            recent: None,
        });
    }
    Some(files)
}

/// An input as it was read.
fn kept_file(
    input: &Input,
    role: Role,
    position: Option<u32>,
    began: (i64, u64),
) -> Option<KeptFile<'_>> {
    let seen = input.seen()?;
    let is_recent = is_recent(&seen, began);
    let recent = is_recent.then(|| match role {
        Role::Followed => [0; 32],
        Role::Other => *blake3::hash(input.bytes()).as_bytes(),
    });
    Some(KeptFile {
        path: input.path(),
        role,
        position,
        seen,
        recent,
    })
}

/// The files that were read once those at these places of the command line were read again.
pub(super) fn files_after(
    files: &KeptFiles,
    linked: &Linked,
    places: &HashSet<u32>,
    began: (i64, u64),
) -> Option<KeptFiles> {
    let inputs = linked.state.inputs.files();
    files.renewed(
        |file| file.position.is_some_and(|place| places.contains(&place)),
        |file| {
            let input = inputs.get(file.position? as usize)?.input();
            kept_file(input, file.role, file.position, began)
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
