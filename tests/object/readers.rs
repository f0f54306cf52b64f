//! The object and archive readers: equal to wasmparser's on real objects.
//!
//! Run: `Object::read` and `Archive::open`, and wasmparser's readers, on the files of `tests/objects`; with `toolchain-tests`, on
//! the libraries of wasi-libc.

use std::fs;

use wasmend::internals::object::{Access, Archive, Input, Object};

use crate::support::objects;
use crate::tables;

fn open(name: &str) -> std::sync::Arc<Input> {
    Input::open(objects::path(name), Access::Map).unwrap()
}

#[test]
fn objects_read_as_wasmparser_reads_them() {
    for path in objects::all() {
        let bytes = fs::read(&path).unwrap();
        let object = Object::read(Input::from_bytes(&path, bytes.clone())).unwrap();
        let (ours, theirs) = (tables::ours(&object), tables::theirs(&bytes));
        assert!(!ours.is_empty());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{}", path.display());
        }
        assert_eq!(ours.len(), theirs.len(), "{}", path.display());
    }
}

/// The archives of wasi-libc and of LLVM, member by member.
#[cfg(feature = "toolchain-tests")]
#[test]
fn installed_libraries_read_as_wasmparser_reads_them() {
    let mut members = 0;
    for name in [
        "libc.a",
        "libc++.a",
        "libc++abi.a",
        "libc-printscan-long-double.a",
    ] {
        let path = std::path::Path::new("/usr/lib/wasm32-wasi").join(name);
        let archive = Archive::open(Input::open(path, Access::Map).unwrap()).unwrap();
        for member in archive.members(Access::Map).unwrap() {
            let object = member.read().unwrap();
            assert_eq!(
                tables::ours(&object),
                tables::theirs(member.bytes()),
                "{}",
                member.name
            );
            members += 1;
        }
    }
    assert!(members > 800, "{members}");
}

#[test]
fn errors_say_what_to_do() {
    let error = |name| Object::read(open(name)).unwrap_err().to_string();
    let bitcode = error("bitcode.o");
    assert!(
        bitcode.contains("bitcode") && bitcode.contains("-flto"),
        "{bitcode}"
    );
    let archive = error("libgnu.a");
    assert!(archive.contains("libgnu.a: neither"), "{archive}");
    let module = wat::parse_str("(module)").unwrap();
    let error = Object::read(Input::from_bytes("module.wasm", module)).unwrap_err();
    assert!(error.to_string().contains("`linking`"), "{error}");
}

#[test]
fn what_a_symbol_calls_is_told_from_what_it_takes_the_address_of() {
    let object = Object::read(open("main.o")).unwrap();
    let called = |name: &str| {
        let symbol = object
            .symbols
            .iter()
            .find(|symbol| object.str(symbol.name) == name);
        symbol.unwrap_or_else(|| panic!("{name}")).called_directly
    };
    assert!(called("host_log"));
    assert!(called("maybe_there"));
    assert!(!called("twice"), "only its address is taken");
    assert!(!called("helper"));
}

#[test]
fn archives_list_their_members() {
    for (name, has_index) in [
        ("libgnu.a", true),
        ("libbsd.a", true),
        ("libthin.a", true),
        ("libnoindex.a", false),
    ] {
        let archive = Archive::open(open(name)).unwrap();
        assert_eq!(archive.has_index(), has_index, "{name}");
        let members = archive.members(Access::Map).unwrap();
        let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["lib_a.o", "lib_b.o", "lib_c.o"], "{name}");
        for member in &members {
            let alone = fs::read(objects::path(&member.name)).unwrap();
            assert_eq!(member.bytes(), alone, "{name}({})", member.name);
        }
        if has_index {
            let symbols: Vec<(&str, &str)> = archive
                .symbols()
                .iter()
                .map(|symbol| {
                    let member = members
                        .iter()
                        .find(|member| member.offset == symbol.member)
                        .unwrap();
                    (
                        std::str::from_utf8(archive.name(symbol)).unwrap(),
                        &*member.name,
                    )
                })
                .collect();
            let expected = [
                ("from_a", "lib_a.o"),
                ("also_a", "lib_a.o"),
                ("from_b", "lib_b.o"),
                ("maybe_there", "lib_b.o"),
                ("unused_c", "lib_c.o"),
            ];
            assert_eq!(symbols, expected, "{name}");
        }
    }
    let archive = Archive::open(open("liblong.rlib")).unwrap();
    let members = archive.members(Access::Map).unwrap();
    let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    assert_eq!(
        names,
        ["a_member_with_a_name_too_long_for_a_header.o", "lib_b.o"],
        "without the metadata"
    );
}

/// Everything of the members that nobody asks for can be garbage.
#[test]
fn nothing_of_an_unused_member_is_read() {
    for name in ["libgnu.a", "libbsd.a"] {
        let bytes = fs::read(objects::path(name)).unwrap();
        let archive = Archive::open(Input::from_bytes(name, bytes.clone())).unwrap();
        let members = archive.members(Access::Map).unwrap();
        let mut spoilt = bytes;
        for member in [&members[0], &members[2]] {
            let header = member.offset.0 as usize;
            spoilt[header..member.span.range().end].fill(0xee);
        }
        let archive = Archive::open(Input::from_bytes(name, spoilt)).unwrap();
        let wanted = archive
            .symbols()
            .iter()
            .find(|symbol| archive.name(symbol) == b"from_b")
            .unwrap();
        let member = archive.member(wanted.member, Access::Map).unwrap();
        assert_eq!(member.name, "lib_b.o");
        assert_eq!(member.bytes(), fs::read(objects::path("lib_b.o")).unwrap());
        assert!(archive.member(members[0].offset, Access::Map).is_err());
    }
}

