//! What updates in place look things up in: whose a declaration is, what is needed in any case, which object a file is.
//!
//! It is made from the tables of a link when the first update comes, and follows them from then on. It changes nothing of
//! the link.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::hash::{HashMap, HashSet};
use crate::link::declare::{
    LinkDeclarations, ObjectDeclarations, ResolvedTarget, SegmentPlacement,
};
use crate::link::gc;
use crate::link::inputs::{InputFile, Inputs, symbols_beside};
use crate::link::resolve::Resolution;
use crate::link::state::LinkState;
use crate::link::symbols::ObjectId;
use crate::link::update::fallback::FallbackReason;
use crate::link::update::strings::StringIndex;
use crate::object::Object;
use crate::program::DeclId;
use crate::transaction::{Log, LogMap, Transaction};

/// Whose a declaration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The linker's, or something that is never dropped.
    Linker,
    Function(ObjectId, u32),
    Segment(ObjectId, u32),
    String,
}

/// What updates in place look things up in, beside the tables of the link.
#[derive(Debug, Default)]
pub(in crate::link) struct UpdateIndex {
    /// By declaration.
    owners: Log<Owner>,
    /// How many segments have a string among theirs.
    pub(super) string_users: LogMap<DeclId, u32>,
    /// Strings of debug information.
    pub(super) strings: StringIndex,
    /// What is needed whether or not anything refers to it.
    pub(super) roots: HashSet<DeclId>,
    /// The files of the command line by path.
    pub(in crate::link) files: HashMap<PathBuf, Vec<usize>>,
    /// The object that each file is; none for archives, and for files that were not needed.
    objects: Vec<Option<ObjectId>>,
}

impl UpdateIndex {
    pub(in crate::link) fn of(link: &LinkState) -> UpdateIndex {
        let mut index = UpdateIndex {
            strings: StringIndex::of(link),
            ..UpdateIndex::default()
        };
        let LinkState {
            plan, declarations, ..
        } = link;
        for (at, unit) in declarations.known.units.iter().enumerate() {
            index.own(ObjectId(at as u32), unit);
            for placed in &unit.segments {
                index.count(placed, 1);
            }
        }
        let resolution = &plan.resolution;
        let numbers: HashMap<*const Object, ObjectId> = resolution
            .each_object()
            .map(|(id, linked)| (Arc::as_ptr(&linked.object), id))
            .collect();
        for (at, file) in link.inputs.files().iter().enumerate() {
            index.objects.push(match file {
                InputFile::Object { object, .. } => numbers.get(&Arc::as_ptr(object)).copied(),
                _ => None,
            });
            let path = file.input().path().to_path_buf();
            if let InputFile::Archive(_) = file {
                let list = symbols_beside(&path);
                index.files.entry(list).or_default().push(at);
            }
            index.files.entry(path).or_default().push(at);
        }
        for root in gc::roots(resolution, &link.options) {
            let target = declarations.meanings[root.index()];
            index.roots.extend(decl_of(declarations, target));
        }
        for (at, object) in resolution.objects().iter().enumerate() {
            for segment in gc::retained_segments(object) {
                if let SegmentPlacement::Part(id, _) =
                    &declarations.known.units[at].segments[segment]
                {
                    index.roots.insert(*id);
                }
            }
        }
        index
    }

    /// A file of the command line is called otherwise.
    pub(in crate::link) fn rename(&mut self, file: usize, old: &Path, new: &Path) {
        if let Some(files) = self.files.get_mut(old) {
            files.retain(|other| *other != file);
        }
        self.files.entry(new.to_path_buf()).or_default().push(file);
    }

