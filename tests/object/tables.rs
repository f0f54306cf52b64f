//! An object's tables as lines of text, once as wasmend reads them and once as wasmparser does.

use wasmend::internals::object::ids::SegmentIndex;
use wasmend::internals::object::reloc::{Relocs, Target};
use wasmend::internals::object::{FunctionType, Import, Object, Reloc, Symbol};
use wasmparser::{
    BinaryReader, ComdatSymbolKind, CustomSectionReader, DataKind, Linking, LinkingSectionReader,
    Parser, Payload, RelocSectionReader, SymbolInfo, TypeRef,
};

fn reloc_line(section: &str, kind: &str, offset: u32, target: u32, addend: i64) -> String {
    format!("{section} {kind} at {offset} to {target} plus {addend}")
}

fn type_line(object: &Object, ty: &FunctionType) -> String {
    let names = |span| {
        let names: Vec<&str> = object
            .bytes(span)
            .iter()
            .map(|byte| match byte {
                0x7f => "i32",
                0x7e => "i64",
                0x7d => "f32",
                0x7c => "f64",
                0x7b => "v128",
                0x70 => "funcref",
                0x6f => "externref",
                _ => "exnref",
            })
            .collect();
        names.join(" ")
    };
    format!("type ({}) -> ({})", names(ty.params), names(ty.results))
}

/// The tables that wasmend read.
pub fn ours(object: &Object) -> Vec<String> {
    let mut lines = Vec::new();
    let base = object.span().start;
    lines.extend(object.types.iter().map(|ty| type_line(object, ty)));
    fn imports<T>(
        object: &Object,
        lines: &mut Vec<String>,
        kind: &str,
        imports: &[Import<T>],
        ty: impl Fn(&T) -> String,
    ) {
        lines.extend(imports.iter().map(|import| {
            let (module, name) = (object.str(import.module), object.str(import.name));
            format!("import {kind} {module}.{name} {}", ty(&import.ty))
        }));
    }
    imports(
        object,
        &mut lines,
        "function",
        &object.imported_functions,
        |ty| ty.to_string(),
    );
    imports(object, &mut lines, "table", &object.imported_tables, |ty| {
        format!("{} {:?}", ty.limits.minimum, ty.limits.maximum)
    });
    imports(
        object,
        &mut lines,
        "memory",
        &object.imported_memories,
        |ty| format!("{} {:?} {} {}", ty.minimum, ty.maximum, ty.shared, ty.is_64),
    );
    imports(
        object,
        &mut lines,
        "global",
        &object.imported_globals,
        |ty| format!("mutable {}", ty.mutable),
    );
    imports(object, &mut lines, "tag", &object.imported_tags, |ty| {
        ty.to_string()
    });
    for function in &object.functions {
        let body = function.body.range();
        let (start, end) = (body.start - base as usize, body.end - base as usize);
        lines.push(format!("function {} {start}..{end}", function.ty));
    }
    for global in &object.globals {
        lines.push(format!("global mutable {}", global.ty.mutable));
    }
    lines.extend(object.tags.iter().map(|ty| format!("tag {ty}")));
    for segment in &object.segments {
        let data = segment.data.range();
        let (start, end) = (data.start - base as usize, data.end - base as usize);
        lines.push(format!("segment {start}..{end}"));
    }
    for segment in &object.segments {
        let name = object.str(segment.name);
        lines.push(format!(
            "segment {name} align {} flags {}",
            segment.align_log2, segment.flags.0
        ));
    }
    lines.extend(
        object
            .symbols
            .iter()
            .map(|symbol| symbol_line(object, symbol)),
    );
    for init in &object.init_functions {
        lines.push(format!("init {} {}", init.priority, init.symbol));
    }
    let mut members = Vec::new();
    for (index, segment) in object.segments.iter().enumerate() {
        members.push((segment.comdat, format!("segment {index}")));
    }
    for (index, function) in object.functions.iter().enumerate() {
        let index = index + object.imported_functions.len();
        members.push((function.comdat, format!("function {index}")));
    }
    for custom in &object.custom_sections {
        members.push((custom.comdat, format!("section {}", custom.section)));
    }
    for (comdat, member) in members {
        if let Some(comdat) = comdat {
            let name = object.str(object.comdats[comdat.index()].name);
            lines.push(format!("comdat {name} {member}"));
        }
    }
    for custom in &object.custom_sections {
        let (name, at) = (object.str(custom.name), custom.contents.range());
        lines.push(format!(
            "custom {} {name} {}..{}",
            custom.section,
            at.start - base as usize,
            at.end - base as usize
        ));
    }
    let mut relocs = Vec::new();
    let mut add = |section: &str, all: &Relocs, some: &[Reloc]| {
        for reloc in some {
            let target = match reloc.target() {
                Target::Symbol(symbol) => symbol.0,
                Target::Type(ty) => ty.0,
            };
            let (kind, addend) = (reloc.kind().name(), all.addend(reloc));
            relocs.push(reloc_line(section, kind, reloc.offset, target, addend));
        }
    };
    for function in &object.functions {
        add(
            "code",
            &object.code_relocs,
            object.function_relocs(function),
        );
    }
    for index in 0..object.segments.len() {
        let segment = SegmentIndex(index as u32);
        add("data", &object.data_relocs, object.segment_relocs(segment));
    }
    for custom in &object.custom_sections {
        let all = object.custom_relocs(custom.section).unwrap();
        add(&format!("section {}", custom.section), &all, all.all());
    }
    lines.extend(relocs);
    lines
}

