//! A build tool that follows the builds of any compiler: each becomes a patch of the one before.
//!
//! `cargo run --example builds -- OUT FIRST SECOND ...`

use wasmend::inspect::{Map, verify};
use wasmend::{Error, WholeModule, WholeOptions};

fn main() -> wasmend::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(out), Some(first)) = (arguments.next(), arguments.next()) else {
        return Err(Error::bad_edit("give the output, then one build or more"));
    };
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| Error::io("cannot read", path.as_ref(), &error))
    };
    let mut build = read(&first)?;
    let (mut module, created) = WholeModule::create(&out, WholeOptions::default(), &build)?;
    println!("{first}: {} functions", created.functions_added);
    for path in arguments {
        build = read(&path)?;
        let update = module.update(&build)?;
        match update.patch.relink_reason() {
            None => println!("{path}: {} bytes written", update.patch.bytes_written()),
            Some(reason) => println!("{path}: rebuilt, {reason}"),
        }
        for warning in update.warnings {
            println!("{path}: {warning}");
        }
    }
    let output = module.bytes()?;
    println!(
        "equivalent to the last build: {}",
        verify(&output, &build)?.is_clean()
    );
    println!("{:?}", Map::read(&output)?.totals());
    Ok(())
}
