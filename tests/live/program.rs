//! Programs made through the library that run while they are edited.

use wasmend::live::{Live, LiveOptions, Reloaded};
use wasmend::{
    DeclId, DeclKind, FunctionBuilder, Instruction, MemoryType, Module, ModuleOptions, Patch,
    Redirect, ValType,
};

use crate::hosts::Host;

pub const I32: ValType = ValType::I32;

/// A module that is edited, and the program that it is, running.
pub struct Running<H: Host> {
    pub module: Module,
    pub memory: DeclId,
    live: Option<Live<H>>,
}

impl<H: Host> Running<H> {
    /// A module with a memory of two pages, of which the first 32 KiB are for data.
    pub fn new(redirect: Redirect) -> Running<H> {
        let options = ModuleOptions {
            redirect,
            live: true,
            undo: true,
            ..ModuleOptions::default()
        };
        Running::with(options)
    }

    pub fn with(options: ModuleOptions) -> Running<H> {
        let mut module = Module::in_memory(options).unwrap();
        let memory = module.declare(DeclKind::Memory, "memory").unwrap();
        let ty = MemoryType {
            minimum: 2,
            maximum: None,
            shared: false,
            is_64: false,
        };
        module.define_memory(memory, ty).unwrap();
        module.reserve_data(memory, 1024..32768).unwrap();
        module.export("memory", memory).unwrap();
        Running {
            module,
            memory,
            live: None,
        }
    }

    /// Defines a function, declaring it if need be.
    pub fn function(
        &mut self,
        key: &str,
        params: &[ValType],
        body: impl FnOnce(&mut FunctionBuilder),
    ) -> DeclId {
        let id = self.id(key);
        let mut builder = FunctionBuilder::new(self.module.body_style(), params, &[I32]);
        body(&mut builder);
        self.module
            .define_function(id, builder.finish().unwrap())
            .unwrap();
        id
    }

    /// The function with this key.
    pub fn id(&mut self, key: &str) -> DeclId {
        match self.module.lookup(key) {
            Some(id) => id,
            None => self.module.declare(DeclKind::Function, key).unwrap(),
        }
    }

    /// Commits, and lets the program take in what changed. The first commit starts it.
    pub fn commit(&mut self) -> (Patch, Option<Reloaded>) {
        let patch = self.module.commit().unwrap();
        let file = self.module.bytes().unwrap();
        wasmparser::validate(&file).unwrap();
        let reloaded = match &mut self.live {
            None => {
                self.live = Some(start(&file));
                None
            }
            Some(live) => Some(live.take(patch.live.as_ref(), || Ok(file)).unwrap()),
        };
        (patch, reloaded)
    }

    pub fn live(&mut self) -> &mut Live<H> {
        self.live.as_mut().unwrap()
    }

    /// Calls an exported function.
    pub fn call(&mut self, name: &str, arguments: &[i64]) -> i64 {
        call(self.live(), name, arguments)
    }
}

/// Starts a program that imports nothing.
pub fn start<H: Host>(file: &[u8]) -> Live<H> {
    Live::load(H::new(), file, LiveOptions::default()).unwrap()
}

/// Calls an exported function.
pub fn call<H: Host>(live: &mut Live<H>, name: &str, arguments: &[i64]) -> i64 {
    let function = live.export(name).unwrap();
    live.runtime().refuel(100_000);
    let called = live.runtime().call(&function, arguments);
    called.unwrap().unwrap()
}

/// All bytes of the memory.
pub fn memory<H: Host>(live: &mut Live<H>) -> Vec<u8> {
    let memory = live.memory();
    let bytes = memory.and_then(|memory| live.runtime().memory(&memory));
    bytes.unwrap_or_default()
}

/// Gives a fresh instance the state of another one: memory, and globals that are numbers.
pub fn give_state<H: Host>(from: &mut Live<H>, to: &mut Live<H>) -> Result<(), String> {
    let bytes = memory(from);
    if let Some(target) = to.memory() {
        let written = to.runtime().write_memory(&target, 0, &bytes);
        written.map_err(|error| error.to_string())?;
    }
    let given: Vec<(String, H::Extern)> = from.all_given().collect();
    for (name, old) in given {
        let (Some((value, ..)), Some(new)) = (from.runtime().value_of(&old), to.given(&name))
        else {
            continue;
        };
        let is_number = matches!(to.runtime().value_of(&new), Some((_, true, Some(_))));
        if name != "epoch" && is_number {
            to.runtime().change(&new, value);
        }
    }
    Ok(())
}

/// Pushes a constant.
pub fn constant(builder: &mut FunctionBuilder, value: i32) {
    builder.op(&Instruction::I32Const(value));
}
