//! The sections of the file in their order, the pads between them, and `make_room`.

use crate::layout::customs::CustomIndex;
use crate::transaction::{Saved, Transaction};
use crate::wire::section::{HEADER, is_valid_pad};

/// A section of the patchable file, in file order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SectionKind {
    /// Custom sections that must come first, kept as they are.
    CustomFront,
    Type,
    Import,
    Function,
    Table,
    Memory,
    Tag,
    Global,
    Export,
    Start,
    Element,
    DataCount,
    Code,
    Data,
    /// A custom section that consists of pieces; its position among these.
    Custom(CustomIndex),
    Name,
    /// Other custom sections, kept as they are.
    CustomTail,
    /// Format version, generation and build id.
    Identity,
}

/// Bytes of the name section's header, its name included.
pub(crate) const NAME_SECTION_HEADER: u64 = 6 + 5;
/// Bytes of the function names' subsection header: kind, size, count.
pub(crate) const NAME_SUBSECTION_HEADER: u64 = 1 + 5 + 5;
/// Bytes of the whole identity section.
pub(crate) const IDENTITY_LEN: u64 = 6 + 8 + 4 + 8 + 8 + 16;

impl SectionKind {
    const COUNT: usize = 17;
    /// All but custom sections of pieces, which stand before the name section.
    const FIXED: [SectionKind; Self::COUNT] = {
        use SectionKind::*;
        [
            CustomFront,
            Type,
            Import,
            Function,
            Table,
            Memory,
            Tag,
            Global,
            Export,
            Start,
            Element,
            DataCount,
            Code,
            Data,
            Name,
            CustomTail,
            Identity,
        ]
    };

    /// Position among [`SectionKind::FIXED`], if it is one of these.
    fn fixed(self) -> Result<usize, usize> {
        use SectionKind::*;
        Ok(match self {
            CustomFront => 0,
            Type => 1,
            Import => 2,
            Function => 3,
            Table => 4,
            Memory => 5,
            Tag => 6,
            Global => 7,
            Export => 8,
            Start => 9,
            Element => 10,
            DataCount => 11,
            Code => 12,
            Data => 13,
            Name => 14,
            CustomTail => 15,
            Identity => 16,
            Custom(at) => return Err(at.0.into()),
        })
    }

    /// The identifier in the file.
    pub(crate) fn id(self) -> u8 {
        use SectionKind::*;
        match self {
            CustomFront | Custom(_) | Name | CustomTail | Identity => 0,
            Type => 1,
            Import => 2,
            Function => 3,
            Table => 4,
            Memory => 5,
            Tag => 13,
            Global => 6,
            Export => 7,
            Start => 8,
            Element => 9,
            DataCount => 12,
            Code => 10,
            Data => 11,
        }
    }

    /// How much unused space is left behind the section when `len` bytes of it are written.
    fn pad(self, len: u64) -> u64 {
        use SectionKind::*;
        match self {
            // A pad here is what stands between an edit and a relink: it lasts for dozens of functions at least. What stands
            // behind the exports is as long as there are functions: it should seldom have to move.
            Type | Function | Export | Element => 256 + len / 8,
            Global | Import => 64 + len / 16,
            Code => 1024 + len / 24,
            Data => 64 + len / 64,
            Name => 256 + len / 16,
            Custom(_) => 256 + len / 32,
            // One of the last three stands before the code, which grows to the front when an import goes away.
            Table | Memory | Tag => 16,
            Start | DataCount => 96,
            CustomFront | CustomTail | Identity => 0,
        }
    }
}

/// What a section needs: bytes from its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// Offset of the first item that counts, from the anchor.
    pub(crate) front: u64,
    /// Offset behind the last item, from the anchor.
    pub(crate) end: u64,
    /// The vector's count, or the value of `start` and `data count`.
    pub(crate) value: u32,
}

/// Where a section stands. All offsets are file offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SectionPlace {
    pub(crate) present: bool,
    /// Where its header begins.
    pub(crate) begin: u64,
    /// What offsets in the section are relative to.
    pub(crate) anchor: u64,
    /// Where it ends.
    pub(crate) end: u64,
    /// The vector's count, or the value of `start` and `data count`.
    pub(crate) value: u32,
}

/// The places of all sections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    fixed: [SectionPlace; SectionKind::COUNT],
    /// Custom sections of pieces, with the bytes of their headers.
    custom: Vec<(u64, SectionPlace)>,
    /// Bytes in the name section before the names of defined functions, without headers.
    name_front: u64,
}

/// The code section would have to move: that is a relink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeMustMove;

/// The sections and their places.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    places: Saved<Places>,
}

impl Places {
    pub(crate) fn get(&self, kind: SectionKind) -> SectionPlace {
        match kind.fixed() {
            Ok(at) => self.fixed[at],
            Err(at) => self
                .custom
                .get(at)
                .map_or_else(SectionPlace::default, |custom| custom.1),
        }
    }

    fn set(&mut self, kind: SectionKind, place: SectionPlace) {
        match kind.fixed() {
            Ok(at) => self.fixed[at] = place,
            Err(at) => self.custom[at].1 = place,
        }
    }

