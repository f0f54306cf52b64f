//! What exists and what refers to what: declarations, types, relocations, references, exports. No offsets of the
//! output, no indices, no files.

mod check;
mod content;
mod declaration;
mod discard;
pub(crate) mod emit;
mod exports;
mod ids;
mod import_entry;
mod interface;
mod next_exports;
mod orphans;
mod owners;
mod pending;
mod references;
mod revert;
mod sharing;
pub(crate) mod short;
mod slab;
mod store;
mod types;

#[cfg(feature = "link")]
pub(crate) use content::SharedFields;
pub(crate) use content::skip_to_field;
pub use content::{Bytes, RelocKind, RelocatableBytes, Relocation};
pub use declaration::DeclKind;
pub use ids::{DeclId, SectionId, TypeId};

pub(crate) use check::{Checked, Users};
pub(crate) use declaration::{Declaration, Definition, DefinitionKind, Pending};
pub(crate) use exports::{Export, ExportEdit, ExportId, Exports};
pub(crate) use import_entry::{ImportEntry, import_names};
pub(crate) use next_exports::is_live_name;
pub(crate) use orphans::{Orphan, OrphanChanges};
pub(crate) use references::References;
#[cfg(feature = "link")]
pub(crate) use store::New;
pub(crate) use store::{Displaced, Finished, Program};
pub(crate) use types::{FUNCTION, Signature, TypeGroup, TypeTable, value};
