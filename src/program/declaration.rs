//! A declaration: its kind, who owns it, what was committed of it and what is pending.

use std::fmt;

use crate::program::content::RelocatableBytes;
use crate::program::ids::{DeclId, LibraryId, SectionId, TypeId};
use crate::program::import_entry::import_names;

/// What a declaration declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeclKind {
    /// A function, defined or imported.
    Function,
    /// A global, defined or imported.
    Global,
    /// A table, defined or imported.
    Table,
    /// A memory, defined or imported.
    Memory,
    /// A tag, defined or imported.
    Tag,
    /// Data that wasmend places in a memory's address space.
    Data,
    /// An element segment that the program itself describes.
    ElementSegment,
    /// A data segment that the program itself describes.
    DataSegment,
    /// A piece of a custom section, such as one object's part of the debug information. What it refers to need not be
    /// defined, and can be removed.
    Custom,
}

impl DeclKind {
    /// The word used in messages.
    pub fn word(self) -> &'static str {
        match self {
            DeclKind::Function => "function",
            DeclKind::Global => "global",
            DeclKind::Table => "table",
            DeclKind::Memory => "memory",
            DeclKind::Tag => "tag",
            DeclKind::Data => "data",
            DeclKind::ElementSegment => "element segment",
            DeclKind::DataSegment => "data segment",
            DeclKind::Custom => "piece of a custom section",
        }
    }

    /// The byte that stands for it in imports and exports; other kinds than these five have none.
    pub(crate) fn external(self) -> u8 {
        match self {
            DeclKind::Function => 0,
            DeclKind::Table => 1,
            DeclKind::Memory => 2,
            DeclKind::Global => 3,
            _ => 4,
        }
    }
}

impl fmt::Display for DeclKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a definition's bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefinitionKind {
    /// Local declarations and code of a function, without the size.
    Function { ty: TypeId },
    /// A whole entry of the import section; functions and tags have a type.
    Import { ty: Option<TypeId> },
    /// A global's type and initialiser.
    Global,
    /// A table's type, with its initialiser if it has one.
    Table,
    /// The table whose slots wasmend hands out; it has no bytes of its own.
    SlotTable,
    /// A memory's type.
    Memory { minimum_bytes: u64, is_64: bool },
    /// A tag's attribute and type.
    Tag { ty: TypeId },
    /// Bytes to be placed; `size` can exceed them, the rest is zero.
    Data {
        align_log2: u8,
        size: u64,
        memory: DeclId,
        /// The program never writes to it.
        constant: bool,
    },
    /// Data at an address that is given: it takes no space.
    Address(u64),
    /// A whole entry of the element section.
    ElementSegment,
    /// A whole entry of the data section.
    DataSegment,
    /// A piece of a custom section.
    Custom { section: SectionId },
}

/// A definition: the bytes and what they mean.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) content: RelocatableBytes,
    pub(crate) shape: DefinitionKind,
}

impl Definition {
    /// The function's or tag's type.
    pub(crate) fn ty(&self) -> Option<TypeId> {
        match self.shape {
            DefinitionKind::Function { ty } | DefinitionKind::Tag { ty } => Some(ty),
            DefinitionKind::Import { ty } => ty,
            _ => None,
        }
    }

    /// Whether this is an import.
    pub(crate) fn is_import(&self) -> bool {
        matches!(self.shape, DefinitionKind::Import { .. })
    }

    /// Where in its bytes the type of a global, table or memory begins that is defined or imported so.
    pub(crate) fn type_start(&self) -> Option<usize> {
        match self.is_import() {
            true => import_names(self.content.bytes()).map(|(_, _, kind)| kind + 1),
            false => Some(0),
        }
    }

    /// Whether this is a function with a body.
    pub(crate) fn is_body(&self) -> bool {
        matches!(self.shape, DefinitionKind::Function { .. })
    }

    /// Whether this is data that takes no bytes of the file, because whoever defined it gave it none: it is all zeros. Data
    /// whose bytes happen to be zeros is none of that: it would have to move once they are not.
    pub(crate) fn is_bss(&self) -> bool {
        matches!(self.shape, DefinitionKind::Data { .. }) && self.content.is_empty()
    }

    /// The custom section that this is a piece of.
    pub(crate) fn section(&self) -> Option<SectionId> {
        match self.shape {
            DefinitionKind::Custom { section } => Some(section),
            _ => None,
        }
    }

    /// The types that it names, its own first; some more than once.
    pub(crate) fn types(&self) -> impl Iterator<Item = TypeId> + '_ {
        let relocs = self.content.relocs().iter();
        self.ty()
            .into_iter()
            .chain(relocs.filter_map(|reloc| reloc.ty()))
    }

    /// Whether both mean the same.
    pub(crate) fn same_as(&self, other: &Definition) -> bool {
        self.shape == other.shape && self.content.same_as(&other.content)
    }
}

/// What the next commit does to a declaration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pending<'a> {
    /// Nothing.
    None,
    /// Gives it a first or another definition.
    Define(&'a Definition),
    /// Takes it away.
    Remove,
}

/// [`Pending`], without the definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    None,
    Define,
    Remove,
}

