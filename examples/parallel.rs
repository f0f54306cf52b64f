//! A compiler that generates code on all cores: bodies are built without access to the module.
//!
//! `cargo run --example parallel`

use rayon::prelude::*;
use wasmend::{
    DeclId, DeclKind, Function, FunctionBuilder, Instruction, Module, ModuleOptions, ValType,
};

const I32: &[ValType] = &[ValType::I32];

fn main() -> wasmend::Result<()> {
    let path = std::env::temp_dir().join("wasmend-parallel.wasm");
    let mut module = Module::create(&path, ModuleOptions::default())?;

    // Declare first: from then on each function can be referred to, in any order.
    let ids = (0..10_000)
        .map(|at| module.declare(DeclKind::Function, &format!("f{at}")))
        .collect::<wasmend::Result<Vec<DeclId>>>()?;

    // The style is all that builders need to know of the module. It can be copied to other threads.
    let style = module.body_style();
    let bodies = (0..ids.len())
        .into_par_iter()
        .map(|at| {
            let mut body = FunctionBuilder::new(style, I32, I32);
            body.op(&Instruction::LocalGet(0));
            body.op(&Instruction::I32Const(at as i32))
                .op(&Instruction::I32Xor);
            if let Some(next) = ids.get(2 * at + 1) {
                body.call(*next, I32, I32);
            }
            body.finish()
        })
        .collect::<wasmend::Result<Vec<Function>>>()?;
    for (id, body) in ids.iter().zip(bodies) {
        module.define_function(*id, body)?;
    }
    module.export("main", ids[0])?;
    let created = module.commit()?;
    println!(
        "{}: {} bytes in {:?}",
        path.display(),
        created.file_len,
        created.phases.total()
    );

    // One function changes.
    let mut body = FunctionBuilder::new(style, I32, I32);
    body.op(&Instruction::I32Const(42));
    module.define_function(ids[1234], body.finish()?)?;
    let patch = module.commit()?;
    println!(
        "one edit: {} bytes in {:?}",
        patch.bytes_written(),
        patch.phases.total()
    );
    for (range, bytes) in patch.ranges().into_iter().flat_map(|ranges| ranges.iter()) {
        println!(
            "  {:#08x} {:3} bytes, {}",
            range.offset,
            bytes.len(),
            range.reason
        );
    }
    Ok(())
}
