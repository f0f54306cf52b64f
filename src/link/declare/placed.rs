//! Strings of debug information that several objects have: where they stand, and which sections have such. How they come to
//! stand there is `strings`' and an update's.

use std::sync::Arc;

use crate::error::Result;
use crate::hash::HashMap;
use crate::link::command::options::LinkOptions;
use crate::link::declare::known::{Item, StringPiece};
use crate::link::symbols::ObjectId;
use crate::object::Object;
use crate::program::{
    Bytes, DeclId, DeclKind, Definition, DefinitionKind, RelocatableBytes, SectionId,
};
use crate::wire::dwarf;
use crate::wire::strings::Starts;

/// Where a string stands: a piece of a custom section, and the offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StringPlace {
    pub(crate) decl: DeclId,
    pub(crate) offset: u32,
}

/// Where the strings of an object's section stand.
#[derive(Debug)]
pub(crate) struct PlacedStrings {
    pub(super) starts: Starts,
    /// By string: which of the places it has.
    pub(super) numbers: Vec<u32>,
    pub(super) places: Arc<[StringPlace]>,
}

impl PlacedStrings {
    /// Each string has a place of its own.
    pub(crate) fn new(starts: Starts, places: Vec<StringPlace>) -> PlacedStrings {
        debug_assert_eq!(starts.count(), places.len());
        PlacedStrings {
            starts,
            numbers: (0..places.len() as u32).collect(),
            places: places.into(),
        }
    }

    /// What stands at an offset of the object's section: a piece, and the offset in it. Outside of the section there is
    /// nothing that means anything: that is an empty string, or the first one.
    pub(crate) fn at(&self, offset: i64) -> (DeclId, i64) {
        let offset = offset.clamp(0, i64::from(self.starts.len()) - 1) as u32;
        let string = self.starts.containing(offset);
        let place = self.places[self.numbers[string] as usize];
        let distance = offset - self.starts.start(string);
        (place.decl, i64::from(place.offset) + i64::from(distance))
    }
}

/// Where the strings of objects stand, by object and custom section.
pub(crate) type PlacedByObject = HashMap<(ObjectId, usize), PlacedStrings>;

/// What a link shares of the strings of debug information.
#[derive(Debug, Default)]
pub(crate) struct DebugStrings {
    pub(crate) placed: PlacedByObject,
    /// Pieces that are new, or have become longer.
    pub(crate) pieces: Vec<Item>,
}

/// Whether the strings of an object's custom section are shared with others: it is of strings, and something in the object
/// names them. In a dense output that is done when it is written.
pub(crate) fn shares_strings(object: &Object, index: usize, options: &LinkOptions) -> bool {
    let custom = &object.custom_sections[index];
    dwarf::is_of_strings(object.str(custom.name))
        && options.incremental != Some(false)
        && object.bytes(custom.contents).last() == Some(&0)
        && !custom.has_relocs()
        && object
            .symbols
            .iter()
            .rev()
            .any(|symbol| symbol.section() == Some(custom.section))
}

/// The definition of a piece of strings.
pub(crate) fn string_piece(piece: StringPiece, bytes: impl Into<Bytes>) -> Result<Item> {
    let StringPiece { section, decl } = piece;
    let definition = Definition {
        content: RelocatableBytes::new(bytes, Vec::new())?,
        shape: DefinitionKind::Custom { section },
    };
    Ok((decl, DeclKind::Custom, definition))
}

/// Which of its pieces an object's new strings of a section go to, if it is not a new one: what its first link brought
/// stays as it is.
pub(crate) fn growing_piece(pieces: &[StringPiece], section: SectionId) -> Option<StringPiece> {
    let mut pieces = pieces.iter().filter(|piece| piece.section == section);
    let _first = pieces.next()?;
    pieces.next_back().copied()
}

/// Whether a piece is to be given up of which so much is of no use.
pub(crate) fn is_wasteful(unused: u64, len: u64) -> bool {
    const LITTLE: u64 = 32 << 10;
    unused > LITTLE && unused > len / 2
}

/// A section of an object whose strings are shared.
pub(super) type Shared = (ObjectId, usize);
