//! Places in a body that is being written.

/// A place in the code of a function, as it was while that was written: between two instructions. What it is in the finished body
/// says [`Function::offset_of`](crate::Function::offset_of).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub(crate) u32);
