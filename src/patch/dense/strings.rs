//! Strings of debug information in dense outputs: those that fields name, each once, and where others end in it not even that.
//! Nobody can read what nothing names, and which of that there is depends on how the program came about.
//!
//! Where nothing names any string of a section, whoever reads it knows another way: all of them are there, once each.
//!
//! Strings stand in the order in which they are first named. Which field is first is found out by all threads at once
//! (the least number wins), and so is which strings are equal (each thread has those whose hashes begin alike), so
//! that nothing depends on how many threads there are.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use crate::hash::{HashTable, hash_of};
use crate::layout::CustomIndex;
use crate::parallel::{region, sorting, task};
use crate::patch::encode::Encoder;
use crate::program::{DeclId, RelocKind, Relocation};
use crate::wire::dwarf;
use crate::wire::strings::{Starts, hosts};

/// What stands for the number or the place of a string that is not there, and for the number of what is no piece of strings.
const NONE: u32 = u32::MAX;
/// Fields that one thread looks at at a time, and strings.
const RUN: usize = 8192;
/// Parts of all strings by their hashes.
const SHARDS: usize = 16;
/// Bytes of strings that one thread writes at a time.
const CHUNK_BYTES: u64 = 1 << 18;

/// The sections that consist of strings, and where their pieces stand in them.
#[derive(Default)]
pub(super) struct Merged<'a> {
    /// By declaration: which of the pieces it is.
    numbers: Vec<u32>,
    pieces: Vec<Piece<'a>>,
    /// By custom section: its strings.
    sections: Vec<Strings<'a>>,
}

/// The strings of a section that stand in none of the others, in order.
#[derive(Default)]
pub(super) struct Strings<'a> {
    strings: Vec<&'a [u8]>,
    len: u64,
}

/// A piece of a section of strings.
struct Piece<'a> {
    section: usize,
    bytes: &'a [u8],
    kind: Kind,
}

enum Kind {
    /// Nothing but strings. By string: the first field that names it, and then where it stands.
    Strings {
        starts: Starts,
        places: Box<[AtomicU32]>,
    },
    /// Something else, which stands as it is behind all strings.
    Other { start: u32 },
}

/// A string that is written: the first field that names it, if any does, its piece, and which string of that it is.
type Named = (u32, u32, u32);

impl<'a> Merged<'a> {
    /// Merges the strings of all sections that consist of some.
    pub(super) fn of(encoder: Encoder<'a>) -> Merged<'a> {
        let customs = &encoder.layout.customs;
        let mut merged = Merged::default();
        merged
            .sections
            .resize_with(customs.sections().len(), Strings::default);
        for at in customs.indices() {
            if dwarf::is_of_strings(&customs.section(at).name) {
                merged.add_section(encoder, at);
            }
        }
        if merged.pieces.is_empty() {
            return merged;
        }
        merged.find_starts();
        merged.note_fields(encoder);
        // Whoever checks such a section wants each offset to be the beginning of a string, not the middle of one.
        let mut names = customs.sections().iter().map(|section| &*section.name);
        let tails = !names.any(|name| name.starts_with(".debug_str_offsets"));
        for section in 0..merged.sections.len() {
            merged.place_strings(section, tails);
        }
        merged.place_others();
        merged
    }

    fn add_section(&mut self, encoder: Encoder<'a>, at: CustomIndex) {
        for (id, content) in encoder.pieces(at) {
            let bytes = content.bytes();
            let is_strings = content.relocs().is_empty() && bytes.last() == Some(&0);
            let kind = match is_strings {
                true => Kind::Strings {
                    starts: Starts::default(),
                    places: Box::default(),
                },
                false => Kind::Other { start: 0 },
            };
            if self.numbers.is_empty() {
                self.numbers = vec![NONE; encoder.program.capacity()];
            }
            self.numbers[id.index()] = self.pieces.len() as u32;
            self.pieces.push(Piece {
                section: at.0.into(),
                bytes,
                kind,
            });
        }
    }

    /// Finds out where each string begins.
    fn find_starts(&mut self) {
        let find = |piece: &mut Piece<'_>| {
            if let Kind::Strings { starts, places } = &mut piece.kind {
                *starts = Starts::of(piece.bytes);
                *places = (0..starts.count()).map(|_| AtomicU32::new(NONE)).collect();
            }
        };
        region(|| {
            self.pieces
                .par_iter_mut()
                .for_each(|piece| task(|| find(piece)))
        });
    }

