//! Containers that can go back to what they were when a transaction began. The cost of a transaction is that of the
//! changes made in it.
//!
//! They know nothing of what is in them.

use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut};

use crate::hash::{HashMap, HashSet};

/// What takes part in a transaction.
pub(crate) trait Transaction {
    /// Starts to log changes.
    fn begin(&mut self);
    /// Keeps the changes.
    fn commit(&mut self);
    /// Takes the changes back.
    fn rollback(&mut self);
}

/// A vector that logs its changes while a transaction is open.
#[derive(Debug, Clone)]
pub(crate) struct Log<T> {
    items: Vec<T>,
    /// What stood at an index before, or `None` where the index was new. Undone from the back.
    undo: Vec<(usize, Option<T>)>,
    /// What [`Log::edit`] has saved in this transaction.
    edited: HashSet<usize>,
    open: bool,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Log::from(Vec::new())
    }
}

impl<T> From<Vec<T>> for Log<T> {
    fn from(items: Vec<T>) -> Self {
        Log {
            items,
            undo: Vec::new(),
            edited: HashSet::default(),
            open: false,
        }
    }
}

impl<T> Log<T> {
    /// The items, to be changed in bulk while no transaction is open.
    pub(crate) fn items_mut(&mut self) -> &mut Vec<T> {
        assert!(!self.open, "changes in a transaction are logged");
        &mut self.items
    }

    /// The items that this transaction has changed, as they were when it began, in the order of their first changes. What
    /// is new is not among them.
    pub(crate) fn before(&self) -> impl Iterator<Item = (usize, &T)> {
        let mut seen: HashSet<_> = HashSet::default();
        self.undo.iter().filter_map(move |(index, old)| {
            let is_first = seen.insert(*index);
            old.as_ref().filter(|_| is_first).map(|old| (*index, old))
        })
    }
}

impl<T> Deref for Log<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T: Clone> Log<T> {
    pub(crate) fn set(&mut self, index: usize, value: T) {
        let old = std::mem::replace(&mut self.items[index], value);
        if self.open {
            self.undo.push((index, Some(old)));
        }
    }

    /// An item that is changed where it stands. It is saved whole, once in a transaction.
    #[inline]
    pub(crate) fn edit(&mut self, index: usize) -> &mut T {
        if self.open {
            self.save(index);
        }
        &mut self.items[index]
    }

    fn save(&mut self, index: usize) {
        if self.edited.insert(index) {
            self.undo.push((index, Some(self.items[index].clone())));
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        if self.open {
            self.undo.push((self.items.len(), None));
        }
        self.items.push(value);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let value = self.items.pop()?;
        if self.open {
            self.undo.push((self.items.len(), Some(value.clone())));
        }
        Some(value)
    }

    /// Removes the item at `index`; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, index: usize) -> T {
        let last = self.items.len() - 1;
        if index != last {
            let (a, b) = (self.items[index].clone(), self.items[last].clone());
            self.set(index, b);
            self.set(last, a);
        }
        self.pop().expect("the vector has an item at the index")
    }

    /// Makes the items these. Returns where others stand than did before, among those that are left.
    pub(crate) fn become_items(&mut self, items: &[T]) -> Vec<usize>
    where
        T: PartialEq,
    {
        let mut changed = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match self.items.get(at) {
                Some(before) if before == item => continue,
                Some(_) => self.set(at, item.clone()),
                None => self.push(item.clone()),
            }
            changed.push(at);
        }
        while self.items.len() > items.len() {
            self.pop();
        }
        changed
    }

    /// Makes room for `additional` more items.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.items.reserve(additional);
    }
}

impl<T: Clone> Transaction for Log<T> {
    fn begin(&mut self) {
        debug_assert!(self.undo.is_empty() && self.edited.is_empty());
        self.open = true;
    }

    fn commit(&mut self) {
        self.open = false;
        // Most of the many logs of a layout have nothing to forget.
        if !self.undo.is_empty() {
            self.undo.clear();
            self.edited.clear();
        }
    }

    fn rollback(&mut self) {
        self.open = false;
        self.edited.clear();
        while let Some((index, old)) = self.undo.pop() {
            match old {
                None => self.items.truncate(index),
                Some(old) if index < self.items.len() => self.items[index] = old,
                Some(old) => self.items.push(old),
            }
        }
    }
}

/// Many lists that log their changes together: a transaction costs nothing for those that it leaves alone.
#[derive(Debug, Clone)]
pub(crate) struct LogLists<T> {
    lists: Vec<Vec<T>>,
    /// The list, the index, and what stood there, or `None` where the index was new. Undone from the back.
    undo: Vec<(usize, usize, Option<T>)>,
    open: bool,
}

impl<T: Copy> LogLists<T> {
    pub(crate) fn new(count: usize) -> Self {
        LogLists {
            lists: vec![Vec::new(); count],
            undo: Vec::new(),
            open: false,
        }
    }

    pub(crate) fn push(&mut self, list: usize, value: T) {
        if self.open {
            self.undo.push((list, self.lists[list].len(), None));
        }
        self.lists[list].push(value);
    }

