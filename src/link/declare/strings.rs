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
//! Which strings are equal is found out for groups of objects on all cores, since what is known of the objects before saves
//! most of the work; then the groups are compared.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;
use crate::hash::{HashTable, TableEntry, hash_of};
use crate::link::declare::assign::DeclarationAssigner;
use crate::link::declare::known::{Match, StringPiece};
use crate::link::declare::placed::{
    DebugStrings, PlacedStrings, Shared, StringPlace, is_wasteful, string_piece,
};
use crate::link::symbols::ObjectId;
use crate::object::{Object, Span};
use crate::parallel::{region, task};
use crate::program::{Bytes, SectionId};
use crate::wire::strings::{Starts, len_of_first};

/// Strings of one section of one object, or of a piece that is there.
struct Source<'a> {
    bytes: &'a [u8],
    starts: Vec<u32>,
    /// For each string its number among the different ones of all sources.
    numbers: Vec<u32>,
    /// The numbers of those that no source before has: in the order in which they stand.
    own: Range<u32>,
}

impl<'a> Source<'a> {
    fn string(&self, string: usize) -> Option<&'a [u8]> {
        let start = *self.starts.get(string)?;
        let end = self.starts.get(string + 1).copied();
        Some(&self.bytes[start as usize..end.map_or(self.bytes.len(), |end| end as usize)])
    }

    /// Those that no source before has, and which of the strings they are.
    fn own(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let mut next = self.own.start;
        let strings = self.numbers.iter().enumerate();
        let own = strings.filter(move |(_, number)| {
            let is_own = **number == next;
            next += u32::from(is_own);
            is_own
        });
        own.filter_map(|(string, _)| Some((string, self.string(string)?)))
    }
}

/// A different string of some sources: its hash, the first source that has it, and which of its strings it is.
#[derive(Clone, Copy)]
struct First {
    hash: u64,
    source: u32,
    string: u32,
}

/// Sources one after the other, and the different strings that they have.
#[derive(Default)]
struct Sources<'a> {
    all: Vec<Source<'a>>,
    /// By hash: the numbers of the different strings.
    known: HashTable<(u64, u32)>,
    /// By number.
    firsts: Vec<First>,
}

impl<'a> Sources<'a> {
    /// Those of some bytes, in their order.
    fn of(all: &[&'a [u8]]) -> Sources<'a> {
        let mut sources = Sources::default();
        all.iter().for_each(|bytes| sources.add(bytes));
        sources
    }

    /// Adds the strings of some bytes. Objects that include the same headers have long runs of the same strings: whatever
    /// stands behind the last one that was known is tried first.
    fn add(&mut self, bytes: &'a [u8]) {
        let (mut starts, mut numbers) = (Vec::new(), Vec::new());
        let begin = self.firsts.len() as u32;
        let mut at = 0;
        let mut guess = (usize::MAX, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            starts.push(at as u32);
            let guessed = self.all.get(guess.0).and_then(|source| {
                let string = source.string(guess.1)?;
                let number = source.numbers[guess.1];
                rest.starts_with(string).then_some((number, string.len()))
            });
            let (number, len) = guessed.unwrap_or_else(|| {
                let len = len_of_first(rest);
                let number = self.number(&rest[..len], bytes, &starts);
                let first = self.firsts[number as usize];
                guess = (first.source as usize, first.string as usize);
                (number, len)
            });
            guess.1 += 1;
            numbers.push(number);
            at += len;
        }
        self.all.push(Source {
            bytes,
            starts,
            numbers,
            own: begin..self.firsts.len() as u32,
        });
    }

    /// The number of a string, which may be the last one of its `own` source's, whose strings begin at `starts`.
    fn number(&mut self, string: &[u8], own: &[u8], starts: &[u32]) -> u32 {
        let hash = hash_of(string);
        let (all, firsts) = (&self.all, &mut self.firsts);
        let is_equal = |(other, number): &(u64, u32)| {
            let first = firsts[*number as usize];
            *other == hash
                && match all.get(first.source as usize) {
                    Some(source) => source.string(first.string as usize) == Some(string),
                    None => own[starts[first.string as usize] as usize..].starts_with(string),
                }
        };
        match self.known.entry(hash, is_equal, |(hash, _)| *hash) {
            TableEntry::Occupied(known) => known.get().1,
            TableEntry::Vacant(vacant) => {
                let number = firsts.len() as u32;
                firsts.push(First {
                    hash,
                    source: all.len() as u32,
                    string: starts.len() as u32 - 1,
                });
                vacant.insert((hash, number));
                number
            }
        }
    }

    /// One of the different strings.
    fn different(&self, number: u32) -> Option<&'a [u8]> {
        let first = self.firsts[number as usize];
        self.all[first.source as usize].string(first.string as usize)
    }

    /// The numbers of the different strings, by hash.
    fn by_shard(&self) -> Vec<Vec<u32>> {
        let mut shards = vec![Vec::new(); SHARDS];
        for (number, first) in self.firsts.iter().enumerate() {
            // The table uses the other end of the hash.
            shards[(first.hash >> 40) as usize % SHARDS].push(number as u32);
        }
        shards
    }
}

/// The strings of all sources, and how many different ones there are.
struct EqualStrings<'a> {
    all: Vec<Source<'a>>,
    different: usize,
}

