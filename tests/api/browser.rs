//! Source maps as Chromium's developer tools read them: places in the code are shown at the right lines, and breakpoints by
//! source and line stop there, before patches and after them.
//!
//! Run: versions of one file, each with its source map, then `node tests/api/browser.mjs`, which opens them in Chromium with its
//! developer tools beside, and asks these.

use std::process::Command;

use serde_json::json;
use wasmend::{DeclKind, Module, Piece, Redirect, inspect};

use crate::debug_info::{Program, edit, places, right, source};
use crate::support::programs;

/// Says where the source map is, as a page looks for it.
fn name_source_map(module: &mut Module) {
    let section = module.custom_section("sourceMappingURL");
    let section = section.expect("a name that is free");
    let piece = module.declare(DeclKind::Custom, "the source map's URL");
    let piece = piece.expect("the key is free");
    let url = "out.wasm.map";
    let mut contents = vec![url.len() as u8];
    contents.extend_from_slice(url.as_bytes());
    let defined = module.define_piece(piece, section, Piece::new(contents));
    defined.expect("a piece");
}

fn versions() -> Vec<Program> {
    let first = Program::from([
        ("alpha", source("a.lang", 1, 5)),
        ("beta", source("a.lang", 10, 8)),
        ("gamma", source("sub/b.lang", 3, 2)),
    ]);
    // It grows and moves; lines below move, and one function comes; one goes, and one shrinks.
    let mut second = first.clone();
    second.insert("gamma", source("sub/b.lang", 3, 40));
    let mut third = second.clone();
    third.insert("alpha", source("a.lang", 1, 9));
    third.insert("beta", source("a.lang", 14, 8));
    third.insert("delta", source("c.lang", 5, 6));
    let mut fourth = third.clone();
    fourth.remove("beta");
    fourth.insert("gamma", source("sub/b.lang", 3, 3));
    vec![first, second, third, fourth]
}

#[test]
fn chromium_shows_the_right_lines_and_stops_at_them_before_and_after_patches() {
    for redirect in [Redirect::Table, Redirect::Direct] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut module = programs::module(redirect);
        name_source_map(&mut module);
        let mut before = Program::new();
        for (number, program) in versions().iter().enumerate() {
            for name in before.keys().filter(|name| !program.contains_key(*name)) {
                module.unexport(name);
            }
            edit(&mut module, &before, program);
            for name in program.keys() {
                let id = module.lookup(name).expect("it is declared");
                module.export(name, id).expect("a function");
            }
            let patch = module.commit().expect("a commit");
            assert!(
                number == 0 || patch.relink_reason().is_none(),
                "{redirect:?}"
            );
            before = program.clone();

            let bytes = module.bytes().expect("in memory");
            let map = inspect::source_map(&bytes).expect("it has lines");
            let all = places(&module, &bytes).all;
            assert!(!all.is_empty());
            let all = all.iter().map(|((name, number), offset)| {
                let line = (number % 1_000_000) as u32;
                let (file, line, column) = right(&program[&name[..]], line);
                json!({
                    "offset": offset,
                    "name": name,
                    "source": file,
                    "line": line - 1,
                    "column": column.saturating_sub(1),
                })
            });
            let all: Vec<_> = all.collect();
            let version = folder.path().join(number.to_string());
            let write = |name: &str, bytes: &[u8]| {
                std::fs::write(version.join(name), bytes).expect("it can be written");
            };
            std::fs::create_dir(&version).expect("it is new");
            let served = inspect::without_dwarf(&bytes).expect("a module");
            assert!(served.len() < bytes.len());
            write("out.wasm", &served);
            write("out.wasm.map", map.as_bytes());
            write("places.json", json!(all).to_string().as_bytes());
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/browser.mjs");
        let seen = Command::new("node").arg(script).arg(folder.path()).output();
        let seen = seen.expect("node is installed");
        let said = String::from_utf8_lossy(&seen.stdout);
        let wrong = String::from_utf8_lossy(&seen.stderr);
        assert!(seen.status.success(), "{redirect:?}: {said}{wrong}");
        assert_eq!(said.lines().count(), versions().len(), "{said}");
    }
}
