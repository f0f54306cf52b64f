//! Reading the sections of an object. The sections for the linker are put aside and read last (`linking`), so that
//! their order does not matter.

use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::object::cursor::Cursor;
use crate::object::encoding;
use crate::object::ids::{FunctionIndex, SectionIndex, TypeIndex};
use crate::object::kind::FileKind;
use crate::object::linking::{self, Aside, RelocSection};
use crate::object::map::Input;
use crate::object::reloc::{INDEX_LIMIT, Relocs};
use crate::object::span::Span;
use crate::object::tables::{
    CustomSection, Function, FunctionType, Global, Import, Object, Segment, SegmentFlags,
    SegmentPrefix,
};

impl Object {
    /// Reads an object that is a whole input.
    ///
    /// # Errors
    /// If it is no relocatable object, is malformed, or asks for something that cannot be linked.
    pub fn read(input: Arc<Input>) -> Result<Object> {
        let span = Span {
            start: 0,
            len: input.bytes().len() as u32,
        };
        let name = input.path().display().to_string();
        Object::read_part(input, span, None, name)
    }

    /// Reads an object that is a part of an input, such as an archive's member of this name.
    ///
    /// # Errors
    /// As [`read`](Object::read); also if `span` is not within the input.
    pub fn read_part(
        input: Arc<Input>,
        span: Span,
        member: Option<&str>,
        display_name: String,
    ) -> Result<Object> {
        let mut object = Object {
            input: input.clone(),
            span,
            member: member.map(Into::into),
            display_name: display_name.into(),
            types: Vec::new(),
            imported_functions: Vec::new(),
            imported_globals: Vec::new(),
            imported_tables: Vec::new(),
            imported_tags: Vec::new(),
            imported_memories: Vec::new(),
            functions: Vec::new(),
            globals: Vec::new(),
            tables: Vec::new(),
            tags: Vec::new(),
            memories: Vec::new(),
            exported_functions: Vec::new(),
            segments: Vec::new(),
            symbols: Vec::new(),
            hashes: Vec::new(),
            init_functions: Vec::new(),
            comdats: Vec::new(),
            custom_sections: Vec::new(),
            producers: Span::default(),
            features: Span::default(),
            code: Span::default(),
            data: Span::default(),
            code_relocs: Relocs::default(),
            data_relocs: Relocs::default(),
            lineage: Arc::default(),
        };
        let result = match input.bytes().get(span.range()) {
            Some(_) => read_object(&mut object, input.bytes()),
            None => Err(Error::bad_input("malformed: it is cut short")),
        };
        match result {
            Ok(()) => Ok(object),
            Err(error) => Err(error.with_path(object.display_name())),
        }
    }
}

fn read_object(object: &mut Object, input: &[u8]) -> Result<()> {
    let mut cursor = Cursor::new(input, object.span);
    let is_member = object.member.is_some();
    check_header(&mut cursor, &input[object.span.range()], is_member)?;
    let mut aside = Aside::default();
    let mut seen = [false; 16];
    let mut section = 0;
    while !cursor.is_at_end() {
        let at = cursor.offset();
        let id = cursor.byte()?;
        let len = cursor.u32()?;
        let mut part = cursor.part(len)?;
        if let Some(seen) = seen.get_mut(usize::from(id)) {
            if *seen && id != 0 {
                return Err(cursor.malformed(at as usize, "a section occurs twice"));
            }
            *seen = true;
        }
        let index = SectionIndex(section);
        section += 1;
        match id {
            0 => read_custom(object, input, &mut part, index, &mut aside)?,
            1 => read_types(object, input, &mut part)?,
            2 => read_imports(object, input, &mut part)?,
            3 => read_functions(object, &mut part)?,
            4 => {
                let count = part.u32()?;
                object.tables.reserve_exact(part.capacity(count, 3));
                for _ in 0..count {
                    object.tables.push(encoding::table_type(&mut part)?);
                }
            }
            5 => {
                let count = part.u32()?;
                object.memories.reserve_exact(part.capacity(count, 2));
                for _ in 0..count {
                    object.memories.push(encoding::limits(&mut part)?);
                }
            }
            6 => read_globals(object, &mut part)?,
            7 => read_exports(object, &mut part)?,
            8 => return Err(part.error("an object cannot have a start function")),
            // Elements are made anew from the relocations, and the number of segments is known without being told.
            9 | 12 => part.skip(part.remaining() as u32)?,
            10 => {
                aside.code = Some(index);
                object.code = rest(&part);
                read_code(&mut object.functions, &mut part)?;
            }
            11 => {
                aside.data = Some(index);
                object.data = rest(&part);
                read_data(&mut object.segments, &mut part)?;
            }
            13 => {
                let count = part.u32()?;
                object.tags.reserve_exact(part.capacity(count, 2));
                for _ in 0..count {
                    let ty = read_tag(object, &mut part)?;
                    object.tags.push(ty);
                }
            }
            _ => return Err(cursor.malformed(at as usize, "an unknown section")),
        }
        part.finish("a section")?;
    }
    if let Some(function) = object.functions.last()
        && function.body.len == 0
    {
        return Err(cursor.error("functions without bodies"));
    }
    linking::read(object, input, &aside)
}

