//! Entries of the export section: one behind the other, without anything between them, since there is no entry that means
//! nothing. What makes them places of their own is that the numbers in an entry may be longer than they must be: an entry
//! has a range of lengths. So a place that is left is closed by what stands around it, or, where no order is kept, by the last
//! of all entries; and where something comes between others, these make room.

use std::iter::successors;
use std::ops::Range;

use smallvec::SmallVec;

use crate::hash::HashSet;
use crate::program::ExportId;
use crate::transaction::{Log, Saved, Transaction};
use crate::wire::leb;

/// Bytes of the index, at least: as many as the indices that engines take need.
const SHORTEST_INDEX: usize = 3;
/// Bytes that a new entry has beyond its shortest form, so that it can as well be made longer as shorter.
const SLACK: u32 = 3;
/// How many of the last entries may come to stand where one has gone.
const MOVERS: usize = 8;
/// How many entries on each side of a place are looked at, until there is room. In the end that is all of them.
const REACHES: [usize; 24] = {
    let mut reaches = [0; 24];
    let mut at = 1;
    while at < reaches.len() {
        reaches[at] = 1 << (at - 1);
        at += 1;
    }
    reaches
};

/// Where an export stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExportEntry {
    /// Offset from the first entry.
    pub(crate) offset: u64,
    /// Bytes of the name.
    name: u32,
    /// Bytes beyond the shortest form.
    slack: u32,
    before: Option<ExportId>,
    behind: Option<ExportId>,
}

/// Bytes of the shortest entry for a name of so many bytes: the length of the name, the name, the kind, the index.
fn shortest(name: u32) -> u32 {
    leb::unsigned_len(name.into()) as u32 + name + 1 + SHORTEST_INDEX as u32
}

/// By how much an entry can be longer than that.
fn most_slack(name: u32) -> u32 {
    (2 * leb::WIDE32 - SHORTEST_INDEX - leb::unsigned_len(name.into())) as u32
}

impl ExportEntry {
    /// Bytes of the entry.
    pub(crate) fn len(&self) -> u32 {
        shortest(self.name) + self.slack
    }

    /// Bytes of the length of the name.
    pub(crate) fn name_width(&self) -> usize {
        let least = leb::unsigned_len(self.name.into());
        (least + self.slack as usize).min(leb::WIDE32)
    }

    /// Bytes of the index, with which the entry ends.
    pub(crate) fn index_width(&self) -> usize {
        (self.len() - self.name) as usize - 1 - self.name_width()
    }

    fn end(&self) -> u64 {
        self.offset + u64::from(self.len())
    }
}

/// What does not belong to a single entry.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    first: Option<ExportId>,
    last: Option<ExportId>,
    count: u32,
}

/// An export and the bytes of its name.
type Named = (ExportId, u32);

/// Entries around a place between two of them, which are written again to make or to take room.
#[derive(Debug, Default)]
struct Window {
    before: Vec<Named>,
    behind: Vec<Named>,
    /// How many bytes there are for them and what comes between; as many as one likes if the last entry is among them.
    room: Option<u64>,
}

impl Window {
    /// By how much the entries must be longer than in their shortest form, in all, to take the room with `between` between
    /// them; if they can.
    fn slack(&self, between: &[Named]) -> Option<u32> {
        let all = self.before.iter().chain(between).chain(&self.behind);
        let shortest: u64 = all
            .clone()
            .map(|(_, name)| u64::from(shortest(*name)))
            .sum();
        let most: u64 = all.map(|(_, name)| u64::from(most_slack(*name))).sum();
        let slack = self.room?.checked_sub(shortest)?;
        (slack <= most).then_some(slack as u32)
    }
}

/// All entries, in the order in which they stand.
#[derive(Debug, Default, Clone)]
pub(crate) struct ExportSpace {
    /// By the numbers of the exports.
    entries: Log<Option<ExportEntry>>,
    ends: Saved<Ends>,
    /// What has another place or length than when the transaction began; some of it is gone.
    touched: Vec<ExportId>,
}

impl ExportSpace {
    /// Bytes of all entries.
    pub(crate) fn byte_len(&self) -> u64 {
        let last = self.ends.last.and_then(|last| self.entry(last));
        last.map_or(0, |last| last.end())
    }

