//! Containers that can go back to what they were when a transaction began. The cost of a transaction is that of the
//! changes made in it.

use std::ops::{Deref, DerefMut};

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
    open: bool,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Log {
            items: Vec::new(),
            undo: Vec::new(),
            open: false,
        }
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

    /// Removes the item at `index`, moving those behind it.
    pub(crate) fn remove(&mut self, index: usize) {
        for at in index + 1..self.items.len() {
            let item = self.items[at].clone();
            self.set(at - 1, item);
        }
        self.pop();
    }

    /// Makes room for `additional` more items.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.items.reserve(additional);
    }
}

impl<T: Clone> Transaction for Log<T> {
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
        while let Some((index, old)) = self.undo.pop() {
            match old {
                None => self.items.truncate(index),
                Some(old) if index < self.items.len() => self.items[index] = old,
                Some(old) => self.items.push(old),
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
                    0 => log.push(value),
                    1 => { log.pop(); }
                    2 if !log.is_empty() => log.set(index, value),
                    3 if !log.is_empty() => { log.swap_remove(index); }
                    4 if !log.is_empty() => log.remove(index),
                    _ => {}
                }
            }
            log.rollback();
            prop_assert_eq!(&log[..], &start[..]);
        }
    }
}
