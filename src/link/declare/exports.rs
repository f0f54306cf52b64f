//! Exports of a link, and the import of its function table: what differs from the version before becomes an edit.

use hashbrown::{HashMap, HashSet};

use crate::error::Result;
use crate::link::command::options::LinkOptions;
use crate::link::declare::plan::Plan;
use crate::link::resolve::FUNCTION_TABLE;
use crate::module::{Module, import_slot_table};
use crate::program::{DeclId, DeclKind, Definition, DefinitionKind, Export, ExportEdit};

/// Adds and takes away only exports that differ.
pub(crate) fn define_exports(module: &mut Module, exports: &[(Box<str>, DeclId)]) {
    let program = module.program_mut();
    let mut edits = Vec::new();
    let mut there = HashSet::new();
    let wanted: HashMap<&str, DeclId> = exports.iter().map(|(name, id)| (&**name, *id)).collect();
    for export in &program.exports {
        match wanted.get(&*export.name) {
            Some(id) if *id == export.decl => {
                there.insert(&*export.name);
            }
            _ => edits.push(ExportEdit::Remove(export.name.clone())),
        }
    }
    for (name, decl) in exports {
        if !there.contains(&**name) {
            edits.push(ExportEdit::Add(Export {
                name: name.clone(),
                decl: *decl,
            }));
        }
    }
    program.export_edits.extend(edits);
}

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
