//! Which types are used how often, before anything that names them by index is placed.

use crate::hash::HashMap;
use crate::layout::{UseDeltas, add_uses};
use crate::patch::lengths::{MOST_INDICES, type_spare};
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, DeclKind, Definition, Pending, RelocKind};

impl Placing<'_> {
    /// Counts the uses of types that come and go.
    pub(super) fn count_types(&mut self) -> Planned {
        let program = self.context.program;
        let mut roots: Vec<(DeclId, UseDeltas)> = Vec::new();
        let mut known: HashMap<DeclId, usize> = HashMap::default();
        for &id in &program.dirty {
            let decl = program.decl(id);
            // Pieces name no types, and have very many fields.
            if matches!(decl.pending(), Pending::None) || decl.kind == DeclKind::Custom {
                continue;
            }
            let old = decl
                .current()
                .filter(|_| !self.expected_orphans.contains(&id));
            let new = decl.next();
            let mut fields = new.into_iter().flat_map(|new| new.content.relocs());
            *self.layout.data_count |= fields.any(|field| field.kind == RelocKind::DataIndex);
            // Of segments and data there may be very many, and they name no types.
            let mut types = old.into_iter().chain(new).flat_map(Definition::types);
            if types.next().is_none() {
                continue;
            }
            let root = program.root(id);
            let at = *known.entry(root).or_insert_with(|| {
                roots.push((root, UseDeltas::new()));
                roots.len() - 1
            });
            if let Some(old) = old {
                add_uses(&mut roots[at].1, old, -1);
            }
            if let Some(new) = new {
                add_uses(&mut roots[at].1, new, 1);
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
