//! Pieces of custom sections of which a version before is defined: fields that are what they were are taken over.

use crate::error::Result;
use crate::link::declare::relocate::Converter;
use crate::link::symbols::ObjectId;
use crate::object::Object;
use crate::object::ids::SymbolIndex;
use crate::program::{Bytes, RelocatableBytes, SharedFields};

impl Converter<'_> {
    /// A piece of a custom section of an object with the tables of the version before, whose piece has these fields.
    pub(crate) fn custom_after(
        &self,
        id: ObjectId,
        index: usize,
        before: &Object,
        fields: &SharedFields,
    ) -> Result<RelocatableBytes> {
        let object = &self.resolution.object(id).object;
        let custom = &object.custom_sections[index];
        let old = &before.custom_sections[index];
        let bytes = Bytes::Shared {
            input: object.input().clone(),
            start: custom.contents.start,
            len: custom.contents.len,
        };
        if object.custom_reloc_bytes(custom) == before.custom_reloc_bytes(old) {
            let content = RelocatableBytes::with_fields(bytes, fields.clone());
            return content.map_err(|error| error.with_path(object.display_name()));
        }
        let changed = object.changed_custom_relocs(custom, before, old);
        let Some((numbers, relocs)) = changed.filter(|_| fields.len() == custom.reloc_count())
        else {
            return self.custom(id, index);
        };
        let mut changes = Vec::with_capacity(numbers.len());
        for (number, reloc) in numbers.into_iter().zip(relocs.all()) {
            let mut piece_of = |symbol: SymbolIndex| self.piece_of(id, object, symbol);
            let field = self.convert_field(id, object, &relocs, reloc, &mut piece_of)?;
            if !field.stands_like(&fields[number]) {
                return self.custom(id, index);
            }
            if field != fields[number] {
                changes.push((number as u32, field));
            }
        }
        let content = RelocatableBytes::with_changed_fields(bytes, fields.clone(), changes);
        content.map_err(|error| error.with_path(object.display_name()))
    }
}
