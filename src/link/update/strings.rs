//! Strings of debug information in updates in place: which piece has a string, and where those go that no piece has
//! (`declare::strings`).

use std::sync::Arc;

use crate::error::Result;
use crate::hash::{HashMap, hash_of};
use crate::link::declare::{
    PlacedByObject, PlacedStrings, StringPiece, StringPlace, growing_piece, is_wasteful,
    kept_customs, shares_strings, string_piece,
};
use crate::link::state::LinkState;
use crate::link::symbols::ObjectId;
use crate::link::update::Update;
use crate::link::update::fallback::{FallbackReason, UpdateResult, fall_back};
use crate::object::Object;
use crate::program::{DeclId, DeclKind, Pending, Program, SectionId};
use crate::transaction::{LogMap, Transaction};
use crate::wire::strings::Starts;

/// Where the strings of all pieces stand, by what [`key`] makes of them. Whoever finds one looks whether it is the same.
#[derive(Debug, Default)]
pub(super) struct StringIndex {
    places: LogMap<u64, StringPlace>,
    /// Objects that have pieces for sections of which they do not share strings any more: what others name of them stays.
    left_behind: LogMap<ObjectId, ()>,
    /// How long the pieces of an object were when they were looked through for strings that nobody has, and were kept.
    looked_through: LogMap<(ObjectId, SectionId), u64>,
}

fn key(section: SectionId, string: &[u8]) -> u64 {
    hash_of(string).wrapping_add((section.index() as u64).rotate_right(8))
}

impl StringIndex {
    pub(super) fn of(link: &LinkState) -> StringIndex {
        let mut index = StringIndex::default();
        let program = link.module.program();
        for (id, _) in link.plan.resolution.each_object() {
            let pieces = &link.declarations.known.units[id.index()].strings;
            if pieces.is_empty() {
                continue;
            }
            for piece in pieces {
                index.add(program, *piece);
            }
            let shared = shared_sections(link, id);
            let is_shared = |piece: &StringPiece| shared.iter().any(|(_, id)| *id == piece.section);
            if !pieces.iter().all(is_shared) {
                index.left_behind.insert(id, ());
            }
        }
        index
    }

    /// Adds the strings of a piece that are not known yet.
    fn add(&mut self, program: &Program, piece: StringPiece) {
        let bytes = contents(program, piece.decl);
        for range in Starts::of(bytes).ranges() {
            let key = key(piece.section, &bytes[range.clone()]);
            if !self.places.contains_key(&key) {
                let place = StringPlace {
                    decl: piece.decl,
                    offset: range.start as u32,
                };
                self.places.insert(key, place);
            }
        }
    }

    /// Forgets the strings of a piece.
    fn forget(&mut self, program: &Program, piece: StringPiece) {
        let bytes = contents(program, piece.decl);
        for range in Starts::of(bytes).ranges() {
            let key = key(piece.section, &bytes[range]);
            let place = self.places.get(&key);
            if place.is_some_and(|place| place.decl == piece.decl) {
                self.places.remove(&key);
            }
        }
    }

    /// Where a string stands, which ends in its zero.
    fn find(&self, program: &Program, section: SectionId, string: &[u8]) -> Option<StringPlace> {
        let place = *self.places.get(&key(section, string))?;
        let definition = program.get(place.decl)?.next()?;
        let rest = definition.content.bytes().get(place.offset as usize..)?;
        let is_it = definition.section() == Some(section) && rest.starts_with(string);
        is_it.then_some(place)
    }
}

impl Transaction for StringIndex {
    fn begin(&mut self) {
        self.places.begin();
        self.left_behind.begin();
        self.looked_through.begin();
    }

    fn commit(&mut self) {
        self.places.commit();
        self.left_behind.commit();
        self.looked_through.commit();
    }

    fn rollback(&mut self) {
        self.places.rollback();
        self.left_behind.rollback();
        self.looked_through.rollback();
    }
}

/// What a piece holds once the edits are made.
fn contents(program: &Program, piece: DeclId) -> &[u8] {
    let definition = program.get(piece).and_then(|decl| decl.next());
    definition.map_or(&[], |definition| definition.content.bytes())
}

/// The custom sections of an object whose strings are shared, with those of the output that they are parts of.
fn shared_sections(link: &LinkState, id: ObjectId) -> Vec<(usize, SectionId)> {
    let linked = link.plan.resolution.object(id);
    let is_live = linked.is_live || link.declarations.known.units[id.index()].is_live();
    let kept = kept_customs(linked, is_live, &link.options);
    let shared = kept.filter(|(index, _)| shares_strings(&linked.object, *index, &link.options));
    let sections = &link.declarations.sections;
    shared
        .filter_map(|(index, name)| Some((index, *sections.get(name)?)))
        .collect()
}

