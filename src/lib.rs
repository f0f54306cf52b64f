//! wasmend: an incremental, in-place WebAssembly output patcher.

#[cfg(feature = "engine")]
pub mod engine;
pub mod error;
mod layout;
pub mod link;
pub mod module;
pub mod object;
pub mod output;
pub mod patch;
pub mod program;
mod wire;

pub use error::{Error, ErrorKind, Result};
pub use module::{
    BodyStyle, ConstExpr, Data, Function, FunctionBuilder, ImportType, MemoryType, Module,
    ModuleOptions, Moved, Outcome, Patch, Phases, Redirect, TableType, Types,
};
pub use patch::{Identity, Range, RangeList, Reason, RelinkReason};
pub use program::{DeclId, DeclKind, TypeId, ValType};
