//! The sections of the file in their order, the pads between them, and `make_room`.

use crate::layout::customs::CustomIndex;
use crate::layout::kinds::SectionKind;
use crate::layout::room::{Item, Room};
use crate::transaction::{Saved, Transaction};
use crate::wire::section::{HEADER, SMALLEST_PAD, is_valid_pad};

/// Bytes of the name section's header, its name included.
pub(crate) const NAME_SECTION_HEADER: u64 = 6 + 5;
/// Bytes of the function names' subsection header: kind, size, count.
pub(crate) const NAME_SUBSECTION_HEADER: u64 = 1 + 5 + 5;
/// Bytes of the whole identity section.
pub(crate) const IDENTITY_LEN: u64 = 6 + 8 + 4 + 8 + 8 + 16;

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
    /// How long it was when it was first laid out: what it has grown by says how much room it should have.
    pub(crate) first_len: u64,
}

impl SectionPlace {
    fn len(self) -> u64 {
        self.end - self.begin
    }

    /// By how much the section has grown since it was first laid out.
    pub(crate) fn grown(self) -> u64 {
        self.len().saturating_sub(self.first_len)
    }
}

/// The places of all sections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    fixed: [SectionPlace; SectionKind::COUNT],
    /// Custom sections of pieces, with the bytes of their headers.
    custom: Vec<(u64, SectionPlace)>,
    /// The sections behind the data in their order, but for the identity, which is the last. What is not present stands
    /// behind what is, in the order of kinds.
    order: Vec<SectionKind>,
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

    /// Puts the sections behind the data into the order in which they stand now: `order`, and behind it what is not present.
    fn set_order(&mut self, mut order: Vec<SectionKind>) {
        let custom = (0..self.custom.len() as u16).map(|at| SectionKind::Custom(CustomIndex(at)));
        let all = custom.chain([SectionKind::Name, SectionKind::CustomTail]);
        let absent: Vec<SectionKind> = all.filter(|kind| !order.contains(kind)).collect();
        order.extend(absent);
        self.order = order;
    }

    fn set(&mut self, kind: SectionKind, place: SectionPlace) {
        match kind.fixed() {
            Ok(at) => self.fixed[at] = place,
            Err(at) => self.custom[at].1 = place,
        }
    }

    /// All sections that can be there, in file order.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = SectionKind> + '_ {
        let (before, behind) = SectionKind::FIXED.split_at(BEHIND_DATA);
        let last = behind.last().copied();
        let before = before.iter().copied();
        before.chain(self.order.iter().copied()).chain(last)
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

/// The position of the code among the fixed kinds.
const CODE: usize = 12;
/// How many of the fixed kinds stand before those that can stand in any order.
const BEHIND_DATA: usize = SectionKind::COUNT - 3;

