//! What a link can be asked to list: a map of the output, what was linked and why, what was dropped.

use std::fmt::Write;
use std::ops::Range;

use crate::layout::{ImageIndex, Layout, Place, SectionKind};
use crate::link::declare::SegmentPlacement;
use crate::link::diagnostics::shown;
use crate::link::gc;
use crate::link::release;
use crate::link::report::{LinkReport, PhaseTimes};
use crate::link::session::Linked;
use crate::object::ids::SymbolIndex;
use crate::output::{LastCheck, OutputOptions};
use crate::patch::Dense;
use crate::program::{DeclId, DefinitionKind};
use crate::wire::leb;

/// A line of the map: where something stands in memory and in the file, how long it is, what it is a part of, and what.
struct Row<'a> {
    address: Option<u64>,
    offset: u64,
    size: u64,
    depth: usize,
    text: &'a str,
}

fn push(out: &mut String, row: &Row<'_>) {
    let address = match row.address {
        Some(address) => format!("{address:>8x}"),
        None => "       -".to_owned(),
    };
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{address} {:>8x} {:>8x} {:depth$}{}",
        row.offset,
        row.size,
        "",
        row.text,
        depth = row.depth * 8,
    );
}

/// The sections in a run of custom sections: where each begins, its length, its name.
fn custom_sections(bytes: &[u8]) -> Vec<(u64, u64, &str)> {
    let mut sections = Vec::new();
    let mut at = 0;
    let read = |at: usize| leb::read_unsigned(bytes.get(at..)?);
    while let Some((size, size_len)) = read(at + 1) {
        let contents = at + 1 + size_len;
        let end = contents + size as usize;
        let name = read(contents).and_then(|(len, width)| {
            let start = contents + width;
            std::str::from_utf8(bytes.get(start..start + len as usize)?).ok()
        });
        sections.push((at as u64, (end - at) as u64, name.unwrap_or_default()));
        at = end;
    }
    sections
}

fn section_name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Type => "TYPE",
        SectionKind::Import => "IMPORT",
        SectionKind::Function => "FUNCTION",
        SectionKind::Table => "TABLE",
        SectionKind::Memory => "MEMORY",
        SectionKind::Tag => "TAG",
        SectionKind::Global => "GLOBAL",
        SectionKind::Export => "EXPORT",
        SectionKind::Start => "START",
        SectionKind::Element => "ELEM",
        SectionKind::DataCount => "DATACOUNT",
        SectionKind::Code => "CODE",
        SectionKind::Data => "DATA",
        SectionKind::Name => "CUSTOM(name)",
        SectionKind::Identity => "CUSTOM(wasmend)",
        SectionKind::Custom(_) | SectionKind::CustomFront | SectionKind::CustomTail => "CUSTOM",
    }
}

/// Where things stand in a file: in the patchable one, or in a dense one that was made of the program.
struct Places<'a> {
    layout: &'a Layout,
    dense: Option<&'a Dense<'a>>,
}

impl Places<'_> {
    /// The sections that are there, in file order.
    fn sections(&self) -> Vec<(SectionKind, Range<u64>)> {
        match self.dense {
            Some(dense) => dense.sections.clone(),
            None => {
                let present = self.layout.sections.places().present();
                present
                    .map(|(kind, place)| (kind, place.begin..place.end))
                    .collect()
            }
        }
    }

    /// A function's code entry.
    fn code(&self, id: DeclId) -> Option<Range<u64>> {
        let Place::Function { body, .. } = self.layout.place(id) else {
            return None;
        };
        match self.dense {
            Some(dense) => {
                let at = (body.0 - self.layout.functions.first().0) as usize;
                Some(*dense.code().get(at)?..*dense.code().get(at + 1)?)
            }
            None => {
                let anchor = self.layout.sections.get(SectionKind::Code).anchor;
                let slot = self.layout.functions.slot(body);
                let begin = anchor + u64::from(slot.offset);
                Some(begin..begin + u64::from(slot.cap))
            }
        }
    }

    /// Where the file has what stands at an address; 0 if nowhere, because it is zero.
    fn data(&self, image: ImageIndex, address: u64) -> u64 {
        match self.dense {
            Some(dense) => {
                let mut chunks = dense.data.iter().filter(|chunk| chunk.image == image);
                let chunk = chunks
                    .find(|chunk| (chunk.address..chunk.address + chunk.len).contains(&address));
                chunk.map_or(0, |chunk| chunk.offset + address - chunk.address)
            }
            None => {
                let anchor = self.layout.sections.get(SectionKind::Data).anchor;
                let place = self.layout.data.image(image);
                let begin = anchor + self.layout.data.offset(image) + place.header_len();
                match address < place.top {
                    true => begin + address - place.base,
                    false => 0,
                }
            }
        }
    }
}

