//! What users of a declaration were compiled against: signatures, globals' types. A change of it must come with its users.
//! Nothing is changed here.

use crate::error::{Error, Result};
use crate::program::content::{RelocKind, Relocation};
use crate::program::declaration::{DeclKind, Definition, DefinitionKind, Pending};
use crate::program::ids::DeclId;
use crate::program::references::References;
use crate::program::store::Program;

/// The operator that sets a global; its operand is the global's index.
const GLOBAL_SET: u8 = 0x24;

/// A global, as its users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GlobalType {
    ty: u8,
    mutable: bool,
    imported: bool,
}

/// The type of a global that was defined through the API, whose value types are of one byte.
fn global_type(definition: &Definition) -> Option<GlobalType> {
    let bytes = definition.content.bytes();
    let (ty, imported) = match definition.shape {
        DefinitionKind::Global => (bytes.first_chunk::<2>()?, false),
        DefinitionKind::Import { .. } => (bytes.last_chunk::<2>()?, true),
        _ => return None,
    };
    Some(GlobalType {
        ty: ty[0],
        mutable: ty[1] != 0,
        imported,
    })
}

impl Program {
    /// What changes its interface must not keep users compiled for the old one, and what it uses itself must be as it
    /// needs it.
    pub(super) fn check_users(
        &self,
        references: &References,
        id: DeclId,
        new: &Definition,
    ) -> Result<()> {
        let decl = self.decl(id);
        if decl.kind == DeclKind::Global {
            self.check_initial_value(id, new)?;
        }
        let Some(old) = decl.current() else {
            return Ok(());
        };
        match decl.kind {
            DeclKind::Function if old.ty() != new.ty() => {
                self.check_unused(references, id, RelocKind::Call, "signature", |_, _| true)
            }
            DeclKind::Tag if old.ty() != new.ty() => {
                self.check_unused(references, id, RelocKind::TagIndex, "values", |_, _| true)
            }
            DeclKind::Global => {
                let (Some(old), Some(new)) = (global_type(old), global_type(new)) else {
                    return Ok(());
                };
                self.check_unused(
                    references,
                    id,
                    RelocKind::GlobalIndex,
                    "type",
                    |user, sets| {
                        old.ty != new.ty
                        || (sets && !new.mutable)
                        // Only an imported constant may give another global its value.
                        || (user == DeclKind::Global && old != new)
                    },
                )
            }
            _ => Ok(()),
        }
    }

    /// That nobody is concerned who refers to `id` by relocations of this kind and is not redefined. Who is depends on
    /// what the user is, and on whether the reference is one that sets a global.
    fn check_unused(
        &self,
        references: &References,
        id: DeclId,
        kind: RelocKind,
        what: &str,
        concerned: impl Fn(DeclKind, bool) -> bool,
    ) -> Result<()> {
        for source in references.of(self, id) {
            let decl = self.decl(source);
            let stays = matches!(decl.pending(), Pending::None) && !decl.is_orphan;
            let Some(definition) = decl.current().filter(|_| stays) else {
                continue;
            };
            let bytes = definition.content.bytes();
            let uses = |reloc: &Relocation| {
                let before = (reloc.offset as usize).checked_sub(1);
                let sets = before.and_then(|at| bytes.get(at)) == Some(&GLOBAL_SET);
                reloc.kind == kind && reloc.decl() == Some(id) && concerned(decl.kind, sets)
            };
            if definition.content.relocs().iter().any(uses) {
                return Err(Error::bad_edit(format!(
                    "changes its {what}, but `{}` still relies on the old one",
                    decl.label()
                ))
                .with_symbol(self.decl(id).label())
                .with_hint("redefine what uses it in the same commit"));
            }
        }
        Ok(())
    }

    /// A global that begins with the value of another one needs an imported constant of its type.
    fn check_initial_value(&self, id: DeclId, new: &Definition) -> Result<()> {
        if new.shape != DefinitionKind::Global {
            return Ok(());
        }
        let relocs = new.content.relocs().iter();
        for reloc in relocs.filter(|reloc| reloc.kind == RelocKind::GlobalIndex) {
            let of = reloc.decl().and_then(|of| self.get(of));
            let fits = of.and_then(|of| of.next()).and_then(global_type);
            let fits = fits
                .zip(global_type(new))
                .is_some_and(|(of, new)| of.imported && !of.mutable && of.ty == new.ty);
            if !fits {
                let of = of.map_or("(gone)", |of| of.label());
                return Err(
                    Error::bad_edit(format!("cannot begin with the value of `{of}`"))
                        .with_symbol(self.decl(id).label())
                        .with_hint("only an imported constant of the same type will do"),
                );
            }
        }
        Ok(())
    }

    /// The start function takes nothing and returns nothing.
    pub(super) fn check_start(&self, start: DeclId) -> Result<()> {
        let ty = self.decl(start).next().and_then(Definition::ty);
        let signature = ty.and_then(|ty| self.types.signature(ty));
        if signature.is_some_and(|it| (it.params, it.results) == (0, 0)) {
            return Ok(());
        }
        Err(
            Error::bad_edit("is the start function, but has parameters or results")
                .with_symbol(self.decl(start).label()),
        )
    }
}
