//! Values by numbers that are used again: the last one given up first. It knows nothing of what the values are.

use std::ops::{Index, IndexMut};

use rayon::prelude::*;

#[cfg(any(feature = "link", test))]
use crate::parallel::evenly;
use crate::parallel::{region, task};

/// The values, and the numbers that are free.
#[derive(Debug, Clone)]
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The number that the next value gets.
    next: usize,
    len: usize,
}

#[derive(Debug, Clone)]
enum Entry<T> {
    /// Free, and the number that is to be used after this one.
    Vacant(usize),
    Occupied(T),
}

/// Values that one thread makes or goes through at a time.
const RUN: usize = 2048;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            entries: Vec::new(),
            next: 0,
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(super) fn reserve(&mut self, count: usize) {
        self.entries.reserve(count);
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One more than the greatest number in use.
    pub(super) fn capacity(&self) -> usize {
        let is_used = |entry: &Entry<T>| matches!(entry, Entry::Occupied(_));
        self.entries
            .iter()
            .rposition(is_used)
            .map_or(0, |at| at + 1)
    }

    /// The number that the next value gets.
    pub(super) fn vacant_key(&self) -> usize {
        self.next
    }

    /// Whether the next values get numbers that follow one another, for as many as there are.
    #[cfg(any(feature = "link", test))]
    pub(super) fn is_dense(&self) -> bool {
        self.next == self.entries.len()
    }

    pub(super) fn insert(&mut self, value: T) -> usize {
        let number = self.next;
        self.len += 1;
        match self.entries.get_mut(number) {
            Some(entry) => {
                if let Entry::Vacant(next) = *entry {
                    self.next = next;
                }
                *entry = Entry::Occupied(value);
            }
            None => {
                self.entries.push(Entry::Occupied(value));
                self.next = number + 1;
            }
        }
        number
    }

    /// Puts in what is made of each of these, with its place among them, on all cores: behind all that there is, so that no
    /// number must be free.
    #[cfg(any(feature = "link", test))]
    pub(super) fn extend<A: Send>(&mut self, from: Vec<A>, make: impl Fn(usize, A) -> T + Sync)
    where
        T: Send,
    {
        assert!(self.is_dense(), "values are put in where numbers are free");
        self.len += from.len();
        let parts = from.len().div_ceil(RUN);
        let from = from.into_par_iter().with_min_len(RUN).enumerate();
        let make = |(at, from)| Entry::Occupied(make(at, from));
        evenly(parts, || self.entries.par_extend(from.map(make)));
        self.next = self.entries.len();
    }

    pub(super) fn remove(&mut self, number: usize) -> T {
        let entry = std::mem::replace(&mut self.entries[number], Entry::Vacant(self.next));
        self.next = number;
        self.len -= 1;
        match entry {
            Entry::Occupied(value) => value,
            Entry::Vacant(_) => unreachable!("what is removed is there"),
        }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.get(number).is_some()
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        match self.entries.get(number) {
            Some(Entry::Occupied(value)) => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        match self.entries.get_mut(number) {
            Some(Entry::Occupied(value)) => Some(value),
            _ => None,
        }
    }

    /// All values, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(number, entry)| match entry {
            Entry::Occupied(value) => Some((number, value)),
            Entry::Vacant(_) => None,
        })
    }

    /// Hands out all values, in runs, to all cores.
    pub(super) fn for_each_mut(&mut self, each: impl Fn(&mut dyn Iterator<Item = &mut T>) + Sync)
    where
        T: Send,
    {
        let go = |run: &mut [Entry<T>]| {
            let mut values = run.iter_mut().filter_map(|entry| match entry {
                Entry::Occupied(value) => Some(value),
                Entry::Vacant(_) => None,
            });
            each(&mut values);
        };
        let runs = self.entries.par_chunks_mut(RUN);
        region(|| runs.for_each(|run| task(|| go(run))));
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: usize) -> &T {
        self.get(number).expect("nothing has this number")
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, number: usize) -> &mut T {
        self.get_mut(number).expect("nothing has this number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It is a table of values by number, whatever is put in one by one or in bulk; numbers are used again.
        #[test]
        fn numbers_stay_with_their_values(steps in prop::collection::vec((0usize..3, 0usize..50), 0..60)) {
            let mut slab = Slab::default();
            let mut known: Vec<(usize, usize)> = Vec::new();
            let mut free: Vec<usize> = Vec::new();
            let mut made = 0;
            for (step, count) in steps {
                match step {
                    0 if slab.is_dense() => {
                        let first = slab.vacant_key();
                        slab.extend((made..made + count).collect(), |_, value: usize| value);
                        known.extend((0..count).map(|at| (first + at, made + at)));
                        made += count;
                    }
                    1 if !known.is_empty() => {
                        let (number, value) = known.swap_remove(count % known.len());
                        prop_assert_eq!(slab.remove(number), value);
                        free.push(number);
                    }
                    _ => {
                        let expected = slab.vacant_key();
                        let number = slab.insert(made);
                        prop_assert_eq!(number, expected);
                        if let Some(last) = free.pop() {
                            prop_assert_eq!(number, last);
                        }
                        known.push((number, made));
                        made += 1;
                    }
                }
                known.sort_unstable();
                let all: Vec<(usize, usize)> = slab.iter().map(|(number, value)| (number, *value)).collect();
                prop_assert_eq!(&all, &known);
                prop_assert_eq!(slab.len(), known.len());
                prop_assert_eq!(slab.capacity(), known.last().map_or(0, |(number, _)| number + 1));
            }
        }
    }
}
