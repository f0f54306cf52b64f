//! Strings of debug information that several objects have. Of equal ones the first stands in a piece, in the order of the
//! objects, and the fields of all objects name that one: what an object's section adds to the output are the strings that no
//! object before it has.
//!
//! A string stays where it is for as long as its piece is there, so that an edit does not touch the fields of other objects:
//! what an object has from its first link on is never written again, and what edits bring goes to a piece of its own, which
//! grows. What an edit drops stays behind, since others may name it; a link that resolves everything anew gives up pieces of
//! which most is of no use, and so a piece goes whose object is not linked any more. A dense output has no string that
//! nobody names (`patch::dense`).
//!
//! Which strings are equal is found out on one core, since what is known of the objects before saves most of the work.

use rayon::prelude::*;

use crate::error::Result;
use crate::hash::{HashMap, HashTable, hash_of};
use crate::link::command::options::LinkOptions;
use crate::link::declare::assign::DeclarationAssigner;
use crate::link::declare::define::Item;
use crate::link::declare::known::{Match, StringPiece};
use crate::link::symbols::ObjectId;
use crate::object::{Object, Span};
use crate::program::{
    Bytes, DeclId, DeclKind, Definition, DefinitionKind, RelocatableBytes, SectionId,
};
use crate::wire::dwarf;
use crate::wire::strings::{Starts, len_of_first};

/// Where a string stands: a piece of a custom section, and the offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StringPlace {
    pub(crate) decl: DeclId,
    pub(crate) offset: u32,
}

/// Where the strings of an object's section stand.
#[derive(Debug)]
pub(crate) struct PlacedStrings {
    starts: Starts,
    /// By string.
    places: Vec<StringPlace>,
}

impl PlacedStrings {
    pub(crate) fn new(starts: Starts, places: Vec<StringPlace>) -> PlacedStrings {
        debug_assert_eq!(starts.count(), places.len());
        PlacedStrings { starts, places }
    }

    /// What stands at an offset of the object's section: a piece, and the offset in it. Outside of the section there is
    /// nothing that means anything: that is an empty string, or the first one.
    pub(crate) fn at(&self, offset: i64) -> (DeclId, i64) {
        let offset = offset.clamp(0, i64::from(self.starts.len()) - 1) as u32;
        let string = self.starts.containing(offset);
        let place = self.places[string];
        let distance = offset - self.starts.start(string);
        (place.decl, i64::from(place.offset) + i64::from(distance))
    }
}

/// Where the strings of objects stand, by object and custom section.
pub(crate) type PlacedByObject = HashMap<(ObjectId, usize), PlacedStrings>;

/// What a link shares of the strings of debug information.
#[derive(Debug, Default)]
pub(crate) struct DebugStrings {
    pub(crate) placed: PlacedByObject,
    /// Pieces that are new, or have become longer.
    pub(crate) pieces: Vec<Item>,
}

/// Whether the strings of an object's custom section are shared with others: it is of strings, and something in the object
/// names them. In a dense output that is done when it is written.
pub(crate) fn shares_strings(object: &Object, index: usize, options: &LinkOptions) -> bool {
    let custom = &object.custom_sections[index];
    dwarf::is_of_strings(object.str(custom.name))
        && options.incremental != Some(false)
        && object.bytes(custom.contents).last() == Some(&0)
        && !custom.has_relocs()
        && object
            .symbols
            .iter()
            .rev()
            .any(|symbol| symbol.section() == Some(custom.section))
}

/// The definition of a piece of strings.
pub(crate) fn string_piece(piece: StringPiece, bytes: impl Into<Bytes>) -> Result<Item> {
    let StringPiece { section, decl } = piece;
    let definition = Definition {
        content: RelocatableBytes::new(bytes, Vec::new())?,
        shape: DefinitionKind::Custom { section },
    };
    Ok((decl, DeclKind::Custom, definition))
}

/// Which of its pieces an object's new strings of a section go to, if it is not a new one: what its first link brought
/// stays as it is.
pub(crate) fn growing_piece(pieces: &[StringPiece], section: SectionId) -> Option<StringPiece> {
    let mut pieces = pieces.iter().filter(|piece| piece.section == section);
    let _first = pieces.next()?;
    pieces.last().copied()
}

/// Whether a piece is to be given up of which so much is of no use.
pub(crate) fn is_wasteful(unused: u64, len: u64) -> bool {
    const LITTLE: u64 = 32 << 10;
    unused > LITTLE && unused > len / 2
}

/// One of the strings of many sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Which {
    source: u32,
    string: u32,
}

/// Strings of one section of one object, or of a piece that is there.
struct Source<'a> {
    bytes: &'a [u8],
    starts: Vec<u32>,
    /// For each string the first of all sources that is equal to it.
    firsts: Vec<Which>,
}

impl<'a> Source<'a> {
    fn string(&self, string: u32) -> Option<&'a [u8]> {
        let start = *self.starts.get(string as usize)?;
        let end = self.starts.get(string as usize + 1).copied();
        Some(&self.bytes[start as usize..end.map_or(self.bytes.len(), |end| end as usize)])
    }
}

