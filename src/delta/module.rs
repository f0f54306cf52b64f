//! Writes a delta: a module that imports what is an instance's, has the code and data that changed, and exports what brings
//! the instance to the next version. The format is described in `design/live.md`.

use std::ops::Range;
use std::sync::Arc;

use crate::delta::artifact::{Delta, Header, push_header};
use crate::delta::collect::Contents;
use crate::delta::imports::Imports;
use crate::delta::policy::{Refusal, RefusalReason};
use crate::delta::routine::{self, Routines};
use crate::delta::view::View;
use crate::hash::HashMap;
use crate::program::{DeclId, DeclKind, Definition, RelocKind, RelocatableBytes, Relocation};
use crate::wire::filler::END;
use crate::wire::leb::{self, push_unsigned};
use crate::wire::section::{push, push_custom, push_string, push_vector};

/// Writes a delta of these contents, which are as `view` sees them.
pub(super) fn write(view: View<'_>, contents: &Contents, header: Header) -> Result<Delta, Refusal> {
    let mut writer = Writer {
        view,
        contents,
        imports: Imports::new(view),
        thunks: Vec::new(),
        thunk_of: HashMap::default(),
        takes_references: false,
    };
    writer.collect()?;
    let own = writer.own()?;
    let is_shared = routine::shares_memory(view);
    let first_thunk =
        writer.imports.counted(DeclKind::Function) + Routines::count(contents, is_shared);
    let bodies = writer.bodies(first_thunk)?;
    let routines = Routines::write(&mut writer.imports, view, contents, header, is_shared)?;
    Ok(writer.assemble(header, own, first_thunk, bodies, routines))
}

/// A body as it stands in the delta, and how many bytes it has.
struct Bodies {
    entries: Vec<u8>,
    bytes: u64,
    /// Where each one stands in `entries`, without its length.
    places: Vec<(DeclId, Range<u64>)>,
}

/// Globals and tags of the delta's own: entries, and exports of what later deltas need.
#[derive(Default)]
struct Own {
    globals: Vec<u8>,
    global_count: usize,
    tags: Vec<u8>,
    tag_count: usize,
    exports: Vec<(String, DeclKind, u32)>,
}

struct Writer<'a> {
    view: View<'a>,
    contents: &'a Contents,
    imports: Imports<'a>,
    /// Functions that are called through their slots.
    thunks: Vec<DeclId>,
    thunk_of: HashMap<DeclId, u32, foldhash::fast::FixedState>,
    /// Whether code refers to a function by its index without calling it.
    takes_references: bool,
}

impl<'a> Writer<'a> {
    fn missing(&self, id: DeclId) -> Refusal {
        let decl = self.view.program.get(id);
        Refusal {
            reason: RefusalReason::Moved,
            symbol: decl.map_or("(gone)", |decl| decl.label()).to_owned(),
        }
    }

