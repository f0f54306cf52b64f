//! Pieces of custom sections: each stands once in its section, and what its fields say means the same in both modules.

use std::collections::HashMap;

use super::super::chunk::{Chunk, Field, SECTIONS, UNIT, magic};
use super::super::entries::{Same, equal, role};
use super::super::model::{Def, Ent};
use super::super::walk::{Code, File};
use super::{Pairing, Space};

impl Pairing<'_> {
    /// Compares all pieces, and pairs what they refer to.
    pub(super) fn pieces(&mut self) -> Same {
        let program = self.program;
        let chunks = program
            .defined()
            .filter_map(|(ent, _, bound)| match &*bound.def {
                Def::Piece(chunk) => Some((ent, chunk, &bound.refs)),
                _ => None,
            });
        let chunks: Vec<(Ent, &Chunk, _)> = chunks.collect();
        for name in SECTIONS {
            let is_used = chunks.iter().any(|(_, chunk, _)| chunk.section() == name);
            let is_there = self.other.customs.iter().any(|(other, _)| *other == name);
            // The abbreviations of filler stay behind.
            if is_used != is_there && (is_used || name != ".debug_abbrev") {
                return Err(format!("section {name}: {is_used} and {is_there}"));
            }
        }
        let mut ours = HashMap::new();
        let mut theirs = HashMap::new();
        for (ent, chunk, _) in &chunks {
            let name = program.things[ent].name;
            let place = |file| find(file, chunk, *ent).map_err(|error| format!("{name}: {error}"));
            ours.insert(*ent, place(self.dense)?);
            theirs.insert(*ent, place(self.other)?);
        }
        let mut ranges: Vec<_> = chunks
            .iter()
            .map(|(ent, chunk, _)| {
                let begin = theirs[ent];
                (chunk.section(), begin, begin + chunk.bytes(*ent).len())
            })
            .collect();
        ranges.sort_unstable();
        if let Some(pair) = ranges
            .windows(2)
            .find(|pair| pair[0].0 == pair[1].0 && pair[1].1 < pair[0].2)
        {
            return Err(format!("pieces overlap: {pair:?}"));
        }
        for (ent, chunk, refs) in chunks {
            let bytes = chunk.bytes(ent);
            let read = |file: &File<'_>, places: &HashMap<Ent, usize>| {
                let contents = file.custom(chunk.section()).unwrap_or_default();
                contents
                    .get(places[&ent]..places[&ent] + bytes.len())
                    .unwrap_or_default()
                    .to_vec()
            };
            let (a, b) = (read(self.dense, &ours), read(self.other, &theirs));
            let behind = chunk.first_field() + 4 * chunk.fields.len();
            let name = program.things[&ent].name;
            equal(
                &format!("head of {name}"),
                &b[..chunk.first_field()],
                &bytes[..chunk.first_field()],
            )?;
            equal(&format!("tail of {name}"), &b[behind..], &bytes[behind..])?;
            for (at, (field, target)) in chunk.fields.iter().zip(&**refs).enumerate() {
                let at = chunk.first_field() + 4 * at;
                let word = |bytes: &[u8]| {
                    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
                };
                self.field(
                    chunk,
                    *field,
                    *target,
                    (word(&a), word(&b)),
                    (&ours, &theirs),
                )
                .map_err(|error| format!("{name}, {field:?}: {error}"))?;
            }
        }
        self.follow()
    }

    fn field(
        &mut self,
        chunk: &Chunk,
        field: Field,
        target: Ent,
        (a, b): (u32, u32),
        (ours, theirs): (&HashMap<Ent, usize>, &HashMap<Ent, usize>),
    ) -> Same {
        let def = self.program.def(target);
        let there = match field {
            Field::Code(..) => matches!(def, Some(Def::Function(..))),
            _ => def.is_some(),
        };
        if !there {
            equal("what is not there", chunk.tombstone(field), a)?;
            return equal("what is not there", a, b);
        }
        let less = |value: u32| {
            value
                .checked_sub(field.addend())
                .ok_or(format!("{value:#x}"))
        };
        match field {
            Field::Code(..) => {
                let (a, b) = (
                    code_at(self.dense, less(a)?)?,
                    code_at(self.other, less(b)?)?,
                );
                if let Code::Body(body) = &self.other.functions[b as usize].code
                    && role(body.as_bytes()).is_some()
                {
                    return Err("names code that wasmend made".into());
                }
                self.pair(Space::Function, a, b)
            }
            Field::Index(_) => self.pair(Space::Function, a, b),
            Field::Global(_) => self.pair(Space::Global, a, b),
            Field::Data(..) => self.addresses(less(a)?, less(b)?),
            Field::Piece(..) => {
                equal("another piece", less(a)? as usize, ours[&target])?;
                equal("another piece", less(b)? as usize, theirs[&target])
            }
            Field::Slot(_) if b != 0 => self.slots(a, b),
            // In the dense module every function has a slot; here only those whose address something takes.
            Field::Slot(_) => {
                let paired = self.pairs.get(&(Space::Function, a - 1));
                let has =
                    |function: u32| self.other.entries.values().any(|entry| *entry == function);
                match paired.filter(|function| has(**function)) {
                    None => Ok(()),
                    Some(function) => Err(format!("no slot, but function {function} has one")),
                }
            }
        }
    }
}

/// The function whose body begins at an offset of the code section's contents.
fn code_at(file: &File<'_>, offset: u32) -> Same<u32> {
    let found = file
        .functions
        .iter()
        .position(|function| match &function.code {
            Code::Body(body) => body.range().start == file.code_start + u64::from(offset),
            Code::Import { .. } => false,
        });
    found
        .map(|at| at as u32)
        .ok_or(format!("no code begins at {offset:#x}"))
}

/// Where a piece stands in the contents of its section.
fn find(file: &File<'_>, chunk: &Chunk, ent: Ent) -> Same<usize> {
    let contents = file.custom(chunk.section()).ok_or("has no section")?;
    let magic = magic(ent);
    let mut found = Vec::new();
    if chunk.section() == ".debug_info" {
        // What filler holds must not be looked at.
        let mut at = 0;
        while at < contents.len() {
            let unit = &contents[at..];
            let len: [u8; 4] = unit
                .get(..4)
                .and_then(|len| len.try_into().ok())
                .ok_or("is torn")?;
            let unit = unit
                .get(..4 + u32::from_le_bytes(len) as usize)
                .ok_or("is torn")?;
            if unit.get(UNIT..UNIT + 8) == Some(&magic) {
                found.push(at);
            }
            at += unit.len();
        }
    } else {
        let windows = contents.windows(8).enumerate();
        found.extend(
            windows
                .filter(|(_, window)| *window == magic)
                .map(|(at, _)| at),
        );
    }
    match found[..] {
        [at] => Ok(at),
        _ => Err(format!("is at {found:?} of {}", chunk.section())),
    }
}
