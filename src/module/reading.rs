//! What a module can be asked of its declarations, so that a compiler need not keep a mirror of it. Nothing is changed here.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::layout::Place;
use crate::module::Module;
use crate::module::handle::DeclId;
use crate::program::{self, DeclKind, Definition, DefinitionKind, Pending};

/// A declaration, as it is now. Where it stands is as of the last commit; all else is with the edits since then.
#[derive(Clone, Copy)]
pub struct Declaration<'a> {
    module: &'a Module,
    id: program::DeclId,
    decl: &'a program::Declaration,
}

/// What the next commit makes of a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingEdit {
    /// Nothing.
    None,
    /// It gets its first definition, or another one.
    Define,
    /// It goes.
    Remove,
}

impl Module {
    /// A declaration by its id.
    ///
    /// # Errors
    /// If it is not there any more, or of another module.
    pub fn declaration(&self, id: DeclId) -> Result<Declaration<'_>> {
        let found = self.find(id)?;
        match self.program.get(found) {
            Some(decl) => Ok(self.read(found, decl)),
            None => Err(Error::bad_edit(format!("{id} was discarded"))),
        }
    }

    /// All declarations, those that are about to be removed among them, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = Declaration<'_>> {
        let own = self.program.iter().filter(|(id, decl)| {
            let is_slots = Some(*id) == self.slot_table;
            !decl.is_orphan && !is_slots
        });
        own.map(|(id, decl)| self.read(id, decl))
    }

    /// The declaration with this key, if it is of this kind, or else a new one: for whoever compiles a thing and does not care
    /// whether it has been there before.
    ///
    /// # Errors
    /// If the key is that of something of another kind, or too long.
    pub fn declare_or_get(&mut self, kind: DeclKind, key: &str) -> Result<DeclId> {
        match self.lookup(key) {
            Some(id) if self.declaration(id)?.kind() == kind => Ok(id),
            _ => self.declare(kind, key),
        }
    }

    fn read<'a>(&'a self, id: program::DeclId, decl: &'a program::Declaration) -> Declaration<'a> {
        Declaration {
            module: self,
            id,
            decl,
        }
    }
}

impl<'a> Declaration<'a> {
    /// Its id.
    pub fn id(&self) -> DeclId {
        self.module.handed_out(self.id)
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> DeclKind {
        self.decl.kind
    }

    /// The key by which it was declared; parts may have none.
    pub fn key(&self) -> Option<&'a str> {
        self.decl.key.as_deref()
    }

    /// What the name section calls it: its key, if it was not given another name.
    pub fn name(&self) -> Option<&'a str> {
        self.decl.given_name()
    }

    /// What it is a part of, if that is one declaration. Those of a shared part are its [owners](Declaration::owners).
    pub fn owner(&self) -> Option<DeclId> {
        self.decl.owner.map(|id| self.module.handed_out(id))
    }

    /// All that it is a part of: what is shared may have several owners.
    pub fn owners(&self) -> impl Iterator<Item = DeclId> + use<'a> {
        let module = self.module;
        let shared = module.program.owners_of(self.id).iter().copied();
        let all = self.decl.owner.into_iter().chain(shared);
        all.map(|id| module.handed_out(id))
    }

    /// What is a part of it, be it of others too.
    pub fn parts(&self) -> impl Iterator<Item = DeclId> + use<'a> {
        let module = self.module;
        let shared = module.program.shared_parts(self.id);
        let parts = self.decl.members().iter().chain(shared).copied();
        let own = parts.filter(|id| !module.program.decl(*id).is_orphan);
        own.map(|id| module.handed_out(id))
    }

    /// The names under which it was exported at the last commit.
    pub fn exports(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let exports = self.module.program.said_exports_of(self.id);
        exports.map(|export| &*export.name)
    }

    /// Whether it is defined, be it since the last commit.
    pub fn is_defined(&self) -> bool {
        self.decl.next().is_some()
    }

    /// Whether it is an import.
    pub fn is_import(&self) -> bool {
        self.decl.next().is_some_and(Definition::is_import)
    }

    /// What the next commit makes of it.
    pub fn pending(&self) -> PendingEdit {
        match self.decl.pending() {
            Pending::None => PendingEdit::None,
            Pending::Define(_) => PendingEdit::Define,
            Pending::Remove => PendingEdit::Remove,
        }
    }

    /// The type of a function, in words: `(i32, f64) -> (i32)`.
    pub fn signature(&self) -> Option<String> {
        let ty = self.decl.next()?.ty()?;
        Some(self.module.program.types.describe(ty))
    }

    /// How many bytes its definition has: a function's body, data with its zeros, a piece.
    pub fn len(&self) -> u64 {
        match self.decl.next().map(|next| (next.shape, &next.content)) {
            Some((DefinitionKind::Data { size, .. }, _)) => size,
            Some((_, content)) => content.len() as u64,
            None => 0,
        }
    }

    /// Whether its definition has no bytes, or there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot that a function has in the table of slots: its address. Nothing if nobody needs one.
    pub fn slot(&self) -> Option<u32> {
        self.place().slot().map(|slot| slot.0)
    }

    /// The index by which code of the output names it, if it is in an index space.
    pub fn index(&self) -> Option<u32> {
        let layout = self.module.layout.as_ref()?;
        match self.place() {
            Place::Function { .. } | Place::ImportedFunction { .. } => {
                layout.function_index(self.id)
            }
            Place::Global(ordinal) => Some(layout.globals.index(ordinal)),
            Place::Index(index) => Some(index),
            Place::None | Place::Data { .. } | Place::Custom { .. } => None,
        }
    }

    /// The addresses that data takes.
    pub fn addresses(&self) -> Option<Range<u64>> {
        let size = match self.decl.current()?.shape {
            DefinitionKind::Data { size, .. } => size,
            _ => 0,
        };
        match self.place() {
            Place::Data { address, .. } => Some(address..address + size),
            _ => None,
        }
    }

    /// The address behind all data of a memory: from there on it is the program's own. Zeros stand at the end of the range that data
    /// may take ([`Module::reserve_data`]), so where there are any, this is the end of the range. Nothing if there was no data.
    pub fn data_end(&self) -> Option<u64> {
        let data = &self.module.layout.as_ref()?.data;
        let image = data.image(data.image_of(self.id)?);
        Some(match image.zero < image.limit {
            true => image.limit,
            false => image.top,
        })
    }

    fn place(&self) -> Place {
        let layout = self.module.layout.as_ref();
        layout.map_or(Place::None, |layout| layout.place(self.id))
    }
}

impl fmt::Debug for Declaration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration")
            .field("id", &format_args!("{}", self.id))
            .field("kind", &format_args!("{}", self.kind()))
            .field("name", &self.name())
            .field("signature", &self.signature())
            .field("len", &self.len())
            .field("index", &self.index())
            .field("slot", &self.slot())
            .field("addresses", &self.addresses())
            .field("pending", &self.pending())
            .finish()
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("output", &self.output.path())
            .field("generation", &self.identity.generation)
            .field("declarations", &self.iter().count())
            .field("has_edits", &self.has_edits())
            .finish_non_exhaustive()
    }
}
