//! Keeps what a program took in and what came of its calls, so that other engines can be asked the same: `replay.mjs` does it
//! in V8, with the client of the package. Numbers are written as text, floats by their bits.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use wasmend::engine::Value;
use wasmparser::{CompositeInnerType, Parser, Payload, TypeRef, ValType};

/// A folder, and what has happened.
pub struct Record {
    folder: PathBuf,
    events: Vec<Json>,
    files: usize,
}

/// What came of a call: its function, what it was given, and what it gave if it did not trap.
pub type Called = (String, Vec<Value>, Result<Vec<Value>, String>);

impl Record {
    /// In the folder of this name in the one that `WASMEND_KEEP` says, if it says one.
    pub fn of(name: &str) -> Option<Record> {
        let folder = std::env::var_os("WASMEND_KEEP")?;
        let folder = Path::new(&folder).join(name);
        fs::create_dir_all(&folder).unwrap();
        Some(Record {
            folder,
            events: Vec::new(),
            files: 0,
        })
    }

    fn file(&mut self, bytes: &[u8]) -> String {
        let name = format!("{}.wasm", self.files);
        fs::write(self.folder.join(&name), bytes).unwrap();
        self.files += 1;
        name
    }

    /// A file was instantiated.
    pub fn load(&mut self, file: &[u8]) {
        let imports = imports(file);
        let file = self.file(file);
        self.events
            .push(json!({ "load": file, "imports": imports }));
    }

    /// A delta was taken in; `undo` takes it back, to the byte if nothing was kept.
    pub fn take(&mut self, delta: &[u8], undo: &[u8], kept: bool) {
        let imports = [delta, undo].map(imports);
        let [delta, undo] = [delta, undo].map(|bytes| self.file(bytes));
        self.events
            .push(json!({ "delta": delta, "undo": undo, "imports": imports, "kept": kept }));
    }

    /// Functions were called, each after `reset`, and memory was like this then.
    pub fn calls(&mut self, calls: &[Called], memory: &[u8]) {
        let numbers = |values: &[Value]| -> Vec<Json> { values.iter().map(number).collect() };
        let calls = calls.iter().map(|(name, params, result)| {
            let results = result.as_deref().map(numbers).ok();
            json!({ "name": name, "params": numbers(params), "results": results })
        });
        let calls: Vec<Json> = calls.collect();
        let sum = memory.iter().fold(0x811c_9dc5_u32, |sum, byte| {
            (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        self.events.push(json!({ "calls": calls, "sum": sum }));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let text = serde_json::to_vec(&self.events).unwrap();
        fs::write(self.folder.join("events.json"), text).unwrap();
    }
}

fn number(value: &Value) -> Json {
    match value {
        Value::I32(value) => json!(["i32", value.to_string()]),
        Value::I64(value) => json!(["i64", value.to_string()]),
        Value::F32(value) => json!(["f32", value.to_bits().to_string()]),
        Value::F64(value) => json!(["f64", value.to_bits().to_string()]),
        _ => json!(["ref", "0"]),
    }
}

fn name(ty: ValType) -> String {
    match ty {
        ValType::Ref(_) => "anyfunc".to_owned(),
        ty => ty.to_string(),
    }
}

/// What a module imports from `env`, with types, which an engine does not tell.
fn imports(wasm: &[u8]) -> Vec<Json> {
    let (mut types, mut all) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::TypeSection(section) => {
                let groups = section.into_iter().map(|group| group.unwrap());
                types.extend(groups.flat_map(|group| group.into_types()));
            }
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map(|import| import.unwrap());
                for import in imports.filter(|import| import.module == "env") {
                    let of = match import.ty {
                        TypeRef::Func(ty) => {
                            let CompositeInnerType::Func(ty) =
                                &types[ty as usize].composite_type.inner
                            else {
                                panic!("{import:?}");
                            };
                            let results: Vec<String> =
                                ty.results().iter().copied().map(name).collect();
                            json!({ "results": results })
                        }
                        TypeRef::Global(ty) => {
                            json!({ "global": name(ty.content_type), "mutable": ty.mutable })
                        }
                        TypeRef::Table(ty) => json!({ "table": ty.initial, "maximum": ty.maximum }),
                        other => panic!("{other:?} is imported"),
                    };
                    all.push(json!({ "name": import.name, "of": of }));
                }
            }
            _ => {}
        }
    }
    all
}
