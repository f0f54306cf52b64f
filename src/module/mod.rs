//! The compiler API: what a user of the library touches first. It turns edits into pending definitions of the program
//! and, at a commit, drives plan, encoding and publishing. It decides nothing about layout.

mod body;
mod commit;
#[cfg(feature = "debug")]
mod debug_info;
#[cfg(all(test, feature = "toolchain-tests", feature = "link"))]
mod debug_tests;
#[cfg(feature = "debug")]
mod describe;
#[cfg(test)]
mod discard_tests;
mod edit;
mod finish;
mod handle;
mod items;
mod kept;
mod options;
mod parts;
mod piece;
mod reading;
mod report;
mod reservations;
mod segments;
mod settings;
mod speculate;
mod type_def;
mod type_space;
mod validate;
mod value_type;
mod version;

pub use body::{BodyStyle, Catch, Function, FunctionBuilder, Name, Position};
#[cfg(feature = "debug")]
pub use debug_info::DebugInfo;
pub(crate) use finish::DenseStyle;
pub use handle::{DeclId, Relocation, TypeId};
pub(crate) use items::global;
pub use items::{ConstExpr, Data, ImportType, MemoryType, TableType};
pub use kept::KeptModule;
pub use options::{ModuleOptions, Redirect, Types};
pub use piece::Piece;
pub use reading::{Declaration, PendingEdit};
pub use report::{Moved, Outcome, Patch, Phases};
pub use reservations::Reservations;
pub use segments::Elements;
pub use type_def::{FieldType, StorageType, TypeDef};
pub use value_type::{HeapType, RefType, ValType};

use std::path::Path;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::module::handle::Tag;
use crate::module::settings::{PendingSettings, Settings};
use crate::module::validate::BodyValidator;
use crate::output::Output;
use crate::patch::{BuildIdentity, MOST_ENTRIES, RelinkReason};
use crate::program::{self, DeclKind, Definition, DefinitionKind, Displaced, Program, References};

/// A module bound to an output file: edits are collected, a commit publishes them.
pub struct Module {
    options: ModuleOptions,
    program: Program,
    /// Built when a patch first needs it, and again after a relink.
    references: Option<References>,
    /// `None` until the first commit.
    layout: Option<Layout>,
    identity: BuildIdentity,
    output: Output,
    /// The type of functions that nobody calls.
    dead_type: program::TypeId,
    slot_table: Option<program::DeclId>,
    tag: Tag,
    /// As of the last commit.
    settings: Settings,
    /// The pieces that the last commit took the place of, if instances that run take deltas.
    displaced: Displaced,
    /// What the next commit changes of them.
    pending: PendingSettings,
    validator: BodyValidator,
}

impl Module {
    /// A module whose commits are published at `path`. Nothing is written before the first commit.
    ///
    /// # Errors
    /// If another writer holds the output, or its folder cannot be written.
    pub fn create(path: impl AsRef<Path>, options: ModuleOptions) -> Result<Module> {
        let output = Output::file(path, options.output.clone())?;
        Module::with_output(output, options)
    }

    /// A module that is kept in memory only; see [`Module::bytes`].
    pub fn in_memory(options: ModuleOptions) -> Result<Module> {
        Module::with_output(Output::memory(), options)
    }

    fn with_output(output: Output, options: ModuleOptions) -> Result<Module> {
        if options.first_slot > MOST_ENTRIES {
            let first = options.first_slot;
            return Err(Error::limit(format!(
                "the first slot is {first}; engines take tables of {MOST_ENTRIES} entries"
            )));
        }
        let mut program = Program::default();
        let dead_type = program.types.function(&[], &[])?;
        let mut slot_table = None;
        if options.slot_table {
            let content = crate::program::RelocatableBytes::new(Vec::new(), Vec::new())?;
            let shape = DefinitionKind::SlotTable;
            let definition = Definition { content, shape };
            slot_table = Some(program.establish(DeclKind::Table, definition)?);
        }
        if options.live {
            program.go_live(options.expect_slots(slot_table)?);
        }
        program.settle_pending();
        Ok(Module {
            settings: Settings::new(&options),
            displaced: Displaced::default(),
            pending: PendingSettings::default(),
            validator: BodyValidator::default(),
            options,
            program,
            references: None,
            layout: None,
            identity: BuildIdentity::default(),
            output,
            dead_type,
            slot_table,
            tag: Tag::new(),
        })
    }

    /// What body builders need to know of the module. It can be copied to other threads: building a body needs no
    /// access to the module.
    pub fn body_style(&self) -> BodyStyle {
        BodyStyle::new(
            self.options.redirect,
            self.slot_table(),
            self.options.table64,
        )
    }

    /// The table whose slots functions are called through and whose slots are function addresses.
    pub fn slot_table(&self) -> Option<DeclId> {
        self.slot_table.map(|id| self.handed_out(id))
    }

    /// The same, as the program has it.
    pub(crate) fn slots(&self) -> Option<program::DeclId> {
        self.slot_table
    }

    /// Lets all ids that were handed out name nothing.
    fn renew_ids(&mut self) {
        self.tag = Tag::new();
    }

    /// The id to hand out for a declaration.
    pub(crate) fn handed_out(&self, id: program::DeclId) -> DeclId {
        self.tag.id_of(&self.program, id)
    }

    /// The declaration that an id was handed out for.
    fn find(&self, id: DeclId) -> Result<program::DeclId> {
        self.tag.find(&self.program, id)
    }

    /// The generation and build id of the last published version; generation 0 before the first.
    pub fn identity(&self) -> BuildIdentity {
        self.identity
    }

    /// The options that the module was created with.
    pub fn options(&self) -> &ModuleOptions {
        &self.options
    }

    /// The whole published file: nothing before the first commit, whatever stands where it will be.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match &self.layout {
            None => Ok(Vec::new()),
            Some(_) => self.output.read(),
        }
    }

    /// The same without a copy, where the file is kept in memory ([`Module::in_memory`]); `None` where it is not.
    pub fn bytes_in_memory(&self) -> Option<&[u8]> {
        match (&self.output, &self.layout) {
            (Output::Memory(_), None) => Some(&[]),
            (Output::Memory(bytes), Some(_)) => Some(bytes),
            (Output::File(_), _) => None,
        }
    }

    /// The living declaration with this key.
    pub fn lookup(&self, key: &str) -> Option<DeclId> {
        let id = self.program.lookup(key)?;
        Some(self.handed_out(id))
    }

    /// How many declarations live.
    pub fn declarations(&self) -> usize {
        self.program.len()
    }
}
