//! What users of a declaration were compiled against: signatures, globals' types. A change of it must come with its users.
//! Nothing is changed here.

use rayon::prelude::*;
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::parallel::{region, task};
use crate::program::check::BULK;
use crate::program::content::{RelocKind, Relocation};
use crate::program::declaration::{DeclKind, Declaration, Definition, DefinitionKind, Pending};
use crate::program::ids::{DeclId, TypeId};
use crate::program::references::References;
use crate::program::store::Program;
use crate::wire::leb;

/// The operator that sets a global; its operand is the global's index.
const GLOBAL_SET: u8 = 0x24;

/// A global, as its users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GlobalType {
    /// Its type as it is encoded, up to the index of a type that it refers to.
    ty: SmallVec<[u8; 4]>,
    refers_to: Option<TypeId>,
    mutable: bool,
    imported: bool,
}

/// The type of a global.
fn global_type(definition: &Definition) -> Option<GlobalType> {
    let content = &definition.content;
    let bytes = content.bytes();
    let imported = definition.is_import();
    let is_one = imported || definition.shape == DefinitionKind::Global;
    let start = definition.type_start().filter(|_| is_one)?;
    let mut at = start + 1;
    if let 0x63 | 0x64 = bytes.get(start)? {
        at += usize::from(matches!(bytes.get(at)?, 0x62 | 0x65));
    } else {
        at -= 1;
    }
    let mut relocs = content.relocs().iter();
    let reference = relocs.find(|reloc| reloc.offset as usize == at);
    let refers_to = reference.and_then(|reloc| reloc.ty());
    let (end, mutable) = match refers_to {
        Some(_) => (at, at + leb::WIDE32),
        None => (at + 1, at + 1),
    };
    Some(GlobalType {
        ty: bytes.get(start..end)?.into(),
        refers_to,
        mutable: *bytes.get(mutable)? != 0,
        imported,
    })
}

/// Whether a definition names a global in a way that is asked for: by an instruction that sets it, or otherwise.
fn names_global(user: &Definition, global: DeclId, is_asked: impl Fn(bool) -> bool) -> bool {
    let bytes = user.content.bytes();
    user.content.relocs().iter().any(|reloc| {
        let before = (reloc.offset as usize).checked_sub(1);
        let sets = before.and_then(|at| bytes.get(at)) == Some(&GLOBAL_SET);
        reloc.kind == RelocKind::GlobalIndex && reloc.decl() == Some(global) && is_asked(sets)
    })
}

/// Whether a body calls a function through its slot by another type than this. Who only holds its address may, but not who
/// pushes the address and calls at once.
fn calls_otherwise(user: &Definition, callee: DeclId, ty: Option<TypeId>) -> bool {
    let bytes = user.content.bytes();
    let mut pairs = user.content.relocs().windows(2);
    user.is_body()
        && pairs.any(|pair| {
            let end = pair[0].offset as usize + pair[0].kind.width();
            let is_call = matches!(bytes.get(end), Some(0x11 | 0x13));
            let by_type = pair[1].offset as usize == end + 1 && pair[1].ty() != ty;
            pair[0].kind.is_slot() && pair[0].decl() == Some(callee) && is_call && by_type
        })
}

impl Program {
    /// Says by which types a body that was given calls others, even if it is the one that is there.
    pub(crate) fn expect_calls(
        &mut self,
        id: DeclId,
        calls: impl Iterator<Item = (DeclId, TypeId)>,
    ) {
        self.pending.calls.set(id, calls);
    }

    /// Bodies must call functions by the types that these have once the commit is done.
    pub(crate) fn check_calls(&self) -> Vec<Error> {
        let calls: Vec<_> = self.pending.calls.iter().collect();
        let check = |run: &[(DeclId, &[(DeclId, TypeId)])]| -> Vec<(DeclId, Error)> {
            let all = run.iter();
            all.flat_map(|(id, calls)| self.check_calls_of(*id, calls))
                .collect()
        };
        let mut wrong = match calls.len() > BULK {
            true => {
                let runs = calls.par_chunks(BULK);
                region(|| runs.flat_map_iter(|run| task(|| check(run))).collect())
            }
            false => check(&calls),
        };
        wrong.sort_by_key(|(id, _)| *id);
        wrong.into_iter().map(|(_, error)| error).collect()
    }

