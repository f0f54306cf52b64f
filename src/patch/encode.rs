//! From a declaration and the layout to bytes: resolves relocations and writes code, entries, segments and names
//! straight into their place. There is one set of writers for first writes and for patches.

use crate::layout::{
    Layout, NAME_SECTION_HEADER, Occupant, Ordinal, Place, SLOT_SEGMENT_HEADER, SectionKind,
    SectionPlace, UNUSED_GLOBAL, encode_name,
};
use crate::program::{
    DeclId, Definition, DefinitionKind, Orphan, OrphanChanges, Program, RelocKind,
    RelocatableBytes, Relocation,
};
use std::ops::Range;

use crate::wire::filler::{self, Role};
use crate::wire::{leb, section};

/// Bytes of a code entry's size field.
pub(crate) const SIZE: usize = leb::WIDE32;

/// The state of the program and the layout that a commit brings about.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a> {
    pub(crate) program: &'a Program,
    pub(crate) layout: &'a Layout,
    /// Code that is orphaned in this commit.
    pub(crate) orphans: Option<&'a OrphanChanges>,
}

impl<'a> Encoder<'a> {
    pub(super) fn next(&self, id: DeclId) -> &'a Definition {
        let orphaned = || self.orphan(id).map(|orphan| &orphan.definition);
        let next = self.program.decl(id).next();
        next.or_else(orphaned).expect("what is placed is defined")
    }

    fn orphan(&self, id: DeclId) -> Option<&'a Orphan> {
        let is_orphan = self.program.decl(id).is_orphan;
        self.orphans.filter(|_| is_orphan)?.get(id)
    }

    /// The declaration whose types `id` shares.
    pub(super) fn root(&self, id: DeclId) -> DeclId {
        match self.orphan(id) {
            Some(orphan) => orphan.root,
            None => self.program.root(id),
        }
    }

    /// The value of a relocation's field; negative values only for addends.
    pub(super) fn value(&self, root: DeclId, reloc: &Relocation) -> i64 {
        if let Some(ty) = reloc.ty() {
            return self
                .layout
                .types
                .index(root, ty)
                .expect("the type was counted")
                .into();
        }
        let place = self.layout.place(DeclId(reloc.target));
        match (reloc.kind, place) {
            (RelocKind::Call | RelocKind::FunctionIndex, Place::Function { entry, .. }) => {
                self.layout.functions.index(entry).into()
            }
            (RelocKind::Call | RelocKind::FunctionIndex, Place::ImportedFunction { index, .. }) => {
                index.into()
            }
            (kind, place) if kind.is_slot() => place.slot().expect("slots were placed").0.into(),
            (kind, Place::Data { address, .. }) if kind.is_address() => {
                (address as i64).wrapping_add(reloc.addend.into())
            }
            (RelocKind::TableLen, _) => self.layout.slots.table_len().into(),
            (_, Place::Global(ordinal)) => self.layout.globals.index(ordinal).into(),
            (_, Place::Index(index)) => index.into(),
            (kind, place) => unreachable!("a {kind:?} relocation against {place:?}"),
        }
    }

    /// Writes the field of a relocation.
    pub(crate) fn relocate(&self, root: DeclId, reloc: &Relocation, field: &mut [u8]) {
        use RelocKind::*;
        let value = self.value(root, reloc);
        match reloc.kind {
            HeapType => leb::write_signed(field, value),
            MemoryIndex | TableByte => field[0] = value as u8,
            SlotSleb | AddressSleb => leb::write_signed(field, i64::from(value as i32)),
            SlotSleb64 | AddressSleb64 => leb::write_signed(field, value),
            SlotI32 | AddressI32 | DistanceI32 => {
                field.copy_from_slice(&(value as u32).to_le_bytes())
            }
            SlotI64 | AddressI64 => field.copy_from_slice(&value.to_le_bytes()),
            AddressLeb64 => leb::write_unsigned(field, value as u64),
            _ => leb::write_unsigned(field, u64::from(value as u32)),
        }
    }

    /// The value of a field of a piece of a custom section, if its target is there.
    pub(super) fn piece_value(&self, reloc: &Relocation) -> Option<u64> {
        use RelocKind::*;
        let plus = |value: u64| Some(value.wrapping_add_signed(reloc.addend.into()));
        let functions = &self.layout.functions;
        match (reloc.kind, self.layout.place(reloc.decl()?)) {
            (_, Place::None) => None,
            (FunctionOffsetI32 | FunctionOffsetI64, Place::Function { body, .. }) => {
                plus(self.layout.code_offset(body))
            }
            (SectionOffsetI32, Place::Custom { section, region }) => plus(
                self.layout
                    .customs
                    .section(section)
                    .region(region)
                    .offset
                    .into(),
            ),
            (FunctionIndexI32, Place::Function { entry, .. }) => {
                Some(functions.index(entry).into())
            }
            (FunctionIndexI32, Place::ImportedFunction { index, .. }) => Some(index.into()),
            (GlobalIndexI32, Place::Global(ordinal)) => {
                Some(self.layout.globals.index(ordinal).into())
            }
            (GlobalIndexI32, Place::Index(index)) => Some(index.into()),
            (kind, Place::Data { address, .. }) if kind.is_address() => plus(address),
            // A function whose address nothing takes has none, as wasm-ld has it.
            (kind, place) if kind.is_slot() => Some(place.slot().map_or(0, |slot| slot.0.into())),
            _ => None,
        }
    }

    /// Writes a field of a piece of a custom section; `tombstone` stands for what is not there.
    pub(crate) fn relocate_piece(
        &self,
        tombstone: Option<u64>,
        reloc: &Relocation,
        field: &mut [u8],
    ) {
        let value = self.piece_value(reloc).or(tombstone);
        let value = value.unwrap_or_else(|| i64::from(reloc.addend) as u64);
        let len = field.len();
        field.copy_from_slice(&value.to_le_bytes()[..len]);
    }

    /// Writes a piece of a custom section with its relocations resolved.
    pub(crate) fn piece(&self, tombstone: Option<u64>, id: DeclId, out: &mut [u8]) {
        let content = &self.next(id).content;
        out.copy_from_slice(content.bytes());
        for reloc in content.relocs() {
            let field = &mut out[reloc.offset as usize..][..reloc.kind.width()];
            self.relocate_piece(tombstone, reloc, field);
        }
    }

    /// Calls `put` with what fills the unused bytes of a region of a custom section, and its offset in the section's
    /// contents.
    pub(crate) fn gap(&self, section: u16, region: u32, mut put: impl FnMut(u32, &[u8])) {
        let custom = self.layout.customs.section(section);
        let region = custom.region(region);
        let used = region
            .owner
            .map_or(0, |id| self.next(id).content.len() as u32);
        let start = region.offset + used;
        custom
            .filler
            .fill(region.cap - used, |at, bytes| put(start + at, bytes));
    }

    /// Writes a run of regions of a custom section with what they hold; `out` holds zeros.
    pub(crate) fn custom_range(&self, section: u16, regions: Range<u32>, out: &mut [u8]) {
        let custom = self.layout.customs.section(section);
        let all = &custom.regions()[regions.start as usize..regions.end as usize];
        let base = all.first().map_or(0, |region| region.offset);
        for (index, region) in regions.zip(all) {
            if let Some(id) = region.owner {
                let len = self.next(id).content.len();
                let at = (region.offset - base) as usize;
                self.piece(custom.tombstone, id, &mut out[at..at + len]);
            }
            self.gap(section, index, |at, bytes| {
                out[(at - base) as usize..][..bytes.len()].copy_from_slice(bytes);
            });
        }
    }

    /// Writes bytes with their relocations resolved.
    pub(crate) fn content(&self, root: DeclId, content: &RelocatableBytes, out: &mut [u8]) {
        out.copy_from_slice(content.bytes());
        for reloc in content.relocs() {
            self.relocate(
                root,
                reloc,
                &mut out[reloc.offset as usize..][..reloc.kind.width()],
            );
        }
    }

    /// Writes a declaration's bytes with their relocations resolved.
    pub(crate) fn decl(&self, id: DeclId, out: &mut [u8]) {
        self.content(self.root(id), &self.next(id).content, out);
    }

    /// The type index in an ordinal's entry of the function section.
    pub(crate) fn entry_type(&self, ordinal: Ordinal) -> u32 {
        match self.layout.functions.slot(ordinal).occupant {
            Occupant::Reserve | Occupant::Dead | Occupant::Trap => self.layout.types.dead_type(),
            Occupant::Body(id) | Occupant::Thunk(id) | Occupant::Forwarder(id) => {
                let ty = self.next(id).ty().expect("a function has a type");
                self.layout
                    .types
                    .index(self.root(id), ty)
                    .expect("the type was counted")
            }
        }
    }

    /// The code of an ordinal without filler and without the final `end`, to be put behind the size field.
    pub(crate) fn made_code(&self, ordinal: Ordinal, out: &mut Vec<u8>) {
        let (role, id) = match self.layout.functions.slot(ordinal).occupant {
            Occupant::Reserve | Occupant::Dead | Occupant::Trap => {
                let room = self.layout.functions.slot(ordinal).cap as usize - SIZE;
                let marker = filler::marker(Role::Dead);
                // Where a tiny function was there is no room for a mark, nor for more than nothing at all.
                match room > marker.len() + 1 {
                    true => out.extend_from_slice(&marker),
                    false => out.push(0),
                }
                if room > out.len() + 1 {
                    out.push(filler::UNREACHABLE);
                }
                return;
            }
            Occupant::Body(id) => {
                let content = &self.next(id).content;
                out.resize(content.len(), 0);
                self.content(self.root(id), content, out);
                out.pop();
                return;
            }
            Occupant::Thunk(id) if self.layout.is_address_taken(id) => (Role::AddressThunk, id),
            Occupant::Thunk(id) => (Role::Thunk, id),
            Occupant::Forwarder(id) => (Role::Forwarder, id),
        };
        out.extend_from_slice(&filler::marker(role));
        let ty = self.next(id).ty().expect("a function has a type");
        let signature = self.program.types.signature(ty);
        let signature = signature.expect("a function has a function type");
        for param in 0..signature.params {
            out.push(0x20);
            leb::push_unsigned(out, param.into());
        }
        let tail = u8::from(self.layout.options.tail_calls) * 2;
        let Place::Function { body, slot, .. } = self.layout.place(id) else {
            unreachable!("a function has a place")
        };
        if role == Role::Forwarder {
            out.push(0x10 + tail);
            leb::push_wide32(out, self.layout.functions.index(body));
            return;
        }
        out.push(self.slot_constant());
        let at = out.len();
        out.resize(at + leb::WIDE32, 0);
        leb::write_signed(&mut out[at..], slot.expect("a thunk has a slot").0.into());
        out.push(0x11 + tail);
        leb::push_wide32(out, self.entry_type(ordinal));
        leb::push_wide32(out, self.slot_table_index());
    }

    /// The instruction for a slot's number: `i32.const` or `i64.const`.
    pub(super) fn slot_constant(&self) -> u8 {
        match self.layout.options.table64 {
            true => 0x42,
            false => 0x41,
        }
    }

    pub(super) fn slot_table_index(&self) -> u32 {
        match self.layout.slot_table.map(|table| self.layout.place(table)) {
            Some(Place::Index(index)) => index,
            place => unreachable!("the table of slots has an index, not {place:?}"),
        }
    }

    /// Writes a whole code entry, with filler.
    pub(crate) fn code(&self, ordinal: Ordinal, out: &mut [u8], scratch: &mut Vec<u8>) {
        let (size, out) = out.split_at_mut(SIZE);
        leb::write_unsigned(size, out.len() as u64);
        let terminated = match self.layout.functions.slot(ordinal).occupant {
            Occupant::Body(id) => {
                let definition = self.next(id);
                let len = definition.content.len();
                self.content(self.root(id), &definition.content, &mut out[..len]);
                if len == out.len() {
                    return;
                }
                let len = len - 1;
                return filler::fill(out.len() - len, false, |run| {
                    out[len + run.offset..][..run.bytes.len()].copy_from_slice(run.bytes);
                });
            }
            Occupant::Thunk(_) | Occupant::Forwarder(_) => false,
            _ => true,
        };
        scratch.clear();
        self.made_code(ordinal, scratch);
        let len = scratch.len();
        out[..len].copy_from_slice(scratch);
        filler::fill(out.len() - len, terminated, |run| {
            out[len + run.offset..][..run.bytes.len()].copy_from_slice(run.bytes);
        });
    }

    /// The function index in an entry of the slots' element segment.
    pub(crate) fn slot_value(&self, owner: Option<DeclId>) -> u32 {
        match owner.map(|owner| self.layout.place(owner)) {
            Some(Place::Function { body, .. }) => self.layout.functions.index(body),
            Some(Place::ImportedFunction { index, .. }) => index,
            _ => self
                .layout
                .functions
                .index(self.layout.trap.expect("a table of slots has a trap")),
        }
    }

    /// Writes an entry of the function name map.
    pub(crate) fn name(&self, ordinal: Ordinal, out: &mut [u8]) {
        let index = self.layout.functions.index(ordinal);
        match self.layout.functions.slot(ordinal).occupant {
            Occupant::Body(id) => encode_name(
                index,
                // Orphaned code has none, and LLVM's tools refuse an empty one.
                self.program.decl(id).given_name().unwrap_or(" "),
                out,
            ),
            // The entry of a dead function keeps what it held; on a relink there are no dead functions with names.
            _ => unreachable!("only bodies are named"),
        }
    }

    /// Writes a global, which may be unused.
    pub(crate) fn global(&self, ordinal: Ordinal, out: &mut [u8]) {
        match self.layout.globals.slot(ordinal).owner {
            Some(id) => self.decl(id, out),
            None => unused_global(out).expect("checked when it was freed"),
        }
    }

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

    /// Writes the entry of the table of slots: `funcref`, minimum and maximum; equal, which engines make the best of.
    pub(crate) fn slot_table(&self, out: &mut [u8]) {
        let entries = u64::from(self.layout.slots.table_len());
        let flags = 0x01 | u8::from(self.layout.options.table64) << 2;
        out[..2].copy_from_slice(&[0x70, flags]);
        leb::write_unsigned(&mut out[2..7], entries);
        let most = match self.layout.options.growable_table {
            true => u32::MAX.into(),
            false => entries,
        };
        leb::write_unsigned(&mut out[7..12], most);
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

    /// Writes the header of the slots' element segment.
    pub(crate) fn slot_segment_header(&self, out: &mut [u8]) {
        out[0] = 2;
        leb::write_unsigned(&mut out[1..6], self.slot_table_index().into());
        out[6] = self.slot_constant();
        leb::write_signed(&mut out[7..12], self.layout.slots.base().into());
        out[12] = filler::END;
        out[13] = 0;
        leb::write_unsigned(&mut out[14..19], self.layout.slots.len().into());
    }

    /// Writes the header of an image's data segment.
    pub(crate) fn image_header(&self, image: usize, out: &mut [u8]) {
        let image = &self.layout.data.images()[image];
        let Place::Index(memory) = self.layout.place(image.memory) else {
            unreachable!("a memory has an index")
        };
        out[0] = 2;
        out[1] = memory as u8;
        let end = if image.is_64 {
            out[2] = 0x42;
            leb::write_signed(&mut out[3..13], image.base as i64);
            13
        } else {
            out[2] = 0x41;
            leb::write_signed(&mut out[3..8], i64::from(image.base as u32 as i32));
            8
        };
        out[end] = filler::END;
        leb::write_unsigned(&mut out[end + 1..end + 6], image.cap);
    }

    /// Writes data at its address: its bytes and the zeros that belong to it.
    pub(crate) fn data(&self, id: DeclId, out: &mut [u8]) {
        let definition = self.next(id);
        let len = definition.content.len();
        self.content(self.root(id), &definition.content, &mut out[..len]);
        out[len..].fill(0);
        for reloc in definition.content.relocs() {
            let field = &mut out[reloc.offset as usize..][..reloc.kind.width()];
            self.count_from(id, reloc, field);
        }
    }

    /// Makes the address in a field a distance, if that is what it should be, from the data that it is in.
    pub(crate) fn count_from(&self, id: DeclId, reloc: &Relocation, field: &mut [u8]) {
        if reloc.kind != RelocKind::DistanceI32 {
            return;
        }
        if let (Place::Data { address: from, .. }, Ok(field)) =
            (self.layout.place(id), <&mut [u8; 4]>::try_from(field))
        {
            let to = u32::from_le_bytes(*field);
            *field = to.wrapping_sub(from as u32).to_le_bytes();
        }
    }

    /// Writes the items of a section that is written whole, `out` being the section from its beginning to its end.
    /// Code, which is large, is written by [`Encoder::code_range`] instead.
    pub(crate) fn section(
        &self,
        kind: SectionKind,
        place: SectionPlace,
        extra: &SectionInputs<'_>,
        out: &mut [u8],
    ) {
        let header = self.layout.sections.header_len(kind) as usize;
        self.header(kind, place, &mut out[..header]);
        let out = &mut out[header..];
        match kind {
            SectionKind::CustomFront => out.copy_from_slice(extra.custom_front),
            SectionKind::CustomTail => out.copy_from_slice(extra.custom_tail),
            SectionKind::Type => {
                for extent in self.layout.types.extents() {
                    let out = &mut out[extent.offset as usize..][..extent.len as usize];
                    self.layout.types.encode(&self.program.types, extent, out);
                }
            }
            SectionKind::Import => {
                let mut at = 0;
                for &id in self.layout.imports.iter() {
                    let len = self.next(id).content.len();
                    self.decl(id, &mut out[at..at + len]);
                    at += len;
                }
            }
            SectionKind::Function => {
                for (ordinal, out) in self
                    .layout
                    .functions
                    .ordinals()
                    .zip(out.chunks_exact_mut(5))
                {
                    leb::write_unsigned(out, self.entry_type(ordinal).into());
                }
            }
            SectionKind::Table => self.entities(&self.layout.tables, out),
            SectionKind::Memory => self.entities(&self.layout.memories, out),
            SectionKind::Tag => self.entities(&self.layout.tags, out),
            SectionKind::Global => {
                let front = self.layout.globals.slot(self.layout.globals.first()).offset;
                for ordinal in self.layout.globals.ordinals() {
                    let slot = self.layout.globals.slot(ordinal);
                    self.global(
                        ordinal,
                        &mut out[(slot.offset - front) as usize..][..slot.len as usize],
                    );
                }
            }
            SectionKind::Export => extra.exports.write(self, out),
            SectionKind::Start | SectionKind::DataCount => {}
            SectionKind::Element => {
                if self.layout.slot_table.is_some() {
                    self.slot_segment_header(&mut out[..SLOT_SEGMENT_HEADER as usize]);
                    let entries = out[SLOT_SEGMENT_HEADER as usize..].chunks_exact_mut(5);
                    for (owner, out) in self.layout.slots.owners().iter().zip(entries) {
                        leb::write_unsigned(out, self.slot_value(*owner).into());
                    }
                }
                let raw = &mut out[self.layout.slot_segment_len() as usize..];
                for item in self.layout.elements.iter() {
                    self.decl(
                        item.decl,
                        &mut raw[item.offset as usize..][..item.len as usize],
                    );
                }
            }
            SectionKind::Code => {
                self.code_range(
                    self.layout.functions.first(),
                    self.layout.functions.end(),
                    out,
                );
            }
            SectionKind::Data => {
                let mut at = 0;
                for (index, image) in self.layout.data.images().iter().enumerate() {
                    let header = image.header_len() as usize;
                    self.image_header(index, &mut out[at..at + header]);
                    at += header;
                    for id in extra
                        .data
                        .iter()
                        .filter(|id| self.image_of(**id) == Some(index))
                    {
                        let Place::Data { address, .. } = self.layout.place(*id) else {
                            continue;
                        };
                        let DefinitionKind::Data { size, .. } = self.next(*id).shape else {
                            continue;
                        };
                        if address < image.top {
                            self.data(
                                *id,
                                &mut out[at + (address - image.base) as usize..][..size as usize],
                            );
                        }
                    }
                    at += image.cap as usize;
                }
                for item in self.layout.data_segments.iter() {
                    self.decl(
                        item.decl,
                        &mut out[at + item.offset as usize..][..item.len as usize],
                    );
                }
            }
            SectionKind::Name => {
                let front = self.layout.names.first_offset();
                for ordinal in self.layout.functions.ordinals() {
                    if let Some(entry) = self.layout.names.entry(ordinal) {
                        let out = &mut out[(entry.offset - front) as usize..][..entry.len as usize];
                        match self.layout.functions.slot(ordinal).occupant {
                            Occupant::Body(_) => self.name(ordinal, out),
                            // LLVM's tools refuse names without a character.
                            _ => encode_name(self.layout.functions.index(ordinal), " ", out),
                        }
                    }
                }
                let tail = (self.layout.names.end_offset() - front) as usize;
                out[tail..].copy_from_slice(extra.names_tail);
            }
            SectionKind::Custom(at) => {
                let custom = self.layout.customs.section(at);
                let (prefix, out) = out.split_at_mut(custom.prefix.len());
                prefix.copy_from_slice(custom.prefix);
                self.custom_range(at, 0..custom.regions().len() as u32, out);
            }
            SectionKind::Identity => {}
        }
    }

    pub(super) fn image_of(&self, id: DeclId) -> Option<usize> {
        match self.next(id).shape {
            DefinitionKind::Data { memory, .. } => self.layout.data.image_of(memory),
            _ => None,
        }
    }

    /// Writes the code entries of the ordinals from `start` to `end` to `out`.
    pub(crate) fn code_range(&self, start: Ordinal, end: Ordinal, out: &mut [u8]) {
        let slots = &self.layout.functions.slots_from(start)[..(end.0 - start.0) as usize];
        let base = slots.first().map_or(0, |slot| slot.offset);
        let mut scratch = Vec::new();
        for (at, slot) in slots.iter().enumerate() {
            let out = &mut out[(slot.offset - base) as usize..][..slot.cap as usize];
            self.code(Ordinal(start.0 + at as u32), out, &mut scratch);
        }
    }
}

