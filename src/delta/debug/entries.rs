//! The entries of functions and of what was inlined into them, out of all entries of a unit.

use std::ops::Range;
use std::rc::Rc;

use crate::hash::HashMap;
use gimli::write::{self, Address, AttributeValue as New, FileId, RangeList, UnitEntryId};
use gimli::{
    AttributeValue, DebugInfoOffset, Reader as _, SectionId, UnitHeader, UnitOffset, constants,
};

use super::files::Files;
use super::sources::{Dwarf, Read, Reader, Sources, Unit};
use super::walk::{Found, Walk};

/// How deep inlined code may be nested: readers and writers go down into it, and compilers stop long before.
const MOST_DEPTH: usize = 200;
/// How many entries may lead to each other until one says what a function is called.
const MOST_HOPS: usize = 16;

/// An entry that was copied, and how deep it stands in the unit.
struct Scope {
    depth: isize,
    copy: UnitEntryId,
}

/// What entries say of a function, wherever it is.
#[derive(Default)]
struct Named {
    name: Option<Vec<u8>>,
    linkage_name: Option<Vec<u8>>,
    file: Option<FileId>,
    line: Option<u64>,
}

/// Copies the entries of one unit.
pub(super) struct Entries<'a, 'out> {
    pub(super) dwarf: &'a Dwarf<'a>,
    pub(super) unit: Rc<Unit<'a>>,
    /// Those of all units that entries may lead to, in order.
    pub(super) headers: &'a [UnitHeader<Reader<'a>>],
    pub(super) sources: &'a Sources<'a>,
    pub(super) files: &'out mut Files<'a>,
    pub(super) out: &'out mut write::Unit,
    /// Other units that entries have led to, by where they begin.
    pub(super) others: HashMap<usize, Rc<Unit<'a>>>,
    /// Copies of what inlined code was made from, by where that stands.
    pub(super) origins: HashMap<usize, UnitEntryId>,
}