fn symbol_line(object: &Object, symbol: &Symbol) -> String {
    let flags = symbol.flags.0;
    let name = object.str(symbol.name);
    if let Some(segment) = symbol.segment() {
        return format!(
            "symbol data {flags:#x} {name} {segment}+{} {}",
            symbol.value, symbol.size
        );
    }
    let index = symbol
        .function()
        .map(|index| index.0)
        .or(symbol.global().map(|index| index.0))
        .or(symbol.table().map(|index| index.0))
        .or(symbol.tag().map(|index| index.0))
        .or(symbol.section().map(|index| index.0));
    match index {
        Some(index) => format!("symbol {} {flags:#x} {name} {index}", symbol.kind.word()),
        None => format!("symbol data {flags:#x} {name}"),
    }
}

/// The tables that wasmparser reads.
pub fn theirs(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut imports: [Vec<String>; 5] = Default::default();
    let mut names: [Vec<String>; 5] = Default::default();
    let mut functions = Vec::new();
    let mut globals = Vec::new();
    let mut tags = Vec::new();
    let mut segments = Vec::new();
    let mut customs = Vec::new();
    let mut linking = None;
    let mut relocs = Vec::new();
    let mut section = 0;
    let (mut code, mut data) = (None, None);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.unwrap();
        let is_section = payload.as_section().is_some();
        match payload {
            Payload::TypeSection(reader) => {
                for ty in reader.into_iter_err_on_gc_types() {
                    let ty = ty.unwrap();
                    let list = |types: &[wasmparser::ValType]| {
                        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
                        names.join(" ")
                    };
                    lines.push(format!(
                        "type ({}) -> ({})",
                        list(ty.params()),
                        list(ty.results())
                    ));
                }
            }
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let import = import.unwrap();
                    let (kind, word, ty) = match import.ty {
                        TypeRef::Func(ty) => (0, "function", ty.to_string()),
                        TypeRef::Table(ty) => {
                            (1, "table", format!("{} {:?}", ty.initial, ty.maximum))
                        }
                        TypeRef::Memory(ty) => {
                            let (min, max) = (ty.initial, ty.maximum);
                            (
                                2,
                                "memory",
                                format!("{min} {max:?} {} {}", ty.shared, ty.memory64),
                            )
                        }
                        TypeRef::Global(ty) => (3, "global", format!("mutable {}", ty.mutable)),
                        TypeRef::Tag(ty) => (4, "tag", ty.func_type_idx.to_string()),
                        _ => panic!("an import that objects do not have"),
                    };
                    names[kind].push(import.name.to_owned());
                    imports[kind].push(format!(
                        "import {word} {}.{} {ty}",
                        import.module, import.name
                    ));
                }
            }
            Payload::FunctionSection(reader) => {
                functions = reader
                    .into_iter()
                    .map(|ty| ty.unwrap().to_string())
                    .collect();
            }
            Payload::GlobalSection(reader) => {
                for global in reader {
                    globals.push(format!("global mutable {}", global.unwrap().ty.mutable));
                }
            }
            Payload::TagSection(reader) => {
                for tag in reader {
                    tags.push(format!("tag {}", tag.unwrap().func_type_idx));
                }
            }
            Payload::CodeSectionStart { .. } => {
                code = Some(section);
            }
            Payload::CodeSectionEntry(body) => {
                let index = lines.iter().filter(|line| line.starts_with("body")).count();
                let range = body.range();
                lines.push(format!(
                    "body {} {}..{}",
                    functions[index], range.start, range.end
                ));
            }
            Payload::DataSection(reader) => {
                data = Some(section);
                for segment in reader {
                    let segment = segment.unwrap();
                    assert!(matches!(
                        segment.kind,
                        DataKind::Active { .. } | DataKind::Passive
                    ));
                    let end = segment.range.end as usize;
                    segments.push(format!("segment {}..{end}", end - segment.data.len()));
                }
            }
            Payload::CustomSection(custom) => match custom.name() {
                "linking" => linking = Some(custom),
                "name" | "producers" | "target_features" => {}
                name if name.starts_with("reloc.") => relocs.push(custom),
                name => {
                    let range = custom.data_range();
                    customs.push((
                        section,
                        format!("custom {section} {name} {}..{}", range.start, range.end),
                    ));
                }
            },
            _ => {}
        }
        section += usize::from(is_section);
    }
    let bodies: Vec<String> = lines
        .extract_if(.., |line| line.starts_with("body"))
        .map(|line| line.replace("body", "function"))
        .collect();
    lines.extend(imports.iter().flatten().cloned());
    lines.extend(bodies);
    lines.extend(globals);
    lines.extend(tags);
    let segment_count = segments.len();
    lines.extend(segments);
    let linking = linking.expect("a linking section");
    lines.extend(linking_lines(&linking, segment_count, &names));
    lines.extend(customs.iter().map(|(_, line)| line.clone()));
    for (place, name) in [(code, "code"), (data, "data")] {
        if let Some(section) = place {
            lines.extend(reloc_lines(&relocs, section, name));
        }
    }
    for (section, _) in customs {
        lines.extend(reloc_lines(&relocs, section, &format!("section {section}")));
    }
    lines
}

