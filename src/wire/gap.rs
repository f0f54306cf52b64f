//! What fills gaps in custom sections: in debug information what `wire::dwarf` knows, in a section of one's own what its owner
//! names.

use std::sync::Arc;

use crate::heap;
use crate::wire::dwarf::Filler;
use crate::wire::leb;

/// What may stand between the pieces of a custom section of one's own, for its readers to step over: see
/// [`Module::custom_section_filled`](crate::Module::custom_section_filled).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapFiller(Own);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Own {
    Repeat(Arc<[u8]>),
    Record { head: Arc<[u8]>, is_leb: bool },
}

impl GapFiller {
    /// These bytes again and again, such as a zero. A gap can have the length of any number of them, so it is best to have one
    /// byte only, or pieces whose lengths are multiples. All of a gap is written.
    pub fn repeat(bytes: impl AsRef<[u8]>) -> Self {
        GapFiller(Own::Repeat(bytes.as_ref().into()))
    }

    /// A record that readers skip: its first bytes, then the number of bytes that follow, in four bytes, little-endian, then
    /// whatever stood there. No gap can be shorter than a record without contents.
    pub fn record(head: impl AsRef<[u8]>) -> Self {
        let head = head.as_ref().into();
        GapFiller(Own::Record {
            head,
            is_leb: false,
        })
    }

    /// The same with the number in five bytes of LEB128, as sections and subsections of WebAssembly have it.
    pub fn leb_record(head: impl AsRef<[u8]>) -> Self {
        let head = head.as_ref().into();
        GapFiller(Own::Record { head, is_leb: true })
    }

    /// The same with bytes of its own, if it is to be kept for other processes.
    pub(crate) fn adopted(self) -> Self {
        if !heap::adopts() {
            return self;
        }
        GapFiller(match self.0 {
            Own::Repeat(bytes) => Own::Repeat((*bytes).into()),
            Own::Record { head, is_leb } => Own::Record {
                head: (*head).into(),
                is_leb,
            },
        })
    }

    /// Bytes of the pattern, or of the shortest record.
    fn unit(&self) -> u32 {
        match &self.0 {
            Own::Repeat(bytes) => bytes.len() as u32,
            Own::Record { head, is_leb } => head.len() as u32 + if *is_leb { 5 } else { 4 },
        }
    }

    fn fits(&self, len: u32) -> bool {
        let unit = self.unit();
        len == 0
            || match self.0 {
                Own::Repeat(_) => unit > 0 && len.is_multiple_of(unit),
                Own::Record { .. } => len >= unit,
            }
    }

    fn at_least(&self, len: u32) -> u32 {
        match (&self.0, self.unit()) {
            (Own::Repeat(_), 0) => 0,
            (Own::Repeat(_), unit) => len.checked_next_multiple_of(unit).unwrap_or(0),
            (Own::Record { .. }, unit) => len.max(unit),
        }
    }

    fn fill(&self, len: u32, mut put: impl FnMut(u32, &[u8])) {
        match &self.0 {
            Own::Repeat(bytes) => put(0, &bytes.repeat((len / self.unit()) as usize)),
            Own::Record { head, is_leb } => {
                let mut out = head.to_vec();
                let rest = len - self.unit();
                match is_leb {
                    true => leb::push_wide32(&mut out, rest),
                    false => out.extend(rest.to_le_bytes()),
                }
                put(0, &out);
            }
        }
    }
}

/// How gaps in a custom section are filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// As this section of debug information bears it, or not at all.
    Known(Filler),
    Own(GapFiller),
}

impl Gaps {
    /// Whether there can be none.
    pub(crate) fn is_none(&self) -> bool {
        match self {
            Gaps::Known(filler) => filler.is_none(),
            Gaps::Own(filler) => filler.unit() == 0,
        }
    }

    /// Whether a gap of `len` bytes can be filled.
    pub(crate) fn fits(&self, len: u32) -> bool {
        match self {
            Gaps::Known(filler) => filler.fits(len),
            Gaps::Own(filler) => filler.fits(len),
        }
    }

    /// The shortest gap of `len` bytes or more that can be filled; none if the section bears no gaps.
    pub(crate) fn at_least(&self, len: u32) -> u32 {
        match self {
            Gaps::Known(filler) => filler.at_least(len),
            Gaps::Own(filler) => filler.at_least(len),
        }
    }

    /// Fills a gap of `len` bytes, which must fit: calls `put` with the runs of bytes that must be written, each with
    /// its offset in the gap, in order. What is between and behind the runs may keep any value.
    pub(crate) fn fill(&self, len: u32, put: impl FnMut(u32, &[u8])) {
        match self {
            _ if len == 0 => {}
            Gaps::Known(filler) => filler.fill(len, put),
            Gaps::Own(filler) => filler.fill(len, put),
        }
    }
}
