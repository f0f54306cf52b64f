//! What a compiler would do on its own: after a change it rebuilds what was compiled against the old state.
//!
//! [`sound`] rebuilds what wasmend cannot know to be stale, since it does not look into bodies; a script without it could
//! ask for a module that is invalid. [`mend`] rebuilds whatever keeps the next commit from succeeding.

use super::model::{Bound, Def, Ent, Holds, Init, Kind, Model, Op, Program, Sig, Ty, with_refs};

/// Definitions that must come with the pending ones for the module to be valid.
pub fn sound(model: &Model) -> Vec<(Ent, Bound)> {
    let next = &model.pending;
    let mut changed = Vec::new();
    for (ent, _, bound) in next.defined() {
        // A caller that is not rebuilt is wasmend's to find.
        let dirty = model.dirty.contains(&ent);
        let new = match &*bound.def {
            Def::Function(sig, ops) => {
                let steps = with_refs(ops, &bound.refs)
                    .map(|(op, refs)| (step(next, op, refs, dirty), refs));
                function(*sig, steps, bound)
            }
            Def::Global { mutable, init } => {
                let init = initial(next, *init, &bound.refs);
                global(*mutable, init, bound)
            }
            _ => continue,
        };
        if new != *bound {
            changed.push((ent, new));
        }
    }
    changed
}

/// A function of these steps; what they refer to stays what it is, whoever has its name now.
fn function<'a>(sig: Sig, steps: impl Iterator<Item = (Op, &'a [Ent])>, old: &Bound) -> Bound {
    let (mut ops, mut refs) = (Vec::new(), Vec::new());
    for (op, of_op) in steps {
        ops.push(op);
        refs.extend_from_slice(of_op);
    }
    if ops.iter().any(Op::calls) {
        refs.insert(0, old.refs[0]);
    }
    Bound {
        def: Def::Function(sig, ops).into(),
        refs: refs.into(),
    }
}

fn global(mutable: bool, init: Init, old: &Bound) -> Bound {
    let refs: &[Ent] = match init {
        Init::Value(..) => &[],
        _ => &old.refs,
    };
    Bound {
        def: Def::Global { mutable, init }.into(),
        refs: refs.into(),
    }
}

fn step(next: &Program, op: &Op, refs: &[Ent], dirty: bool) -> Op {
    let Some(target) = refs.first().and_then(|ent| next.def(*ent)) else {
        return op.clone();
    };
    let holds = target.holds();
    match (op, target.sig(), holds) {
        (Op::Call(key, _), Some(sig), _) if dirty => Op::Call(*key, sig),
        (Op::CallDirect(key, _), Some(sig), _) if dirty => Op::CallDirect(*key, sig),
        (Op::CallAddress(key, _), Some(sig), _) if dirty => Op::CallAddress(*key, sig),
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
pub fn mend(model: &Model) -> Vec<(Ent, Bound)> {
    let next = &model.pending;
    let lives = |ent: &Ent| next.bound(*ent).is_some();
    let mut changed = Vec::new();
    for (ent, _, bound) in next.defined() {
        let new = match &*bound.def {
            Def::Function(sig, ops) => {
                let steps = with_refs(ops, &bound.refs)
                    .filter(|(_, refs)| refs.iter().all(lives))
                    .map(|(op, refs)| (step(next, op, refs, true), refs));
                function(*sig, steps, bound)
            }
            Def::Global { mutable, init } if !bound.refs.iter().all(lives) => {
                let init = match *init {
                    Init::Global(_, ty) => Init::Value(ty, -3),
                    _ => Init::Value(Ty::I32, 0),
                };
                global(*mutable, init, bound)
            }
            Def::Data(blob) => {
                let mut blob = blob.clone();
                let mut refs = bound.refs.iter().copied();
                let function = blob.function.and_then(|_| refs.next()).filter(lives);
                let address = blob.address.and_then(|_| refs.next()).filter(lives);
                blob.function = blob.function.filter(|_| function.is_some());
                blob.address = blob.address.filter(|_| address.is_some());
                Bound {
                    def: Def::Data(blob).into(),
                    refs: function.into_iter().chain(address).collect(),
                }
            }
            _ => continue,
        };
        if new != *bound {
            changed.push((ent, new));
        }
    }
    changed
}

/// Exports of things that are not defined.
pub fn broken_exports(model: &Model) -> Vec<(String, Ent)> {
    let exports = model.next_exports().unwrap_or_default();
    let broken = exports.into_iter();
    broken
        .filter(|(_, ent)| model.pending.bound(*ent).is_none())
        .collect()
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
