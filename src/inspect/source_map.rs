//! A source map of a module, for browsers: what its DWARF says of lines, in their words. Made from the file alone, so it is right
//! for whichever version that is, whoever wrote the debug information.

use std::collections::HashMap;

use gimli::ColumnType;

use crate::error::{Error, Result};
use crate::inspect::dwarf::{self, Dwarf, Slice};
use crate::inspect::read::split;
use crate::wire::section::write_pad_header;

/// Offsets from here on stand for code that is not there.
const NOWHERE: u64 = u32::MAX as u64 - 1;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Where code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    source: usize,
    /// From 0.
    line: i64,
    /// From 0.
    column: i64,
}

/// The source map (version 3, JSON) of a module with debug information: for each place in the file where another line begins,
/// which that is. What browsers call columns are offsets in the file.
///
/// Chromium looks at it only where the module has no DWARF of its own: serve [that](without_dwarf) beside the map. A page finds
/// the map by the module's section `sourceMappingURL`, which a compiler gives it once:
///
/// ```
/// # use wasmend::{DeclKind, Module, ModuleOptions, Piece};
/// # fn f(module: &mut Module) -> wasmend::Result<()> {
/// let section = module.custom_section("sourceMappingURL")?;
/// let url = "out.wasm.map";
/// let piece = module.declare(DeclKind::Custom, "the source map's URL")?;
/// // A string: its length, and its bytes.
/// let mut contents = vec![url.len() as u8];
/// contents.extend_from_slice(url.as_bytes());
/// module.define_piece(piece, section, Piece::new(contents))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If it is no module, or its debug information cannot be read. Without any, no place has a line.
pub fn source_map(module: &[u8]) -> Result<String> {
    let sections = split(module)?;
    let code = sections.iter().find(|section| section.id == 10);
    let code = code.map_or(0, |section| section.contents_offset());
    let mut map = SourceMap::default();
    let read = map.add_all(&dwarf::load(&sections), code);
    read.map_err(|error| {
        Error::bad_input(format!("the debug information cannot be read: {error}"))
    })?;
    Ok(map.into_json())
}

/// A module without its DWARF, for browsers: where there is some, Chromium's developer tools look for an extension that reads it, and
/// at no source map. All code stays where it is in the file, so the [source map](source_map) of the whole module is right for
/// this one too.
///
/// # Errors
/// If it is no module.
pub fn without_dwarf(module: &[u8]) -> Result<Vec<u8>> {
    let sections = split(module)?;
    let code = sections.iter().rposition(|section| section.id == 10);
    let mut out = module[..sections
        .first()
        .map_or(module.len(), |first| first.range().start)]
        .to_vec();
    for (at, section) in sections.iter().enumerate() {
        let start = out.len();
        let range = section.range();
        let len = range.len() as u64;
        let is_dwarf = section.id == 0 && section.name.starts_with(".debug_");
        if !is_dwarf || code.is_some_and(|code| at < code) {
            out.extend_from_slice(&module[range]);
        }
        if is_dwarf && out.len() > start {
            write_pad_header(&mut out[start..], len);
        }
    }
    Ok(out)
}

#[derive(Default)]
struct SourceMap {
    sources: Vec<String>,
    known: HashMap<String, usize>,
    /// From an offset in the file on; nothing behind the end of a function.
    mappings: Vec<(u64, Option<Origin>)>,
}