fn check_header(cursor: &mut Cursor<'_>, bytes: &[u8], is_member: bool) -> Result<()> {
    match FileKind::of(bytes) {
        FileKind::Wasm => {}
        FileKind::Bitcode => {
            return Err(
                Error::bad_input("LLVM bitcode, which needs link-time optimisation")
                    .with_hint("compile without -flto (for Rust: -Clinker-plugin-lto=no)"),
            );
        }
        FileKind::Archive | FileKind::ThinArchive if is_member => {
            return Err(Error::bad_input("an archive within an archive")
                .with_hint("unpack it, and name what is in it"));
        }
        _ if bytes.is_empty() => return Err(Error::bad_input("the file is empty")),
        _ => {
            return Err(
                Error::bad_input("neither a WebAssembly object nor an archive")
                    .with_hint("was it compiled for another target?"),
            );
        }
    }
    cursor.skip(4)?;
    match cursor.span(4).map(|span| &bytes[4..][..span.len as usize]) {
        Ok([1, 0, 0, 0]) => Ok(()),
        Ok([_, _, 1, 0]) => {
            Err(Error::bad_input("a component, not an object").with_hint("link its core modules"))
        }
        _ => Err(cursor.malformed(4, "an unknown version of WebAssembly")),
    }
}

pub(super) fn rest(part: &Cursor<'_>) -> Span {
    Span {
        start: part.offset(),
        len: part.remaining() as u32,
    }
}

fn read_types(object: &mut Object, input: &[u8], part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    if count >= INDEX_LIMIT {
        return Err(part.error("too many types"));
    }
    object.types.reserve_exact(part.capacity(count, 3));
    for _ in 0..count {
        if part.byte()? != 0x60 {
            return Err(part.error("a type that is no function type; objects cannot have these"));
        }
        object.types.push(FunctionType {
            params: encoding::value_types(part, input)?,
            results: encoding::value_types(part, input)?,
        });
    }
    Ok(())
}

fn read_type(object: &Object, part: &mut Cursor<'_>) -> Result<TypeIndex> {
    let ty = part.u32()?;
    match (ty as usize) < object.types.len() {
        true => Ok(TypeIndex(ty)),
        false => Err(part.error("a type index is out of range")),
    }
}

fn read_tag(object: &Object, part: &mut Cursor<'_>) -> Result<TypeIndex> {
    if part.byte()? != 0 {
        return Err(part.error("an unknown kind of tag"));
    }
    read_type(object, part)
}

fn read_imports(object: &mut Object, input: &[u8], part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    // Nearly all imports of an object are functions.
    object
        .imported_functions
        .reserve_exact(part.capacity(count, 4));
    for _ in 0..count {
        let (module, name) = (part.name()?, part.name()?);
        let is_from_env = &input[module.range()] == b"env";
        macro_rules! add {
            ($imports:ident, $ty:expr) => {{
                let ty = $ty;
                object.$imports.push(Import {
                    module,
                    name,
                    ty,
                    is_from_env,
                });
            }};
        }
        match part.byte()? {
            0 => add!(imported_functions, read_type(object, part)?),
            1 => add!(imported_tables, encoding::table_type(part)?),
            2 => add!(imported_memories, encoding::limits(part)?),
            3 => add!(imported_globals, encoding::global_type(part)?),
            4 => add!(imported_tags, read_tag(object, part)?),
            _ => return Err(part.error("an unknown kind of import")),
        }
    }
    Ok(())
}

