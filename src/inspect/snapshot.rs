//! Outputs, patches and deltas as text, for a person's review and a test's comparison: for each range its place, its section,
//! the declaration that it belongs to and its reason; and what each reason costs in all.
//!
//! The text depends on what was built and edited, not on when or where: versions and build ids are left out of it. What
//! stands where is read from the file alone, which does not say whose its data and pieces of custom sections are: those are
//! named by whoever asks.
//!
//! ```
//! use wasmend::inspect::snapshot;
//! use wasmend::{DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, ValType};
//!
//! # fn main() -> wasmend::Result<()> {
//! let mut module = Module::in_memory(ModuleOptions::default())?;
//! let answer = module.declare(DeclKind::Function, "answer")?;
//! let mut texts = Vec::new();
//! for number in [41, 42] {
//!     let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
//!     body.op(&Instruction::I32Const(number));
//!     module.define_function(answer, body.finish()?)?;
//!     let before = module.bytes().unwrap_or_default();
//!     let patch = module.commit()?;
//!     texts.push(snapshot::of_patch(&patch, &before, &module.bytes()?, snapshot::NO_NAMES)?);
//! }
//! // With insta: insta::assert_snapshot!("answer", texts[1]);
//! assert!(texts[1].contains("body-in-place"), "{}", texts[1]);
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use wasmparser::{
    BinaryReaderError, DataKind, ElementItems, ElementKind, ExternalKind, KnownCustom, Name,
    Operator, Parser, Payload, TypeRef,
};

use crate::delta::LiveStep;
use crate::error::{Error, Result};
use crate::inspect::counted::counted;
use crate::inspect::map::{FunctionRole, Map, Part, PartKind};
use crate::module::{Outcome, Patch};
use crate::patch::Reason;

/// What the data at an address, a global by its index, or what stands at an offset of a custom section is called: by the word
/// `data` or `global`, or the section's name, and the number.
pub type Names<'a> = &'a dyn Fn(&str, u64) -> Option<String>;

/// The names of a program that has none of these.
pub const NO_NAMES: Names<'static> = &|_, _| None;

/// Where everything in a file stands: its sections and pads, and its functions.
///
/// # Errors
/// If it is not a module.
pub fn of_layout(file: &[u8]) -> Result<String> {
    let map = Map::read(file)?;
    let mut out = format!("{} bytes\n", map.file_len);
    for part in &map.parts {
        let (offset, len, name) = (part.offset, part.len, &part.name);
        if part.kind == PartKind::Pad {
            let _ = writeln!(out, "{offset:#06x} +{len:<6} pad");
            continue;
        }
        let used = part.header + part.used;
        let count = part
            .count
            .map_or_else(String::new, |count| format!(", {}", counted(count, "item")));
        let _ = writeln!(out, "{offset:#06x} +{len:<6} {name:<12} {used} used{count}");
    }
    for entry in &map.functions {
        let (offset, len) = (entry.offset, entry.len);
        let slot = entry
            .slot
            .map_or_else(String::new, |slot| format!(", slot {slot}"));
        let index = entry.index;
        let _ = writeln!(
            out,
            "{offset:#06x} +{len:<6} function {index}: {}{slot}",
            function(&map, index)
        );
    }
    Ok(out)
}

/// What a commit wrote, one range a line, and how many bytes for each reason; then what its delta has, or why there is none.
/// `before` and `after` are the file as it was and as it is.
///
/// # Errors
/// If one of the two is not a module.
pub fn of_patch(patch: &Patch, before: &[u8], after: &[u8], names: Names<'_>) -> Result<String> {
    let mut out = match (&patch.outcome, patch.ranges()) {
        (_, Some(ranges)) => {
            let (bytes, old, new) = (ranges.bytes(), ranges.old_len(), ranges.new_len());
            let mut out = format!("{bytes} bytes, file {old} -> {new}\n");
            let ranges = ranges.iter().map(|(range, _)| Written {
                begin: range.offset,
                end: range.offset + u64::from(range.len),
                reason: Some(range.reason),
            });
            out += &of_ranges(ranges, before, after, names)?;
            out
        }
        (Outcome::Relinked(reason), _) => format!("Relinked({reason:?})\n"),
        (outcome, _) => format!("{outcome:?}\n"),
    };
    match &patch.live {
        None => {}
        Some(LiveStep::Delta { delta, .. }) => out += &of_delta(&delta.bytes)?,
        Some(LiveStep::Refused(refusals)) => {
            for refusal in refusals {
                let _ = writeln!(out, "refused: {refusal}");
            }
        }
    }
    Ok(out)
}

