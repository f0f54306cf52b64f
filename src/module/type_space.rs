//! Types of the module as the decoder knows them, for bodies whose values are references to such types. Most bodies have
//! none; for those that do, a module is made of the types that they may come across, and the decoder reads it.

use wasmparser::{
    Parser, SubType, ValidPayload, Validator, ValidatorResources, WasmFeatures, WasmModuleResources,
};

use crate::error::{Error, Result};
use crate::hash::{HashMap, HashSet};
use crate::program::{TypeGroup, TypeId, TypeTable};
use crate::wire::leb;

/// A module with one function that does nothing, without the types behind the first.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const NOTHING: &[u8] = &[0x60, 0, 0];
const FUNCTION: &[u8] = &[3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0b];

/// Some of the program's types, with indices of their own.
pub(super) struct TypeSpace {
    indices: HashMap<TypeId, u32, foldhash::fast::FixedState>,
    resources: ValidatorResources,
}

impl TypeSpace {
    /// These types, and those that they name.
    ///
    /// # Errors
    /// If one of them is not as types have to be.
    pub(super) fn of(types: &TypeTable, roots: impl IntoIterator<Item = TypeId>) -> Result<Self> {
        let groups = reached(types, roots);
        let mut indices = HashMap::with_hasher(foldhash::fast::FixedState::default());
        let mut next = 1;
        for group in &groups {
            let members = (0..group.len).map(|at| TypeId(group.first.0 + at));
            indices.extend(members.zip(next..));
            next += group.len;
        }
        let mut section = Vec::new();
        leb::push_unsigned(&mut section, groups.len() as u64 + 1);
        section.extend_from_slice(NOTHING);
        for group in &groups {
            push_group(group, &indices, &mut section);
        }
        let mut module = HEADER.to_vec();
        module.push(1);
        leb::push_unsigned(&mut module, section.len() as u64);
        module.append(&mut section);
        module.extend_from_slice(FUNCTION);
        Ok(TypeSpace {
            indices,
            resources: resources(&module).map_err(|error| {
                let text = format!("is not as types can be: {}", error.message());
                Error::bad_edit(text)
            })?,
        })
    }

    /// What the decoder has to say of them.
    pub(super) fn resources(&self) -> &ValidatorResources {
        &self.resources
    }

    /// The index by which the decoder knows a type.
    pub(super) fn index(&self, ty: TypeId) -> Option<u32> {
        self.indices.get(&ty).copied()
    }

    /// A type as the decoder knows it.
    pub(super) fn sub_type(&self, ty: TypeId) -> Option<&SubType> {
        self.resources.sub_type_at(self.index(ty)?)
    }
}

/// The groups of these types and of all that they name, each behind those that it names.
fn reached(types: &TypeTable, roots: impl IntoIterator<Item = TypeId>) -> Vec<&TypeGroup> {
    let mut waiting: Vec<TypeId> = roots.into_iter().collect();
    let mut seen: HashSet<TypeId> = HashSet::default();
    let mut groups = Vec::new();
    while let Some(ty) = waiting.pop() {
        let group = types.group_of(ty);
        if seen.insert(group.first) {
            let relocs = group.content.relocs().iter();
            waiting.extend(relocs.filter_map(|reloc| reloc.ty()));
            groups.push(group);
        }
    }
    // A group names none that came after it.
    groups.sort_unstable_by_key(|group| group.first);
    groups
}

/// Writes a group with these indices in its fields.
fn push_group(
    group: &TypeGroup,
    indices: &HashMap<TypeId, u32, foldhash::fast::FixedState>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(group.content.bytes());
    let relocs = group.content.relocs().iter();
    let others = relocs.filter_map(|reloc| Some((reloc.offset, reloc.kind, reloc.ty()?)));
    let own = group.own.iter();
    let own = own.map(|&(offset, kind, at)| (offset, kind, TypeId(group.first.0 + at)));
    for (offset, kind, ty) in others.chain(own) {
        let field = &mut out[start + offset as usize..][..kind.width()];
        kind.write(indices[&ty].into(), field);
    }
}

/// What the decoder knows of a module that has a function.
fn resources(module: &[u8]) -> wasmparser::Result<ValidatorResources> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut found = None;
    for payload in Parser::new(0).parse_all(module) {
        if let ValidPayload::Func(function, _) = validator.payload(&payload?)? {
            found = Some(function.resources);
        }
    }
    Ok(found.expect("the module has a function"))
}
