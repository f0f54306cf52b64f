//! What a delta imports of an instance and of its host, and the index that each thing has in the delta.

use crate::delta::artifact::{EPOCH, MODULE};
use crate::delta::policy::global_type;
use crate::delta::view::View;
use crate::hash::HashMap;
use crate::layout::Place;
use crate::program::short::push_group;
use crate::program::{
    DeclId, DeclKind, Definition, DefinitionKind, Relocation, TypeId, import_names,
};
use crate::wire::leb::{push_signed, push_unsigned, read_unsigned};
use crate::wire::section;

type Map<K> = HashMap<K, u32, foldhash::fast::FixedState>;

/// The types and imports of a delta, on their way.
pub(super) struct Imports<'a> {
    view: View<'a>,
    types: Map<TypeId>,
    raw_types: HashMap<Vec<u8>, u32, foldhash::fast::FixedState>,
    /// The entries of the type section, and how many types and groups they are.
    pub(super) type_entries: Vec<u8>,
    pub(super) groups: usize,
    type_count: u32,
    /// The entries of the import section.
    pub(super) entries: Vec<u8>,
    pub(super) count: usize,
    indices: Map<DeclId>,
    /// How many there are of each kind, by the byte that stands for it.
    counts: [u32; 5],
}

impl<'a> Imports<'a> {
    /// The table of slots, the first memory and the host's epoch, which each delta needs.
    pub(super) fn new(view: View<'a>) -> Imports<'a> {
        let mut imports = Imports {
            view,
            types: Map::default(),
            raw_types: HashMap::default(),
            type_entries: Vec::new(),
            groups: 0,
            type_count: 0,
            entries: Vec::new(),
            count: 0,
            indices: Map::default(),
            counts: [0; 5],
        };
        let layout = view.layout;
        let first = |id: &DeclId| view.place(*id) == Place::Index(0);
        let imported = layout.imports.iter().copied();
        let is_memory = |id: &DeclId| view.program.kind_of(*id) == Some(DeclKind::Memory);
        let memories = imported
            .filter(is_memory)
            .chain(layout.memories.iter().copied());
        // Code that names no memory means the first one.
        for id in layout
            .slot_table
            .into_iter()
            .chain(memories.filter(first).take(1))
        {
            imports.index(id);
        }
        imports.import(MODULE, EPOCH, DeclKind::Global, &[0x7e, 1]);
        imports
    }

    /// The index of a type.
    pub(super) fn ty(&mut self, ty: TypeId) -> u32 {
        if let Some(index) = self.types.get(&ty) {
            return *index;
        }
        let group = self.view.program.types.group_of(ty);
        for reloc in group.content.relocs() {
            if let Some(other) = reloc.ty() {
                self.ty(other);
            }
        }
        let start = self.type_count;
        for member in 0..group.len {
            self.types
                .insert(TypeId(group.first.0 + member), start + member);
        }
        let mut entry = Vec::new();
        let types = &self.types;
        let known = |ty: TypeId| Ok(types.get(&ty).copied().unwrap_or_default());
        // Every type that it names has its index by now.
        let _ = push_group(&mut entry, group, known);
        self.type_count += group.len;
        self.push_type(entry);
        self.types[&ty]
    }

    /// The index of a function type of plain values.
    pub(super) fn plain_type(&mut self, entry: &[u8]) -> u32 {
        if let Some(index) = self.raw_types.get(entry) {
            return *index;
        }
        let index = self.type_count;
        self.type_count += 1;
        self.raw_types.insert(entry.to_vec(), index);
        self.push_type(entry.to_vec());
        index
    }

    fn push_type(&mut self, entry: Vec<u8>) {
        self.type_entries.extend_from_slice(&entry);
        self.groups += 1;
    }

    fn import(&mut self, module: &str, field: &str, kind: DeclKind, ty: &[u8]) -> u32 {
        section::push_string(&mut self.entries, module);
        section::push_string(&mut self.entries, field);
        self.entries.push(kind.external());
        self.entries.extend_from_slice(ty);
        self.count += 1;
        let count = &mut self.counts[usize::from(kind.external())];
        *count += 1;
        *count - 1
    }

    /// How many there are of a kind.
    pub(super) fn counted(&self, kind: DeclKind) -> u32 {
        self.counts[usize::from(kind.external())]
    }

    /// Says that the delta itself has something, under the next index of its kind; nothing of the kind may be imported
    /// after that.
    pub(super) fn own(&mut self, id: DeclId, kind: DeclKind) -> u32 {
        let count = &mut self.counts[usize::from(kind.external())];
        *count += 1;
        self.indices.insert(id, *count - 1);
        *count - 1
    }

    /// The index of something that is known to the delta.
    pub(super) fn known(&self, id: DeclId) -> Option<u32> {
        self.indices.get(&id).copied()
    }

    /// The index of something of the instance's: a global, memory, table or tag. Imports it if it has not been.
    pub(super) fn index(&mut self, id: DeclId) -> Option<u32> {
        if let Some(index) = self.known(id) {
            return Some(index);
        }
        let kind = self.view.program.kind_of(id)?;
        let name = self.view.program.live_name(id)?;
        let definition = self.view.definition(id)?;
        let ty = self.type_of(kind, definition)?;
        let index = self.import(MODULE, &name, kind, &ty);
        self.indices.insert(id, index);
        Some(index)
    }

    /// The index of something that the host gives. Imports it if it has not been.
    pub(super) fn hosted(&mut self, id: DeclId) -> Option<u32> {
        if let Some(index) = self.known(id) {
            return Some(index);
        }
        let kind = self.view.program.kind_of(id)?;
        let definition = self.view.definition(id)?;
        let (module, field, _) = import_names(definition.content.bytes())?;
        let (module, field) = (str::from_utf8(module).ok()?, str::from_utf8(field).ok()?);
        let ty = self.type_of(kind, definition)?;
        let index = self.import(module, field, kind, &ty);
        self.indices.insert(id, index);
        Some(index)
    }

    /// The type of an import that is given something of this definition, as it is encoded. Limits are such that whatever the
    /// instance has now will do.
    fn type_of(&mut self, kind: DeclKind, definition: &Definition) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let start = definition.type_start()?;
        match kind {
            DeclKind::Function => push_unsigned(&mut out, self.ty(definition.ty()?).into()),
            DeclKind::Tag => {
                out.push(0);
                push_unsigned(&mut out, self.ty(definition.ty()?).into());
            }
            DeclKind::Global => {
                let ty = global_type(definition)?;
                out.extend_from_slice(ty.value);
                if let Some(named) = ty.named {
                    push_signed(&mut out, self.ty(named).into());
                }
                out.push(ty.flags);
            }
            DeclKind::Memory => push_memory(&mut out, definition.content.bytes().get(start..)?)?,
            DeclKind::Table if definition.shape == DefinitionKind::SlotTable => {
                let is_64 = self.view.layout.options.table64;
                out.extend([0x70, u8::from(is_64) << 2, 0]);
            }
            DeclKind::Table => self.push_table(&mut out, definition, start)?,
            _ => return None,
        }
        Some(out)
    }

