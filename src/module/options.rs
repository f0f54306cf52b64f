//! What a module is created with.

use crate::error::{Error, Result};
use crate::output::OutputOptions;
use crate::program::DeclId;

/// How a call reaches a function whose code has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Redirect {
    /// Calls go through the function's slot in the table: `call_indirect` at the call site. Only the slot changes.
    #[default]
    Table,
    /// For ready-made code, whose calls name functions: with [`live`](ModuleOptions::live) these are thunks at fixed indices, which
    /// call through the function's slot. Without it no caller is out of reach, and it is as with direct calls.
    TableThunks,
    /// Calls name the function's index, which is rewritten when the code moves; a function with many callers leaves a
    /// forwarder behind.
    Direct,
}

/// Who owns the types that edits bring. Those of a new layout are shared, each once, however many declarations use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Types {
    /// A declaration that comes to use a type which the module does not have gets a block of types of its own.
    #[default]
    PerDeclaration,
    /// They are shared too.
    Interned,
}

/// Options of a [`Module`](crate::Module).
#[derive(Debug, Clone)]
pub struct ModuleOptions {
    /// How calls are redirected. Default: [`Redirect::Table`].
    pub redirect: Redirect,
    /// Who owns types that edits bring. Default: [`Types::PerDeclaration`].
    pub types: Types,
    /// Whether a name section with the functions' keys is written. Default: yes.
    pub names: bool,
    /// Whether the code uses tail calls, so that thunks and forwarders must too. Default: no.
    pub tail_calls: bool,
    /// With direct calls: above how many call sites a moved function leaves a forwarder instead of having its callers
    /// rewritten. Default: 24, at five bytes each less than half of what a patch may cost beyond the body.
    pub fan_in: usize,
    /// Whether there is a table for slots even with direct calls, for functions whose address is taken. Default: yes.
    pub slot_table: bool,
    /// The first slot of that table that is used. Default: 1, so that a null function pointer traps.
    pub first_slot: u32,
    /// Whether that table is indexed with 64 bits, as goes with memories that are. Default: no.
    pub table64: bool,
    /// Whether each commit also makes a delta for instances that run, see [`Delta`](crate::Delta). Every function has a slot
    /// then, and what is exported or called directly a thunk; so there must be a table of slots, and calls must go through
    /// it. What a link takes from archives is called directly until it changes. Default: no.
    pub live: bool,
    /// Whether there is another delta with each of these, which takes it back. Default: no.
    pub undo: bool,
    /// Whether others may let that table grow. Default: no, which engines make the best of.
    pub growable_table: bool,
    /// Whether a commit looks whether the bodies that it brings are valid code, which costs a few microseconds for a small
    /// one. Without it a body that is not makes a module that no engine takes. Default: yes.
    pub validate: bool,
    /// How the file is published.
    pub output: OutputOptions,
}

impl ModuleOptions {
    /// The table of slots, without which no instance can be patched.
    pub(super) fn expect_slots(&self, slot_table: Option<DeclId>) -> Result<DeclId> {
        let through_slots = self.redirect != Redirect::Direct;
        slot_table.filter(|_| through_slots).ok_or_else(|| {
            Error::bad_edit("a module whose functions are called directly cannot be patched while it runs")
                .with_hint("let calls go through the table of slots: `Redirect::Table` or `Redirect::TableThunks`")
        })
    }
}

impl Default for ModuleOptions {
    fn default() -> Self {
        ModuleOptions {
            redirect: Redirect::default(),
            types: Types::default(),
            names: true,
            tail_calls: false,
            fan_in: 24,
            slot_table: true,
            first_slot: 1,
            table64: false,
            live: false,
            undo: false,
            growable_table: false,
            validate: true,
            output: OutputOptions::default(),
        }
    }
}
