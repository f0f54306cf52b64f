//! What is kept of a link, so that its output can be brought up to date.
//!
//! An update in place changes these tables within a transaction, which ends as the commit of its edits does. It does not
//! know how they are changed.

use crate::link::command::options::LinkOptions;
use crate::link::declare::{Converter, LinkDeclarations, PlacedByObject, Plan, converter};
use crate::link::inputs::Inputs;
use crate::link::inputs::build_id::BuildIds;
use crate::module::Module;
use crate::transaction::Transaction;

/// A program that has been linked.
pub(super) struct LinkState {
    pub(super) options: LinkOptions,
    pub(super) module: Module,
    pub(super) plan: Plan,
    pub(super) declarations: LinkDeclarations,
    /// The files as they were read last. They have a transaction of their own: a link that resolves anew begins with
    /// what an update in place could not make use of.
    pub(super) inputs: Inputs,
    pub(super) build_ids: BuildIds,
    /// How many relocations the objects have.
    pub(super) relocations: usize,
}

impl LinkState {
    /// What converts relocations of the objects as they are now; `strings` says where those of debug information stand that the
    /// fields of custom sections name.
    pub(super) fn converter<'a>(&'a self, strings: &'a PlacedByObject) -> Converter<'a> {
        converter(&self.plan, &self.declarations, &self.options, strings)
    }

    /// Sets the custom sections to what the plan says now.
    pub(super) fn set_custom_sections(&mut self) {
        let id = self.build_ids.bytes(&self.inputs, &self.options);
        let sections = self.plan.custom_sections(&self.options, &id);
        self.module.set_customs(sections);
    }
}

/// What the module's edits have to do with it is pending in the module: its commit comes before the tables', and a
/// rollback discards them.
impl Transaction for LinkState {
    fn begin(&mut self) {
        self.plan.begin();
        self.declarations.begin();
    }

    fn commit(&mut self) {
        self.plan.commit();
        self.declarations.commit();
    }

    fn rollback(&mut self) {
        self.plan.rollback();
        self.declarations.rollback();
        self.module.discard();
    }
}