    fn definition(&self, id: DeclId) -> Result<&'a Definition, Refusal> {
        self.view.definition(id).ok_or_else(|| self.missing(id))
    }

    /// Imports all that code and globals name, so that indices of what is the delta's own are known.
    fn collect(&mut self) -> Result<(), Refusal> {
        let contents = self.contents;
        for &(id, _) in &contents.imported {
            self.imports.hosted(id).ok_or_else(|| self.missing(id))?;
        }
        for &id in &contents.own {
            let definition = self.definition(id)?;
            match definition.is_import() {
                true => drop(self.imports.hosted(id)),
                false => self.collect_targets(definition)?,
            }
        }
        for write in &contents.writes {
            self.import(write.memory)?;
        }
        for (id, ..) in &contents.values {
            self.import(*id)?;
        }
        for &(id, _) in &contents.bodies {
            let definition = self.definition(id)?;
            if let Some(ty) = definition.ty() {
                self.imports.ty(ty);
            }
            self.collect_targets(definition)?;
        }
        Ok(())
    }

    fn import(&mut self, id: DeclId) -> Result<(), Refusal> {
        let is_own = self.contents.own.contains(&id);
        if !is_own && self.imports.index(id).is_none() {
            return Err(self.missing(id));
        }
        Ok(())
    }

    fn collect_targets(&mut self, definition: &Definition) -> Result<(), Refusal> {
        if let Some(ty) = definition.ty() {
            self.imports.ty(ty);
        }
        for reloc in definition.content.relocs() {
            if let Some(ty) = reloc.ty() {
                self.imports.ty(ty);
                continue;
            }
            let Some(target) = reloc.decl() else { continue };
            if reloc.kind.is_function_index() {
                self.takes_references |= reloc.kind == RelocKind::FunctionIndex;
                self.collect_function(target)?;
            } else if !reloc.kind.is_slot() && !reloc.kind.is_address() {
                self.import(target)?;
            }
        }
        Ok(())
    }

    /// A function that is named by its index: an import of the host's, or a thunk.
    fn collect_function(&mut self, id: DeclId) -> Result<(), Refusal> {
        let definition = self.definition(id)?;
        if definition.is_import() {
            return self
                .imports
                .hosted(id)
                .map(drop)
                .ok_or_else(|| self.missing(id));
        }
        let ty = definition.ty().ok_or_else(|| self.missing(id))?;
        self.imports.ty(ty);
        if let crate::hash::Entry::Vacant(entry) = self.thunk_of.entry(id) {
            entry.insert(self.thunks.len() as u32);
            self.thunks.push(id);
        }
        Ok(())
    }

    /// Globals and tags that the instance does not have. What the host gives is passed on.
    fn own(&mut self) -> Result<Own, Refusal> {
        let mut own = Own::default();
        for &id in &self.contents.own {
            let definition = self.definition(id)?;
            let program = self.view.program;
            let kind = program.decl(id).kind;
            let index = match definition.is_import() {
                true => self.imports.known(id),
                false => Some(self.imports.own(id, kind)),
            };
            let index = index.ok_or_else(|| self.missing(id))?;
            let name = program.live_name(id).ok_or_else(|| self.missing(id))?;
            own.exports.push((name, kind, index));
        }
        // One may begin with the value of another one only if that is imported: all indices are known.
        for &id in &self.contents.own {
            let definition = self.definition(id)?;
            if definition.is_import() {
                continue;
            }
            let bytes = self.resolve(&definition.content, 0)?;
            match self.view.program.decl(id).kind {
                DeclKind::Tag => {
                    own.tags.extend_from_slice(&bytes);
                    own.tag_count += 1;
                }
                _ => {
                    own.globals.extend_from_slice(&bytes);
                    own.global_count += 1;
                }
            }
        }
        Ok(own)
    }

    /// Bytes with all their fields filled in.
    fn resolve(
        &mut self,
        content: &RelocatableBytes,
        first_thunk: u32,
    ) -> Result<Vec<u8>, Refusal> {
        let mut bytes = content.bytes().to_vec();
        for reloc in content.relocs() {
            let value = self.value(reloc, first_thunk);
            let value = value.ok_or_else(|| match reloc.decl() {
                Some(target) => self.missing(target),
                None => self.missing(DeclId(u32::MAX)),
            })?;
            let field = &mut bytes[reloc.offset as usize..][..reloc.kind.width()];
            reloc.kind.write(value, field);
        }
        Ok(bytes)
    }

    fn value(&mut self, reloc: &Relocation, first_thunk: u32) -> Option<i64> {
        if let Some(ty) = reloc.ty() {
            return Some(self.imports.ty(ty).into());
        }
        let target = reloc.decl()?;
        if reloc.kind.is_function_index() {
            let index = match self.thunk_of.get(&target) {
                Some(at) => first_thunk + at,
                None => self.imports.known(target)?,
            };
            return Some(index.into());
        }
        match reloc.kind.is_slot() || reloc.kind.is_address() {
            true => self.view.value(reloc),
            false => self.imports.known(target).map(i64::from),
        }
    }

    fn bodies(&mut self, first_thunk: u32) -> Result<Bodies, Refusal> {
        let mut bodies = Bodies {
            entries: Vec::new(),
            bytes: 0,
            places: Vec::new(),
        };
        for &(id, _) in &self.contents.bodies {
            let definition = self.definition(id)?;
            let bytes = self.resolve(&definition.content, first_thunk)?;
            push_unsigned(&mut bodies.entries, bytes.len() as u64);
            let start = bodies.entries.len() as u64;
            bodies.entries.extend_from_slice(&bytes);
            bodies.places.push((id, start..start + bytes.len() as u64));
            bodies.bytes += bytes.len() as u64;
        }
        Ok(bodies)
    }

    /// The code of a thunk.
    fn thunk(&mut self, id: DeclId) -> Vec<u8> {
        let definition = self.view.definition(id);
        let ty = definition.and_then(Definition::ty);
        let params = ty.and_then(|ty| self.view.program.types.signature(ty));
        let options = self.view.layout.options;
        let mut code = vec![0];
        for param in 0..params.map_or(0, |it| it.params) {
            code.push(0x20);
            push_unsigned(&mut code, param.into());
        }
        let slot = self.view.place(id).slot().map_or(0, |slot| slot.0);
        routine::push_index(&mut code, options.table64, slot.into());
        code.push(0x11 + 2 * u8::from(options.tail_calls));
        push_unsigned(&mut code, ty.map_or(0, |ty| self.imports.ty(ty)).into());
        // The table of slots is the first one.
        code.extend([0, END]);
        code
    }

    fn assemble(
        mut self,
        header: Header,
        own: Own,
        first_thunk: u32,
        bodies: Bodies,
        routines: Routines,
    ) -> Delta {
        let contents = self.contents;
        let thunks = self.thunks.clone();
        let thunk_codes: Vec<Vec<u8>> = thunks.iter().map(|id| self.thunk(*id)).collect();
        let first_body = first_thunk + thunks.len() as u32;
        let functions = routines.codes.len() + thunks.len() + contents.bodies.len();
        let mut types = routines.types.clone();
        for &id in thunks
            .iter()
            .chain(contents.bodies.iter().map(|(id, _)| id))
        {
            let ty = self.view.definition(id).and_then(Definition::ty);
            push_unsigned(&mut types, ty.map_or(0, |ty| self.imports.ty(ty)).into());
        }
        let mut out = b"\0asm\x01\0\0\0".to_vec();
        let imports = &self.imports;
        push_vector(&mut out, 1, imports.groups, &imports.type_entries);
        push_vector(&mut out, 2, imports.count, &imports.entries);
        push_vector(&mut out, 3, functions, &types);
        push_vector(&mut out, 13, own.tag_count, &own.tags);
        let mut globals = own.globals;
        globals.extend_from_slice(&routines.globals);
        push_vector(
            &mut out,
            6,
            own.global_count + routines.global_count,
            &globals,
        );
        let (count, exports) = self.exports(&own.exports, &routines);
        push_vector(&mut out, 7, count, &exports);
        let (count, elements) = self.elements(first_thunk, first_body);
        push_vector(&mut out, 9, count, &elements);
        let data = routines.data;
        if !data.is_empty() {
            push(&mut out, 12, &[1]);
        }
        let mut code = Vec::with_capacity(bodies.entries.len() + 256);
        for entry in routines.codes.iter().chain(&thunk_codes) {
            push_unsigned(&mut code, entry.len() as u64);
            code.extend_from_slice(entry);
        }
        // Debug information counts from the beginning of the section's contents.
        let before = (code.len() + leb::unsigned_len(functions as u64)) as u64;
        code.extend_from_slice(&bodies.entries);
        push_vector(&mut out, 10, functions, &code);
        if !data.is_empty() {
            let mut segment = vec![1];
            push_unsigned(&mut segment, data.len() as u64);
            segment.extend_from_slice(&data);
            push_vector(&mut out, 11, 1, &segment);
        }
        self.push_names(&mut out, first_body);
        push_header(&mut out, header);
        Delta {
            bytes: Arc::from(out),
            from: header.from,
            to: header.to,
            functions: contents.bodies.len() as u32,
            function_bytes: bodies.bytes,
            data_bytes: data.len() as u64,
            conditional: routines.conditional,
            bodies: bodies
                .places
                .into_iter()
                .map(|(id, range)| (id, range.start + before..range.end + before))
                .collect(),
            is_described: false,
        }
    }

    fn exports(&self, own: &[(String, DeclKind, u32)], routines: &Routines) -> (usize, Vec<u8>) {
        let mut out = Vec::new();
        let first = self.imports.counted(DeclKind::Function);
        let named = routine::NAMES
            .into_iter()
            .take(routines.exported)
            .zip(first..);
        let named = named.map(|(name, index)| (name, DeclKind::Function, index));
        let kept = routines.kept.map(|index| ("kept", DeclKind::Global, index));
        let memories = self.memories();
        let own = own
            .iter()
            .map(|(name, kind, index)| (&**name, *kind, *index));
        let mut count = 0;
        for (name, kind, index) in named.chain(kept).chain(own).chain(memories) {
            push_string(&mut out, name);
            out.push(kind.external());
            push_unsigned(&mut out, index.into());
            count += 1;
        }
        (count, out)
    }

    /// Memories under the names that the program exports them by, if code calls the host: many a function of a host looks
    /// for the memory of its caller, which is the delta.
    fn memories(&self) -> impl Iterator<Item = (&'a str, DeclKind, u32)> {
        let program = self.view.program;
        let calls_host = self.imports.counted(DeclKind::Function) > 0;
        let exports = program.said_exports().filter(move |_| calls_host);
        exports.filter_map(move |(_, export)| {
            let is_taken = routine::NAMES.contains(&&*export.name) || &*export.name == "kept";
            let is_memory = program.kind_of(export.decl) == Some(DeclKind::Memory) && !is_taken;
            let index = self.imports.known(export.decl).filter(|_| is_memory)?;
            Some((&*export.name, DeclKind::Memory, index))
        })
    }

    /// What slots are set to, in the order of the slots; and what code takes references to.
    fn elements(&self, first_thunk: u32, first_body: u32) -> (usize, Vec<u8>) {
        let mut out = Vec::new();
        let targets = routine::slots(self.contents);
        let mut count = 0;
        if !targets.is_empty() {
            out.extend([1, 0]);
            push_unsigned(&mut out, targets.len() as u64);
            for target in &targets {
                let index = match target.body {
                    Some(at) => first_body + at,
                    None => self.imports.known(target.id).unwrap_or_default(),
                };
                push_unsigned(&mut out, index.into());
            }
            count += 1;
        }
        if self.takes_references {
            let thunks = first_thunk..first_body;
            let imports = 0..self.imports.counted(DeclKind::Function);
            out.extend([3, 0]);
            push_unsigned(&mut out, (thunks.len() + imports.len()) as u64);
            for index in imports.chain(thunks) {
                push_unsigned(&mut out, index.into());
            }
            count += 1;
        }
        (count, out)
    }

    /// The names of the functions that changed.
    fn push_names(&self, out: &mut Vec<u8>, first_body: u32) {
        if !self.view.layout.options.names {
            return;
        }
        let mut names = Vec::new();
        let mut count = 0;
        for ((id, _), index) in self.contents.bodies.iter().zip(first_body..) {
            if let Some(name) = self.view.program.decl(*id).given_name() {
                push_unsigned(&mut names, index.into());
                push_string(&mut names, name);
                count += 1;
            }
        }
        let mut section = Vec::new();
        push_vector(&mut section, 1, count, &names);
        if count > 0 {
            push_custom(out, "name", &section);
        }
    }
}
