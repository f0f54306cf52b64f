//! The interface of a link: its exports, and its imports in their order.

use crate::hash::HashMap;
use crate::link::declare::assign::LinkDeclarations;
use crate::link::declare::plan::Plan;
use crate::link::declare::relocate::ResolvedTarget;
use crate::module::Module;
use crate::program::{DeclId, Definition};

/// Sets the exports, and the order of all imports: the memory, then what symbols import. It is that of a fresh link, however
/// the imports came to be there.
pub(crate) fn define_interface(plan: &Plan, declarations: &LinkDeclarations, module: &mut Module) {
    let program = module.program_mut();
    program.set_exports(&declarations.known.exports);
    let mut ranks: HashMap<DeclId, usize> = HashMap::default();
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
