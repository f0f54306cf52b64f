//! wasmend: an incremental, in-place WebAssembly output patcher.

#[cfg(feature = "engine")]
pub mod engine;
pub mod error;
pub mod inspect;
mod layout;
pub mod module;
pub mod output;
pub mod patch;
pub mod program;
pub mod whole;
mod wire;

pub use error::{Error, ErrorKind, Result};
pub use module::{
    BodyStyle, ConstExpr, Data, Function, FunctionBuilder, ImportType, MemoryType, Module,
    ModuleOptions, Moved, Outcome, Patch, Phases, Redirect, TableType, Types,
};
pub use patch::{Identity, Range, RangeList, Reason, RelinkReason};
#[cfg(test)]
pub(crate) use program::RelocKind;
pub use program::{DeclId, DeclKind, TypeId, ValType};
pub use whole::{Update, WholeModule, WholeOptions};
