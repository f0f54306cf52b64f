//! What wasmend makes beside a program's own code: thunks and forwarders, which are looked through, filler, and what is
//! dead. They are recognised by what they are.

use std::fmt::Debug;

use wasmparser::Operator;

use super::walk::{Code, File};

/// Nothing, or what differs.
pub type Same<T = ()> = Result<T, String>;

/// That two things are the same, of what they are.
pub fn equal<T: PartialEq + Debug>(what: &str, a: T, b: T) -> Same {
    if a == b {
        Ok(())
    } else {
        Err(format!("{what}: {a:?} against {b:?}"))
    }
}

/// What a body's first bytes say wasmend made it for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Thunk,
    Forwarder,
    Dead,
}

/// The role of a body that wasmend made.
pub fn role(body: &[u8]) -> Option<Role> {
    match body {
        // The second is for functions whose address a program takes.
        [1, 0, 0x7f | 0x7c, ..] => Some(Role::Thunk),
        [1, 0, 0x7e, ..] => Some(Role::Forwarder),
        [1, 0, 0x7d, ..] => Some(Role::Dead),
        _ => None,
    }
}

/// The function behind thunks and forwarders.
pub fn resolve(file: &File<'_>, function: u32) -> Same<u32> {
    let mut at = function;
    for _ in 0..3 {
        let function = file.functions.get(at as usize);
        let function = function.ok_or(format!("function {at} is out of range"))?;
        let Code::Body(body) = &function.code else {
            return Ok(at);
        };
        let Some(role) = role(body.as_bytes()) else {
            return Ok(at);
        };
        let next = match role {
            Role::Dead => return Err(format!("function {at} is dead")),
            Role::Thunk => thunk_target(file, at)?,
            Role::Forwarder => forwarder_target(file, at)?,
        };
        let signatures = (file.signature(at)?, file.signature(next)?);
        equal("signature behind an entry", signatures.0, signatures.1)?;
        at = next;
    }
    Err(format!("function {function} never ends in a body"))
}

/// The instructions of what wasmend made, behind those that pass the parameters on.
fn made<'a>(file: &File<'a>, function: u32) -> Same<Vec<Operator<'a>>> {
    let Code::Body(body) = &file.functions[function as usize].code else {
        return Err("an import is no thunk".into());
    };
    let params = file.signature(function)?.params().len();
    let reader = body
        .get_operators_reader()
        .map_err(|error| error.to_string())?;
    let ops: Result<Vec<_>, _> = reader.into_iter().collect();
    let ops = ops.map_err(|error| error.to_string())?;
    for (at, op) in ops.iter().take(params).enumerate() {
        let local_index = at as u32;
        equal(
            "parameter passed on",
            op,
            &Operator::LocalGet { local_index },
        )?;
    }
    Ok(ops.into_iter().skip(params).collect())
}

fn thunk_target(file: &File<'_>, function: u32) -> Same<u32> {
    let ops = made(file, function)?;
    let [
        Operator::I32Const { value },
        Operator::CallIndirect {
            type_index,
            table_index,
        },
        rest @ ..,
    ] = &ops[..]
    else {
        return Err(format!("{ops:?} is no thunk"));
    };
    filler(rest)?;
    let ty = file.ty(*type_index)?;
    equal("type of a thunk's call", file.signature(function)?, ty)?;
    let entry = file.entries.get(&(*table_index, *value as u32));
    entry
        .copied()
        .ok_or(format!("a thunk through the empty slot {value}"))
}

fn forwarder_target(file: &File<'_>, function: u32) -> Same<u32> {
    let ops = made(file, function)?;
    let [Operator::Call { function_index }, rest @ ..] = &ops[..] else {
        return Err(format!("{ops:?} is no forwarder"));
    };
    filler(rest)?;
    Ok(*function_index)
}

/// Whether instructions behind a body's own do nothing.
pub fn filler(ops: &[Operator<'_>]) -> Same {
    let (last, before) = ops.split_last().ok_or("a body without an end")?;
    let harmless = |op: &Operator<'_>| {
        use Operator::*;
        matches!(op, Nop | Return | Unreachable | F64Const { .. })
    };
    if *last == Operator::End && before.iter().all(harmless) {
        Ok(())
    } else {
        Err(format!("{ops:?} behind a body"))
    }
}
