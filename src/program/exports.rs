//! Exports, and what an edit says of them.

use crate::program::ids::DeclId;

/// An export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) name: Box<str>,
    pub(crate) decl: DeclId,
}

/// A pending change of the exports.
#[derive(Debug, Clone)]
pub(crate) enum ExportEdit {
    Add(Export),
    Remove(Box<str>),
}
