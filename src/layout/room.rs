//! Room for what stands behind the code: custom sections may stand in any order, so one that outgrows its place need not
//! push the others along. It goes where there is room, or those go that are in its way, whichever is less to write.
//!
//! Knows lengths and places, not what the sections hold.

use crate::layout::kinds::SectionKind;
use crate::wire::section::{SMALLEST_PAD, is_valid_pad};

/// A section behind the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: SectionKind,
    /// Where it begins if it stays; `None` if it has no place yet.
    pub(super) begin: Option<u64>,
    /// The bytes that it needs.
    pub(super) len: u64,
    /// The bytes that should stand behind it when it moves, or when something else moves for it.
    pub(super) wanted: u64,
}

/// A section that stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) item: Item,
    pub(super) begin: u64,
}

impl Standing {
    pub(super) fn end(&self) -> u64 {
        self.begin + self.item.len
    }
}

/// Sections behind the code, and where the file ends.
#[derive(Debug)]
pub(super) struct Room {
    /// Where the code ends, and how much should stand behind it.
    front: u64,
    wanted: u64,
    /// What stands, in file order.
    standing: Vec<Standing>,
    /// What has no place.
    homeless: Vec<Item>,
    /// What may be written for more room than is needed.
    budget: u64,
}

impl Room {
    /// The sections in the order in which they stand, behind what ends at `front` and should have `wanted` bytes behind it.
    pub(super) fn new(front: u64, wanted: u64, items: &[Item], budget: u64) -> Room {
        let stand = |item: &Item| item.begin.map(|begin| Standing { item: *item, begin });
        Room {
            front,
            wanted,
            standing: items.iter().filter_map(stand).collect(),
            homeless: items
                .iter()
                .filter(|item| item.begin.is_none())
                .copied()
                .collect(),
            budget,
        }
    }

    /// Gives every section a place. Returns them in the order in which they stand.
    pub(super) fn make(mut self) -> Vec<Standing> {
        self.homeless.sort_by_key(|item| item.kind);
        self.place_data();
        while let Some(at) = self.first_conflict() {
            self.solve(at);
        }
        // The module's own data first, then the largest: small ones fill what is left.
        self.homeless
            .sort_by_key(|item| (item.kind == SectionKind::CustomTail, u64::MAX - item.len));
        for item in std::mem::take(&mut self.homeless) {
            self.place(item);
        }
        self.keep_tail_behind_names();
        self.standing
    }

    /// Where what stands before the section at a position ends, and how much it should have behind it.
    fn end_before(&self, at: usize) -> (u64, u64) {
        match at.checked_sub(1) {
            Some(before) => {
                let before = &self.standing[before];
                (before.end(), before.item.wanted)
            }
            None => (self.front, self.wanted),
        }
    }

    /// The first section that what stands before it has grown into.
    fn first_conflict(&self) -> Option<usize> {
        (0..self.standing.len()).find(|at| {
            let gap = self.standing[*at].begin.checked_sub(self.end_before(*at).0);
            !gap.is_some_and(is_valid_pad)
        })
    }

    /// Data cannot stand anywhere else than behind the code: if it has no place, or cannot keep it, it takes the first.
    fn place_data(&mut self) {
        let new = self
            .homeless
            .iter()
            .position(|item| item.kind == SectionKind::Data);
        if let Some(new) = new {
            let item = self.homeless.remove(new);
            self.insert_data(item);
        } else if let Some(data) = self.standing.first().copied()
            && data.item.kind == SectionKind::Data
        {
            let gap = data.begin.checked_sub(self.front);
            if !gap.is_some_and(is_valid_pad) {
                self.standing.remove(0);
                self.insert_data(data.item);
            }
        }
    }

    /// Puts data behind the code, as far from it as what has to go for that is worth.
    fn insert_data(&mut self, item: Item) {
        let mut wanted = self.wanted.max(SMALLEST_PAD);
        while wanted > 64 && self.in_the_way(self.front + wanted + item.len) > self.budget {
            wanted /= 2;
        }
        let begin = self.front + wanted;
        let data = Standing { item, begin };
        self.standing.insert(0, data);
        // What is in the way of data has no choice.
        while let Some(next) = self.standing.get(1) {
            let gap = next.begin.checked_sub(data.end());
            if gap.is_some_and(is_valid_pad) {
                break;
            }
            self.evict(1);
        }
    }

    /// The bytes of the sections that stand before an offset.
    fn in_the_way(&self, end: u64) -> u64 {
        let before = self.standing.iter().take_while(|it| it.begin < end);
        before.map(|it| it.item.len).sum()
    }

    fn evict(&mut self, at: usize) {
        let gone = self.standing.remove(at);
        self.homeless.push(gone.item);
    }

    /// Makes room for what has grown into the section at a position: by what is least to write.
    fn solve(&mut self, at: usize) {
        let (end, wanted) = self.end_before(at);
        // Those behind it that would have to go.
        let mut behind = at;
        let mut cost = 0;
        while let Some(next) = self.standing.get(behind) {
            let gap = next.begin.checked_sub(end);
            if let Some(gap) = gap.filter(|gap| is_valid_pad(*gap)) {
                // A small one more, if that makes it last.
                let is_cheap = cost + next.item.len <= self.budget && next.item.len <= 2 * wanted;
                if gap >= wanted || !is_cheap {
                    break;
                }
            }
            cost += next.item.len;
            behind += 1;
        }
        let grown = at.checked_sub(1).map(|before| self.standing[before].item);
        if let Some(grown) = grown.filter(|it| it.kind != SectionKind::Data)
            && grown.len < cost
        {
            self.evict(at - 1);
            return;
        }
        // One that can move along and leave all as much room as they should have need not go far.
        if behind == at + 1 {
            let begin = end + wanted.max(SMALLEST_PAD);
            let it = self.standing[at];
            let needs = begin + it.item.len + it.item.wanted;
            if self
                .standing
                .get(behind)
                .is_none_or(|next| next.begin >= needs)
            {
                self.standing[at].begin = begin;
                return;
            }
        }
        for _ in at..behind {
            self.evict(at);
        }
    }

