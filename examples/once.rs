//! A compiler that is started for each build and ends with it, and still patches: what it knew of its last run is kept.
//!
//! `cargo run --example once -- PROGRAM OUT.wasm` compiles PROGRAM, a line a function in postfix notation, of which each is exported:
//!
//! ```text
//! square x = x x *
//! main x = x square 1 +
//! ```
//!
//! The allocator below, and being linked at a fixed address (`-no-pie`), is all that keeping takes.

use std::collections::{HashMap, HashSet};
use std::{env, error, fs};

use wasmend::{
    DeclId, DeclKind, Function, FunctionBuilder, Instruction, KeptModule, Module, ModuleOptions,
    Outcome, ValType::I32,
};

#[global_allocator]
static HEAP: wasmend::heap::Heap = wasmend::heap::Heap::new();

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

/// What a line says: the function's name, its parameters and its code.
struct Line<'a> {
    name: &'a str,
    parameters: Vec<&'a str>,
    code: Vec<&'a str>,
}

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(program), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: once PROGRAM OUT.wasm".into());
    };
    // What is not the module's is read before there is one, so that it is not kept.
    let text = fs::read_to_string(program)?;
    let lines = parse(&text)?;
    let mut module = Module::open(out, ModuleOptions::default())?;
    if let Some(reason) = module.reason() {
        println!("a new module: {reason}");
    }
    let patch = {
        define(&mut module, &lines)?;
        module.commit()?
    };
    let written = match &patch.outcome {
        Outcome::Unchanged => "nothing".to_owned(),
        Outcome::Patched(ranges) => format!("{} bytes", ranges.bytes()),
        Outcome::Relinked(_) => format!("all {} bytes", patch.file_len),
    };
    println!(
        "{} functions, {} changed, wrote {written}",
        lines.len(),
        patch.changed
    );
    match module.close() {
        Ok(bytes) => println!("{bytes} bytes of state"),
        Err(problem) => println!("nothing is kept: {problem}"),
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Line<'_>>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines = lines.map(|line| {
        let (head, code) = line.split_once('=').ok_or("a line without `=`")?;
        let mut head = head.split_whitespace();
        Ok(Line {
            name: head.next().ok_or("a function without a name")?,
            parameters: head.collect(),
            code: code.split_whitespace().collect(),
        })
    });
    lines.collect()
}

/// Makes the module say what the lines say. What is defined as it was before is no edit.
fn define(module: &mut KeptModule, lines: &[Line<'_>]) -> Result<()> {
    let mut functions: HashMap<&str, (DeclId, usize)> = HashMap::new();
    for line in lines {
        let id = module.declare_or_get(DeclKind::Function, line.name)?;
        functions.insert(line.name, (id, line.parameters.len()));
    }
    for line in lines {
        let body = compile(module, line, &functions)?;
        let (id, _) = functions[line.name];
        module.define_function(id, body)?;
        module.export(line.name, id)?;
    }
    // What an earlier process has declared, and the program has no more.
    let names: HashSet<&str> = lines.iter().map(|line| line.name).collect();
    let mut gone = Vec::new();
    for declaration in module.iter() {
        if let Some(key) = declaration.key()
            && declaration.kind() == DeclKind::Function
            && !names.contains(key)
        {
            gone.push((declaration.id(), key.to_owned()));
        }
    }
    for (id, name) in gone {
        module.unexport(&name);
        module.remove(id)?;
    }
    Ok(())
}

fn compile(
    module: &Module,
    line: &Line<'_>,
    functions: &HashMap<&str, (DeclId, usize)>,
) -> Result<Function> {
    let parameters = vec![I32; line.parameters.len()];
    let mut body = FunctionBuilder::new(module.body_style(), &parameters, &[I32]);
    for &word in &line.code {
        let parameter = line.parameters.iter().position(|name| *name == word);
        match (word, parameter, functions.get(word)) {
            (_, Some(at), _) => body.op(&Instruction::LocalGet(at as u32)),
            ("+", ..) => body.op(&Instruction::I32Add),
            ("-", ..) => body.op(&Instruction::I32Sub),
            ("*", ..) => body.op(&Instruction::I32Mul),
            (_, _, Some(&(id, count))) => body.call(id, &vec![I32; count], &[I32]),
            (number, ..) => body.op(&Instruction::I32Const(number.parse()?)),
        };
    }
    Ok(body.finish()?)
}