fn linking_lines(
    custom: &CustomSectionReader<'_>,
    segments: usize,
    names: &[Vec<String>; 5],
) -> Vec<String> {
    let mut infos = Vec::new();
    let mut symbols = Vec::new();
    let mut inits = Vec::new();
    let mut comdats: [Vec<(u32, String)>; 3] = Default::default();
    let reader = BinaryReader::new(custom.data(), custom.data_offset());
    for part in LinkingSectionReader::new(reader).unwrap() {
        match part.unwrap() {
            Linking::SegmentInfo(map) => {
                for info in map {
                    let info = info.unwrap();
                    let (name, align) = (info.name, info.alignment);
                    infos.push(format!(
                        "segment {name} align {align} flags {}",
                        info.flags.bits()
                    ));
                }
            }
            Linking::InitFuncs(map) => {
                for init in map {
                    let init = init.unwrap();
                    inits.push(format!("init {} {}", init.priority, init.symbol_index));
                }
            }
            Linking::ComdatInfo(map) => {
                for comdat in map {
                    let comdat = comdat.unwrap();
                    for symbol in comdat.symbols {
                        let symbol = symbol.unwrap();
                        let (kind, word) = match symbol.kind {
                            ComdatSymbolKind::Data => (0, "segment"),
                            ComdatSymbolKind::Func => (1, "function"),
                            ComdatSymbolKind::Section => (2, "section"),
                            _ => panic!("a comdat symbol that objects do not have"),
                        };
                        let line = format!("comdat {} {word} {}", comdat.name, symbol.index);
                        comdats[kind].push((symbol.index, line));
                    }
                }
            }
            Linking::SymbolTable(map) => {
                for symbol in map {
                    let symbol = symbol.unwrap();
                    let indexed =
                        |word: &str, flags: u32, index: u32, name: Option<&str>, imports: usize| {
                            let imported = || names[imports][index as usize].clone();
                            let name = name.map_or_else(imported, str::to_owned);
                            format!("symbol {word} {flags:#x} {name} {index}")
                        };
                    symbols.push(match symbol {
                        SymbolInfo::Func { flags, index, name } => {
                            indexed("function", flags.bits(), index, name, 0)
                        }
                        SymbolInfo::Table { flags, index, name } => {
                            indexed("table", flags.bits(), index, name, 1)
                        }
                        SymbolInfo::Global { flags, index, name } => {
                            indexed("global", flags.bits(), index, name, 3)
                        }
                        SymbolInfo::Event { flags, index, name } => {
                            indexed("tag", flags.bits(), index, name, 4)
                        }
                        SymbolInfo::Section { flags, section } => {
                            format!("symbol section {:#x}  {section}", flags.bits())
                        }
                        SymbolInfo::Data {
                            flags,
                            name,
                            symbol,
                        } => match symbol {
                            Some(place) => format!(
                                "symbol data {:#x} {name} {}+{} {}",
                                flags.bits(),
                                place.index,
                                place.offset,
                                place.size
                            ),
                            None => format!("symbol data {:#x} {name}", flags.bits()),
                        },
                    });
                }
            }
            _ => {}
        }
    }
    assert_eq!(infos.len(), segments);
    infos.extend(symbols);
    infos.extend(inits);
    for mut kind in comdats {
        kind.sort();
        infos.extend(kind.into_iter().map(|(_, line)| line));
    }
    infos
}

fn reloc_lines(customs: &[CustomSectionReader<'_>], section: usize, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for custom in customs {
        let reader = BinaryReader::new(custom.data(), custom.data_offset());
        let reader = RelocSectionReader::new(reader).unwrap();
        if reader.section_index() as usize != section {
            continue;
        }
        for entry in reader.entries() {
            let entry = entry.unwrap();
            // The specification has renamed events.
            let kind = format!("{:?}", entry.ty).replace("EventIndex", "TagIndex");
            lines.push(reloc_line(
                name,
                &kind,
                entry.offset,
                entry.index,
                entry.addend,
            ));
        }
    }
    lines
}