/// Sources one after the other, and the different strings that they have.
#[derive(Default)]
struct Sources<'a> {
    all: Vec<Source<'a>>,
    /// The first of each, with its hash.
    known: HashTable<(u64, Which)>,
}

impl<'a> Sources<'a> {
    /// Adds the strings of some bytes. Objects that include the same headers have long runs of the same strings: whatever
    /// stands behind the last one that was known is tried first.
    fn add(&mut self, bytes: &'a [u8]) {
        let this = self.all.len() as u32;
        let (mut starts, mut firsts) = (Vec::new(), Vec::new());
        let mut at = 0;
        let mut guess: Option<Which> = None;
        while at < bytes.len() {
            let rest = &bytes[at..];
            starts.push(at as u32);
            let guessed = guess.and_then(|which| {
                let source = self.all.get(which.source as usize)?;
                let string = source.string(which.string)?;
                let first = source.firsts[which.string as usize];
                rest.starts_with(string)
                    .then_some((which, first, string.len()))
            });
            let (found, first, len) = guessed.unwrap_or_else(|| {
                let len = len_of_first(rest);
                let new = Which {
                    source: this,
                    string: firsts.len() as u32,
                };
                let first = self.first(&rest[..len], bytes, &starts, new);
                (first, first, len)
            });
            guess = Some(Which {
                string: found.string + 1,
                ..found
            });
            firsts.push(first);
            at += len;
        }
        self.all.push(Source {
            bytes,
            starts,
            firsts,
        });
    }

    /// The first string that is equal to this one, which is `new` if there is none, among `own` ones that begin at `starts`.
    fn first(&mut self, string: &[u8], own: &[u8], starts: &[u32], new: Which) -> Which {
        let hash = hash_of(string);
        let all = &self.all;
        let is_equal = |(other, which): &(u64, Which)| {
            *other == hash
                && match all.get(which.source as usize) {
                    Some(source) => source.string(which.string) == Some(string),
                    None => own[starts[which.string as usize] as usize..].starts_with(string),
                }
        };
        let entry = self.known.entry(hash, is_equal, |(hash, _)| *hash);
        entry.or_insert((hash, new)).get().1
    }

    /// Bytes of each of the first `fixed` sources that none of the others has.
    fn unused(&self, fixed: usize) -> Vec<u64> {
        let mut used: Vec<Vec<bool>> = self.all[..fixed]
            .iter()
            .map(|source| vec![false; source.firsts.len()])
            .collect();
        for first in self.all[fixed..].iter().flat_map(|source| &source.firsts) {
            if let Some(used) = used.get_mut(first.source as usize) {
                used[first.string as usize] = true;
            }
        }
        let unused = used.iter().zip(&self.all).map(|(used, source)| {
            let strings = (0..).zip(used).filter(|(_, used)| !**used);
            let strings = strings.filter_map(|(string, _)| source.string(string));
            strings.map(|string| string.len() as u64).sum()
        });
        unused.collect()
    }
}

/// What an object's section adds to the output.
struct Own {
    /// By string: the offset in the piece; for those that are the section's own.
    offsets: Vec<u32>,
    /// The contents of the piece, if it has to be defined.
    bytes: Option<Bytes>,
}

/// A section of an object whose strings are shared.
pub(super) type Shared = (ObjectId, usize);

