//! Arbitrary bytes as an object or an archive: read, linked beside good objects, and linked again in their place. Whatever
//! is not an error must come out as a whole file.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use wasmend::internals::link::Inputs;
use wasmend::link::{LinkOptions, Target};
use wasmend::internals::object::{Access, Archive, FileKind, Input, Object};

const OTHER: &[u8] = include_bytes!("../../tests/objects/twice.o");

fuzz_target!(|data: &[u8]| {
    let input = Input::from_bytes("fuzzed", data);
    if let FileKind::Archive | FileKind::ThinArchive = FileKind::of(data) {
        if let Ok(archive) = Archive::open(input) {
            // Thin archives name files: those are not the fuzzer's to open.
            if !archive.is_thin() {
                for member in archive.members(Access::Read).unwrap_or_default() {
                    let _ = member.read().map(|object| link(object));
                }
            }
        }
    } else if let Ok(object) = Object::read(input) {
        link(object);
    }
});

fn link(object: Object) {
    let object = Arc::new(object);
    let other = Object::read(Input::from_bytes("twice.o", OTHER)).expect("it is well-formed");
    for line in [
        "x.o -o out.wasm --no-entry --no-gc-sections --import-undefined",
        "x.o -o out.wasm --no-entry --export-dynamic --import-undefined --redirect=table",
    ] {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let options = LinkOptions::parse(&arguments).expect("the options are right");
        let inputs = Inputs::of_objects([object.clone(), Arc::new(
            Object::read(other.input().clone()).expect("it is well-formed"),
        )]);
        if let Ok((linked, _)) = wasmend::internals::link::link_inputs(inputs, options, Target::Memory) {
            linked.bytes().expect("it is in memory");
            linked.finish().expect("what can be written can be finished");
            linked.map();
        }
    }
}
