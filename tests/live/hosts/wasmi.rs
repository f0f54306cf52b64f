//! Tests in wasmi.

use std::sync::LazyLock;

use wasmend::Delta;
use wasmend::engine::Value;
use wasmend::live::WasmiRuntime;
use wasmi::{
    Caller, Config, Engine, Extern, ExternType, Func, FuncType, Global, Linker, Mutability, Store,
    StoreLimits, StoreLimitsBuilder, Val, ValType,
};

use super::{Call, Host, ImportOf, Kind};

pub type Wasmi = WasmiRuntime<StoreLimits>;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::default();
    config.consume_fuel(true);
    Engine::new(&config)
});

fn kind(ty: ValType) -> Option<Kind> {
    match ty {
        ValType::I32 => Some(Kind::I32),
        ValType::I64 => Some(Kind::I64),
        ValType::F32 => Some(Kind::F32),
        ValType::F64 => Some(Kind::F64),
        _ => None,
    }
}

fn kinds(types: &[ValType]) -> Option<Vec<Kind>> {
    types.iter().copied().map(kind).collect()
}

fn types(kinds: &[Kind]) -> Vec<ValType> {
    let types = kinds.iter().map(|kind| match kind {
        Kind::I32 => ValType::I32,
        Kind::I64 => ValType::I64,
        Kind::F32 => ValType::F32,
        Kind::F64 => ValType::F64,
    });
    types.collect()
}

fn value(val: &Val) -> Value {
    match val {
        Val::I32(v) => Value::I32(*v),
        Val::I64(v) => Value::I64(*v),
        Val::F32(v) => Value::F32(v.to_float()),
        Val::F64(v) => Value::F64(v.to_float()),
        _ => Value::Null,
    }
}

fn val(value: Value) -> Val {
    match value {
        Value::I32(v) => Val::I32(v),
        Value::I64(v) => Val::I64(v),
        Value::F32(v) => Val::from(v),
        Value::F64(v) => Val::from(v),
        value => panic!("{value:?} is no number"),
    }
}

impl Host for Wasmi {
    fn limited(elements: usize, bytes: usize) -> Wasmi {
        let limits = StoreLimitsBuilder::new().instances(usize::MAX);
        let limits = limits.table_elements(elements).memory_size(bytes);
        let mut store = Store::new(&ENGINE, limits.build());
        store.limiter(|limits| limits);
        let mut linker = Linker::new(&ENGINE);
        linker.allow_shadowing(true);
        let mut host = WasmiRuntime::new(store, linker);
        host.refuel(50);
        host
    }

    fn renewing(make: impl Fn() -> Wasmi + Send + Sync + 'static) -> Wasmi {
        make().with_fresh(move |_| {
            let made = make();
            Ok((made.store, made.linker))
        })
    }

    fn refuel(&mut self, millions: u64) {
        self.store
            .set_fuel(millions * 1_000_000)
            .expect("fuel is counted");
    }

    fn give(&mut self, module: &str, name: &str, item: Extern) {
        self.linker.define(module, name, item).unwrap();
    }

    fn has(&mut self, module: &str, name: &str) -> Option<Extern> {
        self.linker.get(&self.store, module, name)
    }