impl EqualStrings<'_> {
    /// Bytes of each of the first `fixed` sources that none of the others has.
    fn unused(&self, fixed: usize) -> Vec<u64> {
        let mut used = vec![false; self.different];
        for source in &self.all[fixed..] {
            source
                .numbers
                .iter()
                .for_each(|number| used[*number as usize] = true);
        }
        let unused = self.all[..fixed].iter().map(|source| {
            let own = source.own().zip(source.own.clone());
            let used = own.filter(|(_, number)| used[*number as usize]);
            let used: usize = used.map(|((_, string), _)| string.len()).sum();
            (source.bytes.len() - used) as u64
        });
        unused.collect()
    }
}

/// Bytes of sources in which equal strings are found by one thread.
const GROUP_BYTES: usize = 2 << 20;
/// Parts that the different strings of several groups are compared in.
const SHARDS: usize = 32;

/// Finds out which strings of all sources are equal: in groups of parts of them first, and then which of a group's different
/// ones a group before has as well. What comes of it does not depend on where parts and groups end.
fn find_equal<'a>(all: &[&'a [u8]], group_bytes: usize) -> EqualStrings<'a> {
    let cut: Vec<Vec<&[u8]>> = all.iter().map(|bytes| parts(bytes, group_bytes)).collect();
    let all_parts = cut.concat();
    let mut rest = &all_parts[..];
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let mut bytes = 0;
        let len = rest.iter().take_while(|part| {
            let is_open = bytes < group_bytes;
            bytes += part.len();
            is_open
        });
        let (group, behind) = rest.split_at(len.count());
        groups.push(group);
        rest = behind;
    }
    let groups = groups.into_par_iter();
    let mut groups: Vec<Sources<'_>> =
        region(|| groups.map(|group| task(|| Sources::of(group))).collect());
    if let [group] = &mut groups[..] {
        return EqualStrings {
            all: std::mem::take(&mut group.all),
            different: group.firsts.len(),
        };
    }
    let (ranks, different) = rank_groups(&groups);
    let groups = groups.into_par_iter().zip(&ranks).map(|(group, own)| {
        task(|| {
            let mut all = group.all;
            for source in &mut all {
                source.own = own.rank(source.own.start)..own.rank(source.own.end);
                for number in &mut source.numbers {
                    *number = match own.before[*number as usize] {
                        OWN => own.rank(*number),
                        (group, before) => ranks[group as usize].rank(before),
                    };
                }
            }
            all
        })
    });
    let groups: Vec<Vec<Source<'_>>> = region(|| groups.collect());
    let mut found = groups.into_iter().flatten();
    let of_sources = all.iter().zip(&cut).map(|(bytes, parts)| {
        let parts = found.by_ref().take(parts.len());
        (*bytes, parts.collect())
    });
    let of_sources: Vec<(&[u8], Vec<Source<'_>>)> = of_sources.collect();
    let join = |(bytes, parts)| task(|| joined(bytes, parts));
    EqualStrings {
        all: region(|| of_sources.into_par_iter().map(join).collect()),
        different: different as usize,
    }
}