/// The most bytes of the pad behind the last custom section, which grows where it stands.
const LAST_PAD: u64 = 1024;
/// The most bytes that such a section's pad gives to one that stands before the code.
const MOST_SPARE: u64 = 2048;
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
        let custom = SectionKind::Custom(CustomIndex(self.places.custom.len() as u16 - 1));
        self.places.order.push(custom);
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

    /// Lays out all sections anew, each with a pad. `growth` says how long a section was when it was first laid out, where
    /// that is known, and how much room it has to have for what it has grown by since.
    pub(crate) fn lay_out(
        &mut self,
        spans: impl Fn(SectionKind) -> Option<Span>,
        growth: impl Fn(SectionKind) -> Option<(u64, u64)>,
    ) {
        let len = |kind: SectionKind| {
            let span = spans(kind)?;
            Some(self.header_len(kind) + span.end - span.front)
        };
        let custom = (0..self.places.custom.len() as u16).map(CustomIndex);
        let movable = custom.map(SectionKind::Custom).chain([SectionKind::Name]);
        let mut order: Vec<(u64, SectionKind)> = movable
            .filter_map(|kind| Some((len(kind)?, kind)))
            .collect();
        // Small ones first: they can go elsewhere when the code or the data grow. The largest can grow where it stands.
        order.sort_by_key(|(len, _)| *len);
        let last = order.last().copied();
        // What a last one needs no pad for is worth more before the code, where nothing else can make room.
        let last = last.filter(|(_, kind)| matches!(kind, SectionKind::Custom(_)));
        let spare = last.map_or(0, |(len, kind)| kind.pad(len).saturating_sub(LAST_PAD) / 2);
        let mut order: Vec<SectionKind> = order.into_iter().map(|(_, kind)| kind).collect();
        if len(SectionKind::CustomTail).is_some() {
            let names = order.iter().position(|kind| *kind == SectionKind::Name);
            order.insert(names.map_or(0, |at| at + 1), SectionKind::CustomTail);
        }
        self.places.set_order(order);
        let mut at = MAGIC_LEN;
        for kind in self.places.kinds().collect::<Vec<_>>() {
            let Some(span) = spans(kind) else {
                self.places.set(kind, SectionPlace::default());
                continue;
            };
            let anchor = at + self.header_len(kind) - span.front;
            let end = anchor + span.end;
            let (first_len, room) = growth(kind).unwrap_or((end - at, 0));
            let place = SectionPlace {
                present: true,
                begin: at,
                anchor,
                end,
                value: span.value,
                first_len,
            };
            self.places.set(kind, place);
            let pad = match kind {
                _ if last.is_some_and(|(_, last)| kind == last) => kind.pad(end - at).min(LAST_PAD),
                SectionKind::Function | SectionKind::Element => {
                    kind.pad(end - at) + spare.min(MOST_SPARE)
                }
                _ => kind.pad(end - at),
            };
            at = end
                + match pad + room {
                    // What grew by a byte or two where there is no pad.
                    1..SMALLEST_PAD => SMALLEST_PAD,
                    room => room,
                };
        }
        // Nothing stands behind the last section.
    }

    /// Gives every section the bytes it needs now. Sections grow into the pads around them; where a pad is used up before
    /// the code, the sections behind it move, up to the nearest pad that has room, and behind the code those that are least
    /// to write go where there is room. Returns the sections that moved.
    pub(crate) fn make_room(
        &mut self,
        spans: impl Fn(SectionKind) -> Option<Span>,
    ) -> Result<Vec<SectionKind>, CodeMustMove> {
        let mut moved = Vec::new();
        let mut previous = SectionKind::CustomFront;
        let mut at = MAGIC_LEN;
        for kind in &SectionKind::FIXED[..=CODE] {
            let kind = *kind;
            let Some(span) = spans(kind) else {
                self.places.set(kind, SectionPlace::default());
                continue;
            };
            let old = self.places.get(kind);
            let header = self.header_len(kind);
            let needed = header + span.end - span.front;
            // A section that is new begins where the one before it ends.
            let begin = match old.present {
                true => (old.anchor + span.front).checked_sub(header),
                false => Some(at),
            };
            let gap = begin.and_then(|begin| begin.checked_sub(at));
            let begin = match begin.filter(|_| gap.is_some_and(is_valid_pad)) {
                Some(begin) => begin,
                None if kind == SectionKind::Code => return Err(CodeMustMove),
                None => {
                    moved.push(kind);
                    // Take what the section before wants for its growth, but leave the pad behind this one some of its
                    // room, if it has enough.
                    let lowest = at + SMALLEST_PAD;
                    let wanted = at + self.wanted(previous).max(SMALLEST_PAD);
                    let room_end = self.next_begin(kind);
                    let highest = room_end
                        .and_then(|end| end.checked_sub(needed + SMALLEST_PAD))
                        .filter(|start| *start >= lowest);
                    match highest {
                        Some(highest) => wanted.min(lowest + (highest - lowest) / 2),
                        None => wanted,
                    }
                }
            };
            self.set_place(kind, begin, span);
            at = begin + needed;
            previous = kind;
        }
        self.make_room_behind_code(at, spans, &mut moved);
        Ok(moved)
    }

    /// The same for what stands behind the code, which ends at `front`.
    fn make_room_behind_code(
        &mut self,
        front: u64,
        spans: impl Fn(SectionKind) -> Option<Span>,
        moved: &mut Vec<SectionKind>,
    ) {
        let last = match self.stay(front, &spans) {
            Some(last) => last,
            None => self.rearrange(front, &spans, moved),
        };
        let Some(span) = spans(SectionKind::Identity) else {
            return;
        };
        let end = self.get(last).end;
        let old = self.places.get(SectionKind::Identity);
        let gap = old.begin.checked_sub(end);
        let begin = match old.present && gap.is_some_and(is_valid_pad) {
            true => old.begin,
            false => end + self.wanted(last).max(SMALLEST_PAD),
        };
        self.set_place(SectionKind::Identity, begin, span);
    }

    /// Lets the sections behind the code grow and shrink where they stand, as they do in nearly all commits. Returns the last
    /// of them, or nothing if some of them cannot.
    fn stay(
        &mut self,
        front: u64,
        spans: impl Fn(SectionKind) -> Option<Span>,
    ) -> Option<SectionKind> {
        let (mut end, mut last) = (front, SectionKind::Code);
        for at in 0..=self.places.order.len() {
            let kind = match at.checked_sub(1) {
                Some(at) => self.places.order[at],
                None => SectionKind::Data,
            };
            let old = self.places.get(kind);
            let Some(span) = spans(kind) else {
                self.places.set(kind, SectionPlace::default());
                continue;
            };
            let begin = (old.anchor + span.front).checked_sub(self.header_len(kind))?;
            let gap = begin.checked_sub(end)?;
            if !old.present || !is_valid_pad(gap) {
                return None;
            }
            self.set_place(kind, begin, span);
            (end, last) = (self.get(kind).end, kind);
        }
        Some(last)
    }

    /// Gives the sections behind the code other places, as few and as short ones as can be. Returns the last of them.
    fn rearrange(
        &mut self,
        front: u64,
        spans: impl Fn(SectionKind) -> Option<Span>,
        moved: &mut Vec<SectionKind>,
    ) -> SectionKind {
        let mut items = Vec::new();
        let movable = self.places.order.iter().copied();
        for kind in [SectionKind::Data].into_iter().chain(movable) {
            let Some(span) = spans(kind) else {
                continue;
            };
            let header = self.header_len(kind);
            let len = header + span.end - span.front;
            let old = self.places.get(kind);
            let begin = (old.anchor + span.front).checked_sub(header);
            let grown = len.saturating_sub(old.first_len);
            items.push(Item {
                kind,
                begin: begin.filter(|_| old.present),
                len,
                wanted: wanted(kind, len, if old.present { grown } else { 0 }),
            });
        }
        let budget = (self.file_len() / 20).max(64 << 10);
        let room = Room::new(front, self.wanted(SectionKind::Code), &items, budget);
        let standing = room.make();
        let (mut order, mut last) = (Vec::new(), SectionKind::Code);
        for it in &standing {
            last = it.item.kind;
            if Some(it.begin) != it.item.begin && self.places.get(last).present {
                moved.push(last);
            }
            if let Some(span) = spans(last) {
                self.set_place(last, it.begin, span);
            }
            if last != SectionKind::Data {
                order.push(last);
            }
        }
        for kind in [SectionKind::Data].iter().chain(&self.places.order.clone()) {
            if spans(*kind).is_none() {
                self.places.set(*kind, SectionPlace::default());
            }
        }
        self.places.set_order(order);
        last
    }

    fn set_place(&mut self, kind: SectionKind, begin: u64, span: Span) {
        let anchor = begin + self.header_len(kind) - span.front;
        let end = anchor + span.end;
        let old = self.places.get(kind);
        let place = SectionPlace {
            present: true,
            begin,
            anchor,
            end,
            value: span.value,
            first_len: if old.present {
                old.first_len
            } else {
                end - begin
            },
        };
        self.places.set(kind, place);
    }

    /// The pad that a section that has used its own up should get.
    fn wanted(&self, kind: SectionKind) -> u64 {
        let place = self.get(kind);
        wanted(kind, place.len(), place.grown())
    }

    /// Where the next section that is there begins, if one is.
    fn next_begin(&self, kind: SectionKind) -> Option<u64> {
        self.places
            .present()
            .find(|(other, _)| *other > kind)
            .map(|(_, place)| place.begin)
    }
}

