//! Whether the debug information of two modules says the same: unit by unit and entry by entry, whatever the order of
//! units, the gaps between them, and where code and data stand.
//!
//! Offsets of code are read as a function and an offset in it; offsets of sections as what stands there: strings, lists
//! of ranges and locations, line tables. Addresses of data are not compared: the file does not say what stands there.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};

use gimli::{AttributeValue, ColumnType, DwAt, DwTag, Operation, constants};

use crate::error::Result;
use crate::hash::HashMap;
use crate::inspect::counted::counted;
use crate::inspect::dwarf::{self, Dwarf, Slice};
use crate::inspect::read::split;

type Unit<'a> = gimli::Unit<Slice<'a>>;
type Read<T> = gimli::Result<T>;

/// Indices of one module as the two modules have them in common; `None` for what only this one has.
pub(super) struct Common<'a> {
    pub(super) function: &'a dyn Fn(u32) -> Option<u32>,
    pub(super) global: &'a dyn Fn(u32) -> Option<u32>,
}

/// What a place in the code is: a function and an offset in it, or a number that means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    In(Option<u32>, u64),
    /// No code stands there: it was left out.
    Nowhere,
    Number(u64),
}

/// An entry: how deep it stands, what it is, and a number for each attribute.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    depth: isize,
    tag: DwTag,
    name: Option<String>,
    attributes: Vec<(DwAt, u64)>,
}

/// A compilation unit.
#[derive(Debug, Clone, PartialEq)]
struct Compiled {
    name: String,
    entries: Vec<Entry>,
    /// A number for each row of its line table.
    rows: Vec<u64>,
    /// Whether all that it describes was left out: linkers do not agree on whether to keep such units.
    is_idle: bool,
}

/// What a unit's addresses name.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    /// Code or data that is there.
    something: bool,
    /// What was left out.
    nothing: bool,
}

/// The debug information of a module.
struct Debug<'a> {
    dwarf: Dwarf<'a>,
    /// Where the bodies of its functions begin and end, from the beginning of the code section's contents.
    bodies: Vec<(u64, u64)>,
    imported: u32,
    common: Common<'a>,
    hasher: foldhash::fast::FixedState,
    /// Of the unit that is being read.
    named: Cell<Named>,
}

/// Whether a module has debug information.
pub(super) fn is_there(bytes: &[u8]) -> bool {
    let sections = split(bytes).unwrap_or_default();
    dwarf::named(&sections, ".debug_info").is_some()
}

