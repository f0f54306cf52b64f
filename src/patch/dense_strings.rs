//! Strings of debug information in dense outputs: those that fields name, each once, and where others end in it not even that.
//! Nobody can read what nothing names, and which of that there is depends on how the program came about.
//!
//! Where nothing names any string of a section, whoever reads it knows another way: all of them are there, once each.

use crate::hash::HashMap;
use crate::layout::CustomIndex;
use crate::patch::encode::Encoder;
use crate::program::{DeclId, RelocKind, Relocation};
use crate::wire::dwarf;
use crate::wire::strings::{Starts, hosts};

/// What stands for the number or the place of a string that is not there, and for the number of what is no piece of strings.
const NONE: u32 = u32::MAX;

/// The sections that consist of strings, and where their pieces stand in them.
#[derive(Default)]
pub(super) struct Merged<'a> {
    /// By declaration: which of the pieces it is.
    numbers: Vec<u32>,
    pieces: Vec<Piece<'a>>,
    /// By custom section: its strings.
    sections: Vec<Vec<u8>>,
}

/// A piece of a section of strings.
struct Piece<'a> {
    section: usize,
    bytes: &'a [u8],
    kind: Kind,
}

enum Kind {
    /// Nothing but strings. By string: its number among the section's, and then where it stands.
    Strings { starts: Starts, places: Vec<u32> },
    /// Something else, which stands as it is behind all strings.
    Other { start: u32 },
}

/// The different strings of a section, in the order in which they came up.
#[derive(Default)]
struct Distinct<'a> {
    numbers: HashMap<&'a [u8], u32>,
    strings: Vec<&'a [u8]>,
}

impl<'a> Distinct<'a> {
    fn number(&mut self, string: &'a [u8]) -> u32 {
        *self.numbers.entry(string).or_insert_with(|| {
            self.strings.push(string);
            self.strings.len() as u32 - 1
        })
    }
}

impl<'a> Merged<'a> {
    /// Merges the strings of all sections that consist of some.
    pub(super) fn of(encoder: Encoder<'a>) -> Merged<'a> {
        let customs = &encoder.layout.customs;
        let mut merged = Merged {
            sections: vec![Vec::new(); customs.sections().len()],
            ..Merged::default()
        };
        for at in customs.indices() {
            if dwarf::is_of_strings(&customs.section(at).name) {
                merged.add_section(encoder, at);
            }
        }
        if merged.pieces.is_empty() {
            return merged;
        }
        let mut distinct: Vec<Distinct<'a>> = Vec::new();
        distinct.resize_with(merged.sections.len(), Distinct::default);
        for at in customs.indices() {
            for (_, content) in encoder.pieces(at) {
                let named = content.relocs().iter();
                named.for_each(|reloc| merged.note(reloc, &mut distinct));
            }
        }
        let is_named = |of: &Distinct<'_>| !of.strings.is_empty();
        let is_named: Vec<bool> = distinct.iter().map(is_named).collect();
        for piece in &mut merged.pieces {
            let of = &mut distinct[piece.section];
            if let (Kind::Strings { starts, places }, false) =
                (&mut piece.kind, is_named[piece.section])
            {
                let numbers = starts.ranges().map(|range| of.number(&piece.bytes[range]));
                *places = numbers.collect();
            }
        }
        // Whoever checks such a section wants each offset to be the beginning of a string, not the middle of one.
        let mut names = customs.sections().iter().map(|section| &*section.name);
        let tails = !names.any(|name| name.starts_with(".debug_str_offsets"));
        merged.place_all(&distinct, tails);
        merged
    }

    fn add_section(&mut self, encoder: Encoder<'a>, at: CustomIndex) {
        for (id, content) in encoder.pieces(at) {
            let bytes = content.bytes();
            let is_strings = content.relocs().is_empty() && bytes.last() == Some(&0);
            let kind = match is_strings {
                true => {
                    let starts = Starts::of(bytes);
                    let places = vec![NONE; starts.count()];
                    Kind::Strings { starts, places }
                }
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

    /// The piece of strings that a field names.
    fn number(&self, reloc: &Relocation) -> Option<usize> {
        if reloc.kind != RelocKind::SectionOffsetI32 {
            return None;
        }
        let number = *self.numbers.get(reloc.decl()?.index())?;
        (number != NONE).then_some(number as usize)
    }

    /// Notes that a field names a string.
    fn note(&mut self, reloc: &Relocation, distinct: &mut [Distinct<'a>]) {
        let Some(number) = self.number(reloc) else {
            return;
        };
        let piece = &mut self.pieces[number];
        if let Kind::Strings { starts, places } = &mut piece.kind {
            let string = starts.containing(offset_in(starts, reloc));
            if places[string] == NONE {
                let bytes = &piece.bytes[starts.range(string)];
                places[string] = distinct[piece.section].number(bytes);
            }
        }
    }

    /// Gives the strings of all sections their places, with `tails` also within others that end with them.
    fn place_all(&mut self, distinct: &[Distinct<'a>], tails: bool) {
        let mut starts: Vec<Vec<u32>> = Vec::with_capacity(distinct.len());
        for (distinct, out) in distinct.iter().zip(&mut self.sections) {
            let strings = &distinct.strings;
            let hosts = match tails {
                true => hosts(strings),
                false => (0..strings.len() as u32).map(|at| (at, 0)).collect(),
            };
            let mut own = vec![0; strings.len()];
            for (number, string) in strings.iter().enumerate() {
                if hosts[number] == (number as u32, 0) {
                    own[number] = out.len() as u32;
                    out.extend_from_slice(string);
                }
            }
            let places = hosts
                .iter()
                .map(|(host, start)| own[*host as usize] + start);
            starts.push(places.collect());
        }
        let mut ends: Vec<u32> = self
            .sections
            .iter()
            .map(|bytes| bytes.len() as u32)
            .collect();
        for piece in &mut self.pieces {
            match &mut piece.kind {
                Kind::Strings { places, .. } => {
                    for place in places.iter_mut().filter(|place| **place != NONE) {
                        *place = starts[piece.section][*place as usize];
                    }
                }
                Kind::Other { start } => {
                    *start = ends[piece.section];
                    ends[piece.section] += piece.bytes.len() as u32;
                }
            }
        }
    }

    /// The strings of a section.
    pub(super) fn section(&self, at: CustomIndex) -> &[u8] {
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
        match &self.pieces[self.number(reloc)?].kind {
            Kind::Strings { starts, places } => {
                let offset = offset_in(starts, reloc);
                let string = starts.containing(offset);
                Some(u64::from(places[string] + offset - starts.start(string)))
            }
            Kind::Other { start } => {
                Some(u64::from(*start).wrapping_add_signed(reloc.addend.into()))
            }
        }
    }
}

/// The place that a field names in a piece of strings. Outside of it there is nothing that means anything.
fn offset_in(starts: &Starts, reloc: &Relocation) -> u32 {
    let offset = u32::try_from(reloc.addend).unwrap_or(0);
    offset.min(starts.len() - 1)
}
