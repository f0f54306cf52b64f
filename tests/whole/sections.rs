//! Custom sections and names of a build are its own, whatever they are called; outputs, objects and what other tools made
//! of an output are told apart.

use wasmend::inspect::{Map, PartKind, finish, is_output, verify};
use wasmend::{ErrorKind, Redirect, WholeModule, WholeOptions};
use wasmparser::{Parser, Payload};

fn custom(name: &str, contents: &[u8]) -> Vec<u8> {
    assert!(name.len() + contents.len() < 120, "one byte of length");
    let mut section = vec![0, (1 + name.len() + contents.len()) as u8, name.len() as u8];
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(contents);
    section
}

fn customs(wasm: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut customs = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CustomSection(section) = payload.expect("valid") {
            customs.push((section.name().to_owned(), section.data().to_vec()));
        }
    }
    customs
}

fn small() -> Vec<u8> {
    wat::parse_str("(module (func (export \"f\") (result i32) i32.const 5))").expect("valid")
}

#[test]
fn sections_that_are_called_as_wasmends_own_are_kept() {
    // What a small pad, a pad and an identity look like, and others of these names.
    let contents: [&[u8]; 3] = [b"", b"abc", b"0123456789 and more of it"];
    let mut build = small();
    let mut expected = Vec::new();
    for name in ["", "pad", "wasmend", "other"] {
        for contents in contents {
            build.extend(custom(name, contents));
            expected.push((name.to_owned(), contents.to_vec()));
        }
    }
    for redirect in [Redirect::TableThunks, Redirect::Direct] {
        let options = WholeOptions {
            redirect,
            ..WholeOptions::default()
        };
        let (mut whole, _) = WholeModule::in_memory(options, &small()).expect("valid");
        for build in [&build, &small(), &build] {
            whole.update(build).expect("valid");
            let out = whole.bytes().expect("in memory");
            let report = verify(&out, build).expect("valid");
            assert!(report.is_clean(), "{:#?}", report.differences);
            let dense = finish(&out).expect("valid");
            let report = verify(&dense, build).expect("valid");
            assert!(report.is_clean(), "{:#?}", report.differences);
        }
        let out = whole.bytes().expect("in memory");
        let dense = finish(&out).expect("valid");
        assert_eq!(customs(&dense), expected);
        let in_out = customs(&out);
        assert!(expected.iter().all(|section| in_out.contains(section)));
        // The map tells pads from sections of the same name.
        let map = Map::read(&out).expect("valid");
        let sections = map
            .parts
            .iter()
            .filter(|part| part.kind == PartKind::Section);
        let of_name = |name: &str| sections.clone().filter(|part| part.name == name).count();
        assert_eq!(
            (of_name("pad"), of_name("(unnamed)"), of_name("wasmend")),
            (3, 3, 4)
        );
    }
}

#[test]
fn what_another_tool_made_of_an_output_is_no_output() {
    let (whole, _) = WholeModule::in_memory(WholeOptions::default(), &small()).expect("valid");
    let out = whole.bytes().expect("in memory");
    assert!(is_output(&out));
    assert!(Map::read(&out).expect("valid").identity.is_some());
    // Every section is copied as it is, but for one that is written anew: the code in shorter numbers, or none of the pads.
    let mut without_pads = out[..8].to_vec();
    let mut at = 8;
    while at < out.len() {
        let size = out[at + 1..].iter().take(5).enumerate();
        let mut len = 0usize;
        let mut width = 0;
        for (place, byte) in size {
            len |= usize::from(byte & 0x7f) << (7 * place);
            width = place + 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = at + 1 + width + len;
        let section = &out[at..end];
        if !(section[0] == 0 && section.ends_with(&[0; 3]))
            || section.windows(7).any(|it| it == b"wasmend")
        {
            without_pads.extend_from_slice(section);
        }
        at = end;
    }
    let dense = finish(&out).expect("valid");
    let identity = &out[out.len() - 50..];
    let optimised = [&dense[..], identity].concat();
    let longer = [&out[..], &custom("producers", b"")].concat();
    for other in [&without_pads, &optimised, &longer] {
        crate::support::validate(other).expect("valid");
        assert!(!is_output(other));
        assert!(Map::read(other).expect("valid").identity.is_none());
        WholeModule::in_memory(WholeOptions::default(), other).expect("a module as any other");
    }
}

#[test]
fn an_object_is_not_taken_for_a_module() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    for name in ["main.o", "main64.o", "sections.o", "mvp.o"] {
        let object = std::fs::read(folder.join(name)).expect("checked in");
        let error = WholeModule::in_memory(WholeOptions::default(), &object).err();
        let error = error.expect("an object");
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert!(error.to_string().contains("relocatable object"), "{error}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("wasmend ld")),
            "{error}"
        );
        assert!(finish(&object).is_err());
        assert!(verify(&object, &small()).is_err());
    }
}