    /// All sections that can be there, in file order.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = SectionKind> + use<> {
        let name = SectionKind::Name.fixed().unwrap_or(SectionKind::COUNT);
        let (before, behind) = SectionKind::FIXED.split_at(name);
        let custom = (0..self.custom.len() as u16).map(|at| SectionKind::Custom(CustomIndex(at)));
        before
            .iter()
            .copied()
            .chain(custom)
            .chain(behind.iter().copied())
    }

    /// The sections that are there, in file order.
    pub(crate) fn present(&self) -> impl Iterator<Item = (SectionKind, SectionPlace)> + '_ {
        self.kinds()
            .map(|kind| (kind, self.get(kind)))
            .filter(|(_, place)| place.present)
    }

    /// The pads, in file order: where each begins and ends.
    pub(crate) fn pads(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = MAGIC_LEN;
        self.present().filter_map(move |(_, place)| {
            let pad = (at, place.begin);
            at = place.end;
            (pad.1 > pad.0).then_some(pad)
        })
    }
}

/// Bytes of magic and version.
pub(crate) const MAGIC_LEN: u64 = 8;

impl Sections {
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn get(&self, kind: SectionKind) -> SectionPlace {
        self.places.get(kind)
    }

    /// Bytes from a section's beginning to its first item.
    pub(crate) fn header_len(&self, kind: SectionKind) -> u64 {
        match kind {
            SectionKind::CustomFront | SectionKind::CustomTail | SectionKind::Identity => 0,
            SectionKind::Custom(at) => self.places.custom[at.0 as usize].0,
            SectionKind::Name => {
                NAME_SECTION_HEADER + self.places.name_front + NAME_SUBSECTION_HEADER
            }
            _ => HEADER as u64,
        }
    }

    /// Adds a custom section of pieces behind those that are there; it is not present yet. `header` is the length of its
    /// header.
    pub(crate) fn add_custom(&mut self, header: u64) {
        self.places.custom.push((header, SectionPlace::default()));
    }

    /// Sets how many bytes the name section has before the names of defined functions, without headers.
    pub(super) fn set_name_front(&mut self, len: u64) {
        self.places.name_front = len;
    }

    /// Length of the file, which ends with its identity.
    pub(crate) fn file_len(&self) -> u64 {
        let last = self.places.get(SectionKind::Identity);
        if last.present { last.end } else { MAGIC_LEN }
    }

    /// Lays out all sections anew, each with a pad.
    pub(crate) fn lay_out(&mut self, spans: impl Fn(SectionKind) -> Option<Span>) {
        let mut at = MAGIC_LEN;
        for kind in self.places.kinds() {
            let Some(span) = spans(kind) else {
                self.places.set(kind, SectionPlace::default());
                continue;
            };
            let anchor = at + self.header_len(kind) - span.front;
            let end = anchor + span.end;
            let place = SectionPlace {
                present: true,
                begin: at,
                anchor,
                end,
                value: span.value,
            };
            self.places.set(kind, place);
            at = end + kind.pad(end - at);
        }
        // Nothing stands behind the last section.
    }

    /// Gives every section the bytes it needs now. Sections grow into the pads around them; where a pad is used up,
    /// the sections behind it move, up to the nearest pad that has room. Returns the sections that moved.
    pub(crate) fn make_room(
        &mut self,
        spans: impl Fn(SectionKind) -> Option<Span>,
    ) -> Result<Vec<SectionKind>, CodeMustMove> {
        let mut moved = Vec::new();
        let mut previous = SectionKind::CustomFront;
        let mut at = MAGIC_LEN;
        for kind in self.places.kinds() {
            let old = self.places.get(kind);
            let Some(span) = spans(kind) else {
                self.places.set(kind, SectionPlace::default());
                continue;
            };
            let header = self.header_len(kind);
            let needed = header + span.end - span.front;
            // A section that is new begins where the one before it ends.
            let anchor = if old.present {
                old.anchor
            } else {
                at + header - span.front
            };
            let begin = (anchor + span.front).checked_sub(header);
            let gap = begin
                .and_then(|begin| begin.checked_sub(at))
                .filter(|gap| is_valid_pad(*gap));
            let mut place = SectionPlace {
                present: true,
                begin: begin.unwrap_or(0),
                anchor,
                end: anchor + span.end,
                value: span.value,
            };
            if gap.is_none() {
                if kind == SectionKind::Code {
                    return Err(CodeMustMove);
                }
                // Take what the section before wants for its growth, but leave the pad behind this one some of its
                // room, if it has enough.
                let lowest = at + 3;
                let wanted = at + self.wanted(previous).max(3);
                let room_end = self.next_begin(kind);
                let highest = room_end
                    .and_then(|end| end.checked_sub(needed + 3))
                    .filter(|start| *start >= lowest);
                let begin = match highest {
                    Some(highest) => wanted.min(lowest + (highest - lowest) / 2),
                    None => wanted,
                };
                place.begin = begin;
                place.anchor = begin + header - span.front;
                place.end = place.anchor + span.end;
                moved.push(kind);
            }
            at = place.end;
            previous = kind;
            self.places.set(kind, place);
        }
        Ok(moved)
    }

    /// The pad that a section that has used its own up should get.
    fn wanted(&self, kind: SectionKind) -> u64 {
        let place = self.get(kind);
        let len = place.end - place.begin;
        // Geometric, so that the moves cost little per byte that the section grows by.
        kind.pad(len) + len / 48
    }

    /// Where the next section that is there begins, if one is.
    fn next_begin(&self, kind: SectionKind) -> Option<u64> {
        self.places
            .present()
            .find(|(other, _)| *other > kind)
            .map(|(_, place)| place.begin)
    }
}

impl Transaction for Sections {
    fn begin(&mut self) {
        self.places.begin();
    }

    fn commit(&mut self) {
        self.places.commit();
    }

    fn rollback(&mut self) {
        self.places.rollback();
    }
}
