//! The index spaces of a module, and what stands in them. It does not know where they come from.

use crate::program::{DeclKind, Definition, RelocKind};
use crate::wire::filler::Role;

/// The kinds of declarations that a module has, each with an index space of its own.
pub(crate) const SPACES: [DeclKind; 7] = [
    DeclKind::Function,
    DeclKind::Global,
    DeclKind::Table,
    DeclKind::Memory,
    DeclKind::Tag,
    DeclKind::ElementSegment,
    DeclKind::DataSegment,
];

/// Position of a kind in [`SPACES`].
pub(crate) fn space(kind: DeclKind) -> Option<usize> {
    SPACES.iter().position(|other| *other == kind)
}

/// The index space that a relocation's target is an index of, unless it is a type.
pub(crate) fn target_space(kind: RelocKind) -> Option<usize> {
    use RelocKind::*;
    let kind = match kind {
        Call | FunctionIndex => DeclKind::Function,
        GlobalIndex => DeclKind::Global,
        TableIndex | TableByte => DeclKind::Table,
        MemoryIndex => DeclKind::Memory,
        TagIndex => DeclKind::Tag,
        ElementIndex => DeclKind::ElementSegment,
        DataIndex => DeclKind::DataSegment,
        _ => return None,
    };
    space(kind)
}

/// Module and field of an import. Few of very many declarations are imports.
pub(crate) type ImportNames = Box<(Box<str>, Box<str>)>;

/// A declaration of the module. Targets of its relocations are types' ids and other declarations' indices.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) definition: Definition,
    /// What the name section calls it.
    pub(crate) name: Option<Box<str>>,
    /// If it is imported.
    pub(crate) import: Option<ImportNames>,
    /// What a function says it is for, if wasmend made it. To be believed in an output of wasmend only.
    pub(crate) role: Option<Role>,
}

/// An index space.
pub(crate) type Items = Vec<Item>;
