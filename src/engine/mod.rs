//! A small interpreter for the modules that wasmend writes: wasmi with fuel.
//!
//! It runs what `wasmend demo` shows and what the tests compare. Two properties matter more than speed: a program
//! always ends (fuel, a memory limit), and two runs of one program observe the same world, since it sees nothing but
//! what its imports are given. This file knows nothing of layouts and patches, and none of the interpreter's own types
//! show in its interface.

use std::fmt;

use wasmi::{AsContext, ExternType, StoreLimits, Val};

use crate::{Error, Result};

mod imports;
mod value;

pub use imports::Imports;
pub use value::{Trap, Value};

use imports::typed;
use value::said;

/// The fuel of one run or call unless said otherwise. A unit is one instruction of a function or loop body that is
/// entered, whether or not its branch is taken: one large loop around a `switch` takes far more than it executes.
pub const DEFAULT_FUEL: u64 = 8_000_000_000;
/// The most bytes that one memory may have; a larger one cannot be made or grown into.
pub const MEMORY_LIMIT: usize = 512 << 20;
/// The most elements that one table may have.
pub const TABLE_LIMIT: usize = 1_000_000;

/// Runs modules. Cheap to clone; instances made by it share nothing.
#[derive(Clone, Debug)]
pub struct Engine {
    engine: wasmi::Engine,
    fuel: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine with [`DEFAULT_FUEL`].
    pub fn new() -> Self {
        Self::with_fuel(DEFAULT_FUEL)
    }

    /// An engine that gives each run and each call `fuel`; see [`DEFAULT_FUEL`] for its unit.
    pub fn with_fuel(fuel: u64) -> Self {
        let mut config = wasmi::Config::default();
        config.consume_fuel(true);
        Engine {
            engine: wasmi::Engine::new(&config),
            fuel,
        }
    }

    /// Instantiates `wasm` with `imports` and runs its start function.
    ///
    /// # Errors
    /// The module is malformed, uses what the interpreter does not support, imports what is not given, or its start
    /// function or segments trap.
    pub fn instantiate(&self, wasm: &[u8], imports: &Imports) -> Result<Instance> {
        let module = wasmi::Module::new(&self.engine, wasm).map_err(module_error)?;
        let limits = wasmi::StoreLimitsBuilder::new();
        let limits = limits
            .memory_size(MEMORY_LIMIT)
            .table_elements(TABLE_LIMIT)
            .build();
        let mut store = wasmi::Store::new(&self.engine, limits);
        store.limiter(|limits| limits);
        store.set_fuel(self.fuel).map_err(Trap::from)?;
        let mut linker = wasmi::Linker::new(&self.engine);
        imports.link(&module, &mut store, &mut linker)?;
        let instance = linker
            .instantiate_and_start(&mut store, &module)
            .map_err(module_error)?;
        Ok(Instance {
            instance,
            store,
            fuel: self.fuel,
        })
    }
}

/// A running module.
pub struct Instance {
    instance: wasmi::Instance,
    store: wasmi::Store<StoreLimits>,
    fuel: u64,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("fuel", &self.fuel)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// Calls the exported function `name`, with fresh fuel.
    ///
    /// # Errors
    /// The trap that ended the call; [`Trap::Call`] if the call was wrong. The instance stays usable, in the state
    /// that the trap left.
    pub fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Vec<Value>, Trap> {
        let function = self.instance.get_func(&self.store, name);
        let function = function
            .ok_or_else(|| Trap::Call(format!("no exported function is called `{name}`")))?;
        let ty = function.ty(&self.store);
        let given = typed(arguments, ty.params()).ok_or_else(|| {
            let types = ty.params();
            Trap::Call(format!(
                "`{name}` takes {types:?}, but is called with {arguments:?}"
            ))
        })?;
        let mut results: Vec<Val> = ty
            .results()
            .iter()
            .map(|ty| Val::default_for_ty(*ty))
            .collect();
        self.store.set_fuel(self.fuel)?;
        function.call(&mut self.store, &given, &mut results)?;
        Ok(results.iter().map(Value::from_engine).collect())
    }

    /// The bytes of the exported memory `name`, if there is one.
    pub fn memory(&self, name: &str) -> Option<&[u8]> {
        let memory = self.instance.get_memory(&self.store, name)?;
        Some(memory.data(self.store.as_context()))
    }

    /// The value of the exported global `name`, if there is one.
    pub fn global(&self, name: &str) -> Option<Value> {
        let global = self.instance.get_global(&self.store, name)?;
        Some(Value::from_engine(&global.get(&self.store)))
    }

    /// A zero of each type that the exported function `name` takes, if there is such a function.
    pub fn arguments(&self, name: &str) -> Option<Vec<Value>> {
        let ty = self.instance.get_func(&self.store, name)?.ty(&self.store);
        let zero = |ty: &wasmi::ValType| Value::from_engine(&Val::default_for_ty(*ty));
        Some(ty.params().iter().map(zero).collect())
    }

    /// The names of the exported functions, sorted.
    pub fn functions(&self) -> Vec<String> {
        let exports = self.instance.exports(&self.store);
        let functions =
            exports.filter(|export| matches!(export.ty(&self.store), ExternType::Func(_)));
        let mut names: Vec<String> = functions.map(|export| export.name().to_string()).collect();
        names.sort_unstable();
        names
    }
}

#[cold]
fn module_error(error: wasmi::Error) -> Error {
    match error.kind() {
        wasmi::errors::ErrorKind::Wasm(inner) => Error::bad_input(inner.message())
            .with_offset(inner.offset() as u64)
            .with_hint(
                "the module is malformed, or uses what the built-in interpreter does not support",
            ),
        wasmi::errors::ErrorKind::TrapCode(_) => Trap::from(error).into(),
        wasmi::errors::ErrorKind::Host(_) => Trap::from(error).into(),
        _ => Error::bad_input(said(&error)),
    }
}
