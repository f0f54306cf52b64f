//! Imports, and whatever has its index by its position in a list: globals, tables, memories, tags and segments.

use crate::layout::{Layout, Place};
use crate::patch::fresh_layout::request::Request;
use crate::patch::lengths::GLOBAL_RESERVE;
use crate::program::{DeclId, DeclKind, Definition, DefinitionKind, Program};

/// How many indices imports have taken, by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Imported {
    functions: u32,
    globals: u32,
    pub(super) tables: u32,
    pub(super) memories: u32,
    pub(super) tags: u32,
}

impl Imported {
    fn count(&mut self, kind: DeclKind) -> &mut u32 {
        match kind {
            DeclKind::Function => &mut self.functions,
            DeclKind::Global => &mut self.globals,
            DeclKind::Table => &mut self.tables,
            DeclKind::Memory => &mut self.memories,
            DeclKind::Tag => &mut self.tags,
            kind => unreachable!("a {kind} is not imported"),
        }
    }
}

/// Whether a declaration is data that gets an address.
pub(super) fn is_data(program: &Program, id: DeclId) -> bool {
    let is_given = |next: &Definition| matches!(next.shape, DefinitionKind::Address(_));
    program.kind_of(id) == Some(DeclKind::Data) && !program.decl(id).next().is_some_and(is_given)
}

/// Gives imports their indices, the first ones of each kind.
pub(super) fn place_imports(
    program: &Program,
    layout: &mut Layout,
    imports: impl Iterator<Item = DeclId>,
) -> Imported {
    let mut imported = Imported::default();
    for id in imports {
        let kind = program.decl(id).kind;
        let count = imported.count(kind);
        let index = *count;
        *count += 1;
        layout.imports.push(id);
        let place = match kind {
            DeclKind::Function => Place::ImportedFunction { index, slot: None },
            _ => Place::Index(index),
        };
        layout.set_place(id, place);
    }
    layout.functions.set_imported(imported.functions);
    imported
}

/// Unused globals at the front, to be given up for imports; some are from the start, to be taken back when one goes.
fn reserve_globals(layout: &mut Layout, imported: Imported) {
    let reserve = if layout.options.dense {
        0
    } else {
        2 * GLOBAL_RESERVE
    };
    for at in 0..reserve {
        layout.globals.append(9, None);
        if at >= GLOBAL_RESERVE {
            layout.globals.give_up_first();
        }
    }
    layout.globals.set_imported(imported.globals);
}

/// Places everything but imports, functions and data that gets an address. Returns the pieces of custom sections, which are placed
/// apart.
pub(super) fn place_items(
    request: &Request<'_>,
    layout: &mut Layout,
    imported: Imported,
    ids: &[DeclId],
) -> Vec<DeclId> {
    reserve_globals(layout, imported);
    let mut pieces = Vec::new();
    for &id in ids {
        let decl = request.program.decl(id);
        let definition = decl.next().expect("only what is defined is laid out");
        match (decl.kind, definition.shape) {
            (DeclKind::Data, DefinitionKind::Address(address)) => {
                layout.set_place(id, Place::Data { address, cap: 0 });
            }
            (DeclKind::Custom, _) => pieces.push(id),
            (kind, _) => {
                let place = place_item(layout, imported, id, kind, definition);
                layout.set_place(id, place);
            }
        }
    }
    pieces
}

/// Puts something behind what there is of its kind.
fn place_item(
    layout: &mut Layout,
    imported: Imported,
    id: DeclId,
    kind: DeclKind,
    definition: &Definition,
) -> Place {
    let len = definition.content.len() as u32;
    let (list, imported) = match kind {
        DeclKind::Global => return Place::Global(layout.globals.append(len, Some(id))),
        DeclKind::Table => (&mut layout.tables, imported.tables),
        DeclKind::Memory => (&mut layout.memories, imported.memories),
        DeclKind::Tag => (&mut layout.tags, imported.tags),
        DeclKind::ElementSegment => {
            let first = u32::from(layout.slot_table.is_some());
            layout.elements.push(id, len);
            return Place::Index(first + layout.elements.len() as u32 - 1);
        }
        DeclKind::DataSegment => {
            layout.data_segments.push(id, len);
            return Place::Index(layout.data_segments.len() as u32 - 1);
        }
        kind => unreachable!("a {kind} is placed apart"),
    };
    list.push(id);
    Place::Index(imported + list.len() as u32 - 1)
}
