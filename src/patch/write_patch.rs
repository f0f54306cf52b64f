//! From a plan to bytes: each thing to be written becomes a range at its file offset.

use crate::layout::{
    ImageIndex, Layout, Occupant, Ordinal, Place, Places, RawItem, SLOT_SEGMENT_HEADER, SectionKind,
};
use crate::patch::encode::{Encoder, SIZE, SLOT_TABLE_LEN, SectionInputs, entity_len};
use crate::patch::lengths::forwarder_target;
use crate::patch::piece_difference::{GAP, piece_difference};
use crate::patch::plan::{OrphanSite, Site, Writes, WrittenItems};
use crate::patch::ranges::{RangeList, Reason};
use crate::patch::tail::{BuildIdentity, Shape};
use crate::program::{DeclId, DeclKind, DefinitionKind, ExportId, Exports, RelocKind, Relocation};
use crate::wire::{filler, leb, section};

/// Filler up to this many bytes is written as one run; of more, only the bytes that must be.
const DENSE_FILLER: usize = 34;

/// Makes the ranges of a plan. `before` are the places of the sections in the published file.
pub(crate) fn write_patch(
    encoder: Encoder<'_>,
    before: &Places,
    writes: &Writes,
    extra: &SectionInputs<'_>,
    old_len: u64,
    identity: BuildIdentity,
) -> (RangeList, BuildIdentity) {
    let layout = encoder.layout;
    let mut out = Writer {
        encoder,
        layout,
        writes,
        ranges: RangeList::new(old_len),
        scratch: Vec::new(),
    };
    out.sections(before, extra);
    out.code();
    out.types();
    out.entries();
    out.globals();
    out.slots();
    out.slot_table();
    out.raw();
    out.data();
    out.pieces();
    out.gaps();
    out.names(extra);
    out.sites();
    out.orphan_sites();
    out.exports(extra.exports);
    let kind = SectionKind::Identity;
    let place = layout.sections.get(kind);
    let mut ranges = out.ranges;
    ranges.sort();
    let mut bytes = vec![0; (place.end - place.begin) as usize];
    // A section that moved is written whole; otherwise only what varies.
    let places = layout.sections.places();
    let skip = if before == places {
        BuildIdentity::VARIES_AT
    } else {
        let shape = Shape::of(places);
        identity.write(shape, &mut bytes);
        match before.get(kind).begin == place.begin {
            true if shape == Shape::of(before) => BuildIdentity::VARIES_AT,
            true => BuildIdentity::SHAPE_AT,
            false => 0,
        }
    };
    // The build id stands for all that is written but itself.
    let start = place.begin + skip;
    let fixed = &bytes[skip as usize..BuildIdentity::VARIES_AT as usize];
    let fixed = (!fixed.is_empty()).then_some((start, fixed));
    let written = ranges.iter().map(|(range, bytes)| (range.offset, bytes));
    let next = identity.next(written.chain(fixed));
    next.write_varying(&mut bytes);
    ranges.push(start, &bytes[skip as usize..], Reason::Identity);
    ranges.finish(layout.sections.file_len());
    (ranges, next)
}

struct Writer<'a> {
    encoder: Encoder<'a>,
    layout: &'a Layout,
    writes: &'a Writes,
    ranges: RangeList,
    scratch: Vec<u8>,
}

