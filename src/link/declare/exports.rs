//! Exports and imports of a link, in their order, and the import of its function table.

use hashbrown::HashMap;

use crate::error::Result;
use crate::link::command::options::LinkOptions;
use crate::link::declare::assign::LinkDeclarations;
use crate::link::declare::plan::Plan;
use crate::link::declare::relocate::ResolvedTarget;
use crate::link::resolve::FUNCTION_TABLE;
use crate::module::{Module, import_slot_table};
use crate::program::{DeclId, DeclKind, Definition, DefinitionKind};

/// Sets the exports, and the order of all imports: the memory, then what symbols import. It is that of a fresh link, however
/// the imports came to be there.
pub(crate) fn define_interface(plan: &Plan, declarations: &LinkDeclarations, module: &mut Module) {
    let program = module.program_mut();
    program.set_exports(&declarations.known.exports);
    let mut ranks: HashMap<DeclId, usize> = HashMap::new();
    for (rank, id) in plan.imports.iter().enumerate() {
        let decl = match declarations.meanings[id.index()] {
            ResolvedTarget::Function { id: Some(decl), .. } | ResolvedTarget::Index(decl) => decl,
            _ => continue,
        };
        ranks.entry(decl).or_insert(rank + 1);
    }
    let imports = program.iter().filter(|(_, decl)| {
        let next = decl.next();
        next.is_some_and(Definition::is_import)
    });
    let mut imports: Vec<(usize, u32, DeclId)> = imports
        .map(|(id, decl)| (ranks.get(&id).copied().unwrap_or_default(), decl.serial, id))
        .collect();
    imports.sort_unstable();
    let order = imports.into_iter().map(|(.., id)| id).collect();
    program.set_import_order(order);
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
