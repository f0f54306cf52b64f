//! A program that runs while it is edited, in wasmi: it takes in patches, and whoever edits can look at it.

use std::fmt;

use wasmend::live::{Budget, Live, LiveOptions, Reloaded, WasmiRuntime};
use wasmend::{Error, Patch, Result};
use wasmi::{Config, Engine, Extern, Linker, Store, Val};

use crate::code::{LOOKS, Look, Target};
use crate::library::FAULTS;
use crate::syntax::Type;

/// How much a look at a program, or a run of one of its functions, may do: a fraction of a second.
const FUEL: u64 = 20_000_000;
/// How much all looks after an edit may do.
const FUEL_OF_ALL: u64 = 3 * FUEL;

/// When a program goes over to a fresh instance.
const BUDGET: Budget = Budget {
    deltas: 100,
    bytes: 1 << 20,
};

/// How much of a text or list is shown.
const MOST_SHOWN: usize = 24;

/// A value of the program's.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Text(String),
    /// The first numbers, and how many there are in all.
    List(Vec<f64>, usize),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => {
                let shown: String = text.chars().take(4 * MOST_SHOWN).collect();
                let rest = if shown.len() < text.len() { "…" } else { "" };
                write!(f, "{shown:?}{rest}")
            }
            Value::List(items, len) => {
                write!(f, "[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                match items.len() < *len {
                    true => write!(f, ", …] ({len})"),
                    false => write!(f, "]"),
                }
            }
        }
    }
}

/// A value, or why there is none.
pub type Seen = std::result::Result<Value, String>;

pub struct Running {
    live: Live<WasmiRuntime<()>>,
    /// Memory as it was before a look.
    before: Vec<u8>,
}

impl Running {
    /// Starts a program.
    pub fn start(file: &[u8]) -> Result<Running> {
        // Each fresh instance has a store of its own, so that what was replaced does not stay in memory.
        let (store, linker) = make_store()?;
        let runtime = WasmiRuntime::new(store, linker).with_fresh(|()| make_store());
        let options = LiveOptions {
            budget: Some(BUDGET),
            ..LiveOptions::default()
        };
        Ok(Running {
            live: Live::load(runtime, file, options)?,
            before: Vec::new(),
        })
    }

