//! The runtime of wasmi, whose store and linker belong to the embedder.

use std::sync::Arc;

use ::wasmi::{Extern, Func, Global, Linker, Memory, Module, Mutability, Store, Val, ValType};

use crate::error::{Error, Result};
use crate::live::runtime::{Exports, Runtime};

/// A store of wasmi's, and what the host gives to programs in it.
pub struct WasmiRuntime<T: 'static> {
    /// The store.
    pub store: Store<T>,
    /// What the host gives.
    pub linker: Linker<T>,
    /// How to make both anew.
    fresh: Option<Fresh<T>>,
}

type Fresh<T> = Arc<dyn Fn(&T) -> Result<(Store<T>, Linker<T>)> + Send + Sync>;

impl<T: 'static> WasmiRuntime<T> {
    /// A runtime with this store, for programs that import what this linker has.
    pub fn new(store: Store<T>, linker: Linker<T>) -> WasmiRuntime<T> {
        WasmiRuntime {
            store,
            linker,
            fresh: None,
        }
    }

    /// With a way to a store and a linker like the first ones, from what the host keeps in the store. A
    /// [rebase](crate::live::Live::rebase) and a restart go over to these then, and what the old store holds is freed;
    /// otherwise it grows with each delta for as long as it lives.
    #[must_use]
    pub fn with_fresh(
        mut self,
        fresh: impl Fn(&T) -> Result<(Store<T>, Linker<T>)> + Send + Sync + 'static,
    ) -> WasmiRuntime<T> {
        self.fresh = Some(Arc::new(fresh));
        self
    }
}

#[cold]
fn failed(error: impl std::fmt::Display) -> Error {
    Error::bad_input(error.to_string())
}

impl<T: 'static> Runtime for WasmiRuntime<T> {
    type Extern = Extern;
    type Value = Val;

    fn instantiate(
        &mut self,
        wasm: &[u8],
        own: &str,
        given: &Exports<Self>,
    ) -> Result<Exports<Self>> {
        let module = Module::new(self.store.engine(), wasm).map_err(failed)?;
        // What is an instance's own goes to this module alone.
        let mut linker = self.linker.clone();
        for import in module.imports().filter(|import| import.module() == own) {
            let Some(item) = given.get(import.name()) else {
                let error = Error::bad_input("the program has nothing of this name");
                return Err(error.with_symbol(import.name()));
            };
            linker.define(own, import.name(), *item).map_err(failed)?;
        }
        let instance = linker.instantiate_and_start(&mut self.store, &module);
        let instance = instance.map_err(failed)?;
        let exports = instance.exports(&self.store);
        let exports = exports.map(|export| (export.name().to_owned(), export.into_extern()));
        Ok(exports.collect())
    }

    fn new_global(&mut self, value: i64) -> Result<Extern> {
        let global = Global::new(&mut self.store, Val::I64(value), Mutability::Var);
        Ok(global.into())
    }

    fn global_i64(&mut self, global: &Extern) -> Option<i64> {
        global.into_global()?.get(&self.store).i64()
    }

    fn call(&mut self, function: &Extern, arguments: &[i64]) -> Result<Option<i64>> {
        let function: Func = function
            .into_func()
            .ok_or_else(|| failed("is no function"))?;
        let ty = function.ty(&self.store);
        if ty.params().len() != arguments.len() || ty.results().len() > 1 {
            return Err(failed("takes or returns something else"));
        }
        let params = ty.params().iter().zip(arguments);
        let params: Vec<Val> = params
            .map(|(ty, value)| match ty {
                ValType::I32 => Val::I32(*value as i32),
                _ => Val::I64(*value),
            })
            .collect();
        let mut results: Vec<Val> = ty
            .results()
            .iter()
            .map(|ty| Val::default_for_ty(*ty))
            .collect();
        let called = function.call(&mut self.store, &params, &mut results);
        called.map_err(failed)?;
        Ok(results.first().and_then(|result| match result {
            Val::I32(value) => Some((*value).into()),
            Val::I64(value) => Some(*value),
            _ => None,
        }))
    }

    fn memory(&mut self, memory: &Extern) -> Option<Vec<u8>> {
        Some(memory.into_memory()?.data(&self.store).to_vec())
    }

    fn write_memory(&mut self, memory: &Extern, address: u64, bytes: &[u8]) -> Result<()> {
        let memory: Memory = memory.into_memory().ok_or_else(|| failed("is no memory"))?;
        let end = address + bytes.len() as u64;
        let have = memory.data(&self.store).len() as u64;
        if end > have {
            let pages = (end - have).div_ceil(65536);
            memory.grow(&mut self.store, pages).map_err(failed)?;
        }
        let memory = memory.data_mut(&mut self.store);
        memory[address as usize..end as usize].copy_from_slice(bytes);
        Ok(())
    }

    fn value(&mut self, global: &Extern) -> Option<Val> {
        let global = global.into_global()?;
        let is_mutable = global.ty(&self.store).mutability().is_mut();
        is_mutable.then(|| global.get(&self.store))
    }

    fn set_value(&mut self, global: &Extern, value: Val) -> Result<()> {
        let global = global.into_global().ok_or_else(|| failed("is no global"))?;
        match global.ty(&self.store).mutability() {
            Mutability::Const => Ok(()),
            Mutability::Var => global.set(&mut self.store, value).map_err(failed),
        }
    }

    fn renewed(&mut self, carried: &[Val]) -> Result<Option<Self>> {
        use ::wasmi::Nullable;
        let is_bound = |value: &Val| {
            matches!(
                value,
                Val::FuncRef(Nullable::Val(_)) | Val::ExternRef(Nullable::Val(_))
            )
        };
        let Some(fresh) = self.fresh.clone().filter(|_| !carried.iter().any(is_bound)) else {
            return Ok(None);
        };
        let (store, linker) = fresh(self.store.data())?;
        Ok(Some(WasmiRuntime {
            store,
            linker,
            fresh: Some(fresh),
        }))
    }
}
