//! Building a function's body. Builders share nothing, so bodies can be built on many threads at once. Nothing here knows the
//! module: a body names declarations, types and signatures, which the module finds when it is given the body.

mod blocks;
mod builder;
mod calls;
mod instructions;
mod named;
mod position;
mod scan;

pub use blocks::Catch;
pub(crate) use builder::Signature;
pub use builder::{BodyStyle, Function, FunctionBuilder};
pub use named::Name;
pub use position::Position;
