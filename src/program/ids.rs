//! Names for things that the program knows. They are never indices of the output.

use std::fmt;

/// A declaration: what a compiler can change on its own. Stable from `declare` until the declaration is removed and
/// that removal is committed, or the `declare` itself is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclId(pub(crate) u32);

impl DeclId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for DeclId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}", self.0)
    }
}

/// A custom section that holds pieces, each a declaration of its own. Ids are dense, and once there was a commit they
/// are never given to another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(pub(crate) u32);

impl SectionId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A library that functions come from. Ids are dense and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LibraryId(pub(crate) u32);

impl LibraryId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A type that the program has interned: equal types have equal ids, whatever indices the output gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub(crate) u32);

impl TypeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