/// All that the program knows of one declaration. There can be a million of them: what few of them have is boxed.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    /// What the compiler calls it; unique among living declarations.
    pub(crate) key: Option<Box<str>>,
    /// What the name section calls it, if that is not the key.
    pub(crate) name: Option<Box<str>>,
    pub(crate) kind: DeclKind,
    /// Counts declarations in the order they were made; ids do not, because they are used again.
    pub(crate) serial: u32,
    /// The declaration that this one is part of; it shares that one's types and goes with it.
    pub(crate) owner: Option<DeclId>,
    #[allow(clippy::box_collection)]
    members: Option<Box<Vec<DeclId>>>,
    /// The definition that is pending, or else the current one.
    definition: Option<Definition>,
    /// The current definition while another one is pending.
    before: Option<Box<Definition>>,
    /// `None` but for declarations in the program's dirty list.
    intent: Intent,
    /// Whether a commit has changed it after its first.
    pub(crate) edited: bool,
    /// Code that a function left behind when it moved: still valid, called by nobody, free to be overwritten.
    pub(crate) is_orphan: bool,
    /// What tells it from all that was ever declared under its number.
    pub(super) stamp: u32,
    /// The library that a function is of: it is called directly, with whatever redirection others are, until one of the
    /// library's functions changes.
    pub(crate) library: Option<LibraryId>,
    /// Whether it is in the dirty list.
    pub(crate) dirty: bool,
    /// Whether the name that it had at the last commit is kept, for it may have another one now.
    pub(crate) renamed: bool,
}

impl Declaration {
    /// Something declared and not yet defined.
    pub(crate) fn new(
        kind: DeclKind,
        key: Option<&str>,
        serial: u32,
        owner: Option<DeclId>,
    ) -> Declaration {
        Declaration {
            key: key.map(Into::into),
            name: None,
            kind,
            serial,
            owner,
            members: None,
            definition: None,
            before: None,
            intent: Intent::None,
            edited: false,
            is_orphan: false,
            stamp: 0,
            library: None,
            dirty: false,
            renamed: false,
        }
    }

    /// Whether the next commit changes it: what was never defined and is removed leaves nothing.
    pub(crate) fn changes(&self) -> bool {
        match self.pending() {
            Pending::None => false,
            Pending::Define(_) => true,
            Pending::Remove => self.current().is_some(),
        }
    }

    /// The definition as of the last commit; `None` before the first one.
    pub(crate) fn current(&self) -> Option<&Definition> {
        match self.intent {
            Intent::Define => self.before.as_deref(),
            Intent::None | Intent::Remove => self.definition.as_ref(),
        }
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut Definition> {
        match self.intent {
            Intent::Define => self.before.as_deref_mut(),
            Intent::None | Intent::Remove => self.definition.as_mut(),
        }
    }

    /// What the next commit does to it.
    pub(crate) fn pending(&self) -> Pending<'_> {
        match (self.intent, &self.definition) {
            (Intent::Define, Some(definition)) => Pending::Define(definition),
            (Intent::Remove, _) => Pending::Remove,
            (Intent::None | Intent::Define, _) => Pending::None,
        }
    }

    /// The definition that holds once the next commit is done.
    pub(crate) fn next(&self) -> Option<&Definition> {
        match self.intent {
            Intent::None | Intent::Define => self.definition.as_ref(),
            Intent::Remove => None,
        }
    }

    /// Gives it a definition that is not pending: it holds already.
    pub(crate) fn set_current(&mut self, definition: Option<Definition>) {
        self.drop_pending();
        self.definition = definition;
    }

    /// Lets the next commit define it.
    pub(crate) fn define(&mut self, definition: Definition) {
        if self.intent != Intent::Define {
            self.before = self.definition.take().map(Box::new);
            self.intent = Intent::Define;
        }
        self.definition = Some(definition);
    }

    /// Lets the next commit take it away.
    pub(crate) fn remove(&mut self) {
        self.drop_pending();
        self.intent = Intent::Remove;
    }

    /// Lets the next commit leave it as it is.
    pub(crate) fn drop_pending(&mut self) {
        if self.intent == Intent::Define {
            self.definition = self.before.take().map(|before| *before);
        }
        self.intent = Intent::None;
    }

    /// Makes a pending definition current, and returns the one whose place it takes.
    pub(crate) fn settle(&mut self) -> Option<Definition> {
        let before = self.before.take();
        self.edited |= before.is_some() && self.definition.is_some();
        self.intent = Intent::None;
        before.map(|before| *before)
    }

    /// Makes the current definition independent of the one before it, which is gone.
    pub(crate) fn settle_fields(&mut self) {
        if let Some(definition) = &mut self.definition {
            definition.content.settle_fields();
        }
    }

    /// Gives up the definition as of the last commit, with everything else.
    pub(crate) fn into_definition(self) -> Option<Definition> {
        self.definition
    }

    /// The declarations that are parts of it.
    pub(crate) fn members(&self) -> &[DeclId] {
        self.members.as_ref().map_or(&[], |members| members)
    }

    pub(crate) fn add_member(&mut self, id: DeclId) {
        self.members.get_or_insert_default().push(id);
    }

    pub(crate) fn remove_member(&mut self, id: DeclId) {
        if let Some(members) = &mut self.members {
            match members.last() == Some(&id) {
                true => drop(members.pop()),
                false => members.retain(|member| *member != id),
            }
        }
    }

    /// What the name section calls it, if it has a name.
    pub(crate) fn given_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.key.as_deref())
    }

    /// What messages call it.
    pub(crate) fn label(&self) -> &str {
        self.given_name().unwrap_or("(unnamed)")
    }
}
