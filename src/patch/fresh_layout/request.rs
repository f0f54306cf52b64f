//! What a fresh layout is made for.

use std::ops::Range;

use crate::layout::{Growth, Layout, LayoutOptions};
use crate::patch::tail::Customs;
use crate::program::{DeclId, Export, ExportId, Program, TypeId};

/// What a fresh layout is made for.
pub(crate) struct Request<'a> {
    pub(crate) program: &'a Program,
    pub(crate) options: LayoutOptions,
    pub(crate) dead_type: TypeId,
    pub(crate) slot_table: Option<DeclId>,
    /// The table of slots if there is to be none, since nobody uses it.
    pub(crate) unused_table: Option<DeclId>,
    /// In the order in which they stand.
    pub(crate) exports: &'a [(ExportId, &'a Export)],
    pub(crate) start: Option<DeclId>,
    pub(crate) customs: &'a Customs,
    /// First address and the address behind the last one, where the user has set them.
    pub(crate) data_ranges: &'a [(DeclId, Range<u64>)],
    /// A layout whose slots and addresses are kept, because instances rely on them.
    pub(crate) kept: Option<&'a Layout>,
    /// What is laid out anew, and has grown.
    pub(crate) growth: Option<Growth<'a>>,
}
