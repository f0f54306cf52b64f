//! Reading an object again: a later version of one that is at hand.
//!
//! An edit changes code, data and debug information. What the sections say from which the tables are made (types, imports,
//! symbols and so on) is most often the same, byte by byte, if it does not stand in the same place: then the tables are
//! taken over, and only what says where contents stand is read. Whatever is otherwise, all is read.

use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::object::cursor::Cursor;
use crate::object::ids::SectionIndex;
use crate::object::keep::sections;
use crate::object::kept::{Kept, Section, digest};
use crate::object::linking::{self, Aside, RelocSection};
use crate::object::map::Input;
use crate::object::read::{read_code, read_data, rest};
use crate::object::reloc::Relocs;
use crate::object::span::Span;
use crate::object::tables::{Function, Import, Object, Segment};
use crate::wire::source::Source;

impl Object {
    /// Reads an object that is a whole input, and a later version of another one.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub(crate) fn read_after(input: Arc<Input>, before: &Object) -> Result<Object> {
        let span = Span {
            start: 0,
            len: input.bytes().len() as u32,
        };
        let name = input.path().display().to_string();
        Object::read_part_after(input, span, None, name, before)
    }

    /// The same for a part of an input.
    ///
    /// # Errors
    /// As [`Object::read_part`].
    pub(super) fn read_part_after(
        input: Arc<Input>,
        span: Span,
        member: Option<&str>,
        display_name: String,
        before: &Object,
    ) -> Result<Object> {
        match follow(&input, span, before) {
            Some(object) => {
                debug_assert!(is_as_read(&object), "{display_name}: what was taken over");
                Ok(Object {
                    member: member.map(Into::into),
                    display_name: display_name.into(),
                    ..object
                })
            }
            None => Object::read_part(input, span, member, display_name),
        }
    }

    /// Whether its bytes can be had: of an object whose file has changed since, in another process, only what is kept of them is
    /// known.
    pub(crate) fn has_bytes(&self) -> bool {
        self.input().has(self.span().start, self.span().len)
    }

    /// What is kept of it, if its bytes are not at hand.
    pub(super) fn kept_elsewhere(&self) -> Option<&Kept> {
        let input = self.input();
        input.kept().filter(|_| !input.is_at_hand())
    }

    /// Whether a section of relocations of code was these bytes.
    fn had_section(&self, contents: Span, bytes: &[u8]) -> bool {
        match self.kept_elsewhere() {
            Some(kept) => kept.blocks(contents.start).is_some_and(|blocks| {
                blocks.len as usize == bytes.len() && *blocks.digests == [digest(bytes)]
            }),
            None => self.bytes(contents) == bytes,
        }
    }

    /// Whether an object is another version of this one that was read with its tables.
    pub(crate) fn has_tables_of(&self, other: &Object) -> bool {
        Arc::ptr_eq(&self.lineage, &other.lineage)
    }
}

/// Where what stood in one place of an object stands in another version of it: parts, and how far they have moved.
struct Shift(Vec<(Span, u32)>);

impl Shift {
    /// That of the sections which tables are made from, if they are the same in both versions.
    fn between(old: (&Object, &[Section]), new: (&[u8], &[Section])) -> Option<Shift> {
        if old.1.len() != new.1.len() {
            return None;
        }
        let moved = |before: Span, now: Span| (before, now.start.wrapping_sub(before.start));
        let (mut names, mut tables) = (Vec::new(), Vec::new());
        for (before, now) in old.1.iter().zip(new.1) {
            let name = &new.0[now.name.range()];
            if before.id != now.id || old.0.bytes(before.name) != name {
                return None;
            }
            names.push(moved(before.name, now.name));
            let is_table = match now.id {
                0 => name == b"linking",
                // Code and data are what changes, and of elements nothing is kept.
                9..=12 => false,
                _ => true,
            };
            if is_table {
                if old.0.bytes(before.contents) != &new.0[now.contents.range()] {
                    return None;
                }
                tables.push(moved(before.contents, now.contents));
            }
        }
        names.extend(tables);
        Some(Shift(names))
    }