    /// Brings the program to the version that a commit has published.
    pub fn take(
        &mut self,
        patch: &Patch,
        file: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Reloaded> {
        refuel(&mut self.live, u64::MAX)?;
        self.live.take(patch.live.as_ref(), file)
    }

    /// What there is to be seen; functions of the program's own are not called. Whatever the program changes meanwhile is
    /// taken back.
    pub fn look(&mut self, looks: &[Look]) -> Vec<Option<Seen>> {
        let globals = self.save();
        let mut fuel = FUEL_OF_ALL;
        let seen = looks.iter().enumerate().map(|(number, look)| {
            if matches!(look.target, Target::Function(_)) {
                return None;
            }
            let given = fuel.min(FUEL);
            let seen = self.call(number, look.ty, given);
            // A variable is read without running anything of the program's.
            if matches!(look.target, Target::Shown(_)) {
                let left = self.live.runtime().store.get_fuel().unwrap_or(0);
                fuel -= given.saturating_sub(left);
                self.restore(&globals);
            }
            Some(seen)
        });
        seen.collect()
    }

    /// Runs a function of the program's; what it changes stays.
    pub fn run(&mut self, number: usize, look: &Look) -> Seen {
        self.call(number, look.ty, FUEL)
    }

    fn call(&mut self, number: usize, ty: Type, fuel: u64) -> Seen {
        refuel(&mut self.live, fuel).map_err(|error| error.to_string())?;
        let function = self.live.export(LOOKS).and_then(Extern::into_func);
        let function = function.ok_or("the program cannot be looked at")?;
        let mut results = [Val::F64(0.0.into())];
        let store = &mut self.live.runtime().store;
        let called = function.call(store, &[Val::I32(number as i32)], &mut results);
        if let Err(error) = called {
            return Err(self.fault().unwrap_or_else(|| explain(&error)));
        }
        let result = results[0].f64().map_or(0.0, f64::from);
        match ty {
            Type::Number => Ok(Value::Number(result)),
            ty => {
                let value = self.value(result as usize, ty);
                value.ok_or_else(|| "it is not in memory".to_owned())
            }
        }
    }

    /// Why the program has stopped, if it has said so.
    fn fault(&mut self) -> Option<String> {
        let fault = self.live.export("brook.fault")?.into_global()?;
        let store = &mut self.live.runtime().store;
        let code = fault.get(&*store).i32()?;
        fault.set(store, Val::I32(0)).ok()?;
        let said = FAULTS.get(code as usize)?;
        (!said.is_empty()).then(|| (*said).to_owned())
    }

    fn memory(&mut self) -> &mut [u8] {
        let memory = self.live.memory().and_then(Extern::into_memory);
        match memory {
            Some(memory) => memory.data_mut(&mut self.live.runtime().store),
            None => &mut [],
        }
    }

    fn value(&mut self, address: usize, ty: Type) -> Option<Value> {
        let bytes = self.memory().get(address..)?;
        let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        Some(match ty {
            Type::List => {
                let items = bytes.get(8..8 + 8 * len)?.chunks_exact(8).take(MOST_SHOWN);
                let items =
                    items.map(|item| f64::from_le_bytes(item.try_into().unwrap_or_default()));
                Value::List(items.collect(), len)
            }
            _ => Value::Text(String::from_utf8_lossy(bytes.get(4..4 + len)?).into_owned()),
        })
    }

    /// Notes memory as far as it is used, and the values of all globals that can change.
    fn save(&mut self) -> Vec<(wasmi::Global, Val)> {
        let globals: Vec<_> = self.live.all_given().collect();
        let heap = self.live.export("brook.heap").and_then(Extern::into_global);
        let store = &self.live.runtime().store;
        let globals = globals.into_iter().filter_map(|(name, item)| {
            let global = item
                .into_global()
                .filter(|_| name.starts_with("__wasmend_g"))?;
            let value = global.get(store);
            global
                .ty(store)
                .mutability()
                .is_mut()
                .then_some((global, value))
        });
        let globals: Vec<_> = globals.collect();
        let end = heap.and_then(|heap| heap.get(store).i32()).unwrap_or(0) as usize;
        let mut before = std::mem::take(&mut self.before);
        before.clear();
        before.extend_from_slice(self.memory().get(..end).unwrap_or_default());
        self.before = before;
        globals
    }

    fn restore(&mut self, globals: &[(wasmi::Global, Val)]) {
        for (global, value) in globals {
            // It had this value before, so it can have it again.
            let _ = global.set(&mut self.live.runtime().store, value.clone());
        }
        let before = std::mem::take(&mut self.before);
        if let Some(memory) = self.memory().get_mut(..before.len()) {
            memory.copy_from_slice(&before);
        }
        self.before = before;
    }
}

/// A store that has an end: what runs in it takes fuel.
fn make_store() -> Result<(Store<()>, Linker<()>)> {
    let mut config = Config::default();
    config.consume_fuel(true);
    let engine = Engine::new(&config);
    let mut store = Store::new(&engine, ());
    let fuelled = store.set_fuel(u64::MAX);
    fuelled.map_err(|error| Error::bad_input(error.to_string()))?;
    Ok((store, Linker::new(&engine)))
}

fn refuel(live: &mut Live<WasmiRuntime<()>>, fuel: u64) -> Result<()> {
    let set = live.runtime().store.set_fuel(fuel);
    set.map_err(|error| Error::bad_input(error.to_string()))
}

fn explain(error: &wasmi::Error) -> String {
    match error.as_trap_code() {
        Some(wasmi::TrapCode::OutOfFuel) => "it takes too long".to_owned(),
        Some(wasmi::TrapCode::StackOverflow) => "it calls itself too deep".to_owned(),
        _ => error.to_string(),
    }
}