    pub(crate) fn count(&self) -> u32 {
        self.ends.count
    }

    /// Where an export stands, if it is there.
    pub(crate) fn entry(&self, id: ExportId) -> Option<ExportEntry> {
        self.entries.get(id.index()).copied().flatten()
    }

    /// All that are there, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ExportId> {
        let behind = |id: &ExportId| self.entry(*id)?.behind;
        successors(self.ends.first, behind)
    }

    /// What this transaction has given another place or length.
    pub(crate) fn touched(&self) -> impl Iterator<Item = ExportId> {
        let touched = self.touched.iter().copied();
        touched.filter(|id| self.entry(*id).is_some())
    }

    /// Adds one behind the others.
    pub(crate) fn append(&mut self, id: ExportId, name: u32) {
        self.put(self.ends.last, None, &Window::default(), &[(id, name)]);
    }

    /// Takes one away. Its place is closed by some of the last ones, or by those around it: none but these move.
    pub(crate) fn remove(&mut self, id: ExportId) {
        let Some(gone) = self.entry(id) else { return };
        self.unlink(id);
        for reach in REACHES {
            let window = self.window(gone.before, gone.behind, reach);
            let movers = self.movers(gone.before, &window);
            let Some(set) = self.filling(&window, &movers) else {
                continue;
            };
            // Those behind the first of them close up.
            let moved = &movers[..(u32::BITS - set.leading_zeros()) as usize];
            moved.iter().for_each(|(id, _)| self.unlink(*id));
            let is_in = |at: usize| set & 1 << at != 0;
            let (filling, closing): (Vec<_>, Vec<_>) =
                (0..moved.len()).rev().partition(|at| is_in(*at));
            let filling: Vec<Named> = filling.into_iter().map(|at| moved[at]).collect();
            // What stood behind it may be what stands in its place now.
            let behind = gone.behind.filter(|id| self.entry(*id).is_some());
            self.put(gone.before, behind, &window, &filling);
            for at in closing {
                self.append(moved[at].0, moved[at].1);
            }
            return;
        }
    }

    /// Which of the movers fill what there is room for, as bits; of those that do, the set that leaves least to be closed up.
    fn filling(&self, window: &Window, movers: &[Named]) -> Option<u32> {
        if window.room.is_none() {
            return Some(0);
        }
        let bit = |at: usize| 1u32 << at;
        let count = movers.len();
        let single = (0..count).map(bit);
        let pairs = (0..count).flat_map(|a| (0..a).map(move |b| bit(a) | bit(b)));
        let last = (3..=count).map(|count| bit(count) - 1);
        let fits = |set: &u32| {
            let chosen = (0..count).filter(|at| set & bit(*at) != 0);
            let chosen: SmallVec<[Named; MOVERS]> = chosen.map(|at| movers[at]).collect();
            window.slack(&chosen).is_some()
        };
        let closed_up = |set: &u32| -> u64 {
            let behind = 0..(u32::BITS - set.leading_zeros()) as usize;
            let others = behind.filter(|at| set & bit(*at) == 0);
            others.map(|at| u64::from(shortest(movers[at].1))).sum()
        };
        let sets = single.chain(pairs).chain(last).filter(fits);
        let none = Some(0).filter(fits);
        sets.min_by_key(closed_up).or(none)
    }

    /// Gives an export a name of another length, where it stands or behind all others.
    pub(crate) fn rename(&mut self, id: ExportId, name: u32) {
        let old = self.entry(id).filter(|old| old.name != name);
        let Some(old) = old else { return };
        let window = Window {
            room: Some(old.len().into()),
            ..Window::default()
        };
        if window.slack(&[(id, name)]).is_some() {
            self.unlink(id);
            self.put(old.before, old.behind, &window, &[(id, name)]);
        } else {
            self.remove(id);
            self.append(id, name);
        }
    }

    /// Makes them these, in this order. What stays makes room for what comes between, and takes the room of what goes.
    pub(crate) fn become_order(&mut self, order: &[Named]) {
        let old: Vec<ExportId> = self.ids().collect();
        let runs = self.runs(&old, order);
        for id in runs.iter().flat_map(|(gone, _)| &old[gone.clone()]) {
            self.unlink(*id);
        }
        for (_, new) in runs {
            let before = new.start.checked_sub(1).map(|at| order[at].0);
            let behind = order.get(new.end).map(|(id, _)| *id);
            let new = &order[new];
            for reach in REACHES {
                let window = self.window(before, behind, reach);
                if window.room.is_none() || window.slack(new).is_some() {
                    self.put(before, behind, &window, new);
                    break;
                }
            }
        }
    }

    /// Where other exports stand in an order than in the old one: what went there, and what came.
    fn runs(&self, old: &[ExportId], new: &[Named]) -> Vec<(Range<usize>, Range<usize>)> {
        let is_new: HashSet<ExportId> = new.iter().map(|(id, _)| *id).collect();
        let comes = |(id, name): Named| self.entry(id).is_none_or(|entry| entry.name != name);
        let same = new.iter().rev().zip(old.iter().rev());
        let same = same.take_while(|(new, old)| new.0 == **old && !comes(**new));
        let same = same.count();
        let (old, new) = (&old[..old.len() - same], &new[..new.len() - same]);
        let changed: HashSet<ExportId> = new
            .iter()
            .filter(|new| comes(**new))
            .map(|(id, _)| *id)
            .collect();
        let goes = |id: ExportId| !is_new.contains(&id) || changed.contains(&id);
        let mut runs = Vec::new();
        let (mut from, mut to) = (0, 0);
        while from < old.len() || to < new.len() {
            let (gone, came) = (from, to);
            from += old[from..].iter().take_while(|id| goes(**id)).count();
            to += new[to..].iter().take_while(|new| comes(**new)).count();
            let stays = old.get(from) == new.get(to).map(|(id, _)| id);
            if !stays {
                // Those that stay have another order: all that are left are placed anew.
                (from, to) = (old.len(), new.len());
            }
            if (gone, came) != (from, to) {
                runs.push((gone..from, came..to));
            }
            if stays {
                (from, to) = (from + 1, to + 1);
            }
        }
        runs
    }

    /// As many entries on each side of the place between two as `reach` says, if there are so many.
    fn window(&self, before: Option<ExportId>, behind: Option<ExportId>, reach: usize) -> Window {
        let entry = |id: &ExportId| self.entry(*id);
        let backwards = successors(before, |id| entry(id)?.before);
        let forwards = successors(behind, |id| entry(id)?.behind);
        let named = |id: ExportId| entry(&id).map(|entry| (id, entry.name));
        let right: Vec<Named> = forwards.clone().take(reach).filter_map(named).collect();
        let Some(end) = forwards.skip(reach).find_map(|id| entry(&id)) else {
            return Window {
                behind: right,
                ..Window::default()
            };
        };
        let mut left: Vec<Named> = backwards.clone().take(reach).filter_map(named).collect();
        left.reverse();
        let start = backwards.skip(reach).find_map(|id| entry(&id));
        Window {
            before: left,
            behind: right,
            room: Some(end.offset - start.map_or(0, |start| start.end())),
        }
    }

    /// Which entries may come to stand where something behind `before` has gone: the last ones, the very last first.
    fn movers(&self, before: Option<ExportId>, window: &Window) -> Vec<Named> {
        let stop = window.behind.last().map(|(id, _)| *id).or(before);
        let ids = successors(self.ends.last, |id| self.entry(*id)?.before);
        let ids = ids.take_while(|id| Some(*id) != stop).take(MOVERS);
        ids.filter_map(|id| Some((id, self.entry(id)?.name)))
            .collect()
    }

    /// Puts entries between two others, and gives those of the window around them their places anew.
    fn put(
        &mut self,
        before: Option<ExportId>,
        behind: Option<ExportId>,
        window: &Window,
        new: &[Named],
    ) {
        let all = window.before.iter().chain(new).chain(&window.behind);
        let all: Vec<Named> = all.copied().collect();
        let first = window.before.first().map_or(before, |(id, _)| {
            self.entry(*id).and_then(|entry| entry.before)
        });
        let mut offset = first.and_then(|id| self.entry(id)).map_or(0, |it| it.end());
        self.link(before, behind, new);
        let mut slack = window.slack(new).unwrap_or(0);
        let mut most: u32 = all.iter().map(|(_, name)| most_slack(*name)).sum();
        let mut left = all.len() as u32;
        for (at, (id, name)) in all.into_iter().enumerate() {
            let Some(old) = self.entry(id) else { continue };
            most -= most_slack(name);
            let slack_here = match window.room {
                // Each gets its share, but not so little that the others could not take the rest.
                Some(_) => {
                    let share = slack.div_ceil(left).max(slack.saturating_sub(most));
                    share.min(most_slack(name))
                }
                None if at < new.len() => SLACK,
                None => old.slack,
            };
            slack = slack.saturating_sub(slack_here);
            left -= 1;
            let entry = ExportEntry {
                offset,
                name,
                slack: slack_here,
                ..old
            };
            offset = entry.end();
            if entry != old {
                self.touched.push(id);
                self.entries.set(id.index(), Some(entry));
            }
        }
    }

    /// Links entries that are new between two others.
    fn link(&mut self, before: Option<ExportId>, behind: Option<ExportId>, new: &[Named]) {
        let mut last = before;
        for (id, name) in new {
            while self.entries.len() <= id.index() {
                self.entries.push(None);
            }
            let entry = ExportEntry {
                // No entry has this offset, so that it is one that changes.
                offset: u64::MAX,
                name: *name,
                slack: 0,
                before: last,
                behind: None,
            };
            self.entries.set(id.index(), Some(entry));
            self.join(last, Some(*id));
            last = Some(*id);
        }
        self.join(last, behind);
        self.ends.count += new.len() as u32;
    }

    /// Lets one entry follow another; nothing stands before the first and behind the last.
    fn join(&mut self, before: Option<ExportId>, behind: Option<ExportId>) {
        match before.and_then(|id| Some((id, self.entry(id)?))) {
            Some((id, entry)) => {
                let entry = ExportEntry { behind, ..entry };
                self.entries.set(id.index(), Some(entry));
            }
            None => self.ends.first = behind,
        }
        match behind.and_then(|id| Some((id, self.entry(id)?))) {
            Some((id, entry)) => {
                let entry = ExportEntry { before, ..entry };
                self.entries.set(id.index(), Some(entry));
            }
            None => self.ends.last = before,
        }
    }

    fn unlink(&mut self, id: ExportId) {
        if let Some(entry) = self.entry(id) {
            self.entries.set(id.index(), None);
            self.join(entry.before, entry.behind);
            self.ends.count -= 1;
        }
    }
}

