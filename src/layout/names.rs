//! The function name map: one entry per ordinal, in order. An entry never moves; a dead function's entry stays until
//! its ordinal is used again.

use crate::layout::functions::Ordinal;
use crate::transaction::{Log, Saved, Transaction};
use crate::wire::leb;

/// A place in the function name map. `len` is 0 where the ordinal has no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameEntry {
    /// Offset from the first entry.
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// Bytes of an entry's two integers where blanks follow its name to fill the entry.
pub(crate) const FILLED_NUMBERS: usize = 2 * leb::WIDE32;

/// All entries of the function name map.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameSpace {
    entries: Log<NameEntry>,
    counts: Saved<Counts>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    named: u32,
    first: u32,
    end: u32,
}

impl NameSpace {
    pub(crate) fn entry(&self, ordinal: Ordinal) -> Option<NameEntry> {
        self.entries
            .get(ordinal.index())
            .copied()
            .filter(|entry| entry.len > 0)
    }

    /// How many functions have a name.
    pub(crate) fn named(&self) -> u32 {
        self.counts.named
    }

    /// Offset behind the last entry.
    pub(crate) fn end_offset(&self) -> u32 {
        self.counts.end
    }

    /// Adds the entry of the next ordinal, whose index is `index`. `None` if the map is full.
    pub(crate) fn append(&mut self, index: u32, name: Option<&str>) -> Option<()> {
        self.append_len(name.map_or(0, |name| name_len(index, name)))
    }

    /// The same for a name of which it is known how many bytes its entry takes.
    pub(crate) fn append_len(&mut self, len: u32) -> Option<()> {
        let offset = self.counts.end;
        self.counts.end = offset.checked_add(len)?;
        self.counts.named += u32::from(len > 0);
        self.entries.push(NameEntry { offset, len });
        Some(())
    }

    /// Drops the entry of the first ordinal, which is given up for an import.
    pub(crate) fn give_up_first(&mut self, ordinal: Ordinal) {
        if let Some(entry) = self.entry(ordinal) {
            self.counts.named -= 1;
            self.counts.first = entry.offset + entry.len;
            self.entries
                .set(ordinal.index(), NameEntry { len: 0, ..entry });
        }
    }

    /// Offset of the first entry that counts.
    pub(crate) fn first_offset(&self) -> u32 {
        self.counts.first
    }

    /// Whether a name fits an entry, which may have to be padded.
    pub(crate) fn fits(&self, ordinal: Ordinal, index: u32, name: Option<&str>) -> bool {
        match (self.entry(ordinal), name) {
            // Blanks of its own must not look like those that fill an entry.
            (Some(entry), Some(name)) if name.ends_with(' ') => {
                let numbers = entry.len.checked_sub(name.len() as u32);
                name_len(index, name) <= entry.len
                    && numbers.is_some_and(|numbers| numbers < FILLED_NUMBERS as u32)
            }
            (Some(entry), Some(name)) => name_len(index, name) <= entry.len,
            (entry, name) => entry.is_some() == name.is_some(),
        }
    }
}

impl Transaction for NameSpace {
    fn begin(&mut self) {
        self.entries.begin();
        self.counts.begin();
    }

    fn commit(&mut self) {
        self.entries.commit();
        self.counts.commit();
    }

    fn rollback(&mut self) {
        self.entries.rollback();
        self.counts.rollback();
    }
}

/// Bytes of an entry that is not padded.
pub(crate) fn name_len(index: u32, name: &str) -> u32 {
    (leb::unsigned_len(u64::from(index)) + leb::unsigned_len(name.len() as u64) + name.len()) as u32
}

/// Writes an entry that fills `out`: what a shorter name leaves is taken up by the two integers, then by blanks.
pub(crate) fn encode_name(index: u32, name: &str, out: &mut [u8]) {
    let mut spare = out.len() - name_len(index, name) as usize;
    let mut widen = |len: usize| {
        let extra = spare.min(leb::WIDE32 - len.min(leb::WIDE32));
        spare -= extra;
        len + extra
    };
    let index_len = widen(leb::unsigned_len(u64::from(index)));
    // Blanks can make the length itself a byte longer, so the widest form is used wherever there are any.
    let len_len = widen(leb::unsigned_len(name.len() as u64));
    leb::write_unsigned(&mut out[..index_len], u64::from(index));
    leb::write_unsigned(
        &mut out[index_len..index_len + len_len],
        (name.len() + spare) as u64,
    );
    let text = &mut out[index_len + len_len..];
    text[..name.len()].copy_from_slice(name.as_bytes());
    text[name.len()..].fill(b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn padded_names_read_back(index in 0u32..1_000_000, name in "[a-z:]{0,300}", spare in 0usize..40) {
            let mut out = vec![0; name_len(index, &name) as usize + spare];
            encode_name(index, &name, &mut out);
            let mut reader = wasmparser::BinaryReader::new(&out, 0);
            prop_assert_eq!(reader.read_var_u32().unwrap(), index);
            let read = reader.read_string().unwrap();
            prop_assert_eq!(read.trim_end_matches(' '), &name);
            prop_assert!(reader.eof());
        }
    }
}