/// Where two versions of a file differ, one range a line, but for what says which versions they are.
///
/// # Errors
/// If one of the two is not a module.
pub fn of_change(before: &[u8], after: &[u8], names: Names<'_>) -> Result<String> {
    let (old, new) = (before.len(), after.len());
    let map = Map::read(after)?;
    let version = map.identity.and(map.parts.last());
    let end = version.map_or(after.len(), |version| version.offset as usize);
    let mut ranges: Vec<Written> = Vec::new();
    for (at, byte) in (0..).zip(&after[..end.min(new)]) {
        if before.get(at as usize) == Some(byte) {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.end + NEAR >= at => last.end = at + 1,
            _ => ranges.push(Written {
                begin: at,
                end: at + 1,
                reason: None,
            }),
        }
    }
    let bytes: u64 = ranges.iter().map(|range| range.end - range.begin).sum();
    let ranges = of_ranges(ranges.into_iter(), before, after, names)?;
    Ok(format!("{bytes} bytes, file {old} -> {new}\n{ranges}"))
}

/// Differences that are so near to one another are one.
const NEAR: u64 = 3;

/// Bytes of a file that are other ones now.
struct Written {
    begin: u64,
    end: u64,
    /// Why, where that is known.
    reason: Option<Reason>,
}

fn of_ranges(
    ranges: impl Iterator<Item = Written>,
    before: &[u8],
    after: &[u8],
    names: Names<'_>,
) -> Result<String> {
    let (file, old_file) = (File::read(after, names)?, File::read(before, names)?);
    let mut out = String::new();
    let mut totals: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    for range in ranges {
        let (offset, len) = (range.begin, range.end - range.begin);
        let reason = range.reason.map_or("", Reason::word);
        let (section, mut declaration) = file.describe(&range);
        if range.reason == Some(Reason::Gap) && declaration != "-" {
            declaration = format!("left by {declaration}");
        }
        // Code that has become filler stands where it stood.
        if declaration.ends_with(DEAD) {
            let (_, was) = old_file.describe(&range);
            let was = was.rsplit(": ").next().unwrap_or_default();
            declaration = format!("{declaration}, was {was}");
        }
        let line = format!("{offset:#06x} +{len:<4} {section:<12} {declaration:<24} {reason}");
        out += line.trim_end();
        out.push('\n');
        if range.reason.is_some() {
            let total = totals.entry(reason).or_default();
            *total = (total.0 + len, total.1 + 1);
        }
    }
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    for (reason, (bytes, count)) in totals {
        let _ = writeln!(out, "{bytes:>12} bytes in {count:>2} {reason}");
    }
    Ok(out)
}

/// Whether a file is a delta.
pub fn is_delta(bytes: &[u8]) -> bool {
    crate::delta::is_delta(bytes)
}

/// What a delta has: what it imports, its functions with their sizes, how many slots it sets, what data it brings.
///
/// # Errors
/// If it is not a module.
pub fn of_delta(bytes: &[u8]) -> Result<String> {
    let mut out = format!("delta of {}\n", counted(bytes.len(), "byte"));
    let (mut bodies, mut imported, mut slots, mut data) = (Vec::new(), 0u32, 0u32, 0);
    let mut names = BTreeMap::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let import = import.map_err(damaged)?;
                    imported += u32::from(matches!(
                        import.ty,
                        TypeRef::Func(_) | TypeRef::FuncExact(_)
                    ));
                    let _ = writeln!(out, "  imports {}.{}", import.module, import.name);
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader {
                    let export = export.map_err(damaged)?;
                    if export.kind != ExternalKind::Func {
                        let _ = writeln!(out, "  exports {}", export.name);
                    }
                }
            }
            Payload::ElementSection(reader) => {
                for element in reader {
                    slots += match element.map_err(damaged)?.items {
                        ElementItems::Functions(functions) => functions.count(),
                        ElementItems::Expressions(_, expressions) => expressions.count(),
                    };
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.range().end - body.range().start),
            Payload::DataSection(reader) => {
                for segment in reader {
                    data += segment.map_err(damaged)?.data.len();
                }
            }
            Payload::CustomSection(reader) => {
                if let KnownCustom::Name(reader) = reader.as_known() {
                    for part in reader.into_iter().flatten() {
                        if let Name::Function(entries) = part {
                            names.extend(
                                entries
                                    .into_iter()
                                    .flatten()
                                    .map(|entry| (entry.index, entry.name)),
                            );
                        }
                    }
                }
            }
            _ => {}
        }
    }
    for (index, name) in names {
        let len = index
            .checked_sub(imported)
            .and_then(|at| bodies.get(at as usize));
        if let Some(len) = len {
            let _ = writeln!(out, "  function {name}, {}", counted(*len, "byte"));
        }
    }
    let _ = writeln!(
        out,
        "  {}, {} of data",
        counted(slots, "slot"),
        counted(data, "byte")
    );
    Ok(out)
}

