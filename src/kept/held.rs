//! What a process goes on with, in the arena or elsewhere. What it is is not known here.

use super::reason::NoState;
use super::store::Store;
use crate::heap;

/// What a process has made, or goes on with.
pub(crate) enum Held<T: 'static> {
    /// It stands in the arena.
    Kept(Box<Store<T>>, &'static mut T),
    /// Nothing is kept of it, for this reason.
    Unkept(Box<T>, NoState),
}

impl<T: 'static> Held<T> {
    pub(crate) fn value(&self) -> &T {
        match self {
            Held::Kept(_, value) => value,
            Held::Unkept(value, _) => value,
        }
    }

    /// Works on it, in the arena if it stands there.
    pub(crate) fn work<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> R {
        match self {
            Held::Kept(_, value) => {
                let _working = heap::work();
                work(value)
            }
            Held::Unkept(value, _) => work(value),
        }
    }
}

/// What came of going on with what another process has left.
pub(crate) enum Opened<U> {
    /// It goes on.
    Updated(Box<U>),
    /// It cannot.
    Unusable(String),
}
