//! The checked-in modules are what their table says: valid, complete, small, and different from version to version.
//!
//! Run: each module of `tests/modules`, in the interpreter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::support::families::{self, FAMILIES};
use crate::support::{observe::observe, snapshot, validate};
use wasmparser::{Parser, Payload};

#[test]
fn every_version_validates_and_is_small() {
    for family in FAMILIES {
        for file in family.files {
            let wasm = family.wasm(file);
            validate(&wasm).unwrap_or_else(|error| panic!("{}/{file}: {error}", family.name));
            assert!(
                wasm.len() <= 112 << 10,
                "{}/{file} is {} bytes long",
                family.name,
                wasm.len()
            );
        }
    }
}

#[test]
fn every_file_is_in_the_table() {
    let mut listed = BTreeSet::new();
    for family in FAMILIES {
        listed.extend(
            family
                .files
                .iter()
                .map(|file| format!("{}/{file}", family.name)),
        );
    }
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir(families::modules())
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let Ok(files) = std::fs::read_dir(&folder) else {
            continue;
        };
        for file in files.map(|entry| entry.unwrap().path()) {
            if file
                .extension()
                .is_some_and(|extension| extension == "wasm" || extension == "wat")
            {
                let folder = folder.file_name().unwrap().to_string_lossy();
                found.insert(format!(
                    "{folder}/{}",
                    file.file_name().unwrap().to_string_lossy()
                ));
            }
        }
    }
    assert_eq!(listed, found);
}

#[test]
fn every_version_behaves_as_it_did() {
    for family in FAMILIES.iter().filter(|family| family.runs()) {
        let seen: Vec<String> = family
            .versions()
            .iter()
            .map(|wasm| observe(family, wasm).unwrap())
            .collect();
        for (i, text) in seen.iter().enumerate() {
            assert!(
                !seen[..i].contains(text),
                "{} {} behaves like an earlier one",
                family.name,
                family.files[i]
            );
        }
        let mut text = String::new();
        for (file, seen) in family.files.iter().zip(seen) {
            let _ = write!(text, "=== {file}\n{seen}");
        }
        snapshot!(format!("modules-{}", family.name), text);
    }
}

#[test]
fn runs_are_repeatable() {
    for family in FAMILIES.iter().filter(|family| family.runs()) {
        for wasm in family.versions() {
            assert_eq!(
                observe(family, &wasm),
                observe(family, &wasm),
                "{}",
                family.name
            );
        }
    }
}

/// What an incremental build will meet: which sections there are, and how many of each thing.
#[test]
fn shapes() {
    let mut text = String::new();
    for family in FAMILIES {
        for file in family.files {
            let _ = writeln!(
                text,
                "{}/{file}: {}",
                family.name,
                shape(&family.wasm(file))
            );
        }
    }
    snapshot!("modules-shapes", text);
}

fn shape(wasm: &[u8]) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut put = |name: &str, n: u32| *counts.entry(name.to_string()).or_default() += n;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::TypeSection(r) => put("types", r.count()),
            Payload::ImportSection(r) => put("imports", r.into_imports().count() as u32),
            Payload::FunctionSection(r) => put("functions", r.count()),
            Payload::TableSection(r) => put("tables", r.count()),
            Payload::MemorySection(r) => put("memories", r.count()),
            Payload::TagSection(r) => put("tags", r.count()),
            Payload::GlobalSection(r) => put("globals", r.count()),
            Payload::ExportSection(r) => put("exports", r.count()),
            Payload::StartSection { .. } => put("start", 1),
            Payload::ElementSection(r) => put("elements", r.count()),
            Payload::DataCountSection { .. } => put("datacount", 1),
            Payload::DataSection(r) => put("data", r.count()),
            Payload::CustomSection(r) => put(&format!("[{}]", r.name()), 1),
            _ => {}
        }
    }
    counts
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect::<Vec<_>>()
        .join(", ")
}