fn read_functions(object: &mut Object, part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    object.functions.reserve_exact(part.capacity(count, 1));
    for _ in 0..count {
        let ty = read_type(object, part)?;
        object.functions.push(Function {
            ty,
            body: Span::default(),
            relocs: 0..0,
            comdat: None,
        });
    }
    Ok(())
}

fn read_globals(object: &mut Object, part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    object.globals.reserve_exact(part.capacity(count, 4));
    for _ in 0..count {
        object.globals.push(Global {
            ty: encoding::global_type(part)?,
            init: encoding::constant(part)?,
        });
    }
    Ok(())
}

fn read_exports(object: &mut Object, part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    for _ in 0..count {
        let name = part.name()?;
        let kind = part.byte()?;
        let index = part.u32()?;
        let functions = object.imported_functions.len() + object.functions.len();
        match kind {
            0 if (index as usize) < functions => {
                object.exported_functions.push((FunctionIndex(index), name));
            }
            0 => return Err(part.error("an exported function is out of range")),
            // Symbols say what else is exported, and under what name.
            1..=4 => {}
            _ => return Err(part.error("an unknown kind of export")),
        }
    }
    Ok(())
}

pub(super) fn read_code(functions: &mut [Function], part: &mut Cursor<'_>) -> Result<()> {
    if part.u32()? as usize != functions.len() {
        return Err(part.error("as many bodies as functions are needed"));
    }
    for function in functions {
        let len = part.u32()?;
        if len == 0 {
            return Err(part.error("an empty body"));
        }
        function.body = part.span(len)?;
    }
    Ok(())
}

pub(super) fn read_data(segments: &mut Vec<Segment>, part: &mut Cursor<'_>) -> Result<()> {
    let count = part.u32()?;
    segments.reserve_exact(part.capacity(count, 2));
    for _ in 0..count {
        let flags = part.u32()?;
        match flags {
            0 => drop(encoding::constant(part)?),
            1 => {}
            2 => {
                part.u32()?;
                encoding::constant(part)?;
            }
            _ => return Err(part.error("an unknown kind of segment")),
        }
        segments.push(Segment {
            name: Span::default(),
            data: part.sized()?,
            relocs: 0..0,
            align_log2: 0,
            flags: SegmentFlags::default(),
            prefix: SegmentPrefix::Other,
            comdat: None,
        });
    }
    Ok(())
}

fn read_custom(
    object: &mut Object,
    input: &[u8],
    part: &mut Cursor<'_>,
    section: SectionIndex,
    aside: &mut Aside,
) -> Result<()> {
    let name = part.name()?;
    let contents = rest(part);
    let twice = |part: &Cursor<'_>| Err(part.error("a custom section occurs twice"));
    match &input[name.range()] {
        b"linking" => {
            if aside.linking.replace(contents).is_some() {
                return twice(part);
            }
        }
        b"producers" => object.producers = contents,
        b"target_features" => object.features = contents,
        b"name" => {}
        b"dylink" | b"dylink.0" => {
            return Err(Error::bad_input("a shared library, which cannot be linked")
                .with_hint("link with the static library instead"));
        }
        other if other.starts_with(b"reloc.") => {
            let target = SectionIndex(part.u32()?);
            let count = part.u32()?;
            aside.relocs.push(RelocSection {
                target,
                count,
                entries: rest(part),
            });
        }
        _ => object.custom_sections.push(CustomSection {
            name,
            contents,
            section,
            relocs: Span::default(),
            reloc_count: 0,
            reloc_marks: OnceLock::new(),
            comdat: None,
        }),
    }
    part.skip(part.remaining() as u32)
}
