//! From dirty declarations and the layout to the sorted ranges of one commit. No file access here.

mod decl_filter;
mod dense;
mod encode;
mod fresh_layout;
mod images;
mod lengths;
mod order;
mod piece_difference;
mod plan;
mod ranges;
mod relink;
mod section_lens;
mod tail;
mod write_patch;
mod write_whole;

pub use ranges::{Range, RangeList, Reason};
pub use relink::RelinkReason;
pub use tail::BuildIdentity;

pub(crate) use dense::Dense;
pub(crate) use encode::{Encoder, SectionInputs};
pub(crate) use fresh_layout::{Request, lay_out};
pub(crate) use lengths::{MOST_BODY, MOST_ENTRIES, MOST_FILE, expect_readable};
pub(crate) use plan::{PlanContext, PlanError, Writes, plan};
pub(crate) use tail::{Customs, names_tail};
pub(crate) use write_patch::write_patch;
pub(crate) use write_whole::write_whole;
