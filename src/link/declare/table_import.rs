//! The import that a function table is which the host provides.

use crate::error::Result;
use crate::link::command::options::LinkOptions;
use crate::link::declare::plan::Plan;
use crate::link::resolve::FUNCTION_TABLE;
use crate::module::Module;
use crate::object::{SymbolFlags, SymbolKind};
use crate::program::{DeclKind, Definition, DefinitionKind, ImportEntry, value};

/// Makes the table of functions' addresses an import, if it is to be one.
pub(crate) fn define_table_import(
    plan: &Plan,
    options: &LinkOptions,
    module: &mut Module,
) -> Result<()> {
    let Some(table) = module.slots().filter(|_| options.import_table) else {
        return Ok(());
    };
    let symbol = plan.resolution.find(FUNCTION_TABLE);
    let (from, name) = symbol.map_or(("env", FUNCTION_TABLE), |symbol| {
        plan.resolution.import_names(symbol)
    });
    // It asks for as many entries as there are, and sets no maximum: the host may have made the table for a later
    // version, which has more.
    let flags = u8::from(module.options().table64) << 2;
    let entry = ImportEntry::table(from, name).with(&[value::FUNCREF, flags]);
    let definition = Definition {
        content: entry.with_table_len(table).finish()?,
        shape: DefinitionKind::Import { ty: None },
    };
    module
        .program_mut()
        .define(table, DeclKind::Table, definition)
}

/// Whether the function table is imported though nothing that is linked may name it: as in wasm-ld, it is enough that an
/// object wants its symbol to be kept, which compilers say where a function's address is taken, also by what is dropped.
pub(crate) fn keeps_table_import(plan: &Plan, options: &LinkOptions) -> bool {
    let resolution = &plan.resolution;
    let symbol = resolution.find(FUNCTION_TABLE);
    let symbol = symbol.map(|id| resolution.table.get(id));
    options.import_table
        && symbol.is_some_and(|symbol| {
            let is_kept = symbol.flags.has(SymbolFlags::NO_STRIP) || !options.gc_sections;
            is_kept && symbol.used_in_object && symbol.kind == SymbolKind::Table
        })
}
