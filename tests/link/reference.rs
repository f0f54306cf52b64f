//! What wasm-ld makes of a command line, and what wasmend does, as comparable text.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use wasmend::internals::link::diagnostics::shown;
use wasmend::internals::link::{Inputs, Live, Resolution, gc, order, resolve, undefined};
use wasmend::link::Access;
use wasmend::link::LinkOptions;
use wasmparser::{ElementItems, ExternalKind, Name, Parser, Payload, TypeRef};

/// One link, in terms that both linkers have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The files in the order in which they were taken up.
    pub trace: Vec<String>,
    /// What was dropped: file and name.
    pub dropped: Vec<String>,
    /// Imports in their order.
    pub imports: Vec<String>,
    /// Defined functions of the objects in their order.
    pub functions: Vec<String>,
    /// Exports in their order.
    pub exports: Vec<String>,
    /// Table entries in their order.
    pub entries: Vec<String>,
    /// Data segments in their order, with their sizes.
    pub segments: Vec<String>,
}

pub fn wasmend(arguments: &[String]) -> (Resolution, Live, Link) {
    let options = LinkOptions::parse(arguments).unwrap();
    let inputs = Inputs::open(&options, Access::Map).unwrap();
    let mut resolution = resolve(inputs, &options);
    let mut live = gc::mark(&mut resolution, &options);
    let segments = order::segments(&resolution, &live, &options, false);
    order::define_bounds(&mut resolution, &mut live, &segments, &options);
    undefined::settle(&mut resolution, &live, &options);
    let mut link = Link::default();
    let file = |id| resolution.object(id).object.display_name().to_owned();
    link.trace = resolution.trace.iter().map(|id| file(*id)).collect();
    link.dropped = gc::dropped(&resolution, &live)
        .into_iter()
        .map(|(id, name)| format!("{}:({name})", file(id)))
        .collect();
    link.imports = order::imports(&resolution, &live, &options)
        .into_iter()
        .map(|id| {
            let (module, name) = resolution.import_names(id);
            format!("{module}.{name}")
        })
        .collect();
    let defined = |id, function| {
        let object = &resolution.object(id).object;
        shown(object.function_name(function).unwrap_or("?"), false)
    };
    link.functions = order::functions(&resolution, &live)
        .into_iter()
        .map(|(id, function)| defined(id, function))
        .collect();
    link.entries = order::table_entries(&resolution, &live)
        .into_iter()
        .map(|entry| match entry {
            order::Entry::Defined(id, function) => defined(id, function),
            order::Entry::Symbol(id) => resolution.debug_name(id, false),
        })
        .collect();
    link.exports = order::exports(&resolution, &live, &options)
        .into_iter()
        .map(|id| resolution.name(id).to_owned())
        .collect();
    link.segments = segments
        .iter()
        .filter(|segment| !segment.is_zero)
        .map(|segment| segment.name.clone())
        .collect();
    (resolution, live, link)
}

pub fn wasm_ld(arguments: &[String], output: &Path) -> Link {
    let run = Command::new("wasm-ld-19")
        .args(arguments)
        .args(["--no-demangle", "--trace", "--print-gc-sections", "-o"])
        .arg(output)
        .output()
        .expect("wasm-ld-19 can be run");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let mut link = Link::default();
    for line in String::from_utf8_lossy(&run.stdout).lines() {
        match line.strip_prefix("removing unused section ") {
            Some(section) if section.starts_with("<internal>") => {}
            Some(section) => link.dropped.push(section.to_owned()),
            None => link.trace.push(line.to_owned()),
        }
    }
    let bytes = std::fs::read(output).unwrap();
    read(&bytes, &mut link);
    link
}

fn read(bytes: &[u8], link: &mut Link) {
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    let mut entries = Vec::new();
    let mut imported = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let import = import.unwrap();
                    imported += u32::from(matches!(import.ty, TypeRef::Func(_)));
                    if !matches!(import.ty, TypeRef::Memory(_)) {
                        link.imports
                            .push(format!("{}.{}", import.module, import.name));
                    }
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader {
                    let export = export.unwrap();
                    if export.kind != ExternalKind::Memory {
                        link.exports.push(export.name.to_owned());
                    }
                }
            }
            Payload::ElementSection(reader) => {
                for segment in reader {
                    if let ElementItems::Functions(functions) = segment.unwrap().items {
                        entries.extend(functions.into_iter().map(|function| function.unwrap()));
                    }
                }
            }
            Payload::CustomSection(custom) => {
                if let wasmparser::KnownCustom::Name(reader) = custom.as_known() {
                    for name in reader {
                        match name.unwrap() {
                            Name::Function(map) => {
                                for name in map {
                                    let name = name.unwrap();
                                    names.insert(name.index, name.name.to_owned());
                                }
                            }
                            Name::Data(map) => {
                                for name in map {
                                    link.segments.push(name.unwrap().name.to_owned());
                                }
                            }
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
    link.entries = entries
        .iter()
        .map(|function| names[function].clone())
        .collect();
    link.functions = names
        .into_iter()
        .filter(|(index, _)| *index >= imported)
        .map(|(_, name)| name)
        .collect();
}
