//! From a patchable file to the dense module that it stands for: nothing but the file is needed.
//!
//! What comes out depends on what the file means and not on how it came to be: declarations stand in the order in which
//! the imports, the exports (by name) and the segments lead to them.

use std::collections::VecDeque;

use crate::error::Result;
use crate::inspect::side::{FUNCTIONS, GLOBALS, Node, Side, colours, position};
use crate::program::{DeclId, DeclKind, TypeTable};
use crate::whole::decode::{Decoded, ExportItem, Item, SPACES};
use crate::whole::dense;

/// The module that an output stands for, without slack, pads, thunks, forwarders and dead code, every number as short as it
/// can be: for release, not to be patched. A module that is no output of wasmend is made as short.
///
/// # Errors
/// If the bytes are not a valid module.
pub fn finish(out: &[u8]) -> Result<Vec<u8>> {
    let mut types = TypeTable::default();
    let side = Side::of(out, true, &mut types)?;
    let order = Order::of(&side, &types);
    let module = select(side, order);
    dense::write(&module, &types)
}

/// What is kept, in order, and where it stands.
struct Order {
    kept: [Vec<u32>; 7],
    position: [Vec<Option<u32>>; 7],
    exports: Vec<ExportItem>,
}

impl Order {
    fn of(side: &Side, types: &TypeTable) -> Order {
        let mut reach = Reach {
            side,
            seen: std::array::from_fn(|space| vec![false; side.module.spaces[space].len()]),
            queue: VecDeque::new(),
            kept: Default::default(),
        };
        let unknown = std::array::from_fn(|space| vec![None; side.module.spaces[space].len()]);
        let colours = colours(side, &unknown, types);
        for (space, colours) in colours.iter().enumerate() {
            let imports = side.seen(space);
            let mut imports: Vec<(_, u64, u32)> = imports
                .filter_map(|at| {
                    let import = side.item((space, at)).import.as_ref()?;
                    Some((import, colours[at as usize], at))
                })
                .collect();
            imports.sort();
            for (.., at) in imports {
                reach.reach((space, at));
            }
        }
        let mut exports = side.module.exports.clone();
        exports.sort_by(|a, b| a.name.cmp(&b.name));
        for export in &exports {
            reach.reach(side.meant((export.space, export.index)));
        }
        if let Some(start) = side.module.start {
            reach.reach(side.meant((FUNCTIONS, start)));
        }
        // Segments are applied in order, so they stay in order whatever leads to them.
        for kind in [DeclKind::ElementSegment, DeclKind::DataSegment] {
            let space = position(kind);
            for at in side.seen(space) {
                reach.reach((space, at));
            }
            reach.kept[space].sort_unstable();
        }
        // What nothing leads to is kept but for code and unused globals, in the order of what it says.
        for space in (0..SPACES.len())
            .filter(|space| *space != FUNCTIONS)
            .chain([FUNCTIONS])
        {
            if space == FUNCTIONS && side.is_output {
                continue;
            }
            let rest = side
                .seen(space)
                .filter(|at| !reach.seen[space][*at as usize]);
            let mut rest: Vec<u32> = rest
                .filter(|at| space != GLOBALS || !side.is_filler_global(*at))
                .collect();
            rest.sort_by_key(|at| {
                let name = side.item((space, *at)).name.as_deref();
                (name, colours[space][*at as usize])
            });
            for at in rest {
                reach.reach((space, at));
            }
        }
        let mut kept = reach.kept;
        kept[position(DeclKind::ElementSegment)].sort_unstable();
        kept[position(DeclKind::DataSegment)].sort_unstable();
        for (space, kept) in kept.iter_mut().enumerate() {
            // A stable sort: imports first.
            kept.sort_by_key(|at| side.item((space, *at)).import.is_none());
        }
        kept[GLOBALS] = named_first(side, &kept[GLOBALS]);
        let position = std::array::from_fn(|space| {
            let mut position = vec![None; side.module.spaces[space].len()];
            for (new, old) in kept[space].iter().enumerate() {
                position[*old as usize] = Some(new as u32);
            }
            position
        });
        Order {
            kept,
            position,
            exports,
        }
    }
}

struct Reach<'a> {
    side: &'a Side,
    seen: [Vec<bool>; 7],
    queue: VecDeque<Node>,
    kept: [Vec<u32>; 7],
}

impl Reach<'_> {
    fn reach(&mut self, node: Node) {
        self.queue.push_back(node);
        while let Some(node) = self.queue.pop_front() {
            if std::mem::replace(&mut self.seen[node.0][node.1 as usize], true) {
                continue;
            }
            self.kept[node.0].push(node.1);
            let relocs = self.side.item(node).definition.content.relocs();
            let targets = relocs.iter().filter_map(|reloc| self.side.target(reloc));
            self.queue.extend(targets);
        }
    }
}

/// Globals, each behind those that its initialiser names.
fn named_first(side: &Side, globals: &[u32]) -> Vec<u32> {
    let mut sorted = Vec::with_capacity(globals.len());
    let mut done = vec![false; side.module.spaces[GLOBALS].len()];
    let mut open = Vec::new();
    for &global in globals {
        open.push((global, false));
        while let Some((global, named_done)) = open.pop() {
            if named_done {
                sorted.push(global);
            } else if !std::mem::replace(&mut done[global as usize], true) {
                open.push((global, true));
                let relocs = side.item((GLOBALS, global)).definition.content.relocs();
                let named = relocs.iter().rev().filter_map(|reloc| side.target(reloc));
                open.extend(
                    named
                        .filter(|node| node.0 == GLOBALS)
                        .map(|node| (node.1, false)),
                );
            }
        }
    }
    // Imports are named by others and name nothing: they are still first.
    sorted.sort_by_key(|at| side.item((GLOBALS, *at)).import.is_none());
    sorted
}

/// The module that has only what is kept.
fn select(side: Side, order: Order) -> Decoded {
    let place = |node: Node| {
        let (space, at) = side.meant(node);
        order.position[space][at as usize].unwrap_or_default()
    };
    let spaces = std::array::from_fn(|space| {
        let kept = order.kept[space].iter();
        kept.map(|at| {
            let item = side.item((space, *at));
            let mut definition = item.definition.clone();
            definition.content = definition.content.retarget(|reloc| {
                if let Some(target) = side.target(reloc) {
                    reloc.target = DeclId(place(target)).0;
                }
            });
            Item {
                definition,
                name: item.name.clone(),
                import: item.import.clone(),
                role: None,
            }
        })
        .collect()
    });
    let exports = order.exports.iter().map(|export| ExportItem {
        name: export.name.clone(),
        space: export.space,
        index: place((export.space, export.index)),
    });
    Decoded {
        spaces,
        exports: exports.collect(),
        start: side.module.start.map(|start| place((FUNCTIONS, start))),
        customs: side.module.customs.clone(),
        ..Decoded::default()
    }
}
