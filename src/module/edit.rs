//! Edits: they change what is pending and nothing else, so each is cheap, and all that were made since the last commit can
//! be taken back.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::module::Module;
use crate::module::body::{Function, Signature};
use crate::module::handle::{DeclId, Relocation};
use crate::module::items::{self, ConstExpr, Data, ImportType, MemoryType, TableType};
use crate::module::settings::PendingSettings;
use crate::module::value_type::ValType;
use crate::patch::{Customs, MOST_BODY};
use crate::program::{
    self, DeclKind, Definition, DefinitionKind, Export, ExportEdit, ImportEntry, Program,
    RelocatableBytes,
};
use crate::wire::leb;
use smallvec::SmallVec;

/// Bytes of a page of memory.
const PAGE: u64 = 65536;

impl Module {
    /// Declares something under a stable key, such as a mangled name. It can be referred to before it is defined. Like any
    /// other edit this lasts from the next commit on, and until then can be [discarded](Module::discard).
    ///
    /// # Errors
    /// If the key is taken, or longer than engines take where it is written as the name.
    pub fn declare(&mut self, kind: DeclKind, key: &str) -> Result<DeclId> {
        self.check_own_name(Some(key))?;
        let id = self.program.declare(kind, Some(key), None)?;
        Ok(self.handed_out(id))
    }

    /// Declares a part of another declaration: a closure, an instantiation, a constant. It shares its owner's types and is
    /// removed with it. The owner may be a part itself. What several own is [shared](Module::declare_shared).
    ///
    /// # Errors
    /// If the key is taken or too long.
    pub fn declare_part(
        &mut self,
        owner: DeclId,
        kind: DeclKind,
        key: Option<&str>,
    ) -> Result<DeclId> {
        self.check_own_name(key)?;
        let owner = self.find(owner)?;
        let id = self.program.declare(kind, key, Some(owner))?;
        Ok(self.handed_out(id))
    }

    /// Sets what the name section calls a declaration, if not its key.
    ///
    /// # Errors
    /// If there is no such declaration, or the name is longer than engines take.
    pub fn set_name(&mut self, id: DeclId, name: &str) -> Result<()> {
        self.check_own_name(Some(name))?;
        let id = self.find(id)?;
        self.program.set_name(id, Some(name))
    }

    /// Defines or redefines a function.
    ///
    /// # Errors
    /// If `id` is not a function, the body is larger than engines take, or a reference is of the wrong kind.
    pub fn define_function(&mut self, id: DeclId, function: Function) -> Result<()> {
        let id = self.find(id)?;
        if function.bytes.len() > MOST_BODY {
            return Err(Error::limit(format!(
                "the body has {} bytes; engines take {MOST_BODY}",
                function.bytes.len()
            ))
            .with_symbol(self.label(id)));
        }
        let types = function.signatures.iter().map(|signature| match signature {
            Signature::Of(params, results) => self.function_type(params, results),
            Signature::Type(ty) => self.tag.find_type(&self.program, *ty),
        });
        let types = types.collect::<Result<Vec<_>>>();
        let types = types.map_err(|error| error.with_symbol(self.label(id)))?;
        if self.program.types.signature(types[0]).is_none() {
            let error = Error::bad_edit("is of a type that is not one of functions");
            return Err(error.with_symbol(self.label(id)));
        }
        let fields = self.tag.resolve(&self.program, &function.relocs, &types);
        let fields = fields.map_err(|error| error.with_symbol(self.label(id)))?;
        #[cfg(feature = "debug")]
        let size = (function.head, function.bytes.len() as u32);
        let content = RelocatableBytes::new(function.bytes, fields)?;
        self.program.define(
            id,
            DeclKind::Function,
            Definition {
                content,
                shape: DefinitionKind::Function { ty: types[0] },
            },
        )?;
        let calls = function.calls.into_iter();
        let calls = calls.map(|(callee, ty)| Ok((self.find(callee)?, types[ty as usize])));
        let calls = calls.collect::<Result<SmallVec<[_; 8]>>>()?;
        self.program.expect_calls(id, calls.into_iter());
        if function.tail_calls {
            self.use_tail_calls();
        }
        #[cfg(feature = "debug")]
        self.set_debug_info(id, function.debug_info.as_deref(), size)?;
        Ok(())
    }

