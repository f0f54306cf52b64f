//! Equivalence by behaviour: two modules are instantiated, their exported functions called in one order with the same
//! arguments, and results, traps, globals and the contents of memory compared.

use wasmend::engine::{Engine, Imports, Instance, Trap, Value};

use super::equal::{Pairs, masked};
use super::model::{Def, Holds, Kind, Name, Program, Ty, field, signature};

/// Runs modules of edit scripts.
#[derive(Debug, Clone)]
pub struct Runner(Engine);

impl Default for Runner {
    fn default() -> Self {
        Runner(Engine::with_fuel(50_000_000))
    }
}

/// What a module that has been run leaves behind.
pub struct Ran {
    /// What was called, and what came of it.
    calls: Vec<(String, Result<Vec<Value>, Trap>)>,
    globals: Vec<(String, Option<Value>)>,
    instance: Instance,
}

impl Runner {
    /// Instantiates a module of `program` and calls each of its exported functions.
    pub fn run(&self, program: &Program, wasm: &[u8]) -> Result<Ran, String> {
        let instance = self.0.instantiate(wasm, &imports(program));
        let mut instance = instance.map_err(|error| format!("cannot be instantiated: {error}"))?;
        let mut exports: Vec<_> = program.exports.iter().collect();
        exports.sort_unstable();
        let mut calls = Vec::new();
        for (name, ent) in &exports {
            let Some(def) = program.def(*ent).filter(|def| def.kind() == Kind::Function) else {
                continue;
            };
            let (params, _) = signature(def.sig().ok_or("a function without a signature")?);
            for round in 0..2 {
                let reset = instance.call("reset", &[]);
                let arguments: Vec<Value> = params
                    .iter()
                    .enumerate()
                    .map(|(at, ty)| argument(*ty, 7 * round + 3 * at as i64 - 4))
                    .collect();
                let result = reset.and_then(|_| instance.call(name, &arguments));
                calls.push((name.clone(), result));
            }
        }
        let mut globals = Vec::new();
        for (name, ent) in &exports {
            if let Some(Holds::Value(_)) = program.def(*ent).and_then(Def::holds) {
                globals.push((name.clone(), instance.global(name)));
            }
        }
        Ok(Ran {
            calls,
            globals,
            instance,
        })
    }
}

/// Compares what two modules did. `pairs` says where data stands in the first and in the second.
pub fn compare(program: &Program, a: &Ran, b: &Ran, pairs: &Pairs) -> Result<(), String> {
    for ((name, a), (_, b)) in a.calls.iter().zip(&b.calls) {
        if a != b {
            return Err(format!(
                "{name} gave {a:?} in the dense module, {b:?} in the other"
            ));
        }
    }
    if a.globals != b.globals {
        return Err(format!("globals are {:?} and {:?}", a.globals, b.globals));
    }
    let (Some(ours), Some(theirs)) = (a.instance.memory("memory"), b.instance.memory("memory"))
    else {
        return Err("no memory is exported".into());
    };
    for (ent, (a, b)) in &pairs.data {
        let Some(Def::Data(blob)) = program.def(*ent) else {
            continue;
        };
        let part = |memory: &[u8], at: u32| {
            let part = memory.get(at as usize..(at + blob.size()) as usize);
            part.map(|part| masked(blob, part))
        };
        let (a, b) = (part(ours, *a), part(theirs, *b));
        if a != b || a.is_none() {
            let name = program.things[ent].name;
            return Err(format!("memory of {name} is {a:?} and {b:?}"));
        }
    }
    Ok(())
}

pub fn argument(ty: Ty, value: i64) -> Value {
    match ty {
        Ty::I32 => Value::I32(value as i32),
        Ty::I64 => Value::I64(value),
        Ty::F32 => Value::F32(value as f32),
        Ty::F64 => Value::F64(value as f64),
    }
}

pub fn imports(program: &Program) -> Imports {
    let mut imports = Imports::new().stubs();
    for (ent, thing, bound) in program.defined() {
        let field = field(thing.name, ent);
        match *bound.def {
            Def::ImportFunction(sig) => {
                let name = thing.name;
                imports = imports.function("env", &field, move |_, arguments| {
                    Ok(host(name, sig, arguments))
                });
            }
            Def::ImportGlobal { ty, .. } => {
                let value = argument(ty, i64::from(thing.name.1) + 5);
                imports = imports.global("env", &field, value);
            }
            _ => {}
        }
    }
    imports
}

/// A host function: mixes its name and arguments.
pub fn host(name: Name, sig: u8, arguments: &[Value]) -> Vec<Value> {
    let mut mixed = i64::from(name.1) + 1;
    for argument in arguments {
        let argument = match *argument {
            Value::I32(value) => value.into(),
            Value::I64(value) => value,
            Value::F32(value) => value as i64,
            Value::F64(value) => value as i64,
            _ => 0,
        };
        mixed = mixed.wrapping_mul(17).wrapping_add(argument);
    }
    let (_, results) = signature(sig);
    results.iter().map(|ty| argument(*ty, mixed)).collect()
}

/// Whether an export is one by which deltas reach an instance.
pub fn is_for_deltas(name: &str) -> bool {
    name.starts_with("__wasmend_")
}