    /// Notes which strings fields name, and which field is the first that names each.
    fn note_fields(&self, encoder: Encoder<'a>) {
        let mut runs: Vec<(u32, &[Relocation])> = Vec::new();
        let mut number = 0u32;
        for at in encoder.layout.customs.indices() {
            for (_, content) in encoder.pieces(at) {
                for run in content.relocs().chunks(RUN) {
                    runs.push((number, run));
                    // So many fields take more memory than there is.
                    number = number
                        .saturating_add(run.len() as u32)
                        .min(NONE - RUN as u32);
                }
            }
        }
        let note = |&(first, run): &(u32, &[Relocation])| {
            for (number, reloc) in (first..).zip(run) {
                if let Some((Kind::Strings { starts, places }, _)) = self.piece_of(reloc) {
                    let string = starts.containing(offset_in(starts, reloc));
                    // Most of them are named often, and first by those that come first.
                    if places[string].load(Ordering::Relaxed) > number {
                        places[string].fetch_min(number, Ordering::Relaxed);
                    }
                }
            }
        };
        region(|| runs.par_iter().for_each(|run| task(|| note(run))));
    }

    /// The piece of strings that a field names, with its number.
    fn piece_of(&self, reloc: &Relocation) -> Option<(&Kind, usize)> {
        if reloc.kind != RelocKind::SectionOffsetI32 {
            return None;
        }
        let number = *self.numbers.get(reloc.decl()?.index())?;
        let piece = self.pieces.get(number as usize)?;
        Some((&piece.kind, number as usize))
    }

    /// The strings of a section that are to be there, in order.
    fn named(&self, section: usize) -> Vec<Named> {
        let mut named = self.strings_where(section, |first| first != NONE);
        if named.is_empty() {
            return self.strings_where(section, |_| true);
        }
        sorting(named.len(), || named.par_sort_unstable());
        named
    }

    /// Those of which the first field that names them is like this.
    fn strings_where(&self, section: usize, is_wanted: impl Fn(u32) -> bool + Sync) -> Vec<Named> {
        let of_piece = |(at, piece): (usize, &Piece<'a>)| -> Vec<Named> {
            let places = match &piece.kind {
                Kind::Strings { places, .. } if piece.section == section => &places[..],
                _ => return Vec::new(),
            };
            let firsts = places.iter().map(|first| first.load(Ordering::Relaxed));
            let wanted = (0..).zip(firsts).filter(|(_, first)| is_wanted(*first));
            task(|| {
                wanted
                    .map(|(string, first)| (first, at as u32, string))
                    .collect()
            })
        };
        let pieces = self.pieces.par_iter().enumerate();
        let all: Vec<Vec<Named>> = region(|| pieces.map(of_piece).collect());
        all.concat()
    }

    fn string(&self, (_, piece, string): Named) -> &'a [u8] {
        let piece = &self.pieces[piece as usize];
        match &piece.kind {
            Kind::Strings { starts, .. } => &piece.bytes[starts.range(string as usize)],
            Kind::Other { .. } => piece.bytes,
        }
    }

    /// Gives the strings of a section their places, with `tails` also within others that end with them.
    fn place_strings(&mut self, section: usize, tails: bool) {
        let named = self.named(section);
        let all: Vec<&[u8]> = named.iter().map(|named| self.string(*named)).collect();
        let (distinct, numbers) = distinct(&all);
        drop(all);
        let hosts = match tails {
            true => hosts(&distinct),
            false => (0..distinct.len() as u32).map(|at| (at, 0)).collect(),
        };
        let mut own = vec![0; distinct.len()];
        let mut strings = Strings::default();
        for (number, string) in distinct.iter().enumerate() {
            if hosts[number] == (number as u32, 0) {
                own[number] = strings.len as u32;
                strings.len += string.len() as u64;
                strings.strings.push(string);
            }
        }
        let place = |(named, number): (&Named, &u32)| {
            let (host, start) = hosts[*number as usize];
            if let Kind::Strings { places, .. } = &self.pieces[named.1 as usize].kind {
                let place = own[host as usize] + start;
                places[named.2 as usize].store(place, Ordering::Relaxed);
            }
        };
        let all = named.par_iter().zip(&numbers).with_min_len(RUN);
        region(|| all.for_each(place));
        self.sections[section] = strings;
    }

    /// Gives what consists of no strings its places behind them.
    fn place_others(&mut self) {
        let ends = self.sections.iter().map(|strings| strings.len as u32);
        let mut ends: Vec<u32> = ends.collect();
        for piece in &mut self.pieces {
            if let Kind::Other { start } = &mut piece.kind {
                *start = ends[piece.section];
                ends[piece.section] += piece.bytes.len() as u32;
            }
        }
    }

    /// The strings of a section.
    pub(super) fn section(&self, at: CustomIndex) -> &Strings<'a> {
        &self.sections[usize::from(at.0)]
    }

    /// Whether all of a piece is among the strings of its section.
    pub(super) fn holds(&self, piece: DeclId) -> bool {
        let number = self.numbers.get(piece.index()).copied().unwrap_or(NONE);
        let piece = self.pieces.get(number as usize);
        piece.is_some_and(|piece| matches!(piece.kind, Kind::Strings { .. }))
    }

    /// What a field holds that names a place in a section of strings.
    pub(super) fn place(&self, reloc: &Relocation) -> Option<u64> {
        match self.piece_of(reloc)?.0 {
            Kind::Strings { starts, places } => {
                let offset = offset_in(starts, reloc);
                let string = starts.containing(offset);
                let place = places[string].load(Ordering::Relaxed);
                Some(u64::from(place + offset - starts.start(string)))
            }
            Kind::Other { start } => {
                Some(u64::from(*start).wrapping_add_signed(reloc.addend.into()))
            }
        }
    }
}

