//! A compiler in watch mode: a small language whose functions become declarations, one by one, on all cores.
//!
//! `cargo run --example compiler -- PROGRAM OUT.wasm` compiles PROGRAM and again whenever it has changed; without arguments
//! a program is compiled and edited in a temporary folder. A line is a function in postfix notation:
//!
//! ```text
//! square x = x x *
//! main x = x square 1 +
//! ```
//!
//! Debuggers and browsers are told of each word where it stands: what is said of a function goes along with its code.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use std::{env, error, fs, thread};

use rayon::prelude::*;
use wasmend::{
    BodyStyle, DebugInfo, DeclId, DeclKind, Function, FunctionBuilder, Instruction, Module,
    ModuleOptions, Patch, ValType::I32,
};

type Result<T> = std::result::Result<T, Box<dyn error::Error + Send + Sync>>;

/// The function that the host calls. All others are the program's own affair.
const MAIN: &str = "main";

/// What a line says.
#[derive(Clone, PartialEq)]
struct Source {
    line: u32,
    parameters: Vec<String>,
    /// Each with the column where it begins.
    code: Vec<(u32, String)>,
}

/// The functions of a program, by name.
type Functions = HashMap<String, (DeclId, Source)>;

/// What the compiler remembers from one run to the next.
struct Compiler {
    module: Module,
    functions: Functions,
}

impl Compiler {
    fn new(out: &Path) -> Result<Self> {
        Ok(Compiler {
            module: Module::create(out, ModuleOptions::default())?,
            functions: HashMap::new(),
        })
    }

    /// Compiles what has changed, and publishes it. An error leaves the output, and what is known of it, as they were.
    fn compile(&mut self, program: &str) -> Result<Patch> {
        let result = self.edit(program);
        if result.is_err() {
            self.module.discard();
        }
        let (patch, functions) = result?;
        self.functions = functions;
        Ok(patch)
    }

    fn edit(&mut self, program: &str) -> Result<(Patch, Functions)> {
        let sources = parse(program)?;
        // Names first: a function may call one that stands further down.
        let mut functions = HashMap::new();
        for (name, source) in &sources {
            let id = self.module.declare_or_get(DeclKind::Function, name)?;
            if name == MAIN {
                self.module.export(name, id)?;
            }
            functions.insert(name.clone(), (id, source.clone()));
        }
        let arity = |name: &str| {
            self.functions
                .get(name)
                .map(|(_, old)| old.parameters.len())
        };
        let is_stale = |name: &str, source: &Source| {
            let calls_changed = source.code.iter().any(|(_, word)| {
                let new = functions.get(word).map(|(_, new)| new.parameters.len());
                new.is_some() && new != arity(word)
            });
            calls_changed
                || self
                    .functions
                    .get(name)
                    .is_none_or(|(_, old)| old != source)
        };
        let stale: Vec<_> = sources
            .iter()
            .filter(|(name, source)| is_stale(name, source))
            .collect();
        // Code generation needs no access to the module.
        let style = self.module.body_style();
        let bodies = stale
            .par_iter()
            .map(|(name, source)| Ok((functions[name].0, body(style, name, source, &functions)?)))
            .collect::<Result<Vec<_>>>()?;
        for (id, body) in bodies {
            self.module.define_function(id, body)?;
        }
        for (name, (id, _)) in &self.functions {
            if !functions.contains_key(name) {
                if name == MAIN {
                    self.module.unexport(name);
                }
                self.module.remove(*id)?;
            }
        }
        Ok((self.module.commit()?, functions))
    }
}

fn parse(program: &str) -> Result<Vec<(String, Source)>> {
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines = program.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            let (head, code) = line
                .split_once('=')
                .ok_or_else(|| format!("line {}: there is no `=`", at + 1))?;
            let mut head = words(head).into_iter();
            let name = head
                .next()
                .ok_or_else(|| format!("line {}: there is no name", at + 1))?;
            let start = line.len() - code.len();
            let column = |word: &str| start + word.as_ptr() as usize - code.as_ptr() as usize + 1;
            let code = code.split_whitespace();
            let source = Source {
                line: at as u32 + 1,
                parameters: head.collect(),
                code: code
                    .map(|word| (column(word) as u32, word.to_owned()))
                    .collect(),
            };
            Ok((name, source))
        })
        .collect()
}

fn body(style: BodyStyle, name: &str, source: &Source, functions: &Functions) -> Result<Function> {
    let types = |count: usize| vec![I32; count];
    let mut body = FunctionBuilder::new(style, &types(source.parameters.len()), &[I32]);
    let mut info = DebugInfo::new(name, "program.txt", source.line);
    for (at, parameter) in source.parameters.iter().enumerate() {
        info.local(at as u32, parameter, "number", I32);
    }
    for (column, word) in &source.code {
        info.row(body.position(), source.line, *column);
        if let Some(at) = source.parameters.iter().position(|name| name == word) {
            body.op(&Instruction::LocalGet(at as u32));
        } else if let Ok(number) = word.parse() {
            body.op(&Instruction::I32Const(number));
        } else if let Some((callee, of)) = functions.get(word) {
            body.call(*callee, &types(of.parameters.len()), &[I32]);
        } else {
            body.op(&match word.as_str() {
                "+" => Instruction::I32Add,
                "-" => Instruction::I32Sub,
                "*" => Instruction::I32Mul,
                _ => return Err(format!("{name}: what is `{word}`?").into()),
            });
        }
    }
    Ok(body.finish()?.with_debug_info(info))
}

fn report(patch: &Patch) {
    let bytes = patch.bytes_written();
    let time = patch.phases.total();
    match patch.relink_reason() {
        Some(reason) => println!("{bytes} bytes in {time:?}: {reason}"),
        None => println!("{bytes} of {} bytes in {time:?}", patch.file_len),
    }
}

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    if let [program, out] = &arguments[..] {
        let mut compiler = Compiler::new(Path::new(out))?;
        let mut last = None;
        loop {
            let text = fs::read_to_string(program)?;
            if last.as_ref() != Some(&text) {
                match compiler.compile(&text) {
                    Ok(patch) => report(&patch),
                    Err(error) => eprintln!("error: {error}"),
                }
                last = Some(text);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    let out = env::temp_dir().join("wasmend-compiler.wasm");
    let mut compiler = Compiler::new(&out)?;
    for program in [
        "square x = x x *\nmain x = x square 1 +",
        "square x = x x *\nmain x = x square 2 +",
        "square x = x x * x *\nmain x = x square 2 + main2\nmain2 x = x 1 -",
        "scaled x by = x x * by *\nmain x = x 3 scaled 2 +",
    ] {
        println!("\n{program}");
        report(&compiler.compile(program)?);
    }
    println!("\nthe output is {}", out.display());
    Ok(())
}