impl Transaction for ExportSpace {
    fn begin(&mut self) {
        self.touched.clear();
        self.entries.begin();
        self.ends.begin();
    }

    fn commit(&mut self) {
        self.touched.clear();
        self.entries.commit();
        self.ends.commit();
    }

    fn rollback(&mut self) {
        self.touched.clear();
        self.entries.rollback();
        self.ends.rollback();
    }
}

#[cfg(test)]
mod tests {
    use crate::hash::HashMap;
    use proptest::prelude::*;

    use super::*;

    /// All entries, each with what is written of it. They stand one behind the other.
    fn listed(space: &ExportSpace) -> Vec<(ExportId, ExportEntry)> {
        let all: Vec<(ExportId, ExportEntry)> = space
            .ids()
            .map(|id| (id, space.entry(id).expect("it is there")))
            .collect();
        let mut offset = 0;
        for (_, entry) in &all {
            assert_eq!(entry.offset, offset);
            assert!((SHORTEST_INDEX..=leb::WIDE32).contains(&entry.index_width()));
            assert!(entry.name_width() <= leb::WIDE32);
            assert!(entry.name_width() >= leb::unsigned_len(entry.name.into()));
            offset = entry.end();
        }
        assert_eq!(space.byte_len(), offset);
        assert_eq!(space.count() as usize, all.len());
        let backwards = successors(space.ends.last, |id| space.entry(*id)?.before);
        assert!(all.iter().rev().map(|(id, _)| *id).eq(backwards));
        all
    }