    /// Where a part of these sections stands now.
    fn of(&self, span: Span) -> Option<Span> {
        if span == Span::default() {
            return Some(span);
        }
        let is_in = |whole: &Span| whole.start <= span.start && span.end() <= whole.end();
        // Names of symbols, which are most of all, stand in the last of these sections.
        let mut parts = self.0.iter().rev();
        let (_, by) = parts.find(|(whole, _)| is_in(whole))?;
        Some(Span {
            start: span.start.wrapping_add(*by),
            len: span.len,
        })
    }

    fn imports<T: Copy>(&self, imports: &[Import<T>]) -> Option<Vec<Import<T>>> {
        let imports = imports.iter().map(|import| {
            Some(Import {
                module: self.of(import.module)?,
                name: self.of(import.name)?,
                ..*import
            })
        });
        imports.collect()
    }
}

/// The object with the tables of the version before, if these are the same.
fn follow(input: &Arc<Input>, span: Span, before: &Object) -> Option<Object> {
    let bytes = input.bytes();
    let header = Span {
        start: before.span().start,
        len: 8.min(before.span().len),
    };
    if *before.bytes(header) != *bytes.get(span.range())?.get(..8)? {
        return None;
    }
    let new = sections(bytes, span)?;
    let old = match before.kept_elsewhere() {
        Some(kept) => kept.sections.to_vec(),
        None => sections(before.input().bytes(), before.span())?,
    };
    let shift = Shift::between((before, &old), (bytes, &new))?;
    let mut object = with_tables(before, &shift, input.clone(), span)?;
    read_contents(&mut object, before, &shift, (&old, &new))?;
    Some(object)
}

/// An object with the tables of another one, but for what they say of contents.
fn with_tables(before: &Object, shift: &Shift, input: Arc<Input>, span: Span) -> Option<Object> {
    let mut object = Object {
        input,
        span,
        member: None,
        display_name: Box::default(),
        types: before.types.clone(),
        imported_functions: shift.imports(&before.imported_functions)?,
        imported_globals: shift.imports(&before.imported_globals)?,
        imported_tables: shift.imports(&before.imported_tables)?,
        imported_tags: shift.imports(&before.imported_tags)?,
        imported_memories: shift.imports(&before.imported_memories)?,
        functions: before.functions.clone(),
        globals: before.globals.clone(),
        tables: before.tables.clone(),
        tags: before.tags.clone(),
        memories: before.memories.clone(),
        exported_functions: before.exported_functions.clone(),
        segments: Vec::with_capacity(before.segments.len()),
        symbols: before.symbols.clone(),
        hashes: before.hashes.clone(),
        init_functions: before.init_functions.clone(),
        comdats: before.comdats.clone(),
        custom_sections: before.custom_sections.clone(),
        producers: Span::default(),
        features: Span::default(),
        code: Span::default(),
        data: Span::default(),
        code_relocs: Relocs::default(),
        data_relocs: Relocs::default(),
        lineage: before.lineage.clone(),
    };
    for ty in &mut object.types {
        ty.params = shift.of(ty.params)?;
        ty.results = shift.of(ty.results)?;
    }
    for global in &mut object.globals {
        global.init = shift.of(global.init)?;
    }
    for (_, name) in &mut object.exported_functions {
        *name = shift.of(*name)?;
    }
    for symbol in &mut object.symbols {
        symbol.name = shift.of(symbol.name)?;
    }
    for comdat in &mut object.comdats {
        comdat.name = shift.of(comdat.name)?;
    }
    for custom in &mut object.custom_sections {
        custom.name = shift.of(custom.name)?;
    }
    Some(object)
}

