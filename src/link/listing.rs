//! What a link can be asked to list: a map of the output, what was linked and why, what was dropped.

use std::fmt::Write;

use crate::layout::{Layout, Place, SectionKind};
use crate::link::build::Placed;
use crate::link::diagnostics::shown;
use crate::link::live;
use crate::link::session::Linked;
use crate::object::ids::SymbolIndex;
use crate::program::{DeclId, Shape};

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

const SECTIONS: [(SectionKind, &str); 12] = [
    (SectionKind::Type, "TYPE"),
    (SectionKind::Import, "IMPORT"),
    (SectionKind::Function, "FUNCTION"),
    (SectionKind::Table, "TABLE"),
    (SectionKind::Memory, "MEMORY"),
    (SectionKind::Tag, "TAG"),
    (SectionKind::Global, "GLOBAL"),
    (SectionKind::Export, "EXPORT"),
    (SectionKind::Start, "START"),
    (SectionKind::Element, "ELEM"),
    (SectionKind::Code, "CODE"),
    (SectionKind::Data, "DATA"),
];

impl Linked {
    /// The map of the output, as wasm-ld writes it: sections, and in code and data the objects' parts with their
    /// symbols. `Off` counts from the beginning of the file.
    pub fn map(&self) -> String {
        let mut out = format!(
            "{:>8} {:>8} {:>8} {:8}{:8}{}\n",
            "Addr", "Off", "Size", "Out", "In", "Symbol"
        );
        let Some(layout) = self.module.layout() else {
            return out;
        };
        let places = layout.sections.places();
        for (kind, name) in SECTIONS {
            let place = places.get(kind);
            if !place.present {
                continue;
            }
            let row = Row {
                address: None,
                offset: place.begin,
                size: place.end - place.begin,
                depth: 0,
                text: name,
            };
            push(&mut out, &row);
            match kind {
                SectionKind::Code => self.map_code(&mut out, layout),
                SectionKind::Data => self.map_data(&mut out, layout),
                _ => {}
            }
        }
        out
    }

    /// Each object's declarations with where they stand, in the order of the output.
    fn map_code(&self, out: &mut String, layout: &Layout) {
        let anchor = layout.sections.places().get(SectionKind::Code).anchor;
        let mut rows = Vec::new();
        let place_of = |id: DeclId| match layout.place(id) {
            Place::Function { body, .. } => {
                let slot = layout.functions.slot(body);
                Some((anchor + u64::from(slot.offset), u64::from(slot.cap)))
            }
            _ => None,
        };
        for (id, linked) in self.plan.resolution.each_object() {
            let unit = &self.assigned.known.units[id.index()];
            for (index, decl) in unit.functions.iter().enumerate() {
                if let Some((offset, size)) = decl.and_then(place_of) {
                    rows.push((offset, size, Some((linked, index)), String::new()));
                }
            }
        }
        for (key, decl) in &self.assigned.known.made {
            if let Some((offset, size)) = place_of(*decl) {
                let label = self.module.program().decl(*decl).given_name();
                let label = label.unwrap_or(key).to_owned();
                rows.push((offset, size, None, label));
            }
        }
        rows.sort_by_key(|(offset, ..)| *offset);
        let demangle = self.options.demangle;
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

    fn map_data(&self, out: &mut String, layout: &Layout) {
        let anchor = layout.sections.places().get(SectionKind::Data).anchor;
        let program = self.module.program();
        // Address, place in the file if it has one, and length.
        let place_of = |id: DeclId| -> Option<(u64, u64, u64)> {
            let Place::Data { address, .. } = layout.place(id) else {
                return None;
            };
            let definition = program.decl(id).next()?;
            let Shape::Data { size, memory, .. } = definition.shape else {
                return None;
            };
            let at = layout.data.image_of(memory)?;
            let image = &layout.data.images()[at];
            let offset = match address < image.top {
                true => anchor + layout.data.offset(at) + image.header_len() + address - image.base,
                false => 0,
            };
            Some((address, offset, size))
        };
        let mut rows = Vec::new();
        for (id, linked) in self.plan.resolution.each_object() {
            let unit = &self.assigned.known.units[id.index()];
            for (index, placed) in unit.segments.iter().enumerate() {
                if let Placed::Part(decl, start) = placed
                    && let Some((address, offset, _)) = place_of(*decl)
                {
                    let start = u64::from(*start);
                    let size = u64::from(linked.object.segments[index].data.len);
                    let offset = if offset == 0 { 0 } else { offset + start };
                    rows.push((address + start, offset, size, Some((linked, index))));
                }
            }
        }
        for decl in self.assigned.known.strings.values() {
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
                    let name = shown(name, self.options.demangle);
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
        let resolution = &self.plan.resolution;
        let trace = resolution.trace.iter();
        trace.map(|id| resolution.object(*id).object.display_name())
    }

    /// Who refers to and who defines the symbols that `--trace-symbol` names.
    pub fn traced_symbols(&self) -> &[String] {
        &self.plan.resolution.symbol_trace
    }

    /// Functions and segments that nothing leads to (`--print-gc-sections`).
    pub fn dropped_sections(&self) -> Vec<String> {
        let resolution = &self.plan.resolution;
        let dropped = live::dropped(resolution, &self.plan.live).into_iter();
        dropped
            .map(|(id, name)| format!("{}:({name})", resolution.object(id).object.display_name()))
            .collect()
    }

    /// Which reference made each member of an archive a part of the program, as a table (`--why-extract`).
    pub fn extractions(&self) -> String {
        let mut out = String::from("reference\textracted\tsymbol\n");
        for found in &self.plan.resolution.extractions {
            let _ = writeln!(out, "{}\t{}\t{}", found.reference, found.file, found.symbol);
        }
        out
    }
}
