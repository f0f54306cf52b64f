//! What a dense output looks like does not depend on how the program came about: `wasmend ld --no-gc-sections --no-entry
//! --export=run a.o b.o`, updated so that data comes and goes that nothing refers to, and compared with a link from nothing.

use wasmend::output::Publish;

use crate::support::objects::builder::Builder;
use crate::updated::{Program, add_function};

/// An object with a function and these pieces of data, of which some begin with the function's address.
fn object(function: &str, data: &[(&str, bool)]) -> Vec<u8> {
    let mut builder = Builder::new();
    add_function(&mut builder, function, 1, 1, &[]);
    for (at, (text, has_address)) in data.iter().enumerate() {
        let bytes = text.as_bytes().to_vec();
        let relocs: &[(u32, u32)] = if *has_address { &[(0, 0)] } else { &[] };
        let name = format!("{function}{at}");
        builder.data(&format!(".data.{name}"), 0, &name, bytes, relocs);
    }
    builder.finish()
}

#[test]
fn data_that_nothing_refers_to_stands_where_a_fresh_link_puts_it() {
    let line = "--no-gc-sections --no-entry --export=run FOLDER/a.o FOLDER/b.o";
    let files = [
        ("a.o", object("run", &[("aaaa", false)])),
        ("b.o", object("other", &[("bbbb", false)])),
    ];
    let mut program = Program::new(line, Publish::Atomic, &files);
    // Each update compares with a link from nothing.
    let versions: [&[(&str, bool)]; 5] = [
        &[("aaaa", false), ("zzzz", false)],
        &[("zzzz", false), ("aaaa", false), ("0000", true)],
        &[("bbbb", false), ("0000", true), ("0000", true)],
        &[],
        &[("cccc", false), ("aaaa", false)],
    ];
    for (at, data) in versions.iter().enumerate() {
        program.write("a.o", object("run", data));
        program.update(&format!("version {at}"), &["a.o"]);
        program.write("b.o", object("other", versions[(at + 2) % versions.len()]));
        program.update(&format!("version {at} of the other one"), &["b.o"]);
    }
}