/// What is different, by what and how; and how many units are the same. Nothing if one of the modules has no debug
/// information.
pub(super) fn compare(
    (a, of_a): (&[u8], Common<'_>),
    (b, of_b): (&[u8], Common<'_>),
) -> Result<(Vec<(String, String)>, u32)> {
    let (Some(a), Some(b)) = (Debug::of(a, of_a)?, Debug::of(b, of_b)?) else {
        return Ok((Vec::new(), 0));
    };
    let torn = |who: &str, error: gimli::Error| {
        let what = format!("the debug information of the {who}");
        Ok((vec![(what, format!("cannot be read: {error}"))], 0))
    };
    let units_a = match a.units() {
        Ok(units) => units,
        Err(error) => return torn("output", error),
    };
    let units_b = match b.units() {
        Ok(units) => units,
        Err(error) => return torn("build", error),
    };
    Ok(differences(units_a, units_b))
}

fn differences(units_a: Vec<Compiled>, units_b: Vec<Compiled>) -> (Vec<(String, String)>, u32) {
    let mut by_name: HashMap<String, Vec<Compiled>> = HashMap::default();
    for unit in units_a {
        by_name.entry(unit.name.clone()).or_default().push(unit);
    }
    let mut differences = Vec::new();
    let mut equal = 0;
    let mut open = Vec::new();
    for unit in units_b {
        let same = by_name.get_mut(&unit.name);
        let at = same
            .as_ref()
            .and_then(|same| same.iter().position(|other| *other == unit));
        match (same, at) {
            (Some(same), Some(at)) => {
                same.swap_remove(at);
                equal += 1;
            }
            _ => open.push(unit),
        }
    }
    for unit in open {
        let what = format!("debug information of `{}`", unit.name);
        let other = by_name.get_mut(&unit.name).and_then(Vec::pop);
        if other.is_none() && unit.is_idle {
            continue;
        }
        let how = other.map_or("is missing".to_owned(), |other| how(&other, &unit));
        differences.push((what, how));
    }
    let rest = by_name.values().flatten();
    let mut rest: Vec<&Compiled> = rest.filter(|unit| !unit.is_idle).collect();
    rest.sort_by_key(|unit| &unit.name);
    for unit in rest {
        let what = format!("debug information of `{}`", unit.name);
        differences.push((what, "is not in the build".to_owned()));
    }
    (differences, equal)
}

/// In what two units differ.
fn how(a: &Compiled, b: &Compiled) -> String {
    let label = |entry: &Entry| match &entry.name {
        Some(name) => format!("{} `{name}`", entry.tag),
        None => entry.tag.to_string(),
    };
    for (a, b) in a.entries.iter().zip(&b.entries) {
        if (a.depth, a.tag, &a.name) != (b.depth, b.tag, &b.name) {
            return format!("has {} where the build has {}", label(a), label(b));
        }
        let mut attributes = a.attributes.iter().zip(&b.attributes);
        if let Some(((name, _), _)) = attributes.find(|(a, b)| a != b) {
            return format!("says something else of {}: {name}", label(b));
        }
        if a.attributes.len() != b.attributes.len() {
            return format!("says more or less of {}", label(b));
        }
    }
    if a.entries.len() != b.entries.len() {
        return format!(
            "number of entries: {}, not {}",
            a.entries.len(),
            b.entries.len()
        );
    }
    let mut rows = a.rows.iter().zip(&b.rows);
    match rows.position(|(a, b)| a != b) {
        Some(row) => format!("row {row} of the line table is another"),
        None => format!(
            "the line table has {}, not {}",
            counted(a.rows.len(), "row"),
            b.rows.len()
        ),
    }
}

/// Whether linkers write this for the address of what they leave out.
fn is_tombstone(address: u64) -> bool {
    address >= u64::from(u32::MAX) - 1
}

impl<'a> Debug<'a> {
    fn of(bytes: &'a [u8], common: Common<'a>) -> Result<Option<Self>> {
        let sections = split(bytes)?;
        if dwarf::named(&sections, ".debug_info").is_none() {
            return Ok(None);
        }
        let mut bodies = Vec::new();
        let mut imported = 0;
        for section in &sections {
            if section.id == 2 {
                let imports =
                    wasmparser::SectionLimited::<wasmparser::Imports<'_>>::new(section.reader())?;
                for import in imports.into_imports() {
                    imported += u32::from(matches!(
                        import?.ty,
                        wasmparser::TypeRef::Func(_) | wasmparser::TypeRef::FuncExact(_)
                    ));
                }
            }
            if section.id == 10 {
                let start = section.contents_offset();
                for body in wasmparser::CodeSectionReader::new(section.reader())? {
                    let range = body?.range();
                    bodies.push((range.start - start, range.end - start));
                }
            }
        }
        Ok(Some(Debug {
            dwarf: dwarf::load(&sections),
            bodies,
            imported,
            common,
            hasher: foldhash::fast::FixedState::default(),
            named: Cell::default(),
        }))
    }

    /// What an offset of code means.
    fn place(&self, offset: u64) -> Place {
        if is_tombstone(offset) {
            self.note(false);
            return Place::Nowhere;
        }
        let at = self.bodies.partition_point(|(start, _)| *start <= offset);
        let body = at.checked_sub(1).map(|at| (at as u32, self.bodies[at]));
        match body {
            Some((at, (start, end))) if offset <= end => {
                self.note(true);
                Place::In((self.common.function)(self.imported + at), offset - start)
            }
            _ => Place::Number(offset),
        }
    }

    /// Notes that an address of the unit is that of something, or stands for what was left out.
    fn note(&self, is_there: bool) {
        let named = self.named.get();
        self.named.set(Named {
            something: named.something || is_there,
            nothing: named.nothing || !is_there,
        });
    }

    fn units(&self) -> Read<Vec<Compiled>> {
        let mut units = Vec::new();
        let mut headers = self.dwarf.units();
        while let Some(header) = headers.next()? {
            let unit = self.dwarf.unit(header)?;
            let compiled = self.unit(&unit)?;
            // A unit of which nothing is said fills a gap.
            let is_filler = |entry: &Entry| {
                let mut names = entry.attributes.iter();
                names.all(|(name, _)| *name == constants::DW_AT_lo_user)
            };
            if compiled.entries.len() != 1 || !is_filler(&compiled.entries[0]) {
                units.push(compiled);
            }
        }
        Ok(units)
    }

    fn unit(&self, unit: &Unit<'a>) -> Read<Compiled> {
        let text = |text: &Slice<'a>| String::from_utf8_lossy(text).into_owned();
        self.named.set(Named::default());
        let mut entries = Vec::new();
        let mut cursor = unit.entries();
        let mut depth = 0;
        while let Some((delta, entry)) = cursor.next_dfs()? {
            depth += delta;
            let mut name = None;
            let mut attributes = Vec::new();
            let mut attrs = entry.attrs();
            while let Some(attr) = attrs.next()? {
                if attr.name() == constants::DW_AT_name {
                    let string = self.dwarf.attr_string(unit, attr.value())?;
                    name = Some(string.to_string_lossy().into_owned());
                }
                if let Some(value) = self.value(unit, attr.value())? {
                    attributes.push((attr.name(), value));
                }
            }
            entries.push(Entry {
                depth,
                tag: entry.tag(),
                name,
                attributes,
            });
        }
        let named = self.named.get();
        Ok(Compiled {
            name: unit.name.as_ref().map(text).unwrap_or_default(),
            entries,
            rows: self.rows(unit)?,
            is_idle: named.nothing && !named.something,
        })
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }

    /// A number for what an attribute says; none for where a table begins that others are found through.
    fn value(&self, unit: &Unit<'a>, value: AttributeValue<Slice<'a>>) -> Read<Option<u64>> {
        use AttributeValue::*;
        if let Some(address) = self.dwarf.attr_address(unit, value)? {
            return Ok(Some(self.hash((1, self.place(address)))));
        }
        if let Some(mut ranges) = self.dwarf.attr_ranges(unit, value)? {
            let mut state = self.hasher.build_hasher();
            while let Some(range) = ranges.next()? {
                (self.place(range.begin), self.place(range.end)).hash(&mut state);
            }
            return Ok(Some(state.finish()));
        }
        if let Some(mut locations) = self.dwarf.attr_locations(unit, value)? {
            let mut state = self.hasher.build_hasher();
            while let Some(location) = locations.next()? {
                let (begin, end) = (location.range.begin, location.range.end);
                (self.place(begin), self.place(end)).hash(&mut state);
                self.expression(unit, location.data)?.hash(&mut state);
            }
            return Ok(Some(state.finish()));
        }
        if let Ok(text) = self.dwarf.attr_string(unit, value) {
            return Ok(Some(self.hash((2, text.slice()))));
        }
        Ok(match value {
            Exprloc(expression) => Some(self.expression(unit, expression)?),
            Block(bytes) => Some(self.hash((3, bytes.slice()))),
            DebugLineRef(_) | DebugMacinfoRef(_) | DebugMacroRef(_) => None,
            DebugAddrBase(_) | DebugStrOffsetsBase(_) => None,
            DebugRngListsBase(_) | DebugLocListsBase(_) => None,
            // Another unit can stand elsewhere.
            DebugInfoRef(_) | SecOffset(_) => None,
            // References within a unit are offsets in it, and the rest is numbers.
            value => Some(self.hash((4, format!("{value:?}")))),
        })
    }

    fn expression(&self, unit: &Unit<'a>, expression: gimli::Expression<Slice<'a>>) -> Read<u64> {
        let mut state = self.hasher.build_hasher();
        let mut operations = expression.operations(unit.encoding());
        // A number that says where thread-local data stands is an address as well.
        let mut number = None;
        while let Some(operation) = operations.next()? {
            let last = number.take();
            if operation == Operation::TLS && last.is_some() {
                5.hash(&mut state);
                continue;
            }
            last.hash(&mut state);
            match operation {
                Operation::Address { address } => {
                    self.note(!is_tombstone(address));
                    1.hash(&mut state);
                }
                Operation::AddressIndex { .. } => 2.hash(&mut state),
                Operation::WasmGlobal { index } => {
                    (3, (self.common.global)(index)).hash(&mut state);
                }
                Operation::EntryValue { expression } => {
                    let inner = gimli::Expression(expression);
                    (4, self.expression(unit, inner)?).hash(&mut state);
                }
                Operation::UnsignedConstant { value } => number = Some(value),
                other => format!("{other:?}").hash(&mut state),
            }
        }
        number.hash(&mut state);
        Ok(state.finish())
    }

    fn rows(&self, unit: &Unit<'a>) -> Read<Vec<u64>> {
        let Some(program) = unit.line_program.clone() else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        let mut files: HashMap<u64, u64> = HashMap::default();
        let mut rows = program.rows();
        while let Some((header, row)) = rows.next_row()? {
            let index = row.file_index();
            let file = match files.get(&index) {
                Some(file) => *file,
                None => {
                    let mut state = self.hasher.build_hasher();
                    if let Some(file) = row.file(header) {
                        let path = self.dwarf.attr_string(unit, file.path_name())?;
                        path.slice().hash(&mut state);
                        if let Some(folder) = file.directory(header) {
                            self.dwarf
                                .attr_string(unit, folder)?
                                .slice()
                                .hash(&mut state);
                        }
                    }
                    let file = state.finish();
                    files.insert(index, file);
                    file
                }
            };
            let column = match row.column() {
                ColumnType::LeftEdge => 0,
                ColumnType::Column(column) => column.get(),
            };
            let line = row.line().map_or(0, |line| line.get());
            let flags = (row.is_stmt(), row.prologue_end(), row.end_sequence());
            all.push(self.hash((self.place(row.address()), file, line, column, flags)));
        }
        Ok(all)
    }
}
