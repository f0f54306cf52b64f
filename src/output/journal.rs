//! The undo journal of in-place publishing: what a commit is about to overwrite, so that it can be put back.
//!
//! Kept here: the visible file is written only while a valid journal of that commit stands on disk, and a journal
//! is only ever applied to the file that it is of. A journal is valid if its checksum is right, so one that was
//! itself cut short counts for nothing, rightly: the visible file was not touched yet.
//!
//! All numbers are little-endian:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | magic; zeroed when the commit is done |
//! | 8 | 32 | BLAKE3 of everything from offset 40 to the end of the records |
//! | 40 | 8 | length of what follows |
//! | 48 | 8, 8 | device and inode of the visible file |
//! | 64 | 8 | sequence number of the commit, counted from the open |
//! | 72 | 8, 8 | length of the visible file before and after |
//! | 88 | | records: offset (8), length before (4), length after (4), bytes before, bytes after |
//!
//! A record's length before is less than after where the patch writes behind the old end; the bytes that a
//! shorter file loses are records with a length after of zero.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::home::Home;
use super::stamp::{FileStamp, Permissions};
use super::sys;
use crate::patch::RangeList;

const MAGIC: [u8; 8] = *b"wasmendU";
const SUM: std::ops::Range<usize> = 8..40;
const LENGTH: std::ops::Range<usize> = 40..48;
const BODY: usize = 48;
const RECORDS: usize = 88;

/// Bytes of a lost tail that one record holds at most.
const TAIL_RECORD: u64 = 1 << 30;

/// The journal of an output that is written in place.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Empty until the first commit.
    file: Option<File>,
    sequence: u64,
    /// A commit failed and could not be undone: the journal must stay.
    torn: bool,
    scratch: Vec<u8>,
}

impl Journal {
    /// Whether the visible file is in between two versions.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Whether the next commit has to create the journal, be it because somebody removed the old one.
    pub(super) fn is_missing(&mut self) -> io::Result<bool> {
        if let Some(file) = &self.file
            && rustix::fs::fstat(file)?.st_nlink == 0
        {
            self.file = None;
        }
        Ok(self.file.is_none())
    }

