//! From what resolution found to declarations of the engine: functions and data of the objects with relocations against
//! declarations, and all that the linker makes itself.
//!
//! In the order of a link: [`plan`] collects what there is and in which order, `assign` gives each thing its
//! declaration (the one it had in the last link, if there was one: `known`), `define` defines them, with `relocate`
//! turning relocations against symbols into relocations against declarations. A definition that is the same as before is no edit.
//!
//! Nothing here decides about places in the output, but for addresses in memory (`memory`).

mod assign;
mod customs;
mod data;
mod define;
mod interface;
mod known;
mod memory;
mod pieces;
mod placed;
mod plan;
mod relocate;
mod strings;
mod synthetic;
mod table_import;
mod threads;

pub(crate) use assign::{
    AssignContext, LinkDeclarations, assign, engine_type, finds_addresses_in_globals, kept_customs,
    string_pieces,
};
pub(crate) use define::{
    converter, custom_items, define, other_items, segment_item, settle_places, string_item,
};
pub(crate) use interface::define_interface;
pub(crate) use known::{
    Item, MergedString, Names, ObjectDeclarations, PreviousDeclarations, SegmentPlacement,
    StringKey, StringPiece, function_names, take_name,
};
pub(crate) use memory::MemoryPlan;
pub(crate) use placed::{
    PlacedByObject, PlacedStrings, StringPlace, growing_piece, is_wasteful, shares_strings,
    string_piece,
};
pub(crate) use plan::{Plan, wants_wide_table};
pub(crate) use relocate::{Converter, ResolvedTarget, own_meaning};
pub(crate) use table_import::keeps_table_import;
