//! The debug information of a module, as gimli reads it. It knows nothing of what it says.

use std::convert::Infallible;

use gimli::{EndianSlice, LittleEndian};

use crate::inspect::read::Section;

pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;

/// The debug sections among these; those that are not there are empty.
pub(super) fn load<'a>(sections: &[Section<'a>]) -> Dwarf<'a> {
    let Ok(dwarf) = Dwarf::load(|id| -> Result<Slice<'a>, Infallible> {
        let section = named(sections, id.name());
        let contents = section.map_or(&[][..], |section| section.contents);
        Ok(EndianSlice::new(contents, LittleEndian))
    });
    dwarf
}

/// The custom section of this name.
pub(super) fn named<'s, 'a>(sections: &'s [Section<'a>], name: &str) -> Option<&'s Section<'a>> {
    let mut all = sections.iter();
    all.find(|section| section.id == 0 && section.name == name)
}