    /// Writes down what `patch` is about to overwrite in `visible`. True if the journal file is new.
    pub(super) fn begin(
        &mut self,
        home: &Home,
        visible: &File,
        identity: &FileStamp,
        patch: &RangeList,
    ) -> io::Result<bool> {
        self.sequence += 1;
        encode(&mut self.scratch, visible, identity, self.sequence, patch)?;
        let is_new = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            // It holds contents of the output, which may not be for everybody to read.
            none => none.insert(
                home.create(
                    &home.names.journal,
                    Permissions::Given(Mode::RUSR | Mode::WUSR),
                )?
                .keep(),
            ),
        };
        file.write_all_at(&self.scratch, 0)?;
        Ok(is_new)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// The commit is done: the journal no longer counts.
    pub(super) fn end(&self) -> io::Result<()> {
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.write_all_at(&[0; MAGIC.len()], 0))
    }

    /// Puts back what the commit that was begun last has overwritten in `visible`.
    pub(super) fn undo(&mut self, visible: &File) -> io::Result<()> {
        self.torn = true;
        if let Some(record) = decode(&self.scratch) {
            record.roll_back(visible)?;
        }
        self.torn = false;
        // If it goes on to count, it puts back what is there already.
        let _ = self.end();
        Ok(())
    }

    /// Rolls a torn write back, if a journal on disk tells of one. True if there was something to do.
    pub(super) fn recover(&mut self, home: &Home) -> io::Result<bool> {
        let journal = match home.open_state_file(&home.names.journal, OFlags::RDWR) {
            Ok(file) => file,
            Err(Errno::NOENT) => {
                self.torn = false;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let rolled_back = roll_back_from(&journal, home)?;
        journal.write_all_at(&[0; MAGIC.len()], 0)?;
        journal.sync_data()?;
        self.torn = false;
        Ok(rolled_back)
    }

    /// Removes the journal, whatever it says. If it cannot be removed now it is on the next open.
    pub(super) fn discard(&mut self, home: &Home) -> io::Result<()> {
        self.torn = false;
        match self.file.take() {
            Some(_) => home.remove(&home.names.journal),
            None => Ok(()),
        }
    }
}

fn roll_back_from(journal: &File, home: &Home) -> io::Result<bool> {
    let mut bytes = vec![0; usize::try_from(journal.metadata()?.len()).unwrap_or(usize::MAX)];
    journal.read_exact_at(&mut bytes, 0)?;
    let Some(record) = decode(&bytes) else {
        return Ok(false);
    };
    let visible = match home.open_visible(OFlags::RDWR) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if !record.is_of(&visible)? {
        return Ok(false);
    }
    record.roll_back(&visible)?;
    visible.sync_data()?;
    Ok(true)
}

fn encode(
    out: &mut Vec<u8>,
    visible: &File,
    identity: &FileStamp,
    sequence: u64,
    patch: &RangeList,
) -> io::Result<()> {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.resize(BODY, 0);
    for number in [
        identity.device,
        identity.inode,
        sequence,
        patch.old_len(),
        patch.new_len(),
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let mut record = |offset: u64, before: u32, after: &[u8]| {
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&before.to_le_bytes());
        out.extend_from_slice(&(after.len() as u32).to_le_bytes());
        let start = out.len();
        out.resize(start + before as usize, 0);
        visible.read_exact_at(&mut out[start..], offset)?;
        out.extend_from_slice(after);
        io::Result::Ok(())
    };
    for (range, bytes) in patch.iter() {
        let before = patch
            .old_len()
            .saturating_sub(range.offset)
            .min(u64::from(range.len));
        record(range.offset, before as u32, bytes)?;
    }
    let mut lost = patch.new_len();
    while lost < patch.old_len() {
        let len = (patch.old_len() - lost).min(TAIL_RECORD);
        record(lost, len as u32, &[])?;
        lost += len;
    }
    let length = (out.len() - BODY) as u64;
    out[LENGTH].copy_from_slice(&length.to_le_bytes());
    let sum = blake3::hash(&out[LENGTH.start..]);
    out[SUM].copy_from_slice(sum.as_bytes());
    Ok(())
}

/// A valid journal.
struct Decoded<'a> {
    device: u64,
    inode: u64,
    old_len: u64,
    new_len: u64,
    records: &'a [u8],
}

/// One overwritten place.
struct Record<'a> {
    offset: u64,
    before: &'a [u8],
    after: &'a [u8],
}

fn decode(bytes: &[u8]) -> Option<Decoded<'_>> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    if bytes.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    let end = BODY.checked_add(usize::try_from(number(LENGTH.start)?).ok()?)?;
    // A longer journal may have stood in the same file before.
    let summed = bytes.get(LENGTH.start..end)?;
    if blake3::hash(summed).as_bytes()[..] != bytes[SUM] {
        return None;
    }
    Some(Decoded {
        device: number(BODY)?,
        inode: number(BODY + 8)?,
        old_len: number(BODY + 24)?,
        new_len: number(BODY + 32)?,
        records: bytes.get(RECORDS..end)?,
    })
}

