//! A small interpreter for the modules that wasmend writes: wasmi with fuel, and WASI preview 1 with captured output.
//!
//! It runs what `wasmend demo` shows and what the tests compare. Two properties matter more than speed: a program
//! always ends (fuel, a memory limit), and two runs of one program observe the same world (no clock is promised, the
//! random source is fixed, nothing of the host's files is visible). This file knows nothing of layouts and patches,
//! and none of the interpreter's own types show in its interface.

use std::fmt;
use std::io::Cursor;

use wasmi::{AsContext, ExternType, Val};
use wasmi_wasi::wasi_common::pipe::{ReadPipe, WritePipe};
use wasmi_wasi::wasi_common::{Table, random::Deterministic};
use wasmi_wasi::{WasiCtx, clocks_ctx, sched_ctx};

use crate::{Error, ErrorKind, Result};

mod imports;
mod value;

pub use imports::Imports;
pub use value::{Trap, Value};

use imports::typed;

/// The fuel of one run or call unless said otherwise. A unit is one instruction of a function or loop body that is
/// entered, whether or not its branch is taken: one large loop around a `switch` takes far more than it executes.
pub const DEFAULT_FUEL: u64 = 8_000_000_000;
/// The most bytes that one memory may have; a larger one cannot be made or grown into.
pub const MEMORY_LIMIT: usize = 512 << 20;
/// The most elements that one table may have.
pub const TABLE_LIMIT: usize = 1_000_000;

/// What a WASI command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Its exit status; 134 (as after an abort) when it trapped.
    pub exit_code: i32,
    /// The trap that ended it, if one did. A call of `proc_exit` is not one.
    pub trap: Option<Trap>,
}

struct Host {
    limits: wasmi::StoreLimits,
    wasi: Option<WasiCtx>,
}

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

    /// Runs the WASI preview 1 command `wasm`: its arguments (the program's name first) and standard input are
    /// given, it sees no files and no environment, and what it writes is captured.
    ///
    /// # Errors
    /// The module is malformed, uses what the interpreter does not support, imports anything but WASI, or has no
    /// `_start`. A trap of the program is not an error: see [`Output::trap`].
    pub fn run_wasi(&self, wasm: &[u8], args: &[&str], stdin: &[u8]) -> Result<Output> {
        let stdout = WritePipe::new_in_memory();
        let stderr = WritePipe::new_in_memory();
        // Any bytes do, as long as they are always the same.
        let random = Box::new(Deterministic::new((0..=255).collect()));
        let mut wasi = WasiCtx::new(random, clocks_ctx(), sched_ctx(), Table::new());
        for arg in args {
            wasi.push_arg(arg)
                .map_err(|error| Error::bad_edit(format!("argument {arg:?}: {error}")))?;
        }
        wasi.set_stdin(Box::new(ReadPipe::from(stdin)));
        wasi.set_stdout(Box::new(stdout.clone()));
        wasi.set_stderr(Box::new(stderr.clone()));

        let mut instance = self.start(wasm, &Imports::new(), Some(wasi))?;
        if instance
            .instance
            .get_func(&instance.store, "_start")
            .is_none()
        {
            return Err(Error::bad_input("the module exports no function `_start`")
                .with_hint("build it as a WASI command, or instantiate it and call its exports"));
        }
        let (exit_code, trap) = match instance.call("_start", &[]) {
            Ok(_) => (0, None),
            Err(Trap::Exit(status)) => (status, None),
            Err(trap) => (134, Some(trap)),
        };
        // The pipes' other ends live in the store.
        drop(instance);
        let bytes = |pipe: WritePipe<Cursor<Vec<u8>>>| {
            pipe.try_into_inner().map(Cursor::into_inner).map_err(|_| {
                Error::new(
                    ErrorKind::Verification,
                    "the program's output is still being written",
                )
            })
        };
        Ok(Output {
            stdout: bytes(stdout)?,
            stderr: bytes(stderr)?,
            exit_code,
            trap,
        })
    }

    /// Instantiates `wasm` with `imports` and runs its start function.
    ///
    /// # Errors
    /// The module is malformed, uses what the interpreter does not support, imports what is not given, or its start
    /// function or segments trap.
    pub fn instantiate(&self, wasm: &[u8], imports: &Imports) -> Result<Instance> {
        self.start(wasm, imports, None)
    }

    fn start(&self, wasm: &[u8], imports: &Imports, wasi: Option<WasiCtx>) -> Result<Instance> {
        let module = wasmi::Module::new(&self.engine, wasm).map_err(module_error)?;
        let limits = wasmi::StoreLimitsBuilder::new();
        let limits = limits
            .memory_size(MEMORY_LIMIT)
            .table_elements(TABLE_LIMIT)
            .build();
        let with_wasi = wasi.is_some();
        let mut store = wasmi::Store::new(&self.engine, Host { limits, wasi });
        store.limiter(|host| &mut host.limits);
        store.set_fuel(self.fuel).map_err(Trap::from)?;
        let mut linker = wasmi::Linker::new(&self.engine);
        if with_wasi {
            wasmi_wasi::add_to_linker(&mut linker, |host: &mut Host| {
                host.wasi
                    .as_mut()
                    .expect("a store that is linked with WASI has its context")
            })
            .map_err(|error| Error::bad_input(error.to_string()))?;
        } else {
            imports.link(&module, &mut store, &mut linker)?;
        }
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
    store: wasmi::Store<Host>,
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

/// What the interpreter says, without the handles that it writes into some of its messages: they tell nobody anything, and
/// are others each time.
fn said(error: &wasmi::Error) -> String {
    let mut text = error.to_string();
    while let Some(start) = text
        .find(": Table(Stored {")
        .or_else(|| text.find(": Memory(Stored {"))
    {
        let Some(len) = text[start..].find("})") else {
            break;
        };
        text.replace_range(start..start + len + 2, ":");
    }
    text
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
