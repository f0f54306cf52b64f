//! From a module that was taken apart back to bytes: every index as short as it can be, nothing that is not needed.

use crate::error::{Error, Result};
use crate::hash::{HashMap, HashSet};
use crate::program::short::{push_content, push_field, push_group};
use crate::program::{DeclKind, RelocKind, RelocatableBytes, Relocation, TypeId, TypeTable};
use crate::whole::decode::Decoded;
use crate::whole::spaces::{Item, SPACES, space};
use crate::wire::leb;
use crate::wire::section::{push, push_custom, push_string, push_vector};

/// Writes a module that was decoded in canonical style, or put together from parts of such a one.
///
/// # Errors
/// If something refers to what is not there.
pub(crate) fn write(module: &Decoded, table: &TypeTable) -> Result<Vec<u8>> {
    let types = TypeIndices::of(module, table);
    let writer = Writer { module, types };
    let mut out = b"\0asm\x01\0\0\0".to_vec();
    out.extend_from_slice(&module.customs.front);
    vector(&mut out, 1, types_section(&writer.types, table)?);
    vector(&mut out, 2, writer.imports()?);
    vector(&mut out, 3, writer.function_types()?);
    for (id, kind) in [
        (4, DeclKind::Table),
        (5, DeclKind::Memory),
        (13, DeclKind::Tag),
        (6, DeclKind::Global),
    ] {
        vector(&mut out, id, writer.defined(kind)?);
    }
    vector(&mut out, 7, writer.exports());
    if let Some(start) = module.start {
        let mut body = Vec::new();
        leb::push_unsigned(&mut body, start.into());
        push(&mut out, 8, &body);
    }
    vector(&mut out, 9, writer.elements()?);
    if writer.needs_data_count() {
        let mut body = Vec::new();
        let segments = writer.items(DeclKind::DataSegment).len();
        leb::push_unsigned(&mut body, segments as u64);
        push(&mut out, 12, &body);
    }
    vector(&mut out, 10, writer.code()?);
    vector(&mut out, 11, writer.data()?);
    let names = writer.names();
    if !names.is_empty() {
        push_custom(&mut out, "name", &names);
    }
    out.extend_from_slice(&module.customs.tail);
    Ok(out)
}

/// Entries of a vector: how many, and their bytes.
type Entries = (usize, Vec<u8>);

fn vector(out: &mut Vec<u8>, id: u8, (count, entries): Entries) {
    push_vector(out, id, count, &entries);
}

/// The types that are used, in the order of their first use: a group stands behind what it names.
struct TypeIndices {
    /// The first type of each group.
    groups: Vec<TypeId>,
    indices: HashMap<TypeId, u32, foldhash::fast::FixedState>,
}

impl TypeIndices {
    fn of(module: &Decoded, table: &TypeTable) -> Self {
        let mut seen: HashSet<TypeId, foldhash::fast::FixedState> = HashSet::default();
        let mut groups = Vec::new();
        let mut open: Vec<(TypeId, bool)> = Vec::new();
        let named = |content: &RelocatableBytes| {
            let types = content.relocs().iter().filter_map(|reloc| reloc.ty());
            types.map(|ty| (ty, false)).collect::<Vec<_>>()
        };
        for item in module.spaces.iter().flatten() {
            open.extend(named(&item.definition.content).into_iter().rev());
            open.extend(item.definition.ty().map(|ty| (ty, false)));
            while let Some((ty, names_done)) = open.pop() {
                let group = table.group_of(ty);
                if names_done {
                    groups.push(group.first);
                } else if seen.insert(group.first) {
                    open.push((group.first, true));
                    open.extend(named(&group.content).into_iter().rev());
                }
            }
        }
        let mut indices: HashMap<_, _> = HashMap::default();
        for first in &groups {
            for member in 0..table.group_of(*first).len {
                indices.insert(TypeId(first.0 + member), indices.len() as u32);
            }
        }
        TypeIndices { groups, indices }
    }

    fn index(&self, ty: TypeId) -> Result<u32> {
        let index = self.indices.get(&ty).copied();
        index.ok_or_else(|| Error::bad_input("refers to a type that is not there"))
    }
}

fn types_section(types: &TypeIndices, table: &TypeTable) -> Result<Entries> {
    let mut out = Vec::new();
    for &first in &types.groups {
        push_group(&mut out, table.group_of(first), |ty| types.index(ty))?;
    }
    Ok((types.groups.len(), out))
}

struct Writer<'a> {
    module: &'a Decoded,
    types: TypeIndices,
}