/// What sections are written from besides the program and the layout.
pub(crate) struct SectionInputs<'a> {
    pub(crate) custom_front: &'a [u8],
    pub(crate) custom_tail: &'a [u8],
    pub(crate) names_tail: &'a [u8],
    pub(crate) exports: ExportList<'a>,
    /// Where their indices stand.
    pub(crate) export_sites: &'a ExportSites,
    /// All data that has an address.
    pub(crate) data: &'a [DeclId],
}

/// Where the index of each exported declaration stands, from the export section's anchor.
pub(crate) type ExportSites =
    hashbrown::HashMap<DeclId, smallvec::SmallVec<[u32; 1]>, foldhash::fast::FixedState>;

/// The exports as they will be.
#[derive(Clone, Copy)]
pub(crate) struct ExportList<'a>(pub(crate) &'a [crate::program::Export]);

impl ExportList<'_> {
    /// Bytes of the entries.
    pub(crate) fn len(self) -> u64 {
        self.0.iter().map(|export| entry_len(&export.name)).sum()
    }

    fn write(self, encoder: &Encoder<'_>, out: &mut [u8]) {
        let mut at = 0;
        for export in self.0 {
            let out = &mut out[at..][..entry_len(&export.name) as usize];
            let name = export.name.as_bytes();
            leb::write_unsigned(&mut out[..5], name.len() as u64);
            out[5..5 + name.len()].copy_from_slice(name);
            out[5 + name.len()] = encoder.program.decl(export.decl).kind.external();
            let field = &mut out[6 + name.len()..];
            leb::write_unsigned(field, encoder.export_index(export.decl).into());
            at += 11 + name.len();
        }
    }
}

