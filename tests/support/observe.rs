//! Runs a family's modules and writes down all that can be observed of them.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use wasmend::engine::{Engine, Imports, Trap, Value};

use super::families::{Argument, Call, Family, Kind, modules};
use super::wasi::run_command;

/// What can be observed of `wasm`, a version of `family` or something that should behave like one: output, exit status
/// and traps, or the results of its calls and the calls it makes. `None` for a family that cannot be run.
pub fn observe(family: &Family, wasm: &[u8]) -> Option<String> {
    match &family.kind {
        Kind::Command { args, stdin } => Some(command(wasm, args, *stdin)),
        Kind::Calls(calls) => Some(call_all(wasm, calls)),
        Kind::Unrunnable => None,
    }
}

fn command(wasm: &[u8], args: &[&str], stdin: Option<&str>) -> String {
    let stdin = stdin.map(|file| {
        std::fs::read(modules().join(file)).expect("the input stands beside the modules")
    });
    let output = match run_command(wasm, args, &stdin.unwrap_or_default()) {
        Ok(output) => output,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.stderr.is_empty() {
        let _ = write!(
            text,
            "--- stderr\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let _ = match output.trap {
        Some(trap) => writeln!(text, "--- trap: {trap}"),
        None => writeln!(text, "--- exit {}", output.exit_code),
    };
    text
}

fn call_all(wasm: &[u8], calls: &[Call]) -> String {
    let log = Log::default();
    let mut instance = match Engine::new().instantiate(wasm, &imports(&log)) {
        Ok(instance) => instance,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut text = log.take();
    for (name, arguments) in calls {
        let arguments: Vec<Value> = arguments.iter().map(|argument| value(*argument)).collect();
        let returned = instance.call(name, &arguments);
        text.push_str(&log.take());
        let _ = write!(text, "{name}{arguments:?} ");
        let _ = match returned {
            Ok(results) => writeln!(text, "= {results:?}"),
            Err(trap) => writeln!(text, "! {trap}"),
        };
    }
    let _ = writeln!(text, "exports {:?}", instance.functions());
    text
}

fn value(argument: Argument) -> Value {
    match argument {
        Argument::I32(v) => Value::I32(v),
        Argument::I64(v) => Value::I64(v),
        Argument::F64(v) => Value::F64(v),
        Argument::Null => Value::Null,
    }
}

/// The calls that a module makes to its host.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().expect("no host function panics"))
    }
}

/// What the families import, each function written to `log`; anything else is a stub.
fn imports(log: &Log) -> Imports {
    let mut imports = Imports::new()
        .stubs()
        .global("env", "base", Value::I32(256))
        .global("env", "offset", Value::I32(1))
        .function("env", "abort", |_, _| Err(Trap::Host("abort".into())));
    let functions: &[(&'static str, &'static [Value])] = &[
        ("clock", &[Value::I64(1_000_000)]),
        ("log", &[]),
        ("observe", &[]),
        ("report", &[Value::I32(99)]),
        ("warn", &[]),
    ];
    for &(name, results) in functions {
        let log = log.clone();
        imports = imports.function("env", name, move |_, arguments| {
            let mut text = log.0.lock().expect("no host function panics");
            let _ = writeln!(text, "  {name}{arguments:?}");
            Ok(results.to_vec())
        });
    }
    imports
}
