//! Objects with more debug information than a file can have, sparse ones: near and past 1, 2 and 4 GiB there is an error that says so,
//! whatever the output is, and neither a panic nor a file that says something else.
//!
//! Run: `Linked::link` and `Linked::release_once`, on an object without code and with one custom section of so many zeros.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use wasmend::ErrorKind;
use wasmend::link::{Access, LinkOptions, Linked, Target};
use wasmend::output::OutputOptions;

fn leb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let digit = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(digit);
            return bytes;
        }
        bytes.push(digit | 0x80);
    }
}

/// An object with a custom section of `len` zeros, which take no room on the disk.
fn write_object(path: &Path, section: &str, len: u64) {
    let mut file = File::create(path).unwrap();
    let header = [&leb(section.len() as u64), section.as_bytes()].concat();
    file.write_all(b"\0asm\x01\0\0\0\0\x09\x07linking\x02")
        .unwrap();
    file.write_all(&[0]).unwrap();
    file.write_all(&leb(header.len() as u64 + len)).unwrap();
    file.write_all(&header).unwrap();
    let end = file.seek(SeekFrom::End(0)).unwrap() + len;
    file.set_len(end).unwrap();
}

/// The errors of a patchable and of a dense link.
fn errors(object: &Path) -> [String; 2] {
    let out = object.with_extension("wasm");
    let arguments = ["--no-entry", "-o"].map(str::to_owned).into_iter();
    let paths = [&*out, object].map(|path| path.display().to_string());
    let options = LinkOptions::parse(&arguments.chain(paths).collect::<Vec<_>>()).unwrap();
    let publishing = OutputOptions::default();
    let patchable = Linked::link_once(&options, Access::Map, Target::File(publishing.clone()));
    let dense = Linked::release_once(&options, Access::Map, &publishing);
    let errors = [patchable.err(), dense.err()].map(|failed| {
        let failed = failed.expect("so much is refused");
        assert_eq!(failed.errors()[0].kind(), ErrorKind::Limit);
        failed.to_string()
    });
    assert!(!out.exists(), "something was written");
    errors
}

const GIB: u64 = 1 << 30;

#[test]
fn debug_information_past_what_engines_take_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("large.o");
    for len in [GIB, 2 * GIB - 100, 2 * GIB + 100, 4 * GIB - 100] {
        write_object(&object, ".debug_info", len);
        for error in errors(&object) {
            assert!(error.contains("engines take 1073741824"), "{len}: {error}");
        }
    }
    for len in [4 * GIB, 4 * GIB + 100] {
        write_object(&object, ".debug_info", len);
        for error in errors(&object) {
            assert!(error.contains("limited to 4 GiB"), "{len}: {error}");
        }
    }
}

#[test]
fn strings_past_what_engines_take_are_refused_before_they_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("strings.o");
    write_object(&object, ".debug_str", 2 * GIB + 100);
    for error in errors(&object) {
        assert!(error.contains("engines take 1073741824"), "{error}");
    }
}
