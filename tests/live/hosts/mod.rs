//! The engines that the tests run programs in, behind one trait: what a [`Runtime`] need not do and a test must.

use std::sync::Arc;

use wasmend::Delta;
use wasmend::engine::Value;
use wasmend::live::Runtime;

mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

pub use self::wasmi::Wasmi;
#[cfg(feature = "wasmtime")]
pub use self::wasmtime::Wasmtime;

/// What the host does when it is called: with the memory that its caller exports, and numbers.
pub type Call = Arc<dyn Fn(&mut [u8], &[Value]) -> Result<Vec<Value>, String> + Send + Sync>;

/// An engine with a store, whose instances take a limited time from each [`Host::refuel`] on.
pub trait Host: Runtime + Sized + 'static {
    /// A store without limits, which has nothing to import.
    fn new() -> Self {
        Self::limited(usize::MAX, usize::MAX)
    }

    /// One whose tables have at most so many elements, and its memories so many bytes.
    fn limited(elements: usize, bytes: usize) -> Self;

    /// One that goes over to what is made so, whenever it can.
    fn renewing(make: impl Fn() -> Self + Send + Sync + 'static) -> Self;

    /// Gives programs the time for some million instructions.
    fn refuel(&mut self, millions: u64);

    /// Gives programs something to import. Of that name it is the last that counts.
    fn give(&mut self, module: &str, name: &str, item: Self::Extern);

    /// What has been given so.
    fn has(&mut self, module: &str, name: &str) -> Option<Self::Extern>;

    /// A function of the host's.
    fn function(&mut self, params: &[Kind], results: &[Kind], call: Call) -> Self::Extern;

    /// A global of the host's.
    fn global(&mut self, kind: Kind, mutable: bool, value: Value) -> Self::Extern;

    /// Module, name and type of what a module imports.
    fn imports(&self, wasm: &[u8]) -> Result<Vec<(String, String, ImportOf<Self>)>, String>;

    /// Calls a function with numbers; `None` if it is none.
    fn call_with(
        &mut self,
        function: &Self::Extern,
        params: &[Value],
    ) -> Option<Result<Vec<Value>, String>>;

    /// The value of a global, whether it can be changed, and of which kind it is.
    fn value_of(&mut self, global: &Self::Extern) -> Option<(Value, bool, Option<Kind>)>;

    /// Gives a global a value of its type.
    fn change(&mut self, global: &Self::Extern, value: Value);

    /// What the exported `f` returns when called twice in an instance of a file whose function `env.host`, which is called
    /// by `f`, takes in a delta at its first call.
    fn apply_within(file: &[u8], delta: &Delta) -> [Value; 2];
}

/// A type of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    I32,
    I64,
    F32,
    F64,
}

impl Kind {
    /// A number as one of this type.
    pub fn of(self, number: i64) -> Value {
        match self {
            Kind::I32 => Value::I32(number as i32),
            Kind::I64 => Value::I64(number),
            Kind::F32 => Value::F32(number as f32),
            Kind::F64 => Value::F64(number as f64),
        }
    }
}

/// Makes a table in an engine.
pub type MakeTable<H> = Box<dyn FnOnce(&mut H) -> Result<<H as Runtime>::Extern, String>>;

/// What somebody imports.
pub enum ImportOf<H: Host> {
    Function(Vec<Kind>, Vec<Kind>),
    Global(Kind, bool),
    /// A table, and one of that type.
    Table(MakeTable<H>),
    Other(String),
}

/// Makes tests of functions that are generic over the [`Host`]: each runs in each engine.
macro_rules! in_each_engine {
    ($($test:ident),+ $(,)?) => {
        mod in_wasmi {
            $(#[test] fn $test() { super::$test::<crate::hosts::Wasmi>() })+
        }
        #[cfg(feature = "wasmtime")]
        mod in_wasmtime {
            $(#[test] fn $test() { super::$test::<crate::hosts::Wasmtime>() })+
        }
    };
}

pub(crate) use in_each_engine;