impl Linked {
    /// The map of the output, as wasm-ld writes it: sections, and in code and data the objects' parts with their
    /// symbols. `Off` counts from the beginning of the file.
    pub fn map(&self) -> String {
        match self.state.module.layout() {
            Some(layout) => self.map_of(&Places {
                layout,
                dense: None,
            }),
            None => String::new(),
        }
    }

    /// The program as it is to be released, and its map if it is wanted. Beside what [`Linked::finish`] does, long runs of
    /// zeros in data are left out; so its segments are others than those of the patchable file.
    ///
    /// # Errors
    /// If a limit of engines would be exceeded.
    pub fn release(&self, with_map: bool) -> crate::Result<(Vec<u8>, Option<String>)> {
        self.release_as(with_map, |dense| Ok(dense.to_vec()))
    }

    /// Writes the same where the options say, notes in the report how long that took and how long the file is, and returns the
    /// map if it is wanted. `check` is the last one.
    ///
    /// # Errors
    /// As with [`Linked::release`] and [`write_file`](crate::output::write_file).
    pub fn release_to(
        &self,
        publishing: &OutputOptions,
        with_map: bool,
        check: LastCheck<'_>,
        report: &mut LinkReport,
    ) -> crate::Result<Option<String>> {
        let mut times = PhaseTimes::start();
        let path = &self.state.options.output;
        let (len, map) = self.release_as(with_map, |dense| {
            times.lap("lay out");
            release::write(dense, path, publishing, check)
        })?;
        times.lap("write");
        report.patch.file_len = len;
        report.phases.append(&mut times.phases);
        Ok(map)
    }