impl<'a> Writer<'a> {
    fn items(&self, kind: DeclKind) -> &'a [Item] {
        space(kind).map_or(&[], |space| &self.module.spaces[space])
    }

    fn content(&self, content: &RelocatableBytes, out: &mut Vec<u8>) -> Result<()> {
        self.content_from(content, 0, out)
    }

    /// Writes what stands from `start` on.
    fn content_from(
        &self,
        content: &RelocatableBytes,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        push_content(out, content, start, |reloc| self.value(reloc))
    }

    fn value(&self, reloc: &Relocation) -> Result<i64> {
        let index = match reloc.ty() {
            Some(ty) => self.types.index(ty)?,
            None => reloc.target,
        };
        Ok(index.into())
    }

    fn imports(&self) -> Result<Entries> {
        let mut out = Vec::new();
        for &(space, index) in &self.module.imports {
            let item = &self.module.spaces[space][index as usize];
            self.content(&item.definition.content, &mut out)?;
        }
        Ok((self.module.imports.len(), out))
    }

    fn function_types(&self) -> Result<Entries> {
        let mut out = Vec::new();
        let mut count = 0;
        for item in self.items(DeclKind::Function) {
            if let (false, Some(ty)) = (item.definition.is_import(), item.definition.ty()) {
                leb::push_unsigned(&mut out, self.types.index(ty)?.into());
                count += 1;
            }
        }
        Ok((count, out))
    }

    fn defined(&self, kind: DeclKind) -> Result<Entries> {
        let mut out = Vec::new();
        let mut count = 0;
        for item in self.items(kind) {
            if !item.definition.is_import() {
                self.content(&item.definition.content, &mut out)?;
                count += 1;
            }
        }
        Ok((count, out))
    }

    fn exports(&self) -> Entries {
        let mut out = Vec::new();
        for export in &self.module.exports {
            push_string(&mut out, &export.name);
            out.push(SPACES[export.space].external());
            leb::push_unsigned(&mut out, export.index.into());
        }
        (self.module.exports.len(), out)
    }

    /// Element segments; those of table 0 in the short form that old engines know, where it means the same.
    fn elements(&self) -> Result<Entries> {
        let mut out = Vec::new();
        let items = self.items(DeclKind::ElementSegment);
        for item in items {
            let content = &item.definition.content;
            let bytes = content.bytes();
            let of_first_table = content.relocs().first().is_some_and(|reloc| {
                reloc.offset == 1 && reloc.kind == RelocKind::TableByte && reloc.target == 0
            });
            let short = of_first_table && matches!(bytes[0], 2 | 6);
            let offset_end = if short {
                expression_end(bytes, 2)
            } else {
                None
            };
            match offset_end {
                Some(end) if bytes.get(end) == Some(&if bytes[0] == 2 { 0 } else { 0x70 }) => {
                    out.push(bytes[0] - 2);
                    let mut offset = Vec::new();
                    self.content_from(content, 2, &mut offset)?;
                    // The kind of what is listed is left out; before it nothing but the offset stands.
                    let cut = self.shortened_len(content, 2, end)?;
                    out.extend_from_slice(&offset[..cut]);
                    out.extend_from_slice(&offset[cut + 1..]);
                }
                _ => self.content(content, &mut out)?,
            }
        }
        Ok((items.len(), out))
    }

    /// How long what stands from `start` to `end` is once its indices are short.
    fn shortened_len(&self, content: &RelocatableBytes, start: usize, end: usize) -> Result<usize> {
        let mut len = end - start;
        for reloc in content.relocs() {
            if (start..end).contains(&(reloc.offset as usize)) {
                let mut index = Vec::new();
                push_field(&mut index, reloc.kind, self.value(reloc)?);
                len = len + index.len() - reloc.kind.width();
            }
        }
        Ok(len)
    }

    /// Data segments; those of memory 0 in the short form.
    fn data(&self) -> Result<Entries> {
        let mut out = Vec::new();
        let items = self.items(DeclKind::DataSegment);
        for item in items {
            let content = &item.definition.content;
            let first = content.relocs().first();
            let of_first_memory = first
                .is_some_and(|reloc| reloc.kind == RelocKind::MemoryIndex && reloc.target == 0);
            if content.bytes()[0] == 2 && of_first_memory {
                out.push(0);
                self.content_from(content, 2, &mut out)?;
            } else {
                self.content(content, &mut out)?;
            }
        }
        Ok((items.len(), out))
    }

    fn needs_data_count(&self) -> bool {
        let functions = self.items(DeclKind::Function).iter();
        functions
            .flat_map(|item| item.definition.content.relocs())
            .any(|reloc| reloc.kind == RelocKind::DataIndex)
    }

    fn code(&self) -> Result<Entries> {
        let mut out = Vec::new();
        let mut body = Vec::new();
        let mut count = 0;
        for item in self.items(DeclKind::Function) {
            if item.definition.is_body() {
                body.clear();
                self.content(&item.definition.content, &mut body)?;
                leb::push_unsigned(&mut out, body.len() as u64);
                out.extend_from_slice(&body);
                count += 1;
            }
        }
        Ok((count, out))
    }

    /// The contents of the name section.
    fn names(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(name) = &self.module.customs.module_name {
            let mut body = Vec::new();
            push_string(&mut body, name);
            push(&mut out, 0, &body);
        }
        for (id, kind) in [
            (1, DeclKind::Function),
            (5, DeclKind::Table),
            (6, DeclKind::Memory),
            (7, DeclKind::Global),
            (8, DeclKind::ElementSegment),
            (9, DeclKind::DataSegment),
            (11, DeclKind::Tag),
        ] {
            let mut entries = Vec::new();
            let mut count = 0;
            for (index, item) in self.items(kind).iter().enumerate() {
                if let Some(name) = &item.name {
                    leb::push_unsigned(&mut entries, index as u64);
                    push_string(&mut entries, name);
                    count += 1;
                }
            }
            vector(&mut out, id, (count, entries));
        }
        out
    }
}

/// Where a constant expression that begins at `start` ends, its indices being fields of fixed width.
fn expression_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut reader = wasmparser::BinaryReader::new(bytes.get(start..)?, start as u64);
    let expression: wasmparser::ConstExpr<'_> = reader.read().ok()?;
    Some(expression.get_binary_reader().range().end as usize)
}