    fn function(&mut self, params: &[Kind], results: &[Kind], call: Call) -> Extern {
        let ty = FuncType::new(types(params), types(results));
        let call = move |mut caller: Caller<'_, _>, params: &[Val], results: &mut [Val]| {
            let params: Vec<Value> = params.iter().map(value).collect();
            let memory = caller.get_export("memory").and_then(Extern::into_memory);
            let memory = memory.map(|memory| memory.data_mut(&mut caller));
            let given = call(memory.unwrap_or_default(), &params).map_err(wasmi::Error::new)?;
            for (result, given) in results.iter_mut().zip(given) {
                *result = val(given);
            }
            Ok(())
        };
        Func::new(&mut self.store, ty, call).into()
    }

    fn global(&mut self, kind: Kind, mutable: bool, value: Value) -> Extern {
        let mutability = match mutable {
            true => Mutability::Var,
            false => Mutability::Const,
        };
        assert_eq!(types(&[kind]), [val(value).ty()]);
        Global::new(&mut self.store, val(value), mutability).into()
    }

    fn imports(&self, wasm: &[u8]) -> Result<Vec<(String, String, ImportOf<Wasmi>)>, String> {
        let module = wasmi::Module::new(&ENGINE, wasm).map_err(|error| error.to_string())?;
        let imports = module.imports().map(|import| {
            let other = || ImportOf::Other(format!("{:?}", import.ty()));
            let of = match import.ty() {
                ExternType::Func(ty) => match (kinds(ty.params()), kinds(ty.results())) {
                    (Some(params), Some(results)) => ImportOf::Function(params, results),
                    _ => other(),
                },
                ExternType::Global(ty) => match kind(ty.content()) {
                    Some(kind) => ImportOf::Global(kind, ty.mutability().is_mut()),
                    None => other(),
                },
                ExternType::Table(ty) => {
                    let ty = *ty;
                    ImportOf::Table(Box::new(move |host: &mut Wasmi| {
                        let null = wasmi::Ref::null(ty.element());
                        let table = wasmi::Table::new(&mut host.store, ty, null);
                        table.map(Extern::from).map_err(|error| error.to_string())
                    }))
                }
                _ => other(),
            };
            (import.module().to_owned(), import.name().to_owned(), of)
        });
        Ok(imports.collect())
    }

    fn call_with(
        &mut self,
        function: &Extern,
        params: &[Value],
    ) -> Option<Result<Vec<Value>, String>> {
        let function = function.into_func()?;
        let params: Vec<Val> = params.iter().copied().map(val).collect();
        let ty = function.ty(&self.store);
        let results = ty.results().iter().map(|ty| Val::default_for_ty(*ty));
        let mut results: Vec<Val> = results.collect();
        let called = function.call(&mut self.store, &params, &mut results);
        let called = called.map_err(|error| error.to_string());
        Some(called.map(|()| results.iter().map(value).collect()))
    }

    fn value_of(&mut self, global: &Extern) -> Option<(Value, bool, Option<Kind>)> {
        let global = global.into_global()?;
        let ty = global.ty(&self.store);
        let is_mutable = ty.mutability().is_mut();
        let value = value(&global.get(&self.store));
        Some((value, is_mutable, kind(ty.content())))
    }

    fn change(&mut self, global: &Extern, value: Value) {
        let global = global.into_global().expect("it is a global");
        global.set(&mut self.store, val(value)).unwrap();
    }

    fn apply_within(file: &[u8], delta: &Delta) -> [Value; 2] {
        let engine = Engine::default();
        let mut store = Store::new(&engine, false);
        let mut linker = Linker::<bool>::new(&engine);
        let bytes = delta.bytes.clone();
        let epoch = Delta::epoch(&delta.from);
        let reload = move |mut caller: Caller<'_, bool>| {
            if std::mem::replace(caller.data_mut(), true) {
                return;
            }
            let table = caller.get_export("__wasmend_table").unwrap();
            let epoch = Global::new(&mut caller, Val::I64(epoch), Mutability::Var);
            let module = wasmi::Module::new(caller.engine(), &*bytes).unwrap();
            let host = Func::wrap(&mut caller, || ());
            let given: Vec<Extern> = module
                .imports()
                .map(|import| match import.name() {
                    "__wasmend_table" => table,
                    "epoch" => epoch.into(),
                    "host" => host.into(),
                    name => panic!("{name}"),
                })
                .collect();
            let made = wasmi::Instance::new(&mut caller, &module, &given).unwrap();
            let apply = made.get_typed_func::<(), i32>(&caller, "apply").unwrap();
            assert_eq!(apply.call(&mut caller, ()).unwrap(), 0);
        };
        linker.func_wrap("env", "host", reload).unwrap();
        let module = wasmi::Module::new(&engine, file).unwrap();
        let instance = linker.instantiate_and_start(&mut store, &module).unwrap();
        let f = instance.get_typed_func::<(), i32>(&store, "f").unwrap();
        [(); 2].map(|()| Value::I32(f.call(&mut store, ()).unwrap()))
    }
}