impl Encoder<'_> {
    /// The index that an export of a declaration names.
    pub(crate) fn export_index(&self, id: DeclId) -> u32 {
        match self.layout.place(id) {
            Place::Function { entry, .. } => self.layout.functions.index(entry),
            Place::ImportedFunction { index, .. } | Place::Index(index) => index,
            Place::Global(ordinal) => self.layout.globals.index(ordinal),
            place => unreachable!("an export of {place:?}"),
        }
    }
}

/// Bytes of an export's entry: the length of the name, the name, the kind, the index.
pub(crate) fn entry_len(name: &str) -> u64 {
    5 + name.len() as u64 + 1 + 5
}

/// Bytes of the entry of the table of slots.
pub(crate) const SLOT_TABLE_LEN: usize = 12;

/// Bytes of a table's, memory's or tag's entry.
pub(crate) fn entity_len(definition: &Definition) -> usize {
    if definition.shape == DefinitionKind::SlotTable {
        SLOT_TABLE_LEN
    } else {
        definition.content.len()
    }
}

/// Fills `out` with a global that nobody uses. `None` if there is none of this length.
pub(crate) fn unused_global(out: &mut [u8]) -> Option<()> {
    let len = out.len();
    match len {
        9 => out.copy_from_slice(&UNUSED_GLOBAL),
        5..=14 => {
            let wide = len > 9;
            out[..3].copy_from_slice(&[
                if wide { 0x7e } else { 0x7f },
                0,
                if wide { 0x42 } else { 0x41 },
            ]);
            leb::write_signed(&mut out[3..len - 1], 0);
            out[len - 1] = filler::END;
        }
        21 => {
            out.fill(0);
            out[0] = 0x7b;
            out[2..4].copy_from_slice(&[0xfd, 0x0c]);
            out[20] = filler::END;
        }
        // Constants may be added where initialisers are as long as this.
        15.. => {
            out[..3].copy_from_slice(&[0x7f, 0, 0x41]);
            leb::write_signed(&mut out[3..8], 0);
            let mut at = 8;
            while at < len - 1 {
                // `i32.const 0 i32.add`, three to seven bytes, so that what is left is none or three at least.
                let left = len - 1 - at;
                let add = if left <= 7 { left } else { (left - 3).min(7) };
                out[at] = 0x41;
                leb::write_signed(&mut out[at + 1..at + add - 1], 0);
                out[at + add - 1] = 0x6a;
                at += add;
            }
            out[len - 1] = filler::END;
        }
        _ => return None,
    }
    Some(())
}