/// The parts of a source that are looked at on their own: each ends with a string.
fn parts(bytes: &[u8], group_bytes: usize) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while rest.len() / 3 > group_bytes / 2 {
        let len = group_bytes + len_of_first(&rest[group_bytes..]);
        let (part, behind) = rest.split_at(len);
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

/// A source, from what was found of its parts.
fn joined<'a>(bytes: &'a [u8], parts: Vec<Source<'a>>) -> Source<'a> {
    let mut parts = parts.into_iter();
    let Some(mut source) = parts.next() else {
        unreachable!("each source has a part")
    };
    let mut begin = source.bytes.len() as u32;
    for part in parts {
        source
            .starts
            .extend(part.starts.iter().map(|start| begin + start));
        source.numbers.extend(part.numbers);
        // A part's own strings follow those of the part before.
        source.own.end = part.own.end;
        begin += part.bytes.len() as u32;
    }
    source.bytes = bytes;
    source
}

/// Which of the different strings of a group are its own, and their numbers among those of all groups.
struct GroupRanks {
    /// For each string the group that had it before, and its number there.
    before: Vec<(u32, u32)>,
    /// For each, and for the one that would follow, how many before it are the group's own.
    ranks: Vec<u32>,
    /// The number of the first that is the group's own.
    first: u32,
}

/// No group before has it.
const OWN: (u32, u32) = (u32::MAX, u32::MAX);

impl GroupRanks {
    fn new(count: usize, known: impl Iterator<Item = KnownBefore>) -> GroupRanks {
        let mut before = vec![OWN; count];
        for (number, group, its) in known {
            before[number as usize] = (group, its);
        }
        let mut own = 0;
        let mut ranks = Vec::with_capacity(count + 1);
        for before in &before {
            ranks.push(own);
            own += u32::from(*before == OWN);
        }
        ranks.push(own);
        GroupRanks {
            before,
            ranks,
            first: 0,
        }
    }

    /// The number among those of all groups of one of the group's own, or of the next one that is.
    fn rank(&self, number: u32) -> u32 {
        self.first + self.ranks[number as usize]
    }
}

/// A string that a group before has: its number in the group, that group, and its number there.
type KnownBefore = (u32, u32, u32);

/// Numbers the different strings of all groups, in the order of the groups. Returns also how many there are.
fn rank_groups(groups: &[Sources<'_>]) -> (Vec<GroupRanks>, u32) {
    let shards: Vec<Vec<Vec<u32>>> = region(|| {
        let groups = groups.par_iter();
        groups.map(|group| task(|| group.by_shard())).collect()
    });
    // By shard, then by group.
    let known: Vec<Vec<Vec<KnownBefore>>> = region(|| {
        let each = (0..SHARDS).into_par_iter();
        each.map(|shard| task(|| known_before(groups, &shards, shard)))
            .collect()
    });
    let rank = |(at, group): (usize, &Sources<'_>)| {
        let known = known.iter().flat_map(|groups| &groups[at]).copied();
        task(|| GroupRanks::new(group.firsts.len(), known))
    };
    let ranks = groups.par_iter().enumerate().map(rank);
    let mut ranks: Vec<GroupRanks> = region(|| ranks.collect());
    let mut next = 0;
    for ranks in &mut ranks {
        ranks.first = next;
        next = ranks.rank(ranks.before.len() as u32);
    }
    (ranks, next)
}

/// For each group, those of its strings of one shard that a group before has.
fn known_before(
    groups: &[Sources<'_>],
    shards: &[Vec<Vec<u32>>],
    shard: usize,
) -> Vec<Vec<KnownBefore>> {
    let most = shards.iter().map(|group| group[shard].len()).max();
    let mut table: HashTable<(u64, u32, u32)> = HashTable::with_capacity(most.unwrap_or(0));
    let groups_of = shards.iter().enumerate();
    let known = groups_of.map(|(at, numbers)| {
        let mut known = Vec::new();
        for number in &numbers[shard] {
            let hash = groups[at].firsts[*number as usize].hash;
            let string = groups[at].different(*number);
            let is_equal = |(other, group, number): &(u64, u32, u32)| {
                *other == hash && groups[*group as usize].different(*number) == string
            };
            match table.entry(hash, is_equal, |(hash, ..)| *hash) {
                TableEntry::Occupied(before) => {
                    let (_, group, before) = *before.get();
                    known.push((*number, group, before));
                }
                TableEntry::Vacant(vacant) => {
                    vacant.insert((hash, at as u32, *number));
                }
            }
        }
        known
    });
    known.collect()
}

/// What a source adds to the output.
struct Own {
    /// Where each of its own strings stands in the piece, in order.
    offsets: Vec<u32>,
    /// The contents of the piece, if it has to be defined.
    bytes: Option<Bytes>,
}

impl DeclarationAssigner<'_> {
    /// Gives the strings of a section their places.
    pub(super) fn share_strings(
        &mut self,
        section: SectionId,
        shared: &[Shared],
        matches: &[Match<'_>],
        out: &mut DebugStrings,
    ) -> Result<()> {
        let mut pieces = self.pieces_before(section, shared, matches);
        let sources = self.equal_strings(&mut pieces, shared);
        let fixed = pieces.len();
        let growing = growing(&pieces, shared);
        let own = shared.par_iter().zip(&growing).enumerate();
        let own = own.map(|(at, (shared, growing))| {
            let (object, span) = self.contents(*shared);
            let before = growing.map(|piece| sources.all[piece].bytes);
            let shared = || Bytes::Shared {
                input: object.input().clone(),
                start: span.start,
                len: span.len,
            };
            task(|| own_strings(&sources.all[fixed + at], before, shared))
        });
        let mut own: Vec<Own> = region(|| own.collect());
        let before = sources.all[..fixed].iter().map(|source| Own {
            offsets: own_starts(source),
            bytes: None,
        });
        own.splice(0..0, before);
        let sources = sources.all.into_iter().skip(fixed);
        let strings: Vec<_> = sources
            .map(|source| (source.starts, source.numbers))
            .collect();

        let mut places = Vec::with_capacity(own.iter().map(|own| own.offsets.len()).sum());
        for (at, own) in own.into_iter().enumerate() {
            let piece = match at.checked_sub(fixed) {
                None => {
                    let (object, piece) = pieces[at];
                    self.assigner.keep_strings(object.index(), piece);
                    piece
                }
                Some(at) => {
                    let Some(bytes) = own.bytes else { continue };
                    let piece = match growing[at] {
                        Some(piece) => pieces[piece].1,
                        None => self.new_strings(shared[at].0, section)?,
                    };
                    out.pieces.push(string_piece(piece, bytes)?);
                    piece
                }
            };
            let decl = piece.decl;
            let offsets = own.offsets.into_iter();
            places.extend(offsets.map(|offset| StringPlace { decl, offset }));
        }
        let places: Arc<[StringPlace]> = places.into();
        let placed = strings.into_par_iter().zip(shared);
        let placed = placed.map(|((starts, numbers), shared)| {
            let (_, span) = self.contents(*shared);
            let starts = task(|| Starts::new(starts, span.len));
            let places = places.clone();
            (
                *shared,
                PlacedStrings {
                    starts,
                    numbers,
                    places,
                },
            )
        });
        let placed: Vec<_> = region(|| placed.collect());
        out.placed.extend(placed);
        Ok(())
    }

    /// A new piece for strings of an object.
    fn new_strings(&mut self, id: ObjectId, section: SectionId) -> Result<StringPiece> {
        let name = self.plan.resolution.object(id).object.display_name();
        let decl = self.assigner.new_piece(name)?;
        let piece = StringPiece { section, decl };
        self.assigner.keep_strings(id.index(), piece);
        Ok(piece)
    }

    /// Where the bytes of an object's section are.
    fn contents(&self, (id, index): Shared) -> (&Object, Span) {
        let object = &self.plan.resolution.object(id).object;
        (object, object.custom_sections[index].contents)
    }

    /// Finds out which strings are equal: those of pieces that are there, and behind them those of the objects. Pieces of which
    /// most is of no use any more are given up.
    fn equal_strings(
        &self,
        pieces: &mut Vec<(ObjectId, StringPiece)>,
        shared: &[Shared],
    ) -> EqualStrings<'_> {
        let program = &*self.assigner.program;
        loop {
            let before = pieces.iter().map(|(_, piece)| {
                let current = program.decl(piece.decl).current();
                current.map_or(&[][..], |current| current.content.bytes())
            });
            let objects = shared.iter().map(|shared| {
                let (object, span) = self.contents(*shared);
                object.bytes(span)
            });
            let all: Vec<&[u8]> = before.chain(objects).collect();
            let sources = find_equal(&all, GROUP_BYTES);
            if pieces.is_empty() {
                return sources;
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

/// Where the strings begin that a source has and none before it.
fn own_starts(source: &Source<'_>) -> Vec<u32> {
    source
        .own()
        .map(|(string, _)| source.starts[string])
        .collect()
}

/// What a source has that none before it has, behind what is there `before`. If that is all of it, it is `whole`.
fn own_strings(source: &Source<'_>, before: Option<&[u8]>, whole: impl FnOnce() -> Bytes) -> Own {
    if source.own.is_empty() {
        return Own {
            offsets: Vec::new(),
            bytes: None,
        };
    }
    if source.own.len() == source.numbers.len() && before.is_none() {
        return Own {
            offsets: source.starts.clone(),
            bytes: Some(whole()),
        };
    }
    let len: usize = source.own().map(|(_, string)| string.len()).sum();
    let before = before.unwrap_or_default();
    let mut bytes = Vec::with_capacity(before.len() + len);
    bytes.extend_from_slice(before);
    let mut offsets = Vec::with_capacity(source.own.len());
    for (_, string) in source.own() {
        offsets.push(bytes.len() as u32);
        bytes.extend_from_slice(string);
    }
    Own {
        offsets,
        bytes: Some(bytes.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is known of each source, and how many different strings there are.
    type Found = (Vec<(Vec<u32>, Vec<u32>, Range<u32>)>, usize);

    fn found(all: &[&[u8]], group_bytes: usize) -> Found {
        let equal = find_equal(all, group_bytes);
        let sources = equal.all.into_iter().zip(all).map(|(source, bytes)| {
            assert_eq!(source.bytes, *bytes);
            (source.starts, source.numbers, source.own)
        });
        (sources.collect(), equal.different)
    }

    proptest! {
        /// Strings are numbered in the order in which they are first seen, wherever groups and parts of sources end.
        #[test]
        fn groups_change_nothing(words in prop::collection::vec(prop::collection::vec("[ab]{0,3}", 0..30), 1..8), group_bytes in 2usize..40) {
            let sources: Vec<Vec<u8>> = words.iter().map(|words| {
                words.iter().flat_map(|word| word.bytes().chain([0])).collect()
            }).collect();
            let all: Vec<&[u8]> = sources.iter().map(|bytes| &bytes[..]).collect();
            let (parted, different) = found(&all, group_bytes);
            let mut known: Vec<&str> = Vec::new();
            for (words, (starts, numbers, own)) in words.iter().zip(parted) {
                let before = known.len();
                let mut at = 0;
                for (number, word) in words.iter().enumerate() {
                    prop_assert_eq!(starts[number], at);
                    at += word.len() as u32 + 1;
                    let place = known.iter().position(|other| other == word);
                    let place = place.unwrap_or_else(|| {
                        known.push(word);
                        known.len() - 1
                    });
                    prop_assert_eq!(numbers[number] as usize, place);
                }
                prop_assert_eq!(starts.len(), words.len());
                prop_assert_eq!((own.start as usize, own.end as usize), (before, known.len()));
            }
            prop_assert_eq!(different, known.len());
        }
    }
}