impl Strings<'_> {
    /// How many bytes they take.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Parts for one thread each, with how many bytes they take.
    pub(super) fn parts(&self) -> Vec<(Range<usize>, u64)> {
        let (mut parts, mut begun, mut bytes) = (Vec::new(), 0, 0);
        for (at, string) in self.strings.iter().enumerate() {
            bytes += string.len() as u64;
            if bytes >= CHUNK_BYTES || at + 1 == self.strings.len() {
                parts.push((begun..at + 1, bytes));
                (begun, bytes) = (at + 1, 0);
            }
        }
        parts
    }

    /// Writes some of them.
    pub(super) fn write(&self, part: Range<usize>, out: &mut [u8]) {
        let mut at = 0;
        for string in &self.strings[part] {
            out[at..at + string.len()].copy_from_slice(string);
            at += string.len();
        }
    }
}

/// The different ones of some strings, in the order in which they come up, and of each string which one it is.
fn distinct<'a>(all: &[&'a [u8]]) -> (Vec<&'a [u8]>, Vec<u32>) {
    // By run: hashes with numbers, in parts by hash.
    let split = |(run, strings): (usize, &[&[u8]])| {
        let mut parts: [Vec<(u64, u32)>; SHARDS] = Default::default();
        for (number, string) in (run * RUN..).zip(strings) {
            let hash = hash_of(string);
            parts[(hash >> 32) as usize % SHARDS].push((hash, number as u32));
        }
        parts
    };
    let runs = all.par_chunks(RUN).enumerate();
    let runs: Vec<_> = region(|| runs.map(|run| task(|| split(run))).collect());
    // Those that are equal to an earlier one, with that one.
    let in_shard = |shard: usize| {
        let count = runs.iter().map(|parts| parts[shard].len()).sum();
        let mut known: HashTable<(u64, u32)> = HashTable::with_capacity(count);
        let mut again: Vec<(u32, u32)> = Vec::new();
        for &(hash, at) in runs.iter().flat_map(|parts| &parts[shard]) {
            let is_equal = |(theirs, other): &(u64, u32)| {
                *theirs == hash && all[*other as usize] == all[at as usize]
            };
            match known.find(hash, is_equal) {
                Some((_, first)) => again.push((at, *first)),
                None => {
                    known.insert_unique(hash, (hash, at), |(hash, _)| *hash);
                }
            }
        }
        again
    };
    let shards = (0..SHARDS).into_par_iter();
    let again: Vec<Vec<(u32, u32)>> =
        region(|| shards.map(|shard| task(|| in_shard(shard))).collect());
    let mut first = vec![NONE; all.len()];
    for (at, other) in again.into_iter().flatten() {
        first[at as usize] = other;
    }
    let mut distinct = Vec::with_capacity(all.len());
    // What stands first among equal ones comes first: its number is known.
    for at in 0..all.len() {
        first[at] = match first[at] {
            NONE => {
                distinct.push(all[at]);
                distinct.len() as u32 - 1
            }
            other => first[other as usize],
        };
    }
    (distinct, first)
}

/// The place that a field names in a piece of strings. Outside of it there is nothing that means anything.
fn offset_in(starts: &Starts, reloc: &Relocation) -> u32 {
    let offset = u32::try_from(reloc.addend).unwrap_or(0);
    offset.min(starts.len() - 1)
}
