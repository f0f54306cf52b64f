//! What a plan is made from, and why there may be none.

use std::ops::Range;

use crate::error::Error;
use crate::layout::{CustomFull, ReserveFull};
use crate::patch::relink::RelinkReason;
use crate::patch::tail::Customs;
use crate::program::{Checked, DeclId, Definition, Exports, Program, References};

/// What a plan is made from besides the layout.
#[derive(Clone, Copy)]
pub(crate) struct PlanContext<'a> {
    pub(crate) program: &'a Program,
    pub(crate) references: &'a References,
    pub(crate) checked: &'a Checked,
    pub(crate) exports: Exports<'a>,
    pub(crate) customs: &'a Customs,
    /// Whether the custom sections changed.
    pub(crate) customs_changed: bool,
    pub(crate) data_ranges: &'a [(DeclId, Range<u64>)],
    /// Whether to write no more than must be: no slack, nothing buried, code orphaned however small it is.
    pub(crate) minimal: bool,
}

impl<'a> PlanContext<'a> {
    /// The definition that holds once the commit is done, of something that has one.
    pub(super) fn next(&self, id: DeclId) -> &'a Definition {
        let next = self.program.decl(id).next();
        next.expect("what is placed is defined")
    }
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum PlanError {
    /// The output must be rebuilt.
    Relink(RelinkReason),
    /// The edits make no sense.
    Error(Error),
}

/// What a part of planning comes to.
pub(super) type Planned<T = ()> = Result<T, PlanError>;

impl From<Error> for PlanError {
    fn from(error: Error) -> Self {
        PlanError::Error(error)
    }
}

impl From<RelinkReason> for PlanError {
    fn from(reason: RelinkReason) -> Self {
        PlanError::Relink(reason)
    }
}

impl From<ReserveFull> for PlanError {
    fn from(_: ReserveFull) -> Self {
        PlanError::Relink(RelinkReason::ReserveFull)
    }
}

impl From<CustomFull> for PlanError {
    fn from(_: CustomFull) -> Self {
        PlanError::Relink(RelinkReason::Fragmented)
    }
}