#[test]
fn a_thin_archive_notices_that_a_member_was_replaced() {
    let copy = tempfile::tempdir().unwrap();
    for name in ["libthin.a", "lib_a.o", "lib_c.o"] {
        fs::copy(objects::path(name), copy.path().join(name)).unwrap();
    }
    fs::write(copy.path().join("lib_a.o"), b"shorter").unwrap();
    let archive =
        Archive::open(Input::open(copy.path().join("libthin.a"), Access::Map).unwrap()).unwrap();
    let get = |index: usize| archive.member(archive.symbols()[index].member, Access::Map);
    assert!(get(0).unwrap_err().to_string().contains("another size"));
    assert!(get(2).unwrap_err().to_string().contains("lib_b.o"));
    assert!(get(4).is_ok());
}

#[test]
fn producers_and_features_are_read() {
    let object = Object::read(open("threads.o")).unwrap();
    let features: Vec<String> = object
        .features()
        .unwrap()
        .iter()
        .map(|feature| format!("{}{}", feature.prefix, object.str(feature.name)))
        .collect();
    assert!(features.contains(&"+atomics".to_owned()), "{features:?}");
    let producers = object.producers().unwrap();
    assert!(
        producers
            .iter()
            .any(|producer| object.str(producer.name).contains("clang")),
        "{producers:?}"
    );
}

/// A header with contents behind it.
fn member(name: &str, contents: &[u8]) -> Vec<u8> {
    let len = contents.len();
    let mut bytes = format!("{name:<16}{:<32}{len:<10}`\n", "0").into_bytes();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    bytes
}

fn archive(magic: &str, members: &[Vec<u8>]) -> wasmend::Result<Archive> {
    let bytes = [magic.as_bytes(), &members.concat()].concat();
    Archive::open(Input::from_bytes(std::path::Path::new("made.a"), bytes))
}

/// 40,000 entries of the same name of 400,000 bytes would take 16 GB to go through.
#[test]
fn an_index_whose_entries_share_a_name_is_read_in_linear_time() {
    let index = |entries: usize, name: &str| {
        let pairs = [0u32, 68].repeat(entries);
        let mut index = (pairs.len() as u32 * 4).to_le_bytes().to_vec();
        index.extend(pairs.iter().flat_map(|number| number.to_le_bytes()));
        index.extend((name.len() as u32 + 1).to_le_bytes());
        index.extend(name.bytes().chain([0]));
        member("__.SYMDEF", &index)
    };
    let start = std::time::Instant::now();
    let refused = archive("!<arch>\n", &[index(40_000, &"a".repeat(400_000))]);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("the index is malformed"), "{refused}");
    assert!(start.elapsed().as_secs() < 5);
    // Two members that define the same may well share its name.
    let shared = archive("!<arch>\n", &[index(2, "name")]).unwrap();
    assert_eq!(shared.symbols().len(), 2);
}

#[test]
fn a_long_name_without_an_end_is_refused() {
    let table = member("//", "n".repeat(100_000).as_bytes());
    let archive = archive("!<arch>\n", &[table, member("/5", b"")]).unwrap();
    let refused = archive.members(Access::Map).unwrap_err().to_string();
    assert!(refused.contains("long name has no end"), "{refused}");
}

#[test]
fn a_thin_archive_does_not_open_devices_and_pipes() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    let bytes = [
        &b"!<thin>\n"[..],
        &member("//", b"pipe/\n"),
        &member("/0", b""),
    ]
    .concat();
    let archive = Archive::open(Input::from_bytes(folder.path().join("thin.a"), bytes)).unwrap();
    let refused = archive.members(Access::Map).unwrap_err().to_string();
    assert!(refused.contains("no file"), "{refused}");
}

#[test]
fn what_the_index_says_of_members_for_other_machines_does_not_count() {
    let object = fs::read(objects::path("lib_a.o")).unwrap();
    let names = b"native\0wasm\0bitcode\0";
    let index_len = 4 + 3 * 4 + names.len();
    let first = 8 + 60 + index_len.next_multiple_of(2);
    let native = member("native.o/", b"\x7fELF....");
    let wasm = member("wasm.o/", &object);
    let offsets = [
        first,
        first + native.len(),
        first + native.len() + wasm.len(),
    ];
    let mut index = 3u32.to_be_bytes().to_vec();
    index.extend(offsets.iter().flat_map(|at| (*at as u32).to_be_bytes()));
    index.extend(names);
    let bitcode = member("bitcode.o/", b"BC\xc0\xde....");
    let archive = archive("!<arch>\n", &[member("/", &index), native, wasm, bitcode]).unwrap();
    let names: Vec<&[u8]> = archive
        .symbols()
        .iter()
        .map(|one| archive.name(one))
        .collect();
    assert_eq!(names, [&b"wasm"[..], b"bitcode"]);
    assert_eq!(archive.passed_over(), ["native.o"]);
    assert!(archive.has_index());
}
