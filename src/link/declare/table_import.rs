//! The import that a function table is which the host provides.

use crate::error::Result;
use crate::link::command::options::LinkOptions;
use crate::link::declare::plan::Plan;
use crate::link::resolve::FUNCTION_TABLE;
use crate::module::{Module, import_slot_table};
use crate::program::{DeclKind, Definition, DefinitionKind};

/// Makes the table of functions' addresses an import, if it is to be one.
pub(crate) fn define_table_import(
    plan: &Plan,
    options: &LinkOptions,
    module: &mut Module,
) -> Result<()> {
    let Some(table) = module.slot_table().filter(|_| options.import_table) else {
        return Ok(());
    };
    let symbol = plan.resolution.find(FUNCTION_TABLE);
    let (from, name) = symbol.map_or(("env", FUNCTION_TABLE), |symbol| {
        plan.resolution.import_names(symbol)
    });
    let definition = Definition {
        content: import_slot_table(from, name, table, module.options().table64)?,
        shape: DefinitionKind::Import { ty: None },
    };
    module
        .program_mut()
        .define(table, DeclKind::Table, definition)
}
