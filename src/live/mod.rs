//! Programs that run while they are edited: an instance of an output, which takes in what commits change and keeps its state.
//!
//! [`Live`] is the policy of it, for any engine; [`Runtime`] is what an engine must be able to do. There is one for wasmi
//! (feature `wasmi`) and one for wasmtime (feature `wasmtime`). With the feature
//! `server`, a `Server` is a `wasmend serve` whose news a program anywhere takes in. How a delta is taken in, byte by byte, is on the page
//! `design/live.md`, so that hosts can be written in any language.

mod instance;
mod runtime;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "wasmi")]
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

pub use instance::{Ask, Budget, Live, LiveOptions, OnRefused, ReloadPhases, Reloaded, Took};
pub use runtime::{Exports, Runtime};

#[cfg(feature = "server")]
pub use self::server::{Listener, News, Server};
#[cfg(feature = "wasmi")]
pub use self::wasmi::WasmiRuntime;
#[cfg(feature = "wasmtime")]
pub use self::wasmtime::WasmtimeRuntime;