    /// Defines or redefines data of a memory.
    ///
    /// # Errors
    /// If `id` is not data, a relocation lies outside, or a reference is of the wrong kind.
    pub fn define_data(&mut self, id: DeclId, memory: DeclId, data: Data) -> Result<()> {
        let (id, memory) = (self.find(id)?, self.find(memory)?);
        if data.align_log2 > 16 {
            return Err(
                Error::bad_edit("is aligned to more than 64 KiB").with_symbol(self.label(id))
            );
        }
        let kind = self.program.expect(memory)?.kind;
        if kind != DeclKind::Memory {
            return Err(
                Error::bad_edit(format!("data stands in a memory, not in a {kind}"))
                    .with_symbol(self.label(id)),
            );
        }
        let fields = self.tag.resolve(&self.program, &data.relocs, &[]);
        let content = fields
            .and_then(|fields| RelocatableBytes::new(data.bytes, fields))
            .map_err(|error| error.with_symbol(self.label(id)))?;
        let shape = DefinitionKind::Data {
            align_log2: data.align_log2,
            size: data.size,
            memory,
            constant: data.constant,
        };
        self.program
            .define(id, DeclKind::Data, Definition { content, shape })
    }

    /// Gives a declaration of data a fixed address, such as the end of a stack: it takes no space.
    ///
    /// # Errors
    /// If `id` is not data.
    pub fn define_address(&mut self, id: DeclId, address: u64) -> Result<()> {
        self.program.define_address(self.find(id)?, address)
    }

    /// Defines or redefines a global.
    ///
    /// # Errors
    /// If `id` is not a global, or a reference is of the wrong kind.
    pub fn define_global(
        &mut self,
        id: DeclId,
        ty: ValType,
        mutable: bool,
        init: ConstExpr,
    ) -> Result<()> {
        let id = self.find(id)?;
        let entry = items::global(ty, mutable, init);
        let content = entry.and_then(|(bytes, relocs)| self.content(bytes, &relocs));
        let content = content.map_err(|error| error.with_symbol(self.label(id)))?;
        self.program.define(
            id,
            DeclKind::Global,
            Definition {
                content,
                shape: DefinitionKind::Global,
            },
        )
    }

    /// Defines or redefines a table, whose entries are null to begin with.
    ///
    /// # Errors
    /// If `id` is not a table, or its entries cannot be null.
    pub fn define_table(&mut self, id: DeclId, ty: TableType) -> Result<()> {
        self.define_table_with(id, ty, None)
    }

    /// Defines or redefines a table, all of whose entries begin with a value.
    ///
    /// # Errors
    /// If `id` is not a table, or the value is of another type.
    pub fn define_filled_table(
        &mut self,
        id: DeclId,
        ty: TableType,
        init: ConstExpr,
    ) -> Result<()> {
        self.define_table_with(id, ty, Some(init))
    }

    fn define_table_with(
        &mut self,
        id: DeclId,
        ty: TableType,
        init: Option<ConstExpr>,
    ) -> Result<()> {
        let id = self.find(id)?;
        self.expect_own(id)?;
        let (mut bytes, mut relocs) = (Vec::new(), Vec::new());
        let entry = ty.push_table(init, &mut bytes, &mut relocs);
        let content = entry.and_then(|()| self.content(bytes, &relocs));
        let content = content.map_err(|error| error.with_symbol(self.label(id)))?;
        self.program.define(
            id,
            DeclKind::Table,
            Definition {
                content,
                shape: DefinitionKind::Table,
            },
        )
    }

    /// Defines or redefines a memory. Unless [`Module::reserve_data`] says otherwise, data may take its addresses from
    /// 1024 to the end of its minimum.
    ///
    /// # Errors
    /// If `id` is not a memory.
    pub fn define_memory(&mut self, id: DeclId, ty: MemoryType) -> Result<()> {
        let id = self.find(id)?;
        let mut bytes = Vec::new();
        ty.push(&mut bytes)
            .map_err(|error| error.with_symbol(self.label(id)))?;
        let content = RelocatableBytes::new(bytes, Vec::new())?;
        let shape = DefinitionKind::Memory {
            minimum_bytes: ty.minimum.saturating_mul(PAGE),
            is_64: ty.is_64,
        };
        self.program
            .define(id, DeclKind::Memory, Definition { content, shape })
    }

    /// Says which addresses of a memory data may take; the rest is the program's own. Changing this after data was placed
    /// is a relink.
    ///
    /// # Errors
    /// If `memory` is not a memory, or the range is empty.
    pub fn reserve_data(&mut self, memory: DeclId, addresses: Range<u64>) -> Result<()> {
        let memory = self.find(memory)?;
        let decl = self.program.expect(memory)?;
        if decl.kind != DeclKind::Memory || addresses.is_empty() {
            return Err(
                Error::bad_edit("data needs a range of a memory's addresses")
                    .with_symbol(decl.label()),
            );
        }
        self.pending
            .set_data_range(&self.settings, memory, addresses);
        Ok(())
    }