    fn release_as<R>(
        &self,
        with_map: bool,
        use_it: impl FnOnce(&Dense<'_>) -> crate::Result<R>,
    ) -> crate::Result<(R, Option<String>)> {
        let style = self.dense_style(true);
        release::with_dense(style, &self.state.module, |layout, dense| {
            let places = Places {
                layout,
                dense: Some(dense),
            };
            let map = with_map.then(|| self.map_of(&places));
            Ok((use_it(dense)?, map))
        })
    }

    fn map_of(&self, places: &Places<'_>) -> String {
        let mut out = format!(
            "{:>8} {:>8} {:>8} {:8}{:8}{}\n",
            "Addr", "Off", "Size", "Out", "In", "Symbol"
        );
        for (kind, range) in places.sections() {
            let mut row = |offset: u64, size: u64, text: &str| {
                let row = Row {
                    address: None,
                    offset,
                    size,
                    depth: 0,
                    text,
                };
                push(&mut out, &row);
            };
            match kind {
                SectionKind::CustomFront => {}
                // Whole sections, one behind the other.
                SectionKind::CustomTail => {
                    for (at, len, name) in custom_sections(self.state.module.custom_tail()) {
                        row(range.start + at, len, &format!("CUSTOM({name})"));
                    }
                }
                SectionKind::Custom(at) => {
                    let name = &places.layout.customs.section(at).name;
                    let text = format!("CUSTOM({name})");
                    row(range.start, range.end - range.start, &text);
                }
                _ => row(range.start, range.end - range.start, section_name(kind)),
            }
            match kind {
                SectionKind::Global => self.map_globals(&mut out, places.layout),
                SectionKind::Code => self.map_code(&mut out, places),
                SectionKind::Data => self.map_data(&mut out, places),
                _ => {}
            }
        }
        out
    }

    /// The globals' names; their indices stand where others have an address.
    fn map_globals(&self, out: &mut String, layout: &Layout) {
        for ordinal in layout.globals.ordinals() {
            let owner = layout.globals.slot(ordinal).owner;
            let name = owner.and_then(|id| self.state.module.program().decl(id).given_name());
            if let Some(name) = name {
                let row = Row {
                    address: Some(layout.globals.index(ordinal).into()),
                    offset: 0,
                    size: 0,
                    depth: 1,
                    text: name,
                };
                push(out, &row);
            }
        }
    }

    /// Each object's declarations with where they stand, in the order of the output.
    fn map_code(&self, out: &mut String, places: &Places<'_>) {
        let mut rows = Vec::new();
        let place_of = |id: DeclId| {
            let range = places.code(id)?;
            Some((range.start, range.end - range.start))
        };
        for (id, linked) in self.state.plan.resolution.each_object() {
            let unit = &self.state.declarations.known.units[id.index()];
            for (index, decl) in unit.functions.iter().enumerate() {
                if let Some((offset, size)) = decl.and_then(place_of) {
                    rows.push((offset, size, Some((linked, index)), String::new()));
                }
            }
        }
        for (key, decl) in &self.state.declarations.known.synthetic {
            if let Some((offset, size)) = place_of(*decl) {
                let label = self.state.module.program().decl(*decl).given_name();
                let label = label.unwrap_or(key).to_owned();
                rows.push((offset, size, None, label));
            }
        }
        rows.sort_by_key(|(offset, ..)| *offset);
        let demangle = self.state.options.demangle;
        for (offset, size, source, made) in rows {
            let mut row = |depth: usize, text: &str| {
                let row = Row {
                    address: None,
                    offset,
                    size,
                    depth,
                    text,
                };
                push(out, &row);
            };
            let Some((linked, function)) = source else {
                row(1, &format!("<internal>:({made})"));
                continue;
            };
            let object = &linked.object;
            let name = object.function_name(function).unwrap_or_default();
            row(1, &format!("{}:({name})", object.display_name()));
            let names = object.symbols.iter().enumerate().filter(|(_, symbol)| {
                let defined = symbol.function().and_then(|id| object.defined_function(id));
                defined == Some(function) && !symbol.is_undefined()
            });
            for (index, _) in names {
                row(
                    2,
                    &shown(object.symbol_name(SymbolIndex(index as u32)), demangle),
                );
            }
        }
    }

    fn map_data(&self, out: &mut String, places: &Places<'_>) {
        let layout = places.layout;
        let program = self.state.module.program();
        // Address, place in the file if it has one, and length.
        let place_of = |id: DeclId| -> Option<(u64, u64, u64)> {
            let Place::Data { address, .. } = layout.place(id) else {
                return None;
            };
            let definition = program.decl(id).next()?;
            let DefinitionKind::Data { size, memory, .. } = definition.shape else {
                return None;
            };
            let at = layout.data.image_of(memory)?;
            let offset = places.data(at, address);
            Some((address, offset, size))
        };
        let mut rows = Vec::new();
        for (id, linked) in self.state.plan.resolution.each_object() {
            let unit = &self.state.declarations.known.units[id.index()];
            for (index, placed) in unit.segments.iter().enumerate() {
                if let SegmentPlacement::Part(decl, start) = placed
                    && let Some((address, offset, _)) = place_of(*decl)
                {
                    let start = u64::from(*start);
                    let size = u64::from(linked.object.segments[index].data.len);
                    let offset = if offset == 0 { 0 } else { offset + start };
                    rows.push((address + start, offset, size, Some((linked, index))));
                }
            }
        }
        for decl in self.state.declarations.known.strings.values() {
            if let Some((address, offset, size)) = place_of(*decl) {
                rows.push((address, offset, size, None));
            }
        }
        rows.sort_by_key(|(address, ..)| *address);
        for (address, offset, size, source) in rows {
            let mut row = |depth: usize, address: u64, size: u64, text: &str| {
                let row = Row {
                    address: Some(address),
                    offset,
                    size,
                    depth,
                    text,
                };
                push(out, &row);
            };
            let Some((linked, segment)) = source else {
                row(1, address, size, "<internal>:(string)");
                continue;
            };
            let object = &linked.object;
            let name = object.str(object.segments[segment].name);
            row(
                1,
                address,
                size,
                &format!("{}:({name})", object.display_name()),
            );
            for (index, symbol) in object.symbols.iter().enumerate() {
                if symbol.segment().is_some_and(|id| id.index() == segment) {
                    let name = object.symbol_name(SymbolIndex(index as u32));
                    let name = shown(name, self.state.options.demangle);
                    row(
                        2,
                        address + u64::from(symbol.value),
                        symbol.size.into(),
                        &name,
                    );
                }
            }
        }
    }

    /// The files of the program, in the order in which they were taken up (`--trace`).
    pub fn traced_files(&self) -> impl Iterator<Item = &str> {
        let resolution = &self.state.plan.resolution;
        let trace = resolution.trace.iter();
        trace.map(|id| resolution.object(*id).object.display_name())
    }

    /// Who refers to and who defines the symbols that `--trace-symbol` names.
    pub fn traced_symbols(&self) -> &[String] {
        &self.state.plan.resolution.symbol_trace
    }

    /// Functions and segments that nothing leads to (`--print-gc-sections`).
    pub fn dropped_sections(&self) -> Vec<String> {
        let resolution = &self.state.plan.resolution;
        let dropped = gc::dropped(resolution, &self.state.plan.live).into_iter();
        dropped
            .map(|(id, name)| format!("{}:({name})", resolution.object(id).object.display_name()))
            .collect()
    }

    /// Which reference made each member of an archive a part of the program, as a table (`--why-extract`).
    pub fn extractions(&self) -> String {
        let mut out = String::from("reference\textracted\tsymbol\n");
        for found in &self.state.plan.resolution.extractions {
            let _ = writeln!(out, "{}\t{}\t{}", found.reference, found.file, found.symbol);
        }
        out
    }
}