    /// Commits; returns how many bytes it writes. What it does not write is as it was.
    fn commit(space: &mut ExportSpace, before: &[(ExportId, ExportEntry)]) -> u64 {
        let after = listed(space);
        let touched: HashSet<ExportId> = space.touched().collect();
        let place = |entry: &ExportEntry| (entry.offset, entry.name, entry.slack);
        let old: HashMap<ExportId, _> = before.iter().map(|(id, old)| (*id, place(old))).collect();
        for (id, entry) in after.iter().filter(|(id, _)| !touched.contains(id)) {
            assert_eq!(old.get(id), Some(&place(entry)));
        }
        space.commit();
        let written = after.iter().filter(|(id, _)| touched.contains(id));
        written.map(|(_, entry)| u64::from(entry.len())).sum()
    }

    /// Entries with names whose lengths follow from `name`.
    fn filled(count: u32, name: impl Fn(u32) -> u32) -> ExportSpace {
        let mut space = ExportSpace::default();
        (0..count).for_each(|at| space.append(ExportId(at), name(at)));
        space
    }

    proptest! {
        #[test]
        fn entries_stand_one_behind_the_other_whatever_becomes_of_them(
            edits: Vec<(u8, u32, u32)>,
            rolls_back: bool,
        ) {
            let mut space = filled(20, |at| at * at % 150);
            let mut next = 20;
            for edit in edits.chunks(3) {
                let before = listed(&space);
                space.begin();
                for (what, at, name) in edit {
                    let ids: Vec<ExportId> = space.ids().collect();
                    let id = ids.get(*at as usize % ids.len().max(1));
                    let name = name % 200;
                    match (what % 4, id) {
                        (0, Some(id)) => space.remove(*id),
                        (1, Some(id)) => space.rename(*id, name),
                        _ => {
                            space.append(ExportId(next), name);
                            next += 1;
                        }
                    }
                }
                if rolls_back {
                    space.rollback();
                    prop_assert_eq!(listed(&space), before);
                } else {
                    commit(&mut space, &before);
                }
            }
        }

        #[test]
        fn entries_stand_in_any_order_that_is_asked_for(orders: Vec<Vec<(u32, u32)>>) {
            let mut space = filled(20, |at| at * at % 150);
            for mut order in orders {
                order.iter_mut().for_each(|(id, _)| *id %= 40);
                let mut seen: HashSet<_> = HashSet::default();
                let order: Vec<Named> = order
                    .into_iter()
                    .filter(|(id, _)| seen.insert(*id))
                    .map(|(id, name)| (ExportId(id), name % 200))
                    .collect();
                let before = listed(&space);
                space.begin();
                space.become_order(&order);
                let named = listed(&space).into_iter().map(|(id, entry)| (id, entry.name));
                prop_assert!(named.eq(order));
                commit(&mut space, &before);
            }
        }
    }

    #[test]
    fn one_entry_less_writes_the_same_however_many_there_are() {
        let [few, many] = [300, 30_000].map(|count| {
            let mut space = filled(count, |at| 8 + at * 7919 % 33);
            let mut most = 0;
            for at in 0..200 {
                let before = listed(&space);
                space.begin();
                space.remove(ExportId(at * 7919 % count));
                most = most.max(commit(&mut space, &before));
            }
            most
        });
        assert!(few <= 450 && many <= 450, "{few} of few, {many} of many");
    }

    #[test]
    fn one_entry_more_in_an_order_writes_little_until_there_is_no_room_left() {
        let mut space = filled(10_000, |at| 8 + at * 7919 % 33);
        let mut order: Vec<Named> = listed(&space)
            .into_iter()
            .map(|(id, entry)| (id, entry.name))
            .collect();
        let mut most = 0;
        for at in 0..200 {
            let before = listed(&space);
            match at % 2 {
                0 => order.insert(at as usize * 41, (ExportId(10_000 + at), 20)),
                _ => drop(order.remove(at as usize * 43)),
            }
            space.begin();
            space.become_order(&order);
            most = most.max(commit(&mut space, &before));
        }
        assert!(most <= 1200, "{most}");
    }
}