impl<'a> Decoded<'a> {
    fn records(&self) -> impl Iterator<Item = Record<'a>> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            let (header, tail) = rest.split_at_checked(16)?;
            let offset = u64::from_le_bytes(header[..8].try_into().ok()?);
            let before = u32::from_le_bytes(header[8..12].try_into().ok()?);
            let after = u32::from_le_bytes(header[12..].try_into().ok()?);
            let (before, tail) = tail.split_at_checked(before as usize)?;
            let (after, tail) = tail.split_at_checked(after as usize)?;
            rest = tail;
            Some(Record {
                offset,
                before,
                after,
            })
        })
    }

    /// Whether `visible` is the file, and nobody else wrote it since: each byte that the commit was to change
    /// is still the one before or already the one after. An inode alone can be that of a newer file.
    fn is_of(&self, visible: &File) -> io::Result<bool> {
        let identity = FileStamp::of_file(visible)?;
        if (identity.device, identity.inode) != (self.device, self.inode) {
            return Ok(false);
        }
        let (shortest, longest) = (
            self.old_len.min(self.new_len),
            self.old_len.max(self.new_len),
        );
        if !(shortest..=longest).contains(&identity.len) {
            return Ok(false);
        }
        let mut found = Vec::new();
        for record in self.records() {
            let wanted = record.before.len().max(record.after.len()) as u64;
            found.resize(
                identity.len.saturating_sub(record.offset).min(wanted) as usize,
                0,
            );
            visible.read_exact_at(&mut found, record.offset)?;
            // Bytes behind the old end were zero until they were written.
            let expected = found.iter().enumerate().all(|(at, byte)| {
                record.before.get(at).unwrap_or(&0) == byte || record.after.get(at) == Some(byte)
            });
            if !expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn roll_back(&self, visible: &File) -> io::Result<()> {
        if FileStamp::of_file(visible)?.len < self.old_len {
            sys::grow(visible, self.new_len.min(self.old_len), self.old_len)?;
        }
        for record in self.records() {
            visible.write_all_at(record.before, record.offset)?;
        }
        visible.set_len(self.old_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::Reason;
    use proptest::prelude::*;

    fn patch(old_len: u64, new_len: u64, ranges: &[(u64, &[u8])]) -> RangeList {
        let mut patch = RangeList::new(old_len);
        for (offset, bytes) in ranges {
            patch.push(*offset, bytes, Reason::Data);
        }
        patch.finish(new_len);
        patch
    }

    fn journal_of(visible: &File, patch: &RangeList) -> Vec<u8> {
        let mut journal = Vec::new();
        encode(
            &mut journal,
            visible,
            &FileStamp::of_file(visible).unwrap(),
            1,
            patch,
        )
        .unwrap();
        journal
    }

    fn file(contents: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(contents, 0).unwrap();
        file
    }

    fn contents(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Whatever part of a commit was written, in whatever order, undoing it gives the old contents.
    #[test]
    fn any_part_of_a_commit_is_undone() {
        let old: Vec<u8> = (0..100).collect();
        let patches = [
            patch(100, 100, &[(3, b"abc"), (50, b"defgh")]),
            patch(100, 130, &[(3, b"abc"), (98, b"over the end"), (120, b"x")]),
            patch(100, 60, &[(3, b"abc"), (55, b"last")]),
        ];
        for patch in &patches {
            for done in 0..8u32 {
                for len in [patch.old_len(), patch.new_len()] {
                    let visible = file(&old);
                    let journal = journal_of(&visible, patch);
                    visible.set_len(len).unwrap();
                    for (at, (range, bytes)) in patch.iter().enumerate() {
                        if done & (1 << at) != 0 && range.offset < len {
                            let bytes = &bytes[..bytes.len().min((len - range.offset) as usize)];
                            visible.write_all_at(bytes, range.offset).unwrap();
                        }
                    }
                    let record = decode(&journal).unwrap();
                    assert!(record.is_of(&visible).unwrap());
                    record.roll_back(&visible).unwrap();
                    assert_eq!(contents(&visible), old);
                }
            }
        }
    }

    #[test]
    fn a_journal_is_not_applied_to_another_file_nor_to_one_written_since() {
        let patch = patch(8, 8, &[(2, b"xy")]);
        let visible = file(b"01234567");
        let journal = journal_of(&visible, &patch);
        let record = decode(&journal).unwrap();
        assert!(record.is_of(&visible).unwrap());
        assert!(!record.is_of(&file(b"01234567")).unwrap());
        visible.write_all_at(b"!", 3).unwrap();
        assert!(!record.is_of(&visible).unwrap());
        visible.write_all_at(b"y", 3).unwrap();
        assert!(record.is_of(&visible).unwrap());
        visible.set_len(20).unwrap();
        assert!(!record.is_of(&visible).unwrap());
    }

    proptest! {
        #[test]
        fn a_damaged_journal_counts_for_nothing(cut in 0usize..200, at in 0usize..200, bit in 0u8..8) {
            let journal = journal_of(&file(&[7; 64]), &patch(64, 80, &[(5, b"hello"), (60, b"across the end")]));
            prop_assert!(decode(&journal).is_some());
            let cut = cut % journal.len();
            prop_assert!(decode(&journal[..cut]).is_none());
            let mut flipped = journal.clone();
            let at = at % flipped.len();
            flipped[at] ^= 1 << bit;
            prop_assert!(decode(&flipped).is_none());
        }
    }
}