    /// Defines or redefines a tag of exceptions with these values.
    ///
    /// # Errors
    /// If `id` is not a tag.
    pub fn define_tag(&mut self, id: DeclId, values: &[ValType]) -> Result<()> {
        let id = self.find(id)?;
        let ty = self.function_type(values, &[])?;
        let kind = program::RelocKind::TypeIndex;
        let relocs = vec![program::Relocation::to_type(kind, 1, ty)];
        let content = RelocatableBytes::new(vec![0; 1 + leb::WIDE32], relocs)?;
        self.program.define(
            id,
            DeclKind::Tag,
            Definition {
                content,
                shape: DefinitionKind::Tag { ty },
            },
        )
    }

    /// Makes a declaration an import.
    ///
    /// # Errors
    /// If `id` is of another kind than `ty`, or a name is longer than engines take.
    pub fn define_import(
        &mut self,
        id: DeclId,
        module: &str,
        field: &str,
        ty: &ImportType,
    ) -> Result<()> {
        let id = self.find(id)?;
        self.expect_own(id)?;
        for name in [module, field] {
            items::check_name(name, "an import")?;
        }
        let (mut encoded, mut relocs) = (Vec::new(), Vec::new());
        let (kind, type_id, entry) = match ty {
            ImportType::Function(params, results) => {
                let ty = self.function_type(params, results)?;
                let entry = ImportEntry::function(module, field, ty);
                (DeclKind::Function, Some(ty), Ok(entry))
            }
            ImportType::Tag(values) => {
                let ty = self.function_type(values, &[])?;
                let entry = ImportEntry::tag(module, field, ty);
                (DeclKind::Tag, Some(ty), Ok(entry))
            }
            ImportType::Global(ty, mutable) => {
                ty.push(&mut encoded, &mut relocs);
                encoded.push(u8::from(*mutable));
                let entry = ImportEntry::global_of(module, field);
                (DeclKind::Global, None, Ok(entry))
            }
            ImportType::Table(table) => {
                let table = table.push(&mut encoded, &mut relocs);
                let entry = ImportEntry::table(module, field);
                (DeclKind::Table, None, table.map(|()| entry))
            }
            ImportType::Memory(memory) => {
                let memory = memory.push(&mut encoded);
                let entry = ImportEntry::memory(module, field);
                (DeclKind::Memory, None, memory.map(|()| entry))
            }
        };
        let relocs = self.tag.resolve(&self.program, &relocs, &[]);
        let content = entry.and_then(|entry| entry.with_fields(&encoded, &relocs?).finish());
        let content = content.map_err(|error| error.with_symbol(self.label(id)))?;
        #[cfg(feature = "debug")]
        self.remove_debug_info(id)?;
        self.program.define(
            id,
            kind,
            Definition {
                content,
                shape: DefinitionKind::Import { ty: type_id },
            },
        )
    }

    /// Exports a declaration. It must be defined, and stay so, by the next commit.
    ///
    /// Exports are known by their names: the order in which they stand in the file means nothing. A new one comes behind the
    /// others; where one goes or gets another name, one of the last may take its place. So one export more or less costs the
    /// same however many there are. In [`Module::finish`] the memory comes first, and the others by name.
    ///
    /// # Errors
    /// If there is no such declaration, it is of a kind that cannot be exported, or the name is longer than engines take. Two
    /// exports of one name are found at the commit.
    pub fn export(&mut self, name: &str, id: DeclId) -> Result<()> {
        items::check_name(name, "an export")?;
        let id = self.find(id)?;
        let decl = self.program.expect(id)?;
        if matches!(
            decl.kind,
            DeclKind::Data | DeclKind::ElementSegment | DeclKind::DataSegment | DeclKind::Custom
        ) {
            return Err(
                Error::bad_edit(format!("is a {} and cannot be exported", decl.kind))
                    .with_symbol(decl.label()),
            );
        }
        let export = Export {
            name: name.into(),
            decl: id,
        };
        self.program.edit_exports([ExportEdit::Add(export)]);
        Ok(())
    }

    /// Takes an export away.
    pub fn unexport(&mut self, name: &str) {
        self.program.edit_exports([ExportEdit::Remove(name.into())]);
    }

