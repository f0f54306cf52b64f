//! Relocatable objects and archives: what a linker reads.
//!
//! An [`Input`] is a file, mapped or held in memory. An [`Object`] is one relocatable module in it (linking version 2),
//! read into plain tables: its bytes stay in the input, the tables hold offsets. An [`Archive`] is opened by its
//! index; a member is looked at when somebody asks for it.
//!
//! Nothing here knows of other objects: what a symbol means in a program is for `link` to say. Hostile input is an
//! [`Error`](crate::Error) with file and offset, never a panic, and never an allocation larger than the input deserves.

mod again;
pub mod archive;
mod cursor;
mod custom;
pub mod cut_short;
mod difference;
mod encoding;
pub mod ids;
mod keep;
mod kept;
mod kind;
mod linking;
pub mod map;
mod read;
pub mod reloc;
mod span;
pub mod symbol;
pub mod tables;

pub use archive::{Archive, Member, MemberOffset};
pub use custom::{Feature, Producer};
pub(crate) use difference::Difference;
pub(crate) use keep::WORTH_SHARING;
pub use kind::FileKind;
pub(crate) use map::Check;
pub(crate) use map::read_at_most;
pub use map::{Access, Input};
pub(crate) use reloc::RelocField;
pub use reloc::{Reloc, RelocType, Relocs};
pub use span::Span;
pub use symbol::{Symbol, SymbolFlags, SymbolKind};
pub use tables::{
    Comdat, CustomSection, Function, FunctionType, Global, GlobalType, Import, InitFunction,
    Limits, Object, Segment, SegmentFlags, SegmentPrefix, TableType,
};
