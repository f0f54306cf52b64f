//! Debug information for a delta: what readers of stack traces ask for, of the functions that are in it and of nothing else.
//! Names, files, lines and what was inlined where; no variables and no types, for which there is the program's file.
//!
//! It is read from the pieces of the program's own debug information, with fields that lead to where things stand in the
//! delta, and written anew as DWARF 4, whichever version it was: a unit for each unit that has one of the functions. What is
//! malformed is left out, and so is a unit that says nothing of the functions.

mod entries;
mod files;
mod lines;
mod pieces;
mod sources;
mod walk;

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use gimli::write::{self, AttributeValue as New, EndianVec, LineProgram, LineString, Sections};
use gimli::{Encoding, Format, LineEncoding, LittleEndian, Reader as _, constants};

use crate::delta::artifact::Delta;
use crate::delta::debug::entries::Entries;
use crate::delta::debug::files::Files;
use crate::delta::debug::sources::{Code, Dwarf, Read, Reader, Sources, Unit};
use crate::hash::HashMap;
use crate::program::DeclId;
use crate::wire::section::push_custom;

pub(crate) use pieces::Pieces;

/// The version of DWARF that is written: all readers know it, and its units need no tables beside them.
const VERSION: u16 = 4;

/// The same delta with debug information of its functions, as far as there is any. `pieces` are those of the version that it
/// leads to.
pub(crate) fn describe(delta: &Delta, pieces: Pieces<'_>) -> Delta {
    let mut out = Vec::new();
    if !delta.is_described && !delta.bodies.is_empty() {
        push_sections(&mut out, &delta.bodies, pieces);
    }
    match out.is_empty() {
        true => delta.clone(),
        false => delta.with_sections(&out),
    }
}

/// Appends the custom sections that describe `bodies`, each with where its code stands in the delta's code section, in order.
fn push_sections(out: &mut Vec<u8>, bodies: &[(DeclId, Range<u64>)], pieces: Pieces<'_>) {
    let code = Code::of(bodies);
    let mut dwarf = write::Dwarf::new();
    for info in pieces.units_of(bodies) {
        let Some(sources) = Sources::collect(pieces, info, &code) else {
            continue;
        };
        // What is malformed ends it; what was read before that is right.
        let _ = add_units(&sources, &mut dwarf);
    }
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    if dwarf.units.count() == 0 || dwarf.write(&mut sections).is_err() {
        return;
    }
    let written = sections.for_each(|id, section| {
        if !section.slice().is_empty() {
            push_custom(out, id.name(), section.slice());
        }
        Ok::<(), ()>(())
    });
    debug_assert!(written.is_ok());
}

/// Adds what the units of one piece say of the functions in the delta.
fn add_units(sources: &Sources<'_>, out: &mut write::Dwarf) -> Read<()> {
    let dwarf = Dwarf::load(|id| Ok::<_, gimli::Error>(sources.reader(id)))?;
    let mut headers = Vec::new();
    let mut rest = dwarf.units();
    while let Some(header) = rest.next()? {
        headers.push(header);
    }
    for header in &headers {
        let unit = dwarf.unit(header.clone())?;
        // A single unit is one that names a function of the delta; of several, those that do say so.
        if (headers.len() == 1 || has_code(&dwarf, &unit, sources)?)
            && let Some(unit) = reduced(&dwarf, unit, &headers, sources)?
        {
            out.units.add(unit);
        }
    }
    Ok(())
}

/// Whether a unit says that it has code which is in the delta.
fn has_code(dwarf: &Dwarf<'_>, unit: &Unit<'_>, sources: &Sources<'_>) -> Read<bool> {
    let mut ranges = dwarf.unit_ranges(unit)?;
    while let Some(range) = ranges.next()? {
        if sources.code.has(range.begin) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a unit says of the functions in the delta, if it says anything.
fn reduced<'a>(
    dwarf: &'a Dwarf<'a>,
    unit: Unit<'a>,
    headers: &'a [gimli::UnitHeader<Reader<'a>>],
    sources: &'a Sources<'a>,
) -> Read<Option<write::Unit>> {
    let encoding = Encoding {
        format: Format::Dwarf32,
        version: VERSION,
        address_size: unit.encoding().address_size,
    };
    // Others cannot be written.
    if !matches!(encoding.address_size, 4 | 8) {
        return Ok(None);
    }
    let text = |text: &Option<Reader<'a>>| match text {
        Some(text) => text.to_slice().map(Cow::into_owned),
        None => Ok(Vec::new()),
    };
    let (name, folder) = (text(&unit.name)?, text(&unit.comp_dir)?);
    let program = LineProgram::new(
        encoding,
        LineEncoding::default(),
        LineString::String(folder.clone()),
        None,
        LineString::String(name.clone()),
        None,
    );
    let mut out = write::Unit::new(encoding, program);
    let mut files = Files::new(dwarf, folder.clone());
    let unit = Rc::new(unit);
    let mut entries = Entries {
        dwarf,
        unit: Rc::clone(&unit),
        headers,
        sources,
        files: &mut files,
        out: &mut out,
        others: HashMap::default(),
        origins: HashMap::default(),
    };
    let mut code = entries.copy()?;
    code.extend(lines::copy(
        &unit,
        sources,
        &mut files,
        &mut out.line_program,
    )?);
    if code.is_empty() {
        return Ok(None);
    }
    let language = root_language(&unit)?;
    let ranges = New::RangeListRef(out.ranges.add(entries::list(&merged(code))));
    let root = out.root();
    let root = out.get_mut(root);
    root.set(constants::DW_AT_name, New::String(name));
    root.set(constants::DW_AT_comp_dir, New::String(folder));
    if let Some(language) = language {
        root.set(constants::DW_AT_language, New::Language(language));
    }
    // What lists of ranges are relative to.
    let zero = New::Address(write::Address::Constant(0));
    root.set(constants::DW_AT_low_pc, zero);
    root.set(constants::DW_AT_ranges, ranges);
    Ok(Some(out))
}

fn root_language(unit: &Unit<'_>) -> Read<Option<gimli::DwLang>> {
    let mut entries = unit.entries();
    entries.next_dfs()?;
    let language = match entries.current() {
        Some(root) => root.attr_value(constants::DW_AT_language)?,
        None => None,
    };
    Ok(match language {
        Some(gimli::AttributeValue::Language(language)) => Some(language),
        _ => None,
    })
}

/// The same code, as ranges that are in order and apart.
fn merged(mut code: Vec<Range<u64>>) -> Vec<Range<u64>> {
    code.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in code {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