    /// What is wrong with the calls of one body.
    fn check_calls_of(&self, id: DeclId, calls: &[(DeclId, TypeId)]) -> Vec<(DeclId, Error)> {
        let mut wrong = Vec::new();
        let next = self.get(id).and_then(|decl| decl.next());
        let calls = next.filter(|next| next.is_body()).map(|_| calls);
        for (callee, ty) in calls.into_iter().flatten() {
            let Some(decl) = self.get(*callee) else {
                continue;
            };
            let has = decl.next().and_then(Definition::ty);
            if let Some(has) = has.filter(|has| has != ty) {
                let message = format!(
                    "calls `{}` as {}, but it is {}",
                    decl.label(),
                    self.types.describe(*ty),
                    self.types.describe(has)
                );
                let hint = "compile both against the same declaration, in one commit";
                let error = Error::bad_edit(message).with_symbol(self.decl(id).label());
                wrong.push((id, error.with_hint(hint)));
            }
        }
        wrong
    }

    /// What changes its interface must not keep users compiled for the old one, and what it uses itself must be as it
    /// needs it.
    pub(super) fn check_users(
        &self,
        references: &References,
        id: DeclId,
        new: &Definition,
        wrong: &mut Vec<Error>,
    ) {
        let decl = self.decl(id);
        if decl.kind == DeclKind::Global {
            wrong.extend(self.check_initial_value(id, new).err());
        }
        let Some(old) = decl.current() else {
            return;
        };
        let mut expect_unused = |what: &str, uses: &dyn Fn(&Declaration, &Definition) -> bool| {
            for source in references.of(self, id) {
                let user = self.decl(source);
                let current = user.current().filter(|_| self.stays(source, user));
                if current.is_some_and(|current| uses(user, current)) {
                    wrong.push(self.is_relied_on(id, user, what));
                }
            }
        };
        match decl.kind {
            DeclKind::Function if old.ty() != new.ty() => {
                let ty = new.ty();
                expect_unused("signature", &|_, user| {
                    let mut relocs = user.content.relocs().iter();
                    let calls = |it: &Relocation| it.kind == RelocKind::Call;
                    relocs.any(|it| calls(it) && it.decl() == Some(id))
                        || calls_otherwise(user, id, ty)
                });
            }
            DeclKind::Tag if old.ty() != new.ty() => {
                expect_unused("values", &|_, user| {
                    let mut relocs = user.content.relocs().iter();
                    relocs.any(|it| it.kind == RelocKind::TagIndex && it.decl() == Some(id))
                });
            }
            DeclKind::Global => {
                let (Some(old), Some(new)) = (global_type(old), global_type(new)) else {
                    return;
                };
                let is_other = old.ty != new.ty || old.refers_to != new.refers_to;
                expect_unused("type", &|decl, user| {
                    // Only an imported constant may give another global its value.
                    let is_concerned = is_other || (decl.kind == DeclKind::Global && old != new);
                    names_global(user, id, |sets| is_concerned || (sets && !new.mutable))
                });
            }
            _ => {}
        }
    }

    /// Whether what uses something was neither removed nor given anew since the last commit, be it as it was.
    fn stays(&self, id: DeclId, decl: &Declaration) -> bool {
        let is_given = self.pending.calls.has(id);
        matches!(decl.pending(), Pending::None) && !decl.is_orphan && !is_given
    }

    #[cold]
    fn is_relied_on(&self, id: DeclId, user: &Declaration, what: &str) -> Error {
        Error::bad_edit(format!(
            "changes its {what}, but `{}` still relies on the old one",
            user.label()
        ))
        .with_symbol(self.decl(id).label())
        .with_hint("redefine what uses it in the same commit")
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
            let fits = fits.zip(global_type(new)).is_some_and(|(of, new)| {
                let is_same = of.ty == new.ty && of.refers_to == new.refers_to;
                of.imported && !of.mutable && is_same
            });
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
