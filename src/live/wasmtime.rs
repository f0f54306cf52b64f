//! The runtime of wasmtime, whose store and linker belong to the embedder. What it compiles is native code, so that deltas cost
//! more than in an interpreter, and programs much less. An engine that does not optimise (`OptLevel::None`) takes in a delta in
//! about half the time.

use std::sync::Arc;

use ::wasmtime::{
    Extern, Func, Global, GlobalType, Linker, Module, Mutability, Store, Val, ValType,
};

use crate::error::{Error, Result};
use crate::live::runtime::{Exports, Runtime};

/// A store of wasmtime's, and what the host gives to programs in it.
pub struct WasmtimeRuntime<T: 'static> {
    /// The store.
    pub store: Store<T>,
    /// What the host gives.
    pub linker: Linker<T>,
    /// How to make both anew.
    fresh: Option<Fresh<T>>,
}

type Fresh<T> = Arc<dyn Fn(&T) -> Result<(Store<T>, Linker<T>)> + Send + Sync>;

impl<T: 'static> WasmtimeRuntime<T> {
    /// A runtime with this store, for programs that import what this linker has.
    pub fn new(store: Store<T>, linker: Linker<T>) -> WasmtimeRuntime<T> {
        WasmtimeRuntime {
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
    ) -> WasmtimeRuntime<T> {
        self.fresh = Some(Arc::new(fresh));
        self
    }
}

/// With all that led to it: what trapped is behind where.
#[cold]
fn failed(error: ::wasmtime::Error) -> Error {
    Error::bad_input(format!("{error:#}"))
}

#[cold]
fn wrong(text: &str) -> Error {
    Error::bad_input(text)
}

impl<T: 'static> Runtime for WasmtimeRuntime<T> {
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
                let error = wrong("the program has nothing of this name");
                return Err(error.with_symbol(import.name()));
            };
            let defined = linker.define(&self.store, own, import.name(), item.clone());
            defined.map_err(failed)?;
        }
        let instance = linker.instantiate(&mut self.store, &module);
        let instance = instance.map_err(failed)?;
        let exports = instance.exports(&mut self.store);
        let exports = exports.map(|export| (export.name().to_owned(), export.into_extern()));
        Ok(exports.collect())
    }

    fn new_global(&mut self, value: i64) -> Result<Extern> {
        let ty = GlobalType::new(ValType::I64, Mutability::Var);
        let global = Global::new(&mut self.store, ty, Val::I64(value)).map_err(failed)?;
        Ok(global.into())
    }

    fn global_i64(&mut self, global: &Extern) -> Option<i64> {
        global.clone().into_global()?.get(&mut self.store).i64()
    }

    fn call(&mut self, function: &Extern, arguments: &[i64]) -> Result<Option<i64>> {
        let function: Func = function
            .clone()
            .into_func()
            .ok_or_else(|| wrong("is no function"))?;
        let ty = function.ty(&self.store);
        if ty.params().len() != arguments.len() || ty.results().len() > 1 {
            return Err(wrong("takes or returns something else"));
        }
        let params = ty.params().zip(arguments);
        let params: Vec<Val> = params
            .map(|(ty, value)| match ty {
                ValType::I32 => Val::I32(*value as i32),
                _ => Val::I64(*value),
            })
            .collect();
        let mut results: Vec<Val> = ty.results().map(|_| Val::I32(0)).collect();
        let called = function.call(&mut self.store, &params, &mut results);
        called.map_err(failed)?;
        Ok(results.first().and_then(|result| match result {
            Val::I32(value) => Some((*value).into()),
            Val::I64(value) => Some(*value),
            _ => None,
        }))
    }

    fn memory(&mut self, memory: &Extern) -> Option<Vec<u8>> {
        Some(memory.clone().into_memory()?.data(&self.store).to_vec())
    }

    fn write_memory(&mut self, memory: &Extern, address: u64, bytes: &[u8]) -> Result<()> {
        let memory = memory.clone().into_memory();
        let memory = memory.ok_or_else(|| wrong("is no memory"))?;
        let end = address + bytes.len() as u64;
        let have = memory.data_size(&self.store) as u64;
        if end > have {
            let pages = (end - have).div_ceil(memory.page_size(&self.store));
            memory.grow(&mut self.store, pages).map_err(failed)?;
        }
        let memory = memory.data_mut(&mut self.store);
        memory[address as usize..end as usize].copy_from_slice(bytes);
        Ok(())
    }

    fn value(&mut self, global: &Extern) -> Option<Val> {
        let global = global.clone().into_global()?;
        let is_mutable = global.ty(&self.store).mutability() == Mutability::Var;
        is_mutable.then(|| global.get(&mut self.store))
    }

    fn set_value(&mut self, global: &Extern, value: Val) -> Result<()> {
        let global = global.clone().into_global();
        let global = global.ok_or_else(|| wrong("is no global"))?;
        match global.ty(&self.store).mutability() {
            Mutability::Const => Ok(()),
            Mutability::Var => global.set(&mut self.store, value).map_err(failed),
        }
    }

    fn renewed(&mut self, carried: &[Val]) -> Result<Option<Self>> {
        let is_bound = |value: &Val| value.ref_().is_some_and(|reference| !reference.is_null());
        let Some(fresh) = self.fresh.clone().filter(|_| !carried.iter().any(is_bound)) else {
            return Ok(None);
        };
        let (store, linker) = fresh(self.store.data())?;
        Ok(Some(WasmtimeRuntime {
            store,
            linker,
            fresh: Some(fresh),
        }))
    }
}
