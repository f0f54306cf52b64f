//! What an instance is given for its imports: host functions, values of globals, and stubs for the rest.
//!
//! Nothing is stubbed unasked: an import that is not given is an error that names it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use wasmi::{ExternType, Ref, StoreLimits, Val};

use super::{Trap, Value};
use crate::{Error, Result};

type HostFunction = dyn Fn(&mut [u8], &[Value]) -> Result<Vec<Value>, Trap> + Send + Sync;

/// What an instance's imports are given.
#[derive(Clone, Default)]
pub struct Imports {
    functions: HashMap<(String, String), Arc<HostFunction>>,
    globals: HashMap<(String, String), Value>,
    stubs: bool,
}

impl Imports {
    /// Nothing: a module that imports anything cannot be instantiated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that is not given stands in for itself: a function returns zeros, a global is zero, a memory or
    /// table has its least size and is empty.
    #[must_use]
    pub fn stubs(mut self) -> Self {
        self.stubs = true;
        self
    }

    /// Gives the import `module.name`. The host function gets the instance's exported memory called `memory`
    /// (empty if there is none) and the arguments.
    #[must_use]
    pub fn function(
        mut self,
        module: &str,
        name: &str,
        function: impl Fn(&mut [u8], &[Value]) -> Result<Vec<Value>, Trap> + Send + Sync + 'static,
    ) -> Self {
        self.functions
            .insert((module.into(), name.into()), Arc::new(function));
        self
    }

    /// Gives the imported global `module.name` its value.
    #[must_use]
    pub fn global(mut self, module: &str, name: &str, value: Value) -> Self {
        self.globals.insert((module.into(), name.into()), value);
        self
    }
}

impl Imports {
    /// Defines each import of `module`, once, whether given or stubbed.
    pub(super) fn link(
        &self,
        module: &wasmi::Module,
        store: &mut wasmi::Store<StoreLimits>,
        linker: &mut wasmi::Linker<StoreLimits>,
    ) -> Result<()> {
        // A module may import one name twice, as long as it is the same thing.
        linker.allow_shadowing(true);
        for import in module.imports() {
            let key = (import.module().to_string(), import.name().to_string());
            let symbol = format!("{}.{}", key.0, key.1);
            let missing = || {
                Error::bad_input("nothing is given for this import")
                    .with_symbol(symbol.clone())
                    .with_hint("give it, or ask for stubs")
            };
            let wrong = |error: &dyn fmt::Display| {
                Error::bad_input(error.to_string()).with_symbol(symbol.clone())
            };
            let item: wasmi::Extern = match import.ty() {
                ExternType::Func(ty) => {
                    let given = self.functions.get(&key).cloned();
                    if given.is_none() && !self.stubs {
                        return Err(missing());
                    }
                    host_function(&mut *store, ty.clone(), given, symbol).into()
                }
                ExternType::Global(ty) => {
                    let value = match self.globals.get(&key) {
                        Some(value) => value.to_engine(ty.content()).ok_or_else(|| {
                            wrong(&format_args!(
                                "the global is {:?}, but is given {value:?}",
                                ty.content()
                            ))
                        })?,
                        None if self.stubs => Val::default_for_ty(ty.content()),
                        None => return Err(missing()),
                    };
                    wasmi::Global::new(&mut *store, value, ty.mutability()).into()
                }
                _ if !self.stubs => return Err(missing()),
                ExternType::Memory(ty) => wasmi::Memory::new(&mut *store, *ty)
                    .map_err(|error| wrong(&error))?
                    .into(),
                ExternType::Table(ty) => {
                    let null = Ref::null(ty.element());
                    wasmi::Table::new(&mut *store, *ty, null)
                        .map_err(|error| wrong(&error))?
                        .into()
                }
            };
            linker
                .define(&key.0, &key.1, item)
                .map_err(|error| Error::bad_input(error.to_string()))?;
        }
        Ok(())
    }
}

fn host_function(
    store: &mut wasmi::Store<StoreLimits>,
    ty: wasmi::FuncType,
    given: Option<Arc<HostFunction>>,
    symbol: String,
) -> wasmi::Func {
    let types = ty.results().to_vec();
    wasmi::Func::new(store, ty, move |mut caller, params, results| {
        let Some(given) = &given else {
            results
                .iter_mut()
                .zip(&types)
                .for_each(|(result, ty)| *result = Val::default_for_ty(*ty));
            return Ok(());
        };
        let arguments: Vec<Value> = params.iter().map(Value::from_engine).collect();
        let returned = match caller.get_export("memory") {
            Some(wasmi::Extern::Memory(memory)) => given(memory.data_mut(&mut caller), &arguments),
            _ => given(&mut [], &arguments),
        };
        let returned = returned.map_err(wasmi::Error::host)?;
        let values = typed(&returned, &types).ok_or_else(|| {
            let message =
                format!("the host's `{symbol}` returned {returned:?} where {types:?} is due");
            wasmi::Error::host(Trap::Host(message))
        })?;
        results
            .iter_mut()
            .zip(values)
            .for_each(|(result, value)| *result = value);
        Ok(())
    })
}

/// `values` as exactly these types, or nothing where their number or types differ.
pub(super) fn typed(values: &[Value], types: &[wasmi::ValType]) -> Option<Vec<Val>> {
    if values.len() != types.len() {
        return None;
    }
    values
        .iter()
        .zip(types)
        .map(|(value, ty)| value.to_engine(*ty))
        .collect()
}