impl<'a> Entries<'a, '_> {
    /// Copies what is of code in the delta, and returns where that code stands.
    pub(super) fn copy(&mut self) -> Read<Vec<Range<u64>>> {
        let mut code = Vec::new();
        let mut scopes: Vec<Scope> = Vec::new();
        let mut left = self.sources.functions();
        let unit = Rc::clone(&self.unit);
        let start = self.section_offset(UnitOffset(0));
        let end = start.saturating_add(unit.header.length_including_self());
        let bytes = self.sources.plain(SectionId::DebugInfo);
        let bytes = bytes.get(start..end).unwrap_or_default();
        let mut walk = Walk::new(bytes, &unit.header, &unit.abbreviations);
        while let Some(found) = walk.next()? {
            while scopes
                .last()
                .is_some_and(|scope| scope.depth >= found.depth)
            {
                scopes.pop();
            }
            // Behind the last function there is nothing more to be found.
            if left == 0 && scopes.is_empty() {
                break;
            }
            let offset = UnitOffset(found.offset);
            let copy = match found.abbreviation.tag() {
                constants::DW_TAG_subprogram if self.may_be_wanted(start, &found) => {
                    let copy = self.function(offset, &mut code)?;
                    left -= usize::from(copy.is_some() && left > 0);
                    copy
                }
                constants::DW_TAG_inlined_subroutine if scopes.len() < MOST_DEPTH => {
                    match scopes.last() {
                        Some(scope) => self.inlined(offset, scope.copy)?,
                        None => None,
                    }
                }
                _ => None,
            };
            let depth = found.depth;
            scopes.extend(copy.map(|copy| Scope { depth, copy }));
        }
        Ok(code)
    }

    /// Whether an entry of a function can be of one in the delta. Where addresses stand in the entries, one must be there.
    fn may_be_wanted(&self, start: usize, found: &Found<'_>) -> bool {
        let mut attributes = found.abbreviation.attributes().iter();
        let has_address = attributes.all(|attribute| match attribute.name() {
            constants::DW_AT_low_pc => attribute.form() == constants::DW_FORM_addr,
            name => name != constants::DW_AT_ranges,
        });
        let places = self.sources.places();
        let first = places.partition_point(|place| *place < start + found.offset);
        let has_field = places
            .get(first)
            .is_some_and(|place| *place < start + found.end);
        has_field || !has_address
    }

    /// Copies the entry of a function, if it is in the delta.
    fn function(
        &mut self,
        offset: UnitOffset,
        code: &mut Vec<Range<u64>>,
    ) -> Read<Option<UnitEntryId>> {
        let ranges = self.ranges(offset)?;
        if ranges.is_empty() {
            return Ok(None);
        }
        let copy = self.out.add(self.out.root(), constants::DW_TAG_subprogram);
        set_ranges(self.out, copy, &ranges);
        code.extend(ranges);
        let at = self.section_offset(offset);
        let named = self.named(at)?;
        self.set_names(copy, named);
        Ok(Some(copy))
    }

    /// Copies the entry of inlined code.
    fn inlined(&mut self, offset: UnitOffset, parent: UnitEntryId) -> Read<Option<UnitEntryId>> {
        let ranges = self.ranges(offset)?;
        if ranges.is_empty() {
            return Ok(None);
        }
        let copy = self.out.add(parent, constants::DW_TAG_inlined_subroutine);
        let unit = Rc::clone(&self.unit);
        let entry = unit.entry(offset)?;
        let mut attributes = entry.attrs();
        while let Some(attribute) = attributes.next()? {
            let name = attribute.name();
            let value = match name {
                constants::DW_AT_abstract_origin => {
                    let origin = self.target(attribute.value());
                    origin
                        .map(|at| self.origin(at))
                        .transpose()?
                        .map(New::UnitRef)
                }
                constants::DW_AT_call_file => {
                    let index = attribute.udata_value().unwrap_or_default();
                    let file = self.files.get(&unit, index, &mut self.out.line_program);
                    file.map(|file| New::FileIndex(Some(file)))
                }
                constants::DW_AT_call_line
                | constants::DW_AT_call_column
                | constants::DW_AT_GNU_discriminator => attribute.udata_value().map(New::Udata),
                _ => None,
            };
            if let Some(value) = value {
                self.out.get_mut(copy).set(name, value);
            }
        }
        set_ranges(self.out, copy, &ranges);
        Ok(Some(copy))
    }

    /// The entry that says what inlined code was made from.
    fn origin(&mut self, at: usize) -> Read<UnitEntryId> {
        if let Some(known) = self.origins.get(&at) {
            return Ok(*known);
        }
        let copy = self.out.add(self.out.root(), constants::DW_TAG_subprogram);
        self.origins.insert(at, copy);
        let inline = New::Inline(constants::DW_INL_inlined);
        self.out.get_mut(copy).set(constants::DW_AT_inline, inline);
        let named = self.named(at)?;
        self.set_names(copy, named);
        Ok(copy)
    }

    /// Where the code that an entry is of stands in the delta.
    fn ranges(&self, offset: UnitOffset) -> Read<Vec<Range<u64>>> {
        let entry = self.unit.entry(offset)?;
        // That is what most entries are asked for, and then no more.
        if let Some(low) = entry.attr_value(constants::DW_AT_low_pc)?
            && entry.attr_value(constants::DW_AT_ranges)?.is_none()
        {
            let low = self.dwarf.attr_address(&self.unit, low)?;
            if !low.is_some_and(|low| self.sources.code.has(low)) {
                return Ok(Vec::new());
            }
        }
        let mut ranges = self.dwarf.die_ranges(&self.unit, &entry)?;
        let mut found = Vec::new();
        while let Some(range) = ranges.next()? {
            if self.sources.code.has(range.begin) && range.begin < range.end {
                found.push(range.begin..range.end);
            }
        }
        Ok(found)
    }

    fn set_names(&mut self, copy: UnitEntryId, named: Named) {
        let entry = self.out.get_mut(copy);
        let texts = [
            (constants::DW_AT_name, named.name),
            (constants::DW_AT_linkage_name, named.linkage_name),
        ];
        for (attribute, text) in texts {
            if let Some(text) = text {
                entry.set(attribute, New::String(text));
            }
        }
        if let Some(file) = named.file {
            entry.set(constants::DW_AT_decl_file, New::FileIndex(Some(file)));
        }
        if let Some(line) = named.line {
            entry.set(constants::DW_AT_decl_line, New::Udata(line));
        }
    }

    /// What the entry at an offset of `.debug_info` and those that it leads to say of a function; of each thing what is
    /// said first.
    fn named(&mut self, mut at: usize) -> Read<Named> {
        let mut named = Named::default();
        let mut has_file = false;
        for _ in 0..MOST_HOPS {
            let Some((unit, offset)) = self.find(at)? else {
                break;
            };
            let entry = unit.entry(offset)?;
            let mut next = None;
            let mut attributes = entry.attrs();
            while let Some(attribute) = attributes.next()? {
                let text = |value| {
                    let text = self.dwarf.attr_string(&unit, value)?;
                    text.to_slice().map(|text| Some(text.into_owned()))
                };
                match attribute.name() {
                    constants::DW_AT_name if named.name.is_none() => {
                        named.name = text(attribute.value())?;
                    }
                    constants::DW_AT_linkage_name | constants::DW_AT_MIPS_linkage_name
                        if named.linkage_name.is_none() =>
                    {
                        named.linkage_name = text(attribute.value())?;
                    }
                    constants::DW_AT_decl_file if !has_file => {
                        has_file = true;
                        let index = attribute.udata_value().unwrap_or_default();
                        let program = &mut self.out.line_program;
                        named.file = self.files.get(&unit, index, program);
                    }
                    constants::DW_AT_decl_line if named.line.is_none() => {
                        named.line = attribute.udata_value();
                    }
                    constants::DW_AT_abstract_origin | constants::DW_AT_specification => {
                        next = target(&unit, attribute.value()).or(next);
                    }
                    _ => {}
                }
            }
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        Ok(named)
    }

    /// The unit that an offset of `.debug_info` lies in, and the offset within it.
    fn find(&mut self, at: usize) -> Read<Option<(Rc<Unit<'a>>, UnitOffset)>> {
        if let Some(offset) = DebugInfoOffset(at).to_unit_offset(&self.unit.header) {
            return Ok(Some((Rc::clone(&self.unit), offset)));
        }
        let holds =
            |header: &&UnitHeader<Reader<'a>>| DebugInfoOffset(at).to_unit_offset(header).is_some();
        let Some(header) = self.headers.iter().find(holds) else {
            return Ok(None);
        };
        let start = header.offset().as_debug_info_offset();
        let start = start.map_or(0, |start| start.0);
        let unit = match self.others.get(&start) {
            Some(unit) => Rc::clone(unit),
            None => {
                let unit = Rc::new(self.dwarf.unit(header.clone())?);
                self.others.insert(start, Rc::clone(&unit));
                unit
            }
        };
        let offset = DebugInfoOffset(at).to_unit_offset(&unit.header);
        Ok(offset.map(|offset| (unit, offset)))
    }

    fn section_offset(&self, offset: UnitOffset) -> usize {
        let offset = offset.to_debug_info_offset(&self.unit.header);
        offset.map_or(0, |offset| offset.0)
    }

    fn target(&self, value: AttributeValue<Reader<'a>>) -> Option<usize> {
        target(&self.unit, value)
    }
}

