//! wasmend: an incremental, in-place WebAssembly output patcher.

#[cfg(feature = "engine")]
pub mod engine;
pub mod error;
pub mod output;
pub mod patch;

pub use error::{Error, ErrorKind, Result};
pub use patch::{Range, RangeList, Reason};
