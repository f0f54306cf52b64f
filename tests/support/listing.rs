//! Patches as text, to be read in review: for each range its place, its section, the declaration that it belongs to and
//! its reason; and what each reason costs in all.
//!
//! What stands where is read from the file alone, which does not say whose its data and pieces of custom sections are:
//! those are named by the test.

use std::collections::BTreeMap;
use std::fmt::Write;

use wasmend::inspect::{FunctionRole, Map, Part, PartKind};
use wasmend::{Patch, Range, Reason, Redirect};
use wasmparser::{
    DataKind, ElementItems, ElementKind, KnownCustom, Name, Operator, Parser, Payload, TypeRef,
};

/// What the test calls the data at an address, a global by its index, or what stands at an offset of a custom section.
pub type Names<'a> = &'a dyn Fn(&str, u64) -> Option<String>;

/// The names of a program that has none of these.
pub fn no_names(_: &str, _: u64) -> Option<String> {
    None
}

/// What a commit wrote, one range a line, and how many bytes for each reason. `before` and `after` are the file as
/// it was and as it is.
pub fn listing(patch: &Patch, before: &[u8], after: &[u8], names: Names<'_>) -> String {
    let Some(ranges) = patch.ranges() else {
        return format!("{:?}\n", patch.outcome);
    };
    let (file, old_file) = (File::read(after, names), File::read(before, names));
    let mut out = String::new();
    let (bytes, old, new) = (ranges.bytes(), ranges.old_len(), ranges.new_len());
    let _ = writeln!(out, "{bytes} bytes, file {old} -> {new}");
    let mut totals: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    for (range, _) in ranges.iter() {
        let (offset, len, reason) = (range.offset, range.len, range.reason.word());
        let (section, mut declaration) = file.describe(&range);
        if range.reason == Reason::Gap && declaration != "-" {
            declaration = format!("left by {declaration}");
        }
        // Code that has become filler stands where it stood.
        if declaration.ends_with(DEAD) {
            let (_, was) = old_file.describe(&range);
            let was = was.rsplit(": ").next().unwrap_or_default();
            declaration = format!("{declaration}, was {was}");
        }
        let _ = writeln!(
            out,
            "{offset:#06x} +{len:<4} {section:<12} {declaration:<24} {reason}"
        );
        let total = totals.entry(reason).or_default();
        *total = (total.0 + u64::from(len), total.1 + 1);
    }
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    for (reason, (bytes, count)) in totals {
        let _ = writeln!(out, "{bytes:>12} bytes in {count:>2} {reason}");
    }
    out
}

/// What a function is called that is there to be used again.
const DEAD: &str = "(dead)";

/// What `list` makes of a program for each way of redirecting calls.
pub fn by_redirect(redirects: &[Redirect], list: impl Fn(Redirect) -> String) -> String {
    let mut out = String::new();
    for redirect in redirects {
        let word = match redirect {
            Redirect::Table => "table",
            Redirect::TableThunks => "thunks",
            Redirect::Direct => "direct",
        };
        let _ = writeln!(out, "{word}: {}", list(*redirect));
    }
    out
}

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
    fn read(bytes: &[u8], names: Names<'a>) -> File<'a> {
        let map = Map::read(bytes).expect("what was published is a module");
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
            let payload = payload.expect("what was published is a module");
            section(&map, bytes, payload, names, &mut items);
        }
        items.sort_by_key(|item| item.begin);
        File {
            parts: map.parts,
            items,
            names,
        }
    }

    /// The section of a range, and the declarations in it.
    fn describe(&self, range: &Range) -> (&str, String) {
        let (begin, end) = (range.offset, range.offset + u64::from(range.len));
        let at = self.parts.partition_point(|part| part.offset <= begin) - 1;
        let part = &self.parts[at];
        if part.kind == PartKind::Pad {
            return ("pad", format!("behind {}", self.parts[at - 1].name));
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
    let entry = &map.functions[at as usize];
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
fn section(map: &Map, bytes: &[u8], payload: Payload<'_>, names: Names<'_>, items: &mut Vec<Item>) {
    let named = |kind: &str, index: usize| {
        names(kind, index as u64).unwrap_or_else(|| format!("{kind} {index}"))
    };
    // The offset and the item, or what is wrong with the section: nothing, since it was validated.
    macro_rules! each {
        ($reader:expr) => {
            $reader
                .into_iter_with_offsets()
                .map(|item| item.expect("is valid"))
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
            let imports = imports.map(|import| {
                let (at, import) = import.expect("is valid");
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
                let element = element.expect("is valid");
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
                let data = data.expect("is valid");
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
                            let entry = entry.expect("is valid");
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
        other => panic!("no constant: {other:?}"),
    }
}
