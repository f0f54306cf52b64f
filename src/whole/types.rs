//! The type section: each group of types is written in one way, so that equal groups get equal ids, in this module
//! and in the next.

use wasmparser::{
    CompositeInnerType, FieldType, PackedIndex, RecGroup, StorageType, SubType, TypeSectionReader,
};

use crate::error::{Error, Result};
use crate::program::emit::{Context, Emitter, Style};
use crate::program::{RelocKind, RelocatableBytes, Signature, TypeId, TypeTable};

/// Gives every type of the section an id; appends them to `types`, which holds those of the module so far.
pub(crate) fn intern(
    section: TypeSectionReader<'_>,
    style: Style,
    table: &mut TypeTable,
    types: &mut Vec<TypeId>,
) -> Result<()> {
    for group in section.into_iter_with_offsets() {
        let (offset, group) = group?;
        let first =
            intern_group(&group, style, table, types).map_err(|error| error.with_offset(offset))?;
        let count = group.types().len() as u32;
        types.extend((0..count).map(|member| TypeId(first.0 + member)));
    }
    Ok(())
}

fn intern_group(
    group: &RecGroup,
    style: Style,
    table: &mut TypeTable,
    types: &[TypeId],
) -> Result<TypeId> {
    let count = group.types().len();
    if count == 0 {
        return Ok(TypeId(0));
    }
    let context = Context {
        style,
        types,
        many_memories: false,
    };
    let first = types.len() as u32;
    let mut emitter = Emitter::for_group(context, first..first + count as u32);
    if count != 1 {
        emitter.byte(0x4e);
        emitter.unsigned(count as u64);
    }
    let mut signatures = Vec::with_capacity(count);
    for ty in group.types() {
        sub_type(&mut emitter, ty)?;
        signatures.push(match &ty.composite_type.inner {
            CompositeInnerType::Func(function) => Some(Signature {
                params: function.params().len() as u32,
                results: function.results().len() as u32,
                shared: ty.composite_type.shared,
            }),
            _ => None,
        });
    }
    let content = RelocatableBytes::new(emitter.out, emitter.relocs)?;
    table.group(content, emitter.own_references.into(), signatures)
}

fn sub_type(emitter: &mut Emitter<'_>, ty: &SubType) -> Result<()> {
    if !ty.is_final || !ty.supertype_idxs.is_empty() {
        emitter.byte(if ty.is_final { 0x4f } else { 0x50 });
        emitter.unsigned(ty.supertype_idxs.len() as u64);
        for supertype in &ty.supertype_idxs {
            packed(emitter, RelocKind::TypeIndex, *supertype)?;
        }
    }
    let composite = &ty.composite_type;
    if composite.shared {
        emitter.byte(0x65);
    }
    for (code, index) in [
        (0x4c, composite.describes_idx),
        (0x4d, composite.descriptor_idx),
    ] {
        if let Some(index) = index {
            emitter.byte(code);
            packed(emitter, RelocKind::TypeIndex, index)?;
        }
    }
    match &composite.inner {
        CompositeInnerType::Func(ty) => {
            emitter.byte(0x60);
            for side in [ty.params(), ty.results()] {
                emitter.unsigned(side.len() as u64);
                for ty in side {
                    emitter.val_type(*ty)?;
                }
            }
            Ok(())
        }
        CompositeInnerType::Array(ty) => {
            emitter.byte(0x5e);
            field(emitter, &ty.0)
        }
        CompositeInnerType::Struct(ty) => {
            emitter.byte(0x5f);
            emitter.unsigned(ty.fields.len() as u64);
            ty.fields.iter().try_for_each(|ty| field(emitter, ty))
        }
        CompositeInnerType::Cont(ty) => {
            emitter.byte(0x5d);
            packed(emitter, RelocKind::HeapType, ty.0)
        }
    }
}

fn field(emitter: &mut Emitter<'_>, ty: &FieldType) -> Result<()> {
    match ty.element_type {
        StorageType::I8 => emitter.byte(0x78),
        StorageType::I16 => emitter.byte(0x77),
        StorageType::Val(ty) => emitter.val_type(ty)?,
    }
    emitter.byte(u8::from(ty.mutable));
    Ok(())
}

fn packed(emitter: &mut Emitter<'_>, kind: RelocKind, index: PackedIndex) -> Result<()> {
    let index = index
        .as_module_index()
        .ok_or_else(|| Error::bad_input("a type is named in a way that a module cannot"))?;
    emitter.type_index(kind, index)
}