impl Update<'_> {
    /// Finds the strings of an object's section, and adds those to its pieces that are not there.
    pub(super) fn place_strings(
        &mut self,
        id: ObjectId,
        object: &Arc<Object>,
        index: usize,
        section: SectionId,
    ) -> Result<PlacedStrings> {
        let bytes = object.bytes(object.custom_sections[index].contents);
        let starts = Starts::of(bytes);
        let program = self.link.module.program();
        let known = &self.index.strings;
        let found = starts
            .ranges()
            .map(|range| known.find(program, section, &bytes[range]));
        let found: Vec<Option<StringPlace>> = found.collect();
        if found.iter().all(Option::is_some) {
            let places = found.into_iter().flatten().collect();
            return Ok(PlacedStrings::new(starts, places));
        }
        let piece = match growing_piece(&self.unit(id).strings, section) {
            Some(piece) => piece,
            None => {
                let decl = self.declare(DeclKind::Custom)?;
                let program = self.link.module.program_mut();
                program.set_name(decl, Some(object.display_name()))?;
                let piece = StringPiece { section, decl };
                self.edit_unit(id).strings.push(piece);
                piece
            }
        };
        let decl = piece.decl;
        let mut contents = contents(self.link.module.program(), decl).to_vec();
        let mut new: HashMap<&[u8], u32> = HashMap::default();
        let places = found
            .into_iter()
            .zip(starts.ranges())
            .map(|(found, range)| {
                found.unwrap_or_else(|| {
                    let string = &bytes[range];
                    let offset = *new.entry(string).or_insert_with(|| {
                        let offset = contents.len() as u32;
                        contents.extend_from_slice(string);
                        offset
                    });
                    StringPlace { decl, offset }
                })
            });
        let places: Vec<StringPlace> = places.collect();
        for (string, offset) in new {
            let key = key(section, string);
            let place = StringPlace { decl, offset };
            self.index.strings.places.insert(key, place);
        }
        let (decl, kind, definition) = string_piece(piece, contents)?;
        self.link
            .module
            .program_mut()
            .define(decl, kind, definition)?;
        Ok(PlacedStrings::new(starts, places))
    }

    /// Looks after the strings of the objects whose strings were placed: pieces that nobody names any more go, and where
    /// most of a piece is of no use, all pieces are better made anew.
    pub(super) fn tidy_strings(&mut self, placed: &PlacedByObject) -> UpdateResult<()> {
        let before = self.units_before().map(|(id, _)| id);
        let mut ids: Vec<ObjectId> = before.collect();
        ids.extend(self.index.strings.left_behind.keys());
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            self.drop_unnamed(id)?;
        }
        let mut placed: Vec<(ObjectId, usize)> = placed.keys().copied().collect();
        placed.sort_unstable();
        for (id, index) in placed {
            self.expect_little_waste(id, index)?;
        }
        Ok(())
    }

    /// Drops the pieces of an object for sections that it does not share strings of any more, unless others name them.
    fn drop_unnamed(&mut self, id: ObjectId) -> UpdateResult<()> {
        let pieces = self.unit(id).strings.clone();
        let shared = shared_sections(self.link, id);
        let is_shared = |piece: &StringPiece| shared.iter().any(|(_, id)| *id == piece.section);
        let mut is_left_behind = false;
        for piece in pieces {
            if is_shared(&piece) {
                continue;
            }
            if self.is_named(piece.decl) {
                is_left_behind = true;
                continue;
            }
            let program = self.link.module.program();
            self.index.strings.forget(program, piece);
            self.link.module.program_mut().remove(piece.decl)?;
            let unit = self.edit_unit(id);
            unit.strings.retain(|other| *other != piece);
        }
        let was_left_behind = self.index.strings.left_behind.contains_key(&id);
        match is_left_behind {
            true => self.index.strings.left_behind.insert(id, ()),
            false if was_left_behind => self.index.strings.left_behind.remove(&id),
            false => {}
        }
        Ok(())
    }

    /// Whether any piece names this one once the edits are made.
    fn is_named(&self, piece: DeclId) -> bool {
        let module = &self.link.module;
        let program = module.program();
        let names = |source: &DeclId| {
            let next = program.get(*source).and_then(|decl| decl.next());
            let mut relocs = next.into_iter().flat_map(|next| next.content.relocs());
            relocs.any(|reloc| reloc.decl() == Some(piece))
        };
        let mut pending = program.dirty.iter().filter(|id| {
            let decl = program.decl(**id);
            decl.kind == DeclKind::Custom && matches!(decl.pending(), Pending::Define(_))
        });
        module.pieces_naming(piece).iter().any(names) || pending.any(names)
    }

    /// What edits have dropped must not become most of what stands there.
    fn expect_little_waste(&mut self, id: ObjectId, index: usize) -> UpdateResult<()> {
        let object = &self.resolution().object(id).object;
        let own = u64::from(object.custom_sections[index].contents.len);
        let Some((_, section)) = shared_sections(self.link, id)
            .into_iter()
            .find(|(other, _)| *other == index)
        else {
            return Ok(());
        };
        let program = self.link.module.program();
        let pieces = self.unit(id).strings.iter();
        let pieces = pieces.filter(|piece| piece.section == section);
        let mut used: HashMap<DeclId, Vec<bool>> = pieces
            .map(|piece| (piece.decl, vec![false; contents(program, piece.decl).len()]))
            .collect();
        let len: u64 = used.values().map(|used| used.len() as u64).sum();
        let looked = self.index.strings.looked_through.get(&(id, section));
        let looked = looked.copied().unwrap_or_default();
        if !is_wasteful(len.saturating_sub(own), len) || len <= looked + looked / 2 {
            return Ok(());
        }
        for (other, linked) in self.resolution().each_object() {
            for (index, _) in shared_sections(self.link, other) {
                let object = &linked.object;
                let bytes = object.bytes(object.custom_sections[index].contents);
                for range in Starts::of(bytes).ranges() {
                    let place = self
                        .index
                        .strings
                        .find(program, section, &bytes[range.clone()]);
                    if let Some(place) = place
                        && let Some(used) = used.get_mut(&place.decl)
                    {
                        used[place.offset as usize..][..range.len()].fill(true);
                    }
                }
            }
        }
        for used in used.values() {
            let unused = used.iter().filter(|used| !**used).count();
            if is_wasteful(unused as u64, used.len() as u64) {
                return fall_back(FallbackReason::StringsLeftBehind);
            }
        }
        let looked_through = &mut self.index.strings.looked_through;
        looked_through.insert((id, section), len);
        Ok(())
    }
}