/// A module that cannot be read.
fn damaged(error: BinaryReaderError) -> Error {
    Error::bad_input(format!("is not a module: {}", error.message())).with_offset(error.offset())
}

/// What a function is called that is there to be used again.
const DEAD: &str = "(dead)";

/// A run of bytes that belongs to one declaration.
struct Item {
    begin: u64,
    end: u64,
    name: String,
}

/// Whose each byte of a file is.
struct File<'a> {
    parts: Vec<Part>,
    items: Vec<Item>,
    names: Names<'a>,
}

impl<'a> File<'a> {
    fn read(bytes: &[u8], names: Names<'a>) -> Result<File<'a>> {
        let map = Map::read(bytes)?;
        let mut items: Vec<Item> = map
            .functions
            .iter()
            .map(|entry| Item {
                begin: entry.offset,
                end: entry.offset + entry.len,
                name: function(&map, entry.index),
            })
            .collect();
        for payload in Parser::new(0).parse_all(bytes) {
            section(&map, bytes, payload.map_err(damaged)?, names, &mut items).map_err(damaged)?;
        }
        items.sort_by_key(|item| item.begin);
        Ok(File {
            parts: map.parts,
            items,
            names,
        })
    }

    /// The section of a range, and the declarations in it.
    fn describe(&self, range: &Written) -> (&str, String) {
        let (begin, end) = (range.begin, range.end);
        let behind = self.parts.partition_point(|part| part.offset <= begin);
        let Some((part, before)) = self.parts[..behind].split_last() else {
            return ("-", "-".to_owned());
        };
        if part.kind == PartKind::Pad {
            let before = before.last().map_or("", |before| &before.name);
            return ("pad", format!("behind {before}"));
        }
        let contents = part.offset + part.header;
        let mut found: Vec<String> = Vec::new();
        let touched = |item: &&Item| item.begin < end && item.end > begin;
        for item in self.items.iter().filter(touched) {
            if found.last() != Some(&item.name) {
                found.push(item.name.clone());
            }
        }
        if found.is_empty() && begin >= contents {
            found.extend((self.names)(&part.name, begin - contents));
        }
        let text = match &found[..] {
            [] => "-".to_owned(),
            [first, _, .., last] if found.len() > 4 => {
                format!("{first} to {last}, {} in all", found.len())
            }
            few => few.join(", "),
        };
        (&part.name, text)
    }
}

/// What a function is for, and for whom.
fn function(map: &Map, index: u32) -> String {
    let Some(at) = index.checked_sub(map.imported_functions) else {
        return format!("import {index}");
    };
    let Some(entry) = map.functions.get(at as usize) else {
        return format!("function {index}");
    };
    let name = |index: u32| {
        let at = index.checked_sub(map.imported_functions)?;
        map.functions.get(at as usize)?.name.clone()
    };
    let named = |name: Option<String>| name.unwrap_or_else(|| format!("function {index}"));
    match entry.role {
        FunctionRole::Body => named(entry.name.clone()),
        FunctionRole::Dead => DEAD.to_owned(),
        FunctionRole::Unreached => format!("{} (unreached)", named(entry.name.clone())),
        FunctionRole::Thunk | FunctionRole::Forwarder => {
            let target = entry.target.and_then(name).or(entry.name.clone());
            format!("{} ({})", named(target), entry.role.word())
        }
    }
}

/// Adds items that follow one another, the last one up to `end`.
fn add(items: &mut Vec<Item>, found: impl IntoIterator<Item = (u64, String)>, end: u64) {
    let from = items.len();
    for (begin, name) in found {
        if items.len() > from
            && let Some(before) = items.last_mut()
        {
            before.end = begin;
        }
        items.push(Item { begin, end, name });
    }
}

/// Adds what a section consists of; code is known already.
fn section(
    map: &Map,
    bytes: &[u8],
    payload: Payload<'_>,
    names: Names<'_>,
    items: &mut Vec<Item>,
) -> wasmparser::Result<()> {
    let named = |kind: &str, index: usize| {
        names(kind, index as u64).unwrap_or_else(|| format!("{kind} {index}"))
    };
    // Offset and item, counted.
    macro_rules! each {
        ($reader:expr) => {
            $reader
                .into_iter_with_offsets()
                .collect::<wasmparser::Result<Vec<_>>>()?
                .into_iter()
                .enumerate()
        };
    }
    match payload {
        Payload::TypeSection(reader) => {
            let (end, mut first) = (reader.range().end, 0);
            let groups = each!(reader).map(|(_, (at, group))| {
                let index = first;
                first += group.types().len();
                (at, format!("type {index}"))
            });
            add(items, groups, end);
        }
        Payload::ImportSection(reader) => {
            let end = reader.range().end;
            let imports = reader.into_imports_with_offsets();
            let imports = imports.collect::<wasmparser::Result<Vec<_>>>()?;
            let imports = imports.into_iter().map(|(at, import)| {
                let kind = match import.ty {
                    TypeRef::Table(_) => " (table)",
                    _ => "",
                };
                (at, format!("{}.{}{kind}", import.module, import.name))
            });
            add(items, imports, end);
        }
        Payload::FunctionSection(reader) => {
            let end = reader.range().end;
            let index = |at: usize| map.imported_functions + at as u32;
            add(
                items,
                each!(reader).map(|(at, (offset, _))| (offset, function(map, index(at)))),
                end,
            );
        }
        Payload::GlobalSection(reader) => {
            let end = reader.range().end;
            add(
                items,
                each!(reader).map(|(at, (offset, _))| (offset, named("global", at))),
                end,
            );
        }
        Payload::ExportSection(reader) => {
            let end = reader.range().end;
            add(
                items,
                each!(reader).map(|(_, (offset, export))| (offset, export.name.to_owned())),
                end,
            );
        }
        Payload::ElementSection(reader) => {
            for element in reader {
                let element = element?;
                let (first, ElementItems::Functions(functions)) =
                    (first_slot(&element.kind), element.items)
                else {
                    continue;
                };
                let end = functions.range().end;
                let slot = |at: usize| first + at as u64;
                add(
                    items,
                    each!(functions).map(|(at, (offset, index))| {
                        (
                            offset,
                            format!("slot {}: {}", slot(at), function(map, index)),
                        )
                    }),
                    end,
                );
            }
        }
        Payload::DataSection(reader) => {
            for data in reader {
                let data = data?;
                let end = data.range.end;
                let begin = end - data.data.len() as u64;
                let DataKind::Active { offset_expr, .. } = data.kind else {
                    continue;
                };
                let base = constant(offset_expr.get_operators_reader().read());
                let at = |offset: u64| (begin + offset, named("data", (base + offset) as usize));
                add(items, (0..data.data.len() as u64).map(at), end);
            }
        }
        Payload::CustomSection(reader) => {
            if let KnownCustom::Name(reader) = reader.as_known() {
                for part in reader {
                    if let Ok(Name::Function(entries)) = part {
                        let mut begin = None;
                        for entry in entries {
                            let entry = entry?;
                            let end = offset_in(bytes, entry.name) + entry.name.len() as u64;
                            let before = begin.replace(end);
                            items.push(Item {
                                begin: before.unwrap_or(end - entry.name.len() as u64 - 2),
                                end,
                                name: format!("name of {}", entry.name.trim_end()),
                            });
                        }
                    }
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn offset_in(bytes: &[u8], part: &str) -> u64 {
    (part.as_ptr() as usize - bytes.as_ptr() as usize) as u64
}

/// The first slot that an element segment fills.
fn first_slot(kind: &ElementKind<'_>) -> u64 {
    match kind {
        ElementKind::Active { offset_expr, .. } => {
            constant(offset_expr.get_operators_reader().read())
        }
        _ => 0,
    }
}

/// The value of a constant's instruction.
fn constant(operator: wasmparser::Result<Operator<'_>>) -> u64 {
    match operator {
        Ok(Operator::I32Const { value }) => u64::from(value.cast_unsigned()),
        Ok(Operator::I64Const { value }) => value.cast_unsigned(),
        // A global's value, which the file does not say.
        _ => 0,
    }
}
