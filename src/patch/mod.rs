//! From dirty declarations and the layout to the sorted ranges of one commit. No file access here.

mod ranges;

pub use ranges::{Range, RangeList, Reason};