/// The pad behind a section that has grown, or stood before one that had to move. It is in proportion to what it has grown by: so
/// a section that grows moves ever more rarely.
fn wanted(kind: SectionKind, len: u64, grown: u64) -> u64 {
    kind.pad(len) + len / 48 + (grown / 2).min(len / 4)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The spans of sections of which some are not there.
    fn spans(lens: &[Option<u64>]) -> impl Fn(SectionKind) -> Option<Span> + '_ {
        |kind| {
            let at = kind.fixed().ok()?;
            let len = match kind {
                SectionKind::Code => Some(1_000 + lens[at].unwrap_or(0)),
                SectionKind::Identity => Some(IDENTITY_LEN),
                _ => lens[at],
            };
            Some(Span {
                front: 0,
                end: len?,
                value: 0,
            })
        }
    }

    fn check(sections: &Sections, spans: impl Fn(SectionKind) -> Option<Span>) {
        let mut end = MAGIC_LEN;
        for (kind, place) in sections.places().present() {
            let pad = place.begin.checked_sub(end);
            assert!(pad.is_some_and(is_valid_pad), "{pad:?} before {kind:?}");
            end = place.end;
        }
        for kind in sections.places().kinds() {
            assert_eq!(sections.get(kind).present, spans(kind).is_some());
        }
    }

    proptest! {
        /// Whatever sections grow by, what stands between two of them is nothing or a whole custom section: after a patch, and
        /// where all is laid out anew with room for what has grown.
        #[test]
        fn pads_are_sections_whatever_has_grown(
            lens in prop::collection::vec(prop::option::of(0u64..40), SectionKind::COUNT),
            steps in prop::collection::vec((0..SectionKind::COUNT, 0u64..600, any::<bool>()), 1..40),
        ) {
            let mut lens = lens;
            let mut sections = Sections::default();
            sections.lay_out(spans(&lens), |_| None);
            check(&sections, spans(&lens));
            for (at, by, is_relink) in steps {
                // Most grow by little.
                lens[at] = Some(lens[at].unwrap_or(0) + by % [4, 600][usize::from(by > 500)]);
                let before = sections.clone();
                if is_relink || sections.make_room(spans(&lens)).is_err() {
                    let growth = |kind| {
                        let before = before.get(kind);
                        before.present.then(|| (before.first_len, before.grown()))
                    };
                    sections.lay_out(spans(&lens), growth);
                }
                check(&sections, spans(&lens));
            }
        }
    }
}