    fn push_table(
        &mut self,
        out: &mut Vec<u8>,
        definition: &Definition,
        start: usize,
    ) -> Option<()> {
        let bytes = definition.content.bytes();
        let mut at = start;
        if bytes.get(at..at + 2) == Some(&[0x40, 0]) {
            at += 2;
        }
        let first = *bytes.get(at)?;
        out.push(first);
        at += 1;
        if matches!(first, 0x63 | 0x64) {
            if bytes.get(at) == Some(&0x65) {
                out.push(0x65);
                at += 1;
            }
            let mut relocs = definition.content.relocs().iter();
            let named = relocs.find(|reloc| reloc.offset as usize == at);
            match named.and_then(Relocation::ty).zip(named) {
                Some((ty, reloc)) => {
                    push_signed(out, self.ty(ty).into());
                    at += reloc.kind.width();
                }
                None => {
                    out.push(*bytes.get(at)?);
                    at += 1;
                }
            }
        }
        let flags = *bytes.get(at)?;
        out.extend([flags & !1, 0]);
        Some(())
    }
}

/// A memory's type that whatever has this one will do for: no least size, and a greatest only if there must be one.
fn push_memory(out: &mut Vec<u8>, ty: &[u8]) -> Option<()> {
    const HAS_MAXIMUM: u8 = 1;
    const SHARED: u8 = 2;
    const PAGE_SIZE: u8 = 8;
    let (&flags, rest) = ty.split_first()?;
    let keeps = if flags & SHARED != 0 {
        u8::MAX
    } else {
        !HAS_MAXIMUM
    };
    out.extend([flags & keeps, 0]);
    let (_, mut at) = read_unsigned(rest)?;
    if flags & HAS_MAXIMUM != 0 {
        let (most, width) = read_unsigned(rest.get(at..)?)?;
        at += width;
        if flags & SHARED != 0 {
            push_unsigned(out, most);
        }
    }
    if flags & PAGE_SIZE != 0 {
        push_unsigned(out, read_unsigned(rest.get(at..)?)?.0);
    }
    Some(())
}