    /// Removes the item at `index` of a list; its last one takes the place.
    pub(crate) fn swap_remove(&mut self, list: usize, index: usize) -> T {
        let items = &mut self.lists[list];
        let value = items.swap_remove(index);
        if self.open {
            self.undo.push((list, index, Some(value)));
            // What has taken the place was behind all that are left.
            let moved = items.get(index);
            self.undo
                .extend(moved.map(|moved| (list, items.len(), Some(*moved))));
        }
        value
    }
}

impl<T> std::ops::Index<usize> for LogLists<T> {
    type Output = [T];

    fn index(&self, list: usize) -> &[T] {
        &self.lists[list]
    }
}

impl<T: Copy> Transaction for LogLists<T> {
    fn begin(&mut self) {
        debug_assert!(self.undo.is_empty());
        self.open = true;
    }

    fn commit(&mut self) {
        self.open = false;
        self.undo.clear();
    }

    fn rollback(&mut self) {
        self.open = false;
        while let Some((list, index, old)) = self.undo.pop() {
            let items = &mut self.lists[list];
            match old {
                None => items.truncate(index),
                Some(old) if index < items.len() => items[index] = old,
                Some(old) => items.push(old),
            }
        }
    }
}

/// A small value that is saved whole when a transaction begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Saved<T> {
    value: T,
    saved: Option<T>,
}

impl<T> From<T> for Saved<T> {
    fn from(value: T) -> Self {
        Saved { value, saved: None }
    }
}

impl<T> Deref for Saved<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Saved<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Clone> Transaction for Saved<T> {
    fn begin(&mut self) {
        self.saved = Some(self.value.clone());
    }

    fn commit(&mut self) {
        self.saved = None;
    }

    fn rollback(&mut self) {
        if let Some(saved) = self.saved.take() {
            self.value = saved;
        }
    }
}

/// A map that logs its changes while a transaction is open.
#[derive(Debug, Clone)]
pub(crate) struct LogMap<K, V, S = foldhash::fast::FixedState> {
    items: HashMap<K, V, S>,
    /// What a key meant before each change. Undone from the back.
    undo: Vec<(K, Option<V>)>,
    open: bool,
}

impl<K, V, S: Default> Default for LogMap<K, V, S> {
    fn default() -> Self {
        LogMap {
            items: HashMap::default(),
            undo: Vec::new(),
            open: false,
        }
    }
}

impl<K, V, S> Deref for LogMap<K, V, S> {
    type Target = HashMap<K, V, S>;

    fn deref(&self) -> &HashMap<K, V, S> {
        &self.items
    }
}

impl<K: Eq + Hash + Clone, V: Clone, S: BuildHasher> LogMap<K, V, S> {
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.open {
            let old = self.items.insert(key.clone(), value);
            self.undo.push((key, old));
        } else {
            self.items.insert(key, value);
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        let old = self.items.remove(key);
        if self.open && old.is_some() {
            self.undo.push((key.clone(), old));
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone, S: BuildHasher> Transaction for LogMap<K, V, S> {
    fn begin(&mut self) {
        debug_assert!(self.undo.is_empty());
        self.open = true;
    }

    fn commit(&mut self) {
        self.open = false;
        self.undo.clear();
    }

    fn rollback(&mut self) {
        self.open = false;
        while let Some((key, old)) = self.undo.pop() {
            match old {
                Some(old) => self.items.insert(key, old),
                None => self.items.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rollback_restores(start: Vec<u8>, edits: Vec<(u8, u8, u8)>) {
            let mut log = Log::default();
            start.iter().for_each(|item| log.push(*item));
            log.begin();
            for (what, index, value) in edits {
                let index = if log.is_empty() { 0 } else { index as usize % log.len() };
                match what % 5 {
                    4 if !log.is_empty() => *log.edit(index) = value,
                    0 => log.push(value),
                    1 => { log.pop(); }
                    2 if !log.is_empty() => log.set(index, value),
                    3 if !log.is_empty() => { log.swap_remove(index); }
                    _ => {}
                }
            }
            for (index, old) in log.before() {
                prop_assert_eq!(Some(old), start.get(index));
            }
            log.rollback();
            prop_assert_eq!(&log[..], &start[..]);
        }

        #[test]
        fn rollback_restores_lists(start: Vec<(bool, u8)>, edits: Vec<(bool, bool, u8)>) {
            let mut lists = LogLists::new(2);
            start.iter().for_each(|(list, item)| lists.push(usize::from(*list), *item));
            let before = lists.lists.clone();
            lists.begin();
            for (pushes, list, number) in edits {
                let list = usize::from(list);
                match lists[list].len() {
                    len if !pushes && len > 0 => {
                        let index = number as usize % len;
                        let item = lists[list][index];
                        prop_assert_eq!(lists.swap_remove(list, index), item);
                    }
                    _ => lists.push(list, number),
                }
            }
            lists.rollback();
            prop_assert_eq!(lists.lists, before);
        }

        #[test]
        fn rollback_restores_a_map(start: Vec<(u8, u8)>, edits: Vec<(bool, u8, u8)>) {
            let mut log: LogMap<u8, u8> = LogMap::default();
            start.iter().for_each(|(key, value)| log.insert(*key, *value));
            let before = (*log).clone();
            log.begin();
            for (inserts, key, value) in edits {
                match inserts {
                    true => log.insert(key, value),
                    false => log.remove(&key),
                }
            }
            log.rollback();
            prop_assert_eq!(&*log, &before);
        }
    }
}