    /// Puts a section into the smallest room that leaves all the room behind them that they should have, or at the end.
    fn place(&mut self, item: Item) {
        let names = self.position(SectionKind::Name);
        let tail = self.position(SectionKind::CustomTail);
        let needs = item.len + item.wanted.max(SMALLEST_PAD);
        let mut best: Option<(u64, usize)> = None;
        for at in self.first_custom()..self.standing.len() {
            let (end, wanted) = self.end_before(at);
            let begin = end + wanted.max(SMALLEST_PAD);
            let room = self.standing[at].begin.saturating_sub(begin);
            // Producers and features stand behind the names: so tools have agreed.
            let is_allowed = match item.kind {
                SectionKind::Name => tail.is_none_or(|tail| at <= tail),
                SectionKind::CustomTail => names.is_none_or(|names| at > names),
                _ => true,
            };
            if is_allowed && room >= needs && best.is_none_or(|(least, _)| room < least) {
                best = Some((room, at));
            }
        }
        let at = best.map_or(self.standing.len(), |(_, at)| at);
        let (end, wanted) = self.end_before(at);
        let begin = end + wanted.max(SMALLEST_PAD);
        self.standing.insert(at, Standing { item, begin });
    }

    /// The first position at which a custom section can stand.
    fn first_custom(&self) -> usize {
        let data = self.standing.first();
        usize::from(data.is_some_and(|it| it.item.kind == SectionKind::Data))
    }

    fn position(&self, kind: SectionKind) -> Option<usize> {
        self.standing.iter().position(|it| it.item.kind == kind)
    }

    /// If the names have gone behind what must stand behind them, that goes too.
    fn keep_tail_behind_names(&mut self) {
        let (names, tail) = (
            self.position(SectionKind::Name),
            self.position(SectionKind::CustomTail),
        );
        if let (Some(names), Some(tail)) = (names, tail)
            && tail < names
        {
            let tail = self.standing.remove(tail);
            self.place(tail.item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::customs::CustomIndex;
    use proptest::prelude::*;

    /// The sections of a file: what is there, and how far it goes.
    struct File {
        front: u64,
        items: Vec<Item>,
    }

    fn kind(at: usize) -> SectionKind {
        match at {
            0 => SectionKind::Data,
            1 => SectionKind::Name,
            2 => SectionKind::CustomTail,
            at => SectionKind::Custom(CustomIndex(at as u16)),
        }
    }

    impl File {
        fn new(lens: &[u64]) -> File {
            let item = |(at, len): (usize, &u64)| Item {
                kind: kind(at),
                begin: None,
                len: *len,
                wanted: 16 + len / 32,
            };
            let items = lens.iter().enumerate().map(item).collect();
            let mut file = File { front: 100, items };
            file.make_room();
            file
        }

        /// Gives all a place; returns how many bytes of sections moved.
        fn make_room(&mut self) -> u64 {
            let standing = Room::new(self.front, 64, &self.items, 1 << 16).make();
            let moved = standing.iter().filter(|it| Some(it.begin) != it.item.begin);
            let moved = moved.map(|it| it.item.len).sum();
            let items = standing.iter().map(|it| Item {
                begin: Some(it.begin),
                ..it.item
            });
            self.items = items.collect();
            moved
        }

        fn check(&self, count: usize) {
            assert_eq!(self.items.len(), count, "all are there");
            let mut end = self.front;
            for item in &self.items {
                let begin = item.begin.expect("it has a place");
                assert!(
                    begin >= end && is_valid_pad(begin - end),
                    "{:?}",
                    self.items
                );
                end = begin + item.len;
            }
            let at = |kind| self.items.iter().position(|item| item.kind == kind);
            assert_eq!(
                at(SectionKind::Data),
                Some(0),
                "data stands behind the code"
            );
            assert!(at(SectionKind::Name) < at(SectionKind::CustomTail));
        }
    }

    proptest! {
        /// However sections and the code grow, each has its place, and those that must stand in an order do.
        #[test]
        fn sections_have_room_in_any_order(
            lens in prop::collection::vec(10u64..100_000, 3..10),
            growth in prop::collection::vec((0usize..12, 0u64..20_000), 0..60),
        ) {
            let mut file = File::new(&lens);
            file.check(lens.len());
            for (at, by) in growth {
                match file.items.get_mut(at) {
                    Some(item) => {
                        item.len += by;
                        item.wanted += by;
                    }
                    None => file.front += by,
                }
                file.make_room();
                file.check(lens.len());
            }
        }
    }

    /// What moves is in proportion to what came, not to what there is.
    #[test]
    fn a_section_that_grows_on_moves_ever_more_rarely() {
        let mut file = File::new(&[5_000, 30_000, 100, 20_000, 50_000, 400_000, 600_000]);
        let mut moved = 0;
        for _ in 0..2_000 {
            let item = file.items.iter_mut().find(|item| item.kind == kind(5));
            let item = item.expect("it is there");
            item.len += 500;
            item.wanted += 500;
            moved += file.make_room();
        }
        assert!(moved < 3 * 1_000_000, "{moved} bytes moved");
    }
}