    /// The objects among the files that changed, if these are all.
    pub(in crate::link) fn changed_objects(
        &self,
        inputs: &Inputs,
        resolution: &Resolution,
        files: &[usize],
    ) -> Result<Vec<(ObjectId, Arc<Object>)>, FallbackReason> {
        let mut changed = Vec::new();
        let mut members = Vec::new();
        for file in files {
            match (&inputs.files()[*file], self.objects[*file]) {
                (InputFile::Object { object, .. }, Some(id)) => changed.push((id, object.clone())),
                (InputFile::Object { .. }, None) => return Err(FallbackReason::FileNotNeeded),
                (InputFile::Archive(now), _) => {
                    let Some(InputFile::Archive(before)) = inputs.before(*file) else {
                        return Err(FallbackReason::Library);
                    };
                    // What is wrong with a member will be said in the words of a link.
                    let followed = now.follow(before, inputs.access()).ok().flatten();
                    members.extend(followed.ok_or(FallbackReason::Library)?);
                }
                _ => return Err(FallbackReason::Library),
            }
        }
        if members.is_empty() {
            return Ok(changed);
        }
        // Members that were read may not be linked.
        let numbers: HashMap<*const Object, ObjectId> = resolution
            .each_object()
            .map(|(id, linked)| (Arc::as_ptr(&linked.object), id))
            .collect();
        for (before, now) in members {
            if let Some(id) = numbers.get(&Arc::as_ptr(&before)) {
                changed.push((*id, now));
            }
        }
        changed.sort_by_key(|(id, _)| *id);
        Ok(changed)
    }

    /// Whose a declaration is.
    pub(super) fn owner(&self, id: DeclId) -> Owner {
        self.owners
            .get(id.index())
            .copied()
            .unwrap_or(Owner::Linker)
    }

    pub(super) fn set_owner(&mut self, id: DeclId, owner: Owner) {
        while self.owners.len() <= id.index() {
            self.owners.push(Owner::Linker);
        }
        self.owners.set(id.index(), owner);
    }

    /// Notes whose an object's declarations are.
    pub(super) fn own(&mut self, object: ObjectId, unit: &ObjectDeclarations) {
        for (index, id) in unit.functions.iter().enumerate() {
            if let Some(id) = id {
                self.set_owner(*id, Owner::Function(object, index as u32));
            }
        }
        for (index, placed) in unit.segments.iter().enumerate() {
            match placed {
                SegmentPlacement::Part(id, 0) => {
                    self.set_owner(*id, Owner::Segment(object, index as u32))
                }
                SegmentPlacement::Strings(pieces) => pieces
                    .iter()
                    .for_each(|piece| self.set_owner(piece.decl, Owner::String)),
                _ => {}
            }
        }
    }

    /// Counts a segment among the users of its strings, or no more.
    pub(super) fn count(&mut self, placed: &SegmentPlacement, by: i32) {
        if let SegmentPlacement::Strings(pieces) = placed {
            for piece in &**pieces {
                let users = self.string_users.get(&piece.decl).copied().unwrap_or(0);
                let users = users.saturating_add_signed(by);
                self.string_users.insert(piece.decl, users);
            }
        }
    }
}

impl Transaction for UpdateIndex {
    fn begin(&mut self) {
        self.owners.begin();
        self.string_users.begin();
        self.strings.begin();
    }

    fn commit(&mut self) {
        self.owners.commit();
        self.string_users.commit();
        self.strings.commit();
    }

    fn rollback(&mut self) {
        self.owners.rollback();
        self.string_users.rollback();
        self.strings.rollback();
    }
}

/// The declaration that a meaning is about.
pub(super) fn decl_of(declarations: &LinkDeclarations, meaning: ResolvedTarget) -> Option<DeclId> {
    match meaning {
        ResolvedTarget::Function { id, .. } => id,
        ResolvedTarget::Index(id) | ResolvedTarget::Data(id, _) => Some(id),
        ResolvedTarget::Segment(object, segment, value) => {
            let unit = &declarations.known.units[object.index()];
            let placed = &unit.segments[segment.index()];
            placed.at(value.into()).map(|(id, _)| id)
        }
        _ => None,
    }
}