impl SourceMap {
    fn add_all(&mut self, dwarf: &Dwarf<'_>, code: u64) -> gimli::Result<()> {
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            let Some(program) = unit.line_program.clone() else {
                continue;
            };
            // By the numbers that the unit has for its files.
            let mut files: HashMap<u64, usize> = HashMap::new();
            let mut rows = program.rows();
            let mut sequence = Vec::new();
            while let Some((header, row)) = rows.next_row()? {
                let origin = match row.line() {
                    Some(line) if !row.end_sequence() => {
                        let file = row.file_index();
                        let source = match files.get(&file) {
                            Some(source) => *source,
                            None => {
                                let source = self.source(path(dwarf, &unit, header, file)?);
                                files.insert(file, source);
                                source
                            }
                        };
                        Some(Origin {
                            source,
                            line: line.get() as i64 - 1,
                            column: match row.column() {
                                ColumnType::LeftEdge => 0,
                                ColumnType::Column(column) => column.get() as i64 - 1,
                            },
                        })
                    }
                    _ => None,
                };
                sequence.push((row.address(), origin));
                if row.end_sequence() {
                    let is_there = sequence.iter().all(|(address, _)| *address < NOWHERE);
                    let placed = sequence.drain(..).filter(|_| is_there);
                    self.mappings
                        .extend(placed.map(|(address, origin)| (code + address, origin)));
                }
            }
        }
        Ok(())
    }

    /// The number of a source.
    fn source(&mut self, path: String) -> usize {
        if let Some(known) = self.known.get(&path) {
            return *known;
        }
        self.sources.push(path.clone());
        self.known.insert(path, self.sources.len() - 1);
        self.sources.len() - 1
    }

    fn into_json(mut self) -> String {
        // At the end of one function another can begin: of several rows at one place the last that has a line holds.
        self.mappings
            .sort_by_key(|(offset, origin)| (*offset, origin.is_some()));
        let mut mappings = String::new();
        let mut before = (
            0,
            Origin {
                source: 0,
                line: 0,
                column: 0,
            },
        );
        let mut last = None;
        for (at, (offset, origin)) in self.mappings.iter().enumerate() {
            let is_replaced = self
                .mappings
                .get(at + 1)
                .is_some_and(|next| next.0 == *offset);
            if is_replaced || last == Some(*origin) {
                continue;
            }
            last = Some(*origin);
            if !mappings.is_empty() {
                mappings.push(',');
            }
            push_vlq(&mut mappings, (*offset - before.0) as i64);
            before.0 = *offset;
            if let Some(origin) = origin {
                let from = before.1;
                push_vlq(&mut mappings, origin.source as i64 - from.source as i64);
                push_vlq(&mut mappings, origin.line - from.line);
                push_vlq(&mut mappings, origin.column - from.column);
                before.1 = *origin;
            }
        }
        let sources: Vec<String> = self.sources.iter().map(|source| quoted(source)).collect();
        let sources = sources.join(",");
        format!(
            "{{\"version\":3,\"sources\":[{sources}],\"names\":[],\"mappings\":\"{mappings}\"}}"
        )
    }
}

/// Where a file of a line table is: its folder and its name, unless that says it all.
fn path<'a>(
    dwarf: &Dwarf<'a>,
    unit: &gimli::Unit<Slice<'a>>,
    header: &gimli::LineProgramHeader<Slice<'a>>,
    file: u64,
) -> gimli::Result<String> {
    let Some(file) = header.file(file) else {
        return Ok("(unknown)".to_owned());
    };
    let text = |value| -> gimli::Result<String> {
        let text = dwarf.attr_string(unit, value)?;
        Ok(text.to_string_lossy().into_owned())
    };
    let mut path = text(file.path_name())?;
    if path.starts_with('/') {
        return Ok(path);
    }
    if let Some(folder) = file.directory(header) {
        let folder = text(folder)?;
        if !folder.is_empty() {
            path = format!("{folder}/{path}");
        }
    }
    match unit.comp_dir {
        Some(folder) if !path.starts_with('/') && !folder.is_empty() => {
            Ok(format!("{}/{path}", folder.to_string_lossy()))
        }
        _ => Ok(path),
    }
}

/// A number in base 64, five bits at a time, the sign first.
fn push_vlq(out: &mut String, value: i64) {
    let mut rest = (value.unsigned_abs() << 1) | u64::from(value < 0);
    loop {
        let more = u64::from(rest >> 5 != 0) << 5;
        out.push(char::from(BASE64[(rest & 31 | more) as usize]));
        rest >>= 5;
        if rest == 0 {
            return;
        }
    }
}

/// Text as JSON has it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_dwarf_all_code_stays_where_it_is() {
        let text = r#"(module
            (@custom ".debug_line" (before code) "a table of lines")
            (@custom ".debug_str" (before code) "")
            (func (export "f") (result i32) i32.const 77)
            (@custom ".debug_info" "what is said")
            (@custom "other" "stays"))"#;
        let module = wat::parse_str(text).expect("a module");
        let bare = without_dwarf(&module).expect("a module");
        let (all, left) = (split(&module), split(&bare));
        let (all, left) = (all.expect("a module"), left.expect("a module"));
        let code = |sections: &[crate::inspect::read::Section<'_>]| {
            let code = sections.iter().find(|section| section.id == 10);
            code.map(|code| (code.range(), code.contents.to_vec()))
        };
        assert_eq!(code(&left), code(&all));
        let names: Vec<&str> = left
            .iter()
            .filter(|it| it.id == 0)
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["pad", "pad", "other"]);
        assert!(without_dwarf(b"\0asm").is_err());
        assert_eq!(without_dwarf(&bare).expect("a module"), bare);
    }
}
