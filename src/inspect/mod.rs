//! Looking at files that wasmend wrote, from the file alone: the layout map, whether an output is equal to a build, and
//! what it is without all that patching needs.
//!
//! ```
//! use wasmend::inspect::{Map, finish, verify};
//! use wasmend::{WholeModule, WholeOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let build = wat::parse_str("(module (func (export \"f\") (result i32) i32.const 1))")?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("out.wasm");
//! WholeModule::create(&path, WholeOptions::default(), &build)?;
//! let file = std::fs::read(&path)?;
//! for part in Map::read(&file)?.parts {
//!     println!("{}: {:?}", part.name, part.kind);
//! }
//! assert!(verify(&file, &build)?.differences.is_empty());
//! assert!(finish(&file)?.len() < file.len());
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here knows the state of a running [`Module`](crate::Module), and nothing here writes.

#[cfg(feature = "whole")]
mod candidates;
#[cfg(feature = "whole")]
mod choices;
mod counted;
#[cfg(feature = "whole")]
mod cuts;
#[cfg(feature = "whole")]
mod debug;
#[cfg(feature = "whole")]
mod differing;
#[cfg(any(feature = "debug", feature = "whole"))]
mod dwarf;
#[cfg(feature = "whole")]
mod fields;
#[cfg(feature = "whole")]
mod finish;
#[cfg(feature = "whole")]
mod image;
#[cfg(feature = "whole")]
mod language;
mod map;
#[cfg(feature = "whole")]
mod moved;
#[cfg(feature = "whole")]
mod places;
mod read;
#[cfg(feature = "whole")]
mod report;
#[cfg(feature = "whole")]
mod runs;
#[cfg(feature = "whole")]
mod side;
pub mod snapshot;
#[cfg(any(feature = "debug", feature = "whole"))]
mod source_map;
mod uses;
#[cfg(feature = "whole")]
mod validate;
#[cfg(feature = "whole")]
mod verify;

#[cfg(feature = "whole")]
pub use finish::{Finished, finish, finish_whole, is_output};
pub use map::{
    FileIdentity, FunctionEntry, FunctionRole, Map, Part, PartKind, RoleTotal, Slots, Totals,
};
#[cfg(feature = "whole")]
pub use report::{Difference, Report};
#[cfg(any(feature = "debug", feature = "whole"))]
pub use source_map::{source_map, without_dwarf};
#[cfg(feature = "whole")]
pub use validate::validate;
#[cfg(feature = "whole")]
pub use verify::verify;

#[cfg(all(test, feature = "whole"))]
mod tests;