/// The entry that an attribute leads to, as an offset of `.debug_info`.
fn target<'a>(unit: &Unit<'a>, value: AttributeValue<Reader<'a>>) -> Option<usize> {
    match value {
        AttributeValue::UnitRef(offset) => {
            let offset = offset.to_debug_info_offset(&unit.header)?;
            Some(offset.0)
        }
        AttributeValue::DebugInfoRef(offset) => Some(offset.0),
        _ => None,
    }
}

/// Says where the code of an entry stands.
fn set_ranges(out: &mut write::Unit, copy: UnitEntryId, ranges: &[Range<u64>]) {
    if let [range] = ranges {
        let entry = out.get_mut(copy);
        let low = New::Address(Address::Constant(range.start));
        entry.set(constants::DW_AT_low_pc, low);
        let len = New::Udata(range.end - range.start);
        entry.set(constants::DW_AT_high_pc, len);
        return;
    }
    let list = New::RangeListRef(out.ranges.add(list(ranges)));
    out.get_mut(copy).set(constants::DW_AT_ranges, list);
}

/// A list of ranges.
pub(super) fn list(ranges: &[Range<u64>]) -> RangeList {
    let range = |range: &Range<u64>| write::Range::StartEnd {
        begin: Address::Constant(range.start),
        end: Address::Constant(range.end),
    };
    RangeList(ranges.iter().map(range).collect())
}
