//! What an engine must be able to do for programs to be patched while they run in it. It knows nothing of deltas.

use std::collections::BTreeMap;

use crate::error::Result;

/// What an instance exports, by name.
pub type Exports<R> = BTreeMap<String, <R as Runtime>::Extern>;

/// An engine with a store, and with all that a host gives to programs.
pub trait Runtime {
    /// Something that is exported or imported, as the engine names it. It stays valid for as long as the store does.
    type Extern: Clone;

    /// What a global holds.
    type Value;

    /// Compiles and instantiates a module. What it imports from the module `own` is in `given`; all else is the host's.
    ///
    /// # Errors
    /// If the module is not valid, something that it imports is not there, or its start function traps.
    fn instantiate(
        &mut self,
        wasm: &[u8],
        own: &str,
        given: &Exports<Self>,
    ) -> Result<Exports<Self>>;

    /// A new mutable global of type `i64`.
    ///
    /// # Errors
    /// If the store has no room for it.
    fn new_global(&mut self, value: i64) -> Result<Self::Extern>;

    /// The value of a global of type `i64`.
    fn global_i64(&mut self, global: &Self::Extern) -> Option<i64>;

    /// Calls a function that takes integers and returns at most one integer; values are widened to 64 bits.
    ///
    /// # Errors
    /// If this is no such function, or it traps.
    fn call(&mut self, function: &Self::Extern, arguments: &[i64]) -> Result<Option<i64>>;

    /// All bytes of a memory.
    fn memory(&mut self, memory: &Self::Extern) -> Option<Vec<u8>>;

    /// Makes a memory as large as these bytes, if it is smaller, and writes them at this address.
    ///
    /// # Errors
    /// If it cannot grow that far.
    fn write_memory(&mut self, memory: &Self::Extern, address: u64, bytes: &[u8]) -> Result<()>;

    /// What a mutable global holds; nothing for constants.
    fn value(&mut self, global: &Self::Extern) -> Option<Self::Value>;

    /// Gives a mutable global a value; does nothing for constants.
    ///
    /// # Errors
    /// If they are of different types.
    fn set_value(&mut self, global: &Self::Extern, value: Self::Value) -> Result<()>;

    /// A runtime with an empty store and all that the host gives, if the embedder has said how to make one and these values
    /// mean the same there. Engines free what is in a store with the store.
    ///
    /// # Errors
    /// The embedder's own.
    fn renewed(&mut self, carried: &[Self::Value]) -> Result<Option<Self>>
    where
        Self: Sized,
    {
        let _ = carried;
        Ok(None)
    }
}