impl DeclarationAssigner<'_> {
    /// Gives the strings of a section their places.
    pub(super) fn share_strings(
        &mut self,
        section: SectionId,
        shared: &[Shared],
        matches: &[Match<'_>],
        out: &mut DebugStrings,
    ) -> Result<()> {
        let resolution = &self.plan.resolution;
        let mut pieces = self.pieces_before(section, shared, matches);
        let sources = self.find_equal(&mut pieces, shared);
        let fixed = pieces.len();
        let growing = growing(&pieces, shared);
        let own = shared.par_iter().zip(&growing).enumerate();
        let own = own.map(|(at, (shared, growing))| {
            let (object, span) = self.contents(*shared);
            let before = growing.map(|piece| sources.all[piece].bytes);
            own_strings(&sources, fixed + at, before, || Bytes::Shared {
                input: object.input().clone(),
                start: span.start,
                len: span.len,
            })
        });
        let own: Vec<Own> = own.collect();
        let sources = sources.all.into_iter();
        let strings: Vec<_> = sources
            .map(|source| (source.starts, source.firsts))
            .collect();

        for (object, piece) in &pieces {
            self.assigner.keep_strings(object.index(), *piece);
        }
        let mut offsets = Vec::with_capacity(shared.len());
        let mut decls: Vec<Option<DeclId>> = Vec::with_capacity(strings.len());
        decls.extend(pieces.iter().map(|(_, piece)| Some(piece.decl)));
        for ((own, growing), (id, _)) in own.into_iter().zip(growing).zip(shared) {
            let mut decl = None;
            if let Some(bytes) = own.bytes {
                let piece = match growing {
                    Some(piece) => pieces[piece].1,
                    None => {
                        let name = resolution.object(*id).object.display_name();
                        let decl = self.assigner.new_piece(name)?;
                        let piece = StringPiece { section, decl };
                        self.assigner.keep_strings(id.index(), piece);
                        piece
                    }
                };
                out.pieces.push(string_piece(piece, bytes)?);
                decl = Some(piece.decl);
            }
            decls.push(decl);
            offsets.push(own.offsets);
        }
        let place = |first: &Which| {
            let (of, string) = (first.source as usize, first.string as usize);
            let offset = match of.checked_sub(fixed) {
                None => strings[of].0[string],
                Some(own) => offsets[own][string],
            };
            let decl = decls[of].unwrap_or_else(|| unreachable!("the first has a piece"));
            StringPlace { decl, offset }
        };
        let placed = strings[fixed..].par_iter().zip(shared);
        let placed = placed.map(|((starts, firsts), shared)| {
            let places = firsts.iter().map(place).collect();
            let (_, span) = self.contents(*shared);
            let starts = Starts::new(starts.clone(), span.len);
            (*shared, PlacedStrings::new(starts, places))
        });
        let placed: Vec<_> = placed.collect();
        out.placed.extend(placed);
        Ok(())
    }

    /// Where the bytes of an object's section are.
    fn contents(&self, (id, index): Shared) -> (&Object, Span) {
        let object = &self.plan.resolution.object(id).object;
        (object, object.custom_sections[index].contents)
    }

    /// Finds out which strings are equal: those of pieces that are there, and behind them those of the objects. Pieces of which
    /// most is of no use any more are given up.
    fn find_equal(
        &self,
        pieces: &mut Vec<(ObjectId, StringPiece)>,
        shared: &[Shared],
    ) -> Sources<'_> {
        let program = &*self.assigner.program;
        loop {
            let mut sources = Sources::default();
            for (_, piece) in &*pieces {
                let current = program.decl(piece.decl).current();
                sources.add(current.map_or(&[], |current| current.content.bytes()));
            }
            for shared in shared {
                let (object, span) = self.contents(*shared);
                sources.add(object.bytes(span));
            }
            let unused = sources.unused(pieces.len()).into_iter();
            let lens = sources.all.iter().map(|source| source.bytes.len() as u64);
            let mut wasteful = unused
                .zip(lens)
                .map(|(unused, len)| is_wasteful(unused, len));
            let before = pieces.len();
            pieces.retain(|_| !wasteful.next().unwrap_or_default());
            if pieces.len() == before {
                return sources;
            }
        }
    }

    /// The pieces that the objects had in the link before.
    fn pieces_before(
        &self,
        section: SectionId,
        shared: &[Shared],
        matches: &[Match<'_>],
    ) -> Vec<(ObjectId, StringPiece)> {
        let mut ids: Vec<ObjectId> = shared.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        let pieces = ids.into_iter().flat_map(|id| {
            let old = matches[id.index()].old();
            let strings = old.into_iter().flat_map(|old| &old.strings);
            let strings = strings.filter(|piece| piece.section == section);
            strings.map(move |piece| (id, *piece))
        });
        pieces.collect()
    }
}

/// For each section, which of the pieces that are there grows by its new strings; of an object's sections only the first
/// has one.
fn growing(pieces: &[(ObjectId, StringPiece)], shared: &[Shared]) -> Vec<Option<usize>> {
    let growing = shared.iter().enumerate().map(|(at, (id, _))| {
        let is_first = at == 0 || shared[at - 1].0 != *id;
        let begin = pieces.partition_point(|(object, _)| object < id);
        let end = pieces.partition_point(|(object, _)| object <= id);
        // What its first link brought stays as it is.
        (is_first && end - begin > 1).then(|| end - 1)
    });
    growing.collect()
}

/// What a source has that none before it has, behind what is there `before`. If that is all of it, it is `whole`.
fn own_strings(
    sources: &Sources<'_>,
    at: usize,
    before: Option<&[u8]>,
    whole: impl FnOnce() -> Bytes,
) -> Own {
    let source = &sources.all[at];
    let count = source.firsts.len();
    let strings = (0..).zip(&source.firsts);
    let own =
        strings.filter(|(string, first)| (first.source as usize, first.string) == (at, *string));
    let own: Vec<u32> = own.map(|(string, _)| string).collect();
    if own.is_empty() {
        return Own {
            offsets: Vec::new(),
            bytes: None,
        };
    }
    if own.len() == count && before.is_none() {
        return Own {
            offsets: source.starts.clone(),
            bytes: Some(whole()),
        };
    }
    let own = own
        .iter()
        .filter_map(|string| Some((*string, source.string(*string)?)));
    let len: usize = own.clone().map(|(_, string)| string.len()).sum();
    let before = before.unwrap_or_default();
    let mut bytes = Vec::with_capacity(before.len() + len);
    bytes.extend_from_slice(before);
    let mut offsets = vec![0; count];
    for (string, text) in own {
        offsets[string as usize] = bytes.len() as u32;
        bytes.extend_from_slice(text);
    }
    Own {
        offsets,
        bytes: Some(bytes.into()),
    }
}