    /// Sets the function that runs at instantiation, or none.
    ///
    /// # Errors
    /// If `id` is not a function.
    pub fn set_start(&mut self, id: Option<DeclId>) -> Result<()> {
        let id = id.map(|id| self.find(id)).transpose()?;
        if let Some(id) = id {
            let decl = self.program.expect(id)?;
            if decl.kind != DeclKind::Function {
                return Err(
                    Error::bad_edit(format!("is a {}, not a function", decl.kind))
                        .with_symbol(decl.label()),
                );
            }
        }
        self.program.set_start(id);
        Ok(())
    }

    /// Takes a declaration and its parts away. By the next commit nothing may refer to them.
    ///
    /// # Errors
    /// If there is no such declaration.
    pub fn remove(&mut self, id: DeclId) -> Result<()> {
        let id = self.find(id)?;
        self.expect_own(id)?;
        #[cfg(feature = "debug")]
        self.remove_debug_info(id)?;
        self.program.remove(id)
    }

    /// Forgets all edits since the last commit: the module is what it was then, or when it was made if there was none.
    ///
    /// What was declared since then is declared no more, its ids name nothing, and what was removed has its key again. Ids of
    /// custom sections that were handed out since then may be handed out once more, for something else. If there was no
    /// commit yet, defining what had been declared declares it again, unless something else was declared since.
    pub fn discard(&mut self) {
        self.program.discard(self.identity.generation == 0);
        self.pending = PendingSettings::default();
    }

    /// Makes the next commit rebuild the output, without dead space.
    pub fn request_relink(&mut self) {
        self.pending.relink = true;
    }

    /// Whether a commit would change the program or how it is written.
    pub(crate) fn has_edits(&self) -> bool {
        self.program.has_pending() || self.pending.changes_something()
    }

    /// The program, for front ends that bring definitions of their own.
    pub(crate) fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }

    /// The program as it is pending.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Who referred to a declaration as of the last commit; nobody if the index has not been [prepared](Module::prepare).
    pub(crate) fn sources_of(&self, id: program::DeclId) -> SmallVec<[program::DeclId; 8]> {
        let references = self.references.as_ref();
        references.map_or_else(SmallVec::new, |all| all.of(&self.program, id))
    }

    /// Which pieces of custom sections may have referred to a declaration as of the last commit; none if the index has not been
    /// [prepared](Module::prepare).
    pub(crate) fn pieces_naming(&self, id: program::DeclId) -> SmallVec<[program::DeclId; 8]> {
        let references = self.references.as_ref();
        references.map_or_else(SmallVec::new, |all| all.weak(&self.program, id))
    }

    /// Custom sections that stand at the end of the output.
    pub(crate) fn custom_tail(&self) -> &[u8] {
        &self.settings.customs.tail
    }

    /// Where everything stands as of the last commit.
    pub(crate) fn layout(&self) -> Option<&crate::layout::Layout> {
        self.layout.as_ref()
    }

    /// Sets the custom sections that are kept as they are, and the module's own name.
    pub(crate) fn set_customs(&mut self, customs: Customs) {
        self.pending.customs = (customs != self.settings.customs).then_some(customs);
    }

    /// Lets thunks and forwarders be tail calls from the next commit on.
    pub(crate) fn use_tail_calls(&mut self) {
        self.pending.tail_calls = !self.settings.tail_calls;
    }

    /// Bytes with their fields.
    pub(super) fn content(
        &self,
        bytes: Vec<u8>,
        fields: &[Relocation],
    ) -> Result<RelocatableBytes> {
        let fields = self.tag.resolve(&self.program, fields, &[])?;
        RelocatableBytes::new(bytes, fields)
    }

    /// A declaration's key or name, which is written unless there are no names.
    pub(super) fn check_own_name(&self, name: Option<&str>) -> Result<()> {
        let written = name.filter(|_| self.options.names);
        written.map_or(Ok(()), |name| items::check_name(name, "a declaration"))
    }

    /// The table of slots is wasmend's, not the user's.
    pub(super) fn expect_own(&self, id: program::DeclId) -> Result<()> {
        if Some(id) == self.slot_table {
            return Err(Error::bad_edit("is the table of functions' slots")
                .with_symbol(self.label(id))
                .with_hint("ask for a module without it in the options"));
        }
        Ok(())
    }

    pub(super) fn label(&self, id: program::DeclId) -> String {
        self.program
            .get(id)
            .map_or_else(|| id.to_string(), |decl| decl.label().to_owned())
    }
}
