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
//! Which strings are equal is found out on all cores, and does not depend on how many there are.

use std::sync::atomic::{AtomicU64, Ordering};

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
use crate::wire::strings::Starts;

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
    const LITTLE: u64 = 4096;
    unused > LITTLE && unused > len / 2
}

/// Strings of one section of one object, or of a piece that is there.
struct Source<'a> {
    bytes: &'a [u8],
    starts: Starts,
    hashes: Vec<u64>,
}

impl<'a> Source<'a> {
    fn of(bytes: &'a [u8]) -> Source<'a> {
        let starts = Starts::of(bytes);
        let hashes = starts.ranges().map(|range| hash_of(&bytes[range]));
        Source {
            bytes,
            hashes: hashes.collect(),
            starts,
        }
    }

    fn string(&self, string: u32) -> &'a [u8] {
        &self.bytes[self.starts.range(string as usize)]
    }
}

/// One of the strings of many sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Which {
    source: u32,
    string: u32,
}

/// For each string of each source, the first one that is equal to it.
struct Firsts(Vec<Vec<AtomicU64>>);

impl Firsts {
    /// Each thread deals with strings whose hashes fall to it, in the order of all.
    fn of(sources: &[Source<'_>]) -> Firsts {
        let firsts = sources.iter().map(|source| {
            let unknown = || AtomicU64::new(0);
            std::iter::repeat_with(unknown).take(source.hashes.len())
        });
        let firsts = Firsts(firsts.map(Iterator::collect).collect());
        let count: usize = sources.iter().map(|source| source.hashes.len()).sum();
        // To wake other threads takes longer than to do little.
        const FEW: usize = 4096;
        let shares = match count < FEW {
            true => 1,
            false => rayon::current_num_threads().max(1) as u64,
        };
        if shares == 1 {
            firsts.find(sources, 0, 1);
        } else {
            let all = (0..shares).into_par_iter();
            all.for_each(|share| firsts.find(sources, share, shares));
        }
        firsts
    }

    fn find(&self, sources: &[Source<'_>], share: u64, shares: u64) {
        let mut known: HashTable<(u64, Which)> = HashTable::new();
        for (at, source) in sources.iter().enumerate() {
            for (string, &hash) in source.hashes.iter().enumerate() {
                // The table goes by other bits.
                if shares > 1 && (hash >> 20 & 0xffff) % shares != share {
                    continue;
                }
                let this = Which {
                    source: at as u32,
                    string: string as u32,
                };
                let bytes = source.string(this.string);
                let is_equal = |(other_hash, which): &(u64, Which)| {
                    *other_hash == hash
                        && sources[which.source as usize].string(which.string) == bytes
                };
                let entry = known.entry(hash, is_equal, |(hash, _)| *hash);
                let (_, first) = entry.or_insert((hash, this)).into_mut();
                let first = u64::from(first.source) << 32 | u64::from(first.string);
                self.0[at][string].store(first, Ordering::Relaxed);
            }
        }
    }

    fn get(&self, source: usize, string: usize) -> Which {
        let first = self.0[source][string].load(Ordering::Relaxed);
        Which {
            source: (first >> 32) as u32,
            string: first as u32,
        }
    }

    /// Bytes of each of the first `fixed` sources that none of the others has.
    fn unused(&self, sources: &[Source<'_>], fixed: usize) -> Vec<u64> {
        let mut used: Vec<Vec<bool>> = sources[..fixed]
            .iter()
            .map(|source| vec![false; source.hashes.len()])
            .collect();
        for (at, source) in sources.iter().enumerate().skip(fixed) {
            for string in 0..source.hashes.len() {
                let first = self.get(at, string);
                if let Some(used) = used.get_mut(first.source as usize) {
                    used[first.string as usize] = true;
                }
            }
        }
        let unused = used.iter().zip(sources).map(|(used, source)| {
            let ranges = source.starts.ranges().zip(used);
            let unused = ranges.filter(|(_, used)| !**used);
            unused.map(|(range, _)| range.len() as u64).sum()
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
        let (mut sources, firsts) = self.find_equal(&mut pieces, shared);
        let fixed = pieces.len();
        let growing = growing(&pieces, shared);
        let own = shared.par_iter().zip(&growing).enumerate();
        let own = own.map(|(at, (shared, growing))| {
            let (object, span) = self.contents(*shared);
            let before = growing.map(|piece| sources[piece].bytes);
            own_strings(&sources, &firsts, fixed + at, before, || Bytes::Shared {
                input: object.input().clone(),
                start: span.start,
                len: span.len,
            })
        });
        let own: Vec<Own> = own.collect();
        let starts: Vec<Starts> = sources
            .iter_mut()
            .map(|source| std::mem::take(&mut source.starts))
            .collect();
        drop(sources);
        for (object, piece) in &pieces {
            self.assigner.keep_strings(object.index(), *piece);
        }
        let mut offsets = Vec::with_capacity(shared.len());
        let mut decls: Vec<Option<DeclId>> =
            pieces.iter().map(|(_, piece)| Some(piece.decl)).collect();
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
        let place = |source: usize, string: usize| {
            let first = firsts.get(source, string);
            let of = first.source as usize;
            let offset = match of.checked_sub(fixed) {
                None => starts[of].start(first.string as usize),
                Some(own) => offsets[own][first.string as usize],
            };
            let decl = decls[of];
            StringPlace {
                decl: decl
                    .unwrap_or_else(|| unreachable!("a string that is the first has a piece")),
                offset,
            }
        };
        let places = (fixed..starts.len()).into_par_iter().map(|source| {
            let strings = 0..starts[source].count();
            strings.map(|string| place(source, string)).collect()
        });
        let places: Vec<Vec<StringPlace>> = places.collect();
        let placed = starts.into_iter().skip(fixed).zip(places);
        let placed = placed.map(|(starts, places)| PlacedStrings::new(starts, places));
        out.placed.extend(shared.iter().copied().zip(placed));
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
    ) -> (Vec<Source<'_>>, Firsts) {
        let program = &*self.assigner.program;
        loop {
            let fixed = pieces.par_iter().map(|(_, piece)| {
                let current = program.decl(piece.decl).current();
                current.map_or(&[][..], |current| current.content.bytes())
            });
            let own = shared.par_iter().map(|shared| {
                let (object, span) = self.contents(*shared);
                object.bytes(span)
            });
            let sources: Vec<Source<'_>> = fixed.chain(own).map(Source::of).collect();
            let firsts = Firsts::of(&sources);
            let unused = firsts.unused(&sources, pieces.len()).into_iter();
            let lens = sources.iter().map(|source| source.starts.len().into());
            let mut wasteful = unused
                .zip(lens)
                .map(|(unused, len)| is_wasteful(unused, len));
            let before = pieces.len();
            pieces.retain(|_| !wasteful.next().unwrap_or_default());
            if pieces.len() == before {
                return (sources, firsts);
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
    sources: &[Source<'_>],
    firsts: &Firsts,
    at: usize,
    before: Option<&[u8]>,
    whole: impl FnOnce() -> Bytes,
) -> Own {
    let source = &sources[at];
    let is_own = |string: &usize| {
        firsts.get(at, *string).source as usize == at
            && firsts.get(at, *string).string as usize == *string
    };
    let count = source.starts.count();
    let own = (0..count).filter(is_own).count();
    if own == 0 {
        return Own {
            offsets: Vec::new(),
            bytes: None,
        };
    }
    if own == count && before.is_none() {
        let starts = (0..count).map(|string| source.starts.start(string));
        return Own {
            offsets: starts.collect(),
            bytes: Some(whole()),
        };
    }
    let len: usize = (0..count)
        .filter(is_own)
        .map(|string| source.starts.range(string).len())
        .sum();
    let before = before.unwrap_or_default();
    let mut bytes = Vec::with_capacity(before.len() + len);
    bytes.extend_from_slice(before);
    let mut offsets = vec![0; count];
    for string in (0..count).filter(is_own) {
        offsets[string] = bytes.len() as u32;
        bytes.extend_from_slice(source.string(string as u32));
    }
    Own {
        offsets,
        bytes: Some(bytes.into()),
    }
}
