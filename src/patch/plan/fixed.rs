//! A layout in which nothing gets another place any more.

use std::ops::Deref;

use crate::layout::{CodeMustMove, Layout, Lens, NameFront, SectionKind};
use crate::program::DeclId;

/// A layout whose places are final: it can be read, and what is left to be done with it are lengths and sections.
pub(super) struct FixedPlaces<'a>(&'a mut Layout);

impl<'a> FixedPlaces<'a> {
    /// Ends the placing in a layout.
    pub(super) fn new(layout: &'a mut Layout) -> Self {
        FixedPlaces(layout)
    }

    /// Sets the lengths of what is written whole, and the start function, whose index is all that its section holds.
    pub(super) fn set_lens(&mut self, lens: Lens, start: Option<DeclId>) {
        *self.0.lens = lens;
        *self.0.start = start;
    }

    /// Sets what stands in the name section before the names of defined functions; returns whether it is something else.
    pub(super) fn set_name_front(&mut self, front: NameFront) -> bool {
        let is_other = front != *self.0.name_front();
        if is_other {
            self.0.set_name_front(front);
        }
        is_other
    }

    /// Gives every section the bytes it needs. Returns those that moved for that.
    pub(super) fn make_room(&mut self) -> Result<Vec<SectionKind>, CodeMustMove> {
        self.0.make_room()
    }
}

impl Deref for FixedPlaces<'_> {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        self.0
    }
}