#[test]
fn trailing_blanks_of_names_are_kept() {
    let build = |name: &str, body: &str| {
        let module = small();
        let module = if body.is_empty() {
            module
        } else {
            wat::parse_str(body).expect("valid")
        };
        let mut map = vec![1, 0, name.len() as u8];
        map.extend_from_slice(name.as_bytes());
        let mut contents = vec![1, map.len() as u8];
        contents.extend_from_slice(&map);
        [module, custom("name", &contents)].concat()
    };
    let grown = "(module (func (export \"f\") (result i32) (i32.add (i32.const 5) (i32.const 6))))";
    let mut options = WholeOptions::default();
    for redirect in [Redirect::TableThunks, Redirect::Direct] {
        options.redirect = redirect;
        let (mut whole, _) =
            WholeModule::in_memory(options.clone(), &build("a name of some length", ""))
                .expect("valid");
        // Each in the place of the one before, as long as it fits.
        for name in [
            "a name of some    ",
            "a name   ",
            "a  ",
            " ",
            "a",
            "abcdefghij ",
            "abcdef ",
        ] {
            for body in ["", grown] {
                let next = build(name, body);
                whole.update(&next).expect("valid");
                let out = whole.bytes().expect("in memory");
                let report = verify(&out, &next).expect("valid");
                assert!(report.is_clean(), "{name:?}: {:#?}", report.differences);
                let dense = finish(&out).expect("valid");
                let report = verify(&dense, &next).expect("valid");
                assert!(report.is_clean(), "{name:?}: {:#?}", report.differences);
            }
        }
    }
}

#[test]
fn a_module_of_the_first_version_stays_one_unless_instances_are_patched() {
    let build = |added: u32| {
        wat::parse_str(format!(
            r#"(module
                (type $t (func (param i32) (result i32)))
                (import "e" "h" (func $h (type $t)))
                (memory (export "memory") 1)
                (table funcref (elem $f $g))
                (func $f (type $t) (i32.add (local.get 0) (i32.const {added})))
                (func $g (type $t) (call $h (local.get 0)))
                (func (export "run") (result i32)
                    (call_indirect (type $t) (i32.const 40) (i32.const 0)))
                (data (i32.const 16) "data number {added}"))"#
        ))
        .expect("valid")
    };
    let loading = wat::parse_str(
        r#"(module (memory 1) (func (export "run")
            (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))) (data "abc"))"#,
    )
    .expect("valid");
    for redirect in [Redirect::TableThunks, Redirect::Direct] {
        let options = WholeOptions {
            redirect,
            ..WholeOptions::default()
        };
        let (mut whole, _) = WholeModule::in_memory(options, &build(1)).expect("valid");
        whole.update(&build(200_000)).expect("valid");
        let out = whole.bytes().expect("in memory");
        for wasm in [&out, &finish(&out).expect("valid")] {
            let features = wasmparser::WasmFeatures::WASM1;
            wasmparser::Validator::new_with_features(features)
                .validate_all(wasm)
                .expect("needs no more than the first version has");
            let counts = Parser::new(0).parse_all(wasm);
            let mut counts = counts.map(|payload| payload.expect("valid"));
            assert!(!counts.any(|payload| matches!(payload, Payload::DataCountSection { .. })));
        }
        // Code that loads a segment needs the number of segments before it, from then on.
        whole.update(&loading).expect("valid");
        let out = whole.bytes().expect("in memory");
        crate::support::validate(&out).expect("valid");
        assert!(verify(&out, &loading).expect("valid").is_clean());
    }
}
