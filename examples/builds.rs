//! Successive builds of a whole module, by any compiler, become patches: what a dev server does on each save.
//!
//! `cargo run --example builds -- OUT.wasm BUILD1.wasm BUILD2.wasm ...`

use std::{env, error, fs};

use wasmend::{WholeModule, WholeOptions};

fn main() -> Result<(), Box<dyn error::Error>> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [out, first, others @ ..] = &arguments[..] else {
        return Err("usage: builds OUT.wasm BUILD1.wasm BUILD2.wasm ...".into());
    };
    let (mut module, update) =
        WholeModule::create(out, WholeOptions::default(), &fs::read(first)?)?;
    println!("{} bytes", update.patch.file_len);
    for warning in update.warnings {
        eprintln!("warning: {warning}");
    }
    for build in others {
        // Some work can be done before the next build is there.
        module.prepare();
        let update = module.update(&fs::read(build)?)?;
        for (range, bytes) in update.patch.ranges().into_iter().flat_map(|all| all.iter()) {
            // A dev server would send these to a page; a language server would show them beside the source.
            println!(
                "  {:#x}: {} bytes, {}",
                range.offset,
                bytes.len(),
                range.reason
            );
        }
        println!(
            "{} changed, {} added, {} removed: {} of {} bytes in {:?}",
            update.functions_changed,
            update.functions_added,
            update.functions_removed,
            update.patch.bytes_written(),
            update.patch.file_len,
            update.patch.phases.total()
        );
    }
    Ok(())
}
