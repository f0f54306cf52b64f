//! Links by wasmend beside links by wasm-ld, compared declaration by declaration.

use std::process::Command;

use wasmend::link::Access;
use wasmend::link::{LinkOptions, Linked, Target};

use crate::meaning;
use crate::support::toolchain;

/// Symbols that are told apart by exporting them.
const ADDRESSES: [&str; 5] = [
    "__heap_base",
    "__heap_end",
    "__data_end",
    "__stack_low",
    "__stack_high",
];

/// Links with both, and compares functions, bodies, data, exports and what the table means; the two outputs.
pub fn compare(name: &str, inputs: &[String]) -> [Vec<u8>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let (out, map) = (
        folder.path().join("out.wasm"),
        folder.path().join("out.map"),
    );
    let mut arguments = inputs.to_vec();
    arguments.push("--no-demangle".to_owned());
    arguments.extend(ADDRESSES.map(|address| format!("--export={address}")));
    arguments.extend(["-o".to_owned(), out.display().to_string()]);
    toolchain::run(
        Command::new("wasm-ld-19")
            .args(&arguments)
            .arg(format!("--Map={}", map.display())),
    );
    let theirs = std::fs::read(&out).unwrap();
    let their_map = std::fs::read_to_string(&map).unwrap();
    let options = LinkOptions::parse(&arguments).unwrap();
    let linked = Linked::link(options, Access::Map, Target::Memory);
    let (linked, _) = linked.unwrap_or_else(|failed| panic!("{name}: {:?}", failed.0));
    let ours = linked.bytes().unwrap();
    let differences = meaning::compare(&ours, &linked.map(), &theirs, &their_map, &ADDRESSES);
    assert!(
        differences.is_empty(),
        "{name}:\n{}",
        differences.join("\n")
    );
    [ours, theirs]
}
