//! What can be known of a linked module: what it asks for and offers, and what it does.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use wasmend::engine::{Engine, Imports, Trap, Value};
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};

/// Imports and exports.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    functions: Vec<(String, String, FuncType)>,
    calls: Vec<(String, FuncType)>,
}

/// Enough for whatever a program does that ends.
const FUEL: u64 = 50_000_000;

pub fn interface(bytes: &[u8]) -> Interface {
    let mut found = Interface::default();
    let (mut types, mut functions, mut globals) = (Vec::new(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::TypeSection(all) => {
                types.extend(all.into_iter_err_on_gc_types().map(|ty| ty.unwrap()));
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.unwrap();
                    let what = match import.ty {
                        TypeRef::Func(ty) => {
                            let ty: &FuncType = &types[ty as usize];
                            functions.push(ty.clone());
                            let (module, name) = (import.module.to_owned(), import.name.to_owned());
                            found.functions.push((module, name, ty.clone()));
                            format!("{ty}")
                        }
                        TypeRef::Global(ty) => {
                            globals.push(ty);
                            format!("{ty:?}")
                        }
                        TypeRef::Memory(ty) => format!("memory, shared {}", ty.shared),
                        TypeRef::Table(ty) => format!("table of {}", ty.element_type),
                        other => format!("{other:?}"),
                    };
                    found
                        .imports
                        .push(format!("{}.{}: {what}", import.module, import.name));
                }
            }
            Payload::FunctionSection(all) => {
                functions.extend(
                    all.into_iter()
                        .map(|ty| types[ty.unwrap() as usize].clone()),
                );
            }
            Payload::GlobalSection(all) => {
                globals.extend(all.into_iter().map(|global| global.unwrap().ty));
            }
            Payload::ExportSection(all) => {
                for export in all {
                    let export = export.unwrap();
                    let what = match export.kind {
                        ExternalKind::Func => {
                            let ty = &functions[export.index as usize];
                            found.calls.push((export.name.to_owned(), ty.clone()));
                            format!("{ty}")
                        }
                        ExternalKind::Global => format!("{:?}", globals[export.index as usize]),
                        other => format!("{other:?}"),
                    };
                    found.exports.push(format!("{}: {what}", export.name));
                }
            }
            _ => {}
        }
    }
    found.imports.sort();
    found.exports.sort();
    found.calls.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// Calls every function that it exports, a few times each, and writes down all that comes of it. `None` when something
/// does not end in time.
pub fn run(bytes: &[u8], interface: &Interface) -> Option<String> {
    let log = Arc::new(Mutex::new(String::new()));
    let mut imports = Imports::new().stubs();
    for (module, name, ty) in &interface.functions {
        let (log, results, said) = (
            log.clone(),
            ty.results().to_vec(),
            format!("{module}.{name}"),
        );
        imports = imports.function(module, name, move |_, arguments| {
            let _ = writeln!(log.lock().unwrap(), "  {said}{arguments:?}");
            Ok(results
                .iter()
                .map(|ty| value(*ty, 3 + said.len() as u32))
                .collect())
        });
    }
    let mut instance = match Engine::with_fuel(FUEL).instantiate(bytes, &imports) {
        Ok(instance) => instance,
        Err(error) => {
            return Some(format!(
                "not instantiated: {}",
                error.to_string().split(" at ").next().unwrap()
            ));
        }
    };
    let is_own = |name: &str| name.starts_with("__wasm_init");
    for (name, ty) in interface.calls.iter().filter(|(name, _)| !is_own(name)) {
        for argument in [0, 6, 0xffff_fff1] {
            let arguments: Vec<Value> = ty.params().iter().map(|ty| value(*ty, argument)).collect();
            let result = instance.call(name, &arguments);
            if matches!(result, Err(Trap::OutOfFuel | Trap::StackOverflow)) {
                return None;
            }
            let _ = writeln!(log.lock().unwrap(), "{name}{arguments:?}: {result:?}");
        }
    }
    let log = log.lock().unwrap().clone();
    Some(log)
}

fn value(ty: ValType, number: u32) -> Value {
    match ty {
        ValType::I32 => Value::I32(number as i32),
        ValType::I64 => Value::I64(i64::from(number) << 7),
        ValType::F32 => Value::F32(number as f32),
        ValType::F64 => Value::F64(number.into()),
        _ => Value::Null,
    }
}
