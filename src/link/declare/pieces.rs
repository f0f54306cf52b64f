//! Pieces of custom sections of which a version before is defined: fields that are what they were are taken over.

use crate::error::Result;
use crate::link::declare::relocate::{Converter, Section};
use crate::link::symbols::ObjectId;
use crate::object::Object;
use crate::object::ids::SymbolIndex;
use crate::program::{Bytes, RelocatableBytes, SharedFields};

impl Converter<'_> {
    /// A piece of a custom section of an object with the tables of the version before, whose piece has these fields. `None` if
    /// it has to be made as a whole: where fields are others, or one names strings that stand with those of other objects,
    /// which are not looked for here.
    pub(crate) fn custom_after(
        &self,
        id: ObjectId,
        index: usize,
        before: &Object,
        fields: &SharedFields,
    ) -> Result<Option<RelocatableBytes>> {
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
            return content
                .map(Some)
                .map_err(|error| error.with_path(object.display_name()));
        }
        let changed = object.changed_custom_relocs(custom, before, old);
        let Some((numbers, relocs)) = changed.filter(|_| fields.len() == custom.reloc_count())
        else {
            return Ok(None);
        };
        let mut changes = Vec::with_capacity(numbers.len());
        for (number, reloc) in numbers.into_iter().zip(relocs.all()) {
            let mut is_of_strings = false;
            let mut section_of = |symbol: SymbolIndex| {
                let section = self.section_of(id, object, symbol);
                is_of_strings |= matches!(section, Section::Nothing);
                section
            };
            let field = relocs.field(reloc);
            let field = self.convert_field(id, object, field, &mut section_of)?;
            if is_of_strings || !field.stands_like(&fields[number]) {
                return Ok(None);
            }
            if field != fields[number] {
                changes.push((number as u32, field));
            }
        }
        let content = RelocatableBytes::with_changed_fields(bytes, fields.clone(), changes);
        content
            .map(Some)
            .map_err(|error| error.with_path(object.display_name()))
    }
}
