//! Sections that are written whole, and headers.

use crate::layout::{
    NAME_SECTION_HEADER, NameEntry, Occupant, Ordinal, RawItem, SLOT_SEGMENT_HEADER, SectionKind,
    SectionPlace, encode_name,
};
use crate::patch::encode::encoder::Encoder;
use crate::patch::encode::items::entity_len;
use crate::patch::encode::runs::write_in_runs;
use crate::program::{DeclId, DefinitionKind, Exports};
use crate::wire::{leb, section};

/// What sections are written from besides the program and the layout.
pub(crate) struct SectionInputs<'a> {
    pub(crate) custom_front: &'a [u8],
    pub(crate) custom_tail: &'a [u8],
    pub(crate) names_tail: &'a [u8],
    pub(crate) exports: Exports<'a>,
    /// All data that has an address.
    pub(crate) data: &'a [DeclId],
}

impl Encoder<'_> {
    /// Writes a section's header, from its beginning to its first item.
    pub(crate) fn header(&self, kind: SectionKind, place: SectionPlace, out: &mut [u8]) {
        match kind {
            SectionKind::CustomFront | SectionKind::CustomTail | SectionKind::Identity => {}
            SectionKind::Custom(at) => {
                let end = place.end - place.begin;
                self.layout.customs.section(at).write_header(end, out);
            }
            SectionKind::Name => {
                out[0] = 0;
                leb::write_unsigned(&mut out[1..6], place.end - place.begin - 6);
                out[6] = 4;
                out[7..11].copy_from_slice(b"name");
                let at = NAME_SECTION_HEADER as usize;
                let front = self.layout.name_front();
                if let Some(name) = &front.module_name {
                    let name = name.as_bytes();
                    out[at] = 0;
                    leb::write_unsigned(&mut out[at + 1..at + 6], name.len() as u64 + 5);
                    leb::write_unsigned(&mut out[at + 6..at + 11], name.len() as u64);
                    out[at + 11..][..name.len()].copy_from_slice(name);
                }
                let at = at + front.module_len() as usize;
                let names = self.layout.names.end_offset() - self.layout.names.first_offset()
                    + front.imports.len() as u32;
                out[at] = 1;
                leb::write_unsigned(&mut out[at + 1..at + 6], u64::from(names) + 5);
                leb::write_unsigned(&mut out[at + 6..at + 11], place.value.into());
                out[at + 11..].copy_from_slice(&front.imports);
            }
            _ => section::write_header(out, kind.id(), place.end - place.begin, place.value),
        }
    }

    /// Writes a section that is written whole, `out` being all of it.
    pub(crate) fn section(
        &self,
        kind: SectionKind,
        place: SectionPlace,
        inputs: &SectionInputs<'_>,
        out: &mut [u8],
    ) {
        let header = self.layout.sections.header_len(kind) as usize;
        self.header(kind, place, &mut out[..header]);
        let out = &mut out[header..];
        let layout = self.layout;
        match kind {
            SectionKind::CustomFront => out.copy_from_slice(inputs.custom_front),
            SectionKind::CustomTail => out.copy_from_slice(inputs.custom_tail),
            SectionKind::Type => self.types(out),
            SectionKind::Import => self.imports(out),
            SectionKind::Function => self.entries(out),
            SectionKind::Table => self.entities(&layout.tables, out),
            SectionKind::Memory => self.entities(&layout.memories, out),
            SectionKind::Tag => self.entities(&layout.tags, out),
            SectionKind::Global => self.globals(out),
            SectionKind::Export => self.exports(inputs.exports, out),
            SectionKind::Element => self.elements(out),
            SectionKind::Code => {
                self.code_range(layout.functions.first(), layout.functions.end(), out);
            }
            SectionKind::Data => self.all_data(inputs.data, out),
            SectionKind::Name => self.names(inputs.names_tail, out),
            SectionKind::Custom(at) => {
                let custom = layout.customs.section(at);
                let (prefix, out) = out.split_at_mut(custom.prefix.len());
                prefix.copy_from_slice(custom.prefix);
                self.custom_range(at, 0..custom.regions().len() as u32, out);
            }
            SectionKind::Start | SectionKind::DataCount | SectionKind::Identity => {}
        }
    }

    fn types(&self, out: &mut [u8]) {
        for extent in self.layout.types.extents() {
            let out = &mut out[extent.offset as usize..][..extent.len as usize];
            self.layout.types.encode(&self.program.types, extent, out);
        }
    }

    fn imports(&self, out: &mut [u8]) {
        let mut at = 0;
        for &id in self.layout.imports.iter() {
            let len = self.next(id).content.len();
            self.decl(id, &mut out[at..at + len]);
            at += len;
        }
    }

    /// The function section.
    fn entries(&self, out: &mut [u8]) {
        let ordinals: Vec<Ordinal> = self.layout.functions.ordinals().collect();
        let first = self.layout.functions.first().index();
        let start = |ordinal: &Ordinal| (ordinal.index() - first) * leb::WIDE32;
        write_in_runs(&ordinals, out, start, |ordinal, out| {
            leb::write_unsigned(out, self.entry_type(*ordinal).into());
        });
    }

    /// Writes the tables, memories or tags.
    fn entities(&self, ids: &[DeclId], out: &mut [u8]) {
        let mut at = 0;
        for &id in ids {
            let definition = self.next(id);
            let len = entity_len(definition);
            let out = &mut out[at..at + len];
            if definition.shape == DefinitionKind::SlotTable {
                self.slot_table(out);
            } else {
                self.decl(id, out);
            }
            at += len;
        }
    }

    fn globals(&self, out: &mut [u8]) {
        let globals = &self.layout.globals;
        let front = globals.slot(globals.first()).offset;
        for ordinal in globals.ordinals() {
            let slot = globals.slot(ordinal);
            let out = &mut out[(slot.offset - front) as usize..][..slot.len as usize];
            self.global(ordinal, out);
        }
    }

    /// The segment of the slots, and the program's own element segments.
    fn elements(&self, out: &mut [u8]) {
        if self.layout.slot_table.is_some() {
            self.slot_segment_header(&mut out[..SLOT_SEGMENT_HEADER as usize]);
            let entries = out[SLOT_SEGMENT_HEADER as usize..].chunks_exact_mut(leb::WIDE32);
            for (owner, out) in self.layout.slots.owners().iter().zip(entries) {
                leb::write_unsigned(out, self.slot_value(*owner).into());
            }
        }
        let start = self.layout.slot_segment_len() as usize;
        self.raw_items(&self.layout.elements, &mut out[start..]);
    }

    fn raw_items(&self, items: &[RawItem], out: &mut [u8]) {
        for item in items {
            let out = &mut out[item.offset as usize..][..item.len as usize];
            self.decl(item.decl, out);
        }
    }

    /// The segments of the images, with `data` in them, and the program's own data segments.
    fn all_data(&self, data: &[DeclId], out: &mut [u8]) {
        let mut at = 0;
        for index in self.layout.data.indices() {
            let image = self.layout.data.image(index);
            let header = image.header_len() as usize;
            self.image_header(index, &mut out[at..at + header]);
            at += header;
            let contents = &mut out[at..at + image.cap as usize];
            self.image(index, data, contents);
            at += image.cap as usize;
        }
        self.raw_items(&self.layout.data_segments, &mut out[at..]);
    }

    /// Function names, and `tail` behind them.
    fn names(&self, tail: &[u8], out: &mut [u8]) {
        let names = &self.layout.names;
        let front = names.first_offset();
        let end = (names.end_offset() - front) as usize;
        let (out, behind) = out.split_at_mut(end);
        behind.copy_from_slice(tail);
        let ordinals = self.layout.functions.ordinals();
        let entries = ordinals.filter_map(|ordinal| Some((ordinal, names.entry(ordinal)?)));
        let entries: Vec<(Ordinal, NameEntry)> = entries.collect();
        let start = |(_, entry): &(Ordinal, NameEntry)| (entry.offset - front) as usize;
        write_in_runs(&entries, out, start, |(ordinal, entry), out| {
            let out = &mut out[..entry.len as usize];
            match self.layout.functions.slot(*ordinal).occupant {
                Occupant::Body(_) => self.name(*ordinal, out),
                // LLVM's tools refuse names without a character.
                _ => encode_name(self.layout.functions.index(*ordinal), " ", out),
            }
        });
    }
}