impl Writer<'_> {
    fn is_whole(&self, kind: SectionKind) -> bool {
        self.writes.whole.contains(&kind)
    }

    fn anchor(&self, kind: SectionKind) -> u64 {
        self.layout.sections.get(kind).anchor
    }

    /// Whole sections, headers that changed, and pads.
    fn sections(&mut self, before: &Places, extra: &SectionInputs<'_>) {
        for (kind, place) in self.layout.sections.places().present() {
            let old = before.get(kind);
            if self.is_whole(kind) {
                let mut bytes = vec![0; (place.end - place.begin) as usize];
                self.encoder.section(kind, place, extra, &mut bytes);
                let moved = old.present
                    && old.begin != place.begin
                    && !matches!(kind, SectionKind::Identity);
                let reason = if moved {
                    Reason::MakeRoom
                } else {
                    whole_reason(kind)
                };
                if kind != SectionKind::Identity {
                    self.ranges.push(place.begin, &bytes, reason);
                }
            } else if old != place || (kind == SectionKind::Name && self.writes.places.name_front) {
                let mut bytes = vec![0; self.layout.sections.header_len(kind) as usize];
                self.encoder.header(kind, place, &mut bytes);
                self.ranges.push(place.begin, &bytes, Reason::Header);
            }
        }
        let old: Vec<(u64, u64)> = before.pads().collect();
        for (begin, end) in self.layout.sections.places().pads() {
            if old.binary_search(&(begin, end)).is_err() {
                let mut bytes = vec![0; section::pad_header_len(end - begin)];
                section::write_pad_header(&mut bytes, end - begin);
                self.ranges.push(begin, &bytes, Reason::Pad);
            }
        }
    }

    fn code(&mut self) {
        let writes = self.writes;
        let anchor = self.anchor(SectionKind::Code);
        let first = self.layout.functions.first();
        for (&ordinal, &prior) in writes
            .places
            .code
            .iter()
            .filter(|(ordinal, _)| **ordinal >= first)
        {
            self.code_entry(anchor, ordinal, prior);
        }
        for &ordinal in writes
            .places
            .forwarders
            .iter()
            .filter(|ordinal| !writes.places.code.contains_key(*ordinal))
        {
            let slot = self.layout.functions.slot(ordinal);
            let Occupant::Forwarder(id) = slot.occupant else {
                continue;
            };
            let Place::Function { body, .. } = self.layout.place(id) else {
                continue;
            };
            let ty = self
                .encoder
                .program
                .decl(id)
                .next()
                .and_then(|definition| definition.ty());
            let at = forwarder_target(self.encoder.program, ty.expect("a function has a type"));
            let mut field = [0; leb::WIDE32];
            leb::write_unsigned(&mut field, self.layout.functions.index(body).into());
            self.ranges.push(
                anchor + u64::from(slot.offset + at),
                &field,
                Reason::Forwarder,
            );
        }
    }

    fn code_entry(&mut self, anchor: u64, ordinal: Ordinal, prior: Option<Occupant>) {
        let slot = self.layout.functions.slot(ordinal);
        let (reason, terminated) = match slot.occupant {
            Occupant::Body(_) if prior.is_none() => (Reason::BodyAppended, false),
            Occupant::Body(_) if prior == Some(slot.occupant) => (Reason::BodyInPlace, false),
            Occupant::Body(_) => (Reason::BodyReused, false),
            Occupant::Thunk(_) => (Reason::Thunk, false),
            Occupant::Forwarder(_) => (Reason::Forwarder, false),
            Occupant::Reserve | Occupant::Dead | Occupant::Trap => (Reason::Dead, true),
        };
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        let mut offset = anchor + u64::from(slot.offset);
        let room = slot.cap as usize - SIZE;
        let mut code = Vec::new();
        self.encoder.made_code(ordinal, &mut code);
        if prior.is_none() {
            leb::push_wide32(&mut bytes, room as u32);
        } else {
            offset += SIZE as u64;
        }
        let mut filled = room - code.len();
        let mut known = 0;
        if let (Reason::BodyInPlace, Occupant::Body(id)) = (reason, slot.occupant) {
            known = self.push_difference(offset, id, &code, reason);
            let old = self.encoder.program.decl(id).current();
            if old.is_some_and(|old| old.content.len() == code.len() + 1) {
                // The filler behind is as it should be.
                filled = 0;
            }
        }
        offset += known as u64;
        bytes.extend_from_slice(&code[known..]);
        let start = bytes.len();
        if filled == 0 {
            self.ranges.push(offset, &bytes, reason);
            self.scratch = bytes;
            return;
        }
        if filled <= DENSE_FILLER {
            bytes.resize(start + filled, 0);
            filler::fill(filled, terminated, |run| {
                bytes[start + run.offset..][..run.bytes.len()].copy_from_slice(run.bytes);
            });
            self.ranges.push(offset, &bytes, reason);
        } else {
            let behind = offset + start as u64;
            let ranges = &mut self.ranges;
            let mut next = start;
            filler::fill(filled, terminated, |run| {
                if start + run.offset == next {
                    bytes.extend_from_slice(run.bytes);
                    next += run.bytes.len();
                } else {
                    ranges.push(behind + run.offset as u64, run.bytes, Reason::Dead);
                }
            });
            ranges.push(offset, &bytes, reason);
        }
        self.scratch = bytes;
    }

    fn entries(&mut self) {
        if self.is_whole(SectionKind::Function) {
            return;
        }
        let anchor = self.anchor(SectionKind::Function);
        let first = self.layout.functions.first();
        for &ordinal in self
            .writes
            .places
            .entries
            .iter()
            .filter(|ordinal| **ordinal >= first)
        {
            let mut field = [0; leb::WIDE32];
            leb::write_unsigned(&mut field, self.encoder.entry_type(ordinal).into());
            self.ranges.push(
                anchor + 5 * u64::from(ordinal.0),
                &field,
                Reason::FunctionEntry,
            );
        }
    }

    fn types(&mut self) {
        if self.is_whole(SectionKind::Type) {
            return;
        }
        let types = &self.layout.types;
        let mut touched = types.touched.clone();
        touched.sort_unstable();
        touched.dedup();
        for id in touched {
            let extent = types.extent(id);
            let mut bytes = vec![0; extent.len as usize];
            types.encode(&self.encoder.program.types, extent, &mut bytes);
            self.ranges.push(
                self.anchor(SectionKind::Type) + u64::from(extent.offset),
                &bytes,
                Reason::Types,
            );
        }
    }

    fn globals(&mut self) {
        if self.is_whole(SectionKind::Global) {
            return;
        }
        let first = self.layout.globals.first();
        for &ordinal in self
            .writes
            .places
            .globals
            .iter()
            .filter(|ordinal| **ordinal >= first)
        {
            let slot = self.layout.globals.slot(ordinal);
            let mut bytes = vec![0; slot.len as usize];
            self.encoder.global(ordinal, &mut bytes);
            self.ranges.push(
                self.anchor(SectionKind::Global) + u64::from(slot.offset),
                &bytes,
                Reason::Global,
            );
        }
    }

    fn slots(&mut self) {
        if self.is_whole(SectionKind::Element) {
            return;
        }
        let start = self.anchor(SectionKind::Element) + SLOT_SEGMENT_HEADER;
        let mut run: Option<(u64, Vec<u8>)> = None;
        for &entry in &self.writes.places.slots {
            let mut field = [0; leb::WIDE32];
            leb::write_unsigned(
                &mut field,
                self.encoder
                    .slot_value(self.layout.slots.owner(entry))
                    .into(),
            );
            let offset = start + 5 * u64::from(entry);
            match &mut run {
                Some((begin, bytes)) if *begin + bytes.len() as u64 == offset => {
                    bytes.extend_from_slice(&field)
                }
                _ => {
                    if let Some((begin, bytes)) = run.replace((offset, field.to_vec())) {
                        self.ranges.push(begin, &bytes, Reason::Slot);
                    }
                }
            }
        }
        if let Some((begin, bytes)) = run {
            self.ranges.push(begin, &bytes, Reason::Slot);
        }
        if self.writes.places.slots_grew {
            let mut header = [0; SLOT_SEGMENT_HEADER as usize];
            self.encoder.slot_segment_header(&mut header);
            let count = SLOT_SEGMENT_HEADER as usize - leb::WIDE32;
            self.ranges
                .push(start - leb::WIDE32 as u64, &header[count..], Reason::Slot);
        }
    }

    /// The limits of the table of slots, when there are more of them.
    fn slot_table(&mut self) {
        let Some(table) = self
            .layout
            .slot_table
            .filter(|_| self.writes.places.slots_grew)
        else {
            return;
        };
        if !self.layout.tables.contains(&table) {
            self.imported_slot_table(table);
            return;
        }
        if self.is_whole(SectionKind::Table) {
            return;
        }
        let before = self.layout.tables.iter().take_while(|id| **id != table);
        let len = |id: &DeclId| self.encoder.program.decl(*id).next().map_or(0, entity_len);
        let offset = before.map(len).sum::<usize>() as u64;
        let mut entry = [0; SLOT_TABLE_LEN];
        self.encoder.slot_table(&mut entry);
        // Behind the element type and the flags.
        self.ranges.push(
            self.anchor(SectionKind::Table) + offset + 2,
            &entry[2..],
            Reason::Slot,
        );
    }

    /// How many entries the table of slots must have where it is imported.
    fn imported_slot_table(&mut self, table: DeclId) {
        if self.is_whole(SectionKind::Import) {
            return;
        }
        let program = self.encoder.program;
        let next = |id: DeclId| program.decl(id).next().expect("what is placed is defined");
        let before = self.layout.imports.iter().take_while(|id| **id != table);
        let offset = before.map(|id| next(*id).content.len()).sum::<usize>() as u64;
        let anchor = self.anchor(SectionKind::Import);
        for reloc in next(table).content.relocs() {
            let mut field = [0; leb::WIDE32];
            self.encoder
                .relocate(program.root(table), reloc, &mut field);
            let at = anchor + offset + u64::from(reloc.offset);
            self.ranges.push(at, &field, Reason::Slot);
        }
    }

    /// The program's own segments.
    fn raw(&mut self) {
        let layout = self.layout;
        let lists = [
            (
                SectionKind::Element,
                &layout.elements,
                &self.writes.places.elements,
                layout.slot_segment_len(),
                layout.first_element(),
                Reason::Elements,
            ),
            (
                SectionKind::Data,
                &layout.data_segments,
                &self.writes.places.data_segments,
                layout.data.len(),
                layout.first_data_segment(),
                Reason::Data,
            ),
        ];
        for (kind, items, writes, base, first, reason) in lists {
            if self.is_whole(kind) {
                continue;
            }
            let start = self.anchor(kind) + base;
            for run in &writes.moved {
                let run = &items[run.clone()];
                let first = run.first().map_or(0, |item| item.offset);
                let end = run.last().map_or(0, |item| item.offset + item.len);
                let mut bytes = vec![0; (end - first) as usize];
                for item in run {
                    let out = &mut bytes[(item.offset - first) as usize..][..item.len as usize];
                    self.encoder.decl(item.decl, out);
                }
                self.ranges.push(start + u64::from(first), &bytes, reason);
            }
            for &id in &writes.items {
                let Some(item) = layout
                    .position(id, first)
                    .filter(|at| !writes.has_moved(*at))
                else {
                    continue;
                };
                let item = items[item];
                let mut bytes = vec![0; item.len as usize];
                self.encoder.decl(id, &mut bytes);
                let offset = start + u64::from(item.offset);
                let known = self.push_difference(offset, id, &bytes, reason);
                self.ranges
                    .push(offset + known as u64, &bytes[known..], reason);
            }
        }
    }

    /// Adds what differs between the current definition's bytes, which stand at `offset` now, and the new ones, as far
    /// as both go; returns how far that is.
    fn push_difference(&mut self, offset: u64, id: DeclId, new: &[u8], reason: Reason) -> usize {
        let decl = self.encoder.program.decl(id);
        let (Some(old), Some(next)) = (decl.current(), decl.next()) else {
            return 0;
        };
        let Some(bytes) = old.content.bytes_at_hand() else {
            return 0;
        };
        // Where a body's last `end` would be, filler may stand.
        let stands = bytes.len() - usize::from(old.is_body());
        let common = stands.min(new.len());
        let mut differs: Vec<bool> = (0..common).map(|at| bytes[at] != new[at]).collect();
        // Under a relocation only the relocation counts. One that stayed the same still differs if its target moved.
        let mut field = |reloc: &Relocation, value: bool| {
            let start = reloc.offset as usize;
            let end = (start + reloc.kind.width()).min(common);
            differs[start.min(common)..end].fill(value);
        };
        for reloc in old.content.relocs() {
            field(reloc, true);
        }
        let before = old.content.relocs();
        let moved = &self.writes.fields.moved;
        // Both are sorted by offset, and no two have the same.
        let mut rest = before.iter().peekable();
        for reloc in next.content.relocs() {
            while rest.next_if(|old| old.offset < reloc.offset).is_some() {}
            let same = rest.peek() == Some(&reloc);
            let moved = reloc.decl().is_some_and(|id| moved.contains(&id));
            field(reloc, !same || moved);
        }
        let mut run: Option<(usize, usize)> = None;
        for at in (0..common).filter(|at| differs[*at]) {
            run = match run {
                Some((start, end)) if at <= end + GAP => Some((start, at + 1)),
                Some((start, end)) => {
                    self.ranges
                        .push(offset + start as u64, &new[start..end], reason);
                    Some((at, at + 1))
                }
                None => Some((at, at + 1)),
            };
        }
        if let Some((start, end)) = run {
            self.ranges
                .push(offset + start as u64, &new[start..end], reason);
        }
        common
    }

    fn data(&mut self) {
        if self.is_whole(SectionKind::Data) {
            return;
        }
        for &image in &self.writes.places.images {
            let header = self.layout.data.image(image).header_len() as usize;
            let mut bytes = vec![0; header];
            self.encoder.image_header(image, &mut bytes);
            let offset = self.anchor(SectionKind::Data) + self.layout.data.offset(image);
            // Only the size can have changed.
            self.ranges.push(
                offset + header as u64 - 5,
                &bytes[header - 5..],
                Reason::Data,
            );
        }
        for (image, gap) in &self.writes.places.data_gaps {
            let zeros = vec![0; (gap.end - gap.start) as usize];
            self.ranges
                .push(self.data_offset(*image, gap.start), &zeros, Reason::Data);
        }
        for &id in &self.writes.places.data {
            let definition = self
                .encoder
                .program
                .decl(id)
                .next()
                .expect("what is placed is defined");
            let DefinitionKind::Data { size, memory, .. } = definition.shape else {
                continue;
            };
            let (Place::Data { address, .. }, Some(image)) =
                (self.layout.place(id), self.layout.data.image_of(memory))
            else {
                continue;
            };
            let mut bytes = vec![0; size as usize];
            self.encoder.data(id, &mut bytes);
            self.ranges
                .push(self.data_offset(image, address), &bytes, Reason::Data);
        }
    }

    /// Pieces of custom sections.
    fn pieces(&mut self) {
        for (&id, &in_place) in &self.writes.places.pieces {
            let Place::Custom { section, region } = self.layout.place(id) else {
                continue;
            };
            if self.is_whole(SectionKind::Custom(section)) {
                continue;
            }
            let custom = self.layout.customs.section(section);
            let decl = self.encoder.program.decl(id);
            let anchor = self.anchor(SectionKind::Custom(section));
            let offset = anchor + u64::from(custom.region(region).offset);
            let (encoder, ranges) = (&self.encoder, &mut self.ranges);
            match (decl.current(), decl.next()) {
                (Some(old), Some(next)) if in_place => {
                    let displaced = &self.writes.fields.displaced;
                    let relocate = |reloc: &Relocation, field: &mut [u8]| {
                        encoder.relocate_piece(custom.tombstone, reloc, field);
                    };
                    let put = |at: usize, bytes: &[u8]| {
                        ranges.push(offset + at as u64, bytes, Reason::Piece);
                    };
                    let contents = (&old.content, &next.content);
                    piece_difference(contents, displaced, relocate, put);
                }
                (_, Some(next)) => {
                    let mut bytes = vec![0; next.content.len()];
                    encoder.piece(custom.tombstone, id, &mut bytes);
                    ranges.push(offset, &bytes, Reason::Piece);
                }
                (_, None) => {}
            }
        }
    }

    /// What fills custom sections between their pieces.
    fn gaps(&mut self) {
        for &(section, region) in &self.writes.places.gaps {
            let kind = SectionKind::Custom(section);
            let is_there = region.0 < self.layout.customs.section(section).regions().len() as u32;
            if is_there && !self.is_whole(kind) {
                let anchor = self.anchor(kind);
                let ranges = &mut self.ranges;
                self.encoder.gap(section, region, |at, bytes| {
                    ranges.push(anchor + u64::from(at), bytes, Reason::Gap);
                });
            }
        }
    }

    fn data_offset(&self, image: ImageIndex, address: u64) -> u64 {
        let at = self.layout.data.image(image);
        self.anchor(SectionKind::Data)
            + self.layout.data.offset(image)
            + at.header_len()
            + (address - at.base)
    }

    fn names(&mut self, extra: &SectionInputs<'_>) {
        if self.is_whole(SectionKind::Name) || !self.layout.options.names {
            return;
        }
        let anchor = self.anchor(SectionKind::Name);
        let first = self.layout.functions.first();
        for &ordinal in self
            .writes
            .places
            .names
            .iter()
            .filter(|ordinal| **ordinal >= first)
        {
            // A place that was taken and given up again within the commit keeps what it held.
            let is_body = matches!(
                self.layout.functions.slot(ordinal).occupant,
                Occupant::Body(_)
            );
            if let Some(entry) = self.layout.names.entry(ordinal).filter(|_| is_body) {
                let mut bytes = vec![0; entry.len as usize];
                self.encoder.name(ordinal, &mut bytes);
                self.ranges
                    .push(anchor + u64::from(entry.offset), &bytes, Reason::Name);
            }
        }
        if self.writes.names_tail.is_some() {
            self.ranges.push(
                anchor + u64::from(self.layout.names.end_offset()),
                extra.names_tail,
                Reason::Name,
            );
        }
    }

    /// References in declarations that did not change.
    fn sites(&mut self) {
        let writes = self.writes;
        for &Site { source: id, reloc } in &writes.fields.sites {
            let decl = self.encoder.program.decl(id);
            let definition = decl.next().expect("what is placed is defined");
            let reloc = &definition.content.relocs()[reloc as usize];
            let Some(start) = self.start_of(id, decl.kind) else {
                continue;
            };
            let mut field = [0; leb::WIDE64];
            let field = &mut field[..reloc.kind.width()];
            match self.layout.place(id) {
                Place::Custom { section, .. } => {
                    let tombstone = self.layout.customs.section(section).tombstone;
                    self.encoder.relocate_piece(tombstone, reloc, field);
                }
                _ => self
                    .encoder
                    .relocate(self.encoder.program.root(id), reloc, field),
            }
            self.encoder.count_from(id, reloc, field);
            self.ranges.push(
                start + u64::from(reloc.offset),
                &field[..reloc.kind.varies()],
                site_reason(reloc.kind),
            );
        }
    }

    /// References in code that is orphaned in this commit.
    fn orphan_sites(&mut self) {
        let anchor = self.anchor(SectionKind::Code);
        for &OrphanSite {
            body,
            orphan,
            reloc,
        } in &self.writes.fields.orphan_sites
        {
            let reloc = &self.encoder.next(orphan).content.relocs()[reloc as usize];
            let mut field = [0; leb::WIDE64];
            let field = &mut field[..reloc.kind.width()];
            self.encoder
                .relocate(self.encoder.root(orphan), reloc, field);
            let offset = self.layout.functions.slot(body).offset + SIZE as u32 + reloc.offset;
            self.ranges.push(
                anchor + u64::from(offset),
                &field[..reloc.kind.varies()],
                Reason::Reference,
            );
        }
    }

    /// File offset of a declaration's bytes, unless its section or the declaration itself is written anyway.
    fn start_of(&self, id: DeclId, kind: DeclKind) -> Option<u64> {
        let segment = |section, items: &[RawItem], writes: &WrittenItems, first, base: u64| {
            let at = self.layout.position(id, first)?;
            let written = self.is_whole(section) || writes.has_moved(at);
            (!written).then(|| self.anchor(section) + base + u64::from(items[at].offset))
        };
        match self.layout.place(id) {
            Place::Function { body, .. } => {
                let offset = u64::from(self.layout.functions.slot(body).offset) + SIZE as u64;
                (!self.writes.places.code.contains_key(&body))
                    .then(|| self.anchor(SectionKind::Code) + offset)
            }
            Place::Global(ordinal) => {
                let written = self.is_whole(SectionKind::Global)
                    || self.writes.places.globals.contains(&ordinal);
                let offset = u64::from(self.layout.globals.slot(ordinal).offset);
                (!written).then(|| self.anchor(SectionKind::Global) + offset)
            }
            Place::Data { address, .. } => {
                let written =
                    self.is_whole(SectionKind::Data) || self.writes.places.data.contains(&id);
                let Some(DefinitionKind::Data { memory, .. }) =
                    self.encoder.program.decl(id).next().map(|next| next.shape)
                else {
                    return None;
                };
                let image = self.layout.data.image_of(memory)?;
                (!written).then(|| self.data_offset(image, address))
            }
            Place::Custom { section, region } => {
                let kind = SectionKind::Custom(section);
                let written = self.is_whole(kind) || self.writes.places.pieces.contains_key(&id);
                let offset = self.layout.customs.section(section).region(region).offset;
                (!written).then(|| self.anchor(kind) + u64::from(offset))
            }
            Place::Index(_) if kind == DeclKind::ElementSegment => segment(
                SectionKind::Element,
                &self.layout.elements,
                &self.writes.places.elements,
                self.layout.first_element(),
                self.layout.slot_segment_len(),
            ),
            Place::Index(_) if kind == DeclKind::DataSegment => segment(
                SectionKind::Data,
                &self.layout.data_segments,
                &self.writes.places.data_segments,
                self.layout.first_data_segment(),
                self.layout.data.len(),
            ),
            _ => None,
        }
    }

    /// Entries of the export section, and the indices in those that are as they were.
    fn exports(&mut self, exports: Exports<'_>) {
        if self.is_whole(SectionKind::Export) {
            return;
        }
        let layout = self.layout;
        let anchor = self.anchor(SectionKind::Export);
        let writes = self.writes;
        let entry = |id| layout.exports.entry(id);
        let with_entry = |(id, is_other): (&ExportId, &bool)| Some((entry(*id)?, *id, *is_other));
        let mut written: Vec<_> = writes
            .places
            .exports
            .iter()
            .filter_map(with_entry)
            .collect();
        written.sort_unstable_by_key(|(entry, ..)| entry.offset);
        let mut run = (0, Vec::new());
        for (entry, id, is_other) in written {
            let Some(export) = exports.get(id) else {
                continue;
            };
            let mut bytes = vec![0; entry.len() as usize];
            self.encoder.export(entry, export, &mut bytes);
            let known = match is_other {
                true => 0,
                false => bytes.len() - entry.index_width() - 1,
            };
            let offset = anchor + entry.offset + known as u64;
            if run.0 + run.1.len() as u64 != offset {
                self.ranges.push(run.0, &run.1, Reason::Exports);
                run = (offset, Vec::new());
            }
            run.1.extend_from_slice(&bytes[known..]);
        }
        self.ranges.push(run.0, &run.1, Reason::Exports);
        for &decl in &writes.fields.exports {
            for id in exports.unchanged_of(decl) {
                let is_written = writes.places.exports.contains_key(&id);
                let Some(entry) = entry(id).filter(|_| !is_written) else {
                    continue;
                };
                let mut field = [0; leb::WIDE32];
                let field = &mut field[..entry.index_width()];
                leb::write_unsigned(field, self.encoder.export_index(decl).into());
                let end = anchor + entry.offset + u64::from(entry.len());
                let offset = end - field.len() as u64;
                self.ranges.push(offset, field, Reason::Exports);
            }
        }
    }
}

/// Why a field of this kind is rewritten where nothing else is.
fn site_reason(kind: RelocKind) -> Reason {
    match kind {
        RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64 => Reason::CodeOffset,
        RelocKind::SectionOffsetI32 => Reason::SectionOffset,
        _ => Reason::Reference,
    }
}

fn whole_reason(kind: SectionKind) -> Reason {
    match kind {
        SectionKind::Custom(_) => Reason::Piece,
        SectionKind::Import => Reason::Imports,
        SectionKind::Table | SectionKind::Memory | SectionKind::Tag => Reason::Entities,
        SectionKind::Export => Reason::Exports,
        SectionKind::Start => Reason::Start,
        SectionKind::Element => Reason::Elements,
        SectionKind::DataCount => Reason::DataCount,
        SectionKind::Data => Reason::Data,
        _ => Reason::Section,
    }
}
