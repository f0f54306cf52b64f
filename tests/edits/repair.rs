//! What a compiler would do on its own: after a change it rebuilds what was compiled against the old state.
//!
//! [`sound`] rebuilds what wasmend cannot know to be stale, since it does not look into bodies; a script without it could
//! ask for a module that is invalid. [`mend`] rebuilds whatever keeps the next commit from succeeding.

use super::model::{Def, Ent, Holds, Init, Kind, Model, Op, Program, Ty, with_refs};

/// Definitions that must come with the pending ones for the module to be valid. `calls_name_types`: whether
/// [`Op::Call`] holds the callee to its signature.
pub fn sound(model: &Model, calls_name_types: bool) -> Vec<(Ent, Def)> {
    let next = &model.pending;
    let mut changed = Vec::new();
    for (ent, _, bound) in next.defined() {
        // A caller that is not rebuilt is wasmend's to find.
        let dirty = model.dirty.contains(&ent);
        let def = match &*bound.def {
            Def::Function(sig, ops) => {
                let steps = with_refs(ops, &bound.refs);
                let steps = steps.map(|(op, refs)| step(next, op, refs, calls_name_types, dirty));
                Def::Function(*sig, steps.collect())
            }
            Def::Global { mutable, init } => Def::Global {
                mutable: *mutable,
                init: initial(next, *init, &bound.refs),
            },
            _ => continue,
        };
        if def != *bound.def {
            changed.push((ent, def));
        }
    }
    changed
}

fn step(next: &Program, op: &Op, refs: &[Ent], calls_name_types: bool, dirty: bool) -> Op {
    let Some(target) = refs.first().and_then(|ent| next.def(*ent)) else {
        return op.clone();
    };
    let holds = target.holds();
    match (op, target.sig(), holds) {
        (Op::Call(key, _), Some(sig), _) if dirty && calls_name_types => Op::Call(*key, sig),
        (Op::CallDirect(key, _), Some(sig), _) if dirty => Op::CallDirect(*key, sig),
        (Op::Throw(key, _), Some(sig), _) => Op::Throw(*key, sig),
        (Op::GetGlobal(key, _), _, Some(holds)) => Op::GetGlobal(*key, holds),
        (Op::SetGlobal(key, ty), _, Some(holds)) => {
            if holds == Holds::Value(*ty) && target.is_mutable() {
                op.clone()
            } else {
                Op::GetGlobal(*key, holds)
            }
        }
        (Op::CallGlobal(key, _), _, Some(holds)) if holds != Holds::FunctionAddress => {
            Op::GetGlobal(*key, holds)
        }
        _ => op.clone(),
    }
}

fn initial(next: &Program, init: Init, refs: &[Ent]) -> Init {
    let Init::Global(_, ty) = init else {
        return init;
    };
    match next.def(refs[0]) {
        Some(Def::ImportGlobal {
            ty: of,
            mutable: false,
        }) if *of == ty => init,
        None => init,
        _ => Init::Value(ty, -9),
    }
}

/// Whether the start function must be given up.
pub fn start_is_wrong(model: &Model) -> bool {
    let start = model
        .pending
        .start
        .and_then(|start| model.pending.def(start));
    start.is_some_and(|def| def.sig() != Some(0))
}

/// Definitions without what is not defined, and with the signatures that hold now.
pub fn mend(model: &Model) -> Vec<(Ent, Def)> {
    let next = &model.pending;
    let lives = |ent: &Ent| next.bound(*ent).is_some();
    let mut changed = Vec::new();
    for (ent, _, bound) in next.defined() {
        let mut refs = bound.refs.iter();
        let def = match &*bound.def {
            Def::Function(sig, ops) => {
                let steps = with_refs(ops, &bound.refs);
                let steps = steps.filter(|(_, refs)| refs.iter().all(lives));
                let steps = steps.map(|(op, refs)| step(next, op, refs, true, true));
                Def::Function(*sig, steps.collect())
            }
            Def::Global { mutable, init } if !refs.all(lives) => Def::Global {
                mutable: *mutable,
                init: match *init {
                    Init::Global(_, ty) => Init::Value(ty, -3),
                    _ => Init::Value(Ty::I32, 0),
                },
            },
            Def::Data(blob) => {
                let mut blob = blob.clone();
                if blob.function.is_some() && !refs.next().is_some_and(lives) {
                    blob.function = None;
                }
                if blob.address.is_some() && !refs.next().is_some_and(lives) {
                    blob.address = None;
                }
                Def::Data(blob)
            }
            _ => continue,
        };
        if def != *bound.def {
            changed.push((ent, def));
        }
    }
    changed
}

/// Exports of things that are not defined.
pub fn broken_exports(model: &Model) -> Vec<String> {
    let exports = model.next_exports().unwrap_or_default();
    let broken = exports.into_iter();
    let broken = broken.filter(|(_, ent)| model.pending.bound(*ent).is_none());
    broken.map(|(name, _)| name).collect()
}

/// Whether the start function is not defined.
pub fn start_is_gone(model: &Model) -> bool {
    let start = model.pending.start;
    start.is_some_and(|start| model.pending.bound(start).is_none())
}

/// Whether something of this kind is in the program: some engines do not run it.
pub fn has(program: &Program, kind: Kind) -> bool {
    program.defined().any(|(_, thing, _)| thing.name.0 == kind)
}
