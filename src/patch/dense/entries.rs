//! What is written as a list of short entries: everything but code, data with addresses, pieces of custom sections and names.

use std::convert::Infallible;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layout::{Ordinal, SectionKind};
use crate::parallel::{region, task};
use crate::patch::dense::draft::Draft;
use crate::patch::dense::numbers::{limits_of_import, short_constant, short_limits};
use crate::patch::dense::writer::Writer;
use crate::patch::encode::SectionInputs;
use crate::patch::order::RUN;
use crate::program::short::{push_content, push_group};
use crate::program::{DeclId, Definition, DefinitionKind, RelocKind, RelocatableBytes, Relocation};
use crate::wire::filler::END;
use crate::wire::leb::{push_signed, push_unsigned, read_unsigned};
use crate::wire::section::push_string;

/// Entries of a vector: how many, and their bytes.
pub(super) type Entries = (usize, Vec<u8>);

impl Writer<'_> {
    /// Appends all that comes before the code but for how many data segments there are.
    pub(super) fn entries(&self, extra: &SectionInputs<'_>, draft: &mut Draft) -> Result<()> {
        let layout = self.encoder.layout;
        draft.vector(SectionKind::Type, self.types()?);
        draft.vector(
            SectionKind::Import,
            self.list(&layout.imports, Writer::import),
        );
        draft.vector(SectionKind::Function, self.function_types());
        draft.vector(SectionKind::Table, self.list(&layout.tables, Writer::table));
        draft.vector(
            SectionKind::Memory,
            self.list(&layout.memories, Writer::limits_only),
        );
        draft.vector(SectionKind::Tag, self.list(&layout.tags, Writer::decl));
        let globals = layout.globals.ordinals();
        let globals: Vec<DeclId> = globals
            .filter_map(|ordinal| layout.globals.slot(ordinal).owner)
            .collect();
        draft.vector(SectionKind::Global, self.list(&globals, Writer::global));
        draft.vector(SectionKind::Export, self.exports(extra));
        if let Some(start) = (*layout.start).and_then(|start| layout.function_index(start)) {
            draft.number(SectionKind::Start, start);
        }
        draft.vector(SectionKind::Element, self.elements());
        Ok(())
    }

    fn list(&self, ids: &[DeclId], write: impl Fn(&Self, DeclId, &mut Vec<u8>)) -> Entries {
        let mut out = Vec::new();
        ids.iter().for_each(|id| write(self, *id, &mut out));
        (ids.len(), out)
    }

    fn types(&self) -> Result<Entries> {
        let (types, table) = (&self.encoder.layout.types, &self.encoder.program.types);
        let mut out = Vec::new();
        let mut count = 0;
        for first in types.groups() {
            push_group(&mut out, table.group_of(first), |ty| {
                let index = types.shared_index(ty);
                index.ok_or_else(|| Error::bad_edit("names a type that is not there"))
            })?;
            count += 1;
        }
        Ok((count, out))
    }

    /// Writes a declaration's bytes with short fields.
    pub(super) fn decl(&self, id: DeclId, out: &mut Vec<u8>) {
        self.content(id, &self.encoder.next(id).content, 0, out);
    }

    /// Writes a declaration's bytes from `start` on, with short fields.
    pub(super) fn content(
        &self,
        id: DeclId,
        content: &RelocatableBytes,
        start: usize,
        out: &mut Vec<u8>,
    ) {
        let root = self.encoder.root(id);
        let value = |reloc: &Relocation| Ok::<_, Infallible>(self.encoder.value(root, reloc));
        let Ok(()) = push_content(out, content, start, value);
    }

    fn import(&self, id: DeclId, out: &mut Vec<u8>) {
        let content = &self.encoder.next(id).content;
        let bytes = content.bytes();
        let limits = match content.relocs().is_empty() {
            true => limits_of_import(bytes),
            false => None,
        };
        match limits.and_then(|at| Some((at, short_limits(&bytes[at..])?))) {
            Some((at, short)) => {
                out.extend_from_slice(&bytes[..at]);
                out.extend_from_slice(&short);
            }
            None => self.decl(id, out),
        }
    }

    fn table(&self, id: DeclId, out: &mut Vec<u8>) {
        let Definition { content, shape } = self.encoder.next(id);
        if *shape == DefinitionKind::SlotTable {
            let options = &self.encoder.layout.options;
            let entries = u64::from(self.encoder.layout.slots.table_len());
            out.extend([
                0x70,
                u8::from(!options.growable_table) | u8::from(options.table64) << 2,
            ]);
            push_unsigned(out, entries);
            if !options.growable_table {
                push_unsigned(out, entries);
            }
            return;
        }
        let bytes = content.bytes();
        // A type of one byte, without an initialiser.
        let is_plain = content.relocs().is_empty() && matches!(bytes[0], 0x68..=0x74);
        match is_plain.then(|| short_limits(&bytes[1..])).flatten() {
            Some(limits) => {
                out.push(bytes[0]);
                out.extend_from_slice(&limits);
            }
            None => self.decl(id, out),
        }
    }

    fn limits_only(&self, id: DeclId, out: &mut Vec<u8>) {
        match short_limits(self.encoder.next(id).content.bytes()) {
            Some(limits) => out.extend_from_slice(&limits),
            None => self.decl(id, out),
        }
    }

    fn global(&self, id: DeclId, out: &mut Vec<u8>) {
        let content = &self.encoder.next(id).content;
        let bytes = content.bytes();
        let constant = match content.relocs().is_empty() {
            true => bytes.get(2..).and_then(short_constant),
            false => None,
        };
        match constant {
            Some(constant) => {
                out.extend_from_slice(&bytes[..2]);
                out.extend_from_slice(&constant);
            }
            None => self.decl(id, out),
        }
    }

    fn function_types(&self) -> Entries {
        let functions = &self.encoder.layout.functions;
        let ordinals: Vec<Ordinal> = functions.ordinals().collect();
        let types = |run: &[Ordinal]| {
            let mut out = Vec::with_capacity(run.len());
            let types = run.iter().map(|ordinal| self.encoder.entry_type(*ordinal));
            types.for_each(|ty| push_unsigned(&mut out, ty.into()));
            out
        };
        let runs = ordinals.par_chunks(RUN);
        let runs: Vec<Vec<u8>> = region(|| runs.map(|run| task(|| types(run))).collect());
        (functions.count() as usize, runs.concat())
    }

    fn exports(&self, extra: &SectionInputs<'_>) -> Entries {
        let exports = &self.encoder.layout.exports;
        let mut out = Vec::new();
        for export in exports.ids().filter_map(|id| extra.exports.get(id)) {
            push_string(&mut out, &export.name);
            out.push(self.encoder.program.decl(export.decl).kind.external());
            push_unsigned(&mut out, self.encoder.export_index(export.decl).into());
        }
        (exports.count() as usize, out)
    }

    fn elements(&self) -> Entries {
        let layout = self.encoder.layout;
        let mut out = Vec::new();
        let mut count = layout.elements.len();
        // The program's own segments are numbered behind that of the slots.
        if layout.slot_table.is_some() && (layout.slots.len() > 0 || count > 0) {
            count += 1;
            let table = self.encoder.slot_table_index();
            out.push(if table == 0 { 0 } else { 2 });
            if table != 0 {
                push_unsigned(&mut out, table.into());
            }
            out.push(self.encoder.slot_constant());
            push_signed(&mut out, layout.slots.base().into());
            out.push(END);
            if table != 0 {
                out.push(0);
            }
            push_unsigned(&mut out, layout.slots.len().into());
            for owner in layout.slots.owners() {
                push_unsigned(&mut out, self.encoder.slot_value(*owner).into());
            }
        }
        for item in layout.elements.iter() {
            self.decl(item.decl, &mut out);
        }
        (count, out)
    }

    /// A segment that the program describes: with a short size if it is loaded by code, in the short form if it is for
    /// memory 0.
    pub(super) fn data_segment(&self, id: DeclId, out: &mut Vec<u8>) {
        let content = &self.encoder.next(id).content;
        let bytes = content.bytes();
        let root = self.encoder.root(id);
        let size = bytes.get(1..).and_then(read_unsigned);
        match (bytes.first(), content.relocs().first(), size) {
            (Some(1), _, Some((size, len))) => {
                out.push(1);
                push_unsigned(out, size);
                self.content(id, content, 1 + len, out);
            }
            (Some(2), Some(memory), _)
                if memory.kind == RelocKind::MemoryIndex
                    && memory.offset == 1
                    && self.encoder.value(root, memory) == 0 =>
            {
                out.push(0);
                self.content(id, content, 2, out);
            }
            _ => self.decl(id, out),
        }
    }
}