/// Reads where contents stand, and relocations of code and data. The sections are those of the version before, and its own.
fn read_contents(
    object: &mut Object,
    before: &Object,
    shift: &Shift,
    sections: (&[Section], &[Section]),
) -> Option<()> {
    let input = object.input.clone();
    let input = input.bytes();
    let mut aside = Aside::default();
    let mut same_code_relocs = None;
    let mut customs = object.custom_sections.iter_mut();
    for (at, (old, new)) in sections.0.iter().zip(sections.1).enumerate() {
        let index = SectionIndex(at as u32);
        let mut part = Cursor::new(input, new.contents);
        match (new.id, &input[new.name.range()]) {
            (0, b"linking" | b"name") => {}
            (0, b"producers") => object.producers = new.contents,
            (0, b"target_features") => object.features = new.contents,
            (0, name) if name.starts_with(b"reloc.") => {
                let target = SectionIndex(part.u32().ok()?);
                let count = part.u32().ok()?;
                let bytes = &input[new.contents.range()];
                if aside.code == Some(target) && before.had_section(old.contents, bytes) {
                    same_code_relocs = Some(aside.relocs.len());
                }
                let entries = rest(&part);
                aside.relocs.push(RelocSection {
                    target,
                    count,
                    entries,
                });
            }
            (0, _) => {
                let custom = customs.next().filter(|custom| custom.section == index)?;
                custom.contents = new.contents;
                custom.relocs = Span::default();
                custom.reloc_count = 0;
                custom.reloc_marks = OnceLock::new();
            }
            (10, _) => {
                aside.code = Some(index);
                object.code = new.contents;
                read_code(&mut object.functions, &mut part).ok()?;
                part.finish("a section").ok()?;
            }
            (11, _) => {
                aside.data = Some(index);
                object.data = new.contents;
                read_data(&mut object.segments, &mut part).ok()?;
                part.finish("a section").ok()?;
            }
            _ => {}
        }
    }
    take_over_segments(object, before, shift)?;
    for (at, section) in aside.relocs.iter().enumerate() {
        if same_code_relocs == Some(at) && has_same_bodies(object, before) {
            object.code_relocs = before.code_relocs.clone();
            continue;
        }
        if aside.code == Some(section.target) {
            // Relocations say it.
            for symbol in &mut object.symbols {
                symbol.called_directly = false;
            }
        }
        linking::read_reloc_section(object, input, &aside, section).ok()?;
    }
    Some(())
}

/// Whether all bodies are as long as before: then relocations with the same bytes belong to the same of them.
fn has_same_bodies(object: &Object, before: &Object) -> bool {
    let mut both = object.functions.iter().zip(&before.functions);
    let place =
        |function: &Function, code: Span| (function.body.start - code.start, function.body.len);
    both.all(|(now, was)| place(now, object.code) == place(was, before.code))
}

/// What tables say of segments, if these are as long as before: symbols were found to be within them.
fn take_over_segments(object: &mut Object, before: &Object, shift: &Shift) -> Option<()> {
    if object.segments.len() != before.segments.len() {
        return None;
    }
    for (now, was) in object.segments.iter_mut().zip(&before.segments) {
        if now.data.len != was.data.len {
            return None;
        }
        *now = Segment {
            name: shift.of(was.name)?,
            data: now.data,
            relocs: 0..0,
            ..was.clone()
        };
    }
    Some(())
}

/// Whether an object is what it would be had all of it been read.
fn is_as_read(object: &Object) -> bool {
    let anew = Object::read_part(object.input.clone(), object.span, None, String::new());
    let Ok(anew) = anew else {
        return false;
    };
    let imports = |it: &Object| {
        (
            it.imported_functions.clone(),
            it.imported_globals.clone(),
            it.imported_tables.clone(),
            it.imported_tags.clone(),
            it.imported_memories.clone(),
        )
    };
    let is_same_of_the_module = object.types == anew.types
        && imports(object) == imports(&anew)
        && object.functions == anew.functions
        && object.globals == anew.globals
        && object.tables == anew.tables
        && object.tags == anew.tags
        && object.memories == anew.memories
        && object.exported_functions == anew.exported_functions;
    let is_same_of_linking = object.segments == anew.segments
        && object.symbols == anew.symbols
        && object.hashes == anew.hashes
        && object.init_functions == anew.init_functions
        && object.comdats == anew.comdats
        && object.custom_sections == anew.custom_sections
        && object.code_relocs == anew.code_relocs
        && object.data_relocs == anew.data_relocs;
    let spans = |it: &Object| [it.producers, it.features, it.code, it.data];
    is_same_of_the_module && is_same_of_linking && spans(object) == spans(&anew)
}
