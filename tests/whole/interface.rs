//! What embedders bind by position or by name stays as the build has it: the order of imports and exports, through edits,
//! in dense files and in what `verify` calls equal.

use wasmend::inspect::{finish, verify};
use wasmend::{Outcome, Reason, Redirect, WholeModule, WholeOptions};
use wasmparser::{Parser, Payload};

use crate::support::smith::Rng;

const MODES: [Redirect; 2] = [Redirect::TableThunks, Redirect::Direct];

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text")
}

fn options(redirect: Redirect) -> WholeOptions {
    WholeOptions {
        redirect,
        ..WholeOptions::default()
    }
}

/// The fields of all imports, then the names of all exports, in the order of the file.
fn interface(wasm: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("valid") {
            Payload::ImportSection(section) => {
                let all = section.into_imports().map(|import| import.expect("valid"));
                imports.extend(all.map(|import| import.name.to_owned()));
            }
            Payload::ExportSection(section) => {
                let all = section.into_iter().map(|export| export.expect("valid"));
                exports.extend(all.map(|export| export.name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

/// A module that calls and exports what it imports; `imports` are a kind and a name, `exports` are positions in these.
fn module(imports: &[(u32, u32)], exports: &[usize]) -> Vec<u8> {
    let mut text = String::from("(module\n");
    for (kind, name) in imports {
        text += &match kind {
            0 => format!("(import \"e\" \"f{name}\" (func $f{name} (param i32)))\n"),
            1 => format!("(import \"e\" \"g{name}\" (global $g{name} i32))\n"),
            _ => format!("(import \"e\" \"t{name}\" (tag $t{name} (param i32)))\n"),
        };
    }
    text += "(func (export \"run\")\n";
    let mut called = imports.to_vec();
    called.sort_unstable();
    for (kind, name) in &called {
        text += &match kind {
            0 => format!("(call $f{name} (i32.const {name}))\n"),
            1 => format!("(drop (global.get $g{name}))\n"),
            _ => String::new(),
        };
    }
    text += ")\n";
    for at in exports {
        let (kind, name) = imports[*at];
        text += &match kind {
            0 => format!("(export \"xf{name}\" (func $f{name}))\n"),
            1 => format!("(export \"xg{name}\" (global $g{name}))\n"),
            _ => format!("(export \"xt{name}\" (tag $t{name}))\n"),
        };
    }
    wat(&(text + ")"))
}

#[test]
fn imports_and_exports_stand_as_the_build_has_them() {
    let mut rng = Rng::new(31);
    for redirect in MODES {
        let mut whole: Option<WholeModule> = None;
        let mut patched = 0;
        for _ in 0..40 {
            // Each name is there or not, in any order; kinds are mixed.
            let mut imports: Vec<(u32, u32)> = (0..3)
                .flat_map(|kind| (0..6).map(move |name| (kind, name)))
                .filter(|_| rng.below(4) > 0)
                .collect();
            for at in (1..imports.len()).rev() {
                imports.swap(at, rng.below(at + 1));
            }
            let mut exports: Vec<usize> = (0..imports.len()).filter(|_| rng.below(2) > 0).collect();
            for at in (1..exports.len()).rev() {
                exports.swap(at, rng.below(at + 1));
            }
            let build = module(&imports, &exports);
            match &mut whole {
                None => {
                    let (made, _) =
                        WholeModule::in_memory(options(redirect), &build).expect("valid");
                    whole = Some(made);
                }
                Some(whole) => {
                    let update = whole.update(&build).expect("valid");
                    patched += usize::from(matches!(update.patch.outcome, Outcome::Patched(_)));
                }
            }
            let out = whole.as_ref().expect("made").bytes().expect("in memory");
            let dense = finish(&out).expect("valid");
            for made in [&out, &dense] {
                crate::support::validate(made).expect("valid");
                assert_eq!(interface(made), interface(&build));
                let report = verify(made, &build).expect("valid");
                assert!(report.is_clean(), "{:#?}", report.differences);
            }
        }
        assert!(patched > 20, "{patched} of 39 were patches");
    }
}

/// A function that is exported under each of these names.
fn exports(names: &[String]) -> Vec<u8> {
    let exports: String = names
        .iter()
        .map(|name| format!("(export \"{name}\" (func 0))"))
        .collect();
    wat(&format!("(module (func nop) {exports})"))
}

#[test]
fn one_export_more_or_less_writes_little_and_the_others_keep_their_order() {
    let mut rng = Rng::new(7);
    for count in [100, 2_000] {
        let name = |rng: &mut Rng, at: usize| format!("{at:_<width$}", width = rng.below(60));
        let mut names: Vec<String> = (0..count).map(|at| name(&mut rng, at)).collect();
        let (mut whole, _) =
            WholeModule::in_memory(options(Redirect::Table), &exports(&names)).expect("valid");
        let mut most = 0;
        for step in 0..40 {
            let at = rng.below(names.len());
            match step % 3 {
                0 => names.insert(at, name(&mut rng, count + step)),
                1 => drop(names.remove(at)),
                _ => names[at] = name(&mut rng, count + step),
            }
            let build = exports(&names);
            let patch = whole.update(&build).expect("valid").patch;
            let ranges = patch.ranges().expect("a patch").iter();
            let exports = ranges.filter(|(range, _)| range.reason == Reason::Exports);
            most = most.max(exports.map(|(range, _)| range.len).sum());
            let out = whole.bytes().expect("in memory");
            assert_eq!(interface(&out), interface(&build));
        }
        assert!(most <= 3000, "{most} bytes of {count} exports");
    }
}

#[test]
fn another_order_is_a_difference() {
    let build = module(&[(0, 1), (1, 1), (0, 2)], &[0, 1]);
    for (other, what) in [
        (module(&[(0, 1), (0, 2), (1, 1)], &[0, 2]), "imports"),
        (module(&[(1, 1), (0, 1), (0, 2)], &[1, 0]), "imports"),
        (module(&[(0, 1), (1, 1), (0, 2)], &[1, 0]), "exports"),
    ] {
        let (whole, _) = WholeModule::in_memory(WholeOptions::default(), &other).expect("valid");
        let report = verify(&whole.bytes().expect("in memory"), &build).expect("valid");
        let found: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("{what}: stand in another order")),
            "{found:?}"
        );
    }
}

#[test]
fn an_import_that_moves_up_is_a_patch_of_what_names_it() {
    let before = module(&[(0, 1), (0, 2), (0, 3)], &[2]);
    let after = module(&[(0, 3), (0, 1), (0, 2)], &[0]);
    for redirect in MODES {
        let (mut whole, _) = WholeModule::in_memory(options(redirect), &before).expect("valid");
        let update = whole.update(&after).expect("valid");
        assert!(matches!(update.patch.outcome, Outcome::Patched(_)));
        let out = whole.bytes().expect("in memory");
        assert_eq!(interface(&out), interface(&after));
    }
}

#[test]
fn names_of_imported_functions_are_kept_and_follow_the_build() {
    let build = |name: &str, more: &str| {
        wat(&format!(
            r#"(module {more} (import "e" "h" (func ${name} (param i32)))
                (func $work (export "run") (call ${name} (i32.const 1))))"#
        ))
    };
    let names = |wasm: &[u8]| -> Vec<(u32, String)> {
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            if let Payload::CustomSection(section) = payload.expect("valid")
                && let wasmparser::KnownCustom::Name(reader) = section.as_known()
            {
                for subsection in reader {
                    if let wasmparser::Name::Function(map) = subsection.expect("valid") {
                        let map = map.into_iter().map(|naming| naming.expect("valid"));
                        names.extend(map.map(|naming| (naming.index, naming.name.to_owned())));
                    }
                }
            }
        }
        names
    };
    let another = r#"(import "e" "i" (func $first_of_all))"#;
    for redirect in MODES {
        let first = build("print_line", "");
        let (mut whole, _) = WholeModule::in_memory(options(redirect), &first).expect("valid");
        for (name, more) in [
            ("print_line", ""),
            ("p", ""),
            ("a_name_that_is_much_longer", another),
            ("q", ""),
        ] {
            let next = build(name, more);
            let update = whole.update(&next).expect("valid");
            assert!(update.patch.relink_reason().is_none());
            let out = whole.bytes().expect("in memory");
            assert!(verify(&out, &next).expect("valid").is_clean());
            let dense = finish(&out).expect("valid");
            assert_eq!(names(&dense), names(&next));
            assert_eq!(names(&out)[0], names(&next)[0]);
        }
    }
}

#[test]
fn the_name_of_the_module_changes_in_a_patch() {
    let build = |name: &str| wat(&format!("(module ${name} (func $f (export \"f\") nop))"));
    for redirect in MODES {
        let (mut whole, _) =
            WholeModule::in_memory(options(redirect), &build("app")).expect("valid");
        // Longer than the pad before the names, and shorter again.
        let long = "long".repeat(200);
        for name in ["app_2", "application", &long, "a"] {
            let update = whole.update(&build(name)).expect("valid");
            assert!(
                matches!(update.patch.outcome, Outcome::Patched(_)),
                "{name}"
            );
            let out = whole.bytes().expect("in memory");
            let report = verify(&out, &build(name)).expect("valid");
            assert!(report.is_clean(), "{:#?}", report.differences);
        }
    }
}
