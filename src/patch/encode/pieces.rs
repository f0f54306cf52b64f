//! Pieces of custom sections, and what fills the gaps between them.

use std::ops::Range;

use crate::layout::{CustomIndex, Place, RegionIndex};
use crate::patch::encode::encoder::Encoder;
use crate::program::{DeclId, RelocKind, RelocatableBytes, Relocation};

/// What a piece holds in ranges of so many bytes or a few more, none of which ends within a field.
pub(crate) fn ranges(content: &RelocatableBytes, bytes: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut start) = (Vec::new(), 0);
    while start < content.len() {
        let mut end = content.len().min(start + bytes);
        let relocs = content.relocs();
        let before = relocs.partition_point(|reloc| (reloc.offset as usize) < end);
        if let Some(last) = before.checked_sub(1).map(|last| &relocs[last]) {
            end = end.max(last.offset as usize + last.kind.width());
        }
        ranges.push(start..end);
        start = end;
    }
    ranges
}

/// The relocations of a range.
pub(crate) fn relocs_in<'a>(
    content: &'a RelocatableBytes,
    range: &Range<usize>,
) -> &'a [Relocation] {
    let relocs = content.relocs();
    let before = |place: usize| relocs.partition_point(|reloc| (reloc.offset as usize) < place);
    &relocs[before(range.start)..before(range.end)]
}

impl<'a> Encoder<'a> {
    /// The pieces of a custom section, in order.
    pub(crate) fn pieces(
        self,
        section: CustomIndex,
    ) -> impl Iterator<Item = (DeclId, &'a RelocatableBytes)> {
        let regions = self.layout.customs.section(section).regions().iter();
        let owners = regions.filter_map(|region| region.owner);
        owners.map(move |id| (id, &self.next(id).content))
    }
}

impl Encoder<'_> {
    /// The value of a field of a piece of a custom section, if its target is there.
    pub(crate) fn piece_value(&self, reloc: &Relocation) -> Option<u64> {
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
        self.piece_range(tombstone, content, 0..content.len(), out);
    }

    /// Writes a [range](ranges) of what a piece holds, with its relocations resolved.
    pub(crate) fn piece_range(
        &self,
        tombstone: Option<u64>,
        content: &RelocatableBytes,
        range: Range<usize>,
        out: &mut [u8],
    ) {
        out.copy_from_slice(&content.bytes()[range.clone()]);
        for reloc in relocs_in(content, &range) {
            let field = &mut out[reloc.offset as usize - range.start..][..reloc.kind.width()];
            self.relocate_piece(tombstone, reloc, field);
        }
    }

    /// Calls `put` with what fills the unused bytes of a region of a custom section, and its offset in the section's
    /// contents.
    pub(crate) fn gap(
        &self,
        section: CustomIndex,
        region: RegionIndex,
        mut put: impl FnMut(u32, &[u8]),
    ) {
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
    pub(crate) fn custom_range(&self, section: CustomIndex, regions: Range<u32>, out: &mut [u8]) {
        let custom = self.layout.customs.section(section);
        let all = &custom.regions()[regions.start as usize..regions.end as usize];
        let base = all.first().map_or(0, |region| region.offset);
        for (index, region) in regions.zip(all) {
            if let Some(id) = region.owner {
                let len = self.next(id).content.len();
                let at = (region.offset - base) as usize;
                self.piece(custom.tombstone, id, &mut out[at..at + len]);
            }
            self.gap(section, RegionIndex(index), |at, bytes| {
                out[(at - base) as usize..][..bytes.len()].copy_from_slice(bytes);
            });
        }
    }
}
