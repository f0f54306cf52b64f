//! Entries and segments, each in its place.

use rayon::prelude::*;

use crate::layout::{ImageIndex, Occupant, Ordinal, Place, encode_name};
use crate::parallel::{region, task};
use crate::patch::encode::encoder::Encoder;
use crate::patch::encode::globals::unused_global;
use crate::patch::encode::runs::write_in_runs;
use crate::patch::order::RUN;
use crate::program::{DeclId, Definition, DefinitionKind, RelocKind, Relocation};
use crate::wire::{filler, leb};

/// Bytes of the entry of the table of slots.
pub(crate) const SLOT_TABLE_LEN: usize = 12;

impl Encoder<'_> {
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
    pub(crate) fn image_header(&self, image: ImageIndex, out: &mut [u8]) {
        let image = self.layout.data.image(image);
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

    /// Writes what of `data` stands in an image, `out` being its bytes from the base.
    pub(crate) fn image(&self, index: ImageIndex, data: &[DeclId], out: &mut [u8]) {
        let image = self.layout.data.image(index);
        let place = |id: &DeclId| {
            let (Place::Data { address, .. }, DefinitionKind::Data { size, memory, .. }) =
                (self.layout.place(*id), self.next(*id).shape)
            else {
                return None;
            };
            let stands_here =
                self.layout.data.image_of(memory) == Some(index) && address < image.top;
            stands_here.then(|| ((address - image.base) as usize, size as usize, *id))
        };
        let run = |run: &[DeclId]| task(|| run.iter().filter_map(place).collect());
        let mut placed: Vec<(usize, usize, DeclId)> = match data.len() <= RUN {
            true => run(data),
            false => {
                let runs = data.par_chunks(RUN);
                region(|| runs.map(run).collect::<Vec<_>>()).concat()
            }
        };
        if !placed.is_sorted() {
            placed.sort_unstable();
        }
        write_in_runs(
            &placed,
            out,
            |(start, ..)| *start,
            |(_, size, id), out| {
                self.data(*id, &mut out[..*size]);
            },
        );
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

    pub(crate) fn image_of(&self, id: DeclId) -> Option<ImageIndex> {
        match self.next(id).shape {
            DefinitionKind::Data { memory, .. } => self.layout.data.image_of(memory),
            _ => None,
        }
    }
}

/// Bytes of a table's, memory's or tag's entry.
pub(crate) fn entity_len(definition: &Definition) -> usize {
    if definition.shape == DefinitionKind::SlotTable {
        SLOT_TABLE_LEN
    } else {
        definition.content.len()
    }
}
