//! A script's instances, in one store of the interpreter. What comes of each step is told in words that do not depend on
//! how the modules are laid out.

use std::collections::HashMap;

use wasmi::{
    Config, Engine, Extern, ExternRef, Func, Global, Instance, Linker, Memory, MemoryType, Module,
    Mutability, Nullable, Ref, RefType, Store, Table, TableType, Val, ValType,
};
use wast::WastArg;
use wast::WastInvoke;
use wast::core::WastArgCore;

/// What is said of a module that the interpreter does not take.
pub const CANNOT_RUN: &str = "cannot be run";

pub struct Session {
    engine: Engine,
    store: Store<()>,
    linker: Linker<()>,
    named: HashMap<String, Instance>,
    /// The last one, if it could be made.
    last: Option<Instance>,
    defined: HashMap<Option<String>, Vec<u8>>,
}

/// Whether bytes are a module, by all that wasmend knows of.
pub fn is_valid(bytes: &[u8]) -> bool {
    let features = wasmparser::WasmFeatures::all();
    let mut validator = wasmparser::Validator::new_with_features(features);
    bytes.get(4) == Some(&1) && bytes.get(6) == Some(&0) && validator.validate_all(bytes).is_ok()
}

impl Session {
    pub fn new() -> Session {
        let mut config = Config::default();
        config
            .wasm_multi_memory(true)
            .wasm_memory64(true)
            .wasm_tail_call(true)
            .wasm_extended_const(true)
            .wasm_custom_page_sizes(true)
            .wasm_wide_arithmetic(true)
            .wasm_simd(true)
            .wasm_relaxed_simd(true);
        let engine = Engine::new(&config);
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker.allow_shadowing(true);
        host(&mut store, &mut linker);
        Session {
            engine,
            store,
            linker,
            named: HashMap::new(),
            last: None,
            defined: HashMap::new(),
        }
    }

    /// Whether there is a module that assertions can be about.
    /// The module that is spoken of without a name is none.
    pub fn forget_last(&mut self) {
        self.last = None;
    }

    pub fn has_run(&self) -> bool {
        self.last.is_some()
    }

    pub fn instantiate(&mut self, name: Option<String>, bytes: &[u8]) -> String {
        let (instance, said) = self.start(bytes);
        self.last = instance;
        if let (Some(name), Some(instance)) = (name, instance) {
            self.named.insert(name, instance);
        }
        said
    }

    /// Makes an instance that nothing later is about.
    pub fn instantiate_aside(&mut self, bytes: &[u8]) -> String {
        self.start(bytes).1
    }

    pub fn define(&mut self, name: Option<String>, bytes: &[u8]) -> String {
        self.defined.insert(None, bytes.to_vec());
        self.defined.insert(name, bytes.to_vec());
        match Module::new(&self.engine, bytes) {
            Ok(_) => "defined".to_owned(),
            Err(_) => CANNOT_RUN.to_owned(),
        }
    }

    pub fn instantiate_defined(
        &mut self,
        instance: Option<String>,
        module: Option<&str>,
    ) -> String {
        let bytes = self.defined.get(&module.map(ToOwned::to_owned)).cloned();
        self.instantiate(instance, &bytes.unwrap_or_default())
    }

    fn start(&mut self, bytes: &[u8]) -> (Option<Instance>, String) {
        let module = match Module::new(&self.engine, bytes) {
            Ok(module) => module,
            Err(_) => return (None, CANNOT_RUN.to_owned()),
        };
        match self.linker.instantiate_and_start(&mut self.store, &module) {
            Ok(instance) => (Some(instance), "made".to_owned()),
            Err(error) => (None, said(&error)),
        }
    }

    pub fn register(&mut self, name: &str, module: Option<&str>) -> String {
        let Some(instance) = self.instance(module) else {
            return "nothing to register".to_owned();
        };
        let exports: Vec<(String, Extern)> = instance
            .exports(&self.store)
            .map(|export| (export.name().to_owned(), export.into_extern()))
            .collect();
        for (field, item) in exports {
            if self.linker.define(name, &field, item).is_err() {
                return format!("{field} cannot be registered");
            }
        }
        "registered".to_owned()
    }

    fn instance(&self, name: Option<&str>) -> Option<Instance> {
        match name {
            Some(name) => self.named.get(name).copied(),
            None => self.last,
        }
    }

