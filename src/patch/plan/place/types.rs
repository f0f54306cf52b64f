//! Which types are used how often, before anything that names them by index is placed.

use crate::hash::HashMap;

use crate::layout::{UseDeltas, add_uses};
use crate::patch::lengths::{MOST_INDICES, type_spare};
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, Pending, RelocKind};

impl Placing<'_> {
    /// Counts the uses of types that come and go.
    pub(super) fn count_types(&mut self) -> Planned {
        let program = self.context.program;
        let mut roots: Vec<(DeclId, UseDeltas)> = Vec::new();
        let mut known: HashMap<DeclId, usize> = HashMap::default();
        for &id in &program.dirty {
            let decl = program.decl(id);
            if matches!(decl.pending(), Pending::None) {
                continue;
            }
            let root = program.root(id);
            let at = *known.entry(root).or_insert_with(|| {
                roots.push((root, UseDeltas::new()));
                roots.len() - 1
            });
            if let Some(old) = decl
                .current()
                .filter(|_| !self.expected_orphans.contains(&id))
            {
                add_uses(&mut roots[at].1, old, -1);
            }
            if let Some(new) = decl.next() {
                add_uses(&mut roots[at].1, new, 1);
                let mut relocs = new.content.relocs().iter();
                *self.layout.data_count |= relocs.any(|reloc| reloc.kind == RelocKind::DataIndex);
            }
        }
        for (root, uses) in &roots {
            let spare = type_spare(program.decl(*root).edited, uses.len());
            self.layout
                .types
                .count_uses(&program.types, *root, uses, spare)
                .ok_or(RelinkReason::TypesFull)?;
        }
        if self.layout.types.count() > MOST_INDICES {
            Err(RelinkReason::TypesFull.into())
        } else {
            Ok(())
        }
    }
}
