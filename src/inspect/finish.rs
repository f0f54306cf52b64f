//! From a patchable file to the dense module that it stands for: nothing but the file is needed.
//!
//! What comes out depends on what the file means and not on how it came to be: imports and exports stand in their order,
//! which is part of the interface, other declarations in the order in which the exports (by name) and the segments lead to
//! them.

use std::collections::{HashSet, VecDeque};

use crate::error::Result;
use crate::inspect::moved::Node;
use crate::inspect::side::{FUNCTIONS, GLOBALS, Side, colours, position};
use crate::patch::BuildIdentity;
use crate::program::{DeclId, DeclKind, TypeTable};
use crate::whole::decode::{Decoded, ExportItem};
use crate::whole::dense;
use crate::whole::spaces::{Item, SPACES};

/// The module that an output stands for, without slack, pads, thunks, forwarders and dead code, every number as short as it
/// can be: for release, not to be patched. A module that is no output of wasmend is made as short. Debug sections are left
/// out, since they hold offsets of code; [`Module::finish`](crate::Module::finish) keeps them.
///
/// # Errors
/// If the bytes are not a valid module.
pub fn finish(out: &[u8]) -> Result<Vec<u8>> {
    Ok(finish_whole(out)?.bytes)
}

/// A dense module, and what it does not have of what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// The dense module.
    pub bytes: Vec<u8>,
    /// What had to be left out, because it would be wrong: sections by their names, and kinds of names.
    pub left_out: Vec<String>,
}

/// The same as [`finish`], which also says what is left out.
///
/// # Errors
/// If the bytes are not a valid module.
pub fn finish_whole(out: &[u8]) -> Result<Finished> {
    let mut types = TypeTable::default();
    let mut side = Side::of(out, true, &mut types)?;
    let left_out = std::mem::take(&mut side.module.dropped);
    let order = Order::of(&side, &types);
    let module = select(side, order);
    let bytes = dense::write(&module, &types)?;
    Ok(Finished { bytes, left_out })
}

/// Whether a file is an output of wasmend that can be patched, as it was written: no build of a compiler, and nothing that
/// another tool has made of an output.
pub fn is_output(file: &[u8]) -> bool {
    BuildIdentity::of_file(file).is_some()
}

/// What is kept, in order, and where it stands.
struct Order {
    kept: [Vec<u32>; 7],
    position: [Vec<Option<u32>>; 7],
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
        let mut exports: Vec<&ExportItem> = side.module.exports.iter().collect();
        exports.sort_by_key(|export| &export.name);
        for export in exports {
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
        // What nothing leads to stands in the order of what it says. In an output of wasmend it is dropped if it is code,
        // which a function may have left behind, or an unused global.
        let droppable = |(space, at): Node| match space {
            FUNCTIONS => side.item((space, at)).import.is_none(),
            GLOBALS => side.is_filler_global(at),
            _ => false,
        };
        for drop in [false, true] {
            if drop && side.is_output {
                continue;
            }
            let nodes =
                (0..SPACES.len()).flat_map(|space| side.seen(space).map(move |at| (space, at)));
            let mut rest: Vec<Node> = nodes
                .filter(|node| !reach.seen[node.0][node.1 as usize] && droppable(*node) == drop)
                .collect();
            let led_to = reach.led_to(&rest);
            rest.sort_by_key(|node| {
                let name = side.item(*node).name.as_deref();
                let colour = colours[node.0][node.1 as usize];
                (led_to.contains(node), node.0, name, colour)
            });
            for node in rest {
                reach.reach(node);
            }
        }
        let mut kept = reach.kept;
        kept[position(DeclKind::ElementSegment)].sort_unstable();
        kept[position(DeclKind::DataSegment)].sort_unstable();
        for (space, kept) in kept.iter_mut().enumerate() {
            // A stable sort: imports first, in their order.
            kept.sort_by_key(|at| {
                let is_import = side.item((space, *at)).import.is_some();
                (!is_import, if is_import { *at } else { 0 })
            });
        }
        kept[GLOBALS] = named_first(side, &kept[GLOBALS]);
        let position = std::array::from_fn(|space| {
            let mut position = vec![None; side.module.spaces[space].len()];
            for (new, old) in kept[space].iter().enumerate() {
                position[*old as usize] = Some(new as u32);
            }
            position
        });
        Order { kept, position }
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

impl Reach<'_> {
    /// What others lead to, of which it then depends where it stands.
    fn led_to(&self, nodes: &[Node]) -> HashSet<Node> {
        let targets = |node: Node| {
            let relocs = self.side.item(node).definition.content.relocs().iter();
            relocs.filter_map(|reloc| self.side.target(reloc))
        };
        let mut led_to = HashSet::new();
        let mut queue: Vec<Node> = nodes.iter().flat_map(|node| targets(*node)).collect();
        while let Some(node) = queue.pop() {
            let seen = self.seen[node.0][node.1 as usize];
            if !seen && led_to.insert(node) {
                queue.extend(targets(node));
            }
        }
        led_to
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
    let exports = side.module.exports.iter().map(|export| ExportItem {
        name: export.name.clone(),
        space: export.space,
        index: place((export.space, export.index)),
    });
    let imports = side.module.imports.iter();
    Decoded {
        spaces,
        imports: imports
            .map(|(space, at)| (*space, place((*space, *at))))
            .collect(),
        exports: exports.collect(),
        start: side.module.start.map(|start| place((FUNCTIONS, start))),
        customs: side.module.customs.clone(),
        ..Decoded::default()
    }
}