    pub fn invoke(&mut self, invoke: &WastInvoke<'_>) -> String {
        let instance = self.instance(invoke.module.map(|id| id.name()));
        let Some(function) = instance.and_then(|it| it.get_func(&self.store, invoke.name)) else {
            return "no such function".to_owned();
        };
        let ty = function.ty(&self.store);
        let mut arguments = Vec::new();
        for (argument, ty) in invoke.args.iter().zip(ty.params()) {
            match self.argument(argument, *ty) {
                Some(value) => arguments.push(value),
                None => return "an argument that the interpreter has not".to_owned(),
            }
        }
        let results = ty.results().iter();
        let mut results: Vec<Val> = results.map(|ty| Val::default_for_ty(*ty)).collect();
        match function.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => results
                .iter()
                .map(|value| self.text(value))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => said(&error),
        }
    }

    pub fn global(&self, module: Option<&str>, name: &str) -> String {
        let global = self
            .instance(module)
            .and_then(|it| it.get_global(&self.store, name));
        match global {
            Some(global) => self.text(&global.get(&self.store)),
            None => "no such global".to_owned(),
        }
    }

    fn argument(&mut self, argument: &WastArg<'_>, ty: ValType) -> Option<Val> {
        let WastArg::Core(argument) = argument else {
            return None;
        };
        Some(match argument {
            WastArgCore::I32(value) => Val::I32(*value),
            WastArgCore::I64(value) => Val::I64(*value),
            WastArgCore::F32(value) => Val::from(f32::from_bits(value.bits)),
            WastArgCore::F64(value) => Val::from(f64::from_bits(value.bits)),
            WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes()).into()),
            WastArgCore::RefNull(_) => Val::default_for_ty(ty),
            WastArgCore::RefExtern(value) | WastArgCore::RefHost(value) => {
                Val::ExternRef(Nullable::from(ExternRef::new(&mut self.store, *value)))
            }
        })
    }

    fn text(&self, value: &Val) -> String {
        match value {
            Val::I32(value) => format!("i32 {value}"),
            Val::I64(value) => format!("i64 {value}"),
            Val::F32(value) => format!("f32 {:#x}", value.to_bits()),
            Val::F64(value) => format!("f64 {:#x}", value.to_bits()),
            Val::V128(value) => format!("v128 {:#x}", value.as_u128()),
            Val::FuncRef(Nullable::Null) | Val::ExternRef(Nullable::Null) => "null".to_owned(),
            Val::FuncRef(_) => "a function".to_owned(),
            Val::ExternRef(Nullable::Val(value)) => {
                let value = value.data(&self.store).downcast_ref::<u32>();
                format!("host's {value:?}")
            }
        }
    }
}

/// What went wrong, without anything that depends on the layout.
fn said(error: &wasmi::Error) -> String {
    match error.as_trap_code() {
        Some(code) => format!("{code:?}"),
        None => format!("{:?}", std::mem::discriminant(error.kind())),
    }
}

/// The module that all scripts may import from.
fn host(store: &mut Store<()>, linker: &mut Linker<()>) {
    let mut items: Vec<(&str, Extern)> = vec![
        ("print", Func::wrap(&mut *store, || ()).into()),
        ("print_i32", Func::wrap(&mut *store, |_: i32| ()).into()),
        ("print_i64", Func::wrap(&mut *store, |_: i64| ()).into()),
        ("print_f32", Func::wrap(&mut *store, |_: f32| ()).into()),
        ("print_f64", Func::wrap(&mut *store, |_: f64| ()).into()),
        (
            "print_i32_f32",
            Func::wrap(&mut *store, |_: i32, _: f32| ()).into(),
        ),
        (
            "print_f64_f64",
            Func::wrap(&mut *store, |_: f64, _: f64| ()).into(),
        ),
    ];
    for (name, value) in [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", Val::from(666.6_f32)),
        ("global_f64", Val::from(666.6_f64)),
    ] {
        items.push((
            name,
            Global::new(&mut *store, value, Mutability::Const).into(),
        ));
    }
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)));
    items.push(("memory", memory.expect("one page").into()));
    let null = Ref::null(RefType::Func);
    let table = Table::new(
        &mut *store,
        TableType::new(RefType::Func, 10, Some(20)),
        null,
    );
    items.push(("table", table.expect("ten entries").into()));
    for (name, item) in items {
        linker.define("spectest", name, item).expect("each once");
    }
}
